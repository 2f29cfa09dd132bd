//! What a former member's events are still worth.
//!
//! Nobody can prove when an event was written. So what a writer wrote without knowing that its
//! membership had ended stands only as far as the others held it when they learned of the end:
//! as far as their events, up to and including their cut, have it in their past.

use std::collections::{BTreeMap, BTreeSet};

use crate::authority::{Act, Ending, View};
use crate::channel::Channel;
use crate::event::Kind;
use crate::finality::Settled;
use crate::graph::{ChainIx, Entry, FrontierIx, Pos};
use crate::id::{LaneId, PartnerId, WriterId};
use crate::mutation::{self, Mutation};

/// Whether an accepted event can change what stands in its lane: it is struck itself, or it
/// vouches for what others wrote.
pub(crate) fn bears_on_flags(channel: &Channel, pos: Pos) -> bool {
    let entry = channel.graph.entry(pos);
    let strikes = strikes_on(channel, channel.lane_of(pos), channel.present());
    strikes.iter().any(|strike| match strike {
        Strike::Ending(ending) => {
            entry.kind == Kind::Cut || !channel.graph.frontier_holds(entry.frontier, ending.pos)
        }
        Strike::NoStanding(_) => true,
    })
}

/// Of chains, the positions of the messages that do not stand: ranges, ascending and apart, both
/// ends included. However many late events a former member brings, they make few ranges.
#[derive(Debug, Default, Clone)]
pub(crate) struct Fallen(BTreeMap<ChainIx, Vec<(u64, u64)>>);

impl Fallen {
    pub(crate) fn add(&mut self, chain: ChainIx, from: u64, to: u64) {
        if from > to {
            return;
        }
        let ranges = self.0.entry(chain).or_default();
        ranges.push((from, to));
        ranges.sort_unstable();
        let mut apart: Vec<(u64, u64)> = Vec::with_capacity(ranges.len());
        for &(from, to) in ranges.iter() {
            match apart
                .last_mut()
                .filter(|last| from <= last.1.saturating_add(1))
            {
                Some(last) => last.1 = last.1.max(to),
                None => apart.push((from, to)),
            }
        }
        *ranges = apart;
    }

    pub(crate) fn holds(&self, pos: Pos) -> bool {
        self.begin(pos).is_some()
    }

    /// The first position of the range that holds one.
    fn begin(&self, pos: Pos) -> Option<u64> {
        let ranges = self.0.get(&pos.chain)?;
        let after = ranges.partition_point(|(from, _)| *from <= pos.seq);
        let (from, to) = ranges[after.checked_sub(1)?];
        (pos.seq <= to).then_some(from)
    }

    /// All positions, ascending.
    pub(crate) fn positions(&self) -> BTreeSet<Pos> {
        self.without(&Fallen::default())
    }

    /// The positions that are in one of the two and not in the other, ascending.
    pub(crate) fn differences(&self, other: &Fallen) -> BTreeSet<Pos> {
        let mut differences = self.without(other);
        differences.append(&mut other.without(self));
        differences
    }

    fn without(&self, other: &Fallen) -> BTreeSet<Pos> {
        let mut rest = BTreeSet::new();
        for (&chain, ranges) in &self.0 {
            let cut = other.0.get(&chain).map_or(&[][..], Vec::as_slice);
            for &(from, to) in ranges {
                let mut next = from;
                for &(cut_from, cut_to) in cut.iter().filter(|cut| cut.0 <= to && cut.1 >= from) {
                    rest.extend((next..cut_from).map(|seq| Pos { chain, seq }));
                    next = next.max(cut_to.saturating_add(1));
                }
                rest.extend((next..=to).map(|seq| Pos { chain, seq }));
            }
        }
        rest
    }
}

/// The messages of a lane that do not stand; positions of other kinds may be among them. What a
/// standing barrier holds is decided.
pub(crate) fn fallen(channel: &Channel, lane: LaneId) -> Fallen {
    let frame = Frame {
        channel,
        view: channel.present(),
        upto: None,
        below: channel
            .finality(lane)
            .map(|finality| &finality.settled)
            .filter(|_| !mutation::is(Mutation::FlagsUndecided)),
    };
    frame.fallen(lane)
}

/// The same of what a barrier holds, up to the given positions, by the view of the control events
/// that it holds; what the one before it holds is decided.
pub(crate) fn fallen_within(
    channel: &Channel,
    lane: LaneId,
    view: &View,
    upto: &BTreeMap<ChainIx, u64>,
) -> Fallen {
    let frame = Frame {
        channel,
        view,
        upto: Some(upto),
        below: channel.finality(lane).map(|finality| &finality.settled),
    };
    frame.fallen(lane)
}

/// By what the events of a lane are judged.
#[derive(Clone, Copy)]
struct Frame<'a> {
    channel: &'a Channel,
    view: &'a View,
    /// How far of each chain; all of it where absent.
    upto: Option<&'a BTreeMap<ChainIx, u64>>,
    /// What is decided.
    below: Option<&'a Settled>,
}

impl Frame<'_> {
    fn fallen(&self, lane: LaneId) -> Fallen {
        let strikes = strikes_on(self.channel, lane, self.view);
        let mut fallen = self.below.map(|below| below.decided.clone());
        let mut fallen = fallen.take().unwrap_or_default();
        if mutation::is(Mutation::FlaggedStillShown) || strikes.is_empty() {
            return fallen;
        }
        let lane = Lane::new(*self, lane, strikes);
        for (&chain, struck) in &lane.struck {
            let first = self.channel.graph.chain(chain).first;
            let undecided = self.decided_upto(chain) + 1;
            for span in struck {
                let from = (span.covered + 1).max(first).max(undecided);
                fallen.add(chain, from, span.unaware);
            }
        }
        fallen
    }

    /// The last position of a chain that counts; below its first where none does.
    fn head(&self, chain: ChainIx) -> u64 {
        match self.upto {
            None => self.channel.graph.chain(chain).head(),
            Some(upto) => upto.get(&chain).copied().unwrap_or(0),
        }
    }

    fn decided_upto(&self, chain: ChainIx) -> u64 {
        let upto = self.below.and_then(|below| below.upto.get(&chain));
        upto.copied().unwrap_or(0)
    }

    /// Where the row of decided events begins that do not stand and of which this is one.
    fn begin_of_fallen(&self, pos: Pos) -> Option<u64> {
        self.below?.decided.begin(pos)
    }
}

/// What takes the worth from events.
enum Strike<'a> {
    /// Their author's membership has ended, or their writer was displaced.
    Ending(&'a Ending),
    /// What admitted their author has no effect.
    NoStanding(PartnerId),
}

impl Strike<'_> {
    fn strikes(&self, author: PartnerId, writer: WriterId) -> bool {
        match self {
            Strike::Ending(ending) => ending.strikes(author, writer),
            Strike::NoStanding(partner) => author == *partner,
        }
    }
}

/// What strikes events of a lane, in the light of a view.
fn strikes_on<'a>(channel: &'a Channel, lane: LaneId, view: &'a View) -> Vec<Strike<'a>> {
    let Some(lane) = channel.lane(&lane) else {
        return Vec::new();
    };
    let endings = view.endings.iter();
    let endings = endings.filter(|ending| lane.audience.contains(&ending.partner));
    let strangers = lane.audience.iter();
    let strangers = strangers.filter(|partner| !view.members.contains_key(*partner));
    let strangers = strangers.filter(|_| !mutation::is(Mutation::NoStandingIgnored));
    endings
        .map(Strike::Ending)
        .chain(strangers.map(|partner| Strike::NoStanding(*partner)))
        .collect()
}

/// Of one chain and what strikes its writer: the positions up to `unaware` are struck, and those
/// of them up to `covered` are vouched for.
struct Span {
    strike: usize,
    unaware: u64,
    covered: u64,
}

struct Lane<'a> {
    frame: Frame<'a>,
    channel: &'a Channel,
    chains: Vec<ChainIx>,
    /// Per chain and strike that does not concern it: the last position that may vouch.
    vouches: BTreeMap<(ChainIx, usize), u64>,
    struck: BTreeMap<ChainIx, Vec<Span>>,
}

impl<'a> Lane<'a> {
    fn new(frame: Frame<'a>, lane: LaneId, strikes: Vec<Strike<'_>>) -> Lane<'a> {
        let channel = frame.channel;
        let logs = channel.graph.logs_of(lane);
        let chains: Vec<ChainIx> = logs.flat_map(|(_, chains)| chains).copied().collect();
        let chains = chains.into_iter();
        let of_frame = |chain: &ChainIx| frame.head(*chain) >= channel.graph.chain(*chain).first;
        let mut lane = Lane {
            frame,
            channel,
            chains: chains.filter(of_frame).collect(),
            vouches: BTreeMap::new(),
            struck: BTreeMap::new(),
        };
        for (number, strike) in strikes.iter().enumerate() {
            lane.take(number, strike);
        }
        while lane.cover() {}
        lane
    }

    fn take(&mut self, number: usize, strike: &Strike<'_>) {
        let returns = match strike {
            Strike::Ending(ending) => returns_after(self.frame, ending),
            Strike::NoStanding(_) => Vec::new(),
        };
        for &chain in &self.chains {
            let held = self.channel.graph.chain(chain);
            let author = author_of_log(self.channel, chain);
            let unaware = match strike {
                Strike::Ending(ending) => self.unaware(chain, ending.pos),
                Strike::NoStanding(_) => self.frame.head(chain),
            };
            if strike.strikes(author, held.writer) {
                if unaware >= held.first {
                    self.struck.entry(chain).or_default().push(Span {
                        strike: number,
                        unaware,
                        covered: 0,
                    });
                }
                continue;
            }
            let upto = match strike {
                Strike::Ending(ending) => self.last_vouching(chain, unaware, ending.pos, &returns),
                Strike::NoStanding(_) => unaware,
            };
            self.vouches.insert((chain, number), upto);
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
        (held.first + count as u64 - 1).min(self.frame.head(chain).max(held.first - 1))
    }

    /// The writer's cut may follow its last unaware event: it is the row of cuts under one control
    /// frontier that begins there, unless the former member has returned in it.
    fn last_vouching(&self, chain: ChainIx, unaware: u64, ending: Pos, returns: &[Pos]) -> u64 {
        let held = self.channel.graph.chain(chain);
        if mutation::is(Mutation::CutVouchesForLater) {
            return self.frame.head(chain);
        }
        let Some(begun) = self.cut_begun_before(chain, unaware, ending) else {
            return unaware;
        };
        let count = (self.frame.head(chain) + 1 - held.first) as usize;
        let after = &held.entries[(unaware + 1 - held.first) as usize..count];
        let Some(frontier) = begun.or(after.first().map(|entry| entry.frontier)) else {
            return unaware;
        };
        let graph = &self.channel.graph;
        if returns
            .iter()
            .any(|back| graph.frontier_holds(frontier, *back))
        {
            return unaware;
        }
        let row = after.iter();
        let row = row.take_while(|entry| is_cut_under(entry, frontier));
        unaware + row.count() as u64
    }

    /// Whether the row of a writer's cut may go on after `unaware` in a chain: at the chain's own
    /// first aware event, or, where a branch of a fork begins aware, as the row that its base is
    /// in, whose frontier is given.
    fn cut_begun_before(
        &self,
        chain: ChainIx,
        unaware: u64,
        ending: Pos,
    ) -> Option<Option<FrontierIx>> {
        let held = self.channel.graph.chain(chain);
        let mut base = held.base.filter(|_| unaware < held.first);
        let mut frontier = None;
        while let Some(pos) = base {
            let held = self.channel.graph.chain(pos.chain);
            let unaware = self.unaware(pos.chain, ending);
            let aware = unaware.max(held.first - 1) + 1..=pos.seq;
            for seq in aware {
                let entry = &held.entries[(seq - held.first) as usize];
                let row = *frontier.get_or_insert(entry.frontier);
                if !is_cut_under(entry, row) {
                    return None;
                }
            }
            if unaware >= held.first {
                break;
            }
            base = held.base;
        }
        Some(frontier)
    }

    /// Extends what is vouched for; false once nothing changes.
    fn cover(&mut self) -> bool {
        let mut news = Vec::new();
        for (&chain, spans) in &self.struck {
            for (at, span) in spans.iter().enumerate() {
                let covered = self.covered(chain, span.strike).min(span.unaware);
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

    /// How far of a chain somebody vouches for, whom the strike does not concern.
    fn covered(&self, chain: ChainIx, strike: usize) -> u64 {
        self.chains
            .iter()
            .filter_map(|&other| {
                let upto = *self.vouches.get(&(other, strike))?;
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
        let decided = self.frame.decided_upto(chain);
        while seq >= first {
            if seq <= decided {
                match self.frame.begin_of_fallen(Pos { chain, seq }) {
                    Some(begin) => seq = begin - 1,
                    None => return Some(seq),
                }
                continue;
            }
            let fallen = |span: &&Span| seq <= span.unaware && seq > span.covered;
            match spans.iter().find(fallen) {
                Some(span) => seq = span.covered.max(decided),
                None => return Some(seq),
            }
        }
        None
    }
}

/// Of a log the author of its first event counts, on every branch.
pub(crate) fn author_of_log(channel: &Channel, chain: ChainIx) -> PartnerId {
    let mut chain = chain;
    while let Some(base) = channel.graph.chain(chain).base {
        chain = base.chain;
    }
    let seq = channel.graph.chain(chain).first;
    channel.author(Pos { chain, seq }).partner
}

fn is_cut_under(entry: &Entry, frontier: FrontierIx) -> bool {
    entry.kind == Kind::Cut && entry.frontier == frontier
}

/// The effective invitations by which the partner of an ending came back.
fn returns_after(frame: Frame<'_>, ending: &Ending) -> Vec<Pos> {
    let channel = frame.channel;
    let effective = &frame.view.effective;
    let acts = channel.controls.events();
    acts.filter(|event| {
        matches!(&event.act, Act::Invite { partner, .. } if *partner == ending.partner)
            && effective.contains(&event.pos)
            && channel.graph.frontier_holds(event.frontier, ending.pos)
    })
    .map(|event| event.pos)
    .collect()
}
