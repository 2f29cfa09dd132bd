//! Brings a connection to where it can be chosen: dialled, authenticated, greeted.
//!
//! On each connection the node that does not choose opens a stream with one byte, the greeting.
//! So the chooser knows that the other end has accepted its key, which TLS 1.3 alone does not
//! tell a client. The chooser answers on the connection that it chose by opening its streams,
//! and closes the others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, ConnectionError, RecvStream};
use tokio::net::lookup_host;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::PeerEntry;
use super::close;
use super::config::ADDRESSES_MAX;
use super::context::Context;
use super::tls::{Handshaken, SERVER_NAME};

/// A connection that may become the link.
pub(super) struct Candidate {
    pub(super) connection: Connection,
    pub(super) handshaken: Handshaken,
    /// For the node that does not choose: the stream by which the other has chosen.
    pub(super) first_stream: Option<RecvStream>,
    pub(super) dialled: bool,
}

/// Dials all addresses of a peer at once; the first to become a candidate wins.
pub(super) async fn dial(
    context: Arc<Context>,
    entry: Arc<PeerEntry>,
) -> Result<Candidate, String> {
    let mut attempts = JoinSet::new();
    for index in 0..entry.addresses.len().min(ADDRESSES_MAX) {
        attempts.spawn(dial_name(context.clone(), entry.clone(), index));
    }
    first_success(attempts).await
}

/// Waits until an established connection can be chosen (by the chooser), or is chosen (by the
/// other side).
pub(super) async fn become_candidate(
    connection: Connection,
    chooses: bool,
    dialled: bool,
) -> Result<Candidate, String> {
    let handshaken = Handshaken::of(&connection).ok_or("no facts of the handshake")?;
    let first_stream = if chooses {
        hear_greeting(&connection).await?;
        None
    } else {
        greet(&connection).await?;
        Some(connection.accept_uni().await.map_err(words)?)
    };
    Ok(Candidate {
        connection,
        handshaken,
        first_stream,
        dialled,
    })
}

/// The first byte of the greeting's stream; no class has it.
const GREETING: u8 = 0x40;

async fn greet(connection: &Connection) -> Result<(), String> {
    let mut stream = connection.open_uni().await.map_err(words)?;
    let written = stream.write_all(&[GREETING]).await;
    written.map_err(|error| error.to_string())?;
    stream.finish().map_err(|error| error.to_string())
}

async fn hear_greeting(connection: &Connection) -> Result<(), String> {
    let mut stream = connection.accept_uni().await.map_err(words)?;
    let mut byte = [0];
    let read = stream.read_exact(&mut byte).await;
    read.map_err(|error| error.to_string())?;
    match byte {
        [GREETING] => Ok(()),
        [other] => Err(format!("stream {other:#04x} instead of a greeting")),
    }
}

async fn dial_name(
    context: Arc<Context>,
    entry: Arc<PeerEntry>,
    index: usize,
) -> Result<Candidate, String> {
    let name = &entry.addresses[index];
    let found = step(context.config.dial_step, lookup_host(name)).await?;
    let found = found.map_err(|error| format!("{name}: {error}"))?;
    let mut attempts = JoinSet::new();
    for remote in found
        .filter(|remote| reachable(&context, remote))
        .take(ADDRESSES_MAX)
    {
        attempts.spawn(dial_address(context.clone(), entry.clone(), remote));
    }
    first_success(attempts).await
}

/// An IPv4 socket cannot reach IPv6 addresses; the reverse works through mapped addresses.
fn reachable(context: &Context, remote: &SocketAddr) -> bool {
    context.local_addr.is_ipv6() || remote.is_ipv4()
}

async fn dial_address(
    context: Arc<Context>,
    entry: Arc<PeerEntry>,
    remote: SocketAddr,
) -> Result<Candidate, String> {
    let patience = context.config.dial_step;
    let crypto = context.tls.client(entry.pins.clone());
    let crypto = crypto.map_err(|error| error.to_string())?;
    let mut config = context.underlay.client(crypto);
    config.transport_config(context.quic.clone());
    let connecting = context.endpoint.connect_with(config, remote, SERVER_NAME);
    let mut connecting = connecting.map_err(|error| error.to_string())?;

    // The peer's first answer, its whole handshake, and its choice: each within one step, so
    // that a dead address is given up early and a slow one is not.
    let failed = |error: ConnectionError| format!("{remote}: {}", close::describe(&error));
    step(patience, connecting.handshake_data())
        .await?
        .map_err(failed)?;
    let connection = step(patience, connecting).await?.map_err(failed)?;
    let chooses = context.own < entry.id;
    step(patience, become_candidate(connection, chooses, true)).await?
}

async fn step<T>(patience: Duration, work: impl Future<Output = T>) -> Result<T, String> {
    let done = timeout(patience, work).await;
    done.map_err(|_| format!("no answer within {} ms", patience.as_millis()))
}

/// The first success, or the last failure. The other attempts are dropped, which closes them.
async fn first_success(
    mut attempts: JoinSet<Result<Candidate, String>>,
) -> Result<Candidate, String> {
    let mut failure = String::from("no address to dial");
    while let Some(attempt) = attempts.join_next().await {
        match attempt {
            Ok(Ok(candidate)) => return Ok(candidate),
            Ok(Err(error)) => failure = error,
            Err(error) => failure = error.to_string(),
        }
    }
    Err(failure)
}

fn words(error: ConnectionError) -> String {
    close::describe(&error)
}
