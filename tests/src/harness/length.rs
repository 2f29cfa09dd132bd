//! How long a campaign goes on, and what it has cost.

use std::time::{Duration, Instant};

/// How long a campaign is.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// So many runs.
    Runs(u64),
    /// As many runs as begin within this time.
    Time(Duration),
}

impl Length {
    /// Of what a person has asked for; one run when that is nothing.
    pub fn of(runs: Option<u64>, minutes: Option<f64>) -> Length {
        match (runs, minutes) {
            (Some(runs), _) => Length::Runs(runs),
            (None, Some(minutes)) => Length::Time(Duration::from_secs_f64(minutes * 60.0)),
            (None, None) => Length::Runs(1),
        }
    }

    /// Whether no run begins any more, after so many since then.
    pub fn is_over(self, runs: u64, begun: Instant) -> bool {
        match self {
            Length::Runs(most) => runs >= most,
            Length::Time(time) => begun.elapsed() >= time,
        }
    }
}

/// User and system time of this process and all its threads in seconds, as the system counts it.
pub fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in brackets, may have blanks.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / TICKS_PER_S
}

/// Linux tells programs of time in these, whatever the kernel's own are.
const TICKS_PER_S: f64 = 100.0;
