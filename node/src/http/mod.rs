//! The node's API for its own people, over HTTP: Mattermost's REST API (version 4) and WebSocket, so
//! that existing clients, bots and webhooks work. docs/users-api.md lists what is answered.

mod accounts;
mod auth;
mod bodies;
mod builtin;
mod channels;
mod comity;
mod commands;
mod console;
mod custom_status;
mod direct;
pub mod door;
mod drafts;
mod export;
mod extract;
mod failure;
mod files;
mod hooks;
mod line;
mod login;
mod misc;
mod outgoing;
mod pace;
mod page;
mod posts;
mod second_factor;
mod socket;
mod teams;
mod uploads;
mod users;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tower::util::MapRequest;

use crate::api::ApiError;
use crate::config::TlsSource;
use crate::home::Home;
use crate::home::id::Id;
use crate::node::Node;
use auth::LoginGate;
use console::samples::Samples;
use console::setup::Setup;
use door::Door;
use door::acme::Acme;
use door::certificates::{Certificates, Files, keep, record};
use failure::Failure;
use files::{Forms, Previews, Verdicts};
use login::Provisioning;
use login::oidc::Oidc;
use pace::Paces;
use uploads::Sending;

pub use login::saml::Saml;
pub use login::{LoginConfig, check};

/// The version of Mattermost's server whose API is spoken: mobile clients refuse one below 9.11.
pub const SPOKEN: &str = "11.6.0";
/// The largest body of a request that is no upload: a post is at most 64 KiB, lists of ids are short.
const BODY_BYTES: usize = 1 << 20;

/// What every request may use.
pub struct Web {
    pub home: Arc<Home>,
    pub gate: LoginGate,
    pub login: LoginConfig,
    pub paces: Paces,
    pub provisioning: Provisioning,
    pub oidc: Oidc,
    pub saml: Saml,
    pub previews: Previews,
    pub verdicts: Verdicts,
    pub forms: Arc<Forms>,
    /// None where users are served in the clear.
    pub certificates: Option<Arc<Certificates>>,
    pub sending: Sending,
    pub setup: Setup,
    pub samples: Samples,
}

pub type App = State<Arc<Web>>;

impl Web {
    pub fn new(home: Arc<Home>, certificates: Option<Arc<Certificates>>, saml: Saml) -> Arc<Web> {
        let paces = Paces::new(home.node.config.http.limits);
        let login = home.node.config.login.clone();
        let web = Arc::new(Web {
            oidc: Oidc::new(&home),
            home,
            login,
            paces,
            provisioning: Provisioning::default(),
            saml,
            gate: LoginGate::default(),
            previews: Previews::default(),
            verdicts: Verdicts::default(),
            forms: Arc::default(),
            certificates,
            sending: Sending::default(),
            setup: Setup::default(),
            samples: Samples::default(),
        });
        login::begin(&web);
        web
    }
}

/// The task that replaces a certificate in time.
type Keeping = Option<JoinHandle<()>>;

/// The certificate of the users' side as the configuration has it, and the task that replaces it in
/// time; none where users are served in the clear.
pub fn certificates(node: &Arc<Node>) -> Result<(Option<Arc<Certificates>>, Keeping), ApiError> {
    let Some(source) = &node.config.http.tls else {
        return Ok((None, None));
    };
    let certificates = Arc::new(Certificates::default());
    let (clock, work) = (node.environment.clock, node.environment.work);
    let keeping = match source {
        TlsSource::Files { certificate, key } => {
            let mut files = Files::new(node.dir.join(certificate), node.dir.join(key));
            let loaded = files.open()?;
            record(&node.audit, "certificate_loaded", &loaded.description);
            certificates.replace(loaded);
            let audit = node.audit.clone();
            tokio::spawn(keep(certificates.clone(), files, audit, clock, work))
        }
        TlsSource::Acme(acme) => {
            let acme = Acme::new(acme.clone(), node.clone(), certificates.clone());
            tokio::spawn(acme.keep())
        }
    };
    Ok((Some(certificates), Some(keeping)))
}

/// Opens the listener; an address that is taken shows at once.
pub async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until the node ends.
pub async fn serve(listener: TcpListener, web: Arc<Web>) {
    let proxies = &web.home.node.config.http.proxies;
    let door = Door::new(listener, web.certificates.clone(), proxies);
    login::start(&web);
    let watch = login::watch(web.clone());
    let own = Arc::downgrade(&web);
    // Both end with the task that serves.
    let measuring = console::samples::keep(own.clone());
    let setting_up = async {
        console::setup::begin(own).await;
        std::future::pending().await
    };
    tokio::select! {
        () = door.serve(MapRequest::new(router(web), without_empty_parts)) => {}
        () = watch => {}
        () = measuring => {}
        () = setting_up => {}
    }
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
        .merge(accounts::routes())
        .merge(second_factor::routes())
        .merge(teams::routes())
        .merge(channels::routes())
        .merge(direct::routes())
        .merge(posts::routes())
        .merge(socket::routes())
        .merge(hooks::making())
        .merge(custom_status::routes())
        .merge(drafts::routes())
        .merge(outgoing::routes())
        .merge(commands::routes())
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .merge(files::routes())
        .merge(uploads::routes());
    Router::new()
        .nest("/api/v4", api)
        .nest(
            "/api/comity/v1",
            comity::routes()
                .merge(accounts::own_routes())
                .merge(console::routes())
                .merge(login::own_routes()),
        )
        .merge(login::routes())
        .merge(hooks::routes())
        .merge(page::routes())
        .fallback(unknown)
        .layer(middleware::from_fn(bodies::in_time))
        .layer(middleware::from_fn_with_state(web.clone(), pace::keep_pace))
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
