//! A store that was put back from a backup: which writers it may have used, and must not use again.
//!
//! The store lacks what was written since the backup, so it cannot know how far its logs have
//! come. What it may have written in is put down as spent, on disk, before the machine is put
//! together: a node that dies right after is started again like any other.

use std::collections::BTreeSet;

use comity_protocol::id::WriterId;
use comity_protocol::replica::Restore;
use comity_protocol::rows::{Table, spent_row};

use crate::api::ApiError;
use crate::audit::Audit;
use crate::keystore;
use crate::node::restore_rows;
use crate::service::failure;
use crate::store::{Store, StoreError};

/// The action under which a start from a backup is on record.
const ACTION: &str = "restored";

/// Spends the writers that the store has used and, in the order in which they come into use, the
/// first `times` that were not spent when the backup was made: the one in use then, and one for
/// each earlier time that the same backup was put back. Gives those that are spent by this.
pub fn spend(store: &Store, times: u8) -> Result<Vec<WriterId>, ApiError> {
    let own = keystore::load(store).map_err(failure::keys)?.own;
    let writers = keystore::writers(&own);
    let before = spent_in(store).map_err(failure::store)?;
    let mut restore = Restore::new(own);
    restore.from_backup();
    let replica = restore_rows(restore, store)?;

    let mut spent: BTreeSet<WriterId> = replica.spent_writers().copied().collect();
    let unspent = writers.iter().filter(|writer| !before.contains(writer));
    spent.extend(unspent.take(usize::from(times)));
    let news: Vec<WriterId> = spent.difference(&before).copied().collect();
    let left = writers.iter().filter(|writer| !spent.contains(writer));
    let text = format!(
        "the operator says that the store comes from a backup, put back {times} times: never used \
         again are {}; of the node's writers {} are left",
        list(&news),
        left.count(),
    );
    let audit = Audit::open(store.clone()).map_err(|error| failure::node("audit_broken", error))?;
    audit.record(ACTION, &text).map_err(failure::store)?;
    let rows: Vec<_> = news.iter().map(spent_row).collect();
    store.write(&rows).map_err(failure::store)?;
    tracing::warn!(%text, "restored");
    Ok(news)
}

/// The writers that a store says are spent.
pub fn spent_in(store: &Store) -> Result<BTreeSet<WriterId>, StoreError> {
    let mut spent = BTreeSet::new();
    store.scan::<StoreError>(Table::Writers, &[], &[], |key, _| {
        spent.extend(key.try_into().map(WriterId));
        Ok(true)
    })?;
    Ok(spent)
}

fn list(writers: &[WriterId]) -> String {
    match writers {
        [] => "no further writers".into(),
        some => {
            let ids: Vec<String> = some.iter().map(WriterId::to_hex).collect();
            format!("writers {}", ids.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use comity_protocol::identity::Name;

    use super::*;
    use crate::config::KeySource;

    fn node(dir: &std::path::Path) -> (Store, Vec<WriterId>) {
        let name = Name::try_from("alpha".to_string()).unwrap();
        keystore::create(dir, name, 0).unwrap();
        let store = keystore::open_store(dir, &KeySource::default()).unwrap();
        let writers = keystore::writers(&keystore::load(&store).unwrap().own);
        (store, writers)
    }

    #[test]
    fn the_writer_in_use_is_spent_even_if_it_has_written_nothing_yet() {
        let dir = tempfile::tempdir().unwrap();
        let (store, writers) = node(dir.path());

        assert_eq!(spend(&store, 1).unwrap(), writers[..1]);
        // A backup of the restored node: what came into use by the restore may have written since.
        assert_eq!(spend(&store, 1).unwrap(), writers[1..2]);
        assert_eq!(spent_in(&store).unwrap().len(), 2);
    }

    #[test]
    fn a_backup_that_is_put_back_again_does_not_go_on_under_the_spare_of_the_first_time() {
        let dir = tempfile::tempdir().unwrap();
        let (store, writers) = node(dir.path());

        let spent: BTreeSet<WriterId> = spend(&store, 2).unwrap().into_iter().collect();
        assert_eq!(spent, writers[..2].iter().copied().collect());
    }

    #[test]
    fn what_was_spent_is_on_record() {
        let dir = tempfile::tempdir().unwrap();
        let (store, writers) = node(dir.path());
        spend(&store, 1).unwrap();

        let mut texts = Vec::new();
        store
            .scan::<StoreError>(Table::Audit, &[], &[], |_, value| {
                texts.push(String::from_utf8_lossy(value).into_owned());
                Ok(true)
            })
            .unwrap();
        let record = texts.iter().find(|text| text.contains(ACTION)).unwrap();
        assert!(record.contains(&writers[0].to_hex()), "{record}");
        assert!(record.contains("2 are left"), "{record}");
    }
}
