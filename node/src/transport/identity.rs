//! The node's TLS key and the self-signed certificate that carries it.

use std::sync::Arc;

use aws_lc_rs::digest;
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use zeroize::{Zeroize, Zeroizing};

use super::TransportError;
use crate::random;

/// A TLS key (Ed25519) in a self-signed certificate.
///
/// The certificate is only an envelope: peers pin the key, so its names and its validity never
/// decide anything.
pub struct TlsIdentity {
    pem: Zeroizing<String>,
    certified: Arc<CertifiedKey>,
    pin: [u8; 32],
}

impl TlsIdentity {
    /// Draws a new key and signs its certificate.
    pub fn generate() -> Result<Self, TransportError> {
        Self::from_seed(&Zeroizing::new(random::bytes()))
    }

    /// Signs a certificate for the key of this seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, TransportError> {
        let key = Zeroizing::new([PKCS8_ED25519, seed].concat());
        let key = PrivatePkcs8KeyDer::from(key.as_slice());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_ED25519);
        let mut key = key.map_err(identity_error)?;
        let certificate = CertificateParams::new(Vec::new())
            .and_then(|params| params.self_signed(&key))
            .map_err(identity_error)?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        key.zeroize();

        let mut pem = Zeroizing::new(String::with_capacity(PEM_CAPACITY));
        pem.push_str(&key_pem);
        pem.push_str(&certificate.pem());
        Self::from_pem(&pem)
    }

    /// Reads a key and its certificate, in either order.
    pub fn from_pem(pem: &str) -> Result<Self, TransportError> {
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(identity_error)?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(identity_error)?;
        let pin = pin_of(&certificate)?;
        let certified = CertifiedKey::from_der(vec![certificate], key, &provider())?;
        Ok(Self {
            pem: Zeroizing::new(pem.to_owned()),
            certified: Arc::new(certified),
            pin,
        })
    }

    /// The private key and the certificate, for a file that only the node may read.
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.pem.clone()
    }

    /// SHA-256 of the key's SubjectPublicKeyInfo: what peers list in
    /// [`PeerEntry::pins`](super::PeerEntry).
    pub fn pin(&self) -> [u8; 32] {
        self.pin
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
pub(super) fn pin_of(certificate: &CertificateDer<'_>) -> Result<[u8; 32], rustls::Error> {
    let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
    let mut pin = [0; 32];
    pin.copy_from_slice(digest::digest(&digest::SHA256, &key).as_ref());
    Ok(pin)
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}

fn identity_error(error: impl std::fmt::Display) -> TransportError {
    TransportError::Identity(error.to_string())
}

/// What stands before a seed in a PKCS #8 file of an Ed25519 key (RFC 8410, section 7).
const PKCS8_ED25519: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// More than a key and a certificate of ours take, so that the text is never moved in memory.
const PEM_CAPACITY: usize = 4096;
