//! A partner with approved pacts, a member of the channel, whose keys are in hostile hands.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use comity_node::api::{Request, Written};
use comity_node::transport::Class;
use comity_protocol::id::{EventId, Hash, LaneId, WriterId};
use comity_protocol::lane::control_lane;
use comity_protocol::wire::{AskHeads, Frame, Have, HaveLane, Head, Heads, Want};
use comity_tests::admin::Admin;
use comity_tests::intruder::Intruder;
use comity_tests::{Dice, PATIENCE, Site, eventually, say, store};

const POSTS: u64 = 2_000;
/// A node at rest has 30 to 50 MiB. Of a hostile peer it may hold 16 MiB parked, 16 MiB queued,
/// 8 MiB in flight and tables of 65,536 entries each, some 50 MiB; the same again for allocation
/// that is not given back.
const MEMORY_MAX: u64 = 320 << 20;
/// What an attack may add on disk: its incidents are put on record once in a while, and what it
/// sent that is no event is not stored. RocksDB writes its log ahead in files of 64 MiB.
const DISK_MAX: u64 = 96 << 20;

#[test]
fn floods_and_slow_reads_leave_the_honest_link_up_and_its_posts_coming() {
    let mut dice = Dice::of("floods");
    let mut site = Site::sharing("harbour", &["alpha", "bravo", "mallory"]);
    let calm = exchange(&site, "calm");
    assert!(site["mallory"].stop().success());
    let dir = site["mallory"].dir.clone();
    let before = disk(&site["alpha"].dir);
    let mut intruder = Intruder::at(&dir);
    intruder.await_links();
    let frames = flood(&intruder, &mut dice);
    let over = AtomicBool::new(false);
    let attacked = std::thread::scope(|scope| {
        let ended = EndOnDrop(&over);
        // It sends all it can, and reads nothing of what it is sent.
        let sent = scope.spawn(|| {
            let mut sent = 0u64;
            while !over.load(Ordering::Relaxed) {
                let mut queued = false;
                for peer in intruder.peers() {
                    for frame in &frames {
                        let taken = intruder.send(peer, Class::Control, frame.clone());
                        queued |= taken;
                        sent += u64::from(taken);
                    }
                }
                if !queued {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            sent
        });
        let attacked = exchange(&site, "under attack");
        drop(ended);
        say(&format!(
            "{} frames were queued",
            sent.join().expect("the flood")
        ));
        attacked
    });
    say(&format!(
        "{POSTS} posts: {calm:.2?} in calm, {attacked:.2?} under attack: {:.2} times as long",
        attacked.as_secs_f64() / calm.as_secs_f64()
    ));
    is_bounded(&site, before);
    assert!(site["alpha"].peer("bravo").connected);
    site.converge(&["alpha", "bravo"]);
    drop(intruder);
    for victim in ["alpha", "bravo"] {
        assert!(site[victim].stop().success());
        let records = store::audit(&site[victim].dir);
        let told = records
            .iter()
            .find(|record| record.action == "working_time");
        let told = told.unwrap_or_else(|| panic!("{victim} put nothing on record"));
        say(&format!("{victim}: {}", told.text));
    }
}

#[test]
fn garbage_and_lies_are_put_on_record_and_the_honest_link_stays_up() {
    let mut dice = Dice::of("garbage of a peer");
    let mut site = Site::sharing("harbour", &["alpha", "bravo", "mallory"]);
    assert!(site["mallory"].stop().success());
    let dir = site["mallory"].dir.clone();
    let before = disk(&site["alpha"].dir);
    let mut intruder = Intruder::at(&dir);
    intruder.await_links();
    let bytes = dice.bytes(100_000);
    for peer in intruder.peers() {
        assert!(intruder.send(peer, Class::Routine, bytes.clone()));
    }
    eventually("both hang up", PATIENCE, || {
        let linked = |at: &str| site[at].peer("mallory").connected;
        (!linked("alpha") && !linked("bravo")).then_some(())
    });
    let post = site["bravo"].post("harbour", "boris", "Still there?");
    eventually("the post arrives", PATIENCE, || {
        site["alpha"].find("harbour", &post.id)
    });
    is_bounded(&site, before);
    assert!(site["alpha"].peer("bravo").connected);
    site.converge(&["alpha", "bravo"]);
    drop(intruder);
    for victim in ["alpha", "bravo"] {
        assert!(site[victim].stop().success());
        let records = store::audit(&site[victim].dir);
        let found = records
            .iter()
            .find(|record| record.action == "peer_misbehaved");
        let found = found.unwrap_or_else(|| panic!("{victim} put nothing on record"));
        say(&format!("{victim}: {}", found.text));
        assert!(found.text.contains("malformed frame"), "{}", found.text);
    }
}

/// Sets the flag also where the test fails: the flood must end.
struct EndOnDrop<'a>(&'a AtomicBool);

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Alpha posts, one at a time; how long until bravo has all.
fn exchange(site: &Site, when: &str) -> Duration {
    let before = site["bravo"].digests().posts;
    let mut admin = Admin::connect(&site["alpha"].dir).expect("a running node");
    let begun = Instant::now();
    for number in 0..POSTS {
        let post = Request::Post {
            channel: "harbour".into(),
            user: "anna".into(),
            message: format!("{when}: {number}"),
            reply_to: None,
            create_at_ms: None,
            precedence: Default::default(),
            to: Vec::new(),
        };
        admin.ask::<Written>(&post).expect("the post is stored");
    }
    eventually("bravo has all posts", PATIENCE, || {
        (site["bravo"].digests().posts >= before + POSTS).then_some(())
    });
    begun.elapsed()
}

/// Frames that break no rule and cost something: lanes and logs that are not there, questions for
/// heads, ranges to be read from disk.
fn flood(intruder: &Intruder, dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut hash = || <[u8; 32]>::try_from(dice.bytes(32)).expect("32 bytes");
    let mut frames = Vec::new();
    for channel in &intruder.channels {
        let (channel, lane) = (*channel, control_lane(*channel));
        frames.push(Frame::AskHeads(AskHeads { channel, lane }));
        for _ in 0..20 {
            let mut logs: Vec<Head> = (0..1_000)
                .map(|seq| Head {
                    writer: WriterId(hash()),
                    seq,
                    id: EventId(hash()),
                })
                .collect();
            logs.sort_unstable();
            let all = false;
            frames.push(Frame::Heads(Heads {
                channel,
                lane,
                all,
                logs,
            }));
            let writer = WriterId(hash());
            let (from, to) = (1, u64::MAX);
            frames.push(Frame::Want(Want {
                channel,
                lane,
                writer,
                from,
                to,
            }));
        }
        let mut lanes: Vec<HaveLane> = (0..1_000)
            .map(|_| HaveLane {
                channel,
                lane: LaneId(hash()),
                digest: Hash(hash()),
            })
            .collect();
        lanes.sort_by_key(|lane| lane.lane);
        frames.push(Frame::Have(Have { lanes }));
    }
    assert!(frames.len() > 40, "it held a channel");
    frames.iter().map(Frame::to_bytes).collect()
}

fn is_bounded(site: &Site, before: u64) {
    for victim in ["alpha", "bravo"] {
        let peak = site[victim].peak_memory();
        say(&format!(
            "{victim}: {} MiB resident at the peak",
            peak >> 20
        ));
        assert!(peak < MEMORY_MAX, "{victim}: {peak} bytes resident");
    }
    let grown = disk(&site["alpha"].dir).saturating_sub(before);
    say(&format!("alpha's directory grew by {} KiB", grown >> 10));
    assert!(grown < DISK_MAX, "{grown} bytes more on disk");
}

/// Bytes of all files in a directory.
fn disk(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let size = |path: &Path| match path.is_dir() {
        true => disk(path),
        false => path.metadata().map_or(0, |found| found.len()),
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}
