//! Messages that users have begun and not sent, for their other devices. They are read from the
//! store when they are asked for: most are never looked at again, so memory holds none.

use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{DRAFT, People, PeopleError, decode, row, row_key};
use crate::home::id::Id;

/// Drafts of one user: one for each channel and thread that somebody writes in now.
const DRAFTS_PER_USER: usize = 100;
/// The longest text, in bytes: as many as the longest message can take.
const TEXT_BYTES: usize = 64 << 10;
/// The longest of what a client keeps beside the text, as JSON, in bytes.
const EXTRA_BYTES: usize = 8 << 10;

/// A message that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub channel: Id,
    /// The thread that it would answer in.
    pub root: Option<Id>,
    pub message: String,
    pub files: Vec<Id>,
    /// What the client keeps with it (Mattermost's `props`, `priority` and `type`), as JSON.
    extra: String,
    pub created_ms: u64,
    pub updated_ms: u64,
}

/// Why a draft is not kept.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    #[error("a user has {DRAFTS_PER_USER} drafts at most: send or delete one")]
    TooMany,
    #[error("a draft has {TEXT_BYTES} bytes of text at most, and little beside it")]
    TooLong,
    #[error(transparent)]
    People(#[from] PeopleError),
}

impl Draft {
    pub fn new(
        channel: Id,
        root: Option<Id>,
        message: String,
        files: Vec<Id>,
        extra: Map<String, Value>,
    ) -> Draft {
        Draft {
            channel,
            root,
            message,
            files,
            extra: Value::from(extra).to_string(),
            created_ms: 0,
            updated_ms: 0,
        }
    }

    pub fn extra(&self) -> Map<String, Value> {
        serde_json::from_str(&self.extra).unwrap_or_default()
    }

    fn key(&self, user: Id) -> Vec<u8> {
        draft_key(user, self.channel, self.root)
    }
}

impl People {
    /// Keeps a draft, in the place of the one of that channel and thread. It is on disk when this
    /// returns.
    pub fn keep_draft(&self, user: Id, mut draft: Draft) -> Result<Draft, DraftError> {
        let files = draft.files.len() * size_of::<Id>();
        if draft.message.len() > TEXT_BYTES || draft.extra.len() + files > EXTRA_BYTES {
            return Err(DraftError::TooLong);
        }
        // Nobody else writes drafts meanwhile: the count holds.
        let _turn = self.change();
        let held = self.drafts(user)?;
        // Of two that are kept within one millisecond, the second is the later one.
        let newest = held.iter().map(|it| it.updated_ms).max().unwrap_or(0);
        let now = self.now_ms().max(newest.saturating_add(1));
        draft.updated_ms = now;
        let place = (draft.channel, draft.root);
        draft.created_ms = match held.iter().find(|it| (it.channel, it.root) == place) {
            Some(held) => held.created_ms,
            None if held.len() >= DRAFTS_PER_USER => return Err(DraftError::TooMany),
            None => now,
        };
        let key = draft.key(user);
        let kept = row(DRAFT, &[&key], &draft);
        self.store.write(&[kept]).map_err(PeopleError::from)?;
        Ok(draft)
    }

    pub fn draft(
        &self,
        user: Id,
        channel: Id,
        root: Option<Id>,
    ) -> Result<Option<Draft>, PeopleError> {
        let key = row_key(DRAFT, &[&draft_key(user, channel, root)]);
        let value = self.store.get(Table::People, &key)?;
        value.map(|value| decode(&value)).transpose()
    }

    pub fn drafts(&self, user: Id) -> Result<Vec<Draft>, PeopleError> {
        let mut drafts = Vec::new();
        let prefix = row_key(DRAFT, &[&user.0]);
        self.store
            .scan::<PeopleError>(Table::People, &prefix, &[], |_, value| {
                drafts.push(decode(value)?);
                Ok(true)
            })?;
        Ok(drafts)
    }

    /// Takes a draft away, and gives what it was; none where there was none.
    pub fn drop_draft(
        &self,
        user: Id,
        channel: Id,
        root: Option<Id>,
    ) -> Result<Option<Draft>, PeopleError> {
        let _turn = self.change();
        let held = self.draft(user, channel, root)?;
        if let Some(held) = &held {
            let key = row_key(DRAFT, &[&held.key(user)]);
            self.store.write(&[Row::delete(Table::People, key)])?;
        }
        Ok(held)
    }
}

fn draft_key(user: Id, channel: Id, root: Option<Id>) -> Vec<u8> {
    let root = root.unwrap_or_default();
    [user.0, channel.0, root.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::people::tests::people;

    fn draft(channel: u8, root: Option<Id>, message: &str) -> Draft {
        let channel = Id([channel; 16]);
        Draft::new(channel, root, message.into(), Vec::new(), Map::new())
    }

    #[test]
    fn a_draft_is_kept_for_each_thread_of_each_user_until_it_is_dropped() {
        let (_dir, people) = people();
        let (alice, bob, root) = (Id([1; 16]), Id([2; 16]), Some(Id([9; 16])));
        let first = people.keep_draft(alice, draft(5, None, "a")).unwrap();
        people.keep_draft(alice, draft(5, root, "b")).unwrap();
        let again = people.keep_draft(alice, draft(5, None, "c")).unwrap();
        assert_eq!(again.created_ms, first.created_ms);
        let texts: Vec<String> = people
            .drafts(alice)
            .unwrap()
            .into_iter()
            .map(|it| it.message)
            .collect();
        assert_eq!(texts, ["c", "b"]);
        assert!(people.drafts(bob).unwrap().is_empty());

        let gone = people.drop_draft(alice, Id([5; 16]), None).unwrap();
        assert_eq!(gone.unwrap().message, "c");
        assert!(
            people
                .drop_draft(alice, Id([5; 16]), None)
                .unwrap()
                .is_none()
        );
        assert_eq!(people.drafts(alice).unwrap().len(), 1);
    }

    #[test]
    fn of_drafts_kept_in_the_same_moment_each_is_later_than_those_before() {
        let (_dir, people) = people();
        let kept = (0..50).map(|at| people.keep_draft(Id([1; 16]), draft(at, None, "x")));
        let times: Vec<u64> = kept.map(|it| it.unwrap().updated_ms).collect();
        assert!(times.is_sorted_by(|earlier, later| earlier < later));
    }

    #[test]
    fn nobody_keeps_more_than_their_share() {
        let (_dir, people) = people();
        let alice = Id([1; 16]);
        for channel in 0..DRAFTS_PER_USER as u8 {
            people.keep_draft(alice, draft(channel, None, "x")).unwrap();
        }
        let more = people.keep_draft(alice, draft(200, None, "x"));
        assert!(matches!(more, Err(DraftError::TooMany)), "{more:?}");
        people.keep_draft(alice, draft(0, None, "y")).unwrap();
        let long = people.keep_draft(alice, draft(0, None, &"x".repeat(TEXT_BYTES + 1)));
        assert!(matches!(long, Err(DraftError::TooLong)), "{long:?}");
    }
}
