//! Canonical MessagePack: one value has exactly one encoding.
//!
//! `rmp-serde` writes the shortest form of every integer, string and array, but reads longer
//! forms and ignores what follows the value. So whatever is decoded is encoded again and must
//! come out byte for byte the same; otherwise a relay could change a header's bytes, and with
//! them its id, without changing its meaning.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are not the one canonical encoding of the type asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("{len} bytes are over the limit of {limit}")]
    TooLong { len: usize, limit: usize },
    #[error("not a {expected}")]
    Undecodable { expected: &'static str },
    #[error("not the canonical encoding of a {expected}")]
    NotCanonical { expected: &'static str },
    #[error("{0}")]
    Rule(&'static str),
}

/// A type with a canonical encoding, a name for error messages and a length limit.
pub trait Canonical: Serialize + DeserializeOwned {
    /// What the bytes are meant to be, as in "not a header".
    const NAME: &'static str;
    /// The longest encoding that is read, in bytes.
    const LIMIT: usize;

    /// Checks what the types cannot say: orders, ranges, lengths.
    fn check(&self) -> Result<(), Malformed> {
        Ok(())
    }

    /// The canonical encoding.
    fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Reads the canonical encoding; anything else is [`Malformed`].
    fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() > Self::LIMIT {
            return Err(Malformed::TooLong {
                len: bytes.len(),
                limit: Self::LIMIT,
            });
        }
        let value: Self = rmp_serde::from_slice(bytes).map_err(|_| Malformed::Undecodable {
            expected: Self::NAME,
        })?;
        if encode(&value) != bytes {
            return Err(Malformed::NotCanonical {
                expected: Self::NAME,
            });
        }
        value.check()?;
        Ok(value)
    }
}

/// Encodes `value`; structs become arrays of fixed arity.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    // Writing to a Vec cannot fail, and no type of this crate has an unsized sequence, the one
    // thing that rmp-serde refuses to write.
    rmp_serde::encode::write(&mut out, value).expect("encodes into memory");
    out
}
