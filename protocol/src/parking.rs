//! Events that wait for their past: verified, bounded by the peer that sent them, evictable at
//! any time, since whoever cites an event must serve it again.

use std::collections::{BTreeMap, BTreeSet};

use crate::event::{Event, Reference};
use crate::id::{EventId, LaneId, PartnerId};
use crate::limits;

/// A waiting event.
#[derive(Debug)]
pub struct Parked {
    pub event: Event,
    pub from: PartnerId,
    /// Counts all that were ever parked.
    number: u64,
    /// It waits for nothing but to be cited: a further branch of a fork.
    uncited_branch: bool,
    /// An event of another writer has it in its past.
    cited: bool,
}

/// The events of one channel that wait.
#[derive(Debug, Default)]
pub struct Parking {
    events: BTreeMap<EventId, Parked>,
    /// Per missing event: who waits for it.
    waiting: BTreeMap<EventId, BTreeSet<EventId>>,
    by_peer: BTreeMap<PartnerId, Share>,
    parked: u64,
}

#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    /// By number, so that the oldest is first.
    order: BTreeMap<u64, EventId>,
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
        self.parked += 1;
        let number = self.parked;
        let share = self.by_peer.entry(from).or_default();
        share.bytes += event.weight();
        share.order.insert(number, event.id);
        let parked = Parked {
            number,
            uncited_branch: missing.is_empty(),
            cited: self.cited_by_another(&event),
            event,
            from,
        };
        self.events.insert(parked.event.id, parked);
        self.evict(from)
    }

    /// The branches that waited to be cited and that the parked event `id` cites, itself or
    /// through what follows on them. Each parked event is marked once, so that a thicket of them
    /// costs no more than its size.
    pub fn branches_cited_by(&mut self, id: &EventId) -> Vec<EventId> {
        let mut branches = Vec::new();
        let mut work = vec![*id];
        while let Some(id) = work.pop() {
            let Some(citing) = self.events.get(&id) else {
                continue;
            };
            let (writer, passes_on) = (citing.event.header.writer, citing.cited);
            let references: Vec<EventId> = references(&citing.event).collect();
            for id in references {
                let Some(parked) = self.events.get_mut(&id) else {
                    continue;
                };
                if !parked.cited && (passes_on || parked.event.header.writer != writer) {
                    parked.cited = true;
                    if parked.uncited_branch {
                        branches.push(id);
                    }
                    work.push(id);
                }
            }
        }
        branches
    }

    fn evict(&mut self, from: PartnerId) -> usize {
        let mut evicted = 0;
        while let Some(share) = self.by_peer.get(&from)
            && share.bytes > limits::PARKED_BYTES_PER_PEER
            && let Some((_, &oldest)) = share.order.first_key_value()
        {
            self.remove(&oldest);
            evicted += 1;
        }
        evicted
    }

    /// Takes an event out of the parking.
    pub fn remove(&mut self, id: &EventId) -> Option<Parked> {
        let parked = self.events.remove(id)?;
        if let Some(share) = self.by_peer.get_mut(&parked.from) {
            share.bytes = share.bytes.saturating_sub(parked.event.weight());
            share.order.remove(&parked.number);
        }
        for missing in references(&parked.event) {
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

    /// The lane of a parked event.
    pub fn lane_of(&self, id: &EventId) -> Option<LaneId> {
        self.events.get(id).map(|parked| parked.event.header.lane)
    }

    /// The parked events that wait for `id`.
    pub fn waiting_for(&self, id: &EventId) -> Vec<EventId> {
        self.waiting
            .get(id)
            .map(|waiters| waiters.iter().copied().collect())
            .unwrap_or_default()
    }

    /// Whether a parked event of another writer cites `event`, itself or through what follows on
    /// it in the same log.
    pub fn cited_by_another(&self, event: &Event) -> bool {
        self.waiting.get(&event.id).is_some_and(|waiters| {
            waiters
                .iter()
                .filter_map(|waiter| self.events.get(waiter))
                .any(|waiter| waiter.cited || waiter.event.header.writer != event.header.writer)
        })
    }

    /// What a peer's parked events weigh, in bytes.
    pub fn bytes_of(&self, peer: &PartnerId) -> usize {
        self.by_peer.get(peer).map_or(0, |share| share.bytes)
    }

    /// Drops all that a peer has parked.
    pub fn drop_all_of(&mut self, peer: &PartnerId) {
        let share = self.by_peer.get(peer);
        let parked = share.into_iter().flat_map(|share| share.order.values());
        for id in parked.copied().collect::<Vec<_>>() {
            self.remove(&id);
        }
    }

    /// How many events wait, and what they weigh in bytes.
    pub fn weight(&self) -> (usize, usize) {
        (
            self.events.len(),
            self.by_peer.values().map(|share| share.bytes).sum(),
        )
    }
}

/// All that an event refers to and must wait for.
fn references(event: &Event) -> impl Iterator<Item = EventId> + '_ {
    let header = &event.header;
    let listed = header.deps.iter().chain(&header.control_heads);
    listed.map(|reference| reference.id).chain(header.prev)
}
