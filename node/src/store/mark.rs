//! The mark of the store: which generation of its sealed tables counts, and under which key.
//!
//! It lies in the one column family that every database has, not sealed: it must be read before
//! the key is known to be the right one. Writing it is what ends a resealing.

use std::fmt;

use comity_crypto::{STORAGE_KEY_ID_LEN, StorageKey};
use comity_protocol::id::hex;
use rocksdb::{DB, WriteOptions};
use serde::{Serialize, Serializer};

use super::StoreError;

const MARK_KEY: &[u8] = b"sealing";
const GENERATION_LEN: usize = 4;

/// What tells one storage key from another; not secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyId([u8; STORAGE_KEY_ID_LEN]);

impl KeyId {
    /// The id of a key.
    pub fn of(key: &StorageKey) -> KeyId {
        KeyId(key.id())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The generation that counts, and the key that seals it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// 0 until the store is sealed again for the first time.
    pub generation: u32,
    pub key: KeyId,
}

impl Mark {
    /// Reads the mark; a store that was just created has none.
    pub fn read(db: &DB) -> Result<Option<Mark>, StoreError> {
        let Some(value) = db.get(MARK_KEY)? else {
            return Ok(None);
        };
        let (generation, key) = value
            .split_at_checked(GENERATION_LEN)
            .ok_or(StoreError::Format)?;
        let generation = generation.try_into().map(u32::from_be_bytes);
        Ok(Some(Mark {
            generation: generation.map_err(|_| StoreError::Format)?,
            key: KeyId(key.try_into().map_err(|_| StoreError::Format)?),
        }))
    }

    /// Sets the mark; it is on disk when this returns, if the options say so.
    pub fn write(&self, db: &DB, options: &WriteOptions) -> Result<(), StoreError> {
        let value = [self.generation.to_be_bytes().as_slice(), &self.key.0].concat();
        Ok(db.put_opt(MARK_KEY, value, options)?)
    }
}
