//! Making a failure small: actions are taken out of its schedule as long as the same oracle still
//! finds something.

use super::{Action, Options, Outcome, play};

/// The fewest actions found that still fail alike, and how the last run with them went, logged.
pub fn minimise(outcome: &Outcome, runs: usize) -> (Vec<Action>, Outcome) {
    let mut left = outcome.schedule.clone();
    let mut runs = runs;
    if let Some(failure) = &outcome.failure {
        // What comes after the failure cannot have led to it.
        let early: Vec<Action> = left
            .iter()
            .copied()
            .filter(|action| action.at_ms <= failure.at_ms)
            .collect();
        if fails_alike(&outcome.options, &early, failure.oracle) {
            left = early;
        }
        let mut size = (left.len() / 2).max(1);
        while runs > 0 {
            let before = left.len();
            take_out(&outcome.options, &mut left, size, failure.oracle, &mut runs);
            if size == 1 && left.len() == before {
                break;
            }
            size = (size / 2).max(1);
        }
    }
    let last = play(&outcome.options, &left, true);
    (left, last)
}

/// Takes out runs of `size` actions, one after the other, where the failure stays.
fn take_out(
    options: &Options,
    left: &mut Vec<Action>,
    size: usize,
    oracle: &str,
    runs: &mut usize,
) {
    let mut at = 0;
    while at < left.len() && *runs > 0 {
        let end = (at + size).min(left.len());
        let mut without = left.clone();
        without.drain(at..end);
        *runs -= 1;
        if fails_alike(options, &without, oracle) {
            *left = without;
        } else {
            at = end;
        }
    }
}

fn fails_alike(options: &Options, schedule: &[Action], oracle: &str) -> bool {
    let again = play(options, schedule, false);
    again
        .failure
        .is_some_and(|failure| failure.oracle == oracle)
}
