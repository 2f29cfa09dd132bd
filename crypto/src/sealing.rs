//! Handing a secret to one recipient: HPKE (RFC 9180) in base mode with the post-quantum hybrid
//! KEM X-Wing (draft-connolly-cfrg-xwing-kem), HKDF-SHA256 and AES-256-GCM.

use std::convert::Infallible;
use std::fmt;

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::rand_core::{TryCryptoRng, TryRng};
use hpke::{
    Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open,
    single_shot_seal_with_rng,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::{KeyError, UnwrapError};
use crate::hash::{HASH_LEN, hash};

/// The length of a sealing public key, in bytes: ML-KEM-768's 1,184 and X25519's 32.
pub const SEALING_PUBLIC_LEN: usize = 1216;

/// The length of a wrapped epoch secret, in bytes: encapsulation, ciphertext and tag.
pub const WRAP_LEN: usize = ENCAPSULATION_LEN + SECRET_LEN + 16;

const ENCAPSULATION_LEN: usize = 1120;
const SECRET_LEN: usize = 32;

type PrivateKey = <XWing as Kem>::PrivateKey;
type EncapsulationKey = <XWing as Kem>::PublicKey;
type Encapsulation = <XWing as Kem>::EncappedKey;

/// An X-Wing private key. Its memory is zeroised when it is dropped.
pub struct SealingKey(PrivateKey);

impl SealingKey {
    /// Makes the key of a 32-byte seed, which is X-Wing's decapsulation key itself.
    ///
    /// The seed must be uniformly random and kept secret.
    #[expect(clippy::expect_used, reason = "only a wrong length is refused")]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        // Every string of 32 bytes is an X-Wing decapsulation key.
        Self(PrivateKey::from_bytes(seed).expect("a seed of 32 bytes"))
    }

    /// Gives back the 32-byte seed, for storing it.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        let mut seed = Zeroizing::new([0; 32]);
        self.0.write_exact(seed.as_mut_slice());
        seed
    }

    /// Gives the public key.
    pub fn public(&self) -> SealingPublicKey {
        let mut bytes = Box::new([0; SEALING_PUBLIC_LEN]);
        XWing::sk_to_pk(&self.0).write_exact(bytes.as_mut_slice());
        SealingPublicKey(bytes)
    }

    /// Opens what [`SealingPublicKey::wrap_secret`] made for this key with the same `info`.
    ///
    /// HPKE in base mode does not say who made the wrap, and AES-GCM does not commit to its
    /// plaintext: the caller must compare the secret with a signed [`EpochSecret::commitment`].
    ///
    /// # Errors
    ///
    /// [`UnwrapError::Length`] if `wrap` is not [`WRAP_LEN`] bytes, [`UnwrapError::Refused`] if it
    /// does not open.
    pub fn unwrap_secret(&self, info: &[u8], wrap: &[u8]) -> Result<EpochSecret, UnwrapError> {
        let wrap: &[u8; WRAP_LEN] = wrap
            .try_into()
            .map_err(|_| UnwrapError::Length { actual: wrap.len() })?;
        let (encapsulation, sealed) = wrap.split_at(ENCAPSULATION_LEN);
        let secret = self
            .open(info, encapsulation, sealed)
            .ok_or(UnwrapError::Refused)?;
        let bytes = secret.as_slice().try_into();
        bytes.map(EpochSecret).map_err(|_| UnwrapError::Refused)
    }

    fn open(&self, info: &[u8], encapsulation: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let encapsulation = Encapsulation::from_bytes(encapsulation).ok()?;
        single_shot_open::<AesGcm256, HkdfSha256, XWing>(
            &OpModeR::Base,
            &self.0,
            &encapsulation,
            info,
            sealed,
            b"",
        )
        .ok()
        .map(Zeroizing::new)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealingKey")
            .field("public", &self.public())
            .finish_non_exhaustive()
    }
}

/// An X-Wing public key whose ML-KEM half has passed the check of FIPS 203, section 7.2.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingPublicKey(Box<[u8; SEALING_PUBLIC_LEN]>);

impl SealingPublicKey {
    /// Accepts the encoding of a public key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Length`] if it is not [`SEALING_PUBLIC_LEN`] bytes, [`KeyError::Invalid`] if a
    /// coefficient of the ML-KEM half is out of range.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; SEALING_PUBLIC_LEN] = bytes.try_into().map_err(|_| KeyError::Length {
            expected: SEALING_PUBLIC_LEN,
            actual: bytes.len(),
        })?;
        EncapsulationKey::from_bytes(bytes).map_err(|_| KeyError::Invalid)?;
        Ok(Self(Box::new(*bytes)))
    }

    /// Gives the encoding, [`SEALING_PUBLIC_LEN`] bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Gives the key's id: the hash of its encoding under `comity/v1/sealing-key`.
    pub fn id(&self) -> [u8; HASH_LEN] {
        hash("comity/v1/sealing-key", &[self.as_bytes()])
    }

    /// Wraps `secret` for the holder of the private key: X-Wing encapsulation (1,120 bytes) ‖
    /// ciphertext (32) ‖ tag (16), [`WRAP_LEN`] bytes in all.
    ///
    /// `info` is bound in, and must be the same to unwrap. `randomness` is 64 bytes: 32 for
    /// ML-KEM, then 32 for X25519. It must be uniformly random, secret, and used once: a second
    /// wrap with the same `randomness` and `info` would use a key and nonce of AES-GCM twice.
    ///
    /// # Errors
    ///
    /// [`KeyError::Randomness`] if the HPKE library asked for more or less than 64 bytes, in which
    /// case nothing is given out.
    pub fn wrap_secret(
        &self,
        info: &[u8],
        secret: &EpochSecret,
        randomness: &[u8; 64],
    ) -> Result<Vec<u8>, KeyError> {
        let key = EncapsulationKey::from_bytes(self.as_bytes()).map_err(|_| KeyError::Invalid)?;
        let mut given = GivenBytes::new(randomness);
        let (encapsulation, sealed) = single_shot_seal_with_rng::<AesGcm256, HkdfSha256, XWing>(
            &OpModeS::Base,
            &key,
            info,
            secret.as_bytes(),
            b"",
            &mut given,
        )
        .map_err(|_| KeyError::Invalid)?;
        if !given.used_exactly() {
            return Err(KeyError::Randomness);
        }
        let mut wrap = encapsulation.to_bytes().to_vec();
        wrap.extend_from_slice(&sealed);
        Ok(wrap)
    }
}

impl fmt::Debug for SealingPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingPublicKey(id ")?;
        for byte in self.id() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// The secret of one writer's epoch in one lane, from which the keys of its events are derived.
///
/// 32 bytes. Its memory is zeroised when it is dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EpochSecret([u8; SECRET_LEN]);

impl EpochSecret {
    /// Takes 32 bytes, which must be uniformly random and secret.
    pub fn from_bytes(bytes: [u8; SECRET_LEN]) -> Self {
        Self(bytes)
    }

    /// Gives the 32 bytes.
    pub fn as_bytes(&self) -> &[u8; SECRET_LEN] {
        &self.0
    }

    /// Gives the public commitment that a key event carries: the hash of the secret under
    /// `comity/v1/epoch-commitment`.
    pub fn commitment(&self) -> [u8; HASH_LEN] {
        hash("comity/v1/epoch-commitment", &[&self.0])
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EpochSecret(..)")
    }
}

/// The caller's bytes in the shape of a generator, as the HPKE library wants it.
///
/// The library's trait cannot fail. A request that cannot be met in full is answered with zeros
/// and remembered, and the caller of the library then throws the result away.
struct GivenBytes<'a> {
    rest: &'a [u8],
    short: bool,
}

impl<'a> GivenBytes<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let short = false;
        Self { rest: bytes, short }
    }

    fn used_exactly(&self) -> bool {
        self.rest.is_empty() && !self.short
    }
}

impl TryRng for GivenBytes<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        if let Some((now, rest)) = self.rest.split_at_checked(out.len()) {
            out.copy_from_slice(now);
            self.rest = rest;
        } else {
            out.fill(0);
            self.short = true;
        }
        Ok(())
    }
}

impl TryCryptoRng for GivenBytes<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_bytes_are_handed_out_once_and_in_order() {
        let mut given = GivenBytes::new(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
        let mut first = [0; 2];
        given.try_fill_bytes(&mut first).unwrap();
        assert_eq!(first, [1, 2]);
        assert_eq!(given.try_next_u32(), Ok(0x0605_0403));
        assert!(!given.used_exactly());
        assert_eq!(given.try_next_u64(), Ok(0x0e0d_0c0b_0a09_0807));
        assert!(given.used_exactly());
    }

    #[test]
    fn asking_for_more_than_was_given_is_noticed() {
        let mut given = GivenBytes::new(&[1, 2, 3, 4]);
        assert_eq!(given.try_next_u64(), Ok(0));
        assert_eq!(given.try_next_u32(), Ok(0x0403_0201));
        assert!(!given.used_exactly());
    }
}
