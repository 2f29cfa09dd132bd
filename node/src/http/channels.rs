//! Channels: those that partners share, the partner's own, and those between two users.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::Me;
use super::extract::{Json, Page, Query, id};
use super::failure::{Answer, Failure};
use super::socket::{Typing, types};
use super::{App, Web};
use crate::api::History;
use crate::home::feed::Room;
use crate::home::hub::Broadcast;
use crate::home::id::Id;
use crate::home::people::{Action, Marks};
use crate::home::shapes;
use crate::home::{begin, is_direct};
use crate::service;

/// Channels that one answer names at most.
const OFFERED: usize = 50;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/channels", post(create))
        .route("/channels/search", post(search_all))
        .route("/channels/members/{user}/view", post(view))
        .route("/channels/members/{user}/mark_read", post(view_many))
        .route("/channels/{channel}", get(one))
        .route("/channels/{channel}/privacy", put(set_privacy))
        .route("/channels/{channel}/stats", get(stats))
        .route("/channels/{channel}/timezones", get(nothing))
        .route("/channels/{channel}/pinned", get(super::posts::pinned))
        .route("/channels/{channel}/moderations", get(nothing))
        .route("/channels/{channel}/member_counts_by_group", get(nothing))
        .route("/channels/{channel}/bookmarks", get(nothing))
        .route("/channels/{channel}/members", get(members).post(join))
        .route("/channels/{channel}/members/ids", post(members_by_ids))
        .route(
            "/channels/{channel}/members/{user}",
            get(member).delete(leave),
        )
        .route(
            "/channels/{channel}/members/{user}/notify_props",
            put(notify),
        )
        .route("/sharedchannels/{channel}/remotes", get(remotes))
        .route("/teams/{team}/channels", get(of_team))
        .route("/teams/{team}/channels/deleted", get(nothing))
        .route("/teams/{team}/channels/name/{name}", get(by_name))
        .route("/teams/name/{team}/channels/name/{name}", get(by_names))
        .route("/teams/{team}/channels/search", post(search_team))
        .route("/teams/{team}/channels/autocomplete", get(autocomplete))
        .route(
            "/teams/{team}/channels/search_autocomplete",
            get(autocomplete),
        )
        .route("/users/{user}/channels", get(mine))
        .route("/users/{user}/channel_members", get(my_members))
        .route("/users/{user}/channels/{channel}/unread", get(unread))
        .route("/users/{user}/typing", post(typing))
        .route("/users/{user}/teams/{team}/channels", get(mine_in_team))
        .route(
            "/users/{user}/teams/{team}/channels/members",
            get(my_members_in_team),
        )
        .route(
            "/users/{user}/teams/{team}/channels/categories",
            get(categories).put(keep_categories),
        )
        .route(
            "/users/{user}/teams/{team}/channels/categories/order",
            get(category_order).put(keep_order),
        )
        .route(
            "/users/{user}/teams/{team}/channels/categories/{category}",
            delete(nothing_done),
        )
}

async fn nothing(_me: Me) -> Answered<Value> {
    Answered(json!([]))
}

async fn nothing_done(_me: Me) -> Answered<Value> {
    Answered(json!({"status": "OK"}))
}

async fn typing(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(typing): Json<Typing>,
) -> Answer<Answered<Value>> {
    types(&web, me.only(&user)?, &typing, None);
    Ok(Answered(json!({"status": "OK"})))
}

/// A channel that the asker is in; whoever is not gets the answer for one that does not exist.
pub fn room(web: &Web, me: &Me, channel: &str) -> Answer<Arc<Room>> {
    let found = web.home.room_for(&me.id(), &id(channel, "channel")?);
    found.ok_or_else(|| Failure::missing("channel"))
}

/// A channel that the asker may know of: one that it is in, or may join.
pub fn visible(web: &Web, me: &Me, room: &Room) -> bool {
    web.home.is_member(&me.id(), room)
        || (me.account.may(Action::JoinChannels)
            && web.home.is_open(room)
            && !is_direct(room)
            && !web.home.people.is_private(&room.id))
}

pub fn shape(web: &Web, me: &Me, room: &Room) -> Value {
    shapes::channel(&web.home, room, Some(&me.id()))
}

async fn one(me: Me, State(web): App, Path(channel): Path<String>) -> Answer<Answered<Value>> {
    let found = web.home.feed.room(&id(&channel, "channel")?);
    let found = found.filter(|room| visible(&web, &me, room));
    let found = found.ok_or_else(|| Failure::missing("channel"))?;
    Ok(Answered(shape(&web, &me, &found)))
}

#[derive(Deserialize)]
struct NewChannel {
    team_id: String,
    name: String,
    #[serde(default, rename = "type")]
    privacy: Privacy,
}

/// Who comes into a channel by itself.
#[derive(Deserialize, Default, Clone, Copy, PartialEq, Eq)]
enum Privacy {
    #[default]
    #[serde(rename = "O")]
    Open,
    #[serde(rename = "P")]
    Private,
}

/// Makes a channel of this partner alone; its release authority or sysadmin shares it.
async fn create(
    me: Me,
    State(web): App,
    Json(new): Json<NewChannel>,
) -> Answer<(StatusCode, Answered<Value>)> {
    me.must(&web, Action::MakeChannels)?;
    let home = &web.home;
    if id(&new.team_id, "team")? != home.own_team().id {
        return Err(Failure::forbidden(
            "What is shared with other partners is shared by an administrator: 'comity channel share'.",
        ));
    }
    if crate::home::is_reserved(&new.name) || new.name.is_empty() {
        return Err(Failure::bad(
            "A channel's name has letters, digits, '-' and '_'.",
        ));
    }
    let made = service::channels::create(&home.node, new.name, History::All, 0).await?;
    let room = home.room_by_hex(&made.id, |_| true).await?;
    if new.privacy == Privacy::Private {
        home.people.set_private(room.id, true)?;
    }
    let now = home.node.now_ms();
    home.people.mark(me.id(), room.id, true, |marks| {
        begin(marks, &room, now);
        marks.joined = Some(true);
        marks.is_admin = true;
    })?;
    tell_user(
        &web,
        me.id(),
        "channel_created",
        &json!({"channel_id": room.id, "team_id": home.team_id(&room)}),
    );
    Ok((StatusCode::CREATED, Answered(shape(&web, &me, &room))))
}

#[derive(Deserialize)]
struct NewPrivacy {
    privacy: Privacy,
}

/// Whoever made a channel says whether others of this partner come into it by themselves; in a shared
/// one that is the release authority's.
async fn set_privacy(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
    Json(new): Json<NewPrivacy>,
) -> Answer<Answered<Value>> {
    let room = room(&web, &me, &channel)?;
    let home = &web.home;
    let is_fixed = is_direct(&room) || room.name == crate::home::COMMON_ROOM;
    if is_fixed {
        return Err(Failure::bad("This channel is what it is for everybody."));
    }
    if !home.people.marks(me.id(), room.id).is_admin || room.is_shared() {
        me.must(&web, Action::ShareChannels)?;
    }
    let is_private = new.privacy == Privacy::Private;
    if is_private {
        // Who is in it by itself stays in it.
        for user in home.members(&room) {
            home.people
                .mark(user, room.id, true, |marks| marks.joined = Some(true))?;
        }
    }
    let text = format!("{} is private: {is_private}, by {}", room.channel, me.id());
    super::auth::record(&web, "channel_privacy", &text);
    home.people.set_private(room.id, is_private)?;
    let broadcast = Broadcast {
        channel: Some(room.id),
        ..Broadcast::default()
    };
    let data = json!({"channel_id": room.id});
    home.hub
        .publish("channel_converted", &data, &broadcast, |other| {
            home.is_member(other, &room)
        });
    Ok(Answered(shape(&web, &me, &room)))
}

pub fn tell_user(web: &Web, user: Id, event: &str, data: &Value) {
    let broadcast = Broadcast {
        user: Some(user),
        ..Broadcast::default()
    };
    web.home
        .hub
        .publish(event, data, &broadcast, |other| *other == user);
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Sought {
    term: String,
    name: String,
}

fn found(web: &Web, me: &Me, team: Option<Id>, term: &str) -> Vec<Value> {
    let home = &web.home;
    let term = term.to_lowercase();
    let rooms = home.rooms_of(&me.id()).into_iter();
    let rooms = rooms.filter(|room| team.is_none_or(|team| home.team_of(room).id == team));
    let rooms = rooms.filter(|room| {
        !is_direct(room)
            && shapes::display_name(home, room, Some(&me.id()))
                .to_lowercase()
                .contains(&term)
    });
    rooms
        .take(OFFERED)
        .map(|room| shape(web, me, &room))
        .collect()
}

async fn search_all(me: Me, State(web): App, Json(sought): Json<Sought>) -> Answered<Vec<Value>> {
    Answered(found(&web, &me, None, &sought.term))
}

async fn search_team(
    me: Me,
    State(web): App,
    Path(team): Path<String>,
    Json(sought): Json<Sought>,
) -> Answer<Answered<Vec<Value>>> {
    Ok(Answered(found(
        &web,
        &me,
        Some(id(&team, "team")?),
        &sought.term,
    )))
}

async fn autocomplete(
    me: Me,
    State(web): App,
    Path(team): Path<String>,
    Query(sought): Query<Sought>,
) -> Answer<Answered<Vec<Value>>> {
    Ok(Answered(found(
        &web,
        &me,
        Some(id(&team, "team")?),
        &sought.name,
    )))
}

async fn stats(me: Me, State(web): App, Path(channel): Path<String>) -> Answer<Answered<Value>> {
    let room = room(&web, &me, &channel)?;
    Ok(Answered(json!({
        "channel_id": room.id,
        "member_count": web.home.people_in(&room).len(),
        "guest_count": 0,
        "pinnedpost_count": 0,
        "files_count": 0,
    })))
}

fn member_shape(web: &Web, room: &Room, user: &Id) -> Value {
    let marks = match web.home.people.is_own(user) {
        true => web.home.marks(*user, room),
        false => Default::default(),
    };
    shapes::channel_member(room, user, &marks)
}

async fn members(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
    Query(page): Query<Page>,
) -> Answer<Answered<Vec<Value>>> {
    let room = room(&web, &me, &channel)?;
    let users = page.of(web.home.people_in(&room));
    Ok(Answered(
        users
            .iter()
            .map(|user| member_shape(&web, &room, user))
            .collect(),
    ))
}

async fn members_by_ids(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
    Json(users): Json<Vec<String>>,
) -> Answer<Answered<Vec<Value>>> {
    let room = room(&web, &me, &channel)?;
    let people = web.home.people_in(&room);
    let wanted = users.iter().filter_map(|user| Id::parse(user));
    let wanted = wanted.filter(|user| people.contains(user));
    Ok(Answered(
        wanted
            .map(|user| member_shape(&web, &room, &user))
            .collect(),
    ))
}

async fn member(
    me: Me,
    State(web): App,
    Path((channel, user)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    let room = room(&web, &me, &channel)?;
    let user = if user == "me" {
        me.id()
    } else {
        id(&user, "user")?
    };
    match web.home.people_in(&room).contains(&user) {
        true => Ok(Answered(member_shape(&web, &room, &user))),
        false => Err(Failure::missing("member")),
    }
}

#[derive(Deserialize)]
struct NewMember {
    user_id: String,
}

/// Adds a user of this partner: oneself to a channel that anybody may join, others to one that one
/// is in.
async fn join(
    me: Me,
    State(web): App,
    Path(channel): Path<String>,
    Json(new): Json<NewMember>,
) -> Answer<(StatusCode, Answered<Value>)> {
    let home = &web.home;
    let user = id(&new.user_id, "user")?;
    let room = home
        .feed
        .room(&id(&channel, "channel")?)
        .filter(|room| home.is_open(room));
    let room = room.filter(|room| visible(&web, &me, room));
    let room = room.ok_or_else(|| Failure::missing("channel"))?;
    if user != me.id() && !home.is_member(&me.id(), &room) {
        return Err(Failure::missing("channel"));
    }
    if user != me.id() {
        me.must(&web, Action::MakeChannels)?;
    }
    if !home.people.is_own(&user) || is_direct(&room) {
        return Err(Failure::forbidden(
            "Only this partner's own users can be added, and to no channel between users.",
        ));
    }
    let marks = join_room(&web, &room, user)?;
    Ok((
        StatusCode::CREATED,
        Answered(shapes::channel_member(&room, &user, &marks)),
    ))
}

/// A user of this partner comes into a channel that is not between two.
pub fn join_room(web: &Web, room: &Room, user: Id) -> Answer<Marks> {
    let home = &web.home;
    let now = home.node.now_ms();
    let marks = home.people.mark(user, room.id, true, |marks| {
        begin(marks, room, now);
        marks.joined = Some(true);
    })?;
    let data = json!({"user_id": user, "team_id": home.team_id(room)});
    let broadcast = Broadcast {
        channel: Some(room.id),
        ..Broadcast::default()
    };
    home.hub.publish("user_added", &data, &broadcast, |other| {
        home.is_member(other, room)
    });
    Ok(marks)
}

async fn leave(
    me: Me,
    State(web): App,
    Path((channel, user)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    let room = room(&web, &me, &channel)?;
    leave_room(&web, &room, me.only(&user)?)?;
    Ok(Answered(json!({"status": "OK"})))
}

/// A user leaves a channel.
pub fn leave_room(web: &Web, room: &Room, user: Id) -> Answer<()> {
    if is_direct(room) {
        return Err(Failure::bad("One does not leave a channel between users."));
    }
    web.home
        .people
        .mark(user, room.id, true, |marks| marks.joined = Some(false))?;
    let data = json!({"user_id": user, "remover_id": user, "channel_id": room.id});
    let home = &web.home;
    let broadcast = Broadcast {
        channel: Some(room.id),
        ..Broadcast::default()
    };
    home.hub
        .publish("user_removed", &data, &broadcast, |other| {
            *other == user || home.is_member(other, room)
        });
    Ok(())
}

async fn notify(
    me: Me,
    State(web): App,
    Path((channel, user)): Path<(String, String)>,
    Json(props): Json<Map<String, Value>>,
) -> Answer<Answered<Value>> {
    let room = room(&web, &me, &channel)?;
    let user = me.only(&user)?;
    let known = [
        "desktop",
        "email",
        "push",
        "mark_unread",
        "ignore_channel_mentions",
        "channel_auto_follow_threads",
    ];
    web.home.people.mark(user, room.id, true, |marks| {
        for key in known {
            if let Some(value) = props
                .get(key)
                .and_then(Value::as_str)
                .filter(|it| it.len() <= 16)
            {
                marks.notify_props.insert(key.into(), value.into());
            }
        }
    })?;
    Ok(Answered(json!({"status": "OK"})))
}

async fn remotes(me: Me, State(web): App, Path(channel): Path<String>) -> Answer<Answered<Value>> {
    Ok(Answered(shapes::remotes(
        &web.home,
        &*room(&web, &me, &channel)?,
    )))
}

fn in_team(web: &Web, me: &Me, team: &Id) -> Vec<Arc<Room>> {
    let home = &web.home;
    let mut rooms = home.rooms_of(&me.id());
    rooms.retain(|room| !is_direct(room) && home.team_of(room).id == *team);
    rooms
}

async fn of_team(
    me: Me,
    State(web): App,
    Path(team): Path<String>,
    Query(page): Query<Page>,
) -> Answer<Answered<Vec<Value>>> {
    let team = id(&team, "team")?;
    let mut rooms = web.home.feed.rooms();
    rooms.retain(|room| {
        visible(&web, &me, room) && !is_direct(room) && web.home.team_of(room).id == team
    });
    let rooms = page.of(rooms);
    Ok(Answered(
        rooms.iter().map(|room| shape(&web, &me, room)).collect(),
    ))
}

async fn by_name(
    me: Me,
    State(web): App,
    Path((team, name)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    named(&web, &me, &id(&team, "team")?, &name)
}

async fn by_names(
    me: Me,
    State(web): App,
    Path((team, name)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    let found = web.home.teams().into_iter().find(|it| it.name == team);
    named(
        &web,
        &me,
        &found.ok_or_else(|| Failure::missing("team"))?.id,
        &name,
    )
}

fn named(web: &Web, me: &Me, team: &Id, name: &str) -> Answer<Answered<Value>> {
    let rooms = web
        .home
        .feed
        .rooms()
        .into_iter()
        .filter(|room| visible(web, me, room));
    let mut rooms = rooms.filter(|room| is_direct(room) || web.home.team_of(room).id == *team);
    let found = rooms.find(|room| shapes::channel_name(&web.home, room) == name);
    let found = found.ok_or_else(|| Failure::missing("channel"))?;
    Ok(Answered(shape(web, me, &found)))
}

async fn mine(me: Me, State(web): App, Path(user): Path<String>) -> Answer<Answered<Vec<Value>>> {
    let user = me.only(&user)?;
    let rooms = web.home.rooms_of(&user);
    Ok(Answered(
        rooms.iter().map(|room| shape(&web, &me, room)).collect(),
    ))
}

async fn mine_in_team(
    me: Me,
    State(web): App,
    Path((user, team)): Path<(String, String)>,
) -> Answer<Answered<Vec<Value>>> {
    let user = me.only(&user)?;
    let mut rooms = in_team(&web, &me, &id(&team, "team")?);
    // Clients list direct channels beside those of any team.
    rooms.extend(
        web.home
            .rooms_of(&user)
            .into_iter()
            .filter(|room| is_direct(room)),
    );
    Ok(Answered(
        rooms.iter().map(|room| shape(&web, &me, room)).collect(),
    ))
}

async fn my_members(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Query(page): Query<Page>,
) -> Answer<Answered<Vec<Value>>> {
    let user = me.only(&user)?;
    let rooms = page.of(web.home.rooms_of(&user));
    Ok(Answered(
        rooms
            .iter()
            .map(|room| member_shape(&web, room, &user))
            .collect(),
    ))
}

async fn my_members_in_team(
    me: Me,
    State(web): App,
    Path((user, team)): Path<(String, String)>,
) -> Answer<Answered<Vec<Value>>> {
    let user = me.only(&user)?;
    let mut rooms = in_team(&web, &me, &id(&team, "team")?);
    rooms.extend(
        web.home
            .rooms_of(&user)
            .into_iter()
            .filter(|room| is_direct(room)),
    );
    Ok(Answered(
        rooms
            .iter()
            .map(|room| member_shape(&web, room, &user))
            .collect(),
    ))
}

async fn unread(
    me: Me,
    State(web): App,
    Path((user, channel)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    let room = room(&web, &me, &channel)?;
    let marks = web.home.marks(user, &room);
    Ok(Answered(json!({
        "team_id": web.home.team_id(&room),
        "channel_id": room.id,
        "msg_count": room.posts.saturating_sub(marks.seen),
        "msg_count_root": room.roots.saturating_sub(marks.seen_roots),
        "mention_count": marks.mentions,
        "mention_count_root": marks.mention_roots,
        "urgent_mention_count": 0,
        "last_viewed_at": marks.viewed_ms,
        "notify_props": {},
    })))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Viewed {
    channel_id: String,
}

async fn view(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(viewed): Json<Viewed>,
) -> Answer<Answered<Value>> {
    me.only(&user)?;
    let channels: Vec<String> = Some(viewed.channel_id)
        .into_iter()
        .filter(|it| !it.is_empty())
        .collect();
    saw(&web, &me, &channels)
}

async fn view_many(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(channels): Json<Vec<String>>,
) -> Answer<Answered<Value>> {
    me.only(&user)?;
    saw(&web, &me, &channels)
}

fn saw(web: &Web, me: &Me, channels: &[String]) -> Answer<Answered<Value>> {
    let mut times = Map::new();
    let now = web.home.node.now_ms();
    for channel in channels.iter().take(OFFERED * 20) {
        let room = room(web, me, channel)?;
        web.home.people.mark(me.id(), room.id, false, |marks| {
            begin(marks, &room, now);
            marks.seen = room.posts;
            marks.seen_roots = room.roots;
            marks.mentions = 0;
            marks.mention_roots = 0;
            marks.viewed_ms = now.max(room.last_ms);
        })?;
        times.insert(room.id.to_string(), now.max(room.last_ms).into());
    }
    if !times.is_empty() {
        tell_user(
            web,
            me.id(),
            "multiple_channels_viewed",
            &json!({"channel_times": times}),
        );
    }
    Ok(Answered(
        json!({"status": "OK", "last_viewed_at_times": times}),
    ))
}

/// Where a user's own order of channels is kept: with the preferences.
const CATEGORIES: &str = "comity_categories";

async fn categories(
    me: Me,
    State(web): App,
    Path((user, team)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    let team = id(&team, "team")?;
    let rooms = web.home.rooms_of(&user);
    let (direct, rest): (Vec<_>, Vec<_>) = rooms.iter().partition(|room| is_direct(room));
    let of_team = rest
        .into_iter()
        .filter(|room| web.home.team_of(room).id == team);
    let of_team: Vec<Id> = of_team.map(|room| room.id).collect();
    let direct: Vec<Id> = direct.into_iter().map(|room| room.id).collect();
    let kept = web.home.people.preferences(user);
    let kept = kept
        .iter()
        .filter(|it| it.category == CATEGORIES && it.name.starts_with(&team.to_string()));
    let kept: Vec<Value> = kept
        .filter_map(|it| serde_json::from_str(&it.value).ok())
        .collect();
    let list = [
        ("favorites", "Favorites"),
        ("channels", "Channels"),
        ("direct_messages", "Direct Messages"),
    ];
    let mut all = Vec::new();
    for (order, (form, name)) in list.into_iter().enumerate() {
        let own = format!("{form}_{user}_{team}");
        let mut category = json!({
            "id": own, "user_id": user, "team_id": team, "sort_order": order * 10,
            "sorting": if form == "direct_messages" { "recent" } else { "" },
            "type": form, "display_name": name, "muted": false, "collapsed": false,
        });
        if let Some(kept) = kept.iter().find(|it| it["id"] == own.as_str()) {
            for field in ["sorting", "muted", "collapsed"] {
                category[field] = kept[field].clone();
            }
            category["channel_ids"] = kept["channel_ids"].clone();
        }
        all.push((form, category));
    }
    let held = |category: &Value| -> Vec<Value> {
        category["channel_ids"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let favourites = held(&all[0].1);
    for (form, category) in &mut all {
        let all_of_kind: &[Id] = match *form {
            "channels" => &of_team,
            "direct_messages" => &direct,
            _ => &[],
        };
        let mut ids: Vec<Value> = held(category);
        ids.retain(|it| *form == "favorites" || !favourites.contains(it));
        for room in all_of_kind {
            let room = json!(room);
            if !ids.contains(&room) && !favourites.contains(&room) {
                ids.push(room);
            }
        }
        category["channel_ids"] = ids.into();
    }
    let order: Vec<Value> = all.iter().map(|(_, it)| it["id"].clone()).collect();
    let all: Vec<Value> = all.into_iter().map(|(_, it)| it).collect();
    Ok(Answered(json!({"categories": all, "order": order})))
}

async fn keep_categories(
    me: Me,
    State(web): App,
    Path((user, team)): Path<(String, String)>,
    Json(categories): Json<Vec<Value>>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    let team = id(&team, "team")?;
    let form = |it: &Value| {
        it["type"]
            .as_str()
            .unwrap_or("custom")
            .chars()
            .take(16)
            .collect::<String>()
    };
    let kept = categories
        .iter()
        .take(3)
        .map(|it| crate::home::people::Preference {
            category: CATEGORIES.into(),
            name: format!("{team}_{}", form(it)),
            value: it.to_string(),
        });
    if !web.home.people.prefer(user, kept.collect(), &[])? {
        return Err(Failure::bad("Those are too many channels to sort."));
    }
    Ok(Answered(json!(categories)))
}

async fn category_order(
    me: Me,
    Path((user, team)): Path<(String, String)>,
) -> Answer<Answered<Vec<String>>> {
    let user = me.only(&user)?;
    let kinds = ["favorites", "channels", "direct_messages"];
    Ok(Answered(
        kinds
            .iter()
            .map(|kind| format!("{kind}_{user}_{team}"))
            .collect(),
    ))
}

async fn keep_order(_me: Me, Json(order): Json<Vec<String>>) -> Answered<Vec<String>> {
    Answered(order)
}
