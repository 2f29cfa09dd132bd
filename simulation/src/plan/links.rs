//! Links with a rate: when a frame that is sent now arrives.
//!
//! Every direction of a link has a queue per class, as the transport has, and sends packets, each
//! filled from the most urgent class on: an urgent frame waits for the packet on its way and for
//! nothing else. A lost packet costs its time on the link again and a wait until the loss is
//! noticed, since QUIC's streams deliver everything in order. Acknowledgements and probes of silent
//! links cost their bytes too.
//!
//! Times are microseconds in here, and milliseconds towards the world.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use comity_protocol::replica::StreamClass;

use super::trace::{OPPORTUNITY_BYTES, Trace};
use crate::chance::Chance;

/// Ethernet, IPv4 and UDP headers of a datagram, as docs/performance.md counts them.
pub const UDP_HEADERS: usize = 42;
/// A QUIC packet's flags, connection id (8), packet number (2) and tag (16).
pub const QUIC_HEADERS: usize = 27;
/// A STREAM frame's type, stream, offset and length.
pub const STREAM_HEADER: usize = 8;
/// An ACK frame of one range.
pub const ACK_FRAME: usize = 8;
/// A PING frame.
pub const PING_FRAME: usize = 1;
/// The UDP payload that QUIC arrives at where the path takes 1,500 bytes.
pub const DATAGRAM_BYTES: usize = 1452;
/// The length before each frame on a stream.
pub const FRAME_HEADER: usize = 4;
/// Bytes that may wait for one peer, and the reserve of what is urgent: the transport's own.
pub const QUEUE_BYTES: usize = 16 << 20;
/// How often a link that carries nothing is probed.
pub const PROBE_MS: u64 = 1_000;
/// A loss is noticed after this part of the round trip (RFC 9002, kTimeThreshold).
const LOSS_NOTICED: (u64, u64) = (9, 8);
/// One packet is lost this often in a row at most: a loss of 50 % does so once in a million.
const LOSSES_IN_A_ROW: u64 = 20;

/// One direction of a link.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    pub latency_us: u64,
    /// Up to this is added to the latency, drawn evenly for each packet.
    pub jitter_us: u64,
    /// Packets lost of a million.
    pub loss_ppm: u64,
    pub capacity: Capacity,
}

/// How fast a direction takes packets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Capacity {
    #[default]
    Unlimited,
    /// Bits per second.
    Rate(u64),
    Trace(Arc<Trace>),
}

/// Both directions share the medium, as on one radio channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// From the end of one side's transmission to the beginning of the other's.
    pub turnaround_us: u64,
    /// How long one side may go on while the other waits.
    pub hold_us: u64,
}

/// A link as a plan describes it: from the partner with the lower number, and back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LinkShape {
    pub forth: Shape,
    pub back: Shape,
    pub turns: Option<Turns>,
}

/// What one direction has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes on the link, headers, acknowledgements and repetitions included.
    pub bytes: u64,
    pub packets: u64,
    pub lost: u64,
    /// The longest time for which the far end heard nothing while the link was up.
    pub silence_us: u64,
}

/// All links of a plan, by the numbers of the partners at their ends, the lower first.
#[derive(Debug, Default)]
pub struct Links {
    links: BTreeMap<(usize, usize), Link>,
}

#[derive(Debug, Default)]
struct Link {
    turns: Option<Turns>,
    paused: bool,
    /// The direction that has the shared medium, and since when.
    holder: usize,
    held_since_us: u64,
    free_us: [u64; 2],
    ways: [Way; 2],
}

/// One direction at work.
#[derive(Debug, Default)]
struct Way {
    shape: Shape,
    queues: BTreeMap<StreamClass, VecDeque<Waiting>>,
    queued: usize,
    peak: usize,
    congested: bool,
    /// Packets from the other side that are not acknowledged yet, and whether that is due.
    unacknowledged: u32,
    ack_due: bool,
    scheduled: bool,
    last_arrival_us: BTreeMap<StreamClass, u64>,
    heard_us: u64,
    /// The next opportunity of the trace, and what is left of the last one.
    opportunity: u64,
    room: (u64, usize),
    counters: Counters,
}

#[derive(Debug)]
struct Waiting {
    bytes: Vec<u8>,
    left: usize,
}

/// A frame on its way: when it arrives, its class and its bytes.
pub type Carried = (u64, StreamClass, Vec<u8>);

impl Links {
    pub fn insert(&mut self, a: usize, b: usize, shape: LinkShape) {
        let mut link = Link {
            turns: shape.turns,
            ..Link::default()
        };
        link.ways[0].shape = shape.forth;
        link.ways[1].shape = shape.back;
        self.links.insert((a.min(b), a.max(b)), link);
    }

    /// The pairs that are linked.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        self.links.keys().copied().collect()
    }

    /// A connection begins: nothing waits.
    pub fn begin(&mut self, a: usize, b: usize, now_ms: u64) {
        if let Some((link, _)) = self.way(a, b) {
            link.clear();
            link.ways.iter_mut().for_each(|way| {
                way.heard_us = now_ms * 1000;
            });
        }
    }

    /// A connection ends: what waits is gone.
    pub fn end(&mut self, a: usize, b: usize) {
        if let Some((link, _)) = self.way(a, b) {
            link.clear();
        }
    }

    /// Nothing passes any more, or again, while the connection stays.
    pub fn pause(&mut self, a: usize, b: usize, paused: bool) {
        if let Some((link, _)) = self.way(a, b) {
            link.paused = paused;
        }
    }

    /// The least time for a question and its answer, in milliseconds, rounded up.
    pub fn round_trip_ms(&self, a: usize, b: usize) -> u64 {
        let link = self.links.get(&(a.min(b), a.max(b)));
        link.map_or(0, |link| link.round_trip_us().div_ceil(1000))
    }

    /// The most bytes that waited from one partner to another since this was last asked.
    pub fn take_peak(&mut self, from: usize, to: usize) -> usize {
        let Some((link, at)) = self.way(from, to) else {
            return 0;
        };
        let way = &mut link.ways[at];
        std::mem::replace(&mut way.peak, way.queued)
    }

    pub fn counters(&self, from: usize, to: usize) -> Counters {
        self.read(from, to)
            .map(|way| way.counters)
            .unwrap_or_default()
    }

    /// Takes a frame; false when the queue is full for its class.
    pub fn queue(&mut self, from: usize, to: usize, class: StreamClass, bytes: Vec<u8>) -> bool {
        let Some((link, at)) = self.way(from, to) else {
            return true;
        };
        let way = &mut link.ways[at];
        let size = FRAME_HEADER + bytes.len();
        if way.queued + size > limit_of(class) {
            way.congested = true;
            return false;
        }
        way.queued += size;
        way.peak = way.peak.max(way.queued);
        let waiting = Waiting { bytes, left: size };
        way.queues.entry(class).or_default().push_back(waiting);
        true
    }

    /// Whether a queue that was full is below half again; says so once.
    pub fn is_roomy(&mut self, from: usize, to: usize) -> bool {
        let Some((link, at)) = self.way(from, to) else {
            return false;
        };
        let way = &mut link.ways[at];
        let roomy = way.congested && way.queued < QUEUE_BYTES / 2;
        way.congested &= !roomy;
        roomy
    }

    /// When [`Links::carry`] is to be called, if it is and nobody was told yet.
    pub fn due(&mut self, from: usize, to: usize, now_ms: u64) -> Option<u64> {
        let (link, at) = self.way(from, to)?;
        if link.paused || link.ways[at].scheduled || !link.ways[at].has_work() {
            return None;
        }
        link.ways[at].scheduled = true;
        Some((link.start_us(at, now_ms) / 1000).max(now_ms))
    }

    /// Sends what can go within this millisecond; gives the frames that are whole by it.
    pub fn carry(
        &mut self,
        from: usize,
        to: usize,
        now_ms: u64,
        chance: &mut Chance,
    ) -> Vec<Carried> {
        let mut carried = Vec::new();
        let Some((link, at)) = self.way(from, to) else {
            return carried;
        };
        link.ways[at].scheduled = false;
        let name = format!("link/{from}/{to}");
        while !link.paused && link.ways[at].has_work() && link.may_send(at) {
            if link.start_us(at, now_ms) >= (now_ms + 1) * 1000 {
                break;
            }
            link.send_packet(at, now_ms, chance, &name, &mut carried);
        }
        carried
    }

    /// Asks a link on which nothing was heard whether it is still there.
    pub fn probe(&mut self, a: usize, b: usize, now_ms: u64) {
        let Some((link, at)) = self.way(a, b) else {
            return;
        };
        let now_us = now_ms * 1000;
        let silent = |way: &Way| now_us.saturating_sub(way.heard_us) >= PROBE_MS * 1000;
        let busy = link.ways.iter().any(Way::has_work);
        if link.paused || busy || !link.ways.iter().any(silent) {
            return;
        }
        link.take(at, now_ms, UDP_HEADERS + QUIC_HEADERS + PING_FRAME);
        link.take(1 - at, now_ms, UDP_HEADERS + QUIC_HEADERS + ACK_FRAME);
    }

    fn read(&self, from: usize, to: usize) -> Option<&Way> {
        let link = self.links.get(&(from.min(to), from.max(to)))?;
        Some(&link.ways[usize::from(from > to)])
    }

    /// The link and which of its directions it is.
    fn way(&mut self, from: usize, to: usize) -> Option<(&mut Link, usize)> {
        let link = self.links.get_mut(&(from.min(to), from.max(to)))?;
        Some((link, usize::from(from > to)))
    }
}

impl Link {
    fn clear(&mut self) {
        for way in &mut self.ways {
            way.queues.clear();
            way.queued = 0;
            way.congested = false;
            way.unacknowledged = 0;
            way.ack_due = false;
            way.scheduled = false;
            way.last_arrival_us.clear();
        }
    }

    fn round_trip_us(&self) -> u64 {
        let turning = self.turns.map_or(0, |turns| 2 * turns.turnaround_us);
        self.ways[0].shape.latency_us + self.ways[1].shape.latency_us + turning
    }

    /// Whether a direction has the medium or may take it.
    fn may_send(&self, at: usize) -> bool {
        let Some(turns) = self.turns else {
            return true;
        };
        let held = self.free_us[0].saturating_sub(self.held_since_us);
        self.holder == at || !self.ways[self.holder].has_work() || held >= turns.hold_us
    }

    /// When a direction could begin its next packet.
    fn start_us(&self, at: usize, now_ms: u64) -> u64 {
        let start = match self.turns {
            None => self.free_us[at],
            Some(turns) if self.holder != at && self.may_send(at) => {
                self.free_us[0] + turns.turnaround_us
            }
            Some(_) => self.free_us[0],
        };
        let start = start.max(now_ms * 1000);
        let way = &self.ways[at];
        match &way.shape.capacity {
            Capacity::Trace(trace) if way.room.1 == 0 || way.room.0 < start / 1000 => {
                trace.next(way.opportunity, start.div_ceil(1000)).1 * 1000
            }
            _ => start,
        }
    }

    /// Occupies the link with a packet; gives when its last bit has left.
    fn take(&mut self, at: usize, now_ms: u64, size: usize) -> u64 {
        let start = self.start_us(at, now_ms);
        if self.turns.is_some() && self.holder != at {
            (self.holder, self.held_since_us) = (at, start);
        }
        let way = &mut self.ways[at];
        let end = match &way.shape.capacity {
            Capacity::Unlimited => start,
            Capacity::Rate(bits) => start + (size as u64 * 8_000_000).div_ceil(*bits),
            Capacity::Trace(trace) => {
                let now = start.div_ceil(1000);
                if way.room.0 != now || way.room.1 < size {
                    let (number, at_ms) = trace.next(way.opportunity, now);
                    way.opportunity = number + 1;
                    way.room = (at_ms, OPPORTUNITY_BYTES);
                }
                way.room.1 -= size.min(way.room.1);
                way.room.0 * 1000
            }
        };
        let shared = self.turns.is_some();
        self.free_us[if shared { 0 } else { at }] = end;
        way.counters.bytes += size as u64;
        way.counters.packets += 1;
        let heard = end + way.shape.latency_us;
        let silence = heard.saturating_sub(way.heard_us);
        way.counters.silence_us = way.counters.silence_us.max(silence);
        way.heard_us = way.heard_us.max(heard);
        end
    }

    fn send_packet(
        &mut self,
        at: usize,
        now_ms: u64,
        chance: &mut Chance,
        name: &str,
        carried: &mut Vec<Carried>,
    ) {
        let (size, whole, is_data) = self.ways[at].fill();
        let losses = match is_data {
            true => self.ways[at].losses(chance, name),
            false => 0,
        };
        let mut end = self.take(at, now_ms, size);
        for _ in 0..losses {
            end = self.take(at, end.div_ceil(1000).max(now_ms), size);
        }
        let noticed = self.round_trip_us() * LOSS_NOTICED.0 / LOSS_NOTICED.1;
        let way = &mut self.ways[at];
        way.counters.lost += losses;
        let jitter = match way.shape.jitter_us {
            0 => 0,
            most => chance.below(name, most + 1),
        };
        let arrival = end + way.shape.latency_us + jitter + losses * noticed;
        for (class, bytes) in whole {
            let last = way.last_arrival_us.entry(class).or_insert(0);
            *last = arrival.max(*last);
            carried.push((last.div_ceil(1000), class, bytes));
        }
        let empty = way.queued == 0;
        if is_data {
            let other = &mut self.ways[1 - at];
            other.unacknowledged += 1 + losses as u32;
            other.ack_due |= other.unacknowledged >= 2 || empty;
        }
    }
}

impl Way {
    fn has_work(&self) -> bool {
        self.queued > 0 || self.ack_due
    }

    fn losses(&self, chance: &mut Chance, name: &str) -> u64 {
        let loss = self.shape.loss_ppm;
        let mut losses = 0;
        while loss > 0 && losses < LOSSES_IN_A_ROW && chance.below(name, 1_000_000) < loss {
            losses += 1;
        }
        losses
    }

    /// Fills a packet, the most urgent class first: its size on the link, the frames whose last
    /// byte is in it, and whether it has any.
    fn fill(&mut self) -> (usize, Vec<(StreamClass, Vec<u8>)>, bool) {
        let mut size = QUIC_HEADERS;
        if self.unacknowledged > 0 {
            size += ACK_FRAME;
            self.unacknowledged = 0;
        }
        self.ack_due = false;
        let is_data = self.queued > 0;
        let mut whole = Vec::new();
        for (class, queue) in &mut self.queues {
            if queue.is_empty() || size + STREAM_HEADER >= DATAGRAM_BYTES {
                continue;
            }
            size += STREAM_HEADER;
            while let Some(first) = queue.front_mut() {
                let part = first.left.min(DATAGRAM_BYTES - size);
                first.left -= part;
                size += part;
                self.queued -= part;
                if first.left > 0 {
                    break;
                }
                let done = queue.pop_front().map(|waiting| waiting.bytes);
                whole.extend(done.map(|bytes| (*class, bytes)));
            }
        }
        (size + UDP_HEADERS, whole, is_data)
    }
}

/// What is urgent may use a reserve, as in the transport; ranges and files wait on disk there until
/// there is room, so they are not limited here.
fn limit_of(class: StreamClass) -> usize {
    match class {
        StreamClass::Control | StreamClass::Flash | StreamClass::Immediate => {
            QUEUE_BYTES + QUEUE_BYTES / 4
        }
        StreamClass::Priority | StreamClass::Routine => QUEUE_BYTES,
        StreamClass::Backfill | StreamClass::Files => usize::MAX,
    }
}

#[cfg(test)]
mod tests;
