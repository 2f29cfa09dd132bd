//! Logging in by OpenID Connect: the authorization code flow with PKCE, at any number of providers.
//!
//! A browser that begins is sent to the provider with a state, a nonce and a PKCE challenge, and gets
//! a cookie; it comes back with a code, which the node exchanges itself. What is then said of the user
//! becomes an account ([`admit`]). [`watch`] goes on asking the provider; [`logout`] hears from it.

mod claims;
mod config;
mod fetch;
mod logout;
mod pending;
mod provider;
mod token;
mod watch;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use openidconnect::RedirectUrl;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::admit;
use crate::api::ApiError;
use crate::config::Config;
use crate::home::Home;
use crate::home::id::Id;
use crate::home::people::Origin;
use crate::http::extract::Query;
use crate::http::failure::{Answer, Failure};
use crate::http::{App, Web, auth};
use crate::service::failure;
pub use config::OidcConfig;
use logout::Ended;
use pending::{Begun, LASTS, Pending};
use provider::{Provider, ProviderError};
use token::told;
pub use watch::watch;

/// The longest path that a browser is sent back to, in bytes.
const PATH_BYTES: usize = 2048;
/// The longest code and state that a provider sends a browser back with, in bytes.
const CODE_BYTES: usize = 4096;
/// The longest body that a provider posts, in bytes: a token with little in it.
const BODY_BYTES: usize = 64 << 10;
/// Refusals of whom nobody knows that are on record one by one, a minute. Of more only one line is,
/// so that nobody fills the disk with them.
const REFUSALS: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// What the name of the cookie begins with that binds a log-in to its browser.
const COOKIE: &str = "COMITYLOGIN_";
/// So much of the state ends the cookie's name, so that log-ins in two tabs do not disturb each other.
const TAG: usize = 8;

/// The providers of this node, and what goes on with them.
pub struct Oidc {
    providers: BTreeMap<String, Arc<Provider>>,
    pending: Pending,
    ended: Ended,
    refusals: Mutex<Option<(Instant, u32)>>,
    /// Whether browsers reach this node by HTTPS.
    is_secure: bool,
}

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/login/oidc/{name}", get(begin))
        .route("/login/oidc/{name}/callback", get(callback))
        .route("/login/oidc/{name}/logout", post(logout::logout))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
}

/// Whether the node can serve what its configuration says of providers.
pub fn check(config: &Config) -> Result<(), ApiError> {
    let refused = |why: String, advice: &str| Err(failure::operator("config_refused", why, advice));
    let providers = &config.login.oidc;
    if let Some(url) = &config.http.url
        && let Err(why) = config::safe_url("url", url)
    {
        return refused(
            why,
            "correct url under [http] in comity.toml: it is how browsers reach this node",
        );
    }
    if !providers.is_empty() && config.http.url.is_none() {
        return refused(
            "log-in by OpenID Connect needs the address by which browsers reach this node".into(),
            "set url under [http] in comity.toml, such as \"https://chat.alpha.example\"",
        );
    }
    let mut names: Vec<&str> = providers.iter().map(|it| it.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => refused(
            format!("two providers under [[login.oidc]] are named '{}'", pair[0]),
            "give each a name of its own; accounts are known by it",
        ),
        None => Ok(()),
    }
}

impl Oidc {
    /// The providers that the node's configuration names; [`check`] looked at it before.
    pub fn new(home: &Home) -> Oidc {
        let (config, dir) = (&home.node.config, &home.node.dir);
        let url = config.http.url.as_deref().unwrap_or_default();
        let mut providers = BTreeMap::new();
        for one in &config.login.oidc {
            let address = format!(
                "{}/login/oidc/{}/callback",
                url.trim_end_matches('/'),
                one.name
            );
            let Ok(redirect) = RedirectUrl::new(address) else {
                tracing::error!(provider = one.name, url, "the node's url is none");
                continue;
            };
            let provider = Provider::new(one.clone(), dir.clone(), redirect);
            if let Err(error) = provider.secret() {
                tracing::error!(provider = one.name, %error, "nobody can log in there");
            }
            providers.insert(one.name.clone(), Arc::new(provider));
        }
        Oidc {
            providers,
            pending: Pending::default(),
            ended: Ended::default(),
            refusals: Mutex::default(),
            is_secure: url.starts_with("https://"),
        }
    }

    /// What a page offers to whoever wants to log in.
    pub fn ways(&self) -> impl Iterator<Item = Value> {
        self.providers.values().map(|it| {
            json!({
                "name": it.config.name,
                "title": it.config.title,
                "kind": "oidc",
                "path": format!("/login/oidc/{}", it.config.name),
            })
        })
    }

    fn provider(&self, name: &str) -> Answer<Arc<Provider>> {
        let provider = self.providers.get(name).cloned();
        provider.ok_or_else(|| Failure::missing("way to log in"))
    }

    /// Puts a refusal on record, if there were not too many of late.
    fn record_refusal(&self, web: &Web, action: &str, text: &str) {
        let text = told(text);
        tracing::info!(action, text, "refused");
        let number = {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let current = refusals.filter(|(since, _)| since.elapsed() < MINUTE);
            let (since, before) = current.unwrap_or_else(|| (Instant::now(), 0));
            *refusals = Some((since, before.saturating_add(1)));
            before
        };
        if number < REFUSALS {
            auth::record(web, action, &text);
        } else if number == REFUSALS {
            auth::record(web, action, "more of them within a minute: see the log");
        }
    }

    fn cookie(&self, state: &str, value: &str, lasts: Duration) -> Option<HeaderValue> {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let name = cookie_name(state);
        let seconds = lasts.as_secs();
        let text =
            format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
        HeaderValue::from_str(&text).ok()
    }
}

fn cookie_name(state: &str) -> String {
    let tag: String = state.chars().take(TAG).collect();
    format!("{COOKIE}{tag}")
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Beginning {
    redirect_to: String,
}

/// Sends a browser to the provider.
async fn begin(
    State(web): App,
    Path(name): Path<String>,
    Query(wanted): Query<Beginning>,
) -> Answer<Response> {
    let provider = web.oidc.provider(&name)?;
    let random = || Id(web.home.node.environment.randomness.bytes()).to_string();
    let state = random();
    let begun = Begun {
        provider: name,
        browser: random(),
        nonce: random(),
        // Twice 128 bits in 52 letters and digits; RFC 7636, section 4.1, wants 43 at least.
        verifier: random() + &random(),
        back_to: local_path(&wanted.redirect_to).into(),
    };
    let address = provider.address(&state, &begun).await;
    let address = address.map_err(|error| unusable(&provider, &error))?;
    let cookie = web.oidc.cookie(&state, &begun.browser, LASTS);
    web.oidc.pending.begin(state, begun);
    sent_to(&address, cookie)
}

/// A path of this node: it begins with one slash, and no browser reads another site into it.
fn local_path(path: &str) -> &str {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= PATH_BYTES
        && path.chars().all(|it| it.is_ascii_graphic() && it != '\\');
    if is_local { path } else { "/" }
}

fn sent_to(address: &str, cookie: Option<HeaderValue>) -> Answer<Response> {
    let location = HeaderValue::from_str(address)
        .map_err(|_| Failure::bad("The address to go on at cannot be written."))?;
    let mut response = StatusCode::FOUND.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
    Ok(response)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ComingBack {
    state: String,
    code: String,
    error: String,
    error_description: String,
    iss: Option<String>,
}

/// Takes a browser back from the provider, and lets its user in.
async fn callback(
    State(web): App,
    Path(name): Path<String>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Query(back): Query<ComingBack>,
) -> Answer<Response> {
    let provider = web.oidc.provider(&name)?;
    let begun = match begun_by(&web, &provider, &headers, &back) {
        Ok(begun) => begun,
        Err(failure) => {
            let text = format!("from {} at oidc:{name}: {}", address.ip(), failure.message);
            web.oidc.record_refusal(&web, "login_refused", &text);
            return Err(failure);
        }
    };
    let now_ms = web.home.node.now_ms();
    let vouched = match provider.exchange(&back.code, &begun, now_ms).await {
        Ok(vouched) => vouched,
        Err(error) => {
            let text = format!("from {} at oidc:{name}: {error}", address.ip());
            web.oidc.record_refusal(&web, "login_refused", &text);
            return Err(unusable(&provider, &error));
        }
    };
    let account = admit(
        &web,
        &provider.config.rules,
        claims::claims(&provider.config, &vouched.said),
    )?;
    let unasked = provider.config.session_hours * 3_600_000;
    let origin = Origin {
        provider_session: vouched.said.get("sid").and_then(Value::as_str).map(told),
        // Nobody can be asked about a session without one, so it ends by itself.
        until_ms: vouched.refresh.is_none().then_some(now_ms + unasked),
        refresh: vouched.refresh,
    };
    let over = web.oidc.cookie(&back.state, "", Duration::ZERO);
    let mut response = sent_to(&begun.back_to, over)?;
    auth::enter(&web, &account, origin, &headers, address, &mut response)?;
    Ok(response)
}

/// The log-in that a browser comes back from with a code.
fn begun_by(
    web: &Web,
    provider: &Provider,
    headers: &HeaderMap,
    back: &ComingBack,
) -> Answer<Begun> {
    let browser = auth::cookie(headers, &cookie_name(&back.state));
    let name = &provider.config.name;
    let begun = web
        .oidc
        .pending
        .finish(&back.state, name, browser.as_deref());
    let begun = begun.ok_or_else(|| {
        not_admitted(
            "This log-in was not begun in this browser, is finished, or took longer than ten \
             minutes: begin again.",
        )
    })?;
    // RFC 9207: an answer of another provider than the one that was asked.
    if back
        .iss
        .as_ref()
        .is_some_and(|it| *it != provider.config.issuer)
    {
        return Err(not_admitted(
            "The answer is another provider's: begin again.",
        ));
    }
    if !back.error.is_empty() {
        let why = told(&format!("{} {}", back.error, back.error_description));
        return Err(not_admitted(format!(
            "Your organisation's provider did not log you in: {why}."
        )));
    }
    match (1..=CODE_BYTES).contains(&back.code.len()) {
        true => Ok(begun),
        false => Err(not_admitted("The provider sent no code: begin again.")),
    }
}

fn not_admitted(message: impl Into<String>) -> Failure {
    Failure::new(
        StatusCode::UNAUTHORIZED,
        "comity.login.refused.app_error",
        message,
    )
}

/// What a person is told whom the provider did not vouch for. The rest is in the log: it is for the
/// node's administrator.
fn unusable(provider: &Provider, error: &ProviderError) -> Failure {
    tracing::warn!(provider = provider.config.name, %error, "a log-in failed");
    match error {
        ProviderError::Refused(_) | ProviderError::Token(_) => not_admitted(
            "This node does not believe what came from your organisation's provider: begin again, \
             and tell the node's administrator if that does not help.",
        ),
        ProviderError::Unreachable(_) | ProviderError::Secret(_) => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "comity.login.provider.app_error",
            "Your organisation's provider cannot be asked now: try again in a minute, and tell the \
             node's administrator if that does not help.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site_after_a_log_in() {
        for path in ["/", "/alpha/channels/town-square?a=b#c", "/a//b"] {
            assert_eq!(local_path(path), path);
        }
        let long = format!("/{}", "a".repeat(PATH_BYTES));
        for path in [
            "",
            "alpha",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example/",
            "javascript:alert(1)",
            "/\t/evil.example",
            "/a\r\nset-cookie: a=b",
            "/\u{e4}",
            &long,
        ] {
            assert_eq!(local_path(path), "/", "{path}");
        }
    }
}
