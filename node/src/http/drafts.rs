//! Messages that users have begun, for their other devices.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, get, post};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::Me;
use super::extract::{Json, id};
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::home::files::FileEntry;
use crate::home::hub::Broadcast;
use crate::home::id::Id;
use crate::home::is_direct;
use crate::home::people::{Draft, DraftError, PeopleError};
use crate::home::posting::FILES_PER_POST;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/drafts", post(keep))
        .route("/users/{user}/teams/{team}/drafts", get(of_team))
        .route("/users/{user}/channels/{channel}/drafts", delete(drop_one))
        .route(
            "/users/{user}/channels/{channel}/drafts/{thread}",
            delete(drop_in_thread),
        )
}

impl From<DraftError> for Failure {
    fn from(error: DraftError) -> Failure {
        match error {
            DraftError::People(error) => error.into(),
            limit => Failure::bad(format!("Not kept: {limit}.")),
        }
    }
}

impl From<PeopleError> for Failure {
    fn from(error: PeopleError) -> Failure {
        match error {
            PeopleError::Store(error) => error.into(),
            PeopleError::Damaged => Failure::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "comity.store_damaged.app_error",
                "What is stored does not read back: the administrator runs 'comity check'.",
            ),
        }
    }
}

/// What a client keeps with a draft and this node does not read.
const EXTRA: [&str; 3] = ["props", "priority", "type"];

pub fn shape(web: &Web, user: Id, draft: &Draft) -> Value {
    let files = draft
        .files
        .iter()
        .filter_map(|file| web.home.files.get(file));
    let files: Vec<Value> = files
        .filter(|file| file.user == user)
        .map(|file| FileEntry::shape(&file))
        .collect();
    let mut shape = json!({
        "create_at": draft.created_ms,
        "update_at": draft.updated_ms,
        "delete_at": 0,
        "user_id": user,
        "channel_id": draft.channel,
        "root_id": draft.root.map_or_else(String::new, |root| root.to_string()),
        "message": draft.message,
        "props": {},
        "file_ids": draft.files,
        "metadata": {"files": files},
    });
    for (key, value) in draft.extra() {
        shape[key] = value;
    }
    shape
}

fn tell(web: &Web, user: Id, event: &str, draft: &Draft, headers: &HeaderMap) {
    let data = json!({"draft": shape(web, user, draft).to_string()});
    // The window that a draft is written in needs no word of it.
    let own = headers.get("connection-id").and_then(|it| it.to_str().ok());
    let broadcast = Broadcast {
        user: Some(user),
        channel: Some(draft.channel),
        omit_connection: own.and_then(Id::parse),
        ..Broadcast::default()
    };
    let hub = &web.home.hub;
    hub.publish(event, &data, &broadcast, |it| *it == user);
}

#[derive(Deserialize)]
struct NewDraft {
    channel_id: String,
    #[serde(default)]
    root_id: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    file_ids: Option<Vec<String>>,
    #[serde(flatten)]
    other: Map<String, Value>,
}

async fn keep(
    me: Me,
    State(web): App,
    headers: HeaderMap,
    Json(mut new): Json<NewDraft>,
) -> Answer<(StatusCode, Answered<Value>)> {
    let room = super::channels::room(&web, &me, &new.channel_id)?;
    let root = thread(&new.root_id)?;
    if let Some(root) = &root {
        let found = web.home.post_for(&me.id(), root);
        found
            .filter(|(there, _)| there.id == room.id)
            .ok_or_else(|| Failure::missing("post"))?;
    }
    let files = new.file_ids.unwrap_or_default();
    if files.len() > FILES_PER_POST {
        return Err(Failure::bad("Those are too many files for one post."));
    }
    let files = files.iter().map(|file| id(file, "file"));
    let files = files.collect::<Answer<Vec<Id>>>()?;
    let extra = EXTRA.into_iter().filter_map(|key| {
        let value = new.other.remove(key).filter(|value| !value.is_null())?;
        Some((key.to_string(), value))
    });
    let draft = Draft::new(room.id, root, new.message, files, extra.collect());
    let people = &web.home.people;
    let is_new = people.draft(me.id(), room.id, root)?.is_none();
    let draft = people.keep_draft(me.id(), draft)?;
    let event = match is_new {
        true => "draft_created",
        false => "draft_updated",
    };
    tell(&web, me.id(), event, &draft, &headers);
    Ok((StatusCode::CREATED, Answered(shape(&web, me.id(), &draft))))
}

/// The thread that a text names; none where it names none.
fn thread(text: &str) -> Answer<Option<Id>> {
    match text.is_empty() {
        true => Ok(None),
        false => id(text, "post").map(Some),
    }
}

/// The drafts in a team's channels, and in direct ones, which clients list with any team.
async fn of_team(
    me: Me,
    State(web): App,
    Path((user, team)): Path<(String, String)>,
) -> Answer<Answered<Vec<Value>>> {
    let (user, team) = (me.only(&user)?, id(&team, "team")?);
    let home = &web.home;
    let mut drafts = home.people.drafts(user)?;
    drafts.retain(|draft| {
        let room = home.room_for(&user, &draft.channel);
        room.is_some_and(|room| is_direct(&room) || home.team_of(&room).id == team)
    });
    drafts.sort_by_key(|draft| std::cmp::Reverse(draft.updated_ms));
    let shapes = drafts.iter().map(|draft| shape(&web, user, draft));
    Ok(Answered(shapes.collect()))
}

async fn drop_one(
    me: Me,
    State(web): App,
    headers: HeaderMap,
    Path((user, channel)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    gone(&web, &me, &headers, (&user, &channel, ""))
}

async fn drop_in_thread(
    me: Me,
    State(web): App,
    headers: HeaderMap,
    Path((user, channel, thread)): Path<(String, String, String)>,
) -> Answer<Answered<Value>> {
    gone(&web, &me, &headers, (&user, &channel, &thread))
}

/// A draft of a channel that one has left can be taken away, too.
fn gone(
    web: &Web,
    me: &Me,
    headers: &HeaderMap,
    (user, channel, root): (&str, &str, &str),
) -> Answer<Answered<Value>> {
    let user = me.only(user)?;
    let (channel, root) = (id(channel, "channel")?, thread(root)?);
    if let Some(draft) = web.home.people.drop_draft(user, channel, root)? {
        tell(web, user, "draft_deleted", &draft, headers);
    }
    Ok(Answered(json!({"status": "OK"})))
}
