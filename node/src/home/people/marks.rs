//! What users have joined, read and chosen, channel by channel, and which of their posts were made
//! already: the part of people's data that changes with every glance at a channel.

use std::collections::BTreeMap;

use comity_crypto as crypto;
use comity_protocol::id::ChannelId;
use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};

use super::{MARKS, PENDING, PREFERENCES, PREFERENCES_PER_USER, People, row, row_key};
use crate::home::id::Id;
use crate::store::StoreError;

/// The longest category, name and value of a preference, in bytes.
const PREFERENCE_BYTES: [usize; 3] = [32, 64, 20_000];
/// Posts that a client may repeat and get the first one's answer; the oldest are forgotten first.
const PENDINGS: usize = 100_000;

/// A user in a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Marks {
    /// Joined or left by somebody's decision; none where the channel's rule says it.
    pub joined: Option<bool>,
    pub joined_ms: u64,
    pub viewed_ms: u64,
    /// Posts of the channel that the user has seen, of all that there were then.
    pub seen: u64,
    pub seen_roots: u64,
    pub mentions: u64,
    pub mention_roots: u64,
    pub is_admin: bool,
    pub notify_props: BTreeMap<String, String>,
}

/// Something that a client keeps for a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preference {
    pub category: String,
    pub name: String,
    pub value: String,
}

/// A post that a client asked for under an id of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    pub channel: ChannelId,
    pub claimed_ms: u64,
    /// Filled in once it is known; a node that was killed before finds the post by its time.
    pub post: Option<Id>,
}

impl People {
    pub fn marks(&self, user: Id, channel: Id) -> Marks {
        self.read()
            .marks
            .get(&(user, channel))
            .cloned()
            .unwrap_or_default()
    }

    /// Changes a user's marks in a channel. They are on disk when this returns if `synced`, and
    /// after the next [`People::write_marks`] otherwise.
    pub fn mark(
        &self,
        user: Id,
        channel: Id,
        synced: bool,
        change: impl FnOnce(&mut Marks),
    ) -> Result<Marks, StoreError> {
        let mut state = self.change();
        let mut marks = state
            .marks
            .get(&(user, channel))
            .cloned()
            .unwrap_or_default();
        let before = marks.clone();
        change(&mut marks);
        if marks != before {
            if synced {
                self.store
                    .write(&[row(MARKS, &[&user.0, &channel.0], &marks)])?;
            } else {
                state.unwritten.insert((user, channel));
            }
            state.marks.insert((user, channel), marks.clone());
            if marks.joined != before.joined {
                self.changed.notify_one();
            }
        }
        Ok(marks)
    }

    /// Writes the marks that changed and are not written yet.
    pub fn write_marks(&self) -> Result<(), StoreError> {
        let rows: Vec<Row> = {
            let mut state = self.change();
            let unwritten = std::mem::take(&mut state.unwritten);
            let held = unwritten
                .iter()
                .filter_map(|key| Some((key, state.marks.get(key)?)));
            held.map(|((user, channel), marks)| row(MARKS, &[&user.0, &channel.0], marks))
                .collect()
        };
        match rows.is_empty() {
            true => Ok(()),
            false => self.store.write_soon(&rows),
        }
    }

    pub fn preferences(&self, user: Id) -> Vec<Preference> {
        self.read()
            .preferences
            .get(&user)
            .cloned()
            .unwrap_or_default()
    }

    /// Sets preferences, and takes away those in `gone`; false where they are too many or too long.
    pub fn prefer(
        &self,
        user: Id,
        set: Vec<Preference>,
        gone: &[Preference],
    ) -> Result<bool, StoreError> {
        let [category, name, value] = PREFERENCE_BYTES;
        let fits = |it: &Preference| {
            it.category.len() <= category && it.name.len() <= name && it.value.len() <= value
        };
        if !set.iter().all(fits) {
            return Ok(false);
        }
        let mut state = self.change();
        let held = state.preferences.get(&user).cloned().unwrap_or_default();
        let key = |it: &Preference| (it.category.clone(), it.name.clone());
        let mut all: BTreeMap<_, Preference> = held.into_iter().map(|it| (key(&it), it)).collect();
        for preference in gone {
            all.remove(&key(preference));
        }
        all.extend(set.into_iter().map(|it| (key(&it), it)));
        if all.len() > PREFERENCES_PER_USER {
            return Ok(false);
        }
        let all: Vec<Preference> = all.into_values().collect();
        self.store.write(&[row(PREFERENCES, &[&user.0], &all)])?;
        state.preferences.insert(user, all);
        Ok(true)
    }

    /// What a client asked for under this id before, if it did.
    pub fn pending(&self, user: Id, asked_as: &str) -> Option<Pending> {
        self.read()
            .pending
            .get(&pending_digest(user, asked_as))
            .cloned()
    }

    /// The row that goes into the same write as a post, so that its repetition is recognised.
    pub fn pending_row(&self, user: Id, asked_as: &str, pending: &Pending) -> Row {
        row(PENDING, &[&pending_digest(user, asked_as)], pending)
    }

    /// Remembers what such a row says.
    pub fn note_pending(&self, user: Id, asked_as: &str, pending: Pending) {
        let mut state = self.change();
        state
            .pending
            .insert(pending_digest(user, asked_as), pending);
        if state.pending.len() <= PENDINGS {
            return;
        }
        // A tenth goes at a time, so that this is rare.
        let mut times: Vec<u64> = state.pending.values().map(|it| it.claimed_ms).collect();
        times.sort_unstable();
        let oldest_kept = times[times.len() / 10];
        let old: Vec<[u8; 32]> = state
            .pending
            .iter()
            .filter(|(_, it)| it.claimed_ms < oldest_kept)
            .map(|(key, _)| *key)
            .collect();
        let rows: Vec<Row> = old
            .iter()
            .map(|key| Row::delete(Table::People, row_key(PENDING, &[key])))
            .collect();
        if let Err(error) = self.store.write_soon(&rows) {
            tracing::warn!(%error, "old repetition marks stay in the store");
        }
        for key in old {
            state.pending.remove(&key);
        }
    }
}

fn pending_digest(user: Id, asked_as: &str) -> [u8; 32] {
    crypto::hash("comity pending post", &[&user.0, asked_as.as_bytes()])
}
