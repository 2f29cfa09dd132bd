//! `comity status`: how the node is doing.

use std::path::Path;
use std::time::Duration;

use super::client::Node;
use super::escape::escape;
use super::exit::Exit;
use super::output::Output;
use super::peer::peer_table;
use super::table::{bytes, thousands};
use super::time::span;
use crate::api::{ApiError, NodeStatus, Request};

/// How long a node may take: its status costs it nothing, and monitoring waits.
const SILENCE: Duration = Duration::from_secs(10);
/// The mode of a node that runs.
const SERVING: &str = "serving";

pub async fn run(dir: &Path, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    node.wait_at_most(SILENCE);
    let status: NodeStatus = node.ask_one(Request::Status).await?;
    output.answer(&status, text)?;
    Ok(exit(&status))
}

/// A node that does not run has failed, as monitoring sees it.
fn exit(status: &NodeStatus) -> Exit {
    match (status.mode.as_str(), status.warnings.is_empty()) {
        (SERVING, true) => Exit::Ok,
        (SERVING, false) => Exit::Warning,
        _ => Exit::Failed,
    }
}

fn text(status: &NodeStatus) -> String {
    let mut lines = vec![
        format!("{}  {}", escape(&status.partner), mode(status)),
        format!("id        {}", escape(&status.partner_id)),
        format!("version   {}", escape(&status.version)),
        format!("listen    {}", escape(&status.listen)),
        format!("holds     {}", holdings(status)),
        format!("parked    {}", parked(status)),
        format!("wire      {}", wire(status)),
        format!("uses      {}", usage(status)),
        format!("writers   {}", writers(status)),
    ];
    if !status.peers.is_empty() {
        lines.push(String::new());
        lines.push(peer_table(&status.peers).render());
    }
    if !status.warnings.is_empty() {
        lines.push(String::new());
    }
    for warning in &status.warnings {
        lines.push(format!("warning: {}", escape(warning)));
    }
    lines.join("\n")
}

fn mode(status: &NodeStatus) -> String {
    match status.mode.as_str() {
        SERVING => format!(
            "{SERVING} since {}",
            span(Duration::from_secs(status.uptime_s))
        ),
        other => format!("not running ({})", escape(other)),
    }
}

fn holdings(status: &NodeStatus) -> String {
    format!(
        "{} channels, {} posts, {} events",
        thousands(status.channels),
        thousands(status.posts),
        thousands(status.events)
    )
}

fn parked(status: &NodeStatus) -> String {
    format!(
        "{} events, {}",
        thousands(status.parked_events),
        bytes(status.parked_bytes)
    )
}

fn wire(status: &NodeStatus) -> String {
    format!(
        "{} sent, {} received",
        bytes(status.wire_bytes_sent),
        bytes(status.wire_bytes_received)
    )
}

fn writers(status: &NodeStatus) -> String {
    let spares = match status.spare_writers {
        1 => "1 spare".to_string(),
        many => format!("{many} spares"),
    };
    match status.spent_writers {
        0 => spares,
        spent => format!("{spares}, {spent} never used again"),
    }
}

fn usage(status: &NodeStatus) -> String {
    format!(
        "{} disk, {} memory, {:.1} s processor",
        bytes(status.disk_bytes),
        bytes(status.rss_bytes),
        status.cpu_ms as f64 / 1000.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_follows_the_state() {
        let mut status = sample();
        assert_eq!(exit(&status), Exit::Ok);
        status.warnings.push("the disk is nearly full".into());
        assert_eq!(exit(&status), Exit::Warning);
        status.mode = "offline".into();
        assert_eq!(exit(&status), Exit::Failed);
    }

    #[test]
    fn what_others_wrote_is_escaped() {
        let mut status = sample();
        status.partner = "al\u{1b}pha".into();
        status.warnings.push("bad\u{202e}".into());
        let text = text(&status);
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
        assert!(text.starts_with("al\\u{1b}pha  serving since 1 h 1 min"));
    }

    fn sample() -> NodeStatus {
        NodeStatus {
            limits_met: Default::default(),
            spare_writers: 2,
            spent_writers: 0,
            lost_seats: Vec::new(),
            partner: "alpha".into(),
            partner_id: "00".into(),
            version: "0.1.0".into(),
            listen: "127.0.0.1:7443".into(),
            mode: SERVING.into(),
            uptime_s: 3660,
            channels: 1,
            events: 2,
            posts: 1,
            parked_events: 0,
            parked_bytes: 0,
            disk_bytes: 4096,
            rss_bytes: 4096,
            wire_bytes_sent: 0,
            wire_bytes_received: 0,
            wire_datagrams_sent: 0,
            wire_datagrams_received: 0,
            cpu_ms: 0,
            peers: Vec::new(),
            warnings: Vec::new(),
        }
    }
}
