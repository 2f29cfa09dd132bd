//! Who joins, who is removed, and what each is sent.

use std::collections::BTreeSet;

use comity_protocol::authority::Status;
use comity_protocol::body::Role;
use comity_protocol::channel::Channel;
use comity_protocol::event::{Kind, Precedence, UserName};
use comity_protocol::id::{ChannelId, EventId, PartnerId};
use comity_protocol::lane::{History, LaneForm};
use comity_protocol::replica::{Command, CommandError, Draft, Proposal, Written};
use comity_protocol::wire::Frame;
use comity_simulation::World;

const NAMES: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
const DELTA: usize = 3;

#[test]
fn whoever_joins_a_channel_with_all_history_reads_all_of_it() {
    let mut world = World::even(1, &NAMES);
    world.connect_all();
    let channel = world.channel_among("harbour", History::All, 3);
    let wide: Vec<EventId> = (0..9)
        .map(|at| say(&mut world, at % 3, channel, &format!("before {at}"), None))
        .collect();
    let pair = audience(&world, &[0, 1]);
    let narrow = say(&mut world, 0, channel, "for two", Some(pair));

    world.admit(channel, DELTA, Role::Contributor);
    world.run_until("delta can open every open lane's epochs", 60_000, |world| {
        let held = held(world, DELTA, channel);
        wide.iter()
            .all(|id| !held.find_message(&id.to_hex()).is_empty())
            && held
                .epochs()
                .all(|(key_event, _)| opens(world, DELTA, &key_event))
    });

    let held = held(&world, DELTA, channel);
    assert!(held.find_message(&narrow.to_hex()).is_empty());
    assert_eq!(
        held.lanes()
            .filter(|(_, lane)| lane.form == LaneForm::Directed)
            .count(),
        0
    );
    assert!(world.converged(channel));
}

#[test]
fn whoever_joins_a_channel_from_then_on_reads_nothing_from_before() {
    let mut world = World::even(2, &NAMES);
    world.connect_all();
    let channel = world.channel_among("harbour", History::FromJoin, 3);
    let before = say(&mut world, 1, channel, "before", None);
    world.admit(channel, DELTA, Role::Contributor);
    let after = say(&mut world, 1, channel, "after", None);
    world.run_for(30_000);

    let held = held(&world, DELTA, channel);
    assert!(held.find_message(&before.to_hex()).is_empty());
    assert_eq!(held.find_message(&after.to_hex()).len(), 1);
    let own = world.partners[DELTA].id;
    assert!(
        held.lanes()
            .all(|(lane, of)| *lane == held.control_lane || of.audience.contains(&own))
    );
}

#[test]
fn a_removed_partner_gets_no_later_frame_key_or_event_and_its_late_posts_are_flagged() {
    let mut world = World::even(3, &NAMES);
    world.connect_all();
    let channel = world.shared_channel("harbour");
    let early = say(&mut world, DELTA, channel, "everybody has this", None);
    let pair = audience(&world, &[1, DELTA]);
    let narrow = say(&mut world, DELTA, channel, "bravo has this", Some(pair));
    world.run_for(2_000);
    // Delta hears nothing more, and goes on.
    (0..DELTA).for_each(|other| world.cut(other, DELTA));
    let late = say(&mut world, DELTA, channel, "nobody has this", None);

    let delta = world.partners[DELTA].id;
    let order = Command::Remove {
        channel,
        partner: delta,
    };
    world.command(0, order).expect("an owner may remove");
    world.run_until("the others hear of it", 10_000, |world| {
        (0..DELTA).all(|at| world.status(at, channel, &delta) == Some(Status::Removed))
    });
    let removed_at = world.now_ms();
    say(&mut world, 1, channel, "without delta", None);
    world.connect_all();
    world.run_for(40_000);

    for (at, name) in NAMES.iter().enumerate().take(DELTA) {
        let held = held(&world, at, channel);
        assert!(is_shown(held, &early), "{}", name);
        assert_eq!(is_shown(held, &narrow), at == 1, "{}", name);
        assert!(!is_shown(held, &late), "{}", name);
        let cuts = held
            .lanes()
            .flat_map(|(lane, _)| held.graph().logs_of(*lane));
        let chains = cuts.flat_map(|(_, chains)| chains.to_vec());
        let cut = |chain| {
            held.graph()
                .chain(chain)
                .entries
                .iter()
                .any(|entry| entry.kind == Kind::Cut)
        };
        assert!(chains.into_iter().any(cut), "{} wrote no cut", name);
    }
    for frame in world
        .sent()
        .iter()
        .filter(|frame| frame.to == DELTA && frame.at_ms > removed_at)
    {
        let frame = Frame::from_bytes(&frame.bytes).expect("an honest frame");
        let harmless = matches!(frame, Frame::Hello(_) | Frame::Refused(_));
        assert!(harmless, "a removed partner was sent {frame:?}");
    }
    let held_by_delta = held(&world, DELTA, channel);
    assert_eq!(held_by_delta.posts(), 3, "its own and what came before");
    assert!(converged_among(&world, channel, 0..DELTA));
    assert_eq!(world.misbehaviour(), &[] as &[String]);
}

#[test]
fn whoever_comes_back_reads_on_and_what_was_flagged_stays_flagged() {
    let mut world = World::even(4, &NAMES);
    world.connect_all();
    let channel = world.shared_channel("harbour");
    let early = say(&mut world, DELTA, channel, "everybody has this", None);
    world.run_for(2_000);
    (0..DELTA).for_each(|other| world.cut(other, DELTA));
    let late = say(&mut world, DELTA, channel, "nobody has this", None);
    let delta = world.partners[DELTA].id;
    let order = Command::Suspend {
        channel,
        partner: delta,
    };
    world.command(0, order).expect("an owner may suspend");
    world.run_until("the others hear of it", 10_000, |world| {
        (0..DELTA).all(|at| world.status(at, channel, &delta) == Some(Status::Suspended))
    });
    let meanwhile = say(&mut world, 1, channel, "without delta", None);
    world.connect_all();
    world.run_for(5_000);
    world.admit(channel, DELTA, Role::Contributor);
    let back = say(&mut world, DELTA, channel, "back again", None);
    let hello = say(&mut world, 2, channel, "hello again", None);
    world.run_for(40_000);

    for (at, name) in NAMES.iter().enumerate() {
        let held = held(&world, at, channel);
        for (id, shown) in [(early, true), (late, false), (back, true), (hello, true)] {
            assert_eq!(is_shown(held, &id), shown, "{}: {id}", name);
        }
        assert_eq!(is_shown(held, &meanwhile), at != DELTA, "{}", name);
    }
    assert!(world.converged(channel));
    assert_eq!(world.misbehaviour(), &[] as &[String]);
}

#[test]
fn three_owners_remove_a_fourth_when_two_have_endorsed() {
    let mut world = World::even(5, &NAMES);
    world.connect_all();
    let channel = world.shared_channel("harbour");
    for other in 1..4 {
        let partner = world.partners[other].id;
        let role = Role::Owner;
        // Each new owner needs a majority of those there are.
        let proposal = Proposal::Grant { partner, role };
        for owner in 1..other {
            let proposal = proposal.clone();
            world
                .command(owner, Command::Endorse { channel, proposal })
                .expect("an owner");
            world.run_for(500);
        }
        let order = Command::Grant {
            channel,
            partner,
            role,
        };
        world.command(0, order).expect("a majority has endorsed it");
        world.run_for(500);
    }
    let partner = world.partners[DELTA].id;
    let order = Command::Remove { channel, partner };
    let refused = world.command(0, order.clone());
    assert!(
        matches!(
            refused,
            Err(CommandError::QuorumMissing {
                have: 1,
                needed: 2,
                ..
            })
        ),
        "{refused:?}"
    );
    let open = held(&world, 0, channel).proposals(&world.partners[0].id);
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!(open[0].proposal, Proposal::Remove { partner });
    world.run_for(500);
    world
        .command(1, order)
        .expect("the second owner completes it");
    world.run_for(5_000);

    for (at, name) in NAMES.iter().enumerate().take(DELTA) {
        assert_eq!(
            world.status(at, channel, &partner),
            Some(Status::Removed),
            "{}",
            name
        );
    }
}

fn say(
    world: &mut World,
    who: usize,
    channel: ChannelId,
    text: &str,
    audience: Option<BTreeSet<PartnerId>>,
) -> EventId {
    let draft = Draft {
        user: UserName::try_from("user".to_string()).expect("a legal name"),
        claimed_ms: 1_700_000_000_000,
        precedence: Precedence::Routine,
        audience,
        label: None,
    };
    let order = Command::Post {
        channel,
        draft,
        text: text.into(),
        reply_to: None,
        rows: Vec::new(),
    };
    let written: Written = world.command(who, order).expect("a member may post");
    world.run_for(300);
    written.id
}

fn audience(world: &World, members: &[usize]) -> BTreeSet<PartnerId> {
    members
        .iter()
        .map(|member| world.partners[*member].id)
        .collect()
}

fn held(world: &World, at: usize, channel: ChannelId) -> &Channel {
    let replica = world.replica(at).expect("every process is up");
    &replica.channels()[&channel]
}

fn opens(world: &World, at: usize, key_event: &EventId) -> bool {
    world
        .replica(at)
        .is_some_and(|replica| replica.secret(key_event).is_some())
}

fn is_shown(channel: &Channel, id: &EventId) -> bool {
    let found = channel.find_message(&id.to_hex());
    found
        .first()
        .is_some_and(|pos| !channel.is_flagged(*pos) && !channel.is_erased(*pos))
}

fn converged_among(world: &World, channel: ChannelId, who: std::ops::Range<usize>) -> bool {
    let digests = who.map(|at| {
        let held = held(world, at, channel);
        let lanes = held.common_lanes();
        let both = lanes.map(|lane| (lane, held.timeline_digest(lane), held.state_digest(lane)));
        both.collect::<Vec<_>>()
    });
    digests.collect::<BTreeSet<_>>().len() == 1
}
