//! Runs this program's own commands, as a sysadmin would type them.

use std::path::Path;
use std::process::{Output, Stdio};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;

use super::super::failure;
use crate::api::ApiError;

/// Runs `comity --json --dir DIR ARGUMENTS` and reads the one object that it prints.
pub async fn comity<T: DeserializeOwned>(dir: &Path, arguments: &[&str]) -> Result<T, ApiError> {
    let output = command(dir)?
        .arg("--json")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .await
        .map_err(|error| failure::node("spawn", error))?;
    if !output.status.success() {
        return Err(reported(&output, arguments));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| failure::node("bad_answer", format!("comity {arguments:?}: {error}")))
}

/// A command of this very program on the node in `dir`; killed if nobody waits for it any more.
pub fn command(dir: &Path) -> Result<Command, ApiError> {
    let program = std::env::current_exe().map_err(|error| failure::node("own_path", error))?;
    let mut command = Command::new(program);
    command.arg("--dir").arg(dir).kill_on_drop(true);
    // Ctrl-C is for the demonstration, which then ends its processes in good order.
    command.process_group(0);
    Ok(command)
}

/// The failure as the command itself reported it.
fn reported(output: &Output, arguments: &[&str]) -> ApiError {
    #[derive(Deserialize)]
    struct Report {
        error: ApiError,
    }

    let text = String::from_utf8_lossy(&output.stderr);
    let report = text
        .lines()
        .rev()
        .find_map(|line| serde_json::from_str(line).ok());
    match report {
        Some(Report { error }) => ApiError {
            what: format!("comity {}: {}", arguments.join(" "), error.what),
            ..error
        },
        None => failure::node(
            "command",
            format!(
                "comity {} ({}): {}",
                arguments.join(" "),
                output.status,
                text.trim()
            ),
        ),
    }
}
