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

use super::door::network;
use super::extract::Json;
use super::failure::{Answer, Failure};
use super::login::ldap;
use super::{App, Web, second_factor};
use crate::home::id::Id;
use crate::home::people::{Account, Action, Origin, Session, SessionKind};
use crate::home::shapes;

const COOKIE_TOKEN: &str = "MMAUTHTOKEN";
const COOKIE_USER: &str = "MMUSERID";
const COOKIE_CSRF: &str = "MMCSRF";
/// Wrong passwords of one address, and for one user, in [`WINDOW`]: more have to wait. A person
/// mistypes a few times; whoever guesses is stopped.
const WRONG_PER_ADDRESS: u32 = 30;
const WRONG_PER_USER: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Wrong codes of a second factor for one user in [`CODE_WINDOW`]. Of a million codes three are right
/// at a time: whoever has the password and tries for a year finds one with a chance of one in five.
const WRONG_CODES: u32 = 10;
const CODE_WINDOW: Duration = Duration::from_secs(3600);
/// Addresses and users that are counted at a time.
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

    /// Goes on only if the user's roles let it do this.
    pub fn must(&self, web: &Web, action: Action) -> Answer<()> {
        if self.account.may(action) {
            return Ok(());
        }
        record(
            web,
            "refused",
            &format!("{} to {}", action.name(), self.id()),
        );
        Err(Failure::forbidden(format!(
            "Your roles here do not let you do this ({}): ask your security officer.",
            action.name()
        )))
    }

    /// The user that a path names, if it is the asker or the asker's roles let it see to others.
    pub fn or_may(&self, web: &Web, action: Action, user: &str) -> Answer<Id> {
        if let Ok(own) = self.only(user) {
            return Ok(own);
        }
        self.must(web, action)?;
        let user = Id::parse(user).filter(|it| web.home.people.is_own(it));
        user.ok_or_else(|| Failure::missing("user"))
    }
}

impl FromRequestParts<Arc<Web>> for Me {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Answer<Me> {
        let Entered(me) = Entered::from_request_parts(parts, web).await?;
        match second_factor::is_owed(web, &me.account, &me.session) {
            true => Err(second_factor::owed()),
            false => Ok(me),
        }
    }
}

/// The user who asks, who may have to set up a second factor yet and then may do nothing else.
pub struct Entered(pub Me);

impl FromRequestParts<Arc<Web>> for Entered {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, web: &Arc<Web>) -> Answer<Entered> {
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
        Ok(Entered(Me { account, session }))
    }
}

/// The session of a token that may do all that its user's roles allow.
pub fn full_session(web: &Web, token: &str) -> Option<Session> {
    let session = web.home.people.session(token)?;
    let account = web.home.account(&session.user)?;
    (!second_factor::is_owed(web, &account, &session)).then_some(session)
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

/// The value of a cookie.
pub fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
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
    /// A code of the second factor; some clients say null where they have none.
    token: Option<String>,
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
    // By whatever name somebody is guessed at, it counts for one user.
    let known = people.by_login(&name);
    let guessed = known
        .as_ref()
        .map_or(name.as_str(), |it| it.username.as_str());
    let guess = web.gate.admit(address.ip(), guessed)?;
    let account = match ldap::is_kept_by_directory(&web, known.as_ref()) {
        true => ldap::log_in(&web, &name, &login.password).await?,
        false => people.check_password(&name, &login.password).await,
    };
    let Some(account) = account else {
        tracing::info!(%address, "a log-in was refused");
        record(&web, "login_refused", &format!("from {}", address.ip()));
        return Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "api.user.login.invalid_credentials_email_username",
            "Enter a valid email or username and/or password.",
        ));
    };
    guess.right();
    let code = login.token.as_deref().unwrap_or_default();
    second_factor::check(&web, &account, code, address)?;
    let mut response = axum::Json(shapes::user(&account, true)).into_response();
    enter(
        &web,
        &account,
        Origin::default(),
        &headers,
        address,
        &mut response,
    )?;
    Ok(response)
}

/// Begins a session of somebody who showed who it is, and puts it into the answer: as cookies for
/// pages, and as a `Token` header for programs.
pub fn enter(
    web: &Web,
    account: &Account,
    origin: Origin,
    headers: &HeaderMap,
    address: SocketAddr,
    response: &mut Response,
) -> Answer<Session> {
    let device = headers
        .get(USER_AGENT)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let people = &web.home.people;
    let (token, session) =
        people.begin_session_of(account.id, SessionKind::Device, device.into(), origin)?;
    let source = account.subject.as_ref().map_or("", |it| it.source.as_str());
    record(
        web,
        "login",
        &format!("{} from {} {source}", account.id, address.ip()),
    );
    let over_https = headers
        .get("x-forwarded-proto")
        .is_some_and(|it| it.as_bytes() == b"https");
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
    Ok(session)
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

/// Ends all sessions of a user, with their sockets.
pub fn end_all(web: &Web, user: Id) -> Answer<()> {
    web.home.people.end_sessions_of(user)?;
    web.home.hub.end_sessions(|owner, _| *owner == user);
    Ok(())
}

/// Ends the sessions of a user's devices, and no program's.
pub fn end_all_devices(web: &Web, user: Id) -> Answer<()> {
    for session in web.home.people.sessions_of(user) {
        if session.kind == SessionKind::Device {
            end(web, user, session.id)?;
        }
    }
    Ok(())
}

/// Ends the sessions of the asker's other devices.
pub fn end_other_devices(web: &Web, me: &Me) -> Answer<()> {
    for session in web.home.people.sessions_of(me.id()) {
        if session.kind == SessionKind::Device && session.id != me.session.id {
            end(web, me.id(), session.id)?;
        }
    }
    Ok(())
}

/// Puts a decision about a user on record.
pub fn record(web: &Web, action: &str, text: &str) {
    if let Err(error) = web.home.node.audit.record_all([(action, text)]) {
        tracing::error!(%error, "a log-in is not on record");
    }
}

/// Puts on record who orders what, before it is done: what cannot be put on record is not done.
pub fn must_record(web: &Web, action: &str, text: &str) -> Answer<()> {
    Ok(web.home.node.audit.record(action, text)?)
}

/// Counts wrong passwords. A guess counts from when it begins, so that many at a time count as many.
#[derive(Default)]
pub struct LoginGate {
    wrong: Arc<Mutex<Wrong>>,
}

type Wrong = BTreeMap<Key, (Instant, u32)>;

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Address(IpAddr),
    User(String),
    Codes(String),
}

impl Key {
    fn window(&self) -> Duration {
        match self {
            Key::Address(_) | Key::User(_) => WINDOW,
            Key::Codes(_) => CODE_WINDOW,
        }
    }
}

/// A password that is looked at. It stays counted as a wrong one unless it is said to be right: also
/// if whoever guesses leaves before the answer.
pub struct Guess {
    wrong: Arc<Mutex<Wrong>>,
    keys: Vec<Key>,
}

impl LoginGate {
    /// Lets a password be looked at, if not too many were wrong lately.
    pub fn admit(&self, address: IpAddr, user: &str) -> Answer<Guess> {
        let refusal = "Too many wrong passwords: wait a minute and try again.";
        self.begin(keys(address, user).to_vec(), refusal)
    }

    /// The same for a code of a second factor.
    pub fn admit_code(&self, address: IpAddr, user: &str) -> Answer<Guess> {
        let mut limits = keys(address, user).to_vec();
        limits.push(codes(user));
        self.begin(limits, "Too many wrong codes: wait an hour and try again.")
    }

    fn begin(&self, limits: Vec<(Key, u32)>, refusal: &str) -> Answer<Guess> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, most) in &limits {
            let over = wrong
                .get(key)
                .is_some_and(|(since, count)| since.elapsed() < key.window() && count >= most);
            if over {
                return Err(Failure::too_many(refusal));
            }
        }
        make_room(&mut wrong);
        for (key, _) in &limits {
            let held = wrong
                .entry(key.clone())
                .or_insert_with(|| (Instant::now(), 0));
            if held.0.elapsed() >= key.window() {
                *held = (Instant::now(), 0);
            }
            held.1 = held.1.saturating_add(1);
        }
        Ok(Guess {
            wrong: self.wrong.clone(),
            keys: limits.into_iter().map(|(key, _)| key).collect(),
        })
    }
}

impl Guess {
    /// It was the password: nothing is counted.
    pub fn right(self) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &self.keys {
            if let Some((_, count)) = wrong.get_mut(key) {
                *count = count.saturating_sub(1);
            }
        }
    }
}

/// With a full table those go who have guessed least: whoever makes up names to have others forgotten
/// has to guess at each of them as often.
fn make_room(wrong: &mut Wrong) {
    if wrong.len() < COUNTED {
        return;
    }
    wrong.retain(|key, (since, count)| since.elapsed() < key.window() && *count > 0);
    if wrong.len() >= COUNTED {
        let least = wrong.values().map(|(_, count)| *count).min().unwrap_or(0);
        wrong.retain(|_, (_, count)| *count > least);
    }
}

fn codes(user: &str) -> (Key, u32) {
    (Key::Codes(user.into()), WRONG_CODES)
}

fn keys(address: IpAddr, user: &str) -> [(Key, u32); 2] {
    // A proxy on this machine asks for everybody: its address says nothing of who guesses.
    let per_address = match address.to_canonical().is_loopback() {
        true => u32::MAX,
        false => WRONG_PER_ADDRESS,
    };
    [
        (Key::Address(network(address)), per_address),
        (Key::User(user.chars().take(64).collect()), WRONG_PER_USER),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUESSER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 2));

    fn is_refused(gate: &LoginGate, address: IpAddr, user: &str) -> bool {
        let admitted = gate.admit(address, user);
        admitted.is_err_and(|it| it.status == StatusCode::TOO_MANY_REQUESTS)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_guesses_has_to_wait_and_nobody_else() {
        let gate = LoginGate::default();
        // All at a time: none has been looked at when the last one comes.
        let guesses: Vec<Guess> = (0..WRONG_PER_USER)
            .map(|_| gate.admit(GUESSER, "alice").unwrap())
            .collect();
        assert!(is_refused(&gate, GUESSER, "alice"));
        drop(guesses);
        assert!(is_refused(&gate, OTHER, "alice"));
        assert!(!is_refused(&gate, OTHER, "bob"));
        tokio::time::advance(WINDOW).await;
        assert!(!is_refused(&gate, GUESSER, "alice"));
    }

    #[tokio::test(start_paused = true)]
    async fn right_passwords_are_not_counted() {
        let gate = LoginGate::default();
        for _ in 0..10 * WRONG_PER_ADDRESS {
            gate.admit(GUESSER, "alice").unwrap().right();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_names_do_not_have_a_user_forgotten_who_is_guessed_at() {
        let gate = LoginGate::default();
        for _ in 0..WRONG_PER_USER {
            drop(gate.admit(GUESSER, "alice").unwrap());
        }
        for at in 0..2 * COUNTED as u32 {
            let address = IpAddr::from((0x0a00_0000 + at).to_be_bytes());
            drop(gate.admit(address, &format!("nobody{at}")).unwrap());
        }
        assert!(gate.wrong.lock().unwrap().len() <= COUNTED + 2);
        assert!(is_refused(&gate, OTHER, "alice"));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_guesses_codes_waits_longer() {
        let gate = LoginGate::default();
        let guesser: IpAddr = [203, 0, 113, 1].into();
        for _ in 0..WRONG_CODES {
            drop(gate.admit_code(guesser, "alice").unwrap());
        }
        tokio::time::advance(WINDOW).await;
        gate.admit(guesser, "alice").unwrap().right();
        assert!(gate.admit_code(guesser, "alice").is_err());
        tokio::time::advance(CODE_WINDOW).await;
        gate.admit_code(guesser, "alice").unwrap().right();
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
