//! A node's own users, over HTTP as their clients ask: one request a connection, so that what is
//! tested is the node's side alone.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tungstenite::Message;
use tungstenite::client::IntoClientRequest as _;

use crate::{Node, PATIENCE, eventually};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(30);

/// What a node answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let own = self.headers.iter().filter(|(key, _)| key == name);
        own.map(|(_, value)| value.as_str()).collect()
    }

    /// The answer, which has to be a good one.
    pub fn ok(self) -> Value {
        assert!(self.status < 300, "{}: {}", self.status, self.json());
        self.json()
    }
}

/// The users' side of a node.
#[derive(Debug, Clone, Copy)]
pub struct Api {
    address: SocketAddr,
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub struct User {
    api: Api,
    pub token: String,
    pub id: String,
}

impl Node {
    /// Lets the node serve its users from its next start on.
    pub fn serve_users(&self) -> Api {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let address = free.expect("a free port");
        let path = self.dir.join("comity.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        let text = text.replace(
            "# listen = \"127.0.0.1:8065\"",
            &format!("listen = \"{address}\""),
        );
        std::fs::write(&path, text).expect("the configuration");
        Api { address }
    }

    /// Lets users' webhooks and commands ask a program at this `host:port`, from the next start on.
    pub fn list_hook_host(&self, host: &str) {
        let path = self.dir.join("comity.toml");
        let text = std::fs::read_to_string(&path).expect("the configuration");
        let text = text.replace("hook_hosts = []", &format!("hook_hosts = [\"{host}\"]"));
        std::fs::write(&path, text).expect("the configuration");
    }

    /// Makes an account.
    pub fn add_user(&self, name: &str, password: &str) {
        let input = format!("{password}\n");
        self.comity_with_input(&["user", "add", name], input.as_bytes())
            .ok();
    }
}

impl Api {
    /// Asks with these headers; `path` begins after the host.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).expect("the node serves its users");
        stream.set_read_timeout(Some(ANSWER)).expect("a time limit");
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n",
            self.address,
            body.len()
        );
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        stream
            .write_all(request.as_bytes())
            .expect("the request goes out");
        stream.write_all(body).expect("the body goes out");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        parse(&answer)
    }

    pub fn log_in(&self, name: &str, password: &str) -> Answer {
        let body = json!({"login_id": name, "password": password}).to_string();
        self.ask("POST", "/api/v4/users/login", &[], body.as_bytes())
    }

    /// Logs in, which has to succeed.
    pub fn user(&self, name: &str, password: &str) -> User {
        let answer = self.log_in(name, password);
        let token = answer.header("token").first().map(ToString::to_string);
        let id = answer.json()["id"].as_str().map(String::from);
        match (answer.status, token, id) {
            (200, Some(token), Some(id)) => User {
                api: *self,
                token,
                id,
            },
            _ => panic!("{name} cannot log in: {} {}", answer.status, answer.json()),
        }
    }
}

impl User {
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let body = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        self.api
            .ask(method, path, &[("Authorization", &bearer)], &body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &Value::Null)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, body)
    }

    /// Sends bytes as they are.
    pub fn send(&self, path: &str, headers: &[(&str, &str)], bytes: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("Authorization", bearer.as_str())];
        all.extend(headers);
        self.api.ask("POST", path, &all, bytes)
    }

    /// Begins to send so many bytes, and hangs up after a part of them.
    pub fn send_part(&self, path: &str, announced: usize, part: &[u8]) {
        let mut stream = TcpStream::connect(self.api.address).expect("the node serves its users");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: {announced}\r\n\r\n",
            self.api.address, self.token
        );
        stream
            .write_all(head.as_bytes())
            .expect("the request goes out");
        stream.write_all(part).expect("a part of the body goes out");
        stream.flush().expect("a part of the body goes out");
    }

    /// Listens to what the node tells the user.
    pub fn listen(&self) -> Ears {
        let stream = TcpStream::connect(self.api.address).expect("the node serves its users");
        let limit = stream.set_read_timeout(Some(Duration::from_millis(200)));
        limit.expect("a limit");
        let address = format!("ws://{}/api/v4/websocket", self.api.address);
        let mut request = address.into_client_request().expect("an address");
        let bearer = format!("Bearer {}", self.token);
        let headers = request.headers_mut();
        headers.insert("Authorization", bearer.parse().expect("a token"));
        let (socket, _) = tungstenite::client(request, stream).expect("a WebSocket");
        Ears { socket }
    }

    /// The id of a channel that the user is in.
    pub fn channel(&self, name: &str) -> String {
        eventually(&format!("the channel {name} is there"), PATIENCE, || {
            let channels = self.get("/api/v4/users/me/channels").ok();
            let mut named = channels.as_array()?.iter().filter(|it| it["name"] == name);
            Some(named.next()?["id"].as_str()?.to_string())
        })
    }

    /// Writes a message, and gives the post as it was answered.
    pub fn say(&self, channel: &str, message: &str) -> Value {
        let post = json!({"channel_id": channel, "message": message});
        self.post("/api/v4/posts", &post).ok()
    }

    /// Waits until the user can read a post.
    pub fn await_post(&self, id: &str) -> Value {
        eventually("the post is there", PATIENCE, || {
            let answer = self.get(&format!("/api/v4/posts/{id}"));
            (answer.status == 200).then(|| answer.json())
        })
    }
}

/// A user's WebSocket.
pub struct Ears {
    socket: tungstenite::WebSocket<TcpStream>,
}

impl Ears {
    /// Waits for an event of a name that looks as wanted; others are passed over.
    pub fn hear(&mut self, event: &str, looks: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{event} is told"), PATIENCE, || {
            let heard = self.next()?;
            (heard["event"] == event && looks(&heard)).then_some(heard)
        })
    }

    /// What is told until nothing more has come for a moment.
    pub fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next()).collect()
    }

    fn next(&mut self) -> Option<Value> {
        match self.socket.read() {
            Ok(Message::Text(text)) => serde_json::from_str(&text).ok(),
            Ok(_) => Some(Value::Null),
            Err(tungstenite::Error::Io(_)) => None,
            Err(error) => panic!("the WebSocket is at its end: {error}"),
        }
    }

    /// Asks for something over the socket.
    pub fn act(&mut self, action: &str, data: &Value) {
        let frame = json!({"seq": 1, "action": action, "data": data}).to_string();
        self.socket.send(frame.into()).expect("a frame goes out");
    }
}

fn parse(bytes: &[u8]) -> Answer {
    let end = bytes
        .windows(4)
        .position(|it| it == b"\r\n\r\n")
        .expect("headers");
    let head = String::from_utf8_lossy(&bytes[..end]).to_string();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_string()))
        .collect();
    let is_chunked = headers
        .iter()
        .any(|it| it.0 == "transfer-encoding" && it.1 == "chunked");
    let body = &bytes[end + 4..];
    Answer {
        status: status.expect("a status"),
        headers,
        body: if is_chunked {
            unchunked(body)
        } else {
            body.to_vec()
        },
    }
}

fn unchunked(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|it| it == b"\r\n") {
        let length = std::str::from_utf8(&bytes[..end]).ok();
        let length = length.and_then(|it| usize::from_str_radix(it, 16).ok());
        let Some(length) = length.filter(|it| *it > 0) else {
            break;
        };
        body.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 4 + length..];
    }
    body
}
