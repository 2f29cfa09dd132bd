//! What is done to links, processes, disks and clocks.

use super::process::Tail;
use super::schedule::{Action, Verb};
use super::{Happening, Swarm};

impl Swarm {
    pub(super) fn act_on(&mut self, action: Action) {
        self.trace.number(action.b ^ (action.verb as u64) << 56);
        if action.verb.is_order() {
            return self.order_of(action);
        }
        if action.verb.is_byzantine() {
            return self.lie(action);
        }
        let node = (action.node % self.nodes.len() as u64) as usize;
        let other = self.other_than(node, action.a);
        self.count(action.verb.word());
        self.log(node, || format!("*** {}", action.line()));
        let long = |most: u64| 200 + action.b % most;
        match action.verb {
            Verb::Cut => self.sever(node, other, long(8_000)),
            Verb::Clog => self.block(node, other, long(12_000)),
            Verb::Slow => {
                let until = self.now_ms + long(20_000);
                if let Some(link) = self.link_mut(node, other) {
                    link.slow = (until, 200 + action.a % 2_500);
                }
            }
            Verb::Split => self.split(action.a, long(15_000)),
            Verb::OneWay => {
                for (a, b) in self.pairs() {
                    match ((action.a >> a) & 1, (action.a >> b) & 1) {
                        (1, 0) => self.block(a, b, long(10_000)),
                        (0, 1) => self.block(b, a, long(10_000)),
                        _ => {}
                    }
                }
            }
            Verb::Isolate => self.split(1 << node, long(12_000)),
            Verb::Flap => {
                self.sever(node, other, 0);
                self.repeat(action);
            }
            Verb::Overflow => {
                self.overflow(node, other, long(1_500));
                self.repeat(action);
            }
            _ => self.hurt(node, action),
        }
    }

    /// What comes up to eight times in a row.
    fn repeat(&mut self, action: Action) {
        if !action.a.is_multiple_of(8) && !self.healed {
            let a = action.a - 1;
            self.schedule(700 + action.b % 900, Happening::Act(Action { a, ..action }));
        }
    }

    /// What is done to one node.
    fn hurt(&mut self, node: usize, action: Action) {
        let now = self.now_ms;
        let long = |most: u64| 200 + action.b % most;
        self.count_hit(node, action.verb);
        match action.verb {
            // Half of them fall into the next write, as most that matter do.
            Verb::Crash if action.b.is_multiple_of(2) => {
                self.nodes[node].doom = Some((Tail::of(action.a), long(6_000)));
            }
            Verb::Crash => self.crash_by_force(node, Tail::of(action.a), long(6_000)),
            // One pause does not grow into the next: what waits for its end keeps its order.
            Verb::Pause if self.nodes[node].paused_until > now => {}
            Verb::Pause => self.nodes[node].paused_until = now + long(9_000),
            Verb::Snapshot => self.nodes[node].snapshot = Some(self.nodes[node].disk.clone()),
            Verb::Rollback => {
                if let Some(copy) = self.nodes[node].snapshot.clone() {
                    if self.nodes[node].is_up() {
                        self.stop(node);
                    }
                    self.nodes[node].disk = copy;
                    self.hit("disk rolled back");
                    self.went_back(node);
                    self.schedule(long(2_000), Happening::Start { node });
                }
            }
            Verb::Wipe => {
                if self.nodes[node].is_up() {
                    self.stop(node);
                }
                self.nodes[node].disk = crate::disk::Disk::default();
                self.hit("disk wiped");
                self.nodes[node].snapshot = None;
                self.went_back(node);
                self.schedule(long(3_000), Happening::Start { node });
            }
            Verb::Rot => self.damage(node, action.a),
            Verb::Misdirect => {
                // A write that lands on another row damages both.
                self.damage(node, action.a);
                self.damage(node, action.a / 7);
            }
            Verb::SyncError => self.nodes[node].sync_fails = true,
            Verb::Full => self.nodes[node].full_until = now + long(5_000),
            Verb::Stall => self.nodes[node].stalled_until = now + long(4_000),
            Verb::Drift => {
                let ppm = (action.a % 100_000) as i64 - 50_000;
                self.nodes[node].clock.drift(ppm, now);
            }
            Verb::Jump => {
                let ms = (action.b % 7_200_000) as i64;
                let ms = if action.a.is_multiple_of(2) { ms } else { -ms };
                self.nodes[node].clock.jump(ms);
            }
            Verb::Stick => self.nodes[node].clock.stick(now),
            Verb::Mend => self.nodes[node].clock.mend(now),
            Verb::Canary => self.nodes[node].disk = crate::disk::Disk::default(),
            _ => {}
        }
        self.reset_alarm(node);
    }

    /// What is done to a node hits it as long as its process runs. The rest is counted where it
    /// shows: at a write, a frame or a row.
    fn count_hit(&mut self, node: usize, verb: Verb) {
        let kind = match verb {
            Verb::Pause => "pause",
            Verb::Drift | Verb::Jump | Verb::Stick => "clock",
            _ => return,
        };
        self.hit_times(kind, u64::from(self.nodes[node].is_up()));
    }

    fn damage(&mut self, node: usize, number: u64) {
        let damaged = self.nodes[node].disk.damage(number);
        self.hit_times("row damaged", u64::from(damaged));
    }

    /// A clock that changed its speed rings at another time.
    fn reset_alarm(&mut self, node: usize) {
        if let Some(instant) = self.nodes[node].wake_at {
            self.nodes[node].alarm = None;
            self.set_alarm(node, instant);
        }
    }

    fn other_than(&self, node: usize, number: u64) -> usize {
        let others = self.nodes.len() - 1;
        (node + 1 + (number as usize) % others.max(1)) % self.nodes.len()
    }
}
