//! The first reading of a file: is it whole and well-formed, and what is in it?

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use super::line::{Channel, Line, Post, User};
use super::selection::{Rule, Selection, hex};
use super::source::{Lines, Source};
use crate::api::ApiError;

/// The organisation of each author.
pub type Organisations = Arc<BTreeMap<String, String>>;

/// What a file contains.
#[derive(Debug)]
pub struct Survey {
    /// SHA-256 of the (uncompressed) file, as hex.
    pub digest: String,
    /// The channels, in the order of the file.
    pub rooms: Vec<String>,
    /// Empty text for an author without one.
    pub organisations: Organisations,
    /// How many posts each author has.
    posts: BTreeMap<String, u64>,
    /// What is not imported, by kind.
    pub not_imported: BTreeMap<String, u64>,
}

impl Survey {
    /// How many posts the file has.
    pub fn total(&self) -> u64 {
        self.posts.values().sum()
    }

    /// How many posts a selection takes.
    pub fn posts_of(&self, selection: &Selection) -> u64 {
        let is_home = |user: &String| self.home(user, &selection.rule) == selection.partner;
        let selected = self.posts.iter().filter(|(user, _)| is_home(user));
        selected.map(|(_, count)| count).sum()
    }

    /// Whether every author who posts has a home among `partners` under `rule`.
    pub fn is_covered(&self, rule: &Rule, partners: &[String]) -> bool {
        let has_home = |user: &String| partners.iter().any(|name| name == self.home(user, rule));
        self.posts.keys().all(has_home)
    }

    fn home<'a>(&'a self, user: &str, rule: &'a Rule) -> &'a str {
        let organisation = self.organisations.get(user).map_or("", String::as_str);
        rule.home(user, organisation)
    }
}

/// Reads and parses every line; refuses the file at the first that is malformed.
pub fn survey(source: &Source) -> Result<Survey, ApiError> {
    let mut lines = source.lines()?;
    let mut digest = Context::new(&SHA256);
    let mut draft = Draft::default();
    while let Some((number, bytes)) = lines.next()? {
        digest.update(bytes);
        let taken = Line::parse(bytes).and_then(|line| draft.take(number, line));
        taken.map_err(|why| lines.malformed(why))?;
    }
    draft.finish(&lines, hex(digest.finish().as_ref()))
}

#[derive(Default)]
struct Draft {
    /// The team of each channel declared.
    teams: BTreeMap<String, String>,
    rooms: Vec<String>,
    known_rooms: BTreeSet<String>,
    organisations: BTreeMap<String, String>,
    posts: BTreeMap<String, u64>,
    /// The line of the first post of each author.
    first_posts: BTreeMap<String, u64>,
    not_imported: BTreeMap<String, u64>,
}

impl Draft {
    fn take(&mut self, number: u64, line: Line) -> Result<(), String> {
        match line {
            Line::Version if number == 1 => Ok(()),
            _ if number == 1 => Err("the first line must be of type \"version\"".into()),
            Line::Version => Err("the version may only stand in the first line".into()),
            Line::Team => Ok(()),
            Line::Channel(channel) => self.take_channel(channel),
            Line::User(user) => self.take_user(&user),
            Line::Post(post) => {
                self.take_post(number, post);
                Ok(())
            }
            Line::Other(kind) => {
                *self.not_imported.entry(kind).or_default() += 1;
                Ok(())
            }
        }
    }

    fn take_channel(&mut self, channel: Channel) -> Result<(), String> {
        match self.teams.entry(channel.name) {
            Entry::Occupied(declared) if *declared.get() != channel.team => Err(format!(
                "two teams have a channel {:?}; here a name means one channel",
                declared.key()
            )),
            Entry::Occupied(_) => Ok(()),
            Entry::Vacant(place) => {
                let name = place.key().clone();
                place.insert(channel.team);
                self.add_room(name);
                Ok(())
            }
        }
    }

    fn take_user(&mut self, user: &User) -> Result<(), String> {
        let organisation = user.organisation().unwrap_or_default();
        match self.organisations.entry(user.username.clone()) {
            Entry::Occupied(known) if known.get() != organisation => Err(format!(
                "user {:?} stands in the file twice, with different organisations",
                user.username
            )),
            Entry::Occupied(_) => Ok(()),
            Entry::Vacant(place) => {
                place.insert(organisation.into());
                Ok(())
            }
        }
    }

    fn take_post(&mut self, number: u64, post: Post) {
        for (field, amount) in post.left_behind() {
            *self
                .not_imported
                .entry(format!("post.{field}"))
                .or_default() += amount;
        }
        self.add_room(post.channel);
        if !self.posts.contains_key(&post.user) {
            self.first_posts.insert(post.user.clone(), number);
        }
        *self.posts.entry(post.user).or_default() += 1;
    }

    fn add_room(&mut self, name: String) {
        if !self.known_rooms.contains(&name) {
            self.known_rooms.insert(name.clone());
            self.rooms.push(name);
        }
    }

    fn finish(self, lines: &Lines, digest: String) -> Result<Survey, ApiError> {
        let stranger = self
            .first_posts
            .iter()
            .filter(|(user, _)| !self.organisations.contains_key(*user))
            .min_by_key(|(_, line)| **line);
        if let Some((user, line)) = stranger {
            let why = format!("the author {user:?} has no line of type \"user\"");
            return Err(lines.malformed_at(*line, why));
        }
        Ok(Survey {
            digest,
            rooms: self.rooms,
            organisations: Arc::new(self.organisations),
            posts: self.posts,
            not_imported: self.not_imported,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = concat!(
        r#"{"type":"version","version":1}"#,
        "\n",
        r#"{"type":"team","team":{"name":"t"}}"#,
        "\n",
        r#"{"type":"channel","channel":{"team":"t","name":"quiet"}}"#,
        "\n",
        r#"{"type":"user","user":{"username":"ann","email":"ann@alpha.test"}}"#,
        "\n",
        r#"{"type":"user","user":{"username":"bob","position":"bravo"}}"#,
        "\n",
    );

    #[test]
    fn a_survey_counts_what_is_there() {
        let lines = [
            &post("ann"),
            &post("bob"),
            &post("bob"),
            "{\"type\":\"emoji\"}\n",
        ];
        let survey = survey_of(&(HEAD.to_owned() + &lines.concat())).unwrap();
        assert_eq!(survey.total(), 3);
        assert_eq!(survey.rooms, ["quiet", "room"]);
        assert_eq!(survey.not_imported["emoji"], 1);
        assert_eq!(survey.not_imported["post.replies"], 3);
        let selection = Selection {
            partner: "bravo".into(),
            rule: Rule::Organisation,
        };
        assert_eq!(survey.posts_of(&selection), 2);
    }

    #[test]
    fn the_partners_cover_the_authors_or_not() {
        let survey = survey_of(&(HEAD.to_owned() + &post("ann") + &post("bob"))).unwrap();
        let both = ["alpha".to_owned(), "bravo".to_owned()];
        assert!(survey.is_covered(&Rule::Organisation, &both));
        assert!(!survey.is_covered(&Rule::Organisation, &both[..1]));
        let spread = Rule::Spread(both[..1].to_vec());
        assert!(survey.is_covered(&spread, &both));
    }

    #[test]
    fn a_malformed_line_is_refused_by_its_number() {
        for (line, expected) in [
            ("{\"type\":\"post\"\n", "line 6: "),
            ("\n", "line 6: "),
            (&post("eve"), "line 6: the author \"eve\""),
            (
                "{\"type\":\"version\",\"version\":1}\n",
                "line 6: the version",
            ),
            (
                "{\"type\":\"channel\",\"channel\":{\"team\":\"u\",\"name\":\"quiet\"}}\n",
                "line 6: two teams",
            ),
            (
                "{\"type\":\"user\",\"user\":{\"username\":\"bob\",\"position\":\"x\"}}\n",
                "line 6: user \"bob\"",
            ),
        ] {
            let error = survey_of(&(HEAD.to_owned() + line)).unwrap_err();
            assert_eq!(error.code, "malformed_import");
            assert!(error.what.contains(expected), "{}", error.what);
        }
        let error = survey_of(&post("ann")).unwrap_err();
        assert!(
            error.what.contains("line 1: the first line"),
            "{}",
            error.what
        );
    }

    fn post(user: &str) -> String {
        format!(
            "{{\"type\":\"post\",\"post\":{{\"channel\":\"room\",\"user\":\"{user}\",\
             \"message\":\"m\",\"create_at\":1,\"replies\":[{{}}]}}}}\n"
        )
    }

    fn survey_of(text: &str) -> Result<Survey, ApiError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, text).unwrap();
        survey(&Source::File(path))
    }
}
