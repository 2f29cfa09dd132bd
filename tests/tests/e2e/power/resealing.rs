//! A store that is sealed again under another key, with the power cut before operations drawn from
//! all of that: one key opens it afterwards, and opens all of it.

use std::collections::BTreeMap;
use std::path::Path;

use comity_crypto::StorageKey;
use comity_node::store::{Store, StoreError, StoreOptions};
use comity_protocol::rows::{Row, Table};
use comity_tests::power_cuts::WRITE_BUFFER_BYTES;
use comity_tests::store::each;
use comity_tests::{Dice, PowerSupply, say};

/// Values of a table, so large that copying them fills write buffers.
const VALUES: u64 = 40;
const VALUE_BYTES: u64 = 4096;
/// Operations from one cut to the next, at most: of some 300, about a hundred are drawn.
const STEP_MAX: u64 = 5;

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

#[test]
fn one_key_opens_all_of_a_store_whose_resealing_was_cut_off_anywhere() {
    let mut dice = Dice::of("power cuts while sealing again");
    let mut under = [0, 0];
    let mut operation = 1;
    while let Some(in_force) = cut_before(operation, &mut dice) {
        under[in_force as usize] += 1;
        operation += 1 + dice.below(STEP_MAX);
    }
    let [old, new] = under;
    say(&format!(
        "power cuts while sealing again: {} of {operation} operations; {old} stores are under the old \
         key, {new} under the new one",
        old + new
    ));
    assert!(old > 0 && new > 0);
}

#[derive(Clone, Copy)]
enum Under {
    Old,
    New,
}

/// Seals a store again, with the power cut before that operation; the key under which it is
/// afterwards, or none if there was no such operation any more.
fn cut_before(operation: u64, dice: &mut Dice) -> Option<Under> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let supply = PowerSupply::new();
    let store = open(dir.path(), &supply, Under::Old).expect("a new store");
    let mut rows = fill(&store, dice);
    supply.cut_before(operation);
    let in_force = reseal(store, &mut rows);
    if !supply.is_out() {
        in_force.expect("the power is on");
        return None;
    }
    supply.restore(dir.path(), dice);
    match open(dir.path(), &supply, Under::New) {
        Ok(store) => {
            holds(&store, &rows);
            Some(Under::New)
        }
        Err(StoreError::WrongKey { .. }) => {
            assert!(in_force.is_err(), "the new key was in force");
            rows.remove(&record());
            holds(
                &open(dir.path(), &supply, Under::Old).expect("the old key"),
                &rows,
            );
            Some(Under::Old)
        }
        Err(error) => panic!("{error}"),
    }
}

/// As a rotation of the key does it, with a record that counts if the new key does.
fn reseal(store: Store, rows: &mut Rows) -> Result<(), StoreError> {
    let (table, key) = record();
    let value = b"sealed again".to_vec();
    rows.insert((table, key.clone()), value.clone());
    let resealed = store.reseal(storage_key(Under::New), &mut |_, _| {})?;
    resealed.store().write(&[Row::put(table, key, value)])?;
    let mut store = resealed.commit()?;
    // What is left of the old generation, the next opening forgets.
    let _ = store.forget_other_generations();
    Ok(())
}

fn open(dir: &Path, supply: &PowerSupply, under: Under) -> Result<Store, StoreError> {
    let options = StoreOptions {
        write_buffer_bytes: WRITE_BUFFER_BYTES,
        env: Some(supply.env()),
        ..StoreOptions::default()
    };
    Store::open_with(dir, storage_key(under), options)
}

fn storage_key(under: Under) -> StorageKey {
    StorageKey::from_bytes([under as u8; 32])
}

fn record() -> (Table, Vec<u8>) {
    (Table::Audit, b"record".to_vec())
}

fn fill(store: &Store, dice: &mut Dice) -> Rows {
    let mut rows = Rows::new();
    for (table, number) in Table::ALL
        .into_iter()
        .flat_map(|table| (0..VALUES).map(move |n| (table, n)))
    {
        let len = dice.below(VALUE_BYTES) as usize;
        let value = dice.bytes(len);
        rows.insert((table, number.to_be_bytes().to_vec()), value);
    }
    let put = |((table, key), value): (&(Table, Vec<u8>), &Vec<u8>)| {
        Row::put(*table, key.clone(), value.clone())
    };
    store
        .write(&rows.iter().map(put).collect::<Vec<_>>())
        .expect("the power is on");
    rows
}

/// Requires these rows and, besides the store's own, no others.
fn holds(store: &Store, rows: &Rows) {
    let mut found = Rows::new();
    for table in Table::ALL {
        each(store, table, |key, value| {
            found.insert((table, key.to_vec()), value.to_vec());
        });
    }
    found.retain(|(table, key), _| (*table, key.as_slice()) != (Table::Meta, b"format"));
    assert!(found == *rows);
}
