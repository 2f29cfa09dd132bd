//! Log-in at the organisation's directory, by LDAP (RFC 4511): who somebody is and which groups they
//! are in is found there, and the password is checked by binding with it.

mod directory;
mod guard;
mod watch;

use std::path::PathBuf;

use axum::http::StatusCode;
use reqwest::Url;
use serde::{Deserialize, Deserializer};

use super::admit;
use crate::home::people::{Account, Rules};
use crate::http::Web;
use crate::http::failure::{Answer, Failure};
use directory::{Directory, DirectoryError};
pub use watch::watch;

/// What an account's subject says of where it comes from.
pub const SOURCE: &str = "ldap";

/// The table `[login.ldap]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LdapConfig {
    /// `ldaps://HOST[:PORT]`, or `ldap://` with `starttls`; without it to this machine only.
    pub url: String,
    #[serde(default)]
    pub starttls: bool,
    /// The certificates that vouch for the directory's, in PEM.
    #[serde(default = "system_certificates")]
    pub ca_file: PathBuf,
    /// Whom the node binds as to look for users, and where its password is.
    pub bind_dn: String,
    pub password_file: Option<PathBuf>,
    pub password_credential: Option<String>,
    /// Where users are looked for.
    pub base: String,
    /// Whom a name means: `{name}` is what was typed.
    #[serde(default = "user_filter")]
    pub user_filter: String,
    /// Who is not disabled.
    #[serde(default = "active_filter")]
    pub active_filter: String,
    #[serde(default)]
    pub attributes: Names,
    /// Where groups are looked for; without it a user's `groups` attribute names them.
    pub group_base: Option<String>,
    /// The groups of a user: `{dn}` is the user's.
    #[serde(default = "group_filter")]
    pub group_filter: String,
    pub rules: Rules,
}

/// What the directory calls what is known of a user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Names {
    pub username: String,
    pub mail: String,
    pub given_name: String,
    pub surname: String,
    /// What the directory never gives to anybody else.
    pub id: String,
    /// The groups of a user, by their DN.
    pub groups: String,
    /// The name of a group that was found under `group_base`.
    pub group_name: String,
}

impl Default for Names {
    fn default() -> Names {
        Names {
            username: "uid".into(),
            mail: "mail".into(),
            given_name: "givenName".into(),
            surname: "sn".into(),
            id: "entryUUID".into(),
            groups: "memberOf".into(),
            group_name: "cn".into(),
        }
    }
}

fn system_certificates() -> PathBuf {
    "/etc/ssl/certs/ca-certificates.crt".into()
}

fn user_filter() -> String {
    "(uid={name})".into()
}

fn active_filter() -> String {
    "(objectClass=*)".into()
}

fn group_filter() -> String {
    "(member={dn})".into()
}

/// Reads the table, and refuses what could not work or would not be safe.
pub fn configured<'de, D: Deserializer<'de>>(from: D) -> Result<Option<LdapConfig>, D::Error> {
    let config = LdapConfig::deserialize(from)?;
    match config.fault() {
        Some(fault) => Err(serde::de::Error::custom(fault)),
        None => Ok(Some(config)),
    }
}

impl LdapConfig {
    fn fault(&self) -> Option<&'static str> {
        let Ok(url) = Url::parse(&self.url) else {
            return Some("url of [login.ldap] is not a URL");
        };
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() {
            return Some("url of [login.ldap] names no host");
        }
        match (url.scheme(), self.starttls) {
            ("ldaps", false) | ("ldap", true) => {}
            ("ldaps", true) => return Some("starttls is for ldap://, not for ldaps://"),
            ("ldap", false) if directory::is_loopback(host) => {}
            ("ldap", false) => {
                return Some("passwords would go in the clear: use ldaps://, or starttls = true");
            }
            _ => return Some("url of [login.ldap] begins with ldaps:// or ldap://"),
        }
        if self.password_file.is_some() == self.password_credential.is_some() {
            return Some("set password_file or password_credential of [login.ldap], and not both");
        }
        let is_name = |it: &String| !it.is_empty() && !it.contains(['/', '\0']) && it != "..";
        if !self.password_credential.as_ref().is_none_or(is_name) {
            return Some("password_credential is not the name of a credential");
        }
        if self.bind_dn.is_empty() || self.base.is_empty() {
            return Some("bind_dn and base of [login.ldap] are not empty");
        }
        if !self.user_filter.contains("{name}") || !self.group_filter.contains("{dn}") {
            return Some("user_filter has {name} in it, and group_filter {dn}");
        }
        let filters = [
            self.user_filter.replace("{name}", "x"),
            self.group_filter.replace("{dn}", "x"),
            self.active_filter.clone(),
        ];
        let is_filter = |it: &String| ldap3::parse_filter(it).is_ok();
        (!filters.iter().all(is_filter)).then_some("a filter of [login.ldap] is none of RFC 4515")
    }
}

/// Whether the directory says who this is: of an account that it keeps, and of a name that no account
/// here has. A local account's password is never shown to the directory.
pub fn is_kept_by_directory(web: &Web, known: Option<&Account>) -> bool {
    let kept = |account: &Account| {
        let subject = account.subject.as_ref();
        subject.is_some_and(|it| it.source == SOURCE)
    };
    web.login.ldap.is_some() && known.is_none_or(kept)
}

/// The account of whoever the directory knows by this name and password; none where either is wrong.
pub async fn log_in(web: &Web, name: &str, password: &str) -> Answer<Option<Account>> {
    let Some(config) = &web.login.ldap else {
        return Ok(None);
    };
    let directory = Directory::of(config, &web.home.node.dir);
    match directory.log_in(name, password).await {
        Ok(claims) => admit(web, &config.rules, claims).map(Some),
        Err(DirectoryError::Refused) => Ok(None),
        Err(error) => {
            tracing::warn!(%error, "nobody can log in by the directory");
            Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "comity.login.directory.app_error",
                "Your organisation's directory does not answer: try again later, or ask the node's administrator.",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::LoginConfig;

    const REST: &str = "bind_dn = 'cn=comity'\nbase = 'dc=x'\npassword_file = 'p'\n";

    fn read(first: &str) -> Result<LoginConfig, String> {
        let text = format!("[ldap]\n{first}\n{REST}[ldap.rules]\nallow = ['*']\n");
        toml::from_str(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_password_never_goes_in_the_clear_beyond_this_machine() {
        for good in [
            "url = 'ldaps://ldap.alpha.example'",
            "url = 'ldap://ldap.alpha.example:389'\nstarttls = true",
            "url = 'ldap://127.0.0.1:1389'",
            "url = 'ldap://[::1]'",
        ] {
            assert!(read(good).is_ok_and(|it| it.ldap.is_some()), "{good}");
        }
        for bad in [
            "url = 'ldap://ldap.alpha.example'",
            "url = 'ldap://127.0.0.1.alpha.example'",
            "url = 'ldaps://'",
            "url = 'http://127.0.0.1'",
            "url = 'ldapi:///run/slapd'",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_at_the_start() {
        let url = "url = 'ldaps://x'";
        for bad in [
            "user_filter = '(uid=*)'",
            "user_filter = '(uid={name}'",
            "group_filter = '(member=x)'",
            "active_filter = 'nonsense('",
            "password_credential = 'both'",
            "unknown = 1",
        ] {
            assert!(read(&format!("{url}\n{bad}")).is_err(), "{bad}");
        }
        assert_eq!(toml::from_str::<LoginConfig>("").unwrap().ldap, None);
    }
}
