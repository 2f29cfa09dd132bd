//! A partner in hostile hands: its real keys, and a pen that writes with them what it likes.
//!
//! A [`Pen`] holds a channel as its owner pretends to see it. What it writes is whole and signed,
//! for the receivers to accept; a liar takes several pens and shows each victim another one's
//! events, or changes what a pen wrote before it signs again.

use std::collections::BTreeSet;

use comity_crypto::{EpochSecret, SALT_LEN, SealingKey, SigningKey};
use comity_protocol::channel::{Accepted, Channel};
use comity_protocol::codec::Canonical;
use comity_protocol::compose::{Author, Message};
use comity_protocol::event::{Event, Header, Kind, Precedence, Reference, UserName};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, EventId, Hash, LaneId, PartnerId, WriterId};
use comity_protocol::identity::{Identity, writer_id};
use comity_protocol::keys::{self, Entropy, Keyring};
use comity_protocol::limits;
use comity_protocol::time::WallTime;
use comity_protocol::wire::{Events, Frame, Packer};

/// What an intruder finds at a partner.
#[derive(Clone)]
pub struct Captive {
    pub identity: Identity,
    pub root: [u8; 32],
    pub signing: [u8; 32],
    pub sealing: [u8; 32],
    /// All that was on disk.
    pub events: Vec<Event>,
}

impl Captive {
    pub fn id(&self) -> PartnerId {
        self.identity.partner()
    }

    pub fn signing(&self) -> SigningKey {
        SigningKey::from_seed(&self.signing)
    }

    /// A pen that has seen all that was on disk.
    pub fn pen(&self, channel: ChannelId) -> Pen {
        self.pen_after(channel, &self.events)
    }

    /// A pen that has seen these events alone.
    pub fn pen_after(&self, channel: ChannelId, events: &[Event]) -> Pen {
        let signing = self.signing();
        let writer = writer_id(&comity_protocol::id::KeyBytes(signing.public().to_bytes()));
        let own = self.identity.partner();
        let mut pen = Pen {
            partner: own,
            writer,
            signing,
            keyring: Keyring::new(own, vec![SealingKey::from_seed(&self.sealing)]),
            channel: Channel::new(channel),
            now_ms: 1_700_000_000_000,
            drawn: 0,
        };
        for event in events
            .iter()
            .filter(|event| event.header.channel == channel)
        {
            pen.learn(event.clone());
        }
        pen
    }
}

/// Writes with a captive's keys.
pub struct Pen {
    pub partner: PartnerId,
    pub writer: WriterId,
    pub signing: SigningKey,
    pub keyring: Keyring,
    pub channel: Channel,
    /// What it says the time is, Unix milliseconds.
    pub now_ms: u64,
    drawn: u64,
}

impl Pen {
    /// Takes an event of whomever into the channel as it pretends to see it.
    pub fn learn(&mut self, event: Event) {
        // From itself, so that what comes before its past waits.
        let own = self.partner;
        for accepted in self.channel.offer(event, Some(own)).accepted {
            let _ = self.keyring.read(&accepted.event);
        }
    }

    /// A post for all members; what must stand before it comes first. Nothing, as of all that it
    /// writes, where the channel as it pretends to see it refuses it.
    pub fn post(&mut self, text: &str) -> Vec<Event> {
        let message = self.message(Kind::Post, None, text_body(text));
        self.write(&message)
    }

    /// A post for some.
    pub fn post_to(&mut self, audience: BTreeSet<PartnerId>, text: &str) -> Vec<Event> {
        let mut message = self.message(Kind::Post, None, text_body(text));
        message.audience = Some(audience);
        self.write(&message)
    }

    /// A message of the pen's own user.
    pub fn message(&self, kind: Kind, about: Option<Pos>, body: Vec<u8>) -> Message {
        Message {
            kind,
            user: kind
                .names_author()
                .then(|| UserName::try_from("user".to_string()).expect("a legal name")),
            claimed_ms: self.now_ms,
            precedence: Precedence::Routine,
            about,
            label: None,
            audience: None,
            body,
        }
    }

    pub fn write(&mut self, message: &Message) -> Vec<Event> {
        let entropy = self.entropy();
        let author = Author {
            partner: self.partner,
            writer: self.writer,
            key: &self.signing,
        };
        let mut written = Vec::new();
        let done = self.channel.write_message(
            &author,
            message,
            &mut self.keyring,
            &entropy,
            WallTime(self.now_ms),
            &mut written,
        );
        done.map_or_else(|_| Vec::new(), |_| events_of(written))
    }

    /// A control event.
    pub fn act(&mut self, kind: Kind, body: Vec<u8>) -> Vec<Event> {
        let author = Author {
            partner: self.partner,
            writer: self.writer,
            key: &self.signing,
        };
        let mut written = Vec::new();
        let now = WallTime(self.now_ms);
        let done = self
            .channel
            .write_act(&author, kind, body, now, &mut written);
        done.map_or_else(|_| Vec::new(), |_| events_of(written))
    }

    /// Signs a header again as it now is, with a public body.
    pub fn sign(&self, mut header: Header, body: Vec<u8>) -> Event {
        header.body_len = body.len() as u32;
        header.body_hash = Hash(comity_crypto::body_hash(&body));
        Event::sign(header, body, &self.signing).expect("a well-formed event")
    }

    /// Seals and signs a header again as it now is.
    pub fn seal(&self, header: Header, body: &[u8], secret: &EpochSecret) -> Event {
        let salt = [7; SALT_LEN];
        keys::seal(header, body, secret, &salt, &self.signing).expect("a well-formed event")
    }

    /// The secret of an epoch that it can open.
    pub fn secret(&self, key_event: &EventId) -> &EpochSecret {
        self.keyring.secret(key_event).expect("it reads the lane")
    }

    /// The lane of the present members.
    pub fn open_lane(&self) -> LaneId {
        let form = comity_protocol::lane::LaneForm::Open;
        comity_protocol::lane::lane_id(self.channel.id, form, &self.channel.present().active())
    }

    /// All control heads that it knows: what an event with no past of its own must list.
    pub fn control_heads(&self) -> Vec<Reference> {
        let graph = self.channel.graph();
        let logs = graph.logs_of(self.channel.control_lane);
        let chains = logs.flat_map(|(_, chains)| chains);
        let heads: Vec<Pos> = chains
            .map(|&chain| Pos {
                chain,
                seq: graph.chain(chain).head(),
            })
            .collect();
        let seen = |head: &Pos| {
            let mut others = heads.iter().filter(|other| *other != head);
            others.any(|other| graph.in_past(*head, *other))
        };
        let mut references: Vec<Reference> = heads
            .iter()
            .filter(|head| !seen(head))
            .map(|head| Reference {
                lane: None,
                writer: graph.chain(head.chain).writer,
                seq: head.seq,
                id: graph.entry(*head).id,
            })
            .collect();
        Reference::sort(&mut references);
        references
    }

    fn entropy(&mut self) -> Entropy {
        self.drawn += 1;
        let drawn = self.drawn.to_be_bytes();
        let seed = [&self.partner.0[..], &drawn];
        Entropy::new(comity_crypto::hash("comity/v1/simulation", &seed))
    }
}

/// A message's body.
pub fn text_body(text: &str) -> Vec<u8> {
    comity_protocol::body::MessageBody {
        message: text.into(),
    }
    .to_bytes()
}

fn events_of(written: Vec<Accepted>) -> Vec<Event> {
    written.into_iter().map(|accepted| accepted.event).collect()
}

/// Frames that carry these events in this order, as few as hold them.
pub fn events_frames(events: &[Event]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = events;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |event: &&Event| {
            bytes += event.header_bytes.len() + event.body.len() + 256;
            bytes <= limits::FRAME_BYTES
        };
        let count = rest.iter().take_while(fits).count();
        let (now, later) = rest.split_at(count.clamp(1, limits::EVENTS_PER_FRAME));
        let mut packer = Packer::default();
        let events = now.iter().map(|event| packer.pack(event)).collect();
        frames.push(Frame::Events(Events { events }).to_bytes());
        rest = later;
    }
    frames
}
