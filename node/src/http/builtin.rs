//! The commands that the node knows itself.

use std::sync::Arc;

use super::auth::Me;
use super::failure::{Answer, Failure};
use super::{Web, channels, comity, direct, misc};
use crate::home::feed::{Place, Room};
use crate::home::id::Id;
use crate::home::posting::NewPost;
use crate::home::{COMMON_ROOM, is_direct};

/// Their names, what may follow, and what they do.
pub const KNOWN: [(&str, &str, &str); 12] = [
    ("away", "", "Say that you are away"),
    ("dnd", "", "Say that you want no notifications"),
    (
        "header",
        "",
        "Refused: the header says who reads the channel",
    ),
    ("help", "", "List the commands"),
    ("join", "~[channel]", "Come into a channel"),
    ("leave", "", "Leave this channel"),
    ("me", "[message]", "Say what you do"),
    ("msg", "@[user] [message]", "Write to one user"),
    ("offline", "", "Say that you are not there"),
    ("online", "", "Say that you are there"),
    ("shrug", "[message]", "Add ¯\\_(ツ)_/¯ to a message"),
    (
        "who",
        "",
        "Tell which partners read this channel or thread, and who of them is here",
    ),
];
/// Users that `/who` names.
const NAMED: usize = 50;

/// A command that somebody gave.
pub struct Asked<'a> {
    pub web: &'a Arc<Web>,
    pub me: &'a Me,
    pub room: &'a Arc<Room>,
    /// The post in whose thread it was given.
    pub root: Option<Place>,
    /// What follows the command's name.
    pub rest: &'a str,
}

/// What a command came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Shown to whoever gave it.
    pub text: String,
    /// Where the client goes.
    pub goto: String,
}

impl Outcome {
    pub fn shown(text: impl Into<String>) -> Outcome {
        Outcome {
            text: text.into(),
            goto: String::new(),
        }
    }
}

impl Asked<'_> {
    /// Does what one of the node's own commands says; none where the name is none of them.
    pub async fn builtin(&self, name: &str) -> Answer<Option<Outcome>> {
        let outcome = match name {
            "me" => self.say(format!("*{}*", self.some("what you do")?)).await?,
            "shrug" => {
                let shrug = format!("{} ¯\\\\\\_(ツ)\\_/¯", self.rest);
                self.say(shrug.trim().to_string()).await?
            }
            "away" | "dnd" | "offline" | "online" => {
                misc::choose_status(self.web, self.me.id(), name)?;
                Outcome::shown(format!("You are {name} now."))
            }
            "leave" => {
                channels::leave_room(self.web, self.room, self.me.id())?;
                self.going(COMMON_ROOM)
            }
            "join" => self.join()?,
            "msg" => self.message().await?,
            "header" => Outcome::shown(
                "The header says with whom the channel is shared. It follows from that, and nobody writes it.",
            ),
            "help" => Outcome::shown(self.help()),
            "who" => self.who().await?,
            _ => return Ok(None),
        };
        Ok(Some(outcome))
    }

    fn some(&self, what: &str) -> Answer<&str> {
        match self.rest.is_empty() {
            true => Err(Failure::bad(format!("Say {what}."))),
            false => Ok(self.rest),
        }
    }

    async fn say(&self, message: String) -> Answer<Outcome> {
        let post = NewPost {
            message,
            root: self.root.map(|root| root.id),
            ..NewPost::default()
        };
        let made = self
            .web
            .home
            .post(&self.me.account, self.room, post)
            .await?;
        self.web.home.offer_to_programs(self.room, &made);
        Ok(Outcome::default())
    }

    fn going(&self, channel: &str) -> Outcome {
        let team = match is_direct(self.room) {
            true => self.web.home.own_team().name,
            false => self.web.home.team_of(self.room).name,
        };
        Outcome {
            text: String::new(),
            goto: format!("/{team}/channels/{channel}"),
        }
    }

    /// Of channels of one name those of this team go first, and then the partner's own.
    fn join(&self) -> Answer<Outcome> {
        let home = &self.web.home;
        let name = self.some("which channel")?.trim_start_matches('~');
        let mut rooms = home.feed.rooms();
        rooms.retain(|room| {
            room.name == name && !is_direct(room) && channels::visible(self.web, self.me, room)
        });
        let here = home.team_of(self.room).id;
        rooms.sort_by_key(|room| (home.team_of(room).id != here, room.is_shared()));
        let room = rooms.first().ok_or_else(|| Failure::missing("channel"))?;
        channels::join_room(self.web, room, self.me.id())?;
        let team = home.team_of(room).name;
        Ok(Outcome {
            text: String::new(),
            goto: format!("/{team}/channels/{}", room.name),
        })
    }

    async fn message(&self) -> Answer<Outcome> {
        let home = &self.web.home;
        let text = self.some("to whom, and what")?;
        let (name, message) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let name = name.trim_start_matches('@').to_lowercase();
        let other = match home.people.by_name(&name) {
            Some(account) => Some(account.id),
            None => name.split_once(':').and_then(|(user, partner)| {
                let id = Id::of_user(&home.partner_named(partner)?, user);
                home.feed.remote_user(&id).map(|_| id)
            }),
        };
        let other = other.ok_or_else(|| Failure::missing("user"))?;
        let room = direct::open(self.web, self.me, other).await?;
        if !message.trim().is_empty() {
            let post = NewPost {
                message: message.trim().into(),
                ..NewPost::default()
            };
            home.post(&self.me.account, &room, post).await?;
        }
        let team = home.own_team().name;
        Ok(Outcome {
            text: String::new(),
            goto: format!("/{team}/messages/@{name}"),
        })
    }

    fn help(&self) -> String {
        let commands = self
            .web
            .home
            .people
            .commands_of(&self.web.home.team_of(self.room).id);
        let own = commands.iter().filter(|it| it.auto_complete);
        let own = own.map(|it| (it.trigger.as_str(), it.hint.as_str(), it.summary.as_str()));
        let line = |(name, hint, summary): (&str, &str, &str)| match hint.is_empty() {
            true => format!("- `/{name}`: {summary}"),
            false => format!("- `/{name} {hint}`: {summary}"),
        };
        let lines: Vec<String> = KNOWN.into_iter().chain(own).map(line).collect();
        lines.join("\n")
    }

    /// Who reads what is written here: in a thread, the readers of its first post.
    async fn who(&self) -> Answer<Outcome> {
        let home = &self.web.home;
        let about = self.root.map(|root| root.pos);
        let readers = comity::readers_of(self.web, self.room, about).await?;
        let mut partners: Vec<String> = readers
            .iter()
            .map(|partner| match *partner == home.node.partner {
                true => format!("**{}** (this partner)", home.partner_name(partner)),
                false => format!("**{}**", home.partner_name(partner)),
            })
            .collect();
        partners.sort_unstable();
        let here = match about {
            Some(_) => "this thread",
            None => "this channel",
        };
        let members = home.members(self.room);
        let names = members
            .iter()
            .take(NAMED)
            .filter_map(|user| home.account_name(user));
        let names: Vec<String> = names.map(|name| format!("@{name}")).collect();
        let more = match members.len() > NAMED {
            true => format!(" and {} more", members.len() - NAMED),
            false => String::new(),
        };
        Ok(Outcome::shown(format!(
            "Partners that read {here}: {}.\nOf this partner: {}{more}.",
            partners.join(", "),
            names.join(", ")
        )))
    }
}
