//! `comity import`: posts what a Mattermost bulk export or a Slack export contains.
//!
//! The file is read twice. The [survey](survey()) of the first reading parses every line, so that a
//! malformed file is refused before anything is posted: a corrected file has another digest, and
//! would be imported from its beginning. The second reading [feeds](feed()) the posts to one
//! importer per home node, a batch at a time, in the order of the file.

mod feed;
mod line;
mod post;
mod selection;
mod slack;
mod source;
mod survey;

pub use feed::feed;
pub use post::{Imports, post};
pub use selection::{Rule, Selection};
pub use source::Source;
pub use survey::{Survey, survey};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tempfile::NamedTempFile;
use tokio::sync::mpsc;

use super::args::ImportArgs;
use super::client::Node;
use super::escape::escape;
use super::exit::Exit;
use super::failure;
use super::output::Output;
use super::table::{short, thousands};
use crate::api::{ApiError, ImportPost, NodeStatus, Request};

/// How often the progress bar moves.
const TICK: Duration = Duration::from_millis(100);

/// What an import came to.
#[derive(Debug, Serialize)]
struct Report {
    /// The digest of the file and of what selects its lines.
    import: String,
    partner: String,
    /// Posts of this partner's authors in the file.
    posts: u64,
    posted: u64,
    /// Posts that an earlier import had posted.
    skipped: u64,
    /// What the file contains that is not imported, by kind, with its count.
    not_imported: BTreeMap<String, u64>,
}

pub async fn run(dir: &Path, args: ImportArgs, output: &Output) -> Result<Exit, ApiError> {
    let mut node = Node::open(dir).await?;
    let partner = home(&mut node, args.partner).await?;
    // Kept until all of it is posted.
    let lines = match args.format.unwrap_or_else(|| Format::of(&args.file)) {
        Format::Slack => Some(slack_lines(args.file.clone(), partner.clone()).await?),
        Format::Mattermost => None,
    };
    let source = Source::File(match &lines {
        Some(lines) => lines.path().to_path_buf(),
        None => args.file,
    });
    let survey = survey_aside(source.clone()).await?;
    let selection = Selection {
        partner,
        rule: Rule::new(args.spread)?,
    };
    let imports = import(&mut node, source, &survey, &selection).await?;
    let report = Report {
        import: selection.import_id(&survey.digest),
        posts: survey.posts_of(&selection),
        partner: selection.partner,
        posted: imports.posted,
        skipped: imports.skipped,
        not_imported: survey.not_imported,
    };
    output.answer(&report, text)?;
    match report.not_imported.is_empty() {
        true => Ok(Exit::Ok),
        false => Ok(Exit::Warning),
    }
}

/// Where an export comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A file of lines
    Mattermost,
    /// A directory: an unpacked export
    Slack,
}

impl Format {
    /// What stands at a path: Slack's exports are directories when they are unpacked.
    fn of(path: &Path) -> Format {
        match path.is_dir() {
            true => Format::Slack,
            false => Format::Mattermost,
        }
    }
}

/// The lines of a Slack export, in a file that goes away with what is returned. Its authors are all of
/// one partner, as the export names no others.
async fn slack_lines(export: PathBuf, partner: String) -> Result<NamedTempFile, ApiError> {
    let converted = tokio::task::spawn_blocking(move || {
        let mut lines = NamedTempFile::new().map_err(|error| failure::node("spool", error))?;
        slack::convert(&export, lines.as_file_mut(), &partner)?;
        Ok(lines)
    });
    converted
        .await
        .map_err(|error| failure::node("import", error))?
}

/// Surveys on a thread of its own: it is all computing and reading.
pub async fn survey_aside(source: Source) -> Result<Survey, ApiError> {
    tokio::task::spawn_blocking(move || survey(&source))
        .await
        .map_err(|error| failure::node("survey", error))?
}

/// The partner whose authors' lines are imported.
async fn home(node: &mut Node, named: Option<String>) -> Result<String, ApiError> {
    match named {
        Some(partner) => Ok(partner),
        None => {
            let status: NodeStatus = node.ask_one(Request::Status).await?;
            Ok(status.partner)
        }
    }
}

async fn import(
    node: &mut Node,
    source: Source,
    survey: &Survey,
    selection: &Selection,
) -> Result<Imports, ApiError> {
    let written = AtomicU64::new(0);
    let bar = bar(survey.posts_of(selection));
    let (batches, mut feeding) = feed(
        source,
        selection.rule.clone(),
        survey.organisations.clone(),
        vec![selection.partner.clone()],
    );
    let id = selection.import_id(&survey.digest);
    let posting = post_all(node, &id, batches, &written);
    let imports = while_ticking(posting, || {
        bar.set_position(written.load(Ordering::Relaxed))
    })
    .await;
    bar.finish_and_clear();
    let imports = imports?;
    feeding.finished().await?;
    Ok(imports)
}

/// Posts for each home that was asked for, which is one.
async fn post_all(
    node: &mut Node,
    id: &str,
    homes: Vec<mpsc::Receiver<Vec<ImportPost>>>,
    written: &AtomicU64,
) -> Result<Imports, ApiError> {
    let mut total = Imports::default();
    for batches in homes {
        total += post(node, id, batches, written).await?;
    }
    Ok(total)
}

/// Awaits a future, calling `tick` now and then meanwhile and once at the end.
async fn while_ticking<T>(future: impl Future<Output = T>, tick: impl Fn()) -> T {
    tokio::pin!(future);
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            done = &mut future => {
                tick();
                return done;
            }
            _ = ticks.tick() => tick(),
        }
    }
}

/// Shown on a terminal's standard error only.
fn bar(posts: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} posts {eta}");
    let bar = ProgressBar::new(posts);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn text(report: &Report) -> String {
    let posts = format!(
        "{} posts of {}'s authors",
        thousands(report.posts),
        escape(&report.partner)
    );
    let mut lines = vec![match (report.posted, report.skipped) {
        (0, 0) => format!("nothing to import: {posts} in the file"),
        (0, _) => format!("nothing to do: {posts}, all imported before"),
        (posted, 0) => format!("posted {} of {posts}", thousands(posted)),
        (posted, skipped) => format!(
            "posted {} of {posts}; {} were imported before",
            thousands(posted),
            thousands(skipped)
        ),
    }];
    for (kind, count) in &report.not_imported {
        lines.push(format!(
            "warning: not imported: {} × {}",
            thousands(*count),
            escape(kind)
        ));
    }
    lines.push(format!("import    {}", short(&report.import)));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_says_that_there_was_nothing_to_do() {
        let mut report = Report {
            import: "ab".into(),
            partner: "alpha".into(),
            posts: 3,
            posted: 0,
            skipped: 3,
            not_imported: BTreeMap::new(),
        };
        assert!(text(&report).starts_with("nothing to do: 3 posts of alpha's authors"));
        report.posted = 1;
        report.skipped = 2;
        report.not_imported.insert("emoji".into(), 4);
        let text = text(&report);
        assert!(text.starts_with("posted 1 of 3 posts"), "{text}");
        assert!(text.contains("not imported: 4 × emoji"), "{text}");
    }
}
