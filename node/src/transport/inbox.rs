//! What the links hand over: a bounded line for each peer, served in turn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use comity_protocol::id::PartnerId;
use tokio::sync::{Notify, Semaphore};

use super::{LinkEvent, PeerId};
use crate::turns::Turns;

/// Bytes of one peer's frames that wait here. Each of its streams may hold one more frame ready, and
/// the rest waits on the peer's side of the link, held back by QUIC's flow control.
const WAITING_BYTES_PER_PEER: u32 = 1 << 20;
/// What a waiting frame weighs besides its bytes.
const FRAME_OVERHEAD: usize = 128;

/// A pair of ends: the links' and the reader's.
pub fn channel() -> (Deliveries, Inbox) {
    let shared = Arc::new(Shared::default());
    (Deliveries(shared.clone()), Inbox(shared))
}

/// The links' end. Clones share it.
#[derive(Clone)]
pub struct Deliveries(Arc<Shared>);

/// The reader's end.
pub struct Inbox(Arc<Shared>);

#[derive(Default)]
struct Shared {
    lines: Mutex<Lines>,
    arrived: Notify,
}

#[derive(Default)]
struct Lines {
    turns: Turns<LinkEvent>,
    /// What room each peer's line has, in bytes; who waits for some is served in its order.
    rooms: BTreeMap<PeerId, Arc<Semaphore>>,
    closed: bool,
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deliveries {
    /// Hands an event over; a frame waits for room in its peer's line. Dropped once the reader is
    /// gone, which is when the node stops.
    pub(super) async fn send(&self, event: LinkEvent) {
        let peer = *event.peer();
        let room = {
            let mut lines = self.0.lines();
            if lines.closed {
                return;
            }
            let whole = || Arc::new(Semaphore::new(WAITING_BYTES_PER_PEER as usize));
            lines.rooms.entry(peer).or_insert_with(whole).clone()
        };
        let Ok(taken) = room.acquire_many(weight(&event)).await else {
            return;
        };
        // Given back when the event is taken out.
        taken.forget();
        self.0.lines().turns.push(PartnerId(peer), event);
        self.0.arrived.notify_one();
    }
}

impl Inbox {
    /// The next event of those peers whose frames `may` be taken. Of each peer, events come in
    /// their order.
    pub async fn recv(&mut self, may: impl Fn(&PeerId) -> bool) -> LinkEvent {
        loop {
            let shared = self.0.clone();
            let arrived = shared.arrived.notified();
            if let Some(event) = self.try_recv(&may) {
                return event;
            }
            arrived.await;
        }
    }

    /// As [`Inbox::recv`], where one waits.
    pub fn try_recv(&mut self, may: impl Fn(&PeerId) -> bool) -> Option<LinkEvent> {
        let mut lines = self.0.lines();
        let (peer, event) = lines.turns.pop(|peer| may(&peer.0))?;
        if let Some(room) = lines.rooms.get(&peer.0) {
            room.add_permits(weight(&event) as usize);
        }
        Some(event)
    }

    /// Adds what an event of a peer has cost its reader.
    pub fn charge(&mut self, peer: &PeerId, cost: Duration) {
        self.0.lines().turns.charge(&PartnerId(*peer), cost);
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let mut lines = self.0.lines();
        lines.closed = true;
        lines.turns = Turns::default();
        lines.rooms.values().for_each(|room| room.close());
    }
}

/// What an event takes of its line's room. Only frames wait for some: there are few other events,
/// and they must not be lost.
fn weight(event: &LinkEvent) -> u32 {
    match event {
        LinkEvent::Frame { bytes, .. } => {
            let bytes = bytes.len().saturating_add(FRAME_OVERHEAD);
            u32::try_from(bytes).map_or(WAITING_BYTES_PER_PEER, |bytes| {
                bytes.min(WAITING_BYTES_PER_PEER)
            })
        }
        LinkEvent::Up { .. } | LinkEvent::Drained { .. } | LinkEvent::Down { .. } => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Class;
    use super::*;

    const LONG: usize = WAITING_BYTES_PER_PEER as usize / 2;

    fn frame(peer: u8, length: usize) -> LinkEvent {
        LinkEvent::Frame {
            peer: [peer; 32],
            link: 1,
            class: Class::Routine,
            bytes: vec![0; length],
        }
    }

    #[tokio::test]
    async fn a_full_line_holds_its_own_peer_back_and_nobody_else() {
        let (deliveries, mut inbox) = channel();
        deliveries.send(frame(1, LONG)).await;
        let flood = deliveries.clone();
        let flood = tokio::spawn(async move { flood.send(frame(1, LONG)).await });
        tokio::task::yield_now().await;
        deliveries.send(frame(2, LONG)).await;
        assert!(!flood.is_finished());
        for peer in [1, 2] {
            assert_eq!(inbox.recv(|_| true).await.peer(), &[peer; 32]);
        }
        flood.await.expect("there is room now");
        assert_eq!(inbox.recv(|_| true).await.peer(), &[1; 32]);
    }

    #[tokio::test]
    async fn a_frame_larger_than_a_line_passes_alone() {
        let (deliveries, mut inbox) = channel();
        deliveries.send(frame(1, 4 * LONG)).await;
        assert!(inbox.try_recv(|_| true).is_some());
    }

    #[tokio::test]
    async fn who_waits_for_room_is_let_go_when_the_reader_ends() {
        let (deliveries, inbox) = channel();
        deliveries.send(frame(1, LONG)).await;
        let waiting = tokio::spawn(async move { deliveries.send(frame(1, LONG)).await });
        tokio::task::yield_now().await;
        drop(inbox);
        waiting.await.expect("it does not wait for ever");
    }
}
