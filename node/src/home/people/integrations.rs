//! What users have made for programs elsewhere: outgoing webhooks, that tell a program of posts, and
//! slash commands, that ask one.

use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};

use super::{COMMAND, OUTGOING, People, row, row_key};
use crate::home::id::Id;
use crate::store::StoreError;

/// Outgoing webhooks and commands of one user, each.
const PER_USER: usize = 16;
/// Of all users, each: every post is held against all hooks.
const IN_ALL: usize = 1_000;
/// Words that one hook waits for, and addresses that it tells.
const WORDS: usize = 20;
const URLS: usize = 4;
/// The longest word, in bytes.
const WORD_BYTES: usize = 64;
/// The longest address and other text, in bytes.
const TEXT_BYTES: usize = 1_024;

/// Tells a program of posts that begin with a word, or of all posts of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingHook {
    pub id: Id,
    /// Whose it is: it tells of what this user may read, and answers in this user's name.
    pub user: Id,
    pub team: Id,
    /// None for all channels of the team; then it waits for words.
    pub channel: Option<Id>,
    /// What the program knows the node by.
    pub token: String,
    pub display_name: String,
    pub description: String,
    pub words: Vec<String>,
    /// Whether a post's first word need only begin with one of them.
    pub by_start: bool,
    pub urls: Vec<String>,
    /// Whether it is told in JSON, and not as a form.
    pub json: bool,
    pub created_ms: u64,
    pub updated_ms: u64,
}

/// Asks a program when somebody writes `/trigger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlashCommand {
    pub id: Id,
    /// Whose it is: what the program says to all is said in this user's name.
    pub user: Id,
    pub team: Id,
    pub token: String,
    pub trigger: String,
    pub url: String,
    /// Whether it is asked by GET, and not by POST.
    pub by_get: bool,
    pub auto_complete: bool,
    pub hint: String,
    pub summary: String,
    pub display_name: String,
    pub description: String,
    pub created_ms: u64,
    pub updated_ms: u64,
}

/// Why a hook or a command is not kept.
#[derive(Debug, thiserror::Error)]
pub enum IntegrationError {
    #[error("a user has {PER_USER} of these at most, and a node {IN_ALL}")]
    TooMany,
    #[error("a text in it is longer than {TEXT_BYTES} bytes")]
    TooLong,
    #[error("it has 1 to {URLS} addresses, and at most {WORDS} words of {WORD_BYTES} bytes")]
    Shape,
    #[error("it tells of one channel, or waits for words, or both")]
    Everything,
    #[error("a trigger has 1 to {WORD_BYTES} of a-z, 0-9, '-' and '_'")]
    Trigger,
    #[error("the team has a command /{0} already")]
    Taken(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OutgoingHook {
    /// The word for which it is told of a post, empty for a hook of a whole channel; none where the
    /// post is not for it.
    pub fn waits_for(&self, team: &Id, channel: &Id, message: &str) -> Option<&str> {
        let is_there = self.team == *team && self.channel.is_none_or(|own| own == *channel);
        if !is_there {
            return None;
        }
        if self.words.is_empty() {
            return self.channel.map(|_| "");
        }
        let first = message.split_whitespace().next()?;
        let mut words = self.words.iter().map(String::as_str);
        words.find(|word| match self.by_start {
            true => first.starts_with(word),
            false => first == *word,
        })
    }

    fn check(&self) -> Result<(), IntegrationError> {
        let word = |word: &String| {
            (1..=WORD_BYTES).contains(&word.len()) && !word.contains(char::is_whitespace)
        };
        let words = self.words.len() <= WORDS && self.words.iter().all(word);
        if !words || !(1..=URLS).contains(&self.urls.len()) {
            return Err(IntegrationError::Shape);
        }
        if self.channel.is_none() && self.words.is_empty() {
            return Err(IntegrationError::Everything);
        }
        let texts = [&self.display_name, &self.description];
        short(texts.into_iter().chain(&self.urls))
    }
}

impl SlashCommand {
    fn check(&self) -> Result<(), IntegrationError> {
        let legal =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        let fits = (1..=WORD_BYTES).contains(&self.trigger.len());
        if !fits || !self.trigger.bytes().all(legal) {
            return Err(IntegrationError::Trigger);
        }
        let texts = [&self.url, &self.hint, &self.summary];
        short(
            texts
                .into_iter()
                .chain([&self.display_name, &self.description]),
        )
    }
}

fn short<'a>(mut texts: impl Iterator<Item = &'a String>) -> Result<(), IntegrationError> {
    match texts.all(|text| text.len() <= TEXT_BYTES) {
        true => Ok(()),
        false => Err(IntegrationError::TooLong),
    }
}

impl People {
    /// A secret that a program knows the node by.
    pub fn fresh_token(&self) -> String {
        self.fresh_id().to_string()
    }

    pub fn fresh_id(&self) -> Id {
        Id(self.environment.randomness.bytes())
    }

    /// Keeps a hook that is new or changed. It is on disk when this returns.
    pub fn keep_outgoing(&self, mut hook: OutgoingHook) -> Result<OutgoingHook, IntegrationError> {
        hook.check()?;
        let mut state = self.change();
        let owners = state.outgoing.values().map(|it| it.user);
        if !state.outgoing.contains_key(&hook.id) && is_full(owners, &hook.user) {
            return Err(IntegrationError::TooMany);
        }
        hook.updated_ms = self.now_ms();
        self.store.write(&[row(OUTGOING, &[&hook.id.0], &hook)])?;
        state.outgoing.insert(hook.id, hook.clone());
        Ok(hook)
    }

    pub fn outgoing(&self, id: &Id) -> Option<OutgoingHook> {
        self.read().outgoing.get(id).cloned()
    }

    pub fn outgoing_of(&self, user: Id) -> Vec<OutgoingHook> {
        let state = self.read();
        let own = state.outgoing.values().filter(|it| it.user == user);
        own.cloned().collect()
    }

    /// The hooks that are to be told of a post, each with its word.
    pub fn waiting_for(&self, team: &Id, channel: &Id, message: &str) -> Vec<(Id, String)> {
        let state = self.read();
        let hooks = state.outgoing.values();
        let waiting = hooks.filter_map(|hook| {
            let word = hook.waits_for(team, channel, message)?;
            Some((hook.id, word.to_string()))
        });
        waiting.collect()
    }

    pub fn end_outgoing(&self, id: Id) -> Result<(), StoreError> {
        let mut state = self.change();
        let gone = Row::delete(Table::People, row_key(OUTGOING, &[&id.0]));
        self.store.write(&[gone])?;
        state.outgoing.remove(&id);
        state.used.remove(&id);
        Ok(())
    }

    /// Keeps a command that is new or changed. It is on disk when this returns.
    pub fn keep_command(&self, mut new: SlashCommand) -> Result<SlashCommand, IntegrationError> {
        new.check()?;
        let mut state = self.change();
        let owners = state.commands.values().map(|it| it.user);
        if !state.commands.contains_key(&new.id) && is_full(owners, &new.user) {
            return Err(IntegrationError::TooMany);
        }
        let mut others = state.commands.values().filter(|it| it.id != new.id);
        if others.any(|it| it.team == new.team && it.trigger == new.trigger) {
            return Err(IntegrationError::Taken(new.trigger));
        }
        new.updated_ms = self.now_ms();
        self.store.write(&[row(COMMAND, &[&new.id.0], &new)])?;
        state.commands.insert(new.id, new.clone());
        Ok(new)
    }

    pub fn command(&self, id: &Id) -> Option<SlashCommand> {
        self.read().commands.get(id).cloned()
    }

    /// A team's commands, by their triggers.
    pub fn commands_of(&self, team: &Id) -> Vec<SlashCommand> {
        let state = self.read();
        let own = state.commands.values().filter(|it| it.team == *team);
        let mut own: Vec<SlashCommand> = own.cloned().collect();
        own.sort_by(|a, b| a.trigger.cmp(&b.trigger));
        own
    }

    pub fn end_command(&self, id: Id) -> Result<(), StoreError> {
        let mut state = self.change();
        let gone = Row::delete(Table::People, row_key(COMMAND, &[&id.0]));
        self.store.write(&[gone])?;
        state.commands.remove(&id);
        state.used.remove(&id);
        Ok(())
    }
}

fn is_full(owners: impl Iterator<Item = Id>, user: &Id) -> bool {
    let (mut own, mut all) = (0, 0);
    for owner in owners {
        own += usize::from(owner == *user);
        all += 1;
    }
    own >= PER_USER || all >= IN_ALL
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::people::tests::people;

    const TEAM: Id = Id([3; 16]);
    const CHANNEL: Id = Id([5; 16]);

    fn hook(channel: Option<Id>, words: &[&str], by_start: bool) -> OutgoingHook {
        OutgoingHook {
            id: Id([9; 16]),
            user: Id([1; 16]),
            team: TEAM,
            channel,
            token: String::new(),
            display_name: String::new(),
            description: String::new(),
            words: words.iter().map(ToString::to_string).collect(),
            by_start,
            urls: vec!["http://bot.example:8080/".into()],
            json: false,
            created_ms: 0,
            updated_ms: 0,
        }
    }

    #[test]
    fn a_hook_waits_for_its_words_in_its_channel() {
        let word = |hook: &OutgoingHook, message| {
            hook.waits_for(&TEAM, &CHANNEL, message).map(String::from)
        };
        let by_word = hook(None, &["!lock"], false);
        assert_eq!(word(&by_word, " !lock open"), Some("!lock".into()));
        assert_eq!(word(&by_word, "!locks"), None);
        assert_eq!(word(&by_word, "the !lock"), None);
        assert_eq!(word(&by_word, ""), None);
        let by_start = hook(Some(CHANNEL), &["!lock"], true);
        assert_eq!(word(&by_start, "!locks"), Some("!lock".into()));
        let all = hook(Some(CHANNEL), &[], false);
        assert_eq!(word(&all, "anything"), Some(String::new()));
        assert_eq!(all.waits_for(&TEAM, &Id([6; 16]), "anything"), None);
        assert_eq!(by_word.waits_for(&Id([4; 16]), &CHANNEL, "!lock"), None);
    }

    #[test]
    fn what_is_no_hook_is_refused_and_nobody_has_more_than_their_share() {
        let (_dir, people) = people();
        let everything = people.keep_outgoing(hook(None, &[], false));
        assert!(matches!(everything, Err(IntegrationError::Everything)));
        let spaced = people.keep_outgoing(hook(None, &["a b"], false));
        assert!(matches!(spaced, Err(IntegrationError::Shape)));
        for number in 0..PER_USER as u8 {
            let one = OutgoingHook {
                id: Id([number; 16]),
                ..hook(None, &["a"], false)
            };
            people.keep_outgoing(one).unwrap();
        }
        let more = OutgoingHook {
            id: Id([200; 16]),
            ..hook(None, &["a"], false)
        };
        assert!(matches!(
            people.keep_outgoing(more.clone()),
            Err(IntegrationError::TooMany)
        ));
        people.end_outgoing(Id([0; 16])).unwrap();
        people.keep_outgoing(more).unwrap();
        assert_eq!(people.waiting_for(&TEAM, &CHANNEL, "a").len(), PER_USER);
    }

    #[test]
    fn a_trigger_means_one_command() {
        let (_dir, people) = people();
        let command = |id: u8, trigger: &str| SlashCommand {
            id: Id([id; 16]),
            user: Id([1; 16]),
            team: TEAM,
            token: String::new(),
            trigger: trigger.into(),
            url: String::new(),
            by_get: false,
            auto_complete: false,
            hint: String::new(),
            summary: String::new(),
            display_name: String::new(),
            description: String::new(),
            created_ms: 0,
            updated_ms: 0,
        };
        people.keep_command(command(1, "lock")).unwrap();
        people.keep_command(command(1, "lock")).unwrap();
        let taken = people.keep_command(command(2, "lock"));
        assert!(
            matches!(taken, Err(IntegrationError::Taken(_))),
            "{taken:?}"
        );
        for bad in ["", "Lock", "a b", "/a"] {
            let bad = people.keep_command(command(3, bad));
            assert!(matches!(bad, Err(IntegrationError::Trigger)), "{bad:?}");
        }
    }
}
