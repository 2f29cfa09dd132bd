//! A provider that says that somebody has logged out: Back-Channel Logout.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use openidconnect::url::form_urlencoded;
use serde_json::json;

use super::claims::source;
use super::provider::{Provider, ProviderError};
use super::token::{LEEWAY_MS, LOGOUT_AGE_MS, Logout, TokenError, told};
use crate::home::people::{Session, SessionKind};
use crate::http::failure::Answer;
use crate::http::{App, Web, auth};

/// Tokens that are remembered, so that none is used twice. Only a provider itself can bring more; of
/// those the oldest is forgotten, and could be used again to end what has ended.
const REMEMBERED: usize = 10_000;

/// The tokens that were used of late.
#[derive(Default)]
pub struct Ended {
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    ids: BTreeSet<(String, String)>,
    /// The same in the order of their use, with its time in Unix milliseconds.
    order: VecDeque<(u64, (String, String))>,
}

impl Ended {
    /// Notes the use of a provider's token; false if it was used before.
    fn note(&self, provider: &str, id: &str, now_ms: u64) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        // Older tokens are refused for their age.
        let oldest = now_ms.saturating_sub(LOGOUT_AGE_MS + 2 * LEEWAY_MS);
        while let Some((at, _)) = used.order.front()
            && (*at < oldest || used.order.len() >= REMEMBERED)
        {
            if let Some((_, id)) = used.order.pop_front() {
                used.ids.remove(&id);
            }
        }
        let key = (provider.to_string(), id.to_string());
        if !used.ids.insert(key.clone()) {
            return false;
        }
        used.order.push_back((now_ms, key));
        true
    }
}

/// Ends the sessions that the provider's token names.
pub async fn logout(
    State(web): App,
    Path(name): Path<String>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Answer<Response> {
    let provider = web.oidc.provider(&name)?;
    let mut fields = form_urlencoded::parse(&body);
    let token = fields.find(|(field, _)| field == "logout_token");
    let token = token.map(|(_, token)| token.into_owned());
    let mut response = match heard(&web, &provider, &token.unwrap_or_default()).await {
        Ok(logout) => {
            end(&web, &provider, &logout)?;
            StatusCode::OK.into_response()
        }
        Err(error) => {
            let text = format!("from {} at oidc:{name}: {error}", address.ip());
            web.oidc.record_refusal(&web, "logout_refused", &text);
            let (status, word) = match error {
                ProviderError::Unreachable(_) | ProviderError::Secret(_) => {
                    (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
                }
                _ => (StatusCode::BAD_REQUEST, "invalid_request"),
            };
            let body = json!({"error": word, "error_description": told(&error.to_string())});
            (status, axum::Json(body)).into_response()
        }
    };
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    Ok(response)
}

async fn heard(web: &Web, provider: &Provider, token: &str) -> Result<Logout, ProviderError> {
    let now_ms = web.home.node.now_ms();
    let logout = provider.logout_token(token, now_ms).await?;
    match web
        .oidc
        .ended
        .note(&provider.config.name, &logout.id, now_ms)
    {
        true => Ok(logout),
        false => Err(TokenError::Replayed.into()),
    }
}

fn end(web: &Web, provider: &Provider, logout: &Logout) -> Answer<()> {
    let source = source(&provider.config.name);
    let sessions = web.home.people.sessions();
    for session in sessions
        .iter()
        .filter(|it| is_meant(web, &source, logout, it))
    {
        let text = format!("{} of {}: {source} logged it out", session.id, session.user);
        auth::record(web, "session_ended", &text);
        auth::end(web, session.user, session.id)?;
    }
    Ok(())
}

/// Whether a logout is about a session: of that name where it names one, else all of its user. Access
/// tokens of programs are no sessions at the provider.
fn is_meant(web: &Web, source: &str, logout: &Logout, session: &Session) -> bool {
    let account = web.home.people.account(&session.user);
    let Some(subject) = account.and_then(|it| it.subject) else {
        return false;
    };
    let is_user = logout.subject.as_ref().is_none_or(|it| *it == subject.name);
    let is_session = match &logout.session {
        Some(named) => session.origin.provider_session.as_deref() == Some(told(named).as_str()),
        None => true,
    };
    subject.source == source && session.kind == SessionKind::Device && is_user && is_session
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_used_once_at_its_provider() {
        let ended = Ended::default();
        assert!(ended.note("staff", "a", 1_000));
        assert!(!ended.note("staff", "a", 1_001));
        assert!(ended.note("guests", "a", 1_001));
        assert!(ended.note("staff", "b", 1_002));
    }

    #[test]
    fn tokens_are_remembered_for_as_long_as_they_are_believed_and_no_more_of_them_than_fit() {
        let ended = Ended::default();
        assert!(ended.note("staff", "a", 1_000));
        assert!(!ended.note("staff", "a", 1_000 + LOGOUT_AGE_MS + 2 * LEEWAY_MS));
        for number in 0..2 * REMEMBERED {
            assert!(ended.note("staff", &number.to_string(), 2_000));
        }
        let used = ended.used.lock().unwrap();
        assert_eq!((used.ids.len(), used.order.len()), (REMEMBERED, REMEMBERED));
    }
}
