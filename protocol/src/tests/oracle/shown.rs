//! The timeline, and which messages are shown, flagged or erased (section 12).

use std::collections::{BTreeMap, BTreeSet};

use super::lanes::Ending;
use super::{Ids, Oracle, View};
use crate::event::Kind;
use crate::id::{EventId, LaneId, PartnerId};

/// Why an event stands only if somebody vouches for it.
enum Strike {
    /// Its author's membership has ended, or its writer was displaced.
    Ending(Ending),
    /// What admitted its author has no effect.
    NoStanding(PartnerId),
}

impl Oracle {
    /// All messages, whatever became of them, in order.
    pub fn messages(&self) -> Vec<EventId> {
        let sealed = |id: &&EventId| self.event(id).header.kind().is_sealed();
        let mut order: Vec<EventId> = self.facts.keys().filter(sealed).copied().collect();
        let lanes: BTreeSet<LaneId> = order.iter().map(|id| self.event(id).header.lane).collect();
        let mut got = BTreeMap::new();
        for lane in lanes {
            got.extend(self.got(lane).0);
        }
        order.sort_by_key(|id| {
            let header = &self.event(id).header;
            let key = (got[id], header.writer, header.lane);
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

    /// What is withdrawn by a redaction that stands in a lane.
    pub fn redacted_within(&self, lane: LaneId) -> Ids {
        let flagged = self.flagged();
        let in_effect = |id: &&EventId| {
            let header = &self.event(id).header;
            header.kind() == Kind::Redact && header.lane == lane && !flagged.contains(*id)
        };
        let redactions = self.facts.keys().filter(in_effect);
        redactions.filter_map(|id| self.about(id)).collect()
    }

    pub fn flagged(&self) -> Ids {
        let standing = self.what_stands();
        let messages = self.messages().into_iter();
        messages.filter(|id| !standing.contains(id)).collect()
    }

    /// In each lane, layer by layer: what a standing barrier holds is judged by that alone, the
    /// rest by all.
    fn what_stands(&self) -> Ids {
        let all = self.all();
        let messages = all.iter().filter(|id| !self.is_control(id));
        let mut lanes: BTreeMap<LaneId, Ids> = BTreeMap::new();
        for id in messages {
            let lane = self.event(id).header.lane;
            lanes.entry(lane).or_default().insert(*id);
        }
        let mut standing = Ids::new();
        for (lane, mut rest) in lanes {
            for (layer, barrier) in self.layers(lane, &all) {
                let own: Ids = layer.intersection(&rest).copied().collect();
                rest.retain(|id| !own.contains(id));
                let view = self.view(&barrier.holds);
                self.what_stands_by(&view, own, &mut standing);
            }
            self.what_stands_by(&self.present(), rest, &mut standing);
        }
        standing
    }

    /// Adds the least set in which every event of a layer is vouched for, against all that strikes
    /// it in this view, by events that stand.
    fn what_stands_by(&self, view: &View, layer: Ids, standing: &mut Ids) {
        let endings = self.endings(view);
        let mut doubtful: BTreeMap<EventId, Vec<Strike>> = layer
            .into_iter()
            .map(|id| (id, self.strikes_on(&id, &endings, view)))
            .collect();
        loop {
            let stands = |(id, strikes): (&EventId, &Vec<Strike>)| {
                let vouched = |strike: &Strike| {
                    standing
                        .iter()
                        .any(|voucher| self.vouches(voucher, id, strike, view))
                };
                strikes.iter().all(vouched).then_some(*id)
            };
            let next: Ids = doubtful.iter().filter_map(stands).collect();
            if next.is_empty() {
                return;
            }
            doubtful.retain(|id, _| !next.contains(id));
            standing.extend(next);
        }
    }

    /// The endings in whose scope the event is and which its frontier lacks; and that its author
    /// is without standing.
    fn strikes_on(&self, id: &EventId, endings: &[Ending], view: &View) -> Vec<Strike> {
        let author = self.author_of_log(id);
        let concerns = |ending: &&Ending| {
            self.is_in_scope(id, ending)
                && self.lane_of(id).audience.contains(&ending.partner)
                && !self.frontier(id).contains(&ending.act)
        };
        let endings = endings.iter().filter(concerns).copied();
        let stranger = !view.members.contains_key(&author);
        let no_standing = stranger.then_some(Strike::NoStanding(author));
        endings.map(Strike::Ending).chain(no_standing).collect()
    }

    fn is_in_scope(&self, id: &EventId, ending: &Ending) -> bool {
        ending.has_in_scope(self.author_of_log(id), self.event(id).header.writer)
    }

    /// Of a log the author of its first event counts.
    pub(super) fn author_of_log(&self, id: &EventId) -> PartnerId {
        match self.event(id).header.prev {
            Some(prev) => self.author_of_log(&prev),
            None => self.author(id),
        }
    }

    /// Whether `voucher` shows that its writer, whom the strike does not concern, held `id`; for
    /// an ending, that it held it when it learned of that.
    fn vouches(&self, voucher: &EventId, id: &EventId, strike: &Strike, view: &View) -> bool {
        let same_lane = self.event(voucher).header.lane == self.event(id).header.lane;
        same_lane
            && self.past(voucher).contains(id)
            && match strike {
                Strike::NoStanding(author) => self.author_of_log(voucher) != *author,
                Strike::Ending(ending) => {
                    let is_aware = self.frontier(voucher).contains(&ending.act);
                    !self.is_in_scope(voucher, ending)
                        && (!is_aware || self.is_cut_for(voucher, ending, view))
                }
            }
    }

    /// Whether the event is a cut under the control frontier of the first event of its log that
    /// knows of the ending, with nothing but such cuts from there on, and the former member has
    /// not come back in that frontier.
    fn is_cut_for(&self, id: &EventId, ending: &Ending, view: &View) -> bool {
        let header = &self.event(id).header;
        if header.kind() != Kind::Cut {
            return false;
        }
        let mut in_effect = self.frontier(id).intersection(&view.effective);
        if in_effect.any(|act| self.readmits(act, ending.partner, &ending.act)) {
            return false;
        }
        let knows = |id: &EventId| self.frontier(id).contains(&ending.act);
        match header.prev.filter(|prev| knows(prev)) {
            Some(prev) => {
                self.frontier(&prev) == self.frontier(id) && self.is_cut_for(&prev, ending, view)
            }
            None => true,
        }
    }
}
