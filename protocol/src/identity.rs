//! Who a partner is: its root key, and the certificates of its nodes that the root signs.

use comity_crypto as crypto;
use serde::{Deserialize, Serialize};

use crate::codec::{Canonical, Malformed, encode};
use crate::id::{ChannelId, EventId, Hash, KeyBytes, PartnerId, Signature, WriterId};
use crate::limits;

/// Domain tag of a partner's id.
pub const TAG_PARTNER: &str = "comity/v1/partner";
/// Domain tag of the hash of a partner's next root key.
pub const TAG_NEXT_ROOT: &str = "comity/v1/next-root";
/// Domain tag of a writer's id.
pub const TAG_WRITER: &str = "comity/v1/writer";
/// Domain tag of what the root signs of a certificate list.
pub const TAG_CERTIFICATES: &str = "comity/v1/certificates";
/// Domain tag of what the root signs to move the seat in a channel.
pub const TAG_SEAT_TRANSFER: &str = "comity/v1/seat-transfer";
/// Domain tag of what a node's signing key signs of its own certificate.
pub const TAG_POSSESSION: &str = "comity/v1/possession";

/// A partner's or channel's short name: 1 to 64 bytes of lower-case letters, digits, `-`, `_`
/// and `.`, beginning with a letter or digit. It is for people; ids decide.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = Malformed;

    fn try_from(name: String) -> Result<Self, Malformed> {
        let legal =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let begins = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if name.len() > limits::NAME_BYTES || !begins || !name.bytes().all(legal) {
            return Err(Malformed::Rule(
                "not a name: 1 to 64 lower-case letters, digits, '-', '_' and '.', beginning with a letter or digit",
            ));
        }
        Ok(Name(name))
    }
}

impl From<Name> for String {
    fn from(name: Name) -> String {
        name.0
    }
}

/// One node of a partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCertificate {
    /// The Ed25519 key that signs the node's events.
    pub signing_key: KeyBytes,
    /// SHA-256 of the SubjectPublicKeyInfo of the node's TLS key, which is another key.
    pub tls_pin: Hash,
    /// For people.
    pub name: Name,
    /// Validity, Unix milliseconds. It warns, it never decides.
    pub not_before_ms: u64,
    pub not_after_ms: u64,
    /// The signing key's own signature over partner, keys and name: nobody can pass another's
    /// node for its own.
    pub possession: Signature,
}

impl NodeCertificate {
    /// Makes a certificate for the node that holds `key`; the root signs it as part of a list.
    pub fn new(
        partner: PartnerId,
        key: &crypto::SigningKey,
        tls_pin: Hash,
        name: Name,
        validity_ms: std::ops::Range<u64>,
    ) -> NodeCertificate {
        let mut certificate = NodeCertificate {
            signing_key: KeyBytes(key.public().to_bytes()),
            tls_pin,
            name,
            not_before_ms: validity_ms.start,
            not_after_ms: validity_ms.end,
            possession: Signature([0; 64]),
        };
        let digest = certificate.possession_digest(partner);
        certificate.possession = Signature(key.sign(TAG_POSSESSION, &digest));
        certificate
    }

    fn possession_digest(&self, partner: PartnerId) -> [u8; 32] {
        let parts: [&[u8]; 4] = [
            &partner.0,
            &self.signing_key.0,
            &self.tls_pin.0,
            self.name.as_str().as_bytes(),
        ];
        crypto::hash(TAG_POSSESSION, &parts)
    }

    fn verify(&self, partner: PartnerId) -> Result<(WriterId, crypto::PublicKey), Malformed> {
        let key = crypto::PublicKey::register(&self.signing_key.0)
            .map_err(|_| Malformed::Rule("not a signing key"))?;
        key.verify(
            TAG_POSSESSION,
            &self.possession_digest(partner),
            &self.possession.0,
        )
        .map_err(|_| Malformed::Rule("a node certificate that its own key did not sign"))?;
        Ok((self.writer(), key))
    }

    /// The writer that this certificate makes.
    pub fn writer(&self) -> WriterId {
        writer_id(&self.signing_key)
    }
}

/// The writer of a signing key.
pub fn writer_id(signing_key: &KeyBytes) -> WriterId {
    WriterId(crypto::hash(TAG_WRITER, &[&signing_key.0]))
}

/// What a root signs: the partner's nodes. Two lists with one number are evidence against the
/// partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateList {
    pub version: u8,
    pub suite: u8,
    pub partner: PartnerId,
    /// Counts upwards; in a channel a list has effect only above those before it.
    pub number: u64,
    /// One to four.
    pub nodes: Vec<NodeCertificate>,
}

impl CertificateList {
    /// Checks all but a root's signature, and gives the writers with their registered keys.
    pub fn verify_nodes(&self) -> Result<Vec<(WriterId, crypto::PublicKey)>, Malformed> {
        rule(
            self.version == limits::VERSION,
            "certificates of an unknown version",
        )?;
        rule(
            self.suite == crypto::Suite::Default.id(),
            "certificates of an unknown suite",
        )?;
        rule(
            (1..=limits::WRITERS_PER_PARTNER).contains(&self.nodes.len()),
            "a partner has one to four nodes",
        )?;
        self.nodes
            .iter()
            .map(|node| node.verify(self.partner))
            .collect()
    }

    /// Signs, as the holder of the root key, that `seat` acts for the partner in `channel`, and
    /// that the former seat's acts in the past of `after` stand.
    pub fn sign_seat_transfer(
        &self,
        root: &crypto::SigningKey,
        channel: ChannelId,
        seat: WriterId,
        after: EventId,
    ) -> Signature {
        let digest = self.transfer_digest(channel, seat, after);
        Signature(root.sign(TAG_SEAT_TRANSFER, &digest))
    }

    /// Checks that the list holds together, that `seat` is one of its nodes and that the root
    /// signed; gives the writers with their registered keys.
    pub fn verify_seat_transfer(
        &self,
        root_key: &KeyBytes,
        channel: ChannelId,
        seat: WriterId,
        after: EventId,
        signature: &Signature,
    ) -> Result<Vec<(WriterId, crypto::PublicKey)>, Malformed> {
        let writers = self.verify_nodes()?;
        rule(
            writers.iter().any(|(writer, _)| *writer == seat),
            "a seat that is no node of the list",
        )?;
        let root = crypto::PublicKey::register(&root_key.0)
            .map_err(|_| Malformed::Rule("not a root key"))?;
        let digest = self.transfer_digest(channel, seat, after);
        root.verify(TAG_SEAT_TRANSFER, &digest, &signature.0)
            .map_err(|_| Malformed::Rule("a seat transfer that the root did not sign"))?;
        Ok(writers)
    }

    fn transfer_digest(&self, channel: ChannelId, seat: WriterId, after: EventId) -> [u8; 32] {
        let parts: [&[u8]; 4] = [&channel.0, &encode(self), &seat.0, &after.0];
        crypto::hash(TAG_SEAT_TRANSFER, &parts)
    }
}

/// A partner as others learn of it; self-certifying, since the id is the hash of the roots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub name: Name,
    pub root_key: KeyBytes,
    /// The hash of the root key that will follow: one rotation outlives a theft.
    pub next_root: Hash,
    pub certificates: CertificateList,
    /// The root's signature over the hash of the list's encoding.
    pub root_signature: Signature,
}

impl Identity {
    /// Signs a certificate list as the holder of the root key; `number` is above that of every
    /// list before.
    pub fn sign(
        name: Name,
        root: &crypto::SigningKey,
        next_root: Hash,
        number: u64,
        nodes: Vec<NodeCertificate>,
    ) -> Identity {
        let root_key = KeyBytes(root.public().to_bytes());
        let certificates = CertificateList {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            partner: partner_id(&root_key, &next_root),
            number,
            nodes,
        };
        let root_signature =
            Signature(root.sign(TAG_CERTIFICATES, &list_digest(&name, &certificates)));
        Identity {
            name,
            root_key,
            next_root,
            certificates,
            root_signature,
        }
    }

    pub fn partner(&self) -> PartnerId {
        partner_id(&self.root_key, &self.next_root)
    }

    /// Checks that the id, the keys and the root's signature fit together, and gives the
    /// writers with their registered keys.
    pub fn verify(&self) -> Result<Vec<(WriterId, crypto::PublicKey)>, Malformed> {
        let list = &self.certificates;
        rule(
            list.partner == self.partner(),
            "certificates of another partner",
        )?;
        let root = crypto::PublicKey::register(&self.root_key.0)
            .map_err(|_| Malformed::Rule("not a root key"))?;
        root.verify(
            TAG_CERTIFICATES,
            &list_digest(&self.name, list),
            &self.root_signature.0,
        )
        .map_err(|_| Malformed::Rule("certificates that the root did not sign"))?;
        list.verify_nodes()
    }
}

fn rule(held: bool, text: &'static str) -> Result<(), Malformed> {
    if held {
        Ok(())
    } else {
        Err(Malformed::Rule(text))
    }
}

/// The id of the partner with these roots.
pub fn partner_id(root_key: &KeyBytes, next_root: &Hash) -> PartnerId {
    PartnerId(crypto::hash(TAG_PARTNER, &[&root_key.0, &next_root.0]))
}

/// The hash under which a root key is announced before it is in use.
pub fn next_root_hash(next_root_key: &KeyBytes) -> Hash {
    Hash(crypto::hash(TAG_NEXT_ROOT, &[&next_root_key.0]))
}

/// What the root signs: the partner's name and its nodes.
fn list_digest(name: &Name, list: &CertificateList) -> [u8; 32] {
    crypto::hash(TAG_CERTIFICATES, &[name.as_str().as_bytes(), &encode(list)])
}

impl Canonical for Identity {
    const NAME: &'static str = "partner's identity";
    const LIMIT: usize = 4 << 10;
}
