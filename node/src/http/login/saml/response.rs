//! Whether a provider's response lets somebody in: all that SAML 2.0 asks of it (profiles, section
//! 4.1.4), and the request that it answers.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::provider::Provider;
use super::requests::Requests;
use super::xml::{self, Element, Limits};
use super::{Refused, instant, signature};

pub const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
pub const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const SUCCESS: &str = "urn:oasis:names:tc:SAML:2.0:status:Success";
const BEARER: &str = "urn:oasis:names:tc:SAML:2.0:cm:bearer";
const TRANSIENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:transient";
/// What a response may cost: with a thousand groups it has a hundred kilobytes and two thousand
/// elements, ten deep.
pub const LIMITS: Limits = Limits {
    bytes: 256 << 10,
    depth: 24,
    elements: 5_000,
    comments: false,
};
/// How far the clocks of node and provider may be apart.
pub const LEEWAY_MS: u64 = 60_000;

/// Whom a provider vouches for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Vouched {
    /// The NameID; none where it is a transient one, which is another at every log-in.
    pub name_id: Option<String>,
    pub attributes: BTreeMap<String, Vec<String>>,
    /// The provider's name of the session.
    pub session: Option<String>,
    /// When the session ends, in Unix milliseconds, if the provider says so.
    pub until_ms: Option<u64>,
}

/// A response that holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The request that it answers.
    pub request: String,
    pub vouched: Vouched,
}

/// Reads the text of a `SAMLResponse` as it comes, and accepts it or says why not.
pub fn accept(
    encoded: &str,
    provider: &Provider,
    requests: &Requests,
    now_ms: u64,
) -> Result<Accepted, Refused> {
    let text = decoded(encoded)?;
    let response = xml::read(&text, LIMITS)?;
    check_shape(&response)?;
    check_message(&response, provider)?;
    let request = response.attribute("InResponseTo");
    let request = request.ok_or(Refused::Unsolicited)?.to_string();
    requests.expect(&request, &provider.name, now_ms)?;
    let assertion = signature::verified(&text, &provider.certificates)?;
    let vouched = check_assertion(&assertion, provider, &request, now_ms)?;
    Ok(Accepted { request, vouched })
}

fn decoded(encoded: &str) -> Result<String, Refused> {
    // Base64 has four letters for three bytes, and some break it into lines.
    if encoded.len() > LIMITS.bytes * 3 / 2 {
        return Err(Refused::TooLarge(LIMITS.bytes));
    }
    let letters: String = encoded.split_ascii_whitespace().collect();
    if letters.is_empty() {
        return Err(Refused::Empty);
    }
    let bytes = STANDARD.decode(letters).map_err(|_| Refused::Encoding)?;
    if bytes.len() > LIMITS.bytes {
        return Err(Refused::TooLarge(LIMITS.bytes));
    }
    let text = String::from_utf8(bytes).map_err(|_| Refused::Encoding)?;
    Ok(xml::with_newlines(&text))
}

/// One response with one assertion, and no two elements of one id.
fn check_shape(response: &Element) -> Result<(), Refused> {
    if !response.is(PROTOCOL, "Response") || response.attribute("Version") != Some("2.0") {
        return Err(Refused::Shape("it is no response of version 2.0"));
    }
    let (mut ids, mut is_double, mut is_encrypted, mut assertions) =
        (BTreeSet::new(), false, false, 0);
    response.walk(&mut |element| {
        for attribute in &element.attributes {
            let name = attribute.name.to_ascii_lowercase();
            if matches!(name.as_str(), "id" | "assertionid") {
                is_double |= !ids.insert(attribute.value.as_str());
            }
        }
        is_encrypted |= element.name.starts_with("Encrypted");
        assertions += usize::from(element.name == "Assertion");
    });
    if is_double {
        return Err(Refused::DuplicateId);
    }
    if is_encrypted {
        return Err(Refused::Encrypted);
    }
    check_status(response)?;
    match (assertions, response.only(ASSERTION, "Assertion")) {
        (1, Some(_)) => Ok(()),
        (1, None) => Err(Refused::Shape("its assertion is not where it should be")),
        _ => Err(Refused::Assertions(assertions)),
    }
}

fn check_status(response: &Element) -> Result<(), Refused> {
    let status = response.only(PROTOCOL, "Status");
    let status = status.ok_or(Refused::Shape("it has no status"))?;
    let code = status.only(PROTOCOL, "StatusCode");
    let value = code.and_then(|it| it.attribute("Value"));
    if value == Some(SUCCESS) {
        return Ok(());
    }
    let second = code.and_then(|it| it.only(PROTOCOL, "StatusCode")?.attribute("Value"));
    let said = second.or(value).unwrap_or("it does not say why");
    Err(Refused::Status(said.chars().take(100).collect()))
}

/// What the message says of itself. Only the assertion need be signed, so that what follows from this
/// alone is that it is refused.
fn check_message(response: &Element, provider: &Provider) -> Result<(), Refused> {
    if response.attribute("Destination") != Some(&provider.acs) {
        return Err(Refused::Destination);
    }
    match response.only(ASSERTION, "Issuer") {
        Some(issuer) => check_issuer(issuer, provider),
        None if response.all(ASSERTION, "Issuer").next().is_none() => Ok(()),
        None => Err(Refused::Issuer),
    }
}

fn check_issuer(issuer: &Element, provider: &Provider) -> Result<(), Refused> {
    match issuer.plain().map(str::trim) == Some(&provider.issuer) {
        true => Ok(()),
        false => Err(Refused::Issuer),
    }
}

fn check_assertion(
    assertion: &Element,
    provider: &Provider,
    request: &str,
    now_ms: u64,
) -> Result<Vouched, Refused> {
    if assertion.attribute("Version") != Some("2.0") {
        return Err(Refused::Shape("its assertion is not of version 2.0"));
    }
    let issuer = assertion.only(ASSERTION, "Issuer").ok_or(Refused::Issuer)?;
    check_issuer(issuer, provider)?;
    check_conditions(assertion, provider, now_ms)?;
    let subject = assertion.only(ASSERTION, "Subject");
    let subject = subject.ok_or(Refused::Subject)?;
    check_confirmation(subject, provider, request, now_ms)?;
    let (session, until_ms) = session(assertion, now_ms)?;
    Ok(Vouched {
        name_id: name_id(subject)?,
        attributes: attributes(assertion),
        session,
        until_ms,
    })
}

fn check_conditions(assertion: &Element, provider: &Provider, now_ms: u64) -> Result<(), Refused> {
    let conditions = assertion.only(ASSERTION, "Conditions");
    let conditions = conditions.ok_or(Refused::Audience)?;
    check_times(conditions, now_ms)?;
    let known = ["AudienceRestriction", "OneTimeUse", "ProxyRestriction"];
    let is_known = |it: &Element| it.namespace == ASSERTION && known.contains(&it.name.as_str());
    if !conditions.children.iter().all(is_known) {
        return Err(Refused::Condition);
    }
    let names_us = |restriction: &Element| {
        let mut audiences = restriction.all(ASSERTION, "Audience");
        audiences.any(|it| it.plain().map(str::trim) == Some(&provider.entity_id))
    };
    let mut restrictions = conditions.all(ASSERTION, "AudienceRestriction").peekable();
    match restrictions.peek().is_some() && restrictions.all(names_us) {
        true => Ok(()),
        false => Err(Refused::Audience),
    }
}

/// The times between which an element holds, where it says them.
fn check_times(element: &Element, now_ms: u64) -> Result<(), Refused> {
    if time(element, "NotBefore")?.is_some_and(|it| now_ms.saturating_add(LEEWAY_MS) < it) {
        return Err(Refused::NotYet);
    }
    let end = time(element, "NotOnOrAfter")?;
    match end.is_some_and(|it| now_ms >= it.saturating_add(LEEWAY_MS)) {
        true => Err(Refused::Expired),
        false => Ok(()),
    }
}

fn time(element: &Element, name: &str) -> Result<Option<u64>, Refused> {
    let Some(text) = element.attribute(name) else {
        return Ok(None);
    };
    let time = instant::parse(text);
    time.map(Some)
        .ok_or(Refused::Shape("a time is not one in UTC"))
}

/// Whoever brings the assertion is its subject: one of its confirmations has to say so for this node,
/// this request and this time.
fn check_confirmation(
    subject: &Element,
    provider: &Provider,
    request: &str,
    now_ms: u64,
) -> Result<(), Refused> {
    let mut why = Refused::Confirmation("there is none");
    for confirmation in subject.all(ASSERTION, "SubjectConfirmation") {
        match check_bearer(confirmation, provider, request, now_ms) {
            Ok(()) => return Ok(()),
            Err(other) => why = other,
        }
    }
    Err(why)
}

fn check_bearer(
    confirmation: &Element,
    provider: &Provider,
    request: &str,
    now_ms: u64,
) -> Result<(), Refused> {
    let refuse = |why| Err(Refused::Confirmation(why));
    if confirmation.attribute("Method") != Some(BEARER) {
        return refuse("it is of another kind");
    }
    let Some(data) = confirmation.only(ASSERTION, "SubjectConfirmationData") else {
        return refuse("it says nothing");
    };
    if data.attribute("Recipient") != Some(&provider.acs) {
        return refuse("it is for another recipient");
    }
    if data.attribute("InResponseTo") != Some(request) {
        return refuse("it answers another request");
    }
    if data.attribute("NotOnOrAfter").is_none() || data.attribute("NotBefore").is_some() {
        return refuse("it says no end, or a beginning");
    }
    check_times(data, now_ms)
}

/// The provider's session: its name, and when it ends.
fn session(assertion: &Element, now_ms: u64) -> Result<(Option<String>, Option<u64>), Refused> {
    let mut statements = assertion.all(ASSERTION, "AuthnStatement").peekable();
    let Some(first) = statements.peek() else {
        return Err(Refused::Shape("it does not say that the user logged in"));
    };
    let name = first.attribute("SessionIndex").map(String::from);
    let mut until_ms: Option<u64> = None;
    for statement in statements {
        if let Some(end) = time(statement, "SessionNotOnOrAfter")? {
            until_ms = Some(until_ms.map_or(end, |it| it.min(end)));
        }
    }
    match until_ms.is_some_and(|it| now_ms >= it) {
        true => Err(Refused::Expired),
        false => Ok((name, until_ms)),
    }
}

fn name_id(subject: &Element) -> Result<Option<String>, Refused> {
    let Some(name_id) = subject.only(ASSERTION, "NameID") else {
        return match subject.all(ASSERTION, "NameID").next() {
            Some(_) => Err(Refused::Subject),
            None => Ok(None),
        };
    };
    if name_id.attribute("Format") == Some(TRANSIENT) {
        return Ok(None);
    }
    let name = name_id.plain().filter(|it| !it.is_empty());
    Ok(Some(name.ok_or(Refused::Subject)?.to_string()))
}

/// The attributes by name. A value that is itself XML is passed over.
fn attributes(assertion: &Element) -> BTreeMap<String, Vec<String>> {
    let mut attributes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let statements = assertion.all(ASSERTION, "AttributeStatement");
    for attribute in statements.flat_map(|it| it.all(ASSERTION, "Attribute")) {
        let Some(name) = attribute.attribute("Name") else {
            continue;
        };
        let values = attribute.all(ASSERTION, "AttributeValue");
        let values = values.filter_map(|it| it.plain().map(String::from));
        attributes.entry(name.into()).or_default().extend(values);
    }
    attributes
}
