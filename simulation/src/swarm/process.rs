//! Processes and their disks: starting, crashing, pausing, going back to an old copy.

use super::Swarm;
use super::node::{Waiting, restored};
use super::schedule::Verb;
use super::{Happening, Trouble};
use comity_protocol::replica::{Command, Output};

/// What a crash leaves of the write that was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    Lost,
    /// Some of its batches, from the first on.
    Torn,
    /// All of it, though nothing that waited for it was done.
    Whole,
}

impl Tail {
    pub fn of(number: u64) -> Tail {
        match number % 3 {
            0 => Tail::Lost,
            1 => Tail::Torn,
            _ => Tail::Whole,
        }
    }
}

impl Swarm {
    /// Somebody kills a node's process.
    pub fn crash_by_force(&mut self, node: usize, tail: Tail, down_ms: u64) {
        self.hit_times("crash", u64::from(self.nodes[node].is_up()));
        self.crash(node, tail, down_ms);
    }

    /// A node's process dies; it comes back after a while.
    pub fn crash(&mut self, node: usize, tail: Tail, down_ms: u64) {
        if !self.nodes[node].is_up() {
            return;
        }
        let writing = self.nodes[node].syncing.unwrap_or(0);
        let actor = node as u64;
        let kept = match tail {
            Tail::Lost => 0,
            Tail::Torn => self.dice.below("torn", actor, writing as u64 + 1) as usize,
            Tail::Whole => writing,
        };
        let batches: Vec<Waiting> = self.nodes[node].waiting.drain(..kept).collect();
        for batch in batches {
            if let Waiting::Other(Output::Append { rows }) = batch {
                self.nodes[node].disk.sync(rows);
            }
        }
        if writing > 0 {
            self.count(match tail {
                Tail::Lost => "crash lost a write",
                Tail::Torn => "crash tore a write",
                Tail::Whole => "crash after a write",
            });
        }
        let lost = self.nodes[node].waiting.iter();
        let lost = lost.filter(|it| matches!(it, Waiting::Other(Output::Append { .. })));
        let lost = lost.count() as u64;
        self.hit_times("write lost", lost);
        self.hit_times("tail torn", u64::from(kept > 0 && kept < writing));
        self.stop(node);
        self.schedule(down_ms, Happening::Start { node });
    }

    /// Ends a process and its links.
    pub fn stop(&mut self, node: usize) {
        let peers: Vec<usize> = (0..self.nodes.len()).filter(|it| *it != node).collect();
        self.nodes[node].end();
        for peer in peers {
            self.cut(node, peer);
            if let Some(link) = self.link_mut(node, peer) {
                let end = usize::from(node > peer);
                link.believed[end] = None;
            }
        }
        self.orders.retain(|_, order| order.node != node);
        self.oracles.acknowledged.stopped(node);
    }

    /// Starts a process on what its disk holds.
    pub fn start(&mut self, node: usize) {
        if self.nodes[node].is_up() || self.nodes[node].out_of_order || self.buried[node] {
            return;
        }
        if self.nodes[node].full_until > self.now_ms {
            let after = self.nodes[node].full_until - self.now_ms;
            return self.schedule(after, Happening::Start { node });
        }
        let seed = self.dice.bytes("replica", node as u64);
        let (partner, now_ms) = (self.nodes[node].partner, self.now_ms);
        let papers = &self.papers[partner];
        match self.nodes[node].start(papers, seed, now_ms) {
            Ok(()) => {
                self.count("starts");
                self.resume(node);
                self.expect_lost_seats(node);
            }
            Err(why) if self.nodes[node].disk.is_damaged() => {
                self.count("damage found at a start");
                self.log(node, || format!("does not start: {why}"));
                self.repair(node);
            }
            Err(why) => self.fail(
                "restart",
                format!("node {node} does not start again: {why}"),
            ),
        }
    }

    /// A process begins with what the machine wishes after it was put together, and its people
    /// take up what they were about.
    fn resume(&mut self, node: usize) {
        self.handle(node, comity_protocol::replica::Input::Wake);
        let replica = self.nodes[node].replica.as_ref();
        let channels: Vec<_> = replica
            .into_iter()
            .flat_map(|replica| replica.channels().keys().copied())
            .collect();
        for channel in channels {
            self.consider_invitation(node, channel);
        }
    }

    /// A node that found its disk damaged stops; its operator restores the last copy, or begins
    /// anew.
    pub fn repair(&mut self, node: usize) {
        if self.nodes[node].is_up() {
            self.stop(node);
        }
        let copy = self.nodes[node].snapshot.clone();
        let copy = copy.filter(|copy| !copy.is_damaged()).unwrap_or_default();
        self.nodes[node].disk = copy;
        self.went_back(node);
        let after = self.dice.between("repair", node as u64, 1_000, 8_000);
        self.schedule(after, Happening::Start { node });
    }

    /// A node's disk is an older one from now on. Its operator retires the writer that was in use;
    /// one in hostile hands goes on as if nothing had been.
    pub fn went_back(&mut self, node: usize) {
        let writers = &self.papers[self.nodes[node].partner].writers;
        let state = &mut self.nodes[node];
        state.restored = true;
        if !state.byzantine {
            state.retired = writers.len().min(state.retired + 1);
        }
        self.oracles.went_back(node);
    }

    /// After a restore the operator looks, once the node has had time to hear its past again,
    /// whether it has lost seats.
    fn expect_lost_seats(&mut self, node: usize) {
        if self.nodes[node].retired > 0 {
            let life = self.nodes[node].life;
            let after = self.dice.between("reseat", node as u64, 2_000, 12_000);
            self.schedule(after, Happening::Reseat { node, life });
        }
    }

    /// The partner's root gives the seats that were lost to the writer in use, which carries the
    /// root's word itself.
    pub fn reseat(&mut self, node: usize) {
        let lost = self.nodes[node].replica.as_ref();
        let lost = lost.map(|replica| replica.lost_seats());
        for lost in lost.unwrap_or_default() {
            let state = &mut self.nodes[node];
            state.lists = state.lists.max(lost.number) + 1;
            let papers = &self.papers[state.partner];
            let transfer = papers.sign_transfer(&lost, state.lists, state.retired);
            let command = Command::TransferSeat {
                channel: lost.channel,
                transfer: Box::new(transfer),
            };
            self.count("seats transferred");
            self.order(node, Verb::Grant, command);
        }
        self.expect_lost_seats(node);
    }

    /// What the operating system says to a write that ends now.
    pub fn trouble(&mut self, node: usize) -> Option<Trouble> {
        let now = self.now_ms;
        let state = &mut self.nodes[node];
        if std::mem::take(&mut state.sync_fails) {
            return Some(Trouble::SyncFailed);
        }
        (state.full_until > now).then_some(Trouble::Full)
    }

    /// Holds a node's disk against its machine: what starts again is what runs.
    pub fn restored_copy(
        &mut self,
        node: usize,
    ) -> Result<comity_protocol::replica::Replica, String> {
        let papers = &self.papers[self.nodes[node].partner];
        let state = &self.nodes[node];
        restored(papers, &state.disk, state.retired, [9; 32])
    }
}
