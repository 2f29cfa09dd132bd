//! `make bench`: what replication costs, beside what it is compared with.
//!
//! Every row says its value, the floor or the peer that it is compared with, and how it was
//! measured. Processor time and bytes are the figures to trust; rates and latencies are those of
//! this machine at this moment, with whatever else it was doing.

mod channel;
mod ingest;
mod join;
mod meter;
mod outage;
mod report;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use report::Report;

/// What replication costs: CPU-seconds, bytes on the link and on disk, latency, catching up
#[derive(Debug, Parser)]
struct Arguments {
    /// What is measured; all of it when absent
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Rows>,

    /// Events in one channel, one run of `streaming` and `single` each; 1000000 takes minutes
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000])]
    events: Vec<u32>,

    /// Partners in the channel; more than two with the fewest events only
    #[arg(long, value_delimiter = ',', default_values_t = [2, 8, 32])]
    partners: Vec<u8>,

    /// Posts made one at a time for `single`
    #[arg(long, default_value_t = 500)]
    singles: u32,

    /// Lengths of the cuts for `outage`, in seconds; 240 outlasts every timer of a link
    #[arg(long, value_delimiter = ',', default_values_t = [30])]
    outages: Vec<u32>,

    /// One object a row instead of a table
    #[arg(long)]
    json: bool,

    /// Given by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Rows {
    /// Taking in and verifying a stream, in this process, on one core
    Ingest,
    /// A channel filled at one node while the others receive it
    Streaming,
    /// Posts one at a time, each after the one before it was read at another node
    Single,
    /// A link cut while both sides post
    Outage,
    /// A fresh partner that joins a channel with history
    Join,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let wanted = |rows: Rows| arguments.rows.is_empty() || arguments.rows.contains(&rows);
    let mut report = Report::new(arguments.json);
    if wanted(Rows::Ingest) {
        for events in &arguments.events {
            ingest::measure(&mut report, *events);
        }
    }
    let what = channel::What {
        streaming: wanted(Rows::Streaming),
        singles: if wanted(Rows::Single) {
            arguments.singles
        } else {
            0
        },
    };
    if what.streaming || what.singles > 0 {
        let fewest = arguments.events.iter().min();
        for partners in &arguments.partners {
            let all = arguments.events.iter();
            for events in all.filter(|events| *partners == 2 || Some(*events) == fewest) {
                channel::measure(&mut report, &what, *events, *partners);
            }
        }
    }
    if wanted(Rows::Outage) {
        for seconds in &arguments.outages {
            outage::measure(&mut report, *seconds);
        }
    }
    if wanted(Rows::Join) {
        for events in &arguments.events {
            join::measure(&mut report, *events);
        }
    }
    report.finish();
    ExitCode::SUCCESS
}
