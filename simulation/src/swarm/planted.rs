//! Planted bugs: the machines with one deliberate fault each, which the oracles must find. Only a
//! build with `--cfg planted` has this module.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use comity_protocol::mutation::{self, Mutation};

use super::options::{Fault, Options};
use super::run;

/// Each must be found within so many seeds.
pub const SEEDS: u64 = 500;

/// The bugs, in the places where a mistake would hurt. Two that `mutation` names are not looked for
/// here, since 500 seeds do not show them: an audience unchecked, and a quorum that counts events.
/// The merge's own tests notice both (`protocol/src/tests/mutations.rs`).
pub const BUGS: &[Mutation] = &[
    Mutation::AudienceIgnored,
    Mutation::FormerMemberServed,
    Mutation::ForeignKept,
    Mutation::PushedToAll,
    Mutation::EphemeralToAll,
    Mutation::RangeServedToAll,
    Mutation::HeadsToldToAll,
    Mutation::DigestsToldToAll,
    Mutation::KeysGivenToAll,
    Mutation::KeyOfAnotherLane,
    Mutation::KeysGivenUnbounded,
    Mutation::OffersUnbounded,
    Mutation::SentBeforeStored,
    Mutation::AnsweredBeforeStored,
    Mutation::LastEventForgotten,
    Mutation::FirstRowsOnly,
    Mutation::LogNumberUsedTwice,
    Mutation::WakeUpLost,
    Mutation::RangeEndOffByOne,
    Mutation::WantNeverExpires,
    Mutation::PackersKeptOverDrain,
    Mutation::CongestionForever,
    Mutation::OneWaiterReleased,
    Mutation::AntiEntropyLost,
    Mutation::BadSignatureTaken,
    Mutation::MissingDepsIgnored,
    Mutation::DepMayWiden,
    Mutation::CutOmitted,
    Mutation::StaleEpochKept,
    Mutation::FlaggedStillShown,
    Mutation::RevocationNeverHits,
    Mutation::FoldNotRepeated,
    Mutation::LateMessageAtTheEnd,
    Mutation::TimelineByClaimedTime,
    Mutation::DigestIgnoresFlags,
    Mutation::CitedBranchRefused,
    Mutation::CutVouchesForLater,
];

/// The kinds of fault without which a bug does nothing; none where it may show in any run.
fn needs(bug: Mutation) -> &'static [Fault] {
    match bug {
        Mutation::KeysGivenUnbounded | Mutation::OffersUnbounded => &[Fault::Floods],
        Mutation::PackersKeptOverDrain | Mutation::CongestionForever => &[Fault::Congestion],
        Mutation::BadSignatureTaken | Mutation::DepMayWiden => &[Fault::Forgers],
        Mutation::CitedBranchRefused => &[
            Fault::Twins,
            Fault::Forgers,
            Fault::Backups,
            Fault::Wipes,
            Fault::Damage,
        ],
        _ => &[],
    }
}

/// What became of the search for one bug.
#[derive(Debug)]
pub struct Found {
    pub bug: Mutation,
    /// The seed that found it, and the oracle.
    pub found: Option<(u64, &'static str)>,
    /// Seeds that were played for it: not those without the faults that it needs.
    pub played: u64,
}

/// Looks for every bug, each from the first seed on.
pub fn find_all(jobs: usize) -> Vec<Found> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(bug) = BUGS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = find(*bug, SEEDS);
                    eprintln!("{result:?}");
                    found.lock().expect("no thread panics with it").push(result);
                }
            });
        }
    });
    let mut found = found.into_inner().expect("no thread panics with it");
    found.sort_by_key(|found| BUGS.iter().position(|bug| *bug == found.bug));
    found
}

/// Looks for one bug. A panic is as good as a failure; a seed that fails without the bug, too, has
/// not found it.
pub fn find(bug: Mutation, seeds: u64) -> Found {
    let mut played = 0;
    let found = (1..=seeds).find_map(|seed| {
        let (options, needs) = (Options::draw(seed), needs(bug));
        if !needs.is_empty() && !needs.iter().any(|fault| options.has(*fault)) {
            return None;
        }
        played += 1;
        let oracle = fails_with(Some(bug), seed)?;
        fails_with(None, seed).is_none().then_some((seed, oracle))
    });
    Found { bug, found, played }
}

/// The oracle that finds something in a seed.
fn fails_with(bug: Option<Mutation>, seed: u64) -> Option<&'static str> {
    mutation::plant(bug);
    let outcome = std::panic::catch_unwind(|| run(seed).failure);
    mutation::plant(None);
    match outcome {
        Ok(failure) => failure.map(|failure| failure.oracle),
        Err(_) => Some("panic"),
    }
}
