//! Sealing the body of an event.
//!
//! The key is derived from the epoch's secret and the event's position; the nonce is cut from the
//! commitment to the plaintext. So a position that is written twice, after a roll-back of its
//! writer, still never uses a nonce twice under one key, unless it is the same plaintext again.

use std::fmt;

use crate::aead::{self, NONCE_LEN, TAG_LEN};
use crate::error::OpenError;
use crate::hash::{HASH_LEN, derive, hash};
use crate::sealing::EpochSecret;

/// The length of the random salt at the front of each sealed plaintext, in bytes.
pub const SALT_LEN: usize = 16;

/// How many bytes sealing adds to a body: the salt and the AES-GCM tag.
pub const SEAL_OVERHEAD: usize = SALT_LEN + TAG_LEN;

/// The place of an event: its lane, its writer, and its number in that writer's log of that lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position<'a> {
    /// The lane's id.
    pub lane: &'a [u8; HASH_LEN],
    /// The writer's id.
    pub writer: &'a [u8; HASH_LEN],
    /// The event's number in the writer's log.
    pub seq: u64,
}

/// Commits to a body: the hash of salt and body under `comity/v1/plaintext`.
///
/// It binds the body, and hides it as long as the salt is random and secret.
pub fn plaintext_commitment(salt: &[u8; SALT_LEN], body: &[u8]) -> [u8; HASH_LEN] {
    hash("comity/v1/plaintext", &[salt, body])
}

/// Seals `salt ‖ body` with AES-256-GCM and gives `ciphertext ‖ tag`, [`SEAL_OVERHEAD`] bytes more
/// than `body`.
///
/// The key is [`derive()`]d from `secret` under `comity/v1/event-key` and `position` (lane, writer,
/// seq as 8 bytes big-endian); the nonce is the first 12 bytes of `commitment`, which must be the
/// [`plaintext_commitment`] of `salt` and `body`, or the result will never open. `salt` must be
/// uniformly random and new for each event. `aad` is bound in but not contained.
///
/// # Panics
///
/// If `body` is longer than AES-GCM can encrypt, some 64 GiB.
pub fn seal_body(
    secret: &EpochSecret,
    position: &Position,
    commitment: &[u8; HASH_LEN],
    aad: &[u8],
    salt: &[u8; SALT_LEN],
    body: &[u8],
) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(body.len() + SEAL_OVERHEAD);
    buffer.extend_from_slice(salt);
    buffer.extend_from_slice(body);
    let key = event_key(secret, position);
    aead::seal(&key, &nonce(commitment), aad, &mut buffer, 0);
    buffer
}

/// Opens what [`seal_body`] made with the same secret, position, commitment and associated data,
/// and checks that the plaintext is the one committed to.
///
/// The last check matters: AES-GCM does not commit to its key, so without it a hostile writer
/// could show two readers different plaintexts under one event.
///
/// # Errors
///
/// [`OpenError::TooShort`], [`OpenError::Authentication`] if the sealed bytes or anything they are
/// bound to differ, [`OpenError::Commitment`] if the plaintext is not the one committed to.
pub fn open_body(
    secret: &EpochSecret,
    position: &Position,
    commitment: &[u8; HASH_LEN],
    aad: &[u8],
    sealed: &[u8],
) -> Result<OpenedBody, OpenError> {
    if sealed.len() < SEAL_OVERHEAD {
        return Err(OpenError::TooShort {
            minimum: SEAL_OVERHEAD,
            actual: sealed.len(),
        });
    }
    let mut buffer = sealed.to_vec();
    let key = event_key(secret, position);
    let length = aead::open(&key, &nonce(commitment), aad, &mut buffer)?;
    buffer.truncate(length);
    let opened = OpenedBody::split(buffer)?;
    if plaintext_commitment(&opened.salt, &opened.body) != *commitment {
        return Err(OpenError::Commitment);
    }
    Ok(opened)
}

/// Hashes the bytes of a body as they travel, `ciphertext ‖ tag` or a public body, under
/// `comity/v1/body`.
pub fn body_hash(bytes: &[u8]) -> [u8; HASH_LEN] {
    hash("comity/v1/body", &[bytes])
}

/// The plaintext of an event. [`fmt::Debug`] shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedBody {
    /// The salt, with which the commitment can be proven to someone else.
    pub salt: [u8; SALT_LEN],
    /// The body.
    pub body: Vec<u8>,
}

impl OpenedBody {
    fn split(mut plaintext: Vec<u8>) -> Result<Self, OpenError> {
        let salt = *plaintext.first_chunk().ok_or(OpenError::Authentication)?;
        plaintext.drain(..SALT_LEN);
        Ok(Self {
            salt,
            body: plaintext,
        })
    }
}

impl fmt::Debug for OpenedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenedBody({} bytes)", self.body.len())
    }
}

fn event_key(secret: &EpochSecret, position: &Position) -> zeroize::Zeroizing<[u8; HASH_LEN]> {
    let seq = position.seq.to_be_bytes();
    derive(
        secret.as_bytes(),
        "comity/v1/event-key",
        &[position.lane, position.writer, &seq],
    )
}

fn nonce(commitment: &[u8; HASH_LEN]) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    for (to, from) in nonce.iter_mut().zip(commitment) {
        *to = *from;
    }
    nonce
}
