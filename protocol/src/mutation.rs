//! Deliberate faults in the merge, for tests that must notice them. Only the crate's own test
//! build has this module.

use std::cell::Cell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Which messages are flagged is not asked again when an invitation loses its effect, or gives
    /// a standing to whoever had none.
    FlagsFollowEndingsAlone,
    /// The authority fold ignores concurrent revocations.
    RevocationNeverHits,
    /// The timeline orders by claimed time instead of by the greatest claimed time of the past.
    TimelineByClaimedTime,
    /// An event whose dependency is missing is accepted all the same.
    MissingDepsIgnored,
    /// After a membership ended, a writer goes on without its cut.
    CutNotDemanded,
    /// What a writer has heard after its cut, it vouches for, too.
    CutVouchesForLater,
    /// A key event may say any audience, whatever the lane's id.
    AudienceUnchecked,
    /// An event may be about what not all of its readers may read.
    AboutMayWiden,
    /// An event may carry a lower label than what it is about.
    LabelMayFall,
    /// An event may depend on what not all of its readers may read.
    DepMayWiden,
    /// A lane stays open when one of its readers is no member any more.
    ClosedLaneOpen,
    /// What a former member slipped in is shown.
    FlaggedStillShown,
    /// Whoever was never admitted with effect needs nobody to vouch for what it writes.
    NoStandingIgnored,
    /// A quorum counts endorse events instead of partners.
    QuorumCountsEvents,
    /// Whoever is to be revoked counts among the owners that decide on it.
    TargetCountsInQuorum,
    /// An endorsement that counted for one act counts for the next.
    SpentEndorsementCounts,
    /// Any writer of a partner acts for it in the control lane.
    SeatNotDemanded,
    /// A seat transfer has effect whatever its list's number.
    TransferNumberUnchecked,
    /// What a writer did in control after it forked its log has effect.
    ForkedActsStand,
    /// Of several pieces of evidence the latest fork counts.
    LatestForkCounts,
    /// The signatures in evidence are not looked at.
    EvidenceUnverified,
    /// What a writer wrote after it forked its log bears no mark.
    ForkedUnmarked,
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
