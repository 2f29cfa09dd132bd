//! What the accepted control events make of a channel: its members, their roles, writers and
//! keys.
//!
//! All of it is a pure function of a causally closed set of control events. Each act is judged
//! once, by the view of its own past ([`judge`](judge())); a fold over all acts then finds those
//! that have effect (`fold`); membership is read off the causally last of these. Where
//! several are concurrent, the one that leaves a partner least decides. No clock and no order of
//! arrival enters.

mod act;
mod fold;
mod judge;
mod standing;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::finality::CertIx;
use crate::graph::{FrontierIx, Graph, Pos};
use crate::id::{EventId, Hash, PartnerId};
use crate::mutation::{self, Mutation};

pub use act::{Act, ControlEvent, Proposed, TAG_PROPOSAL, WriterList, proposal};
pub(crate) use fold::fold;
pub use judge::{Backing, Judgement, Quorum, Rank, judge};
use standing::Acts;
pub use view::{Ending, Member, Scope, Status, View};

/// Where a control event stands among all: its height, then its id. The order extends causality.
pub type Place = (u64, EventId);

/// The accepted control events of a channel.
#[derive(Debug, Default)]
pub struct Controls {
    ordered: BTreeMap<Place, Arc<ControlEvent>>,
    heights: BTreeMap<EventId, u64>,
    /// Per endorsement, the acts of a quorum that it was counted for.
    spent: BTreeMap<EventId, Vec<Pos>>,
    latest: Latest,
}

/// What the last fold made of each partner: most acts follow on all others and are added to it.
#[derive(Debug, Default)]
struct Latest {
    /// Of the acts alone.
    frontier: FrontierIx,
    /// The last standing barrier of the control lane.
    top: Option<CertIx>,
    partners: BTreeMap<PartnerId, Acts>,
}

/// Which acts a view is of, and how standing barriers cut them into layers.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    /// A frontier without the acks that nothing has in its past.
    pub acts: FrontierIx,
    /// The last barrier that stands in it.
    pub top: Option<CertIx>,
    /// What that one and those that it stands on hold, the lowest first.
    pub layers: Vec<FrontierIx>,
}

impl Controls {
    /// Adds an event that was judged by all that is in its past, of which `known` are the acts,
    /// and gives the view of all acts with it. `before` are the acts held before, with their view.
    pub(crate) fn advance(
        &mut self,
        graph: &Graph,
        (before, view): (FrontierIx, &View),
        event: ControlEvent,
        known: FrontierIx,
        after: &Cut,
    ) -> View {
        let event = Arc::new(event);
        self.insert(event.clone());
        let latest = &self.latest;
        let follows_on_all =
            known == before && latest.frontier == before && latest.top == after.top
                || mutation::is(Mutation::FoldNotRepeated);
        let proves = matches!(event.act, Act::Evidence { .. });
        if follows_on_all && event.judged.rank != Rank::Quorum && !proves {
            self.latest.frontier = after.acts;
            return fold::extend(graph, &mut self.latest.partners, view, &event);
        }
        self.refold(graph, after)
    }

    /// Folds all acts anew.
    pub(crate) fn refold(&mut self, graph: &Graph, cut: &Cut) -> View {
        let (view, partners) = fold::fold_with_acts(graph, self, &cut.layers, cut.acts);
        self.latest = Latest {
            frontier: cut.acts,
            top: cut.top,
            partners,
        };
        view
    }

    fn insert(&mut self, event: Arc<ControlEvent>) {
        self.heights.insert(event.id, event.h);
        for (_, counted) in event.judged.endorsers() {
            for (_, endorsement) in counted {
                let acts = self.spent.entry(*endorsement).or_default();
                acts.push(event.pos);
            }
        }
        self.ordered.insert(event.place(), event);
    }

    /// Judges an act by what lies in `frontier`, whose view is `view`. `quorum` is the charter's.
    pub fn judge(
        &self,
        graph: &Graph,
        (frontier, view): (FrontierIx, &View),
        quorum: u8,
        author: &PartnerId,
        act: &Act,
    ) -> Judgement {
        let mut judged = judge(view, author, act);
        if let Some(proposed) = act.proposed()
            && judged.above.is_some()
            && judge::is_owner(view, author)
        {
            let owners = judge::owners(view, act, judged.revokes);
            let listed = proposed.endorsements.iter();
            let backing = Backing {
                needed: judge::needed(quorum, owners.len()),
                endorsers: self.endorsers(
                    graph,
                    (frontier, view),
                    &owners,
                    &proposed.proposal,
                    listed,
                ),
            };
            let endorsers = backing.endorsers.len();
            let endorsers = if mutation::is(Mutation::QuorumCountsEvents) {
                backing
                    .endorsers
                    .iter()
                    .map(|(_, events)| events.len())
                    .sum()
            } else {
                endorsers
            };
            if endorsers >= backing.needed {
                judged.rank = Rank::Quorum;
                judged.backing = Some(backing);
            }
        }
        judged
    }

    /// How far an act has come that a quorum may carry, as seen from `frontier`: all endorsements
    /// of its proposal that would count if it listed them.
    pub fn quorum(
        &self,
        graph: &Graph,
        (frontier, view): (FrontierIx, &View),
        quorum: u8,
        author: &PartnerId,
        act: &Act,
    ) -> Option<Quorum> {
        let proposed = act.proposed()?;
        let owners = judge::owners(view, act, judge(view, author, act).revokes);
        let listed = self.heights.keys();
        let past = (frontier, view);
        let endorsers = self.endorsers(graph, past, &owners, &proposed.proposal, listed);
        // The latest of a partner's: what struck an earlier one may be over.
        let latest = |(partner, counted): &(PartnerId, Vec<Place>)| {
            let (_, endorsement) = counted.iter().max()?;
            Some((*partner, *endorsement))
        };
        Some(Quorum {
            proposal: proposed.proposal,
            endorsements: endorsers.iter().filter_map(latest).collect(),
            needed: judge::needed(quorum, owners.len()),
            owners: owners.len(),
        })
    }

    /// Each of the owners that endorsed a proposal by one of the listed events, with those of
    /// its events that count.
    fn endorsers<'a>(
        &self,
        graph: &Graph,
        (frontier, view): (FrontierIx, &View),
        owners: &BTreeSet<PartnerId>,
        proposal: &Hash,
        listed: impl Iterator<Item = &'a EventId>,
    ) -> Vec<(PartnerId, Vec<Place>)> {
        let mut endorsers: BTreeMap<PartnerId, Vec<Place>> = BTreeMap::new();
        for id in listed {
            let Some(event) = self.find(id) else {
                continue;
            };
            let names_it =
                matches!(&event.act, Act::Endorse { proposal: named } if named == proposal);
            let spent = self.spent.get(id).map_or(&[][..], Vec::as_slice);
            let spent = if mutation::is(Mutation::SpentEndorsementCounts) {
                &[]
            } else {
                spent
            };
            let counts = names_it
                && event.judged.rank > Rank::None
                && !event.is_void(&view.forks)
                && owners.contains(&event.author)
                && graph.frontier_holds(frontier, event.pos)
                && !spent.iter().any(|act| graph.frontier_holds(frontier, *act));
            if counts {
                endorsers
                    .entry(event.author)
                    .or_default()
                    .push(event.place());
            }
        }
        endorsers.into_iter().collect()
    }

    /// Whether a control event of this id lies in `frontier`.
    pub fn holds(&self, graph: &Graph, frontier: FrontierIx, id: &EventId) -> bool {
        self.find(id)
            .is_some_and(|event| graph.frontier_holds(frontier, event.pos))
    }

    fn find(&self, id: &EventId) -> Option<&ControlEvent> {
        let height = self.heights.get(id)?;
        self.at(&(*height, *id))
    }

    /// All of them, in an order that extends causality.
    pub fn events(&self) -> impl Iterator<Item = &ControlEvent> {
        self.ordered.values().map(Arc::as_ref)
    }

    fn at(&self, place: &Place) -> Option<&ControlEvent> {
        self.ordered.get(place).map(Arc::as_ref)
    }

    /// Those that lie in `frontier`, in an order that extends causality.
    fn within(&self, graph: &Graph, frontier: FrontierIx) -> Vec<&Arc<ControlEvent>> {
        let events = self.ordered.values();
        events
            .filter(|event| graph.frontier_holds(frontier, event.pos))
            .collect()
    }
}
