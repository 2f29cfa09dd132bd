//! Whether an event is accepted: a function of its bytes and of its own causal past.
//!
//! Nothing here looks at clocks, at the order of arrival, at who sent the event or at any local
//! policy. An event is refused as *invalid* only for what every node will see in it for ever;
//! what is merely not here yet is *missing*.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_crypto as crypto;

use crate::authority::{self, Act, Status, View};
use crate::body::{
    Charter, EmptyBody, GrantBody, InviteBody, KeyBody, RemoveBody, Role, SealingKeyBody,
};
use crate::channel::{Channel, Epoch, KeyPart, Keying};
use crate::codec::{Canonical, Malformed};
use crate::event::{Event, Header, Kind, Reference};
use crate::graph::{FrontierIx, Pos};
use crate::id::{ChannelId, LaneId, PartnerId, WriterId};
use crate::identity::Identity;
use crate::lane::{Lane, LaneForm, lane_id};
#[cfg(test)]
use crate::mutation::{self, Mutation};

/// Domain tag of a channel's id.
pub const TAG_CHANNEL: &str = "comity/v1/channel";

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
    pub(crate) lane: Lane,
    pub(crate) act: Option<Act>,
    pub(crate) epoch: Option<Epoch>,
    pub(crate) key_part: Option<KeyPart>,
    /// The event that this one is about, where it has effect on it.
    pub(crate) about: Option<Pos>,
}

/// The id of the channel that a charter founds.
pub fn channel_id(charter_bytes: &[u8]) -> ChannelId {
    ChannelId(crypto::hash(TAG_CHANNEL, &[charter_bytes]))
}

/// Reads a charter event's body.
pub fn charter_of(event: &Event) -> Result<Charter, Malformed> {
    Charter::from_bytes(&event.body)
}

/// The key that signs a charter event, as the charter itself names it, where the event is the
/// charter of the channel it names.
pub(crate) fn founder_key(event: &Event) -> Option<crypto::PublicKey> {
    if event.header.kind() != Kind::Charter || channel_id(&event.body) != event.header.channel {
        return None;
    }
    let writers = charter_of(event).ok()?.creator.verify().ok()?;
    let seat = writers
        .first()
        .filter(|(writer, _)| *writer == event.header.writer)?;
    Some(seat.1)
}

/// The partner that a charter or an invitation introduces, and its writers.
pub(crate) fn introduction(
    event: &Event,
) -> Option<(Identity, Vec<(WriterId, crypto::PublicKey)>)> {
    let identity = match event.header.kind() {
        Kind::Charter => charter_of(event).ok()?.creator,
        Kind::Invite => InviteBody::from_bytes(&event.body).ok()?.partner,
        _ => return None,
    };
    let writers = identity.verify().ok()?;
    Some((identity, writers))
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
    demand(
        kind.is_control_act() == (header.lane == channel.control_lane),
        "a kind that does not belong in its lane",
    )?;
    let past = Past::resolve(channel, event)?;
    past.demand_no_redundant_head(channel)?;
    let frontier = past.frontier(channel);
    let view = channel.view(frontier);
    let mut placement = if kind.is_control_act() {
        place_control(channel, event, &view)?
    } else {
        place_message(channel, event, &past, &view)?
    };
    if occupied(channel, header) && !channel.restoring && !channel.parking.cited_by_another(event) {
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
        #[cfg(test)]
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
        #[cfg(test)]
        if mutation::is(Mutation::TimelineByClaimedTime) {
            return (claimed_ms, h);
        }
        (t, h)
    }
}

fn place_control(channel: &Channel, event: &Event, view: &Arc<View>) -> Result<Placement, Refusal> {
    let header = &event.header;
    let act = act_of(channel, event)?;
    let author = match &act {
        Act::Charter { .. } => {
            let identity = introduction(event).map(|(identity, _)| identity.partner());
            identity.ok_or(Refusal::Invalid(
                "a charter whose creator does not hold together",
            ))?
        }
        _ => author_of(view, &header.writer)?,
    };
    let standing = view.members.get(&author).map(|member| member.status);
    let member = match &act {
        Act::Charter { .. } => true,
        Act::Accept { .. } => standing == Some(Status::Invited),
        _ => standing == Some(Status::Active),
    };
    demand(
        member,
        "by a partner that is no member in the event's own past",
    )?;
    let lane = Lane {
        form: LaneForm::Control,
        audience: BTreeSet::new(),
    };
    Ok(Placement {
        act: Some(act),
        ..empty_placement(view, author, lane)
    })
}

fn author_of(view: &View, writer: &WriterId) -> Result<PartnerId, Refusal> {
    view.partner_of(writer).ok_or(Refusal::Invalid(
        "by a writer not introduced in the event's own past",
    ))
}

fn empty_placement(view: &Arc<View>, author: PartnerId, lane: Lane) -> Placement {
    Placement {
        prev: None,
        deps: Vec::new(),
        t: 0,
        h: 0,
        frontier: 0,
        view: view.clone(),
        author,
        lane,
        act: None,
        epoch: None,
        key_part: None,
        about: None,
    }
}

/// Reads what a control event does from its public body.
fn act_of(channel: &Channel, event: &Event) -> Result<Act, Refusal> {
    let why = "a body that does not fit its kind";
    let seat = |identity: &Identity| {
        let writers = invalid(identity.verify(), "an identity that does not hold together")?;
        demand(writers.len() == 1, "version 1 knows one writer per partner")?;
        Ok::<WriterId, Refusal>(writers[0].0)
    };
    let sealing = |bytes: &[u8]| {
        let key = crypto::SealingPublicKey::from_bytes(bytes)
            .map_err(|_| Refusal::Invalid("not a sealing key"))?;
        Ok::<_, Refusal>(Arc::new(key))
    };
    match event.header.kind() {
        Kind::Charter => {
            let charter = invalid(charter_of(event), why)?;
            demand(
                channel_id(&event.body) == channel.id,
                "a charter of another channel",
            )?;
            let seat = seat(&charter.creator)?;
            let first = event.header.seq == 1 && event.header.deps.is_empty();
            demand(
                first && seat == event.header.writer,
                "a charter that is not its creator's first event",
            )?;
            Ok(Act::Charter {
                seat,
                sealing_key: sealing(&charter.sealing_key)?,
            })
        }
        Kind::Accept | Kind::SealingKey => {
            let body = invalid(SealingKeyBody::from_bytes(&event.body), why)?;
            let sealing_key = sealing(&body.sealing_key)?;
            Ok(match event.header.kind() {
                Kind::Accept => Act::Accept { sealing_key },
                _ => Act::SealingKey { sealing_key },
            })
        }
        Kind::Invite => {
            let body = invalid(InviteBody::from_bytes(&event.body), why)?;
            demand(
                body.endorsements.is_empty(),
                "version 1 knows no endorsements",
            )?;
            Ok(Act::Invite {
                partner: body.partner.partner(),
                role: body.role,
                seat: seat(&body.partner)?,
            })
        }
        Kind::Grant => {
            let body = invalid(GrantBody::from_bytes(&event.body), why)?;
            demand(
                body.endorsements.is_empty(),
                "version 1 knows no endorsements",
            )?;
            Ok(Act::Grant {
                partner: body.partner,
                role: body.role,
            })
        }
        Kind::Remove | Kind::Suspend => {
            let body = invalid(RemoveBody::from_bytes(&event.body), why)?;
            demand(
                body.endorsements.is_empty(),
                "version 1 knows no endorsements",
            )?;
            Ok(match event.header.kind() {
                Kind::Remove => Act::Remove {
                    partner: body.partner,
                },
                _ => Act::Suspend {
                    partner: body.partner,
                },
            })
        }
        Kind::Leave => invalid(EmptyBody::from_bytes(&event.body), why).map(|_| Act::Leave),
        _ => Err(Refusal::Invalid(
            "a kind that the charter's version does not know",
        )),
    }
}

fn place_message(
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

/// Whether an act is refused to whoever would author it now: asked before writing.
pub(crate) fn would_have_effect(view: &View, author: &PartnerId, act: &Act) -> bool {
    authority::judge(view, author, act).rank > authority::Rank::None
}
