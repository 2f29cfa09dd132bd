//! Keys at rest: where the storage key comes from, and replacing it.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use comity_crypto::StorageKey;
use comity_node::api::{Fault, NodeStatus, PostInfo};
use comity_node::config::{FILE_NAME, KeySource};
use comity_node::keystore;
use comity_node::storage_key::KeyText;
use comity_node::store::KeyId;
use comity_protocol::rows::{Row, Table};
use comity_tests::store::{SealedValue, audit, pieces_in_files, sealed_rows, sealed_values};
use comity_tests::{Dice, Node, Site, heavy, say};
use serde::Deserialize;

/// Kills of one node's rotations.
const KILLS: u32 = 60;
/// Rows that make a rotation long enough to be hit; as many lines of imports in as many channels.
const ROWS: u32 = 10_000;
const ROWS_PER_WRITE: usize = 4096;
/// How a rotation is on record.
const ACTION: &str = "storage_key_rotated";
const CREDENTIAL: &str = "comity-storage-key";

/// What `comity key rotate-storage --json` prints.
#[derive(Deserialize)]
struct Rotated {
    end: String,
    key: String,
    replaced: Option<String>,
    values: u64,
    credential: Option<String>,
}

#[test]
fn a_rotation_leaves_nothing_that_the_old_key_opens() {
    let mut site = Site::sharing("harbour", &["alpha", "bravo"]);
    site["alpha"].post("harbour", "amal", "The pilot is on board.");
    site.converge(&["alpha", "bravo"]);
    let refused = rotate(&site["alpha"]).failed();
    assert_eq!(
        (refused.code.as_str(), refused.fault),
        ("running", Fault::Operator)
    );
    assert!(site["alpha"].stop().success());

    let dir = site["alpha"].dir.clone();
    let file = dir.join("storage.key");
    let backup = tempfile::tempdir().unwrap();
    copy(&dir, backup.path());
    let old = KeyText::from_file(&file).unwrap().key();
    let before = Before::of(&site["alpha"], &old);

    let rotated: Rotated = rotate(&site["alpha"]).ok().object();
    assert_eq!(rotated.replaced, Some(id(&old)));
    assert_eq!(rotated.values as usize, before.values);
    let new = KeyText::from_file(&file).unwrap().key();
    assert_eq!(rotated.key, id(&new));
    assert_eq!(mode(&file), 0o600);
    before.is_gone(&dir, &old, &new);
    before.is_kept(&site["alpha"]);
    let last = audit(&dir).pop().unwrap();
    assert_eq!(last.action, ACTION);
    assert!(last.text.contains(&id(&old)) && last.text.contains(&id(&new)));

    // A backup needs the key of its time.
    let copied = Node::at("the backup", backup.path().into());
    assert_eq!(posts(&copied), before.posts);
    the_old_key_is_refused(&site["alpha"], &backup.path().join("storage.key"), &new);

    site["alpha"].start();
    site["alpha"].post("harbour", "amal", "She is alongside.");
    site.converge(&["alpha", "bravo"]);
    assert_eq!(site["bravo"].read("harbour").len(), 2);
}

/// What a node was, before its storage key was replaced.
struct Before {
    posts: Vec<String>,
    rows: usize,
    values: usize,
    /// Pieces of the sealed values, as they may stand in any file.
    pieces: BTreeSet<[u8; 32]>,
}

impl Before {
    fn of(node: &Node, key: &StorageKey) -> Before {
        let posts = posts(node);
        let sealed = sealed_values(&node.dir);
        for value in &sealed {
            let opened = key.open(value.table.name(), &value.key, &value.sealed);
            assert!(opened.is_ok(), "{} is under the key", value.table.name());
        }
        let pieces = pieces_of(&sealed);
        // Else it would prove nothing that they are not there afterwards.
        let found = pieces_in_files(&node.dir, &pieces);
        assert!(
            found * 10 >= pieces.len() * 9,
            "{found} of {}",
            pieces.len()
        );
        Before {
            posts,
            rows: sealed_rows(&node.dir).len(),
            values: sealed.len(),
            pieces,
        }
    }

    fn is_gone(&self, dir: &Path, old: &StorageKey, new: &StorageKey) {
        for value in sealed_values(dir) {
            let open = |key: &StorageKey| key.open(value.table.name(), &value.key, &value.sealed);
            assert!(open(old).is_err() && open(new).is_ok(), "{:?}", value.table);
        }
        assert_eq!(pieces_in_files(dir, &self.pieces), 0);
    }

    fn is_kept(&self, node: &Node) {
        assert_eq!(posts(node), self.posts);
        // One more: the rotation is on record.
        assert_eq!(sealed_rows(&node.dir).len(), self.rows + 1);
    }
}

/// The randomness of each, which no other value has.
fn pieces_of(values: &[SealedValue]) -> BTreeSet<[u8; 32]> {
    let piece = |value: &SealedValue| <[u8; 32]>::try_from(&value.sealed[1..33]).unwrap();
    let pieces: BTreeSet<_> = values.iter().map(piece).collect();
    assert_eq!(pieces.len(), values.len());
    pieces
}

/// Puts the old key in the place of the new one for a while.
fn the_old_key_is_refused(node: &Node, old_file: &Path, new: &StorageKey) {
    let file = node.dir.join("storage.key");
    let aside = node.dir.join("aside");
    fs::rename(&file, &aside).unwrap();
    fs::copy(old_file, &file).unwrap();
    for command in [&["status"][..], &["export"], &["serve"]] {
        let outcome = node.comity(command);
        let [what, fault, advice] = outcome.failed_in_words();
        assert!(what.ends_with("[wrong_key]"), "{what}");
        assert!(what.contains(&id(new)), "{what}");
        assert!(fault.contains("operator"), "{fault}");
        assert!(advice.contains("the new one"), "{advice}");
    }
    assert_eq!(node.comity(&["check"]).code(), 2);
    assert_eq!(rotate(node).failed().code, "wrong_key");
    fs::rename(&aside, &file).unwrap();
}

#[test]
fn a_rotation_killed_at_any_moment_loses_nothing() {
    let _turn = heavy();
    let mut dice = Dice::of("killed rotations");
    let mut site = Site::of(&["alpha"]);
    site["alpha"].comity(&["channel", "create", "harbour"]).ok();
    site["alpha"].post("harbour", "amal", "The pilot is on board.");
    assert!(site["alpha"].stop().success());
    let node = &site["alpha"];
    fill(&node.dir);
    let kept = rows_besides_the_record(&node.dir);
    let posts_before = posts(node);
    let begun = Instant::now();
    rotate(node).ok();
    let span = begun.elapsed() * 6 / 5;

    let (mut killed, mut replaced) = (0, 0);
    for number in 1..=KILLS {
        let before = key_in_force(&node.dir);
        let pieces = pieces_of(&sealed_values(&node.dir));
        let delay = Duration::from_micros(dice.below(span.as_micros() as u64));
        killed += u32::from(rotate_and_kill(node, delay));
        let now = key_in_force(&node.dir);
        let is_replaced = KeyId::of(&now) != KeyId::of(&before);
        replaced += usize::from(is_replaced);
        let rows = rows_besides_the_record(&node.dir);
        assert!(rows == kept, "kill {number}: the rows are not the same");
        for value in sealed_values(&node.dir) {
            let open = |key: &StorageKey| key.open(value.table.name(), &value.key, &value.sealed);
            assert!(open(&now).is_ok(), "kill {number}");
            assert!(!is_replaced || open(&before).is_err(), "kill {number}");
        }
        assert!(!is_replaced || pieces_in_files(&node.dir, &pieces) == 0);
        assert_eq!(posts(node), posts_before, "kill {number}");
    }
    say(&format!(
        "killed rotations: {killed} of {KILLS} were killed within {span:.0?}; {replaced} had put \
         their key in force"
    ));
    assert!(killed >= KILLS / 4, "the kills must hit something");
    let records = audit(&node.dir);
    let rotations = records.iter().filter(|record| record.action == ACTION);
    assert_eq!(rotations.count(), 1 + replaced, "each is on record, once");
}

/// The key of the node as any command finds it.
fn key_in_force(dir: &Path) -> StorageKey {
    let store = keystore::open_store(dir, &KeySource::default()).expect("one of the keys opens it");
    let key = KeyText::from_file(&dir.join("storage.key")).unwrap().key();
    assert_eq!(store.key_id(), KeyId::of(&key));
    key
}

fn rows_besides_the_record(dir: &Path) -> impl PartialEq + use<> {
    let mut rows = sealed_rows(dir);
    rows.retain(|(table, _), _| *table != Table::Audit);
    rows
}

/// Whether it was killed before its end.
fn rotate_and_kill(node: &Node, delay: Duration) -> bool {
    let mut command = node.command();
    command.args(["key", "rotate-storage"]);
    let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut rotation = silent.spawn().unwrap();
    std::thread::sleep(delay);
    // It fails for a process that has ended.
    let _ = rotation.kill();
    rotation.wait().unwrap().code().is_none()
}

/// Marks of imports, as a node has them that has imported much.
fn fill(dir: &Path) {
    let store = keystore::open_store(dir, &KeySource::default()).unwrap();
    let rows: Vec<Row> = (0..ROWS)
        .map(|number| {
            let key = [number.to_be_bytes(); 16].concat();
            Row::put(Table::Imports, key, u64::from(number).to_be_bytes().into())
        })
        .collect();
    for some in rows.chunks(ROWS_PER_WRITE) {
        store.write(some).unwrap();
    }
}

#[test]
fn the_storage_key_can_be_a_credential_of_systemds() {
    let mut site = Site::of(&["alpha"]);
    site["alpha"].comity(&["channel", "create", "harbour"]).ok();
    site["alpha"].post("harbour", "amal", "The pilot is on board.");
    assert!(site["alpha"].stop().success());

    let credentials = tempfile::tempdir().unwrap();
    let credential = credentials.path().join(CREDENTIAL);
    let node = &mut site["alpha"];
    give(&node.dir.join("storage.key"), &credential);
    fs::remove_file(node.dir.join("storage.key")).unwrap();
    assert_eq!(node.json(&["status"]).failed().code, "key_file");
    configure_credential(&node.dir);

    let refused = node.json(&["status"]).failed();
    assert_eq!(refused.code, "no_credential");
    assert!(refused.advice.contains("systemd-run"), "{}", refused.advice);
    node.credentials = Some(node.dir.clone());
    let refused = node.json(&["status"]).failed();
    assert_eq!(refused.code, "no_credential");
    assert!(
        refused.advice.contains("LoadCredential"),
        "{}",
        refused.advice
    );

    node.credentials = Some(credentials.path().into());
    let stopped: NodeStatus = node.json(&["status"]).object();
    assert_eq!(stopped.mode, "offline");
    fs::set_permissions(&credential, Permissions::from_mode(0o444)).unwrap();
    assert_eq!(node.json(&["status"]).failed().code, "key_exposed");
    fs::set_permissions(&credential, Permissions::from_mode(0o400)).unwrap();

    // Whoever asks the running node needs no key.
    node.start();
    node.credentials = None;
    node.post("harbour", "amal", "She is alongside.");
    assert!(node.stop().success());
    node.credentials = Some(credentials.path().into());
    assert_eq!(posts(node).len(), 2);
    rotate_credential(node, &credential);
    node.start();
    assert_eq!(posts(node).len(), 2);
}

fn rotate_credential(node: &Node, credential: &Path) {
    let new_key = node.dir.join("new.key");
    let refused = rotate(node).failed();
    assert_eq!(refused.code, "new_key_needed");
    assert!(refused.advice.contains("--new-key"), "{}", refused.advice);

    let new_key_text = new_key.to_str().unwrap();
    let command = ["key", "rotate-storage", "--new-key", new_key_text];
    let prepared = node.comity(&command);
    assert_eq!(prepared.code(), 1);
    let advice = prepared.text();
    assert!(advice.contains("systemd-creds encrypt"), "{advice}");
    assert_eq!(mode(&new_key), 0o600);
    // Nothing depends on the new key before the operator has it safe.
    assert_eq!(posts(node).len(), 2);

    let rotated: Rotated = node.json(&command).ok().object();
    assert_eq!(rotated.end, "rotated");
    assert_eq!(rotated.credential.as_deref(), Some(CREDENTIAL));
    assert_eq!(node.json(&["status"]).failed().code, "wrong_key");
    // As after a kill before the command could tell.
    let again: Rotated = node.json(&command).ok().object();
    assert_eq!((again.end.as_str(), again.key), ("unchanged", rotated.key));

    fs::remove_file(credential).unwrap();
    give(&new_key, credential);
    fs::remove_file(&new_key).unwrap();
}

fn configure_credential(dir: &Path) {
    let path = dir.join(FILE_NAME);
    let text = fs::read_to_string(&path).unwrap();
    let line = "key_file = \"storage.key\"";
    assert!(text.contains(line));
    let text = text.replace(line, &format!("key_credential = \"{CREDENTIAL}\""));
    fs::write(&path, text).unwrap();
}

/// Copies a key as systemd would hand it over.
fn give(key: &Path, credential: &Path) {
    fs::copy(key, credential).unwrap();
    fs::set_permissions(credential, Permissions::from_mode(0o400)).unwrap();
}

fn rotate(node: &Node) -> comity_tests::Outcome {
    node.json(&["key", "rotate-storage"])
}

fn id(key: &StorageKey) -> String {
    KeyId::of(key).to_string()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Ids and texts.
fn posts(node: &Node) -> Vec<String> {
    let posts: Vec<PostInfo> = node.export();
    let shown = |post: PostInfo| format!("{} {:?}", post.id, post.message);
    posts.into_iter().map(shown).collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => {
                fs::create_dir(&target).unwrap();
                copy(&entry.path(), &target);
            }
            kind if kind.is_file() => drop(fs::copy(entry.path(), target).unwrap()),
            _ => {}
        }
    }
}
