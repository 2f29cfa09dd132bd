//! The partners of the scripts, with roots, nodes and sealing keys from seeds.

use std::sync::OnceLock;

use comity_crypto as crypto;
use serde_bytes::ByteBuf;

use crate::body::SeatTransferBody;
use crate::codec::encode;
use crate::event::UserName;
use crate::id::{ChannelId, EventId, Hash, KeyBytes, PartnerId, Signature, WriterId};
use crate::identity::{
    CertificateList, Identity, Name, NodeCertificate, next_root_hash, partner_id,
};
use crate::limits;

const NAMES: [&str; 7] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf",
];
const SEALING_KEYS: usize = 6;

pub struct Partner {
    pub id: PartnerId,
    name: Name,
    root: crypto::SigningKey,
    next_root: Hash,
    pub nodes: Vec<Node>,
    sealing_keys: Vec<crypto::SealingPublicKey>,
}

pub struct Node {
    pub key: crypto::SigningKey,
    pub writer: WriterId,
    certificate: NodeCertificate,
}

impl Partner {
    fn new(name: &str) -> Partner {
        let seed =
            |purpose: &str| crypto::hash("comity/v1/test", &[name.as_bytes(), purpose.as_bytes()]);
        let root = crypto::SigningKey::from_seed(&seed("root"));
        let next = crypto::SigningKey::from_seed(&seed("next root"));
        let next_root = next_root_hash(&KeyBytes(next.public().to_bytes()));
        let name = Name::try_from(name.to_string()).expect("a legal name");
        let id = partner_id(&KeyBytes(root.public().to_bytes()), &next_root);
        let node = |number: usize| {
            let key = crypto::SigningKey::from_seed(&seed(&format!("node {number}")));
            let pin = Hash(seed(&format!("tls {number}")));
            let certificate = NodeCertificate::new(id, &key, pin, name.clone(), 0..u64::MAX);
            Node {
                writer: certificate.writer(),
                key,
                certificate,
            }
        };
        let sealing =
            |number| crypto::SealingKey::from_seed(&seed(&format!("sealing {number}"))).public();
        Partner {
            id,
            nodes: (0..limits::WRITERS_PER_PARTNER).map(node).collect(),
            sealing_keys: (0..SEALING_KEYS).map(sealing).collect(),
            root,
            next_root,
            name,
        }
    }

    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    pub fn user(&self) -> UserName {
        UserName::try_from(self.name().to_string()).expect("a legal user name")
    }

    pub fn sealing_key(&self, number: usize) -> ByteBuf {
        ByteBuf::from(self.sealing_keys[number % SEALING_KEYS].as_bytes())
    }

    pub fn sealing_key_id(&self, number: usize) -> Hash {
        Hash(self.sealing_keys[number % SEALING_KEYS].id())
    }

    /// The list of this number with these nodes.
    fn list(&self, number: u64, nodes: &[usize]) -> CertificateList {
        CertificateList {
            version: limits::VERSION,
            suite: crypto::Suite::Default.id(),
            partner: self.id,
            number,
            nodes: nodes
                .iter()
                .map(|node| self.nodes[*node].certificate.clone())
                .collect(),
        }
    }

    /// Section 4: the root signs name and list.
    pub fn identity(&self, number: u64, nodes: &[usize]) -> Identity {
        let certificates = self.list(number, nodes);
        let tag = "comity/v1/certificates";
        let digest = crypto::hash(tag, &[self.name().as_bytes(), &encode(&certificates)]);
        Identity {
            name: self.name.clone(),
            root_key: KeyBytes(self.root.public().to_bytes()),
            next_root: self.next_root,
            certificates,
            root_signature: Signature(self.root.sign(tag, &digest)),
        }
    }

    /// Section 11: the root gives the seat in this channel to one of the list's nodes, and trusts
    /// all up to `after`.
    pub fn seat_transfer(
        &self,
        channel: ChannelId,
        number: u64,
        nodes: &[usize],
        seat: usize,
        after: EventId,
    ) -> SeatTransferBody {
        let certificates = self.list(number, nodes);
        let seat = self.nodes[seat].writer;
        let tag = "comity/v1/seat-transfer";
        let parts: [&[u8]; 4] = [&channel.0, &encode(&certificates), &seat.0, &after.0];
        SeatTransferBody {
            certificates,
            seat,
            after,
            root_signature: Signature(self.root.sign(tag, &crypto::hash(tag, &parts))),
        }
    }
}

/// All partners, by number; always the same.
pub fn cast() -> &'static [Partner] {
    static ALL: OnceLock<Vec<Partner>> = OnceLock::new();
    ALL.get_or_init(|| NAMES.into_iter().map(Partner::new).collect())
}

/// A partner's number by its name.
pub fn partner_named(name: &str) -> Result<usize, String> {
    let at = NAMES.iter().position(|known| *known == name);
    at.ok_or(format!("no partner is called {name}"))
}

/// One node of a partner, both by number: `bravo` is its first node, `bravo/2` its second.
pub type NodeNumber = (usize, usize);

pub fn node_named(name: &str) -> Result<NodeNumber, String> {
    let (partner, node) = name.split_once('/').unwrap_or((name, "1"));
    let node = node
        .parse::<usize>()
        .ok()
        .filter(|node| (1..=limits::WRITERS_PER_PARTNER).contains(node))
        .ok_or(format!("{name} is no node"))?;
    Ok((partner_named(partner)?, node - 1))
}

pub fn node(number: NodeNumber) -> &'static Node {
    &cast()[number.0].nodes[number.1]
}
