//! Users of other partners are known by their rosters, before they write anything.

use comity_tests::people::{Api, User};
use comity_tests::{PATIENCE, Site, eventually};
use serde_json::{Value, json};

const ALL: [&str; 2] = ["alpha", "bravo"];
const PASSWORD: &str = "correct horse";

/// Two partners that share a channel, each with one user.
fn site() -> (Site, [Api; 2]) {
    let mut site = Site::sharing("harbour", &ALL);
    site.await_members("harbour", &ALL);
    let apis = ALL.map(|partner| {
        site[partner].stop();
        let api = site[partner].serve_users();
        site[partner].add_user(&format!("{partner}-chief"), PASSWORD);
        site[partner].start();
        api
    });
    (site, apis)
}

/// Waits until somebody is known under a name, and looks as wanted.
fn await_user(viewer: &User, name: &str, looks: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/api/v4/users/username/{name}");
    eventually(&format!("{name} looks as wanted"), PATIENCE, || {
        let answer = viewer.get(&path);
        let user = answer.json();
        (answer.status == 200 && looks(&user)).then_some(user)
    })
}

#[test]
fn whoever_has_not_written_is_known_elsewhere_and_can_be_written_to() {
    let (mut site, [alpha, bravo]) = site();
    let alice = alpha.user("alpha-chief", PASSWORD);
    let bob = bravo.user("bravo-chief", PASSWORD);
    let known = await_user(&alice, "bravo-chief:bravo", |it| it["delete_at"] == 0);
    assert_eq!(
        known["id"],
        bob.id.as_str(),
        "ids are the same at every node"
    );

    // A new name is told, and one that comes later.
    let name = json!({"first_name": "Bo", "last_name": "Larsen"});
    bob.ask("PUT", "/api/v4/users/me/patch", &name).ok();
    await_user(&alice, "bravo-chief:bravo", |it| {
        it["first_name"] == "Bo" && it["last_name"] == "Larsen"
    });
    site["bravo"].add_user("late", PASSWORD);
    let late = await_user(&alice, "late:bravo", |it| it["delete_at"] == 0);

    // They are in the channel, found and offered.
    let channel = alice.channel("harbour");
    let in_channel = alice
        .get(&format!("/api/v4/users?in_channel={channel}"))
        .ok();
    let ids: Vec<&str> = in_channel
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["id"].as_str())
        .collect();
    assert!(ids.contains(&bob.id.as_str()) && ids.contains(&late["id"].as_str().unwrap()));
    let offered = alice
        .get(&format!(
            "/api/v4/users/autocomplete?name=bo&in_channel={channel}"
        ))
        .ok();
    assert_eq!(offered["users"][0]["id"], bob.id.as_str(), "{offered}");

    // A direct message to one who never wrote.
    let late_user = bravo.user("late", PASSWORD);
    let direct = alice
        .post("/api/v4/channels/direct", &json!([alice.id, late_user.id]))
        .ok();
    let post = alice.say(direct["id"].as_str().unwrap(), "Welcome.");
    let id = post["id"].as_str().unwrap();
    eventually("the message and its key are there", PATIENCE, || {
        (late_user.await_post(id)["message"] == "Welcome.").then_some(())
    });

    // Whoever is disabled is shown so, and is again whoever it was.
    site["bravo"].comity(&["user", "disable", "late"]).ok();
    await_user(&alice, "late:bravo", |it| it["delete_at"] != 0);
    site["bravo"].comity(&["user", "enable", "late"]).ok();
    await_user(&alice, "late:bravo", |it| it["delete_at"] == 0);

    // All of it is there after a start, on both sides, and nothing is said twice.
    for partner in ALL {
        site[partner].stop();
        site[partner].start();
    }
    let alice = alpha.user("alpha-chief", PASSWORD);
    await_user(&alice, "bravo-chief:bravo", |it| it["first_name"] == "Bo");
    await_user(&alice, "late:bravo", |it| it["delete_at"] == 0);
    site.converge(&ALL);
}
