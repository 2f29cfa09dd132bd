//! A short memory of how the node was doing, for the console's plots.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde::Serialize;

use super::super::Web;
use crate::api::NodeStatus;
use crate::service::status;

/// How often is measured: a status reads counters, and the sizes of some dozen files.
pub const EVERY: Duration = Duration::from_secs(15);
/// Measurements that are kept: those of an hour, some 20 KB.
const KEPT: usize = 240;

/// What is measured at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sample {
    pub at_ms: u64,
    pub disk_bytes: u64,
    pub rss_bytes: u64,
    pub cpu_ms: u64,
    pub events: u64,
    pub parked_events: u64,
    /// Events that linked and unlinked peers are known to lack, together.
    pub behind_events: u64,
    /// Peers with which the node is linked.
    pub connected: u64,
    pub wire_bytes_sent: u64,
    pub wire_bytes_received: u64,
}

impl Sample {
    fn of(status: &NodeStatus, at_ms: u64) -> Sample {
        let linked = status.peers.iter().filter(|peer| peer.connected);
        Sample {
            at_ms,
            disk_bytes: status.disk_bytes,
            rss_bytes: status.rss_bytes,
            cpu_ms: status.cpu_ms,
            events: status.events,
            parked_events: status.parked_events,
            behind_events: status.peers.iter().map(|peer| peer.behind_events).sum(),
            connected: linked.count() as u64,
            wire_bytes_sent: status.wire_bytes_sent,
            wire_bytes_received: status.wire_bytes_received,
        }
    }
}

/// The latest measurements, the oldest first. They end with the process.
#[derive(Default)]
pub struct Samples {
    kept: Mutex<VecDeque<Sample>>,
}

impl Samples {
    pub fn all(&self) -> Vec<Sample> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().copied().collect()
    }

    fn keep(&self, sample: Sample) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.len() >= KEPT {
            kept.pop_front();
        }
        kept.push_back(sample);
    }
}

/// Measures for as long as the node serves its users.
pub async fn keep(web: Weak<Web>) {
    let mut due = tokio::time::interval(EVERY);
    due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        due.tick().await;
        let Some(web) = web.upgrade() else { return };
        measure(&web).await;
    }
}

async fn measure(web: &Arc<Web>) {
    let node = &web.home.node;
    // A node that is stopping has nothing to tell.
    if let Ok(status) = status::status(node).await {
        web.samples.keep(Sample::of(&status, node.now_ms()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_hour_is_kept() {
        let samples = Samples::default();
        for at_ms in 0..2 * KEPT as u64 {
            samples.keep(Sample {
                at_ms,
                ..Sample::default()
            });
        }
        let all = samples.all();
        assert_eq!(all.len(), KEPT);
        assert_eq!(all.first().map(|it| it.at_ms), Some(KEPT as u64));
    }
}
