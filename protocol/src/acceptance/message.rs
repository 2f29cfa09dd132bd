//! Everything outside the control lane: which lane an event may stand in, what it may cite, and
//! where a cut is due.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Past, Placement, Refusal, about, author_of, demand, empty_placement, epoch, invalid};
use crate::authority::{Ending, View};
use crate::body::{EmptyBody, KeyBody, Role};
use crate::channel::Channel;
use crate::codec::Canonical;
use crate::event::{Event, Kind};
use crate::evidence;
use crate::graph::{FrontierIx, Pos};
use crate::id::{PartnerId, WriterId};
use crate::lane::{Lane, LaneForm, lane_id};
use crate::mutation::{self, Mutation};

/// The least role that may write a kind.
pub(crate) fn least_role(kind: Kind) -> Role {
    match kind {
        Kind::Key
        | Kind::Receipt
        | Kind::Roster
        | Kind::Cut
        | Kind::Evidence
        | Kind::Ack
        | Kind::Floor => Role::Observer,
        _ => Role::Contributor,
    }
}

pub(super) fn place(
    channel: &mut Channel,
    event: &Event,
    past: &Past,
    frontier: FrontierIx,
    view: &Arc<View>,
) -> Result<Placement, Refusal> {
    let header = &event.header;
    let kind = header.kind();
    let author = author_of(view, &header.writer)?;
    let member = view.member(&author).ok_or(Refusal::Invalid(
        "by a partner that is no member in the event's own past",
    ))?;
    demand(
        member.role >= least_role(kind),
        "by a partner that may only read",
    )?;
    let key_body = match kind {
        Kind::Key => Some(invalid(
            KeyBody::from_bytes(&event.body),
            "a body that does not fit its kind",
        )?),
        _ => None,
    };
    let lane = lane_of(channel, event, past, view, key_body.as_ref())?;
    demand(
        kind != Kind::Roster || lane.form == LaneForm::Open,
        "a roster in a directed lane",
    )?;
    // What was checked for the event before needs no second look under the same view.
    let follows = past.prev.filter(|prev| {
        let prev = channel.graph.entry(*prev);
        prev.frontier == frontier && !may_be_late(prev.kind)
    });
    if follows.is_none() {
        demand_open_to_its_readers(&lane, kind, author, view)?;
    }
    demand_no_narrower_dep(channel, event, past, &lane, view)?;
    demand_cut(channel, event, past, &lane, author, frontier, view)?;
    let mut placement = empty_placement(view, author);
    match &key_body {
        Some(body) => {
            let (epoch, key_part) = epoch::place_key(channel, event, past, body, &lane, view)?;
            placement.epoch = epoch;
            placement.key_part = key_part;
        }
        None if kind == Kind::Cut => {
            let body = EmptyBody::from_bytes(&event.body);
            invalid(body, "a body that does not fit its kind")?;
        }
        None if kind == Kind::Evidence => {
            placement.forked = Some(evidence::place(channel, event, frontier)?);
        }
        None if kind == Kind::Ack => {
            let of = (frontier, &**view);
            placement.ack = Some(super::place_ack(channel, event, past, of, author)?);
        }
        None if kind == Kind::Floor => {
            let of = (frontier, &**view);
            placement.floor = Some(super::place_floor(channel, event, past, of, author)?);
        }
        None => epoch::demand_current(channel, event, past.prev, follows, &lane, view)?,
    }
    placement.about = about::resolve(channel, event, past, author, &lane, view);
    if channel.lane(&header.lane).is_none() {
        placement.lane = Some(Arc::unwrap_or_clone(lane));
    }
    Ok(placement)
}

/// The lane that an event stands in: as a key event says, or as its past knows it.
fn lane_of(
    channel: &Channel,
    event: &Event,
    past: &Past,
    view: &View,
    key_body: Option<&KeyBody>,
) -> Result<Arc<Lane>, Refusal> {
    let header = &event.header;
    let Some(body) = key_body else {
        demand(
            is_named(channel, event, past),
            "in a lane that nothing in its past names",
        )?;
        return channel
            .lane(&header.lane)
            .cloned()
            .ok_or(Refusal::Invalid("in a lane that nothing in its past names"));
    };
    let lane = match &body.audience {
        None => Lane {
            form: LaneForm::Open,
            audience: view.active(),
        },
        Some(audience) => Lane {
            form: LaneForm::Directed,
            audience: audience.iter().copied().collect(),
        },
    };
    if mutation::is(Mutation::AudienceUnchecked) {
        return Ok(Arc::new(lane));
    }
    demand(
        lane_id(channel.id, lane.form, &lane.audience) == header.lane,
        "in a lane that is not that of its readers",
    )?;
    Ok(Arc::new(lane))
}

/// Whether an event's past holds an event of its lane that says what the lane is.
fn is_named(channel: &Channel, event: &Event, past: &Past) -> bool {
    let own_lane = |dep: &Pos| channel.lane_of(*dep) == event.header.lane;
    past.prev.is_some() || past.deps.iter().any(own_lane)
}

/// Whether a kind may still be written in a lane that is closed.
fn may_be_late(kind: Kind) -> bool {
    matches!(kind, Kind::Cut | Kind::Evidence | Kind::Ack | Kind::Floor)
}

fn demand_open_to_its_readers(
    lane: &Lane,
    kind: Kind,
    author: PartnerId,
    view: &View,
) -> Result<(), Refusal> {
    demand(
        lane.audience.contains(&author),
        "by a partner that is no reader of the lane",
    )?;
    if may_be_late(kind) {
        return Ok(());
    }
    if mutation::is(Mutation::ClosedLaneOpen) {
        return Ok(());
    }
    let members = view.active();
    demand(
        lane.audience.is_subset(&members),
        "in a lane that is closed: one of its readers is no member in the event's own past",
    )?;
    demand(
        lane.form != LaneForm::Open || lane.audience == members,
        "in a lane that is not the open lane of the members in the event's own past",
    )
}

fn demand_no_narrower_dep(
    channel: &Channel,
    event: &Event,
    past: &Past,
    lane: &Lane,
    view: &View,
) -> Result<(), Refusal> {
    let others = past
        .deps
        .iter()
        .map(|dep| channel.lane_of(*dep))
        .filter(|other| *other != event.header.lane);
    let others: BTreeSet<_> = others.collect();
    if mutation::is(Mutation::DepMayWiden) {
        return Ok(());
    }
    if others.is_empty() {
        return Ok(());
    }
    let members = view.active();
    let wide = others.iter().all(|other| {
        channel
            .lane(other)
            .is_some_and(|other| lane.may_cite(other, channel.history(), &members))
    });
    demand(wide, "a dep in a lane that not all of its readers may read")
}

/// After a membership ended, the first event of each remaining writer in a lane that the former
/// member read says what it held of that lane until then.
fn demand_cut(
    channel: &Channel,
    event: &Event,
    past: &Past,
    lane: &Lane,
    author: PartnerId,
    frontier: FrontierIx,
    view: &View,
) -> Result<(), Refusal> {
    let due = has_new_endings(
        channel,
        view,
        lane,
        (author, event.header.writer),
        past.prev,
        frontier,
    );
    let due = due && !mutation::is(Mutation::CutNotDemanded);
    if event.header.kind() != Kind::Cut {
        let named = is_named(channel, event, past);
        return demand(!(due && named), "a cut is due first");
    }
    let goes_on = past
        .prev
        .is_some_and(|prev| channel.graph.entry(prev).kind == Kind::Cut);
    demand(due || goes_on, "a cut where no membership has ended")
}

/// Whether `view` knows of an end of membership that bears on the lane and that the writer's last
/// event `prev` there did not know of.
pub(crate) fn has_new_endings(
    channel: &Channel,
    view: &View,
    lane: &Lane,
    author: (PartnerId, WriterId),
    prev: Option<Pos>,
    frontier: FrontierIx,
) -> bool {
    new_endings(channel, view, lane, author, prev, frontier)
        .next()
        .is_some()
}

/// Those ends of membership.
pub(crate) fn new_endings<'a>(
    channel: &'a Channel,
    view: &'a View,
    lane: &'a Lane,
    (author, writer): (PartnerId, WriterId),
    prev: Option<Pos>,
    frontier: FrontierIx,
) -> impl Iterator<Item = &'a Ending> {
    let known = prev.map(|prev| channel.graph.entry(prev).frontier);
    let endings = match known == Some(frontier) {
        true => &[][..],
        false => &view.endings[..],
    };
    endings.iter().filter(move |ending| {
        lane.audience.contains(&ending.partner)
            && !ending.strikes(author, writer)
            && known.is_none_or(|known| !channel.graph.frontier_holds(known, ending.pos))
    })
}
