//! The files of a node's directory that hold keys, and what they hold.
//!
//! `storage.key` opens everything else; `root.key` is the partner itself and belongs in a safe
//! once the node is set up: nothing that runs reads it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use comity_crypto::{SealingKey, SigningKey, StorageKey};
use comity_protocol::codec::{Canonical, Malformed};
use comity_protocol::id::{Hash, KeyBytes, hex};
use comity_protocol::identity::{Identity, Name, NodeCertificate, next_root_hash, partner_id};
use comity_protocol::keys::Entropy;
use comity_protocol::replica::Own;
use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use crate::random;
use crate::store::{Store, StoreError};
use crate::transport::{TlsIdentity, TransportError};

const STORAGE_KEY_FILE: &str = "storage.key";
const ROOT_KEY_FILE: &str = "root.key";
const STORE_DIR: &str = "store";
const NODE_KEYS: &[u8] = b"node keys";
/// How long a node certificate is good for before the node begins to warn: a year.
const CERTIFICATE_MS: u64 = 365 * 24 * 3600 * 1000;

/// Why a node's keys cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is readable by others than its owner")]
    Exposed { path: PathBuf },
    #[error("{path} does not hold a key")]
    NotAKey { path: PathBuf },
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
    signing_seed: ByteBuf,
    /// The last one is current.
    sealing_seeds: Vec<ByteBuf>,
    tls_pem: String,
}

impl Canonical for NodeKeys {
    const NAME: &'static str = "node keys";
    const LIMIT: usize = 64 << 10;
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
    let storage = Zeroizing::new(random::bytes::<32>());
    let root = SigningKey::from_seed(&random::bytes());
    let next_root = SigningKey::from_seed(&random::bytes());
    let signing = SigningKey::from_seed(&random::bytes());
    let sealing = SealingKey::from_seed(&random::bytes());
    let tls = TlsIdentity::generate()?;

    let next_hash = next_root_hash(&KeyBytes(next_root.public().to_bytes()));
    let id = partner_id(&KeyBytes(root.public().to_bytes()), &next_hash);
    let validity = now_ms..now_ms.saturating_add(CERTIFICATE_MS);
    let certificate =
        NodeCertificate::new(id, &signing, Hash(tls.pin()), partner.clone(), validity);
    let identity = Identity::sign(partner, &root, next_hash, 1, vec![certificate]);

    let roots = format!(
        "root {}\nnext-root {}\n",
        hex(&*root.seed()),
        hex(&*next_root.seed())
    );
    write_secret(&dir.join(ROOT_KEY_FILE), &roots)?;
    write_secret(
        &dir.join(STORAGE_KEY_FILE),
        &format!("{}\n", hex(&*storage)),
    )?;
    let keys = NodeKeys {
        identity: identity.clone(),
        signing_seed: ByteBuf::from(signing.seed().to_vec()),
        sealing_seeds: vec![ByteBuf::from(sealing.seed().to_vec())],
        tls_pem: tls.to_pem().to_string(),
    };
    let store = Store::open(&store_path(dir), StorageKey::from_bytes(*storage))?;
    store.write(&[Row::put(Table::Meta, NODE_KEYS.to_vec(), keys.to_bytes())])?;
    Ok(identity)
}

/// Opens the store of a node's directory.
pub fn open_store(dir: &Path) -> Result<Store, KeyFileError> {
    Ok(Store::open(&store_path(dir), storage_key(dir)?)?)
}

/// Reads a node's keys.
pub fn load(store: &Store) -> Result<Keys, KeyFileError> {
    let bytes = store
        .get(Table::Meta, NODE_KEYS)?
        .ok_or(KeyFileError::NoNodeKeys)?;
    let keys = NodeKeys::from_bytes(&bytes)?;
    keys.identity.verify()?;
    let seed = |bytes: &ByteBuf| {
        <[u8; 32]>::try_from(bytes.as_slice())
            .map(Zeroizing::new)
            .map_err(|_| KeyFileError::NoNodeKeys)
    };
    let sealing = keys
        .sealing_seeds
        .iter()
        .map(|bytes| Ok(SealingKey::from_seed(&*seed(bytes)?)));
    let own = Own {
        signing: SigningKey::from_seed(&*seed(&keys.signing_seed)?),
        sealing: sealing.collect::<Result<_, KeyFileError>>()?,
        identity: keys.identity,
        seed: Entropy::new(random::bytes()),
    };
    Ok(Keys {
        own,
        tls: TlsIdentity::from_pem(&keys.tls_pem)?,
    })
}

/// Whether the root's key still lies beside the node.
pub fn root_is_here(dir: &Path) -> bool {
    dir.join(ROOT_KEY_FILE).exists()
}

fn storage_key(dir: &Path) -> Result<StorageKey, KeyFileError> {
    let path = dir.join(STORAGE_KEY_FILE);
    let file_error = |source| KeyFileError::File {
        path: path.clone(),
        source,
    };
    let mode = fs::metadata(&path)
        .map_err(file_error)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path });
    }
    let text = Zeroizing::new(fs::read_to_string(&path).map_err(file_error)?);
    let key = unhex(text.trim()).ok_or(KeyFileError::NotAKey { path })?;
    Ok(StorageKey::from_bytes(*key))
}

fn unhex(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = text.as_bytes();
    if bytes.len() != 64 || !bytes.is_ascii() {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(key)
}

fn write_secret(path: &Path, text: &str) -> Result<(), KeyFileError> {
    let file_error = |source| KeyFileError::File {
        path: path.into(),
        source,
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(file_error)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(file_error)
}
