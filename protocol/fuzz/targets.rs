//! One function per decoder, for the fuzzer and for the ordinary test that replays the corpus.
//!
//! Each takes any bytes. It panics where a decoder panics, or where what it took would be encoded
//! otherwise than it was read.

use comity_protocol::body::*;
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Event, Header};
use comity_protocol::evidence::EvidenceBody;
use comity_protocol::finality::AckBody;
use comity_protocol::id::Signature;
use comity_protocol::identity::{CertificateList, Identity};
use comity_protocol::peering::{PeeringFile, SignedPeeringFile};
use comity_protocol::reserved::*;
use comity_protocol::rows::{self, ChannelNote, LogNumbers};
use comity_protocol::wire::{Frame, Unpacker};

/// A decoder's name, which is its corpus's, and the function that tries it: whether it took the
/// bytes.
pub type Target = (&'static str, fn(&[u8]) -> bool);

/// All decoders that read what others wrote.
pub const TARGETS: &[Target] = &[
    ("header", header),
    ("charter", one::<Charter>),
    ("sealing-key", one::<SealingKeyBody>),
    ("invite", one::<InviteBody>),
    ("grant", one::<GrantBody>),
    ("remove", one::<RemoveBody>),
    ("empty", one::<EmptyBody>),
    ("endorse", one::<EndorseBody>),
    ("key", one::<KeyBody>),
    ("ack", one::<AckBody>),
    ("floor", one::<FloorBody>),
    ("evidence", evidence),
    ("message", one::<MessageBody>),
    ("redact", one::<RedactBody>),
    ("react", one::<ReactBody>),
    ("pin", one::<PinBody>),
    ("receipt", one::<ReceiptBody>),
    ("file", one::<FileBody>),
    ("roster", one::<RosterBody>),
    ("writer", one::<WriterBody>),
    ("certificates", certificates),
    ("seat-transfer", seat_transfer),
    ("retention", one::<RetentionBody>),
    ("identity", identity),
    ("certificate-list", certificate_list),
    ("peering-file", one::<PeeringFile>),
    ("signed-peering-file", signed_peering_file),
    ("armour", armour),
    ("frame", frame),
    ("stream", stream),
    ("event-row", event_row),
    ("log-row", log_row),
    ("channel-note", one::<ChannelNote>),
];

/// The target of a name.
pub fn target(name: &str) -> fn(&[u8]) -> bool {
    let found = TARGETS.iter().find(|(of, _)| *of == name);
    found.expect("a target of that name").1
}

fn read<T: Canonical>(bytes: &[u8]) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    assert_eq!(value.to_bytes(), bytes, "a second encoding was taken");
    Some(value)
}

fn one<T: Canonical>(bytes: &[u8]) -> bool {
    read::<T>(bytes).is_some()
}

/// The header is also read as an event's, with the body that it asks for missing.
fn header(bytes: &[u8]) -> bool {
    let _ = Event::from_parts(bytes.to_vec(), Signature([0; 64]), Vec::new());
    one::<Header>(bytes)
}

fn identity(bytes: &[u8]) -> bool {
    read::<Identity>(bytes).is_some_and(|identity| identity.verify().is_ok())
}

/// A list travels within other things alone: it is read as an array of MessagePack.
fn certificate_list(bytes: &[u8]) -> bool {
    let list = rmp_serde::from_slice::<CertificateList>(bytes);
    list.is_ok_and(|list| list.verify_nodes().is_ok())
}

fn certificates(bytes: &[u8]) -> bool {
    let body = read::<CertificatesBody>(bytes);
    body.is_some_and(|body| body.identity.verify().is_ok())
}

fn seat_transfer(bytes: &[u8]) -> bool {
    let body = read::<SeatTransferBody>(bytes);
    body.is_some_and(|body| body.certificates.verify_nodes().is_ok())
}

fn signed_peering_file(bytes: &[u8]) -> bool {
    read::<SignedPeeringFile>(bytes).is_some_and(|signed| signed.open().is_ok())
}

/// What people carry: the file within its lines of text.
fn armour(bytes: &[u8]) -> bool {
    pem::parse(bytes).is_ok_and(|pem| signed_peering_file(pem.contents()))
}

/// What it takes names a position, and its headers have but one order.
fn evidence(bytes: &[u8]) -> bool {
    let taken = one::<EvidenceBody>(bytes);
    if let Ok(body) = EvidenceBody::from_bytes(bytes) {
        assert!(body.forked().is_ok_and(|forked| forked.seq >= 1));
        let again = EvidenceBody::new(body.second.clone(), body.first.clone());
        assert_eq!(again, body, "the headers have two orders");
    }
    taken
}

fn frame(bytes: &[u8]) -> bool {
    let Ok(frame) = Frame::from_bytes(bytes) else {
        return false;
    };
    assert_eq!(frame.to_bytes(), bytes, "a second encoding was taken");
    unpack(&mut Unpacker::default(), frame);
    true
}

/// Frames of one stream, one after the other: each after its length in two bytes. Whether the last
/// one was taken with all its events.
fn stream(bytes: &[u8]) -> bool {
    let mut unpacker = Unpacker::default();
    let mut rest = bytes;
    let mut taken = false;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (frame, later) = after.split_at(length);
        let frame = Frame::from_bytes(frame);
        taken = frame.is_ok_and(|frame| unpack(&mut unpacker, frame));
        rest = later;
    }
    taken
}

fn unpack(unpacker: &mut Unpacker, frame: Frame) -> bool {
    let Frame::Events(events) = frame else {
        return true;
    };
    events.events.into_iter().all(|packed| {
        let event = unpacker.unpack(packed);
        event.is_ok_and(|event| Header::id(&event.header_bytes) == event.id)
    })
}

fn event_row(bytes: &[u8]) -> bool {
    let Ok(stored) = rows::read_event(bytes) else {
        return false;
    };
    let rows = LogNumbers::default().event_rows(&stored.event, stored.h);
    let again = rows.last().and_then(|row| row.value.as_deref());
    assert_eq!(again, Some(bytes), "a second encoding was taken");
    true
}

fn log_row(bytes: &[u8]) -> bool {
    let (key, value) = bytes.split_at(bytes.len().min(4));
    LogNumbers::default().restore(key, value).is_ok()
}
