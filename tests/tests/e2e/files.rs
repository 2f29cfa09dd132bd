//! Files: to an audience and nobody else, fetched on demand, from whoever has them, whatever is
//! killed meanwhile.

use std::path::{Path, PathBuf};

use comity_node::api::{
    ApiError, FileInfo, FileProgress, FileUpload, Item, NewFile, Precedence, Reply, Request,
    Written,
};
use comity_protocol::rows::Table;
use comity_tests::admin::Admin;
use comity_tests::{Dice, Node, PATIENCE, Site, eventually, say, store};
use tempfile::TempDir;

const MEMBERS: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
const CHUNK: u64 = 1 << 20;
/// Forty chunks, the last one short.
const SIZE: usize = 40 * CHUNK as usize - 12_345;

#[test]
fn a_file_for_two_of_four_survives_a_kill_and_the_loss_of_its_author() {
    let mut dice = Dice::of("a file for two of four");
    let content = dice.bytes(SIZE);
    let work = Work::new();
    let mut site = Site::sharing("harbour", &MEMBERS);
    let path = work.file("plan.bin", &content);
    let sent = send(&site["alpha"], &path, &["--to", "bravo,charlie"]);
    assert_eq!(sent.audience, ["alpha", "bravo", "charlie"]);
    let info = arrives(&site["bravo"], &sent.id);
    assert_eq!(info.name.as_deref(), Some("plan.bin"));
    assert_eq!(
        (info.size, &*info.state),
        (Some(SIZE as u64), "not_fetched")
    );

    kill_while_fetching(&mut site, &sent.id);
    let at_bravo = work.path("bravo.bin");
    get(&site["bravo"], &sent.id, &at_bravo).ok();
    assert_eq!(std::fs::read(&at_bravo).unwrap(), content);

    // Bravo serves charlie while the author is down.
    site["alpha"].kill();
    arrives(&site["charlie"], &sent.id);
    let at_charlie = work.path("charlie.bin");
    get(&site["charlie"], &sent.id, &at_charlie).ok();
    assert_eq!(std::fs::read(&at_charlie).unwrap(), content);

    delta_has_nothing(&mut site, &sent.id, &content);
    let fetched = audited(&site["bravo"].dir, "file_fetched");
    assert!(fetched.contains(&sent.id), "{fetched}");
    let sent_there = audited(&site["alpha"].dir, "file_sent");
    let expected = [sent.id.as_str(), "bravo, charlie", &SIZE.to_string()];
    assert!(expected.iter().all(|part| sent_there.contains(part)));
}

/// Kills bravo in the middle of fetching, starts it again, and requires that what comes then is
/// what was missing, and not much more.
fn kill_while_fetching(site: &mut Site, file: &str) {
    let mut admin = Admin::connect(&site["bravo"].dir).unwrap();
    admin.send(&fetch_request(file)).unwrap();
    let before = loop {
        let progress = next_progress(&mut admin);
        assert!(progress.held < progress.size, "the kill came too late");
        if progress.held > 2 * CHUNK {
            break progress.held;
        }
    };
    site["bravo"].kill();
    site["bravo"].start();

    let received = |site: &Site| site["bravo"].status().wire_bytes_received;
    let begun = received(site);
    let mut admin = Admin::connect(&site["bravo"].dir).unwrap();
    admin.send(&fetch_request(file)).unwrap();
    let first = next_progress(&mut admin);
    assert!(first.held + 2 * CHUNK >= before, "what was fetched is kept");
    while next_progress(&mut admin).held < SIZE as u64 {}
    let came = received(site) - begun;
    let missing = SIZE as u64 - first.held;
    say(&format!(
        "file: killed at {before} bytes held; {} held after the start; {missing} missing, {came} received",
        first.held
    ));
    assert!(
        came < missing + missing / 10 + 3 * CHUNK,
        "{came} for {missing}"
    );
}

fn fetch_request(file: &str) -> Request {
    Request::FileFetch {
        file: file.into(),
        wait_s: PATIENCE.as_secs(),
    }
}

fn next_progress(admin: &mut Admin) -> FileProgress {
    loop {
        match admin.receive().expect("a node that answers") {
            Reply::Item {
                item: Item::FileProgress(progress),
            } => return progress,
            Reply::Item { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Not the reference, not a chunk, not a byte of it; and it is told as much as of any nonsense.
fn delta_has_nothing(site: &mut Site, file: &str, content: &[u8]) {
    let delta = &site["delta"];
    assert!(files(delta).is_empty());
    assert!(delta.export().is_empty());
    let nonsense = "0123456789abcdef";
    for id in [file, nonsense] {
        let refused = get(delta, id, Path::new("/nonexistent/file")).failed();
        assert_eq!(refused.code, "no_such_file");
    }
    for partner in ["bravo", "charlie", "delta"] {
        site[partner].stop();
    }
    let id: Vec<u8> = (0..16)
        .step_by(2)
        .map(|at| u8::from_str_radix(&file[at..at + 2], 16).unwrap())
        .collect();
    let count = |partner: &str, what: &[u8]| store::occurrences(&site[partner].dir, what);
    assert!(count("bravo", &id) > 0, "the search finds what is there");
    assert_eq!(count("delta", &id), 0);
    assert_eq!(count("delta", &content[..32]), 0);
    assert_eq!(store::count(&site["bravo"].dir, Table::Chunks), 40);
    assert_eq!(store::count(&site["delta"].dir, Table::Chunks), 0);
    for partner in ["alpha", "bravo", "charlie"] {
        let plain = count(partner, &content[..32]);
        assert_eq!(plain, 0, "{partner} keeps chunks sealed");
    }
}

#[test]
fn nothing_is_overwritten_and_no_name_is_a_path() {
    let work = Work::new();
    let site = Site::sharing("harbour", &["alpha", "bravo"]);
    let path = work.file("empty", b"");
    let trap = "../../trap\u{1b}[2J";
    let sent = send(&site["alpha"], &path, &["--name", trap]);
    let info = arrives(&site["bravo"], &sent.id);
    assert_eq!((info.name.as_deref(), info.size), (Some(trap), Some(0)));
    assert_eq!(info.state, "held", "there is nothing to fetch");
    let shown = site["bravo"].comity(&["read", "harbour"]).ok();
    assert!(shown.text().contains("trap\\u{1b}[2J"), "{}", shown.text());

    let there = work.file("there", b"precious");
    let refused = get(&site["bravo"], &sent.id, &there).failed();
    assert!(refused.advice.contains("--force"), "{}", refused.advice);
    assert_eq!(std::fs::read(&there).unwrap(), b"precious");
    let directory = work.path("");
    assert_eq!(
        get(&site["bravo"], &sent.id, &directory).failed().code,
        "file"
    );

    let output = there.to_str().unwrap();
    let force = ["file", "get", &sent.id, "--output", output, "--force"];
    site["bravo"].comity(&force).ok();
    assert_eq!(std::fs::read(&there).unwrap(), b"");
    assert_eq!(work.names(), ["empty", "there"], "nothing is left behind");
}

#[test]
fn a_withdrawn_file_is_gone_and_cannot_be_fetched() {
    let work = Work::new();
    let mut site = Site::sharing("harbour", &["alpha", "bravo", "charlie"]);
    let path = work.file("plan", &Dice::of("a withdrawn file").bytes(3_000_000));
    let post = site["alpha"].post("harbour", "amal", "The plan.").id;
    let sent = send(&site["alpha"], &path, &["--post", &post]);
    let info = arrives(&site["bravo"], &sent.id);
    assert_eq!(info.post.as_deref(), Some(post.as_str()));
    get(&site["bravo"], &sent.id, &work.path("got")).ok();

    let redact = ["redact", &sent.id, "--user", "amal"];
    site["alpha"].comity(&redact).ok();
    for reader in ["bravo", "charlie"] {
        eventually("the withdrawal arrives", PATIENCE, || {
            let file = files(&site[reader]).pop()?;
            (file.state == "withdrawn" && file.name.is_none()).then_some(())
        });
        let refused = get(&site[reader], &sent.id, &work.path("again")).failed();
        assert_eq!(refused.code, "withdrawn");
    }
    site.stop();
    for node in site.nodes() {
        assert_eq!(store::count(&node.dir, Table::Chunks), 0, "{}", node.name);
        assert_eq!(store::count(&node.dir, Table::Files), 0, "{}", node.name);
    }
}

#[test]
fn a_file_that_was_not_handed_over_whole_leaves_nothing() {
    let mut site = Site::sharing("harbour", &["alpha", "bravo"]);
    let mut admin = Admin::connect(&site["alpha"].dir).unwrap();
    let upload: FileUpload = admin.ask(&begin(3 * CHUNK)).unwrap();
    admin.send(&chunk(&upload, 0)).unwrap();
    assert!(matches!(admin.receive().unwrap(), Reply::Done));
    site["alpha"].kill();
    assert_eq!(store::count(&site["alpha"].dir, Table::Chunks), 1);
    site["alpha"].start();
    site["alpha"].stop();
    assert_eq!(store::count(&site["alpha"].dir, Table::Chunks), 0);
    assert_eq!(store::count(&site["alpha"].dir, Table::Uploads), 0);

    // One that breaks off or breaks the rules is discarded at once.
    site["alpha"].start();
    let mut admin = Admin::connect(&site["alpha"].dir).unwrap();
    let upload: FileUpload = admin.ask(&begin(3 * CHUNK)).unwrap();
    let _: Reply = say_and_hear(&mut admin, &chunk(&upload, 0));
    let early = Request::FileFinish {
        upload: upload.upload.clone(),
    };
    assert_eq!(refusal(&mut admin, &early).code, "bad_chunk");
    assert_eq!(refusal(&mut admin, &early).code, "no_such_upload");
    let upload: FileUpload = admin.ask(&begin(3 * CHUNK)).unwrap();
    let skipping = refusal(&mut admin, &chunk(&upload, 1));
    assert_eq!(skipping.code, "bad_chunk");
    assert_eq!(
        refusal(&mut admin, &begin(CHUNK * 1024 + 1)).code,
        "file_too_large"
    );
    assert!(files(&site["alpha"]).is_empty());
    site["alpha"].stop();
    assert_eq!(store::count(&site["alpha"].dir, Table::Chunks), 0);
}

#[test]
fn a_file_that_nobody_has_is_waited_for_as_long_as_was_said() {
    let work = Work::new();
    let mut site = Site::sharing("harbour", &["alpha", "bravo"]);
    let sent = send(&site["alpha"], &work.file("plan", b"The plan."), &[]);
    arrives(&site["bravo"], &sent.id);
    site["alpha"].kill();
    let output = work.path("got");
    let get = [
        "--json",
        "file",
        "get",
        &sent.id[..12],
        "--output",
        output.to_str().unwrap(),
        "--wait",
        "1s",
    ];
    assert_eq!(site["bravo"].comity(&get).failed().code, "file_unreachable");
    assert!(!output.exists());

    site["alpha"].start();
    let patient = [&get[..7], &["60s"]].concat();
    site["bravo"].comity(&patient).ok();
    assert_eq!(std::fs::read(&output).unwrap(), b"The plan.");
    let refused = site["bravo"].json(&["file", "send", "harbour", "/", "--user", "boris"]);
    assert_eq!(refused.failed().code, "file");
}

fn begin(size: u64) -> Request {
    Request::FileBegin(NewFile {
        channel: "harbour".into(),
        user: "amal".into(),
        name: "plan".into(),
        media_type: String::new(),
        size,
        to: Vec::new(),
        post: None,
        create_at_ms: None,
        precedence: Precedence::Routine,
    })
}

/// A chunk of zeros.
fn chunk(upload: &FileUpload, chunk: u32) -> Request {
    let mut data = "A".repeat(upload.chunk_bytes.div_ceil(3) * 4 - 2);
    data.push_str("==");
    Request::FileChunk {
        upload: upload.upload.clone(),
        chunk,
        data,
    }
}

fn say_and_hear(admin: &mut Admin, request: &Request) -> Reply {
    admin.send(request).unwrap();
    admin.receive().unwrap()
}

fn refusal(admin: &mut Admin, request: &Request) -> ApiError {
    match say_and_hear(admin, request) {
        Reply::Failed { error } => error,
        other => panic!("{other:?}"),
    }
}

fn send(node: &Node, path: &Path, more: &[&str]) -> Written {
    let path = path.to_str().unwrap();
    let send = ["file", "send", "harbour", path, "--user", "amal"];
    node.json(&[&send[..], more].concat()).ok().object()
}

fn get(node: &Node, file: &str, output: &Path) -> comity_tests::Outcome {
    let output = output.to_str().unwrap();
    node.json(&["file", "get", file, "--output", output])
}

fn files(node: &Node) -> Vec<FileInfo> {
    node.json(&["file", "list", "harbour"]).ok().objects()
}

fn arrives(node: &Node, file: &str) -> FileInfo {
    eventually("the reference arrives", PATIENCE, || {
        let found = files(node).into_iter().find(|info| info.id == file)?;
        (found.state != "no_key").then_some(found)
    })
}

fn audited(dir: &Path, action: &str) -> String {
    let records = store::audit(dir).into_iter();
    let of_action = records.filter(|record| record.action == action);
    of_action.map(|record| record.text + "\n").collect()
}

/// A directory for a test's files.
struct Work(TempDir);

impl Work {
    fn new() -> Work {
        Work(TempDir::new().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).expect("a directory");
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
        let mut names: Vec<String> = entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }
}
