//! Lane epochs: that a key event names exactly the readers, and that a body is sealed under an
//! epoch that the membership has not left behind.

use std::collections::BTreeSet;

use super::{Past, Refusal, demand};
use crate::authority::View;
use crate::body::KeyBody;
use crate::channel::{Channel, Epoch, KeyPart, Keying};
use crate::event::{Event, Kind};
use crate::graph::Pos;
use crate::id::PartnerId;
use crate::lane::Lane;

/// Checks a key event: the epoch that it opens or, where it is not the last, what it is part of.
pub(super) fn place_key(
    channel: &Channel,
    event: &Event,
    past: &Past,
    body: &KeyBody,
    lane: &Lane,
    view: &View,
) -> Result<(Option<Epoch>, Option<KeyPart>), Refusal> {
    let keying = view.keying(&lane.audience);
    for wrap in &body.wraps {
        let key = view
            .member(&wrap.partner)
            .and_then(|member| member.sealing_key.as_ref());
        let current = key.is_some_and(|(_, key)| key.id() == wrap.sealing_key.0);
        demand(
            current && lane.audience.contains(&wrap.partner),
            "a wrap that is for no reader's current key",
        )?;
    }
    let Some(parts) = &body.parts else {
        let part = KeyPart {
            commitment: body.commitment,
            partners: body.wraps.iter().map(|wrap| wrap.partner).collect(),
            keying,
        };
        return Ok((None, Some(part)));
    };
    demand_whole(channel, past, body, parts, &keying, &lane.audience)?;
    let epoch = Epoch {
        seq: event.header.seq,
        key_event: event.id,
        commitment: body.commitment,
        keying,
    };
    Ok((Some(epoch), None))
}

/// The parts stand before the last one, belong together, and name each reader once.
fn demand_whole(
    channel: &Channel,
    past: &Past,
    body: &KeyBody,
    parts: &[crate::id::EventId],
    keying: &Keying,
    audience: &BTreeSet<PartnerId>,
) -> Result<(), Refusal> {
    let mut named: Vec<PartnerId> = body.wraps.iter().map(|wrap| wrap.partner).collect();
    let mut at = past.prev;
    for part in parts.iter().rev() {
        let pos = at.filter(|pos| channel.graph.entry(*pos).id == *part);
        let pos = pos.ok_or(Refusal::Invalid("key parts that do not stand before it"))?;
        let held = channel
            .key_parts
            .get(&pos)
            .ok_or(Refusal::Invalid("a key part that is none"))?;
        demand(
            held.commitment == body.commitment,
            "key parts of several secrets",
        )?;
        demand(
            held.keying == *keying,
            "a key part that the membership or its keys have left behind",
        )?;
        named.extend(&held.partners);
        at = channel.graph.before(pos);
    }
    let distinct: BTreeSet<PartnerId> = named.iter().copied().collect();
    demand(
        distinct.len() == named.len() && distinct == *audience,
        "a key event that does not name exactly the readers",
    )
}

/// Checks that a sealed event names its writer's latest epoch in the lane, and that this epoch's
/// readers and keys are those of the event's own past. `follows` is the event before, where it
/// was judged under the same view.
pub(super) fn demand_current(
    channel: &Channel,
    event: &Event,
    prev: Option<Pos>,
    follows: Option<Pos>,
    lane: &Lane,
    view: &View,
) -> Result<(), Refusal> {
    let current = prev.and_then(|prev| epoch_at(channel, prev));
    let current = current.ok_or(Refusal::Invalid(
        "sealed before its writer's first key event",
    ))?;
    demand(
        Some(current.key_event) == event.header.key_event,
        "sealed under another epoch than the writer's latest",
    )?;
    let checked = follows.is_some_and(|prev| {
        let prev = channel.graph.entry(prev);
        prev.kind.is_sealed() || (prev.kind == Kind::Key && prev.id == current.key_event)
    });
    demand(
        checked || current.keying == view.keying(&lane.audience),
        "sealed under an epoch that the membership or its keys have left behind",
    )
}

/// The epoch that a writer's latest complete key event at or before `pos` opened.
pub(crate) fn epoch_at(channel: &Channel, pos: Pos) -> Option<&Epoch> {
    let mut pos = pos;
    loop {
        let epochs = channel
            .epochs
            .get(&pos.chain)
            .map_or(&[][..], Vec::as_slice);
        let after = epochs.partition_point(|epoch| epoch.seq <= pos.seq);
        if let Some(latest) = after.checked_sub(1) {
            return Some(&epochs[latest]);
        }
        pos = channel.graph.chain(pos.chain).base?;
    }
}
