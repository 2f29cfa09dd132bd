//! Plots as SVG. Each is as wide as a phone, so that its letters stay readable there, and takes its
//! colours from the page.

use std::fmt::Write as _;

use super::super::metrics::Delay;
use super::html::escape;
use super::{bytes, thousands, time};

/// The width of every plot, in its own units: about as many pixels.
const WIDTH: f64 = 420.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// Lines that can be told apart by colour and dashes.
pub const LINES_MAX: usize = 6;
/// A row of the delays.
const ROW: f64 = 22.0;
/// Letters of a partner's name that fit beside a row, and how wide one is at most.
const NAME_LETTERS: usize = 12;
const LETTER: f64 = 6.8;
/// The room of a label on the scale of the delays.
const LABEL: f64 = 52.0;

/// A line of a plot.
pub struct Line<'a> {
    pub values: &'a [u64],
}

/// What the values of a plot count.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Bytes,
    Posts,
}

impl Unit {
    fn show(self, value: u64) -> String {
        match self {
            Unit::Bytes => bytes(value).replace(".0 ", " "),
            Unit::Posts => thousands(value),
        }
    }
}

/// Lines over simulated time.
pub fn lines(
    id: &str,
    title: &str,
    text: &str,
    at_ms: &[u64],
    lines: &[Line],
    unit: Unit,
) -> String {
    let most = lines.iter().flat_map(|line| line.values).copied().max();
    let (most, step) = ceiling(most.unwrap_or(0));
    let end = at_ms.last().copied().unwrap_or(1).max(1);
    let x = |ms: u64| LEFT + (WIDTH - LEFT - RIGHT) * ms as f64 / end as f64;
    let y = |value: u64| HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value as f64 / most as f64;
    let mut svg = open(id, title, text, HEIGHT);
    for tick in (0..=most).step_by(step as usize) {
        let at = y(tick);
        rule(&mut svg, (LEFT, at), (WIDTH - RIGHT, at));
        label(&mut svg, LEFT - 6.0, at + 4.0, "end", &unit.show(tick));
    }
    for tick in time_ticks(end) {
        let at = x(tick);
        rule(&mut svg, (at, HEIGHT - BOTTOM), (at, HEIGHT - BOTTOM + 4.0));
        let text = short(tick);
        // The last one may stand at the edge.
        let fits = at + LETTER * text.chars().count() as f64 / 2.0 <= WIDTH;
        let (at, anchor) = if fits {
            (at, "middle")
        } else {
            (WIDTH - 1.0, "end")
        };
        label(&mut svg, at, HEIGHT - BOTTOM + 17.0, anchor, &text);
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    label(&mut svg, middle, HEIGHT - 5.0, "middle", "simulated time");
    for (number, line) in lines.iter().enumerate().take(LINES_MAX) {
        let mut points = String::new();
        for (ms, value) in at_ms.iter().zip(line.values) {
            let _ = write!(points, "{:.1},{:.1} ", x(*ms), y(*value));
        }
        let points = points.trim_end();
        let _ = write!(
            svg,
            "<polyline class=\"line s{number}\" points=\"{points}\"/>"
        );
    }
    svg + "</svg>"
}

/// A sample of a line for a legend.
pub fn key(number: usize) -> String {
    format!(
        "<svg class=\"key\" viewBox=\"0 0 28 10\" width=\"28\" height=\"10\" aria-hidden=\"true\">\
         <line class=\"line s{number}\" x1=\"1\" y1=\"5\" x2=\"27\" y2=\"5\"/></svg>"
    )
}

/// Delays on a logarithmic scale, a row each: a bar from the median to the 99th percentile.
pub fn delays(id: &str, title: &str, text: &str, rows: &[(&str, &str, Delay)]) -> String {
    let least = rows
        .iter()
        .map(|row| row.2.p50_ms)
        .min()
        .unwrap_or(1)
        .max(1);
    let most = rows.iter().map(|row| row.2.p99_ms).max().unwrap_or(1);
    let ticks = decades(least, most);
    let (first, last) = (ticks[0], ticks[ticks.len() - 1]);
    let name = |row: &(&str, &str, Delay)| format!("{} → {}", cut(row.0), cut(row.1));
    let letters = rows.iter().map(|row| name(row).chars().count()).max();
    let names = letters.unwrap_or(0) as f64 * LETTER + 8.0;
    let (left, right) = (names.max(40.0), WIDTH - 24.0);
    let height = TOP + ROW * rows.len() as f64 + BOTTOM;
    let place = |ms: u64| {
        let of = |ms: u64| (ms.max(1) as f64).ln();
        let part = (of(ms) - of(first)) / (of(last) - of(first));
        left + (right - left) * part.clamp(0.0, 1.0)
    };
    let mut svg = open(id, title, text, height);
    let bottom = height - BOTTOM;
    let mut free = 0.0;
    for tick in &ticks {
        let at = place(*tick);
        rule(&mut svg, (at, TOP - 6.0), (at, bottom + 4.0));
        if at >= free {
            free = at + LABEL;
            label(&mut svg, at, bottom + 17.0, "middle", &short(*tick));
        }
    }
    let middle = (left + right) / 2.0;
    label(
        &mut svg,
        middle,
        height - 5.0,
        "middle",
        "delay, logarithmic",
    );
    for (number, row) in rows.iter().enumerate() {
        let y = TOP + ROW * (number as f64 + 0.5);
        label(&mut svg, left - 8.0, y + 4.0, "end", &name(row));
        let delay = row.2;
        let [p50, p95, p99] = [delay.p50_ms, delay.p95_ms, delay.p99_ms].map(place);
        let _ = write!(
            svg,
            "<line class=\"whisker\" x1=\"{p50:.1}\" y1=\"{y:.1}\" x2=\"{p99:.1}\" y2=\"{y:.1}\"/>\
             <line class=\"bar\" x1=\"{p50:.1}\" y1=\"{y:.1}\" x2=\"{p95:.1}\" y2=\"{y:.1}\"/>\
             <circle class=\"median\" cx=\"{p50:.1}\" cy=\"{y:.1}\" r=\"5\"/>\
             <path class=\"tail\" d=\"M{p99:.1} {:.1}v10\"/>",
            y - 5.0
        );
    }
    svg + "</svg>"
}

fn open(id: &str, title: &str, text: &str, height: f64) -> String {
    format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         aria-labelledby=\"{id}-title {id}-text\"><title id=\"{id}-title\">{}</title>\
         <desc id=\"{id}-text\">{}</desc>",
        escape(title),
        escape(text)
    )
}

fn rule(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = write!(
        svg,
        "<line class=\"rule\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    );
}

fn label(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = escape(text);
    let _ = write!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
    );
}

fn cut(name: &str) -> String {
    match name.chars().count() > NAME_LETTERS {
        true => name.chars().take(NAME_LETTERS - 1).chain(['…']).collect(),
        false => name.into(),
    }
}

/// A round number at or above the greatest value, and the step of its ticks: 3 to 5 of them.
fn ceiling(most: u64) -> (u64, u64) {
    let mut power = 1;
    loop {
        for step in [power, 2 * power, 5 * power] {
            if step * 5 >= most {
                return (step * most.div_ceil(step).max(1), step);
            }
        }
        power *= 10;
    }
}

/// Four to seven moments of a time that begins at zero.
fn time_ticks(end_ms: u64) -> Vec<u64> {
    const STEPS: [u64; 20] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
        86_400, 172_800, 604_800,
    ];
    let step = STEPS.iter().map(|step| step * 1000);
    let step = step.into_iter().find(|step| end_ms / step <= 6);
    (0..=end_ms)
        .step_by(step.unwrap_or(end_ms) as usize)
        .collect()
}

/// Round delays that hold all between the two, at least two of them.
fn decades(least: u64, most: u64) -> Vec<u64> {
    const ROUND: [u64; 15] = [
        1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 60_000, 180_000, 600_000, 1_800_000,
        3_600_000, 21_600_000,
    ];
    let mut round: Vec<u64> = ROUND.to_vec();
    round.extend([86_400_000, 7 * 86_400_000]);
    let first = round.iter().rposition(|tick| *tick <= least).unwrap_or(0);
    let last = round.iter().position(|tick| *tick >= most);
    let last = last.unwrap_or(round.len() - 1).max(first + 1);
    round[first..=last].to_vec()
}

/// A tick of time, in the shortest words.
fn short(ms: u64) -> String {
    match ms {
        0 => "0".into(),
        ms if ms < 60_000 && ms.is_multiple_of(1000) => format!("{} s", ms / 1000),
        ms if ms >= 3_600_000 && ms % 3_600_000 == 1_800_000 => {
            format!("{}.5 h", ms / 3_600_000)
        }
        ms => time(ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_round_numbers_and_hold_everything() {
        assert_eq!(ceiling(0), (1, 1));
        assert_eq!(ceiling(7), (8, 2));
        assert_eq!(ceiling(2_131), (2_500, 500));
        for most in 1..5_000 {
            let (top, step) = ceiling(most);
            assert!(top >= most && top % step == 0 && top / step <= 5, "{most}");
        }
        assert_eq!(time_ticks(600_000).len(), 6);
        assert_eq!(short(time_ticks(9 * 3_600_000)[1]), "2 h");
        assert_eq!(decades(5, 90), [3, 10, 30, 100]);
        assert_eq!(decades(1, 1), [1, 3]);
    }
}
