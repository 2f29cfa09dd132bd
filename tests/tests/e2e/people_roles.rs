//! Who may do what at a node: the table of docs/roles.md, walked through at a running node with both
//! verdicts, on objects of the own partner and of another.

use std::collections::{BTreeMap, BTreeSet};

use comity_tests::people::{Api, User};
use comity_tests::{Node, PATIENCE, Site, eventually};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";
const PAGE: &str = include_str!("../../../docs/roles.md");

/// The table of the page: for each action the roles that may.
fn table() -> (Vec<String>, BTreeMap<String, BTreeSet<String>>) {
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_matches('|');
        inner.split('|').map(|it| it.trim().to_string()).collect()
    };
    let mut lines = PAGE.lines().filter(|line| line.starts_with('|'));
    let roles: Vec<String> = cells(lines.next().unwrap())
        .into_iter()
        .filter(|it| !it.is_empty())
        .collect();
    let rows = lines.skip(1).map(|line| {
        let mut row = cells(line).into_iter();
        let action = row.next().unwrap().trim_matches('`').to_string();
        let allowed = roles.iter().zip(row).filter(|(_, it)| it == "yes");
        (action, allowed.map(|(role, _)| role.clone()).collect())
    });
    let rows = rows.collect();
    (roles, rows)
}

fn add_with(node: &Node, name: &str, roles: &[&str]) {
    let mut command = vec!["user", "add", name];
    for role in roles {
        command.extend(["--role", role]);
    }
    let password = format!("{PASSWORD}\n");
    node.comity_with_input(&command, password.as_bytes()).ok();
}

/// What a probe is about.
struct Objects {
    /// A channel of the own partner that everybody was taken into.
    den: String,
    /// The channel that the partners share.
    harbour: String,
    /// A post in it by another partner's user, and that user.
    foreign_post: String,
    foreign_user: String,
    /// A post in it by the own partner's other user.
    others_post: String,
    victim: String,
    /// A channel of the own partner to which the other was invited, and which nobody else tries.
    pier: String,
}

type Probe = fn(&User, &Objects, &str) -> u16;

/// How each action shows: something of the API that takes it and nothing else.
fn probes() -> Vec<(&'static str, &'static str, Probe)> {
    vec![
        ("talk", "reads where it was taken in", |user, on, _| {
            user.get(&format!("/api/v4/channels/{}/posts", on.den))
                .status
        }),
        ("talk", "writes where it was taken in", |user, on, _| {
            user.post(
                "/api/v4/posts",
                &json!({"channel_id": on.den, "message": "Here."}),
            )
            .status
        }),
        ("join_channels", "reads what is shared", |user, on, _| {
            user.get(&format!("/api/v4/posts/{}", on.foreign_post))
                .status
        }),
        (
            "join_channels",
            "looks at a shared channel",
            |user, on, _| user.get(&format!("/api/v4/channels/{}", on.harbour)).status,
        ),
        (
            "join_channels",
            "calls another partner's user",
            |user, on, _| {
                let pair = json!([user.id, on.foreign_user]);
                user.post("/api/v4/channels/direct", &pair).status
            },
        ),
        ("make_channels", "makes a channel", |user, _, unique| {
            let teams = user.get("/api/v4/users/me/teams").ok();
            let own = teams
                .as_array()
                .unwrap()
                .iter()
                .find(|it| it["name"] == "alpha");
            let team = &own.expect("the partner's own team")["id"];
            let new = json!({"team_id": team, "name": format!("made-{unique}"), "display_name": "", "type": "O"});
            user.post("/api/v4/channels", &new).status
        }),
        ("make_programs", "makes an access token", |user, _, _| {
            user.post("/api/v4/users/me/tokens", &json!({"description": "probe"}))
                .status
        }),
        ("make_programs", "makes a bot", |user, _, unique| {
            user.post(
                "/api/v4/bots",
                &json!({"username": format!("bot-{unique}")}),
            )
            .status
        }),
        ("make_programs", "makes a webhook", |user, on, _| {
            user.post("/api/v4/hooks/incoming", &json!({"channel_id": on.den}))
                .status
        }),
        ("see_mesh", "sees the other partners", |user, _, _| {
            user.get("/api/comity/v1/partners").status
        }),
        ("manage_accounts", "lists the accounts", |user, _, _| {
            user.get("/api/comity/v1/users").status
        }),
        (
            "manage_accounts",
            "sees another's sessions",
            |user, on, _| {
                user.get(&format!("/api/v4/users/{}/sessions", on.victim))
                    .status
            },
        ),
        (
            "manage_accounts",
            "ends another's sessions",
            |user, on, _| {
                let path = format!("/api/v4/users/{}/sessions/revoke/all", on.victim);
                user.post(&path, &json!({})).status
            },
        ),
        ("manage_accounts", "disables another", |user, on, _| {
            let path = format!("/api/v4/users/{}/active", on.victim);
            user.ask("PUT", &path, &json!({"active": false})).status
        }),
        (
            "issue_credentials",
            "makes an account",
            |user, _, unique| {
                let new = json!({"username": format!("new-{unique}"), "password": PASSWORD});
                user.post("/api/v4/users", &new).status
            },
        ),
        (
            "issue_credentials",
            "sets another's password",
            |user, on, _| {
                let path = format!("/api/v4/users/{}/password", on.victim);
                user.ask("PUT", &path, &json!({"new_password": "another horse"}))
                    .status
            },
        ),
        ("grant_roles", "gives another a role", |user, on, _| {
            let path = format!("/api/comity/v1/users/{}/roles", on.victim);
            user.ask("PUT", &path, &json!({"roles": ["guest"]})).status
        }),
        ("read_audit", "reads the audit record", |user, _, _| {
            user.get("/api/comity/v1/audit").status
        }),
        (
            "export_records",
            "takes what another wrote",
            |user, on, _| {
                let path = format!("/api/comity/v1/users/{}/export", on.victim);
                user.get(&path).status
            },
        ),
        ("read_audit", "reads its end", |user, _, _| {
            user.get("/api/comity/v1/console/audit").status
        }),
        ("see_node", "sees how the node is", |user, _, _| {
            user.get("/api/comity/v1/console/health").status
        }),
        ("see_node", "sees the links in detail", |user, _, _| {
            user.get("/api/comity/v1/console/peers").status
        }),
        ("see_node", "sees what was measured", |user, _, _| {
            user.get("/api/comity/v1/console/samples").status
        }),
        ("see_channels", "sees the channels", |user, _, _| {
            user.get("/api/comity/v1/console/channels").status
        }),
        ("manage_links", "makes an invitation", |user, _, _| {
            let path = "/api/comity/v1/console/peers/invitations";
            user.post(path, &json!({"expires_in_s": 60})).status
        }),
        (
            "share_channels",
            "changes a partner's role",
            |user, on, _| decide(user, &on.pier, "grant", Some("observer")),
        ),
        ("remove_partners", "removes a partner", |user, on, _| {
            decide(user, &on.pier, "remove", None)
        }),
        ("suspend_peers", "suspends a pact", |user, _, _| {
            let path = "/api/comity/v1/console/peers/bravo/state";
            let state = json!({"state": "suspended"});
            user.ask("PUT", path, &state).status
        }),
        ("approve_peers", "puts a pact in force", |user, _, _| {
            let path = "/api/comity/v1/console/peers/bravo/state";
            user.ask("PUT", path, &json!({"state": "active"})).status
        }),
    ]
}

/// Decides on bravo in a channel as whoever reads the preview does; without one the decision is refused
/// for that, unless the role is refused first.
fn decide(user: &User, channel: &str, act: &str, role: Option<&str>) -> u16 {
    let at = format!("/api/comity/v1/console/channels/{channel}");
    let mut decision = json!({"act": act, "partner": "bravo", "role": role});
    let preview = user.post(&format!("{at}/preview"), &decision);
    decision["seen"] = preview.json()["seen"].clone();
    if decision["seen"].is_null() {
        decision["seen"] = "".into();
    }
    user.post(&format!("{at}/decisions"), &decision).status
}

/// What nobody may, whatever the role.
fn never() -> Vec<(&'static str, Probe)> {
    vec![
        ("edits another partner's post", |user, on, _| {
            let path = format!("/api/v4/posts/{}/patch", on.foreign_post);
            user.ask("PUT", &path, &json!({"message": "No."})).status
        }),
        ("withdraws another partner's post", |user, on, _| {
            user.ask(
                "DELETE",
                &format!("/api/v4/posts/{}", on.foreign_post),
                &Value::Null,
            )
            .status
        }),
        ("edits a colleague's post", |user, on, _| {
            let path = format!("/api/v4/posts/{}/patch", on.others_post);
            user.ask("PUT", &path, &json!({"message": "No."})).status
        }),
        ("withdraws a colleague's post", |user, on, _| {
            user.ask(
                "DELETE",
                &format!("/api/v4/posts/{}", on.others_post),
                &Value::Null,
            )
            .status
        }),
        ("disables another partner's user", |user, on, _| {
            let path = format!("/api/v4/users/{}/active", on.foreign_user);
            user.ask("PUT", &path, &json!({"active": false})).status
        }),
        ("gives another partner's user a role", |user, on, _| {
            let path = format!("/api/comity/v1/users/{}/roles", on.foreign_user);
            user.ask("PUT", &path, &json!({"roles": ["guest"]})).status
        }),
        ("gives itself a role", |user, _, _| {
            let path = format!("/api/comity/v1/users/{}/roles", user.id);
            user.ask("PUT", &path, &json!({"roles": ["member"]})).status
        }),
        ("reads a colleague's preferences", |user, on, _| {
            user.get(&format!("/api/v4/users/{}/preferences", on.victim))
                .status
        }),
    ]
}

fn site() -> (Site, Api, Api) {
    let partners = ["alpha", "bravo"];
    let mut site = Site::sharing("harbour", &partners);
    site.await_members("harbour", &partners);
    let mut apis = partners.map(|partner| {
        site[partner].stop();
        let api = site[partner].serve_users();
        add_with(&site[partner], "alice", &[]);
        site[partner].start();
        api
    });
    let [alpha, bravo] = &mut apis;
    (site, *alpha, *bravo)
}

#[test]
fn each_role_may_what_the_page_says_and_nothing_else() {
    let (roles, allowed) = table();
    let (site, alpha, bravo) = site();
    let alice = alpha.user("alice", PASSWORD);
    let stranger = bravo.user("alice", PASSWORD);

    let harbour = alice.channel("harbour");
    let foreign = stranger.say(&harbour, "From the other side.");
    let foreign_post = foreign["id"].as_str().unwrap().to_string();
    let foreign_user = alice.await_post(&foreign_post)["user_id"]
        .as_str()
        .unwrap()
        .to_string();
    let others = alice.say(&harbour, "Ours.");
    let teams = alice.get("/api/v4/users/me/teams").ok();
    let own = teams
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "alpha")
        .unwrap();
    let den = json!({"team_id": own["id"], "name": "den", "display_name": "Den", "type": "O"});
    let den = alice.post("/api/v4/channels", &den).ok()["id"]
        .as_str()
        .unwrap()
        .to_string();

    let mut verdicts: BTreeMap<(&str, &str), BTreeSet<bool>> = BTreeMap::new();
    for role in &roles {
        let name = role.replace('_', "-");
        let victim = format!("victim-{name}");
        add_with(&site["alpha"], &name, &[role]);
        add_with(&site["alpha"], &victim, &[]);
        let user = alpha.user(&name, PASSWORD);
        let pier = format!("pier-{name}");
        let node = &site["alpha"];
        node.comity(&["channel", "create", &pier]).ok();
        node.comity(&["channel", "share", &pier, "bravo", "--role", "contributor"])
            .ok();
        let on = Objects {
            pier,
            den: den.clone(),
            harbour: harbour.clone(),
            foreign_post: foreign_post.clone(),
            foreign_user: foreign_user.clone(),
            others_post: others["id"].as_str().unwrap().to_string(),
            victim: alpha.user(&victim, PASSWORD).id,
        };
        let member = json!({"user_id": user.id});
        alice
            .post(&format!("/api/v4/channels/{den}/members"), &member)
            .ok();

        for (action, what, probe) in probes() {
            let expected = allowed[action].contains(role)
                // A webhook writes into a channel that its maker is in.
                && (what != "makes a webhook" || allowed["talk"].contains(role));
            let status = probe(&user, &on, &name);
            let is_allowed = (200..300).contains(&status);
            assert!(
                is_allowed || status == 403 || status == 404,
                "{role} {what}: {status}"
            );
            assert_eq!(is_allowed, expected, "{role} {what}: {status}");
            verdicts
                .entry((action, what))
                .or_default()
                .insert(is_allowed);
        }
        // The next one finds the pact in force; where it was not suspended this is refused.
        site["alpha"].comity(&["peer", "resume", "bravo"]);
        for (what, probe) in never() {
            let status = probe(&user, &on, &name);
            assert!(status == 403 || status == 404, "{role} {what}: {status}");
        }
    }
    for (probe, seen) in &verdicts {
        assert_eq!(seen.len(), 2, "{probe:?} was only ever answered one way");
    }
    // What was refused is on record.
    add_with(&site["alpha"], "reader", &["auditor"]);
    let records = alpha
        .user("reader", PASSWORD)
        .get("/api/comity/v1/audit?limit=1000")
        .ok();
    let refusals = records
        .as_array()
        .unwrap()
        .iter()
        .filter(|it| it["action"] == "refused");
    assert!(refusals.count() > roles.len());
}

#[test]
fn a_decision_is_taken_as_it_was_previewed_or_not_at_all() {
    let (site, alpha, _) = site();
    let node = &site["alpha"];
    add_with(node, "rita", &["release_authority"]);
    let rita = alpha.user("rita", PASSWORD);
    node.comity(&["channel", "create", "pier"]).ok();
    let invite = json!({"act": "invite", "partner": "bravo", "role": "contributor"});
    let at = "/api/comity/v1/console/channels/pier";
    let preview = rita.post(&format!("{at}/preview"), &invite).ok();
    assert_eq!(preview["outcome"], "takes_effect", "{preview}");
    assert!(!preview["consequences"].as_array().unwrap().is_empty());
    let shown = node.comity(&["channel", "show", "pier"]).ok();
    assert!(!shown.text().contains("bravo"), "a preview writes nothing");

    // Somebody else decides meanwhile: what was read does not hold any more.
    node.comity(&["channel", "share", "pier", "bravo", "--role", "observer"])
        .ok();
    let mut decision = invite.clone();
    decision["seen"] = preview["seen"].clone();
    let refused = rita.post(&format!("{at}/decisions"), &decision);
    assert_eq!(refused.status, 409, "{}", refused.json());

    let remove = json!({"act": "remove", "partner": "bravo"});
    let preview = rita.post(&format!("{at}/preview"), &remove).ok();
    let mut decision = remove;
    decision["seen"] = preview["seen"].clone();
    let done = rita.post(&format!("{at}/decisions"), &decision).ok();
    assert_eq!(done["done"], "removed");

    // A new owner takes the owners behind it: where there is one, that is this partner.
    let owner = json!({"act": "invite", "partner": "bravo", "role": "owner"});
    let preview = rita.post(&format!("{at}/preview"), &owner).ok();
    assert_eq!(preview["outcome"], "takes_effect", "{preview}");
    assert_eq!(preview["quorum"]["needed"], 1, "{preview}");
    assert_eq!(preview["quorum"]["missing"], json!(["alpha"]), "{preview}");
}

#[test]
fn the_first_accounts_are_made_once_by_the_token_in_the_nodes_directory() {
    let mut site = Site::sharing("harbour", &["alpha", "bravo"]);
    site["alpha"].stop();
    let api = site["alpha"].serve_users();
    site["alpha"].start();
    let path = "/api/comity/v1/console/setup";
    let set_up = |token: &str| {
        let body = json!({
            "token": token,
            "officer": {"username": "otto", "password": PASSWORD},
            "admin": {"username": "ada", "password": PASSWORD},
        });
        api.ask("POST", path, &[], body.to_string().as_bytes())
    };
    let file = site["alpha"].dir.join("setup.token");
    let link = eventually("the node writes a link", PATIENCE, || {
        std::fs::read_to_string(&file)
            .ok()
            .filter(|it| it.ends_with('\n'))
    });
    let token = link.trim().split_once("#token=").unwrap().1;
    let open = eventually("it waits", PATIENCE, || {
        let told = api.ask("GET", path, &[], b"").json();
        (told["open"] == true).then_some(told)
    });
    assert_eq!(open["partner"], "alpha");

    assert_eq!(set_up(&"0".repeat(64)).status, 403);
    assert_eq!(set_up(token).status, 201);
    assert_eq!(set_up(token).status, 409, "it is good once");
    assert!(!file.exists());
    let otto = api.user("otto", PASSWORD);
    let may = otto.get("/api/comity/v1/console").ok()["may"].to_string();
    assert!(may.contains("grant_roles") && !may.contains("\"talk\""));
    let ada = api.user("ada", PASSWORD);
    assert_eq!(ada.get("/api/comity/v1/console/audit").status, 403);
    let records = otto.get("/api/comity/v1/console/audit?action=setup_done,setup_refused");
    assert_eq!(records.ok()["records"].as_array().unwrap().len(), 2);

    // With an account there is no link at a later start.
    site["alpha"].stop();
    site["alpha"].start();
    eventually("it serves", PATIENCE, || {
        let told = api.ask("GET", path, &[], b"");
        (told.status == 200 && told.json()["open"] == false).then_some(())
    });
    assert!(!file.exists());
}

#[test]
fn a_node_admin_reads_no_message_even_as_a_member_and_a_release_authority_shares() {
    let (site, alpha, _) = site();
    let alice = alpha.user("alice", PASSWORD);
    add_with(&site["alpha"], "admin", &["node_admin"]);
    let both = format!("{PASSWORD}\n");
    let refused = site["alpha"].comity_with_input(
        &[
            "user",
            "add",
            "both",
            "--role",
            "node_admin",
            "--role",
            "member",
        ],
        both.as_bytes(),
    );
    assert_ne!(refused.code(), 0, "no account is both");

    let admin = alpha.user("admin", PASSWORD);
    let harbour = alice.channel("harbour");
    let post = alice.say(&harbour, "The quay at nine, nobody else is to know.");
    let id = post["id"].as_str().unwrap();
    for path in [
        format!("/api/v4/posts/{id}"),
        format!("/api/v4/posts/{id}/thread"),
        format!("/api/v4/channels/{harbour}/posts"),
        format!("/api/v4/channels/{harbour}/pinned"),
        format!("/api/comity/v1/posts/{id}"),
        format!("/api/comity/v1/channels/{harbour}"),
    ] {
        let answer = admin.get(&path);
        assert_eq!(answer.status, 404, "{path}");
    }
    let teams = admin.get("/api/v4/users/me/teams").ok();
    for team in teams.as_array().unwrap() {
        let path = format!(
            "/api/v4/teams/{}/posts/search",
            team["id"].as_str().unwrap()
        );
        let found = admin.post(&path, &json!({"terms": "quay", "is_or_search": false}));
        assert!(!String::from_utf8_lossy(&found.body).contains("quay"));
    }

    // Its own rights are there: and they end where messages begin.
    admin.get("/api/comity/v1/users").ok();
    assert_eq!(admin.get("/api/comity/v1/audit").status, 403);

    add_with(&site["alpha"], "rita", &["release_authority", "member"]);
    let rita = alpha.user("rita", PASSWORD);
    let own = rita.get("/api/v4/users/me/teams").ok();
    let own = own
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "alpha")
        .unwrap()
        .clone();
    let new = json!({"team_id": own["id"], "name": "pier", "display_name": "Pier", "type": "O"});
    let pier = rita.post("/api/v4/channels", &new).ok();
    let pier = pier["id"].as_str().unwrap();
    let path = format!("/api/comity/v1/channels/{pier}/partners");
    alice
        .post(
            &format!("/api/v4/channels/{pier}/members"),
            &json!({"user_id": alice.id}),
        )
        .ok();
    assert_eq!(alice.post(&path, &json!({"partner": "bravo"})).status, 403);
    rita.post(&path, &json!({"partner": "bravo"})).ok();
    eventually("bravo is invited to the pier", PATIENCE, || {
        let listed = site["bravo"].comity(&["channel", "list"]).ok();
        listed.text().contains("pier").then_some(())
    });
}
