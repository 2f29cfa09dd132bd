//! A link cut in both directions while both sides post.

use std::time::Duration;

use comity_tests::{Outage, say};

/// Posts at the first node and at the second meanwhile.
const POSTS: [u32; 2] = [5_000, 500];
/// Everything is everywhere so soon after the link returns.
const HEALED: Duration = Duration::from_secs(30);

#[test]
fn what_was_posted_during_a_cut_of_half_a_minute_arrives_by_itself_and_in_order() {
    arrives_after(Duration::from_secs(30));
}

/// Longer than every timer of the transport: both sides have given the link up and dial anew.
#[test]
fn what_was_posted_during_a_cut_of_four_minutes_arrives_by_itself_and_in_order() {
    arrives_after(Duration::from_secs(240));
}

fn arrives_after(cut: Duration) {
    let outage = Outage {
        cut,
        posts: POSTS,
        deadline: HEALED,
    };
    let healed = outage.run();
    say(&format!(
        "link cut: {} packets dropped in {} s; {} posts on both sides {:.2} s after the link \
         returned",
        healed.dropped,
        cut.as_secs(),
        POSTS[0] + POSTS[1],
        healed.after.as_secs_f64()
    ));
}
