//! How a command ended, and what it printed.

use std::io::Write as _;
use std::process::{Command, ExitStatus, Stdio};

use comity_node::api::ApiError;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The end of a command.
#[derive(Debug)]
pub struct Outcome {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Outcome {
    /// Runs a command to its end, with `input` on its standard input.
    pub fn of(mut command: Command, input: &[u8]) -> Outcome {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut stdin = child.stdin.take().expect("a pipe, as was asked for");
        // A command that wants no input may have closed it.
        let _ = stdin.write_all(input);
        drop(stdin);
        let output = child
            .wait_with_output()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Outcome {
            command: format!("{command:?}"),
            status: output.status,
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The exit code.
    pub fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("{} was killed: {}", self.command, self.status))
    }

    /// Requires success.
    #[track_caller]
    pub fn ok(self) -> Outcome {
        assert_eq!(self.code(), 0, "{}\n{}", self.command, self.stderr);
        self
    }

    /// Standard output as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("comity prints UTF-8")
    }

    /// The objects that a command with `--json` printed, one a line.
    #[track_caller]
    pub fn objects<T: DeserializeOwned>(&self) -> Vec<T> {
        self.text().lines().map(|line| self.parse(line)).collect()
    }

    /// The one object that a command with `--json` printed.
    #[track_caller]
    pub fn object<T: DeserializeOwned>(&self) -> T {
        self.parse(self.text().trim_end())
    }

    /// Requires failure with exit code 2, reported as an object as `--json` wants it.
    #[track_caller]
    pub fn failed(&self) -> ApiError {
        #[derive(Deserialize)]
        struct Report {
            error: ApiError,
        }

        assert_eq!(self.code(), 2, "{}\n{}", self.command, self.text());
        let report: Report = self.parse(self.stderr.trim_end());
        report.error
    }

    /// Requires failure with exit code 2, reported in the three lines for people: what happened,
    /// whose fault it is, what to do.
    #[track_caller]
    pub fn failed_in_words(&self) -> [&str; 3] {
        assert_eq!(self.code(), 2, "{}\n{}", self.command, self.text());
        let lines: Vec<&str> = self.stderr.lines().collect();
        let [what, fault, advice] = lines[..] else {
            panic!("{}: not three lines:\n{}", self.command, self.stderr);
        };
        let rest = |line: &'_ str, label: &str| line.starts_with(label) && line.len() > label.len();
        assert!(rest(what, "error: "), "{what}");
        assert!(rest(fault, "fault: "), "{fault}");
        assert!(rest(advice, "to do: "), "{advice}");
        [what, fault, advice]
    }

    #[track_caller]
    fn parse<T: DeserializeOwned>(&self, text: &str) -> T {
        serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("{}: {error} in {text:?}", self.command))
    }
}
