//! A mesh of honest partners under cuts, kills and full queues.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::authority::Status;
use comity_protocol::body::Role;
use comity_protocol::event::{Kind, Precedence, UserName};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, Hash, LaneId, PartnerId};
use comity_protocol::replica::{Command, Draft};
use comity_simulation::{Chance, World};

const NAMES: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];

/// `COMITY_SEEDS` runs more (or fewer) seeds than usual.
fn soak(usual: u64) -> u64 {
    std::env::var("COMITY_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(usual)
}

/// Seeds to run; `COMITY_SEED` runs a single one instead.
fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("COMITY_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
    {
        Some(seed) => vec![seed],
        None => (1..=soak(count)).collect(),
    }
}

#[test]
fn honest_partners_converge_whatever_breaks() {
    for seed in seeds(60) {
        println!("seed {seed}");
        let (world, channel) = stormy_run(seed);

        assert!(world.converged(channel), "seed {seed}");
        assert_eq!(world.misbehaviour(), &[] as &[String], "seed {seed}");
        assert_eq!(world.double_signed(), &[], "seed {seed}");
        for post in world.acknowledged() {
            assert!(
                world.is_everywhere(post),
                "seed {seed}: a reader lacks an acknowledged post: {post:?}"
            );
        }
        assert!(
            world.acknowledged().len() > 20,
            "seed {seed}: the run was too quiet to mean anything"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let (first, _) = stormy_run(7);
    let (second, _) = stormy_run(7);
    let (other, _) = stormy_run(8);
    assert_eq!(first.trace(), second.trace());
    assert_ne!(first.trace(), other.trace());
}

#[test]
fn partners_without_a_link_meet_through_a_third() {
    let mut world = World::new(1, &NAMES[..3]);
    world.connect(0, 1);
    world.connect(1, 2);
    let channel = world.shared_channel("ops");

    for number in 0..20 {
        world.post(0, channel, &format!("alpha {number}"));
        world.post(2, channel, &format!("charlie {number}"));
    }
    world.run_until("all posts are everywhere", 10_000, |world| {
        posts_everywhere(world, channel, 40)
    });
    assert!(world.converged(channel));
}

#[test]
fn everything_arrives_after_a_cut_without_anything_new_to_nudge_it() {
    let mut world = World::new(2, &NAMES[..2]);
    world.connect_all();
    let channel = world.shared_channel("ops");
    world.cut(0, 1);
    for number in 0..3_000 {
        world.post(0, channel, &format!("alpha {number}"));
        world.post(1, channel, &format!("bravo {number}"));
    }
    world.run_for(240_000);

    world.connect_all();
    world.run_until("both hold all 6,000 posts", 5_000, |world| {
        posts_everywhere(world, channel, 6_000)
    });
    assert!(world.converged(channel));
}

fn posts_everywhere(world: &World, channel: ChannelId, count: u64) -> bool {
    (0..world.partners.len()).all(|partner| {
        world
            .replica(partner)
            .is_some_and(|replica| replica.channels()[&channel].posts() == count)
    })
}

/// Posts from everyone while links are cut, processes killed and queues fill; then calm.
fn stormy_run(seed: u64) -> (World, ChannelId) {
    let mut storm = Chance::new(seed ^ 0x5707);
    let count = 2 + storm.below("partners", 3) as usize;
    let mut world = World::new(seed, &NAMES[..count]);
    world.connect_all();
    let channel = world.shared_channel("ops");
    for _ in 0..120 {
        let (one, other) = (
            storm.below("one", count as u64) as usize,
            storm.below("other", count as u64) as usize,
        );
        match storm.below("what", 20) {
            0 => world.cut(one, (one + 1) % count),
            1..=3 => world.connect(one, (one + 1) % count),
            4 => world.kill(one),
            5..=7 => world.start(one),
            8 if one != other => world.overflow(one, other, 200),
            9 if count > 2 => suspend_or_return(&mut world, channel, count - 1),
            10..=13 => narrow(&mut world, &mut storm, one, channel),
            _ => (0..1 + storm.below("burst", 6))
                .for_each(|number| world.post(one, channel, &format!("post {number}"))),
        }
        world.run_for(storm.below("pause", 150));
        world.look_for_double_signing();
    }
    for partner in 0..count {
        world.start(partner);
    }
    world.connect_all();
    world.run_for(20_000);
    let last = world.partners[count - 1].id;
    if world.status(0, channel, &last) != Some(Status::Active) {
        let back = world.status(count - 1, channel, &last) == Some(Status::Invited);
        match back {
            true => drop(world.command(count - 1, Command::Accept { channel })),
            false => world.admit(channel, count - 1, Role::Contributor),
        }
    }
    world.run_until("the calm brings everyone together", 60_000, |world| {
        world.converged(channel) && readers_agree(world, channel)
    });
    world.look_for_double_signing();
    (world, channel)
}

/// A post to some of the members, and now and then something about one.
fn narrow(world: &mut World, storm: &mut Chance, who: usize, channel: ChannelId) {
    let Some(held) = world
        .replica(who)
        .map(|replica| &replica.channels()[&channel])
    else {
        return;
    };
    let own = world.partners[who].id;
    let posts = held.timeline().iter().copied();
    let posts: Vec<Pos> = posts
        .filter(|pos| held.entry(*pos).kind == Kind::Post)
        .collect();
    let picked = storm.below("target", 1 + posts.len() as u64) as usize;
    let about = posts
        .get(picked)
        .copied()
        .filter(|_| storm.below("about", 2) == 0);
    let members: Vec<PartnerId> = held.present().active().into_iter().collect();
    let chosen = members
        .into_iter()
        .filter(|member| *member == own || storm.below("reader", 2) == 0);
    let audience = Some(chosen.collect()).filter(|_| about.is_none());
    let draft = Draft {
        user: UserName::try_from("user".to_string()).expect("a legal name"),
        claimed_ms: world.now_ms(),
        precedence: Precedence::Routine,
        audience,
        label: None,
    };
    let emoji = "+1".to_string();
    let order = match (about, storm.below("derived", 3)) {
        (Some(target), 0) => Command::React {
            channel,
            draft,
            target,
            emoji,
            withdrawn: false,
        },
        (Some(target), 1) => Command::Redact {
            channel,
            draft,
            target,
            reason: String::new(),
        },
        (reply_to, _) => Command::Post {
            channel,
            draft,
            text: "narrow".into(),
            reply_to,
            rows: Vec::new(),
        },
    };
    // Whoever is suspended, or no author, is refused.
    drop(world.command(who, order));
}

/// The owner suspends a partner, or invites it again; it accepts when it hears of that.
fn suspend_or_return(world: &mut World, channel: ChannelId, who: usize) {
    let partner = world.partners[who].id;
    let identity = world.partners[who].identity.clone();
    if world.status(who, channel, &partner) == Some(Status::Invited) {
        drop(world.command(who, Command::Accept { channel }));
    }
    let order = match world.status(0, channel, &partner) {
        Some(Status::Active) => Command::Suspend { channel, partner },
        Some(Status::Suspended) => Command::Share {
            channel,
            partner: identity,
            role: Role::Contributor,
        },
        _ => return,
    };
    drop(world.command(0, order));
}

/// Whether the readers of every lane hold the same of it, and nobody holds a lane of others.
fn readers_agree(world: &World, channel: ChannelId) -> bool {
    let mut lanes: BTreeMap<LaneId, BTreeSet<(Hash, Hash)>> = BTreeMap::new();
    for partner in &world.partners {
        let Some(replica) = &partner.replica else {
            return false;
        };
        let held = &replica.channels()[&channel];
        for (lane, of) in held.lanes() {
            let reads = *lane == held.control_lane || of.audience.contains(&partner.id);
            assert!(reads, "{:?} holds a lane of others: {lane:?}", partner.id);
            let digests = (held.timeline_digest(*lane), held.state_digest(*lane));
            lanes.entry(*lane).or_default().insert(digests);
        }
    }
    lanes.values().all(|digests| digests.len() == 1)
}

#[test]
fn a_refused_message_leaves_a_log_that_restarts_and_replicates() {
    let mut world = World::new(3, &NAMES[..2]);
    world.connect_all();
    let channel = world.shared_channel("ops");

    world.post(0, channel, &"x".repeat(70_000));
    world.post(0, channel, "short enough");
    world.run_until("the short post is there", 10_000, |world| {
        posts_everywhere(world, channel, 1)
    });
    world.kill(0);
    world.start(0);
    world.connect_all();
    world.post(0, channel, "after the restart");
    world.run_until("both posts are there", 10_000, |world| {
        posts_everywhere(world, channel, 2)
    });
    assert!(world.converged(channel));
}
