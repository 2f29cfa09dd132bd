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
