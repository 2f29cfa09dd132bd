//! Asking peers for what they hold and this node does not.
//!
//! Each log is asked of one peer at a time. A peer that was asked and brought nothing rests for
//! that log, twice as long each time, so that one which promises and does not deliver cannot keep
//! the others from being asked.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::channel::Channel;
use crate::id::{ChannelId, LaneId, PartnerId};
use crate::lane;
use crate::limits;
use crate::sync::{is_stranger, may_read};
use crate::time::Instant;
use crate::wire::{LogId, RangeEnd, Want};

/// What a peer announced may be on its way on another stream: wait this long before asking.
const DIRECT_GRACE_MS: u64 = 100;
/// A range that ended in events nobody here could judge yet is asked for again after this.
const UNJUDGED_RETRY_MS: u64 = 200;
/// Logs of a peer that one look goes through.
const LOGS_PER_LOOK: usize = 1024;
/// How often a peer's logs are looked at while anything is under way, in milliseconds.
const TICK_MS: u64 = 50;
/// The least time between two looks at one peer's logs, in milliseconds: bounds their cost under a
/// flood of inputs.
const LOOK_MS: u64 = 10;
/// How long a peer rests after it brought nothing, at first and at most.
const REST_MS: u64 = 1_000;
const REST_MAX_MS: u64 = 60_000;

/// What is asked of whom.
#[derive(Debug, Default)]
pub struct Pull {
    sources: BTreeMap<PartnerId, Source>,
    /// Ranges asked for and not ended yet.
    wants: BTreeMap<LogId, Wanted>,
    /// Since when somebody has had more of a log than is here, and what was here then.
    behind_since: BTreeMap<LogId, (Instant, u64)>,
    asked: u64,
    /// Whom each lane was asked of last: the next time it is another's turn.
    asked_last: BTreeMap<(ChannelId, LaneId), PartnerId>,
}

/// What one peer could bring.
#[derive(Debug, Default)]
struct Source {
    /// How far the peer says it holds the logs of which it has more than is here.
    ahead: BTreeMap<LogId, u64>,
    /// How far ranges came that are not all accepted yet, and until when to wait for that.
    arrived: BTreeMap<LogId, (u64, Instant)>,
    resting: BTreeMap<LogId, Rest>,
    wants: usize,
    verifying_bytes: usize,
    /// Where the last look at `ahead` ended.
    looked_at: Option<LogId>,
    /// When the last look was, and when the next is due, if any is.
    looked: Instant,
    look_at: Option<Instant>,
}

impl Source {
    fn is_busy(&self) -> bool {
        self.wants >= limits::WANTS_PER_PEER
            || self.verifying_bytes >= limits::VERIFYING_BYTES_PER_PEER
    }

    /// Something changed that may make a question possible.
    fn look_soon(&mut self, now: Instant) {
        let soon = now.max(self.looked.plus(LOOK_MS));
        self.look_at = Some(self.look_at.map_or(soon, |at| at.min(soon)));
    }

    /// The next logs to look at, going round: a look has a bounded cost however much a peer claims
    /// to hold.
    fn next_candidates(&mut self) -> Vec<(LogId, u64)> {
        let from = self.looked_at.map_or(Bound::Unbounded, Bound::Excluded);
        let pick = |(log, theirs): (&LogId, &u64)| (*log, *theirs);
        let rest = self.ahead.range((from, Bound::Unbounded));
        let found: Vec<(LogId, u64)> = rest.take(LOGS_PER_LOOK).map(pick).collect();
        self.looked_at = found
            .last()
            .filter(|_| found.len() == LOGS_PER_LOOK)
            .map(|(log, _)| *log);
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
    deadline: Instant,
}

impl Pull {
    pub fn up(&mut self, peer: PartnerId) {
        self.sources.insert(peer, Source::default());
    }

    pub fn down(&mut self, peer: &PartnerId) {
        self.sources.remove(peer);
        self.wants.retain(|_, wanted| wanted.peer != *peer);
        self.drop_behind();
    }

    /// A peer holds a log at least as far as `seq`, more than the `held` here.
    pub fn ahead(&mut self, peer: PartnerId, log: LogId, seq: u64, held: u64, now: Instant) {
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        if source.ahead.len() >= limits::LOGS_PER_PEER && !source.ahead.contains_key(&log) {
            return;
        }
        let known = source.ahead.entry(log).or_insert(0);
        *known = (*known).max(seq);
        source.look_soon(now);
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
        if let Some(source) = self.sources.get_mut(peer) {
            source.verifying_bytes = source.verifying_bytes.saturating_sub(bytes);
            if !source.ahead.is_empty() {
                source.look_soon(now);
            }
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
            return self.rest(peer, log, now);
        }
        let stranger = channel.is_some_and(|channel| is_stranger(channel, &peer));
        let judged = channel.is_some_and(|channel| channel.writer_partner(&end.writer).is_some());
        let wait = if judged {
            limits::WANT_TIMEOUT_MS
        } else {
            UNJUDGED_RETRY_MS
        };
        if let Some(source) = self.sources.get_mut(&peer) {
            source.resting.remove(&log);
            source.arrived.insert(log, (to, now.plus(wait)));
            if stranger {
                // It was asked from the start and has told all that it said it had.
                source.ahead.remove(&log);
            }
            source.look_soon(now);
        }
    }

    /// A peer does not serve a lane.
    pub fn refused(&mut self, peer: PartnerId, channel: ChannelId, lane: LaneId, now: Instant) {
        let of_lane = |log: &LogId| log.0 == channel && log.1 == lane;
        let asked: Vec<LogId> = self
            .wants
            .iter()
            .filter(|(log, wanted)| of_lane(log) && wanted.peer == peer)
            .map(|(log, _)| *log)
            .collect();
        asked.iter().for_each(|log| self.forget(log));
        if let Some(source) = self.sources.get_mut(&peer) {
            source.ahead.retain(|log, _| !of_lane(log));
            source.arrived.retain(|log, _| !of_lane(log));
            source.resting.retain(|log, _| !of_lane(log));
            source.look_soon(now);
        }
        self.drop_behind();
    }

    /// The transport dropped frames to a peer, perhaps those that asked: they are asked anew.
    pub fn drained(&mut self, peer: &PartnerId, now: Instant) {
        self.wants.retain(|_, wanted| wanted.peer != *peer);
        if let Some(source) = self.sources.get_mut(peer) {
            source.wants = 0;
            source.look_soon(now);
        }
    }

    fn drop_behind(&mut self) {
        let sources = &self.sources;
        let ahead = |log: &LogId| {
            sources
                .values()
                .any(|source| source.ahead.contains_key(log))
        };
        self.behind_since.retain(|log, _| ahead(log));
    }

    fn forget(&mut self, log: &LogId) {
        if let Some(wanted) = self.wants.remove(log)
            && let Some(source) = self.sources.get_mut(&wanted.peer)
        {
            source.wants = source.wants.saturating_sub(1);
        }
    }

    fn rest(&mut self, peer: PartnerId, log: LogId, now: Instant) {
        if let Some(source) = self.sources.get_mut(&peer) {
            let rest = source.resting.entry(log).or_default();
            let ms = (REST_MS << rest.times.min(6)).min(REST_MAX_MS);
            *rest = Rest {
                until: now.plus(ms),
                times: rest.times.saturating_add(1),
            };
        }
    }

    /// When something is to be looked at again.
    pub fn next_look(&self) -> Option<Instant> {
        self.sources
            .values()
            .filter_map(|source| source.look_at)
            .min()
    }

    /// The ranges to ask for now, of peers that `takes` frames. When a peer is looked at depends on
    /// that peer alone.
    pub fn due(
        &mut self,
        channels: &BTreeMap<ChannelId, Channel>,
        takes: impl Fn(&PartnerId) -> bool,
        now: Instant,
    ) -> Vec<(PartnerId, Want)> {
        let is_due = |source: &Source| source.look_at.is_some_and(|at| at <= now);
        let peers = self.sources.iter().filter(|(_, source)| is_due(source));
        let peers: Vec<PartnerId> = peers.map(|(peer, _)| *peer).collect();
        let mut due = Vec::new();
        for peer in peers {
            self.expire(peer, now);
            if takes(&peer) {
                due.extend(self.due_of(peer, channels, now));
            }
            if let Some(source) = self.sources.get_mut(&peer) {
                let busy = !source.ahead.is_empty() || source.wants > 0;
                source.looked = now;
                source.look_at = busy.then(|| now.plus(TICK_MS));
            }
        }
        due
    }

    fn expire(&mut self, peer: PartnerId, now: Instant) {
        let late = self
            .wants
            .iter()
            .filter(|(_, wanted)| wanted.peer == peer && wanted.deadline <= now);
        let late: Vec<LogId> = late.map(|(log, _)| *log).collect();
        for log in late {
            self.forget(&log);
            self.rest(peer, log, now);
        }
        if let Some(source) = self.sources.get_mut(&peer) {
            source.arrived.retain(|_, (_, until)| *until > now);
        }
    }

    fn due_of(
        &mut self,
        peer: PartnerId,
        channels: &BTreeMap<ChannelId, Channel>,
        now: Instant,
    ) -> Vec<(PartnerId, Want)> {
        let mut due = Vec::new();
        let Some(source) = self
            .sources
            .get_mut(&peer)
            .filter(|source| !source.is_busy())
        else {
            return due;
        };
        let candidates = source.next_candidates();
        for (log, theirs) in candidates {
            let channel = channels.get(&log.0);
            let held = channel.map_or(0, |channel| channel.graph().height(log.1, log.2));
            if theirs <= held {
                self.caught_up(peer, &log);
                continue;
            }
            let Some(from) = self.may_ask(peer, log, held, theirs, channel, now) else {
                continue;
            };
            let to = theirs.min(from.saturating_add(limits::WANT_EVENTS - 1));
            let (channel, lane, writer) = log;
            due.push((
                peer,
                Want {
                    channel,
                    lane,
                    writer,
                    from,
                    to,
                },
            ));
            self.asked += 1;
            let wanted = Wanted {
                peer,
                from,
                order: self.asked,
                brought: from - 1,
                deadline: now.plus(limits::WANT_TIMEOUT_MS),
            };
            self.wants.insert(log, wanted);
            self.asked_last.insert((log.0, log.1), peer);
            if let Some(source) = self.sources.get_mut(&peer) {
                source.wants += 1;
            }
        }
        due
    }

    fn caught_up(&mut self, peer: PartnerId, log: &LogId) {
        if let Some(source) = self.sources.get_mut(&peer) {
            source.ahead.remove(log);
            source.arrived.remove(log);
            source.resting.remove(log);
        }
        if !self
            .sources
            .values()
            .any(|source| source.ahead.contains_key(log))
        {
            self.behind_since.remove(log);
        }
    }

    /// Where to ask from, if this peer is to be asked for this log now. A relay is asked only once
    /// the author itself, where it is linked, has brought nothing for a while. A writer not
    /// introduced yet is not asked for at all, except where the charter itself is still to come.
    fn may_ask(
        &mut self,
        peer: PartnerId,
        log: LogId,
        held: u64,
        theirs: u64,
        channel: Option<&Channel>,
        now: Instant,
    ) -> Option<u64> {
        let source = self.sources.get(&peer)?;
        let arrived = source.arrived.get(&log).map_or(0, |(upto, _)| *upto);
        let busy = source.is_busy()
            || source
                .resting
                .get(&log)
                .is_some_and(|rest| rest.until > now);
        if busy || theirs <= arrived || self.wants.contains_key(&log) {
            return None;
        }
        // Where one asks from shows what is held: not to a peer that may not read the lane.
        let shown = if channel.is_none_or(|channel| may_read(channel, &peer, &log.1)) {
            held
        } else {
            0
        };
        let from = shown.max(arrived).checked_add(1)?;
        let Some(channel) = channel else {
            return (log.1 == lane::control_lane(log.0)).then_some(from);
        };
        let Some(author) = channel.writer_partner(&log.2) else {
            return (channel.charter.is_none() && log.1 == channel.control_lane).then_some(from);
        };
        if author != peer && self.is_anothers_turn(peer, &log, shown, now) {
            return None;
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
        (since.0.plus(grace) <= now).then_some(from)
    }

    /// Whether the peer was the last to be asked for the lane, and another could be asked now: so
    /// none is always before the others.
    fn is_anothers_turn(&self, peer: PartnerId, log: &LogId, held: u64, now: Instant) -> bool {
        let could = |source: &Source| {
            let rests = source.resting.get(log);
            !source.is_busy()
                && rests.is_none_or(|rest| rest.until <= now)
                && source.ahead.get(log).is_some_and(|theirs| *theirs > held)
        };
        self.asked_last.get(&(log.0, log.1)) == Some(&peer)
            && self
                .sources
                .iter()
                .any(|(other, source)| *other != peer && could(source))
    }
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
