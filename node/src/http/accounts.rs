//! Accounts as those see them who have to see to them: roles, credentials, sessions; and the audit
//! record. docs/roles.md says who may do what.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{self, Me};
use super::extract::{Json, Page, Query};
use super::failure::{Answer, Failure};
use super::{App, Web, channels};
use crate::api::Role;
use crate::home::id::Id;
use crate::home::people::{Account, AccountRole, Action, NewAccount};
use crate::home::shapes;
use crate::service::members;

/// Records that one answer has at most.
const RECORDS: u64 = 1_000;

/// What Mattermost's API has a place for.
pub fn routes() -> Router<Arc<Web>> {
    Router::new().route("/users/{user}/active", put(set_active))
}

/// What it has none for: beside it, under `/api/comity/v1`.
pub fn own_routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/users", get(list))
        .route("/users/{user}", get(one))
        .route("/users/{user}/roles", put(set_roles))
        .route("/audit", get(audit))
        .route("/channels/{channel}/partners", post(share))
}

fn shape(web: &Web, account: &Account) -> Value {
    let attributes: serde_json::Map<String, Value> = account
        .attributes
        .iter()
        .map(|(name, it)| {
            let said = json!({"values": it.values, "source": it.source, "at_ms": it.at_ms});
            (name.clone(), said)
        })
        .collect();
    json!({
        "id": account.id,
        "username": account.username,
        "email": account.email,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "roles": account.roles.iter().map(|role| role.name()).collect::<Vec<_>>(),
        "active": account.is_active(),
        "source": account.subject.as_ref().map_or("local", |it| it.source.as_str()),
        "attributes": attributes,
        "sessions": web.home.people.sessions_of(account.id).len(),
        "bot_of": account.bot_of,
    })
}

async fn list(me: Me, State(web): App, Query(page): Query<Page>) -> Answer<Answered<Vec<Value>>> {
    me.must(&web, Action::ManageAccounts)?;
    let accounts = page.of(web.home.people.accounts());
    Ok(Answered(
        accounts.iter().map(|it| shape(&web, it)).collect(),
    ))
}

/// An account with all that is kept of it: for oneself, and for those who see to accounts.
async fn one(me: Me, State(web): App, Path(user): Path<String>) -> Answer<Answered<Value>> {
    let user = me.or_may(&web, Action::ManageAccounts, &user)?;
    let account = web.home.account(&user);
    let account = account.ok_or_else(|| Failure::missing("user"))?;
    Ok(Answered(shape(&web, &account)))
}

#[derive(Deserialize)]
struct Roles {
    roles: Vec<String>,
}

async fn set_roles(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(wanted): Json<Roles>,
) -> Answer<Answered<Value>> {
    me.must(&web, Action::GrantRoles)?;
    let user = other(&web, &me, &user)?;
    let mut roles = BTreeSet::new();
    for name in &wanted.roles {
        let role = AccountRole::parse(name);
        roles.insert(role.ok_or_else(|| {
            Failure::bad(format!("'{name}' is no role; docs/roles.md lists them."))
        })?);
    }
    let names: Vec<&str> = roles.iter().map(|role| role.name()).collect();
    let text = format!("{user} by {}: {}", me.id(), names.join(", "));
    auth::must_record(&web, "roles_set", &text)?;
    let account = web.home.people.set_roles(user, roles)?;
    Ok(Answered(shape(&web, &account)))
}

/// Another user than the asker: nobody gives roles to oneself or locks oneself out.
fn other(web: &Web, me: &Me, user: &str) -> Answer<Id> {
    if me.only(user).is_ok() {
        return Err(Failure::forbidden(
            "Somebody else has to do this to your account.",
        ));
    }
    let user = Id::parse(user).filter(|it| web.home.people.is_own(it));
    user.ok_or_else(|| Failure::missing("user"))
}

#[derive(Deserialize)]
struct Active {
    active: bool,
}

async fn set_active(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(wanted): Json<Active>,
) -> Answer<Answered<Value>> {
    me.must(&web, Action::ManageAccounts)?;
    let user = other(&web, &me, &user)?;
    let action = match wanted.active {
        true => "user_enabled",
        false => "user_disabled",
    };
    let text = format!("{user} by {}", me.id());
    match wanted.active {
        true => auth::must_record(&web, action, &text)?,
        // Whoever is to be out is out, whatever becomes of the record.
        false => auth::record(&web, action, &text),
    }
    web.home.people.set_active(user, wanted.active)?;
    if !wanted.active {
        end_with_programs(&web, user)?;
    }
    Ok(Answered(json!({"status": "OK"})))
}

/// Ends all that a disabled user has open, and the programs that act on its behalf.
pub fn end_with_programs(web: &Web, user: Id) -> Answer<()> {
    auth::end_all(web, user)?;
    for bot in web.home.people.bots_of(user) {
        web.home.people.set_active(bot, false)?;
        auth::end_all(web, bot)?;
    }
    Ok(())
}

#[derive(Deserialize)]
pub struct NewUser {
    username: String,
    #[serde(default)]
    email: String,
    password: String,
    #[serde(default)]
    first_name: String,
    #[serde(default)]
    last_name: String,
}

/// Makes a local account: a guest's, until somebody gives it roles.
pub async fn make(
    me: Me,
    State(web): App,
    Json(new): Json<NewUser>,
) -> Answer<(StatusCode, Answered<Value>)> {
    me.must(&web, Action::IssueCredentials)?;
    let account = NewAccount {
        username: new.username,
        email: new.email,
        first_name: new.first_name,
        last_name: new.last_name,
        password: Some(new.password),
        roles: Some(BTreeSet::from([AccountRole::Guest])),
        ..NewAccount::default()
    };
    let account = web.home.people.add(account).await?;
    auth::record(
        &web,
        "user_added",
        &format!("{} by {}", account.id, me.id()),
    );
    Ok((StatusCode::CREATED, Answered(shapes::user(&account, true))))
}

#[derive(Deserialize)]
#[serde(default)]
struct After {
    after: u64,
    limit: u64,
}

impl Default for After {
    fn default() -> After {
        After {
            after: 0,
            limit: 100,
        }
    }
}

async fn audit(
    me: Me,
    State(web): App,
    Query(after): Query<After>,
) -> Answer<Answered<Vec<Value>>> {
    me.must(&web, Action::ReadAudit)?;
    let records = web
        .home
        .node
        .audit
        .after(after.after, after.limit.min(RECORDS));
    let records = records.map_err(crate::service::failure::audit)?;
    let records = records.iter().map(|(number, record)| {
        json!({
            "number": number,
            "at_ms": record.at_ms,
            "action": record.action,
            "text": record.text,
            "previous": record.previous.to_hex(),
        })
    });
    Ok(Answered(records.collect()))
}

#[derive(Deserialize)]
struct Partner {
    partner: String,
    #[serde(default = "contributor")]
    role: Role,
}

fn contributor() -> Role {
    Role::Contributor
}

/// Invites another partner to a channel that the asker is in.
async fn share(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
    Json(with): Json<Partner>,
) -> Answer<Answered<Value>> {
    me.must(&web, Action::ShareChannels)?;
    let room = channels::room(&web, &me, &channel)?;
    if crate::home::is_direct(&room) {
        return Err(Failure::bad("A direct channel is its two users' alone."));
    }
    let text = format!("{} with {} by {}", room.channel, with.partner, me.id());
    auth::record(&web, "channel_shared", &text);
    members::share(
        &web.home.node,
        &room.channel.to_hex(),
        &with.partner,
        with.role,
    )
    .await?;
    Ok(Answered(json!({"status": "OK"})))
}
