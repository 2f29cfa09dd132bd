//! Where users make outgoing webhooks.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{self, Me};
use super::extract::{Json, Page, Query, id};
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::home::calling::CallError;
use crate::home::id::Id;
use crate::home::is_direct;
use crate::home::people::{Action, IntegrationError, OutgoingHook};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/hooks/outgoing", get(list).post(make))
        .route("/hooks/outgoing/{hook}", get(one).put(change).delete(end))
        .route("/hooks/outgoing/{hook}/regen_token", post(new_token))
}

impl From<IntegrationError> for Failure {
    fn from(error: IntegrationError) -> Failure {
        match error {
            IntegrationError::Store(error) => error.into(),
            other => Failure::bad(format!("Not kept: {other}.")),
        }
    }
}

/// Refuses addresses at which this node asks nothing, and puts that on record.
pub fn demand_listed(web: &Web, me: &Me, urls: &[String]) -> Answer<()> {
    for url in urls {
        match web.home.caller.admit(url) {
            Ok(_) => {}
            Err(error @ CallError::NotListed(_)) => {
                if web.home.caller.is_news(&me.id()) {
                    auth::record(web, "hook_refused", &format!("to {}: {error}", me.id()));
                }
                return Err(Failure::new(
                    StatusCode::FORBIDDEN,
                    "comity.hook_host_not_listed.app_error",
                    format!("{error}."),
                ));
            }
            Err(error) => return Err(Failure::bad(format!("{error}."))),
        }
    }
    Ok(())
}

/// A team, by its id.
pub fn demand_team(web: &Web, text: &str) -> Answer<Id> {
    let team = id(text, "team")?;
    let mut teams = web.home.teams().into_iter();
    match teams.any(|it| it.id == team) {
        true => Ok(team),
        false => Err(Failure::missing("team")),
    }
}

fn shape(hook: &OutgoingHook) -> Value {
    json!({
        "id": hook.id,
        "create_at": hook.created_ms,
        "update_at": hook.updated_ms,
        "delete_at": 0,
        "creator_id": hook.user,
        "team_id": hook.team,
        "channel_id": hook.channel.map_or_else(String::new, |it| it.to_string()),
        "token": hook.token,
        "display_name": hook.display_name,
        "description": hook.description,
        "trigger_words": hook.words,
        "trigger_when": u8::from(hook.by_start),
        "callback_urls": hook.urls,
        "content_type": if hook.json { JSON } else { FORM },
        "username": "",
        "icon_url": "",
    })
}

/// What is said of a hook; what is absent stays as it is.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    team_id: Option<String>,
    channel_id: Option<String>,
    display_name: Option<String>,
    description: Option<String>,
    trigger_words: Option<Vec<String>>,
    trigger_when: Option<u8>,
    callback_urls: Option<Vec<String>>,
    content_type: Option<String>,
}

impl Said {
    fn apply(self, web: &Web, me: &Me, hook: &mut OutgoingHook) -> Answer<()> {
        if let Some(channel) = self.channel_id {
            hook.channel = match channel.is_empty() {
                true => None,
                false => Some(in_team(web, me, &channel, hook.team)?),
            };
        }
        if let Some(urls) = self.callback_urls {
            demand_listed(web, me, &urls)?;
            hook.urls = urls;
        }
        hook.display_name = self
            .display_name
            .unwrap_or(std::mem::take(&mut hook.display_name));
        hook.description = self
            .description
            .unwrap_or(std::mem::take(&mut hook.description));
        hook.words = self
            .trigger_words
            .unwrap_or(std::mem::take(&mut hook.words));
        hook.by_start = self.trigger_when.map_or(hook.by_start, |when| when == 1);
        hook.json = self.content_type.map_or(hook.json, |it| it == JSON);
        Ok(())
    }
}

/// A channel of that team that the asker is in, and that is not between two.
fn in_team(web: &Web, me: &Me, channel: &str, team: Id) -> Answer<Id> {
    let room = super::channels::room(web, me, channel)?;
    match !is_direct(&room) && web.home.team_of(&room).id == team {
        true => Ok(room.id),
        false => Err(Failure::bad(
            "An outgoing webhook tells of a channel of its team, and of none between two users.",
        )),
    }
}

async fn make(
    me: Me,
    State(web): App,
    Json(said): Json<Said>,
) -> Answer<(StatusCode, Answered<Value>)> {
    me.must(&web, Action::MakePrograms)?;
    let people = &web.home.people;
    let mut hook = OutgoingHook {
        id: people.fresh_id(),
        user: me.id(),
        team: demand_team(&web, said.team_id.as_deref().unwrap_or_default())?,
        channel: None,
        token: people.fresh_token(),
        display_name: String::new(),
        description: String::new(),
        words: Vec::new(),
        by_start: false,
        urls: Vec::new(),
        json: false,
        created_ms: web.home.node.now_ms(),
        updated_ms: 0,
    };
    said.apply(&web, &me, &mut hook)?;
    let hook = people.keep_outgoing(hook)?;
    note(&web, &me, "outgoing_webhook_made", &hook);
    Ok((StatusCode::CREATED, Answered(shape(&hook))))
}

fn note(web: &Web, me: &Me, action: &str, hook: &OutgoingHook) {
    let text = format!("{} to {} by {}", hook.id, hook.urls.join(" "), me.id());
    auth::record(web, action, &text);
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Listing {
    team_id: String,
    channel_id: String,
}

async fn list(
    me: Me,
    State(web): App,
    Query(page): Query<Page>,
    Query(listing): Query<Listing>,
) -> Answered<Vec<Value>> {
    let is = |wanted: &str, id: Option<Id>| wanted.is_empty() || Id::parse(wanted) == id;
    let mut hooks = web.home.people.outgoing_of(me.id());
    hooks.retain(|it| is(&listing.team_id, Some(it.team)) && is(&listing.channel_id, it.channel));
    Answered(page.of(hooks.iter().map(shape).collect()))
}

fn own(web: &Web, me: &Me, hook: &str) -> Answer<OutgoingHook> {
    let found = web.home.people.outgoing(&id(hook, "hook")?);
    let found = found.filter(|hook| hook.user == me.id());
    found.ok_or_else(|| Failure::missing("hook"))
}

async fn one(me: Me, State(web): App, Path(hook): Path<String>) -> Answer<Answered<Value>> {
    Ok(Answered(shape(&own(&web, &me, &hook)?)))
}

async fn change(
    me: Me,
    State(web): App,
    Path(hook): Path<String>,
    Json(said): Json<Said>,
) -> Answer<Answered<Value>> {
    let mut hook = own(&web, &me, &hook)?;
    said.apply(&web, &me, &mut hook)?;
    let hook = web.home.people.keep_outgoing(hook)?;
    note(&web, &me, "outgoing_webhook_changed", &hook);
    Ok(Answered(shape(&hook)))
}

async fn new_token(me: Me, State(web): App, Path(hook): Path<String>) -> Answer<Answered<Value>> {
    let mut hook = own(&web, &me, &hook)?;
    hook.token = web.home.people.fresh_token();
    let hook = web.home.people.keep_outgoing(hook)?;
    note(&web, &me, "outgoing_webhook_token", &hook);
    Ok(Answered(shape(&hook)))
}

async fn end(me: Me, State(web): App, Path(hook): Path<String>) -> Answer<Answered<Value>> {
    let hook = own(&web, &me, &hook)?;
    web.home.people.end_outgoing(hook.id)?;
    note(&web, &me, "outgoing_webhook_ended", &hook);
    Ok(Answered(json!({"status": "OK"})))
}
