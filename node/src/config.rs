//! The configuration of a node: `DIR/comity.toml`, typed, unknown keys refused.

mod http;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

use crate::api::{ApiError, Fault};
pub use http::{AcmeConfig, HttpConfig, HttpLimits, TlsSource};

/// The name of the configuration file inside a node's directory.
pub const FILE_NAME: &str = "comity.toml";

/// Where a node listens unless told otherwise.
pub const DEFAULT_LISTEN: &str = "0.0.0.0:7443";

/// The file that holds the storage key unless told otherwise, in the node's directory.
pub const DEFAULT_KEY_FILE: &str = "storage.key";

/// What an operator decides about a node.
///
/// Every key that may be left out has a default; [`Config::template`] writes them all down.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The short name of the partner that this node serves.
    #[serde(deserialize_with = "partner")]
    pub partner: String,
    /// The UDP address on which other partners' nodes reach this one.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// The `host:port` addresses that invitations name.
    #[serde(default, deserialize_with = "addresses")]
    pub addresses: Vec<String>,
    /// Where the storage key comes from.
    #[serde(default)]
    pub storage: KeySource,
    /// How the store lies on the disk.
    #[serde(default)]
    pub store: StoreConfig,
    #[serde(default)]
    pub log: LogConfig,
    #[serde(default)]
    pub links: LinksConfig,
    #[serde(default)]
    pub groups: GroupsConfig,
    #[serde(default)]
    pub http: HttpConfig,
    #[serde(default)]
    pub login: crate::http::LoginConfig,
}

/// Where the key comes from that opens the store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "StorageConfig")]
pub enum KeySource {
    /// A file; a relative path begins at the node's directory.
    File(PathBuf),
    /// A credential that systemd hands to the process, by its name.
    Credential(String),
}

impl Default for KeySource {
    fn default() -> Self {
        Self::File(DEFAULT_KEY_FILE.into())
    }
}

/// The table `[storage]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StorageConfig {
    key_file: Option<PathBuf>,
    key_credential: Option<String>,
}

impl TryFrom<StorageConfig> for KeySource {
    type Error = &'static str;

    fn try_from(written: StorageConfig) -> Result<Self, Self::Error> {
        match (written.key_file, written.key_credential) {
            (None, None) => Ok(Self::default()),
            (Some(path), None) if path.as_os_str().is_empty() => Err("key_file names no file"),
            (Some(path), None) => Ok(Self::File(path)),
            (None, Some(name)) if is_file_name(&name) => Ok(Self::Credential(name)),
            (None, Some(_)) => Err("key_credential is not the name of a credential"),
            (Some(_), Some(_)) => {
                Err("the storage key has one source: set key_file or key_credential, not both")
            }
        }
    }
}

/// A credential is a file of its name in one directory, and must not lead out of it.
fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\0'])
}

/// How the store lies on the disk. It is left out of the template: only tests choose.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Whether its files are compressed, from when they are written next.
    pub compressed: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { compressed: true }
    }
}

/// What `comity serve` writes to standard error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    pub level: LogLevel,
    pub format: LogFormat,
}

/// The least severe record that is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The level as the configuration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a log record is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// How links to other nodes behave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinksConfig {
    pub congestion: Congestion,
    /// A file in which every frame that peers send is kept; a relative path begins at the node's
    /// directory. It is left out of the template: only tests choose.
    pub keep_received: Option<PathBuf>,
}

/// The congestion controller of a link.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Congestion {
    #[default]
    Cubic,
    Bbr,
}

/// Which key exchange groups TLS offers and accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupsConfig {
    pub profile: GroupProfile,
}

/// A named list of key exchange groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupProfile {
    /// X25519MLKEM768 first.
    #[default]
    Default,
    /// ML-KEM-1024 only.
    Cnsa,
}

impl Config {
    /// Reads the configuration of the node in `dir`.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(FILE_NAME);
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(ConfigError::Missing { dir: dir.into() })
            }
            Err(error) => Err(ConfigError::Unreadable { path, error }),
        }
    }

    /// Parses the text of a configuration; `path` only serves the error.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::refused(text, path, &error))
    }

    /// The configuration file of a new node, each key with its meaning and its default.
    pub fn template(
        partner: &str,
        listen: &str,
        addresses: &[String],
        http: Option<SocketAddr>,
    ) -> String {
        let http = match http {
            Some(address) => format!("listen = {}", quoted(&address.to_string())),
            None => "# listen = \"127.0.0.1:8065\"".into(),
        };
        let addresses: Vec<_> = addresses.iter().map(|address| quoted(address)).collect();
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = write!(
            text,
            include_str!("config.toml.in"),
            partner = quoted(partner),
            listen = quoted(listen),
            addresses = addresses.join(", "),
            http = http,
        );
        text
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("there is no node in {}", dir.display())]
    Missing { dir: PathBuf },
    #[error("{} cannot be read: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{}, line {line}, {key}: {reason}", path.display())]
    Refused {
        path: PathBuf,
        line: usize,
        /// What the line is about, such as `key "listen"`.
        key: String,
        reason: String,
    },
}

impl ConfigError {
    fn refused(text: &str, path: &Path, error: &toml::de::Error) -> Self {
        let start = error.span().map_or(0, |span| span.start).min(text.len());
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_text = text[line_start..].lines().next().unwrap_or_default();
        Self::Refused {
            path: path.into(),
            line: text[..line_start].matches('\n').count() + 1,
            key: key_of(line_text),
            reason: error.message().trim_end().replace('\n', "; "),
        }
    }
}

impl From<ConfigError> for ApiError {
    fn from(error: ConfigError) -> Self {
        let (code, advice) = match &error {
            ConfigError::Missing { .. } => (
                "no_node",
                "name the node's directory with --dir or COMITY_DIR, or make a node: \
                 comity init NAME --dir DIR",
            ),
            ConfigError::Unreadable { .. } => (
                "config_unreadable",
                "run the command as the user that owns the directory",
            ),
            ConfigError::Refused { .. } => (
                "config_refused",
                "correct that line; docs/operations.md lists every key with its default",
            ),
        };
        Self {
            code: code.into(),
            what: error.to_string(),
            fault: Fault::Operator,
            advice: advice.into(),
        }
    }
}

/// Names the key that a line of TOML sets, as far as the line alone shows it.
fn key_of(line: &str) -> String {
    let line = line.trim();
    if line.starts_with('[') {
        return format!("table {line}");
    }
    match line.split_once('=') {
        Some((key, _)) => format!("key \"{}\"", key.trim()),
        None => "top level".into(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 7443))
}

fn partner<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name.is_empty() {
        return Err(serde::de::Error::custom("a partner's name is not empty"));
    }
    Ok(name)
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let addresses = Vec::<String>::deserialize(deserializer)?;
    match addresses.iter().find(|address| !is_host_and_port(address)) {
        Some(wrong) => Err(serde::de::Error::custom(format!(
            "{wrong:?} is not an address of the form host:port"
        ))),
        None => Ok(addresses),
    }
}

/// Whether `text` has the form `host:port`, the port being 1 to 65535.
pub fn is_host_and_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_configuration_and_states_the_defaults() {
        let addresses = ["node.alpha.example:7443".to_owned()];
        let text = Config::template("alpha", DEFAULT_LISTEN, &addresses, None);
        let config = Config::parse(&text, Path::new("comity.toml")).unwrap();
        let minimal = Config::parse("partner = \"alpha\"", Path::new("comity.toml")).unwrap();
        assert_eq!(config.addresses, addresses);
        assert_eq!(
            Config {
                addresses: Vec::new(),
                ..config
            },
            minimal
        );
    }

    #[test]
    fn the_template_quotes_what_it_is_given() {
        let text = Config::template("a\"\n\\b", DEFAULT_LISTEN, &[], None);
        let config = Config::parse(&text, Path::new("comity.toml")).unwrap();
        assert_eq!(config.partner, "a\"\n\\b");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_line() {
        let error = refusal("partner = \"alpha\"\n\n[log]\nlevle = \"info\"\n");
        assert!(error.contains("line 4"), "{error}");
        assert!(error.contains("levle"), "{error}");
    }

    #[test]
    fn a_bad_value_is_refused_by_key_and_line() {
        let error = refusal("partner = \"alpha\"\nlisten = \"everywhere\"\n");
        assert!(error.contains("line 2, key \"listen\""), "{error}");
        let error = refusal("partner = \"alpha\"\n[log]\nlevel = \"loud\"\n");
        assert!(error.contains("line 3, key \"level\""), "{error}");
        let error = refusal("partner = \"alpha\"\n[links]\ncongestion = 0\n");
        assert!(error.contains("line 3, key \"congestion\""), "{error}");
        let error = refusal("partner = \"alpha\"\naddresses = [\"nowhere\"]\n");
        assert!(error.contains("line 2, key \"addresses\""), "{error}");
    }

    #[test]
    fn the_storage_key_has_one_source() {
        let source = |storage: &str| {
            let text = format!("partner = \"alpha\"\n[storage]\n{storage}\n");
            Config::parse(&text, Path::new("comity.toml")).map(|config| config.storage)
        };
        let file = |path: &str| KeySource::File(path.into());
        assert_eq!(source("").unwrap(), file("storage.key"));
        assert_eq!(source("key_file = \"/k\"").unwrap(), file("/k"));
        assert_eq!(
            source("key_credential = \"storage\"").unwrap(),
            KeySource::Credential("storage".into())
        );
        for (wrong, why) in [
            ("key_file = \"\"", "names no file"),
            ("key_credential = \"../storage\"", "not the name"),
            ("key_credential = \"\"", "not the name"),
            ("key_file = \"k\"\nkey_credential = \"c\"", "not both"),
            ("key = \"k\"", "unknown field"),
        ] {
            let error = source(wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_missing_or_empty_partner_is_refused() {
        assert!(refusal("listen = \"127.0.0.1:1\"\n").contains("partner"));
        assert!(refusal("partner = \"\"\n").contains("line 1, key \"partner\""));
    }

    #[test]
    fn a_directory_without_a_node_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let error = ApiError::from(Config::load(dir.path()).unwrap_err());
        assert_eq!(error.code, "no_node");
        assert_eq!(error.fault, Fault::Operator);
    }

    fn refusal(text: &str) -> String {
        Config::parse(text, Path::new("comity.toml"))
            .unwrap_err()
            .to_string()
    }
}
