//! The door through which users' clients come in: connections, with TLS or without, each bounded in
//! number, time and memory before anything of a request is understood.

pub mod acme;
pub mod certificates;

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::STRICT_TRANSPORT_SECURITY;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Service;

use super::line::put_right;
use certificates::{ALPN_ACME, Certificates};

/// Connections at a time: some clients of each of a partner's thousands of users, and some 20 KiB for
/// each that is idle.
const CONNECTIONS: usize = 10_000;
/// Connections of one address: an office of hundreds behind one address has as many. Those of this
/// machine and of named proxies ask for everybody.
const PER_ADDRESS: usize = 512;
/// Handshakes at a time: each takes a fraction of a millisecond of the processor, and most of its time
/// waits for the client.
const HANDSHAKES: usize = 256;
/// How long a handshake may take, its turn included: some round trips over a bad line.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long the head of a request may take to come, and how long a connection may be silent between
/// two requests: as long as Mattermost's server waits.
const HEAD: Duration = Duration::from_secs(60);
/// The longest head of a request: a token, cookies and a path.
const HEAD_BYTES: usize = 64 << 10;
/// Requests at a time on one connection of HTTP/2: as many as a browser has under way.
const STREAMS: u32 = 100;
/// How often a connection of HTTP/2 is asked whether it is there, and how long it may take to say so.
const PING: Duration = Duration::from_secs(60);
const PONG: Duration = Duration::from_secs(20);
/// How long a rest is made when the machine has no socket left.
const REST: Duration = Duration::from_secs(1);
/// How long browsers remember that this name is spoken to by TLS alone: a year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Takes connections and hands their requests on.
pub struct Door {
    listener: TcpListener,
    certificates: Option<Arc<Certificates>>,
    proxies: Arc<[IpAddr]>,
    connections: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
    held: Arc<PerAddress>,
}

impl Door {
    pub fn new(
        listener: TcpListener,
        certificates: Option<Arc<Certificates>>,
        proxies: &[IpAddr],
    ) -> Door {
        Door {
            listener,
            certificates,
            proxies: proxies.into(),
            connections: Arc::new(Semaphore::new(CONNECTIONS)),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
            held: Arc::default(),
        }
    }

    /// Serves requests by `app` until the task ends.
    pub async fn serve<A>(self, app: A)
    where
        A: Service<Request, Response = Response> + Clone + Send + 'static,
        A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        A::Future: Send,
    {
        loop {
            // With all taken, whoever comes waits outside, at the cost of the system.
            let Ok(turn) = self.connections.clone().acquire_owned().await else {
                return;
            };
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if is_of_one_client(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, "no connection of a user's client can be taken");
                    sleep(REST).await;
                    continue;
                }
            };
            let address = peer.ip().to_canonical();
            let is_for_many = address.is_loopback() || self.proxies.contains(&address);
            let Some(counted) = PerAddress::take(&self.held, address, is_for_many) else {
                tracing::debug!(%address, "an address has as many connections as it may have");
                continue;
            };
            // A client that waits for an answer to a small question should not wait for a full packet.
            let _ = stream.set_nodelay(true);
            let visit = Visit {
                peer,
                certificates: self.certificates.clone(),
                handshakes: self.handshakes.clone(),
                proxies: self.proxies.clone(),
                _turn: turn,
                _counted: counted,
            };
            tokio::spawn(visit.serve(stream, app.clone()));
        }
    }
}

/// A client went away before it was taken.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// One connection, counted as long as it is there.
struct Visit {
    peer: SocketAddr,
    certificates: Option<Arc<Certificates>>,
    handshakes: Arc<Semaphore>,
    proxies: Arc<[IpAddr]>,
    _turn: OwnedSemaphorePermit,
    _counted: Counted,
}

impl Visit {
    async fn serve<A>(self, stream: TcpStream, app: A)
    where
        A: Service<Request, Response = Response> + Clone + Send + 'static,
        A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        A::Future: Send,
    {
        let Some(certificates) = self.certificates.clone() else {
            return self.converse(stream, app, false, false).await;
        };
        // Whoever does not end the handshake in time, or wants none that is good, is let go.
        let agreed = timeout(
            HANDSHAKE,
            shake_hands(stream, &certificates, &self.handshakes),
        );
        let Ok(Some(stream)) = agreed.await else {
            return;
        };
        let over_http2 = match stream.get_ref().1.alpn_protocol() {
            // The authority has seen what it came for.
            Some(ALPN_ACME) => return,
            protocol => protocol == Some(b"h2"),
        };
        self.converse(stream, app, true, over_http2).await;
    }

    async fn converse<A>(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        app: A,
        over_tls: bool,
        over_http2: bool,
    ) where
        A: Service<Request, Response = Response> + Clone + Send + 'static,
        A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        A::Future: Send,
    {
        let (peer, proxies) = (self.peer, self.proxies.clone());
        let service = tower::service_fn(move |request: axum::http::Request<Incoming>| {
            let mut request = request.map(Body::new);
            put_right(&mut request, peer, over_tls, &proxies);
            let answered = tower::ServiceExt::oneshot(app.clone(), request);
            async move {
                let mut response = answered.await?;
                if over_tls {
                    let headers = response.headers_mut();
                    headers.insert(STRICT_TRANSPORT_SECURITY, HSTS);
                }
                Ok::<_, A::Error>(response)
            }
        });
        let service = TowerToHyperService::new(service);
        let stream = TokioIo::new(stream);
        let served = match over_http2 {
            true => two().serve_connection(stream, service).await,
            false => {
                one()
                    .serve_connection(stream, service)
                    .with_upgrades()
                    .await
            }
        };
        if let Err(error) = served {
            tracing::debug!(peer = %self.peer, %error, "a user's connection ended");
        }
    }
}

/// HTTP/1.1, over which WebSockets go.
fn one() -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES);
    builder
}

/// HTTP/2, where it was agreed on.
fn two() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    builder
}

/// Agrees on keys with a client; none where that is not to be had.
async fn shake_hands(
    stream: TcpStream,
    certificates: &Certificates,
    handshakes: &Semaphore,
) -> Option<TlsStream<TcpStream>> {
    let _turn = handshakes.acquire().await.ok()?;
    let start = LazyConfigAcceptor::new(Acceptor::default(), stream)
        .await
        .ok()?;
    let config = certificates.for_client(&start.client_hello())?;
    start.into_stream(config).await.ok()
}

/// How many connections each address has.
#[derive(Default)]
struct PerAddress {
    held: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One of an address's connections, until it is dropped.
struct Counted {
    of: Option<(Arc<PerAddress>, IpAddr)>,
}

impl PerAddress {
    /// Counts one more; none where an address has as many as it may have.
    fn take(table: &Arc<PerAddress>, address: IpAddr, is_for_many: bool) -> Option<Counted> {
        if is_for_many {
            return Some(Counted { of: None });
        }
        let whose = network(address);
        let mut held = table.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(whose).or_insert(0);
        if *count >= PER_ADDRESS {
            return None;
        }
        *count += 1;
        let of = Some((table.clone(), whose));
        Some(Counted { of })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((table, whose)) = &self.of else {
            return;
        };
        let mut held = table.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(whose) {
            *count -= 1;
            if *count == 0 {
                held.remove(whose);
            }
        }
    }
}

/// What counts as one address: of version 6, all that one line is given (64 bits of it).
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Once;

    use axum::Router;
    use axum::routing::get;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_rustls::TlsConnector;

    use super::certificates::Loaded;
    use super::certificates::tests::written;
    use super::*;

    const DOMAIN: &str = "chat.alpha.example";

    struct Served {
        address: SocketAddr,
        certificates: Arc<Certificates>,
        dir: tempfile::TempDir,
    }

    async fn served() -> Served {
        static LOG: Once = Once::new();
        LOG.call_once(|| drop(tracing_subscriber::fmt().with_test_writer().try_init()));
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = written(dir.path(), DOMAIN, 30);
        let certificates = Arc::new(Certificates::default());
        certificates.replace(Loaded::from_files(&chain, &key).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let door = Door::new(listener, Some(certificates.clone()), &[]);
        let app = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(door.serve(app));
        Served {
            address,
            certificates,
            dir,
        }
    }

    impl Served {
        /// A client that trusts the certificate that lies in the files now.
        fn client(
            &self,
            alpn: &[&[u8]],
            versions: &[&'static rustls::SupportedProtocolVersion],
        ) -> TlsConnector {
            let mut roots = RootCertStore::empty();
            let chain = self.dir.path().join("chain.pem");
            roots
                .add(CertificateDer::from_pem_file(chain).unwrap())
                .unwrap();
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let builder = ClientConfig::builder_with_provider(provider);
            let builder = builder.with_protocol_versions(versions).unwrap();
            let mut config = builder.with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols = alpn.iter().map(|it| it.to_vec()).collect();
            TlsConnector::from(Arc::new(config))
        }

        async fn connect(
            &self,
            client: &TlsConnector,
        ) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
            let stream = TcpStream::connect(self.address).await?;
            let name = ServerName::try_from(DOMAIN).unwrap();
            client.connect(name, stream).await
        }
    }

    async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
        let request = b"GET / HTTP/1.1\r\nHost: chat.alpha.example\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = vec![0; 4096];
        let mut held = 0;
        while !answer[..held].ends_with(b"here") {
            let read = stream.read(&mut answer[held..]).await.unwrap();
            assert_ne!(read, 0, "{}", String::from_utf8_lossy(&answer[..held]));
            held += read;
        }
        String::from_utf8_lossy(&answer[..held]).into_owned()
    }

    #[tokio::test]
    async fn a_client_is_answered_over_tls_1_3_with_the_hybrid_group_and_told_to_stay() {
        let served = served().await;
        let client = served.client(&[b"http/1.1"], &[&rustls::version::TLS13]);
        let mut stream = served.connect(&client).await.unwrap();
        let answer = ask(&mut stream).await;
        assert!(
            answer.contains("strict-transport-security: max-age=31536000"),
            "{answer}"
        );
        let (_, session) = stream.get_ref();
        let group = session.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, rustls::NamedGroup::X25519MLKEM768);
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
    }

    #[tokio::test]
    async fn http_2_is_preferred() {
        let served = served().await;
        let both = served.client(&[b"http/1.1", b"h2"], &[&rustls::version::TLS13]);
        let stream = served.connect(&both).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    }

    #[tokio::test]
    async fn a_new_certificate_counts_for_new_connections_and_old_ones_go_on() {
        let served = served().await;
        let old = served.client(&[], &[&rustls::version::TLS13]);
        let mut before = served.connect(&old).await.unwrap();
        ask(&mut before).await;

        let (chain, key) = written(served.dir.path(), DOMAIN, 60);
        served
            .certificates
            .replace(Loaded::from_files(&chain, &key).unwrap());

        ask(&mut before).await;
        served
            .connect(&old)
            .await
            .expect_err("it is another certificate");
        let new = served.client(&[], &[&rustls::version::TLS13]);
        ask(&mut served.connect(&new).await.unwrap()).await;
    }

    #[tokio::test]
    async fn whoever_speaks_in_the_clear_to_tls_is_let_go() {
        let served = served().await;
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }

    #[tokio::test]
    async fn an_address_asks_as_an_authority_only_while_a_challenge_is_open() {
        let served = served().await;
        let authority = served.client(&[ALPN_ACME], &[&rustls::version::TLS13]);
        assert!(served.connect(&authority).await.is_err());
    }

    #[test]
    fn one_address_has_its_share_and_gives_it_back() {
        let table = Arc::new(PerAddress::default());
        let one: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let other: IpAddr = "2001:db8:0:1::1".parse().unwrap();
        let mut held: Vec<_> = (0..PER_ADDRESS)
            .map(|_| PerAddress::take(&table, one, false).unwrap())
            .collect();
        assert!(
            PerAddress::take(&table, neighbour, false).is_none(),
            "one line"
        );
        assert!(PerAddress::take(&table, one, true).is_some(), "a proxy");
        held.push(PerAddress::take(&table, other, false).unwrap());
        held.clear();
        assert!(table.held.lock().unwrap().is_empty());
        assert!(PerAddress::take(&table, neighbour, false).is_some());
    }
}
