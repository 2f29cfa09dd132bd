//! Tokens as hostile askers, careless providers and other log-ins make them; none but the good one is
//! believed. All keys are made here.

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use serde_json::json;

use super::*;

const ISSUER: &str = "https://login.alpha.example";
const CLIENT: &str = "comity";
const NONCE: &str = "the-nonce-of-this-log-in";
const NOW_S: u64 = 1_800_000_000;

fn expected() -> Expected<'static> {
    Expected {
        issuer: ISSUER,
        client: CLIENT,
        now_ms: NOW_S * 1000,
    }
}

/// What a provider signs with.
enum Signer {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Signer {
    fn rsa() -> Signer {
        Signer::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    fn ec() -> Signer {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING);
        Signer::Ec(pair.unwrap())
    }

    fn name(&self) -> &'static str {
        match self {
            Signer::Rsa(_) => "RS256",
            Signer::Ec(_) => "ES256",
        }
    }

    fn public(&self, kid: &str) -> Value {
        match self {
            Signer::Rsa(pair) => {
                // SEQUENCE { INTEGER n, INTEGER 65537 } in DER (RFC 8017, A.1.1): 2048 bits have this
                // place in it.
                let der = pair.public_key().as_ref();
                assert_eq!(&der[der.len() - 3..], [1, 0, 1]);
                json!({"kty": "RSA", "kid": kid, "use": "sig", "e": "AQAB", "n": encoded(&der[9..265])})
            }
            Signer::Ec(pair) => {
                let point = pair.public_key().as_ref();
                let (x, y) = (encoded(&point[1..33]), encoded(&point[33..]));
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": x, "y": y})
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Signer::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
        }
    }

    /// A token with this head and these claims.
    fn token_with(&self, head: &Value, claims: &Value) -> String {
        let message = unsigned(head, claims);
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", encoded(&signature))
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.name(), "kid": "one"}), claims)
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn unsigned(head: &Value, claims: &Value) -> String {
    let part = |value: &Value| encoded(value.to_string().as_bytes());
    format!("{}.{}", part(head), part(claims))
}

fn published(keys: &[Value]) -> CoreJsonWebKeySet {
    serde_json::from_value(json!({"keys": keys})).unwrap()
}

/// The claims of a good ID token, with some of them changed; null takes one away.
fn changed(good: Value, changes: Value) -> Value {
    let mut claims = good;
    for (name, value) in changes.as_object().unwrap() {
        let all = claims.as_object_mut().unwrap();
        match value {
            Value::Null => all.remove(name),
            value => all.insert(name.clone(), value.clone()),
        };
    }
    claims
}

fn id_claims(changes: Value) -> Value {
    let good = json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "1", "nonce": NONCE,
        "iat": NOW_S - 5, "exp": NOW_S + 300, "preferred_username": "alice", "groups": ["ops"],
    });
    changed(good, changes)
}

fn logout_claims(changes: Value) -> Value {
    let good = json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "1", "sid": "s", "jti": "j",
        "iat": NOW_S - 5, "exp": NOW_S + 120, "events": {LOGOUT_EVENT: {}},
    });
    changed(good, changes)
}

fn checked(signer: &Signer, token: &str) -> Result<Said, TokenError> {
    let keys = published(&[signer.public("one")]);
    id_token(token, &keys, expected(), Some(NONCE))
}

fn ended(signer: &Signer, token: &str) -> Result<Logout, TokenError> {
    let keys = published(&[signer.public("one")]);
    logout_token(token, &keys, expected())
}

#[test]
fn a_good_token_is_believed() {
    for signer in [Signer::rsa(), Signer::ec()] {
        let said = checked(&signer, &signer.token(&id_claims(json!({})))).unwrap();
        assert_eq!(said["groups"], json!(["ops"]));
        // Clocks differ a little.
        let late = id_claims(json!({"exp": NOW_S - 20, "iat": NOW_S + 20}));
        checked(&signer, &signer.token(&late)).unwrap();
        let logout = ended(&signer, &signer.token(&logout_claims(json!({})))).unwrap();
        assert_eq!(logout.session.as_deref(), Some("s"));
        // One without an end is believed for as long as it is fresh.
        let endless = signer.token(&logout_claims(json!({"exp": null, "sid": null})));
        assert_eq!(ended(&signer, &endless).unwrap().session, None);
    }
}

#[test]
fn claims_that_are_not_for_this_log_in_are_refused() {
    let signer = Signer::rsa();
    let corpus = [
        (json!({"iss": "https://other.example"}), TokenError::Issuer),
        (json!({"iss": format!("{ISSUER}/")}), TokenError::Issuer),
        (json!({"aud": "other"}), TokenError::Audience),
        (json!({"aud": [CLIENT, "other"]}), TokenError::Audience),
        (json!({"aud": []}), TokenError::Audience),
        (json!({"azp": "other"}), TokenError::Audience),
        (json!({"nonce": "another"}), TokenError::Nonce),
        (json!({"nonce": null}), TokenError::Nonce),
        (json!({"exp": NOW_S - 31}), TokenError::Expired),
        (json!({"exp": 0}), TokenError::Expired),
        (json!({"nbf": NOW_S + 31}), TokenError::Early),
        (json!({"iat": NOW_S + 31}), TokenError::Early),
        (json!({"nbf": "soon"}), TokenError::Expired),
    ];
    for (changes, why) in corpus {
        let token = signer.token(&id_claims(changes.clone()));
        assert_eq!(checked(&signer, &token), Err(why), "{changes}");
    }
    for missing in ["iss", "aud", "sub", "exp", "iat"] {
        let token = signer.token(&id_claims(json!({missing: null})));
        assert!(checked(&signer, &token).is_err(), "{missing}");
    }
    for subject in [json!(""), json!("x".repeat(256)), json!(7)] {
        let token = signer.token(&id_claims(json!({"sub": subject})));
        assert!(checked(&signer, &token).is_err(), "{subject}");
    }
}

/// Tokens that no key of the provider signed, for both kinds of claims.
fn forged(signer: &Signer, claims: &Value) -> Vec<(&'static str, String)> {
    let good = signer.token(claims);
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else {
        panic!("three parts");
    };
    let public = signer.public("one").to_string();
    let with_public_key = |alg: &str, key: &[u8]| {
        let message = unsigned(&json!({"alg": alg, "kid": "one"}), claims);
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        format!("{message}.{}", encoded(tag.as_ref()))
    };
    let mut other_claims = claims.clone();
    other_claims["sub"] = json!("2");
    let other_body = encoded(other_claims.to_string().as_bytes());
    let mut broken = URL_SAFE_NO_PAD.decode(signature).unwrap();
    broken[7] ^= 1;
    let none = |alg: &str| unsigned(&json!({"alg": alg}), claims);
    let other = |head: Value| signer.token_with(&head, claims);
    vec![
        ("no algorithm", format!("{}.", none("none"))),
        ("no algorithm, with capitals", format!("{}.", none("nOnE"))),
        (
            "no algorithm, with a signature",
            format!("{}.{signature}", none("none")),
        ),
        ("no signature", format!("{head}.{body}.")),
        ("two parts", format!("{head}.{body}")),
        (
            "the public key as a password",
            with_public_key("HS256", public.as_bytes()),
        ),
        (
            "the client as a password",
            with_public_key("HS256", CLIENT.as_bytes()),
        ),
        ("an empty password", with_public_key("HS256", b"")),
        ("other claims", format!("{head}.{other_body}.{signature}")),
        (
            "a broken signature",
            format!("{head}.{body}.{}", encoded(&broken)),
        ),
        ("another's signature", Signer::rsa().token(claims)),
        (
            "another's signature of another kind",
            Signer::ec().token(claims),
        ),
        (
            "another algorithm",
            other(json!({"alg": "PS512", "kid": "one"})),
        ),
        (
            "an unknown algorithm",
            other(json!({"alg": "XX256", "kid": "one"})),
        ),
        (
            "an unknown key",
            other(json!({"alg": signer.name(), "kid": "two"})),
        ),
        (
            "a key of its own",
            other(json!({
                "alg": signer.name(), "kid": "two", "jwk": signer.public("two"), "jku": "https://evil.example",
            })),
        ),
        (
            "an extension",
            other(json!({"alg": signer.name(), "kid": "one", "crit": ["b64"], "b64": false})),
        ),
        (
            "another kind",
            other(json!({"alg": signer.name(), "kid": "one", "typ": "at+jwt"})),
        ),
        ("five parts, as if sealed", format!("{good}.a.b")),
        ("nothing", String::new()),
        ("dots", "..".into()),
        ("no JSON", format!("{}.{body}.{signature}", encoded(b"{"))),
        ("a list", format!("{}.{body}.{signature}", encoded(b"[]"))),
        (
            "huge",
            format!("{head}.{}.{signature}", "A".repeat(TOKEN_BYTES)),
        ),
    ]
}

#[test]
fn what_no_key_of_the_provider_signed_is_refused() {
    for signer in [Signer::rsa(), Signer::ec()] {
        for (what, token) in forged(&signer, &id_claims(json!({}))) {
            assert!(checked(&signer, &token).is_err(), "{what}: believed");
        }
        for (what, token) in forged(&signer, &logout_claims(json!({}))) {
            assert!(ended(&signer, &token).is_err(), "{what}: believed");
        }
    }
}

#[test]
fn an_unknown_key_is_told_from_a_forgery_so_that_new_keys_are_looked_for() {
    let signer = Signer::rsa();
    let head = json!({"alg": "RS256", "kid": "two"});
    let token = signer.token_with(&head, &id_claims(json!({})));
    assert_eq!(checked(&signer, &token), Err(TokenError::UnknownKey));
    let token = signer.token_with(&head, &logout_claims(json!({})));
    assert_eq!(ended(&signer, &token), Err(TokenError::UnknownKey));
}

#[test]
fn a_key_for_sealing_signs_nothing() {
    let signer = Signer::rsa();
    let mut public = signer.public("one");
    public["use"] = json!("enc");
    let keys = published(&[public]);
    let token = signer.token(&id_claims(json!({})));
    assert!(id_token(&token, &keys, expected(), Some(NONCE)).is_err());
    let token = signer.token(&logout_claims(json!({})));
    assert!(logout_token(&token, &keys, expected()).is_err());
}

#[test]
fn only_a_fresh_token_that_says_so_ends_sessions() {
    let signer = Signer::rsa();
    let old = NOW_S - LOGOUT_AGE_MS / 1000 - 1;
    let corpus = [
        (json!({"iss": "https://other.example"}), TokenError::Issuer),
        (json!({"aud": "other"}), TokenError::Audience),
        (json!({"aud": [CLIENT, "other"]}), TokenError::Audience),
        (json!({"aud": null}), TokenError::Audience),
        (json!({"iat": null}), TokenError::Expired),
        (json!({"iat": old}), TokenError::Expired),
        (json!({"iat": NOW_S + 31}), TokenError::Early),
        (json!({"exp": NOW_S - 31}), TokenError::Expired),
        (json!({"events": null}), TokenError::NoLogout),
        (json!({"events": {}}), TokenError::NoLogout),
        (json!({"events": LOGOUT_EVENT}), TokenError::NoLogout),
        (
            json!({"events": {LOGOUT_EVENT: true}}),
            TokenError::NoLogout,
        ),
        (json!({"nonce": NONCE}), TokenError::NoLogout),
        (json!({"jti": null}), TokenError::NoLogout),
        (json!({"sub": null, "sid": null}), TokenError::NoLogout),
    ];
    for (changes, why) in corpus {
        let token = signer.token(&logout_claims(changes.clone()));
        assert_eq!(ended(&signer, &token), Err(why), "{changes}");
    }
    // An ID token ends nothing, and a logout token lets nobody in.
    let token = signer.token(&id_claims(json!({"jti": "j"})));
    assert_eq!(ended(&signer, &token), Err(TokenError::NoLogout));
    let token = signer.token(&logout_claims(json!({})));
    assert_eq!(checked(&signer, &token), Err(TokenError::Nonce));
}

#[test]
fn what_others_wrote_is_told_on_one_short_line() {
    assert_eq!(told("a\nb\u{1b}[31m"), "ab[31m");
    assert_eq!(told(&"x".repeat(1_000)).len(), 200);
}
