//! What the organisation's provisioning (SCIM) keeps here: its view of each user beside the account,
//! its groups, and the token that lets it in.

use std::collections::BTreeSet;

use comity_crypto as crypto;
use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::account::{Account, AccountError};
use super::provision::{Claims, ProvisionError, Rules, Subject, described, is_same};
use super::{ACCOUNT, SCIM_GROUP, SCIM_TOKEN, SCIM_USER};
use super::{ACCOUNTS, People, State, row, row_key};
use crate::home::id::{Id, is_user_name};
use crate::store::StoreError;

/// Groups that are held: directories send those that somebody assigned to the node, not all they have.
pub const GROUPS: usize = 5_000;
/// Users in one group: a change of a group writes them all again, some 30 bytes each.
pub const MEMBERS: usize = 10_000;
/// Which source the attributes have that came by SCIM, whoever vouches at the log-in.
pub const SOURCE: &str = "scim";

/// A user as the organisation's provisioning has it. Its id is the account's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provisioned {
    pub id: Id,
    /// The attributes that the provisioning set and this node keeps, spelled as its schemas do.
    pub resource: Map<String, Value>,
    /// Whether it was the provisioning that disabled the account: nothing else may enable it by that.
    pub disabled: bool,
    /// Whether the provisioning last said that the user may log in.
    pub active: bool,
    pub created_ms: u64,
    pub updated_ms: u64,
    /// When the provisioning deleted the user; 0 while it is there.
    pub deleted_ms: u64,
}

/// A group as the organisation's provisioning has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScimGroup {
    pub id: Id,
    pub name: String,
    pub external_id: Option<String>,
    pub members: BTreeSet<Id>,
    pub created_ms: u64,
    pub updated_ms: u64,
}

/// What lets the provisioning in, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredToken {
    digest: [u8; 32],
    created_ms: u64,
    /// When it ends, in Unix milliseconds.
    until_ms: u64,
}

/// What a token turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenCheck {
    Right,
    Expired,
    Wrong,
}

/// What the provisioning wants a user to be.
pub struct Wanted {
    /// The account; none for a user that is to be made.
    pub id: Option<Id>,
    /// The subject's name may be empty: it is then the account's id.
    pub claims: Claims,
    pub resource: Map<String, Value>,
    /// Whether it may log in; where it is not said, as before, and yes for a new one.
    pub active: Option<bool>,
}

/// What became of a user.
pub struct Kept {
    pub account: Account,
    pub provisioned: Provisioned,
    /// The account as it was before; none where it was made.
    pub before: Option<Account>,
}

impl People {
    /// Makes the account of a provisioned user, or brings it up to date. It may log in if the
    /// provisioning says so and the rules admit it. One that this node's own administrators have
    /// disabled stays so.
    pub fn keep_provisioned(&self, rules: &Rules, wanted: Wanted) -> Result<Kept, ProvisionError> {
        let mut state = self.change();
        let before = self.known(&state, &wanted)?;
        let now = self.now_ms();
        let mut account = match &before {
            Some(account) => account.clone(),
            None => self.new_account(&state, &wanted.claims.username, now)?,
        };
        let mut claims = wanted.claims;
        if claims.subject.name.is_empty() {
            claims.subject.name = account.id.to_string();
        }
        match state.subjects.get(&claims.subject) {
            Some(other) if *other != account.id => {
                return Err(ProvisionError::Taken(claims.subject.name));
            }
            _ => {}
        }
        account.roles = rules.roles(&claims.groups);
        account.subject = Some(claims.subject.clone());
        account.password = None;
        account = described(account, &claims);
        let attributes = self.attributes_from(rules, &claims, SOURCE);
        account.attributes = attributes;
        let held = state.provisioned.get(&account.id);
        let living = held.filter(|it| it.deleted_ms == 0);
        let active = wanted.active.or(living.map(|it| it.active)).unwrap_or(true);
        let may = active && rules.admits(&claims.groups);
        let mut disabled = held.is_some_and(|it| it.disabled);
        match (may, account.is_active()) {
            (true, false) if disabled => (account.disabled_ms, disabled) = (0, false),
            (false, true) => (account.disabled_ms, disabled) = (now, true),
            _ => {}
        }
        let mut provisioned = Provisioned {
            id: account.id,
            resource: wanted.resource,
            disabled,
            active,
            created_ms: living.map_or(now, |it| it.created_ms),
            updated_ms: held.map_or(now, |it| it.updated_ms),
            deleted_ms: 0,
        };
        let is_said_anew = held != Some(&provisioned);
        if is_said_anew && held.is_some() {
            provisioned.updated_ms = now.max(provisioned.updated_ms + 1);
        }
        account.check()?;
        let is_changed = before.as_ref().is_none_or(|it| {
            !is_same(it, &account)
                || it.subject != account.subject
                || it.disabled_ms != account.disabled_ms
        });
        if let Some(before) = before.as_ref().filter(|_| !is_changed) {
            account = before.clone();
        }
        let mut rows = Vec::new();
        if is_said_anew {
            rows.push(row(SCIM_USER, &[&account.id.0], &provisioned));
        }
        if is_changed {
            account.updated_ms = now.max(account.updated_ms + 1);
            rows.push(row(ACCOUNT, &[&account.id.0], &account));
        }
        if rows.is_empty() {
            return Ok(Kept {
                account,
                provisioned,
                before,
            });
        }
        self.store.write(&rows).map_err(AccountError::from)?;
        state.hold(account.clone());
        state.provisioned.insert(account.id, provisioned.clone());
        Ok(Kept {
            account,
            provisioned,
            before,
        })
    }

    /// The account that a user is to have, where there is one: by its id, or by whom its provider
    /// vouches for.
    fn known(&self, state: &State, wanted: &Wanted) -> Result<Option<Account>, ProvisionError> {
        if let Some(id) = wanted.id {
            let account = state.accounts.get(&id).cloned();
            return Ok(Some(account.ok_or(AccountError::Unknown)?));
        }
        let Some(id) = state.subjects.get(&wanted.claims.subject) else {
            return Ok(None);
        };
        if state
            .provisioned
            .get(id)
            .is_some_and(|it| it.deleted_ms == 0)
        {
            return Err(ProvisionError::Taken(wanted.claims.subject.name.clone()));
        }
        Ok(state.accounts.get(id).cloned())
    }

    fn new_account(&self, state: &State, name: &str, now: u64) -> Result<Account, ProvisionError> {
        if !is_user_name(name) {
            return Err(ProvisionError::Name(name.chars().take(64).collect()));
        }
        if state.names.contains_key(name) {
            return Err(ProvisionError::Taken(name.to_string()));
        }
        if state.accounts.len() >= ACCOUNTS {
            return Err(AccountError::Full.into());
        }
        Ok(Account {
            id: Id::of_user(&self.partner, name),
            username: name.to_string(),
            locale: "en".into(),
            created_ms: now,
            ..Account::default()
        })
    }

    /// Ends a provisioned user: its account is disabled and what was said of it forgotten. The name
    /// stays taken, for what the user wrote bears it, and so does its subject, so that no log-in makes
    /// the user anew.
    pub fn forget_provisioned(&self, id: Id) -> Result<(), AccountError> {
        let mut state = self.change();
        let now = self.now_ms();
        let held = state.provisioned.get(&id).cloned();
        let held = held.ok_or(AccountError::Unknown)?;
        let mut account = state.accounts.get(&id).cloned();
        let mut rows = Vec::new();
        if let Some(account) = &mut account {
            let was_active = account.is_active();
            account.disabled_ms = if was_active { now } else { account.disabled_ms };
            account.roles.clear();
            account.attributes.clear();
            for text in [
                &mut account.email,
                &mut account.first_name,
                &mut account.last_name,
            ] {
                text.clear();
            }
            account.updated_ms = now.max(account.updated_ms + 1);
            rows.push(row(ACCOUNT, &[&id.0], account));
        }
        let is_own = account.as_ref().is_some_and(|it| it.disabled_ms == now);
        let gone = Provisioned {
            resource: Map::new(),
            disabled: held.disabled || is_own,
            deleted_ms: now,
            updated_ms: now,
            ..held
        };
        rows.push(row(SCIM_USER, &[&id.0], &gone));
        let mut groups = Vec::new();
        for group in state.memberships.get(&id).into_iter().flatten() {
            let Some(mut group) = state.scim_groups.get(group).cloned() else {
                continue;
            };
            group.members.remove(&id);
            group.updated_ms = now.max(group.updated_ms + 1);
            rows.push(row(SCIM_GROUP, &[&group.id.0], &group));
            groups.push(group);
        }
        self.store.write(&rows)?;
        for group in groups {
            state.hold_group(group);
        }
        state.provisioned.insert(id, gone);
        if let Some(account) = account {
            state.hold(account);
        }
        Ok(())
    }

    /// A user that the provisioning made and has not deleted.
    pub fn provisioned(&self, id: &Id) -> Option<Provisioned> {
        let state = self.read();
        let held = state.provisioned.get(id);
        held.filter(|it| it.deleted_ms == 0).cloned()
    }

    /// Those provisioned users, in the order of their ids, that `wanted` picks.
    pub fn provisioned_where(&self, mut wanted: impl FnMut(&Provisioned) -> bool) -> Vec<Id> {
        let state = self.read();
        let held = state.provisioned.values().filter(|it| it.deleted_ms == 0);
        held.filter(|it| wanted(it)).map(|it| it.id).collect()
    }

    pub fn scim_group(&self, id: &Id) -> Option<ScimGroup> {
        self.read().scim_groups.get(id).cloned()
    }

    /// Those groups, in the order of their ids, that `wanted` picks.
    pub fn scim_groups_where(&self, mut wanted: impl FnMut(&ScimGroup) -> bool) -> Vec<Id> {
        let state = self.read();
        let held = state.scim_groups.values();
        held.filter(|it| wanted(it)).map(|it| it.id).collect()
    }

    /// The groups that a user is in, with their names.
    pub fn scim_groups_of(&self, user: &Id) -> Vec<(Id, String)> {
        let state = self.read();
        let own = state.memberships.get(user).into_iter().flatten();
        let named = own.filter_map(|id| Some((*id, state.scim_groups.get(id)?.name.clone())));
        named.collect()
    }

    /// Makes a group; none where there are too many.
    pub fn add_scim_group(
        &self,
        name: String,
        external_id: Option<String>,
        members: BTreeSet<Id>,
    ) -> Result<Option<ScimGroup>, StoreError> {
        let mut state = self.change();
        if state.scim_groups.len() >= GROUPS {
            return Ok(None);
        }
        let now = self.now_ms();
        let group = ScimGroup {
            id: Id(self.environment.randomness.bytes()),
            name,
            external_id,
            members,
            created_ms: now,
            updated_ms: now,
        };
        self.store
            .write(&[row(SCIM_GROUP, &[&group.id.0], &group)])?;
        state.hold_group(group.clone());
        Ok(Some(group))
    }

    /// Puts a changed group in the place of the one that was there.
    pub fn set_scim_group(&self, mut group: ScimGroup) -> Result<ScimGroup, StoreError> {
        let mut state = self.change();
        group.updated_ms = self.now_ms().max(group.updated_ms + 1);
        self.store
            .write(&[row(SCIM_GROUP, &[&group.id.0], &group)])?;
        state.hold_group(group.clone());
        Ok(group)
    }

    pub fn end_scim_group(&self, id: Id) -> Result<(), StoreError> {
        let mut state = self.change();
        let gone = Row::delete(Table::People, row_key(SCIM_GROUP, &[&id.0]));
        self.store.write(&[gone])?;
        state.let_go_of_group(&id);
        Ok(())
    }

    /// Makes the token that lets the provisioning in; the one before ends with it. It is told once.
    pub fn make_scim_token(&self, lasts_ms: u64) -> Result<(String, u64), StoreError> {
        let token = Id(self.environment.randomness.bytes()).to_string();
        let now = self.now_ms();
        let stored = StoredToken {
            digest: digest(&token),
            created_ms: now,
            until_ms: now.saturating_add(lasts_ms),
        };
        let mut state = self.change();
        self.store.write(&[row(SCIM_TOKEN, &[], &stored)])?;
        let until_ms = stored.until_ms;
        state.scim_token = Some(stored);
        Ok((token, until_ms))
    }

    pub fn check_scim_token(&self, token: &str) -> TokenCheck {
        let digest = digest(token);
        let state = self.read();
        let Some(stored) = &state.scim_token else {
            return TokenCheck::Wrong;
        };
        let is_right =
            aws_lc_rs::constant_time::verify_slices_are_equal(&stored.digest, &digest).is_ok();
        match is_right {
            false => TokenCheck::Wrong,
            true if self.now_ms() >= stored.until_ms => TokenCheck::Expired,
            true => TokenCheck::Right,
        }
    }
}

impl State {
    /// Puts an account in its place, known by its name and subject.
    fn hold(&mut self, account: Account) {
        let id = account.id;
        self.names.insert(account.username.clone(), id);
        let before = self.accounts.get(&id).and_then(|it| it.subject.clone());
        if let Some(before) = before.filter(|it| Some(it) != account.subject.as_ref()) {
            self.subjects.remove(&before);
        }
        if let Some(subject) = &account.subject {
            self.subjects.insert(subject.clone(), id);
        }
        self.accounts.insert(id, account);
    }

    pub(super) fn hold_group(&mut self, group: ScimGroup) {
        let before = self.scim_groups.get(&group.id);
        let gone: Vec<Id> = before.map_or_else(Vec::new, |it| {
            it.members.difference(&group.members).copied().collect()
        });
        for user in gone {
            self.leave(&user, &group.id);
        }
        for user in &group.members {
            self.memberships.entry(*user).or_default().insert(group.id);
        }
        self.scim_groups.insert(group.id, group);
    }

    fn let_go_of_group(&mut self, id: &Id) {
        let Some(group) = self.scim_groups.remove(id) else {
            return;
        };
        for user in &group.members {
            self.leave(user, id);
        }
    }

    fn leave(&mut self, user: &Id, group: &Id) {
        let Some(own) = self.memberships.get_mut(user) else {
            return;
        };
        own.remove(group);
        if own.is_empty() {
            self.memberships.remove(user);
        }
    }
}

fn digest(token: &str) -> [u8; 32] {
    crypto::hash("comity provisioning token", &[token.as_bytes()])
}

/// Whom a provisioned user is vouched for by: the provider at which it logs in, or SCIM alone.
pub fn subject(source: Option<&str>, external_id: &str) -> Subject {
    Subject {
        source: source.unwrap_or(SOURCE).to_string(),
        name: external_id.to_string(),
    }
}
