//! Accounts of the partner's own users, as its sysadmin sees to them.

use std::sync::Arc;

use super::{failure, peering};
use crate::api::{ApiError, ProvisioningToken, UserInfo, UserSessionInfo};
use crate::home::id::Id;
use crate::home::people::{
    Account, AccountError, AccountRole, NewAccount, People, Session, SessionKind, Subject,
};
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
            roles: account.roles.iter().copied().collect(),
            source: account
                .subject
                .as_ref()
                .map_or_else(|| "local".into(), |it| it.source.clone()),
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
    roles: Vec<AccountRole>,
) -> Result<UserInfo, ApiError> {
    let held = Held::of(node)?;
    peering::record(node, "user_added", &name)?;
    let new = NewAccount {
        username: name,
        email,
        password: Some(password),
        roles: (!roles.is_empty()).then(|| roles.into_iter().collect()),
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

pub fn set_roles(node: &Node, name: &str, roles: Vec<AccountRole>) -> Result<UserInfo, ApiError> {
    let held = Held::of(node)?;
    let account = held.named(name)?;
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    peering::record(node, "roles_set", &format!("{name}: {}", names.join(", ")))?;
    let changed = held
        .people()
        .set_roles(account.id, roles.into_iter().collect())
        .map_err(account_failure)?;
    Ok(held.describe(&changed))
}

/// Puts an account under a provider's care, and ends the sessions that its password began.
pub fn link(
    node: &Node,
    name: &str,
    source: String,
    subject: String,
) -> Result<UserInfo, ApiError> {
    let held = Held::of(node)?;
    let account = held.named(name)?;
    peering::record(
        node,
        "user_linked",
        &format!("{name} with {subject} at {source}"),
    )?;
    let subject = Subject {
        source,
        name: subject,
    };
    let changed = held
        .people()
        .link(account.id, subject)
        .map_err(|error| failure::operator("not_linked", error, "correct it and try again"))?;
    held.people()
        .end_sessions_of(account.id)
        .map_err(failure::store)?;
    held.hang_up(account.id);
    Ok(held.describe(&changed))
}

/// Makes the token that lets the organisation's provisioning in; the one before ends.
pub fn provisioning_token(node: &Node, lasts_s: u64) -> Result<ProvisioningToken, ApiError> {
    let held = Held::of(node)?;
    let text = format!("for {lasts_s} s");
    peering::record(node, "provisioning_token_made", &text)?;
    let made = held.people().make_scim_token(lasts_s.saturating_mul(1_000));
    let (token, until_ms) = made.map_err(failure::store)?;
    Ok(ProvisioningToken { token, until_ms })
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

pub fn sessions(node: &Node, name: &str) -> Result<Vec<UserSessionInfo>, ApiError> {
    let held = Held::of(node)?;
    let mut sessions = held.people().sessions_of(held.named(name)?.id);
    sessions.sort_by_key(|it| std::cmp::Reverse(it.used_ms));
    Ok(sessions.iter().map(describe_session).collect())
}

fn describe_session(session: &Session) -> UserSessionInfo {
    let (kind, device) = match &session.kind {
        SessionKind::Device => ("device", session.device_name()),
        SessionKind::AccessToken { description } => ("token", description.clone()),
    };
    UserSessionInfo {
        id: session.id.to_string(),
        kind: kind.into(),
        device,
        address: session
            .address
            .map_or_else(String::new, |it| it.to_string()),
        created_ms: session.created_ms,
        used_ms: session.used_ms,
    }
}

/// Ends one session of a user, by the start of its id, or all.
pub fn log_out(node: &Node, name: &str, session: Option<&str>) -> Result<UserInfo, ApiError> {
    let held = Held::of(node)?;
    let account = held.named(name)?;
    let people = held.people();
    let Some(prefix) = session else {
        peering::record(node, "session_ended", &format!("all of {name}"))?;
        people.end_sessions_of(account.id).map_err(failure::store)?;
        held.hang_up(account.id);
        return Ok(held.describe(&account));
    };
    let mut sessions = people.sessions_of(account.id);
    sessions.retain(|it| it.id.to_string().starts_with(prefix));
    let [session] = sessions.as_slice() else {
        return Err(failure::operator(
            "no_such_session",
            format!("'{prefix}' is not the id of one session of '{name}'"),
            "'comity user sessions' shows them",
        ));
    };
    peering::record(node, "session_ended", &format!("{} of {name}", session.id))?;
    let ended = people.end_session(account.id, session.id);
    ended.map_err(failure::store)?;
    if let Held::Served(web) = &held {
        web.home.hub.end_sessions(|_, own| *own == session.id);
    }
    Ok(held.describe(&account))
}

fn account_failure(error: AccountError) -> ApiError {
    match error {
        AccountError::Store(error) => failure::store(error),
        other => failure::operator("bad_account", other, "correct it and try again"),
    }
}
