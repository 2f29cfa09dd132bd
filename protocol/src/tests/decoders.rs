//! Every decoder of the crate takes one encoding of each value and nothing else, and never
//! panics. A new type needs one line in the list below and a function that makes samples of it.

use std::collections::BTreeSet;
use std::fmt::Debug;

use comity_crypto as crypto;
use serde_bytes::ByteBuf;

use super::kit::{Dice, PARTNERS, Wish, World, charter, partner, user};
use crate::body::*;
use crate::codec::Canonical;
use crate::event::{Category, Header, Label};
use crate::evidence::{EvidenceBody, SignedHeader};
use crate::files::FileKey;
use crate::finality::{AckBody, FloorBody};
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId, Signature, WriterId};
use crate::identity::Identity;
use crate::limits;
use crate::peering::{PeeringFile, SignedPeeringFile};
use crate::reserved::*;
use crate::rows::{self, ChannelNote};
use crate::wire::*;

macro_rules! decoders {
    ($($test:ident: $sample:expr;)*) => {
        $(
            #[test]
            fn $test() {
                has_one_encoding($sample);
            }
        )*
    };
}

decoders! {
    header: a_header;
    identity: |dice| -> Identity { partner(dice.below(PARTNERS)).identity.clone() };
    charter_body: a_charter;
    sealing_key_body: |dice| SealingKeyBody { sealing_key: a_sealing_key(dice) };
    invite: |dice| InviteBody {
        partner: partner(dice.below(PARTNERS)).identity.clone(),
        role: a_role(dice),
        endorsements: some_endorsements(dice),
    };
    grant: |dice| GrantBody { partner: a_partner(dice), role: a_role(dice), endorsements: some_endorsements(dice) };
    remove: |dice| RemoveBody { partner: a_partner(dice), endorsements: some_endorsements(dice) };
    empty: |_| EmptyBody {};
    endorse: |dice| EndorseBody { proposal: a_hash(dice) };
    key: a_key;
    ack: |dice| AckBody { number: a_number(dice), base: a_hash(dice) };
    floor: |dice| FloorBody { barrier: a_number(dice), history: a_hash(dice) };
    evidence: an_evidence;
    message: |dice| MessageBody { message: a_text(dice, 300) };
    redact: |dice| RedactBody { reason: a_text(dice, 40) };
    hello: |dice| Hello { version: 1, partner: a_partner(dice) };
    have: |dice| Have { lanes: sorted(some(dice, 5, |dice| HaveLane {
        channel: ChannelId(a_hash(dice).0), lane: LaneId(a_hash(dice).0), digest: a_hash(dice),
    }), |lane| (lane.channel, lane.lane)) };
    ask_heads: |dice| AskHeads { channel: ChannelId(a_hash(dice).0), lane: LaneId(a_hash(dice).0) };
    heads: |dice| Heads {
        channel: ChannelId(a_hash(dice).0),
        lane: LaneId(a_hash(dice).0),
        all: dice.below(2) == 1,
        logs: sorted(some(dice, 5, a_head), |head| *head),
    };
    want: |dice| Want {
        channel: ChannelId(a_hash(dice).0),
        lane: LaneId(a_hash(dice).0),
        writer: WriterId(a_hash(dice).0),
        from: a_number(dice),
        to: a_number(dice),
    };
    events: |dice| Events { events: some(dice, 3, a_packed_event) };
    range_end: |dice| RangeEnd {
        channel: ChannelId(a_hash(dice).0),
        lane: LaneId(a_hash(dice).0),
        writer: WriterId(a_hash(dice).0),
        to: a_number(dice),
    };
    refused: |dice| Refused { channel: ChannelId(a_hash(dice).0), lane: LaneId(a_hash(dice).0), reason: 1 };
    peering_file: a_peering_file;
    signed_peering_file: |dice| SignedPeeringFile {
        file: ByteBuf::from(a_peering_file(dice).to_bytes()),
        signer: WriterId(a_hash(dice).0),
        signature: a_signed_header(dice).signature,
    };
    channel_note: |dice| ChannelNote { offered_by: Some(a_partner(dice)) };
    writer_body: |dice| WriterBody { writer: WriterId(a_hash(dice).0) };
    certificates: |dice| CertificatesBody { identity: partner(dice.below(PARTNERS)).identity.clone() };
    seat_transfer: |dice| SeatTransferBody {
        certificates: partner(dice.below(PARTNERS)).identity.certificates.clone(),
        seat: WriterId(a_hash(dice).0),
        after: an_event(dice),
        root_signature: a_signed_header(dice).signature,
    };
    retention: |dice| RetentionBody { days: dice.below(4000) as u32 };
    pin: |dice| PinBody { withdrawn: dice.below(2) == 1 };
    receipt: |dice| ReceiptBody { state: 1 + dice.below(2) as u8 };
    file: a_file;
    ask_piece: an_ask_piece;
    piece: |dice| Piece::answer(&an_ask_piece(dice), some(dice, 300, |dice| dice.below(256) as u8));
    roster: |dice| RosterBody { users: some_users(dice) };
    ephemeral: |dice| Ephemeral {
        channel: ChannelId(a_hash(dice).0),
        signs: std::iter::once(a_sign(dice)).chain(some(dice, 3, a_sign)).collect(),
    };
    react: |dice| ReactBody { emoji: format!("+{}", a_text(dice, 10)), withdrawn: dice.below(2) == 1 };
}

fn a_file(dice: &mut Dice) -> FileBody {
    let chunks = some(dice, 4, a_hash);
    let beyond = dice.below(limits::CHUNK_BYTES) as u64;
    FileBody {
        name: format!("f{}", a_text(dice, 20)),
        media_type: a_text(dice, 10),
        size: (chunks.len() as u64 * limits::CHUNK_BYTES as u64).saturating_sub(beyond),
        key: FileKey::from_bytes(a_hash(dice).0),
        chunks,
    }
}

fn some_users(dice: &mut Dice) -> Vec<RosterUser> {
    let names = 1 + dice.below(5);
    let users = (0..names).map(|number| RosterUser {
        name: user(&format!("ann{number}")),
        display_name: a_text(dice, 10),
        present: dice.below(2) == 1,
    });
    users.collect()
}

fn a_sign(dice: &mut Dice) -> Sign {
    let activity = 1 + dice.below(5) as u8;
    let typing = activity == Activity::Typing as u8 && dice.below(2) == 1;
    Sign {
        user: user("ann"),
        activity,
        root: typing.then(|| an_event(dice)),
    }
}

fn an_ask_piece(dice: &mut Dice) -> AskPiece {
    AskPiece {
        channel: ChannelId(a_hash(dice).0),
        lane: LaneId(a_hash(dice).0),
        file: an_event(dice),
        chunk: dice.below(limits::CHUNKS) as u32,
        offset: (dice.below(9) * limits::PIECE_BYTES) as u32,
    }
}

/// A frame is its type's byte and the contents; whatever is taken gives the same bytes again, and
/// events that are unpacked never panic.
#[test]
fn frames_and_streams_take_anything_without_panic() {
    let mut unpacker = Unpacker::default();
    for seed in 0..SAMPLES * 20 {
        let mut dice = Dice(seed);
        let events = Events {
            events: some(&mut dice, 4, a_packed_event),
        };
        let mut bytes = Frame::Events(events).to_bytes();
        if seed % 2 == 1 {
            let at = dice.below(bytes.len());
            bytes[at] = dice.below(256) as u8;
        }
        let Ok(frame) = Frame::from_bytes(&bytes) else {
            continue;
        };
        assert_eq!(frame.to_bytes(), bytes, "seed {seed}");
        if let Frame::Events(events) = frame {
            for packed in events.events {
                let _ = unpacker.unpack(packed);
            }
        }
        let stray = some(&mut dice, 200, |dice| dice.below(256) as u8);
        let _ = Frame::from_bytes(&stray);
        let _ = rows::read_event(&stray);
    }
}

/// Samples tried of each type.
const SAMPLES: u64 = 20;
/// Random strings of bytes tried on each decoder, and random changes tried of each sample.
const STRAY_BYTES: usize = 200;
/// More than any decoder may ever ask for at once, in KiB.
const MEMORY_KIB: u64 = 1 << 20;

fn has_one_encoding<T: Canonical + PartialEq + Debug>(sample: impl Fn(&mut Dice) -> T) {
    for seed in 0..SAMPLES {
        let mut dice = Dice(seed);
        let value = sample(&mut dice);
        let bytes = value.to_bytes();
        assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(&value), "seed {seed}");
        refuses_other_lengths::<T>(&bytes);
        refuses_other_encodings::<T>(&bytes);
        takes_only_its_own_encoding::<T>(&mut dice, &bytes);
    }
    assert!(T::from_bytes(&vec![0xc0; T::LIMIT + 1]).is_err());
}

fn refuses_other_lengths<T: Canonical + Debug>(bytes: &[u8]) {
    for trailing in [0x00, 0xc0, 0xff] {
        assert!(T::from_bytes(&[bytes, &[trailing]].concat()).is_err());
    }
    let step = 1 + bytes.len() / 500;
    for length in (0..bytes.len()).step_by(step) {
        assert!(T::from_bytes(&bytes[..length]).is_err(), "cut at {length}");
    }
}

/// Longer integers and lengths, maps, other types for the same thing, and lengths of four
/// gigabytes, at every place where one can stand.
fn refuses_other_encodings<T: Canonical + Debug>(bytes: &[u8]) {
    let peak_kib = memory_peak_kib();
    for token in tokens(bytes) {
        for other in other_forms(bytes, &token) {
            let whole = [&bytes[..token.start], &other, &bytes[token.end..]].concat();
            assert!(
                T::from_bytes(&whole).is_err(),
                "taken: {:02x?} for {:02x?}",
                other,
                &bytes[token.start..token.end]
            );
        }
        for marker in [0xc6, 0xc9, 0xdb, 0xdd, 0xdf] {
            let claim = [marker, 0xff, 0xff, 0xff, 0xff];
            let whole = [&bytes[..token.start], &claim, &bytes[token.body..]].concat();
            assert!(T::from_bytes(&whole).is_err(), "taken: a length of 4 GiB");
        }
    }
    assert!(
        memory_peak_kib() < peak_kib + MEMORY_KIB,
        "memory was set aside for a claimed length"
    );
}

/// Whatever is taken encodes to the same bytes again.
fn takes_only_its_own_encoding<T: Canonical + Debug>(dice: &mut Dice, bytes: &[u8]) {
    for _ in 0..STRAY_BYTES {
        let mut changed = bytes.to_vec();
        for _ in 0..=dice.below(3) {
            let at = dice.below(changed.len());
            changed[at] = dice.below(256) as u8;
        }
        let stray = some(dice, 100, |dice| dice.below(256) as u8);
        for bytes in [changed, stray] {
            if let Ok(value) = T::from_bytes(&bytes) {
                assert_eq!(value.to_bytes(), bytes);
            }
        }
    }
}

/// The most address space that this process has ever had.
fn memory_peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// One MessagePack value within an encoding.
struct Token {
    start: usize,
    /// Where what the marker and length announce begins.
    body: usize,
    end: usize,
    form: Form,
}

#[derive(Clone, Copy, PartialEq)]
enum Form {
    Integer,
    Bytes,
    Text,
    Array,
    Truth,
    Nothing,
}

/// Every value of a canonical encoding, containers before their elements.
fn tokens(bytes: &[u8]) -> Vec<Token> {
    let mut tokens = Vec::new();
    assert_eq!(walk(bytes, 0, &mut tokens), bytes.len());
    tokens
}

fn walk(bytes: &[u8], start: usize, tokens: &mut Vec<Token>) -> usize {
    let big_endian = |count: usize| {
        bytes[start + 1..=start + count]
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let (form, head, length) = match bytes[start] {
        0x00..=0x7f => (Form::Integer, 1, 0),
        marker @ 0xcc..=0xcf => (Form::Integer, 1 + (1 << (marker - 0xcc)), 0),
        marker @ 0xc4..=0xc6 => (
            Form::Bytes,
            1 + (1 << (marker - 0xc4)),
            big_endian(1 << (marker - 0xc4)),
        ),
        marker @ 0xa0..=0xbf => (Form::Text, 1, usize::from(marker & 31)),
        marker @ 0xd9..=0xdb => (
            Form::Text,
            1 + (1 << (marker - 0xd9)),
            big_endian(1 << (marker - 0xd9)),
        ),
        marker @ 0x90..=0x9f => (Form::Array, 1, usize::from(marker & 15)),
        marker @ 0xdc..=0xdd => (
            Form::Array,
            1 + (2 << (marker - 0xdc)),
            big_endian(2 << (marker - 0xdc)),
        ),
        0xc2..=0xc3 => (Form::Truth, 1, 0),
        _ => (Form::Nothing, 1, 0),
    };
    let at = tokens.len();
    let body = start + head;
    tokens.push(Token {
        start,
        body,
        end: body,
        form,
    });
    let end = match form {
        Form::Array => (0..length).fold(body, |next, _| walk(bytes, next, tokens)),
        _ => body + length,
    };
    tokens[at].end = end;
    end
}

/// The same value in other forms.
fn other_forms(bytes: &[u8], token: &Token) -> Vec<Vec<u8>> {
    let (head, body) = (
        &bytes[token.start..token.body],
        &bytes[token.body..token.end],
    );
    let length = body.len() as u32;
    let prefixed = |marker: u8, length: &[u8]| [&[marker], length, body].concat();
    let forms = match token.form {
        Form::Integer => return longer_integers(head),
        Form::Bytes | Form::Text => vec![
            prefixed(0xc4, &[length as u8]),
            prefixed(0xc5, &(length as u16).to_be_bytes()),
            prefixed(0xc6, &length.to_be_bytes()),
            prefixed(0xd9, &[length as u8]),
            prefixed(0xda, &(length as u16).to_be_bytes()),
            prefixed(0xdb, &length.to_be_bytes()),
            prefixed(0xa0 | (length as u8 & 31), &[]),
            as_array(body),
        ],
        Form::Array => array_forms(bytes, token),
        Form::Truth => vec![vec![0x00], vec![0x01]],
        Form::Nothing => Vec::new(),
    };
    let same = [head, body].concat();
    forms.into_iter().filter(|form| *form != same).collect()
}

fn longer_integers(head: &[u8]) -> Vec<Vec<u8>> {
    let digits = if head.len() == 1 { head } else { &head[1..] };
    let widths = [
        (0xcc, 1),
        (0xcd, 2),
        (0xce, 4),
        (0xcf, 8),
        (0xd0, 1),
        (0xd1, 2),
        (0xd2, 4),
        (0xd3, 8),
    ];
    let wide = |(marker, width): (u8, usize)| {
        let longer =
            width >= digits.len() && (head.len() == 1 || marker >= 0xd0 || width > digits.len());
        longer.then(|| [vec![marker], vec![0; width - digits.len()], digits.to_vec()].concat())
    };
    widths.into_iter().filter_map(wide).collect()
}

/// Bytes as a list of numbers.
fn as_array(body: &[u8]) -> Vec<u8> {
    let numbers = body.iter().flat_map(|byte| {
        if *byte < 128 {
            vec![*byte]
        } else {
            vec![0xcc, *byte]
        }
    });
    [0xdc]
        .into_iter()
        .chain((body.len() as u16).to_be_bytes())
        .chain(numbers)
        .collect()
}

/// A longer length, and a map by field number.
fn array_forms(bytes: &[u8], token: &Token) -> Vec<Vec<u8>> {
    let body = &bytes[token.body..token.end];
    let mut elements = Vec::new();
    let mut next = token.body;
    while next < token.end {
        let end = walk(bytes, next, &mut Vec::new());
        elements.push(&bytes[next..end]);
        next = end;
    }
    let count = elements.len() as u16;
    let entries = elements
        .iter()
        .enumerate()
        .flat_map(|(at, element)| [&[at as u8], *element].concat());
    let map: Vec<u8> = [0xde]
        .into_iter()
        .chain(count.to_be_bytes())
        .chain(entries)
        .collect();
    vec![
        [&[0xdc], &count.to_be_bytes()[..], body].concat(),
        [&[0xdd, 0, 0], &count.to_be_bytes()[..], body].concat(),
        map,
    ]
}

fn some<T>(dice: &mut Dice, limit: usize, one: impl Fn(&mut Dice) -> T) -> Vec<T> {
    (0..dice.below(limit)).map(|_| one(dice)).collect()
}

/// Of every length that an encoding distinguishes.
fn a_number(dice: &mut Dice) -> u64 {
    let number = (dice.below(usize::MAX) as u64) >> (8 * dice.below(8));
    [number, number & 127, 0, u64::MAX][dice.below(4)]
}

fn a_hash(dice: &mut Dice) -> Hash {
    Hash(crypto::hash(
        "comity/test/sample",
        &[&a_number(dice).to_be_bytes()],
    ))
}

fn an_event(dice: &mut Dice) -> EventId {
    EventId(a_hash(dice).0)
}

fn some_endorsements(dice: &mut Dice) -> Vec<EventId> {
    let distinct: BTreeSet<EventId> = some(dice, 4, an_event).into_iter().collect();
    distinct.into_iter().collect()
}

fn a_partner(dice: &mut Dice) -> PartnerId {
    PartnerId(a_hash(dice).0)
}

fn a_role(dice: &mut Dice) -> Role {
    [Role::Observer, Role::Contributor, Role::Admin, Role::Owner][dice.below(4)]
}

fn a_sealing_key(dice: &mut Dice) -> ByteBuf {
    partner(dice.below(PARTNERS)).sealing_key(dice.below(4))
}

fn a_text(dice: &mut Dice, limit: usize) -> String {
    some(dice, limit, |dice| {
        ['a', 'Z', ' ', '\n', 'é', '語', '\u{202e}'][dice.below(7)]
    })
    .into_iter()
    .collect()
}

fn a_label(dice: &mut Dice) -> Label {
    let category = |dice: &mut Dice| Category {
        tag: a_text(dice, 8),
        form: 1 + dice.below(3) as u8,
        values: ["AUS", "DEU", "NLD"][dice.below(3)..]
            .iter()
            .map(|value| value.to_string())
            .collect(),
    };
    Label {
        policy: a_text(dice, 8),
        classification: a_text(dice, 8),
        categories: some(dice, 4, category),
        originator: a_text(dice, 8),
        created_ms: a_number(dice),
    }
}

fn a_charter(dice: &mut Dice) -> Charter {
    Charter {
        creator: partner(dice.below(PARTNERS)).identity.clone(),
        sealing_key: a_sealing_key(dice),
        finality: 1 + dice.below(2) as u8,
        quorum: dice.below(65) as u8,
        label_policy: (dice.below(2) == 0).then(|| a_text(dice, 8)),
        label_ceiling: (dice.below(2) == 0).then(|| a_label(dice)),
        retention_days: (dice.below(2) == 0).then(|| a_number(dice) as u32),
        byte_budget: a_number(dice),
        ..charter(dice.below(256) as u8)
    }
}

fn a_key(dice: &mut Dice) -> KeyBody {
    let mut wraps = some(dice, 3, |dice| Wrap {
        partner: a_partner(dice),
        sealing_key: a_hash(dice),
        sealed: ByteBuf::from(vec![dice.below(256) as u8; crypto::WRAP_LEN]),
    });
    wraps.push(Wrap {
        partner: PartnerId([0; 32]),
        sealing_key: a_hash(dice),
        sealed: vec![0; crypto::WRAP_LEN].into(),
    });
    wraps.sort_by_key(|wrap| wrap.partner);
    wraps.dedup_by_key(|wrap| wrap.partner);
    let audience: std::collections::BTreeSet<PartnerId> =
        some(dice, 20, a_partner).into_iter().collect();
    KeyBody {
        audience: (dice.below(2) == 0).then(|| audience.into_iter().collect()),
        parts: (dice.below(2) == 0).then(|| some(dice, 2, an_event)),
        commitment: a_hash(dice),
        wraps,
    }
}

fn a_signed_header(dice: &mut Dice) -> SignedHeader {
    SignedHeader {
        header: a_header(dice).to_bytes().into(),
        signature: Signature([dice.below(256) as u8; 64]),
    }
}

/// Two headers for one position.
fn an_evidence(dice: &mut Dice) -> EvidenceBody {
    let first = a_header(dice);
    let second = Header {
        claimed_ms: first.claimed_ms ^ 1,
        ..first.clone()
    };
    let signed = |header: Header, dice: &mut Dice| SignedHeader {
        header: ByteBuf::from(header.to_bytes()),
        ..a_signed_header(dice)
    };
    let (first, second) = (signed(first, dice), signed(second, dice));
    EvidenceBody::new(first, second)
}

/// The header of some event that a partner has written, with other numbers in it.
fn a_header(dice: &mut Dice) -> Header {
    let mut world = World::with_members(3);
    let post = world.write(1, Wish::Post);
    world.everybody_hears_all();
    world.write(2, Wish::Reply(post));
    let mut header = world.events[dice.below(world.events.len())].header.clone();
    header.claimed_ms = a_number(dice);
    header.precedence = dice.below(4) as u8;
    header.seq = if header.prev.is_some() {
        a_number(dice).max(2)
    } else {
        1
    };
    header.author = header
        .author
        .map(|_| user(["a", "rank.surname", "語"][dice.below(3)]));
    header.label = (dice.below(2) == 0).then(|| a_label(dice));
    header
}

fn sorted<T, K: Ord>(mut values: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    values.sort_by_key(key);
    values
}

fn a_head(dice: &mut Dice) -> Head {
    Head {
        writer: WriterId(a_hash(dice).0),
        seq: a_number(dice),
        id: an_event(dice),
    }
}

fn a_packed_event(dice: &mut Dice) -> PackedEvent {
    let header = a_header(dice);
    PackedEvent {
        log: dice.below(4) as u32,
        start: (dice.below(2) == 1).then_some(LogStart {
            channel: header.channel,
            lane: header.lane,
            writer: header.writer,
            seq: header.seq,
            prev: header.prev,
        }),
        signature: a_signed_header(dice).signature,
        claimed: header.claimed_ms,
        kind: header.kind,
        precedence: header.precedence,
        author: header.author,
        deps: header.deps,
        control_heads: header.control_heads,
        about: header.about,
        label: header.label,
        key_event: header.key_event,
        commitment: header.commitment,
        body: ByteBuf::from(a_text(dice, 60).into_bytes()),
    }
}

fn a_peering_file(dice: &mut Dice) -> PeeringFile {
    PeeringFile {
        version: 1,
        answers: (dice.below(2) == 1).then_some(a_hash(dice)),
        nonce: a_hash(dice),
        identity: partner(dice.below(PARTNERS)).identity.clone(),
        addresses: some(dice, 3, |dice| format!("host{}.test:7443", dice.below(9))),
        expires_at_ms: a_number(dice),
        label_ceiling: None,
    }
}
