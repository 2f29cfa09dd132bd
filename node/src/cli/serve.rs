//! `comity serve`: runs the node.

use std::io::Read as _;
use std::path::Path;

use tokio::sync::oneshot;

use super::args::ServeArgs;
use super::client::Connection;
use super::exit::Exit;
use super::{failure, logging};
use crate::api::{ApiError, Request};
use crate::config::Config;
use crate::service;

pub async fn run(dir: &Path, args: ServeArgs) -> Result<Exit, ApiError> {
    let config = Config::load(dir)?;
    logging::configured(&config.log);
    let served = if args.until_stdin_ends {
        serve_until(dir, config, args.restored, stdin_end()).await
    } else {
        service::serve(dir, config, args.restored).await
    };
    served.map(|()| Exit::Ok).map_err(blame)
}

/// Serves; stops gracefully when `end` comes.
async fn serve_until(
    dir: &Path,
    config: Config,
    restored: Option<u8>,
    end: oneshot::Receiver<()>,
) -> anyhow::Result<()> {
    let serving = service::serve(dir, config, restored);
    tokio::pin!(serving);
    tokio::select! {
        served = &mut serving => return served,
        _ = end => {}
    }
    let stopping = async {
        if let Some(mut connection) = Connection::open(dir).await? {
            connection.order(&Request::Stop).await?;
        }
        Ok::<(), ApiError>(())
    };
    let (served, stopped) = tokio::join!(serving, stopping);
    served.and(stopped.map_err(Into::into))
}

/// Tells when standard input has ended. Reading it cannot be interrupted, hence the thread.
fn stdin_end() -> oneshot::Receiver<()> {
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || {
        let mut scrap = [0; 256];
        while matches!(std::io::stdin().read(&mut scrap), Ok(count) if count > 0) {}
        // Nobody listens any more when the node has stopped already.
        let _ = ended.send(());
    });
    end
}

/// Keeps a failure that says whose fault it is, and blames this node for any other.
fn blame(error: anyhow::Error) -> ApiError {
    match error.downcast::<ApiError>() {
        Ok(error) => error,
        Err(error) => failure::node("serve", format!("{error:#}")),
    }
}
