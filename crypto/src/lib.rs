//! Keys, signatures, sealing and hashes of Comity.
//!
//! Everything that Comity asks of cryptography goes through this crate, so that the choice of
//! algorithms and the exact bytes that go into them can be read in one place:
//!
//! * [`hash()`] and [`derive()`]: SHA-256 and HKDF-SHA256 over inputs that carry a domain tag and
//!   their lengths;
//! * [`SigningKey`] and [`PublicKey`]: Ed25519 over a tagged digest, verified strictly;
//! * [`SealingKey`] and [`SealingPublicKey`]: HPKE with X-Wing, which hands an [`EpochSecret`] to
//!   one partner;
//! * [`seal_body`] and [`open_body`]: AES-256-GCM for the body of an event, bound to its position
//!   and to a commitment to its plaintext;
//! * [`seal_chunk`] and [`open_chunk`]: AES-256-GCM for the chunks of a file, each under a key of
//!   its own;
//! * [`StorageKey`]: AES-256-GCM for values at rest, bound to their table and key.
//!
//! **Invariant: nothing here draws randomness, reads a clock, does I/O or starts a thread.** Each
//! function is a pure function of its arguments; where randomness is needed it is an argument, and
//! its quality is the caller's duty. `clippy.toml` beside this crate's manifest holds the line.
//!
//! **Invariant: bytes from elsewhere never cause a panic.** They are refused with a typed error.
//! The few panics that remain are for a caller's mistake, and are documented where they can occur.

#![forbid(unsafe_code)]
#![deny(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod aead;
mod body;
mod chunk;
mod error;
mod hash;
mod sealing;
mod signing;
#[cfg(stand_in)]
mod stand_in;
mod storage;
mod suite;
#[cfg(test)]
#[path = "../tests/vectors/mod.rs"]
mod vectors;

pub use body::{
    OpenedBody, Position, SALT_LEN, SEAL_OVERHEAD, body_hash, open_body, plaintext_commitment,
    seal_body,
};
pub use chunk::{CHUNK_OVERHEAD, ChunkPlace, chunk_hash, open_chunk, seal_chunk};
pub use error::{KeyError, OpenError, SignatureError, UnwrapError};
pub use hash::{HASH_LEN, derive, hash};
pub use sealing::{EpochSecret, SEALING_PUBLIC_LEN, WRAP_LEN};
#[cfg(not(stand_in))]
pub use sealing::{SealingKey, SealingPublicKey};
#[cfg(not(stand_in))]
pub use signing::{PublicKey, SigningKey};
#[cfg(stand_in)]
pub use stand_in::{PublicKey, SealingKey, SealingPublicKey, SigningKey, stand_in_seed};
pub use storage::{STORAGE_KEY_ID_LEN, StorageKey};
pub use suite::Suite;
