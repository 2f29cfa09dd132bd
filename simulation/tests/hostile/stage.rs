//! Three honest partners, the liars, and what must hold of the honest whatever the liars do.

use std::collections::BTreeSet;

use comity_protocol::body::MessageBody;
use comity_protocol::channel::Channel;
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Event, Header, Precedence, UserName};
use comity_protocol::id::{ChannelId, EventId, Hash, LaneId, PartnerId};
use comity_protocol::keys;
use comity_protocol::replica::{Command, Draft, Notice, Replica, StreamClass};
use comity_protocol::wire::Frame;
use comity_simulation::{Captive, Pen, World, events_frames};

pub const HONEST: std::ops::Range<usize> = 0..3;
pub const ALPHA: usize = 0;
pub const BRAVO: usize = 1;
pub const CHARLIE: usize = 2;
/// The first liar.
pub const MALLORY: usize = 3;
const NAMES: [&str; 10] = [
    "alpha", "bravo", "charlie", "mallory", "oscar", "trudy", "victor", "wendy", "yves", "zoe",
];

/// Honest partners have this long to exchange a message each, in simulated milliseconds: a digest
/// of every lane is compared each 15 s, and a peer that was asked in vain costs 5 s.
const EXCHANGE_MS: u64 = 30_000;

/// An event that breaks a rule, and those before it that break none.
pub struct Forged {
    pub before: Vec<Event>,
    pub event: Event,
}

pub struct Stage {
    pub world: World,
    pub channel: ChannelId,
    captives: Vec<Captive>,
    told: u64,
}

impl Stage {
    /// A channel of all; everybody has spoken once. Then the liars fall into hostile hands.
    pub fn new(seed: u64, liars: usize) -> Stage {
        println!("seed {seed}");
        Stage::on(World::new(seed, &NAMES[..3 + liars]))
    }

    pub fn on(mut world: World) -> Stage {
        let count = world.partners.len();
        world.connect_all();
        let channel = world.shared_channel("harbour");
        for who in 0..count {
            world.post(who, channel, "good morning");
        }
        world.run_until("everybody has heard everybody", 60_000, |world| {
            let posts = |at| {
                world
                    .replica(at)
                    .map(|held| held.channels()[&channel].posts())
            };
            (0..count).all(|at| posts(at) == Some(count as u64)) && world.converged(channel)
        });
        world.run_for(1_000);
        Stage::seized(world, channel)
    }

    /// All but three partners fall into hostile hands.
    pub fn seized(mut world: World, channel: ChannelId) -> Stage {
        let count = world.partners.len();
        let captives = (MALLORY..count).map(|liar| world.seize(liar)).collect();
        Stage {
            world,
            channel,
            captives,
            told: 0,
        }
    }

    pub fn captive(&self, liar: usize) -> &Captive {
        &self.captives[liar - MALLORY]
    }

    /// A new pen of a liar that has seen what it held when it was seized.
    pub fn pen(&self, liar: usize) -> Pen {
        self.captive(liar).pen(self.channel)
    }

    /// A pen of a liar that has seen what alpha holds by now, its own lies among it.
    pub fn fresh_pen(&self, liar: usize) -> Pen {
        let events: Vec<Event> = self.world.partners[ALPHA].disk.events().collect();
        self.captive(liar).pen_after(self.channel, &events)
    }

    /// A liar's next post, changed and then signed: what must stand before it, and it.
    pub fn forge(&self, liar: usize, change: impl FnOnce(&mut Header), body: &[u8]) -> Forged {
        self.forge_from(self.fresh_pen(liar), change, body)
    }

    /// The same, with a pen of the caller's choice.
    pub fn forge_from(
        &self,
        mut pen: Pen,
        change: impl FnOnce(&mut Header),
        body: &[u8],
    ) -> Forged {
        let mut before = pen.post("as it should be");
        let honest = before.pop().expect("a post");
        let epoch = honest.header.key_event.expect("a sealed event");
        let mut header = honest.header;
        change(&mut header);
        let event = pen.seal(header, body, pen.secret(&epoch));
        Forged { before, event }
    }

    /// Brings what must stand before a forged event to all, and then that.
    pub fn bring_forged(&mut self, liar: usize, forged: &Forged) {
        self.bring_all(liar, &forged.before);
        self.bring_all(liar, std::slice::from_ref(&forged.event));
    }

    /// Sends bytes, on a link that is made anew where the honest end hung up.
    pub fn tell(&mut self, liar: usize, to: usize, class: StreamClass, bytes: Vec<u8>) {
        self.world.connect(liar, to);
        self.world.tell(liar, to, class, bytes);
    }

    pub fn frame(&mut self, liar: usize, to: usize, frame: &Frame) {
        self.tell(liar, to, StreamClass::Control, frame.to_bytes());
    }

    pub fn bring(&mut self, liar: usize, to: usize, events: &[Event]) {
        for bytes in events_frames(events) {
            self.tell(liar, to, StreamClass::Routine, bytes);
        }
    }

    /// The same, and time for it to be judged.
    pub fn bring_all(&mut self, liar: usize, events: &[Event]) {
        for to in HONEST {
            self.bring(liar, to, events);
        }
        self.world.run_for(500);
    }

    /// An honest partner posts.
    pub fn say(&mut self, who: usize, text: &str) -> EventId {
        self.say_to(who, text, None)
    }

    pub fn say_to(
        &mut self,
        who: usize,
        text: &str,
        audience: Option<BTreeSet<PartnerId>>,
    ) -> EventId {
        let command = Command::Post {
            channel: self.channel,
            draft: draft(audience),
            text: text.into(),
            reply_to: None,
            rows: Vec::new(),
        };
        let written = self.world.command(who, command);
        written.expect("a member may post").id
    }

    /// The honest exchange a message each, judge alike and accuse nobody honest.
    pub fn exchange(&mut self, after: &str) {
        self.told += 1;
        let text = format!("still here, {}", self.told);
        let posts: Vec<EventId> = HONEST.map(|who| self.say(who, &text)).collect();
        let channel = self.channel;
        let what = format!("{after}: the honest exchange and agree");
        self.world.run_until(&what, EXCHANGE_MS, |world| {
            let has_all = |at| {
                let held = held(world, at, channel);
                posts.iter().all(|post| is_shown(held, post))
            };
            HONEST.into_iter().all(has_all) && agree(world, channel)
        });
        self.nobody_honest_is_accused();
    }

    pub fn nobody_honest_is_accused(&self) {
        assert_eq!(self.world.misbehaviour(), &[] as &[String]);
    }

    /// Whether all the honest judge alike.
    pub fn agree(&self) -> bool {
        agree(&self.world, self.channel)
    }

    pub fn id(&self, who: usize) -> PartnerId {
        self.world.partners[who].id
    }

    pub fn ids(&self, who: &[usize]) -> BTreeSet<PartnerId> {
        who.iter().map(|who| self.id(*who)).collect()
    }

    pub fn replica(&self, at: usize) -> &Replica {
        self.world.replica(at).expect("the honest are up")
    }

    pub fn held(&self, at: usize) -> &Channel {
        held(&self.world, at, self.channel)
    }

    pub fn holds(&self, at: usize, id: &EventId) -> bool {
        !self.held(at).find_message(&id.to_hex()).is_empty()
    }

    /// The text that a partner can show of a message.
    pub fn text(&self, at: usize, id: &EventId) -> Option<String> {
        let event = self.world.partners[at]
            .disk
            .events()
            .find(|event| event.id == *id)?;
        let secret = self.replica(at).secret(&event.header.key_event?);
        let body = keys::open(&event, secret).ok()?;
        Some(MessageBody::from_bytes(&body).ok()?.message)
    }

    /// What the honest put on record of a liar: whether any notice fits.
    pub fn noticed(&self, at: usize, fits: impl Fn(&Notice) -> bool) -> bool {
        self.count(at, fits) > 0
    }

    pub fn count(&self, at: usize, fits: impl Fn(&Notice) -> bool) -> usize {
        let notices = self.world.notices().iter();
        notices
            .filter(|(who, notice)| *who == at && fits(notice))
            .count()
    }

    /// Whether an honest partner accused a liar, with these words in the reason.
    pub fn accused(&self, at: usize, liar: usize, words: &str) -> bool {
        let liar = self.id(liar);
        self.noticed(at, |notice| {
            matches!(notice, Notice::Misbehaved { peer, why } if *peer == liar && why.contains(words))
        })
    }
}

pub fn draft(audience: Option<BTreeSet<PartnerId>>) -> Draft {
    Draft {
        user: UserName::try_from("user".to_string()).expect("a legal name"),
        claimed_ms: 1_700_000_000_000,
        precedence: Precedence::Routine,
        audience,
        label: None,
    }
}

pub fn held(world: &World, at: usize, channel: ChannelId) -> &Channel {
    &world.replica(at).expect("the honest are up").channels()[&channel]
}

pub fn is_shown(channel: &Channel, id: &EventId) -> bool {
    let found = channel.find_message(&id.to_hex());
    let shown = |pos| !channel.is_flagged(pos) && !channel.is_erased(pos);
    found.first().is_some_and(|pos| shown(*pos))
}

fn agree(world: &World, channel: ChannelId) -> bool {
    let digests = |at| -> Vec<(LaneId, Hash, Hash)> {
        let held = held(world, at, channel);
        let lanes = held.common_lanes();
        lanes
            .map(|lane| (lane, held.timeline_digest(lane), held.state_digest(lane)))
            .collect()
    };
    HONEST.map(digests).collect::<BTreeSet<_>>().len() == 1
}
