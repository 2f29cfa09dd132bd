//! What a node says of itself: counts, links, digests.

use std::collections::BTreeMap;
use std::path::Path;

use comity_protocol::channel::Channel;
use comity_protocol::id::{ChannelId, Hash, PartnerId, hex};
use comity_protocol::replica::Replica;

use super::{failure, names, writers};
use crate::api::{ApiError, ChannelDigest, Digests, NodeStatus, PeerInfo};
use crate::node::Node;
use crate::pacts::{Pact, PactState};
use crate::service::peering;
use crate::transport::LinkStatus;

/// Domain tag of a node's digest over its lanes.
const TAG_LANES: &str = "comity/v1/lanes";

/// What of the status only the machine knows.
struct Counts {
    channels: u64,
    events: u64,
    posts: u64,
    parked: (usize, usize),
    /// Names of channels.
    behind_self: Vec<String>,
    lost_seats: Vec<String>,
    limits_met: BTreeMap<String, u64>,
}

pub async fn status(node: &Node) -> Result<NodeStatus, ApiError> {
    let own = node.partner;
    let peers = peers(node).await?;
    let counts = node
        .handle
        .look(move |replica| counts(replica, &own))
        .await
        .map_err(failure::stopped)?;
    let totals = node
        .transport
        .as_ref()
        .map(|transport| transport.totals())
        .unwrap_or_default();
    let listen = node
        .transport
        .as_ref()
        .map_or(node.config.listen, |transport| transport.local_addr());
    let spent = writers::spent(node)?;
    let spent = node.writers.iter().filter(|id| spent.contains(*id)).count();
    let spares = (node.writers.len() - spent).saturating_sub(1);
    let mut warnings = writer_warnings(&counts, spares);
    warnings.extend(
        peers
            .iter()
            .filter(|peer| peer.state == "waiting")
            .map(|peer| format!("the words of {} are not approved here", peer.partner)),
    );
    if let Some(certificates) = node.web().and_then(|web| web.certificates.clone()) {
        warnings.extend(certificates.warnings(node.now_ms()));
    }
    let (rss_bytes, cpu_ms) = process();
    Ok(NodeStatus {
        partner: node.identity.name.as_str().into(),
        partner_id: node.partner.to_hex(),
        version: env!("CARGO_PKG_VERSION").into(),
        listen: listen.to_string(),
        mode: if node.transport.is_some() {
            "serving"
        } else {
            "offline"
        }
        .into(),
        uptime_s: node.started.elapsed().as_secs(),
        channels: counts.channels,
        events: counts.events,
        posts: counts.posts,
        parked_events: counts.parked.0 as u64,
        parked_bytes: counts.parked.1 as u64,
        disk_bytes: size_of_directory(&node.dir),
        rss_bytes,
        wire_bytes_sent: totals.udp_tx_bytes,
        wire_bytes_received: totals.udp_rx_bytes,
        wire_datagrams_sent: totals.udp_tx_datagrams,
        wire_datagrams_received: totals.udp_rx_datagrams,
        cpu_ms,
        limits_met: counts.limits_met,
        spare_writers: spares as u64,
        spent_writers: spent as u64,
        lost_seats: counts.lost_seats,
        peers,
        warnings,
    })
}

/// What a restore has left to be done.
fn writer_warnings(counts: &Counts, spares: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    if !counts.behind_self.is_empty() {
        warnings.push(format!(
            "this node may not write in {}: its store was restored from an old copy, and the \
             channel knows no spare writer of it",
            counts.behind_self.join(", ")
        ));
    }
    if !counts.lost_seats.is_empty() {
        warnings.push(format!(
            "the partner's seat is lost in {}; once all is read back: comity writer transfer-seat",
            counts.lost_seats.join(", ")
        ));
    }
    if spares == 0 {
        warnings.push(
            "this node has no spare writer: after a restore it could not write; stop it, and: \
             comity writer add"
                .to_string(),
        );
    }
    warnings
}

fn counts(replica: &Replica, own: &PartnerId) -> Counts {
    let name = |id: &ChannelId| replica.channels().get(id).map(names::name_of);
    let lost = replica.lost_seats();
    let placed: Vec<&Channel> = replica
        .channels()
        .values()
        .filter(|channel| names::place(channel, own).is_some())
        .collect();
    let parked = placed.iter().map(|channel| channel.parked());
    Counts {
        channels: placed.len() as u64,
        events: placed.iter().map(|channel| channel.events()).sum(),
        posts: placed.iter().map(|channel| channel.posts()).sum(),
        parked: parked.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1)),
        behind_self: replica.behind_self().filter_map(name).collect(),
        lost_seats: lost.iter().filter_map(|lost| name(&lost.channel)).collect(),
        limits_met: replica
            .limits_met()
            .iter()
            .map(|(limit, times)| (limit.as_str().to_string(), *times))
            .collect(),
    }
}

/// Every pact with its link.
pub async fn peers(node: &Node) -> Result<Vec<PeerInfo>, ApiError> {
    let pacts: Vec<Pact> = node.pacts.lock().await.iter().cloned().collect();
    let ids: Vec<PartnerId> = pacts.iter().map(|pact| pact.identity.partner()).collect();
    let lags = node
        .handle
        .look(move |replica| {
            ids.into_iter()
                .map(|id| (id, replica.lag(&id)))
                .collect::<BTreeMap<_, _>>()
        })
        .await
        .map_err(failure::stopped)?;
    let links = node
        .transport
        .as_ref()
        .map(|transport| transport.links())
        .unwrap_or_default();
    let mut peers: Vec<PeerInfo> = pacts
        .iter()
        .map(|pact| {
            let id = pact.identity.partner();
            let link = links.iter().find(|link| link.peer == id.0);
            describe(pact, link, lags.get(&id).copied().unwrap_or(0))
        })
        .collect();
    peers.sort_by(|a, b| a.partner.cmp(&b.partner));
    Ok(peers)
}

fn describe(pact: &Pact, link: Option<&LinkStatus>, behind_events: u64) -> PeerInfo {
    let waiting = pact.state == PactState::Waiting;
    PeerInfo {
        partner: pact.identity.name.as_str().into(),
        partner_id: pact.identity.partner().to_hex(),
        state: pact.state.as_str().into(),
        words: waiting.then(|| peering::spell(&pact.words)),
        addresses: pact.addresses.clone(),
        connected: link.is_some_and(|link| link.link.is_some()),
        remote: link
            .and_then(|link| link.remote)
            .map(|remote| remote.to_string()),
        group: link.and_then(|link| link.group.clone()),
        rtt_ms: link.and_then(|link| link.rtt_ms),
        bytes_sent: link.map_or(0, |link| link.udp_tx_bytes),
        bytes_received: link.map_or(0, |link| link.udp_rx_bytes),
        behind_events,
        reconnections: link.map_or(0, |link| link.reconnections),
        last_error: link.and_then(|link| link.last_error.clone()),
    }
}

/// Digests over the lanes that all present members read, of the channels in which this partner
/// has a place.
pub async fn digests(node: &Node) -> Result<Digests, ApiError> {
    let own = node.partner;
    node.handle
        .look(move |replica| digest(replica, &own))
        .await
        .map_err(failure::stopped)
}

fn digest(replica: &Replica, own: &PartnerId) -> Digests {
    let mut lanes = Lanes::default();
    let (mut channels, mut posts, mut events) = (Vec::new(), 0, 0);
    for channel in replica
        .channels()
        .values()
        .filter(|channel| names::place(channel, own).is_some())
    {
        let own_lanes = Lanes::of(channel);
        channels.push(ChannelDigest {
            channel: names::name_of(channel),
            posts: channel.posts(),
            events: channel.events(),
            timeline: own_lanes.timeline(),
            state: own_lanes.state(),
        });
        // Nobody else has what was never shared: there is nothing to compare.
        if channel.present().members.len() > 1 {
            posts += channel.posts();
            events += channel.events();
            lanes.timelines.extend(own_lanes.timelines);
            lanes.states.extend(own_lanes.states);
        }
    }
    channels.sort_by(|a, b| a.channel.cmp(&b.channel));
    Digests {
        posts,
        events,
        timeline: lanes.timeline(),
        state: lanes.state(),
        channels,
    }
}

/// Per lane, in the order of channel and lane id: 96 bytes of channel, lane and digest.
#[derive(Default)]
struct Lanes {
    timelines: Vec<[Hash; 3]>,
    states: Vec<[Hash; 3]>,
}

impl Lanes {
    fn of(channel: &Channel) -> Lanes {
        let mut lanes = Lanes::default();
        for lane in channel.common_lanes() {
            let place = |digest: Hash| [Hash(channel.id.0), Hash(lane.0), digest];
            if lane != channel.control_lane {
                lanes.timelines.push(place(channel.timeline_digest(lane)));
            }
            lanes.states.push(place(channel.state_digest(lane)));
        }
        lanes
    }

    fn timeline(&self) -> String {
        over(&self.timelines)
    }

    fn state(&self) -> String {
        over(&self.states)
    }
}

fn over(lanes: &[[Hash; 3]]) -> String {
    let bytes: Vec<u8> = lanes.iter().flatten().flat_map(|hash| hash.0).collect();
    hex(&comity_crypto::hash(TAG_LANES, &[&bytes]))
}

/// Memory and processor time of this process: resident bytes, milliseconds of all threads.
fn process() -> (u64, u64) {
    let resident_pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    let ticks = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|text| {
            // The name in parentheses may hold blanks: count from behind it.
            let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
            Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
        });
    // Linux on the platforms that Rust supports has pages of 4 KiB or more and 100 ticks a second.
    (resident_pages.unwrap_or(0) * 4096, ticks.unwrap_or(0) * 10)
}

/// Bytes of all files below a directory.
fn size_of_directory(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of_directory(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
