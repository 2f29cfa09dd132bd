//! Finality: numbered acknowledgements, the barriers that they certify, and which of these stand.
//!
//! Each partner acknowledges what it holds of a lane by acks of its seat. What all of a set
//! acknowledge alike becomes a barrier; a barrier stands once all of a set have said that they know
//! it certified. What a standing barrier holds, no event changes any more. All of it follows from
//! the pasts of events: an ack is judged by its own, a node's state by all that it holds. The rules
//! were searched for counterexamples as a model before they were built
//! (docs/decisions/0018-finality-modelled.md).

mod barrier;
mod judge;
mod past;
mod settle;

use serde::{Deserialize, Serialize};

use crate::codec::Canonical;
use crate::id::Hash;

#[cfg(test)]
pub(crate) use barrier::STEPS;
pub(crate) use barrier::{CertIx, Finality, LaneFacts, Quorum};
pub(crate) use judge::Ack;
pub(crate) use past::Past;
pub(crate) use settle::Settled;
pub use settle::{Floor, Standing};

/// Domain tag of a barrier's digest.
pub const TAG_BARRIER: &str = "comity/v1/barrier";
/// Domain tag of a barrier's history.
pub const TAG_HISTORY: &str = "comity/v1/history";

/// An acknowledgement ([`crate::event::Kind::Ack`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckBody {
    /// From 1 on.
    pub number: u64,
    /// The digest of its base; zero where there is none.
    pub base: Hash,
}

impl Canonical for AckBody {
    const NAME: &'static str = "acknowledgement";
    const LIMIT: usize = 64;
}

/// What a barrier comes to by what its author holds ([`crate::event::Kind::Floor`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloorBody {
    /// The number of the barrier.
    pub barrier: u64,
    /// Its history.
    pub history: Hash,
}

impl Canonical for FloorBody {
    const NAME: &'static str = "floor";
    const LIMIT: usize = 64;
}

/// What stands in place of the digest of a base where there is none.
pub(crate) const NO_BASE: Hash = Hash([0; 32]);
