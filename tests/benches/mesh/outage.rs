//! A link cut while both sides post: how soon all is everywhere once it is back.

use std::time::Duration;

use comity_tests::{Outage, say};

use crate::report::{Report, Row};

/// Posts at the first node and at the second meanwhile.
const POSTS: [u32; 2] = [5_000, 500];
/// Far beyond the aim: what takes longer is a failure and not a figure.
const DEADLINE: Duration = Duration::from_secs(60);

const METHOD: &str = "two nodes linked through a UDP proxy that drops every packet for that time, \
    while 5,000 posts are made at one node and 500 at the other; from the proxy's forwarding again \
    to equal digests at both, no command given; order and completeness are checked. The other \
    systems lost posts or needed 23 to 27 s before the first one flowed";

pub fn measure(report: &mut Report, seconds: u32) {
    let run = format!("outage of {seconds} s, 5500 posts meanwhile");
    say(&run);
    let outage = Outage {
        cut: Duration::from_secs(seconds.into()),
        posts: POSTS,
        deadline: DEADLINE,
    };
    let healed = outage.run().after.as_secs_f64();
    let row = Row::new(
        &run,
        "all delivered after the link's return",
        healed,
        "s",
        METHOD,
    );
    report.add(row.against("aim", 2.0));
}
