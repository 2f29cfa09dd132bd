//! A disk that keeps what was synced and loses the rest when the process is killed.

use std::collections::BTreeMap;

use comity_protocol::event::Event;
use comity_protocol::id::EventId;
use comity_protocol::rows::{self, Row, Table};
use comity_protocol::wire::LogId;

/// The synced rows of one partner.
#[derive(Debug, Default, Clone)]
pub struct Disk {
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
}

impl Disk {
    pub fn sync(&mut self, rows: Vec<Row>) {
        for row in rows {
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
