//! Asking peers for what they hold and this node does not.
//!
//! Each log is asked of one peer at a time. A peer that was asked and brought nothing rests for
//! that log, twice as long each time, so that one which promises and does not deliver cannot keep
//! the others from being asked. Each lane of each peer is looked at on its own, when something of
//! it is due: so what a peer is asked, and when, depends on no lane that it may not read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::channel::Channel;
use crate::id::{ChannelId, LaneId, PartnerId, WriterId};
use crate::lane;
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::sync::{is_stranger, may_read};
use crate::time::Instant;
use crate::wire::{LogId, RangeEnd, Want};

/// What a peer announced may be on its way on another stream: wait this long before asking.
const DIRECT_GRACE_MS: u64 = 100;
/// A range that ended in events nobody here could judge yet is asked for again after this.
const UNJUDGED_RETRY_MS: u64 = 200;
/// A range that takes longer than this may be asked of another peer: whoever brings an event now
/// and then must not keep the others from being asked. A range of 2,048 usual events takes as long
/// at 300 kbit/s; on slower lines some of them come twice.
const SLOW_RANGE_MS: u64 = 30_000;
/// Logs of a lane that one look goes through.
const LOGS_PER_LOOK: usize = 1024;
/// Logs that are looked at for one peer in a millisecond, over all its lanes: each costs some 1.5 µs,
/// so that is a thirtieth of the time.
const LOGS_PER_MS: u64 = 20;
/// When to look again where it is another peer's turn, or another was asked, in milliseconds.
const TICK_MS: u64 = 50;
/// The least time between two looks at one lane of a peer, in milliseconds: bounds their cost
/// under a flood of inputs.
const LOOK_MS: u64 = 10;
/// How long a peer rests after it brought nothing, at first and at most.
const REST_MS: u64 = 1_000;
const REST_MAX_MS: u64 = 60_000;
/// The least time between two sweeps of the table of postponed logs, in milliseconds.
const SWEEP_MS: u64 = 1_000;

type Channels = BTreeMap<ChannelId, Channel>;
type LaneRef = (ChannelId, LaneId);

/// What is asked of whom.
#[derive(Debug, Default)]
pub struct Pull {
    sources: BTreeMap<PartnerId, Source>,
    /// When which lane of which peer is to be looked at.
    looks: BTreeSet<(Instant, PartnerId, LaneRef)>,
    /// Ranges asked for and not ended yet.
    wants: BTreeMap<LogId, Wanted>,
    /// Since when somebody has had more of a log than is here, and what was here then.
    behind_since: BTreeMap<LogId, (Instant, u64)>,
    asked: u64,
    /// Whom each lane was asked of last: the next time it is another's turn.
    asked_last: BTreeMap<LaneRef, PartnerId>,
    /// Logs whose events are over a quota, and until when they are not asked for.
    postponed: BTreeMap<LogId, Instant>,
    /// When those are dropped next whose time is over.
    sweep_postponed_at: Instant,
}

/// What one peer could bring.
#[derive(Debug, Default)]
struct Source {
    lanes: BTreeMap<LaneRef, LaneSource>,
    /// Logs that it is ahead in, over all lanes.
    logs: usize,
    verifying_bytes: usize,
    /// Not before this are its lanes looked at again: a look costs the more the more logs it has to
    /// go through.
    rested_at: Instant,
}

/// What one peer could bring of one lane.
#[derive(Debug, Default)]
struct LaneSource {
    /// How far the peer says it holds the logs of which it has more than is here.
    ahead: BTreeMap<WriterId, u64>,
    /// How far ranges came that are not all accepted yet, and until when to wait for that.
    arrived: BTreeMap<WriterId, (u64, Instant)>,
    resting: BTreeMap<WriterId, Rest>,
    wants: usize,
    /// Where the last look at `ahead` ended.
    looked_at: Option<WriterId>,
    looked: Instant,
    /// The look that is due.
    look_at: Option<Instant>,
}

impl Source {
    fn is_busy(&self) -> bool {
        self.verifying_bytes >= limits::VERIFYING_BYTES_PER_PEER
    }
}

impl LaneSource {
    fn is_busy(&self) -> bool {
        self.wants >= limits::WANTS_PER_PEER
    }

    /// The next logs to look at, going round: a look has a bounded cost however much a peer claims
    /// to hold.
    fn next_candidates(&mut self) -> Vec<(WriterId, u64)> {
        let from = self.looked_at.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.ahead.range((from, Bound::Unbounded));
        let found: Vec<(WriterId, u64)> = rest
            .take(LOGS_PER_LOOK)
            .map(|(writer, theirs)| (*writer, *theirs))
            .collect();
        self.looked_at = found
            .last()
            .filter(|_| found.len() == LOGS_PER_LOOK)
            .map(|(writer, _)| *writer);
        found
    }
}

/// The furthest that an answer to a want counts: a peer may send a quarter more than was asked.
fn most(from: u64) -> u64 {
    from.saturating_add(limits::WANT_EVENTS + limits::WANT_EVENTS / 4)
}

#[derive(Debug, Default, Clone, Copy)]
struct Rest {
    until: Instant,
    times: u32,
}

#[derive(Debug)]
struct Wanted {
    peer: PartnerId,
    from: u64,
    /// Counts all wants, in the order in which they were sent.
    order: u64,
    /// The greatest position of the log that came since.
    brought: u64,
    asked_at: Instant,
    deadline: Instant,
}

/// Whether a peer is to be asked for a log.
enum Turn {
    /// Now, from this position on.
    Ask(u64),
    /// Not before this.
    At(Instant),
    /// Only after something else has changed, which leads to a look of its own.
    Never,
}

impl Pull {
    pub fn up(&mut self, peer: PartnerId) {
        self.down(&peer);
        self.sources.insert(peer, Source::default());
    }

    pub fn down(&mut self, peer: &PartnerId) {
        self.looks.retain(|(_, of, _)| of != peer);
        self.wants.retain(|_, wanted| wanted.peer != *peer);
        let gone = self.sources.remove(peer);
        for (lane, gone) in gone.into_iter().flat_map(|source| source.lanes) {
            self.forget_lane(lane, gone);
        }
    }

    /// A peer holds a log at least as far as `seq`, more than the `held` here. To be followed by
    /// [`Pull::look_soon`], once for all that was heard of a lane.
    pub fn ahead(&mut self, peer: PartnerId, log: LogId, seq: u64, held: u64, now: Instant) {
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        let lane = source.lanes.entry((log.0, log.1)).or_default();
        if !lane.ahead.contains_key(&log.2) {
            if source.logs >= limits::LOGS_PER_PEER {
                return;
            }
            source.logs += 1;
        }
        let known = lane.ahead.entry(log.2).or_insert(0);
        *known = (*known).max(seq);
        self.behind_since.entry(log).or_insert((now, held));
    }

    /// Events of a peer entered verification.
    pub fn verifying(&mut self, peer: &PartnerId, bytes: usize) {
        if let Some(source) = self.sources.get_mut(peer) {
            source.verifying_bytes = source.verifying_bytes.saturating_add(bytes);
        }
    }

    /// Events of a peer left verification.
    pub fn verified(&mut self, peer: &PartnerId, bytes: usize, now: Instant) {
        let Some(source) = self.sources.get_mut(peer) else {
            return;
        };
        let busy = source.is_busy();
        source.verifying_bytes = source.verifying_bytes.saturating_sub(bytes);
        if busy && !source.is_busy() {
            self.look_at_all(*peer, now);
        }
    }

    /// A part of a range came from a peer, as far as `upto`: it is serving, however slowly. Ranges
    /// are served in the order in which they were asked for, so the later ones wait with good
    /// reason, and an earlier one that has not ended was lost.
    pub fn range_goes_on(&mut self, peer: &PartnerId, log: &LogId, upto: u64, now: Instant) {
        let Some(wanted) = self
            .wants
            .get_mut(log)
            .filter(|wanted| wanted.peer == *peer)
        else {
            return;
        };
        if upto <= wanted.brought || upto > most(wanted.from) {
            return;
        }
        wanted.brought = upto;
        let order = wanted.order;
        let of_peer = self
            .wants
            .values_mut()
            .filter(|wanted| wanted.peer == *peer);
        for wanted in of_peer.filter(|wanted| wanted.order >= order) {
            wanted.deadline = now.plus(limits::WANT_TIMEOUT_MS);
        }
    }

    /// A peer ended a range. One that nobody asked for means nothing.
    pub fn range_ended(
        &mut self,
        peer: PartnerId,
        end: &RangeEnd,
        channel: Option<&Channel>,
        now: Instant,
    ) {
        let log = (end.channel, end.lane, end.writer);
        let Some(wanted) = self.wants.get(&log).filter(|wanted| wanted.peer == peer) else {
            return;
        };
        let (from, to) = (wanted.from, end.to.min(wanted.brought));
        self.forget(&log);
        if to < from {
            self.rest(peer, log, now);
            return self.look_soon(peer, (log.0, log.1), now);
        }
        let stranger = channel.is_some_and(|channel| is_stranger(channel, &peer));
        let judged = channel.is_some_and(|channel| channel.writer_partner(&end.writer).is_some());
        let wait = if judged {
            limits::WANT_TIMEOUT_MS
        } else {
            UNJUDGED_RETRY_MS
        };
        if let Some(lane) = self.lane_mut(peer, &log) {
            lane.resting.remove(&log.2);
            lane.arrived.insert(log.2, (to, now.plus(wait)));
        }
        if stranger {
            // It was asked from the start and has told all that it said it had.
            self.caught_up(peer, &log);
        }
        self.look_soon(peer, (log.0, log.1), now);
    }

    /// Events of a log are over a quota: nobody is asked for it for a while.
    pub fn postpone(&mut self, log: LogId, now: Instant) {
        // Not at every event of a flood: the table has up to 65,536 logs.
        if self.sweep_postponed_at <= now {
            self.postponed.retain(|_, until| *until > now);
            self.sweep_postponed_at = now.plus(SWEEP_MS);
        }
        if self.postponed.len() < limits::LOGS_PER_PEER {
            self.postponed.insert(log, now.plus(limits::POSTPONE_MS));
        }
    }

    /// A peer does not serve a lane.
    pub fn refused(&mut self, peer: PartnerId, channel: ChannelId, lane: LaneId) {
        let asked = self.wants_of((channel, lane));
        let asked = asked.filter(|(_, wanted)| wanted.peer == peer);
        let asked: Vec<LogId> = asked.map(|(log, _)| *log).collect();
        asked.iter().for_each(|log| self.forget(log));
        if let Some(source) = self.sources.get_mut(&peer)
            && let Some(gone) = source.lanes.remove(&(channel, lane))
        {
            source.logs -= gone.ahead.len();
            if let Some(at) = gone.look_at {
                self.looks.remove(&(at, peer, (channel, lane)));
            }
            self.forget_lane((channel, lane), gone);
        }
    }

    fn wants_of(&self, (channel, lane): LaneRef) -> impl Iterator<Item = (&LogId, &Wanted)> {
        let log = |writer| (channel, lane, WriterId([writer; 32]));
        self.wants.range(log(0)..=log(255))
    }

    /// The transport dropped frames to a peer, perhaps those that asked: they are asked anew.
    pub fn drained(&mut self, peer: &PartnerId, now: Instant) {
        self.wants.retain(|_, wanted| wanted.peer != *peer);
        if let Some(source) = self.sources.get_mut(peer) {
            for lane in source.lanes.values_mut() {
                lane.wants = 0;
            }
            self.look_at_all(*peer, now);
        }
    }

    /// Who writes in a channel has changed: what nobody could judge before may be asked for.
    pub fn writers_changed(&mut self, channel: ChannelId, now: Instant) {
        let lanes = self.sources.iter().flat_map(|(peer, source)| {
            let lanes = source.lanes.keys().filter(|lane| lane.0 == channel);
            lanes.map(move |lane| (*peer, *lane))
        });
        for (peer, lane) in lanes.collect::<Vec<_>>() {
            self.look_soon(peer, lane, now);
        }
    }

    fn lane_mut(&mut self, peer: PartnerId, log: &LogId) -> Option<&mut LaneSource> {
        let source = self.sources.get_mut(&peer)?;
        source.lanes.get_mut(&(log.0, log.1))
    }

    fn look_at_all(&mut self, peer: PartnerId, now: Instant) {
        let lanes = self.sources.get(&peer).map(|source| &source.lanes);
        let lanes: Vec<LaneRef> = lanes
            .into_iter()
            .flat_map(|lanes| lanes.keys())
            .copied()
            .collect();
        for lane in lanes {
            self.look_soon(peer, lane, now);
        }
    }

    /// Something changed that may make a question possible: looks at a lane of a peer as soon as it
    /// was left alone long enough.
    pub fn look_soon(&mut self, peer: PartnerId, lane: LaneRef, now: Instant) {
        let held = self.lane_mut(peer, &(lane.0, lane.1, WriterId([0; 32])));
        if let Some(held) = held {
            let at = now.max(held.looked.plus(LOOK_MS));
            self.look(peer, lane, at);
        }
    }

    /// Looks at a lane then at the latest.
    fn look(&mut self, peer: PartnerId, lane: LaneRef, at: Instant) {
        let Some(held) = self
            .sources
            .get_mut(&peer)
            .and_then(|source| source.lanes.get_mut(&lane))
        else {
            return;
        };
        if held.look_at.is_some_and(|due| due <= at) {
            return;
        }
        if let Some(later) = held.look_at.replace(at) {
            self.looks.remove(&(later, peer, lane));
        }
        self.looks.insert((at, peer, lane));
    }

    /// A peer brings a lane no more: what was kept of it goes, unless another peer brings it.
    fn forget_lane(&mut self, lane: LaneRef, gone: LaneSource) {
        for writer in gone.ahead.into_keys() {
            let log = (lane.0, lane.1, writer);
            if !self.is_anyone_ahead(&log) {
                self.behind_since.remove(&log);
            }
        }
        let mut sources = self.sources.values();
        if !sources.any(|source| source.lanes.contains_key(&lane)) {
            self.asked_last.remove(&lane);
        }
    }

    fn is_anyone_ahead(&self, log: &LogId) -> bool {
        self.sources.values().any(|source| {
            let lane = source.lanes.get(&(log.0, log.1));
            lane.is_some_and(|lane| lane.ahead.contains_key(&log.2))
        })
    }

    fn forget(&mut self, log: &LogId) {
        let Some(wanted) = self.wants.remove(log) else {
            return;
        };
        if let Some(lane) = self.lane_mut(wanted.peer, log) {
            lane.wants = lane.wants.saturating_sub(1);
        }
    }

    fn rest(&mut self, peer: PartnerId, log: LogId, now: Instant) {
        if let Some(lane) = self.lane_mut(peer, &log) {
            let rest = lane.resting.entry(log.2).or_default();
            let ms = (REST_MS << rest.times.min(6)).min(REST_MAX_MS);
            *rest = Rest {
                until: now.plus(ms),
                times: rest.times.saturating_add(1),
            };
        }
    }

    /// How many entries all tables have.
    pub fn entries(&self) -> usize {
        let of_lane =
            |lane: &LaneSource| lane.ahead.len() + lane.arrived.len() + lane.resting.len();
        let lanes = self
            .sources
            .values()
            .flat_map(|source| source.lanes.values());
        let tables = [
            self.looks.len(),
            self.wants.len(),
            self.behind_since.len(),
            self.asked_last.len(),
            self.postponed.len(),
        ];
        tables.into_iter().chain(lanes.map(of_lane)).sum()
    }

    /// When something is to be looked at again.
    pub fn next_look(&self) -> Option<Instant> {
        self.looks.first().map(|(at, ..)| *at)
    }

    /// The ranges to ask for now, of peers that `takes` frames.
    pub fn due(
        &mut self,
        channels: &Channels,
        takes: impl Fn(&PartnerId) -> bool,
        now: Instant,
    ) -> Vec<(PartnerId, Want)> {
        let mut due = Vec::new();
        while let Some(&(at, peer, lane)) = self.looks.first().filter(|(at, ..)| *at <= now) {
            self.looks.remove(&(at, peer, lane));
            if let Some(rested_at) = self.tired(&peer, now) {
                self.looks.insert((rested_at, peer, lane));
                if let Some(held) = self.lane_mut(peer, &(lane.0, lane.1, WriterId([0; 32]))) {
                    held.look_at = Some(rested_at);
                }
                continue;
            }
            if let Some(held) = self.lane_mut(peer, &(lane.0, lane.1, WriterId([0; 32]))) {
                held.look_at = None;
                held.looked = now;
            }
            let takes = takes(&peer);
            if let Some(again) = self.due_of(peer, lane, channels, takes, now, &mut due) {
                self.look(peer, lane, again.max(now.plus(LOOK_MS)));
            }
        }
        due
    }

    /// When a peer's lanes may be looked at again, if not now.
    fn tired(&self, peer: &PartnerId, now: Instant) -> Option<Instant> {
        let source = self.sources.get(peer)?;
        Some(source.rested_at).filter(|at| *at > now)
    }

    /// Asks a peer for what is due of a lane; returns when to look again.
    fn due_of(
        &mut self,
        peer: PartnerId,
        lane: LaneRef,
        channels: &Channels,
        takes: bool,
        now: Instant,
        due: &mut Vec<(PartnerId, Want)>,
    ) -> Option<Instant> {
        let mut again = self.expire(peer, lane, now);
        if !takes {
            // Drained looks at everything.
            return again;
        }
        let candidates = self
            .lane_mut(peer, &(lane.0, lane.1, WriterId([0; 32])))?
            .next_candidates();
        if candidates.len() == LOGS_PER_LOOK {
            again = Some(now.plus(TICK_MS));
        }
        if let Some(source) = self.sources.get_mut(&peer) {
            source.rested_at = now.plus(candidates.len() as u64 / LOGS_PER_MS);
        }
        for (writer, theirs) in candidates {
            let log = (lane.0, lane.1, writer);
            let channel = channels.get(&log.0);
            let held = channel.map_or(0, |channel| channel.graph().height(log.1, log.2));
            if theirs <= held && channel.is_none_or(|channel| !is_stranger(channel, &peer)) {
                self.caught_up(peer, &log);
                continue;
            }
            match self.turn(peer, log, held, theirs, channel, now) {
                Turn::Ask(from) => {
                    let want = self.ask(peer, log, from, theirs, now);
                    again = sooner(again, now.plus(limits::WANT_TIMEOUT_MS));
                    due.push((peer, want));
                }
                Turn::At(at) => again = sooner(again, at),
                Turn::Never => {}
            }
        }
        again
    }

    fn ask(&mut self, peer: PartnerId, log: LogId, from: u64, theirs: u64, now: Instant) -> Want {
        if let Some(slow) = self.wants.get(&log).map(|wanted| wanted.peer) {
            self.forget(&log);
            self.rest(slow, log, now);
        }
        self.asked += 1;
        let wanted = Wanted {
            peer,
            from,
            order: self.asked,
            brought: from - 1,
            asked_at: now,
            deadline: now.plus(limits::WANT_TIMEOUT_MS),
        };
        self.wants.insert(log, wanted);
        self.asked_last.insert((log.0, log.1), peer);
        if let Some(lane) = self.lane_mut(peer, &log) {
            lane.wants += 1;
        }
        let (channel, lane, writer) = log;
        Want {
            channel,
            lane,
            writer,
            from,
            to: theirs.min(from.saturating_add(limits::WANT_EVENTS - 1)),
        }
    }

    /// Gives up the wants of a lane that brought nothing for too long; returns when the next one
    /// may be late.
    fn expire(&mut self, peer: PartnerId, lane: LaneRef, now: Instant) -> Option<Instant> {
        let of_peer: Vec<(LogId, Instant)> = self
            .wants_of(lane)
            .filter(|(_, wanted)| wanted.peer == peer)
            .map(|(log, wanted)| (*log, wanted.deadline))
            .collect();
        let mut again = None;
        for (log, deadline) in of_peer {
            if deadline > now || mutation::is(Mutation::WantNeverExpires) {
                again = sooner(again, deadline);
                continue;
            }
            self.forget(&log);
            self.rest(peer, log, now);
        }
        if let Some(held) = self.lane_mut(peer, &(lane.0, lane.1, WriterId([0; 32]))) {
            held.arrived.retain(|_, (_, until)| *until > now);
        }
        again
    }

    fn caught_up(&mut self, peer: PartnerId, log: &LogId) {
        if let Some(source) = self.sources.get_mut(&peer)
            && let Some(lane) = source.lanes.get_mut(&(log.0, log.1))
        {
            source.logs -= usize::from(lane.ahead.remove(&log.2).is_some());
            lane.arrived.remove(&log.2);
            lane.resting.remove(&log.2);
        }
        if !self.is_anyone_ahead(log) {
            self.behind_since.remove(log);
        }
    }

    /// Where to ask from, if this peer is to be asked for this log now. A relay is asked only once
    /// the author itself, where it is linked, has brought nothing for a while. A writer not
    /// introduced yet is not asked for at all, except where the charter itself is still to come.
    fn turn(
        &mut self,
        peer: PartnerId,
        log: LogId,
        held: u64,
        theirs: u64,
        channel: Option<&Channel>,
        now: Instant,
    ) -> Turn {
        let lane = |pull: &Pull| {
            let source = pull.sources.get(&peer)?;
            let lane = source.lanes.get(&(log.0, log.1))?;
            let arrived = lane.arrived.get(&log.2).copied();
            let rests = lane.resting.get(&log.2).map(|rest| rest.until);
            Some((arrived, rests, source.is_busy() || lane.is_busy()))
        };
        let Some((arrived, rests, busy)) = lane(self) else {
            return Turn::Never;
        };
        let postponed = self.postponed.get(&log).copied();
        if let Some(until) = rests.max(postponed).filter(|until| *until > now) {
            return Turn::At(until);
        }
        let (arrived, until) = arrived.unwrap_or_default();
        if theirs <= arrived {
            return Turn::At(until);
        }
        let slow =
            |wanted: &Wanted| wanted.peer != peer && wanted.asked_at.plus(SLOW_RANGE_MS) <= now;
        if self.wants.get(&log).is_some_and(|wanted| !slow(wanted)) {
            return Turn::At(now.plus(TICK_MS));
        }
        if busy {
            return Turn::Never;
        }
        // Where one asks from shows what is held: not to a peer that may not read the lane.
        let reads = channel.is_none_or(|channel| may_read(channel, &peer, &log.1));
        let shown = if reads { held } else { 0 };
        let Some(from) = shown.max(arrived).checked_add(1) else {
            return Turn::Never;
        };
        let only_if = |allowed: bool| {
            if allowed {
                Turn::Ask(from)
            } else {
                Turn::Never
            }
        };
        let Some(channel) = channel else {
            return only_if(log.1 == lane::control_lane(log.0));
        };
        let Some(author) = channel.writer_partner(&log.2) else {
            return only_if(channel.charter.is_none() && log.1 == channel.control_lane);
        };
        if author != peer && self.is_anothers_turn(peer, &log, shown, now) {
            return Turn::At(now.plus(TICK_MS));
        }
        let direct = author == peer || !self.sources.contains_key(&author);
        let grace = if direct {
            DIRECT_GRACE_MS
        } else {
            limits::RELAY_GRACE_MS
        };
        let since = self.behind_since.entry(log).or_insert((now, held));
        if since.1 != held {
            *since = (now, held);
        }
        match since.0.plus(grace) {
            asked_at if asked_at <= now => Turn::Ask(from),
            later => Turn::At(later),
        }
    }

    /// Whether the peer was the last to be asked for the lane, and another could be asked now: so
    /// none is always before the others. Whoever was asked for this log and is slow is no other.
    fn is_anothers_turn(&self, peer: PartnerId, log: &LogId, held: u64, now: Instant) -> bool {
        let could = |source: &Source| {
            let Some(lane) = source.lanes.get(&(log.0, log.1)) else {
                return false;
            };
            let rests = lane.resting.get(&log.2);
            !source.is_busy()
                && !lane.is_busy()
                && rests.is_none_or(|rest| rest.until <= now)
                && lane.ahead.get(&log.2).is_some_and(|theirs| *theirs > held)
        };
        let slow = self.wants.get(log).map(|wanted| wanted.peer);
        self.asked_last.get(&(log.0, log.1)) == Some(&peer)
            && self
                .sources
                .iter()
                .any(|(other, source)| *other != peer && Some(*other) != slow && could(source))
    }
}

fn sooner(one: Option<Instant>, other: Instant) -> Option<Instant> {
    Some(one.map_or(other, |one| one.min(other)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::WriterId;

    const LIAR: PartnerId = PartnerId([1; 32]);
    const HONEST: PartnerId = PartnerId([2; 32]);

    #[test]
    fn a_peer_that_ends_ranges_without_bringing_anything_cannot_keep_others_from_being_asked() {
        let (mut pull, log) = both_ahead(u64::MAX, 10);
        let asked = run(&mut pull, 60_000, |pull, want, now| {
            let end = RangeEnd {
                channel: want.channel,
                lane: want.lane,
                writer: want.writer,
                to: want.to,
            };
            pull.range_ended(LIAR, &end, None, now);
        });
        assert!(
            asked.contains(&HONEST),
            "the honest peer was never asked for {log:?}"
        );
    }

    #[test]
    fn a_silent_peer_rests_and_another_is_asked() {
        let (mut pull, _) = both_ahead(10, 10);
        let asked = run(&mut pull, 60_000, |_, _, _| {});
        assert!(asked.contains(&HONEST));
    }

    #[test]
    fn what_was_brought_before_keeps_no_want_alive() {
        let (mut pull, log) = both_ahead(10, 10);
        let asked = run(&mut pull, 60_000, |pull, _, now| {
            pull.range_goes_on(&LIAR, &log, 0, now)
        });
        assert!(asked.contains(&HONEST));
    }

    #[test]
    fn a_peer_that_brings_an_event_now_and_then_cannot_keep_others_from_being_asked() {
        let (mut pull, log) = both_ahead(2_000, 2_000);
        let asked = run(&mut pull, 60_000, |pull, want, now| {
            pull.range_goes_on(&LIAR, &log, want.from + now.0 / 2_000, now)
        });
        assert!(asked.contains(&HONEST));
    }

    #[test]
    fn lanes_told_of_and_refused_leave_nothing_behind() {
        let mut pull = Pull::default();
        pull.up(LIAR);
        let before = pull.entries();
        for number in 0..100u8 {
            let channel = ChannelId([number; 32]);
            let lane = lane::control_lane(channel);
            let now = Instant(u64::from(number) * 1_000);
            pull.ahead(LIAR, (channel, lane, WriterId([8; 32])), 9, 0, now);
            pull.look_soon(LIAR, (channel, lane), now);
            let due = pull.due(&BTreeMap::new(), |_| true, now.plus(500));
            assert_eq!(due.len(), 1);
            pull.refused(LIAR, channel, lane);
        }
        assert_eq!(pull.entries(), before);
    }

    #[test]
    fn a_range_end_that_nobody_asked_for_means_nothing() {
        let (mut pull, log) = both_ahead(10, 10);
        let (channel, lane, writer) = log;
        let end = RangeEnd {
            channel,
            lane,
            writer,
            to: u64::MAX,
        };
        pull.range_ended(HONEST, &end, None, Instant(0));
        let due = pull.due(&BTreeMap::new(), |_| true, Instant(50));
        assert_eq!(
            due.first().map(|(_, want)| (want.from, want.to)),
            Some((1, 10))
        );
    }

    /// Both peers hold more of a control log of which nothing is held here.
    fn both_ahead(liar: u64, honest: u64) -> (Pull, LogId) {
        let channel = ChannelId([7; 32]);
        let log = (channel, lane::control_lane(channel), WriterId([8; 32]));
        let mut pull = Pull::default();
        for (peer, seq) in [(LIAR, liar), (HONEST, honest)] {
            pull.up(peer);
            pull.ahead(peer, log, seq, 0, Instant(0));
            pull.look_soon(peer, (log.0, log.1), Instant(0));
        }
        (pull, log)
    }

    /// Who is asked within `ms`, when the liar does its worst at every look.
    fn run(pull: &mut Pull, ms: u64, worst: impl Fn(&mut Pull, &Want, Instant)) -> Vec<PartnerId> {
        let mut asked = Vec::new();
        let mut of_liar = None;
        for now in (1..ms).step_by(50).map(Instant) {
            for (peer, want) in pull.due(&BTreeMap::new(), |_| true, now) {
                asked.push(peer);
                if peer == LIAR {
                    of_liar = Some(want);
                }
            }
            if let Some(want) = &of_liar {
                worst(pull, want, now);
            }
        }
        asked
    }
}
