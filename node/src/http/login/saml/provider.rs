//! A provider as the configuration and its metadata have it, and what its word makes of a user.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saml_rs::crypto::keys::load_certificate;

use super::response::Vouched;
use super::xml::{self, Element, Limits};
use super::{OpenError, Refused, SamlConfig};
use crate::home::people::{Claims, Rules, Subject};

const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const REDIRECT: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect";
pub const POST: &str = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST";
/// What the metadata of one provider may be. It comes from the operator; some are long.
const METADATA_LIMITS: Limits = Limits {
    bytes: 1 << 20,
    depth: 32,
    elements: 20_000,
    comments: true,
};
/// The longest name of a provider, in bytes.
const NAME_BYTES: usize = 32;
/// A key of RSA with 2048 bits is a SubjectPublicKeyInfo of 294 bytes; one of 1024 bits has 162.
const RSA_SPKI_BYTES: usize = 290;

/// A provider that may vouch for users.
#[derive(Debug, Clone)]
pub struct Provider {
    pub name: String,
    /// Its entity id.
    pub issuer: String,
    pub sso_url: String,
    /// The certificates of its signing keys, in base64: the only ones that are ever trusted.
    pub certificates: Vec<String>,
    /// What this node is to it.
    pub entity_id: String,
    /// Where it sends its responses.
    pub acs: String,
    pub config: SamlConfig,
}

impl Provider {
    /// Reads what the configuration names. `base` is the address under which browsers reach the node.
    pub fn open(config: &SamlConfig, dir: &Path, base: &str) -> Result<Provider, OpenError> {
        let name = config.name.clone();
        let is_part = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-';
        if name.is_empty() || name.len() > NAME_BYTES || !name.bytes().all(is_part) {
            return Err(OpenError::Name(name));
        }
        let wrong = |why: String| OpenError::Provider(name.clone(), why);
        let known = Known::of(config, dir).map_err(wrong)?;
        if !is_safe_address(&known.sso_url) {
            let why = format!("'{}' is no address of https", known.sso_url);
            return Err(wrong(why));
        }
        if known.certificates.is_empty() {
            return Err(wrong("no certificate is named that signs for it".into()));
        }
        for certificate in &known.certificates {
            check_key(certificate).map_err(wrong)?;
        }
        let at = format!("{base}/login/saml/{name}");
        Ok(Provider {
            entity_id: format!("{at}/metadata"),
            acs: format!("{at}/acs"),
            issuer: known.issuer,
            sso_url: known.sso_url,
            certificates: known.certificates,
            config: config.clone(),
            name,
        })
    }

    pub fn rules(&self) -> &Rules {
        &self.config.rules
    }

    /// What the provider says of a user, in the words of all providers.
    pub fn claims(&self, vouched: &Vouched) -> Result<Claims, Refused> {
        let values =
            |name: &Option<String>| name.as_ref().and_then(|it| vouched.attributes.get(it));
        let first = |name: &Option<String>| {
            let first = values(name).and_then(|it| it.first());
            first.cloned().unwrap_or_default()
        };
        let or_name_id = |name: &Option<String>| match name {
            Some(said) if first(name).is_empty() => Err(Refused::Attribute(said.clone())),
            Some(_) => Ok(first(name)),
            None => vouched.name_id.clone().ok_or(Refused::Subject),
        };
        Ok(Claims {
            subject: Subject {
                source: format!("saml:{}", self.name),
                name: or_name_id(&self.config.subject)?,
            },
            username: or_name_id(&self.config.username)?,
            email: first(&self.config.mail),
            first_name: first(&self.config.first_name),
            last_name: first(&self.config.last_name),
            groups: values(&self.config.groups).cloned().unwrap_or_default(),
            attributes: vouched.attributes.clone(),
        })
    }
}

/// What has to be known of a provider.
struct Known {
    issuer: String,
    sso_url: String,
    certificates: Vec<String>,
}

impl Known {
    fn of(config: &SamlConfig, dir: &Path) -> Result<Known, String> {
        let by_hand = config.entity_id.is_some()
            || config.sso_url.is_some()
            || !config.certificates.is_empty();
        match (&config.metadata, &config.entity_id, &config.sso_url) {
            (Some(path), ..) if !by_hand => {
                let path = dir.join(path);
                let text = text_of(&path)?;
                Known::of_metadata(&text).map_err(|why| format!("{}: {why}", path.display()))
            }
            (None, Some(issuer), Some(sso_url)) => {
                let mut certificates = Vec::new();
                for path in &config.certificates {
                    certificates.extend(certificates_of(&dir.join(path))?);
                }
                Ok(Known {
                    issuer: issuer.clone(),
                    sso_url: sso_url.clone(),
                    certificates,
                })
            }
            _ => Err("it needs metadata, or entity_id with sso_url and certificates".into()),
        }
    }

    fn of_metadata(text: &str) -> Result<Known, String> {
        let text = xml::with_newlines(text.trim_start_matches('\u{feff}'));
        let root = xml::read(&text, METADATA_LIMITS).map_err(|error| error.to_string())?;
        if !root.is(METADATA, "EntityDescriptor") {
            return Err("it is not the metadata of one provider".into());
        }
        let issuer = root.attribute("entityID").ok_or("it has no entityID")?;
        let speaks = |it: &&Element| {
            let protocols = it
                .attribute("protocolSupportEnumeration")
                .unwrap_or_default();
            protocols.split_ascii_whitespace().any(|it| it == PROTOCOL)
        };
        let mut descriptors = root.all(METADATA, "IDPSSODescriptor");
        let descriptor = descriptors
            .find(speaks)
            .ok_or("it has no provider of SAML 2.0")?;
        if matches!(
            descriptor.attribute("WantAuthnRequestsSigned"),
            Some("true" | "1")
        ) {
            return Err("the provider wants signed requests, and this node signs none".into());
        }
        let mut services = descriptor.all(METADATA, "SingleSignOnService");
        let redirect = services.find(|it| it.attribute("Binding") == Some(REDIRECT));
        let sso_url = redirect.and_then(|it| it.attribute("Location"));
        let keys = descriptor.all(METADATA, "KeyDescriptor");
        let signing = keys.filter(|it| matches!(it.attribute("use"), None | Some("signing")));
        let certificates = signing
            .filter_map(|it| it.only(DSIG, "KeyInfo"))
            .flat_map(|it| it.all(DSIG, "X509Data"))
            .flat_map(|it| it.all(DSIG, "X509Certificate"))
            .map(|it| it.text.split_ascii_whitespace().collect());
        Ok(Known {
            issuer: issuer.into(),
            sso_url: sso_url
                .ok_or("it takes no requests by HTTP-Redirect")?
                .into(),
            certificates: certificates.collect(),
        })
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

fn certificates_of(path: &Path) -> Result<Vec<String>, String> {
    let blocks = pem::parse_many(text_of(path)?)
        .map_err(|error| format!("{} is no PEM file: {error}", path.display()))?;
    let certificates = blocks.iter().filter(|it| it.tag() == "CERTIFICATE");
    Ok(certificates
        .map(|it| STANDARD.encode(it.contents()))
        .collect())
}

fn check_key(certificate: &str) -> Result<(), String> {
    let key = load_certificate(certificate);
    let key = key.map_err(|error| format!("a certificate cannot be used: {error}"))?;
    let bytes = key.to_spki_der().map_or(0, |it| it.len());
    match key.algorithm_name() == "RSA" && bytes < RSA_SPKI_BYTES {
        true => Err("a certificate's key has fewer than 2048 bits".into()),
        false => Ok(()),
    }
}

/// The base of this node's addresses, as browsers have them.
pub fn base(url: &str) -> Result<String, OpenError> {
    let parsed = reqwest::Url::parse(url).ok();
    let is_bare = |it: &reqwest::Url| {
        it.path() == "/" && it.query().is_none() && it.fragment().is_none() && it.username() == ""
    };
    let base = url.trim_end_matches('/');
    match parsed.is_some_and(|it| is_bare(&it)) && is_safe_address(url) {
        true => Ok(base.into()),
        false => Err(OpenError::Url(url.into())),
    }
}

/// Whether nobody on the way can read what goes there.
fn is_safe_address(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else {
        return false;
    };
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "https" || url.scheme() == "http" && is_here
}
