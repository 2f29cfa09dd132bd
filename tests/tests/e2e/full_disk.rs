//! A disk that is full: what was acknowledged stays, what cannot be kept is not acknowledged, and
//! the node says why it stopped.

use comity_node::api::{Request, Written};
use comity_tests::{Dice, PATIENCE, Site, Volume, eventually, say};

/// Room for a store, and what is left of it when the posts begin.
const VOLUME_MIB: u32 = 256;
const LEFT_AT_MOST: u64 = 6 << 20;
/// Bytes of a post.
const LONG: usize = 16 << 10;
const POSTS_MAX: usize = 20_000;

#[test]
fn a_node_whose_disk_is_full_stops_with_the_reason_and_has_lost_nothing() {
    let mut dice = Dice::of("a full disk");
    let Some(volume) = Volume::of(VOLUME_MIB) else {
        return;
    };
    let mut site = Site::with_one_at(volume.path(), &["alpha", "bravo"]);
    site.peer("alpha", "bravo");
    site.share("harbour", &["alpha", "bravo"]);
    volume.fill_up_to(dice.below(LEFT_AT_MOST));
    let mut acknowledged = Vec::new();
    for number in 0..POSTS_MAX {
        match post(&site, number) {
            Some(id) => acknowledged.push(id),
            None => break,
        }
    }
    assert!(acknowledged.len() < POSTS_MAX, "the disk was never full");
    let ended = site["alpha"].wait();
    assert!(!ended.success(), "it failed, and its exit code says so");
    let log = site["alpha"].log();
    assert!(log.contains("No space left on device"), "{log}");

    volume.clear();
    site["alpha"].start();
    site.converge(&["alpha", "bravo"]);
    let held: Vec<String> = site["alpha"].export().into_iter().map(|p| p.id).collect();
    let lost = acknowledged.iter().filter(|id| !held.contains(id)).count();
    say(&format!(
        "a full disk: {} posts acknowledged before it was full, {lost} of them lost",
        acknowledged.len()
    ));
    assert_eq!(lost, 0);
    assert!(post(&site, POSTS_MAX).is_some(), "it goes on");
    eventually("the new post arrives", PATIENCE, || {
        let posts = [&site["alpha"], &site["bravo"]].map(|node| node.digests().posts);
        (posts[0] == posts[1]).then_some(())
    });
    site.stop();
}

/// The id of a post that was acknowledged.
fn post(site: &Site, number: usize) -> Option<String> {
    let post = Request::Post {
        channel: "harbour".into(),
        user: "anna".into(),
        message: format!("{number}: {}", "x".repeat(LONG)),
        reply_to: None,
        create_at_ms: None,
        precedence: Default::default(),
        to: Vec::new(),
    };
    site["alpha"]
        .ask::<Written>(&post)
        .map(|written| written.id)
}
