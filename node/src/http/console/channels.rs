//! Channels as those see them who decide which partners are in them: names, members, how far they are
//! final. No message, and of direct channels the number.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::auth::Me;
use super::super::extract::Json;
use super::super::failure::{Answer, Failure};
use super::super::{App, Web};
use super::order;
use crate::api::{ChannelInfo, Decided, History, MembershipAct, Role};
use crate::home::direct;
use crate::home::people::Action;
use crate::service::channels;
use crate::service::prospect::{Decision, Preview};

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/console/channels", get(list).post(create))
        .route("/console/channels/{channel}", get(one))
        .route("/console/channels/{channel}/preview", post(preview))
        .route("/console/channels/{channel}/decisions", post(decide))
        .route("/console/channels/{channel}/accept", post(accept))
        .route("/console/channels/{channel}/leave", post(leave))
}

async fn list(me: Me, State(web): App) -> Answer<Answered<Value>> {
    me.must(&web, Action::SeeChannels)?;
    let all = channels::list(&web.home.node).await?;
    let (direct, named): (Vec<ChannelInfo>, Vec<ChannelInfo>) =
        all.into_iter().partition(|it| direct::is_name(&it.name));
    Ok(Answered(
        json!({"channels": named, "direct_channels": direct.len()}),
    ))
}

/// A channel with its lanes and proposals.
async fn one(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
) -> Answer<Answered<ChannelInfo>> {
    me.must(&web, Action::SeeChannels)?;
    Ok(Answered(named(&web, &channel).await?))
}

/// A channel that is no talk of two users.
async fn named(web: &Web, channel: &str) -> Answer<ChannelInfo> {
    let info = channels::show(&web.home.node, channel).await?;
    match direct::is_name(&info.name) {
        true => Err(Failure::missing("channel")),
        false => Ok(info),
    }
}

#[derive(Deserialize)]
struct New {
    name: String,
    #[serde(default)]
    history: History,
    #[serde(default)]
    quorum: u8,
}

/// Makes a channel with rules of its own.
async fn create(
    me: Me,
    State(web): App,
    Json(new): Json<New>,
) -> Answer<(StatusCode, Answered<ChannelInfo>)> {
    me.must(&web, Action::ShareChannels)?;
    if direct::is_reserved(&new.name) {
        return Err(Failure::bad(
            "Names of this form are those of channels between users: choose another.",
        ));
    }
    order(&web, &me, &format!("channel {}", new.name))?;
    let made = channels::create(&web.home.node, new.name, new.history, new.quorum).await?;
    Ok((StatusCode::CREATED, Answered(made)))
}

/// A decision about a partner's membership.
#[derive(Deserialize)]
struct Wanted {
    act: MembershipAct,
    partner: String,
    role: Option<Role>,
    /// What the preview called itself.
    #[serde(default)]
    seen: String,
}

impl Wanted {
    fn decision<'a>(&'a self, channel: &'a str) -> Decision<'a> {
        Decision {
            channel,
            act: self.act,
            partner: &self.partner,
            role: match self.act {
                MembershipAct::Invite | MembershipAct::Grant => self.role,
                MembershipAct::Remove | MembershipAct::Suspend => None,
            },
        }
    }

    /// What lets somebody in is a release; what ends a membership is for those, too, who see to
    /// the partner's security.
    fn action(&self) -> Action {
        match self.act {
            MembershipAct::Invite | MembershipAct::Grant => Action::ShareChannels,
            MembershipAct::Remove | MembershipAct::Suspend => Action::RemovePartners,
        }
    }
}

/// What a decision would do; nothing is written.
async fn preview(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Answer<Answered<Preview>> {
    me.must(&web, Action::SeeChannels)?;
    let preview = wanted.decision(&channel).preview(&web.home.node).await?;
    Ok(Answered(preview))
}

/// Takes a decision as it was previewed: carries it out or, where owners have to stand behind it,
/// endorses it.
async fn decide(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
    Json(wanted): Json<Wanted>,
) -> Answer<Answered<Decided>> {
    me.must(&web, wanted.action())?;
    let node = &web.home.node;
    let role = wanted.role.map_or("", Role::as_str);
    let what = format!(
        "{} {} {role} in {channel}",
        wanted.act.as_str(),
        wanted.partner
    );
    order(&web, &me, &what)?;
    let decided = wanted.decision(&channel).take(node, &wanted.seen).await?;
    Ok(Answered(decided))
}

/// Accepts another partner's invitation.
async fn accept(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
) -> Answer<Answered<ChannelInfo>> {
    me.must(&web, Action::ShareChannels)?;
    let channel = named(&web, &channel).await?.id;
    order(&web, &me, &format!("acceptance of channel {channel}"))?;
    channels::accept(&web.home.node, &channel).await?;
    Ok(Answered(named(&web, &channel).await?))
}

/// Ends this partner's own membership.
async fn leave(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
) -> Answer<Answered<ChannelInfo>> {
    me.must(&web, Action::ShareChannels)?;
    let channel = named(&web, &channel).await?.id;
    order(&web, &me, &format!("leaving channel {channel}"))?;
    channels::leave(&web.home.node, &channel).await?;
    Ok(Answered(named(&web, &channel).await?))
}
