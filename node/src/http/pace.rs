//! How often each user and each address may ask, by the kind of what is asked. A request that comes too
//! early is refused at once with the time at which it may come again; nothing waits.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::Instant;

use super::Web;
use super::auth::token_of;
use super::door::network;
use super::failure::Failure;
use crate::config::HttpLimits;
use crate::home::id::Id;

/// Requests that may come at once, as a multiple of those in a second.
const BURST: u32 = 10;
/// Users and addresses that are counted at a time, each kind on its own, so that addresses without
/// end (whoever has a network of version 6 has them) leave users alone. Those that come when all are
/// taken share one count.
const COUNTED: usize = 20_000;
/// How often what is not needed any more is looked for, when all are taken.
const SWEEP: Duration = Duration::from_secs(1);

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// What kinds of requests are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Read,
    Write,
    Search,
    Upload,
    Login,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asker {
    User(Id),
    Address(IpAddr),
}

/// What a request was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Verdict {
    /// How many more may come at once.
    remaining: u32,
    most: u32,
    /// When all may come again.
    reset: Duration,
    /// When the next may come, if this one may not.
    refused: Option<Duration>,
}

/// Counts what users and addresses ask.
pub struct Paces {
    limits: HttpLimits,
    users: Table,
    addresses: Table,
}

impl Paces {
    pub fn new(limits: HttpLimits) -> Paces {
        Paces {
            limits,
            users: Table::default(),
            addresses: Table::default(),
        }
    }

    fn count(&self, asker: Asker, class: Class) -> Verdict {
        let limits = &self.limits;
        let per_s = match class {
            Class::Read => limits.reads_per_s,
            Class::Write => limits.writes_per_s,
            Class::Search => limits.searches_per_s,
            Class::Upload => limits.uploads_per_s,
            Class::Login => limits.logins_per_s,
        };
        let table = match asker {
            Asker::User(_) => &self.users,
            Asker::Address(_) => &self.addresses,
        };
        table.count(asker, class, per_s.get())
    }
}

/// When each bucket is full again: what is not there, or is past, is full.
#[derive(Default)]
struct Table {
    buckets: Mutex<Buckets>,
}

#[derive(Default)]
struct Buckets {
    full_at: BTreeMap<(Option<Asker>, Class), Instant>,
    swept: Option<Instant>,
}

impl Table {
    fn count(&self, asker: Asker, class: Class, per_s: u32) -> Verdict {
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = buckets.key(asker, class, now);
        let each = Duration::from_secs(1) / per_s;
        let most = per_s.saturating_mul(BURST);
        let whole = each * most;
        let full_at = buckets.full_at.get(&key).copied();
        let owed = full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let after = owed + each;
        if after > whole {
            return Verdict {
                remaining: 0,
                most,
                reset: owed,
                refused: Some(after - whole),
            };
        }
        buckets.full_at.insert(key, now + after);
        let left = (whole - after).as_nanos() / each.as_nanos().max(1);
        Verdict {
            remaining: u32::try_from(left).unwrap_or(most),
            most,
            reset: after,
            refused: None,
        }
    }
}

impl Buckets {
    /// Under what an asker is counted; with a full table all that are new share one.
    fn key(&mut self, asker: Asker, class: Class, now: Instant) -> (Option<Asker>, Class) {
        let own = (Some(asker), class);
        if self.full_at.len() < COUNTED || self.full_at.contains_key(&own) {
            return own;
        }
        if self.swept.is_none_or(|at| now - at >= SWEEP) {
            self.swept = Some(now);
            self.full_at.retain(|_, full_at| *full_at > now);
        }
        match self.full_at.len() < COUNTED {
            true => own,
            false => (None, class),
        }
    }
}

/// Counts a request, answers one that comes too early, and says on every answer how many may follow.
pub async fn keep_pace(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let class = class(request.method(), request.uri().path());
    let verdict = match asker(&web, &request, class) {
        Some(asker) => web.paces.count(asker, class),
        // Without a connection there is nobody to count: a test, never a request.
        None => return next.run(request).await,
    };
    let mut response = match verdict.refused {
        None => next.run(request).await,
        Some(wait) => refusal(wait),
    };
    let headers = response.headers_mut();
    set(headers, LIMIT, u64::from(verdict.most));
    set(headers, REMAINING, u64::from(verdict.remaining));
    set(headers, RESET, seconds(verdict.reset));
    response
}

fn refusal(wait: Duration) -> Response {
    let why = "You ask too often: ask again in a moment, and more slowly.";
    let mut response = Failure::too_many(why).into_response();
    set(response.headers_mut(), RETRY_AFTER, seconds(wait));
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, number: u64) {
    headers.insert(name, HeaderValue::from(number));
}

/// Whole seconds, never less than it takes.
fn seconds(duration: Duration) -> u64 {
    duration
        .as_millis()
        .div_ceil(1000)
        .try_into()
        .unwrap_or(u64::MAX)
}

/// Whose request it is. Whoever logs in is nobody yet.
fn asker(web: &Web, request: &Request, class: Class) -> Option<Asker> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    let address = Asker::Address(network(peer.ip()));
    if class == Class::Login {
        return Some(address);
    }
    let session = token_of(request.headers())
        .and_then(|(token, _)| web.home.people.session_at(&token, peer.ip()));
    Some(session.map_or(address, |session| Asker::User(session.user)))
}

/// What kind of request it is, by its route.
fn class(method: &Method, path: &str) -> Class {
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let last = parts.clone().next_back().unwrap_or_default();
    let is_asking = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let names = [parts.next(), parts.next(), parts.next(), parts.next()];
    match (names, last) {
        ([_, _, Some("users"), Some("login")], _) if !is_asking => Class::Login,
        ([_, Some("comity"), _, Some("console")], "setup") if !is_asking => Class::Login,
        ([_, _, Some("files" | "uploads"), _], _) if *method == Method::POST => Class::Upload,
        (_, "search" | "autocomplete" | "search_archived") => Class::Search,
        // Questions whose list is too long for a path.
        (_, "ids" | "usernames" | "names") => Class::Read,
        _ if is_asking => Class::Read,
        _ => Class::Write,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(number: u8) -> Asker {
        Asker::User(Id([number; 16]))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_too_often_waits_as_long_as_is_said_and_nobody_else_does() {
        let paces = Paces::new(HttpLimits::default());
        let most = 10 * HttpLimits::default().searches_per_s.get();
        for left in (0..most).rev() {
            let counted = paces.count(user(1), Class::Search);
            assert_eq!((counted.remaining, counted.refused), (left, None));
        }
        let refused = paces.count(user(1), Class::Search);
        let wait = refused.refused.expect("too many");
        assert_eq!(refused.remaining, 0);
        assert_eq!(paces.count(user(2), Class::Search).refused, None);
        assert_eq!(paces.count(user(1), Class::Read).refused, None);

        tokio::time::advance(wait).await;
        assert_eq!(paces.count(user(1), Class::Search).refused, None);
        assert!(paces.count(user(1), Class::Search).refused.is_some());
        tokio::time::advance(refused.reset).await;
        assert_eq!(paces.count(user(1), Class::Search).remaining, most - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn addresses_without_end_fill_no_memory_and_take_nothing_from_users() {
        let paces = Paces::new(HttpLimits::default());
        let address = |at: usize| Asker::Address(IpAddr::from((at as u32).to_be_bytes()));
        for at in 0..2 * COUNTED {
            paces.count(address(at), Class::Login);
        }
        let held = |table: &Table| table.buckets.lock().unwrap().full_at.len();
        assert!(held(&paces.addresses) <= COUNTED + 1);
        let late = paces.count(address(2 * COUNTED), Class::Login);
        assert!(late.refused.is_some(), "they share one count");
        assert_eq!(paces.count(user(1), Class::Read).refused, None);
        assert_eq!(paces.count(address(0), Class::Login).refused, None);

        tokio::time::advance(Duration::from_secs(3600)).await;
        let late = paces.count(address(2 * COUNTED), Class::Login);
        assert_eq!(late.refused, None, "what is full again is forgotten");
        assert_eq!(held(&paces.addresses), 1);
    }

    #[test]
    fn routes_are_counted_by_what_they_cost() {
        for (method, path, expected) in [
            (Method::POST, "/api/v4/users/login", Class::Login),
            (Method::POST, "/api/v4/users/login/switch", Class::Login),
            (Method::POST, "/api/comity/v1/console/setup", Class::Login),
            (Method::GET, "/api/comity/v1/console/setup", Class::Read),
            (Method::GET, "/api/v4/users/me", Class::Read),
            (Method::POST, "/api/v4/users/ids", Class::Read),
            (Method::POST, "/api/v4/users/search", Class::Search),
            (Method::GET, "/api/v4/users/autocomplete", Class::Search),
            (
                Method::POST,
                "/api/v4/teams/abc/posts/search",
                Class::Search,
            ),
            (Method::POST, "/api/v4/files", Class::Upload),
            (Method::GET, "/api/v4/files/abc", Class::Read),
            (Method::POST, "/api/v4/posts", Class::Write),
            (Method::DELETE, "/api/v4/posts/abc", Class::Write),
            (Method::POST, "/hooks/abc", Class::Write),
        ] {
            assert_eq!(class(&method, path), expected, "{method} {path}");
        }
    }
}
