//! Makes a history that breaks something smaller, as long as it still breaks it.

use super::bits::Bits;
use super::check::{Broken, Violation, compare, few_lie, one_chain};
use super::history::{Event, History};

/// Drops one event after the other for as long as what is left is valid and still breaks the same.
pub fn minimise(history: History, violation: Violation) -> (History, Violation) {
    let (mut history, mut violation) = (history, violation);
    loop {
        let mut shorter = None;
        for at in (1..history.events.len()).rev() {
            shorter = drop(&history, &violation, at);
            if shorter.is_some() {
                break;
            }
        }
        let Some((less, same)) = shorter else {
            return (history, violation);
        };
        (history, violation) = (less, same);
    }
}

/// The history without one event; without what has it in its past, if it is not valid otherwise.
fn drop(history: &History, violation: &Violation, at: usize) -> Option<(History, Violation)> {
    let after = (at..history.events.len()).filter(|one| history.with(*one).has(at));
    let after: Vec<usize> = after.collect();
    [after, vec![at]].iter().find_map(|dropped| {
        let less = without(history, dropped)?;
        let take = |held: Bits| {
            dropped
                .iter()
                .rev()
                .fold(held, |held, at| held.without(*at))
        };
        let same = Violation {
            one: take(violation.one),
            other: take(violation.other),
            ..*violation
        };
        let broken = breaks(&less, &same)?;
        few_lie(&less).then_some((less, broken))
    })
}

/// The same events less some, if they are valid still.
fn without(history: &History, dropped: &[usize]) -> Option<History> {
    let mut less = History::new(history.setting.clone());
    for (at, event) in history.events.iter().enumerate() {
        if dropped.contains(&at) {
            continue;
        }
        let past = dropped
            .iter()
            .rev()
            .fold(event.past, |past, at| past.without(*at));
        let prev = less.tip(past, event.writer, event.lane);
        let seq = prev.map_or(1, |prev| less.events[prev].seq + 1);
        let event = Event {
            past,
            prev,
            seq,
            ..event.clone()
        };
        less.add(event).ok()?;
    }
    super::check::framed(&less).is_none().then_some(less)
}

fn breaks(history: &History, violation: &Violation) -> Option<Violation> {
    let found = match violation.broken {
        Broken::Uniqueness => one_chain(history, violation.lane),
        _ => compare(history, violation.lane, violation.one, violation.other),
    };
    found.err().filter(|found| found.broken == violation.broken)
}

/// The violation as people read it.
pub fn tell(history: &History, violation: &Violation) -> String {
    let list = |held: Bits| {
        held.iter()
            .map(|at| format!("e{at}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    format!(
        "{history}{:?} in lane {} between one who holds {}\nand one who holds {}\n",
        violation.broken,
        violation.lane,
        list(violation.one),
        list(violation.other)
    )
}
