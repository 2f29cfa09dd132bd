//! What makes life easier for users: drafts and words of their own on all devices, uploads that go on,
//! programs that are told and asked, and what they may take along.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use comity_tests::people::{Api, User};
use comity_tests::{PATIENCE, Site, eventually, store};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";
const ALL: [&str; 3] = ["alpha", "bravo", "charlie"];

/// Partners that share a channel, each with two users; alpha's may have programs at this host.
fn site<const N: usize>(partners: [&'static str; N], hook_host: Option<&str>) -> (Site, [Api; N]) {
    let mut site = Site::sharing("harbour", &partners);
    site.await_members("harbour", &partners);
    let apis = partners.map(|partner| {
        site[partner].stop();
        let api = site[partner].serve_users();
        if let (Some(host), "alpha") = (hook_host, partner) {
            site[partner].list_hook_host(host);
        }
        site[partner].add_user("alice", PASSWORD);
        site[partner].add_user("bob", PASSWORD);
        site[partner].start();
        api
    });
    (site, apis)
}

/// Joins a channel of the own partner's alone.
fn enter(user: &User, name: &str) {
    let teams = user.get("/api/v4/users/me/teams").ok();
    let team = teams[0]["id"].as_str().unwrap();
    let found = user.get(&format!("/api/v4/teams/{team}/channels/name/{name}"));
    let members = format!(
        "/api/v4/channels/{}/members",
        found.ok()["id"].as_str().unwrap()
    );
    user.post(&members, &json!({"user_id": user.id})).ok();
}

#[test]
fn a_draft_and_a_status_are_on_all_devices_until_they_are_taken_back() {
    let (mut site, [alpha]) = site(["alpha"], None);
    let (desk, phone) = (alpha.user("alice", PASSWORD), alpha.user("alice", PASSWORD));
    let bob = alpha.user("bob", PASSWORD);
    enter(&desk, "harbour");
    enter(&bob, "harbour");
    let channel = desk.channel("harbour");
    let first = desk.channel("town-square");
    let team = desk.get("/api/v4/users/me/teams").ok()[0]["id"].clone();
    let drafts = format!("/api/v4/users/me/teams/{}/drafts", team.as_str().unwrap());

    let draft = json!({"channel_id": channel, "message": "To be con", "props": {"x": 1}});
    let kept = desk.post("/api/v4/drafts", &draft);
    assert_eq!(
        (kept.status, kept.json()["message"].clone()),
        (201, "To be con".into())
    );
    let other = json!({"channel_id": first, "message": "Another"});
    desk.post("/api/v4/drafts", &other).ok();
    site["alpha"].kill();
    site["alpha"].start();
    let seen = phone.get(&drafts).ok();
    let texts: Vec<&str> = seen
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|it| it["message"].as_str())
        .collect();
    assert_eq!(texts, ["Another", "To be con"]);
    assert_eq!(seen[1]["props"], json!({"x": 1}));
    assert_eq!(
        bob.get(&drafts).ok(),
        json!([]),
        "a draft is its author's alone"
    );
    let of_alice = format!("/api/v4/users/{}/channels/{channel}/drafts", desk.id);
    assert_eq!(bob.ask("DELETE", &of_alice, &Value::Null).status, 403);
    phone.ask("DELETE", &of_alice, &Value::Null).ok();
    assert_eq!(desk.get(&drafts).ok().as_array().unwrap().len(), 1);

    let custom = "/api/v4/users/me/status/custom";
    let status = json!({"emoji": "anchor", "text": "On board"});
    desk.ask("PUT", custom, &status).ok();
    let profile = format!("/api/v4/users/{}", desk.id);
    let told = |user: &User| {
        let told = user.get(&profile).ok()["props"]["customStatus"].clone();
        told.as_str()
            .map(|it| serde_json::from_str::<Value>(it).unwrap()["text"].clone())
    };
    assert_eq!(told(&bob), Some("On board".into()));
    let past = json!({"emoji": "anchor", "text": "Late", "duration": "one_hour", "expires_at": "2020-01-01T00:00:00Z"});
    assert_eq!(desk.ask("PUT", custom, &past).status, 400);
    phone.ask("DELETE", custom, &Value::Null).ok();
    assert_eq!(told(&bob), None);
    let recent = phone.get("/api/v4/users/me/preferences/custom_status").ok();
    assert!(
        recent[0]["value"].as_str().unwrap().contains("On board"),
        "{recent}"
    );
}

#[test]
fn an_upload_goes_on_after_a_lost_line_and_a_killed_node() {
    let (mut site, [alpha]) = site(["alpha"], None);
    let (alice, bob) = (alpha.user("alice", PASSWORD), alpha.user("bob", PASSWORD));
    enter(&alice, "harbour");
    enter(&bob, "harbour");
    let channel = alice.channel("harbour");
    let bytes: Vec<u8> = (0..700_000u32).map(|at| ((at * 31) >> 3) as u8).collect();
    let new =
        json!({"channel_id": channel, "filename": "../../chart.bin", "file_size": bytes.len()});
    let begun = alice.post("/api/v4/uploads", &new).ok();
    assert_eq!(
        (&begun["filename"], &begun["file_offset"]),
        (&json!("chart.bin"), &json!(0))
    );
    let path = format!("/api/v4/uploads/{}", begun["id"].as_str().unwrap());
    assert_eq!(bob.get(&path).status, 404, "an upload is its owner's alone");

    // The line breaks in the middle: what has come is kept.
    alice.send_part(&path, bytes.len(), &bytes[..300_000]);
    let offset = || {
        let told = alice.get(&path).ok();
        told["file_offset"].as_u64().unwrap() as usize
    };
    eventually("what came is stored", PATIENCE, || {
        (offset() == 300_000).then_some(())
    });
    site["alpha"].kill();
    site["alpha"].start();
    assert_eq!(offset(), 300_000, "it outlives the node");
    assert_eq!(
        alice
            .get("/api/v4/users/me/uploads")
            .ok()
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let again = alice.send(
        &path,
        &[("Content-Range", "bytes 0-9/700000")],
        &bytes[..10],
    );
    assert_eq!(again.status, 416, "{}", again.json());
    let range = format!("bytes 300000-399999/{}", bytes.len());
    let more = alice.send(
        &path,
        &[("Content-Range", &range)],
        &bytes[300_000..400_000],
    );
    assert_eq!(more.status, 204);
    let file = alice.send(&path, &[], &bytes[400_000..]);
    assert_eq!(file.status, 201);
    assert_eq!(alice.get(&path).status, 404, "nothing is left of it");
    let file = file.json()["id"].as_str().unwrap().to_string();

    let post = json!({"channel_id": channel, "message": "The chart.", "file_ids": [file]});
    let post = alice.post("/api/v4/posts", &post).ok();
    let file = post["file_ids"][0].as_str().unwrap();
    let read = bob.get(&format!("/api/v4/files/{file}"));
    assert!(read.status == 200 && read.body == bytes, "{}", read.status);

    let large = json!({"channel_id": channel, "filename": "a", "file_size": 60 << 20});
    assert_eq!(alice.post("/api/v4/uploads", &large).status, 413);
}

/// A program that is asked over HTTP: what it was asked comes out of the receiver, and it answers what
/// `answer` says.
fn program(answer: fn(&str) -> String) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let host = listener.local_addr().expect("an address").to_string();
    let (sender, asked) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let Some(request) = read_request(&stream) else {
                continue;
            };
            let body = answer(&request);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = (&stream).write_all((head + &body).as_bytes());
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    (host, asked)
}

fn read_request(mut stream: &TcpStream) -> Option<String> {
    let mut text = String::new();
    let mut bytes = [0; 4096];
    loop {
        let length = stream.read(&mut bytes).ok().filter(|length| *length > 0)?;
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let due = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse::<usize>().ok())?
        });
        if body.len() >= due.unwrap_or(0) {
            return Some(text);
        }
    }
}

#[test]
fn a_program_is_told_of_what_all_read_and_of_nothing_narrowed() {
    let (host, asked) = program(|_| json!({"text": "Gate 3 is open."}).to_string());
    let (mut site, [alpha, bravo, charlie]) = site(ALL, Some(&host));
    let (alice, bob) = (alpha.user("alice", PASSWORD), bravo.user("bob", PASSWORD));
    let channel = alice.channel("harbour");
    let team = alice.get(&format!("/api/v4/channels/{channel}")).ok()["team_id"].clone();
    let hook = |url: &str| {
        json!({
            "team_id": team, "channel_id": channel, "display_name": "Lock", "trigger_words": ["!lock"],
            "callback_urls": [url], "content_type": "application/x-www-form-urlencoded",
        })
    };
    for elsewhere in [
        "http://169.254.169.254/",
        "http://127.0.0.1:1/",
        "http://localhost:22/",
    ] {
        let refused = alice.post("/api/v4/hooks/outgoing", &hook(elsewhere));
        assert_eq!(refused.status, 403, "{elsewhere}: {}", refused.json());
    }
    let made = alice
        .post(
            "/api/v4/hooks/outgoing",
            &hook(&format!("http://{host}/lock")),
        )
        .ok();
    let token = made["token"].as_str().unwrap();
    assert_eq!(
        bravo
            .user("alice", PASSWORD)
            .get("/api/v4/hooks/outgoing")
            .ok(),
        json!([])
    );

    // Narrowed first: had it been told, the program would hear of it first.
    let narrowed = json!({"channel_id": channel, "message": "!lock secret", "props": {"comity_to": ["bravo"]}});
    let narrowed = alice.post("/api/v4/posts", &narrowed).ok();
    let narrowed_id = narrowed["id"].as_str().unwrap();
    let answer = json!({"channel_id": channel, "message": "!lock hidden", "root_id": narrowed_id});
    alice.post("/api/v4/posts", &answer).ok();
    bob.await_post(narrowed_id);
    let from_bob = json!({"channel_id": channel, "message": "!lock concealed", "props": {"comity_to": ["alpha"]}});
    let from_bob = bob.post("/api/v4/posts", &from_bob).ok();
    alice.await_post(from_bob["id"].as_str().unwrap());
    let open = bob.say(&channel, "!lock open please");
    let request = asked
        .recv_timeout(Duration::from_secs(60))
        .expect("the program is told");
    assert!(request.contains("text=%21lock+open+please"), "{request}");
    assert!(
        request.contains(token) && request.contains("user_name=bob%3Abravo"),
        "{request}"
    );

    // The answer stands in the thread, for all.
    let thread = format!("/api/v4/posts/{}/thread", open["id"].as_str().unwrap());
    let carol = charlie.user("bob", PASSWORD);
    carol.await_post(open["id"].as_str().unwrap());
    eventually("the program's answer is at charlie", PATIENCE, || {
        let told = carol.get(&thread).ok();
        let mut posts = told["posts"].as_object()?.values();
        posts
            .any(|it| it["message"] == "Gate 3 is open.")
            .then_some(())
    });

    let own = format!("/api/v4/hooks/outgoing/{}", made["id"].as_str().unwrap());
    let renewed = alice.post(&format!("{own}/regen_token"), &json!({})).ok();
    assert_ne!(renewed["token"], made["token"]);
    alice.ask("DELETE", &own, &Value::Null).ok();
    alice.say(&channel, "!lock once more");
    // Posts of one user are offered in their order: nothing may come of that one.
    let second = alice
        .post(
            "/api/v4/hooks/outgoing",
            &hook(&format!("http://{host}/again")),
        )
        .ok();
    assert!(second["id"].is_string());
    alice.say(&channel, "!lock again");
    let request = asked
        .recv_timeout(Duration::from_secs(60))
        .expect("the program is told");
    assert!(
        request.starts_with("POST /again") && request.contains("lock+again"),
        "{request}"
    );
    site["alpha"].stop();
    let audit = format!("{:?}", store::audit(&site["alpha"].dir));
    assert!(
        audit.contains("outgoing_webhook_made") && audit.contains("hook_refused"),
        "{audit}"
    );
}

#[test]
fn commands_do_what_they_say_and_ask_only_where_they_may() {
    let (host, asked) = program(|request| match request.contains("text=all") {
        true => json!({"response_type": "in_channel", "text": "Open to all."}).to_string(),
        false => json!({"text": "Only for you."}).to_string(),
    });
    let (_site, [alpha, _, _]) = site(ALL, Some(&host));
    let (alice, bob) = (alpha.user("alice", PASSWORD), alpha.user("bob", PASSWORD));
    let channel = alice.channel("harbour");
    let team = alice.get(&format!("/api/v4/channels/{channel}")).ok()["team_id"].clone();
    let give = |user: &User, line: &str| {
        let line = json!({"channel_id": channel, "command": line});
        user.post("/api/v4/commands/execute", &line)
    };
    let who = give(&alice, "/who").ok();
    let text = who["text"].as_str().unwrap();
    assert!(
        ALL.iter().all(|it| text.contains(it)) && text.contains("@bob"),
        "{text}"
    );
    give(&alice, "/me waves").ok();
    let posts = alice.get(&format!("/api/v4/channels/{channel}/posts")).ok();
    let mut texts = posts["posts"].as_object().unwrap().values();
    assert!(texts.any(|it| it["message"] == "*waves*"));
    give(&alice, "/header Ours").ok();
    let shape = alice.get(&format!("/api/v4/channels/{channel}")).ok();
    assert_eq!(shape["header"], "Shared with bravo, charlie");
    assert_eq!(give(&alice, "/no-such-command").status, 404);
    assert_eq!(give(&alice, "no slash").status, 400);
    assert!(
        give(&alice, "/help").ok()["text"]
            .as_str()
            .unwrap()
            .contains("/shrug")
    );

    let command = |trigger: &str, url: &str| json!({"team_id": team, "trigger": trigger, "method": "P", "url": url, "auto_complete": true});
    assert_eq!(
        alice
            .post("/api/v4/commands", &command("lock", "http://127.0.0.1:1/"))
            .status,
        403
    );
    let url = format!("http://{host}/");
    assert_eq!(
        alice.post("/api/v4/commands", &command("who", &url)).status,
        400
    );
    let made = alice.post("/api/v4/commands", &command("lock", &url)).ok();
    let others = bob
        .get(&format!(
            "/api/v4/commands?team_id={}",
            team.as_str().unwrap()
        ))
        .ok();
    assert_eq!(
        (&others[0]["trigger"], &others[0]["token"]),
        (&json!("lock"), &json!(""))
    );
    let answer = give(&bob, "/lock open gate").ok();
    assert_eq!(answer["text"], "Only for you.");
    let request = asked
        .recv_timeout(Duration::from_secs(60))
        .expect("the program is asked");
    assert!(
        request.contains("text=open+gate") && request.contains("user_name=bob"),
        "{request}"
    );
    assert!(request.contains(made["token"].as_str().unwrap()));
    give(&bob, "/lock all").ok();
    let posts = bob.get(&format!("/api/v4/channels/{channel}/posts")).ok();
    let mut posts = posts["posts"].as_object().unwrap().values();
    let said = posts
        .find(|it| it["message"] == "Open to all.")
        .expect("it is posted");
    assert_eq!(
        said["user_id"],
        alice.id.as_str(),
        "in the name of whoever made the command"
    );

    give(&bob, "/leave").ok();
    assert_eq!(
        give(&bob, "/who").status,
        404,
        "whoever left gives no commands there"
    );
}

#[test]
fn a_link_to_a_post_tells_nothing_to_whoever_may_not_read_it() {
    let (_site, [alpha, bravo, charlie]) = site(ALL, None);
    let alice = alpha.user("alice", PASSWORD);
    let channel = alice.channel("harbour");
    let narrowed = json!({"channel_id": channel, "message": "Only for bravo.", "props": {"comity_to": ["bravo"]}});
    let narrowed = alice.post("/api/v4/posts", &narrowed).ok();
    let id = narrowed["id"].as_str().unwrap();
    let link = alice.say(&channel, &format!("See /harbour/pl/{id}"));
    let (bob, carol) = (bravo.user("bob", PASSWORD), charlie.user("bob", PASSWORD));
    bob.await_post(id);
    let whereabouts = bob.get(&format!("/api/v4/posts/{id}/info")).ok();
    assert_eq!(whereabouts["channel_id"], channel.as_str());
    let seen = carol.await_post(link["id"].as_str().unwrap());
    assert!(!seen.to_string().contains("Only for bravo."), "{seen}");
    assert!(seen["metadata"]["embeds"].is_null(), "{seen}");
    for path in [
        format!("/api/v4/posts/{id}/info"),
        format!("/api/v4/posts/{id}"),
    ] {
        assert_eq!(carol.get(&path).status, 404, "{path}");
    }
    assert_eq!(
        carol.post("/api/v4/posts/ids", &json!([id])).ok(),
        json!([])
    );
}

#[test]
fn users_take_along_what_is_theirs_and_nothing_else() {
    let (_site, [alpha]) = site(["alpha"], None);
    let (alice, bob) = (alpha.user("alice", PASSWORD), alpha.user("bob", PASSWORD));
    enter(&alice, "harbour");
    enter(&bob, "harbour");
    let channel = alice.channel("harbour");
    let own = alice.say(&channel, "Mine.");
    let other = bob.say(&channel, "Bob's.");
    let withdrawn = alice.say(&channel, "A slip.");
    let withdrawn = format!("/api/v4/posts/{}", withdrawn["id"].as_str().unwrap());
    alice.ask("DELETE", &withdrawn, &Value::Null).ok();
    for emoji in ["wave", "anchor"] {
        let reaction = json!({"user_id": alice.id, "post_id": other["id"], "emoji_name": emoji});
        alice.post("/api/v4/reactions", &reaction).ok();
    }
    alice
        .post(
            "/api/v4/drafts",
            &json!({"channel_id": channel, "message": "Half a"}),
        )
        .ok();

    let export = alice.get("/api/comity/v1/users/me/export");
    assert_eq!(export.status, 200);
    let text = String::from_utf8(export.body).expect("text");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| {
        let of = lines.iter().filter(|it| it["type"] == kind);
        of.map(|it| it[kind].clone()).collect::<Vec<Value>>()
    };
    assert_eq!(of("profile")[0]["username"], "alice");
    let posts = of("post");
    assert_eq!(
        (posts.len(), &posts[0]["id"], &posts[0]["message"]),
        (1, &own["id"], &json!("Mine."))
    );
    let mut emoji: Vec<Value> = of("reaction")
        .iter()
        .map(|it| it["emoji_name"].clone())
        .collect();
    emoji.sort_by_key(ToString::to_string);
    assert_eq!(emoji, ["anchor", "wave"], "each once");
    assert_eq!(of("draft")[0]["message"], "Half a");
    assert_eq!(of("end"), [json!(lines.len() - 1)], "it is whole");
    for secret in [alice.token.as_str(), "Bob's.", "A slip.", "hash"] {
        assert!(!text.contains(secret), "{secret}");
    }
}
