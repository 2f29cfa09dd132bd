//! One partner's node: its directory, its power, and the runtime that it lives on while it runs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_node::api::{ApiError, Item, Request};
use comity_node::config::Config;
use comity_node::environment::{Clock, Environment, Randomness, Work};
use comity_node::keystore;
use comity_node::node::{Mode, Node, Running};
use comity_node::pacts::{Pact, PactState};
use comity_node::service::{self, failure};
use comity_node::storage_key::KeyPlace;
use comity_node::store::{Store, StoreOptions};
use comity_protocol::codec::Canonical as _;
use comity_protocol::identity::{Identity, Name};
use comity_protocol::rows::{Row, Table};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep_until};

use super::key_exchange::SharedDice;
use super::network::{Epoch, Network, Socket};
use super::underlay::{Primitives, Virtual};
use crate::{Dice, PowerSupply, Syncing};

/// As the store keys an active pact.
const PACT_KEY: u8 = b'p';

/// A partner, with a node that runs or does not.
pub struct Partner {
    pub name: &'static str,
    pub address: SocketAddr,
    pub supply: Arc<PowerSupply>,
    dir: PathBuf,
    config: Config,
    identity: Identity,
    dice: SharedDice,
    primitives: Primitives,
    network: Network,
    /// How far this node's clock is ahead of the world's, by which files are dated.
    clock_ms: u64,
    syncing: Syncing,
    life: Option<Life>,
}

/// The node while it runs.
struct Life {
    node: Arc<Node>,
    running: Running,
    socket: Arc<Socket>,
    epoch: Epoch,
    runtime: Runtime,
}

impl Life {
    /// Drops everything where it stands; nothing more is sent or written.
    fn end(self) {
        let Life {
            node,
            running,
            socket,
            runtime,
            ..
        } = self;
        {
            let _inside = runtime.enter();
            drop((node, running, socket));
        }
        drop(runtime);
    }
}

/// What a node was asked, and has perhaps answered.
#[derive(Clone, Default)]
pub struct Asked(Arc<Mutex<Option<Answer>>>);

/// A node's answer: the items, or why not.
pub type Answer = Result<Vec<Item>, ApiError>;

impl Asked {
    /// The answer, once it is there.
    pub fn take(&self) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Partner {
    /// A new partner, whose node does not run yet.
    pub fn new(
        name: &'static str,
        address: SocketAddr,
        dir: PathBuf,
        network: Network,
        clock_ms: u64,
        syncing: Syncing,
        dice: Dice,
    ) -> Partner {
        let supply = Arc::new(PowerSupply::new());
        let dice = SharedDice::new(dice);
        std::fs::create_dir_all(&dir).expect("a directory of its own");
        let text = Config::template(name, &address.to_string(), &[], None);
        let partner = Name::try_from(name.to_string()).expect("a partner's name");
        let identity = keystore::create_in(
            &dir,
            partner,
            clock_ms,
            &randomness(&dice),
            &options(&supply, Syncing::Synced),
        );
        Partner {
            name,
            address,
            config: Config::parse(&text, &dir).expect("a configuration"),
            identity: identity.expect("a new store"),
            primitives: Primitives::of(&dice),
            supply,
            dir,
            dice,
            network,
            clock_ms,
            syncing,
            life: None,
        }
    }

    /// Writes pacts with these partners into the store of the node, which does not run.
    pub fn peer_with<'a>(&self, others: impl Iterator<Item = &'a Partner>) {
        let rows: Vec<Row> = others
            .map(|other| {
                let pact = Pact {
                    state: PactState::Active,
                    identity: other.identity.clone(),
                    addresses: vec![other.address.to_string()],
                    words: (0..12).collect(),
                };
                let key = [&[PACT_KEY], &other.identity.partner().0[..]].concat();
                Row::put(Table::Pacts, key, pact.to_bytes())
            })
            .collect();
        let store = self.open_store().expect("a store that nobody has open");
        store.write(&rows).expect("the power is on");
    }

    /// Starts the node at this time of the world.
    pub fn start(&mut self, world_ms: u64) -> Result<(), ApiError> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        let store = self.open_store()?;
        let (config, dir) = (self.config.clone(), self.dir.clone());
        let (epoch, socket, started) = runtime.block_on(async {
            let at = Instant::now();
            let epoch = Epoch { at, world_ms };
            let (network, supply) = (self.network.clone(), self.supply.clone());
            let socket = Socket::new(self.address, network, epoch, supply);
            let environment = self.environment(epoch, socket.clone());
            let started = Node::over_in(store, &dir, config, Mode::Serving, environment).await;
            (epoch, socket, started)
        });
        let (node, running) = started?;
        self.life = Some(Life {
            node,
            running,
            socket,
            epoch,
            runtime,
        });
        Ok(())
    }

    /// Lets the node live until this time of the world.
    pub fn live_until(&self, world_ms: u64) {
        let Some(life) = &self.life else {
            // What comes for a node that does not run is lost.
            while self.network.next(self.address, world_ms).is_some() {}
            return;
        };
        let moment = |ms: u64| life.epoch.at + Duration::from_millis(ms - life.epoch.world_ms);
        life.runtime.block_on(async {
            while let Some((at_ms, from, bytes)) = self.network.next(self.address, world_ms) {
                sleep_until(moment(at_ms)).await;
                life.socket.deliver(from, bytes);
            }
            sleep_until(moment(world_ms)).await;
        });
    }

    /// Whether the node runs.
    pub fn lives(&self) -> bool {
        self.life.is_some()
    }

    /// Whether the driver has ended, which it only may when the power is out.
    pub fn has_ended(&self) -> bool {
        let ended = |life: &Life| life.running.driver.is_finished();
        self.life.as_ref().is_some_and(ended)
    }

    /// Ends the node where it stands, as kill -9 would. Where the power is out, what was not synced
    /// is lost, all or part of it as the dice say.
    pub fn crash(&mut self, dice: &mut Dice) {
        if let Some(life) = self.life.take() {
            life.end();
        }
        let store = keystore::store_path(&self.dir);
        self.supply.cut_before_log(0);
        match self.supply.is_out() {
            true => drop(self.supply.restore(&store, dice)),
            false => self.supply.await_closed(&store),
        }
    }

    /// Asks the node; nothing comes of it where the node does not run, or ends before.
    pub fn ask(&self, request: Request) -> Asked {
        let asked = Asked::default();
        if let Some(life) = &self.life {
            let (node, answer) = (life.node.clone(), asked.clone());
            life.runtime.spawn(async move {
                let mut items = Vec::new();
                let mut sink = |item| items.push(item);
                let done = service::answer(&node, request, &mut sink).await;
                let mut answer = answer.0.lock().unwrap_or_else(PoisonError::into_inner);
                *answer = Some(done.map(|()| items));
            });
        }
        asked
    }

    /// The store of the node that runs.
    pub fn store(&self) -> Option<&Store> {
        self.life.as_ref().map(|life| &life.node.store)
    }

    fn open_store(&self) -> Result<Store, ApiError> {
        let key = KeyPlace::of(&self.dir, &self.config.storage).and_then(|place| place.read());
        let key = key.expect("a storage key");
        let path = keystore::store_path(&self.dir);
        Store::open_with(&path, key, options(&self.supply, self.syncing)).map_err(failure::store)
    }

    fn environment(&self, epoch: Epoch, socket: Arc<Socket>) -> Environment {
        Environment {
            clock: Clock::Set {
                showed_ms: self.clock_ms + epoch.world_ms,
                at: epoch.at,
            },
            randomness: randomness(&self.dice),
            work: Work::Tasks,
            underlay: Arc::new(Virtual {
                dice: self.dice.clone(),
                primitives: self.primitives,
                socket,
            }),
        }
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        self.crash(&mut Dice::seeded(0));
    }
}

fn randomness(dice: &SharedDice) -> Randomness {
    let dice = dice.clone();
    Randomness::Seeded(Arc::new(move |bytes| dice.fill(bytes)))
}

fn options(supply: &PowerSupply, syncing: Syncing) -> StoreOptions {
    StoreOptions {
        synced: syncing == Syncing::Synced,
        env: Some(supply.env()),
        ..StoreOptions::default()
    }
}
