//! The node's rows in RocksDB.
//!
//! Every write that others may come to rely on is synced; writes are gathered into groups by the
//! [committer](crate::committer), so that one sync serves many. Values of sealed tables are
//! encrypted under the node's storage key and bound to their table and key. A sealed table lies in
//! a column family of its own per generation, which begins when everything is
//! [sealed again](Store::reseal) under another key.

mod mark;
mod options;
mod read_only;
mod reseal;

use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use comity_crypto::StorageKey;
use comity_protocol::rows::{Row, Table};
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, Direction, IteratorMode, WriteBatch, WriteOptions,
};
use zeroize::Zeroizing;

use crate::random;
pub use mark::KeyId;
use mark::Mark;
pub use options::StoreOptions;
pub use reseal::{Progress, Resealed};

/// The version of the store's layout; a store of another one is refused.
const FORMAT: &[u8] = b"comity store 2";
const FORMAT_KEY: &[u8] = b"format";
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
    #[error("there is no store at {path} that can be read: {source}")]
    NoStore {
        path: String,
        source: std::io::Error,
    },
    #[error("the store has another format than this version of comity reads")]
    Format,
    #[error("the store is sealed under storage key {store}, and this is storage key {given}")]
    WrongKey { store: KeyId, given: KeyId },
    #[error("the store failed: {0}")]
    Rocks(#[from] rocksdb::Error),
    #[error("a value of table {table} does not open: wrong storage key, or a damaged store")]
    Sealed { table: &'static str },
    #[error("table {table}, sealed again, does not hold what it held; the store is as it was")]
    Copy { table: &'static str },
    #[error("another part of this process has the store open")]
    Shared,
}

/// The open store. Clones share it.
#[derive(Clone)]
pub struct Store {
    db: Arc<DB>,
    key: Arc<StorageKey>,
    generation: u32,
    /// Chunks were deleted, and the thread that sees to that has not begun to yet.
    to_reclaim: Arc<AtomicBool>,
    options: StoreOptions,
    /// Keeps others from opening a store that this one only reads.
    lock: Option<Arc<File>>,
}

impl Store {
    /// Opens the store in `path`, creating it where there is none. What an interrupted
    /// [resealing](Store::reseal) left behind is removed.
    pub fn open(path: &Path, key: StorageKey) -> Result<Store, StoreError> {
        Store::open_with(path, key, StoreOptions::default())
    }

    /// Opens the store in `path` otherwise than a node does.
    pub fn open_with(
        path: &Path,
        key: StorageKey,
        options: StoreOptions,
    ) -> Result<Store, StoreError> {
        let db = open_database(path, &options)?;
        let mark = Mark::read(&db)?;
        let given = KeyId::of(&key);
        match &mark {
            Some(mark) if mark.key != given => {
                let store = mark.key;
                return Err(StoreError::WrongKey { store, given });
            }
            _ => {}
        }
        let mut store = Store {
            db: Arc::new(db),
            key: Arc::new(key),
            generation: mark.map_or(0, |mark| mark.generation),
            to_reclaim: Arc::default(),
            options,
            lock: None,
        };
        store.create_missing()?;
        store.check_format(mark.is_none())?;
        if mark.is_none() {
            store.set_mark()?;
        }
        store.forget_other_generations()?;
        Ok(store)
    }

    fn create_missing(&mut self) -> Result<(), StoreError> {
        let (generation, options) = (self.generation, self.options.clone());
        let db = self.exclusive()?;
        for table in Table::ALL {
            let name = family_name(table, generation);
            if db.cf_handle(&name).is_none() {
                db.create_cf(name, &options.table(table))?;
            }
        }
        Ok(())
    }

    /// A store that was never marked may be a new one.
    fn check_format(&self, may_be_new: bool) -> Result<(), StoreError> {
        match self.get(Table::Meta, FORMAT_KEY)? {
            Some(format) if format.as_slice() == FORMAT => Ok(()),
            None if may_be_new => {
                self.write(&[Row::put(Table::Meta, FORMAT_KEY.to_vec(), FORMAT.to_vec())])
            }
            _ => Err(StoreError::Format),
        }
    }

    /// The database, to change its column families.
    fn exclusive(&mut self) -> Result<&mut DB, StoreError> {
        Arc::get_mut(&mut self.db).ok_or(StoreError::Shared)
    }

    fn family(&self, table: Table) -> &ColumnFamily {
        // Every table was opened as a column family of its name.
        self.db
            .cf_handle(&family_name(table, self.generation))
            .expect("a table that was opened")
    }

    /// The key under which the store is sealed.
    pub fn key_id(&self) -> KeyId {
        KeyId::of(&self.key)
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
        self.db.write_opt(self.batch(rows), &self.options.write())?;
        if rows.iter().any(is_chunk_deleted) {
            self.reclaim();
        }
        Ok(())
    }

    /// Writes rows together that nobody was promised: the death of the process loses none, the
    /// loss of power may lose the last ones.
    pub fn write_soon(&self, rows: &[Row]) -> Result<(), StoreError> {
        self.db.write(self.batch(rows))?;
        Ok(())
    }

    fn batch(&self, rows: &[Row]) -> WriteBatch {
        let mut batch = WriteBatch::default();
        for row in rows {
            let family = self.family(row.table);
            match &row.value {
                Some(value) if row.table.is_sealed() => {
                    batch.put_cf(family, &row.key, self.seal(row.table, &row.key, value));
                }
                Some(value) => batch.put_cf(family, &row.key, value),
                None => batch.delete_cf(family, &row.key),
            }
        }
        batch
    }

    /// Rewrites the table of chunks, on a thread of its own, so that what was deleted leaves the
    /// disk: a withdrawn file is to be gone, and a gigabyte is missed.
    fn reclaim(&self) {
        if self.to_reclaim.swap(true, Ordering::SeqCst) {
            return;
        }
        let store = self.clone();
        std::thread::spawn(move || {
            store.to_reclaim.store(false, Ordering::SeqCst);
            let chunks = store.family(Table::Chunks);
            match store.db.flush_cf(chunks) {
                Ok(()) => {
                    store
                        .db
                        .compact_range_cf(chunks, None::<&[u8]>, None::<&[u8]>);
                }
                Err(error) => tracing::warn!(%error, "deleted chunks are still on the disk"),
            }
        });
    }

    fn seal(&self, table: Table, key: &[u8], value: &[u8]) -> Vec<u8> {
        self.key.seal(table.name(), key, value, &random::bytes())
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

/// The name of a table's column family.
fn family_name(table: Table, generation: u32) -> Cow<'static, str> {
    match (table.is_sealed(), generation) {
        (false, _) | (true, 0) => table.name().into(),
        (true, generation) => format!("{}-{generation}", table.name()).into(),
    }
}

/// The table whose column family has this name, in whatever generation.
fn table_of(family: &str) -> Option<Table> {
    let name = match family.rsplit_once('-') {
        Some((name, generation)) if generation.parse::<u32>().is_ok() => name,
        _ => family,
    };
    Table::ALL.into_iter().find(|table| table.name() == name)
}

/// Opens the database with every column family that it has.
fn open_database(path: &Path, options: &StoreOptions) -> Result<DB, StoreError> {
    // Where there is no database yet there is nothing to list.
    let mut names = DB::list_cf(&options.database(), path).unwrap_or_default();
    names.retain(|name| name != rocksdb::DEFAULT_COLUMN_FAMILY_NAME);
    let families: Vec<ColumnFamilyDescriptor> = names
        .iter()
        .map(|name| {
            let table = table_of(name).ok_or(StoreError::Format)?;
            Ok(ColumnFamilyDescriptor::new(name, options.table(table)))
        })
        .collect::<Result<_, StoreError>>()?;
    DB::open_cf_descriptors(&options.database(), path, families).map_err(|source| {
        let path = path.display().to_string();
        if is_held(&source) {
            StoreError::InUse { path }
        } else {
            StoreError::Open { path, source }
        }
    })
}

/// Whether somebody else has the database open, another process or this one. RocksDB tells by its
/// text alone; other failures speak of locks, and of blocks, too.
fn is_held(error: &rocksdb::Error) -> bool {
    ["While lock file", "lock hold by current process"]
        .iter()
        .any(|text| error.as_ref().contains(text))
}

#[cfg(test)]
mod tests {
    use super::options::WRITE_BUFFER_BYTES;
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
    fn a_row_of_a_quiet_table_does_not_keep_the_log_of_a_busy_one() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), key(1)).unwrap();
        let quiet = Row::put(Table::Imports, b"mark".to_vec(), b"1".to_vec());
        store.write(&[quiet]).unwrap();
        for number in 0..3 * WRITE_BUFFER_BYTES / BUSY_ROW_BYTES {
            let value = random::bytes::<32>().repeat(BUSY_ROW_BYTES / 32);
            let busy = Row::put(Table::Events, number.to_be_bytes().to_vec(), value);
            store.write(&[busy]).unwrap();
        }
        // Files are written, and logs removed, by threads of their own.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while log_bytes(dir.path()) > 2 * WRITE_BUFFER_BYTES as u64 {
            assert!(std::time::Instant::now() < deadline, "logs are kept");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    const BUSY_ROW_BYTES: usize = 64 << 10;

    fn log_bytes(store: &Path) -> u64 {
        let files = std::fs::read_dir(store).unwrap().flatten();
        let logs = files.filter(|file| file.path().extension().is_some_and(|end| end == "log"));
        logs.map(|log| log.metadata().map_or(0, |metadata| metadata.len()))
            .sum()
    }

    #[test]
    fn another_storage_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), key(1)).unwrap());
        assert!(matches!(
            Store::open(dir.path(), key(2)),
            Err(StoreError::WrongKey { store, given })
                if store == KeyId::of(&key(1)) && given == KeyId::of(&key(2))
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

    #[test]
    fn a_lock_that_cannot_even_be_tried_is_no_other_process() {
        let dir = tempfile::tempdir().unwrap();
        drop(Store::open(dir.path(), key(1)).unwrap());
        let lock = dir.path().join("LOCK");
        std::fs::remove_file(&lock).unwrap();
        std::fs::create_dir(&lock).unwrap();
        assert!(matches!(
            Store::open(dir.path(), key(1)),
            Err(StoreError::Open { .. })
        ));
    }
}
