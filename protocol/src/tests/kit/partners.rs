//! Partners with keys from seeds: always the same roots, nodes, sealing keys and lists.

use std::sync::OnceLock;

use comity_crypto as crypto;
use serde_bytes::ByteBuf;

use crate::body::SeatTransferBody;
use crate::codec::encode;
use crate::event::UserName;
use crate::id::{ChannelId, EventId, Hash, PartnerId, Signature, WriterId};
use crate::identity::{CertificateList, Identity, Name, NodeCertificate, writer_id};

/// How many partners there are to play with.
pub const PARTNERS: usize = 6;
/// How many nodes each may have. The last one's signing key is the same at all partners.
pub const NODES: usize = 5;
/// How many sealing keys each has drawn beforehand.
pub const GENERATIONS: usize = 4;
/// The certificate lists that each partner's root has signed: number, and nodes in order.
pub const LISTS: [(u64, &[usize]); 9] = [
    (1, &[0]),
    (2, &[0, 1]),
    (3, &[1, 2]),
    (3, &[2]),
    (4, &[0, 1, 2, 3]),
    (5, &[2, 0]),
    (1, &[1]),
    (6, &[4]),
    (7, &[3, 1]),
];

/// An organisation with its nodes.
pub struct Partner {
    pub id: PartnerId,
    /// Its first node.
    pub writer: WriterId,
    /// With the first list.
    pub identity: Identity,
    root: crypto::SigningKey,
    nodes: Vec<crypto::SigningKey>,
    identities: Vec<Identity>,
    sealing_keys: Vec<crypto::SealingPublicKey>,
}

impl Partner {
    fn new(number: usize) -> Partner {
        let seed = |purpose: &str| {
            crypto::hash("comity/test/seed", &[&[number as u8], purpose.as_bytes()])
        };
        let key = |purpose: &str| crypto::SigningKey::from_seed(&seed(purpose));
        let root = key("root");
        let name = name(["alfa", "bravo", "charlie", "delta", "echo", "foxtrot"][number]);
        let next_root = Hash(seed("next root"));
        let id = Identity::sign(name.clone(), &root, next_root, 1, Vec::new()).partner();
        let shared = crypto::hash("comity/test/seed", &[b"a node of several partners"]);
        let mut nodes: Vec<crypto::SigningKey> = (0..NODES - 1)
            .map(|node| match node {
                0 => key("node"),
                node => key(&format!("node {node}")),
            })
            .collect();
        nodes.push(crypto::SigningKey::from_seed(&shared));
        let certificate = |node: &usize| {
            let pin = Hash(seed(&format!("tls {node}")));
            NodeCertificate::new(id, &nodes[*node], pin, name.clone(), 0..u64::MAX)
        };
        let identities: Vec<Identity> = LISTS
            .iter()
            .map(|(number, nodes)| {
                let nodes = nodes.iter().map(certificate).collect();
                Identity::sign(name.clone(), &root, next_root, *number, nodes)
            })
            .collect();
        let sealing = |generation| {
            crypto::SealingKey::from_seed(&seed(&format!("sealing {generation}"))).public()
        };
        Partner {
            id,
            writer: identities[0].certificates.nodes[0].writer(),
            identity: identities[0].clone(),
            root,
            nodes,
            identities,
            sealing_keys: (0..GENERATIONS).map(sealing).collect(),
        }
    }

    pub fn sealing_key(&self, generation: usize) -> ByteBuf {
        ByteBuf::from(self.sealing_keys[generation % GENERATIONS].as_bytes())
    }

    pub fn user(&self) -> UserName {
        user(self.identity.name.as_str())
    }

    /// The partner with one of its [`LISTS`].
    pub fn with_list(&self, list: usize) -> &Identity {
        &self.identities[list % LISTS.len()]
    }

    pub fn node(&self, node: usize) -> WriterId {
        writer_id(&crate::id::KeyBytes(self.nodes[node].public().to_bytes()))
    }

    /// The root gives the seat in a channel to one of its nodes; all up to `after` stands.
    pub fn seat_transfer(
        &self,
        channel: ChannelId,
        list: usize,
        seat: WriterId,
        after: EventId,
    ) -> SeatTransferBody {
        let certificates: CertificateList = self.with_list(list).certificates.clone();
        let parts: [&[u8]; 4] = [&channel.0, &encode(&certificates), &seat.0, &after.0];
        let tag = "comity/v1/seat-transfer";
        let root_signature = Signature(self.root.sign(tag, &crypto::hash(tag, &parts)));
        SeatTransferBody {
            certificates,
            seat,
            after,
            root_signature,
        }
    }
}

/// The partner of a number below [`PARTNERS`]; always the same.
pub fn partner(number: usize) -> &'static Partner {
    static ALL: OnceLock<Vec<Partner>> = OnceLock::new();
    &ALL.get_or_init(|| (0..PARTNERS).map(Partner::new).collect())[number]
}

/// The number of a node: that of its partner for the first node, and so on in rounds.
pub fn node(partner: usize, node: usize) -> usize {
    node * PARTNERS + partner
}

/// The partner of a node.
pub fn of_node(who: usize) -> &'static Partner {
    partner(who % PARTNERS)
}

/// The signing key of a node.
pub fn signing_key(who: usize) -> &'static crypto::SigningKey {
    &of_node(who).nodes[who / PARTNERS]
}

/// The writer of a node.
pub fn writer(who: usize) -> WriterId {
    of_node(who).node(who / PARTNERS)
}

pub fn name(text: &str) -> Name {
    Name::try_from(text.to_string()).expect("a legal name")
}

pub fn user(text: &str) -> UserName {
    UserName::try_from(text.to_string()).expect("a legal user name")
}
