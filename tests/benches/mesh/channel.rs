//! A channel of real nodes: filled at one node while the others receive it, then posted to one
//! message at a time.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, Instant};

use comity_node::api::{ImportPost, Imported, PostInfo, Precedence, Request, Written};
use comity_tests::admin::Admin;
use comity_tests::{Node, Site, say};

use crate::ingest;
use crate::meter::{Reading, connect, percentile, status};
use crate::report::{Report, Row};

const CHANNEL: &str = "harbour";
const AUTHOR: &str = "amal";
/// Posts handed over at a time, as `comity import` does it.
pub const BATCH: u32 = 512;
/// The claimed time of the first post.
const BEGIN_MS: u64 = 1_500_000_000_000;
const IMPORT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Between two looks at whether all have arrived: rare enough to cost the nodes nothing.
const LOOK: Duration = Duration::from_millis(20);
/// Without any post arriving for so long, none will.
const STALLED: Duration = Duration::from_secs(60);
/// A post must be read elsewhere within this time.
const READ: Duration = Duration::from_secs(30);

const CPU_UNIT: &str = "s/1000";

const RATE: &str = "from the first post handed over to all posts at all partners; posts of 91 \
    bytes by one author at one node, in batches of 512 over the admin socket; every acknowledged \
    write is synced";
const CPU: &str = "user and system time of all threads of the node processes over that time \
    (/proc/PID/stat); of all nodes: their sum over posts times receivers. The floor is one \
    verify_strict, measured in this process right after. ejabberd stores on one side and signs \
    nothing";
const LINK: &str = "UDP payload and 42 bytes of Ethernet, IPv4 and UDP headers a datagram, both \
    directions, counted at the nodes' sockets over that time, per receiver: what the counters of a \
    network interface show, by which the other systems were counted";
const DISK: &str = "growth of all files of a node's directory over that time, by their lengths, \
    write-ahead log included; ejabberd's is one side's only";
const MEMORY: &str = "the most that a node's process had resident since its start";
const LATENCY: &str = "from handing a post to the first node's admin socket until a loop of reads \
    at the last node's shows it, each post after the one before it was read; two synced writes lie \
    between, so the floor is twice the fdatasync of 4 KiB in the same directory, measured after \
    each post. ejabberd on a disk: 27.8, 48.5 and 75 ms; in memory: 2.3, 9.6 and 13.5 ms";
const SINGLE_LINK: &str = "as for streaming, over the posts made one at a time, acknowledgements \
    and probes of an idle link included";

/// What of a channel is measured.
pub struct What {
    pub streaming: bool,
    /// Posts made one at a time.
    pub singles: u32,
}

/// The text of a post: 91 bytes, of which the first say which it is.
pub fn body(number: u32) -> String {
    format!(
        "{number:08} the quick brown fox jumps over the lazy dog while two partner nodes exchange \
         words"
    )
}

pub fn measure(report: &mut Report, what: &What, events: u32, partners: u8) {
    say(&format!("{partners} partners, {events} events: setting up"));
    let names: Vec<String> = (1..=partners).map(|n| format!("partner-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let site = Site::sharing(CHANNEL, &names);
    // The first post opens the lane, with its key event: set-up, as in every other channel.
    single(&site, 0);
    if what.streaming {
        streaming(report, &site, events);
    } else {
        fill(&site, events);
    }
    if what.singles > 0 {
        singles(report, &site, events, what.singles);
    }
}

fn streaming(report: &mut Report, site: &Site, events: u32) {
    let nodes = site.nodes();
    let run = format!("streaming, {events} events, {} partners", nodes.len());
    say(&run);
    let before = Reading::all(nodes);
    fill(site, events);
    let after = Reading::all(nodes);
    let spent = Spent::between(&before, &after);
    let receivers = (nodes.len() - 1) as f64;
    let posts = f64::from(events);

    let rate = Row::new(&run, "posts a second", posts / spent.seconds, "/s", RATE);
    report.add(peer(nodes, rate, 993.0));
    let thousand = |seconds: f64| seconds * 1000.0 / posts;
    let cpu = thousand(spent.cpu_seconds) / receivers;
    let row = Row::new(&run, "CPU of all nodes, a receiver", cpu, CPU_UNIT, CPU);
    report.add(peer(nodes, row.against("aim", 0.15), 0.72));
    let floor = 1000.0 * ingest::floor();
    let cpu = thousand(spent.cpu_last);
    let row = Row::new(&run, "CPU of the last receiver", cpu, CPU_UNIT, CPU);
    report.add(row.against("verify_strict", floor));
    let cpu = thousand(spent.cpu_first);
    report.add(Row::new(&run, "CPU of the sender", cpu, CPU_UNIT, CPU));
    // Each byte is counted at both of its ends.
    let link = spent.link_bytes / 2.0 / posts / receivers;
    let row = Row::new(&run, "on the link, a post and receiver", link, "B", LINK);
    report.add(peer(nodes, row.against("aim", 270.0), 489.0));
    for (measure, disk) in [
        ("disk of a post at the sender", spent.disk_first),
        ("disk of a post at a receiver", spent.disk_last),
    ] {
        let row = Row::new(&run, measure, disk / posts, "B", DISK);
        report.add(peer(nodes, row.against("aim", 600.0), 630.0));
    }
    let memory = nodes.iter().map(Node::peak_memory).max().unwrap_or(0);
    let memory = memory as f64 / f64::from(1 << 20);
    report.add(Row::new(
        &run,
        "memory of a node, peak",
        memory,
        "MiB",
        MEMORY,
    ));
}

/// Compares with another system, which was measured with two partners.
fn peer(nodes: &[Node], row: Row, value: f64) -> Row {
    match nodes.len() {
        2 => row.against("ejabberd", value),
        _ => row,
    }
}

/// What a run has used.
struct Spent {
    seconds: f64,
    cpu_seconds: f64,
    cpu_first: f64,
    cpu_last: f64,
    link_bytes: f64,
    disk_first: f64,
    disk_last: f64,
}

impl Spent {
    fn between(before: &[Reading], after: &[Reading]) -> Spent {
        let cpu = |at: usize| after[at].cpu_seconds - before[at].cpu_seconds;
        let link = |at: usize| (after[at].link_bytes - before[at].link_bytes) as f64;
        let disk = |at: usize| after[at].disk_bytes as f64 - before[at].disk_bytes as f64;
        let last = before.len() - 1;
        Spent {
            seconds: after[0].at.duration_since(before[0].at).as_secs_f64(),
            cpu_seconds: (0..=last).map(cpu).sum(),
            cpu_first: cpu(0),
            cpu_last: cpu(last),
            link_bytes: (0..=last).map(link).sum(),
            disk_first: disk(0),
            disk_last: disk(last),
        }
    }
}

/// Posts that many messages at the first node and waits until all nodes have them.
fn fill(site: &Site, events: u32) {
    let (first, others) = site.nodes().split_first().expect("a node");
    let expected = Reading::of(first).posts + u64::from(events);
    let mut admin = connect(first);
    let mut next = 0;
    while next < events {
        let batch = next..events.min(next + BATCH);
        next = batch.end;
        let posts: Vec<ImportPost> = batch.map(line).collect();
        let import = IMPORT.into();
        let answer = admin.ask::<Imported>(&Request::Import { import, posts });
        answer.expect("a node that takes posts");
    }
    for node in others {
        await_posts(node, expected);
    }
}

/// Waits until a node holds so many posts, as long as they go on coming.
pub fn await_posts(node: &Node, expected: u64) {
    let mut admin = connect(node);
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        let posts = status(&mut admin).posts;
        if posts == expected {
            return;
        }
        if posts != seen {
            (seen, moved) = (posts, Instant::now());
        }
        let name = &node.name;
        assert!(
            moved.elapsed() < STALLED,
            "{name} stays at {posts} of {expected} posts"
        );
        std::thread::sleep(LOOK);
    }
}

fn line(number: u32) -> ImportPost {
    ImportPost {
        line: u64::from(number) + 1,
        channel: CHANNEL.into(),
        user: AUTHOR.into(),
        message: body(number),
        create_at_ms: BEGIN_MS + u64::from(number),
    }
}

fn singles(report: &mut Report, site: &Site, events: u32, posts: u32) {
    let nodes = site.nodes();
    let run = format!(
        "one at a time, after {events} events, {} partners",
        nodes.len()
    );
    say(&run);
    let mut floor = Floor::new(&nodes[0]);
    let mut syncs = Vec::new();
    let mut latencies = Vec::new();
    let before = Reading::all(nodes);
    for number in 1..=posts {
        latencies.push(single(site, number).as_secs_f64() * 1000.0);
        syncs.push(floor.sync().as_secs_f64() * 1000.0);
    }
    let after = Reading::all(nodes);
    latencies.sort_by(f64::total_cmp);
    syncs.sort_by(f64::total_cmp);
    for (measure, part) in [
        ("post to read, p50", 0.50),
        ("post to read, p95", 0.95),
        ("post to read, p99", 0.99),
    ] {
        let row = Row::new(&run, measure, percentile(&latencies, part), "ms", LATENCY);
        report.add(row.against("two syncs", 2.0 * percentile(&syncs, part)));
    }
    let link = Spent::between(&before, &after).link_bytes;
    let receivers = (nodes.len() - 1) as f64;
    let link = link / 2.0 / f64::from(posts) / receivers;
    let row = Row::new(
        &run,
        "on the link, a post and receiver",
        link,
        "B",
        SINGLE_LINK,
    );
    report.add(peer(nodes, row.against("aim", 400.0), 550.0));
}

/// Posts at the first node; how long it took until the last one showed it.
fn single(site: &Site, number: u32) -> Duration {
    let nodes = site.nodes();
    let mut writer = connect(&nodes[0]);
    let mut reader = connect(&nodes[nodes.len() - 1]);
    let message = format!("single {}", body(number));
    let message = message[..91].to_string();
    let post = Request::Post {
        channel: CHANNEL.into(),
        user: AUTHOR.into(),
        message: message.clone(),
        reply_to: None,
        create_at_ms: None,
        precedence: Precedence::Routine,
        to: Vec::new(),
    };
    let begun = Instant::now();
    writer.send(&post).expect("a running node");
    while last(&mut reader).and_then(|post| post.message) != Some(message.clone()) {
        assert!(
            begun.elapsed() < READ,
            "post {number} is not read elsewhere"
        );
    }
    let taken = begun.elapsed();
    writer.answer::<Written>().expect("a node that takes posts");
    taken
}

fn last(admin: &mut Admin) -> Option<PostInfo> {
    let request = Request::Read {
        channel: CHANNEL.into(),
        limit: 1,
    };
    admin
        .ask_all::<PostInfo>(&request)
        .expect("a running node")
        .pop()
}

/// The price of durability here: an append of 4 KiB, synced.
struct Floor {
    file: File,
}

impl Floor {
    fn new(node: &Node) -> Floor {
        let path = node.dir.with_extension("floor");
        Floor {
            file: File::create(path).expect("a file beside the node"),
        }
    }

    fn sync(&mut self) -> Duration {
        let begun = Instant::now();
        let written = self
            .file
            .write_all(&[0; 4096])
            .and_then(|()| self.file.sync_data());
        written.expect("a disk that takes 4 KiB");
        begun.elapsed()
    }
}
