//! Ed25519 signatures (RFC 8032) over a tagged digest.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use ed25519_dalek::{Signature, Signer, VerifyingKey};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::error::{KeyError, SignatureError};
use crate::hash::tag_len;

/// An Ed25519 private key. Its memory is zeroised when it is dropped.
#[derive(ZeroizeOnDrop)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// Makes the key of a 32-byte seed (the private key of RFC 8032, section 5.1.5).
    ///
    /// The seed must be uniformly random and kept secret.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Gives back the 32-byte seed, for storing it.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(*self.0.as_bytes())
    }

    /// Gives the public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs `u8 len(tag) ‖ tag ‖ digest`. The signature depends on nothing else: no randomness.
    ///
    /// # Panics
    ///
    /// If `tag` is longer than 255 bytes.
    pub fn sign(&self, tag: &'static str, digest: &[u8; 32]) -> [u8; 64] {
        self.sign_message(&message(tag, digest))
    }

    fn sign_message(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public())
            .finish_non_exhaustive()
    }
}

/// An Ed25519 public key that has passed [`PublicKey::register`].
///
/// It is equal, ordered and hashed by its 32 bytes. It also holds the decoded point (some 200
/// bytes in all), so that verifying does not decode it again.
#[derive(Clone, Copy)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Accepts the 32-byte encoding of a public key (RFC 8032, section 5.1.2), strictly.
    ///
    /// A key that passes has one encoding only and lies in the prime-order subgroup, so a
    /// signature under it binds one key and one message.
    ///
    /// # Errors
    ///
    /// [`KeyError::Invalid`] if the bytes are no point of the curve, [`KeyError::NonCanonical`] if
    /// they are not the one encoding of their point, [`KeyError::SmallOrder`] and
    /// [`KeyError::MixedOrder`] if the point is outside the prime-order subgroup.
    pub fn register(bytes: &[u8; 32]) -> Result<PublicKey, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Invalid)?;
        let point = key.to_edwards();
        if point.compress().to_bytes() != *bytes {
            return Err(KeyError::NonCanonical);
        }
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        if !point.is_torsion_free() {
            return Err(KeyError::MixedOrder);
        }
        Ok(PublicKey(key))
    }

    /// Gives the 32-byte encoding.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// Verifies a signature that [`SigningKey::sign`] made for `tag` and `digest`.
    ///
    /// Stricter than RFC 8032 demands: it takes only the cofactorless equation, a reduced scalar
    /// and a canonical commitment point that is not of small order.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] if the signature does not hold.
    ///
    /// # Panics
    ///
    /// If `tag` is longer than 255 bytes.
    pub fn verify(
        &self,
        tag: &'static str,
        digest: &[u8; 32],
        signature: &[u8; 64],
    ) -> Result<(), SignatureError> {
        self.verify_message(&message(tag, digest), signature)
    }

    fn verify_message(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), SignatureError> {
        self.0
            .verify_strict(message, &Signature::from_bytes(signature))
            .map_err(|_| SignatureError)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes() == other.0.as_bytes()
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.as_bytes().cmp(other.0.as_bytes())
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_bytes().hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        for byte in self.0.as_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// The bytes that are signed. The tag keeps a signature made for one purpose from holding for
/// another.
fn message(tag: &'static str, digest: &[u8; 32]) -> Vec<u8> {
    let mut message = Vec::with_capacity(1 + tag.len() + digest.len());
    message.push(tag_len(tag));
    message.extend_from_slice(tag.as_bytes());
    message.extend_from_slice(digest);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::Vector;

    #[test]
    fn signatures_are_those_of_rfc_8032() {
        let text = include_str!("../tests/vectors/ed25519-rfc8032.json");
        for case in Vector::parse(text).list("cases") {
            let key = SigningKey::from_seed(&case.array("seed"));
            let message = case.bytes("message");
            let signature = key.sign_message(&message);
            assert_eq!(signature, case.array("signature"), "{}", case.text("name"));
            let result = key.public().verify_message(&message, &signature);
            assert_eq!(result, Ok(()));
        }
    }

    #[test]
    fn published_signatures_with_an_unreduced_scalar_are_refused() {
        let text = include_str!("../tests/vectors/ed25519-refused.json");
        for case in Vector::parse(text).list("unreduced") {
            let key = PublicKey::register(&case.array("public")).unwrap();
            let result = key.verify_message(&case.bytes("message"), &case.array("signature"));
            assert_eq!(result, Err(SignatureError));
        }
    }
}
