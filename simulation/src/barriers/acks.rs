//! Acknowledgements, certificates and barriers that stand: the rules as pure functions of a closed
//! set of events, which is an ack's own past or what a node holds.

use super::authority::Status;
use super::bits::Bits;
use super::history::{CONTROL, Event, History, Invalid, Kind, PARTNERS, Proposal};
use super::rules::Finality;

/// Some partners, each with the session in which it acknowledges: bit session * [`PARTNERS`] +
/// partner.
pub type Set = u64;

/// A certificate's place among those of the history.
pub type CertIx = usize;

/// What an ack says, all of which follows from its past and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub number: u16,
    pub session: u8,
    /// The set, judged by the ack's past.
    pub set: Set,
    /// Who is forced out of it.
    pub forced: Set,
    /// The acks of the number before, one of each partner of the set.
    pub before: Vec<usize>,
    /// The highest barrier certified in the past.
    pub base: Option<CertIx>,
    /// The sets that bound forcing out: from that of the last standing barrier to the base's.
    pub bounds: Vec<Set>,
    /// Its author was not in the set, and is from the next number on.
    pub entry: bool,
}

/// A barrier that all of a set acknowledge alike, whether somebody has seen all of that or not.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub lane: usize,
    pub number: u16,
    pub set: Set,
    pub before: Vec<usize>,
    pub base: Option<CertIx>,
    pub bounds: Vec<Set>,
    /// The acks that make it, by author.
    pub acks: [Bits; PARTNERS],
    /// The barrier: the acks before and their pasts.
    pub holds: Bits,
}

/// Acks of one set that rest on one certificate.
#[derive(Debug, Clone)]
pub struct Standing {
    pub certificate: CertIx,
    pub set: Set,
    pub bounds: Vec<Set>,
    pub acks: [Bits; PARTNERS],
}

/// The bit of a partner in a [`Set`].
pub fn bit(partner: usize, session: u8) -> Set {
    1 << (usize::from(session) * PARTNERS + partner)
}

/// The partners of a set, with their sessions.
pub fn members(set: Set) -> impl Iterator<Item = (usize, u8)> {
    (0..64)
        .filter(move |place| set >> place & 1 == 1)
        .map(|place| (place % PARTNERS, (place / PARTNERS) as u8))
}

/// The set as people read it.
pub fn names(set: Set) -> String {
    let name = |(partner, session): (usize, u8)| {
        let name = char::from(b'A' + partner as u8);
        if session == 0 {
            name.to_string()
        } else {
            format!("{name}{session}")
        }
    };
    members(set).map(name).collect()
}

impl History {
    /// The set of an ack of this number whose past is `held`.
    ///
    /// It starts from the set of the base: the readers of the lane, of the control lane the
    /// founders, if nothing is certified. Who entered since is added; who forked, left or has a
    /// new session is taken out, and who is forced out.
    pub fn set(&self, held: Bits, lane: usize, number: u16) -> Set {
        self.set_and_forced(held, lane, number).0
    }

    fn set_and_forced(&self, held: Bits, lane: usize, number: u16) -> (Set, Set) {
        let rules = &self.setting.rules;
        let base = self.base(held, lane, number);
        let start = if rules.set_from_base {
            base
        } else {
            self.top(held, lane)
        };
        let view = self.view(held);
        let mut set = self.set_of(start, held, lane);
        let floor = start.map_or(0, |start| self.certificates[start].number);
        for at in (held & self.lane_events[lane] & self.ack_events).iter() {
            let author = self.events[at].author;
            if let Some(ack) = &self.acks[at]
                && ack.entry
                && (floor < ack.number && ack.number < number)
            {
                set |= bit(author, ack.session);
            }
        }
        let lying = self.lying(held);
        for (partner, session) in members(set) {
            let gone = lying >> partner & 1 == 1
                || view.session[partner] != session
                || self.has_left(held, partner);
            if gone {
                set &= !bit(partner, session);
            }
        }
        if rules.finality == Finality::Crash {
            return (self.without_ended(held, set), 0);
        }
        let bounds = self.bounds(held, lane, base);
        let left = self.without_forced(held, set, &bounds);
        (left, set & !left)
    }

    /// The set of a certificate; without one, the initial set.
    fn set_of(&self, certificate: Option<CertIx>, held: Bits, lane: usize) -> Set {
        if let Some(certificate) = certificate {
            return self.certificates[certificate].set;
        }
        let view = self.view(held);
        let first = |partner: &usize| match lane {
            CONTROL => self.setting.founders[*partner].is_some(),
            _ => self.setting.lanes[lane].audience >> partner & 1 == 1,
        };
        (0..self.setting.partners)
            .filter(first)
            .fold(0, |set, partner| set | bit(partner, view.session[partner]))
    }

    /// Partners that are seen to have forked, as a mask.
    fn lying(&self, held: Bits) -> u8 {
        let seen = self.conflicts.iter();
        seen.filter(|(one, other)| held.has(*one) && held.has(*other))
            .fold(0, |mask, (one, _)| mask | 1 << self.events[*one].author)
    }

    /// Whether a partner left and did not come back. (As worded at first, moving the seat is
    /// leaving, too.)
    fn has_left(&self, held: Bits, partner: usize) -> bool {
        let own = self.control(held) & self.by_author[partner];
        let moved = |act: usize| {
            !self.setting.rules.moved_seat_stays
                && matches!(self.events[act].kind, Kind::SeatMove(_))
                && !self.entered_after(held, partner, act)
        };
        own.iter().any(|act| {
            moved(act)
                || self.events[act].kind == Kind::Leave
                    && !own.iter().any(|later| {
                        self.events[later].kind == Kind::Accept && self.events[later].past.has(act)
                    })
        })
    }

    fn entered_after(&self, held: Bits, partner: usize, act: usize) -> bool {
        (held & self.ack_events & self.by_author[partner])
            .iter()
            .any(|at| {
                let entry = self.acks[at].as_ref().is_some_and(|ack| ack.entry);
                entry && self.events[at].past.has(act)
            })
    }

    /// If nobody lies, an ending that has effect is enough.
    fn without_ended(&self, held: Bits, set: Set) -> Set {
        let view = self.view(held);
        members(set)
            .filter(|(partner, _)| view.status[*partner] <= Status::Active)
            .fold(0, |set, (partner, session)| set | bit(partner, session))
    }

    /// The sets that bound forcing out: that of the last barrier that stands (without one, the
    /// initial set), and those of the certified ones above it on the chain of the base.
    fn bounds(&self, held: Bits, lane: usize, base: Option<CertIx>) -> Vec<Set> {
        let top = self.top(held, lane);
        let floor = top.map_or(0, |top| self.certificates[top].number);
        let mut bounds = vec![top];
        let mut above = base;
        while let Some(one) = above
            && self.certificates[one].number > floor
        {
            bounds.push(above);
            above = self.certificates[one].base;
        }
        if !self.setting.rules.bounded_by_base {
            bounds.truncate(1);
        }
        let bounds = bounds.into_iter();
        bounds.map(|one| self.set_of(one, held, lane)).collect()
    }

    /// Takes out whom enough others know to be removed or suspended.
    ///
    /// The acts are gone through by height, then id. The partner of an act is forced out if, for
    /// each of the bounding sets, more than two thirds of it are other partners of it that are
    /// still in the set and have the act in the past of a seat event that is no ack.
    fn without_forced(&self, held: Bits, mut set: Set, bounds: &[Set]) -> Set {
        let rules = &self.setting.rules;
        let view = self.view(held);
        let mut acts: Vec<(u32, usize, usize)> = view
            .endings
            .iter()
            .filter(|(act, _)| {
                matches!(
                    self.events[*act].kind,
                    Kind::Act(Proposal::Remove(_) | Proposal::Suspend(_))
                )
            })
            .map(|(act, partner)| (self.heights[*act], *act, *partner))
            .collect();
        acts.sort_unstable();
        let whole = set;
        for (_, act, partner) in acts {
            let victim = bit(partner, view.session[partner]);
            if whole & victim == 0 || view.status[partner] <= Status::Active {
                continue;
            }
            let counted = if rules.forced_count { whole } else { set };
            let citing = members(counted)
                .filter(|(other, _)| *other != partner || rules.victim_counts)
                .filter(|(other, _)| self.cites(held, *other, act))
                .fold(0, |mask, (other, session)| mask | bit(other, session));
            let (parts, of) = rules.forcing;
            let enough = |total: Set| {
                let total = if rules.total_shrinks { set } else { total };
                let citing = if rules.joiners_count {
                    citing
                } else {
                    citing & total
                };
                citing.count_ones() * of > total.count_ones() * parts
            };
            if bounds.iter().all(|total| enough(*total)) {
                set &= !victim;
            }
        }
        set
    }

    /// Whether a partner has an act in its past by a seat event that is no ack.
    fn cites(&self, held: Bits, partner: usize, act: usize) -> bool {
        let said = (held & self.by_author[partner]) - self.ack_events;
        said.iter()
            .any(|at| self.by_seat[at] && (self.events[at].past.has(act) || at == act))
    }

    /// The highest barrier certified in `held` that an ack of this number can rest on: its number
    /// is less by two at least. Of equal ones (there are none unless too many lie) the least.
    pub fn base(&self, held: Bits, lane: usize, number: u16) -> Option<CertIx> {
        let below = |one: &&CertIx| self.certificates[**one].number + 1 < number;
        let certified = self.by_number[lane].iter().filter(below);
        let mut certified = certified.filter(|one| self.certified(held, **one));
        certified.next().copied()
    }

    /// Whether a barrier is certified by what is held.
    pub fn certified(&self, held: Bits, certificate: CertIx) -> bool {
        let one = &self.certificates[certificate];
        self.complete(held, one.set, &one.acks, &one.bounds)
    }

    /// Whether enough of a set have written one of their acks.
    fn complete(&self, held: Bits, set: Set, acks: &[Bits; PARTNERS], bounds: &[Set]) -> bool {
        let wrote = |(partner, _): &(usize, u8)| acks[*partner].meets(&held);
        if set == 0 {
            return false;
        }
        if self.setting.rules.finality == Finality::All {
            return members(set).all(|member| wrote(&member));
        }
        let wrote = members(set).filter(wrote);
        let wrote = wrote.fold(0, |mask, (partner, session)| mask | bit(partner, session));
        self.majority(wrote, set, bounds)
    }

    /// Whether some partners are a majority of a set, and of each bounding one.
    fn majority(&self, some: Set, set: Set, bounds: &[Set]) -> bool {
        let more = |total: Set| (some & total).count_ones() * 2 > total.count_ones();
        more(set) && bounds.iter().all(|bound| more(*bound))
    }

    /// The highest barrier of a lane that stands by what is held.
    pub fn top(&self, held: Bits, lane: usize) -> Option<CertIx> {
        let mut all = self.by_number[lane].iter().copied();
        all.find(|one| self.shown_standing(held, *one).is_some())
    }

    /// The acks by which a barrier stands, with their pasts, if they are held: acks of one set
    /// that all have it for their base and are two above it.
    pub fn shown_standing(&self, held: Bits, certificate: CertIx) -> Option<Bits> {
        let one = &self.certificates[certificate];
        if !self.certified(held, certificate) {
            return None;
        }
        let with_pasts = |acks: &[Bits; PARTNERS]| {
            let acks = acks.iter().flat_map(|acks| (*acks & held).iter());
            acks.fold(Bits::EMPTY, |all, at| all | self.with(at))
        };
        if !self.setting.rules.three_rounds {
            return Some(with_pasts(&one.acks));
        }
        let groups = self.standings.iter();
        groups
            .filter(|group| group.certificate == certificate)
            .find(|group| self.complete(held, group.set, &group.acks, &group.bounds))
            .map(|group| with_pasts(&group.acks))
    }

    /// The barriers that stand, the lowest first: the base chain of the highest.
    pub fn chain(&self, held: Bits, lane: usize) -> Vec<CertIx> {
        let mut chain = Vec::new();
        let mut next = self.top(held, lane);
        while let Some(one) = next {
            chain.push(one);
            next = self.certificates[one].base;
        }
        chain.reverse();
        chain
    }

    /// What the last barrier that stands holds.
    pub fn settled(&self, held: Bits, lane: usize) -> Bits {
        let top = self.top(held, lane);
        top.map_or(Bits::EMPTY, |top| self.certificates[top].holds)
    }

    /// Judges an ack by its past.
    pub fn judge_ack(&self, event: &Event, number: u16) -> Result<Ack, Invalid> {
        let (lane, held) = (event.lane, event.past);
        let own = held & self.lane_events[lane] & self.ack_events & self.by_author[event.author];
        let view = self.view(held);
        let session = view.session[event.author];
        let mut numbers = own.iter().filter_map(|at| self.acks[at].as_ref());
        if number == 0 || numbers.any(|ack| ack.session == session && ack.number >= number) {
            return Err(Invalid::OldNumber);
        }
        let (set, forced) = self.set_and_forced(held, lane, number);
        let base = self.base(held, lane, number);
        let bounds = self.bounds(held, lane, base);
        let mut before = Vec::new();
        let mut wrote = 0;
        for (partner, of) in members(set) {
            let theirs = held & self.lane_events[lane] & self.ack_events & self.by_author[partner];
            let one = theirs.iter().find(|at| {
                let ack = self.acks[*at].as_ref();
                ack.is_some_and(|ack| ack.number + 1 == number && ack.session == of)
            });
            if one.is_some() {
                wrote |= bit(partner, of);
            }
            before.extend(one);
        }
        let enough = match self.setting.rules.finality {
            _ if number == 1 => true,
            Finality::All => wrote == set,
            Finality::Crash => self.majority(wrote, set, &bounds),
        };
        if !enough {
            return Err(Invalid::AckMissing);
        }
        let entry = set & bit(event.author, session) == 0;
        if entry && view.status[event.author] != Status::Active {
            return Err(Invalid::NotAMember);
        }
        Ok(Ack {
            number,
            session,
            set,
            forced,
            before,
            base,
            bounds,
            entry,
        })
    }

    /// Files an accepted ack with the certificates that it makes and rests on.
    pub(super) fn file(&mut self, at: usize, ack: Ack) {
        let author = self.events[at].author;
        let lane = self.events[at].lane;
        if !ack.entry && ack.number > 1 {
            let made = self.certificate(lane, &ack);
            self.certificates[made].acks[author].insert(at);
            if let Some(base) = ack.base
                && self.certificates[base].number + 2 == ack.number
            {
                let group = self.standing_on(base, &ack);
                self.standings[group].acks[author].insert(at);
            }
        }
        self.acks[at] = Some(ack);
    }

    fn standing_on(&mut self, base: CertIx, ack: &Ack) -> usize {
        let all = self.setting.rules.finality == Finality::All;
        let alike = |group: &Standing| {
            group.certificate == base && group.set == ack.set && (all || group.bounds == ack.bounds)
        };
        if let Some(group) = self.standings.iter().position(alike) {
            return group;
        }
        self.standings.push(Standing {
            certificate: base,
            set: ack.set,
            bounds: ack.bounds.clone(),
            acks: [Bits::EMPTY; PARTNERS],
        });
        self.standings.len() - 1
    }

    fn certificate(&mut self, lane: usize, ack: &Ack) -> CertIx {
        let rules = self.setting.rules;
        let alike = |one: &CertIx| {
            let one = &self.certificates[*one];
            one.number + 1 == ack.number
                && one.set == ack.set
                && (!rules.same_acks || one.before == ack.before)
                && (!rules.same_base || one.base == ack.base)
                && (rules.finality == Finality::All || one.bounds == ack.bounds)
        };
        if let Some(one) = self.by_number[lane].iter().find(|one| alike(one)) {
            return *one;
        }
        let holds = ack
            .before
            .iter()
            .fold(Bits::EMPTY, |holds, at| holds | self.with(*at));
        let new = self.certificates.len();
        self.certificates.push(Certificate {
            lane,
            number: ack.number - 1,
            set: ack.set,
            before: ack.before.clone(),
            base: ack.base,
            bounds: ack.bounds.clone(),
            acks: [Bits::EMPTY; PARTNERS],
            holds,
        });
        self.by_number[lane].push(new);
        let all = &self.certificates;
        self.by_number[lane].sort_by(|one, other| {
            let key = |at: &CertIx| (std::cmp::Reverse(all[*at].number), all[*at].set);
            key(one)
                .cmp(&key(other))
                .then(all[*one].before.cmp(&all[*other].before))
        });
        new
    }
}
