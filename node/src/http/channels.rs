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
use super::{App, Web};
use crate::api::History;
use crate::home::feed::Room;
use crate::home::hub::Broadcast;
use crate::home::id::Id;
use crate::home::shapes;
use crate::home::{begin, is_direct};
use crate::service;

/// Channels that one answer names at most.
const OFFERED: usize = 50;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/channels", post(create))
        .route("/channels/direct", post(direct))
        .route("/channels/group", post(no_group))
        .route("/channels/search", post(search_all))
        .route("/channels/members/{user}/view", post(view))
        .route("/channels/members/{user}/mark_read", post(view_many))
        .route("/channels/{channel}", get(one))
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
        .route(
            "/users/{user}/channels/{channel}/typing",
            post(nothing_done),
        )
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

/// A channel that the asker is in; whoever is not gets the answer for one that does not exist.
pub fn room(web: &Web, me: &Me, channel: &str) -> Answer<Arc<Room>> {
    let found = web.home.room_for(&me.id(), &id(channel, "channel")?);
    found.ok_or_else(|| Failure::missing("channel"))
}

/// A channel that the asker may know of: one that it is in, or may join.
fn visible(web: &Web, me: &Me, room: &Room) -> bool {
    web.home.is_member(&me.id(), room) || (web.home.is_open(room) && !is_direct(room))
}

fn shape(web: &Web, me: &Me, room: &Room) -> Value {
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
}

/// Makes a channel of this partner alone; its sysadmin shares it.
async fn create(
    me: Me,
    State(web): App,
    Json(new): Json<NewChannel>,
) -> Answer<(StatusCode, Answered<Value>)> {
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

/// Opens the channel between two users, the asker being one of them.
async fn direct(
    me: Me,
    State(web): App,
    Json(users): Json<Vec<String>>,
) -> Answer<(StatusCode, Answered<Value>)> {
    let [one, other] = users.as_slice() else {
        return Err(Failure::bad("A direct channel has two users."));
    };
    let (one, other) = (id(one, "user")?, id(other, "user")?);
    let other = match (one == me.id(), other == me.id()) {
        (true, _) => other,
        (_, true) => one,
        _ => return Err(Failure::forbidden("Neither of them is you.")),
    };
    let room = web.home.direct(me.id(), other).await?;
    let data = json!({"creator_id": me.id(), "teammate_id": other, "channel_id": room.id});
    for user in web.home.members(&room) {
        tell_user(&web, user, "direct_added", &data);
    }
    Ok((StatusCode::CREATED, Answered(shape(&web, &me, &room))))
}

async fn no_group(_me: Me) -> Failure {
    Failure::new(
        StatusCode::NOT_IMPLEMENTED,
        "comity.no_group_messages.app_error",
        "This version has no group messages: use a channel, or a direct message each.",
    )
}

fn tell_user(web: &Web, user: Id, event: &str, data: &Value) {
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
    if !home.people.is_own(&user) || is_direct(&room) {
        return Err(Failure::forbidden(
            "Only this partner's own users can be added, and to no direct channel.",
        ));
    }
    let now = home.node.now_ms();
    let marks = home.people.mark(user, room.id, true, |marks| {
        begin(marks, &room, now);
        marks.joined = Some(true);
    })?;
    let data = json!({"user_id": user, "team_id": home.team_id(&room)});
    let broadcast = Broadcast {
        channel: Some(room.id),
        ..Broadcast::default()
    };
    home.hub.publish("user_added", &data, &broadcast, |other| {
        home.is_member(other, &room)
    });
    Ok((
        StatusCode::CREATED,
        Answered(shapes::channel_member(&room, &user, &marks)),
    ))
}

async fn leave(
    me: Me,
    State(web): App,
    Path((channel, user)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    let room = room(&web, &me, &channel)?;
    let user = me.only(&user)?;
    if is_direct(&room) {
        return Err(Failure::bad("One does not leave a direct channel."));
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
            *other == user || home.is_member(other, &room)
        });
    Ok(Answered(json!({"status": "OK"})))
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
