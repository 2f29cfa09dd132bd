//! The partner's own people, as this node knows them: accounts, sessions, and what each has joined,
//! read and chosen. All of it is small, so it is held in memory and written through; rows are keyed
//! by hashes and sealed, so the store shows no names.

mod account;
mod hooks;
mod marks;
mod password;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use comity_protocol::id::PartnerId;
use comity_protocol::rows::{Row, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::id::Id;
use crate::environment::Environment;
use crate::store::{Store, StoreError};
pub use account::{Account, AccountError, Changes, NewAccount};
pub use hooks::Hook;
pub use marks::{Marks, Pending, Preference};
pub use sessions::{Session, SessionKind, Token};

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

pub struct People {
    store: Store,
    partner: PartnerId,
    environment: Environment,
    state: RwLock<State>,
    hashing: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<Id, Account>,
    names: BTreeMap<String, Id>,
    sessions: BTreeMap<[u8; 32], Session>,
    /// By user and channel.
    marks: BTreeMap<(Id, Id), Marks>,
    unwritten: BTreeSet<(Id, Id)>,
    preferences: BTreeMap<Id, Vec<Preference>>,
    pending: BTreeMap<[u8; 32], Pending>,
    hooks: BTreeMap<Id, Hook>,
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
        store.scan::<PeopleError>(Table::People, &[], &[], |key, value| {
            state.take(key, value)?;
            Ok(true)
        })?;
        Ok(People {
            store,
            partner,
            environment,
            state: RwLock::new(state),
            hashing: Arc::new(Semaphore::new(PASSWORDS_AT_A_TIME)),
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
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), PeopleError> {
        let (kind, key) = key.split_first().ok_or(PeopleError::Damaged)?;
        match *kind {
            ACCOUNT => {
                let account: Account = decode(value)?;
                self.names.insert(account.username.clone(), account.id);
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
            PENDING => {
                let digest = key.try_into().map_err(|_| PeopleError::Damaged)?;
                self.pending.insert(digest, decode(value)?);
            }
            // Of a later version: left alone.
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
