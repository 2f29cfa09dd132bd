//! What a node holds: every event with its whole past, messages after what they follow on, and
//! nothing shown or in effect that must not be.

use std::collections::{HashMap, HashSet};

use comity_protocol::channel::Channel;
use comity_protocol::graph::Pos;
use comity_protocol::id::EventId;
use comity_protocol::replica::Replica;

use super::Verdict;
use super::truth::{Never, Truth};
use crate::disk::Disk;

/// Every event on a disk has all that it cites there, too.
pub fn closed(node: usize, disk: &Disk, truth: &Truth) -> Verdict {
    let held: HashSet<EventId> = disk.event_ids().collect();
    for id in disk.event_ids() {
        let cites = truth.event(&id).map(|event| event.cites.as_slice());
        if let Some(lost) = cites
            .unwrap_or_default()
            .iter()
            .find(|it| !held.contains(it))
        {
            let what = format!("node {node} holds {id}, but not {lost}, which that cites");
            return Err(("causal closure", what));
        }
    }
    Ok(())
}

/// The timeline follows causality. What a barrier of its lane put later may come after an answer to
/// it in another lane, whose order is fixed by itself.
pub fn ordered(node: usize, channel: &Channel, truth: &Truth) -> Verdict {
    let places: HashMap<EventId, usize> = channel
        .timeline()
        .iter()
        .enumerate()
        .map(|(at, pos)| (channel.entry(*pos).id, at))
        .collect();
    for (at, pos) in channel.timeline().iter().enumerate() {
        let id = channel.entry(*pos).id;
        let cites = truth.event(&id).map(|event| event.cites.as_slice());
        for cited in cites.unwrap_or_default() {
            let later = places.get(cited).filter(|earlier| **earlier > at);
            let moved = |other: Pos| {
                channel.is_moved(other) && channel.lane_of(other) != channel.lane_of(*pos)
            };
            if later.is_some_and(|later| !moved(channel.timeline()[*later])) {
                let what = format!("node {node} shows {id} before {cited}, which it follows on");
                return Err(("timeline", what));
            }
        }
    }
    Ok(())
}

/// What hostile partners made against the rules is neither shown nor in effect.
pub fn lawful(node: usize, channel: &Channel, truth: &Truth) -> Verdict {
    for pos in channel.timeline() {
        let id = channel.entry(*pos).id;
        if let Some((Never::Shown, what)) = truth.never.get(&id)
            && !channel.is_flagged(*pos)
        {
            return Err(("revocation", format!("node {node} shows {id}, {what}")));
        }
    }
    for pos in &channel.present().effective {
        let id = channel.entry(*pos).id;
        if let Some((Never::Effective, what)) = truth.never.get(&id) {
            let what = format!("node {node} gives effect to {id}, {what}");
            return Err(("revocation", what));
        }
    }
    Ok(())
}

/// Whoever a secret was wrapped to can read what is sealed under it.
pub fn readable(node: usize, replica: &Replica, channel: &Channel, truth: &Truth) -> Verdict {
    let own = replica.partner();
    for pos in channel.timeline() {
        let id = channel.entry(*pos).id;
        let key_event = truth.event(&id).and_then(|event| event.key_event);
        let Some(key_event) = key_event else { continue };
        let wrapped = truth
            .event(&key_event)
            .is_some_and(|key| key.wrapped_to.contains(&own) && !truth.is_forker(&key.writer));
        if wrapped && replica.secret(&key_event).is_none() {
            let what = format!("node {node} holds {id} and cannot read it");
            return Err(("readability", what));
        }
    }
    Ok(())
}

/// What is put together from the rows is what runs.
pub fn replayed(node: usize, live: &Replica, again: &Replica) -> Verdict {
    for (id, channel) in live.channels() {
        let Some(other) = again.channels().get(id) else {
            // A channel of which nothing was accepted has no rows.
            if channel.events() == 0 {
                continue;
            }
            let what = format!("node {node} would lose a channel at a restart");
            return Err(("replay", what));
        };
        for (lane, _) in channel.lanes() {
            let same = channel.timeline_digest(*lane) == other.timeline_digest(*lane)
                && channel.state_digest(*lane) == other.state_digest(*lane);
            if !same {
                let what = format!("node {node} would have another lane {lane} after a restart");
                return Err(("replay", what));
            }
        }
        for (key_event, _) in channel.epochs() {
            let lost = live.secret(&key_event).is_some() && again.secret(&key_event).is_none();
            if lost {
                let what = format!("node {node} would lose the secret of {key_event}");
                return Err(("replay", what));
            }
        }
    }
    Ok(())
}
