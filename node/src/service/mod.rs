//! What a node does for whoever administers it: setting up, serving, and answering requests.

pub(crate) mod answer;
pub(crate) mod audience;
pub(crate) mod channels;
mod check;
pub mod failure;
pub mod files;
mod import;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod names;
pub(crate) mod peering;
pub(crate) mod posts;
pub(crate) mod prospect;
mod socket;
pub(crate) mod status;
mod users;
pub mod writers;

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use comity_protocol::identity::Name;
use tokio::task::JoinHandle;

use crate::api::{ApiError, Item, Request};
use crate::config::{self, Config};
use crate::environment::Clock;
use crate::home::Home;
use crate::http;
use crate::keystore;
use crate::node::{Mode, Node, Running};
use crate::rotation::{self, Rotated};
use crate::storage_key::sync_directory_of;
use crate::store::Progress;

pub use check::{Finding, Severity, check};

/// What `comity init` is told.
#[derive(Debug, Clone)]
pub struct InitOptions {
    /// The partner's short name.
    pub partner: String,
    /// The UDP address to listen on, `host:port`.
    pub listen: String,
    /// The addresses that invitations name.
    pub addresses: Vec<String>,
    /// Where the node serves its own users; none where it serves nobody.
    pub http: Option<std::net::SocketAddr>,
}

/// What `comity init` made.
#[derive(Debug, Clone)]
pub struct InitReport {
    pub partner_id: String,
}

/// Makes the directory of a new partner's node. Refused where there is one.
pub fn init(dir: &Path, options: &InitOptions) -> Result<InitReport, ApiError> {
    let partner = Name::try_from(options.partner.clone()).map_err(|error| {
        failure::operator("bad_name", error, "choose another name for the partner")
    })?;
    let path = dir.join(config::FILE_NAME);
    if path.exists() || keystore::store_path(dir).exists() {
        return Err(failure::operator(
            "exists",
            format!("there is a node in {}", dir.display()),
            "choose another directory",
        ));
    }
    let text = Config::template(
        &options.partner,
        &options.listen,
        &options.addresses,
        options.http,
    );
    Config::parse(&text, &path)?;
    make_private(dir).map_err(|error| failure::directory(dir, &error))?;
    let identity =
        keystore::create(dir, partner, Clock::System.unix_ms()).map_err(failure::keys)?;
    write_config(&path, &text).map_err(|error| failure::directory(dir, &error))?;
    // The directory in which it lies may be one that is not ours to open.
    let _ = sync_directory_of(dir);
    Ok(InitReport {
        partner_id: identity.partner().to_hex(),
    })
}

/// Replaces the storage key of a node that does not run. For a key that systemd gives, `new_key`
/// is the file that holds the new one, or is made to.
pub fn rotate_storage_key(
    dir: &Path,
    new_key: Option<&Path>,
    progress: Progress<'_>,
) -> Result<Rotated, ApiError> {
    let config = Config::load(dir)?;
    let owner = std::fs::metadata(keystore::store_path(dir))
        .map_err(|error| failure::directory(dir, &error))?
        .uid();
    let user = rustix::process::geteuid().as_raw();
    if owner != user {
        return Err(failure::operator(
            "other_user",
            format!("the store belongs to user {owner}, and this is user {user}"),
            "run the command as the node's user, who has to read what it writes",
        ));
    }
    rotation::rotate(dir, &config.storage, new_key, progress).map_err(failure::rotation)
}

/// Makes a directory that only its owner may enter.
fn make_private(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700))
}

/// Writes the last file of a new node's directory. It is on disk when this returns, and so are the
/// names of all that the directory holds.
fn write_config(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    sync_directory_of(path)
}

/// Opens a directory whose node is not running and answers one request in this process.
pub async fn offline(
    dir: &Path,
    config: Config,
    request: Request,
    sink: &mut (dyn FnMut(Item) + Send),
) -> Result<(), ApiError> {
    let (node, running) = Node::open(dir, config, Mode::Offline).await?;
    let answered = answer(&node, request, sink).await;
    node.stop().await;
    end(node, running).await?;
    answered
}

/// Answers one request to a node that is open in this process.
pub async fn answer(
    node: &Node,
    request: Request,
    sink: &mut (dyn FnMut(Item) + Send),
) -> Result<(), ApiError> {
    answer::answer(node, request, &mut answer::Items::direct(sink)).await
}

/// Serves until SIGINT, SIGTERM or a stop request. `restored` says that the directory was put back
/// from a backup, and how often it was from that one.
pub async fn serve(dir: &Path, config: Config, restored: Option<u8>) -> anyhow::Result<()> {
    let (node, mut running) = match restored {
        Some(times) => Node::open_restored(dir, config, times).await?,
        None => Node::open(dir, config, Mode::Serving).await?,
    };
    let socket = socket::AdminSocket::bind(dir)?;
    let (stop, mut stopping) = tokio::sync::mpsc::channel(1);
    // Before any command is answered: one that changed an account before the people are held in
    // memory would change what is stored, and not what is served.
    let people = match node.config.http.listen {
        Some(address) => serve_people(&node, address).await?,
        None => Vec::new(),
    };
    let serving = tokio::spawn(socket::serve(socket, node.clone(), stop));
    if let Some(transport) = &node.transport {
        tracing::info!(
            partner = node.identity.name.as_str(), id = %node.partner, listen = %transport.local_addr(), "serving"
        );
    }
    // Without a service manager there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let failed = tokio::select! {
        _ = tokio::signal::ctrl_c() => None,
        _ = terminate.recv() => None,
        _ = stopping.recv() => None,
        ended = &mut running.driver => Some(ended),
    };
    if let Some(ended) = failed {
        let why = ended.map_or_else(
            |error| error.to_string(),
            |ended| ended.err().unwrap_or_default(),
        );
        // What is not on disk was neither acknowledged nor sent: stop, rather than go on without.
        return Err(failure::node("store_failed", format!("the node stops: {why}")).into());
    }
    tracing::info!("stopping");
    if let Some(web) = node.web()
        && let Err(error) = web.home.people.write_marks()
    {
        tracing::warn!(%error, "what people have read is not written");
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    node.stop().await;
    for task in people.into_iter().chain([serving]) {
        task.abort();
        let _ = task.await;
    }
    tracing::info!("stopped");
    Ok(())
}

/// Serves the partner's own users over HTTP; gives the tasks that do.
async fn serve_people(
    node: &Arc<Node>,
    address: std::net::SocketAddr,
) -> Result<Vec<JoinHandle<()>>, ApiError> {
    // What is wrong with a certificate or a provider is told before anything is opened.
    let (certificates, keeping) = http::certificates(node)?;
    let config = &node.config;
    http::check(config)?;
    let url = config.http.url.as_deref();
    let saml = http::Saml::open(&config.login.saml, &node.dir, url).map_err(|error| {
        failure::operator(
            "login_saml",
            format!("users cannot log in by SAML: {error}"),
            "correct [http] url or [[login.saml]] in comity.toml; docs/operations.md has an example",
        )
    })?;
    let listener = http::listen(address).await.map_err(|error| {
        failure::operator(
            "http_listen",
            format!("the node cannot listen on {address} for its users: {error}"),
            "choose another address under [http] in comity.toml, or end what has it",
        )
    })?;
    let home = Home::open(node.clone()).await?;
    let over_tls = certificates.is_some();
    let web = http::Web::new(home, certificates, saml);
    node.set_web(&web);
    tracing::info!(%address, over_tls, "serving users");
    let serving = tokio::spawn(http::serve(listener, web));
    Ok(keeping.into_iter().chain([serving]).collect())
}

/// Waits until the store is closed, so that the next command can open it.
pub async fn end(node: Arc<Node>, running: Running) -> Result<(), ApiError> {
    let driver = running.driver.await;
    drop(node);
    let committed = running.committer.ended().await;
    match (driver, committed) {
        (Ok(Ok(())), true) => Ok(()),
        (Ok(Err(why)), _) => Err(failure::node("store_failed", why)),
        _ => Err(failure::node("internal", "a part of the node ended badly")),
    }
}
