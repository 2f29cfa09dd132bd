//! Acceptance is pure: what one honest node accepts, no honest node calls invalid.

use std::collections::{HashMap, HashSet};

use comity_protocol::id::EventId;
use comity_protocol::replica::Notice;

use super::Verdict;

#[derive(Default)]
pub struct Acceptance {
    accepted: HashSet<EventId>,
    invalid: HashMap<EventId, String>,
}

impl Acceptance {
    pub fn accepted(&mut self, node: usize, id: EventId) -> Verdict {
        if let Some(who) = self.invalid.get(&id) {
            return Err((
                "acceptance",
                format!("partner {node} accepts {id}, but {who}"),
            ));
        }
        self.accepted.insert(id);
        Ok(())
    }

    /// What an honest node says of events that it refuses.
    pub fn noticed(&mut self, node: usize, notice: &Notice) -> Verdict {
        let Notice::Misbehaved { why, .. } = notice else {
            return Ok(());
        };
        let Some(id) = invalid_event(why) else {
            return Ok(());
        };
        let says = format!("node {node} says: {why}");
        if self.accepted.contains(&id) {
            let what = format!("{id} was accepted elsewhere, but {says}");
            return Err(("acceptance", what));
        }
        self.invalid.insert(id, says);
        Ok(())
    }
}

/// The event that an accusation calls invalid.
fn invalid_event(why: &str) -> Option<EventId> {
    let (_, rest) = why.split_once("the invalid event ")?;
    let hex = rest.get(..64)?;
    let mut id = [0; 32];
    for (at, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(EventId(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opposite_verdicts_are_found_in_either_order() {
        let id = EventId([0xab; 32]);
        let notice = Notice::Misbehaved {
            peer: comity_protocol::id::PartnerId([1; 32]),
            why: format!("it sent the invalid event {id}: why"),
        };
        let mut oracle = Acceptance::default();
        assert!(oracle.accepted(0, id).is_ok());
        assert!(oracle.noticed(1, &notice).is_err());
        let mut oracle = Acceptance::default();
        assert!(oracle.noticed(1, &notice).is_ok());
        assert!(oracle.accepted(0, id).is_err());
    }
}
