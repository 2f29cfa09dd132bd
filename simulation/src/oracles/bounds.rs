//! Whatever is sent to a node, its tables and queues stay small, and what it gives is counted.

use std::collections::HashMap;

use comity_protocol::id::PartnerId;
use comity_protocol::limits;
use comity_protocol::replica::{Notice, Replica};

use super::Verdict;

/// Entries of the sync tables that a peer may cause, as their limits say: four tables of logs, one
/// of lanes shown.
const ENTRIES_PER_PEER: usize = 5 * limits::LOGS_PER_PEER;

/// More channels than the honest found in a run.
const HONEST_OFFERS: usize = 8;

#[derive(Default)]
pub struct Bounds {
    /// Secrets given in the present and the last span, by giver and taker.
    given: HashMap<(usize, PartnerId), (u64, usize)>,
}

impl Bounds {
    /// Looks at a node's tables.
    pub fn look(&self, node: usize, replica: &Replica, peers: usize) -> Verdict {
        let entries = replica.sync_entries();
        if entries > peers * ENTRIES_PER_PEER {
            return Err(("bounds", format!("node {node} has {entries} sync entries")));
        }
        let parked: usize = replica.channels().values().map(|it| it.parked().1).sum();
        let share = limits::PARKED_BYTES_PER_PEER + limits::FRAME_BYTES;
        if parked > peers * share {
            return Err(("bounds", format!("node {node} has parked {parked} bytes")));
        }
        let offered = replica.channels().values();
        let own = replica.partner();
        let offered = offered.filter(|it| it.present().member(&own).is_none());
        let offered = offered.count();
        // One partner is hostile; the honest offer few.
        if offered > limits::INVITATIONS_PER_PEER + HONEST_OFFERS {
            let what = format!("node {node} holds {offered} channels that it is no member of");
            return Err(("bounds", what));
        }
        Ok(())
    }

    pub fn noticed(&mut self, node: usize, notice: &Notice, instant_ms: u64) -> Verdict {
        let Notice::KeysGiven { peer, count, .. } = notice else {
            return Ok(());
        };
        let span = instant_ms / limits::GIVING_MS;
        let given = self.given.entry((node, *peer)).or_insert((span, 0));
        if given.0 != span {
            *given = (span, 0);
        }
        given.1 += count;
        // The machine's spans begin with a question, these at whole seconds: one of these can hold
        // parts of two of those.
        if given.1 > 2 * limits::KEYS_GIVEN {
            let what = format!("node {node} gave {} secrets within a second", given.1);
            return Err(("bounds", what));
        }
        Ok(())
    }
}
