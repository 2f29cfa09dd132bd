//! Files that come in parts, so that whoever loses the line goes on where it was. Parts are rows of
//! the store, sealed under the storage key: an upload outlives a restart of the node.

use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};

use super::{People, PeopleError, UPLOAD, UPLOAD_PART, row, row_key};
use crate::home::id::Id;
use crate::store::StoreError;

/// Uploads of one user at a time: a client sends one or two.
const UPLOADS_PER_USER: usize = 5;
/// Uploads of all users, and the bytes that they may come to: they lie on the node's disk.
const UPLOADS: usize = 64;
const UPLOADS_BYTES: u64 = 1 << 30;
/// How long an upload waits for its next byte, in milliseconds: a day at sea without a line.
const WAITS_MS: u64 = 24 * 3_600_000;
/// As many bytes are stored at a time: what a killed node costs at most.
pub const PART_BYTES: usize = 256 << 10;
/// Parts of one upload, those of broken requests included: each is a row.
const PARTS: u32 = 2_000;
/// The longest name of a file, in bytes.
const NAME_BYTES: usize = 255;

/// A file that is not there whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialUpload {
    pub id: Id,
    pub user: Id,
    pub channel: Id,
    pub name: String,
    pub size: u64,
    /// How much of it is stored.
    pub offset: u64,
    pub created_ms: u64,
    touched_ms: u64,
    parts: u32,
}

/// Why an upload does not begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("a file's name has 1 to {NAME_BYTES} bytes")]
    Name,
    #[error("{UPLOADS_PER_USER} of your files are on their way already: end one, or wait a day")]
    TooMany,
    #[error("the node has no room for more files on their way: try again later")]
    Full,
    #[error("the file came in more than {PARTS} pieces: begin anew")]
    TooManyParts,
    #[error("more bytes came than the file was said to have")]
    TooLong,
    #[error("there is no such upload any more")]
    Gone,
    #[error(transparent)]
    People(#[from] PeopleError),
}

impl From<StoreError> for UploadError {
    fn from(error: StoreError) -> UploadError {
        UploadError::People(error.into())
    }
}

impl PartialUpload {
    pub fn is_whole(&self) -> bool {
        self.offset == self.size
    }

    fn row(&self) -> Row {
        row(UPLOAD, &[&self.id.0], self)
    }
}

impl People {
    /// Begins an upload; those that waited for too long make room first.
    pub fn begin_upload(
        &self,
        user: Id,
        channel: Id,
        name: String,
        size: u64,
    ) -> Result<PartialUpload, UploadError> {
        if name.is_empty() || name.len() > NAME_BYTES {
            return Err(UploadError::Name);
        }
        self.forget_old_uploads()?;
        let mut state = self.change();
        let own = state.uploads.values().filter(|it| it.user == user).count();
        let bytes: u64 = state.uploads.values().map(|it| it.size).sum();
        if own >= UPLOADS_PER_USER {
            return Err(UploadError::TooMany);
        }
        if state.uploads.len() >= UPLOADS || bytes.saturating_add(size) > UPLOADS_BYTES {
            return Err(UploadError::Full);
        }
        let now = self.now_ms();
        let upload = PartialUpload {
            id: Id(self.environment.randomness.bytes()),
            user,
            channel,
            name,
            size,
            offset: 0,
            created_ms: now,
            touched_ms: now,
            parts: 0,
        };
        self.store.write(&[upload.row()])?;
        state.uploads.insert(upload.id, upload.clone());
        Ok(upload)
    }

    pub fn upload(&self, id: &Id) -> Option<PartialUpload> {
        self.read().uploads.get(id).cloned()
    }

    pub fn uploads_of(&self, user: Id) -> Vec<PartialUpload> {
        let state = self.read();
        let own = state.uploads.values().filter(|it| it.user == user);
        own.cloned().collect()
    }

    /// Stores the next bytes of a file: they and how far it came are on disk when this returns.
    pub fn take_part(&self, id: &Id, part: Vec<u8>) -> Result<PartialUpload, UploadError> {
        let mut upload = self.upload(id).ok_or(UploadError::Gone)?;
        let offset = upload.offset.to_be_bytes();
        upload.offset += part.len() as u64;
        upload.parts += 1;
        upload.touched_ms = self.now_ms();
        if upload.offset > upload.size {
            return Err(UploadError::TooLong);
        }
        if upload.parts > PARTS {
            return Err(UploadError::TooManyParts);
        }
        let part = Row::put(Table::People, row_key(UPLOAD_PART, &[&id.0, &offset]), part);
        self.store.write(&[part, upload.row()])?;
        let mut state = self.change();
        state.uploads.insert(*id, upload.clone());
        Ok(upload)
    }

    /// All that is stored of a file, in one piece.
    pub fn upload_bytes(&self, upload: &PartialUpload) -> Result<Vec<u8>, PeopleError> {
        let mut bytes = Vec::with_capacity(usize::try_from(upload.offset).unwrap_or(0));
        let prefix = row_key(UPLOAD_PART, &[&upload.id.0]);
        self.store
            .scan::<PeopleError>(Table::People, &prefix, &[], |key, part| {
                // A part that is lost must not go unnoticed.
                if key.get(prefix.len()..) != Some(&(bytes.len() as u64).to_be_bytes()) {
                    return Err(PeopleError::Damaged);
                }
                bytes.extend_from_slice(part);
                Ok(true)
            })?;
        match bytes.len() as u64 == upload.offset {
            true => Ok(bytes),
            false => Err(PeopleError::Damaged),
        }
    }

    /// Forgets an upload and what is stored of it.
    pub fn end_upload(&self, id: &Id) -> Result<(), PeopleError> {
        let mut gone = vec![Row::delete(Table::People, row_key(UPLOAD, &[&id.0]))];
        let prefix = row_key(UPLOAD_PART, &[&id.0]);
        self.store
            .scan::<PeopleError>(Table::People, &prefix, &[], |key, _| {
                gone.push(Row::delete(Table::People, key.to_vec()));
                Ok(true)
            })?;
        self.store.write(&gone)?;
        self.change().uploads.remove(id);
        Ok(())
    }

    fn forget_old_uploads(&self) -> Result<(), PeopleError> {
        let now = self.now_ms();
        let old: Vec<Id> = {
            let state = self.read();
            let all = state.uploads.values();
            let old = all.filter(|it| it.touched_ms.saturating_add(WAITS_MS) < now);
            old.map(|it| it.id).collect()
        };
        old.iter().try_for_each(|id| self.end_upload(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::home::people::tests::people;

    const ALICE: Id = Id([1; 16]);

    fn begin(people: &People, size: u64) -> Result<PartialUpload, UploadError> {
        people.begin_upload(ALICE, Id([5; 16]), "a.bin".into(), size)
    }

    #[test]
    fn an_upload_goes_on_after_a_restart_and_leaves_nothing_behind() {
        let (_dir, people) = people();
        let upload = begin(&people, 5).unwrap();
        people.take_part(&upload.id, b"abc".to_vec()).unwrap();
        let store = people.store.clone();
        drop(people);

        let people = People::load(
            store,
            comity_protocol::id::PartnerId([7; 32]),
            Environment::default(),
        )
        .unwrap();
        assert_eq!(people.uploads_of(ALICE)[0].offset, 3);
        let whole = people.take_part(&upload.id, b"de".to_vec()).unwrap();
        assert!(whole.is_whole());
        assert_eq!(people.upload_bytes(&whole).unwrap(), b"abcde");
        people.end_upload(&upload.id).unwrap();
        assert!(people.upload(&upload.id).is_none());
        let mut left = 0;
        people
            .store
            .scan::<StoreError>(Table::People, &[], &[], |_, _| {
                left += 1;
                Ok(true)
            })
            .unwrap();
        assert_eq!(left, 0);
    }

    #[test]
    fn what_goes_beyond_its_limits_is_refused() {
        let (_dir, people) = people();
        let upload = begin(&people, 2).unwrap();
        let long = people.take_part(&upload.id, b"abc".to_vec());
        assert!(matches!(long, Err(UploadError::TooLong)), "{long:?}");
        assert_eq!(people.upload(&upload.id).unwrap().offset, 0);
        for _ in 1..UPLOADS_PER_USER {
            begin(&people, 1).unwrap();
        }
        assert!(matches!(begin(&people, 1), Err(UploadError::TooMany)));
        let other = people.begin_upload(Id([2; 16]), Id([5; 16]), "a".into(), UPLOADS_BYTES);
        assert!(matches!(other, Err(UploadError::Full)), "{other:?}");
    }
}
