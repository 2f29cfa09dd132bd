//! A link cut in both directions while both sides post.

use std::time::{Duration, Instant};

use comity_tests::{Proxy, Site, at, eventually, say};

const CUT: Duration = Duration::from_secs(30);
/// Each side posts this often meanwhile.
const POSTS: u32 = 40;
/// Everything is everywhere so soon after the link returns.
const HEALED: Duration = Duration::from_secs(30);

#[test]
fn what_was_posted_during_a_cut_arrives_by_itself() {
    let site = Site::of(&["alpha", "bravo"]);
    let proxy = Proxy::between(site["alpha"].listen, site["bravo"].listen);
    let (alpha, bravo) = (proxy.address_of_one(), proxy.address_of_other());
    site.peer_at("alpha", alpha, "bravo", bravo);
    site.share("harbour", &["alpha", "bravo"]);
    site["alpha"].post("harbour", "amal", "Before the cut.");
    site.converge(&["alpha", "bravo"]);

    let before = proxy.cut();
    post_at_both(&site);
    let after = proxy.heal();
    let begun = Instant::now();
    assert!(before.passed > 0, "all goes through the proxy");
    assert_eq!(before.passed, after.passed, "nothing passed during the cut");
    let dropped = after.dropped - before.dropped;
    assert!(dropped > 0);

    let expected = u64::from(1 + 2 * POSTS);
    eventually("everything is everywhere", HEALED, || {
        let digests = ["alpha", "bravo"].map(|partner| site[partner].digests());
        let [one, other] = &digests;
        let same = (&one.timeline, &one.state) == (&other.timeline, &other.state);
        (same && one.posts == expected && other.posts == expected).then_some(())
    });
    say(&format!(
        "link cut: {dropped} packets dropped in {} s; {expected} posts on both sides {:.2} s \
         after the link returned",
        CUT.as_secs(),
        begun.elapsed().as_secs_f64()
    ));
}

/// Posts on both sides, spread over the time of the cut; nothing arrives.
fn post_at_both(site: &Site) {
    let begun = Instant::now();
    for number in 0..POSTS {
        at(begun + CUT * number / POSTS);
        site["alpha"].post("harbour", "amal", &format!("Alpha alone, {number}"));
        site["bravo"].post("harbour", "boris", &format!("Bravo alone, {number}"));
    }
    at(begun + CUT);
    for partner in ["alpha", "bravo"] {
        assert_eq!(site[partner].digests().posts, u64::from(1 + POSTS));
    }
}
