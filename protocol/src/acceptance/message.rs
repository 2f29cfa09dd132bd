//! Everything outside the control lane: lanes, epochs, and what an event is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Past, Placement, Refusal, author_of, demand, empty_placement, invalid};
use crate::authority::View;
use crate::body::{KeyBody, Role};
use crate::channel::{Channel, Epoch, KeyPart, Keying};
use crate::codec::Canonical;
use crate::event::{Event, Kind};
use crate::graph::Pos;
use crate::id::PartnerId;
use crate::lane::{Lane, LaneForm, lane_id};

pub(super) fn place(
    channel: &mut Channel,
    event: &Event,
    past: &Past,
    view: &Arc<View>,
) -> Result<Placement, Refusal> {
    let header = &event.header;
    let author = author_of(view, &header.writer)?;
    let member = view.member(&author).ok_or(Refusal::Invalid(
        "by a partner that is no member in the event's own past",
    ))?;
    demand(
        member.role >= Role::Contributor,
        "by a partner that may only read",
    )?;
    let audience = view.active();
    let open = lane_id(channel.id, LaneForm::Open, &audience);
    demand(
        header.lane == open,
        "in a lane that is not the open lane of the members in the event's own past",
    )?;
    for dep in &past.deps {
        let wide = channel
            .lane(&channel.lane_of(*dep))
            .is_some_and(|lane| audience.is_subset(&lane.audience));
        demand(wide, "a dep in a narrower lane")?;
    }
    let keying = view.keying(&audience);
    let (mut epoch, mut key_part) = (None, None);
    if header.kind() == Kind::Key {
        let body = invalid(
            KeyBody::from_bytes(&event.body),
            "a body that does not fit its kind",
        )?;
        if place_key(channel, past, &body, &keying, view)? {
            epoch = Some(Epoch {
                seq: header.seq,
                key_event: event.id,
                keying,
            });
        } else {
            let partners = body.wraps.iter().map(|wrap| wrap.partner).collect();
            key_part = Some(KeyPart {
                commitment: body.commitment,
                partners,
                keying,
            });
        }
    } else {
        let current = past.prev.and_then(|prev| epoch_at(channel, prev));
        let current = current.ok_or(Refusal::Invalid(
            "sealed before its writer's first key event",
        ))?;
        demand(
            Some(current.key_event) == header.key_event,
            "sealed under another epoch than the writer's latest",
        )?;
        demand(
            current.keying == keying,
            "sealed under an epoch that the membership or its keys have left behind",
        )?;
    }
    let about = about(channel, event, past, author, &audience);
    let lane = Lane {
        form: LaneForm::Open,
        audience,
    };
    Ok(Placement {
        epoch,
        key_part,
        about,
        ..empty_placement(view, author, lane)
    })
}

/// Checks a key event; true for the last part of its epoch.
fn place_key(
    channel: &Channel,
    past: &Past,
    body: &KeyBody,
    keying: &Keying,
    view: &View,
) -> Result<bool, Refusal> {
    let audience: BTreeSet<PartnerId> = keying.iter().map(|(partner, ..)| *partner).collect();
    demand(
        body.audience.is_none(),
        "an open lane's key event names no audience",
    )?;
    for wrap in &body.wraps {
        let key = view
            .member(&wrap.partner)
            .and_then(|member| member.sealing_key.as_ref());
        let current = key.is_some_and(|(_, key)| key.id() == wrap.sealing_key.0);
        demand(
            current && audience.contains(&wrap.partner),
            "a wrap that is for no member's current key",
        )?;
    }
    let Some(parts) = &body.parts else {
        return Ok(false);
    };
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
        at = before(channel, pos);
    }
    let distinct: BTreeSet<PartnerId> = named.iter().copied().collect();
    demand(
        distinct.len() == named.len() && distinct == audience,
        "a key event that does not name exactly the readers",
    )?;
    Ok(true)
}

/// The event before `pos` in its log.
fn before(channel: &Channel, pos: Pos) -> Option<Pos> {
    let chain = channel.graph.chain(pos.chain);
    if pos.seq > chain.first {
        Some(Pos {
            chain: pos.chain,
            seq: pos.seq - 1,
        })
    } else {
        chain.base
    }
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

/// The event that this one is about, if it lies in its past and this one may bear on it. A
/// reference to anything else is the same as one to nothing, at every node.
fn about(
    channel: &Channel,
    event: &Event,
    past: &Past,
    author: PartnerId,
    audience: &BTreeSet<PartnerId>,
) -> Option<Pos> {
    let reference = event.header.about.as_ref()?;
    let lane = reference.lane.unwrap_or(event.header.lane);
    let target = channel
        .graph
        .find(lane, reference.writer, reference.seq, &reference.id)?;
    let seen = past
        .prev
        .iter()
        .chain(&past.deps)
        .any(|parent| channel.graph.in_past(target, *parent));
    let target_lane = channel.lane(&lane)?;
    let entry = channel.graph.entry(target);
    let written_by = channel.author(target);
    let own = written_by.partner == author && written_by.user == event.header.author;
    let allowed = match event.header.kind() {
        Kind::Post | Kind::React => entry.kind == Kind::Post,
        // Exactly the readers of the target's lane, less those that are gone: what is narrower
        // is no edit, it would leave others with the old text.
        Kind::Edit | Kind::Redact => entry.kind == Kind::Post && own,
        _ => false,
    };
    (seen && allowed && audience.is_subset(&target_lane.audience)).then_some(target)
}
