//! A partner's keys in hostile hands: its links, over which any bytes can be sent.

use std::path::Path;

use comity_node::config::Config;
use comity_node::keystore;
use comity_node::pacts::Pacts;
use comity_node::transport::inbox::{self, Inbox};
use comity_node::transport::{Class, LinkEvent, PeerId, SendOutcome, Transport, TransportConfig};
use comity_protocol::id::ChannelId;
use comity_protocol::rows::Table;
use tokio::runtime::Runtime;

use crate::{PATIENCE, eventually};

/// The links of a node that does not run, held by somebody else.
pub struct Intruder {
    // Closed before the runtime that it runs on.
    transport: Transport,
    events: Inbox,
    peers: Vec<PeerId>,
    /// The channels that the node held.
    pub channels: Vec<ChannelId>,
    pub partner: PeerId,
    runtime: Runtime,
}

impl Intruder {
    /// Takes a stopped node's keys, address and pacts, and links up with its peers.
    pub fn at(node_dir: &Path) -> Intruder {
        let config = Config::load(node_dir).expect("a node's directory");
        let store = keystore::open_store(node_dir, &config.storage);
        let store = store.expect("a store that nobody else has open");
        let keys = keystore::load(&store).expect("the node's keys");
        let partner = keys.own.identity.partner();
        let pacts = Pacts::load(store.clone(), partner).expect("the node's pacts");
        let mut channels = Vec::new();
        store
            .scan::<comity_node::store::StoreError>(Table::Channels, &[], &[], |key, _| {
                channels.extend(key.try_into().map(ChannelId));
                Ok(true)
            })
            .expect("the node's channels");
        let runtime = Runtime::new().expect("a runtime");
        let (sender, events) = inbox::channel();
        let config = TransportConfig::new(config.listen);
        let started = Transport::start(config, keys.tls, partner.0, sender);
        let transport = runtime.block_on(started).expect("the node's address");
        let entries = pacts.peers();
        let peers = entries.iter().map(|entry| entry.id).collect();
        transport.set_peers(entries);
        Intruder {
            transport,
            events,
            peers,
            channels,
            partner: partner.0,
            runtime,
        }
    }

    /// The partners that it has pacts with.
    pub fn peers(&self) -> &[PeerId] {
        &self.peers
    }

    /// Waits until every peer has taken the link.
    pub fn await_links(&mut self) {
        eventually("the intruder is let in", PATIENCE, || {
            self.drain();
            let links = self.transport.links();
            links.iter().all(|link| link.link.is_some()).then_some(())
        });
    }

    /// Sends any bytes; false where the queue is full or the link is down.
    pub fn send(&self, peer: &PeerId, class: Class, frame: Vec<u8>) -> bool {
        let _on = self.runtime.enter();
        self.transport.send(peer, class, frame) == SendOutcome::Queued
    }

    /// Takes what came. Without this, it is a peer that does not read.
    pub fn drain(&mut self) -> Vec<LinkEvent> {
        std::iter::from_fn(|| self.events.try_recv(|_| true)).collect()
    }
}
