//! What a node's links are built on here: the virtual network, and everything that QUIC and TLS draw
//! at random from the partner's dice.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::{hkdf, hmac};
use comity_node::transport::Underlay;
use quinn::{AsyncUdpSocket, ClientConfig, EndpointConfig, ServerConfig};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{ConnectionId, ConnectionIdGenerator};
use rustls::NamedGroup;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};

use super::key_exchange::{Hybrid, SharedDice, X25519};
use super::network::Socket;

/// As long as those that QUIC makes itself: 8 bytes, and 20 for a first packet.
const CONNECTION_ID_BYTES: usize = 8;
const FIRST_CONNECTION_ID_BYTES: usize = 20;

/// The primitives of one partner's TLS, made once: rustls wants them to live for ever.
#[derive(Clone, Copy)]
pub struct Primitives {
    dice: &'static SharedDice,
    x25519: &'static X25519,
    hybrid: &'static Hybrid,
}

impl Primitives {
    pub fn of(dice: &SharedDice) -> Primitives {
        Primitives {
            dice: Box::leak(Box::new(dice.clone())),
            x25519: Box::leak(Box::new(X25519(dice.clone()))),
            hybrid: Box::leak(Box::new(Hybrid(dice.clone()))),
        }
    }

    fn group(self, like: &dyn SupportedKxGroup) -> &'static dyn SupportedKxGroup {
        match like.name() {
            NamedGroup::X25519 => self.x25519,
            NamedGroup::X25519MLKEM768 => self.hybrid,
            other => panic!("no form of {other:?} here whose randomness comes from dice"),
        }
    }
}

/// One start of a node.
pub struct Virtual {
    pub dice: SharedDice,
    pub primitives: Primitives,
    pub socket: Arc<Socket>,
}

impl Underlay for Virtual {
    fn bind(&self, address: SocketAddr, _: usize) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        assert_eq!(address, self.socket.address);
        Ok(self.socket.clone())
    }

    fn endpoint(&self) -> EndpointConfig {
        let resets = hmac::Key::new(hmac::HMAC_SHA256, &self.dice.bytes::<64>());
        let mut endpoint = EndpointConfig::new(Arc::new(resets));
        let dice = self.dice.clone();
        endpoint.cid_generator(move || Box::new(ConnectionIds(dice.clone())));
        endpoint.rng_seed(Some(self.dice.bytes()));
        endpoint
    }

    fn server(&self, crypto: QuicServerConfig) -> ServerConfig {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]);
        let tokens = salt.extract(&self.dice.bytes::<64>());
        ServerConfig::new(Arc::new(crypto), Arc::new(tokens))
    }

    fn client(&self, crypto: QuicClientConfig) -> ClientConfig {
        let mut client = ClientConfig::new(Arc::new(crypto));
        let dice = self.dice.clone();
        client.initial_dst_cid_provider(Arc::new(move || {
            ConnectionId::new(&dice.bytes::<FIRST_CONNECTION_ID_BYTES>())
        }));
        client
    }

    fn primitives(&self, of_profile: CryptoProvider) -> CryptoProvider {
        let groups = of_profile.kx_groups.iter();
        CryptoProvider {
            kx_groups: groups.map(|&like| self.primitives.group(like)).collect(),
            secure_random: self.primitives.dice,
            ..of_profile
        }
    }
}

struct ConnectionIds(SharedDice);

impl ConnectionIdGenerator for ConnectionIds {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&self.0.bytes::<CONNECTION_ID_BYTES>())
    }

    fn cid_len(&self) -> usize {
        CONNECTION_ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}
