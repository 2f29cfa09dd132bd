//! Hashes and key derivation over tagged, length-prefixed input.

use aws_lc_rs::{digest, hkdf};
use zeroize::Zeroizing;

/// The length of every hash, id and derived key, in bytes.
pub const HASH_LEN: usize = 32;

/// Hashes `parts` under the domain `tag` with SHA-256 (FIPS 180-4).
///
/// The input is `u8 len(tag) ‖ tag`, then for each part `u64 big-endian length ‖ part`. So two
/// calls hash the same bytes only if tag, number of parts and each part agree.
///
/// # Panics
///
/// If `tag` is longer than 255 bytes.
pub fn hash(tag: &'static str, parts: &[&[u8]]) -> [u8; HASH_LEN] {
    let mut context = digest::Context::new(&digest::SHA256);
    encode(tag, parts, |bytes| context.update(bytes));
    let mut out = [0; HASH_LEN];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// Derives a 32-byte key from `secret` with HKDF-SHA256 (RFC 5869).
///
/// The salt is empty, the input keying material is `secret`, and `info` is `tag` and `parts`
/// encoded as for [`hash()`]. `secret` must be uniformly random or itself a derived key.
///
/// # Panics
///
/// If `tag` is longer than 255 bytes.
pub fn derive(
    secret: &[u8; HASH_LEN],
    tag: &'static str,
    parts: &[&[u8]],
) -> Zeroizing<[u8; HASH_LEN]> {
    let mut info = Vec::new();
    encode(tag, parts, |bytes| info.extend_from_slice(bytes));
    hkdf_sha256(b"", secret, &info)
}

/// Computes the first 32 bytes of HKDF-SHA256.
#[expect(clippy::expect_used, reason = "one block is always within the limit")]
fn hkdf_sha256(salt: &[u8], secret: &[u8], info: &[u8]) -> Zeroizing<[u8; HASH_LEN]> {
    let mut out = Zeroizing::new([0; HASH_LEN]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|key| key.fill(out.as_mut_slice()))
        // HKDF expands to at most 255 blocks, and `fill` wants the length asked for: both are 32
        // bytes, one block.
        .expect("HKDF-SHA256 expands to one block");
    out
}

/// Feeds the unambiguous encoding of `tag` and `parts` to `sink`.
fn encode(tag: &'static str, parts: &[&[u8]], mut sink: impl FnMut(&[u8])) {
    sink(&[tag_len(tag)]);
    sink(tag.as_bytes());
    for part in parts {
        sink(&(part.len() as u64).to_be_bytes());
        sink(part);
    }
}

/// Gives the length of a domain tag as the one byte that precedes it.
///
/// # Panics
///
/// If `tag` is longer than 255 bytes. Tags are constants of the program, never input.
pub(crate) fn tag_len(tag: &'static str) -> u8 {
    assert!(tag.len() <= usize::from(u8::MAX), "domain tag too long");
    tag.len() as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::Vector;

    #[test]
    fn hkdf_gives_the_keys_of_rfc_5869() {
        let text = include_str!("../tests/vectors/hkdf-sha256-rfc5869.json");
        for case in Vector::parse(text).list("cases") {
            let (salt, secret, info) = (case.bytes("salt"), case.bytes("ikm"), case.bytes("info"));
            let key = hkdf_sha256(&salt, &secret, &info);
            assert_eq!(*key, case.bytes("okm")[..HASH_LEN], "{}", case.text("name"));
        }
    }
}
