//! A node whose power can go, and what is known of it outside.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_node::api::{ApiError, ChannelInfo};
use comity_node::audit::Record;
use comity_node::config::Config;
use comity_node::keystore;
use comity_node::node::{Mode, Node, Running};
use comity_node::service::{self, InitOptions, failure};
use comity_node::storage_key::KeyPlace;
use comity_node::store::{Store, StoreOptions};
use comity_protocol::codec::Canonical as _;
use comity_protocol::event::Kind;
use comity_protocol::id::hex;
use comity_protocol::rows::{self, Table};

use super::people::People;
use super::told::{PARTNER, Told};
use crate::store::{Positions, each};
use crate::{Dice, PowerSupply, Syncing};

/// Small, so that a few posts make the store flush and compact its files.
pub const WRITE_BUFFER_BYTES: usize = 64 << 10;
/// One opening in so many is cut short, before one of its first operations.
const OPENINGS: u64 = 6;
const OPENING_OPERATIONS: u64 = 100;
/// A third of the cuts come while every writer opens its epochs, the others later.
const FIRST_OPERATIONS: u64 = 12;
const OPERATIONS: u64 = 120;

/// A node's directory on a file system that can lose power, and what is known of it outside.
pub struct Home {
    dir: PathBuf,
    config: Config,
    mode: Mode,
    pub supply: PowerSupply,
    syncing: Syncing,
    pub told: RefCell<Told>,
    positions: Positions,
}

/// How a life of the process ended.
pub enum Life {
    CutWhileOpening,
    CutWhileWriting,
    /// The node did not show what it had told: nobody wrote any more.
    Missing(Vec<String>),
}

impl Home {
    /// A new node, in a directory that does not exist yet.
    pub fn new(dir: &Path, syncing: Syncing) -> Home {
        let options = InitOptions {
            partner: PARTNER.into(),
            listen: "127.0.0.1:0".into(),
            addresses: Vec::new(),
            http: None,
        };
        service::init(dir, &options).expect("a new node");
        Home::at(dir, syncing, Mode::Offline)
    }

    /// A node that is there and does not run.
    pub fn at(dir: &Path, syncing: Syncing, mode: Mode) -> Home {
        Home {
            dir: dir.into(),
            config: Config::load(dir).expect("a configuration"),
            mode,
            supply: PowerSupply::new(),
            syncing,
            told: RefCell::default(),
            positions: Positions::default(),
        }
    }

    /// Where its store lies.
    pub fn store(&self) -> PathBuf {
        keystore::store_path(&self.dir)
    }

    /// One life of the process: whatever it left behind ends with it.
    pub fn live<T>(&mut self, life: impl AsyncFnOnce(&mut Home) -> T) -> T {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(2).enable_all().build();
        let lived = runtime.expect("a runtime").block_on(life(self));
        self.supply.await_closed(&self.store());
        lived
    }

    /// Opens the node, looks, and lets people write until the power goes.
    pub async fn until_the_power_goes(&mut self, dice: &mut Dice) -> Life {
        if dice.below(OPENINGS) == 0 {
            self.supply.cut_before(1 + dice.below(OPENING_OPERATIONS));
        }
        let opened = self.open().await;
        self.supply.cut_before(0);
        let (node, running) = match opened {
            Ok(opened) => opened,
            Err(_) if self.supply.is_out() => return Life::CutWhileOpening,
            Err(error) => panic!("not opened while the power is on: {error:?}"),
        };
        if self.supply.is_out() {
            // The store may have noticed or not.
            let _ = stop(node, running).await;
            return Life::CutWhileOpening;
        }
        let missing = self.look(&node).await;
        if !missing.is_empty() {
            stop(node, running).await.expect("a node that ends");
            return Life::Missing(missing);
        }
        let operations = match dice.below(3) {
            0 => FIRST_OPERATIONS,
            _ => OPERATIONS,
        };
        self.supply.cut_before(1 + dice.below(operations));
        self.people(&node).write(dice).await;
        let ended = service::end(node, running).await;
        assert!(ended.is_err(), "a node that cannot write must stop");
        Life::CutWhileWriting
    }

    /// Opens the node, looks, writes a little, and stops the node as it should be stopped.
    pub async fn quiet_day(&mut self, channel: &str, dice: &mut Dice) -> Vec<String> {
        let (node, running) = self.open().await.expect("a node that opens");
        let missing = self.look(&node).await;
        let people = self.people(&node);
        let made = people.make(channel.into()).await;
        made.expect("the power is on");
        let posted = people.post("anna", channel.into(), dice).await;
        posted.expect("the power is on");
        stop(node, running).await.expect("a node that ends");
        missing
    }

    /// Those who write on it.
    pub fn people<'a>(&'a self, node: &'a Node) -> People<'a> {
        People {
            node,
            supply: &self.supply,
            told: &self.told,
        }
    }

    /// Opens the store, and the node over it.
    pub async fn open(&self) -> Result<(Arc<Node>, Running), ApiError> {
        let options = StoreOptions {
            synced: self.syncing == Syncing::Synced,
            write_buffer_bytes: WRITE_BUFFER_BYTES,
            env: Some(self.supply.env()),
            compressed: true,
        };
        let key = KeyPlace::of(&self.dir, &self.config.storage).and_then(|place| place.read());
        let key = key.expect("a storage key");
        let store = Store::open_with(&self.store(), key, options).map_err(failure::store)?;
        Node::over(store, &self.dir, self.config.clone(), self.mode).await
    }

    /// What the node has told and does not show; requires what must hold besides.
    pub async fn look(&mut self, node: &Node) -> Vec<String> {
        epochs_are_whole(&node.store);
        self.positions.absorb_open(&node.store, "after a power cut");
        let (channels, posts) = self.people(node).look().await;
        channels_are_on_record(&node.store, &channels);
        self.told.borrow_mut().compare(&channels, posts)
    }
}

/// Stops a node as it should be stopped.
pub async fn stop(node: Arc<Node>, running: Running) -> Result<(), ApiError> {
    node.stop().await;
    service::end(node, running).await
}

/// Requires that every key event lies there with its secret, and every secret with its key event:
/// they are written together.
fn epochs_are_whole(store: &Store) {
    let mut opened = BTreeSet::new();
    each(store, Table::Events, |_, value| {
        let stored = rows::read_event(value).expect("an event that reads back");
        if stored.event.header.kind() == Kind::Key {
            opened.insert(stored.event.id.0.to_vec());
        }
    });
    let mut secrets = BTreeSet::new();
    each(store, Table::Secrets, |key, _| {
        secrets.insert(key.to_vec());
    });
    let alone: Vec<String> = opened
        .symmetric_difference(&secrets)
        .map(|id| hex(id))
        .collect();
    assert_eq!(alone, Vec::<String>::new(), "key events and secrets apart");
}

/// Requires a record of every channel that was made or accepted. (That no record is missing among
/// those that there are, the node has verified when it opened.)
fn channels_are_on_record(store: &Store, channels: &[ChannelInfo]) {
    let mut made = BTreeSet::new();
    each(store, Table::Audit, |_, value| {
        let record = Record::from_bytes(value).expect("a record that reads back");
        if ["channel_created", "channel_accepted"].contains(&record.action.as_str()) {
            made.insert(record.text);
        }
    });
    for name in channels.iter().map(|channel| &channel.name) {
        let named = made
            .iter()
            .any(|text: &String| text.contains(name.as_str()));
        assert!(named, "no record of {name}: {made:?}");
    }
}
