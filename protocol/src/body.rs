//! The bodies of events, by kind: public ones, on which acceptance depends, and sealed ones,
//! which only readers can open.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use comity_crypto as crypto;

use crate::codec::{Canonical, Malformed};
use crate::event::{Label, UserName};
use crate::files::{FileKey, chunk_count};
use crate::id::{EventId, Hash, PartnerId, Signature, WriterId};
use crate::identity::{CertificateList, Identity, Name};
use crate::limits;

/// A partner's role in a channel; each may do what the lower ones may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum Role {
    /// Reads.
    Observer = 1,
    /// Posts.
    Contributor = 2,
    /// Invites, grants and removes below itself.
    Admin = 3,
    /// All of it; equals only by quorum.
    Owner = 4,
}

impl TryFrom<u8> for Role {
    type Error = Malformed;

    fn try_from(number: u8) -> Result<Role, Malformed> {
        [Role::Observer, Role::Contributor, Role::Admin, Role::Owner]
            .into_iter()
            .find(|role| *role as u8 == number)
            .ok_or(Malformed::Rule("not a role"))
    }
}

impl From<Role> for u8 {
    fn from(role: Role) -> u8 {
        role as u8
    }
}

/// The genesis of a channel ([`crate::event::Kind::Charter`]); the channel's id is the hash of its
/// bytes. Its author becomes the first owner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charter {
    /// The highest protocol version whose kinds are valid here.
    pub version: u8,
    pub suite: u8,
    pub name: Name,
    /// Makes the id unique.
    pub nonce: Hash,
    pub creator: Identity,
    /// The creator's X-Wing public key.
    pub sealing_key: ByteBuf,
    /// 1: a partner that joins reads what is posted from then on. 2: all history.
    pub history: u8,
    /// 1: final when every member has acknowledged. 2: crash-only majority.
    pub finality: u8,
    /// Owners needed for a quorum act; 0 for a majority.
    pub quorum: u8,
    pub label_policy: Option<String>,
    pub label_ceiling: Option<Label>,
    pub retention_days: Option<u32>,
    /// Bytes that a partner may write a day before others delay it; 0 for no budget.
    pub byte_budget: u64,
}

impl Canonical for Charter {
    const NAME: &'static str = "charter";
    const LIMIT: usize = limits::BODY_BYTES;

    fn check(&self) -> Result<(), Malformed> {
        rule(
            self.version == limits::VERSION,
            "a charter of an unknown version",
        )?;
        rule(
            self.suite == crypto::Suite::Default.id(),
            "a charter of an unknown suite",
        )?;
        rule(
            self.sealing_key.len() == crypto::SEALING_PUBLIC_LEN,
            "not a sealing key",
        )?;
        rule(
            crate::lane::History::from_number(self.history).is_some(),
            "an unknown history rule",
        )?;
        rule(matches!(self.finality, 1 | 2), "an unknown finality rule")?;
        rule(
            self.quorum as usize <= limits::PARTNERS,
            "a quorum of more than 64",
        )?;
        rule(
            self.label_policy
                .as_ref()
                .is_none_or(|policy| policy.len() <= 64),
            "a label policy's name over 64 bytes",
        )?;
        self.label_ceiling.as_ref().map_or(Ok(()), Label::check)
    }
}

/// Joins a channel that one was invited to ([`crate::event::Kind::Accept`]), or announces a new
/// sealing key ([`crate::event::Kind::SealingKey`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealingKeyBody {
    /// An X-Wing public key, 1,216 bytes.
    pub sealing_key: ByteBuf,
}

impl Canonical for SealingKeyBody {
    const NAME: &'static str = "sealing key body";
    const LIMIT: usize = 2 << 10;

    fn check(&self) -> Result<(), Malformed> {
        rule(
            self.sealing_key.len() == crypto::SEALING_PUBLIC_LEN,
            "not a sealing key",
        )
    }
}

/// Admits a partner ([`crate::event::Kind::Invite`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InviteBody {
    pub partner: Identity,
    pub role: Role,
    /// Endorsements of this proposal, where it needs a quorum: at most 64, sorted.
    pub endorsements: Vec<EventId>,
}

impl Canonical for InviteBody {
    const NAME: &'static str = "invitation";
    const LIMIT: usize = 8 << 10;

    fn check(&self) -> Result<(), Malformed> {
        check_endorsements(&self.endorsements)
    }
}

/// Changes a role ([`crate::event::Kind::Grant`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantBody {
    pub partner: PartnerId,
    pub role: Role,
    /// As in [`InviteBody`].
    pub endorsements: Vec<EventId>,
}

impl Canonical for GrantBody {
    const NAME: &'static str = "grant";
    const LIMIT: usize = 4 << 10;

    fn check(&self) -> Result<(), Malformed> {
        check_endorsements(&self.endorsements)
    }
}

/// Ends a membership ([`crate::event::Kind::Remove`], [`crate::event::Kind::Suspend`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveBody {
    pub partner: PartnerId,
    /// As in [`InviteBody`].
    pub endorsements: Vec<EventId>,
}

impl Canonical for RemoveBody {
    const NAME: &'static str = "removal";
    const LIMIT: usize = 4 << 10;

    fn check(&self) -> Result<(), Malformed> {
        check_endorsements(&self.endorsements)
    }
}

/// No content ([`crate::event::Kind::Leave`], [`crate::event::Kind::Merge`] and
/// [`crate::event::Kind::Cut`] say all they need in the header): an empty array.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyBody {}

impl Canonical for EmptyBody {
    const NAME: &'static str = "empty body";
    const LIMIT: usize = 1;
}

/// A proposal that an owner endorses ([`crate::event::Kind::Endorse`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndorseBody {
    /// As [`crate::authority::proposal`] makes it.
    pub proposal: Hash,
}

impl Canonical for EndorseBody {
    const NAME: &'static str = "endorsement";
    const LIMIT: usize = 64;
}

/// A lane epoch's secret for each of its readers ([`crate::event::Kind::Key`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyBody {
    /// The lane's readers, sorted, where the lane is directed; absent in open lanes, whose
    /// readers the control frontier names.
    pub audience: Option<Vec<PartnerId>>,
    /// The earlier parts of this key event, in the order of the log; absent in a part that is
    /// not the last.
    pub parts: Option<Vec<EventId>>,
    /// Commits to the secret.
    pub commitment: Hash,
    /// Sorted by partner.
    pub wraps: Vec<Wrap>,
}

/// The secret wrapped to one partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrap {
    pub partner: PartnerId,
    /// Which of the partner's sealing keys opens it.
    pub sealing_key: Hash,
    /// HPKE encapsulated key, ciphertext and tag, 1,168 bytes.
    pub sealed: ByteBuf,
}

impl Canonical for KeyBody {
    const NAME: &'static str = "key body";
    const LIMIT: usize = limits::BODY_BYTES;

    fn check(&self) -> Result<(), Malformed> {
        rule(
            (1..=limits::WRAPS).contains(&self.wraps.len()),
            "a key event has 1 to 32 wraps",
        )?;
        rule(
            self.wraps
                .windows(2)
                .all(|pair| pair[0].partner < pair[1].partner),
            "wraps are not sorted by partner",
        )?;
        rule(
            self.wraps
                .iter()
                .all(|wrap| wrap.sealed.len() == crypto::WRAP_LEN),
            "a wrap of another length",
        )?;
        let parts = self.parts.as_ref().map_or(0, Vec::len);
        rule(parts < limits::KEY_PARTS, "too many parts")?;
        let sorted = |list: &Vec<PartnerId>| {
            (1..=limits::PARTNERS).contains(&list.len())
                && list.windows(2).all(|pair| pair[0] < pair[1])
        };
        rule(
            self.audience.as_ref().is_none_or(sorted),
            "an audience is not sorted",
        )
    }
}

/// One of the author's own writers ([`crate::event::Kind::SeatMove`],
/// [`crate::event::Kind::WriterRetire`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriterBody {
    pub writer: WriterId,
}

impl Canonical for WriterBody {
    const NAME: &'static str = "writer body";
    const LIMIT: usize = 64;
}

/// Further writers of the author's ([`crate::event::Kind::WriterIntroduce`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificatesBody {
    pub identity: Identity,
}

impl Canonical for CertificatesBody {
    const NAME: &'static str = "certificates body";
    const LIMIT: usize = 8 << 10;
}

/// A partner's root gives its seat to another writer ([`crate::event::Kind::SeatTransfer`]);
/// carried by any member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatTransferBody {
    pub certificates: CertificateList,
    /// The new seat: a node of the list.
    pub seat: WriterId,
    /// A control event that stands, with its past, whoever carries the transfer: the last that
    /// the root trusts.
    pub after: EventId,
    /// As [`CertificateList::sign_seat_transfer`] makes it.
    pub root_signature: Signature,
}

impl Canonical for SeatTransferBody {
    const NAME: &'static str = "seat transfer";
    const LIMIT: usize = 8 << 10;
}

// Sealed bodies.

/// A message ([`crate::event::Kind::Post`], [`crate::event::Kind::Edit`]). Markdown, any Unicode, unaltered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageBody {
    pub message: String,
}

impl Canonical for MessageBody {
    const NAME: &'static str = "message";
    const LIMIT: usize = limits::BODY_BYTES;
}

/// A withdrawal ([`crate::event::Kind::Redact`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedactBody {
    /// For the readers; may be empty.
    pub reason: String,
}

impl Canonical for RedactBody {
    const NAME: &'static str = "redaction";
    const LIMIT: usize = limits::BODY_BYTES;
}

/// A reaction given or taken back ([`crate::event::Kind::React`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactBody {
    /// A short name or the character itself, 1 to 64 bytes.
    pub emoji: String,
    pub withdrawn: bool,
}

impl Canonical for ReactBody {
    const NAME: &'static str = "reaction";
    const LIMIT: usize = 128;

    fn check(&self) -> Result<(), Malformed> {
        rule(
            (1..=64).contains(&self.emoji.len()),
            "a reaction has 1 to 64 bytes",
        )
    }
}

/// A post is pinned or unpinned ([`crate::event::Kind::Pin`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinBody {
    pub withdrawn: bool,
}

impl Canonical for PinBody {
    const NAME: &'static str = "pin";
    const LIMIT: usize = 8;
}

/// How far a message came at a user ([`crate::event::Kind::Receipt`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptBody {
    /// 1 delivered, 2 read.
    pub state: u8,
}

impl Canonical for ReceiptBody {
    const NAME: &'static str = "receipt";
    const LIMIT: usize = 8;

    fn check(&self) -> Result<(), Malformed> {
        rule(matches!(self.state, 1 | 2), "a receipt's state is 1 or 2")
    }
}

/// A file ([`crate::event::Kind::File`]): what opens its chunks, and the hashes of their sealed
/// bytes, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileBody {
    /// For people: no path. 1 to 255 bytes.
    pub name: String,
    /// At most 127 bytes; may be empty.
    pub media_type: String,
    /// Bytes in all.
    pub size: u64,
    pub key: FileKey,
    pub chunks: Vec<Hash>,
}

impl Canonical for FileBody {
    const NAME: &'static str = "file body";
    const LIMIT: usize = limits::BODY_BYTES;

    fn check(&self) -> Result<(), Malformed> {
        rule(
            (1..=limits::FILE_NAME_BYTES).contains(&self.name.len()),
            "a file's name has 1 to 255 bytes",
        )?;
        rule(
            self.media_type.len() <= limits::MEDIA_TYPE_BYTES,
            "a media type has at most 127 bytes",
        )?;
        rule(self.size <= limits::FILE_BYTES, "a file of more than 1 GiB")?;
        rule(
            self.chunks.len() == chunk_count(self.size) as usize,
            "not as many chunks as the size says",
        )
    }
}

/// What a partner says of its own users in a channel ([`crate::event::Kind::Roster`]): of each the
/// last word counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterBody {
    /// Sorted by name, no name twice, 1 to 200.
    pub users: Vec<RosterUser>,
}

/// A user as its partner describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RosterUser {
    pub name: UserName,
    /// For people; at most 256 bytes, may be empty.
    pub display_name: String,
    /// Whether the user is in the channel, and active.
    pub present: bool,
}

impl Canonical for RosterBody {
    const NAME: &'static str = "roster";
    const LIMIT: usize = limits::BODY_BYTES;

    fn check(&self) -> Result<(), Malformed> {
        rule(
            (1..=limits::ROSTER_USERS).contains(&self.users.len()),
            "a roster has 1 to 200 users",
        )?;
        rule(
            self.users
                .windows(2)
                .all(|pair| pair[0].name < pair[1].name),
            "a roster's users are not sorted",
        )?;
        let short = |user: &RosterUser| user.display_name.len() <= limits::DISPLAY_NAME_BYTES;
        rule(
            self.users.iter().all(short),
            "a display name has at most 256 bytes",
        )
    }
}

fn rule(held: bool, text: &'static str) -> Result<(), Malformed> {
    if held {
        Ok(())
    } else {
        Err(Malformed::Rule(text))
    }
}

/// What acts that a quorum may carry list.
fn check_endorsements(endorsements: &[EventId]) -> Result<(), Malformed> {
    rule(
        endorsements.len() <= limits::ENDORSEMENTS,
        "too many endorsements",
    )?;
    rule(
        endorsements.windows(2).all(|pair| pair[0] < pair[1]),
        "endorsements are not sorted",
    )
}
