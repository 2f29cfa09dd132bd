//! The invented conversation that `comity demo` plays when it is given no other.

use crate::cli::import::Source;

/// The sample, in the same format as any other import.
pub fn source() -> Source {
    Source::Embedded {
        name: "the sample",
        text: include_str!("sample.jsonl"),
    }
}
