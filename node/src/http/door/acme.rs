//! Certificates from an authority that speaks ACME (RFC 8555). It looks whether the domains are this
//! node's by a handshake on the users' own port (tls-alpn-01, RFC 8737), so that no second port and no
//! page in the clear is needed. Account, key and certificate lie in the store, sealed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_protocol::rows::{Row, Table};
use instant_acme::{
    Account, AccountCredentials, AuthorizationStatus, ChallengeType, Identifier, NewAccount,
    NewOrder, OrderStatus, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use super::certificates::{
    ALPN_ACME, CertificateError, Certificates, Loaded, builder, heard, record, warn,
};
use crate::config::AcmeConfig;
use crate::home::people::CERTIFICATE;
use crate::node::Node;
use crate::store::{Store, StoreError};

/// How long one order may take: an authority looks from several places, and may have a queue.
const ORDER: Duration = Duration::from_secs(300);
/// How an authority is asked again whether it is done.
const RETRY: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_secs(1))
    .timeout(Duration::from_secs(120));
/// How long the next attempt waits after a failed one, doubled each time up to the most: public
/// authorities allow five failures an hour for one domain.
const REST: Duration = Duration::from_secs(180);
const REST_MOST: Duration = Duration::from_secs(6 * 3600);
/// The longest time in which nobody looks whether it is time.
const LOOK: Duration = Duration::from_secs(3600);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    #[error("the authority refuses, or cannot be asked: {}", told(.0))]
    Authority(#[from] instant_acme::Error),
    #[error("the authority cannot verify {0} by tls-alpn-01 and offers no such challenge")]
    NoChallenge(String),
    #[error(
        "the authority could not verify the domains: does port 443 of each of them lead to this \
         node's 'listen'?"
    )]
    Unverified,
    #[error("the answer to the authority cannot be signed: {0}")]
    Challenge(#[from] rcgen::Error),
    #[error("the answer to the authority cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("the store failed: {0}")]
    Store(#[from] StoreError),
    #[error("it took longer than {} s", ORDER.as_secs())]
    Late,
}

/// What is kept of the authority's account; it is good there alone.
#[derive(Serialize, Deserialize)]
struct KeptAccount {
    directory: String,
    credentials: String,
}

/// What is kept of a certificate.
#[derive(Serialize, Deserialize)]
struct KeptCertificate {
    directory: String,
    domains: Vec<String>,
    chain: String,
    key: String,
}

/// Gets certificates, and puts them to use.
pub struct Acme {
    config: AcmeConfig,
    root: Option<PathBuf>,
    node: Arc<Node>,
    certificates: Arc<Certificates>,
}

impl Acme {
    /// Begins with the certificate that is kept, if there is one for these domains.
    pub fn new(config: AcmeConfig, node: Arc<Node>, certificates: Arc<Certificates>) -> Acme {
        match kept(&node.store, &config) {
            Ok(Some(loaded)) => certificates.replace(loaded),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the users' certificate that is kept is not used"),
        }
        Acme {
            root: config.root.as_ref().map(|root| node.dir.join(root)),
            config,
            node,
            certificates,
        }
    }

    /// Renews the certificate whenever a third of its time is left, for as long as the node runs.
    pub async fn keep(self) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        let (mut failures, mut warned_ms) = (0, 0);
        loop {
            let now_ms = self.node.now_ms();
            warned_ms = warn(&self.certificates, now_ms, warned_ms);
            let current = self.certificates.current();
            let left_ms = current.map_or(0, |it| it.renewal_ms().saturating_sub(now_ms));
            let rest = match (left_ms, failures) {
                (0, 0) => Duration::ZERO,
                (0, failures) => rest_after(failures),
                (left_ms, _) => Duration::from_millis(left_ms).min(LOOK),
            };
            let forced = tokio::select! {
                () = tokio::time::sleep(rest) => false,
                () = heard(hangup.as_mut()) => true,
            };
            if left_ms > 0 && !forced {
                continue;
            }
            failures = match self.renew().await {
                Ok(()) => 0,
                Err(error) => {
                    tracing::error!(%error, "there is no new certificate for users");
                    record(&self.node.audit, "acme_failed", &error.to_string());
                    self.certificates.complain(error.to_string());
                    failures + 1
                }
            };
        }
    }

    async fn renew(&self) -> Result<(), AcmeError> {
        let text = format!(
            "of {} for {}",
            self.config.directory,
            self.config.domains.join(", ")
        );
        record(&self.node.audit, "acme_ordered", &text);
        let ordered = timeout(ORDER, self.order()).await;
        self.certificates.end_challenges();
        let (chain, key) = ordered.map_err(|_| AcmeError::Late)??;
        let (chain_name, key_name) = (Path::new("the chain"), Path::new("the key"));
        let loaded = Loaded::from_pem(chain.as_bytes(), chain_name, key.as_bytes(), key_name)?;
        let loaded = loaded.demand_valid(self.node.now_ms())?;
        let kept = KeptCertificate {
            directory: self.config.directory.clone(),
            domains: self.config.domains.clone(),
            chain,
            key,
        };
        put(&self.node.store, CERTIFICATE_ROW, &kept)?;
        record(&self.node.audit, "certificate_loaded", &loaded.description);
        tracing::info!(
            certificate = loaded.description,
            "users get a new certificate"
        );
        self.certificates.replace(loaded);
        Ok(())
    }

    /// A chain and its key, in PEM.
    async fn order(&self) -> Result<(String, String), AcmeError> {
        let account = self.account().await?;
        let domains = self.config.domains.iter().cloned();
        let domains: Vec<Identifier> = domains.map(Identifier::Dns).collect();
        let mut order = account.new_order(&NewOrder::new(&domains)).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                _ => return Err(AcmeError::Unverified),
            }
            let domain = authorization.identifier().to_string();
            let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
            let Some(mut challenge) = challenge else {
                return Err(AcmeError::NoChallenge(domain));
            };
            let digest = challenge.key_authorization().digest();
            let answer = challenge_answer(&domain, digest.as_ref())?;
            self.certificates.answer_challenge(&domain, answer);
            challenge.set_ready().await?;
        }
        match order.poll_ready(&RETRY).await? {
            OrderStatus::Ready => {}
            _ => return Err(AcmeError::Unverified),
        }
        let key = order.finalize().await?;
        Ok((order.poll_certificate(&RETRY).await?, key))
    }

    /// The account that is kept, or a new one.
    async fn account(&self) -> Result<Account, AcmeError> {
        let client = match &self.root {
            Some(root) => Account::builder_with_root(root)?,
            None => Account::builder()?,
        };
        let directory = &self.config.directory;
        let kept = take::<KeptAccount>(&self.node.store, ACCOUNT_ROW)?;
        let kept = kept.filter(|kept| kept.directory == *directory);
        let credentials = kept
            .and_then(|kept| serde_json::from_str::<AccountCredentials>(&kept.credentials).ok());
        if let Some(credentials) = credentials {
            return Ok(client.from_credentials(credentials).await?);
        }
        let contact = self.config.contact.as_ref();
        let contact: Vec<String> = contact.iter().map(|it| format!("mailto:{it}")).collect();
        let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let (account, credentials) = client.create(&new, directory.clone(), None).await?;
        let kept = KeptAccount {
            directory: directory.clone(),
            // Plain data in memory always encodes.
            credentials: serde_json::to_string(&credentials).unwrap_or_default(),
        };
        put(&self.node.store, ACCOUNT_ROW, &kept)?;
        record(&self.node.audit, "acme_account", &format!("at {directory}"));
        Ok(account)
    }
}

/// The certificate that is kept for what is configured.
pub fn kept(store: &Store, config: &AcmeConfig) -> Result<Option<Loaded>, AcmeError> {
    let Some(kept) = take::<KeptCertificate>(store, CERTIFICATE_ROW)? else {
        return Ok(None);
    };
    if kept.directory != config.directory || kept.domains != config.domains {
        return Ok(None);
    }
    let (chain, key) = (Path::new("the chain that is kept"), Path::new("its key"));
    let loaded = Loaded::from_pem(kept.chain.as_bytes(), chain, kept.key.as_bytes(), key)?;
    Ok(Some(loaded))
}

fn rest_after(failures: u32) -> Duration {
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
    REST.saturating_mul(doubled).min(REST_MOST)
}

/// What an authority is shown: a certificate for the domain that has the digest in it.
fn challenge_answer(domain: &str, digest: &[u8]) -> Result<Arc<ServerConfig>, AcmeError> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new([domain.to_string()])?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = params.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = aws_lc_rs::sign::any_supported_type(&key)?;
    // Not checked against each other as a certificate for users is: that check refuses the extension,
    // which is critical (RFC 8737, section 3).
    let shown = CertifiedKey::new(vec![certificate.der().clone()], key);
    let mut config = builder()?.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
    config.alpn_protocols = vec![ALPN_ACME.to_vec()];
    Ok(Arc::new(config))
}

/// Rows of the table of people, beside theirs.
const ACCOUNT_ROW: &[u8] = &[CERTIFICATE, b'a'];
const CERTIFICATE_ROW: &[u8] = &[CERTIFICATE, b'c'];

fn put<T: Serialize>(store: &Store, key: &[u8], value: &T) -> Result<(), StoreError> {
    // Plain data in memory always encodes.
    let value = rmp_serde::to_vec_named(value).unwrap_or_default();
    store.write(&[Row::put(Table::People, key.to_vec(), value)])
}

/// What is kept; what does not read back is made anew.
fn take<T: DeserializeOwned>(store: &Store, key: &[u8]) -> Result<Option<T>, StoreError> {
    let value = store.get(Table::People, key)?;
    Ok(value.and_then(|value| rmp_serde::from_slice(&value).ok()))
}

/// An error with what it came from: "the connection failed" alone helps nobody.
fn told(error: &instant_acme::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        let source_text = source.to_string();
        if !text.contains(&source_text) {
            text = format!("{text}: {source_text}");
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_an_authority_can_be_shown() {
        let answer = challenge_answer("chat.alpha.example", &[7; 32]).unwrap();
        assert_eq!(answer.alpn_protocols, [ALPN_ACME]);
    }

    #[test]
    fn whoever_fails_rests_longer_each_time_and_never_longer_than_six_hours() {
        let rests: Vec<u64> = (1..12).map(|it| rest_after(it).as_secs()).collect();
        assert_eq!(rests[..3], [180, 360, 720]);
        assert!(rests.is_sorted());
        assert_eq!(rest_after(u32::MAX), REST_MOST);
    }
}
