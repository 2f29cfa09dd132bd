//! Taking in and verifying a stream of events in this process, against the bare verification of
//! the same signatures.
//!
//! A replica's own posts are prepared as the frames that it sends. Another replica is then fed
//! with them, as the driver of a node does it, except that signatures are verified in place. In
//! turns with that, so that both meet the machine in the same mood, the same signatures are
//! verified with nothing around.

use comity_crypto::{SigningKey, StorageKey};
use comity_node::store::Store;
use comity_protocol::event::{Precedence, TAG_EVENT_SIGNATURE, UserName};
use comity_protocol::id::{ChannelId, PartnerId};
use comity_protocol::keys::Entropy;
use comity_protocol::replica::{Command, Draft, Input, Output, Replica, StreamClass, VerifyItem};
use comity_protocol::rows::Row as StoreRow;
use comity_protocol::time::{Instant, Now, WallTime};
use comity_simulation::{Chance, World};
use comity_tests::say;

use crate::channel::body;
use crate::meter::{own_cpu_seconds, thread_cpu_seconds};
use crate::report::{Report, Row};

/// Frames between two synced writes, and between two turns: what gathers in a busy node.
const GROUP: usize = 256;
/// Verifications for the floor: a tenth of a second.
const FLOOR_TIMES: u32 = 2_500;
/// Later than everything that the simulation did to found the channel.
const BEGIN_MS: u64 = 3_600_000;
const WALL_MS: u64 = 1_700_010_000_000;
/// Founds the same channel every time.
const SEED: u64 = 1;

const VERIFY: &str = "processor time of one thread in verify_strict over the signatures of the \
    very events taken in, in turns with the taking in, group by group";
const MACHINE: &str = "processor time of the one thread that unpacks, verifies and accepts the \
    frames of another replica; rows are made and dropped";
const STORED: &str = "the same with every group of 256 frames written to the store and synced; \
    processor time of all threads of the process, RocksDB's included";

/// Processor time of one bare `verify_strict` at this moment, in seconds.
pub fn floor() -> f64 {
    let signing = SigningKey::from_seed(&[7; 32]);
    let key = signing.public();
    let signature = signing.sign(TAG_EVENT_SIGNATURE, &[7; 32]);
    let begun = thread_cpu_seconds();
    for _ in 0..FLOOR_TIMES {
        let verdict = key.verify(TAG_EVENT_SIGNATURE, &[7; 32], &signature);
        assert!(verdict.is_ok());
    }
    (thread_cpu_seconds() - begun) / f64::from(FLOOR_TIMES)
}

pub fn measure(report: &mut Report, events: u32) {
    let run = format!("ingest, {events} events, one core");
    say(&run);
    let machine = ingest(events, None);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path(), StorageKey::from_bytes([7; 32])).expect("a new store");
    let stored = ingest(events, Some(&store));

    let rate = |seconds: f64| f64::from(events) / seconds;
    let floor = "verify_strict in this run";
    report.add(Row::new(
        &run,
        "verify_strict",
        rate(machine.verify),
        "/s",
        VERIFY,
    ));
    let row = Row::new(
        &run,
        "ingest and verify",
        rate(machine.ingest),
        "/s",
        MACHINE,
    );
    report.add(row.against(floor, rate(machine.verify)));
    let row = Row::new(
        &run,
        "ingest, verify, store",
        rate(stored.ingest),
        "/s",
        STORED,
    );
    report.add(
        row.against(floor, rate(stored.verify))
            .against("aim: of verify_strict", 0.6 * rate(stored.verify)),
    );
}

/// Processor time, in seconds.
#[derive(Default)]
struct Times {
    ingest: f64,
    verify: f64,
}

fn ingest(events: u32, store: Option<&Store>) -> Times {
    let mut stream = Stream::prepare(events);
    let clock = match store {
        Some(_) => own_cpu_seconds,
        None => thread_cpu_seconds,
    };
    let mut times = Times::default();
    for group in stream.frames.chunks(GROUP) {
        let begun = clock();
        let mut taken = Taken::default();
        for (class, bytes) in group {
            let input = Input::Received {
                peer: stream.from,
                class: *class,
                bytes: bytes.clone(),
            };
            feed(&mut stream.reader, input, &mut taken);
        }
        if let Some(store) = store {
            store.write(&taken.rows).expect("a store that takes rows");
        }
        let ingested = clock();
        for item in &taken.items {
            verify(item);
        }
        times.ingest += ingested - begun;
        times.verify += clock() - ingested;
    }
    let posts = stream.reader.channels()[&stream.channel].posts();
    assert_eq!(posts, u64::from(events), "every post was accepted");
    times
}

/// What the reader wished for.
#[derive(Default)]
struct Taken {
    rows: Vec<StoreRow>,
    items: Vec<VerifyItem>,
}

fn feed(reader: &mut Replica, input: Input, taken: &mut Taken) {
    reader.handle(input, now(0));
    while let Some(output) = reader.poll() {
        match output {
            Output::Append { rows } => taken.rows.extend(rows),
            Output::Verify { batch, items, .. } => {
                let valid = items.iter().map(verify).collect();
                taken.items.extend(items);
                reader.handle(Input::Verified { batch, valid }, now(0));
            }
            _ => {}
        }
    }
}

fn verify(item: &VerifyItem) -> bool {
    let verdict = item
        .key
        .verify(TAG_EVENT_SIGNATURE, &item.id.0, &item.signature.0);
    verdict.is_ok()
}

/// A reader, and what a writer sends it.
struct Stream {
    reader: Replica,
    channel: ChannelId,
    from: PartnerId,
    frames: Vec<(StreamClass, Vec<u8>)>,
}

impl Stream {
    fn prepare(events: u32) -> Stream {
        let mut world = World::new(SEED, &["alpha", "bravo"]);
        world.connect_all();
        let channel = world.shared_channel("harbour");
        world.run_for(60_000);
        let [alpha, bravo] = &mut world.partners[..] else {
            unreachable!("two partners were named");
        };
        let (from, to) = (alpha.id, bravo.id);
        let mut writer = alpha.replica.take().expect("a partner that runs");
        let reader = bravo.replica.take().expect("a partner that runs");
        let mut chance = Chance::new(SEED);
        let mut frames = Vec::new();
        for number in 0..events {
            let entropy = Entropy::new(chance.bytes("post"));
            let input = Input::Command {
                ticket: number.into(),
                command: Box::new(post(channel, number)),
                entropy,
            };
            writer.handle(input, now(number));
            while let Some(output) = writer.poll() {
                match output {
                    Output::Send { peer, class, bytes } if peer == to => {
                        frames.push((class, bytes))
                    }
                    Output::Done { result, .. } => {
                        result.expect("a member may post");
                    }
                    _ => {}
                }
            }
        }
        Stream {
            reader,
            channel,
            from,
            frames,
        }
    }
}

fn post(channel: ChannelId, number: u32) -> Command {
    Command::Post {
        channel,
        draft: Draft {
            user: UserName::try_from("amal".to_string()).expect("a legal name"),
            claimed_ms: now(number).wall.0,
            precedence: Precedence::Routine,
            audience: None,
            label: None,
        },
        text: body(number),
        reply_to: None,
        rows: Vec::new(),
    }
}

/// Ten posts a millisecond.
fn now(number: u32) -> Now {
    let ms = u64::from(number) / 10;
    Now {
        instant: Instant(BEGIN_MS + ms),
        wall: WallTime(WALL_MS + ms),
    }
}
