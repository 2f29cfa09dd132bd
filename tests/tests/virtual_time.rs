//! Whole nodes in virtual time: a few of the lives of which `virtual-time` lives many.

use comity_node::api::{PeerInfo, PostInfo, Precedence, Request};
use comity_tests::virtual_time::campaign::parted;
use comity_tests::virtual_time::{Failure, Weather, World, live};
use comity_tests::{Dice, Syncing, say};

const CHANNEL: &str = "harbour";
const LIVES: usize = 3;
const CRASHES: u64 = 5;
/// Lives without syncing of which one at least must notice a loss.
const UNSYNCED_LIVES: usize = 10;

#[test]
fn the_same_seed_gives_the_same_life_byte_for_byte() {
    let mut dice = Dice::of("lives in virtual time");
    let mut digests = Vec::new();
    for _ in 0..LIVES {
        let seed = dice.roll();
        let life = live(seed, CRASHES, Syncing::Synced);
        assert_eq!(life.failure, None, "life {seed}");
        let again = live(seed, CRASHES, Syncing::Synced);
        assert_eq!(parted(&life, &again), None, "life {seed}");
        say(&format!(
            "life {seed}: {} crashes, {} posts, {} datagrams in {} s of virtual time",
            life.crashes,
            life.posts,
            life.datagrams,
            life.simulated_ms / 1000
        ));
        digests.push(life.digest);
    }
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), LIVES, "other seeds, other lives");
}

#[test]
fn without_syncing_a_life_loses_what_was_acknowledged() {
    let mut dice = Dice::of("lives in virtual time without syncing");
    let lost =
        (0..UNSYNCED_LIVES).find_map(|_| live(dice.roll(), CRASHES, Syncing::Unsynced).failure);
    let blind = "the test above would not see a loss";
    say(&format!(
        "without syncing: {}",
        lost.as_deref().expect(blind)
    ));
}

#[test]
fn what_was_written_while_a_partner_was_cut_off_is_there_once_it_is_back() -> Result<(), Failure> {
    let seed = Dice::of("a partner cut off").roll();
    let mut world = World::of(&["alpha", "bravo", "charlie"], Syncing::Synced, seed);
    for partner in 0..3 {
        world.start(partner)?;
    }
    world.await_links()?;
    world.share(CHANNEL)?;
    let peers: Vec<PeerInfo> = world.items(0, Request::PeerList)?;
    let groups = peers.iter().filter_map(|peer| peer.group.as_deref());
    assert_eq!(groups.collect::<Vec<_>>(), ["X25519MLKEM768"; 2]);

    let cut = Weather {
        cut: true,
        ..Weather::FAIR
    };
    for other in [1, 2] {
        world.set(0, other, cut);
        world.set(other, 0, cut);
    }
    post(&mut world, 0, "from alpha, alone")?;
    post(&mut world, 1, "from bravo")?;
    world.pass(20_000)?;
    assert_eq!(texts(&mut world, 0)?, ["from alpha, alone"]);
    assert_eq!(texts(&mut world, 2)?, ["from bravo"]);

    world.heal();
    world.eventually("both posts everywhere", |world| {
        for partner in 0..3 {
            if texts(world, partner)? != ["from alpha, alone", "from bravo"] {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

fn post(world: &mut World, by: usize, message: &str) -> Result<(), Failure> {
    let post = Request::Post {
        channel: CHANNEL.into(),
        user: "anna".into(),
        message: message.into(),
        reply_to: None,
        create_at_ms: None,
        precedence: Precedence::Routine,
        to: Vec::new(),
    };
    world.done(by, post).map(drop)
}

fn texts(world: &mut World, partner: usize) -> Result<Vec<String>, Failure> {
    let posts: Vec<PostInfo> = world.items(partner, Request::Export { channel: None })?;
    let mut texts: Vec<String> = posts.into_iter().filter_map(|post| post.message).collect();
    texts.sort_unstable();
    Ok(texts)
}
