//! Frames of one peer that wait for QUIC to take them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::framing::{self, CLASSES, Class, HEADER, MAX_FRAME};

/// Says what became of a frame handed to [`Transport::send`](super::Transport::send).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    Queued,
    /// Not queued: the peer's queue is full. `Drained` follows when it is below half.
    Congested,
    /// Not queued: there is no such link.
    NotConnected,
    /// Not queued: the frame is above [`MAX_FRAME`], which is the caller's mistake.
    TooLarge,
}

/// The frames of one peer, by class, already cut and framed for the wire.
///
/// Open for one link at a time: a frame that a link did not take dies with it. Small frames are
/// gathered into chunks, so that a busy stream is fed by the chunk and an idle one at once.
pub(super) struct SendQueue {
    state: Mutex<State>,
    filled: [Notify; CLASSES],
    limit: usize,
}

struct State {
    phase: Phase,
    chunks: [VecDeque<Vec<u8>>; CLASSES],
    bytes: usize,
    congested: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// No link.
    Closed,
    /// Takes frames for this link.
    Open(u64),
    /// The link is being shut down: what is queued still goes out, nothing more comes in.
    Draining,
}

/// A piece of a class's stream, made of whole frames.
pub(super) struct Chunk {
    pub(super) bytes: Vec<u8>,
    /// Taking it brought a congested queue below half.
    pub(super) drained: bool,
}

impl SendQueue {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                phase: Phase::Closed,
                chunks: Default::default(),
                bytes: 0,
                congested: false,
            }),
            filled: Default::default(),
            limit,
        }
    }

    /// Begins to take frames for a new link.
    pub(super) fn open(&self, link: u64) {
        self.reset(Phase::Open(link));
    }

    /// Ends the link, and forgets what it did not take.
    pub(super) fn close(&self) {
        self.reset(Phase::Closed);
    }

    /// Takes no more frames; [`SendQueue::next`] ends once the present ones are gone.
    pub(super) fn drain(&self) {
        let mut state = self.lock();
        if let Phase::Open(_) = state.phase {
            state.phase = Phase::Draining;
        }
        drop(state);
        self.filled.iter().for_each(Notify::notify_one);
    }

    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Adds a frame, if `link` (or, for `None`, whichever) is the open one.
    pub(super) fn push(&self, link: Option<u64>, class: Class, frame: Vec<u8>) -> SendOutcome {
        if frame.len() > MAX_FRAME {
            return SendOutcome::TooLarge;
        }
        let mut state = self.lock();
        let Phase::Open(open) = state.phase else {
            return SendOutcome::NotConnected;
        };
        if link.is_some_and(|link| link != open) {
            return SendOutcome::NotConnected;
        }
        let bytes = HEADER + frame.len();
        if state.bytes + bytes > self.limit_of(class) {
            // The senders of ranges and of files try again by themselves.
            state.congested |= !matches!(class, Class::Backfill | Class::Files);
            return SendOutcome::Congested;
        }

        state.bytes += bytes;
        let chunks = &mut state.chunks[class as usize];
        let was_empty = chunks.is_empty();
        append(chunks, frame);
        drop(state);
        if was_empty {
            self.filled[class as usize].notify_one();
        }
        SendOutcome::Queued
    }

    /// Waits for the next chunk of a class; `None` when the queue was drained. One task a class.
    pub(super) async fn next(&self, class: Class) -> Option<Chunk> {
        loop {
            if let Some(taken) = self.take(class) {
                return taken;
            }
            self.filled[class as usize].notified().await;
        }
    }

    /// `None`: nothing yet. `Some(None)`: nothing ever.
    fn take(&self, class: Class) -> Option<Option<Chunk>> {
        let mut state = self.lock();
        let Some(bytes) = state.chunks[class as usize].pop_front() else {
            return (state.phase == Phase::Draining).then_some(None);
        };
        state.bytes -= bytes.len();
        let drained = state.congested && state.bytes < self.limit / 2;
        if drained {
            state.congested = false;
        }
        Some(Some(Chunk { bytes, drained }))
    }

    /// What is urgent may use a reserve, so that a backlog of the rest cannot shut it out.
    fn limit_of(&self, class: Class) -> usize {
        match class {
            Class::Control | Class::Flash | Class::Immediate => self.limit + self.limit / 4,
            Class::Priority | Class::Routine => self.limit,
            // Whoever sends ranges waits for room: they must not keep out what is new.
            Class::Backfill => self.limit / 4,
            // Nor must files keep out ranges.
            Class::Files => self.limit / 8,
        }
    }

    fn reset(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = phase;
        state.chunks = Default::default();
        state.bytes = 0;
        state.congested = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frames are gathered up to this size: large enough that a write's cost is spread over a
/// hundred frames, small enough that an urgent write waits for little.
const CHUNK_BYTES: usize = 64 << 10;

fn append(chunks: &mut VecDeque<Vec<u8>>, frame: Vec<u8>) {
    let header = framing::header(frame.len());
    let bytes = HEADER + frame.len();
    match chunks.back_mut() {
        Some(last) if last.len() + bytes <= CHUNK_BYTES => {
            last.extend_from_slice(&header);
            last.extend_from_slice(&frame);
        }
        _ => chunks.push_back([&header[..], &frame].concat()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_until_it_is_half_empty() {
        let queue = SendQueue::new(200 << 10);
        queue.open(1);
        let frame = || vec![0; 60 << 10];
        while queue.push(None, Class::Routine, frame()) == SendOutcome::Queued {}
        assert_eq!(queue.push(None, Class::Flash, frame()), SendOutcome::Queued);

        let mut drained = Vec::new();
        while let Some(Some(chunk)) = queue.take(Class::Routine) {
            drained.push(chunk.drained);
        }
        assert_eq!(drained, [false, false, true]);
        assert_eq!(queue.bytes(), HEADER + (60 << 10));
    }

    #[test]
    fn frames_for_another_link_are_not_taken() {
        let queue = SendQueue::new(1000);
        let push = |link| queue.push(link, Class::Control, vec![1]);
        assert_eq!(push(None), SendOutcome::NotConnected);
        queue.open(2);
        assert_eq!(push(Some(1)), SendOutcome::NotConnected);
        assert_eq!(push(Some(2)), SendOutcome::Queued);
        queue.close();
        assert_eq!(queue.bytes(), 0);
        assert_eq!(push(Some(2)), SendOutcome::NotConnected);
    }
}
