//! A network between addresses that loses, delays, doubles and cuts as its dice say, and keeps a
//! trace of every datagram.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use tokio::time::Instant;

use crate::{Dice, PowerSupply};

/// How long a datagram is under way at least, in ms: nodes may live this long on their own.
pub const LEAST_DELAY_MS: u64 = 10;
/// Datagrams that may be under way to one address: a router's queue, some hundred KB.
const QUEUE: usize = 512;
const TAG_TRACE: &str = "comity/test/virtual-time-trace";

/// What befalls datagrams from one address to another.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Nothing passes.
    pub cut: bool,
    /// How many in a thousand are lost, and how many arrive twice.
    pub lost: u64,
    pub doubled: u64,
    /// What is added to the least delay of any path: always, and up to so much more at random.
    pub delay_ms: u64,
    pub jitter_ms: u64,
}

impl Weather {
    pub const FAIR: Weather = Weather {
        cut: false,
        lost: 0,
        doubled: 0,
        delay_ms: 5,
        jitter_ms: 0,
    };
}

/// One datagram as the trace keeps it, to find where two traces part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub at_ms: u64,
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub bytes: usize,
    /// When it arrives; twice if it was doubled, never if it was lost.
    pub arrives_ms: [Option<u64>; 2],
    /// The start of the trace's hash with this datagram.
    pub hash: u64,
}

/// The network. Clones share it.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

struct State {
    dice: Dice,
    weather: BTreeMap<(SocketAddr, SocketAddr), Weather>,
    /// For each address what is under way, by when it arrives and by its number.
    under_way: BTreeMap<SocketAddr, BTreeMap<(u64, u64), Datagram>>,
    sent: u64,
    hash: [u8; 32],
    trace: Vec<Passed>,
}

struct Datagram {
    from: SocketAddr,
    bytes: Vec<u8>,
}

impl Network {
    pub fn new(dice: Dice) -> Network {
        Network(Arc::new(Mutex::new(State {
            dice,
            weather: BTreeMap::new(),
            under_way: BTreeMap::new(),
            sent: 0,
            hash: [0; 32],
            trace: Vec::new(),
        })))
    }

    /// Sets what befalls datagrams on one way from now on.
    pub fn set(&self, from: SocketAddr, to: SocketAddr, weather: Weather) {
        self.state().weather.insert((from, to), weather);
    }

    /// Takes something into the trace that is no datagram.
    pub fn note(&self, what: &[&[u8]]) {
        let mut state = self.state();
        let hash = state.hash;
        state.hash = comity_crypto::hash(TAG_TRACE, &[&[&hash[..]], what].concat());
    }

    /// The hash over everything so far.
    pub fn digest(&self) -> [u8; 32] {
        self.state().hash
    }

    /// Hands the trace over.
    pub fn take_trace(&self) -> Vec<Passed> {
        std::mem::take(&mut self.state().trace)
    }

    /// The next datagram that arrives at an address before this time, and when.
    pub(super) fn next(
        &self,
        to: SocketAddr,
        before_ms: u64,
    ) -> Option<(u64, SocketAddr, Vec<u8>)> {
        let mut state = self.state();
        let first = state.under_way.get_mut(&to)?.first_entry()?;
        let (at_ms, _) = *first.key();
        let datagram = (at_ms < before_ms).then(|| first.remove())?;
        Some((at_ms, datagram.from, datagram.bytes))
    }

    fn send(&self, at_ms: u64, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let mut state = self.state();
        let arrives_ms = state.fate(at_ms, from, to);
        for arrives in arrives_ms.into_iter().flatten() {
            state.sent += 1;
            let number = state.sent;
            let bytes = bytes.to_vec();
            let under_way = state.under_way.entry(to).or_default();
            if under_way.len() < QUEUE {
                under_way.insert((arrives, number), Datagram { from, bytes });
            }
        }
        let text = format!("{at_ms} {from} {to} {arrives_ms:?}");
        let hash = state.hash;
        state.hash = comity_crypto::hash(TAG_TRACE, &[&hash, text.as_bytes(), bytes]);
        let start = state.hash.first_chunk().copied().unwrap_or_default();
        let passed = Passed {
            at_ms,
            from,
            to,
            bytes: bytes.len(),
            arrives_ms,
            hash: u64::from_be_bytes(start),
        };
        state.trace.push(passed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When a datagram arrives, and its double.
    fn fate(&mut self, at_ms: u64, from: SocketAddr, to: SocketAddr) -> [Option<u64>; 2] {
        let weather = self.weather.get(&(from, to));
        let weather = weather.copied().unwrap_or(Weather::FAIR);
        if weather.cut || self.dice.per_mille(weather.lost) {
            return [None; 2];
        }
        let doubled = self.dice.per_mille(weather.doubled);
        let least = at_ms + LEAST_DELAY_MS + weather.delay_ms;
        let mut arrives = || least + self.dice.below(weather.jitter_ms + 1);
        [Some(arrives()), doubled.then(arrives)]
    }
}

/// What tells a node's socket the world's time: the runtime's, which begins with the node.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    pub at: Instant,
    pub world_ms: u64,
}

impl Epoch {
    pub fn world_ms(&self) -> u64 {
        self.world_ms + self.at.elapsed().as_millis() as u64
    }
}

/// A node's socket on the network. It is silent while the node has no power.
pub struct Socket {
    pub address: SocketAddr,
    network: Network,
    epoch: Epoch,
    supply: Arc<PowerSupply>,
    arrived: Mutex<Arrived>,
}

#[derive(Default)]
struct Arrived {
    waiting: VecDeque<(SocketAddr, Vec<u8>)>,
    reader: Option<Waker>,
}

impl Socket {
    pub fn new(
        address: SocketAddr,
        network: Network,
        epoch: Epoch,
        supply: Arc<PowerSupply>,
    ) -> Arc<Socket> {
        Arc::new(Socket {
            address,
            network,
            epoch,
            supply,
            arrived: Mutex::default(),
        })
    }

    /// Puts a datagram where the node reads it.
    pub fn deliver(&self, from: SocketAddr, bytes: Vec<u8>) {
        let mut arrived = self.arrived();
        arrived.waiting.push_back((from, bytes));
        if let Some(reader) = arrived.reader.take() {
            reader.wake();
        }
    }

    fn arrived(&self) -> MutexGuard<'_, Arrived> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Socket({})", self.address)
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(AlwaysWritable)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        if !self.supply.is_out() {
            let (at_ms, to) = (self.epoch.world_ms(), transmit.destination);
            let bytes = transmit.contents;
            self.network.send(at_ms, self.address, to, bytes);
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut arrived = self.arrived();
        let mut count = 0;
        for (buffer, meta) in buffers.iter_mut().zip(meta) {
            let Some((from, bytes)) = arrived.waiting.pop_front() else {
                break;
            };
            let len = bytes.len().min(buffer.len());
            buffer[..len].copy_from_slice(&bytes[..len]);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (from, len, len);
            count += 1;
        }
        if count == 0 {
            arrived.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct AlwaysWritable;

impl UdpPoller for AlwaysWritable {
    fn poll_writable(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
