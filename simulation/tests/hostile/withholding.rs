//! Pasts that never come, events that are not given, ranges that trickle, readers that do not read.

use comity_protocol::event::{Event, Reference};
use comity_protocol::id::EventId;
use comity_protocol::limits;
use comity_protocol::replica::{Notice, StreamClass};
use comity_protocol::wire::{Frame, Head, Heads, RangeEnd, Want};
use comity_simulation::{Chance, Pen, text_body};

use crate::stage::{ALPHA, BRAVO, CHARLIE, HONEST, MALLORY, Stage};

/// A post of the liar's with a past that nobody will ever bring.
fn orphan(pen: &mut Pen, chance: &mut Chance) -> Event {
    let post = pen
        .post("who knows what came before")
        .pop()
        .expect("a post");
    let mut header = post.header.clone();
    header.prev = Some(EventId(chance.bytes("prev")));
    header.deps = (0..limits::DEPS)
        .map(|_| Reference {
            lane: None,
            writer: pen.writer,
            seq: 1 + chance.below("seq", 1 << 40),
            id: EventId(chance.bytes("dep")),
        })
        .collect();
    Reference::sort(&mut header.deps);
    let epoch = header.key_event.expect("a sealed event");
    pen.seal(header, &text_body(&"x".repeat(50_000)), pen.secret(&epoch))
}

#[test]
fn missing_parents_without_end_stay_within_the_liars_share() {
    let mut stage = Stage::new(21, 1);
    let mut pen = stage.pen(MALLORY);
    let mut chance = Chance::new(22);
    let mut peak = 0;
    for round in 0..20 {
        let orphans: Vec<Event> = (0..25).map(|_| orphan(&mut pen, &mut chance)).collect();
        stage.bring_all(MALLORY, &orphans);
        for at in HONEST {
            peak = peak.max(stage.held(at).parked().1);
        }
        if round % 5 == 0 {
            stage.exchange("orphans");
        }
    }
    println!("parked at the most: {peak} bytes of one peer");
    assert!(
        peak > limits::PARKED_BYTES_PER_PEER / 2,
        "the flood was a flood: {peak}"
    );
    assert!(peak <= limits::PARKED_BYTES_PER_PEER, "{peak}");
    stage.exchange("orphans without end");
}

/// Each event cites the next, which is not brought: every one that comes asks for one more.
#[test]
fn a_chain_that_is_brought_from_its_end_costs_the_liar_its_own_quota_and_nobody_a_stall() {
    let mut stage = Stage::new(23, 1);
    let mut pen = stage.pen(MALLORY);
    let mut chain: Vec<Event> = (0..3_000)
        .flat_map(|at| pen.post(&format!("link {at}")))
        .collect();
    chain.reverse();
    let first = chain.pop().expect("a chain");
    let began = std::time::Instant::now();
    for part in chain.chunks(200) {
        for to in HONEST {
            stage.bring(MALLORY, to, part);
        }
        stage.world.run_for(100);
    }
    stage.exchange("a chain without its beginning");
    assert!(stage.held(ALPHA).parked().0 > 1_000);
    stage.bring_all(MALLORY, &[first]);
    stage.exchange("a chain brought backwards");
    println!("3,000 links backwards to three took {:?}", began.elapsed());
    for at in HONEST {
        assert_eq!(stage.held(at).parked().0, 0);
    }
}

#[test]
fn an_event_withheld_from_all_but_one_reaches_the_others_through_whoever_cites_it() {
    let mut stage = Stage::new(24, 1);
    let mut pen = stage.pen(MALLORY);
    let posts = pen.post("for alpha's ears");
    stage.bring(MALLORY, ALPHA, &posts);
    stage.world.run_for(50);
    let secret = posts.last().expect("a post").id;
    assert!(stage.holds(ALPHA, &secret));
    // To the others it says that it has no such thing, and that it has far more.
    let answer = stage.say(ALPHA, "what do you mean?");
    for round in 0..20 {
        for to in [BRAVO, CHARLIE] {
            let first = &posts[0].header;
            let head = Head {
                writer: first.writer,
                seq: u64::MAX,
                id: EventId([9; 32]),
            };
            let heads = Heads {
                channel: first.channel,
                lane: first.lane,
                all: true,
                logs: vec![head],
            };
            stage.frame(MALLORY, to, &Frame::Heads(heads));
        }
        stage.world.run_for(500);
        end_all_ranges(&mut stage, round);
    }
    stage.exchange("a withheld event");
    for at in HONEST {
        assert!(stage.holds(at, &secret) && stage.holds(at, &answer), "{at}");
    }
}

fn end_all_ranges(stage: &mut Stage, upto: u64) {
    let heard = stage.world.heard().to_vec();
    for frame in heard.iter().rev().take(50) {
        let Ok(Frame::Want(want)) = Frame::from_bytes(&frame.bytes) else {
            continue;
        };
        let Want {
            channel,
            lane,
            writer,
            ..
        } = want;
        let end = RangeEnd {
            channel,
            lane,
            writer,
            to: upto,
        };
        let bytes = Frame::RangeEnd(end).to_bytes();
        stage.tell(MALLORY, frame.from, StreamClass::Backfill, bytes);
    }
}

/// Bravo lacks much of what alpha wrote and is not linked to it. The liar says that it has it all,
/// and brings an event every four seconds: charlie, which has it too, is asked before long.
#[test]
fn a_relay_that_trickles_does_not_keep_a_range_to_itself() {
    let mut stage = Stage::new(25, 1);
    stage.world.cut(ALPHA, BRAVO);
    stage.world.cut(BRAVO, CHARLIE);
    let before = stage.held(ALPHA).posts();
    for number in 0..500 {
        stage
            .world
            .post(ALPHA, stage.channel, &format!("alpha {number}"));
    }
    stage.world.run_for(5_000);
    let writer = stage.replica(ALPHA).writer();
    let pen = stage.pen(MALLORY);
    let lane = pen.open_lane();
    let mut events: Vec<Event> = stage.world.partners[ALPHA].disk.events().collect();
    events.retain(|event| event.header.writer == writer && event.header.lane == lane);
    events.sort_by_key(|event| event.header.seq);
    let from = stage.held(BRAVO).graph().height(lane, writer);
    let heads = Heads {
        channel: stage.channel,
        lane,
        all: true,
        logs: vec![Head {
            writer,
            seq: events.len() as u64,
            id: events[events.len() - 1].id,
        }],
    };
    let shown = shown_lane(&stage, lane);
    stage.frame(MALLORY, BRAVO, &shown);
    stage.frame(MALLORY, BRAVO, &Frame::Heads(heads));
    stage.world.run_for(2_000);
    stage.world.connect(BRAVO, CHARLIE);
    let began = stage.world.now_ms();
    for event in events.iter().skip(from as usize) {
        for bytes in comity_simulation::events_frames(std::slice::from_ref(event)) {
            stage.tell(MALLORY, BRAVO, StreamClass::Backfill, bytes);
        }
        stage.world.run_for(4_000);
        if stage.held(BRAVO).posts() >= before + 500 {
            break;
        }
        let waited = stage.world.now_ms() - began;
        assert!(
            waited < 90_000,
            "bravo still waits for the liar after {waited} ms"
        );
    }
    println!("caught up after {} ms", stage.world.now_ms() - began);
    stage.exchange("a trickle");
}

fn shown_lane(stage: &Stage, lane: comity_protocol::id::LaneId) -> Frame {
    let held = stage
        .held(BRAVO)
        .lane(&lane)
        .expect("the open lane")
        .clone();
    Frame::Lane(comity_protocol::wire::ShowLane {
        channel: stage.channel,
        form: held.form.number(),
        audience: held.audience.iter().copied().collect(),
    })
}

/// It never reads what it is sent: its queue fills at each honest end, and stays full.
#[test]
fn a_peer_that_does_not_read_slows_nobody_else() {
    let mut stage = Stage::new(26, 1);
    for to in HONEST {
        stage.world.overflow(to, MALLORY, 600_000);
    }
    for round in 0..10 {
        for number in 0..100 {
            stage
                .world
                .post(round % 3, stage.channel, &format!("{round}: {number}"));
        }
        stage.world.run_for(1_000);
        stage.exchange("a peer that does not read");
    }
    let heard = stage.world.heard().len();
    println!("{heard} frames reached the peer that does not read");
    assert!(!stage.noticed(ALPHA, |notice| matches!(notice, Notice::Misbehaved { .. })));
}
