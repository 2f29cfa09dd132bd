//! Files: writing references, serving pieces, fetching what somebody here wants.

use super::orders::Said;
use super::{Command, CommandError, EventRef, Notice, Output, Replica, StreamClass, Written};
use crate::body::FileBody;
use crate::channel::{Accepted, Channel};
use crate::codec::{Canonical, encode};
use crate::event::Kind;
use crate::files::{HeldFile, Place, Progress, Taken, Wanted, chunk_count};
use crate::id::{ChannelId, EventId, LaneId, PartnerId};
use crate::keys::Entropy;
use crate::rows::Row;
use crate::sync::may_read;
use crate::time::{Instant, Now};
use crate::wire::{AskPiece, Frame, Piece};

/// An answer to a question for a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendPiece {
    pub peer: PartnerId,
    pub ask: AskPiece,
    /// Where the chunk is kept. Absent: there is nothing for the peer, and nothing is looked up.
    pub place: Option<Place>,
}

/// Whether an event that was accepted may end what is shown of a file.
pub(super) fn may_withdraw(accepted: &Accepted) -> bool {
    let kind = accepted.event.header.kind();
    accepted.control || matches!(kind, Kind::Redact | Kind::Cut)
}

impl Replica {
    /// What is held of a file.
    pub fn held_file(&self, file: &EventId) -> Option<&HeldFile> {
        self.held.get(file)
    }

    /// How far the fetch of a file has come; none where it is not fetched.
    pub fn fetching(&self, file: &EventId) -> Option<Progress> {
        self.fetches.progress(file)
    }

    /// Writes the reference to a file whose chunks are stored. That they are held is written with
    /// it.
    pub(super) fn send_file(
        &mut self,
        command: Command,
        entropy: &Entropy,
        now: Now,
    ) -> Result<Written, CommandError> {
        let Command::File {
            channel,
            draft,
            target,
            file,
            place,
            rows,
        } = command
        else {
            return Err(CommandError::Internal("no file".into()));
        };
        file.check().map_err(|error| match error {
            crate::codec::Malformed::Rule(why) => CommandError::NotAFile(why),
            other => CommandError::Internal(other.to_string()),
        })?;
        let chunks = chunk_count(file.size) as u32;
        let said = Said::new(channel, Kind::File, draft, target, encode(&file));
        self.message(said.file(place, chunks, rows), entropy, now)
    }

    /// Begins to fetch a file that this partner may read.
    pub(super) fn fetch(
        &mut self,
        id: ChannelId,
        target: EventRef,
        file: FileBody,
    ) -> Result<Written, CommandError> {
        let channel = self.channels.get(&id).ok_or(CommandError::NoSuchChannel)?;
        let lane = channel.lane_of(target);
        let reference = channel.entry(target).id;
        if channel.file(&reference) != Some(target) || !may_read(channel, &self.partner, &lane) {
            return Err(CommandError::NotAFile("there is no such file here"));
        }
        if channel.is_erased(target) {
            return Err(CommandError::Withdrawn);
        }
        let held = self.held.get(&reference);
        let missing = 0..file.chunks.len() as u32;
        let missing = missing.filter(|chunk| held.is_none_or(|held| !held.has(*chunk)));
        let wanted = Wanted {
            channel: id,
            lane,
            file: reference,
            author: channel.author(target).partner,
            size: file.size,
            missing: missing.collect(),
            chunks: file.chunks,
        };
        if !self.fetches.begin(wanted) {
            return Err(CommandError::TooManyFetches);
        }
        Ok(fetched(id, reference))
    }

    pub(super) fn end_fetch(
        &mut self,
        id: ChannelId,
        target: EventRef,
    ) -> Result<Written, CommandError> {
        let channel = self.channels.get(&id).ok_or(CommandError::NoSuchChannel)?;
        let reference = channel.entry(target).id;
        self.fetches.end(&reference);
        Ok(fetched(id, reference))
    }

    /// Asks readers for what is fetched; returns when to look again.
    pub(super) fn ask_for_pieces(&mut self, now: Instant) -> Option<Instant> {
        let (channels, sync, own) = (&self.channels, &self.sync, self.partner);
        let readers = |channel: ChannelId, lane: LaneId| {
            let held = channels
                .get(&channel)
                .filter(|held| may_read(held, &own, &lane));
            held.map_or_else(Vec::new, |held| sync.readers(held, &lane))
        };
        let (due, late) = self.fetches.due(readers, now);
        for peer in late {
            self.notify(Notice::PieceLate { peer });
        }
        for (peer, ask) in due {
            self.out.push_back(Output::Send {
                peer,
                class: StreamClass::Control,
                bytes: Frame::AskPiece(ask).to_bytes(),
            });
        }
        self.fetches.next_look()
    }

    /// A peer asks for a piece. Whether it reads the lane is decided before anything is looked up;
    /// what is not there for it gets the same answer as what it may not read.
    pub(super) fn on_ask_piece(&mut self, peer: PartnerId, ask: AskPiece) {
        let reads = self
            .channels
            .get(&ask.channel)
            .filter(|channel| may_read(channel, &peer, &ask.lane));
        let place = reads.and_then(|channel| self.place_for(channel, &ask));
        self.out
            .push_back(Output::SendPiece(SendPiece { peer, ask, place }));
    }

    fn place_for(&self, channel: &Channel, ask: &AskPiece) -> Option<Place> {
        let file = channel.file(&ask.file)?;
        let shown = !channel.is_erased(file) && !channel.is_flagged(file);
        let held = self.held.get(&ask.file)?;
        let there = shown && channel.lane_of(file) == ask.lane && held.has(ask.chunk);
        there.then_some(held.place)
    }

    /// A piece came: a chunk that is whole and the right one is stored.
    pub(super) fn on_piece(&mut self, peer: PartnerId, piece: Piece, now: Instant) {
        let (channel, file) = (piece.channel, piece.file);
        match self.fetches.taken(peer, piece, now) {
            Taken::Nothing => {}
            Taken::Chunk {
                channel,
                file,
                chunks,
                chunk,
                sealed,
            } => {
                let rows = self.held.insert_chunk(file, channel, chunks, chunk, sealed);
                self.append(rows);
            }
            Taken::Fault(why) => self.notify(Notice::BadPiece {
                channel,
                file,
                peer,
                why,
            }),
        }
    }

    /// The rows that delete what is held of files that are withdrawn by now. They are fetched no
    /// more either.
    pub(super) fn drop_withdrawn(&mut self, id: ChannelId) -> Vec<Row> {
        let Some(channel) = self.channels.get(&id) else {
            return Vec::new();
        };
        let gone = |file: &EventId| {
            channel
                .file(file)
                .is_none_or(|file| channel.is_erased(file))
        };
        let known = self.held.of(id).chain(self.fetches.of(id));
        let withdrawn: Vec<EventId> = known.filter(gone).collect();
        let mut rows = Vec::new();
        for file in withdrawn {
            self.fetches.end(&file);
            rows.extend(self.held.remove(&file));
        }
        rows
    }
}

fn fetched(channel: ChannelId, id: EventId) -> Written {
    Written {
        channel,
        id,
        audience: Vec::new(),
    }
}
