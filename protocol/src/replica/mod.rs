//! One partner's replica of its channels: the machine that a node and a simulator drive.
//!
//! Feed it facts with [`Replica::handle`], then drain [`Replica::poll`] until it is empty, and
//! repeat. Outputs are ordered: an [`Output::Append`] must be on disk, synced, before any later
//! output acts, so that nothing is sent or acknowledged that a crash could take back. The machine
//! reads no clock and draws no randomness; both are arguments.

mod acks;
mod evidence;
mod files;
mod incoming;
mod keys;
mod orders;
mod restore;
mod roles;
mod writers;

use std::collections::{BTreeMap, VecDeque};

use comity_crypto as crypto;

use crate::channel::Channel;
use crate::event::{Event, Kind, Precedence};
use crate::evidence::{Forked, SignedHeader};
use crate::files::{Fetches, Held};
use crate::giving::{Asking, Given};
use crate::id::{ChannelId, EventId, LaneId, PartnerId, Signature, WriterId};
use crate::identity::Identity;
use crate::keys::{Entropy, Keyring};
use crate::mutation::{self, Mutation};
use crate::quota::{Limit, Quotas};
use crate::rows::{ChannelNote, LogNumbers, Row};
use crate::sync::Sync;
use crate::time::{Instant, Now};
use crate::wire::{Ephemeral, LogId};

pub use evidence::Recall;
pub use files::SendPiece;
pub use orders::{Command, CommandError, Draft, EventRef, ReceiptState, Written};
pub use restore::Restore;
pub use roles::{OpenProposal, Proposal, Prospect, Transfer};
pub use writers::LostSeat;

use acks::Acks;
use evidence::Suspects;
use writers::Writers;

/// Who this replica is, and the keys it acts with.
pub struct Own {
    pub identity: Identity,
    /// The key of the writer in use.
    pub signing: crypto::SigningKey,
    /// Keys of further writers of this node, for after a restore. Those that an earlier restore has
    /// put to use are named to [`Restore::spent`] after the next.
    pub spares: Vec<crypto::SigningKey>,
    /// The last one is current.
    pub sealing: Vec<crypto::SealingKey>,
    /// Randomness for what peers make this replica do, drawn anew at every start.
    pub seed: Entropy,
}

/// The streams of a link, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StreamClass {
    Control,
    Flash,
    Immediate,
    Priority,
    Routine,
    Backfill,
    Files,
}

impl StreamClass {
    /// The stream for events of a precedence.
    pub fn of(precedence: Precedence) -> StreamClass {
        match precedence {
            Precedence::Flash => StreamClass::Flash,
            Precedence::Immediate => StreamClass::Immediate,
            Precedence::Priority => StreamClass::Priority,
            Precedence::Routine => StreamClass::Routine,
        }
    }
}

/// A fact.
#[derive(Debug)]
pub enum Input {
    /// An order of this node's own people; answered by one [`Output::Done`] with its ticket.
    Command {
        ticket: u64,
        command: Box<Command>,
        entropy: Entropy,
    },
    PeerUp {
        peer: PartnerId,
    },
    PeerDown {
        peer: PartnerId,
    },
    /// A frame came on one of a peer's streams.
    Received {
        peer: PartnerId,
        class: StreamClass,
        bytes: Vec<u8>,
    },
    /// A frame for the peer was dropped: its queue is full.
    Congested {
        peer: PartnerId,
    },
    /// The peer's queue has room again.
    Drained {
        peer: PartnerId,
    },
    /// What own users do just now, for the linked members of a channel.
    Ephemeral(Ephemeral),
    /// The answer to [`Output::Verify`], one verdict per item.
    Verified {
        batch: u64,
        valid: Vec<bool>,
    },
    /// The answer to [`Output::Recall`]: the event's header and signature, if it is stored.
    Recalled {
        recall: Recall,
        found: Option<SignedHeader>,
    },
    /// The time asked for by [`Output::WakeAt`] has come.
    Wake,
}

/// A wish.
#[derive(Debug)]
pub enum Output {
    /// Verify these signatures of events that `peer` sent; answer with [`Input::Verified`]. The
    /// batches of one peer are best answered in their order: an event may follow on one before it.
    Verify {
        batch: u64,
        peer: PartnerId,
        items: Vec<VerifyItem>,
    },
    /// Write these rows together; they are durable before any later output acts.
    Append {
        rows: Vec<Row>,
    },
    Send {
        peer: PartnerId,
        class: StreamClass,
        bytes: Vec<u8>,
    },
    /// Send stored events and then a range end, on the backfill stream.
    SendRange(SendRange),
    /// Answer a question for a piece of a file, on the files stream.
    SendPiece(SendPiece),
    /// Read an event that was appended; answer with [`Input::Recalled`].
    Recall(Recall),
    Notify(Notice),
    Done {
        ticket: u64,
        result: Result<Written, CommandError>,
    },
    /// Wake the machine then at the latest; replaces earlier wishes.
    WakeAt(Instant),
}

/// One signature to verify under [`crate::event::TAG_EVENT_SIGNATURE`].
#[derive(Debug, Clone)]
pub struct VerifyItem {
    pub key: crypto::PublicKey,
    pub id: EventId,
    pub signature: Signature,
}

/// Stored events of one log for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendRange {
    pub peer: PartnerId,
    pub log: LogId,
    pub from: u64,
    pub to: u64,
}

/// What the driver, its log or its people should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An event was accepted.
    Accepted {
        channel: ChannelId,
        id: EventId,
        kind: Kind,
        own: bool,
    },
    /// A channel's members changed.
    Membership { channel: ChannelId },
    /// A peer broke the protocol: its link is to be closed and the matter put on record.
    Misbehaved { peer: PartnerId, why: String },
    /// A peer, or events that it brought, came up against a limit.
    OverLimit {
        peer: PartnerId,
        limit: Limit,
        why: String,
    },
    /// Something of a peer's was refused or set aside; for the log and the metrics.
    Refused { peer: PartnerId, why: String },
    /// Two events of one writer for one position.
    Fork {
        channel: ChannelId,
        id: EventId,
        peer: PartnerId,
    },
    /// A member proved that a writer signed two events for one position.
    Equivocation {
        channel: ChannelId,
        /// The evidence event.
        evidence: EventId,
        /// Who wrote it.
        by: PartnerId,
        /// Whose writer it is.
        partner: PartnerId,
        forked: Forked,
    },
    /// A partner signed that a barrier comes to something else than it does here.
    HistoryDiffers {
        channel: ChannelId,
        lane: LaneId,
        partner: PartnerId,
        barrier: u64,
        /// The floor event that says so.
        floor: EventId,
    },
    /// A key event whose wrap for this partner is bad.
    BadKey {
        channel: ChannelId,
        id: EventId,
        why: String,
    },
    /// Secrets of epochs were given to a reader that lacked them.
    KeysGiven {
        channel: ChannelId,
        peer: PartnerId,
        count: usize,
    },
    /// Secrets of epochs that this node could not open were given to it.
    KeysObtained {
        channel: ChannelId,
        peer: PartnerId,
        count: usize,
    },
    /// A peer sent something else than the file's piece or chunk that it was asked for: it was
    /// dropped, and another is asked.
    BadPiece {
        channel: ChannelId,
        file: EventId,
        peer: PartnerId,
        why: crate::files::Fault,
    },
    /// What users of a peer do just now, in a channel of which it is a member: nothing of it is kept.
    Ephemeral { peer: PartnerId, told: Ephemeral },
    /// A peer did not send the piece of a file that it was asked for.
    PieceLate { peer: PartnerId },
    /// A peer shows more of this node's own log than is here: the writer is not used again.
    OwnLogAhead {
        channel: ChannelId,
        seq: u64,
        peer: PartnerId,
    },
}

/// One partner's replica.
pub struct Replica {
    own: Own,
    partner: PartnerId,
    writers: Writers,
    channels: BTreeMap<ChannelId, Channel>,
    keyring: Keyring,
    numbers: LogNumbers,
    sync: Sync,
    /// Secrets that are asked of other readers.
    asking: Asking,
    given: Given,
    /// The files of which something is held, and those that are fetched.
    held: Held,
    fetches: Fetches,
    quotas: Quotas,
    suspects: Suspects,
    acks: Acks,
    /// How often each limit was met since the start.
    met: BTreeMap<Limit, u64>,
    /// Who brought what this partner may not read, and whether nobody could have meant it to.
    foreign: BTreeMap<PartnerId, bool>,
    verifying: BTreeMap<u64, Vec<(Event, PartnerId)>>,
    /// The weight of what each peer sent of that.
    verifying_bytes: BTreeMap<PartnerId, usize>,
    verifying_bytes_in_all: usize,
    next_batch: u64,
    /// What is stored of channels besides their events.
    notes: BTreeMap<ChannelId, ChannelNote>,
    out: VecDeque<Output>,
}

impl Replica {
    /// A replica that holds nothing yet; see [`Restore`] for one that does.
    pub fn new(own: Own) -> Replica {
        let partner = own.identity.partner();
        let writers = Writers::new(&own);
        let sealing = own
            .sealing
            .iter()
            .map(|key| crypto::SealingKey::from_seed(&key.seed()))
            .collect();
        Replica {
            own,
            partner,
            writers,
            channels: BTreeMap::new(),
            keyring: Keyring::new(partner, sealing),
            numbers: LogNumbers::default(),
            sync: Sync::new(partner),
            asking: Asking::default(),
            given: Given::default(),
            held: Held::default(),
            fetches: Fetches::default(),
            quotas: Quotas::default(),
            suspects: Suspects::default(),
            acks: Acks::default(),
            met: BTreeMap::new(),
            foreign: BTreeMap::new(),
            verifying: BTreeMap::new(),
            verifying_bytes: BTreeMap::new(),
            verifying_bytes_in_all: 0,
            next_batch: 0,
            notes: BTreeMap::new(),
            out: VecDeque::new(),
        }
    }

    pub fn partner(&self) -> PartnerId {
        self.partner
    }

    /// The writer that this node uses as long as nothing has happened to it.
    pub fn writer(&self) -> WriterId {
        self.writers.first()
    }

    pub fn identity(&self) -> &Identity {
        &self.own.identity
    }

    pub fn channels(&self) -> &BTreeMap<ChannelId, Channel> {
        &self.channels
    }

    /// The store's number of a log, for reading events back.
    pub fn log_number(&self, log: &LogId) -> Option<u32> {
        self.numbers.get(log)
    }

    /// The secret that seals under a key event, where this partner holds it.
    pub fn secret(&self, key_event: &EventId) -> Option<&crypto::EpochSecret> {
        self.keyring.secret(key_event)
    }

    /// Events that a connected peer is known to lack.
    pub fn lag(&self, peer: &PartnerId) -> u64 {
        self.sync.lag(peer, &self.channels)
    }

    /// How often peers came up against each limit since the start.
    pub fn limits_met(&self) -> &BTreeMap<Limit, u64> {
        &self.met
    }

    /// The state of replication in words, for people who look for a fault.
    pub fn describe_sync(&self) -> String {
        format!(
            "{:?}, {} batches under verification",
            self.sync,
            self.verifying.len()
        )
    }

    /// How many entries the tables of replication have, over all peers: each some 100 bytes.
    pub fn sync_entries(&self) -> usize {
        self.sync.entries()
    }

    /// The weight in bytes of the events under verification: the driver holds back input while
    /// it is large.
    pub fn verifying_bytes(&self) -> usize {
        self.verifying_bytes_in_all
    }

    /// The same of the events that one peer sent.
    pub fn verifying_bytes_of(&self, peer: &PartnerId) -> usize {
        self.verifying_bytes.get(peer).copied().unwrap_or(0)
    }

    /// Takes a fact.
    pub fn handle(&mut self, input: Input, now: Now) {
        let sleeps = mutation::is(Mutation::WakeUpLost) && matches!(input, Input::Wake);
        match input {
            Input::Command {
                ticket,
                command,
                entropy,
            } => {
                let result = self.command(*command, &entropy, now);
                let done = Output::Done { ticket, result };
                if mutation::is(Mutation::AnsweredBeforeStored) {
                    self.out.push_front(done);
                } else {
                    self.out.push_back(done);
                }
            }
            Input::PeerUp { peer } => {
                self.sync
                    .up(peer, &self.channels, now.instant, &mut self.out);
                self.asking.up(&peer);
                self.fetches.up(&peer);
            }
            Input::PeerDown { peer } => {
                self.sync.down(&peer);
                self.asking.down(&peer);
                self.given.down(&peer);
                self.fetches.down(&peer);
            }
            Input::Received { peer, class, bytes } => self.received(peer, class, &bytes, now),
            Input::Congested { peer } => self.sync.congested(&peer),
            Input::Drained { peer } => {
                self.sync
                    .drained(peer, &self.channels, now.instant, &mut self.out);
                self.fetches.drained(&peer);
            }
            Input::Ephemeral(told) => self.sync.tell(told, &self.channels, &mut self.out),
            Input::Verified { batch, valid } => self.verified(batch, &valid, now),
            Input::Recalled { recall, found } => self.recalled(recall, found, now),
            Input::Wake => {}
        }
        self.note_foreign();
        let acks = self.acknowledge(now);
        let sync = self.sync.tick(&self.channels, now.instant, &mut self.out);
        let keys = self.ask_for_keys(now.instant);
        let files = self.ask_for_pieces(now.instant);
        let wake = sync.into_iter().chain(keys).chain(files).chain(acks).min();
        if let Some(at) = wake.filter(|_| !sleeps) {
            self.out.push_back(Output::WakeAt(at));
        }
    }

    /// The next wish.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Puts on record that a peer came up against a limit.
    pub fn over_limit(&mut self, peer: PartnerId, limit: Limit, why: String) {
        *self.met.entry(limit).or_insert(0) += 1;
        self.notify(Notice::OverLimit { peer, limit, why });
    }

    fn notify(&mut self, notice: Notice) {
        self.out.push_back(Output::Notify(notice));
    }

    fn append(&mut self, rows: Vec<Row>) {
        if !rows.is_empty() {
            self.out.push_back(Output::Append { rows });
        }
    }
}
