//! What must hold of what honest nodes see.

use super::acks::members;
use super::bits::Bits;
use super::history::{CONTROL, History, Kind};

/// A property that does not hold, in a lane, as two closed sets show it that honest nodes held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    pub broken: Broken,
    pub lane: usize,
    pub one: Bits,
    pub other: Bits,
}

/// What is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Different barriers stand.
    Uniqueness,
    /// The same barrier holds its events in different orders.
    Order,
    /// Something not under the barrier is sorted before something that is.
    BackDated,
    /// An event is sorted before one of its past.
    Causality,
    /// A flag below the barrier differs.
    Flags,
    /// Which acts below the barrier have effect differs.
    Authority,
    /// A key sank, or a late mark or finality was lost.
    Monotony,
    /// An honest partner is shown to lie.
    Framed,
    /// All was heard, nobody lied, and something is still not final.
    Liveness,
}

/// Compares two sets that honest nodes held, of one node or of two, at whatever times.
pub fn compare(history: &History, lane: usize, one: Bits, other: Bits) -> Result<(), Violation> {
    let fail = |broken| {
        Err(Violation {
            broken,
            lane,
            one,
            other,
        })
    };
    let (here, there) = (history.chain(one, lane), history.chain(other, lane));
    let common = here.len().min(there.len());
    if here[..common] != there[..common] {
        return fail(Broken::Uniqueness);
    }
    let below = match common {
        0 => Bits::EMPTY,
        _ => history.certificates[here[common - 1]].holds,
    };
    if lane == CONTROL {
        let acts = |held| history.view(held).effective & below;
        if acts(one) != acts(other) {
            return fail(Broken::Authority);
        }
    } else if history.flagged(one, lane) & below != history.flagged(other, lane) & below {
        return fail(Broken::Flags);
    }
    let (sorted, again) = (history.placed(one, lane), history.placed(other, lane));
    let under = |order: &[(usize, super::timeline::Placed)]| -> Vec<usize> {
        let events = order.iter().map(|(at, _)| *at);
        events.filter(|at| below.has(*at)).collect()
    };
    if under(&sorted) != under(&again) {
        return fail(Broken::Order);
    }
    for (order, chain) in [(&sorted, &here), (&again, &there)] {
        let holds = chain.last().map(|one| history.certificates[*one].holds);
        let holds = holds.unwrap_or(Bits::EMPTY);
        let mut above = false;
        let mut seen = Bits::EMPTY;
        for (at, _) in order {
            above |= !holds.has(*at);
            if above && holds.has(*at) {
                return fail(Broken::BackDated);
            }
            if history.events[*at]
                .past
                .meets(&(Bits::EMPTY | lane_rest(history, lane, order, seen)))
            {
                return fail(Broken::Causality);
            }
            seen.insert(*at);
        }
    }
    if one.within(&other) {
        for (at, placed) in &sorted {
            let Some((_, later)) = again.iter().find(|(same, _)| same == at) else {
                continue;
            };
            let lost = history.is_final(one, *at) && !history.is_final(other, *at);
            if later.key < placed.key || placed.late && !later.late || lost {
                return fail(Broken::Monotony);
            }
        }
    }
    Ok(())
}

/// The events of an order that were not met yet.
fn lane_rest(
    history: &History,
    lane: usize,
    order: &[(usize, super::timeline::Placed)],
    seen: Bits,
) -> Bits {
    let all = order
        .iter()
        .fold(Bits::EMPTY, |all, (at, _)| all | Bits::of(*at));
    (all & history.lane_events[lane]) - seen
}

/// Whether all barriers of a lane that stand by anything written so far are on one chain, whoever
/// holds what they stand by: somebody may be shown just that.
pub fn one_chain(history: &History, lane: usize) -> Result<(), Violation> {
    let mut all = Bits::EMPTY;
    (0..history.events.len()).for_each(|at| all.insert(at));
    let chain = history.chain(all, lane);
    for other in &history.by_number[lane] {
        if !chain.contains(other)
            && let Some(shown) = history.shown_standing(all, *other)
            && let Some(top) = chain.last()
        {
            return Err(Violation {
                broken: Broken::Uniqueness,
                lane,
                one: history.shown_standing(all, *top).unwrap_or(all),
                other: shown,
            });
        }
    }
    Ok(())
}

/// Whether fewer than a third of each set that bounds a forcing lie, at each forcing that somebody
/// acknowledges: what the promise asks for.
pub fn few_lie(history: &History) -> bool {
    history.ack_events.iter().all(|at| {
        let Some(ack) = history.acks[at].as_ref().filter(|ack| ack.forced != 0) else {
            return true;
        };
        ack.bounds.iter().all(|set| {
            let lie = members(*set).filter(|(one, _)| history.setting.liars >> one & 1 == 1);
            lie.count() * 3 < set.count_ones() as usize
        })
    })
}

/// Events of a lane that are no acks and not below its last standing barrier.
pub fn unsettled(history: &History, held: Bits, lane: usize) -> Bits {
    (held & history.lane_events[lane]) - history.ack_events - history.settled(held, lane)
}

/// Whether the honest are shown to lie by anything in the history.
pub fn framed(history: &History) -> Option<(usize, usize)> {
    let honest =
        |(one, _): &&(usize, usize)| history.setting.liars >> history.events[*one].author & 1 == 0;
    history.conflicts.iter().find(honest).copied()
}

/// Posts of a lane that are final by what is held.
pub fn final_posts(history: &History, held: Bits, lane: usize) -> usize {
    let posts = held & history.lane_events[lane];
    let posts = posts
        .iter()
        .filter(|at| history.events[*at].kind == Kind::Post);
    posts.filter(|at| history.is_final(held, *at)).count()
}
