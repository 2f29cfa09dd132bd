//! Who may write a control event (rules 8 and 9), and the judgement of it (section 11).

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use comity_crypto as crypto;

use super::fold::{Status, View};
use super::{Act, Ids, Oracle, Place};
use crate::body::Role;
use crate::event::{Event, Kind};
use crate::id::{EventId, Hash, PartnerId, WriterId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    None,
    Member,
    Admin,
    Owner,
    Quorum,
    Sovereign,
    Root,
}

/// An act, and what the view of its own control frontier makes of it.
#[derive(Debug)]
pub struct Judgement {
    pub act: Act,
    pub target: Option<PartnerId>,
    pub rank: Rank,
    pub revokes: bool,
    /// The role that the author's must be above.
    pub above: Option<Role>,
    /// How many endorsers an act by quorum needs.
    pub needed: usize,
    /// Each endorser with its endorsements.
    pub endorsers: BTreeMap<PartnerId, Ids>,
    /// The seat that a seat transfer displaces.
    pub displaces: Option<WriterId>,
}

impl Judgement {
    /// Whether it takes away the membership of this partner.
    pub fn ends(&self, partner: PartnerId) -> bool {
        matches!(self.act, Act::Remove(..) | Act::Suspend(..) | Act::Leave)
            && self.target == Some(partner)
    }

    pub fn lowers(&self, partner: PartnerId) -> bool {
        matches!(self.act, Act::Grant(..)) && self.revokes && self.target == Some(partner)
    }

    pub fn outranks(&self, other: &Judgement) -> bool {
        match self.rank.cmp(&other.rank) {
            Ordering::Greater => true,
            Ordering::Equal => !other.revokes,
            Ordering::Less => false,
        }
    }
}

impl Oracle {
    /// Rules 7 to 9.
    pub(super) fn accept_act(
        &self,
        event: &Event,
        place: &Place,
    ) -> Option<(PartnerId, Judgement)> {
        let act = self.read_act(event, place)?;
        let writer = &event.header.writer;
        let author = match &act {
            Act::Charter(list, _) => Some(list.partner),
            Act::Merge | Act::Evidence(..) => place.view.partner_with_writer(writer),
            Act::SeatTransfer(..) => {
                let seat = place.view.partner_with_seat(writer);
                seat.or_else(|| place.view.partner_with_writer(writer))
            }
            _ => place.view.partner_with_seat(writer),
        }?;
        let status = place.view.members.get(&author).map(|member| member.status);
        let may_write = match event.header.kind() {
            Kind::Charter => true,
            Kind::Accept => status == Some(Status::Invited),
            _ => status == Some(Status::Active),
        };
        may_write.then(|| (author, self.judge_act(author, act, place)))
    }

    fn judge_act(&self, author: PartnerId, act: Act, place: &Place) -> Judgement {
        let view = &place.view;
        let target = act.target(author);
        let above = above(view, author, &act);
        let revokes = revokes(view, author, &act);
        let (needed, endorsers) = self.endorsers(&act, revokes, place);
        let role = view.role(&author);
        let by_role = match role {
            Some(role @ (Role::Admin | Role::Owner)) if above.is_some_and(|above| role > above) => {
                if role == Role::Owner {
                    Rank::Owner
                } else {
                    Rank::Admin
                }
            }
            _ => Rank::None,
        };
        let by_quorum = above.is_some() && role == Some(Role::Owner) && endorsers.len() >= needed;
        let rank =
            own_rank(view, author, &act).unwrap_or(if by_quorum { Rank::Quorum } else { by_role });
        Judgement {
            displaces: displaced(view, &act),
            target,
            rank,
            revokes,
            above,
            needed,
            endorsers,
            act,
        }
    }

    /// How many endorsers the act needs by quorum, and who they are.
    fn endorsers(
        &self,
        act: &Act,
        revokes: bool,
        place: &Place,
    ) -> (usize, BTreeMap<PartnerId, Ids>) {
        let (Some(listed), Some(proposal)) = (act.listed(), self.proposal(act)) else {
            return (usize::MAX, BTreeMap::new());
        };
        let mut owners: BTreeSet<PartnerId> = place.view.active();
        owners.retain(|partner| place.view.role(partner) == Some(Role::Owner));
        if let (true, Some(target)) = (revokes, target_of_rule(act)) {
            owners.remove(&target);
        }
        let asked = self.charter.as_ref().map_or(0, |charter| charter.quorum);
        let needed = match usize::from(asked) {
            0 => owners.len() / 2 + 1,
            asked => asked.min(owners.len()),
        };
        let spent = |id: &EventId| {
            place.frontier.iter().any(|earlier| {
                let earlier = self.judgement(earlier);
                let mut counted = earlier.endorsers.values();
                earlier.rank == Rank::Quorum && counted.any(|counted| counted.contains(id))
            })
        };
        let mut endorsers: BTreeMap<PartnerId, Ids> = BTreeMap::new();
        for id in listed.iter().filter(|id| place.frontier.contains(id)) {
            let endorsement = self.judgement(id);
            let endorses =
                endorsement.act == Act::Endorse(proposal) && endorsement.rank != Rank::None;
            let void = self.is_void(id, &place.view.forks);
            if endorses && !void && owners.contains(&self.author(id)) && !spent(id) {
                endorsers.entry(self.author(id)).or_default().insert(*id);
            }
        }
        (needed.max(1), endorsers)
    }

    /// What owners endorse when they want this act.
    fn proposal(&self, act: &Act) -> Option<Hash> {
        let (kind, subject, role): (u8, &[u8], u8) = match act {
            Act::Invite(_, role, identity, _) => (3, identity, *role as u8),
            Act::Grant(partner, role, _) => (4, &partner.0, *role as u8),
            Act::Remove(partner, _) => (5, &partner.0, 0),
            Act::Suspend(partner, _) => (6, &partner.0, 0),
            _ => return None,
        };
        Some(proposal(self.channel, kind, subject, role))
    }
}

/// The hash by which a proposal is endorsed.
pub fn proposal(channel: crate::id::ChannelId, kind: u8, subject: &[u8], role: u8) -> Hash {
    let parts: [&[u8]; 4] = [&channel.0, &[kind], subject, &[role]];
    Hash(crypto::hash("comity/v1/proposal", &parts))
}

fn target_of_rule(act: &Act) -> Option<PartnerId> {
    match act {
        Act::Invite(list, ..) => Some(list.partner),
        Act::Grant(partner, ..) | Act::Remove(partner, _) | Act::Suspend(partner, _) => {
            Some(*partner)
        }
        _ => None,
    }
}

/// The rank of acts that are ranked neither by role nor by quorum.
fn own_rank(view: &View, author: PartnerId, act: &Act) -> Option<Rank> {
    let member = view.members.get(&author);
    let active = member.filter(|member| member.status == Status::Active);
    let has_writer =
        |writer: &WriterId| active.is_some_and(|active| active.writers.contains(writer));
    let (rank, granted) = match act {
        Act::Charter(..) => (Rank::Sovereign, view.members.is_empty()),
        Act::Accept(_) => {
            let invited = member.is_some_and(|member| member.status == Status::Invited);
            (Rank::Member, invited)
        }
        Act::Leave => (Rank::Sovereign, active.is_some()),
        Act::SealingKey(_) | Act::Merge => (Rank::Member, active.is_some()),
        Act::Evidence(..) => (Rank::Sovereign, true),
        Act::Ack => (Rank::None, false),
        Act::Endorse(_) => {
            let owner = active.is_some_and(|active| active.role == Role::Owner);
            (Rank::Member, owner)
        }
        Act::SeatMove(writer) => (Rank::Member, has_writer(writer)),
        Act::Introduce(list) => {
            let fits = |active: &super::Standing| {
                let mut writers = active.writers.clone();
                writers.extend(&list.writers);
                list.partner == author && list.number > active.number && writers.len() <= 4
            };
            (Rank::Member, active.is_some_and(fits))
        }
        Act::Retire(writer) => {
            let seat = active.is_some_and(|active| active.seat == *writer);
            (Rank::Sovereign, has_writer(writer) && !seat)
        }
        Act::SeatTransfer(list, _) => {
            let target = view.members.get(&list.partner);
            let fits = |target: &super::Standing| {
                let mut writers = target.writers.clone();
                if let Some(displaced) = displaced(view, act) {
                    writers.remove(&displaced);
                }
                writers.extend(&list.writers);
                list.number > target.number && writers.len() <= 4
            };
            (Rank::Root, target.is_some_and(fits))
        }
        Act::Grant(partner, role, _) if *partner == author => {
            let lower = active.is_some_and(|active| *role < active.role);
            (Rank::Sovereign, lower)
        }
        Act::Grant(..) | Act::Remove(..) | Act::Suspend(..) | Act::Invite(..) => return None,
    };
    Some(if granted { rank } else { Rank::None })
}

fn revokes(view: &View, author: PartnerId, act: &Act) -> bool {
    match act {
        Act::Leave | Act::SeatTransfer(..) | Act::Remove(..) | Act::Suspend(..) => true,
        Act::Grant(partner, ..) if *partner == author => true,
        Act::Grant(partner, role, _) => {
            let held = view.members.get(partner).map(|target| target.role);
            held.is_some_and(|held| *role < held)
        }
        _ => false,
    }
}

/// The role that the author's must be above, for acts by role or quorum that are possible at all.
fn above(view: &View, author: PartnerId, act: &Act) -> Option<Role> {
    let entry = |partner: &PartnerId| view.members.get(partner);
    let present = |partner: &PartnerId| {
        entry(partner).filter(|target| matches!(target.status, Status::Invited | Status::Active))
    };
    match act {
        Act::Grant(partner, role, _) if *partner != author => {
            present(partner).map(|target| target.role.max(*role))
        }
        Act::Remove(partner, _) | Act::Suspend(partner, _) => {
            entry(partner).map(|target| target.role)
        }
        Act::Invite(list, role, ..) => match present(&list.partner) {
            Some(_) => None,
            None => Some(*role),
        },
        _ => None,
    }
}

fn displaced(view: &View, act: &Act) -> Option<WriterId> {
    let Act::SeatTransfer(list, seat) = act else {
        return None;
    };
    let target = view.members.get(&list.partner)?;
    (target.seat != *seat).then_some(target.seat)
}
