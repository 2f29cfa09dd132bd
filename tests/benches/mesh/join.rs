//! A fresh partner joins a channel that has gone on for long: how soon it can be used there, and how
//! soon all of it is there.

use std::time::{Duration, Instant};

use comity_node::api::{ChannelInfo, ImportPost, Imported, PostInfo, Precedence, Request, Written};
use comity_tests::{PATIENCE, Site, eventually, say};

use crate::channel::{BATCH, await_posts, body};
use crate::meter::{Reading, connect};
use crate::report::{Report, Row};

const CHANNEL: &str = "harbour";
const IMPORT: &str = "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Two partners that have written, and the one that comes.
const PARTNERS: [&str; 3] = ["alpha", "bravo", "charlie"];
/// Users of each partner that has written, who all have.
const USERS: u32 = 1_000;
/// The claimed time of the first post.
const BEGIN_MS: u64 = 1_500_000_000_000;
/// With how many events the other systems were measured.
const OTHERS: u32 = 10_000;

const USE: &str = "from accepting the invitation at the fresh partner's admin socket until its node \
    shows all three partners as members and has acknowledged a post by one of its users; it was \
    peered before, as it must be to be invited. 1,000 users of each of the two other partners have \
    written there (there is no event for the membership of a user: partners are members, and a post \
    names its author). The others: a user of a server that had not been in the room joins it";
const READ: &str = "from the same moment until the two other nodes show that post";
const HISTORY: &str = "from the same moment until the fresh node holds every post of both others, \
    all verified and synced. The others: until the user has paged through the archive of the one \
    server that has it";
const CPU: &str = "user and system time of all threads of the node processes over that time, per \
    1,000 posts";
const LINK: &str = "UDP payload and 42 bytes of headers a datagram, both directions, over that \
    time, per post; each byte is counted at one of its ends";
const MEMORY: &str = "the most that the fresh node's process had resident since its start";

pub fn measure(report: &mut Report, events: u32) {
    let run = format!("join, {events} events, {USERS} users a partner");
    say(&run);
    let site = Site::of(&PARTNERS);
    site.peer_all();
    let create = ["channel", "create", CHANNEL, "--history", "all"];
    site["alpha"].comity(&create).ok();
    site.admit(CHANNEL, "alpha", "bravo", "contributor");
    site.await_members(CHANNEL, &PARTNERS[..2]);
    fill(&site, events);
    let [alpha, _, charlie] = site.nodes() else {
        unreachable!("three partners")
    };
    let share = [
        "channel",
        "share",
        CHANNEL,
        "charlie",
        "--role",
        "contributor",
    ];
    alpha.comity(&share).ok();
    eventually("charlie is invited", PATIENCE, || charlie.channel(CHANNEL));
    let before = Reading::all(site.nodes());

    let begun = Instant::now();
    let joined = join(&site);
    let usable = joined.duration_since(begun);
    let read = await_read(&site).duration_since(begun);
    await_posts(charlie, u64::from(events) + 1);
    let held = begun.elapsed();
    let after = Reading::all(site.nodes());

    let compared = |row: Row, ejabberd: f64, prosody: f64| match events {
        OTHERS => row
            .against("ejabberd", ejabberd)
            .against("Prosody", prosody),
        _ => row,
    };
    let seconds =
        |measure, time: Duration, method| Row::new(&run, measure, time.as_secs_f64(), "s", method);
    report.add(compared(seconds("first use", usable, USE), 0.57, 2.0));
    report.add(seconds("first post read by the others", read, READ));
    report.add(compared(seconds("all history", held, HISTORY), 5.3, 38.9));
    let posts = f64::from(events);
    let spent = before.iter().zip(&after);
    let cpu = spent
        .clone()
        .map(|(before, after)| after.cpu_seconds - before.cpu_seconds);
    let cpu: Vec<f64> = cpu.map(|seconds| 1000.0 * seconds / posts).collect();
    report.add(Row::new(
        &run,
        "CPU of the fresh node",
        cpu[2],
        "s/1000",
        CPU,
    ));
    report.add(Row::new(
        &run,
        "CPU of the two others",
        cpu[0] + cpu[1],
        "s/1000",
        CPU,
    ));
    let link: u64 = spent
        .map(|(before, after)| after.link_bytes - before.link_bytes)
        .sum();
    let row = Row::new(
        &run,
        "on the links, a post",
        link as f64 / 2.0 / posts,
        "B",
        LINK,
    );
    report.add(match events {
        OTHERS => row.against("ejabberd", 750.0).against("Prosody", 670.0),
        _ => row,
    });
    let memory = charlie.peak_memory() as f64 / f64::from(1 << 20);
    report.add(Row::new(
        &run,
        "memory of the fresh node, peak",
        memory,
        "MiB",
        MEMORY,
    ));
}

/// Half of the posts at each of the two, by all of its users in turn.
fn fill(site: &Site, events: u32) {
    let halves = [(0, 0..events / 2), (1, events / 2..events)];
    for (at, posts) in halves {
        let mut admin = connect(&site.nodes()[at]);
        let numbers: Vec<u32> = posts.collect();
        for batch in numbers.chunks(BATCH as usize) {
            let posts = batch.iter().map(|number| line(*number)).collect();
            let import = IMPORT.into();
            let answer = admin.ask::<Imported>(&Request::Import { import, posts });
            answer.expect("a node that takes posts");
        }
    }
    for node in &site.nodes()[..2] {
        await_posts(node, u64::from(events));
    }
}

fn line(number: u32) -> ImportPost {
    ImportPost {
        line: u64::from(number) + 1,
        channel: CHANNEL.into(),
        user: format!("user-{}", number % USERS),
        message: body(number),
        create_at_ms: BEGIN_MS + u64::from(number),
    }
}

/// Accepts, and posts as soon as that may be; when it was acknowledged.
fn join(site: &Site) -> Instant {
    let mut admin = connect(&site.nodes()[2]);
    let channel = CHANNEL.to_string();
    let accept = Request::ChannelAccept { channel };
    let accepted = admin.ask_all::<ChannelInfo>(&accept);
    accepted.expect("an invitation to accept");
    eventually("charlie sees all members", PATIENCE, || {
        let channel = CHANNEL.to_string();
        let shown: ChannelInfo = admin.ask(&Request::ChannelShow { channel }).ok()?;
        let active = shown.members.iter().filter(|it| it.status == "active");
        (active.count() == PARTNERS.len()).then_some(())
    });
    let post = Request::Post {
        channel: CHANNEL.into(),
        user: "newcomer".into(),
        message: "hello".into(),
        reply_to: None,
        create_at_ms: None,
        precedence: Precedence::Routine,
        to: Vec::new(),
    };
    admin.ask::<Written>(&post).expect("a member that may post");
    Instant::now()
}

/// When both others have a post more than they wrote.
fn await_read(site: &Site) -> Instant {
    for node in &site.nodes()[..2] {
        let mut admin = connect(node);
        eventually("the newcomer's post", PATIENCE, || {
            let request = Request::Read {
                channel: CHANNEL.into(),
                limit: 1,
            };
            let last = admin.ask_all::<PostInfo>(&request).ok()?.pop()?;
            (last.message.as_deref() == Some("hello")).then_some(())
        });
    }
    Instant::now()
}
