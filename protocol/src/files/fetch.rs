//! Fetching the chunks of files that somebody here wants to have.
//!
//! One peer is asked at a time, for one chunk after the other, each in pieces. A chunk is taken
//! whole and only if its hash is the one that the file's reference names; so whoever sends
//! anything else is known, costs one chunk's worth of transfer, and is asked again only after a
//! rest that doubles each time.

use std::collections::{BTreeMap, BTreeSet};

use comity_crypto as crypto;

use super::chunk_len;
use crate::id::{ChannelId, EventId, Hash, LaneId, PartnerId};
use crate::limits;
use crate::time::Instant;
use crate::wire::{AskPiece, Piece};

/// How long a peer rests for a file after it failed, at first and at most.
const REST_MS: u64 = 1_000;
const REST_MAX_MS: u64 = 60_000;
/// How long to wait before looking for readers again where there is none to ask.
const NOBODY_MS: u64 = 1_000;

/// A file that is to be fetched.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub channel: ChannelId,
    pub lane: LaneId,
    pub file: EventId,
    /// Is asked first.
    pub author: PartnerId,
    /// The file's length in bytes.
    pub size: u64,
    /// By the file's reference.
    pub chunks: Vec<Hash>,
    /// The chunks that are not held yet.
    pub missing: BTreeSet<u32>,
}

/// How far a fetch has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Chunks that are still to come.
    pub missing: usize,
    /// Who is asked at present.
    pub asked: Option<PartnerId>,
    /// Who has brought chunks.
    pub from: BTreeSet<PartnerId>,
}

/// What became of a piece.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is part of a chunk that is not whole yet, came late, or says that there is nothing.
    Nothing,
    /// It made a chunk whole.
    Chunk {
        channel: ChannelId,
        file: EventId,
        /// How many chunks the file has.
        chunks: u32,
        chunk: u32,
        sealed: Vec<u8>,
    },
    /// The peer is at fault.
    Fault(Fault),
}

/// What a peer can do wrong with a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("it sent a piece of a file that nobody asked it for")]
    Unasked,
    #[error("it sent {len} bytes where {expected} of the file were asked for")]
    Length { len: usize, expected: usize },
    #[error("what it sent is not the file's chunk {chunk}")]
    Hash { chunk: u32 },
}

/// All fetches.
#[derive(Debug, Default)]
pub struct Fetches {
    fetches: BTreeMap<EventId, Fetch>,
    /// Answers that each linked peer owes: what it was asked and has not answered.
    owed: BTreeMap<PartnerId, usize>,
    /// Whose turn it was to ask last.
    last: Option<EventId>,
}

#[derive(Debug)]
struct Fetch {
    wanted: Wanted,
    /// Brought the last chunk: it is asked for the next.
    preferred: Option<PartnerId>,
    assembly: Option<Assembly>,
    resting: BTreeMap<PartnerId, Rest>,
    from: BTreeSet<PartnerId>,
    /// Nobody could be asked: not before then.
    look_at: Instant,
    /// The lane's readers changed.
    readers_changed: bool,
}

/// A chunk that is coming from one peer.
#[derive(Debug)]
struct Assembly {
    peer: PartnerId,
    chunk: u32,
    len: usize,
    bytes: Vec<u8>,
    /// As far as pieces were asked for.
    asked: usize,
    deadline: Instant,
}

#[derive(Debug, Default, Clone, Copy)]
struct Rest {
    until: Instant,
    times: u32,
}

impl Fetches {
    /// Begins to fetch a file; goes on where it is fetched already. False where too many files are
    /// fetched at a time.
    pub fn begin(&mut self, wanted: Wanted) -> bool {
        if self.fetches.contains_key(&wanted.file) {
            return true;
        }
        if self.fetches.len() >= limits::FETCHES {
            return false;
        }
        self.fetches.insert(wanted.file, Fetch::new(wanted));
        true
    }

    /// Nobody wants the file any more.
    pub fn end(&mut self, file: &EventId) {
        self.fetches.remove(file);
    }

    /// The files of a channel that are fetched.
    pub fn of(&self, channel: ChannelId) -> impl Iterator<Item = EventId> {
        let of_channel = self.fetches.values().map(|fetch| &fetch.wanted);
        of_channel
            .filter(move |wanted| wanted.channel == channel)
            .map(|wanted| wanted.file)
    }

    pub fn progress(&self, file: &EventId) -> Option<Progress> {
        self.fetches.get(file).map(|fetch| Progress {
            missing: fetch.wanted.missing.len(),
            asked: fetch.assembly.as_ref().map(|assembly| assembly.peer),
            from: fetch.from.clone(),
        })
    }

    /// A peer came up: it may be asked at once.
    pub fn up(&mut self, peer: &PartnerId) {
        self.owed.remove(peer);
        self.drained(peer);
    }

    /// Frames to a peer were dropped, perhaps those that asked: it is asked anew.
    pub fn drained(&mut self, peer: &PartnerId) {
        for fetch in self.fetches.values_mut() {
            fetch.assembly.take_if(|assembly| assembly.peer == *peer);
            fetch.resting.remove(peer);
            fetch.look_at = Instant::default();
        }
    }

    /// A peer's link is gone, and with it what was under way.
    pub fn down(&mut self, peer: &PartnerId) {
        self.owed.remove(peer);
        for fetch in self.fetches.values_mut() {
            fetch.assembly.take_if(|assembly| assembly.peer == *peer);
            fetch.preferred.take_if(|preferred| preferred == peer);
            fetch.look_at = Instant::default();
        }
    }

    /// A channel's members changed: perhaps other peers read a lane now.
    pub fn readers_changed(&mut self, channel: ChannelId) {
        let of_channel = |fetch: &&mut Fetch| fetch.wanted.channel == channel;
        for fetch in self.fetches.values_mut().filter(of_channel) {
            fetch.readers_changed = true;
            fetch.look_at = Instant::default();
        }
    }

    /// Takes an answer.
    pub fn taken(&mut self, peer: PartnerId, piece: Piece, now: Instant) -> Taken {
        let Some(owed) = self.owed.get_mut(&peer).filter(|owed| **owed > 0) else {
            return Taken::Fault(Fault::Unasked);
        };
        *owed -= 1;
        let Some(fetch) = self.fetches.get_mut(&piece.file) else {
            return Taken::Nothing;
        };
        let awaited = fetch
            .assembly
            .take_if(|assembly| assembly.peer == peer && assembly.awaits(&piece));
        match awaited {
            Some(assembly) => fetch.take(assembly, &piece.bytes, now),
            // It was given up on and came late.
            None => Taken::Nothing,
        }
    }

    /// What to ask for now. `readers` gives the linked peers that read a lane and take frames.
    /// Also the peers that did not answer in time.
    pub fn due(
        &mut self,
        readers: impl Fn(ChannelId, LaneId) -> Vec<PartnerId>,
        now: Instant,
    ) -> (Vec<(PartnerId, AskPiece)>, Vec<PartnerId>) {
        let (mut due, mut late) = (Vec::new(), Vec::new());
        for fetch in self.fetches.values_mut() {
            late.extend(fetch.give_up_when_late(now));
            let (channel, lane) = (fetch.wanted.channel, fetch.wanted.lane);
            fetch.choose(|| readers(channel, lane), now);
        }
        while let Some((peer, ask)) = self.next_question(now) {
            *self.owed.entry(peer).or_insert(0) += 1;
            due.push((peer, ask));
        }
        (due, late)
    }

    /// One question of the fetch whose turn it is, if its peer may be asked more.
    fn next_question(&mut self, now: Instant) -> Option<(PartnerId, AskPiece)> {
        let open = |peer: &PartnerId| {
            let of_peer = self.fetches.values().filter_map(|it| it.assembly.as_ref());
            let of_peer = of_peer.filter(|assembly| assembly.peer == *peer);
            of_peer.map(Assembly::open).sum::<usize>()
        };
        let may_ask = |(id, fetch): (&EventId, &Fetch)| {
            let assembly = fetch.assembly.as_ref()?;
            let more = assembly.asked < assembly.len;
            (more && open(&assembly.peer) < limits::PIECES_PER_PEER).then_some(*id)
        };
        let able: BTreeSet<EventId> = self.fetches.iter().filter_map(may_ask).collect();
        let after = able.iter().find(|id| Some(**id) > self.last);
        let turn = *after.or_else(|| able.first())?;
        self.last = Some(turn);
        self.fetches.get_mut(&turn)?.ask(now)
    }

    /// When to look again, if anything is fetched.
    pub fn next_look(&self) -> Option<Instant> {
        let wants = self.fetches.values().filter(|fetch| !fetch.is_done());
        wants
            .map(|fetch| {
                let assembly = fetch.assembly.as_ref();
                assembly.map_or(fetch.look_at, |assembly| assembly.deadline)
            })
            .min()
    }
}

impl Fetch {
    fn new(wanted: Wanted) -> Fetch {
        Fetch {
            wanted,
            preferred: None,
            assembly: None,
            resting: BTreeMap::new(),
            from: BTreeSet::new(),
            look_at: Instant::default(),
            readers_changed: false,
        }
    }

    fn is_done(&self) -> bool {
        self.wanted.missing.is_empty()
    }

    fn give_up_when_late(&mut self, now: Instant) -> Option<PartnerId> {
        let late = self
            .assembly
            .take_if(|assembly| assembly.open() > 0 && assembly.deadline <= now)?;
        self.give_up_on(late.peer, now);
        Some(late.peer)
    }

    /// Chooses whom to ask for the next chunk, where none is coming.
    fn choose(&mut self, readers: impl FnOnce() -> Vec<PartnerId>, now: Instant) {
        let idle = self.assembly.is_none() && self.look_at <= now;
        if self.is_done() || !(idle || self.readers_changed) {
            return;
        }
        let readers = readers();
        let changed = std::mem::take(&mut self.readers_changed);
        if changed && let Some(assembly) = &self.assembly {
            if readers.contains(&assembly.peer) {
                return;
            }
            self.assembly = None;
        }
        let rests = |peer: &PartnerId| self.resting.get(peer).is_some_and(|it| it.until > now);
        let first = [self.preferred, Some(self.wanted.author)];
        let in_order = first.iter().flatten().chain(&readers);
        let peer = in_order
            .copied()
            .find(|peer| readers.contains(peer) && !rests(peer));
        let chunk = self.wanted.missing.first().copied();
        let (Some(peer), Some(chunk)) = (peer, chunk) else {
            self.look_at = now.plus(NOBODY_MS);
            return;
        };
        let plain = chunk_len(self.wanted.size, chunk);
        self.assembly = Some(Assembly {
            peer,
            chunk,
            len: plain + crypto::CHUNK_OVERHEAD,
            bytes: Vec::new(),
            asked: 0,
            deadline: now.plus(limits::PIECE_MS),
        });
    }

    /// The next piece of the chunk that is coming.
    fn ask(&mut self, now: Instant) -> Option<(PartnerId, AskPiece)> {
        let assembly = self.assembly.as_mut()?;
        if assembly.open() == 0 {
            assembly.deadline = now.plus(limits::PIECE_MS);
        }
        let offset = assembly.asked;
        assembly.asked = (offset + limits::PIECE_BYTES).min(assembly.len);
        let ask = AskPiece {
            channel: self.wanted.channel,
            lane: self.wanted.lane,
            file: self.wanted.file,
            chunk: assembly.chunk,
            offset: offset as u32,
        };
        Some((assembly.peer, ask))
    }

    /// Takes a piece that the assembly awaits.
    fn take(&mut self, mut assembly: Assembly, bytes: &[u8], now: Instant) -> Taken {
        let expected = limits::PIECE_BYTES.min(assembly.len - assembly.bytes.len());
        if bytes.is_empty() {
            self.give_up_on(assembly.peer, now);
            return Taken::Nothing;
        }
        if bytes.len() != expected {
            self.give_up_on(assembly.peer, now);
            let len = bytes.len();
            return Taken::Fault(Fault::Length { len, expected });
        }
        assembly.bytes.extend_from_slice(bytes);
        assembly.deadline = now.plus(limits::PIECE_MS);
        if assembly.bytes.len() < assembly.len {
            self.assembly = Some(assembly);
            return Taken::Nothing;
        }
        let (peer, chunk) = (assembly.peer, assembly.chunk);
        let hash = Hash(crypto::chunk_hash(&assembly.bytes));
        if self.wanted.chunks.get(chunk as usize) != Some(&hash) {
            self.give_up_on(peer, now);
            return Taken::Fault(Fault::Hash { chunk });
        }
        self.wanted.missing.remove(&chunk);
        self.resting.remove(&peer);
        self.from.insert(peer);
        self.preferred = Some(peer);
        Taken::Chunk {
            channel: self.wanted.channel,
            file: self.wanted.file,
            chunks: self.wanted.chunks.len() as u32,
            chunk,
            sealed: assembly.bytes,
        }
    }

    /// The next reader's turn.
    fn give_up_on(&mut self, peer: PartnerId, now: Instant) {
        let rest = self.resting.entry(peer).or_default();
        let ms = (REST_MS << rest.times.min(6)).min(REST_MAX_MS);
        *rest = Rest {
            until: now.plus(ms),
            times: rest.times.saturating_add(1),
        };
        self.preferred.take_if(|preferred| *preferred == peer);
        self.look_at = now;
    }
}

impl Assembly {
    /// How many pieces were asked for and have not come.
    fn open(&self) -> usize {
        (self.asked - self.bytes.len()).div_ceil(limits::PIECE_BYTES)
    }

    /// Whether a piece is the next one: a peer answers in the order of the questions.
    fn awaits(&self, piece: &Piece) -> bool {
        let next = self.bytes.len();
        piece.chunk == self.chunk && piece.offset as usize == next && next < self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunk_count;
    use super::*;

    const CHANNEL: ChannelId = ChannelId([1; 32]);
    const LANE: LaneId = LaneId([2; 32]);
    const FILE: EventId = EventId([3; 32]);
    const AUTHOR: PartnerId = PartnerId([9; 32]);
    const OTHER: PartnerId = PartnerId([4; 32]);
    /// Two chunks and a bit.
    const SIZE: u64 = 2 * limits::CHUNK_BYTES as u64 + 300_000;

    /// A sealed chunk of the file with this number.
    fn sealed(number: u8, size: u64, chunk: u32) -> Vec<u8> {
        vec![number.wrapping_add(chunk as u8); chunk_len(size, chunk) + crypto::CHUNK_OVERHEAD]
    }

    fn wanted(number: u8, size: u64) -> Wanted {
        let chunks = 0..chunk_count(size) as u32;
        let hash = |chunk| Hash(crypto::chunk_hash(&sealed(number, size, chunk)));
        Wanted {
            channel: CHANNEL,
            lane: LANE,
            file: EventId([number; 32]),
            author: AUTHOR,
            size,
            chunks: chunks.clone().map(hash).collect(),
            missing: chunks.collect(),
        }
    }

    /// How a peer answers a question, given the honest answer.
    type Manner = fn(&AskPiece, Vec<u8>) -> Option<Vec<u8>>;

    const HONEST: Manner = |_, bytes| Some(bytes);
    const WITHOUT: Manner = |_, _| Some(Vec::new());
    const SILENT: Manner = |_, _| None;
    const SHORT: Manner = |_, mut bytes| {
        bytes.pop();
        Some(bytes)
    };
    const LONG: Manner = |_, mut bytes| {
        bytes.push(0);
        Some(bytes)
    };
    /// All is right but the very last byte of a chunk.
    const WRONG: Manner = |_, mut bytes| {
        if bytes.len() < limits::PIECE_BYTES {
            bytes.pop();
            bytes.push(0xff);
        }
        Some(bytes)
    };

    /// Peers that answer at once, in a manner of their own.
    struct Mesh {
        fetches: Fetches,
        manners: BTreeMap<PartnerId, Manner>,
        now: Instant,
        asked: BTreeMap<PartnerId, usize>,
        chunks: Vec<(EventId, u32)>,
        faults: Vec<(PartnerId, Fault)>,
        late: Vec<PartnerId>,
    }

    impl Mesh {
        fn of(manners: &[(PartnerId, Manner)]) -> Mesh {
            Mesh {
                fetches: Fetches::default(),
                manners: manners.iter().copied().collect(),
                now: Instant(1_000),
                asked: BTreeMap::new(),
                chunks: Vec::new(),
                faults: Vec::new(),
                late: Vec::new(),
            }
        }

        /// Fetches the file, and says after how many milliseconds it was whole.
        fn fetch(&mut self, wanted: Wanted, within_ms: u64) -> Option<u64> {
            let (file, begun) = (wanted.file, self.now);
            assert!(self.fetches.begin(wanted));
            while self.now.0 - begun.0 <= within_ms {
                self.round();
                if self.fetches.progress(&file)?.missing == 0 {
                    return Some(self.now.0 - begun.0);
                }
                self.now = self.now.plus(100);
            }
            None
        }

        fn questions(&mut self) -> Vec<(PartnerId, AskPiece)> {
            let readers: Vec<PartnerId> = self.manners.keys().copied().collect();
            let (due, late) = self.fetches.due(|_, _| readers.clone(), self.now);
            self.late.extend(late);
            due
        }

        /// Asks and answers until there is nothing more to ask just now.
        fn round(&mut self) {
            loop {
                let due = self.questions();
                if due.is_empty() {
                    return;
                }
                for (peer, ask) in due {
                    *self.asked.entry(peer).or_insert(0) += 1;
                    let chunk = sealed(ask.file.0[0], SIZE, ask.chunk);
                    let from = ask.offset as usize;
                    let to = chunk.len().min(from + limits::PIECE_BYTES);
                    if let Some(bytes) = self.manners[&peer](&ask, chunk[from..to].to_vec()) {
                        self.answer(peer, Piece::answer(&ask, bytes));
                    }
                }
            }
        }

        fn answer(&mut self, peer: PartnerId, piece: Piece) {
            match self.fetches.taken(peer, piece, self.now) {
                Taken::Nothing => {}
                Taken::Chunk {
                    file,
                    chunk,
                    sealed: bytes,
                    ..
                } => {
                    assert_eq!(bytes, sealed(file.0[0], SIZE, chunk), "what is stored");
                    self.chunks.push((file, chunk));
                }
                Taken::Fault(fault) => self.faults.push((peer, fault)),
            }
        }
    }

    #[test]
    fn a_file_comes_chunk_by_chunk_from_its_author() {
        let mut mesh = Mesh::of(&[(AUTHOR, HONEST), (OTHER, HONEST)]);
        assert_eq!(mesh.fetch(wanted(3, SIZE), 0), Some(0));
        assert_eq!(mesh.chunks, [(FILE, 0), (FILE, 1), (FILE, 2)]);
        // Nine pieces for a whole chunk and its tag, and three for the rest.
        assert_eq!(mesh.asked, BTreeMap::from([(AUTHOR, 9 + 9 + 3)]));
        let progress = mesh.fetches.progress(&FILE).unwrap();
        assert_eq!(progress.from, BTreeSet::from([AUTHOR]));
        assert!(mesh.faults.is_empty());
    }

    #[test]
    fn chunks_that_are_held_are_not_asked_for() {
        let mut mesh = Mesh::of(&[(AUTHOR, HONEST)]);
        let mut rest = wanted(3, SIZE);
        rest.missing = BTreeSet::from([1]);
        assert_eq!(mesh.fetch(rest, 0), Some(0));
        assert_eq!(mesh.chunks, [(FILE, 1)]);
        assert_eq!(mesh.asked, BTreeMap::from([(AUTHOR, 9)]));
    }

    #[test]
    fn whoever_lies_is_known_and_another_is_asked() {
        let length = |fault: &Fault| matches!(fault, Fault::Length { .. });
        let hash = |fault: &Fault| matches!(fault, Fault::Hash { .. });
        let cases: [(&str, Manner, fn(&Fault) -> bool); 3] = [
            ("short", SHORT, length),
            ("endless", LONG, length),
            ("wrong", WRONG, hash),
        ];
        for (what, manner, is_so) in cases {
            let mut mesh = Mesh::of(&[(AUTHOR, manner), (OTHER, HONEST)]);
            assert_eq!(mesh.fetch(wanted(3, SIZE), 0), Some(0), "{what}");
            let [(peer, fault)] = &mesh.faults[..] else {
                panic!("{what}: {:?}", mesh.faults);
            };
            assert_eq!(*peer, AUTHOR);
            assert!(is_so(fault), "{what}: {fault}");
            // It is known by one chunk at the most.
            assert!(mesh.asked[&AUTHOR] <= 9, "{what}");
        }
    }

    #[test]
    fn whoever_has_nothing_is_no_liar() {
        let mut mesh = Mesh::of(&[(AUTHOR, WITHOUT), (OTHER, HONEST)]);
        assert_eq!(mesh.fetch(wanted(3, SIZE), 0), Some(0));
        assert!(mesh.faults.is_empty());
        assert_eq!(mesh.asked[&AUTHOR], limits::PIECES_PER_PEER);
    }

    #[test]
    fn whoever_never_answers_is_given_up_on() {
        let mut mesh = Mesh::of(&[(AUTHOR, SILENT), (OTHER, HONEST)]);
        let took = mesh.fetch(wanted(3, SIZE), 60_000);
        assert_eq!(took, Some(limits::PIECE_MS));
        assert_eq!(mesh.late, [AUTHOR]);
    }

    #[test]
    fn a_liar_alone_is_asked_ever_less_often() {
        let mut mesh = Mesh::of(&[(AUTHOR, WRONG)]);
        assert_eq!(mesh.fetch(wanted(3, SIZE), 3_600_000), None);
        assert!(mesh.chunks.is_empty());
        // Rests of 1, 2, 4 … 32 s, then one a minute: 6 and 59.
        let faults = mesh.faults.len();
        assert!((60..=70).contains(&faults), "{faults} in an hour");
    }

    #[test]
    fn what_nobody_asked_for_is_a_fault_and_changes_nothing() {
        let mut mesh = Mesh::of(&[(AUTHOR, SILENT), (OTHER, SILENT)]);
        assert!(mesh.fetches.begin(wanted(3, SIZE)));
        let due = mesh.questions();
        assert!(due.iter().all(|(peer, _)| *peer == AUTHOR));
        let ask = due[0].1;
        for _ in 0..3 {
            mesh.answer(OTHER, Piece::answer(&ask, vec![0; limits::PIECE_BYTES]));
        }
        assert_eq!(mesh.faults, [(OTHER, Fault::Unasked); 3]);
        // Of another place than the next: passed over, and no more of them than were asked for.
        let later = AskPiece { chunk: 2, ..ask };
        for _ in 0..limits::PIECES_PER_PEER + 1 {
            mesh.answer(AUTHOR, Piece::answer(&later, vec![0; limits::PIECE_BYTES]));
        }
        assert_eq!(mesh.faults.len(), 4);
        assert_eq!(mesh.fetches.progress(&FILE).unwrap().missing, 3);
    }

    #[test]
    fn a_peer_is_asked_for_a_bounded_number_of_pieces_and_every_file_gets_its_turn() {
        let mut mesh = Mesh::of(&[(AUTHOR, SILENT)]);
        for number in 10..14 {
            assert!(mesh.fetches.begin(wanted(number, SIZE)));
        }
        let mut turns: BTreeMap<EventId, usize> = BTreeMap::new();
        let mut open = mesh.questions();
        assert_eq!(open.len(), limits::PIECES_PER_PEER);
        while turns.values().min().is_none_or(|least| *least < 4) || turns.len() < 4 {
            let (peer, ask) = open.remove(0);
            *turns.entry(ask.file).or_insert(0) += 1;
            let chunk = sealed(ask.file.0[0], SIZE, ask.chunk);
            let from = ask.offset as usize;
            let to = chunk.len().min(from + limits::PIECE_BYTES);
            mesh.answer(peer, Piece::answer(&ask, chunk[from..to].to_vec()));
            open.extend(mesh.questions());
            assert!(open.len() <= limits::PIECES_PER_PEER);
            assert!(turns.values().all(|turns| *turns <= 5), "{turns:?}");
        }
    }

    #[test]
    fn a_link_that_comes_back_goes_on_with_the_chunk_that_was_under_way() {
        let mut mesh = Mesh::of(&[(AUTHOR, SILENT)]);
        assert!(mesh.fetches.begin(wanted(3, SIZE)));
        assert_eq!(mesh.questions().len(), limits::PIECES_PER_PEER);
        mesh.fetches.down(&AUTHOR);
        mesh.manners.clear();
        assert!(mesh.questions().is_empty());

        mesh.manners.insert(AUTHOR, HONEST);
        mesh.fetches.up(&AUTHOR);
        mesh.round();
        assert_eq!(mesh.fetches.progress(&FILE).unwrap().missing, 0);
        assert!(mesh.faults.is_empty() && mesh.late.is_empty());
    }

    #[test]
    fn who_reads_the_lane_no_more_is_asked_no_more() {
        let mut mesh = Mesh::of(&[(AUTHOR, SILENT)]);
        assert!(mesh.fetches.begin(wanted(3, SIZE)));
        assert!(!mesh.questions().is_empty());
        mesh.manners = BTreeMap::from([(OTHER, HONEST)]);
        mesh.fetches.readers_changed(CHANNEL);
        mesh.round();
        assert_eq!(mesh.asked.keys().collect::<Vec<_>>(), [&OTHER]);
        assert_eq!(mesh.fetches.progress(&FILE).unwrap().missing, 0);
    }

    #[test]
    fn too_many_files_at_a_time_are_refused() {
        let mut fetches = Fetches::default();
        for number in 0..limits::FETCHES as u8 {
            assert!(fetches.begin(wanted(number, 1)));
        }
        assert!(!fetches.begin(wanted(200, 1)));
        assert!(fetches.begin(wanted(3, 1)), "one that is under way");
        fetches.end(&FILE);
        assert!(fetches.begin(wanted(200, 1)));
    }
}
