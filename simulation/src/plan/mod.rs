//! Planning: what a mission's links and traffic will make of its channels.
//!
//! A [`Scenario`] describes partners, links, traffic and events. [`simulate`] runs the machines of
//! the partners' nodes on it and gives a [`Report`], as HTML, JSON or text. The same scenario and
//! seed give the same report, byte for byte.

pub(crate) mod links;
mod metrics;
mod profiles;
mod report;
mod run;
mod scenario;
mod trace;
mod traffic;
mod values;

pub use metrics::{Backlog, Class, Convergence, Delay, Disk, LinkUse, Pair, Report};
pub use profiles::{PROFILES, Profile};
pub use run::Progress;
pub use scenario::{
    DURATION_MAX_MS, PARTNERS_MAX, POSTS_MAX, Planned, PlannedLink, Refusal, Scenario, Size,
    Traffic, What,
};

/// The most runs that one report adds up.
pub const RUNS_MAX: u64 = 100;

/// Runs a scenario `runs` times, with this seed and those that follow it. `tell` hears how far it
/// is: the number of the run, from 0, and its progress.
pub fn simulate(
    scenario: &Scenario,
    seed: u64,
    runs: u64,
    tell: &mut dyn FnMut(u64, Progress),
) -> Report {
    let records: Vec<run::Record> = (0..runs.clamp(1, RUNS_MAX))
        .map(|number| {
            let seed = seed.wrapping_add(number);
            run::run(scenario, seed, &mut |progress| tell(number, progress))
        })
        .collect();
    metrics::report(scenario, seed, &records)
}

#[cfg(test)]
mod tests;
