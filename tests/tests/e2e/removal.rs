//! Ending memberships: by one who may, by a quorum of owners, and coming back.

use comity_node::api::{Decided, MembershipAct, Role};
use comity_tests::{Node, PATIENCE, Site, eventually, store};

const ALL: [&str; 3] = ["alpha", "bravo", "charlie"];
const REST: [&str; 2] = ["alpha", "bravo"];

#[test]
fn who_was_removed_gets_nothing_new_and_comes_back_to_what_is_written_then() {
    let mut site = channel_of_three("from_join");
    let story = remove_and_readmit(&site);
    let read: Vec<String> = site["charlie"]
        .read("harbour")
        .into_iter()
        .map(|post| post.id)
        .collect();
    assert_eq!(read, [story.before, story.late, story.again]);
    the_records_tell_of_it(&mut site);
}

#[test]
fn who_comes_back_where_the_history_is_for_all_reads_what_it_missed() {
    let site = channel_of_three("all");
    let story = remove_and_readmit(&site);
    let missed = eventually("the keys of what was missed are given", PATIENCE, || {
        let post = site["charlie"].find("harbour", &story.after)?;
        post.message
    });
    assert_eq!(missed, "Without charlie.");
    assert_eq!(site["charlie"].read("harbour").len(), 4);
}

/// The posts of the story, by their ids.
struct Story {
    before: String,
    after: String,
    late: String,
    again: String,
}

fn channel_of_three(history: &str) -> Site {
    let site = Site::of(&ALL);
    site.peer_all();
    site["alpha"]
        .comity(&["channel", "create", "harbour", "--history", history])
        .ok();
    for guest in ["bravo", "charlie"] {
        site.admit("harbour", "alpha", guest, "contributor");
    }
    site.await_members("harbour", &ALL);
    site
}

fn remove_and_readmit(site: &Site) -> Story {
    let before = site["alpha"].post("harbour", "amal", "All three.").id;
    site.converge(&ALL);
    let removed = site["alpha"]
        .comity(&["channel", "remove", "harbour", "charlie"])
        .ok();
    let removed = removed.text();
    assert!(
        removed.starts_with("removed: charlie in harbour\n"),
        "{removed}"
    );
    assert!(
        removed.contains("written from now on is for alpha, bravo\n"),
        "{removed}"
    );
    site.await_members("harbour", &REST);

    let after = site["alpha"].post("harbour", "amal", "Without charlie.");
    assert_eq!(after.audience, REST);
    // Charlie's node is not told, and goes on as before.
    let late = site["charlie"].post("harbour", "cleo", "Too late.");
    assert_eq!(late.audience, ALL);
    for member in REST {
        is_flagged_at(&site[member], &late.id);
        eventually("the rest goes on", PATIENCE, || {
            site[member].find("harbour", &after.id)
        });
    }
    nothing_new_came(site);
    come_back(site);

    let again = site["alpha"].post("harbour", "amal", "All three again.");
    assert_eq!(again.audience, ALL);
    for member in ALL {
        eventually("all three read again", PATIENCE, || {
            site[member].find("harbour", &again.id)?.message
        });
    }
    site.agree("harbour", &ALL);
    is_flagged_at(&site["charlie"], &late.id);
    Story {
        before,
        after: after.id,
        late: late.id,
        again: again.id,
    }
}

fn is_flagged_at(node: &Node, id: &str) {
    let post = eventually("the late post is flagged", PATIENCE, || {
        node.find("harbour", id)
            .filter(|post| post.state == "flagged")
    });
    assert_eq!(post.message, None);
    let shown = node.comity(&["read", "harbour"]).ok();
    let shown = shown.text();
    assert!(!shown.contains("Too late."), "{shown}");
    assert!(
        shown.contains("    (kept, not shown: charlie wrote it without knowing"),
        "{shown}"
    );
}

/// Waits until charlie has received what was sent after all else, and looks at what it has.
fn nothing_new_came(site: &Site) {
    for (member, channel) in [("alpha", "ferry"), ("bravo", "tugs")] {
        site.share(channel, &[member, "charlie"]);
        let last = site[member].post(channel, "mira", "The last of it.").id;
        eventually("what was sent last arrives", PATIENCE, || {
            site["charlie"].find(channel, &last)
        });
    }
    assert_eq!(site["charlie"].read("harbour").len(), 2);
    let status = site["charlie"]
        .channel("harbour")
        .map(|channel| channel.status);
    assert_eq!(status.as_deref(), Some("active"));
}

fn come_back(site: &Site) {
    site["alpha"]
        .comity(&["channel", "share", "harbour", "charlie"])
        .ok();
    eventually("charlie is invited again", PATIENCE, || {
        let status = site["charlie"].channel("harbour")?.status;
        (status == "invited").then_some(())
    });
    site["charlie"]
        .comity(&["channel", "accept", "harbour"])
        .ok();
    site.await_members("harbour", &ALL);
}

/// What alpha decided, and what became of it at bravo, who only saw it.
fn the_records_tell_of_it(site: &mut Site) {
    let charlie = site["charlie"].status().partner_id;
    let channel = site["alpha"].show("harbour").id;
    site.stop();
    let texts = |partner: &str, action: &str| -> Vec<String> {
        let records = store::audit(&site[partner].dir).into_iter();
        let of_action = records.filter(|record| record.action == action);
        let texts = of_action.map(|record| record.text);
        texts.filter(|text| text.contains(&channel)).collect()
    };
    let decided = texts("alpha", "channel_removed");
    assert_eq!(decided.len(), 1);
    assert!(decided[0].contains(&charlie), "{decided:?}");
    for member in REST {
        let seen = texts(member, "membership");
        let tells = |what: &str| {
            let line = seen.iter().filter(|text| text.contains(&charlie));
            line.filter(|text| text.contains(what)).count()
        };
        assert_eq!(
            tells("is removed, was active as contributor"),
            1,
            "{seen:?}"
        );
        assert_eq!(
            tells("is active as contributor, was invited"),
            2,
            "{seen:?}"
        );
    }
}

#[test]
fn owners_remove_one_of_them_by_a_quorum() {
    let site = Site::of(&ALL);
    site.peer_all();
    site["alpha"].comity(&["channel", "create", "harbour"]).ok();
    site.admit("harbour", "alpha", "bravo", "owner");
    site.await_members("harbour", &REST);
    // Two owners: neither makes a third alone.
    let share = ["channel", "share", "harbour", "charlie", "--role", "owner"];
    let missing = site["alpha"].comity(&share);
    let [what, fault, advice] = missing.failed_in_words();
    assert!(
        what.contains("2 owners behind it and has 1: alpha"),
        "{what}"
    );
    assert!(what.ends_with("[quorum_missing]"), "{what}");
    assert!(fault.contains("operator"), "{fault}");
    assert!(
        advice.contains("comity channel endorse harbour invite charlie --role owner"),
        "{advice}"
    );
    let invite = ["endorse", "harbour", "invite", "charlie", "--role", "owner"];
    endorse(&site["bravo"], &invite);
    eventually("enough have endorsed", PATIENCE, || {
        (site["alpha"].comity(&share).code() == 0).then_some(())
    });
    eventually("charlie is invited", PATIENCE, || {
        site["charlie"].channel("harbour")
    });
    site["charlie"]
        .comity(&["channel", "accept", "harbour"])
        .ok();
    site.await_members("harbour", &ALL);

    // Three owners: of the other two, both.
    let remove = ["channel", "remove", "harbour", "charlie"];
    assert_eq!(site["alpha"].json(&remove).failed().code, "quorum_missing");
    let open = eventually("bravo sees the proposal", PATIENCE, || {
        site["bravo"].show("harbour").proposals.pop()
    });
    assert_eq!(
        (open.act, open.partner.as_str()),
        (MembershipAct::Remove, "charlie")
    );
    assert_eq!(
        (&open.endorsed_by[..], open.needed),
        (&["alpha".to_string()][..], 2)
    );
    let shown = site["bravo"].comity(&["channel", "show", "harbour"]).ok();
    let line = "proposed: remove charlie, endorsed by 1 of 2 owners: alpha";
    assert!(shown.text().contains(line), "{}", shown.text());
    let progress = endorse(&site["bravo"], &["endorse", "harbour", "remove", "charlie"]);
    assert!(
        progress.consequences[0].contains("2 of 2 owners"),
        "{progress:?}"
    );
    // The one who endorsed last may carry it out as well as any.
    site["bravo"].comity(&remove).ok();
    site.await_members("harbour", &REST);
    assert!(site["bravo"].show("harbour").proposals.is_empty());
    let again = site["alpha"].json(&remove).failed();
    assert_eq!(again.code, "already_there");
}

fn endorse(owner: &Node, arguments: &[&str]) -> Decided {
    let endorse = [&["channel"], arguments].concat();
    let decided: Decided = owner.json(&endorse).ok().object();
    assert_eq!(decided.done, "endorsed");
    decided
}

#[test]
fn roles_are_granted_and_a_suspended_member_is_lifted_by_sharing_anew() {
    let site = Site::sharing("harbour", &REST);
    let refused = |arguments: &[&str], code: &str| {
        let error = site["bravo"].json(arguments).failed();
        assert_eq!(error.code, code, "{}", error.what);
    };
    refused(
        &["channel", "grant", "harbour", "alpha", "observer"],
        "not_allowed",
    );
    refused(&["channel", "remove", "harbour", "alpha"], "not_allowed");
    refused(
        &["channel", "endorse", "harbour", "remove", "alpha"],
        "not_allowed",
    );
    refused(&["channel", "remove", "harbour", "bravo"], "own_membership");
    refused(&["channel", "remove", "harbour", "zulu"], "no_such_partner");
    refused(
        &["channel", "endorse", "harbour", "grant", "alpha"],
        "role_needed",
    );

    site["alpha"]
        .comity(&["channel", "grant", "harbour", "bravo", "observer"])
        .ok();
    eventually("bravo may read only", PATIENCE, || {
        let members = site["bravo"].show("harbour").members;
        members
            .into_iter()
            .find(|m| m.partner == "bravo" && m.role == Role::Observer)
    });
    refused(
        &["post", "harbour", "May I?", "--user", "boris"],
        "not_allowed",
    );

    let suspend = ["channel", "suspend", "harbour", "bravo"];
    let decided: Decided = site["alpha"].json(&suspend).ok().object();
    assert_eq!(decided.done, "suspended");
    assert_eq!(
        site["alpha"].status_of("harbour", "bravo").as_deref(),
        Some("suspended")
    );
    assert_eq!(
        site["alpha"].post("harbour", "amal", "Alone.").audience,
        ["alpha"]
    );
    site["alpha"]
        .comity(&["channel", "share", "harbour", "bravo"])
        .ok();
    eventually("bravo is invited again", PATIENCE, || {
        (site["bravo"].channel("harbour")?.status == "invited").then_some(())
    });
    site["bravo"].comity(&["channel", "accept", "harbour"]).ok();
    site.await_members("harbour", &REST);
    let post = site["bravo"].post("harbour", "boris", "Back.").id;
    eventually("bravo is heard again", PATIENCE, || {
        site["alpha"].find("harbour", &post)
    });
}
