//! The first accounts of a node that has none: made by whoever can read a file in its directory.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json as Answered, Router};
use comity_protocol::id::hex;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::super::auth;
use super::super::extract::Json;
use super::super::failure::{Answer, Failure};
use super::super::{App, Web};
use crate::home::people::{AccountRole, NewAccount};

/// The file in the node's directory that bears the token.
pub const FILE: &str = "setup.token";
/// How long a token is good: whoever starts the node sets it up. A later start makes another.
const LASTS: Duration = Duration::from_secs(3600);
/// Bytes of a token: nobody guesses them, so guesses need not be slowed down.
const TOKEN_BYTES: usize = 32;
/// Wrong tokens that go on record one by one: nobody fills the disk with them.
const REFUSALS_RECORDED: u32 = 10;

pub fn routes() -> Router<Arc<Web>> {
    Router::new().route("/console/setup", get(is_open).post(set_up))
}

/// Whether the first accounts can be made, and by what. One at a time makes them.
#[derive(Default)]
pub struct Setup {
    open: Mutex<Option<Open>>,
}

struct Open {
    token: String,
    until: Instant,
    until_ms: u64,
    file: PathBuf,
    refused: u32,
}

impl Open {
    fn is_right(&self, given: &str) -> bool {
        let (given, own) = (given.as_bytes(), self.token.as_bytes());
        aws_lc_rs::constant_time::verify_slices_are_equal(given, own).is_ok()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        remove(&self.file);
    }
}

/// Makes a token if the node has no account, and ends it in time.
pub async fn begin(web: Weak<Web>) {
    let Some(serving) = web.upgrade() else { return };
    let file = serving.home.node.dir.join(FILE);
    // One of an earlier start, which ended with it.
    remove(&file);
    if !serving.home.people.accounts().is_empty() {
        return;
    }
    let until = match open(&serving, file).await {
        Ok(until) => until,
        Err(error) => {
            tracing::warn!(%error, "the first accounts cannot be made in a browser: 'comity user add' makes them");
            return;
        }
    };
    drop(serving);
    tokio::time::sleep_until(until).await;
    if let Some(web) = web.upgrade() {
        web.setup.open.lock().await.take();
    }
}

async fn open(web: &Web, file: PathBuf) -> anyhow::Result<Instant> {
    let node = &web.home.node;
    let token = hex(&node.environment.randomness.bytes::<TOKEN_BYTES>());
    let address = address(web);
    node.audit.record("setup_opened", "a token was made")?;
    write(&file, &format!("{address}#token={token}\n"))?;
    tracing::info!(
        address,
        file = %file.display(),
        "this node has no account yet: open the link that the file holds, within an hour"
    );
    let until = Instant::now() + LASTS;
    *web.setup.open.lock().await = Some(Open {
        token,
        until,
        until_ms: node.now_ms() + LASTS.as_millis() as u64,
        file,
        refused: 0,
    });
    Ok(until)
}

/// Where a browser finds the page.
fn address(web: &Web) -> String {
    let config = &web.home.node.config.http;
    let own = || {
        let scheme = match config.tls {
            Some(_) => "https",
            None => "http",
        };
        let listen = config.listen.map_or_else(String::new, |it| it.to_string());
        format!("{scheme}://{listen}")
    };
    let base = config.url.clone().unwrap_or_else(own);
    format!("{}/setup", base.trim_end_matches('/'))
}

/// Writes a file that only the node's user may read.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "a used token's file stays");
        }
        _ => {}
    }
}

/// Whether the node waits for its first accounts.
async fn is_open(State(web): App) -> Answered<Value> {
    let mut open = web.setup.open.lock().await;
    close_if_over(&web, &mut open);
    Answered(json!({
        "open": open.is_some(),
        "until_ms": open.as_ref().map(|it| it.until_ms),
        "partner": web.home.node.identity.name.as_str(),
    }))
}

/// Accounts that were made meanwhile, by a command or a provider, end it.
fn close_if_over(web: &Web, open: &mut Option<Open>) {
    let is_late = open.as_ref().is_some_and(|it| Instant::now() >= it.until);
    if is_late || !web.home.people.accounts().is_empty() {
        open.take();
    }
}

/// A person who is to have an account.
#[derive(Deserialize)]
struct First {
    username: String,
    password: String,
    #[serde(default)]
    email: String,
}

impl First {
    fn account(self, role: AccountRole) -> NewAccount {
        NewAccount {
            username: self.username,
            email: self.email,
            password: Some(self.password),
            roles: Some([role].into()),
            ..NewAccount::default()
        }
    }
}

#[derive(Deserialize)]
struct Wanted {
    token: String,
    /// Who says who has which role.
    officer: First,
    /// Who sees to the node; another than the officer.
    admin: Option<First>,
}

/// Makes the first accounts, and ends the token.
async fn set_up(
    State(web): App,
    ConnectInfo(address): ConnectInfo<std::net::SocketAddr>,
    Json(wanted): Json<Wanted>,
) -> Answer<(StatusCode, Answered<Value>)> {
    let mut open = web.setup.open.lock().await;
    close_if_over(&web, &mut open);
    let Some(held) = open.as_mut() else {
        return Err(closed());
    };
    if !held.is_right(wanted.token.trim()) {
        held.refused = held.refused.saturating_add(1);
        if held.refused <= REFUSALS_RECORDED {
            auth::record(&web, "setup_refused", &format!("from {}", address.ip()));
        }
        return Err(wrong());
    }
    let people = &web.home.people;
    let officer = wanted.officer.account(AccountRole::SecurityOfficer);
    let admin = wanted.admin.map(|it| it.account(AccountRole::NodeAdmin));
    // All is looked at before anything is made: the token is good once.
    people.demand_possible(&officer)?;
    if let Some(admin) = &admin {
        people.demand_possible(admin)?;
        if admin.username == officer.username {
            return Err(Failure::bad(
                "The node admin is another account than the security officer: choose another name.",
            ));
        }
    }
    let names: Vec<&str> = [Some(&officer), admin.as_ref()]
        .into_iter()
        .flatten()
        .map(|it| it.username.as_str())
        .collect();
    let text = format!("{} from {}", names.join(", "), address.ip());
    auth::must_record(&web, "setup_done", &text)?;
    let names: Vec<String> = names.into_iter().map(String::from).collect();
    people.add(officer).await?;
    open.take();
    if let Some(admin) = admin {
        people.add(admin).await?;
    }
    Ok((StatusCode::CREATED, Answered(json!({"accounts": names}))))
}

fn closed() -> Failure {
    Failure::new(
        StatusCode::CONFLICT,
        "comity.setup_closed.app_error",
        "This node has its first accounts, or the token has ended: log in, or start the node again for another token.",
    )
}

fn wrong() -> Failure {
    Failure::new(
        StatusCode::FORBIDDEN,
        "comity.setup_refused.app_error",
        format!("That is not the token: open the link in the file {FILE} of the node's directory."),
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_tokens_file_is_its_owners_and_goes_with_the_token() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        write(&file, "secret").unwrap();
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(write(&file, "another").is_err(), "nothing is written over");
        let open = Open {
            token: "ab".into(),
            until: Instant::now(),
            until_ms: 0,
            file: file.clone(),
            refused: 0,
        };
        assert!(open.is_right("ab"));
        assert!(!open.is_right("abc") && !open.is_right("aa") && !open.is_right(""));
        drop(open);
        assert!(!file.exists());
    }
}
