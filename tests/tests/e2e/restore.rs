//! A directory that is put back from a backup: what the node wrote since comes back from its peers,
//! it goes on under a spare writer, takes its seat back, and is nobody's forker.

use std::fs;
use std::path::{Path, PathBuf};

use comity_node::api::{NodeStatus, PostInfo, WriterActed, WriterInfo, Written};
use comity_tests::store::Positions;
use comity_tests::{Node, PATIENCE, Site, eventually, store};
use tempfile::TempDir;

const ALL: [&str; 3] = ["alpha", "bravo", "charlie"];
/// What is on record when somebody has signed two events for one position, or is thought to.
const FORKING: [&str; 3] = ["equivocation", "fork", "peer_misbehaved"];

#[test]
fn what_was_written_since_the_backup_comes_back_and_the_node_writes_on_under_its_spare() {
    let mut story = Story::begin();
    story.put_back(&["--restored"]);
    // At once, before it can have met anybody: the spare is introduced since the beginning.
    let on = story.site["alpha"].post("harbour", "amal", "Back from the backup.");
    assert_eq!(on.audience, ALL);
    let record = story.ends_well(&on.id);
    assert!(record.iter().any(|(action, _)| action == "restored"));
    assert!(!record.iter().any(|(action, _)| action == "own_log_ahead"));
}

#[test]
fn a_restore_that_nobody_mentions_is_noticed_as_soon_as_a_peer_shows_what_is_missing() {
    let mut story = Story::begin();
    story.put_back(&[]);
    eventually("the node notices", PATIENCE, || {
        (story.site["alpha"].status().spent_writers == 1).then_some(())
    });
    let log = story.site["alpha"].log();
    assert!(log.contains("restored from an old copy"), "{log}");
    let on = story.site["alpha"].post("harbour", "amal", "Back from the backup.");
    let record = story.ends_well(&on.id);
    let noticed = record
        .iter()
        .filter(|(action, _)| action == "own_log_ahead");
    assert_eq!(noticed.count(), 1, "{record:?}");
}

#[test]
fn a_backup_that_is_put_back_twice_does_not_use_the_same_spare_twice() {
    let mut story = Story::begin();
    story.put_back(&["--restored"]);
    let first = story.site["alpha"].post("harbour", "amal", "Back once.");
    story.site.agree("harbour", &ALL);
    let backup = story.backup.path().join("alpha");
    story.site["alpha"].stop();
    story
        .seen
        .absorb(&story.site["alpha"].dir, "the first time");
    replace(&story.site["alpha"].dir, &backup);
    story.site["alpha"].start_with(&["--restored=2"]);
    let status = story.site["alpha"].status();
    assert_eq!((status.spent_writers, status.spare_writers), (2, 0));
    let second = story.site["alpha"].post("harbour", "amal", "Back twice.");
    story.site.agree("harbour", &ALL);
    for id in [&first.id, &second.id] {
        eventually("all can be read", PATIENCE, || {
            story.site["alpha"].find("harbour", id)?.message
        });
    }
    story.nobody_forked();
}

#[test]
fn the_root_takes_the_seat_back_and_a_new_spare_takes_the_place_of_the_one_that_was_used() {
    let mut story = Story::begin();
    story.put_back(&["--restored"]);
    let root = story.take_root_away();
    let site = &mut story.site;
    eventually("all is read back", PATIENCE, || {
        site["alpha"].find("harbour", &story.since[0].0)
    });
    site.agree("harbour", &ALL);
    the_seat_is_lost(&site["alpha"]);
    let absent = site["alpha"].json(&["writer", "transfer-seat"]);
    assert_eq!(absent.failed().code, "root_key");
    let other = fs::read(site["bravo"].dir.join("root.key")).unwrap();
    let wrong = root.with_file_name("bravo.key");
    fs::write(&wrong, other).unwrap();
    let wrong = transfer(&site["alpha"], &wrong).failed();
    assert_eq!(wrong.code, "root_key");
    assert!(wrong.what.contains("another partner"), "{}", wrong.what);

    let moved: Vec<WriterActed> = transfer(&site["alpha"], &root).ok().objects();
    let channels: Vec<&str> = moved.iter().map(|acted| acted.channel.as_str()).collect();
    assert_eq!(channels, ["harbour"]);
    assert!(moved.iter().all(|acted| acted.done == "transferred"));
    site["alpha"]
        .comity(&["channel", "grant", "harbour", "bravo", "admin"])
        .ok();
    let status = site["alpha"].status();
    assert_eq!(status.lost_seats, [""; 0]);
    assert_eq!(status.warnings, [""; 0]);
    site.agree("harbour", &ALL);

    let founded = site["alpha"].json(&["channel", "create", "ferry"]);
    assert_eq!(founded.failed().code, "founder_spent");
    a_new_spare_is_introduced(site, &root);
    // As founder and as guest, the partner now acts from its new writer.
    site.share("ferry", &["alpha", "bravo"]);
    site.share("tugs", &["bravo", "alpha"]);
    site.converge(&["alpha", "bravo"]);
    story.nobody_forked();
}

#[test]
fn where_no_spare_is_left_another_member_carries_what_the_root_has_signed() {
    let mut story = Story::begin();
    story.put_back(&["--restored=3"]);
    let root = story.take_root_away();
    let root = root.to_string_lossy();
    let site = &mut story.site;
    let refused = site["alpha"].json(&["post", "harbour", "As whom?", "--user", "amal"]);
    assert_eq!(refused.failed().code, "restored_copy");
    site.agree("harbour", &ALL);
    site["alpha"].stop();
    let added = site["alpha"].json(&["writer", "add", "--root-key", &root]);
    assert_eq!(added.code(), 1, "no channel knows the new writer");
    site["alpha"].start();

    let file = story.backup.path().join("alpha.transfer");
    let file = file.to_string_lossy();
    let transfer = ["writer", "transfer-seat", "--root-key", &root];
    let alone = site["alpha"].json(&transfer);
    assert_eq!(alone.code(), 1);
    let refused: WriterActed = alone.object();
    assert!(refused.why.unwrap().contains("another member"));
    site["alpha"]
        .json(&[&transfer[..], &["--out", &file]].concat())
        .ok();
    let carried: WriterActed = site["bravo"]
        .json(&["writer", "carry", &file])
        .ok()
        .object();
    assert_eq!(carried.done, "transferred");

    let on = eventually("alpha may write again", PATIENCE, || {
        let post = site["alpha"].json(&["post", "harbour", "Back.", "--user", "amal"]);
        (post.code() == 0).then(|| post.object::<Written>().id)
    });
    for member in ["bravo", "charlie"] {
        eventually("it arrives", PATIENCE, || {
            site[member].find("harbour", &on)?.message
        });
    }
    site["alpha"]
        .comity(&["channel", "grant", "harbour", "bravo", "admin"])
        .ok();
    site.agree("harbour", &ALL);
    story.nobody_forked();
}

#[test]
fn a_seat_that_moves_leaves_the_former_writer_to_be_retired() {
    let mut site = Site::sharing("harbour", &["alpha", "bravo"]);
    let writers = writers(&site["alpha"]);
    let [first, second] = [&writers[0].id, &writers[1].id];
    let too_early = site["alpha"].json(&["writer", "retire", first]);
    assert_eq!(too_early.code(), 1, "a warning: it has the seat");
    let refused: Vec<WriterActed> = too_early.objects();
    assert!(refused[0].why.as_ref().unwrap().contains("move-seat"));

    let moved: Vec<WriterActed> = site["alpha"]
        .json(&["writer", "move-seat", second, "--channel", "harbour"])
        .ok()
        .objects();
    assert_eq!(moved[0].done, "moved");
    site["alpha"].json(&["writer", "retire", first]).ok();
    let now = self::writers(&site["alpha"]);
    assert_eq!(
        (now[0].state.as_str(), now[1].state.as_str()),
        ("spent", "in_use")
    );
    assert_eq!(now[1].seat_in, ["harbour"]);
    assert_eq!(now[0].unknown_in, ["harbour"]);

    let post = site["alpha"].post("harbour", "amal", "Under the second writer.");
    site.converge(&["alpha", "bravo"]);
    assert!(site["bravo"].find("harbour", &post.id).is_some());
    let member = site["bravo"].show("harbour").members.remove(0);
    assert_eq!(member.writers[0], *second);
    assert!(!member.writers.contains(first));
    site.stop();
    site["alpha"].start();
    assert_eq!(self::writers(&site["alpha"])[0].state, "spent");
}

#[test]
fn who_writes_on_in_an_old_copy_before_meeting_anybody_is_proved_a_forker_and_marked() {
    let mut story = Story::begin();
    let backup = story.backup.path().join("alpha");
    let site = &mut story.site;
    site["alpha"].stop();
    replace(&site["alpha"].dir, &backup);
    // On the directory of the stopped node, which knows of no restore.
    let forked = site["alpha"].post("harbour", "amal", "As if nothing had happened.");
    site["alpha"].start();
    for member in ["bravo", "charlie"] {
        let marked = eventually("the fork is proved", PATIENCE, || {
            let posts = site[member].read("harbour");
            posts.into_iter().find(|post| post.forked)
        });
        assert!(marked.message.is_some(), "shown, and marked");
        let read = site[member].comity(&["read", "harbour"]).ok();
        assert!(read.text().contains("  forked log: "), "{}", read.text());
        let exported = site[member].export();
        assert!(exported.iter().any(|post| post.forked));
    }
    // What was written before the fork bears no mark.
    let before = site["bravo"].find("harbour", &story.before).unwrap();
    assert!(!before.forked);
    assert!(!forked.id.is_empty());
    site.stop();
    let record = store::audit(&site["bravo"].dir);
    assert!(record.iter().any(|one| one.action == "equivocation"));
}

/// Three partners in a channel, and a backup of the first, which has written on since.
struct Story {
    site: Site,
    backup: TempDir,
    before: String,
    /// What alpha wrote since the backup: ids and messages.
    since: Vec<(String, String)>,
    seen: Positions,
}

impl Story {
    fn begin() -> Story {
        let mut site = Site::sharing("harbour", &ALL);
        let before = site["alpha"]
            .post("harbour", "amal", "Before the backup.")
            .id;
        site.agree("harbour", &ALL);
        let backup = tempfile::Builder::new().prefix("cb").tempdir();
        let backup = backup.expect("a temporary directory");
        site["alpha"].stop();
        copy(&site["alpha"].dir, &backup.path().join("alpha"));
        site["alpha"].start();
        let mut since = Vec::new();
        for number in 1..=3 {
            let message = format!("Since the backup, {number}.");
            let post = site["alpha"].post("harbour", "amal", &message);
            since.push((post.id, message));
        }
        let message = "Since the backup, for bravo.";
        let directed = site["alpha"].post_to("harbour", "amal", message, "bravo");
        since.push((directed.id.clone(), message.into()));
        site["alpha"]
            .comity(&["channel", "grant", "harbour", "charlie", "admin"])
            .ok();
        eventually("bravo has what is for it", PATIENCE, || {
            site["bravo"].find("harbour", &directed.id)?.message
        });
        site.agree("harbour", &ALL);
        Story {
            site,
            backup,
            before,
            since,
            seen: Positions::default(),
        }
    }

    /// Stops alpha, puts the backup in the place of its directory, and starts it.
    fn put_back(&mut self, options: &[&str]) {
        let alpha = &mut self.site["alpha"];
        alpha.stop();
        self.seen.absorb(&alpha.dir, "before the restore");
        replace(&alpha.dir, &self.backup.path().join("alpha"));
        alpha.start_with(options);
    }

    /// Requires that all is back, that the new post arrives, and that nobody forked; gives what
    /// alpha has on record.
    fn ends_well(&mut self, on: &str) -> Vec<(String, String)> {
        let site = &self.site;
        for (id, message) in &self.since {
            let back = eventually("it comes back", PATIENCE, || {
                site["alpha"].find("harbour", id)?.message
            });
            assert_eq!(back, *message);
        }
        for member in ALL {
            eventually("the new post arrives", PATIENCE, || {
                site[member].find("harbour", on)?.message
            });
        }
        site.agree("harbour", &ALL);
        let status = site["alpha"].status();
        assert_eq!((status.spent_writers, status.spare_writers), (1, 1));
        let posts: Vec<PostInfo> = site["bravo"].export();
        assert!(posts.iter().all(|post| !post.forked));
        self.nobody_forked()
    }

    /// Requires that no position was signed twice, and that nobody has such a thing on record.
    fn nobody_forked(&mut self) -> Vec<(String, String)> {
        self.site.stop();
        for node in self.site.nodes() {
            self.seen
                .absorb(&node.dir, &format!("{} at the end", node.name));
            let record = store::audit(&node.dir);
            let found = record
                .iter()
                .find(|one| FORKING.contains(&one.action.as_str()));
            assert!(found.is_none(), "{}: {found:?}", node.name);
        }
        let record = store::audit(&self.site["alpha"].dir).into_iter();
        record.map(|one| (one.action, one.text)).collect()
    }

    /// Puts alpha's root keys where they belong: away from the node.
    fn take_root_away(&self) -> PathBuf {
        let away = self.backup.path().join("alpha.key");
        fs::rename(self.site["alpha"].dir.join("root.key"), &away).expect("root keys");
        away
    }
}

fn the_seat_is_lost(node: &Node) {
    let refused = node.json(&["channel", "grant", "harbour", "bravo", "admin"]);
    let refused = refused.failed();
    assert_eq!(refused.code, "seat_lost");
    assert!(refused.advice.contains("comity writer transfer-seat"));
    let status = node.json(&["status"]);
    assert_eq!(status.code(), 1);
    let status: NodeStatus = status.object();
    assert_eq!(status.lost_seats, ["harbour"]);
    assert!(status.warnings.iter().any(|text| text.contains("harbour")));
    let states: Vec<String> = writers(node).into_iter().map(|one| one.state).collect();
    assert_eq!(states, ["spent", "in_use", "spare"]);
}

fn transfer(node: &Node, root: &Path) -> comity_tests::Outcome {
    node.json(&[
        "writer",
        "transfer-seat",
        "--root-key",
        &root.to_string_lossy(),
    ])
}

/// Stops alpha, makes a spare, and starts it: its links and channels go on.
fn a_new_spare_is_introduced(site: &mut Site, root: &Path) {
    let root = root.to_string_lossy();
    let running = site["alpha"].json(&["writer", "add", "--root-key", &root]);
    assert_eq!(running.failed().code, "running");
    site["alpha"].stop();
    site["alpha"]
        .comity(&["writer", "add", "--root-key", &root])
        .ok();
    site["alpha"].start();
    site.await_link("alpha", "bravo");
    site.await_link("alpha", "charlie");
    let states: Vec<WriterInfo> = writers(&site["alpha"]);
    assert_eq!(states.len(), 4);
    assert_eq!(states[3].state, "spare");
    assert_eq!(states[3].unknown_in, [""; 0]);
    assert_eq!(
        states[0].known_in, [""; 0],
        "the former seat is a writer no more"
    );
    let newest = &states[3].id;
    eventually("bravo knows the new spare", PATIENCE, || {
        let members = site["bravo"].show("harbour").members;
        let knows = members.iter().any(|one| one.writers.contains(newest));
        knows.then_some(())
    });
}

fn writers(node: &Node) -> Vec<WriterInfo> {
    node.json(&["writer", "list"]).ok().objects()
}

fn replace(dir: &Path, backup: &Path) {
    fs::remove_dir_all(dir).expect("a directory of a stopped node");
    copy(backup, dir);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("a directory");
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        match entry.file_type().expect("a file") {
            kind if kind.is_dir() => copy(&path, &target),
            kind if kind.is_file() => drop(fs::copy(&path, &target).expect("a file")),
            // The admin socket.
            _ => {}
        }
    }
}
