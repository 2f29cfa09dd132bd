//! Peers every pair of partners, by the commands that two sysadmins use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::super::failure;
use super::command::comity;
use super::fleet::Fleet;
use super::site::temporary_directory;
use crate::api::{ApiError, PeerInfo, PeeringFile, Request};

/// Pairs that are peered at a time: more would only queue for the processors.
const PARALLEL: usize = 4;

/// The state of a pact that is in force.
const ACTIVE: &str = "active";

/// Two partners that have no pact yet.
struct Pair {
    inviting: Side,
    invited: Side,
}

#[derive(Clone)]
struct Side {
    name: String,
    dir: PathBuf,
}

/// Peers all pairs that are not yet; tells how many those were.
pub async fn peer_all(fleet: &mut Fleet) -> Result<usize, ApiError> {
    let pairs = pairs(fleet).await?;
    let count = pairs.len();
    let exchange = temporary_directory()?;
    let turns = Arc::new(Semaphore::new(PARALLEL));
    let mut tasks = JoinSet::new();
    for pair in pairs {
        let turns = turns.clone();
        let exchange = exchange.path().to_owned();
        tasks.spawn(async move {
            // The semaphore is never closed, so a turn always comes.
            let _turn = turns.acquire_owned().await;
            pair.peer(&exchange).await
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(|error| failure::node("peering", error))??;
    }
    Ok(count)
}

async fn pairs(fleet: &mut Fleet) -> Result<Vec<Pair>, ApiError> {
    let mut pairs = Vec::new();
    for at in 0..fleet.members.len() {
        let peers: Vec<PeerInfo> = fleet.members[at].admin.ask_all(&Request::PeerList).await?;
        let has_pact = |name: &str| peers.iter().any(|p| p.partner == name && p.state == ACTIVE);
        let inviting = side(fleet, at);
        for other in at + 1..fleet.members.len() {
            let invited = side(fleet, other);
            if !has_pact(&invited.name) {
                let inviting = inviting.clone();
                pairs.push(Pair { inviting, invited });
            }
        }
    }
    Ok(pairs)
}

fn side(fleet: &Fleet, at: usize) -> Side {
    let member = &fleet.members[at];
    Side {
        name: member.name.clone(),
        dir: member.dir.clone(),
    }
}

impl Pair {
    /// Invitation, reply and reply's acceptance; then each side approves what the other reads.
    async fn peer(&self, exchange: &Path) -> Result<(), ApiError> {
        let stem = format!("{}-{}", self.inviting.name, self.invited.name);
        let invitation = path_text(&exchange.join(format!("{stem}.invite")))?;
        let reply = path_text(&exchange.join(format!("{stem}.reply")))?;
        let invite = ["peer", "invite", "--out", &invitation];
        let _: PeeringFile = comity(&self.inviting.dir, &invite).await?;
        let accept = ["peer", "accept", &invitation, "--out", &reply];
        let at_invited: PeeringFile = comity(&self.invited.dir, &accept).await?;
        let accept = ["peer", "accept", &reply];
        let at_inviting: PeeringFile = comity(&self.inviting.dir, &accept).await?;
        self.inviting.approve(&self.invited, at_invited).await?;
        self.invited.approve(&self.inviting, at_inviting).await
    }
}

impl Side {
    async fn approve(&self, other: &Side, read_by_other: PeeringFile) -> Result<(), ApiError> {
        #[derive(Deserialize)]
        struct Approved {}

        let words = read_by_other.words.unwrap_or_default().join(" ");
        let approve = ["peer", "approve", &other.name, "--words", &words];
        let Approved {} = comity(&self.dir, &approve).await?;
        Ok(())
    }
}

fn path_text(path: &Path) -> Result<String, ApiError> {
    path.to_str().map(Into::into).ok_or_else(|| {
        failure::operator(
            "path",
            format!("{} is not UTF-8", path.display()),
            "set TMPDIR to a directory whose name is",
        )
    })
}
