//! How the steps of a story become events.

use std::collections::BTreeSet;

use super::acks;
use super::hostile::hostile;
use super::{Aim, Derivation, Intent, Labelling, MEMBERS, RULERS, Rule, Step, Story};
use crate::body::Role;
use crate::event::{Category, Kind, Label};
use crate::id::EventId;
use crate::tests::kit::{
    LISTS, NODES, PARTNERS, To, Wish, World, charter, node, of_node, partner, writer,
};
use crate::tests::oracle::Ids;

/// Plays a story among owners, admins, a contributor and two who may yet join.
pub fn play(story: &Story) -> World {
    let mut charter = charter(1);
    charter.history = story.history;
    charter.quorum = story.quorum;
    charter.finality = story.finality;
    let mut world = World::chartered(&charter, MEMBERS);
    for ruler in 1..RULERS {
        if ruler < story.owners {
            world.make_owner(0, ruler);
            world.everybody_hears_all();
        } else {
            world.write(0, Wish::Grant(ruler, Role::Admin));
        }
    }
    world.everybody_hears_all();
    world.cites_acks = story.cites_acks;
    for step in &story.steps {
        take(&mut world, step);
    }
    world
}

fn take(world: &mut World, step: &Step) {
    match step {
        Step::Write(who, intent) => {
            write(world, *who, intent);
        }
        Step::Join(who, whom, role, list) => world.admit(*who, *whom, *role, *list),
        Step::Race(who, whom, revocation, act) => {
            write(world, *who, revocation);
            write(world, *whom, act);
        }
        Step::Quorum(who, others, act) => by_quorum(world, *who, others, act),
        Step::Second(who, list, at) => second_writer(world, *who, *list, *at),
        Step::Transfer(who, whom, list, [at, after], twice) => {
            let nodes = LISTS[*list].1;
            // Mostly the charter, which everybody has seen.
            let after = match after % 3 {
                0 => world.events[after / 3 % world.events.len()].id,
                _ => world.events[0].id,
            };
            let transfer = Wish::Transfer(*whom, *list, nodes[at % nodes.len()], after);
            world.write(*who, transfer.clone());
            if *twice {
                world.write((who + 1) % MEMBERS, transfer);
            }
        }
        Step::Ending(who, whom, how, aim, heard) => ending(world, *who, *whom, how, *aim, heard),
        Step::Puppet(who, whom, how, aim, heard) => puppet(world, *who, *whom, how, *aim, heard),
        Step::Hear(who, at) => {
            let id = world.events[at % world.events.len()].id;
            world.hear(*who, id);
        }
        Step::HearFrom(who, whom) => world.hear_from(*who, *whom),
        Step::EverybodyHears => world.everybody_hears_all(),
        Step::CutAll(who) => world.cut_all(*who),
        Step::Fork(who, at, intent) => fork(world, *who, *at, intent),
        Step::Stale(who, at, intent) => {
            let Some(id) = pick(&world.seen[*who], *at) else {
                return;
            };
            let mut seen = world.oracle.past(&id).clone();
            seen.insert(id);
            if let Some((to, wish)) = wish(world, *who, intent) {
                world.send_on(*who, &mut seen, &to, wish);
            }
        }
        Step::Prove(who, at) => prove(world, *who, *at),
        Step::Ack(who, at, trick) => acks::acknowledge(world, *who, *at, *trick),
        Step::Rounds(round) => acks::rounds(world, round),
        Step::Hostile(who, at, trick, intent) => hostile(world, *who, *at, *trick, intent),
    }
}

/// Forks are found among all that is accepted, whether or not the one who shows them has seen both
/// branches: evidence stands by itself.
fn prove(world: &mut World, who: usize, at: usize) {
    let accepted: Vec<EventId> = world.oracle.accepted().copied().collect();
    let place = |id: &EventId| {
        let header = &world.event(id).header;
        (header.lane, header.writer, header.seq)
    };
    let mut forks = Vec::new();
    for (number, one) in accepted.iter().enumerate() {
        let others = accepted[number + 1..].iter();
        forks.extend(
            others
                .filter(|other| place(other) == place(one))
                .map(|other| (*one, *other)),
        );
    }
    if let Some((one, other)) = forks.get(at % forks.len().max(1)) {
        world.prove(who, *one, *other);
    }
}

fn write(world: &mut World, who: usize, intent: &Intent) -> Option<EventId> {
    let (to, wish) = wish(world, who, intent)?;
    world.label = label(world, intent);
    let id = world.send(who, &to, wish);
    world.label = None;
    Some(id)
}

/// The others endorse, most of them heard by the author, who may list what is spent, too.
fn by_quorum(world: &mut World, who: usize, others: &[bool; 3], act: &Intent) {
    let Some((_, wish)) = wish(world, who, act) else {
        return;
    };
    let act = match wish {
        Wish::Endorsed(act, _) => *act,
        wish => wish,
    };
    for owner in (0..RULERS).filter(|owner| others[*owner]) {
        let endorsement = world.write(owner, Wish::Endorse(Box::new(act.clone())));
        world.hear(who, endorsement);
    }
    world.write_endorsed(who, act);
}

/// The seat introduces a list; a node of it hears of that and posts what the seat hears.
fn second_writer(world: &mut World, who: usize, list: usize, at: usize) {
    let nodes = LISTS[list].1;
    let second = node(who % PARTNERS, nodes[at % nodes.len()]);
    world.write(who, Wish::Introduce(list));
    world.hear_from(second, who);
    let post = world.write(second, Wish::Post);
    world.hear(who, post);
}

/// Ends a membership; whoever hears of it cuts at once. Meanwhile the former member writes, and
/// one other may have heard that.
fn ending(world: &mut World, who: usize, whom: usize, how: &Intent, aim: Aim, heard: &[bool; 4]) {
    let own = matches!(how, Intent::Leave);
    let post = Intent::Post(aim, Labelling::None);
    let mut before = world.seen[whom].clone();
    let early = write(world, whom, &post);
    if let (Some(early), true) = (early, heard[0]) {
        world.hear((whom + 1) % MEMBERS, early);
    }
    before.extend(early.filter(|early| world.is_accepted(early)));
    let Some(ending) = write(world, if own { whom } else { who }, how) else {
        return;
    };
    let to = to(world, whom, aim, None);
    let late = world.send_on(whom, &mut before, &to, Wish::Post);
    if heard[1] {
        world.hear((whom + 2) % MEMBERS, late);
    }
    for other in (0..MEMBERS).filter(|other| *other != whom) {
        if heard[2] || other % 2 == 0 {
            world.hear(other, ending);
            world.cut_all(other);
        }
        if heard[3] {
            world.hear(other, late);
            world.send(other, &to, Wish::Post);
        }
    }
}

/// Invites somebody and is revoked by the founder, who has not heard of that. Whoever was invited
/// writes; its patron, one who has not heard of the revocation and one who has may take that up,
/// and in the end the founder may invite it, too.
fn puppet(world: &mut World, who: usize, whom: usize, how: &Rule, aim: Aim, heard: &[bool; 5]) {
    world.admit(who, whom, Role::Contributor, 0);
    let revocation = write(world, 0, &Intent::Rule(how.clone()));
    let to = to(world, whom, aim, None);
    for (reader, hears) in [(who, heard[0]), (MEMBERS - 1, heard[1])] {
        let post = world.send(whom, &to, Wish::Post);
        if hears {
            world.hear(reader, post);
            world.send(reader, &to, Wish::Post);
        }
    }
    let late = world.send(whom, &to, Wish::Post);
    if let (Some(revocation), true) = (revocation, heard[2]) {
        let other = RULERS - who;
        world.hear(other, revocation);
        world.cut_all(other);
        world.hear(other, late);
        world.cut_all(other);
    }
    if heard[3] {
        world.send(whom, &to, Wish::Post);
    }
    if heard[4] {
        world.hear_from(0, whom);
        world.write(0, Wish::Invite(whom, Role::Observer));
    }
}

pub fn wish(world: &World, who: usize, intent: &Intent) -> Option<(To, Wish)> {
    let wish = match intent {
        Intent::Post(aim, _) => return Some((to(world, who, *aim, None), Wish::Post)),
        Intent::Key(aim, parts) => {
            return Some((to(world, who, *aim, None), Wish::Key(*parts)));
        }
        Intent::Cut(aim) => return Some((to(world, who, *aim, None), Wish::Cut)),
        Intent::Derived(how, at, aim, _) => {
            let target = pick(&targets(world, who, *how), *at)?;
            let wish = match how {
                Derivation::Reply => Wish::Reply(target),
                Derivation::Edit => Wish::Edit(target),
                Derivation::Redact => Wish::Redact(target),
                Derivation::React => Wish::React(target),
                Derivation::Pin => Wish::Pin(target),
                Derivation::Receipt => Wish::Receipt(target),
                Derivation::File => Wish::File(at.is_multiple_of(2).then_some(target)),
            };
            return Some((to(world, who, *aim, Some(target)), wish));
        }
        Intent::Rule(rule) => {
            let act = act(rule);
            let listed = world.endorsements(&world.seen[who], &act);
            Wish::Endorsed(Box::new(act), listed)
        }
        Intent::Accept => Wish::Accept,
        Intent::Leave => Wish::Leave,
        Intent::SealingKey(generation) => Wish::SealingKey(*generation),
        Intent::Introduce(list) => Wish::Introduce(*list),
        Intent::Retire(node) => Wish::Retire(*node),
        Intent::SeatMove(node) => Wish::SeatMove(*node),
        Intent::Endorse(rule) => Wish::Endorse(Box::new(act(rule))),
        Intent::Merge => Wish::Merge,
    };
    Some((To::Open, wish))
}

fn act(rule: &Rule) -> Wish {
    match rule {
        Rule::Invite(whom, role, list) => Wish::InviteWith(*whom, *role, *list),
        Rule::Grant(whom, role) => Wish::Grant(*whom, *role),
        Rule::Remove(whom) => Wish::Remove(*whom),
        Rule::Suspend(whom) => Wish::Suspend(*whom),
    }
}

fn to(world: &World, who: usize, aim: Aim, target: Option<EventId>) -> To {
    let lane = target.map(|target| world.oracle.lane_of(&target));
    let numbers = |ids: &BTreeSet<crate::id::PartnerId>| {
        To::Only(
            (0..PARTNERS)
                .filter(|number| ids.contains(&partner(*number).id))
                .collect(),
        )
    };
    match (aim, lane) {
        (Aim::Only(which), _) => {
            let few: [&[usize]; 6] = [&[], &[0, 1], &[1, 2, 3], &[0, 1, 2, 3], &[0, 4], &[2]];
            let mut audience: BTreeSet<usize> = few[which % few.len()].iter().copied().collect();
            audience.insert(who % PARTNERS);
            To::Only(audience)
        }
        (Aim::Same, Some(lane)) if !lane.is_open => numbers(&lane.audience),
        (Aim::Readers, Some(lane)) => {
            let members = world.oracle.view(&world.seen[who]).active();
            let readers = world.oracle.readers(lane, &members);
            let readers: BTreeSet<_> = readers.intersection(&members).copied().collect();
            if readers == members {
                To::Open
            } else {
                numbers(&readers)
            }
        }
        _ => To::Open,
    }
}

fn label(world: &World, intent: &Intent) -> Option<Label> {
    let (labelling, target) = match intent {
        Intent::Post(_, labelling) => (labelling, None),
        Intent::Derived(_, at, _, labelling) => (labelling, Some(at)),
        _ => return None,
    };
    match labelling {
        Labelling::None => None,
        // The label of whatever event the number picks: mostly that of the target.
        Labelling::Same => {
            let labelled: Vec<&Label> = world
                .events
                .iter()
                .filter_map(|event| event.header.label.as_ref())
                .collect();
            let at = *target.unwrap_or(&0) % labelled.len().max(1);
            labelled.get(at).copied().cloned()
        }
        Labelling::One(which) => Some(one_label(*which)),
    }
}

fn one_label(which: usize) -> Label {
    let category = |form: u8, values: &[&str]| Category {
        tag: "releasable".to_string(),
        form,
        values: values.iter().map(ToString::to_string).collect(),
    };
    let categories = match which % 7 {
        0 | 1 => vec![],
        2 => vec![category(1, &["a"])],
        3 => vec![category(1, &["a", "b"])],
        4 => vec![category(2, &["a", "b"])],
        5 => vec![category(2, &["a"]), category(3, &["x"])],
        _ => vec![category(2, &[]), category(1, &["a", "c"])],
    };
    Label {
        policy: "policy".to_string(),
        classification: if which % 7 == 1 { "high" } else { "low" }.to_string(),
        categories,
        originator: "alfa".to_string(),
        created_ms: 0,
    }
}

/// The posts that `who` has seen; to edit or redact, its own, if it has any.
fn targets(world: &World, who: usize, how: Derivation) -> Ids {
    let withdraws = matches!(how, Derivation::Redact);
    let fits = |id: &&EventId| {
        let kind = world.event(id).header.kind();
        kind == Kind::Post || withdraws && kind == Kind::File
    };
    let own_writers: BTreeSet<_> = (0..NODES).map(|node| of_node(who).node(node)).collect();
    let is_own = |id: &&EventId| own_writers.contains(&world.event(id).header.writer);
    let posts: Ids = world.seen[who].iter().filter(fits).copied().collect();
    let own: Ids = posts.iter().filter(is_own).copied().collect();
    match how {
        Derivation::Edit | Derivation::Redact if !own.is_empty() => own,
        _ => posts,
    }
}

/// Writes on the past of one of its own events, and lets two others take up one branch each.
fn fork(world: &mut World, who: usize, at: usize, intent: &Intent) {
    let own = |id: &&EventId| world.event(id).header.writer == writer(who);
    let own: Ids = world.seen[who].iter().filter(own).copied().collect();
    let Some(first) = pick(&own, at) else { return };
    let mut past = world.oracle.past(&first).clone();
    let Some((to, wish)) = wish(world, who, intent) else {
        return;
    };
    let second = world.send_on(who, &mut past, &to, wish);
    for (step, branch) in [first, second].into_iter().enumerate() {
        let witness = (who + 1 + (at % 3 + step) % (MEMBERS - 1)) % MEMBERS;
        world.hear(witness, branch);
        world.send(witness, &to, Wish::Post);
    }
}

pub fn pick(among: &Ids, at: usize) -> Option<EventId> {
    among.iter().nth(at % among.len().max(1)).copied()
}
