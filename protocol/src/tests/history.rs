//! Random histories: what partners, honest and hostile, write on what they happen to have seen.

use proptest::collection::vec;
use proptest::prelude::*;

use super::kit::{Dice, PARTNERS, Wish, World, partner};
use super::oracle::{Ids, Oracle};
use crate::body::Role;
use crate::event::{Event, Header, Kind, Reference};
use crate::id::{EventId, Hash, LaneId};

/// Partners who are there at the beginning, and how many of them rule: an owner, then admins.
const MEMBERS: usize = 4;
const ADMINS: usize = 3;

/// One thing that happens. Numbers pick among what there is, whatever their size.
#[derive(Debug, Clone)]
pub enum Step {
    Write(usize, Intent),
    /// Invites somebody, who hears of it and accepts.
    Join(usize, usize, Role),
    /// Revokes an admin, who does something itself before it hears of that.
    Race(usize, usize, Intent, Intent),
    /// Sees one event of the world.
    Hear(usize, usize),
    /// Sees all that another has seen.
    HearFrom(usize, usize),
    EverybodyHears,
    /// Writes anew at a position of its own that it has used already.
    Fork(usize, usize, Intent),
    /// Writes on less than it has seen.
    Stale(usize, usize, Intent),
    Hostile(usize, usize, Trick, Intent),
}

/// A [`Wish`] before its target is picked.
#[derive(Debug, Clone)]
pub enum Intent {
    Post,
    Derived(Derivation, usize),
    Invite(usize, Role),
    Accept,
    Grant(usize, Role),
    Remove(usize),
    Suspend(usize),
    Leave,
    SealingKey(usize),
    Key(usize),
}

#[derive(Debug, Clone, Copy)]
pub enum Derivation {
    Reply,
    Edit,
    Redact,
    React,
}

/// What is wrong with a hostile event.
#[derive(Debug, Clone, Copy)]
pub enum Trick {
    RedundantDep,
    RedundantHead,
    UnknownDep,
    /// A reference whose id is right and whose position is not.
    MisplacedDep,
    UnknownTarget,
    AnotherEpoch,
    NarrowLane,
    WrongLane,
    UnknownKind,
    /// Skips a position.
    Gap,
    ClaimedTime(u64),
    OtherChannel,
    BadBody,
    KeyForTooFew,
    KeyOutdated,
}

pub fn steps(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Step>> {
    vec(step(), length)
}

fn step() -> impl Strategy<Value = Step> {
    let who = || prop_oneof![8 => 0..MEMBERS, 1 => 0..PARTNERS];
    prop_oneof![
        12 => (who(), intent()).prop_map(|(who, intent)| Step::Write(who, intent)),
        5 => (0..ADMINS, rule()).prop_map(|(who, rule)| Step::Write(who, rule)),
        2 => (0..ADMINS, 0..PARTNERS, role()).prop_map(|(who, whom, role)| Step::Join(who, whom, role)),
        2 => race(),
        4 => (who(), any::<usize>()).prop_map(|(who, at)| Step::Hear(who, at)),
        6 => (who(), who()).prop_map(|(who, whom)| Step::HearFrom(who, whom)),
        1 => Just(Step::EverybodyHears),
        3 => (who(), any::<usize>(), intent()).prop_map(|(who, at, intent)| Step::Fork(who, at, intent)),
        1 => (0..ADMINS, any::<usize>(), rule()).prop_map(|(who, at, rule)| Step::Fork(who, at, rule)),
        2 => (who(), any::<usize>(), intent()).prop_map(|(who, at, intent)| Step::Stale(who, at, intent)),
        4 => (who(), any::<usize>(), trick(), intent())
            .prop_map(|(who, at, trick, intent)| Step::Hostile(who, at, trick, intent)),
    ]
}

fn race() -> impl Strategy<Value = Step> {
    (0..ADMINS, 1..ADMINS, 0..4, rule()).prop_map(|(who, whom, how, act)| {
        let revocation = match how {
            0 => Intent::Remove(whom),
            1 => Intent::Suspend(whom),
            _ => Intent::Grant(whom, Role::Contributor),
        };
        Step::Race(who, whom, revocation, act)
    })
}

fn intent() -> impl Strategy<Value = Intent> {
    let derivation = prop_oneof![
        Just(Derivation::Reply),
        Just(Derivation::Edit),
        Just(Derivation::Redact),
        Just(Derivation::React)
    ];
    prop_oneof![
        8 => Just(Intent::Post),
        6 => (derivation, any::<usize>()).prop_map(|(how, at)| Intent::Derived(how, at)),
        3 => rule(),
        1 => Just(Intent::Accept),
        1 => Just(Intent::Leave),
        1 => (0usize..4).prop_map(Intent::SealingKey),
        1 => (1usize..3).prop_map(Intent::Key),
    ]
}

/// What somebody does to another, or to itself.
fn rule() -> impl Strategy<Value = Intent> {
    prop_oneof![
        2 => (0..PARTNERS, role()).prop_map(|(whom, role)| Intent::Invite(whom, role)),
        3 => (0..PARTNERS, role()).prop_map(|(whom, role)| Intent::Grant(whom, role)),
        2 => (0..PARTNERS).prop_map(Intent::Remove),
        1 => (0..PARTNERS).prop_map(Intent::Suspend),
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

fn trick() -> impl Strategy<Value = Trick> {
    let time = prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), 900_000u64..1_100_000];
    prop_oneof![
        6 => time.prop_map(Trick::ClaimedTime),
        15 => prop::sample::select(vec![
            Trick::RedundantDep,
            Trick::RedundantHead,
            Trick::UnknownDep,
            Trick::MisplacedDep,
            Trick::UnknownTarget,
            Trick::AnotherEpoch,
            Trick::NarrowLane,
            Trick::WrongLane,
            Trick::UnknownKind,
            Trick::Gap,
            Trick::OtherChannel,
            Trick::BadBody,
            Trick::KeyForTooFew,
            Trick::KeyOutdated,
        ]),
    ]
}

/// Plays the steps in a channel of an owner, two admins, a contributor and two who may yet join.
pub fn play(steps: &[Step]) -> World {
    let mut world = World::with_members(MEMBERS);
    world.write(0, Wish::Grant(2, Role::Admin));
    world.everybody_hears_all();
    for step in steps {
        take(&mut world, step);
    }
    world
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Write(who, intent) => {
            if let Some(wish) = wish(world, *who, intent) {
                world.write(*who, wish);
            }
        }
        Step::Join(who, whom, role) => {
            world.write(*who, Wish::Invite(*whom, *role));
            world.hear_from(*whom, *who);
            world.write(*whom, Wish::Accept);
        }
        Step::Race(who, whom, revocation, act) => {
            for (who, intent) in [(*who, revocation), (*whom, act)] {
                if let Some(wish) = wish(world, who, intent) {
                    world.write(who, wish);
                }
            }
        }
        Step::Hear(who, at) => {
            let id = world.events[at % world.events.len()].id;
            world.hear(*who, id);
        }
        Step::HearFrom(who, whom) => world.hear_from(*who, *whom),
        Step::EverybodyHears => world.everybody_hears_all(),
        Step::Fork(who, at, intent) => fork(world, *who, *at, intent),
        Step::Stale(who, at, intent) => {
            let Some(id) = pick(&world.seen[*who], *at) else {
                return;
            };
            let mut seen = world.oracle.past(&id).clone();
            seen.insert(id);
            if let Some(wish) = wish(world, *who, intent) {
                world.write_on(*who, &mut seen, wish);
            }
        }
        Step::Hostile(who, at, trick, intent) => hostile(world, *who, *at, *trick, intent),
    }
}

fn wish(world: &World, who: usize, intent: &Intent) -> Option<Wish> {
    Some(match intent {
        Intent::Post => Wish::Post,
        Intent::Derived(how, at) => {
            let target = pick(&posts_to(world, who, *how), *at)?;
            match how {
                Derivation::Reply => Wish::Reply(target),
                Derivation::Edit => Wish::Edit(target),
                Derivation::Redact => Wish::Redact(target),
                Derivation::React => Wish::React(target),
            }
        }
        Intent::Invite(whom, role) => Wish::Invite(*whom, *role),
        Intent::Accept => Wish::Accept,
        Intent::Grant(whom, role) => Wish::Grant(*whom, *role),
        Intent::Remove(whom) => Wish::Remove(*whom),
        Intent::Suspend(whom) => Wish::Suspend(*whom),
        Intent::Leave => Wish::Leave,
        Intent::SealingKey(generation) => Wish::SealingKey(*generation),
        Intent::Key(parts) => Wish::Key(*parts),
    })
}

/// The posts that `who` has seen; to edit or redact, its own, if it has any.
fn posts_to(world: &World, who: usize, how: Derivation) -> Ids {
    let is_post = |id: &EventId| world.event(id).header.kind() == Kind::Post;
    let is_own = |id: &EventId| world.event(id).header.writer == partner(who).writer;
    let posts: Ids = world.seen[who]
        .iter()
        .filter(|id| is_post(id))
        .copied()
        .collect();
    let own: Ids = posts.iter().filter(|id| is_own(id)).copied().collect();
    match how {
        Derivation::Edit | Derivation::Redact if !own.is_empty() => own,
        _ => posts,
    }
}

/// Writes on the past of one of its own events, and lets two others take up one branch each.
fn fork(world: &mut World, who: usize, at: usize, intent: &Intent) {
    let own = |id: &&EventId| world.event(id).header.writer == partner(who).writer;
    let own: Ids = world.seen[who].iter().filter(own).copied().collect();
    let Some(first) = pick(&own, at) else { return };
    let mut past = world.oracle.past(&first).clone();
    let Some(wish) = wish(world, who, intent) else {
        return;
    };
    let second = world.write_on(who, &mut past, wish);
    for (step, branch) in [first, second].into_iter().enumerate() {
        let witness = (who + 1 + (at % 3 + step) % (MEMBERS - 1)) % MEMBERS;
        world.hear(witness, branch);
        world.write(witness, Wish::Post);
    }
}

fn hostile(world: &mut World, who: usize, at: usize, trick: Trick, intent: &Intent) {
    if let Trick::KeyForTooFew | Trick::KeyOutdated = trick {
        return hostile_key(world, who, at, trick);
    }
    let Some(wish) = wish(world, who, intent) else {
        return;
    };
    if let Trick::ClaimedTime(claimed_ms) = trick {
        let truth_ms = std::mem::replace(&mut world.now_ms, claimed_ms.saturating_sub(1000));
        world.write(who, wish);
        world.now_ms = truth_ms;
        return;
    }
    let seen = world.seen[who].clone();
    let (mut header, mut body) = world.compose(who, &seen, &wish);
    if header.kind().is_sealed() {
        header.key_event = header.prev.and_then(|prev| world.oracle.latest_epoch(prev));
        header.commitment = header.key_event.map(|_| Hash([7; 32]));
    }
    if let Trick::BadBody = trick {
        body.push(0xc0);
    }
    twist(world, &seen, &mut header, trick, at);
    world.publish(who, header, body);
}

fn twist(world: &World, seen: &Ids, header: &mut Header, trick: Trick, at: usize) {
    let foreign = |id: &Reference| Reference {
        id: EventId([at as u8; 32]),
        ..id.clone()
    };
    let known = pick(seen, at).map(|id| (id, world.event(&id).reference_from(header.lane)));
    let Some((id, reference)) = known else { return };
    let is_control = world.oracle.is_control(&id);
    match trick {
        Trick::RedundantDep => header.deps.push(reference),
        Trick::RedundantHead if is_control => header.control_heads.push(Reference {
            lane: None,
            ..reference
        }),
        Trick::UnknownDep => header.deps.push(foreign(&reference)),
        Trick::MisplacedDep => header.deps.push(Reference {
            seq: reference.seq + 1,
            ..reference
        }),
        Trick::UnknownTarget => header.about = Some(foreign(&reference)),
        Trick::AnotherEpoch if header.key_event.is_some() => header.key_event = Some(id),
        Trick::NarrowLane => {
            let mut audience = world.oracle.state(seen).active();
            audience.pop_first();
            header.lane = world.oracle.lane("open", &audience);
        }
        Trick::WrongLane if header.lane == world.control_lane() => {
            header.lane = LaneId([at as u8; 32])
        }
        Trick::WrongLane => header.lane = world.control_lane(),
        Trick::UnknownKind if !header.kind().is_sealed() => header.kind = Kind::Cut.number(),
        Trick::Gap => {
            header.seq += 1;
            header.prev = header.prev.or(Some(id));
        }
        Trick::OtherChannel => header.channel.0[0] ^= 1,
        _ => {}
    }
    let lane = header.lane;
    header.deps.retain(|dep| dep.lane != Some(lane));
    for list in [&mut header.deps, &mut header.control_heads] {
        Reference::sort(list);
        list.dedup();
    }
}

/// A key event that leaves a reader out, or one in two parts between which a sealing key changes.
fn hostile_key(world: &mut World, who: usize, at: usize, trick: Trick) {
    let mut seen = world.seen[who].clone();
    let mut wraps = world.wraps(&seen);
    if wraps.len() < 2 {
        return;
    }
    let split = wraps.split_off(1);
    if let Trick::KeyForTooFew = trick {
        world.write_key_part(who, &mut seen, Some(Vec::new()), wraps);
        return;
    }
    let outdated = |whom: &usize| partner(*whom).id == wraps[0].partner;
    let Some(changed) = (0..PARTNERS).find(outdated) else {
        return;
    };
    let part = world.write_key_part(who, &mut seen, None, wraps);
    let change = world.write(changed, Wish::SealingKey(at));
    world.hear(who, change);
    let mut seen = world.seen[who].clone();
    world.write_key_part(who, &mut seen, Some(vec![part]), split);
    world.write(who, Wish::Post);
}

fn pick(among: &Ids, at: usize) -> Option<EventId> {
    among.iter().nth(at % among.len().max(1)).copied()
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
