//! Users: own ones with their settings, and those of other partners as far as they are known.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{self, Me, login, logout};
use super::extract::{Json, Page, Query, id};
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::home::Home;
use crate::home::hub::Broadcast;
use crate::home::id::Id;
use crate::home::people::{Action, Changes, NewAccount, Preference, SessionKind};
use crate::home::shapes;

/// Users that one answer names at most.
const USERS_NAMED: usize = 1_000;
/// Bots of one user.
const BOTS_PER_USER: usize = 16;
/// Users that an autocompletion offers.
const OFFERED: usize = 25;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/users/login", post(login))
        .route("/users/logout", post(logout))
        .route("/users", get(list).post(super::accounts::make))
        .route("/users/ids", post(by_ids))
        .route("/users/usernames", post(by_names))
        .route("/users/search", post(search))
        .route("/users/autocomplete", get(autocomplete))
        .route("/users/stats", get(stats))
        .route("/users/known", get(known))
        .route("/users/username/{name}", get(by_name))
        .route("/users/email/{email}", get(by_email))
        .route("/users/sessions/device", put(ok))
        .route("/users/{user}", get(one))
        .route("/users/{user}/patch", put(patch))
        .route("/users/{user}/password", put(password))
        .route("/users/{user}/image", get(image))
        .route("/users/{user}/image/default", get(image))
        .route("/users/{user}/sessions", get(sessions))
        .route("/users/{user}/sessions/revoke", post(revoke))
        .route("/users/{user}/sessions/revoke/all", post(revoke_all))
        .route("/users/{user}/tokens", get(tokens).post(new_token))
        .route("/users/tokens/revoke", post(revoke_token))
        .route("/users/{user}/preferences", get(preferences).put(prefer))
        .route("/users/{user}/preferences/delete", post(prefer_not))
        .route("/users/{user}/preferences/{category}", get(preferences_of))
        .route(
            "/users/{user}/preferences/{category}/name/{name}",
            get(preference),
        )
        .route("/bots", get(bots).post(new_bot))
        .route("/bots/{bot}", get(bot))
        .route("/users/{user}/terms_of_service", get(no_terms))
        .route("/custom_profile_attributes/fields", get(nothing))
        .route(
            "/users/{user}/custom_profile_attributes",
            get(no_attributes),
        )
        .route("/users/{user}/oauth/apps/authorized", get(nothing))
        .route("/users/{user}/groups", get(nothing))
}

async fn ok() -> Answered<Value> {
    Answered(json!({"status": "OK"}))
}

async fn nothing(_me: Me) -> Answered<Value> {
    Answered(json!([]))
}

async fn no_attributes(_me: Me) -> Answered<Value> {
    Answered(json!({}))
}

async fn no_terms() -> Failure {
    Failure::missing("terms of service")
}

/// Anybody that is known here, own or of another partner.
pub fn user(home: &Home, viewer: &Id, user: &Id) -> Option<Value> {
    if let Some(account) = home.account(user) {
        return Some(shapes::user(&account, account.id == *viewer));
    }
    let remote = home.feed.remote_user(user)?;
    Some(shapes::remote_user(home, user, &remote))
}

/// Everybody that is known here, by name.
fn everybody(home: &Home, viewer: &Me) -> Vec<Value> {
    let own = home.people.accounts();
    let own = own
        .iter()
        .map(|account| shapes::user(account, account.id == viewer.id()));
    let remote = home.authors();
    let remote = remote
        .iter()
        .map(|(id, user)| shapes::remote_user(home, id, user));
    let mut all: Vec<Value> = own.chain(remote).collect();
    if let Some(met) = met_by(home, viewer) {
        all.retain(|user| met.iter().any(|id| user["id"] == id.to_string()));
    }
    all.sort_by(|a, b| a["username"].as_str().cmp(&b["username"].as_str()));
    all
}

/// Whom a user knows who may not look for others: those in the same channels. None for all others,
/// who know everybody.
fn met_by(home: &Home, viewer: &Me) -> Option<BTreeSet<Id>> {
    let account = &viewer.account;
    if account.may(Action::JoinChannels) || account.may(Action::ManageAccounts) {
        return None;
    }
    let rooms = home.rooms_of(&account.id);
    let met = rooms.iter().flat_map(|room| home.people_in(room));
    Some(met.chain([account.id]).collect())
}

async fn one(me: Me, State(web): App, Path(name): Path<String>) -> Answer<Answered<Value>> {
    let wanted = match name.as_str() {
        "me" => me.id(),
        other => id(other, "user")?,
    };
    let found = user(&web.home, &me.id(), &wanted);
    found.map(Answered).ok_or_else(|| Failure::missing("user"))
}

fn named(home: &Home, viewer: &Id, name: &str) -> Option<Value> {
    let name = name.trim_start_matches('@').to_lowercase();
    if let Some(account) = home.people.by_name(&name) {
        return Some(shapes::user(&account, account.id == *viewer));
    }
    let (name, partner) = name.split_once(':')?;
    let partner = home.partner_named(partner)?;
    user(home, viewer, &Id::of_user(&partner, name))
}

async fn by_name(me: Me, State(web): App, Path(name): Path<String>) -> Answer<Answered<Value>> {
    let found = named(&web.home, &me.id(), &name);
    found.map(Answered).ok_or_else(|| Failure::missing("user"))
}

async fn by_email(me: Me, Path(email): Path<String>) -> Answer<Answered<Value>> {
    // Others' addresses are told to nobody, so nobody finds them by one.
    match me.account.email.eq_ignore_ascii_case(&email) && !email.is_empty() {
        true => Ok(Answered(shapes::user(&me.account, true))),
        false => Err(Failure::missing("user")),
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Since {
    since: u64,
}

async fn by_ids(
    me: Me,
    State(web): App,
    Query(since): Query<Since>,
    Json(ids): Json<Vec<String>>,
) -> Answer<Answered<Vec<Value>>> {
    let ids = ids
        .iter()
        .take(USERS_NAMED)
        .filter_map(|text| Id::parse(text));
    let mut users: Vec<Value> = ids
        .filter_map(|it| user(&web.home, &me.id(), &it))
        .collect();
    users.retain(|user| since.since == 0 || user["update_at"].as_u64() > Some(since.since));
    Ok(Answered(users))
}

async fn by_names(
    me: Me,
    State(web): App,
    Json(names): Json<Vec<String>>,
) -> Answer<Answered<Vec<Value>>> {
    let names = names.iter().take(USERS_NAMED);
    Ok(Answered(
        names
            .filter_map(|name| named(&web.home, &me.id(), name))
            .collect(),
    ))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Listing {
    in_channel: String,
    not_in_channel: String,
}

async fn list(
    me: Me,
    State(web): App,
    Query(page): Query<Page>,
    Query(listing): Query<Listing>,
) -> Answer<Answered<Vec<Value>>> {
    let home = &web.home;
    let mut users = everybody(home, &me);
    if !listing.in_channel.is_empty() {
        let ids = people_of(home, &me, &listing.in_channel)?;
        users.retain(|user| ids.iter().any(|id| user["id"] == id.to_string()));
    }
    if !listing.not_in_channel.is_empty() {
        let ids = people_of(home, &me, &listing.not_in_channel)?;
        users.retain(|user| !ids.iter().any(|id| user["id"] == id.to_string()));
    }
    Ok(Answered(page.of(users)))
}

/// Who is in a channel that the asker is in: this partner's users, and those of others that wrote
/// there.
fn people_of(home: &Home, me: &Me, channel: &str) -> Answer<Vec<Id>> {
    let room = home.room_for(&me.id(), &id(channel, "channel")?);
    let room = room.ok_or_else(|| Failure::missing("channel"))?;
    Ok(home.people_in(&room))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Sought {
    term: String,
    name: String,
    in_channel: String,
    in_channel_id: String,
    limit: usize,
}

fn matching(home: &Home, viewer: &Me, term: &str, limit: usize) -> Vec<Value> {
    let term = term.trim_start_matches('@').to_lowercase();
    let mut users = everybody(home, viewer);
    users.retain(|user| {
        let fields = ["username", "nickname", "first_name", "last_name"];
        let mut texts = fields.iter().filter_map(|field| user[field].as_str());
        user["delete_at"] == 0 && texts.any(|text| text.to_lowercase().starts_with(&term))
    });
    users.truncate(if limit == 0 {
        OFFERED
    } else {
        limit.min(USERS_NAMED)
    });
    users
}

async fn search(
    me: Me,
    State(web): App,
    Json(sought): Json<Sought>,
) -> Answer<Answered<Vec<Value>>> {
    let mut users = matching(&web.home, &me, &sought.term, sought.limit.max(100));
    if !sought.in_channel_id.is_empty() {
        let ids = people_of(&web.home, &me, &sought.in_channel_id)?;
        users.retain(|user| ids.iter().any(|id| user["id"] == id.to_string()));
    }
    Ok(Answered(users))
}

async fn autocomplete(
    me: Me,
    State(web): App,
    Query(sought): Query<Sought>,
) -> Answer<Answered<Value>> {
    let users = matching(&web.home, &me, &sought.name, sought.limit);
    let (mut within, mut without) = (users, Vec::new());
    if !sought.in_channel.is_empty() {
        let ids = people_of(&web.home, &me, &sought.in_channel)?;
        (within, without) = within
            .into_iter()
            .partition(|user| ids.iter().any(|id| user["id"] == id.to_string()));
    }
    Ok(Answered(
        json!({"users": within, "out_of_channel": without}),
    ))
}

async fn stats(_me: Me, State(web): App) -> Answered<Value> {
    let own = web.home.people.active_ids().len();
    let remote = web.home.authors().len();
    Answered(json!({"total_users_count": own + remote}))
}

async fn known(_me: Me, State(web): App) -> Answered<Vec<Id>> {
    let remote = web.home.authors().into_iter().map(|(id, _)| id);
    Answered(
        web.home
            .people
            .active_ids()
            .into_iter()
            .chain(remote)
            .collect(),
    )
}

async fn patch(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(changes): Json<Changes>,
) -> Answer<Answered<Value>> {
    let account = web.home.people.revise(me.only(&user)?, changes)?;
    web.home.tell_user(&account);
    Ok(Answered(shapes::user(&account, true)))
}

#[derive(Deserialize)]
struct NewPassword {
    #[serde(default)]
    current_password: String,
    new_password: String,
}

async fn password(
    me: Me,
    State(web): App,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Path(user): Path<String>,
    Json(new): Json<NewPassword>,
) -> Answer<Answered<Value>> {
    let people = &web.home.people;
    let user = match me.only(&user) {
        Ok(own) => {
            // Whoever has somebody's device can guess here as well as at the log-in.
            let name = &me.account.username;
            let guess = web.gate.admit(address.ip(), name)?;
            let is_right = people.check_password(name, &new.current_password).await;
            if is_right.is_none() {
                return Err(Failure::bad("The current password is another one."));
            }
            guess.right();
            own
        }
        Err(_) => me.or_may(&web, Action::IssueCredentials, &user)?,
    };
    people.set_password(user, &new.new_password).await?;
    auth::record(&web, "password_changed", &user.to_string());
    match user == me.id() {
        true => auth::end_other_devices(&web, &me)?,
        false => auth::end_all_devices(&web, user)?,
    }
    Ok(ok().await)
}

/// A picture that follows from who it is, since nothing is fetched from elsewhere.
async fn image(_me: Me, Path(user): Path<String>) -> Answer<axum::response::Response> {
    use axum::response::IntoResponse as _;
    let user = id(&user, "user")?;
    let image = super::files::initial(&user);
    let headers = [
        ("content-type", "image/png"),
        ("cache-control", "max-age=86400, private"),
    ];
    Ok((headers, image).into_response())
}

async fn sessions(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
) -> Answer<Answered<Vec<Value>>> {
    let user = me.or_may(&web, Action::ManageAccounts, &user)?;
    let sessions = web.home.people.sessions_of(user);
    let devices = sessions.iter().filter(|it| it.kind == SessionKind::Device);
    Ok(Answered(devices.map(shapes::session).collect()))
}

#[derive(Deserialize)]
struct SessionId {
    session_id: String,
}

async fn revoke(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(which): Json<SessionId>,
) -> Answer<Answered<Value>> {
    let user = me.or_may(&web, Action::ManageAccounts, &user)?;
    match auth::end(&web, user, id(&which.session_id, "session")?)? {
        true => {
            auth::record(&web, "session_ended", &format!("one of {user}, by itself"));
            Ok(ok().await)
        }
        false => Err(Failure::missing("session")),
    }
}

async fn revoke_all(me: Me, State(web): App, Path(user): Path<String>) -> Answer<Answered<Value>> {
    let user = me.or_may(&web, Action::ManageAccounts, &user)?;
    auth::record(&web, "sessions_ended", &format!("{user} by {}", me.id()));
    auth::end_all(&web, user)?;
    Ok(ok().await)
}

/// The user whose tokens somebody may make: oneself, and one's own bots.
fn in_care(web: &Web, me: &Me, user: &str) -> Answer<Id> {
    let user = if user == "me" {
        me.id()
    } else {
        id(user, "user")?
    };
    let is_own_bot = web
        .home
        .account(&user)
        .is_some_and(|it| it.bot_of == Some(me.id()));
    match user == me.id() || is_own_bot {
        true => Ok(user),
        false => Err(Failure::forbidden("That is another user's.")),
    }
}

async fn tokens(me: Me, State(web): App, Path(user): Path<String>) -> Answer<Answered<Vec<Value>>> {
    let sessions = web.home.people.sessions_of(in_care(&web, &me, &user)?);
    let tokens = sessions.iter().filter(|it| it.kind != SessionKind::Device);
    Ok(Answered(tokens.map(shapes::access_token).collect()))
}

#[derive(Deserialize)]
struct NewToken {
    description: String,
}

async fn new_token(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(new): Json<NewToken>,
) -> Answer<Answered<Value>> {
    me.must(&web, Action::MakePrograms)?;
    let user = in_care(&web, &me, &user)?;
    if new.description.is_empty() || new.description.len() > 255 {
        return Err(Failure::bad(
            "An access token has a description of 1 to 255 bytes.",
        ));
    }
    let kind = SessionKind::AccessToken {
        description: new.description,
    };
    let (token, session) = web.home.people.begin_session(user, kind, String::new())?;
    auth::record(&web, "access_token", &format!("for {user} by {}", me.id()));
    let mut shape = shapes::access_token(&session);
    shape["token"] = token.0.into();
    Ok(Answered(shape))
}

#[derive(Deserialize)]
struct TokenId {
    token_id: String,
}

async fn revoke_token(
    me: Me,
    State(web): App,
    Json(which): Json<TokenId>,
) -> Answer<Answered<Value>> {
    let token = id(&which.token_id, "token")?;
    let bots = web.home.people.accounts();
    let bots = bots
        .iter()
        .filter(|it| it.bot_of == Some(me.id()))
        .map(|it| it.id);
    for user in bots.chain([me.id()]).collect::<Vec<_>>() {
        if auth::end(&web, user, token)? {
            return Ok(ok().await);
        }
    }
    Err(Failure::missing("token"))
}

async fn preferences(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
) -> Answer<Answered<Vec<Value>>> {
    let user = me.only(&user)?;
    let held = web.home.people.preferences(user);
    Ok(Answered(
        held.iter()
            .map(|it| shapes::preference(&user, it))
            .collect(),
    ))
}

async fn preferences_of(
    me: Me,
    State(web): App,
    Path((user, category)): Path<(String, String)>,
) -> Answer<Answered<Vec<Value>>> {
    let user = me.only(&user)?;
    let held = web.home.people.preferences(user);
    let held = held.iter().filter(|it| it.category == category);
    Ok(Answered(
        held.map(|it| shapes::preference(&user, it)).collect(),
    ))
}

async fn preference(
    me: Me,
    State(web): App,
    Path((user, category, name)): Path<(String, String, String)>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    let held = web.home.people.preferences(user);
    let found = held
        .iter()
        .find(|it| it.category == category && it.name == name);
    let found = found.map(|it| Answered(shapes::preference(&user, it)));
    found.ok_or_else(|| Failure::missing("preference"))
}

async fn prefer(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(set): Json<Vec<Preference>>,
) -> Answer<Answered<Value>> {
    change_preferences(&web, me.only(&user)?, set, &[], "preferences_changed").await
}

async fn prefer_not(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(gone): Json<Vec<Preference>>,
) -> Answer<Answered<Value>> {
    change_preferences(
        &web,
        me.only(&user)?,
        Vec::new(),
        &gone,
        "preferences_deleted",
    )
    .await
}

async fn change_preferences(
    web: &Web,
    user: Id,
    set: Vec<Preference>,
    gone: &[Preference],
    event: &str,
) -> Answer<Answered<Value>> {
    let told: Vec<Value> = set
        .iter()
        .chain(gone)
        .map(|it| shapes::preference(&user, it))
        .collect();
    if !web.home.people.prefer(user, set, gone)? {
        return Err(Failure::bad(
            "Those are too many preferences, or too long ones.",
        ));
    }
    let data = json!({"preferences": Value::from(told).to_string()});
    let broadcast = Broadcast {
        user: Some(user),
        ..Broadcast::default()
    };
    web.home
        .hub
        .publish(event, &data, &broadcast, |other| *other == user);
    Ok(ok().await)
}

#[derive(Deserialize)]
struct NewBot {
    username: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    description: String,
}

async fn new_bot(
    me: Me,
    State(web): App,
    Json(new): Json<NewBot>,
) -> Answer<(StatusCode, Answered<Value>)> {
    me.must(&web, Action::MakePrograms)?;
    let people = &web.home.people;
    let id = Id::of_user(&web.home.node.partner, &new.username);
    if people.bots_of(me.id()).len() >= BOTS_PER_USER {
        return Err(Failure::bad("You have as many bots as one user may have."));
    }
    if web.home.feed.remote_user(&id).is_some() {
        return Err(Failure::bad(
            "Somebody has written under that name already.",
        ));
    }
    let account = NewAccount {
        username: new.username,
        first_name: new.display_name,
        bot_of: Some(me.id()),
        bot_description: new.description,
        ..NewAccount::default()
    };
    let account = web.home.people.add(account).await?;
    auth::record(&web, "bot_made", &format!("{} by {}", account.id, me.id()));
    Ok((StatusCode::CREATED, Answered(bot_shape(&account))))
}

fn bot_shape(account: &crate::home::people::Account) -> Value {
    json!({
        "user_id": account.id,
        "username": account.username,
        "display_name": account.first_name,
        "description": account.bot_description,
        "owner_id": account.bot_of,
        "create_at": account.created_ms,
        "update_at": account.updated_ms,
        "delete_at": account.disabled_ms,
    })
}

async fn bots(_me: Me, State(web): App, Query(page): Query<Page>) -> Answered<Vec<Value>> {
    let accounts = web.home.people.accounts();
    let bots = accounts.iter().filter(|it| it.bot_of.is_some());
    Answered(page.of(bots.map(bot_shape).collect()))
}

async fn bot(_me: Me, State(web): App, Path(bot): Path<String>) -> Answer<Answered<Value>> {
    let found = web
        .home
        .account(&id(&bot, "bot")?)
        .filter(|it| it.bot_of.is_some());
    let found = found.map(|account| Answered(bot_shape(&account)));
    found.ok_or_else(|| Failure::missing("bot"))
}
