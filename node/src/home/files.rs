//! Files as clients know them: handed over first, under an id of their own, and then posted.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde_json::{Value, json};

use super::id::Id;

/// Files of one user that were handed over and not posted yet: as many as one post has.
const STAGED: usize = 10;
/// How long they wait, in milliseconds.
const STAGED_MS: u64 = 600_000;

/// A file that a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    pub id: Id,
    pub user: Id,
    pub channel: Id,
    /// None while it is not posted.
    pub post: Option<Id>,
    pub name: String,
    pub media_type: String,
    pub size: u64,
    pub create_at: u64,
    pub source: Source,
}

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Handed over, by the name of the upload.
    Staged(String),
    /// Posted: the reference's id in hexadecimal digits.
    Posted(String),
}

impl FileEntry {
    /// The file as clients are told of it.
    pub fn shape(&self) -> Value {
        let extension = self
            .name
            .rsplit_once('.')
            .map_or("", |(_, extension)| extension);
        json!({
            "id": self.id,
            "user_id": self.user,
            "post_id": self.post.map_or_else(String::new, |post| post.to_string()),
            "channel_id": self.channel,
            "create_at": self.create_at,
            "update_at": self.create_at,
            "delete_at": 0,
            "name": self.name,
            "extension": extension.to_lowercase(),
            "size": self.size,
            "mime_type": self.media_type,
            "width": 0,
            "height": 0,
            "has_preview_image": self.media_type.starts_with("image/"),
            "mini_preview": null,
            "remote_id": "",
            "archived": false,
        })
    }
}

#[derive(Default)]
pub struct Files {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    files: BTreeMap<Id, FileEntry>,
    by_post: BTreeMap<Id, Vec<Id>>,
    /// Posted files by the id under which they were handed over.
    staged_as: BTreeMap<Id, Id>,
}

impl Files {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a file that was handed over; false where too many of its user's wait to be posted. What
    /// waits for too long is forgotten, as the upload is.
    pub fn stage(&self, file: FileEntry) -> bool {
        let mut state = self.change();
        let now_ms = file.create_at;
        let is_staged = |it: &FileEntry| matches!(it.source, Source::Staged(_));
        state
            .files
            .retain(|_, it| !is_staged(it) || it.create_at + STAGED_MS > now_ms);
        let own = state
            .files
            .values()
            .filter(|it| is_staged(it) && it.user == file.user);
        if own.count() >= STAGED {
            return false;
        }
        state.files.insert(file.id, file);
        true
    }

    /// Takes a file that stands in a channel.
    pub fn put(&self, file: FileEntry) {
        let mut state = self.change();
        if let Some(post) = file.post {
            let files = state.by_post.entry(post).or_default();
            if !files.contains(&file.id) {
                files.push(file.id);
            }
        }
        state.files.insert(file.id, file);
    }

    /// A file that was handed over has been posted, and has the id of its reference now.
    pub fn posted(&self, staged: Id, posted: Id) {
        let mut state = self.change();
        state.files.remove(&staged);
        state.staged_as.insert(staged, posted);
    }

    pub fn get(&self, id: &Id) -> Option<FileEntry> {
        let state = self.read();
        let id = state.staged_as.get(id).unwrap_or(id);
        state.files.get(id).cloned()
    }

    /// Some of a user's files, by their ids, after one of them.
    pub fn of_user(&self, user: &Id, after: Option<Id>, most: usize) -> Vec<FileEntry> {
        let state = self.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let files = state.files.range((from, Bound::Unbounded));
        let own = files.map(|(_, file)| file).filter(|it| it.user == *user);
        own.take(most).cloned().collect()
    }

    /// The files of a post, those that came first before.
    pub fn of_post(&self, post: &Id) -> Vec<FileEntry> {
        let state = self.read();
        let ids = state.by_post.get(post).map_or(&[][..], Vec::as_slice);
        ids.iter()
            .filter_map(|id| state.files.get(id))
            .cloned()
            .collect()
    }
}
