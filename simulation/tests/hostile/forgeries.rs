//! Events in another's name, under wrong keys, out of place, again and again.

use comity_crypto::{EpochSecret, SigningKey};
use comity_protocol::body::{CertificatesBody, KeyBody};
use comity_protocol::codec::Canonical;
use comity_protocol::event::{Event, Header, Kind};
use comity_protocol::id::{ChannelId, EventId, Hash, LaneId, Signature, WriterId};
use comity_protocol::identity::{Identity, NodeCertificate};
use comity_protocol::keys::Entropy;
use comity_protocol::lane::{LaneForm, lane_id};
use comity_protocol::replica::{Notice, StreamClass};
use comity_protocol::wire::{AskKeys, Frame, GivenKey, Keys};
use comity_simulation::{Pen, text_body};
use serde_bytes::ByteBuf;

use crate::stage::{ALPHA, BRAVO, CHARLIE, HONEST, MALLORY, Stage};

#[test]
fn events_in_anothers_name_are_not_taken_whoever_signs_them() {
    let mut stage = Stage::new(11, 1);
    let alpha = stage.replica(ALPHA).writer();
    let height = |stage: &Stage, at| {
        let held = stage.held(at);
        held.lanes()
            .map(|(lane, _)| held.graph().height(*lane, alpha))
            .sum::<u64>()
    };
    for step in 0..3 {
        stage.world.run_for(2_000);
        let before = height(&stage, BRAVO);
        let last = last_of(&stage, alpha);
        // Alpha's next event, signed by the liar; the same without a signature; in the place of
        // the last.
        let mut forged = stage.forge(
            MALLORY,
            |header| {
                let next = (last.header.seq + 1, Some(last.id));
                let same = (last.header.seq, last.header.prev);
                header.writer = alpha;
                (header.seq, header.prev) = if step == 2 { same } else { next };
                header.deps.clear();
            },
            &text_body("forged"),
        );
        if step == 1 {
            forged.event.signature = Signature([0; 64]);
        }
        stage.bring_forged(MALLORY, &forged);
        let id = forged.event.id;
        assert!(HONEST.into_iter().all(|at| !stage.holds(at, &id)));
        assert_eq!(height(&stage, BRAVO), before);
        assert!(stage.accused(BRAVO, MALLORY, &format!("a bad signature for event {id}")));
        stage.exchange("an event in alpha's name");
    }
}

fn last_of(stage: &Stage, writer: WriterId) -> Event {
    let events = stage.world.partners[ALPHA].disk.events();
    let posts =
        events.filter(|event| event.header.writer == writer && event.header.kind() == Kind::Post);
    posts
        .max_by_key(|event| event.header.seq)
        .expect("it has posted")
}

/// A liar passes an honest partner's node for its own: the key never signed that it is.
#[test]
fn nobody_introduces_anothers_writer_as_its_own() {
    let mut stage = Stage::new(12, 1);
    let captive = stage.captive(MALLORY).clone();
    let stolen = stage.world.partners[ALPHA]
        .identity
        .certificates
        .nodes
        .clone();
    let root = SigningKey::from_seed(&captive.root);
    let identity = &captive.identity;
    let nodes = [identity.certificates.nodes.clone(), stolen].concat();
    let forged = Identity::sign(identity.name.clone(), &root, identity.next_root, 2, nodes);
    let mut pen = stage.pen(MALLORY);
    let act = pen.act(
        Kind::Merge,
        comity_protocol::codec::encode(&comity_protocol::body::EmptyBody {}),
    );
    let mut header = act[0].header.clone();
    header.kind = Kind::WriterIntroduce.number();
    let body = CertificatesBody { identity: forged }.to_bytes();
    let event = pen.sign(header, body);
    stage.bring_all(MALLORY, std::slice::from_ref(&event));
    for at in HONEST {
        assert!(stage.accused(at, MALLORY, "an identity that does not hold together"));
        let alpha = stage.replica(ALPHA).writer();
        assert_eq!(stage.held(at).writer_partner(&alpha), Some(stage.id(ALPHA)));
    }
    stage.exchange("a stolen writer");
}

#[test]
fn messages_under_wrong_and_outdated_keys_are_refused_by_all_alike() {
    let mut stage = Stage::new(13, 1);
    let old = stage.pen(MALLORY);
    let open = old.open_lane();
    let epochs: Vec<EventId> = old
        .channel
        .epochs()
        .filter(|(_, lane)| *lane == open)
        .map(|(key_event, _)| key_event)
        .collect();
    assert!(epochs.len() >= 3, "everybody has an epoch");
    // Under the epoch of another writer, under none there is, and under one that went before.
    let mut refused = 0;
    for epoch in epochs.into_iter().chain([EventId([3; 32])]) {
        let under = |header: &mut Header| header.key_event = Some(epoch);
        let forged = stage.forge(MALLORY, under, &text_body("forged"));
        stage.bring_forged(MALLORY, &forged);
        let id = forged.event.id;
        assert!(HONEST.into_iter().all(|at| !stage.holds(at, &id)));
        let why = format!("{id}: sealed under another epoch than the writer's latest");
        refused += usize::from(stage.accused(CHARLIE, MALLORY, &why));
        stage.exchange("a message under another key");
    }
    assert!(refused >= 4, "{refused}");
}

#[test]
fn key_events_for_too_few_for_strangers_and_under_expired_keys_are_refused() {
    let mut stage = Stage::new(14, 1);
    let seals = |stage: &Stage| -> (Pen, Event) {
        let mut pen = stage.pen(MALLORY);
        let to = stage.ids(&[ALPHA, BRAVO, MALLORY]);
        let key = pen.post_to(to, "for three").remove(0);
        assert_eq!(key.header.kind(), Kind::Key);
        (pen, key)
    };
    type Change = fn(&mut KeyBody);
    let changes: [Change; 4] = [
        |body| drop(body.wraps.pop()),
        |body| body.wraps[0].sealing_key = Hash([9; 32]),
        |body| body.wraps[0].partner.0[31] ^= 1,
        |body| {
            let audience = body.audience.as_mut();
            audience.map(Vec::pop);
        },
    ];
    for change in changes {
        let (pen, key) = seals(&stage);
        let mut body = KeyBody::from_bytes(&key.body).expect("a key body");
        change(&mut body);
        let event = pen.sign(key.header.clone(), body.to_bytes());
        stage.bring_all(MALLORY, std::slice::from_ref(&event));
        for at in [ALPHA, BRAVO] {
            assert!(stage.held(at).epoch(&event.id).is_none());
            assert!(stage.accused(at, MALLORY, "it sent the invalid event"));
        }
        stage.exchange("a key event that is none");
    }
}

/// One reader gets the secret, another garbage in its place: the first gives it to the second.
#[test]
fn key_wraps_good_for_one_reader_and_garbage_for_another_keep_nothing_from_either() {
    let mut stage = Stage::new(15, 1);
    let mut pen = stage.pen(MALLORY);
    let to = stage.ids(&[ALPHA, BRAVO, MALLORY]);
    let lane = lane_id(stage.channel, LaneForm::Directed, &to);
    let written = pen.post_to(to, "for both of you");
    let (key, post) = (&written[0], &written[1]);
    let epoch = pen.secret(&key.id);
    // The same secret, wrapped to bravo as noise.
    let mut body = KeyBody::from_bytes(&key.body).expect("a key body");
    let bravo = stage.id(BRAVO);
    for wrap in body.wraps.iter_mut().filter(|wrap| wrap.partner == bravo) {
        wrap.sealed = ByteBuf::from(vec![7; wrap.sealed.len()]);
    }
    let key = pen.sign(key.header.clone(), body.to_bytes());
    let mut header = post.header.clone();
    (header.prev, header.key_event) = (Some(key.id), Some(key.id));
    let post = pen.seal(header, &text_body("for both of you"), epoch);
    for to in [ALPHA, BRAVO] {
        stage.bring(MALLORY, to, &[key.clone(), post.clone()]);
    }
    // Bravo asks the liar too, which gives it noise, and a secret that is not the one.
    stage.world.run_for(100);
    let noise = Keys {
        channel: stage.channel,
        lane,
        sealing_key: Hash([1; 32]),
        keys: vec![GivenKey {
            key_event: key.id,
            sealed: ByteBuf::from(vec![1; comity_crypto::WRAP_LEN]),
        }],
    };
    stage.frame(MALLORY, BRAVO, &Frame::Keys(noise));
    stage.exchange("a wrap that is garbage for bravo");
    stage.world.run_for(30_000);
    let text = Some("for both of you".to_string());
    assert_eq!(stage.text(ALPHA, &post.id), text);
    assert_eq!(stage.text(BRAVO, &post.id), text, "from alpha");
    assert!(stage.noticed(BRAVO, |notice| matches!(notice, Notice::BadKey { .. })));
    assert!(stage.noticed(BRAVO, |notice| matches!(
        notice,
        Notice::KeysObtained { .. }
    )));
    assert!(
        !stage.accused(ALPHA, MALLORY, ""),
        "alpha saw nothing wrong"
    );
}

/// The secret in every wrap is another than the one committed to: nobody shows what the liar
/// would have each read differently.
#[test]
fn a_secret_that_is_not_the_one_committed_to_opens_nothing_at_anybody() {
    let mut stage = Stage::new(16, 1);
    let mut pen = stage.pen(MALLORY);
    let to = stage.ids(&[ALPHA, BRAVO, CHARLIE, MALLORY]);
    let lane = lane_id(stage.channel, LaneForm::Directed, &to);
    let other = EpochSecret::from_bytes([5; 32]);
    let written = pen.post_to(to.clone(), "committed to another secret");
    let context = comity_protocol::keys::WrapContext {
        channel: stage.channel,
        lane,
        writer: pen.writer,
        seq: 1,
    };
    let readers = comity_protocol::lane::Lane {
        form: LaneForm::Directed,
        audience: to,
    };
    let view = pen.channel.present().clone();
    let entropy = Entropy::new([6; 32]);
    let wrapped = comity_protocol::keys::wrap_bodies(context, &view, &readers, &other, &entropy);
    let mut body = wrapped.expect("usable keys").remove(0);
    body.parts = Some(Vec::new());
    body.commitment = KeyBody::from_bytes(&written[0].body)
        .expect("a key body")
        .commitment;
    let key = pen.sign(written[0].header.clone(), body.to_bytes());
    let mut header = written[1].header.clone();
    (header.prev, header.key_event) = (Some(key.id), Some(key.id));
    let post = pen.seal(header, &text_body("who reads this?"), &other);
    stage.bring_all(MALLORY, &[key, post.clone()]);
    stage.exchange("a secret not committed to");
    for at in HONEST {
        assert!(stage.holds(at, &post.id));
        assert_eq!(stage.text(at, &post.id), None);
        assert!(stage.noticed(at, |notice| matches!(notice, Notice::BadKey { .. })));
    }
}

#[test]
fn bad_signatures_relayed_under_an_honest_id_do_not_poison_it() {
    let mut stage = Stage::new(17, 1);
    stage.world.cut(ALPHA, BRAVO);
    stage.world.cut(ALPHA, CHARLIE);
    let post = stage.say(ALPHA, "only the liar hears this");
    stage.world.run_for(300);
    let events: Vec<Event> = stage.world.partners[ALPHA].disk.events().collect();
    let mut poisoned: Vec<Event> = events;
    poisoned.retain(|event| event.header.writer == stage.replica(ALPHA).writer());
    for event in &mut poisoned {
        event.signature.0[7] ^= 1;
    }
    for _ in 0..20 {
        for to in [BRAVO, CHARLIE] {
            stage.bring(MALLORY, to, &poisoned);
        }
        stage.world.run_for(50);
    }
    assert!(!stage.holds(BRAVO, &post));
    assert!(stage.accused(BRAVO, MALLORY, "a bad signature"));
    stage.world.connect_all();
    stage.exchange("poisoned signatures");
    assert!(stage.holds(BRAVO, &post) && stage.holds(CHARLIE, &post));
}

#[test]
fn replays_of_events_and_of_frames_change_nothing() {
    let mut stage = Stage::new(18, 1);
    // Until the honest have said what they acknowledge without mallory.
    stage.world.run_for(10_000);
    let events = stage.captive(MALLORY).events.clone();
    let mut backwards = events.clone();
    backwards.reverse();
    let before: Vec<u64> = HONEST.map(|at| stage.held(at).events()).collect();
    for round in 0..30 {
        stage.bring_all(MALLORY, if round % 2 == 0 { &events } else { &backwards });
        // Every frame that it ever heard, back to whom it came from and to the others.
        let heard = stage.world.heard().to_vec();
        for frame in heard.iter().rev().take(50) {
            for to in HONEST {
                stage.tell(MALLORY, to, frame.class, frame.bytes.clone());
            }
        }
        stage.world.run_for(200);
    }
    let after: Vec<u64> = HONEST.map(|at| stage.held(at).events()).collect();
    assert_eq!(before, after, "nothing was taken twice");
    stage.exchange("replays");
    for at in HONEST {
        assert_eq!(stage.held(at).parked().0, 0);
    }
}

#[test]
fn foreign_channels_and_lanes_bring_nothing_in() {
    let mut stage = Stage::new(19, 1);
    let (mine, other) = (stage.channel, ChannelId([8; 32]));
    let heads = stage.pen(MALLORY).control_heads();
    let narrow = lane_id(mine, LaneForm::Directed, &stage.ids(&[ALPHA, BRAVO]));
    let control = comity_protocol::lane::control_lane(mine);
    let places = [
        (other, narrow),
        (mine, narrow),
        (mine, LaneId([4; 32])),
        (mine, control),
    ];
    for (channel, lane) in places {
        let begun = |header: &mut Header| {
            (header.channel, header.lane, header.seq, header.prev) = (channel, lane, 1, None);
            header.deps.clear();
            header.control_heads = heads.clone();
        };
        let forged = stage.forge(MALLORY, begun, &text_body("out of place"));
        stage.bring_forged(MALLORY, &forged);
        let id = forged.event.id;
        assert!(HONEST.into_iter().all(|at| !stage.holds(at, &id)));
        stage.exchange("an event out of place");
    }
    for at in HONEST {
        assert_eq!(stage.replica(at).channels().len(), 1);
        assert!(stage.accused(at, MALLORY, "in a lane that nothing in its past names"));
    }
    // Keys of a channel that is not there are not given.
    let key_events = vec![EventId([1; 32])];
    let ask = AskKeys {
        channel: other,
        lane: narrow,
        key_events,
    };
    let heard = stage.world.heard().len();
    stage.tell(
        MALLORY,
        ALPHA,
        StreamClass::Control,
        Frame::AskKeys(ask).to_bytes(),
    );
    stage.world.run_for(1_000);
    let answers = &stage.world.heard()[heard..];
    let refused = |bytes: &[u8]| matches!(Frame::from_bytes(bytes), Ok(Frame::Refused(_)));
    assert!(
        answers
            .iter()
            .any(|frame| frame.from == ALPHA && refused(&frame.bytes))
    );
    stage.exchange("foreign channels");
}

/// A new node of the liar's own is well introduced; what it signs as is checked like anything.
#[test]
fn certificates_without_number_cost_the_liars_own_quota() {
    let mut stage = Stage::new(20, 1);
    let captive = stage.captive(MALLORY).clone();
    let root = SigningKey::from_seed(&captive.root);
    let identity = &captive.identity;
    let mut pen = stage.pen(MALLORY);
    let mut acts = Vec::new();
    for number in 0..1_200u64 {
        let mut nodes = identity.certificates.nodes.clone();
        let seed = comity_crypto::hash("comity/v1/simulation", &[&number.to_be_bytes()]);
        let key = SigningKey::from_seed(&seed);
        let name = identity.name.clone();
        let partner = identity.partner();
        nodes.push(NodeCertificate::new(
            partner,
            &key,
            Hash(seed),
            name.clone(),
            0..u64::MAX,
        ));
        let list = Identity::sign(name, &root, identity.next_root, 2 + number, nodes);
        let body = CertificatesBody { identity: list }.to_bytes();
        acts.extend(pen.act(Kind::WriterIntroduce, body));
    }
    let began = std::time::Instant::now();
    for part in acts.chunks(100) {
        stage.bring_all(MALLORY, part);
    }
    println!(
        "1,200 certificate lists to three took {:?}",
        began.elapsed()
    );
    stage.exchange("certificates without number");
    for at in HONEST {
        let held = stage.held(at);
        let height = held.graph().height(held.control_lane, pen.writer);
        println!("{at} holds {height} control events of the liar");
        assert!(height <= 1_001);
        assert!(stage.noticed(at, |notice| matches!(notice, Notice::OverLimit { .. })));
    }
}
