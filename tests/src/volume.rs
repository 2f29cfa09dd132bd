//! A disk of a given size, in memory.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::say;

const FILLER: &str = "filler";
const BLOCK: usize = 64 << 10;

/// A file system of its own; unmounted when this is dropped.
pub struct Volume {
    dir: TempDir,
}

impl Volume {
    /// A volume of that many MiB; none where this user may not mount one, which is said on
    /// standard error.
    pub fn of(mib: u32) -> Option<Volume> {
        let dir = TempDir::new().expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(mounted) if mounted.status.success() => Some(Volume { dir }),
            _ => {
                say("NOT TESTED: a disk of its own needs the right to mount one");
                None
            }
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Takes all room but so many bytes.
    pub fn fill_up_to(&self, left: u64) {
        let mut file = File::create(self.filler()).expect("a file on the volume");
        let block = vec![1; BLOCK];
        let full = loop {
            if let Err(error) = file.write_all(&block) {
                break error;
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::StorageFull, "{full}");
        let length = file.metadata().expect("an open file").len();
        file.set_len(length.saturating_sub(left))
            .expect("a shorter file");
    }

    /// Gives back what was taken.
    pub fn clear(&self) {
        std::fs::remove_file(self.filler()).expect("what filled the volume");
    }

    fn filler(&self) -> PathBuf {
        self.dir.path().join(FILLER)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: a node that failed its test may still have files open.
        let done = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(done.is_ok_and(|done| done.success()) || std::thread::panicking());
    }
}
