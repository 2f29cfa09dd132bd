//! The rules that can be weakened, to see that the search finds what they prevent.

/// How finality is reached, as the charter says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finality {
    /// By every partner of the set.
    All,
    /// By a majority; safe only if nobody lies.
    Crash,
}

/// The rules of finality. [`Rules::default`] are those that hold; each other value is a weakening
/// that the search must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    pub finality: Finality,
    /// A barrier stands by the acks two after its own, not by its certificate alone.
    pub three_rounds: bool,
    /// What a partner cites of its own removal counts towards forcing it out.
    pub victim_counts: bool,
    /// Whoever is in the set counts towards forcing out, also if it joined since.
    pub joiners_count: bool,
    /// Partners forced out at once count against each other.
    pub forced_count: bool,
    /// The total is the set as it is, not that of the last barriers.
    pub total_shrinks: bool,
    /// Forcing out takes more than so many parts of so many.
    pub forcing: (u32, u32),
    /// The set starts from that of the base, not from that of the last standing barrier.
    pub set_from_base: bool,
    /// The sets of certified barriers above the last standing one bound forcing out, too.
    pub bounded_by_base: bool,
    pub same_acks: bool,
    pub same_base: bool,
    /// A partner whose seat moves stays in the set, and its numbers go on.
    pub moved_seat_stays: bool,
    /// Late events are sorted above the greatest key of the barrier, not only at it.
    pub late_above: bool,
    /// Acts under a barrier are judged before those above it.
    pub layers: bool,
    /// Flags below a lane's barrier are judged by what the barrier holds.
    pub flags_by_barrier: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            finality: Finality::All,
            three_rounds: true,
            victim_counts: false,
            joiners_count: false,
            forced_count: false,
            total_shrinks: false,
            forcing: (2, 3),
            set_from_base: true,
            bounded_by_base: true,
            same_acks: true,
            same_base: true,
            moved_seat_stays: true,
            late_above: true,
            layers: true,
            flags_by_barrier: true,
        }
    }
}
