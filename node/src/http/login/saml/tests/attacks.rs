//! What somebody on the way, or the user, makes of a response that the provider signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::Refused;
use super::super::xml::XmlError;
use super::idp::{NOW, Signer, World, changed, part};

#[test]
fn what_is_altered_is_refused() {
    let world = World::new();
    let signed = world.signed();
    assert!(world.judge(&signed).is_ok());
    let rsa = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
    let sha = "http://www.w3.org/2001/04/xmlenc#sha256";
    let (sha1, rsa_sha1) = (
        "http://www.w3.org/2000/09/xmldsig#sha1",
        "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
    );
    let hmac = "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256";
    let signature = part(&signed, "<ds:Signature ", "</ds:Signature>");
    let value = part(&signed, "<ds:SignatureValue>", "</ds:SignatureValue>");
    let exclusive = "<ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/>";
    let xpath = "<ds:Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\"/>";
    let algorithm = |name: &str| Refused::Algorithm(name.into());
    let form = Refused::SignatureForm;
    let doubled = format!("{signature}{signature}");
    let more = format!("{exclusive}{xpath}");
    let whole = "it signs another element than the one that it is in";
    for (what, from, to, why) in [
        ("an attribute", ">staff<", ">admins<", Refused::Signature),
        ("the NameID", ">alice-7<", ">bob-8<", Refused::Signature),
        (
            "the end of the session",
            "T19:06:40Z",
            "T20:06:40Z",
            Refused::Signature,
        ),
        ("no signature", signature, "", Refused::Unsigned),
        (
            "no value",
            value,
            "<ds:SignatureValue></ds:SignatureValue>",
            Refused::Signature,
        ),
        (
            "two signatures",
            signature,
            doubled.as_str(),
            Refused::SignaturePlace,
        ),
        ("SHA-1 signs", rsa, rsa_sha1, algorithm(rsa_sha1)),
        ("SHA-1 sums", sha, sha1, algorithm(sha1)),
        ("a shared secret", rsa, hmac, algorithm(hmac)),
        ("no algorithm", rsa, "", algorithm("")),
        (
            "the whole document",
            "URI=\"#_assertion\"",
            "URI=\"\"",
            form(whole),
        ),
        (
            "another element",
            "URI=\"#_assertion\"",
            "URI=\"#_response\"",
            form(whole),
        ),
        (
            "by a path",
            "URI=\"#_assertion\"",
            "URI=\"#xpointer(id('_assertion'))\"",
            form(whole),
        ),
        (
            "a transform",
            exclusive,
            xpath,
            form("it transforms what it signs"),
        ),
        (
            "one more",
            exclusive,
            more.as_str(),
            form("it transforms what it signs"),
        ),
        (
            "a comment",
            ">alice-7<",
            ">alice<!-- -->-7<",
            Refused::Xml(XmlError::Comment),
        ),
        (
            "an instruction",
            ">alice-7<",
            ">alice<?x?>-7<",
            Refused::Xml(XmlError::Instruction),
        ),
        (
            "CDATA",
            ">alice-7<",
            "><![CDATA[alice-7]]><",
            Refused::Xml(XmlError::Cdata),
        ),
        (
            "an entity",
            ">alice-7<",
            ">&alice;<",
            Refused::Xml(XmlError::Dtd),
        ),
    ] {
        let altered = changed(&signed, from, to);
        assert_eq!(world.judge(&altered), Err(why), "{what}");
    }
}

#[test]
fn a_comment_does_not_cut_a_name_that_was_signed() {
    let world = World::new();
    let name = "alice-7.evil.test";
    let message = changed(&world.message(), "alice-7", name);
    let signed = Signer::trusted().assertion(&message);
    let accepted = world.judge(&signed).unwrap();
    assert_eq!(accepted.vouched.name_id.as_deref(), Some(name));
    // Canonical XML leaves comments out, so that the signature holds.
    let cut = changed(&signed, name, "alice-7<!-- -->.evil.test");
    let trusted = [Signer::trusted().certificate.clone()];
    assert!(saml_rs::crypto::verify_signature(&cut, &trusted).unwrap().0);
    assert_eq!(world.judge(&cut), Err(Refused::Xml(XmlError::Comment)));
}

#[test]
fn only_the_keys_of_the_configuration_are_trusted() {
    let world = World::new();
    let (own, stranger) = (Signer::trusted(), Signer::stranger());
    let message = world.message();
    let certificate = |signed: &str, other: &str| {
        let said = part(signed, "<ds:X509Data>", "</ds:X509Data>").to_string();
        changed(signed, &said, other)
    };
    let by_stranger = stranger.assertion(&message);
    assert!(by_stranger.contains(&stranger.certificate));
    let x509 = |it: &Signer| {
        let text = &it.certificate;
        format!("<ds:X509Data><ds:X509Certificate>{text}</ds:X509Certificate></ds:X509Data>")
    };
    for forged in [
        by_stranger.clone(),
        stranger.message(&message),
        certificate(&by_stranger, &x509(own)),
        certificate(&by_stranger, "<ds:KeyName>staff</ds:KeyName>"),
    ] {
        assert_eq!(world.judge(&forged), Err(Refused::Signature), "{forged}");
    }
    // What the message says of its key decides nothing, either way.
    let genuine = own.assertion(&message);
    assert!(world.judge(&certificate(&genuine, &x509(stranger))).is_ok());
    assert!(world.judge(&certificate(&genuine, "")).is_ok());
}

#[test]
fn a_document_type_is_refused_before_it_is_read() {
    let world = World::new();
    let signed = world.signed();
    let mut laughs = String::from("<!DOCTYPE r [<!ENTITY a0 \"ha\">");
    for depth in 1..12 {
        let twice = format!("&a{};", depth - 1).repeat(10);
        laughs += &format!("<!ENTITY a{depth} \"{twice}\">");
    }
    for types in [
        "<!DOCTYPE r>",
        "<!DOCTYPE r SYSTEM \"file:///etc/passwd\">",
        &format!("{laughs}]>"),
    ] {
        let attack = format!("{types}{signed}");
        assert_eq!(
            world.judge(&attack),
            Err(Refused::Xml(XmlError::Dtd)),
            "{types}"
        );
    }
}

#[test]
fn a_response_cut_or_altered_anywhere_is_refused_and_nothing_panics() {
    let world = World::new();
    let signed = Signer::trusted().message(&world.message());
    let accepted = world.judge(&signed).unwrap();
    // Every part of the certificate may change, since nobody reads it.
    let unread = part(&signed, "<ds:KeyInfo>", "</ds:KeyInfo>");
    let unread = signed
        .find(unread)
        .map(|from| from..from + unread.len())
        .unwrap();
    let mut tried = 0;
    for at in (0..signed.len())
        .step_by(7)
        .filter(|at| !unread.contains(at))
    {
        assert!(world.judge(&signed[..at]).is_err(), "cut at {at}");
        let mut bytes = signed.clone().into_bytes();
        bytes[at] ^= 1;
        let outcome = world.judge_encoded(&STANDARD.encode(&bytes), NOW);
        // A quote or a space may become another that means the same.
        assert!(
            outcome.is_err() || outcome.as_ref() == Ok(&accepted),
            "altered at {at}"
        );
        tried += 1;
    }
    assert!(tried > 300, "{tried}");
}
