//! `comity check`: what an operator should know before starting a node.

use std::path::Path;

use crate::audit::Audit;
use crate::config::{Config, TlsSource};
use crate::environment::Clock;
use crate::http::door::acme;
use crate::http::door::certificates::Loaded;
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
    let tls = config.as_ref().ok().and_then(|it| it.http.tls.clone());
    if let Some(TlsSource::Files { certificate, key }) = &tls {
        let loaded = Loaded::from_files(&dir.join(certificate), &dir.join(key));
        found_certificate(loaded.map_err(|error| error.to_string()), &mut found);
    }
    // A configuration that cannot be read does not keep the rest from being looked at.
    let source = config.map(|config| config.storage).unwrap_or_default();
    match keystore::open_store(dir, &source) {
        Ok(store) => {
            check_store(&store, &mut found);
            if let Some(TlsSource::Acme(acme)) = &tls {
                match acme::kept(&store, acme) {
                    Ok(Some(loaded)) => found_certificate(Ok(loaded), &mut found),
                    Ok(None) => found(
                        Severity::Warning,
                        "there is no certificate for users yet: the running node asks for one"
                            .into(),
                    ),
                    Err(error) => found_certificate(Err(error.to_string()), &mut found),
                }
            }
        }
        Err(KeyFileError::Store(StoreError::InUse { .. })) => found(
            Severity::Warning,
            "the node is running: its store can be looked at only once it is stopped".into(),
        ),
        Err(error) => found(Severity::Failed, error.to_string()),
    }
    findings
}

/// The certificate of the users' side.
fn found_certificate(loaded: Result<Loaded, String>, found: &mut impl FnMut(Severity, String)) {
    match loaded {
        Ok(loaded) => match loaded.warning(Clock::System.unix_ms()) {
            Some(warning) => found(Severity::Warning, warning),
            None => found(
                Severity::Ok,
                format!("the users' certificate can be used, {}", loaded.description),
            ),
        },
        Err(error) => found(Severity::Failed, format!("the users' certificate: {error}")),
    }
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
