//! How the node is doing.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Answered, Router};
use serde_json::{Value, json};

use super::super::auth::Me;
use super::super::failure::Answer;
use super::super::{App, Web};
use crate::home::people::Action;
use crate::service::status;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/console/health", get(health))
        .route("/console/samples", get(sampled))
}

/// The node's status as `comity status` tells it, without the peers: they have a list of their own.
async fn health(me: Me, State(web): App) -> Answer<Answered<Value>> {
    me.must(&web, Action::SeeNode)?;
    let status = status::status(&web.home.node).await?;
    let mut told = json!(status);
    if let Some(told) = told.as_object_mut() {
        told.remove("peers");
        told.insert("now_ms".into(), web.home.node.now_ms().into());
    }
    Ok(Answered(told))
}

/// What was measured in the last hour.
async fn sampled(me: Me, State(web): App) -> Answer<Answered<Value>> {
    me.must(&web, Action::SeeNode)?;
    Ok(Answered(json!({
        "every_ms": super::samples::EVERY.as_millis() as u64,
        "samples": web.samples.all(),
    })))
}
