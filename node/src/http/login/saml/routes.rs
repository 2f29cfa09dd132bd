//! What browsers ask for, and the way of one log-in through it.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use saml_rs::binding::{deflate_raw_encode, xml_escape};
use serde::Deserialize;

use super::provider::{self, POST, Provider};
use super::requests::{REQUEST_MS, Requests, hex};
use super::response::{ASSERTION, PROTOCOL, accept};
use super::{OpenError, Refused, SamlConfig, instant};
use crate::home::people::Origin;
use crate::http::auth;
use crate::http::extract::Query;
use crate::http::failure::{Answer, Failure};
use crate::http::login::admit;
use crate::http::{App, Web};

/// The largest form that a provider has a browser post: a response in base64, percent-encoded.
const FORM_BYTES: usize = 512 << 10;
/// The longest local path to come back to, in bytes.
const REDIRECT_BYTES: usize = 512;
/// Refusals of responses on record in a minute. Anybody can post here; more are counted, so that
/// nobody fills the record.
const RECORDED: u64 = 60;
const MINUTE_MS: u64 = 60_000;

/// The providers of this node, and the log-ins that are under way.
pub struct Saml {
    providers: Vec<Provider>,
    requests: Requests,
    is_https: bool,
    /// Since when refusals are counted, and how many there were.
    refusals: Mutex<(u64, u64)>,
}

impl Saml {
    /// Reads what the configuration names; relative paths begin at `dir`.
    pub fn open(
        configs: &[SamlConfig],
        dir: &FilePath,
        url: Option<&str>,
    ) -> Result<Saml, OpenError> {
        let base = match (configs.is_empty(), url) {
            (true, _) => String::new(),
            (false, None) => return Err(OpenError::NoUrl),
            (false, Some(url)) => provider::base(url)?,
        };
        let mut providers: Vec<Provider> = Vec::new();
        for config in configs {
            let provider = Provider::open(config, dir, &base)?;
            if providers.iter().any(|it| it.name == provider.name) {
                return Err(OpenError::Name(provider.name));
            }
            providers.push(provider);
        }
        Ok(Saml {
            providers,
            requests: Requests::new(crate::random::bytes()),
            is_https: base.starts_with("https:"),
            refusals: Mutex::default(),
        })
    }

    fn provider(&self, name: &str) -> Answer<Provider> {
        let own = self.providers.iter().find(|it| it.name == name);
        own.cloned().ok_or_else(|| Failure::missing("log-in"))
    }

    /// With https no other site can set this name for this one.
    fn cookie_name(&self) -> &'static str {
        match self.is_https {
            true => "__Host-comity-saml",
            false => "comity-saml",
        }
    }

    fn cookie(&self, value: &str, seconds: u64) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        let name = self.cookie_name();
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}")
    }

    /// What to put on record of a refusal: it, how many more there were, or nothing.
    fn counted(&self, text: String, now_ms: u64) -> Option<String> {
        let mut held = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let mut more = 0;
        if now_ms.saturating_sub(held.0) >= MINUTE_MS {
            more = held.1.saturating_sub(RECORDED);
            *held = (now_ms, 0);
        }
        held.1 += 1;
        match (held.1 > RECORDED, more) {
            (true, _) => None,
            (false, 0) => Some(text),
            (false, more) => Some(format!("{text} ({more} more before it)")),
        }
    }
}

pub fn routes() -> Router<Arc<Web>> {
    Router::new()
        .route("/login/saml/{name}", get(begin))
        .route(
            "/login/saml/{name}/acs",
            post(acs).layer(DefaultBodyLimit::max(FORM_BYTES)),
        )
        .route("/login/saml/{name}/finish", get(finish))
        .route("/login/saml/{name}/metadata", get(metadata))
}

#[derive(Deserialize)]
struct Begin {
    #[serde(default)]
    redirect_to: String,
}

/// Sends the browser to the provider, with a request and a secret of its own.
async fn begin(
    State(web): App,
    Path(name): Path<String>,
    Query(begin): Query<Begin>,
) -> Answer<Response> {
    let provider = web.saml.provider(&name)?;
    let secret = hex(&crate::random::bytes::<16>());
    let now_ms = web.home.node.now_ms();
    let id = web.saml.requests.begin(&provider.name, &secret, now_ms);
    let to = redirect_url(&provider, &authn_request(&provider, &id, now_ms))?;
    let back = hex(local_path(&begin.redirect_to).as_bytes());
    let cookie = web
        .saml
        .cookie(&format!("{secret}.{back}"), REQUEST_MS / 1_000);
    let mut response = see_other(&to)?;
    set_cookie(&mut response, &cookie)?;
    Ok(response)
}

/// Takes the provider's response. The browser that posts it shows in the next step that it began this
/// log-in.
async fn acs(State(web): App, Path(name): Path<String>, body: Bytes) -> Answer<Response> {
    let provider = web.saml.provider(&name)?;
    let now_ms = web.home.node.now_ms();
    let (own, at) = (web.clone(), provider.clone());
    let accepted = tokio::task::spawn_blocking(move || {
        let accepted = accept(&response_of(&body)?, &at, &own.saml.requests, now_ms)?;
        // Somebody without what the account needs is told now.
        at.claims(&accepted.vouched)?;
        let requests = &own.saml.requests;
        requests.answer(&accepted.request, &at.name, accepted.vouched, now_ms)?;
        Ok(accepted.request)
    });
    let accepted = accepted.await;
    let request = accepted.unwrap_or_else(|error| {
        tracing::error!(%error, "reading a SAML response failed");
        Err(Refused::Encoding)
    });
    let request = request.map_err(|why| refused(&web, &provider, why))?;
    see_other(&format!("/login/saml/{name}/finish?request={request}"))
}

#[derive(Deserialize)]
struct Finish {
    #[serde(default)]
    request: String,
}

/// Begins the session, for the browser that began the log-in.
async fn finish(
    State(web): App,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Path(name): Path<String>,
    Query(finish): Query<Finish>,
    headers: HeaderMap,
) -> Answer<Response> {
    let provider = web.saml.provider(&name)?;
    let now_ms = web.home.node.now_ms();
    let cookie = auth::cookie(&headers, web.saml.cookie_name()).unwrap_or_default();
    let (secret, back) = cookie.split_once('.').unwrap_or_default();
    let requests = &web.saml.requests;
    let vouched = requests.finish(&finish.request, &provider.name, secret, now_ms);
    let vouched = vouched.map_err(|why| refused(&web, &provider, why))?;
    let claims = provider.claims(&vouched);
    let claims = claims.map_err(|why| refused(&web, &provider, why))?;
    let account = admit(&web, provider.rules(), claims)?;
    let origin = Origin {
        provider_session: vouched.session.map(|it| it.chars().take(256).collect()),
        refresh: None,
        until_ms: vouched.until_ms,
    };
    let mut response = see_other(&local_path(&unhex(back).unwrap_or_default()))?;
    auth::enter(&web, &account, origin, &headers, address, &mut response)?;
    set_cookie(&mut response, &web.saml.cookie("", 0))?;
    Ok(response)
}

/// What the provider's administrator gives the provider to read.
async fn metadata(State(web): App, Path(name): Path<String>) -> Answer<Response> {
    let provider = web.saml.provider(&name)?;
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"{}\">\
         <md:SPSSODescriptor AuthnRequestsSigned=\"false\" WantAssertionsSigned=\"true\" \
         protocolSupportEnumeration=\"{PROTOCOL}\">\
         <md:AssertionConsumerService Binding=\"{POST}\" Location=\"{}\" index=\"0\" \
         isDefault=\"true\"/></md:SPSSODescriptor></md:EntityDescriptor>\n",
        xml_escape(&provider.entity_id),
        xml_escape(&provider.acs),
    );
    Ok(([(CONTENT_TYPE, "application/samlmetadata+xml")], text).into_response())
}

fn authn_request(provider: &Provider, id: &str, now_ms: u64) -> String {
    format!(
        "<samlp:AuthnRequest xmlns:samlp=\"{PROTOCOL}\" xmlns:saml=\"{ASSERTION}\" ID=\"{id}\" \
         Version=\"2.0\" IssueInstant=\"{}\" Destination=\"{}\" ProtocolBinding=\"{POST}\" \
         AssertionConsumerServiceURL=\"{}\"><saml:Issuer>{}</saml:Issuer></samlp:AuthnRequest>",
        instant::written(now_ms),
        xml_escape(&provider.sso_url),
        xml_escape(&provider.acs),
        xml_escape(&provider.entity_id),
    )
}

fn redirect_url(provider: &Provider, request: &str) -> Answer<String> {
    let wrong =
        |text: String| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "comity.login", text);
    let deflated = deflate_raw_encode(request.as_bytes()).map_err(|it| wrong(it.to_string()))?;
    let mut url =
        reqwest::Url::parse(&provider.sso_url).map_err(|error| wrong(error.to_string()))?;
    let encoded = STANDARD.encode(deflated);
    url.query_pairs_mut().append_pair("SAMLRequest", &encoded);
    Ok(url.into())
}

/// The response in a posted form, which has exactly one.
fn response_of(body: &[u8]) -> Result<String, Refused> {
    let text = std::str::from_utf8(body).map_err(|_| Refused::Encoding)?;
    // The parser of queries is the parser of forms.
    let mut url = reqwest::Url::parse("http://form").map_err(|_| Refused::Encoding)?;
    url.set_query(Some(text));
    let pairs = url.query_pairs();
    let mut responses = pairs.filter(|(name, _)| name == "SAMLResponse");
    match (responses.next(), responses.next()) {
        (Some((_, one)), None) => Ok(one.into_owned()),
        _ => Err(Refused::Empty),
    }
}

/// A path of this node to send a browser to: not another site's address, however it is written.
fn local_path(path: &str) -> String {
    let is_local = path.starts_with('/') && !path.starts_with("//");
    let is_plain = |it: u8| it.is_ascii_graphic() && it != b'\\';
    match is_local && path.len() <= REDIRECT_BYTES && path.bytes().all(is_plain) {
        true => path.into(),
        false => "/".into(),
    }
}

fn unhex(text: &str) -> Option<String> {
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    String::from_utf8(bytes.collect::<Option<Vec<u8>>>()?).ok()
}

fn see_other(to: &str) -> Answer<Response> {
    let to = HeaderValue::from_str(to).map_err(|_| Failure::missing("log-in"))?;
    let headers = [
        (LOCATION, to),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

fn set_cookie(response: &mut Response, cookie: &str) -> Answer<()> {
    let cookie = HeaderValue::from_str(cookie).map_err(|_| Failure::missing("log-in"))?;
    response.headers_mut().append(SET_COOKIE, cookie);
    Ok(())
}

fn refused(web: &Web, provider: &Provider, why: Refused) -> Failure {
    let text = format!("at saml:{}: {why}", provider.name);
    if let Some(text) = web.saml.counted(text, web.home.node.now_ms()) {
        auth::record(web, "login_refused", &text);
    }
    Failure::new(
        StatusCode::UNAUTHORIZED,
        "comity.login.saml.app_error",
        format!("The log-in is refused: {why}."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_sent_to_paths_of_this_node_only() {
        for path in ["/", "/mission/channels/town-square?a=b", "/a//b"] {
            assert_eq!(local_path(path), path);
        }
        for path in [
            "",
            "//evil.test",
            "/\\evil.test",
            "https://evil.test",
            "a",
            "/a\r\nb",
            "/a\tb",
        ] {
            assert_eq!(local_path(path), "/", "{path}");
        }
        assert_eq!(local_path(&format!("/{}", "a".repeat(REDIRECT_BYTES))), "/");
    }

    #[test]
    fn a_form_has_one_response() {
        let response = |form: &str| response_of(form.as_bytes());
        assert_eq!(
            response("RelayState=x&SAMLResponse=a%2Bb%3D"),
            Ok("a+b=".into())
        );
        assert_eq!(response(""), Err(Refused::Empty));
        assert_eq!(
            response("SAMLResponse=a&SAMLResponse=b"),
            Err(Refused::Empty)
        );
    }

    #[test]
    fn refusals_do_not_fill_the_record() {
        let saml = Saml::open(&[], FilePath::new("."), None).unwrap();
        let recorded = (0..100).filter_map(|_| saml.counted("no".into(), 5 * MINUTE_MS));
        assert_eq!(recorded.count() as u64, RECORDED);
        let next = saml.counted("no".into(), 6 * MINUTE_MS).unwrap();
        assert_eq!(next, "no (40 more before it)");
    }
}
