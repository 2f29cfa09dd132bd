//! The process of one node.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use super::super::failure;
use super::command::command;
use crate::api::ApiError;

/// The log of a node, inside its directory.
const LOG: &str = "serve.log";
/// How much of the log's end tells why a node died.
const LAST_BYTES: i64 = 2048;
const LAST_LINES: usize = 5;

/// A `comity serve` that ends with this value: killed when it is dropped, and told to stop by
/// the end of its standard input if this process is gone before it could do either.
pub struct Child {
    partner: String,
    log: PathBuf,
    process: tokio::process::Child,
}

impl Child {
    /// Starts the node of `partner` in `dir`.
    pub fn start(partner: &str, dir: &Path) -> Result<Self, ApiError> {
        let log = dir.join(LOG);
        let file = open_log(&log).map_err(|error| failure::file(&log, &error))?;
        let process = command(dir)?
            .args(["serve", "--until-stdin-ends"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(|error| failure::node("spawn", error))?;
        Ok(Self {
            partner: partner.into(),
            log,
            process,
        })
    }

    /// The id of the process, as long as it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        // An error means that the process cannot be waited for: it is not there.
        self.process
            .try_wait()
            .unwrap_or(Some(ExitStatus::default()))
    }

    /// The failure of a process that ended when it should not have.
    pub fn death(&mut self) -> Option<ApiError> {
        let status = self.ended()?;
        let log = last_lines(&self.log).unwrap_or_default();
        Some(failure::node(
            "node_died",
            format!(
                "the node of {} died ({status}); its log ends: {log}",
                self.partner
            ),
        ))
    }

    /// Waits for the end of a process that was told to stop; kills it after `patience`.
    pub async fn finish(&mut self, patience: Duration) {
        let ended = tokio::time::timeout(patience, self.process.wait()).await;
        if ended.is_err() {
            // It fails only for a process that has ended meanwhile.
            let _ = self.process.kill().await;
        }
    }
}

fn open_log(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn last_lines(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    // A log shorter than that is read from its start.
    if file.seek(SeekFrom::End(-LAST_BYTES)).is_err() {
        file.rewind()?;
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().rev().take(LAST_LINES).collect();
    Ok(lines.into_iter().rev().collect::<Vec<_>>().join(" / "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_its_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOG);
        std::fs::write(&path, "1\n2\n").unwrap();
        assert_eq!(last_lines(&path).unwrap(), "1 / 2");
        std::fs::write(&path, "long line\n".repeat(1000) + "6\n7\n8\n9\n10\n").unwrap();
        assert_eq!(last_lines(&path).unwrap(), "6 / 7 / 8 / 9 / 10");
    }
}
