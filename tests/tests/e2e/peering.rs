//! Peering: files, twelve words, and what a pact's state allows.

use std::time::Duration;

use comity_node::api::{PeerInfo, PeeringFile};
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
fn a_suspended_peer_is_cut_off_at_once_and_caught_up_after() {
    const AT_ONCE: Duration = Duration::from_secs(2);
    let site = Site::sharing("harbour", &["alpha", "bravo"]);
    site["alpha"].comity(&["peer", "suspend", "bravo"]).ok();
    for (here, there) in [("alpha", "bravo"), ("bravo", "alpha")] {
        eventually("the link is down", AT_ONCE, || {
            (!site[here].peer(there).connected).then_some(())
        });
    }
    assert_eq!(site["alpha"].peer("bravo").state, "suspended");
    let post = site["alpha"]
        .post("harbour", "amal", "While you were away.")
        .id;
    assert!(site["bravo"].find("harbour", &post).is_none());

    site["alpha"].comity(&["peer", "resume", "bravo"]).ok();
    eventually("it arrives", PATIENCE, || {
        site["bravo"].find("harbour", &post)
    });
    site.converge(&["alpha", "bravo"]);
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
