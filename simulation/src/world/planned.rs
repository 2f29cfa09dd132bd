//! Where the mesh meets planned links: frames wait for a link's rate, and arrivals are noted.

use comity_protocol::event::Kind;
use comity_protocol::id::EventId;
use comity_protocol::replica::{Command, Input, Notice, StreamClass};

use super::{Happening, START_MS, World};
use crate::plan::links::{Links, PROBE_MS};

/// A post reached a partner, its author first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub at_ms: u64,
    pub partner: usize,
    pub id: EventId,
    pub own: bool,
}

/// What a world on planned links holds beside the rest.
pub(crate) struct Planned {
    pub links: Links,
    pub arrivals: Vec<Arrival>,
}

impl World {
    /// From now on frames go over these links.
    pub(crate) fn plan(&mut self, links: Links) {
        self.planned = Some(Planned {
            links,
            arrivals: Vec::new(),
        });
    }

    pub(crate) fn planned(&self) -> Option<&Planned> {
        self.planned.as_ref()
    }

    pub(crate) fn planned_mut(&mut self) -> Option<&mut Planned> {
        self.planned.as_mut()
    }

    /// Gives an order of a partner's own people without waiting for the answer; false where
    /// nobody is there to take it.
    pub(crate) fn give(&mut self, partner: usize, command: Command) -> bool {
        if self.partners[partner].replica.is_none() {
            return false;
        }
        let entropy = self.chance.bytes(&format!("entropy/{partner}"));
        self.order(partner, command, entropy);
        true
    }

    /// What the partners' clocks show, Unix milliseconds.
    pub(crate) fn wall_ms(&self) -> u64 {
        START_MS + self.now_ms
    }

    /// Nothing passes on a link any more, or again, while its connection stays.
    pub(crate) fn pause(&mut self, a: usize, b: usize, paused: bool) {
        let now = self.now_ms;
        let link = self.link_number(a, self.partners[b].id);
        let up = self.is_up(a, b);
        let Some(planned) = self.planned.as_mut() else {
            return;
        };
        planned.links.pause(a, b, paused);
        let due = [(a, b), (b, a)].map(|(from, to)| (from, to, planned.links.due(from, to, now)));
        for (from, to, at) in due {
            if let Some(at) = at.filter(|_| up) {
                self.schedule(at - now, Happening::Carry { from, to, link });
            }
        }
    }

    pub(super) fn begin_planned(&mut self, a: usize, b: usize) {
        let Some(planned) = self.planned.as_mut() else {
            return;
        };
        planned.links.begin(a, b, self.now_ms);
        let link = self.link_number(a, self.partners[b].id);
        self.schedule(PROBE_MS, Happening::Probe { a, b, link });
    }

    pub(super) fn end_planned(&mut self, a: usize, b: usize) {
        if let Some(planned) = self.planned.as_mut() {
            planned.links.end(a, b);
        }
    }

    pub(super) fn note_planned(&mut self, partner: usize, notice: &Notice) {
        let (Some(planned), Notice::Accepted { id, kind, own, .. }) =
            (self.planned.as_mut(), notice)
        else {
            return;
        };
        if *kind == Kind::Post {
            planned.arrivals.push(Arrival {
                at_ms: self.now_ms,
                partner,
                id: *id,
                own: *own,
            });
        }
    }

    /// Queues a frame; a full queue refuses it, as a node's does, until it is half empty.
    pub(super) fn hand_over(&mut self, from: usize, to: usize, class: StreamClass, bytes: Vec<u8>) {
        let (peer, now) = (self.partners[to].id, self.now_ms);
        if !self.is_up(from, to) {
            return;
        }
        let link = self.link_number(from, peer);
        let Some(planned) = self.planned.as_mut() else {
            return;
        };
        if !planned.links.queue(from, to, class, bytes) {
            self.full.insert((from, to));
            return self.handle(from, Input::Congested { peer });
        }
        if let Some(at) = planned.links.due(from, to, now) {
            self.schedule(at - now, Happening::Carry { from, to, link });
        }
    }

    pub(super) fn carry(&mut self, from: usize, to: usize, link: u64) {
        let (peer, now) = (self.partners[to].id, self.now_ms);
        if self.link_number(from, peer) != link || !self.is_up(from, to) {
            return;
        }
        let Some(planned) = self.planned.as_mut() else {
            return;
        };
        let carried = planned.links.carry(from, to, now, &mut self.chance);
        let roomy = planned.links.is_roomy(from, to);
        let again = [(from, to), (to, from)]
            .map(|(one, other)| (one, other, planned.links.due(one, other, now)));
        for (at, class, bytes) in carried {
            let deliver = Happening::Deliver {
                from,
                to,
                link,
                class,
                bytes,
            };
            self.schedule(at.saturating_sub(now), deliver);
        }
        for (from, to, at) in again {
            if let Some(at) = at {
                self.schedule(at - now, Happening::Carry { from, to, link });
            }
        }
        if roomy && self.full.remove(&(from, to)) {
            self.handle(from, Input::Drained { peer });
        }
    }

    pub(super) fn probe(&mut self, a: usize, b: usize, link: u64) {
        if self.link_number(a, self.partners[b].id) != link || !self.is_up(a, b) {
            return;
        }
        if let Some(planned) = self.planned.as_mut() {
            planned.links.probe(a, b, self.now_ms);
        }
        self.schedule(PROBE_MS, Happening::Probe { a, b, link });
    }
}
