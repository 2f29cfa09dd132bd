//! A run from its beginning to its end: disturbance first, then quiet, in which a random core of
//! honest nodes must come to agree while the rest stay dead.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use comity_protocol::authority::Status;
use comity_protocol::channel::Channel;
use comity_protocol::event::Event;
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, EventId, LaneId};
use comity_protocol::lane::control_lane;
use comity_protocol::replica::{Notice, SendRange, StreamClass};
use comity_protocol::rows::Row;
use comity_protocol::wire::LogId;

use super::options::Fault;
use super::schedule::{Action, Verb};
use super::{Happening, Swarm};
use crate::oracles::convergence::{LaneState, difference, events_of};
use crate::oracles::entitlement::{OwnEvents, Sending, range_content, stored};
use crate::oracles::held;
use crate::oracles::pulse::WITHIN_MS;

/// A core must agree within this after all disturbance has ended, ms: a peer that brought nothing
/// rests for a minute at most, and an event over a quota is asked for again after a minute.
const BOUND_MS: u64 = 300_000;
/// How often it is looked at, ms.
const LOOK_MS: u64 = 1_500;

impl Swarm {
    pub(super) fn run(&mut self, schedule: &[Action]) {
        for action in schedule {
            self.agenda_at(action.at_ms, Happening::Act(*action));
        }
        let end = self.options.span_ms;
        while self.now_ms < end && self.failure.is_none() {
            self.run_until((self.now_ms + LOOK_MS).min(end));
            self.look();
        }
        let core = self.heal();
        self.settle(&core);
        if self.dice.percent("pulse", 0, 20) {
            self.listen(&core);
        }
        if self.options.has(Fault::Congestion) && self.dice.percent("congested", 0, 50) {
            self.congest(&core);
            self.settle(&core);
        }
        let forked = self.channels.iter();
        let forked = forked.filter(|it| self.oracles.truth.is_forked(it)).count() > 0;
        if self.failure.is_none() && (forked || self.options.seed.is_multiple_of(4)) {
            self.first_word = Some(self.tickets);
            self.speak(&core);
            self.spoken = true;
            self.settle(&core);
            self.demand_heard(&core);
        }
        self.look();
        self.conclude(&core);
    }

    fn agenda_at(&mut self, at_ms: u64, happening: Happening) {
        self.schedule(at_ms.saturating_sub(self.now_ms), happening);
    }

    /// What is looked at all the time.
    fn look(&mut self) {
        for node in 0..self.nodes.len() {
            let peers = self.nodes.len();
            let state = &self.nodes[node];
            let Some(replica) = state.replica.as_ref().filter(|_| !state.byzantine) else {
                continue;
            };
            let mut verdict = self.oracles.bounds.look(node, replica, peers);
            for channel in replica.channels().values() {
                verdict = verdict.and_then(|()| self.oracles.digests.look(node, channel));
            }
            self.judge(verdict);
        }
    }

    /// Ends all disturbance. Some honest nodes live on; the rest are dead for good.
    fn heal(&mut self) -> Vec<usize> {
        self.healed = true;
        let all = self.dice.percent("core-of-all", 0, 50);
        let mut core: Vec<usize> = Vec::new();
        for node in 0..self.nodes.len() {
            let state = &self.nodes[node];
            let lives = match state.byzantine {
                true => self.options.byzantine_stays,
                false => all || self.dice.percent("core", node as u64, 70),
            };
            if lives && !state.byzantine {
                core.push(node);
            }
            if !lives {
                self.buried[node] = true;
                if self.nodes[node].is_up() {
                    self.stop(node);
                }
            }
        }
        if core.len() < self.nodes.len() {
            self.count("core of some");
        }
        self.heal_links();
        for node in 0..self.nodes.len() {
            let now = self.now_ms;
            let state = &mut self.nodes[node];
            // A pause goes on to its end: what waits for that must not be overtaken.
            state.stalled_until = now;
            state.full_until = 0;
            state.doom = None;
            state.sync_fails = false;
            state.clock.mend(now);
            self.act_on(Action {
                at_ms: now,
                verb: Verb::Mend,
                node: node as u64,
                a: 0,
                b: 0,
            });
            self.schedule(10, Happening::Start { node });
        }
        core
    }

    /// Runs until the core agrees.
    fn settle(&mut self, core: &[usize]) {
        let begin = self.now_ms;
        let mut calm = 0;
        while self.failure.is_none() {
            self.run_until(self.now_ms + LOOK_MS);
            let differs = self.difference(core);
            let Some(differs) = differs else {
                calm += 1;
                if calm >= 2 {
                    return self.reached_within(self.now_ms - begin);
                }
                continue;
            };
            calm = 0;
            let forked = self.oracles.truth.is_forked(&differs.0);
            // Whoever holds a branch that nobody has cited need not be alike.
            let bound = if forked { BOUND_MS / 6 } else { BOUND_MS };
            if self.now_ms - begin > bound {
                if forked {
                    self.count(match self.spoken {
                        false => "apart by a fork that nobody has cited",
                        true => "apart by a fork though all have spoken",
                    });
                    self.log(0, || differs.1);
                    return;
                }
                return self.fail("convergence", differs.1);
            }
        }
    }

    fn reached_within(&mut self, ms: u64) {
        self.count(match ms {
            0..10_000 => "settled within 10 s",
            10_000..60_000 => "settled within 60 s",
            _ => "settled later",
        });
    }

    /// Lets the core be for a while in which those that are linked must tell each other what they
    /// have.
    fn listen(&mut self, core: &[usize]) {
        let since = self.now_ms;
        let number = |swarm: &Swarm, a, b| swarm.link(a, b).filter(|it| it.up).map(|it| it.number);
        let honest = |(a, b): &(usize, usize)| core.contains(a) && core.contains(b);
        let pairs = self.pairs().into_iter().filter(honest);
        let linked = pairs.map(|(a, b)| (a, b, number(self, a, b)));
        let linked: Vec<_> = linked.filter(|(_, _, number)| number.is_some()).collect();
        self.run_until(since + WITHIN_MS);
        for (a, b, before) in linked {
            if self.failure.is_some() || number(self, a, b) != before {
                continue;
            }
            for (from, to) in [(a, b), (b, a)] {
                let shares = |it: &ChannelId| self.entitles(*it, control_lane(*it), from, to);
                if self.channels.iter().any(shares) {
                    self.count("pulses heard");
                    let verdict = self.oracles.pulse.demand(from, to, since);
                    self.judge(verdict);
                }
            }
        }
    }

    /// Everybody in the core speaks while queues run full: links stay up, and pushes, questions and
    /// answers are dropped before their streams begin anew.
    fn congest(&mut self, core: &[usize]) {
        for round in 0..8 {
            if round % 3 == 0 {
                self.speak(core);
            }
            for (a, b) in self.pairs() {
                for (from, to) in [(a, b), (b, a)] {
                    let actor = (from * 64 + to) as u64;
                    if self.dice.percent("congest", actor, 50) {
                        let for_ms = self.dice.between("congest-ms", actor, 100, 1_200);
                        self.overflow(from, to, for_ms);
                    }
                }
            }
            let pause = self.dice.between("congest-pause", 0, 300, 1_500);
            self.run_until(self.now_ms + pause);
        }
        self.count("spoke in congestion");
    }

    /// Everybody in the core says something: what was held back by forks is cited.
    fn speak(&mut self, core: &[usize]) {
        for node in core.iter().copied() {
            for channel in 0..self.channels.len() as u64 {
                self.order_of(Action {
                    at_ms: self.now_ms,
                    verb: Verb::Post,
                    node: node as u64,
                    a: channel,
                    b: 7,
                });
            }
        }
    }

    /// What an honest partner says at the end comes to every reader in the core that it is linked
    /// with, whatever branches of others' forks it follows on: it cites them, and so they are
    /// accepted.
    fn demand_heard(&mut self, core: &[usize]) {
        if self.failure.is_none() && self.unheard(core).is_some() {
            self.run_until(self.now_ms + BOUND_MS / 2);
        }
        if self.failure.is_none()
            && let Some(what) = self.unheard(core)
        {
            self.fail("unheard", what);
        }
    }

    fn unheard(&self, core: &[usize]) -> Option<String> {
        let ids = |node: &usize| self.nodes[*node].disk.event_ids().collect();
        let held: BTreeMap<usize, HashSet<EventId>> =
            core.iter().map(|node| (*node, ids(node))).collect();
        for (from, id) in &self.words {
            let Some(event) = self.oracles.truth.event(id) else {
                continue;
            };
            // A restored copy may have forgotten it.
            let forgotten = held.get(from).is_none_or(|held| !held.contains(id));
            if forgotten || self.oracles.truth.is_forker(&event.writer) {
                continue;
            }
            let reached = |to: &usize| self.reaches(event.channel, event.lane, *from, *to);
            let deaf = |to: &usize| held.get(to).is_some_and(|held| !held.contains(id));
            let mut others = core.iter().filter(|to| *to != from && reached(to));
            if let Some(to) = others.find(|to| deaf(to)) {
                return Some(format!(
                    "node {to} has not heard {id}, which node {from} said"
                ));
            }
        }
        None
    }

    /// A lane that two nodes of the core that reach each other do not have alike.
    fn difference(&self, core: &[usize]) -> Option<(ChannelId, String)> {
        let up: Vec<usize> = core
            .iter()
            .copied()
            .filter(|node| self.nodes[*node].is_up())
            .collect();
        let replicas = up.iter().filter_map(|node| self.replica(*node));
        let channels: BTreeSet<ChannelId> = replicas
            .flat_map(|replica| replica.channels().keys().copied())
            .collect();
        for channel in channels {
            let held = |node: usize| self.replica(node)?.channels().get(&channel);
            let lanes: BTreeSet<LaneId> = up
                .iter()
                .filter_map(|node| held(*node))
                .flat_map(|held| held.lanes().map(|(lane, _)| *lane))
                .collect();
            let empty = comity_protocol::channel::Channel::new(channel);
            for lane in lanes {
                let states: Vec<LaneState> = up
                    .iter()
                    .map(|node| LaneState::of(*node, held(*node).unwrap_or(&empty), lane))
                    .collect();
                let reach = |a: usize, b: usize| self.reaches(channel, lane, a, b);
                if let Some(what) = difference(channel, lane, &states, reach) {
                    return Some((channel, what));
                }
            }
        }
        None
    }

    /// Whether two nodes can bring a lane to each other by themselves.
    fn reaches(&self, channel: ChannelId, lane: LaneId, a: usize, b: usize) -> bool {
        if !self.is_linked(a, b) {
            return false;
        }
        let (ab, ba) = (
            self.entitles(channel, lane, a, b),
            self.entitles(channel, lane, b, a),
        );
        let stranger = |at: usize, of: usize| {
            let (held, theirs) = (self.held(at, channel), self.held(of, channel));
            let of = self.id_of(of);
            let unknown = held.is_none_or(|held| !held.present().members.contains_key(&of));
            // Whoever has heard all that the other knows, and finds that what admitted it has no
            // effect, is not to tell it anything: then they stay apart.
            let heard = held.zip(theirs);
            let heard = heard.is_some_and(|(held, theirs)| holds_all(held, theirs, lane));
            unknown && !heard
        };
        // Whoever does not know of a member yet must come to hear of it.
        let member = |node: usize| self.entitles(channel, lane, node, node);
        let hears = |from: usize, to: usize| member(from) && stranger(to, from);
        let control = lane == control_lane(channel);
        (ab && ba) || (control && (ab && hears(a, b) || ba && hears(b, a)))
    }

    fn held(&self, node: usize, channel: ChannelId) -> Option<&Channel> {
        self.replica(node)?.channels().get(&channel)
    }

    fn entitles(&self, channel: ChannelId, lane: LaneId, at: usize, to: usize) -> bool {
        let to = self.id_of(to);
        let held = self.replica(at).and_then(|it| it.channels().get(&channel));
        let member = held.and_then(|held| held.present().members.get(&to));
        match member.map(|member| member.status) {
            Some(Status::Active) => self.oracles.truth.reads(channel, lane, &to),
            Some(Status::Invited) => lane == control_lane(channel),
            _ => false,
        }
    }

    /// The last look at everything.
    fn conclude(&mut self, core: &[usize]) {
        for node in core.iter().copied() {
            if self.failure.is_some() || !self.nodes[node].is_up() {
                continue;
            }
            let verdict = self.restored_copy(node);
            let state = &self.nodes[node];
            let truth = &self.oracles.truth;
            let (Some(live), Ok(again)) = (state.replica.as_ref(), &verdict) else {
                let why = verdict.err().unwrap_or_default();
                if !self.nodes[node].disk.is_damaged() {
                    self.fail(
                        "replay",
                        format!("node {node} would not start again: {why}"),
                    );
                }
                continue;
            };
            let mut verdict = held::closed(node, &state.disk, truth);
            if state.waiting.is_empty() {
                verdict = verdict.and_then(|()| held::replayed(node, live, again));
            }
            for channel in live.channels().values() {
                verdict = verdict
                    .and_then(|()| held::ordered(node, channel, truth))
                    .and_then(|()| held::lawful(node, channel, truth))
                    .and_then(|()| held::readable(node, live, channel, truth));
            }
            self.judge(verdict);
        }
        self.keep_promises();
        self.compare_equals(core);
    }

    /// What somebody was told is stored is on the author's disk.
    fn keep_promises(&mut self) {
        let disks: Vec<HashSet<EventId>> = self
            .nodes
            .iter()
            .map(|node| node.disk.event_ids().collect())
            .collect();
        let lost = self
            .oracles
            .acknowledged
            .told()
            .find(|told| !disks[told.node].contains(&told.id))
            .copied();
        if let Some(lost) = lost {
            self.fail(
                "acknowledged",
                format!("what was acknowledged is gone: {lost:?}"),
            );
        }
    }

    /// Nodes with the same events have the same state, whether they reach each other or not.
    fn compare_equals(&mut self, core: &[usize]) {
        let mut found = None;
        for channel in self.channels.clone() {
            let held = core.iter().filter_map(|node| {
                let held = self.replica(*node)?.channels().get(&channel)?;
                Some((*node, held, events_of(held)))
            });
            let held: Vec<_> = held.collect();
            for (at, (one, first, events)) in held.iter().enumerate() {
                for (two, second, others) in &held[at + 1..] {
                    if events != others {
                        continue;
                    }
                    for (lane, _) in first.lanes() {
                        let states = [
                            LaneState::of(*one, first, *lane),
                            LaneState::of(*two, second, *lane),
                        ];
                        let what = difference(channel, *lane, &states, |_, _| true);
                        found = found.or(what);
                    }
                }
            }
        }
        if let Some(what) = found {
            self.fail("equal events", what);
        }
    }

    // What the oracles are shown on the way.

    pub(super) fn appended(&mut self, node: usize, rows: &[Row]) {
        let (partner, byzantine) = (self.nodes[node].partner, self.nodes[node].byzantine);
        for row in rows {
            let verdict = self.oracles.accepted(partner, byzantine, row, self.now_ms);
            self.judge(verdict);
        }
        let replica = self.nodes[node].replica.as_ref();
        if let Some(replica) = replica.filter(|_| !byzantine) {
            let verdict = stored(node, replica, &self.before, &self.oracles.truth, rows);
            self.judge(verdict);
        }
    }

    pub(super) fn check_frame(
        &mut self,
        node: usize,
        to: usize,
        _link: u64,
        class: StreamClass,
        bytes: &[u8],
    ) -> OwnEvents {
        let partner = self.id_of(to);
        let writers = &self.papers[self.nodes[node].partner].writers;
        let state = &self.nodes[node];
        let Some(sender) = state.replica.as_ref().filter(|_| !state.byzantine) else {
            return Vec::new();
        };
        let sending = Sending {
            from: node,
            to,
            sender,
            partner,
            class,
            before: &self.before,
        };
        self.oracles.pulse.frame(node, to, bytes, self.now_ms);
        let (oracle, truth) = (&mut self.oracles.entitlement, &self.oracles.truth);
        match oracle.frame(&sending, truth, writers, bytes) {
            Ok(own) => own,
            Err((oracle, what)) => {
                self.fail(oracle, what);
                Vec::new()
            }
        }
    }

    pub(super) fn check_range(&mut self, node: usize, range: &SendRange) {
        let state = &self.nodes[node];
        let Some(sender) = state.replica.as_ref().filter(|_| !state.byzantine) else {
            return;
        };
        let sending = Sending {
            from: node,
            to: usize::MAX,
            sender,
            partner: range.peer,
            class: StreamClass::Backfill,
            before: &self.before,
        };
        let verdict = sending.range(&self.oracles.truth, range);
        self.judge(verdict);
    }

    pub(super) fn check_range_content(&mut self, node: usize, range: &SendRange, events: &[Event]) {
        if !self.nodes[node].byzantine {
            let verdict = range_content(node, range, events);
            self.judge(verdict);
        }
    }

    /// Events of its own have left a node.
    pub(super) fn published(&mut self, node: usize, own: &[(LogId, u64, EventId)]) {
        let partner = self.nodes[node].partner;
        for (log, seq, id) in own {
            let number = self.replica(node).and_then(|it| it.log_number(log));
            let stored = number.is_some_and(|it| self.nodes[node].disk.holds_event(it, *seq, id));
            if !stored {
                let what = format!("node {node} let out {id} before it was stored");
                return self.fail("unsynced", what);
            }
            let verdict = self.oracles.publication.sent(partner, *log, *seq, *id);
            self.judge(verdict);
        }
    }

    pub(super) fn holds_on_disk(&self, node: usize, id: &EventId) -> bool {
        let Some(event) = self.oracles.truth.event(id) else {
            return false;
        };
        let log = (event.channel, event.lane, event.writer);
        let number = self.replica(node).and_then(|it| it.log_number(&log));
        number.is_some_and(|it| self.nodes[node].disk.holds_event(it, event.seq, id))
    }

    pub(super) fn noticed(&mut self, node: usize, notice: &Notice) {
        if self.nodes[node].byzantine {
            return;
        }
        if let Notice::Misbehaved { peer, why } = notice {
            let accused = self.partner_numbers.get(peer).copied();
            let honest = accused.is_some_and(|it| {
                let nodes = &self.of_partner[it];
                nodes.iter().all(|node| !self.nodes[*node].byzantine)
            });
            if honest {
                let what = format!("node {node} accuses partner {accused:?}: {why}");
                return self.fail("framing", what);
            }
        }
        if let Notice::Fork { id, .. } = notice
            && let Some(event) = self.oracles.truth.event(id)
            && !self.oracles.truth.is_forker(&event.writer)
        {
            let what = format!("node {node} sees a fork of an honest partner at {id}");
            return self.fail("framing", what);
        }
        let verdict = self.oracles.acceptance.noticed(node, notice);
        self.judge(verdict);
        let instant = self.now_at(node).instant.0;
        let verdict = self.oracles.bounds.noticed(node, notice, instant);
        self.judge(verdict);
    }
}

/// Whether one copy of a channel has every event of a lane that the other has.
fn holds_all(held: &Channel, other: &Channel, lane: LaneId) -> bool {
    let chains = other.graph().logs_of(lane);
    let mut chains = chains.flat_map(|(writer, chains)| chains.iter().map(move |at| (writer, *at)));
    chains.all(|(writer, chain)| {
        let theirs = other.graph().chain(chain);
        (theirs.first..=theirs.head()).all(|seq| {
            let id = other.entry(Pos { chain, seq }).id;
            held.graph().find(lane, writer, seq, &id).is_some()
        })
    })
}
