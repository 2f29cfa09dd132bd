//! Files in a mesh of honest partners: who gets them, from whom, and what is left when things
//! break.

use comity_protocol::limits;
use comity_protocol::replica::CommandError;
use comity_protocol::wire::AskPiece;
use comity_simulation::{Chance, SentFile, World};

const NAMES: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
const DELTA: usize = 3;
/// Two chunks and a bit.
const SIZE: u64 = 2 * limits::CHUNK_BYTES as u64 + 300_000;
/// Pieces of such a file: nine for a whole chunk with its tag, three for the rest.
const PIECES: usize = 9 + 9 + 3;

/// Four members of a channel, and a file of alpha's for bravo and charlie.
fn sent_to_two(seed: u64) -> (World, SentFile) {
    let mut world = World::new(seed, &NAMES);
    world.connect_all();
    let channel = world.shared_channel("ops");
    let file = world.send_file(0, channel, Some(&[0, 1, 2]), SIZE);
    arrives(&mut world, &file);
    (world, file)
}

fn arrives(world: &mut World, file: &SentFile) {
    world.run_until("the reference arrives", 10_000, |world| {
        [1, 2].iter().all(|reader| world.reads_file(*reader, file))
    });
}

fn fetches(world: &mut World, partner: usize, file: &SentFile) {
    world.fetch(partner, file).expect("it may read the file");
    world.run_until("the file is whole", 60_000, |world| {
        world.has_file(partner, file)
    });
}

/// Not a question, not a piece, not a chunk.
fn delta_has_no_part_in_it(world: &World) {
    for other in 0..DELTA {
        assert_eq!(world.told_of_files(DELTA, other), (0, 0), "from {other}");
        assert_eq!(world.told_of_files(other, DELTA), (0, 0), "to {other}");
    }
    assert_eq!(world.chunks_stored(DELTA), 0);
}

#[test]
fn a_file_is_fetched_on_demand_and_by_its_audience_alone() {
    let (mut world, file) = sent_to_two(1);
    world.run_for(60_000);
    assert_eq!(world.chunks_stored(1), 0, "nobody has asked for it");

    fetches(&mut world, 1, &file);
    assert_eq!(world.chunks_stored(1), 3);
    assert_eq!(world.told_of_files(1, 0), (0, PIECES), "from the author");
    assert_eq!(world.chunks_stored(2), 0);
    assert!(!world.knows_file(DELTA, &file));
    delta_has_no_part_in_it(&world);
    assert_eq!(world.misbehaviour(), &[] as &[String]);
}

#[test]
fn a_reader_serves_another_while_the_author_is_down() {
    let (mut world, file) = sent_to_two(2);
    fetches(&mut world, 1, &file);
    world.kill(0);
    fetches(&mut world, 2, &file);
    assert_eq!(world.told_of_files(2, 1), (0, PIECES));
    delta_has_no_part_in_it(&world);
}

#[test]
fn whoever_may_not_read_it_gets_the_answer_to_what_does_not_exist() {
    let (mut world, file) = sent_to_two(3);
    let alpha = world.replica(0).unwrap();
    let channel = &alpha.channels()[&file.channel];
    let pos = channel.file(&file.id).unwrap();
    let (lane, control_lane) = (channel.lane_of(pos), channel.control_lane);
    let right = AskPiece {
        channel: file.channel,
        lane,
        file: file.id,
        chunk: 0,
        offset: 0,
    };
    let other_lane = AskPiece {
        lane: control_lane,
        ..right
    };
    let mut unknown = right;
    unknown.file.0[0] ^= 1;
    let beyond = AskPiece { chunk: 3, ..right };

    let answer = world.ask_by_hand(0, 1, right).expect("an answer");
    assert_eq!(answer.len(), limits::PIECE_BYTES, "the question is right");
    let nothing = Some(Vec::new());
    assert_eq!(world.ask_by_hand(0, DELTA, right), nothing);
    assert_eq!(world.ask_by_hand(0, DELTA, unknown), nothing);
    assert_eq!(world.ask_by_hand(0, DELTA, other_lane), nothing);
    assert_eq!(world.ask_by_hand(0, 1, unknown), nothing);
    assert_eq!(world.ask_by_hand(0, 1, beyond), nothing);
    assert_eq!(world.ask_by_hand(2, 1, right), nothing, "not fetched there");
}

#[test]
fn a_withdrawn_file_is_deleted_everywhere_and_served_no_more() {
    let (mut world, file) = sent_to_two(4);
    fetches(&mut world, 1, &file);
    world.withdraw_file(0, &file);
    world.run_until("its chunks are gone", 10_000, |world| {
        (0..4).all(|partner| world.chunks_stored(partner) == 0)
    });
    world.run_for(10_000);
    assert_eq!(world.fetch(2, &file), Err(CommandError::Withdrawn));
    // It stays gone after a start.
    world.kill(1);
    world.start(1);
    assert!(world.replica(1).unwrap().held_file(&file.id).is_none());
}

#[test]
fn withdrawing_a_file_ends_the_fetch_of_it() {
    let (mut world, file) = sent_to_two(5);
    world.cut(0, 2);
    world.cut(1, 2);
    world.fetch(2, &file).unwrap();
    world.connect(1, 2);
    world.withdraw_file(0, &file);
    world.run_until("charlie hears of it", 30_000, |world| {
        world.replica(2).unwrap().fetching(&file.id).is_none()
    });
    assert_eq!(world.chunks_stored(2), 0);
}

#[test]
fn an_empty_file_has_nothing_to_fetch() {
    let mut world = World::new(6, &NAMES);
    world.connect_all();
    let channel = world.shared_channel("ops");
    let file = world.send_file(0, channel, None, 0);
    arrives(&mut world, &file);
    assert!(world.has_file(1, &file));
    assert_eq!(world.told_of_files(1, 0), (0, 0));
}

#[test]
fn whoever_has_left_is_neither_asked_nor_served() {
    let (mut world, file) = sent_to_two(7);
    let leave = comity_protocol::replica::Command::Leave {
        channel: file.channel,
    };
    world.command(2, leave).unwrap();
    world.run_until("the others know", 10_000, |world| {
        let active = |who: usize| {
            world.replica(who).unwrap().channels()[&file.channel]
                .present()
                .active()
        };
        active(0).len() == 3 && active(1).len() == 3
    });
    assert!(world.fetch(2, &file).is_err());
    fetches(&mut world, 1, &file);
    assert_eq!(world.told_of_files(2, 1), (0, 0));
    assert_eq!(world.chunks_stored(2), 0);
}

/// Cuts, kills and full queues while two readers fetch; then calm.
#[test]
fn files_are_whole_in_the_end_whatever_breaks() {
    for seed in 1..=8 {
        println!("seed {seed}");
        let mut storm = Chance::new(seed ^ 0xf11e);
        let (mut world, file) = sent_to_two(seed);
        let mut kills = 0;
        for _ in 0..25 {
            let one = storm.below("one", 4) as usize;
            let other = (one + 1 + storm.below("other", 3) as usize) % 4;
            match storm.below("what", 8) {
                0 => world.cut(one, other),
                1 | 2 => world.connect(one, other),
                3 => {
                    world.kill(one);
                    kills += 1;
                }
                4 | 5 => world.start(one),
                6 => world.overflow(one, other, 200),
                _ => {}
            }
            for reader in [1, 2] {
                if world.reads_file(reader, &file) {
                    world.fetch(reader, &file).unwrap();
                }
            }
            world.run_for(storm.below("pause", 150));
        }
        (0..4).for_each(|partner| world.start(partner));
        world.connect_all();
        for reader in [1, 2] {
            fetches(&mut world, reader, &file);
        }
        assert!(kills > 0, "seed {seed}: the run was too quiet");
        assert_eq!(world.misbehaviour(), &[] as &[String], "seed {seed}");
        delta_has_no_part_in_it(&world);
    }
}

#[test]
fn chunks_that_are_on_disk_are_not_fetched_again_after_a_kill() {
    let (mut world, file) = sent_to_two(9);
    world.fetch(1, &file).unwrap();
    world.run_until("some of it is on disk", 60_000, |world| {
        world.chunks_stored(1) == 1
    });
    let (_, before) = world.told_of_files(1, 0);
    world.kill(1);
    world.start(1);
    world.connect_all();
    fetches(&mut world, 1, &file);
    let (_, all) = world.told_of_files(1, 0);
    // The first chunk's nine pieces are not among what came after.
    assert!(all - before <= PIECES - 9, "{before} before, {all} in all");
}
