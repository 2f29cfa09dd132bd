//! The transport as the node uses it: two or three of them on loopback, and adversaries.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use comity_node::transport::inbox::{self, Inbox};
use comity_node::transport::{
    Class, GroupProfile, LinkEvent, LinkStatus, MAX_FRAME, PeerEntry, PeerId, SendOutcome,
    TlsIdentity, Transport, TransportConfig,
};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Connection, ConnectionError, Endpoint};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::UdpSocket;
use tokio::time::{interval, timeout};

#[tokio::test(flavor = "multi_thread")]
async fn every_class_arrives_in_order_both_ways() {
    let (mut a, mut b) = linked_pair().await;
    for number in 0..FRAMES_PER_CLASS {
        for class in Class::ALL {
            a.send(&b, class, number.to_be_bytes().to_vec());
            b.send(&a, class, number.to_be_bytes().to_vec());
        }
    }
    for node in [&mut a, &mut b] {
        let mut expected = BTreeMap::new();
        for _ in 0..FRAMES_PER_CLASS as usize * Class::ALL.len() {
            let (_, class, bytes) = node.frame().await;
            let next = expected.entry(class).or_insert(0u32);
            assert_eq!(bytes, next.to_be_bytes(), "{class:?}");
            *next += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_frame_passes_and_a_larger_one_is_not_taken() {
    let (a, mut b) = linked_pair().await;
    let too_large = vec![1; MAX_FRAME + 1];
    let outcome = a.transport.send(&b.id, Class::Routine, too_large);
    assert_eq!(outcome, SendOutcome::TooLarge);
    a.send(&b, Class::Routine, vec![1; MAX_FRAME]);
    assert_eq!(b.frame().await.2.len(), MAX_FRAME);
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ends_see_the_hybrid_group_that_was_negotiated() {
    let (a, b) = linked_pair().await;
    for node in [a, b] {
        assert_eq!(node.status().group.as_deref(), Some("X25519MLKEM768"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cnsa_profile_negotiates_ml_kem_1024_and_nothing_else() {
    let mut a = Node::start_with(1, |config| config.group_profile = GroupProfile::Cnsa).await;
    let mut b = Node::start_with(2, |config| config.group_profile = GroupProfile::Cnsa).await;
    let c = Node::start(3).await;
    a.list([b.entry(), c.entry()]);
    b.list([a.entry()]);
    c.list([a.entry()]);
    a.up().await;
    b.up().await;
    assert_eq!(a.status().group.as_deref(), Some("MLKEM1024"));
    assert_eq!(b.status().group.as_deref(), Some("MLKEM1024"));
    until("c is refused", || c.status().last_error.is_some()).await;
    assert_eq!(c.status().link, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whose_key_nobody_pinned_is_refused() {
    let a = Node::start(1).await;
    let stranger = Node::start(2).await;
    a.list([PeerEntry {
        pins: vec![[0; 32]],
        addresses: vec![],
        ..stranger.entry()
    }]);
    stranger.list([a.entry()]);
    until("the stranger is refused", || {
        a.transport.totals().unknown_pins > 0
    })
    .await;
    until("the stranger is told", || {
        stranger.status().last_error.is_some()
    })
    .await;
    assert_eq!((a.status().link, stranger.status().link), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_key_is_not_the_dialled_peers_is_refused() {
    let a = Node::start(1).await;
    let other = Node::start(2).await;
    let third = Node::start(3).await;
    // `other` is listed, but it answers where `third` was dialled.
    a.list([
        PeerEntry {
            addresses: vec![],
            ..other.entry()
        },
        PeerEntry {
            addresses: vec![other.transport.local_addr().to_string()],
            ..third.entry()
        },
    ]);
    other.list([PeerEntry {
        addresses: vec![],
        ..a.entry()
    }]);
    until("a refuses", || a.status_of(&third).last_error.is_some()).await;
    let error = a.status_of(&third).last_error.unwrap();
    assert!(error.contains("ApplicationVerificationFailure"), "{error}");
    until("the other is told", || {
        other.transport.totals().handshakes_refused > 0
    })
    .await;
    assert_eq!(
        (a.status_of(&other).link, other.status().link),
        (None, None)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_pinned_certificate_but_another_key_is_refused() {
    let a = Node::start(9).await;
    let pinned = TlsIdentity::generate().unwrap();
    a.list([entry_of(1, &pinned)]);

    let thief = raw_client(&pinned, &TlsIdentity::generate().unwrap());
    let refused = raw_dial(&thief, &a).await;
    let refused = match refused {
        Err(error) => error,
        Ok(connection) => within("the thief is closed", connection.closed()).await,
    };
    let ConnectionError::ConnectionClosed(close) = &refused else {
        panic!("closed by TLS, not by {refused}");
    };
    assert!(close.to_string().contains("BadSignature"), "{close}");
    assert_eq!(
        a.transport.totals().unknown_pins,
        0,
        "the certificate itself is pinned"
    );
    assert_eq!(a.status().link, None);

    // The same client with the right key is let in.
    let owner = raw_client(&pinned, &pinned);
    let connection = raw_dial(&owner, &a).await.unwrap();
    within("the owner is greeted", connection.accept_uni())
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_pinned_certificate_but_another_key_is_refused() {
    let pinned = TlsIdentity::generate().unwrap();
    let thief = raw_server(&pinned, &TlsIdentity::generate().unwrap());
    let address = thief.local_addr().unwrap();
    tokio::spawn(async move {
        while let Some(incoming) = thief.accept().await {
            let _ = incoming.await;
        }
    });
    let a = Node::start(1).await;
    a.list([PeerEntry {
        addresses: vec![address.to_string()],
        ..entry_of(2, &pinned)
    }]);
    until("a refuses", || a.status().last_error.is_some()).await;
    let error = a.status().last_error.unwrap();
    assert!(error.contains("BadSignature"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversize_frame_closes_that_link_and_no_other() {
    let mut a = Node::start(9).await;
    let mut b = Node::start(2).await;
    let hostile = TlsIdentity::generate().unwrap();
    a.list([entry_of(1, &hostile), b.entry()]);
    b.list([a.entry()]);
    assert_eq!(a.up().await, b.id);
    b.up().await;

    // The lower id chooses: by opening a stream.
    let client = raw_client(&hostile, &hostile);
    let connection = raw_dial(&client, &a).await.unwrap();
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&[Class::Control as u8]).await.unwrap();
    assert_eq!(a.up().await, id(1));
    let header = (MAX_FRAME as u32 + 1).to_be_bytes();
    control.write_all(&header).await.unwrap();

    let (peer, reason) = a.down().await;
    assert_eq!(peer, id(1));
    assert!(reason.contains("1048577 bytes"), "{reason}");
    let closed = within("the hostile peer is closed", connection.closed()).await;
    assert_eq!(code(&closed), FRAME_TOO_LARGE, "{closed}");

    a.send(&b, Class::Flash, b"still here".to_vec());
    assert_eq!(b.frame().await.2, b"still here");
    assert_eq!(a.status_of(&b).reconnections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_unknown_kind_closes_the_link() {
    let mut a = Node::start(9).await;
    let hostile = TlsIdentity::generate().unwrap();
    a.list([entry_of(1, &hostile)]);
    let client = raw_client(&hostile, &hostile);
    let connection = raw_dial(&client, &a).await.unwrap();
    let mut stream = connection.open_uni().await.unwrap();
    stream.write_all(&[0xEE]).await.unwrap();
    a.up().await;
    let (_, reason) = a.down().await;
    assert!(reason.contains("0xee"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_a_client_that_proves_its_address_is_still_let_in() {
    let mut a = Node::start(1).await;
    let mut b = Node::start_with(2, |config| config.handshakes_before_retry = 0).await;
    a.list([b.entry()]);
    b.list([PeerEntry {
        addresses: vec![],
        ..a.entry()
    }]);
    a.up().await;
    b.up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_dials_end_in_one_connection() {
    let mut a = Node::start(1).await;
    let mut b = Node::start(2).await;
    let to_a = Proxy::start(a.transport.local_addr()).await;
    let to_b = Proxy::start(b.transport.local_addr()).await;
    to_a.set(Passage::Hold);
    to_b.set(Passage::Hold);
    a.list([b.entry_at(to_b.address)]);
    b.list([a.entry_at(to_a.address)]);
    until("both have dialled", || {
        to_a.caught() > 0 && to_b.caught() > 0
    })
    .await;
    to_a.set(Passage::Open);
    to_b.set(Passage::Open);

    a.up().await;
    b.up().await;
    // A closed connection lingers for seconds, so a second one cannot be missed.
    let competed = |node: &Node| node.transport.totals().connections == 2;
    until("two connections competed", || competed(&a) && competed(&b)).await;
    let settled = |node: &Node| node.transport.totals().connections == 1;
    until("one connection is left", || settled(&a) && settled(&b)).await;
    a.send(&b, Class::Routine, b"from a".to_vec());
    b.send(&a, Class::Routine, b"from b".to_vec());
    assert_eq!(b.frame().await.2, b"from a");
    assert_eq!(a.frame().await.2, b"from b");
    assert_eq!((a.status().reconnections, b.status().reconnections), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_beside_a_young_link_is_not_chosen() {
    let mut a = Node::start(1).await;
    let other = TlsIdentity::generate().unwrap();
    a.list([entry_of(9, &other)]);
    let client = raw_client(&other, &other);
    let first = raw_dial_and_greet(&client, &a).await;
    a.up().await;

    let second = raw_dial_and_greet(&client, &a).await;
    let closed = within("the second is closed", second.closed()).await;
    assert_eq!(code(&closed), NOT_CHOSEN, "{closed}");
    assert_eq!(first.close_reason(), None);
    assert_eq!(a.status().reconnections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_usable_at_once_when_the_network_returns() {
    let mut a = Node::start(1).await;
    let mut b = Node::start(2).await;
    let to_a = Proxy::start(a.transport.local_addr()).await;
    let to_b = Proxy::start(b.transport.local_addr()).await;
    a.list([b.entry_at(to_b.address)]);
    b.list([a.entry_at(to_a.address)]);
    a.up().await;
    b.up().await;

    let cut = Instant::now();
    to_a.set(Passage::Cut);
    to_b.set(Passage::Cut);
    let suspect = || a.status().suspect && b.status().suspect;
    until("both find the link silent", suspect).await;
    until("both have dialled in vain", || {
        to_a.dials() > 2 && to_b.dials() > 2
    })
    .await;
    let cut = cut.elapsed();
    let held = |status: LinkStatus| status.link.is_some();
    assert!(
        held(a.status()) && held(b.status()),
        "dialled beside the silent link"
    );

    let returned = Instant::now();
    to_a.set(Passage::Open);
    to_b.set(Passage::Open);
    let heals = |status: LinkStatus| status.link.is_some() && !status.suspect;
    until("the link is back", || {
        heals(a.status()) && heals(b.status())
    })
    .await;
    let back = returned.elapsed();
    println!("after a cut of {cut:?} the link was back within {back:?}");
    assert!(back < Duration::from_secs(3), "{back:?}");

    a.send(&b, Class::Flash, b"over".to_vec());
    assert_eq!(b.frame().await.2, b"over");
    b.send(&a, Class::Flash, b"and out".to_vec());
    assert_eq!(a.frame().await.2, b"and out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_vanished_and_came_back_is_taken_before_its_silence_shows() {
    // Once the survivor is the one that chooses, once the returner is.
    for (survivor, returner) in [(1, 2), (2, 1)] {
        returns_after_vanishing(survivor, returner).await;
    }
}

async fn returns_after_vanishing(survivor: u8, returner: u8) {
    let mut a = Node::start(survivor).await;
    let mut b = Node::start(returner).await;
    let to_a = Proxy::start(a.transport.local_addr()).await;
    a.list([PeerEntry {
        addresses: vec![],
        ..b.entry()
    }]);
    b.list([a.entry_at(to_a.address)]);
    a.up().await;
    b.up().await;

    // Its last words are lost, and its successor comes from another address.
    to_a.set(Passage::Cut);
    let identity = TlsIdentity::from_pem(&b.pem).unwrap();
    drop(b);
    let mut b = Node::start_as(returner, identity, |_| {}).await;
    b.list([a.entry()]);
    b.up().await;
    let (_, reason) = a.down().await;
    assert!(reason.contains("replaced"), "{reason}");
    a.up().await;
    b.send(&a, Class::Control, b"hello again".to_vec());
    assert_eq!(a.frame().await.2, b"hello again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_does_not_read_costs_the_others_nothing() {
    let mut a = Node::start_with(1, |config| config.queue_bytes = 3 << 20).await;
    let mut slow = Node::start(2).await;
    let mut b = Node::start(3).await;
    a.list([slow.entry(), b.entry()]);
    slow.list([a.entry()]);
    b.list([a.entry()]);
    a.up().await;
    a.up().await;
    slow.up().await;
    b.up().await;

    // Refused, with more queued than the slow peer's inbox and windows alone can hold.
    let mut queued = 0u32;
    until("the slow peer's queue is full", || {
        while send_large(&a, &slow, queued) == SendOutcome::Queued {
            queued += 1;
        }
        queued as usize > (3 << 20) / LARGE_FRAME
    })
    .await;

    for _ in 0..100 {
        a.send(&b, Class::Routine, b"unhindered".to_vec());
    }
    for _ in 0..100 {
        assert_eq!(b.frame().await.2, b"unhindered");
    }

    for number in 0..queued {
        assert_eq!(slow.frame().await.2[..4], number.to_be_bytes());
    }
    assert_eq!(a.drained().await, slow.id);
    assert_eq!(send_large(&a, &slow, queued), SendOutcome::Queued);
    assert_eq!(a.status_of(&slow).reconnections, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_taken_off_the_list_is_disconnected_at_once() {
    let (mut a, mut b) = linked_pair().await;
    a.list([]);
    let outcome = a.transport.send(&b.id, Class::Control, vec![1]);
    assert_eq!(outcome, SendOutcome::NotConnected);
    assert_eq!(a.down().await, (b.id, "no longer listed".into()));
    let (_, reason) = b.down().await;
    assert!(reason.contains("no longer listed"), "{reason}");
    until("b is refused", || a.transport.totals().unknown_pins > 0).await;

    a.list([b.entry()]);
    a.up().await;
    b.up().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_key_is_no_longer_pinned_is_disconnected() {
    let (mut a, b) = linked_pair().await;
    a.list([PeerEntry {
        pins: vec![[0; 32]],
        ..b.entry()
    }]);
    assert_eq!(a.down().await, (b.id, "key no longer pinned".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_disconnected_for_misbehaviour_stays_away_for_a_while() {
    let penalty = Duration::from_millis(1500);
    let mut a = Node::start_with(1, |config| config.penalty = penalty).await;
    let mut b = Node::start(2).await;
    link(&mut a, &mut b).await;
    let disconnected = Instant::now();
    a.transport.disconnect(&b.id, "spoke nonsense");
    assert_eq!(a.down().await, (b.id, "spoke nonsense".into()));
    let (_, reason) = b.down().await;
    assert!(reason.contains("spoke nonsense"), "{reason}");
    a.up().await;
    assert!(disconnected.elapsed() >= penalty);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_flushes_what_was_queued() {
    let (a, mut b) = linked_pair().await;
    for number in 0..1000u32 {
        a.send(&b, Class::Backfill, number.to_be_bytes().to_vec());
    }
    let shutdown = tokio::spawn(async move { a.transport.shutdown().await });
    for number in 0..1000u32 {
        assert_eq!(b.frame().await.2, number.to_be_bytes());
    }
    let (_, reason) = b.down().await;
    assert!(reason.contains("shutdown"), "{reason}");
    within("the shutdown", shutdown).await.unwrap();
}

/// A measurement, not a promise: nothing is asserted but that all arrives.
#[tokio::test(flavor = "multi_thread")]
async fn small_frames_per_second() {
    const FRAMES: usize = 200_000;
    const FRAME_BYTES: usize = 600;
    let (mut a, mut b) = linked_pair().await;
    let begun = Instant::now();
    let receiver = tokio::spawn(async move {
        for _ in 0..FRAMES {
            b.frame().await;
        }
        b
    });
    let mut sent = 0;
    while sent < FRAMES {
        let frame = vec![7; FRAME_BYTES];
        match a.transport.send(&id(2), Class::Routine, frame) {
            SendOutcome::Queued => sent += 1,
            SendOutcome::Congested => assert_eq!(a.drained().await, id(2)),
            other => panic!("{other:?}"),
        }
    }
    let b = within("all frames", receiver).await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{FRAMES} frames of {FRAME_BYTES} bytes in {seconds:.2} s: {:.0} frames/s, {:.0} MB/s; sender's totals {:?}, receiver's {:?}",
        FRAMES as f64 / seconds,
        (FRAMES * FRAME_BYTES) as f64 / seconds / 1e6,
        a.transport.totals(),
        b.transport.totals(),
    );
}

const FRAMES_PER_CLASS: u32 = 2_000;

/// What any single expectation may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A transport and the layer above it, which holds it to the order of events promised.
struct Node {
    id: PeerId,
    pin: [u8; 32],
    pem: String,
    transport: Transport,
    events: Inbox,
    links: BTreeMap<PeerId, u64>,
    last_links: BTreeMap<PeerId, u64>,
}

impl Node {
    async fn start(number: u8) -> Self {
        Self::start_with(number, |_| {}).await
    }

    async fn start_with(number: u8, adjust: impl FnOnce(&mut TransportConfig)) -> Self {
        Self::start_as(number, TlsIdentity::generate().unwrap(), adjust).await
    }

    async fn start_as(
        number: u8,
        identity: TlsIdentity,
        adjust: impl FnOnce(&mut TransportConfig),
    ) -> Self {
        let mut config = TransportConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        adjust(&mut config);
        let (sender, events) = inbox::channel();
        let (pin, pem) = (identity.pin(), identity.to_pem().to_string());
        let transport = Transport::start(config, identity, id(number), sender).await;
        Self {
            id: id(number),
            pin,
            pem,
            transport: transport.unwrap(),
            events,
            links: BTreeMap::new(),
            last_links: BTreeMap::new(),
        }
    }

    fn entry(&self) -> PeerEntry {
        self.entry_at(self.transport.local_addr())
    }

    fn entry_at(&self, address: SocketAddr) -> PeerEntry {
        PeerEntry {
            id: self.id,
            name: format!("node-{}", self.id[0]),
            pins: vec![self.pin],
            addresses: vec![address.to_string()],
        }
    }

    fn list<const N: usize>(&self, peers: [PeerEntry; N]) {
        self.transport.set_peers(peers.to_vec());
    }

    fn status(&self) -> LinkStatus {
        self.transport.links().into_iter().next().unwrap()
    }

    fn status_of(&self, peer: &Self) -> LinkStatus {
        let mut links = self.transport.links().into_iter();
        links.find(|status| status.peer == peer.id).unwrap()
    }

    fn send(&self, peer: &Self, class: Class, frame: Vec<u8>) {
        let outcome = self.transport.send(&peer.id, class, frame);
        assert_eq!(outcome, SendOutcome::Queued);
    }

    async fn up(&mut self) -> PeerId {
        match self.event().await {
            LinkEvent::Up { peer, .. } => peer,
            other => panic!("{other:?} instead of Up"),
        }
    }

    async fn down(&mut self) -> (PeerId, String) {
        match self.event().await {
            LinkEvent::Down { peer, reason, .. } => (peer, reason),
            other => panic!("{other:?} instead of Down"),
        }
    }

    async fn drained(&mut self) -> PeerId {
        match self.event().await {
            LinkEvent::Drained { peer, .. } => peer,
            other => panic!("{other:?} instead of Drained"),
        }
    }

    /// The next frame; a link may be replaced before it.
    async fn frame(&mut self) -> (PeerId, Class, Vec<u8>) {
        loop {
            match self.event().await {
                LinkEvent::Frame {
                    peer, class, bytes, ..
                } => return (peer, class, bytes),
                LinkEvent::Up { .. } | LinkEvent::Down { .. } => {}
                other => panic!("{other:?} instead of a frame"),
            }
        }
    }

    async fn event(&mut self) -> LinkEvent {
        let event = within("an event", self.events.recv(|_| true)).await;
        self.check_order(&event);
        event
    }

    fn check_order(&mut self, event: &LinkEvent) {
        match event {
            LinkEvent::Up { peer, link, .. } => {
                assert_eq!(self.links.insert(*peer, *link), None, "Up within a link");
                // Two peers' links may be announced in either order: only one peer's follow.
                let last = self.last_links.insert(*peer, *link).unwrap_or(0);
                assert!(*link > last, "a peer's links are numbered upwards");
            }
            LinkEvent::Frame { peer, link, .. } | LinkEvent::Drained { peer, link } => {
                assert_eq!(self.links.get(peer), Some(link), "outside its link");
            }
            LinkEvent::Down { peer, link, .. } => {
                assert_eq!(self.links.remove(peer), Some(*link), "Down without Up");
            }
        }
    }
}

const LARGE_FRAME: usize = 64 << 10;

fn send_large(from: &Node, to: &Node, number: u32) -> SendOutcome {
    let mut frame = number.to_be_bytes().to_vec();
    frame.resize(LARGE_FRAME, 0);
    from.transport.send(&to.id, Class::Routine, frame)
}

fn id(number: u8) -> PeerId {
    [number; 32]
}

async fn linked_pair() -> (Node, Node) {
    let (mut a, mut b) = (Node::start(1).await, Node::start(2).await);
    link(&mut a, &mut b).await;
    (a, b)
}

async fn link(a: &mut Node, b: &mut Node) {
    a.list([b.entry()]);
    b.list([a.entry()]);
    assert_eq!(a.up().await, b.id);
    assert_eq!(b.up().await, a.id);
}

/// Looks every few milliseconds whether the condition holds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let looking = async {
        let mut looks = interval(Duration::from_millis(5));
        while !condition() {
            looks.tick().await;
        }
    };
    within(what, looking).await;
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// A peer that exists only as a key, to be played by hand.
fn entry_of(number: u8, identity: &TlsIdentity) -> PeerEntry {
    PeerEntry {
        id: id(number),
        name: format!("raw-{number}"),
        pins: vec![identity.pin()],
        addresses: vec![],
    }
}

/// A QUIC client that shows one identity's certificate and signs with another's key.
fn raw_client(shown: &TlsIdentity, signing: &TlsIdentity) -> Endpoint {
    let mut tls = rustls::ClientConfig::builder_with_provider(raw_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer))
        .with_client_cert_resolver(raw_certificate(shown, signing));
    tls.alpn_protocols = vec![b"comity/1".to_vec()];
    let crypto = QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    endpoint
}

fn raw_server(shown: &TlsIdentity, signing: &TlsIdentity) -> Endpoint {
    let mut tls = rustls::ServerConfig::builder_with_provider(raw_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(raw_certificate(shown, signing));
    tls.alpn_protocols = vec![b"comity/1".to_vec()];
    let crypto = QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    Endpoint::server(config, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
}

async fn raw_dial(client: &Endpoint, node: &Node) -> Result<Connection, ConnectionError> {
    let dial = client.connect(node.transport.local_addr(), "raw.invalid");
    within("the raw dial", dial.unwrap()).await
}

/// Dials as the node that does not choose.
async fn raw_dial_and_greet(client: &Endpoint, node: &Node) -> Connection {
    let connection = raw_dial(client, node).await.unwrap();
    let mut greeting = connection.open_uni().await.unwrap();
    greeting.write_all(&[0x40]).await.unwrap();
    greeting.finish().unwrap();
    connection
}

const NOT_CHOSEN: u64 = 2;
const FRAME_TOO_LARGE: u64 = 5;

/// The application's code of a close; zero if it was none.
fn code(closed: &ConnectionError) -> u64 {
    match closed {
        ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        _ => 0,
    }
}

fn raw_provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn raw_certificate(shown: &TlsIdentity, signing: &TlsIdentity) -> Arc<SingleCertAndKey> {
    let certificate = CertificateDer::from_pem_slice(shown.to_pem().as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(signing.to_pem().as_bytes()).unwrap();
    let key = raw_provider().key_provider.load_private_key(key).unwrap();
    Arc::new(CertifiedKey::new(vec![certificate], key).into())
}

/// The raw client's server may be anyone.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// What a [`Proxy`] does with datagrams.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum Passage {
    Open,
    Cut,
    /// Kept until the passage is open again.
    Hold,
}

/// A UDP path to one address, for one client at a time, that can be cut in both directions.
struct Proxy {
    address: SocketAddr,
    shared: Arc<ProxyState>,
}

#[derive(Default)]
struct ProxyState {
    passage: AtomicU8,
    caught: AtomicUsize,
    dials: AtomicUsize,
}

impl Proxy {
    async fn start(target: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let back = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        back.connect(target).await.unwrap();
        let address = front.local_addr().unwrap();
        let shared = Arc::new(ProxyState::default());
        tokio::spawn(forward(front, back, shared.clone()));
        Self { address, shared }
    }

    fn set(&self, passage: Passage) {
        self.shared.passage.store(passage as u8, Ordering::SeqCst);
    }

    /// Datagrams that did not pass.
    fn caught(&self) -> usize {
        self.shared.caught.load(Ordering::SeqCst)
    }

    /// Of those, the client's first packets of a handshake: full-sized, with a long header.
    fn dials(&self) -> usize {
        self.shared.dials.load(Ordering::SeqCst)
    }
}

async fn forward(front: UdpSocket, back: UdpSocket, shared: Arc<ProxyState>) {
    let mut client = None;
    let mut held: Vec<(Vec<u8>, bool)> = Vec::new();
    let (mut up, mut down) = (vec![0; 65536], vec![0; 65536]);
    let mut looks = interval(Duration::from_millis(2));
    loop {
        let (datagram, to_target) = tokio::select! {
            Ok((count, from)) = front.recv_from(&mut up) => {
                client = Some(from);
                (Some(&up[..count]), true)
            }
            Ok(count) = back.recv(&mut down) => (Some(&down[..count]), false),
            _ = looks.tick() => (None, true),
        };
        let passage = shared.passage.load(Ordering::SeqCst);
        let open = passage == Passage::Open as u8;
        held.extend(datagram.map(|datagram| (datagram.to_vec(), to_target)));
        if !open && let Some(datagram) = datagram {
            shared.caught.fetch_add(1, Ordering::SeqCst);
            let dial = to_target && datagram.len() >= 1200 && datagram[0] & 0x80 != 0;
            shared.dials.fetch_add(usize::from(dial), Ordering::SeqCst);
        }
        if passage == Passage::Cut as u8 {
            held.clear();
        }
        if open {
            for (datagram, to_target) in held.drain(..) {
                let _ = match client {
                    _ if to_target => back.send(&datagram).await,
                    Some(client) => front.send_to(&datagram, client).await,
                    None => Ok(0),
                };
            }
        }
    }
}
