//! Which element of a response is signed, and whether by the provider.
//!
//! The cryptography and the canonical form are saml-rs's. What it leaves open is decided here before it
//! sees anything: where signatures may be and of which form, which algorithms, and that no key comes
//! from the message. What it verified is compared with what is read, so that the two are one element.

use saml_rs::crypto::verify_signature_with_limits;
use saml_rs::xml::dom::XmlLimits;

use super::Refused;
use super::response::{ASSERTION, LIMITS};
use super::xml::{self, Element};

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
/// What may sign and what may sum: nothing with SHA-1, and no shared secrets. No configuration adds to
/// these.
const SIGNING: [&str; 3] = [
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
    "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
];
const SUMMING: [&str; 3] = [
    "http://www.w3.org/2001/04/xmlenc#sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384",
    "http://www.w3.org/2001/04/xmlenc#sha512",
];

/// The assertion of a response, if it or the whole response is signed by one of these certificates.
/// What is returned was read from the very text that was verified.
pub fn verified(text: &str, certificates: &[String]) -> Result<Element, Refused> {
    let response = xml::read(text, LIMITS)?;
    let signature = outermost(&response)?;
    // A signature says by which key it is. Here the configuration says it, so that part is taken out;
    // no signature covers it, for this one leaves itself out.
    let text = match signature.only(DSIG, "KeyInfo") {
        Some(said) => format!("{}{}", &text[..said.span.start], &text[said.span.end..]),
        None => text.to_string(),
    };
    let limits = XmlLimits {
        max_bytes: LIMITS.bytes,
        max_depth: LIMITS.depth,
        max_nodes: LIMITS.elements,
        ..XmlLimits::default()
    };
    let (is_signed, signed) =
        verify_signature_with_limits(&text, certificates, limits).map_err(|error| {
            tracing::debug!(%error, "a SAML response's signature is refused");
            Refused::Signature
        })?;
    if !is_signed {
        return Err(Refused::Signature);
    }
    let response = xml::read(&text, LIMITS)?;
    let assertion = response.only(ASSERTION, "Assertion");
    let assertion = assertion.ok_or(Refused::Wrapped)?;
    match signed.as_deref() == Some(&text[assertion.span.clone()]) {
        true => Ok(assertion.clone()),
        false => Err(Refused::Wrapped),
    }
}

/// The signature of the response, or else of its assertion. Any other, anywhere, is refused.
fn outermost(response: &Element) -> Result<&Element, Refused> {
    let mut places = vec![response];
    places.extend(response.only(ASSERTION, "Assertion"));
    let mut all = 0;
    response.walk(&mut |element| all += usize::from(element.name == "Signature"));
    let mut found = Vec::new();
    for place in places {
        // By the schema it follows the issuer.
        let second = place.children.get(1).filter(|it| it.is(DSIG, "Signature"));
        if let Some(signature) = second {
            check_form(place, signature)?;
            found.push(signature);
        }
    }
    if found.len() != all {
        return Err(Refused::SignaturePlace);
    }
    found.first().copied().ok_or(Refused::Unsigned)
}

/// A signature over the element that it is in, over all of it, and of nothing else.
fn check_form(signed: &Element, signature: &Element) -> Result<(), Refused> {
    let named = |element: &Element, names: &[&str]| {
        let own: Vec<&str> = element.children.iter().map(|it| it.name.as_str()).collect();
        own == names && element.children.iter().all(|it| it.namespace == DSIG)
    };
    let refuse = |why| Err(Refused::SignatureForm(why));
    if !named(signature, &["SignedInfo", "SignatureValue", "KeyInfo"])
        && !named(signature, &["SignedInfo", "SignatureValue"])
    {
        return refuse("it has other parts than it should");
    }
    let info = &signature.children[0];
    if !named(
        info,
        &["CanonicalizationMethod", "SignatureMethod", "Reference"],
    ) {
        return refuse("it signs not exactly one element");
    }
    let [canonical, method, reference] = &info.children[..] else {
        return refuse("it signs not exactly one element");
    };
    if canonical.attribute("Algorithm") != Some(EXCLUSIVE) || !has_prefixes_only(canonical) {
        return refuse("it is not over exclusive canonical XML");
    }
    check_algorithm(method, &SIGNING)?;
    if !named(reference, &["Transforms", "DigestMethod", "DigestValue"]) {
        return refuse("its reference has other parts than it should");
    }
    let id = signed.attribute("ID").filter(|it| !it.is_empty());
    let uri = reference
        .attribute("URI")
        .and_then(|it| it.strip_prefix('#'));
    if id.is_none() || uri != id {
        return refuse("it signs another element than the one that it is in");
    }
    let [transforms, digest, _] = &reference.children[..] else {
        return refuse("its reference has other parts than it should");
    };
    if !named(transforms, &["Transform", "Transform"]) {
        return refuse("it transforms what it signs");
    }
    let enveloped = &transforms.children[0];
    let exclusive = &transforms.children[1];
    if enveloped.attribute("Algorithm") != Some(ENVELOPED)
        || !enveloped.children.is_empty()
        || exclusive.attribute("Algorithm") != Some(EXCLUSIVE)
        || !has_prefixes_only(exclusive)
    {
        return refuse("it transforms what it signs");
    }
    check_algorithm(digest, &SUMMING)
}

/// Exclusive canonical XML may name prefixes that it keeps, and take nothing else.
fn has_prefixes_only(element: &Element) -> bool {
    let mut children = element.children.iter();
    children.all(|it| it.is(EXCLUSIVE, "InclusiveNamespaces") && it.children.is_empty())
}

fn check_algorithm(element: &Element, allowed: &[&str]) -> Result<(), Refused> {
    let named = element.attribute("Algorithm").unwrap_or_default();
    if allowed.contains(&named) && element.children.is_empty() {
        return Ok(());
    }
    Err(Refused::Algorithm(named.chars().take(100).collect()))
}
