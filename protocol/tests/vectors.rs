//! The vectors of docs/vectors, computed by a second program in another language, recomputed here
//! from the same inputs. A byte that is changed in one of them fails a test.

use std::collections::{BTreeMap, BTreeSet};

use comity_crypto as crypto;
use comity_protocol::acceptance::channel_id;
use comity_protocol::body::{
    CertificatesBody, Charter, EmptyBody, EndorseBody, FileBody, GrantBody, InviteBody, KeyBody,
    MessageBody, PinBody, ReactBody, ReceiptBody, RedactBody, RemoveBody, RosterBody,
    SealingKeyBody, SeatTransferBody, Wrap, WriterBody,
};
use comity_protocol::channel::Channel;
use comity_protocol::codec::{Canonical, Malformed, encode};
use comity_protocol::event::{Category, Event, Header, Label, Reference, UserName};
use comity_protocol::evidence::EvidenceBody;
use comity_protocol::files::{FileKey, chunk_count, chunk_len};
use comity_protocol::finality::{AckBody, FloorBody};
use comity_protocol::graph::Pos;
use comity_protocol::id::{
    ChannelId, EventId, Hash, KeyBytes, LaneId, PartnerId, Signature, WriterId,
};
use comity_protocol::identity::{
    Identity, Name, NodeCertificate, next_root_hash, partner_id, writer_id,
};
use comity_protocol::keys::{self, GivenContext, Keyring, WrapContext};
use comity_protocol::lane::{LaneForm, lane_id};
use comity_protocol::limits;
use comity_protocol::peering::{self, PeeringFile, SignedPeeringFile};
use comity_protocol::reserved::RetentionBody;
use comity_protocol::sync::heads;
use comity_protocol::wire::{
    AskHeads, AskKeys, AskPiece, Ephemeral, Events, Frame, GivenKey, Have, HaveLane, Head, Heads,
    Hello, Keys, Packer, Piece, RangeEnd, Refused, ShowLane, Sign, Unpacker, Want, heads_digest,
};
use serde_bytes::ByteBuf;
use serde_json::Value;

/// Why a vector does not hold.
type Wrong = String;
type Check = Result<(), Wrong>;

#[test]
fn hashes_keys_and_signatures() {
    let file = file(include_str!("../../docs/vectors/primitives.json"));
    hold(file.list("hash"), check_hash);
    hold(file.list("derive"), check_derive);
    hold(file.list("sign"), check_sign);
}

#[test]
fn identities() {
    let file = file(include_str!("../../docs/vectors/identity.json"));
    hold(file.list("partners"), check_identity);
}

#[test]
fn a_charter_its_channel_and_its_lanes() {
    let file = file(include_str!("../../docs/vectors/channel.json"));
    hold(vec![file], check_channel);
}

#[test]
fn events_and_their_sealed_bodies() {
    for history in histories() {
        hold(history.events, check_event);
    }
}

#[test]
fn channels_accept_the_histories_and_compute_their_digests() {
    for history in histories() {
        let channels: BTreeMap<&str, Channel> = history
            .moments
            .iter()
            .map(|moment| moment.text("upto").unwrap())
            .map(|upto| (upto, history.played(upto).unwrap()))
            .collect();
        let last = history.moments.last().unwrap().text("upto").unwrap();
        assert_eq!(history.events.last().unwrap()["name"], last);
        hold(history.moments.clone(), |moment| {
            let channel = channels.get(moment.text("upto")?);
            check_moment(channel.ok_or("there is no such moment")?, moment)
        });
        for event in &history.events {
            let place = |event: &Value| check_place(&channels[last], event);
            assert_eq!(place(event), Ok(()), "{}", event["name"]);
            for field in PLACE.iter().filter(|field| event.get(field).is_some()) {
                for changed in changes(event, &vec![field.to_string()]) {
                    assert!(place(&changed).is_err(), "{field} of {}", event["name"]);
                }
            }
        }
    }
}

#[test]
fn a_key_that_is_given_opens_an_older_message() {
    let given = file(include_str!("../../docs/vectors/given.json")).list("given");
    hold(given.clone(), check_given);
    let keyring_of = |given: &Value| {
        let key = crypto::SealingKey::from_seed(&given.array("sealing_seed").unwrap());
        Keyring::new(PartnerId(given.array("recipient").unwrap()), vec![key])
    };
    let mut opened = 0;
    for given in given {
        let mut keyring = keyring_of(&given);
        let (context, keys) = given_of(&given).unwrap();
        let commitment = Hash(given.array("commitment").unwrap());
        let open = |keys: &Keys, commitment: &Hash| {
            keys::open_given(&keyring, &context, keys, &keys.keys[0], commitment)
        };
        assert!(open(&keys, &Hash([0; 32])).is_err());
        let secret = open(&keys, &commitment).unwrap();
        keyring.restore(context.key_event, secret);
        for vector in histories().into_iter().flat_map(|history| history.events) {
            let event = event_of(&vector).unwrap();
            if event.header.key_event == Some(context.key_event) {
                let text = keys::open(&event, keyring.secret(&context.key_event)).unwrap();
                assert_eq!(text, vector["sealing"].bytes("plaintext").unwrap());
                opened += 1;
            }
        }
    }
    assert_eq!(opened, 2);
}

#[test]
fn a_reader_opens_every_message_of_the_history() {
    let identities = file(include_str!("../../docs/vectors/identity.json"));
    let bravo = &identities.list("partners")[1];
    let partner = PartnerId(bravo.array("partner").unwrap());
    let events = events().list("events");
    let mut seeds: Vec<[u8; 32]> = Vec::new();
    for wrap in events
        .iter()
        .flat_map(|event| event["epoch"]["wraps"].as_array().cloned())
        .flatten()
    {
        let seed = wrap.array("sealing_seed").unwrap();
        if PartnerId(wrap.array("partner").unwrap()) == partner && !seeds.contains(&seed) {
            seeds.push(seed);
        }
    }
    assert_eq!(seeds.len(), 2);
    let sealing = seeds.iter().map(crypto::SealingKey::from_seed).collect();
    let mut keyring = Keyring::new(partner, sealing);

    let mut opened = 0;
    for vector in events {
        let event = event_of(&vector).unwrap();
        keyring.read(&event).unwrap();
        if let Some(key_event) = event.header.key_event {
            let text = keys::open(&event, keyring.secret(&key_event)).unwrap();
            assert_eq!(text, vector["sealing"].bytes("plaintext").unwrap());
            opened += 1;
        }
    }
    assert_eq!(opened, 8);
}

#[test]
fn bodies_of_every_form() {
    let file = file(include_str!("../../docs/vectors/bodies.json"));
    let bodies = file.list("bodies");
    let forms: BTreeSet<&str> = bodies
        .iter()
        .map(|body| body.text("form").unwrap())
        .collect();
    assert_eq!(forms.len(), 22, "{forms:?}");
    for body in &bodies {
        assert_eq!(check_body(body), Ok(()), "{}", body.text("form").unwrap());
    }
    pinned(
        &bodies,
        "eaf5ec5bac742f4442c0fc5dd4b47ddd79841b35c44603b086edf7a5b8e346e3",
    );
}

/// Of bodies with several fields of one type: which field is which.
#[test]
fn fields_of_bodies_stand_in_their_order() {
    let file = file(include_str!("../../docs/vectors/bodies.json"));
    let bodies = file.list("bodies");
    let last = |form: &str| {
        let found = bodies.iter().rfind(|body| body["form"] == form);
        found.unwrap().bytes("bytes").unwrap()
    };
    let listed = FileBody::from_bytes(&last("file")).unwrap();
    assert_eq!(
        (&*listed.name, &*listed.media_type),
        ("plan.pdf", "application/pdf")
    );
    assert_eq!((listed.size, listed.chunks.len()), (1_100_000, 2));
    let x = crypto::hash("comity/v1/test", &[b"x"]);
    assert_eq!(listed.key, FileKey::from_bytes(x));
    let transfer = SeatTransferBody::from_bytes(&last("seat-transfer")).unwrap();
    assert_eq!(transfer.after.0, x);
    assert_ne!(transfer.seat.0, x);
    let roster = RosterBody::from_bytes(&last("roster")).unwrap();
    assert_eq!(roster.users[1].name.as_str(), "bo.larsen");
    assert_eq!(roster.users[1].display_name, "Bo Larsen");
    assert!(!roster.users[0].present && roster.users[1].present);
    let charter = Charter::from_bytes(&last("charter")).unwrap();
    assert_eq!((charter.version, charter.suite), (1, 1));
    assert_eq!(
        (charter.history, charter.finality, charter.quorum),
        (1, 2, 64)
    );
    assert_eq!(charter.label_policy.as_deref(), Some("policy"));
    assert_eq!(
        (charter.retention_days, charter.byte_budget),
        (Some(365), 1 << 40)
    );
    let label = charter.label_ceiling.unwrap();
    assert_eq!(
        (&*label.policy, &*label.classification),
        ("COMITY-DEMO", "RESTRICTED")
    );
    assert_eq!(
        (&*label.originator, label.created_ms),
        ("alfa", 1_767_225_600_000)
    );
    assert_eq!(
        (&*label.categories[0].tag, label.categories[0].form),
        ("REL TO", 2)
    );
    assert_eq!(AckBody::from_bytes(&last("ack")).unwrap().number, 7);
    assert_eq!(FloorBody::from_bytes(&last("floor")).unwrap().barrier, 3);
    assert_eq!(ReceiptBody::from_bytes(&last("receipt")).unwrap().state, 2);
}

#[test]
fn chunks_of_files() {
    let file = file(include_str!("../../docs/vectors/chunks.json"));
    hold(file.list("chunks"), check_chunk);
}

#[test]
fn frames_of_every_type() {
    let file = file(include_str!("../../docs/vectors/frames.json"));
    let frames = file.list("frames");
    let types: BTreeSet<u64> = frames
        .iter()
        .map(|frame| frame.number("type").unwrap())
        .collect();
    assert_eq!(types, (1..=14).collect());
    hold(frames, check_frame);
}

#[test]
fn packed_events_and_the_contexts_of_their_stream() {
    let file = file(include_str!("../../docs/vectors/packed.json"));
    let histories = histories();
    for (list, history) in [("stream", &histories[0]), ("coalition", &histories[1])] {
        let (stream, events) = (file.list(list), history.by_name());
        assert_eq!(check_stream(&stream, &events), Ok(()));
        for at in 0..stream.len() {
            for path in leaves(&stream[at]) {
                for changed in changes(&stream[at], &path) {
                    let mut stream = stream.clone();
                    stream[at] = changed;
                    let checked = check_stream(&stream, &events);
                    assert!(checked.is_err(), "{at} {path:?} does not matter");
                }
            }
        }
    }
}

#[test]
fn peering_files_and_words() {
    let file = file(include_str!("../../docs/vectors/peering.json"));
    hold(vec![file], check_peering);
    let list = include_str!("../../docs/vectors/bip-39-english.txt");
    let listed: Vec<&str> = list.lines().collect();
    assert_eq!(listed, bip39::Language::English.word_list());
    assert!(list.ends_with("zoo\n"));
}

#[test]
fn what_is_not_canonical_or_breaks_a_rule_is_refused() {
    let file = file(include_str!("../../docs/vectors/refused.json"));
    let refused = file.list("refused");
    for case in &refused {
        let (form, bytes) = (case.text("form").unwrap(), case.bytes("bytes").unwrap());
        let why = case.text("why").unwrap();
        assert!(decode(form, &bytes).is_err(), "{form}: {why}");
    }
    pinned(
        &refused,
        "ff6d55fc6d94634fcd3466d1834a817a31cef5319a87ac1835244786a1bc0591",
    );
}

#[test]
fn what_is_too_long_is_refused() {
    let text = |len: usize| {
        encode(&MessageBody {
            message: "a".repeat(len),
        })
    };
    assert!(MessageBody::from_bytes(&text(limits::BODY_BYTES - 4)).is_ok());
    assert!(MessageBody::from_bytes(&text(limits::BODY_BYTES - 3)).is_err());

    let lane = |number: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_be_bytes());
        HaveLane {
            channel: ChannelId([0; 32]),
            lane: LaneId(id),
            digest: Hash([0; 32]),
        }
    };
    let have = |count: usize| {
        Frame::Have(Have {
            lanes: (0..count).map(lane).collect(),
        })
    };
    let decoded = |frame: Frame| Frame::from_bytes(&frame.to_bytes());
    assert!(decoded(have(limits::HAVE_LANES)).is_ok());
    assert!(decoded(have(limits::HAVE_LANES + 1)).is_err());

    let packed = Packer::default().pack(&named("post").unwrap());
    let events = |count: usize| {
        Frame::Events(Events {
            events: vec![packed.clone(); count],
        })
    };
    assert!(decoded(events(limits::EVENTS_PER_FRAME)).is_ok());
    assert!(decoded(events(limits::EVENTS_PER_FRAME + 1)).is_err());

    let ask = AskPiece {
        channel: ChannelId([0; 32]),
        lane: LaneId([0; 32]),
        file: EventId([0; 32]),
        chunk: 0,
        offset: 0,
    };
    let piece = |len: usize| Frame::Piece(Piece::answer(&ask, vec![0; len]));
    assert!(decoded(piece(limits::PIECE_BYTES)).is_ok());
    assert!(decoded(piece(limits::PIECE_BYTES + 1)).is_err());

    let file = |size: u64| FileBody {
        name: "a".repeat(limits::FILE_NAME_BYTES),
        media_type: "a".repeat(limits::MEDIA_TYPE_BYTES),
        size,
        key: FileKey::from_bytes([0; 32]),
        chunks: vec![Hash([0; 32]); chunk_count(size) as usize],
    };
    let read = |size: u64| FileBody::from_bytes(&file(size).to_bytes());
    assert!(read(limits::FILE_BYTES).is_ok(), "it fits a body");
    assert!(read(limits::FILE_BYTES + 1).is_err());
}

#[test]
fn an_event_whose_body_is_not_its_headers_is_refused() {
    for vector in histories().into_iter().flat_map(|history| history.events) {
        let event = event_of(&vector).unwrap();
        let with =
            |body: Vec<u8>| Event::from_parts(event.header_bytes.clone(), event.signature, body);
        assert_eq!(with(event.body.clone()).as_ref(), Ok(&event));
        let mut altered = event.body.clone();
        altered[0] ^= 1;
        assert!(with(altered).is_err());
        assert!(with([event.body.as_slice(), &[0]].concat()).is_err());
        assert!(with(event.body[1..].to_vec()).is_err());
    }
}

// The checks, each of one vector.

fn check_hash(vector: &Value) -> Check {
    let parts = vector.bytes_list("parts")?;
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    vector.holds("hash", &crypto::hash(vector.tag()?, &parts))
}

fn check_derive(vector: &Value) -> Check {
    let parts = vector.bytes_list("parts")?;
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let key = crypto::derive(&vector.array("secret")?, vector.tag()?, &parts);
    vector.holds("key", &*key)
}

fn check_sign(vector: &Value) -> Check {
    let key = crypto::SigningKey::from_seed(&vector.array("seed")?);
    let (tag, digest) = (vector.tag()?, vector.array("digest")?);
    vector.holds("public", &key.public().to_bytes())?;
    let signature = key.sign(tag, &digest);
    vector.holds("signature", &signature)?;
    let public = crypto::PublicKey::register(&key.public().to_bytes()).map_err(words)?;
    public.verify(tag, &digest, &signature).map_err(words)
}

fn check_identity(vector: &Value) -> Check {
    let root = crypto::SigningKey::from_seed(&vector.array("root_seed")?);
    let next = crypto::SigningKey::from_seed(&vector.array("next_root_seed")?);
    let signing = crypto::SigningKey::from_seed(&vector.array("signing_seed")?);
    let public = |key: &crypto::SigningKey| KeyBytes(key.public().to_bytes());
    let next_root = next_root_hash(&public(&next));
    let partner = partner_id(&public(&root), &next_root);
    let name = |field| Name::try_from(vector.text(field)?.to_string()).map_err(words);
    let tls_pin = Hash(vector.array("tls_pin")?);
    let node_name = name("node_name")?;
    let possession_digest = crypto::hash(
        "comity/v1/possession",
        &[
            &partner.0,
            &public(&signing).0,
            &tls_pin.0,
            node_name.as_str().as_bytes(),
        ],
    );
    let validity = vector.number("not_before_ms")?..vector.number("not_after_ms")?;
    let node = NodeCertificate::new(partner, &signing, tls_pin, node_name, validity);
    let possession = node.possession;
    let identity = Identity::sign(name("name")?, &root, next_root, 1, vec![node]);
    let list = encode(&identity.certificates);
    vector.holds("root_key", &public(&root).0)?;
    vector.holds("next_root", &next_root.0)?;
    vector.holds("partner", &partner.0)?;
    vector.holds("signing_key", &public(&signing).0)?;
    vector.holds("writer", &writer_id(&public(&signing)).0)?;
    vector.holds("possession_digest", &possession_digest)?;
    vector.holds("possession", &possession.0)?;
    vector.holds("certificates", &list)?;
    vector.holds(
        "certificates_digest",
        &crypto::hash(
            "comity/v1/certificates",
            &[identity.name.as_str().as_bytes(), &list],
        ),
    )?;
    vector.holds("root_signature", &identity.root_signature.0)?;
    vector.holds("identity", &identity.to_bytes())?;
    let read = Identity::from_bytes(&identity.to_bytes()).map_err(words)?;
    let writers = read.verify().map_err(words)?;
    same("the writers", writers.len(), 1)?;
    same("the writer", writers[0].0, writer_id(&public(&signing)))?;
    let sealing = crypto::SealingKey::from_seed(&vector.array("sealing_seed")?).public();
    vector.holds("sealing_key", sealing.as_bytes())?;
    vector.holds("sealing_key_id", &sealing.id())
}

fn check_channel(vector: &Value) -> Check {
    let bytes = vector.bytes("charter")?;
    let charter = Charter::from_bytes(&bytes).map_err(words)?;
    charter.creator.verify().map_err(words)?;
    same("the charter", charter.to_bytes(), bytes.clone())?;
    let channel = channel_id(&bytes);
    vector.holds("channel", &channel.0)?;
    for lane in vector.list("lanes") {
        let form = match lane.text("form")? {
            "control" => LaneForm::Control,
            "open" => LaneForm::Open,
            "directed" => LaneForm::Directed,
            other => return Err(format!("no form {other}")),
        };
        let partners = lane.bytes_list("partners")?;
        let audience = partners
            .into_iter()
            .map(|id| {
                id.try_into()
                    .map(PartnerId)
                    .map_err(|_| "a partner's id".to_string())
            })
            .collect::<Result<BTreeSet<PartnerId>, Wrong>>()?;
        lane.holds("lane", &lane_id(channel, form, &audience).0)?;
    }
    Ok(())
}

fn check_event(vector: &Value) -> Check {
    let key = crypto::SigningKey::from_seed(&vector.array("signing_seed")?);
    let event = event_of(vector)?;
    let header = header_of(&vector["header"])?;
    let composed = match (vector.get("sealing"), vector.get("epoch")) {
        (Some(sealing), None) => {
            check_position_key(sealing, &header)?;
            let secret = crypto::EpochSecret::from_bytes(sealing.array("secret")?);
            let (salt, body) = (sealing.array("salt")?, sealing.bytes("plaintext")?);
            let mut blank = header.clone();
            (blank.body_len, blank.commitment, blank.body_hash) = (0, None, Hash([0; 32]));
            keys::seal(blank, &body, &secret, &salt, &key).map_err(words)?
        }
        (None, Some(epoch)) => {
            let body = key_body(epoch, &header)?;
            Event::sign(header.clone(), body.to_bytes(), &key).map_err(words)?
        }
        _ => Event::sign(header.clone(), vector.bytes("body")?, &key).map_err(words)?,
    };
    same("the event", &composed, &event)?;
    same("the header", &composed.header, &header)?;
    vector.holds("body", &composed.body)?;
    vector.holds("header_bytes", &composed.header_bytes)?;
    vector.holds(
        "associated_data",
        Header::associated_data(&composed.header_bytes),
    )?;
    vector.holds("id", &composed.id.0)?;
    vector.holds("signature", &composed.signature.0)?;
    let again = Header::from_bytes(&composed.header_bytes).map_err(words)?;
    same(
        "the header again",
        again.to_bytes(),
        composed.header_bytes.clone(),
    )?;
    composed.verify(&key.public()).map_err(words)
}

/// The steps within sealing, which the crypto crate does not show one by one.
fn check_position_key(sealing: &Value, header: &Header) -> Check {
    let seq = header.seq.to_be_bytes();
    let key = crypto::derive(
        &sealing.array("secret")?,
        "comity/v1/event-key",
        &[&header.lane.0, &header.writer.0, &seq],
    );
    sealing.holds("event_key", &*key)?;
    let commitment =
        crypto::plaintext_commitment(&sealing.array("salt")?, &sealing.bytes("plaintext")?);
    same("the commitment", header.commitment, Some(Hash(commitment)))?;
    sealing.holds("nonce", &commitment[..12])
}

fn key_body(epoch: &Value, header: &Header) -> Result<KeyBody, Wrong> {
    let secret = crypto::EpochSecret::from_bytes(epoch.array("secret")?);
    epoch.holds("commitment", &secret.commitment())?;
    let context = WrapContext {
        channel: header.channel,
        lane: header.lane,
        writer: header.writer,
        seq: header.seq,
    };
    let mut wraps = Vec::new();
    for vector in epoch.list("wraps") {
        let partner = PartnerId(vector.array("partner")?);
        let key = crypto::SealingKey::from_seed(&vector.array("sealing_seed")?);
        let public = key.public();
        let sealing_key = Hash(public.id());
        let info = context.info(&partner, &sealing_key);
        vector.holds("info", &info)?;
        let sealed = public
            .wrap_secret(&info, &secret, &vector.array("randomness")?)
            .map_err(words)?;
        vector.holds("wrap", &sealed)?;
        let unwrapped = key.unwrap_secret(&info, &sealed).map_err(words)?;
        same("the secret", unwrapped.as_bytes(), secret.as_bytes())?;
        wraps.push(Wrap {
            partner,
            sealing_key,
            sealed: ByteBuf::from(sealed),
        });
    }
    let present = |field| !epoch[field].is_null();
    let audience = present("audience").then(|| epoch.ids("audience", PartnerId));
    let parts = present("parts").then(|| epoch.ids("parts", EventId));
    Ok(KeyBody {
        audience: audience.transpose()?,
        parts: parts.transpose()?,
        commitment: Hash(secret.commitment()),
        wraps,
    })
}

/// The key that is given, composed and opened.
fn check_given(vector: &Value) -> Check {
    let secret = crypto::EpochSecret::from_bytes(vector.array("secret")?);
    vector.holds("commitment", &secret.commitment())?;
    let key = crypto::SealingKey::from_seed(&vector.array("sealing_seed")?);
    let public = key.public();
    vector.holds("sealing_key", &public.id())?;
    let (context, _) = given_of(vector)?;
    let recipient = PartnerId(vector.array("recipient")?);
    let info = context.info(&recipient, &Hash(public.id()));
    vector.holds("info", &info)?;
    let randomness = vector.array("randomness")?;
    let sealed = public
        .wrap_secret(&info, &secret, &randomness)
        .map_err(words)?;
    vector.holds("sealed", &sealed)?;
    let opened = key.unwrap_secret(&info, &sealed).map_err(words)?;
    same("the secret", opened.as_bytes(), secret.as_bytes())
}

fn accept(channel: &mut Channel, event: Event) -> Check {
    let key = channel
        .verifying_key(&event)
        .ok_or("a writer not introduced")?;
    event.verify(&key).map_err(words)?;
    let id = event.id;
    let outcome = channel.offer(event, None);
    let accepted: Vec<EventId> = outcome.accepted.iter().map(|it| it.event.id).collect();
    same("what was accepted", accepted, vec![id])
}

fn check_moment(channel: &Channel, moment: &Value) -> Check {
    let lanes = moment.list("lanes");
    same("the lanes", lanes.len(), channel.lanes().count())?;
    let mut joined = [Vec::new(), Vec::new()];
    for (vector, (lane, _)) in lanes.iter().zip(channel.lanes()) {
        vector.holds("lane", &lane.0)?;
        let digests = [channel.timeline_digest(*lane), channel.state_digest(*lane)];
        vector.holds("timeline", &digests[0].0)?;
        vector.holds("state", &digests[1].0)?;
        let state = crypto::hash("comity/v1/state", &[&vector.bytes("state_bytes")?]);
        vector.holds("state", &state)?;
        let held = heads(channel, *lane);
        same("the heads", heads_of(&vector["heads"])?, held.clone())?;
        vector.holds("heads_digest", &heads_digest(&held).0)?;
        check_settled(channel, *lane, vector)?;
        for (at, digest) in digests.into_iter().enumerate() {
            let timeline_of_control = at == 0 && *lane == channel.control_lane;
            if channel.common_lanes().any(|common| common == *lane) && !timeline_of_control {
                joined[at].extend([channel.id.0, lane.0, digest.0].concat());
            }
        }
        if *lane == channel.control_lane {
            same("the control lane's name", vector.text("name")?, "control")?;
        }
    }
    for (field, joined) in ["node_timeline", "node_state"].into_iter().zip(joined) {
        moment.holds(field, &crypto::hash("comity/v1/lanes", &[&joined]))?;
    }
    Ok(())
}

/// The barriers that stand in a lane, the messages that came too late for them, and what is final.
fn check_settled(channel: &Channel, lane: LaneId, vector: &Value) -> Check {
    let barrier =
        |value: &Value| Ok::<_, Wrong>((value.number("number")?, Hash(value.array("digest")?)));
    let barriers = vector.array_of("barriers")?.iter().map(barrier);
    let barriers = barriers.collect::<Result<Vec<_>, Wrong>>()?;
    same("the barriers", barriers, channel.barriers(lane))?;
    let graph = channel.graph();
    let chains = graph.logs_of(lane).flat_map(|(_, chains)| chains);
    let held: Vec<Pos> = chains
        .flat_map(|&chain| {
            let log = graph.chain(chain);
            (log.first..=log.head()).map(move |seq| Pos { chain, seq })
        })
        .collect();
    let which = |wanted: &dyn Fn(Pos) -> bool| -> Vec<Vec<u8>> {
        let wanted = held.iter().filter(|pos| wanted(**pos));
        let ids: BTreeSet<_> = wanted
            .map(|pos| channel.entry(*pos).id.0.to_vec())
            .collect();
        ids.into_iter().collect()
    };
    let is_message = |pos: Pos| channel.entry(pos).kind.is_sealed();
    let late = which(&|pos| is_message(pos) && channel.came_late(pos));
    same("what is late", vector.bytes_list("late")?, late)?;
    let finals = which(&|pos| channel.is_final(pos));
    same("what is final", vector.bytes_list("final")?, finals)
}

/// What an event's past makes of it: its time, its height, and whether it is about what it names.
const PLACE: [&str; 3] = ["t", "h", "about_has_effect"];

fn check_place(channel: &Channel, vector: &Value) -> Check {
    let event = event_of(vector)?;
    let header = &event.header;
    let pos = channel
        .graph()
        .find(header.lane, header.writer, header.seq, &event.id)
        .ok_or("an event that is not there")?;
    same("t", channel.entry(pos).t, vector.number("t")?)?;
    same("h", channel.entry(pos).h, vector.number("h")?)?;
    if header.about.is_some() && vector.get("about_has_effect").is_some() {
        let has_effect = channel.parent(pos).is_some();
        same(
            "what it is about",
            has_effect,
            vector.flag("about_has_effect")?,
        )?;
    }
    Ok(())
}

fn check_body(vector: &Value) -> Check {
    let bytes = vector.bytes("bytes")?;
    let again = decode(vector.text("form")?, &bytes).map_err(words)?;
    same("the body", again, bytes)
}

fn check_frame(vector: &Value) -> Check {
    let frame = frame_of(vector)?;
    vector.holds("frame", &frame.to_bytes())?;
    let again = Frame::from_bytes(&frame.to_bytes()).map_err(words)?;
    same("the frame", again, frame)
}

fn check_chunk(vector: &Value) -> Check {
    let size = vector.number("size")?;
    let index = u32::try_from(vector.number("index")?).map_err(words)?;
    let chunk = vector.bytes("chunk")?;
    same("its length", chunk_len(size, index), chunk.len())?;
    let mut sealed = chunk.clone();
    let hash = FileKey::from_bytes(vector.array("key")?).seal(size, index, &mut sealed);
    vector.holds("sealed", &sealed)?;
    vector.holds("hash", &hash.0)?;
    let mut hashes = vec![Hash([0; 32]); chunk_count(size) as usize];
    *hashes.last_mut().ok_or("no chunk")? = hash;
    let body = FileBody {
        name: "file".into(),
        media_type: String::new(),
        size,
        key: FileKey::from_bytes(vector.array("key")?),
        chunks: hashes,
    };
    same(
        "whether it is the chunk",
        body.is_chunk(index, &sealed),
        true,
    )?;
    body.open(index, &mut sealed).map_err(words)?;
    same("what it opens to", sealed, chunk)
}

fn check_stream(stream: &[Value], events: &BTreeMap<String, Event>) -> Check {
    let (mut packer, mut unpacker) = (Packer::default(), Unpacker::default());
    for vector in stream {
        let event = events.get(vector.text("event")?);
        let event = event.ok_or("no event of that name")?;
        let packed = packer.pack(event);
        same("the log", u64::from(packed.log), vector.number("log")?)?;
        same("start", packed.start.is_some(), vector.flag("opens")?)?;
        same("the time", packed.claimed, vector.number("claimed")?)?;
        same(
            "the key event",
            packed.key_event.is_some(),
            vector.flag("key_event_travels")?,
        )?;
        vector.holds("packed", &encode(&packed))?;
        let frame = Frame::Events(Events {
            events: vec![packed],
        });
        vector.holds("frame", &frame.to_bytes())?;
        let Frame::Events(read) = Frame::from_bytes(&frame.to_bytes()).map_err(words)? else {
            return Err("another frame".into());
        };
        for packed in read.events {
            same("the event", &unpacker.unpack(packed).map_err(words)?, event)?;
        }
    }
    Ok(())
}

fn check_peering(vector: &Value) -> Check {
    let invitation = check_peering_file(&vector["invitation"], "COMITY INVITATION")?;
    let reply = check_peering_file(&vector["reply"], "COMITY REPLY")?;
    let answers = reply.open().map_err(words)?.answers;
    same("what the reply answers", answers, Some(invitation.hash()))?;
    let digest = crypto::hash(
        "comity/v1/peering-words",
        &[&invitation.to_bytes(), &reply.to_bytes()],
    );
    vector.holds("words_digest", &digest)?;
    let indices = peering::words(&invitation, &reply);
    let list = |field: &str| vector[field].as_array().cloned().unwrap_or_default();
    let told: Vec<Value> = indices.iter().map(|index| (*index).into()).collect();
    same("the indices", told, list("indices"))?;
    let words = bip39::Language::English.word_list();
    let spelt: Vec<Value> = indices
        .iter()
        .map(|index| words[usize::from(*index)].into())
        .collect();
    same("the words", spelt, list("words"))
}

fn check_peering_file(vector: &Value, armour: &str) -> Result<SignedPeeringFile, Wrong> {
    let key = crypto::SigningKey::from_seed(&vector.array("signing_seed")?);
    let addresses = vector["addresses"].as_array().ok_or("addresses")?;
    let contents = PeeringFile {
        version: limits::VERSION,
        answers: vector.optional("answers")?.map(Hash),
        nonce: Hash(vector.array("nonce")?),
        identity: Identity::from_bytes(&vector.bytes("identity")?).map_err(words)?,
        addresses: addresses
            .iter()
            .map(|address| {
                address
                    .as_str()
                    .map(str::to_string)
                    .ok_or("an address".to_string())
            })
            .collect::<Result<_, Wrong>>()?,
        expires_at_ms: vector.number("expires_at_ms")?,
        label_ceiling: label_of(&vector["label_ceiling"])?,
    };
    let signed = SignedPeeringFile::sign(&contents, WriterId(vector.array("signer")?), &key);
    vector.holds("file", &signed.file)?;
    vector.holds(
        "digest",
        &crypto::hash("comity/v1/peering-file", &[&signed.file]),
    )?;
    vector.holds("signature", &signed.signature.0)?;
    vector.holds("signed", &signed.to_bytes())?;
    vector.holds("hash", &signed.hash().0)?;
    let text = pem::encode(&pem::Pem::new(armour, signed.to_bytes()));
    same("the armour", text.as_str(), vector.text("armour")?)?;
    let read = SignedPeeringFile::from_bytes(&signed.to_bytes()).map_err(words)?;
    same("the contents", read.open().map_err(words)?, contents)?;
    Ok(signed)
}

/// Reads bytes as what they are said to be, and gives them encoded again.
fn decode(form: &str, bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    fn again<T: Canonical>(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
        T::from_bytes(bytes).map(|value| value.to_bytes())
    }
    match form {
        "header" => again::<Header>(bytes),
        "charter" => again::<Charter>(bytes),
        "sealing-key" => again::<SealingKeyBody>(bytes),
        "invite" => again::<InviteBody>(bytes),
        "grant" => again::<GrantBody>(bytes),
        "remove" => again::<RemoveBody>(bytes),
        "empty" => again::<EmptyBody>(bytes),
        "endorse" => again::<EndorseBody>(bytes),
        "key" => again::<KeyBody>(bytes),
        "ack" => again::<AckBody>(bytes),
        "floor" => again::<FloorBody>(bytes),
        "evidence" => again::<EvidenceBody>(bytes),
        "message" => again::<MessageBody>(bytes),
        "redact" => again::<RedactBody>(bytes),
        "react" => again::<ReactBody>(bytes),
        "writer" => again::<WriterBody>(bytes),
        "certificates" => again::<CertificatesBody>(bytes),
        "seat-transfer" => again::<SeatTransferBody>(bytes),
        "retention" => again::<RetentionBody>(bytes),
        "pin" => again::<PinBody>(bytes),
        "receipt" => again::<ReceiptBody>(bytes),
        "file" => again::<FileBody>(bytes),
        "roster" => again::<RosterBody>(bytes),
        "identity" => {
            let identity = Identity::from_bytes(bytes)?;
            identity.verify()?;
            Ok(identity.to_bytes())
        }
        "frame" => Frame::from_bytes(bytes).map(|frame| frame.to_bytes()),
        "stream" => {
            let Frame::Events(events) = Frame::from_bytes(bytes).expect("a frame of events") else {
                panic!("not a frame of events");
            };
            let mut unpacker = Unpacker::default();
            for packed in events.events {
                unpacker.unpack(packed)?;
            }
            Ok(bytes.to_vec())
        }
        other => panic!("no form {other}"),
    }
}

// Reading the vectors.

fn file(text: &str) -> Value {
    let value: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(value["source"], "docs/vectors/vectors.py");
    value
}

/// A history as the vectors tell it: what happens in one channel, and its digests at moments.
struct History {
    channel: ChannelId,
    events: Vec<Value>,
    moments: Vec<Value>,
}

/// The first history, which has its own files, and the further ones.
fn histories() -> Vec<History> {
    let events = file(include_str!("../../docs/vectors/events.json")).list("events");
    let digests = file(include_str!("../../docs/vectors/digests.json"));
    let further = file(include_str!("../../docs/vectors/histories.json")).list("histories");
    let history = |told: &Value, events: Vec<Value>| History {
        channel: ChannelId(told.array("channel").unwrap()),
        events,
        moments: told.list("moments"),
    };
    let mut all = vec![history(&digests, events)];
    all.extend(
        further
            .iter()
            .map(|told| history(told, told.list("events"))),
    );
    all
}

impl History {
    /// A channel that accepted the events in their order, to that of the name given.
    fn played(&self, upto: &str) -> Result<Channel, Wrong> {
        let mut channel = Channel::new(self.channel);
        for vector in &self.events {
            let name = vector.text("name")?;
            accept(&mut channel, event_of(vector)?).map_err(|why| format!("{name}: {why}"))?;
            if name == upto {
                return Ok(channel);
            }
        }
        Err(format!("there is no event {upto}"))
    }

    fn by_name(&self) -> BTreeMap<String, Event> {
        let named = |vector: &Value| {
            let name = vector.text("name").unwrap().to_string();
            (name, event_of(vector).unwrap())
        };
        self.events.iter().map(named).collect()
    }
}

fn events() -> Value {
    file(include_str!("../../docs/vectors/events.json"))
}

fn named(name: &str) -> Result<Event, Wrong> {
    let events = events().list("events");
    let found = events.iter().find(|event| event["name"] == name);
    event_of(found.ok_or("no event of that name")?)
}

/// A key that is given: where it belongs, and the frame that brings it.
fn given_of(vector: &Value) -> Result<(GivenContext, Keys), Wrong> {
    let context = GivenContext {
        channel: ChannelId(vector.array("channel")?),
        lane: LaneId(vector.array("lane")?),
        key_event: EventId(vector.array("key_event")?),
    };
    let keys = Keys {
        channel: context.channel,
        lane: context.lane,
        sealing_key: Hash(vector.array("sealing_key")?),
        keys: vec![given_key_of(vector)?],
    };
    Ok((context, keys))
}

fn given_key_of(vector: &Value) -> Result<GivenKey, Wrong> {
    Ok(GivenKey {
        key_event: EventId(vector.array("key_event")?),
        sealed: ByteBuf::from(vector.bytes("sealed")?),
    })
}

fn event_of(vector: &Value) -> Result<Event, Wrong> {
    let signature = Signature(vector.array("signature")?);
    Event::from_parts(
        vector.bytes("header_bytes")?,
        signature,
        vector.bytes("body")?,
    )
    .map_err(words)
}

fn header_of(vector: &Value) -> Result<Header, Wrong> {
    let small = |field: &str| u8::try_from(vector.number(field)?).map_err(words);
    let author = match &vector["author"] {
        Value::Null => None,
        _ => Some(UserName::try_from(vector.text("author")?.to_string()).map_err(words)?),
    };
    let references = |field: &str| {
        let list = vector[field].as_array().ok_or("references")?;
        list.iter()
            .map(reference_of)
            .collect::<Result<Vec<_>, Wrong>>()
    };
    Ok(Header {
        version: small("version")?,
        suite: small("suite")?,
        channel: ChannelId(vector.array("channel")?),
        lane: LaneId(vector.array("lane")?),
        writer: WriterId(vector.array("writer")?),
        seq: vector.number("seq")?,
        prev: vector.optional("prev")?.map(EventId),
        deps: references("deps")?,
        control_heads: references("control_heads")?,
        claimed_ms: vector.number("claimed_ms")?,
        kind: small("kind")?,
        precedence: small("precedence")?,
        author,
        about: match &vector["about"] {
            Value::Null => None,
            about => Some(reference_of(about)?),
        },
        label: label_of(&vector["label"])?,
        key_event: vector.optional("key_event")?.map(EventId),
        body_len: u32::try_from(vector.number("body_len")?).map_err(words)?,
        commitment: vector.optional("commitment")?.map(Hash),
        body_hash: Hash(vector.array("body_hash")?),
    })
}

fn reference_of(vector: &Value) -> Result<Reference, Wrong> {
    let array = vector.as_array().filter(|array| array.len() == 4);
    let [lane, writer, seq, id] = array.ok_or("a reference")?.as_slice() else {
        return Err("a reference".into());
    };
    let bytes = |value: &Value| {
        let bytes = unhex(value.as_str().ok_or("an id")?)?;
        bytes
            .try_into()
            .map_err(|_| "an id of 32 bytes".to_string())
    };
    Ok(Reference {
        lane: if lane.is_null() {
            None
        } else {
            Some(LaneId(bytes(lane)?))
        },
        writer: WriterId(bytes(writer)?),
        seq: seq.as_u64().ok_or("a position")?,
        id: EventId(bytes(id)?),
    })
}

fn label_of(vector: &Value) -> Result<Option<Label>, Wrong> {
    if vector.is_null() {
        return Ok(None);
    }
    let text = |value: &Value| {
        value
            .as_str()
            .map(str::to_string)
            .ok_or("a text".to_string())
    };
    let list = |value: &Value| value.as_array().cloned().ok_or("a list".to_string());
    let category = |value: &Value| {
        Ok::<_, Wrong>(Category {
            tag: text(&value[0])?,
            form: value[1]
                .as_u64()
                .and_then(|form| form.try_into().ok())
                .ok_or("a form")?,
            values: list(&value[2])?
                .iter()
                .map(text)
                .collect::<Result<_, _>>()?,
        })
    };
    Ok(Some(Label {
        policy: text(&vector[0])?,
        classification: text(&vector[1])?,
        categories: list(&vector[2])?
            .iter()
            .map(category)
            .collect::<Result<_, _>>()?,
        originator: text(&vector[3])?,
        created_ms: vector[4].as_u64().ok_or("a time")?,
    }))
}

fn heads_of(vector: &Value) -> Result<Vec<Head>, Wrong> {
    let list = vector.as_array().ok_or("heads")?;
    let head = |value: &Value| {
        Ok(Head {
            writer: WriterId(value.array("writer")?),
            seq: value.number("seq")?,
            id: EventId(value.array("id")?),
        })
    };
    list.iter().map(head).collect()
}

fn frame_of(vector: &Value) -> Result<Frame, Wrong> {
    let channel = || vector.array("channel").map(ChannelId);
    let lane = || vector.array("lane").map(LaneId);
    let writer = || vector.array("writer").map(WriterId);
    Ok(match vector.number("type")? {
        1 => Frame::Hello(Hello {
            version: u8::try_from(vector.number("version")?).map_err(words)?,
            partner: PartnerId(vector.array("partner")?),
        }),
        2 => {
            let lanes = vector["lanes"].as_array().ok_or("lanes")?;
            let lane = |value: &Value| {
                Ok::<_, Wrong>(HaveLane {
                    channel: ChannelId(value.array("channel")?),
                    lane: LaneId(value.array("lane")?),
                    digest: Hash(value.array("digest")?),
                })
            };
            Frame::Have(Have {
                lanes: lanes.iter().map(lane).collect::<Result<_, _>>()?,
            })
        }
        3 => Frame::AskHeads(AskHeads {
            channel: channel()?,
            lane: lane()?,
        }),
        4 => Frame::Heads(Heads {
            channel: channel()?,
            lane: lane()?,
            all: vector.flag("all")?,
            logs: heads_of(&vector["logs"])?,
        }),
        5 => Frame::Want(Want {
            channel: channel()?,
            lane: lane()?,
            writer: writer()?,
            from: vector.number("from")?,
            to: vector.number("to")?,
        }),
        6 => {
            let mut packer = Packer::default();
            let names = vector["events"].as_array().ok_or("events")?;
            let pack = |name: &Value| Ok(packer.pack(&named(name.as_str().ok_or("a name")?)?));
            Frame::Events(Events {
                events: names.iter().map(pack).collect::<Result<_, Wrong>>()?,
            })
        }
        7 => Frame::RangeEnd(RangeEnd {
            channel: channel()?,
            lane: lane()?,
            writer: writer()?,
            to: vector.number("to")?,
        }),
        8 => Frame::Refused(Refused {
            channel: channel()?,
            lane: lane()?,
            reason: u8::try_from(vector.number("reason")?).map_err(words)?,
        }),
        9 => Frame::Lane(ShowLane {
            channel: channel()?,
            form: u8::try_from(vector.number("form")?).map_err(words)?,
            audience: vector.ids("audience", PartnerId)?,
        }),
        10 => Frame::AskKeys(AskKeys {
            channel: channel()?,
            lane: lane()?,
            key_events: vector.ids("key_events", EventId)?,
        }),
        11 => Frame::Keys(Keys {
            channel: channel()?,
            lane: lane()?,
            sealing_key: Hash(vector.array("sealing_key")?),
            keys: {
                let keys = vector["keys"].as_array().ok_or("keys")?;
                keys.iter().map(given_key_of).collect::<Result<_, _>>()?
            },
        }),
        12 => Frame::AskPiece(ask_piece_of(vector)?),
        13 => Frame::Piece(Piece::answer(
            &ask_piece_of(vector)?,
            vector.bytes("bytes")?,
        )),
        14 => {
            let signs = vector["signs"].as_array().ok_or("signs")?;
            Frame::Ephemeral(Ephemeral {
                channel: channel()?,
                signs: signs.iter().map(sign_of).collect::<Result<_, _>>()?,
            })
        }
        other => return Err(format!("no frame {other}")),
    })
}

fn sign_of(value: &Value) -> Result<Sign, Wrong> {
    let user = value["user"].as_str().ok_or("user")?.to_string();
    let root = match &value["root"] {
        Value::Null => None,
        _ => Some(EventId(value.array("root")?)),
    };
    Ok(Sign {
        user: UserName::try_from(user).map_err(words)?,
        activity: u8::try_from(value.number("activity")?).map_err(words)?,
        root,
    })
}

fn ask_piece_of(vector: &Value) -> Result<AskPiece, Wrong> {
    let number = |field: &str| u32::try_from(vector.number(field)?).map_err(words);
    Ok(AskPiece {
        channel: ChannelId(vector.array("channel")?),
        lane: LaneId(vector.array("lane")?),
        file: EventId(vector.array("file")?),
        chunk: number("chunk")?,
        offset: number("offset")?,
    })
}

/// The fields of one JSON object.
trait Fields {
    fn array_of(&self, field: &str) -> Result<&Vec<Value>, Wrong>;
    fn text(&self, field: &str) -> Result<&str, Wrong>;
    fn number(&self, field: &str) -> Result<u64, Wrong>;
    fn flag(&self, field: &str) -> Result<bool, Wrong>;

    /// A list of vectors, which must be there.
    fn list(&self, field: &str) -> Vec<Value> {
        self.array_of(field).expect("a list of vectors").clone()
    }

    fn bytes(&self, field: &str) -> Result<Vec<u8>, Wrong> {
        unhex(self.text(field)?)
    }

    fn array<const N: usize>(&self, field: &str) -> Result<[u8; N], Wrong> {
        let bytes = self.bytes(field)?;
        bytes
            .try_into()
            .map_err(|_| format!("{field} is not {N} bytes"))
    }

    fn optional<const N: usize>(&self, field: &str) -> Result<Option<[u8; N]>, Wrong>;

    fn bytes_list(&self, field: &str) -> Result<Vec<Vec<u8>>, Wrong> {
        let list = self.array_of(field)?;
        let bytes = list
            .iter()
            .map(|item| unhex(item.as_str().ok_or(field.to_string())?));
        bytes.collect()
    }

    /// A list of ids of one sort.
    fn ids<T>(&self, field: &str, id: fn([u8; 32]) -> T) -> Result<Vec<T>, Wrong> {
        let list = self.bytes_list(field)?.into_iter();
        let read = |bytes: Vec<u8>| bytes.try_into().map(id);
        list.map(|bytes| read(bytes).map_err(|_| format!("{field}: an id")))
            .collect()
    }

    /// A domain tag: the one of the tests.
    fn tag(&self) -> Result<&'static str, Wrong> {
        same("the tag", self.text("tag")?, "comity/v1/test")?;
        Ok("comity/v1/test")
    }

    fn holds(&self, field: &str, computed: &[u8]) -> Check {
        same(field, self.bytes(field)?.as_slice(), computed)
    }
}

impl Fields for Value {
    fn array_of(&self, field: &str) -> Result<&Vec<Value>, Wrong> {
        self[field]
            .as_array()
            .ok_or_else(|| format!("{field} is no list"))
    }

    fn text(&self, field: &str) -> Result<&str, Wrong> {
        self[field]
            .as_str()
            .ok_or_else(|| format!("{field} is no text"))
    }

    fn number(&self, field: &str) -> Result<u64, Wrong> {
        self[field]
            .as_u64()
            .ok_or_else(|| format!("{field} is no number"))
    }

    fn flag(&self, field: &str) -> Result<bool, Wrong> {
        self[field]
            .as_bool()
            .ok_or_else(|| format!("{field} is neither true nor false"))
    }

    fn optional<const N: usize>(&self, field: &str) -> Result<Option<[u8; N]>, Wrong> {
        if self[field].is_null() {
            Ok(None)
        } else {
            self.array(field).map(Some)
        }
    }
}

fn unhex(hex: &str) -> Result<Vec<u8>, Wrong> {
    if !hex.len().is_multiple_of(2) || !hex.bytes().all(|byte| b"0123456789abcdef".contains(&byte))
    {
        return Err("not lower-case hexadecimal".into());
    }
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).map_err(words);
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, left: T, right: T) -> Check {
    if left == right {
        Ok(())
    } else {
        Err(format!("{what}: {left:?} is not {right:?}"))
    }
}

fn words(error: impl ToString) -> Wrong {
    error.to_string()
}

// That every byte of a vector matters.

/// Each vector passes its check, and no longer does once any of its values is changed.
fn hold(vectors: Vec<Value>, check: impl Fn(&Value) -> Check) {
    assert!(!vectors.is_empty());
    for vector in vectors {
        assert_eq!(check(&vector), Ok(()), "{}", vector["name"]);
        for path in leaves(&vector) {
            for changed in changes(&vector, &path) {
                assert!(
                    check(&changed).is_err(),
                    "{} {path:?} does not matter",
                    vector["name"]
                );
            }
        }
    }
}

/// For vectors of which a changed one may be as good: all of them have this digest.
fn pinned(vectors: &[Value], digest: &str) {
    let part = |vector: &Value| {
        [
            vector.text("form").unwrap().as_bytes(),
            &vector.bytes("bytes").unwrap(),
        ]
        .concat()
    };
    let parts: Vec<Vec<u8>> = vectors.iter().map(part).collect();
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    let found = Hash(crypto::hash("comity/v1/test", &parts)).to_hex();
    assert_eq!(found, digest, "the vectors have changed");
}

type Path = Vec<String>;

/// The places of all values but those that only explain, and what depends on other events.
fn leaves(value: &Value) -> Vec<Path> {
    const EXPLAIN: [&str; 3] = ["source", "name", "why"];
    let children: BTreeMap<String, &Value> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| (name.clone(), field))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(at, item)| (at.to_string(), item))
            .collect(),
        _ => return vec![Path::new()],
    };
    let explains = |name: &str| {
        // A name that is part of what is computed stands beside the seed that makes it one.
        let only = EXPLAIN.contains(&name) && !(name == "name" && value.get("root_seed").is_some());
        only || PLACE.contains(&name)
    };
    let below = |(name, child): (&String, &Value)| {
        let name = name.clone();
        let extend = move |path: Path| [vec![name.clone()], path].concat();
        leaves(child).into_iter().map(extend).collect::<Vec<Path>>()
    };
    let wanted = children.iter().filter(|(name, _)| !explains(name));
    wanted
        .flat_map(|(name, child)| below((name, child)))
        .collect()
}

/// The vector with the value at `path` changed in one way or another.
fn changes(vector: &Value, path: &Path) -> Vec<Value> {
    let pointer: String = path.iter().map(|step| format!("/{step}")).collect();
    let leaf = vector.pointer(&pointer).expect("a leaf");
    let other: Vec<Value> = match leaf {
        Value::Null => vec![Value::from(1), Value::from("00".repeat(32))],
        Value::Bool(flag) => vec![Value::from(!flag)],
        Value::Number(number) => vec![Value::from(number.as_u64().expect("a number") ^ 1)],
        Value::String(text) if text.is_empty() => vec![Value::from("00")],
        Value::String(text) => {
            let chars: Vec<char> = text.chars().collect();
            let places = BTreeSet::from([0, chars.len() / 2, chars.len() - 1]);
            let changed = places.into_iter().map(|at| {
                let mut chars = chars.clone();
                chars[at] = if chars[at] == '1' { '2' } else { '1' };
                Value::from(chars.into_iter().collect::<String>())
            });
            changed.collect()
        }
        _ => Vec::new(),
    };
    other
        .into_iter()
        .map(|value| {
            let mut changed = vector.clone();
            *changed.pointer_mut(&pointer).expect("a leaf") = value;
            changed
        })
        .collect()
}
