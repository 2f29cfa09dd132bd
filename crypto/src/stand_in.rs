//! Cheap keys for simulations, in a build with `--cfg stand_in` alone: no product has this module,
//! and the crate of the node does not compile with it.
//!
//! A seed that [`stand_in_seed`] marks makes a stand-in key; every other seed makes the real one,
//! and so do the bytes of keys: what a key is can be told from its bytes, so that all here stays a
//! function of its arguments. Sizes, errors and names are those of `signing` and `sealing`.
//!
//! The stand-ins are Schnorr's signatures and Diffie and Hellman's agreement in the integers modulo
//! 2^61 - 1. Whoever calculates logarithms there breaks them in a moment. But no signature holds
//! that was not made with the private key, for the tag and the digest, and no wrap opens with
//! another key or info: whoever lies in a simulation meets the same refusals as with real keys, at
//! a hundredth of the price.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use zeroize::Zeroizing;

use crate::error::{KeyError, SignatureError, UnwrapError};
use crate::hash::{HASH_LEN, hash};
use crate::sealing::{self, EpochSecret, SEALING_PUBLIC_LEN, WRAP_LEN};
use crate::signing;

/// What marks a stand-in's seed, public key and wrap.
const MARK: [u8; 16] = *b"stand-in for sim";

/// The modulus, a prime.
const MODULUS: u64 = (1 << 61) - 1;
/// The order of the group, in which exponents are counted.
const ORDER: u64 = MODULUS - 1;
/// A generator of the group.
const GENERATOR: u64 = 37;

/// Marks a seed: the keys made of it are stand-ins.
pub fn stand_in_seed(seed: [u8; 32]) -> [u8; 32] {
    let mut marked = hash("stand-in/seed", &[&seed]);
    for (to, from) in marked.iter_mut().zip(MARK) {
        *to = from;
    }
    marked
}

/// An Ed25519 private key, or its stand-in.
pub enum SigningKey {
    /// The real one.
    Curve(signing::SigningKey),
    /// The stand-in: its seed and its exponent.
    StandIn([u8; 32], u64),
}

impl SigningKey {
    /// Makes the key of a 32-byte seed, a stand-in where the seed is marked.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        match is_marked(seed) {
            true => SigningKey::StandIn(*seed, exponent("stand-in/signing", &[seed])),
            false => SigningKey::Curve(signing::SigningKey::from_seed(seed)),
        }
    }

    /// Gives back the 32-byte seed, for storing it.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        match self {
            SigningKey::Curve(key) => key.seed(),
            SigningKey::StandIn(seed, _) => Zeroizing::new(*seed),
        }
    }

    /// Gives the public key.
    pub fn public(&self) -> PublicKey {
        match self {
            SigningKey::Curve(key) => PublicKey::Curve(key.public()),
            SigningKey::StandIn(_, secret) => PublicKey::StandIn(power(GENERATOR, *secret)),
        }
    }

    /// Signs `digest` under `tag`.
    pub fn sign(&self, tag: &'static str, digest: &[u8; 32]) -> [u8; 64] {
        let (seed, secret) = match self {
            SigningKey::Curve(key) => return key.sign(tag, digest),
            SigningKey::StandIn(seed, secret) => (seed, *secret),
        };
        let parts: [&[u8]; 3] = [seed, tag.as_bytes(), digest];
        let once = exponent("stand-in/nonce", &parts);
        let commitment = power(GENERATOR, once);
        let challenge = challenge(&self.public(), tag, digest, commitment);
        let answer = u128::from(challenge) * u128::from(secret) + u128::from(once);
        let answer = (answer % u128::from(ORDER)) as u64;
        let mut bytes = [0; 64];
        put(&mut bytes, &[commitment, answer]);
        bytes
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("public", &self.public())
            .finish_non_exhaustive()
    }
}

/// An Ed25519 public key, or its stand-in.
#[derive(Clone, Copy)]
pub enum PublicKey {
    /// The real one.
    Curve(signing::PublicKey),
    /// The stand-in: an element of the group.
    StandIn(u64),
}

impl PublicKey {
    /// Accepts the 32-byte encoding of a public key.
    ///
    /// # Errors
    ///
    /// As of the real key; [`KeyError::Invalid`] for a mark without an element.
    pub fn register(bytes: &[u8; 32]) -> Result<PublicKey, KeyError> {
        match is_marked(bytes) {
            true => element(bytes)
                .map(PublicKey::StandIn)
                .ok_or(KeyError::Invalid),
            false => signing::PublicKey::register(bytes).map(PublicKey::Curve),
        }
    }

    /// Gives the 32-byte encoding.
    pub fn to_bytes(&self) -> [u8; 32] {
        match self {
            PublicKey::Curve(key) => key.to_bytes(),
            PublicKey::StandIn(element) => {
                let mut bytes = [0; 32];
                put_marked(&mut bytes, *element);
                bytes
            }
        }
    }

    /// Verifies a signature that [`SigningKey::sign`] made for `tag` and `digest`.
    ///
    /// # Errors
    ///
    /// [`SignatureError`] if the signature does not hold.
    pub fn verify(
        &self,
        tag: &'static str,
        digest: &[u8; 32],
        signature: &[u8; 64],
    ) -> Result<(), SignatureError> {
        let element = match self {
            PublicKey::Curve(key) => return key.verify(tag, digest, signature),
            PublicKey::StandIn(element) => *element,
        };
        let (commitment, answer) = (number_at(signature, 0), number_at(signature, 8));
        let rest_is_empty = signature.iter().skip(16).all(|byte| *byte == 0);
        let challenge = challenge(self, tag, digest, commitment);
        let expected = times(commitment, power(element, challenge));
        let reduced = commitment < MODULUS && answer < ORDER;
        match rest_is_empty && reduced && power(GENERATOR, answer) == expected {
            true => Ok(()),
            false => Err(SignatureError),
        }
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.to_bytes() == other.to_bytes()
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.to_bytes().cmp(&other.to_bytes())
    }
}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bytes().hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        for byte in self.to_bytes() {
            write!(f, "{byte:02x}")?;
        }
        f.write_str(")")
    }
}

/// An X-Wing private key, or its stand-in.
#[derive(Debug)]
pub enum SealingKey {
    /// The real one.
    XWing(Box<sealing::SealingKey>),
    /// The stand-in's seed.
    StandIn([u8; 32]),
}

impl SealingKey {
    /// Makes the key of a 32-byte seed, a stand-in where the seed is marked.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        match is_marked(seed) {
            true => SealingKey::StandIn(*seed),
            false => SealingKey::XWing(Box::new(sealing::SealingKey::from_seed(seed))),
        }
    }

    /// Gives back the 32-byte seed, for storing it.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        match self {
            SealingKey::XWing(key) => key.seed(),
            SealingKey::StandIn(seed) => Zeroizing::new(*seed),
        }
    }

    /// Gives the public key.
    pub fn public(&self) -> SealingPublicKey {
        match self {
            SealingKey::XWing(key) => SealingPublicKey(Kind::XWing(key.public())),
            SealingKey::StandIn(seed) => {
                let mut bytes = Box::new([0; SEALING_PUBLIC_LEN]);
                put_marked(
                    bytes.as_mut_slice(),
                    power(GENERATOR, sealing_exponent(seed)),
                );
                SealingPublicKey(Kind::StandIn(bytes))
            }
        }
    }

    /// Opens what [`SealingPublicKey::wrap_secret`] made for this key with the same `info`.
    ///
    /// # Errors
    ///
    /// [`UnwrapError::Length`] if `wrap` is not [`WRAP_LEN`] bytes, [`UnwrapError::Refused`] if it
    /// does not open.
    pub fn unwrap_secret(&self, info: &[u8], wrap: &[u8]) -> Result<EpochSecret, UnwrapError> {
        let seed = match self {
            SealingKey::XWing(key) => return key.unwrap_secret(info, wrap),
            SealingKey::StandIn(seed) => seed,
        };
        let wrap: &[u8; WRAP_LEN] = wrap
            .try_into()
            .map_err(|_| UnwrapError::Length { actual: wrap.len() })?;
        let (encapsulation, sealed) = wrap.split_at(WRAP_LEN - 2 * HASH_LEN);
        let once = element(encapsulation).ok_or(UnwrapError::Refused)?;
        let (sealed, tag) = sealed.split_at(HASH_LEN);
        let shared = power(once, sealing_exponent(seed));
        let (pad, expected) = pad_and_tag(self.public().element(), once, shared, info, sealed);
        if tag != expected {
            return Err(UnwrapError::Refused);
        }
        let mut secret = [0; HASH_LEN];
        for (to, (byte, pad)) in secret.iter_mut().zip(sealed.iter().zip(pad)) {
            *to = byte ^ pad;
        }
        Ok(EpochSecret::from_bytes(secret))
    }
}

/// An X-Wing public key, or its stand-in.
#[derive(Clone, PartialEq, Eq)]
pub struct SealingPublicKey(Kind);

#[derive(Clone, PartialEq, Eq)]
enum Kind {
    XWing(sealing::SealingPublicKey),
    StandIn(Box<[u8; SEALING_PUBLIC_LEN]>),
}

impl SealingPublicKey {
    /// Accepts the encoding of a public key.
    ///
    /// # Errors
    ///
    /// As of the real key; [`KeyError::Invalid`] for a mark without an element.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        if !is_marked(bytes) {
            let key = sealing::SealingPublicKey::from_bytes(bytes)?;
            return Ok(Self(Kind::XWing(key)));
        }
        let bytes: &[u8; SEALING_PUBLIC_LEN] = bytes.try_into().map_err(|_| KeyError::Length {
            expected: SEALING_PUBLIC_LEN,
            actual: bytes.len(),
        })?;
        element(bytes).ok_or(KeyError::Invalid)?;
        Ok(Self(Kind::StandIn(Box::new(*bytes))))
    }

    /// Gives the encoding, [`SEALING_PUBLIC_LEN`] bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Kind::XWing(key) => key.as_bytes(),
            Kind::StandIn(bytes) => bytes.as_slice(),
        }
    }

    /// Gives the key's id: the hash of its encoding under `comity/v1/sealing-key`.
    pub fn id(&self) -> [u8; HASH_LEN] {
        hash("comity/v1/sealing-key", &[self.as_bytes()])
    }

    /// Wraps `secret` for the holder of the private key, [`WRAP_LEN`] bytes.
    ///
    /// # Errors
    ///
    /// As of the real key; a stand-in always wraps.
    pub fn wrap_secret(
        &self,
        info: &[u8],
        secret: &EpochSecret,
        randomness: &[u8; 64],
    ) -> Result<Vec<u8>, KeyError> {
        if let Kind::XWing(key) = &self.0 {
            return key.wrap_secret(info, secret, randomness);
        }
        let private = exponent("stand-in/once", &[randomness]);
        let (public, once) = (self.element(), power(GENERATOR, private));
        let mut wrap = vec![0; WRAP_LEN - 2 * HASH_LEN];
        put_marked(&mut wrap, once);
        let shared = power(public, private);
        let (pad, _) = pad_and_tag(public, once, shared, info, &[]);
        let sealed: Vec<u8> = secret
            .as_bytes()
            .iter()
            .zip(pad)
            .map(|(a, b)| a ^ b)
            .collect();
        let (_, tag) = pad_and_tag(public, once, shared, info, &sealed);
        wrap.extend_from_slice(&sealed);
        wrap.extend_from_slice(&tag);
        Ok(wrap)
    }

    /// The stand-in's element; none of the group for a real key.
    fn element(&self) -> u64 {
        element(self.as_bytes()).unwrap_or(0)
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

fn is_marked(bytes: &[u8]) -> bool {
    bytes.starts_with(&MARK)
}

/// Writes numbers one after the other.
fn put(bytes: &mut [u8], numbers: &[u64]) {
    for (part, number) in bytes.chunks_mut(8).zip(numbers) {
        part.copy_from_slice(&number.to_be_bytes());
    }
}

/// Writes the mark and an element.
fn put_marked(bytes: &mut [u8], element: u64) {
    for (to, from) in bytes
        .iter_mut()
        .zip(MARK.into_iter().chain(element.to_be_bytes()))
    {
        *to = from;
    }
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..at + 8).and_then(|it| it.try_into().ok());
    bytes.map_or(0, u64::from_be_bytes)
}

/// The element that follows a mark, where nothing else does.
fn element(bytes: &[u8]) -> Option<u64> {
    let element = number_at(bytes, MARK.len());
    let rest_is_empty = bytes.iter().skip(MARK.len() + 8).all(|byte| *byte == 0);
    let is_element = is_marked(bytes) && rest_is_empty && (2..MODULUS).contains(&element);
    is_element.then_some(element)
}

/// An exponent that a hash chooses.
fn exponent(tag: &'static str, parts: &[&[u8]]) -> u64 {
    1 + number_at(&hash(tag, parts), 0) % (ORDER - 1)
}

fn sealing_exponent(seed: &[u8; 32]) -> u64 {
    exponent("stand-in/sealing", &[seed])
}

fn challenge(key: &PublicKey, tag: &'static str, digest: &[u8; 32], commitment: u64) -> u64 {
    let parts: [&[u8]; 4] = [
        &key.to_bytes(),
        tag.as_bytes(),
        digest,
        &commitment.to_be_bytes(),
    ];
    exponent("stand-in/challenge", &parts)
}

/// What hides a secret, and what shows that neither it nor what it is bound to was changed.
fn pad_and_tag(
    public: u64,
    once: u64,
    shared: u64,
    info: &[u8],
    sealed: &[u8],
) -> ([u8; HASH_LEN], [u8; HASH_LEN]) {
    let mut numbers = [0; 24];
    put(&mut numbers, &[public, once, shared]);
    let pad = hash("stand-in/pad", &[&numbers, info]);
    (pad, hash("stand-in/tag", &[&pad, sealed]))
}

/// A product in the group.
fn times(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    let folded = (product & u128::from(MODULUS)) as u64 + (product >> 61) as u64;
    match folded >= MODULUS {
        true => folded - MODULUS,
        false => folded,
    }
}

fn power(base: u64, exponent: u64) -> u64 {
    let (mut result, mut square, mut left) = (1, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result = times(result, square);
        }
        square = times(square, square);
        left >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: [u8; 32] = [5; 32];

    fn seed(number: u8) -> [u8; 32] {
        stand_in_seed([number; 32])
    }

    #[test]
    fn the_generator_makes_the_whole_group() {
        // The prime factors of 2^61 - 2.
        for factor in [2, 3, 5, 7, 11, 13, 31, 41, 61, 151, 331, 1321] {
            assert_eq!(ORDER % factor, 0);
            assert_ne!(power(GENERATOR, ORDER / factor), 1, "{factor}");
        }
        assert_eq!(power(GENERATOR, ORDER), 1);
    }

    #[test]
    fn a_signature_holds_for_its_key_tag_and_digest_alone() {
        let (key, other) = (
            SigningKey::from_seed(&seed(1)),
            SigningKey::from_seed(&seed(2)),
        );
        let signature = key.sign("tag", &DIGEST);
        assert_eq!(key.public().verify("tag", &DIGEST, &signature), Ok(()));
        let again = PublicKey::register(&key.public().to_bytes()).unwrap();
        assert_eq!(again.verify("tag", &DIGEST, &signature), Ok(()));

        assert!(other.public().verify("tag", &DIGEST, &signature).is_err());
        assert!(again.verify("other", &DIGEST, &signature).is_err());
        assert!(again.verify("tag", &[6; 32], &signature).is_err());
        for bit in 0..512 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(again.verify("tag", &DIGEST, &changed).is_err(), "bit {bit}");
        }
        let real = SigningKey::from_seed(&[1; 32]).sign("tag", &DIGEST);
        assert!(again.verify("tag", &DIGEST, &real).is_err());
    }

    #[test]
    fn a_wrap_opens_with_its_key_and_info_alone() {
        let (key, other) = (
            SealingKey::from_seed(&seed(1)),
            SealingKey::from_seed(&seed(2)),
        );
        let public = SealingPublicKey::from_bytes(key.public().as_bytes()).unwrap();
        let secret = EpochSecret::from_bytes([9; 32]);
        let wrap = public.wrap_secret(b"info", &secret, &[3; 64]).unwrap();
        assert_eq!(wrap.len(), WRAP_LEN);
        let opened = key.unwrap_secret(b"info", &wrap).unwrap();
        assert_eq!(opened.as_bytes(), secret.as_bytes());

        assert!(key.unwrap_secret(b"other", &wrap).is_err());
        assert!(other.unwrap_secret(b"info", &wrap).is_err());
        assert!(
            SealingKey::from_seed(&[1; 32])
                .unwrap_secret(b"info", &wrap)
                .is_err()
        );
        for at in 0..WRAP_LEN {
            let mut changed = wrap.clone();
            changed[at] ^= 1;
            assert!(key.unwrap_secret(b"info", &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_unmarked_seed_makes_the_real_keys() {
        let key = SigningKey::from_seed(&[1; 32]);
        let real = signing::SigningKey::from_seed(&[1; 32]);
        assert_eq!(key.public().to_bytes(), real.public().to_bytes());
        assert_eq!(key.sign("tag", &DIGEST), real.sign("tag", &DIGEST));
        let key = SealingKey::from_seed(&[1; 32]);
        let real = sealing::SealingKey::from_seed(&[1; 32]);
        assert_eq!(key.public().as_bytes(), real.public().as_bytes());
    }

    #[test]
    fn a_mark_alone_is_no_key() {
        let mut bytes = [0; 32];
        put_marked(&mut bytes, 0);
        assert_eq!(PublicKey::register(&bytes), Err(KeyError::Invalid));
        put_marked(&mut bytes, MODULUS);
        assert_eq!(PublicKey::register(&bytes), Err(KeyError::Invalid));
        put_marked(&mut bytes, 37);
        assert!(PublicKey::register(&bytes).is_ok());
        bytes[31] = 1;
        assert_eq!(PublicKey::register(&bytes), Err(KeyError::Invalid));
    }
}
