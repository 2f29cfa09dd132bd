//! What is accepted in one channel, and who knew of what: positions, pasts and control
//! frontiers.
//!
//! Every log is a chain of entries. A fork makes a further chain that begins where the branches
//! part. For each chain the graph keeps, sparsely, how far along every other chain its author
//! had seen at each position; so whether one event lies in another's past is a binary search.
//! Chain numbers and frontier numbers are local to a node and never leave it.

use std::collections::BTreeMap;

use crate::event::Kind;
use crate::id::{EventId, LaneId, WriterId};

/// A chain's local number.
pub type ChainIx = u32;
/// An interned control frontier's local number.
pub type FrontierIx = u32;

/// Where an accepted event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos {
    pub chain: ChainIx,
    pub seq: u64,
}

/// What is kept of every accepted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub id: EventId,
    /// The greatest claimed time of the event and its parents, Unix milliseconds.
    pub t: u64,
    /// One more than the greatest height of its parents.
    pub h: u64,
    pub frontier: FrontierIx,
    pub kind: Kind,
    /// The author's local number.
    pub author: u32,
    /// Whether its writer is its author's seat in the view of its control frontier.
    pub by_seat: bool,
}

/// One branch of one log.
#[derive(Debug)]
pub struct Chain {
    pub lane: LaneId,
    pub writer: WriterId,
    /// The event that this chain's first one follows.
    pub base: Option<Pos>,
    /// The position of the first entry.
    pub first: u64,
    pub entries: Vec<Entry>,
    /// Per other chain: from which own position on how far of it is known; both ascending.
    known: BTreeMap<ChainIx, Vec<(u64, u64)>>,
}

impl Chain {
    /// The position of the last entry.
    pub fn head(&self) -> u64 {
        self.first + self.entries.len() as u64 - 1
    }

    pub fn last(&self) -> &Entry {
        // A chain is made with its first entry and never shrinks.
        &self.entries[self.entries.len() - 1]
    }
}

/// All control events that an event's past holds: per control chain the greatest position.
pub type Frontier = Vec<(ChainIx, u64)>;

/// The accepted events of a channel.
#[derive(Debug)]
pub struct Graph {
    chains: Vec<Chain>,
    logs: BTreeMap<(LaneId, WriterId), Vec<ChainIx>>,
    frontiers: Vec<Frontier>,
    frontier_numbers: BTreeMap<Frontier, FrontierIx>,
}

/// The frontier of an event whose past holds no control event.
pub const EMPTY_FRONTIER: FrontierIx = 0;

impl Default for Graph {
    fn default() -> Self {
        Graph {
            chains: Vec::new(),
            logs: BTreeMap::new(),
            frontiers: vec![Frontier::new()],
            frontier_numbers: BTreeMap::from([(Frontier::new(), EMPTY_FRONTIER)]),
        }
    }
}

impl Graph {
    /// Finds an accepted event.
    pub fn find(&self, lane: LaneId, writer: WriterId, seq: u64, id: &EventId) -> Option<Pos> {
        self.branches(lane, writer)
            .iter()
            .map(|&chain| Pos { chain, seq })
            .find(|&pos| self.get(pos).is_some_and(|entry| entry.id == *id))
    }

    /// The chains of a log: one, or more once a fork was accepted.
    pub fn branches(&self, lane: LaneId, writer: WriterId) -> &[ChainIx] {
        self.logs.get(&(lane, writer)).map_or(&[], Vec::as_slice)
    }

    /// The logs of `lane`, sorted by writer, each with its chains.
    pub fn logs_of(&self, lane: LaneId) -> impl Iterator<Item = (WriterId, &[ChainIx])> {
        self.logs
            .range((lane, WriterId([0; 32]))..=(lane, WriterId([0xff; 32])))
            .map(|((_, writer), chains)| (*writer, chains.as_slice()))
    }

    pub fn chain(&self, chain: ChainIx) -> &Chain {
        &self.chains[chain as usize]
    }

    pub fn chains(&self) -> &[Chain] {
        &self.chains
    }

    /// The entry at a position of that very chain; absent before its base.
    pub fn get(&self, pos: Pos) -> Option<&Entry> {
        let chain = self.chains.get(pos.chain as usize)?;
        let offset = pos.seq.checked_sub(chain.first)?;
        chain.entries.get(usize::try_from(offset).ok()?)
    }

    /// The entry at a position known to exist.
    pub fn entry(&self, pos: Pos) -> &Entry {
        let chain = &self.chains[pos.chain as usize];
        &chain.entries[(pos.seq - chain.first) as usize]
    }

    /// The greatest contiguous position held of a log on its longest branch; 0 for none.
    pub fn height(&self, lane: LaneId, writer: WriterId) -> u64 {
        self.branches(lane, writer)
            .iter()
            .map(|&chain| self.chain(chain).head())
            .max()
            .unwrap_or(0)
    }

    /// How far of chain `other` the event at `pos` has in its past, itself included; 0 for
    /// nothing.
    pub fn known(&self, pos: Pos, other: ChainIx) -> u64 {
        if pos.chain == other {
            return pos.seq;
        }
        let Some(steps) = self.chain(pos.chain).known.get(&other) else {
            return 0;
        };
        let after = steps.partition_point(|(at, _)| *at <= pos.seq);
        after.checked_sub(1).map_or(0, |step| steps[step].1)
    }

    /// The event before `pos` in its log.
    pub fn before(&self, pos: Pos) -> Option<Pos> {
        let chain = self.chain(pos.chain);
        if pos.seq > chain.first {
            Some(Pos {
                chain: pos.chain,
                seq: pos.seq - 1,
            })
        } else {
            chain.base
        }
    }

    /// What came newly into an event's past, of other chains: its deps there, and what is before
    /// them.
    pub fn news(&self, pos: Pos) -> Vec<Pos> {
        let known = self.chain(pos.chain).known.iter();
        let news = known.filter_map(|(&chain, steps)| {
            let at = steps.binary_search_by_key(&pos.seq, |(at, _)| *at).ok()?;
            Some(Pos {
                chain,
                seq: steps[at].1,
            })
        });
        news.collect()
    }

    /// A control frontier without the acks that no act of it has in its past.
    pub fn acts_of(&mut self, frontier: FrontierIx) -> FrontierIx {
        let ends = self.frontier(frontier).iter();
        let acts: Frontier = ends
            .filter_map(|&(chain, upto)| Some((chain, self.last_act(chain, upto)?.seq)))
            .collect();
        self.intern(acts)
    }

    /// The last event of a chain, up to a position, that is no ack.
    pub fn last_act(&self, chain: ChainIx, upto: u64) -> Option<Pos> {
        let held = self.chain(chain);
        let seqs = (held.first..=upto.min(held.head())).rev();
        seqs.map(|seq| Pos { chain, seq })
            .find(|pos| self.entry(*pos).kind != Kind::Ack)
    }

    /// Whether `earlier` lies in the past of `later` or is the same event.
    pub fn in_past(&self, earlier: Pos, later: Pos) -> bool {
        self.known(later, earlier.chain) >= earlier.seq
    }

    pub fn frontier(&self, frontier: FrontierIx) -> &Frontier {
        &self.frontiers[frontier as usize]
    }

    /// Whether a control event lies in a frontier.
    pub fn frontier_holds(&self, frontier: FrontierIx, control: Pos) -> bool {
        self.frontier_upto(frontier, control.chain) >= control.seq
    }

    /// How far of a control chain lies in a frontier; 0 for nothing.
    pub fn frontier_upto(&self, frontier: FrontierIx, chain: ChainIx) -> u64 {
        let frontier = self.frontier(frontier);
        frontier
            .binary_search_by_key(&chain, |(chain, _)| *chain)
            .map_or(0, |at| frontier[at].1)
    }

    /// The union of frontiers, interned.
    pub fn union(&mut self, parts: &[FrontierIx]) -> FrontierIx {
        let mut distinct: Vec<FrontierIx> = parts.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        distinct.retain(|part| *part != EMPTY_FRONTIER);
        match distinct.as_slice() {
            [] => EMPTY_FRONTIER,
            [one] => *one,
            several => {
                let mut union = BTreeMap::new();
                for &part in several {
                    raise_all(&mut union, self.frontier(part));
                }
                self.intern(union.into_iter().collect())
            }
        }
    }

    /// The frontier that a control event makes known to whoever lists it: its own past and
    /// itself.
    pub fn frontier_with(&mut self, control: Pos) -> FrontierIx {
        let mut frontier: BTreeMap<ChainIx, u64> = BTreeMap::new();
        raise_all(&mut frontier, self.frontier(self.entry(control).frontier));
        raise_all(&mut frontier, &[(control.chain, control.seq)]);
        self.intern(frontier.into_iter().collect())
    }

    fn intern(&mut self, frontier: Frontier) -> FrontierIx {
        if let Some(number) = self.frontier_numbers.get(&frontier) {
            return *number;
        }
        let number = self.frontiers.len() as FrontierIx;
        self.frontiers.push(frontier.clone());
        self.frontier_numbers.insert(frontier, number);
        number
    }

    /// Adds an accepted event after `prev` (or as the first of its log), having `deps` in its
    /// past beside it.
    pub fn insert(
        &mut self,
        lane: LaneId,
        writer: WriterId,
        seq: u64,
        prev: Option<Pos>,
        deps: &[Pos],
        entry: Entry,
    ) -> Pos {
        let learned = self.learned(prev, deps);
        let chain = match prev {
            Some(prev) if self.chain(prev.chain).head() == prev.seq => prev.chain,
            _ => self.new_chain(lane, writer, seq, prev),
        };
        let own = &mut self.chains[chain as usize];
        own.entries.push(entry);
        for (other, upto) in learned {
            let steps = own.known.entry(other).or_default();
            if steps.last().is_none_or(|(_, known)| *known < upto) {
                steps.push((seq, upto));
            }
        }
        Pos { chain, seq }
    }

    /// What deps add, per chain; for a new branch, all that its base knew too.
    fn learned(&self, prev: Option<Pos>, deps: &[Pos]) -> BTreeMap<ChainIx, u64> {
        let mut learned = BTreeMap::new();
        let continues = |prev: Pos| self.chain(prev.chain).head() == prev.seq;
        let sources = prev
            .into_iter()
            .filter(|prev| !continues(*prev))
            .chain(deps.iter().copied());
        for source in sources {
            raise_all(&mut learned, &[(source.chain, source.seq)]);
            for &other in self.chain(source.chain).known.keys() {
                raise_all(&mut learned, &[(other, self.known(source, other))]);
            }
        }
        if let Some(prev) = prev.filter(|prev| continues(*prev)) {
            learned.remove(&prev.chain);
        }
        learned
    }

    fn new_chain(
        &mut self,
        lane: LaneId,
        writer: WriterId,
        seq: u64,
        base: Option<Pos>,
    ) -> ChainIx {
        let number = self.chains.len() as ChainIx;
        self.chains.push(Chain {
            lane,
            writer,
            base,
            first: seq,
            entries: Vec::new(),
            known: BTreeMap::new(),
        });
        self.logs.entry((lane, writer)).or_default().push(number);
        number
    }
}

fn raise_all(target: &mut BTreeMap<ChainIx, u64>, source: &[(ChainIx, u64)]) {
    for &(chain, upto) in source {
        if upto == 0 {
            continue;
        }
        let known = target.entry(chain).or_insert(0);
        *known = (*known).max(upto);
    }
}
