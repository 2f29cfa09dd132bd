//! Files in the simulated mesh: sending, fetching, and who was told what of them.

use comity_protocol::body::FileBody;
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Precedence, UserName};
use comity_protocol::files::{FileKey, chunk_count, chunk_key, chunk_len};
use comity_protocol::id::{ChannelId, EventId, Hash, PartnerId};
use comity_protocol::keys::open;
use comity_protocol::limits;
use comity_protocol::replica::{Command, CommandError, Draft, Input, SendPiece, StreamClass};
use comity_protocol::rows::{self, Row, Table};
use comity_protocol::wire::{AskPiece, Frame, Piece};

use super::{START_MS, World};

/// A file that a partner has sent.
#[derive(Debug, Clone)]
pub struct SentFile {
    pub channel: ChannelId,
    pub id: EventId,
    pub bytes: Vec<u8>,
}

impl World {
    /// Sends a file of random bytes to an audience, or to all members.
    pub fn send_file(
        &mut self,
        partner: usize,
        channel: ChannelId,
        audience: Option<&[usize]>,
        size: u64,
    ) -> SentFile {
        let key = FileKey::from_bytes(self.chance.bytes("file-key"));
        let place = Hash(self.chance.bytes("file-place"));
        let pattern = self.chance.bytes("file-bytes");
        // No two chunks are alike.
        let byte = |at: usize| pattern[at % 32] ^ (at >> 20) as u8;
        let bytes: Vec<u8> = (0..size as usize).map(byte).collect();
        let mut chunks = Vec::new();
        let mut rows = Vec::new();
        for (index, chunk) in bytes.chunks(limits::CHUNK_BYTES).enumerate() {
            let mut sealed = chunk.to_vec();
            chunks.push(key.seal(size, index as u32, &mut sealed));
            rows.push(Row::put(
                Table::Chunks,
                chunk_key(&place, index as u32),
                sealed,
            ));
        }
        self.store(partner, rows);
        let command = Command::File {
            channel,
            draft: self.draft(audience),
            target: None,
            file: FileBody {
                name: "file".into(),
                media_type: String::new(),
                size,
                key,
                chunks,
            },
            place,
            rows: Vec::new(),
        };
        let written = self.command(partner, command).expect("a file is sent");
        SentFile {
            channel,
            id: written.id,
            bytes,
        }
    }

    /// Withdraws a file of one's own.
    pub fn withdraw_file(&mut self, partner: usize, file: &SentFile) {
        let target = self.replicas_file(partner, file).expect("the file");
        let command = Command::Redact {
            channel: file.channel,
            draft: self.draft(None),
            target,
            reason: String::new(),
        };
        self.command(partner, command).expect("it is one's own");
    }

    fn draft(&self, audience: Option<&[usize]>) -> Draft {
        let ids = |partners: &[usize]| partners.iter().map(|it| self.partners[*it].id).collect();
        Draft {
            user: UserName::try_from("user".to_string()).expect("a legal name"),
            claimed_ms: START_MS + self.now_ms,
            precedence: Precedence::Routine,
            audience: audience.map(ids),
            label: None,
        }
    }

    fn replicas_file(
        &self,
        partner: usize,
        file: &SentFile,
    ) -> Option<comity_protocol::graph::Pos> {
        self.replica(partner)?
            .channels()
            .get(&file.channel)?
            .file(&file.id)
    }

    /// Whether a partner has the reference to a file.
    pub fn knows_file(&self, partner: usize, file: &SentFile) -> bool {
        self.replicas_file(partner, file).is_some()
    }

    /// Whether a partner has the reference to a file on disk, and can open it.
    pub fn reads_file(&self, partner: usize, file: &SentFile) -> bool {
        self.file_body(partner, file).is_some()
    }

    /// Begins to fetch a file, as somebody of the partner's would.
    pub fn fetch(&mut self, partner: usize, file: &SentFile) -> Result<(), CommandError> {
        let body = self.file_body(partner, file).expect("a readable reference");
        let target = self.replicas_file(partner, file).expect("the file");
        let command = Command::Fetch {
            channel: file.channel,
            target,
            file: body,
        };
        self.command(partner, command).map(|_| ())
    }

    /// The reference's body as a partner opens it.
    fn file_body(&self, partner: usize, file: &SentFile) -> Option<FileBody> {
        let replica = self.replica(partner)?;
        let stored = self.partners[partner]
            .disk
            .rows()
            .find_map(|row| match row {
                (Table::Events, _, value) => {
                    let stored = rows::read_event(value).ok()?;
                    (stored.event.id == file.id).then_some(stored.event)
                }
                _ => None,
            })?;
        let secret = replica.secret(&stored.header.key_event?);
        FileBody::from_bytes(&open(&stored, secret).ok()?).ok()
    }

    /// Whether all of a file is on a partner's disk, and opens to what was sent.
    pub fn has_file(&self, partner: usize, file: &SentFile) -> bool {
        let Some(body) = self.file_body(partner, file) else {
            return false;
        };
        let held = self.replica(partner).and_then(|it| it.held_file(&file.id));
        let Some(place) = held.map(|held| held.place) else {
            return file.bytes.is_empty();
        };
        let mut whole = Vec::new();
        for index in 0..chunk_count(body.size) as u32 {
            let key = chunk_key(&place, index);
            let Some(sealed) = self.partners[partner].disk.get(Table::Chunks, &key) else {
                return false;
            };
            let mut chunk = sealed.to_vec();
            assert!(body.is_chunk(index, &chunk), "a chunk that was not checked");
            body.open(index, &mut chunk).expect("a chunk of the file");
            assert_eq!(chunk.len(), chunk_len(body.size, index));
            whole.extend(chunk);
        }
        whole == file.bytes
    }

    /// How many chunks lie on a partner's disk.
    pub fn chunks_stored(&self, partner: usize) -> usize {
        let rows = self.partners[partner].disk.rows();
        rows.filter(|(table, ..)| *table == Table::Chunks).count()
    }

    /// How many questions for pieces a partner was asked by another, and how many pieces with
    /// bytes it was sent by it.
    pub fn told_of_files(&self, to: usize, from: usize) -> (usize, usize) {
        self.files_told.get(&(to, from)).copied().unwrap_or((0, 0))
    }

    pub(super) fn note_told(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let (asked, sent) = match Frame::from_bytes(bytes) {
            Ok(Frame::AskPiece(_)) => (1, 0),
            Ok(Frame::Piece(piece)) => (0, usize::from(!piece.bytes.is_empty())),
            _ => return,
        };
        let told = self.files_told.entry((to, from)).or_insert((0, 0));
        *told = (told.0 + asked, told.1 + sent);
    }

    pub(super) fn send_piece(&mut self, from: usize, piece: SendPiece) {
        let chunk = piece.place.and_then(|place| {
            let key = chunk_key(&place, piece.ask.chunk);
            self.partners[from].disk.get(Table::Chunks, &key)
        });
        let chunk = chunk.unwrap_or_default();
        let begin = chunk.len().min(piece.ask.offset as usize);
        let end = chunk.len().min(begin + limits::PIECE_BYTES);
        let answer = Piece::answer(&piece.ask, chunk[begin..end].to_vec());
        let bytes = Frame::Piece(answer).to_bytes();
        self.send(from, piece.peer, StreamClass::Files, bytes);
    }

    /// What a partner answers to a question for a file's first piece that another sends by hand,
    /// in this lane.
    pub fn ask_by_hand(
        &mut self,
        asked: usize,
        asking: usize,
        question: AskPiece,
    ) -> Option<Vec<u8>> {
        let peer = self.partners[asking].id;
        let life = self.partners[asked].life;
        self.by_hand = Some((asked, peer, None));
        let bytes = Frame::AskPiece(question).to_bytes();
        let class = StreamClass::Control;
        self.handle(asked, Input::Received { peer, class, bytes });
        self.run_for(1_000);
        assert!(self.lives(asked, life));
        self.by_hand.take().and_then(|(_, _, answer)| answer)
    }

    /// Keeps the answer to a question that was sent by hand.
    pub(super) fn keep_answer(&mut self, from: usize, peer: PartnerId, bytes: &[u8]) -> bool {
        let Some((asked, asking, answer)) = &mut self.by_hand else {
            return false;
        };
        if (*asked, *asking) != (from, peer) {
            return false;
        }
        let Ok(Frame::Piece(piece)) = Frame::from_bytes(bytes) else {
            return false;
        };
        *answer = Some(piece.bytes.into_vec());
        true
    }
}
