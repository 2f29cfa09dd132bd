//! All nodes of a demonstration: made, started, watched and stopped together.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::super::client::Connection;
use super::super::{failure, stop};
use super::child::Child;
use super::command::comity;
use super::site::Site;
use crate::api::{ApiError, ChannelInfo, Digests, NodeStatus, Request};

/// How long a node may take to open its socket.
const START: Duration = Duration::from_secs(60);
/// How long a node may take to stop before it is killed.
const STOP: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);
/// How long a connection's failure waits for the news that its node died.
const DEATH_NEWS: Duration = Duration::from_millis(300);

/// A partner with its node.
pub struct Member {
    pub name: String,
    pub dir: PathBuf,
    child: Child,
    /// For what is asked of the node one thing after the other.
    pub admin: Connection,
}

impl Member {
    /// How the node is doing.
    pub async fn status(&mut self) -> Result<NodeStatus, ApiError> {
        self.admin.ask_one(&Request::Status).await
    }

    /// What the node holds.
    pub async fn digests(&mut self) -> Result<Digests, ApiError> {
        self.admin.ask_one(&Request::Digests).await
    }

    /// The id of the node's process, as long as it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Whether the node's process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.ended().is_some()
    }
}

/// The nodes that run.
#[derive(Default)]
pub struct Fleet {
    pub members: Vec<Member>,
}

impl Fleet {
    /// Makes the nodes that are not there yet, and starts all.
    pub async fn start(&mut self, site: &Site, partners: &[String]) -> Result<(), ApiError> {
        make_all(site, partners).await?;
        let mut children = Vec::new();
        for partner in partners {
            children.push(Child::start(partner, &site.dir(partner))?);
        }
        for (name, mut child) in partners.iter().zip(children) {
            let dir = site.dir(name);
            let admin = connect(&dir, &mut child).await?;
            self.members.push(Member {
                name: name.clone(),
                dir,
                child,
                admin,
            });
        }
        Ok(())
    }

    /// The status of every node.
    pub async fn statuses(&mut self) -> Result<Vec<NodeStatus>, ApiError> {
        let mut statuses = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            statuses.push(member.status().await?);
        }
        Ok(statuses)
    }

    /// The digests of every node.
    pub async fn digests(&mut self) -> Result<Vec<Digests>, ApiError> {
        let mut digests = Vec::with_capacity(self.members.len());
        for member in &mut self.members {
            digests.push(member.digests().await?);
        }
        Ok(digests)
    }

    /// Events of these rooms that are not final, summed over the nodes.
    pub async fn not_final(&mut self, rooms: &[String]) -> Result<u64, ApiError> {
        let mut sum = 0;
        for member in &mut self.members {
            for room in rooms {
                let show = Request::ChannelShow {
                    channel: room.clone(),
                };
                let shown: ChannelInfo = member.admin.ask_one(&show).await?;
                sum += shown.lanes.iter().map(|lane| lane.not_final).sum::<u64>();
            }
        }
        Ok(sum)
    }

    /// Fails if any node has died.
    pub fn check(&mut self) -> Result<(), ApiError> {
        match self
            .members
            .iter_mut()
            .find_map(|member| member.child.death())
        {
            Some(death) => Err(death),
            None => Ok(()),
        }
    }

    /// The death of a node, if that is what is behind a failure, or else the failure.
    pub async fn explain(&mut self, failure: ApiError) -> ApiError {
        tokio::time::sleep(DEATH_NEWS).await;
        self.check().err().unwrap_or(failure)
    }

    /// Stops every node gracefully, one that was restarted by hand too; kills what does not stop.
    pub async fn stop(&mut self) {
        let stops: Vec<_> = self
            .members
            .iter()
            .map(|member| member.dir.clone())
            .map(|dir| tokio::spawn(async move { stop::stop(&dir).await }))
            .collect();
        for (member, stop) in self.members.iter_mut().zip(stops) {
            // Whatever became of the order: a process that does not end is killed.
            let _ = tokio::time::timeout(STOP, stop).await;
            member.child.finish(STOP).await;
        }
    }
}

/// Makes the nodes that do not exist, on free loopback ports.
async fn make_all(site: &Site, partners: &[String]) -> Result<(), ApiError> {
    #[derive(Deserialize)]
    struct Made {}

    // All ports are held until all are known, so that none is given twice.
    let (mut held, mut held_for_users) = (Vec::new(), Vec::new());
    for partner in partners.iter().filter(|name| !site.is_made(name)) {
        let socket = UdpSocket::bind("127.0.0.1:0").map_err(|e| failure::node("no_port", e))?;
        let address = socket
            .local_addr()
            .map_err(|e| failure::node("no_port", e))?;
        held.push(socket);
        let address = address.to_string();
        let (http, users) = free_port()?;
        held_for_users.push(http);
        let arguments = [
            "init",
            partner,
            "--listen",
            &address,
            "--address",
            &address,
            "--http",
            &users,
        ];
        let Made {} = comity(&site.dir(partner), &arguments).await?;
    }
    Ok(())
}

/// A port of this machine that is free, as long as the listener lives.
fn free_port() -> Result<(TcpListener, String), ApiError> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|it| Ok((it.local_addr()?, it)));
    let (address, listener) = bound.map_err(|e| failure::node("no_port", e))?;
    Ok((listener, address.to_string()))
}

/// Waits until the node answers.
async fn connect(dir: &Path, child: &mut Child) -> Result<Connection, ApiError> {
    let begun = Instant::now();
    loop {
        if let Some(death) = child.death() {
            return Err(death);
        }
        if let Some(mut connection) = Connection::open(dir).await? {
            let _: NodeStatus = connection.ask_one(&Request::Status).await?;
            return Ok(connection);
        }
        if begun.elapsed() > START {
            let what = format!(
                "{}: no answer {} s after its start",
                dir.display(),
                START.as_secs()
            );
            return Err(failure::node("slow_start", what));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
