//! What a node has told its people is done, and whether it shows that later.

use std::collections::{BTreeMap, BTreeSet};

use comity_node::api::{ChannelInfo, PostInfo};

/// The channel of the import, and the user whose lines it brings.
pub const ARCHIVE: &str = "archive";
pub const CLERK: &str = "clerk";

/// The node's partner.
pub const PARTNER: &str = "bravo";

/// A message and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    pub channel: String,
    pub user: String,
    pub message: String,
}

/// What was answered, and what was asked for and not answered yet.
#[derive(Default)]
pub struct Told {
    pub channels: BTreeSet<String>,
    /// By id.
    pub posts: BTreeMap<String, Said>,
    /// So many lines of the import, from the first.
    pub lines: u64,
    /// What is in files, by id.
    pub files: BTreeMap<String, String>,
    asked: Asked,
    /// How many writes were answered.
    pub answers: u64,
    /// How many were not answered before a cut and were there after it.
    pub found: u64,
}

/// May be there after a cut, or not.
#[derive(Default)]
struct Asked {
    channels: BTreeSet<String>,
    posts: BTreeSet<Said>,
    lines: u64,
    files: BTreeSet<String>,
    /// The new message of a post, by its id.
    edits: BTreeMap<String, String>,
}

impl Told {
    pub fn ask_channel(&mut self, name: &str) {
        self.asked.channels.insert(name.into());
    }

    pub fn tell_channel(&mut self, name: String) {
        self.asked.channels.remove(&name);
        self.channels.insert(name);
        self.answers += 1;
    }

    pub fn ask_post(&mut self, said: &Said) {
        let new = self.asked.posts.insert(said.clone());
        assert!(new, "every message is said once");
    }

    pub fn tell_post(&mut self, id: String, said: Said) {
        self.asked.posts.remove(&said);
        self.posts.insert(id, said);
        self.answers += 1;
    }

    pub fn ask_edit(&mut self, id: &str, message: &str) {
        self.asked.edits.insert(id.into(), message.into());
    }

    pub fn tell_edit(&mut self, id: &str) {
        let message = self.asked.edits.remove(id).expect("an edit asked for");
        self.posts.get_mut(id).expect("a post").message = message;
        self.answers += 1;
    }

    pub fn ask_lines(&mut self, last: u64) {
        self.asked.lines = last;
    }

    pub fn tell_lines(&mut self, last: u64) {
        self.answers += last - self.lines;
        self.lines = last;
    }

    pub fn ask_file(&mut self, data: &str) {
        self.asked.files.insert(data.into());
    }

    pub fn tell_file(&mut self, id: String, data: String) {
        self.asked.files.remove(&data);
        self.files.insert(id, data);
        self.answers += 1;
    }

    /// As [`Told::compare`] for the files, and before it.
    pub fn compare_files(&mut self, shown: BTreeMap<String, String>) -> Vec<String> {
        for (id, data) in &shown {
            if !self.files.contains_key(id) {
                assert!(self.asked.files.remove(data), "nobody sent {id}");
                self.files.insert(id.clone(), data.clone());
                self.found += 1;
            }
        }
        let is_missing = |(id, data): &(&String, &String)| shown.get(*id) != Some(*data);
        let missing = self.files.iter().filter(is_missing);
        let missing = missing.map(|(id, _)| format!("file {id}")).collect();
        self.files = shown;
        missing
    }

    /// Compares with what the node shows after it came back, and says what is missing. What is
    /// shown is told from now on; what nobody has said must not be.
    pub fn compare(&mut self, channels: &[ChannelInfo], posts: Vec<PostInfo>) -> Vec<String> {
        let mut missing = self.compare_channels(channels);
        let mut shown = BTreeMap::new();
        let mut lines = Vec::new();
        for post in posts {
            assert_eq!(post.state, "shown", "{post:?}");
            let said = said(&post);
            if said.user == CLERK {
                lines.push(said);
            } else {
                shown.insert(post.id, said);
            }
        }
        missing.extend(self.compare_posts(&shown));
        missing.extend(self.compare_lines(lines));
        self.asked = Asked {
            lines: self.lines,
            ..Asked::default()
        };
        missing
    }

    fn compare_channels(&mut self, channels: &[ChannelInfo]) -> Vec<String> {
        let shown: BTreeSet<String> = channels
            .iter()
            .map(|channel| channel.name.clone())
            .collect();
        assert_eq!(shown.len(), channels.len(), "no channel is there twice");
        for new in shown.difference(&self.channels) {
            assert!(self.asked.channels.contains(new), "nobody made {new}");
            self.found += 1;
        }
        let missing = self.channels.difference(&shown);
        let missing = missing.map(|name| format!("channel {name}")).collect();
        self.channels = shown;
        missing
    }

    fn compare_posts(&mut self, shown: &BTreeMap<String, Said>) -> Vec<String> {
        for (id, said) in shown {
            let Some(told) = self.posts.get_mut(id) else {
                assert!(self.asked.posts.remove(said), "nobody said {said:?}");
                self.posts.insert(id.clone(), said.clone());
                self.found += 1;
                continue;
            };
            if self.asked.edits.get(id) == Some(&said.message) {
                told.message.clone_from(&said.message);
                self.found += 1;
            }
        }
        let missing: Vec<String> = self
            .posts
            .iter()
            .filter(|(id, told)| shown.get(*id) != Some(told))
            .map(|(id, told)| format!("post {id}: {told:?}, shown {:?}", shown.get(id)))
            .collect();
        self.posts.clone_from(shown);
        missing
    }

    /// The lines that are there must be the first ones of those asked for, each once.
    fn compare_lines(&mut self, shown: Vec<Said>) -> Vec<String> {
        let count = shown.len() as u64;
        for (number, said) in (1..).zip(shown) {
            assert_eq!(said.channel, ARCHIVE);
            assert_eq!(said.message, line(number), "the lines in their order");
        }
        assert!(
            count <= self.asked.lines.max(self.lines),
            "nobody gave line {count}"
        );
        let missing = (count + 1..=self.lines)
            .map(|number| format!("line {number}"))
            .collect();
        self.found += count.saturating_sub(self.lines);
        self.lines = count;
        missing
    }
}

/// The text of a line of the import.
pub fn line(number: u64) -> String {
    format!(
        "Line {number}{}",
        " and so on".repeat((number % 64) as usize)
    )
}

fn said(post: &PostInfo) -> Said {
    let (user, partner) = post.author.split_once('@').expect("user@partner");
    assert_eq!(partner, PARTNER);
    Said {
        channel: post.channel.clone(),
        user: user.into(),
        message: post.message.clone().expect("a post that opens"),
    }
}
