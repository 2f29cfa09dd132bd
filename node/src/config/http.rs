//! The table `[http]`: how the partner's own users reach the node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Deserialize;

/// How the partner's own users reach the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct HttpConfig {
    /// The address of the API for users; none where the node serves nobody.
    pub listen: Option<SocketAddr>,
    /// Where the certificate comes from; none where the node speaks plain HTTP.
    pub tls: Option<TlsSource>,
    /// The addresses of proxies whose word is believed on who asks, and how; empty without one.
    pub proxies: Vec<IpAddr>,
    /// How often each user and each address may ask.
    pub limits: HttpLimits,
    /// The `host:port` addresses that users' webhooks and commands may ask; no others.
    pub hook_hosts: Vec<String>,
    /// The URL at which users reach the node: providers send browsers back to it.
    pub url: Option<String>,
}

/// Where the certificate of the users' side comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    /// Two files in PEM; a relative path begins at the node's directory.
    Files { certificate: PathBuf, key: PathBuf },
    /// A certificate authority that speaks ACME (RFC 8555).
    Acme(AcmeConfig),
}

/// The table `[http.acme]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcmeConfig {
    /// The URL of the authority's directory.
    pub directory: String,
    /// The names that the certificate is for, as users write them.
    pub domains: Vec<String>,
    /// A mail address for the authority's warnings.
    #[serde(default)]
    pub contact: Option<String>,
    /// The authority's own certificate in PEM, where the machine does not trust it anyway.
    #[serde(default)]
    pub root: Option<PathBuf>,
}

/// The table `[http.limits]`: requests in a second, and ten times as many at once. Log-ins are
/// counted by address, all else by user or, where nobody is logged in, by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpLimits {
    pub reads_per_s: NonZeroU32,
    pub writes_per_s: NonZeroU32,
    pub searches_per_s: NonZeroU32,
    pub uploads_per_s: NonZeroU32,
    pub logins_per_s: NonZeroU32,
}

impl Default for HttpLimits {
    fn default() -> HttpLimits {
        let rate = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        HttpLimits {
            // A client that starts asks some hundred questions at once.
            reads_per_s: rate(500),
            // No person does that; a program that takes a history over may.
            writes_per_s: rate(200),
            // Each may look at every post that is held.
            searches_per_s: rate(20),
            uploads_per_s: rate(10),
            // Four passwords are checked at a time, in some 20 ms.
            logins_per_s: rate(20),
        }
    }
}

/// The table as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Written {
    listen: Option<SocketAddr>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    acme: Option<AcmeConfig>,
    behind_proxy: bool,
    proxies: Option<Vec<IpAddr>>,
    limits: HttpLimits,
    #[serde(deserialize_with = "super::addresses")]
    hook_hosts: Vec<String>,
    url: Option<String>,
}

/// The most names of one certificate: authorities refuse more than a hundred.
const DOMAINS: usize = 100;

impl TryFrom<Written> for HttpConfig {
    type Error = String;

    fn try_from(written: Written) -> Result<HttpConfig, String> {
        let tls = match (written.certificate, written.key, written.acme) {
            (None, None, None) => None,
            (Some(certificate), Some(key), None) => Some(TlsSource::Files { certificate, key }),
            (None, None, Some(acme)) => Some(TlsSource::Acme(acme.checked()?)),
            (_, _, Some(_)) => {
                return Err(
                    "the certificate has one source: certificate and key, or [http.acme]".into(),
                );
            }
            (_, _, None) => {
                return Err("certificate and key are set together, or neither is".into());
            }
        };
        if written.proxies.is_some() && !written.behind_proxy {
            return Err("proxies are believed only with behind_proxy = true".into());
        }
        if let Some(listen) = written.listen
            && tls.is_none()
            && !written.behind_proxy
            && !listen.ip().to_canonical().is_loopback()
        {
            return Err(format!(
                "passwords would pass in the clear on {listen}: set certificate and key, or \
                 [http.acme], or listen on 127.0.0.1; behind a proxy that has the certificate, set \
                 behind_proxy = true"
            ));
        }
        let this_machine = || vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        let proxies = match written.behind_proxy {
            true => written.proxies.unwrap_or_else(this_machine),
            false => Vec::new(),
        };
        Ok(HttpConfig {
            listen: written.listen,
            tls,
            proxies: proxies.iter().map(IpAddr::to_canonical).collect(),
            limits: written.limits,
            hook_hosts: written.hook_hosts,
            url: written.url,
        })
    }
}

impl AcmeConfig {
    fn checked(self) -> Result<AcmeConfig, String> {
        if !self.directory.starts_with("https://") {
            return Err("acme: directory is an https URL".into());
        }
        if self.domains.is_empty() || self.domains.len() > DOMAINS {
            return Err(format!("acme: domains names one to {DOMAINS} domains"));
        }
        match self.domains.iter().find(|domain| !is_domain(domain)) {
            Some(wrong) => Err(format!("acme: {wrong:?} is not the name of a domain")),
            None => Ok(self),
        }
    }
}

/// A name that a user may write in a URL: no address, no wildcard.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label) && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    fn http(lines: &str) -> Result<HttpConfig, String> {
        let text = format!("partner = \"alpha\"\n[http]\n{lines}\n");
        let parsed = Config::parse(&text, Path::new("comity.toml"));
        parsed.map(|it| it.http).map_err(|error| error.to_string())
    }

    #[test]
    fn no_password_goes_over_a_network_in_the_clear_unless_a_proxy_is_named() {
        let refused = http("listen = \"0.0.0.0:80\"").unwrap_err();
        assert!(refused.contains("in the clear"), "{refused}");
        assert!(http("listen = \"[::]:80\"").is_err());
        http("listen = \"127.0.0.1:80\"").unwrap();
        http("listen = \"[::1]:80\"").unwrap();
        let proxied = http("listen = \"0.0.0.0:80\"\nbehind_proxy = true").unwrap();
        assert_eq!(proxied.proxies.len(), 2, "this machine's");
        let with = "listen = \"0.0.0.0:443\"\ncertificate = \"c.pem\"\nkey = \"k.pem\"";
        assert!(matches!(
            http(with).unwrap().tls,
            Some(TlsSource::Files { .. })
        ));
    }

    #[test]
    fn a_proxy_is_believed_only_where_there_is_one() {
        let named = "behind_proxy = true\nproxies = [\"10.0.0.1\", \"::ffff:10.0.0.2\"]";
        let proxies = http(named).unwrap().proxies;
        assert_eq!(proxies, [[10, 0, 0, 1].into(), IpAddr::from([10, 0, 0, 2])]);
        assert!(http("proxies = [\"10.0.0.1\"]").is_err());
        assert!(http("behind_proxy = true\nproxies = [\"proxy\"]").is_err());
        assert!(http("").unwrap().proxies.is_empty());
    }

    #[test]
    fn the_certificate_has_one_source() {
        assert!(
            http("certificate = \"c.pem\"")
                .unwrap_err()
                .contains("together")
        );
        assert!(http("key = \"k.pem\"").is_err());
        let acme =
            "[http.acme]\ndirectory = \"https://ca/dir\"\ndomains = [\"chat.alpha.example\"]";
        assert!(matches!(http(acme).unwrap().tls, Some(TlsSource::Acme(_))));
        assert!(http(&format!("certificate = \"c\"\nkey = \"k\"\n{acme}")).is_err());
        for (wrong, right) in [
            ("https:", "http:"),
            ("chat.alpha.example", "*.alpha.example"),
            ("chat.alpha.example", "10.0.0.1"),
            ("[\"chat.alpha.example\"]", "[]"),
            ("domains", "domain"),
        ] {
            assert!(http(&acme.replace(wrong, right)).is_err(), "{right}");
        }
    }

    #[test]
    fn limits_are_numbers_that_let_something_through() {
        let limits = http("[http.limits]\nwrites_per_s = 5").unwrap().limits;
        assert_eq!(limits.writes_per_s.get(), 5);
        assert_eq!(limits.reads_per_s, HttpLimits::default().reads_per_s);
        assert!(http("[http.limits]\nwrites_per_s = 0").is_err());
        assert!(http("[http.limits]\nwrites = 5").is_err());
    }
}
