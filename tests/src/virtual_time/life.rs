//! A story in which everything goes wrong that may: three partners share a channel and write in it
//! while links lose, delay and are cut, and nodes are killed and lose their power. What was
//! acknowledged is never missing, and once the weather is fair all hold the same.

use std::collections::BTreeMap;

use comity_node::api::{
    ChannelInfo, Digests, History, Item, PeerInfo, PostInfo, Precedence, Request, Role, Written,
};

use super::network::{Passed, Weather};
use super::partner::Asked;
use super::world::{Failure, World};
use crate::Dice;
use crate::store::Positions;

const PARTNERS: [&str; 3] = ["alpha", "bravo", "charlie"];
const CHANNEL: &str = "harbour";
const PERSON: &str = "anna";
/// In virtual time. Links are back within seconds of the network.
const PATIENCE_MS: u64 = 60_000;
/// The most operations on the store's log before the power goes: a write is two.
const OPERATIONS: u64 = 40;
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
    pub simulated_ms: u64,
    pub posts: usize,
    pub datagrams: usize,
    /// Over every datagram with its time, and what the nodes held in the end.
    pub digest: [u8; 32],
    pub trace: Vec<Passed>,
    pub failure: Option<String>,
}

/// Lives the life of this seed, with so many crashes.
pub fn live(seed: u64, crashes: u64) -> Life {
    let mut story = Story::new(seed);
    let failure = story.tell(crashes).err().map(|failure| failure.0);
    let trace = story.world.network.take_trace();
    Life {
        seed,
        crashes: story.world.crashes,
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
    numbered: u64,
    positions: Positions,
}

#[derive(Clone)]
struct Told {
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
    fn new(seed: u64) -> Story {
        let mut dice = Dice::seeded(!seed);
        let world = World::of(&PARTNERS, dice.roll());
        Story {
            world,
            dice,
            told: BTreeMap::new(),
            asked: Vec::new(),
            numbered: 0,
            positions: Positions::default(),
        }
    }

    fn tell(&mut self, crashes: u64) -> Result<(), Failure> {
        for partner in 0..PARTNERS.len() {
            self.world.start(partner)?;
        }
        self.await_links()?;
        self.share()?;
        while self.world.crashes < crashes {
            self.round()?;
        }
        self.end_well()
    }

    /// The first partner makes the channel; the others accept it.
    fn share(&mut self) -> Result<(), Failure> {
        let create = Request::ChannelCreate {
            name: CHANNEL.into(),
            history: History::All,
            quorum: 0,
        };
        self.done(0, create)?;
        for guest in 1..PARTNERS.len() {
            let share = Request::ChannelShare {
                channel: CHANNEL.into(),
                partner: PARTNERS[guest].into(),
                role: Role::Contributor,
            };
            self.done(0, share)?;
            self.eventually("an invitation", |story| {
                Ok(!story
                    .items::<ChannelInfo>(guest, Request::ChannelList)?
                    .is_empty())
            })?;
            let accept = Request::ChannelAccept {
                channel: CHANNEL.into(),
            };
            self.done(guest, accept)?;
        }
        self.eventually("all to be members everywhere", |story| {
            for partner in 0..PARTNERS.len() {
                let channels: Vec<ChannelInfo> = story.items(partner, Request::ChannelList)?;
                let members = channels.iter().flat_map(|channel| &channel.members);
                if members.filter(|member| member.status == "active").count() < PARTNERS.len() {
                    return Ok(false);
                }
            }
            Ok(true)
        })
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
        self.hear();
        let away = self.dice.below(AWAY_MS);
        self.world.pass(away)?;
        for partner in 0..PARTNERS.len() {
            if !self.world.partners[partner].lives() {
                self.world.start(partner)?;
                self.look(partner, true)?;
            }
        }
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
            self.numbered += 1;
            let filling = "x".repeat(self.dice.below(POST_BYTES) as usize);
            let text = format!("{} writes {} {filling}", PARTNERS[by], self.numbered);
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
                    let (text, readers) = (asked.text, asked.readers);
                    let id = written.expect("what was written").id;
                    self.told.insert(id, Told { text, readers });
                }
                // A node that is about to end may say so.
                Some(Err(_)) => {}
                None if self.world.partners[asked.by].lives() => self.asked.push(asked),
                None => {}
            }
        }
    }

    /// Requires that a node shows every post that it should, as it was written: its own, or all
    /// that it may read.
    fn look(&mut self, partner: usize, own: bool) -> Result<(), Failure> {
        self.hear();
        let posts: Vec<PostInfo> = self.items(partner, Request::Export { channel: None })?;
        let shown: BTreeMap<&str, &PostInfo> =
            posts.iter().map(|post| (post.id.as_str(), post)).collect();
        let name = PARTNERS[partner];
        let begins = format!("{name} writes");
        for (id, told) in &self.told {
            let expected =
                told.readers.contains(&partner) && (!own || told.text.starts_with(&begins));
            match shown.get(id.as_str()) {
                Some(post) if post.message.as_ref() != Some(&told.text) => {
                    return Err(Failure(format!(
                        "{name} shows {post:?} for {:?}",
                        told.text
                    )));
                }
                Some(_) if !told.readers.contains(&partner) => {
                    return Err(Failure(format!("{name} shows {id}, which is not for it")));
                }
                None if expected => {
                    return Err(Failure(format!("{name} has lost {id}: {:?}", told.text)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The weather is fair and all are there: they come to hold the same, and everything.
    fn end_well(&mut self) -> Result<(), Failure> {
        self.world.heal();
        self.await_links()?;
        let mut last = Vec::new();
        self.eventually("all to hold the same", |story| {
            last = story.digests()?;
            Ok(last.windows(2).all(|pair| pair[0] == pair[1]))
        })?;
        for partner in 0..PARTNERS.len() {
            self.look(partner, false)?;
            let store = self.world.partners[partner].store();
            let store = store.expect("a node that runs");
            let moment = format!("at {} in the end", PARTNERS[partner]);
            let positions = &mut self.positions;
            let absorb = || positions.absorb_open(store, &moment);
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(absorb))
                .map_err(|_| Failure(format!("two events for one position {moment}")))?;
        }
        for digest in &last {
            self.world.network.note(&[digest.as_bytes()]);
        }
        Ok(())
    }

    /// What all members may read, at each.
    fn digests(&mut self) -> Result<Vec<String>, Failure> {
        (0..PARTNERS.len())
            .map(|partner| {
                let digests: Vec<Digests> = self.items(partner, Request::Digests)?;
                let channels = digests.iter().flat_map(|digests| &digests.channels);
                let each = channels.map(|one| format!("{} {}", one.timeline, one.state));
                Ok(each.collect::<Vec<_>>().join(" "))
            })
            .collect()
    }

    fn await_links(&mut self) -> Result<(), Failure> {
        self.eventually("everybody to be linked", |story| {
            for partner in 0..PARTNERS.len() {
                let peers: Vec<PeerInfo> = story.items(partner, Request::PeerList)?;
                if !peers.iter().all(|peer| peer.connected) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    fn eventually(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Story) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let until = self.world.now_ms + PATIENCE_MS;
        while !look(self)? {
            if self.world.now_ms >= until {
                return Err(Failure(format!("waited in vain for {what}")));
            }
            self.world.pass(100)?;
        }
        Ok(())
    }

    /// Asks what must be done.
    fn done(&mut self, partner: usize, request: Request) -> Result<Vec<Item>, Failure> {
        let what = format!("{request:?}");
        match self.world.ask(partner, request)? {
            Some(Ok(items)) => Ok(items),
            other => Err(Failure(format!("{what}: {other:?}"))),
        }
    }

    fn items<T: TryFrom<Item>>(
        &mut self,
        partner: usize,
        request: Request,
    ) -> Result<Vec<T>, Failure> {
        let items = self.done(partner, request)?;
        Ok(items
            .into_iter()
            .filter_map(|item| T::try_from(item).ok())
            .collect())
    }
}
