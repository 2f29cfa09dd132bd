//! What may be believed of a token that somebody brings. Keys, names and the time are arguments.

use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use openidconnect::core::{
    CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm as Algorithm,
};
use openidconnect::{
    ClaimsVerificationError, ClientId, IssuerUrl, JsonWebKey as _, Nonce,
    SignatureVerificationError,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How far the clocks of provider and node may be apart.
pub const LEEWAY_MS: u64 = 30_000;
/// How old a word to end sessions may be: providers try again for some minutes.
pub const LOGOUT_AGE_MS: u64 = 600_000;
/// The longest token, in bytes: a user may be in many groups.
const TOKEN_BYTES: usize = 128 << 10;
/// The longest name of a subject, a session or a token, in bytes (OpenID Connect Core, section 2).
const NAME_BYTES: usize = 255;
/// Keys that a signature without a key's name is tried with.
const KEYS_TRIED: usize = 16;
/// What makes a token one that ends sessions (OpenID Connect Back-Channel Logout, section 2.4).
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Signatures by keys that the provider alone has. None is none, and the HS family signs with what
/// both sides know.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
];

/// What a provider says of somebody, by the names of claims.
pub type Said = Map<String, Value>;

/// Whose tokens are believed, for whom, and when.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client: &'a str,
    pub now_ms: u64,
}

/// Why a token is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("it is no token that can be read: {0}")]
    Malformed(String),
    #[error("it is signed with a key that the provider does not publish")]
    UnknownKey,
    #[error("its signature does not hold: {0}")]
    Signature(String),
    #[error("it is another provider's")]
    Issuer,
    #[error("it is for another client")]
    Audience,
    #[error("it has expired, or its times are missing")]
    Expired,
    #[error("it is from the future: compare the clocks of this node and the provider")]
    Early,
    #[error("it belongs to another log-in")]
    Nonce,
    #[error("it does not say to end a session")]
    NoLogout,
    #[error("it was brought before")]
    Replayed,
    #[error("there is no ID token: is the scope 'openid' allowed for this client?")]
    Missing,
    #[error("it is about another user")]
    Subject,
}

/// The claims of an ID token that is believed. One that answers a log-in bears that log-in's nonce.
pub fn id_token(
    raw: &str,
    keys: &CoreJsonWebKeySet,
    of: Expected<'_>,
    nonce: Option<&str>,
) -> Result<Said, TokenError> {
    if raw.len() > TOKEN_BYTES {
        return Err(TokenError::Malformed("too long".into()));
    }
    let malformed = |error: &dyn std::error::Error| TokenError::Malformed(told(&error.to_string()));
    let token: CoreIdToken = raw.parse().map_err(|error| malformed(&error))?;
    let issuer = IssuerUrl::new(of.issuer.into()).map_err(|error| malformed(&error))?;
    let lenient = Duration::from_millis(of.now_ms.saturating_sub(LEEWAY_MS));
    let verifier = CoreIdTokenVerifier::new_public_client(
        ClientId::new(of.client.into()),
        issuer,
        keys.clone(),
    )
    .set_allowed_algs(ALGORITHMS)
    .set_time_fn(move || (UNIX_EPOCH + lenient).into());
    let checked = match nonce {
        Some(nonce) => token.claims(&verifier, &Nonce::new(nonce.into())),
        None => token.claims(&verifier, |_: Option<&Nonce>| Ok(())),
    };
    checked.map_err(refusal)?;
    let said = object(raw.split('.').nth(1).unwrap_or_default())?;
    in_time(&said, of.now_ms)?;
    // Whom the token was made out to, where that is said (OpenID Connect Core, section 3.1.3.7).
    if said.get("azp").is_some_and(|it| it != of.client) {
        return Err(TokenError::Audience);
    }
    match name(&said, "sub")? {
        Some(_) => Ok(said),
        None => Err(TokenError::Subject),
    }
}

/// Which sessions a provider says are over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logout {
    pub subject: Option<String>,
    pub session: Option<String>,
    /// The token's own name, which is used once.
    pub id: String,
}

/// What a logout token says that is believed (OpenID Connect Back-Channel Logout, section 2.6).
pub fn logout_token(
    raw: &str,
    keys: &CoreJsonWebKeySet,
    of: Expected<'_>,
) -> Result<Logout, TokenError> {
    if raw.len() > TOKEN_BYTES {
        return Err(TokenError::Malformed("too long".into()));
    }
    let said = signed(raw, keys)?;
    if said.get("iss").and_then(Value::as_str) != Some(of.issuer) {
        return Err(TokenError::Issuer);
    }
    let is_ours = match said.get("aud") {
        Some(Value::Array(all)) => all.len() == 1 && all[0] == of.client,
        Some(one) => one == of.client,
        None => false,
    };
    if !is_ours {
        return Err(TokenError::Audience);
    }
    in_time(&said, of.now_ms)?;
    let made = ms(&said, "iat").ok_or(TokenError::Expired)?;
    if made.saturating_add(LOGOUT_AGE_MS) < of.now_ms {
        return Err(TokenError::Expired);
    }
    let event = said.get("events").and_then(|it| it.get(LOGOUT_EVENT));
    if !event.is_some_and(Value::is_object) || said.contains_key("nonce") {
        return Err(TokenError::NoLogout);
    }
    let (subject, session) = (name(&said, "sub")?, name(&said, "sid")?);
    if subject.is_none() && session.is_none() {
        return Err(TokenError::NoLogout);
    }
    let id = name(&said, "jti")?.ok_or(TokenError::NoLogout)?;
    Ok(Logout {
        subject,
        session,
        id,
    })
}

/// A token's head, as far as it matters.
#[derive(Deserialize)]
struct Head {
    alg: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// The claims of a token that one of these keys signed.
fn signed(raw: &str, keys: &CoreJsonWebKeySet) -> Result<Said, TokenError> {
    let malformed = |why: &str| TokenError::Malformed(why.into());
    let parts: Vec<&str> = raw.splitn(4, '.').collect();
    let [head, body, signature] = parts[..] else {
        return Err(malformed("it has not three parts"));
    };
    let head: Head = serde_json::from_value(Value::Object(object(head)?))
        .map_err(|error| TokenError::Malformed(told(&error.to_string())))?;
    if head.crit.is_some() {
        return Err(malformed("it asks for an extension"));
    }
    let kind = head.typ.unwrap_or_else(|| "jwt".into()).to_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    if !matches!(kind, "jwt" | "logout+jwt") {
        return Err(malformed("it is of another kind"));
    }
    if !ALGORITHMS.contains(&head.alg) {
        return Err(TokenError::Signature("a forbidden algorithm".into()));
    }
    let signature = bytes(signature)?;
    let message = &raw.as_bytes()[..raw.rfind('.').unwrap_or_default()];
    let is_named = |own: Option<&str>| head.kid.is_none() || own == head.kid.as_deref();
    let mut named = keys
        .keys()
        .iter()
        .filter(|key| is_named(key.key_id().map(|it| it.as_str())))
        .take(KEYS_TRIED)
        .peekable();
    if named.peek().is_none() {
        return Err(TokenError::UnknownKey);
    }
    let holds = named.any(|key| key.verify_signature(&head.alg, message, &signature).is_ok());
    match holds {
        true => object(body),
        false => Err(TokenError::Signature("no key fits it".into())),
    }
}

fn bytes(part: &str) -> Result<Vec<u8>, TokenError> {
    let decoded = URL_SAFE_NO_PAD.decode(part);
    decoded.map_err(|_| TokenError::Malformed("it is not base64url".into()))
}

fn object(part: &str) -> Result<Said, TokenError> {
    let object = serde_json::from_slice(&bytes(part)?);
    object.map_err(|_| TokenError::Malformed("a part is no JSON object".into()))
}

/// A name among the claims; none where there is none.
fn name(said: &Said, claim: &str) -> Result<Option<String>, TokenError> {
    match said.get(claim) {
        None => Ok(None),
        Some(Value::String(name)) if (1..=NAME_BYTES).contains(&name.len()) => {
            Ok(Some(name.clone()))
        }
        Some(_) => Err(TokenError::Malformed(format!("'{claim}' is no name"))),
    }
}

/// A time among the claims, in Unix milliseconds.
fn ms(said: &Said, claim: &str) -> Option<u64> {
    let seconds = said.get(claim)?.as_f64()?;
    // A float becomes the nearest number that there is.
    Some((seconds * 1000.0) as u64)
}

/// Whether a token is neither over nor not yet begun, as far as it says.
fn in_time(said: &Said, now_ms: u64) -> Result<(), TokenError> {
    for claim in ["exp", "iat", "nbf"] {
        if said.contains_key(claim) && ms(said, claim).is_none() {
            return Err(TokenError::Expired);
        }
    }
    if ms(said, "exp").is_some_and(|end| end.saturating_add(LEEWAY_MS) <= now_ms) {
        return Err(TokenError::Expired);
    }
    let latest = now_ms.saturating_add(LEEWAY_MS);
    let begins = [ms(said, "iat"), ms(said, "nbf")].into_iter().flatten();
    match begins.max().is_some_and(|begin| begin > latest) {
        true => Err(TokenError::Early),
        false => Ok(()),
    }
}

fn refusal(error: ClaimsVerificationError) -> TokenError {
    use ClaimsVerificationError as Not;
    match error {
        Not::Expired(_) => TokenError::Expired,
        Not::InvalidAudience(_) => TokenError::Audience,
        Not::InvalidIssuer(_) => TokenError::Issuer,
        Not::InvalidNonce(_) => TokenError::Nonce,
        Not::SignatureVerification(SignatureVerificationError::NoMatchingKey) => {
            TokenError::UnknownKey
        }
        Not::SignatureVerification(error) => TokenError::Signature(told(&error.to_string())),
        other => TokenError::Malformed(told(&other.to_string())),
    }
}

/// What somebody else wrote, short and on one line, as logs and answers may have it.
pub fn told(text: &str) -> String {
    let printable = text.chars().filter(|it| !it.is_control());
    printable.take(200).collect()
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
