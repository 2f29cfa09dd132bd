//! Keeping every frame that peers send, as it comes out of the links: for tests, and for whoever
//! wants to see what a node is told. Bodies in the frames are sealed, the rest is in the clear.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use tokio::sync::mpsc;

use crate::transport::LinkEvent;

/// Bytes that are kept at most: a forgotten setting is not to fill the disk.
const KEPT_BYTES_MAX: u64 = 1 << 30;
/// Events that may wait between here and the driver; the links have their own queue before it.
const WAITING: usize = 16;

/// Passes link events on, and appends their frames to a file that only its owner may read.
pub fn keep(
    mut links: mpsc::Receiver<LinkEvent>,
    path: &Path,
) -> io::Result<mpsc::Receiver<LinkEvent>> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).append(true).mode(0o600).open(path)?;
    let mut kept = file.metadata()?.len();
    tracing::warn!(path = %path.display(), "what peers send is kept in a file");
    let (pass_on, passed) = mpsc::channel(WAITING);
    tokio::task::spawn_blocking(move || {
        while let Some(event) = links.blocking_recv() {
            if let LinkEvent::Frame { bytes, .. } = &event {
                append(&mut file, bytes, &mut kept);
            }
            if pass_on.blocking_send(event).is_err() {
                return;
            }
        }
    });
    Ok(passed)
}

fn append(file: &mut File, bytes: &[u8], kept: &mut u64) {
    if *kept >= KEPT_BYTES_MAX {
        return;
    }
    *kept = kept.saturating_add(bytes.len() as u64);
    if let Err(error) = file.write_all(bytes) {
        tracing::error!(%error, "what peers send is no longer kept");
        *kept = KEPT_BYTES_MAX;
    } else if *kept >= KEPT_BYTES_MAX {
        tracing::error!("what peers send is no longer kept: the file is full");
    }
}
