//! Users at their home nodes, by the API that their clients use. What clients that others wrote make
//! of it is shown in `tests/clients`.

use comity_tests::people::Api;
use comity_tests::{PATIENCE, Site, eventually};
use serde_json::json;

const ALL: [&str; 3] = ["alpha", "bravo", "charlie"];
const PASSWORD: &str = "correct horse";

/// Partners that share a channel, each with two users.
fn site() -> (Site, [Api; 3]) {
    let mut site = Site::sharing("harbour", &ALL);
    site.await_members("harbour", &ALL);
    let apis = ALL.map(|partner| {
        site[partner].stop();
        let api = site[partner].serve_users();
        site[partner].add_user("alice", PASSWORD);
        site[partner].add_user("bob", PASSWORD);
        site[partner].start();
        api
    });
    (site, apis)
}

#[test]
fn what_one_writes_another_reads_at_another_partner_and_knows_who_has_it() {
    let (site, [alpha, bravo, _]) = site();
    let (alice, bob) = (alpha.user("alice", PASSWORD), bravo.user("bob", PASSWORD));
    let (here, there) = (alice.channel("harbour"), bob.channel("harbour"));
    assert_eq!(here, there, "ids are the same at every node");

    let post = alice.say(&here, "Is everybody in?");
    let id = post["id"].as_str().unwrap();
    let seen = bob.await_post(id);
    assert_eq!(seen["message"], "Is everybody in?");
    assert!(seen["remote_id"].is_string());
    let author = bob
        .get(&format!(
            "/api/v4/users/{}",
            seen["user_id"].as_str().unwrap()
        ))
        .ok();
    assert_eq!(author["username"], "alice:alpha");

    let delivery = format!("/api/comity/v1/posts/{id}");
    eventually(
        "alice knows that all have it, and that it is final",
        PATIENCE,
        || {
            let told = alice.get(&delivery).ok();
            let receives = told["receives"].as_array()?;
            let all = receives.len() == 3 && receives.iter().all(|it| it["received"] == true);
            (all && told["final"] == true).then_some(())
        },
    );

    // Others may read it, and neither change nor withdraw it.
    let path = format!("/api/v4/posts/{id}");
    let edit = json!({"id": id, "message": "No."});
    assert_eq!(bob.ask("PUT", &format!("{path}/patch"), &edit).status, 403);
    assert_eq!(bob.ask("DELETE", &path, &json!(null)).status, 403);
    let colleague = alpha.user("bob", PASSWORD);
    assert_eq!(colleague.ask("DELETE", &path, &json!(null)).status, 403);
    assert_eq!(alice.get(&path).ok()["message"], "Is everybody in?");
    site.converge(&ALL);
}

#[test]
fn a_narrowed_post_goes_to_those_named_and_says_so() {
    let (site, [alpha, bravo, charlie]) = site();
    let alice = alpha.user("alice", PASSWORD);
    let channel = alice.channel("harbour");
    let asked = json!({"to": ["bravo"]});
    let path = format!("/api/comity/v1/channels/{channel}/audience");
    let would = alice.post(&path, &asked).ok();
    assert_eq!(would["receives"], json!(["alpha", "bravo"]));
    assert_eq!(would["excluded"][0]["partner"], "charlie");

    let post =
        json!({"channel_id": channel, "message": "For bravo.", "props": {"comity_to": ["bravo"]}});
    let post = alice.post("/api/v4/posts", &post).ok();
    let id = post["id"].as_str().unwrap();
    assert_eq!(post["props"]["comity_audience"], json!(["alpha", "bravo"]));
    bravo.user("bob", PASSWORD).await_post(id);
    let told = alice.get(&format!("/api/comity/v1/posts/{id}")).ok();
    assert_eq!(told["excluded"][0]["partner"], "charlie", "{told}");

    // What comes after it at charlie comes without it.
    let later = alice.say(&channel, "For all.");
    let bob = charlie.user("bob", PASSWORD);
    bob.await_post(later["id"].as_str().unwrap());
    assert_eq!(bob.get(&format!("/api/v4/posts/{id}")).status, 404);
    drop(site);
}

#[test]
fn a_direct_message_reaches_the_one_it_is_for_and_nobody_else() {
    let (site, [alpha, bravo, charlie]) = site();
    let (alice, bob) = (alpha.user("alice", PASSWORD), bravo.user("bob", PASSWORD));
    // Bob is known at alpha by what he wrote.
    let channel = bob.channel("harbour");
    let hello = bob.say(&channel, "Bob here.");
    alice.await_post(hello["id"].as_str().unwrap());

    let direct = alice
        .post("/api/v4/channels/direct", &json!([alice.id, bob.id]))
        .ok();
    let direct = direct["id"].as_str().unwrap();
    let post = alice.say(direct, "Between us.");
    let id = post["id"].as_str().unwrap();
    // Alice is known at bravo by this message, if by nothing before.
    eventually(
        "bob can read what was written before his node had joined",
        PATIENCE,
        || (bob.await_post(id)["message"] == "Between us.").then_some(()),
    );
    let answer = bob.say(direct, "Understood.");
    alice.await_post(answer["id"].as_str().unwrap());

    let others = [
        alpha.user("bob", PASSWORD),
        bravo.user("alice", PASSWORD),
        charlie.user("bob", PASSWORD),
    ];
    for other in others {
        let asked = other.get(&format!("/api/v4/posts/{id}"));
        let unknown = other.get("/api/v4/posts/yyyyyyyyyyyyyyyyyyyyyyyyyy");
        assert_eq!((asked.status, asked.json()), (404, unknown.json()));
        assert_eq!(
            other
                .get(&format!("/api/v4/channels/{direct}/posts"))
                .status,
            404
        );
        assert_eq!(other.get(&format!("/api/v4/channels/{direct}")).status, 404);
    }
    drop(site);
}

#[test]
fn a_post_that_is_asked_for_twice_is_made_once_also_when_the_node_is_killed_between() {
    let (mut site, [alpha, ..]) = site();
    let alice = alpha.user("alice", PASSWORD);
    let channel = alice.channel("harbour");
    let post = json!({"channel_id": channel, "message": "Once.", "pending_post_id": "mine:1"});
    let first = alice.post("/api/v4/posts", &post).ok();
    let again = alice.post("/api/v4/posts", &post).ok();
    assert_eq!(first["id"], again["id"]);

    site["alpha"].kill();
    site["alpha"].start();
    let again = alice.post("/api/v4/posts", &post).ok();
    assert_eq!(
        first["id"], again["id"],
        "the session and the post have survived"
    );
    let posts = site["alpha"].read("harbour");
    let once = posts
        .iter()
        .filter(|it| it.message.as_deref() == Some("Once."));
    assert_eq!(once.count(), 1);
}

#[test]
fn whoever_is_disabled_is_out_at_once_and_whoever_guesses_has_to_wait() {
    let (site, [alpha, ..]) = site();
    let alice = alpha.user("alice", PASSWORD);
    alice.get("/api/v4/users/me").ok();
    site["alpha"].comity(&["user", "disable", "alice"]).ok();
    assert_eq!(alice.get("/api/v4/users/me").status, 401);
    assert_eq!(alpha.log_in("alice", PASSWORD).status, 401);
    site["alpha"].comity(&["user", "enable", "alice"]).ok();
    assert_eq!(
        alice.get("/api/v4/users/me").status,
        401,
        "her sessions are over"
    );
    let alice = alpha.user("alice", PASSWORD);

    let refused = (0..20).find(|_| alpha.log_in("bob", "no").status == 429);
    assert!(refused.is_some_and(|tries| tries >= 5), "{refused:?}");
    assert_eq!(alpha.log_in("bob", PASSWORD).status, 429);
    alice.get("/api/v4/users/me").ok();
}

#[test]
fn a_page_of_another_site_can_read_nothing_and_change_nothing() {
    let (site, [alpha, ..]) = site();
    let answer = alpha.log_in("alice", PASSWORD);
    let cookies = answer.header("set-cookie");
    let cookie = |name: &str| {
        let found = cookies
            .iter()
            .find(|it| it.starts_with(&format!("{name}=")));
        found
            .map(|it| it.split(';').next().unwrap().to_string())
            .unwrap()
    };
    let token = cookies
        .iter()
        .find(|it| it.starts_with("MMAUTHTOKEN="))
        .unwrap();
    assert!(
        token.contains("HttpOnly") && token.contains("SameSite=Lax"),
        "{token}"
    );
    let (session, csrf) = (cookie("MMAUTHTOKEN"), cookie("MMCSRF"));
    let csrf = csrf.split_once('=').unwrap().1.to_string();

    let patch = br#"{"nickname": "changed"}"#;
    let path = "/api/v4/users/me/patch";
    let forged = alpha.ask("PUT", path, &[("Cookie", &session)], patch);
    assert_eq!(forged.status, 401);
    let wrong = alpha.ask(
        "PUT",
        path,
        &[("Cookie", &session), ("X-CSRF-Token", "guess")],
        patch,
    );
    assert_eq!(wrong.status, 401);
    let own = [
        ("Cookie", session.as_str()),
        ("X-CSRF-Token", csrf.as_str()),
    ];
    assert_eq!(
        alpha.ask("PUT", path, &own, patch).ok()["nickname"],
        "changed"
    );
    let read = alpha.ask("GET", "/api/v4/users/me", &[("Cookie", &session)], b"");
    assert!(read.header("access-control-allow-origin").is_empty());
    drop(site);
}

#[test]
fn a_program_posts_by_a_hook_and_not_after_it_has_ended() {
    let (site, [alpha, bravo, _]) = site();
    let alice = alpha.user("alice", PASSWORD);
    let channel = alice.channel("harbour");
    let made = alice
        .post("/api/v4/hooks/incoming", &json!({"channel_id": channel}))
        .ok();
    let path = format!("/hooks/{}", made["id"].as_str().unwrap());
    let sent = alpha.ask("POST", &path, &[], br#"{"text": "The lock gate is open."}"#);
    assert_eq!((sent.status, sent.body.as_slice()), (200, &b"ok"[..]));
    let bob = bravo.user("bob", PASSWORD);
    eventually("the message is at bravo", PATIENCE, || {
        let posts = bob.get(&format!("/api/v4/channels/{channel}/posts")).ok();
        let posts = posts["posts"].as_object()?.clone();
        posts
            .values()
            .any(|it| it["message"] == "The lock gate is open.")
            .then_some(())
    });
    let own = format!("/api/v4/hooks/incoming/{}", made["id"].as_str().unwrap());
    alice.ask("DELETE", &own, &json!(null)).ok();
    assert_eq!(
        alpha
            .ask("POST", &path, &[], br#"{"text": "Again."}"#)
            .status,
        404
    );
    drop(site);
}
