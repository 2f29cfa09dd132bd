//! Sealing values at rest.

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::aead::{self, NONCE_LEN, TAG_LEN};
use crate::error::OpenError;
use crate::hash::{HASH_LEN, derive};

/// The format that [`StorageKey::seal`] writes.
const VERSION: u8 = 1;

const RANDOM_LEN: usize = 32;
const HEADER_LEN: usize = 1 + RANDOM_LEN;
const OVERHEAD: usize = HEADER_LEN + TAG_LEN;

/// Length of what [`StorageKey::id`] gives, in bytes: enough to tell a few keys apart.
pub const STORAGE_KEY_ID_LEN: usize = 8;

/// Each value has a key of its own that is used once, so the nonce can be fixed.
const NONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

/// The key under which a node keeps its values at rest.
///
/// 32 bytes. Its memory is zeroised when it is dropped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct StorageKey([u8; HASH_LEN]);

impl StorageKey {
    /// Takes 32 bytes, which must be uniformly random and secret.
    pub fn from_bytes(bytes: [u8; HASH_LEN]) -> Self {
        Self(bytes)
    }

    /// What tells this key from others and nothing else about it: the first 8 bytes of a key
    /// [`derive()`]d from it (`comity/v1/storage-key-id`). Not secret.
    pub fn id(&self) -> [u8; STORAGE_KEY_ID_LEN] {
        let derived = derive(&self.0, "comity/v1/storage-key-id", &[]);
        let mut id = [0; STORAGE_KEY_ID_LEN];
        id.iter_mut()
            .zip(derived.iter())
            .for_each(|(to, from)| *to = *from);
        id
    }

    /// Seals `value` for its place, `table` and `key`: version byte 1 ‖ `randomness` ‖ ciphertext ‖
    /// tag, 49 bytes more than `value`.
    ///
    /// AES-256-GCM under a key [`derive()`]d from the storage key and `randomness`
    /// (`comity/v1/storage-value`), with a nonce of twelve zeros; the associated data is
    /// `u64 big-endian length ‖ table ‖ u64 big-endian length ‖ key`. `randomness` must be uniformly
    /// random and new for each call; it is not secret.
    ///
    /// # Panics
    ///
    /// If `value` is longer than AES-GCM can encrypt, some 64 GiB.
    pub fn seal(
        &self,
        table: &str,
        key: &[u8],
        value: &[u8],
        randomness: &[u8; RANDOM_LEN],
    ) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(value.len() + OVERHEAD);
        buffer.push(VERSION);
        buffer.extend_from_slice(randomness);
        buffer.extend_from_slice(value);
        let value_key = self.value_key(randomness);
        aead::seal(
            &value_key,
            &NONCE,
            &place(table, key),
            &mut buffer,
            HEADER_LEN,
        );
        buffer
    }

    /// Opens what [`StorageKey::seal`] made for the same place. The value may be a secret: it is
    /// the caller's to zeroise.
    ///
    /// # Errors
    ///
    /// [`OpenError::TooShort`], [`OpenError::Version`] for another format, and
    /// [`OpenError::Authentication`] if the bytes were altered, moved to another place, or sealed
    /// under another storage key.
    pub fn open(&self, table: &str, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (randomness, ciphertext) = parse(sealed)?;
        let mut buffer = ciphertext.to_vec();
        let value_key = self.value_key(randomness);
        let length = aead::open(&value_key, &NONCE, &place(table, key), &mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    }

    fn value_key(&self, randomness: &[u8; RANDOM_LEN]) -> Zeroizing<[u8; HASH_LEN]> {
        derive(&self.0, "comity/v1/storage-value", &[randomness])
    }
}

impl fmt::Debug for StorageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageKey(..)")
    }
}

/// Splits sealed bytes into the randomness and `ciphertext ‖ tag`.
fn parse(sealed: &[u8]) -> Result<(&[u8; RANDOM_LEN], &[u8]), OpenError> {
    let too_short = OpenError::TooShort {
        minimum: OVERHEAD,
        actual: sealed.len(),
    };
    if sealed.len() < OVERHEAD {
        return Err(too_short);
    }
    let (version, rest) = sealed.split_first().ok_or(too_short)?;
    if *version != VERSION {
        return Err(OpenError::Version(*version));
    }
    rest.split_first_chunk().ok_or(too_short)
}

/// The associated data of a value: where it belongs.
fn place(table: &str, key: &[u8]) -> Vec<u8> {
    let mut place = Vec::with_capacity(16 + table.len() + key.len());
    for part in [table.as_bytes(), key] {
        place.extend_from_slice(&(part.len() as u64).to_be_bytes());
        place.extend_from_slice(part);
    }
    place
}
