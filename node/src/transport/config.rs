//! What an operator may set, and the limits that nobody needs to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::congestion::{BbrConfig, CubicConfig};
use quinn::{IdleTimeout, VarInt};

use super::TransportError;

/// Which key exchange groups are offered and accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupProfile {
    /// X25519MLKEM768 preferred, then X25519.
    #[default]
    Default,
    /// ML-KEM-1024 only, with AES-256-GCM and SHA-384 only.
    Cnsa,
}

/// Which congestion controller this node's sending side uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// Fair to other traffic; collapses on links that lose packets for other reasons.
    #[default]
    Cubic,
    /// For lossy links (radio, satellite); takes its share from others.
    Bbr,
}

/// Configures a [`Transport`](super::Transport).
#[derive(Clone, Debug)]
pub struct TransportConfig {
    /// The UDP address that is listened on and dialled from.
    pub listen: SocketAddr,
    pub group_profile: GroupProfile,
    pub congestion: Congestion,
    /// Bytes of frames that may wait for one peer before `Congested`. Default 16 MiB: sixteen
    /// of the largest frames, or what a 10 Mbit/s link carries in 13 s.
    pub queue_bytes: usize,
    /// Kernel buffer asked for in each direction, best effort. Default 4 MiB: a burst of 3,000
    /// full packets, while the default of most systems (208 KiB) drops after 150.
    pub socket_buffer_bytes: usize,
    /// How long a dial waits for each next answer of the peer. Default 2 s, so that an attempt
    /// begun in an outage ends soon; raise it where a round trip takes longer than a second.
    pub dial_step: Duration,
    /// How long a peer that misbehaved is kept away. Default 10 s: long enough not to burn a
    /// core on a broken peer, short enough to notice that it was mended.
    pub penalty: Duration,
    /// How long a shutdown waits for queued frames. Default 2 s.
    pub flush_deadline: Duration,
    /// Handshakes of unknown clients in progress at once; more are refused. Default 256: about
    /// 20 MiB at worst.
    pub handshakes_max: usize,
    /// Handshakes in progress above which a client must first prove its address with a retry
    /// packet. Default 32: more than a mesh of 64 nodes produces in an ordinary second.
    pub handshakes_before_retry: usize,
}

impl TransportConfig {
    /// The defaults, listening on `listen`.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            group_profile: GroupProfile::default(),
            congestion: Congestion::default(),
            queue_bytes: 16 << 20,
            socket_buffer_bytes: 4 << 20,
            dial_step: Duration::from_secs(2),
            penalty: Duration::from_secs(10),
            flush_deadline: Duration::from_secs(2),
            handshakes_max: 256,
            handshakes_before_retry: 32,
        }
    }

    /// The QUIC parameters of every connection.
    pub(super) fn quic(&self) -> Result<Arc<quinn::TransportConfig>, TransportError> {
        let mut quic = quinn::TransportConfig::default();
        quic.max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
            .datagram_receive_buffer_size(None)
            .receive_window(VarInt::from_u32(CANDIDATE_WINDOW))
            .stream_receive_window(VarInt::from_u32(STREAM_RECEIVE_WINDOW))
            .send_window(u64::from(RECEIVE_WINDOW))
            .keep_alive_interval(Some(PROBE_INTERVAL))
            .max_idle_timeout(Some(
                IdleTimeout::try_from(DOWN_AFTER)
                    .map_err(|_| TransportError::Limit("DOWN_AFTER"))?,
            ));
        match self.congestion {
            Congestion::Cubic => {
                quic.congestion_controller_factory(Arc::new(CubicConfig::default()))
            }
            Congestion::Bbr => quic.congestion_controller_factory(Arc::new(BbrConfig::default())),
        };
        Ok(Arc::new(quic))
    }
}

/// Seven classes and the greeting.
const UNI_STREAMS: u32 = 8;

/// Bytes in flight that one connection may make us hold; 8 MiB carry 80 MB/s at 100 ms.
pub(super) const RECEIVE_WINDOW: u32 = 8 << 20;

/// Bytes in flight on a connection that is not (yet) the link: a greeting is one byte, and a
/// chooser's first frames wait a moment. So a peer's other connections hold almost nothing.
const CANDIDATE_WINDOW: u32 = 64 << 10;

/// A seventh of the connection's window, and less: a class that nobody reads must not stop the
/// others, nor fill the sender's window.
const STREAM_RECEIVE_WINDOW: u32 = 1152 << 10;

/// How long nothing may be received before QUIC sends a PING, which the peer's QUIC stack must
/// acknowledge whether or not its application reads.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Silence after which a fresh connection is dialled beside the old one: four probes lost.
pub(super) const SUSPECT_AFTER: Duration = Duration::from_secs(4);

/// Silence after which a link is down even if nothing better was found.
const DOWN_AFTER: Duration = Duration::from_secs(15);

/// Least time between the beginnings of two dials of one peer. Constant, without jitter: a
/// peer must be back within 2 s of the network's return, and one dial costs 3 kB.
pub(super) const REDIAL_INTERVAL: Duration = Duration::from_secs(1);

/// How long the node that does not choose lets the other dial first when a link is wanted:
/// most pairs then handshake once instead of twice.
pub(super) const DIAL_COURTESY: Duration = Duration::from_millis(400);

/// How long the chooser holds on to a link against a connection dialled by the other side,
/// which may have been begun before the choice was heard there.
pub(super) const CHOICE_GRACE: Duration = Duration::from_secs(2);

/// How often each peer's supervisor looks at silence and redials.
pub(super) const TICK: Duration = Duration::from_millis(200);

/// How long a whole handshake of a client may take.
pub(super) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a dead connection's readers may go on handing over what had arrived.
pub(super) const READER_DRAIN: Duration = Duration::from_secs(1);

/// Time for closing beyond the flush, at shutdown.
pub(super) const SHUTDOWN_SLACK: Duration = Duration::from_secs(2);

/// Addresses of one peer that are dialled, and addresses that one name may resolve to: all are
/// dialled at once, so this bounds a dial's traffic.
pub(super) const ADDRESSES_MAX: usize = 4;

/// Connections of one peer that may wait for the choice; a peer needs one or two.
pub(super) const CANDIDATES_MAX: usize = 4;

/// First packets of clients that QUIC may buffer before we look at them.
pub(super) const INCOMING_BYTES: u64 = 4 << 20;

/// Time between two log lines on refused handshakes: strangers must not fill the disk.
pub(super) const REFUSAL_LOG_INTERVAL: Duration = Duration::from_secs(5);
