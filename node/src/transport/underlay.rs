//! What links are built on: the network, and what QUIC and TLS draw at random.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use quinn::{AsyncUdpSocket, ClientConfig, EndpointConfig, Runtime, ServerConfig, TokioRuntime};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::crypto::CryptoProvider;

use super::socket;

/// What a [`Transport`](super::Transport) is built on. A node has [`System`]; tests put a network
/// of their own, and seeds, in its place. Who is let in, and by which keys, is not decided here.
pub trait Underlay: Send + Sync {
    /// Opens the UDP socket that is listened on and dialled from.
    fn bind(&self, address: SocketAddr, buffer_bytes: usize)
    -> io::Result<Arc<dyn AsyncUdpSocket>>;

    /// The endpoint's own: its connection ids and the key of its resets.
    fn endpoint(&self) -> EndpointConfig {
        EndpointConfig::default()
    }

    /// How connections are accepted.
    fn server(&self, crypto: QuicServerConfig) -> ServerConfig {
        ServerConfig::with_crypto(Arc::new(crypto))
    }

    /// How a connection is dialled.
    fn client(&self, crypto: QuicClientConfig) -> ClientConfig {
        ClientConfig::new(Arc::new(crypto))
    }

    /// The primitives of TLS, given those of the node's group profile.
    fn primitives(&self, of_profile: CryptoProvider) -> CryptoProvider {
        of_profile
    }
}

/// The operating system's network, and aws-lc-rs as it is.
pub struct System;

impl Underlay for System {
    fn bind(
        &self,
        address: SocketAddr,
        buffer_bytes: usize,
    ) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket::bind(address, buffer_bytes)?)
    }
}
