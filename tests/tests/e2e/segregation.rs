//! What an auditor is shown: that the nodes of those who were left out have nothing of what was
//! written for others, by a search that does find all of it where it may be.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use comity_node::api::{Fault, FileInfo, Written};
use comity_node::config::{Config, FILE_NAME};
use comity_node::keystore;
use comity_node::store::{Store, StoreError};
use comity_protocol::codec::Canonical as _;
use comity_protocol::lane::LaneForm;
use comity_protocol::rows::{Row, Table, read_event};
use comity_tests::store::audit;
use comity_tests::{Dice, Node, PATIENCE, Site, eventually, say, unhex};
use serde::Deserialize;

const ALL: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
const NAMED: [&str; 2] = ["alpha", "bravo"];
const OTHERS: [&str; 2] = ["charlie", "delta"];
/// What is written for two and stands nowhere else.
const TEXTS: [&str; 5] = [
    "The pilot boards at the outer buoy, and nobody is to know.",
    "Amended: the pilot boards at the inner buoy instead of the outer.",
    "Understood, the inner buoy, and the tug waits behind the mole.",
    "This was never said between the two of us.",
    "Another thing between the two alone, said by the other side.",
];
/// The ending of the file, beside a node's directory, that keeps what it receives.
const RECEIVED: &str = "received";
/// What all four read, and what is in part said among the two as well.
const OPEN_TEXT: &str = "The weather over the harbour is fair, says the tower.";

/// What `comity prove-segregation --json` prints, as far as it is looked at here.
#[derive(Debug, Deserialize)]
struct Report {
    verdict: String,
    partner: String,
    tables: Vec<Looked>,
    files: Vec<File>,
    findings: Vec<Finding>,
    search: Option<Search>,
    strangers: Vec<PathBuf>,
    not_looked_at: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Looked {
    table: String,
    rows: u64,
}

#[derive(Debug, Deserialize)]
struct File {
    searched: bool,
}

#[derive(Debug, Deserialize)]
struct Finding {
    table: String,
    what: String,
}

#[derive(Debug, Deserialize)]
struct Search {
    kinds: Vec<Kind>,
    files: u64,
    file_bytes: u64,
    values: u64,
    places: Vec<Place>,
    by_file: BTreeMap<PathBuf, u64>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    kind: String,
    needles: u64,
    found: u64,
    in_files: u64,
    in_values: u64,
}

#[derive(Debug, Deserialize)]
struct Place {
    kind: String,
    form: String,
    file: Option<PathBuf>,
    offset: u64,
}

/// What `comity prove-segregation --export-needles --json` prints.
#[derive(Debug, Deserialize)]
struct Exported {
    events: u64,
    needles: u64,
    may_be_known: u64,
    kinds: BTreeMap<String, u64>,
}

#[test]
fn those_left_out_have_nothing_of_it_and_the_same_search_finds_all_of_it_elsewhere() {
    let mut site = uncompressed(&ALL);
    site.peer_all();
    site.share("harbour", &ALL);
    site["alpha"].post("harbour", "amal", OPEN_TEXT);
    let carried = tempfile::tempdir().unwrap();
    let events = talk_among_two(&site) + file_among_two(&site, carried.path());
    site.agree("harbour", &ALL);
    let refused = prove(&site["charlie"], &[]).failed();
    assert_eq!(
        (refused.code.as_str(), refused.fault),
        ("running", Fault::Operator)
    );
    site.stop();

    for other in OTHERS {
        let needles = carried.path().join(other);
        let exported = export(&site["alpha"], other, &needles);
        // Each of the two writers has a key event besides, and acknowledges.
        assert!(exported.events >= events + 2, "{exported:?}");
        assert!(exported.may_be_known > 0, "what all may read is left out");
        let received = site[other].dir.with_extension(RECEIVED);
        let search = ["--needles", path(&needles), "--also", path(&received)];
        let report: Report = prove(&site[other], &search).ok().object();
        nothing_is_found(&report, &exported);
        assert!(
            received.metadata().unwrap().len() > 10_000,
            "frames were kept"
        );

        let found = prove(&site["bravo"], &["--needles", path(&needles)]);
        assert_eq!(found.code(), 2, "{}", found.stderr);
        all_is_found(&found.object(), &exported);
        frames_hold_it(&site["bravo"], &needles);
    }
    for node in site.nodes() {
        let report: Report = prove(node, &[]).ok().object();
        assert_eq!(
            (report.verdict.as_str(), &report.partner),
            ("clean", &node.name)
        );
    }
}

/// The same search finds in the frames that bravo received what alpha wrote.
fn frames_hold_it(bravo: &Node, needles: &Path) {
    let received = bravo.dir.with_extension(RECEIVED);
    let search = ["--needles", path(needles), "--also", path(&received)];
    let report: Report = prove(bravo, &search).object();
    let search = report.search.unwrap();
    let count = search.by_file.get(&received).copied().unwrap_or(0);
    assert!(count > 100, "{count} times in what bravo received");
    say(&format!(
        "bravo: {count} times in the frames that it received"
    ));
}

/// Makes and starts nodes whose files are not compressed, and that keep what they receive.
fn uncompressed(partners: &[&str]) -> Site {
    let mut site = Site::of(partners);
    for node in site.nodes_mut() {
        assert!(node.stop().success());
        let config = node.dir.join(FILE_NAME);
        let received = node.dir.with_extension(RECEIVED);
        let text = fs::read_to_string(&config).unwrap();
        let links = format!("[links]\nkeep_received = {received:?}\n");
        let text = text.replace("[links]\n", &links) + "\n[store]\ncompressed = false\n";
        fs::write(&config, text).unwrap();
        node.start();
    }
    site
}

/// Alpha and bravo write one of every kind for the two of them; gives how many events that were.
fn talk_among_two(site: &Site) -> u64 {
    let write = |partner: &str, arguments: &[&str]| -> Written {
        let user = ["--user", if partner == "alpha" { "amal" } else { "boris" }];
        let arguments = [arguments, &user].concat();
        let written: Written = site[partner].json(&arguments).ok().object();
        assert_eq!(written.audience, NAMED, "{arguments:?}");
        written
    };
    let to_bravo = |text: &str| write("alpha", &["post", "harbour", text, "--to", "bravo"]).id;
    let post = to_bravo(TEXTS[0]);
    let withdrawn = to_bravo(TEXTS[3]);
    to_bravo(OPEN_TEXT);
    for id in [&post, &withdrawn] {
        eventually("it arrives", PATIENCE, || site["bravo"].find("harbour", id));
    }
    write("alpha", &["edit", &post, TEXTS[1]]);
    write("alpha", &["redact", &withdrawn]);
    write("alpha", &["pin", &post]);
    write("bravo", &["post", "harbour", TEXTS[2], "--reply-to", &post]);
    write("bravo", &["post", "harbour", TEXTS[4], "--to", "alpha"]);
    write("bravo", &["react", &post, "anchor-and-a-buoy"]);
    write("bravo", &["receipt", &post, "--state", "read"]);
    write("bravo", &["react", &post, "+1"]);
    // A log arrives in its order: with the last event of each, all is there.
    eventually("all is at both", PATIENCE, || {
        let at_alpha = site["alpha"].find("harbour", &post)?;
        let at_bravo = site["bravo"].find("harbour", &post)?;
        let whole = at_alpha.reactions.len() == 2 && at_bravo.pinned;
        whole.then_some(())
    });
    3 + 3 + 5
}

/// Alpha sends bravo a file of several chunks, which bravo fetches.
fn file_among_two(site: &Site, dir: &Path) -> u64 {
    let [sent_from, fetched_to] = ["sent", "fetched"].map(|name| dir.join(name));
    let bytes = Dice::of("a file for two").bytes(700_000);
    fs::write(&sent_from, &bytes).unwrap();
    let send = ["file", "send", "harbour", path(&sent_from), "--to", "bravo"];
    let sent = site["alpha"].json(&[&send[..], &["--user", "amal"]].concat());
    let sent: Written = sent.ok().object();
    let get = ["file", "get", &sent.id, "--output", path(&fetched_to)];
    eventually("the reference arrives", PATIENCE, || {
        let files: Vec<FileInfo> = site["bravo"]
            .json(&["file", "list", "harbour"])
            .ok()
            .objects();
        let found = files
            .iter()
            .any(|file| file.id == sent.id && file.state != "no_key");
        found.then_some(())
    });
    site["bravo"].json(&get).ok();
    assert!(fs::read(&fetched_to).unwrap() == bytes);
    1
}

fn prove(node: &Node, options: &[&str]) -> comity_tests::Outcome {
    node.json(&[&["prove-segregation"], options].concat())
}

fn export(node: &Node, excluding: &str, file: &Path) -> Exported {
    let records = audit(&node.dir).len();
    let options = ["--export-needles", path(file), "--excluding", excluding];
    let exported = prove(node, &options).ok().object();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let recorded = audit(&node.dir).split_off(records);
    let [record] = &recorded[..] else {
        panic!("one record of the export: {recorded:?}");
    };
    assert_eq!(record.action, "needles_exported");
    assert!(
        record.text.contains(excluding) && record.text.contains(path(file)),
        "{record:?}"
    );
    exported
}

fn nothing_is_found(report: &Report, exported: &Exported) {
    assert_eq!(report.verdict, "clean", "{report:?}");
    let search = report.search.as_ref().unwrap();
    for kind in &search.kinds {
        assert_eq!(
            exported.kinds.get(&kind.kind),
            Some(&kind.needles),
            "{kind:?}"
        );
        assert_eq!(
            (kind.found, kind.in_files, kind.in_values),
            (0, 0, 0),
            "{kind:?}"
        );
    }
    assert!(report.files.iter().all(|file| file.searched));
    assert_eq!(search.files as usize, report.files.len());
    assert!(search.file_bytes > 0 && search.values > 0 && search.places.is_empty());
    assert_eq!(report.strangers, [] as [PathBuf; 0]);
    assert_eq!(report.not_looked_at, [] as [String; 0]);
    let rows = |name: &str| {
        report
            .tables
            .iter()
            .find(|table| table.table == name)
            .unwrap()
            .rows
    };
    assert!(Table::ALL.iter().all(|table| rows(table.name()) < u64::MAX));
    assert!(rows("events") > 0 && rows("logs") > 0 && rows("secrets") > 0);
    say(&format!(
        "{}: none of {} needles in {} files of {} bytes and {} values",
        report.partner, exported.needles, search.files, search.file_bytes, search.values
    ));
}

/// In opened values each needle is found; in raw files all that is not sealed there.
fn all_is_found(report: &Report, exported: &Exported) {
    let search = report.search.as_ref().unwrap();
    for kind in &search.kinds {
        assert_eq!(
            exported.kinds.get(&kind.kind),
            Some(&kind.needles),
            "{kind:?}"
        );
        assert_eq!(kind.in_values, kind.needles, "{kind:?}");
        match kind.kind.as_str() {
            "plaintext" | "secret" => assert_eq!(kind.in_files, 0, "sealed at rest: {kind:?}"),
            _ => assert!(kind.in_files > 0, "{kind:?}"),
        }
    }
    let found: u64 = search.kinds.iter().map(|kind| kind.found).sum();
    assert_eq!(found, exported.needles);
    let in_files: u64 = search.kinds.iter().map(|kind| kind.in_files).sum();
    say(&format!(
        "{}: {found} of {found} needles in opened values, {in_files} of them in raw files",
        report.partner
    ));
    assert_eq!(report.findings.len(), 0, "it may have them");
}

#[test]
fn one_byte_string_of_it_is_found_wherever_it_is_put() {
    let mut site = Site::sharing("harbour", &["alpha", "bravo", "charlie"]);
    let post = site["alpha"].post_to("harbour", "amal", TEXTS[0], "bravo");
    eventually("it arrives", PATIENCE, || {
        site["bravo"].find("harbour", &post.id)
    });
    let lane = site.lane("harbour", LaneForm::Directed, &NAMED);
    site.agree("harbour", &["alpha", "bravo", "charlie"]);
    site.stop();
    let carried = tempfile::tempdir().unwrap();
    let needles = carried.path().join("needles");
    export(&site["alpha"], "charlie", &needles);
    let charlie = &site["charlie"];
    let search = ["--needles", path(&needles)];
    let before = contents(&charlie.dir);
    prove(charlie, &search).ok();
    assert!(contents(&charlie.dir) == before, "nothing was changed");

    // In the middle of a file of the store, in another one, and in a log elsewhere.
    let log = carried.path().join("comity.log");
    let also = ["--needles", path(&needles), "--also", path(&log)];
    let id = unhex(&post.id);
    let info = charlie.dir.join("store/LOG");
    let copy = charlie.dir.join("copied.txt");
    for (file, text, kind, form) in [
        (&info, id.clone(), "event_id", "raw"),
        (&info, lane, "lane", "raw"),
        (
            &copy,
            TEXTS[0].as_bytes()[..24].to_vec(),
            "plaintext",
            "raw",
        ),
        (&log, post.id.as_bytes()[..12].to_vec(), "event_id", "hex"),
    ] {
        let kept = fs::read(file).ok();
        let mut planted = kept.clone().unwrap_or_else(|| vec![b'.'; 300]);
        let middle = planted.len() / 2;
        planted.splice(middle..middle, text);
        fs::write(file, planted).unwrap();
        let found = prove(charlie, &also);
        assert_eq!(found.code(), 2, "{file:?}: {}", found.text());
        let report: Report = found.object();
        let search = report.search.unwrap();
        assert_eq!(search.by_file.keys().collect::<Vec<_>>(), [file]);
        let [place] = &search.places[..] else {
            panic!("one place: {:?}", search.places);
        };
        assert_eq!(place.file.as_ref(), Some(file));
        assert_eq!((place.kind.as_str(), place.form.as_str()), (kind, form));
        assert_eq!(place.offset, middle as u64);
        let words = charlie.comity(&[&["prove-segregation"][..], &also[..]].concat());
        assert!(words.text().contains(path(file)), "{}", words.text());
        assert!(words.text().contains("verdict   FOUND"), "{}", words.text());
        match kept {
            Some(kept) => fs::write(file, kept).unwrap(),
            None => fs::remove_file(file).unwrap(),
        }
    }
    let gone = prove(charlie, &also);
    assert_eq!(
        gone.code(),
        3,
        "the log that was named is not there: {}",
        gone.text()
    );
    assert_eq!(gone.object::<Report>().verdict, "incomplete");

    // Without needles nobody knows what a file of somebody's holds.
    fs::write(&copy, "mine").unwrap();
    let strangers = prove(charlie, &[]);
    assert_eq!(strangers.code(), 1);
    assert_eq!(strangers.object::<Report>().strangers, [copy]);
}

#[test]
fn a_row_of_a_lane_of_others_is_found_without_needles() {
    let mut site = Site::sharing("harbour", &["alpha", "bravo", "charlie"]);
    let post = site["alpha"].post_to("harbour", "amal", TEXTS[0], "bravo");
    eventually("it arrives", PATIENCE, || {
        site["bravo"].find("harbour", &post.id)
    });
    let lane = site.lane("harbour", LaneForm::Directed, &NAMED);
    site.agree("harbour", &["alpha", "bravo", "charlie"]);
    site.stop();
    let rows = rows_of_lane(&site["alpha"], &lane);
    let charlie = &site["charlie"];
    let clean: Report = prove(charlie, &[]).ok().object();
    assert_eq!(clean.verdict, "clean");

    for (table, row) in &rows {
        write(charlie, std::slice::from_ref(row));
        let [finding] = &findings(charlie)[..] else {
            panic!("one finding in {table}");
        };
        assert_eq!(finding.table, *table, "{}", finding.what);
        write(charlie, &[removal(row)]);
    }
    // With all that belongs to it, the lane is known, and known to be for others.
    let all: Vec<Row> = rows.iter().map(|(_, row)| row.clone()).collect();
    write(charlie, &all);
    let found = findings(charlie);
    let of_others = |finding: &&Finding| finding.what.contains("has not this partner");
    let tables: Vec<&str> = found
        .iter()
        .filter(of_others)
        .map(|f| f.table.as_str())
        .collect();
    assert_eq!(tables, ["logs", "events", "events", "secrets"], "{found:?}");
    assert_eq!(found.len(), rows.len());
    let removals: Vec<Row> = all.iter().map(removal).collect();
    write(charlie, &removals);
    prove(charlie, &[]).ok();
}

fn findings(node: &Node) -> Vec<Finding> {
    let found = prove(node, &[]);
    assert_eq!(found.code(), 2, "{}", found.text());
    found.object::<Report>().findings
}

fn removal(row: &Row) -> Row {
    Row {
        value: None,
        ..row.clone()
    }
}

/// One row of each table that has some of a lane: the log, the key event, the post, the secret;
/// under a log's number that no other node of three has in use.
fn rows_of_lane(node: &Node, lane: &[u8]) -> Vec<(&'static str, Row)> {
    const FREE: u32 = 77_000;
    let store = open(node);
    let mut rows = Vec::new();
    let mut take = |table: Table, key: Vec<u8>, value: &[u8]| {
        rows.push((table.name(), Row::put(table, key, value.to_vec())));
    };
    let scan = |table: Table, each: &mut dyn FnMut(&[u8], &[u8])| {
        let scanned = store.scan::<StoreError>(table, &[], &[], |key, value| {
            each(key, value);
            Ok(true)
        });
        scanned.unwrap();
    };
    let free = FREE.to_be_bytes();
    scan(Table::Logs, &mut |_, value| {
        if value.windows(32).any(|window| window == lane) {
            take(Table::Logs, free.to_vec(), value);
        }
    });
    let mut secret = None;
    scan(Table::Events, &mut |key, value| {
        let event = read_event(value).unwrap().event;
        if event.header.lane.0 == lane {
            take(Table::Events, [&free, &key[4..]].concat(), value);
            secret = secret.or(event.header.key_event);
        }
    });
    let secret = secret.unwrap();
    let value = store.get(Table::Secrets, &secret.0).unwrap().unwrap();
    take(Table::Secrets, secret.0.to_vec(), &value);
    let note = comity_protocol::rows::ChannelNote::default().to_bytes();
    take(Table::Channels, vec![7; 32], &note);
    take(Table::Imports, vec![7; 64], &[0; 8]);
    take(Table::Files, secret.0.to_vec(), b"no file");
    take(Table::Chunks, vec![7; 40], b"no chunk");
    assert_eq!(
        rows.len(),
        8,
        "a log, a key event, a post, a secret and more"
    );
    rows
}

/// Writes rows, and waits until what the store does about them in the background has ended.
fn write(node: &Node, rows: &[Row]) {
    open(node).write(rows).unwrap();
    drop(open(node));
}

fn open(node: &Node) -> Store {
    let config = Config::load(&node.dir).unwrap();
    eventually("nobody else has the store open", PATIENCE, || {
        keystore::open_store(&node.dir, &config.storage).ok()
    })
}

/// The bytes and the times of every file below a directory.
fn contents(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let changed = path.metadata().unwrap().modified().unwrap();
            found.insert(path.clone(), (fs::read(&path).unwrap(), changed));
        }
    }
    found
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
