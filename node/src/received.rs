//! Keeping every frame that peers send, as it comes out of the links: for tests, and for whoever
//! wants to see what a node is told. Bodies in the frames are sealed, the rest is in the clear.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Bytes that are kept at most: a forgotten setting is not to fill the disk.
const KEPT_BYTES_MAX: u64 = 1 << 30;

/// The file that frames are kept in; only its owner may read it.
pub struct Received {
    file: File,
    kept: u64,
}

impl Received {
    /// Appends to what the file has.
    pub fn open(path: &Path) -> io::Result<Received> {
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(path)?;
        let kept = file.metadata()?.len();
        tracing::warn!(path = %path.display(), "what peers send is kept in a file");
        Ok(Received { file, kept })
    }

    /// Appends a frame, until the file is full or cannot be written.
    pub fn keep(&mut self, frame: &[u8]) {
        if self.kept >= KEPT_BYTES_MAX {
            return;
        }
        self.kept = self.kept.saturating_add(frame.len() as u64);
        if let Err(error) = self.file.write_all(frame) {
            tracing::error!(%error, "what peers send is no longer kept");
            self.kept = KEPT_BYTES_MAX;
        } else if self.kept >= KEPT_BYTES_MAX {
            tracing::error!("what peers send is no longer kept: the file is full");
        }
    }
}
