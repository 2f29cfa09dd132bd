//! What an operator can see of the links.

use std::net::SocketAddr;
use std::time::SystemTime;

use super::PeerId;

/// The state of the link with one listed peer.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkStatus {
    pub peer: PeerId,
    pub name: String,
    /// The present link, if there is one.
    pub link: Option<u64>,
    pub connected_since: Option<SystemTime>,
    pub remote: Option<SocketAddr>,
    /// The key exchange group that the present connection negotiated.
    pub group: Option<String>,
    /// The link is up but has been silent for so long that another is being dialled.
    pub suspect: bool,
    pub rtt_ms: Option<f64>,
    /// UDP payload bytes on this peer's links, closed ones included; dials that led to no link
    /// are in [`Totals`] only.
    pub udp_tx_bytes: u64,
    pub udp_rx_bytes: u64,
    /// Bytes of frames that QUIC has not taken yet.
    pub queued_bytes: usize,
    /// Why the last dial failed or the last link ended.
    pub last_error: Option<String>,
    /// Links after the first.
    pub reconnections: u64,
}

/// Traffic and refusals of a transport since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// UDP payload bytes sent through the socket, handshakes that came to nothing included.
    pub udp_tx_bytes: u64,
    /// UDP payload bytes received, whoever sent them.
    pub udp_rx_bytes: u64,
    /// Datagrams sent, each counted as the network sees it, however many the system took at once.
    pub udp_tx_datagrams: u64,
    pub udp_rx_datagrams: u64,
    /// Connections that QUIC holds at this moment, dials and handshakes included.
    pub connections: usize,
    /// Incoming handshakes that failed or were refused.
    pub handshakes_refused: u64,
    /// Of those, the clients whose key no listed peer pins.
    pub unknown_pins: u64,
}
