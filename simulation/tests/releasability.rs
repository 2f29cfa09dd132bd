//! What a partner is sent does not depend on what it may not read: the same run with and without
//! narrow messages gives it the same frames, byte for byte, at the same times.

use std::collections::{BTreeMap, BTreeSet};

use comity_protocol::event::{Kind, Precedence, UserName};
use comity_protocol::graph::Pos;
use comity_protocol::id::{ChannelId, EventId, Hash, LaneId, PartnerId};
use comity_protocol::lane::LaneForm;
use comity_protocol::replica::{Command, Draft, ReceiptState, Replica};
use comity_protocol::wire::Frame;
use comity_simulation::{SentFrame, World};

const NAMES: [&str; 4] = ["alpha", "bravo", "charlie", "delta"];
/// Who writes among themselves, and who must not notice.
const INSIDE: [usize; 2] = [0, 1];
const OUTSIDE: [usize; 2] = [2, 3];
const ROUNDS: u64 = 40;

#[test]
fn narrow_messages_change_no_byte_that_others_are_sent() {
    for seed in seeds() {
        println!("seed {seed}");
        let with = Run::new(seed, true);
        let without = Run::new(seed, false);

        assert!(
            with.narrow.len() > 60,
            "seed {seed}: only {} narrow events were written",
            with.narrow.len()
        );
        for outsider in OUTSIDE {
            let (one, other) = (with.frames_to(outsider), without.frames_to(outsider));
            assert!(
                one.len() > 60,
                "seed {seed}: too quiet: {} frames",
                one.len()
            );
            let parts = one.iter().zip(&other).position(|(one, other)| one != other);
            assert_eq!(
                parts.map(|at| (describe(one[at]), describe(other[at]))),
                None,
                "seed {seed}: the first frame to {} that differs",
                NAMES[outsider]
            );
            assert_eq!(one.len(), other.len(), "seed {seed}: as many frames");
            assert_eq!(
                with.digests(outsider),
                without.digests(outsider),
                "seed {seed}"
            );
        }
        assert_eq!(with.world.misbehaviour(), &[] as &[String], "seed {seed}");
    }
}

#[test]
fn no_frame_to_others_holds_anything_of_a_narrow_message() {
    let seed = seeds()[0];
    println!("seed {seed}");
    let run = Run::new(seed, true);
    let needles = run.needles();
    assert!(needles.len() > 60, "{} needles", needles.len());

    for outsider in OUTSIDE {
        for frame in run.frames_to(outsider) {
            let found = needles
                .iter()
                .find(|(_, needle)| holds(&frame.bytes, needle));
            assert_eq!(
                found.map(|(what, _)| what),
                None,
                "seed {seed}: {}",
                describe(frame)
            );
        }
    }
    let to_bravo = run.frames_to(INSIDE[1]);
    let unseen = needles
        .iter()
        .filter(|(_, needle)| !to_bravo.iter().any(|frame| holds(&frame.bytes, needle)));
    // What bravo wrote itself went the other way.
    let to_alpha = run.frames_to(INSIDE[0]);
    let unseen: Vec<&String> = unseen
        .filter(|(_, needle)| !to_alpha.iter().any(|frame| holds(&frame.bytes, needle)))
        .map(|(what, _)| what)
        .collect();
    assert_eq!(
        unseen,
        [] as [&String; 0],
        "the same search finds all of it where it may be"
    );
}

fn seeds() -> Vec<u64> {
    let one = std::env::var("COMITY_SEED").ok();
    match one.and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => (1..=20).collect(),
    }
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn describe(frame: &SentFrame) -> String {
    format!(
        "at {} ms from {} to {} on {:?}: {:?}",
        frame.at_ms,
        NAMES[frame.from],
        NAMES[frame.to],
        frame.class,
        Frame::from_bytes(&frame.bytes)
    )
}

/// A run of the scenario, with or without its narrow part.
struct Run {
    seed: u64,
    world: World,
    channel: ChannelId,
    /// What was written among the insiders.
    narrow: BTreeSet<EventId>,
}

impl Run {
    fn new(seed: u64, narrow: bool) -> Run {
        let mut world = World::even(seed, &NAMES);
        world.connect_all();
        let channel = world.shared_channel("harbour");
        let mut run = Run {
            seed,
            world,
            channel,
            narrow: BTreeSet::new(),
        };
        for round in 0..ROUNDS {
            run.wide(round);
            run.world.run_for(7 + run.dice("pause", round, 60));
            for insider in INSIDE {
                if narrow {
                    run.write_narrow(insider, round);
                }
            }
            run.world.run_for(3 + run.dice("rest", round, 90));
            run.disturb(round);
        }
        run.world.connect_all();
        run.world.run_for(40_000);
        run
    }

    /// Everybody says something to everybody, now and then about something said before.
    fn wide(&mut self, round: u64) {
        let who = self.dice("who", round, 4) as usize;
        let text = format!("wide {round}");
        let target = self.wide_post(who, self.dice("target", round, 8));
        let channel = self.channel;
        let draft = draft(who, round, None);
        let command = match (target, self.dice("what", round, 4)) {
            (Some(target), 0) => Command::React {
                channel,
                draft,
                target,
                emoji: "+1".into(),
                withdrawn: false,
            },
            (reply_to, _) => Command::Post {
                channel,
                draft,
                text,
                reply_to,
                rows: Vec::new(),
            },
        };
        self.order(who, command, &format!("wide {round}"));
    }

    /// One event of every kind, to the other insider alone.
    fn write_narrow(&mut self, who: usize, round: u64) {
        let channel = self.channel;
        let to: BTreeSet<PartnerId> = INSIDE.map(|insider| self.world.partners[insider].id).into();
        let new_draft = || draft(who, round, Some(to.clone()));
        let wide = self.wide_post(who, 0);
        let text = format!("narrow {who} {round}");
        let post = Command::Post {
            channel,
            draft: new_draft(),
            text,
            reply_to: wide.filter(|_| round.is_multiple_of(2)),
            rows: Vec::new(),
        };
        let Some(target) = self.narrow_order(who, post, &format!("post {who} {round}")) else {
            return;
        };
        let more = [
            Command::Edit {
                channel,
                draft: new_draft(),
                target,
                text: format!("narrow again {who} {round}"),
            },
            Command::React {
                channel,
                draft: new_draft(),
                target,
                emoji: "eyes".into(),
                withdrawn: false,
            },
            Command::Pin {
                channel,
                draft: new_draft(),
                target,
                withdrawn: false,
            },
            Command::Receipt {
                channel,
                draft: new_draft(),
                target,
                state: ReceiptState::Read,
            },
            Command::Redact {
                channel,
                draft: new_draft(),
                target,
                reason: "narrow reason".into(),
            },
        ];
        let which = self.dice("kind", round, more.len() as u64) as usize;
        for (at, command) in more.into_iter().enumerate() {
            if at == which || round.is_multiple_of(3) {
                self.narrow_order(who, command, &format!("more {at} {who} {round}"));
            }
        }
    }

    /// Links go and come back; what was missed is fetched, also through others.
    fn disturb(&mut self, round: u64) {
        let (a, b) = [(0, 2), (1, 3), (0, 1), (2, 3), (1, 2)][self.dice("link", round, 5) as usize];
        if self.dice("cut", round, 3) == 0 {
            self.world.cut(a, b);
        } else {
            self.world.connect(a, b);
        }
    }

    fn narrow_order(&mut self, who: usize, command: Command, name: &str) -> Option<Pos> {
        let id = self.order(who, command, name)?;
        self.narrow.insert(id);
        let found = self.held(who).find_message(&id.to_hex());
        found.first().copied()
    }

    fn order(&mut self, who: usize, command: Command, name: &str) -> Option<EventId> {
        let entropy = self.draw(&format!("entropy {name}"));
        let result = self.world.command_with(who, command, entropy);
        result.ok().map(|written| written.id)
    }

    /// One of the last wide posts that a partner holds.
    fn wide_post(&self, who: usize, back: u64) -> Option<Pos> {
        let channel = self.held(who);
        let is_wide = |pos: &&Pos| {
            let lane = channel.lane(&channel.lane_of(**pos));
            lane.is_some_and(|lane| lane.form == LaneForm::Open)
                && channel.entry(**pos).kind == comity_protocol::event::Kind::Post
        };
        let wide: Vec<Pos> = channel.timeline().iter().filter(is_wide).copied().collect();
        let at = wide.len().checked_sub(1 + back as usize)?;
        wide.get(at).copied()
    }

    fn replica(&self, who: usize) -> &Replica {
        self.world.replica(who).expect("every process is up")
    }

    fn held(&self, who: usize) -> &comity_protocol::channel::Channel {
        &self.replica(who).channels()[&self.channel]
    }

    fn frames_to(&self, to: usize) -> Vec<&SentFrame> {
        self.world
            .sent()
            .iter()
            .filter(|frame| frame.to == to)
            .collect()
    }

    fn digests(&self, who: usize) -> BTreeMap<LaneId, (Hash, Hash)> {
        let channel = self.held(who);
        let digests = channel.lanes().map(|(lane, _)| {
            let both = (channel.timeline_digest(*lane), channel.state_digest(*lane));
            (*lane, both)
        });
        digests.collect()
    }

    /// What stands in the frames of narrow events: their lane, and of each its id, signature,
    /// commitment, body and key event, as the store of an insider holds them.
    fn needles(&self) -> Vec<(String, Vec<u8>)> {
        let mut needles = Vec::new();
        let channel = self.held(INSIDE[0]);
        for (lane, held) in channel.lanes() {
            if held.form == LaneForm::Directed {
                needles.push((format!("lane {lane}"), lane.0.to_vec()));
            }
        }
        for event in self.world.partners[INSIDE[0]].disk.events() {
            let lane = channel.lane(&event.header.lane);
            if lane.is_some_and(|lane| lane.form == LaneForm::Directed) {
                let id = event.id;
                let body = &event.body[..event.body.len().min(48)];
                needles.push((format!("signature of {id}"), event.signature.0.to_vec()));
                // The first ack of any lane says the same.
                if event.header.kind() != Kind::Ack {
                    needles.push((format!("body of {id}"), body.to_vec()));
                }
                if let Some(commitment) = event.header.commitment {
                    needles.push((format!("commitment of {id}"), commitment.0.to_vec()));
                }
            }
        }
        needles
    }

    fn draw(&self, name: &str) -> [u8; 32] {
        comity_crypto::hash(
            "comity/v1/simulation",
            &[&self.seed.to_be_bytes(), name.as_bytes()],
        )
    }

    fn dice(&self, name: &str, round: u64, below: u64) -> u64 {
        u64::from(self.draw(&format!("{name} {round}"))[0]) % below
    }
}

fn draft(who: usize, round: u64, audience: Option<BTreeSet<PartnerId>>) -> Draft {
    Draft {
        user: UserName::try_from(format!("user-{who}")).expect("a legal name"),
        claimed_ms: 1_700_000_000_000 + round,
        precedence: if round.is_multiple_of(5) {
            Precedence::Flash
        } else {
            Precedence::Routine
        },
        audience,
        label: None,
    }
}
