//! Messages for some of a channel's partners: who is named sees them and all that follows from
//! them; nobody else holds a byte of it.

use comity_node::api::{LaneForm, PostInfo, ReceiptState, Written};
use comity_protocol::lane::LaneForm as Form;
use comity_tests::{PATIENCE, Site, eventually, store, unhex};

const ALL: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
const NAMED: [&str; 2] = ["alpha", "bravo"];
const OTHERS: [&str; 2] = ["charlie", "delta"];

#[test]
fn a_post_for_two_and_all_that_follows_from_it_stay_with_the_two() {
    let mut site = Site::sharing("harbour", &ALL);
    let open = site["alpha"].post("harbour", "amal", "All four of us.").id;
    let kept = talk_among_two(&site);

    let at_bravo = eventually("bravo has it all", PATIENCE, || {
        let post = site["bravo"].find("harbour", &kept.post)?;
        let is_whole = post.edit_at.is_some() && post.pinned && !post.reactions.is_empty();
        (is_whole
            && site["bravo"]
                .find("harbour", &kept.withdrawn)?
                .message
                .is_none())
        .then_some(post)
    });
    let at_alpha = eventually("alpha has it all", PATIENCE, || {
        site["alpha"].find("harbour", &kept.reply)?;
        let post = site["alpha"].find("harbour", &kept.post)?;
        (post.pinned && !post.receipts.is_empty() && !post.reactions.is_empty()).then_some(post)
    });
    for post in [&at_alpha, &at_bravo] {
        assert_eq!(post.message.as_deref(), Some("Between the two, amended."));
        assert_eq!(post.form, LaneForm::Directed);
        assert_eq!(post.audience, NAMED);
        assert_eq!(post.receipts[0].author, "boris@bravo");
        assert_eq!(post.receipts[0].state, ReceiptState::Read);
    }
    reads_as_narrowed(&site, &kept);

    // What all four compare is the same, and the two others have nothing but the open post.
    site.agree("harbour", &ALL);
    for other in OTHERS {
        let ids: Vec<String> = site[other].read("harbour").into_iter().map(id_of).collect();
        assert_eq!(ids, [open.as_str()], "{other}");
        let exported: Vec<String> = site[other].export().into_iter().map(id_of).collect();
        assert_eq!(exported, [open.as_str()], "{other}");
        assert_eq!(site[other].digests().posts, 1, "{other}");
        assert_eq!(site[other].status().parked_events, 0, "{other}");
    }
    nothing_remains_of_it(&mut site, &kept);
}

/// What was written for two.
struct Kept {
    post: String,
    reply: String,
    withdrawn: String,
    /// Of every event, also of those that are no posts.
    ids: Vec<String>,
}

/// Alpha and bravo write one of every kind; only the posts themselves name the audience.
fn talk_among_two(site: &Site) -> Kept {
    let post = site["alpha"].post_to("harbour", "amal", "Between the two.", "bravo");
    assert_eq!(post.audience, NAMED);
    let withdrawn = site["alpha"].post_to("harbour", "amal", "Forget this.", "alpha,bravo");
    for id in [&post.id, &withdrawn.id] {
        eventually("it arrives", PATIENCE, || site["bravo"].find("harbour", id));
    }
    let write = |partner: &str, arguments: &[&str]| -> Written {
        let written: Written = site[partner].json(arguments).ok().object();
        assert_eq!(written.audience, NAMED, "{arguments:?}");
        written
    };
    let reply = [
        "post",
        "harbour",
        "Agreed.",
        "--user",
        "boris",
        "--reply-to",
        &post.id,
    ];
    let reply = write("bravo", &reply);
    let edit = [
        "edit",
        &post.id,
        "Between the two, amended.",
        "--user",
        "amal",
    ];
    let marks = [
        write("bravo", &["react", &post.id, "+1", "--user", "boris"]),
        write("bravo", &["pin", &post.id, "--user", "boris"]),
        write(
            "bravo",
            &["receipt", &post.id, "--state", "read", "--user", "boris"],
        ),
        write(
            "bravo",
            &[
                "receipt",
                &post.id,
                "--state",
                "delivered",
                "--user",
                "boris",
            ],
        ),
        write("alpha", &edit),
        write("alpha", &["redact", &withdrawn.id, "--user", "amal"]),
    ];
    let mut ids: Vec<String> = marks.into_iter().map(|written| written.id).collect();
    ids.extend([post.id.clone(), withdrawn.id.clone(), reply.id.clone()]);
    Kept {
        post: post.id,
        reply: reply.id,
        withdrawn: withdrawn.id,
        ids,
    }
}

fn reads_as_narrowed(site: &Site, kept: &Kept) {
    let shown = site["bravo"].comity(&["read", "harbour"]).ok();
    let shown = shown.text();
    let line = |id: &str| shown.lines().find(|line| line.contains(&id[..12]));
    let post = line(&kept.post).expect("a line for the post");
    assert!(
        post.contains("  to alpha, bravo only  edited  pinned"),
        "{post}"
    );
    assert!(
        shown.contains("    [+1 boris@bravo]\n    [read by boris@bravo]\n"),
        "{shown}"
    );
    assert!(
        shown.contains("\n    (withdrawn by its author)\n"),
        "{shown}"
    );
    let open = shown.lines().next().expect("the open post");
    assert!(!open.contains("only"), "{open}");
}

/// Searches the stores for the lane of the two, and for the text and the ids of what is in it.
fn nothing_remains_of_it(site: &mut Site, kept: &Kept) {
    let lane = site.lane("harbour", Form::Directed, &NAMED);
    site.stop();
    let starts: Vec<Vec<u8>> = kept.ids.iter().map(|id| unhex(&id[..16])).collect();
    let mut wanted: Vec<&[u8]> = vec![&lane, b"Between the two"];
    wanted.extend(starts.iter().map(Vec::as_slice));
    let counts = |partner: &str| store::occurrences_of_each(&site[partner].dir, &wanted);
    for member in NAMED {
        let counts = counts(member);
        let ids = &counts[2..];
        assert!(
            counts[0] > 0 && ids.iter().all(|count| *count > 0),
            "the search finds what is there"
        );
    }
    for other in OTHERS {
        let counts = counts(other);
        assert!(
            counts.iter().all(|count| *count == 0),
            "lane, text and ids at {other}: {counts:?}"
        );
    }
}

fn id_of(post: PostInfo) -> String {
    post.id
}

#[test]
fn an_audience_is_named_by_members_that_may_read() {
    let site = Site::of(&["alpha", "bravo", "charlie"]);
    site.peer("alpha", "bravo");
    site.peer("alpha", "charlie");
    site.share("harbour", &["alpha", "bravo"]);
    let alpha = &site["alpha"];
    let post =
        |to: &str| ["post", "harbour", "For whom?", "--user", "amal", "--to", to].map(String::from);
    let refused = |arguments: &[String], code: &str| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let error = alpha.json(&arguments).failed();
        assert_eq!(error.code, code, "{}", error.what);
        error.what
    };
    // A partner that is not in the channel, one that nobody knows, and the same in words.
    for name in ["charlie", "zulu"] {
        let what = refused(&post(name), "no_member");
        assert!(
            what.contains(name) && what.contains("alpha, bravo"),
            "{what}"
        );
    }
    let [what, fault, advice] = alpha
        .comity(&["post", "harbour", "?", "--user", "amal", "--to", "zulu"])
        .failed_in_words()
        .map(String::from);
    assert!(what.ends_with("[no_member]"), "{what}");
    assert!(fault.contains("user"), "{fault}");
    assert!(advice.contains("comity channel show"), "{advice}");

    // The start of an id, and oneself alone.
    let id = alpha.peer("bravo").partner_id;
    let by_id = alpha.post_to("harbour", "amal", "By its id.", &id[..8]);
    assert_eq!(by_id.audience, ["alpha", "bravo"]);
    let note = alpha.post_to("harbour", "amal", "A note.", "alpha");
    assert_eq!(note.audience, ["alpha"]);

    // What is about a post stays within its readers, and may be narrower.
    let react = ["react", &note.id, "+1", "--user", "amal", "--to", "bravo"].map(String::from);
    let what = refused(&react, "widens");
    assert!(what.contains("its readers are alpha"), "{what}");
    let reaction = ["react", &by_id.id, "+1", "--user", "amal", "--to", "alpha"];
    let reaction: Written = alpha.json(&reaction).ok().object();
    assert_eq!(reaction.audience, ["alpha"]);
}
