//! An honest author never lets out two events for one position, and nothing that is not on its
//! disk, whenever its process died and whatever became of its disk.

use std::collections::HashMap;

use comity_protocol::id::EventId;
use comity_protocol::wire::LogId;

use super::Verdict;

#[derive(Default)]
pub struct Publication {
    published: HashMap<(LogId, u64), EventId>,
}

impl Publication {
    pub fn sent(&mut self, partner: usize, log: LogId, seq: u64, id: EventId) -> Verdict {
        let first = *self.published.entry((log, seq)).or_insert(id);
        if first == id {
            return Ok(());
        }
        let what = format!("partner {partner} let out {first} and {id} for position {seq}");
        Err(("double position", what))
    }
}
