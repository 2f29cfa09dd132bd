//! What processes have used, read from outside.

use std::time::Instant;

use comity_node::api::{NodeStatus, Request};
use comity_tests::Node;
use comity_tests::admin::Admin;

/// Ethernet, IPv4 and UDP headers of a datagram: what the counters of a network interface see
/// beyond the payload.
const HEADER_BYTES: u64 = 14 + 20 + 8;

/// One node at one moment.
pub struct Reading {
    pub at: Instant,
    pub cpu_seconds: f64,
    /// Both directions, headers included.
    pub link_bytes: u64,
    pub disk_bytes: u64,
    pub posts: u64,
}

impl Reading {
    pub fn of(node: &Node) -> Reading {
        let cpu_seconds = node.cpu_seconds();
        let status = status(&mut connect(node));
        let payload = status.wire_bytes_sent + status.wire_bytes_received;
        let datagrams = status.wire_datagrams_sent + status.wire_datagrams_received;
        Reading {
            at: Instant::now(),
            cpu_seconds,
            link_bytes: payload + HEADER_BYTES * datagrams,
            disk_bytes: status.disk_bytes,
            posts: status.posts,
        }
    }

    pub fn all(nodes: &[Node]) -> Vec<Reading> {
        nodes.iter().map(Reading::of).collect()
    }
}

/// A conversation with a node.
pub fn connect(node: &Node) -> Admin {
    Admin::connect(&node.dir).unwrap_or_else(|error| panic!("{}: {error}", node.name))
}

/// How a node is.
pub fn status(admin: &mut Admin) -> NodeStatus {
    admin.ask(&Request::Status).expect("a running node")
}

/// Processor time of all living threads of this process, in seconds.
pub fn own_cpu_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux tells a process its threads");
    // A thread may end between the two looks.
    let times = tasks
        .flatten()
        .filter_map(|task| run_time(&task.path().join("schedstat")));
    times.sum()
}

/// Processor time of this thread, in seconds.
pub fn thread_cpu_seconds() -> f64 {
    run_time("/proc/thread-self/schedstat".as_ref()).expect("Linux counts a thread's time")
}

fn run_time(path: &std::path::Path) -> Option<f64> {
    let text = std::fs::read_to_string(path).ok()?;
    let nanoseconds: u64 = text.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

/// The value below which this part of the sorted values lies.
pub fn percentile(sorted: &[f64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    sorted[at.min(sorted.len() - 1)]
}
