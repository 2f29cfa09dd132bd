//! Deliberate faults, for tests and simulations that must notice them. One is switched on by hand
//! in the crate's own test build, or in a build of its own with `--cfg planted`; in every other
//! build [`is`] is a constant, and nothing of them is left.

#[cfg(any(test, planted))]
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
    /// A cut in a lane that was learned of after an ending cites all that is held there.
    LateCutVouches,
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
    /// A member is taken for a reader of every lane.
    AudienceIgnored,
    /// Whoever was a member once is served for ever.
    FormerMemberServed,
    /// What a peer brings of a lane that this partner may not read is kept.
    ForeignKept,
    /// Own events are pushed to every peer.
    PushedToAll,
    /// What users do is told to every peer.
    EphemeralToAll,
    /// Ranges are sent to whoever asks.
    RangeServedToAll,
    /// Heads are told to whoever asks.
    HeadsToldToAll,
    /// Digests of all lanes are told to all peers.
    DigestsToldToAll,
    /// Secrets are given to whoever asks.
    KeysGivenToAll,
    /// Secrets are given whatever lane they belong to.
    KeyOfAnotherLane,
    /// Secrets are given without a bound.
    KeysGivenUnbounded,
    /// Events are pushed before they are stored.
    SentBeforeStored,
    /// Orders are answered before what they wrote is stored.
    AnsweredBeforeStored,
    /// The last own event of a log is forgotten at a restart.
    LastEventForgotten,
    /// Of several events accepted at once, the first alone is stored.
    FirstRowsOnly,
    /// After it was woken, the machine does not ask to be woken again.
    WakeUpLost,
    /// A range ends one event early.
    RangeEndOffByOne,
    /// A lane's state digest leaves the flags out.
    DigestIgnoresFlags,
    /// No cut is written when a membership ends.
    CutOmitted,
    /// What a bad signature is on is accepted.
    BadSignatureTaken,
    /// An epoch is used on when the membership has changed.
    StaleEpochKept,
    /// What a dropped frame said is taken for known by the peer's unpacker.
    PackersKeptOverDrain,
    /// A peer whose queue was full is never sent to again.
    CongestionForever,
    /// What a silent peer was asked for is never asked of another.
    WantNeverExpires,
    /// Two logs of the store get one number.
    LogNumberUsedTwice,
    /// The state is not folded again when a concurrent act arrives.
    FoldNotRepeated,
    /// A message that comes late stands at the end of the timeline.
    LateMessageAtTheEnd,
    /// Of the events that wait for another, one is released.
    OneWaiterReleased,
    /// A branch of a fork stays refused when another writer cites it.
    CitedBranchRefused,
    /// A peer may offer any number of channels.
    OffersUnbounded,
    /// After the first comparison with a peer there is no other.
    AntiEntropyLost,
    /// A link that comes up begins without a comparison.
    LinkUpSilent,
    /// Peers are not told anew of a channel whose members changed.
    ControlChangeUntold,
    /// An ack counts although not all of the set have written the one before.
    AckBeforeOthers,
    /// What a partner says of its own removal counts towards forcing it out.
    VictimCountsItself,
    /// A partner is forced out by half of a set.
    ForcedOutByHalf,
    /// An act that comes late voids what a barrier holds.
    LayersIgnored,
    /// What comes late is sorted among what a barrier holds.
    LateSlipsBelow,
    /// What comes late stands no higher than what a barrier holds.
    FloorWithoutStep,
    /// Which messages a barrier holds are flagged follows from all that is held.
    FlagsUndecided,
    /// An ack of an earlier membership counts for a later one.
    SessionIgnored,
    /// Whoever enters is waited for in the round in which it enters.
    EntryCountsAtOnce,
    /// An ack may name any base.
    BaseUnchecked,
    /// A member that left is waited for as long as nothing is certified without it.
    LeaverStays,
    /// A member that is seen to have forked its log counts on.
    ForkerStays,
}

#[cfg(any(test, planted))]
thread_local! {
    static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
}

/// Whether `mutation` is switched on in this thread.
#[cfg(any(test, planted))]
pub fn is(mutation: Mutation) -> bool {
    ACTIVE.with(|active| active.get() == Some(mutation))
}

/// Whether `mutation` is switched on: never, in this build.
#[cfg(not(any(test, planted)))]
pub const fn is(_: Mutation) -> bool {
    false
}

/// Switches one mutation on in this thread, or all off.
#[cfg(any(test, planted))]
pub fn plant(mutation: Option<Mutation>) {
    ACTIVE.with(|active| active.set(mutation));
}

/// Runs `body` with one mutation switched on.
#[cfg(test)]
pub fn with<T>(mutation: Mutation, body: impl FnOnce() -> T) -> T {
    plant(Some(mutation));
    let result = body();
    plant(None);
    result
}
