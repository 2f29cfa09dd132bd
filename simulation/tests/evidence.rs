//! Forks and restores: a node that runs twice is proved a forker at every honest node and
//! contained; a node whose disk was put back from a backup goes on under its spare writer and is
//! never framed.

use comity_protocol::authority::Status;
use comity_protocol::body::Role;
use comity_protocol::event::{Kind, Precedence, UserName};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, EventId};
use comity_protocol::replica::{Command, CommandError, Draft, Notice, Written};
use comity_simulation::World;

const NAMES: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
const ALPHA: usize = 0;
const BRAVO: usize = 1;
const CHARLIE: usize = 2;
const DELTA: usize = 3;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=12;

/// A channel of four in which bravo is an admin with a spare writer, and all have spoken.
fn settled(seed: u64) -> (World, ChannelId) {
    println!("seed {seed}");
    let mut world = World::new(seed, &NAMES);
    world.partners[BRAVO].add_spare();
    world.connect_all();
    let channel = world.shared_channel("harbour");
    let partner = world.partners[BRAVO].id;
    let admin = Command::Grant {
        channel,
        partner,
        role: Role::Admin,
    };
    world.command(ALPHA, admin).expect("an owner may grant");
    for who in 0..NAMES.len() {
        say(&mut world, who, channel, "good morning").expect("a member may post");
    }
    world.run_until("all have heard all", 60_000, |world| {
        world.converged(channel)
    });
    world.run_for(2_000);
    (world, channel)
}

fn say(
    world: &mut World,
    who: usize,
    channel: ChannelId,
    text: &str,
) -> Result<Written, CommandError> {
    let draft = Draft {
        user: UserName::try_from("anna".to_string()).expect("a legal name"),
        claimed_ms: 1_700_000_000_000 + world.now_ms(),
        precedence: Precedence::Routine,
        audience: None,
        label: None,
    };
    let post = Command::Post {
        channel,
        draft,
        text: text.into(),
        reply_to: None,
        rows: Vec::new(),
    };
    world.command(who, post)
}

fn suspend(world: &mut World, who: usize, channel: ChannelId, whom: usize) -> EventId {
    let partner = world.partners[whom].id;
    let suspension = Command::Suspend { channel, partner };
    world
        .command(who, suspension)
        .expect("bravo is an admin")
        .id
}

fn cut_off(world: &mut World, who: usize) {
    for other in (0..NAMES.len()).filter(|other| *other != who) {
        world.cut(who, other);
    }
}

fn equivocations(world: &World, at: usize) -> usize {
    let at = |(by, notice): &&(usize, Notice)| {
        *by == at && matches!(notice, Notice::Equivocation { .. })
    };
    world.notices().iter().filter(at).count()
}

/// Whether a message bears the mark of a fork at a partner.
fn is_marked(world: &World, at: usize, channel: ChannelId, id: &EventId) -> Option<bool> {
    let held = world.replica(at)?.channels().get(&channel)?;
    let pos = held
        .timeline()
        .iter()
        .find(|pos| held.entry(**pos).id == *id)?;
    Some(held.is_forked(*pos))
}

/// Runs bravo on two sides of a partition: with alpha, and from a copy of its disk with charlie.
fn run_twice(world: &mut World, channel: ChannelId) -> [(EventId, EventId); 2] {
    let copy = world.partners[BRAVO].disk.clone();
    cut_off(world, BRAVO);
    world.cut(ALPHA, CHARLIE);
    world.cut(DELTA, CHARLIE);
    let mut written = Vec::new();
    for side in [ALPHA, CHARLIE] {
        world.connect(BRAVO, side);
        let act = suspend(world, BRAVO, channel, DELTA);
        let post = say(world, BRAVO, channel, &format!("for {side}"))
            .expect("a member")
            .id;
        world.run_for(3_000);
        // What the side has heard, it cites.
        say(world, side, channel, "heard").expect("a member may post");
        world.run_for(3_000);
        written.push((act, post));
        if side == ALPHA {
            world.kill(BRAVO);
            world.partners[BRAVO].disk = copy.clone();
            world.start(BRAVO);
        }
    }
    [written[0], written[1]]
}

#[test]
fn a_node_that_runs_twice_is_proved_a_forker_everywhere_and_contained() {
    for seed in SEEDS {
        let (mut world, channel) = settled(seed);
        let [first, second] = run_twice(&mut world, channel);
        // From here on bravo is gone: what it has told is all there is.
        world.kill(BRAVO);
        world.look_for_double_signing();
        assert_ne!(
            world.double_signed(),
            &[],
            "seed {seed}: it signed no position twice"
        );

        world.connect_all();

        let honest = [ALPHA, CHARLIE, DELTA];
        world.run_until("all know of the forks", 120_000, |world| {
            honest.iter().all(|at| equivocations(world, *at) >= 1)
        });
        world.run_for(60_000);
        for at in honest {
            let held = &world.replica(at).expect("it runs").channels()[&channel];
            let stands = |id: &EventId| {
                let mut effective = held.present().effective.iter();
                effective.find(|pos| held.entry(**pos).id == *id).copied()
            };
            // What a barrier held before anybody could know of the fork stays; all else is void.
            let standing: Vec<Pos> = [first.0, second.0].iter().filter_map(stands).collect();
            assert!(
                standing.iter().all(|pos| held.is_final(*pos)),
                "seed {seed}: at {at}"
            );
            for member in 0..NAMES.len() {
                let partner = world.partners[member].id;
                let status = world.status(at, channel, &partner);
                let known = world.status(ALPHA, channel, &partner);
                let expected = if standing.is_empty() {
                    Some(Status::Active)
                } else {
                    known
                };
                assert_eq!(status, expected, "seed {seed}: {member} at {at}");
            }
        }
        for at in [ALPHA, CHARLIE] {
            for (_, post) in [first, second] {
                // Both were cited, so both are everywhere that reads them, with a mark.
                let marked = is_marked(&world, at, channel, &post);
                assert_eq!(marked, Some(true), "seed {seed}: at {at}");
            }
        }
        let digest = |at: usize| {
            let held = &world.replica(at).expect("it runs").channels()[&channel];
            let lanes = held.common_lanes();
            lanes
                .map(|lane| held.state_digest(lane))
                .collect::<Vec<_>>()
        };
        assert_eq!(digest(ALPHA), digest(CHARLIE), "seed {seed}");
        let delta = world.partners[DELTA].id;
        if world.status(ALPHA, channel, &delta) == Some(Status::Active) {
            assert_eq!(digest(ALPHA), digest(DELTA), "seed {seed}");
        }
        assert_eq!(world.misbehaviour(), &[] as &[String], "seed {seed}");
        let pieces: usize = honest.iter().map(|at| equivocations(&world, *at)).sum();
        println!(
            "{pieces} pieces of evidence came to {} partners",
            honest.len()
        );
    }
}

/// Puts bravo's disk back to what it was before it last spoke, and says so or not.
fn restore_bravo(world: &mut World, channel: ChannelId, told: bool) {
    let backup = world.partners[BRAVO].disk.clone();
    for text in ["after the backup", "and again"] {
        say(world, BRAVO, channel, text).expect("a member may post");
    }
    let partner = world.partners[DELTA].id;
    let lowered = Command::Grant {
        channel,
        partner,
        role: Role::Observer,
    };
    world.command(BRAVO, lowered).expect("an admin may grant");
    world.run_until("all have heard it", 60_000, |world| {
        world.converged(channel)
    });
    world.kill(BRAVO);
    world.partners[BRAVO].disk = backup;
    world.partners[BRAVO].from_backup = told;
    world.start(BRAVO);
}

/// Takes the seat by the root's word, carried by the spare itself, and acts from it.
fn recovers(world: &mut World, channel: ChannelId, seed: u64) {
    world.run_until("all is read back", 120_000, |world| {
        world.converged(channel)
    });
    let lost = world.replica(BRAVO).expect("it runs").lost_seats();
    assert_eq!(lost.len(), 1, "seed {seed}: {lost:?}");
    let former = world.replica(BRAVO).expect("it runs").writer();
    let transfer = Box::new(world.partners[BRAVO].sign_transfer(&lost[0]));
    let order = Command::TransferSeat { channel, transfer };
    world
        .command(BRAVO, order)
        .expect("a spare may carry its root's word");
    let partner = world.partners[DELTA].id;
    let raised = Command::Grant {
        channel,
        partner,
        role: Role::Contributor,
    };
    world.command(BRAVO, raised).expect("it has the seat again");
    say(world, BRAVO, channel, "as if nothing had been").expect("a member may post");
    world.run_until("all have heard it", 120_000, |world| {
        world.converged(channel)
    });
    for at in 0..NAMES.len() {
        let held = &world.replica(at).expect("it runs").channels()[&channel];
        let bravo = &held.present().members[&world.partners[BRAVO].id];
        assert_eq!(bravo.seat, lost[0].writer, "seed {seed}");
        assert!(
            !bravo.writers.contains(&former),
            "seed {seed}: the old one is retired"
        );
        assert_eq!(equivocations(world, at), 0, "seed {seed}: framed");
        let flagged = held.timeline().iter().filter(|pos| held.is_flagged(**pos));
        assert_eq!(flagged.count(), 0, "seed {seed}: what it had said stands");
    }
    world.look_for_double_signing();
    assert_eq!(world.double_signed(), &[], "seed {seed}");
    assert_eq!(world.misbehaviour(), &[] as &[String], "seed {seed}");
}

#[test]
fn a_restored_node_that_is_told_so_writes_under_its_spare_before_it_has_met_anybody() {
    for seed in SEEDS {
        let (mut world, channel) = settled(seed);
        restore_bravo(&mut world, channel, true);
        // Nobody shows it anything: the worst that understating peers can do.
        let before = world.replica(BRAVO).expect("it runs").writer();
        let post = say(&mut world, BRAVO, channel, "back")
            .expect("the spare writes")
            .id;
        let held = &world.replica(BRAVO).expect("it runs").channels()[&channel];
        let at = held
            .timeline()
            .iter()
            .find(|pos| held.entry(**pos).id == post);
        assert_ne!(
            held.writer_of(*at.expect("its own post")),
            before,
            "seed {seed}"
        );

        world.connect_all();
        recovers(&mut world, channel, seed);
    }
}

#[test]
fn a_restored_node_that_is_told_nothing_notices_from_its_peers_and_is_not_framed_by_a_liar() {
    for seed in SEEDS {
        let (mut world, channel) = settled(seed);
        restore_bravo(&mut world, channel, false);
        world.connect(BRAVO, CHARLIE);
        world.run_until("charlie shows it its own log", 60_000, |world| {
            world
                .replica(BRAVO)
                .is_some_and(|bravo| bravo.spent_writers().count() == 1)
        });
        say(&mut world, BRAVO, channel, "back").expect("the spare writes");
        // It remembers, and does not begin anew where peers show less.
        world.kill(BRAVO);
        world.start(BRAVO);
        say(&mut world, BRAVO, channel, "still here").expect("the spare writes");

        world.connect_all();
        recovers(&mut world, channel, seed);
    }
}

#[test]
fn without_a_spare_a_restored_node_reads_and_does_not_write() {
    let mut world = World::new(5, &NAMES);
    world.connect_all();
    let channel = world.shared_channel("harbour");
    say(&mut world, BRAVO, channel, "before").expect("a member may post");
    world.run_until("all have heard it", 60_000, |world| {
        world.converged(channel)
    });
    let backup = world.partners[BRAVO].disk.clone();
    say(&mut world, BRAVO, channel, "after the backup").expect("a member may post");
    world.run_until("all have heard it", 60_000, |world| {
        world.converged(channel)
    });
    world.kill(BRAVO);
    world.partners[BRAVO].disk = backup;
    world.partners[BRAVO].from_backup = true;
    world.start(BRAVO);

    let refused = say(&mut world, BRAVO, channel, "again");

    assert_eq!(refused, Err(CommandError::RestoredFromOldCopy));
    world.connect_all();
    world.run_until("it has read all back", 60_000, |world| {
        world.converged(channel)
    });
    world.look_for_double_signing();
    assert_eq!(world.double_signed(), &[]);
}

#[test]
fn evidence_goes_out_before_other_things() {
    let (mut world, channel) = settled(3);
    run_twice(&mut world, channel);
    world.kill(BRAVO);
    let kinds = |world: &World, at: usize| {
        let held = &world.replica(at).expect("it runs").channels()[&channel];
        let all = held.graph().chains().iter();
        all.flat_map(|chain| &chain.entries)
            .filter(|entry| entry.kind == Kind::Evidence)
            .count()
    };
    world.connect(ALPHA, CHARLIE);
    world.run_until("whoever holds both branches proves it", 60_000, |world| {
        kinds(world, ALPHA) > 0 && kinds(world, CHARLIE) > 0
    });
    world.connect_all();
    world.run_until("the others hear of it", 60_000, |world| {
        kinds(world, DELTA) > 0
    });
}
