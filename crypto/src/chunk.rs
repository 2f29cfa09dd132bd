//! Sealing the chunks of a file.
//!
//! Each chunk has a key of its own, derived from the file's key and the chunk's place, which
//! serves once: so the nonce may be constant. The file's key must be new for each file.

use crate::aead::{self, NONCE_LEN, TAG_LEN};
use crate::error::OpenError;
use crate::hash::{HASH_LEN, derive, hash};

/// How many bytes sealing adds to a chunk: the AES-GCM tag.
pub const CHUNK_OVERHEAD: usize = TAG_LEN;

/// Where a chunk belongs in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The chunk's number, from 0.
    pub index: u64,
    /// How many chunks the file has.
    pub chunks: u64,
    /// The file's length in bytes.
    pub size: u64,
}

impl ChunkPlace {
    fn aad(&self) -> [u8; 24] {
        let mut aad = [0; 24];
        let numbers = [self.index, self.chunks, self.size];
        for (to, number) in aad.chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_be_bytes());
        }
        aad
    }
}

/// Seals a chunk in place with AES-256-GCM: `chunk` becomes `ciphertext ‖ tag`,
/// [`CHUNK_OVERHEAD`] bytes longer.
///
/// The key is [`derive()`]d from `file_key` under `comity/v1/file-chunk` and the chunk's number;
/// the place is bound in. `file_key` must be uniformly random, secret, and used for one file.
///
/// # Panics
///
/// If the chunk is longer than AES-GCM can encrypt, some 64 GiB.
pub fn seal_chunk(file_key: &[u8; HASH_LEN], place: &ChunkPlace, chunk: &mut Vec<u8>) {
    let key = chunk_key(file_key, place);
    aead::seal(&key, &[0; NONCE_LEN], &place.aad(), chunk, 0);
}

/// Opens in place what [`seal_chunk`] made with the same key for the same place.
///
/// # Errors
///
/// [`OpenError::TooShort`], or [`OpenError::Authentication`] if the sealed bytes, the key or the
/// place differ.
pub fn open_chunk(
    file_key: &[u8; HASH_LEN],
    place: &ChunkPlace,
    sealed: &mut Vec<u8>,
) -> Result<(), OpenError> {
    if sealed.len() < CHUNK_OVERHEAD {
        return Err(OpenError::TooShort {
            minimum: CHUNK_OVERHEAD,
            actual: sealed.len(),
        });
    }
    let key = chunk_key(file_key, place);
    let length = aead::open(&key, &[0; NONCE_LEN], &place.aad(), sealed)?;
    sealed.truncate(length);
    Ok(())
}

/// Hashes a sealed chunk under `comity/v1/chunk`.
pub fn chunk_hash(sealed: &[u8]) -> [u8; HASH_LEN] {
    hash("comity/v1/chunk", &[sealed])
}

fn chunk_key(file_key: &[u8; HASH_LEN], place: &ChunkPlace) -> zeroize::Zeroizing<[u8; HASH_LEN]> {
    let index = place.index.to_be_bytes();
    derive(file_key, "comity/v1/file-chunk", &[&index])
}
