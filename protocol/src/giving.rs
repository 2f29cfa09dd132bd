//! Secrets of epochs that this node could not open: asking other readers for them, and counting
//! what is given to whom.
//!
//! A wrap may be garbage, or the epoch older than this partner's membership in a channel whose
//! history is for all. Whoever else reads the lane can help, and its help is checked against the
//! key event's commitment. Each lane is asked for on its own, so that what a peer is asked
//! depends on nothing that it may not read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::id::{ChannelId, EventId, LaneId, PartnerId};
use crate::limits;
use crate::time::Instant;
use crate::wire::AskKeys;

/// How long to wait after every reader was asked, at first and at most.
const REST_MS: u64 = 1_000;
const REST_MAX_MS: u64 = 60_000;

type LaneRef = (ChannelId, LaneId);

/// The secrets that are wanted.
#[derive(Debug, Default)]
pub struct Asking {
    lanes: BTreeMap<LaneRef, Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    key_events: BTreeSet<EventId>,
    asked: Option<Asked>,
    /// Who has been asked for all of them since the last rest.
    tried: BTreeSet<PartnerId>,
    /// Where the questions to the present peer have come to.
    upto: Option<EventId>,
    rest_until: Instant,
    rounds: u32,
}

#[derive(Debug)]
struct Asked {
    peer: PartnerId,
    last: EventId,
    deadline: Instant,
}

impl Asking {
    /// The secret that a key event opens is not held.
    pub fn want(&mut self, lane: LaneRef, key_event: EventId) {
        self.lanes
            .entry(lane)
            .or_default()
            .key_events
            .insert(key_event);
    }

    pub fn wants(&self, lane: LaneRef, key_event: &EventId) -> bool {
        self.lanes
            .get(&lane)
            .is_some_and(|wanted| wanted.key_events.contains(key_event))
    }

    /// The secret is held now.
    pub fn obtained(&mut self, lane: LaneRef, key_event: &EventId) {
        if let Some(wanted) = self.lanes.get_mut(&lane) {
            wanted.key_events.remove(key_event);
            wanted.rounds = 0;
            if wanted.key_events.is_empty() {
                self.lanes.remove(&lane);
            }
        }
    }

    /// A peer came up, or reads more than before: it may be asked at once.
    pub fn up(&mut self, peer: &PartnerId) {
        for wanted in self.lanes.values_mut() {
            wanted.tried.remove(peer);
            wanted.rest_until = Instant::default();
        }
    }

    /// A channel's members changed: perhaps somebody reads a lane now that did not before.
    pub fn readers_changed(&mut self, channel: ChannelId) {
        let of_channel = self.lanes.iter_mut().filter(|((id, _), _)| *id == channel);
        for (_, wanted) in of_channel {
            wanted.rest_until = Instant::default();
        }
    }

    pub fn down(&mut self, peer: &PartnerId) {
        for wanted in self.lanes.values_mut() {
            if wanted
                .asked
                .as_ref()
                .is_some_and(|asked| asked.peer == *peer)
            {
                wanted.asked = None;
                wanted.upto = None;
            }
        }
    }

    /// The peer answered, or refused: on with the rest.
    pub fn answered(&mut self, lane: LaneRef, peer: &PartnerId) {
        let Some(wanted) = self.lanes.get_mut(&lane) else {
            return;
        };
        if let Some(asked) = wanted.asked.take_if(|asked| asked.peer == *peer) {
            wanted.upto = Some(asked.last);
        }
    }

    /// The peer does not serve the lane, or not now.
    pub fn refused(&mut self, lane: LaneRef, peer: &PartnerId) {
        let Some(wanted) = self.lanes.get_mut(&lane) else {
            return;
        };
        if wanted.asked.take_if(|asked| asked.peer == *peer).is_some() {
            wanted.give_up_on(*peer);
        }
    }

    /// What to ask for now; `readers` gives the linked peers that read a lane.
    pub fn due(
        &mut self,
        readers: impl Fn(LaneRef) -> Vec<PartnerId>,
        now: Instant,
    ) -> Vec<(PartnerId, AskKeys)> {
        let mut due = Vec::new();
        for (&lane, wanted) in &mut self.lanes {
            if wanted.rest_until <= now {
                due.extend(wanted.due(lane, || readers(lane), now));
            }
        }
        due
    }

    /// When to look again, if anything is wanted.
    pub fn next_look(&self) -> Option<Instant> {
        let look = |wanted: &Wanted| {
            let asked = wanted.asked.as_ref();
            asked.map_or(wanted.rest_until, |asked| asked.deadline)
        };
        self.lanes.values().map(look).min()
    }
}

impl Wanted {
    fn due(
        &mut self,
        (channel, lane): LaneRef,
        readers: impl FnOnce() -> Vec<PartnerId>,
        now: Instant,
    ) -> Option<(PartnerId, AskKeys)> {
        if let Some(late) = self.asked.take_if(|asked| asked.deadline <= now) {
            self.give_up_on(late.peer);
        }
        if self.asked.is_some() {
            return None;
        }
        let mut readers = readers();
        readers.retain(|peer| !self.tried.contains(peer));
        let Some(&peer) = readers.first() else {
            self.rest(now);
            return None;
        };
        let after = self.upto.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.key_events.range((after, Bound::Unbounded));
        let key_events: Vec<EventId> = rest.take(limits::KEYS_PER_FRAME).copied().collect();
        let Some(&last) = key_events.last() else {
            self.give_up_on(peer);
            return None;
        };
        self.asked = Some(Asked {
            peer,
            last,
            deadline: now.plus(limits::ASK_KEYS_MS),
        });
        let ask = AskKeys {
            channel,
            lane,
            key_events,
        };
        Some((peer, ask))
    }

    /// The next reader's turn, from the first secret on.
    fn give_up_on(&mut self, peer: PartnerId) {
        self.tried.insert(peer);
        self.upto = None;
    }

    fn rest(&mut self, now: Instant) {
        let ms = (REST_MS << self.rounds.min(6)).min(REST_MAX_MS);
        self.rest_until = now.plus(ms);
        self.rounds = self.rounds.saturating_add(1);
        self.tried.clear();
        self.upto = None;
    }
}

/// How many secrets were given to each peer of late.
#[derive(Debug, Default)]
pub struct Given {
    peers: BTreeMap<PartnerId, (Instant, usize)>,
}

impl Given {
    /// Charges a peer for `count` secrets; false where it must wait.
    pub fn charge(&mut self, peer: PartnerId, count: usize, now: Instant) -> bool {
        let (since, given) = self.peers.entry(peer).or_insert((now, 0));
        if since.plus(limits::GIVING_MS) <= now {
            (*since, *given) = (now, 0);
        }
        if *given + count > limits::KEYS_GIVEN {
            return false;
        }
        *given += count;
        true
    }

    pub fn down(&mut self, peer: &PartnerId) {
        self.peers.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANE: LaneRef = (ChannelId([1; 32]), LaneId([2; 32]));
    const LIAR: PartnerId = PartnerId([3; 32]);
    const HONEST: PartnerId = PartnerId([4; 32]);

    fn key(number: u8) -> EventId {
        EventId([number; 32])
    }

    #[test]
    fn a_reader_that_gives_nothing_does_not_keep_another_from_being_asked() {
        let mut asking = Asking::default();
        (0..40).for_each(|number| asking.want(LANE, key(number)));
        let mut asked_honest = BTreeSet::new();
        for now in (0..20_000).step_by(50).map(Instant) {
            for (peer, ask) in asking.due(|_| vec![LIAR, HONEST], now) {
                if peer == HONEST {
                    asked_honest.extend(ask.key_events);
                }
                asking.answered(LANE, &peer);
            }
        }
        assert_eq!(
            asked_honest.len(),
            40,
            "every secret was asked of the honest reader"
        );
    }

    #[test]
    fn a_silent_reader_is_given_up_on_after_a_while() {
        let mut asking = Asking::default();
        asking.want(LANE, key(1));
        let mut asked = Vec::new();
        for now in (0..20_000).step_by(50).map(Instant) {
            asked.extend(asking.due(|_| vec![LIAR, HONEST], now));
        }
        let peers: Vec<PartnerId> = asked.into_iter().map(|(peer, _)| peer).collect();
        assert!(peers.contains(&LIAR) && peers.contains(&HONEST));
        assert!(
            peers.len() < 10,
            "asked {} times in 20 seconds",
            peers.len()
        );
    }

    #[test]
    fn a_peer_is_given_so_many_secrets_a_second() {
        let mut given = Given::default();
        assert!(given.charge(LIAR, limits::KEYS_GIVEN, Instant(0)));
        assert!(!given.charge(LIAR, 1, Instant(500)));
        assert!(given.charge(HONEST, 1, Instant(500)));
        assert!(given.charge(LIAR, 1, Instant(limits::GIVING_MS)));
    }
}
