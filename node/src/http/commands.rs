//! Slash commands: the node's own, and those for which a program is asked.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::auth::{self, Me};
use super::builtin::{self, Asked, Outcome};
use super::extract::{Json, Query, id};
use super::failure::{Answer, Failure};
use super::outgoing::{demand_listed, demand_team};
use super::{App, Web};
use crate::home::calling::{Call, Question};
use crate::home::hub::Broadcast;
use crate::home::id::Id;
use crate::home::people::{Account, Action, SlashCommand};
use crate::home::posting::{MESSAGE_CHARACTERS, NewPost};
use crate::home::shapes;

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/commands", get(list).post(make))
        .route("/commands/execute", post(execute))
        .route("/commands/{command}", get(one).put(change).delete(end))
        .route("/commands/{command}/move", put(relocate))
        .route("/commands/{command}/regen_token", put(new_token))
        .route("/teams/{team}/commands/autocomplete", get(known))
        .route(
            "/teams/{team}/commands/autocomplete_suggestions",
            get(suggestions),
        )
}

/// A command as clients know it; its address and token are its owner's alone.
fn shape(command: &SlashCommand, viewer: &Id) -> Value {
    let own = command.user == *viewer;
    json!({
        "id": command.id,
        "token": if own { command.token.as_str() } else { "" },
        "create_at": command.created_ms,
        "update_at": command.updated_ms,
        "delete_at": 0,
        "creator_id": command.user,
        "team_id": command.team,
        "trigger": command.trigger,
        "method": if command.by_get { "G" } else { "P" },
        "username": "",
        "icon_url": "",
        "auto_complete": command.auto_complete,
        "auto_complete_desc": command.summary,
        "auto_complete_hint": command.hint,
        "display_name": command.display_name,
        "description": command.description,
        "url": if own { command.url.as_str() } else { "" },
    })
}

fn builtin_shape(team: &Id, (trigger, hint, summary): &(&str, &str, &str)) -> Value {
    json!({
        "id": "", "token": "", "create_at": 0, "update_at": 0, "delete_at": 0, "creator_id": "",
        "team_id": team, "trigger": trigger, "method": "", "username": "", "icon_url": "",
        "auto_complete": true, "auto_complete_desc": summary, "auto_complete_hint": hint,
        "display_name": trigger, "description": "", "url": "",
    })
}

/// What is said of a command; what is absent stays as it is.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Said {
    team_id: Option<String>,
    trigger: Option<String>,
    method: Option<String>,
    url: Option<String>,
    auto_complete: Option<bool>,
    auto_complete_desc: Option<String>,
    auto_complete_hint: Option<String>,
    display_name: Option<String>,
    description: Option<String>,
}

impl Said {
    fn apply(self, web: &Web, me: &Me, command: &mut SlashCommand) -> Answer<()> {
        if let Some(trigger) = self.trigger {
            if builtin::KNOWN.iter().any(|(known, ..)| *known == trigger) {
                return Err(Failure::bad(format!("/{trigger} is the node's own.")));
            }
            command.trigger = trigger;
        }
        if let Some(url) = self.url {
            demand_listed(web, me, std::slice::from_ref(&url))?;
            command.url = url;
        }
        command.by_get = self.method.map_or(command.by_get, |it| it == "G");
        command.auto_complete = self.auto_complete.unwrap_or(command.auto_complete);
        let texts = [
            (self.auto_complete_desc, &mut command.summary),
            (self.auto_complete_hint, &mut command.hint),
            (self.display_name, &mut command.display_name),
            (self.description, &mut command.description),
        ];
        for (said, held) in texts {
            if let Some(said) = said {
                *held = said;
            }
        }
        Ok(())
    }
}

async fn make(
    me: Me,
    State(web): App,
    Json(said): Json<Said>,
) -> Answer<(StatusCode, Answered<Value>)> {
    me.must(&web, Action::MakePrograms)?;
    let people = &web.home.people;
    let mut command = SlashCommand {
        id: people.fresh_id(),
        user: me.id(),
        team: demand_team(&web, said.team_id.as_deref().unwrap_or_default())?,
        token: people.fresh_token(),
        trigger: String::new(),
        url: String::new(),
        by_get: false,
        auto_complete: false,
        hint: String::new(),
        summary: String::new(),
        display_name: String::new(),
        description: String::new(),
        created_ms: web.home.node.now_ms(),
        updated_ms: 0,
    };
    if said.url.as_deref().unwrap_or_default().is_empty() {
        return Err(Failure::bad("A command has the address of a program."));
    }
    said.apply(&web, &me, &mut command)?;
    let command = people.keep_command(command)?;
    note(&web, &me, "command_made", &command);
    Ok((StatusCode::CREATED, Answered(shape(&command, &me.id()))))
}

fn note(web: &Web, me: &Me, action: &str, command: &SlashCommand) {
    let text = format!("/{} at {} by {}", command.trigger, command.url, me.id());
    auth::record(web, action, &text);
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Listing {
    team_id: String,
    custom_only: bool,
}

async fn list(
    me: Me,
    State(web): App,
    Query(listing): Query<Listing>,
) -> Answer<Answered<Vec<Value>>> {
    let team = match listing.team_id.is_empty() {
        true => web.home.own_team().id,
        false => id(&listing.team_id, "team")?,
    };
    let commands = web.home.people.commands_of(&team);
    let own = commands.iter().map(|command| shape(command, &me.id()));
    let builtin = builtin::KNOWN.iter().filter(|_| !listing.custom_only);
    Ok(Answered(
        own.chain(builtin.map(|it| builtin_shape(&team, it)))
            .collect(),
    ))
}

async fn known(me: Me, State(web): App, Path(team): Path<String>) -> Answer<Answered<Vec<Value>>> {
    let team = id(&team, "team")?;
    let commands = web.home.people.commands_of(&team);
    let offered = commands.iter().filter(|it| it.auto_complete);
    let offered = offered.map(|command| shape(command, &me.id()));
    let builtin = builtin::KNOWN.iter().map(|it| builtin_shape(&team, it));
    Ok(Answered(offered.chain(builtin).collect()))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Typed {
    user_input: String,
}

/// What the first word of an input may become.
async fn suggestions(
    _me: Me,
    State(web): App,
    Path(team): Path<String>,
    Query(typed): Query<Typed>,
) -> Answer<Answered<Vec<Value>>> {
    let team = id(&team, "team")?;
    let typed = typed.user_input.trim_start_matches('/').to_lowercase();
    let commands = web.home.people.commands_of(&team);
    let offered = commands.iter().filter(|it| it.auto_complete);
    let offered = offered.map(|it| (it.trigger.as_str(), it.hint.as_str(), it.summary.as_str()));
    let all = offered.chain(builtin::KNOWN);
    let fitting = all.filter(|(trigger, ..)| trigger.starts_with(&typed));
    let suggested = fitting.map(|(trigger, hint, summary)| {
        json!({
            "Complete": trigger, "Suggestion": format!("/{trigger}"), "Hint": hint,
            "Description": summary, "IconData": "",
        })
    });
    Ok(Answered(suggested.collect()))
}

fn own(web: &Web, me: &Me, command: &str) -> Answer<SlashCommand> {
    let found = web.home.people.command(&id(command, "command")?);
    let found = found.filter(|command| command.user == me.id());
    found.ok_or_else(|| Failure::missing("command"))
}

async fn one(me: Me, State(web): App, Path(command): Path<String>) -> Answer<Answered<Value>> {
    Ok(Answered(shape(&own(&web, &me, &command)?, &me.id())))
}

async fn change(
    me: Me,
    State(web): App,
    Path(command): Path<String>,
    Json(said): Json<Said>,
) -> Answer<Answered<Value>> {
    let mut command = own(&web, &me, &command)?;
    said.apply(&web, &me, &mut command)?;
    let command = web.home.people.keep_command(command)?;
    note(&web, &me, "command_changed", &command);
    Ok(Answered(shape(&command, &me.id())))
}

#[derive(Deserialize)]
struct Destination {
    team_id: String,
}

async fn relocate(
    me: Me,
    State(web): App,
    Path(command): Path<String>,
    Json(to): Json<Destination>,
) -> Answer<Answered<Value>> {
    let mut command = own(&web, &me, &command)?;
    command.team = demand_team(&web, &to.team_id)?;
    let command = web.home.people.keep_command(command)?;
    note(&web, &me, "command_changed", &command);
    Ok(Answered(json!({"status": "OK"})))
}

async fn new_token(
    me: Me,
    State(web): App,
    Path(command): Path<String>,
) -> Answer<Answered<Value>> {
    let mut command = own(&web, &me, &command)?;
    command.token = web.home.people.fresh_token();
    let command = web.home.people.keep_command(command)?;
    note(&web, &me, "command_token", &command);
    Ok(Answered(json!({"token": command.token})))
}

async fn end(me: Me, State(web): App, Path(command): Path<String>) -> Answer<Answered<Value>> {
    let command = own(&web, &me, &command)?;
    web.home.people.end_command(command.id)?;
    note(&web, &me, "command_ended", &command);
    Ok(Answered(json!({"status": "OK"})))
}

#[derive(Deserialize)]
struct Written {
    channel_id: String,
    command: String,
    #[serde(default)]
    root_id: String,
}

async fn execute(me: Me, State(web): App, Json(written): Json<Written>) -> Answer<Answered<Value>> {
    let room = super::channels::room(&web, &me, &written.channel_id)?;
    let root = match written.root_id.is_empty() {
        true => None,
        false => {
            let found = web.home.post_for(&me.id(), &id(&written.root_id, "post")?);
            let found = found.filter(|(there, _)| there.id == room.id);
            Some(found.ok_or_else(|| Failure::missing("post"))?.1)
        }
    };
    let line = written.command.trim();
    let line = line
        .strip_prefix('/')
        .filter(|_| line.len() <= 4 * MESSAGE_CHARACTERS);
    let line = line.ok_or_else(|| {
        Failure::bad("A command begins with '/', and is no longer than a message.")
    })?;
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let name = name.to_lowercase();
    let asked = Asked {
        web: &web,
        me: &me,
        room: &room,
        root,
        rest: rest.trim(),
    };
    let outcome = match asked.builtin(&name).await? {
        Some(outcome) => outcome,
        None => asked.custom(&name).await?,
    };
    if !outcome.text.is_empty() {
        tell(&asked, &outcome.text);
    }
    Ok(Answered(json!({
        "response_type": "ephemeral", "text": outcome.text, "username": "", "channel_id": "",
        "icon_url": "", "type": "", "props": {}, "goto_location": outcome.goto, "trigger_id": "",
        "skip_slack_parsing": false, "attachments": null, "extra_responses": null,
    })))
}

/// Shows a text to whoever gave a command, and to nobody else; it is kept nowhere.
fn tell(asked: &Asked<'_>, text: &str) {
    let now = asked.web.home.node.now_ms();
    let post = json!({
        "id": asked.web.home.people.fresh_id(),
        "create_at": now, "update_at": now, "edit_at": 0, "delete_at": 0, "is_pinned": false,
        "user_id": asked.me.id(), "channel_id": asked.room.id,
        "root_id": asked.root.map_or_else(String::new, |root| root.id.to_string()),
        "original_id": "", "message": text, "type": "system_ephemeral", "props": {},
        "hashtags": "", "file_ids": [], "pending_post_id": "", "reply_count": 0,
        "last_reply_at": 0, "participants": null, "metadata": {},
    });
    let broadcast = Broadcast {
        user: Some(asked.me.id()),
        channel: Some(asked.room.id),
        ..Broadcast::default()
    };
    let user = asked.me.id();
    let data = json!({"post": post.to_string()});
    let hub = &asked.web.home.hub;
    hub.publish("ephemeral_message", &data, &broadcast, |it| *it == user);
}

impl Asked<'_> {
    /// Asks the program of a command of the channel's team.
    async fn custom(&self, name: &str) -> Answer<Outcome> {
        let home = &self.web.home;
        let team = home.team_of(self.room);
        let found = home.people.commands_of(&team.id);
        let found = found.into_iter().find(|it| it.trigger == name);
        let owner = found.as_ref().and_then(|it| home.account(&it.user));
        let (Some(command), Some(owner)) = (found, owner.filter(Account::is_active)) else {
            return Err(unknown(name));
        };
        if !home.people.may_use(&command.id) {
            return Err(Failure::too_many(
                "The command is given too often: wait a second.",
            ));
        }
        let answer = match self.question(&command) {
            Ok(call) => home.caller.call(call).await,
            Err(error) => Err(error),
        };
        let answer = answer.map_err(|error| {
            if home.caller.is_news(&command.id) {
                auth::record(self.web, "command_failed", &format!("/{name}: {error}"));
            }
            Failure::new(
                StatusCode::BAD_GATEWAY,
                "api.command.execute_command.failed.app_error",
                format!("/{name}: {error}."),
            )
        })?;
        self.show(&owner, &answer).await
    }

    fn question(&self, command: &SlashCommand) -> Result<Call, crate::home::calling::CallError> {
        let home = &self.web.home;
        let url = home.caller.admit(&command.url)?;
        let fields = vec![
            ("token", command.token.clone()),
            ("team_id", command.team.to_string()),
            ("team_domain", home.team_of(self.room).name),
            ("channel_id", self.room.id.to_string()),
            ("channel_name", shapes::channel_name(home, self.room)),
            ("user_id", self.me.id().to_string()),
            ("user_name", self.me.account.username.clone()),
            ("command", format!("/{}", command.trigger)),
            ("text", self.rest.to_string()),
        ];
        Ok(Call {
            url,
            token: command.token.clone(),
            question: match command.by_get {
                true => Question::Query(fields),
                false => Question::Form(fields),
            },
        })
    }

    /// What a program answers is shown to whoever asked; or posted, in the name of the command's
    /// owner, if it says so and the owner is in the channel.
    async fn show(&self, owner: &Account, answer: &str) -> Answer<Outcome> {
        let said = match serde_json::from_str(answer) {
            Ok(Value::Object(said)) => said,
            _ => Map::from_iter([("text".to_string(), Value::from(answer))]),
        };
        let text = shapes::program_text(&said);
        let text: String = text.trim().chars().take(MESSAGE_CHARACTERS).collect();
        let for_all = said.get("response_type").and_then(Value::as_str) == Some("in_channel");
        if !for_all || text.is_empty() {
            return Ok(Outcome::shown(text));
        }
        if !self.web.home.is_member(&owner.id, self.room) {
            return Ok(Outcome::shown(format!(
                "{text}\n\n*(Shown to you alone: the command's owner is not in this channel.)*"
            )));
        }
        let post = NewPost {
            message: text,
            root: self.root.map(|root| root.id),
            ..NewPost::default()
        };
        self.web.home.post(owner, self.room, post).await?;
        Ok(Outcome::default())
    }
}

fn unknown(name: &str) -> Failure {
    let name: String = name.chars().take(64).collect();
    Failure::new(
        StatusCode::NOT_FOUND,
        "api.command.execute_command.not_found.app_error",
        format!("There is no command /{name} here: /help lists those that there are."),
    )
}
