//! The groups of the node's default profile with their private keys drawn from dice. X25519 is
//! aws-lc's, as in the node; ML-KEM is another implementation, since aws-lc's takes no randomness
//! from outside.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use ml_kem::kem::{Decapsulate as _, KeyExport as _};
use ml_kem::{B32, DecapsulationKey768, EncapsulationKey768, Seed};
use rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, GetRandomFailed, SecureRandom, SharedSecret,
    SupportedKxGroup,
};
use rustls::{Error, NamedGroup, PeerMisbehaved};

use crate::Dice;

const X25519_BYTES: usize = 32;
const ML_KEM_KEY_BYTES: usize = 1184;
const ML_KEM_CIPHERTEXT_BYTES: usize = 1088;

/// Randomness for TLS that a seed repeats.
#[derive(Clone)]
pub struct SharedDice(Arc<Mutex<Dice>>);

impl SharedDice {
    pub fn new(dice: Dice) -> SharedDice {
        SharedDice(Arc::new(Mutex::new(dice)))
    }

    pub fn fill(&self, bytes: &mut [u8]) {
        let mut dice = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let drawn = dice.bytes(bytes.len());
        bytes.copy_from_slice(&drawn);
    }

    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }
}

impl fmt::Debug for SharedDice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedDice")
    }
}

impl SecureRandom for SharedDice {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), GetRandomFailed> {
        SharedDice::fill(self, bytes);
        Ok(())
    }
}

/// X25519.
#[derive(Debug)]
pub struct X25519(pub SharedDice);

struct ActiveX25519 {
    private: PrivateKey,
    public: Vec<u8>,
}

impl X25519 {
    fn begin(&self) -> Result<ActiveX25519, Error> {
        let seed: [u8; X25519_BYTES] = self.0.bytes();
        let private = PrivateKey::from_private_key(&agreement::X25519, &seed).map_err(failed)?;
        let public = private.compute_public_key().map_err(failed)?;
        let public = public.as_ref().to_vec();
        Ok(ActiveX25519 { private, public })
    }
}

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(self.begin()?))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl ActiveX25519 {
    fn agree(&self, peer: &[u8]) -> Result<Vec<u8>, Error> {
        let peer = UnparsedPublicKey::new(&agreement::X25519, peer);
        agreement::agree(&self.private, peer, invalid_share(), |secret| {
            Ok(secret.to_vec())
        })
    }
}

impl ActiveKeyExchange for ActiveX25519 {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        self.agree(peer).map(SharedSecret::from)
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// X25519MLKEM768: ML-KEM's part stands first, in the shares and in the secret.
#[derive(Debug)]
pub struct Hybrid(pub SharedDice);

struct ActiveHybrid {
    classical: ActiveX25519,
    decapsulation: DecapsulationKey768,
    public: Vec<u8>,
}

impl SupportedKxGroup for Hybrid {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let classical = X25519(self.0.clone()).begin()?;
        let decapsulation = DecapsulationKey768::from_seed(Seed::from(self.0.bytes::<64>()));
        let encapsulation = decapsulation.encapsulation_key().to_bytes();
        let public = [encapsulation.as_slice(), &classical.public].concat();
        Ok(Box::new(ActiveHybrid {
            classical,
            decapsulation,
            public,
        }))
    }

    fn start_and_complete(&self, peer: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (encapsulation, classical) = split(peer, ML_KEM_KEY_BYTES)?;
        let encapsulation = encapsulation.try_into().map_err(|_| invalid_share())?;
        let encapsulation =
            EncapsulationKey768::new(&encapsulation).map_err(|_| invalid_share())?;
        let message = B32::from(self.0.bytes::<32>());
        let (ciphertext, secret) = encapsulation.encapsulate_deterministic(&message);
        let own = X25519(self.0.clone()).begin()?;
        let agreed = own.agree(classical)?;
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [ciphertext.as_slice(), &own.public].concat(),
            secret: SharedSecret::from([secret.as_slice(), &agreed].concat()),
        })
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

impl ActiveKeyExchange for ActiveHybrid {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, classical) = split(peer, ML_KEM_CIPHERTEXT_BYTES)?;
        let ciphertext = ciphertext.try_into().map_err(|_| invalid_share())?;
        let secret = self.decapsulation.decapsulate(&ciphertext);
        let agreed = self.classical.agree(classical)?;
        Ok(SharedSecret::from([secret.as_slice(), &agreed].concat()))
    }

    /// The classical half may be chosen alone.
    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((NamedGroup::X25519, &self.classical.public))
    }

    fn complete_hybrid_component(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        self.classical.agree(peer).map(SharedSecret::from)
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

fn split(share: &[u8], at: usize) -> Result<(&[u8], &[u8]), Error> {
    match share.len() == at + X25519_BYTES {
        true => Ok(share.split_at(at)),
        false => Err(invalid_share()),
    }
}

fn invalid_share() -> Error {
    Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare)
}

fn failed(error: impl fmt::Debug) -> Error {
    Error::General(format!("{error:?}"))
}
