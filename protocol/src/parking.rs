//! Events that wait for their past: verified, bounded by the peer that sent them, evictable at
//! any time, since whoever cites an event must serve it again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::event::{Event, Reference};
use crate::id::{EventId, PartnerId};
use crate::limits;

/// A waiting event.
#[derive(Debug)]
pub struct Parked {
    pub event: Event,
    pub from: PartnerId,
}

/// The events of one channel that wait.
#[derive(Debug, Default)]
pub struct Parking {
    events: BTreeMap<EventId, Parked>,
    /// Per missing event: who waits for it.
    waiting: BTreeMap<EventId, BTreeSet<EventId>>,
    by_peer: BTreeMap<PartnerId, Share>,
}

#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    order: VecDeque<EventId>,
}

impl Parking {
    /// Parks `event` until `missing` arrive; returns how many older events of the same peer had
    /// to give way.
    pub fn park(&mut self, event: Event, from: PartnerId, missing: &[Reference]) -> usize {
        for reference in missing {
            self.waiting
                .entry(reference.id)
                .or_default()
                .insert(event.id);
        }
        if self.events.contains_key(&event.id) {
            return 0;
        }
        let share = self.by_peer.entry(from).or_default();
        share.bytes += event.weight();
        share.order.push_back(event.id);
        self.events.insert(event.id, Parked { event, from });
        self.evict(from)
    }

    fn evict(&mut self, from: PartnerId) -> usize {
        let mut evicted = 0;
        while self
            .by_peer
            .get(&from)
            .is_some_and(|share| share.bytes > limits::PARKED_BYTES_PER_PEER)
        {
            let Some(oldest) = self
                .by_peer
                .get_mut(&from)
                .and_then(|share| share.order.pop_front())
            else {
                break;
            };
            if self.remove(&oldest).is_some() {
                evicted += 1;
            }
        }
        evicted
    }

    /// Takes an event out of the parking.
    pub fn remove(&mut self, id: &EventId) -> Option<Parked> {
        let parked = self.events.remove(id)?;
        if let Some(share) = self.by_peer.get_mut(&parked.from) {
            share.bytes = share.bytes.saturating_sub(parked.event.weight());
            if share.order.front() == Some(id) {
                share.order.pop_front();
            } else if share.order.len() > 2 * self.events.len() + 64 {
                share.order.retain(|held| self.events.contains_key(held));
            }
        }
        let header = &parked.event.header;
        let cited = header
            .deps
            .iter()
            .chain(&header.control_heads)
            .map(|reference| reference.id);
        for missing in cited.chain(header.prev) {
            if let Some(waiters) = self.waiting.get_mut(&missing) {
                waiters.remove(id);
                if waiters.is_empty() {
                    self.waiting.remove(&missing);
                }
            }
        }
        Some(parked)
    }

    pub fn contains(&self, id: &EventId) -> bool {
        self.events.contains_key(id)
    }

    /// The parked events that wait for `id`.
    pub fn waiting_for(&self, id: &EventId) -> Vec<EventId> {
        self.waiting
            .get(id)
            .map(|waiters| waiters.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Whether a parked event of another writer cites `id`.
    pub fn cited_by_another(&self, event: &Event) -> bool {
        self.waiting.get(&event.id).is_some_and(|waiters| {
            waiters
                .iter()
                .filter_map(|waiter| self.events.get(waiter))
                .any(|waiter| waiter.event.header.writer != event.header.writer)
        })
    }

    /// How many events wait, and what they weigh in bytes.
    pub fn weight(&self) -> (usize, usize) {
        (
            self.events.len(),
            self.by_peer.values().map(|share| share.bytes).sum(),
        )
    }
}
