//! Turns among peers, by what each has cost: start-time fair queueing.
//!
//! Whoever has cost least so far is served next, whatever the others have waiting. So a peer that
//! floods slows itself down: among `n` busy peers, each gets an `n`th of the time, and one that
//! needs less than that hardly waits.
//!
//! Source: Goyal, Vin and Cheng, "Start-time Fair Queueing", SIGCOMM 1996; here the costs are
//! measured once they have arisen, since what a frame costs cannot be told from its length.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use comity_protocol::id::PartnerId;

/// What waits, a line for each peer. A line stays once its peer was seen: some hundred bytes each,
/// and peers come with the operator's approval only.
#[derive(Debug)]
pub struct Turns<T> {
    lines: BTreeMap<PartnerId, Line<T>>,
    /// What the line last served had cost by then. No line that begins to wait counts as having
    /// cost less: being idle saves nothing up.
    floor: Duration,
}

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<T>,
    cost: Duration,
}

impl<T> Turns<T> {
    pub fn push(&mut self, peer: PartnerId, item: T) {
        let line = self.lines.entry(peer).or_insert_with(|| Line {
            waiting: VecDeque::new(),
            cost: Duration::ZERO,
        });
        if line.waiting.is_empty() {
            line.cost = line.cost.max(self.floor);
        }
        line.waiting.push_back(item);
    }

    /// The next item of those peers that `may` be served; items of one peer come in their order.
    pub fn pop(&mut self, may: impl Fn(&PartnerId) -> bool) -> Option<(PartnerId, T)> {
        let waiting = self
            .lines
            .iter_mut()
            .filter(|(_, line)| !line.waiting.is_empty());
        let mut first: Option<(&PartnerId, &mut Line<T>)> = None;
        for (peer, line) in waiting {
            if !may(peer) {
                // It is idle for now.
                line.cost = line.cost.max(self.floor);
            } else if first
                .as_ref()
                .is_none_or(|(_, first)| line.cost < first.cost)
            {
                first = Some((peer, line));
            }
        }
        let (peer, line) = first?;
        self.floor = self.floor.max(line.cost);
        let item = line.waiting.pop_front()?;
        Some((*peer, item))
    }

    /// Adds what serving a peer has cost.
    pub fn charge(&mut self, peer: &PartnerId, cost: Duration) {
        if let Some(line) = self.lines.get_mut(peer) {
            line.cost += cost;
        }
    }
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            lines: BTreeMap::new(),
            floor: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn peer(number: u8) -> PartnerId {
        PartnerId([number; 32])
    }

    /// Serves everything, each item at its peer's price, and says who was served.
    fn serve(turns: &mut Turns<u32>, price: impl Fn(u8) -> u32, items: usize) -> Vec<u8> {
        let mut served = Vec::new();
        for _ in 0..items {
            let Some((peer, _)) = turns.pop(|_| true) else {
                break;
            };
            turns.charge(&peer, price(peer.0[0]) * MS);
            served.push(peer.0[0]);
        }
        served
    }

    #[test]
    fn a_flood_waits_and_who_sends_little_does_not() {
        let mut turns = Turns::default();
        (0..1_000).for_each(|item| turns.push(peer(1), item));
        assert_eq!(serve(&mut turns, |_| 1, 100), [1; 100]);
        turns.push(peer(2), 0);
        let served = serve(&mut turns, |_| 1, 2);
        assert!(served.contains(&2), "it waits for one item at most");
    }

    #[test]
    fn time_is_shared_not_items() {
        let mut turns = Turns::default();
        for item in 0..1_000 {
            turns.push(peer(1), item);
            turns.push(peer(2), item);
        }
        let served = serve(&mut turns, |peer| if peer == 1 { 9 } else { 1 }, 500);
        let dear = served.iter().filter(|&&peer| peer == 1).count();
        assert_eq!(dear, 50);
    }

    #[test]
    fn idle_time_is_not_saved_up() {
        let mut turns = Turns::default();
        (0..500).for_each(|item| turns.push(peer(1), item));
        serve(&mut turns, |_| 1, 200);
        (0..500).for_each(|item| turns.push(peer(2), item));
        let served = serve(&mut turns, |_| 1, 100);
        let late = served.iter().filter(|&&peer| peer == 2).count();
        assert!((49..=51).contains(&late), "{late} of 100");
    }

    #[test]
    fn who_may_not_be_served_keeps_its_order_and_its_place() {
        let mut turns = Turns::default();
        turns.push(peer(1), 1);
        turns.push(peer(1), 2);
        turns.push(peer(2), 3);
        assert_eq!(turns.pop(|of| *of != peer(1)), Some((peer(2), 3)));
        assert_eq!(turns.pop(|of| *of != peer(1)), None);
        assert_eq!(turns.pop(|_| true), Some((peer(1), 1)));
        assert_eq!(turns.pop(|_| true), Some((peer(1), 2)));
    }
}
