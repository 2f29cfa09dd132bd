//! Log-in by SAML 2.0: this node as a service provider of the web browser profile (saml-profiles-2.0,
//! section 4.1), with the redirect binding out and the POST binding back.
//!
//! A browser begins at `GET /login/saml/NAME`, which gives it a secret in a cookie and sends it to the
//! provider with a request whose id is bound to that secret. The provider has it post its response to
//! `…/acs`, where the response is checked and the request is marked as answered. That post comes from
//! another site, so browsers send no `SameSite=Lax` cookie with it; and `SameSite=None` needs https,
//! which a node on loopback has not. So nobody is let in there: the browser is sent on to `…/finish` by
//! GET, which brings the cookie, and only whoever has the request's secret gets the session. The cookie
//! stays `Lax`, and it is the same step with https and without.

mod config;
#[cfg(feature = "saml")]
mod instant;
#[cfg(feature = "saml")]
mod provider;
#[cfg(feature = "saml")]
mod refused;
#[cfg(feature = "saml")]
mod requests;
#[cfg(feature = "saml")]
mod response;
#[cfg(feature = "saml")]
mod routes;
#[cfg(feature = "saml")]
mod signature;
#[cfg(all(test, feature = "saml"))]
mod tests;
#[cfg(feature = "saml")]
mod xml;

pub use config::SamlConfig;
#[cfg(feature = "saml")]
use refused::Refused;
#[cfg(feature = "saml")]
pub use routes::{Saml, routes};

#[cfg(not(feature = "saml"))]
pub use without::{Saml, routes};

/// Why the providers of the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("this node is built without SAML (the feature 'saml'), but [[login.saml]] is there")]
    Without,
    #[error("[[login.saml]] needs [http] url, the address under which browsers reach this node")]
    NoUrl,
    #[error(
        "[http] url '{0}' is not an address of https without a path, or of http on this machine"
    )]
    Url(String),
    #[error("'{0}' is no name of a provider: it has 1 to 32 of a-z, 0-9 and '-', and each its own")]
    Name(String),
    #[error("the SAML provider '{0}': {1}")]
    Provider(String, String),
}

/// What is there without the feature: nothing, and a refusal where the configuration wants it.
#[cfg(not(feature = "saml"))]
mod without {
    use std::path::Path;
    use std::sync::Arc;

    use axum::Router;

    use super::{OpenError, SamlConfig};
    use crate::http::Web;

    #[derive(Default)]
    pub struct Saml;

    impl Saml {
        pub fn open(
            configs: &[SamlConfig],
            _dir: &Path,
            _url: Option<&str>,
        ) -> Result<Saml, OpenError> {
            match configs.is_empty() {
                true => Ok(Saml),
                false => Err(OpenError::Without),
            }
        }
    }

    pub fn routes() -> Router<Arc<Web>> {
        Router::new()
    }
}
