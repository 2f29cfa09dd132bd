//! Other partners: pacts and links. Whoever carries the files is not who approves the words.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post, put};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::auth::Me;
use super::super::extract::{Json, Query};
use super::super::failure::{Answer, Failure};
use super::super::{App, Web};
use super::order;
use crate::api::{PeerInfo, PeeringFile};
use crate::home::people::Action;
use crate::pacts::PactState;
use crate::service::{failure, peering, prospect, status};

/// Words that are compared.
const WORDS: usize = 12;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/console/peers", get(list))
        .route("/console/peers/invitations", post(invite))
        .route("/console/peers/files", post(take))
        .route("/console/peers/{partner}/preview", get(preview))
        .route("/console/peers/{partner}/approve", post(approve))
        .route("/console/peers/{partner}/state", put(set_state))
}

/// Every pact with its link. The words are shown to those who compare them.
async fn list(me: Me, State(web): App) -> Answer<Answered<Vec<PeerInfo>>> {
    me.must(&web, Action::SeeNode)?;
    let mut peers = status::peers(&web.home.node).await?;
    if !me.account.may(Action::ApprovePeers) {
        peers.iter_mut().for_each(|peer| peer.words = None);
    }
    Ok(Answered(peers))
}

#[derive(Deserialize)]
struct Invitation {
    /// How long it may be accepted, in seconds.
    expires_in_s: u64,
    /// Where the other node reaches this one; empty for the addresses of the configuration.
    #[serde(default)]
    addresses: Vec<String>,
}

/// Makes an invitation to hand over.
async fn invite(
    me: Me,
    State(web): App,
    Json(wanted): Json<Invitation>,
) -> Answer<Answered<PeeringFile>> {
    me.must(&web, Action::ManageLinks)?;
    order(&web, &me, "an invitation to peer")?;
    let node = &web.home.node;
    let made = peering::invite(node, wanted.expires_in_s, wanted.addresses).await?;
    Ok(Answered(made))
}

#[derive(Deserialize)]
struct Taken {
    /// The contents of the file.
    file: String,
    #[serde(default)]
    addresses: Vec<String>,
}

/// Takes an invitation, whose reply is in the answer, or the reply to one.
async fn take(me: Me, State(web): App, Json(taken): Json<Taken>) -> Answer<Answered<PeeringFile>> {
    me.must(&web, Action::ManageLinks)?;
    order(&web, &me, "a peering file is taken")?;
    let mut made = peering::accept(&web.home.node, &taken.file, taken.addresses).await?;
    if !me.account.may(Action::ApprovePeers) {
        made.words = None;
    }
    Ok(Answered(made))
}

#[derive(Deserialize)]
struct Words {
    /// As the other side read them.
    words: Vec<String>,
}

/// Declares that the words were compared, and puts the pact in force.
async fn approve(
    me: Me,
    State(web): App,
    Path(partner): Path<String>,
    Json(read): Json<Words>,
) -> Answer<Answered<Value>> {
    me.must(&web, Action::ApprovePeers)?;
    if read.words.len() != WORDS {
        return Err(Failure::bad(format!(
            "There are {WORDS} words to compare; {} were given.",
            read.words.len()
        )));
    }
    let node = &web.home.node;
    state_of(&web, &partner).await?;
    order(&web, &me, &format!("approval of {partner}"))?;
    let words: Vec<String> = read
        .words
        .iter()
        .map(|word| word.trim().to_lowercase())
        .collect();
    peering::approve(node, &partner, &words).await?;
    Ok(Answered(json!({"partner": partner, "state": "active"})))
}

/// The states into which a pact can be brought when the words were approved.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wanted {
    Active,
    Suspended,
    Revoked,
}

impl Wanted {
    fn pact(self) -> PactState {
        match self {
            Wanted::Active => PactState::Active,
            Wanted::Suspended => PactState::Suspended,
            Wanted::Revoked => PactState::Revoked,
        }
    }

    /// What withholds is for those who notice; what trusts, and what cannot be taken back, is for
    /// those who approved.
    fn action(self) -> Action {
        match self {
            Wanted::Suspended => Action::SuspendPeers,
            Wanted::Active | Wanted::Revoked => Action::ApprovePeers,
        }
    }
}

#[derive(Deserialize)]
struct Change {
    state: Wanted,
}

/// What changing the state of a pact would do.
async fn preview(
    me: Me,
    State(web): App,
    Path(partner): Path<String>,
    Query(change): Query<Change>,
) -> Answer<Answered<prospect::PactPreview>> {
    me.must(&web, Action::SeeNode)?;
    let node = &web.home.node;
    let preview = prospect::preview_pact(node, &partner, change.state.pact()).await?;
    Ok(Answered(preview))
}

/// Brings a pact into a state; where it is in that already, nothing happens.
async fn set_state(
    me: Me,
    State(web): App,
    Path(partner): Path<String>,
    Json(change): Json<Change>,
) -> Answer<Answered<Value>> {
    me.must(&web, change.state.action())?;
    let node = &web.home.node;
    let wanted = change.state.pact();
    let done = json!({"partner": partner, "state": wanted.as_str()});
    if state_of(&web, &partner).await? == wanted {
        return Ok(Answered(done));
    }
    let what = format!("{} for {partner}", wanted.as_str());
    match change.state {
        Wanted::Active => {
            order(&web, &me, &what)?;
            peering::resume(node, &partner).await?;
        }
        // What withholds is in force whatever becomes of the record, which is told then.
        Wanted::Suspended => {
            let recorded = order(&web, &me, &what);
            peering::suspend(node, &partner).await?;
            recorded?;
        }
        Wanted::Revoked => {
            let recorded = order(&web, &me, &what);
            peering::revoke(node, &partner).await?;
            recorded?;
        }
    }
    Ok(Answered(done))
}

async fn state_of(web: &Web, partner: &str) -> Answer<PactState> {
    let pacts = web.home.node.pacts.lock().await;
    let pact = pacts.by_name(partner).map_err(failure::peering)?;
    Ok(pact.state)
}
