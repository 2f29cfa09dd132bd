//! How much of this node's time each peer may take for what brings nothing.
//!
//! Questions, claims and events that are held already cost their receiver something and their
//! sender hardly anything. So each peer has an allowance of the driver's time for them, which fills
//! with time and never beyond a burst. Each event that a frame brings, to check or to store, has some
//! time of its own besides.

use std::collections::BTreeMap;
use std::time::Duration;

use comity_protocol::id::PartnerId;
use tokio::time::Instant;

/// Part of the time that a peer may take in the long run: a tenth. An honest peer takes a
/// hundredth of that.
const SHARE: u32 = 10;
/// What may be taken at once: a peer that was away for long tells and asks a lot when it is back,
/// some 2 µs for each log.
const BURST: Duration = Duration::from_secs(1);

/// Each peer's allowance. One that is not listed has all of it.
#[derive(Debug, Default)]
pub struct WorkingTime {
    /// When the allowance is, or was, whole again.
    whole_at: BTreeMap<PartnerId, Instant>,
}

impl WorkingTime {
    /// Takes something off a peer's allowance. True if it has used it up with that.
    pub fn spend(&mut self, peer: &PartnerId, cost: Duration, now: Instant) -> bool {
        let had = self.may(peer, now);
        let whole_at = self.whole_at.entry(*peer).or_insert(now);
        *whole_at = (*whole_at).max(now) + cost * SHARE;
        had && !self.may(peer, now)
    }

    /// Whether anything is left of a peer's allowance.
    pub fn may(&self, peer: &PartnerId, now: Instant) -> bool {
        self.relief(peer, now).is_none()
    }

    /// How long until the first of those without allowance has some again.
    pub fn next_relief(&self, now: Instant) -> Option<Duration> {
        let waiting = self.whole_at.keys();
        waiting.filter_map(|peer| self.relief(peer, now)).min()
    }

    fn relief(&self, peer: &PartnerId, now: Instant) -> Option<Duration> {
        let whole_at = self.whole_at.get(peer)?;
        let missing = whole_at.saturating_duration_since(now);
        missing
            .checked_sub(BURST * SHARE)
            .filter(|debt| !debt.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PartnerId = PartnerId([1; 32]);

    #[test]
    fn a_peer_may_take_a_burst_and_then_a_tenth_of_the_time() {
        let begun = Instant::now();
        let mut time = WorkingTime::default();
        assert!(!time.spend(&PEER, BURST, begun));
        assert!(
            time.spend(&PEER, Duration::from_millis(1), begun),
            "it is used up now"
        );
        assert!(
            !time.spend(&PEER, Duration::from_millis(1), begun),
            "and was before"
        );
        assert!(time.may(&PartnerId([2; 32]), begun), "another has its own");
        let relief = time.next_relief(begun).expect("it has to wait");
        assert_eq!(relief, Duration::from_millis(20));
        assert!(time.may(&PEER, begun + relief));
        let mut taken = Duration::ZERO;
        for ms in 0..10_000u64 {
            let now = begun + relief + Duration::from_millis(ms);
            if time.may(&PEER, now) {
                time.spend(&PEER, Duration::from_millis(3), now);
                taken += Duration::from_millis(3);
            }
        }
        let (least, most) = (Duration::from_millis(990), Duration::from_millis(1_010));
        assert!((least..=most).contains(&taken), "{taken:?} of ten seconds");
    }
}
