//! What a node holds: every event with its whole past, messages after what they follow on, and
//! nothing shown or in effect that must not be.

use std::collections::{HashMap, HashSet};

use comity_protocol::authority::{Ending, Scope};
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
            && !is_back(channel, truth, &id)
            && !is_vouched(channel, truth, *pos)
        {
            return Err(("revocation", format!("node {node} shows {id}, {what}")));
        }
    }
    for pos in &channel.present().effective {
        let id = channel.entry(*pos).id;
        if let Some((Never::Effective, what)) = truth.never.get(&id)
            && !is_back(channel, truth, &id)
        {
            let what = format!("node {node} gives effect to {id}, {what}");
            return Err(("revocation", what));
        }
    }
    Ok(())
}

/// Whether the removal of an event's author is void itself, and the author a member: it was an act of
/// a seat that the root has transferred since, in a list that did not know of it. A wiped node's
/// operator who does not wait until it has caught up does that.
fn is_back(channel: &Channel, truth: &Truth, id: &EventId) -> bool {
    let view = channel.present();
    let author = truth.author(id);
    let is_member = author.is_some_and(|author| view.member(&author).is_some());
    let displaced = |ending: &Ending| matches!(ending.scope, Scope::Writer(_));
    is_member && view.endings.iter().any(displaced)
}

/// Whether an honest partner that did not know of the removal has a message in the past of an event
/// of its own. Whoever lost its disk had forgotten the removal, and heard from the removed partner
/// before it heard of it again.
fn is_vouched(channel: &Channel, truth: &Truth, message: Pos) -> bool {
    let graph = channel.graph();
    let author = channel.author(message).partner;
    let endings = &channel.present().endings;
    let endings: Vec<&Ending> = endings.iter().filter(|it| it.partner == author).collect();
    let lane = channel.lane_of(message);
    let chains = graph.chains().iter().enumerate();
    let honest = chains.filter(|(_, it)| it.lane == lane && !truth.is_forker(&it.writer));
    let mut events = honest.flat_map(|(number, it)| {
        let entries = it.entries.iter().enumerate();
        entries.map(move |(at, entry)| (number, it.first + at as u64, entry))
    });
    events.any(|(number, seq, entry)| {
        let pos = Pos {
            chain: number as u32,
            seq,
        };
        let knows = |ending: &&Ending| graph.frontier_holds(entry.frontier, ending.pos);
        graph.in_past(message, pos) && !endings.iter().any(knows)
    })
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
