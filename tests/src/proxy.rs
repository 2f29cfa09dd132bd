//! A network between two nodes that can be cut.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::free_address;

/// How often an idle direction looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);
/// The longest datagram.
const DATAGRAM: usize = 1 << 16;

/// Forwards UDP between two nodes, each of which knows the other by an address of the proxy.
pub struct Proxy {
    near: Arc<UdpSocket>,
    far: Arc<UdpSocket>,
    cable: Arc<Mutex<Cable>>,
    over: Arc<AtomicBool>,
    directions: Vec<JoinHandle<()>>,
}

/// What the two directions share.
#[derive(Default)]
struct Cable {
    cut: bool,
    /// How many bytes may pass before it is cut.
    allowance: Option<u64>,
    counts: Counts,
}

/// Packets of both directions.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub dropped: u64,
}

impl Proxy {
    /// A proxy between the nodes at these addresses.
    pub fn between(one: SocketAddr, other: SocketAddr) -> Proxy {
        let mut proxy = Proxy {
            near: socket(),
            far: socket(),
            cable: Arc::default(),
            over: Arc::default(),
            directions: Vec::new(),
        };
        // What comes in at the address that stands for the other goes out from the one that
        // stands for its sender.
        proxy.forward(proxy.far.clone(), one, proxy.near.clone(), other);
        proxy.forward(proxy.near.clone(), other, proxy.far.clone(), one);
        proxy
    }

    /// The address that stands for the first node.
    pub fn address_of_one(&self) -> SocketAddr {
        self.near.local_addr().expect("a bound socket")
    }

    /// The address that stands for the second node.
    pub fn address_of_other(&self) -> SocketAddr {
        self.far.local_addr().expect("a bound socket")
    }

    /// Drops every packet from now on. No packet passes once this has returned.
    pub fn cut(&self) -> Counts {
        self.set(true)
    }

    /// Forwards again.
    pub fn heal(&self) -> Counts {
        self.set(false)
    }

    /// Drops every packet once this many bytes have passed.
    pub fn cut_after(&self, bytes: u64) {
        let mut cable = self.cable.lock().unwrap_or_else(PoisonError::into_inner);
        cable.allowance = Some(bytes);
    }

    /// Whether packets are dropped.
    pub fn is_cut(&self) -> bool {
        let cable = self.cable.lock().unwrap_or_else(PoisonError::into_inner);
        cable.cut
    }

    fn set(&self, cut: bool) -> Counts {
        let mut cable = self.cable.lock().unwrap_or_else(PoisonError::into_inner);
        cable.cut = cut;
        cable.allowance = None;
        cable.counts
    }

    fn forward(
        &mut self,
        entry: Arc<UdpSocket>,
        from: SocketAddr,
        exit: Arc<UdpSocket>,
        to: SocketAddr,
    ) {
        let (cable, over) = (self.cable.clone(), self.over.clone());
        let run = move || {
            let mut packet = vec![0; DATAGRAM];
            while !over.load(Ordering::Relaxed) {
                // An error is the end of the wait, or the echo of a node that is not there.
                let Ok((length, sender)) = entry.recv_from(&mut packet) else {
                    continue;
                };
                assert_eq!(sender, from, "the nodes know only the proxy's addresses");
                pass(&cable, &exit, &packet[..length], to);
            }
        };
        self.directions.push(std::thread::spawn(run));
    }
}

/// Forwards one packet, or drops it.
fn pass(cable: &Mutex<Cable>, exit: &UdpSocket, packet: &[u8], to: SocketAddr) {
    // Held while sending, so that a cut is complete when it returns.
    let mut cable = cable.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(left) = cable.allowance {
        cable.allowance = left.checked_sub(packet.len() as u64);
        cable.cut |= cable.allowance.is_none();
    }
    if cable.cut {
        cable.counts.dropped += 1;
    } else {
        cable.counts.passed += 1;
        // A packet that cannot be sent is one that the network has lost.
        let _ = exit.send_to(packet, to);
    }
}

fn socket() -> Arc<UdpSocket> {
    let socket = UdpSocket::bind(free_address()).expect("an address of our own");
    socket
        .set_read_timeout(Some(LOOK))
        .expect("a timeout above zero");
    Arc::new(socket)
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for direction in self.directions.drain(..) {
            let ended = direction.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}
