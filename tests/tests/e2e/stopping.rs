//! Stopping: what was acknowledged is there afterwards.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use comity_node::api::{Precedence, Request, Written};
use comity_tests::admin::Admin;
use comity_tests::{Dice, PATIENCE, Site, eventually};

/// Posts acknowledged at least, before the node is told to stop.
const AT_LEAST: u64 = 50;

#[test]
fn a_node_told_to_stop_keeps_what_it_acknowledged() {
    let mut dice = Dice::of("stopping");
    let mut site = Site::sharing("harbour", &["alpha", "bravo"]);
    let count = Arc::new(AtomicUsize::new(0));
    let poster = {
        let (dir, count) = (site["alpha"].dir.clone(), count.clone());
        std::thread::spawn(move || post_until_it_ends(dir, &count))
    };
    let enough = (AT_LEAST + dice.below(AT_LEAST)) as usize;
    eventually("posts are acknowledged", PATIENCE, || {
        (count.load(Ordering::Relaxed) >= enough).then_some(())
    });
    site["alpha"].signal("TERM");
    assert_eq!(site["alpha"].wait().code(), Some(0));
    let acknowledged = poster.join().unwrap();
    assert!(acknowledged.len() >= enough);

    site["alpha"].start();
    let kept: BTreeSet<String> = ids(&site, "alpha");
    assert!(kept.is_superset(&acknowledged));
    site.converge(&["alpha", "bravo"]);
    assert_eq!(ids(&site, "bravo"), kept);
}

/// Posts one after the other until the node answers no more; the ids acknowledged.
fn post_until_it_ends(dir: PathBuf, count: &AtomicUsize) -> BTreeSet<String> {
    let mut acknowledged = BTreeSet::new();
    let mut admin = Admin::connect(&dir).unwrap();
    for number in 0.. {
        let post = Request::Post {
            channel: "harbour".into(),
            user: "amal".into(),
            message: format!("Number {number}"),
            reply_to: None,
            create_at_ms: None,
            precedence: Precedence::Routine,
            to: Vec::new(),
        };
        let Ok(Written { id, .. }) = admin.ask(&post) else {
            break;
        };
        acknowledged.insert(id);
        count.fetch_add(1, Ordering::Relaxed);
    }
    acknowledged
}

fn ids(site: &Site, partner: &str) -> BTreeSet<String> {
    let posts = site[partner].export();
    let ids: BTreeSet<String> = posts.iter().map(|post| post.id.clone()).collect();
    assert_eq!(ids.len(), posts.len(), "each once");
    ids
}
