//! What is charged to whom: quotas delay, they never decide.
//!
//! An event over a quota is dropped for now and asked for again later. But what another writer's
//! event cites is taken at once, or an honest writer's events would wait for a dishonest one's
//! quota.

use std::collections::BTreeMap;

use crate::id::{ChannelId, LaneId, PartnerId, WriterId};
use crate::limits;
use crate::time::Instant;

/// A limit that a peer or its events came up against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Channels on offer by one peer.
    ChannelsOffered,
    /// Bytes of one peer's events that wait for their past.
    ParkedBytes,
    /// Secrets given to one peer in a second.
    KeysGiven,
    /// Lanes that one writer begins in a day.
    LanesPerWriter,
    /// Control events of one partner in a day.
    ControlEvents,
    /// The charter's byte budget for one partner and day.
    ByteBudget,
    /// What one peer's users type and whether they are there, in a second.
    Ephemeral,
    /// The driver's time for what a peer sends that brings nothing.
    WorkingTime,
}

impl Limit {
    /// A word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::ChannelsOffered => "channels_offered",
            Limit::ParkedBytes => "parked_bytes",
            Limit::KeysGiven => "keys_given",
            Limit::LanesPerWriter => "lanes_per_writer",
            Limit::ControlEvents => "control_events",
            Limit::ByteBudget => "byte_budget",
            Limit::Ephemeral => "ephemeral",
            Limit::WorkingTime => "working_time",
        }
    }
}

/// What an event that another partner wrote would add.
#[derive(Debug, Clone, Copy)]
pub struct Charge {
    pub channel: ChannelId,
    pub partner: PartnerId,
    pub writer: WriterId,
    /// The lane, where this is the writer's first event in it.
    pub begins: Option<LaneId>,
    pub control: bool,
    pub bytes: u64,
    /// The charter's byte budget; 0 for none.
    pub budget: u64,
}

/// What was taken of late. It begins with the process: a restart forgives.
#[derive(Debug, Default)]
pub struct Quotas {
    lanes: BTreeMap<(ChannelId, WriterId), Day>,
    control: BTreeMap<(ChannelId, PartnerId), Day>,
    bytes: BTreeMap<(ChannelId, PartnerId), Day>,
    /// Evidence that this node wrote.
    evidence: BTreeMap<ChannelId, Day>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Day {
    since: Instant,
    used: u64,
}

impl Day {
    fn used(self, now: Instant) -> u64 {
        if self.since.plus(limits::DAY_MS) <= now {
            0
        } else {
            self.used
        }
    }

    fn add(&mut self, amount: u64, now: Instant) {
        let used = self.used(now);
        if used == 0 {
            self.since = now;
        }
        self.used = used.saturating_add(amount);
    }
}

impl Quotas {
    /// The limit that an event would exceed, if any.
    pub fn exceeded(&self, charge: &Charge, now: Instant) -> Option<Limit> {
        let used = |day: Option<&Day>| day.map_or(0, |day| day.used(now));
        let of_partner = (charge.channel, charge.partner);
        let lanes = used(self.lanes.get(&(charge.channel, charge.writer)));
        if charge.begins.is_some() && lanes >= limits::LANES_PER_WRITER {
            return Some(Limit::LanesPerWriter);
        }
        if charge.control && used(self.control.get(&of_partner)) >= limits::CONTROL_EVENTS_PER_DAY {
            return Some(Limit::ControlEvents);
        }
        let bytes = used(self.bytes.get(&of_partner)).saturating_add(charge.bytes);
        (charge.budget > 0 && !charge.control && bytes > charge.budget).then_some(Limit::ByteBudget)
    }

    /// Charges a piece of evidence that this node is about to write; false where it has written
    /// enough for today.
    pub fn may_prove(&mut self, channel: ChannelId, now: Instant) -> bool {
        let day = self.evidence.entry(channel).or_default();
        let may = day.used(now) < limits::EVIDENCE_PER_DAY;
        if may {
            day.add(1, now);
        }
        may
    }

    /// Charges an event that was taken.
    pub fn take(&mut self, charge: &Charge, now: Instant) {
        let of_partner = (charge.channel, charge.partner);
        if charge.begins.is_some() {
            let lanes = self.lanes.entry((charge.channel, charge.writer));
            lanes.or_default().add(1, now);
        }
        if charge.control {
            self.control.entry(of_partner).or_default().add(1, now);
        } else if charge.budget > 0 {
            self.bytes
                .entry(of_partner)
                .or_default()
                .add(charge.bytes, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charge(lane: Option<u8>, control: bool) -> Charge {
        Charge {
            channel: ChannelId([1; 32]),
            partner: PartnerId([2; 32]),
            writer: WriterId([3; 32]),
            begins: lane.map(|lane| LaneId([lane; 32])),
            control,
            bytes: 100,
            budget: 1_000,
        }
    }

    #[test]
    fn a_writer_begins_so_many_lanes_a_day() {
        let mut quotas = Quotas::default();
        for lane in 0..64 {
            let charge = charge(Some(lane), false);
            let charge = Charge {
                budget: 0,
                ..charge
            };
            assert_eq!(quotas.exceeded(&charge, Instant(0)), None);
            quotas.take(&charge, Instant(0));
        }
        let one_more = Charge {
            budget: 0,
            ..charge(Some(64), false)
        };
        assert_eq!(
            quotas.exceeded(&one_more, Instant(1)),
            Some(Limit::LanesPerWriter)
        );
        assert_eq!(quotas.exceeded(&one_more, Instant(limits::DAY_MS)), None);
    }

    #[test]
    fn a_partner_writes_so_much_a_day() {
        let mut quotas = Quotas::default();
        for _ in 0..10 {
            assert_eq!(quotas.exceeded(&charge(None, false), Instant(0)), None);
            quotas.take(&charge(None, false), Instant(0));
        }
        let over = quotas.exceeded(&charge(None, false), Instant(0));
        assert_eq!(over, Some(Limit::ByteBudget));
        assert_eq!(quotas.exceeded(&charge(None, true), Instant(0)), None);
    }
}
