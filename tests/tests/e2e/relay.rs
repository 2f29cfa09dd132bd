//! Two partners without a direct path converge through the third.

use comity_tests::{PATIENCE, Site, eventually};

const ALL: [&str; 3] = ["alpha", "bravo", "charlie"];

#[test]
fn partners_without_a_direct_path_converge_through_the_third() {
    let mut site = chain();
    let from_alpha = site["alpha"]
        .post("harbour", "amal", "Do you read me, charlie?")
        .id;
    let from_charlie = site["charlie"]
        .post("harbour", "cleo", "I read you, alpha.")
        .id;
    shows(&site, "charlie", &from_alpha, "amal@alpha");
    shows(&site, "alpha", &from_charlie, "cleo@charlie");
    site.converge(&ALL);

    // Without the third nothing gets across; with it everything does, without a nudge.
    assert!(site["bravo"].stop().success());
    let from_alpha = site["alpha"].post("harbour", "amal", "Bravo is gone.").id;
    let from_charlie = site["charlie"]
        .post("harbour", "cleo", "Bravo does not answer.")
        .id;
    assert!(site["charlie"].find("harbour", &from_alpha).is_none());
    site["bravo"].start();
    shows(&site, "charlie", &from_alpha, "amal@alpha");
    shows(&site, "alpha", &from_charlie, "cleo@charlie");
    assert_eq!(site.converge(&ALL).posts, 4);
    assert!(
        site["alpha"]
            .status()
            .peers
            .iter()
            .all(|peer| peer.partner == "bravo")
    );
}

/// Alpha knows bravo, bravo knows charlie; all three are in one channel.
fn chain() -> Site {
    let site = Site::of(&ALL);
    site.peer("alpha", "bravo");
    site.peer("bravo", "charlie");
    site["alpha"].comity(&["channel", "create", "harbour"]).ok();
    site.admit("harbour", "alpha", "bravo", "admin");
    // An admin is one only once the acceptance is known.
    site.await_members("harbour", &["alpha", "bravo"]);
    site.admit("harbour", "bravo", "charlie", "contributor");
    site.await_members("harbour", &ALL);
    site
}

fn shows(site: &Site, partner: &str, id: &str, author: &str) {
    let post = eventually(
        &format!("{partner} shows a post of {author}"),
        PATIENCE,
        || site[partner].find("harbour", id),
    );
    assert_eq!((post.author.as_str(), post.audience.len()), (author, 3));
    assert!(post.message.is_some());
}
