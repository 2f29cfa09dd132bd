//! Which of the acts held have effect.
//!
//! An act has effect unless a revocation that is concurrent with it and outranks it hits its
//! author, and as long as what it rests on has effect itself. Whether a revocation has effect is
//! the same question again. So the acts are gone through several times: at first every
//! conceivable revocation strikes; then only those that the time before left standing, until
//! nothing changes. What takes effect never depends on an order among equals.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::judge::outranks;
use super::standing::Acts;
use super::{
    Act, ControlEvent, Controls, Ending, Judgement, Member, Place, Rank, Scope, Status, View,
};
use crate::body::Role;
use crate::graph::{ChainIx, FrontierIx, Graph};
use crate::id::{PartnerId, WriterId};
use crate::limits;
use crate::mutation::{self, Mutation};

/// Folds the control events that lie in `frontier`, which standing barriers that hold `layers`,
/// the lowest first, cut into layers.
pub(crate) fn fold(
    graph: &Graph,
    controls: &Controls,
    layers: &[FrontierIx],
    frontier: FrontierIx,
) -> View {
    fold_with_acts(graph, controls, layers, frontier).0
}

/// As [`fold`], with what the effective acts make of each partner.
pub(super) fn fold_with_acts(
    graph: &Graph,
    controls: &Controls,
    layers: &[FrontierIx],
    frontier: FrontierIx,
) -> (View, BTreeMap<PartnerId, Acts>) {
    let mut by_layer: Vec<Vec<&Arc<ControlEvent>>> = vec![Vec::new(); layers.len() + 1];
    for event in controls.within(graph, frontier) {
        let layer = layers.partition_point(|layer| !graph.frontier_holds(*layer, event.pos));
        by_layer[layer].push(event);
    }
    let mut settled = Settled::new(graph);
    for held in by_layer {
        add_forks(&mut settled.forks, &held);
        settled.take(graph, controls, held);
    }
    (settled.view(graph), settled.partners)
}

/// What the layers gone through came to.
struct Settled<'a> {
    partners: BTreeMap<PartnerId, Acts>,
    effective: Vec<&'a Arc<ControlEvent>>,
    /// The revocations among these: they strike on, also endorsements that lie below.
    strikes: Strikes<'a>,
    forks: BTreeMap<WriterId, u64>,
}

impl<'a> Settled<'a> {
    fn new(graph: &'a Graph) -> Settled<'a> {
        Settled {
            partners: BTreeMap::new(),
            effective: Vec::new(),
            strikes: Strikes::of(graph, std::iter::empty()),
            forks: BTreeMap::new(),
        }
    }

    /// Finds what has effect of a further layer.
    fn take(
        &mut self,
        graph: &'a Graph,
        controls: &'a Controls,
        mut held: Vec<&'a Arc<ControlEvent>>,
    ) {
        held.retain(|event| !event.is_void(&self.forks));
        if held.is_empty() {
            return;
        }
        let fold = Fold {
            graph,
            controls,
            below: self,
            held,
        };
        let passed = fold.settle();
        let held = fold.held.iter().zip(&passed.effective);
        let effective: Vec<_> = held
            .filter(|(_, effective)| **effective)
            .map(|(event, _)| *event)
            .collect();
        let revocations = effective.iter().copied().map(|event| &**event);
        let revocations = revocations.filter(|event| event.judged.revokes);
        revocations.for_each(|event| self.strikes.add(event));
        self.effective.extend(effective);
        self.partners.extend(passed.touched);
    }

    fn view(&self, graph: &Graph) -> View {
        let effective = self.effective.iter();
        let mut endings: Vec<Ending> = effective.filter_map(|event| ending(event)).collect();
        endings.sort_unstable();
        View {
            members: members(graph, &self.partners),
            effective: self.effective.iter().map(|event| event.pos).collect(),
            endings,
            forks: self.forks.clone(),
        }
    }
}

/// The view that follows on `view` by an act that has all of it in its past. Nothing is concurrent
/// with such an act, so nothing hits it, it hits nothing, and its rank, judged by that very view,
/// decides alone. Acts of a quorum are the exception: an endorsement can be struck.
pub(super) fn extend(
    graph: &Graph,
    acts: &mut BTreeMap<PartnerId, Acts>,
    view: &View,
    event: &Arc<ControlEvent>,
) -> View {
    let mut view = view.clone();
    if event.judged.rank == Rank::None || event.is_void(&view.forks) {
        return view;
    }
    acts.entry(event.concerns()).or_default().push(event);
    view.effective.insert(event.pos);
    view.endings.extend(ending(event));
    view.endings.sort_unstable();
    view.members = members(graph, acts);
    view
}

/// From which position on the acts of each proved writer are void: the earliest that is proved.
/// Evidence counts whatever has become of its author since.
fn add_forks(forks: &mut BTreeMap<WriterId, u64>, held: &[&Arc<ControlEvent>]) {
    for event in held {
        if let Act::Evidence { writer, seq } = event.act {
            let fork = forks.entry(writer).or_insert(seq);
            #[cfg(test)]
            if mutation::is(Mutation::LatestForkCounts) {
                *fork = seq.max(*fork);
                continue;
            }
            *fork = seq.min(*fork);
        }
    }
}

/// One layer.
struct Fold<'f, 'a> {
    graph: &'a Graph,
    controls: &'a Controls,
    /// The layers below, which are given.
    below: &'f Settled<'a>,
    /// In an order that extends causality; what evidence voids is left out.
    held: Vec<&'a Arc<ControlEvent>>,
}

/// What one pass came to: for each event held whether it took effect, and what the effective
/// ones, with those below, make of each partner that they concern.
struct Passed {
    effective: Vec<bool>,
    touched: BTreeMap<PartnerId, Acts>,
}

impl<'a> Fold<'_, 'a> {
    /// The passes. Where the revocations that strike are the same, so is the outcome: nothing is
    /// passed twice.
    fn settle(&self) -> Passed {
        let conceivable =
            |event: &&Arc<ControlEvent>| event.judged.revokes && event.judged.rank > Rank::None;
        let mut given: Vec<bool> = self.held.iter().map(conceivable).collect();
        let mut lower = self.pass(&given);
        for _ in 1..limits::FOLD_ROUNDS {
            let few = self.revocations(&lower);
            if few == given {
                break;
            }
            let upper = self.pass(&few);
            let many = self.revocations(&upper);
            if many == given {
                break;
            }
            let next = if many == few { upper } else { self.pass(&many) };
            let stable = next.effective == lower.effective;
            given = many;
            lower = next;
            if stable {
                break;
            }
        }
        lower
    }

    fn revocations(&self, passed: &Passed) -> Vec<bool> {
        let held = self.held.iter().zip(&passed.effective);
        held.map(|(event, effective)| *effective && event.judged.revokes)
            .collect()
    }

    /// Goes through all events once, letting the `given` revocations strike.
    fn pass(&self, given: &[bool]) -> Passed {
        let striking = self.held.iter().zip(given).filter(|(_, given)| **given);
        let striking = striking.map(|(event, _)| event.as_ref());
        let strikes = Strikes::of(self.graph, striking);
        let mut touched: BTreeMap<PartnerId, Acts> = BTreeMap::new();
        let mut effective = Vec::with_capacity(self.held.len());
        for event in &self.held {
            let proves = matches!(event.act, Act::Evidence { .. });
            let stands = proves
                || event.judged.rank > Rank::None
                    && self.allowed(event, &touched, &strikes)
                    && !strikes.hit(event)
                    && !self.below.strikes.hit(event);
            if stands {
                let concerned = event.concerns();
                let acts = touched.entry(concerned).or_insert_with(|| {
                    let below = self.below.partners.get(&concerned);
                    below.cloned().unwrap_or_default()
                });
                acts.push(event);
            }
            effective.push(stands);
        }
        Passed { effective, touched }
    }

    /// Whether the standing of its author, and of those that endorsed it, by what has effect in
    /// the event's own past, suffices.
    fn allowed(
        &self,
        event: &ControlEvent,
        touched: &BTreeMap<PartnerId, Acts>,
        strikes: &Strikes<'_>,
    ) -> bool {
        let role = |partner: &PartnerId| {
            let acts = touched.get(partner);
            let (status, role) = acts
                .or_else(|| self.below.partners.get(partner))?
                .rank(self.graph, Some(event.frontier))?;
            (status == Status::Active).then_some(role)
        };
        match (event.judged.rank, &event.judged.backing) {
            (Rank::Admin | Rank::Owner, _) => role(&event.author)
                .is_some_and(|role| role >= Role::Admin && Some(role) > event.judged.above),
            (Rank::Quorum, Some(backing)) => {
                let counts = |(endorser, endorsements): &&(PartnerId, Vec<Place>)| {
                    role(endorser) == Some(Role::Owner)
                        && endorsements.iter().any(|endorsement| {
                            let endorsement = self.controls.at(endorsement);
                            endorsement.is_some_and(|one| {
                                !one.is_void(&self.below.forks)
                                    && !strikes.strike(one, &event.judged)
                                    && !self.below.strikes.strike(one, &event.judged)
                            })
                        })
                };
                role(&event.author) == Some(Role::Owner)
                    && backing.endorsers.iter().filter(counts).count() >= backing.needed
            }
            _ => true,
        }
    }
}

fn members(graph: &Graph, acts: &BTreeMap<PartnerId, Acts>) -> BTreeMap<PartnerId, Member> {
    let mut members: BTreeMap<PartnerId, Member> = acts
        .iter()
        .filter_map(|(partner, acts)| Some((*partner, acts.member(graph)?)))
        .collect();
    drop_excess(&mut members, acts);
    members
}

fn ending(event: &ControlEvent) -> Option<Ending> {
    let scope = match &event.act {
        Act::SeatTransfer { .. } => Scope::Writer(event.judged.displaces?),
        act if act.ends_membership() => Scope::Partner,
        _ => return None,
    };
    Some(Ending {
        pos: event.pos,
        partner: event.concerns(),
        scope,
    })
}

/// Admissions beyond the limit of partners have no effect: those by the higher rank stay, of
/// equal ones the earlier. Whoever is gone takes no place.
fn drop_excess(members: &mut BTreeMap<PartnerId, Member>, acts: &BTreeMap<PartnerId, Acts>) {
    let present = members
        .iter()
        .filter(|(_, member)| member.status <= Status::Suspended);
    if present.clone().count() <= limits::PARTNERS {
        return;
    }
    let mut first: Vec<_> = present
        .filter_map(|(partner, _)| {
            let admissions = acts.get(partner)?.admissions.iter();
            let order = |event: &ControlEvent| (Reverse(event.judged.rank), event.place());
            admissions.map(order).min().map(|order| (order, *partner))
        })
        .collect();
    first.sort_unstable();
    for (_, partner) in first.into_iter().skip(limits::PARTNERS) {
        members.remove(&partner);
    }
}

/// The revocations that strike in a pass, laid out so that it takes two binary searches a chain
/// to see whether one of them is concurrent with an event.
struct Strikes<'a> {
    graph: &'a Graph,
    /// On a partner's membership or role, by others.
    partners: BTreeMap<PartnerId, BTreeMap<Sort, Vec<&'a ControlEvent>>>,
    /// On a writer that a seat transfer displaces.
    writers: BTreeMap<WriterId, BTreeMap<ChainIx, Vec<&'a ControlEvent>>>,
}

/// What revocations of one partner have in common that lie side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sort {
    chain: ChainIx,
    author: PartnerId,
    rank: Rank,
    ends_membership: bool,
}

impl<'a> Strikes<'a> {
    fn of(graph: &'a Graph, revocations: impl Iterator<Item = &'a ControlEvent>) -> Strikes<'a> {
        let mut strikes = Strikes {
            graph,
            partners: BTreeMap::new(),
            writers: BTreeMap::new(),
        };
        for event in revocations {
            strikes.add(event);
        }
        strikes
    }

    fn add(&mut self, event: &'a ControlEvent) {
        let chain = event.pos.chain;
        if let Act::SeatTransfer { .. } = &event.act {
            if let Some(writer) = event.judged.displaces {
                let chains = self.writers.entry(writer).or_default();
                chains.entry(chain).or_default().push(event);
            }
            return;
        }
        let sort = Sort {
            chain,
            author: event.author,
            rank: event.judged.rank,
            ends_membership: event.act.ends_membership(),
        };
        let sorts = self.partners.entry(event.concerns()).or_default();
        sorts.entry(sort).or_default().push(event);
    }

    /// Whether a concurrent revocation voids the event.
    fn hit(&self, event: &ControlEvent) -> bool {
        if mutation::is(Mutation::RevocationNeverHits) {
            return false;
        }
        let of_role = matches!(event.judged.rank, Rank::Admin | Rank::Owner | Rank::Quorum);
        self.any(event, &event.judged, of_role)
    }

    /// Whether an endorsement no longer counts for an act that is judged so.
    fn strike(&self, endorsement: &ControlEvent, act: &Judgement) -> bool {
        self.any(endorsement, act, true)
    }

    /// Whether a revocation of the event's author, or of its writer, is concurrent with the event
    /// and outranks an act that is `judged` so; one of the author's role only if `of_role`.
    fn any(&self, event: &ControlEvent, judged: &Judgement, of_role: bool) -> bool {
        let sorts = self.partners.get(&event.author);
        let bears = |sort: &Sort| {
            sort.author != event.author
                && (sort.ends_membership || of_role)
                && outranks(sort.rank, judged)
        };
        let author = sorts.is_some_and(|sorts| {
            sorts
                .iter()
                .any(|(sort, acts)| bears(sort) && self.concurrent(acts, event))
        });
        author
            || outranks(Rank::Root, judged)
                && self.writers.get(&event.writer).is_some_and(|chains| {
                    let mut chains = chains.values();
                    chains.any(|acts| self.concurrent(acts, event))
                })
    }

    /// Whether one of some acts of one chain is concurrent with the event: the first that is not
    /// in its past, if any.
    fn concurrent(&self, acts: &[&ControlEvent], event: &ControlEvent) -> bool {
        let after = acts.partition_point(|act| event.holds(self.graph, act));
        acts.get(after)
            .is_some_and(|act| !act.holds(self.graph, event))
    }
}
