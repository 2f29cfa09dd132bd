//! Evidence: what proves a fork and what does not, and what follows from it.

use super::{active, agreed, has_effect, standing};
use crate::body::Role;
use crate::codec::encode;
use crate::event::{Header, Kind};
use crate::evidence::{EvidenceBody, SignedHeader};
use crate::id::{EventId, Hash, Signature, WriterId};
use crate::tests::kit::{To, Wish, World, node, partner, signing_key, writer};
use crate::tests::oracle::Verdict;

/// For faults put into the merge on purpose.
pub(super) const ALL: &[fn()] = &[
    a_proved_fork_voids_what_followed_and_marks_no_message_seen_before,
    headers_that_do_not_prove_a_fork_are_refused,
    evidence_needs_the_writers_certificate_in_its_own_past,
    a_partner_whose_accept_is_void_is_only_invited,
    the_earliest_of_several_forks_counts,
    a_forker_proves_itself_and_writes_on_in_vain,
    the_founder_that_forks_at_its_charter_stays_and_nobody_else_does,
    a_fork_in_a_directed_lane_is_no_matter_of_the_lane_of_all,
];

/// Two grants of partner 1 for one position of the control lane, each heard and cited by another.
fn fork_in_control(world: &mut World) -> (EventId, EventId) {
    let before = world.seen[1].clone();
    let one = world.write(1, Wish::Grant(2, Role::Observer));
    let mut seen = before;
    let other = world.write_on(1, &mut seen, Wish::Grant(3, Role::Observer));
    world.hear(0, one);
    world.write(0, Wish::Merge);
    world.hear(3, other);
    world.write(3, Wish::Merge);
    (one, other)
}

#[test]
fn a_proved_fork_voids_what_followed_and_marks_no_message_seen_before() {
    let mut world = World::with_members(4);
    let early = world.write(1, Wish::Post);
    world.hear(2, early);
    world.write(2, Wish::Post);
    let unseen = world.write(1, Wish::Post);
    let (one, other) = fork_in_control(&mut world);
    let later = world.write(1, Wish::SealingKey(1));
    assert!(has_effect(&world, one) && has_effect(&world, other) && has_effect(&world, later));
    agreed(&world);

    let proof = world.prove(0, one, other);

    assert!(has_effect(&world, proof));
    for void in [one, other, later] {
        assert!(world.is_accepted(&void) && !has_effect(&world, void));
    }
    assert_eq!(standing(&world, 2).unwrap().role, Role::Contributor);
    assert_eq!(standing(&world, 1).unwrap().role, Role::Admin);
    assert_eq!(world.oracle.forked(), [unseen].into());
    agreed(&world);
}

#[test]
fn headers_that_do_not_prove_a_fork_are_refused() {
    let mut world = World::with_members(4);
    let post = world.write(1, Wish::Post);
    let next = world.write(1, Wish::Post);
    let directed = world.send(1, &To::only(&[0, 1]), Wish::Post);
    world.everybody_hears_all();
    let signed = |world: &World, id: &EventId| SignedHeader::of(world.event(id));
    let forged = |world: &World, by: usize, change: &dyn Fn(&mut Header)| {
        let mut header = world.event(&post).header.clone();
        change(&mut header);
        let bytes = encode(&header);
        let id = Header::id(&bytes);
        let tag = crate::event::TAG_EVENT_SIGNATURE;
        SignedHeader {
            header: serde_bytes::ByteBuf::from(bytes),
            signature: Signature(signing_key(by).sign(tag, &id.0)),
        }
    };
    let other_time = |header: &mut Header| header.claimed_ms ^= 1;
    let real = signed(&world, &post);
    let twin = forged(&world, 1, &other_time);
    let by_another = forged(&world, 2, &other_time);
    let elsewhere = forged(&world, 1, &|header| header.channel.0[0] ^= 1);
    let swapped = EvidenceBody::new(real.clone(), twin.clone());
    let swapped = EvidenceBody {
        first: swapped.second,
        second: swapped.first,
    };
    let mut unlike = EvidenceBody::new(real.clone(), twin.clone());
    unlike.second.signature.0[5] ^= 1;
    let bodies = [
        encode(&EvidenceBody::new(real.clone(), signed(&world, &next))),
        encode(&EvidenceBody {
            first: real.clone(),
            second: real.clone(),
        }),
        encode(&EvidenceBody::new(real.clone(), by_another)),
        encode(&EvidenceBody::new(real.clone(), elsewhere)),
        encode(&swapped),
        encode(&unlike),
        [
            encode(&EvidenceBody::new(real.clone(), twin.clone())),
            vec![0xc0],
        ]
        .concat(),
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let refused = world.show(0, post, body);
        assert_eq!(
            world.oracle.verdict(&refused),
            Verdict::Invalid,
            "body {number}"
        );
    }
    let proof = encode(&EvidenceBody::new(real, twin));
    let misplaced = world.show(0, directed, proof.clone());
    assert_eq!(world.oracle.verdict(&misplaced), Verdict::Invalid);
    agreed(&world);

    let accepted = world.show(0, post, proof);

    assert!(world.is_accepted(&accepted));
    assert!(world.oracle.forked().contains(&post));
    agreed(&world);
}

#[test]
fn evidence_needs_the_writers_certificate_in_its_own_past() {
    let mut world = World::with_members(3);
    let second = node(1, 1);
    let lagging = world.seen[0].clone();
    world.write(1, Wish::Introduce(1));
    world.hear_from(second, 1);
    let before = world.seen[second].clone();
    let one = world.write(second, Wish::Post);
    let mut seen = before;
    let other = world.write_on(second, &mut seen, Wish::Post);
    world.everybody_hears_all();
    let informed = std::mem::replace(&mut world.seen[0], lagging);
    let post = world.write(0, Wish::Post);
    let too_early = world.prove(0, one, other);
    world.seen[0] = informed;
    world.hear(0, post);

    let proof = world.prove(0, one, other);

    assert_eq!(world.oracle.verdict(&too_early), Verdict::Invalid);
    assert!(world.is_accepted(&proof));
    agreed(&world);
}

#[test]
fn a_partner_whose_accept_is_void_is_only_invited() {
    let mut world = World::with_members(3);
    world.write(0, Wish::Invite(3, Role::Contributor));
    world.hear_all(3);
    let before = world.seen[3].clone();
    let accept = world.write(3, Wish::Accept);
    let mut seen = before;
    let again = world.write_on(3, &mut seen, Wish::Accept);
    world.hear(0, accept);
    world.write(0, Wish::Merge);
    world.hear(1, again);
    world.write(1, Wish::Merge);
    world.hear(2, accept);
    assert_eq!(active(&world), [0, 1, 2, 3]);

    world.prove(2, accept, again);

    assert_eq!(active(&world), [0, 1, 2]);
    agreed(&world);
}

#[test]
fn the_earliest_of_several_forks_counts() {
    let mut world = World::with_members(4);
    let begin = world.seen[1].clone();
    let first = world.write(1, Wish::Grant(2, Role::Observer));
    let middle = world.seen[1].clone();
    let second = world.write(1, Wish::Grant(3, Role::Observer));
    let mut seen = middle;
    let late = world.write_on(1, &mut seen, Wish::SealingKey(1));
    let mut seen = begin;
    let early = world.write_on(1, &mut seen, Wish::SealingKey(2));
    world.everybody_hears_all();
    for who in [0, 2, 3] {
        world.write(who, Wish::Merge);
    }

    world.prove(0, first, early);
    world.prove(2, second, late);

    for void in [first, second, late, early] {
        assert!(!has_effect(&world, void));
    }
    agreed(&world);
}

#[test]
fn a_forker_proves_itself_and_writes_on_in_vain() {
    let mut world = World::with_members(4);
    let (one, other) = fork_in_control(&mut world);
    world.hear(1, one);
    let proof = world.prove(1, one, other);
    let removal = world.write(1, Wish::Remove(2));

    assert!(has_effect(&world, proof));
    assert!(world.is_accepted(&removal) && !has_effect(&world, removal));
    agreed(&world);
}

#[test]
fn the_founder_that_forks_at_its_charter_stays_and_nobody_else_does() {
    let mut world = World::with_members(3);
    let charter = world.events[0].id;
    let mut header = world.event(&charter).header.clone();
    header.kind = Kind::Merge.number();
    header.body_hash = Hash([3; 32]);
    let bytes = encode(&header);
    let id = Header::id(&bytes);
    let twin = SignedHeader {
        header: serde_bytes::ByteBuf::from(bytes),
        signature: Signature(signing_key(0).sign(crate::event::TAG_EVENT_SIGNATURE, &id.0)),
    };
    let body = EvidenceBody::new(SignedHeader::of(world.event(&charter)), twin);

    let proof = world.show(1, charter, encode(&body));

    assert!(has_effect(&world, proof) && has_effect(&world, charter));
    assert_eq!(active(&world), [0]);
    agreed(&world);
}

#[test]
fn a_fork_in_a_directed_lane_is_no_matter_of_the_lane_of_all() {
    let mut world = World::with_members(4);
    let trio = To::only(&[0, 1, 2]);
    let open = world.write(1, Wish::Post);
    let pair = world.send(1, &To::only(&[1, 2]), Wish::Post);
    world.send(1, &trio, Wish::Post);
    let before = world.seen[1].clone();
    let one = world.send(1, &trio, Wish::Post);
    let mut seen = before;
    let other = world.send_on(1, &mut seen, &trio, Wish::Post);
    world.hear(0, one);
    world.send(0, &trio, Wish::Post);
    world.hear(2, other);
    world.send(2, &trio, Wish::Post);
    let removal = world.write(0, Wish::Remove(2));

    let proof = world.prove(0, one, other);

    assert!(world.is_accepted(&proof) && has_effect(&world, removal));
    let forked = world.oracle.forked();
    assert!([one, other, pair].iter().all(|id| forked.contains(id)));
    assert!(!forked.contains(&open));
    let spared: WriterId = writer(1);
    assert!(standing(&world, 1).is_some_and(|standing| standing.writers.contains(&spared)));
    assert_eq!(partner(1).id, world.oracle.author(&one));
    agreed(&world);
}
