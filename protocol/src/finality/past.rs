//! A closed set of events: an ack's own past, or all that is held.

use std::collections::BTreeMap;

use crate::channel::Channel;
use crate::event::Kind;
use crate::graph::{ChainIx, FrontierIx, Pos};
use crate::id::{LaneId, PartnerId, WriterId};

/// What is held of a lane and of the control lane.
pub(crate) struct Past<'a> {
    pub channel: &'a Channel,
    pub lane: LaneId,
    /// Of the lane's chains, how far each is held.
    upto: BTreeMap<ChainIx, u64>,
    pub frontier: FrontierIx,
}

impl<'a> Past<'a> {
    /// The past of an event of `lane` whose direct parents are `parents` and whose control
    /// frontier is `frontier`.
    pub fn of_event(
        channel: &'a Channel,
        lane: LaneId,
        parents: &[Pos],
        frontier: FrontierIx,
    ) -> Past<'a> {
        let graph = channel.graph();
        let chains = graph.logs_of(lane).flat_map(|(_, chains)| chains);
        let known = chains.filter_map(|&chain| {
            let known = parents.iter().map(|parent| graph.known(*parent, chain));
            let upto = known.max().unwrap_or(0);
            (upto > 0).then_some((chain, upto))
        });
        Past {
            channel,
            lane,
            upto: known.collect(),
            frontier,
        }
    }

    /// All that is held.
    pub fn of_all(channel: &'a Channel, lane: LaneId) -> Past<'a> {
        let graph = channel.graph();
        let chains = graph.logs_of(lane).flat_map(|(_, chains)| chains);
        Past {
            channel,
            lane,
            upto: chains
                .map(|&chain| (chain, graph.chain(chain).head()))
                .collect(),
            frontier: channel.present_frontier(),
        }
    }

    /// The control events of a frontier.
    pub fn of_frontier(channel: &'a Channel, frontier: FrontierIx) -> Past<'a> {
        Past {
            channel,
            lane: channel.control_lane,
            upto: channel.graph().frontier(frontier).iter().copied().collect(),
            frontier,
        }
    }

    fn upto(&self, chain: ChainIx) -> u64 {
        self.upto.get(&chain).copied().unwrap_or(0)
    }

    /// Whether an event of the lane is held.
    pub fn holds(&self, pos: Pos) -> bool {
        self.upto(pos.chain) >= pos.seq
    }

    /// Whether a control event is held.
    pub fn holds_control(&self, pos: Pos) -> bool {
        self.channel.graph().frontier_holds(self.frontier, pos)
    }

    /// Whether an event of `lane`, which is this one or the control lane, is held.
    fn sees(&self, lane: LaneId, pos: Pos) -> bool {
        if lane == self.lane {
            self.holds(pos)
        } else {
            self.holds_control(pos)
        }
    }

    /// The lanes that count: this one and the control lane.
    fn lanes(&self) -> impl Iterator<Item = LaneId> {
        let control = self.channel.control_lane;
        std::iter::once(self.lane).chain(Some(control).filter(|control| *control != self.lane))
    }

    /// Whether a partner is seen to have written two events for one position, by a writer that is
    /// named as its seat.
    pub fn forked(&self, partner: PartnerId) -> bool {
        let channel = self.channel;
        self.lanes().any(|lane| {
            let proved = channel.proofs_of(lane).any(|(writer, proof)| {
                self.is_named_seat(partner, writer)
                    && proof.evidence.iter().any(|pos| self.sees(lane, *pos))
            });
            proved
                || channel.graph().logs_of(lane).any(|(writer, chains)| {
                    chains.len() > 1
                        && self.is_named_seat(partner, &writer)
                        && self.holds_branches(lane, chains)
                })
        })
    }

    fn is_named_seat(&self, partner: PartnerId, writer: &WriterId) -> bool {
        let mut named = self.channel.seat_named(writer).iter();
        named.any(|(whose, act)| *whose == partner && self.holds_control(*act))
    }

    /// Whether two events of a log for one position are held.
    fn holds_branches(&self, lane: LaneId, chains: &[ChainIx]) -> bool {
        let graph = self.channel.graph();
        chains.iter().any(|&branch| {
            let seq = graph.chain(branch).first;
            let at = |chain: ChainIx| Pos { chain, seq };
            let other = |&&chain: &&ChainIx| chain != branch && graph.get(at(chain)).is_some();
            self.sees(lane, at(branch))
                && chains
                    .iter()
                    .filter(other)
                    .any(|&chain| self.sees(lane, at(chain)))
        })
    }

    /// Whether a partner has left and not come back.
    pub fn has_left(&self, partner: PartnerId) -> bool {
        let graph = self.channel.graph();
        let Some(comings) = self.channel.comings(&partner) else {
            return false;
        };
        comings.leaves.iter().any(|&leave| {
            self.holds_control(leave)
                // Mostly the last one has all leaves in its past.
                && !comings.accepts.iter().rev().any(|&accept| {
                    self.holds_control(accept)
                        && graph.frontier_holds(graph.entry(accept).frontier, leave)
                })
        })
    }

    /// Whether a partner knows of a control act by an event of its seat that is no ack.
    pub fn knows(&self, partner: PartnerId, act: Pos) -> bool {
        let graph = self.channel.graph();
        self.lanes().any(|lane| {
            let chains = graph.logs_of(lane).flat_map(|(_, chains)| chains);
            chains.copied().any(|chain| {
                let upto = if lane == self.lane {
                    self.upto(chain)
                } else {
                    graph.frontier_upto(self.frontier, chain)
                };
                let held = graph.chain(chain);
                let count = (upto + 1).saturating_sub(held.first) as usize;
                let entries = &held.entries[..count.min(held.entries.len())];
                // Who knows once knows from then on.
                let first = entries.partition_point(|entry| {
                    !graph.frontier_holds(entry.frontier, act)
                        && graph.get(act).is_none_or(|known| known.id != entry.id)
                });
                entries[first..].iter().any(|entry| {
                    entry.by_seat
                        && entry.kind != Kind::Ack
                        && self.channel.author_of(entry).partner == partner
                })
            })
        })
    }
}
