//! Peering: files, twelve words, and what a pact's state allows.

use std::time::Duration;

use comity_node::api::{PeerInfo, PeeringFile, Written};
use comity_tests::{PATIENCE, Site, eventually, past, store};

#[test]
fn both_sides_read_the_same_twelve_words() {
    let site = Site::of(&["alpha", "bravo"]);
    let (at_alpha, at_bravo) = exchange(&site, "alpha", "bravo");
    assert_eq!(at_alpha.len(), 12);
    assert_eq!(at_alpha, at_bravo);
    // The list shows them until they are approved.
    assert_eq!(site["alpha"].peer("bravo").words, Some(at_bravo.clone()));
    site["alpha"].approve("bravo", &at_bravo).ok();
    site["bravo"].approve("alpha", &at_alpha).ok();
    site.await_link("alpha", "bravo");
    assert_eq!(site["alpha"].peer("bravo").words, None);
}

#[test]
fn every_link_negotiates_the_hybrid_group_at_both_ends() {
    let site = Site::of(&["alpha", "bravo", "charlie"]);
    site.peer_all();
    for node in site.nodes() {
        let status = site[&node.name].json(&["status"]).ok();
        let peers = status.object::<comity_node::api::NodeStatus>().peers;
        assert_eq!(peers.len(), 2);
        for peer in peers {
            assert!(peer.connected);
            assert_eq!(peer.group.as_deref(), Some("X25519MLKEM768"));
        }
    }
}

#[test]
fn wrong_words_are_refused_and_put_on_record() {
    let mut site = Site::of(&["alpha", "bravo"]);
    let (mut words, _) = exchange(&site, "alpha", "bravo");
    words.rotate_left(1);
    assert_eq!(
        site["alpha"].approve("bravo", &words).failed().code,
        "words_differ"
    );
    words[0] = "notaword".into();
    assert_eq!(
        site["alpha"].approve("bravo", &words).failed().code,
        "words_differ"
    );
    let bravo = site["alpha"].peer("bravo");
    assert_eq!((bravo.state.as_str(), bravo.connected), ("waiting", false));

    site.stop();
    let record = store::audit(&site["alpha"].dir);
    let refused = record
        .iter()
        .filter(|r| r.action == "refused" && r.text.contains("bravo"));
    assert_eq!(refused.count(), 2, "{record:?}");
}

#[test]
fn an_invitation_is_good_for_one_partner() {
    let site = Site::of(&["alpha", "bravo", "charlie"]);
    let invitation = site["alpha"].invite(&[]);
    let from_bravo: PeeringFile = site["bravo"].accept(&invitation, &[]).ok().object();
    let from_charlie: PeeringFile = site["charlie"].accept(&invitation, &[]).ok().object();
    site["alpha"].accept(&from_charlie, &[]).ok();
    let late = site["alpha"].accept(&from_bravo, &[]);
    assert_eq!(late.failed().code, "no_such_invitation");
    let again = site["alpha"].accept(&from_charlie, &[]);
    assert_eq!(again.code(), 2, "the same reply twice");
}

#[test]
fn an_invitation_expires_for_both_sides() {
    let site = Site::of(&["alpha", "bravo", "charlie"]);
    let invitation = site["alpha"].invite(&["--expires", "2s"]);
    let reply: PeeringFile = site["bravo"].accept(&invitation, &[]).ok().object();
    past(invitation.expires_at_ms);
    let late = site["charlie"].accept(&invitation, &[]);
    assert_eq!(late.failed().code, "invitation_expired");
    let late = site["alpha"].accept(&reply, &[]);
    let code = late.failed().code;
    assert!(
        ["invitation_expired", "no_such_invitation"].contains(&code.as_str()),
        "{code}"
    );
}

#[test]
fn a_suspended_peer_is_cut_off_at_once_and_left_out_of_what_is_written() {
    const AT_ONCE: Duration = Duration::from_secs(2);
    let site = Site::sharing("harbour", &["alpha", "bravo"]);
    site["alpha"].comity(&["peer", "suspend", "bravo"]).ok();
    for (here, there) in [("alpha", "bravo"), ("bravo", "alpha")] {
        eventually("the link is down", AT_ONCE, || {
            (!site[here].peer(there).connected).then_some(())
        });
    }
    assert_eq!(site["alpha"].peer("bravo").state, "suspended");
    let without = site["alpha"].post("harbour", "amal", "While you were away.");
    let audience = (&without.audience[..], &without.left_out[..]);
    assert_eq!(audience, (&["alpha".into()][..], &["bravo".into()][..]));
    let from_bravo = site["bravo"].post("harbour", "boris", "Where are you?").id;

    site["alpha"].comity(&["peer", "resume", "bravo"]).ok();
    eventually("what bravo wrote arrives", PATIENCE, || {
        site["alpha"].find("harbour", &from_bravo)
    });
    let again = site["alpha"].post("harbour", "amal", "Here again.");
    assert!(again.left_out.is_empty());
    eventually("what is written now arrives", PATIENCE, || {
        site["bravo"].find("harbour", &again.id)
    });
    site.agree("harbour", &["alpha", "bravo"]);
    assert!(site["bravo"].find("harbour", &without.id).is_none());
}

#[test]
fn a_suspended_pact_keeps_new_messages_from_that_member() {
    let site = Site::sharing("harbour", &["alpha", "bravo", "charlie"]);
    let before = site["alpha"].post("harbour", "amal", "All three.").id;
    site.converge(&["alpha", "bravo", "charlie"]);
    site["alpha"].comity(&["peer", "suspend", "charlie"]).ok();

    let post = ["post", "harbour", "Without charlie.", "--user", "amal"];
    let shown = site["alpha"].comity(&post).ok();
    let shown = shown.text();
    assert!(shown.contains("in harbour, for alpha, bravo\n"), "{shown}");
    assert!(shown.contains("without charlie: the pact"), "{shown}");
    let reply = [
        "post",
        "harbour",
        "Nor this.",
        "--user",
        "amal",
        "--reply-to",
        &before,
    ];
    let reply: Written = site["alpha"].json(&reply).ok().object();
    assert_eq!(reply.audience, ["alpha", "bravo"]);
    let edit = site["alpha"].json(&["edit", &before, "All?", "--user", "amal"]);
    assert_eq!(edit.failed().code, "pact_not_in_force");
    let named = [
        "post", "harbour", "For you.", "--user", "amal", "--to", "charlie",
    ];
    assert_eq!(
        site["alpha"].json(&named).failed().code,
        "pact_not_in_force"
    );

    // Bravo, who could pass things on, has all of it; charlie has what bravo adds.
    eventually("it arrives at bravo", PATIENCE, || {
        site["bravo"].find("harbour", &reply.id)
    });
    let last = site["bravo"].post("harbour", "boris", "For all again.").id;
    eventually("what bravo writes arrives at charlie", PATIENCE, || {
        site["charlie"].find("harbour", &last)
    });
    assert_eq!(site["charlie"].read("harbour").len(), 2);
    site.agree("harbour", &["alpha", "bravo", "charlie"]);
    assert_eq!(site["charlie"].read("harbour").len(), 2);
}

#[test]
fn a_revoked_pact_cannot_be_resumed() {
    let site = Site::of(&["alpha", "bravo"]);
    site.peer("alpha", "bravo");
    site["alpha"].comity(&["peer", "revoke", "bravo"]).ok();
    eventually("the link is down", PATIENCE, || {
        (!site["bravo"].peer("alpha").connected).then_some(())
    });
    let resume = site["alpha"].json(&["peer", "resume", "bravo"]);
    assert_eq!(resume.failed().code, "peer_state");
    let bravo = site["alpha"].peer("bravo");
    assert_eq!((bravo.state.as_str(), bravo.connected), ("revoked", false));
}

#[test]
fn a_pact_that_one_side_has_not_approved_makes_no_link() {
    let site = Site::of(&["alpha", "bravo"]);
    let (_, at_bravo) = exchange(&site, "alpha", "bravo");
    site["alpha"].approve("bravo", &at_bravo).ok();
    // Alpha has tried, and was refused.
    let bravo = eventually("alpha says why", PATIENCE, || {
        Some(site["alpha"].peer("bravo")).filter(|peer| peer.last_error.is_some())
    });
    assert!(!bravo.connected);
    let status = site["bravo"].json(&["status"]);
    assert_eq!(
        status.code(),
        1,
        "a warning that the words are not approved"
    );
    assert!(
        status
            .object::<comity_node::api::NodeStatus>()
            .peers
            .iter()
            .all(is_waiting)
    );
}

fn is_waiting(peer: &PeerInfo) -> bool {
    !peer.connected && peer.state == "waiting"
}

/// Carries the files between two partners; the words that each side reads.
fn exchange(site: &Site, inviting: &str, invited: &str) -> (Vec<String>, Vec<String>) {
    let invitation = site[inviting].invite(&[]);
    let reply: PeeringFile = site[invited].accept(&invitation, &[]).ok().object();
    let known: PeeringFile = site[inviting].accept(&reply, &[]).ok().object();
    (known.words.unwrap(), reply.words.unwrap())
}
