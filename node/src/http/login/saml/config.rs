//! What an operator says of a SAML provider: one `[[login.saml]]` of the configuration.

use std::path::PathBuf;

use serde::Deserialize;

use crate::home::people::Rules;

/// A SAML 2.0 provider that vouches for this partner's users. Paths begin at the node's directory
/// unless they are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamlConfig {
    /// Its name here: part of addresses and of its users' subjects, so it stays as it is.
    pub name: String,
    /// What people read where they choose how to log in; the name where it is not said.
    #[serde(default)]
    pub title: String,
    /// The file with the provider's metadata. It says what the next three say otherwise.
    pub metadata: Option<PathBuf>,
    pub entity_id: Option<String>,
    /// Where the provider takes requests by HTTP-Redirect.
    pub sso_url: Option<String>,
    /// PEM files with the certificates whose keys sign for the provider.
    #[serde(default)]
    pub certificates: Vec<PathBuf>,
    /// The attributes with the user's subject, user name, mail address, names and groups. Subject and
    /// user name are the NameID where no attribute is named; the others are left out.
    pub subject: Option<String>,
    pub username: Option<String>,
    pub mail: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub groups: Option<String>,
    pub rules: Rules,
}
