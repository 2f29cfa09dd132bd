//! What users say of themselves in their own words.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{delete, post, put};
use axum::{Json as Answered, Router};
use serde_json::{Value, json};

use super::auth::Me;
use super::extract::Json;
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::home::hub::Broadcast;
use crate::home::id::Id;
use crate::home::people::CustomStatus;
use crate::home::shapes;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/users/{user}/status/custom", put(set).delete(clear))
        .route("/users/{user}/status/custom/recent", delete(forget))
        // For clients that cannot send a body with DELETE.
        .route("/users/{user}/status/custom/recent/delete", post(forget))
}

async fn set(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(status): Json<CustomStatus>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    let status = status
        .checked(web.home.node.now_ms())
        .map_err(Failure::bad)?;
    let account = web.home.people.set_custom_status(user, &status)?;
    web.home.tell_user(&account);
    tell_recent(&web, user);
    Ok(Answered(json!({"status": "OK"})))
}

async fn clear(me: Me, State(web): App, Path(user): Path<String>) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    if let Some(account) = web.home.people.clear_custom_status(user)? {
        web.home.tell_user(&account);
    }
    Ok(Answered(json!({"status": "OK"})))
}

async fn forget(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(status): Json<CustomStatus>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    if web.home.people.forget_recent_status(user, &status)? {
        tell_recent(&web, user);
    }
    Ok(Answered(json!({"status": "OK"})))
}

/// The recent statuses are a preference; the user's other devices learn of it.
fn tell_recent(web: &Web, user: Id) {
    let recent = shapes::preference(&user, &web.home.people.recent_preference(user));
    let data = json!({"preferences": json!([recent]).to_string()});
    let broadcast = Broadcast {
        user: Some(user),
        ..Broadcast::default()
    };
    let hub = &web.home.hub;
    hub.publish("preferences_changed", &data, &broadcast, |it| *it == user);
}
