//! Leaving: who left receives nothing more, not even the names of things.

use comity_protocol::lane::LaneForm;
use comity_tests::{PATIENCE, Site, eventually, store, unhex};

#[test]
fn who_left_receives_not_a_byte_of_what_follows() {
    let mut site = Site::sharing("harbour", &["alpha", "bravo", "charlie"]);
    site["alpha"].post("harbour", "amal", "All three of us.");
    site.converge(&["alpha", "bravo", "charlie"]);

    site["charlie"]
        .comity(&["channel", "leave", "harbour"])
        .ok();
    site.await_members("harbour", &["alpha", "bravo"]);
    let among_us = site["alpha"].post("harbour", "amal", "Between the two of us.");
    assert_eq!(among_us.audience, ["alpha", "bravo"]);
    site["bravo"].post("harbour", "boris", "Charlie has left.");
    assert_eq!(site.converge(&["alpha", "bravo"]).posts, 3);
    // The links to charlie still work: what was going to arrive there has arrived.
    after_all_that_was_sent(&site);

    assert_eq!(site["charlie"].channel("harbour").unwrap().status, "left");
    let exported = site["charlie"].export();
    assert!(
        exported
            .iter()
            .all(|post| post.channel != "harbour" || post.audience.len() == 3)
    );
    let refused = site["charlie"].json(&["post", "harbour", "Still here", "--user", "cleo"]);
    assert_eq!(refused.failed().code, "not_member");
    nothing_remains_of_it(&mut site, &among_us.id);
}

/// Waits until charlie has received something that was sent after all else.
fn after_all_that_was_sent(site: &Site) {
    for (member, channel) in [("alpha", "ferry"), ("bravo", "tugs")] {
        site.share(channel, &[member, "charlie"]);
        let last = site[member].post(channel, "mira", "The last of it.").id;
        eventually("what was sent last arrives", PATIENCE, || {
            site["charlie"].find(channel, &last)
        });
    }
}

/// Searches the stores for the lane of alpha and bravo, and for the post in it.
fn nothing_remains_of_it(site: &mut Site, post: &str) {
    let lane = site.lane("harbour", LaneForm::Open, &["alpha", "bravo"]);
    let post = unhex(post);
    site.stop();
    let count = |partner: &str, what: &[u8]| store::occurrences(&site[partner].dir, what);
    for member in ["alpha", "bravo"] {
        assert!(count(member, &lane) > 0, "the search finds what is there");
    }
    assert_eq!(count("charlie", &lane), 0, "the id of the others' lane");
    assert_eq!(
        count("charlie", &post[..8]),
        0,
        "the id of the others' post"
    );
    assert_eq!(count("charlie", b"Between the two of us."), 0);
}
