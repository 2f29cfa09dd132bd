//! One chosen connection at work: a writer and a reader per class.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use quinn::{Connection, ConnectionError, ReadError, ReadExactError, RecvStream, VarInt};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::LinkEvent;
use super::close::{self, CloseCode};
use super::config::{READER_DRAIN, RECEIVE_WINDOW};
use super::context::Context;
use super::dialer::Candidate;
use super::framing::{Class, Decoder, FrameTooLarge, MAX_FRAME};
use super::peer::Peer;

/// The link with one peer, as its supervisor holds it.
pub(super) struct Link {
    id: u64,
    context: Arc<Context>,
    peer: Arc<Peer>,
    connection: Connection,
    begun: Instant,
    writers: JoinSet<()>,
    /// One task, which owns the readers.
    receiver: JoinSet<()>,
    stop_receiver: oneshot::Sender<()>,
}

impl Link {
    /// Announces a link on the chosen connection, and sets it to work.
    pub(super) async fn start(
        context: Arc<Context>,
        peer: Arc<Peer>,
        candidate: Candidate,
    ) -> Self {
        let connection = candidate.connection;
        let id = context.next_link();
        connection.set_receive_window(VarInt::from_u32(RECEIVE_WINDOW));
        let group = candidate.handshaken.group;
        peer.link_up(id, &connection, &group);
        let remote = connection.remote_address();
        tracing::info!(peer = peer.name(), link = id, %remote, group, dialled = candidate.dialled, "link up");

        let side = Side {
            context: context.clone(),
            peer: peer.clone(),
            connection: connection.clone(),
            link: id,
        };
        // Before the event: whoever hears it may send at once. The other side has chosen or
        // waits for our choice, which is the opening of these streams.
        let mut writers = JoinSet::new();
        for class in Class::ALL {
            writers.spawn(write_class(side.clone(), class));
        }
        let peer_id = peer.id;
        context
            .tell(LinkEvent::Up {
                peer: peer_id,
                link: id,
                remote,
                group,
            })
            .await;
        let (stop_receiver, stopped) = oneshot::channel();
        let mut receiver = JoinSet::new();
        receiver.spawn(receive(side, candidate.first_stream, stopped));
        Self {
            id,
            context,
            peer,
            connection,
            begun: Instant::now(),
            writers,
            receiver,
            stop_receiver,
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Resolves when the connection has ended, by whomever.
    pub(super) async fn closed(&self) -> ConnectionError {
        self.connection.closed().await
    }

    /// Waits until all that was queued has been acknowledged. The queue takes no more.
    pub(super) async fn flush(&mut self) {
        self.peer.queue.drain();
        while self.writers.join_next().await.is_some() {}
    }

    /// Closes the connection, hands over what had arrived, and announces the end.
    pub(super) async fn stop(mut self, code: CloseCode, reason: String) {
        close::connection(&self.connection, code, &reason);
        self.peer.queue.close();
        self.writers.shutdown().await;
        if timeout(READER_DRAIN, self.receiver.join_next())
            .await
            .is_err()
        {
            // The receiver then ends its readers and waits for them: none may still deliver
            // once the end is announced, as might happen after merely aborting them.
            let _ = self.stop_receiver.send(());
            self.receiver.join_next().await;
        }
        self.peer.link_down(&self.connection, &reason);
        tracing::info!(peer = self.peer.name(), link = self.id, reason, "link down");
        let down = LinkEvent::Down {
            peer: self.peer.id,
            link: self.id,
            reason,
        };
        self.context.tell(down).await;
    }
}

/// What each task of a link needs.
#[derive(Clone)]
struct Side {
    context: Arc<Context>,
    peer: Arc<Peer>,
    connection: Connection,
    link: u64,
}

impl Side {
    /// Closes the connection because the peer broke the rules, and keeps the peer away.
    fn blame(&self, fault: Fault) {
        let reason = fault.to_string();
        tracing::warn!(
            peer = self.peer.name(),
            link = self.link,
            reason,
            "the peer misbehaved: closing its link"
        );
        close::connection(&self.connection, fault.code(), &reason);
        let until = Instant::now() + self.context.config.penalty;
        self.peer.punish(&reason, until);
    }
}

/// How a peer can break the transport's rules.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("sent a frame of {0} bytes, above the limit of {MAX_FRAME}")]
    FrameTooLarge(usize),
    #[error("opened a stream of unknown kind {0:#04x}")]
    UnknownStream(u8),
    #[error("opened a second stream of class {0:?}")]
    SecondStream(Class),
    #[error("reset a stream")]
    Reset,
}

impl Fault {
    fn code(&self) -> CloseCode {
        match self {
            Self::FrameTooLarge(_) => CloseCode::FrameTooLarge,
            Self::UnknownStream(_) | Self::SecondStream(_) | Self::Reset => CloseCode::Misbehaved,
        }
    }
}

/// Feeds one class's stream from the queue until the queue was drained or the link is gone.
async fn write_class(side: Side, class: Class) {
    // Errors mean that the connection is gone, which the supervisor sees for itself; a peer
    // that stops reading a class only starves itself.
    let _: Result<(), quinn::WriteError> = async {
        let mut stream = side.connection.open_uni().await?;
        let _ = stream.set_priority(class.stream_priority());
        stream.write_all(&[class as u8]).await?;
        while let Some(chunk) = side.peer.queue.next(class).await {
            if chunk.drained {
                let (peer, link) = (side.peer.id, side.link);
                side.context.tell(LinkEvent::Drained { peer, link }).await;
            }
            stream.write_all(&chunk.bytes).await?;
        }
        let _ = stream.finish();
        let _ = stream.stopped().await;
        Ok(())
    }
    .await;
}

/// Takes the peer's streams, and ends when the connection has and all was handed over.
async fn receive(side: Side, first: Option<RecvStream>, stopped: oneshot::Receiver<()>) {
    let mut readers = JoinSet::new();
    let taken = Arc::new(AtomicU8::new(0));
    let mut accepted = first;
    loop {
        if let Some(stream) = accepted.take() {
            readers.spawn(read_stream(side.clone(), stream, taken.clone()));
        }
        match side.connection.accept_uni().await {
            Ok(stream) => accepted = Some(stream),
            Err(_) => break,
        }
        while readers.try_join_next().is_some() {}
    }
    tokio::select! {
        biased;
        () = async { while readers.join_next().await.is_some() {} } => {}
        _ = stopped => readers.shutdown().await,
    }
}

async fn read_stream(side: Side, stream: RecvStream, taken: Arc<AtomicU8>) {
    if let Err(fault) = read_frames(&side, stream, &taken).await {
        side.blame(fault);
    }
}

/// Hands over a stream's frames until it ends, at the pace at which they are taken: what is
/// not read here, QUIC's flow control keeps the peer from sending.
async fn read_frames(side: &Side, mut stream: RecvStream, taken: &AtomicU8) -> Result<(), Fault> {
    let Some(class) = read_class(&mut stream, taken).await? else {
        return Ok(());
    };
    let mut decoder = Decoder::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match stream.read(&mut buffer).await {
            Ok(Some(count)) => count,
            Ok(None) => return Ok(()),
            Err(ReadError::Reset(_)) => return Err(Fault::Reset),
            Err(_) => return Ok(()),
        };
        let mut input = &buffer[..count];
        while let Some(bytes) = decoder.next(&mut input)? {
            let (peer, link) = (side.peer.id, side.link);
            let frame = LinkEvent::Frame {
                peer,
                link,
                class,
                bytes,
            };
            side.context.tell(frame).await;
        }
    }
}

/// Reads what the stream is for; `None` if the connection ended before that was known.
async fn read_class(stream: &mut RecvStream, taken: &AtomicU8) -> Result<Option<Class>, Fault> {
    let mut byte = [0];
    match stream.read_exact(&mut byte).await {
        Ok(()) => {}
        Err(ReadExactError::ReadError(ReadError::Reset(_))) => return Err(Fault::Reset),
        Err(_) => return Ok(None),
    }
    let class = Class::from_byte(byte[0]).ok_or(Fault::UnknownStream(byte[0]))?;
    let bit = 1 << class as u8;
    if taken.fetch_or(bit, Ordering::Relaxed) & bit != 0 {
        return Err(Fault::SecondStream(class));
    }
    Ok(Some(class))
}

/// Read at once from a stream: a good part of what a fast link delivers between two wake-ups.
const READ_BYTES: usize = 64 << 10;

impl From<FrameTooLarge> for Fault {
    fn from(FrameTooLarge(bytes): FrameTooLarge) -> Self {
        Self::FrameTooLarge(bytes)
    }
}
