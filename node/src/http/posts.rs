//! Posts, threads, reactions, pins, and finding them again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json as Answered, Router};
use comity_protocol::graph::Pos;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::Me;
use super::extract::{Json, Page, Query, id};
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::api::LabelInfo;
use crate::home::feed::{Place, Room};
use crate::home::hub::Broadcast;
use crate::home::id::Id;
use crate::home::people::Preference;
use crate::home::posting::NewPost;
use crate::home::shapes::{self, Post};

/// Posts that one answer holds at most.
const POSTS: usize = 1_000;
/// What may have reached others in between is told again: clients leave out what they have.
const SINCE_SLACK_MS: u64 = 2_000;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/posts", post(create))
        .route("/posts/ids", post(by_ids))
        .route("/posts/ids/reactions", post(reactions_of_many))
        .route("/posts/{post}", get(one).put(update).delete(withdraw))
        .route("/posts/{post}/patch", put(update))
        .route("/posts/{post}/thread", get(thread))
        .route("/posts/{post}/pin", post(pin))
        .route("/posts/{post}/unpin", post(unpin))
        .route("/posts/{post}/reactions", get(reactions))
        .route("/posts/{post}/files/info", get(super::files::of_post))
        .route("/posts/{post}/info", get(whereabouts))
        .route("/reactions", post(react))
        .route(
            "/users/{user}/posts/{post}/reactions/{emoji}",
            delete(take_back),
        )
        .route("/users/{user}/posts/{post}/set_unread", post(set_unread))
        .route("/users/{user}/posts/flagged", get(flagged))
        .route("/channels/{channel}/posts", get(of_channel))
        .route(
            "/users/{user}/channels/{channel}/posts/unread",
            get(around_unread),
        )
        .route("/teams/{team}/posts/search", post(search))
        .route("/posts/search", post(search_all))
        .route("/users/{user}/teams/{team}/threads", get(threads))
        .route("/users/{user}/teams/{team}/threads/read", put(ok))
        .route(
            "/users/{user}/teams/{team}/threads/{thread}/following",
            put(ok).delete(ok),
        )
        .route(
            "/users/{user}/teams/{team}/threads/{thread}/read/{time}",
            put(ok),
        )
}

async fn ok(_me: Me) -> Answered<Value> {
    Answered(json!({"status": "OK"}))
}

/// A list of posts, the newest first.
fn list(posts: Vec<Post>, next: Option<Id>, prev: Option<Id>) -> Value {
    let text = |id: Option<Id>| id.map_or_else(String::new, |id| id.to_string());
    let order: Vec<Id> = posts.iter().map(|post| post.id).collect();
    let posts: BTreeMap<String, Post> = posts
        .into_iter()
        .map(|post| (post.id.to_string(), post))
        .collect();
    json!({
        "order": order,
        "posts": posts,
        "next_post_id": text(next),
        "prev_post_id": text(prev),
        "has_next": false,
        "first_inaccessible_post_time": 0,
    })
}

fn place(web: &Web, me: &Me, post: &str) -> Answer<(Id, Arc<Room>, Place)> {
    let id = id(post, "post")?;
    let (room, place) = web
        .home
        .post_for(&me.id(), &id)
        .ok_or_else(|| Failure::missing("post"))?;
    Ok((id, room, place))
}

async fn render_one(web: &Web, room: &Room, place: Place) -> Answer<Post> {
    let post = web.home.render(room, &[place]).await?.pop();
    post.ok_or_else(|| Failure::missing("post"))
}

#[derive(Deserialize)]
struct Created {
    channel_id: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    root_id: String,
    #[serde(default)]
    file_ids: Option<Vec<String>>,
    #[serde(default)]
    pending_post_id: String,
    #[serde(default)]
    props: Option<Map<String, Value>>,
}

/// What a new post's properties say of who reads it. One that cannot be read is refused: what was
/// meant for some never goes to all.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    comity_to: Option<Vec<String>>,
    comity_label: Option<LabelInfo>,
}

impl Said {
    fn of(props: Option<Map<String, Value>>) -> Answer<Said> {
        let props = Value::Object(props.unwrap_or_default());
        let said = serde_json::from_value::<Said>(props).map_err(|error| {
            Failure::bad(format!(
                "'comity_to' is a list of partners' names, 'comity_label' a label: {error}."
            ))
        })?;
        if said.comity_to.as_ref().is_some_and(Vec::is_empty) {
            return Err(Failure::bad(
                "'comity_to' names no partner: leave it out where the post is for all.",
            ));
        }
        Ok(said)
    }
}

async fn create(
    me: Me,
    State(web): App,
    Json(new): Json<Created>,
) -> Answer<(StatusCode, Answered<Post>)> {
    let room = super::channels::room(&web, &me, &new.channel_id)?;
    let root = match new.root_id.is_empty() {
        true => None,
        false => Some(id(&new.root_id, "post")?),
    };
    let mut files = Vec::new();
    for file in new.file_ids.unwrap_or_default() {
        files.push(id(&file, "file")?);
    }
    let said = Said::of(new.props)?;
    let post = NewPost {
        message: new.message,
        root,
        files,
        asked_as: new.pending_post_id,
        to: said.comity_to.unwrap_or_default(),
        label: said.comity_label,
    };
    let asked_ms = web.home.node.now_ms();
    let made = web.home.post(&me.account, &room, post).await?;
    // What was asked for before was told then.
    if made.create_at >= asked_ms {
        web.home.offer_to_programs(&room, &made);
    }
    Ok((StatusCode::CREATED, Answered(made)))
}

async fn one(me: Me, State(web): App, Path(post): Path<String>) -> Answer<Answered<Post>> {
    let (_, room, place) = place(&web, &me, &post)?;
    let post = render_one(&web, &room, place).await?;
    match post.delete_at {
        0 => Ok(Answered(post)),
        _ => Err(Failure::missing("post")),
    }
}

/// Where a post stands, for following a link to it. Whoever may not read it is told that there is none.
async fn whereabouts(me: Me, State(web): App, Path(post): Path<String>) -> Answer<Answered<Value>> {
    let (_, room, place) = place(&web, &me, &post)?;
    if render_one(&web, &room, place).await?.delete_at != 0 {
        return Err(Failure::missing("post"));
    }
    let home = &web.home;
    let team = home.team_of(&room);
    Ok(Answered(json!({
        "channel_id": room.id,
        "channel_type": shapes::channel_type(&web.home, &room),
        "channel_display_name": shapes::display_name(home, &room, Some(&me.id())),
        "has_joined_channel": true,
        "team_id": home.team_id(&room),
        "team_type": "O",
        "team_display_name": team.display_name,
        "has_joined_team": true,
    })))
}

async fn by_ids(
    me: Me,
    State(web): App,
    Json(ids): Json<Vec<String>>,
) -> Answer<Answered<Vec<Post>>> {
    let mut posts = Vec::new();
    for text in ids.iter().take(POSTS) {
        if let Ok((_, room, place)) = place(&web, &me, text) {
            posts.push(render_one(&web, &room, place).await?);
        }
    }
    posts.retain(|post| post.delete_at == 0);
    Ok(Answered(posts))
}

#[derive(Deserialize)]
struct Changed {
    message: Option<String>,
    #[serde(default)]
    is_pinned: Option<bool>,
}

/// Only the author edits a post; another partner's user never is.
async fn update(
    me: Me,
    State(web): App,
    Path(post): Path<String>,
    Json(changed): Json<Changed>,
) -> Answer<Answered<Post>> {
    let (_, room, place) = place(&web, &me, &post)?;
    let held = render_one(&web, &room, place).await?;
    if held.delete_at != 0 {
        return Err(Failure::missing("post"));
    }
    if let Some(message) = changed.message.filter(|message| *message != held.message) {
        demand_author(&me, &place)?;
        web.home.edit(&me.account, &place, message).await?;
    }
    if let Some(pinned) = changed.is_pinned.filter(|pinned| *pinned != held.is_pinned) {
        web.home.pin(&me.account, &place, pinned).await?;
    }
    Ok(Answered(render_one(&web, &room, place).await?))
}

fn demand_author(me: &Me, place: &Place) -> Answer<()> {
    match place.author == me.id() {
        true => Ok(()),
        false => Err(Failure::forbidden(
            "Only its author may change or withdraw a post.",
        )),
    }
}

async fn withdraw(me: Me, State(web): App, Path(post): Path<String>) -> Answer<Answered<Value>> {
    let (_, room, place) = place(&web, &me, &post)?;
    demand_author(&me, &place)?;
    if render_one(&web, &room, place).await?.delete_at == 0 {
        web.home.withdraw(&me.account, &place).await?;
    }
    Ok(ok(me).await)
}

async fn thread(me: Me, State(web): App, Path(post): Path<String>) -> Answer<Answered<Value>> {
    let (id, room, place) = place(&web, &me, &post)?;
    let root = place.root.unwrap_or(id);
    let first = web.home.feed.place(&root).unwrap_or(place);
    let answers = web.home.feed.thread(&root);
    let mut places = vec![first];
    places.extend(answers.into_iter().map(|(_, place)| place).take(POSTS - 1));
    let mut posts = web.home.render(&room, &places).await?;
    posts.retain(|post| post.delete_at == 0);
    posts.reverse();
    Ok(Answered(list(posts, None, None)))
}

async fn pin(me: Me, State(web): App, Path(post): Path<String>) -> Answer<Answered<Value>> {
    let (_, _, place) = place(&web, &me, &post)?;
    web.home.pin(&me.account, &place, true).await?;
    Ok(ok(me).await)
}

async fn unpin(me: Me, State(web): App, Path(post): Path<String>) -> Answer<Answered<Value>> {
    let (_, _, place) = place(&web, &me, &post)?;
    web.home.pin(&me.account, &place, false).await?;
    Ok(ok(me).await)
}

pub async fn pinned(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
) -> Answer<Answered<Value>> {
    let room = super::channels::room(&web, &me, &channel)?;
    let places = web.home.pinned(&room).await?;
    let mut posts = web.home.render(&room, &places).await?;
    posts.retain(|post| post.is_pinned && post.delete_at == 0);
    posts.reverse();
    Ok(Answered(list(posts, None, None)))
}

async fn reactions(me: Me, State(web): App, Path(post): Path<String>) -> Answer<Answered<Value>> {
    let (_, room, place) = place(&web, &me, &post)?;
    Ok(Answered(json!(
        render_one(&web, &room, place).await?.metadata.reactions
    )))
}

async fn reactions_of_many(
    me: Me,
    State(web): App,
    Json(posts): Json<Vec<String>>,
) -> Answer<Answered<Value>> {
    let mut all = Map::new();
    for post in posts.iter().take(POSTS) {
        if let Ok((id, room, place)) = place(&web, &me, post) {
            let reactions = render_one(&web, &room, place).await?.metadata.reactions;
            all.insert(id.to_string(), json!(reactions));
        }
    }
    Ok(Answered(all.into()))
}

#[derive(Deserialize)]
struct Given {
    user_id: String,
    post_id: String,
    emoji_name: String,
}

async fn react(
    me: Me,
    State(web): App,
    Json(given): Json<Given>,
) -> Answer<(StatusCode, Answered<Value>)> {
    me.only(&given.user_id)?;
    let (_, room, place) = place(&web, &me, &given.post_id)?;
    check_emoji(&given.emoji_name)?;
    web.home
        .react(&me.account, &place, &given.emoji_name, false)
        .await?;
    let held = render_one(&web, &room, place).await?.metadata.reactions;
    let own = |it: &&crate::home::shapes::Reaction| {
        it.user_id == me.id() && it.emoji_name == given.emoji_name
    };
    let reaction = held.iter().find(own).cloned();
    let reaction = reaction.ok_or_else(|| Failure::missing("reaction"))?;
    Ok((StatusCode::CREATED, Answered(json!(reaction))))
}

fn check_emoji(name: &str) -> Answer<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte);
    match (1..=64).contains(&name.len()) && name.bytes().all(legal) {
        true => Ok(()),
        false => Err(Failure::bad(
            "A reaction is the name of an emoji: letters, digits, '_', '-' and '+'.",
        )),
    }
}

async fn take_back(
    me: Me,
    State(web): App,
    Path((user, post, emoji)): Path<(String, String, String)>,
) -> Answer<Answered<Value>> {
    me.only(&user)?;
    let (_, room, place) = place(&web, &me, &post)?;
    let held = render_one(&web, &room, place).await?.metadata.reactions;
    if !held
        .iter()
        .any(|it| it.user_id == me.id() && it.emoji_name == emoji)
    {
        return Err(Failure::missing("reaction"));
    }
    web.home.react(&me.account, &place, &emoji, true).await?;
    Ok(ok(me).await)
}

/// All from a post on counts as unread again.
async fn set_unread(
    me: Me,
    State(web): App,
    Path((user, post)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    let (_, room, place) = place(&web, &me, &post)?;
    let after = web.home.posts_from(&room, place.pos).await?;
    let marks = web.home.people.mark(user, room.id, false, |marks| {
        marks.seen = room.posts.saturating_sub(after);
        marks.seen_roots = room.roots.saturating_sub(after);
        marks.viewed_ms = place.created_ms.saturating_sub(1);
    })?;
    let unread = json!({
        "team_id": web.home.team_id(&room),
        "user_id": user,
        "channel_id": room.id,
        "msg_count": marks.seen,
        "msg_count_root": marks.seen_roots,
        "mention_count": marks.mentions,
        "mention_count_root": marks.mention_roots,
        "urgent_mention_count": 0,
        "last_viewed_at": marks.viewed_ms,
    });
    let broadcast = Broadcast {
        user: Some(user),
        channel: Some(room.id),
        ..Broadcast::default()
    };
    web.home
        .hub
        .publish("post_unread", &unread, &broadcast, |other| *other == user);
    Ok(Answered(unread))
}

/// Posts that the user has saved: clients keep these marks with the preferences.
async fn flagged(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Query(page): Query<Page>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    let kept = web.home.people.preferences(user);
    let saved = |it: &&Preference| it.category == "flagged_post" && it.value == "true";
    let saved: Vec<String> = kept
        .iter()
        .filter(saved)
        .map(|it| it.name.clone())
        .collect();
    let mut posts = Vec::new();
    for post in page.of(saved) {
        if let Ok((_, room, place)) = place(&web, &me, &post) {
            posts.push(render_one(&web, &room, place).await?);
        }
    }
    posts.retain(|post| post.delete_at == 0);
    posts.sort_by_key(|post| std::cmp::Reverse(post.create_at));
    Ok(Answered(list(posts, None, None)))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Wanted {
    since: u64,
    before: String,
    after: String,
    include_deleted: bool,
}

async fn of_channel(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
    Query(page): Query<Page>,
    Query(wanted): Query<Wanted>,
) -> Answer<Answered<Value>> {
    let room = super::channels::room(&web, &me, &channel)?;
    if wanted.since != 0 {
        return since(&web, &room, wanted.since).await;
    }
    let anchor = |text: &str| -> Answer<Option<Pos>> {
        match text.is_empty() {
            true => Ok(None),
            false => {
                let (_, there, place) = place(&web, &me, text)?;
                match there.id == room.id {
                    true => Ok(Some(place.pos)),
                    false => Err(Failure::missing("post")),
                }
            }
        }
    };
    let (before, after) = (anchor(&wanted.before)?, anchor(&wanted.after)?);
    let (skip, size) = (page.skip(), page.size());
    let found = match after {
        Some(after) => {
            web.home
                .window(&room, Some(after), true, skip, size)
                .await?
        }
        None => web.home.window(&room, before, false, skip, size).await?,
    };
    let mut posts = web.home.render(&room, &found.places).await?;
    posts.retain(|post| wanted.include_deleted || post.delete_at == 0);
    posts.reverse();
    Ok(Answered(list(posts, found.next, found.prev)))
}

/// What changed since a time, withdrawn posts included, the newest first.
async fn since(web: &Web, room: &Room, since_ms: u64) -> Answer<Answered<Value>> {
    let changed = web
        .home
        .feed
        .changed_since(&room.channel, since_ms.saturating_sub(SINCE_SLACK_MS));
    let latest = changed.len().saturating_sub(POSTS);
    let places: Vec<Place> = changed[latest..].iter().map(|(_, place)| *place).collect();
    let mut posts = web.home.render(room, &places).await?;
    posts.sort_by_key(|post| std::cmp::Reverse(post.create_at));
    Ok(Answered(list(posts, None, None)))
}

#[derive(Deserialize)]
#[serde(default)]
struct Around {
    limit_before: usize,
    limit_after: usize,
}

impl Default for Around {
    fn default() -> Around {
        Around {
            limit_before: 60,
            limit_after: 60,
        }
    }
}

async fn around_unread(
    me: Me,
    State(web): App,
    Path((user, channel)): Path<(String, String)>,
    Query(around): Query<Around>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    let room = super::channels::room(&web, &me, &channel)?;
    let marks = web.home.marks(user, &room);
    let unread = usize::try_from(room.posts.saturating_sub(marks.seen)).unwrap_or(usize::MAX);
    let (before, after) = (around.limit_before.min(200), around.limit_after.min(200));
    // The last ones where all is read, or where more is unread than is asked for.
    let skip = unread.saturating_sub(after);
    let size = (before + after.min(unread)).max(1);
    let found = web.home.window(&room, None, false, skip, size).await?;
    let mut posts = web.home.render(&room, &found.places).await?;
    posts.retain(|post| post.delete_at == 0);
    posts.reverse();
    Ok(Answered(list(posts, found.next, found.prev)))
}

#[derive(Deserialize)]
struct Sought {
    terms: String,
    #[serde(default)]
    is_or_search: bool,
    #[serde(default)]
    time_zone_offset: i64,
    #[serde(default)]
    page: usize,
    #[serde(default)]
    per_page: Option<usize>,
}

async fn search_all(
    me: Me,
    State(web): App,
    Json(sought): Json<Sought>,
) -> Answer<Answered<Value>> {
    found(&web, &me, &sought, None).await
}

async fn search(
    me: Me,
    State(web): App,
    Path(team): Path<String>,
    Json(sought): Json<Sought>,
) -> Answer<Answered<Value>> {
    found(&web, &me, &sought, Some(id(&team, "team")?)).await
}

async fn found(web: &Web, me: &Me, sought: &Sought, team: Option<Id>) -> Answer<Answered<Value>> {
    let size = sought.per_page.unwrap_or(60).clamp(1, 200);
    let skip = sought.page.saturating_mul(size);
    let query = (
        sought.terms.as_str(),
        sought.is_or_search,
        sought.time_zone_offset,
    );
    let ids = web
        .home
        .search(&me.id(), query, team, skip, size)
        .await
        .map_err(Failure::bad)?;
    let mut posts = Vec::new();
    for id in ids {
        if let Some((room, place)) = web.home.post_for(&me.id(), &id) {
            posts.extend(web.home.render(&room, &[place]).await?);
        }
    }
    posts.retain(|post| post.delete_at == 0);
    let mut answer = list(posts, None, None);
    answer["matches"] = json!({});
    Ok(Answered(answer))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Threads {
    #[serde(rename = "totalsOnly")]
    totals_only: bool,
    per_page: Option<usize>,
}

/// Threads that the user has written in or begun.
async fn threads(
    me: Me,
    State(web): App,
    Path((user, team)): Path<(String, String)>,
    Query(wanted): Query<Threads>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    let team = id(&team, "team")?;
    let home = &web.home;
    let mut followed = home.feed.threads_with(&user);
    followed.retain(|(_, place, _)| {
        let room = home.feed.room_of(&place.channel);
        room.is_some_and(|room| home.is_member(&user, &room) && home.team_of(&room).id == team)
    });
    let total = followed.len();
    let mut threads = Vec::new();
    let most = if wanted.totals_only {
        0
    } else {
        wanted.per_page.unwrap_or(30).min(200)
    };
    for (root, place, last_ms) in followed.into_iter().take(most) {
        let Some(room) = home.feed.room_of(&place.channel) else {
            continue;
        };
        let post = render_one(&web, &room, place).await?;
        let authors: BTreeSet<Id> = home
            .feed
            .thread(&root)
            .iter()
            .map(|(_, it)| it.author)
            .collect();
        let participants: Vec<Value> = authors.iter().map(|id| json!({"id": id})).collect();
        threads.push(json!({
            "id": root, "reply_count": post.reply_count, "last_reply_at": last_ms,
            "last_viewed_at": last_ms, "participants": participants, "post": post,
            "unread_replies": 0, "unread_mentions": 0, "is_urgent": false, "delete_at": 0,
        }));
    }
    Ok(Answered(json!({
        "total": total, "total_unread_threads": 0, "total_unread_mentions": 0,
        "total_unread_urgent_mentions": 0,
        "threads": if wanted.totals_only { Value::Null } else { threads.into() },
    })))
}
