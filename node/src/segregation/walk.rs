//! The files of a node's directory, and others that are to be searched with it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{DEFAULT_KEY_FILE, FILE_NAME};
use crate::keystore;

/// Files beside the store that a node has.
const NODE_FILES: [&str; 4] = [
    FILE_NAME,
    DEFAULT_KEY_FILE,
    "storage.key.rotating",
    "root.key",
];
/// How the names of files that RocksDB keeps begin, and end.
const STORE_STARTS: [&str; 6] = [
    "MANIFEST-",
    "CURRENT",
    "LOCK",
    "LOG",
    "OPTIONS-",
    "IDENTITY",
];
const STORE_ENDS: [&str; 4] = ["sst", "log", "blob", "dbtmp"];

/// A file that was looked at.
#[derive(Debug, Serialize)]
pub struct Looked {
    pub path: PathBuf,
    pub bytes: u64,
    /// Whether each of its bytes was searched.
    pub searched: bool,
}

/// What there is.
#[derive(Debug, Default)]
pub struct Walked {
    /// In the order of their paths.
    pub files: Vec<Looked>,
    /// Files in the node's directory that are not a node's own.
    pub strangers: Vec<PathBuf>,
    /// What could not be looked at, and why.
    pub unreadable: Vec<String>,
}

/// Lists every file below the directory, which has its storage key in `key_file`, and below
/// `also`. Links to files are followed; links to
/// directories are not, since they may lead anywhere, and are listed as not looked at.
pub fn walk(dir: &Path, key_file: &Path, also: &[PathBuf]) -> Walked {
    let mut walked = Walked::default();
    walked.below(dir);
    let files = walked.files.iter().map(|file| file.path.clone());
    walked.strangers = files
        .filter(|path| path != key_file && !is_own(dir, path))
        .collect();
    for path in also {
        walked.below(path);
    }
    let files = &mut walked.files;
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files.dedup_by(|one, other| one.path == other.path);
    walked.strangers.sort_unstable();
    walked
}

impl Walked {
    fn below(&mut self, root: &Path) {
        let mut paths = vec![root.to_path_buf()];
        while let Some(path) = paths.pop() {
            if let Err(error) = self.take(&path, path == root, &mut paths) {
                self.unreadable.push(format!("{}: {error}", path.display()));
            }
        }
    }

    fn take(
        &mut self,
        path: &Path,
        is_root: bool,
        paths: &mut Vec<PathBuf>,
    ) -> std::io::Result<()> {
        let is_link = fs::symlink_metadata(path)?.is_symlink();
        let metadata = fs::metadata(path)?;
        if metadata.is_file() {
            self.files.push(Looked {
                path: path.into(),
                bytes: metadata.len(),
                searched: false,
            });
        } else if metadata.is_dir() && is_link && !is_root {
            let text = format!("{}: a link to another directory", path.display());
            self.unreadable.push(text);
        } else if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                paths.push(entry?.path());
            }
        }
        // What is left are sockets, pipes and devices, which hold nothing.
        Ok(())
    }
}

fn is_own(dir: &Path, path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let Some(parent) = path.parent() else {
        return false;
    };
    if parent == dir {
        return NODE_FILES.contains(&name);
    }
    let end = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    parent == keystore::store_path(dir)
        && (STORE_ENDS.contains(&end) || STORE_STARTS.iter().any(|start| name.starts_with(start)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_file_is_listed_and_what_is_not_the_nodes_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        fs::create_dir_all(at("node/store/deep")).unwrap();
        let own = [
            "node/comity.toml",
            "node/my.key",
            "node/store/000012.sst",
            "node/store/LOG.old.1",
        ];
        let others = [
            "node/copy.sst",
            "node/store/deep/000013.sst",
            "node/store/notes",
        ];
        for path in own.iter().chain(&others) {
            fs::write(at(path), "x").unwrap();
        }
        fs::write(at("log"), "12").unwrap();
        symlink(dir.path(), at("node/loop")).unwrap();
        symlink(at("log"), at("node/root.key")).unwrap();

        let walked = walk(
            &at("node"),
            &at("node/my.key"),
            &[at("log"), at("log"), at("nowhere")],
        );
        assert_eq!(walked.files.len(), own.len() + others.len() + 2);
        assert_eq!(walked.strangers, others.map(at));
        assert_eq!(walked.unreadable.len(), 2, "{:?}", walked.unreadable);
    }
}
