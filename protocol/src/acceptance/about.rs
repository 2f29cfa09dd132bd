//! What an event is about: the closed table of derived kinds, which never widen.

use std::collections::BTreeSet;

use super::Past;
use crate::authority::View;
use crate::channel::Channel;
use crate::event::{Event, Kind, Label};
use crate::graph::Pos;
use crate::id::PartnerId;
use crate::lane::Lane;
use crate::mutation::{self, Mutation};

/// Who may read an event about another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    /// Some of the target's readers.
    Within,
    /// Exactly the target's readers that are members: what is narrower would leave others with
    /// the old text.
    Exactly,
}

/// What the kinds that are about something may be about, and for whom; none for the others.
pub(crate) fn rule(kind: Kind) -> Option<(&'static [Kind], Bound)> {
    const POSTS: &[Kind] = &[Kind::Post];
    const CONTENT: &[Kind] = &[Kind::Post, Kind::File];
    match kind {
        Kind::Post | Kind::React | Kind::Pin | Kind::Receipt | Kind::File => {
            Some((POSTS, Bound::Within))
        }
        Kind::Edit => Some((POSTS, Bound::Exactly)),
        Kind::Redact => Some((CONTENT, Bound::Exactly)),
        _ => None,
    }
}

/// Whether only the author of the target may write a kind about it.
pub(crate) fn is_authors_alone(kind: Kind) -> bool {
    matches!(kind, Kind::Edit | Kind::Redact)
}

/// The event that this one is about, if it lies in its past and this one may bear on it. A
/// reference to anything else is the same as one to nothing, at every node.
pub(super) fn resolve(
    channel: &Channel,
    event: &Event,
    past: &Past,
    author: PartnerId,
    lane: &Lane,
    view: &View,
) -> Option<Pos> {
    let reference = event.header.about.as_ref()?;
    let kind = event.header.kind();
    let (targets, bound) = rule(kind)?;
    let target_lane = reference.lane.unwrap_or(event.header.lane);
    let target = channel
        .graph
        .find(target_lane, reference.writer, reference.seq, &reference.id)?;
    let seen = past
        .prev
        .iter()
        .chain(&past.deps)
        .any(|parent| channel.graph.in_past(target, *parent));
    let written_by = channel.author(target);
    let own = written_by.partner == author && written_by.user == event.header.author;
    let allowed = seen
        && targets.contains(&channel.graph.entry(target).kind)
        && (own || !is_authors_alone(kind))
        && label_dominates(event.header.label.as_ref(), channel.label(target));
    // In its own lane an event has the readers of its target.
    let bounded = target_lane == event.header.lane
        || is_bounded(channel, &target_lane, &lane.audience, bound, &view.active());
    (allowed && bounded).then_some(target)
}

fn is_bounded(
    channel: &Channel,
    target_lane: &crate::id::LaneId,
    audience: &BTreeSet<PartnerId>,
    bound: Bound,
    members: &BTreeSet<PartnerId>,
) -> bool {
    if mutation::is(Mutation::AboutMayWiden) {
        return true;
    }
    let Some(target_lane) = channel.lane(target_lane) else {
        return false;
    };
    match bound {
        Bound::Within => target_lane.is_read_by(audience, channel.history(), members),
        Bound::Exactly => target_lane.readers(channel.history(), members) == *audience,
    }
}

fn label_dominates(label: Option<&Label>, target: Option<&Label>) -> bool {
    if mutation::is(Mutation::LabelMayFall) {
        return true;
    }
    let Some(target) = target else {
        return true;
    };
    label.is_some_and(|label| label.dominates(target))
}
