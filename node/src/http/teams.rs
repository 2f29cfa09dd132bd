//! Teams: the partner's own, and one for each group of partners that hold channels together.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use serde_json::{Value, json};

use super::auth::Me;
use super::extract::{Json, Page, Query, id};
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::home::id::Id;
use crate::home::people::Action;
use crate::home::shapes;
use crate::home::{Team, is_direct};

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/teams", get(list))
        .route("/teams/search", post(all))
        .route("/teams/{team}", get(one))
        .route("/teams/name/{name}", get(by_name))
        .route("/teams/name/{name}/exists", get(exists))
        .route("/teams/{team}/stats", get(stats))
        .route("/teams/{team}/image", get(no_image))
        .route("/teams/{team}/members", get(members))
        .route("/teams/{team}/members/ids", post(members_by_ids))
        .route("/teams/{team}/members/{user}", get(member))
        .route("/users/{user}/teams", get(of_user))
        .route("/users/{user}/teams/members", get(members_of_user))
        .route("/users/{user}/teams/unread", get(unread))
        .route("/users/{user}/teams/{team}/unread", get(unread_one))
}

/// The teams that a user knows of: all, and for whoever may not look for channels the partner's own
/// and those of its channels.
fn teams(web: &Web, me: &Me) -> Vec<Team> {
    let mut teams = web.home.teams();
    if !me.account.may(Action::JoinChannels) {
        let rooms = web.home.rooms_of(&me.id());
        let own = web.home.own_team().id;
        let mut known: BTreeSet<Id> = rooms.iter().map(|it| web.home.team_of(it).id).collect();
        known.insert(own);
        teams.retain(|team| known.contains(&team.id));
    }
    teams
}

fn team(web: &Web, me: &Me, text: &str) -> Answer<Team> {
    let id = id(text, "team")?;
    let found = teams(web, me).into_iter().find(|team| team.id == id);
    found.ok_or_else(|| Failure::missing("team"))
}

async fn list(me: Me, State(web): App, Query(page): Query<Page>) -> Answered<Vec<Value>> {
    Answered(page.of(teams(&web, &me).iter().map(shapes::team).collect()))
}

async fn all(me: Me, State(web): App) -> Answered<Vec<Value>> {
    Answered(teams(&web, &me).iter().map(shapes::team).collect())
}

async fn one(me: Me, State(web): App, Path(name): Path<String>) -> Answer<Answered<Value>> {
    Ok(Answered(shapes::team(&team(&web, &me, &name)?)))
}

async fn by_name(me: Me, State(web): App, Path(name): Path<String>) -> Answer<Answered<Value>> {
    let found = teams(&web, &me).into_iter().find(|team| team.name == name);
    let found = found.map(|team| Answered(shapes::team(&team)));
    found.ok_or_else(|| Failure::missing("team"))
}

async fn exists(me: Me, State(web): App, Path(name): Path<String>) -> Answered<Value> {
    Answered(json!({"exists": teams(&web, &me).iter().any(|team| team.name == name)}))
}

async fn stats(me: Me, State(web): App, Path(name): Path<String>) -> Answer<Answered<Value>> {
    let team = team(&web, &me, &name)?;
    let users = web.home.people.active_ids().len();
    Ok(Answered(json!({
        "team_id": team.id,
        "total_member_count": users,
        "active_member_count": users,
    })))
}

async fn no_image() -> Failure {
    Failure::missing("team's picture")
}

async fn members(
    me: Me,
    State(web): App,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Answer<Answered<Vec<Value>>> {
    let team = team(&web, &me, &name)?;
    let users = page.of(web.home.people.active_ids());
    Ok(Answered(
        users
            .iter()
            .map(|user| shapes::team_member(&team, user))
            .collect(),
    ))
}

async fn members_by_ids(
    me: Me,
    State(web): App,
    Path(name): Path<String>,
    Json(users): Json<Vec<String>>,
) -> Answer<Answered<Vec<Value>>> {
    let team = team(&web, &me, &name)?;
    let own = users.iter().filter_map(|it| id(it, "user").ok());
    let own = own.filter(|user| web.home.people.is_own(user));
    Ok(Answered(
        own.map(|user| shapes::team_member(&team, &user)).collect(),
    ))
}

async fn member(
    me: Me,
    State(web): App,
    Path((name, user)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    let team = team(&web, &me, &name)?;
    let user = if user == "me" {
        me.id()
    } else {
        id(&user, "user")?
    };
    match web.home.people.is_own(&user) {
        true => Ok(Answered(shapes::team_member(&team, &user))),
        false => Err(Failure::missing("member")),
    }
}

async fn of_user(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
) -> Answer<Answered<Vec<Value>>> {
    me.only(&user)?;
    Ok(Answered(
        teams(&web, &me).iter().map(shapes::team).collect(),
    ))
}

async fn members_of_user(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
) -> Answer<Answered<Vec<Value>>> {
    let user = me.only(&user)?;
    let teams = teams(&web, &me);
    Ok(Answered(
        teams
            .iter()
            .map(|team| shapes::team_member(team, &user))
            .collect(),
    ))
}

async fn unread(me: Me, State(web): App, Path(user): Path<String>) -> Answer<Answered<Vec<Value>>> {
    me.only(&user)?;
    let teams = teams(&web, &me);
    Ok(Answered(
        teams
            .iter()
            .map(|team| unread_of(&web, &me, team))
            .collect(),
    ))
}

async fn unread_one(
    me: Me,
    State(web): App,
    Path((user, name)): Path<(String, String)>,
) -> Answer<Answered<Value>> {
    me.only(&user)?;
    Ok(Answered(unread_of(&web, &me, &team(&web, &me, &name)?)))
}

fn unread_of(web: &Web, me: &Me, team: &Team) -> Value {
    let home = &web.home;
    let [mut posts, mut roots, mut mentions, mut mention_roots] = [0; 4];
    for room in home.rooms_of(&me.id()) {
        if is_direct(&room) || home.team_of(&room).id != team.id {
            continue;
        }
        let marks = home.marks(me.id(), &room);
        posts += room.posts.saturating_sub(marks.seen);
        roots += room.roots.saturating_sub(marks.seen_roots);
        mentions += marks.mentions;
        mention_roots += marks.mention_roots;
    }
    json!({
        "team_id": team.id,
        "msg_count": posts,
        "msg_count_root": roots,
        "mention_count": mentions,
        "mention_count_root": mention_roots,
        "thread_count": 0,
        "thread_mention_count": 0,
        "thread_urgent_mention_count": 0,
    })
}
