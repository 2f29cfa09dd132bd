//! Provisioning by the organisation itself: a SCIM 2.0 server (RFC 7642 to 7644) for its users and
//! groups. One token opens it, and nothing else does; all that it changes is on record.

mod answer;
mod filter;
mod groups;
mod patch;
mod query;
mod schema;
mod users;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, Path, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::auth;
use super::super::{App, Web};
use crate::home::people::{Claims, Rules, Subject, TokenCheck};
use answer::{Refusal, Scim, scim};
use query::Query;
use schema::{GROUPS, Resource, TYPES, Type, USERS};

/// The largest body of a request: a group with all the members that it may have.
const BODY_BYTES: usize = 1 << 20;
/// Requests in a second; more are told to wait. A directory sends some ten.
const REQUESTS_PER_S: u32 = 200;
/// Refused tokens that are put on record in a minute: whoever guesses does not fill the record.
const REFUSALS_RECORDED: u32 = 10;
const MINUTE: Duration = Duration::from_secs(60);
/// The longest name of this node in the addresses that answers give, in bytes.
const HOST_BYTES: usize = 255;

const SCHEMA_LIST: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
const SERVICE: &str = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";

/// The table `[login.scim]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScimConfig {
    /// Whether the organisation's provisioning is answered.
    pub enabled: bool,
    /// The provider at which the provisioned users log in, such as `oidc:corp`: their `externalId` is
    /// then what that provider calls them. None where no other provider is to find their accounts.
    pub subject_source: Option<String>,
    /// Whether of that provider's users only provisioned ones may log in.
    #[serde(default = "yes")]
    pub only_provisioned: bool,
    #[serde(flatten)]
    pub rules: Rules,
}

fn yes() -> bool {
    true
}

/// What all requests share.
#[derive(Default)]
pub struct Provisioning {
    /// One change at a time: each looks at what is there first.
    changing: Mutex<()>,
    counted: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    requests: Option<(Instant, u32)>,
    refusals: Option<(Instant, u32)>,
}

impl Provisioning {
    fn may_ask(&self) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut counted.requests, Duration::from_secs(1)) <= REQUESTS_PER_S
    }

    fn is_recorded(&self) -> bool {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        count(&mut counted.refusals, MINUTE) <= REFUSALS_RECORDED
    }
}

/// How many there were in this span of time, with this one.
fn count(held: &mut Option<(Instant, u32)>, span: Duration) -> u32 {
    let held = held.get_or_insert_with(|| (Instant::now(), 0));
    if held.0.elapsed() >= span {
        *held = (Instant::now(), 0);
    }
    held.1 = held.1.saturating_add(1);
    held.1
}

/// One request of the provisioning, let in.
struct Asked<'a> {
    web: &'a Web,
    config: &'a ScimConfig,
    /// Where the server is, as the client wrote it: `https://node.example/scim/v2`.
    base: String,
}

pub fn routes() -> Router<Arc<Web>> {
    Router::new().route("/scim/v2/{*path}", any(serve))
}

/// Whether this user may log in by its provider: not where only provisioned ones may and it is none.
pub fn admits(web: &Web, claims: &Claims) -> bool {
    let Some(config) = enabled(web) else {
        return true;
    };
    let is_provisioned = |subject: &Subject| {
        let account = web.home.people.of_subject(subject);
        account.is_some_and(|it| web.home.people.provisioned(&it.id).is_some())
    };
    let is_its = config.subject_source.as_deref() == Some(claims.subject.source.as_str());
    !is_its || !config.only_provisioned || is_provisioned(&claims.subject)
}

/// Brings all provisioned accounts in line with the rules of the configuration, which may have changed
/// since the node ran last.
pub fn begin(web: &Web) {
    let Some(config) = enabled(web) else {
        return;
    };
    let asked = Asked {
        web,
        config,
        base: String::new(),
    };
    let all = web.home.people.provisioned_where(|_| true);
    if let Err(refusal) = users::settle_all(&asked, all) {
        tracing::error!(why = refusal.detail, "provisioned users are as they were");
    }
}

fn enabled(web: &Web) -> Option<&ScimConfig> {
    web.login.scim.as_ref().filter(|it| it.enabled)
}

async fn serve(
    State(web): App,
    ConnectInfo(address): ConnectInfo<std::net::SocketAddr>,
    Path(path): Path<String>,
    request: Request<Body>,
) -> Response {
    if let Err(refusal) = let_in(&web, request.headers(), address) {
        return refusal.into_response();
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, BODY_BYTES).await else {
        let text = format!("a request has {BODY_BYTES} bytes at most");
        return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text).into_response();
    };
    let work = web.home.node.environment.work;
    let answered = work.run(move || {
        let Some(config) = enabled(&web) else {
            return Err(Refusal::missing());
        };
        let asked = Asked {
            web: &web,
            config,
            base: base(&parts.headers),
        };
        asked.answer(&parts.method, &path, &parts.uri, &body)
    });
    match answered.await {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => refusal.into_response(),
        Err(error) => {
            tracing::error!(%error, "a request of the provisioning ended early");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The node failed.").into_response()
        }
    }
}

/// Refuses whoever has not the token. A user's session is none.
fn let_in(web: &Web, headers: &HeaderMap, address: std::net::SocketAddr) -> Scim<()> {
    if enabled(web).is_none() {
        let text = "This node has no provisioning: [login.scim] in its comity.toml.";
        return Err(Refusal::new(StatusCode::NOT_FOUND, text));
    }
    let token = auth::token_of(headers).filter(|(_, by_cookie)| !by_cookie);
    let checked = match &token {
        Some((token, _)) => web.home.people.check_scim_token(token),
        None => TokenCheck::Wrong,
    };
    let what = match checked {
        TokenCheck::Right if web.provisioning.may_ask() => return Ok(()),
        TokenCheck::Right => {
            let text = format!("The node takes {REQUESTS_PER_S} requests a second: wait.");
            return Err(Refusal::new(StatusCode::TOO_MANY_REQUESTS, text));
        }
        TokenCheck::Expired => "an expired token",
        TokenCheck::Wrong => "no valid token",
    };
    if web.provisioning.is_recorded() {
        let text = format!("{what} from {}", address.ip());
        auth::record(web, "provisioning_refused", &text);
    }
    let text = format!("That is {what}: 'comity user provisioning-token' makes one.");
    Err(Refusal::new(StatusCode::UNAUTHORIZED, text))
}

/// Where the client found this server. It gets its own words back and nobody else does.
fn base(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|it| it.to_str().ok());
    let is_name = |host: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
        host.len() <= HOST_BYTES && host.bytes().all(allowed)
    };
    let host = host.filter(is_name).unwrap_or("localhost");
    let over_https = headers
        .get("x-forwarded-proto")
        .is_some_and(|it| it.as_bytes() == b"https");
    let scheme = if over_https { "https" } else { "http" };
    format!("{scheme}://{host}/scim/v2")
}

impl Asked<'_> {
    fn answer(&self, method: &Method, path: &str, uri: &Uri, body: &Bytes) -> Scim<Response> {
        let path: Vec<&str> = path.split('/').collect();
        let is_get = method == Method::GET;
        match path.as_slice() {
            ["ServiceProviderConfig"] if is_get => Ok(ok(&self.service())),
            ["Schemas"] if is_get => Ok(ok(&list(self.schemas()))),
            ["Schemas", id] if is_get => named(self.schemas(), id),
            ["ResourceTypes"] if is_get => Ok(ok(&list(self.types()))),
            ["ResourceTypes", id] if is_get => named(self.types(), id),
            ["ServiceProviderConfig" | "Schemas" | "ResourceTypes", ..] => Err(Refusal::method()),
            [".search"] => self.search(method, &TYPES, body),
            ["Users", ".search"] => self.search(method, &[&USERS], body),
            ["Groups", ".search"] => self.search(method, &[&GROUPS], body),
            ["Users", rest @ ..] => self.resource(&USERS, method, rest, uri, body),
            ["Groups", rest @ ..] => self.resource(&GROUPS, method, rest, uri, body),
            ["Bulk"] => Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "There is no Bulk here: send each request by itself.",
            )),
            _ => Err(Refusal::missing()),
        }
    }

    fn resource(
        &self,
        of: &'static Type,
        method: &Method,
        rest: &[&str],
        uri: &Uri,
        body: &Bytes,
    ) -> Scim<Response> {
        let query = || Query::of_uri(uri);
        let users = of == &USERS;
        // Reading waits for no change.
        let _turn = (method != Method::GET).then(|| {
            let changing = &self.web.provisioning.changing;
            changing.lock().unwrap_or_else(PoisonError::into_inner)
        });
        let resource = match (method.as_str(), rest) {
            ("GET", []) => return Ok(ok(&self.found(&[of], &query()?)?)),
            ("POST", []) => {
                let made = match users {
                    true => users::make(self, &parsed(body)?)?,
                    false => groups::make(self, &parsed(body)?)?,
                };
                let made = query()?.shown(of, made)?;
                return Ok(scim(StatusCode::CREATED, &Value::Object(made)));
            }
            (_, []) => return Err(Refusal::method()),
            ("GET", [id]) if users => users::get(self, id)?,
            ("GET", [id]) => groups::get(self, id)?,
            ("PUT", [id]) if users => users::replace(self, id, &parsed(body)?)?,
            ("PUT", [id]) => groups::replace(self, id, &parsed(body)?)?,
            ("PATCH", [id]) if users => users::change(self, id, &parsed(body)?)?,
            ("PATCH", [id]) => groups::change(self, id, &parsed(body)?)?,
            ("DELETE", [id]) => {
                match users {
                    true => users::delete(self, id)?,
                    false => groups::delete(self, id)?,
                }
                return Ok(StatusCode::NO_CONTENT.into_response());
            }
            (_, [_]) => return Err(Refusal::method()),
            _ => return Err(Refusal::missing()),
        };
        Ok(ok(&Value::Object(query()?.shown(of, resource)?)))
    }

    fn search(&self, method: &Method, types: &[&'static Type], body: &Bytes) -> Scim<Response> {
        if method != Method::POST {
            return Err(Refusal::method());
        }
        let query = Query::of_body(&parsed(body)?)?;
        Ok(ok(&self.found(types, &query)?))
    }

    /// A page of all that a query asks for.
    fn found(&self, types: &[&'static Type], query: &Query) -> Scim<Value> {
        query.check(types)?;
        let mut all = Vec::new();
        for of in types {
            let found = match *of == &USERS {
                true => users::found(self, query),
                false => groups::found(self, query),
            };
            all.extend(found.into_iter().map(|id| (*of, id)));
        }
        let total = all.len();
        let page = all.into_iter().skip(query.start - 1).take(query.count);
        let mut resources = Vec::new();
        for (of, id) in page {
            let id = id.to_string();
            let shown = match of == &USERS {
                true => users::get(self, &id),
                false => groups::get(self, &id),
            };
            // One that went in between is not shown.
            let Ok(shown) = shown else { continue };
            resources.push(Value::Object(query.shown(of, shown)?));
        }
        Ok(json!({
            "schemas": [SCHEMA_LIST],
            "totalResults": total,
            "startIndex": query.start,
            "itemsPerPage": resources.len(),
            "Resources": resources,
        }))
    }

    fn service(&self) -> Value {
        json!({
            "schemas": [SERVICE],
            "patch": {"supported": true},
            "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
            "filter": {"supported": true, "maxResults": query::COUNT},
            "changePassword": {"supported": false},
            "sort": {"supported": false},
            "etag": {"supported": false},
            "authenticationSchemes": [{
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "The token that 'comity user provisioning-token' makes",
                "primary": true,
            }],
            "meta": {
                "resourceType": "ServiceProviderConfig",
                "location": format!("{}/ServiceProviderConfig", self.base),
            },
        })
    }

    fn types(&self) -> Vec<Value> {
        TYPES.iter().map(|it| it.described(&self.base)).collect()
    }

    fn schemas(&self) -> Vec<Value> {
        let all = TYPES
            .iter()
            .flat_map(|it| [it.core].into_iter().chain(it.extensions.iter().copied()));
        let described = all.map(|it| {
            let mut described = it.described();
            let location = format!("{}/Schemas/{}", self.base, it.id);
            described["meta"] = json!({"resourceType": "Schema", "location": location});
            described
        });
        described.collect()
    }

    /// What every resource bears.
    fn meta(&self, of: &Type, id: &str, created_ms: u64, updated_ms: u64) -> Value {
        json!({
            "resourceType": of.name,
            "created": date(created_ms),
            "lastModified": date(updated_ms),
            "location": self.location(of, id),
        })
    }

    fn location(&self, of: &Type, id: &str) -> String {
        format!("{}/{}/{id}", self.base, of.endpoint)
    }

    fn record(&self, action: &str, text: &str) {
        auth::record(self.web, action, text);
    }
}

/// A Unix time in milliseconds as RFC 3339 has it.
fn date(unix_ms: u64) -> String {
    format!("{}Z", crate::cli::time::utc(unix_ms).replace(' ', "T"))
}

fn ok(body: &Value) -> Response {
    scim(StatusCode::OK, body)
}

fn list(all: Vec<Value>) -> Value {
    json!({
        "schemas": [SCHEMA_LIST],
        "totalResults": all.len(),
        "startIndex": 1,
        "itemsPerPage": all.len(),
        "Resources": all,
    })
}

fn named(all: Vec<Value>, id: &str) -> Scim<Response> {
    let found = all.iter().find(|it| it["id"] == id);
    found.map(ok).ok_or_else(Refusal::missing)
}

fn parsed(body: &Bytes) -> Scim<Value> {
    let parsed: Result<Value, _> = serde_json::from_slice(body);
    let parsed =
        parsed.map_err(|error| Refusal::syntax(format!("the body is no JSON: {error}")))?;
    match parsed.is_object() {
        true => Ok(parsed),
        false => Err(Refusal::syntax("the body is to be an object")),
    }
}

/// What is kept of a resource that a client sent; it says which schema it is of.
fn taken(of: &Type, body: &Value) -> Scim<Resource> {
    let schemas = body.get("schemas").and_then(Value::as_array);
    let is_core = |it: &Value| {
        it.as_str()
            .is_some_and(|it| it.eq_ignore_ascii_case(of.core.id))
    };
    if !schemas.is_some_and(|all| all.iter().any(is_core)) {
        let text = format!("'schemas' does not name '{}'", of.core.id);
        return Err(Refusal::value(text));
    }
    let given = body.as_object().cloned().unwrap_or_default();
    let kept = of.taken(&given)?;
    of.check(&kept)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_who_may_and_unknown_keys_are_refused() {
        let text = "enabled = true\nallow = [\"staff\"]\nsubject_source = \"oidc:corp\"\n";
        let config: ScimConfig = toml::from_str(text).unwrap();
        assert!(config.only_provisioned);
        assert_eq!(config.rules.allow, ["staff"]);
        for wrong in [
            "enabled = true\n",
            "allow = [\"*\"]\n",
            "enabled = true\nallow = [\"*\"]\nalow = []\n",
        ] {
            assert!(toml::from_str::<ScimConfig>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn addresses_in_answers_are_of_the_host_that_was_asked() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "node.example:8065".parse().unwrap());
        assert_eq!(base(&headers), "http://node.example:8065/scim/v2");
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        assert_eq!(base(&headers), "https://node.example:8065/scim/v2");
        headers.insert(HOST, "a/b\"<script>".parse().unwrap());
        assert_eq!(base(&headers), "https://localhost/scim/v2");
    }
}
