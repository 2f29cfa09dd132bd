//! An honest author never lets out two events for one position, and nothing that is not on its
//! disk, whenever its process died.

use std::collections::{BTreeSet, HashMap};

use comity_protocol::id::EventId;
use comity_protocol::wire::LogId;

use super::Verdict;

#[derive(Default)]
pub struct Publication {
    published: HashMap<(LogId, u64), EventId>,
    /// Partners whose disk went back: what they write before they learn of it is known to collide.
    excused: BTreeSet<usize>,
}

impl Publication {
    pub fn went_back(&mut self, partner: usize) {
        self.excused.insert(partner);
    }

    pub fn sent(&mut self, partner: usize, log: LogId, seq: u64, id: EventId) -> Verdict {
        let first = *self.published.entry((log, seq)).or_insert(id);
        if first == id || self.excused.contains(&partner) {
            return Ok(());
        }
        let what = format!("partner {partner} let out {first} and {id} for position {seq}");
        Err(("double position", what))
    }
}
