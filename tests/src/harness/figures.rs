//! What the parts came to, together.

use serde::Serialize;
use serde_json::{Map, Value};

/// A part's own figures: the JSON object that it prints last.
pub type Figures = Map<String, Value>;

/// The figures of a whole campaign, in the order in which they are printed.
#[derive(Debug, Default, Clone, PartialEq, Serialize)]
pub struct Total {
    /// Meshes of replicas that were played, what went wrong in them, and what hostile partners did.
    pub seeds: u64,
    pub faults: u64,
    pub byzantine_acts: u64,
    /// Of replicas and of whole nodes.
    pub simulated_hours: f64,
    /// Lives of whole nodes in virtual time, and how many of their nodes ended where they stood.
    pub node_runs: u64,
    pub node_crashes: u64,
    /// Cuts of the power under a store, in those lives and of single nodes.
    pub power_cuts: u64,
    pub planted_found: u64,
    pub planted_total: u64,
    pub replay_mismatches: u64,
    /// What the parts found, and parts that did not do what they should.
    pub failures: u64,
}

impl Total {
    /// Adds what one part has printed.
    pub fn add(&mut self, figures: &Figures) {
        let count = |name: &str| figures.get(name).and_then(Value::as_u64).unwrap_or(0);
        self.seeds += count("seeds");
        self.faults += count("faults");
        self.byzantine_acts += count("byzantine_acts");
        let hours = figures.get("simulated_hours").and_then(Value::as_f64);
        self.simulated_hours += hours.unwrap_or(0.0);
        self.node_runs += count("node_runs");
        self.node_crashes += count("node_crashes");
        self.power_cuts += count("power_cuts");
        self.planted_found += count("planted_found");
        self.planted_total += count("planted_total");
        self.replay_mismatches += count("replay_mismatches");
        self.failures += count("failures");
    }

    /// One line of JSON, hours to a tenth.
    pub fn line(&self) -> String {
        let rounded = Total {
            simulated_hours: (self.simulated_hours * 10.0).round() / 10.0,
            ..self.clone()
        };
        serde_json::to_string(&rounded).expect("numbers only")
    }
}
