//! Which chunks of which files are held, and the rows that say so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::codec::{Canonical, Malformed};
use crate::id::{ChannelId, EventId, Hash};
use crate::limits;
use crate::rows::{Row, Table};

/// Where a file's chunks are kept: a name of this store's own, since the chunks of an own file are
/// stored before its reference has an id.
pub type Place = Hash;

/// What is held of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldFile {
    pub channel: ChannelId,
    pub place: Place,
    /// How many chunks the file has.
    chunks: u32,
    /// A bit per chunk, the first one lowest.
    held: ByteBuf,
}

impl Canonical for HeldFile {
    const NAME: &'static str = "file row";
    const LIMIT: usize = 256;

    fn check(&self) -> Result<(), Malformed> {
        let chunks = self.chunks as usize;
        if chunks <= limits::CHUNKS && self.held.len() == chunks.div_ceil(8) {
            Ok(())
        } else {
            Err(Malformed::Rule("not a bit for each chunk"))
        }
    }
}

impl HeldFile {
    fn none(channel: ChannelId, place: Place, chunks: u32) -> HeldFile {
        HeldFile {
            channel,
            place,
            chunks,
            held: ByteBuf::from(vec![0; (chunks as usize).div_ceil(8)]),
        }
    }

    pub fn has(&self, chunk: u32) -> bool {
        let byte = self.held.get(chunk as usize / 8);
        chunk < self.chunks && byte.is_some_and(|byte| byte & bit(chunk) != 0)
    }

    /// How many chunks are held.
    pub fn count(&self) -> u32 {
        self.held.iter().map(|byte| byte.count_ones()).sum()
    }

    pub fn is_whole(&self) -> bool {
        self.count() == self.chunks
    }

    fn set(&mut self, chunk: u32) {
        if let Some(byte) = self.held.get_mut(chunk as usize / 8) {
            *byte |= bit(chunk);
        }
    }
}

fn bit(chunk: u32) -> u8 {
    1 << (chunk % 8)
}

/// The files of which something is held.
#[derive(Debug, Default)]
pub struct Held {
    files: BTreeMap<EventId, HeldFile>,
}

impl Held {
    /// Takes a row of [`Table::Files`].
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let id = key.try_into().map_err(|_| Malformed::Undecodable {
            expected: "event id",
        })?;
        self.files.insert(EventId(id), HeldFile::from_bytes(value)?);
        Ok(())
    }

    pub fn get(&self, file: &EventId) -> Option<&HeldFile> {
        self.files.get(file)
    }

    /// The files of a channel of which something is held.
    pub fn of(&self, channel: ChannelId) -> impl Iterator<Item = EventId> {
        let of_channel = self.files.iter();
        of_channel
            .filter(move |(_, file)| file.channel == channel)
            .map(|(id, _)| *id)
    }

    /// All chunks of an own file are in their place already.
    pub fn insert_whole(
        &mut self,
        file: EventId,
        channel: ChannelId,
        place: Place,
        chunks: u32,
    ) -> Row {
        let mut held = HeldFile::none(channel, place, chunks);
        (0..chunks).for_each(|chunk| held.set(chunk));
        self.put(file, held)
    }

    /// A chunk was fetched: its rows.
    pub fn insert_chunk(
        &mut self,
        file: EventId,
        channel: ChannelId,
        chunks: u32,
        chunk: u32,
        sealed: Vec<u8>,
    ) -> Vec<Row> {
        let known = self.files.get(&file).cloned();
        let mut held = known.unwrap_or_else(|| HeldFile::none(channel, Hash(file.0), chunks));
        held.set(chunk);
        let key = chunk_key(&held.place, chunk);
        let stored = Row::put(Table::Chunks, key, sealed);
        vec![stored, self.put(file, held)]
    }

    fn put(&mut self, file: EventId, held: HeldFile) -> Row {
        let row = Row::put(Table::Files, file.0.to_vec(), held.to_bytes());
        self.files.insert(file, held);
        row
    }

    /// A file was withdrawn: the rows that delete what is held of it.
    pub fn remove(&mut self, file: &EventId) -> Vec<Row> {
        let Some(held) = self.files.remove(file) else {
            return Vec::new();
        };
        let chunks = (0..held.chunks).filter(|chunk| held.has(*chunk));
        let mut rows: Vec<Row> = chunks
            .map(|chunk| Row::delete(Table::Chunks, chunk_key(&held.place, chunk)))
            .collect();
        rows.push(Row::delete(Table::Files, file.0.to_vec()));
        rows
    }
}

/// The key of a chunk's row.
pub fn chunk_key(place: &Place, chunk: u32) -> Vec<u8> {
    [place.0.as_slice(), &chunk.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANNEL: ChannelId = ChannelId([1; 32]);
    const FILE: EventId = EventId([2; 32]);

    #[test]
    fn what_is_held_reads_back_chunk_by_chunk() {
        let mut held = Held::default();
        let mut stored = BTreeMap::new();
        for chunk in [0, 7, 8, 1023] {
            for row in held.insert_chunk(FILE, CHANNEL, 1024, chunk, vec![9]) {
                stored.insert((row.table, row.key), row.value);
            }
        }
        let mut again = Held::default();
        for ((table, key), value) in &stored {
            if *table == Table::Files {
                again.restore(key, value.as_ref().unwrap()).unwrap();
            }
        }
        let file = again.get(&FILE).unwrap();
        let there: Vec<u32> = (0..2000).filter(|chunk| file.has(*chunk)).collect();
        assert_eq!(there, [0, 7, 8, 1023]);
        assert!(!file.is_whole());
    }

    #[test]
    fn a_withdrawn_file_leaves_no_row() {
        let mut held = Held::default();
        let mut stored = BTreeMap::new();
        let written = (0..3).flat_map(|chunk| held.insert_chunk(FILE, CHANNEL, 3, chunk, vec![9]));
        for row in written.collect::<Vec<Row>>() {
            stored.insert((row.table, row.key), row.value);
        }
        for row in held.remove(&FILE) {
            assert_eq!(row.value, None);
            assert!(stored.remove(&(row.table, row.key)).is_some());
        }
        assert!(stored.is_empty());
        assert!(held.get(&FILE).is_none());
    }

    #[test]
    fn an_empty_file_is_whole() {
        let mut held = Held::default();
        held.insert_whole(FILE, CHANNEL, Hash([3; 32]), 0);
        assert!(held.get(&FILE).unwrap().is_whole());
    }
}
