//! `comity check`: looks a node's directory over.

use std::path::Path;

use serde::Serialize;

use super::escape::escape;
use super::exit::Exit;
use super::output::Output;
use crate::api::ApiError;
use crate::service::{self, Finding, Severity};

/// A finding as programs read it.
#[derive(Serialize)]
struct Found<'a> {
    severity: &'static str,
    text: &'a str,
}

pub fn run(dir: &Path, output: &Output) -> Result<Exit, ApiError> {
    let findings = service::check(dir);
    for finding in &findings {
        let found = Found {
            severity: name(finding.severity),
            text: &finding.text,
        };
        output.answer(&found, |found| {
            format!("{:<8} {}", found.severity, escape(found.text))
        })?;
    }
    Ok(worst(&findings))
}

/// The exit of the worst finding; nothing found is nothing known.
fn worst(findings: &[Finding]) -> Exit {
    findings
        .iter()
        .map(|finding| match finding.severity {
            Severity::Ok => Exit::Ok,
            Severity::Warning => Exit::Warning,
            Severity::Failed => Exit::Failed,
        })
        .max()
        .unwrap_or(Exit::Unknown)
}

fn name(severity: Severity) -> &'static str {
    match severity {
        Severity::Ok => "ok",
        Severity::Warning => "warning",
        Severity::Failed => "failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let finding = |severity| Finding {
            severity,
            text: String::new(),
        };
        let findings = [Severity::Ok, Severity::Failed, Severity::Warning].map(finding);
        assert_eq!(worst(&findings), Exit::Failed);
        assert_eq!(worst(&findings[..1]), Exit::Ok);
        assert_eq!(worst(&[]), Exit::Unknown);
    }
}
