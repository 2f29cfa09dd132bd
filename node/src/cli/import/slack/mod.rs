//! What a Slack export contains, as lines of the format that is imported: a directory with
//! `users.json`, `channels.json` and one file a day for each channel.
//!
//! The lines go to a file of their own first, so that all that holds for an import holds for this one:
//! it is surveyed whole before anything is posted, and its digest says whether it was imported before.
//! One day of one channel is held in memory at a time.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::failure;
use crate::api::ApiError;
use crate::home::id::is_user_name;
use text::{link, markdown};

/// The largest file of an export that is read, in bytes: one day of a busy channel has some megabytes.
const MAX_FILE: u64 = 64 << 20;
/// The most files of one channel, and channels of an export: days of a hundred years.
const MAX_DAYS: usize = 40_000;
const MAX_CHANNELS: usize = 10_000;
/// Reactions of one kind to one message that are taken.
const MAX_REACTIONS: usize = 100;
/// Files and attachments of one message that are told of.
const MAX_PARTS: usize = 20;
/// The longest message that a node takes, in bytes.
const MAX_MESSAGE: usize = 60 << 10;

/// The name of the team in the lines: an export has one, and does not say its name.
const TEAM: &str = "slack";

#[derive(Deserialize)]
struct Room {
    name: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    subtype: Option<String>,
    ts: String,
    #[serde(default)]
    thread_ts: Option<String>,
    #[serde(default)]
    user: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    bot_id: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    reply_count: u64,
    #[serde(default)]
    replies: Vec<Value>,
    #[serde(default)]
    reactions: Vec<Reaction>,
    #[serde(default)]
    files: Vec<Attached>,
    #[serde(default)]
    attachments: Vec<Attached>,
}

#[derive(Deserialize)]
struct Reaction {
    name: String,
    #[serde(default)]
    users: Vec<String>,
}

/// A file, or something shown below a message.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Attached {
    name: Option<String>,
    title: Option<String>,
    text: Option<String>,
    fallback: Option<String>,
    permalink: Option<String>,
    url_private: Option<String>,
    title_link: Option<String>,
}

/// Subtypes that somebody wrote; all others tell of what Slack did.
const WRITTEN: [&str; 4] = [
    "bot_message",
    "me_message",
    "thread_broadcast",
    "file_share",
];

/// Writes an export's lines into a file; every author is of `partner`.
pub fn convert(export: &Path, lines: &mut File, partner: &str) -> Result<(), ApiError> {
    let mut names = Names::read(export)?;
    let mut rooms: Vec<Room> = Vec::new();
    for list in ["channels.json", "groups.json"] {
        rooms.extend(optional::<Vec<Room>>(export, Path::new(list))?.unwrap_or_default());
    }
    if rooms.is_empty() {
        return Err(refused(
            export,
            "it has no channels.json, or no channel in it",
        ));
    }
    if rooms.len() > MAX_CHANNELS {
        return Err(refused(
            export,
            format!("it has more than {MAX_CHANNELS} channels"),
        ));
    }
    let mut writer = Writer {
        out: BufWriter::new(lines),
        number: 0,
        partner,
        announced: BTreeSet::new(),
    };
    writer.line(json!({"type": "version", "version": 1}))?;
    writer.line(json!({"type": "team", "team": {"name": TEAM}}))?;
    let mut seen = BTreeSet::new();
    for room in rooms
        .into_iter()
        .filter(|room| seen.insert(room.name.clone()))
    {
        if !is_plain(&room.name) {
            return Err(refused(
                export,
                format!("{:?} is no channel's name", room.name),
            ));
        }
        writer.line(json!({"type": "channel", "channel": {"team": TEAM, "name": room.name}}))?;
        channel(export, &room.name, &mut names, &mut writer)?;
    }
    writer.out.flush().map_err(spool)
}

/// Whether a name is a directory's within the export, and leads nowhere else.
fn is_plain(name: &str) -> bool {
    let legal = |it: char| it.is_alphanumeric() || "-_.".contains(it);
    !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name.chars().all(legal)
}

fn channel(
    export: &Path,
    room: &str,
    names: &mut Names,
    writer: &mut Writer<'_>,
) -> Result<(), ApiError> {
    let mut threads = BTreeMap::new();
    for day in days(export, room)? {
        let mut messages: Vec<Message> = read(export, &day)?;
        let times = messages.iter().map(|message| unix_us(&message.ts));
        if times.into_iter().any(|time| time.is_none()) {
            return Err(refused(&export.join(&day), "a message in it has no time"));
        }
        messages.sort_by_key(|message| unix_us(&message.ts));
        for message in &messages {
            writer.message(room, message, names, &mut threads)?;
        }
    }
    Ok(())
}

/// The files of a channel, in the order of the days.
fn days(export: &Path, room: &str) -> Result<Vec<PathBuf>, ApiError> {
    let place = export.join(room);
    let listed = match fs::symlink_metadata(&place) {
        Ok(found) if found.is_dir() => fs::read_dir(&place),
        Ok(_) => return Err(refused(&place, "it is no directory")),
        // Nobody ever wrote there.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let mut days = Vec::new();
    for entry in listed.map_err(|error| failure::file(&place, &error))? {
        let entry = entry.map_err(|error| failure::file(&place, &error))?;
        let name = entry.file_name();
        if name.to_str().is_some_and(is_day) {
            days.push(Path::new(room).join(name));
        }
        if days.len() > MAX_DAYS {
            return Err(refused(
                &place,
                format!("it has more than {MAX_DAYS} files"),
            ));
        }
    }
    days.sort_unstable();
    Ok(days)
}

/// Whether a file's name is `2026-01-31.json`.
fn is_day(name: &str) -> bool {
    let form = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    name.strip_suffix(".json")
        .is_some_and(|day| day.len() == 10 && day.bytes().enumerate().all(form))
}

/// Reads a file of the export. A link could lead anywhere, and is not followed.
fn read<T: DeserializeOwned>(export: &Path, name: &Path) -> Result<T, ApiError> {
    let path = export.join(name);
    let unreadable = |error| failure::file(&path, &error);
    let found = fs::symlink_metadata(&path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(refused(&path, "it is no file"));
    }
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(unreadable)?;
    file.take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refused(
            &path,
            format!("it is larger than {} MiB", MAX_FILE >> 20),
        ));
    }
    serde_json::from_slice(&bytes).map_err(|error| refused(&path, error))
}

fn optional<T: DeserializeOwned>(export: &Path, name: &Path) -> Result<Option<T>, ApiError> {
    match fs::symlink_metadata(export.join(name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => read(export, name).map(Some),
    }
}

fn refused(path: &Path, why: impl std::fmt::Display) -> ApiError {
    failure::operator(
        "malformed_import",
        format!("{}: {why}", path.display()),
        "nothing was imported; give the directory of an unpacked Slack export",
    )
}

fn spool(error: std::io::Error) -> ApiError {
    failure::operator(
        "cannot_write",
        format!("the export's lines cannot be put aside: {error}"),
        "make room where temporary files go, or name another place in TMPDIR",
    )
}

/// A time as Slack writes it, `1700000000.000100`, in microseconds.
fn unix_us(ts: &str) -> Option<u64> {
    let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, "0"));
    let digits = fraction.get(..fraction.len().min(6))?;
    let fraction = format!("{digits:0<6}").parse::<u64>().ok()?;
    seconds
        .parse::<u64>()
        .ok()?
        .checked_mul(1_000_000)?
        .checked_add(fraction)
}

/// What users are called here: their names there, in the letters that names here have.
struct Names {
    of: BTreeMap<String, String>,
    taken: BTreeSet<String>,
}

impl Names {
    fn read(export: &Path) -> Result<Names, ApiError> {
        let mut names = Names {
            of: BTreeMap::new(),
            taken: BTreeSet::new(),
        };
        for user in optional::<Vec<User>>(export, Path::new("users.json"))?.unwrap_or_default() {
            names.name(&user.id, &user.name);
        }
        Ok(names)
    }

    /// The name of an id; one that is new gets one like `wanted`.
    fn name(&mut self, id: &str, wanted: &str) -> String {
        if let Some(name) = self.of.get(id) {
            return name.clone();
        }
        let wanted = if wanted.is_empty() { id } else { wanted };
        let legal = |it: char| match it.to_ascii_lowercase() {
            it if it.is_ascii_lowercase() || it.is_ascii_digit() || "._-".contains(it) => it,
            _ => '-',
        };
        let mut name: String = wanted.chars().take(48).map(legal).collect();
        if !is_user_name(&name) {
            name = format!("u-{name}");
        }
        let stem = name.clone();
        let mut number = 2;
        while !self.taken.insert(name.clone()) {
            name = format!("{stem}-{number}");
            number += 1;
        }
        self.of.insert(id.into(), name.clone());
        name
    }
}

/// Writes lines, and knows their numbers.
struct Writer<'a> {
    out: BufWriter<&'a mut File>,
    number: u64,
    partner: &'a str,
    /// Users whose line is written.
    announced: BTreeSet<String>,
}

impl Writer<'_> {
    fn line(&mut self, value: Value) -> Result<u64, ApiError> {
        self.number += 1;
        writeln!(self.out, "{value}").map_err(spool)?;
        Ok(self.number)
    }

    fn announce(&mut self, user: &str) -> Result<(), ApiError> {
        if self.announced.insert(user.into()) {
            let user = json!({"username": user, "position": self.partner});
            self.line(json!({"type": "user", "user": user}))?;
        }
        Ok(())
    }

    fn message(
        &mut self,
        room: &str,
        message: &Message,
        names: &mut Names,
        threads: &mut BTreeMap<String, u64>,
    ) -> Result<(), ApiError> {
        let subtype = message.subtype.as_deref().unwrap_or_default();
        if message.kind != "message" || !(subtype.is_empty() || WRITTEN.contains(&subtype)) {
            let kind: String = format!("{}.{subtype}", message.kind)
                .chars()
                .take(64)
                .collect();
            self.line(json!({"type": format!("slack.{kind}")}))?;
            return Ok(());
        }
        let text = body(message, names);
        if text.trim().is_empty() {
            self.line(json!({"type": "slack.message.empty"}))?;
            return Ok(());
        }
        let author = author(message, names);
        self.announce(&author)?;
        let mut reactions = Vec::new();
        for reaction in &message.reactions {
            let emoji = reaction.name.split("::").next().unwrap_or_default();
            for user in reaction.users.iter().take(MAX_REACTIONS) {
                let user = names.name(user, "");
                self.announce(&user)?;
                reactions.push(json!({"user": user, "emoji_name": emoji}));
            }
        }
        let root = message
            .thread_ts
            .as_ref()
            .filter(|thread| **thread != message.ts);
        let begins = root.is_none()
            && (message.thread_ts.is_some()
                || message.reply_count > 0
                || !message.replies.is_empty());
        let number = self.line(json!({"type": "post", "post": {
            "team": TEAM,
            "channel": room,
            "user": author,
            "message": text,
            "create_at": unix_us(&message.ts).unwrap_or(0) / 1_000,
            "reactions": reactions,
            "answers": root.and_then(|root| threads.get(root)),
        }}))?;
        if begins {
            threads.insert(message.ts.clone(), number);
        }
        Ok(())
    }
}

fn author(message: &Message, names: &mut Names) -> String {
    let shown = message.username.as_deref().unwrap_or_default();
    match (&message.user, &message.bot_id) {
        (Some(user), _) => names.name(user, shown),
        (None, Some(bot)) => names.name(bot, shown),
        (None, None) => names.name(&format!("somebody {shown}"), shown),
    }
}

/// A message's text, and links to what was attached.
fn body(message: &Message, names: &Names) -> String {
    let user = |id: &str| names.of.get(id).cloned();
    let text = markdown(message.text.as_deref().unwrap_or_default(), user);
    let mut parts = vec![match message.subtype.as_deref() {
        Some("me_message") if !text.is_empty() => format!("*{text}*"),
        _ => text,
    }];
    for file in message.files.iter().take(MAX_PARTS) {
        let name = file
            .title
            .as_deref()
            .or(file.name.as_deref())
            .unwrap_or("file");
        let target = file.permalink.as_deref().or(file.url_private.as_deref());
        parts.push(target.map_or_else(|| name.to_string(), |target| link(target, name)));
    }
    for attached in message.attachments.iter().take(MAX_PARTS) {
        let title = attached.title.as_deref().unwrap_or_default();
        parts.push(match (&attached.title_link, title.is_empty()) {
            (Some(target), false) => link(target, title),
            _ => title.to_string(),
        });
        let shown = attached.text.as_deref().or(attached.fallback.as_deref());
        parts.push(markdown(shown.unwrap_or_default(), user));
    }
    parts.retain(|part| !part.trim().is_empty());
    let mut whole = parts.join("\n");
    if whole.len() > MAX_MESSAGE {
        let cut = (0..=MAX_MESSAGE)
            .rev()
            .find(|at| whole.is_char_boundary(*at));
        whole.truncate(cut.unwrap_or(0));
        whole.push_str(" …");
    }
    whole
}

#[cfg(test)]
mod tests {
    use std::io::{Seek as _, SeekFrom};

    use super::super::line::Line;
    use super::*;

    /// A small invented export.
    fn export() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, value: Value| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value.to_string()).unwrap();
        };
        put(
            "users.json",
            json!([{"id": "U1", "name": "amal"}, {"id": "U2", "name": "Örn Ó"}, {"id": "U3", "name": "amal"}]),
        );
        put(
            "channels.json",
            json!([{"id": "C1", "name": "harbour", "members": ["U1"]}, {"id": "C2", "name": "quiet"}]),
        );
        put(
            "harbour/2026-01-02.json",
            json!([
                {"type": "message", "user": "U2", "ts": "1767312000.000200", "thread_ts": "1767225600.000100", "text": "An answer"},
                {"type": "message", "subtype": "channel_join", "user": "U2", "ts": "1767312000.000100", "text": "joined"},
            ]),
        );
        put(
            "harbour/2026-01-01.json",
            json!([
                {"type": "message", "user": "U3", "ts": "1767225700.5", "text": "Later", "edited": {"user": "U3", "ts": "1767225800.0"},
                 "files": [{"name": "chart.pdf", "permalink": "https://slack.example/f/1"}]},
                {"type": "message", "user": "U1", "ts": "1767225600.000100", "thread_ts": "1767225600.000100", "reply_count": 1,
                 "text": "Hello <@U2> &amp; all", "reactions": [{"name": "wave::skin-tone-2", "users": ["U2", "U9"], "count": 2}]},
            ]),
        );
        put("harbour/notes.txt", json!("no day"));
        dir
    }

    fn converted(export: &Path) -> Result<Vec<Value>, ApiError> {
        let mut file = tempfile::tempfile().unwrap();
        convert(export, &mut file, "alpha")?;
        let mut text = String::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_string(&mut text).unwrap();
        for line in text.lines() {
            Line::parse(line.as_bytes()).unwrap();
        }
        Ok(text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect())
    }

    #[test]
    fn an_export_becomes_lines_in_the_order_of_time() {
        let dir = export();
        let lines = converted(dir.path()).unwrap();
        let posts: Vec<&Value> = lines
            .iter()
            .filter(|it| it["type"] == "post")
            .map(|it| &it["post"])
            .collect();
        let texts: Vec<&str> = posts
            .iter()
            .filter_map(|it| it["message"].as_str())
            .collect();
        assert_eq!(
            texts,
            [
                "Hello @u--rn-- & all",
                "Later\n[chart.pdf](https://slack.example/f/1)",
                "An answer"
            ]
        );
        assert_eq!(posts[0]["create_at"], 1_767_225_600_000u64);
        assert_eq!(posts[1]["create_at"], 1_767_225_700_500u64);
        assert_eq!(posts[1]["user"], "amal-2", "two users of one name stay two");
        let root = posts[2]["answers"].as_u64().unwrap() as usize;
        assert_eq!(lines[root - 1]["post"]["message"], texts[0]);
        assert_eq!(
            posts[0]["reactions"][0],
            json!({"user": "u--rn--", "emoji_name": "wave"})
        );
        assert!(
            lines
                .iter()
                .any(|it| it["type"] == "slack.message.channel_join")
        );
        assert_eq!(converted(dir.path()).unwrap(), lines, "the same again");
    }

    #[test]
    fn a_hostile_export_is_refused_and_leads_nowhere() {
        let secret = tempfile::tempdir().unwrap();
        fs::write(secret.path().join("2026-01-01.json"), "[]").unwrap();
        for name in ["../x", "/etc", "..", ".hidden", "", "a/b", "a\0b"] {
            let dir = export();
            fs::write(
                dir.path().join("channels.json"),
                json!([{"name": name}]).to_string(),
            )
            .unwrap();
            let error = converted(dir.path()).unwrap_err();
            assert!(
                error.what.contains("no channel's name"),
                "{name}: {}",
                error.what
            );
        }
        let dir = export();
        std::os::unix::fs::symlink(secret.path(), dir.path().join("quiet")).unwrap();
        assert!(
            converted(dir.path())
                .unwrap_err()
                .what
                .contains("no directory")
        );
        let dir = export();
        let day = dir.path().join("harbour/2026-01-03.json");
        std::os::unix::fs::symlink("/etc/passwd", &day).unwrap();
        assert!(
            converted(dir.path())
                .unwrap_err()
                .what
                .contains("it is no file")
        );
        for malformed in [
            "",
            "{}",
            "[{\"type\": \"message\"}]",
            &"[".repeat(100_000),
            "[{\"type\":\"message\",\"ts\":\"soon\"}]",
        ] {
            let dir = export();
            fs::write(dir.path().join("harbour/2026-01-03.json"), malformed).unwrap();
            let error = converted(dir.path()).unwrap_err();
            assert_eq!(error.code, "malformed_import");
        }
        let dir = export();
        let huge = File::create(dir.path().join("harbour/2026-01-03.json")).unwrap();
        huge.set_len(MAX_FILE + 1).unwrap();
        assert!(
            converted(dir.path())
                .unwrap_err()
                .what
                .contains("larger than 64 MiB")
        );
        assert!(
            converted(secret.path())
                .unwrap_err()
                .what
                .contains("no channels.json")
        );
    }

    #[test]
    fn times_keep_their_order() {
        assert_eq!(unix_us("1767225600.000100"), Some(1_767_225_600_000_100));
        assert_eq!(unix_us("1767225600.5"), Some(1_767_225_600_500_000));
        assert_eq!(unix_us("1767225600"), Some(1_767_225_600_000_000));
        for bad in ["", "x", "-1.0", "99999999999999999999.0", "1.é", "1.x"] {
            assert_eq!(unix_us(bad), None, "{bad}");
        }
    }
}
