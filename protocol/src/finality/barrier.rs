//! The acks of a lane, the barriers that they certify, and how these stand on one another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_crypto as crypto;

use super::judge::Ack;
use super::past::Past;
use super::settle::Settled;
use super::{NO_BASE, TAG_BARRIER};
use crate::codec::encode;
use crate::graph::{FrontierIx, Graph, Pos};
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

/// Acks that say the same of a barrier, each by a member of one set.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub number: u64,
    pub set: Arc<Set>,
    /// The acks of this number: what the barrier holds are these and their pasts.
    pub before: Vec<Pos>,
    pub base: Option<CertIx>,
    bounds: Vec<Arc<Set>>,
    /// The acks of the next number that make it.
    acks: BTreeMap<Member, Vec<Pos>>,
    pub digest: Hash,
    /// For a barrier of the control lane, what it holds.
    pub layer: FrontierIx,
    /// Acks that have it for their base and are two above it, by the set that they name.
    standings: Vec<Support>,
}

/// Acks of one set that rest on one certificate.
#[derive(Debug)]
struct Support {
    set: Arc<Set>,
    bounds: Vec<Arc<Set>>,
    acks: BTreeMap<Member, Vec<Pos>>,
}

/// The acks of a lane.
#[derive(Debug, Default)]
pub(crate) struct Finality {
    /// By partner, session and number.
    acks: BTreeMap<(PartnerId, u64), BTreeMap<u64, Vec<Pos>>>,
    /// The acks by which partners enter, by number.
    entries: BTreeMap<u64, Vec<(Member, Pos)>>,
    /// Pairs of acks of one partner, session and number.
    pub doubled: Vec<(PartnerId, Pos, Pos)>,
    certificates: Vec<Certificate>,
    by_number: BTreeMap<u64, Vec<CertIx>>,
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
        let mut doubled = self.doubled.iter();
        doubled.any(|(by, one, other)| *by == partner && past.holds(*one) && past.holds(*other))
    }

    /// The certificates of a lane, the highest barrier first; of one number by digest.
    fn certificates_down(&self, highest: u64) -> impl Iterator<Item = CertIx> {
        let by_number = self.by_number.range(..=highest).rev();
        by_number.flat_map(|(_, certificates)| certificates.iter().copied())
    }

    /// The highest barrier certified in a set of events, of those up to a number.
    pub fn highest_certified(&self, highest: u64, past: &Past<'_>) -> Option<CertIx> {
        let mut certificates = self.certificates_down(highest);
        certificates.find(|certificate| self.is_certified(*certificate, past))
    }

    /// The highest barrier that stands in a set of events.
    pub fn top(&self, past: &Past<'_>) -> Option<CertIx> {
        let mut certificates = self.certificates_down(u64::MAX);
        certificates.find(|certificate| self.stands(*certificate, past))
    }

    fn is_certified(&self, certificate: CertIx, past: &Past<'_>) -> bool {
        let one = self.certificate(certificate);
        is_complete(past, &one.set, &one.bounds, &one.acks)
    }

    fn stands(&self, certificate: CertIx, past: &Past<'_>) -> bool {
        let one = self.certificate(certificate);
        let mut standings = one.standings.iter();
        standings.any(|support| is_complete(past, &support.set, &support.bounds, &support.acks))
            && self.is_certified(certificate, past)
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
        let others = same.iter().map(|other| (member.0, *other, pos));
        self.doubled.extend(others);
        same.push(pos);
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
            self.support(base, pos, &ack);
        }
        let certificate = self.certify(graph, &ack, of.in_control);
        let acks = &mut self.certificates[certificate as usize].acks;
        acks.entry(member).or_default().push(pos);
    }

    fn support(&mut self, base: CertIx, pos: Pos, ack: &Ack) {
        let standings = &mut self.certificates[base as usize].standings;
        let alike = |support: &Support| support.set == ack.set && support.bounds == ack.bounds;
        let at = standings.iter().position(alike).unwrap_or_else(|| {
            standings.push(Support {
                set: ack.set.clone(),
                bounds: ack.bounds.clone(),
                acks: BTreeMap::new(),
            });
            standings.len() - 1
        });
        let acks = &mut standings[at].acks;
        acks.entry(ack.member).or_default().push(pos);
    }

    /// The certificate that an ack adds to.
    fn certify(&mut self, graph: &mut Graph, ack: &Ack, in_control: bool) -> CertIx {
        let number = ack.number - 1;
        let alike = |one: &&CertIx| {
            let one = self.certificate(**one);
            one.set == ack.set
                && one.before == ack.before
                && one.base == ack.base
                && one.bounds == ack.bounds
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
        self.certificates.push(Certificate {
            number,
            set: ack.set.clone(),
            before: ack.before.clone(),
            base: ack.base,
            bounds: ack.bounds.clone(),
            acks: BTreeMap::new(),
            digest,
            layer,
            standings: Vec::new(),
        });
        let of_number = self.by_number.entry(number).or_default();
        let at =
            of_number.partition_point(|other| self.certificates[*other as usize].digest < digest);
        of_number.insert(at, new);
        new
    }
}

/// Whether enough of a set have written one of their acks.
fn is_complete(
    past: &Past<'_>,
    set: &Set,
    bounds: &[Arc<Set>],
    acks: &BTreeMap<Member, Vec<Pos>>,
) -> bool {
    let wrote = |member: &&Member| {
        let mut theirs = acks.get(*member).into_iter().flatten();
        theirs.any(|pos| past.holds(*pos))
    };
    match past.channel.quorum_of_acks() {
        Quorum::All => !set.is_empty() && set.iter().all(|member| wrote(&member)),
        Quorum::Majority => {
            let wrote: Set = set.iter().filter(wrote).copied().collect();
            is_majority(&wrote, set, bounds)
        }
    }
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
