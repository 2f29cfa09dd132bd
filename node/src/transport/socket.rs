//! The UDP socket: bound with large buffers, and counting what passes.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};
use socket2::{Domain, Protocol, Socket, Type};

/// Binds a non-blocking UDP socket; an unspecified IPv6 address also takes IPv4.
pub(super) fn bind(address: SocketAddr, buffer_bytes: usize) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Best effort: the kernel caps these, and smaller buffers only lose packets under bursts.
    let _ = socket.set_recv_buffer_size(buffer_bytes);
    let _ = socket.set_send_buffer_size(buffer_bytes);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// What passed a socket, whichever connection or handshake it was for.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) sent: Direction,
    pub(super) received: Direction,
}

/// What passed in one direction.
#[derive(Debug, Default)]
pub(super) struct Direction {
    bytes: AtomicU64,
    datagrams: AtomicU64,
}

impl Direction {
    /// UDP payload bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Datagrams as the network sees them.
    pub(super) fn datagrams(&self) -> u64 {
        self.datagrams.load(Ordering::Relaxed)
    }

    /// Counts bytes that passed the system at once and the network in datagrams of this size.
    fn count(&self, bytes: usize, datagram: usize) {
        let datagrams = bytes.div_ceil(datagram.max(1));
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.datagrams
            .fetch_add(datagrams as u64, Ordering::Relaxed);
    }
}

/// Counts what passes another socket.
pub(super) struct CountingSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    traffic: Arc<Traffic>,
}

impl CountingSocket {
    pub(super) fn new(inner: Arc<dyn AsyncUdpSocket>, traffic: Arc<Traffic>) -> Self {
        Self { inner, traffic }
    }
}

impl fmt::Debug for CountingSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl AsyncUdpSocket for CountingSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)?;
        let bytes = transmit.contents.len();
        let datagram = transmit.segment_size.unwrap_or(bytes);
        self.traffic.sent.count(bytes, datagram);
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let count = ready!(self.inner.poll_recv(cx, buffers, meta))?;
        for taken in meta.iter().take(count) {
            self.traffic.received.count(taken.len, taken.stride);
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}
