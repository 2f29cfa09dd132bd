//! Frames between nodes.
//!
//! A frame is one byte for its type and the canonical MessagePack of its contents. Events travel
//! packed: what the receiver can reconstruct (channel, lane, writer, position, prev, key event,
//! lengths and hashes) does not travel. The header's bytes are put together again, and since the
//! signature is over their hash, a wrong reconstruction is a wrong signature.

use std::collections::BTreeMap;

use comity_crypto as crypto;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::codec::{Canonical, Malformed, encode};
use crate::event::{Event, Header, Kind, Label, Reference, UserName};
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId, Signature, WriterId};
use crate::limits;

/// Domain tag of a lane's heads digest.
pub const TAG_HEADS: &str = "comity/v1/heads";

/// Names a log.
pub type LogId = (ChannelId, LaneId, WriterId);

/// What one node tells another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Hello(Hello),
    Have(Have),
    AskHeads(AskHeads),
    Heads(Heads),
    Want(Want),
    Events(Events),
    RangeEnd(RangeEnd),
    Refused(Refused),
    Lane(ShowLane),
    AskKeys(AskKeys),
    Keys(Keys),
    AskPiece(AskPiece),
    Piece(Piece),
    Ephemeral(Ephemeral),
}

/// The first frame of a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The highest protocol version of the sender.
    pub version: u8,
    /// Which partner the sender takes itself for; must be the one whose key the link pinned.
    pub partner: PartnerId,
}

/// One digest per lane that the receiver may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    pub lanes: Vec<HaveLane>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HaveLane {
    pub channel: ChannelId,
    pub lane: LaneId,
    /// [`heads_digest`].
    pub digest: Hash,
}

/// Asks for the heads of a lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskHeads {
    pub channel: ChannelId,
    pub lane: LaneId,
}

/// Heads of logs of one lane: all of them in an answer, some in an advert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    pub channel: ChannelId,
    pub lane: LaneId,
    /// Whether these are all the lane's logs.
    pub all: bool,
    /// Sorted; a forked log has a head per accepted branch.
    pub logs: Vec<Head>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Head {
    pub writer: WriterId,
    pub seq: u64,
    pub id: EventId,
}

/// Asks for the events of one log from `from` to `to`, both included. The answer is a number of
/// [`Events`] on the backfill stream and then a [`RangeEnd`], or [`Refused`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Want {
    pub channel: ChannelId,
    pub lane: LaneId,
    pub writer: WriterId,
    pub from: u64,
    pub to: u64,
}

/// Packed events, in the order in which they are to be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    pub events: Vec<PackedEvent>,
}

/// A range was sent as far as `to`, which may be more or less than was wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeEnd {
    pub channel: ChannelId,
    pub lane: LaneId,
    pub writer: WriterId,
    pub to: u64,
}

/// A lane that is not here or that the asker may not read: the answer is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub channel: ChannelId,
    pub lane: LaneId,
    /// 1: no such lane for you. 2: later, ask again.
    pub reason: u8,
}

/// Shows that the sender reads a lane: the lane's id is the hash of what is named here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowLane {
    pub channel: ChannelId,
    /// 2: open. 3: directed.
    pub form: u8,
    /// Sorted, 1 to 64.
    pub audience: Vec<PartnerId>,
}

impl Canonical for ShowLane {
    const NAME: &'static str = "lane frame";
    const LIMIT: usize = 4 << 10;

    fn check(&self) -> Result<(), Malformed> {
        let ascending = self.audience.windows(2).all(|pair| pair[0] < pair[1]);
        let known = crate::lane::LaneForm::from_number(self.form).is_some();
        if known && ascending && (1..=limits::PARTNERS).contains(&self.audience.len()) {
            Ok(())
        } else {
            Err(Malformed::Rule("not a lane with its audience"))
        }
    }
}

/// Asks for the secrets of epochs that the asker could not open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskKeys {
    pub channel: ChannelId,
    pub lane: LaneId,
    /// The key events' ids, sorted, 1 to 32.
    pub key_events: Vec<EventId>,
}

impl Canonical for AskKeys {
    const NAME: &'static str = "ask-keys frame";
    const LIMIT: usize = 2 << 10;

    fn check(&self) -> Result<(), Malformed> {
        let ascending = self.key_events.windows(2).all(|pair| pair[0] < pair[1]);
        if ascending && (1..=limits::KEYS_PER_FRAME).contains(&self.key_events.len()) {
            Ok(())
        } else {
            Err(Malformed::Rule(
                "key events that are not sorted, or too many",
            ))
        }
    }
}

/// Gives the secrets that are held of those asked for, each sealed to the asker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    pub channel: ChannelId,
    pub lane: LaneId,
    /// Which of the asker's sealing keys opens them.
    pub sealing_key: Hash,
    /// Sorted by key event, at most 32.
    pub keys: Vec<GivenKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenKey {
    pub key_event: EventId,
    /// HPKE encapsulated key, ciphertext and tag, 1,168 bytes.
    pub sealed: ByteBuf,
}

impl Canonical for Keys {
    const NAME: &'static str = "keys frame";
    const LIMIT: usize = 64 << 10;

    fn check(&self) -> Result<(), Malformed> {
        let ascending = self
            .keys
            .windows(2)
            .all(|pair| pair[0].key_event < pair[1].key_event);
        let whole = |key: &GivenKey| key.sealed.len() == crypto::WRAP_LEN;
        if ascending && self.keys.len() <= limits::KEYS_PER_FRAME && self.keys.iter().all(whole) {
            Ok(())
        } else {
            Err(Malformed::Rule("keys that are not sorted, or too many"))
        }
    }
}

/// Asks for a part of a sealed chunk of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskPiece {
    pub channel: ChannelId,
    pub lane: LaneId,
    /// The file reference's id.
    pub file: EventId,
    /// The chunk's number, from 0.
    pub chunk: u32,
    /// Where in the sealed chunk the piece begins: a multiple of [`limits::PIECE_BYTES`].
    pub offset: u32,
}

impl Canonical for AskPiece {
    const NAME: &'static str = "ask-piece frame";
    const LIMIT: usize = 192;

    fn check(&self) -> Result<(), Malformed> {
        check_place(self.chunk, self.offset)
    }
}

/// The answer to [`AskPiece`]: the bytes from the offset on, as many as a piece has or the chunk
/// still has. None: nothing for the asker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    pub channel: ChannelId,
    pub lane: LaneId,
    pub file: EventId,
    pub chunk: u32,
    pub offset: u32,
    pub bytes: ByteBuf,
}

impl Piece {
    /// Answers a question with these bytes.
    pub fn answer(ask: &AskPiece, bytes: Vec<u8>) -> Piece {
        Piece {
            channel: ask.channel,
            lane: ask.lane,
            file: ask.file,
            chunk: ask.chunk,
            offset: ask.offset,
            bytes: ByteBuf::from(bytes),
        }
    }
}

impl Canonical for Piece {
    const NAME: &'static str = "piece frame";
    const LIMIT: usize = limits::PIECE_BYTES + 192;

    fn check(&self) -> Result<(), Malformed> {
        check_place(self.chunk, self.offset)?;
        if self.bytes.len() <= limits::PIECE_BYTES {
            Ok(())
        } else {
            Err(Malformed::Rule("a piece over the limit"))
        }
    }
}

fn check_place(chunk: u32, offset: u32) -> Result<(), Malformed> {
    let (chunk, offset) = (chunk as usize, offset as usize);
    let begins_a_piece =
        offset < limits::SEALED_CHUNK_BYTES && offset.is_multiple_of(limits::PIECE_BYTES);
    if chunk < limits::CHUNKS && begins_a_piece {
        Ok(())
    } else {
        Err(Malformed::Rule("not the place of a piece"))
    }
}

/// What the sender's users do just now: outside of all logs, stored by nobody, handed on by nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ephemeral {
    pub channel: ChannelId,
    /// 1 to 256.
    pub signs: Vec<Sign>,
}

/// What one user does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sign {
    pub user: UserName,
    /// An [`Activity`]'s number.
    pub activity: u8,
    /// Of typing: the first post of the thread, if it is in one.
    pub root: Option<EventId>,
}

/// What a user does, or whether the user is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Activity {
    Typing = 1,
    Online = 2,
    Away = 3,
    DoNotDisturb = 4,
    Offline = 5,
}

impl Activity {
    pub fn from_number(number: u8) -> Option<Activity> {
        [
            Activity::Typing,
            Activity::Online,
            Activity::Away,
            Activity::DoNotDisturb,
            Activity::Offline,
        ]
        .into_iter()
        .find(|activity| *activity as u8 == number)
    }
}

impl Sign {
    /// What it says; [`Canonical::check`] has seen that it is known.
    pub fn activity(&self) -> Activity {
        Activity::from_number(self.activity).unwrap_or(Activity::Offline)
    }
}

impl Canonical for Ephemeral {
    const NAME: &'static str = "ephemeral frame";
    const LIMIT: usize = 32 << 10;

    fn check(&self) -> Result<(), Malformed> {
        let legal = |sign: &Sign| {
            let activity = Activity::from_number(sign.activity);
            activity.is_some() && (sign.root.is_none() || activity == Some(Activity::Typing))
        };
        let few = (1..=limits::EPHEMERAL_PER_FRAME).contains(&self.signs.len());
        if few && self.signs.iter().all(legal) {
            Ok(())
        } else {
            Err(Malformed::Rule("no signs of users, or too many"))
        }
    }
}

/// No such lane for the asker.
pub const REFUSED_NO_SUCH_LANE: u8 = 1;
/// A quota; ask again later.
pub const REFUSED_LATER: u8 = 2;

/// An event without what the stream's context says already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedEvent {
    /// The number under which this stream knows the log.
    pub log: u32,
    /// Present when the number is used for the first time or anew, or the log's position jumps.
    pub start: Option<LogStart>,
    pub signature: Signature,
    /// With `start` the claimed time, else its difference to that of the event before, as
    /// `zigzag` writes it.
    pub claimed: u64,
    pub kind: u8,
    pub precedence: u8,
    pub author: Option<UserName>,
    pub deps: Vec<Reference>,
    pub control_heads: Vec<Reference>,
    pub about: Option<Reference>,
    pub label: Option<Label>,
    /// Absent, for a sealed body, when it is the key event last seen on this log and stream.
    pub key_event: Option<EventId>,
    pub commitment: Option<Hash>,
    pub body: ByteBuf,
}

/// Opens or moves a log's context on a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStart {
    pub channel: ChannelId,
    pub lane: LaneId,
    pub writer: WriterId,
    /// The position of the event that carries this.
    pub seq: u64,
    pub prev: Option<EventId>,
}

macro_rules! frame_payload {
    ($($name:ident, $text:literal, $limit:expr;)*) => {
        $(impl Canonical for $name {
            const NAME: &'static str = $text;
            const LIMIT: usize = $limit;
        })*
    };
}

frame_payload! {
    Hello, "hello frame", 64;
    AskHeads, "ask-heads frame", 128;
    Want, "want frame", 192;
    RangeEnd, "range-end frame", 192;
    Refused, "refused frame", 128;
}

impl Canonical for Events {
    const NAME: &'static str = "events frame";
    const LIMIT: usize = limits::FRAME_BYTES;

    fn check(&self) -> Result<(), Malformed> {
        if self.events.len() <= limits::EVENTS_PER_FRAME {
            Ok(())
        } else {
            Err(Malformed::Rule("too many events in a frame"))
        }
    }
}

impl Canonical for Have {
    const NAME: &'static str = "have frame";
    const LIMIT: usize = limits::FRAME_BYTES;

    fn check(&self) -> Result<(), Malformed> {
        let ascending = self
            .lanes
            .windows(2)
            .all(|pair| (pair[0].channel, pair[0].lane) < (pair[1].channel, pair[1].lane));
        if ascending && self.lanes.len() <= limits::HAVE_LANES {
            Ok(())
        } else {
            Err(Malformed::Rule("lanes that are not sorted, or too many"))
        }
    }
}

impl Canonical for Heads {
    const NAME: &'static str = "heads frame";
    const LIMIT: usize = limits::FRAME_BYTES;

    fn check(&self) -> Result<(), Malformed> {
        if self.logs.windows(2).all(|pair| pair[0] < pair[1]) {
            Ok(())
        } else {
            Err(Malformed::Rule("heads that are not sorted"))
        }
    }
}

impl Frame {
    /// The frame's bytes: its type and its contents.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (number, contents) = match self {
            Frame::Hello(contents) => (1, contents.to_bytes()),
            Frame::Have(contents) => (2, contents.to_bytes()),
            Frame::AskHeads(contents) => (3, contents.to_bytes()),
            Frame::Heads(contents) => (4, contents.to_bytes()),
            Frame::Want(contents) => (5, contents.to_bytes()),
            Frame::Events(contents) => (6, contents.to_bytes()),
            Frame::RangeEnd(contents) => (7, contents.to_bytes()),
            Frame::Refused(contents) => (8, contents.to_bytes()),
            Frame::Lane(contents) => (9, contents.to_bytes()),
            Frame::AskKeys(contents) => (10, contents.to_bytes()),
            Frame::Keys(contents) => (11, contents.to_bytes()),
            Frame::AskPiece(contents) => (12, contents.to_bytes()),
            Frame::Piece(contents) => (13, contents.to_bytes()),
            Frame::Ephemeral(contents) => (14, contents.to_bytes()),
        };
        let mut bytes = Vec::with_capacity(contents.len() + 1);
        bytes.push(number);
        bytes.extend_from_slice(&contents);
        bytes
    }

    /// Reads a frame.
    pub fn from_bytes(bytes: &[u8]) -> Result<Frame, Malformed> {
        let (number, contents) = bytes
            .split_first()
            .ok_or(Malformed::Undecodable { expected: "frame" })?;
        Ok(match number {
            1 => Frame::Hello(Hello::from_bytes(contents)?),
            2 => Frame::Have(Have::from_bytes(contents)?),
            3 => Frame::AskHeads(AskHeads::from_bytes(contents)?),
            4 => Frame::Heads(Heads::from_bytes(contents)?),
            5 => Frame::Want(Want::from_bytes(contents)?),
            6 => Frame::Events(Events::from_bytes(contents)?),
            7 => Frame::RangeEnd(RangeEnd::from_bytes(contents)?),
            8 => Frame::Refused(Refused::from_bytes(contents)?),
            9 => Frame::Lane(ShowLane::from_bytes(contents)?),
            10 => Frame::AskKeys(AskKeys::from_bytes(contents)?),
            11 => Frame::Keys(Keys::from_bytes(contents)?),
            12 => Frame::AskPiece(AskPiece::from_bytes(contents)?),
            13 => Frame::Piece(Piece::from_bytes(contents)?),
            14 => Frame::Ephemeral(Ephemeral::from_bytes(contents)?),
            _ => {
                return Err(Malformed::Undecodable {
                    expected: "frame of a known type",
                });
            }
        })
    }
}

/// The digest of a lane's heads: the hash of the sorted [`Head`]s' encoding.
pub fn heads_digest(heads: &[Head]) -> Hash {
    Hash(crypto::hash(TAG_HEADS, &[&encode(heads)]))
}

/// What both ends of a stream know of a log after the same events.
#[derive(Debug, Clone)]
struct Context {
    log: LogId,
    seq: u64,
    id: EventId,
    claimed_ms: u64,
    key_event: Option<EventId>,
}

impl Context {
    fn after(log: LogId, event: &Event, key_event: Option<EventId>) -> Context {
        let key_event = if event.header.kind() == Kind::Key {
            Some(event.id)
        } else {
            key_event
        };
        Context {
            log,
            seq: event.header.seq,
            id: event.id,
            claimed_ms: event.header.claimed_ms,
            key_event,
        }
    }
}

/// A claimed time by its difference to the one before: small differences, forwards or back, make
/// small numbers. The difference is taken modulo 2⁶⁴, so that every time has exactly one form.
fn zigzag(time: u64, before: u64) -> u64 {
    let difference = time.wrapping_sub(before).cast_signed();
    ((difference << 1) ^ (difference >> 63)).cast_unsigned()
}

fn unzigzag(number: u64, before: u64) -> u64 {
    let sign = (number & 1).cast_signed().wrapping_neg().cast_unsigned();
    before.wrapping_add((number >> 1) ^ sign)
}

/// The sending end of one stream.
#[derive(Debug, Default)]
pub struct Packer {
    numbers: BTreeMap<LogId, u32>,
    contexts: Vec<Context>,
    next: u32,
}

impl Packer {
    pub fn pack(&mut self, event: &Event) -> PackedEvent {
        let header = &event.header;
        let log = (header.channel, header.lane, header.writer);
        let number = self.number(log);
        let context = self
            .contexts
            .get(number as usize)
            .filter(|context| context.log == log)
            .cloned();
        let follows = context.as_ref().is_some_and(|context| {
            context.seq + 1 == header.seq && Some(context.id) == header.prev
        });
        let context = context.filter(|_| follows);
        let before_ms = context.as_ref().map(|context| context.claimed_ms);
        let known_key = context.and_then(|context| context.key_event);
        let start = (!follows).then_some(LogStart {
            channel: header.channel,
            lane: header.lane,
            writer: header.writer,
            seq: header.seq,
            prev: header.prev,
        });
        self.remember(
            number,
            Context::after(log, event, header.key_event.or(known_key)),
        );
        PackedEvent {
            log: number,
            start,
            signature: event.signature,
            claimed: before_ms.map_or(header.claimed_ms, |before| {
                zigzag(header.claimed_ms, before)
            }),
            kind: header.kind,
            precedence: header.precedence,
            author: header.author.clone(),
            deps: header.deps.clone(),
            control_heads: header.control_heads.clone(),
            about: header.about.clone(),
            label: header.label.clone(),
            key_event: header
                .key_event
                .filter(|key_event| known_key != Some(*key_event)),
            commitment: header.commitment,
            body: ByteBuf::from(event.body.clone()),
        }
    }

    fn number(&mut self, log: LogId) -> u32 {
        if let Some(number) = self.numbers.get(&log) {
            return *number;
        }
        let number = self.next;
        self.next = (self.next + 1) % limits::STREAM_LOGS;
        if let Some(old) = self.contexts.get(number as usize) {
            self.numbers.remove(&old.log);
        }
        self.numbers.insert(log, number);
        number
    }

    fn remember(&mut self, number: u32, context: Context) {
        let at = number as usize;
        if at < self.contexts.len() {
            self.contexts[at] = context;
        } else {
            self.contexts.push(context);
        }
    }
}

/// The receiving end of one stream.
#[derive(Debug, Default)]
pub struct Unpacker {
    contexts: BTreeMap<u32, Context>,
}

impl Unpacker {
    /// Puts an event together again. Its signature says whether that came out right.
    pub fn unpack(&mut self, packed: PackedEvent) -> Result<Event, Malformed> {
        if packed.log >= limits::STREAM_LOGS {
            return Err(Malformed::Rule("a log number over the limit"));
        }
        let (log, seq, prev, known_key, claimed_ms) = match packed.start {
            Some(start) => (
                (start.channel, start.lane, start.writer),
                start.seq,
                start.prev,
                None,
                packed.claimed,
            ),
            None => {
                let context = self
                    .contexts
                    .get(&packed.log)
                    .ok_or(Malformed::Rule("a log number not opened"))?;
                let seq = context
                    .seq
                    .checked_add(1)
                    .ok_or(Malformed::Rule("a position over the limit"))?;
                let claimed_ms = unzigzag(packed.claimed, context.claimed_ms);
                (
                    context.log,
                    seq,
                    Some(context.id),
                    context.key_event,
                    claimed_ms,
                )
            }
        };
        let sealed = Kind::from_number(packed.kind).is_some_and(Kind::is_sealed);
        let key_event = if sealed {
            packed.key_event.or(known_key)
        } else {
            None
        };
        let header = Header {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            channel: log.0,
            lane: log.1,
            writer: log.2,
            seq,
            prev,
            deps: packed.deps,
            control_heads: packed.control_heads,
            claimed_ms,
            kind: packed.kind,
            precedence: packed.precedence,
            author: packed.author,
            about: packed.about,
            label: packed.label,
            key_event,
            body_len: u32::try_from(packed.body.len())
                .map_err(|_| Malformed::Rule("a body over the limit"))?,
            commitment: packed.commitment,
            body_hash: Hash(crypto::body_hash(&packed.body)),
        };
        let event = Event::from_header(header, packed.signature, packed.body.into_vec())?;
        self.contexts.insert(
            packed.log,
            Context::after(log, &event, key_event.or(known_key)),
        );
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_told_by_its_difference_to_any_other() {
        let times = [
            0,
            1,
            2,
            1_700_000_000_000,
            u64::MAX / 2,
            u64::MAX / 2 + 1,
            u64::MAX,
        ];
        for time in times {
            for before in times {
                assert_eq!(unzigzag(zigzag(time, before), before), time);
            }
        }
        assert_eq!([zigzag(5, 5), zigzag(4, 5), zigzag(6, 5)], [0, 1, 2]);
    }
}
