//! Exit codes, as monitoring expects them.

use std::process::ExitCode;

use super::failure::{NOT_ANSWERING, READER_GONE};
use crate::api::ApiError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// It was done, and something wants a look.
    Warning = 1,
    /// It was not done, or what was asked about is broken.
    Failed = 2,
    /// It cannot be told.
    Unknown = 3,
}

impl Exit {
    /// The exit that a failure leads to.
    pub fn of(error: &ApiError) -> Self {
        match error.code.as_str() {
            NOT_ANSWERING => Self::Unknown,
            READER_GONE => Self::Ok,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::super::failure;
    use super::*;

    #[test]
    fn codes_are_those_of_monitoring() {
        let codes = [Exit::Ok, Exit::Warning, Exit::Failed, Exit::Unknown].map(|exit| exit as u8);
        assert_eq!(codes, [0, 1, 2, 3]);
    }

    #[test]
    fn a_silent_node_is_unknown_and_a_refusal_is_failed() {
        let silent = failure::node(NOT_ANSWERING, "the node does not answer");
        let refused = failure::operator("no_such_channel", "there is no channel x", "");
        assert_eq!(Exit::of(&silent), Exit::Unknown);
        assert_eq!(Exit::of(&refused), Exit::Failed);
    }
}
