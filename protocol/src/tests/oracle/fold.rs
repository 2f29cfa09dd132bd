//! Effect, standing and view (section 11).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::authority::{Judgement, Rank};
use super::finality::Barrier;
use super::{Act, Ids, Oracle};
use crate::body::Role;
use crate::id::{EventId, PartnerId, WriterId};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Status {
    Invited = 0,
    Active = 1,
    Suspended = 2,
    Left = 3,
    Removed = 4,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub status: Status,
    pub role: Role,
    pub seat: WriterId,
    pub writers: BTreeSet<WriterId>,
    pub number: u64,
    /// The event that announced the current sealing key, and the key's id.
    pub sealing_key: Option<(EventId, [u8; 32])>,
    pub admissions_and_keys: Ids,
}

/// The forks that void, and the revocations that strike in a pass.
type Against<'a> = (&'a BTreeMap<WriterId, u64>, &'a Ids);

#[derive(Debug, Default)]
pub struct View {
    pub members: BTreeMap<PartnerId, Standing>,
    pub effective: Ids,
    /// From which position on a writer's acts are void.
    pub forks: BTreeMap<WriterId, u64>,
}

impl View {
    pub fn active(&self) -> BTreeSet<PartnerId> {
        let active = |(_, member): &(&PartnerId, &Standing)| member.status == Status::Active;
        let members = self.members.iter().filter(active);
        members.map(|(partner, _)| *partner).collect()
    }

    /// The role of a partner that is active.
    pub fn role(&self, partner: &PartnerId) -> Option<Role> {
        let member = self.members.get(partner)?;
        (member.status == Status::Active).then_some(member.role)
    }

    pub fn partner_with_seat(&self, writer: &WriterId) -> Option<PartnerId> {
        let seat = |(_, member): &(&PartnerId, &Standing)| member.seat == *writer;
        self.members.iter().find(seat).map(|(partner, _)| *partner)
    }

    pub fn partner_with_writer(&self, writer: &WriterId) -> Option<PartnerId> {
        let has = |(_, member): &(&PartnerId, &Standing)| member.writers.contains(writer);
        self.members.iter().find(has).map(|(partner, _)| *partner)
    }
}

impl Oracle {
    /// The view by all that is accepted.
    pub fn present(&self) -> Rc<View> {
        self.view(&self.facts.keys().copied().collect())
    }

    /// The view by the control events among `held`.
    pub fn view(&self, held: &Ids) -> Rc<View> {
        let held = self.control_events(held);
        if let Some(view) = self.views.borrow().get(&held) {
            return view.clone();
        }
        // Acks are no acts: they matter only as far as they make layers.
        let acts = held.iter().filter(|id| *self.act(id) != Act::Ack);
        let barriers = self.standing_barriers(self.control_lane(), &held);
        let layers = barriers.iter().map(Barrier::digest).collect();
        let folded = (acts.copied().collect(), layers);
        if let Some(view) = self.folded.borrow().get(&folded) {
            self.views.borrow_mut().insert(held, view.clone());
            return view.clone();
        }
        let effective = self.effective(&held);
        let concerned = effective.iter().map(|id| self.concerned(id));
        let partners: BTreeSet<PartnerId> = concerned.collect();
        let standing = |partner: PartnerId| Some((partner, self.standing(partner, &effective)?));
        let mut members: BTreeMap<PartnerId, Standing> =
            partners.into_iter().filter_map(standing).collect();
        self.leave_out_who_finds_no_place(&mut members, &effective);
        let forks = self.forks(&held);
        let view = Rc::new(View {
            members,
            effective,
            forks,
        });
        self.views.borrow_mut().insert(held, view.clone());
        self.folded.borrow_mut().insert(folded, view.clone());
        view
    }

    fn leave_out_who_finds_no_place(
        &self,
        members: &mut BTreeMap<PartnerId, Standing>,
        effective: &Ids,
    ) {
        let admits = |id: &&EventId| matches!(self.act(id), Act::Charter(..) | Act::Invite(..));
        let best = |partner: &PartnerId| {
            let own = effective.iter().filter(|id| self.concerned(id) == *partner);
            let order = |id: &EventId| (Reverse(self.judgement(id).rank), self.height_and_id(id));
            own.filter(admits).map(order).min()
        };
        let takes_place = |(_, member): &(&PartnerId, &Standing)| member.status < Status::Left;
        let present = members.iter().filter(takes_place);
        let mut present: Vec<PartnerId> = present.map(|(partner, _)| *partner).collect();
        present.sort_by_key(best);
        for partner in present.iter().skip(64) {
            members.remove(partner);
        }
    }

    /// The acts of `held` that take effect, layer by layer.
    fn effective(&self, held: &Ids) -> Ids {
        let mut layers: Vec<Ids> = Vec::new();
        let mut rest = held.clone();
        for (layer, _) in self.layers(self.control_lane(), held) {
            rest.retain(|id| !layer.contains(id));
            layers.push(layer);
        }
        layers.push(rest);
        let mut effective = Ids::new();
        let mut below = Ids::new();
        for layer in layers {
            below.extend(layer.iter().copied());
            effective = self.effective_with(&layer, &below, effective);
        }
        effective
    }

    /// The acts of a layer that take effect, by passes, and those of the layers below, which did.
    fn effective_with(&self, layer: &Ids, up_to: &Ids, given: Ids) -> Ids {
        let revoking = |acts: &Ids| -> Ids {
            let revokes = |id: &&EventId| {
                let judgement = self.judgement(id);
                judgement.revokes && judgement.rank != Rank::None
            };
            let revoking = acts.iter().filter(revokes);
            revoking
                .chain(given.iter().filter(revokes))
                .copied()
                .collect()
        };
        let forks = self.forks(up_to);
        let stays = |id: &&EventId| !self.is_void(id, &forks);
        let held: &Ids = &layer.iter().filter(stays).copied().collect();
        let pass = |revoking: Ids| self.pass(held, &given, (&forks, &revoking));
        let mut effective = pass(revoking(held));
        for _ in 1..16 {
            let others = pass(revoking(&effective));
            let next = pass(revoking(&others));
            if next == effective {
                break;
            }
            effective = next;
        }
        effective
    }

    fn pass(&self, held: &Ids, given: &Ids, against: Against<'_>) -> Ids {
        let mut order: Vec<EventId> = held.iter().copied().collect();
        order.sort_by_key(|id| self.height_and_id(id));
        let mut took = given.clone();
        for id in order {
            let proves = matches!(self.act(&id), Act::Evidence(..));
            if proves || self.takes_effect(&id, &took, against) {
                took.insert(id);
            }
        }
        took
    }

    fn takes_effect(&self, id: &EventId, took: &Ids, (forks, revoking): Against<'_>) -> bool {
        let judgement = self.judgement(id);
        let before: Ids = took.intersection(self.past(id)).copied().collect();
        let role_before = |partner: PartnerId| {
            let standing = self.standing(partner, &before)?;
            (standing.status == Status::Active).then_some(standing.role)
        };
        let role = role_before(self.author(id));
        let holds_rank = match judgement.rank {
            Rank::None => false,
            Rank::Admin | Rank::Owner => role.is_some_and(|role| {
                role >= Role::Admin && judgement.above.is_none_or(|above| role > above)
            }),
            Rank::Quorum => {
                let still_endorses = |(endorser, endorsements): &(&PartnerId, &Ids)| {
                    let mut endorsements = endorsements.iter();
                    role_before(**endorser) == Some(Role::Owner)
                        && endorsements.any(|endorsement| {
                            !self.is_void(endorsement, forks)
                                && !self.is_struck(endorsement, judgement, revoking)
                        })
                };
                let endorsers = judgement.endorsers.iter().filter(still_endorses);
                role == Some(Role::Owner) && endorsers.count() >= judgement.needed
            }
            Rank::Member | Rank::Sovereign | Rank::Root => true,
        };
        holds_rank && !revoking.iter().any(|other| self.hits(other, id))
    }

    /// Whether one of the revocations takes from the endorser what made its word count.
    fn is_struck(&self, endorsement: &EventId, act: &Judgement, revoking: &Ids) -> bool {
        let endorser = self.author(endorsement);
        let writer = self.event(endorsement).header.writer;
        revoking.iter().any(|other| {
            let revocation = self.judgement(other);
            let ends = revocation.ends(endorser) || revocation.lowers(endorser);
            let takes = ends && self.author(other) != endorser;
            (takes || revocation.displaces == Some(writer))
                && self.are_concurrent(other, endorsement)
                && revocation.outranks(act)
        })
    }

    fn hits(&self, revocation: &EventId, id: &EventId) -> bool {
        let (revoking, act) = (self.judgement(revocation), self.judgement(id));
        if !self.are_concurrent(revocation, id) || !revoking.outranks(act) {
            return false;
        }
        let author = self.author(id);
        let by_another = self.author(revocation) != author;
        let by_role = matches!(act.rank, Rank::Admin | Rank::Owner | Rank::Quorum);
        let writer = self.event(id).header.writer;
        by_another && (revoking.ends(author) || revoking.lowers(author) && by_role)
            || revoking.displaces == Some(writer)
    }

    fn are_concurrent(&self, one: &EventId, other: &EventId) -> bool {
        one != other && !self.past(one).contains(other) && !self.past(other).contains(one)
    }

    pub(super) fn act(&self, id: &EventId) -> &Act {
        &self.judgement(id).act
    }

    /// Whom an act targets, or whom it belongs to.
    fn concerned(&self, id: &EventId) -> PartnerId {
        self.judgement(id).target.unwrap_or(self.author(id))
    }

    /// The standing of a partner by these acts, as if they all had effect.
    fn standing(&self, partner: PartnerId, acts: &Ids) -> Option<Standing> {
        let own = |wanted: fn(&Act) -> bool| -> Ids {
            let own = acts.iter().filter(|id| self.concerned(id) == partner);
            own.filter(|id| wanted(self.act(id))).copied().collect()
        };
        let bearing = self.last(&own(|act| {
            use Act::*;
            matches!(
                act,
                Charter(..) | Invite(..) | Grant(..) | Remove(..) | Suspend(..) | Leave
            )
        }));
        let admissions = self.last(&own(|act| {
            matches!(act, Act::Charter(..) | Act::Invite(..))
        }));
        let keys = self.last(&own(|act| {
            matches!(act, Act::Charter(..) | Act::Accept(_) | Act::SealingKey(_))
        }));
        let admission = *admissions.iter().max_by_key(|id| self.height_and_id(id))?;
        let joined = admissions
            .iter()
            .any(|id| matches!(self.act(id), Act::Charter(..)))
            || own(|act| matches!(act, Act::Accept(_)))
                .iter()
                .any(|accept| !self.past(accept).is_disjoint(&admissions));
        let status = self.status(&bearing, joined);
        let follows = |id: &&EventId| self.past(id).contains(&admission);
        let later: Ids = own(|_| true).iter().filter(follows).copied().collect();
        let seat = self.seat(admission, &later);
        let announcement = keys.iter().max_by_key(|id| self.height_and_id(id));
        Some(Standing {
            status,
            role: self.standing_role(&bearing, status),
            seat,
            writers: at_most_four(self.writers(admission, &later), seat),
            number: self.number(admission, &later),
            sealing_key: announcement.and_then(|id| match self.act(id) {
                Act::Charter(_, key) | Act::Accept(key) | Act::SealingKey(key) => Some((*id, *key)),
                _ => None,
            }),
            admissions_and_keys: admissions.union(&keys).copied().collect(),
        })
    }

    fn status(&self, bearing: &Ids, joined: bool) -> Status {
        let some = |wanted: fn(&Act) -> bool| bearing.iter().any(|id| wanted(self.act(id)));
        if some(|act| matches!(act, Act::Remove(..))) {
            Status::Removed
        } else if some(|act| matches!(act, Act::Leave)) {
            Status::Left
        } else if some(|act| matches!(act, Act::Suspend(..))) {
            Status::Suspended
        } else if joined {
            Status::Active
        } else {
            Status::Invited
        }
    }

    fn standing_role(&self, bearing: &Ids, status: Status) -> Role {
        let given = bearing.iter().filter_map(|id| match self.act(id) {
            Act::Charter(..) => Some(Role::Owner),
            Act::Invite(_, role, ..) | Act::Grant(_, role, _) => Some(*role),
            _ => None,
        });
        if status > Status::Active {
            return Role::Observer;
        }
        given.min().unwrap_or(Role::Observer)
    }

    fn writers(&self, admission: EventId, later: &Ids) -> BTreeSet<WriterId> {
        let introduces =
            |id: &&EventId| matches!(self.act(id), Act::Introduce(_) | Act::SeatTransfer(..));
        let lists = [admission]
            .into_iter()
            .chain(later.iter().filter(introduces).copied());
        let mut writers: BTreeSet<WriterId> = lists
            .filter_map(|id| self.act(&id).list())
            .flat_map(|list| list.writers.iter().copied())
            .collect();
        for id in later {
            if let Act::Retire(writer) = self.act(id) {
                writers.remove(writer);
            }
            if let Some(writer) = self.judgement(id).displaces {
                writers.remove(&writer);
            }
        }
        writers
    }

    fn seat(&self, admission: EventId, later: &Ids) -> WriterId {
        let moves =
            |id: &&EventId| matches!(self.act(id), Act::SeatMove(_) | Act::SeatTransfer(..));
        let mut candidates: Ids = later.iter().filter(moves).copied().collect();
        candidates.insert(admission);
        let precedence = |id: &EventId| {
            let (number, is_move) = match self.act(id) {
                Act::SeatMove(_) => {
                    let view = self.view(self.frontier(id));
                    let author = view.members.get(&self.author(id));
                    (author.map_or(0, |author| author.number), true)
                }
                act => (act.list().map_or(0, |list| list.number), false),
            };
            (number, is_move, self.height_and_id(id))
        };
        let last = self.last(&candidates).into_iter().max_by_key(precedence);
        let deciding = last.unwrap_or(admission);
        match self.act(&deciding) {
            Act::SeatMove(writer) | Act::SeatTransfer(_, writer) => *writer,
            act => act.list().expect("an admission carries a list").writers[0],
        }
    }

    fn number(&self, admission: EventId, later: &Ids) -> u64 {
        let introduces =
            |id: &&EventId| matches!(self.act(id), Act::Introduce(_) | Act::SeatTransfer(..));
        let lists = later.iter().filter(introduces).chain([&admission]);
        let numbers = lists
            .filter_map(|id| self.act(id).list())
            .map(|list| list.number);
        numbers.max().unwrap_or(0)
    }
}

/// The seat, if it is among them, and the lowest of the others.
fn at_most_four(writers: BTreeSet<WriterId>, seat: WriterId) -> BTreeSet<WriterId> {
    let mut order: Vec<WriterId> = writers.into_iter().collect();
    order.sort_by_key(|writer| (*writer != seat, *writer));
    order.into_iter().take(4).collect()
}
