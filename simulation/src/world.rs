//! The mesh: partners, links, and what happens when.

mod files;
mod planned;

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::authority::Status;
use comity_protocol::event::{Precedence, TAG_EVENT_SIGNATURE, UserName};
use comity_protocol::evidence::SignedHeader;
use comity_protocol::id::{ChannelId, EventId, PartnerId};
use comity_protocol::keys::Entropy;
use comity_protocol::lane::History;
use comity_protocol::replica::{
    Command, CommandError, Draft, Input, Notice, Output, Recall, Replica, SendRange, StreamClass,
    Written,
};
use comity_protocol::rows::{self, Row, Table};
use comity_protocol::time::{Instant, Now, WallTime};
use comity_protocol::wire::{Events, Frame, LogId, RangeEnd};

use crate::chance::Chance;
use crate::hostile::Captive;
use crate::pace::{Pace, SentFrame};
use crate::partner::{Partner, Waiting};

pub use files::SentFile;
pub(crate) use planned::{Arrival, Planned};

/// Simulated milliseconds since the Unix epoch at the start of every run.
const START_MS: u64 = 1_700_000_000_000;
/// Events in one frame of a range.
const RANGE_CHUNK: usize = 64;

/// A post whose author was told that it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    pub partner: usize,
    pub channel: ChannelId,
    pub id: EventId,
}

#[derive(Debug)]
enum Happening {
    Deliver {
        from: usize,
        to: usize,
        link: u64,
        class: StreamClass,
        bytes: Vec<u8>,
    },
    Synced {
        partner: usize,
        life: u64,
        outputs: usize,
    },
    Verified {
        partner: usize,
        life: u64,
        batch: u64,
        valid: Vec<bool>,
    },
    Wake {
        partner: usize,
        life: u64,
    },
    Drained {
        partner: usize,
        link: u64,
        peer: usize,
    },
    /// A planned link goes on with what waits for it.
    Carry {
        from: usize,
        to: usize,
        link: u64,
    },
    /// A planned link is looked at for silence.
    Probe {
        a: usize,
        b: usize,
        link: u64,
    },
}

/// A link between two partners.
#[derive(Debug)]
struct Link {
    /// Counts its lives.
    number: u64,
    up: bool,
    /// When the last frame of a direction and class arrives: streams keep their order.
    last_arrival: BTreeMap<(usize, StreamClass), u64>,
}

/// Runs partners, links and disks on one simulated clock.
pub struct World {
    pub partners: Vec<Partner>,
    chance: Chance,
    now_ms: u64,
    pace: Pace,
    /// By time, rank and number.
    agenda: BTreeMap<(u64, u64, u64), Happening>,
    sent: Vec<SentFrame>,
    scheduled: u64,
    links: BTreeMap<(usize, usize), Link>,
    /// Directions whose queue is full: frames are dropped.
    full: BTreeSet<(usize, usize)>,
    tickets: u64,
    answers: BTreeMap<u64, Result<Written, CommandError>>,
    open_posts: BTreeMap<u64, usize>,
    acknowledged: Vec<Acknowledged>,
    misbehaviour: Vec<String>,
    /// What the honest reported, but for what they accepted, by whom.
    notices: Vec<(usize, Notice)>,
    /// Links that honest ends are about to close.
    hang_ups: BTreeSet<(usize, usize)>,
    /// What reached partners that are in hostile hands.
    heard: Vec<SentFrame>,
    published: BTreeMap<(LogId, u64), EventId>,
    double_signed: Vec<(LogId, u64)>,
    /// Per receiver and sender: questions for pieces, and pieces with bytes.
    files_told: BTreeMap<(usize, usize), (usize, usize)>,
    /// Who was asked by hand, on whose behalf, and the answer.
    by_hand: Option<(usize, PartnerId, Option<Vec<u8>>)>,
    /// Links with a rate, in place of those of the pace.
    planned: Option<Planned>,
    trace: [u8; 32],
}

impl World {
    /// A mesh of partners with these names, not linked yet.
    pub fn new(seed: u64, names: &[&str]) -> World {
        let mut chance = Chance::new(seed);
        World {
            partners: names
                .iter()
                .map(|name| Partner::new(name, &mut chance))
                .collect(),
            chance,
            now_ms: 0,
            pace: Pace::Varied,
            agenda: BTreeMap::new(),
            sent: Vec::new(),
            scheduled: 0,
            links: BTreeMap::new(),
            full: BTreeSet::new(),
            tickets: 0,
            answers: BTreeMap::new(),
            open_posts: BTreeMap::new(),
            acknowledged: Vec::new(),
            misbehaviour: Vec::new(),
            notices: Vec::new(),
            hang_ups: BTreeSet::new(),
            heard: Vec::new(),
            published: BTreeMap::new(),
            double_signed: Vec::new(),
            files_told: BTreeMap::new(),
            by_hand: None,
            planned: None,
            trace: [0; 32],
        }
    }

    /// The same, at the even pace.
    pub fn even(seed: u64, names: &[&str]) -> World {
        World {
            pace: Pace::Even,
            ..World::new(seed, names)
        }
    }

    /// Every frame that went out at the even pace, in order.
    pub fn sent(&self) -> &[SentFrame] {
        &self.sent
    }

    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    pub fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// The machine of a partner whose process is up.
    pub fn replica(&self, partner: usize) -> Option<&Replica> {
        self.partners[partner].replica.as_ref()
    }

    /// Posts whose authors were told that they are stored.
    pub fn acknowledged(&self) -> &[Acknowledged] {
        &self.acknowledged
    }

    /// What honest partners accused one another of: must stay empty.
    pub fn misbehaviour(&self) -> &[String] {
        &self.misbehaviour
    }

    /// What processes reported, by whom, but for what they accepted.
    pub fn notices(&self) -> &[(usize, Notice)] {
        &self.notices
    }

    /// Every frame that reached a partner in hostile hands, in order.
    pub fn heard(&self) -> &[SentFrame] {
        &self.heard
    }

    /// Positions for which a partner let two events out: must stay empty.
    pub fn double_signed(&self) -> &[(LogId, u64)] {
        &self.double_signed
    }

    /// A digest over everything that happened: equal for equal runs.
    pub fn trace(&self) -> [u8; 32] {
        self.trace
    }

    // What a scenario does.

    /// Brings the link between two partners up.
    pub fn connect(&mut self, a: usize, b: usize) {
        let key = (a.min(b), a.max(b));
        let link = self.links.entry(key).or_insert(Link {
            number: 0,
            up: false,
            last_arrival: BTreeMap::new(),
        });
        if link.up || !self.partners[a].answers() || !self.partners[b].answers() {
            return;
        }
        link.up = true;
        link.number += 1;
        link.last_arrival.clear();
        self.full.remove(&(a, b));
        self.full.remove(&(b, a));
        self.begin_planned(a, b);
        for (one, other) in [(a, b), (b, a)] {
            let peer = self.partners[other].id;
            self.partners[one].backfill.remove(&peer);
            self.handle(one, Input::PeerUp { peer });
        }
    }

    /// Cuts the link between two partners: what is under way is lost.
    pub fn cut(&mut self, a: usize, b: usize) {
        let key = (a.min(b), a.max(b));
        let Some(link) = self.links.get_mut(&key).filter(|link| link.up) else {
            return;
        };
        link.up = false;
        self.end_planned(a, b);
        for (one, other) in [(a, b), (b, a)] {
            let peer = self.partners[other].id;
            self.handle(one, Input::PeerDown { peer });
        }
    }

    /// Links everyone with everyone.
    pub fn connect_all(&mut self) {
        for a in 0..self.partners.len() {
            for b in a + 1..self.partners.len() {
                self.connect(a, b);
            }
        }
    }

    /// Kills a partner's process; its links go with it.
    pub fn kill(&mut self, partner: usize) {
        for other in (0..self.partners.len()).filter(|other| *other != partner) {
            self.cut(partner, other);
        }
        self.partners[partner].kill();
        self.open_posts.retain(|_, by| *by != partner);
    }

    /// Starts a partner's process again.
    pub fn start(&mut self, partner: usize) {
        if self.partners[partner].replica.is_none() {
            self.partners[partner].start();
        }
    }

    /// Puts a partner into hostile hands: its process stops, its links stay up, and what comes on
    /// them is kept in [`World::heard`]. An honest partner that accuses it hangs up, as a node
    /// does; [`World::connect`] lets it come back.
    pub fn seize(&mut self, partner: usize) -> Captive {
        let captive = self.partners[partner].captive();
        self.partners[partner].kill();
        self.partners[partner].seized = true;
        self.open_posts.retain(|_, by| *by != partner);
        captive
    }

    /// Sends any bytes from a partner in hostile hands.
    pub fn tell(&mut self, from: usize, to: usize, class: StreamClass, bytes: Vec<u8>) {
        let peer = self.partners[to].id;
        self.send(from, peer, class, bytes);
    }

    /// Fills the queue from one partner to another: frames are dropped until it drains.
    pub fn overflow(&mut self, from: usize, to: usize, for_ms: u64) {
        if self.is_up(from, to) && self.full.insert((from, to)) {
            let peer = self.partners[to].id;
            let link = self.link_number(from, peer);
            self.schedule(
                for_ms,
                Happening::Drained {
                    partner: from,
                    link,
                    peer: to,
                },
            );
            self.handle(from, Input::Congested { peer });
        }
    }

    /// Gives an order and runs until it is answered.
    pub fn command(&mut self, partner: usize, command: Command) -> Result<Written, CommandError> {
        let entropy = self.chance.bytes(&format!("entropy/{partner}"));
        self.command_with(partner, command, entropy)
    }

    /// The same, with randomness of the caller's choice.
    pub fn command_with(
        &mut self,
        partner: usize,
        command: Command,
        entropy: [u8; 32],
    ) -> Result<Written, CommandError> {
        let ticket = self.order(partner, command, entropy);
        while !self.answers.contains_key(&ticket) && self.step() {}
        self.answers
            .remove(&ticket)
            .expect("an order to a running partner is answered")
    }

    /// Posts without waiting for the answer.
    pub fn post(&mut self, partner: usize, channel: ChannelId, text: &str) {
        if self.partners[partner].replica.is_none() {
            return;
        }
        let user = UserName::try_from("user".to_string()).expect("a legal name");
        let draft = Draft {
            user,
            claimed_ms: START_MS + self.now_ms,
            precedence: Precedence::Routine,
            audience: None,
            label: None,
        };
        let command = Command::Post {
            channel,
            draft,
            text: text.into(),
            reply_to: None,
            rows: Vec::new(),
        };
        let entropy = self.chance.bytes(&format!("entropy/{partner}"));
        let ticket = self.order(partner, command, entropy);
        self.open_posts.insert(ticket, partner);
    }

    /// Founds a channel at the first partner and brings all others in.
    pub fn shared_channel(&mut self, name: &str) -> ChannelId {
        self.channel_among(name, History::default(), self.partners.len())
    }

    /// Founds a channel at the first partner and brings in the others up to `members` in all.
    pub fn channel_among(&mut self, name: &str, history: History, members: usize) -> ChannelId {
        let name =
            comity_protocol::identity::Name::try_from(name.to_string()).expect("a legal name");
        let channel = self
            .command(
                0,
                Command::CreateChannel {
                    name,
                    history,
                    quorum: 0,
                },
            )
            .expect("a channel is made")
            .channel;
        for other in 1..members {
            self.admit(channel, other, comity_protocol::body::Role::Contributor);
        }
        channel
    }

    /// The first partner invites another into a channel, which accepts; everybody who is up and
    /// placed hears of it.
    pub fn admit(&mut self, channel: ChannelId, other: usize, role: comity_protocol::body::Role) {
        let partner = self.partners[other].identity.clone();
        let id = self.partners[other].id;
        let order = Command::Share {
            channel,
            partner,
            role,
        };
        self.command(0, order).expect("an owner may invite");
        self.run_until("the invitation arrives", 60_000, |world| {
            world.status(other, channel, &id) == Some(Status::Invited)
        });
        self.command(other, Command::Accept { channel })
            .expect("an invited partner may accept");
        self.run_until("everybody hears of the new member", 60_000, |world| {
            let members = (0..world.partners.len()).filter(|partner| {
                let id = world.partners[*partner].id;
                world.status(*partner, channel, &id) == Some(Status::Active)
            });
            members
                .into_iter()
                .all(|partner| world.status(partner, channel, &id) == Some(Status::Active))
        });
    }

    /// What a partner takes another for in a channel.
    pub fn status(&self, at: usize, channel: ChannelId, of: &PartnerId) -> Option<Status> {
        let channel = self.replica(at)?.channels().get(&channel)?;
        let member = channel.present().members.get(of);
        member.map(|member| member.status)
    }

    /// Whether all partners are up and hold the same of every lane that they all read.
    pub fn converged(&self, channel: ChannelId) -> bool {
        let digests: BTreeSet<_> = self
            .partners
            .iter()
            .map(|partner| {
                let channel = partner.replica.as_ref()?.channels().get(&channel)?;
                let lanes = channel.common_lanes().map(|lane| {
                    (
                        lane,
                        channel.timeline_digest(lane),
                        channel.state_digest(lane),
                    )
                });
                Some(lanes.collect::<Vec<_>>())
            })
            .collect();
        digests.len() == 1 && !digests.contains(&None)
    }

    /// Whether every reader of an acknowledged post holds it.
    pub fn is_everywhere(&self, post: &Acknowledged) -> bool {
        let held = |partner: &Partner| {
            let channel = partner.replica.as_ref()?.channels().get(&post.channel)?;
            let pos = channel
                .timeline()
                .iter()
                .find(|pos| channel.entry(**pos).id == post.id)?;
            Some(channel.lane(&channel.lane_of(*pos))?.audience.clone())
        };
        let audience = held(&self.partners[post.partner]);
        audience.is_some_and(|audience| {
            self.partners
                .iter()
                .filter(|partner| audience.contains(&partner.id))
                .all(|partner| held(partner).is_some())
        })
    }

    /// Runs for a while.
    pub fn run_for(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        while self
            .agenda
            .first_key_value()
            .is_some_and(|((at, ..), _)| *at <= end)
        {
            self.step();
        }
        self.now_ms = end;
    }

    /// Runs until a condition holds; panics with its name when it does not within the time.
    pub fn run_until(&mut self, what: &str, within_ms: u64, condition: impl Fn(&World) -> bool) {
        let end = self.now_ms + within_ms;
        while !condition(self) {
            let goes_on = self.now_ms < end && self.step();
            assert!(
                goes_on,
                "not within {within_ms} simulated ms: {what}\n{}",
                self.describe()
            );
        }
    }

    /// What each partner holds: for people who look for the reason of a failure.
    pub fn describe(&self) -> String {
        let mut text = format!("at {} ms, links up: {:?}\n", self.now_ms, self.up());
        text += &format!(
            "accusations: {:#?}\n",
            self.misbehaviour.iter().take(5).collect::<Vec<_>>()
        );
        for partner in &self.partners {
            text += &format!("{} {:?}\n", partner.identity.name.as_str(), partner.id);
            for channel in partner
                .replica
                .iter()
                .flat_map(|replica| replica.channels().values())
            {
                text += &format!(
                    "  parked {:?}, members {:?}\n",
                    channel.parked(),
                    channel.present().active()
                );
                for (lane, _) in channel.lanes() {
                    text += &format!(
                        "  {lane:?}: {:?}\n",
                        comity_protocol::sync::heads(channel, *lane)
                    );
                }
            }
            let sync = partner
                .replica
                .as_ref()
                .map(|replica| replica.describe_sync());
            text += &format!("  {}\n", sync.unwrap_or_default());
        }
        text
    }

    fn up(&self) -> Vec<(usize, usize)> {
        self.links
            .iter()
            .filter(|(_, link)| link.up)
            .map(|(ends, _)| *ends)
            .collect()
    }

    // How it goes on.

    fn order(&mut self, partner: usize, command: Command, entropy: [u8; 32]) -> u64 {
        let ticket = self.tickets;
        self.tickets += 1;
        let entropy = Entropy::new(entropy);
        self.handle(
            partner,
            Input::Command {
                ticket,
                command: Box::new(command),
                entropy,
            },
        );
        ticket
    }

    fn schedule(&mut self, after_ms: u64, happening: Happening) {
        self.scheduled += 1;
        let rank = match &happening {
            Happening::Deliver { from, to, .. } => self.pace.rank(*from, *to),
            _ => 0,
        };
        self.agenda
            .insert((self.now_ms + after_ms, rank, self.scheduled), happening);
    }

    /// Takes the next happening; false when there is none.
    fn step(&mut self) -> bool {
        let Some(((at, ..), happening)) = self.agenda.pop_first() else {
            return false;
        };
        self.now_ms = self.now_ms.max(at);
        let text = format!("{at} {happening:?}");
        self.trace = comity_crypto::hash(
            "comity/v1/simulation-trace",
            &[&self.trace, text.as_bytes()],
        );
        match happening {
            Happening::Deliver {
                from,
                to,
                link,
                class,
                bytes,
            } => self.deliver(from, to, link, class, bytes),
            Happening::Synced {
                partner,
                life,
                outputs,
            } if self.lives(partner, life) => self.synced(partner, outputs),
            Happening::Verified {
                partner,
                life,
                batch,
                valid,
            } if self.lives(partner, life) => {
                self.handle(partner, Input::Verified { batch, valid });
            }
            Happening::Wake { partner, life }
                if self.lives(partner, life) && self.is_due(partner) =>
            {
                self.partners[partner].wake_at = None;
                self.handle(partner, Input::Wake);
            }
            Happening::Drained {
                partner,
                link,
                peer,
            } => {
                let id = self.partners[peer].id;
                if self.link_number(partner, id) == link && self.full.remove(&(partner, peer)) {
                    self.handle(partner, Input::Drained { peer: id });
                }
            }
            Happening::Carry { from, to, link } => self.carry(from, to, link),
            Happening::Probe { a, b, link } => self.probe(a, b, link),
            _ => {}
        }
        true
    }

    fn is_due(&self, partner: usize) -> bool {
        self.partners[partner]
            .wake_at
            .is_some_and(|wake| wake <= self.now_ms)
    }

    fn lives(&self, partner: usize, life: u64) -> bool {
        self.partners[partner].life == life
    }

    fn handle(&mut self, partner: usize, input: Input) {
        let now = Now {
            instant: Instant(self.now_ms),
            wall: WallTime(START_MS + self.now_ms),
        };
        let Some(replica) = self.partners[partner].replica.as_mut() else {
            return;
        };
        replica.handle(input, now);
        let mut outputs = Vec::new();
        while let Some(output) = replica.poll() {
            outputs.push(output);
        }
        for output in outputs {
            self.fulfil(partner, output);
        }
        self.begin_sync(partner);
        while let Some((one, accused)) = self.hang_ups.pop_first() {
            self.cut(one, accused);
        }
    }

    fn fulfil(&mut self, partner: usize, output: Output) {
        let life = self.partners[partner].life;
        match output {
            Output::Verify { batch, items, .. } => {
                let valid = items
                    .iter()
                    .map(|item| {
                        item.key
                            .verify(TAG_EVENT_SIGNATURE, &item.id.0, &item.signature.0)
                            .is_ok()
                    })
                    .collect();
                let after = self.pace.verify_ms(&mut self.chance, partner);
                self.schedule(
                    after,
                    Happening::Verified {
                        partner,
                        life,
                        batch,
                        valid,
                    },
                );
            }
            Output::WakeAt(at) => {
                self.partners[partner].wake_at = Some(at.0);
                let after = at.0.saturating_sub(self.now_ms);
                self.schedule(after, Happening::Wake { partner, life });
            }
            Output::Notify(notice) => self.note(partner, notice),
            Output::Send { peer, class, bytes } => {
                let link = self.link_number(partner, peer);
                let send = Waiting::Send {
                    link,
                    peer,
                    class,
                    bytes,
                };
                self.partners[partner].waiting.push_back(send);
            }
            durable => self.partners[partner]
                .waiting
                .push_back(Waiting::Other(durable)),
        }
    }

    fn note(&mut self, partner: usize, notice: Notice) {
        let accused = match &notice {
            Notice::Misbehaved { peer, why } => Some((peer, why.clone(), true)),
            Notice::BadPiece { peer, why, .. } => Some((peer, why.to_string(), false)),
            _ => None,
        };
        if let Some((peer, why, hangs_up)) = accused {
            match self.index_of(*peer) {
                Some(accused) if self.partners[accused].seized => {
                    if hangs_up {
                        self.hang_ups.insert((partner, accused));
                    }
                }
                accused => {
                    let text = format!("{partner} of {accused:?} at {} ms: {why}", self.now_ms);
                    self.misbehaviour.push(text);
                }
            }
        }
        self.note_planned(partner, &notice);
        if !matches!(notice, Notice::Accepted { .. } | Notice::Membership { .. }) {
            self.notices.push((partner, notice));
        }
    }

    /// Everything that waits is written together; it is on disk some milliseconds later.
    fn begin_sync(&mut self, partner: usize) {
        let state = &mut self.partners[partner];
        if state.syncing || state.waiting.is_empty() {
            return;
        }
        state.syncing = true;
        let (outputs, life) = (state.waiting.len(), state.life);
        let after = self.pace.sync_ms(&mut self.chance, partner);
        self.schedule(
            after,
            Happening::Synced {
                partner,
                life,
                outputs,
            },
        );
    }

    fn synced(&mut self, partner: usize, outputs: usize) {
        let done: Vec<Waiting> = self.partners[partner].waiting.drain(..outputs).collect();
        self.partners[partner].syncing = false;
        let mut acts = Vec::new();
        for output in done {
            match output {
                Waiting::Other(Output::Append { rows }) => self.store(partner, rows),
                act => acts.push(act),
            }
        }
        for act in acts {
            self.act(partner, act);
        }
        self.begin_sync(partner);
    }

    fn store(&mut self, partner: usize, rows: Vec<Row>) {
        self.partners[partner].disk.sync(rows);
    }

    fn act(&mut self, partner: usize, act: Waiting) {
        match act {
            // What was packed for an earlier link means nothing on a later one.
            Waiting::Send {
                link,
                peer,
                class,
                bytes,
            } if link == self.link_number(partner, peer) => {
                self.send(partner, peer, class, bytes);
            }
            Waiting::Other(Output::SendRange(range)) => self.send_range(partner, range),
            Waiting::Other(Output::Recall(recall)) => self.recall(partner, recall),
            Waiting::Other(Output::SendPiece(piece)) => self.send_piece(partner, piece),
            Waiting::Other(Output::Done { ticket, result }) => {
                if let (Some(by), Ok(written)) = (self.open_posts.remove(&ticket), &result) {
                    self.acknowledged.push(Acknowledged {
                        partner: by,
                        channel: written.channel,
                        id: written.id,
                    });
                } else {
                    self.answers.insert(ticket, result);
                }
            }
            _ => {}
        }
    }

    fn link_number(&self, partner: usize, peer: PartnerId) -> u64 {
        let other = self.index_of(peer).unwrap_or(partner);
        self.links
            .get(&(partner.min(other), partner.max(other)))
            .map_or(0, |link| link.number)
    }

    fn index_of(&self, peer: PartnerId) -> Option<usize> {
        self.partners.iter().position(|partner| partner.id == peer)
    }

    fn is_up(&self, a: usize, b: usize) -> bool {
        self.links
            .get(&(a.min(b), a.max(b)))
            .is_some_and(|link| link.up)
    }

    fn send(&mut self, from: usize, peer: PartnerId, class: StreamClass, bytes: Vec<u8>) {
        let Some(to) = self.index_of(peer) else {
            return;
        };
        if self.keep_answer(from, peer, &bytes) {
            return;
        }
        self.note_told(from, to, &bytes);
        if self.full.contains(&(from, to)) {
            return;
        }
        if self.planned.is_some() {
            return self.hand_over(from, to, class, bytes);
        }
        let delay = self.pace.link_ms(&mut self.chance, from, to);
        let now = self.now_ms;
        let Some(link) = self
            .links
            .get_mut(&(from.min(to), from.max(to)))
            .filter(|link| link.up)
        else {
            return;
        };
        let last = link.last_arrival.entry((from, class)).or_insert(0);
        let at = (now + delay).max(*last);
        *last = at;
        let number = link.number;
        if self.pace == Pace::Even {
            self.sent.push(SentFrame {
                at_ms: now,
                from,
                to,
                class,
                bytes: bytes.clone(),
            });
        }
        self.schedule(
            at - now,
            Happening::Deliver {
                from,
                to,
                link: number,
                class,
                bytes,
            },
        );
    }

    fn recall(&mut self, partner: usize, recall: Recall) {
        let number = self
            .replica(partner)
            .and_then(|replica| replica.log_number(&recall.log));
        let disk = &self.partners[partner].disk;
        let stored = number.and_then(|number| {
            let key = rows::event_key(number, recall.seq, &recall.id);
            rows::read_event(&disk.get(Table::Events, &key)?).ok()
        });
        let found = stored.map(|stored| SignedHeader::of(&stored.event));
        self.handle(partner, Input::Recalled { recall, found });
    }

    fn send_range(&mut self, from: usize, range: SendRange) {
        let number = self
            .replica(from)
            .and_then(|replica| replica.log_number(&range.log));
        let events = number.map_or_else(Vec::new, |number| {
            self.partners[from].disk.range(number, range.from, range.to)
        });
        let mut reached = range.from.saturating_sub(1);
        for chunk in events.chunks(RANGE_CHUNK) {
            let packer = self.partners[from].backfill.entry(range.peer).or_default();
            let packed = chunk.iter().map(|event| packer.pack(event)).collect();
            reached = chunk.last().map_or(reached, |event| event.header.seq);
            let bytes = Frame::Events(Events { events: packed }).to_bytes();
            self.send(from, range.peer, StreamClass::Backfill, bytes);
        }
        let (channel, lane, writer) = range.log;
        let end = RangeEnd {
            channel,
            lane,
            writer,
            to: reached,
        };
        self.send(
            from,
            range.peer,
            StreamClass::Backfill,
            Frame::RangeEnd(end).to_bytes(),
        );
    }

    fn deliver(&mut self, from: usize, to: usize, number: u64, class: StreamClass, bytes: Vec<u8>) {
        let key = (from.min(to), from.max(to));
        if self
            .links
            .get(&key)
            .is_some_and(|link| link.up && link.number == number)
        {
            if self.partners[to].seized {
                let at_ms = self.now_ms;
                return self.heard.push(SentFrame {
                    at_ms,
                    from,
                    to,
                    class,
                    bytes,
                });
            }
            let peer = self.partners[from].id;
            self.handle(to, Input::Received { peer, class, bytes });
        }
    }

    /// Looks at every disk for two events of one position.
    pub fn look_for_double_signing(&mut self) {
        let positions: Vec<_> = self
            .partners
            .iter()
            .flat_map(|partner| partner.disk.positions())
            .collect();
        for (log, seq, id) in positions {
            let first = *self.published.entry((log, seq)).or_insert(id);
            if first != id {
                self.double_signed.push((log, seq));
            }
        }
    }
}
