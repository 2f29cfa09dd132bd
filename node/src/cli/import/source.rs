//! Where the lines of an import come from: a file, plain or compressed, or this program.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::PathBuf;

use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::super::failure;
use crate::api::ApiError;

/// The longest line accepted. A message has at most 64 KiB, which JSON may write six times as
/// long; a user's line lists every channel of that user.
const MAX_LINE: u64 = 16 << 20;
/// The most memory that decompression may take; `xz -9` needs 65 MiB.
const MAX_XZ_MEMORY: u64 = 128 << 20;
const XZ_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// Something to import that can be read more than once.
#[derive(Debug, Clone)]
pub enum Source {
    File(PathBuf),
    /// Compiled in.
    Embedded {
        name: &'static str,
        text: &'static str,
    },
}

impl Source {
    /// The source as errors name it.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Embedded { name, .. } => (*name).into(),
        }
    }

    /// Begins to read the lines from the first.
    pub fn lines(&self) -> Result<Lines, ApiError> {
        let reader: Box<dyn BufRead + Send> = match self {
            Self::Embedded { text, .. } => Box::new(Cursor::new(text.as_bytes())),
            Self::File(path) => {
                let file = File::open(path).map_err(|error| failure::file(path, &error))?;
                decompressed(file).map_err(|error| failure::file(path, &error))?
            }
        };
        Ok(Lines {
            name: self.name(),
            reader,
            number: 0,
            line: Vec::new(),
        })
    }
}

/// Looks at the first bytes rather than at the name to tell a compressed file.
fn decompressed(file: File) -> std::io::Result<Box<dyn BufRead + Send>> {
    let mut head = Vec::with_capacity(XZ_MAGIC.len());
    let mut file = BufReader::new(file);
    (&mut file)
        .take(XZ_MAGIC.len() as u64)
        .read_to_end(&mut head)?;
    let is_xz = head == XZ_MAGIC;
    let whole = Cursor::new(head).chain(file);
    if !is_xz {
        return Ok(Box::new(whole));
    }
    let decoder = Stream::new_stream_decoder(MAX_XZ_MEMORY, CONCATENATED)?;
    Ok(Box::new(BufReader::new(XzDecoder::new_stream(
        whole, decoder,
    ))))
}

/// The lines of a source, numbered from 1.
pub struct Lines {
    name: String,
    reader: Box<dyn BufRead + Send>,
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    /// The next line with its line feed, if it has one; none at the end.
    pub fn next(&mut self) -> Result<Option<(u64, &[u8])>, ApiError> {
        self.line.clear();
        self.number += 1;
        let mut limited = (&mut self.reader).take(MAX_LINE);
        match limited.read_until(b'\n', &mut self.line) {
            Ok(0) => Ok(None),
            Ok(length) if length as u64 == MAX_LINE && self.line.last() != Some(&b'\n') => {
                Err(self.malformed(format!("longer than {} MiB", MAX_LINE >> 20)))
            }
            Ok(_) => Ok(Some((self.number, &self.line))),
            Err(error) => Err(self.malformed(error)),
        }
    }

    /// A failure that names the line read last.
    pub fn malformed(&self, why: impl std::fmt::Display) -> ApiError {
        self.malformed_at(self.number, why)
    }

    /// A failure that names a line read before.
    pub fn malformed_at(&self, number: u64, why: impl std::fmt::Display) -> ApiError {
        failure::operator(
            "malformed_import",
            format!("{}, line {number}: {why}", self.name),
            "nothing was imported; correct the line or remove it, and import again",
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn plain_and_compressed_files_have_the_same_lines() {
        let text = "one\r\n\u{1b}two\n\nlast";
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("misleading.xz");
        std::fs::write(&plain, text).unwrap();
        let packed = dir.path().join("packed");
        std::fs::write(&packed, compressed(text)).unwrap();
        let expected = ["one\r\n", "\u{1b}two\n", "\n", "last"];
        assert_eq!(all(&Source::File(plain)), expected);
        assert_eq!(all(&Source::File(packed)), expected);
    }

    #[test]
    fn files_shorter_than_the_magic_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("short");
        std::fs::write(&path, "ab").unwrap();
        assert_eq!(all(&Source::File(path.clone())), ["ab"]);
        std::fs::write(&path, "").unwrap();
        assert_eq!(all(&Source::File(path)), [""; 0]);
    }

    #[test]
    fn a_truncated_compressed_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut");
        let packed = compressed(&"line\n".repeat(1000));
        std::fs::write(&path, &packed[..packed.len() - 20]).unwrap();
        let mut lines = Source::File(path).lines().unwrap();
        let error = loop {
            match lines.next() {
                Ok(line) => assert!(line.is_some(), "the end came without an error"),
                Err(error) => break error,
            }
        };
        assert_eq!(error.code, "malformed_import");
    }

    #[test]
    fn an_endless_line_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        std::fs::write(&path, compressed(&"a".repeat(MAX_LINE as usize + 1))).unwrap();
        let error = Source::File(path).lines().unwrap().next().unwrap_err();
        assert!(error.what.contains("line 1: longer than 16 MiB"));
    }

    fn all(source: &Source) -> Vec<String> {
        let mut lines = source.lines().unwrap();
        let mut all = Vec::new();
        while let Some((_, line)) = lines.next().unwrap() {
            all.push(String::from_utf8(line.to_vec()).unwrap());
        }
        all
    }

    fn compressed(text: &str) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }
}
