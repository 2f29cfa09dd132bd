//! Needles: byte strings of events that one partner must not have, to be searched for at that
//! partner's node.
//!
//! They travel in a file of JSON lines. The first line says whose they are, whom they exclude and
//! how many follow; a file that was cut short is refused, since not finding what is missing would
//! prove nothing.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use comity_protocol::id::{EventId, PartnerId, hex};
use serde::{Deserialize, Serialize};

use crate::api::ApiError;
use crate::service::failure;

/// The shortest needle, in bytes: shorter ones are found by chance and in other people's words.
pub const NEEDLE_BYTES_MIN: usize = 12;
/// The longest, in bytes; what is longer is cut into several. A signature fits.
pub const NEEDLE_BYTES_MAX: usize = 64;
/// Needles that are held at once: some hundred bytes of memory each while they are searched for.
pub const NEEDLES_MAX: usize = 2_000_000;

/// The version of the file's form.
const VERSION: u8 = 1;
/// The longest line: the first one, with names and counts.
const LINE_BYTES: u64 = 4 << 10;

/// What a needle was cut from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A part of what was written, in the clear.
    Plaintext,
    /// A part of a body as it travels, sealed.
    Body,
    /// An event's signature.
    Signature,
    /// The id of an event that is no key event.
    EventId,
    /// The hash of a body as it travels.
    BodyHash,
    /// The commitment to what was written.
    Commitment,
    /// A part of a file's chunk as it travels, sealed.
    Chunk,
    /// The id of a lane.
    Lane,
    /// The id of a key event.
    KeyEvent,
    /// The secret under which a lane's bodies are sealed.
    Secret,
    /// The commitment to such a secret.
    SecretCommitment,
    /// A part of such a secret's wrap to one partner.
    Wrap,
}

impl Kind {
    pub const ALL: [Kind; 12] = [
        Kind::Plaintext,
        Kind::Body,
        Kind::Signature,
        Kind::EventId,
        Kind::BodyHash,
        Kind::Commitment,
        Kind::Chunk,
        Kind::Lane,
        Kind::KeyEvent,
        Kind::Secret,
        Kind::SecretCommitment,
        Kind::Wrap,
    ];

    /// What a report calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Plaintext => "plaintext",
            Kind::Body => "sealed body",
            Kind::Signature => "signature",
            Kind::EventId => "event id",
            Kind::BodyHash => "body hash",
            Kind::Commitment => "commitment",
            Kind::Chunk => "sealed chunk",
            Kind::Lane => "lane id",
            Kind::KeyEvent => "key event id",
            Kind::Secret => "epoch secret",
            Kind::SecretCommitment => "secret's commitment",
            Kind::Wrap => "wrapped secret",
        }
    }
}

/// A byte string to search for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needle {
    pub kind: Kind,
    /// [`NEEDLE_BYTES_MIN`] to [`NEEDLE_BYTES_MAX`] bytes.
    pub bytes: Vec<u8>,
    /// The event that it was first met in.
    pub event: EventId,
}

/// Whose needles they are and what they are for: the first line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    comity_needles: u8,
    /// The partner at whose node they were made.
    pub of: String,
    /// The partner that must not have them.
    pub excluding: String,
    pub excluding_id: String,
    /// Unix milliseconds.
    pub made_at_ms: u64,
    /// The events that they were cut from.
    pub events: u64,
    pub needles: u64,
    /// Texts and bodies too short to be searched for; the rest of their events is.
    pub too_short: u64,
    /// Parts of texts that also stand in what the excluded partner may read.
    pub may_be_known: u64,
}

impl Origin {
    pub fn new(of: &str, excluding: &str, excluding_id: &PartnerId, made_at_ms: u64) -> Origin {
        Origin {
            comity_needles: VERSION,
            of: of.into(),
            excluding: excluding.into(),
            excluding_id: excluding_id.to_hex(),
            made_at_ms,
            events: 0,
            needles: 0,
            too_short: 0,
            may_be_known: 0,
        }
    }
}

/// A needle as the file has it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    kind: Kind,
    event: String,
    bytes: String,
}

/// Needles and their origin.
#[derive(Debug)]
pub struct Needles {
    pub origin: Origin,
    pub needles: Vec<Needle>,
}

impl Needles {
    /// Writes a file that only its owner may read, and that does not exist yet; it is on disk when
    /// this returns.
    pub fn write(&self, path: &Path) -> Result<(), ApiError> {
        let write = || {
            let mut options = OpenOptions::new();
            let file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            let mut out = BufWriter::new(file);
            serde_json::to_writer(&mut out, &self.origin)?;
            for needle in &self.needles {
                let line = Line {
                    kind: needle.kind,
                    event: needle.event.to_hex(),
                    bytes: hex(&needle.bytes),
                };
                out.write_all(b"\n")?;
                serde_json::to_writer(&mut out, &line)?;
            }
            out.write_all(b"\n")?;
            out.into_inner()?.sync_all()
        };
        write().map_err(|error| failure::directory(path, &error))
    }

    /// Reads such a file.
    pub fn read(path: &Path) -> Result<Needles, ApiError> {
        let file = std::fs::File::open(path).map_err(|error| failure::directory(path, &error))?;
        let mut lines = Lines {
            reader: BufReader::new(file),
            path,
            number: 0,
        };
        let origin: Origin = lines.next()?.ok_or_else(|| lines.bad("it is empty"))?;
        if origin.comity_needles != VERSION || origin.needles > NEEDLES_MAX as u64 {
            return Err(lines.bad("it is of another version, or has too many needles"));
        }
        let mut needles = Vec::with_capacity(origin.needles as usize);
        while let Some(line) = lines.next::<Line>()? {
            needles.push(needle(&line).ok_or_else(|| lines.bad("it is no needle"))?);
        }
        if needles.len() as u64 != origin.needles {
            return Err(lines.bad("as many needles do not follow as the first line says"));
        }
        Ok(Needles { origin, needles })
    }

    /// How many needles there are of each kind.
    pub fn counts(&self) -> BTreeMap<Kind, u64> {
        let mut counts = BTreeMap::new();
        for needle in &self.needles {
            *counts.entry(needle.kind).or_insert(0) += 1;
        }
        counts
    }
}

struct Lines<'a> {
    reader: BufReader<std::fs::File>,
    path: &'a Path,
    number: u64,
}

impl Lines<'_> {
    fn next<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>, ApiError> {
        let mut line = Vec::new();
        self.number += 1;
        let mut limited = self.reader.by_ref().take(LINE_BYTES);
        let read = limited.read_until(b'\n', &mut line);
        read.map_err(|error| failure::directory(self.path, &error))?;
        match line.last() {
            None => Ok(None),
            Some(b'\n') => {
                let parsed = serde_json::from_slice(&line);
                parsed
                    .map(Some)
                    .map_err(|error| self.bad(&error.to_string()))
            }
            Some(_) => Err(self.bad("it is cut short or too long")),
        }
    }

    fn bad(&self, why: &str) -> ApiError {
        failure::operator(
            "bad_needles",
            format!("{}: line {}: {why}", self.path.display(), self.number),
            "have the file made again by 'comity prove-segregation --export-needles', and carry \
             it unchanged",
        )
    }
}

fn needle(line: &Line) -> Option<Needle> {
    let bytes = unhex(&line.bytes)?;
    let fits = (NEEDLE_BYTES_MIN..=NEEDLE_BYTES_MAX).contains(&bytes.len());
    Some(Needle {
        kind: line.kind,
        bytes: fits.then_some(bytes)?,
        event: EventId(unhex(&line.event)?.try_into().ok()?),
    })
}

/// The bytes that an even number of hexadecimal digits stand for.
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn needles() -> Needles {
        let mut origin = Origin::new("alpha", "charlie", &PartnerId([3; 32]), 1);
        origin.needles = 2;
        let needle = |kind, byte| Needle {
            kind,
            bytes: vec![byte; 32],
            event: EventId([9; 32]),
        };
        Needles {
            origin,
            needles: vec![needle(Kind::Lane, 1), needle(Kind::Secret, 2)],
        }
    }

    #[test]
    fn needles_are_read_back_and_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("needles");
        needles().write(&path).unwrap();
        let mode = path.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = Needles::read(&path).unwrap();
        assert_eq!(read.needles, needles().needles);
        assert_eq!(read.origin, needles().origin);
        assert!(needles().write(&path).is_err(), "nothing is overwritten");
    }

    #[test]
    fn a_file_that_was_cut_or_garbled_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("needles");
        needles().write(&path).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = whole.split_inclusive('\n').collect();
        for wrong in [
            String::new(),
            lines[..2].concat(),
            whole[..whole.len() - 1].into(),
            whole.replace("0101", ""),
            whole.replace("\"lane\"", "\"brook\""),
            whole.replace("needles\":1", "needles\":2"),
        ] {
            std::fs::write(&path, &wrong).unwrap();
            let refused = Needles::read(&path).unwrap_err();
            assert_eq!(refused.code, "bad_needles", "{wrong}");
        }
    }
}
