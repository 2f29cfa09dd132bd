//! `comity check`: what an operator should know before starting a node.

use std::path::Path;

use crate::audit::Audit;
use crate::config::Config;
use crate::environment::Clock;
use crate::keystore::{self, KeyFileError};
use crate::store::{Store, StoreError};

/// A certificate that ends within this is worth a warning: 30 days.
const CERTIFICATE_SOON_MS: u64 = 30 * 24 * 3600 * 1000;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Ok,
    Warning,
    Failed,
}

/// One thing that was looked at.
#[derive(Debug, Clone)]
pub struct Finding {
    pub severity: Severity,
    pub text: String,
}

/// Looks a node's directory over. The node must not be running: its store is opened.
pub fn check(dir: &Path) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = |severity, text: String| findings.push(Finding { severity, text });
    let config = Config::load(dir);
    match &config {
        Ok(_) => found(Severity::Ok, "the configuration is well formed".into()),
        Err(error) => found(Severity::Failed, error.to_string()),
    }
    if keystore::root_is_here(dir) {
        found(
            Severity::Warning,
            "root.key lies beside the node: move it to a safe place offline".into(),
        );
    }
    // A configuration that cannot be read does not keep the rest from being looked at.
    let source = config.map(|config| config.storage).unwrap_or_default();
    match keystore::open_store(dir, &source) {
        Ok(store) => check_store(&store, &mut found),
        Err(KeyFileError::Store(StoreError::InUse { .. })) => found(
            Severity::Warning,
            "the node is running: its store can be looked at only once it is stopped".into(),
        ),
        Err(error) => found(Severity::Failed, error.to_string()),
    }
    findings
}

fn check_store(store: &Store, found: &mut impl FnMut(Severity, String)) {
    found(
        Severity::Ok,
        format!("the store opens, under storage key {}", store.key_id()),
    );
    match keystore::load(store) {
        Ok(keys) => {
            found(Severity::Ok, "the node's keys fit its identity".into());
            if keys.own.spares.is_empty() {
                let text = "the node has no spare writer, for after a restore: comity writer add";
                found(Severity::Warning, text.into());
            }
            let ends = keys
                .own
                .identity
                .certificates
                .nodes
                .iter()
                .map(|node| node.not_after_ms)
                .min()
                .unwrap_or(0);
            if ends < Clock::System.unix_ms() + CERTIFICATE_SOON_MS {
                found(
                    Severity::Warning,
                    "the node's certificate ends within 30 days, or has ended".into(),
                );
            }
        }
        Err(error) => found(Severity::Failed, error.to_string()),
    }
    match Audit::open(store.clone()) {
        Ok(_) => found(Severity::Ok, "the audit record is whole".into()),
        Err(error) => found(Severity::Failed, error.to_string()),
    }
}
