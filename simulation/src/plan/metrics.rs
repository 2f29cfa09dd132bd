//! What the runs of a scenario amount to.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::event::Precedence;
use serde::Serialize;

use super::links::{Capacity, Counters, Shape};
use super::run::{DOWN_AFTER_MS, Record, Written};
use super::scenario::Scenario;

/// A median above this comes from waiting for a link rather than from its latency.
const QUEUEING_MS: u64 = 10_000;
/// Ends of outages that are told one by one.
const HEALED_SHOWN: usize = 40;

/// The figures of a scenario. Times are milliseconds of the simulation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub name: String,
    pub about: String,
    pub sources: Vec<String>,
    pub seed: u64,
    pub runs: u64,
    pub duration_ms: u64,
    pub settle_ms: u64,
    pub partners: Vec<String>,
    /// Of all runs together, as everything but the series below.
    pub posts: u64,
    /// Posts that their home node refused, or that found it off or in hostile hands.
    pub refused: u64,
    /// Posts of hostile partners that reached honest ones, counted at each.
    pub flooded: u64,
    /// Accusations among honest partners: anything but zero is a fault of the program.
    pub accusations: u64,
    /// Posts times readers other than their author.
    pub deliveries: u64,
    /// What had not arrived at the end of the run, at partners that were still there.
    pub missing: u64,
    pub delay: Option<Delay>,
    /// By precedence, the most urgent first; those that somebody used.
    pub classes: Vec<Class>,
    pub pairs: Vec<Pair>,
    pub healed: Vec<Convergence>,
    pub links: Vec<LinkUse>,
    pub bytes_on_links: u64,
    /// The texts' bytes, once per delivery.
    pub useful_bytes: u64,
    pub bytes_per_useful_byte: Option<f64>,
    /// Of the first run.
    pub at_ms: Vec<u64>,
    pub backlog: Vec<Backlog>,
    pub disk: Vec<Disk>,
    /// What the reader should know before relying on the figures.
    pub notes: Vec<String>,
}

/// From writing a post to its acceptance by another partner's node, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Delay {
    pub p50_ms: u64,
    pub p95_ms: u64,
    pub p99_ms: u64,
    pub max_ms: u64,
}

/// What one partner wrote, at another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    pub from: String,
    pub to: String,
    pub delivered: u64,
    pub missing: u64,
    pub delay: Option<Delay>,
}

/// What was written with one precedence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Class {
    pub precedence: String,
    pub delivered: u64,
    pub missing: u64,
    pub delay: Option<Delay>,
}

/// How long it took, after an outage or partition, until what was written before its end was
/// everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Convergence {
    pub what: String,
    pub ended_ms: u64,
    pub lasted_ms: u64,
    /// Posts that waited at the end, counted at each reader; the most of all runs.
    pub waiting: u64,
    /// The longest of all runs; none where it did not happen within one.
    pub took_ms: Option<u64>,
}

/// One direction of a link.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinkUse {
    pub from: String,
    pub to: String,
    pub latency_ms: f64,
    /// Bits per second; none for unlimited. Of a trace, the mean.
    pub capacity_bits: Option<u64>,
    pub bytes: u64,
    pub packets: u64,
    pub lost: u64,
    /// Of the capacity, over the whole run.
    pub used_percent: Option<f64>,
    pub longest_silence_ms: u64,
}

/// What waited on one direction of a link, at each sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Backlog {
    pub from: String,
    pub to: String,
    /// The most bytes in the sender's queue since the sample before.
    pub queued_bytes: Vec<u64>,
    /// Posts for the receiver that the sender holds and the receiver does not.
    pub posts: Vec<u64>,
}

/// A partner's disk: what its store holds, keys and values, at each sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Disk {
    pub partner: String,
    pub bytes: Vec<u64>,
    /// Growth over the run for each post held.
    pub per_post: Option<f64>,
}

/// Adds up what the runs of a scenario brought to light.
pub fn report(scenario: &Scenario, seed: u64, records: &[Record]) -> Report {
    let sum = |of: fn(&Record) -> u64| records.iter().map(of).sum::<u64>();
    let pairs = pairs(scenario, records);
    let links = links(scenario, records);
    let bytes_on_links: u64 = links.iter().map(|link| link.bytes).sum();
    let useful_bytes = records.iter().map(useful).sum();
    let mut delays: Vec<u64> = records.iter().flat_map(deliveries).collect();
    let missing = pairs.iter().map(|pair| pair.missing).sum();
    let mut report = Report {
        name: scenario.name.clone(),
        about: scenario.about.clone(),
        sources: scenario.sources.clone(),
        seed,
        runs: records.len() as u64,
        duration_ms: scenario.duration_ms,
        settle_ms: scenario.settle_ms,
        partners: scenario.partners.clone(),
        posts: sum(|it| it.posts.len() as u64),
        refused: sum(|it| it.refused),
        flooded: sum(|it| it.flooded),
        accusations: sum(|it| it.accusations),
        deliveries: delays.len() as u64 + missing,
        missing,
        delay: delay(&mut delays),
        classes: classes(records),
        pairs,
        healed: healed(records),
        links,
        bytes_on_links,
        useful_bytes,
        bytes_per_useful_byte: ratio(bytes_on_links, useful_bytes, 1),
        at_ms: Vec::new(),
        backlog: Vec::new(),
        disk: Vec::new(),
        notes: Vec::new(),
    };
    if let Some(first) = records.first() {
        report.at_ms = first.samples.iter().map(|it| it.at_ms).collect();
        report.backlog = backlog(scenario, first);
        report.disk = disk(scenario, first);
    }
    report.notes = notes(&report, records);
    report
}

/// The delays of a run's deliveries, wherever they went.
fn deliveries(record: &Record) -> impl Iterator<Item = u64> {
    let arrivals = record.arrivals.iter();
    arrivals.filter_map(|((number, partner), at)| {
        let post = &record.posts[*number];
        (*partner != post.from).then(|| at.saturating_sub(post.at_ms))
    })
}

fn useful(record: &Record) -> u64 {
    let arrivals = record.arrivals.keys();
    let bytes = arrivals.map(|(number, partner)| {
        let post = &record.posts[*number];
        if *partner == post.from { 0 } else { post.bytes }
    });
    bytes.sum()
}

/// Whether a post has not arrived at a partner that is to have it and is still there.
fn lacks(record: &Record, number: usize, post: &Written, partner: usize) -> bool {
    post.from != partner
        && post.readers.contains(&partner)
        && !record.gone.contains_key(&partner)
        && !record.arrivals.contains_key(&(number, partner))
}

fn delay(delays: &mut [u64]) -> Option<Delay> {
    delays.sort_unstable();
    // The nearest rank: the least delay that so many per cent do not exceed.
    let rank = |percent: usize| delays[(delays.len() * percent).div_ceil(100) - 1];
    (!delays.is_empty()).then(|| Delay {
        p50_ms: rank(50),
        p95_ms: rank(95),
        p99_ms: rank(99),
        max_ms: rank(100),
    })
}

fn classes(records: &[Record]) -> Vec<Class> {
    use Precedence::{Flash, Immediate, Priority, Routine};
    let classes = [
        (Flash, "flash"),
        (Immediate, "immediate"),
        (Priority, "priority"),
        (Routine, "routine"),
    ];
    let class = |(precedence, name): (Precedence, &str)| {
        let (mut delays, mut missing) = (Vec::new(), 0);
        for record in records {
            let posts = record.posts.iter().enumerate();
            for (number, post) in posts.filter(|(_, post)| post.precedence == precedence) {
                for reader in post.readers.iter().filter(|it| **it != post.from) {
                    let arrived = record.arrivals.get(&(number, *reader));
                    delays.extend(arrived.map(|at| at.saturating_sub(post.at_ms)));
                    missing += u64::from(lacks(record, number, post, *reader));
                }
            }
        }
        Class {
            precedence: name.into(),
            delivered: delays.len() as u64,
            missing,
            delay: delay(&mut delays),
        }
    };
    let classes = classes.map(class).into_iter();
    classes.filter(|it| it.delivered + it.missing > 0).collect()
}

fn pairs(scenario: &Scenario, records: &[Record]) -> Vec<Pair> {
    let mut delays: BTreeMap<(usize, usize), Vec<u64>> = BTreeMap::new();
    let mut missing: BTreeMap<(usize, usize), u64> = BTreeMap::new();
    for record in records {
        for (number, post) in record.posts.iter().enumerate() {
            for reader in post.readers.iter().filter(|it| **it != post.from) {
                let pair = (post.from, *reader);
                match record.arrivals.get(&(number, *reader)) {
                    Some(at) => delays
                        .entry(pair)
                        .or_default()
                        .push(at.saturating_sub(post.at_ms)),
                    None if lacks(record, number, post, *reader) => {
                        *missing.entry(pair).or_default() += 1;
                    }
                    None => {}
                }
            }
        }
    }
    let keys: BTreeSet<_> = delays.keys().chain(missing.keys()).copied().collect();
    let pair = |(from, to): (usize, usize)| {
        let delays = delays.get_mut(&(from, to)).map(std::mem::take);
        let mut delays = delays.unwrap_or_default();
        Pair {
            from: scenario.partners[from].clone(),
            to: scenario.partners[to].clone(),
            delivered: delays.len() as u64,
            missing: missing.get(&(from, to)).copied().unwrap_or(0),
            delay: delay(&mut delays),
        }
    };
    keys.into_iter().map(pair).collect()
}

/// The outages end at the same times in every run.
fn healed(records: &[Record]) -> Vec<Convergence> {
    let ends = records.first().map_or(&[][..], |it| &it.healed);
    let ends = ends.iter().take(HEALED_SHOWN);
    ends.map(|end| {
        let runs: Vec<(u64, Option<u64>)> = records
            .iter()
            .map(|record| converged(record, end.at_ms))
            .collect();
        let took: Option<Vec<u64>> = runs.iter().map(|run| run.1).collect();
        Convergence {
            what: end.what.clone(),
            ended_ms: end.at_ms,
            lasted_ms: end.lasted_ms,
            waiting: runs.iter().map(|run| run.0).max().unwrap_or(0),
            took_ms: took.and_then(|took| took.into_iter().max()),
        }
    })
    .collect()
}

/// What waited at this moment, and how long it was until all of it was there.
fn converged(record: &Record, at_ms: u64) -> (u64, Option<u64>) {
    let (mut waiting, mut took) = (0, Some(0));
    for (number, post) in record.posts.iter().enumerate() {
        if post.at_ms > at_ms {
            continue;
        }
        for reader in &post.readers {
            match record.arrivals.get(&(number, *reader)) {
                Some(arrived) if *arrived > at_ms => {
                    waiting += 1;
                    took = took.map(|took: u64| took.max(arrived - at_ms));
                }
                None if lacks(record, number, post, *reader) => {
                    waiting += 1;
                    took = None;
                }
                _ => {}
            }
        }
    }
    (waiting, took)
}

fn links(scenario: &Scenario, records: &[Record]) -> Vec<LinkUse> {
    let ms = (scenario.duration_ms + scenario.settle_ms) * records.len() as u64;
    let mut uses = Vec::new();
    for ((a, b), link) in &scenario.links {
        for (from, to, shape) in [(a, b, &link.shape.forth), (b, a, &link.shape.back)] {
            let mut sum = Counters::default();
            for counters in records
                .iter()
                .filter_map(|it| it.counters.get(&(*from, *to)))
            {
                sum.bytes += counters.bytes;
                sum.packets += counters.packets;
                sum.lost += counters.lost;
                sum.silence_us = sum.silence_us.max(counters.silence_us);
            }
            let capacity_bits = bits(shape);
            let possible = capacity_bits.map(|bits| bits / 8 * ms / 1000);
            uses.push(LinkUse {
                from: scenario.partners[*from].clone(),
                to: scenario.partners[*to].clone(),
                latency_ms: shape.latency_us as f64 / 1000.0,
                capacity_bits,
                bytes: sum.bytes,
                packets: sum.packets,
                lost: sum.lost,
                used_percent: possible.and_then(|possible| ratio(sum.bytes, possible, 100)),
                longest_silence_ms: sum.silence_us / 1000,
            });
        }
    }
    uses
}

fn bits(shape: &Shape) -> Option<u64> {
    match &shape.capacity {
        Capacity::Unlimited => None,
        Capacity::Rate(bits) => Some(*bits),
        Capacity::Trace(trace) => Some(trace.mean_bits()),
    }
}

/// A ratio times `times`, with three decimals.
fn ratio(of: u64, to: u64, times: u64) -> Option<f64> {
    let thousandths = (u128::from(of) * u128::from(times) * 1000).checked_div(u128::from(to))?;
    Some(thousandths as f64 / 1000.0)
}

fn backlog(scenario: &Scenario, record: &Record) -> Vec<Backlog> {
    let times: Vec<u64> = record.samples.iter().map(|it| it.at_ms).collect();
    let both = |(a, b): &(usize, usize)| [(*a, *b), (*b, *a)];
    let ways = scenario.links.keys().flat_map(both);
    ways.map(|(from, to)| {
        let queued = |sample: &super::run::Sample| sample.queued.get(&(from, to)).copied();
        Backlog {
            from: scenario.partners[from].clone(),
            to: scenario.partners[to].clone(),
            queued_bytes: record
                .samples
                .iter()
                .map(|sample| queued(sample).unwrap_or(0))
                .collect(),
            posts: waiting(record, from, to, &times),
        }
    })
    .collect()
}

/// Posts that one partner holds and another lacks, at these times.
fn waiting(record: &Record, from: usize, to: usize, times: &[u64]) -> Vec<u64> {
    // What begins and ends to wait at each sample, added up below.
    let mut change = vec![0_i64; times.len() + 1];
    let sample = |at: u64| times.partition_point(|time| *time < at);
    let gone = record.gone.get(&to).copied().unwrap_or(u64::MAX);
    for (number, post) in record.posts.iter().enumerate() {
        let reads = post.readers.contains(&to) && post.readers.contains(&from);
        let held = record.arrivals.get(&(number, from)).filter(|_| reads);
        let Some(held) = held else { continue };
        let arrived = record.arrivals.get(&(number, to)).copied();
        let until = arrived.unwrap_or(gone);
        if *held < until {
            change[sample(*held)] += 1;
            change[sample(until)] -= 1;
        }
    }
    let mut now = 0;
    change[..times.len()]
        .iter()
        .map(|change| {
            now += change;
            now as u64
        })
        .collect()
}

fn disk(scenario: &Scenario, record: &Record) -> Vec<Disk> {
    let partners = scenario.partners.iter().enumerate();
    partners
        .map(|(partner, name)| {
            let bytes: Vec<u64> = record.samples.iter().map(|it| it.disk[partner]).collect();
            let grown = bytes.last().zip(bytes.first());
            let grown = grown.map_or(0, |(last, first)| last.saturating_sub(*first));
            let held = record.arrivals.keys().filter(|(_, at)| *at == partner);
            Disk {
                partner: name.clone(),
                per_post: ratio(grown, held.count() as u64, 1),
                bytes,
            }
        })
        .collect()
}

fn notes(report: &Report, records: &[Record]) -> Vec<String> {
    let mut notes = Vec::new();
    let full = |link: &&LinkUse| link.used_percent.is_some_and(|used| used > 80.0);
    for link in report.links.iter().filter(full) {
        notes.push(format!(
            "{} to {} is full: {:.0} % of its capacity was used over the whole run. Delays grow \
             with the length of the run.",
            link.from,
            link.to,
            link.used_percent.unwrap_or(0.0)
        ));
    }
    let silent = |link: &&LinkUse| link.longest_silence_ms > DOWN_AFTER_MS;
    for link in report.links.iter().filter(silent) {
        notes.push(format!(
            "{} to {} was silent for up to {} s while it counted as up. A node takes {} s for an \
             outage and begins anew, which the simulation does not do.",
            link.from,
            link.to,
            link.longest_silence_ms / 1000,
            DOWN_AFTER_MS / 1000
        ));
    }
    if let [first, .., last] = &report.classes[..]
        && let (Some(first_delay), Some(last_delay)) = (first.delay, last.delay)
        && first_delay.p50_ms >= last_delay.p50_ms
        && last_delay.p50_ms > QUEUEING_MS
    {
        notes.push(format!(
            "Posts of precedence {} arrived no sooner than those of precedence {}: on the links \
             they go first, but a node shows a post only after all that its author had seen.",
            first.precedence, last.precedence
        ));
    }
    if report.missing > 0 {
        notes.push(format!(
            "{} deliveries had not happened when the run ended. The delays leave them out, and so \
             are better than they should be; a longer settle shows them.",
            report.missing
        ));
    }
    if report.refused > 0 {
        notes.push(format!(
            "{} posts were not written: their author was no longer a member, or its node was off \
             or in hostile hands.",
            report.refused
        ));
    }
    let deliveries = report.deliveries - report.missing;
    if deliveries < 1_000 {
        notes.push(format!(
            "{deliveries} deliveries: the 99th percentile stands on {} of them. More runs (--runs) \
             make it firmer.",
            deliveries.div_ceil(100)
        ));
    }
    if records
        .iter()
        .any(|record| record.healed.len() > HEALED_SHOWN)
    {
        notes.push(format!(
            "The first {HEALED_SHOWN} ends of outages are listed."
        ));
    }
    if report.accusations > 0 {
        notes.push(format!(
            "{} accusations among honest partners: a fault of this program. Please report it with \
             the scenario and the seed {}.",
            report.accusations, report.seed
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_the_nearest_rank() {
        let mut hundred: Vec<u64> = (1..=100).rev().collect();
        let found = delay(&mut hundred).unwrap();
        let ranks = [found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms];
        assert_eq!(ranks, [50, 95, 99, 100]);
        assert_eq!(delay(&mut [7]).unwrap().p50_ms, 7);
        assert_eq!(delay(&mut []), None);
    }

    #[test]
    fn what_waits_is_counted_from_its_writing_to_its_arrival() {
        let mut record = Record::default();
        let post = |at_ms| Written {
            at_ms,
            from: 0,
            bytes: 1,
            precedence: Precedence::Routine,
            readers: BTreeSet::from([0, 1]),
        };
        record.posts = vec![post(5), post(12)];
        record.arrivals = BTreeMap::from([((0, 0), 5), ((0, 1), 25), ((1, 0), 12)]);
        assert_eq!(waiting(&record, 0, 1, &[0, 10, 20, 30]), [0, 1, 2, 1]);
        assert_eq!(waiting(&record, 1, 0, &[0, 10, 20, 30]), [0, 0, 0, 0]);
        assert_eq!(converged(&record, 20), (2, None));
        record.arrivals.insert((1, 1), 27);
        assert_eq!(converged(&record, 20), (2, Some(7)));
    }
}
