//! Every author posts at home, and the nodes replicate until all hold the same.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::client::{Connection, Node};
use super::super::failure;
use super::super::import::{Imports, Rule, Selection, Source, Survey, feed, post};
use super::fleet::Fleet;
use super::progress::Bars;
use super::stall::Stall;
use crate::api::{ApiError, Digests, ImportPost, NodeStatus};

const PAUSE: Duration = Duration::from_millis(100);

/// What is played.
pub struct Play {
    pub source: Source,
    pub survey: Survey,
    pub rule: Rule,
}

/// How it ended.
pub struct Outcome {
    pub converged: bool,
    /// From the first post to equal digests everywhere, or to the end of patience.
    pub elapsed: Duration,
    /// From equal digests until everything was final everywhere; none when patience ended first.
    pub settled: Option<Duration>,
    pub imports: Imports,
    /// Processor time of all nodes meanwhile.
    pub cpu: Duration,
    pub digests: Vec<Digests>,
    pub statuses: Vec<NodeStatus>,
}

/// Posts everything and waits for convergence.
pub async fn run(fleet: &mut Fleet, play: &Play) -> Result<Outcome, ApiError> {
    let before = fleet.statuses().await?;
    let written = Arc::new(AtomicU64::new(0));
    let mut bars = Bars::new(play.survey.total());
    let begun = Instant::now();
    let mut importers = Importers::start(fleet, play, &written);
    let mut stall = Stall::begin("the nodes have not converged");
    let (converged, mut digests) = loop {
        fleet.check()?;
        importers.check().await?;
        let statuses = fleet.statuses().await?;
        let written = written.load(Ordering::Relaxed);
        bars.show(written, least(&statuses));
        let calm = importers.are_done() && is_equal(statuses.iter().map(|status| status.posts));
        let digests = if calm {
            fleet.digests().await?
        } else {
            Vec::new()
        };
        if calm && are_same(&digests) {
            break (true, digests);
        }
        let moved = written + statuses.iter().map(|status| status.events).sum::<u64>();
        if stall.observe(moved).is_err() {
            break (false, fleet.digests().await?);
        }
        tokio::time::sleep(PAUSE).await;
    };
    let elapsed = begun.elapsed();
    let statuses = fleet.statuses().await?;
    let cpu_ms = cpu_ms(&statuses).saturating_sub(cpu_ms(&before));
    let settled = match converged {
        true => settle(fleet, &play.survey.rooms).await?,
        false => None,
    };
    if settled.is_some() {
        digests = fleet.digests().await?;
    }
    Ok(Outcome {
        converged: converged && are_same(&digests),
        elapsed,
        settled,
        imports: importers.imports,
        cpu: Duration::from_millis(cpu_ms),
        digests,
        statuses,
    })
}

/// How long it took until every event was final at every node; none if it stopped short of that.
///
/// Until then each node orders the latest by what it has heard so far, so that two nodes stopped
/// at different moments may show them differently.
async fn settle(fleet: &mut Fleet, rooms: &[String]) -> Result<Option<Duration>, ApiError> {
    let begun = Instant::now();
    let mut stall = Stall::begin("not all of it is final");
    loop {
        fleet.check()?;
        let open = fleet.not_final(rooms).await?;
        if open == 0 {
            return Ok(Some(begun.elapsed()));
        }
        if stall.observe(open).is_err() {
            return Ok(None);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Posts that every node has.
fn least(statuses: &[NodeStatus]) -> u64 {
    statuses
        .iter()
        .map(|status| status.posts)
        .min()
        .unwrap_or(0)
}

fn cpu_ms(statuses: &[NodeStatus]) -> u64 {
    statuses.iter().map(|status| status.cpu_ms).sum()
}

fn is_equal<T: PartialEq>(mut values: impl Iterator<Item = T>) -> bool {
    match values.next() {
        Some(first) => values.all(|value| value == first),
        None => true,
    }
}

/// Whether all nodes hold the same channels.
pub fn are_same(digests: &[Digests]) -> bool {
    is_equal(digests.iter().map(|d| (&d.timeline, &d.state, d.posts)))
}

/// One importer per home node, all at the same time, fed by one reading of the file.
struct Importers {
    tasks: JoinSet<Result<Imports, ApiError>>,
    imports: Imports,
}

impl Importers {
    fn start(fleet: &Fleet, play: &Play, written: &Arc<AtomicU64>) -> Self {
        let homes: Vec<String> = fleet.members.iter().map(|m| m.name.clone()).collect();
        let organisations = play.survey.organisations.clone();
        let source = play.source.clone();
        let (batches, mut feeding) = feed(source, play.rule.clone(), organisations, homes);
        let mut tasks = JoinSet::new();
        for (member, batches) in fleet.members.iter().zip(batches) {
            let selection = Selection {
                partner: member.name.clone(),
                rule: play.rule.clone(),
            };
            let import = selection.import_id(&play.survey.digest);
            let (dir, written) = (member.dir.clone(), written.clone());
            tasks.spawn(async move { import_at(&dir, &import, batches, &written).await });
        }
        tasks.spawn(async move { feeding.finished().await.map(|()| Imports::default()) });
        Self {
            tasks,
            imports: Imports::default(),
        }
    }

    /// Takes note of the importers that have ended; fails if one has failed.
    async fn check(&mut self) -> Result<(), ApiError> {
        while let Some(ended) = self.tasks.try_join_next() {
            self.imports += ended.map_err(|error| failure::node("importing", error))??;
        }
        Ok(())
    }

    fn are_done(&self) -> bool {
        self.tasks.is_empty()
    }
}

async fn import_at(
    dir: &Path,
    import: &str,
    batches: mpsc::Receiver<Vec<ImportPost>>,
    written: &AtomicU64,
) -> Result<Imports, ApiError> {
    let connection = Connection::open(dir).await?;
    let connection =
        connection.ok_or_else(|| failure::node("node_died", "a node stopped listening"))?;
    post(&mut Node::Running(connection), import, batches, written).await
}
