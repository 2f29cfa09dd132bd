//! AES-256-GCM (NIST SP 800-38D) with the caller's key and nonce.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::error::OpenError;

/// The length of the authentication tag, in bytes.
pub(crate) const TAG_LEN: usize = 16;

/// The length of a nonce, in bytes.
pub(crate) const NONCE_LEN: usize = 12;

/// Encrypts `buffer` from byte `start` on, in place, and appends the tag.
///
/// # Panics
///
/// If there are more than 2³⁶ − 32 bytes to encrypt, which AES-GCM cannot.
#[expect(clippy::expect_used, reason = "only that length is refused")]
pub(crate) fn seal(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    buffer: &mut Vec<u8>,
    start: usize,
) {
    let plaintext = buffer.get_mut(start..).unwrap_or_default();
    let tag = cipher(key)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(aad),
            plaintext,
        )
        .expect("a plaintext within the limit of AES-GCM");
    buffer.extend_from_slice(tag.as_ref());
}

/// Decrypts `ciphertext ‖ tag` in place, and gives the plaintext's length: it is at the front.
pub(crate) fn open(
    key: &[u8; 32],
    nonce: &[u8; NONCE_LEN],
    aad: &[u8],
    buffer: &mut [u8],
) -> Result<usize, OpenError> {
    cipher(key)
        .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(aad), buffer)
        .map(|plaintext| plaintext.len())
        .map_err(|_| OpenError::Authentication)
}

#[expect(clippy::expect_used, reason = "only a wrong length is refused")]
fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("a key of 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::Vector;

    #[test]
    fn aes_256_gcm_gives_the_published_answers() {
        let text = include_str!("../tests/vectors/aes-256-gcm.json");
        for case in Vector::parse(text).list("cases") {
            let (key, nonce, aad) = (case.array("key"), case.array("nonce"), case.bytes("aad"));
            let plaintext = case.bytes("plaintext");
            let expected = [case.bytes("ciphertext"), case.bytes("tag")].concat();

            let mut buffer = [b"prefix".to_vec(), plaintext.clone()].concat();
            seal(&key, &nonce, &aad, &mut buffer, 6);
            assert_eq!(&buffer[..6], b"prefix");
            assert_eq!(buffer[6..], expected, "{}", case.text("name"));

            let length = open(&key, &nonce, &aad, &mut buffer[6..]).unwrap();
            assert_eq!(buffer[6..][..length], plaintext);
        }
    }
}
