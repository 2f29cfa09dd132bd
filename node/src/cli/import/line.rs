//! One line of Mattermost's bulk-import format.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// The version of the format.
const VERSION: u64 = 1;
/// The longest message a node takes, in bytes.
const MAX_MESSAGE: usize = 64 << 10;

/// What a line says, as far as an import uses it.
#[derive(Debug, PartialEq)]
pub enum Line {
    Version,
    /// A team; its only use is that its channels name it.
    Team,
    Channel(Channel),
    User(User),
    Post(Post),
    /// A kind that is not imported.
    Other(String),
}

/// A room.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Channel {
    #[serde(default)]
    pub team: String,
    pub name: String,
}

/// An author.
#[derive(Debug, PartialEq, Deserialize)]
pub struct User {
    pub username: String,
    #[serde(default)]
    position: Option<String>,
    #[serde(default)]
    email: Option<String>,
}

impl User {
    /// The organisation: the position or, where none is given, the first label of the e-mail's
    /// domain.
    pub fn organisation(&self) -> Option<&str> {
        let domain = || self.email.as_deref()?.rsplit_once('@')?.1.split('.').next();
        self.position
            .as_deref()
            .filter(|position| !position.is_empty())
            .or_else(domain)
            .filter(|organisation| !organisation.is_empty())
    }
}

/// A message.
#[derive(Debug, PartialEq, Deserialize)]
pub struct Post {
    pub channel: String,
    pub user: String,
    pub message: String,
    pub create_at: u64,
    #[serde(default, rename = "team")]
    _team: Option<String>,
    /// Whatever else the line says of the post.
    #[serde(flatten)]
    other: BTreeMap<String, Value>,
}

impl Post {
    /// The fields with content that an import leaves behind, and how much is in each.
    pub fn left_behind(&self) -> impl Iterator<Item = (&str, u64)> {
        self.other
            .iter()
            .map(|(name, value)| (name.as_str(), amount(value)))
            .filter(|(_, amount)| *amount > 0)
    }
}

fn amount(value: &Value) -> u64 {
    match value {
        Value::Null | Value::Bool(false) => 0,
        Value::String(text) => u64::from(!text.is_empty()),
        Value::Array(items) => items.len() as u64,
        Value::Object(fields) => u64::from(!fields.is_empty()),
        Value::Number(number) => u64::from(number.as_u64() != Some(0)),
        Value::Bool(true) => 1,
    }
}

/// A line as it stands: the field of the same name as the kind says the rest.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    version: Option<u64>,
    team: Option<Named>,
    channel: Option<Channel>,
    user: Option<User>,
    post: Option<Post>,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "name")]
    _name: String,
}

impl Line {
    /// Parses a line; the error says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(reason)?;
        let kind = envelope.kind;
        let missing = || format!("a line of type {kind:?} needs a field {kind:?}");
        match kind.as_str() {
            "version" => version(envelope.version.ok_or_else(missing)?),
            "team" => envelope.team.map(|_| Self::Team).ok_or_else(missing),
            "channel" => envelope.channel.map(Self::Channel).ok_or_else(missing),
            "user" => envelope.user.map(Self::User).ok_or_else(missing),
            "post" => post(envelope.post.ok_or_else(missing)?),
            _ => Ok(Self::Other(kind)),
        }
    }
}

fn version(version: u64) -> Result<Line, String> {
    match version {
        VERSION => Ok(Line::Version),
        other => Err(format!("version {other} of the format is not known")),
    }
}

fn post(post: Post) -> Result<Line, String> {
    match post.message.len() {
        0..=MAX_MESSAGE => Ok(Line::Post(post)),
        length => Err(format!(
            "the message has {length} bytes; {MAX_MESSAGE} are the most"
        )),
    }
}

/// The parser's words; its line number would be that within the line, always 1.
fn reason(error: serde_json::Error) -> String {
    error
        .to_string()
        .replacen(" at line 1 column", ", column", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_as_it_is() {
        let text = r#"{"type":"post","post":{"team":"t","channel":"c","user":"u","message":"  \u0007 a\r\n\u202e ","create_at":7,"replies":null}}"#;
        let Line::Post(post) = Line::parse(text.as_bytes()).unwrap() else {
            panic!("not a post");
        };
        assert_eq!(post.message, "  \u{7} a\r\n\u{202e} ");
        assert_eq!(post.create_at, 7);
        assert_eq!(post.left_behind().count(), 0);
    }

    #[test]
    fn what_is_left_behind_is_told() {
        let text = r#"{"type":"post","post":{"channel":"c","user":"u","message":"m","create_at":1,"replies":[{},{}],"props":{},"is_pinned":true,"type":""}}"#;
        let Line::Post(post) = Line::parse(text.as_bytes()).unwrap() else {
            panic!("not a post");
        };
        let left: Vec<_> = post.left_behind().collect();
        assert_eq!(left, [("is_pinned", 1), ("replies", 2)]);
    }

    #[test]
    fn the_organisation_is_the_position_or_the_domain() {
        assert_eq!(user("bravo", "u@alpha.test").as_deref(), Some("bravo"));
        assert_eq!(user("", "u@alpha.test").as_deref(), Some("alpha"));
        assert_eq!(user("", "nowhere"), None);
        assert_eq!(user("", "u@"), None);
    }

    #[test]
    fn unknown_kinds_are_named() {
        let line = Line::parse(br#"{"type":"emoji","emoji":{"name":"x"}}"#).unwrap();
        assert_eq!(line, Line::Other("emoji".into()));
    }

    #[test]
    fn malformed_lines_say_what_is_wrong() {
        for (text, expected) in [
            ("", "EOF"),
            ("[]", "column"),
            ("{}", "missing field `type`"),
            (r#"{"type":"version","version":2}"#, "version 2"),
            (r#"{"type":"post"}"#, "needs a field \"post\""),
            (r#"{"type":"user","user":{}}"#, "username"),
            (
                r#"{"type":"post","post":{"channel":"c","user":"u","message":"m","create_at":-1}}"#,
                "expected u64",
            ),
            (
                r#"{"type":"post","post":{"channel":"c","user":"u","message":"\ud800","create_at":1}}"#,
                "hex escape",
            ),
        ] {
            let error = Line::parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn a_message_too_long_for_a_node_is_refused() {
        let long = "a".repeat(MAX_MESSAGE + 1);
        let text = format!(
            r#"{{"type":"post","post":{{"channel":"c","user":"u","message":"{long}","create_at":1}}}}"#
        );
        let error = Line::parse(text.as_bytes()).unwrap_err();
        assert!(error.contains("65537 bytes"), "{error}");
    }

    fn user(position: &str, email: &str) -> Option<String> {
        let text = format!(
            r#"{{"type":"user","user":{{"username":"u","position":"{position}","email":"{email}"}}}}"#
        );
        match Line::parse(text.as_bytes()).unwrap() {
            Line::User(user) => user.organisation().map(Into::into),
            other => panic!("{other:?}"),
        }
    }
}
