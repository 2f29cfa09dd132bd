//! What somebody was told is stored is there in the end.

use std::collections::BTreeSet;

use comity_protocol::id::{ChannelId, EventId};
use comity_protocol::replica::Written;

/// An event whose author was told that it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    pub node: usize,
    pub channel: ChannelId,
    pub id: EventId,
}

#[derive(Default)]
pub struct Acknowledged {
    told: Vec<Told>,
    excused: BTreeSet<usize>,
}

impl Acknowledged {
    pub fn done(&mut self, node: usize, written: &Written) {
        self.told.push(Told {
            node,
            channel: written.channel,
            id: written.id,
        });
    }

    /// A process ended: orders that were not answered may or may not be carried out.
    pub fn stopped(&mut self, _node: usize) {}

    /// A disk went back in time: what was on it may be gone with it.
    pub fn went_back(&mut self, node: usize) {
        self.excused.insert(node);
    }

    /// What must be on its author's disk, and with every reader that the author reaches.
    pub fn told(&self) -> impl Iterator<Item = &Told> {
        let told = self.told.iter();
        told.filter(|told| !self.excused.contains(&told.node))
    }
}
