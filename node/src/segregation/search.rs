//! Searching bytes for needles, all at once: files at any offset, and values.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use aho_corasick::{AhoCorasick, BuildError};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};

use super::needle::{Kind, NEEDLE_BYTES_MIN, Needle};

/// What the automaton looks for is the start of each needle; the rest is compared. That bounds its
/// memory.
const START: usize = NEEDLE_BYTES_MIN;
/// Hexadecimal digits of an id that commands and logs show: whoever is shown as much knows of it.
const SHOWN_DIGITS: usize = 12;
/// Read at a time, in bytes.
const BLOCK: usize = 1 << 20;

/// How a needle is written where it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Byte by byte.
    Raw,
    Hex,
    Base64,
}

impl Form {
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Raw => "raw",
            Form::Hex => "hex",
            Form::Base64 => "base64",
        }
    }
}

struct Wanted {
    needle: usize,
    form: Form,
    bytes: Vec<u8>,
}

/// Finds any of many needles in one pass.
pub struct Searcher {
    automaton: AhoCorasick,
    /// By the automaton's number of their common start.
    wanted: Vec<Vec<Wanted>>,
    longest: usize,
}

impl Searcher {
    /// Prepares the search for needles; ids, keys and hashes also as text.
    pub fn new(needles: &[Needle]) -> Result<Searcher, BuildError> {
        let mut starts: BTreeMap<[u8; START], Vec<Wanted>> = BTreeMap::new();
        let mut longest = START;
        for (at, needle) in needles.iter().enumerate() {
            for (form, bytes) in forms(needle) {
                let Some(start) = bytes.first_chunk::<START>() else {
                    continue;
                };
                longest = longest.max(bytes.len());
                let same = starts.entry(*start).or_default();
                same.push(Wanted {
                    needle: at,
                    form,
                    bytes,
                });
            }
        }
        Ok(Searcher {
            automaton: AhoCorasick::new(starts.keys())?,
            wanted: starts.into_values().collect(),
            longest,
        })
    }

    /// Calls `each` with the offset, the needle's number and its form of all that is in `bytes`.
    pub fn bytes(&self, bytes: &[u8], mut each: impl FnMut(usize, usize, Form)) {
        for found in self.automaton.find_overlapping_iter(bytes) {
            let rest = &bytes[found.start()..];
            for wanted in &self.wanted[found.pattern().as_usize()] {
                if rest.starts_with(&wanted.bytes) {
                    each(found.start(), wanted.needle, wanted.form);
                }
            }
        }
    }

    /// Searches a file from its begin to its end, and tells how far it is; gives its length.
    pub fn file(
        &self,
        path: &Path,
        mut each: impl FnMut(u64, usize, Form),
        mut step: impl FnMut(u64),
    ) -> io::Result<u64> {
        let mut file = File::open(path)?;
        let mut window = Vec::with_capacity(BLOCK + self.longest);
        let mut begins_at = 0u64;
        loop {
            let read = file.by_ref().take(BLOCK as u64).read_to_end(&mut window)?;
            // What begins in the last bytes may go on in the next block: it is looked at then.
            let settled = match read {
                0 => window.len(),
                _ => window.len().saturating_sub(self.longest - 1),
            };
            self.bytes(&window, |offset, needle, form| {
                if offset < settled {
                    each(begins_at + offset as u64, needle, form);
                }
            });
            window.drain(..settled);
            begins_at += settled as u64;
            step(read as u64);
            if read == 0 {
                return Ok(begins_at);
            }
        }
    }
}

/// The ways in which a needle may be written.
fn forms(needle: &Needle) -> Vec<(Form, Vec<u8>)> {
    let raw = needle.bytes.clone();
    let digits = match needle.kind {
        Kind::EventId | Kind::KeyEvent | Kind::Lane => SHOWN_DIGITS,
        Kind::Signature
        | Kind::BodyHash
        | Kind::Commitment
        | Kind::Secret
        | Kind::SecretCommitment => 2 * START,
        Kind::Plaintext | Kind::Body | Kind::Chunk | Kind::Wrap => return vec![(Form::Raw, raw)],
    };
    let mut hex = comity_protocol::id::hex(&raw);
    hex.truncate(digits);
    // Whole groups of three bytes: what follows does not change them.
    let base64 = STANDARD.encode(&raw[..START]).into_bytes();
    let url = URL_SAFE.encode(&raw[..START]).into_bytes();
    let mut forms = vec![
        (Form::Raw, raw),
        (Form::Hex, hex.to_ascii_uppercase().into_bytes()),
    ];
    if hex.bytes().any(|digit| digit.is_ascii_alphabetic()) {
        forms.push((Form::Hex, hex.into_bytes()));
    }
    if url != base64 {
        forms.push((Form::Base64, url));
    }
    forms.push((Form::Base64, base64));
    forms
}

#[cfg(test)]
mod tests {
    use comity_protocol::id::{EventId, hex};

    use super::*;

    fn needle(kind: Kind, bytes: &[u8]) -> Needle {
        Needle {
            kind,
            bytes: bytes.to_vec(),
            event: EventId([0; 32]),
        }
    }

    fn found(searcher: &Searcher, bytes: &[u8]) -> Vec<(usize, usize, Form)> {
        let mut found = Vec::new();
        searcher.bytes(bytes, |offset, needle, form| {
            found.push((offset, needle, form))
        });
        found
    }

    #[test]
    fn an_id_is_found_as_bytes_in_digits_and_in_base64() {
        let id: [u8; 32] = std::array::from_fn(|at| 0xf0 ^ at as u8);
        let searcher = Searcher::new(&[needle(Kind::EventId, &id)]).unwrap();
        assert_eq!(
            found(&searcher, &[&[1, 2], &id[..]].concat()),
            [(2, 0, Form::Raw)]
        );
        let shown = format!("id {}.. ID {}", &hex(&id)[..12], hex(&id).to_uppercase());
        let forms: Vec<Form> = found(&searcher, shown.as_bytes())
            .iter()
            .map(|f| f.2)
            .collect();
        assert_eq!(forms, [Form::Hex, Form::Hex]);
        // By another implementation: 8PHy8/T19vf4+fr7/P3+/+Dh4uPk5ebn6Onq6+zt7u8=
        let text = b"8PHy8/T19vf4+fr7/P3+/+Dh4uPk5ebn6Onq6+zt7u8= 8PHy8_T19vf4-fr7";
        assert_eq!(
            found(&searcher, text),
            [(0, 0, Form::Base64), (45, 0, Form::Base64)]
        );
        assert_eq!(found(&searcher, &id[1..]), []);
    }

    #[test]
    fn needles_with_one_start_are_told_apart() {
        let searcher = Searcher::new(&[
            needle(Kind::Plaintext, b"between the two"),
            needle(Kind::Plaintext, b"between the three"),
        ]);
        let found = found(&searcher.unwrap(), b"It stays between the three of us.");
        assert_eq!(found, [(9, 1, Form::Raw)]);
    }

    #[test]
    fn a_file_is_searched_across_the_borders_of_its_blocks_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let wanted = b"a needle that lies across a border";
        let searcher = Searcher::new(&[needle(Kind::Plaintext, wanted)]).unwrap();
        let mut bytes = vec![b'.'; 3 * BLOCK + 100];
        let mut places = vec![
            0,
            BLOCK - 40,
            BLOCK - 1,
            2 * BLOCK - wanted.len(),
            2 * BLOCK,
        ];
        places.push(bytes.len() - wanted.len());
        for place in &places {
            bytes[*place..][..wanted.len()].copy_from_slice(wanted);
        }
        std::fs::write(&path, &bytes).unwrap();
        let mut found = Vec::new();
        let length = searcher.file(&path, |offset, _, _| found.push(offset as usize), |_| ());
        assert_eq!(length.unwrap(), bytes.len() as u64);
        assert_eq!(found, places);
    }
}
