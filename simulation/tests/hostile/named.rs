//! The classes behind published vulnerabilities of other federated systems, by their numbers.

use comity_protocol::body::{MessageBody, RedactBody};
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Event, Header, Kind, Reference, UserName};
use comity_protocol::id::EventId;
use comity_simulation::text_body;

use crate::stage::{ALPHA, BRAVO, HONEST, MALLORY, Stage, is_shown};

fn post_of(stage: &Stage, who: usize, id: &EventId) -> Event {
    let mut events = stage.world.partners[who].disk.events();
    events.find(|event| event.id == *id).expect("it is stored")
}

/// A remote edits and deletes what is not its own.
#[test]
fn cve_2024_41144_a_remote_edits_or_deletes_what_is_not_its_own() {
    let mut stage = Stage::new(31, 1);
    let id = stage.say(ALPHA, "meet at nine");
    stage.world.run_for(1_000);
    let target = post_of(&stage, ALPHA, &id);
    let edit = MessageBody {
        message: "meet at ten".into(),
    };
    let redact = RedactBody {
        reason: "not needed".into(),
    };
    let acts = [
        (Kind::Edit, edit.to_bytes()),
        (Kind::Redact, redact.to_bytes()),
    ];
    for (kind, body) in acts {
        // Under its own user's name, and under the very name of the author at alpha.
        for user in ["mallory", "user"] {
            let about = |header: &mut Header| {
                header.kind = kind.number();
                header.author = UserName::try_from(user.to_string()).ok();
                header.about = Some(target.reference_from(header.lane));
            };
            let forged = stage.forge(MALLORY, about, &body);
            stage.bring_forged(MALLORY, &forged);
            assert!(
                HONEST
                    .into_iter()
                    .all(|at| stage.holds(at, &forged.event.id))
            );
            for at in HONEST {
                let held = stage.held(at);
                let pos = held.find_message(&id.to_hex())[0];
                let changes = held.about(pos);
                let kinds = changes.iter().map(|change| held.entry(*change).kind);
                assert!(is_shown(held, &id), "{at} deleted it");
                assert_eq!(
                    kinds.filter(|of| *of == kind).count(),
                    0,
                    "{at} took the change"
                );
                assert_eq!(stage.text(at, &id), Some("meet at nine".into()));
            }
            stage.exchange("a change of what is another's");
        }
    }
}

/// A remote posts as a user of another partner, or signs as its node.
#[test]
fn cve_2024_36492_a_remote_impersonates_a_user_of_another() {
    let mut stage = Stage::new(32, 1);
    let mut pen = stage.pen(MALLORY);
    let mut message = pen.message(Kind::Post, None, text_body("I am alpha's"));
    message.user = Some(UserName::try_from("user".to_string()).expect("a legal name"));
    let posts = pen.write(&message);
    let same_name = posts.last().expect("a post").id;
    stage.bring_all(MALLORY, &posts);
    for at in HONEST {
        let held = stage.held(at);
        let pos = held.find_message(&same_name.to_hex())[0];
        // The name alone means nothing: the author is the partner's whose key signed.
        assert_eq!(held.author(pos).partner, stage.id(MALLORY), "{at}");
        assert_eq!(
            held.writer_partner(&held.writer_of(pos)),
            Some(stage.id(MALLORY))
        );
    }
    let alpha = stage.replica(ALPHA).writer();
    let mut header = posts.last().expect("a post").header.clone();
    header.writer = alpha;
    let epoch = header.key_event.expect("a sealed event");
    let forged = pen.seal(header, &text_body("I am alpha"), pen.secret(&epoch));
    stage.bring_all(MALLORY, std::slice::from_ref(&forged));
    for at in HONEST {
        assert!(!stage.holds(at, &forged.id), "{at}");
        assert!(stage.accused(at, MALLORY, "a bad signature"), "{at}");
    }
    stage.exchange("an impersonation");
}

/// One malformed event stops a victim's federation with everybody.
#[test]
fn cve_2025_30355_one_malformed_event_stops_federation() {
    let mut stage = Stage::new(33, 1);
    // Numbers at their ends, references to what cannot be, the times' ends.
    let changes: [fn(&mut Header); 8] = [
        |header| header.claimed_ms = u64::MAX,
        |header| header.claimed_ms = 0,
        |header| header.seq = u64::MAX,
        |header| header.about = Some(nowhere(u64::MAX)),
        |header| header.about = Some(nowhere(0)),
        |header| header.deps = vec![nowhere(u64::MAX)],
        |header| header.deps = vec![nowhere(0)],
        |header| header.control_heads = vec![nowhere(u64::MAX)],
    ];
    for change in changes {
        let forged = stage.forge(MALLORY, change, &text_body("malformed"));
        stage.bring_forged(MALLORY, &forged);
        stage.exchange("an event with numbers at their ends");
    }
    // Bodies that are noise, sealed and public.
    for noise in [vec![], vec![0xc1; 200], vec![0xdd, 0xff, 0xff, 0xff, 0xff]] {
        let forged = stage.forge(MALLORY, |_| {}, &noise);
        stage.bring_forged(MALLORY, &forged);
        for at in HONEST {
            assert!(stage.holds(at, &forged.event.id));
            assert_eq!(stage.text(at, &forged.event.id), None);
        }
        for kind in [
            Kind::Invite,
            Kind::Remove,
            Kind::SealingKey,
            Kind::WriterIntroduce,
        ] {
            let mut pen = stage.fresh_pen(MALLORY);
            let merge = pen.act(Kind::Merge, vec![0x90]);
            let mut header = merge[0].header.clone();
            header.kind = kind.number();
            let event = pen.sign(header, noise.clone());
            stage.bring_all(MALLORY, &[event]);
            let why = "a body that does not fit its kind";
            assert!(HONEST.into_iter().all(|at| stage.accused(at, MALLORY, why)));
        }
    }
    stage.exchange("malformed events");
    // What they took of it survives a restart, and the others still exchange with them.
    stage.world.kill(BRAVO);
    stage.world.start(BRAVO);
    stage.world.connect_all();
    stage.exchange("malformed events and a restart");
}

fn nowhere(seq: u64) -> Reference {
    Reference {
        lane: None,
        writer: comity_protocol::id::WriterId([3; 32]),
        seq,
        id: EventId([4; 32]),
    }
}
