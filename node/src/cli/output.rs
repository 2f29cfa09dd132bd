//! Where a command's answers go: standard output for answers, standard error for all else.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::failure::{self, READER_GONE};
use crate::api::ApiError;

/// Prints for people or, with `--json`, one JSON object a line for programs.
///
/// Text for people is expected to be escaped by whoever makes it (see [`super::escape`]).
pub struct Output {
    json: bool,
    stdout: Mutex<BufWriter<Stdout>>,
}

impl Output {
    /// Buffered output; [`Output::flush`] must be called at the end.
    pub fn new(json: bool) -> Self {
        Self {
            json,
            stdout: Mutex::new(BufWriter::new(io::stdout())),
        }
    }

    /// Whether programs are reading.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person at a terminal can be asked something.
    pub fn is_interactive(&self) -> bool {
        !self.json && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Prints an answer: as an object for programs, as `text` makes of it for people.
    pub fn answer<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), ApiError> {
        if self.json {
            self.object(value)
        } else {
            self.text(&text(value))
        }
    }

    /// Prints one JSON object on a line of its own.
    pub fn object<T: Serialize>(&self, value: &T) -> Result<(), ApiError> {
        self.write(|out| {
            serde_json::to_writer(&mut *out, value)?;
            out.write_all(b"\n")
        })
    }

    /// Prints text and a newline.
    pub fn text(&self, text: &str) -> Result<(), ApiError> {
        self.write(|out| writeln!(out, "{text}"))
    }

    /// Prints text as it is.
    pub fn verbatim(&self, text: &str) -> Result<(), ApiError> {
        self.write(|out| out.write_all(text.as_bytes()))
    }

    /// Says something to a person on standard error; programs are spared it.
    pub fn note(&self, text: &str) {
        if !self.json {
            // Nobody is left to be told when standard error is gone.
            let _ = writeln!(io::stderr(), "{text}");
        }
    }

    /// Reports a failure on standard error.
    pub fn failure(&self, error: &ApiError) {
        if error.code == READER_GONE {
            return;
        }
        let report = if self.json {
            serde_json::json!({ "error": error }).to_string()
        } else {
            failure::three_lines(error)
        };
        let _ = writeln!(io::stderr(), "{report}");
    }

    /// Hands over what is buffered.
    pub fn flush(&self) -> Result<(), ApiError> {
        self.write(|out| out.flush())
    }

    fn write(
        &self,
        action: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>,
    ) -> Result<(), ApiError> {
        // A panic while writing leaves nothing in the buffer that could not be added to.
        let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        action(&mut stdout).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => failure::operator(READER_GONE, error, ""),
            _ => failure::operator("output", error, "check where standard output goes"),
        })
    }
}
