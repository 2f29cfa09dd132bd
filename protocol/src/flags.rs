//! What a former member's events are still worth.
//!
//! Nobody can prove when an event was written. So what a writer wrote without knowing that its
//! membership had ended stands only as far as the others held it when they learned of the end:
//! as far as their events, up to and including their cut, have it in their past.

use std::collections::{BTreeMap, BTreeSet};

use crate::authority::{Act, Ending};
use crate::channel::Channel;
use crate::event::Kind;
use crate::graph::{ChainIx, Entry, Pos};
use crate::id::LaneId;

/// Whether an accepted event can change what stands in its lane: it is struck by an ending that it
/// does not know of, or it vouches for what others wrote before one.
pub(crate) fn bears_on_flags(channel: &Channel, pos: Pos) -> bool {
    let entry = channel.graph.entry(pos);
    endings_of(channel, channel.lane_of(pos))
        .iter()
        .any(|ending| {
            entry.kind == Kind::Cut || !channel.graph.frontier_holds(entry.frontier, ending.pos)
        })
}

/// The messages of a lane that do not stand.
pub(crate) fn flagged(channel: &Channel, lane: LaneId) -> BTreeSet<Pos> {
    let endings = endings_of(channel, lane);
    if endings.is_empty() {
        return BTreeSet::new();
    }
    let lane_endings = Lane::new(channel, lane, endings);
    let mut flagged = BTreeSet::new();
    for (&chain, struck) in &lane_endings.struck {
        let first = channel.graph.chain(chain).first;
        for span in struck {
            let fallen = (span.covered + 1).max(first)..=span.unaware;
            flagged.extend(fallen.map(|seq| Pos { chain, seq }));
        }
    }
    flagged.retain(|pos| channel.graph.entry(*pos).kind.is_sealed());
    flagged
}

/// The endings of the present view that bear on a lane.
fn endings_of(channel: &Channel, lane: LaneId) -> Vec<&Ending> {
    let endings = &channel.present().endings;
    let Some(lane) = channel.lane(&lane).filter(|_| !endings.is_empty()) else {
        return Vec::new();
    };
    let bears = |ending: &&Ending| lane.audience.contains(&ending.partner);
    endings.iter().filter(bears).collect()
}

/// Of one chain and one ending that strikes its writer: the positions up to `unaware` do not know
/// of the ending, and those of them up to `covered` are vouched for.
struct Span {
    ending: usize,
    unaware: u64,
    covered: u64,
}

struct Lane<'a> {
    channel: &'a Channel,
    chains: Vec<ChainIx>,
    /// Per chain and ending that does not strike it: the last position that may vouch.
    vouches: BTreeMap<(ChainIx, usize), u64>,
    struck: BTreeMap<ChainIx, Vec<Span>>,
}

impl<'a> Lane<'a> {
    fn new(channel: &'a Channel, lane: LaneId, endings: Vec<&Ending>) -> Lane<'a> {
        let logs = channel.graph.logs_of(lane);
        let chains: Vec<ChainIx> = logs.flat_map(|(_, chains)| chains).copied().collect();
        let mut lane = Lane {
            channel,
            chains,
            vouches: BTreeMap::new(),
            struck: BTreeMap::new(),
        };
        for (number, ending) in endings.into_iter().enumerate() {
            lane.take(number, ending);
        }
        while lane.cover() {}
        lane
    }

    fn take(&mut self, number: usize, ending: &Ending) {
        let returns = returns_after(self.channel, ending);
        for &chain in &self.chains {
            let held = self.channel.graph.chain(chain);
            let unaware = self.unaware(chain, ending.pos);
            let Some(partner) = self.channel.writer_partner(&held.writer) else {
                continue;
            };
            if !ending.strikes(partner, held.writer) {
                let upto = self.last_vouching(chain, unaware, ending.pos, &returns);
                self.vouches.insert((chain, number), upto);
            } else if unaware >= held.first {
                self.struck.entry(chain).or_default().push(Span {
                    ending: number,
                    unaware,
                    covered: 0,
                });
            }
        }
    }

    /// The last position of a chain that does not know of a control event; the one before the
    /// first where all know.
    fn unaware(&self, chain: ChainIx, control: Pos) -> u64 {
        let graph = &self.channel.graph;
        let held = graph.chain(chain);
        let count = held
            .entries
            .partition_point(|entry| !graph.frontier_holds(entry.frontier, control));
        held.first + count as u64 - 1
    }

    /// The writer's cut may follow its last unaware event: it is the row of cuts that begins
    /// there, as long as the former member has not returned.
    fn last_vouching(&self, chain: ChainIx, unaware: u64, ending: Pos, returns: &[Pos]) -> u64 {
        let held = self.channel.graph.chain(chain);
        if unaware < held.first && !self.is_before_or_cut(held.base, ending, returns) {
            return unaware;
        }
        let after = held
            .entries
            .iter()
            .skip((unaware + 1 - held.first) as usize);
        let cuts = after.take_while(|entry| self.is_cut(entry, returns));
        unaware + cuts.count() as u64
    }

    fn is_cut(&self, entry: &Entry, returns: &[Pos]) -> bool {
        let graph = &self.channel.graph;
        let returned = |back: &Pos| graph.frontier_holds(entry.frontier, *back);
        entry.kind == Kind::Cut && !returns.iter().any(returned)
    }

    /// Whether a branch of a fork that begins after `base` is still before its writer's cut, or
    /// in the row of it.
    fn is_before_or_cut(&self, base: Option<Pos>, ending: Pos, returns: &[Pos]) -> bool {
        let mut base = base;
        while let Some(pos) = base {
            let held = self.channel.graph.chain(pos.chain);
            let unaware = self.unaware(pos.chain, ending);
            let aware = unaware.max(held.first - 1) + 1..=pos.seq;
            let entry = |seq: u64| &held.entries[(seq - held.first) as usize];
            if !aware
                .into_iter()
                .all(|seq| self.is_cut(entry(seq), returns))
            {
                return false;
            }
            if unaware >= held.first {
                return true;
            }
            base = held.base;
        }
        true
    }

    /// Extends what is vouched for; false once nothing changes.
    fn cover(&mut self) -> bool {
        let mut news = Vec::new();
        for (&chain, spans) in &self.struck {
            for (at, span) in spans.iter().enumerate() {
                let covered = self.covered(chain, span.ending).min(span.unaware);
                if covered > span.covered {
                    news.push((chain, at, covered));
                }
            }
        }
        for &(chain, at, covered) in &news {
            if let Some(spans) = self.struck.get_mut(&chain) {
                spans[at].covered = covered;
            }
        }
        !news.is_empty()
    }

    /// How far of a chain somebody vouches for, whom the ending does not strike.
    fn covered(&self, chain: ChainIx, ending: usize) -> u64 {
        self.chains
            .iter()
            .filter_map(|&other| {
                let upto = *self.vouches.get(&(other, ending))?;
                let seq = self.last_standing(other, upto)?;
                Some(self.channel.graph.known(Pos { chain: other, seq }, chain))
            })
            .max()
            .unwrap_or(0)
    }

    /// The last event of a chain at or before `upto` that stands itself.
    fn last_standing(&self, chain: ChainIx, upto: u64) -> Option<u64> {
        let first = self.channel.graph.chain(chain).first;
        let spans = self.struck.get(&chain).map_or(&[][..], Vec::as_slice);
        let mut seq = upto;
        while seq >= first {
            let fallen = |span: &&Span| seq <= span.unaware && seq > span.covered;
            match spans.iter().find(fallen) {
                Some(span) => seq = span.covered,
                None => return Some(seq),
            }
        }
        None
    }
}

/// The effective invitations by which the partner of an ending came back.
fn returns_after(channel: &Channel, ending: &Ending) -> Vec<Pos> {
    let effective = &channel.present().effective;
    let acts = channel.controls.events();
    acts.filter(|event| {
        matches!(&event.act, Act::Invite { partner, .. } if *partner == ending.partner)
            && effective.contains(&event.pos)
            && channel.graph.frontier_holds(event.frontier, ending.pos)
    })
    .map(|event| event.pos)
    .collect()
}
