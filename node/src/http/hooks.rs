//! Incoming webhooks: whoever knows a hook's id may post to its channel, in its maker's name.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::{self, Me};
use super::extract::{Json, Page, Query, id};
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::home::people::{Action, Hook};
use crate::home::posting::NewPost;
use crate::home::shapes::program_text;

/// The longest message that a program sends: its attachments become text.
const BODY_BYTES: usize = 64 << 10;

/// Where programs send their messages: no session, the id is the secret.
pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/hooks/{hook}", post(receive))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
}

/// Where users make hooks.
pub fn making() -> Router<Arc<Web>> {
    Router::new()
        .route("/hooks/incoming", get(list).post(make))
        .route("/hooks/incoming/{hook}", get(one).delete(end))
}

#[derive(Deserialize)]
struct NewHook {
    channel_id: String,
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    description: String,
}

fn shape(web: &Web, hook: &Hook) -> Value {
    let room = web.home.feed.room(&hook.channel);
    json!({
        "id": hook.id,
        "create_at": hook.created_ms,
        "update_at": hook.created_ms,
        "delete_at": 0,
        "user_id": hook.user,
        "channel_id": hook.channel,
        "team_id": room.map_or_else(String::new, |room| web.home.team_id(&room)),
        "display_name": hook.display_name,
        "description": hook.description,
        "username": "",
        "icon_url": "",
        "channel_locked": true,
    })
}

async fn make(
    me: Me,
    State(web): App,
    Json(new): Json<NewHook>,
) -> Answer<(StatusCode, Answered<Value>)> {
    me.must(&web, Action::MakePrograms)?;
    let room = super::channels::room(&web, &me, &new.channel_id)?;
    let people = &web.home.people;
    let made = people.add_hook(me.id(), room.id, new.display_name, new.description)?;
    let Some(hook) = made else {
        return Err(Failure::bad(
            "Those are too many hooks, or too long a name.",
        ));
    };
    let text = format!("to channel {} by {}", room.channel, me.id());
    auth::record(&web, "webhook_made", &text);
    Ok((StatusCode::CREATED, Answered(shape(&web, &hook))))
}

async fn list(me: Me, State(web): App, Query(page): Query<Page>) -> Answered<Vec<Value>> {
    let hooks = page.of(web.home.people.hooks_of(me.id()));
    Answered(hooks.iter().map(|hook| shape(&web, hook)).collect())
}

fn own(web: &Web, me: &Me, hook: &str) -> Answer<Hook> {
    let found = web.home.people.hook(&id(hook, "hook")?);
    let found = found.filter(|hook| hook.user == me.id());
    found.ok_or_else(|| Failure::missing("hook"))
}

async fn one(me: Me, State(web): App, Path(hook): Path<String>) -> Answer<Answered<Value>> {
    Ok(Answered(shape(&web, &own(&web, &me, &hook)?)))
}

async fn end(me: Me, State(web): App, Path(hook): Path<String>) -> Answer<Answered<Value>> {
    let hook = own(&web, &me, &hook)?;
    web.home.people.end_hook(hook.id)?;
    auth::record(&web, "webhook_ended", &format!("by {}", me.id()));
    Ok(Answered(json!({"status": "OK"})))
}

/// Takes a message as Slack's programs send them: JSON, or a form with JSON in `payload`.
async fn receive(State(web): App, Path(hook): Path<String>, body: Bytes) -> Answer<&'static str> {
    let home = &web.home;
    let hook = home.people.hook(&id(&hook, "hook")?);
    let hook = hook.ok_or_else(|| Failure::missing("hook"))?;
    let account = home
        .account(&hook.user)
        .filter(|account| account.is_active());
    let account = account.ok_or_else(|| Failure::missing("hook"))?;
    let room = home.room_for(&hook.user, &hook.channel);
    let room = room.ok_or_else(|| Failure::missing("channel"))?;
    if !home.people.may_use(&hook.id) {
        return Err(Failure::too_many(
            "A hook posts ten messages a second at most.",
        ));
    }
    let message = program_text(&payload(&body)?);
    if message.trim().is_empty() {
        return Err(Failure::bad("There is no text in the message."));
    }
    let post = NewPost {
        message: message
            .chars()
            .take(crate::home::posting::MESSAGE_CHARACTERS)
            .collect(),
        ..NewPost::default()
    };
    home.post(&account, &room, post).await?;
    Ok("ok")
}

fn payload(body: &[u8]) -> Answer<Map<String, Value>> {
    let bad = || Failure::bad("The body is JSON, or a form with JSON in 'payload'.");
    if let Ok(parsed) = serde_json::from_slice(body) {
        return Ok(parsed);
    }
    let text = std::str::from_utf8(body).map_err(|_| bad())?;
    let mut fields = text.split('&').filter_map(|field| field.split_once('='));
    let (_, encoded) = fields
        .find(|(name, _)| *name == "payload")
        .ok_or_else(bad)?;
    serde_json::from_slice(&unescaped(encoded)).map_err(|_| bad())
}

/// `application/x-www-form-urlencoded`, backwards.
fn unescaped(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|it| std::str::from_utf8(it).ok());
        let code = hex.and_then(|it| u8::from_str_radix(it, 16).ok());
        match (bytes[at], code) {
            (b'%', Some(code)) => {
                plain.push(code);
                at += 2;
            }
            (b'+', _) => plain.push(b' '),
            (byte, _) => plain.push(byte),
        }
        at += 1;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_from_json_and_from_a_form() {
        let json = br#"{"text": "a & b", "attachments": [{"fallback": "c"}, {"title": "d", "fallback": "x"}]}"#;
        assert_eq!(program_text(&payload(json).unwrap()), "a & b\nc\nd");
        let form = b"x=1&payload=%7B%22text%22%3A+%22a+%26+b%22%7D";
        assert_eq!(program_text(&payload(form).unwrap()), "a & b");
        assert!(payload(b"payload=%7").is_err());
        assert!(payload(b"\xff").is_err());
    }
}
