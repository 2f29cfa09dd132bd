//! What a person sees on standard error while a demonstration runs.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::super::table::thousands;

/// How often a log, as opposed to a terminal, is told.
const LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Announces a step.
pub fn step(text: &str) {
    eprintln!("{text}");
}

/// Two bars: posts written at their home nodes, and posts that all nodes have.
pub struct Bars {
    bars: MultiProgress,
    written: ProgressBar,
    everywhere: ProgressBar,
    total: u64,
    told: Instant,
}

impl Bars {
    /// Bars of `total` posts.
    pub fn new(total: u64) -> Self {
        let bars = MultiProgress::new();
        let written = bars.add(bar(total, "posts written"));
        let everywhere = bars.add(bar(total, "posts everywhere"));
        Self {
            bars,
            written,
            everywhere,
            total,
            told: Instant::now(),
        }
    }

    /// Shows how far it is.
    pub fn show(&mut self, written: u64, everywhere: u64) {
        self.written.set_position(written);
        self.everywhere.set_position(everywhere);
        if !std::io::stderr().is_terminal() && self.told.elapsed() > LOG_INTERVAL {
            self.told = Instant::now();
            step(&format!(
                "{} of {} posts written, {} everywhere",
                thousands(written),
                thousands(self.total),
                thousands(everywhere)
            ));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // A terminal that is gone needs no clearing.
        let _ = self.bars.clear();
    }
}

fn bar(total: u64, name: &'static str) -> ProgressBar {
    let template = "{prefix:16} {wide_bar} {human_pos:>9}/{human_len}";
    let bar = ProgressBar::new(total).with_prefix(name);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
