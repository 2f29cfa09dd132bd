//! Aligned tables for people.

use super::escape::escape;

/// Rows under headings, each column as wide as its widest cell. Cells are escaped.
pub struct Table {
    headings: Vec<Heading>,
    rows: Vec<Vec<String>>,
}

/// A column's title and the side its cells lean to.
pub struct Heading {
    title: &'static str,
    right: bool,
}

/// A column of words.
pub fn left(title: &'static str) -> Heading {
    Heading {
        title,
        right: false,
    }
}

/// A column of numbers.
pub fn right(title: &'static str) -> Heading {
    Heading { title, right: true }
}

impl Table {
    /// A table without rows.
    pub fn new(headings: impl IntoIterator<Item = Heading>) -> Self {
        Self {
            headings: headings.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; a missing cell is empty, a surplus one is left out.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut cells: Vec<String> = cells
            .into_iter()
            .map(|cell| escape(&cell).into_owned())
            .collect();
        cells.resize(self.headings.len(), String::new());
        self.rows.push(cells);
    }

    /// The table as text, without a newline at its end.
    pub fn render(&self) -> String {
        let titles: Vec<String> = self.headings.iter().map(|h| h.title.into()).collect();
        let widths = self.widths();
        std::iter::once(&titles)
            .chain(&self.rows)
            .map(|cells| self.line(cells, &widths))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self.headings.iter().map(|h| width(h.title)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        widths
    }

    fn line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((heading, cell), widest) in self.headings.iter().zip(cells).zip(widths) {
            let gap = " ".repeat(widest - width(cell));
            if heading.right {
                line.extend([gap.as_str(), cell]);
            } else {
                line.extend([cell, gap.as_str()]);
            }
            line.push_str("  ");
        }
        line.truncate(line.trim_end().len());
        line
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A number of bytes in the unit that keeps it short.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut amount = count as f64 / 1024.0;
    let mut unit = 0;
    while amount >= 1000.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    format!("{amount:.1} {}", UNITS[unit])
}

/// The first characters of an id or digest, enough for eyes to compare.
pub fn short(hex: &str) -> String {
    hex.chars().take(12).collect()
}

/// A whole number with its thousands apart.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_align_and_lines_end_without_blanks() {
        let mut table = Table::new([left("NAME"), right("POSTS"), left("STATE")]);
        table.row(["alpha".into(), "7".into(), "active".into()]);
        table.row(["bo".into(), "12345".into()]);
        assert_eq!(
            table.render(),
            "NAME   POSTS  STATE\nalpha      7  active\nbo     12345"
        );
    }

    #[test]
    fn a_cell_cannot_break_the_table() {
        let mut table = Table::new([left("NAME")]);
        table.row(["a\nb\u{1b}".into()]);
        assert_eq!(table.render(), "NAME\na\\nb\\u{1b}");
    }

    #[test]
    fn numbers_are_short_and_readable() {
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(1000 * 1024 * 1024), "1.0 GiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(thousands(999), "999");
        assert_eq!(short("0123456789abcdef"), "0123456789ab");
    }
}
