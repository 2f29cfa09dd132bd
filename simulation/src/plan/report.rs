//! A report as text for a terminal, as JSON, and as a page.

mod chart;
mod html;

use std::io;
use std::path::{Path, PathBuf};

use super::metrics::{Delay, Report};

/// The files of a report in its directory.
pub const PAGE: &str = "report.html";
pub const FIGURES: &str = "report.json";

impl Report {
    /// The figures as JSON, indented.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and strings") + "\n"
    }

    /// One page with plots and tables, which needs nothing from elsewhere.
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// Writes the page and the figures into a directory, which is made if need be; gives their
    /// paths. A failure names the path that it is about.
    pub fn write(&self, dir: &Path) -> Result<[PathBuf; 2], (PathBuf, io::Error)> {
        std::fs::create_dir_all(dir).map_err(|error| (dir.to_path_buf(), error))?;
        let [page, figures] = [dir.join(PAGE), dir.join(FIGURES)];
        for (path, text) in [(&page, self.html()), (&figures, self.json())] {
            std::fs::write(path, text).map_err(|error| (path.clone(), error))?;
        }
        Ok([page, figures])
    }

    /// The main figures for a terminal, without a newline at the end.
    pub fn text(&self) -> String {
        let mut lines = vec![format!(
            "{}: {} posts in {}, {} and to settle {}; seed {}",
            self.name,
            thousands(self.posts),
            count(self.runs, "run", "runs"),
            time(self.duration_ms),
            time(self.settle_ms),
            self.seed
        )];
        let mut rows = vec![
            ["FROM", "TO", "POSTS", "MISSING", "P50", "P95", "P99", "MAX"]
                .map(String::from)
                .to_vec(),
        ];
        for pair in &self.pairs {
            let mut row = vec![pair.from.clone(), pair.to.clone()];
            row.extend([thousands(pair.delivered), thousands(pair.missing)]);
            row.extend(delays(pair.delay));
            rows.push(row);
        }
        for class in self.classes.iter().filter(|_| self.classes.len() > 1) {
            let mut row = vec!["all".to_string(), class.precedence.clone()];
            row.extend([thousands(class.delivered), thousands(class.missing)]);
            row.extend(delays(class.delay));
            rows.push(row);
        }
        let mut all = vec!["all".to_string(), String::new()];
        all.extend([
            thousands(self.deliveries - self.missing),
            thousands(self.missing),
        ]);
        all.extend(delays(self.delay));
        rows.push(all);
        lines.push(String::new());
        lines.extend(aligned(&rows, 2));
        lines.push(String::new());
        for healed in &self.healed {
            lines.push(format!(
                "{} down for {} until {}: {} waited, {}",
                healed.what,
                time(healed.lasted_ms),
                time(healed.ended_ms),
                count(healed.waiting, "delivery", "deliveries"),
                match healed.took_ms {
                    Some(ms) => format!("all there {} after it", time(ms)),
                    None => "not all there at the end of the run".into(),
                }
            ));
        }
        let per_byte = self.bytes_per_useful_byte;
        lines.push(format!(
            "{} on the links, {} per byte of text delivered",
            bytes(self.bytes_on_links),
            per_byte.map_or("–".into(), |ratio| format!("{ratio:.1}"))
        ));
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines.join("\n")
    }
}

/// The four figures of a delay as cells.
fn delays(delay: Option<Delay>) -> [String; 4] {
    match delay {
        Some(it) => [it.p50_ms, it.p95_ms, it.p99_ms, it.max_ms].map(time),
        None => [(); 4].map(|()| "–".into()),
    }
}

/// Columns as wide as their widest cell, those from `left` on leaning right.
fn aligned(rows: &[Vec<String>], left: usize) -> Vec<String> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let cell = |(column, cell): (usize, &String)| {
        let gap = " ".repeat(width(column) - cell.chars().count());
        match column < left {
            true => format!("{cell}{gap}"),
            false => format!("{gap}{cell}"),
        }
    };
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        cells.join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect()
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!(
        "{} {}",
        thousands(number),
        if number == 1 { one } else { many }
    )
}

/// A span of time with the two units that matter.
pub(super) fn time(ms: u64) -> String {
    let two = |large: u64, unit: &str, small: u64, below: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {below}"),
    };
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..10_000 => format!("{}.{:02} s", ms / 1000, ms % 1000 / 10),
        10_000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => two(ms / 60_000, "min", ms % 60_000 / 1000, "s"),
        3_600_000..86_400_000 => two(ms / 3_600_000, "h", ms % 3_600_000 / 60_000, "min"),
        _ => two(ms / 86_400_000, "d", ms % 86_400_000 / 3_600_000, "h"),
    }
}

/// A number of bytes in the unit that keeps it short.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1000.0;
    let mut unit = 0;
    while amount >= 1000.0 && unit + 1 < UNITS.len() {
        amount /= 1000.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// A rate in the unit that keeps it short.
fn rate(bits: u64) -> String {
    let (amount, unit) = match bits {
        0..10_000 => (bits as f64, "bit/s"),
        10_000..1_000_000 => (bits as f64 / 1e3, "kbit/s"),
        1_000_000..1_000_000_000 => (bits as f64 / 1e6, "Mbit/s"),
        _ => (bits as f64 / 1e9, "Gbit/s"),
    };
    format!("{} {unit}", (amount * 10.0).round() / 10.0)
}

/// A whole number with its thousands apart.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
