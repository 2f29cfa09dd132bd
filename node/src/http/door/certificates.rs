//! The certificate of the users' side: read from files, or given by an authority, and replaced while
//! connections go on.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use tokio::signal::unix::{SignalKind, signal};
use x509_parser::parse_x509_certificate;

use crate::api::ApiError;
use crate::audit::Audit;
use crate::environment::{Clock, Work};
use crate::service::failure;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(60);
/// A certificate that ends within this is worth a warning: 14 days. Whoever renews by a program does
/// it earlier.
const SOON_MS: u64 = 14 * DAY_MS;
const DAY_MS: u64 = 24 * 3_600_000;
/// The largest file that is read: a chain has some kilobytes.
const FILE_BYTES: u64 = 1 << 20;
/// What is spoken on a connection, the better first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// What a certificate authority speaks that looks whether the domain is this node's (RFC 8737).
pub const ALPN_ACME: &[u8] = b"acme-tls/1";

/// The certificate in use.
#[derive(Default)]
pub struct Certificates {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    current: Option<Loaded>,
    /// By the domain that an authority asks about.
    challenges: Vec<(String, Arc<ServerConfig>)>,
    /// Why the last attempt to replace it failed.
    trouble: Option<String>,
}

/// A certificate that can be used.
#[derive(Clone)]
pub struct Loaded {
    config: Arc<ServerConfig>,
    pub not_before_ms: u64,
    pub not_after_ms: u64,
    /// For the record: until when, and the certificate's hash.
    pub description: String,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{} holds a secret key and can be read by everybody on this machine: chmod 640", .0.display())]
    Exposed(PathBuf),
    #[error("{} holds no {what} in PEM", path.display())]
    Nothing { path: PathBuf, what: &'static str },
    #[error("the certificate is none: {0}")]
    Malformed(String),
    #[error("the certificate and its key cannot be used together: {0}")]
    Unusable(#[from] rustls::Error),
    #[error("the certificate ended {0}")]
    Over(String),
}

impl Certificates {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses a certificate for all connections from now on; those that are open go on.
    pub fn replace(&self, loaded: Loaded) {
        let mut held = self.held();
        held.current = Some(loaded);
        held.trouble = None;
    }

    /// Notes why there is no newer one.
    pub fn complain(&self, trouble: String) {
        self.held().trouble = Some(trouble);
    }

    /// Shows an authority that a domain is this node's, until [`Certificates::end_challenges`].
    pub fn answer_challenge(&self, domain: &str, config: Arc<ServerConfig>) {
        self.held().challenges.push((domain.into(), config));
    }

    pub fn end_challenges(&self) {
        self.held().challenges.clear();
    }

    /// What a connection is answered by, from what its client says first; none where there is nothing.
    pub fn for_client(&self, hello: &rustls::server::ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let held = self.held();
        let asks_as_authority = hello
            .alpn()
            .is_some_and(|mut offered| offered.any(|it| it == ALPN_ACME));
        if asks_as_authority {
            let domain = hello.server_name()?;
            let mut challenges = held.challenges.iter();
            let asked = challenges.find(|(own, _)| own.eq_ignore_ascii_case(domain));
            return asked.map(|(_, config)| config.clone());
        }
        held.current.as_ref().map(|it| it.config.clone())
    }

    pub fn current(&self) -> Option<Loaded> {
        self.held().current.clone()
    }

    /// What a sysadmin should know of it.
    pub fn warnings(&self, now_ms: u64) -> Vec<String> {
        let held = self.held();
        let ends = match &held.current {
            None => Some("users cannot connect: there is no certificate yet".to_string()),
            Some(loaded) => loaded.warning(now_ms),
        };
        let trouble = held.trouble.as_ref();
        let trouble = trouble.map(|it| format!("the users' certificate is not replaced: {it}"));
        ends.into_iter().chain(trouble).collect()
    }
}

impl Loaded {
    /// Reads a certificate and its key from two files.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Loaded, CertificateError> {
        let chain = read(certificate)?;
        let mode = std::fs::metadata(key).map_err(|error| unreadable(key, error))?;
        if mode.mode() & 0o007 != 0 {
            return Err(CertificateError::Exposed(key.into()));
        }
        let key_text = zeroize::Zeroizing::new(read(key)?);
        Loaded::from_pem(&chain, certificate, &key_text, key)
    }

    /// Reads them from texts in PEM; the paths serve errors alone.
    pub fn from_pem(
        chain: &[u8],
        certificate_path: &Path,
        key: &[u8],
        key_path: &Path,
    ) -> Result<Loaded, CertificateError> {
        let nothing = |path: &Path, what| CertificateError::Nothing {
            path: path.into(),
            what,
        };
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|_| nothing(certificate_path, "certificate"))?;
        let first = chain
            .first()
            .ok_or_else(|| nothing(certificate_path, "certificate"))?;
        let (not_before_ms, not_after_ms) = validity(first)?;
        let hash = sha256(first);
        let description = format!(
            "until {}, SHA-256 {}",
            date(not_after_ms),
            comity_protocol::id::hex(&hash)
        );
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|_| nothing(key_path, "key without a password"))?;
        let mut config = builder()?.with_single_cert(chain, key)?;
        config.alpn_protocols = ALPN.map(<[u8]>::to_vec).to_vec();
        // Every connection is agreed anew: no ticket's key has to be kept, and a new certificate
        // counts at once.
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.max_early_data_size = 0;
        Ok(Loaded {
            config: Arc::new(config),
            not_before_ms,
            not_after_ms,
            description,
        })
    }

    /// When it should be renewed: with a third of its time left.
    pub fn renewal_ms(&self) -> u64 {
        self.not_after_ms - self.lifetime_ms() / 3
    }

    fn lifetime_ms(&self) -> u64 {
        self.not_after_ms.saturating_sub(self.not_before_ms)
    }

    /// Whether it ends soon, or has ended. Of one that lasts for days only, soon is a sixth of that:
    /// whoever renews it does so with a third left.
    pub fn warning(&self, now_ms: u64) -> Option<String> {
        let (ends, date) = (self.not_after_ms, date(self.not_after_ms));
        let soon_ms = SOON_MS.min(self.lifetime_ms() / 6);
        match now_ms {
            now if now >= ends => Some(format!("the users' certificate ended {date}: renew it")),
            now if now + soon_ms >= ends => Some(format!("the users' certificate ends {date}")),
            _ => None,
        }
    }

    /// Refuses one that has ended.
    pub fn demand_valid(self, now_ms: u64) -> Result<Loaded, CertificateError> {
        match now_ms < self.not_after_ms {
            true => Ok(self),
            false => Err(CertificateError::Over(date(self.not_after_ms))),
        }
    }
}

/// The start of a configuration: TLS 1.3 only, as for links, and the hybrid group first. What is not
/// of 1.3 has had no browser since 2020 that anybody should log in with.
pub fn builder()
-> Result<rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>, rustls::Error> {
    let provider = CryptoProvider {
        kx_groups: vec![
            kx_group::X25519MLKEM768,
            kx_group::X25519,
            kx_group::SECP256R1,
            kx_group::SECP384R1,
        ],
        ..aws_lc_rs::default_provider()
    };
    let versions = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    Ok(versions.with_no_client_auth())
}

/// The files of a certificate, and how they looked when they were read last.
pub struct Files {
    certificate: PathBuf,
    key: PathBuf,
    seen: Option<[Fingerprint; 2]>,
}

/// Time of change in nanoseconds, length, number on the disk: differs after every replacement.
type Fingerprint = Option<(i64, i64, u64, u64)>;

impl Files {
    pub fn new(certificate: PathBuf, key: PathBuf) -> Files {
        Files {
            certificate,
            key,
            seen: None,
        }
    }

    /// Reads them for the first time. One that has ended is used: clients say so, and a node that
    /// does not start says less.
    pub fn open(&mut self) -> Result<Loaded, ApiError> {
        self.seen = Some(self.fingerprints());
        Loaded::from_files(&self.certificate, &self.key).map_err(|error| {
            failure::operator(
                "http_certificate",
                error,
                "correct certificate and key under [http] in comity.toml, or the files",
            )
        })
    }

    /// Reads them again if they have changed; none if not.
    fn look(&mut self, now_ms: u64) -> Option<Result<Loaded, CertificateError>> {
        let now = self.fingerprints();
        if self.seen.replace(now) == Some(now) {
            return None;
        }
        let loaded = Loaded::from_files(&self.certificate, &self.key);
        Some(loaded.and_then(|it| it.demand_valid(now_ms)))
    }

    fn fingerprints(&self) -> [Fingerprint; 2] {
        [&self.certificate, &self.key].map(|path| {
            let data = std::fs::metadata(path).ok()?;
            Some((data.mtime(), data.mtime_nsec(), data.size(), data.ino()))
        })
    }
}

/// Reads files again when they have changed, and warns once a day of an end that is near. A broken
/// new certificate leaves the old one in use, and is put on record once.
pub async fn keep(
    certificates: Arc<Certificates>,
    mut files: Files,
    audit: Arc<Audit>,
    clock: Clock,
    work: Work,
) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => Some(hangup),
        Err(error) => {
            tracing::warn!(%error, "SIGHUP is not heard: a new certificate is seen within a minute");
            None
        }
    };
    let mut warned_ms = 0;
    loop {
        warned_ms = warn(&certificates, clock.unix_ms(), warned_ms);
        let forced = tokio::select! {
            () = tokio::time::sleep(LOOK) => false,
            () = heard(hangup.as_mut()) => true,
        };
        if forced {
            files.seen = None;
        }
        let now_ms = clock.unix_ms();
        let looked = work.run(move || {
            let found = files.look(now_ms);
            (files, found)
        });
        let Ok((back, found)) = looked.await else {
            tracing::error!("the users' certificate is not looked at any more");
            return;
        };
        files = back;
        match found {
            None => {}
            Some(Ok(loaded)) => {
                record(&audit, "certificate_loaded", &loaded.description);
                tracing::info!(
                    certificate = loaded.description,
                    "users get a new certificate"
                );
                certificates.replace(loaded);
                warned_ms = 0;
            }
            Some(Err(error)) => {
                tracing::error!(%error, "the new certificate is not used; the old one stays");
                record(&audit, "certificate_refused", &error.to_string());
                certificates.complain(error.to_string());
            }
        }
    }
}

/// A signal, or nothing for ever where signals are not heard.
pub async fn heard(hangup: Option<&mut tokio::signal::unix::Signal>) {
    if let Some(hangup) = hangup
        && hangup.recv().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

/// Says once a day that a certificate ends soon; gives when it was said last.
pub fn warn(certificates: &Certificates, now_ms: u64, warned_ms: u64) -> u64 {
    let warning = certificates.current().and_then(|it| it.warning(now_ms));
    match warning {
        Some(warning) if now_ms.saturating_sub(warned_ms) >= DAY_MS => {
            tracing::warn!("{warning}");
            now_ms
        }
        _ => warned_ms,
    }
}

/// Puts on record what happened to a certificate.
pub fn record(audit: &Audit, action: &str, text: &str) {
    if let Err(error) = audit.record(action, text) {
        tracing::error!(%error, "a certificate's change is not on record");
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|error| unreadable(path, error))?;
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES).read_to_end(&mut bytes);
    read.map_err(|error| unreadable(path, error))?;
    Ok(bytes)
}

fn unreadable(path: &Path, error: std::io::Error) -> CertificateError {
    CertificateError::Unreadable {
        path: path.into(),
        error,
    }
}

/// From when and until when a certificate holds, in Unix milliseconds.
fn validity(certificate: &CertificateDer<'_>) -> Result<(u64, u64), CertificateError> {
    let (_, parsed) = parse_x509_certificate(certificate)
        .map_err(|error| CertificateError::Malformed(error.to_string()))?;
    let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
    let validity = parsed.validity();
    Ok((
        ms(validity.not_before.timestamp()),
        ms(validity.not_after.timestamp()),
    ))
}

fn sha256(certificate: &CertificateDer<'_>) -> Vec<u8> {
    let digest = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().to_vec()
}

/// A day, as people write it.
fn date(at_ms: u64) -> String {
    let seconds = i64::try_from(at_ms / 1000).unwrap_or(0);
    x509_parser::time::ASN1Time::from_timestamp(seconds)
        .map_or_else(|_| "at no known time".into(), |time| time.to_string())
}

#[cfg(test)]
pub mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// A certificate and its key as two files, each for its owner only.
    pub fn written(dir: &Path, domain: &str, days: i64) -> (PathBuf, PathBuf) {
        let (chain, key) = made(domain, days);
        let paths = (dir.join("chain.pem"), dir.join("key.pem"));
        for (path, text) in [(&paths.0, chain), (&paths.1, key)] {
            std::fs::write(path, text).unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        paths
    }

    fn made(domain: &str, days: i64) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([domain.to_string()]).unwrap();
        let now = Clock::System.unix_ms() as i64 / 1000;
        let end = now + days * 86_400;
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after =
            rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(end as u64);
        let certificate = params.self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn now_ms() -> u64 {
        Clock::System.unix_ms()
    }

    #[test]
    fn a_certificate_says_when_it_ends_and_warns_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = written(dir.path(), "chat.alpha.example", 30);
        let loaded = Loaded::from_files(&chain, &key).unwrap();
        assert_eq!(loaded.warning(now_ms()), None);
        let later = now_ms() + 17 * DAY_MS;
        assert!(loaded.warning(later).unwrap().contains("ends"));
        let over = now_ms() + 31 * DAY_MS;
        assert!(loaded.warning(over).unwrap().contains("ended"));
        assert!(loaded.demand_valid(over).is_err());
    }

    #[test]
    fn what_is_no_certificate_with_its_key_is_refused_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = written(dir.path(), "chat.alpha.example", 30);
        let refusal = |chain: &Path, key: &Path| {
            let refused = Loaded::from_files(chain, key).map(|_| ());
            refused.unwrap_err().to_string()
        };
        assert!(refusal(&key, &key).contains("no certificate"));
        assert!(refusal(&chain, &chain).contains("no key"));
        assert!(refusal(&chain, &dir.path().join("none.pem")).contains("cannot be read"));
        let (_, others) = made("chat.alpha.example", 30);
        let other = dir.path().join("other.pem");
        std::fs::write(&other, others).unwrap();
        assert!(refusal(&chain, &other).contains("everybody on this machine"));
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refusal(&chain, &other).contains("together"));
        std::fs::write(
            &chain,
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        assert!(refusal(&chain, &key).contains("is none"));
    }

    #[test]
    fn files_are_read_again_when_they_change_and_only_then() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = written(dir.path(), "chat.alpha.example", 30);
        let mut files = Files::new(chain.clone(), key);
        let first = files.open().unwrap();
        assert!(files.look(now_ms()).is_none());
        written(dir.path(), "chat.alpha.example", 60);
        let second = files.look(now_ms()).unwrap().unwrap();
        assert!(second.not_after_ms > first.not_after_ms);
        assert!(files.look(now_ms()).is_none());
        std::fs::write(&chain, "half a certi").unwrap();
        assert!(files.look(now_ms()).unwrap().is_err());
        assert!(files.look(now_ms()).is_none(), "it is said once");
        written(dir.path(), "chat.alpha.example", -1);
        let over = files.look(now_ms()).unwrap().map(|_| ());
        assert!(over.unwrap_err().to_string().contains("ended"));
    }
}
