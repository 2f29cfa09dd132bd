//! XML signature wrapping: the eight forms that are known for SAML, each with what the provider signed
//! somewhere in it, and another subject where a careless reader would look.

use super::super::{Refused, signature};
use super::idp::{Signer, World, changed, part};

const ASSERTION: (&str, &str) = ("<saml:Assertion", "</saml:Assertion>");
const SIGNATURE: (&str, &str) = ("<ds:Signature ", "</ds:Signature>");

#[test]
fn a_signed_part_elsewhere_lets_nobody_in() {
    let world = World::new();
    for (name, wrapped, why) in attacks(&world) {
        assert!(
            wrapped.contains("alice-7") && wrapped.contains("mallory-1"),
            "{name}"
        );
        assert_eq!(world.judge(&wrapped), Err(why), "{name}: {wrapped}");
    }
}

/// The count of assertions and ids stands before the signatures. Without it they would hold, too: what
/// is refused there, or is read as alice, has let nobody else in.
#[test]
fn the_signatures_alone_refuse_the_same() {
    let world = World::new();
    for (name, wrapped, _) in attacks(&world) {
        let read = signature::verified(&wrapped, &world.provider.certificates);
        assert!(read.is_err(), "{name}: {read:?}");
    }
}

#[test]
fn the_unmodified_responses_are_accepted() {
    let world = World::new();
    let message = world.message();
    for signed in [
        Signer::trusted().message(&message),
        Signer::trusted().assertion(&message),
    ] {
        let accepted = world.judge(&signed).unwrap();
        assert_eq!(accepted.vouched.name_id.as_deref(), Some("alice-7"));
        let read = signature::verified(&signed, &world.provider.certificates);
        assert!(read.is_ok());
    }
}

fn attacks(world: &World) -> Vec<(&'static str, String, Refused)> {
    let message = world.message();
    let whole = Signer::trusted().message(&message);
    let signed = Signer::trusted().assertion(&message);
    let evil = |text: &str| {
        text.replace("alice-7", "mallory-1")
            .replace(">alice<", ">mallory<")
    };
    let renamed = |text: &str| evil(text).replace("\"_assertion\"", "\"_evil\"");
    let assertion = part(&signed, ASSERTION.0, ASSERTION.1);
    let of_whole = part(&whole, SIGNATURE.0, SIGNATURE.1);
    let of_assertion = part(&signed, SIGNATURE.0, SIGNATURE.1);
    let unsigned = part(&message, ASSERTION.0, ASSERTION.1);
    let forged_response = changed(&renamed(&message), "\"_response\"", "\"_evil-response\"");
    let after_issuer = |text: &str, what: &str| {
        let at = text.find("</saml:Issuer>").unwrap() + "</saml:Issuer>".len();
        format!("{}{what}{}", &text[..at], &text[at..])
    };
    let holding = |signature: &str, what: &str| {
        let end = "</ds:Signature>";
        changed(signature, end, &format!("{what}{end}"))
    };
    let with = |assertions: &str| changed(&message, unsigned, assertions);
    let forged = renamed(unsigned);
    let end = "</saml:Assertion>";
    let object = |what: &str| format!("<ds:Object>{what}</ds:Object>");
    let extended = format!(
        "<samlp:Extensions>{}</samlp:Extensions><samlp:Status>",
        evil(unsigned)
    );
    let two = Refused::Assertions(2);
    vec![
        (
            "XSW1",
            after_issuer(&forged_response, &holding(of_whole, &message)),
            two.clone(),
        ),
        (
            "XSW2",
            after_issuer(&forged_response, &format!("{message}{of_whole}")),
            two.clone(),
        ),
        ("XSW3", with(&format!("{forged}{assertion}")), two.clone()),
        (
            "XSW4",
            with(&changed(&forged, end, &format!("{assertion}{end}"))),
            two.clone(),
        ),
        (
            "XSW5",
            with(&format!(
                "{}{unsigned}",
                after_issuer(&forged, of_assertion)
            )),
            two.clone(),
        ),
        (
            "XSW6",
            with(&after_issuer(&forged, &holding(of_assertion, unsigned))),
            two.clone(),
        ),
        (
            "XSW7",
            changed(&signed, "<samlp:Status>", &extended),
            Refused::DuplicateId,
        ),
        (
            "XSW8",
            with(&after_issuer(
                &forged,
                &holding(of_assertion, &object(unsigned)),
            )),
            two.clone(),
        ),
        ("two assertions", with(&format!("{assertion}{forged}")), two),
        (
            "one id",
            with(&format!("{assertion}{}", evil(unsigned))),
            Refused::DuplicateId,
        ),
        (
            "the signed one under another name",
            with(&after_issuer(&forged, of_assertion)).replace(
                "<samlp:Status>",
                &format!(
                    "<samlp:Extensions>{}</samlp:Extensions><samlp:Status>",
                    unsigned
                        .replace("saml:Assertion ", "saml:Advice ")
                        .replace(end, "</saml:Advice>")
                ),
            ),
            Refused::SignatureForm("it signs another element than the one that it is in"),
        ),
    ]
}
