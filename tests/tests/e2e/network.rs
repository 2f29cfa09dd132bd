//! Nodes on hosts of their own, over a network that loses, delays, doubles and reorders packets,
//! killed and cut off in between.

use std::time::Duration;

use comity_node::api::{Request, Written};
use comity_tests::{Dice, Lab, PATIENCE, Path, Site, eventually, say};

const PARTNERS: [&str; 3] = ["alpha", "bravo", "charlie"];
const CHANNEL: &str = "harbour";
const ROUNDS: u64 = 12;
const POSTS_A_ROUND: u64 = 20;

/// A poor satellite link: packets overtake one another, a twentieth is lost.
const POOR: Path = Path {
    lost: 50,
    doubled: 20,
    delay: Duration::from_millis(40),
    jitter: Duration::from_millis(30),
    cut: false,
};

#[test]
fn nodes_on_a_poor_network_lose_nothing_when_they_are_killed_and_cut_off() {
    let mut dice = Dice::of("a poor network");
    let Some(lab) = Lab::of(PARTNERS.len(), &mut dice) else {
        return;
    };
    let mut site = Site::sharing_in(&lab, CHANNEL, &PARTNERS);
    lab.set_all(POOR);
    let mut acknowledged = Vec::new();
    let mut kills = 0;
    for round in 0..ROUNDS {
        let victim = dice.below(3) as usize;
        let other = (victim + 1 + dice.below(2) as usize) % 3;
        // One way only: what one says arrives, and the answer does not.
        lab.set(other, victim, Path { cut: true, ..POOR });
        for number in 0..POSTS_A_ROUND {
            let at = PARTNERS[dice.below(3) as usize];
            let text = format!("round {round}, post {number}");
            acknowledged.extend(post(&site, at, text));
        }
        if dice.below(2) == 0 {
            site[PARTNERS[victim]].kill();
            site[PARTNERS[victim]].start();
            kills += 1;
        }
        lab.set(other, victim, POOR);
    }
    site.converge(&PARTNERS);
    eventually("every acknowledged post is everywhere", PATIENCE, || {
        let everywhere = PARTNERS.iter().all(|partner| {
            let held: Vec<String> = site[*partner].export().into_iter().map(|p| p.id).collect();
            acknowledged.iter().all(|id| held.contains(id))
        });
        everywhere.then_some(())
    });
    let packets = lab.packets();
    say(&format!(
        "a poor network: {} posts, {kills} kills; of the packets {} arrived, {} of them out of \
         order, {} twice, and {} were lost",
        acknowledged.len(),
        packets.delivered,
        packets.overtook,
        packets.doubled,
        packets.lost
    ));
    assert!(packets.lost > 0 && packets.overtook > 0 && packets.doubled > 0 && kills > 0);
    site.stop();
}

/// The id of a post that was acknowledged.
fn post(site: &Site, at: &str, message: String) -> Option<String> {
    let post = Request::Post {
        channel: CHANNEL.into(),
        user: "anna".into(),
        message,
        reply_to: None,
        create_at_ms: None,
        precedence: Default::default(),
        to: Vec::new(),
    };
    site[at].ask::<Written>(&post).map(|written| written.id)
}
