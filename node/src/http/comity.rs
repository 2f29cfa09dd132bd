//! What this node says beyond Mattermost's API: who receives a post, how far it came at each partner,
//! and who would receive one. docs/comity-v1.json describes it (OpenAPI 3.0).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use comity_protocol::channel::Channel;
use comity_protocol::graph::Pos;
use comity_protocol::id::PartnerId;
use comity_protocol::lane::LaneForm;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Me;
use super::extract::{Json, id};
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::api::{Item, LabelInfo};
use crate::home::feed::Room;
use crate::home::people::Action;
use crate::service::{audience, channels, failure, posts, status};

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/openapi.json", get(description))
        .route("/posts/{post}", get(delivery))
        .route("/channels/{channel}", get(readers))
        .route("/channels/{channel}/audience", post(would_receive))
        .route("/partners", get(partners))
        .route("/users/{user}/export", get(super::export::export))
}

async fn description() -> Response {
    let text = include_str!("../../../docs/comity-v1.json");
    ([(CONTENT_TYPE, "application/json")], text).into_response()
}

/// What the machine knows of where a post went.
struct Went {
    form: LaneForm,
    audience: BTreeSet<PartnerId>,
    members: BTreeSet<PartnerId>,
    /// Partners that show by what they wrote since that they have it.
    received: BTreeSet<PartnerId>,
    is_final: bool,
    is_late: bool,
    is_forked: bool,
    label: Option<LabelInfo>,
}

fn went(channel: &Channel, pos: Pos) -> Option<Went> {
    let lane_id = channel.lane_of(pos);
    let lane = channel.lane(&lane_id)?;
    let graph = channel.graph();
    let mut received = BTreeSet::from([channel.author(pos).partner]);
    for (writer, chains) in graph.logs_of(lane_id) {
        let heads = chains.iter().map(|&chain| Pos {
            chain,
            seq: graph.chain(chain).head(),
        });
        if heads.into_iter().any(|head| graph.in_past(pos, head)) {
            received.extend(channel.writer_partner(&writer));
        }
    }
    Some(Went {
        form: lane.form,
        audience: lane.audience.clone(),
        members: channel.present().active(),
        received,
        is_final: channel.is_final(pos),
        is_late: channel.is_late(pos),
        is_forked: channel.is_forked(pos),
        label: channel.label(pos).map(LabelInfo::from),
    })
}

/// Who receives a post, who does not and why, and how far it came.
async fn delivery(me: Me, State(web): App, Path(post): Path<String>) -> Answer<Answered<Value>> {
    let home = &web.home;
    let post = id(&post, "post")?;
    let found = home.post_for(&me.id(), &post);
    let (room, place) = found.ok_or_else(|| Failure::missing("post"))?;
    let channel = room.channel;
    let looked = home.node.handle.look(move |replica| {
        let channel = replica.channels().get(&channel)?;
        went(channel, place.pos)
    });
    let went = looked.await.map_err(failure::stopped)?;
    let went = went.ok_or_else(|| Failure::missing("post"))?;
    let mut receipts: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let read = posts::at(&home.node, room.channel, &[place.pos])
        .await?
        .pop();
    if let Some(Item::Post(read)) = read {
        for receipt in read.receipts {
            let (user, partner) = receipt
                .author
                .rsplit_once('@')
                .unwrap_or((&receipt.author, ""));
            let told = receipts.entry(partner.to_string()).or_default();
            told.push(json!({"user": user, "state": receipt.state}));
        }
    }
    let receives: Vec<Value> = went
        .audience
        .iter()
        .map(|partner| {
            let name = home.partner_name(partner);
            json!({
                "received": *partner == home.node.partner || went.received.contains(partner),
                "receipts": receipts.remove(&name).unwrap_or_default(),
                "partner": name,
            })
        })
        .collect();
    let why = match went.form {
        LaneForm::Directed => "the author chose the partners, and not this one",
        _ => "it became a member after the post was written",
    };
    let excluded = went.members.difference(&went.audience);
    let excluded: Vec<Value> = excluded
        .map(|partner| json!({"partner": home.partner_name(partner), "why": why}))
        .collect();
    Ok(Answered(json!({
        "post_id": post,
        "channel_id": room.id,
        "for_all": went.form == LaneForm::Open,
        "receives": receives,
        "excluded": excluded,
        "final": went.is_final,
        "late": went.is_late,
        "forked": went.is_forked,
        "label": went.label,
    })))
}

/// Who reads a channel.
async fn readers(me: Me, State(web): App, Path(channel): Path<String>) -> Answer<Answered<Value>> {
    let room = super::channels::room(&web, &me, &channel)?;
    let partners = room.parties.iter().map(|(partner, party)| {
        json!({
            "partner": web.home.partner_name(partner),
            "own": *partner == web.home.node.partner,
            "status": party.status.as_str(),
            "role": channels::api_role(party.role),
        })
    });
    Ok(Answered(json!({
        "channel_id": room.id,
        "name": room.name,
        "partners": partners.collect::<Vec<_>>(),
        "users_here": web.home.members(&room).len(),
    })))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    /// The partners that a post would be for; empty for all.
    to: Vec<String>,
    /// The post that it would answer.
    root_id: String,
}

/// Who would receive a post, and who would not.
async fn would_receive(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
    Json(asked): Json<Asked>,
) -> Answer<Answered<Value>> {
    let home = &web.home;
    let room = super::channels::room(&web, &me, &channel)?;
    let about = match asked.root_id.is_empty() {
        true => None,
        false => {
            let found = home.post_for(&me.id(), &id(&asked.root_id, "post")?);
            let found = found.filter(|(there, _)| there.id == room.id);
            Some(found.ok_or_else(|| Failure::missing("post"))?.1.pos)
        }
    };
    let chosen = audience::choose(&home.node, room.channel, about, &asked.to).await?;
    let readers = readers_of(&web, &room, about).await?;
    let members: BTreeSet<PartnerId> = room.members().copied().collect();
    let receives = chosen.partners.unwrap_or_else(|| readers.clone());
    let why = |partner: &PartnerId| {
        if chosen.left_out.contains(partner) {
            "the pact with it is suspended or revoked"
        } else if !readers.contains(partner) {
            "it does not read the post that this answers"
        } else {
            "it is not among the chosen partners"
        }
    };
    let excluded = members.difference(&receives);
    let excluded: Vec<Value> = excluded
        .map(|partner| json!({"partner": home.partner_name(partner), "why": why(partner)}))
        .collect();
    let mut receives: Vec<String> = receives.iter().map(|it| home.partner_name(it)).collect();
    receives.sort_unstable();
    Ok(Answered(
        json!({"receives": receives, "excluded": excluded}),
    ))
}

/// The partners that read a channel, or a post of it.
pub async fn readers_of(web: &Web, room: &Room, about: Option<Pos>) -> Answer<BTreeSet<PartnerId>> {
    let channel = room.channel;
    let looked = web.home.node.handle.look(move |replica| {
        let channel = replica.channels().get(&channel)?;
        let members = channel.present().active();
        let lane = about.and_then(|about| channel.lane(&channel.lane_of(about)));
        Some(lane.map_or_else(
            || members.clone(),
            |lane| lane.readers(channel.history(), &members),
        ))
    });
    let readers = looked.await.map_err(failure::stopped)?;
    readers.ok_or_else(|| Failure::missing("channel"))
}

/// The other partners, and whether this node is linked with theirs.
async fn partners(me: Me, State(web): App) -> Answer<Answered<Value>> {
    me.must(&web, Action::SeeMesh)?;
    let peers = status::peers(&web.home.node).await?;
    let peers = peers.iter().map(|peer| {
        json!({
            "partner": peer.partner,
            "state": peer.state,
            "connected": peer.connected,
            "behind_events": peer.behind_events,
            "rtt_ms": peer.rtt_ms,
        })
    });
    Ok(Answered(peers.collect()))
}
