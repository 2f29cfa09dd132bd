//! Accounts of the partner's own users, as its sysadmin sees to them.

use std::sync::Arc;

use super::{failure, peering};
use crate::api::{ApiError, UserInfo};
use crate::home::id::Id;
use crate::home::people::{Account, AccountError, NewAccount, People};
use crate::http::Web;
use crate::node::Node;

/// The people of a node that serves them, or as they are stored.
enum Held {
    Served(Arc<Web>),
    Stored(Box<People>),
}

impl Held {
    fn of(node: &Node) -> Result<Held, ApiError> {
        if let Some(web) = node.web() {
            return Ok(Held::Served(web));
        }
        let people = People::load(node.store.clone(), node.partner, node.environment.clone());
        let people = people.map_err(|error| failure::node("store_damaged", error))?;
        Ok(Held::Stored(Box::new(people)))
    }

    fn people(&self) -> &People {
        match self {
            Held::Served(web) => &web.home.people,
            Held::Stored(people) => people,
        }
    }

    fn named(&self, name: &str) -> Result<Account, ApiError> {
        let found = self.people().by_name(name);
        found.ok_or_else(|| {
            failure::operator(
                "no_such_user",
                format!("there is no user '{name}' here"),
                "'comity user list' names the users",
            )
        })
    }

    fn describe(&self, account: &Account) -> UserInfo {
        UserInfo {
            name: account.username.clone(),
            id: account.id.to_string(),
            email: account.email.clone(),
            active: account.is_active(),
            sessions: self.people().sessions_of(account.id).len() as u64,
        }
    }

    fn hang_up(&self, user: Id) {
        if let Held::Served(web) = self {
            web.home.hub.end_sessions(|owner, _| *owner == user);
        }
    }
}

pub async fn add(
    node: &Node,
    name: String,
    password: String,
    email: String,
) -> Result<UserInfo, ApiError> {
    let held = Held::of(node)?;
    peering::record(node, "user_added", &name)?;
    let new = NewAccount {
        username: name,
        email,
        password: Some(password),
        ..NewAccount::default()
    };
    let account = held.people().add(new).await.map_err(account_failure)?;
    Ok(held.describe(&account))
}

pub fn list(node: &Node) -> Result<Vec<UserInfo>, ApiError> {
    let held = Held::of(node)?;
    let accounts = held.people().accounts();
    Ok(accounts
        .iter()
        .map(|account| held.describe(account))
        .collect())
}

pub async fn set_password(node: &Node, name: &str, password: &str) -> Result<UserInfo, ApiError> {
    let held = Held::of(node)?;
    let account = held.named(name)?;
    peering::record(node, "user_password_set", name)?;
    let people = held.people();
    people
        .set_password(account.id, password)
        .await
        .map_err(account_failure)?;
    people.end_sessions_of(account.id).map_err(failure::store)?;
    held.hang_up(account.id);
    Ok(held.describe(&account))
}

pub fn set_active(node: &Node, name: &str, active: bool) -> Result<UserInfo, ApiError> {
    let held = Held::of(node)?;
    let account = held.named(name)?;
    let action = if active {
        "user_enabled"
    } else {
        "user_disabled"
    };
    peering::record(node, action, name)?;
    let changed = held
        .people()
        .set_active(account.id, active)
        .map_err(account_failure)?;
    if !active {
        held.hang_up(account.id);
        // Whoever is out is so with all programs that act on that user's behalf.
        for bot in held.people().bots_of(account.id) {
            held.people()
                .set_active(bot, false)
                .map_err(account_failure)?;
            held.hang_up(bot);
        }
    }
    Ok(held.describe(&changed))
}

fn account_failure(error: AccountError) -> ApiError {
    match error {
        AccountError::Store(error) => failure::store(error),
        other => failure::operator("bad_account", other, "correct it and try again"),
    }
}
