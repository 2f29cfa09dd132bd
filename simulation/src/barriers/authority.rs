//! What the control events held make of the members: the fold of the protocol in small, made layer
//! by layer.
//!
//! What a standing barrier of the control lane holds is judged by itself: the acts that have effect
//! are found among its own, with those of the layers below taken as given, and no act of a later
//! layer voids them. Membership is read off the causally last acts, of whatever layer.

use std::rc::Rc;

use super::bits::Bits;
use super::history::{CONTROL, Event, History, Kind, PARTNERS, Proposal, Role, WRITERS};

/// Passes over one layer; each uses the two before.
const ROUNDS: usize = 16;

/// How much an act weighs against a concurrent revocation of its author.
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

/// What an act weighs, judged by the view of its own past.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub rank: Rank,
    pub revokes: bool,
    pub above: Option<Role>,
    /// Endorsements that carried it, and how many partners it needs.
    pub endorsements: Vec<usize>,
    pub needed: usize,
}

/// A partner's place, the mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    None,
    Invited,
    Active,
    Suspended,
    Left,
    Removed,
}

/// The channel in the light of a set of control events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub status: [Status; PARTNERS],
    pub role: [Role; PARTNERS],
    pub seat: [usize; PARTNERS],
    /// Counts returns and seat transfers: acks of an earlier session no longer count.
    pub session: [u8; PARTNERS],
    /// The members, as a mask.
    pub active: u8,
    pub effective: Bits,
    /// Effective acts that end a membership, with the partner.
    pub endings: Vec<(usize, usize)>,
}

impl History {
    /// The view of the control events among those held.
    pub fn view(&self, held: Bits) -> Rc<View> {
        let held = self.control(held);
        if let Some(view) = self.views.borrow().get(&held) {
            return view.clone();
        }
        let view = Rc::new(self.fold(held));
        self.views.borrow_mut().insert(held, view.clone());
        view
    }

    fn fold(&self, held: Bits) -> View {
        let mut effective = Bits::EMPTY;
        let mut decided = Bits::EMPTY;
        let barriers = if self.setting.rules.layers {
            self.chain(held, CONTROL)
        } else {
            Vec::new()
        };
        let layers = barriers.iter().map(|one| self.certificates[*one].holds);
        for layer in layers.chain([held]) {
            let layer = self.control(layer) - decided;
            effective = self.settle(layer, effective);
            decided |= layer;
        }
        self.read(held, effective)
    }

    /// The acts of a layer that have effect, with those of the layers below.
    fn settle(&self, layer: Bits, below: Bits) -> Bits {
        let revocations = |acts: Bits| {
            let revokes = acts.iter().filter(|act| self.judged[*act].revokes);
            revokes.fold(Bits::EMPTY, |set, act| set | Bits::of(act))
        };
        let conceivable = layer
            .iter()
            .filter(|act| self.judged[*act].rank > Rank::None)
            .fold(below, |set, act| set | Bits::of(act));
        let mut lower = self.pass(layer, below, revocations(conceivable));
        for _ in 1..ROUNDS {
            let upper = self.pass(layer, below, revocations(lower));
            let next = self.pass(layer, below, revocations(upper));
            if next == lower {
                break;
            }
            lower = next;
        }
        lower
    }

    fn pass(&self, layer: Bits, below: Bits, strikes: Bits) -> Bits {
        let mut effective = below;
        for act in layer.iter() {
            let judged = &self.judged[act];
            let author = self.events[act].author;
            let stands = judged.rank > Rank::None
                && self.allowed(act, effective, strikes)
                && !self.hit(act, author, judged, strikes);
            if stands {
                effective.insert(act);
            }
        }
        effective
    }

    fn allowed(&self, act: usize, effective: Bits, strikes: Bits) -> bool {
        let event = &self.events[act];
        let judged = &self.judged[act];
        let role = |partner: usize| {
            let (status, role) = self.standing(partner, effective & event.past);
            (status == Status::Active).then_some(role)
        };
        match judged.rank {
            Rank::Admin | Rank::Owner => role(event.author)
                .is_some_and(|role| role >= Role::Admin && Some(role) > judged.above),
            Rank::Quorum => {
                let mut endorsers = 0u8;
                for endorsement in &judged.endorsements {
                    let endorser = self.events[*endorsement].author;
                    if role(endorser) == Some(Role::Owner)
                        && !self.hit(*endorsement, endorser, judged, strikes)
                    {
                        endorsers |= 1 << endorser;
                    }
                }
                role(event.author) == Some(Role::Owner)
                    && endorsers.count_ones() as usize >= judged.needed
            }
            _ => true,
        }
    }

    /// Whether one of the strikes is concurrent with the event, hits its author and outranks.
    fn hit(&self, event: usize, author: usize, judged: &Judged, strikes: Bits) -> bool {
        let of_role = matches!(judged.rank, Rank::Admin | Rank::Owner | Rank::Quorum);
        strikes.iter().any(|strike| {
            let one = &self.events[strike];
            let rank = self.judged[strike].rank;
            let outranks = rank > judged.rank || rank == judged.rank && !judged.revokes;
            let bears = match one.kind {
                Kind::Act(Proposal::Remove(partner) | Proposal::Suspend(partner)) => {
                    partner == author && one.author != author
                }
                Kind::Act(Proposal::Grant(partner, _)) => {
                    of_role && partner == author && one.author != author
                }
                Kind::SeatTransfer(partner, writer) => {
                    partner == author && self.events[event].writer != writer
                }
                _ => false,
            };
            bears
                && outranks
                && !self.events[event].past.has(strike)
                && !one.past.has(event)
                && strike != event
        })
    }

    /// Status and role of a partner by some effective acts.
    fn standing(&self, partner: usize, acts: Bits) -> (Status, Role) {
        let nothing = (Status::None, Role::Contributor);
        let bearing = self.last(acts, |event| self.bears(event, partner));
        let admits = |event: &Event| match event.kind {
            Kind::Charter => self.setting.founders[partner].is_some(),
            Kind::Act(Proposal::Invite(named, _)) => named == partner,
            _ => false,
        };
        let admissions = self.last(acts, admits);
        if admissions.is_empty() {
            return nothing;
        }
        let charter = |act: &usize| self.events[*act].kind == Kind::Charter;
        let joined = admissions.iter().any(charter)
            || (acts & self.by_author[partner]).iter().any(|act| {
                let event = &self.events[act];
                event.kind == Kind::Accept
                    && admissions
                        .iter()
                        .any(|admission| event.past.has(*admission))
            });
        let any =
            |wanted: fn(&Kind) -> bool| bearing.iter().any(|act| wanted(&self.events[*act].kind));
        let status = if any(|kind| matches!(kind, Kind::Act(Proposal::Remove(_)))) {
            Status::Removed
        } else if any(|kind| matches!(kind, Kind::Leave)) {
            Status::Left
        } else if any(|kind| matches!(kind, Kind::Act(Proposal::Suspend(_)))) {
            Status::Suspended
        } else if joined {
            Status::Active
        } else {
            Status::Invited
        };
        let given = bearing
            .iter()
            .filter_map(|act| match self.events[*act].kind {
                Kind::Charter => self.setting.founders[partner],
                Kind::Act(Proposal::Grant(_, role) | Proposal::Invite(_, role)) => Some(role),
                _ => None,
            });
        let role = given.min().filter(|_| status <= Status::Active);
        (status, role.unwrap_or(Role::Contributor))
    }

    fn bears(&self, event: &Event, partner: usize) -> bool {
        match event.kind {
            Kind::Charter => self.setting.founders[partner].is_some(),
            Kind::Act(
                Proposal::Remove(named)
                | Proposal::Suspend(named)
                | Proposal::Grant(named, _)
                | Proposal::Invite(named, _),
            ) => named == partner,
            Kind::Leave => event.author == partner,
            _ => false,
        }
    }

    /// Those of some acts that lie in no other one's past.
    fn last(&self, acts: Bits, wanted: impl Fn(&Event) -> bool) -> Vec<usize> {
        let some: Vec<usize> = acts
            .iter()
            .filter(|act| wanted(&self.events[*act]))
            .collect();
        let followed = |act: usize| some.iter().any(|other| self.events[*other].past.has(act));
        some.iter().copied().filter(|act| !followed(*act)).collect()
    }

    fn read(&self, held: Bits, effective: Bits) -> View {
        let mut view = View {
            status: [Status::None; PARTNERS],
            role: [Role::Contributor; PARTNERS],
            seat: std::array::from_fn(|partner| partner * WRITERS),
            session: [0; PARTNERS],
            active: 0,
            effective,
            endings: Vec::new(),
        };
        for partner in 0..self.setting.partners {
            let (status, role) = self.standing(partner, effective);
            view.status[partner] = status;
            view.role[partner] = role;
            view.active |= u8::from(status == Status::Active) << partner;
            let accepts = effective & self.by_author[partner];
            let accepts = accepts
                .iter()
                .filter(|act| self.events[*act].kind == Kind::Accept);
            let founder = usize::from(self.setting.founders[partner].is_some());
            let returns = (accepts.count() + founder).saturating_sub(1);
            let transfers = effective.iter().filter(|act| {
                matches!(self.events[*act].kind, Kind::SeatTransfer(named, _) if named == partner)
            });
            view.session[partner] = (returns + transfers.count()).min(7) as u8;
            let seats = self.last(effective, |event| match event.kind {
                Kind::SeatMove(_) => event.author == partner,
                Kind::SeatTransfer(named, _) => named == partner,
                _ => false,
            });
            let latest = seats.iter().max_by_key(|act| (self.heights[**act], **act));
            if let Some(latest) = latest
                && let Kind::SeatMove(writer) | Kind::SeatTransfer(_, writer) =
                    self.events[*latest].kind
            {
                view.seat[partner] = writer;
            }
        }
        view.endings = (effective & held)
            .iter()
            .filter_map(|act| match self.events[act].kind {
                Kind::Act(Proposal::Remove(partner) | Proposal::Suspend(partner)) => {
                    Some((act, partner))
                }
                Kind::Leave => Some((act, self.events[act].author)),
                _ => None,
            })
            .collect();
        view
    }

    /// What an event weighs by the view of its own past.
    pub(super) fn judge(&self, view: &View, event: &Event) -> Judged {
        let own = view.status[event.author];
        let active = own == Status::Active;
        let owner = active && view.role[event.author] == Role::Owner;
        let judged = |rank: Rank, allowed: bool, revokes: bool| Judged {
            rank: if allowed { rank } else { Rank::None },
            revokes,
            above: None,
            endorsements: Vec::new(),
            needed: 0,
        };
        if event.lane != CONTROL {
            return judged(Rank::None, false, false);
        }
        match event.kind {
            Kind::Charter => judged(Rank::Sovereign, event.past.is_empty(), false),
            Kind::Accept => judged(Rank::Member, own == Status::Invited, false),
            Kind::Leave => judged(Rank::Sovereign, active, true),
            Kind::Endorse(_) => judged(Rank::Member, owner, false),
            Kind::SeatMove(writer) => judged(
                Rank::Member,
                active && writer / WRITERS == event.author,
                false,
            ),
            Kind::SeatTransfer(partner, _) => {
                judged(Rank::Root, view.status[partner] != Status::None, true)
            }
            Kind::Act(proposal) => self.judge_act(view, event, proposal),
            _ => judged(Rank::None, false, false),
        }
    }

    fn judge_act(&self, view: &View, event: &Event, proposal: Proposal) -> Judged {
        let (target, above, revokes) = match proposal {
            Proposal::Remove(target) | Proposal::Suspend(target) => {
                let known = view.status[target] != Status::None;
                (target, known.then_some(view.role[target]), true)
            }
            Proposal::Grant(target, role) => {
                let held = view.role[target];
                let here = matches!(view.status[target], Status::Invited | Status::Active);
                (target, here.then_some(held.max(role)), role < held)
            }
            Proposal::Invite(target, role) => {
                let here = matches!(view.status[target], Status::Invited | Status::Active);
                (target, (!here).then_some(role), false)
            }
        };
        let mut judged = Judged {
            rank: Rank::None,
            revokes,
            above,
            endorsements: Vec::new(),
            needed: 0,
        };
        let active = view.status[event.author] == Status::Active;
        let (Some(above), true) = (above, active) else {
            return judged;
        };
        let role = view.role[event.author];
        if role > above && role >= Role::Admin {
            judged.rank = if role == Role::Owner {
                Rank::Owner
            } else {
                Rank::Admin
            };
        }
        let owners: Vec<usize> = (0..self.setting.partners)
            .filter(|partner| view.active >> partner & 1 == 1 && view.role[*partner] == Role::Owner)
            .filter(|partner| !revokes || *partner != target)
            .collect();
        let needed = match self.setting.quorum {
            0 => owners.len() / 2 + 1,
            quorum => quorum.min(owners.len()),
        };
        let endorsements: Vec<usize> = self
            .control(event.past)
            .iter()
            .filter(|one| {
                self.events[*one].kind == Kind::Endorse(proposal)
                    && self.judged[*one].rank > Rank::None
                    && owners.contains(&self.events[*one].author)
            })
            .collect();
        let endorsers = endorsements
            .iter()
            .fold(0u8, |mask, one| mask | 1 << self.events[*one].author);
        if role == Role::Owner && endorsers.count_ones() as usize >= needed.max(1) {
            judged.rank = Rank::Quorum;
            judged.endorsements = endorsements;
            judged.needed = needed.max(1);
        }
        judged
    }
}
