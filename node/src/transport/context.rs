//! What all tasks of one transport share.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use quinn::{AsyncUdpSocket, Endpoint, ServerConfig, TokioRuntime};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::config::INCOMING_BYTES;
use super::framing::{Class, HEADER, MAX_FRAME};
use super::inbox::Deliveries;
use super::peer::{Peer, Retire};
use super::queue::SendOutcome;
use super::refusals::Refusals;
use super::socket::{CountingSocket, Traffic};
use super::stats::{LinkStatus, Totals};
use super::supervisor::Supervisor;
use super::tls::{PinTable, Tls};
use super::underlay::Underlay;
use super::{LinkEvent, PeerEntry, PeerId, TlsIdentity, TransportConfig, TransportError};

pub(super) struct Context {
    pub(super) underlay: Arc<dyn Underlay>,
    pub(super) config: TransportConfig,
    pub(super) own: PeerId,
    pub(super) endpoint: Endpoint,
    pub(super) local_addr: SocketAddr,
    pub(super) tls: Tls,
    pub(super) quic: Arc<quinn::TransportConfig>,
    pub(super) events: Deliveries,
    pub(super) pins: Arc<PinTable>,
    pub(super) refusals: Refusals,
    traffic: Arc<Traffic>,
    links_begun: AtomicU64,
    runtime: Handle,
    peers: RwLock<BTreeMap<PeerId, Arc<Peer>>>,
    /// Supervisors, those of peers no longer listed included, until they have ended.
    supervisors: Mutex<BTreeMap<PeerId, JoinHandle<()>>>,
}

impl Context {
    pub(super) fn new(
        underlay: Arc<dyn Underlay>,
        config: TransportConfig,
        identity: &TlsIdentity,
        own: PeerId,
        events: Deliveries,
        runtime: Handle,
    ) -> Result<Self, TransportError> {
        if config.queue_bytes < QUEUE_BYTES_MIN {
            return Err(TransportError::Limit("queue_bytes"));
        }
        let tls = Tls::new(identity, config.group_profile, &*underlay);
        let pins = Arc::new(PinTable::default());
        let quic = config.quic()?;
        let traffic = Arc::new(Traffic::default());
        let server = underlay.server(tls.server(pins.clone())?);
        let server = server_config(server, &config, quic.clone());
        let endpoint = endpoint(&*underlay, &config, server, traffic.clone());
        let endpoint = endpoint.map_err(|source| {
            let address = config.listen;
            TransportError::Listen { address, source }
        })?;
        let local_addr = endpoint.local_addr().unwrap_or(config.listen);
        Ok(Self {
            underlay,
            config,
            own,
            endpoint,
            local_addr,
            tls,
            quic,
            events,
            pins,
            refusals: Refusals::default(),
            traffic,
            links_begun: AtomicU64::new(0),
            runtime,
            peers: RwLock::default(),
            supervisors: Mutex::default(),
        })
    }

    pub(super) fn peer(&self, id: &PeerId) -> Option<Arc<Peer>> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(id).cloned()
    }

    /// Numbers links from 1, over all peers.
    pub(super) fn next_link(&self) -> u64 {
        self.links_begun.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells the layer above; a frame waits while too many of its peer's wait there.
    pub(super) async fn tell(&self, event: LinkEvent) {
        self.events.send(event).await;
    }

    pub(super) fn set_peers(self: &Arc<Self>, entries: Vec<PeerEntry>) {
        let listed = self.by_id(entries);
        let mut supervisors = self.supervisors();
        supervisors.retain(|_, supervisor| !supervisor.is_finished());
        self.pins.replace(pin_table(&listed));
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|id, peer| {
            let stays = listed.contains_key(id);
            if !stays {
                peer.retire(Retire::Unlisted);
            }
            stays
        });
        for (id, entry) in listed {
            match peers.get(&id) {
                Some(peer) => peer.update(entry),
                None => {
                    let predecessor = supervisors.remove(&id);
                    let (peer, supervisor) = Supervisor::new(self.clone(), entry);
                    peers.insert(id, peer);
                    supervisors.insert(id, self.runtime.spawn(supervisor.run(predecessor)));
                }
            }
        }
    }

    pub(super) fn send(
        &self,
        peer: &PeerId,
        link: Option<u64>,
        class: Class,
        frame: Vec<u8>,
    ) -> SendOutcome {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        match peers.get(peer) {
            Some(peer) => peer.queue.push(link, class, frame),
            None => SendOutcome::NotConnected,
        }
    }

    pub(super) fn disconnect(&self, peer: &PeerId, reason: &str) {
        if let Some(peer) = self.peer(peer) {
            tracing::warn!(peer = peer.name(), reason, "peer disconnected");
            peer.punish(reason, Instant::now() + self.config.penalty);
        }
    }

    pub(super) fn links(&self) -> Vec<LinkStatus> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.values().map(|peer| peer.status()).collect()
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            udp_tx_bytes: self.traffic.sent.bytes(),
            udp_rx_bytes: self.traffic.received.bytes(),
            udp_tx_datagrams: self.traffic.sent.datagrams(),
            udp_rx_datagrams: self.traffic.received.datagrams(),
            connections: self.endpoint.open_connections(),
            handshakes_refused: self.refusals.count(),
            unknown_pins: self.pins.unknown(),
        }
    }

    /// Ends all supervisors, by force those that have not ended after `patience`.
    pub(super) async fn retire_all(&self, why: Retire, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.pins.replace(HashMap::new());
        for peer in self
            .peers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
        {
            peer.retire(why);
        }
        let supervisors = std::mem::take(&mut *self.supervisors());
        for mut supervisor in supervisors.into_values() {
            if timeout_at(deadline, &mut supervisor).await.is_err() {
                supervisor.abort();
            }
        }
    }

    /// Stops all supervisors where they stand.
    pub(super) fn abandon(&self) {
        std::mem::take(&mut *self.supervisors())
            .into_values()
            .for_each(|task| task.abort());
    }

    fn by_id(&self, entries: Vec<PeerEntry>) -> BTreeMap<PeerId, PeerEntry> {
        let foreign = entries.into_iter().filter(|entry| entry.id != self.own);
        foreign.map(|entry| (entry.id, entry)).collect()
    }

    fn supervisors(&self) -> MutexGuard<'_, BTreeMap<PeerId, JoinHandle<()>>> {
        self.supervisors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Below this, a queue could refuse a frame while less than half full, and never drain.
const QUEUE_BYTES_MIN: usize = 2 * (HEADER + MAX_FRAME);

/// A key that two peers list belongs to neither, since it would name no one.
fn pin_table(peers: &BTreeMap<PeerId, PeerEntry>) -> HashMap<[u8; 32], PeerId> {
    let mut owners = HashMap::<[u8; 32], Vec<&PeerEntry>>::new();
    for peer in peers.values() {
        for pin in &peer.pins {
            owners.entry(*pin).or_default().push(peer);
        }
    }
    let sole_owner = |(pin, mut owners): ([u8; 32], Vec<&PeerEntry>)| {
        owners.dedup_by_key(|owner| owner.id);
        match owners[..] {
            [owner] => Some((pin, owner.id)),
            _ => {
                let names: Vec<_> = owners.iter().map(|owner| &owner.name).collect();
                tracing::warn!(peers = ?names, "peers share a TLS key: it is refused");
                None
            }
        }
    };
    owners.into_iter().filter_map(sole_owner).collect()
}

fn server_config(
    mut server: ServerConfig,
    config: &TransportConfig,
    quic: Arc<quinn::TransportConfig>,
) -> ServerConfig {
    server
        .transport_config(quic)
        .max_incoming(config.handshakes_max)
        .incoming_buffer_size_total(INCOMING_BYTES);
    server
}

fn endpoint(
    underlay: &dyn Underlay,
    config: &TransportConfig,
    server: ServerConfig,
    traffic: Arc<Traffic>,
) -> std::io::Result<Endpoint> {
    let socket = underlay.bind(config.listen, config.socket_buffer_bytes)?;
    let socket: Arc<dyn AsyncUdpSocket> = Arc::new(CountingSocket::new(socket, traffic));
    let runtime = Arc::new(TokioRuntime);
    Endpoint::new_with_abstract_socket(underlay.endpoint(), Some(server), socket, runtime)
}
