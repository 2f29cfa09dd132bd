//! Random histories: what partners, honest and hostile, write on what they happen to have seen.

mod acks;
mod hostile;
mod play;

use proptest::collection::vec;
use proptest::prelude::*;

use super::kit::{Dice, LISTS, NODES, PARTNERS, World};
use super::oracle::Oracle;
use crate::body::Role;
use crate::event::Event;

pub use acks::{AckTrick, Round, settling_stories};
pub use hostile::Trick;
pub use play::play;

/// Partners who are there at the beginning, and how many of them rule: owners, then admins.
pub const MEMBERS: usize = 4;
const RULERS: usize = 3;

/// A channel's charter, and what happens in it.
#[derive(Debug, Clone)]
pub struct Story {
    pub history: u8,
    pub quorum: u8,
    /// 1, or 2 for that by majority.
    pub finality: u8,
    /// Whether events of other lanes cite acks of the control lane.
    pub cites_acks: bool,
    /// How many of the rulers are owners.
    pub owners: usize,
    pub steps: Vec<Step>,
}

/// One thing that happens. Numbers pick among what there is, whatever their size.
#[derive(Debug, Clone)]
pub enum Step {
    Write(usize, Intent),
    /// Invites somebody by one of its lists, who hears of it and accepts.
    Join(usize, usize, Role, usize),
    /// Revokes a ruler, who does something itself before it hears of that.
    Race(usize, usize, Intent, Intent),
    /// Some owners endorse an act, and one writes it with what it has heard of them.
    Quorum(usize, [bool; 3], Intent),
    /// Introduces a list, of which one node hears and writes.
    Second(usize, usize, usize),
    /// A root signs a new seat, perhaps after something that not everybody has seen, which
    /// somebody carries; perhaps two do.
    Transfer(usize, usize, usize, [usize; 2], bool),
    /// Ends a membership. Some hear of it at once and cut their lanes, while the former member
    /// writes on, unheard by all or known to one.
    Ending(usize, usize, Intent, Aim, [bool; 4]),
    /// A ruler who is revoked at the same time invites somebody, who writes on: known to nobody,
    /// or to one or the other.
    Puppet(usize, usize, Rule, Aim, [bool; 5]),
    /// Sees one event of the world.
    Hear(usize, usize),
    /// Sees all that another has seen.
    HearFrom(usize, usize),
    EverybodyHears,
    /// Cuts what it must, by what it has seen.
    CutAll(usize),
    /// Writes anew at a position of its own that it has used already.
    Fork(usize, usize, Intent),
    /// Writes on less than it has seen.
    Stale(usize, usize, Intent),
    Hostile(usize, usize, Trick, Intent),
    /// Somebody shows one of the forks that there are.
    Prove(usize, usize),
    /// Acknowledges one of the lanes that it has seen, as it should or as it should not.
    Ack(usize, usize, AckTrick),
    Rounds(Round),
}

/// A wish before its target is picked.
#[derive(Debug, Clone)]
pub enum Intent {
    Post(Aim, Labelling),
    Derived(Derivation, usize, Aim, Labelling),
    Cut(Aim),
    Key(Aim, usize),
    Accept,
    Leave,
    SealingKey(usize),
    Rule(Rule),
    Introduce(usize),
    Retire(usize),
    SeatMove(usize),
    Endorse(Rule),
    Merge,
}

/// What somebody does to another, or to itself.
#[derive(Debug, Clone)]
pub enum Rule {
    Invite(usize, Role, usize),
    Grant(usize, Role),
    Remove(usize),
    Suspend(usize),
}

/// For whom a message is.
#[derive(Debug, Clone, Copy)]
pub enum Aim {
    Open,
    /// One of a few fixed audiences, its author among them.
    Only(usize),
    /// Where the message is that this one is about.
    Same,
    /// The members that read the lane of the message that this one is about.
    Readers,
}

#[derive(Debug, Clone, Copy)]
pub enum Labelling {
    None,
    /// As the message that this one is about.
    Same,
    One(usize),
}

#[derive(Debug, Clone, Copy)]
pub enum Derivation {
    Reply,
    Edit,
    Redact,
    React,
    Pin,
    Receipt,
    File,
}

pub fn stories(length: std::ops::Range<usize>) -> impl Strategy<Value = Story> {
    let quorum = prop_oneof![2 => Just(0), 1 => 1u8..4];
    (1u8..3, quorum, 1..=RULERS, vec(step(), length)).prop_map(
        |(history, quorum, owners, steps)| Story {
            history,
            quorum,
            finality: 1,
            cites_acks: false,
            owners,
            steps,
        },
    )
}

/// Mostly the first nodes of members.
fn who() -> impl Strategy<Value = usize> {
    prop_oneof![16 => 0..MEMBERS, 2 => 0..PARTNERS, 3 => 0..PARTNERS * NODES]
}

fn step() -> impl Strategy<Value = Step> {
    let at = any::<usize>;
    prop_oneof![
        24 => (who(), intent()).prop_map(|(who, intent)| Step::Write(who, intent)),
        8 => (0..RULERS, rule()).prop_map(|(who, rule)| Step::Write(who, Intent::Rule(rule))),
        5 => (0..RULERS, 0..PARTNERS, role(), list())
            .prop_map(|(who, whom, role, list)| Step::Join(who, whom, role, list)),
        4 => race(),
        4 => (0..RULERS, any::<[bool; 3]>(), rule())
            .prop_map(|(who, others, rule)| Step::Quorum(who, others, Intent::Rule(rule))),
        3 => (who(), list(), at()).prop_map(|(who, list, at)| Step::Second(who, list, at)),
        3 => (who(), 0..PARTNERS, list(), any::<[usize; 2]>(), any::<bool>())
            .prop_map(|(who, whom, list, at, twice)| Step::Transfer(who, whom, list, at, twice)),
        6 => ending(),
        4 => puppet(),
        8 => (who(), at()).prop_map(|(who, at)| Step::Hear(who, at)),
        14 => (who(), who()).prop_map(|(who, whom)| Step::HearFrom(who, whom)),
        2 => Just(Step::EverybodyHears),
        5 => who().prop_map(Step::CutAll),
        5 => (who(), at(), intent()).prop_map(|(who, at, intent)| Step::Fork(who, at, intent)),
        2 => (0..RULERS, at(), rule())
            .prop_map(|(who, at, rule)| Step::Fork(who, at, Intent::Rule(rule))),
        6 => (who(), at()).prop_map(|(who, at)| Step::Prove(who, at)),
        4 => (who(), at(), intent()).prop_map(|(who, at, intent)| Step::Stale(who, at, intent)),
        10 => (who(), at(), hostile::trick(), intent())
            .prop_map(|(who, at, trick, intent)| Step::Hostile(who, at, trick, intent)),
    ]
}

fn race() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        3 => rule().prop_map(Intent::Rule),
        1 => rule().prop_map(Intent::Endorse),
        1 => intent(),
    ];
    (0..RULERS, 0..RULERS, 0..4, act).prop_map(|(who, whom, how, act)| {
        let revocation = match how {
            0 => Rule::Remove(whom),
            1 => Rule::Suspend(whom),
            _ => Rule::Grant(whom, Role::Contributor),
        };
        Step::Race(who, whom, Intent::Rule(revocation), act)
    })
}

fn ending() -> impl Strategy<Value = Step> {
    let how = |whom: usize| {
        prop_oneof![
            3 => Just(Intent::Rule(Rule::Remove(whom))),
            1 => Just(Intent::Rule(Rule::Suspend(whom))),
            1 => Just(Intent::Leave),
        ]
    };
    let whom = 1..PARTNERS;
    (0..RULERS, whom, aim(), any::<[bool; 4]>()).prop_flat_map(move |(who, whom, aim, heard)| {
        how(whom).prop_map(move |how| Step::Ending(who, whom, how, aim, heard))
    })
}

fn puppet() -> impl Strategy<Value = Step> {
    let how = |who: usize| {
        prop_oneof![
            Just(Rule::Remove(who)),
            Just(Rule::Grant(who, Role::Contributor)),
        ]
    };
    let heard = any::<[bool; 5]>();
    (1..RULERS, MEMBERS..PARTNERS, aim(), heard).prop_flat_map(move |(who, whom, aim, heard)| {
        how(who).prop_map(move |how| Step::Puppet(who, whom, how, aim, heard))
    })
}

fn intent() -> impl Strategy<Value = Intent> {
    let derivation = prop::sample::select(vec![
        Derivation::Reply,
        Derivation::Edit,
        Derivation::Redact,
        Derivation::Redact,
        Derivation::React,
        Derivation::Pin,
        Derivation::Receipt,
        Derivation::File,
    ]);
    prop_oneof![
        16 => (aim(), labelling()).prop_map(|(aim, label)| Intent::Post(aim, label)),
        14 => (derivation, any::<usize>(), derived_aim(), labelling())
            .prop_map(|(how, at, aim, label)| Intent::Derived(how, at, aim, label)),
        6 => rule().prop_map(Intent::Rule),
        1 => Just(Intent::Accept),
        1 => Just(Intent::Leave),
        2 => (0usize..4).prop_map(Intent::SealingKey),
        2 => (aim(), 1usize..3).prop_map(|(aim, parts)| Intent::Key(aim, parts)),
        1 => aim().prop_map(Intent::Cut),
        1 => list().prop_map(Intent::Introduce),
        1 => (0..NODES).prop_map(Intent::Retire),
        1 => (0..NODES).prop_map(Intent::SeatMove),
        1 => rule().prop_map(Intent::Endorse),
        1 => Just(Intent::Merge),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    prop_oneof![
        2 => (0..PARTNERS, role(), list())
            .prop_map(|(whom, role, list)| Rule::Invite(whom, role, list)),
        3 => (0..PARTNERS, role()).prop_map(|(whom, role)| Rule::Grant(whom, role)),
        2 => (0..PARTNERS).prop_map(Rule::Remove),
        1 => (0..PARTNERS).prop_map(Rule::Suspend),
    ]
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![
        Just(Role::Observer),
        Just(Role::Contributor),
        Just(Role::Admin),
        Just(Role::Owner)
    ]
}

fn list() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(0), 3 => Just(1), 4 => 0..LISTS.len()]
}

fn aim() -> impl Strategy<Value = Aim> {
    prop_oneof![3 => Just(Aim::Open), 3 => (0usize..6).prop_map(Aim::Only)]
}

fn derived_aim() -> impl Strategy<Value = Aim> {
    prop_oneof![3 => Just(Aim::Same), 2 => Just(Aim::Readers), 2 => aim()]
}

fn labelling() -> impl Strategy<Value = Labelling> {
    prop_oneof![
        4 => Just(Labelling::None),
        2 => Just(Labelling::Same),
        2 => any::<usize>().prop_map(Labelling::One),
    ]
}

/// The events of a world without those branches of forks that no other writer took up: of these
/// a node takes what came first, so that only the rest can be compared between orders of arrival.
pub fn settled(world: &World) -> (Vec<Event>, Oracle) {
    let mut events = world.events.clone();
    loop {
        let oracle = Oracle::of(world.channel, &events);
        let uncited = oracle.uncited_branches();
        if uncited.is_empty() {
            return (events, oracle);
        }
        events.retain(|event| !uncited.contains(&event.id));
    }
}

/// The events in an order that `seed` decides, a quarter of them twice.
pub fn arrival(events: &[Event], seed: u64) -> Vec<Event> {
    let mut dice = Dice(seed);
    let mut order: Vec<Event> = events.to_vec();
    for event in events {
        if dice.below(4) == 0 {
            order.push(event.clone());
        }
    }
    dice.shuffle(&mut order);
    order
}
