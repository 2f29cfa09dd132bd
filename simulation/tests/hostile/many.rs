//! As many partners as a channel can have, of whom three are honest.

use comity_protocol::body::KeyBody;
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Event, Kind};
use comity_protocol::limits;
use comity_protocol::replica::Notice;
use comity_simulation::{World, text_body};
use serde_bytes::ByteBuf;

use crate::stage::{ALPHA, BRAVO, CHARLIE, HONEST, MALLORY, Stage};

/// A key event in two parts for sixty-four readers, with garbage for two of the honest: they have
/// the secret from the third, and go on exchanging in a lane of sixty-four.
#[test]
fn a_lane_of_sixty_four_partners_of_whom_one_lies() {
    let began = std::time::Instant::now();
    let names: Vec<String> = (0..limits::PARTNERS)
        .map(|at| format!("p{at:02}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = World::new(71, &names);
    println!("seed 71");
    (1..names.len()).for_each(|other| world.connect(ALPHA, other));
    let channel = world.shared_channel("harbour");
    println!("sixty-four have joined after {:?}", began.elapsed());
    let mut stage = Stage::seized(world, channel);
    stage.world.connect(BRAVO, CHARLIE);

    let mut pen = stage.pen(MALLORY);
    let mut written = pen.post("to all sixty-four");
    let post = written.pop().expect("a post");
    let secret = pen.secret(&post.header.key_event.expect("a sealed event"));
    let cheated = [stage.id(BRAVO), stage.id(CHARLIE)];
    let mut lies: Vec<Event> = Vec::new();
    for key in written
        .iter()
        .filter(|event| event.header.kind() == Kind::Key)
    {
        let mut body = KeyBody::from_bytes(&key.body).expect("a key body");
        for wrap in body
            .wraps
            .iter_mut()
            .filter(|wrap| cheated.contains(&wrap.partner))
        {
            wrap.sealed = ByteBuf::from(vec![7; wrap.sealed.len()]);
        }
        if let Some(parts) = &mut body.parts {
            *parts = lies.iter().map(|part| part.id).collect();
        }
        let mut header = key.header.clone();
        header.prev = lies.last().map(|last| last.id).or(header.prev);
        lies.push(pen.sign(header, body.to_bytes()));
    }
    assert_eq!(lies.len(), 2, "two parts");
    let mut header = post.header.clone();
    header.prev = Some(lies[1].id);
    header.key_event = Some(lies[1].id);
    let post = pen.seal(header, &text_body("to all sixty-four"), secret);
    lies.push(post.clone());
    stage.bring_all(MALLORY, &lies);
    stage.exchange("a lane of sixty-four");
    stage.world.run_for(20_000);
    for at in HONEST {
        assert_eq!(
            stage.text(at, &post.id),
            Some("to all sixty-four".into()),
            "{at}"
        );
    }
    assert!(stage.noticed(BRAVO, |notice| matches!(notice, Notice::BadKey { .. })));
    println!("all of it took {:?}", began.elapsed());
}
