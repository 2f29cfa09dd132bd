//! The authority fold: what the accepted control events make of a channel.
//!
//! The fold is a pure function of a causally closed set of control events. Each act is judged by
//! its author's rank in the act's own past; then, in the order of rank, revocations first, by
//! height and id, an act takes effect unless an effective revocation that is concurrent with it
//! hits its author. Membership and roles are then read off the causally last effective acts on
//! each partner; where several are concurrent, the one that leaves the partner least decides. No
//! clock and no order of arrival enters.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_crypto as crypto;

use crate::body::Role;
use crate::graph::{ChainIx, FrontierIx, Graph, Pos};
use crate::id::{EventId, PartnerId, WriterId};
use crate::limits;
#[cfg(test)]
use crate::mutation::{self, Mutation};

/// What a control event does.
#[derive(Debug, Clone)]
pub enum Act {
    /// Founds the channel; its author is an owner from then on.
    Charter {
        seat: WriterId,
        sealing_key: Arc<crypto::SealingPublicKey>,
    },
    Accept {
        sealing_key: Arc<crypto::SealingPublicKey>,
    },
    Invite {
        partner: PartnerId,
        role: Role,
        seat: WriterId,
    },
    Grant {
        partner: PartnerId,
        role: Role,
    },
    Remove {
        partner: PartnerId,
    },
    Suspend {
        partner: PartnerId,
    },
    Leave,
    SealingKey {
        sealing_key: Arc<crypto::SealingPublicKey>,
    },
}

/// How much an act weighs against a concurrent revocation of its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Not allowed to whoever tried: no effect.
    None,
    Admin,
    Owner,
    /// Acts that need nobody's leave: the charter, accepting, leaving, one's own keys, lowering
    /// one's own role.
    Sovereign,
}

/// An accepted control event as the fold sees it.
#[derive(Debug, Clone)]
pub struct ControlEvent {
    pub pos: Pos,
    pub id: EventId,
    pub h: u64,
    pub author: PartnerId,
    /// Its control past, itself excluded.
    pub frontier: FrontierIx,
    pub act: Act,
    pub judged: Judgement,
}

impl ControlEvent {
    /// The partner on whose membership or role the act bears.
    fn target(&self) -> Option<PartnerId> {
        match &self.act {
            Act::Charter { .. } | Act::Leave => Some(self.author),
            Act::Invite { partner, .. }
            | Act::Grant { partner, .. }
            | Act::Remove { partner }
            | Act::Suspend { partner } => Some(*partner),
            Act::Accept { .. } | Act::SealingKey { .. } => None,
        }
    }

    fn admits(&self) -> bool {
        matches!(self.act, Act::Charter { .. } | Act::Invite { .. })
    }

    fn accepts(&self) -> bool {
        matches!(self.act, Act::Charter { .. } | Act::Accept { .. })
    }

    fn sealing_key(&self) -> Option<&Arc<crypto::SealingPublicKey>> {
        match &self.act {
            Act::Charter { sealing_key, .. }
            | Act::Accept { sealing_key }
            | Act::SealingKey { sealing_key } => Some(sealing_key),
            _ => None,
        }
    }
}

/// What a partner is in a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Reads the control lane only.
    Invited,
    /// A member.
    Active,
    Suspended,
    Left,
    Removed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Invited => "invited",
            Status::Active => "active",
            Status::Suspended => "suspended",
            Status::Left => "left",
            Status::Removed => "removed",
        }
    }
}

/// A partner's place in a channel.
#[derive(Debug, Clone)]
pub struct Member {
    pub status: Status,
    pub role: Role,
    /// The writer that acts for the partner.
    pub seat: WriterId,
    /// The acts that admitted it last, and every act since that bears on its keys: a key wrapped
    /// under another list is not current.
    pub admissions: BTreeSet<EventId>,
    /// The event that announced the current sealing key, and the key.
    pub sealing_key: Option<(EventId, Arc<crypto::SealingPublicKey>)>,
}

/// The state of a channel in the light of one control frontier.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub members: BTreeMap<PartnerId, Member>,
    /// The control events that have effect.
    pub effective: BTreeSet<Pos>,
    pub endings: Vec<Ending>,
}

/// An act that ends a membership, and whose events it strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub pos: Pos,
    pub partner: PartnerId,
    pub scope: Scope,
}

/// Whose events an ending strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    AllWriters,
    Writer(WriterId),
}

impl Ending {
    /// Whether the events of a partner's writer are struck.
    pub fn strikes(&self, partner: PartnerId, writer: WriterId) -> bool {
        match self.scope {
            Scope::AllWriters => partner == self.partner,
            Scope::Writer(struck) => writer == struck,
        }
    }
}

impl View {
    /// The members: partners with status active.
    pub fn active(&self) -> BTreeSet<PartnerId> {
        self.members
            .iter()
            .filter(|(_, member)| member.status == Status::Active)
            .map(|(partner, _)| *partner)
            .collect()
    }

    pub fn member(&self, partner: &PartnerId) -> Option<&Member> {
        self.members
            .get(partner)
            .filter(|member| member.status == Status::Active)
    }

    /// The partner whose seat a writer is, whatever the partner's status.
    pub fn partner_of(&self, writer: &WriterId) -> Option<PartnerId> {
        self.members
            .iter()
            .find(|(_, member)| member.seat == *writer)
            .map(|(partner, _)| *partner)
    }

    /// What decides whether an epoch's wraps are current for an audience: each partner's
    /// admissions and sealing key.
    pub fn keying(
        &self,
        audience: &BTreeSet<PartnerId>,
    ) -> Vec<(PartnerId, BTreeSet<EventId>, Option<EventId>)> {
        audience
            .iter()
            .map(|partner| {
                let member = self.members.get(partner);
                (
                    *partner,
                    member
                        .map(|member| member.admissions.clone())
                        .unwrap_or_default(),
                    member.and_then(|member| member.sealing_key.as_ref().map(|(event, _)| *event)),
                )
            })
            .collect()
    }
}

/// What an act weighs, judged by the view of its own past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// [`Rank::None`] where the act has no effect whatever else is held.
    pub rank: Rank,
    pub revokes: bool,
    /// The role that the author's must exceed.
    pub above: Option<Role>,
}

/// Judges an act by the view of its own past.
pub fn judge(view: &View, author: &PartnerId, act: &Act) -> Judgement {
    let role = view.member(author).map(|member| member.role);
    let target = |partner: &PartnerId| view.members.get(partner);
    match act {
        Act::Charter { .. } => sovereign(view.members.is_empty(), false),
        Act::Accept { .. } => {
            let status = view.members.get(author).map(|member| member.status);
            sovereign(status == Some(Status::Invited), false)
        }
        Act::Leave => sovereign(role.is_some(), true),
        Act::SealingKey { .. } => sovereign(role.is_some(), false),
        Act::Grant {
            partner,
            role: granted,
        } if partner == author => sovereign(role.is_some_and(|role| *granted < role), true),
        Act::Grant {
            partner,
            role: granted,
        } => {
            let held = target(partner)
                .filter(|target| target.status <= Status::Active)
                .map(|target| target.role);
            let revokes = held.is_some_and(|held| *granted < held);
            by_role(role, held.map(|held| held.max(*granted)), revokes)
        }
        Act::Remove { partner } | Act::Suspend { partner } => {
            by_role(role, target(partner).map(|target| target.role), true)
        }
        Act::Invite {
            partner,
            role: granted,
            ..
        } => {
            let gone = target(partner).is_none_or(|target| target.status > Status::Active);
            by_role(role, gone.then_some(*granted), false)
        }
    }
}

fn sovereign(allowed: bool, revokes: bool) -> Judgement {
    let rank = if allowed { Rank::Sovereign } else { Rank::None };
    Judgement {
        rank,
        revokes,
        above: None,
    }
}

/// Acts on others need the role of an admin at least, and one above `above`.
fn by_role(role: Option<Role>, above: Option<Role>, revokes: bool) -> Judgement {
    let rank = match (role, above) {
        (Some(role), Some(above)) if role > above && role >= Role::Admin => match role {
            Role::Owner => Rank::Owner,
            _ => Rank::Admin,
        },
        _ => Rank::None,
    };
    Judgement {
        rank,
        revokes,
        above,
    }
}

/// Folds the control events that lie in `frontier`.
pub fn fold(graph: &Graph, controls: &BTreeMap<Pos, ControlEvent>, frontier: FrontierIx) -> View {
    let mut held: Vec<&ControlEvent> = controls
        .values()
        .filter(|event| graph.frontier_holds(frontier, event.pos))
        .collect();
    held.sort_by_key(|event| {
        (
            Reverse(event.judged.rank),
            !event.judged.revokes,
            event.h,
            event.id,
        )
    });
    let mut fold = Fold {
        graph,
        effective: BTreeMap::new(),
        by_target: BTreeMap::new(),
        revocations: BTreeMap::new(),
    };
    for event in held {
        if fold.takes_effect(event) {
            fold.add(event);
        }
    }
    fold.view()
}

struct Fold<'a> {
    graph: &'a Graph,
    effective: BTreeMap<Pos, &'a ControlEvent>,
    /// Effective acts by the partner that they bear on, accepting and keys included.
    by_target: BTreeMap<PartnerId, Vec<&'a ControlEvent>>,
    /// Of those, the ones that take something from the partner.
    revocations: BTreeMap<PartnerId, Vec<&'a ControlEvent>>,
}

impl<'a> Fold<'a> {
    fn add(&mut self, event: &'a ControlEvent) {
        let partner = event.target().unwrap_or(event.author);
        self.effective.insert(event.pos, event);
        self.by_target.entry(partner).or_default().push(event);
        if event.judged.revokes {
            self.revocations.entry(partner).or_default().push(event);
        }
    }

    fn holds(&self, event: &ControlEvent, other: Pos) -> bool {
        self.graph.frontier_holds(event.frontier, other)
    }

    fn takes_effect(&self, event: &ControlEvent) -> bool {
        event.judged.rank > Rank::None && self.allowed(event) && !self.hit(event)
    }

    /// Whether the author's role, from what has effect in the event's own past, suffices.
    fn allowed(&self, event: &ControlEvent) -> bool {
        let Some(above) = event.judged.above else {
            return true;
        };
        self.standing(&event.author, Some(event))
            .filter(|author| author.status == Status::Active)
            .is_some_and(|author| author.role >= Role::Admin && author.role > above)
    }

    /// Whether an effective concurrent revocation of the author voids the event.
    fn hit(&self, event: &ControlEvent) -> bool {
        #[cfg(test)]
        if mutation::is(Mutation::RevocationNeverHits) {
            return false;
        }
        let revocations = self
            .revocations
            .get(&event.author)
            .map_or(&[][..], Vec::as_slice);
        revocations.iter().any(|revocation| {
            revocation.author != event.author
                && !self.holds(event, revocation.pos)
                && !self.holds(revocation, event.pos)
                && outranks(&revocation.judged, &event.judged)
        })
    }

    /// A partner's place by the effective acts, or by those in one event's past.
    fn standing(&self, partner: &PartnerId, within: Option<&ControlEvent>) -> Option<Member> {
        let acts: Vec<&ControlEvent> = self
            .by_target
            .get(partner)?
            .iter()
            .copied()
            .filter(|act| within.is_none_or(|event| self.holds(event, act.pos)))
            .collect();
        let bearing = self.last(acts.iter().copied().filter(|act| act.target().is_some()));
        let admissions = self.last(acts.iter().copied().filter(|act| act.admits()));
        let accepted = acts.iter().filter(|act| act.accepts()).any(|accept| {
            admissions
                .iter()
                .any(|admission| admission.pos == accept.pos || self.holds(accept, admission.pos))
        });
        let seat = admissions
            .iter()
            .max_by_key(|admission| (admission.h, admission.id))
            .and_then(|admission| match &admission.act {
                Act::Charter { seat, .. } | Act::Invite { seat, .. } => Some(*seat),
                _ => None,
            })?;
        let keys = self.last(
            acts.iter()
                .copied()
                .filter(|act| act.sealing_key().is_some()),
        );
        let key = keys.iter().max_by_key(|event| (event.h, event.id));
        let status = status(&bearing, accepted);
        // Whoever is gone has no rank left, whatever was granted at the same time.
        let roles = bearing.iter().filter_map(|act| role_given(act));
        let role = roles.min().filter(|_| status <= Status::Active);
        Some(Member {
            status,
            role: role.unwrap_or(Role::Observer),
            seat,
            admissions: admissions
                .iter()
                .chain(&keys)
                .map(|event| event.id)
                .collect(),
            sealing_key: key.and_then(|event| Some((event.id, event.sealing_key()?.clone()))),
        })
    }

    /// Those acts that lie in no other one's past. Of one chain only the last can be.
    fn last(&self, acts: impl Iterator<Item = &'a ControlEvent>) -> Vec<&'a ControlEvent> {
        let mut greatest: BTreeMap<ChainIx, &ControlEvent> = BTreeMap::new();
        for act in acts {
            let held = greatest.entry(act.pos.chain).or_insert(act);
            if held.pos.seq < act.pos.seq {
                *held = act;
            }
        }
        let acts: Vec<&ControlEvent> = greatest.into_values().collect();
        acts.iter()
            .copied()
            .filter(|act| !acts.iter().any(|other| self.holds(other, act.pos)))
            .collect()
    }

    fn view(&self) -> View {
        let mut members: BTreeMap<PartnerId, Member> = self
            .by_target
            .keys()
            .filter_map(|partner| Some((*partner, self.standing(partner, None)?)))
            .collect();
        self.drop_excess(&mut members);
        let endings = self.effective.values().filter_map(|event| {
            let ends = matches!(
                event.act,
                Act::Remove { .. } | Act::Suspend { .. } | Act::Leave
            );
            Some(Ending {
                pos: event.pos,
                partner: event.target().filter(|_| ends)?,
                scope: Scope::AllWriters,
            })
        });
        View {
            members,
            effective: self.effective.keys().copied().collect(),
            endings: endings.collect(),
        }
    }

    /// Admissions beyond the limit of partners have no effect: those by the higher rank stay, of
    /// equal ones the earlier. Whoever is gone takes no place.
    fn drop_excess(&self, members: &mut BTreeMap<PartnerId, Member>) {
        let present = members
            .iter()
            .filter(|(_, member)| member.status <= Status::Suspended);
        let mut first: Vec<_> = present
            .filter_map(|(partner, _)| {
                let acts = self.by_target.get(partner)?.iter();
                let admissions = acts.filter(|act| act.admits());
                let order = |act: &&ControlEvent| (Reverse(act.judged.rank), act.h, act.id);
                admissions.map(order).min().map(|order| (order, *partner))
            })
            .collect();
        first.sort_unstable();
        for (_, partner) in first.into_iter().skip(limits::PARTNERS) {
            members.remove(&partner);
        }
    }
}

/// A revocation is voided only by one of strictly higher rank, any other act by one of equal
/// rank too.
fn outranks(revocation: &Judgement, event: &Judgement) -> bool {
    if event.revokes {
        revocation.rank > event.rank
    } else {
        revocation.rank >= event.rank
    }
}

fn status(bearing: &[&ControlEvent], accepted: bool) -> Status {
    let any = |wanted: fn(&Act) -> bool| bearing.iter().any(|act| wanted(&act.act));
    if any(|act| matches!(act, Act::Remove { .. })) {
        Status::Removed
    } else if any(|act| matches!(act, Act::Leave)) {
        Status::Left
    } else if any(|act| matches!(act, Act::Suspend { .. })) {
        Status::Suspended
    } else if accepted {
        Status::Active
    } else {
        Status::Invited
    }
}

fn role_given(act: &ControlEvent) -> Option<Role> {
    match &act.act {
        Act::Charter { .. } => Some(Role::Owner),
        Act::Invite { role, .. } | Act::Grant { role, .. } => Some(*role),
        _ => None,
    }
}
