//! The timeline, and which messages are shown, flagged or erased (section 12).

use std::collections::BTreeMap;

use super::lanes::Ending;
use super::{Ids, Oracle};
use crate::event::Kind;
use crate::id::EventId;

impl Oracle {
    /// All messages, whatever became of them, in order.
    pub fn messages(&self) -> Vec<EventId> {
        let sealed = |id: &&EventId| self.event(id).header.kind().is_sealed();
        let mut order: Vec<EventId> = self.facts.keys().filter(sealed).copied().collect();
        order.sort_by_key(|id| {
            let (facts, header) = (&self.facts[id], &self.event(id).header);
            let key = (facts.t, facts.h, header.writer, header.lane);
            (key, header.seq, *id)
        });
        order
    }

    /// The messages that no former member slipped in.
    pub fn timeline(&self) -> Vec<EventId> {
        let flagged = self.flagged();
        let mut messages = self.messages();
        messages.retain(|id| !flagged.contains(id));
        messages
    }

    pub fn erased(&self) -> Ids {
        let flagged = self.flagged();
        let in_effect =
            |id: &&EventId| self.event(id).header.kind() == Kind::Redact && !flagged.contains(*id);
        let redactions = self.facts.keys().filter(in_effect);
        let targets = redactions.filter_map(|id| self.about(id));
        targets.filter(|id| !flagged.contains(id)).collect()
    }

    pub fn flagged(&self) -> Ids {
        let standing = self.what_stands();
        let messages = self.messages().into_iter();
        messages.filter(|id| !standing.contains(id)).collect()
    }

    /// The least set in which every event is vouched for, against each ending that it did not
    /// know of, by one that is in the set.
    fn what_stands(&self) -> Ids {
        let endings = self.endings(&self.present());
        let messages = self.facts.keys().filter(|id| !self.is_control(id));
        let mut doubtful: BTreeMap<EventId, Vec<Ending>> = messages
            .map(|id| (*id, self.endings_unknown_to(id, &endings)))
            .collect();
        let mut standing = Ids::new();
        loop {
            let stands = |(id, endings): (&EventId, &Vec<Ending>)| {
                let vouched = |ending: &Ending| {
                    standing
                        .iter()
                        .any(|voucher| self.vouches(voucher, id, ending))
                };
                endings.iter().all(vouched).then_some(*id)
            };
            let next: Ids = doubtful.iter().filter_map(stands).collect();
            if next.is_empty() {
                return standing;
            }
            doubtful.retain(|id, _| !next.contains(id));
            standing.extend(next);
        }
    }

    /// The endings in whose scope the event's writer is and which its frontier lacks.
    fn endings_unknown_to(&self, id: &EventId, endings: &[Ending]) -> Vec<Ending> {
        let (author, writer) = (self.author(id), self.event(id).header.writer);
        let concerns = |ending: &&Ending| {
            ending.has_in_scope(author, writer)
                && self.lane_of(id).audience.contains(&ending.partner)
                && !self.frontier(id).contains(&ending.act)
        };
        endings.iter().filter(concerns).copied().collect()
    }

    /// Whether `voucher` shows that its writer held `id` when it learned of the ending.
    fn vouches(&self, voucher: &EventId, id: &EventId, ending: &Ending) -> bool {
        let same_lane = self.event(voucher).header.lane == self.event(id).header.lane;
        let (author, writer) = (self.author(voucher), self.event(voucher).header.writer);
        same_lane
            && !ending.has_in_scope(author, writer)
            && self.past(voucher).contains(id)
            && (!self.frontier(voucher).contains(&ending.act) || self.is_cut_for(voucher, ending))
    }

    /// Whether the event is in the unbroken row of cuts that begins with the first event of its
    /// log that knows of the ending, and knows of no new admission.
    fn is_cut_for(&self, id: &EventId, ending: &Ending) -> bool {
        let header = &self.event(id).header;
        if header.kind() != Kind::Cut {
            return false;
        }
        let effective = &self.present().effective;
        let mut in_effect = self.frontier(id).intersection(effective);
        if in_effect.any(|act| self.readmits(act, ending.partner, &ending.act)) {
            return false;
        }
        let knows = |id: &EventId| self.frontier(id).contains(&ending.act);
        match header.prev.filter(|prev| knows(prev)) {
            Some(prev) => self.is_cut_for(&prev, ending),
            None => true,
        }
    }
}
