//! Failures: what happened, whose fault it is, what to do.

use std::fmt::Display;
use std::path::Path;

use super::escape::escape;
use crate::api::{ApiError, Fault};

/// A node has its socket open and gives no (whole) answer.
pub const NOT_ANSWERING: &str = "not_answering";
/// Whoever read the output of the command went away, as `head` does.
pub const READER_GONE: &str = "reader_gone";

/// A failure that whoever gave the command can mend.
pub fn operator(code: &str, what: impl Display, advice: &str) -> ApiError {
    failure(Fault::Operator, code, what, advice)
}

/// A failure of this node or its machine.
pub fn node(code: &str, what: impl Display) -> ApiError {
    failure(
        Fault::Node,
        code,
        what,
        "look at the node's log and the machine's disk, then at docs/operations.md",
    )
}

/// A file that the command was told to use cannot be used.
pub fn file(path: &Path, error: &std::io::Error) -> ApiError {
    let advice = match error.kind() {
        std::io::ErrorKind::AlreadyExists => "name a file that does not exist yet, or remove it",
        std::io::ErrorKind::NotFound => "check the path",
        std::io::ErrorKind::PermissionDenied => "run the command as a user that may use the file",
        _ => "check the path and the disk",
    };
    operator("file", format!("{}: {error}", path.display()), advice)
}

fn failure(fault: Fault, code: &str, what: impl Display, advice: &str) -> ApiError {
    ApiError {
        code: code.into(),
        what: what.to_string(),
        fault,
        advice: advice.into(),
    }
}

/// The three lines that a person reads.
pub fn three_lines(error: &ApiError) -> String {
    let advice = match error.advice.as_str() {
        "" => "look up the code in docs/operations.md",
        advice => advice,
    };
    format!(
        "error: {} [{}]\nfault: {}\nto do: {}",
        escape(&error.what),
        escape(&error.code),
        whose(error.fault),
        escape(advice),
    )
}

fn whose(fault: Fault) -> &'static str {
    match fault {
        Fault::Operator => "the operator's: this command, or the configuration",
        Fault::User => "the user's whom the command names",
        Fault::Peer => "another partner's",
        Fault::Node => "this node's: a bug, the disk or the store",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_three_lines_whatever_it_contains() {
        let error = operator("odd", "no channel \"\u{1b}[2J\nx\"", "");
        let text = three_lines(&error);
        assert_eq!(text.lines().count(), 3);
        assert!(text.contains("\\u{1b}[2J\\nx"), "{text}");
        assert!(text.lines().last().unwrap().starts_with("to do: look up"));
    }
}
