//! The record of security decisions: hash-chained, so that a removed or altered record shows.

use std::sync::{Mutex, PoisonError};

use comity_protocol::codec::{Canonical, Malformed};
use comity_protocol::id::Hash;
use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};

use crate::environment::Clock;
use crate::store::{Store, StoreError};

/// Domain tag of a record's hash.
const TAG_AUDIT: &str = "comity/v1/audit-record";
/// The longest text of a record, in bytes.
const TEXT_BYTES: usize = 2 << 10;

/// Records that one search looks at: some ten milliseconds.
const SEARCHED: u64 = 5_000;
/// Records that a search reads at a time.
const BLOCK: u64 = 256;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The hash of the record before.
    pub previous: Hash,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// A stable word, such as `peer_approved`.
    pub action: String,
    pub text: String,
}

impl Canonical for Record {
    const NAME: &'static str = "audit record";
    const LIMIT: usize = TEXT_BYTES + 256;
}

/// Records that were looked for, the newest first.
#[derive(Debug, Default)]
pub struct Found {
    /// With their numbers.
    pub records: Vec<(u64, Record)>,
    /// Where to go on: what is looked for next lies before it. 0 where all was looked at.
    pub next: u64,
}

/// The open end of the record.
pub struct Audit {
    store: Store,
    clock: Clock,
    last: Mutex<(u64, Hash)>,
}

impl Audit {
    /// Opens the record and verifies its chain.
    pub fn open(store: Store) -> Result<Audit, AuditError> {
        let mut last = (0u64, Hash([0; 32]));
        store.scan::<AuditError>(Table::Audit, &[], &[], |key, value| {
            let record = Record::from_bytes(value)?;
            if record.previous != last.1 || key != (last.0 + 1).to_be_bytes() {
                return Err(AuditError::Broken { number: last.0 + 1 });
            }
            last = (last.0 + 1, hash(value));
            Ok(true)
        })?;
        Ok(Audit {
            store,
            clock: Clock::default(),
            last: Mutex::new(last),
        })
    }

    /// Dates records by another clock than the system's.
    pub fn dated_by(self, clock: Clock) -> Audit {
        Audit { clock, ..self }
    }

    /// Records after one of this number (0 for all), the oldest first, with their numbers.
    pub fn after(&self, number: u64, limit: u64) -> Result<Vec<(u64, Record)>, AuditError> {
        let mut records = Vec::new();
        let first = number.saturating_add(1).to_be_bytes();
        self.store
            .scan::<AuditError>(Table::Audit, &[], &first, |key, value| {
                let key = key.try_into().map_err(|_| AuditError::Broken { number })?;
                records.push((u64::from_be_bytes(key), Record::from_bytes(value)?));
                Ok((records.len() as u64) < limit)
            })?;
        Ok(records)
    }

    /// The newest records before one of this number (0 for all) that `is_wanted`, so many at most. It
    /// may look at a part of the record only, and tells where to go on.
    pub fn before(
        &self,
        number: u64,
        limit: usize,
        is_wanted: impl Fn(&Record) -> bool,
    ) -> Result<Found, AuditError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).0;
        let mut next = match number {
            0 => last + 1,
            number => number.min(last + 1),
        };
        let end = next.saturating_sub(SEARCHED).max(1);
        let mut found = Found::default();
        while next > end {
            let first = next.saturating_sub(BLOCK).max(end);
            for (number, record) in self.after(first - 1, next - first)?.into_iter().rev() {
                if is_wanted(&record) {
                    found.records.push((number, record));
                }
                if found.records.len() >= limit {
                    found.next = if number > 1 { number } else { 0 };
                    return Ok(found);
                }
            }
            next = first;
        }
        found.next = if end > 1 { end } else { 0 };
        Ok(found)
    }

    /// Puts a decision on record, synced, before it takes effect.
    pub fn record(&self, action: &str, text: &str) -> Result<(), StoreError> {
        self.record_all([(action, text)])
    }

    /// Puts several on record, in their order, in one synced write.
    pub fn record_all<'a>(
        &self,
        decisions: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), StoreError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let at_ms = self.clock.unix_ms();
        let (mut number, mut previous) = *last;
        let mut rows = Vec::new();
        let mut actions = Vec::new();
        for (action, text) in decisions {
            let text = &text[..text.floor_char_boundary(TEXT_BYTES)];
            let value = Record {
                previous,
                at_ms,
                action: action.into(),
                text: text.into(),
            }
            .to_bytes();
            (number, previous) = (number + 1, hash(&value));
            actions.push((number, action));
            rows.push(Row::put(Table::Audit, number.to_be_bytes().to_vec(), value));
        }
        self.store.write(&rows)?;
        *last = (number, previous);
        for (number, action) in actions {
            tracing::info!(target: "audit", number, action, "recorded");
        }
        Ok(())
    }
}

/// Why the record cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("the audit record is broken at number {number}: a record is missing or was altered")]
    Broken { number: u64 },
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn hash(value: &[u8]) -> Hash {
    Hash(comity_crypto::hash(TAG_AUDIT, &[value]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_found_first_and_one_can_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let key = comity_crypto::StorageKey::from_bytes([1; 32]);
        let audit = Audit::open(Store::open(dir.path(), key).unwrap()).unwrap();
        for at in 1..=600 {
            let action = if at % 2 == 0 { "even" } else { "odd" };
            audit.record(action, &at.to_string()).unwrap();
        }
        let is_even = |record: &Record| record.action == "even";
        let numbers = |found: &Found| found.records.iter().map(|it| it.0).collect::<Vec<_>>();

        let first = audit.before(0, 2, is_even).unwrap();
        assert_eq!((numbers(&first), first.next), (vec![600, 598], 598));
        let second = audit.before(first.next, 2, is_even).unwrap();
        assert_eq!((numbers(&second), second.next), (vec![596, 594], 594));
        let rest = audit.before(second.next, 1_000, is_even).unwrap();
        assert_eq!((rest.records.len(), rest.next), (296, 0));
        assert_eq!(audit.before(1, 10, |_| true).unwrap().records.len(), 0);
    }

    #[test]
    fn a_missing_record_shows() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(dir.path(), comity_crypto::StorageKey::from_bytes([1; 32])).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        audit.record("test", "record 1").unwrap();
        audit
            .record_all([("test", "record 2"), ("test", "record 3")])
            .unwrap();
        assert!(Audit::open(store.clone()).is_ok());

        store
            .write(&[Row {
                table: Table::Audit,
                key: 2u64.to_be_bytes().to_vec(),
                value: None,
            }])
            .unwrap();
        assert!(matches!(
            Audit::open(store),
            Err(AuditError::Broken { number: 2 })
        ));
    }
}
