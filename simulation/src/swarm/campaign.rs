//! Many seeds on all cores, and what they come to.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Failure, Outcome, run};

/// Every so many seeds one is played twice.
const REPLAYED: u64 = 50;
/// After so many seeds all of [`MUST_REACH`] must have been reached.
pub const SEEDS_TO_REACH_ALL: u64 = 400;

/// Fault kinds, states and refusals that a campaign must have met; one that it never meets is one
/// that it does not test.
pub const MUST_REACH: &[&str] = &[
    "cut",
    "clog",
    "slow",
    "split",
    "one-way",
    "isolate",
    "flap",
    "overflow",
    "crash",
    "pause",
    "snapshot",
    "rollback",
    "wipe",
    "rot",
    "misdirect",
    "sync-error",
    "full",
    "stall",
    "drift",
    "jump",
    "stick",
    "mend",
    "swap-sides",
    "forge",
    "fork",
    "backdate",
    "garbage",
    "oversize",
    "replay",
    "flood",
    "lie-heads",
    "deep",
    "wide",
    "wrong-key",
    "wrong-audience",
    "widen-dep",
    "quorum-game",
    "ghost-act",
    "ask-foreign",
    "offer-many",
    "withhold",
    "relent",
    "leak",
    "events leaked",
    "echo",
    "corrupt",
    "links up",
    "starts",
    "crash lost a write",
    "crash tore a write",
    "crash after a write",
    "sync failed",
    "disk full",
    "damage found at a start",
    "damage found while serving",
    "misbehaviour noticed",
    "forks noticed",
    "own log ahead",
    "limits met",
    "keys given",
    "keys obtained",
    "seats transferred",
    "joins",
    "orders done",
    "core of some",
    "settled within 10 s",
    "settled within 60 s",
    "messages of the removed",
    "acts of the removed",
    "quorum games",
    "pulses heard",
    "spoke in congestion",
    "refused: not a member",
    "refused: not allowed",
    "refused: already there",
    "refused: quorum missing",
    "refused: no member",
    "refused: restored from an old copy",
];

/// How long, and where to begin.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub first: u64,
    pub seeds: u64,
    pub time: Option<Duration>,
    pub jobs: usize,
    /// Whether to say how far it has come, on standard error.
    pub progress: bool,
    /// Stop at the first failure.
    pub stop: bool,
}

/// What the seeds came to.
#[derive(Debug, Default)]
pub struct Summary {
    pub seeds: u64,
    /// Faults that hit something, by kind.
    pub hits: BTreeMap<&'static str, u64>,
    pub byzantine_acts: u64,
    pub simulated_ms: u64,
    pub steps: u64,
    pub events: u64,
    pub replayed: u64,
    pub replay_mismatches: u64,
    pub reached: BTreeMap<&'static str, u64>,
    /// By seed.
    pub failures: BTreeMap<u64, Failure>,
}

impl Summary {
    fn take(&mut self, outcome: Outcome) {
        self.seeds += 1;
        for (kind, times) in outcome.hits {
            *self.hits.entry(kind).or_insert(0) += times;
        }
        self.byzantine_acts += outcome.byzantine_acts;
        self.simulated_ms += outcome.simulated_ms;
        self.steps += outcome.steps;
        self.events += outcome.events;
        for (what, times) in outcome.reached {
            *self.reached.entry(what).or_insert(0) += times;
        }
        if let Some(failure) = outcome.failure {
            self.failures.insert(outcome.options.seed, failure);
        }
    }

    /// How many faults hit something.
    pub fn faults(&self) -> u64 {
        self.hits.values().sum()
    }

    /// What must be reached and never was; nothing where there were too few seeds to say.
    pub fn never_reached(&self) -> Vec<&'static str> {
        if self.seeds < SEEDS_TO_REACH_ALL {
            return Vec::new();
        }
        let all = MUST_REACH.iter().copied();
        all.filter(|what| !self.reached.contains_key(what))
            .collect()
    }
}

/// Plays the seeds of a plan, one a thread at a time.
pub fn play_seeds(plan: Plan) -> Summary {
    let next = AtomicU64::new(plan.first);
    let stopped = AtomicBool::new(false);
    let summary = Mutex::new(Summary::default());
    let begin = Instant::now();
    let end = plan.first.saturating_add(plan.seeds);
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let late = plan.time.is_some_and(|time| begin.elapsed() >= time);
                    if seed >= end || late || stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = run(seed);
                    let again = seed.is_multiple_of(REPLAYED).then(|| run(seed).trace);
                    if outcome.failure.is_some() && plan.stop {
                        stopped.store(true, Ordering::Relaxed);
                    }
                    let mut summary = summary.lock().expect("no thread panics with it");
                    if let Some(again) = again {
                        summary.replayed += 1;
                        summary.replay_mismatches += u64::from(again != outcome.trace);
                    }
                    if let (true, Some(failure)) = (plan.progress, &outcome.failure) {
                        eprintln!("seed {seed} fails: {}", failure.oracle);
                    }
                    summary.take(outcome);
                    if plan.progress && summary.seeds.is_multiple_of(100) {
                        let seconds = begin.elapsed().as_secs();
                        eprintln!(
                            "{} seeds, {} failures, {seconds} s",
                            summary.seeds,
                            summary.failures.len()
                        );
                    }
                }
            });
        }
    });
    summary.into_inner().expect("no thread panics with it")
}
