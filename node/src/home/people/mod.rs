//! The partner's own people, as this node knows them: accounts, sessions, and what each has joined,
//! read and chosen. All of it is small, so it is held in memory and written through; rows are keyed
//! by hashes and sealed, so the store shows no names.

mod account;
mod custom_status;
mod drafts;
mod hooks;
mod integrations;
mod marks;
mod password;
mod private;
mod provision;
mod roles;
mod scim;
mod second_factor;
mod sessions;
mod uploads;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use comity_protocol::id::PartnerId;
use comity_protocol::rows::{Row, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

use super::id::Id;
use crate::environment::Environment;
use crate::store::{Store, StoreError};
pub use account::{Account, AccountError, Changes, NewAccount};
pub use custom_status::{CustomStatus, PROPERTY as CUSTOM_STATUS};
pub use drafts::{Draft, DraftError};
pub use hooks::Hook;
pub use integrations::{IntegrationError, OutgoingHook, SlashCommand};
pub use marks::{Marks, Pending, Preference};
pub use provision::{Attribute, Claims, ProvisionError, Rules, Subject};
pub use roles::{ACTIONS, AccountRole, Action, ROLES};
pub use scim::{Kept, MEMBERS, Provisioned, ScimGroup, TokenCheck, Wanted, subject};
pub use sessions::{Origin, Session, SessionKind, Token};
pub use uploads::{PART_BYTES, PartialUpload, UploadError};

/// Accounts that one node holds: a partner of thousands.
const ACCOUNTS: usize = 50_000;
/// Sessions and access tokens of one user: a few devices, a few programs.
const SESSIONS_PER_USER: usize = 64;
/// Preferences of one user; a client writes some per channel.
const PREFERENCES_PER_USER: usize = 5_000;
/// Passwords that are checked at a time: each takes 19 MiB of memory for some 20 ms.
const PASSWORDS_AT_A_TIME: usize = 4;

/// What a row of the table begins with.
const ACCOUNT: u8 = b'a';
const SESSION: u8 = b's';
const MARKS: u8 = b'm';
const PREFERENCES: u8 = b'p';
const PENDING: u8 = b'q';
const HOOK: u8 = b'h';
const DRAFT: u8 = b'd';
const UPLOAD: u8 = b'u';
const UPLOAD_PART: u8 = b'v';
const OUTGOING: u8 = b'o';
const COMMAND: u8 = b'k';
const PRIVATE: u8 = b'r';
const SCIM_USER: u8 = b'U';
const SCIM_GROUP: u8 = b'G';
const SCIM_TOKEN: u8 = b'T';
/// What an authority gave for the users' side: not the people's, and in their table for being sealed.
pub const CERTIFICATE: u8 = b'c';
/// Those that are held in memory, and so read at the start.
const HELD: [u8; 13] = [
    ACCOUNT,
    SESSION,
    MARKS,
    PREFERENCES,
    PENDING,
    HOOK,
    UPLOAD,
    OUTGOING,
    COMMAND,
    PRIVATE,
    SCIM_USER,
    SCIM_GROUP,
    SCIM_TOKEN,
];

pub struct People {
    store: Store,
    partner: PartnerId,
    environment: Environment,
    state: RwLock<State>,
    hashing: Arc<Semaphore>,
    /// An account changed, or who is in a channel.
    pub changed: Arc<Notify>,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<Id, Account>,
    names: BTreeMap<String, Id>,
    /// By whom somebody else vouches for.
    subjects: BTreeMap<Subject, Id>,
    sessions: BTreeMap<[u8; 32], Session>,
    /// By user and channel.
    marks: BTreeMap<(Id, Id), Marks>,
    unwritten: BTreeSet<(Id, Id)>,
    preferences: BTreeMap<Id, Vec<Preference>>,
    pending: BTreeMap<[u8; 32], Pending>,
    hooks: BTreeMap<Id, Hook>,
    uploads: BTreeMap<Id, PartialUpload>,
    outgoing: BTreeMap<Id, OutgoingHook>,
    commands: BTreeMap<Id, SlashCommand>,
    /// Channels whose users are taken in one by one.
    private: BTreeSet<Id>,
    /// What the organisation's provisioning keeps, by the account's id.
    provisioned: BTreeMap<Id, Provisioned>,
    scim_groups: BTreeMap<Id, ScimGroup>,
    /// The groups of each user.
    memberships: BTreeMap<Id, BTreeSet<Id>>,
    scim_token: Option<scim::StoredToken>,
    /// How often each hook was used since when.
    used: BTreeMap<Id, (Instant, u32)>,
}

/// What is stored of the people does not read back.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a row of the people's table does not read back")]
    Damaged,
}

impl People {
    /// Reads all that is stored of them.
    pub fn load(
        store: Store,
        partner: PartnerId,
        environment: Environment,
    ) -> Result<People, PeopleError> {
        let mut state = State::default();
        for kind in HELD {
            store.scan::<PeopleError>(Table::People, &[kind], &[], |key, value| {
                state.take(key, value)?;
                Ok(true)
            })?;
        }
        Ok(People {
            store,
            partner,
            environment,
            state: RwLock::new(state),
            hashing: Arc::new(Semaphore::new(PASSWORDS_AT_A_TIME)),
            changed: Arc::default(),
        })
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.environment.clock.unix_ms()
    }
}

impl State {
    /// Whether an account may be used: it is not disabled, and whoever made a program may still have
    /// one.
    fn stands(&self, account: &Account) -> bool {
        let maker = account.bot_of.map(|maker| self.accounts.get(&maker));
        account.is_active()
            && maker.is_none_or(|maker| {
                maker.is_some_and(|maker| maker.is_active() && maker.may(Action::MakePrograms))
            })
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), PeopleError> {
        let (kind, key) = key.split_first().ok_or(PeopleError::Damaged)?;
        match *kind {
            ACCOUNT => {
                let account: Account = decode(value)?;
                self.names.insert(account.username.clone(), account.id);
                if let Some(subject) = &account.subject {
                    self.subjects.insert(subject.clone(), account.id);
                }
                self.accounts.insert(account.id, account);
            }
            SESSION => {
                let digest = key.try_into().map_err(|_| PeopleError::Damaged)?;
                self.sessions.insert(digest, decode(value)?);
            }
            MARKS => {
                let user = id(key.get(..16))?;
                let channel = id(key.get(16..))?;
                self.marks.insert((user, channel), decode(value)?);
            }
            PREFERENCES => {
                self.preferences.insert(id(Some(key))?, decode(value)?);
            }
            HOOK => {
                self.hooks.insert(id(Some(key))?, decode(value)?);
            }
            OUTGOING => {
                self.outgoing.insert(id(Some(key))?, decode(value)?);
            }
            COMMAND => {
                self.commands.insert(id(Some(key))?, decode(value)?);
            }
            PRIVATE => {
                self.private.insert(id(Some(key))?);
            }
            UPLOAD => {
                self.uploads.insert(id(Some(key))?, decode(value)?);
            }
            SCIM_USER => {
                self.provisioned.insert(id(Some(key))?, decode(value)?);
            }
            SCIM_GROUP => self.hold_group(decode(value)?),
            SCIM_TOKEN => self.scim_token = Some(decode(value)?),
            PENDING => {
                let digest = key.try_into().map_err(|_| PeopleError::Damaged)?;
                self.pending.insert(digest, decode(value)?);
            }
            // Read when it is asked for.
            _ => {}
        }
        Ok(())
    }
}

fn id(key: Option<&[u8]>) -> Result<Id, PeopleError> {
    let key = key.and_then(|key| key.try_into().ok());
    key.map(Id).ok_or(PeopleError::Damaged)
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, PeopleError> {
    rmp_serde::from_slice(value).map_err(|_| PeopleError::Damaged)
}

/// A row whose value names its fields, so that a later version may add some.
fn row<T: Serialize>(kind: u8, key: &[&[u8]], value: &T) -> Row {
    // Plain data in memory always encodes.
    let value = rmp_serde::to_vec_named(value).unwrap_or_default();
    Row::put(Table::People, row_key(kind, key), value)
}

fn row_key(kind: u8, key: &[&[u8]]) -> Vec<u8> {
    let mut whole = vec![kind];
    key.iter().for_each(|part| whole.extend_from_slice(part));
    whole
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// An empty store and nobody in it, for the tests of the parts.
    pub fn people() -> (tempfile::TempDir, People) {
        let dir = tempfile::tempdir().unwrap();
        let key = comity_crypto::StorageKey::from_bytes([1; 32]);
        let store = Store::open(dir.path(), key).unwrap();
        let people = People::load(store, PartnerId([7; 32]), Environment::default()).unwrap();
        (dir, people)
    }
}
