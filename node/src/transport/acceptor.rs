//! Takes incoming connections and hands each to its peer's supervisor.

use std::sync::Arc;

use quinn::{Connection, Incoming};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::close::{self, CloseCode};
use super::config::HANDSHAKE_TIMEOUT;
use super::context::Context;
use super::tls::Handshaken;

/// Accepts until the endpoint is closed, with a bounded number of handshakes at once.
pub(super) async fn run(context: Arc<Context>) {
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            // Those that have ended make room before another is looked at.
            biased;
            Some(_) = handshakes.join_next() => {}
            incoming = context.endpoint.accept() => match incoming {
                Some(incoming) => admit(&context, &mut handshakes, incoming),
                None => return,
            },
        }
    }
}

/// Begins a handshake, or puts it off: under load an address must first be shown to be real.
fn admit(context: &Arc<Context>, handshakes: &mut JoinSet<()>, incoming: Incoming) {
    let remote = incoming.remote_address();
    if handshakes.len() >= context.config.handshakes_max {
        incoming.refuse();
        context.refusals.note(remote, "too many handshakes");
    } else if handshakes.len() >= context.config.handshakes_before_retry && incoming.may_retry() {
        // Cannot fail after `may_retry`, and would only drop the packet.
        let _ = incoming.retry();
    } else {
        handshakes.spawn(handshake(context.clone(), incoming));
    }
}

async fn handshake(context: Arc<Context>, incoming: Incoming) {
    let remote = incoming.remote_address();
    match timeout(HANDSHAKE_TIMEOUT, incoming).await {
        Ok(Ok(connection)) => introduce(&context, connection),
        Ok(Err(error)) if close::is_given_up(&error) => {
            tracing::debug!(%remote, "the client gave up its dial");
        }
        Ok(Err(error)) => context.refusals.note(remote, &close::describe(&error)),
        Err(_) => context.refusals.note(remote, "timed out"),
    }
}

/// Finds the peer that a connection's key belongs to. The list may have changed meanwhile.
fn introduce(context: &Context, connection: Connection) {
    let remote = connection.remote_address();
    let peer = Handshaken::of(&connection)
        .and_then(|handshaken| context.pins.peer(&handshaken.pin))
        .and_then(|id| context.peer(&id));
    let Some(peer) = peer else {
        context.refusals.note(remote, "not listed");
        return close::connection(&connection, CloseCode::Unlisted, "not listed");
    };
    if peer.in_penalty(Instant::now()) {
        context.refusals.note(remote, "kept away");
        return close::connection(
            &connection,
            CloseCode::Disconnected,
            "kept away for a while",
        );
    }
    if let Err(connection) = peer.offer(connection) {
        close::connection(&connection, CloseCode::Busy, "too many connections");
    }
}
