//! The order of a lane's events, and which of its messages are flagged, as a closed set gives them.

use super::acks::CertIx;
use super::bits::Bits;
use super::history::{CONTROL, History, Kind};

/// Where an event is sorted, and whether a barrier that lacks it has put it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// T, H, then what tells equal ones apart: writer, seq and id.
    pub key: (u32, u32, usize, u16, usize),
    pub late: bool,
}

impl History {
    /// T and H by claimed times and parents alone, whatever stands.
    pub fn static_key(&self, event: usize) -> (u32, u32) {
        let past = self.events[event].past;
        let time = past.iter().map(|parent| self.events[parent].time);
        let time = time.chain([self.events[event].time]).max();
        (time.unwrap_or(0), self.heights[event])
    }

    /// The keys of a lane's events.
    ///
    /// Layer by layer: an event that a barrier lacks gets a T at least the greatest of the
    /// barrier's events, and an H above theirs. Parents in the lane raise it by their own keys,
    /// parents in wider lanes by their static ones: what stands in a wider lane moves nothing in
    /// a narrower one.
    pub fn placed(&self, held: Bits, lane: usize) -> Vec<(usize, Placed)> {
        let events = held & self.lane_events[lane];
        let chain = self.chain(held, lane);
        let mut placed: Vec<Option<Placed>> = vec![None; self.events.len()];
        let mut floor: Option<(u32, u32)> = None;
        let mut below = Bits::EMPTY;
        let layers = chain.iter().map(|one| self.certificates[*one].holds);
        for layer in layers.chain([events]) {
            for at in ((layer & events) - below).iter() {
                placed[at] = Some(self.place(at, lane, &placed, floor));
            }
            below |= layer & events;
            let keys = below.iter().filter_map(|at| placed[at]);
            let keys: Vec<_> = keys.map(|placed| placed.key).collect();
            let time = keys.iter().map(|key| key.0).max();
            let height = keys.iter().map(|key| key.1).max();
            floor = time.zip(height);
        }
        let mut order: Vec<(usize, Placed)> = events
            .iter()
            .filter_map(|at| Some((at, placed[at]?)))
            .collect();
        order.sort_by_key(|(_, placed)| placed.key);
        order
    }

    fn place(
        &self,
        at: usize,
        lane: usize,
        placed: &[Option<Placed>],
        floor: Option<(u32, u32)>,
    ) -> Placed {
        let event = &self.events[at];
        let (mut time, mut height) = (event.time, 1);
        for parent in event.past.iter() {
            let (above, below) = match placed[parent] {
                Some(placed) if self.events[parent].lane == lane => (placed.key.0, placed.key.1),
                _ => self.static_key(parent),
            };
            time = time.max(above);
            height = height.max(below + 1);
        }
        let mut late = false;
        if let Some((least, greatest)) = floor {
            let lowest = greatest + u32::from(self.setting.rules.late_above);
            late = (time, height) < (least, lowest);
            if late {
                time = time.max(least);
                height = height.max(lowest);
            }
        }
        Placed {
            key: (time, height, event.writer, event.seq, at),
            late,
        }
    }

    /// The messages of a lane that are flagged: written without knowing of the end of their
    /// author's membership, and not vouched for by a remaining member up to its cut.
    ///
    /// What a barrier holds is judged by what that barrier holds, the rest by all that is held.
    pub fn flagged(&self, held: Bits, lane: usize) -> Bits {
        let mut flagged = Bits::EMPTY;
        let mut decided = Bits::EMPTY;
        let chain = match self.setting.rules.flags_by_barrier {
            true => self.chain(held, lane),
            false => Vec::new(),
        };
        let layers = chain
            .iter()
            .map(|one: &CertIx| self.certificates[*one].holds);
        for layer in layers.chain([self.visible(held, lane)]) {
            let fresh = (layer & self.lane_events[lane]) - decided;
            flagged |= self.not_standing(layer, lane, fresh, flagged, decided) & fresh;
            decided |= fresh;
        }
        let posts = flagged
            .iter()
            .filter(|at| self.events[*at].kind == Kind::Post);
        posts.fold(Bits::EMPTY, |posts, at| posts | Bits::of(at))
    }

    /// The least set of events that stand, turned around; those decided stay as they are.
    fn not_standing(
        &self,
        held: Bits,
        lane: usize,
        fresh: Bits,
        flagged: Bits,
        decided: Bits,
    ) -> Bits {
        let view = self.view(held);
        let all = held & self.lane_events[lane];
        let strikes = |at: usize| {
            let event = &self.events[at];
            let endings = view.endings.iter();
            endings
                .filter(|(act, partner)| *partner == event.author && !event.past.has(*act))
                .map(|(act, _)| *act)
                .collect::<Vec<usize>>()
        };
        let mut standing = decided - flagged;
        for at in fresh.iter() {
            if strikes(at).is_empty() {
                standing.insert(at);
            }
        }
        loop {
            let before = standing;
            for at in (fresh - standing).iter() {
                let vouched = strikes(at).into_iter().all(|act| {
                    (standing & all).iter().any(|other| {
                        self.events[other].author != self.events[at].author
                            && self.events[other].past.has(at)
                            && self.vouches(other, act)
                    })
                });
                if vouched {
                    standing.insert(at);
                }
            }
            if standing == before {
                return all - standing;
            }
        }
    }

    /// Whether an event does not know of an ending, or belongs to the row of cuts that first does.
    fn vouches(&self, at: usize, act: usize) -> bool {
        let event = &self.events[at];
        if !event.past.has(act) {
            return true;
        }
        if event.kind != Kind::Cut {
            return false;
        }
        let frontier = self.control(event.past);
        let mut first = at;
        while let Some(prev) = self.events[first].prev
            && self.events[prev].past.has(act)
        {
            let one = &self.events[prev];
            if one.kind != Kind::Cut || self.control(one.past) != frontier {
                return false;
            }
            first = prev;
        }
        true
    }

    /// Whether a post is final: its lane's barrier holds it, and the control lane's barrier its
    /// control frontier.
    pub fn is_final(&self, held: Bits, at: usize) -> bool {
        let event = &self.events[at];
        self.settled(held, event.lane).has(at)
            && self
                .control(event.past)
                .within(&self.settled(held, CONTROL))
    }
}
