//! The table, and the same for programs.

use std::collections::BTreeMap;

use comity_tests::say;
use serde::Serialize;

/// One figure.
#[derive(Debug, Serialize)]
pub struct Row {
    /// What was run, such as `streaming, 10000 events, 2 partners`.
    pub run: String,
    pub measure: &'static str,
    pub value: f64,
    pub unit: &'static str,
    /// What it is compared with, in the same unit.
    pub against: Vec<Reference>,
    pub method: &'static str,
    /// The load average of the last minute, this run included.
    pub load: f64,
}

/// A floor measured in the same run, an aim, or another system's figure.
#[derive(Debug, Serialize)]
pub struct Reference {
    pub what: &'static str,
    pub value: f64,
    /// The row's value over this one.
    pub ratio: f64,
}

impl Row {
    /// A figure that nothing is compared with yet.
    pub fn new(
        run: &str,
        measure: &'static str,
        value: f64,
        unit: &'static str,
        method: &'static str,
    ) -> Row {
        Row {
            run: run.into(),
            measure,
            value,
            unit,
            against: Vec::new(),
            method,
            load: load()[0],
        }
    }

    /// Compares the figure with another one.
    pub fn against(mut self, what: &'static str, value: f64) -> Row {
        self.against.push(Reference {
            what,
            value,
            ratio: self.value / value,
        });
        self
    }
}

/// Collects rows; prints each for programs as it comes, or all of them for people at the end.
pub struct Report {
    json: bool,
    rows: Vec<Row>,
}

impl Report {
    pub fn new(json: bool) -> Report {
        Report {
            json,
            rows: Vec::new(),
        }
    }

    /// Takes a row.
    pub fn add(&mut self, row: Row) {
        if self.json {
            let line = serde_json::to_string(&row).expect("a row of numbers and text");
            println!("{line}");
        } else {
            say(&format!(
                "  {}: {} {}",
                row.measure,
                figure(row.value),
                row.unit
            ));
            self.rows.push(row);
        }
    }

    /// Prints the table, and below it how each figure was measured.
    pub fn finish(self) {
        if self.json {
            return;
        }
        let mut methods: Vec<&str> = Vec::new();
        let mut lines =
            vec![["RUN", "MEASURE", "VALUE", "COMPARED WITH (RATIO)", "METHOD"].map(String::from)];
        let mut run = String::new();
        for row in &self.rows {
            let at = methods.iter().position(|method| *method == row.method);
            let method = at.unwrap_or_else(|| {
                methods.push(row.method);
                methods.len() - 1
            });
            let named = if row.run == run { "" } else { &row.run };
            lines.push([
                named.to_string(),
                row.measure.to_string(),
                format!("{} {}", figure(row.value), row.unit),
                compared(&row.against),
                format!("{}", method + 1),
            ]);
            run = row.run.clone();
        }
        print!("\n{}", aligned(&lines));
        println!("\n{}", circumstances());
        for (number, method) in (1..).zip(methods) {
            println!("{number}. {method}");
        }
    }
}

fn compared(against: &[Reference]) -> String {
    let one = |reference: &Reference| {
        let value = figure(reference.value);
        format!("{} {value} ({:.2})", reference.what, reference.ratio)
    };
    against.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Three digits that say something, and no more.
fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        middle if middle >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn aligned<const COLUMNS: usize>(lines: &[[String; COLUMNS]]) -> String {
    let mut widths = BTreeMap::new();
    for (column, cell) in lines.iter().flat_map(|line| line.iter().enumerate()) {
        let widest = widths.entry(column).or_insert(0);
        *widest = cell.chars().count().max(*widest);
    }
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().enumerate();
        let cells = cells.map(|(column, cell)| format!("{cell:<width$}", width = widths[&column]));
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// How busy the machine was: figures of time mean nothing without it.
fn circumstances() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let [one, five, fifteen] = load();
    format!(
        "{cores} cores; load average at the end {one}, {five}, {fifteen} (1, 5 and 15 minutes, \
         this run included)"
    )
}

/// The load averages of 1, 5 and 15 minutes; zero where the system does not say.
fn load() -> [f64; 3] {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let mut averages = text.split_whitespace().map(|text| text.parse());
    std::array::from_fn(|_| averages.next().and_then(Result::ok).unwrap_or(0.0))
}
