//! Whether an event is accepted: a function of its bytes and of its own causal past.
//!
//! Nothing here looks at clocks, at the order of arrival, at who sent the event or at any local
//! policy. An event is refused as *invalid* only for what every node will see in it for ever;
//! what is merely not here yet is *missing*.

pub(crate) mod about;
mod control;
mod epoch;
mod message;

use std::sync::Arc;

use crate::authority::{Act, View};
use crate::channel::{Channel, Epoch, KeyPart};
use crate::codec::Canonical;
use crate::codec::Malformed;
use crate::event::{Event, Header, Kind, Reference};
use crate::evidence::Forked;
use crate::finality::{self, AckBody, FloorBody};
use crate::graph::{FrontierIx, Pos};
use crate::id::{LaneId, PartnerId, WriterId};
use crate::lane::Lane;
use crate::mutation::{self, Mutation};

pub(crate) use control::{Introduction, founder_key, would_have_effect};
pub use control::{TAG_CHANNEL, channel_id, charter_of};
pub(crate) use epoch::epoch_at;
pub(crate) use message::{least_role, new_endings};

/// Why an event is not accepted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is held already.
    Duplicate,
    /// Its past is not here.
    Missing(Vec<Reference>),
    /// Another event of the writer has its position, and nobody else cites this one yet.
    Fork,
    /// No node will ever accept it.
    Invalid(&'static str),
}

/// Where an acceptable event goes and what it brings.
#[derive(Debug)]
pub struct Placement {
    pub(crate) prev: Option<Pos>,
    pub(crate) deps: Vec<Pos>,
    pub(crate) t: u64,
    pub(crate) h: u64,
    pub(crate) frontier: FrontierIx,
    pub(crate) view: Arc<View>,
    pub(crate) author: PartnerId,
    /// The event's lane, where it was not known before.
    pub(crate) lane: Option<Lane>,
    pub(crate) act: Option<Act>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) key_part: Option<KeyPart>,
    /// Whom the event makes known, with keys that were checked.
    pub(crate) introduces: Option<Box<Introduction>>,
    /// The fork that the event proves.
    pub(crate) forked: Option<Forked>,
    /// What an ack says.
    pub(crate) ack: Option<finality::Ack>,
    /// What a floor says.
    pub(crate) floor: Option<FloorBody>,
    /// Whether the writer is its author's seat.
    pub(crate) by_seat: bool,
    /// The event that this one is about, where it has effect on it.
    pub(crate) about: Option<Pos>,
}

/// Judges `event` by what `channel` has accepted.
pub fn place(channel: &mut Channel, event: &Event) -> Result<Placement, Refusal> {
    let header = &event.header;
    if channel
        .graph
        .find(header.lane, header.writer, header.seq, &event.id)
        .is_some()
    {
        return Err(Refusal::Duplicate);
    }
    let kind = header.kind();
    demand(header.channel == channel.id, "of another channel")?;
    demand(
        kind.in_version_1(),
        "a kind that the charter's version does not know",
    )?;
    let in_control = header.lane == channel.control_lane;
    demand(
        kind.belongs_in(in_control),
        "a kind that does not belong in its lane",
    )?;
    let past = Past::resolve(channel, event)?;
    past.demand_no_redundant_head(channel)?;
    let frontier = past.frontier(channel);
    let view = channel.view(frontier);
    let mut placement = if in_control {
        control::place(channel, event, &past, (frontier, &view))?
    } else {
        message::place(channel, event, &past, frontier, &view)?
    };
    let author = view.members.get(&placement.author);
    placement.by_seat =
        author.is_some_and(|author| author.seat == header.writer) || kind == Kind::Charter;
    let cited = channel.parking.cited_by_another(event);
    let cited = cited && !mutation::is(Mutation::CitedBranchRefused);
    if occupied(channel, header) && !channel.restoring && !cited {
        return Err(Refusal::Fork);
    }
    let (t, h) = past.time_and_height(channel, header.claimed_ms);
    placement.prev = past.prev;
    placement.deps = past.deps;
    placement.t = t;
    placement.h = h;
    placement.frontier = frontier;
    Ok(placement)
}

fn demand(held: bool, why: &'static str) -> Result<(), Refusal> {
    if held {
        Ok(())
    } else {
        Err(Refusal::Invalid(why))
    }
}

fn invalid<T>(result: Result<T, Malformed>, why: &'static str) -> Result<T, Refusal> {
    result.map_err(|_| Refusal::Invalid(why))
}

fn occupied(channel: &Channel, header: &Header) -> bool {
    channel
        .graph
        .branches(header.lane, header.writer)
        .iter()
        .any(|&chain| {
            channel
                .graph
                .get(Pos {
                    chain,
                    seq: header.seq,
                })
                .is_some()
        })
}

/// An event's direct past, found among the accepted.
struct Past {
    prev: Option<Pos>,
    deps: Vec<Pos>,
    control_heads: Vec<Pos>,
    in_control: bool,
}

impl Past {
    fn resolve(channel: &Channel, event: &Event) -> Result<Past, Refusal> {
        let header = &event.header;
        let mut missing = Vec::new();
        let mut find = |lane: LaneId, reference: Reference| {
            let found = channel
                .graph
                .find(lane, reference.writer, reference.seq, &reference.id);
            if found.is_none() {
                missing.push(reference);
            }
            found
        };
        let prev = header.prev.and_then(|id| {
            let seq = header.seq - 1;
            find(
                header.lane,
                Reference {
                    lane: None,
                    writer: header.writer,
                    seq,
                    id,
                },
            )
        });
        let deps = header
            .deps
            .iter()
            .filter_map(|dep| find(dep.lane.unwrap_or(header.lane), dep.clone()))
            .collect();
        let control_heads = header
            .control_heads
            .iter()
            .filter_map(|head| {
                find(
                    channel.control_lane,
                    Reference {
                        lane: Some(channel.control_lane),
                        ..head.clone()
                    },
                )
            })
            .collect();
        if mutation::is(Mutation::MissingDepsIgnored) {
            missing.retain(|reference| Some(reference.id) == header.prev);
        }
        if !missing.is_empty() {
            return Err(Refusal::Missing(missing));
        }
        let in_control = header.lane == channel.control_lane;
        demand(
            !in_control || header.control_heads.is_empty(),
            "control heads in the control lane",
        )?;
        demand(
            header.deps.iter().all(|dep| {
                dep.lane.is_none() || (!in_control && dep.lane != Some(channel.control_lane))
            }),
            "a dep that is no message's or no control event's",
        )?;
        Ok(Past {
            prev,
            deps,
            control_heads,
            in_control,
        })
    }

    /// What is in the past already must not be listed again: a header says each thing once.
    fn demand_no_redundant_head(&self, channel: &mut Channel) -> Result<(), Refusal> {
        let graph = &channel.graph;
        for (at, dep) in self.deps.iter().enumerate() {
            let others = self
                .deps
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, pos)| *pos);
            let seen = self
                .prev
                .into_iter()
                .chain(others)
                .any(|other| graph.in_past(*dep, other));
            demand(!seen, "a dep that is in the past already")?;
        }
        let seen = self.parents_frontier(channel);
        let graph = &channel.graph;
        for (at, head) in self.control_heads.iter().enumerate() {
            let mut others = self
                .control_heads
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at);
            let redundant = graph.frontier_holds(seen, *head)
                || others.any(|(_, other)| graph.in_past(*head, *other));
            demand(!redundant, "a control head that is in the past already")?;
        }
        Ok(())
    }

    /// The control frontier that prev and deps bring.
    fn parents_frontier(&self, channel: &mut Channel) -> FrontierIx {
        let parents: Vec<Pos> = self
            .prev
            .into_iter()
            .chain(self.deps.iter().copied())
            .collect();
        let frontiers: Vec<FrontierIx> = parents
            .into_iter()
            .map(|parent| {
                if self.in_control {
                    channel.graph.frontier_with(parent)
                } else {
                    channel.graph.entry(parent).frontier
                }
            })
            .collect();
        channel.graph.union(&frontiers)
    }

    fn frontier(&self, channel: &mut Channel) -> FrontierIx {
        let mut frontiers = vec![self.parents_frontier(channel)];
        for head in &self.control_heads {
            frontiers.push(channel.graph.frontier_with(*head));
        }
        channel.graph.union(&frontiers)
    }

    fn time_and_height(&self, channel: &Channel, claimed_ms: u64) -> (u64, u64) {
        let parents = self
            .prev
            .iter()
            .chain(&self.deps)
            .map(|pos| channel.graph.entry(*pos));
        let (t, h) = parents.fold((claimed_ms, 1), |(t, h), parent| {
            (t.max(parent.t), h.max(parent.h.saturating_add(1)))
        });
        if mutation::is(Mutation::TimelineByClaimedTime) {
            return (claimed_ms, h);
        }
        (t, h)
    }
}

/// Judges an ack by its own past.
fn place_ack(
    channel: &Channel,
    event: &Event,
    past: &Past,
    (frontier, view): (FrontierIx, &View),
    author: PartnerId,
) -> Result<finality::Ack, Refusal> {
    let header = &event.header;
    let body = AckBody::from_bytes(&event.body);
    let body = invalid(body, "a body that does not fit its kind")?;
    demand(
        view.member(&author)
            .is_some_and(|member| member.seat == header.writer),
        "an ack by a writer that is not its partner's seat in the ack's own past",
    )?;
    let parents: Vec<Pos> = past.prev.iter().chain(&past.deps).copied().collect();
    let held = finality::Past::of_event(channel, header.lane, &parents, frontier);
    let nothing = finality::Finality::default();
    let acks = channel.finality(header.lane).unwrap_or(&nothing);
    let ack = acks
        .judge(&held, view, author, body.number)
        .map_err(|error| Refusal::Invalid(error.as_str()))?;
    demand(
        acks.digest_of(ack.base) == body.base || mutation::is(Mutation::BaseUnchecked),
        "an ack that does not name its base",
    )?;
    Ok(ack)
}

/// Judges a floor by its own past: its barrier stands there. What its author says that the barrier
/// comes to is its own word, which is compared and never decides.
fn place_floor(
    channel: &Channel,
    event: &Event,
    past: &Past,
    (frontier, view): (FrontierIx, &View),
    author: PartnerId,
) -> Result<FloorBody, Refusal> {
    let header = &event.header;
    let body = FloorBody::from_bytes(&event.body);
    let body = invalid(body, "a body that does not fit its kind")?;
    demand(
        view.member(&author)
            .is_some_and(|member| member.seat == header.writer),
        "a floor by a writer that is not its partner's seat in the floor's own past",
    )?;
    let parents: Vec<Pos> = past.prev.iter().chain(&past.deps).copied().collect();
    let held = finality::Past::of_event(channel, header.lane, &parents, frontier);
    let acks = channel.finality(header.lane);
    demand(
        acks.is_some_and(|acks| acks.has_standing(body.barrier, &held)),
        "a floor on a barrier that does not stand in the floor's own past",
    )?;
    Ok(body)
}

fn author_of(view: &View, writer: &WriterId) -> Result<PartnerId, Refusal> {
    view.partner_of(writer).ok_or(Refusal::Invalid(
        "by a writer not introduced in the event's own past",
    ))
}

fn empty_placement(view: &Arc<View>, author: PartnerId) -> Placement {
    Placement {
        prev: None,
        deps: Vec::new(),
        t: 0,
        h: 0,
        frontier: 0,
        view: view.clone(),
        author,
        lane: None,
        act: None,
        epoch: None,
        key_part: None,
        introduces: None,
        forked: None,
        ack: None,
        floor: None,
        by_seat: false,
        about: None,
    }
}
