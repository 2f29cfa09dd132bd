//! When people post what: drawn from the seed, evenly over the time in which they post.

use std::collections::BTreeSet;

use comity_protocol::event::{Precedence, UserName};
use comity_protocol::id::{ChannelId, PartnerId};
use comity_protocol::replica::{Command, Draft};

use super::scenario::{Scenario, Size, Traffic};
use crate::chance::Chance;

/// A post that somebody will write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    pub at_ms: u64,
    pub from: usize,
    pub bytes: u64,
    pub to: Option<BTreeSet<usize>>,
    pub precedence: Precedence,
}

/// All posts of a run, in order.
pub fn posts(scenario: &Scenario, chance: &mut Chance) -> Vec<Post> {
    let mut posts = Vec::new();
    for (number, traffic) in scenario.traffic.iter().enumerate() {
        for from in &traffic.from {
            let name = format!("traffic/{number}/{from}");
            posts.extend(of(traffic, *from, &name, chance));
        }
    }
    posts.sort_by_key(|post| (post.at_ms, post.from));
    posts
}

/// Their number is the rate times the time, and each falls on any moment alike: what a Poisson
/// process does once its count is known.
fn of(traffic: &Traffic, from: usize, name: &str, chance: &mut Chance) -> Vec<Post> {
    let span_ms = traffic.end_ms - traffic.begin_ms;
    let expected = u128::from(span_ms) * u128::from(traffic.posts_per_minute);
    let (count, rest) = (expected / 60_000_000_000, expected % 60_000_000_000);
    let one_more = u128::from(chance.below(name, 60_000_000_000)) < rest;
    let count = count as u64 + u64::from(one_more);
    (0..count)
        .map(|_| Post {
            at_ms: traffic.begin_ms + chance.below(name, span_ms),
            from,
            bytes: size(&traffic.sizes, name, chance),
            to: traffic.to.clone(),
            precedence: traffic.precedence,
        })
        .collect()
}

fn size(sizes: &[Size], name: &str, chance: &mut Chance) -> u64 {
    let shares = sizes.iter().map(|size| size.share).sum();
    let mut drawn = chance.below(name, shares);
    for size in sizes {
        if drawn < size.share {
            return size.least + chance.below(name, size.most - size.least + 1);
        }
        drawn -= size.share;
    }
    1
}

/// The order by which a post is written. Its text is as long as it should be and nothing else.
pub fn order(post: &Post, channel: ChannelId, ids: &[PartnerId], wall_ms: u64) -> Command {
    let audience = post.to.as_ref().map(|to| {
        let readers = to.iter().chain([&post.from]);
        readers.map(|partner| ids[*partner]).collect()
    });
    let draft = Draft {
        user: UserName::try_from("user".to_string()).expect("a legal name"),
        claimed_ms: wall_ms,
        precedence: post.precedence,
        audience,
        label: None,
    };
    Command::Post {
        channel,
        draft,
        text: "x".repeat(post.bytes as usize),
        reply_to: None,
        rows: Vec::new(),
    }
}
