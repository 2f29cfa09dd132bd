//! A link that is cut while both sides post, and what happens once it is back.

use std::time::{Duration, Instant};

use comity_node::api::{ImportPost, Imported, PostInfo, Request};

use crate::admin::Admin;
use crate::{Node, Proxy, Site, at, eventually};

const CHANNEL: &str = "harbour";
/// Batches in which each side's posts are spread over the time of the cut.
const BATCHES: u32 = 100;
/// The claimed time of the first post.
const BEGIN_MS: u64 = 1_500_000_000_000;
/// The name of the import by which the posts are made.
const IMPORT: &str = "0a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20212223242526272829";

/// A cut of the only link between two nodes.
pub struct Outage {
    /// How long nothing passes.
    pub cut: Duration,
    /// Posts made meanwhile at the first node, and at the second.
    pub posts: [u32; 2],
    /// Everything must be everywhere so soon after the link's return.
    pub deadline: Duration,
}

/// What an outage came to.
pub struct Healed {
    /// From the link's return until both nodes hold the same posts.
    pub after: Duration,
    /// Packets lost in the cut.
    pub dropped: u64,
}

impl Outage {
    /// Peers two nodes through a proxy, cuts it, lets both sides post, heals it and waits, without
    /// telling either node anything. Panics unless every post is at both nodes by the deadline,
    /// in the order in which its home made it and in one order for both.
    pub fn run(&self) -> Healed {
        let site = Site::of(&["alpha", "bravo"]);
        let proxy = Proxy::between(site["alpha"].listen, site["bravo"].listen);
        let (alpha, bravo) = (proxy.address_of_one(), proxy.address_of_other());
        site.peer_at("alpha", alpha, "bravo", bravo);
        site.share(CHANNEL, &["alpha", "bravo"]);
        site["alpha"].post(CHANNEL, "mira", "Before the cut.");
        site.converge(&["alpha", "bravo"]);

        let before = proxy.cut();
        self.post_at_both(&site);
        let after = proxy.heal();
        let begun = Instant::now();
        assert!(before.passed > 0, "all goes through the proxy");
        assert_eq!(before.passed, after.passed, "nothing passed during the cut");
        let dropped = after.dropped - before.dropped;
        assert!(dropped > 0, "something was tried during the cut");

        self.await_everything(&site);
        let after = begun.elapsed();
        self.check_order(&site);
        Healed { after, dropped }
    }

    fn sides(&self) -> [(&'static str, &'static str, u32); 2] {
        let [one, other] = self.posts;
        [("alpha", "amal", one), ("bravo", "boris", other)]
    }

    /// Posts on both sides, spread over the time of the cut; nothing arrives.
    fn post_at_both(&self, site: &Site) {
        let begun = Instant::now();
        for batch in 0..BATCHES {
            at(begun + self.cut * batch / BATCHES);
            for (partner, user, posts) in self.sides() {
                let numbers = posts * batch / BATCHES..posts * (batch + 1) / BATCHES;
                post(
                    &site[partner],
                    numbers.map(|number| line(user, number)).collect(),
                );
            }
        }
        at(begun + self.cut);
        for (partner, _, posts) in self.sides() {
            assert_eq!(site[partner].digests().posts, u64::from(1 + posts));
        }
    }

    fn await_everything(&self, site: &Site) {
        let expected = u64::from(1 + self.posts[0] + self.posts[1]);
        eventually("everything is everywhere", self.deadline, || {
            let digests = ["alpha", "bravo"].map(|partner| site[partner].digests());
            let [one, other] = &digests;
            let same = (&one.timeline, &one.state) == (&other.timeline, &other.state);
            (same && one.posts == expected && other.posts == expected).then_some(())
        });
    }

    fn check_order(&self, site: &Site) {
        let [here, there] = ["alpha", "bravo"].map(|partner| site[partner].export());
        for (partner, user, posts) in self.sides() {
            let author = format!("{user}@{partner}");
            let expected: Vec<String> = (0..posts).map(|number| message(user, number)).collect();
            for seen in [&here, &there] {
                assert_eq!(
                    messages_of(seen, &author),
                    expected,
                    "the posts of {author}"
                );
            }
        }
        let ids = |posts: &[PostInfo]| -> Vec<String> {
            posts.iter().map(|post| post.id.clone()).collect()
        };
        assert_eq!(ids(&here), ids(&there), "one order at both nodes");
    }
}

fn post(node: &Node, posts: Vec<ImportPost>) {
    let count = posts.len() as u64;
    let import = IMPORT.into();
    let mut admin = Admin::connect(&node.dir).expect("a running node");
    let answer = admin.ask::<Imported>(&Request::Import { import, posts });
    assert_eq!(answer.expect("posts are taken in a cut").posted, count);
}

fn line(user: &str, number: u32) -> ImportPost {
    ImportPost {
        line: u64::from(number) + 1,
        channel: CHANNEL.into(),
        user: user.into(),
        message: message(user, number),
        create_at_ms: BEGIN_MS + u64::from(number),
    }
}

fn message(user: &str, number: u32) -> String {
    format!("{number}: {user} is alone")
}

fn messages_of(posts: &[PostInfo], author: &str) -> Vec<String> {
    let own = posts.iter().filter(|post| post.author == author);
    own.map(|post| post.message.clone().expect("a readable post"))
        .collect()
}
