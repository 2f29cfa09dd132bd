//! The QUIC transport: moves opaque frames between this node and its peers.
//!
//! It knows nothing of events, channels or labels. A peer is 32 opaque bytes, some pinned TLS
//! keys and some addresses; a frame is bytes of a [`Class`]. What it adds to QUIC:
//!
//! - **who**: mutual TLS 1.3 with pinned keys (`tls.rs`, `identity.rs`);
//! - **one link per pair of nodes**: both sides dial, and the node with the lower id chooses
//!   among the connections that complete (`peer.rs`, `dialer.rs`, `acceptor.rs`);
//! - **recovery without a nudge**: a link that falls silent is replaced by a fresh connection
//!   as soon as the network is back, whatever QUIC's own timers say (`silence.rs`);
//! - **frames and precedence**: one long-lived stream per class and direction (`framing.rs`,
//!   `link.rs`), fed from a queue of bounded size (`queue.rs`).
//!
//! Start it with [`Transport::start`], name the peers with [`Transport::set_peers`], read
//! [`LinkEvent`]s from the channel handed over at the start, and [`Transport::send`]. A link
//! announces itself by one `Up` and ends with one `Down`; its frames lie between the two, in
//! order within their class, and a new link of a peer begins only after the old one's `Down`.
//! Frames queued on a link die with it: what must arrive is for the layer above to reconcile
//! when the next `Up` comes.

mod acceptor;
mod close;
mod config;
mod context;
mod dialer;
mod framing;
mod identity;
pub mod inbox;
mod link;
mod peer;
mod queue;
mod refusals;
mod silence;
mod socket;
mod stats;
mod supervisor;
mod tls;
mod underlay;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use config::{Congestion, GroupProfile, TransportConfig};
pub use framing::{Class, MAX_FRAME};
pub use identity::TlsIdentity;
pub use queue::SendOutcome;
pub use stats::{LinkStatus, Totals};
pub use underlay::{System, Underlay};

use context::Context;
use inbox::Deliveries;
use peer::Retire;

/// Names a peer by 32 bytes that mean nothing to the transport, except their order: of two
/// nodes the lower one chooses the connection that both use.
pub type PeerId = [u8; 32];

/// Describes one peer: who it is, by which keys, and where it may be dialled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerEntry {
    pub id: PeerId,
    /// The peer's name, for logs and status only.
    pub name: String,
    /// SHA-256 of each SubjectPublicKeyInfo that the peer may use; see [`TlsIdentity::pin`].
    pub pins: Vec<[u8; 32]>,
    /// `host:port`, resolved anew at each dial. Empty: the peer is only waited for.
    pub addresses: Vec<String>,
}

/// Tells the layer above what happened on a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// A link to `peer` is usable. Precedes all its frames.
    Up {
        peer: PeerId,
        link: u64,
        remote: SocketAddr,
        /// The key exchange group that this connection negotiated.
        group: String,
    },
    /// A whole frame has arrived.
    Frame {
        peer: PeerId,
        link: u64,
        class: Class,
        bytes: Vec<u8>,
    },
    /// The queue that answered [`SendOutcome::Congested`] is below half its limit again.
    Drained { peer: PeerId, link: u64 },
    /// The link is gone. Follows its last frame.
    Down {
        peer: PeerId,
        link: u64,
        reason: String,
    },
}

impl LinkEvent {
    /// Whose link it is.
    pub fn peer(&self) -> &PeerId {
        match self {
            Self::Up { peer, .. }
            | Self::Frame { peer, .. }
            | Self::Drained { peer, .. }
            | Self::Down { peer, .. } => peer,
        }
    }
}

/// Says why a transport could not start.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    #[error("cannot listen on {address}: {source}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("TLS configuration: {0}")]
    Tls(#[from] rustls::Error),
    #[error("QUIC needs an initial cipher suite that the provider lacks")]
    NoInitialSuite,
    #[error("TLS identity: {0}")]
    Identity(String),
    #[error("transport limit out of range: {0}")]
    Limit(&'static str),
}

/// Links this node with its peers.
///
/// All methods may be called from any thread. Dropping it without [`Transport::shutdown`]
/// closes the links at once.
pub struct Transport {
    context: Arc<Context>,
    acceptor: JoinHandle<()>,
}

impl Transport {
    /// Binds the UDP socket and begins to accept; peers come with [`Transport::set_peers`].
    pub async fn start(
        config: TransportConfig,
        identity: TlsIdentity,
        own: PeerId,
        events: Deliveries,
    ) -> Result<Self, TransportError> {
        Self::start_on(Arc::new(System), config, identity, own, events).await
    }

    /// As [`Transport::start`], on something else than the operating system's network.
    pub async fn start_on(
        underlay: Arc<dyn Underlay>,
        config: TransportConfig,
        identity: TlsIdentity,
        own: PeerId,
        events: Deliveries,
    ) -> Result<Self, TransportError> {
        let runtime = Handle::current();
        let context = Context::new(underlay, config, &identity, own, events, runtime)?;
        let context = Arc::new(context);
        let acceptor = tokio::spawn(acceptor::run(context.clone()));
        tracing::info!(address = %context.local_addr, "transport listening");
        Ok(Self { context, acceptor })
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.context.local_addr
    }

    /// Replaces the list of peers.
    ///
    /// A peer that is no longer listed is disconnected at once, as is one whose present key is
    /// no longer pinned; a new one is dialled.
    pub fn set_peers(&self, peers: Vec<PeerEntry>) {
        self.context.set_peers(peers);
    }

    /// Queues a frame for the peer's present link, whichever it is.
    ///
    /// Never blocks. A caller that speaks a protocol with a beginning should prefer
    /// [`Transport::send_on`].
    pub fn send(&self, peer: &PeerId, class: Class, frame: Vec<u8>) -> SendOutcome {
        self.context.send(peer, None, class, frame)
    }

    /// Queues a frame for this very link: [`SendOutcome::NotConnected`] once the peer has
    /// another, even while that one's `Up` still waits in the channel.
    pub fn send_on(&self, peer: &PeerId, link: u64, class: Class, frame: Vec<u8>) -> SendOutcome {
        self.context.send(peer, Some(link), class, frame)
    }

    /// Closes the peer's link because the peer misbehaved, and keeps it away for
    /// [`TransportConfig::penalty`].
    pub fn disconnect(&self, peer: &PeerId, reason: &str) {
        self.context.disconnect(peer, reason);
    }

    /// The state of each listed peer's link, by peer id.
    pub fn links(&self) -> Vec<LinkStatus> {
        self.context.links()
    }

    /// What this transport has sent and received since its start.
    pub fn totals(&self) -> Totals {
        self.context.totals()
    }

    /// Flushes the queues for up to [`TransportConfig::flush_deadline`], closes the links and
    /// waits until the peers have been told.
    pub async fn shutdown(&self) {
        let deadline = self.context.config.flush_deadline;
        self.acceptor.abort();
        self.context.endpoint.set_server_config(None);
        self.context
            .retire_all(Retire::Shutdown, deadline + config::SHUTDOWN_SLACK)
            .await;
        close::endpoint(&self.context.endpoint);
        // A peer that is gone cannot delay us for longer than this.
        let _ = timeout(config::SHUTDOWN_SLACK, self.context.endpoint.wait_idle()).await;
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.acceptor.abort();
        self.context.abandon();
        close::endpoint(&self.context.endpoint);
    }
}
