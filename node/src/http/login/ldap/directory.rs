//! Questions to the directory: each on a connection of its own, bounded in time, size and number.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, StdStream,
    ldap_escape,
};
use reqwest::Url;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::{LdapConfig, SOURCE, guard};
use crate::home::people::{Claims, Subject};
use crate::storage_key::CREDENTIALS_VARIABLE;

/// How long one question may take, waiting for its turn included: a person waits no longer.
const LIMIT: Duration = Duration::from_secs(10);
/// The same for one batch of accounts, whose groups may have to be looked for one by one.
const BATCH_LIMIT: Duration = Duration::from_secs(20);
/// Connections at a time: a directory serves all of an organisation.
const CONNECTIONS: usize = 8;
static TURNS: Semaphore = Semaphore::const_new(CONNECTIONS);
/// Accounts that one search asks for, so that a filter stays short.
pub const BATCH: usize = 50;
/// Groups of one user that are taken (the same as `home::people` looks at).
const GROUPS: i32 = 1_000;
/// The longest name and password that are passed on, in bytes.
const NAME_BYTES: usize = 256;
const PASSWORD_BYTES: usize = 1024;
/// The longest file with the node's own password, in bytes.
const SECRET_BYTES: u64 = 4096;
/// A whole answer, and one that is cut short because more would come (RFC 4511, appendix A.1).
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
/// An attribute whose values are bytes, and stand in hexadecimal digits here.
const BINARY_ID: &str = "objectguid";

/// Why the directory did not say who somebody is.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// There is none of that name, more than one, or the password is another.
    #[error("the name or the password is not right")]
    Refused,
    #[error("the directory did not answer in time")]
    Late,
    #[error("the node's own password for the directory cannot be used: {0}")]
    Secret(String),
    #[error("the directory refuses the node itself, bind_dn and its password: result {0}")]
    Service(u32),
    #[error("the directory cannot answer: result {0}")]
    Result(u32),
    #[error("the directory cannot be reached: {0}")]
    Line(#[from] std::io::Error),
    #[error("the directory cannot be asked: {0}")]
    Library(#[from] LdapError),
    #[error("the directory's answer is none of LDAP")]
    Damaged,
}

/// The directory, as the configuration describes it.
#[derive(Debug, Clone)]
pub struct Directory {
    config: Arc<LdapConfig>,
    dir: PathBuf,
}

/// A connection; its tasks end with it.
struct Connection {
    ldap: Ldap,
    _tasks: JoinSet<()>,
}

impl Directory {
    /// `dir` is the node's directory, at which relative paths begin.
    pub fn of(config: &LdapConfig, dir: &Path) -> Directory {
        Directory {
            config: Arc::new(config.clone()),
            dir: dir.into(),
        }
    }

    /// What the directory says of whoever has this name and password.
    pub async fn log_in(&self, name: &str, password: &str) -> Result<Claims, DirectoryError> {
        // A bind with a name and no password succeeds as nobody's (RFC 4513, section 5.1.2).
        let fits = !password.is_empty() && password.len() <= PASSWORD_BYTES;
        if !fits || name.is_empty() || name.len() > NAME_BYTES {
            return Err(DirectoryError::Refused);
        }
        let (own, name) = (self.clone(), name.to_string());
        let password = Zeroizing::new(password.to_string());
        bounded(LIMIT, async move { own.check(&name, &password).await }).await
    }

    /// Those of these ids that are there and not disabled, with what the directory says of them.
    pub async fn look_up(
        &self,
        ids: &[String],
    ) -> Result<BTreeMap<String, Claims>, DirectoryError> {
        let (own, ids) = (self.clone(), ids.to_vec());
        bounded(BATCH_LIMIT, async move { own.find_all(&ids).await }).await
    }

    async fn check(&self, name: &str, password: &str) -> Result<Claims, DirectoryError> {
        let config = &self.config;
        let mut connection = self.connect().await?;
        let whom = config.user_filter.replace("{name}", &ldap_escape(name));
        let filter = format!("(&{whom}{})", config.active_filter);
        // Two are asked for, so that a second one shows.
        let found = connection
            .search(&config.base, &filter, &self.wanted(), 2)
            .await;
        let mut found = match found {
            Err(DirectoryError::Result(SIZE_LIMIT_EXCEEDED)) => {
                return Err(DirectoryError::Refused);
            }
            found => found?,
        };
        let (Some(entry), true) = (found.pop(), found.is_empty()) else {
            return Err(DirectoryError::Refused);
        };
        let claims = self.claims(&mut connection, &entry).await?;
        if entry.dn.is_empty() {
            return Err(DirectoryError::Damaged);
        }
        let bound = connection.ldap.simple_bind(&entry.dn, password).await?;
        match bound.rc {
            SUCCESS => Ok(claims),
            _ => Err(DirectoryError::Refused),
        }
    }

    async fn find_all(&self, ids: &[String]) -> Result<BTreeMap<String, Claims>, DirectoryError> {
        let config = &self.config;
        let mut connection = self.connect().await?;
        let each: String = ids.iter().map(|id| self.id_filter(id)).collect();
        let filter = format!("(&(|{each}){})", config.active_filter);
        let most = ids.len() as i32 + 1;
        let found = connection
            .search(&config.base, &filter, &self.wanted(), most)
            .await?;
        let mut all = BTreeMap::new();
        for entry in found {
            let claims = self.claims(&mut connection, &entry).await?;
            all.insert(claims.subject.name.clone(), claims);
        }
        Ok(all)
    }

    fn id_filter(&self, id: &str) -> String {
        let name = &self.config.attributes.id;
        let value = match name.eq_ignore_ascii_case(BINARY_ID) {
            true => id
                .as_bytes()
                .chunks(2)
                .map(|it| format!("\\{}", String::from_utf8_lossy(it)))
                .collect(),
            false => ldap_escape(id).into_owned(),
        };
        format!("({name}={value})")
    }

    fn wanted(&self) -> Vec<String> {
        let names = &self.config.attributes;
        let own = [
            &names.username,
            &names.mail,
            &names.given_name,
            &names.surname,
            &names.id,
            &names.groups,
        ];
        own.into_iter()
            .chain(&self.config.rules.attributes)
            .cloned()
            .collect()
    }

    async fn claims(
        &self,
        connection: &mut Connection,
        entry: &Entry,
    ) -> Result<Claims, DirectoryError> {
        let names = &self.config.attributes;
        let groups = match &self.config.group_base {
            None => entry.texts(&names.groups),
            Some(base) => {
                let filter = self
                    .config
                    .group_filter
                    .replace("{dn}", &ldap_escape(entry.dn.as_str()));
                let wanted = [names.group_name.clone()];
                let found = connection.search(base, &filter, &wanted, GROUPS).await?;
                found.iter().map(|it| it.text(&names.group_name)).collect()
            }
        };
        let kept = self.config.rules.attributes.iter();
        let kept = kept.map(|name| (name.clone(), entry.texts(name)));
        Ok(Claims {
            subject: Subject {
                source: SOURCE.into(),
                name: entry.id(&names.id).ok_or(DirectoryError::Damaged)?,
            },
            username: entry.text(&names.username),
            email: entry.text(&names.mail),
            first_name: entry.text(&names.given_name),
            last_name: entry.text(&names.surname),
            groups,
            attributes: kept.filter(|(_, values)| !values.is_empty()).collect(),
        })
    }

    /// A connection that is bound as the node itself.
    async fn connect(&self) -> Result<Connection, DirectoryError> {
        let secret = self.secret()?;
        let url = Url::parse(&self.config.url).map_err(std::io::Error::other)?;
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_string();
        let port = url
            .port()
            .unwrap_or(if url.scheme() == "ldaps" { 636 } else { 389 });
        let mut stream = TcpStream::connect((host.as_str(), port)).await?;
        let (library, own) = std::os::unix::net::UnixStream::pair()?;
        own.set_nonblocking(true)?;
        let own = UnixStream::from_std(own)?;
        let mut tasks = JoinSet::new();
        if self.config.starttls {
            guard::start_tls(&mut stream).await?;
        }
        if self.config.starttls || url.scheme() == "ldaps" {
            let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
            let stream = self.tls()?.connect(name, stream).await?;
            tasks.spawn(async move { log_end(guard::carry(own, stream).await) });
        } else {
            // The name was one of this machine's, and must lead here, too.
            if !stream.peer_addr()?.ip().to_canonical().is_loopback() {
                return Err(std::io::Error::other("passwords would go in the clear").into());
            }
            tasks.spawn(async move { log_end(guard::carry(own, stream).await) });
        }
        let settings = LdapConnSettings::new().set_std_stream(StdStream::Unix(library));
        let (driver, mut ldap) = LdapConnAsync::with_settings(settings, "ldapi:///").await?;
        tasks.spawn(async move { drop(driver.drive().await) });
        let bound = ldap.simple_bind(&self.config.bind_dn, &secret).await?;
        match bound.rc {
            SUCCESS => Ok(Connection {
                ldap,
                _tasks: tasks,
            }),
            code => Err(DirectoryError::Service(code)),
        }
    }

    fn tls(&self) -> Result<TlsConnector, DirectoryError> {
        let path = self.dir.join(&self.config.ca_file);
        let mut roots = rustls::RootCertStore::empty();
        let read = CertificateDer::pem_file_iter(&path);
        for certificate in read.map_err(std::io::Error::other)? {
            let certificate = certificate.map_err(std::io::Error::other)?;
            // One that this library cannot use vouches for nobody.
            let _ = roots.add(certificate);
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(std::io::Error::other)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    /// The node's own password, read each time, so that a new one needs no restart.
    fn secret(&self) -> Result<Zeroizing<String>, DirectoryError> {
        let why = |error: std::io::Error| DirectoryError::Secret(error.to_string());
        let text = |why: &str| DirectoryError::Secret(why.into());
        let (path, is_file) = match (&self.config.password_file, &self.config.password_credential) {
            (Some(path), _) => (self.dir.join(path), true),
            (None, Some(name)) => {
                let place = std::env::var_os(CREDENTIALS_VARIABLE);
                let place = place.ok_or_else(|| text("systemd gave no credentials"))?;
                (PathBuf::from(place).join(name), false)
            }
            (None, None) => return Err(text("none is configured")),
        };
        let file = std::fs::File::open(path).map_err(why)?;
        if is_file && file.metadata().map_err(why)?.permissions().mode() & 0o077 != 0 {
            return Err(text("its file is readable by others than its owner"));
        }
        let mut secret = Zeroizing::new(String::new());
        file.take(SECRET_BYTES)
            .read_to_string(&mut secret)
            .map_err(why)?;
        let secret = Zeroizing::new(secret.trim_end_matches(['\r', '\n']).to_string());
        match secret.is_empty() {
            true => Err(text("its file is empty")),
            false => Ok(secret),
        }
    }
}

impl Connection {
    /// The entries below `base`; referrals are not followed. More than `most` are an error, as is all
    /// but a whole answer.
    async fn search(
        &mut self,
        base: &str,
        filter: &str,
        wanted: &[String],
        most: i32,
    ) -> Result<Vec<Entry>, DirectoryError> {
        let options = SearchOptions::new().sizelimit(most);
        let ldap = self.ldap.with_search_options(options);
        let found = ldap.search(base, Scope::Subtree, filter, wanted).await?;
        match found.1.rc {
            SUCCESS => Ok(found.0.into_iter().map(Entry::of).collect()),
            code => Err(DirectoryError::Result(code)),
        }
    }
}

/// An entry, its attributes by their names in small letters.
struct Entry {
    dn: String,
    values: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Entry {
    fn of(found: ldap3::ResultEntry) -> Entry {
        let found = SearchEntry::construct(found);
        let bytes = |it: Vec<String>| it.into_iter().map(String::into_bytes).collect();
        let texts = found.attrs.into_iter().map(|(name, it)| (name, bytes(it)));
        let all = texts.chain(found.bin_attrs);
        Entry {
            dn: found.dn,
            values: all.map(|(name, it)| (name.to_lowercase(), it)).collect(),
        }
    }

    fn texts(&self, name: &str) -> Vec<String> {
        let values = self.values.get(&name.to_lowercase()).into_iter().flatten();
        values
            .filter_map(|it| String::from_utf8(it.clone()).ok())
            .collect()
    }

    fn text(&self, name: &str) -> String {
        self.texts(name).into_iter().next().unwrap_or_default()
    }

    /// What names the entry for good; none where that is not one value.
    fn id(&self, name: &str) -> Option<String> {
        let name = name.to_lowercase();
        let [value] = self.values.get(&name)?.as_slice() else {
            return None;
        };
        match name == BINARY_ID {
            true => Some(comity_protocol::id::hex(value)),
            false => String::from_utf8(value.clone()).ok(),
        }
    }
}

/// Asks in the question's turn and time. The library ends its task where an answer makes no sense:
/// that is the end of the question, and of nothing else.
async fn bounded<T: Send + 'static>(
    limit: Duration,
    question: impl Future<Output = Result<T, DirectoryError>> + Send + 'static,
) -> Result<T, DirectoryError> {
    let asked = tokio::spawn(tokio::time::timeout(limit, async move {
        let _turn = TURNS.acquire().await.map_err(|_| DirectoryError::Late)?;
        question.await
    }));
    match asked.await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(DirectoryError::Late),
        Err(_) => Err(DirectoryError::Damaged),
    }
}

fn log_end(ended: std::io::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!(%error, "a line to the directory has ended");
    }
}

/// Whether the host of a URL is this machine.
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|it| it.to_canonical().is_loopback())
}
