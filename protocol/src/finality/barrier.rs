//! The acks of a lane, the barriers that they certify, and how these stand on one another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_crypto as crypto;

use super::judge::Ack;
use super::past::Past;
use super::settle::Settled;
use super::{NO_BASE, TAG_BARRIER};
use crate::codec::encode;
use crate::graph::{ChainIx, FrontierIx, Graph, Pos};
use crate::id::{Hash, PartnerId};

/// A certificate's place among those of its lane.
pub(crate) type CertIx = u32;

/// A partner, and the session in which it acknowledges: how often it came back or had its seat
/// transferred.
pub(crate) type Member = (PartnerId, u64);
pub(crate) type Set = BTreeSet<Member>;

/// How many of a set it takes, as the charter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quorum {
    /// Every partner of it.
    All,
    /// More than half of it and of each bounding set; safe only if nobody lies.
    Majority,
}

/// What filing an ack asks of its lane.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneFacts {
    pub in_control: bool,
    pub quorum: Quorum,
}

/// A barrier that acks speak of, and who does.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub number: u64,
    pub set: Arc<Set>,
    /// The acks of this number: what the barrier holds are these and their pasts.
    pub before: Vec<Pos>,
    pub base: Option<CertIx>,
    /// The acks of the next number, which say this of it, by the sets that bound them: those of
    /// one support certify it.
    supports: Vec<Support>,
    pub digest: Hash,
    /// For a barrier of the control lane, what it holds.
    pub layer: FrontierIx,
    /// Acks that have it for their base and are two above it, by the set that they name.
    standings: Vec<Support>,
    /// The next one down the base chain that has another set.
    pub differs: Option<CertIx>,
}

/// Acks that name one set and have the same bounding sets.
#[derive(Debug)]
struct Support {
    set: Arc<Set>,
    bounds: Vec<Arc<Set>>,
    acks: BTreeMap<Member, Vec<Pos>>,
}

/// Certificates by number; of one number by digest.
type ByNumber = BTreeMap<u64, Vec<CertIx>>;

/// The acks of a lane.
#[derive(Debug, Default)]
pub(crate) struct Finality {
    /// By partner, session and number.
    acks: BTreeMap<(PartnerId, u64), BTreeMap<u64, Vec<Pos>>>,
    /// The acks by which partners enter, by number.
    entries: BTreeMap<u64, Vec<(Member, Pos)>>,
    /// By partner: sessions and numbers of which there are several acks.
    doubled: BTreeMap<PartnerId, BTreeSet<(u64, u64)>>,
    /// Of each chain the acks, with the greatest number up to each.
    greatest: BTreeMap<ChainIx, Vec<(u64, u64)>>,
    certificates: Vec<Certificate>,
    by_number: ByNumber,
    /// Of these, the ones that are certified by all that is held. Who withholds its agreement makes
    /// barriers without end that are not, and that nobody needs to go through.
    certified: ByNumber,
    /// Likewise, those of which all that is held says that they are a certified base.
    confirmed: ByNumber,
    /// What stands by all that is held, and what follows from it.
    pub settled: Settled,
}

impl Finality {
    pub fn certificate(&self, certificate: CertIx) -> &Certificate {
        &self.certificates[certificate as usize]
    }

    /// The digest by which acks name their base.
    pub fn digest_of(&self, base: Option<CertIx>) -> Hash {
        base.map_or(NO_BASE, |base| self.certificate(base).digest)
    }

    /// The acks of a member in a set of events, with their numbers.
    pub fn acks_of<'a>(
        &'a self,
        member: &Member,
        past: &'a Past<'_>,
    ) -> impl DoubleEndedIterator<Item = (u64, Pos)> + 'a {
        let acks = self.acks.get(member).into_iter().flatten();
        let acks = acks.flat_map(|(number, acks)| acks.iter().map(|pos| (*number, *pos)));
        acks.filter(|(_, pos)| past.holds(*pos))
    }

    /// A member's ack of a number in a set of events: of several the one with the least id.
    pub fn ack(&self, member: &Member, number: u64, past: &Past<'_>) -> Option<Pos> {
        let acks = self.acks.get(member)?.get(&number)?.iter();
        let held = acks.filter(|pos| past.holds(**pos));
        held.min_by_key(|pos| past.channel.graph().entry(**pos).id)
            .copied()
    }

    /// The greatest number of any ack.
    pub fn greatest(&self) -> u64 {
        let greatest = |acks: &BTreeMap<u64, Vec<Pos>>| acks.keys().next_back().copied();
        self.acks.values().filter_map(greatest).max().unwrap_or(0)
    }

    /// The members that entered by acks with a number in a range.
    pub fn entered<'a>(
        &'a self,
        numbers: std::ops::Range<u64>,
        past: &'a Past<'_>,
    ) -> impl Iterator<Item = Member> + 'a {
        let numbers = numbers.start..numbers.end.max(numbers.start);
        let entries = self.entries.range(numbers).flat_map(|(_, entries)| entries);
        entries
            .filter(|(_, pos)| past.holds(*pos))
            .map(|(member, _)| *member)
    }

    /// Whether a partner is seen to have written two acks of one number.
    pub fn doubled(&self, partner: PartnerId, past: &Past<'_>) -> bool {
        let doubled = self.doubled.get(&partner).into_iter().flatten();
        let mut rounds = doubled.filter_map(|(session, number)| {
            let acks = self.acks.get(&(partner, *session))?;
            acks.get(number)
        });
        rounds.any(|acks| acks.iter().filter(|pos| past.holds(**pos)).nth(1).is_some())
    }

    /// The greatest number of any ack in a set of events.
    fn greatest_in(&self, past: &Past<'_>) -> u64 {
        let greatest = self.greatest.iter().filter_map(|(&chain, acks)| {
            let held = acks.partition_point(|(seq, _)| past.holds(Pos { chain, seq: *seq }));
            Some(acks[held.checked_sub(1)?].1)
        });
        greatest.max().unwrap_or(0)
    }

    /// The highest barrier certified in a set of events, of those up to a number.
    pub fn highest_certified(&self, highest: u64, past: &Past<'_>) -> Option<CertIx> {
        let mut certificates = down(&self.certified, highest);
        certificates.find(|certificate| self.is_certified(*certificate, past))
    }

    /// The highest barrier that stands in a set of events.
    pub fn top(&self, past: &Past<'_>) -> Option<CertIx> {
        let highest = self.greatest_in(past).checked_sub(2)?;
        let mut certificates = down(&self.confirmed, highest);
        certificates.find(|certificate| self.stands(*certificate, past))
    }

    fn is_certified(&self, certificate: CertIx, past: &Past<'_>) -> bool {
        let mut supports = self.certificate(certificate).supports.iter();
        supports.any(|support| support.is_complete(past))
    }

    fn stands(&self, certificate: CertIx, past: &Past<'_>) -> bool {
        let one = self.certificate(certificate);
        let mut standings = one.standings.iter();
        standings.any(|support| support.is_complete(past)) && self.is_certified(certificate, past)
    }

    /// Whether a barrier of a number stands in a set of events.
    pub fn has_standing(&self, number: u64, past: &Past<'_>) -> bool {
        let mut next = self.top(past);
        while let Some(one) = next.map(|next| self.certificate(next)) {
            if one.number <= number {
                return one.number == number;
            }
            next = one.base;
        }
        false
    }

    /// A barrier and those that it stands on, the lowest first, from above `floor` on; nothing if
    /// `floor` is none of them.
    pub fn chain_above(&self, top: Option<CertIx>, floor: Option<CertIx>) -> Option<Vec<CertIx>> {
        let mut chain = Vec::new();
        let mut next = top;
        while next != floor {
            let certificate = next?;
            chain.push(certificate);
            next = self.certificate(certificate).base;
        }
        chain.reverse();
        Some(chain)
    }

    /// Takes an accepted ack.
    pub fn file(&mut self, graph: &mut Graph, pos: Pos, mut ack: Ack, of: LaneFacts) {
        if of.quorum == Quorum::All {
            // All of a set leave nothing to bound.
            ack.bounds.clear();
        }
        let member = ack.member;
        let acks = self.acks.entry(member).or_default();
        let same = acks.entry(ack.number).or_default();
        same.push(pos);
        if same.len() > 1 {
            let doubled = self.doubled.entry(member.0).or_default();
            doubled.insert((member.1, ack.number));
        }
        let greatest = self.greatest.entry(pos.chain).or_default();
        let before = greatest.last().map_or(0, |(_, number)| *number);
        greatest.push((pos.seq, before.max(ack.number)));
        if ack.entry {
            let entries = self.entries.entry(ack.number).or_default();
            return entries.push((member, pos));
        }
        if ack.number < 2 {
            return;
        }
        if let Some(base) = ack.base
            && self.certificate(base).number + 2 == ack.number
        {
            let one = &mut self.certificates[base as usize];
            if support(&mut one.standings, pos, &ack, of.quorum) {
                list(&mut self.confirmed, &self.certificates, base);
            }
        }
        let certificate = self.certify(graph, &ack, of.in_control);
        let one = &mut self.certificates[certificate as usize];
        if support(&mut one.supports, pos, &ack, of.quorum) {
            list(&mut self.certified, &self.certificates, certificate);
        }
    }

    /// The certificate that an ack adds to.
    fn certify(&mut self, graph: &mut Graph, ack: &Ack, in_control: bool) -> CertIx {
        let number = ack.number - 1;
        let alike = |one: &&CertIx| {
            let one = self.certificate(**one);
            one.set == ack.set && one.before == ack.before && one.base == ack.base
        };
        let known = self.by_number.get(&number).into_iter().flatten();
        if let Some(known) = known.into_iter().find(alike) {
            return *known;
        }
        let digest = digest(graph, number, ack, self.digest_of(ack.base));
        let layer = if in_control {
            let parts: Vec<FrontierIx> = ack
                .before
                .iter()
                .map(|before| graph.frontier_with(*before))
                .collect();
            graph.union(&parts)
        } else {
            crate::graph::EMPTY_FRONTIER
        };
        let new = self.certificates.len() as CertIx;
        let differs = ack.base.and_then(|base| {
            let below = self.certificate(base);
            match below.set == ack.set {
                true => below.differs,
                false => Some(base),
            }
        });
        self.certificates.push(Certificate {
            number,
            set: ack.set.clone(),
            before: ack.before.clone(),
            base: ack.base,
            supports: Vec::new(),
            digest,
            layer,
            standings: Vec::new(),
            differs,
        });
        list(&mut self.by_number, &self.certificates, new);
        new
    }
}

/// The highest barriers first, from a number on downwards.
fn down(by_number: &ByNumber, highest: u64) -> impl Iterator<Item = CertIx> {
    let by_number = by_number.range(..=highest).rev();
    by_number.flat_map(|(_, certificates)| certificates.iter().copied())
}

fn list(by_number: &mut ByNumber, certificates: &[Certificate], new: CertIx) {
    let one = &certificates[new as usize];
    let of_number = by_number.entry(one.number).or_default();
    let at = of_number.partition_point(|other| certificates[*other as usize].digest < one.digest);
    if of_number.get(at) != Some(&new) {
        of_number.insert(at, new);
    }
}

impl Support {
    /// Whether enough of the set have written one of their acks.
    fn is_complete(&self, past: &Past<'_>) -> bool {
        self.is_complete_by(past.channel.quorum_of_acks(), |pos| past.holds(pos))
    }

    fn is_complete_by(&self, quorum: Quorum, holds: impl Fn(Pos) -> bool) -> bool {
        #[cfg(test)]
        STEPS.with(|steps| steps.set(steps.get() + 1));
        let wrote = |member: &&Member| {
            let mut theirs = self.acks.get(*member).into_iter().flatten();
            theirs.any(|pos| holds(*pos))
        };
        match quorum {
            Quorum::All => !self.set.is_empty() && self.set.iter().all(|member| wrote(&member)),
            Quorum::Majority => {
                let wrote: Set = self.set.iter().filter(wrote).copied().collect();
                is_majority(&wrote, &self.set, &self.bounds)
            }
        }
    }
}

/// Adds an ack to those that name the same set with the same bounds; true if there are enough.
fn support(supports: &mut Vec<Support>, pos: Pos, ack: &Ack, quorum: Quorum) -> bool {
    let alike = |support: &Support| support.set == ack.set && support.bounds == ack.bounds;
    let at = supports.iter().position(alike).unwrap_or_else(|| {
        supports.push(Support {
            set: ack.set.clone(),
            bounds: ack.bounds.clone(),
            acks: BTreeMap::new(),
        });
        supports.len() - 1
    });
    let acks = &mut supports[at].acks;
    acks.entry(ack.member).or_default().push(pos);
    supports[at].is_complete_by(quorum, |_| true)
}

#[cfg(test)]
thread_local! {
    /// How often it was asked whether enough have written an ack: what a round costs.
    pub(crate) static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Whether some members are a majority of a set and of each bounding one.
pub(crate) fn is_majority(some: &Set, set: &Set, bounds: &[Arc<Set>]) -> bool {
    let more = |total: &Set| some.intersection(total).count() * 2 > total.len();
    more(set) && bounds.iter().all(|bound| more(bound))
}

fn digest(graph: &Graph, number: u64, ack: &Ack, base: Hash) -> Hash {
    let mut acks: Vec<_> = ack.before.iter().map(|pos| graph.entry(*pos).id).collect();
    acks.sort_unstable();
    let set: Vec<&Member> = ack.set.iter().collect();
    Hash(crypto::hash(
        TAG_BARRIER,
        &[&encode(&(number, acks, set, base))],
    ))
}
