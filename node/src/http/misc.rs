//! What clients ask beside people, channels and posts: settings, roles, who is there, and all that
//! this node has none of.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::{get, post};
use axum::{Json as Answered, Router};
use comity_protocol::wire::Activity;
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::{Me, token_of};
use super::extract::{Json, id};
use super::failure::{Answer, Failure};
use super::second_factor::SecondFactorRule;
use super::{App, SPOKEN, Web};
use crate::home::id::Id;
use crate::home::posting::MESSAGE_CHARACTERS;
use crate::home::presence::{status_named, status_word};

/// Users whose status one answer tells at most.
const STATUSES: usize = 1_000;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/system/ping", get(ping))
        .route("/config/client", get(config))
        .route("/license/client", get(license))
        .route("/roles/names", post(roles))
        .route("/roles/name/{name}", get(role))
        .route("/users/status/ids", post(statuses))
        .route("/users/{user}/status", get(status).put(set_status))
        .route("/emoji", get(nothing))
        .route("/emoji/names", post(nothing))
        .route("/emoji/autocomplete", get(nothing))
        .route("/emoji/search", post(nothing))
        .route("/emoji/name/{name}", get(no_emoji))
        .route("/plugins/webapp", get(nothing))
        .route("/plugins/statuses", get(nothing))
        .route("/data_retention/policy", get(retention))
        .route("/system/notices/{team}", get(nothing))
        .route("/notifications/ack", post(ok))
        .route("/limits/server", get(limits))
        .route("/posts/scheduled/team/{team}", get(no_schedule))
        .route("/client_perf", post(ok))
        .route("/logs", post(ok))
        .route("/system/timezones", get(nothing))
        .route("/usage/posts", get(usage))
        .route("/groups", get(nothing))
        .route("/users/notify-admin", post(ok))
}

async fn ok() -> Answered<Value> {
    Answered(json!({"status": "OK"}))
}

async fn nothing(_me: Me) -> Answered<Value> {
    Answered(json!([]))
}

async fn no_emoji(_me: Me) -> Failure {
    Failure::missing("emoji")
}

async fn retention(_me: Me) -> Answered<Value> {
    Answered(json!({
        "message_deletion_enabled": false, "file_deletion_enabled": false,
        "message_retention_cutoff": 0, "file_retention_cutoff": 0,
    }))
}

async fn limits(_me: Me, State(web): App) -> Answered<Value> {
    let users = web.home.people.active_ids().len();
    Answered(json!({"maxUsersLimit": 0, "activeUserCount": users}))
}

async fn no_schedule(_me: Me) -> Answered<Value> {
    Answered(json!({}))
}

async fn usage(_me: Me, State(web): App) -> Answered<Value> {
    let posts: u64 = web.home.feed.rooms().iter().map(|room| room.posts).sum();
    Answered(json!({"count": posts}))
}

async fn ping() -> Answered<Value> {
    Answered(json!({
        "status": "OK", "ActiveSearchBackend": "comity",
        "AndroidLatestVersion": "", "AndroidMinVersion": "", "IosLatestVersion": "", "IosMinVersion": "",
    }))
}

/// What a client may do here; a little for whoever is not logged in.
async fn config(State(web): App, headers: HeaderMap) -> Answered<Value> {
    let name = web.home.node.identity.name.as_str();
    let mut config = json!({
        "Version": SPOKEN,
        "BuildNumber": SPOKEN,
        "BuildDate": "",
        "BuildHash": "comity",
        "BuildEnterpriseReady": "false",
        "SiteName": format!("Comity: {name}"),
        "SiteURL": "",
        "EnableSignInWithEmail": "true",
        "EnableSignInWithUsername": "true",
        "EnableSignUpWithEmail": "false",
        "EnableUserCreation": "false",
        "EnableOpenServer": "false",
        "EnableLdap": web.login.ldap.is_some().to_string(),
        "EnableMultifactorAuthentication": "true",
        "EnableSaml": "false",
        "DefaultClientLocale": "en",
        "AvailableLocales": "",
        "DiagnosticsEnabled": "false",
        "TelemetryId": "",
        "EnableCustomBrand": "false",
        "HasImageProxy": "false",
        "PluginsEnabled": "false",
        "PasswordMinimumLength": "8",
        "EnableGuestAccounts": "false",
        "WebsocketURL": "",
        "WebsocketPort": "80",
        "WebsocketSecurePort": "443",
    });
    let session = token_of(&headers).and_then(|(token, _)| web.home.people.session(&token));
    let required = web.login.second_factor == SecondFactorRule::Required;
    if session.is_some() {
        let asks_programs = web.home.caller.has_hosts().to_string();
        let more = [
            ("EnableFileAttachments", "true".to_string()),
            ("EnforceMultifactorAuthentication", required.to_string()),
            ("EnableMobileFileUpload", "true".into()),
            ("EnableMobileFileDownload", "true".into()),
            ("MaxFileSize", super::files::FILE_BYTES.to_string()),
            ("MaxPostSize", MESSAGE_CHARACTERS.to_string()),
            ("PostEditTimeLimit", "-1".into()),
            ("CollapsedThreads", "default_on".into()),
            ("ThreadAutoFollow", "true".into()),
            ("TeammateNameDisplay", "username".into()),
            ("EnableUserStatuses", "true".into()),
            ("EnableUserTypingMessages", "true".into()),
            ("TimeBetweenUserTypingUpdatesMilliseconds", "5000".into()),
            ("AllowSyncedDrafts", "true".into()),
            ("EnableCustomUserStatuses", "true".into()),
            ("EnableCustomEmoji", "false".into()),
            ("EnableGifPicker", "false".into()),
            ("EnableLinkPreviews", "false".into()),
            ("EnablePermalinkPreviews", "false".into()),
            ("EnablePreviewFeatures", "false".into()),
            ("EnableTutorial", "false".into()),
            ("EnableOnboardingFlow", "false".into()),
            ("EnablePostUsernameOverride", "false".into()),
            ("EnablePostIconOverride", "false".into()),
            ("EnableBotAccountCreation", "true".into()),
            ("EnableUserAccessTokens", "true".into()),
            ("EnableIncomingWebhooks", "true".into()),
            ("EnableOutgoingWebhooks", asks_programs.clone()),
            ("EnableCommands", asks_programs),
            ("EnableSVGs", "false".into()),
            ("EnableLatex", "false".into()),
            ("EnableEmojiPicker", "true".into()),
            ("EnableThemeSelection", "true".into()),
            ("EnablePublicLink", "false".into()),
            ("EnableTeamCreation", "false".into()),
            ("ExperimentalSharedChannels", "true".into()),
            (
                "ExperimentalEnableDefaultChannelLeaveJoinMessages",
                "false".into(),
            ),
            ("RestrictDirectMessage", "any".into()),
            ("SendEmailNotifications", "false".into()),
            ("ExtendSessionLengthWithActivity", "true".into()),
            ("DelayChannelAutocomplete", "false".into()),
            ("UniqueEmojiReactionLimitPerPost", "50".into()),
            ("PersistentNotificationsEnabled", "false".into()),
            ("PostPriority", "false".into()),
            ("PostAcknowledgements", "false".into()),
            ("ScheduledPosts", "false".into()),
        ];
        for (key, value) in more {
            config[key] = value.into();
        }
    }
    Answered(config)
}

async fn license() -> Answered<Value> {
    Answered(json!({"IsLicensed": "false"}))
}

fn permissions(role: &str) -> Option<&'static [&'static str]> {
    match role {
        "system_user" => Some(&[
            "create_direct_channel",
            "view_members",
            "create_user_access_token",
            "read_user_access_token",
            "revoke_user_access_token",
            "create_bot",
            "read_bots",
        ]),
        "team_user" => Some(&[
            "list_team_channels",
            "join_public_channels",
            "read_public_channel",
            "view_team",
            "create_public_channel",
            "manage_incoming_webhooks",
            "manage_outgoing_webhooks",
            "manage_slash_commands",
        ]),
        "channel_user" => Some(&[
            "read_channel",
            "read_channel_content",
            "add_reaction",
            "remove_reaction",
            "upload_file",
            "get_public_link",
            "create_post",
            "edit_post",
            "delete_post",
            "use_channel_mentions",
            "use_group_mentions",
            "manage_public_channel_members",
        ]),
        "channel_admin" => Some(&["manage_channel_roles"]),
        "team_admin" | "system_admin" | "channel_guest" | "team_guest" | "system_guest" => {
            Some(&[])
        }
        _ => None,
    }
}

fn role_shape(name: &str) -> Option<Value> {
    let permissions = permissions(name)?;
    Some(json!({
        "id": Id::hashed("comity role", &[name.as_bytes()]),
        "name": name,
        "display_name": name,
        "description": "",
        "create_at": 0,
        "update_at": 0,
        "delete_at": 0,
        "permissions": permissions,
        "scheme_managed": true,
        "built_in": true,
    }))
}

async fn roles(_me: Me, Json(names): Json<Vec<String>>) -> Answered<Vec<Value>> {
    Answered(
        names
            .iter()
            .take(100)
            .filter_map(|name| role_shape(name))
            .collect(),
    )
}

async fn role(_me: Me, Path(name): Path<String>) -> Answer<Answered<Value>> {
    role_shape(&name)
        .map(Answered)
        .ok_or_else(|| Failure::missing("role"))
}

fn status_shape(web: &Web, user: &Id) -> Value {
    let status = web.home.status_of(user);
    let is_there = status != Activity::Offline;
    json!({
        "user_id": user,
        "status": status_word(status),
        "manual": web.home.presence.chosen(user).is_some(),
        "last_activity_at": if is_there { web.home.node.now_ms() } else { 0 },
        "dnd_end_time": 0,
    })
}

async fn statuses(
    _me: Me,
    State(web): App,
    Json(users): Json<Vec<String>>,
) -> Answered<Vec<Value>> {
    let users = users
        .iter()
        .take(STATUSES)
        .filter_map(|user| Id::parse(user));
    Answered(users.map(|user| status_shape(&web, &user)).collect())
}

async fn status(me: Me, State(web): App, Path(user): Path<String>) -> Answer<Answered<Value>> {
    let user = if user == "me" {
        me.id()
    } else {
        id(&user, "user")?
    };
    Ok(Answered(status_shape(&web, &user)))
}

#[derive(Deserialize)]
struct NewStatus {
    status: String,
}

async fn set_status(
    me: Me,
    State(web): App,
    Path(user): Path<String>,
    Json(new): Json<NewStatus>,
) -> Answer<Answered<Value>> {
    let user = me.only(&user)?;
    choose_status(&web, user, &new.status)?;
    Ok(Answered(status_shape(&web, &user)))
}

/// A user says whether it is there.
pub fn choose_status(web: &Web, user: Id, status: &str) -> Answer<()> {
    let Some(status) = status_named(status) else {
        return Err(Failure::bad("A status is online, away, dnd or offline."));
    };
    web.home.presence.choose(user, status);
    web.home.tell_status(user);
    Ok(())
}

/// A user has opened a socket.
pub fn came_online(web: &Web, user: Id) {
    web.home.tell_status(user);
}

/// A user has closed one.
pub fn went_offline(web: &Web, user: Id) {
    if !web.home.hub.is_online(&user) {
        web.home.tell_status(user);
    }
}

pub fn all_statuses(web: &Web) -> Value {
    let users = web.home.people.active_ids();
    statuses_of(web, users.iter().map(ToString::to_string))
}

pub fn statuses_of<T: AsRef<str>>(web: &Web, users: impl Iterator<Item = T>) -> Value {
    let users = users
        .take(STATUSES)
        .filter_map(|user| Id::parse(user.as_ref()));
    let status = |user: Id| (user.to_string(), status_shape(web, &user)["status"].clone());
    Value::Object(users.map(status).collect())
}
