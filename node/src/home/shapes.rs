//! What clients are told, in the shapes of Mattermost's API (version 4): posts, channels, users,
//! teams.

use comity_protocol::authority::Status;
use comity_protocol::id::PartnerId;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::direct::is_group;
use super::feed::{News, RemoteUser, Room};
use super::id::Id;
use super::people::{Account, AccountRole, CUSTOM_STATUS, Marks, Preference, Session, SessionKind};
use super::roster::first_and_last;
use super::{COMMON_ROOM, Home, Team, is_direct};
use crate::api::{FileInfo, LabelInfo, PostInfo};

/// A post as clients know it.
#[derive(Debug, Clone, Serialize)]
pub struct Post {
    pub id: Id,
    pub create_at: u64,
    pub update_at: u64,
    pub edit_at: u64,
    pub delete_at: u64,
    pub is_pinned: bool,
    pub user_id: Id,
    pub channel_id: Id,
    pub root_id: String,
    pub original_id: String,
    pub message: String,
    #[serde(rename = "type")]
    pub form: String,
    pub props: Map<String, Value>,
    pub hashtags: String,
    pub file_ids: Vec<Id>,
    pub pending_post_id: String,
    pub remote_id: Option<Id>,
    pub reply_count: u64,
    pub last_reply_at: u64,
    pub participants: Option<Vec<Value>>,
    pub is_following: Option<bool>,
    pub metadata: Metadata,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Metadata {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reactions: Vec<Reaction>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Reaction {
    pub user_id: Id,
    pub post_id: Id,
    pub emoji_name: String,
    pub create_at: u64,
    pub update_at: u64,
    pub delete_at: u64,
    pub remote_id: Option<Id>,
    pub channel_id: Id,
}

impl Post {
    /// As it travels inside of WebSocket events.
    pub fn text(&self) -> String {
        // Plain data in memory always encodes.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The id that clients use for an event whose id is written in hexadecimal digits.
pub fn id_of_hex(hex: &str) -> Option<Id> {
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(Id(bytes))
}

/// A message.
pub fn post(home: &Home, room: &Room, info: &PostInfo) -> Option<Post> {
    let id = id_of_hex(&info.id)?;
    let (user_id, remote) = home.author_id(&info.author);
    let place = home.feed.place(&id);
    let updated = place.map_or(info.create_at, |place| place.updated_ms);
    let root = match place {
        Some(place) => place.root,
        // Written, and asked for before the index has it: the post itself says what it answers.
        None => info
            .reply_to
            .as_deref()
            .and_then(id_of_hex)
            .map(|parent| home.feed.thread_of(&parent)),
    };
    let deleted = info.state == "withdrawn";
    let reaction = |given: &crate::api::ReactionInfo| {
        let (user_id, remote) = home.author_id(&given.author);
        Reaction {
            user_id,
            post_id: id,
            emoji_name: given.emoji.clone(),
            create_at: given.create_at,
            update_at: given.create_at,
            delete_at: 0,
            remote_id: remote.and_then(|partner| home.remote_id(&partner)),
            channel_id: room.id,
        }
    };
    let mut files = home.files.of_post(&id);
    // Anybody who may write in the channel may say that a file belongs to a post; the post's own
    // author alone makes it part of the post.
    files.retain(|file| file.user == user_id);
    let message = match &info.message {
        Some(message) => message.clone(),
        None if deleted => String::new(),
        None => format!("*({})*", info.why.as_deref().unwrap_or("cannot be shown")),
    };
    let mut props = marks(info.late, info.forked, info.label.as_ref());
    if info.form == crate::api::LaneForm::Directed {
        props.insert("comity_audience".into(), json!(info.audience));
    }
    Some(Post {
        create_at: info.create_at,
        update_at: updated.max(info.create_at),
        edit_at: info.edit_at.unwrap_or(0),
        delete_at: if deleted { updated.max(1) } else { 0 },
        is_pinned: info.pinned,
        root_id: root.map_or_else(String::new, |root| root.to_string()),
        hashtags: hashtags(&message),
        message,
        props,
        file_ids: files.iter().map(|file| file.id).collect(),
        reply_count: info.replies,
        last_reply_at: info.last_reply_at,
        metadata: Metadata {
            files: files.iter().map(|file| file.shape()).collect(),
            reactions: info.reactions.iter().map(reaction).collect(),
        },
        ..empty(home, room, id, user_id, remote)
    })
}

/// A message that has just come, and that nothing was done to yet.
pub fn fresh(home: &Home, room: &Room, news: &News) -> Option<Post> {
    let fresh = news.fresh.as_ref()?;
    let id = Id::of_event(&news.event);
    let remote = (news.partner != home.node.partner).then_some(news.partner);
    let updated = home
        .feed
        .place(&id)
        .map_or(news.t_ms, |place| place.updated_ms);
    let label = fresh.label.as_ref().map(LabelInfo::from);
    let mut props = marks(fresh.late, fresh.forked, label.as_ref());
    if let Some(audience) = &fresh.audience {
        let mut names: Vec<String> = audience.iter().map(|it| home.partner_name(it)).collect();
        names.sort_unstable();
        props.insert("comity_audience".into(), json!(names));
    }
    Some(Post {
        create_at: fresh.claimed_ms,
        update_at: updated.max(fresh.claimed_ms),
        root_id: news
            .about
            .map_or_else(String::new, |(root, _)| root.to_string()),
        hashtags: hashtags(&fresh.message),
        message: fresh.message.clone(),
        props,
        ..empty(
            home,
            room,
            id,
            Id::of_user(&news.partner, &news.user),
            remote,
        )
    })
}

/// What is to be known of a post beside its text.
fn marks(late: bool, forked: bool, label: Option<&LabelInfo>) -> Map<String, Value> {
    let mut props = Map::new();
    if let Some(label) = label {
        props.insert("comity_label".into(), json!(label));
    }
    if late {
        props.insert("comity_late".into(), true.into());
    }
    if forked {
        props.insert("comity_forked".into(), true.into());
    }
    props
}

/// A post without anything in it.
fn empty(home: &Home, room: &Room, id: Id, user_id: Id, remote: Option<PartnerId>) -> Post {
    Post {
        id,
        create_at: 0,
        update_at: 0,
        edit_at: 0,
        delete_at: 0,
        is_pinned: false,
        user_id,
        channel_id: room.id,
        root_id: String::new(),
        original_id: String::new(),
        message: String::new(),
        form: String::new(),
        props: Map::new(),
        hashtags: String::new(),
        file_ids: Vec::new(),
        pending_post_id: String::new(),
        remote_id: remote.and_then(|partner| home.remote_id(&partner)),
        reply_count: 0,
        last_reply_at: 0,
        participants: None,
        is_following: None,
        metadata: Metadata::default(),
    }
}

/// A file that belongs to no message stands for itself.
pub fn file_post(home: &Home, room: &Room, info: &FileInfo) -> Option<Post> {
    let id = id_of_hex(&info.id)?;
    let (user_id, remote) = home.author_id(&info.author);
    let updated = home
        .feed
        .place(&id)
        .map_or(info.create_at, |place| place.updated_ms);
    let file = home.files.get(&id);
    Some(Post {
        create_at: info.create_at,
        update_at: updated.max(info.create_at),
        delete_at: if info.state == "withdrawn" {
            updated.max(1)
        } else {
            0
        },
        file_ids: file.iter().map(|file| file.id).collect(),
        metadata: Metadata {
            files: file.iter().map(|file| file.shape()).collect(),
            reactions: Vec::new(),
        },
        ..empty(home, room, id, user_id, remote)
    })
}

/// `O` for channels that one may join, `P` for others, `D` between two users, `G` between some.
pub fn channel_type(home: &Home, room: &Room) -> &'static str {
    match is_direct(room) {
        true if is_group(room) => "G",
        true => "D",
        false if home.people.is_private(&room.id) => "P",
        false => "O",
    }
}

/// The name that clients find a channel by.
pub fn channel_name(home: &Home, room: &Room) -> String {
    match home.pair_of(room) {
        // As clients make the name up themselves.
        Some((one, other)) => {
            let (one, other) = (one.to_string(), other.to_string());
            let (low, high) = if one <= other {
                (one, other)
            } else {
                (other, one)
            };
            format!("{low}__{high}")
        }
        None => room.name.clone(),
    }
}

/// What people read above a channel; a channel between users has the others' names.
pub fn display_name(home: &Home, room: &Room, viewer: Option<&Id>) -> String {
    if let Some(name) = home.name_between(room, viewer) {
        return name;
    }
    match room.name.as_str() {
        COMMON_ROOM => format!("{}: everybody", home.node.identity.name.as_str()),
        name => name.to_string(),
    }
}

/// With whom a channel is shared, in words.
fn shared_with(home: &Home, room: &Room) -> String {
    let others = room
        .members()
        .filter(|partner| **partner != home.node.partner);
    let mut names: Vec<String> = others.map(|partner| home.partner_name(partner)).collect();
    names.sort_unstable();
    match names.is_empty() {
        true => String::new(),
        false => format!("Shared with {}", names.join(", ")),
    }
}

pub fn channel(home: &Home, room: &Room, viewer: Option<&Id>) -> Value {
    json!({
        "id": room.id,
        "create_at": room.created_ms,
        "update_at": room.created_ms.max(room.last_ms),
        "delete_at": 0,
        "team_id": home.team_id(room),
        "type": channel_type(home, room),
        "display_name": display_name(home, room, viewer),
        "name": channel_name(home, room),
        "header": shared_with(home, room),
        "purpose": "",
        "last_post_at": room.last_ms,
        "last_root_post_at": room.last_ms,
        "total_msg_count": room.posts,
        "total_msg_count_root": room.roots,
        "extra_update_at": 0,
        "creator_id": "",
        "scheme_id": "",
        "props": null,
        "group_constrained": false,
        "shared": room.is_shared(),
    })
}

pub fn channel_member(room: &Room, user: &Id, marks: &Marks) -> Value {
    let mut notify = json!({
        "desktop": "default", "email": "default", "push": "default",
        "mark_unread": "all", "ignore_channel_mentions": "default",
    });
    for (key, value) in &marks.notify_props {
        notify[key] = value.as_str().into();
    }
    json!({
        "channel_id": room.id,
        "user_id": user,
        "roles": if marks.is_admin { "channel_user channel_admin" } else { "channel_user" },
        "last_viewed_at": marks.viewed_ms,
        "msg_count": marks.seen.min(room.posts),
        "msg_count_root": marks.seen_roots.min(room.roots),
        "mention_count": marks.mentions,
        "mention_count_root": marks.mention_roots,
        "urgent_mention_count": 0,
        "notify_props": notify,
        "last_update_at": marks.viewed_ms.max(marks.joined_ms),
        "scheme_user": true,
        "scheme_admin": marks.is_admin,
        "scheme_guest": false,
        "explicit_roles": "",
    })
}

pub fn team(team: &Team) -> Value {
    json!({
        "id": team.id,
        "create_at": team.created_ms,
        "update_at": team.created_ms,
        "delete_at": 0,
        "display_name": team.display_name,
        "name": team.name,
        "description": "",
        "email": "",
        "type": "O",
        "company_name": "",
        "allowed_domains": "",
        "invite_id": "",
        "allow_open_invite": false,
        "scheme_id": "",
        "group_constrained": false,
        "cloud_limits_archived": false,
    })
}

pub fn team_member(team: &Team, user: &Id) -> Value {
    json!({
        "team_id": team.id,
        "user_id": user,
        "roles": "team_user",
        "delete_at": 0,
        "scheme_user": true,
        "scheme_admin": false,
        "scheme_guest": false,
        "explicit_roles": "",
    })
}

/// A user of this partner; what only the user itself may see is told to `own` eyes alone.
pub fn user(account: &Account, own: bool) -> Value {
    let mut user = json!({
        "id": account.id,
        "create_at": account.created_ms,
        "update_at": account.updated_ms,
        "delete_at": account.disabled_ms,
        "username": account.username,
        "auth_data": "",
        "auth_service": "",
        "email": if own { account.email.as_str() } else { "" },
        "nickname": account.nickname,
        "first_name": account.first_name,
        "last_name": account.last_name,
        "position": account.position,
        "roles": match account.roles.contains(&AccountRole::Guest) {
            true => "system_guest",
            false => "system_user",
        },
        "locale": account.locale,
        "timezone": account.timezone,
        "disable_welcome_email": true,
    });
    if account.bot_of.is_some() {
        user["is_bot"] = true.into();
        user["bot_description"] = account.bot_description.as_str().into();
    }
    if own {
        let mut notify = json!({
            "desktop": "mention", "desktop_sound": "true", "email": "false", "push": "mention",
            "channel": "true", "first_name": "false", "comments": "never",
            "mention_keys": format!("{},@{}", account.username, account.username),
        });
        for (key, value) in &account.notify_props {
            notify[key] = value.as_str().into();
        }
        user["notify_props"] = notify;
        user["props"] = json!(account.props);
        user["email_verified"] = true.into();
        user["mfa_active"] = account.has_second_factor().into();
    } else if let Some(status) = account.props.get(CUSTOM_STATUS) {
        user["props"] = json!({ CUSTOM_STATUS: status });
    }
    user
}

/// A user of another partner, as its rosters and what it wrote tell.
pub fn remote_user(home: &Home, id: &Id, remote: &RemoteUser) -> Value {
    let (first, last) = first_and_last(&remote.display_name);
    json!({
        "id": id,
        "create_at": remote.since_ms,
        "update_at": remote.since_ms.max(remote.changed_ms),
        "delete_at": remote.gone_ms,
        "username": home.user_name(&remote.partner, &remote.name),
        "auth_data": "",
        "auth_service": "",
        "email": "",
        "nickname": "",
        "first_name": first,
        "last_name": last,
        "position": home.partner_name(&remote.partner),
        "roles": "system_user",
        "locale": "en",
        "timezone": {},
        "disable_welcome_email": true,
        "remote_id": home.remote_id(&remote.partner),
    })
}

pub fn preference(user: &Id, preference: &Preference) -> Value {
    json!({
        "user_id": user,
        "category": preference.category,
        "name": preference.name,
        "value": preference.value,
    })
}

pub fn session(session: &Session) -> Value {
    let [browser, system] = session.program();
    json!({
        "id": session.id,
        "token": "",
        "create_at": session.created_ms,
        "expires_at": session.expires_ms(),
        "last_activity_at": session.used_ms,
        "user_id": session.user,
        "device_id": "",
        "roles": "system_user",
        "is_oauth": false,
        "props": {
            "browser": browser,
            "os": system,
            "platform": system,
            "comity_device": session.device_name(),
            "comity_address": session.address.map_or_else(String::new, |it| it.to_string()),
        },
        "team_members": [],
        "local": false,
    })
}

pub fn access_token(session: &Session) -> Value {
    let SessionKind::AccessToken { description } = &session.kind else {
        return Value::Null;
    };
    json!({
        "id": session.id,
        "user_id": session.user,
        "description": description,
        "is_active": true,
    })
}

/// The partners that a channel is shared with, as clients show them in its header.
pub fn remotes(home: &Home, room: &Room) -> Value {
    let others = room
        .parties
        .iter()
        .filter(|(partner, _)| **partner != home.node.partner);
    let others = others.filter(|(_, party)| party.status == Status::Active);
    let remotes = others.map(|(partner, _)| {
        json!({
            "remote_id": home.remote_id(partner),
            "name": home.partner_name(partner),
            "display_name": home.partner_name(partner),
            "create_at": room.created_ms,
            "delete_at": 0,
            "last_ping_at": home.node.now_ms(),
        })
    });
    remotes.collect()
}

/// The text of a message as programs send it, and of its attachments.
pub fn program_text(message: &Map<String, Value>) -> String {
    let text = |map: &Map<String, Value>, key: &str| {
        map.get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_string()
    };
    let mut parts = vec![text(message, "text")];
    let attachments = message.get("attachments").and_then(Value::as_array);
    for attachment in attachments.into_iter().flatten().take(ATTACHMENTS) {
        let Some(attachment) = attachment.as_object() else {
            continue;
        };
        let shown = ["pretext", "title", "text"].map(|key| text(attachment, key));
        match shown.iter().all(String::is_empty) {
            true => parts.push(text(attachment, "fallback")),
            false => parts.extend(shown),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// Attachments of one message that are shown.
const ATTACHMENTS: usize = 20;

/// The names after `@` in a text, in lower case.
pub fn mentioned(text: &str) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for part in text.split('@').skip(1) {
        let ends = |letter: char| !(letter.is_ascii_alphanumeric() || "._-:".contains(letter));
        let name = part.split(ends).next().unwrap_or_default();
        let name = name.trim_end_matches(['.', '-', '_', ':']);
        if !name.is_empty() && names.len() < MENTIONS {
            names.push(name);
        }
    }
    names
}

/// Mentions of one post that are counted: no post calls more people than that by name.
const MENTIONS: usize = 100;

fn hashtags(text: &str) -> String {
    let words = text
        .split_whitespace()
        .filter(|word| word.len() > 2 && word.starts_with('#'));
    let is_tag = |word: &&str| word[1..].starts_with(|it: char| it.is_alphabetic());
    words
        .filter(is_tag)
        .take(MENTIONS)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mentions_are_names_without_what_follows_them() {
        assert_eq!(
            mentioned("@alice, @bob. and @carol:bravo: hi @"),
            ["alice", "bob", "carol:bravo"]
        );
        assert!(mentioned("nobody").is_empty());
        assert_eq!(mentioned(&"@a ".repeat(500)).len(), MENTIONS);
    }

    #[test]
    fn tags_begin_with_a_letter() {
        assert_eq!(hashtags("#sea #1 # #ok-now x#y"), "#sea #ok-now");
    }
}
