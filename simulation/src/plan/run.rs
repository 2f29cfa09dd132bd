//! One run of a scenario: the partners' machines, what befalls them, and what is noted.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::event::Precedence;
use comity_protocol::id::{ChannelId, EventId, PartnerId};
use comity_protocol::lane::History;
use comity_protocol::replica::{Command, StreamClass};

use super::links::{Counters, Links};
use super::scenario::{Scenario, What, merged};
use super::traffic::{self, Post};
use crate::chance::Chance;
use crate::hostile::{Pen, events_frames};
use crate::world::{Arrival, World};

/// Points in time at which backlog and disk are looked at.
pub const SAMPLES: u64 = 120;
/// Silence after which a node gives a link up, and after which it dials a fresh one beside it.
pub const DOWN_AFTER_MS: u64 = 15_000;
const SUSPECT_AFTER_MS: u64 = 4_000;
/// Between two dials of a peer.
const REDIAL_MS: u64 = 1_000;
/// How long the partners get acquainted, on perfect links, before the plan begins.
const ACQUAINTANCE_MS: u64 = 3_000;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub at_ms: u64,
    pub of_ms: u64,
}

/// What one run brought to light. Times are milliseconds from the beginning of the plan.
#[derive(Debug, Default)]
pub struct Record {
    pub posts: Vec<Written>,
    /// By post and partner, the author included: when it was there.
    pub arrivals: BTreeMap<(usize, usize), u64>,
    /// Posts that their home node refused, or that nobody was there to take.
    pub refused: u64,
    /// Posts of a hostile partner that honest ones took.
    pub flooded: u64,
    pub samples: Vec<Sample>,
    /// By sender and receiver.
    pub counters: BTreeMap<(usize, usize), Counters>,
    /// When partitions and outages ended, and who was apart.
    pub healed: Vec<Healed>,
    /// From when on a partner is not honestly there any more: gone, silent, hostile or removed.
    pub gone: BTreeMap<usize, u64>,
    /// What honest partners held against others.
    pub accusations: u64,
}

/// A post that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub at_ms: u64,
    pub from: usize,
    pub bytes: u64,
    pub precedence: Precedence,
    pub readers: BTreeSet<usize>,
}

/// How things stood at a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    pub at_ms: u64,
    /// The most bytes that waited since the sample before, by sender and receiver.
    pub queued: BTreeMap<(usize, usize), u64>,
    /// Keys and values on disk, by partner.
    pub disk: Vec<u64>,
}

/// An end of a partition or of a link's outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healed {
    pub at_ms: u64,
    pub lasted_ms: u64,
    pub what: String,
}

/// What happens at a moment, in the order of what comes first there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Pause(usize, usize),
    Lose(usize, usize),
    /// The network is back: on the old connection, or on a fresh one.
    Resume(usize, usize),
    Renew(usize, usize),
    Kill(usize),
    Start(usize),
    Event(usize),
    Flood(usize),
    Post(usize),
    Look,
}

/// Runs a scenario once.
pub fn run(scenario: &Scenario, seed: u64, tell: &mut dyn FnMut(Progress)) -> Record {
    let mut chance = Chance::new(seed);
    let posts = traffic::posts(scenario, &mut chance);
    let mut run = Run::begin(scenario, seed, posts);
    let steps = run.steps();
    let of_ms = scenario.duration_ms + scenario.settle_ms;
    for (at_ms, step) in steps {
        let ahead = (run.begun_ms + at_ms).saturating_sub(run.world.now_ms());
        run.world.run_for(ahead);
        if step == Step::Look {
            tell(Progress { at_ms, of_ms });
        }
        run.take(at_ms, step);
    }
    run.finish()
}

struct Run<'a> {
    scenario: &'a Scenario,
    world: World,
    channel: ChannelId,
    ids: Vec<PartnerId>,
    begun_ms: u64,
    planned: Vec<Post>,
    /// The pens of hostile partners, and how long their posts are.
    pens: BTreeMap<usize, (Pen, u64)>,
    /// Links that the network carries at present.
    passable: BTreeSet<(usize, usize)>,
    record: Record,
    /// The posts' places in the record.
    numbers: BTreeMap<EventId, usize>,
}

impl<'a> Run<'a> {
    /// Brings the partners together on perfect links, then puts those of the plan in their place.
    fn begin(scenario: &'a Scenario, seed: u64, planned: Vec<Post>) -> Run<'a> {
        let names: Vec<&str> = scenario.partners.iter().map(String::as_str).collect();
        let mut world = World::new(seed, &names);
        world.connect_all();
        let channel = world.channel_among("plan", History::default(), names.len());
        world.run_for(ACQUAINTANCE_MS);
        for a in 0..names.len() {
            for b in a + 1..names.len() {
                world.cut(a, b);
            }
        }
        let mut links = Links::default();
        for ((a, b), link) in &scenario.links {
            links.insert(*a, *b, link.shape.clone());
        }
        world.plan(links);
        let begun_ms = world.now_ms();
        let passable: BTreeSet<(usize, usize)> = scenario.links.keys().copied().collect();
        for (a, b) in &passable {
            world.connect(*a, *b);
        }
        let ids = world.partners.iter().map(|partner| partner.id).collect();
        Run {
            scenario,
            world,
            channel,
            ids,
            begun_ms,
            planned,
            pens: BTreeMap::new(),
            passable,
            record: Record::default(),
            numbers: BTreeMap::new(),
        }
    }

    /// Everything that happens, in order.
    fn steps(&mut self) -> Vec<(u64, Step)> {
        let end_ms = self.scenario.duration_ms + self.scenario.settle_ms;
        let mut steps: Vec<(u64, Step)> = Vec::new();
        for sample in 0..=SAMPLES {
            steps.push((end_ms * sample / SAMPLES, Step::Look));
        }
        let posts = self.planned.iter().enumerate();
        steps.extend(posts.map(|(number, post)| (post.at_ms, Step::Post(number))));
        for (number, event) in self.scenario.events.iter().enumerate() {
            steps.push((event.at_ms, Step::Event(number)));
            match &event.what {
                What::Crash { partner, for_ms } => {
                    steps.push((event.at_ms, Step::Kill(*partner)));
                    steps.push((event.at_ms + for_ms, Step::Start(*partner)));
                }
                What::Hostile {
                    partner,
                    posts_per_minute,
                    ..
                } if *posts_per_minute > 0 => {
                    let every_ms = (60_000 / posts_per_minute).max(1);
                    let times = (event.at_ms..end_ms).step_by(every_ms as usize);
                    steps.extend(times.map(|at| (at, Step::Flood(*partner))));
                }
                _ => {}
            }
        }
        for (pair, down) in self.outages() {
            steps.extend(
                down.into_iter()
                    .flat_map(|outage| self.outage(pair, outage)),
            );
        }
        steps.retain(|(at, _)| *at <= end_ms);
        steps.sort();
        steps
    }

    /// When which link does not pass anything: by itself, or across a partition.
    fn outages(&mut self) -> BTreeMap<(usize, usize), Vec<(u64, u64)>> {
        let mut outages = BTreeMap::new();
        for (pair, link) in &self.scenario.links {
            let mut down = link.down.clone();
            let names = [pair.0, pair.1].map(|it| self.scenario.partners[it].as_str());
            for (from, until) in &down {
                self.record.healed.push(Healed {
                    at_ms: *until,
                    lasted_ms: until - from,
                    what: format!("link {}–{}", names[0], names[1]),
                });
            }
            for event in &self.scenario.events {
                let What::Partition { groups, for_ms } = &event.what else {
                    continue;
                };
                let group = |partner: usize| groups.iter().position(|it| it.contains(&partner));
                if group(pair.0) != group(pair.1) {
                    down.push((event.at_ms, event.at_ms + for_ms));
                }
            }
            outages.insert(*pair, merged(down));
        }
        for event in &self.scenario.events {
            if let What::Partition { groups, for_ms } = &event.what {
                self.record.healed.push(Healed {
                    at_ms: event.at_ms + for_ms,
                    lasted_ms: *for_ms,
                    what: format!("partition {}", self.shown(groups)),
                });
            }
        }
        let end_ms = self.scenario.duration_ms + self.scenario.settle_ms;
        self.record.healed.retain(|healed| healed.at_ms < end_ms);
        self.record.healed.sort_by_key(|healed| healed.at_ms);
        outages
    }

    fn shown(&self, groups: &[BTreeSet<usize>]) -> String {
        let names = |group: &BTreeSet<usize>| {
            let names = group.iter().map(|it| self.scenario.partners[*it].as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        groups.iter().map(names).collect::<Vec<_>>().join(" | ")
    }

    /// A node suspects a silent link after some seconds and dials beside it; it gives it up later.
    fn outage(&self, (a, b): (usize, usize), (from, until): (u64, u64)) -> Vec<(u64, Step)> {
        let lasted = until - from;
        let mut steps = vec![(from, Step::Pause(a, b)), (until, Step::Resume(a, b))];
        if lasted > DOWN_AFTER_MS {
            steps.push((from + DOWN_AFTER_MS, Step::Lose(a, b)));
        }
        if lasted > SUSPECT_AFTER_MS {
            let round_trip = self
                .world
                .planned()
                .map_or(0, |it| it.links.round_trip_ms(a, b));
            // The next dial, and a handshake of two round trips at most.
            steps.push((until + REDIAL_MS + 2 * round_trip, Step::Renew(a, b)));
        }
        steps
    }

    fn take(&mut self, at_ms: u64, step: Step) {
        match step {
            Step::Pause(a, b) => self.pass(a, b, false),
            Step::Resume(a, b) => self.pass(a, b, true),
            Step::Lose(a, b) => self.world.cut(a, b),
            Step::Renew(a, b) => {
                if self.passable.contains(&(a, b)) {
                    self.world.cut(a, b);
                    self.world.connect(a, b);
                }
            }
            Step::Kill(partner) => self.world.kill(partner),
            Step::Start(partner) => {
                self.world.start(partner);
                for (a, b) in self.passable.clone() {
                    if a == partner || b == partner {
                        self.world.connect(a, b);
                    }
                }
            }
            Step::Event(number) => self.befall(at_ms, number),
            Step::Flood(partner) => self.flood(partner),
            Step::Post(number) => self.post(number),
            Step::Look => self.look(at_ms),
        }
        self.collect();
    }

    fn pass(&mut self, a: usize, b: usize, passes: bool) {
        match passes {
            true => self.passable.insert((a, b)),
            false => self.passable.remove(&(a, b)),
        };
        self.world.pause(a, b, !passes);
    }

    fn befall(&mut self, at_ms: u64, number: usize) {
        let channel = self.channel;
        match &self.scenario.events[number].what {
            What::Leave(partner) => {
                self.world.give(*partner, Command::Leave { channel });
                self.record.gone.entry(*partner).or_insert(at_ms);
            }
            What::Remove(partner) => {
                let order = Command::Remove {
                    channel,
                    partner: self.ids[*partner],
                };
                self.world.give(0, order);
                self.record.gone.entry(*partner).or_insert(at_ms);
            }
            What::Silent(partner) => {
                self.world.seize(*partner);
                self.record.gone.entry(*partner).or_insert(at_ms);
            }
            What::Hostile { partner, bytes, .. } => {
                let captive = self.world.seize(*partner);
                self.pens.insert(*partner, (captive.pen(channel), *bytes));
                self.record.gone.entry(*partner).or_insert(at_ms);
            }
            What::Partition { .. } | What::Crash { .. } => {}
        }
    }

    /// A hostile partner sends its next post to all its peers.
    fn flood(&mut self, partner: usize) {
        let Some((pen, bytes)) = self.pens.get_mut(&partner) else {
            return;
        };
        let frames = events_frames(&pen.post(&"x".repeat(*bytes as usize)));
        let peers: Vec<usize> = (0..self.ids.len()).filter(|it| *it != partner).collect();
        for frame in frames {
            for peer in &peers {
                let class = StreamClass::Routine;
                self.world.tell(partner, *peer, class, frame.clone());
            }
        }
    }

    fn post(&mut self, number: usize) {
        let post = self.planned[number].clone();
        if self.record.gone.contains_key(&post.from) {
            self.record.refused += 1;
            return;
        }
        let wall = self.world.wall_ms();
        let order = traffic::order(&post, self.channel, &self.ids, wall);
        let before = self.record.posts.len();
        let given = self.world.give(post.from, order);
        self.collect_of(Some(&post));
        if !given || self.record.posts.len() == before {
            self.record.refused += 1;
        }
    }

    fn look(&mut self, at_ms: u64) {
        let mut sample = Sample {
            at_ms,
            ..Sample::default()
        };
        if let Some(planned) = self.world.planned_mut() {
            for (a, b) in planned.links.pairs() {
                for (from, to) in [(a, b), (b, a)] {
                    let queued = planned.links.take_peak(from, to) as u64;
                    sample.queued.insert((from, to), queued);
                }
            }
        }
        sample.disk = self
            .world
            .partners
            .iter()
            .map(|it| it.disk.bytes())
            .collect();
        self.record.samples.push(sample);
    }

    fn collect(&mut self) {
        self.collect_of(None);
    }

    /// Takes the arrivals since last time; a post that was just given is the author's newest.
    fn collect_of(&mut self, given: Option<&Post>) {
        let arrivals = self
            .world
            .planned_mut()
            .map(|planned| std::mem::take(&mut planned.arrivals))
            .unwrap_or_default();
        for arrival in arrivals {
            let at_ms = arrival.at_ms - self.begun_ms;
            if let Some(post) = given.filter(|it| arrival.own && it.from == arrival.partner) {
                self.written(arrival, at_ms, post);
            }
            match self.numbers.get(&arrival.id) {
                Some(number) => {
                    let key = (*number, arrival.partner);
                    self.record.arrivals.entry(key).or_insert(at_ms);
                }
                None => self.record.flooded += 1,
            }
        }
    }

    fn written(&mut self, arrival: Arrival, at_ms: u64, post: &Post) {
        let readers = self.readers(post.from, &arrival.id);
        self.numbers.insert(arrival.id, self.record.posts.len());
        self.record.posts.push(Written {
            at_ms,
            from: post.from,
            bytes: post.bytes,
            precedence: post.precedence,
            readers,
        });
    }

    /// Who reads a post, as its author's node has it.
    fn readers(&self, at: usize, id: &EventId) -> BTreeSet<usize> {
        let channel = self
            .world
            .replica(at)
            .and_then(|it| it.channels().get(&self.channel));
        let Some(channel) = channel else {
            return BTreeSet::new();
        };
        // It is the newest or nearly so.
        let mut newest = channel.timeline().iter().rev();
        let found = newest.find(|pos| channel.entry(**pos).id == *id);
        let lane = found.and_then(|pos| channel.lane(&channel.lane_of(*pos)));
        let audience = lane.map(|lane| &lane.audience);
        let reads = |partner: &usize| audience.is_some_and(|it| it.contains(&self.ids[*partner]));
        (0..self.ids.len()).filter(reads).collect()
    }

    fn finish(mut self) -> Record {
        self.collect();
        if let Some(planned) = self.world.planned() {
            for (a, b) in planned.links.pairs() {
                for (from, to) in [(a, b), (b, a)] {
                    let counters = planned.links.counters(from, to);
                    self.record.counters.insert((from, to), counters);
                }
            }
        }
        self.record.accusations = self.world.misbehaviour().len() as u64;
        self.record
    }
}
