//! Hosts of their own for nodes: a network namespace each, joined by a router in this process that
//! loses, delays, reorders and doubles packets.
//!
//! The kernel's own queueing disciplines for that are not everywhere, and a proxy of UDP sockets
//! would show the nodes other addresses than their peers have. So each namespace has one TUN
//! device, and what a node sends comes out here as a whole IP packet. It takes root, as every new
//! host does.

mod tun;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::{Dice, say};

/// The UDP port of every node.
const PORT: u16 = 7443;
/// The longest packet; that of an Ethernet link.
const MTU: usize = 1_500;
/// Where an IPv4 header has its destination.
const DESTINATION: std::ops::Range<usize> = 16..20;

/// What a path does to each packet that goes one way.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Path {
    /// Of a thousand packets, so many are lost.
    pub lost: u64,
    /// Of a thousand packets, so many arrive twice.
    pub doubled: u64,
    pub delay: Duration,
    /// A packet takes up to this much longer, each for itself: so they overtake one another.
    pub jitter: Duration,
    /// Nothing arrives.
    pub cut: bool,
}

/// What became of the packets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Packets {
    pub delivered: u64,
    pub lost: u64,
    pub doubled: u64,
    /// Delivered before one that was sent earlier on the same path.
    pub overtook: u64,
}

/// Hosts and the router between them; removed when this is dropped.
pub struct Lab {
    hosts: Vec<Host>,
    router: Arc<Router>,
    threads: Vec<JoinHandle<()>>,
}

struct Host {
    namespace: String,
    address: Ipv4Addr,
}

struct Router {
    devices: Vec<File>,
    state: Mutex<State>,
    changed: Condvar,
    over: AtomicBool,
}

struct State {
    paths: BTreeMap<(usize, usize), Path>,
    dice: Dice,
    /// The first to arrive is on top.
    under_way: BinaryHeap<Reverse<UnderWay>>,
    sent: u64,
    /// The latest sent of those that arrived, on each path.
    latest: BTreeMap<(usize, usize), u64>,
    packets: Packets,
}

/// A packet: ordered by when it arrives, then by when it was sent.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    at: Instant,
    sent: u64,
    from: usize,
    to: usize,
    packet: Vec<u8>,
}

impl Lab {
    /// That many hosts, every path without faults; none where this user may not make hosts, which
    /// is said on standard error.
    pub fn of(hosts: usize, dice: &mut Dice) -> Option<Lab> {
        if !tun::may_make() {
            say("NOT TESTED: hosts of their own need root and /dev/net/tun");
            return None;
        }
        static LABS: AtomicU32 = AtomicU32::new(0);
        let lab = LABS.fetch_add(1, Ordering::Relaxed);
        let mut devices = Vec::new();
        let hosts: Vec<Host> = (0..hosts)
            .map(|number| {
                let name = format!("ct{}x{lab}n{number}", std::process::id() % 100_000);
                let address = Ipv4Addr::new(10, 77, 0, number as u8 + 1);
                devices.push(tun::open(&name).expect("a TUN device"));
                ip(&["netns", "add", &name]);
                ip(&["link", "set", &name, "netns", &name]);
                within(&name, &["link", "set", "lo", "up"]);
                within(
                    &name,
                    &["addr", "add", &format!("{address}/24"), "dev", &name],
                );
                within(
                    &name,
                    &["link", "set", &name, "mtu", &MTU.to_string(), "up"],
                );
                Host {
                    namespace: name,
                    address,
                }
            })
            .collect();
        let router = Arc::new(Router {
            state: Mutex::new(State {
                paths: BTreeMap::new(),
                dice: dice.split(),
                under_way: BinaryHeap::new(),
                sent: 0,
                latest: BTreeMap::new(),
                packets: Packets::default(),
            }),
            devices,
            changed: Condvar::new(),
            over: AtomicBool::new(false),
        });
        let mut threads = Vec::new();
        for from in 0..hosts.len() {
            let router = router.clone();
            threads.push(std::thread::spawn(move || router.take_from(from)));
        }
        let deliver = router.clone();
        threads.push(std::thread::spawn(move || deliver.deliver()));
        Some(Lab {
            hosts,
            router,
            threads,
        })
    }

    /// The namespace of a host.
    pub fn namespace(&self, host: usize) -> &str {
        &self.hosts[host].namespace
    }

    /// Where a host's node listens.
    pub fn address(&self, host: usize) -> SocketAddr {
        SocketAddr::from((self.hosts[host].address, PORT))
    }

    /// From now on, packets from one host to another meet this.
    pub fn set(&self, from: usize, to: usize, path: Path) {
        self.router.state().paths.insert((from, to), path);
    }

    /// The same for every path.
    pub fn set_all(&self, path: Path) {
        let count = self.hosts.len();
        let pairs = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        pairs.for_each(|(from, to)| self.set(from, to, path));
    }

    /// What became of all packets so far.
    pub fn packets(&self) -> Packets {
        self.router.state().packets
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.router.over.store(true, Ordering::Relaxed);
        self.router.changed.notify_all();
        for thread in self.threads.drain(..) {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
        // The devices go with the namespaces.
        for host in &self.hosts {
            ip(&["netns", "del", &host.namespace]);
        }
    }
}

impl Router {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Takes what a host sends, until the lab is dropped.
    fn take_from(&self, from: usize) {
        let mut packet = vec![0; MTU];
        while !self.is_over() {
            if !tun::is_readable(&self.devices[from], LOOK) {
                continue;
            }
            // An error is a device that is going away.
            let Ok(length) = (&self.devices[from]).read(&mut packet) else {
                continue;
            };
            if let Some(to) = self.destination(&packet[..length]) {
                self.state().send(from, to, &packet[..length]);
                self.changed.notify_all();
            }
        }
    }

    /// Other than IPv4 to a host of the lab goes nowhere, as on any network.
    fn destination(&self, packet: &[u8]) -> Option<usize> {
        let address: [u8; 4] = packet.get(DESTINATION)?.try_into().ok()?;
        let number = usize::from(address[3]).checked_sub(1)?;
        let known = packet[0] >> 4 == 4 && address[..3] == [10, 77, 0];
        (known && number < self.devices.len()).then_some(number)
    }

    fn deliver(&self) {
        let mut state = self.state();
        while !self.is_over() {
            let now = Instant::now();
            let due = state.under_way.peek().map(|Reverse(first)| first.at);
            if due.is_some_and(|due| due <= now) {
                if let Some((to, packet)) = state.arrive() {
                    // A packet that cannot be written is one that the network has lost.
                    let _ = (&self.devices[to]).write(&packet);
                }
                continue;
            }
            let pause = due.map_or(LOOK, |due| due.duration_since(now).min(LOOK));
            let waited = self.changed.wait_timeout(state, pause);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn send(&mut self, from: usize, to: usize, packet: &[u8]) {
        let path = self.paths.get(&(from, to)).copied().unwrap_or_default();
        self.sent += 1;
        if path.cut || self.dice.below(1_000) < path.lost {
            self.packets.lost += 1;
            return;
        }
        let doubled = self.dice.below(1_000) < path.doubled;
        self.packets.doubled += u64::from(doubled);
        for _ in 0..=usize::from(doubled) {
            let jitter = self.dice.below(path.jitter.as_micros() as u64 + 1);
            let at = Instant::now() + path.delay + Duration::from_micros(jitter);
            self.under_way.push(Reverse(UnderWay {
                at,
                sent: self.sent,
                from,
                to,
                packet: packet.to_vec(),
            }));
        }
    }

    fn arrive(&mut self) -> Option<(usize, Vec<u8>)> {
        let Reverse(UnderWay {
            sent,
            from,
            to,
            packet,
            ..
        }) = self.under_way.pop()?;
        let path = self.paths.get(&(from, to)).copied().unwrap_or_default();
        if path.cut {
            self.packets.lost += 1;
            return None;
        }
        let latest = self.latest.entry((from, to)).or_default();
        self.packets.overtook += u64::from(sent < *latest);
        *latest = sent.max(*latest);
        self.packets.delivered += 1;
        Some((to, packet))
    }
}

/// How often an idle thread looks whether it is over.
const LOOK: Duration = Duration::from_millis(50);

fn within(namespace: &str, arguments: &[&str]) {
    ip(&[&["-n", namespace], arguments].concat());
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).output();
    let done = done.expect("the ip command, of iproute2");
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {arguments:?}: {error}");
}
