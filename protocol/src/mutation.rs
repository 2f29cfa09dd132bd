//! Deliberate faults in the merge, for tests that must notice them. Only the crate's own test
//! build has this module.

use std::cell::Cell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Which messages are flagged is not asked again when an invitation loses its effect.
    FlagsFollowEndingsAlone,
    /// The authority fold ignores concurrent revocations.
    RevocationNeverHits,
    /// The timeline orders by claimed time instead of by the greatest claimed time of the past.
    TimelineByClaimedTime,
    /// An event whose dependency is missing is accepted all the same.
    MissingDepsIgnored,
}

thread_local! {
    static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
}

/// Whether `mutation` is switched on in this thread.
pub fn is(mutation: Mutation) -> bool {
    ACTIVE.with(|active| active.get() == Some(mutation))
}

/// Runs `body` with one mutation switched on.
pub fn with<T>(mutation: Mutation, body: impl FnOnce() -> T) -> T {
    ACTIVE.with(|active| active.set(Some(mutation)));
    let result = body();
    ACTIVE.with(|active| active.set(None));
    result
}
