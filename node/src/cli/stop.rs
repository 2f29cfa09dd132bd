//! `comity stop`: stops the running node gracefully, and waits until it has.

use std::path::Path;
use std::time::{Duration, Instant};

use super::client::Connection;
use super::exit::Exit;
use super::failure::{self, NOT_ANSWERING};
use super::output::Output;
use crate::api::{ApiError, Request};
use crate::config::Config;

/// How long a graceful stop may take: it writes out what is in memory.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(50);

/// What came of it.
#[derive(serde::Serialize)]
struct Stopped {
    was_running: bool,
}

pub async fn run(dir: &Path, output: &Output) -> Result<Exit, ApiError> {
    let was_running = stop(dir).await?;
    if !was_running {
        Config::load(dir)?;
    }
    output.answer(&Stopped { was_running }, |stopped| {
        match stopped.was_running {
            true => "stopped".into(),
            false => "no node was running".into(),
        }
    })?;
    Ok(Exit::Ok)
}

/// Stops the node in `dir` and waits for its end; tells whether one was running.
pub async fn stop(dir: &Path) -> Result<bool, ApiError> {
    let Some(mut connection) = Connection::open(dir).await? else {
        return Ok(false);
    };
    connection.order(&Request::Stop).await?;
    drop(connection);
    let begun = Instant::now();
    while Connection::open(dir).await?.is_some() {
        if begun.elapsed() > PATIENCE {
            return Err(failure::node(
                NOT_ANSWERING,
                format!(
                    "the node still runs {} s after the order",
                    PATIENCE.as_secs()
                ),
            ));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(true)
}
