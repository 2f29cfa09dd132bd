//! What is no frame, and frames that lie.

use comity_protocol::id::{ChannelId, EventId, Hash, LaneId, WriterId};
use comity_protocol::lane::control_lane;
use comity_protocol::limits;
use comity_protocol::replica::{Notice, StreamClass};
use comity_protocol::wire::{
    AskKeys, Events, Frame, Have, HaveLane, Head, Heads, Hello, LogStart, Packer, RangeEnd,
    Refused, Want,
};
use comity_simulation::{Chance, events_frames};

use crate::stage::{ALPHA, BRAVO, HONEST, MALLORY, Stage};

const CLASSES: [StreamClass; 6] = [
    StreamClass::Control,
    StreamClass::Flash,
    StreamClass::Immediate,
    StreamClass::Priority,
    StreamClass::Routine,
    StreamClass::Backfill,
];

#[test]
fn garbage_truncated_oversized_and_non_canonical_frames_cost_the_link_and_no_more() {
    let mut stage = Stage::new(1, 1);
    let good = good_frames(&mut stage);
    let mut bad: Vec<Vec<u8>> = vec![vec![], vec![0], vec![255; 3], vec![6; 100_000]];
    bad.push(vec![0xdd; limits::FRAME_BYTES + 1]);
    bad.push([&[6, 0x91, 0xdd], &[0xff; 4][..]].concat());
    let mut chance = Chance::new(2);
    bad.extend((0..50).map(|_| chance.bytes("garbage").to_vec()));
    for frame in &good {
        let cut = 1 + chance.below("cut", frame.len() as u64 - 1) as usize;
        bad.push(frame[..cut].to_vec());
        bad.push([&frame[..], &[0xc0]].concat());
        // The same meaning in a longer form: an array of 16 bits' length.
        let longer = [&frame[..1], &[0xdc, 0, frame[1] & 15], &frame[2..]].concat();
        bad.push(longer);
    }
    for (number, bytes) in bad.into_iter().enumerate() {
        let class = CLASSES[number % CLASSES.len()];
        for to in HONEST {
            stage.tell(MALLORY, to, class, bytes.clone());
        }
        stage.world.run_for(100);
        if number % 40 == 0 {
            stage.exchange("garbage");
        }
    }
    stage.exchange("all garbage");
    for at in HONEST {
        assert!(stage.accused(at, MALLORY, "a malformed frame"));
    }
}

/// One frame of every type, each of which would be taken.
fn good_frames(stage: &mut Stage) -> Vec<Vec<u8>> {
    let (channel, lane) = (stage.channel, control_lane(stage.channel));
    let writer = stage.pen(MALLORY).writer;
    let post = stage.pen(MALLORY).post("a good one");
    let frames = [
        Frame::Hello(Hello {
            version: 1,
            partner: stage.id(MALLORY),
        }),
        Frame::Have(Have {
            lanes: vec![HaveLane {
                channel,
                lane,
                digest: Hash([1; 32]),
            }],
        }),
        Frame::Want(Want {
            channel,
            lane,
            writer,
            from: 1,
            to: 9,
        }),
        Frame::AskKeys(AskKeys {
            channel,
            lane,
            key_events: vec![EventId([1; 32])],
        }),
    ];
    let mut bytes: Vec<Vec<u8>> = frames.iter().map(Frame::to_bytes).collect();
    bytes.extend(events_frames(&post));
    bytes
}

#[test]
fn packed_events_that_do_not_unpack_cost_the_link_and_no_more() {
    let mut stage = Stage::new(3, 1);
    let post = stage
        .pen(MALLORY)
        .post("packed badly")
        .pop()
        .expect("a post");
    let packed = || Packer::default().pack(&post);
    let mut unopened = packed();
    unopened.start = None;
    unopened.log = 17;
    let mut far = packed();
    far.log = u32::MAX;
    let mut without_prev = packed();
    without_prev.start = packed().start.map(|start| LogStart {
        prev: None,
        ..start
    });
    let mut at_zero = packed();
    at_zero.start = packed().start.map(|start| LogStart { seq: 0, ..start });
    let mut at_the_end = packed();
    let seq = u64::MAX;
    at_the_end.start = packed().start.map(|start| LogStart { seq, ..start });
    let mut other_kind = packed();
    other_kind.kind = 99;
    for (number, packed) in [unopened, far, without_prev, at_zero, at_the_end, other_kind]
        .into_iter()
        .enumerate()
    {
        // Another of the same log after it: what follows the last position there is.
        let mut next = packed.clone();
        next.start = None;
        let events = vec![packed, next];
        let bytes = Frame::Events(Events { events }).to_bytes();
        for to in HONEST {
            stage.tell(MALLORY, to, CLASSES[number], bytes.clone());
        }
        stage.exchange("events that do not unpack");
    }
    assert!(stage.accused(ALPHA, MALLORY, ""));
}

#[test]
fn a_partner_that_names_itself_another_is_hung_up_on() {
    let mut stage = Stage::new(4, 1);
    let partner = stage.id(BRAVO);
    stage.frame(
        MALLORY,
        ALPHA,
        &Frame::Hello(Hello {
            version: 1,
            partner,
        }),
    );
    stage.exchange("a false name");
    assert!(stage.accused(ALPHA, MALLORY, "names itself another"));
}

/// More than is there, of logs that are there and of others, ranges that end in nothing, lanes
/// refused and taken up again: what it says of itself moves nobody else's exchange.
#[test]
fn heads_and_range_ends_that_lie_delay_nobody_else() {
    let mut stage = Stage::new(5, 1);
    let mut chance = Chance::new(6);
    for round in 0..40 {
        for to in HONEST {
            lie_about_heads(&mut stage, &mut chance, to);
        }
        stage.world.run_for(200);
        for to in HONEST {
            answer_wants_with_nothing(&mut stage, to, round % 3 == 0);
        }
        stage.world.run_for(300);
        if round % 10 == 0 {
            stage.exchange("lying heads");
        }
    }
    stage.exchange("lying heads");
}

fn lie_about_heads(stage: &mut Stage, chance: &mut Chance, to: usize) {
    let channel = stage.channel;
    let pen = stage.pen(MALLORY);
    let lanes: Vec<LaneId> = pen.channel.lanes().map(|(lane, _)| *lane).collect();
    for lane in lanes {
        let known = pen.channel.graph().logs_of(lane);
        let mut writers: Vec<WriterId> = known.map(|(writer, _)| writer).collect();
        writers.extend((0..50).map(|_| WriterId(chance.bytes("writer"))));
        let mut logs: Vec<Head> = writers
            .into_iter()
            .flat_map(|writer| [2, 5_000, u64::MAX].map(|seq| (writer, seq)))
            .map(|(writer, seq)| Head {
                writer,
                seq,
                id: EventId(chance.bytes("id")),
            })
            .collect();
        logs.sort_unstable();
        let heads = Heads {
            channel,
            lane,
            all: true,
            logs,
        };
        stage.frame(MALLORY, to, &Frame::Heads(heads));
    }
}

/// Every range that was asked of the liar ends at once, beyond all measure or refused.
fn answer_wants_with_nothing(stage: &mut Stage, to: usize, refuse: bool) {
    let wants: Vec<Want> = stage
        .world
        .heard()
        .iter()
        .rev()
        .take(200)
        .filter(|frame| frame.from == to)
        .filter_map(|frame| match Frame::from_bytes(&frame.bytes) {
            Ok(Frame::Want(want)) => Some(want),
            _ => None,
        })
        .collect();
    for want in wants {
        let Want {
            channel,
            lane,
            writer,
            ..
        } = want;
        let answer = if refuse {
            let reason = 1;
            Frame::Refused(Refused {
                channel,
                lane,
                reason,
            })
        } else {
            let to = u64::MAX;
            Frame::RangeEnd(RangeEnd {
                channel,
                lane,
                writer,
                to,
            })
        };
        stage.tell(MALLORY, to, StreamClass::Backfill, answer.to_bytes());
    }
}

/// Channels without number that nobody else knows of: told of, refused again, forgotten.
#[test]
fn channels_that_are_told_of_and_refused_leave_nothing_behind() {
    let mut stage = Stage::new(7, 1);
    let mut chance = Chance::new(8);
    let before = stage.replica(ALPHA).sync_entries();
    for round in 0..50 {
        for _ in 0..40 {
            let channel = ChannelId(chance.bytes("channel"));
            let lane = control_lane(channel);
            let logs = vec![Head {
                writer: WriterId(chance.bytes("writer")),
                seq: 9,
                id: EventId(chance.bytes("id")),
            }];
            let heads = Heads {
                channel,
                lane,
                all: true,
                logs,
            };
            stage.frame(MALLORY, ALPHA, &Frame::Heads(heads));
            stage.world.run_for(1);
        }
        stage.world.run_for(200);
        answer_wants_with_nothing(&mut stage, ALPHA, true);
        if round % 10 == 0 {
            stage.exchange("channels without number");
        }
    }
    stage.world.run_for(1_000);
    stage.world.cut(MALLORY, ALPHA);
    stage.exchange("channels without number");
    let after = stage.replica(ALPHA).sync_entries();
    println!("entries of the sync tables: {before} before, {after} after");
    // What is gone with the link may be told of again on the next; what stays is of the honest.
    assert!(after < before + 200, "{before} entries grew to {after}");
    assert!(!stage.noticed(ALPHA, |notice| matches!(notice, Notice::Fork { .. })));
}
