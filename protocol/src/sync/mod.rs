//! Replication between this node and its peers.
//!
//! Own events are pushed at once to every peer that is known to hold all before them. Everything
//! else is pulled: nodes tell each other their heads (digests when a link comes up and from time
//! to time, adverts of what is new in between) and ask for the ranges they lack. So nothing
//! depends on a push arriving, nor on the next message to reveal that one was missed; and any
//! reader of a lane serves any other reader of it.

mod entitlement;
mod ephemeral;
mod tell;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::channel::Channel;
use crate::event::{Event, Kind};
use crate::id::{ChannelId, Hash, LaneId, PartnerId};
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::pull::Pull;
use crate::replica::{Output, SendRange, StreamClass};
use crate::time::Instant;
use crate::wire::{
    AskHeads, AskKeys, AskPiece, Ephemeral, Events, Frame, Have, Heads, Hello, Keys, LogId,
    PackedEvent, Packer, Piece, REFUSED_LATER, REFUSED_NO_SUCH_LANE, Refused, Unpacker, Want,
    heads_digest,
};

use entitlement::Shown;
pub use entitlement::{is_stranger, may_read};
use tell::Told;
pub use tell::heads;
pub(crate) use tell::refuse;

/// A position is asked of a peer again after this, in milliseconds. The answer holds more than was
/// asked for, and each parked event in it asks for its past anew: without a pause, two branches
/// that wait for each other's past would have two nodes ask each other without end.
const POSITION_AGAIN_MS: u64 = 1_000;
/// Positions asked of one peer within that time; the next ones have to wait for the next
/// comparison.
const POSITIONS_PER_PEER: usize = 1024;

type Channels = BTreeMap<ChannelId, Channel>;

/// All peers with a link.
#[derive(Debug)]
pub struct Sync {
    own: PartnerId,
    peers: BTreeMap<PartnerId, Peer>,
    pull: Pull,
    /// Peers that have shown, since the start, all their heads of a lane, and none of this node's
    /// own logs to be longer than it is here.
    confirmed: BTreeMap<(ChannelId, LaneId), BTreeSet<PartnerId>>,
    /// Lanes for which another peer did so just now.
    news: Vec<(ChannelId, LaneId)>,
    /// How much is still taken of what each peer's users do: a new link brings no more.
    paces: BTreeMap<PartnerId, ephemeral::Pace>,
}

#[derive(Debug)]
struct Peer {
    unpackers: BTreeMap<StreamClass, Unpacker>,
    packers: BTreeMap<StreamClass, Packer>,
    /// The lanes that the peer has shown to read.
    shown: Shown,
    /// The lanes that it was shown.
    told: Told,
    /// The transport's queue is full: pushes stop until it drained.
    congested: bool,
    /// How far the peer holds a log for sure, or will when what was sent arrives.
    sent: BTreeMap<LogId, u64>,
    /// The greatest position the peer has told of.
    theirs: BTreeMap<LogId, u64>,
    /// The digests of the peer's last `have`.
    digests: BTreeMap<(ChannelId, LaneId), Hash>,
    /// Per lane: when the peer is to be told of new heads, and of which logs. Each lane has its own
    /// time, so that a narrow one does not hasten a wide one.
    adverts: BTreeMap<(ChannelId, LaneId), (Instant, BTreeSet<LogId>)>,
    /// Per lane: how long new heads are gathered before the peer is told.
    gather_ms: BTreeMap<(ChannelId, LaneId), u64>,
    /// Channels whose lanes are to be compared, and when: their membership changed.
    compare: BTreeMap<ChannelId, Instant>,
    compare_all_at: Instant,
    /// Positions of forked logs that the peer was asked for, and until when it is not asked again.
    positions: BTreeMap<(LogId, u64), Instant>,
}

/// What a received frame asks of the replica beyond sync itself.
#[derive(Debug)]
pub enum Received {
    Nothing,
    /// Unpacked events, to be verified.
    Events(Vec<Event>),
    AskKeys(AskKeys),
    Keys(Keys),
    AskPiece(AskPiece),
    Piece(Piece),
    Refused(Refused),
    /// What the peer's users do, in a channel of which it is a member.
    Ephemeral(Ephemeral),
    /// As much of that as a peer may tell was taken before.
    TooManySigns,
}

impl Sync {
    pub fn new(own: PartnerId) -> Sync {
        Sync {
            own,
            peers: BTreeMap::new(),
            pull: Pull::default(),
            confirmed: BTreeMap::new(),
            news: Vec::new(),
            paces: BTreeMap::new(),
        }
    }

    /// Whether peers have shown that this node holds its own logs of a lane to their ends: two of
    /// those that are linked and read it, or the only one.
    pub fn is_confirmed(&self, channel: &Channel, lane: LaneId) -> bool {
        let confirmed = self.confirmed.get(&(channel.id, lane));
        let confirmed = confirmed.map_or(0, BTreeSet::len);
        confirmed > 0
            && confirmed
                >= self
                    .readers(channel, &lane)
                    .len()
                    .min(limits::CONFIRMATIONS)
    }

    /// Asks peers that read a lane for all their heads of it.
    pub fn ask_heads(&self, channel: &Channel, lane: LaneId, out: &mut VecDeque<Output>) {
        let confirmed = self.confirmed.get(&(channel.id, lane));
        let mut readers = self.readers(channel, &lane);
        readers.retain(|peer| confirmed.is_none_or(|confirmed| !confirmed.contains(peer)));
        let ask = Frame::AskHeads(AskHeads {
            channel: channel.id,
            lane,
        });
        for peer in readers.into_iter().take(limits::CONFIRMATIONS) {
            send(peer, &ask, out);
        }
    }

    /// The lanes that peers have confirmed since the last call.
    pub fn take_confirmed(&mut self) -> Vec<(ChannelId, LaneId)> {
        std::mem::take(&mut self.news)
    }

    fn confirm(&mut self, peer: PartnerId, lane: (ChannelId, LaneId)) {
        let confirmed = self.confirmed.entry(lane).or_default();
        if confirmed.len() < limits::CONFIRMATIONS && confirmed.insert(peer) {
            self.news.push(lane);
        }
    }

    /// The linked peers that take frames and read a lane.
    pub fn readers(&self, channel: &Channel, lane: &LaneId) -> Vec<PartnerId> {
        let takes = self.peers.iter().filter(|(_, peer)| !peer.congested);
        takes
            .map(|(peer, _)| *peer)
            .filter(|peer| may_read(channel, peer, lane))
            .collect()
    }

    /// A link came up: introduce oneself and compare everything.
    pub fn up(
        &mut self,
        peer: PartnerId,
        channels: &Channels,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        self.down(&peer);
        self.pull.up(peer);
        send(
            peer,
            &Frame::Hello(Hello {
                version: limits::VERSION,
                partner: self.own,
            }),
            out,
        );
        let mut state = Peer::new(now);
        if !mutation::is(Mutation::LinkUpSilent) {
            state.told.digests(peer, channels, None, out);
        }
        self.peers.insert(peer, state);
    }

    pub fn down(&mut self, peer: &PartnerId) {
        self.peers.remove(peer);
        self.pull.down(peer);
    }

    pub fn congested(&mut self, peer: &PartnerId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.congested = true;
        }
    }

    /// The transport takes frames again. Some may have been dropped: compare everything.
    pub fn drained(
        &mut self,
        peer: PartnerId,
        channels: &Channels,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        if !state.congested || mutation::is(Mutation::CongestionForever) {
            return;
        }
        state.congested = false;
        state.sent.clear();
        if !mutation::is(Mutation::PackersKeptOverDrain) {
            state.packers.clear();
        }
        state.told.clear();
        self.pull.drained(&peer, now);
        state.told.digests(peer, channels, None, out);
    }

    /// Tells the linked members of a channel what own users do.
    pub fn tell(&self, told: Ephemeral, channels: &Channels, out: &mut VecDeque<Output>) {
        ephemeral::tell(&self.own, &self.peers, channels, told, out);
    }

    /// Takes one frame of a peer.
    pub fn received(
        &mut self,
        peer: PartnerId,
        class: StreamClass,
        frame: Frame,
        channels: &Channels,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) -> Result<Received, String> {
        let Some(state) = self.peers.get_mut(&peer) else {
            return Ok(Received::Nothing);
        };
        match frame {
            Frame::Hello(hello) => {
                if hello.partner != peer {
                    let why = "it names itself another partner than the one whose key it holds";
                    return Err(why.into());
                }
            }
            Frame::Have(have) => self.on_have(peer, have, channels, out),
            Frame::AskHeads(ask) => state.told.answer(peer, &ask, channels, out),
            Frame::Heads(heads) => self.on_heads(peer, &heads, channels, now, out),
            Frame::Want(want) => self.on_want(peer, &want, channels, out),
            Frame::Events(events) => {
                return self
                    .on_events(peer, class, events, now)
                    .map(Received::Events);
            }
            Frame::RangeEnd(end) => {
                self.pull
                    .range_ended(peer, &end, channels.get(&end.channel), now);
            }
            Frame::Refused(refused) => {
                self.on_refused(peer, &refused);
                return Ok(Received::Refused(refused));
            }
            Frame::Lane(lane) => state.shown.take(&self.own, &peer, &lane),
            Frame::AskKeys(ask) => return Ok(Received::AskKeys(ask)),
            Frame::Keys(keys) => return Ok(Received::Keys(keys)),
            Frame::AskPiece(ask) => return Ok(Received::AskPiece(ask)),
            Frame::Piece(piece) => return Ok(Received::Piece(piece)),
            Frame::Ephemeral(told) => {
                // Counted first: what is not for members costs a peer as much.
                let pace = self.paces.entry(peer);
                let pace = pace.or_insert_with(|| ephemeral::Pace::new(now));
                if !pace.take(told.signs.len(), now) {
                    return Ok(Received::TooManySigns);
                }
                if ephemeral::is_for_members(&self.own, &peer, channels, &told) {
                    return Ok(Received::Ephemeral(told));
                }
            }
        }
        Ok(Received::Nothing)
    }

    fn on_have(
        &mut self,
        peer: PartnerId,
        have: Have,
        channels: &Channels,
        out: &mut VecDeque<Output>,
    ) {
        for theirs in have.lanes {
            let Some(state) = self.peers.get_mut(&peer) else {
                return;
            };
            let at = (theirs.channel, theirs.lane);
            if state.digests.len() >= limits::LOGS_PER_PEER && !state.digests.contains_key(&at) {
                continue;
            }
            state.digests.insert(at, theirs.digest);
            self.compare_lane(peer, at, theirs.digest, channels, out);
        }
    }

    fn compare_lane(
        &mut self,
        peer: PartnerId,
        (channel_id, lane): (ChannelId, LaneId),
        digest: Hash,
        channels: &Channels,
        out: &mut VecDeque<Output>,
    ) {
        if !self.may_tell(channels, &peer, (channel_id, lane)) {
            return;
        }
        let ask = Frame::AskHeads(AskHeads {
            channel: channel_id,
            lane,
        });
        let Some(channel) = channels.get(&channel_id) else {
            return send(peer, &ask, out);
        };
        let held = heads(channel, lane);
        let same = !held.is_empty() && heads_digest(&held) == digest;
        if same && !is_stranger(channel, &peer) {
            self.confirm(peer, (channel_id, lane));
            if let Some(state) = self.peers.get_mut(&peer) {
                for head in held {
                    let log = (channel_id, lane, head.writer);
                    state.note_theirs(log, head.seq);
                    raise(&mut state.sent, log, head.seq);
                }
            }
        } else {
            send(peer, &ask, out);
        }
    }

    /// Notes what a peer holds. What it says of a lane that it may not read itself is not
    /// answered by any act: the act would tell it what is held here.
    fn on_heads(
        &mut self,
        peer: PartnerId,
        told: &Heads,
        channels: &Channels,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        if !self.may_tell(channels, &peer, (told.channel, told.lane)) {
            return;
        }
        let channel = channels.get(&told.channel);
        let stranger = channel.is_some_and(|channel| is_stranger(channel, &peer));
        // Of a channel not held, more writers than it can have partners are not believed.
        let believed = if channel.is_some() {
            usize::MAX
        } else {
            limits::PARTNERS
        };
        let mut branches = 0;
        let mut confirms = told.all && channel.is_some() && !stranger;
        for head in told.logs.iter().take(believed) {
            let log = (told.channel, told.lane, head.writer);
            let Some(state) = self.peers.get_mut(&peer) else {
                return;
            };
            if !state.note_theirs(log, head.seq) {
                break;
            }
            // What a stranger is asked must not show what is held.
            let held = channel.filter(|_| !stranger);
            let held = held.map_or(0, |channel| channel.graph().height(told.lane, head.writer));
            let same = channel.is_some_and(|channel| {
                channel
                    .graph()
                    .find(told.lane, head.writer, head.seq, &head.id)
                    .is_some()
            });
            if same {
                raise(&mut state.sent, log, head.seq);
            }
            let own = channel.and_then(|channel| channel.writer_partner(&head.writer));
            confirms &= own != Some(self.own) || same || head.seq <= held;
            if head.seq > held {
                self.pull.ahead(peer, log, head.seq, held, now);
            } else if !same && branches < limits::WANTS_PER_PEER {
                // A branch of a fork that is not held here.
                branches += 1;
                state.want_position(peer, log, head.seq, now, out);
            }
        }
        self.pull.look_soon(peer, (told.channel, told.lane), now);
        if confirms {
            self.confirm(peer, (told.channel, told.lane));
        }
    }

    fn on_want(
        &mut self,
        peer: PartnerId,
        want: &Want,
        channels: &Channels,
        out: &mut VecDeque<Output>,
    ) {
        let readable = channels.get(&want.channel).filter(|channel| {
            may_read(channel, &peer, &want.lane) || mutation::is(Mutation::RangeServedToAll)
        });
        let Some(channel) = readable else {
            let lane = (want.channel, want.lane);
            return refuse(peer, lane, REFUSED_NO_SUCH_LANE, out);
        };
        let height = channel.graph().height(want.lane, want.writer);
        let wanted_to = want
            .to
            .min(want.from.saturating_add(limits::WANT_EVENTS - 1));
        // A little more than asked for lets pushes follow on without a gap.
        let to = if wanted_to.saturating_add(limits::WANT_EVENTS / 4) >= height {
            height
        } else {
            wanted_to
        };
        let to = to - u64::from(to > 1 && mutation::is(Mutation::RangeEndOffByOne));
        let log = (want.channel, want.lane, want.writer);
        if let Some(state) = self.peers.get_mut(&peer) {
            state.gather_ms.remove(&(want.channel, want.lane));
            let reaches =
                state.sent.get(&log).copied().unwrap_or(0) + 1 >= want.from || want.from == 1;
            if to > 0 && (reaches || to == height) {
                raise(&mut state.sent, log, to);
            }
        }
        out.push_back(Output::SendRange(SendRange {
            peer,
            log,
            from: want.from.max(1),
            to,
        }));
    }

    fn on_events(
        &mut self,
        peer: PartnerId,
        class: StreamClass,
        events: Events,
        now: Instant,
    ) -> Result<Vec<Event>, String> {
        let Some(state) = self.peers.get_mut(&peer) else {
            return Ok(Vec::new());
        };
        let unpacker = state.unpackers.entry(class).or_default();
        let unpack = |packed: PackedEvent| {
            unpacker
                .unpack(packed)
                .map_err(|malformed| format!("it sent a malformed event: {malformed}"))
        };
        let events: Vec<Event> = events
            .events
            .into_iter()
            .map(unpack)
            .collect::<Result<_, _>>()?;
        for event in &events {
            let log = (event.header.channel, event.header.lane, event.header.writer);
            state.note_theirs(log, event.header.seq);
            self.pull.verifying(&peer, event.weight());
        }
        if class == StreamClass::Backfill {
            for event in &events {
                let header = &event.header;
                let log = (header.channel, header.lane, header.writer);
                self.pull.range_goes_on(&peer, &log, header.seq, now);
            }
        }
        Ok(events)
    }

    fn may_tell(&self, channels: &Channels, peer: &PartnerId, lane: (ChannelId, LaneId)) -> bool {
        let shown = self.peers.get(peer).map(|state| &state.shown);
        shown.is_some_and(|shown| shown.may_tell(channels, &self.own, peer, lane))
    }

    fn on_refused(&mut self, peer: PartnerId, refused: &Refused) {
        if refused.reason == REFUSED_LATER {
            return;
        }
        self.pull.refused(peer, refused.channel, refused.lane);
        if let Some(state) = self.peers.get_mut(&peer) {
            let of_lane = |log: &LogId| log.0 == refused.channel && log.1 == refused.lane;
            state.theirs.retain(|log, _| !of_lane(log));
            state.digests.remove(&(refused.channel, refused.lane));
        }
    }

    /// Events of a log are over a quota: it is asked for again after a while.
    pub fn postpone(&mut self, log: LogId, now: Instant) {
        self.pull.postpone(log, now);
    }

    /// Events of a peer left verification.
    pub fn verified(&mut self, peer: &PartnerId, bytes: usize, now: Instant) {
        self.pull.verified(peer, bytes, now);
    }

    /// An event was accepted: push it if it is this node's own, tell others of it otherwise.
    pub fn accepted(
        &mut self,
        event: &Event,
        from: Option<PartnerId>,
        channel: &Channel,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let header = &event.header;
        let log = (header.channel, header.lane, header.writer);
        let own = from.is_none();
        let first = header.kind() == Kind::Evidence;
        for (peer, state) in &mut self.peers {
            if Some(*peer) == from {
                state.holds_next(log, header.seq);
                continue;
            }
            if !may_read(channel, peer, &header.lane) && !mutation::is(Mutation::PushedToAll) {
                continue;
            }
            let follows = state.sent.get(&log).copied().unwrap_or(0) + 1 == header.seq;
            if own && follows && !state.congested {
                let class = class_of(event, channel);
                let packed = state.packers.entry(class).or_default().pack(event);
                raise(&mut state.sent, log, header.seq);
                let bytes = Frame::Events(Events {
                    events: vec![packed],
                })
                .to_bytes();
                out.push_back(Output::Send {
                    peer: *peer,
                    class,
                    bytes,
                });
            } else if state.theirs.get(&log).copied().unwrap_or(0) < header.seq {
                let lane = (log.0, log.1);
                let gather_ms = state.gather_ms.get(&lane).copied();
                let gather_ms = gather_ms.unwrap_or(limits::ADVERT_MS);
                // Evidence is told of at once.
                let due = now.plus(if first { 0 } else { gather_ms });
                let waiting = state.adverts.entry(lane).or_insert((due, BTreeSet::new()));
                waiting.0 = waiting.0.min(due);
                waiting.1.insert(log);
            }
        }
    }

    /// A parked event's past is with the peer that sent the event: ask it.
    pub fn missing(
        &mut self,
        peer: PartnerId,
        log: LogId,
        seq: u64,
        channels: &Channels,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        if !self.may_tell(channels, &peer, (log.0, log.1)) {
            return;
        }
        let (id, lane, writer) = log;
        let held = channels
            .get(&id)
            .map_or(0, |channel| channel.graph().height(lane, writer));
        if seq > held {
            self.pull.ahead(peer, log, seq, held, now);
            return self.pull.look_soon(peer, (log.0, log.1), now);
        }
        // Another event is held at that position: a branch of a fork. It is asked for again
        // whenever the event that cites it is brought again.
        if let Some(state) = self.peers.get_mut(&peer) {
            state.want_position(peer, log, seq, now, out);
        }
    }

    /// A channel's membership or keys changed: its lanes are to be compared anew.
    pub fn control_changed(&mut self, channel: ChannelId, now: Instant) {
        self.pull.writers_changed(channel, now);
        if mutation::is(Mutation::ControlChangeUntold) {
            return;
        }
        for state in self.peers.values_mut() {
            let due = now.plus(limits::ADVERT_MS);
            state.compare.entry(channel).or_insert(due);
        }
    }

    /// Does what is due; returns when to look again. What is done for a peer, and when, depends on
    /// nothing but what that peer may read.
    pub fn tick(
        &mut self,
        channels: &Channels,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) -> Option<Instant> {
        let peers: Vec<PartnerId> = self.peers.keys().copied().collect();
        for peer in &peers {
            self.flush(*peer, channels, now, out);
        }
        let states = &self.peers;
        let takes = |peer: &PartnerId| states.get(peer).is_some_and(|peer| !peer.congested);
        for (peer, want) in self.pull.due(channels, takes, now) {
            send(peer, &Frame::Want(want), out);
        }
        let flushes = self.peers.values().map(Peer::next_flush);
        flushes.chain(self.pull.next_look()).min()
    }

    fn flush(
        &mut self,
        peer: PartnerId,
        channels: &Channels,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let Some(state) = self
            .peers
            .get_mut(&peer)
            .filter(|state| state.next_flush() <= now)
        else {
            return;
        };
        if state.compare_all_at <= now {
            state.compare_all_at = now.plus(limits::ANTI_ENTROPY_MS);
            if mutation::is(Mutation::AntiEntropyLost) {
                state.compare_all_at = Instant(u64::MAX);
            }
            return state.told.digests(peer, channels, None, out);
        }
        let due: Vec<ChannelId> = state
            .compare
            .iter()
            .filter(|(_, due)| **due <= now)
            .map(|(channel, _)| *channel)
            .collect();
        for channel in due {
            self.compare_channel(peer, channel, channels, out);
        }
        self.advert(peer, channels, now, out);
    }

    /// Tells a peer the digests of a channel whose members changed, and looks again at its own.
    fn compare_channel(
        &mut self,
        peer: PartnerId,
        channel: ChannelId,
        channels: &Channels,
        out: &mut VecDeque<Output>,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        state.compare.remove(&channel);
        state.told.digests(peer, channels, Some(channel), out);
        let theirs = state.digests.iter().filter(|((of, _), _)| *of == channel);
        let theirs: Vec<_> = theirs.map(|(lane, digest)| (*lane, *digest)).collect();
        for (lane, digest) in theirs {
            self.compare_lane(peer, lane, digest, channels, out);
        }
    }

    fn advert(
        &mut self,
        peer: PartnerId,
        channels: &Channels,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        let mut logs = BTreeSet::new();
        let gather_ms = &mut state.gather_ms;
        state.adverts.retain(|lane, (due, news)| {
            let waits = *due > now;
            if !waits {
                logs.append(news);
                let gather_ms = gather_ms.entry(*lane).or_insert(limits::ADVERT_MS);
                *gather_ms = (2 * *gather_ms).min(limits::ADVERT_MAX_MS);
            }
            waits
        });
        state
            .told
            .adverts(peer, &logs, &state.theirs, channels, out);
    }

    /// How many entries all tables have.
    pub fn entries(&self) -> usize {
        let peers = self.peers.values().map(Peer::entries);
        peers.sum::<usize>() + self.pull.entries()
    }

    /// Events that a connected peer is known to lack.
    pub fn lag(&self, peer: &PartnerId, channels: &Channels) -> u64 {
        let Some(state) = self.peers.get(peer) else {
            return 0;
        };
        let lanes = channels.values().flat_map(|channel| {
            let lanes = channel
                .lanes()
                .filter(|(lane, _)| may_read(channel, peer, lane));
            lanes.map(move |(lane, _)| (channel, *lane))
        });
        let logs = lanes.flat_map(|(channel, lane)| {
            heads(channel, lane)
                .into_iter()
                .map(move |head| (channel.id, lane, head))
        });
        logs.map(|(channel, lane, head)| {
            let log = (channel, lane, head.writer);
            let known = state
                .sent
                .get(&log)
                .max(state.theirs.get(&log))
                .copied()
                .unwrap_or(0);
            head.seq.saturating_sub(known)
        })
        .sum()
    }
}

impl Peer {
    fn new(now: Instant) -> Peer {
        Peer {
            unpackers: BTreeMap::new(),
            packers: BTreeMap::new(),
            shown: Shown::default(),
            told: Told::default(),
            congested: false,
            sent: BTreeMap::new(),
            theirs: BTreeMap::new(),
            digests: BTreeMap::new(),
            adverts: BTreeMap::new(),
            gather_ms: BTreeMap::new(),
            compare: BTreeMap::new(),
            compare_all_at: now.plus(limits::ANTI_ENTROPY_MS),
            positions: BTreeMap::new(),
        }
    }

    /// Asks for all that is at one position of a log, unless that was asked a moment ago.
    fn want_position(
        &mut self,
        peer: PartnerId,
        log: LogId,
        seq: u64,
        now: Instant,
        out: &mut VecDeque<Output>,
    ) {
        if self.positions.len() >= POSITIONS_PER_PEER {
            self.positions.retain(|_, until| *until > now);
        }
        let asked = self.positions.get(&(log, seq));
        if asked.is_some_and(|until| *until > now) || self.positions.len() >= POSITIONS_PER_PEER {
            return;
        }
        self.positions
            .insert((log, seq), now.plus(POSITION_AGAIN_MS));
        let (channel, lane, writer) = log;
        let want = Want {
            channel,
            lane,
            writer,
            from: seq,
            to: seq,
        };
        send(peer, &Frame::Want(want), out);
    }

    fn entries(&self) -> usize {
        let news = self.adverts.values().map(|(_, logs)| logs.len());
        let tables = [
            self.shown.len(),
            self.told.len(),
            self.sent.len(),
            self.theirs.len(),
            self.digests.len(),
            self.compare.len(),
            self.positions.len(),
        ];
        tables.into_iter().chain(news).sum()
    }

    /// When something is to be told.
    fn next_flush(&self) -> Instant {
        let adverts = self.adverts.values().map(|(due, _)| *due);
        let news = adverts.chain(self.compare.values().copied());
        let news = news.min().filter(|_| !self.congested);
        news.map_or(self.compare_all_at, |due| due.min(self.compare_all_at))
    }

    /// Notes how far a peer says it holds a log; false when it tells of too many.
    fn note_theirs(&mut self, log: LogId, seq: u64) -> bool {
        if self.theirs.len() >= limits::LOGS_PER_PEER && !self.theirs.contains_key(&log) {
            return false;
        }
        raise(&mut self.theirs, log, seq);
        true
    }

    /// The peer itself brought the event at `seq`.
    fn holds_next(&mut self, log: LogId, seq: u64) {
        if self.sent.get(&log).copied().unwrap_or(0) + 1 == seq {
            self.sent.insert(log, seq);
        }
    }
}

fn class_of(event: &Event, channel: &Channel) -> StreamClass {
    if event.header.kind() == Kind::Evidence {
        return StreamClass::Control;
    }
    if event.header.lane == channel.control_lane {
        return StreamClass::Flash;
    }
    StreamClass::of(event.header.precedence())
}

fn send(peer: PartnerId, frame: &Frame, out: &mut VecDeque<Output>) {
    out.push_back(Output::Send {
        peer,
        class: StreamClass::Control,
        bytes: frame.to_bytes(),
    });
}

fn raise(map: &mut BTreeMap<LogId, u64>, log: LogId, seq: u64) {
    let held = map.entry(log).or_insert(0);
    *held = (*held).max(seq);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::WriterId;
    use crate::lane::control_lane;

    const PEER: PartnerId = PartnerId([2; 32]);

    #[test]
    fn a_position_is_asked_of_a_peer_once_a_second() {
        let channel = ChannelId([7; 32]);
        let log = (channel, control_lane(channel), WriterId([8; 32]));
        let (mut sync, mut out) = (Sync::new(PartnerId([1; 32])), VecDeque::new());
        let channels = Channels::new();
        sync.up(PEER, &channels, Instant(0), &mut out);
        out.clear();
        // Nothing is above position 0, so it is always another branch's.
        let mut asked_at = Vec::new();
        for now in (0..3_000).step_by(100) {
            for _ in 0..5 {
                sync.missing(PEER, log, 0, &channels, Instant(now), &mut out);
            }
            asked_at.extend(out.drain(..).map(|_| now));
        }

        assert_eq!(asked_at, [0, 1_000, 2_000]);
    }

    #[test]
    fn of_many_positions_a_bounded_number_is_asked_at_a_time() {
        let channel = ChannelId([7; 32]);
        let (mut sync, mut out) = (Sync::new(PartnerId([1; 32])), VecDeque::new());
        let channels = Channels::new();
        sync.up(PEER, &channels, Instant(0), &mut out);
        out.clear();
        for number in 0..3 * POSITIONS_PER_PEER as u32 {
            let mut writer = [0; 32];
            writer[..4].copy_from_slice(&number.to_be_bytes());
            let log = (channel, control_lane(channel), WriterId(writer));
            sync.missing(PEER, log, 0, &channels, Instant(5), &mut out);
        }

        assert_eq!(out.len(), POSITIONS_PER_PEER);
        assert!(sync.entries() <= POSITIONS_PER_PEER);
    }
}
