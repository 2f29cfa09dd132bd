//! Links between nodes: reliable ordered streams, one per class, that come up, stall, and go down
//! with all that was under way. A frame is never lost or put out of order while its link lives, as
//! over QUIC; each end may learn of a link's end at another time.

use std::collections::BTreeMap;

use comity_protocol::replica::{Input, StreamClass};

use super::node::Waiting;
use super::{Happening, Swarm};

/// A pair of nodes that may have a link.
#[derive(Debug, Default)]
pub struct Link {
    pub up: bool,
    /// Counts its lives.
    pub number: u64,
    /// What each end takes for the present link, lower node first.
    pub believed: [Option<u64>; 2],
    /// No link before this.
    pub cut_until: u64,
    /// Nothing arrives before this, by direction: from the lower node first.
    pub blocked_until: [u64; 2],
    /// More delay until a time, ms.
    pub slow: (u64, u64),
    /// The sender's queue is full, by direction.
    pub full: [bool; 2],
    last_arrival: BTreeMap<(usize, StreamClass), u64>,
}

/// After so long without a word each end gives a link up (quinn's idle timeout), ms.
const IDLE_MS: u64 = 30_000;
/// A packet that was not acknowledged is sent again after so long and two journeys, then after
/// twice that, and so on (RFC 9002, section 6.2), ms.
const RESEND_MS: u64 = 25;
/// A frame that was sent again for so long arrives, ms.
const RESENT_WITHIN_MS: u64 = 3_000;

impl Swarm {
    /// The nodes of a link, lower first, and which of the two `one` is.
    fn ends(one: usize, other: usize) -> ((usize, usize), usize) {
        ((one.min(other), one.max(other)), usize::from(one > other))
    }

    pub fn link(&self, one: usize, other: usize) -> Option<&Link> {
        self.links.get(&Self::ends(one, other).0)
    }

    pub fn link_mut(&mut self, one: usize, other: usize) -> Option<&mut Link> {
        self.links.get_mut(&Self::ends(one, other).0)
    }

    pub fn is_linked(&self, one: usize, other: usize) -> bool {
        self.link(one, other).is_some_and(|link| link.up)
    }

    /// The node with which `node` believes to have a link to a partner, and the link's number.
    pub fn session(&self, node: usize, partner: usize) -> Option<(usize, u64)> {
        self.of_partner[partner].iter().find_map(|&other| {
            let (key, end) = Self::ends(node, other);
            let link = self.links.get(&key)?;
            Some((other, link.believed[end]?))
        })
    }

    /// One end tries to reach the other; it goes on trying.
    pub fn dial(&mut self, a: usize, b: usize) {
        let again = 600 + self.dice.below("dial", (a * 64 + b) as u64, 900);
        self.schedule(again, Happening::Dial { a, b });
        let can = self.nodes[a].is_up() && self.nodes[b].is_up();
        let paused = [a, b]
            .iter()
            .any(|node| self.nodes[*node].paused_until > self.now_ms);
        let free = self
            .link(a, b)
            .is_some_and(|link| !link.up && link.cut_until <= self.now_ms);
        // Twins are one partner: nobody has links to both.
        let taken = |one: usize, other: usize| {
            let mut twins = self.of_partner[self.nodes[other].partner].iter();
            twins.any(|twin| *twin != other && self.is_linked(one, *twin))
        };
        if !can || paused || !free || taken(a, b) || taken(b, a) || self.is_across(a, b) {
            return;
        }
        self.connect(a, b);
    }

    /// Whether one of the two is a twin that is not on the other's side now.
    fn is_across(&self, a: usize, b: usize) -> bool {
        let twin = |node: usize| self.of_partner[self.nodes[node].partner].len() > 1;
        let other = match (twin(a), twin(b)) {
            (true, false) => (a, b),
            (false, true) => (b, a),
            _ => return false,
        };
        let side = (self.sides >> other.1) & 1;
        let twins = &self.of_partner[self.nodes[other.0].partner];
        twins[side as usize] != other.0
    }

    fn connect(&mut self, a: usize, b: usize) {
        for (one, other) in [(a, b), (b, a)] {
            let partner = self.nodes[other].partner;
            if let Some((before, number)) = self.session(one, partner) {
                self.learn_down(one, before, number);
            }
        }
        let Some(link) = self.link_mut(a, b) else {
            return;
        };
        link.up = true;
        link.number += 1;
        link.believed = [Some(link.number); 2];
        link.full = [false; 2];
        link.last_arrival.clear();
        self.count("links up");
        for (one, other) in [(a, b), (b, a)] {
            self.nodes[one].backfill.remove(&other);
            let peer = self.id_of(other);
            self.oracles.entitlement.link_up(one, other);
            self.handle(one, Input::PeerUp { peer });
        }
    }

    /// A link goes down; each end learns of it in its own time. False where there was none.
    pub fn cut(&mut self, a: usize, b: usize) -> bool {
        let Some(link) = self.link_mut(a, b).filter(|link| link.up) else {
            return false;
        };
        link.up = false;
        let number = link.number;
        for (one, other) in [(a, b), (b, a)] {
            let actor = (one * 64 + other) as u64;
            let at_once = self.dice.percent("down-at-once", actor, 50);
            let after = match at_once {
                true => 1,
                false => self.dice.below("down", actor, IDLE_MS / 3),
            };
            let node = one;
            let peer = other;
            self.schedule(after, Happening::Down { node, peer, number });
        }
        true
    }

    /// Somebody cuts a link, and nothing links the two again for a while.
    pub fn sever(&mut self, a: usize, b: usize, for_ms: u64) {
        let until = self.now_ms + for_ms;
        if self.cut(a, b) {
            self.hit("cut");
        }
        if let Some(link) = self.link_mut(a, b) {
            link.cut_until = link.cut_until.max(until);
        }
    }

    /// An end learns that its link is down.
    pub fn learn_down(&mut self, node: usize, peer: usize, number: u64) {
        let (key, end) = Self::ends(node, peer);
        let believed = self.links.get_mut(&key).map(|link| &mut link.believed[end]);
        let Some(believed) = believed.filter(|believed| **believed == Some(number)) else {
            return;
        };
        *believed = None;
        let peer = self.id_of(peer);
        self.handle(node, Input::PeerDown { peer });
    }

    /// A node's end closes a link at once, both ways.
    pub fn hang_up(&mut self, node: usize, peer: usize) {
        let number = self.link(node, peer).map_or(0, |link| link.number);
        self.cut(node, peer);
        self.learn_down(node, peer, number);
    }

    /// A frame leaves a node; false where it goes nowhere.
    pub fn transmit(
        &mut self,
        from: usize,
        to: usize,
        number: u64,
        class: StreamClass,
        bytes: Vec<u8>,
    ) -> bool {
        let (key, end) = Self::ends(from, to);
        let actor = (from * 64 + to) as u64;
        let usual = 1 + self.dice.below("delay", actor, 2 * self.options.delay_ms);
        let now = self.now_ms;
        let takes = |link: &&mut Link| link.up && link.number == number && !link.full[end];
        if self.links.get_mut(&key).filter(takes).is_none() {
            self.hit("frame dropped");
            return false;
        }
        let late = self.weather(actor);
        let Some(link) = self.links.get_mut(&key) else {
            return false;
        };
        let slow = if link.slow.0 > now { link.slow.1 } else { 0 };
        let last = link.last_arrival.entry((end, class)).or_insert(0);
        let free = now + usual + late;
        let at = (free + slow).max(*last).max(link.blocked_until[end]);
        *last = at;
        let held_up = slow > 0 || link.blocked_until[end] > free;
        self.hit_times("frame delayed", u64::from(held_up));
        self.schedule(
            at - now,
            Happening::Deliver {
                from,
                to,
                number,
                class,
                bytes,
            },
        );
        true
    }

    /// How much later a frame comes because packets of it were lost and sent again, or because it
    /// took another way. What follows on its stream waits; the other streams overtake it.
    fn weather(&mut self, actor: u64) -> u64 {
        if self.healed {
            return 0;
        }
        let mut late = 0;
        let mut timeout = RESEND_MS + 2 * self.options.delay_ms;
        while late < RESENT_WITHIN_MS && self.dice.percent("loss", actor, self.options.loss) {
            self.hit("packet lost");
            late += timeout;
            timeout *= 2;
        }
        if self.dice.percent("jitter", actor, self.options.jitter) {
            self.hit("frame delayed");
            late += self.dice.between("detour", actor, 50, 1_500);
        }
        late
    }

    pub fn deliver(
        &mut self,
        (from, to): (usize, usize),
        number: u64,
        class: StreamClass,
        bytes: Vec<u8>,
    ) {
        let alive = self
            .link(from, to)
            .is_some_and(|link| link.up && link.number == number);
        if alive {
            let peer = self.id_of(from);
            self.handle(to, Input::Received { peer, class, bytes });
        } else {
            self.hit("frame dropped");
        }
    }

    /// A node's queue to another is full for a while.
    pub fn overflow(&mut self, from: usize, to: usize, for_ms: u64) {
        let (key, end) = Self::ends(from, to);
        let Some(link) = self
            .links
            .get_mut(&key)
            .filter(|link| link.up && link.believed[end] == Some(link.number) && !link.full[end])
        else {
            return;
        };
        link.full[end] = true;
        let number = link.number;
        self.hit("queue full");
        self.schedule(for_ms, Happening::Drained { from, to, number });
        let peer = self.id_of(to);
        self.handle(from, Input::Congested { peer });
    }

    pub fn drained(&mut self, from: usize, to: usize, number: u64) {
        let (key, end) = Self::ends(from, to);
        let Some(link) = self
            .links
            .get_mut(&key)
            .filter(|link| link.number == number && link.believed[end] == Some(number))
        else {
            return;
        };
        if std::mem::take(&mut link.full[end]) {
            self.oracles.entitlement.drained(from, to);
            self.nodes[from].backfill.remove(&to);
            // What was wished for before the machine knows that there is room again builds on frames
            // that were dropped: nothing of it goes out, as in a node.
            let waiting = &mut self.nodes[from].waiting;
            for it in waiting.iter_mut() {
                if let Waiting::Send(frame) = it
                    && frame.to == to
                {
                    frame.link = 0;
                }
            }
            let peer = self.id_of(to);
            self.handle(from, Input::Drained { peer });
        }
    }

    /// Cuts every link between a set of nodes and the others for a while.
    pub fn split(&mut self, set: u64, for_ms: u64) {
        for (a, b) in self.pairs() {
            if (set >> a) & 1 != (set >> b) & 1 {
                self.sever(a, b, for_ms);
            }
        }
    }

    /// Nothing arrives from one node at another for a while; a link that stays silent too long is
    /// given up.
    pub fn block(&mut self, from: usize, to: usize, for_ms: u64) {
        let until = self.now_ms + for_ms;
        let (key, end) = Self::ends(from, to);
        if let Some(link) = self.links.get_mut(&key) {
            link.blocked_until[end] = link.blocked_until[end].max(until);
            if for_ms >= IDLE_MS {
                self.cut(from, to);
            }
        }
    }

    pub fn pairs(&self) -> Vec<(usize, usize)> {
        self.links.keys().copied().collect()
    }

    /// Ends all disturbance of the links.
    pub fn heal_links(&mut self) {
        for link in self.links.values_mut() {
            link.cut_until = 0;
            link.blocked_until = [0; 2];
            link.slow = (0, 0);
        }
    }
}
