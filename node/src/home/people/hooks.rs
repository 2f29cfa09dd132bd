//! Incoming webhooks that users have made.

use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{HOOK, People, row, row_key};
use crate::home::id::Id;
use crate::store::StoreError;

/// Hooks of one user.
const HOOKS_PER_USER: usize = 64;
/// The longest name and description, in bytes.
const TEXT_BYTES: usize = 500;
/// Messages of one hook in a second.
const MESSAGES_PER_S: u32 = 10;

/// Posts to a channel in a user's name; whoever knows its id may use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    pub id: Id,
    pub user: Id,
    pub channel: Id,
    pub display_name: String,
    pub description: String,
    pub created_ms: u64,
}

impl People {
    /// Makes a hook; none where the user has too many, or the texts are too long.
    pub fn add_hook(
        &self,
        user: Id,
        channel: Id,
        display_name: String,
        description: String,
    ) -> Result<Option<Hook>, StoreError> {
        if display_name.len() > TEXT_BYTES || description.len() > TEXT_BYTES {
            return Ok(None);
        }
        let mut state = self.change();
        let held = state
            .hooks
            .values()
            .filter(|hook| hook.user == user)
            .count();
        if held >= HOOKS_PER_USER {
            return Ok(None);
        }
        let hook = Hook {
            id: Id(self.environment.randomness.bytes()),
            user,
            channel,
            display_name,
            description,
            created_ms: self.now_ms(),
        };
        self.store.write(&[row(HOOK, &[&hook.id.0], &hook)])?;
        state.hooks.insert(hook.id, hook.clone());
        Ok(Some(hook))
    }

    pub fn hook(&self, id: &Id) -> Option<Hook> {
        self.read().hooks.get(id).cloned()
    }

    pub fn hooks_of(&self, user: Id) -> Vec<Hook> {
        let state = self.read();
        let own = state.hooks.values().filter(|hook| hook.user == user);
        own.cloned().collect()
    }

    pub fn end_hook(&self, id: Id) -> Result<(), StoreError> {
        let mut state = self.change();
        let gone = Row::delete(Table::People, row_key(HOOK, &[&id.0]));
        self.store.write(&[gone])?;
        state.hooks.remove(&id);
        state.used.remove(&id);
        Ok(())
    }

    /// Counts a use of a hook; false where it is used too often.
    pub fn may_use(&self, id: &Id) -> bool {
        let mut state = self.change();
        let (since, count) = state.used.entry(*id).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed().as_secs() >= 1 {
            (*since, *count) = (Instant::now(), 0);
        }
        *count += 1;
        *count <= MESSAGES_PER_S
    }
}
