//! Accounts that follow from what the organisation's own provider says of its users: made at the first
//! log-in, brought up to date at each one, ended when the provider says so.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::People;
use super::account::{Account, AccountError};
use super::roles::{self, AccountRole};
use crate::home::id::{Id, is_user_name};

/// Groups of one user that are looked at: a directory may know hundreds.
const GROUPS: usize = 1_000;
/// Attributes that are kept of one user, values of each, and the length of a value in bytes.
const ATTRIBUTES: usize = 32;
const VALUES: usize = 64;
const VALUE_BYTES: usize = 256;
/// The longest name of a subject at its provider, in bytes (OpenID Connect Core, section 2: 255).
const SUBJECT_BYTES: usize = 255;
/// What admits everybody whom the provider vouches for.
const EVERYBODY: &str = "*";

/// Somebody as a provider knows them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// Which provider: `oidc:NAME`, `saml:NAME`, `ldap` or `scim`.
    pub source: String,
    /// What the provider will never give to anybody else.
    pub name: String,
}

/// Something that a provider says of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribute {
    pub values: Vec<String>,
    pub source: String,
    /// When it was said, in Unix milliseconds.
    pub at_ms: u64,
}

/// All that a provider says of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub subject: Subject,
    /// The name that the user goes by there; the account's name follows from it at the first log-in.
    pub username: String,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub groups: Vec<String>,
    pub attributes: BTreeMap<String, Vec<String>>,
}

/// Whom a provider's users may become here.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// The groups whose users may log in; `*` admits whomever the provider vouches for. There is no
    /// default: somebody has to say it.
    pub allow: Vec<String>,
    /// The role of whoever is in none of the groups below; a member where it is not said.
    #[serde(default = "member")]
    pub default_role: AccountRole,
    /// The roles of a group's users, beside or instead of the default one.
    #[serde(default)]
    pub roles: BTreeMap<String, Vec<AccountRole>>,
    /// The channels, by name, that a group's users are in.
    #[serde(default)]
    pub channels: BTreeMap<String, Vec<String>>,
    /// The names of the claims that are kept of each user, such as `clearance`.
    #[serde(default)]
    pub attributes: Vec<String>,
}

fn member() -> AccountRole {
    AccountRole::Member
}

/// Why somebody whom a provider vouches for gets no account.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    #[error(
        "the user is in none of the groups that may log in here; the node's administrator decides which these are"
    )]
    NotAllowed,
    #[error(
        "the organisation has not provisioned the user here (SCIM); its directory's administrator can"
    )]
    NotProvisioned,
    #[error("the account is disabled here; the node's administrator can enable it")]
    Disabled,
    #[error(
        "there is another account of the name '{0}' already; the node's administrator can link it: \
         'comity user link'"
    )]
    Taken(String),
    #[error("the provider's name for the user, '{0}', does not make a user name here")]
    Name(String),
    #[error("the provider names no subject, or one of more than {SUBJECT_BYTES} bytes")]
    Subject,
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl Rules {
    pub fn admits(&self, groups: &[String]) -> bool {
        let allowed = |group: &String| self.allow.contains(group);
        self.allow.iter().any(|it| it == EVERYBODY) || groups.iter().any(allowed)
    }

    pub(super) fn roles(&self, groups: &[String]) -> BTreeSet<AccountRole> {
        let given = groups.iter().filter_map(|group| self.roles.get(group));
        let mut given: BTreeSet<AccountRole> = given.flatten().copied().collect();
        if given.is_empty() {
            given.insert(self.default_role);
        }
        // A group that sees to the node and one that talks: the stricter holds.
        while let Some((_, other)) = roles::conflict(&given) {
            given.remove(&other);
        }
        given
    }

    /// The names of the channels that somebody is in by these groups.
    pub fn channels(&self, groups: &[String]) -> BTreeSet<&str> {
        let named = groups.iter().filter_map(|group| self.channels.get(group));
        named.flatten().map(String::as_str).collect()
    }
}

impl People {
    /// The account of somebody whom a provider vouches for: made if there is none, brought up to date
    /// with what the provider says. Whoever is not admitted (any more) gets none, and an account that
    /// is there keeps what it had: the caller ends its sessions.
    pub fn provision(&self, rules: &Rules, mut claims: Claims) -> Result<Account, ProvisionError> {
        let subject = &claims.subject;
        if subject.name.is_empty() || subject.name.len() > SUBJECT_BYTES {
            return Err(ProvisionError::Subject);
        }
        claims.groups.truncate(GROUPS);
        if !rules.admits(&claims.groups) {
            return Err(ProvisionError::NotAllowed);
        }
        let roles = rules.roles(&claims.groups);
        let held = self.of_subject(subject);
        if held.as_ref().is_some_and(|it| !it.is_active()) {
            return Err(ProvisionError::Disabled);
        }
        let Some(held) = held else {
            return self.provision_new(rules, claims, roles);
        };
        // What the organisation's provisioning says of a user stands; the log-in only shows who it is.
        if self.provisioned(&held.id).is_some() {
            return Ok(held);
        }
        let attributes = self.attributes(rules, &claims);
        let changes = |account: &Account| Account {
            roles: roles.clone(),
            attributes: attributes.clone(),
            ..described(account.clone(), &claims)
        };
        // What stays as it is needs no write, and tells nobody.
        if is_same(&held, &changes(&held)) {
            return Ok(held);
        }
        Ok(self.update(held.id, |account| *account = changes(account))?)
    }

    fn provision_new(
        &self,
        rules: &Rules,
        claims: Claims,
        roles: BTreeSet<AccountRole>,
    ) -> Result<Account, ProvisionError> {
        let username = user_name(&claims.username)?;
        if self.by_name(&username).is_some() {
            return Err(ProvisionError::Taken(username));
        }
        let now = self.now_ms();
        let account = Account {
            id: Id::of_user(&self.partner, &username),
            username,
            locale: "en".into(),
            created_ms: now,
            updated_ms: now,
            roles,
            attributes: self.attributes(rules, &claims),
            subject: Some(claims.subject.clone()),
            ..Account::default()
        };
        Ok(self.insert(described(account, &claims))?)
    }

    fn attributes(&self, rules: &Rules, claims: &Claims) -> BTreeMap<String, Attribute> {
        self.attributes_from(rules, claims, &claims.subject.source)
    }

    /// What the rules keep of the claims, as said by `source`.
    pub(super) fn attributes_from(
        &self,
        rules: &Rules,
        claims: &Claims,
        source: &str,
    ) -> BTreeMap<String, Attribute> {
        let wanted = rules.attributes.iter().take(ATTRIBUTES);
        let said = wanted.filter_map(|name| Some((name, claims.attributes.get(name)?)));
        let kept = said.map(|(name, values)| {
            let fitting = values.iter().filter(|it| it.len() <= VALUE_BYTES);
            let attribute = Attribute {
                values: fitting.take(VALUES).cloned().collect(),
                source: source.to_string(),
                at_ms: self.now_ms(),
            };
            (name.clone(), attribute)
        });
        kept.collect()
    }

    /// The account of somebody whom a provider vouches for.
    pub fn of_subject(&self, subject: &Subject) -> Option<Account> {
        let state = self.read();
        let id = state.subjects.get(subject)?;
        state.accounts.get(id).cloned()
    }

    /// Puts an account that is there under a provider's care: its password is gone.
    pub fn link(&self, user: Id, subject: Subject) -> Result<Account, ProvisionError> {
        if subject.name.is_empty() || subject.name.len() > SUBJECT_BYTES {
            return Err(ProvisionError::Subject);
        }
        if let Some(other) = self.of_subject(&subject).filter(|it| it.id != user) {
            return Err(ProvisionError::Taken(other.username));
        }
        Ok(self.update(user, |account| {
            account.password = None;
            account.second_factor = None;
            account.subject = Some(subject);
        })?)
    }

    /// Notes the channels that a user is in because of its groups.
    pub fn set_by_group(&self, user: Id, channels: BTreeSet<Id>) -> Result<(), AccountError> {
        self.update(user, |account| account.by_group = channels)?;
        Ok(())
    }
}

/// The account with the texts that its provider says.
pub(super) fn described(account: Account, claims: &Claims) -> Account {
    Account {
        email: claims.email.clone(),
        first_name: claims.first_name.clone(),
        last_name: claims.last_name.clone(),
        ..account
    }
}

pub(super) fn is_same(one: &Account, other: &Account) -> bool {
    let said = |account: &Account| {
        let attributes = account.attributes.iter();
        let attributes: Vec<_> = attributes
            .map(|(name, it)| (name.clone(), it.values.clone(), it.source.clone()))
            .collect();
        let texts = [&account.email, &account.first_name, &account.last_name];
        (texts.map(Clone::clone), account.roles.clone(), attributes)
    };
    said(one) == said(other)
}

/// The user name here of somebody who goes by `name` at the provider: small letters, and of a mail
/// address what stands before the `@`. Nothing else is made to fit, so that no two become one.
fn user_name(name: &str) -> Result<String, ProvisionError> {
    let local = name.split('@').next().unwrap_or_default().to_lowercase();
    match is_user_name(&local) {
        true => Ok(local),
        false => Err(ProvisionError::Name(name.chars().take(64).collect())),
    }
}
