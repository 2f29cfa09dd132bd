//! Finding posts by their words: the index of this node, fed with what can be read here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::id::Id;
use super::shapes::Post;
use crate::search::{Document, Index, Names, Query};

#[derive(Default)]
pub struct Finder {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    index: Index,
    posts: Numbers,
    channels: Numbers,
    authors: Numbers,
}

/// Small numbers for ids, as the index wants them.
#[derive(Default)]
struct Numbers {
    of: BTreeMap<Id, u32>,
    ids: Vec<Id>,
}

impl Numbers {
    fn number(&mut self, id: Id) -> u32 {
        *self.of.entry(id).or_insert_with(|| {
            self.ids.push(id);
            self.ids.len() as u32 - 1
        })
    }
}

impl Finder {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a post as it is now: a new one, an edited one, or one that was withdrawn.
    pub fn take(&self, post: &Post) {
        let mut state = self.state();
        let number = state.posts.number(post.id);
        if post.delete_at != 0 || post.message.is_empty() {
            return state.index.remove(number);
        }
        let document = Document {
            channel: state.channels.number(post.channel_id),
            author: state.authors.number(post.user_id),
            at_ms: post.create_at,
            text: &post.message,
        };
        if let Err(full) = state.index.put(number, &document) {
            tracing::warn!(%full, "a post cannot be searched for");
        }
    }

    pub fn channel_number(&self, id: &Id) -> Option<u32> {
        self.state().channels.of.get(id).copied()
    }

    pub fn author_number(&self, id: &Id) -> Option<u32> {
        self.state().authors.of.get(id).copied()
    }

    /// The posts that a query finds in channels that may be read, the newest first.
    pub fn find(
        &self,
        query: &Query,
        may_read: impl Fn(u32) -> bool,
        names: &impl Names,
        skip: usize,
        size: usize,
    ) -> Vec<Id> {
        // Names are looked up first: that asks for numbers, too.
        let known = Known::of(query, names);
        let state = self.state();
        let found = state.index.find(query, may_read, &known, skip, size);
        let ids = found.numbers.into_iter();
        ids.filter_map(|number| state.posts.ids.get(number as usize).copied())
            .collect()
    }
}

/// What the names in a query mean, looked up before the index is asked.
struct Known {
    channels: BTreeMap<String, Vec<u32>>,
    authors: BTreeMap<String, Vec<u32>>,
}

impl Known {
    fn of(query: &Query, names: &impl Names) -> Known {
        let channels = query
            .channels()
            .map(|name| (name.to_string(), names.channel(name)));
        let authors = query
            .authors()
            .map(|name| (name.to_string(), names.author(name)));
        Known {
            channels: channels.collect(),
            authors: authors.collect(),
        }
    }
}

impl Names for Known {
    fn channel(&self, name: &str) -> Vec<u32> {
        self.channels.get(name).cloned().unwrap_or_default()
    }

    fn author(&self, name: &str) -> Vec<u32> {
        self.authors.get(name).cloned().unwrap_or_default()
    }
}
