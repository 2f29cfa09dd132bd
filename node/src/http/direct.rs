//! Channels between users: of two, and of a few as a group.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::Me;
use super::channels::{self, shape, tell_user};
use super::extract::{Json, id};
use super::failure::{Answer, Failure};
use super::users::user;
use super::{App, Web};
use crate::home::direct::{GROUP_LEAST, GROUP_MOST, is_group};
use crate::home::feed::Room;
use crate::home::id::Id;
use crate::home::people::Action;
use crate::home::shapes;

/// Groups that one answer names at most.
const OFFERED: usize = 50;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/channels/direct", post(direct))
        .route("/channels/group", post(group))
        .route("/channels/group/search", post(search))
        .route("/users/group_channels", post(users_of))
}

/// Opens the channel between two users, the asker being one of them.
async fn direct(
    me: Me,
    State(web): App,
    Json(users): Json<Vec<String>>,
) -> Answer<(StatusCode, Answered<Value>)> {
    me.must(&web, Action::JoinChannels)?;
    let [one, other] = users.as_slice() else {
        return Err(Failure::bad("A direct channel has two users."));
    };
    let (one, other) = (id(one, "user")?, id(other, "user")?);
    let other = match (one == me.id(), other == me.id()) {
        (true, _) => other,
        (_, true) => one,
        _ => return Err(Failure::forbidden("Neither of them is you.")),
    };
    let room = open(&web, &me, other).await?;
    Ok((StatusCode::CREATED, Answered(shape(&web, &me, &room))))
}

/// The channel between the asker and another user.
pub async fn open(web: &Web, me: &Me, other: Id) -> Answer<Arc<Room>> {
    let room = web.home.direct(me.id(), other).await?;
    let data = json!({"creator_id": me.id(), "teammate_id": other, "channel_id": room.id});
    for user in web.home.members(&room) {
        tell_user(web, user, "direct_added", &data);
    }
    Ok(room)
}

/// Opens the channel of a few users, the asker being one of them.
async fn group(
    me: Me,
    State(web): App,
    Json(named): Json<Vec<String>>,
) -> Answer<(StatusCode, Answered<Value>)> {
    me.must(&web, Action::JoinChannels)?;
    let mut users = BTreeSet::from([me.id()]);
    for user in named.iter().take(GROUP_MOST + 1) {
        users.insert(id(user, "user")?);
    }
    if !(GROUP_LEAST..=GROUP_MOST).contains(&users.len()) {
        return Err(Failure::new(
            StatusCode::BAD_REQUEST,
            "api.channel.create_group.bad_size.app_error",
            format!("A group has {GROUP_LEAST} to {GROUP_MOST} users, you among them."),
        ));
    }
    let room = web.home.group(&users).await?;
    let members = web.home.members(&room).into_iter().collect();
    web.home.tell_group(&room, &members);
    Ok((StatusCode::CREATED, Answered(shape(&web, &me, &room))))
}

#[derive(Deserialize)]
struct Sought {
    #[serde(default)]
    term: String,
}

/// The asker's groups with somebody of that name.
async fn search(
    me: Me,
    State(web): App,
    Json(sought): Json<Sought>,
) -> Answer<Answered<Vec<Value>>> {
    let term = sought.term.to_lowercase();
    let mut rooms = web.home.rooms_of(&me.id());
    rooms.retain(|room| {
        is_group(room)
            && shapes::display_name(&web.home, room, Some(&me.id()))
                .to_lowercase()
                .contains(&term)
    });
    let shapes = rooms.iter().take(OFFERED);
    Ok(Answered(
        shapes.map(|room| shape(&web, &me, room)).collect(),
    ))
}

/// Who is in each of these groups, the asker left out.
async fn users_of(
    me: Me,
    State(web): App,
    Json(named): Json<Vec<String>>,
) -> Answer<Answered<Map<String, Value>>> {
    let mut groups = Map::new();
    for channel in named.iter().take(OFFERED) {
        let room = channels::room(&web, &me, channel)?;
        let users = web.home.between(&room).filter(|_| is_group(&room));
        let users = users.unwrap_or_default().into_iter();
        let users = users.filter(|user| *user != me.id());
        let shapes = users.filter_map(|it| user(&web.home, &me.id(), &it));
        groups.insert(channel.clone(), shapes.collect());
    }
    Ok(Answered(groups))
}
