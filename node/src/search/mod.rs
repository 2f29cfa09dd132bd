//! Full-text search for a node's own users: an inverted index in memory.
//!
//! The node feeds it each post as it is read, edited or withdrawn, and all of them when it starts:
//! nothing of it is on disk, where everything is sealed. It reads no clock and does no I/O.
//! Identical histories give identical answers.
//!
//! Phrases, and what is written without blanks, are found by the places of words, which are in the
//! index. That costs about a byte for each word of a post. To look into the texts of all candidates
//! instead would cost no memory, but they would have to be unsealed for each search, so only the
//! newest could be looked at, and the number of all would be unknown; and `CVE-2026-1234` would
//! have to be a word of its own beside its parts, which in real chat costs more than the places.
//!
//! There is no stemming (`wor*` finds the forms of a word), no ranking (newest first), and no list
//! of words too common to be searched for.
//!
//! - `words`: cuts text into pieces.
//! - `query`: reads what people type.
//! - `lists`: in which texts a word is, and where.
//! - `matching`: which texts a query means.
//! - `index`: the posts, who may read them, and what is found.

mod index;
mod lists;
mod matching;
mod query;
#[cfg(test)]
mod tests;
mod words;

pub use index::{Document, Found, Full, Index, Names};
pub use query::{Modifier, Options, Query, QueryError};
