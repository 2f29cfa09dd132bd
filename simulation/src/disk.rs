//! A disk that keeps what was synced and loses the rest when the process is killed.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::event::Event;
use comity_protocol::id::EventId;
use comity_protocol::rows::{self, Row, Table};
use comity_protocol::wire::LogId;

/// The synced rows of one partner.
#[derive(Debug, Default, Clone)]
pub struct Disk {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// Rows whose checksum no longer fits: reading them is an error.
    damaged: BTreeSet<(Table, Vec<u8>)>,
}

impl Disk {
    pub fn sync(&mut self, rows: Vec<Row>) {
        for row in rows {
            self.damaged.remove(&(row.table, row.key.clone()));
            match row.value {
                Some(value) => drop(self.rows.insert((row.table, row.key), value)),
                None => drop(self.rows.remove(&(row.table, row.key))),
            }
        }
    }

    /// What the rows weigh, keys and values.
    pub fn bytes(&self) -> u64 {
        let sizes = self
            .rows
            .iter()
            .map(|((_, key), value)| key.len() + value.len());
        sizes.sum::<usize>() as u64
    }

    pub fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.get(&(table, key.to_vec())).cloned()
    }

    pub fn rows(&self) -> impl Iterator<Item = (Table, &[u8], &[u8])> {
        self.rows
            .iter()
            .map(|((table, key), value)| (*table, key.as_slice(), value.as_slice()))
    }

    /// The stored events of one log within a range of positions.
    pub fn range(&self, number: u32, from: u64, to: u64) -> Vec<Event> {
        let start = (Table::Events, rows::position_key(number, from));
        self.rows
            .range(start..)
            .take_while(|((table, key), _)| {
                *table == Table::Events && key.starts_with(&number.to_be_bytes())
            })
            .filter_map(|(_, value)| rows::read_event(value).ok())
            .map(|stored| stored.event)
            .take_while(|event| event.header.seq <= to)
            .collect()
    }

    /// Damages a row, where there is one; the number chooses it.
    pub fn damage(&mut self, number: u64) -> bool {
        let at = number.checked_rem(self.rows.len() as u64);
        let row = at.and_then(|at| self.rows.keys().nth(at as usize));
        let damaged = row.cloned().map(|row| self.damaged.insert(row));
        damaged.is_some()
    }

    /// Whether reading everything would find damage.
    pub fn is_damaged(&self) -> bool {
        !self.damaged.is_empty()
    }

    /// Whether reading these positions of a log would find damage.
    pub fn is_range_damaged(&self, number: u32, from: u64, to: u64) -> bool {
        let start = (Table::Events, rows::position_key(number, from));
        let end = (
            Table::Events,
            rows::position_key(number, to.saturating_add(1)),
        );
        start < end && self.damaged.range(start..end).next().is_some()
    }

    /// Whether an event is on disk.
    pub fn holds_event(&self, number: u32, seq: u64, id: &EventId) -> bool {
        let key = (Table::Events, rows::event_key(number, seq, id));
        self.rows.contains_key(&key)
    }

    /// The ids of all events on disk, from their keys.
    pub fn event_ids(&self) -> impl Iterator<Item = EventId> {
        let start = (Table::Events, Vec::new());
        let rows = self.rows.range(start..);
        rows.take_while(|((table, _), _)| *table == Table::Events)
            .filter_map(|((_, key), _)| Some(EventId(key.get(12..44)?.try_into().ok()?)))
    }

    /// Every event on disk.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        self.rows()
            .filter(|(table, _, _)| *table == Table::Events)
            .filter_map(|(_, _, value)| rows::read_event(value).ok())
            .map(|stored| stored.event)
    }

    /// Every event on disk, by log and position.
    pub fn positions(&self) -> Vec<(LogId, u64, EventId)> {
        self.events()
            .map(|event| {
                let header = &event.header;
                let log = (header.channel, header.lane, header.writer);
                (log, header.seq, event.id)
            })
            .collect()
    }
}
