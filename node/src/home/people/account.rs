//! Accounts of the partner's own users.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::password::{self, PasswordHash};
use super::{ACCOUNT, ACCOUNTS, People, PeopleError, row};
use crate::home::id::{Id, is_user_name};
use crate::store::StoreError;

/// The longest of the texts about a user, in bytes.
const TEXT_BYTES: usize = 256;
/// The most properties of one kind that a client may keep with an account, and their length.
const PROPERTIES: usize = 64;
const PROPERTY_BYTES: usize = 1024;

/// A user of this partner.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    pub id: Id,
    pub username: String,
    pub email: String,
    pub nickname: String,
    pub first_name: String,
    pub last_name: String,
    pub position: String,
    pub locale: String,
    /// What clients keep with the user; Mattermost's `props` and `notify_props`.
    pub props: BTreeMap<String, String>,
    pub notify_props: BTreeMap<String, String>,
    pub timezone: BTreeMap<String, String>,
    password: Option<PasswordHash>,
    pub created_ms: u64,
    pub updated_ms: u64,
    /// When the account was disabled; 0 while it is not.
    pub disabled_ms: u64,
    /// A program's account, and whose it is.
    pub bot_of: Option<Id>,
    pub bot_description: String,
}

impl Account {
    pub fn is_active(&self) -> bool {
        self.disabled_ms == 0
    }
}

/// A local account to be made.
#[derive(Debug, Default)]
pub struct NewAccount {
    pub username: String,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    /// None for accounts that cannot log in by a password.
    pub password: Option<String>,
    pub bot_of: Option<Id>,
    pub bot_description: String,
}

/// What of an account is to be changed; what is absent stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Changes {
    pub email: Option<String>,
    pub nickname: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub position: Option<String>,
    pub locale: Option<String>,
    pub props: Option<BTreeMap<String, String>>,
    pub notify_props: Option<BTreeMap<String, String>>,
    pub timezone: Option<BTreeMap<String, String>>,
}

/// Why an account cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    #[error(
        "'{0}' is no user name: it begins with a letter and has 1 to 64 of a-z, 0-9, '.', '-', '_'"
    )]
    Name(String),
    #[error("there is a user '{0}' already")]
    Taken(String),
    #[error("a password has {} to {} bytes", password::SHORTEST, password::LONGEST)]
    Password,
    #[error("{0} is too long")]
    TooLong(&'static str),
    #[error("this node holds {ACCOUNTS} accounts, and no more")]
    Full,
    #[error("there is no such user")]
    Unknown,
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

impl People {
    /// Makes an account; it is on disk when this returns.
    pub async fn add(&self, new: NewAccount) -> Result<Account, AccountError> {
        if !is_user_name(&new.username) {
            return Err(AccountError::Name(new.username));
        }
        let password = match &new.password {
            Some(password) => Some(self.hash(password).await?),
            None => None,
        };
        let now = self.now_ms();
        let account = Account {
            id: Id::of_user(&self.partner, &new.username),
            username: new.username,
            email: new.email,
            first_name: new.first_name,
            last_name: new.last_name,
            locale: "en".into(),
            password,
            created_ms: now,
            updated_ms: now,
            bot_of: new.bot_of,
            bot_description: new.bot_description,
            ..Account::default()
        };
        account.check()?;
        let mut state = self.change();
        if state.names.contains_key(&account.username) {
            return Err(AccountError::Taken(account.username));
        }
        if state.accounts.len() >= ACCOUNTS {
            return Err(AccountError::Full);
        }
        self.store
            .write(&[row(ACCOUNT, &[&account.id.0], &account)])?;
        state.names.insert(account.username.clone(), account.id);
        state.accounts.insert(account.id, account.clone());
        Ok(account)
    }

    /// Sets a new password, and ends no session.
    pub async fn set_password(&self, user: Id, password: &str) -> Result<(), AccountError> {
        let hash = self.hash(password).await?;
        self.update(user, |account| account.password = Some(hash))?;
        Ok(())
    }

    pub fn revise(&self, user: Id, changes: Changes) -> Result<Account, AccountError> {
        self.update(user, |account| changes.apply(account))
    }

    /// Disables an account, or enables it again; disabling ends its sessions at once.
    pub fn set_active(&self, user: Id, active: bool) -> Result<Account, AccountError> {
        let now = self.now_ms();
        let account = self.update(user, |account| {
            account.disabled_ms = if active { 0 } else { now };
        })?;
        if !active {
            self.end_sessions_of(user)?;
        }
        Ok(account)
    }

    fn update(&self, user: Id, change: impl FnOnce(&mut Account)) -> Result<Account, AccountError> {
        let mut state = self.change();
        let mut account = state
            .accounts
            .get(&user)
            .cloned()
            .ok_or(AccountError::Unknown)?;
        change(&mut account);
        account.check()?;
        account.updated_ms = self.now_ms().max(account.updated_ms + 1);
        self.store.write(&[row(ACCOUNT, &[&user.0], &account)])?;
        state.accounts.insert(user, account.clone());
        Ok(account)
    }

    /// The user whose password this is. Takes as long for names that nobody has.
    pub async fn check_password(&self, name: &str, password: &str) -> Option<Account> {
        let found = self.by_login(name).filter(Account::is_active);
        let kept = found.as_ref().and_then(|account| account.password.clone());
        let is_known = kept.is_some();
        let kept = match kept {
            Some(kept) => kept,
            None => PasswordHash::of("nobody's", [0; 16])?,
        };
        let password: String = password.chars().take(password::LONGEST).collect();
        let _turn = self.hashing.acquire().await.ok()?;
        let checked = self.environment.work.run(move || kept.is_of(&password));
        let is_right = checked.await.unwrap_or(false);
        found.filter(|_| is_known && is_right)
    }

    async fn hash(&self, password: &str) -> Result<PasswordHash, AccountError> {
        if !(password::SHORTEST..=password::LONGEST).contains(&password.len()) {
            return Err(AccountError::Password);
        }
        let (password, salt) = (password.to_string(), self.environment.randomness.bytes());
        let _turn = self
            .hashing
            .acquire()
            .await
            .map_err(|_| AccountError::Password)?;
        let work = self.environment.work;
        let hashed = work.run(move || PasswordHash::of(&password, salt)).await;
        hashed.ok().flatten().ok_or(AccountError::Password)
    }

    /// By the user's name or mail address.
    pub fn by_login(&self, login: &str) -> Option<Account> {
        let login = login.to_lowercase();
        self.by_name(&login).or_else(|| {
            let state = self.read();
            let has =
                |account: &&Account| !login.is_empty() && account.email.to_lowercase() == login;
            state.accounts.values().find(has).cloned()
        })
    }

    pub fn by_name(&self, name: &str) -> Option<Account> {
        let state = self.read();
        state
            .names
            .get(name)
            .and_then(|id| state.accounts.get(id))
            .cloned()
    }

    /// The programs' accounts that a user made.
    pub fn bots_of(&self, user: Id) -> Vec<Id> {
        let state = self.read();
        let bots = state.accounts.values().filter(|it| it.bot_of == Some(user));
        bots.map(|it| it.id).collect()
    }

    pub fn account(&self, id: &Id) -> Option<Account> {
        self.read().accounts.get(id).cloned()
    }

    pub fn is_own(&self, id: &Id) -> bool {
        self.read().accounts.contains_key(id)
    }

    /// All accounts, by user name.
    pub fn accounts(&self) -> Vec<Account> {
        let state = self.read();
        let named = state.names.values();
        named
            .filter_map(|id| state.accounts.get(id))
            .cloned()
            .collect()
    }

    /// The ids of those who can log in.
    pub fn active_ids(&self) -> Vec<Id> {
        let state = self.read();
        let active = state
            .accounts
            .values()
            .filter(|account| account.is_active());
        active.map(|account| account.id).collect()
    }
}

impl Account {
    fn check(&self) -> Result<(), AccountError> {
        let texts = [
            (&self.email, "the mail address"),
            (&self.nickname, "the nickname"),
            (&self.first_name, "the first name"),
            (&self.last_name, "the last name"),
            (&self.position, "the position"),
            (&self.locale, "the locale"),
            (&self.bot_description, "the description"),
        ];
        if let Some((_, what)) = texts.into_iter().find(|(text, _)| text.len() > TEXT_BYTES) {
            return Err(AccountError::TooLong(what));
        }
        let kept = [&self.props, &self.notify_props, &self.timezone];
        let fits = |kept: &&BTreeMap<String, String>| {
            let long = |(key, value): (&String, &String)| key.len() + value.len() > PROPERTY_BYTES;
            kept.len() <= PROPERTIES && !kept.iter().any(long)
        };
        match kept.iter().all(fits) {
            true => Ok(()),
            false => Err(AccountError::TooLong("a property")),
        }
    }
}

impl Changes {
    fn apply(self, account: &mut Account) {
        let texts = [
            (self.email, &mut account.email),
            (self.nickname, &mut account.nickname),
            (self.first_name, &mut account.first_name),
            (self.last_name, &mut account.last_name),
            (self.position, &mut account.position),
            (self.locale, &mut account.locale),
        ];
        for (new, held) in texts {
            if let Some(new) = new {
                *held = new;
            }
        }
        let maps = [
            (self.props, &mut account.props),
            (self.notify_props, &mut account.notify_props),
            (self.timezone, &mut account.timezone),
        ];
        for (new, held) in maps {
            if let Some(new) = new {
                *held = new;
            }
        }
    }
}

impl From<PeopleError> for AccountError {
    fn from(error: PeopleError) -> AccountError {
        match error {
            PeopleError::Store(error) => AccountError::Store(error),
            PeopleError::Damaged => AccountError::Unknown,
        }
    }
}
