//! `comity prove-segregation`: shows that a node has nothing of what is not for its partner.

use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::args::SegregationArgs;
use super::client::Connection;
use super::escape::escape;
use super::exit::Exit;
use super::failure;
use super::output::Output;
use super::table::{Table, left, right, thousands};
use super::time;
use crate::api::ApiError;
use crate::segregation::own::LOOKED_FOR;
use crate::segregation::{self, At, Exported, Place, Report, Search, Verdict, Wish};

/// How often the progress bar is drawn at least.
const TICK: Duration = Duration::from_millis(100);
/// Findings and places that people are shown; `--json` has more.
const SHOWN: usize = 20;

pub async fn run(dir: &Path, args: SegregationArgs, output: &Output) -> Result<Exit, ApiError> {
    if Connection::open(dir).await?.is_some() {
        return Err(failure::operator(
            "running",
            "the node is running, and what it has can be looked at only while it is stopped",
            "'comity stop', this command again, and then start the node",
        ));
    }
    if let (Some(file), Some(excluding)) = (&args.export_needles, &args.excluding) {
        let wish = Wish {
            excluding: excluding.clone(),
            channel: args.channel.clone(),
            event: args.event.clone(),
        };
        let exported = segregation::export(dir, &wish, file)?;
        output.answer(&exported, exported_text)?;
        output.note(
            "This file holds plaintext and keys of what the partner must not have. Let nobody but \
             the auditor\nread it, use it where that partner cannot copy it, and destroy it.",
        );
        return Ok(Exit::Ok);
    }
    let bar = bar();
    let report = segregation::prove(
        dir,
        args.needles.as_deref(),
        &args.also,
        &mut |done, all| {
            bar.set_length(all);
            bar.set_position(done);
        },
    );
    bar.finish_and_clear();
    let report = report?;
    output.answer(&report, text)?;
    Ok(exit(report.verdict))
}

/// Shown on a terminal's standard error only.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    bar.enable_steady_tick(TICK);
    let style = ProgressStyle::with_template("{wide_bar} {bytes} of {total_bytes} searched {eta}");
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn exit(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Clean => Exit::Ok,
        Verdict::Strangers => Exit::Warning,
        Verdict::Findings => Exit::Failed,
        Verdict::Incomplete => Exit::Unknown,
    }
}

fn exported_text(exported: &Exported) -> String {
    let origin = &exported.origin;
    let mut table = Table::new([left("kind"), right("needles")]);
    for (kind, count) in &exported.kinds {
        table.row([kind.as_str().to_string(), thousands(*count)]);
    }
    let file = exported.file.display().to_string();
    format!(
        "{} needles of {} events that {} must not have, in {}\n{}\nleft out  {} texts too short, \
         {} parts of texts that {} may have read elsewhere",
        thousands(origin.needles),
        thousands(origin.events),
        escape(&origin.excluding),
        escape(&file),
        table.render(),
        thousands(origin.too_short),
        thousands(origin.may_be_known),
        escape(&origin.excluding),
    )
}

fn text(report: &Report) -> String {
    let mut lines = vec![format!(
        "the node of {} in {}, of which nothing was changed\n\nlooked at",
        escape(&report.partner),
        escape(&report.directory.display().to_string())
    )];
    let mut tables = Table::new([left("  table"), right("rows"), right("bytes, opened")]);
    for looked in &report.tables {
        let counts = [looked.rows, looked.bytes].map(thousands);
        let [rows, bytes] = counts;
        tables.row([format!("  {}", looked.table), rows, bytes]);
    }
    lines.push(tables.render());
    let bytes = report.files.iter().map(|file| file.bytes).sum();
    lines.push(format!(
        "  {} files of {} bytes{}",
        report.files.len(),
        thousands(bytes),
        match report.search {
            Some(_) => ", every byte of them",
            None => "; their raw bytes are searched with --needles only",
        }
    ));
    lines.push(format!("looked for\n  {LOOKED_FOR}"));
    if let Some(search) = &report.search {
        lines.push(search_text(report, search));
    }
    lines.extend(findings(report));
    lines.push(format!("\nverdict   {}", verdict(report)));
    lines.join("\n")
}

fn search_text(report: &Report, search: &Search) -> String {
    let origin = &search.origin;
    let mut table = Table::new([
        left("  needles"),
        right("looked for"),
        right("found"),
        right("in files"),
        right("in values"),
    ]);
    for kind in search.kinds.iter().filter(|kind| kind.needles > 0) {
        let counts = [kind.needles, kind.found, kind.in_files, kind.in_values].map(thousands);
        let [needles, found, in_files, in_values] = counts;
        let name = format!("  {}", kind.kind.as_str());
        table.row([name, needles, found, in_files, in_values]);
    }
    let note = match origin.excluding_id == report.partner_id {
        true => String::new(),
        false => format!(
            "\n  (this is not the node of {}: what is found here shows that the search finds it)",
            escape(&origin.excluding)
        ),
    };
    format!(
        "  what {} says {} must not have, of {} events, as of {}{note}\n{}\n  in {} files of {} \
         bytes, and in {} keys, opened values and opened bodies of {} bytes",
        escape(&origin.of),
        escape(&origin.excluding),
        thousands(origin.events),
        time::utc(origin.made_at_ms),
        table.render(),
        thousands(search.files),
        thousands(search.file_bytes),
        thousands(search.values),
        thousands(search.value_bytes),
    )
}

fn findings(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let mut list = |title: &str, all: u64, shown: Vec<String>| {
        if all > 0 {
            lines.push(format!("{title} ({})", thousands(all)));
            lines.extend(
                shown
                    .iter()
                    .take(SHOWN)
                    .map(|line| format!("  {}", escape(line))),
            );
            if all > SHOWN as u64 {
                lines.push(format!("  … {} more", thousands(all - SHOWN as u64)));
            }
        }
    };
    let own = report.findings.iter();
    let own = own.map(|found| format!("{} {}: {}", found.table, found.key, found.what));
    list("out of place", report.findings_total, own.collect());
    if let Some(search) = &report.search {
        let files = search.by_file.iter();
        let files = files.map(|(path, count)| format!("{count} × in {}", path.display()));
        let tables = search.by_table.iter();
        let tables = tables.map(|(table, count)| format!("{count} × in table {table}"));
        let everywhere: Vec<String> = files.chain(tables).collect();
        list("found", everywhere.len() as u64, everywhere);
        let places = search.places.iter().map(place).collect();
        list("first places", search.places.len() as u64, places);
    }
    let strangers: Vec<String> = report
        .strangers
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    list(
        "files that are no node's",
        strangers.len() as u64,
        strangers,
    );
    let not = &report.not_looked_at;
    list("not looked at", not.len() as u64, not.clone());
    lines
}

fn place(place: &Place) -> String {
    let at = match &place.at {
        At::File { file } => format!("{} at byte {}", file.display(), place.offset),
        At::Row { table, key, part } => {
            let part = match part {
                segregation::Part::Key => "key",
                segregation::Part::Value => "value",
                segregation::Part::Body => "opened body",
            };
            format!("table {table}, {part} of {key}, at byte {}", place.offset)
        }
    };
    format!(
        "{} of event {} ({}): {at}",
        place.kind.as_str(),
        place.event,
        place.form.as_str()
    )
}

fn verdict(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::Clean => "clean: nothing was found",
        Verdict::Strangers => {
            "nothing was found; files that are no node's were not searched: do that with --needles"
        }
        Verdict::Findings => "FOUND: see above",
        Verdict::Incomplete => "unknown: nothing was found, and not everything was looked at",
    }
}
