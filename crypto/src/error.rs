//! What can be wrong with bytes that came from elsewhere.

/// A public key is not one that Comity accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key has the wrong length.
    #[error("a public key of {actual} bytes, expected {expected}")]
    Length {
        /// The length that this kind of key has, in bytes.
        expected: usize,
        /// The length that was given, in bytes.
        actual: usize,
    },
    /// The bytes do not decode to a key: no point of the curve, or a coefficient out of range.
    #[error("not the encoding of a public key")]
    Invalid,
    /// The bytes decode to a point that has another, canonical encoding.
    #[error("not the canonical encoding of a public key")]
    NonCanonical,
    /// The point has small order: signatures under it would verify for almost any message.
    #[error("the public key has small order")]
    SmallOrder,
    /// The point lies outside the prime-order subgroup.
    #[error("the public key has a component of small order")]
    MixedOrder,
    /// The encapsulation did not use exactly the randomness that the caller gave.
    #[error("the encapsulation did not use exactly the randomness given")]
    Randomness,
}

/// A signature does not hold for the key, tag and digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not hold")]
pub struct SignatureError;

/// A wrapped secret cannot be unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// The wrap has the wrong length.
    #[error("a wrap of {actual} bytes, expected {}", crate::WRAP_LEN)]
    Length {
        /// The length that was given, in bytes.
        actual: usize,
    },
    /// The wrap is for another key or another `info`, or was altered.
    #[error("the wrap does not open with this key and info")]
    Refused,
}

/// Sealed bytes cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There are fewer bytes than the sealing alone adds.
    #[error("{actual} sealed bytes, expected at least {minimum}")]
    TooShort {
        /// The length of a sealed empty value, in bytes.
        minimum: usize,
        /// The length that was given, in bytes.
        actual: usize,
    },
    /// A stored value was sealed by a format that this version does not know.
    #[error("sealed in unknown format {0}")]
    Version(u8),
    /// The key, the associated data or the sealed bytes are not those of the sealing.
    #[error("the sealed bytes are not authentic")]
    Authentication,
    /// The bytes are authentic, but the plaintext is not the one committed to.
    #[error("the plaintext does not fit its commitment")]
    Commitment,
}
