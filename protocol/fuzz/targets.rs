//! One function per decoder, for the fuzzer and for the ordinary test that replays the corpus.
//!
//! Each takes any bytes. It panics where a decoder panics, or where what it took would be encoded
//! otherwise than it was read.

use comity_protocol::body::*;
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Event, Header};
use comity_protocol::id::Signature;
use comity_protocol::identity::{CertificateList, Identity};
use comity_protocol::peering::{PeeringFile, SignedPeeringFile};
use comity_protocol::reserved::*;
use comity_protocol::rows::{self, ChannelNote, LogNumbers};
use comity_protocol::wire::{Frame, Unpacker};

/// A decoder's name, which is its corpus's, and the function that tries it.
pub type Target = (&'static str, fn(&[u8]));

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
    ("evidence", one::<EvidenceBody>),
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
pub fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(of, _)| *of == name);
    found.expect("a target of that name").1
}

fn read<T: Canonical>(bytes: &[u8]) -> Option<T> {
    let value = T::from_bytes(bytes).ok()?;
    assert_eq!(value.to_bytes(), bytes, "a second encoding was taken");
    Some(value)
}

fn one<T: Canonical>(bytes: &[u8]) {
    let _ = read::<T>(bytes);
}

/// The header is also read as an event's, with the body that it asks for missing.
fn header(bytes: &[u8]) {
    one::<Header>(bytes);
    let _ = Event::from_parts(bytes.to_vec(), Signature([0; 64]), Vec::new());
}

fn identity(bytes: &[u8]) {
    if let Some(identity) = read::<Identity>(bytes) {
        let _ = identity.verify();
    }
}

/// A list travels within other things alone: it is read as an array of MessagePack.
fn certificate_list(bytes: &[u8]) {
    if let Ok(list) = rmp_serde::from_slice::<CertificateList>(bytes) {
        let _ = list.verify_nodes();
    }
}

fn certificates(bytes: &[u8]) {
    if let Some(body) = read::<CertificatesBody>(bytes) {
        let _ = body.identity.verify();
    }
}

fn seat_transfer(bytes: &[u8]) {
    if let Some(body) = read::<SeatTransferBody>(bytes) {
        let _ = body.certificates.verify_nodes();
    }
}

fn signed_peering_file(bytes: &[u8]) {
    if let Some(signed) = read::<SignedPeeringFile>(bytes) {
        let _ = signed.open();
    }
}

/// What people carry: the file within its lines of text.
fn armour(bytes: &[u8]) {
    if let Ok(pem) = pem::parse(bytes) {
        signed_peering_file(pem.contents());
    }
}

fn frame(bytes: &[u8]) {
    if let Ok(frame) = Frame::from_bytes(bytes) {
        assert_eq!(frame.to_bytes(), bytes, "a second encoding was taken");
        unpack(&mut Unpacker::default(), frame);
    }
}

/// Frames of one stream, one after the other: each after its length in two bytes.
fn stream(bytes: &[u8]) {
    let mut unpacker = Unpacker::default();
    let mut rest = bytes;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (frame, later) = after.split_at(length);
        if let Ok(frame) = Frame::from_bytes(frame) {
            unpack(&mut unpacker, frame);
        }
        rest = later;
    }
}

fn unpack(unpacker: &mut Unpacker, frame: Frame) {
    if let Frame::Events(events) = frame {
        for packed in events.events {
            if let Ok(event) = unpacker.unpack(packed) {
                assert_eq!(Header::id(&event.header_bytes), event.id);
            }
        }
    }
}

fn event_row(bytes: &[u8]) {
    if let Ok(stored) = rows::read_event(bytes) {
        let rows = LogNumbers::default().event_rows(&stored.event, stored.h);
        let again = rows.last().and_then(|row| row.value.as_deref());
        assert_eq!(again, Some(bytes), "a second encoding was taken");
    }
}

fn log_row(bytes: &[u8]) {
    let (key, value) = bytes.split_at(bytes.len().min(4));
    let _ = LogNumbers::default().restore(key, value);
}
