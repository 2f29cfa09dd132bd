//! A swarm: whole meshes of real machines, each drawn from a seed, under every fault that networks,
//! processes, disks, clocks and hostile partners have, with oracles that look at all they do.
//!
//! [`run`] plays one seed. What happens in it is a function of its [`Options`] and its schedule
//! alone, so a failure is played again from its seed, or from the few actions that
//! [`shrink::minimise`] leaves of its schedule.

mod byzantine;
pub mod campaign;
mod clock;
mod dice;
mod faults;
mod network;
pub(crate) mod node;
mod options;
#[cfg(planted)]
pub mod planted;
mod process;
pub mod scenario;
mod schedule;
mod settle;
pub mod shrink;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_protocol::authority::View;
use comity_protocol::event::TAG_EVENT_SIGNATURE;
use comity_protocol::id::{ChannelId, EventId, PartnerId};
use comity_protocol::replica::{Input, Notice, Output, Replica, SendRange, StreamClass};
use comity_protocol::time::{Instant, Now, WallTime};
use comity_protocol::wire::{self, Events, RangeEnd};

use crate::oracles::Oracles;
use dice::{Dice, Trace};
use network::Link;
use node::{Frame, Node, Papers, Waiting};
use workload::Order;

pub use options::{Fault, Options};
pub use schedule::{Action, Verb};

/// Events in one frame of a range.
const RANGE_CHUNK: usize = 64;
/// Inputs that one run may take, some twenty times what the busiest do: a machine that never comes
/// to rest is a failure too.
const MOST_STEPS: u64 = 400_000;
/// The last of them that are looked at to say what keeps it from resting.
const RESTLESS_STEPS: u64 = 10_000;

/// What an oracle found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub oracle: &'static str,
    pub at_ms: u64,
    pub what: String,
}

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    pub options: Options,
    pub schedule: Vec<Action>,
    pub failure: Option<Failure>,
    /// Equal for equal runs.
    pub trace: (u64, u64),
    pub simulated_ms: u64,
    /// Happenings that were played.
    pub steps: u64,
    /// Faults that hit something, by kind.
    pub hits: BTreeMap<&'static str, u64>,
    pub byzantine_acts: u64,
    /// Events that honest partners accepted, each counted once.
    pub events: u64,
    /// What was reached, and how often.
    pub reached: BTreeMap<&'static str, u64>,
    /// Who did what when, if that was asked for.
    pub log: Vec<String>,
}

/// Plays the run of a seed.
pub fn run(seed: u64) -> Outcome {
    let _named = Named(seed);
    let options = Options::draw(seed);
    let schedule = schedule_of(&options);
    play(&options, &schedule, false)
}

/// Says which seed it was that a machine panicked in.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "a machine panics: play it again with: swarm --seed {}",
                self.0
            );
        }
    }
}

/// The schedule that a seed writes.
pub fn schedule_of(options: &Options) -> Vec<Action> {
    schedule::draw(options, &mut Dice::new(options.seed ^ 0x5eed))
}

/// Plays a schedule, with a log of who did what when if asked.
pub fn play(options: &Options, schedule: &[Action], logging: bool) -> Outcome {
    let mut swarm = Swarm::new(options.clone(), logging);
    swarm.run(schedule);
    Outcome {
        failure: swarm.failure.take(),
        trace: (swarm.trace.0, swarm.trace.1),
        simulated_ms: swarm.now_ms,
        steps: swarm.steps,
        hits: std::mem::take(&mut swarm.hits),
        byzantine_acts: swarm.byzantine_acts,
        events: swarm.oracles.truth.events() as u64,
        reached: std::mem::take(&mut swarm.reached),
        log: std::mem::take(&mut swarm.journal),
        options: swarm.options,
        schedule: schedule.to_vec(),
    }
}

#[derive(Debug)]
enum Happening {
    Deliver {
        from: usize,
        to: usize,
        number: u64,
        class: StreamClass,
        bytes: Vec<u8>,
    },
    Synced {
        node: usize,
        life: u64,
        outputs: usize,
    },
    Verified {
        node: usize,
        life: u64,
        batch: u64,
        valid: Vec<bool>,
    },
    Wake {
        node: usize,
        life: u64,
    },
    Dial {
        a: usize,
        b: usize,
    },
    Down {
        node: usize,
        peer: usize,
        number: u64,
    },
    Drained {
        from: usize,
        to: usize,
        number: u64,
    },
    Start {
        node: usize,
    },
    Join {
        node: usize,
        channel: ChannelId,
    },
    Reseat {
        node: usize,
        life: u64,
    },
    Act(Action),
}

impl Happening {
    /// What it is, for people.
    fn what(&self) -> String {
        match self {
            Happening::Deliver {
                from, to, bytes, ..
            } => {
                let kind = bytes.first().copied().unwrap_or_default();
                format!("frame of kind {kind} from {from} to {to}")
            }
            Happening::Synced { node, .. } => format!("sync of {node}"),
            Happening::Verified { node, .. } => format!("verdicts for {node}"),
            Happening::Wake { node, .. } => format!("wake-up of {node}"),
            Happening::Start { node } => format!("start of {node}"),
            Happening::Dial { .. } => "dialling".into(),
            Happening::Down { .. } => "link down".into(),
            Happening::Drained { .. } => "queue drained".into(),
            Happening::Join { .. } => "joining".into(),
            Happening::Reseat { node, .. } => format!("a seat for {node}"),
            Happening::Act(action) => action.verb.word().into(),
        }
    }
}

/// Why a write did not reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    SyncFailed,
    Full,
}

/// One mesh on one simulated clock.
pub struct Swarm {
    pub options: Options,
    dice: Dice,
    now_ms: u64,
    /// By time and number.
    agenda: BTreeMap<(u64, u64), Happening>,
    scheduled: u64,
    /// The numbers of happenings that wait for a pause to end.
    put_off: BTreeSet<u64>,
    steps: u64,
    papers: Vec<Papers>,
    partner_numbers: BTreeMap<PartnerId, usize>,
    nodes: Vec<Node>,
    /// The nodes of each partner.
    of_partner: Vec<Vec<usize>>,
    links: BTreeMap<(usize, usize), Link>,
    /// Which of the twins each node talks to.
    sides: u64,
    /// Nodes that never start again.
    buried: Vec<bool>,
    channels: Vec<ChannelId>,
    tickets: u64,
    orders: BTreeMap<u64, Order>,
    hang_ups: BTreeSet<(usize, usize)>,
    /// What reached the hostile, to be said again.
    overheard: Vec<(StreamClass, Vec<u8>)>,
    oracles: Oracles,
    /// The channels of the node that acts, as they were before.
    before: Vec<(ChannelId, Arc<View>)>,
    /// Everybody in the core has said something since the quiet began.
    spoken: bool,
    /// The first order of those words, and what they are, once they are stored.
    first_word: Option<u64>,
    words: Vec<(usize, EventId)>,
    trace: Trace,
    hits: BTreeMap<&'static str, u64>,
    /// All disturbance is over.
    healed: bool,
    /// What happens in a mesh that does not come to rest, and how often.
    busy: BTreeMap<String, u64>,
    byzantine_acts: u64,
    reached: BTreeMap<&'static str, u64>,
    failure: Option<Failure>,
    logging: bool,
    journal: Vec<String>,
}

impl Outcome {
    /// How many faults hit something.
    pub fn faults(&self) -> u64 {
        self.hits.values().sum()
    }
}

impl Swarm {
    fn new(options: Options, logging: bool) -> Swarm {
        let mut dice = Dice::new(options.seed);
        let papers: Vec<Papers> = (0..options.partners)
            .map(|number| {
                let hostile = options.byzantine && number + 1 == options.partners;
                // None, one, one or two.
                let spares = dice.below("spares", number, 4).div_ceil(2);
                Papers::draw(
                    number,
                    if hostile { 0 } else { spares },
                    options.real_signatures,
                    &mut dice,
                )
            })
            .collect();
        let mut of_partner = vec![Vec::new(); papers.len()];
        let nodes: Vec<Node> = (0..options.nodes())
            .map(|node| {
                let partner = options.partner_of(node) as usize;
                let byzantine = options.byzantine && partner + 1 == papers.len();
                of_partner[partner].push(node as usize);
                Node::new(partner, byzantine)
            })
            .collect();
        let numbered = papers.iter().enumerate();
        let mut swarm = Swarm {
            partner_numbers: numbered.map(|(at, it)| (it.id, at)).collect(),
            buried: vec![false; nodes.len()],
            oracles: Oracles::new(&papers, &nodes),
            dice,
            now_ms: 0,
            agenda: BTreeMap::new(),
            scheduled: 0,
            put_off: BTreeSet::new(),
            steps: 0,
            papers,
            nodes,
            of_partner,
            links: BTreeMap::new(),
            sides: 0,
            channels: Vec::new(),
            tickets: 0,
            orders: BTreeMap::new(),
            hang_ups: BTreeSet::new(),
            overheard: Vec::new(),
            before: Vec::new(),
            spoken: false,
            first_word: None,
            words: Vec::new(),
            trace: Trace::new(),
            hits: BTreeMap::new(),
            healed: false,
            busy: BTreeMap::new(),
            byzantine_acts: 0,
            reached: BTreeMap::new(),
            failure: None,
            logging,
            journal: Vec::new(),
            options,
        };
        swarm.lay_links();
        swarm
    }

    fn lay_links(&mut self) {
        for a in 0..self.nodes.len() {
            for b in a + 1..self.nodes.len() {
                let (one, other) = (self.nodes[a].partner, self.nodes[b].partner);
                let apart = self.options.apart.contains(&(one as u64, other as u64));
                if one != other && !apart {
                    self.links.insert((a, b), Link::default());
                }
            }
        }
        self.sides = self.dice.draw("sides", 0);
        for node in 0..self.nodes.len() {
            self.start(node);
        }
        for (a, b) in self.pairs() {
            let after = self.dice.below("first-dial", (a * 64 + b) as u64, 150);
            self.schedule(after, Happening::Dial { a, b });
        }
    }

    fn id_of(&self, node: usize) -> PartnerId {
        self.papers[self.nodes[node].partner].id
    }

    fn schedule(&mut self, after_ms: u64, happening: Happening) {
        self.scheduled += 1;
        let at = self.now_ms + after_ms;
        self.agenda.insert((at, self.scheduled), happening);
    }

    /// Runs until a time, or until an oracle finds something.
    fn run_until(&mut self, end_ms: u64) {
        while self.failure.is_none()
            && let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= end_ms
        {
            let ((at, number), happening) = entry.remove_entry();
            self.now_ms = at;
            self.steps += 1;
            if self.steps > MOST_STEPS {
                let what = format!("the mesh does not come to rest: {:?}", self.busy);
                return self.fail("rest", what);
            }
            if self.steps > MOST_STEPS - RESTLESS_STEPS {
                *self.busy.entry(happening.what()).or_insert(0) += 1;
            }
            self.step(number, happening);
        }
        self.now_ms = self.now_ms.max(end_ms);
    }

    fn step(&mut self, number: u64, happening: Happening) {
        if let Some(until) = self.paused(&happening, number) {
            // The numbers of the agenda keep the order of what waits.
            self.schedule(until - self.now_ms, happening);
            self.put_off.insert(self.scheduled);
            return;
        }
        self.put_off.remove(&number);
        self.trace.number(self.now_ms);
        match happening {
            Happening::Deliver {
                from,
                to,
                number,
                class,
                bytes,
            } => {
                self.trace.number((from * 256 + to) as u64);
                self.trace.bytes(&bytes);
                self.overhear(to, class, &bytes);
                self.deliver((from, to), number, class, bytes);
            }
            Happening::Synced {
                node,
                life,
                outputs,
            } if self.nodes[node].life == life => self.synced(node, outputs),
            Happening::Verified {
                node,
                life,
                batch,
                valid,
            } if self.nodes[node].life == life => {
                self.handle(node, Input::Verified { batch, valid });
            }
            Happening::Wake { node, life } if self.nodes[node].life == life => self.wake(node),
            Happening::Dial { a, b } => self.dial(a, b),
            Happening::Down { node, peer, number } => self.learn_down(node, peer, number),
            Happening::Drained { from, to, number } => self.drained(from, to, number),
            Happening::Start { node } => self.start(node),
            Happening::Join { node, channel } => self.join(node, channel),
            Happening::Reseat { node, life } if self.nodes[node].life == life => {
                self.reseat(node);
            }
            Happening::Act(action) => self.act_on(action),
            _ => {}
        }
    }

    /// Until when a happening has to wait because its process stands still. What comes just when a
    /// pause ends goes behind what was put off until then.
    fn paused(&self, happening: &Happening, number: u64) -> Option<u64> {
        let node = match happening {
            Happening::Deliver { to: node, .. }
            | Happening::Synced { node, .. }
            | Happening::Verified { node, .. }
            | Happening::Wake { node, .. }
            | Happening::Down { node, .. }
            | Happening::Drained { from: node, .. }
            | Happening::Join { node, .. } => *node,
            _ => return None,
        };
        let until = self.nodes[node].paused_until;
        let just_ends = until == self.now_ms && !self.put_off.contains(&number);
        (until > self.now_ms || just_ends).then_some(until)
    }

    fn now_at(&self, node: usize) -> Now {
        let clock = &self.nodes[node].clock;
        Now {
            instant: Instant(clock.instant(self.now_ms)),
            wall: WallTime(clock.wall(self.now_ms)),
        }
    }

    /// Gives a fact to a node's machine and fulfils what it wishes.
    fn handle(&mut self, node: usize, input: Input) {
        let now = self.now_at(node);
        let Some(replica) = self.nodes[node].replica.as_mut() else {
            return;
        };
        let channels = replica.channels().iter();
        let before = channels.map(|(id, channel)| (*id, channel.present().clone()));
        // What a node wishes for may make another act at once.
        let of_outer = std::mem::replace(&mut self.before, before.collect());
        replica.handle(input, now);
        let mut outputs = Vec::new();
        while let Some(output) = replica.poll() {
            outputs.push(output);
        }
        let life = self.nodes[node].life;
        for output in outputs {
            // What it wished for may have made it stop.
            if self.nodes[node].life == life {
                self.fulfil(node, output);
            }
        }
        self.before = of_outer;
        self.begin_sync(node);
        while let Some((one, other)) = self.hang_ups.pop_first() {
            self.hang_up(one, other);
        }
    }

    fn fulfil(&mut self, node: usize, output: Output) {
        let life = self.nodes[node].life;
        match output {
            Output::Verify { batch, items, .. } => {
                let valid = items.iter().map(|item| {
                    // A stand-in is checked in no time.
                    if self.options.real_signatures || cfg!(stand_in) {
                        let signature = &item.signature.0;
                        let verdict = item.key.verify(TAG_EVENT_SIGNATURE, &item.id.0, signature);
                        verdict.is_ok()
                    } else {
                        self.oracles.truth.is_signed(&item.id, &item.signature)
                    }
                });
                let valid = valid.collect();
                let after = self.dice.below("verify", node as u64, 4);
                self.schedule(
                    after,
                    Happening::Verified {
                        node,
                        life,
                        batch,
                        valid,
                    },
                );
            }
            Output::WakeAt(at) => self.set_alarm(node, at.0),
            Output::Notify(notice) => self.note(node, notice),
            Output::Send { peer, class, bytes } => self.take_frame(node, peer, class, bytes),
            Output::Append { rows } => {
                self.appended(node, &rows);
                let append = Waiting::Other(Output::Append { rows });
                self.nodes[node].waiting.push_back(append);
            }
            Output::SendRange(range) => {
                self.check_range(node, &range);
                self.act_in_turn(node, Waiting::Other(Output::SendRange(range)));
            }
            other => self.act_in_turn(node, Waiting::Other(other)),
        }
    }

    fn set_alarm(&mut self, node: usize, instant: u64) {
        let life = self.nodes[node].life;
        let now = self.now_ms;
        let state = &mut self.nodes[node];
        state.wake_at = Some(instant);
        let at = state.clock.world_ms(instant, now);
        if state.alarm.is_none_or(|alarm| at < alarm) {
            state.alarm = Some(at);
            self.schedule(at - now, Happening::Wake { node, life });
        }
    }

    fn wake(&mut self, node: usize) {
        if self.nodes[node].alarm != Some(self.now_ms) {
            // An earlier alarm rang meanwhile, or the process was paused.
            if self.nodes[node]
                .alarm
                .is_some_and(|alarm| alarm > self.now_ms)
            {
                return;
            }
        }
        self.nodes[node].alarm = None;
        let Some(instant) = self.nodes[node].wake_at else {
            return;
        };
        if instant > self.now_at(node).instant.0 {
            return self.set_alarm(node, instant);
        }
        self.nodes[node].wake_at = None;
        self.handle(node, Input::Wake);
    }

    /// A frame that a machine wishes to send: it belongs to the link that is up now.
    fn take_frame(&mut self, node: usize, peer: PartnerId, class: StreamClass, bytes: Vec<u8>) {
        let Some((to, link)) = self.session_with(node, &peer) else {
            return;
        };
        let own = self.check_frame(node, to, link, class, &bytes);
        let frame = Frame {
            to,
            link,
            class,
            bytes,
            own,
        };
        self.act_in_turn(node, Waiting::Send(frame));
    }

    /// A wish with nothing before it that has to be stored may act at once, and does so as often as
    /// not: no machine may count on more than the order of its wishes.
    fn act_in_turn(&mut self, node: usize, wish: Waiting) {
        let free = self.nodes[node].waiting.is_empty();
        if free && self.dice.percent("at-once", node as u64, 50) {
            return self.act(node, wish);
        }
        self.nodes[node].waiting.push_back(wish);
    }

    fn session_with(&self, node: usize, peer: &PartnerId) -> Option<(usize, u64)> {
        let partner = *self.partner_numbers.get(peer)?;
        self.session(node, partner)
    }

    /// Everything that waits is written together; it is on disk some milliseconds later.
    fn begin_sync(&mut self, node: usize) {
        let stalled = self.nodes[node].stalled_until.saturating_sub(self.now_ms);
        let after = stalled + self.dice.below("sync", node as u64, 12);
        let state = &mut self.nodes[node];
        if state.syncing.is_some() || state.waiting.is_empty() {
            return;
        }
        let (outputs, life) = (state.waiting.len(), state.life);
        state.syncing = Some(outputs);
        self.hit_times("slow sync", u64::from(stalled > 0));
        self.schedule(
            after,
            Happening::Synced {
                node,
                life,
                outputs,
            },
        );
    }

    fn synced(&mut self, node: usize, outputs: usize) {
        if let Some((tail, down_ms)) = self.nodes[node].doom.take() {
            return self.crash_by_force(node, tail, down_ms);
        }
        if let Some(trouble) = self.trouble(node) {
            self.hit("storage error");
            self.count(match trouble {
                Trouble::SyncFailed => "sync failed",
                Trouble::Full => "disk full",
            });
            let down = self.dice.between("trouble", node as u64, 500, 6_000);
            // A node that could not write stops: it must not act on what it did not store.
            return self.crash(node, process::Tail::Lost, down);
        }
        let state = &mut self.nodes[node];
        state.syncing = None;
        let done: Vec<Waiting> = state.waiting.drain(..outputs).collect();
        let mut acts = Vec::new();
        for wish in done {
            match wish {
                Waiting::Other(Output::Append { rows }) => self.nodes[node].disk.sync(rows),
                act => acts.push(act),
            }
        }
        let life = self.nodes[node].life;
        for act in acts {
            if self.nodes[node].life == life {
                self.act(node, act);
            }
        }
        self.begin_sync(node);
    }

    fn act(&mut self, node: usize, act: Waiting) {
        match act {
            Waiting::Send(frame) => self.send(node, frame),
            Waiting::Other(Output::SendRange(range)) => self.send_range(node, range),
            Waiting::Other(Output::Done { ticket, result }) => self.answered(node, ticket, result),
            _ => {}
        }
    }

    fn send(&mut self, node: usize, frame: Frame) {
        let Frame {
            to,
            link,
            class,
            mut bytes,
            own,
        } = frame;
        if !self.nodes[node].byzantine {
            if self.transmit(node, to, link, class, bytes) {
                self.published(node, &own);
            }
            return;
        }
        if self.is_withheld(node, to, class, &bytes) {
            return;
        }
        for _ in 0..self.meddle(node, &mut bytes) {
            self.transmit(node, to, link, class, bytes.clone());
        }
    }

    fn send_range(&mut self, node: usize, range: SendRange) {
        let Some((to, link)) = self.session_with(node, &range.peer) else {
            return;
        };
        let replica = self.nodes[node].replica.as_ref();
        let number = replica.and_then(|replica| replica.log_number(&range.log));
        let disk = &self.nodes[node].disk;
        if let Some(number) = number
            && disk.is_range_damaged(number, range.from, range.to)
        {
            self.count("damage found while serving");
            return self.repair(node);
        }
        let events = number.map_or_else(Vec::new, |it| disk.range(it, range.from, range.to));
        let mut reached = range.from.saturating_sub(1);
        let class = StreamClass::Backfill;
        for chunk in events.chunks(RANGE_CHUNK) {
            let packer = self.nodes[node].backfill.entry(to).or_default();
            let packed = chunk.iter().map(|event| packer.pack(event)).collect();
            reached = chunk.last().map_or(reached, |event| event.header.seq);
            let bytes = wire::Frame::Events(Events { events: packed }).to_bytes();
            self.check_range_content(node, &range, chunk);
            let writers = &self.papers[self.nodes[node].partner].writers;
            let own = chunk.iter();
            let own = own.filter(|event| writers.contains(&event.header.writer));
            let own = own
                .map(|event| (range.log, event.header.seq, event.id))
                .collect();
            self.send(
                node,
                Frame {
                    to,
                    link,
                    class,
                    bytes,
                    own,
                },
            );
        }
        let (channel, lane, writer) = range.log;
        let end = wire::Frame::RangeEnd(RangeEnd {
            channel,
            lane,
            writer,
            to: reached,
        });
        self.send(
            node,
            Frame {
                to,
                link,
                class,
                bytes: end.to_bytes(),
                own: Vec::new(),
            },
        );
    }

    fn note(&mut self, node: usize, notice: Notice) {
        match &notice {
            Notice::Misbehaved { peer, why } => {
                let accused = self.session_with(node, peer);
                self.count("misbehaviour noticed");
                self.log(node, || format!("accuses {peer:?}: {why}"));
                if let Some((accused, _)) = accused {
                    self.hang_ups.insert((node, accused));
                }
            }
            Notice::Membership { channel } => self.consider_invitation(node, *channel),
            Notice::Fork { .. } => self.count("forks noticed"),
            Notice::OwnLogAhead { .. } => self.count("own log ahead"),
            Notice::OverLimit { .. } => self.count("limits met"),
            Notice::KeysGiven { .. } => self.count("keys given"),
            Notice::KeysObtained { .. } => self.count("keys obtained"),
            Notice::BadKey { .. } => self.count("bad keys"),
            Notice::Refused { .. } => self.count("refusals noted"),
            _ => {}
        }
        self.noticed(node, &notice);
    }

    // For the oracles: what they see, and what they find.

    fn replica(&self, node: usize) -> Option<&Replica> {
        self.nodes[node].replica.as_ref()
    }

    fn fail(&mut self, oracle: &'static str, what: String) {
        if self.failure.is_none() {
            let at_ms = self.now_ms;
            if self.logging {
                self.journal.push(format!("{at_ms:>7}  {oracle}: {what}"));
            }
            self.failure = Some(Failure {
                oracle,
                at_ms,
                what,
            });
        }
    }

    fn judge(&mut self, verdict: Result<(), (&'static str, String)>) {
        if let Err((oracle, what)) = verdict {
            self.fail(oracle, what);
        }
    }

    /// Counts a fault that hit something. What is lost when all disturbance is over is lost to the
    /// dead, and counts as none.
    fn hit(&mut self, kind: &'static str) {
        self.hit_times(kind, 1);
    }

    fn hit_times(&mut self, kind: &'static str, times: u64) {
        if times > 0 && !self.healed {
            *self.hits.entry(kind).or_insert(0) += times;
        }
    }

    /// Notes that something worth reaching was reached.
    fn count(&mut self, what: &'static str) {
        *self.reached.entry(what).or_insert(0) += 1;
    }

    /// A line of the space-time log: each node has a column of its own.
    fn log(&mut self, node: usize, what: impl FnOnce() -> String) {
        if self.logging {
            let column = " ".repeat(4 * node);
            let line = format!("{:>7}  {column}{node}: {}", self.now_ms, what());
            self.journal.push(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_paused_process_is_not_overtaken_by_what_comes_as_the_pause_ends() {
        let mut swarm = Swarm::new(Options::draw(1), false);
        swarm.agenda.clear();
        let (node, first, second) = (0, ChannelId([1; 32]), ChannelId([2; 32]));
        let join = |channel| Happening::Join { node, channel };
        swarm.schedule(5, join(first));
        swarm.schedule(10, join(second));
        swarm.nodes[node].paused_until = 10;

        swarm.run_until(9);
        // What comes now is looked at once, and goes to the end.
        let ((at, number), overtaking) = swarm.agenda.pop_first().expect("it was scheduled");
        swarm.now_ms = at;
        swarm.step(number, overtaking);

        let waiting = swarm.agenda.values().filter_map(|it| match it {
            Happening::Join { channel, .. } => Some(*channel),
            _ => None,
        });
        assert_eq!(waiting.collect::<Vec<_>>(), [first, second]);
    }
}
