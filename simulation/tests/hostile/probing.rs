//! Whoever is excluded from a lane and can guess its id learns nothing by asking: what it is sent
//! is the same, byte for byte, whether the lane is there or not.

use comity_protocol::event::Reference;
use comity_protocol::id::{EventId, Hash, LaneId};
use comity_protocol::lane::{LaneForm, lane_id};
use comity_protocol::wire::{
    AskHeads, AskKeys, Frame, Have, HaveLane, Head, Heads, RangeEnd, Refused, ShowLane, Want,
};
use comity_simulation::{SentFrame, World, text_body};

use crate::stage::{ALPHA, BRAVO, HONEST, MALLORY, Stage};

#[test]
fn an_excluded_partner_that_guesses_a_lane_is_sent_the_same_bytes_whether_it_is_there_or_not() {
    let with = probed(true);
    let without = probed(false);
    let (one, other) = (with.sent_to_liar(), without.sent_to_liar());
    assert!(one.len() > 40, "{} frames", one.len());
    let differ = one.iter().zip(&other).position(|(one, other)| one != other);
    let tell = |frame: &SentFrame| {
        let what = Frame::from_bytes(&frame.bytes);
        format!("at {} ms from {}: {what:?}", frame.at_ms, frame.from)
    };
    assert_eq!(differ.map(|at| (tell(one[at]), tell(other[at]))), None);
    assert_eq!(one.len(), other.len());
}

struct Probed(Stage);

impl Probed {
    fn sent_to_liar(&self) -> Vec<&SentFrame> {
        let sent = self.0.world.sent().iter();
        sent.filter(|frame| frame.to == MALLORY).collect()
    }
}

fn probed(there: bool) -> Probed {
    let names = ["alpha", "bravo", "charlie", "mallory"];
    let mut stage = Stage::on(World::even(41, &names));
    let insiders = stage.ids(&[ALPHA, BRAVO]);
    let lane = lane_id(stage.channel, LaneForm::Directed, &insiders);
    if there {
        for round in 0..3 {
            stage.say_to(round % 2, "between us", Some(insiders.clone()));
        }
        stage.world.run_for(2_000);
        let begun = |at| stage.held(at).lane(&lane).is_some();
        assert!(begun(ALPHA) && begun(BRAVO));
    }
    // Both runs come to the same time.
    let now = stage.world.now_ms();
    assert!(now < 60_000, "{now}");
    stage.world.run_for(60_000 - now);
    for to in HONEST {
        probe(&mut stage, to, lane);
    }
    stage.world.run_for(40_000);
    Probed(stage)
}

/// Every question there is, and every lie that could make the other ask back.
fn probe(stage: &mut Stage, to: usize, lane: LaneId) {
    let channel = stage.channel;
    let alpha = stage.replica(ALPHA).writer();
    let audience: Vec<_> = stage.ids(&[ALPHA, BRAVO]).into_iter().collect();
    let head = |seq| Head {
        writer: alpha,
        seq,
        id: EventId([5; 32]),
    };
    let key_events = vec![EventId([5; 32])];
    let frames = [
        Frame::AskHeads(AskHeads { channel, lane }),
        Frame::Have(Have {
            lanes: vec![HaveLane {
                channel,
                lane,
                digest: Hash([1; 32]),
            }],
        }),
        Frame::Lane(ShowLane {
            channel,
            form: LaneForm::Directed.number(),
            audience,
        }),
        Frame::Heads(Heads {
            channel,
            lane,
            all: true,
            logs: vec![head(1), head(2), head(900)],
        }),
        Frame::Want(Want {
            channel,
            lane,
            writer: alpha,
            from: 1,
            to: 9,
        }),
        Frame::AskKeys(AskKeys {
            channel,
            lane,
            key_events,
        }),
        Frame::RangeEnd(RangeEnd {
            channel,
            lane,
            writer: alpha,
            to: 9,
        }),
        Frame::Refused(Refused {
            channel,
            lane,
            reason: 1,
        }),
    ];
    // Twice: after the lane was shown too.
    for frame in frames.iter().chain(&frames) {
        stage.frame(MALLORY, to, frame);
        stage.world.run_for(400);
    }
    cite(stage, to, lane);
}

/// Events that cite the lane, stand in it, and name it: the answer could tell.
fn cite(stage: &mut Stage, to: usize, lane: LaneId) {
    let writer = stage.replica(ALPHA).writer();
    let dep = Reference {
        lane: Some(lane),
        writer,
        seq: 1,
        id: EventId([5; 32]),
    };
    let heads = stage.pen(MALLORY).control_heads();
    type Change<'a> = Box<dyn Fn(&mut comity_protocol::event::Header) + 'a>;
    let changes: [Change; 4] = [
        Box::new(|header| header.deps = vec![dep.clone()]),
        Box::new(|header| header.about = Some(dep.clone())),
        Box::new(|header| {
            (header.lane, header.seq, header.prev) = (lane, 1, None);
            header.deps.clear();
            header.control_heads = heads.clone();
        }),
        Box::new(|header| {
            (header.lane, header.seq, header.prev) = (lane, 2, Some(EventId([5; 32])));
            header.deps.clear();
        }),
    ];
    for change in changes {
        let forged = stage.forge_from(stage.pen(MALLORY), change, &text_body("who is there?"));
        stage.bring(MALLORY, to, &forged.before);
        stage.bring(MALLORY, to, std::slice::from_ref(&forged.event));
        stage.world.run_for(3_000);
    }
}
