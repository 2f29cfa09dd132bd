//! Events, their causal pasts, and what follows from the pasts alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;

use super::acks::{Ack, CertIx, Certificate, Standing};
use super::authority::{Judged, View};
use super::bits::{Bits, EVENTS};
use super::rules::Rules;

/// The most partners of a modelled channel.
pub const PARTNERS: usize = 8;
/// The lane that all members read and that holds the acts.
pub const CONTROL: usize = 0;
/// Writers of a partner: its number times this, and the next ones.
pub const WRITERS: usize = 4;

/// What a member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Contributor,
    Admin,
    Owner,
}

/// An act that a quorum of owners may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Proposal {
    Remove(usize),
    Suspend(usize),
    Grant(usize, Role),
    Invite(usize, Role),
}

/// What an event is. Partners are numbers below [`PARTNERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Founds the channel, with the founders that the history names.
    Charter,
    /// Removes, suspends, grants or invites; by a quorum if enough endorsements are in its past.
    Act(Proposal),
    Endorse(Proposal),
    Accept,
    Leave,
    /// The seat goes to another writer of the same partner, by the seat itself.
    SeatMove(usize),
    /// The partner's root gives its seat to this writer; whoever is the author.
    SeatTransfer(usize, usize),
    /// Cites what it holds, and does nothing.
    Merge,
    Post,
    Cut,
    /// The acknowledgement of this number.
    Ack(u16),
    /// What barrier of this number holds may be dropped.
    Floor(u16),
}

/// A lane: the control lane has every partner as its audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    pub audience: u8,
}

/// An event. Its past is itself excluded and closed: an abstraction of prev, deps and heads.
#[derive(Debug, Clone)]
pub struct Event {
    pub author: usize,
    pub writer: usize,
    pub lane: usize,
    pub seq: u16,
    pub prev: Option<usize>,
    pub past: Bits,
    pub kind: Kind,
    /// The claimed time, which may lie.
    pub time: u32,
}

/// What a history starts from.
#[derive(Debug, Clone)]
pub struct Setting {
    pub rules: Rules,
    pub partners: usize,
    /// Who founds the channel, and with what role.
    pub founders: [Option<Role>; PARTNERS],
    pub lanes: Vec<Lane>,
    /// How many owners carry an act; 0 for a majority of them.
    pub quorum: usize,
    pub liars: u8,
}

/// All events of one run, in an order that extends causality. Nobody sees all of it: a node has a
/// closed set of them.
#[derive(Debug)]
pub struct History {
    pub setting: Setting,
    pub events: Vec<Event>,
    pub heights: Vec<u32>,
    /// Whether each event is by the seat of its partner, judged in its own past.
    pub by_seat: Vec<bool>,
    pub judged: Vec<Judged>,
    pub acks: Vec<Option<Ack>>,
    pub lane_events: Vec<Bits>,
    pub by_author: [Bits; PARTNERS],
    pub ack_events: Bits,
    /// Pairs of events that show their author to be a liar.
    pub conflicts: Vec<(usize, usize)>,
    pub certificates: Vec<Certificate>,
    pub standings: Vec<Standing>,
    /// Certificates by lane, the highest number first.
    pub by_number: Vec<Vec<CertIx>>,
    pub(super) views: RefCell<HashMap<Bits, std::rc::Rc<View>>>,
}

impl History {
    pub fn new(setting: Setting) -> History {
        let lanes = setting.lanes.len();
        History {
            setting,
            events: Vec::new(),
            heights: Vec::new(),
            by_seat: Vec::new(),
            judged: Vec::new(),
            acks: Vec::new(),
            lane_events: vec![Bits::EMPTY; lanes],
            by_author: [Bits::EMPTY; PARTNERS],
            ack_events: Bits::EMPTY,
            conflicts: Vec::new(),
            certificates: Vec::new(),
            standings: Vec::new(),
            by_number: vec![Vec::new(); lanes],
            views: RefCell::default(),
        }
    }

    pub fn full(&self) -> bool {
        self.events.len() >= EVENTS
    }

    /// The part of a closed set that an event of a lane can have in its past: the control lane and
    /// lanes that all of the lane's audience reads.
    pub fn visible(&self, held: Bits, lane: usize) -> Bits {
        let audience = self.setting.lanes[lane].audience;
        let wider = |other: usize| {
            other == CONTROL
                || lane != CONTROL && self.setting.lanes[other].audience & audience == audience
        };
        (0..self.setting.lanes.len())
            .filter(|other| wider(*other))
            .fold(Bits::EMPTY, |seen, other| seen | self.lane_events[other])
            & held
    }

    pub fn control(&self, held: Bits) -> Bits {
        held & self.lane_events[CONTROL]
    }

    /// The event with its past.
    pub fn with(&self, event: usize) -> Bits {
        self.events[event].past | Bits::of(event)
    }

    /// The last event of a writer's log in a lane among those held: of branches the last in place.
    pub fn tip(&self, held: Bits, writer: usize, lane: usize) -> Option<usize> {
        let log = held & self.lane_events[lane] & self.by_author[writer / WRITERS];
        log.iter()
            .filter(|event| self.events[*event].writer == writer)
            .last()
    }

    /// Adds an event if it is valid: whether it is depends on the event and its past alone.
    pub fn add(&mut self, event: Event) -> Result<usize, Invalid> {
        if self.full() {
            return Err(Invalid::Full);
        }
        let facts = self.check(&event)?;
        let at = self.events.len();
        let conflicts: Vec<usize> = self.conflicts_of(&event, &facts).collect();
        self.conflicts
            .extend(conflicts.into_iter().map(|other| (other, at)));
        let below = event.past.iter().map(|parent| self.heights[parent]);
        self.heights.push(1 + below.max().unwrap_or(0));
        self.lane_events[event.lane].insert(at);
        self.by_author[event.author].insert(at);
        self.by_seat.push(facts.by_seat);
        self.judged.push(facts.judged);
        if facts.ack.is_some() {
            self.ack_events.insert(at);
        }
        self.acks.push(None);
        self.events.push(event);
        if let Some(ack) = facts.ack {
            self.file(at, ack);
        }
        Ok(at)
    }

    /// Events that show together with this one that its author lies: for the same position of the
    /// seat's log, or acks of one number.
    fn conflicts_of<'a>(
        &'a self,
        event: &'a Event,
        facts: &'a Facts,
    ) -> impl Iterator<Item = usize> + use<'a> {
        self.by_author[event.author].iter().filter(move |other| {
            let one = &self.events[*other];
            let same_place =
                one.writer == event.writer && one.lane == event.lane && one.seq == event.seq;
            let twice = match (&facts.ack, &self.acks[*other]) {
                (Some(ack), Some(before)) => {
                    one.lane == event.lane
                        && ack.number == before.number
                        && ack.session == before.session
                }
                _ => false,
            };
            twice || same_place && facts.by_seat && self.by_seat[*other]
        })
    }

    fn check(&self, event: &Event) -> Result<Facts, Invalid> {
        let visible = self.visible(event.past, event.lane);
        if visible != event.past {
            return Err(Invalid::NarrowPast);
        }
        let view = self.view(event.past);
        let by_seat = view.seat[event.author] == event.writer;
        if event.lane == CONTROL && !by_seat {
            return Err(Invalid::NotTheSeat);
        }
        if event.lane != CONTROL {
            self.check_message(event, &view)?;
        }
        let judged = self.judge(&view, event);
        let ack = match event.kind {
            Kind::Ack(number) if by_seat => Some(self.judge_ack(event, number)?),
            Kind::Ack(_) => return Err(Invalid::NotTheSeat),
            Kind::Floor(number) => {
                let chain = self.chain(event.past, event.lane);
                let stands = chain
                    .iter()
                    .any(|one| self.certificates[*one].number == number);
                if !stands {
                    return Err(Invalid::NoSuchBarrier);
                }
                None
            }
            _ => None,
        };
        Ok(Facts {
            by_seat,
            judged,
            ack,
        })
    }

    /// Members alone post, and whoever learns of an ending cuts first.
    fn check_message(&self, event: &Event, view: &View) -> Result<(), Invalid> {
        let audience = self.setting.lanes[event.lane].audience;
        if audience >> event.author & 1 == 0 {
            return Err(Invalid::NotAReader);
        }
        let closed = view.active & audience != audience;
        if event.kind == Kind::Post && closed {
            return Err(Invalid::LaneClosed);
        }
        if event.kind != Kind::Cut && self.owes_cut(event.prev, view, event) {
            return Err(Invalid::CutFirst);
        }
        Ok(())
    }

    /// Whether an ending of another reader is new to the log.
    pub fn owes_cut(&self, prev: Option<usize>, view: &View, event: &Event) -> bool {
        let known = prev.map_or(Bits::EMPTY, |prev| self.events[prev].past);
        let audience = self.setting.lanes[event.lane].audience;
        view.endings.iter().any(|(act, partner)| {
            *partner != event.author && audience >> partner & 1 == 1 && !known.has(*act)
        })
    }

    /// The heads of an event's past, for people to read.
    pub fn parents(&self, event: usize) -> Vec<usize> {
        let past = self.events[event].past;
        let below = |held: &usize| past.iter().all(|other| !self.events[other].past.has(*held));
        past.iter().filter(below).collect()
    }
}

struct Facts {
    by_seat: bool,
    judged: Judged,
    ack: Option<Ack>,
}

/// Why an event is invalid, for everyone and for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// The model's own limit.
    Full,
    NarrowPast,
    NotTheSeat,
    NotAReader,
    LaneClosed,
    CutFirst,
    NoSuchBarrier,
    /// An ack of its partner bears this number or a higher one.
    OldNumber,
    /// The ack before of a partner of the set is not in the past.
    AckMissing,
    /// Who is not in the set enters it only as a member.
    NotAMember,
}

impl fmt::Display for History {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, event) in self.events.iter().enumerate() {
            let lying = self.setting.liars >> event.author & 1 == 1;
            write!(
                out,
                "e{at}: {}{} writer {} lane {} seq {} {:?} on {:?}",
                char::from(b'A' + event.author as u8),
                if lying { " (lies)" } else { "" },
                event.writer,
                event.lane,
                event.seq,
                event.kind,
                self.parents(at)
            )?;
            if let Some(ack) = &self.acks[at] {
                let base = ack.base.map(|base| self.certificates[base].number);
                write!(out, "  [set {} base {base:?}]", super::acks::names(ack.set))?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}
