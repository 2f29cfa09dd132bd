//! Users over TLS at a node that has the certificate itself: what their clients see, what a sysadmin
//! does about it, and what is refused.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use comity_node::api::UserSessionInfo;
use comity_tests::store::audit;
use comity_tests::{Node, PATIENCE, Site, eventually};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

const DOMAIN: &str = "chat.alpha.example";
const PASSWORD: &str = "correct horse";
const DAY: Duration = Duration::from_secs(86_400);

type Line = StreamOwned<ClientConnection, TcpStream>;

/// A node that serves its users over TLS.
struct Served {
    site: Site,
    address: SocketAddr,
    chain: PathBuf,
    key: PathBuf,
}

/// A node with `alice`, by these lines under `[http]`.
fn served(lines: &str) -> Served {
    let mut site = Site::of(&["alpha"]);
    let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let address = free.expect("a free port");
    let alpha = &mut site["alpha"];
    let (chain, key) = (alpha.dir.join("chain.pem"), alpha.dir.join("key.pem"));
    certify(&chain, &key, 30);
    alpha.stop();
    let files = "certificate = \"chain.pem\"\nkey = \"key.pem\"";
    configure(alpha, &format!("listen = \"{address}\"\n{files}\n{lines}"));
    alpha.add_user("alice", PASSWORD);
    alpha.start();
    Served {
        site,
        address,
        chain,
        key,
    }
}

/// Replaces the table `[http]`, which is the last.
fn configure(node: &Node, lines: &str) {
    let path = node.dir.join("comity.toml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    let (before, _) = text.split_once("\n[http]\n").expect("the table");
    std::fs::write(&path, format!("{before}\n[http]\n{lines}\n")).expect("the configuration");
}

/// Writes a new certificate of so many days, and its key.
fn certify(chain: &Path, key: &Path, days: u32) {
    let pair = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([DOMAIN.to_string()]).expect("a name");
    params.not_before = (SystemTime::now() - 300 * DAY).into();
    params.not_after = (SystemTime::now() + days * DAY).into();
    let certificate = params.self_signed(&pair).expect("a certificate");
    for (path, text) in [(key, pair.serialize_pem()), (chain, certificate.pem())] {
        std::fs::write(path, text).expect("a file");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, mode).expect("an own file");
    }
}

impl Served {
    /// Connects, if the node has the certificate that lies in the file now.
    fn connect(&self) -> Option<Line> {
        let mut roots = RootCertStore::empty();
        let chain = CertificateDer::from_pem_file(&self.chain).expect("a certificate");
        roots.add(chain).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(DOMAIN).expect("a name");
        let mut session = ClientConnection::new(Arc::new(config), name).expect("a client");
        let mut stream = TcpStream::connect(self.address).expect("the node listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        while session.is_handshaking() {
            session.complete_io(&mut stream).ok()?;
        }
        assert_eq!(
            session.protocol_version(),
            Some(rustls::ProtocolVersion::TLSv1_3)
        );
        Some(StreamOwned::new(session, stream))
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &Value) -> Answer {
        let mut line = self.connect().expect("the node's certificate");
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        line.write_all(request.as_bytes()).expect("the request");
        let mut answer = Vec::new();
        // How a connection ends is not what is tested.
        let _ = line.read_to_end(&mut answer);
        Answer::of(&String::from_utf8_lossy(&answer))
    }

    /// Logs in by a program of this name, and gives the token.
    fn log_in(&self, program: &str) -> (String, Answer) {
        let body = json!({"login_id": "alice", "password": PASSWORD});
        let headers = format!("User-Agent: {program}\r\n");
        let answer = self.ask("POST", "/api/v4/users/login", &headers, &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.header("token").expect("a token").into(), answer)
    }

    fn me(&self, token: &str) -> u16 {
        let headers = format!("Authorization: Bearer {token}\r\n");
        self.ask("GET", "/api/v4/users/me", &headers, &Value::Null)
            .status
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
}

impl Answer {
    fn of(text: &str) -> Answer {
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok());
        Answer {
            status: status.unwrap_or_else(|| panic!("no answer: {text}")),
            head: head.into(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let own = lines.find(|(key, _)| key.eq_ignore_ascii_case(name));
        own.map(|(_, value)| value)
    }
}

#[test]
fn a_user_is_served_over_tls_and_a_new_certificate_breaks_no_connection() {
    let mut served = served("");
    let (token, answer) = served.log_in("comity-test/1");
    for cookie in answer
        .head
        .lines()
        .filter(|it| it.starts_with("set-cookie"))
    {
        assert!(cookie.contains("; Secure"), "{cookie}");
    }
    assert!(answer.header("strict-transport-security").is_some());

    let mut socket = served.connect().expect("the node's certificate");
    let upgrade = format!(
        "GET /api/v4/websocket HTTP/1.1\r\nHost: {DOMAIN}\r\nAuthorization: Bearer {token}\r\n\
         Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    );
    socket.write_all(upgrade.as_bytes()).expect("the question");
    await_text(&mut socket, "\"event\":\"hello\"");

    // A new certificate is taken up, and the open socket goes on.
    certify(&served.chain, &served.key, 5);
    served.site["alpha"].signal("HUP");
    eventually("new connections have the new certificate", PATIENCE, || {
        served.connect().map(drop)
    });
    let ping = masked(r#"{"seq":1,"action":"ping"}"#);
    socket.write_all(&ping).expect("the socket is open");
    await_text(&mut socket, "\"text\":\"pong\"");
    let warnings = served.site["alpha"].status().warnings.join("\n");
    assert!(warnings.contains("certificate ends"), "{warnings}");

    // Half a file is not used, and what is in use stays so.
    let good = std::fs::read(&served.chain).expect("the certificate");
    std::fs::write(&served.chain, &good[..good.len() / 2]).expect("a file");
    served.site["alpha"].signal("HUP");
    eventually("the sysadmin is told", PATIENCE, || {
        let warnings = served.site["alpha"].status().warnings.join("\n");
        warnings.contains("not replaced").then_some(())
    });
    std::fs::write(&served.chain, &good).expect("a file");
    assert_eq!(served.me(&token), 200);

    served.site["alpha"].stop();
    let check = served.site["alpha"].comity(&["check"]);
    assert_eq!(check.code(), 1, "{}", check.text());
    assert!(
        check.text().contains("certificate ends"),
        "{}",
        check.text()
    );
    let actions: Vec<String> = audit(&served.site["alpha"].dir)
        .into_iter()
        .map(|record| record.action)
        .filter(|action| action.starts_with("certificate"))
        .collect();
    let expected = ["loaded", "loaded", "refused"].map(|it| format!("certificate_{it}"));
    assert!(actions.starts_with(&expected), "{actions:?}");
}

#[test]
fn nobody_is_served_in_the_clear_over_a_network_and_no_node_starts_without_its_certificate() {
    let mut site = Site::of(&["alpha"]);
    let alpha = &mut site["alpha"];
    alpha.stop();
    configure(alpha, "listen = \"0.0.0.0:8065\"");
    let refused = alpha.json(&["serve"]).failed();
    assert_eq!(refused.code, "config_refused");
    assert!(refused.what.contains("in the clear"), "{}", refused.what);

    let listen = "listen = \"127.0.0.1:0\"\ncertificate = \"none.pem\"\nkey = \"none.pem\"";
    configure(alpha, listen);
    let refused = alpha.comity(&["serve"]);
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    for expected in ["http_certificate", "none.pem"] {
        assert!(refused.stderr.contains(expected), "{}", refused.stderr);
    }
}

#[test]
fn a_sysadmin_sees_a_users_devices_and_ends_the_one_that_was_lost() {
    let served = served("");
    let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
    let phone = "Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/120.0 Mobile Safari/537.36";
    let (kept, _) = served.log_in(firefox);
    let (lost, _) = served.log_in(phone);
    assert_eq!((served.me(&kept), served.me(&lost)), (200, 200));

    let sessions = || -> Vec<UserSessionInfo> {
        let alpha = &served.site["alpha"];
        alpha.json(&["user", "sessions", "alice"]).ok().objects()
    };
    let held = sessions();
    assert!(held.iter().all(|it| it.address == "127.0.0.1"), "{held:?}");
    let named = |device: &str| held.iter().find(|it| it.device == device).map(|it| &it.id);
    assert!(named("Firefox on Linux").is_some(), "{held:?}");
    let phone = named("Chrome on Android").unwrap_or_else(|| panic!("{held:?}"));

    let alpha = &served.site["alpha"];
    alpha
        .comity(&["user", "logout", "alice", "--session", phone])
        .ok();
    assert_eq!((served.me(&kept), served.me(&lost)), (200, 401));
    alpha.comity(&["user", "logout", "alice"]).ok();
    assert_eq!(served.me(&kept), 401);
    assert!(sessions().is_empty());
    served.log_in(firefox);
}

#[test]
fn whoever_asks_too_often_is_told_when_to_come_again() {
    let served = served("[http.limits]\nwrites_per_s = 1");
    let (token, _) = served.log_in("comity-test/1");
    let headers = format!("Authorization: Bearer {token}\r\n");
    let write = || {
        let preferences = json!([]);
        let path = "/api/v4/users/me/preferences";
        served.ask("PUT", path, &headers, &preferences)
    };
    let first = write();
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.header("x-ratelimit-limit"), Some("10"));
    let refused = (0..100).map(|_| write()).find(|it| it.status == 429);
    let refused = refused.expect("one too many");
    let wait: u64 = refused
        .header("retry-after")
        .and_then(|it| it.parse().ok())
        .expect("a time");
    assert!((1..=2).contains(&wait), "{refused:?}");
    // Reading is counted apart.
    assert_eq!(served.me(&token), 200);
    eventually("the next one may come", PATIENCE, || {
        (write().status == 200).then_some(())
    });
}

/// Reads until this has come.
fn await_text(line: &mut Line, wanted: &str) {
    let mut held = Vec::new();
    let mut part = [0; 4096];
    while !String::from_utf8_lossy(&held).contains(wanted) {
        let read = line.read(&mut part).expect("more");
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&held));
        held.extend_from_slice(&part[..read]);
    }
}

/// A text frame as a client sends it (RFC 6455), under a mask of zeros.
fn masked(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short text");
    assert!(length < 126);
    let head = [0x81, 0x80 | length, 0, 0, 0, 0];
    [&head, text.as_bytes()].concat()
}
