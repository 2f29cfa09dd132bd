//! Channels between users, private ones, and who is there and types: across partners.

use std::collections::BTreeSet;

use comity_tests::people::{Api, User};
use comity_tests::{PATIENCE, Site, eventually};
use serde_json::{Value, json};

const ALL: [&str; 3] = ["alpha", "bravo", "charlie"];
const PASSWORD: &str = "correct horse";

/// Three partners that share a channel, each with two users.
fn site() -> (Site, [Api; 3]) {
    let mut site = Site::sharing("harbour", &ALL);
    site.await_members("harbour", &ALL);
    let apis = ALL.map(|partner| {
        site[partner].stop();
        let api = site[partner].serve_users();
        for user in ["one", "two"] {
            site[partner].add_user(&format!("{partner}-{user}"), PASSWORD);
        }
        site[partner].start();
        api
    });
    (site, apis)
}

/// Waits until somebody is known under a name.
fn await_user(viewer: &User, name: &str) -> String {
    eventually(&format!("{name} is known"), PATIENCE, || {
        let answer = viewer.get(&format!("/api/v4/users/username/{name}"));
        Some(answer.json()["id"].as_str()?.to_string()).filter(|_| answer.status == 200)
    })
}

fn await_message(reader: &User, post: &str, message: &str) {
    eventually("the message and its key are there", PATIENCE, || {
        (reader.await_post(post)["message"] == message).then_some(())
    });
}

fn ids(users: &Value) -> BTreeSet<String> {
    let users = users.as_array().expect("a list");
    users
        .iter()
        .filter_map(|it| Some(it["id"].as_str()?.to_string()))
        .collect()
}

#[test]
fn a_group_of_three_partners_users_reads_what_nobody_else_does() {
    let (mut site, [alpha, bravo, charlie]) = site();
    let alice = alpha.user("alpha-one", PASSWORD);
    let bob = bravo.user("bravo-one", PASSWORD);
    let carol = charlie.user("charlie-one", PASSWORD);
    let other = bravo.user("bravo-two", PASSWORD);
    await_user(&alice, "bravo-one:bravo");
    await_user(&alice, "charlie-one:charlie");

    let too_few = alice.post("/api/v4/channels/group", &json!([alice.id, bob.id]));
    assert_eq!(too_few.status, 400);
    let stranger = alice.post("/api/v4/channels/group", &json!([bob.id, "y".repeat(26)]));
    assert_eq!(stranger.status, 404, "{}", stranger.json());

    let mut ears = bob.listen();
    let named = json!([bob.id, carol.id]);
    let made = alice.post("/api/v4/channels/group", &named).ok();
    let again = alice.post("/api/v4/channels/group", &named).ok();
    assert_eq!(made["id"], again["id"], "the same users have one group");
    assert_eq!((&made["type"], &made["team_id"]), (&json!("G"), &json!("")));
    assert_eq!(made["display_name"], "bravo-one:bravo, charlie-one:charlie");
    let group = made["id"].as_str().unwrap();
    ears.hear("group_added", |it| it["data"]["channel_id"] == group);

    // All three talk; whoever else is of their partners knows nothing of it.
    let post = alice.say(group, "Only us.");
    let post = post["id"].as_str().unwrap();
    for member in [&bob, &carol] {
        await_message(member, post, "Only us.");
    }
    let answer = carol.say(group, "Agreed.");
    for member in [&alice, &bob] {
        await_message(member, answer["id"].as_str().unwrap(), "Agreed.");
    }
    for path in [
        format!("/api/v4/posts/{post}"),
        format!("/api/v4/channels/{group}"),
        format!("/api/v4/channels/{group}/posts"),
    ] {
        assert_eq!(other.get(&path).status, 404, "{path}");
    }
    // Found from any side, it is the same, and its users are known.
    let found = bob.post("/api/v4/channels/group", &json!([alice.id, carol.id]));
    assert_eq!(found.ok()["id"], group);
    let everybody = BTreeSet::from([alice.id.clone(), bob.id.clone(), carol.id.clone()]);
    eventually("all of its users are known", PATIENCE, || {
        let users = carol.get(&format!("/api/v4/users?in_channel={group}")).ok();
        (ids(&users) == everybody).then_some(())
    });
    let teammates = carol.post("/api/v4/users/group_channels", &json!([group]));
    let others = BTreeSet::from([alice.id.clone(), bob.id.clone()]);
    assert_eq!(ids(&teammates.ok()[group]), others);

    // It is the same after a start.
    site["alpha"].stop();
    site["alpha"].start();
    let alice = alpha.user("alpha-one", PASSWORD);
    alice.get(&format!("/api/v4/channels/{group}")).ok();
    site.converge(&ALL);
}

#[test]
fn a_group_that_a_partner_is_added_to_is_closed_for_everybody() {
    let (site, [alpha, bravo, charlie]) = site();
    let alice = alpha.user("alpha-one", PASSWORD);
    let second = alpha.user("alpha-two", PASSWORD);
    let bob = bravo.user("bravo-one", PASSWORD);
    let carol = charlie.user("charlie-one", PASSWORD);
    await_user(&alice, "bravo-one:bravo");
    let named = json!([second.id, bob.id]);
    let made = alice.post("/api/v4/channels/group", &named).ok();
    let path = format!("/api/v4/channels/{}", made["id"].as_str().unwrap());
    eventually("bravo's user is in it", PATIENCE, || {
        (bob.get(&path).status == 200).then_some(())
    });

    let listed: Vec<Value> = site["alpha"]
        .comity(&["channel", "list", "--json"])
        .ok()
        .objects();
    let mut names = listed.iter().filter_map(|it| it["name"].as_str());
    let name = names
        .find(|name| name.starts_with("gm-"))
        .expect("the group");
    site["alpha"]
        .comity(&["channel", "share", name, "charlie"])
        .ok();
    for user in [&alice, &second, &bob, &carol] {
        eventually("the group is closed", PATIENCE, || {
            (user.get(&path).status == 404).then_some(())
        });
    }
}

#[test]
fn a_private_channel_is_known_to_those_who_were_taken_in() {
    let (_site, [alpha, _, _]) = site();
    let maker = alpha.user("alpha-one", PASSWORD);
    let other = alpha.user("alpha-two", PASSWORD);
    let teams = maker.get("/api/v4/users/me/teams").ok();
    let own = teams
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "alpha");
    let team = own.unwrap()["id"].as_str().unwrap().to_string();
    let new = json!({"team_id": team, "name": "inner", "display_name": "Inner", "type": "P"});
    let made = maker.post("/api/v4/channels", &new).ok();
    assert_eq!(made["type"], "P");
    let id = made["id"].as_str().unwrap();
    let post = maker.say(id, "Not for all.");
    let path = format!("/api/v4/channels/{id}");
    let is_listed = |user: &User| {
        let listed = user.get(&format!("/api/v4/teams/{team}/channels")).ok();
        ids(&listed).contains(id)
    };
    assert_eq!(other.get(&path).status, 404);
    assert!(!is_listed(&other));
    let join = json!({"user_id": other.id});
    assert_eq!(other.post(&format!("{path}/members"), &join).status, 404);

    // A member takes another in.
    maker.post(&format!("{path}/members"), &join).ok();
    assert_eq!(other.get(&path).ok()["id"], id);
    let read = other.get(&format!("/api/v4/posts/{}", post["id"].as_str().unwrap()));
    assert_eq!(read.ok()["message"], "Not for all.");

    // Only its maker opens it to all of the partner.
    let open = json!({"privacy": "O"});
    let refused = other.ask("PUT", &format!("{path}/privacy"), &open);
    assert_eq!(refused.status, 403);
    let opened = maker.ask("PUT", &format!("{path}/privacy"), &open).ok();
    assert_eq!(opened["type"], "O");
    assert!(is_listed(&other));
}

#[test]
fn who_is_there_and_types_is_seen_at_linked_partners_and_nowhere_after_the_link() {
    let (mut site, [alpha, bravo, _]) = site();
    let alice = alpha.user("alpha-one", PASSWORD);
    let bob = bravo.user("bravo-one", PASSWORD);
    await_user(&bob, "alpha-one:alpha");
    let channel = bob.channel("harbour");
    let status = |of: &str| bob.get(&format!("/api/v4/users/{of}/status")).ok()["status"].clone();
    let mut ears = bob.listen();
    assert_eq!(status(&alice.id), "offline");

    let mut mouth = alice.listen();
    ears.hear("status_change", |it| {
        it["data"]["user_id"] == alice.id.as_str() && it["data"]["status"] == "online"
    });
    mouth.act(
        "user_typing",
        &json!({"channel_id": channel, "parent_id": ""}),
    );
    ears.hear("typing", |it| {
        it["data"]["user_id"] == alice.id.as_str() && it["broadcast"]["channel_id"] == channel
    });
    // Whoever writes to some is not seen to write by the others.
    let narrowed = json!({"channel_id": channel, "parent_id": "", "comity_narrowed": true});
    mouth.act("user_typing", &narrowed);
    let away = json!({"user_id": alice.id, "status": "dnd"});
    alice.ask("PUT", "/api/v4/users/me/status", &away).ok();
    let heard = eventually("the new status is told", PATIENCE, || {
        let told = ears.rest();
        let is_new = |it: &Value| it["event"] == "status_change" && it["data"]["status"] == "dnd";
        told.iter().any(is_new).then_some(told)
    });
    assert!(heard.iter().all(|it| it["event"] != "typing"), "{heard:?}");
    assert_eq!(status(&alice.id), "dnd");

    // With the link goes what was said over it.
    site["alpha"].kill();
    ears.hear("status_change", |it| {
        it["data"]["user_id"] == alice.id.as_str() && it["data"]["status"] == "offline"
    });
}

#[test]
fn a_records_officer_takes_what_a_user_wrote_and_nothing_else_of_it() {
    let (site, [alpha, bravo, _]) = site();
    site["alpha"]
        .comity(&["user", "roles", "alpha-two", "records_officer", "auditor"])
        .ok();
    let alice = alpha.user("alpha-one", PASSWORD);
    let officer = alpha.user("alpha-two", PASSWORD);
    let bob = bravo.user("bravo-one", PASSWORD);
    let channel = alice.channel("harbour");
    alice.say(&channel, "For the records.");
    let draft = json!({"channel_id": channel, "message": "Not said yet."});
    alice.post("/api/v4/drafts", &draft).ok();

    let path = format!("/api/comity/v1/users/{}/export", alice.id);
    let export = officer.get(&path);
    assert_eq!(export.status, 200);
    let text = String::from_utf8(export.body).unwrap();
    let kinds: Vec<String> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].to_string())
        .collect();
    assert!(text.contains("For the records."));
    assert!(!text.contains("Not said yet."));
    assert_eq!(kinds, ["\"profile\"", "\"post\"", "\"end\""], "{text}");

    // Nobody else takes it, and the officer nothing of another partner's user.
    let of_officer = format!("/api/comity/v1/users/{}/export", officer.id);
    assert_eq!(alice.get(&of_officer).status, 403);
    assert_eq!(bob.get(&path).status, 403);
    let foreign = format!("/api/comity/v1/users/{}/export", bob.id);
    assert_eq!(officer.get(&foreign).status, 404);
    assert_eq!(
        officer.get(&format!("/api/v4/channels/{channel}")).status,
        404
    );
    let audit = officer.get("/api/comity/v1/audit?limit=1000").ok();
    let records = audit.as_array().unwrap().iter();
    let mut actions = records.filter_map(|it| it["action"].as_str());
    assert!(actions.any(|it| it == "records_export"), "{audit}");
}

#[test]
fn a_label_is_told_at_every_partner_and_what_is_about_it_bears_no_lower_one() {
    let (_site, [alpha, bravo, _]) = site();
    let alice = alpha.user("alpha-one", PASSWORD);
    let bob = bravo.user("bravo-one", PASSWORD);
    let channel = alice.channel("harbour");
    let label = |to: &[&str]| {
        let category = json!({"tag": "Releasable To", "form": "permissive", "values": to});
        json!({"policy": "Exercise", "classification": "RESTRICTED", "categories": [category]})
    };
    let post = |props: Value, root: &str| {
        let post =
            json!({"channel_id": channel, "message": "Marked.", "root_id": root, "props": props});
        alice.post("/api/v4/posts", &post)
    };
    let made = post(json!({"comity_label": label(&["ALFA", "BRAVO"])}), "").ok();
    let id = made["id"].as_str().unwrap();
    await_message(&bob, id, "Marked.");
    for told in [&made, &bob.await_post(id)] {
        let told = &told["props"]["comity_label"];
        assert_eq!(told["classification"], "RESTRICTED", "{told}");
        assert_eq!(told["categories"][0]["values"], json!(["ALFA", "BRAVO"]));
    }
    let delivery = bob.get(&format!("/api/comity/v1/posts/{id}")).ok();
    assert_eq!(delivery["label"]["policy"], "Exercise");

    // An answer bears it too, or a narrower one; never one for more readers.
    let answer = post(json!({}), id).ok();
    assert_eq!(
        answer["props"]["comity_label"]["classification"],
        "RESTRICTED"
    );
    post(json!({"comity_label": label(&["ALFA"])}), id).ok();
    let wider = post(
        json!({"comity_label": label(&["ALFA", "BRAVO", "CHARLIE"])}),
        id,
    );
    assert!((400..500).contains(&wider.status), "{}", wider.status);

    // What cannot be read is refused, so that nothing goes to more than it was meant for.
    for props in [
        json!({"comity_to": "bravo"}),
        json!({"comity_to": ["bravo", 5]}),
        json!({"comity_to": []}),
        json!({"comity_label": "RESTRICTED"}),
        json!({"comity_label": {"policy": "", "classification": "x"}}),
        json!({"comity_label": {"policy": "p", "classification": "x".repeat(65)}}),
    ] {
        assert_eq!(post(props.clone(), "").status, 400, "{props}");
    }
}
