//! A report as text for a terminal, as JSON, and as a page.

use std::path::{Path, PathBuf};

use super::metrics::{Delay, Report};

impl Report {
    /// The figures as JSON, indented.
    pub fn json(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and strings") + "\n"
    }
}
