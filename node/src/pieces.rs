//! Serves pieces of files to peers, one after the other for each, no faster than each takes them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_protocol::files::{Place, chunk_key};
use comity_protocol::id::PartnerId;
use comity_protocol::limits;
use comity_protocol::replica::SendPiece;
use comity_protocol::rows::Table;
use comity_protocol::wire::{Frame, Piece};
use tokio::sync::mpsc;

use crate::environment::Work;
use crate::store::{Store, StoreError};
use crate::transport::{Class, SendOutcome, Transport};

/// Questions that one peer may have waiting; twice what it may have open, since those it has given
/// up on may still be here.
const QUEUE: usize = 2 * limits::PIECES_PER_PEER;
/// How long to leave a peer's full queue alone before trying again.
const CONGESTED_PAUSE: Duration = Duration::from_millis(5);

/// Hands questions to the task of their peer.
#[derive(Clone)]
pub struct Pieces {
    store: Store,
    transport: Option<Arc<Transport>>,
    runtime: tokio::runtime::Handle,
    work: Work,
    peers: Arc<Mutex<BTreeMap<PartnerId, Worker>>>,
}

struct Worker {
    link: u64,
    queue: mpsc::Sender<SendPiece>,
}

impl Pieces {
    pub fn new(
        store: Store,
        transport: Option<Arc<Transport>>,
        runtime: tokio::runtime::Handle,
        work: Work,
    ) -> Pieces {
        Pieces {
            store,
            transport,
            runtime,
            work,
            peers: Arc::default(),
        }
    }

    /// Queues an answer for a peer's link. A peer that asks for more than its share at a time gets
    /// no answer to what is over.
    pub fn push(&self, piece: SendPiece, link: u64) {
        let Some(transport) = &self.transport else {
            return;
        };
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let current = peers
            .get(&piece.peer)
            .is_some_and(|worker| worker.link == link && !worker.queue.is_closed());
        if !current {
            let (queue, asked) = mpsc::channel(QUEUE);
            let server = Server {
                store: self.store.clone(),
                transport: transport.clone(),
                peer: piece.peer,
                link,
                work: self.work,
                last: None,
            };
            self.runtime.spawn(server.run(asked));
            peers.insert(piece.peer, Worker { link, queue });
        }
        if let Some(worker) = peers.get(&piece.peer)
            && worker.queue.try_send(piece).is_err()
        {
            tracing::debug!(peer = %piece.peer, "a peer asks for more pieces at a time than its share");
        }
    }
}

/// Sends one peer its pieces over one link.
struct Server {
    store: Store,
    transport: Arc<Transport>,
    peer: PartnerId,
    link: u64,
    work: Work,
    /// The chunk that was read last: its next piece is asked for next.
    last: Option<(Place, u32, Arc<Vec<u8>>)>,
}

impl Server {
    async fn run(mut self, mut asked: mpsc::Receiver<SendPiece>) {
        while let Some(piece) = asked.recv().await {
            match self.read(&piece).await {
                Ok(bytes) => {
                    let answer = Frame::Piece(Piece::answer(&piece.ask, bytes));
                    if !self.send(answer.to_bytes()).await {
                        return;
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "cannot read a chunk from the store");
                    return;
                }
            }
        }
    }

    /// The piece's bytes; none where there is nothing for the peer.
    async fn read(&mut self, piece: &SendPiece) -> Result<Vec<u8>, StoreError> {
        let Some(place) = piece.place else {
            return Ok(Vec::new());
        };
        let chunk = self.chunk(place, piece.ask.chunk).await?;
        let from = (piece.ask.offset as usize).min(chunk.len());
        let to = (from + limits::PIECE_BYTES).min(chunk.len());
        Ok(chunk[from..to].to_vec())
    }

    async fn chunk(&mut self, place: Place, number: u32) -> Result<Arc<Vec<u8>>, StoreError> {
        if let Some((last, chunk, bytes)) = &self.last
            && (*last, *chunk) == (place, number)
        {
            return Ok(bytes.clone());
        }
        let store = self.store.clone();
        let read = move || store.get(Table::Chunks, &chunk_key(&place, number));
        // It fails only where the node is being torn down.
        let read = self.work.run(read).await.unwrap_or(Ok(None));
        let bytes = Arc::new(read?.map_or_else(Vec::new, |bytes| bytes.to_vec()));
        self.last = Some((place, number, bytes.clone()));
        Ok(bytes)
    }

    async fn send(&self, bytes: Vec<u8>) -> bool {
        loop {
            match self
                .transport
                .send_on(&self.peer.0, self.link, Class::Files, bytes.clone())
            {
                SendOutcome::Queued => return true,
                SendOutcome::NotConnected | SendOutcome::TooLarge => return false,
                SendOutcome::Congested => tokio::time::sleep(CONGESTED_PAUSE).await,
            }
        }
    }
}
