//! Edits, withdrawals and reactions: what shows on the other nodes, and what is refused.

use comity_node::api::{PostInfo, Written};
use comity_tests::{PATIENCE, Site, eventually};

#[test]
fn edits_reactions_and_withdrawals_show_on_the_other_nodes() {
    let site = Site::sharing("harbour", &["alpha", "bravo"]);
    let post = site["alpha"]
        .post("harbour", "amal", "The pilot is on borad.")
        .id;
    bravo_sees(&site, &post, |post| post.message.is_some());

    site["alpha"]
        .comity(&["edit", &post, "The pilot is on board.", "--user", "amal"])
        .ok();
    let edited = bravo_sees(&site, &post, |post| post.edit_at.is_some());
    assert_eq!(edited.message.unwrap(), "The pilot is on board.");

    site["bravo"]
        .comity(&["react", &post[..12], "+1", "--user", "boris"])
        .ok();
    let seen = eventually("the reaction shows", PATIENCE, || {
        let post = site["alpha"].find("harbour", &post)?;
        (!post.reactions.is_empty()).then_some(post.reactions)
    });
    assert_eq!(
        (seen[0].emoji.as_str(), seen[0].author.as_str()),
        ("+1", "boris@bravo")
    );
    site["bravo"]
        .comity(&["react", &post, "+1", "--user", "boris", "--remove"])
        .ok();
    eventually("the reaction goes", PATIENCE, || {
        let post = site["alpha"].find("harbour", &post)?;
        post.reactions.is_empty().then_some(())
    });

    site["alpha"]
        .comity(&["redact", &post, "--user", "amal"])
        .ok();
    let withdrawn = bravo_sees(&site, &post, |post| post.state == "withdrawn");
    assert_eq!(withdrawn.message, None);
    assert_eq!(site.converge(&["alpha", "bravo"]).posts, 1);
}

#[test]
fn only_its_author_may_edit_or_withdraw_a_post() {
    let site = Site::sharing("harbour", &["alpha", "bravo"]);
    let post = site["alpha"].post("harbour", "amal", "Mine.").id;
    bravo_sees(&site, &post, |post| post.message.is_some());
    // Another user, and the same name at another partner.
    for (node, user) in [("alpha", "ava"), ("bravo", "amal")] {
        let edit = site[node].json(&["edit", &post, "Ours.", "--user", user]);
        let redact = site[node].json(&["redact", &post, "--user", user]);
        assert_eq!(edit.failed().code, "not_author");
        assert_eq!(redact.failed().code, "not_author");
    }
    let kept = site["alpha"].find("harbour", &post).unwrap();
    assert_eq!(
        (kept.message.as_deref(), kept.edit_at),
        (Some("Mine."), None)
    );
}

#[test]
fn an_edit_in_a_channel_that_has_grown_goes_to_whoever_got_the_post() {
    let site = Site::of(&["alpha", "bravo", "charlie"]);
    site.peer("alpha", "bravo");
    site.peer("alpha", "charlie");
    site.share("harbour", &["alpha", "bravo"]);
    let post = site["alpha"]
        .post("harbour", "amal", "For the two of us.")
        .id;
    bravo_sees(&site, &post, |post| post.message.is_some());
    site.admit("harbour", "alpha", "charlie", "contributor");
    site.await_members("harbour", &["alpha", "bravo", "charlie"]);

    let edit = ["edit", &post, "For us two.", "--user", "amal"];
    let edit: Written = site["alpha"].json(&edit).ok().object();
    assert_eq!(edit.audience, ["alpha", "bravo"]);
    let edited = bravo_sees(&site, &post, |post| post.edit_at.is_some());
    assert_eq!(edited.message.as_deref(), Some("For us two."));
    let last = site["alpha"].post("harbour", "amal", "For all three.").id;
    eventually("the next post arrives at charlie", PATIENCE, || {
        site["charlie"].find("harbour", &last)
    });
    assert_eq!(site["charlie"].read("harbour").len(), 1);
}

#[test]
fn what_could_deceive_a_terminal_is_made_visible() {
    let site = Site::sharing("harbour", &["alpha", "bravo"]);
    let message = "\u{1b}[2J\u{1b}]0;owned\u{7} gpj\u{202e}exe\r\u{9b}1A\nsecond line";
    let post = site["bravo"].post("harbour", "boris", message).id;
    let seen = eventually("the post arrives", PATIENCE, || {
        site["alpha"].find("harbour", &post)
    });
    assert_eq!(seen.message.as_deref(), Some(message), "exact for programs");

    let shown = site["alpha"].comity(&["read", "harbour"]).ok();
    let shown = shown.text();
    let is_safe = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
    assert!(shown.chars().all(is_safe), "{shown:?}");
    let visible = [r"\u{1b}[2J", r"\u{7}", r"gpj\u{202e}exe", r"\r\u{9b}1A"];
    assert!(visible.iter().all(|part| shown.contains(part)), "{shown}");
    assert!(shown.contains("\n    second line\n"), "{shown}");
}

fn bravo_sees(site: &Site, id: &str, is_so: impl Fn(&PostInfo) -> bool) -> PostInfo {
    eventually("it shows at bravo", PATIENCE, || {
        site["bravo"].find("harbour", id).filter(&is_so)
    })
}
