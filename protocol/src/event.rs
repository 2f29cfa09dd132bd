//! Events: a signed header and a body.
//!
//! The header is a MessagePack array of 19 elements; its SHA-256 under a tag is the event's id,
//! and the Ed25519 signature is over the id. The header commits to the body twice, to the bytes
//! that travel and, where the body is sealed, to the plaintext inside.

use comity_crypto as crypto;
use serde::{Deserialize, Serialize};

use crate::codec::{Canonical, Malformed, encode};
use crate::id::{ChannelId, EventId, Hash, LaneId, Signature, WriterId};
use crate::limits;

/// Domain tag of an event's id.
pub const TAG_EVENT: &str = "comity/v1/event";
/// Domain tag of an event's signature.
pub const TAG_EVENT_SIGNATURE: &str = "comity/v1/event-signature";

/// What is signed of an event, in the order in which it is encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The protocol version, [`limits::VERSION`].
    pub version: u8,
    /// The channel's suite ([`crypto::Suite`]).
    pub suite: u8,
    pub channel: ChannelId,
    pub lane: LaneId,
    pub writer: WriterId,
    /// The position in the writer's log of this lane, from 1.
    pub seq: u64,
    /// The event at `seq - 1` of the same log; absent at 1.
    pub prev: Option<EventId>,
    /// Heads of other logs newly seen since `prev`, sorted by their encoding.
    pub deps: Vec<Reference>,
    /// Control-lane heads newly seen since `prev`, sorted by their encoding; empty in the
    /// control lane itself, whose deps they are.
    pub control_heads: Vec<Reference>,
    /// What the author's node says the time is, Unix milliseconds; never trusted.
    pub claimed_ms: u64,
    /// A [`Kind`]'s number.
    pub kind: u8,
    /// A [`Precedence`]'s number.
    pub precedence: u8,
    /// The user for whom the node signs; absent where the node itself acts.
    pub author: Option<UserName>,
    /// The event that this one is about: a reply's parent, or the target of the others.
    pub about: Option<Reference>,
    pub label: Option<Label>,
    /// The last part of the key event whose secret seals the body; absent for public bodies.
    pub key_event: Option<EventId>,
    /// The length of the body as it travels, in bytes.
    pub body_len: u32,
    /// Commits to the plaintext; absent for public bodies.
    pub commitment: Option<Hash>,
    /// The hash of the body as it travels.
    pub body_hash: Hash,
}

impl Canonical for Header {
    const NAME: &'static str = "header";
    const LIMIT: usize = limits::HEADER_BYTES;

    fn check(&self) -> Result<(), Malformed> {
        let rule = |held: bool, text| {
            if held {
                Ok(())
            } else {
                Err(Malformed::Rule(text))
            }
        };
        rule(
            self.version == limits::VERSION,
            "a protocol version unknown here",
        )?;
        rule(
            self.suite == crypto::Suite::Default.id(),
            "a suite unknown here",
        )?;
        rule(self.seq >= 1, "positions count from 1")?;
        rule(
            (self.seq == 1) == self.prev.is_none(),
            "prev is absent at position 1 and there alone",
        )?;
        rule(self.deps.len() <= limits::DEPS, "too many deps")?;
        rule(
            self.control_heads.len() <= limits::CONTROL_HEADS,
            "too many control heads",
        )?;
        rule(sorted(&self.deps), "deps are not sorted")?;
        rule(sorted(&self.control_heads), "control heads are not sorted")?;
        rule(
            self.control_heads.iter().all(|head| head.lane.is_none()),
            "a control head names a lane",
        )?;
        rule(
            self.deps.iter().all(|dep| dep.lane != Some(self.lane)),
            "a dep names its own lane",
        )?;
        rule(
            Kind::from_number(self.kind).is_some(),
            "a kind unknown here",
        )?;
        rule(
            Precedence::from_number(self.precedence).is_some(),
            "a precedence unknown here",
        )?;
        rule(
            self.body_len as usize <= limits::BODY_BYTES,
            "a body over the limit",
        )?;
        rule(
            self.key_event.is_some() == self.commitment.is_some(),
            "a sealed body has a key event and a commitment",
        )?;
        rule(
            self.key_event.is_some() == self.kind().is_sealed(),
            "this kind's body is sealed, or must not be",
        )?;
        rule(
            self.author.is_some() == self.kind().names_author(),
            "this kind names its author, or must not",
        )?;
        rule(
            self.about
                .as_ref()
                .is_none_or(|about| about.lane != Some(self.lane)),
            "a reference names its own lane",
        )?;
        self.label.as_ref().map_or(Ok(()), Label::check)
    }
}

impl Header {
    /// The event's id: the hash of the header's canonical bytes.
    pub fn id(header_bytes: &[u8]) -> EventId {
        EventId(crypto::hash(TAG_EVENT, &[header_bytes]))
    }

    /// What a sealed body is bound to: the header's bytes without the encoding of their last
    /// field, the body hash (a `bin 8` of 32 bytes, 34 bytes in all).
    pub fn associated_data(header_bytes: &[u8]) -> &[u8] {
        &header_bytes[..header_bytes.len().saturating_sub(34)]
    }

    /// The kind; [`Canonical::check`] has seen that it is known.
    pub fn kind(&self) -> Kind {
        Kind::from_number(self.kind).unwrap_or(Kind::Charter)
    }

    /// The precedence; [`Canonical::check`] has seen that it is known.
    pub fn precedence(&self) -> Precedence {
        Precedence::from_number(self.precedence).unwrap_or(Precedence::Routine)
    }
}

fn sorted(references: &[Reference]) -> bool {
    references
        .windows(2)
        .all(|pair| encode(&pair[0]) < encode(&pair[1]))
}

/// Points at an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reference {
    /// Absent for the lane of the event that refers (among control heads: the control lane).
    pub lane: Option<LaneId>,
    pub writer: WriterId,
    pub seq: u64,
    pub id: EventId,
}

impl Reference {
    /// Sorts references as headers list them.
    pub fn sort(references: &mut [Reference]) {
        references.sort_by_cached_key(encode);
    }
}

/// What an event is. Numbers up to 31 are the control lane's; the closed table of
/// docs/protocol.md says for each what it refers to and who may author it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Kind {
    Charter = 1,
    Accept = 2,
    Invite = 3,
    Grant = 4,
    Remove = 5,
    Suspend = 6,
    Leave = 7,
    SealingKey = 8,
    Endorse = 9,
    SeatMove = 10,
    SeatTransfer = 11,
    WriterIntroduce = 12,
    WriterRetire = 13,
    Certificates = 14,
    Retention = 15,
    Merge = 16,
    Key = 32,
    Post = 33,
    Edit = 34,
    Redact = 35,
    React = 36,
    Pin = 37,
    Receipt = 38,
    File = 39,
    Roster = 40,
    Cut = 41,
    Ack = 42,
    Floor = 43,
    Evidence = 44,
}

impl Kind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Kind; 29] = [
        Kind::Charter,
        Kind::Accept,
        Kind::Invite,
        Kind::Grant,
        Kind::Remove,
        Kind::Suspend,
        Kind::Leave,
        Kind::SealingKey,
        Kind::Endorse,
        Kind::SeatMove,
        Kind::SeatTransfer,
        Kind::WriterIntroduce,
        Kind::WriterRetire,
        Kind::Certificates,
        Kind::Retention,
        Kind::Merge,
        Kind::Key,
        Kind::Post,
        Kind::Edit,
        Kind::Redact,
        Kind::React,
        Kind::Pin,
        Kind::Receipt,
        Kind::File,
        Kind::Roster,
        Kind::Cut,
        Kind::Ack,
        Kind::Floor,
        Kind::Evidence,
    ];

    pub fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    pub fn number(self) -> u8 {
        self as u8
    }

    /// Whether a channel of protocol version 1 knows the kind. The others have their numbers
    /// and forms fixed, and are invalid for everyone until a charter of a version that knows
    /// them.
    pub fn in_version_1(self) -> bool {
        !matches!(self, Kind::Certificates | Kind::Retention)
    }

    /// Whether the event is an act of the control lane.
    pub fn is_control_act(self) -> bool {
        self <= Kind::Merge
    }

    /// Whether the event may stand in the control lane, or in another one. Evidence stands where
    /// the fork is, an ack in the lane that it acknowledges, a floor in the lane of its barrier.
    pub fn belongs_in(self, control_lane: bool) -> bool {
        matches!(self, Kind::Evidence | Kind::Ack | Kind::Floor)
            || self.is_control_act() == control_lane
    }

    /// Whether the body is sealed; the others' bodies are public, as acceptance needs them.
    pub fn is_sealed(self) -> bool {
        matches!(
            self,
            Kind::Post
                | Kind::Edit
                | Kind::Redact
                | Kind::React
                | Kind::Pin
                | Kind::Receipt
                | Kind::File
                | Kind::Roster
        )
    }

    /// Whether the event acts for a user, whom it must name.
    pub fn names_author(self) -> bool {
        matches!(
            self,
            Kind::Post
                | Kind::Edit
                | Kind::Redact
                | Kind::React
                | Kind::Pin
                | Kind::Receipt
                | Kind::File
        )
    }
}

/// How urgent a message is (ACP 127); it orders what is sent first and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Precedence {
    #[default]
    Routine = 0,
    Priority = 1,
    Immediate = 2,
    Flash = 3,
}

impl Precedence {
    pub fn from_number(number: u8) -> Option<Precedence> {
        [
            Precedence::Routine,
            Precedence::Priority,
            Precedence::Immediate,
            Precedence::Flash,
        ]
        .into_iter()
        .find(|precedence| *precedence as u8 == number)
    }
}

/// A user's name at the home partner: 1 to 64 bytes of UTF-8, without blanks, ASCII control
/// characters, `@` or `:`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(String);

impl UserName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UserName {
    type Error = Malformed;

    fn try_from(name: String) -> Result<Self, Malformed> {
        let legal = |byte: u8| byte > 0x20 && byte != 0x7f && byte != b'@' && byte != b':';
        if name.is_empty() || name.len() > limits::USER_NAME_BYTES || !name.bytes().all(legal) {
            return Err(Malformed::Rule("not a user name"));
        }
        Ok(UserName(name))
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> String {
        name.0
    }
}

/// A confidentiality label in the shape of STANAG 4774.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    pub policy: String,
    pub classification: String,
    pub categories: Vec<Category>,
    pub originator: String,
    /// Unix milliseconds.
    pub created_ms: u64,
}

/// One tag of a label: 1 restrictive, 2 permissive, 3 informative.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    pub tag: String,
    pub form: u8,
    pub values: Vec<String>,
}

impl Label {
    /// Whether whoever may read what bears this label may read what bears `other`: the same
    /// policy and classification, at least its restrictive values, at most its permissive ones.
    /// Without the policy no two classifications can be ranked.
    pub fn dominates(&self, other: &Label) -> bool {
        const RESTRICTIVE: u8 = 1;
        const PERMISSIVE: u8 = 2;
        let counterpart = |theirs: &Category| {
            let mut own = self.categories.iter();
            own.find(|own| own.tag == theirs.tag && own.form == theirs.form)
        };
        let holds = |theirs: &Category| match (theirs.form, counterpart(theirs)) {
            (RESTRICTIVE, own) => {
                let values = own.map_or(&[][..], |own| &own.values);
                theirs.values.iter().all(|value| values.contains(value))
            }
            (PERMISSIVE, Some(own)) => {
                let narrower = own.values.iter().all(|value| theirs.values.contains(value));
                narrower && !own.values.is_empty()
            }
            (PERMISSIVE, None) => false,
            _ => true,
        };
        self.policy == other.policy
            && self.classification == other.classification
            && other.categories.iter().all(holds)
    }

    const STRING_BYTES: usize = 64;
    const CATEGORIES: usize = 16;
    const VALUES: usize = 64;

    /// Whether it is within the limits: no text over 64 bytes, at most 16 categories of 64 sorted
    /// values.
    pub fn check(&self) -> Result<(), Malformed> {
        let short = |text: &String| text.len() <= Self::STRING_BYTES;
        let category = |category: &Category| {
            short(&category.tag)
                && (1..=3).contains(&category.form)
                && category.values.len() <= Self::VALUES
                && category.values.iter().all(short)
                && category.values.is_sorted()
        };
        let held = [&self.policy, &self.classification, &self.originator]
            .into_iter()
            .all(short)
            && self.categories.len() <= Self::CATEGORIES
            && self.categories.iter().all(category);
        if held {
            Ok(())
        } else {
            Err(Malformed::Rule("not a label"))
        }
    }
}

/// An event whose bytes are canonical, whose body fits its header, and whose signature may or
/// may not have been verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub header: Header,
    /// The header's canonical bytes: what is hashed, stored and forwarded.
    pub header_bytes: Vec<u8>,
    pub signature: Signature,
    /// The body as it travels.
    pub body: Vec<u8>,
}

impl Event {
    /// Reads an event from its parts and checks all that can be checked without context and
    /// without the signature.
    pub fn from_parts(
        header_bytes: Vec<u8>,
        signature: Signature,
        body: Vec<u8>,
    ) -> Result<Event, Malformed> {
        let header = Header::from_bytes(&header_bytes)?;
        Event::assemble(header, header_bytes, signature, body)
    }

    /// As [`Event::from_parts`], for a header that was put together here.
    pub fn from_header(
        header: Header,
        signature: Signature,
        body: Vec<u8>,
    ) -> Result<Event, Malformed> {
        header.check()?;
        let header_bytes = header.to_bytes();
        if header_bytes.len() > limits::HEADER_BYTES {
            return Err(Malformed::TooLong {
                len: header_bytes.len(),
                limit: limits::HEADER_BYTES,
            });
        }
        Event::assemble(header, header_bytes, signature, body)
    }

    fn assemble(
        header: Header,
        header_bytes: Vec<u8>,
        signature: Signature,
        body: Vec<u8>,
    ) -> Result<Event, Malformed> {
        if body.len() != header.body_len as usize {
            return Err(Malformed::Rule("the body's length is not the header's"));
        }
        if crypto::body_hash(&body) != header.body_hash.0 {
            return Err(Malformed::Rule("the body's hash is not the header's"));
        }
        Ok(Event {
            id: Header::id(&header_bytes),
            header,
            header_bytes,
            signature,
            body,
        })
    }

    /// Signs a header and its body.
    pub fn sign(
        header: Header,
        body: Vec<u8>,
        key: &crypto::SigningKey,
    ) -> Result<Event, Malformed> {
        let header_bytes = header.to_bytes();
        let id = Header::id(&header_bytes);
        let signature = Signature(key.sign(TAG_EVENT_SIGNATURE, &id.0));
        Event::from_header(header, signature, body)
    }

    /// Verifies the signature, strictly.
    pub fn verify(&self, key: &crypto::PublicKey) -> Result<(), crypto::SignatureError> {
        key.verify(TAG_EVENT_SIGNATURE, &self.id.0, &self.signature.0)
    }

    /// What the event weighs in memory and quotas, in bytes.
    pub fn weight(&self) -> usize {
        // Twice the header: its bytes and its parsed form.
        2 * self.header_bytes.len() + self.body.len() + 256
    }

    /// A reference to this event as an event of `lane` writes it.
    pub fn reference_from(&self, lane: LaneId) -> Reference {
        Reference {
            lane: (self.header.lane != lane).then_some(self.header.lane),
            writer: self.header.writer,
            seq: self.header.seq,
            id: self.id,
        }
    }
}
