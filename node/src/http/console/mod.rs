//! The operator's console: what those see who look after the node and its links, and what they order.
//! docs/roles.md says who may do what, docs/comity-v1.json what is answered.

mod audit;
mod channels;
mod health;
mod peers;
pub mod samples;
pub mod setup;

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Answered, Router};
use serde_json::{Value, json};

use super::auth::{self, Me};
use super::failure::Answer;
use super::{App, Web};
use crate::home::people::ACTIONS;

/// What the console asks for, under `/api/comity/v1`.
pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/console", get(own))
        .merge(health::routes())
        .merge(peers::routes())
        .merge(channels::routes())
        .merge(audit::routes())
        .merge(setup::routes())
}

/// Which parts of the console the asker may use.
async fn own(me: Me, State(web): App) -> Answered<Value> {
    let may = ACTIONS.into_iter().filter(|it| me.account.may(*it));
    let node = &web.home.node;
    Answered(json!({
        "partner": node.identity.name.as_str(),
        "partner_id": node.partner.to_hex(),
        "version": env!("CARGO_PKG_VERSION"),
        "may": may.map(|it| it.name()).collect::<Vec<_>>(),
    }))
}

/// Puts on record who orders what. What is done follows with a record of its own; what cannot be put
/// on record is not done.
fn order(web: &Web, me: &Me, what: &str) -> Answer<()> {
    let text = format!("{what} by {} ({})", me.account.username, me.id());
    auth::must_record(web, "ordered", &text)
}
