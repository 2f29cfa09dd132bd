//! One partner: its keys, its machine while the process lives, and its disk.

use std::collections::{BTreeMap, VecDeque};

use comity_crypto::{SealingKey, SigningKey};
use comity_protocol::id::{Hash, KeyBytes, PartnerId};
use comity_protocol::identity::{
    CertificateList, Identity, Name, NodeCertificate, next_root_hash, partner_id,
};
use comity_protocol::keys::Entropy;
use comity_protocol::replica::{LostSeat, Output, Own, Replica, Restore, StreamClass, Transfer};
use comity_protocol::wire::Packer;

use crate::chance::Chance;
use crate::disk::Disk;
use crate::hostile::Captive;

/// Domain tag of what is drawn for spare writers.
const TAG_SPARE: &str = "comity/v1/test";

/// A partner of the simulated mesh.
pub struct Partner {
    pub id: PartnerId,
    pub identity: Identity,
    seeds: Seeds,
    /// Keys of further writers, for after a restore.
    spares: Vec<[u8; 32]>,
    /// Its disk was put back from a backup, and the process is told so when it starts.
    pub from_backup: bool,
    /// In hostile hands: what it sends is made by hand.
    pub seized: bool,
    /// Absent while the process is down.
    pub replica: Option<Replica>,
    pub disk: Disk,
    /// Wishes that wait for the disk, oldest first.
    pub waiting: VecDeque<Waiting>,
    pub syncing: bool,
    /// Counts the process's lives: what was scheduled for an earlier one is void.
    pub life: u64,
    pub wake_at: Option<u64>,
    /// The packers of the backfill streams, by peer.
    pub backfill: BTreeMap<PartnerId, Packer>,
}

/// A wish that acts once everything before it is on disk.
pub enum Waiting {
    /// A frame for the link that was up when it was wished for.
    Send {
        link: u64,
        peer: PartnerId,
        class: StreamClass,
        bytes: Vec<u8>,
    },
    Other(Output),
}

struct Seeds {
    root: [u8; 32],
    signing: [u8; 32],
    sealing: [u8; 32],
    replica: [u8; 32],
}

impl Partner {
    pub fn new(name: &str, chance: &mut Chance) -> Partner {
        let mut draw = |purpose: &str| chance.bytes(&format!("{name}/{purpose}"));
        let next = SigningKey::from_seed(&draw("next-root"));
        let seeds = Seeds {
            root: draw("root"),
            signing: draw("signing"),
            sealing: draw("sealing"),
            replica: draw("replica"),
        };
        let root = SigningKey::from_seed(&seeds.root);
        let signing = SigningKey::from_seed(&seeds.signing);
        let next_root = next_root_hash(&KeyBytes(next.public().to_bytes()));
        let id = partner_id(&KeyBytes(root.public().to_bytes()), &next_root);
        let name = Name::try_from(name.to_string()).expect("the simulation's names are legal");
        let node = NodeCertificate::new(id, &signing, Hash(draw("tls")), name.clone(), 0..u64::MAX);
        let identity = Identity::sign(name, &root, next_root, 1, vec![node]);
        let mut partner = Partner {
            id,
            identity,
            seeds,
            spares: Vec::new(),
            from_backup: false,
            seized: false,
            replica: None,
            disk: Disk::default(),
            waiting: VecDeque::new(),
            syncing: false,
            life: 0,
            wake_at: None,
            backfill: BTreeMap::new(),
        };
        partner.start();
        partner
    }

    /// Starts the process on what the disk holds.
    pub fn start(&mut self) {
        let mut restore = Restore::new(Own {
            identity: self.identity.clone(),
            signing: SigningKey::from_seed(&self.seeds.signing),
            spares: self.spares.iter().map(SigningKey::from_seed).collect(),
            sealing: vec![SealingKey::from_seed(&self.seeds.sealing)],
            seed: Entropy::new(self.seeds.replica),
        });
        for (table, key, value) in self.disk.rows() {
            restore
                .row(table, key, value)
                .expect("what was stored reads back");
        }
        if std::mem::take(&mut self.from_backup) {
            restore.from_backup();
        }
        self.replica = Some(
            restore
                .finish()
                .expect("what was accepted is accepted again"),
        );
        self.life += 1;
    }

    /// Gives it a further writer, of which all channels know that it is invited to from now on.
    pub fn add_spare(&mut self) {
        let spare = comity_crypto::hash(TAG_SPARE, &[&self.seeds.signing]);
        self.spares.push(spare);
        let root = SigningKey::from_seed(&self.seeds.root);
        let mut nodes = self.identity.certificates.nodes.clone();
        nodes.push(self.certificate(&spare));
        let (name, next) = (self.identity.name.clone(), self.identity.next_root);
        let number = self.identity.certificates.number + 1;
        self.identity = Identity::sign(name, &root, next, number, nodes);
        self.start();
    }

    fn certificate(&self, seed: &[u8; 32]) -> NodeCertificate {
        let key = SigningKey::from_seed(seed);
        let pin = Hash(comity_crypto::hash(TAG_SPARE, &[seed]));
        NodeCertificate::new(self.id, &key, pin, self.identity.name.clone(), 0..u64::MAX)
    }

    /// What its root signs to give a lost seat to its spare.
    pub fn sign_transfer(&self, lost: &LostSeat) -> Transfer {
        let root = SigningKey::from_seed(&self.seeds.root);
        let certificates = CertificateList {
            number: lost.number + 1,
            nodes: self
                .spares
                .iter()
                .map(|seed| self.certificate(seed))
                .collect(),
            ..self.identity.certificates.clone()
        };
        let (channel, writer, after) = (lost.channel, lost.writer, lost.after);
        let root_signature = certificates.sign_seat_transfer(&root, channel, writer, after);
        Transfer {
            certificates,
            seat: writer,
            after,
            root_signature,
        }
    }

    /// Whether something answers at this end of a link.
    pub fn answers(&self) -> bool {
        self.seized || self.replica.is_some()
    }

    /// What an intruder finds: the keys, and all events.
    pub fn captive(&self) -> Captive {
        Captive {
            identity: self.identity.clone(),
            root: self.seeds.root,
            signing: self.seeds.signing,
            sealing: self.seeds.sealing,
            events: self.disk.events().collect(),
        }
    }

    /// Kills the process: what was not synced is gone.
    pub fn kill(&mut self) {
        self.replica = None;
        self.waiting.clear();
        self.syncing = false;
        self.wake_at = None;
        self.backfill.clear();
        self.life += 1;
    }
}
