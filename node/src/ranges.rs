//! Serves ranges of stored events to peers, one after the other for each, no faster than each
//! takes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_protocol::id::PartnerId;
use comity_protocol::limits;
use comity_protocol::replica::SendRange;
use comity_protocol::rows::{self, Table};
use comity_protocol::wire::{Events, Frame, PackedEvent, Packer, RangeEnd};
use tokio::sync::mpsc;

use crate::store::{Store, StoreError};
use crate::transport::{Class, SendOutcome, Transport};

/// Ranges that one peer may have waiting; it asked for no more than it has wants.
const QUEUE: usize = 4 * limits::WANTS_PER_PEER;
/// How long to leave a peer's full queue alone before trying again.
const CONGESTED_PAUSE: Duration = Duration::from_millis(5);

/// Hands ranges to the task of their peer.
#[derive(Clone)]
pub struct Ranges {
    store: Store,
    transport: Option<Arc<Transport>>,
    runtime: tokio::runtime::Handle,
    peers: Arc<Mutex<BTreeMap<PartnerId, Worker>>>,
}

struct Worker {
    link: u64,
    queue: mpsc::Sender<(SendRange, u32)>,
}

impl Ranges {
    pub fn new(
        store: Store,
        transport: Option<Arc<Transport>>,
        runtime: tokio::runtime::Handle,
    ) -> Ranges {
        Ranges {
            store,
            transport,
            runtime,
            peers: Arc::default(),
        }
    }

    /// Queues a range of the log with this `number` for a peer's link. A peer that asks for more than its share at a time is
    /// not served until it asks again.
    pub fn push(&self, range: SendRange, number: u32, link: u64) {
        let Some(transport) = &self.transport else {
            return;
        };
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let current = peers
            .get(&range.peer)
            .is_some_and(|worker| worker.link == link && !worker.queue.is_closed());
        if !current {
            let (queue, ranges) = mpsc::channel(QUEUE);
            let server = Server {
                store: self.store.clone(),
                transport: transport.clone(),
                peer: range.peer,
                link,
                packer: Packer::default(),
            };
            self.runtime.spawn(server.run(ranges));
            peers.insert(range.peer, Worker { link, queue });
        }
        if let Some(worker) = peers.get(&range.peer)
            && worker.queue.try_send((range, number)).is_err()
        {
            tracing::debug!(peer = %range.peer, "a peer asks for more ranges at a time than its share");
        }
    }
}

/// A frame's worth of a range, and the key and position of its last event.
#[derive(Default)]
struct Part {
    events: Vec<PackedEvent>,
    last: Option<(Vec<u8>, u64)>,
}

/// Sends one peer its ranges over one link.
struct Server {
    store: Store,
    transport: Arc<Transport>,
    peer: PartnerId,
    link: u64,
    packer: Packer,
}

impl Server {
    async fn run(mut self, mut ranges: mpsc::Receiver<(SendRange, u32)>) {
        while let Some((range, number)) = ranges.recv().await {
            match self.serve(range, number).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::error!(%error, "cannot read a range from the store");
                    return;
                }
            }
        }
    }

    /// False when the link is gone.
    async fn serve(&mut self, range: SendRange, number: u32) -> Result<bool, StoreError> {
        let (channel, lane, writer) = range.log;
        let mut start = rows::position_key(number, range.from);
        let mut reached = range.from.saturating_sub(1);
        loop {
            let part = self.read(number, start, range.to)?;
            let Some((last_key, seq)) = part.last else {
                break;
            };
            let events = Events {
                events: part.events,
            };
            if !self.send(Frame::Events(events).to_bytes()).await {
                return Ok(false);
            }
            reached = seq;
            // The next key after the last one.
            start = [last_key.as_slice(), &[0]].concat();
        }
        let end = RangeEnd {
            channel,
            lane,
            writer,
            to: reached,
        };
        Ok(self.send(Frame::RangeEnd(end).to_bytes()).await)
    }

    /// Packs about a frame's worth of events from the key `start` on.
    fn read(&mut self, number: u32, start: Vec<u8>, to: u64) -> Result<Part, StoreError> {
        let mut part = Part::default();
        let mut bytes = 0;
        let store = self.store.clone();
        let log = number.to_be_bytes();
        store.scan::<StoreError>(Table::Events, &log, &start, |key, value| {
            let Ok(stored) = rows::read_event(value) else {
                tracing::error!("a stored event does not read back; the store is damaged");
                return Ok(false);
            };
            let seq = stored.event.header.seq;
            let full = bytes >= limits::EVENTS_FRAME_BYTES
                || part.events.len() >= limits::EVENTS_PER_FRAME;
            if seq > to || full {
                return Ok(false);
            }
            bytes += value.len();
            part.last = Some((key.to_vec(), seq));
            part.events.push(self.packer.pack(&stored.event));
            Ok(true)
        })?;
        Ok(part)
    }

    async fn send(&self, bytes: Vec<u8>) -> bool {
        loop {
            match self
                .transport
                .send_on(&self.peer.0, self.link, Class::Backfill, bytes.clone())
            {
                SendOutcome::Queued => return true,
                SendOutcome::NotConnected | SendOutcome::TooLarge => return false,
                SendOutcome::Congested => tokio::time::sleep(CONGESTED_PAUSE).await,
            }
        }
    }
}
