//! Files: how they are cut and sealed, which chunks are held, and fetching those that are not.
//!
//! A file is a reference, which is an event like any other, and chunks, which are no events: they
//! are fetched by whoever wants them, from whoever holds them and reads the same lane.

mod fetch;
mod held;

use std::fmt;

use comity_crypto as crypto;
use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::body::FileBody;
use crate::id::Hash;
use crate::limits;

pub use fetch::{Fault, Fetches, Progress, Taken, Wanted};
pub use held::{Held, HeldFile, Place, chunk_key};

/// The secret under which a file's chunks are sealed. Whoever reads the file's reference has it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct FileKey([u8; 32]);

impl FileKey {
    /// Takes 32 bytes, which must be uniformly random and used for one file.
    pub fn from_bytes(bytes: [u8; 32]) -> FileKey {
        FileKey(bytes)
    }

    /// Seals a chunk in place, and gives the hash by which it is known.
    pub fn seal(&self, size: u64, index: u32, chunk: &mut Vec<u8>) -> Hash {
        crypto::seal_chunk(&self.0, &place(size, index), chunk);
        Hash(crypto::chunk_hash(chunk))
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(..)")
    }
}

impl Serialize for FileKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for FileKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Hash::deserialize(deserializer).map(|bytes| FileKey(bytes.0))
    }
}

impl FileBody {
    /// Whether sealed bytes are this chunk of the file.
    pub fn is_chunk(&self, index: u32, sealed: &[u8]) -> bool {
        self.chunks.get(index as usize) == Some(&Hash(crypto::chunk_hash(sealed)))
    }

    /// Opens a sealed chunk in place.
    pub fn open(&self, index: u32, sealed: &mut Vec<u8>) -> Result<(), crypto::OpenError> {
        crypto::open_chunk(&self.key.0, &place(self.size, index), sealed)
    }
}

/// How many chunks a file of `size` bytes has.
pub fn chunk_count(size: u64) -> u64 {
    size.div_ceil(limits::CHUNK_BYTES as u64)
}

/// How many bytes a chunk of a file of `size` bytes has; none beyond its end.
pub fn chunk_len(size: u64, index: u32) -> usize {
    let chunk = limits::CHUNK_BYTES as u64;
    size.saturating_sub(u64::from(index) * chunk).min(chunk) as usize
}

fn place(size: u64, index: u32) -> crypto::ChunkPlace {
    crypto::ChunkPlace {
        index: index.into(),
        chunks: chunk_count(size),
        size,
    }
}
