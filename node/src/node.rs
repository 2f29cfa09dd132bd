//! A node put together: its store, its machine, its links and its pacts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use comity_protocol::id::{PartnerId, WriterId};
use comity_protocol::identity::Identity;
use comity_protocol::keys::Entropy;
use comity_protocol::replica::{Own, Replica, Restore};
use comity_protocol::rows::Table;
use tokio::sync::{Mutex, mpsc};
use tokio::time::Instant;

use crate::api::ApiError;
use crate::audit::Audit;
use crate::committer::{self, Committed, Committing, Listener};
use crate::config::{self, Config};
use crate::driver::{self, Handle, Incident, Overheard, Passing, Surroundings};
use crate::environment::{Environment, Work};
use crate::http::Web;
use crate::keystore::{self, KeyFileError, Keys};
use crate::pacts::Pacts;
use crate::pieces::Pieces;
use crate::ranges::Ranges;
use crate::received::Received;
use crate::restored;
use crate::service::failure;
use crate::service::files::{self, Files};
use crate::store::{Store, StoreError, StoreOptions};
use crate::transport::{Congestion, GroupProfile, Transport, TransportConfig, inbox};

/// How long a store that another process has open is waited for, and how often it is tried:
/// commands on a stopped node are short.
const IN_USE_PATIENCE: Duration = Duration::from_secs(3);
const IN_USE_PAUSE: Duration = Duration::from_millis(50);
/// Incidents that may wait for the audit record.
const INCIDENTS: usize = 64;

/// A node that is open, serving or for one command.
pub struct Node {
    pub dir: PathBuf,
    pub config: Config,
    pub partner: PartnerId,
    pub identity: Identity,
    /// The node's writers, in the order in which they come into use.
    pub writers: Vec<WriterId>,
    pub store: Store,
    pub handle: Handle,
    pub transport: Option<Arc<Transport>>,
    pub pacts: Mutex<Pacts>,
    pub audit: Arc<Audit>,
    /// One import at a time: marks move in order.
    pub importing: Mutex<()>,
    /// Files that are being handed over or fetched.
    pub files: Files,
    listener: Listener,
    overheard: Overheard,
    /// The users' side, where this node serves any.
    web: OnceLock<Weak<Web>>,
    pub started: Instant,
    pub environment: Environment,
}

/// What ends when the node does.
pub struct Running {
    pub driver: tokio::task::JoinHandle<Result<(), String>>,
    pub committer: Committing,
}

/// Whether a node links with its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Serving,
    /// Opened by a command for one request.
    Offline,
}

impl Node {
    /// Opens a node's directory.
    pub async fn open(
        dir: &Path,
        config: Config,
        mode: Mode,
    ) -> Result<(Arc<Node>, Running), ApiError> {
        let store = open_patiently(dir, &config).await.map_err(failure::keys)?;
        Node::over(store, dir, config, mode).await
    }

    /// Opens a node's directory to serve, of which the operator says that it was put back from a
    /// backup, and how often that was done with one backup.
    pub async fn open_restored(
        dir: &Path,
        config: Config,
        times: u8,
    ) -> Result<(Arc<Node>, Running), ApiError> {
        let store = open_patiently(dir, &config).await.map_err(failure::keys)?;
        restored::spend(&store, times)?;
        Node::over(store, dir, config, Mode::Serving).await
    }

    /// Opens a node's directory, whose store is open already.
    pub async fn over(
        store: Store,
        dir: &Path,
        config: Config,
        mode: Mode,
    ) -> Result<(Arc<Node>, Running), ApiError> {
        Node::over_in(store, dir, config, mode, Environment::default()).await
    }

    /// As [`Node::over`], in another environment than the machine's.
    pub async fn over_in(
        store: Store,
        dir: &Path,
        config: Config,
        mode: Mode,
        environment: Environment,
    ) -> Result<(Arc<Node>, Running), ApiError> {
        let Keys { mut own, tls } = keystore::load(&store).map_err(failure::keys)?;
        own.seed = Entropy::new(environment.randomness.bytes());
        let partner = own.identity.partner();
        let identity = own.identity.clone();
        let writers = keystore::writers(&own);
        files::discard_orphans(&store).map_err(failure::store)?;
        let replica = restore(own, &store)?;
        let pacts = Pacts::load(store.clone(), partner).map_err(failure::peering)?;
        let audit =
            Audit::open(store.clone()).map_err(|error| failure::node("audit_broken", error))?;
        let audit = Arc::new(audit.dated_by(environment.clock));

        let (events, links) = inbox::channel();
        let transport = match mode {
            Mode::Offline => None,
            Mode::Serving => {
                let (underlay, links) = (environment.underlay.clone(), transport_config(&config));
                let started = Transport::start_on(underlay, links, tls, partner.0, events).await;
                Some(Arc::new(started.map_err(failure::transport)?))
            }
        };
        let received = match &config.links.keep_received {
            Some(path) if mode == Mode::Serving => {
                let path = dir.join(path);
                let file = Received::open(&path);
                Some(file.map_err(|error| failure::directory(&path, &error))?)
            }
            _ => None,
        };
        let runtime = tokio::runtime::Handle::current();
        let ranges = Ranges::new(store.clone(), transport.clone(), runtime.clone());
        let pieces = Pieces::new(store.clone(), transport.clone(), runtime, environment.work);
        let (feedback_in, feedback) = mpsc::unbounded_channel();
        let listener = Listener::default();
        let overheard = Overheard::default();
        let (effects, committer) = committer::start(
            store.clone(),
            transport.clone(),
            ranges,
            pieces,
            feedback_in,
            listener.clone(),
            environment.work,
        );
        let surroundings = Surroundings {
            effects,
            feedback,
            links,
            received,
            transport: transport.clone(),
            incidents: record_incidents(audit.clone(), environment.work),
            overheard: overheard.clone(),
        };
        let (handle, driver) = driver::start(replica, surroundings, &environment);
        if let Some(transport) = &transport {
            transport.set_peers(pacts.peers());
        }
        let node = Node {
            dir: dir.into(),
            config,
            partner,
            identity,
            writers,
            store,
            handle,
            transport,
            pacts: Mutex::new(pacts),
            audit,
            importing: Mutex::new(()),
            files: Files::default(),
            listener,
            overheard,
            web: OnceLock::new(),
            started: Instant::now(),
            environment,
        };
        Ok((Arc::new(node), Running { driver, committer }))
    }

    /// Stops gracefully: what was accepted is on disk, what was queued is sent if the peers take
    /// it soon.
    pub async fn stop(&self) {
        self.handle.stop().await;
        if let Some(transport) = &self.transport {
            transport.shutdown().await;
        }
    }

    /// The users' side of a node that serves any.
    pub fn web(&self) -> Option<Arc<Web>> {
        self.web.get().and_then(Weak::upgrade)
    }

    pub fn set_web(&self, web: &Arc<Web>) {
        // It is set once, when the node begins to serve.
        let _ = self.web.set(Arc::downgrade(web));
    }

    /// What is written from now on, once it is on disk. For one listener.
    pub fn committed(&self) -> mpsc::UnboundedReceiver<Committed> {
        let (sender, committed) = mpsc::unbounded_channel();
        // A second listener would hear nothing.
        let _ = self.listener.set(sender);
        committed
    }

    /// What happens with peers from now on and is stored by nobody. For one listener.
    pub fn passing(&self) -> mpsc::UnboundedReceiver<Passing> {
        let (sender, passing) = mpsc::unbounded_channel();
        // A second listener would hear nothing.
        let _ = self.overheard.set(sender);
        passing
    }

    /// The node's clock, Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.environment.clock.unix_ms()
    }

    /// The name of a partner: as peered, as the channel introduced it, or its id's start.
    pub async fn partner_name(&self, partner: &PartnerId) -> String {
        if *partner == self.partner {
            return self.identity.name.as_str().into();
        }
        if let Some(name) = self.pacts.lock().await.name_of(partner) {
            return name.into();
        }
        let wanted = *partner;
        let introduced = self
            .handle
            .look(move |replica| {
                let mut channels = replica.channels().values();
                let identity = channels.find_map(|channel| channel.identity(&wanted));
                identity.map(|identity| identity.name.as_str().to_string())
            })
            .await;
        let short = &partner.to_hex()[..12];
        match introduced.ok().flatten() {
            // Whoever introduces a partner chooses its name: it must not pass for one known here.
            Some(name) if self.is_known_name(&name).await => format!("{name}-{short}"),
            Some(name) => name,
            None => short.to_string(),
        }
    }

    async fn is_known_name(&self, name: &str) -> bool {
        self.identity.name.as_str() == name || self.pacts.lock().await.by_name(name).is_ok()
    }
}

/// Opens the store, waiting a little for a command that has the directory open just now.
async fn open_patiently(dir: &Path, config: &Config) -> Result<Store, KeyFileError> {
    let options = StoreOptions {
        compressed: config.store.compressed,
        ..StoreOptions::default()
    };
    let deadline = Instant::now() + IN_USE_PATIENCE;
    loop {
        match keystore::open_store_with(dir, &config.storage, &options) {
            Err(KeyFileError::Store(StoreError::InUse { .. })) if Instant::now() < deadline => {
                tokio::time::sleep(IN_USE_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// Puts incidents on record, off the driver's task.
fn record_incidents(audit: Arc<Audit>, work: Work) -> mpsc::Sender<Incident> {
    let (incidents, mut received) = mpsc::channel::<Incident>(INCIDENTS);
    work.keep(async move {
        let mut waiting = Vec::new();
        while received.recv_many(&mut waiting, INCIDENTS).await > 0 {
            let records = waiting.iter().map(|one| (one.action, one.text.as_str()));
            if let Err(error) = audit.record_all(records) {
                tracing::error!(%error, "incidents could not be recorded");
            }
            waiting.clear();
        }
    });
    incidents
}

/// Puts the machine together from what is stored.
pub fn restore(own: Own, store: &Store) -> Result<Replica, ApiError> {
    restore_rows(Restore::new(own), store)
}

/// Puts the machine together from the rows of a store, by what was said of them beforehand.
pub fn restore_rows(mut restore: Restore, store: &Store) -> Result<Replica, ApiError> {
    for table in Table::OF_THE_MACHINE {
        store
            .scan::<RestoreError>(table, &[], &[], |key, value| {
                restore.row(table, key, value)?;
                Ok(true)
            })
            .map_err(|error| failure::node("store_damaged", error))?;
    }
    restore
        .finish()
        .map_err(|error| failure::node("store_damaged", error))
}

#[derive(Debug, thiserror::Error)]
enum RestoreError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a stored row does not read back: {0}")]
    Row(#[from] comity_protocol::codec::Malformed),
}

fn transport_config(config: &Config) -> TransportConfig {
    let mut transport = TransportConfig::new(config.listen);
    transport.group_profile = match config.groups.profile {
        config::GroupProfile::Default => GroupProfile::Default,
        config::GroupProfile::Cnsa => GroupProfile::Cnsa,
    };
    transport.congestion = match config.links.congestion {
        config::Congestion::Cubic => Congestion::Cubic,
        config::Congestion::Bbr => Congestion::Bbr,
    };
    transport
}

#[cfg(test)]
mod tests {
    use comity_protocol::identity::Name;
    use comity_protocol::rows::spent_row;

    use super::*;
    use crate::config::KeySource;

    #[test]
    fn a_node_remembers_which_of_its_writers_it_never_uses_again() {
        let dir = tempfile::tempdir().unwrap();
        let name = Name::try_from("alpha".to_string()).unwrap();
        let storage = KeySource::default();
        keystore::create(dir.path(), name, 0).unwrap();
        let store = keystore::open_store(dir.path(), &storage).unwrap();
        let own = keystore::load(&store).unwrap().own;
        let writer = restore(own, &store).unwrap().writer();
        store.write(&[spent_row(&writer)]).unwrap();

        let own = keystore::load(&store).unwrap().own;
        let replica = restore(own, &store).unwrap();

        assert_eq!(replica.spent_writers().collect::<Vec<_>>(), [&writer]);
    }
}
