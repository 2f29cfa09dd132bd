//! When what was said becomes final, with partners that are up, silent, removed, or started again.

use comity_protocol::authority::Status;
use comity_protocol::channel::Channel;
use comity_protocol::event::{Precedence, UserName};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, EventId};
use comity_protocol::replica::{Command, Draft};
use comity_simulation::World;

const NAMES: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
const DELTA: usize = 3;

#[test]
fn a_post_is_final_everywhere_within_seconds_and_then_nobody_writes() {
    let mut world = World::new(1, &NAMES[..3]);
    world.connect_all();
    let channel = world.shared_channel("harbour");
    let post = say(&mut world, 0, channel, "all are here");
    assert!(
        !is_final(&world, 0, channel, post),
        "nobody else has it yet"
    );

    let posted_at = world.now_ms();
    world.run_until("the post is final everywhere", 8_000, |world| {
        (0..3).all(|at| is_final(world, at, channel, post))
    });
    println!("final after {} ms", world.now_ms() - posted_at);

    world.run_for(10_000);
    let settled = events(&world, 0, channel);
    world.run_for(60_000);
    assert_eq!(
        events(&world, 0, channel),
        settled,
        "acks of nothing but acks"
    );
    assert_eq!(world.misbehaviour(), &[] as &[String]);
}

#[test]
fn one_silent_partner_delays_what_is_final_and_its_return_ends_the_wait() {
    let mut world = World::new(2, &NAMES[..3]);
    world.connect_all();
    let channel = world.shared_channel("harbour");
    world.run_for(10_000);
    world.cut(0, 2);
    world.cut(1, 2);
    let post = say(&mut world, 0, channel, "charlie is away");
    world.run_for(120_000);
    for (at, name) in NAMES.iter().enumerate().take(3) {
        assert!(!is_final(&world, at, channel, post), "{name}");
    }
    let lane = lane_of(&world, 0, channel, post);
    let standing = held(&world, 0, channel).standing(lane);
    assert_eq!(standing.awaited, vec![world.partners[2].id]);
    let quiet = events(&world, 0, channel);
    world.run_for(120_000);
    assert_eq!(events(&world, 0, channel), quiet, "acks while all wait");

    world.connect_all();
    world.run_until("the post is final everywhere", 20_000, |world| {
        (0..3).all(|at| is_final(world, at, channel, post))
    });
    assert_eq!(world.misbehaviour(), &[] as &[String]);
}

#[test]
fn who_is_removed_is_no_longer_waited_for_once_more_than_two_thirds_say_so() {
    let mut world = World::new(3, &NAMES);
    world.connect_all();
    let channel = world.shared_channel("harbour");
    let early = say(&mut world, 1, channel, "before");
    world.run_until("the post is final everywhere", 10_000, |world| {
        (0..4).all(|at| is_final(world, at, channel, early))
    });
    (0..DELTA).for_each(|other| world.cut(other, DELTA));
    let waiting = say(&mut world, 1, channel, "delta does not answer");
    world.run_for(30_000);
    assert!(!is_final(&world, 0, channel, waiting));

    remove(&mut world, channel, DELTA);
    let after = say(&mut world, 2, channel, "without delta");
    world.run_until("all is final without delta", 20_000, |world| {
        (0..DELTA)
            .all(|at| is_final(world, at, channel, waiting) && is_final(world, at, channel, after))
    });
    assert_eq!(world.misbehaviour(), &[] as &[String]);
}

#[test]
fn what_is_final_stays_so_over_a_start() {
    let mut world = World::new(5, &NAMES[..3]);
    world.connect_all();
    let channel = world.shared_channel("harbour");
    let post = say(&mut world, 0, channel, "all are here");
    world.run_until("the post is final everywhere", 8_000, |world| {
        (0..3).all(|at| is_final(world, at, channel, post))
    });
    let lane = lane_of(&world, 1, channel, post);
    let before = held(&world, 1, channel).standing(lane);
    world.kill(1);
    world.start(1);
    assert!(is_final(&world, 1, channel, post));
    assert_eq!(
        held(&world, 1, channel).standing(lane).barrier,
        before.barrier
    );

    world.connect_all();
    let next = say(&mut world, 2, channel, "and on");
    world.run_until("the next is final everywhere", 12_000, |world| {
        (0..3).all(|at| is_final(world, at, channel, next))
    });
    assert_eq!(world.double_signed(), &[]);
}

fn remove(world: &mut World, channel: ChannelId, whom: usize) {
    let partner = world.partners[whom].id;
    let order = Command::Remove { channel, partner };
    world.command(0, order).expect("an owner may remove");
    world.run_until("the others hear of it", 10_000, |world| {
        (0..whom).all(|at| world.status(at, channel, &partner) == Some(Status::Removed))
    });
}

fn say(world: &mut World, from: usize, channel: ChannelId, text: &str) -> EventId {
    let draft = Draft {
        user: UserName::try_from("watch".to_string()).expect("a legal name"),
        claimed_ms: 1_700_000_000_000 + world.now_ms(),
        precedence: Precedence::Routine,
        audience: None,
        label: None,
    };
    let order = Command::Post {
        channel,
        draft,
        text: text.into(),
        reply_to: None,
        rows: Vec::new(),
    };
    world.command(from, order).expect("a member may write").id
}

fn held(world: &World, at: usize, channel: ChannelId) -> &Channel {
    let replica = world.replica(at).expect("a running partner");
    &replica.channels()[&channel]
}

fn find(channel: &Channel, id: EventId) -> Pos {
    let mut timeline = channel.timeline().iter().copied();
    timeline
        .find(|pos| channel.entry(*pos).id == id)
        .expect("a message that is held")
}

fn is_final(world: &World, at: usize, channel: ChannelId, id: EventId) -> bool {
    let held = held(world, at, channel);
    let mut timeline = held.timeline().iter();
    timeline.any(|pos| held.entry(*pos).id == id && held.is_final(*pos))
}

fn lane_of(
    world: &World,
    at: usize,
    channel: ChannelId,
    id: EventId,
) -> comity_protocol::id::LaneId {
    let held = held(world, at, channel);
    held.lane_of(find(held, id))
}

fn events(world: &World, at: usize, channel: ChannelId) -> u64 {
    held(world, at, channel).events()
}
