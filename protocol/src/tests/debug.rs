use super::history::*;
use super::kit::*;
use crate::body::Role;
#[test]
fn debug() {
    let steps = vec![
        Step::Write(0, Intent::Invite(0, Role::Observer)),
        Step::Write(0, Intent::Invite(0, Role::Observer)),
        Step::Stale(0, 0, Intent::Invite(0, Role::Observer)),
        Step::Write(0, Intent::Invite(0, Role::Observer)),
        Step::Write(3, Intent::Post),
        Step::Write(0, Intent::Invite(0, Role::Observer)),
        Step::Write(0, Intent::Post),
        Step::Fork(3, 10610783717714755248, Intent::Accept),
        Step::Hostile(3, 0, Trick::ClaimedTime(0), Intent::Post),
    ];
    let world = play(&steps);
    let (_, oracle) = settled(&world);
    for event in &world.events {
        let h = &event.header;
        let who = (0..PARTNERS)
            .find(|n| partner(*n).writer == h.writer)
            .unwrap();
        println!(
            "{:?} {:?} by {who} lane {} seq {} prev {:?} deps {:?} heads {:?} {:?}",
            event.id,
            h.kind(),
            &h.lane.to_hex()[..4],
            h.seq,
            h.prev,
            h.deps.iter().map(|r| r.id).collect::<Vec<_>>(),
            h.control_heads.iter().map(|r| r.id).collect::<Vec<_>>(),
            oracle_verdict(&oracle, &event.id)
        );
    }
    println!("{:?}", oracle.present());
}
fn oracle_verdict(o: &super::oracle::Oracle, id: &crate::id::EventId) -> String {
    [
        super::oracle::Verdict::Invalid,
        super::oracle::Verdict::Accepted,
        super::oracle::Verdict::Parked,
    ]
    .iter()
    .find(|v| o.with_verdict(**v).contains(id))
    .map(|v| format!("{v:?}"))
    .unwrap_or("dropped".into())
}
