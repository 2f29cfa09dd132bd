//! What is stored: rows of a few tables, their keys and values.

use std::collections::BTreeMap;

use comity_crypto as crypto;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::codec::{Canonical, Malformed};
use crate::event::Event;
use crate::id::{ChannelId, EventId, LaneId, PartnerId, Signature, WriterId};
use crate::limits;
use crate::mutation::{self, Mutation};
use crate::wire::LogId;

/// A table of the store (a column family).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Table {
    /// The node's own matters: format version, identity.
    Meta,
    /// Pacts with other partners, by partner id.
    Pacts,
    /// What is stored of channels besides their events, by channel id.
    Channels,
    /// Log numbers: `u32` to channel, lane and writer.
    Logs,
    /// Events: log number, position, id.
    Events,
    /// Epoch secrets by key event id; sealed under the storage key.
    Secrets,
    /// How far imports have come.
    Imports,
    /// Security decisions, in order.
    Audit,
    /// Which chunks of which files are held, by file reference.
    Files,
    /// Sealed chunks: where the file's are kept, and the chunk's number.
    Chunks,
    /// Files that are being handed over and have no reference yet, by where their chunks are kept.
    Uploads,
    /// Own writers that are never used again, by writer id.
    Writers,
    /// The partner's own people: accounts, sessions, what they have read; keys bear no names.
    People,
}

impl Table {
    pub const ALL: [Table; 13] = [
        Table::Meta,
        Table::Pacts,
        Table::Channels,
        Table::Logs,
        Table::Events,
        Table::Secrets,
        Table::Imports,
        Table::Audit,
        Table::Files,
        Table::Chunks,
        Table::Uploads,
        Table::Writers,
        Table::People,
    ];

    /// Those from which the machine is put together again.
    pub const OF_THE_MACHINE: [Table; 6] = [
        Table::Channels,
        Table::Logs,
        Table::Secrets,
        Table::Events,
        Table::Files,
        Table::Writers,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Pacts => "pacts",
            Table::Channels => "channels",
            Table::Logs => "logs",
            Table::Events => "events",
            Table::Secrets => "secrets",
            Table::Imports => "imports",
            Table::Audit => "audit",
            Table::Files => "files",
            Table::Chunks => "chunks",
            Table::Uploads => "uploads",
            Table::Writers => "writers",
            Table::People => "people",
        }
    }

    /// Whether values are sealed under the storage key. Events and chunks are not: they stay
    /// sealed as they came.
    pub fn is_sealed(self) -> bool {
        !matches!(self, Table::Logs | Table::Events | Table::Chunks)
    }
}

/// A write; the value is absent to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub table: Table,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

impl Row {
    pub fn put(table: Table, key: Vec<u8>, value: Vec<u8>) -> Row {
        Row {
            table,
            key,
            value: Some(value),
        }
    }

    pub fn delete(table: Table, key: Vec<u8>) -> Row {
        Row {
            table,
            key,
            value: None,
        }
    }
}

/// A log's number in this store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LogRow {
    channel: ChannelId,
    lane: LaneId,
    writer: WriterId,
}

impl Canonical for LogRow {
    const NAME: &'static str = "log row";
    const LIMIT: usize = 128;
}

/// An event's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct EventRow {
    h: u64,
    signature: Signature,
    header: ByteBuf,
    body: ByteBuf,
}

impl Canonical for EventRow {
    const NAME: &'static str = "event row";
    const LIMIT: usize = limits::HEADER_BYTES + limits::BODY_BYTES + 256;
}

/// What is stored of a channel besides its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelNote {
    /// The peer that first told of it; absent for own channels.
    pub offered_by: Option<PartnerId>,
}

impl Canonical for ChannelNote {
    const NAME: &'static str = "channel note";
    const LIMIT: usize = 64;
}

impl ChannelNote {
    pub(crate) fn row(&self, channel: &ChannelId) -> Row {
        Row::put(Table::Channels, channel.0.to_vec(), self.to_bytes())
    }
}

/// An event as it was stored, with its height.
#[derive(Debug)]
pub struct StoredEvent {
    pub event: Event,
    pub h: u64,
}

/// The numbers of this store's logs.
#[derive(Debug, Default)]
pub struct LogNumbers {
    numbers: BTreeMap<LogId, u32>,
    logs: BTreeMap<u32, LogId>,
}

impl LogNumbers {
    /// Takes a row of [`Table::Logs`].
    pub fn restore(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let number =
            key.try_into()
                .map(u32::from_be_bytes)
                .map_err(|_| Malformed::Undecodable {
                    expected: "log number",
                })?;
        let row = LogRow::from_bytes(value)?;
        self.insert((row.channel, row.lane, row.writer), number);
        Ok(())
    }

    pub fn get(&self, log: &LogId) -> Option<u32> {
        self.numbers.get(log).copied()
    }

    /// The log that has a number.
    pub fn log(&self, number: u32) -> Option<LogId> {
        self.logs.get(&number).copied()
    }

    fn insert(&mut self, log: LogId, number: u32) {
        self.numbers.insert(log, number);
        self.logs.insert(number, log);
    }

    /// The rows that store an event; its log gets a number if it has none.
    pub fn event_rows(&mut self, event: &Event, h: u64) -> Vec<Row> {
        let header = &event.header;
        let log = (header.channel, header.lane, header.writer);
        let mut rows = Vec::with_capacity(2);
        let number = self.get(&log).unwrap_or_else(|| {
            let number = self.logs.last_key_value().map_or(0, |(last, _)| last + 1);
            let number = if mutation::is(Mutation::LogNumberUsedTwice) {
                number % 6
            } else {
                number
            };
            self.insert(log, number);
            let row = LogRow {
                channel: log.0,
                lane: log.1,
                writer: log.2,
            };
            rows.push(Row::put(
                Table::Logs,
                number.to_be_bytes().to_vec(),
                row.to_bytes(),
            ));
            number
        });
        let row = EventRow {
            h,
            signature: event.signature,
            header: ByteBuf::from(event.header_bytes.clone()),
            body: ByteBuf::from(event.body.clone()),
        };
        rows.push(Row::put(
            Table::Events,
            event_key(number, header.seq, &event.id),
            row.to_bytes(),
        ));
        rows
    }
}

/// The key of an event's row.
pub fn event_key(log: u32, seq: u64, id: &EventId) -> Vec<u8> {
    let mut key = position_key(log, seq);
    key.extend_from_slice(&id.0);
    key
}

/// The start of the keys of a log's events at one position.
pub fn position_key(log: u32, seq: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(44);
    key.extend_from_slice(&log.to_be_bytes());
    key.extend_from_slice(&seq.to_be_bytes());
    key
}

/// Reads an event's row.
pub fn read_event(value: &[u8]) -> Result<StoredEvent, Malformed> {
    let row = EventRow::from_bytes(value)?;
    let event = Event::from_parts(row.header.into_vec(), row.signature, row.body.into_vec())?;
    Ok(StoredEvent { event, h: row.h })
}

/// The row that says that a writer of this node is never used again.
pub fn spent_row(writer: &WriterId) -> Row {
    Row::put(Table::Writers, writer.0.to_vec(), vec![1])
}

/// The row that stores an epoch's secret.
pub fn secret_row(key_event: &EventId, secret: &crypto::EpochSecret) -> Row {
    Row::put(
        Table::Secrets,
        key_event.0.to_vec(),
        secret.as_bytes().to_vec(),
    )
}
