//! Bodies of kinds whose form is fixed now and which no channel of version 1 accepts.

use serde::{Deserialize, Serialize};

use crate::codec::Canonical;
use crate::event::UserName;
use crate::id::Hash;
use crate::limits;

/// Own data is kept for fewer days ([`crate::event::Kind::Retention`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionBody {
    pub days: u32,
}

/// The partner's users in the channel ([`crate::event::Kind::Roster`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterBody {
    pub users: Vec<RosterUser>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterUser {
    pub name: UserName,
    pub display_name: String,
    pub present: bool,
}

impl Canonical for RetentionBody {
    const NAME: &'static str = "retention body";
    const LIMIT: usize = 16;
}

impl Canonical for RosterBody {
    const NAME: &'static str = "roster";
    const LIMIT: usize = limits::BODY_BYTES;
}

/// Where a lane's headers end ([`crate::event::Kind::Floor`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FloorBody {
    /// The number of the barrier under which headers may go.
    pub barrier: u64,
    pub state: Hash,
}

impl Canonical for FloorBody {
    const NAME: &'static str = "floor";
    const LIMIT: usize = 64;
}
