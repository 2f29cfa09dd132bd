//! The keys in a node's directory, and the store that they open.
//!
//! The [storage key](crate::storage_key) opens everything else; `root.key` is the partner itself
//! and belongs in a safe once the node is set up: nothing that runs reads it.

use std::path::{Path, PathBuf};

use comity_crypto::{SealingKey, SigningKey, StorageKey};
use comity_protocol::codec::{Canonical, Malformed};
use comity_protocol::id::{Hash, KeyBytes, hex};
use comity_protocol::identity::{Identity, Name, NodeCertificate, next_root_hash, partner_id};
use comity_protocol::keys::Entropy;
use comity_protocol::replica::Own;
use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::{DEFAULT_KEY_FILE, KeySource};
use crate::environment::Randomness;
use crate::random;
use crate::storage_key::{KeyPlace, KeyText, StorageKeyError, write_secret};
use crate::store::{KeyId, Store, StoreError, StoreOptions};
use crate::transport::{TlsIdentity, TransportError};

const ROOT_KEY_FILE: &str = "root.key";
const STORE_DIR: &str = "store";
const NODE_KEYS: &[u8] = b"node keys";
/// How long a node certificate is good for before the node begins to warn: a year.
const CERTIFICATE_MS: u64 = 365 * 24 * 3600 * 1000;

/// Why a node's keys cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error(transparent)]
    Storage(#[from] StorageKeyError),
    #[error("the store holds no node keys")]
    NoNodeKeys,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the node's identity does not hold together: {0}")]
    Identity(#[from] Malformed),
    #[error(transparent)]
    Tls(#[from] TransportError),
}

/// The secrets of one node, as the store keeps them.
#[derive(Serialize, Deserialize)]
struct NodeKeys {
    identity: Identity,
    signing_seed: SecretBytes,
    /// The last one is current.
    sealing_seeds: Vec<SecretBytes>,
    tls_pem: SecretText,
}

impl Canonical for NodeKeys {
    const NAME: &'static str = "node keys";
    const LIMIT: usize = 64 << 10;
}

/// Bytes that are zeroised when they are dropped; encoded as any bytes.
struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    fn of(bytes: &[u8]) -> SecretBytes {
        SecretBytes(Zeroizing::new(bytes.to_vec()))
    }

    fn seed(&self) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
        let seed = <[u8; 32]>::try_from(self.0.as_slice()).map(Zeroizing::new);
        seed.map_err(|_| KeyFileError::NoNodeKeys)
    }
}

impl Serialize for SecretBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = ByteBuf::deserialize(deserializer)?;
        Ok(SecretBytes(Zeroizing::new(bytes.into_vec())))
    }
}

/// Text that is zeroised when it is dropped; encoded as any text.
struct SecretText(Zeroizing<String>);

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(SecretText(Zeroizing::new(text)))
    }
}

/// What a node acts with.
pub struct Keys {
    pub own: Own,
    pub tls: TlsIdentity,
}

/// Where a node's rows are.
pub fn store_path(dir: &Path) -> PathBuf {
    dir.join(STORE_DIR)
}

/// Makes the keys of a new partner with one node, and its store.
pub fn create(dir: &Path, partner: Name, now_ms: u64) -> Result<Identity, KeyFileError> {
    create_in(
        dir,
        partner,
        now_ms,
        &Randomness::System,
        &StoreOptions::default(),
    )
}

/// As [`create`], with keys from another source, and a store otherwise than by default. The storage
/// key is drawn from the system in any case.
pub fn create_in(
    dir: &Path,
    partner: Name,
    now_ms: u64,
    randomness: &Randomness,
    options: &StoreOptions,
) -> Result<Identity, KeyFileError> {
    let storage = KeyText::draw();
    let root = SigningKey::from_seed(&randomness.bytes());
    let next_root = SigningKey::from_seed(&randomness.bytes());
    let signing = SigningKey::from_seed(&randomness.bytes());
    let sealing = SealingKey::from_seed(&randomness.bytes());
    let tls = TlsIdentity::from_seed(&Zeroizing::new(randomness.bytes()))?;

    let next_hash = next_root_hash(&KeyBytes(next_root.public().to_bytes()));
    let id = partner_id(&KeyBytes(root.public().to_bytes()), &next_hash);
    let validity = now_ms..now_ms.saturating_add(CERTIFICATE_MS);
    let certificate =
        NodeCertificate::new(id, &signing, Hash(tls.pin()), partner.clone(), validity);
    let identity = Identity::sign(partner, &root, next_hash, 1, vec![certificate]);

    let root_seeds = [root.seed(), next_root.seed()].map(|seed| Zeroizing::new(hex(&*seed)));
    let [root_hex, next_hex] = root_seeds.each_ref().map(|digits| digits.as_str());
    let roots = ["root ", root_hex, "\nnext-root ", next_hex, "\n"].concat();
    let roots = Zeroizing::new(roots);
    write_secret(&dir.join(ROOT_KEY_FILE), &roots)?;
    storage.write(&dir.join(DEFAULT_KEY_FILE))?;
    let keys = NodeKeys {
        identity: identity.clone(),
        signing_seed: SecretBytes::of(&*signing.seed()),
        sealing_seeds: vec![SecretBytes::of(&*sealing.seed())],
        tls_pem: SecretText(tls.to_pem()),
    };
    let store = Store::open_with(&store_path(dir), storage.key(), options.clone())?;
    let mut row = Row::put(Table::Meta, NODE_KEYS.to_vec(), keys.to_bytes());
    let written = store.write(std::slice::from_ref(&row));
    row.value.zeroize();
    written?;
    Ok(identity)
}

/// Opens the store of a node's directory. Where a rotation of the storage key was interrupted
/// between putting the new key in force and putting its file in place, this ends it.
pub fn open_store(dir: &Path, source: &KeySource) -> Result<Store, KeyFileError> {
    open_store_with(dir, source, &StoreOptions::default())
}

/// Opens the store of a node's directory otherwise than by default.
pub fn open_store_with(
    dir: &Path,
    source: &KeySource,
    options: &StoreOptions,
) -> Result<Store, KeyFileError> {
    let place = KeyPlace::of(dir, source)?;
    let open = |key: StorageKey| Store::open_with(&store_path(dir), key, options.clone());
    match open(place.read()?) {
        Err(StoreError::WrongKey { store, given }) => open_replaced(&open, &place, store, given),
        opened => Ok(opened?),
    }
}

/// Opens the store of a node that does not run, to read it; nothing in the directory changes.
pub fn open_store_read_only(dir: &Path, source: &KeySource) -> Result<Store, KeyFileError> {
    let place = KeyPlace::of(dir, source)?;
    let open = |key: StorageKey| Store::open_read_only(&store_path(dir), key);
    match open(place.read()?) {
        Err(StoreError::WrongKey { store, given }) => match place.pending(store) {
            Some((key, _)) => Ok(open(key)?),
            None => Err(KeyFileError::Storage(StorageKeyError::WrongKey {
                path: place.path().into(),
                store,
                given,
            })),
        },
        opened => Ok(opened?),
    }
}

/// Opens a store that is not under the key that was read, but under `wanted`.
fn open_replaced(
    open: &dyn Fn(StorageKey) -> Result<Store, StoreError>,
    place: &KeyPlace,
    wanted: KeyId,
    given: KeyId,
) -> Result<Store, KeyFileError> {
    if let Some((key, pending)) = place.pending(wanted) {
        let store = open(key)?;
        if let Err(error) = pending.install()
            && KeyId::of(&place.read()?) != wanted
        {
            return Err(error.into());
        }
        tracing::info!(key = %wanted, "an interrupted rotation of the storage key is complete");
        return Ok(store);
    }
    // Another process may just have put the new key in place.
    let key = place.read()?;
    if KeyId::of(&key) == wanted {
        return Ok(open(key)?);
    }
    Err(KeyFileError::Storage(StorageKeyError::WrongKey {
        path: place.path().into(),
        store: wanted,
        given,
    }))
}

/// Reads a node's keys.
pub fn load(store: &Store) -> Result<Keys, KeyFileError> {
    let bytes = store
        .get(Table::Meta, NODE_KEYS)?
        .ok_or(KeyFileError::NoNodeKeys)?;
    let keys = NodeKeys::from_bytes(&bytes)?;
    keys.identity.verify()?;
    let sealing = keys
        .sealing_seeds
        .iter()
        .map(|seed| Ok(SealingKey::from_seed(&*seed.seed()?)));
    let own = Own {
        signing: SigningKey::from_seed(&*keys.signing_seed.seed()?),
        spares: Vec::new(),
        sealing: sealing.collect::<Result<_, KeyFileError>>()?,
        identity: keys.identity,
        seed: Entropy::new(random::bytes()),
    };
    Ok(Keys {
        own,
        tls: TlsIdentity::from_pem(&keys.tls_pem.0)?,
    })
}

/// Whether the root's key still lies beside the node.
pub fn root_is_here(dir: &Path) -> bool {
    dir.join(ROOT_KEY_FILE).exists()
}
