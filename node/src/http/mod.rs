//! The node's API for its own people, over HTTP: Mattermost's REST API (version 4) and WebSocket, so
//! that existing clients, bots and webhooks work. docs/users-api.md lists what is answered.

mod auth;
mod channels;
mod comity;
mod extract;
mod failure;
mod files;
mod hooks;
mod misc;
mod posts;
mod socket;
mod teams;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::{Router, ServiceExt};
use tokio::net::TcpListener;
use tower::util::MapRequest;

use crate::home::Home;
use crate::home::id::Id;
use auth::LoginGate;
use failure::Failure;
use files::Previews;
use misc::Statuses;

/// The version of Mattermost's server whose API is spoken: mobile clients refuse one below 9.11.
pub const SPOKEN: &str = "11.6.0";
/// The largest body of a request that is no upload: a post is at most 64 KiB, lists of ids are short.
const BODY_BYTES: usize = 1 << 20;

/// What every request may use.
pub struct Web {
    pub home: Arc<Home>,
    pub gate: LoginGate,
    pub statuses: Statuses,
    pub previews: Previews,
}

pub type App = State<Arc<Web>>;

impl Web {
    pub fn new(home: Arc<Home>) -> Arc<Web> {
        Arc::new(Web {
            home,
            gate: LoginGate::default(),
            statuses: Statuses::default(),
            previews: Previews::default(),
        })
    }
}

/// Opens the listener; an address that is taken shows at once.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until the node ends.
pub async fn serve(listener: TcpListener, web: Arc<Web>) -> std::io::Result<()> {
    let service = MapRequest::new(router(web), without_empty_parts);
    let service = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(service);
    axum::serve(listener, service).await
}

/// Clients write `//` in paths here and there, and mean `/`.
fn without_empty_parts(mut request: Request) -> Request {
    let path = request.uri().path();
    if !path.contains("//") {
        return request;
    }
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let query = request
        .uri()
        .query()
        .map_or_else(String::new, |query| format!("?{query}"));
    if let Ok(uri) = format!("/{}{query}", parts.join("/")).parse() {
        *request.uri_mut() = uri;
    }
    request
}

fn router(web: Arc<Web>) -> Router {
    let api = Router::new()
        .merge(misc::routes())
        .merge(users::routes())
        .merge(teams::routes())
        .merge(channels::routes())
        .merge(posts::routes())
        .merge(socket::routes())
        .merge(hooks::making())
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .merge(files::routes());
    Router::new()
        .nest("/api/v4", api)
        .nest("/api/comity/v1", comity::routes())
        .merge(hooks::routes())
        .fallback(unknown)
        .layer(middleware::from_fn(common))
        .with_state(web)
}

async fn unknown(request: Request) -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "api.context.404.app_error",
        format!("This node does not answer {}.", request.uri().path()),
    )
}

/// What every answer bears.
async fn common(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let request_id = Id(crate::random::bytes()).to_string();
    let version = format!("{SPOKEN}.{SPOKEN}.comity.false");
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.entry(name).or_insert(value);
        }
    };
    set(HeaderName::from_static("x-request-id"), &request_id);
    set(HeaderName::from_static("x-version-id"), &version);
    set(X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(X_FRAME_OPTIONS, "DENY");
    set(
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    );
    response
}
