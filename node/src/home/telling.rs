//! Tells the people here what comes to stand in their channels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use comity_protocol::authority::Status;
use comity_protocol::event::Kind;
use comity_protocol::id::{ChannelId, EventId};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::feed::{self, News, Place, Room};
use super::hub::Broadcast;
use super::id::Id;
use super::roster::Learned;
use super::shapes::{self, Post, mentioned};
use super::{Home, begin, is_direct};
use crate::committer::Committed;
use crate::service::channels;

/// Events that are told of together.
const TOGETHER: usize = 512;
/// Users that clients are told of when a roster comes: they ask for others when they need them.
const USERS_TOLD: usize = 100;

/// Goes on until the committer has ended.
pub async fn run(home: Arc<Home>, mut committed: mpsc::UnboundedReceiver<Committed>) {
    let mut waiting = Vec::new();
    while committed.recv_many(&mut waiting, TOGETHER).await > 0 {
        let (mut batch, mut secrets) = (Vec::new(), Vec::new());
        for one in waiting.drain(..) {
            match one {
                Committed::Event(event) => batch.push(*event),
                Committed::Secret(key_event) => secrets.push(key_event),
            }
        }
        let taking = home.clone();
        let now = home.node.now_ms();
        let taken = home
            .node
            .handle
            .look(move |replica| taking.feed.take(replica, &batch, now));
        // The node is stopping.
        let Ok((news, learned)) = taken.await else {
            return;
        };
        tell_all(&home, news, learned).await;
        home.told.notify_waiters();
        if let Err(error) = tell_readable(&home, secrets).await {
            tracing::warn!(%error, "what can be read now could not be told");
        }
    }
}

/// Posts that came before their key, and can be read now.
async fn tell_readable(home: &Home, secrets: Vec<EventId>) -> Result<(), crate::api::ApiError> {
    if secrets.is_empty() {
        return Ok(());
    }
    let looked = home.node.handle.look(move |replica| {
        let channels = replica.channels().values();
        let sealed = channels.map(|channel| {
            let under = |kind| feed::sealed_under(channel, &secrets, kind);
            (channel.id, under(Kind::Post), under(Kind::Roster))
        });
        sealed
            .filter(|(_, posts, rosters)| !posts.is_empty() || !rosters.is_empty())
            .collect::<Vec<_>>()
    });
    let sealed = looked.await.map_err(crate::service::failure::stopped)?;
    for (channel, posts, rosters) in sealed {
        if !rosters.is_empty() {
            let learned = home.take_rosters(channel, &rosters).await?;
            tell_users(home, &learned);
            learn_between(home, !learned.changed.is_empty());
        }
        let Some(room) = home.feed.room_of(&channel) else {
            continue;
        };
        let places = posts
            .into_iter()
            .map(|pos| home.feed.place_at(channel, pos));
        let places: Vec<Place> = places.collect();
        for post in home.render(&room, &places).await? {
            home.finder.take(&post);
            tell(home, &room, "post_edited", &json!({"post": post.text()}));
        }
    }
    Ok(())
}

/// Users of other partners that are new, or look otherwise than before.
fn tell_users(home: &Home, learned: &Learned) {
    home.note_over(learned);
    for user in learned.changed.iter().take(USERS_TOLD) {
        let Some(remote) = home
            .feed
            .remote_user(user)
            .filter(|_| !home.people.is_own(user))
        else {
            continue;
        };
        let data = json!({"user": shapes::remote_user(home, user, &remote)});
        home.hub
            .publish("user_updated", &data, &Broadcast::default(), |_| true);
    }
}

async fn tell_all(home: &Home, news: Vec<News>, learned: Learned) {
    // Who asks for what it has just written need not wait until others are told of it.
    home.told.notify_waiters();
    let has_acts = news.iter().any(|it| it.kind.is_control_act());
    if has_acts {
        home.learn_names().await;
        accept_calls(home).await;
        // Who came in is to be told of this partner's users.
        home.people.changed.notify_one();
    }
    tell_users(home, &learned);
    learn_between(home, has_acts || !learned.changed.is_empty());
    let mut by_channel: BTreeMap<ChannelId, Vec<News>> = BTreeMap::new();
    for one in news {
        by_channel.entry(one.channel).or_default().push(one);
    }
    for (channel, news) in by_channel {
        let Some(room) = home.feed.room_of(&channel) else {
            continue;
        };
        if news.iter().any(|it| it.kind.is_control_act()) {
            tell(
                home,
                &room,
                "channel_updated",
                &json!({"channel": shapes::channel(home, &room, None).to_string()}),
            );
        }
        if let Err(error) = tell_messages(home, &room, &news).await {
            tracing::warn!(%error, "what came to a channel could not be told");
        }
    }
}

/// Finds out who is in channels between users, and tells those who are in a group since.
fn learn_between(home: &Home, are_others_new: bool) {
    home.learn_pairs();
    for (room, users) in home.learn_groups(are_others_new) {
        home.tell_group(&room, &users);
    }
}

/// A peer's user wants to talk with some of this partner's: the channel between them is taken without
/// asking, as a call is put through. It shows once somebody here is known to be in it.
async fn accept_calls(home: &Home) {
    for room in home.feed.rooms() {
        if room.own != Status::Invited || !home.is_call(&room) {
            continue;
        }
        if let Err(error) = channels::accept(&home.node, &room.channel.to_hex()).await {
            tracing::warn!(%error, "a direct channel is not accepted");
        }
    }
}

/// Posts that came, and posts that changed: each is read once, as it is now.
async fn tell_messages(
    home: &Home,
    room: &Room,
    news: &[News],
) -> Result<(), crate::api::ApiError> {
    let files = news.iter().filter(|it| it.kind == Kind::File);
    let files: Vec<_> = files.map(|it| it.pos).collect();
    home.take_files(room, &files).await?;
    let fresh = news.iter().filter_map(|it| shapes::fresh(home, room, it));
    let mut posts: BTreeMap<Id, Post> = fresh.map(|post| (post.id, post)).collect();
    // A reaction and a receipt are told without their post: to read it, with all that others heap on
    // it, for each of them would be what slows everybody.
    let reads = |it: &&News| !matches!(it.kind, Kind::React | Kind::Receipt);
    let changed: BTreeSet<Id> = news.iter().filter(reads).filter_map(subject).collect();
    let changed = changed.iter().filter(|id| !posts.contains_key(id));
    let places: Vec<Place> = changed.filter_map(|id| home.feed.place(id)).collect();
    if !places.is_empty() {
        let read = home.render(room, &places).await?;
        posts.extend(read.into_iter().map(|post| (post.id, post)));
    }
    posts.values().for_each(|post| home.finder.take(post));
    for one in news {
        let Some(id) = subject(one) else { continue };
        if one.kind == Kind::React && home.feed.place(&id).is_some() {
            reacted(home, room, one, id);
        }
        let Some(post) = posts.get(&id) else {
            continue;
        };
        match one.kind {
            Kind::Post => posted(home, room, one, post),
            Kind::File if one.about.is_none() => posted(home, room, one, post),
            Kind::Redact => tell(home, room, "post_deleted", &json!({"post": post.text()})),
            Kind::React | Kind::Receipt => {}
            _ => tell(home, room, "post_edited", &json!({"post": post.text()})),
        }
    }
    Ok(())
}

/// The post that a piece of news is told by.
fn subject(news: &News) -> Option<Id> {
    match (news.kind, &news.about) {
        (Kind::Post, _) | (Kind::File, None) => Some(Id::of_event(&news.event)),
        (_, about) => about.map(|(id, _)| id),
    }
}

fn posted(home: &Home, room: &Room, news: &News, post: &Post) {
    if post.delete_at != 0 {
        return;
    }
    let mentions = mention(home, room, news, post);
    let name = home.user_name(&news.partner, &news.user);
    let mut data = json!({
        "channel_display_name": shapes::display_name(home, room, None),
        "channel_name": shapes::channel_name(home, room),
        "channel_type": shapes::channel_type(home, room),
        "post": post.text(),
        "sender_name": format!("@{name}"),
        "set_online": true,
        "team_id": home.team_id(room),
    });
    if !mentions.is_empty() {
        data["mentions"] = Value::String(json!(mentions).to_string());
    }
    tell(home, room, "posted", &data);
    // Those of this partner are offered when a user asks for them: what a program said is not.
    if news.partner != home.node.partner && news.fresh.is_some() {
        home.offer_to_programs(room, post);
    }
}

/// Counts a post for those whom it mentions; in direct channels it mentions everybody.
fn mention(home: &Home, room: &Room, news: &News, post: &Post) -> Vec<Id> {
    let author = Id::of_user(&news.partner, &news.user);
    let named = mentioned(&post.message);
    let all = is_direct(room)
        || named
            .iter()
            .any(|it| matches!(*it, "all" | "channel" | "here"));
    let mut users: Vec<Id> = match all {
        true => home.members(room),
        false => {
            let accounts = named.iter().filter_map(|name| home.called(name));
            accounts
                .map(|account| account.id)
                .filter(|id| home.is_member(id, room))
                .collect()
        }
    };
    users.retain(|user| *user != author);
    users.sort_unstable();
    users.dedup();
    let now = home.node.now_ms();
    let mut before = room.clone();
    before.posts = before.posts.saturating_sub(1);
    before.roots = before
        .roots
        .saturating_sub(u64::from(post.root_id.is_empty()));
    for user in &users {
        let counted = home.people.mark(*user, room.id, false, |marks| {
            begin(marks, &before, now);
            marks.mentions += 1;
            marks.mention_roots += u64::from(post.root_id.is_empty());
        });
        if let Err(error) = counted {
            tracing::warn!(%error, "a mention is not counted");
        }
    }
    if home.people.is_own(&author) {
        // Who writes has seen what is there.
        let seen = home.people.mark(author, room.id, false, |marks| {
            begin(marks, room, now);
            marks.seen = marks.seen.max(room.posts);
            marks.seen_roots = marks.seen_roots.max(room.roots);
            marks.viewed_ms = now;
        });
        if let Err(error) = seen {
            tracing::warn!(%error, "what an author has seen is not noted");
        }
    }
    users
}

fn reacted(home: &Home, room: &Room, news: &News, post: Id) {
    if let Some((emoji, withdrawn)) = &news.reaction {
        let reaction = shapes::Reaction {
            user_id: Id::of_user(&news.partner, &news.user),
            post_id: post,
            emoji_name: emoji.clone(),
            create_at: news.t_ms,
            update_at: news.t_ms,
            delete_at: if *withdrawn { news.t_ms } else { 0 },
            remote_id: home.remote_id(&news.partner),
            channel_id: room.id,
        };
        let event = match withdrawn {
            true => "reaction_removed",
            false => "reaction_added",
        };
        let text = serde_json::to_string(&reaction).unwrap_or_default();
        tell(home, room, event, &json!({"reaction": text}));
    }
}

/// Tells those who are in a channel.
pub fn tell(home: &Home, room: &Room, event: &str, data: &Value) {
    let broadcast = Broadcast {
        channel: Some(room.id),
        ..Broadcast::default()
    };
    home.hub
        .publish(event, data, &broadcast, |user| home.is_member(user, room));
}
