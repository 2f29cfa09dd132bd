//! The page of a report: everything in one file, no scripts, nothing from elsewhere.

use std::fmt::Write as _;

use super::super::metrics::{Backlog, Class, Delay, Report};
use super::chart::{self, LINES_MAX, Line, Unit};
use super::{bytes, count, delays, rate, thousands, time};

const STYLE: &str = include_str!("style.css");
/// Moments of a series that its table shows.
const MOMENTS: usize = 13;

/// The whole page.
pub fn page(report: &Report) -> String {
    let name = escape(&report.name);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{name}: simulated channel</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{name}</h1>\n"
    );
    head(&mut page, report);
    delay(&mut page, report);
    healing(&mut page, report);
    backlog(&mut page, report);
    links(&mut page, report);
    disk(&mut page, report);
    reading(&mut page, report);
    page + "</main>\n</body>\n</html>\n"
}

/// Text as it may stand in HTML, attributes included.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter if letter.is_control() && letter != '\n' => escaped.push('\u{fffd}'),
            letter => escaped.push(letter),
        }
    }
    escaped
}

fn head(page: &mut String, report: &Report) {
    if !report.about.is_empty() {
        let _ = writeln!(page, "<p class=\"about\">{}</p>", escape(&report.about));
    }
    let [p50, p95, p99, max] = delays(report.delay);
    let share = match report.deliveries {
        0 => "–".to_string(),
        all => {
            let thousandths = (all - report.missing) * 1000 / all;
            format!("{}.{} %", thousandths / 10, thousandths % 10)
        }
    };
    let per_byte = report.bytes_per_useful_byte;
    let per_byte = per_byte.map_or("–".into(), |ratio| format!("{ratio:.1}"));
    let slowest = report
        .healed
        .iter()
        .map(|it| it.took_ms.unwrap_or(u64::MAX));
    let slowest = slowest.max().map(|ms| match ms {
        u64::MAX => "not in the run".to_string(),
        ms => time(ms),
    });
    let busiest = report.links.iter().filter_map(|link| link.used_percent);
    let busiest = busiest.fold(None, |most: Option<f64>, used| {
        Some(most.unwrap_or(0.0).max(used))
    });
    let mut figures = vec![
        (
            "Posts",
            thousands(report.posts),
            count(report.runs, "run", "runs"),
        ),
        (
            "Delivered",
            share,
            count(report.deliveries, "delivery", "deliveries"),
        ),
        ("Delay, median", p50, "half arrive sooner".into()),
        ("Delay, p95", p95, "19 of 20 arrive sooner".into()),
        ("Delay, p99", p99, format!("the longest: {max}")),
        (
            "Bytes per byte of text",
            per_byte,
            format!("{} on all links", bytes(report.bytes_on_links)),
        ),
    ];
    if let Some(slowest) = slowest {
        figures.push(("Together again", slowest, "after the worst outage".into()));
    }
    if let Some(busiest) = busiest {
        figures.push((
            "Busiest link",
            percent(busiest),
            "of its capacity, on average".into(),
        ));
    }
    page.push_str("<dl class=\"figures\">\n");
    for (name, figure, more) in figures {
        let _ = writeln!(
            page,
            "<div><dt>{name}</dt><dd><b>{figure}</b> <span>{more}</span></dd></div>"
        );
    }
    page.push_str("</dl>\n");
    if !report.notes.is_empty() {
        page.push_str("<section class=\"notes\" aria-label=\"Notes\">\n<h2>Before you rely on it</h2>\n<ul>\n");
        for note in &report.notes {
            let _ = writeln!(page, "<li>{}</li>", escape(note));
        }
        page.push_str("</ul>\n</section>\n");
    }
}

fn delay(page: &mut String, report: &Report) {
    page.push_str("<section>\n<h2>Delivery delay</h2>\n");
    page.push_str("<p>From writing a post to its acceptance by the other partner’s node.</p>\n");
    let rows: Vec<(&str, &str, Delay)> = report
        .pairs
        .iter()
        .filter_map(|pair| Some((pair.from.as_str(), pair.to.as_str(), pair.delay?)))
        .collect();
    if !rows.is_empty() {
        let worst = rows.iter().max_by_key(|row| row.2.p99_ms);
        let text = worst.map_or(String::new(), |(from, to, delay)| {
            format!(
                "The slowest 99th percentile is {}, from {from} to {to}. The table has all figures.",
                time(delay.p99_ms)
            )
        });
        let plot = chart::delays("delay", "Delivery delay by pair of partners", &text, &rows);
        let _ = writeln!(
            page,
            "<figure>{plot}<figcaption><span class=\"dot\" aria-hidden=\"true\"></span> median; \
             thick bar to the 95th percentile; thin line to the 99th.</figcaption></figure>"
        );
    }
    if report.classes.len() > 1 {
        let class = |class: &Class| {
            let mut row = vec![class.precedence.clone()];
            row.extend([thousands(class.delivered), thousands(class.missing)]);
            row.extend(delays(class.delay));
            row
        };
        let rows: Vec<Vec<String>> = report.classes.iter().map(class).collect();
        let heads = [
            "Precedence",
            "Delivered",
            "Missing",
            "p50",
            "p95",
            "p99",
            "Longest",
        ];
        write_table(page, "Delivery delay by precedence", &heads, 1, &rows);
    }
    let mut table = vec![];
    for pair in &report.pairs {
        let mut row = vec![escape(&pair.from), escape(&pair.to)];
        row.extend([thousands(pair.delivered), thousands(pair.missing)]);
        row.extend(delays(pair.delay));
        table.push(row);
    }
    let heads = [
        "From",
        "To",
        "Delivered",
        "Missing",
        "p50",
        "p95",
        "p99",
        "Longest",
    ];
    write_table(page, "Delivery delay by pair", &heads, 2, &table);
    page.push_str("</section>\n");
}

fn healing(page: &mut String, report: &Report) {
    if report.healed.is_empty() {
        return;
    }
    page.push_str("<section>\n<h2>After outages and partitions</h2>\n");
    page.push_str(
        "<p>How long, from the network’s return, until everything that was written before it was \
         at all its readers. Zero: others had passed it on.</p>\n",
    );
    let rows: Vec<Vec<String>> = report
        .healed
        .iter()
        .map(|healed| {
            vec![
                escape(&healed.what),
                time(healed.ended_ms),
                time(healed.lasted_ms),
                thousands(healed.waiting),
                healed.took_ms.map_or("not in the run".into(), time),
            ]
        })
        .collect();
    let heads = [
        "What",
        "Ended at",
        "Lasted",
        "Deliveries that waited",
        "Together after",
    ];
    write_table(page, "Convergence after healing", &heads, 1, &rows);
    page.push_str("</section>\n");
}

fn backlog(page: &mut String, report: &Report) {
    page.push_str("<section>\n<h2>Backlog of each link</h2>\n<div class=\"pair\">\n");
    series(
        page,
        report,
        "waiting",
        "Posts that one end holds and the other lacks",
        Unit::Posts,
        |backlog| &backlog.posts,
    );
    series(
        page,
        report,
        "queued",
        "Bytes in the sender’s queue, at most",
        Unit::Bytes,
        |backlog| &backlog.queued_bytes,
    );
    page.push_str("</div>\n");
    let rows: Vec<Vec<String>> = report
        .backlog
        .iter()
        .map(|it| {
            let most = |values: &[u64]| values.iter().copied().max().unwrap_or(0);
            let last = it.posts.last().copied().unwrap_or(0);
            vec![
                escape(&it.from),
                escape(&it.to),
                thousands(most(&it.posts)),
                thousands(last),
                bytes(most(&it.queued_bytes)),
            ]
        })
        .collect();
    let heads = ["From", "To", "Most posts", "Posts at the end", "Most bytes"];
    write_table(page, "Backlog by link", &heads, 2, &rows);
    page.push_str("</section>\n");
}

fn series(
    page: &mut String,
    report: &Report,
    id: &str,
    title: &str,
    unit: Unit,
    of: fn(&Backlog) -> &Vec<u64>,
) {
    let most = |backlog: &&Backlog| of(backlog).iter().copied().max().unwrap_or(0);
    let mut ways: Vec<&Backlog> = report.backlog.iter().filter(|it| most(it) > 0).collect();
    // The sort is stable: equal ones stay in their order.
    ways.sort_by_key(|it| std::cmp::Reverse(most(it)));
    if ways.is_empty() {
        let _ = writeln!(
            page,
            "<figure><p class=\"none\"><b>{title}</b>: none at any of the {} moments looked at.</p></figure>",
            report.at_ms.len()
        );
        return;
    }
    let left_out = ways.len().saturating_sub(LINES_MAX);
    ways.truncate(LINES_MAX);
    let lines: Vec<Line> = ways.iter().map(|it| Line { values: of(it) }).collect();
    let names: Vec<String> = ways
        .iter()
        .map(|it| format!("{} → {}", it.from, it.to))
        .collect();
    let shown = match unit {
        Unit::Bytes => bytes(most(&ways[0])),
        Unit::Posts => count(most(&ways[0]), "post", "posts"),
    };
    let text = format!("The most is {shown}, from {}.", names[0].replace("→", "to"));
    let plot = chart::lines(id, title, &text, &report.at_ms, &lines, unit);
    figure(page, title, &plot, &names, left_out);
}

fn figure(page: &mut String, title: &str, plot: &str, names: &[String], left_out: usize) {
    let _ = write!(
        page,
        "<figure><h3>{title}</h3>{plot}<figcaption><ul class=\"legend\">"
    );
    for (number, name) in names.iter().enumerate() {
        let _ = write!(page, "<li>{}{}</li>", chart::key(number), escape(name));
    }
    if left_out > 0 {
        let _ = write!(page, "<li>and {left_out} more, all below</li>");
    }
    page.push_str("</ul></figcaption></figure>\n");
}

fn links(page: &mut String, report: &Report) {
    page.push_str("<section>\n<h2>Bytes on each link</h2>\n");
    let _ = writeln!(
        page,
        "<p>{} in all for {} of text delivered, over the whole run. Counted with the headers of \
         QUIC, UDP, IPv4 and Ethernet, with acknowledgements, probes of silent links, and what was \
         lost and sent again.</p>",
        bytes(report.bytes_on_links),
        bytes(report.useful_bytes)
    );
    let rows: Vec<Vec<String>> = report
        .links
        .iter()
        .map(|link| {
            vec![
                escape(&link.from),
                escape(&link.to),
                format!("{} ms", link.latency_ms),
                link.capacity_bits.map_or("unlimited".into(), rate),
                bytes(link.bytes),
                link.used_percent.map_or("–".into(), percent),
                thousands(link.packets),
                thousands(link.lost),
            ]
        })
        .collect();
    let heads = [
        "From", "To", "Latency", "Capacity", "Bytes", "Used", "Packets", "Lost",
    ];
    write_table(page, "Use of each link", &heads, 2, &rows);
    page.push_str("</section>\n");
}

fn disk(page: &mut String, report: &Report) {
    page.push_str("<section>\n<h2>Disk</h2>\n");
    page.push_str(
        "<p>What each node’s store holds, before the store’s own overhead and compression.</p>\n",
    );
    let shown: Vec<_> = report.disk.iter().take(LINES_MAX).collect();
    let lines: Vec<Line> = shown.iter().map(|it| Line { values: &it.bytes }).collect();
    let names: Vec<String> = shown.iter().map(|it| it.partner.clone()).collect();
    let left_out = report.disk.len() - shown.len();
    let most = report.disk.iter().filter_map(|it| it.bytes.last()).max();
    let text = format!(
        "The largest store ends at {}.",
        bytes(most.copied().unwrap_or(0))
    );
    let title = "Bytes held by each partner’s store";
    let plot = chart::lines("disk", title, &text, &report.at_ms, &lines, Unit::Bytes);
    page.push_str("<div class=\"pair\">\n");
    figure(page, title, &plot, &names, left_out);
    let rows: Vec<Vec<String>> = report
        .disk
        .iter()
        .map(|it| {
            let [first, last] =
                [it.bytes.first(), it.bytes.last()].map(|it| it.copied().unwrap_or(0));
            vec![
                escape(&it.partner),
                bytes(first),
                bytes(last),
                it.per_post
                    .map_or("–".into(), |per_post| format!("{per_post:.0} B")),
            ]
        })
        .collect();
    page.push_str("<div>\n");
    let heads = ["Partner", "At first", "At the end", "Per post"];
    write_table(page, "Growth of each store", &heads, 1, &rows);
    page.push_str("</div>\n</div>\n");
    over_time(page, report);
    page.push_str("</section>\n");
}

/// The series in figures, at some moments.
fn over_time(page: &mut String, report: &Report) {
    let last = report.at_ms.len().saturating_sub(1);
    let step = last.div_ceil(MOMENTS - 1).max(1);
    let mut heads = vec!["Time".to_string()];
    heads.extend(
        report
            .disk
            .iter()
            .map(|it| format!("{} store", escape(&it.partner))),
    );
    let ways = report.backlog.iter();
    heads.extend(ways.map(|it| format!("{} → {} posts", escape(&it.from), escape(&it.to))));
    let rows: Vec<Vec<String>> = (0..report.at_ms.len())
        .step_by(step)
        .map(|at| {
            let mut row = vec![time(report.at_ms[at])];
            row.extend(report.disk.iter().map(|it| bytes(it.bytes[at])));
            row.extend(report.backlog.iter().map(|it| thousands(it.posts[at])));
            row
        })
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    page.push_str("<details>\n<summary>Stores and backlogs over time, in figures</summary>\n");
    write_table(page, "Stores and backlogs over time", &heads, 1, &rows);
    page.push_str("</details>\n");
}

fn reading(page: &mut String, report: &Report) {
    page.push_str("<section>\n<h2>How this came about</h2>\n");
    let _ = writeln!(
        page,
        "<p>{} of the nodes’ own machines on simulated links: people post for {}, and the run goes \
         on for {} to settle. Seed {}; the same scenario and seed give the same figures. Delays, \
         bytes and packets are those of all runs together, plots over time those of the first.</p>",
        count(report.runs, "run", "runs"),
        time(report.duration_ms),
        time(report.settle_ms),
        report.seed
    );
    if !report.sources.is_empty() {
        page.push_str("<h3>Where the scenario’s figures come from</h3>\n<ul>\n");
        for source in &report.sources {
            let _ = writeln!(page, "<li>{}</li>", escape(source));
        }
        page.push_str("</ul>\n");
    }
    page.push_str(
        "<h3>What is left out</h3>\n<p>Congestion control and flow control; other traffic on the \
         links; the time a handshake’s bytes take; files. Disks take up to 12 ms for a write and \
         signatures up to 3 ms a batch. The planning page of the documentation says more.</p>\n\
         </section>\n",
    );
}

/// A table that can be scrolled sideways on a narrow screen. Cells are HTML already.
fn write_table(page: &mut String, name: &str, heads: &[&str], words: usize, rows: &[Vec<String>]) {
    let _ = write!(
        page,
        "<div class=\"scroll\" role=\"region\" aria-label=\"{name}\" tabindex=\"0\">\n<table>\n\
         <caption>{name}</caption>\n<thead><tr>"
    );
    let class = |column: usize| if column < words { "" } else { " class=\"n\"" };
    for (column, head) in heads.iter().enumerate() {
        let _ = write!(page, "<th scope=\"col\"{}>{head}</th>", class(column));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = match column {
                0 => write!(page, "<th scope=\"row\">{cell}</th>"),
                _ => write!(page, "<td{}>{cell}</td>", class(column)),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
}

fn percent(part: f64) -> String {
    match part {
        part if part < 0.1 => "under 0.1 %".into(),
        part if part < 10.0 => format!("{part:.1} %"),
        part => format!("{part:.0} %"),
    }
}
