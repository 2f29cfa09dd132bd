//! The table at the end of a demonstration, and the same for programs.

use serde::Serialize;

use super::super::table::{Table, bytes, left, right, short, thousands};
use super::race::Outcome;
use crate::api::{Digests, NodeStatus};

/// What a demonstration came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Posts in the file.
    posts: u64,
    pub converged: bool,
    /// From the first post to equal digests everywhere.
    seconds: f64,
    /// From then until everything was final everywhere; none if that was waited for in vain.
    final_seconds: Option<f64>,
    /// Posts written, over that time.
    events_per_second: f64,
    /// Processor time of all nodes together, over that time, per 1,000 posts written.
    cpu_seconds_per_1000_events: f64,
    nodes: Vec<NodeReport>,
}

/// What one node has and has used.
#[derive(Debug, Serialize)]
struct NodeReport {
    partner: String,
    posts: u64,
    events: u64,
    timeline: String,
    state: String,
    wire_bytes_sent: u64,
    wire_bytes_received: u64,
    disk_bytes: u64,
    rss_bytes: u64,
    cpu_seconds: f64,
}

impl Report {
    /// Sums an outcome up; `posts` is what the file has.
    pub fn new(posts: u64, outcome: Outcome) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let written = outcome.imports.posted as f64;
        let thousands = (written / 1000.0).max(f64::MIN_POSITIVE);
        let cpu = match outcome.imports.posted {
            0 => 0.0,
            _ => outcome.cpu.as_secs_f64() / thousands,
        };
        Self {
            posts,
            converged: outcome.converged,
            seconds: rounded(seconds),
            final_seconds: outcome.settled.map(|took| rounded(took.as_secs_f64())),
            events_per_second: rounded(written / seconds.max(f64::MIN_POSITIVE)),
            cpu_seconds_per_1000_events: rounded(cpu),
            nodes: outcome
                .statuses
                .into_iter()
                .zip(outcome.digests)
                .map(|(status, digests)| NodeReport::new(status, digests))
                .collect(),
        }
    }

    /// The table and the figures below it.
    pub fn text(&self) -> String {
        format!("{}\n\n{}", self.table().render(), self.summary())
    }

    fn table(&self) -> Table {
        let mut table = Table::new([
            left("NODE"),
            right("POSTS"),
            right("EVENTS"),
            left("TIMELINE"),
            left("STATE"),
            right("SENT"),
            right("RECEIVED"),
            right("ON DISK"),
            right("MEMORY"),
            right("CPU"),
        ]);
        for node in &self.nodes {
            table.row([
                node.partner.clone(),
                thousands(node.posts),
                thousands(node.events),
                short(&node.timeline),
                short(&node.state),
                bytes(node.wire_bytes_sent),
                bytes(node.wire_bytes_received),
                bytes(node.disk_bytes),
                bytes(node.rss_bytes),
                format!("{:.1} s", node.cpu_seconds),
            ]);
        }
        table
    }

    fn summary(&self) -> String {
        let verdict = match self.converged {
            true => format!(
                "converged: {} posts, the same at every node",
                thousands(self.posts)
            ),
            false => format!("NOT CONVERGED: {}", self.differences().join("; ")),
        };
        let settled = match (self.converged, self.final_seconds) {
            (true, Some(seconds)) => format!("final everywhere {seconds:.1} s later\n"),
            (true, None) => "NOT FINAL: some acknowledgements have not come\n".into(),
            (false, _) => String::new(),
        };
        format!(
            "{verdict}\n{:.1} s from the first post to equal digests everywhere\n{settled}{} \
             posts a second\n{:.2} CPU-seconds per 1,000 posts, all nodes together",
            self.seconds,
            thousands(self.events_per_second as u64),
            self.cpu_seconds_per_1000_events
        )
    }

    /// Which node lacks what, in words.
    fn differences(&self) -> Vec<String> {
        let most = self
            .nodes
            .iter()
            .max_by_key(|node| (node.posts, node.events));
        let Some(most) = most else {
            return Vec::new();
        };
        let mut differences: Vec<String> = self
            .nodes
            .iter()
            .filter_map(|node| node.difference(most))
            .collect();
        if most.posts < self.posts {
            let lacking = thousands(self.posts - most.posts);
            differences.push(format!("{lacking} posts of the file are at no node"));
        }
        differences
    }
}

impl NodeReport {
    fn new(status: NodeStatus, digests: Digests) -> Self {
        Self {
            partner: status.partner,
            posts: digests.posts,
            events: digests.events,
            timeline: digests.timeline,
            state: digests.state,
            wire_bytes_sent: status.wire_bytes_sent,
            wire_bytes_received: status.wire_bytes_received,
            disk_bytes: status.disk_bytes,
            rss_bytes: status.rss_bytes,
            cpu_seconds: status.cpu_ms as f64 / 1000.0,
        }
    }

    fn difference(&self, most: &Self) -> Option<String> {
        let name = &self.partner;
        let lacking = most.posts.saturating_sub(self.posts);
        if lacking > 0 {
            return Some(format!("{name} lacks {} posts", thousands(lacking)));
        }
        if self.timeline == most.timeline && self.state == most.state {
            return None;
        }
        let other = &most.partner;
        Some(format!(
            "{name} has as many posts as {other}, but other digests"
        ))
    }
}

/// To thousandths: more digits would claim more than is measured.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::super::import::Imports;
    use super::*;

    #[test]
    fn programs_find_every_field_that_was_promised() {
        let report = Report::new(2, outcome(&[("alpha", 2, "aa"), ("bravo", 2, "aa")]));
        let value = serde_json::to_value(&report).unwrap();
        for field in [
            "posts",
            "converged",
            "seconds",
            "final_seconds",
            "events_per_second",
            "nodes",
        ] {
            assert!(value.get(field).is_some(), "{field}");
        }
        for field in [
            "partner",
            "posts",
            "events",
            "timeline",
            "state",
            "wire_bytes_sent",
            "wire_bytes_received",
            "disk_bytes",
            "rss_bytes",
        ] {
            assert!(value["nodes"][0].get(field).is_some(), "{field}");
        }
        assert_eq!(value["events_per_second"], 1.0);
        assert_eq!(value["cpu_seconds_per_1000_events"], 500.0);
    }

    #[test]
    fn people_see_one_row_per_node() {
        let text = Report::new(2, outcome(&[("alpha", 2, "aa"), ("bravo", 2, "aa")])).text();
        assert!(text.contains("converged: 2 posts"), "{text}");
        assert_eq!(
            text.lines()
                .take(3)
                .filter(|line| line.contains("aa"))
                .count(),
            2
        );
    }

    #[test]
    fn a_node_that_lacks_posts_is_named() {
        let nodes = [("alpha", 3, "aa"), ("bravo", 1, "bb"), ("charlie", 3, "cc")];
        let mut outcome = outcome(&nodes);
        outcome.converged = false;
        let text = Report::new(4, outcome).text();
        assert!(text.contains("bravo lacks 2 posts"), "{text}");
        assert!(text.contains("has as many posts as"), "{text}");
        assert!(
            text.contains("1 posts of the file are at no node"),
            "{text}"
        );
    }

    #[test]
    fn nothing_written_gives_figures_of_zero() {
        let mut outcome = outcome(&[("alpha", 2, "aa")]);
        outcome.imports = Imports::default();
        outcome.elapsed = Duration::ZERO;
        let value = serde_json::to_value(Report::new(2, outcome)).unwrap();
        assert_eq!(value["events_per_second"], 0.0);
        assert_eq!(value["cpu_seconds_per_1000_events"], 0.0);
    }

    fn outcome(nodes: &[(&str, u64, &str)]) -> Outcome {
        Outcome {
            converged: true,
            elapsed: Duration::from_secs(2),
            settled: Some(Duration::from_secs(1)),
            imports: Imports {
                posted: 2,
                skipped: 0,
            },
            cpu: Duration::from_secs(1),
            digests: nodes
                .iter()
                .map(|(_, posts, hex)| digests(*posts, hex))
                .collect(),
            statuses: nodes
                .iter()
                .map(|(name, posts, _)| status(name, *posts))
                .collect(),
        }
    }

    fn digests(posts: u64, hex: &str) -> Digests {
        Digests {
            posts,
            events: posts,
            timeline: hex.into(),
            state: hex.into(),
            channels: Vec::new(),
        }
    }

    fn status(partner: &str, posts: u64) -> NodeStatus {
        NodeStatus {
            limits_met: Default::default(),
            spare_writers: 2,
            spent_writers: 0,
            lost_seats: Vec::new(),
            partner: partner.into(),
            partner_id: String::new(),
            version: String::new(),
            listen: String::new(),
            mode: String::new(),
            uptime_s: 0,
            channels: 1,
            events: posts,
            posts,
            parked_events: 0,
            parked_bytes: 0,
            disk_bytes: 1,
            rss_bytes: 1,
            wire_bytes_sent: 1,
            wire_bytes_received: 1,
            wire_datagrams_sent: 1,
            wire_datagrams_received: 1,
            cpu_ms: 1,
            peers: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
