//! A digest tells any two states apart, and equal states have equal digests, whoever has them and
//! whenever.

use std::collections::HashMap;

use comity_protocol::channel::Channel;
use comity_protocol::event::Kind;
use comity_protocol::id::{ChannelId, EventId, Hash, LaneId};

use super::Verdict;

/// What people see of a lane: shown messages in order, and those withheld from view.
type Sight = (Vec<EventId>, Vec<EventId>, Vec<EventId>);

#[derive(Default)]
pub struct Digests {
    seen: HashMap<(ChannelId, LaneId, Hash, Hash), Sight>,
    /// How many events a node's channel had at the last look.
    looked_at: HashMap<(usize, ChannelId), u64>,
}

impl Digests {
    /// Looks at every message lane of a channel as one node has it.
    pub fn look(&mut self, node: usize, channel: &Channel) -> Verdict {
        let events = channel.events();
        if self.looked_at.insert((node, channel.id), events) == Some(events) {
            return Ok(());
        }
        for (lane, _) in channel.lanes() {
            if *lane == channel.control_lane {
                continue;
            }
            let digests = (channel.timeline_digest(*lane), channel.state_digest(*lane));
            let sight = sight(channel, *lane);
            let key = (channel.id, *lane, digests.0, digests.1);
            let first = self.seen.entry(key).or_insert_with(|| sight.clone());
            if *first != sight {
                let what = format!(
                    "node {node} has the digests of lane {lane} that another state had: \
                     {} and {} flagged",
                    first.1.len(),
                    sight.1.len()
                );
                return Err(("digests", what));
            }
        }
        Ok(())
    }
}

fn sight(channel: &Channel, lane: LaneId) -> Sight {
    let mut sight = Sight::default();
    let ours = channel.timeline().iter();
    for pos in ours.filter(|pos| channel.lane_of(**pos) == lane) {
        let entry = channel.entry(*pos);
        let about = channel.about(*pos);
        let withdrawn = about
            .iter()
            .any(|pos| channel.entry(*pos).kind == Kind::Redact && channel.lane_of(*pos) == lane);
        if channel.is_flagged(*pos) {
            sight.1.push(entry.id);
        } else if withdrawn {
            sight.2.push(entry.id);
        } else {
            sight.0.push(entry.id);
        }
    }
    sight.1.sort_unstable();
    sight.2.sort_unstable();
    sight
}
