//! kill -9 at any moment of an import: nothing acknowledged is lost, nothing is posted twice, and
//! no node signs two events for one position.

mod client;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use comity_node::api::PostInfo;
use comity_tests::chat::Chat;
use comity_tests::store::Positions;
use comity_tests::{Dice, PATIENCE, Site, eventually, heavy, say};

use client::{Clients, Said};

const KILLS: u64 = 100;
const PARTNERS: [&str; 3] = ["alpha", "bravo", "charlie"];
/// A kill comes when this many posts of the victim were acknowledged since the last, and then
/// a moment later: somewhere within the posts that a node is given between two kills.
const POSTS_BEFORE_A_KILL: u64 = 120;
const MOMENT_US: u64 = 10_000;

#[test]
fn nodes_killed_at_a_hundred_moments_of_an_import_lose_nothing() {
    let _turn = heavy();
    let mut dice = Dice::of("kill -9");
    let chat = Arc::new(Chat::real("gitter-small.mm.jsonl"));
    let mut site = Site::of(&PARTNERS);
    site.peer_all();
    for room in chat.rooms() {
        site.share(room, &PARTNERS);
    }
    let clients = Clients::start(&site, &chat);
    let mut positions = Positions::default();
    let begun = Instant::now();
    let in_flight: Vec<u64> = (1..=KILLS)
        .map(|number| {
            clients.allow(number);
            kill_one(number, &mut dice, &mut site, &clients, &mut positions)
        })
        .collect();
    report(&in_flight, begun.elapsed());

    site.nodes_mut()
        .iter_mut()
        .for_each(|node| node.await_service());
    let said = clients.finish();
    site.converge(&PARTNERS);
    nothing_is_lost_or_doubled(&site, &said);
    no_node_complains(&site);
    site.stop();
    for node in site.nodes() {
        positions.absorb(&node.dir, &format!("{} at the end", node.name));
    }
    say(&format!(
        "kill -9: {} positions, one event each",
        positions.count()
    ));
}

/// Kills a node at a moment that the dice choose, looks into its store, and starts it again; how
/// many posts were in flight to it.
fn kill_one(
    number: u64,
    dice: &mut Dice,
    site: &mut Site,
    clients: &Clients,
    positions: &mut Positions,
) -> u64 {
    let victim = PARTNERS[dice.below(PARTNERS.len() as u64) as usize];
    let goal = clients.acknowledged(victim) + dice.below(POSTS_BEFORE_A_KILL);
    let delay = Duration::from_micros(dice.below(MOMENT_US));
    eventually(&format!("{victim} posts, kill {number}"), PATIENCE, || {
        (clients.acknowledged(victim) >= goal).then_some(())
    });
    std::thread::sleep(delay);
    let in_flight = clients.in_flight(victim);
    let node = &mut site[victim];
    node.kill();
    positions.absorb(&node.dir, &format!("{victim} after kill {number}"));
    node.spawn();
    in_flight
}

fn report(in_flight: &[u64], took: Duration) {
    let mut sorted = in_flight.to_vec();
    sorted.sort_unstable();
    let median = sorted[sorted.len() / 2];
    say(&format!(
        "kill -9: posts in flight at each of {} kills: {in_flight:?}; median {median}; {took:.0?}",
        in_flight.len()
    ));
    assert!(median > 0, "the kills must hit something");
}

/// Requires that all nodes show the same, that every imported line is there once, word for word,
/// and so is every post that was acknowledged by its id.
fn nothing_is_lost_or_doubled(site: &Site, said: &Said) {
    let mut posts = site["alpha"].export();
    for other in ["bravo", "charlie"] {
        // What was written at the same time may still change places until it is final.
        let what = format!("{other} shows what alpha shows");
        eventually(&what, PATIENCE, || {
            posts = site["alpha"].export();
            let theirs = site[other].export();
            theirs
                .iter()
                .map(shown)
                .eq(posts.iter().map(shown))
                .then_some(())
        });
    }
    every_line_is_there_once(&posts, said);
    let times = group(&posts, |post| post.id.as_str());
    let is_there_once = |id: &String| times.get(id.as_str()).is_some_and(|posts| posts.len() == 1);
    assert!(said.posted.iter().all(is_there_once));

    let (lines, ids) = (said.imported.len(), said.posted.len());
    let others = (posts.len() - lines - ids) as u64;
    say(&format!(
        "kill -9: {lines} lines imported; {ids} posts acknowledged by id; {others} that a kill \
         left unacknowledged are there as well"
    ));
    assert!(others <= KILLS, "one client at a time posts by id");
}

fn shown(post: &PostInfo) -> (&str, &str, Option<&str>) {
    (&post.id, &post.author, post.message.as_deref())
}

/// A line is known by its claimed time, which no other has.
fn every_line_is_there_once(posts: &[PostInfo], said: &Said) {
    let by_time = group(posts, |post| post.create_at);
    for (create_at, line) in &said.imported {
        let found = by_time.get(create_at).map_or(&[][..], Vec::as_slice);
        let [post] = found else {
            panic!("{line:?} is there {} times", found.len());
        };
        let written = (&post.channel, &post.author, post.message.as_ref());
        assert_eq!(written, (&line.channel, &line.user, Some(&line.message)));
    }
}

fn group<'a, K: Ord>(
    posts: &'a [PostInfo],
    key: impl Fn(&'a PostInfo) -> K,
) -> BTreeMap<K, Vec<&'a PostInfo>> {
    let mut groups: BTreeMap<K, Vec<&PostInfo>> = BTreeMap::new();
    for post in posts {
        groups.entry(key(post)).or_default().push(post);
    }
    groups
}

/// A writer that forked its log, or fell behind what its peers hold of it, would be in the logs.
fn no_node_complains(site: &Site) {
    for node in site.nodes() {
        let log = node.log();
        for complaint in ["two events", "restored", "ERROR", "misbehaved", "panicked"] {
            let line = log.lines().find(|line| line.contains(complaint));
            assert_eq!(line, None, "{}", node.name);
        }
    }
}
