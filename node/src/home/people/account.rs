//! Accounts of the partner's own users.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::password::{self, PasswordHash};
use super::provision::{Attribute, Subject};
use super::roles::{self, AccountRole, Action};
use super::second_factor::SecondFactor;
use super::{ACCOUNT, ACCOUNTS, People, PeopleError, State, row};
use crate::home::id::{Id, is_user_name};
use crate::store::StoreError;

/// The longest of the texts about a user, in bytes.
const TEXT_BYTES: usize = 256;
/// The most properties of one kind that a client may keep with an account, and their length.
const PROPERTIES: usize = 64;
const PROPERTY_BYTES: usize = 1024;

/// A user of this partner.
#[derive(Debug, Clone, Serialize, Deserialize)]
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
    pub(super) password: Option<PasswordHash>,
    pub(super) second_factor: Option<SecondFactor>,
    pub created_ms: u64,
    pub updated_ms: u64,
    /// When the account was disabled; 0 while it is not.
    pub disabled_ms: u64,
    /// A program's account, and whose it is.
    pub bot_of: Option<Id>,
    pub bot_description: String,
    /// What this partner lets the user do.
    pub roles: BTreeSet<AccountRole>,
    /// Who vouches for the user; none for an account of this node alone.
    pub subject: Option<Subject>,
    /// What the organisation's provider says of the user, such as a clearance; never self-edited.
    pub attributes: BTreeMap<String, Attribute>,
    /// The channels that the user is in because of a group at the provider.
    pub by_group: BTreeSet<Id>,
}

impl Default for Account {
    fn default() -> Account {
        Account {
            id: Id::default(),
            username: String::new(),
            email: String::new(),
            nickname: String::new(),
            first_name: String::new(),
            last_name: String::new(),
            position: String::new(),
            locale: String::new(),
            props: BTreeMap::new(),
            notify_props: BTreeMap::new(),
            timezone: BTreeMap::new(),
            password: None,
            second_factor: None,
            created_ms: 0,
            updated_ms: 0,
            disabled_ms: 0,
            bot_of: None,
            bot_description: String::new(),
            // What accounts were before there were roles.
            roles: BTreeSet::from([AccountRole::Member]),
            subject: None,
            attributes: BTreeMap::new(),
            by_group: BTreeSet::new(),
        }
    }
}

impl Account {
    pub fn is_active(&self) -> bool {
        self.disabled_ms == 0
    }

    pub fn may(&self, action: Action) -> bool {
        roles::may(&self.roles, action)
    }

    /// Whether the user is known here by a password.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether the user is asked for codes beside the password.
    pub fn has_second_factor(&self) -> bool {
        self.second_factor.as_ref().is_some_and(SecondFactor::is_on)
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
    /// What the user may do; a member's where absent, and a bot's for a bot.
    pub roles: Option<BTreeSet<AccountRole>>,
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
    #[error("another user has that mail address")]
    MailTaken,
    #[error("a password has {} to {} bytes", password::SHORTEST, password::LONGEST)]
    Password,
    #[error("{0} is too long")]
    TooLong(&'static str),
    #[error("this node holds {ACCOUNTS} accounts, and no more")]
    Full,
    #[error("there is no such user")]
    Unknown,
    #[error("an account is not both '{}' and '{}': whoever sees to the node reads no messages, and has another account to talk with", .0.name(), .1.name())]
    Roles(AccountRole, AccountRole),
    #[error("the user's password is at the organisation's provider ({0})")]
    ElsewhereKept(String),
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
}

impl People {
    /// Goes on only if nothing is wrong with a new local account's name, address and password.
    pub fn demand_possible(&self, new: &NewAccount) -> Result<(), AccountError> {
        if !is_user_name(&new.username) {
            return Err(AccountError::Name(new.username.clone()));
        }
        if self.by_name(&new.username).is_some() {
            return Err(AccountError::Taken(new.username.clone()));
        }
        let fits = |it: &String| (password::SHORTEST..=password::LONGEST).contains(&it.len());
        if !new.password.as_ref().is_none_or(fits) {
            return Err(AccountError::Password);
        }
        if new.email.len() > TEXT_BYTES {
            return Err(AccountError::TooLong("the mail address"));
        }
        Ok(())
    }

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
        let own_roles = match (new.roles, new.bot_of) {
            (Some(roles), _) => roles,
            (None, Some(_)) => BTreeSet::from([AccountRole::Bot]),
            (None, None) => BTreeSet::from([AccountRole::Member]),
        };
        let account = Account {
            roles: own_roles,
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
        self.insert(account)
    }

    /// Takes a new account in, if its name is free.
    pub(super) fn insert(&self, account: Account) -> Result<Account, AccountError> {
        account.check()?;
        let mut state = self.change();
        if state.names.contains_key(&account.username) {
            return Err(AccountError::Taken(account.username));
        }
        if state.accounts.len() >= ACCOUNTS {
            return Err(AccountError::Full);
        }
        if state.is_others_mail(&account) {
            return Err(AccountError::MailTaken);
        }
        self.store
            .write(&[row(ACCOUNT, &[&account.id.0], &account)])?;
        state.names.insert(account.username.clone(), account.id);
        if let Some(subject) = &account.subject {
            state.subjects.insert(subject.clone(), account.id);
        }
        state.accounts.insert(account.id, account.clone());
        self.changed.notify_one();
        Ok(account)
    }

    /// Sets a new password, and ends no session.
    pub async fn set_password(&self, user: Id, password: &str) -> Result<(), AccountError> {
        if let Some(subject) = self.account(&user).and_then(|it| it.subject) {
            return Err(AccountError::ElsewhereKept(subject.source));
        }
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

    /// Gives a user these roles and no others.
    pub fn set_roles(
        &self,
        user: Id,
        roles: BTreeSet<AccountRole>,
    ) -> Result<Account, AccountError> {
        self.update(user, |account| account.roles = roles)
    }

    pub(super) fn update(
        &self,
        user: Id,
        change: impl FnOnce(&mut Account),
    ) -> Result<Account, AccountError> {
        let changed = self.update_if(user, |account| {
            change(account);
            true
        })?;
        changed.ok_or(AccountError::Unknown)
    }

    /// Keeps what `change` made of an account if it says so, and gives it then.
    pub(super) fn update_if(
        &self,
        user: Id,
        change: impl FnOnce(&mut Account) -> bool,
    ) -> Result<Option<Account>, AccountError> {
        let mut state = self.change();
        let mut account = state
            .accounts
            .get(&user)
            .cloned()
            .ok_or(AccountError::Unknown)?;
        let mail = account.email.clone();
        if !change(&mut account) {
            return Ok(None);
        }
        account.check()?;
        // Whoever logs in by an address must not find another there.
        if account.email != mail && state.is_others_mail(&account) {
            return Err(AccountError::MailTaken);
        }
        account.updated_ms = self.now_ms().max(account.updated_ms + 1);
        self.store.write(&[row(ACCOUNT, &[&user.0], &account)])?;
        if let Some(subject) = &account.subject {
            state.subjects.retain(|_, own| *own != user);
            state.subjects.insert(subject.clone(), user);
        }
        state.accounts.insert(user, account.clone());
        self.changed.notify_one();
        Ok(Some(account))
    }

    /// The user whose password this is. Takes as long for names that nobody has.
    pub async fn check_password(&self, name: &str, password: &str) -> Option<Account> {
        let found = self.by_login(name).filter(Account::is_active);
        let kept = found.as_ref().and_then(|account| account.password.clone());
        let is_known = kept.is_some();
        let kept = match kept {
            Some(kept) => kept,
            None => PasswordHash::nobodys(),
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

    /// Whether a user of this partner may do something.
    pub fn may(&self, id: &Id, action: Action) -> bool {
        let state = self.read();
        let account = state.accounts.get(id);
        account.is_some_and(|account| state.stands(account) && account.may(action))
    }

    pub fn is_own(&self, id: &Id) -> bool {
        self.read().accounts.contains_key(id)
    }

    /// The ids of all accounts, disabled ones too.
    pub fn ids(&self) -> Vec<Id> {
        self.read().accounts.keys().copied().collect()
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

impl State {
    fn is_others_mail(&self, account: &Account) -> bool {
        let mail = account.email.to_lowercase();
        let has = |it: &Account| it.id != account.id && it.email.to_lowercase() == mail;
        !mail.is_empty() && self.accounts.values().any(has)
    }
}

impl Account {
    pub(super) fn check(&self) -> Result<(), AccountError> {
        let texts = [
            (&self.email, "the mail address"),
            (&self.nickname, "the nickname"),
            (&self.first_name, "the first name"),
            (&self.last_name, "the last name"),
            (&self.position, "the position"),
            (&self.locale, "the locale"),
            (&self.bot_description, "the description"),
        ];
        if let Some((one, other)) = roles::conflict(&self.roles) {
            return Err(AccountError::Roles(one, other));
        }
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
