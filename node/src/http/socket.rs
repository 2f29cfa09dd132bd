//! The WebSocket: who asks is known at the upgrade, or says so in the first frame; then come events,
//! and small questions are answered.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::auth::{full_session, token_of};
use super::extract::Query;
use super::{App, SPOKEN, Web};
use crate::home::hub::{Attached, Broadcast, Outgoing};
use crate::home::id::Id;
use crate::home::people::Session;
use crate::home::presence::tell_typing;

/// How long a client may take to say who it is.
const CHALLENGE: Duration = Duration::from_secs(5);
/// How often a client is pinged, and how long one that says nothing is kept.
const PING: Duration = Duration::from_secs(60);
const SILENCE: Duration = Duration::from_secs(100);
/// How long a client may take to accept a frame: one that takes nothing is gone.
const SEND: Duration = Duration::from_secs(30);
/// The longest frame of a client: its questions are short.
const FRAME_BYTES: usize = 64 << 10;
/// Frames of one client in a second: more have to wait.
const FRAMES_PER_S: u32 = 20;

pub fn routes() -> Router<Arc<Web>> {
    Router::new().route("/websocket", get(upgrade))
}

#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
struct Opening {
    connection_id: String,
    sequence_number: Option<i64>,
}

async fn upgrade(
    State(web): App,
    headers: HeaderMap,
    Query(opening): Query<Opening>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let token = token_of(&headers).filter(|(_, by_cookie)| !by_cookie || is_same_origin(&headers));
    let session = token.and_then(|(token, _)| full_session(&web, &token));
    upgrade
        .max_message_size(FRAME_BYTES)
        .max_frame_size(FRAME_BYTES)
        .on_upgrade(move |socket| run(web, socket, session, opening))
}

/// A browser sends cookies with another site's socket, too, and says which site that is.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    match (text("origin"), text("host")) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, own)| own == host),
        (None, _) => true,
        _ => false,
    }
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    seq: i64,
    #[serde(default)]
    action: String,
    #[serde(default)]
    data: Value,
}

async fn run(web: Arc<Web>, mut socket: WebSocket, session: Option<Session>, opening: Opening) {
    let session = match session {
        Some(session) => session,
        None => match challenge(&web, &mut socket).await {
            Some(session) => session,
            None => return,
        },
    };
    let attached = attach(&web, &session, &opening);
    let user = session.user;
    super::misc::came_online(&web, user);
    let attached = converse(&web, socket, &session, attached).await;
    web.home.hub.detach(&attached, web.home.node.now_ms());
    super::misc::went_offline(&web, user);
}

/// The first frame of a client that sent no token before.
async fn challenge(web: &Web, socket: &mut WebSocket) -> Option<Session> {
    let asked = loop {
        match timeout(CHALLENGE, socket.recv()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                break serde_json::from_str::<Asked>(&text).ok()?;
            }
            Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            _ => return None,
        }
    };
    let token = asked.data["token"].as_str()?;
    let session =
        full_session(web, token).filter(|_| asked.action == "authentication_challenge")?;
    let answer = json!({"status": "OK", "seq_reply": asked.seq}).to_string();
    socket.send(Message::Text(answer.into())).await.ok()?;
    Some(session)
}

fn attach(web: &Web, session: &Session, opening: &Opening) -> Attached {
    let hub = &web.home.hub;
    let earlier = Id::parse(&opening.connection_id);
    let next = opening
        .sequence_number
        .and_then(|next| u64::try_from(next).ok());
    if let (Some(earlier), Some(next)) = (earlier, next)
        && let Some(attached) = hub.resume(session.user, session.id, earlier, next)
    {
        return attached;
    }
    let connection = Id(crate::random::bytes());
    let hello = json!({
        "connection_id": connection,
        "server_version": format!("{SPOKEN}.{SPOKEN}.comity.false"),
        "server_hostname": web.home.node.identity.name.as_str(),
    });
    hub.attach(session.user, session.id, connection, hello)
}

/// Goes on until one side ends it.
async fn converse(
    web: &Arc<Web>,
    socket: WebSocket,
    session: &Session,
    mut attached: Attached,
) -> Attached {
    let (mut sink, mut stream) = socket.split();
    for told in std::mem::take(&mut attached.missed) {
        let sent = timeout(SEND, sink.send(Message::Text(told.text().into()))).await;
        if !matches!(sent, Ok(Ok(()))) {
            return attached;
        }
    }
    let mut heard = Instant::now();
    let mut ping = tokio::time::interval_at(heard + PING, PING);
    let mut pace = (Instant::now(), 0u32);
    loop {
        let frame = tokio::select! {
            biased;
            outgoing = attached.next() => match outgoing {
                Some(Outgoing::Text(told)) => Message::Text(told.text().into()),
                Some(Outgoing::Over) => closing(4003, "the session is over"),
                None => closing(4001, "too far behind: begin anew"),
            },
            came = stream.next() => {
                heard = Instant::now();
                let Some(Ok(message)) = came else { return attached };
                match message {
                    Message::Text(text) => {
                        slow_down(&mut pace).await;
                        match answer(web, session, &attached, &text) {
                            Some(answer) => Message::Text(answer.to_string().into()),
                            None => continue,
                        }
                    }
                    Message::Close(_) => return attached,
                    _ => continue,
                }
            }
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE || !web.home.people.is_live(session) {
                    return attached;
                }
                Message::Ping(Vec::new().into())
            }
        };
        let last = matches!(frame, Message::Close(_));
        let sent = timeout(SEND, sink.send(frame)).await;
        if last || !matches!(sent, Ok(Ok(()))) {
            return attached;
        }
    }
}

fn closing(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}

async fn slow_down((since, count): &mut (Instant, u32)) {
    *count += 1;
    if *count > FRAMES_PER_S {
        tokio::time::sleep_until(*since + Duration::from_secs(1)).await;
    }
    if since.elapsed() >= Duration::from_secs(1) {
        (*since, *count) = (Instant::now(), 0);
    }
}

/// The answer to a frame, if it gets one.
fn answer(web: &Arc<Web>, session: &Session, attached: &Attached, text: &str) -> Option<Value> {
    let asked: Asked = match serde_json::from_str(text) {
        Ok(asked) => asked,
        Err(error) => {
            let error =
                json!({"id": "api.websocket.invalid_message", "message": error.to_string()});
            return Some(json!({"status": "FAIL", "error": error, "seq_reply": 0}));
        }
    };
    let data = match asked.action.as_str() {
        "ping" => json!({"text": "pong", "version": SPOKEN, "server_time": web.home.node.now_ms()}),
        "user_typing" => {
            typing(web, session, attached, &asked.data);
            Value::Null
        }
        "get_statuses" => super::misc::all_statuses(web),
        "get_statuses_by_ids" => {
            let ids = asked.data["user_ids"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            super::misc::statuses_of(web, ids.iter().filter_map(Value::as_str))
        }
        "user_update_active_status"
        | "presence"
        | "posted_notify_ack"
        | "authentication_challenge" => Value::Null,
        _ => {
            let error = json!({"id": "api.websocket_handler.unknown_action", "message": "This node knows no such action."});
            return Some(json!({"status": "FAIL", "error": error, "seq_reply": asked.seq}));
        }
    };
    let mut answer = json!({"status": "OK", "seq_reply": asked.seq});
    if !data.is_null() {
        answer["data"] = data;
    }
    Some(answer)
}

fn typing(web: &Arc<Web>, session: &Session, attached: &Attached, data: &Value) {
    if let Ok(typing) = serde_json::from_value::<Typing>(data.clone()) {
        types(web, session.user, &typing, Some(attached.connection));
    }
}

/// That somebody types, as clients say it.
#[derive(Deserialize)]
pub struct Typing {
    channel_id: Id,
    #[serde(default)]
    parent_id: String,
    #[serde(default)]
    comity_narrowed: bool,
}

/// Tells others in a channel that a user types.
pub fn types(web: &Arc<Web>, user: Id, typing: &Typing, on: Option<Id>) {
    let home = &web.home;
    let Some(room) = home.room_for(&user, &typing.channel_id) else {
        return;
    };
    let parent = Id::parse(&typing.parent_id);
    // Whoever writes to some partners only is not seen by the others to write.
    if !typing.comity_narrowed {
        tokio::spawn(tell_typing(home.clone(), user, room.clone(), parent));
    }
    let parent = parent.map_or_else(String::new, |parent| parent.to_string());
    let told = json!({"parent_id": parent, "user_id": user});
    let broadcast = Broadcast {
        channel: Some(room.id),
        omit_user: Some(user),
        omit_connection: on,
        ..Broadcast::default()
    };
    home.hub.publish("typing", &told, &broadcast, |user| {
        home.is_member(user, &room)
    });
}
