//! What a partner in hostile hands does besides what its machine does: forged and misdated events,
//! forks, garbage, floods, lies about heads, questions for what it may not read.

use std::collections::BTreeSet;

use comity_crypto::SigningKey;
use comity_protocol::authority::Status;
use comity_protocol::body::{EndorseBody, GrantBody, RemoveBody, Role};
use comity_protocol::channel::Channel;
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Event, Kind, Reference};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, Hash, LaneId, PartnerId, WriterId};
use comity_protocol::identity::Name;
use comity_protocol::keys::Entropy;
use comity_protocol::lane::{History, control_lane};
use comity_protocol::limits;
use comity_protocol::replica::{Command, Input, Output, Proposal, StreamClass};
use comity_protocol::rows::{Table, read_event};
use comity_protocol::wire::{AskHeads, AskKeys, Frame, Head, Heads, ShowLane, Want};

use super::Swarm;
use super::node::{key_seed, restored};
use super::schedule::{Action, Verb};
use crate::disk::Disk;
use crate::hostile::{Captive, Pen, events_frames, text_body};
use crate::oracles::truth::Never;

/// Frames that a hostile partner remembers, to say them again.
const OVERHEARD: usize = 64;
/// Charters in one frame.
const OFFERED_AT_ONCE: usize = 32;
/// A day, ms.
const DAY_MS: u64 = 24 * 3600 * 1000;

impl Swarm {
    /// Does what a hostile partner does.
    pub(super) fn lie(&mut self, action: Action) {
        if !self.options.byzantine {
            return;
        }
        let twins = self.of_partner.last().cloned().unwrap_or_default();
        let node = twins[(action.node % twins.len() as u64) as usize];
        self.byzantine_acts += 1;
        self.count(action.verb.word());
        self.log(node, || format!("*** {}", action.line()));
        match action.verb {
            Verb::Swap => self.swap_sides(&twins, action.a),
            Verb::Withhold => self.nodes[node].withholds = action.b,
            Verb::Echo => self.nodes[node].echoes = 10 + action.b % 60,
            Verb::Corrupt => self.nodes[node].corrupts = 2 + action.b % 20,
            Verb::Relent => {
                let node = &mut self.nodes[node];
                (node.withholds, node.echoes, node.corrupts) = (0, 0, 0);
            }
            Verb::Garbage => self.say_garbage(node, action),
            Verb::Oversize => {
                let mut bytes = vec![0; limits::FRAME_BYTES + 512];
                bytes[0] = 6;
                self.say(node, u64::MAX, StreamClass::Routine, bytes);
            }
            Verb::Replay => {
                for (class, bytes) in self.overheard.clone() {
                    let said = self.say(node, action.b | 1, class, bytes);
                    self.hit_times("frame replayed", said);
                }
            }
            Verb::Flood => self.flood(node, action),
            Verb::AskForeign => self.ask_foreign(node),
            Verb::OfferMany => self.offer_many(node, action),
            Verb::Leak => self.leak(node, action),
            _ => self.write_lies(node, action),
        }
    }

    /// Twins talk to others than before.
    fn swap_sides(&mut self, twins: &[usize], sides: u64) {
        let changed = self.sides ^ sides;
        self.sides = sides;
        for honest in 0..self.nodes.len() {
            if (changed >> honest) & 1 == 1 {
                for twin in twins {
                    self.sever(honest, *twin, 0);
                }
            }
        }
    }

    /// Whether a hostile node keeps a frame to itself.
    pub(super) fn is_withheld(
        &self,
        node: usize,
        to: usize,
        class: StreamClass,
        bytes: &[u8],
    ) -> bool {
        let carries_events = bytes.first() == Some(&6) || class == StreamClass::Backfill;
        carries_events && (self.nodes[node].withholds >> to) & 1 == 1
    }

    /// What reaches a hostile node it can say again.
    pub(super) fn overhear(&mut self, to: usize, class: StreamClass, bytes: &[u8]) {
        if self.nodes[to].byzantine && bytes.len() < 20_000 {
            if self.overheard.len() >= OVERHEARD {
                self.overheard.remove(0);
            }
            self.overheard.push((class, bytes.to_vec()));
        }
    }

    /// What a hostile node does to a frame of its own machine: how often it leaves, and as what.
    pub(super) fn meddle(&mut self, node: usize, bytes: &mut [u8]) -> u64 {
        let (echoes, corrupts) = (self.nodes[node].echoes, self.nodes[node].corrupts);
        let actor = node as u64;
        if self.dice.percent("corrupt", actor, corrupts) {
            let at = self.dice.below("corrupt-at", actor, 8 * bytes.len() as u64);
            if let Some(byte) = bytes.get_mut((at / 8) as usize) {
                *byte ^= 1 << (at % 8);
                self.hit("frame corrupted");
            }
        }
        let twice = self.dice.percent("echo", actor, echoes);
        self.hit_times("frame duplicated", u64::from(twice));
        1 + u64::from(twice)
    }

    /// Sends bytes to those of the linked peers that a set names; gives how many they are.
    fn say(&mut self, node: usize, set: u64, class: StreamClass, bytes: Vec<u8>) -> u64 {
        let mut said = 0;
        for to in 0..self.nodes.len() {
            if to != node && (set >> to) & 1 == 1 && self.is_linked(node, to) {
                let number = self.link(node, to).map_or(0, |link| link.number);
                said += u64::from(self.transmit(node, to, number, class, bytes.clone()));
            }
        }
        said
    }

    /// Sends events on a stream that the node's machine does not use.
    fn show(&mut self, node: usize, set: u64, events: &[Event]) {
        for bytes in events_frames(events) {
            self.say(node, set, StreamClass::Files, bytes);
        }
    }

    fn say_garbage(&mut self, node: usize, action: Action) {
        let mut bytes = self.dice.bytes("garbage", node as u64).to_vec();
        bytes[0] = (action.b % 16) as u8;
        let overheard = self.overheard.get(action.a as usize % OVERHEARD).cloned();
        if let Some((_, mut heard)) = overheard
            && !heard.is_empty()
            && action.a.is_multiple_of(2)
        {
            let at = action.b as usize % heard.len();
            heard[at] ^= 1 << (action.a % 8);
            bytes = heard;
        }
        let said = self.say(node, u64::MAX, StreamClass::Control, bytes);
        self.hit_times("frame corrupted", said);
    }

    fn flood(&mut self, node: usize, action: Action) {
        let channel = self.channels.first().copied();
        let channel = channel.unwrap_or(ChannelId([7; 32]));
        for number in 0..200 {
            let id = self.dice.bytes("flood", node as u64);
            let lane = LaneId(id);
            let writer = WriterId(id);
            let frame = match number % 4 {
                0 => Frame::AskHeads(AskHeads { channel, lane }),
                1 => Frame::Want(Want {
                    channel,
                    lane,
                    writer,
                    from: 1,
                    to: u64::MAX,
                }),
                2 => Frame::Lane(ShowLane {
                    channel,
                    form: 3,
                    audience: vec![PartnerId(id)],
                }),
                _ => Frame::Heads(Heads {
                    channel,
                    lane: control_lane(channel),
                    all: false,
                    logs: vec![Head {
                        writer,
                        seq: action.b,
                        id: comity_protocol::id::EventId(id),
                    }],
                }),
            };
            self.say(node, u64::MAX, StreamClass::Control, frame.to_bytes());
        }
        self.ask_for_many_keys(node, channel);
    }

    /// Asks for the same secrets again and again.
    fn ask_for_many_keys(&mut self, node: usize, channel: ChannelId) {
        let own = self.id_of(node);
        let Some(replica) = self.replica(node) else {
            return;
        };
        let Some(held) = replica.channels().get(&channel) else {
            return;
        };
        let lanes: BTreeSet<LaneId> = held.epochs().map(|(_, lane)| lane).collect();
        for lane in lanes {
            let mut key_events = self.oracles.truth.key_events(channel, lane);
            key_events.sort_unstable();
            key_events.truncate(limits::KEYS_PER_FRAME);
            if key_events.is_empty() || !self.oracles.truth.reads(channel, lane, &own) {
                continue;
            }
            let times = 400 / key_events.len().max(4);
            let ask = Frame::AskKeys(AskKeys {
                channel,
                lane,
                key_events,
            });
            for _ in 0..times {
                self.say(node, u64::MAX, StreamClass::Control, ask.to_bytes());
            }
            return;
        }
    }

    /// Asks for all that it may not read, and for secrets under the name of a lane that it may.
    fn ask_foreign(&mut self, node: usize) {
        let own = self.id_of(node);
        let mut readable: Vec<(ChannelId, LaneId)> = Vec::new();
        if let Some(replica) = self.replica(node) {
            for channel in replica.channels().values() {
                let lanes = channel.lanes().map(|(lane, _)| (channel.id, *lane));
                readable.extend(lanes);
            }
        }
        for (channel, lane) in self.oracles.truth.foreign_lanes(&own) {
            let ask = Frame::AskHeads(AskHeads { channel, lane });
            self.say(node, u64::MAX, StreamClass::Control, ask.to_bytes());
            for papers in 0..self.papers.len() {
                let writer = self.papers[papers].writers[0];
                let want = Frame::Want(Want {
                    channel,
                    lane,
                    writer,
                    from: 1,
                    to: 1_000,
                });
                self.say(node, u64::MAX, StreamClass::Control, want.to_bytes());
            }
            let mut key_events = self.oracles.truth.key_events(channel, lane);
            key_events.sort_unstable();
            key_events.truncate(limits::KEYS_PER_FRAME);
            if key_events.is_empty() {
                continue;
            }
            let mut named: Vec<LaneId> = vec![lane];
            let same = readable.iter().filter(|(of, _)| *of == channel);
            named.extend(same.map(|(_, lane)| *lane));
            for lane in named {
                let ask = Frame::AskKeys(AskKeys {
                    channel,
                    lane,
                    key_events: key_events.clone(),
                });
                self.say(node, u64::MAX, StreamClass::Control, ask.to_bytes());
            }
        }
    }

    /// Shows each of some peers all that it holds of lanes that the peer may not read.
    fn leak(&mut self, node: usize, action: Action) {
        let held: Vec<Event> = self.nodes[node].disk.events().collect();
        for to in 0..self.nodes.len() {
            let reader = self.id_of(to);
            let truth = &self.oracles.truth;
            let foreign = held.iter().filter(|event| {
                let (channel, lane) = (event.header.channel, event.header.lane);
                lane != control_lane(channel) && !truth.reads(channel, lane, &reader)
            });
            let foreign: Vec<Event> = foreign.cloned().collect();
            if foreign.is_empty() || (action.b | 1) >> to & 1 == 0 {
                continue;
            }
            self.count("events leaked");
            self.show(node, 1 << to, &foreign);
        }
    }

    /// Offers more channels than anybody may have on offer.
    fn offer_many(&mut self, node: usize, action: Action) {
        let papers = &self.papers[self.nodes[node].partner];
        let Ok(mut scratch) = restored(papers, &Disk::default(), 0, [3; 32]) else {
            return;
        };
        let now = self.now_at(node);
        let mut events = Vec::new();
        // Reading a charter costs its receiver two checks of its creator's papers, so it is one
        // run in some that goes over the limit.
        let many = match action.a % 4 {
            0 | 1 if !self.options.real_signatures => limits::INVITATIONS_PER_PEER + 64,
            _ => 10,
        };
        for number in 0..many {
            let name = Name::try_from(format!("offer-{number}")).expect("a legal name");
            let command = Command::CreateChannel {
                name,
                history: History::FromJoin,
                quorum: 0,
            };
            let entropy = Entropy::new(self.dice.bytes("offers", node as u64));
            scratch.handle(
                Input::Command {
                    ticket: 0,
                    command: Box::new(command),
                    entropy,
                },
                now,
            );
            while let Some(output) = scratch.poll() {
                let Output::Append { rows } = output else {
                    continue;
                };
                let rows = rows.iter().filter(|row| row.table == Table::Events);
                let values = rows.filter_map(|row| row.value.as_deref());
                let stored = values.filter_map(|value| read_event(value).ok());
                events.extend(stored.map(|stored| stored.event));
            }
        }
        for event in &events {
            self.oracles.truth.sign(event);
        }
        // In many frames, so that some come while others are being verified.
        let to = action.b % self.nodes.len() as u64;
        for part in events.chunks(OFFERED_AT_ONCE) {
            self.show(node, 1 << to, part);
        }
    }

    /// Lies that are written and signed.
    fn write_lies(&mut self, node: usize, action: Action) {
        let count = self.channels.len().max(1) as u64;
        let Some(&channel) = self.channels.get((action.a % count) as usize) else {
            return;
        };
        let partner = self.nodes[node].partner;
        let mut captive = self.papers[partner].captive(&self.nodes[node].disk);
        if matches!(action.verb, Verb::Backdate | Verb::GhostAct | Verb::Wide) {
            // It does not know that it is out.
            let own = captive.id();
            captive.events.retain(|event| !ends(event, own));
        }
        let mut pen = captive.pen(channel);
        pen.now_ms = self.now_at(node).wall.0;
        if pen.channel.present().member(&pen.partner).is_none() {
            return;
        }
        let lie = Lie {
            node,
            action,
            partner: pen.partner,
            is_out: self.is_out_everywhere(node, channel),
        };
        match action.verb {
            Verb::Forge => self.forge(&lie, &captive, &pen),
            Verb::WrongKey => self.sign_wrongly(&lie, &mut pen),
            Verb::ForkPost => self.fork(&lie, &captive, pen),
            Verb::Backdate => self.backdate(&lie, &mut pen),
            Verb::WrongAudience => self.misname(&lie, &mut pen),
            Verb::WidenDep => self.widen(&lie, &mut pen),
            Verb::QuorumGame => self.endorse_twice(&lie, &mut pen),
            Verb::GhostAct => self.act_as_ghost(&lie, &mut pen),
            Verb::LieHeads => self.lie_about_heads(&lie, &pen.channel),
            Verb::Deep => {
                let mut events = Vec::new();
                for number in 0..40 {
                    events.extend(self.may(&pen).then(|| pen.post(&format!("deep {number}"))));
                }
                let events: Vec<Event> = events.into_iter().flatten().collect();
                self.note_messages(&lie, &events);
                let backwards: Vec<Event> = events.into_iter().rev().collect();
                self.show(node, action.b | 1, &backwards);
            }
            Verb::Wide => {
                let members: Vec<PartnerId> = pen.channel.present().active().into_iter().collect();
                let mut events = Vec::new();
                for set in 0..1u64 << members.len().min(4) {
                    let chosen = members.iter().enumerate();
                    let chosen =
                        chosen.filter(|(at, it)| (set >> at) & 1 == 1 || **it == lie.partner);
                    let audience = chosen.map(|(_, partner)| *partner).collect();
                    if self.may(&pen) {
                        events.extend(pen.post_to(audience, "wide"));
                    }
                }
                self.note_messages(&lie, &events);
                self.show(node, u64::MAX, &events);
            }
            _ => {}
        }
    }

    /// Whether its present role lets the pen's partner write messages: the pen does not ask.
    fn may(&self, pen: &Pen) -> bool {
        let member = pen.channel.present().member(&pen.partner);
        member.is_some_and(|member| member.role >= Role::Contributor)
    }

    /// Whether every honest partner that was ever in the channel knows that this one is out.
    fn is_out_everywhere(&self, node: usize, channel: ChannelId) -> bool {
        let own = self.id_of(node);
        let honest = self.nodes.iter().filter(|node| !node.byzantine);
        honest.clone().all(|node| {
            let Some(replica) = &node.replica else {
                return false;
            };
            let held = replica.channels().get(&channel);
            let member = held.and_then(|held| held.present().members.get(&own));
            !node.restored && member.is_none_or(|it| it.status == Status::Removed)
        }) && honest.clone().any(|node| {
            let replica = node.replica.as_ref();
            replica.is_some_and(|it| it.channels().contains_key(&channel))
        })
    }

    /// Takes note of messages as signed, and of those that nobody may show.
    fn note_messages(&mut self, lie: &Lie, events: &[Event]) {
        for event in events {
            self.oracles.truth.sign(event);
            if lie.is_out && event.header.kind().is_sealed() {
                self.reached_ghost();
                let never = (Never::Shown, "written when its author had been removed");
                self.oracles.truth.never.insert(event.id, never);
            }
        }
    }

    fn reached_ghost(&mut self) {
        self.count("messages of the removed");
    }

    fn never(&mut self, event: &Event, what: &'static str) {
        let never = (Never::Accepted, what);
        self.oracles.truth.never.insert(event.id, never);
    }

    /// An event in the name of another partner.
    fn forge(&mut self, lie: &Lie, captive: &Captive, pen: &Pen) {
        let theirs = captive.events.iter().filter(|event| {
            event.header.channel == pen.channel.id && event.header.writer != pen.writer
        });
        let theirs: Vec<&Event> = theirs.collect();
        let Some(at) = (lie.action.b as usize).checked_rem(theirs.len()) else {
            return;
        };
        let last = theirs[at];
        let mut header = last.header.clone();
        header.seq += 1;
        header.prev = Some(last.id);
        header.deps.clear();
        header.control_heads.clear();
        let Ok(event) = Event::sign(header, last.body.clone(), &pen.signing) else {
            return;
        };
        self.never(&event, "which another partner signed");
        self.show(lie.node, u64::MAX, &[event]);
    }

    fn sign_wrongly(&mut self, lie: &Lie, pen: &mut Pen) {
        if !self.may(pen) {
            return;
        }
        let events = pen.post("under another key");
        let Some((last, before)) = events.split_last() else {
            return;
        };
        self.note_messages(lie, before);
        let seed = self.dice.bytes("wrong-key", lie.node as u64);
        let other = SigningKey::from_seed(&key_seed(seed, self.options.real_signatures));
        if let Ok(event) = Event::sign(last.header.clone(), last.body.clone(), &other) {
            self.never(&event, "which no known key signed");
            self.show(lie.node, u64::MAX, before);
            self.show(lie.node, u64::MAX, &[event]);
        }
    }

    /// Two messages for one position, each shown to some.
    fn fork(&mut self, lie: &Lie, captive: &Captive, mut pen: Pen) {
        if !self.may(&pen) {
            return;
        }
        let mut other = captive.pen(pen.channel.id);
        other.now_ms = pen.now_ms + 1;
        let one = pen.post("one side");
        let two = other.post("other side");
        self.note_messages(lie, &one);
        self.note_messages(lie, &two);
        self.show(lie.node, lie.action.b, &one);
        self.show(lie.node, !lie.action.b, &two);
    }

    /// A message that says it is old.
    fn backdate(&mut self, lie: &Lie, pen: &mut Pen) {
        if !self.may(pen) {
            return;
        }
        pen.now_ms = pen.now_ms.saturating_sub(lie.action.b % (30 * DAY_MS));
        let events = pen.post("long ago");
        self.note_messages(lie, &events);
        self.show(lie.node, lie.action.b | 1, &events);
    }

    /// A key event in a lane that is not that of its readers.
    fn misname(&mut self, lie: &Lie, pen: &mut Pen) {
        if !self.may(pen) {
            return;
        }
        let events = pen.post_to([lie.partner].into(), "misnamed");
        let Some(key) = events.iter().find(|it| it.header.kind() == Kind::Key) else {
            return;
        };
        let mut header = key.header.clone();
        header.lane = LaneId(self.dice.bytes("misname", lie.node as u64));
        header.seq = 1;
        header.prev = None;
        header.deps.clear();
        header.control_heads = pen.control_heads();
        let event = pen.sign(header, key.body.clone());
        self.oracles.truth.sign(&event);
        self.never(&event, "whose lane is not that of its readers");
        self.show(lie.node, u64::MAX, &[event]);
    }

    /// A message to all that cites one to few.
    fn widen(&mut self, lie: &Lie, pen: &mut Pen) {
        if !self.may(pen) || pen.channel.present().active().len() < 3 {
            return;
        }
        let members: Vec<PartnerId> = pen.channel.present().active().into_iter().collect();
        let friend = members.iter().find(|it| **it != lie.partner).copied();
        let audience: BTreeSet<PartnerId> = friend.into_iter().chain([lie.partner]).collect();
        let narrow = pen.post_to(audience, "narrow");
        let Some(cited) = narrow.last() else { return };
        let events = pen.post("wide");
        let Some((last, before)) = events.split_last() else {
            return;
        };
        let mut header = last.header.clone();
        header.deps.push(Reference {
            lane: Some(cited.header.lane),
            writer: cited.header.writer,
            seq: cited.header.seq,
            id: cited.id,
        });
        Reference::sort(&mut header.deps);
        let Some(key_event) = header.key_event else {
            return;
        };
        let event = pen.seal(header, &text_body("wide"), pen.secret(&key_event));
        self.note_messages(lie, &narrow);
        self.note_messages(lie, before);
        self.oracles.truth.sign(&event);
        self.never(&event, "which cites a narrower lane");
        self.show(lie.node, u64::MAX, &narrow);
        self.show(lie.node, u64::MAX, before);
        self.show(lie.node, u64::MAX, &[event]);
    }

    /// Carries out what needs two owners with two endorsements of its own.
    fn endorse_twice(&mut self, lie: &Lie, pen: &mut Pen) {
        let present = pen.channel.present().clone();
        let owners: Vec<PartnerId> = present
            .active()
            .into_iter()
            .filter(|it| present.member(it).is_some_and(|it| it.role == Role::Owner))
            .collect();
        let target = owners.iter().find(|it| **it != lie.partner).copied();
        let (Some(target), true) = (target, owners.contains(&lie.partner)) else {
            return;
        };
        if owners.len() < 3 {
            return;
        }
        self.count("quorum games");
        let proposal = Proposal::Remove { partner: target }.id(&pen.channel.id);
        // As many as a majority of owners would be.
        let mut events = Vec::new();
        for _ in 0..=owners.len() / 2 {
            events.extend(pen.act(Kind::Endorse, EndorseBody { proposal }.to_bytes()));
        }
        let mut endorsements: Vec<_> = events.iter().map(|event| event.id).collect();
        endorsements.sort_unstable();
        let body = RemoveBody {
            partner: target,
            endorsements,
        };
        events.extend(pen.act(Kind::Remove, body.to_bytes()));
        for event in &events {
            self.oracles.truth.sign(event);
            if event.header.kind() == Kind::Remove {
                let never = (Never::Effective, "which one owner alone endorsed");
                self.oracles.truth.never.insert(event.id, never);
            }
        }
        self.show(lie.node, u64::MAX, &events);
    }

    /// A removed partner acts as if it did not know.
    fn act_as_ghost(&mut self, lie: &Lie, pen: &mut Pen) {
        let present = pen.channel.present().clone();
        let role = present.member(&lie.partner).map(|member| member.role);
        let victim = present.active().into_iter().find(|it| {
            let below = present.member(it).map(|member| member.role) < role;
            *it != lie.partner && below
        });
        let (Some(victim), true) = (victim, role >= Some(Role::Admin)) else {
            return;
        };
        let body = GrantBody {
            partner: victim,
            role: Role::Observer,
            endorsements: Vec::new(),
        };
        let events = pen.act(Kind::Grant, body.to_bytes());
        for event in &events {
            self.oracles.truth.sign(event);
            if lie.is_out {
                self.count("acts of the removed");
                let never = (
                    Never::Effective,
                    "an act of a partner that had been removed",
                );
                self.oracles.truth.never.insert(event.id, never);
            }
        }
        self.show(lie.node, u64::MAX, &events);
    }

    fn lie_about_heads(&mut self, lie: &Lie, channel: &Channel) {
        let lanes: Vec<LaneId> = channel.lanes().map(|(lane, _)| *lane).collect();
        for lane in lanes {
            let mut logs: Vec<Head> = channel
                .graph()
                .logs_of(lane)
                .filter_map(|(writer, chains)| {
                    let chain = *chains.first()?;
                    let head = channel.graph().chain(chain).head();
                    // Too much or too little.
                    let (seq, told) = match lie.action.a % 2 {
                        0 => (head, head + 1 + lie.action.b % 1_000),
                        _ => (head.div_ceil(2), head.div_ceil(2)),
                    };
                    let id = channel.graph().get(Pos { chain, seq })?.id;
                    let seq = told;
                    Some(Head { writer, seq, id })
                })
                .collect();
            logs.sort_unstable();
            let heads = Frame::Heads(Heads {
                channel: channel.id,
                lane,
                all: true,
                logs,
            });
            let have = Frame::Have(comity_protocol::wire::Have {
                lanes: vec![comity_protocol::wire::HaveLane {
                    channel: channel.id,
                    lane,
                    digest: Hash(self.dice.bytes("lie", lie.node as u64)),
                }],
            });
            for frame in [have, heads] {
                self.say(lie.node, u64::MAX, StreamClass::Control, frame.to_bytes());
            }
        }
    }
}

/// Whether an event ends a partner's membership.
fn ends(event: &Event, partner: PartnerId) -> bool {
    let ends = matches!(event.header.kind(), Kind::Remove | Kind::Suspend);
    ends && RemoveBody::from_bytes(&event.body).is_ok_and(|body| body.partner == partner)
}

/// Who lies, and what about it is known.
struct Lie {
    node: usize,
    action: Action,
    partner: PartnerId,
    /// All honest partners know that it has been removed.
    is_out: bool,
}
