//! The keys in a node's directory, and the store that they open.
//!
//! The [storage key](crate::storage_key) opens everything else; `root.key` is the partner itself
//! and belongs in a safe once the node is set up: nothing that runs reads it. The node writes under
//! one signing key; further ones, its spare writers, are kept in a row of their own for the day
//! that the store is put back from a backup.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use comity_crypto::{SealingKey, SigningKey, StorageKey};
use comity_protocol::codec::{Canonical, Malformed};
use comity_protocol::id::{Hash, KeyBytes, PartnerId, WriterId};
use comity_protocol::identity::{Identity, Name, NodeCertificate, writer_id};
use comity_protocol::keys::Entropy;
use comity_protocol::limits;
use comity_protocol::replica::Own;
use comity_protocol::rows::{Row, Table};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteBuf;
use zeroize::{Zeroize as _, Zeroizing};

use crate::config::{DEFAULT_KEY_FILE, KeySource};
use crate::environment::Randomness;
use crate::random;
use crate::root::{self, RootError, RootKeys};
use crate::storage_key::{KeyPlace, KeyText, StorageKeyError};
use crate::store::{KeyId, Store, StoreError, StoreOptions};
use crate::transport::{TlsIdentity, TransportError};

const STORE_DIR: &str = "store";
const NODE_KEYS: &[u8] = b"node keys";
const SPARE_KEYS: &[u8] = b"spare keys";
/// The spare writers of a new node: one for the first restore, and one for a second that comes
/// before the first spare was replaced. Of the four writers that a partner may have in a channel
/// that leaves one, to introduce the next spare while the used one is still known there.
pub const SPARES: usize = 2;
/// Keys of spare writers that a node keeps, used ones too, since peers may still show their logs:
/// more than anybody restores.
const SPARES_KEPT: usize = 64;
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
    #[error(transparent)]
    Root(#[from] RootError),
    #[error("the partner has {0} writers that are not used up, and may have no more")]
    TooManyWriters(usize),
    #[error("the node keeps the keys of {0} spare writers, and may keep no more")]
    TooManySpares(usize),
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

/// The keys of the node's spare writers, in the order in which they come into use. A store of
/// before there were any lacks the row.
#[derive(Default, Serialize, Deserialize)]
struct SpareKeys {
    signing_seeds: Vec<SecretBytes>,
}

impl Canonical for SpareKeys {
    const NAME: &'static str = "spare keys";
    const LIMIT: usize = 4 << 10;
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
    let root = RootKeys::from_seeds(
        &Zeroizing::new(randomness.bytes()),
        &Zeroizing::new(randomness.bytes()),
    );
    let signing = SigningKey::from_seed(&randomness.bytes());
    let sealing = SealingKey::from_seed(&randomness.bytes());
    let tls = TlsIdentity::from_seed(&Zeroizing::new(randomness.bytes()))?;
    let spares = [(); SPARES].map(|()| SigningKey::from_seed(&randomness.bytes()));

    let writers = std::iter::once(&signing).chain(&spares);
    let nodes = writers.map(|key| certify(root.partner(), key, &tls, &partner, now_ms));
    let identity = root.sign_list(partner.clone(), 1, nodes.collect());

    root.write(&dir.join(root::FILE_NAME))?;
    storage.write(&dir.join(DEFAULT_KEY_FILE))?;
    let keys = NodeKeys {
        identity: identity.clone(),
        signing_seed: SecretBytes::of(&*signing.seed()),
        sealing_seeds: vec![SecretBytes::of(&*sealing.seed())],
        tls_pem: SecretText(tls.to_pem()),
    };
    let kept = SpareKeys {
        signing_seeds: spares
            .iter()
            .map(|key| SecretBytes::of(&*key.seed()))
            .collect(),
    };
    let store = Store::open_with(&store_path(dir), storage.key(), options.clone())?;
    write(&store, &keys, &kept)?;
    Ok(identity)
}

/// Certifies a writer of this node. All writers of a node share its TLS key: a spare lets nobody
/// connect that could not before, and the node needs no other key to connect under it.
fn certify(
    partner: PartnerId,
    key: &SigningKey,
    tls: &TlsIdentity,
    name: &Name,
    now_ms: u64,
) -> NodeCertificate {
    let validity = now_ms..now_ms.saturating_add(CERTIFICATE_MS);
    NodeCertificate::new(partner, key, Hash(tls.pin()), name.clone(), validity)
}

/// Writes the node's keys, all or nothing.
fn write(store: &Store, keys: &NodeKeys, spares: &SpareKeys) -> Result<(), StoreError> {
    let mut rows = [
        Row::put(Table::Meta, NODE_KEYS.to_vec(), keys.to_bytes()),
        Row::put(Table::Meta, SPARE_KEYS.to_vec(), spares.to_bytes()),
    ];
    let written = store.write(&rows);
    rows.iter_mut().for_each(|row| row.value.zeroize());
    written
}

/// Makes one more spare writer. The root signs a list, with a number above `above`, of the node's
/// writers that are not `spent`, in their order, and the new one; the list takes the place of the
/// one before.
pub fn add_spare(
    store: &Store,
    root: &RootKeys,
    spent: &BTreeSet<WriterId>,
    above: u64,
    now_ms: u64,
) -> Result<Identity, KeyFileError> {
    let (mut keys, mut spares) = read(store)?;
    if spares.signing_seeds.len() >= SPARES_KEPT {
        return Err(KeyFileError::TooManySpares(spares.signing_seeds.len()));
    }
    let tls = TlsIdentity::from_pem(&keys.tls_pem.0)?;
    let (name, partner) = (keys.identity.name.clone(), root.partner());
    let seeds = std::iter::once(&keys.signing_seed).chain(&spares.signing_seeds);
    let mut nodes = Vec::new();
    for seed in seeds {
        let key = SigningKey::from_seed(&*seed.seed()?);
        if !spent.contains(&writer_of(&key)) {
            nodes.push(certify(partner, &key, &tls, &name, now_ms));
        }
    }
    if nodes.len() >= limits::WRITERS_PER_PARTNER {
        return Err(KeyFileError::TooManyWriters(nodes.len()));
    }
    let key = SigningKey::from_seed(&random::bytes());
    nodes.push(certify(partner, &key, &tls, &name, now_ms));
    let number = above.max(keys.identity.certificates.number);
    let identity = root.sign_list(name, number.saturating_add(1), nodes);
    spares.signing_seeds.push(SecretBytes::of(&*key.seed()));
    keys.identity = identity.clone();
    write(store, &keys, &spares)?;
    Ok(identity)
}

/// The writer of a signing key.
pub fn writer_of(key: &SigningKey) -> WriterId {
    writer_id(&KeyBytes(key.public().to_bytes()))
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
    let (keys, spares) = read(store)?;
    keys.identity.verify()?;
    let signing = |seed: &SecretBytes| Ok(SigningKey::from_seed(&*seed.seed()?));
    let sealing = keys
        .sealing_seeds
        .iter()
        .map(|seed| Ok(SealingKey::from_seed(&*seed.seed()?)));
    let own = Own {
        signing: signing(&keys.signing_seed)?,
        spares: spares
            .signing_seeds
            .iter()
            .map(signing)
            .collect::<Result<_, KeyFileError>>()?,
        sealing: sealing.collect::<Result<_, KeyFileError>>()?,
        identity: keys.identity,
        seed: Entropy::new(random::bytes()),
    };
    Ok(Keys {
        own,
        tls: TlsIdentity::from_pem(&keys.tls_pem.0)?,
    })
}

fn read(store: &Store) -> Result<(NodeKeys, SpareKeys), KeyFileError> {
    let bytes = store
        .get(Table::Meta, NODE_KEYS)?
        .ok_or(KeyFileError::NoNodeKeys)?;
    let keys = NodeKeys::from_bytes(&bytes)?;
    let spares = match store.get(Table::Meta, SPARE_KEYS)? {
        Some(bytes) => SpareKeys::from_bytes(&bytes)?,
        None => SpareKeys::default(),
    };
    Ok((keys, spares))
}

/// The node's writers, in the order in which they come into use.
pub fn writers(own: &Own) -> Vec<WriterId> {
    std::iter::once(&own.signing)
        .chain(&own.spares)
        .map(writer_of)
        .collect()
}

/// Where the root's key lies as long as nobody has taken it away.
pub fn root_path(dir: &Path) -> PathBuf {
    dir.join(root::FILE_NAME)
}

/// Whether the root's key still lies beside the node.
pub fn root_is_here(dir: &Path) -> bool {
    root_path(dir).exists()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KeySource;

    fn node(dir: &Path) -> (Store, Identity, RootKeys) {
        let name = Name::try_from("alpha".to_string()).unwrap();
        let identity = create(dir, name, 0).unwrap();
        let store = open_store(dir, &KeySource::default()).unwrap();
        let root = RootKeys::read(&root_path(dir), identity.partner()).unwrap();
        (store, identity, root)
    }

    fn listed(identity: &Identity) -> Vec<WriterId> {
        let nodes = identity.certificates.nodes.iter();
        nodes.map(NodeCertificate::writer).collect()
    }

    #[test]
    fn a_new_node_has_spare_writers_that_its_first_list_introduces() {
        let dir = tempfile::tempdir().unwrap();
        let (store, identity, _) = node(dir.path());
        let own = load(&store).unwrap().own;

        assert_eq!(own.spares.len(), SPARES);
        assert_eq!(listed(&identity), writers(&own));
        let room = identity.certificates.nodes.len() < limits::WRITERS_PER_PARTNER;
        assert!(room, "the next spare can be introduced beside these");
    }

    #[test]
    fn all_writers_of_a_node_connect_by_its_one_tls_key() {
        let dir = tempfile::tempdir().unwrap();
        let (store, identity, root) = node(dir.path());
        let renewed = add_spare(&store, &root, &BTreeSet::new(), 1, 0).unwrap();
        let pin = load(&store).unwrap().tls.pin();

        for list in [identity, renewed] {
            let pins = list.certificates.nodes.iter().map(|node| node.tls_pin.0);
            assert!(pins.into_iter().all(|listed| listed == pin));
        }
    }

    #[test]
    fn a_spare_takes_the_place_of_a_spent_writer_in_a_list_of_a_higher_number() {
        let dir = tempfile::tempdir().unwrap();
        let (store, identity, root) = node(dir.path());
        let before = listed(&identity);
        let spent = BTreeSet::from([before[0]]);
        let renewed = add_spare(&store, &root, &spent, 7, 0).unwrap();
        let own = load(&store).unwrap().own;

        renewed.verify().unwrap();
        assert_eq!(renewed.partner(), identity.partner());
        assert_eq!(renewed.certificates.number, 8);
        assert_eq!(listed(&renewed), writers(&own)[1..]);
        assert_eq!(listed(&renewed)[..2], before[1..]);
        assert_eq!(own.identity, renewed);
    }

    #[test]
    fn a_partner_has_no_more_writers_than_a_channel_takes() {
        let dir = tempfile::tempdir().unwrap();
        let (store, ..) = node(dir.path());
        let root = |partner| RootKeys::read(&root_path(dir.path()), partner).unwrap();
        let partner = load(&store).unwrap().own.identity.partner();
        let none = BTreeSet::new();
        let fourth = add_spare(&store, &root(partner), &none, 1, 0).unwrap();
        let fifth = add_spare(&store, &root(partner), &none, 2, 0);

        assert!(matches!(fifth, Err(KeyFileError::TooManyWriters(4))));
        assert_eq!(load(&store).unwrap().own.identity, fourth);
    }

    #[test]
    fn a_store_of_before_there_were_spares_reads_back_and_is_given_one() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _, root) = node(dir.path());
        let (mut keys, _) = read(&store).unwrap();
        let name = keys.identity.name.clone();
        let nodes = keys.identity.certificates.nodes[..1].to_vec();
        keys.identity = root.sign_list(name, 1, nodes);
        let old = [
            Row::put(Table::Meta, NODE_KEYS.to_vec(), keys.to_bytes()),
            Row {
                table: Table::Meta,
                key: SPARE_KEYS.to_vec(),
                value: None,
            },
        ];
        store.write(&old).unwrap();

        assert!(load(&store).unwrap().own.spares.is_empty());
        let renewed = add_spare(&store, &root, &BTreeSet::new(), 1, 0).unwrap();
        let own = load(&store).unwrap().own;
        assert_eq!(own.spares.len(), 1);
        assert_eq!(listed(&renewed), writers(&own));
    }
}
