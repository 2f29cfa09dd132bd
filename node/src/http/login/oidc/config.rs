//! What an operator says of an OpenID Connect provider, and the secret that this node has there.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use openidconnect::url::{Host, Url};
use serde::Deserialize;

use crate::config::KeySource;
use crate::home::people::Rules;
use crate::storage_key::CREDENTIALS_VARIABLE;

/// The longest name of a provider, in bytes: it is part of paths, and of every account's source.
const NAME_BYTES: usize = 32;
/// The longest secret, in bytes: providers give some 30 to 100.
const SECRET_BYTES: u64 = 4096;
/// The longest time for which a provider that cannot be reached may be taken at its last word, in
/// minutes: a day.
const OFFLINE_MINUTES_MAX: u64 = 24 * 60;
/// The longest session that nobody can be asked about, in hours: 30 days, as for passwords.
const SESSION_HOURS_MAX: u64 = 30 * 24;

/// A provider of OpenID Connect whose users may log in: one `[[login.oidc]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct OidcConfig {
    /// What the provider is called in paths and in the source of accounts (`oidc:NAME`).
    pub name: String,
    /// What people are shown.
    pub title: String,
    /// Its issuer identifier, as its own tokens have it.
    pub issuer: String,
    pub client_id: String,
    pub secret: KeySource,
    /// What is asked for beside `openid`.
    pub scopes: Vec<String>,
    /// The `prompt` of every log-in, such as `consent`, which some providers want before they give a
    /// refresh token.
    pub prompt: Option<String>,
    pub claims: ClaimNames,
    /// For how long a session goes on while the provider cannot be reached, in minutes.
    pub offline_minutes: u64,
    /// How long a session lasts whose provider gave no refresh token, in hours.
    pub session_hours: u64,
    pub rules: Rules,
}

/// The names of the claims that make an account. A dot leads into an object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimNames {
    pub username: String,
    pub groups: String,
}

impl Default for ClaimNames {
    fn default() -> ClaimNames {
        ClaimNames {
            username: "preferred_username".into(),
            groups: "groups".into(),
        }
    }
}

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    title: Option<String>,
    issuer: String,
    client_id: String,
    client_secret_file: Option<PathBuf>,
    client_secret_credential: Option<String>,
    #[serde(default = "usual_scopes")]
    scopes: Vec<String>,
    prompt: Option<String>,
    #[serde(default)]
    claims: ClaimNames,
    #[serde(default = "quarter_of_an_hour")]
    offline_minutes: u64,
    #[serde(default = "working_day")]
    session_hours: u64,
    rules: Rules,
}

fn usual_scopes() -> Vec<String> {
    ["profile", "email", "groups"].map(String::from).to_vec()
}

fn quarter_of_an_hour() -> u64 {
    15
}

fn working_day() -> u64 {
    12
}

impl TryFrom<Written> for OidcConfig {
    type Error = String;

    fn try_from(written: Written) -> Result<OidcConfig, String> {
        let is_name = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        let name = written.name;
        if name.is_empty() || name.len() > NAME_BYTES || !name.chars().all(is_name) {
            return Err(format!(
                "a provider's name has 1 to {NAME_BYTES} of a-z, 0-9 and '-': '{name}' is none"
            ));
        }
        if written.client_id.is_empty() {
            return Err("client_id is empty: the provider's administrator knows it".into());
        }
        safe_url("issuer", &written.issuer)?;
        let minutes = 1..=OFFLINE_MINUTES_MAX;
        if !minutes.contains(&written.offline_minutes) {
            return Err(format!("offline_minutes is 1 to {OFFLINE_MINUTES_MAX}"));
        }
        if !(1..=SESSION_HOURS_MAX).contains(&written.session_hours) {
            return Err(format!("session_hours is 1 to {SESSION_HOURS_MAX}"));
        }
        let secret = match (written.client_secret_file, written.client_secret_credential) {
            (Some(path), None) if !path.as_os_str().is_empty() => KeySource::File(path),
            (None, Some(name)) if is_file_name(&name) => KeySource::Credential(name),
            _ => {
                return Err(
                    "the client's secret has one source: client_secret_file, or \
                            client_secret_credential, the name of a credential"
                        .into(),
                );
            }
        };
        Ok(OidcConfig {
            title: written.title.unwrap_or_else(|| name.clone()),
            name,
            issuer: written.issuer,
            client_id: written.client_id,
            secret,
            scopes: written.scopes,
            prompt: written.prompt,
            claims: written.claims,
            offline_minutes: written.offline_minutes,
            session_hours: written.session_hours,
            rules: written.rules,
        })
    }
}

/// A credential is a file of its name in one directory, and must not lead out of it.
fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// A URL that is HTTPS, or leads to this machine alone.
pub fn safe_url(what: &str, text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{what} '{text}' is no URL: {error}"))?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    match url.scheme() {
        _ if !is_plain => Err(format!("{what} has neither a query nor a user: '{text}'")),
        "https" if url.has_host() => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        _ => Err(format!(
            "{what} is an https:// URL (http:// only on this machine): '{text}'"
        )),
    }
}

/// Whether a URL names this machine itself.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

/// Why the client's secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is readable by others than its owner")]
    Exposed { path: PathBuf },
    #[error("{path} holds no secret: one line of at most {SECRET_BYTES} bytes")]
    NoSecret { path: PathBuf },
    #[error("the secret is the systemd credential '{0}', and this process was given none")]
    NoCredentials(String),
}

/// Reads the client's secret: anew each time, so that it can be replaced while the node runs.
pub fn secret(dir: &Path, source: &KeySource) -> Result<String, SecretError> {
    let (path, may_be_shared) = match source {
        KeySource::File(path) => (dir.join(path), false),
        KeySource::Credential(name) => {
            let credentials = std::env::var_os(CREDENTIALS_VARIABLE)
                .ok_or_else(|| SecretError::NoCredentials(name.clone()))?;
            // Who reads credentials is the service manager's affair.
            (PathBuf::from(credentials).join(name), true)
        }
    };
    let failed = |source| SecretError::File {
        path: path.clone(),
        source,
    };
    let mode = fs::metadata(&path).map_err(failed)?.permissions().mode();
    if !may_be_shared && mode & 0o077 != 0 {
        return Err(SecretError::Exposed { path });
    }
    let mut text = String::new();
    let mut file = File::open(&path).map_err(failed)?.take(SECRET_BYTES + 1);
    file.read_to_string(&mut text).map_err(failed)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || text.len() as u64 > SECRET_BYTES || secret.contains(['\r', '\n']) {
        return Err(SecretError::NoSecret { path });
    }
    Ok(secret.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "name = 'staff'\nissuer = 'https://login.alpha.example'\n\
                        client_id = 'comity'\nclient_secret_file = 's'\nrules = { allow = ['*'] }\n";

    #[test]
    fn a_provider_is_written_with_a_name_an_issuer_a_client_and_who_may_log_in() {
        let config: OidcConfig = toml::from_str(GOOD).unwrap();
        assert_eq!(config.title, "staff");
        assert_eq!(config.claims.groups, "groups");
        assert_eq!((config.offline_minutes, config.session_hours), (15, 12));
        for (from, to, why) in [
            ("'staff'", "'St/aff'", "name has"),
            ("https:", "http:", "https://"),
            ("https:", "ftp:", "https://"),
            ("'comity'", "''", "client_id"),
            ("client_secret_file = 's'", "", "one source"),
            ("rules = { allow = ['*'] }", "", "rules"),
            ("allow = ['*']", "", "allow"),
        ] {
            let wrong = GOOD.replacen(from, to, 1);
            let error = toml::from_str::<OidcConfig>(&wrong).unwrap_err();
            assert!(error.to_string().contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_secret_is_read_from_a_file_that_nobody_else_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let source = KeySource::File("s".into());
        let write = |text: &str, mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        write("secret\n", 0o600);
        assert_eq!(secret(dir.path(), &source).unwrap(), "secret");
        write("secret\n", 0o644);
        assert!(matches!(
            secret(dir.path(), &source),
            Err(SecretError::Exposed { .. })
        ));
        for empty in ["", "\n", "two\nlines\n"] {
            write(empty, 0o600);
            assert!(matches!(
                secret(dir.path(), &source),
                Err(SecretError::NoSecret { .. })
            ));
        }
    }
}
