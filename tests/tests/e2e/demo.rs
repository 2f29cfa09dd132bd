//! `comity demo`: all partners hold what the file says, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use comity_node::api::PostInfo;
use comity_tests::chat::{Chat, ChatPost};
use comity_tests::{Outcome, comity, heavy, say};
use serde::Deserialize;

#[test]
fn two_three_and_five_partners_converge_on_the_sample() {
    let sample = Chat::sample();
    for partners in [2, 3, 5] {
        let dir = tempfile::tempdir().unwrap();
        let report = demonstrate(&[], partners, dir.path());
        report.check(partners, sample.posts.len());
        every_node_holds(&sample, &report, dir.path());
    }
}

#[test]
fn a_demonstration_that_is_kept_posts_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let first = demonstrate(&[], 3, dir.path());
    let second = demonstrate(&[], 3, dir.path());
    second.check(3, Chat::sample().posts.len());
    assert_eq!(first.held(), second.held());
}

#[test]
fn real_chat_arrives_everywhere_byte_for_byte() {
    let _turn = heavy();
    let chat = Chat::real("gitter-75k.mm.jsonl.xz");
    let import = match chat.is_sample() {
        true => Vec::new(),
        false => vec!["--import", chat.path.to_str().unwrap()],
    };
    let dir = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let first = demonstrate(&import, 3, dir.path());
    first.check(3, chat.posts.len());
    say(&format!(
        "demonstration: {} posts everywhere after {:.1} s, {:.0} posts/s; {:.0?} with set-up",
        first.posts,
        first.seconds,
        first.events_per_second,
        begun.elapsed()
    ));
    every_node_holds(&chat, &first, dir.path());
    let second = demonstrate(&import, 3, dir.path());
    assert_eq!(first.held(), second.held());
}

/// What `comity demo --json` prints, as far as it is looked at.
#[derive(Deserialize)]
struct Report {
    posts: usize,
    converged: bool,
    seconds: f64,
    /// Until everything was final everywhere: what is ordered the same from then on.
    final_seconds: Option<f64>,
    events_per_second: f64,
    nodes: Vec<NodeReport>,
}

#[derive(Deserialize)]
struct NodeReport {
    partner: String,
    posts: usize,
    events: u64,
    timeline: String,
    state: String,
    wire_bytes_sent: u64,
    wire_bytes_received: u64,
    disk_bytes: u64,
    rss_bytes: u64,
}

impl Report {
    /// Requires that all nodes hold all posts, and the same.
    fn check(&self, partners: usize, posts: usize) {
        assert!(self.converged);
        assert!(self.final_seconds.is_some(), "not final everywhere");
        assert_eq!((self.posts, self.nodes.len()), (posts, partners));
        for node in &self.nodes {
            let first = &self.nodes[0];
            assert_eq!(node.posts, posts, "{}", node.partner);
            // What is acknowledged of it comes after.
            assert!(node.events > posts as u64, "{}", node.partner);
            assert_eq!(node.timeline, first.timeline, "{}", node.partner);
            assert_eq!(node.state, first.state, "{}", node.partner);
            let used = [node.wire_bytes_sent, node.wire_bytes_received];
            assert!(used.iter().all(|bytes| *bytes > 0), "{}", node.partner);
            assert!(node.disk_bytes > 0 && node.rss_bytes > 0);
        }
    }

    /// What each node holds.
    fn held(&self) -> Vec<(&str, usize)> {
        let nodes = self.nodes.iter();
        nodes
            .map(|node| (node.partner.as_str(), node.posts))
            .collect()
    }
}

fn demonstrate(options: &[&str], partners: usize, keep: &Path) -> Report {
    let mut command = comity();
    command
        .args(["demo", "--once", "--json", "--keep"])
        .arg(keep);
    command
        .args(["--partners", &partners.to_string()])
        .args(options);
    Outcome::of(command, b"").ok().object()
}

/// Requires that the exports of all nodes are the same bytes, and say what the file says.
fn every_node_holds(chat: &Chat, report: &Report, keep: &Path) {
    let export = |partner: &str| {
        let mut command = comity();
        command.arg("export").arg("--dir").arg(keep.join(partner));
        Outcome::of(command, b"").ok()
    };
    let first = export(&report.nodes[0].partner);
    for node in &report.nodes[1..] {
        let same = export(&node.partner).stdout == first.stdout;
        assert!(same, "{} exports something else", node.partner);
    }
    let partners: Vec<&str> = report.nodes.iter().map(|n| n.partner.as_str()).collect();
    holds_as_written(chat, &first.objects(), &partners);
}

fn holds_as_written(chat: &Chat, exported: &[PostInfo], partners: &[&str]) {
    let (mut homes, mut posts) = (BTreeMap::new(), Vec::new());
    for post in exported {
        let (user, home) = post.author.split_once('@').unwrap();
        assert_eq!(*homes.entry(user).or_insert(home), home, "one home each");
        assert_eq!(post.audience, partners);
        assert!(post.is_final);
        posts.push(ChatPost {
            channel: post.channel.clone(),
            user: user.into(),
            create_at: post.create_at,
            message: post.message.clone().unwrap(),
        });
    }
    assert!(
        by_author(&chat.posts) == by_author(&posts),
        "as in the file"
    );
}

/// The posts of each author in each room, in their order.
fn by_author(posts: &[ChatPost]) -> BTreeMap<(&str, &str), Vec<(u64, &str)>> {
    let mut sorted: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for post in posts {
        let author = (post.channel.as_str(), post.user.as_str());
        let said = (post.create_at, post.message.as_str());
        sorted.entry(author).or_default().push(said);
    }
    sorted
}
