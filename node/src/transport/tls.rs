//! Mutual TLS 1.3 with pinned keys: what QUIC's handshakes run on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use quinn::Connection;
use quinn_proto::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible,
    SignatureScheme,
};

use super::identity::pin_of;
use super::underlay::Underlay;
use super::{GroupProfile, PeerId, TlsIdentity, TransportError};

/// Names the protocol that runs on our streams, and its version.
const ALPN: &[u8] = b"comity/1";

/// A name for TLS's sake; it is neither sent nor checked, since pins decide.
pub(super) const SERVER_NAME: &str = "comity.invalid";

/// Makes the TLS side of every connection from the node's identity and group profile.
pub(super) struct Tls {
    provider: Arc<CryptoProvider>,
    identity: Arc<SingleCertAndKey>,
}

impl Tls {
    pub(super) fn new(
        identity: &TlsIdentity,
        profile: GroupProfile,
        underlay: &dyn Underlay,
    ) -> Self {
        Self {
            provider: Arc::new(underlay.primitives(provider(profile))),
            identity: Arc::new(SingleCertAndKey::from(identity.certified())),
        }
    }

    /// Accepts the clients whose pins the table lists.
    pub(super) fn server(&self, pins: Arc<PinTable>) -> Result<QuicServerConfig, TransportError> {
        quic_initial(self.server_config(pins)?, QuicServerConfig::with_initial)
    }

    /// Dials one peer: only its own pins will do.
    pub(super) fn client(&self, pins: Vec<[u8; 32]>) -> Result<QuicClientConfig, TransportError> {
        quic_initial(self.client_config(pins)?, QuicClientConfig::with_initial)
    }

    fn server_config(&self, pins: Arc<PinTable>) -> Result<rustls::ServerConfig, TransportError> {
        let verifier = ListedClient {
            pins,
            signatures: Signatures(self.provider.clone()),
        };
        let mut config = rustls::ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(self.identity.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    fn client_config(&self, pins: Vec<[u8; 32]>) -> Result<rustls::ClientConfig, TransportError> {
        let verifier = PinnedServer {
            pins,
            signatures: Signatures(self.provider.clone()),
        };
        let mut config = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(self.identity.clone());
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_early_data = false;
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// Who has proven which key on an established connection, and how its secrets were agreed.
pub(super) struct Handshaken {
    pub(super) pin: [u8; 32],
    pub(super) group: String,
}

impl Handshaken {
    /// Reads the facts from the connection's own TLS session; `None` before it is established.
    pub(super) fn of(connection: &Connection) -> Option<Self> {
        let chain = connection
            .peer_identity()?
            .downcast::<Vec<CertificateDer<'static>>>()
            .ok()?;
        let data = connection
            .handshake_data()?
            .downcast::<HandshakeData>()
            .ok()?;
        Some(Self {
            pin: pin_of(chain.first()?).ok()?,
            group: format!("{:?}", data.negotiated_key_exchange_group),
        })
    }
}

/// Which peer each pinned key belongs to, shared with the handshakes under way.
#[derive(Debug, Default)]
pub(super) struct PinTable {
    peers: RwLock<HashMap<[u8; 32], PeerId>>,
    unknown: AtomicU64,
}

impl PinTable {
    pub(super) fn replace(&self, peers: HashMap<[u8; 32], PeerId>) {
        *self.peers.write().unwrap_or_else(PoisonError::into_inner) = peers;
    }

    pub(super) fn peer(&self, pin: &[u8; 32]) -> Option<PeerId> {
        let peers = self.peers.read().unwrap_or_else(PoisonError::into_inner);
        peers.get(pin).copied()
    }

    /// Clients refused because nobody listed their key.
    pub(super) fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }
}

/// The groups and suites of a profile, and aws-lc-rs for everything.
fn provider(profile: GroupProfile) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    match profile {
        GroupProfile::Default => {
            provider.kx_groups = vec![kx_group::X25519MLKEM768, kx_group::X25519];
        }
        GroupProfile::Cnsa => {
            provider.kx_groups = vec![kx_group::MLKEM1024];
            provider.cipher_suites = vec![cipher_suite::TLS13_AES_256_GCM_SHA384];
        }
    }
    provider
}

/// Hands a TLS configuration to QUIC, whose first packets are by definition protected with
/// AES-128-GCM under public keys, whatever the profile negotiates for the rest.
fn quic_initial<T, Q, E>(
    config: T,
    with_initial: impl FnOnce(Arc<T>, rustls::quic::Suite) -> Result<Q, E>,
) -> Result<Q, TransportError> {
    let initial = cipher_suite::TLS13_AES_128_GCM_SHA256
        .tls13()
        .and_then(|suite| suite.quic_suite())
        .ok_or(TransportError::NoInitialSuite)?;
    with_initial(Arc::new(config), initial).map_err(|_| TransportError::NoInitialSuite)
}

/// Accepts the server that proves one of the dialled peer's pinned keys.
#[derive(Debug)]
struct PinnedServer {
    pins: Vec<[u8; 32]>,
    signatures: Signatures,
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.pins.contains(&pin_of(end_entity)?) {
            return Err(not_pinned());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

/// Accepts the client that proves a key pinned by any listed peer.
#[derive(Debug)]
struct ListedClient {
    pins: Arc<PinTable>,
    signatures: Signatures,
}

impl ClientCertVerifier for ListedClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.pins.peer(&pin_of(end_entity)?).is_none() {
            self.pins.unknown.fetch_add(1, Ordering::Relaxed);
            return Err(not_pinned());
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.verify(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}

/// Verifies that whoever shows a certificate holds its private key.
#[derive(Debug)]
struct Signatures(Arc<CryptoProvider>);

impl Signatures {
    fn verify(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

fn not_pinned() -> Error {
    Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)
}

fn no_tls12() -> Error {
    Error::PeerIncompatible(PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig)
}

#[cfg(test)]
mod tests {
    use super::super::System;
    use super::*;

    #[test]
    fn a_client_of_tls_1_2_is_refused() {
        let mut server = plain_server();
        let refused = offer(&mut server, &client_hello(None));
        assert_eq!(
            refused,
            Err(Error::PeerIncompatible(
                PeerIncompatible::SupportedVersionsExtensionRequired
            ))
        );
        assert_eq!(alert_sent(&mut server), ALERT_PROTOCOL_VERSION);
    }

    #[test]
    fn a_client_that_lists_only_tls_1_2_is_refused() {
        let mut server = plain_server();
        offer(&mut server, &client_hello(Some(0x0303))).unwrap_err();
        assert_eq!(alert_sent(&mut server), ALERT_PROTOCOL_VERSION);
    }

    /// The two above are refused for their version, not for being ill-formed.
    #[test]
    fn the_same_client_with_tls_1_3_gets_past_the_version() {
        let mut server = plain_server();
        let refused = offer(&mut server, &client_hello(Some(0x0304))).unwrap_err();
        assert_ne!(alert_sent(&mut server), ALERT_PROTOCOL_VERSION, "{refused}");
    }

    const ALERT_PROTOCOL_VERSION: u8 = 70;

    /// The very configuration that QUIC gets, driven without QUIC.
    fn plain_server() -> rustls::ServerConnection {
        let identity = TlsIdentity::generate().unwrap();
        let tls = Tls::new(&identity, GroupProfile::Default, &System);
        let config = tls.server_config(Arc::new(PinTable::default())).unwrap();
        rustls::ServerConnection::new(Arc::new(config)).unwrap()
    }

    fn offer(server: &mut rustls::ServerConnection, mut hello: &[u8]) -> Result<(), Error> {
        server.read_tls(&mut hello).unwrap();
        server.process_new_packets().map(drop)
    }

    /// The description byte of the alert record that the server answers with.
    fn alert_sent(server: &mut rustls::ServerConnection) -> u8 {
        let mut record = Vec::new();
        server.write_tls(&mut record).unwrap();
        assert_eq!(record[0], 21, "an alert");
        record[6]
    }

    /// A minimal ClientHello record; without `version` it has no supported_versions extension,
    /// as before TLS 1.3.
    fn client_hello(version: Option<u16>) -> Vec<u8> {
        let mut extensions = vec![
            0, 10, 0, 4, 0, 2, 0, 29, // supported_groups: x25519
            0, 13, 0, 6, 0, 4, 8, 7, 4, 3, // signature_algorithms: ed25519, ecdsa p256
        ];
        if let Some(version) = version {
            extensions.extend([0, 43, 0, 3, 2]);
            extensions.extend(version.to_be_bytes());
        }

        let mut body = vec![3, 3]; // legacy_version: TLS 1.2
        body.extend([7; 32]); // random
        body.push(0); // no session id
        body.extend([0, 6, 0x13, 0x01, 0xc0, 0x2b, 0xc0, 0x2f]); // suites of 1.3 and of 1.2
        body.extend([1, 0]); // no compression
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);

        let mut handshake = vec![1, 0];
        handshake.extend((body.len() as u16).to_be_bytes());
        handshake.extend(body);
        let mut record = vec![22, 3, 1];
        record.extend((handshake.len() as u16).to_be_bytes());
        record.extend(handshake);
        record
    }
}
