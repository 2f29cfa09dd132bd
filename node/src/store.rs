//! The node's rows in RocksDB.
//!
//! Every write that others may come to rely on is synced; writes are gathered into groups by the
//! [committer](crate::committer), so that one sync serves many. Values of sealed tables are
//! encrypted under the node's storage key and bound to their table and key.

use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Weak};

use comity_crypto::StorageKey;
use comity_protocol::rows::{Row, Table};
use rocksdb::{
    BlockBasedOptions, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, Direction,
    IteratorMode, Options, WriteBatch, WriteOptions,
};
use zeroize::Zeroizing;

use crate::random;

/// The version of the store's layout; a store of another one is refused.
const FORMAT: &[u8] = b"comity store 1";
const FORMAT_KEY: &[u8] = b"format";
/// Memory for writes before they go to a file, in bytes, per table.
const WRITE_BUFFER_BYTES: usize = 16 << 20;
/// Large blocks let the ids that successive headers share be compressed away.
const EVENT_BLOCK_BYTES: usize = 32 << 10;
/// Values from this length on lie in files of their own, in the table of chunks.
const BLOB_BYTES: u64 = 16 << 10;
/// Write-ahead logs above this are flushed: bounds the time to open after a crash.
const WAL_BYTES: u64 = 64 << 20;
/// Files that RocksDB keeps open.
const OPEN_FILES: i32 = 256;

/// Why the store failed. Whoever gets this stops: what cannot be written cannot be promised.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the store at {path} is in use by another process")]
    InUse { path: String },
    #[error("the store at {path} cannot be opened: {source}")]
    Open {
        path: String,
        source: rocksdb::Error,
    },
    #[error("the store has another format than this version of comity reads")]
    Format,
    #[error("the store failed: {0}")]
    Rocks(#[from] rocksdb::Error),
    #[error("a value of table {table} does not open: wrong storage key, or a damaged store")]
    Sealed { table: &'static str },
}

/// The open store. Clones share it.
#[derive(Clone)]
pub struct Store {
    db: Arc<DB>,
    key: Arc<StorageKey>,
    /// Tells that chunks were deleted.
    reclaim: SyncSender<()>,
}

impl Store {
    /// Opens the store in `path`, creating it where there is none.
    pub fn open(path: &Path, key: StorageKey) -> Result<Store, StoreError> {
        let families =
            Table::ALL.map(|table| ColumnFamilyDescriptor::new(table.name(), table_options(table)));
        let db =
            DB::open_cf_descriptors(&database_options(), path, families).map_err(|source| {
                let path = path.display().to_string();
                if source.to_string().contains("lock") {
                    StoreError::InUse { path }
                } else {
                    StoreError::Open { path, source }
                }
            })?;
        let db = Arc::new(db);
        let store = Store {
            reclaim: reclaimer(Arc::downgrade(&db)),
            db,
            key: Arc::new(key),
        };
        store.check_format()?;
        Ok(store)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        match self.get(Table::Meta, FORMAT_KEY)? {
            Some(format) if format.as_slice() == FORMAT => Ok(()),
            Some(_) => Err(StoreError::Format),
            None => self.write(&[Row::put(Table::Meta, FORMAT_KEY.to_vec(), FORMAT.to_vec())]),
        }
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        // Every table was opened as a column family of its name.
        self.db
            .cf_handle(table.name())
            .expect("a table that was opened")
    }

    /// Reads one value.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, StoreError> {
        let Some(value) = self.db.get_pinned_cf(self.family(table), key)? else {
            return Ok(None);
        };
        self.unseal(table, key, &value).map(Some)
    }

    /// Calls `each` for every row of a table whose key begins with `prefix`, from `from` on, in
    /// the order of the keys, until it returns false.
    pub fn scan<E: From<StoreError>>(
        &self,
        table: Table,
        prefix: &[u8],
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, E>,
    ) -> Result<(), E> {
        let start = IteratorMode::From(from.max(prefix), Direction::Forward);
        for row in self.db.iterator_cf(self.family(table), start) {
            let (key, value) = row.map_err(StoreError::from)?;
            if !key.starts_with(prefix) {
                break;
            }
            if !each(&key, &self.unseal(table, &key, &value)?)? {
                break;
            }
        }
        Ok(())
    }

    /// Writes rows together and syncs them to disk.
    pub fn write(&self, rows: &[Row]) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for row in rows {
            let family = self.family(row.table);
            match &row.value {
                Some(value) if row.table.is_sealed() => {
                    let sealed = self
                        .key
                        .seal(row.table.name(), &row.key, value, &random::bytes());
                    batch.put_cf(family, &row.key, sealed);
                }
                Some(value) => batch.put_cf(family, &row.key, value),
                None => batch.delete_cf(family, &row.key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.write_opt(batch, &options)?;
        if rows.iter().any(is_chunk_deleted) {
            // Full means that it will be seen to anyway.
            let _ = self.reclaim.try_send(());
        }
        Ok(())
    }

    fn unseal(
        &self,
        table: Table,
        key: &[u8],
        value: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        if !table.is_sealed() {
            return Ok(Zeroizing::new(value.to_vec()));
        }
        let opened = self.key.open(table.name(), key, value);
        opened.map(Zeroizing::new).map_err(|_| StoreError::Sealed {
            table: table.name(),
        })
    }
}

fn is_chunk_deleted(row: &Row) -> bool {
    row.table == Table::Chunks && row.value.is_none()
}

/// Rewrites the table of chunks, whenever it is told to, so that what was deleted leaves the disk:
/// a withdrawn file is to be gone, and a gigabyte is missed. Ends with the store.
fn reclaimer(db: Weak<DB>) -> SyncSender<()> {
    let (reclaim, wanted) = std::sync::mpsc::sync_channel(1);
    std::thread::spawn(move || {
        while wanted.recv().is_ok() {
            let Some(db) = db.upgrade() else {
                return;
            };
            let Some(chunks) = db.cf_handle(Table::Chunks.name()) else {
                return;
            };
            match db.flush_cf(chunks) {
                Ok(()) => db.compact_range_cf(chunks, None::<&[u8]>, None::<&[u8]>),
                Err(error) => tracing::warn!(%error, "deleted chunks are still on the disk"),
            }
        }
    });
    reclaim
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_total_wal_size(WAL_BYTES);
    options.set_max_open_files(OPEN_FILES);
    options.set_keep_log_file_num(3);
    options.set_max_background_jobs(2);
    options
}

fn table_options(table: Table) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    if table == Table::Chunks {
        // A chunk is written once and is random: kept apart, it is neither copied nor compressed.
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES);
        options.set_enable_blob_gc(true);
        options.set_compression_type(DBCompressionType::None);
    }
    if table == Table::Events {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_size(EVENT_BLOCK_BYTES);
        options.set_block_based_table_factory(&blocks);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> StorageKey {
        StorageKey::from_bytes([byte; 32])
    }

    #[test]
    fn what_was_written_is_there_after_reopening_and_sealed_on_disk() {
        let dir = tempfile::tempdir().unwrap();
        let row = Row::put(
            Table::Secrets,
            b"key".to_vec(),
            b"a secret of the channel".to_vec(),
        );
        Store::open(dir.path(), key(1))
            .unwrap()
            .write(&[row])
            .unwrap();

        let store = Store::open(dir.path(), key(1)).unwrap();
        assert_eq!(
            store
                .get(Table::Secrets, b"key")
                .unwrap()
                .unwrap()
                .as_slice(),
            b"a secret of the channel"
        );
        drop(store);
        for file in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            assert!(!bytes.windows(8).any(|window| window == b"a secret"));
        }
    }

    #[test]
    fn another_storage_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), key(1)).unwrap());
        assert!(matches!(
            Store::open(dir.path(), key(2)),
            Err(StoreError::Sealed { table: "meta" })
        ));
    }

    #[test]
    fn a_second_process_is_told_that_the_store_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let _held = Store::open(dir.path(), key(1)).unwrap();
        assert!(matches!(
            Store::open(dir.path(), key(1)),
            Err(StoreError::InUse { .. })
        ));
    }
}
