//! `comity demo`: partners on one machine, each with a real node, in shared channels.
//!
//! The demonstration [makes and starts](fleet) one `comity serve` per partner, [peers](peering)
//! every pair by the commands that sysadmins use, [shares](rooms) a channel per room of the file,
//! lets every author post at home in a [race] to equal digests, and [reports](report).

mod child;
mod command;
mod fleet;
mod hints;
pub mod names;
mod peering;
mod people;
mod progress;
mod race;
mod report;
mod rooms;
mod site;
mod stall;

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::args::DemoArgs;
use super::exit::Exit;
use super::failure;
use super::import::{Rule, Source, Survey, survey_aside};
use super::output::Output;
use super::table::thousands;
use crate::api::ApiError;
use crate::sample;
use fleet::Fleet;
use progress::step;
use race::Play;
use report::Report;
use site::Site;

/// The number of partners whose authors the file itself may assign.
const PARTNERS_OF_FILES: usize = 3;
/// How often the nodes are looked after while nothing happens.
const WATCH: Duration = Duration::from_millis(500);

pub async fn run(args: DemoArgs, output: &Output) -> Result<Exit, ApiError> {
    let partners = names::names(args.partners.into());
    let source = args.import.map_or_else(sample::source, Source::File);
    let survey = survey_aside(source.clone()).await?;
    let rule = rule(&survey, &partners);
    let play = Play {
        source,
        survey,
        rule,
    };
    let site = Site::open(args.keep, &partners)?;
    let mut interruption = Interruption::new()?;
    let mut fleet = Fleet::default();
    let outcome = tokio::select! {
        outcome = perform(&mut fleet, &site, &partners, &play, &args.ready, output) => outcome,
        () = interruption.wait() => Err(interrupted()),
    };
    if outcome.is_ok() && !args.once {
        output.text(&hints(&fleet, &play))?;
        output.flush()?;
        tokio::select! {
            () = watch(&mut fleet) => {}
            () = interruption.wait() => {}
        }
    }
    step("stopping the nodes");
    fleet.stop().await;
    outcome
}

/// All from the first node to the table.
async fn perform(
    fleet: &mut Fleet,
    site: &Site,
    partners: &[String],
    play: &Play,
    ready_file: &Option<PathBuf>,
    output: &Output,
) -> Result<Exit, ApiError> {
    let performed = play_through(fleet, site, partners, play).await;
    let report = match performed {
        Ok(report) => report,
        Err(error) => return Err(fleet.explain(error).await),
    };
    output.answer(&report, Report::text)?;
    let ready = people::admit(fleet).await?;
    if !output.is_json() {
        output.text(&people::text(&ready))?;
    }
    output.flush()?;
    if let Some(path) = ready_file {
        people::write(&ready, path)?;
    }
    match report.converged {
        true => Ok(Exit::Ok),
        false => Ok(Exit::Failed),
    }
}

async fn play_through(
    fleet: &mut Fleet,
    site: &Site,
    partners: &[String],
    play: &Play,
) -> Result<Report, ApiError> {
    step(&format!(
        "starting {} nodes in {}",
        partners.len(),
        site.root().display()
    ));
    fleet.start(site, partners).await?;
    step("peering every pair of partners");
    let pairs = peering::peer_all(fleet).await?;
    let rooms = &play.survey.rooms;
    step(&format!(
        "peered {pairs} pairs; sharing {} channels",
        rooms.len()
    ));
    rooms::share_all(fleet, rooms).await?;
    let total = play.survey.total();
    step(&format!(
        "posting {} messages, each at its author's home",
        thousands(total)
    ));
    let outcome = race::run(fleet, play).await?;
    Ok(Report::new(total, outcome))
}

/// Authors post for their own organisations when those are the partners, and otherwise where a
/// hash of their names puts them.
fn rule(survey: &Survey, partners: &[String]) -> Rule {
    if partners.len() == PARTNERS_OF_FILES && survey.is_covered(&Rule::Organisation, partners) {
        Rule::Organisation
    } else {
        Rule::Spread(partners.to_vec())
    }
}

fn hints(fleet: &Fleet, play: &Play) -> String {
    let room = play.survey.rooms.first().map_or("room", String::as_str);
    format!("\n{}", hints::text(fleet, room, "visitor"))
}

/// Says so when a node ends; goes on for ever.
async fn watch(fleet: &mut Fleet) {
    let mut ended = vec![false; fleet.members.len()];
    loop {
        for (member, was_ended) in fleet.members.iter_mut().zip(&mut ended) {
            if !*was_ended && member.has_ended() {
                *was_ended = true;
                step(&format!(
                    "the node of {} has ended; start it again with:\n  {}",
                    member.name,
                    hints::restart(&member.dir)
                ));
            }
        }
        tokio::time::sleep(WATCH).await;
    }
}

/// Ctrl-C and SIGTERM.
struct Interruption {
    ctrl_c: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interruption {
    fn new() -> Result<Self, ApiError> {
        let listen = |kind| signal(kind).map_err(|error| failure::node("signals", error));
        Ok(Self {
            ctrl_c: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.ctrl_c.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn interrupted() -> ApiError {
    failure::operator(
        "interrupted",
        "the demonstration was interrupted",
        "run it again; with --keep DIR it continues where it was",
    )
}
