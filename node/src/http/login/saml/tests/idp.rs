//! A provider of the tests, with a clock that is an argument, and the node that trusts it.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
use saml_rs::constants::signature_algorithm::RSA_SHA256;
use saml_rs::crypto::construct_saml_signature;
use saml_rs::crypto::keys::load_private_key;

use super::super::instant::written;
use super::super::provider::Provider;
use super::super::requests::Requests;
use super::super::response::{Accepted, accept};
use super::super::{Refused, SamlConfig};

pub const NOW: u64 = 1_795_000_000_000;
pub const MINUTE: u64 = 60_000;
pub const ISSUER: &str = "https://idp.alpha.test/metadata";

/// Somebody who can sign.
pub struct Signer {
    key: String,
    /// In base64.
    pub certificate: String,
    algorithm: &'static str,
}

impl Signer {
    fn new(kind: &'static rcgen::SignatureAlgorithm, algorithm: &'static str) -> Signer {
        let key = KeyPair::generate_for(kind).unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        Signer {
            key: key.serialize_pem(),
            certificate: STANDARD.encode(params.self_signed(&key).unwrap().der()),
            algorithm,
        }
    }

    /// The provider's own keys.
    pub fn trusted() -> &'static Signer {
        static OWN: OnceLock<Signer> = OnceLock::new();
        OWN.get_or_init(|| Signer::new(&PKCS_RSA_SHA256, RSA_SHA256))
    }

    /// The keys that the provider had before, or will have next.
    pub fn other() -> &'static Signer {
        static OWN: OnceLock<Signer> = OnceLock::new();
        OWN.get_or_init(|| Signer::new(&PKCS_RSA_SHA256, RSA_SHA256))
    }

    /// Keys that nobody trusts.
    pub fn stranger() -> &'static Signer {
        static OWN: OnceLock<Signer> = OnceLock::new();
        OWN.get_or_init(|| Signer::new(&PKCS_RSA_SHA256, RSA_SHA256))
    }

    /// Signs the assertion of a message.
    pub fn assertion(&self, message: &str) -> String {
        self.sign(message, false)
    }

    /// Signs a message as a whole.
    pub fn message(&self, message: &str) -> String {
        self.sign(message, true)
    }

    fn sign(&self, message: &str, whole: bool) -> String {
        let key = load_private_key(&self.key, None).unwrap();
        let (certificate, algorithm) = (&self.certificate, self.algorithm);
        construct_saml_signature(message, whole, &key, certificate, algorithm, &[], None).unwrap()
    }
}

/// A node with one provider, and one log-in that is under way.
pub struct World {
    pub provider: Provider,
    pub requests: Requests,
    pub request: String,
}

pub fn config(text: &str) -> SamlConfig {
    let common = "name = \"staff\"\nusername = \"uid\"\ngroups = \"groups\"\nmail = \"mail\"\n";
    toml::from_str(&format!("{common}{text}\n[rules]\nallow = [\"*\"]")).unwrap()
}

impl World {
    pub fn new() -> World {
        let requests = Requests::new([7; 32]);
        let other = Signer::other().certificate.clone();
        World {
            request: requests.begin("staff", "secret", NOW),
            requests,
            provider: Provider {
                name: "staff".into(),
                issuer: ISSUER.into(),
                sso_url: "https://idp.alpha.test/sso".into(),
                // The second one: a provider has two while it changes its keys.
                certificates: vec![other, Signer::trusted().certificate.clone()],
                entity_id: "https://chat.alpha.test/login/saml/staff/metadata".into(),
                acs: "https://chat.alpha.test/login/saml/staff/acs".into(),
                config: config(""),
            },
        }
    }

    /// What the provider says of alice, not signed yet.
    pub fn message(&self) -> String {
        let (issued, end) = (written(NOW), written(NOW + 5 * MINUTE));
        let session = written(NOW + 480 * MINUTE);
        let (acs, audience, request) =
            (&self.provider.acs, &self.provider.entity_id, &self.request);
        format!(
            "<samlp:Response xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" \
             xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\" ID=\"_response\" Version=\"2.0\" \
             IssueInstant=\"{issued}\" Destination=\"{acs}\" InResponseTo=\"{request}\">\
             <saml:Issuer>{ISSUER}</saml:Issuer><samlp:Status><samlp:StatusCode \
             Value=\"urn:oasis:names:tc:SAML:2.0:status:Success\"/></samlp:Status>\
             <saml:Assertion ID=\"_assertion\" Version=\"2.0\" IssueInstant=\"{issued}\">\
             <saml:Issuer>{ISSUER}</saml:Issuer><saml:Subject><saml:NameID \
             Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">alice-7</saml:NameID>\
             <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <saml:SubjectConfirmationData NotOnOrAfter=\"{end}\" Recipient=\"{acs}\" \
             InResponseTo=\"{request}\"/></saml:SubjectConfirmation></saml:Subject>\
             <saml:Conditions NotBefore=\"{issued}\" NotOnOrAfter=\"{end}\">\
             <saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience>\
             </saml:AudienceRestriction></saml:Conditions>\
             <saml:AuthnStatement AuthnInstant=\"{issued}\" SessionIndex=\"_session\" \
             SessionNotOnOrAfter=\"{session}\"><saml:AuthnContext><saml:AuthnContextClassRef>\
             urn:oasis:names:tc:SAML:2.0:ac:classes:Password</saml:AuthnContextClassRef>\
             </saml:AuthnContext></saml:AuthnStatement><saml:AttributeStatement>\
             <saml:Attribute Name=\"uid\"><saml:AttributeValue>alice</saml:AttributeValue>\
             </saml:Attribute><saml:Attribute Name=\"mail\"><saml:AttributeValue>\
             alice@alpha.test</saml:AttributeValue></saml:Attribute><saml:Attribute Name=\"groups\">\
             <saml:AttributeValue>staff</saml:AttributeValue>\
             <saml:AttributeValue>R&amp;D</saml:AttributeValue></saml:Attribute>\
             </saml:AttributeStatement></saml:Assertion></samlp:Response>"
        )
    }

    /// What the provider would send.
    pub fn signed(&self) -> String {
        Signer::trusted().assertion(&self.message())
    }

    pub fn judge(&self, text: &str) -> Result<Accepted, Refused> {
        self.judge_at(text, NOW)
    }

    pub fn judge_at(&self, text: &str, now_ms: u64) -> Result<Accepted, Refused> {
        self.judge_encoded(&STANDARD.encode(text), now_ms)
    }

    pub fn judge_encoded(&self, encoded: &str, now_ms: u64) -> Result<Accepted, Refused> {
        accept(encoded, &self.provider, &self.requests, now_ms)
    }
}

/// The text with something in it replaced, which has to be there.
pub fn changed(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "there is no {from} in {text}");
    text.replace(from, to)
}

/// From the first `begin` to the last `end`, with both.
pub fn part<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let from = text.find(begin).unwrap();
    &text[from..text.rfind(end).unwrap() + end.len()]
}
