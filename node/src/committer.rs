//! Makes the machine's wishes durable and then acts on them, in their order.
//!
//! The driver hands over groups of effects. A thread of its own writes the rows of all groups
//! that have gathered in one synced batch, and only then lets the sends, answers and notices
//! that followed them out. So nothing leaves the node that a crash could take back, and one sync
//! serves as many writers as were waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_protocol::event::Event;
use comity_protocol::evidence::SignedHeader;
use comity_protocol::id::{EventId, PartnerId};
use comity_protocol::replica::{CommandError, Recall, SendPiece, SendRange, StreamClass, Written};
use comity_protocol::rows::{self, Row, Table};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroize as _;

use crate::environment::Work;
use crate::pieces::Pieces;
use crate::ranges::Ranges;
use crate::store::{Store, StoreError};
use crate::transport::{Class, SendOutcome, Transport};

/// Groups that may wait for the disk before the driver waits too.
const QUEUE: usize = 64;
/// Rows in one synced write: bounds the memory of a batch.
const ROWS_PER_WRITE: usize = 8192;

/// Something that the machine wished for.
pub enum Effect {
    Append(Vec<Row>),
    Send {
        peer: PartnerId,
        link: u64,
        class: StreamClass,
        bytes: Vec<u8>,
    },
    SendRange {
        range: SendRange,
        number: u32,
        link: u64,
    },
    SendPiece {
        piece: SendPiece,
        link: u64,
    },
    /// An event of the log with this number is to be read back.
    Recall {
        recall: Recall,
        number: u32,
    },
    Done {
        reply: oneshot::Sender<Result<Written, CommandError>>,
        result: Result<Written, CommandError>,
    },
    /// The machine knows that frames to the peer are dropped: it packs no events for it any more.
    Quiet {
        peer: PartnerId,
        link: u64,
    },
    /// The transport has room for the peer again.
    Drained {
        peer: PartnerId,
        link: u64,
    },
    /// Everything before this is on disk.
    Barrier(oneshot::Sender<()>),
}

/// What the committer tells the driver.
#[derive(Debug)]
pub enum Feedback {
    /// A frame for the peer was dropped, and so is every further one until [`Feedback::Resumed`].
    Congested { peer: PartnerId, link: u64 },
    /// Frames for the peer are sent again.
    Resumed { peer: PartnerId, link: u64 },
    /// What the machine asked for again, if it is stored.
    Recalled {
        recall: Recall,
        found: Option<SignedHeader>,
    },
    /// The store failed: the node must stop.
    Failed(String),
}

/// The sending end of the committer's queue.
pub type Effects = mpsc::Sender<Vec<Effect>>;

/// What ends with the committer.
pub enum Committing {
    Thread(std::thread::JoinHandle<()>),
    Task(tokio::task::JoinHandle<()>),
}

impl Committing {
    /// Waits for the end; false if it was a bad one.
    pub async fn ended(self) -> bool {
        match self {
            Committing::Thread(thread) => {
                let joined = tokio::task::spawn_blocking(move || thread.join()).await;
                matches!(joined, Ok(Ok(())))
            }
            Committing::Task(task) => task.await.is_ok(),
        }
    }
}

/// Whoever wants to hear of what was written, once it is on disk; at most one.
pub type Listener = Arc<std::sync::OnceLock<mpsc::UnboundedSender<Committed>>>;

/// Something that was written and that people may want to hear of.
#[derive(Debug)]
pub enum Committed {
    Event(Box<Event>),
    /// What is sealed under the secret of this key event can be read from now on.
    Secret(EventId),
}

/// Starts the committer, on a thread of its own where work is done on threads.
pub fn start(
    store: Store,
    transport: Option<Arc<Transport>>,
    ranges: Ranges,
    pieces: Pieces,
    feedback: mpsc::UnboundedSender<Feedback>,
    listener: Listener,
    work: Work,
) -> (Effects, Committing) {
    let (effects, queue) = mpsc::channel(QUEUE);
    let committer = Committer {
        store,
        transport,
        ranges,
        pieces,
        feedback,
        listener,
        holds: BTreeMap::new(),
    };
    let committing = match work {
        Work::Threads => {
            let runtime = tokio::runtime::Handle::current();
            let run = move || runtime.block_on(committer.run(queue));
            Committing::Thread(std::thread::spawn(run))
        }
        Work::Tasks => Committing::Task(tokio::spawn(committer.run(queue))),
    };
    (effects, committing)
}

struct Committer {
    store: Store,
    transport: Option<Arc<Transport>>,
    ranges: Ranges,
    pieces: Pieces,
    feedback: mpsc::UnboundedSender<Feedback>,
    listener: Listener,
    /// Peers to whom nothing is sent: packed events rely on those before them, so once one frame
    /// was dropped, all are, until the machine knows and begins anew.
    holds: BTreeMap<PartnerId, Hold>,
}

struct Hold {
    link: u64,
    /// The machine knows.
    quiet: bool,
    /// The transport has room.
    drained: bool,
}

impl Committer {
    async fn run(mut self, mut queue: mpsc::Receiver<Vec<Effect>>) {
        while let Some(group) = queue.recv().await {
            let mut rows = Vec::new();
            let mut actions = Vec::new();
            sort(group, &mut rows, &mut actions);
            while rows.len() < ROWS_PER_WRITE {
                let Ok(group) = queue.try_recv() else {
                    break;
                };
                sort(group, &mut rows, &mut actions);
            }
            if let Err(error) = self.write(rows) {
                // Nothing of this batch is acknowledged or sent; the driver stops the node.
                let _ = self.feedback.send(Feedback::Failed(error.to_string()));
                return;
            }
            for action in actions {
                self.act(action);
            }
        }
    }

    fn write(&self, mut rows: Vec<Row>) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let written = self.store.write(&rows);
        // Epoch secrets are in the store and in the machine; no third copy stays in memory.
        let secrets = rows.iter_mut().filter(|row| row.table == Table::Secrets);
        secrets.for_each(|row| row.value.zeroize());
        if let (Ok(()), Some(listener)) = (&written, self.listener.get()) {
            for committed in rows.iter().filter_map(committed) {
                // It listens as long as the node serves. It is served between the machine's inputs,
                // so what waits for it is bounded by what the machine takes meanwhile.
                let _ = listener.send(committed);
            }
        }
        written
    }

    fn act(&mut self, action: Effect) {
        match action {
            Effect::Append(_) => {}
            Effect::Send {
                peer,
                link,
                class,
                bytes,
            } => self.send(peer, link, class, bytes),
            Effect::SendRange {
                range,
                number,
                link,
            } => self.ranges.push(range, number, link),
            Effect::SendPiece { piece, link } => self.pieces.push(piece, link),
            Effect::Recall { recall, number } => self.recall(recall, number),
            Effect::Quiet { peer, link } => self.release(peer, link, |hold| hold.quiet = true),
            Effect::Drained { peer, link } => self.release(peer, link, |hold| hold.drained = true),
            // Whoever asked may have gone; the write stands.
            Effect::Done { reply, result } => drop(reply.send(result)),
            Effect::Barrier(reached) => drop(reached.send(())),
        }
    }

    fn recall(&self, recall: Recall, number: u32) {
        let key = rows::event_key(number, recall.seq, &recall.id);
        let stored = match self.store.get(Table::Events, &key) {
            Ok(value) => value.and_then(|value| rows::read_event(&value).ok()),
            Err(error) => {
                tracing::error!(%error, "cannot read an event from the store");
                None
            }
        };
        let found = stored.map(|stored| SignedHeader::of(&stored.event));
        // The driver is gone only when the node stops.
        let _ = self.feedback.send(Feedback::Recalled { recall, found });
    }

    fn send(&mut self, peer: PartnerId, link: u64, class: StreamClass, bytes: Vec<u8>) {
        let Some(transport) = &self.transport else {
            return;
        };
        match self.holds.get(&peer) {
            Some(hold) if hold.link == link => return,
            Some(_) => drop(self.holds.remove(&peer)),
            None => {}
        }
        if transport.send_on(&peer.0, link, class_of(class), bytes) == SendOutcome::Congested {
            let hold = Hold {
                link,
                quiet: false,
                drained: false,
            };
            self.holds.insert(peer, hold);
            // The driver is gone only when the node stops.
            let _ = self.feedback.send(Feedback::Congested { peer, link });
        }
    }

    /// Ends a hold once the machine knows of it and the transport has room.
    fn release(&mut self, peer: PartnerId, link: u64, note: impl FnOnce(&mut Hold)) {
        let Some(hold) = self.holds.get_mut(&peer).filter(|hold| hold.link == link) else {
            return;
        };
        note(hold);
        if hold.quiet && hold.drained {
            self.holds.remove(&peer);
            let _ = self.feedback.send(Feedback::Resumed { peer, link });
        }
    }
}

fn committed(row: &Row) -> Option<Committed> {
    let value = row.value.as_ref()?;
    match row.table {
        Table::Events => {
            let stored = rows::read_event(value).ok()?;
            Some(Committed::Event(Box::new(stored.event)))
        }
        Table::Secrets => Some(Committed::Secret(EventId(
            row.key.as_slice().try_into().ok()?,
        ))),
        _ => None,
    }
}

/// Rows to write, the rest to act on once they are written.
fn sort(group: Vec<Effect>, rows: &mut Vec<Row>, actions: &mut Vec<Effect>) {
    for effect in group {
        match effect {
            Effect::Append(appended) => rows.extend(appended),
            action => actions.push(action),
        }
    }
}

/// The transport's stream for the machine's class.
pub fn class_of(class: StreamClass) -> Class {
    match class {
        StreamClass::Control => Class::Control,
        StreamClass::Flash => Class::Flash,
        StreamClass::Immediate => Class::Immediate,
        StreamClass::Priority => Class::Priority,
        StreamClass::Routine => Class::Routine,
        StreamClass::Backfill => Class::Backfill,
        StreamClass::Files => Class::Files,
    }
}
