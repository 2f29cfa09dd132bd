//! Several events for one position: different ones for different victims, many at once, cited by
//! an accomplice or by the victims themselves.

use comity_protocol::body::EmptyBody;
use comity_protocol::codec::encode;
use comity_protocol::event::{Event, Kind, Reference};
use comity_protocol::id::{EventId, WriterId};
use comity_protocol::limits;
use comity_protocol::replica::Notice;
use comity_simulation::{Pen, text_body};

use crate::stage::{ALPHA, BRAVO, CHARLIE, HONEST, MALLORY, Stage};

/// The second liar.
const OSCAR: usize = 4;

#[test]
fn another_story_for_each_victim_ends_as_the_same_stories_for_all() {
    let mut stage = Stage::new(51, 1);
    let mut told = Vec::new();
    for to in HONEST {
        let mut pen = stage.pen(MALLORY);
        pen.now_ms += 1 + to as u64;
        let story: Vec<Event> = (0..5)
            .flat_map(|at| pen.post(&format!("for {to}: {at}")))
            .collect();
        stage.bring(MALLORY, to, &story);
        stage.world.run_for(200);
        let last = story.last().expect("a story").id;
        assert!(stage.holds(to, &last));
        told.push(last);
    }
    // Each answers what it alone has heard: all hear all.
    stage.exchange("a story for each");
    for at in HONEST {
        assert!(told.iter().all(|story| stage.holds(at, story)), "{at}");
    }
    assert!(
        HONEST
            .into_iter()
            .any(|at| stage.noticed(at, |notice| { matches!(notice, Notice::Fork { .. }) }))
    );
}

/// Branches that nobody cites are nobody's concern, and take no room but the liar's share.
#[test]
fn branches_that_nobody_cites_are_parked_at_the_liars_expense() {
    let mut stage = Stage::new(52, 1);
    let base = stage.pen(MALLORY).post("the first branch");
    stage.bring_all(MALLORY, &base);
    let post = base.last().expect("a post").clone();
    let mut pen = stage.pen(MALLORY);
    let before = &base[..base.len() - 1];
    before.iter().for_each(|event| pen.learn(event.clone()));
    let mut peak = 0;
    for round in 0..10 {
        let branches: Vec<Event> = (0..60)
            .map(|at| branch(&pen, &post, round * 60 + at))
            .collect();
        stage.bring_all(MALLORY, &branches);
        peak = peak.max(stage.held(ALPHA).parked().1);
    }
    println!("{peak} bytes parked of 600 branches");
    assert!(peak <= limits::PARKED_BYTES_PER_PEER);
    assert_eq!(
        stage
            .held(BRAVO)
            .graph()
            .branches(post.header.lane, pen.writer)
            .len(),
        1
    );
    stage.exchange("600 branches");
}

/// Another event in the place of a post.
fn branch(pen: &Pen, post: &Event, number: u64) -> Event {
    let mut header = post.header.clone();
    header.claimed_ms += 1 + number;
    let epoch = header.key_event.expect("a sealed event");
    pen.seal(header, &text_body(&"b".repeat(40_000)), pen.secret(&epoch))
}

/// 200 branches in the control lane, and an accomplice that cites them all: 200 concurrent control
/// heads at every honest partner, all of which write at once.
#[test]
fn two_hundred_concurrent_control_heads_are_merged_by_all_who_write() {
    let mut stage = Stage::new(53, 2);
    let (branches, citing) = many_heads(&stage, 200);
    let began = std::time::Instant::now();
    for (number, part) in branches.chunks(50).enumerate() {
        stage.bring_all(MALLORY, part);
        assert!(number < 4);
    }
    stage.bring_all(OSCAR, &citing);
    stage.world.run_for(1_000);
    for at in HONEST {
        let held = stage.held(at);
        let heads = held
            .graph()
            .branches(held.control_lane, branches[0].header.writer)
            .len();
        assert!(heads >= 200, "{at} holds {heads} heads");
    }
    stage.exchange("200 control heads");
    stage.exchange("200 control heads, merged");
    println!("200 control heads at three took {:?}", began.elapsed());
    // And after a restart.
    stage.world.kill(CHARLIE);
    stage.world.start(CHARLIE);
    stage.world.connect_all();
    stage.exchange("200 control heads and a restart");
}

/// So many merges of mallory's for one position, and oscar's posts that cite them, 32 each.
fn many_heads(stage: &Stage, count: u64) -> (Vec<Event>, Vec<Event>) {
    let merge = stage.pen(MALLORY).act(Kind::Merge, encode(&EmptyBody {}));
    let merge = merge.last().expect("a merge").clone();
    let pen = stage.pen(MALLORY);
    let branches: Vec<Event> = (0..count)
        .map(|number| {
            let mut header = merge.header.clone();
            header.claimed_ms += number;
            pen.sign(header, merge.body.clone())
        })
        .collect();
    let mut citing = Vec::new();
    let mut pen = stage.pen(OSCAR);
    let posts: Vec<Event> = (0..count.div_ceil(32))
        .flat_map(|_| pen.post("all true"))
        .collect();
    let mut prev: Option<EventId> = None;
    let mut cited = branches.chunks(32);
    for post in posts {
        let mut header = post.header.clone();
        header.prev = prev.or(header.prev);
        let event = match header.kind() {
            Kind::Post => {
                header.control_heads = references(cited.next().unwrap_or_default());
                let epoch = header.key_event.expect("a sealed event");
                pen.seal(header, &text_body("all true"), pen.secret(&epoch))
            }
            _ => pen.sign(header, post.body.clone()),
        };
        prev = Some(event.id);
        citing.push(event);
    }
    (branches, citing)
}

fn references(events: &[Event]) -> Vec<Reference> {
    let mut references: Vec<Reference> = events
        .iter()
        .map(|event| Reference {
            lane: None,
            ..event.reference_from(event.header.lane)
        })
        .collect();
    Reference::sort(&mut references);
    references
}

/// A fork whose branches go only to those who do not cite them: the accomplice's citation alone
/// tells the others that there is one, and the liars serve neither.
#[test]
fn branches_that_an_accomplice_cites_and_nobody_serves_stop_nobody() {
    let mut stage = Stage::new(54, 2);
    let (branches, citing) = many_heads(&stage, 40);
    stage.bring(MALLORY, ALPHA, &branches[..20]);
    stage.bring(MALLORY, BRAVO, &branches[20..]);
    for to in HONEST {
        stage.bring(OSCAR, to, &citing);
    }
    stage.world.run_for(2_000);
    let height = |stage: &Stage, at: usize, writer: WriterId| {
        let held = stage.held(at);
        held.graph().branches(held.control_lane, writer).len()
    };
    stage.exchange("branches that nobody serves");
    // What one of the honest took, all take; what none could take waits.
    let mallory = branches[0].header.writer;
    let held: Vec<usize> = HONEST.map(|at| height(&stage, at, mallory)).collect();
    println!("branches held: {held:?}");
    assert!(stage.agree());
    for to in HONEST {
        stage.bring(MALLORY, to, &branches);
    }
    stage.exchange("the branches after all");
    let own: Vec<Event> = Pen::post(&mut stage.fresh_pen(OSCAR), "goes on");
    stage.bring_all(OSCAR, &own);
    stage.exchange("and on");
}
