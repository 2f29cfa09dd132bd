//! Keeps one link with one peer: dials, chooses, replaces, announces.

use std::sync::Arc;

use quinn::{Connection, ConnectionError};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::PeerEntry;
use super::close::{self, CloseCode};
use super::config::{
    CANDIDATES_MAX, CHOICE_GRACE, DIAL_COURTESY, HANDSHAKE_TIMEOUT, REDIAL_INTERVAL, TICK,
};
use super::context::Context;
use super::dialer::{self, Candidate};
use super::link::Link;
use super::peer::{Peer, Retire};
use super::silence::{Silence, frames_heard};

/// The task of one peer, and the only one that begins and ends its links.
///
/// Both nodes dial and either may complete several connections, so one of them must decide:
/// the node with the lower id chooses, and the other takes what was chosen. The chooser takes a
/// connection when it has no link or its link is suspect, and one dialled by the other side
/// also when its own link is no longer young: the other side does not dial while it has a link
/// that works, so it has lost it.
pub(super) struct Supervisor {
    context: Arc<Context>,
    peer: Arc<Peer>,
    chooses: bool,
    offers: mpsc::Receiver<Connection>,
    retire: watch::Receiver<Option<Retire>>,
    link: Option<Link>,
    silence: Silence,
    suspect: bool,
    /// At most one dial.
    dial: JoinSet<Result<Candidate, String>>,
    next_dial: Instant,
    /// Accepted connections that wait for the greeting or for the choice.
    candidates: JoinSet<Result<Candidate, String>>,
}

impl Supervisor {
    pub(super) fn new(context: Arc<Context>, entry: PeerEntry) -> (Arc<Peer>, Self) {
        let (offer, offers) = mpsc::channel(CANDIDATES_MAX);
        let (retire_sender, retire) = watch::channel(None);
        let queue_bytes = context.config.queue_bytes;
        let peer = Arc::new(Peer::new(entry, queue_bytes, offer, retire_sender));
        let chooses = context.own < peer.id;
        let now = Instant::now();
        let supervisor = Self {
            context,
            peer: peer.clone(),
            chooses,
            offers,
            retire,
            link: None,
            silence: Silence::new(now),
            suspect: false,
            dial: JoinSet::new(),
            next_dial: now,
            candidates: JoinSet::new(),
        };
        (peer, supervisor)
    }

    /// Runs until the peer is retired, after an earlier supervisor of the same peer has ended.
    pub(super) async fn run(mut self, predecessor: Option<JoinHandle<()>>) {
        if let Some(predecessor) = predecessor {
            // It fails only if it was aborted, and then it has ended too.
            let _ = predecessor.await;
        }
        self.delay_dial();
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let why = loop {
            tokio::select! {
                biased;
                why = retired(&mut self.retire) => break why,
                error = closed(self.link.as_ref()) => self.lost(&error).await,
                Some(dialled) = self.dial.join_next() => self.dialled(dialled).await,
                Some(Ok(found)) = self.candidates.join_next() => self.found(found).await,
                Some(connection) = self.offers.recv() => self.offered(connection),
                _ = ticks.tick() => self.tick(),
            }
        };
        self.end(why).await;
    }

    /// The link's connection has ended.
    async fn lost(&mut self, error: &ConnectionError) {
        let reason = self.peer.take_verdict();
        let reason = reason.unwrap_or_else(|| close::describe(error));
        self.drop_link(CloseCode::Replaced, reason).await;
        self.delay_dial();
    }

    async fn dialled(&mut self, dialled: Result<Result<Candidate, String>, JoinError>) {
        match dialled {
            Ok(Ok(candidate)) => self.consider(candidate).await,
            Ok(Err(error)) => {
                if self.peer.dial_failed(&error) {
                    tracing::info!(peer = self.peer.name(), error, "dial failed");
                }
            }
            Err(error) => tracing::error!(peer = self.peer.name(), %error, "dial task ended"),
        }
    }

    async fn found(&mut self, found: Result<Candidate, String>) {
        match found {
            Ok(candidate) => self.consider(candidate).await,
            Err(error) => {
                tracing::debug!(peer = self.peer.name(), error, "connection came to nothing");
            }
        }
    }

    /// The peer has dialled us.
    fn offered(&mut self, connection: Connection) {
        if self.candidates.len() >= CANDIDATES_MAX {
            return close::connection(&connection, CloseCode::Busy, "too many connections");
        }
        let chooses = self.chooses;
        self.candidates.spawn(async move {
            let ready = dialer::become_candidate(connection.clone(), chooses, false);
            let ready = timeout(HANDSHAKE_TIMEOUT, ready).await;
            ready.unwrap_or_else(|_| {
                close::connection(&connection, CloseCode::NotChosen, "no choice in time");
                Err("no choice in time".into())
            })
        });
    }

    /// Makes a connection the link, or closes it.
    async fn consider(&mut self, candidate: Candidate) {
        if candidate.connection.close_reason().is_some() {
            return;
        }
        if let Err((code, reason)) = self.judge(&candidate) {
            return close::connection(&candidate.connection, code, reason);
        }
        let reason = "replaced by a fresh connection".into();
        self.drop_link(CloseCode::Replaced, reason).await;
        self.dial = JoinSet::new();
        let (context, peer) = (self.context.clone(), self.peer.clone());
        self.link = Some(Link::start(context, peer, candidate).await);
        self.silence = Silence::new(Instant::now());
        self.suspect = false;
    }

    fn judge(&self, candidate: &Candidate) -> Result<(), (CloseCode, &'static str)> {
        if !self.peer.entry().pins.contains(&candidate.handshaken.pin) {
            return Err((CloseCode::Unlisted, "key no longer pinned"));
        }
        if self.peer.in_penalty(Instant::now()) {
            return Err((CloseCode::Disconnected, "kept away for a while"));
        }
        let Some(link) = &self.link else {
            return Ok(());
        };
        let other_lost_it = !candidate.dialled && link.begun().elapsed() >= CHOICE_GRACE;
        if !self.chooses || self.suspect || other_lost_it {
            return Ok(());
        }
        Err((CloseCode::NotChosen, "another connection was chosen"))
    }

    /// Looks whether the link is silent, and dials if a link is wanted.
    fn tick(&mut self) {
        let now = Instant::now();
        self.listen(now);
        if self.link.is_some() && !self.suspect {
            self.dial = JoinSet::new();
            return;
        }
        let entry = self.peer.entry();
        let waits = entry.addresses.is_empty() || now < self.next_dial || !self.dial.is_empty();
        if waits || self.peer.in_penalty(now) {
            return;
        }
        self.next_dial = now + REDIAL_INTERVAL;
        self.dial.spawn(dialer::dial(self.context.clone(), entry));
    }

    fn listen(&mut self, now: Instant) {
        let Some(link) = &self.link else {
            return;
        };
        let heard = frames_heard(&link.connection().stats().frame_rx);
        self.silence.look(heard, now);
        let suspect = self.silence.is_suspect();
        if suspect != self.suspect {
            self.suspect = suspect;
            self.peer.set_suspect(suspect);
            let peer = self.peer.name();
            if suspect {
                tracing::info!(peer, "link silent: dialling a fresh connection beside it");
            } else {
                tracing::info!(peer, "link heard again");
            }
        }
    }

    /// Lets the chooser dial first, so that most pairs handshake once.
    fn delay_dial(&mut self) {
        let now = Instant::now();
        let earliest = if self.chooses {
            now
        } else {
            now + DIAL_COURTESY
        };
        self.next_dial = self.next_dial.max(earliest);
    }

    async fn drop_link(&mut self, code: CloseCode, reason: String) {
        if let Some(link) = self.link.take() {
            link.stop(code, reason).await;
        }
        self.suspect = false;
    }

    async fn end(mut self, why: Retire) {
        self.dial = JoinSet::new();
        self.candidates = JoinSet::new();
        let (code, reason) = match why {
            Retire::Unlisted => (CloseCode::Unlisted, "no longer listed"),
            Retire::Shutdown => (CloseCode::Shutdown, "shutdown"),
        };
        if let Some(link) = &mut self.link
            && why == Retire::Shutdown
        {
            // What a slow peer has not taken by then it will ask for again.
            let _ = timeout(self.context.config.flush_deadline, link.flush()).await;
        }
        self.drop_link(code, reason.into()).await;
    }
}

/// Resolves when the peer is retired; also if nobody is left to retire it.
async fn retired(retire: &mut watch::Receiver<Option<Retire>>) -> Retire {
    match retire.wait_for(Option::is_some).await {
        Ok(why) => why.unwrap_or(Retire::Shutdown),
        Err(_) => Retire::Shutdown,
    }
}

/// Resolves when the link's connection has ended; never without a link.
async fn closed(link: Option<&Link>) -> ConnectionError {
    match link {
        Some(link) => link.closed().await,
        None => std::future::pending().await,
    }
}
