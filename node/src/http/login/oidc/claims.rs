//! The account that a provider's claims make.

use std::collections::BTreeMap;

use serde_json::Value;

use super::config::OidcConfig;
use super::token::Said;
use crate::home::people::{Claims, Subject};

/// Values of one claim that are looked at: as many as groups of one user are.
const VALUES: usize = 1_000;

/// The source of the accounts of a provider.
pub fn source(name: &str) -> String {
    format!("oidc:{name}")
}

/// Whether all is said that an account is made of.
pub fn is_complete(config: &OidcConfig, said: &Said) -> bool {
    let kept = config.rules.attributes.iter();
    let mut wanted = kept.chain([&config.claims.username, &config.claims.groups]);
    wanted.all(|name| find(said, name).is_some())
}

/// What is said, as accounts are made of it. What is missing is empty, and admits nobody.
pub fn claims(config: &OidcConfig, said: &Said) -> Claims {
    let text = |name: &str| {
        let text = find(said, name).and_then(Value::as_str);
        text.unwrap_or_default().to_string()
    };
    let first_name = match text("given_name") {
        given if given.is_empty() && text("family_name").is_empty() => text("name"),
        given => given,
    };
    let attributes = config.rules.attributes.iter();
    let attributes = attributes.filter_map(|name| Some((name.clone(), texts(find(said, name)?))));
    Claims {
        subject: Subject {
            source: source(&config.name),
            name: text("sub"),
        },
        username: text(&config.claims.username),
        email: text("email"),
        first_name,
        last_name: text("family_name"),
        groups: find(said, &config.claims.groups).map_or_else(Vec::new, texts),
        attributes: attributes.collect::<BTreeMap<_, _>>(),
    }
}

/// A claim by its name, or by names with dots between them that lead into objects.
fn find<'a>(said: &'a Said, name: &str) -> Option<&'a Value> {
    if let Some(value) = said.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(said.get(first)?.as_object()?, rest)
}

/// The values of a claim that has one or several.
fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is_so) => Some(is_so.to_string()),
        _ => None,
    };
    match value {
        Value::Array(all) => all.iter().filter_map(text).take(VALUES).collect(),
        one => text(one).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> OidcConfig {
        toml::from_str(
            "name = 'staff'\nissuer = 'https://login.alpha.example'\nclient_id = 'comity'\n\
             client_secret_file = 's'\nclaims = { groups = 'realm_access.roles' }\n\
             rules = { allow = ['ops'], attributes = ['clearance', 'level'] }",
        )
        .unwrap()
    }

    fn said(text: &str) -> Said {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_account_is_made_of_what_the_provider_says() {
        let said = said(
            r#"{"sub": "1", "preferred_username": "alice", "name": "Alice Able", "email": "a@b.example",
                "realm_access": {"roles": ["ops", {"no": "text"}, "admins"]}, "clearance": "SECRET",
                "level": [1, true, null]}"#,
        );
        assert!(is_complete(&config(), &said));
        let claims = claims(&config(), &said);
        assert_eq!(claims.subject.source, "oidc:staff");
        assert_eq!(claims.groups, ["ops", "admins"]);
        assert_eq!(claims.first_name, "Alice Able");
        assert_eq!(claims.attributes["clearance"], ["SECRET"]);
        assert_eq!(claims.attributes["level"], ["1", "true"]);
    }

    #[test]
    fn what_is_not_said_is_empty() {
        let said = said(r#"{"sub": 7, "preferred_username": ["alice"], "realm_access": "ops"}"#);
        assert!(!is_complete(&config(), &said));
        let claims = claims(&config(), &said);
        assert_eq!(claims.subject.name, "");
        assert_eq!(claims.username, "");
        assert!(claims.groups.is_empty() && claims.attributes.is_empty());
    }
}
