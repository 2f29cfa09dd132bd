//! What an ack says, by its own past and its number: its base, its set, and whether it is valid.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::barrier::{CertIx, Finality, Member, Quorum, Set, is_majority};
use super::past::Past;
use crate::authority::{Scope, Status, View};
use crate::event::Kind;
use crate::graph::Pos;
use crate::id::PartnerId;
use crate::limits;
use crate::mutation::{self, Mutation};

/// A valid ack.
#[derive(Debug, Clone)]
pub(crate) struct Ack {
    pub member: Member,
    pub number: u64,
    pub set: Arc<Set>,
    /// The acks of the number before, of the members of the set.
    pub before: Vec<Pos>,
    /// The highest barrier certified in the past.
    pub base: Option<CertIx>,
    /// The sets that bound forcing out.
    pub bounds: Vec<Arc<Set>>,
    /// Its author was not in the set, and is from the next number on.
    pub entry: bool,
}

/// Why an ack is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckError {
    OldNumber,
    AckMissing,
    NotAMember,
}

impl AckError {
    pub fn as_str(self) -> &'static str {
        match self {
            AckError::OldNumber => "an ack whose number its author has reached before",
            AckError::AckMissing => "an ack without those before it in its past",
            AckError::NotAMember => {
                "an ack by a partner that is neither in the set nor a member in the ack's own past"
            }
        }
    }
}

impl Finality {
    /// Judges an ack of `author` with this number by its past, whose view is given.
    pub fn judge(
        &self,
        past: &Past<'_>,
        view: &View,
        author: PartnerId,
        number: u64,
    ) -> Result<Ack, AckError> {
        let member = (author, session(view, author));
        let last = self.acks_of(&member, past).next_back();
        if number == 0 || last.is_some_and(|(last, _)| last >= number) {
            return Err(AckError::OldNumber);
        }
        let base = self.highest_certified(number.saturating_sub(2), past);
        let bounds = self.bounds(past, view, base);
        let set = self.set(past, view, number, base, &bounds);
        let before: Vec<(Member, Pos)> = set
            .iter()
            .filter_map(|member| Some((*member, self.ack(member, number - 1, past)?)))
            .collect();
        let enough = match past.channel.quorum_of_acks() {
            _ if number == 1 => true,
            Quorum::All => before.len() == set.len(),
            Quorum::Majority => {
                let wrote: Set = before.iter().map(|(member, _)| *member).collect();
                is_majority(&wrote, &set, &bounds)
            }
        };
        if !enough && !mutation::is(Mutation::AckBeforeOthers) {
            return Err(AckError::AckMissing);
        }
        let entry = !set.contains(&member);
        if entry && view.member(&author).is_none() {
            return Err(AckError::NotAMember);
        }
        Ok(Ack {
            member,
            number,
            set: Arc::new(set),
            before: before.into_iter().map(|(_, pos)| pos).collect(),
            base,
            bounds,
            entry,
        })
    }

    /// The ack that a partner can write on a past: of the highest number that is valid.
    pub fn next(&self, past: &Past<'_>, view: &View, author: PartnerId) -> Option<Ack> {
        let member = (author, session(view, author));
        let last = self.acks_of(&member, past).next_back();
        let least = last.map_or(0, |(last, _)| last) + 1;
        let highest = (self.greatest() + 1).max(least);
        let numbers = (least..=highest).rev().take(limits::ACKS_TRIED);
        let mut numbers = numbers.chain([least]);
        numbers.find_map(|number| self.judge(past, view, author, number).ok())
    }

    /// The partners whose ack the next round waits for.
    pub fn awaited(&self, past: &Past<'_>, view: &View) -> Vec<PartnerId> {
        let number = self.greatest();
        let base = self.highest_certified(number.saturating_sub(1), past);
        let bounds = self.bounds(past, view, base);
        let set = self.set(past, view, number + 1, base, &bounds);
        let silent = |member: &&Member| self.ack(member, number, past).is_none();
        let silent = set.iter().filter(silent);
        silent.map(|(partner, _)| *partner).collect()
    }

    /// The set of an ack of this number.
    fn set(
        &self,
        past: &Past<'_>,
        view: &View,
        number: u64,
        base: Option<CertIx>,
        bounds: &[Arc<Set>],
    ) -> Set {
        let floor = base.map_or(0, |base| self.certificate(base).number);
        let mut set = self.set_of(base, past, view);
        let own_round = u64::from(mutation::is(Mutation::EntryCountsAtOnce));
        set.extend(self.entered(floor + 1..number + own_round, past));
        set.retain(|(partner, of)| {
            session(view, *partner) == *of
                && (!past.has_left(*partner) || mutation::is(Mutation::LeaverStays))
                && (!past.forked(*partner) || mutation::is(Mutation::ForkerStays))
                && !self.doubled(*partner, past)
        });
        match past.channel.quorum_of_acks() {
            Quorum::All => without_forced(past, view, set, bounds),
            Quorum::Majority => {
                set.retain(|(partner, _)| {
                    let status = view.members.get(partner).map(|member| member.status);
                    status.is_none_or(|status| status <= Status::Active)
                });
                set
            }
        }
    }

    /// The set of a certificate; without one the initial set.
    fn set_of(&self, certificate: Option<CertIx>, past: &Past<'_>, view: &View) -> Set {
        match certificate {
            Some(certificate) => self.certificate(certificate).set.as_ref().clone(),
            None => initial(past, view),
        }
    }

    /// The sets that bound forcing out: that of the last barrier that stands (without one the
    /// initial set), and those of the certified ones above it on the chain of the base.
    fn bounds(&self, past: &Past<'_>, view: &View, base: Option<CertIx>) -> Vec<Arc<Set>> {
        let top = self.top(past);
        let first = match top {
            Some(top) => self.certificate(top).set.clone(),
            None => Arc::new(initial(past, view)),
        };
        let floor = top.map_or(0, |top| self.certificate(top).number);
        let mut bounds = vec![first];
        let mut next = base;
        while let Some(one) = next.map(|next| self.certificate(next))
            && one.number > floor
        {
            if !bounds.contains(&one.set) {
                bounds.push(one.set.clone());
            }
            next = one.differs;
        }
        // In which order they were found says nothing.
        bounds.sort();
        bounds
    }
}

/// The set before anything is certified: the channel's creator, in other lanes the readers.
fn initial(past: &Past<'_>, view: &View) -> Set {
    let channel = past.channel;
    let with_session = |partner: PartnerId| (partner, session(view, partner));
    if past.lane == channel.control_lane {
        let creator = channel.charter.as_ref();
        let creator = creator.map(|charter| charter.creator.partner());
        return creator.into_iter().map(with_session).collect();
    }
    let lane = channel.lane(&past.lane);
    let readers = lane.into_iter().flat_map(|lane| &lane.audience);
    readers.copied().map(with_session).collect()
}

fn session(view: &View, partner: PartnerId) -> u64 {
    let member = view.members.get(&partner);
    let member = member.filter(|_| !mutation::is(Mutation::SessionIgnored));
    member.map_or(0, |member| member.session)
}

/// Takes out whom enough others know to be removed or suspended.
///
/// The acts are gone through by height, then id; who is out does not count against the next. The
/// sizes of the bounding sets stay what they are.
fn without_forced(past: &Past<'_>, view: &View, mut set: Set, bounds: &[Arc<Set>]) -> Set {
    let graph = past.channel.graph();
    let is_gone = |partner: &PartnerId| {
        let member = view.members.get(partner);
        member.is_some_and(|member| member.status > Status::Active)
    };
    let mut acts: Vec<_> = view
        .endings
        .iter()
        .filter(|ending| ending.scope == Scope::Partner && is_gone(&ending.partner))
        .map(|ending| (graph.entry(ending.pos), ending))
        .filter(|(entry, _)| matches!(entry.kind, Kind::Remove | Kind::Suspend))
        .map(|(entry, ending)| (entry.h, entry.id, *ending))
        .collect();
    acts.sort_unstable();
    let mut tried: BTreeMap<PartnerId, Vec<Pos>> = BTreeMap::new();
    for (_, _, ending) in acts {
        let victim = (ending.partner, session(view, ending.partner));
        if !set.contains(&victim) {
            continue;
        }
        // Who knows an act knows those in its past, and of these nobody new counts any more.
        let frontier = graph.entry(ending.pos).frontier;
        let before = tried.entry(ending.partner).or_default();
        if before
            .iter()
            .any(|act| graph.frontier_holds(frontier, *act))
        {
            continue;
        }
        before.push(ending.pos);
        let may_count = |(partner, _): &&Member| {
            *partner != ending.partner || mutation::is(Mutation::VictimCountsItself)
        };
        let knowing = set.iter().filter(may_count);
        let knowing: Set = knowing
            .filter(|(partner, _)| past.knows(*partner, ending.pos))
            .copied()
            .collect();
        let enough = |total: &Arc<Set>| {
            let (parts, of) = if mutation::is(Mutation::ForcedOutByHalf) {
                (1, 2)
            } else {
                (2, 3)
            };
            knowing.intersection(total).count() * of > total.len() * parts
        };
        if bounds.iter().all(enough) {
            set.remove(&victim);
        }
    }
    set
}
