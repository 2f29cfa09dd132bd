//! What follows once a barrier stands: the layers of a lane, what is decided below it, and the
//! places of what comes late.

use std::collections::{BTreeMap, BTreeSet};

use comity_crypto as crypto;

use super::barrier::CertIx;
use super::past::Past;
use super::{FloorBody, NO_BASE, TAG_HISTORY};
use crate::channel::Channel;
use crate::codec::encode;
use crate::event::Kind;
use crate::flags::{self, Fallen};
use crate::graph::{ChainIx, EMPTY_FRONTIER, FrontierIx, Pos};
use crate::id::{EventId, Hash, LaneId, PartnerId};
use crate::limits;
use crate::mutation::{self, Mutation};

/// What stands in a lane by all that is held.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub top: Option<CertIx>,
    /// Of the lane's chains, how far the top holds each.
    pub upto: BTreeMap<ChainIx, u64>,
    /// The control events that the top holds.
    pub frontier: FrontierIx,
    /// Of what the top holds, the messages that do not stand.
    pub decided: Fallen,
    /// What each of the last barriers comes to, by number: its history, and how many events, acks
    /// apart, it holds.
    histories: BTreeMap<u64, (Hash, u64)>,
    /// The last floor of each partner.
    floors: BTreeMap<PartnerId, (u64, Hash)>,
    /// The greatest T, and one more than the greatest H, of the messages that the top holds.
    floor: Option<(u64, u64)>,
}

impl Settled {
    pub fn holds(&self, pos: Pos) -> bool {
        self.upto
            .get(&pos.chain)
            .is_some_and(|upto| *upto >= pos.seq)
    }
}

/// A partner's word on what a barrier comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    pub partner: PartnerId,
    pub barrier: u64,
    /// Whether it comes to the same here; absent where the barrier is none of the last here.
    pub agrees: Option<bool>,
}

/// How far a lane has come, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The number of the last barrier that stands; 0 for none.
    pub barrier: u64,
    /// Events above it, acks apart.
    pub above: u64,
    /// Partners of the set whose ack the lane waits for.
    pub awaited: Vec<PartnerId>,
    /// The last word of each partner on what the lane comes to.
    pub floors: Vec<Floor>,
}

impl Channel {
    /// The highest barrier of the control lane that stands in a control frontier, and what the
    /// barriers up to it hold, the lowest first.
    pub(crate) fn layers(&self, frontier: FrontierIx) -> (Option<CertIx>, Vec<FrontierIx>) {
        let Some(finality) = self.finality(self.control_lane) else {
            return (None, Vec::new());
        };
        if mutation::is(Mutation::LayersIgnored) {
            return (None, Vec::new());
        }
        let past = Past::of_frontier(self, frontier);
        let top = finality.top(&past);
        let chain = finality.chain_above(top, None).unwrap_or_default();
        let layers = chain.iter().map(|one| finality.certificate(*one).layer);
        (top, layers.collect())
    }

    /// Looks whether another barrier of a lane stands now, and draws the consequences; true if the
    /// present view may have changed.
    pub(crate) fn settle_lane(&mut self, lane: LaneId) -> bool {
        let Some(finality) = self.finality(lane) else {
            return false;
        };
        let top = finality.top(&Past::of_all(self, lane));
        let before = finality.settled.top;
        if top == before {
            return false;
        }
        let chain = match finality.chain_above(top, before) {
            Some(chain) => chain,
            // Not on the same chain: so many lie that nothing holds, but the state stays a
            // function of what is held.
            None => {
                self.unsettle(lane);
                self.all_above(lane, None)
            }
        };
        let mut moved = BTreeSet::new();
        for certificate in chain {
            self.pass_barrier(lane, certificate, &mut moved);
        }
        let rest = self.above(lane);
        self.place_all(lane, rest, &mut moved);
        self.sort_again(moved);
        true
    }

    fn all_above(&self, lane: LaneId, floor: Option<CertIx>) -> Vec<CertIx> {
        let Some(finality) = self.finality(lane) else {
            return Vec::new();
        };
        let top = finality.top(&Past::of_all(self, lane));
        finality.chain_above(top, floor).unwrap_or_default()
    }

    fn unsettle(&mut self, lane: LaneId) {
        if let Some(finality) = self.finality_mut(lane) {
            let floors = std::mem::take(&mut finality.settled.floors);
            finality.settled = Settled {
                floors,
                ..Settled::default()
            };
        }
        let graph = &self.graph;
        self.placed
            .retain(|pos, _| graph.chain(pos.chain).lane != lane);
        self.late.retain(|pos| graph.chain(pos.chain).lane != lane);
    }

    /// Finds anew, after a start, what stands in every lane.
    pub(crate) fn settle_restored(&mut self) {
        let lanes: Vec<LaneId> = self.lanes().map(|(lane, _)| *lane).collect();
        for lane in lanes {
            self.settle_lane(lane);
        }
        self.look_again();
    }

    /// A barrier comes to stand on the last one: what it adds is a layer of its own.
    fn pass_barrier(&mut self, lane: LaneId, certificate: CertIx, moved: &mut BTreeSet<Pos>) {
        let (upto, frontier) = self.reach_of(lane, certificate);
        let Some(finality) = self.finality(lane) else {
            return;
        };
        let below = &finality.settled.upto;
        let layer: Vec<Pos> = upto
            .iter()
            .flat_map(|(&chain, &upto)| {
                let first = self.graph.chain(chain).first;
                let from = below.get(&chain).map_or(first, |below| below + 1);
                (from..=upto).map(move |seq| Pos { chain, seq })
            })
            .collect();
        self.place_all(lane, layer.clone(), moved);
        let messages = layer.iter();
        let messages = messages.filter(|pos| self.graph.entry(**pos).kind.is_sealed());
        let floor = messages.map(|pos| self.key_of(*pos));
        let floor = floor.fold(None, |floor: Option<(u64, u64)>, (t, h)| {
            let step = u64::from(!mutation::is(Mutation::FloorWithoutStep));
            let above = h.saturating_add(step);
            Some(floor.map_or((t, above), |floor| (floor.0.max(t), floor.1.max(above))))
        });
        let decided = if lane == self.control_lane {
            Fallen::default()
        } else {
            let view = self.view(frontier);
            flags::fallen_within(self, lane, &view, &upto)
        };
        let history = self.history_of(lane, certificate, &layer, &decided, frontier);
        let acts = |pos: &&Pos| self.graph.entry(**pos).kind != Kind::Ack;
        let acts = layer.iter().filter(acts).count() as u64;
        let Some(finality) = self.finality_mut(lane) else {
            return;
        };
        let number = finality.certificate(certificate).number;
        let settled = &mut finality.settled;
        let before = settled.histories.last_key_value();
        let before = before.map_or(0, |(_, (_, acts))| *acts);
        settled.histories.insert(number, (history, before + acts));
        if settled.histories.len() > limits::HISTORIES {
            settled.histories.pop_first();
        }
        settled.floor = match (settled.floor, floor) {
            (Some(one), Some(other)) => Some((one.0.max(other.0), one.1.max(other.1))),
            (one, other) => one.or(other),
        };
        settled.top = Some(certificate);
        settled.upto = upto;
        settled.frontier = frontier;
        settled.decided = decided;
    }

    /// What a barrier comes to: the messages that it adds, in order, those of them that are flagged
    /// and, in the control lane, the state; and the history of the one that it stands on.
    fn history_of(
        &mut self,
        lane: LaneId,
        certificate: CertIx,
        layer: &[Pos],
        decided: &Fallen,
        frontier: FrontierIx,
    ) -> Hash {
        let mut messages: Vec<Pos> = layer.to_vec();
        messages.retain(|pos| self.graph.entry(*pos).kind.is_sealed());
        messages.sort_by_cached_key(|pos| self.timeline_key(*pos));
        let id = |pos: &Pos| self.graph.entry(*pos).id;
        let flagged = messages.iter().filter(|pos| decided.holds(**pos));
        let flagged: Vec<EventId> = flagged.map(id).collect();
        let messages: Vec<EventId> = messages.iter().map(id).collect();
        let state = if lane == self.control_lane {
            let view = self.view(frontier);
            self.state_of(&view)
        } else {
            NO_BASE
        };
        let Some(finality) = self.finality(lane) else {
            return NO_BASE;
        };
        let digest = finality.certificate(certificate).digest;
        let below = finality.settled.histories.last_key_value();
        let below = below.map_or(NO_BASE, |(_, (history, _))| *history);
        let encoded = encode(&(below, digest, messages, flagged, state));
        Hash(crypto::hash(TAG_HISTORY, &[&encoded]))
    }

    /// Takes a partner's word on what a barrier comes to.
    pub(crate) fn take_floor(&mut self, lane: LaneId, by: PartnerId, floor: &FloorBody) {
        if let Some(finality) = self.finality_mut(lane) {
            let word = (floor.barrier, floor.history);
            finality.settled.floors.insert(by, word);
        }
    }

    /// What this node would say in a floor of a lane now, if enough is settled since its last one.
    pub(crate) fn floor_due(&self, lane: LaneId, own: &PartnerId) -> Option<FloorBody> {
        let settled = &self.finality(lane)?.settled;
        let (barrier, (history, acts)) = settled.histories.last_key_value()?;
        let last = settled.floors.get(own);
        let known = last.and_then(|(barrier, _)| settled.histories.get(barrier));
        let since = acts - known.map_or(0, |(_, acts)| *acts);
        (since >= limits::FLOOR_EVENTS).then_some(FloorBody {
            barrier: *barrier,
            history: *history,
        })
    }

    /// Whether a partner's word on a barrier is what it comes to here; absent where that barrier
    /// is none of the last here.
    pub(crate) fn agrees(&self, lane: LaneId, floor: (u64, Hash)) -> Option<bool> {
        let settled = &self.finality(lane)?.settled;
        let (history, _) = settled.histories.get(&floor.0)?;
        Some(*history == floor.1)
    }

    fn floors(&self, lane: LaneId) -> Vec<Floor> {
        let settled = self.finality(lane).map(|finality| &finality.settled);
        let floors = settled.into_iter().flat_map(|settled| &settled.floors);
        floors
            .map(|(partner, floor)| Floor {
                partner: *partner,
                barrier: floor.0,
                agrees: self.agrees(lane, *floor),
            })
            .collect()
    }

    /// How far of the lane's chains a barrier holds, and which control events.
    fn reach_of(
        &mut self,
        lane: LaneId,
        certificate: CertIx,
    ) -> (BTreeMap<ChainIx, u64>, FrontierIx) {
        let Some(finality) = self.finality(lane) else {
            return (BTreeMap::new(), EMPTY_FRONTIER);
        };
        let one = finality.certificate(certificate);
        let (before, layer) = (one.before.clone(), one.layer);
        if lane == self.control_lane {
            let upto = self.graph.frontier(layer).iter().copied().collect();
            return (upto, layer);
        }
        let chains = self.graph.logs_of(lane).flat_map(|(_, chains)| chains);
        let upto = chains.filter_map(|&chain| {
            let known = before.iter().map(|ack| self.graph.known(*ack, chain));
            let upto = known.max().unwrap_or(0);
            (upto >= self.graph.chain(chain).first).then_some((chain, upto))
        });
        let upto = upto.collect();
        let frontiers: Vec<FrontierIx> = before
            .iter()
            .map(|ack| self.graph.entry(*ack).frontier)
            .collect();
        (upto, self.graph.union(&frontiers))
    }

    /// The events of a lane that no standing barrier holds.
    fn above(&self, lane: LaneId) -> Vec<Pos> {
        let settled = self.finality(lane).map(|finality| &finality.settled);
        let chains = self.graph.logs_of(lane).flat_map(|(_, chains)| chains);
        chains
            .flat_map(|&chain| {
                let held = self.graph.chain(chain);
                let below = settled.and_then(|settled| settled.upto.get(&chain));
                let from = below.map_or(held.first, |below| below + 1);
                (from..=held.head()).map(move |seq| Pos { chain, seq })
            })
            .collect()
    }

    /// Places events that the last standing barrier lacks, parents before children.
    fn place_all(&mut self, lane: LaneId, mut events: Vec<Pos>, moved: &mut BTreeSet<Pos>) {
        let below = |pos: &Pos| {
            let entry = self.graph.entry(*pos);
            self.floor(lane)
                .is_some_and(|floor| (entry.t, entry.h) < floor)
        };
        if lane == self.control_lane || self.placed.is_empty() && !events.iter().any(below) {
            return;
        }
        events.sort_by_key(|pos| self.graph.entry(*pos).h);
        for pos in events {
            let parents = self.parents_in_lane(lane, pos);
            if self.place_late(lane, pos, &parents) {
                moved.insert(pos);
            }
        }
    }

    fn floor(&self, lane: LaneId) -> Option<(u64, u64)> {
        self.finality(lane)?.settled.floor
    }

    /// Gives an event of a lane that no standing barrier holds its place, by those of its parents
    /// there; true if it changes.
    pub(crate) fn place_late(&mut self, lane: LaneId, pos: Pos, parents: &[Pos]) -> bool {
        let floor = self.floor(lane);
        if floor.is_none() && self.placed.is_empty() {
            return false;
        }
        let before = self.key_of(pos);
        let entry = self.graph.entry(pos);
        let (mut t, mut h) = (entry.t, entry.h);
        if floor.is_some_and(|floor| (t, h) < floor) {
            self.late.insert(pos);
        }
        for parent in parents {
            let (above, below) = self.key_of(*parent);
            t = t.max(above);
            h = h.max(below.saturating_add(1));
        }
        if let Some((least, above)) = floor.filter(|floor| (t, h) < *floor) {
            t = t.max(least);
            h = h.max(above);
        }
        if mutation::is(Mutation::LateSlipsBelow) {
            return false;
        }
        if (t, h) == (entry.t, entry.h) {
            self.placed.remove(&pos);
        } else {
            self.placed.insert(pos, (t, h));
        }
        (t, h) != before
    }

    /// What of its lane lies newly in an event's past: its parents there, and what is before them.
    fn parents_in_lane(&self, lane: LaneId, pos: Pos) -> Vec<Pos> {
        let news = self.graph.news(pos).into_iter();
        let of_lane = |parent: &Pos| self.graph.chain(parent.chain).lane == lane;
        self.graph
            .before(pos)
            .into_iter()
            .chain(news.filter(of_lane))
            .collect()
    }

    /// The T and H by which an event is ordered: its static ones, or what a barrier that lacks it
    /// has made of them.
    pub(crate) fn key_of(&self, pos: Pos) -> (u64, u64) {
        let entry = self.graph.entry(pos);
        let placed = self.placed.get(&pos).copied();
        placed.unwrap_or((entry.t, entry.h))
    }

    /// Whether an event stands later than by its own past: a barrier lacks it, or one of its
    /// parents.
    pub fn is_moved(&self, pos: Pos) -> bool {
        self.placed.contains_key(&pos)
    }

    /// Whether an event came after a barrier of its lane below which it would have stood.
    pub fn came_late(&self, pos: Pos) -> bool {
        self.late.contains(&pos)
    }

    /// Whether an event came so long after a barrier of its lane below which it would have stood
    /// that people are told.
    pub fn is_late(&self, pos: Pos) -> bool {
        let moved = self.key_of(pos).0.saturating_sub(self.graph.entry(pos).t);
        self.came_late(pos) && moved >= limits::LATE_MS
    }

    /// The numbers and digests of the barriers that stand in a lane, the lowest first.
    pub fn barriers(&self, lane: LaneId) -> Vec<(u64, Hash)> {
        let Some(finality) = self.finality(lane) else {
            return Vec::new();
        };
        let chain = finality.chain_above(finality.settled.top, None);
        let chain = chain.into_iter().flatten();
        let named = chain.map(|one| {
            let one = finality.certificate(one);
            (one.number, one.digest)
        });
        named.collect()
    }

    /// Whether nothing can change any more what an event is worth or where it stands.
    pub fn is_final(&self, pos: Pos) -> bool {
        let lane = self.lane_of(pos);
        let held = |lane: LaneId| self.finality(lane).map(|finality| &finality.settled);
        let of_lane = held(lane).is_some_and(|settled| settled.holds(pos));
        let acts = self.acts_within(self.graph.entry(pos).frontier);
        let control = held(self.control_lane);
        of_lane
            && acts
                .iter()
                .all(|act| control.is_some_and(|settled| settled.holds(*act)))
    }

    /// Of a control frontier the last acts of each chain: acks say nothing that others build on.
    pub(crate) fn acts_within(&self, frontier: FrontierIx) -> Vec<Pos> {
        let acts = self.graph.frontier(frontier).iter();
        acts.filter_map(|&(chain, upto)| self.graph.last_act(chain, upto))
            .collect()
    }

    /// Whether an event that is no ack lies above the last barrier that stands in a lane.
    pub(crate) fn is_unsettled(&self, lane: LaneId) -> bool {
        let settled = self.finality(lane).map(|finality| &finality.settled);
        let mut chains = self.graph.logs_of(lane).flat_map(|(_, chains)| chains);
        chains.any(|&chain| {
            let held = self.graph.chain(chain);
            let below = settled.and_then(|settled| settled.upto.get(&chain));
            let from = below.map_or(0, |below| (below + 1).saturating_sub(held.first));
            let above = held.entries.iter().skip(from as usize);
            above.clone().any(|entry| entry.kind != Kind::Ack)
        })
    }

    /// How far a lane has come.
    pub fn standing(&self, lane: LaneId) -> Standing {
        let above = self.above(lane);
        let above = above
            .iter()
            .filter(|pos| self.graph.entry(**pos).kind != Kind::Ack);
        let view = self.present().clone();
        let Some(finality) = self.finality(lane) else {
            return Standing {
                barrier: 0,
                above: above.count() as u64,
                awaited: Vec::new(),
                floors: Vec::new(),
            };
        };
        let past = Past::of_all(self, lane);
        let top = finality.settled.top;
        Standing {
            barrier: top.map_or(0, |top| finality.certificate(top).number),
            above: above.count() as u64,
            awaited: finality.awaited(&past, &view),
            floors: self.floors(lane),
        }
    }
}
