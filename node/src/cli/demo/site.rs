//! Where the nodes of a demonstration live.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::super::failure;
use super::names;
use crate::api::ApiError;
use crate::config;

/// A directory with a directory per partner.
pub struct Site {
    root: PathBuf,
    /// Removed with its contents at the end.
    _temporary: Option<TempDir>,
}

impl Site {
    /// Uses `keep`, or a temporary directory if none is given.
    pub fn open(keep: Option<PathBuf>, partners: &[String]) -> Result<Self, ApiError> {
        let site = match keep {
            Some(root) => Self::kept(root)?,
            None => Self::temporary()?,
        };
        site.check_partners(partners)?;
        Ok(site)
    }

    fn kept(root: PathBuf) -> Result<Self, ApiError> {
        std::fs::create_dir_all(&root)
            .and_then(|()| root.canonicalize())
            .map(|root| Self {
                root,
                _temporary: None,
            })
            .map_err(|error| failure::file(&root, &error))
    }

    fn temporary() -> Result<Self, ApiError> {
        let temporary = temporary_directory()?;
        Ok(Self {
            root: temporary.path().into(),
            _temporary: Some(temporary),
        })
    }

    /// Who took part decides who posts what: a kept demonstration continues with the same
    /// partners or not at all.
    fn check_partners(&self, partners: &[String]) -> Result<(), ApiError> {
        let made: Vec<&str> = names::all().filter(|name| self.is_made(name)).collect();
        if made.is_empty() || made == partners {
            return Ok(());
        }
        Err(failure::operator(
            "other_demo",
            format!(
                "{} holds a demonstration of {} partners ({})",
                self.root.display(),
                made.len(),
                made.join(", ")
            ),
            "give the same number with --partners, or another directory with --keep",
        ))
    }

    /// The directory of a partner's node.
    pub fn dir(&self, partner: &str) -> PathBuf {
        self.root.join(partner)
    }

    /// Whether the partner has a node here already.
    pub fn is_made(&self, partner: &str) -> bool {
        self.dir(partner).join(config::FILE_NAME).exists()
    }

    /// The directory of all.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// A directory that only this user may look into, gone when dropped.
pub fn temporary_directory() -> Result<TempDir, ApiError> {
    tempfile::Builder::new()
        .prefix("comity-demo-")
        .tempdir()
        .map_err(|error| failure::file(&std::env::temp_dir(), &error))
}

#[cfg(test)]
mod tests {
    use super::super::names::names;
    use super::*;

    #[test]
    fn a_kept_demonstration_continues_with_its_partners_only() {
        let dir = tempfile::tempdir().unwrap();
        let keep = || Some(dir.path().to_owned());
        let site = Site::open(keep(), &names(3)).unwrap();
        for partner in names(3) {
            std::fs::create_dir(site.dir(&partner)).unwrap();
            std::fs::write(site.dir(&partner).join(config::FILE_NAME), "").unwrap();
        }
        assert!(Site::open(keep(), &names(3)).is_ok());
        let error = Site::open(keep(), &names(4)).err().unwrap();
        assert_eq!(error.code, "other_demo");
    }

    #[test]
    fn a_temporary_site_is_removed() {
        let site = Site::open(None, &names(2)).unwrap();
        let root = site.root().to_owned();
        assert!(root.exists());
        drop(site);
        assert!(!root.exists());
    }
}
