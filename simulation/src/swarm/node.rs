//! One node of the mesh: a partner's keys, its machine while the process lives, its disk and its
//! clocks. Twins are two nodes with the keys of one partner.

use std::collections::{BTreeMap, VecDeque};

use comity_crypto::{SealingKey, SigningKey};
use comity_protocol::id::{EventId, Hash, KeyBytes, PartnerId, WriterId};
use comity_protocol::identity::{Identity, Name, NodeCertificate, next_root_hash, partner_id};
use comity_protocol::keys::Entropy;
use comity_protocol::replica::{LostSeat, Output, Own, Replica, Restore, StreamClass, Transfer};
use comity_protocol::rows::Table;
use comity_protocol::wire::{LogId, Packer};

use super::clock::Clock;
use super::dice::Dice;
use super::process::Tail;
use crate::disk::Disk;
use crate::hostile::Captive;

const NAMES: [&str; 8] = [
    "alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel",
];

/// A partner's keys and papers.
pub struct Papers {
    pub id: PartnerId,
    /// The writer in use as long as nothing has happened, then the spares.
    pub writers: Vec<WriterId>,
    pub identity: Identity,
    root: [u8; 32],
    signing: Vec<[u8; 32]>,
    sealing: [u8; 32],
}

impl Papers {
    /// The papers of a partner whose node has so many spare writers.
    pub fn draw(number: u64, spares: u64, real_keys: bool, dice: &mut Dice) -> Papers {
        let mut draw = |purpose: &str| key_seed(dice.bytes(purpose, number), real_keys);
        let next = SigningKey::from_seed(&draw("next-root"));
        let root_seed = draw("root");
        let signing: Vec<[u8; 32]> = (0..=spares).map(|_| draw("signing")).collect();
        let sealing = draw("sealing");
        let root = SigningKey::from_seed(&root_seed);
        let next_root = next_root_hash(&KeyBytes(next.public().to_bytes()));
        let id = partner_id(&KeyBytes(root.public().to_bytes()), &next_root);
        let name = NAMES[number as usize % NAMES.len()].to_string();
        let name = Name::try_from(name).expect("the simulation's names are legal");
        let tls = Hash(draw("tls"));
        let keys = signing.iter().map(SigningKey::from_seed);
        let nodes = keys.map(|key| NodeCertificate::new(id, &key, tls, name.clone(), 0..u64::MAX));
        let nodes: Vec<NodeCertificate> = nodes.collect();
        Papers {
            id,
            writers: nodes.iter().map(NodeCertificate::writer).collect(),
            identity: Identity::sign(name, &root, next_root, 1, nodes),
            root: root_seed,
            signing,
            sealing,
        }
    }

    /// The root's word that a writer takes a lost seat. `number` counts its lists; those of its
    /// nodes that are in use no more are left out.
    pub fn sign_transfer(&self, lost: &LostSeat, number: u64, retired: usize) -> Transfer {
        let mut certificates = self.identity.certificates.clone();
        certificates.number = number;
        certificates.nodes.drain(..retired);
        let root = SigningKey::from_seed(&self.root);
        let (channel, seat, after) = (lost.channel, lost.writer, lost.after);
        let root_signature = certificates.sign_seat_transfer(&root, channel, seat, after);
        Transfer {
            certificates,
            seat,
            after,
            root_signature,
        }
    }

    fn own(&self, seed: [u8; 32]) -> Own {
        Own {
            identity: self.identity.clone(),
            signing: SigningKey::from_seed(&self.signing[0]),
            sealing: vec![SealingKey::from_seed(&self.sealing)],
            spares: self.signing[1..]
                .iter()
                .map(SigningKey::from_seed)
                .collect(),
            seed: Entropy::new(seed),
        }
    }

    /// What an intruder who knows these events finds.
    pub fn captive(&self, disk: &Disk) -> Captive {
        Captive {
            identity: self.identity.clone(),
            root: self.root,
            signing: self.signing[0],
            sealing: self.sealing,
            events: disk.events().collect(),
        }
    }
}

/// The seed of a key: of a stand-in, where this build has them and real keys are not asked for.
#[cfg(stand_in)]
pub fn key_seed(seed: [u8; 32], real_keys: bool) -> [u8; 32] {
    match real_keys {
        true => seed,
        false => comity_crypto::stand_in_seed(seed),
    }
}

/// The seed of a key, which is real in this build.
#[cfg(not(stand_in))]
pub fn key_seed(seed: [u8; 32], _real_keys: bool) -> [u8; 32] {
    seed
}

/// A wish that acts once everything before it is on disk.
pub enum Waiting {
    /// A frame for the link that was up when it was wished for.
    Send(Frame),
    Other(Output),
}

/// A frame on its way out.
pub struct Frame {
    pub to: usize,
    pub link: u64,
    pub class: StreamClass,
    pub bytes: Vec<u8>,
    /// The events of the sender's own writer in it.
    pub own: Vec<(LogId, u64, EventId)>,
}

/// One running copy of a partner.
pub struct Node {
    pub partner: usize,
    /// In hostile hands: nothing that it says is believed, and it is not asked to be right.
    pub byzantine: bool,
    pub replica: Option<Replica>,
    pub disk: Disk,
    pub waiting: VecDeque<Waiting>,
    /// How many of those are being written now.
    pub syncing: Option<usize>,
    /// Counts the process's lives: what was scheduled for an earlier one is void.
    pub life: u64,
    pub wake_at: Option<u64>,
    /// When a wake-up is scheduled, in the world's time.
    pub alarm: Option<u64>,
    pub backfill: BTreeMap<usize, Packer>,
    pub clock: Clock,
    pub paused_until: u64,
    pub stalled_until: u64,
    /// The process dies in its next write: what is left of that, and for how long, ms.
    pub doom: Option<(Tail, u64)>,
    /// The next sync fails.
    pub sync_fails: bool,
    pub full_until: u64,
    pub snapshot: Option<Disk>,
    /// Its disk went back in time at some point: it may not know its own last events.
    pub restored: bool,
    /// As its operator has noted: how many of its writers were in use before that.
    pub retired: usize,
    /// The number of the last list of certificates that the partner's root has signed.
    pub lists: u64,
    /// Stopped for good: it found its disk damaged and has no copy.
    pub out_of_order: bool,
    /// Peers to which a hostile node sends no events.
    pub withholds: u64,
    /// Of a hundred frames so many leave a hostile node twice, or changed.
    pub echoes: u64,
    pub corrupts: u64,
}

impl Node {
    pub fn new(partner: usize, byzantine: bool) -> Node {
        Node {
            partner,
            byzantine,
            replica: None,
            disk: Disk::default(),
            waiting: VecDeque::new(),
            syncing: None,
            life: 0,
            wake_at: None,
            alarm: None,
            backfill: BTreeMap::new(),
            clock: Clock::new(),
            paused_until: 0,
            stalled_until: 0,
            doom: None,
            sync_fails: false,
            full_until: 0,
            snapshot: None,
            restored: false,
            retired: 0,
            lists: 1,
            out_of_order: false,
            withholds: 0,
            echoes: 0,
            corrupts: 0,
        }
    }

    /// Starts the process on what the disk holds. An error says that the disk is damaged, or that
    /// what was accepted once no longer is.
    pub fn start(&mut self, papers: &Papers, seed: [u8; 32], now_ms: u64) -> Result<(), String> {
        self.replica = Some(restored(papers, &self.disk, self.retired, seed)?);
        self.life += 1;
        self.clock.restart(now_ms);
        Ok(())
    }

    /// Ends the process: what was not synced is gone.
    pub fn end(&mut self) {
        self.replica = None;
        self.waiting.clear();
        self.syncing = None;
        self.wake_at = None;
        self.alarm = None;
        self.backfill.clear();
        self.life += 1;
    }

    pub fn is_up(&self) -> bool {
        self.replica.is_some()
    }
}

/// A machine put together from a disk's rows. Where so many of its writers are retired and the disk
/// does not say so, it is one that was put back or wiped, and its operator says so.
pub fn restored(
    papers: &Papers,
    disk: &Disk,
    retired: usize,
    seed: [u8; 32],
) -> Result<Replica, String> {
    if disk.is_damaged() {
        return Err("a row's checksum is wrong".into());
    }
    let mut restore = Restore::new(papers.own(seed));
    for (table, key, value) in disk.rows() {
        let row = restore.row(table, key, value);
        row.map_err(|malformed| format!("a stored row does not read back: {malformed}"))?;
    }
    let retired = &papers.writers[..retired];
    let is_said = |writer: &WriterId| disk.get(Table::Writers, &writer.0).is_some();
    if !retired.iter().all(is_said) {
        restore.from_backup();
        retired.iter().for_each(|writer| restore.spent(*writer));
    }
    let replica = restore.finish();
    replica.map_err(|malformed| format!("what was stored is not accepted: {malformed}"))
}
