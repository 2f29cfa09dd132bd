//! Directed lanes, what is about what, history, epochs.

use super::agreed;
use crate::body::{KeyBody, Role};
use crate::codec::Canonical;
use crate::event::{Category, Kind, Label};
use crate::id::{EventId, Hash};
use crate::tests::kit::{PARTNERS, To, Wish, World, charter, partner, writer};
use crate::tests::oracle::Verdict;

/// For faults put into the merge on purpose.
pub(super) const ALL: &[fn()] = &[
    a_directed_message_is_for_its_audience_and_for_members_alone,
    a_lane_to_everybody_is_not_the_open_lane,
    a_lane_begins_with_a_key_event_that_names_its_readers,
    a_lane_whose_audience_has_a_former_member_is_closed,
    no_event_depends_on_what_its_readers_may_not_read,
    a_redaction_reaches_exactly_the_readers_of_what_it_withdraws,
    what_was_open_to_fewer_is_withdrawn_among_those_who_are_left,
    a_reply_may_go_to_fewer_and_carries_the_label_on,
    pins_receipts_and_files_are_about_posts_alone,
    an_observer_opens_epochs_and_sends_receipts_and_its_roster_and_nothing_else,
    a_roster_is_for_all_members,
    under_history_all_who_joins_later_reads_and_cites_what_was_open,
    under_history_all_an_open_lane_depends_on_open_lanes_alone,
    more_control_heads_than_one_event_lists_are_merged_first,
];

#[test]
fn a_directed_message_is_for_its_audience_and_for_members_alone() {
    let mut world = World::with_members(4);
    let secret = world.send(1, &To::only(&[1, 2]), Wish::Post);
    let outside = world.send(1, &To::only(&[2, 3]), Wish::Post);
    let stranger = world.send(1, &To::only(&[1, 5]), Wish::Post);

    assert!(world.is_accepted(&secret));
    assert_eq!(world.oracle.verdict(&outside), Verdict::Invalid);
    assert_eq!(world.oracle.verdict(&stranger), Verdict::Invalid);
    agreed(&world);
}

#[test]
fn a_lane_to_everybody_is_not_the_open_lane() {
    let mut world = World::with_members(3);
    let open = world.write(0, Wish::Post);
    let directed = world.send(0, &To::only(&[0, 1, 2]), Wish::Post);
    world.admit(0, 3, Role::Observer, 0);
    let again = world.send(0, &To::only(&[0, 1, 2]), Wish::Post);

    let lane = |id: &EventId| world.event(id).header.lane;
    assert_ne!(lane(&open), lane(&directed));
    assert_eq!(lane(&directed), lane(&again));
    assert!(
        [open, directed, again]
            .iter()
            .all(|id| world.is_accepted(id))
    );
    agreed(&world);
}

#[test]
fn a_lane_begins_with_a_key_event_that_names_its_readers() {
    let mut world = World::with_members(3);
    let to = To::only(&[0, 1]);
    let mut seen = world.seen[0].clone();
    let lane = world.lane_to(&to, &seen);
    let header = world.draft(0, &seen, &lane, Kind::Key);
    let key = |audience: Option<&[usize]>| {
        let ids = |numbers: &[usize]| {
            let mut ids: Vec<_> = numbers.iter().map(|number| partner(*number).id).collect();
            ids.sort_unstable();
            ids
        };
        let body = KeyBody {
            audience: audience.map(ids),
            parts: Some(Vec::new()),
            commitment: Hash([5; 32]),
            wraps: world.wraps(&seen, &to),
        };
        body.to_bytes()
    };
    let (none, other, right) = (key(None), key(Some(&[0, 1, 2])), key(Some(&[0, 1])));
    let mut backwards = KeyBody::from_bytes(&right).unwrap();
    backwards.audience.as_mut().unwrap().reverse();
    let backwards = backwards.to_bytes();
    let mut strange = KeyBody::from_bytes(&other).unwrap();
    strange.wraps = world.wraps(&seen, &To::only(&[0, 1, 2]));
    let strange = strange.to_bytes();

    for body in [none, other, backwards, strange] {
        let id = world.publish(0, header.clone(), body);
        assert_eq!(world.oracle.verdict(&id), Verdict::Invalid);
    }
    let id = world.publish(0, header, right);
    assert!(world.is_accepted(&id));
    seen.insert(id);
    agreed(&world);
}

#[test]
fn a_lane_whose_audience_has_a_former_member_is_closed() {
    let mut world = World::with_members(4);
    let to = To::only(&[1, 2, 3]);
    world.send(1, &to, Wish::Post);
    world.write(0, Wish::Remove(3));
    world.everybody_hears_all();
    let closed = world.send(1, &to, Wish::Post);
    let narrower = world.send(1, &To::only(&[1, 2]), Wish::Post);

    assert_eq!(world.oracle.verdict(&closed), Verdict::Invalid);
    assert!(world.is_accepted(&narrower));
    agreed(&world);
}

#[test]
fn no_event_depends_on_what_its_readers_may_not_read() {
    let mut world = World::with_members(4);
    let secret = world.send(1, &To::only(&[1, 2]), Wish::Post);
    world.hear(2, secret);
    world.write(2, Wish::Post);
    let seen = world.seen[2].clone();
    let (mut header, body) = world.compose(2, &seen, &To::Open, &Wish::Key(1));
    header.deps = world.references(header.lane, &[secret].into());

    let leak = world.publish(2, header, body);

    assert_eq!(world.oracle.verdict(&leak), Verdict::Invalid);
    agreed(&world);
}

#[test]
fn a_redaction_reaches_exactly_the_readers_of_what_it_withdraws() {
    let mut world = World::with_members(4);
    let [first, second] = [(); 2].map(|()| world.write(1, Wish::Post));
    let narrower = world.send(1, &To::only(&[0, 1, 2]), Wish::Redact(first));
    let exactly = world.write(1, Wish::Redact(second));

    assert_eq!(world.oracle.about(&narrower), None);
    assert_eq!(world.oracle.about(&exactly), Some(second));
    assert_eq!(world.oracle.erased(), [second].into());
    agreed(&world);
}

#[test]
fn what_was_open_to_fewer_is_withdrawn_among_those_who_are_left() {
    let mut world = World::with_members(3);
    let post = world.write(1, Wish::Post);
    world.admit(0, 3, Role::Contributor, 0);
    world.write(0, Wish::Remove(2));
    world.everybody_hears_all();
    let to_all = world.write(1, Wish::Redact(post));
    let to_readers = world.send(1, &To::only(&[0, 1]), Wish::Redact(post));

    assert_eq!(world.oracle.about(&to_all), None);
    assert_eq!(world.oracle.about(&to_readers), Some(post));
    agreed(&world);
}

#[test]
fn a_reply_may_go_to_fewer_and_carries_the_label_on() {
    let mut world = World::with_members(4);
    let label = |classification: &str, form: u8, values: &[&str]| Label {
        policy: "policy".to_string(),
        classification: classification.to_string(),
        categories: vec![Category {
            tag: "releasable".to_string(),
            form,
            values: values.iter().map(ToString::to_string).collect(),
        }],
        originator: "alfa".to_string(),
        created_ms: 0,
    };
    let restricted = |values: &[&str]| Some(label("low", 1, values));
    let released = |values: &[&str]| Some(label("low", 2, values));
    let informed = Some(label("low", 3, &["x"]));
    let cases = [
        (None, None, true),
        (None, restricted(&["a"]), true),
        (restricted(&["a"]), None, false),
        (restricted(&["a"]), restricted(&["a", "b"]), true),
        (restricted(&["a", "b"]), restricted(&["b"]), false),
        (released(&["a", "b"]), released(&["a"]), true),
        (released(&["a"]), released(&["a", "b"]), false),
        (released(&["a"]), released(&[]), false),
        (released(&["a"]), restricted(&["a"]), false),
        (informed.clone(), restricted(&["a"]), true),
        (informed.clone(), Some(label("high", 3, &["x"])), false),
    ];
    for (target, own, holds) in cases {
        world.label = target;
        let post = world.write(1, Wish::Post);
        world.everybody_hears_all();
        world.label = own;
        let reply = world.send(2, &To::only(&[1, 2]), Wish::Reply(post));
        assert_eq!(world.oracle.about(&reply), holds.then_some(post));
    }
    agreed(&world);
}

#[test]
fn pins_receipts_and_files_are_about_posts_alone() {
    let mut world = World::with_members(3);
    let post = world.write(1, Wish::Post);
    world.everybody_hears_all();
    let file = world.write(1, Wish::File(Some(post)));
    let pin = world.write(2, Wish::Pin(post));
    world.everybody_hears_all();
    let of_file = world.write(2, Wish::Pin(file));
    let receipt = world.write(0, Wish::Receipt(post));
    let withdrawn = world.write(1, Wish::Redact(file));

    for (id, target) in [
        (file, Some(post)),
        (pin, Some(post)),
        (of_file, None),
        (receipt, Some(post)),
        (withdrawn, Some(file)),
    ] {
        assert_eq!(world.oracle.about(&id), target);
    }
    assert_eq!(world.oracle.erased(), [file].into());
    agreed(&world);
}

#[test]
fn a_roster_is_for_all_members() {
    let mut world = World::with_members(3);
    let open = world.write(1, Wish::Roster);
    let directed = world.send(1, &To::only(&[0, 1]), Wish::Roster);
    world.write(0, Wish::Remove(1));
    world.everybody_hears_all();
    let former = world.send(1, &To::Open, Wish::Roster);

    assert!(world.is_accepted(&open));
    assert_eq!(world.oracle.verdict(&directed), Verdict::Invalid);
    assert_eq!(world.oracle.verdict(&former), Verdict::Invalid);
    agreed(&world);
}

#[test]
fn an_observer_opens_epochs_and_sends_receipts_and_its_roster_and_nothing_else() {
    let mut world = World::with_members(3);
    world.write(0, Wish::Grant(2, Role::Observer));
    let post = world.write(0, Wish::Post);
    world.everybody_hears_all();
    let receipt = world.write(2, Wish::Receipt(post));
    let pin = world.write(2, Wish::Pin(post));
    let roster = world.write(2, Wish::Roster);

    assert!(world.is_accepted(&receipt));
    assert!(world.is_accepted(&roster));
    assert_eq!(world.oracle.verdict(&pin), Verdict::Invalid);
    agreed(&world);
}

#[test]
fn under_history_all_who_joins_later_reads_and_cites_what_was_open() {
    let mut charter = charter(1);
    charter.history = 2;
    for (history, expected) in [(1, false), (2, true)] {
        charter.history = history;
        let mut world = World::chartered(&charter, 3);
        let post = world.write(1, Wish::Post);
        let secret = world.send(1, &To::only(&[0, 1, 2]), Wish::Post);
        world.admit(0, 3, Role::Contributor, 0);
        world.hear_all(3);

        assert_eq!(world.seen[3].contains(&post), expected);
        assert!(!world.seen[3].contains(&secret));
        let reply = world.write(3, Wish::Reply(post));
        assert!(world.is_accepted(&reply));
        assert_eq!(world.oracle.about(&reply).is_some(), expected);
        agreed(&world);
    }
}

#[test]
fn under_history_all_an_open_lane_depends_on_open_lanes_alone() {
    let mut charter = charter(1);
    for (history, holds) in [(1, true), (2, false)] {
        charter.history = history;
        let mut world = World::chartered(&charter, 3);
        let directed = world.send(1, &To::only(&[0, 1, 2]), Wish::Post);
        let seen = world.seen[1].clone();
        let (mut header, _) = world.compose(1, &seen, &To::Open, &Wish::Key(1));
        header.deps = world.references(header.lane, &[directed].into());
        header.control_heads.clear();
        let body = KeyBody {
            audience: None,
            parts: Some(Vec::new()),
            commitment: Hash([5; 32]),
            wraps: world.wraps(&seen, &To::Open),
        };
        let key = world.publish(1, header, body.to_bytes());

        assert_eq!(world.is_accepted(&key), holds, "history {history}");
        agreed(&world);
    }
}

#[test]
fn more_control_heads_than_one_event_lists_are_merged_first() {
    let mut world = World::with_members(3);
    let before = world.seen[0].clone();
    let mut branches = Vec::new();
    for role in [Role::Observer, Role::Contributor, Role::Admin, Role::Owner] {
        for whom in 0..PARTNERS {
            for wish in [Wish::Grant(whom, role), Wish::Invite(whom, role)] {
                let endorse = Wish::Endorse(Box::new(wish));
                branches.push(world.write_on(0, &mut before.clone(), endorse));
            }
        }
    }
    branches.iter().for_each(|branch| world.hear(1, *branch));
    let merge = world.write(1, Wish::Merge);
    let post = world.write(1, Wish::Post);

    assert!(branches.len() > 32);
    assert!(world.event(&merge).header.deps.len() > 32);
    assert!(world.is_accepted(&post));
    let known = world.oracle.frontier(&post);
    assert!(branches.iter().all(|branch| known.contains(branch)));
    assert_eq!(world.event(&post).header.writer, writer(1));
    agreed(&world);
}
