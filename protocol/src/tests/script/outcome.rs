//! What the real merge makes of a script's events, in many orders of arrival, and whether that
//! is what the script expects.

use std::collections::{BTreeMap, BTreeSet};

use super::cast::{NodeNumber, cast, node, node_named, partner_named};
use super::language::{Script, partners, role_named};
use super::world::{Ids, Verdict, World};
use crate::authority::Status;
use crate::body::{KeyBody, Role};
use crate::channel::Channel;
use crate::codec::Canonical;
use crate::event::{Event, Kind};
use crate::graph::Pos;
use crate::id::{EventId, Hash, LaneId, PartnerId, WriterId};
use crate::tests::kit::Dice;

type Result<T> = std::result::Result<T, String>;

/// Stories of so few events are tried in all orders.
const PERMUTED: usize = 5;
/// Others in so many shuffles, beside the orders that bring one event late.
const SHUFFLES: u64 = 16;

/// All that two nodes with the same events must agree on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    accepted: Ids,
    invalid: Ids,
    effective: Ids,
    members: BTreeMap<PartnerId, Standing>,
    /// Messages that are neither flagged nor erased.
    shown: Vec<EventId>,
    flagged: Ids,
    erased: Ids,
    /// Messages that bear the mark of a fork.
    forked: Ids,
    /// Messages that came after a barrier below which they would have stood.
    late: Ids,
    /// What nothing can change any more.
    finals: Ids,
    /// Per lane, the digests of the barriers that stand, the lowest first.
    standing: BTreeMap<LaneId, Vec<Hash>>,
    /// What an event has effect on.
    about: BTreeMap<EventId, EventId>,
    readers: BTreeMap<LaneId, BTreeSet<PartnerId>>,
    digests: BTreeMap<LaneId, (Hash, Hash)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Standing {
    status: Status,
    role: Role,
    seat: WriterId,
    writers: BTreeSet<WriterId>,
    number: u64,
}

/// Offers what `holder` has heard, or all there is, in many orders.
pub fn judge(script: &Script, holder: Option<NodeNumber>) -> Result<Outcome> {
    let world = &script.world;
    let held = |id: &EventId| holder.is_none_or(|holder| world.heard[&holder].contains(id));
    let events: Vec<&Event> = world
        .order
        .iter()
        .filter(|id| held(id))
        .map(|id| &world.written[id].event)
        .collect();
    let mut first = None;
    for (name, order) in orders(world, &events, script.set_up) {
        let outcome = merge(world, &order).map_err(|why| format!("{name}: {why}"))?;
        let expected = first.get_or_insert_with(|| (name.clone(), Outcome::default()));
        if expected.1 == Outcome::default() {
            check_verdicts(script, &events, &outcome)?;
            expected.1 = outcome;
        } else if expected.1 != outcome {
            let difference = difference(script, &expected.1, &outcome);
            return Err(format!("{} and {name} differ: {difference}", expected.0));
        }
    }
    Ok(first.expect("an order at least").1)
}

/// Orders of arrival, each with a name.
fn orders<'a>(world: &World, events: &[&'a Event], set_up: usize) -> Vec<(String, Vec<&'a Event>)> {
    let mut orders = vec![("as written".to_string(), events.to_vec())];
    let mut add = |name: String, order: Vec<&'a Event>| orders.push((name, order));
    add(
        "reversed".to_string(),
        events.iter().rev().copied().collect(),
    );
    let is_control = |event: &&&Event| event.header.lane == world.control();
    let (control, others): (Vec<&Event>, Vec<&Event>) =
        events.iter().partition(|event| is_control(event));
    add(
        "control first".to_string(),
        [control.clone(), others.clone()].concat(),
    );
    add("control last".to_string(), [others, control].concat());
    for late in set_up.min(events.len())..events.len() {
        let mut order = events.to_vec();
        let event = order.remove(late);
        order.push(event);
        add(format!("event {late} late"), order);
    }
    for seed in 1..=SHUFFLES {
        let mut order = events.to_vec();
        Dice(seed).shuffle(&mut order);
        add(format!("seed {seed}"), order);
    }
    let story = events.len().saturating_sub(set_up);
    if story <= PERMUTED {
        for (number, tail) in permutations(&events[events.len() - story..])
            .into_iter()
            .enumerate()
        {
            let order = [&events[..events.len() - story], &tail].concat();
            add(format!("permutation {number}"), order);
        }
    }
    orders
}

fn permutations<'a>(of: &[&'a Event]) -> Vec<Vec<&'a Event>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..of.len() {
        let mut rest = of.to_vec();
        let first = rest.remove(at);
        for mut tail in permutations(&rest) {
            tail.insert(0, first);
            all.push(tail);
        }
    }
    all
}

/// One node that is offered all events in this order, and starts again from what it stored.
fn merge(world: &World, order: &[&Event]) -> Result<Outcome> {
    let mut channel = Channel::new(world.channel);
    let mut stored = Vec::new();
    let mut held = BTreeMap::new();
    let mut invalid = Ids::new();
    for event in order {
        let result = channel.offer((*event).clone(), Some(cast()[0].id));
        invalid.extend(result.invalid.iter().map(|(id, ..)| *id));
        held.extend(
            result
                .accepted
                .iter()
                .map(|accepted| (accepted.event.id, accepted.pos)),
        );
        stored.extend(result.accepted.into_iter().map(|accepted| accepted.event));
    }
    for event in &stored {
        let key = channel.verifying_key(event).ok_or("an unknown writer")?;
        event.verify(&key).map_err(|error| error.to_string())?;
    }
    let outcome = read(&channel, &held, &invalid);
    let mut again = Channel::new(world.channel);
    let mut held = BTreeMap::new();
    for event in stored {
        let result = again.restore(event);
        held.extend(
            result
                .accepted
                .iter()
                .map(|accepted| (accepted.event.id, accepted.pos)),
        );
    }
    again.restored();
    demand(read(&again, &held, &invalid) == outcome, || {
        "a node that starts again makes something else of it".to_string()
    })?;
    Ok(outcome)
}

fn read(channel: &Channel, held: &BTreeMap<EventId, Pos>, invalid: &Ids) -> Outcome {
    let finals = held.iter().filter(|(_, pos)| channel.is_final(**pos));
    let mut outcome = Outcome {
        accepted: held.keys().copied().collect(),
        finals: finals.map(|(id, _)| *id).collect(),
        invalid: invalid.clone(),
        ..Outcome::default()
    };
    let id = |pos: &Pos| channel.entry(*pos).id;
    let view = channel.present();
    outcome.effective = view.effective.iter().map(id).collect();
    for (partner, member) in &view.members {
        let standing = Standing {
            status: member.status,
            role: member.role,
            seat: member.seat,
            writers: member.writers.clone(),
            number: member.number,
        };
        outcome.members.insert(*partner, standing);
    }
    for pos in channel.timeline() {
        if channel.is_flagged(*pos) {
            outcome.flagged.insert(id(pos));
        } else if channel.is_erased(*pos) {
            outcome.erased.insert(id(pos));
        } else {
            outcome.shown.push(id(pos));
        }
        if channel.is_forked(*pos) {
            outcome.forked.insert(id(pos));
        }
        if channel.came_late(*pos) {
            outcome.late.insert(id(pos));
        }
        if let Some(target) = channel.parent(*pos) {
            outcome.about.insert(id(pos), id(&target));
        }
    }
    let lanes: Vec<LaneId> = channel.lanes().map(|(lane, _)| *lane).collect();
    for lane in lanes {
        outcome.readers.insert(lane, readers(channel, lane));
        let digests = (channel.state_digest(lane), channel.timeline_digest(lane));
        outcome.digests.insert(lane, digests);
        let digests = channel.barriers(lane).into_iter();
        outcome
            .standing
            .insert(lane, digests.map(|(_, digest)| digest).collect());
    }
    outcome
}

/// Who may be sent a lane: its readers that are members, or of the control lane also invited.
fn readers(channel: &Channel, lane: LaneId) -> BTreeSet<PartnerId> {
    let present = channel.present();
    if lane == channel.control_lane {
        let known = present.members.iter();
        let entitled = known.filter(|(_, member)| member.status <= Status::Active);
        return entitled.map(|(partner, _)| *partner).collect();
    }
    let lane = channel.lane(&lane).expect("a lane that is held");
    lane.readers(channel.history(), &present.active())
}

fn check_verdicts(script: &Script, events: &[&Event], outcome: &Outcome) -> Result<()> {
    for event in events {
        let expected = script.world.written[&event.id].verdict;
        let found = match event.id {
            id if outcome.accepted.contains(&id) => Verdict::Accepted,
            id if outcome.invalid.contains(&id) => Verdict::Invalid,
            _ => Verdict::Missing,
        };
        if expected != found {
            let name = name(script, &event.id);
            return Err(format!("{name} is {found:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// One thing that a script expects of an outcome.
pub enum Expectation {
    Shown(Vec<String>),
    Flagged(Vec<String>),
    Erased(Vec<String>),
    Forked(Vec<String>),
    /// All that is late.
    Late(Vec<String>),
    Final(Vec<String>),
    Open(Vec<String>),
    Standing(LaneId, Vec<String>),
    Effective(Vec<String>),
    Void(Vec<String>),
    /// All that is shown, in this order.
    Timeline(Vec<String>),
    Member(usize, Vec<String>),
    Readers(LaneId, BTreeSet<usize>),
    About(String, Option<String>),
    /// The partners that a key event wraps to.
    Wraps(String, BTreeSet<usize>),
    NoKey(usize, String),
}

impl Expectation {
    pub fn parse(script: &Script, words: &[&str]) -> Result<Expectation> {
        let owned = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
        Ok(match words {
            ["shown", labels @ ..] => Expectation::Shown(owned(labels)),
            ["flagged", labels @ ..] => Expectation::Flagged(owned(labels)),
            ["erased", labels @ ..] => Expectation::Erased(owned(labels)),
            ["forked", labels @ ..] => Expectation::Forked(owned(labels)),
            ["late", labels @ ..] => Expectation::Late(owned(labels)),
            ["final", labels @ ..] => Expectation::Final(owned(labels)),
            ["open", labels @ ..] => Expectation::Open(owned(labels)),
            ["standing", lane, "nothing"] => Expectation::Standing(script.lane(lane)?, Vec::new()),
            ["standing", lane, barriers @ ..] => {
                Expectation::Standing(script.lane(lane)?, owned(barriers))
            }
            ["effective", labels @ ..] => Expectation::Effective(owned(labels)),
            ["void", labels @ ..] => Expectation::Void(owned(labels)),
            ["timeline", labels @ ..] => Expectation::Timeline(owned(labels)),
            ["member", whom, standing @ ..] => {
                Expectation::Member(partner_named(whom)?, owned(standing))
            }
            ["readers", "control", whom @ ..] => {
                Expectation::Readers(script.world.control(), partners(whom)?)
            }
            ["readers", lane, whom @ ..] => {
                let named = script.world.lanes.get(*lane);
                let lane = named.ok_or(format!("no lane is called {lane}"))?.id;
                Expectation::Readers(lane, partners(whom)?)
            }
            ["about", label, "nothing"] => Expectation::About(label.to_string(), None),
            ["about", label, target] => {
                Expectation::About(label.to_string(), Some(target.to_string()))
            }
            ["wraps", label, whom @ ..] => Expectation::Wraps(label.to_string(), partners(whom)?),
            ["no", "key", "to", whom, "after", label] => {
                Expectation::NoKey(partner_named(whom)?, label.to_string())
            }
            _ => return Err(format!("nothing one can expect: {}", words.join(" "))),
        })
    }

    /// The labels whose fate this tells.
    pub fn covers(&self) -> Vec<String> {
        match self {
            Expectation::Shown(labels)
            | Expectation::Flagged(labels)
            | Expectation::Erased(labels)
            | Expectation::Effective(labels)
            | Expectation::Void(labels)
            | Expectation::Timeline(labels) => labels.clone(),
            _ => Vec::new(),
        }
    }

    pub fn check(&self, script: &Script, outcome: &Outcome) -> Result<()> {
        let shown: Ids = outcome.shown.iter().copied().collect();
        match self {
            Expectation::Shown(labels) => all_in(script, outcome, labels, &shown),
            Expectation::Flagged(labels) => all_in(script, outcome, labels, &outcome.flagged),
            Expectation::Erased(labels) => all_in(script, outcome, labels, &outcome.erased),
            Expectation::Forked(labels) => {
                let expected = labels.iter().map(|label| script.labelled(label));
                let expected = expected.collect::<Result<Ids>>()?;
                let found: Vec<EventId> = outcome.forked.iter().copied().collect();
                let found = names(script, &found);
                demand(outcome.forked == expected, || {
                    format!("what is marked is {found}")
                })
            }
            Expectation::Late(labels) => {
                let expected = labels.iter().map(|label| script.labelled(label));
                let expected = expected.collect::<Result<Ids>>()?;
                let found: Vec<EventId> = outcome.late.iter().copied().collect();
                let found = names(script, &found);
                demand(outcome.late == expected, || {
                    format!("what is late is {found}")
                })
            }
            Expectation::Final(labels) => {
                let not = labels.iter().find(|label| {
                    let id = script.labelled(label);
                    !id.is_ok_and(|id| outcome.finals.contains(&id))
                });
                demand(not.is_none(), || format!("{not:?} is not final"))
            }
            Expectation::Open(labels) => {
                let not = labels.iter().find(|label| {
                    let id = script.labelled(label);
                    !id.is_ok_and(|id| !outcome.finals.contains(&id))
                });
                demand(not.is_none(), || format!("{not:?} is final"))
            }
            Expectation::Standing(lane, barriers) => {
                let expected = barriers.iter().map(|name| script.barrier_named(name));
                let expected = expected.collect::<Result<Vec<Hash>>>()?;
                let found = outcome.standing.get(lane).cloned().unwrap_or_default();
                let named = |one: &Hash| {
                    let mut known = script.barriers.iter();
                    let name = known.find(|(_, digest)| *digest == one);
                    name.map_or("one without a name", |(name, _)| name)
                };
                let names: Vec<&str> = found.iter().map(named).collect();
                demand(found == expected, || format!("what stands is {names:?}"))
            }
            Expectation::Effective(labels) => all_in(script, outcome, labels, &outcome.effective),
            Expectation::Void(labels) => {
                let void = &outcome.accepted - &outcome.effective;
                all_in(script, outcome, labels, &void)
            }
            Expectation::Timeline(labels) => {
                let expected = labels.iter().map(|label| script.labelled(label));
                let expected = expected.collect::<Result<Vec<EventId>>>()?;
                let found = names(script, &outcome.shown);
                demand(outcome.shown == expected, || {
                    format!("the timeline is {found}")
                })
            }
            Expectation::Member(whom, standing) => check_member(outcome, *whom, standing),
            Expectation::Readers(lane, whom) => {
                let found = outcome.readers.get(lane).cloned().unwrap_or_default();
                let expected: BTreeSet<PartnerId> = ids_of(whom);
                let found_names = partner_names(&found);
                demand(found == expected, || {
                    format!("its readers are {found_names}")
                })
            }
            Expectation::About(label, target) => {
                let found = outcome.about.get(&script.labelled(label)?);
                let target = target.as_ref().map(|label| script.labelled(label));
                let what = found.map_or("nothing".to_string(), |id| name(script, id));
                demand(found.copied() == target.transpose()?, || {
                    format!("{label} is about {what}")
                })
            }
            Expectation::Wraps(label, whom) => {
                let found = wraps(&script.world.written[&script.labelled(label)?].event);
                let names = partner_names(&found);
                demand(found == ids_of(whom), || {
                    format!("{label} wraps to {names}")
                })
            }
            Expectation::NoKey(whom, ending) => {
                let ending = script.labelled(ending)?;
                let late = outcome.accepted.iter().find(|id| {
                    let written = &script.world.written[*id];
                    written.past.contains(&ending)
                        && wraps(&written.event).contains(&cast()[*whom].id)
                });
                let late = late.map(|id| name(script, id));
                demand(late.is_none(), || format!("{late:?} wraps to it"))
            }
        }
    }
}

/// The partners that an event wraps a secret to.
fn wraps(event: &Event) -> BTreeSet<PartnerId> {
    if event.header.kind() != Kind::Key {
        return BTreeSet::new();
    }
    let body = KeyBody::from_bytes(&event.body).expect("written by the script");
    body.wraps.iter().map(|wrap| wrap.partner).collect()
}

fn all_in(script: &Script, outcome: &Outcome, labels: &[String], set: &Ids) -> Result<()> {
    for label in labels {
        let id = script.labelled(label)?;
        if !set.contains(&id) {
            return Err(format!("{label} is {}", fate(outcome, &id)));
        }
    }
    Ok(())
}

fn fate(outcome: &Outcome, id: &EventId) -> &'static str {
    match () {
        () if !outcome.accepted.contains(id) => "not accepted",
        () if outcome.effective.contains(id) => "effective",
        () if outcome.flagged.contains(id) => "flagged",
        () if outcome.erased.contains(id) => "erased",
        () if outcome.shown.contains(id) => "shown",
        () => "void",
    }
}

/// `stranger`, or a role of a member, or a status with or without a role; then perhaps seat,
/// writers and number.
fn check_member(outcome: &Outcome, whom: usize, words: &[String]) -> Result<()> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let Some(standing) = outcome.members.get(&cast()[whom].id) else {
        return demand(words == ["stranger"], || "it has no standing".to_string());
    };
    let found = || format!("it is {} {:?}", standing.status.as_str(), standing.role);
    let status = |expected: Status| demand(standing.status == expected, found);
    let mut rest = words.as_slice();
    loop {
        rest = match rest {
            [] => return Ok(()),
            ["invited", rest @ ..] => status(Status::Invited).map(|()| rest)?,
            ["suspended", rest @ ..] => status(Status::Suspended).map(|()| rest)?,
            ["left", rest @ ..] => status(Status::Left).map(|()| rest)?,
            ["removed", rest @ ..] => status(Status::Removed).map(|()| rest)?,
            ["number", number, rest @ ..] => {
                let found = || format!("its number is {}", standing.number);
                demand(number.parse() == Ok(standing.number), found)?;
                rest
            }
            ["seat", writer, rest @ ..] => {
                let expected = node(node_named(writer)?).writer;
                demand(standing.seat == expected, || {
                    "its seat is another".to_string()
                })?;
                rest
            }
            ["writers", writers @ ..] => {
                let expected = writers
                    .iter()
                    .map(|writer| Ok(node(node_named(writer)?).writer));
                let expected = expected.collect::<Result<BTreeSet<WriterId>>>()?;
                let found = standing.writers.len();
                return demand(standing.writers == expected, || {
                    format!("it has {found} writers, or others")
                });
            }
            [role, rest @ ..] => {
                demand(standing.role == role_named(role)?, found)?;
                if words[0] == *role {
                    status(Status::Active)?;
                }
                rest
            }
        };
    }
}

fn difference(script: &Script, one: &Outcome, two: &Outcome) -> String {
    let sets = [
        ("accepted", &one.accepted, &two.accepted),
        ("invalid", &one.invalid, &two.invalid),
        ("effective", &one.effective, &two.effective),
        ("flagged", &one.flagged, &two.flagged),
        ("erased", &one.erased, &two.erased),
        ("forked", &one.forked, &two.forked),
        ("late", &one.late, &two.late),
        ("final", &one.finals, &two.finals),
    ];
    for (what, one, two) in sets {
        if one != two {
            let apart: Vec<EventId> = one.symmetric_difference(two).copied().collect();
            return format!("{what} {}", names(script, &apart));
        }
    }
    if one.shown != two.shown {
        let (one, two) = (names(script, &one.shown), names(script, &two.shown));
        return format!("timelines {one} and {two}");
    }
    "members, readers, barriers or digests".to_string()
}

/// An event's label, or what it is.
fn name(script: &Script, id: &EventId) -> String {
    let labelled = script.labels.iter().find(|(_, labelled)| *labelled == id);
    labelled.map_or_else(
        || {
            let written = &script.world.written[id];
            let author = cast()[written.by.0].name();
            format!("a {:?} of {author}", written.event.header.kind())
        },
        |(label, _)| label.clone(),
    )
}

fn names(script: &Script, ids: &[EventId]) -> String {
    let names: Vec<String> = ids.iter().map(|id| name(script, id)).collect();
    names.join(" ")
}

fn ids_of(partners: &BTreeSet<usize>) -> BTreeSet<PartnerId> {
    partners.iter().map(|whom| cast()[*whom].id).collect()
}

fn partner_names(ids: &BTreeSet<PartnerId>) -> String {
    let known = cast().iter().filter(|partner| ids.contains(&partner.id));
    let names: Vec<&str> = known.map(|partner| partner.name()).collect();
    names.join(" ")
}

fn demand(held: bool, otherwise: impl FnOnce() -> String) -> Result<()> {
    if held { Ok(()) } else { Err(otherwise()) }
}
