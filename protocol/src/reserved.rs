//! Bodies of kinds whose form is fixed now and which no channel of version 1 accepts.

use serde::{Deserialize, Serialize};

use crate::codec::Canonical;
use crate::event::UserName;
use crate::id::{Signature, WriterId};
use crate::identity::{CertificateList, Identity};
use crate::limits;

/// The seat goes to another of the partner's writers ([`crate::event::Kind::SeatMove`]), or a
/// writer is retired ([`crate::event::Kind::WriterRetire`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterBody {
    pub writer: WriterId,
}

/// A further writer of the partner ([`crate::event::Kind::WriterIntroduce`]), or a newer list
/// ([`crate::event::Kind::Certificates`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatesBody {
    pub identity: Identity,
}

/// The root gives the seat to another writer ([`crate::event::Kind::SeatTransfer`]); carried by
/// any member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatTransferBody {
    pub certificates: CertificateList,
    pub seat: WriterId,
    pub root_signature: Signature,
}

/// Own data is kept for fewer days ([`crate::event::Kind::Retention`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionBody {
    pub days: u32,
}

/// A message is pinned or unpinned ([`crate::event::Kind::Pin`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinBody {
    pub withdrawn: bool,
}

/// How far a message came at a user ([`crate::event::Kind::Receipt`]): 1 delivered, 2 read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptBody {
    pub state: u8,
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

macro_rules! body {
    ($($name:ident, $text:literal, $limit:expr;)*) => {
        $(impl Canonical for $name {
            const NAME: &'static str = $text;
            const LIMIT: usize = $limit;
        })*
    };
}

body! {
    WriterBody, "writer body", 64;
    CertificatesBody, "certificates body", 8 << 10;
    SeatTransferBody, "seat transfer", 8 << 10;
    RetentionBody, "retention body", 16;
    PinBody, "pin", 8;
    ReceiptBody, "receipt", 8;
    RosterBody, "roster", limits::BODY_BYTES;
}
