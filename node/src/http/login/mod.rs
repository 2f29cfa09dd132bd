//! Logging in with the organisation's own provider: what it says of a user becomes an account, and a
//! session that ends when the provider says so.

pub mod ldap;
pub mod oidc;
pub mod saml;
mod scim;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json as Answered, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth;
use super::failure::{Answer, Failure};
use super::second_factor::SecondFactorRule;
use super::{App, Web};
use crate::api::ApiError;
use crate::config::Config;
use crate::home::people::{Account, Claims, ProvisionError, Rules};

/// The table `[login]`: which providers vouch for this partner's users.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoginConfig {
    /// Whether local accounts must have a second factor.
    pub second_factor: SecondFactorRule,
    #[serde(deserialize_with = "ldap::configured")]
    pub ldap: Option<ldap::LdapConfig>,
    /// Providers that speak OpenID Connect.
    pub oidc: Vec<oidc::OidcConfig>,
    /// Providers of SAML 2.0.
    pub saml: Vec<saml::SamlConfig>,
    pub scim: Option<scim::ScimConfig>,
}

pub use scim::{Provisioning, begin};

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .merge(oidc::routes())
        .merge(saml::routes())
        .merge(scim::routes())
}

/// What a page asks for before anybody is logged in, under `/api/comity/v1`.
pub fn own_routes() -> Router<Arc<Web>> {
    Router::new().route("/login", get(ways))
}

/// The ways to log in.
async fn ways(State(web): App) -> Answered<Value> {
    let saml = web.login.saml.iter().map(|it| {
        json!({
            "name": it.name, "title": it.title, "kind": "saml",
            "path": format!("/login/saml/{}", it.name),
        })
    });
    let providers: Vec<Value> = web.oidc.ways().chain(saml).collect();
    Answered(json!({"passwords": true, "providers": providers}))
}

/// Whether the node can serve what its configuration says of log-in.
pub fn check(config: &Config) -> Result<(), ApiError> {
    oidc::check(config)
}

/// What goes on beside requests, for as long as the node serves its users.
pub async fn watch(web: Arc<Web>) {
    oidc::watch(web).await;
}

/// Keeps asking providers about those who are logged in.
pub fn start(web: &Arc<Web>) {
    if web.login.ldap.is_some() {
        tokio::spawn(ldap::watch(Arc::downgrade(web)));
    }
}

/// The account of somebody whom a provider vouches for, with its roles and channels as the provider's
/// groups have it now. On the record either way. Whoever is not admitted any more loses its sessions.
pub fn admit(web: &Web, rules: &Rules, claims: Claims) -> Answer<Account> {
    let groups = claims.groups.clone();
    let subject = claims.subject.clone();
    let known = web.home.people.of_subject(&subject);
    let provisioned = match scim::admits(web, &claims) {
        true => web.home.people.provision(rules, claims),
        false => Err(ProvisionError::NotProvisioned),
    };
    let account = match provisioned {
        Ok(account) => account,
        Err(error) => {
            let text = format!("{} at {}: {error}", subject.name, subject.source);
            auth::record(web, "login_refused", &text);
            if let (ProvisionError::NotAllowed | ProvisionError::NotProvisioned, Some(known)) =
                (&error, known)
            {
                auth::end_all(web, known.id)?;
            }
            return Err(refusal(error));
        }
    };
    // Roles and channels of a provisioned user are the provisioning's to say.
    if web.home.people.provisioned(&account.id).is_some() {
        return Ok(account);
    }
    if known.as_ref().map(|it| &it.roles) != Some(&account.roles) {
        let roles: Vec<&str> = account.roles.iter().map(|role| role.name()).collect();
        let text = format!("{} by {}: {}", account.id, subject.source, roles.join(", "));
        auth::record(web, "roles_set", &text);
    }
    let channels: BTreeSet<&str> = rules.channels(&groups);
    web.home.join_by_group(&account, &channels)?;
    Ok(account)
}

fn refusal(error: ProvisionError) -> Failure {
    match error {
        ProvisionError::Account(error) => error.into(),
        other => Failure::new(
            axum::http::StatusCode::UNAUTHORIZED,
            "comity.login.not_admitted.app_error",
            format!(
                "Your organisation vouches for you, but this node does not admit you: {other}."
            ),
        ),
    }
}
