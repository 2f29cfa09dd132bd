//! Reading the store of a node that does not run, without changing a byte of its directory.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use comity_crypto::StorageKey;
use comity_protocol::rows::Table;
use rocksdb::{ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME};
use rustix::fs::{FlockOperation, fcntl_lock};

use super::{FORMAT, FORMAT_KEY, KeyId, Mark, Store, StoreError, StoreOptions};
use super::{family_name, table_of};

/// What RocksDB locks while it writes.
const LOCK_FILE: &str = "LOCK";

impl Store {
    /// Opens the store in `path` to read it. Nobody can open it to write until this and its
    /// clones are dropped, or this process has opened and closed its lock file otherwise.
    pub fn open_read_only(path: &Path, key: StorageKey) -> Result<Store, StoreError> {
        let lock = lock(path)?;
        let options = StoreOptions::default();
        let db = open_database(path, &options)?;
        let mark = Mark::read(&db)?.ok_or(StoreError::Format)?;
        let given = KeyId::of(&key);
        if mark.key != given {
            let store = mark.key;
            return Err(StoreError::WrongKey { store, given });
        }
        let store = Store {
            db: Arc::new(db),
            key: Arc::new(key),
            generation: mark.generation,
            to_reclaim: Arc::default(),
            options,
            lock: Some(Arc::new(lock)),
        };
        let is_known = store.has(Table::Meta)
            && matches!(store.get(Table::Meta, FORMAT_KEY)?, Some(format) if format.as_slice() == FORMAT);
        is_known.then_some(store).ok_or(StoreError::Format)
    }

    /// Whether the store has a table; one that was written by an older version and never opened by
    /// this one may lack some.
    pub fn has(&self, table: Table) -> bool {
        let name = family_name(table, self.generation);
        self.db.cf_handle(&name).is_some()
    }

    /// Column families that are no table of this store: left behind by an interrupted rotation.
    pub fn strays(&self) -> Result<Vec<String>, StoreError> {
        let mut names = DB::list_cf(&self.options.database(), self.db.path())?;
        let tables = Table::ALL.map(|table| family_name(table, self.generation));
        names.retain(|name| {
            name != DEFAULT_COLUMN_FAMILY_NAME && !tables.iter().any(|table| table == name)
        });
        Ok(names)
    }

    /// Whether the store is only read.
    pub fn is_read_only(&self) -> bool {
        self.lock.is_some()
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let in_use = || StoreError::InUse {
        path: path.display().to_string(),
    };
    let file = File::open(path.join(LOCK_FILE)).map_err(|source| StoreError::NoStore {
        path: path.display().to_string(),
        source,
    })?;
    fcntl_lock(&file, FlockOperation::NonBlockingLockShared).map_err(|_| in_use())?;
    Ok(file)
}

fn open_database(path: &Path, options: &StoreOptions) -> Result<DB, StoreError> {
    let failed = |source| StoreError::Open {
        path: path.display().to_string(),
        source,
    };
    let mut names = DB::list_cf(&options.database(), path).map_err(failed)?;
    names.retain(|name| name != DEFAULT_COLUMN_FAMILY_NAME);
    let families: Vec<ColumnFamilyDescriptor> = names
        .iter()
        .map(|name| {
            let table = table_of(name).ok_or(StoreError::Format)?;
            Ok(ColumnFamilyDescriptor::new(name, options.table(table)))
        })
        .collect::<Result<_, StoreError>>()?;
    DB::open_cf_descriptors_read_only(&options.database(), path, families, false).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::time::SystemTime;

    use comity_protocol::rows::Row;

    use super::*;

    fn key() -> StorageKey {
        StorageKey::from_bytes([1; 32])
    }

    fn files(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, SystemTime)> {
        let entries = std::fs::read_dir(dir).unwrap().flatten();
        let read = |path: PathBuf| {
            let changed = path.metadata().unwrap().modified().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            (path, (bytes, changed))
        };
        entries.map(|entry| read(entry.path())).collect()
    }

    #[test]
    fn reading_changes_no_file_and_finds_what_still_lies_in_the_log() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), key()).unwrap();
        let row = Row::put(Table::Secrets, b"1".to_vec(), b"a secret".to_vec());
        store.write(&[row]).unwrap();
        drop(store);

        let before = files(dir.path());
        let store = Store::open_read_only(dir.path(), key()).unwrap();
        let value = store.get(Table::Secrets, b"1").unwrap().unwrap();
        assert_eq!(value.as_slice(), b"a secret");
        assert_eq!(store.strays().unwrap(), [] as [String; 0]);
        assert!(store.is_read_only() && Table::ALL.iter().all(|table| store.has(*table)));
        let row = Row::put(Table::Secrets, b"2".to_vec(), b"another".to_vec());
        assert!(store.write(&[row]).is_err());
        drop(store);
        assert!(files(dir.path()) == before);
    }

    #[test]
    fn where_there_is_no_store_or_one_under_another_key_nothing_is_read() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            Store::open_read_only(dir.path(), key()),
            Err(StoreError::NoStore { .. })
        ));
        drop(Store::open(dir.path(), key()).unwrap());
        let other = StorageKey::from_bytes([2; 32]);
        assert!(matches!(
            Store::open_read_only(dir.path(), other),
            Err(StoreError::WrongKey { .. })
        ));
    }
}
