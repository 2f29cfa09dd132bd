//! Replacing the storage key of a node that does not run.
//!
//! The order is what makes it safe to be killed: the new key is on disk before anything is sealed
//! under it; one write then puts it in force; the key file is replaced, and the values under the
//! old key are dropped, only after that. Whoever [opens the store](keystore::open_store) next
//! ends what was begun.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::audit::{Audit, AuditError};
use crate::config::KeySource;
use crate::keystore::{self, KeyFileError};
use crate::storage_key::{KeyPlace, KeyText, PendingKey, StorageKeyError};
use crate::store::{KeyId, Progress, Resealed, Store};

/// The action under which a rotation is on record.
const ACTION: &str = "storage_key_rotated";

/// How a rotation ended.
#[derive(Debug, Serialize)]
pub struct Rotated {
    pub end: End,
    /// The id of the new key.
    pub key: KeyId,
    /// The id of the key that was in force before, if the new one was not.
    pub replaced: Option<KeyId>,
    /// Values that were sealed again.
    pub values: u64,
    /// The file that holds the new key.
    pub key_file: PathBuf,
    /// The credential that has to be made of that file.
    pub credential: Option<String>,
}

/// What came of the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The new key was made and must be kept safe first; nothing is sealed under it.
    Prepared,
    /// The new key is in force.
    Rotated,
    /// The new key was in force already.
    Unchanged,
}

/// Why a storage key was not replaced, or not all the way.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    #[error("the storage key is the systemd credential {name:?}, which only systemd can replace")]
    NewKeyNeeded { name: String },
    /// The old key is in force.
    #[error(transparent)]
    Before(KeyFileError),
    /// The old key is in force.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The new key is in force.
    #[error("the store is sealed under the new key, but not all is done: {0}")]
    After(KeyFileError),
    /// The new key is in force.
    #[error(
        "the store is sealed under the new key, but a file with values under the old one remains: {path}"
    )]
    Leftover { path: PathBuf },
}

impl<E: Into<KeyFileError>> From<E> for RotationError {
    fn from(error: E) -> RotationError {
        RotationError::Before(error.into())
    }
}

/// Seals the store in `dir` again under the key in `new_key`, or under a fresh one.
///
/// A file that does not exist is made. Where systemd gives the key, that is all for now: the new
/// key would be in that file alone, and the store must not depend on it before there is a
/// credential and a backup of it.
pub fn rotate(
    dir: &Path,
    source: &KeySource,
    new_key: Option<&Path>,
    progress: Progress<'_>,
) -> Result<Rotated, RotationError> {
    if let (KeySource::Credential(name), None) = (source, new_key) {
        return Err(RotationError::NewKeyNeeded { name: name.clone() });
    }
    let place = KeyPlace::of(dir, source)?;
    let store = match keystore::open_store(dir, source) {
        Ok(store) => store,
        Err(error) => return ended_before(dir, &place, new_key, error),
    };
    let is_there = new_key.is_some_and(Path::exists);
    let text = new_key_text(new_key)?;
    let (old, new) = (store.key_id(), KeyId::of(&text.key()));
    if old == new {
        return Ok(report(End::Unchanged, &place, new_key, new));
    }
    if place.credential().is_some() && !is_there {
        return Ok(report(End::Prepared, &place, new_key, new));
    }
    let pending = match place.credential() {
        Some(_) => None,
        None => Some(place.prepare(&text)?),
    };
    let old_files = store.files_of_sealed_values()?;
    let resealed = store.reseal(text.key(), progress)?;
    record(&resealed, old, new)?;
    let values = resealed.values();
    let store = resealed.commit()?;
    finish(dir, store, pending, &text).map_err(RotationError::After)?;
    if let Some(path) = old_files.into_iter().find(|path| path.exists()) {
        return Err(RotationError::Leftover { path });
    }
    Ok(Rotated {
        replaced: Some(old),
        values,
        ..report(End::Rotated, &place, new_key, new)
    })
}

/// A rotation that was interrupted, and whose new key systemd does not give yet, is ended by
/// giving the command again.
fn ended_before(
    dir: &Path,
    place: &KeyPlace,
    new_key: Option<&Path>,
    error: KeyFileError,
) -> Result<Rotated, RotationError> {
    if let KeyFileError::Storage(StorageKeyError::WrongKey { store, .. }) = &error
        && place.credential().is_some()
        && let Some(text) = new_key.and_then(|path| KeyText::from_file(path).ok())
        && KeyId::of(&text.key()) == *store
    {
        Store::open(&keystore::store_path(dir), text.key())?;
        return Ok(report(End::Unchanged, place, new_key, *store));
    }
    Err(error.into())
}

fn new_key_text(file: Option<&Path>) -> Result<KeyText, StorageKeyError> {
    let Some(path) = file else {
        return Ok(KeyText::draw());
    };
    if path.exists() {
        return KeyText::from_file(path);
    }
    let text = KeyText::draw();
    text.write(path)?;
    Ok(text)
}

/// What there is to say where nothing was sealed again.
fn report(end: End, place: &KeyPlace, new_key: Option<&Path>, key: KeyId) -> Rotated {
    let credential = place.credential().map(ToString::to_string);
    let key_file = match (&credential, new_key) {
        (Some(_), Some(file)) => file,
        _ => place.path(),
    };
    Rotated {
        end,
        key,
        replaced: None,
        values: 0,
        key_file: key_file.into(),
        credential,
    }
}

/// Puts the rotation on record; the record counts from the moment that the rotation does.
fn record(resealed: &Resealed, old: KeyId, new: KeyId) -> Result<(), RotationError> {
    let text = format!("from storage key {old} to {new}");
    let audit = Audit::open(resealed.store().clone())?;
    audit.record(ACTION, &text).map_err(AuditError::from)?;
    Ok(())
}

/// Puts the new key's file in place, destroys what is under the old one, and makes sure that the
/// store opens.
fn finish(
    dir: &Path,
    mut store: Store,
    pending: Option<PendingKey>,
    text: &KeyText,
) -> Result<(), KeyFileError> {
    if let Some(pending) = pending {
        pending.install()?;
    }
    store.forget_other_generations()?;
    drop(store);
    let store = Store::open(&keystore::store_path(dir), text.key())?;
    keystore::load(&store).map(drop)
}

#[cfg(test)]
mod tests {
    use comity_protocol::identity::Name;

    use super::*;

    fn silently(_: u64, _: u64) {}

    fn node(dir: &Path) -> KeyId {
        let name = Name::try_from("alpha".to_owned()).unwrap();
        keystore::create(dir, name, 0).unwrap();
        key_in_force(dir)
    }

    fn key_in_force(dir: &Path) -> KeyId {
        let store = keystore::open_store(dir, &KeySource::default()).unwrap();
        keystore::load(&store).unwrap();
        Audit::open(store.clone()).unwrap();
        store.key_id()
    }

    fn key_in_file(dir: &Path) -> KeyId {
        let place = KeyPlace::of(dir, &KeySource::default()).unwrap();
        KeyId::of(&place.read().unwrap())
    }

    #[test]
    fn a_rotation_puts_a_fresh_key_in_force() {
        let dir = tempfile::tempdir().unwrap();
        let old = node(dir.path());
        let rotated = rotate(dir.path(), &KeySource::default(), None, &mut silently).unwrap();
        assert_eq!(rotated.replaced, Some(old));
        assert_ne!(rotated.key, old);
        assert_eq!(key_in_force(dir.path()), rotated.key);
        assert_eq!(key_in_file(dir.path()), rotated.key);
    }

    #[test]
    fn a_key_that_is_in_force_already_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        node(dir.path());
        let file = dir.path().join("new.key");
        let rotate = || {
            rotate(
                dir.path(),
                &KeySource::default(),
                Some(&file),
                &mut silently,
            )
        };
        let first = rotate().unwrap();
        let second = rotate().unwrap();
        assert_eq!((first.end, second.end), (End::Rotated, End::Unchanged));
        assert_eq!((second.key, second.replaced), (first.key, None));
        assert_eq!(key_in_force(dir.path()), first.key);
    }

    /// As far as a rotation goes before it is killed, a step further each time.
    #[test]
    fn wherever_a_rotation_stops_the_node_opens_and_can_be_rotated_again() {
        for steps in 0..=4 {
            let dir = tempfile::tempdir().unwrap();
            let old = node(dir.path());
            let new = stop_after(steps, dir.path());
            let expected = if steps < 3 { old } else { new };
            assert_eq!(key_in_force(dir.path()), expected, "after {steps} steps");
            assert_eq!(key_in_file(dir.path()), expected, "after {steps} steps");
            let again = rotate(dir.path(), &KeySource::default(), None, &mut silently).unwrap();
            assert_eq!(again.replaced, Some(expected));
            assert_eq!(key_in_force(dir.path()), again.key);
            let left = std::fs::read_dir(dir.path()).unwrap().count();
            assert_eq!(left, 3, "root.key, storage.key and the store");
        }
    }

    fn stop_after(steps: u32, dir: &Path) -> KeyId {
        let place = KeyPlace::of(dir, &KeySource::default()).unwrap();
        let store = keystore::open_store(dir, &KeySource::default()).unwrap();
        let old = store.key_id();
        let text = KeyText::draw();
        let new = KeyId::of(&text.key());
        let pending = place.prepare(&text).unwrap();
        if steps == 0 {
            return new;
        }
        let resealed = store.reseal(text.key(), &mut silently).unwrap();
        if steps == 1 {
            return new;
        }
        record(&resealed, old, new).unwrap();
        if steps == 2 {
            return new;
        }
        drop(resealed.commit().unwrap());
        if steps == 4 {
            pending.install().unwrap();
        }
        new
    }

    #[test]
    fn another_key_is_named_together_with_the_one_that_is_needed() {
        let dir = tempfile::tempdir().unwrap();
        let needed = node(dir.path());
        let file = dir.path().join("storage.key");
        std::fs::remove_file(&file).unwrap();
        let other = KeyText::draw();
        other.write(&file).unwrap();
        let Err(error) = keystore::open_store(dir.path(), &KeySource::default()) else {
            panic!("another key opens the store");
        };
        let text = error.to_string();
        for part in [needed.to_string(), KeyId::of(&other.key()).to_string()] {
            assert!(text.contains(&part), "{text}");
        }
    }
}
