//! What lies in the store of a node that does not run.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use comity_node::audit::Record;
use comity_node::config::Config;
use comity_node::keystore;
use comity_node::store::StoreError;
use comity_protocol::codec::Canonical as _;
use comity_protocol::rows::Table;
use rocksdb::{DB, IteratorMode, Options};

/// A channel, a lane and a writer, as the store's bytes.
type Log = Vec<u8>;
/// An event's id, or as much of its start as the store puts into a key.
type Id = Vec<u8>;

/// Which event was seen at each position of each log, at any time in any store.
#[derive(Default)]
pub struct Positions {
    seen: BTreeMap<Log, BTreeMap<u64, Id>>,
}

impl Positions {
    /// Takes in the store of a node that does not run, which it does not change; panics if it
    /// has another event for a position than was seen before.
    pub fn absorb(&mut self, node_dir: &Path, moment: &str) {
        let db = open_as_it_lies(node_dir);
        let logs: BTreeMap<Vec<u8>, Log> = rows(&db, Table::Logs).collect();
        for (key, _) in rows(&db, Table::Events) {
            let (log, seq, id) = split(&key);
            let log = logs.get(log).expect("a log for every event").clone();
            let positions = self.seen.entry(log).or_default();
            let first = positions.entry(seq).or_insert_with(|| id.to_vec());
            assert_eq!(first, id, "two events for position {seq}: {moment}");
        }
    }

    /// How many positions were seen.
    pub fn count(&self) -> usize {
        self.seen.values().map(BTreeMap::len).sum()
    }
}

/// The key of an event's row: log number, position, id.
fn split(key: &[u8]) -> (&[u8], u64, &[u8]) {
    let (log, rest) = key.split_at(4);
    let (seq, id) = rest.split_at(8);
    let seq = seq.try_into().map(u64::from_be_bytes);
    (log, seq.expect("eight bytes"), id)
}

fn open_as_it_lies(node_dir: &Path) -> DB {
    let path = keystore::store_path(node_dir);
    // Those of sealed tables change their names when they are sealed again.
    let clear = Table::ALL.into_iter().filter(|table| !table.is_sealed());
    let names = clear.map(Table::name);
    DB::open_cf_for_read_only(&Options::default(), &path, names, false)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows(db: &DB, table: Table) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    let family = db.cf_handle(table.name()).expect("a table of every store");
    db.iterator_cf(family, IteratorMode::Start).map(|row| {
        let (key, value) = row.expect("a store that reads back");
        (key.into(), value.into())
    })
}

/// A value as it lies in the store of a node that does not run, with its place.
pub struct SealedValue {
    pub table: Table,
    pub key: Vec<u8>,
    pub sealed: Vec<u8>,
}

/// Every sealed value in every column family of the store, whichever of them the node would use.
pub fn sealed_values(node_dir: &Path) -> Vec<SealedValue> {
    let path = keystore::store_path(node_dir);
    let names = DB::list_cf(&Options::default(), &path).expect("a store");
    let db = DB::open_cf_for_read_only(&Options::default(), &path, &names, false);
    let db = db.expect("a store that can be read");
    let mut values = Vec::new();
    for name in &names {
        let is_of = |table: &Table| table.is_sealed() && name.starts_with(table.name());
        let Some(table) = Table::ALL.into_iter().find(is_of) else {
            continue;
        };
        let family = db.cf_handle(name).expect("as it was listed");
        for row in db.iterator_cf(family, IteratorMode::Start) {
            let (key, sealed) = row.expect("a store that reads back");
            let (key, sealed) = (key.into(), sealed.into());
            values.push(SealedValue { table, key, sealed });
        }
    }
    values
}

/// Every row of the sealed tables, opened, of a node that does not run.
pub fn sealed_rows(node_dir: &Path) -> BTreeMap<(Table, Vec<u8>), Vec<u8>> {
    let mut rows = BTreeMap::new();
    for table in Table::ALL.into_iter().filter(|table| table.is_sealed()) {
        scan(node_dir, table, |key, value| {
            rows.insert((table, key.to_vec()), value.to_vec());
        });
    }
    rows
}

/// How many of these pieces, all of one length, occur in any file under the directory.
pub fn pieces_in_files<const N: usize>(dir: &Path, pieces: &BTreeSet<[u8; N]>) -> usize {
    let wanted: HashSet<&[u8]> = pieces.iter().map(<[u8; N]>::as_slice).collect();
    let mut found = BTreeSet::new();
    for bytes in files(dir) {
        found.extend(
            bytes
                .windows(N)
                .filter(|window| wanted.contains(window))
                .map(<[u8]>::to_vec),
        );
    }
    found.len()
}

/// The audit record of a node that does not run.
pub fn audit(node_dir: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    scan(node_dir, Table::Audit, |_, value| {
        records.push(Record::from_bytes(value).expect("a record that reads back"));
    });
    records
}

/// How often bytes occur in the directory of a node that does not run: in a row, unsealed and
/// uncompressed, or anywhere in a file.
pub fn occurrences(node_dir: &Path, wanted: &[u8]) -> usize {
    let holds = |bytes: &[u8]| bytes.windows(wanted.len()).any(|window| window == wanted);
    let mut count = 0;
    for table in Table::ALL {
        scan(node_dir, table, |key, value| {
            count += usize::from(holds(key)) + usize::from(holds(value));
        });
    }
    count + files(node_dir).filter(|bytes| holds(bytes)).count()
}

/// How many rows a table has in the store of a node that does not run.
pub fn count(node_dir: &Path, table: Table) -> usize {
    let mut count = 0;
    scan(node_dir, table, |_, _| count += 1);
    count
}

fn scan(node_dir: &Path, table: Table, mut each: impl FnMut(&[u8], &[u8])) {
    let config = Config::load(node_dir).expect("a node's directory");
    let store = keystore::open_store(node_dir, &config.storage);
    let store = store.expect("a store that nobody else has open");
    store
        .scan::<StoreError>(table, &[], &[], |key, value| {
            each(key, value);
            Ok(true)
        })
        .expect("a store that reads back");
}

fn files(dir: &Path) -> Box<dyn Iterator<Item = Vec<u8>>> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let paths = entries.map(|entry| entry.expect("a directory").path());
    Box::new(paths.flat_map(|path| match path.is_dir() {
        true => files(&path),
        false => Box::new(std::fs::read(path).into_iter()),
    }))
}
