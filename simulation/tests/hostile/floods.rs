//! Thousands of lanes, reactions and acts; late events of a former member without end.

use std::collections::BTreeSet;

use comity_protocol::authority::Status;
use comity_protocol::body::{EmptyBody, ReactBody};
use comity_protocol::codec::{Canonical, encode};
use comity_protocol::event::{Event, Kind};
use comity_protocol::id::PartnerId;
use comity_protocol::limits;
use comity_protocol::quota::Limit;
use comity_protocol::replica::{Command, Notice};

use crate::stage::{ALPHA, HONEST, MALLORY, Stage};

#[test]
fn thousands_of_reactions_are_taken_and_change_nobodys_exchange() {
    let mut stage = Stage::new(61, 1);
    let id = stage.say(ALPHA, "react to this");
    stage.world.run_for(2_000);
    let mut pen = stage.fresh_pen(MALLORY);
    let target = pen.channel.find_message(&id.to_hex())[0];
    let reactions: Vec<Event> = (0..4_000)
        .flat_map(|number| {
            let body = ReactBody {
                emoji: format!("+{number}"),
                withdrawn: number % 3 == 0,
            };
            let message = pen.message(Kind::React, Some(target), body.to_bytes());
            pen.write(&message)
        })
        .collect();
    let began = std::time::Instant::now();
    for part in reactions.chunks(500) {
        stage.bring_all(MALLORY, part);
    }
    println!("4,000 reactions to three took {:?}", began.elapsed());
    stage.exchange("reactions without number");
    for at in HONEST {
        assert!(stage.holds(at, &reactions[reactions.len() - 1].id));
    }
}

/// Every audience there can be among nine partners, begun by one writer.
#[test]
fn lanes_without_number_are_begun_as_fast_as_the_quota_lets_and_no_faster() {
    let mut stage = Stage::new(62, 6);
    let others: Vec<usize> = (0..9).filter(|who| *who != MALLORY).collect();
    let mut pen = stage.pen(MALLORY);
    let audience = |mask: u32, stage: &Stage| -> BTreeSet<PartnerId> {
        let chosen = others
            .iter()
            .enumerate()
            .filter(|(at, _)| mask & (1 << at) != 0);
        let mut chosen: Vec<usize> = chosen.map(|(_, who)| *who).collect();
        chosen.push(MALLORY);
        stage.ids(&chosen)
    };
    let before = HONEST.map(|at| stage.held(at).lanes().count()).max();
    for mask in 1..256 {
        let to = audience(mask, &stage);
        let events = pen.post_to(to.clone(), "another lane");
        for at in HONEST
            .filter(|at| to.contains(&stage.id(*at)))
            .collect::<Vec<_>>()
        {
            stage.bring(MALLORY, at, &events);
        }
        stage.world.run_for(20);
    }
    stage.exchange("lanes without number");
    for at in HONEST {
        let lanes = stage.held(at).lanes().count();
        println!("{at} holds {lanes} lanes");
        assert!(lanes <= before.unwrap_or(0) + limits::LANES_PER_WRITER as usize);
        assert!(stage.noticed(at, |notice| {
            matches!(
                notice,
                Notice::OverLimit {
                    limit: Limit::LanesPerWriter,
                    ..
                }
            )
        }));
    }
}

/// Control events without number, also sent backwards: the first one's arrival takes all that
/// waited for it, and they are charged all the same.
#[test]
fn control_events_sent_backwards_are_charged_like_others() {
    let mut stage = Stage::new(63, 1);
    let mut pen = stage.pen(MALLORY);
    let acts = |count: usize, pen: &mut comity_simulation::Pen| -> Vec<Event> {
        let acts = (0..count).flat_map(|_| pen.act(Kind::Merge, encode(&EmptyBody {})));
        let mut acts: Vec<Event> = acts.collect();
        acts.reverse();
        acts
    };
    let first = acts(1_100, &mut pen);
    let more = acts(300, &mut pen);
    let began = std::time::Instant::now();
    for part in first.chunks(200).chain(more.chunks(100)) {
        stage.bring_all(MALLORY, part);
    }
    stage.exchange("acts backwards");
    println!("1,400 acts backwards to three took {:?}", began.elapsed());
    for at in HONEST {
        let held = stage.held(at);
        let height = held.graph().height(held.control_lane, pen.writer);
        println!("{at} holds {height} acts of the liar");
        assert!(height < 1_200, "{height}");
        assert!(stage.noticed(at, |notice| {
            matches!(
                notice,
                Notice::OverLimit {
                    limit: Limit::ControlEvents,
                    ..
                }
            )
        }));
    }
}

/// A removed member floods the lane with what it says it wrote before.
#[test]
fn late_events_of_a_removed_member_are_flagged_by_all_and_cost_no_stall() {
    let mut stage = Stage::new(64, 1);
    let mallory = stage.id(MALLORY);
    let mut pen = stage.pen(MALLORY);
    let late: Vec<Event> = (0..4_000)
        .flat_map(|at| pen.post(&format!("long ago {at}")))
        .collect();
    let order = Command::Remove {
        channel: stage.channel,
        partner: mallory,
    };
    stage
        .world
        .command(ALPHA, order)
        .expect("an owner may remove");
    let channel = stage.channel;
    stage
        .world
        .run_until("all know of the removal", 20_000, |world| {
            HONEST
                .into_iter()
                .all(|at| world.status(at, channel, &mallory) == Some(Status::Removed))
        });
    let began = std::time::Instant::now();
    for part in late.chunks(500) {
        stage.bring_all(MALLORY, part);
        println!("500 late events more: {:?} in all", began.elapsed());
    }
    stage.exchange("late events");
    for at in HONEST {
        let held = stage.held(at);
        let shown = late
            .iter()
            .filter(|event| crate::stage::is_shown(held, &event.id))
            .count();
        assert_eq!(shown, 0, "{at}");
    }
}
