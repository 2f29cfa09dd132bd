//! `comity simulate`: a channel on the links of a mission.

use comity_simulation::plan::{Progress, Report, Scenario, simulate};
use indicatif::{ProgressBar, ProgressStyle};

use super::args::SimulateArgs;
use super::escape::escape;
use super::exit::Exit;
use super::failure;
use super::output::Output;
use crate::api::ApiError;

/// Steps of the bar for each run.
const STEPS: u64 = 1_000;

pub fn run(args: SimulateArgs, output: &Output) -> Result<Exit, ApiError> {
    let scenario = Scenario::load(&args.scenario).map_err(|refusal| {
        let advice = "mend the scenario; docs/planning.md lists every field";
        failure::operator("scenario", refusal, advice)
    })?;
    let bar = bar(args.runs);
    let report = simulate(&scenario, args.seed, args.runs, &mut |run, progress| {
        bar.set_position(run * STEPS + part(progress));
    });
    bar.finish_and_clear();
    let written = args.report.as_ref().map(|dir| report.write(dir));
    let written = written
        .transpose()
        .map_err(|(path, error)| failure::file(&path, &error))?;
    output.answer(&report, text)?;
    match written {
        Some([page, figures]) => {
            let [page, figures] = [page, figures].map(|path| path.display().to_string());
            output.note(&format!(
                "report: {}\nfigures: {}",
                escape(&page),
                escape(&figures)
            ));
        }
        None => output
            .note("with --report DIR: DIR/report.html, a page with plots, and DIR/report.json"),
    }
    Ok(Exit::Ok)
}

/// The text's own line ends stay; everything else that a scenario may contain is escaped.
fn text(report: &Report) -> String {
    let text = report.text();
    let lines: Vec<String> = text.lines().map(|line| escape(line).into_owned()).collect();
    lines.join("\n")
}

fn part(progress: Progress) -> u64 {
    progress.at_ms * STEPS / progress.of_ms.max(1)
}

/// Shown at a terminal only.
fn bar(runs: u64) -> ProgressBar {
    let bar = ProgressBar::new(runs * STEPS).with_prefix("simulating");
    match ProgressStyle::with_template("{prefix} {wide_bar} {percent:>3} %  {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
