//! A story in which everything goes wrong that may: three partners share a channel and write in it
//! while links lose, delay and are cut, and nodes are killed and lose their power. What was
//! acknowledged is never missing, and once the weather is fair all hold the same.

use std::collections::{BTreeMap, BTreeSet};

use comity_node::api::{Digests, PostInfo, Precedence, Request, Written};

use super::network::{Passed, Weather};
use super::partner::Asked;
use super::world::{Failure, World};
use crate::store::Positions;
use crate::{Dice, Syncing};

const PARTNERS: [&str; 3] = ["alpha", "bravo", "charlie"];
const CHANNEL: &str = "harbour";
const PERSON: &str = "anna";
/// The most operations on the store's log before the power goes: a write is two.
const OPERATIONS: u64 = 12;
/// One start in so many is armed with a power cut, before one of so many operations.
const OPENINGS: u64 = 6;
const OPENING_OPERATIONS: u64 = 4;
/// How long is waited in virtual time until all hold the same, and between two looks.
const PATIENCE_MS: u64 = 60_000;
const LOOK_MS: u64 = 100;
/// How long a round of trouble lasts, and how long a node stays away, at most.
const ROUND_MS: u64 = 3_000;
const AWAY_MS: u64 = 2_000;
/// Posts that each partner writes in a round, at most, and how long they are.
const POSTS: u64 = 4;
const POST_BYTES: u64 = 600;

/// What became of a life.
#[derive(Debug)]
pub struct Life {
    pub seed: u64,
    pub crashes: u64,
    pub power_cuts: u64,
    pub simulated_ms: u64,
    pub posts: usize,
    pub datagrams: usize,
    /// Over every datagram with its time, and what the nodes held in the end.
    pub digest: [u8; 32],
    pub trace: Vec<Passed>,
    pub failure: Option<String>,
}

/// Lives the life of this seed, with so many crashes.
pub fn live(seed: u64, crashes: u64, syncing: Syncing) -> Life {
    let mut story = Story::new(seed, syncing);
    let failure = story.tell(crashes).err().map(|failure| failure.0);
    let trace = story.world.network.take_trace();
    Life {
        seed,
        crashes: story.world.crashes,
        power_cuts: story.world.power_cuts,
        simulated_ms: story.world.now_ms,
        posts: story.told.len(),
        datagrams: trace.len(),
        digest: story.world.network.digest(),
        trace,
        failure,
    }
}

struct Story {
    world: World,
    dice: Dice,
    /// What was acknowledged: who wrote it, for whom, and the text, by the post's id.
    told: BTreeMap<String, Told>,
    /// What was asked for and not answered: texts that may be there or not.
    asked: Vec<Pending>,
    /// Every text that somebody has written.
    texts: BTreeSet<String>,
    positions: Positions,
}

struct Told {
    by: usize,
    text: String,
    readers: Vec<usize>,
}

/// A post that a node was asked to write.
struct Pending {
    by: usize,
    text: String,
    readers: Vec<usize>,
    answer: Asked,
}

impl Story {
    fn new(seed: u64, syncing: Syncing) -> Story {
        let mut dice = Dice::seeded(!seed);
        let world = World::of(&PARTNERS, syncing, dice.roll());
        Story {
            world,
            dice,
            told: BTreeMap::new(),
            asked: Vec::new(),
            texts: BTreeSet::new(),
            positions: Positions::default(),
        }
    }

    fn tell(&mut self, crashes: u64) -> Result<(), Failure> {
        for partner in 0..PARTNERS.len() {
            self.world.start(partner)?;
        }
        self.world.await_links()?;
        self.world.share(CHANNEL)?;
        while self.world.crashes < crashes {
            self.round()?;
        }
        self.end_well()
    }

    /// Some weather, some posts, and a node that crashes in the middle of it and comes back.
    fn round(&mut self) -> Result<(), Failure> {
        self.change_weather();
        for partner in 0..PARTNERS.len() {
            self.write(partner);
        }
        let victim = self.dice.below(PARTNERS.len() as u64) as usize;
        let loses_power = self.dice.below(3) > 0;
        if loses_power {
            let operation = 1 + self.dice.below(OPERATIONS);
            self.world.partners[victim].supply.cut_before_log(operation);
        }
        let lasts = self.dice.below(ROUND_MS);
        self.world.pass(lasts)?;
        for partner in 0..PARTNERS.len() {
            self.write(partner);
        }
        let lasts = self.dice.below(ROUND_MS);
        self.world.pass(lasts)?;
        // Where nothing was written the power has not gone.
        self.world.crash(victim);
        if self.dice.below(5) == 0 {
            self.world.crash((victim + 1) % PARTNERS.len());
        }
        self.hear();
        let away = self.dice.below(AWAY_MS);
        self.world.pass(away)?;
        for partner in 0..PARTNERS.len() {
            if !self.world.partners[partner].lives() {
                self.start(partner)?;
                self.look(partner)?;
            }
        }
        Ok(())
    }

    /// Starts a node, whose power may go while it does; then it tries again.
    fn start(&mut self, partner: usize) -> Result<(), Failure> {
        if self.dice.below(OPENINGS) == 0 {
            let operation = 1 + self.dice.below(OPENING_OPERATIONS);
            self.world.partners[partner]
                .supply
                .cut_before_log(operation);
        }
        while !self.world.partners[partner].lives() {
            self.world.start(partner)?;
            if self.world.partners[partner].supply.is_out() {
                self.world.crash(partner);
            }
        }
        self.world.partners[partner].supply.cut_before_log(0);
        Ok(())
    }

    fn change_weather(&mut self) {
        let partitioned = self.dice.below(3) == 0;
        let alone = self.dice.below(PARTNERS.len() as u64) as usize;
        for from in 0..PARTNERS.len() {
            for to in 0..PARTNERS.len() {
                let apart = partitioned && (from == alone) != (to == alone);
                let weather = Weather {
                    // Now and then only one way is cut.
                    cut: apart || self.dice.below(12) == 0,
                    lost: [0, 0, 10, 100][self.dice.below(4) as usize],
                    doubled: [0, 20][self.dice.below(2) as usize],
                    delay_ms: self.dice.below(60),
                    jitter_ms: self.dice.below(40),
                };
                self.world.set(from, to, weather);
            }
        }
    }

    /// Somebody at a partner writes, without waiting for the answers.
    fn write(&mut self, by: usize) {
        for _ in 0..self.dice.below(POSTS + 1) {
            let filling = "x".repeat(self.dice.below(POST_BYTES) as usize);
            let text = format!("{} writes {} {filling}", PARTNERS[by], self.texts.len());
            self.texts.insert(text.clone());
            let mut readers: Vec<usize> = (0..PARTNERS.len()).collect();
            let mut to = Vec::new();
            if self.dice.below(4) == 0 {
                let other = (by + 1 + self.dice.below(2) as usize) % PARTNERS.len();
                readers = vec![by, other];
                to = vec![PARTNERS[other].to_string()];
            }
            let post = Request::Post {
                channel: CHANNEL.into(),
                user: PERSON.into(),
                message: text.clone(),
                reply_to: None,
                create_at_ms: None,
                precedence: [Precedence::Routine, Precedence::Flash][self.dice.below(2) as usize],
                to,
            };
            let answer = self.world.partners[by].ask(post);
            self.asked.push(Pending {
                by,
                text,
                readers,
                answer,
            });
        }
    }

    /// Takes what was answered.
    fn hear(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            match asked.answer.take() {
                Some(Ok(items)) => {
                    let written = items
                        .into_iter()
                        .find_map(|item| Written::try_from(item).ok());
                    let (by, text, readers) = (asked.by, asked.text, asked.readers);
                    let id = written.expect("what was written").id;
                    self.told.insert(id, Told { by, text, readers });
                }
                // A node that is about to end may say so.
                Some(Err(_)) => {}
                None if self.world.partners[asked.by].lives() => self.asked.push(asked),
                None => {}
            }
        }
    }

    /// Requires that a node shows every post that it acknowledged, everything as it was written,
    /// and nothing else.
    fn look(&mut self, partner: usize) -> Result<(), Failure> {
        self.hear();
        let posts = self.posts(partner)?;
        let name = PARTNERS[partner];
        for (id, told) in &self.told {
            match posts.get(id) {
                Some(post) if post.message.as_ref() != Some(&told.text) => {
                    return Err(Failure(format!("{name} shows {id} otherwise than written")));
                }
                Some(_) if !told.readers.contains(&partner) => {
                    return Err(Failure(format!("{name} shows {id}, which is not for it")));
                }
                None if told.by == partner => {
                    return Err(Failure(format!("{name} has lost {id}, which it told of")));
                }
                _ => {}
            }
        }
        let mut shown = posts.values().filter_map(|post| post.message.as_ref());
        match shown.find(|text| !self.texts.contains(*text)) {
            Some(text) => Err(Failure(format!("{name} shows what nobody wrote: {text}"))),
            None => Ok(()),
        }
    }

    /// Whether every node shows all that was told and is for it.
    fn is_complete(&mut self) -> Result<bool, Failure> {
        for partner in 0..PARTNERS.len() {
            let posts = self.posts(partner)?;
            let mut mine = self
                .told
                .iter()
                .filter(|(_, told)| told.readers.contains(&partner));
            if !mine.all(|(id, _)| posts.contains_key(id)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn posts(&mut self, partner: usize) -> Result<BTreeMap<String, PostInfo>, Failure> {
        let export = Request::Export { channel: None };
        let posts: Vec<PostInfo> = self.world.items(partner, export)?;
        Ok(posts
            .into_iter()
            .map(|post| (post.id.clone(), post))
            .collect())
    }

    /// The weather is fair and all are there: they come to hold the same, and everything.
    fn end_well(&mut self) -> Result<(), Failure> {
        self.world.heal();
        self.world.await_links()?;
        self.hear();
        let mut waited = 0;
        loop {
            let digests = self.digests()?;
            if digests.windows(2).all(|pair| pair[0] == pair[1]) && self.is_complete()? {
                break;
            }
            if waited > PATIENCE_MS {
                return Err(Failure(format!("not all hold all in the end: {digests:?}")));
            }
            self.world.pass(LOOK_MS)?;
            waited += LOOK_MS;
        }
        for partner in 0..PARTNERS.len() {
            self.look(partner)?;
            self.one_event_each(partner)?;
            let held = format!("{:?} {:?}", self.posts(partner)?, self.digests()?);
            self.world.network.note(&[held.as_bytes()]);
        }
        Ok(())
    }

    /// Requires that nobody has another event for a position than anybody else.
    fn one_event_each(&mut self, partner: usize) -> Result<(), Failure> {
        let moment = format!("at {} in the end", PARTNERS[partner]);
        let store = self.world.partners[partner].store();
        let store = store.expect("a node that runs");
        let positions = &mut self.positions;
        let absorb = || positions.absorb_open(store, &moment);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(absorb))
            .map_err(|_| Failure(format!("two events for one position {moment}")))
    }

    /// What all members may read, at each.
    fn digests(&mut self) -> Result<Vec<String>, Failure> {
        (0..PARTNERS.len())
            .map(|partner| {
                let digests: Vec<Digests> = self.world.items(partner, Request::Digests)?;
                let channels = digests.iter().flat_map(|digests| &digests.channels);
                let each = channels.map(|one| format!("{} {}", one.timeline, one.state));
                Ok(each.collect::<Vec<_>>().join(" "))
            })
            .collect()
    }
}
