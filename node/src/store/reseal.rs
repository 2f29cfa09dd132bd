//! Sealing every value again under another storage key.
//!
//! The sealed tables are copied, under the new key, into column families of the next generation.
//! Until the [mark](super::mark) is set these do not count, and the next opening drops them; from
//! then on the old ones do not count, and are dropped in turn, with the files that held them. So
//! at every moment exactly one key opens the store, and opens all of it.

use super::*;

/// Sealed again in one write: bounds the memory of a batch.
const BATCH_BYTES: usize = 4 << 20;

/// Told how many steps of about how many are done; each value takes two.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// A store of which every value has been sealed again, and that still is under its old key.
pub struct Resealed {
    old: Store,
    fresh: Store,
    values: u64,
}

impl Store {
    /// Seals every value again under `key`, and reads the copy back. The store must not be
    /// shared, and remains under its old key until [`Resealed::commit`].
    pub fn reseal(
        mut self,
        key: StorageKey,
        progress: Progress<'_>,
    ) -> Result<Resealed, StoreError> {
        let generation = self.generation.checked_add(1).ok_or(StoreError::Format)?;
        let options = self.options.clone();
        let db = self.exclusive()?;
        for table in sealed_tables() {
            db.create_cf(family_name(table, generation), &options.table(table))?;
        }
        let fresh = Store {
            db: self.db.clone(),
            key: Arc::new(key),
            generation,
            to_reclaim: Arc::default(),
            options,
            lock: None,
        };
        let mut resealed = Resealed {
            old: self,
            fresh,
            values: 0,
        };
        resealed.copy(progress)?;
        Ok(resealed)
    }

    /// Drops the sealed tables of generations that do not count, with the files that hold them.
    pub fn forget_other_generations(&mut self) -> Result<(), StoreError> {
        let generation = self.generation;
        let options = self.options.database();
        let db = self.exclusive()?;
        for name in DB::list_cf(&options, db.path())? {
            let counts = |table: Table| family_name(table, generation) == name;
            if table_of(&name).is_some_and(|table| !counts(table)) {
                db.drop_cf(&name)?;
            }
        }
        Ok(())
    }

    /// The files that may hold sealed values as they are now: of the sealed tables, and every
    /// write-ahead log.
    pub fn files_of_sealed_values(&self) -> Result<Vec<PathBuf>, StoreError> {
        let root = self.db.path();
        let sealed = |family: &str| table_of(family).is_some_and(Table::is_sealed);
        let mut files: Vec<PathBuf> = self
            .db
            .live_files()?
            .into_iter()
            .filter(|file| sealed(&file.column_family_name))
            .map(|file| root.join(file.name.trim_start_matches('/')))
            .collect();
        // What cannot be listed cannot be opened either: RocksDB has it open.
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        let logs = entries.map(|entry| entry.path());
        files.extend(logs.filter(|path| path.extension().is_some_and(|end| end == "log")));
        Ok(files)
    }

    pub(super) fn set_mark(&self) -> Result<(), StoreError> {
        let mark = Mark {
            generation: self.generation,
            key: self.key_id(),
        };
        mark.write(&self.db, &self.options.write())
    }

    /// About how many rows a table has.
    fn estimate(&self, table: Table) -> Result<u64, StoreError> {
        let name = rocksdb::properties::ESTIMATE_NUM_KEYS;
        let count = self.db.property_int_value_cf(self.family(table), name)?;
        Ok(count.unwrap_or(0))
    }
}

impl Resealed {
    /// The store as it will be: what is written there counts from [`Resealed::commit`] on.
    pub fn store(&self) -> &Store {
        &self.fresh
    }

    /// How many values were sealed again.
    pub fn values(&self) -> u64 {
        self.values
    }

    /// Puts the new key in force, in one write: afterwards the old key does not open the store.
    /// The values under the old key are still there, until
    /// [`Store::forget_other_generations`].
    pub fn commit(self) -> Result<Store, StoreError> {
        self.fresh.set_mark()?;
        Ok(self.fresh)
    }

    fn copy(&mut self, progress: Progress<'_>) -> Result<(), StoreError> {
        let mut total = 0;
        for table in sealed_tables() {
            total += 2 * self.old.estimate(table)?;
        }
        let mut done = 0;
        let mut step = || {
            done += 1;
            progress(done, total.max(done));
        };
        for table in sealed_tables() {
            self.values += self.copy_table(table, &mut step)?;
            self.compare_table(table, &mut step)?;
        }
        Ok(())
    }

    /// Nothing of it goes through the write-ahead log: it is on disk once it is flushed, and does
    /// not count before.
    fn copy_table(&self, table: Table, step: &mut dyn FnMut()) -> Result<u64, StoreError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true);
        let family = self.fresh.family(table);
        let mut batch = WriteBatch::default();
        let mut values = 0;
        self.old.scan::<StoreError>(table, &[], &[], |key, value| {
            batch.put_cf(family, key, self.fresh.seal(table, key, value));
            if batch.size_in_bytes() >= BATCH_BYTES {
                let full = std::mem::take(&mut batch);
                self.fresh.db.write_opt(full, &options)?;
            }
            values += 1;
            step();
            Ok(true)
        })?;
        self.fresh.db.write_opt(batch, &options)?;
        self.fresh.db.flush_cf(family)?;
        Ok(values)
    }

    /// The old values are about to be destroyed: requires that the copy opens and is the same.
    fn compare_table(&self, table: Table, step: &mut dyn FnMut()) -> Result<(), StoreError> {
        let differs = || StoreError::Copy {
            table: table.name(),
        };
        let family = self.fresh.family(table);
        let mut copies = self.fresh.db.iterator_cf(family, IteratorMode::Start);
        self.old.scan::<StoreError>(table, &[], &[], |key, value| {
            let (copied, sealed) = copies.next().ok_or_else(differs)??;
            if *copied != *key {
                return Err(differs());
            }
            let opened = self.fresh.unseal(table, key, &sealed);
            if opened.map_err(|_| differs())?.as_slice() != value {
                return Err(differs());
            }
            step();
            Ok(true)
        })?;
        match copies.next() {
            None => Ok(()),
            Some(_) => Err(differs()),
        }
    }
}

fn sealed_tables() -> impl Iterator<Item = Table> {
    Table::ALL.into_iter().filter(|table| table.is_sealed())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rocksdb::Options;

    use super::*;

    /// Enough for several batches and several files.
    const VALUES: u32 = 3000;
    const VALUE_BYTES: usize = 4 << 10;

    fn key(byte: u8) -> StorageKey {
        StorageKey::from_bytes([byte; 32])
    }

    fn silently(_: u64, _: u64) {}

    /// A store with values in sealed tables, and one in a table that is not sealed.
    fn filled(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let store = Store::open(path, key(1)).unwrap();
        let values: BTreeMap<Vec<u8>, Vec<u8>> = (0..VALUES)
            .map(|number| {
                (
                    number.to_be_bytes().to_vec(),
                    random::bytes::<VALUE_BYTES>(),
                )
            })
            .map(|(key, value)| (key, value.to_vec()))
            .collect();
        for (key, value) in &values {
            let row = Row::put(Table::Secrets, key.clone(), value.clone());
            let gone = Row {
                table: Table::Secrets,
                key: [key.as_slice(), b"gone"].concat(),
                value: None,
            };
            let mut batch = WriteBatch::default();
            batch.put_cf(
                store.family(row.table),
                &row.key,
                store.seal(row.table, key, value),
            );
            batch.delete_cf(store.family(gone.table), &gone.key);
            store.db.write(batch).unwrap();
        }
        let log = Row::put(Table::Logs, b"log".to_vec(), b"in the clear".to_vec());
        let audit = Row::put(Table::Audit, b"1".to_vec(), b"a decision".to_vec());
        store.write(&[log, audit]).unwrap();
        values
    }

    fn holds_all(store: &Store, values: &BTreeMap<Vec<u8>, Vec<u8>>) {
        let mut found = BTreeMap::new();
        store
            .scan::<StoreError>(Table::Secrets, &[], &[], |key, value| {
                found.insert(key.to_vec(), value.to_vec());
                Ok(true)
            })
            .unwrap();
        assert!(found == *values);
        let log = store.get(Table::Logs, b"log").unwrap().unwrap();
        assert_eq!(log.as_slice(), b"in the clear");
        let audit = store.get(Table::Audit, b"1").unwrap().unwrap();
        assert_eq!(audit.as_slice(), b"a decision");
    }

    fn is_refused(path: &Path, key: StorageKey) {
        assert!(matches!(
            Store::open(path, key),
            Err(StoreError::WrongKey { .. })
        ));
    }

    /// Requires one column family per table, and no file besides those in use.
    fn is_tidy(path: &Path) {
        let families = DB::list_cf(&Options::default(), path).unwrap();
        assert_eq!(families.len(), Table::ALL.len() + 1, "{families:?}");
        let db = DB::open_cf_for_read_only(&Options::default(), path, &families, false).unwrap();
        let live = db.live_files().unwrap();
        for entry in std::fs::read_dir(path).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let is_live = live
                .iter()
                .any(|file| file.name.trim_start_matches('/') == name);
            assert!(is_live || !name.ends_with(".sst"), "{name}");
        }
    }

    #[test]
    fn until_it_is_committed_the_old_key_counts_and_afterwards_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let values = filled(dir.path());

        let store = Store::open(dir.path(), key(1)).unwrap();
        drop(store.reseal(key(2), &mut silently).unwrap());
        is_refused(dir.path(), key(2));
        let store = Store::open(dir.path(), key(1)).unwrap();
        holds_all(&store, &values);

        let resealed = store.reseal(key(3), &mut silently).unwrap();
        assert!(resealed.values() > u64::from(VALUES));
        drop(resealed.commit().unwrap());
        is_refused(dir.path(), key(1));
        is_refused(dir.path(), key(2));
        let store = Store::open(dir.path(), key(3)).unwrap();
        holds_all(&store, &values);
        drop(store);
        is_tidy(dir.path());
    }

    #[test]
    fn no_file_of_before_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let values = filled(dir.path());
        let store = Store::open(dir.path(), key(1)).unwrap();
        let before = store.files_of_sealed_values().unwrap();
        assert!(before.len() > 1 && before.iter().all(|path| path.exists()));

        let mut steps = 0;
        let resealed = store.reseal(key(2), &mut |_, _| steps += 1).unwrap();
        assert_eq!(steps, 2 * resealed.values());
        let mut store = resealed.commit().unwrap();
        store.forget_other_generations().unwrap();
        holds_all(&store, &values);
        drop(store);
        drop(Store::open(dir.path(), key(2)).unwrap());
        let left: Vec<_> = before.iter().filter(|path| path.exists()).collect();
        assert!(left.is_empty(), "{left:?}");
        is_tidy(dir.path());
    }

    #[test]
    fn a_store_can_be_sealed_again_and_again_and_written_in_between() {
        let dir = tempfile::tempdir().unwrap();
        let mut values = filled(dir.path());
        for round in 1..=3 {
            let store = Store::open(dir.path(), key(round)).unwrap();
            let resealed = store.reseal(key(round + 1), &mut silently).unwrap();
            let mut store = resealed.commit().unwrap();
            store.forget_other_generations().unwrap();
            let (name, value) = (vec![round], vec![round; 100]);
            store
                .write(&[Row::put(Table::Secrets, name.clone(), value.clone())])
                .unwrap();
            values.insert(name, value);
        }
        holds_all(&Store::open(dir.path(), key(4)).unwrap(), &values);
    }

    #[test]
    fn a_copy_that_is_not_the_same_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let values = filled(dir.path());
        let (first, value) = values.first_key_value().unwrap();
        let other = vec![0; value.len()];
        for row in [
            Row::put(Table::Secrets, first.clone(), other),
            Row::put(Table::Secrets, b"\xff\xff\xff\xff more".to_vec(), vec![]),
            Row {
                table: Table::Secrets,
                key: first.clone(),
                value: None,
            },
        ] {
            let store = Store::open(dir.path(), key(1)).unwrap();
            let resealed = store.reseal(key(2), &mut silently).unwrap();
            resealed.store().write(&[row]).unwrap();
            let compared = resealed.compare_table(Table::Secrets, &mut || ());
            assert!(matches!(compared, Err(StoreError::Copy { .. })));
        }
        holds_all(&Store::open(dir.path(), key(1)).unwrap(), &values);
    }

    #[test]
    fn a_store_that_others_use_is_not_sealed_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), key(1)).unwrap();
        let _other = store.clone();
        let refused = store.reseal(key(2), &mut silently);
        assert!(matches!(refused, Err(StoreError::Shared)));
    }
}
