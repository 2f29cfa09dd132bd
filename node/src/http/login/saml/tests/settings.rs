//! What the configuration and the provider's metadata may say.

use super::super::provider::{Provider, base};
use super::super::{OpenError, Saml};
use super::idp::{ISSUER, Signer, config};

const BASE: &str = "https://chat.alpha.test";

fn metadata(attributes: &str, certificate: &str, location: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<!-- made by hand -->\n\
         <EntityDescriptor xmlns=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"{ISSUER}\">\
         <IDPSSODescriptor {attributes} \
         protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\">\
         <KeyDescriptor use=\"encryption\"/><KeyDescriptor use=\"signing\">\
         <ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data>\
         <ds:X509Certificate>\n{certificate}\n</ds:X509Certificate></ds:X509Data></ds:KeyInfo>\
         </KeyDescriptor><SingleSignOnService \
         Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"{location}\"/>\
         </IDPSSODescriptor></EntityDescriptor>"
    )
}

#[test]
fn a_provider_is_known_by_its_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = &Signer::trusted().certificate;
    let open = |attributes: &str, certificate: &str, location: &str| {
        let text = metadata(attributes, certificate, location);
        std::fs::write(dir.path().join("idp.xml"), text).unwrap();
        Provider::open(&config("metadata = \"idp.xml\""), dir.path(), BASE)
    };
    let sso = "https://idp.alpha.test/sso";
    let provider = open("", certificate, sso).unwrap();
    assert_eq!(provider.issuer, ISSUER);
    assert_eq!(provider.sso_url, sso);
    assert_eq!(provider.certificates, [certificate.as_str()]);
    assert_eq!(
        provider.entity_id,
        "https://chat.alpha.test/login/saml/staff/metadata"
    );
    let why = |it: Result<Provider, OpenError>| it.unwrap_err().to_string();
    assert!(why(open("", "", sso)).contains("certificate"));
    assert!(why(open("", "AAAA", sso)).contains("cannot be used"));
    assert!(why(open("", certificate, "http://idp.alpha.test/sso")).contains("https"));
    let wants = "WantAuthnRequestsSigned=\"true\"";
    assert!(why(open(wants, certificate, sso)).contains("signed requests"));
}

#[test]
fn a_provider_is_known_by_hand() {
    let dir = tempfile::tempdir().unwrap();
    let certificate = &Signer::trusted().certificate;
    let pem = format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n");
    std::fs::write(dir.path().join("idp.pem"), pem).unwrap();
    let by_hand = format!("entity_id = \"{ISSUER}\"\nsso_url = \"http://127.0.0.1:9/sso\"");
    let open = |text: &str| Provider::open(&config(text), dir.path(), BASE);
    let provider = open(&format!("{by_hand}\ncertificates = [\"idp.pem\"]")).unwrap();
    assert_eq!(provider.certificates, [certificate.as_str()]);
    assert!(open(&by_hand).is_err());
    assert!(open("").is_err());
    assert!(open(&format!("{by_hand}\nmetadata = \"idp.xml\"")).is_err());
    assert!(open(&format!("{by_hand}\ncertificates = [\"none.pem\"]")).is_err());
}

#[test]
fn a_provider_that_cannot_be_used_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let open = |url| {
        Saml::open(&[config("")], dir.path(), url)
            .map(|_| ())
            .unwrap_err()
    };
    assert!(matches!(open(None), OpenError::NoUrl));
    assert!(matches!(
        open(Some("ftp://chat.alpha.test")),
        OpenError::Url(_)
    ));
    assert!(matches!(open(Some(BASE)), OpenError::Provider(..)));
    assert!(Saml::open(&[], dir.path(), None).is_ok());
}

#[test]
fn the_nodes_own_address_is_of_https_or_of_this_machine() {
    assert_eq!(base("https://chat.alpha.test/").unwrap(), BASE);
    assert_eq!(
        base("http://127.0.0.1:8065").unwrap(),
        "http://127.0.0.1:8065"
    );
    for url in [
        "http://chat.alpha.test",
        "https://chat.alpha.test/path",
        "https://user@chat.alpha.test",
        "chat.alpha.test",
        "https://chat.alpha.test/?a",
        "http://127.0.0.1.evil.test",
    ] {
        assert!(base(url).is_err(), "{url}");
    }
}

#[test]
fn an_unknown_key_is_refused() {
    let text = "name = \"a\"\nallow_sha1 = true\n[rules]\nallow = []";
    assert!(toml::from_str::<super::super::SamlConfig>(text).is_err());
    assert!(toml::from_str::<super::super::SamlConfig>("name = \"a\"").is_err());
}
