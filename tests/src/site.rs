//! Partners on one machine: their nodes, peered and in shared channels.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::{Index, IndexMut};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use comity_node::api::{Digests, PeeringFile};
use comity_protocol::id::{ChannelId, PartnerId};
use comity_protocol::lane::{LaneForm, lane_id};
use tempfile::TempDir;

use crate::{Lab, Node, PATIENCE, eventually};

/// The UDP port of every node; each has a loopback address of its own.
const PORT: u16 = 7443;

/// Nodes in one temporary directory.
pub struct Site {
    nodes: Vec<Node>,
    // Removed after the nodes are killed: fields are dropped in their order.
    dir: TempDir,
}

impl Site {
    /// Makes a node per partner and starts it.
    pub fn of(partners: &[&str]) -> Site {
        let mut site = Site::empty();
        for partner in partners {
            let dir = site.dir.path().join(partner);
            let mut node = Node::init(partner, dir, free_address());
            node.spawn();
            site.nodes.push(node);
        }
        site.nodes.iter_mut().for_each(Node::await_service);
        site
    }

    /// As [`Site::sharing`], with each node on a host of its own, in their order.
    pub fn sharing_in(lab: &Lab, channel: &str, partners: &[&str]) -> Site {
        let mut site = Site::empty();
        for (host, partner) in partners.iter().enumerate() {
            let dir = site.dir.path().join(partner);
            let mut node = Node::init(partner, dir, lab.address(host));
            node.namespace = Some(lab.namespace(host).into());
            node.spawn();
            site.nodes.push(node);
        }
        site.nodes.iter_mut().for_each(Node::await_service);
        site.peer_all();
        site.share(channel, partners);
        site
    }

    /// As [`Site::of`], with the first partner's node in a directory on this volume.
    pub fn with_one_at(volume: &Path, partners: &[&str]) -> Site {
        let mut site = Site::empty();
        for (number, partner) in partners.iter().enumerate() {
            let dir = if number == 0 { volume } else { site.dir.path() };
            let mut node = Node::init(partner, dir.join(partner), free_address());
            node.spawn();
            site.nodes.push(node);
        }
        site.nodes.iter_mut().for_each(Node::await_service);
        site
    }

    fn empty() -> Site {
        let dir = tempfile::Builder::new().prefix("ct").tempdir();
        Site {
            nodes: Vec::new(),
            dir: dir.expect("a temporary directory"),
        }
    }

    /// Makes and starts the nodes, peers every pair, and shares a channel between all.
    pub fn sharing(channel: &str, partners: &[&str]) -> Site {
        let site = Site::of(partners);
        site.peer_all();
        site.share(channel, partners);
        site
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// All nodes, to start and stop.
    pub fn nodes_mut(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// Stops every node.
    pub fn stop(&mut self) {
        for node in &mut self.nodes {
            assert!(node.stop().success());
        }
    }

    /// Peers every pair of partners and waits for their links.
    pub fn peer_all(&self) {
        for (at, inviting) in self.nodes.iter().enumerate() {
            for invited in &self.nodes[at + 1..] {
                self.peer(&inviting.name, &invited.name);
            }
        }
    }

    /// Peers two partners and waits for their link.
    pub fn peer(&self, inviting: &str, invited: &str) {
        let at = |name: &str| self[name].listen;
        self.peer_at(inviting, at(inviting), invited, at(invited));
    }

    /// Peers two partners, each of whom is told this address of the other, and waits for the
    /// link.
    pub fn peer_at(
        &self,
        inviting: &str,
        inviting_address: SocketAddr,
        invited: &str,
        invited_address: SocketAddr,
    ) {
        let (host, guest) = (&self[inviting], &self[invited]);
        let invitation = host.invite(&["--address", &inviting_address.to_string()]);
        let reply = guest.accept(&invitation, &["--address", &invited_address.to_string()]);
        let reply: PeeringFile = reply.ok().object();
        let known: PeeringFile = host.accept(&reply, &[]).ok().object();
        // Each side approves the words that the other has read.
        host.approve(invited, &words(reply)).ok();
        guest.approve(inviting, &words(known)).ok();
        self.await_link(inviting, invited);
    }

    /// Waits until both ends of a link are connected.
    pub fn await_link(&self, one: &str, other: &str) {
        for (here, there) in [(one, other), (other, one)] {
            eventually(&format!("{here} is linked to {there}"), PATIENCE, || {
                self[here].peer(there).connected.then_some(())
            });
        }
    }

    /// The first partner creates a channel and shares it with the others, who accept.
    pub fn share(&self, channel: &str, partners: &[&str]) {
        let (owner, guests) = partners.split_first().expect("an owner");
        self[*owner].comity(&["channel", "create", channel]).ok();
        for guest in guests {
            self.admit(channel, owner, guest, "contributor");
        }
        self.await_members(channel, partners);
    }

    /// One member shares a channel with another partner, who accepts.
    pub fn admit(&self, channel: &str, member: &str, guest: &str, role: &str) {
        let share = ["channel", "share", channel, guest, "--role", role];
        self[member].comity(&share).ok();
        eventually(&format!("{guest} is invited"), PATIENCE, || {
            self[guest].channel(channel)
        });
        self[guest].comity(&["channel", "accept", channel]).ok();
    }

    /// Waits until each of these partners sees exactly these as active members.
    pub fn await_members(&self, channel: &str, partners: &[&str]) {
        let mut expected = partners.to_vec();
        expected.sort_unstable();
        for partner in partners {
            eventually(&format!("{partner} sees {expected:?}"), PATIENCE, || {
                let channel = self[*partner].channel(channel)?;
                let active = channel.members.iter().filter(|m| m.status == "active");
                let names: Vec<&str> = active.map(|m| m.partner.as_str()).collect();
                (names == expected).then_some(())
            });
        }
    }

    /// Waits until all these partners hold the same of what all members of a channel read; each
    /// may hold more besides.
    pub fn agree(&self, channel: &str, partners: &[&str]) {
        eventually(&format!("{partners:?} agree"), PATIENCE, || {
            let digests = partners.iter().flat_map(|p| self[*p].digests().channels);
            let compared: BTreeSet<(String, String)> = digests
                .filter(|digest| digest.channel == channel)
                .map(|digest| (digest.timeline, digest.state))
                .collect();
            (compared.len() == 1).then_some(())
        });
    }

    /// The id of the lane of a channel for these partners.
    pub fn lane(&self, channel: &str, form: LaneForm, partners: &[&str]) -> Vec<u8> {
        let id = |hex: &str| <[u8; 32]>::try_from(unhex(hex)).expect("an id");
        let at = &self[partners[0]];
        let channel = at.channel(channel).expect("the channel").id;
        let audience: BTreeSet<PartnerId> = partners
            .iter()
            .map(|partner| PartnerId(id(&self[*partner].status().partner_id)))
            .collect();
        lane_id(ChannelId(id(&channel)), form, &audience).0.to_vec()
    }

    /// Waits until all these partners hold the same.
    pub fn converge(&self, partners: &[&str]) -> Digests {
        eventually(&format!("{partners:?} converge"), PATIENCE, || {
            let digests: Vec<Digests> = partners.iter().map(|p| self[*p].digests()).collect();
            let first = &digests[0];
            let same = |other: &Digests| {
                (other.posts, &other.timeline, &other.state)
                    == (first.posts, &first.timeline, &first.state)
            };
            digests.iter().all(same).then(|| first.clone())
        })
    }
}

impl Index<&str> for Site {
    type Output = Node;

    fn index(&self, partner: &str) -> &Node {
        let found = self.nodes.iter().find(|node| node.name == partner);
        found.unwrap_or_else(|| panic!("no node of {partner} here"))
    }
}

impl IndexMut<&str> for Site {
    fn index_mut(&mut self, partner: &str) -> &mut Node {
        let found = self.nodes.iter_mut().find(|node| node.name == partner);
        found.unwrap_or_else(|| panic!("no node of {partner} here"))
    }
}

/// A UDP address that nobody else uses: all of 127/8 is this machine, so every node gets a
/// loopback address of its own, which no search for a free port could guarantee.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    assert!(
        number < u8::MAX,
        "more nodes than addresses for one process"
    );
    let [.., high, low] = std::process::id().to_be_bytes();
    // 127.0 is where everything else on the machine lives.
    let high = high.max(1);
    SocketAddr::from((Ipv4Addr::new(127, high, low, number), PORT))
}

/// The bytes of hexadecimal digits.
pub fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn words(file: PeeringFile) -> Vec<String> {
    file.words.expect("words, once both files are known")
}
