//! What an act weighs, judged by the view of its own past.

use std::collections::BTreeSet;

use super::{Act, Place, Status, View};
use crate::body::Role;
use crate::id::{EventId, Hash, PartnerId, WriterId};
use crate::limits;
use crate::mutation::{self, Mutation};

/// How much an act weighs against a concurrent revocation of its author.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// Not allowed to whoever tried: no effect.
    None,
    /// Acts of a member on its own matters.
    Member,
    Admin,
    Owner,
    /// As many owners as the charter wants endorsed it.
    Quorum,
    /// Acts that need nobody's leave: the charter, leaving, lowering one's own role, retiring
    /// one's own writer.
    Sovereign,
    /// A partner's root signed it.
    Root,
}

/// What an act weighs, judged by the view of its own past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// [`Rank::None`] where the act has no effect whatever else is held.
    pub rank: Rank,
    pub revokes: bool,
    /// The role that the author's must exceed, where it acts on others; absent also where what
    /// it does is not possible.
    pub above: Option<Role>,
    /// Who endorsed it, where its rank is [`Rank::Quorum`].
    pub backing: Option<Backing>,
    /// The writer that a seat transfer displaces.
    pub displaces: Option<WriterId>,
    /// The number of the author's certificate list that a seat move knew of.
    pub number: u64,
}

/// A quorum that an act had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    pub needed: usize,
    /// Owners, each with its endorsements that count.
    pub endorsers: Vec<(PartnerId, Vec<Place>)>,
}

/// How far a proposal has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    pub proposal: Hash,
    /// One endorsement for each owner that endorsed: what an act would list, once sorted by id.
    pub endorsements: Vec<(PartnerId, EventId)>,
    /// How many owners must have endorsed.
    pub needed: usize,
    /// How many owners there are, the target of a revocation not counted.
    pub owners: usize,
}

impl Judgement {
    fn of(rank: Rank, allowed: bool) -> Judgement {
        Judgement {
            rank: if allowed { rank } else { Rank::None },
            revokes: false,
            above: None,
            backing: None,
            displaces: None,
            number: 0,
        }
    }

    fn revoking(self, revokes: bool) -> Judgement {
        Judgement { revokes, ..self }
    }

    pub(super) fn endorsers(&self) -> &[(PartnerId, Vec<Place>)] {
        self.backing
            .as_ref()
            .map_or(&[], |backing| backing.endorsers.as_slice())
    }
}

/// Whether a revocation of this rank voids a concurrent act: one of lower rank, or of the same
/// if that revokes nothing itself.
pub(super) fn outranks(revocation: Rank, act: &Judgement) -> bool {
    if act.revokes {
        revocation > act.rank
    } else {
        revocation >= act.rank
    }
}

/// Judges an act by its author's own role; [`super::Controls::judge`] also counts endorsements.
pub fn judge(view: &View, author: &PartnerId, act: &Act) -> Judgement {
    let own = view.member(author);
    let role = own.map(|member| member.role);
    let target = |partner: &PartnerId| view.members.get(partner);
    match act {
        Act::Charter { .. } => Judgement::of(Rank::Sovereign, view.members.is_empty()),
        Act::Accept { .. } => {
            let status = target(author).map(|member| member.status);
            Judgement::of(Rank::Member, status == Some(Status::Invited))
        }
        Act::Leave => Judgement::of(Rank::Sovereign, own.is_some()).revoking(true),
        Act::Evidence { .. } => Judgement::of(Rank::Sovereign, true),
        Act::SealingKey { .. } | Act::Merge => Judgement::of(Rank::Member, own.is_some()),
        Act::Endorse { .. } => Judgement::of(Rank::Member, role == Some(Role::Owner)),
        Act::SeatMove { .. }
        | Act::WriterIntroduce { .. }
        | Act::WriterRetire { .. }
        | Act::SeatTransfer { .. } => judge_writers(view, author, act),
        Act::Grant {
            partner,
            role: granted,
            ..
        } if partner == author => {
            let lowers = role.is_some_and(|role| *granted < role);
            Judgement::of(Rank::Sovereign, lowers).revoking(true)
        }
        Act::Grant {
            partner,
            role: granted,
            ..
        } => {
            let held = target(partner)
                .filter(|target| target.status <= Status::Active)
                .map(|target| target.role);
            let lowers = held.is_some_and(|held| *granted < held);
            by_role(role, held.map(|held| held.max(*granted))).revoking(lowers)
        }
        Act::Remove { partner, .. } | Act::Suspend { partner, .. } => {
            by_role(role, target(partner).map(|target| target.role)).revoking(true)
        }
        Act::Invite {
            partner,
            role: granted,
            ..
        } => {
            let gone = target(partner).is_none_or(|target| target.status > Status::Active);
            by_role(role, gone.then_some(*granted))
        }
    }
}

/// Judges acts on a partner's writers and its seat.
fn judge_writers(view: &View, author: &PartnerId, act: &Act) -> Judgement {
    let own = view.member(author);
    match act {
        Act::SeatMove { writer } => Judgement {
            number: own.map_or(0, |own| own.number),
            ..Judgement::of(
                Rank::Member,
                own.is_some_and(|own| own.writers.contains(writer)),
            )
        },
        Act::WriterRetire { writer } => {
            let spare = own.is_some_and(|own| own.writers.contains(writer) && own.seat != *writer);
            Judgement::of(Rank::Sovereign, spare)
        }
        Act::WriterIntroduce { partner, list } => {
            let allowed = own.filter(|_| partner == author).is_some_and(|own| {
                let writers = own.writers.iter().chain(&list.writers);
                list.number > own.number && fit(writers)
            });
            Judgement::of(Rank::Member, allowed)
        }
        Act::SeatTransfer {
            partner,
            list,
            seat,
        } => {
            let Some(target) = view.members.get(partner) else {
                return Judgement::of(Rank::Root, false).revoking(true);
            };
            let displaces = Some(target.seat).filter(|displaced| displaced != seat);
            let staying = target
                .writers
                .iter()
                .filter(|held| Some(**held) != displaces);
            let newer = list.number > target.number;
            let newer = newer || mutation::is(Mutation::TransferNumberUnchecked);
            let allowed = newer && fit(staying.chain(&list.writers));
            Judgement {
                displaces,
                ..Judgement::of(Rank::Root, allowed).revoking(true)
            }
        }
        _ => Judgement::of(Rank::None, false),
    }
}

fn fit<'a>(writers: impl Iterator<Item = &'a WriterId>) -> bool {
    writers.collect::<BTreeSet<_>>().len() <= limits::WRITERS_PER_PARTNER
}

/// Acts on others need the role of an admin at least, and one above `above`.
fn by_role(role: Option<Role>, above: Option<Role>) -> Judgement {
    let rank = match (role, above) {
        (Some(role), Some(above)) if role > above && role >= Role::Admin => match role {
            Role::Owner => Rank::Owner,
            _ => Rank::Admin,
        },
        _ => Rank::None,
    };
    Judgement {
        above,
        ..Judgement::of(rank, true)
    }
}

pub(super) fn is_owner(view: &View, partner: &PartnerId) -> bool {
    view.member(partner)
        .is_some_and(|member| member.role == Role::Owner)
}

/// The owners whose endorsements count: nobody helps to decide, or hinders, its own revocation.
pub(super) fn owners(view: &View, act: &Act, revokes: bool) -> BTreeSet<PartnerId> {
    let target = act.names().filter(|_| revokes);
    let target = target.filter(|_| !mutation::is(Mutation::TargetCountsInQuorum));
    view.active()
        .into_iter()
        .filter(|partner| is_owner(view, partner) && Some(*partner) != target)
        .collect()
}

/// How many of so many owners must endorse; `quorum` is the charter's, 0 for a majority.
pub(super) fn needed(quorum: u8, owners: usize) -> usize {
    let wanted = match usize::from(quorum) {
        0 => owners / 2 + 1,
        quorum => quorum.min(owners),
    };
    wanted.max(1)
}
