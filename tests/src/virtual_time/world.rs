//! Partners on one network, whose nodes take their steps in turn.

use std::net::{Ipv4Addr, SocketAddr};

use comity_node::api::{ChannelInfo, History, Item, PeerInfo, Request, Role};
use tempfile::TempDir;

use super::network::{LEAST_DELAY_MS, Network, Weather};
use super::partner::{Answer, Asked, Partner};
use crate::{Dice, Syncing, memory};

/// When every world begins, in Unix milliseconds: 2026-01-01.
const BEGINS_MS: u64 = 1_767_225_600_000;
/// How long is waited in virtual time: links are back within seconds of the network, and nothing
/// that a node is asked here waits for a peer.
const PATIENCE_MS: u64 = 60_000;
const ANSWER_MS: u64 = 30_000;
/// Between two looks.
const LOOK_MS: u64 = 100;
/// How far clocks may be apart, in ms.
const SKEW_MS: u64 = 4_000;

/// A world that comes out of a seed.
pub struct World {
    pub partners: Vec<Partner>,
    pub network: Network,
    pub now_ms: u64,
    /// Nodes that ended where they stood, and those of them whose power went out.
    pub crashes: u64,
    pub power_cuts: u64,
    dice: Dice,
    // Removed after the nodes have ended: fields are dropped in their order.
    _dir: TempDir,
}

/// Why a life came to a bad end.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl World {
    /// Partners that have pacts with each other; no node runs yet.
    pub fn of(names: &[&'static str], syncing: Syncing, seed: u64) -> World {
        let mut dice = Dice::seeded(seed);
        let dir = tempfile::Builder::new()
            .prefix("cv")
            .tempdir_in(memory())
            .expect("a directory");
        let network = Network::new(dice.split());
        let mut partners = Vec::new();
        for (number, &name) in (1u8..).zip(names) {
            let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, number), 7443));
            let clock_ms = BEGINS_MS + dice.below(SKEW_MS);
            let (home, network) = (dir.path().join(name), network.clone());
            let of_partner = dice.split();
            let partner = Partner::new(name, address, home, network, clock_ms, syncing, of_partner);
            partners.push(partner);
        }
        for (number, partner) in partners.iter().enumerate() {
            let others = partners.iter().enumerate();
            partner.peer_with(
                others
                    .filter(|(other, _)| *other != number)
                    .map(|(_, it)| it),
            );
        }
        World {
            partners,
            network,
            now_ms: 0,
            crashes: 0,
            power_cuts: 0,
            dice,
            _dir: dir,
        }
    }

    /// Starts a node that does not run. It crashes where its power goes before it is open.
    pub fn start(&mut self, partner: usize) -> Result<(), Failure> {
        let now_ms = self.now_ms;
        let starting = &mut self.partners[partner];
        match starting.start(now_ms) {
            Err(_) if starting.supply.is_out() => {
                self.end(partner);
                Ok(())
            }
            Err(error) => {
                let name = starting.name;
                Err(Failure(format!("{name} does not start: {error:?}")))
            }
            Ok(()) => Ok(()),
        }
    }

    /// Ends a node where it stands.
    pub fn crash(&mut self, partner: usize) {
        if self.partners[partner].lives() {
            self.end(partner);
        }
    }

    fn end(&mut self, partner: usize) {
        let ending = &mut self.partners[partner];
        self.crashes += 1;
        self.power_cuts += u64::from(ending.supply.is_out());
        ending.crash(&mut self.dice.split());
    }

    /// Everybody lives one step. A node whose power went out is crashed with it.
    pub fn step(&mut self) -> Result<(), Failure> {
        self.now_ms += LEAST_DELAY_MS;
        for number in 0..self.partners.len() {
            let partner = &self.partners[number];
            partner.live_until(self.now_ms);
            if partner.supply.is_out() {
                self.crash(number);
            } else if partner.has_ended() {
                let name = partner.name;
                return Err(Failure(format!("{name} has stopped by itself")));
            }
        }
        Ok(())
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, ms: u64) -> Result<(), Failure> {
        let until = self.now_ms + ms;
        while self.now_ms < until {
            self.step()?;
        }
        Ok(())
    }

    /// Asks a node and waits for the answer; none where the node ends before.
    pub fn ask(&mut self, partner: usize, request: Request) -> Result<Option<Answer>, Failure> {
        let what = format!("{request:?}");
        let asked = self.partners[partner].ask(request);
        self.await_answer(partner, &asked, &what)
    }

    /// Waits for an answer, as [`World::ask`] does.
    pub fn await_answer(
        &mut self,
        partner: usize,
        asked: &Asked,
        what: &str,
    ) -> Result<Option<Answer>, Failure> {
        let until = self.now_ms + ANSWER_MS;
        loop {
            if let Some(answer) = asked.take() {
                return Ok(Some(answer));
            }
            if !self.partners[partner].lives() {
                return Ok(None);
            }
            if self.now_ms >= until {
                let name = self.partners[partner].name;
                return Err(Failure(format!("{name} does not answer {what}")));
            }
            self.step()?;
        }
    }

    /// Asks for what must be done.
    pub fn done(&mut self, partner: usize, request: Request) -> Result<Vec<Item>, Failure> {
        let what = format!("{request:?}");
        match self.ask(partner, request)? {
            Some(Ok(items)) => Ok(items),
            other => Err(Failure(format!("{what}: {other:?}"))),
        }
    }

    /// Asks for items of one kind.
    pub fn items<T: TryFrom<Item>>(
        &mut self,
        partner: usize,
        request: Request,
    ) -> Result<Vec<T>, Failure> {
        let items = self.done(partner, request)?.into_iter();
        Ok(items.filter_map(|item| T::try_from(item).ok()).collect())
    }

    /// Looks again and again, as the world goes on, until it is so.
    pub fn eventually(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut World) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let until = self.now_ms + PATIENCE_MS;
        while !look(self)? {
            if self.now_ms >= until {
                return Err(Failure(format!("waited in vain for {what}")));
            }
            self.pass(LOOK_MS)?;
        }
        Ok(())
    }

    /// Waits until every node is linked with every other.
    pub fn await_links(&mut self) -> Result<(), Failure> {
        self.eventually("everybody to be linked", |world| {
            for partner in 0..world.partners.len() {
                let peers: Vec<PeerInfo> = world.items(partner, Request::PeerList)?;
                if !peers.iter().all(|peer| peer.connected) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// The first partner makes a channel and shares it with all others, who accept.
    pub fn share(&mut self, channel: &str) -> Result<(), Failure> {
        let create = Request::ChannelCreate {
            name: channel.into(),
            history: History::All,
            quorum: 0,
        };
        self.done(0, create)?;
        for guest in 1..self.partners.len() {
            let share = Request::ChannelShare {
                channel: channel.into(),
                partner: self.partners[guest].name.into(),
                role: Role::Contributor,
            };
            self.done(0, share)?;
            self.eventually("an invitation", |world| {
                let channels: Vec<ChannelInfo> = world.items(guest, Request::ChannelList)?;
                Ok(!channels.is_empty())
            })?;
            let accept = Request::ChannelAccept {
                channel: channel.into(),
            };
            self.done(guest, accept)?;
        }
        self.eventually("all to be members everywhere", |world| {
            for partner in 0..world.partners.len() {
                let channels: Vec<ChannelInfo> = world.items(partner, Request::ChannelList)?;
                let members = channels.iter().flat_map(|channel| &channel.members);
                let active = members.filter(|member| member.status == "active").count();
                if active < world.partners.len() {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// Sets what befalls datagrams between two partners on one way.
    pub fn set(&self, from: usize, to: usize, weather: Weather) {
        let (from, to) = (self.partners[from].address, self.partners[to].address);
        self.network.set(from, to, weather);
    }

    /// Fair weather everywhere.
    pub fn heal(&self) {
        for from in 0..self.partners.len() {
            for to in 0..self.partners.len() {
                self.set(from, to, Weather::FAIR);
            }
        }
    }
}
