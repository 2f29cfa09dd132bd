//! What is known of one listed peer, shared by its supervisor and everyone else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use quinn::Connection;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::close::{self, CloseCode};
use super::queue::SendQueue;
use super::stats::LinkStatus;
use super::tls::Handshaken;
use super::{PeerEntry, PeerId};

/// Why a supervisor must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retire {
    Unlisted,
    Shutdown,
}

pub(super) struct Peer {
    pub(super) id: PeerId,
    pub(super) queue: SendQueue,
    offers: mpsc::Sender<Connection>,
    retire: watch::Sender<Option<Retire>>,
    state: Mutex<State>,
}

struct State {
    entry: Arc<PeerEntry>,
    current: Option<Current>,
    suspect: bool,
    links: u64,
    last_error: Option<String>,
    penalty_until: Option<Instant>,
    /// Why we closed the present connection, if we did.
    verdict: Option<String>,
    closed_tx_bytes: u64,
    closed_rx_bytes: u64,
}

struct Current {
    link: u64,
    connection: Connection,
    remote: SocketAddr,
    group: String,
    since: SystemTime,
}

impl Peer {
    pub(super) fn new(
        entry: PeerEntry,
        queue_bytes: usize,
        offers: mpsc::Sender<Connection>,
        retire: watch::Sender<Option<Retire>>,
    ) -> Self {
        Self {
            id: entry.id,
            queue: SendQueue::new(queue_bytes),
            offers,
            retire,
            state: Mutex::new(State {
                entry: Arc::new(entry),
                current: None,
                suspect: false,
                links: 0,
                last_error: None,
                penalty_until: None,
                verdict: None,
                closed_tx_bytes: 0,
                closed_rx_bytes: 0,
            }),
        }
    }

    pub(super) fn entry(&self) -> Arc<PeerEntry> {
        self.state().entry.clone()
    }

    pub(super) fn name(&self) -> String {
        self.state().entry.name.clone()
    }

    /// Hands an accepted connection to the supervisor, or back if it has enough.
    pub(super) fn offer(&self, connection: Connection) -> Result<(), Connection> {
        let sent = self.offers.try_send(connection);
        sent.map_err(mpsc::error::TrySendError::into_inner)
    }

    /// Takes a new entry; the present connection must still fit it.
    pub(super) fn update(&self, entry: PeerEntry) {
        let mut state = self.state();
        state.entry = Arc::new(entry);
        let unpinned = |connection: &Connection| {
            Handshaken::of(connection).is_none_or(|of| !state.entry.pins.contains(&of.pin))
        };
        if state
            .current
            .as_ref()
            .is_some_and(|it| unpinned(&it.connection))
        {
            state.close(CloseCode::Unlisted, "key no longer pinned");
        }
    }

    /// Ends the supervisor; cuts an unlisted peer off at once, whatever its supervisor does.
    pub(super) fn retire(&self, why: Retire) {
        self.retire.send_replace(Some(why));
        if why == Retire::Unlisted {
            self.queue.close();
            self.state().close(CloseCode::Unlisted, "no longer listed");
        }
    }

    /// Closes the present connection and keeps the peer away until then.
    pub(super) fn punish(&self, reason: &str, until: Instant) {
        let mut state = self.state();
        state.penalty_until = Some(until);
        state.close(CloseCode::Disconnected, reason);
    }

    pub(super) fn in_penalty(&self, now: Instant) -> bool {
        self.state().penalty_until.is_some_and(|until| now < until)
    }

    pub(super) fn link_up(&self, link: u64, connection: &Connection, group: &str) {
        let mut state = self.state();
        state.links += 1;
        state.suspect = false;
        state.verdict = None;
        state.current = Some(Current {
            link,
            connection: connection.clone(),
            remote: connection.remote_address(),
            group: group.to_owned(),
            since: SystemTime::now(),
        });
        drop(state);
        self.queue.open(link);
    }

    pub(super) fn link_down(&self, connection: &Connection, reason: &str) {
        let stats = connection.stats();
        let mut state = self.state();
        state.closed_tx_bytes += stats.udp_tx.bytes;
        state.closed_rx_bytes += stats.udp_rx.bytes;
        state.last_error = Some(reason.to_owned());
        state.current = None;
        state.suspect = false;
    }

    /// Why this node closed the present connection, once.
    pub(super) fn take_verdict(&self) -> Option<String> {
        self.state().verdict.take()
    }

    pub(super) fn set_suspect(&self, suspect: bool) {
        self.state().suspect = suspect;
    }

    /// Notes why a dial failed; true if that is news.
    pub(super) fn dial_failed(&self, error: &str) -> bool {
        let mut state = self.state();
        let news = state.last_error.as_deref() != Some(error);
        state.last_error = Some(error.to_owned());
        news
    }

    pub(super) fn status(&self) -> LinkStatus {
        let queued_bytes = self.queue.bytes();
        let state = self.state();
        let current = state.current.as_ref();
        let stats = current.map(|it| it.connection.stats());
        let (tx, rx) = stats.map_or((0, 0), |it| (it.udp_tx.bytes, it.udp_rx.bytes));
        LinkStatus {
            peer: self.id,
            name: state.entry.name.clone(),
            link: current.map(|it| it.link),
            connected_since: current.map(|it| it.since),
            remote: current.map(|it| it.remote),
            group: current.map(|it| it.group.clone()),
            suspect: state.suspect,
            rtt_ms: stats.map(|it| it.path.rtt.as_secs_f64() * 1e3),
            udp_tx_bytes: state.closed_tx_bytes + tx,
            udp_rx_bytes: state.closed_rx_bytes + rx,
            queued_bytes,
            last_error: state.last_error.clone(),
            reconnections: state.links.saturating_sub(1),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn close(&mut self, code: CloseCode, reason: &str) {
        let Some(current) = &self.current else {
            return;
        };
        close::connection(&current.connection, code, reason);
        self.verdict.get_or_insert_with(|| reason.to_owned());
    }
}
