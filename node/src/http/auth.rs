//! Who asks: sessions by cookie or bearer token, logging in and out, and how often one may try.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::header::{AUTHORIZATION, COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::Instant;

use super::extract::Json;
use super::failure::{Answer, Failure};
use super::{App, Web};
use crate::home::id::Id;
use crate::home::people::{Account, Session, SessionKind};
use crate::home::shapes;

const COOKIE_TOKEN: &str = "MMAUTHTOKEN";
const COOKIE_USER: &str = "MMUSERID";
const COOKIE_CSRF: &str = "MMCSRF";
/// Wrong passwords of one address, and for one user, in [`WINDOW`]: more have to wait. A person
/// mistypes a few times; whoever guesses is stopped.
const WRONG_PER_ADDRESS: u32 = 30;
const WRONG_PER_USER: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses and users that are counted at a time; with more, the whole count begins anew.
const COUNTED: usize = 10_000;

/// The user who asks.
pub struct Me {
    pub account: Account,
    pub session: Session,
}

impl Me {
    pub fn id(&self) -> Id {
        self.account.id
    }

    /// The user that a path names: by `me` or by id, and only itself.
    pub fn only(&self, user: &str) -> Answer<Id> {
        match user == "me" || Id::parse(user) == Some(self.id()) {
            true => Ok(self.id()),
            false => Err(Failure::forbidden("That is another user's.")),
        }
    }
}

impl FromRequestParts<Arc<Web>> for Me {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Answer<Me> {
        let (token, by_cookie) = token_of(&parts.headers).ok_or_else(Failure::session)?;
        let session = web
            .home
            .people
            .session(&token)
            .ok_or_else(Failure::session)?;
        if by_cookie && !is_harmless(&parts.method) && !is_from_page(&parts.headers, &session) {
            return Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                "api.context.invalid_token.error",
                "The request does not come from a page of this node: it lacks the token of the MMCSRF cookie.",
            ));
        }
        let account = web
            .home
            .account(&session.user)
            .ok_or_else(Failure::session)?;
        Ok(Me { account, session })
    }
}

/// The token of a request, and whether a browser sent it by itself.
pub fn token_of(headers: &HeaderMap) -> Option<(String, bool)> {
    if let Some(value) = headers.get(AUTHORIZATION).and_then(|it| it.to_str().ok()) {
        let (scheme, token) = value.split_once(' ')?;
        let known = ["bearer", "token"]
            .iter()
            .any(|it| scheme.eq_ignore_ascii_case(it));
        return known.then(|| (token.trim().to_string(), false));
    }
    cookie(headers, COOKIE_TOKEN).map(|token| (token, true))
}

fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|it| it.to_str().ok());
    let mut pairs = all
        .flat_map(|line| line.split(';'))
        .filter_map(|it| it.trim().split_once('='));
    pairs
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value.to_string())
}

fn is_harmless(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Another site's page can make a browser send its cookies, but can neither read them nor set this
/// header.
fn is_from_page(headers: &HeaderMap, session: &Session) -> bool {
    let token = headers.get(HeaderName::from_static("x-csrf-token"));
    token.is_some_and(|token| {
        let (given, own) = (token.as_bytes(), session.csrf.as_bytes());
        aws_lc_rs::constant_time::verify_slices_are_equal(given, own).is_ok()
    })
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
pub struct Login {
    login_id: String,
    id: String,
    password: String,
}

pub async fn login(
    State(web): App,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Json(login): Json<Login>,
) -> Answer<Response> {
    let people = &web.home.people;
    let name = match (login.login_id.is_empty(), Id::parse(&login.id)) {
        (true, Some(id)) => people
            .account(&id)
            .map_or_else(String::new, |it| it.username),
        _ => login.login_id.trim().to_lowercase(),
    };
    web.gate.admit(address.ip(), &name)?;
    let Some(account) = people.check_password(&name, &login.password).await else {
        web.gate.wrong(address.ip(), &name);
        tracing::info!(%address, "a log-in was refused");
        record(&web, "login_refused", &format!("from {}", address.ip()));
        return Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "api.user.login.invalid_credentials_email_username",
            "Enter a valid email or username and/or password.",
        ));
    };
    let device = headers
        .get(USER_AGENT)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let (token, session) = people.begin_session(account.id, SessionKind::Device, device.into())?;
    record(
        &web,
        "login",
        &format!("{} from {}", account.id, address.ip()),
    );
    let over_https = headers
        .get("x-forwarded-proto")
        .is_some_and(|it| it.as_bytes() == b"https");
    let mut response = axum::Json(shapes::user(&account, true)).into_response();
    let headers = response.headers_mut();
    let secure = match over_https || !is_loopback(&address) {
        true => "; Secure",
        false => "",
    };
    let rest = format!("; Path=/; SameSite=Lax; Max-Age=2592000{secure}");
    for (name, value, hidden) in [
        (COOKIE_TOKEN, token.0.as_str(), "; HttpOnly"),
        (COOKIE_USER, &account.id.to_string(), ""),
        (COOKIE_CSRF, &session.csrf, ""),
    ] {
        if let Ok(cookie) = HeaderValue::from_str(&format!("{name}={value}{rest}{hidden}")) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    if let Ok(token) = HeaderValue::from_str(&token.0) {
        headers.insert(HeaderName::from_static("token"), token);
    }
    Ok(response)
}

/// On the same machine there is no line that somebody could listen on, and perhaps no certificate.
fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

pub async fn logout(State(web): App, headers: HeaderMap) -> Answer<Response> {
    let session = token_of(&headers).and_then(|(token, _)| web.home.people.session(&token));
    if let Some(session) = session {
        end(&web, session.user, session.id)?;
    }
    let mut response = axum::Json(serde_json::json!({"status": "OK"})).into_response();
    for name in [COOKIE_TOKEN, COOKIE_USER, COOKIE_CSRF] {
        if let Ok(gone) = HeaderValue::from_str(&format!("{name}=; Path=/; Max-Age=0")) {
            response.headers_mut().append(SET_COOKIE, gone);
        }
    }
    Ok(response)
}

/// Ends a session and its sockets.
pub fn end(web: &Web, user: Id, session: Id) -> Answer<bool> {
    let ended = web.home.people.end_session(user, session)?;
    web.home
        .hub
        .end_sessions(|owner, own| *owner == user && *own == session);
    Ok(ended)
}

/// Puts a decision about a user on record.
pub fn record(web: &Web, action: &str, text: &str) {
    if let Err(error) = web.home.node.audit.record_all([(action, text)]) {
        tracing::error!(%error, "a log-in is not on record");
    }
}

/// Counts wrong passwords.
#[derive(Default)]
pub struct LoginGate {
    wrong: Mutex<BTreeMap<Key, (Instant, u32)>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Address(IpAddr),
    User(String),
}

impl LoginGate {
    fn admit(&self, address: IpAddr, user: &str) -> Answer<()> {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, most) in keys(address, user) {
            let over = wrong
                .get(&key)
                .is_some_and(|(since, count)| since.elapsed() < WINDOW && *count >= most);
            if over {
                return Err(Failure::too_many(
                    "Too many wrong passwords: wait a minute and try again.",
                ));
            }
        }
        Ok(())
    }

    fn wrong(&self, address: IpAddr, user: &str) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= COUNTED {
            wrong.retain(|_, (since, _)| since.elapsed() < WINDOW);
        }
        if wrong.len() >= COUNTED {
            wrong.clear();
        }
        for (key, _) in keys(address, user) {
            let held = wrong.entry(key).or_insert_with(|| (Instant::now(), 0));
            if held.0.elapsed() >= WINDOW {
                *held = (Instant::now(), 0);
            }
            held.1 += 1;
        }
    }
}

fn keys(address: IpAddr, user: &str) -> [(Key, u32); 2] {
    // A proxy on this machine asks for everybody: its address says nothing of who guesses.
    let per_address = match address.to_canonical().is_loopback() {
        true => u32::MAX,
        false => WRONG_PER_ADDRESS,
    };
    [
        (Key::Address(address), per_address),
        (Key::User(user.chars().take(64).collect()), WRONG_PER_USER),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_guesses_has_to_wait_and_nobody_else() {
        let gate = LoginGate::default();
        let guesser: IpAddr = [203, 0, 113, 1].into();
        let other: IpAddr = [203, 0, 113, 2].into();
        for _ in 0..WRONG_PER_USER {
            gate.admit(guesser, "alice").unwrap();
            gate.wrong(guesser, "alice");
        }
        assert_eq!(
            gate.admit(guesser, "alice").unwrap_err().status,
            StatusCode::TOO_MANY_REQUESTS
        );
        gate.admit(other, "bob").unwrap();
        tokio::time::advance(WINDOW).await;
        gate.admit(guesser, "alice").unwrap();
    }

    #[test]
    fn a_token_comes_by_header_or_by_cookie() {
        let headers = |name: HeaderName, value: &'static str| {
            HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
        };
        let bearer = headers(AUTHORIZATION, "BEARER abc");
        assert_eq!(token_of(&bearer), Some(("abc".into(), false)));
        let cookie = headers(COOKIE, "a=b; MMAUTHTOKEN=xyz; MMCSRF=c");
        assert_eq!(token_of(&cookie), Some(("xyz".into(), true)));
        assert_eq!(token_of(&headers(AUTHORIZATION, "Basic abc")), None);
    }
}
