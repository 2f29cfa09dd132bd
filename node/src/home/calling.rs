//! Asking programs elsewhere, at addresses that users give: only at hosts that the operator lists,
//! without following redirects, for a bounded time and a bounded answer. So nobody can make the node
//! ask what it can reach and they cannot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::id::Id;

/// Programs that are asked at a time.
const CALLS: usize = 8;
/// How long a program may take to be reached, and for all of its answer.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);
/// The longest answer, in bytes: a few messages.
const ANSWER_BYTES: usize = 256 << 10;
/// The longest address, in bytes.
const URL_BYTES: usize = 1_024;
/// One and the same refusal is put on record this rarely.
const TOLD: Duration = Duration::from_secs(60);
/// Refusals that are remembered for that; with more, the memory begins anew.
const TOLD_KEPT: usize = 2_000;

/// Asks programs at the hosts that the operator lists.
pub struct Caller {
    /// As `host:port`, in lower case.
    hosts: BTreeSet<String>,
    client: OnceLock<Option<Client>>,
    turns: Semaphore,
    told: Mutex<BTreeMap<Id, Instant>>,
}

/// One question to a program.
pub struct Call {
    pub url: Url,
    pub question: Question,
    pub token: String,
}

/// How a program is asked.
pub enum Question {
    /// By GET, with the fields in the address.
    Query(Vec<(&'static str, String)>),
    /// By POST, as a form.
    Form(Vec<(&'static str, String)>),
    /// By POST, as JSON.
    Json(Value),
}

/// Why a program is not asked, or its answer not taken.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error(
        "'{0}' is no address of a program: it begins with http:// or https://, and names no user"
    )]
    NotAnAddress(String),
    #[error(
        "this node asks nothing at {0}: its operator lists the hosts that hooks and commands may use \
         in comity.toml, [http] hook_hosts"
    )]
    NotListed(String),
    #[error("the program does not answer: {0}")]
    Failed(String),
    #[error("the program answered with status {0}")]
    Status(u16),
    #[error("the program's answer is longer than {ANSWER_BYTES} bytes")]
    TooLong,
}

impl Caller {
    pub fn new(hosts: &[String]) -> Caller {
        Caller {
            hosts: hosts.iter().map(|host| host.to_lowercase()).collect(),
            client: OnceLock::new(),
            turns: Semaphore::new(CALLS),
            told: Mutex::default(),
        }
    }

    /// Whether any host is listed.
    pub fn has_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// An address at a host that is listed.
    pub fn admit(&self, text: &str) -> Result<Url, CallError> {
        let bad = || CallError::NotAnAddress(text.chars().take(200).collect());
        if text.len() > URL_BYTES {
            return Err(bad());
        }
        let url = Url::parse(text).map_err(|_| bad())?;
        let is_web = matches!(url.scheme(), "http" | "https");
        let is_plain = url.username().is_empty() && url.password().is_none();
        let (Some(host), Some(port), true, true) = (
            url.host_str(),
            url.port_or_known_default(),
            is_web,
            is_plain,
        ) else {
            return Err(bad());
        };
        let host = format!("{}:{port}", host.to_lowercase());
        match self.hosts.contains(&host) {
            true => Ok(url),
            false => Err(CallError::NotListed(host)),
        }
    }

    /// Asks a program. What it answers is its text, empty where it says nothing.
    pub async fn call(&self, call: Call) -> Result<String, CallError> {
        // Looked at again: nobody can forget it.
        self.admit(call.url.as_str())?;
        let failed = |error: reqwest::Error| CallError::Failed(error.without_url().to_string());
        let client = self.client.get_or_init(client).as_ref();
        let client = client.ok_or_else(|| CallError::Failed("TLS cannot be set up".into()))?;
        let mut url = call.url;
        let request = match call.question {
            Question::Query(fields) => {
                url.query_pairs_mut().extend_pairs(fields);
                client.get(url)
            }
            Question::Form(fields) => client
                .post(url)
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form(fields)),
            Question::Json(value) => client
                .post(url)
                .header(CONTENT_TYPE, "application/json")
                .body(value.to_string()),
        };
        let _turn = self.turns.acquire().await;
        let request = request
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, format!("Token {}", call.token));
        let mut response = request.send().await.map_err(failed)?;
        // A redirect is no answer either: it could lead to a host that is not listed.
        if !response.status().is_success() {
            return Err(CallError::Status(response.status().as_u16()));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES {
                return Err(CallError::TooLong);
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether a failure of this hook or command is to be put on record now: the first in a while.
    pub fn is_news(&self, of: &Id) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= TOLD_KEPT {
            told.clear();
        }
        match told.get(of) {
            Some(at) if at.elapsed() < TOLD => false,
            _ => {
                told.insert(*of, Instant::now());
                true
            }
        }
    }
}

/// Made when it is first needed; none where the machine's certificates cannot be used.
fn client() -> Option<Client> {
    // Another part of the node may have chosen it already: it is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(CONNECT)
        .timeout(ANSWER)
        .user_agent("comity")
        .build();
    if let Err(error) = &client {
        tracing::warn!(%error, "programs elsewhere cannot be asked");
    }
    client.ok()
}

/// Fields as a form has them.
fn form(fields: Vec<(&'static str, String)>) -> String {
    let Ok(mut url) = Url::parse("http://form/") else {
        return String::new();
    };
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn only_listed_hosts_are_asked() {
        let caller = Caller::new(&[
            "Bot.example:8080".into(),
            "bot.example:443".into(),
            "[::1]:9".into(),
        ]);
        for good in [
            "http://bot.example:8080/x?y=1",
            "HTTPS://BOT.example/",
            "https://bot.example:443/",
            "http://[::1]:9/",
        ] {
            assert!(caller.admit(good).is_ok(), "{good}");
        }
        for refused in [
            "http://bot.example/",
            "http://bot.example:8081/",
            "http://evil.example:8080/",
            "http://bot.example.evil.example:8080/",
            "http://127.0.0.1:8080/",
            "http://169.254.169.254/latest",
            "http://bot.example:8080.evil.example/",
            "http://evil.example:8080/@bot.example:8080/",
            "http://evil.example:8080\\@bot.example:8080/",
            "http://evil.example:8080#@bot.example:8080/",
        ] {
            let why = caller.admit(refused);
            assert!(why.is_err(), "{refused}");
        }
        for bad in [
            "",
            "bot.example:8080",
            "file:///etc/passwd",
            "gopher://bot.example:8080/",
            "http://user@bot.example:8080/",
            "http://bot.example:8080@evil.example/",
        ] {
            let why = caller.admit(bad);
            assert!(
                matches!(why, Err(CallError::NotAnAddress(_))),
                "{bad}: {why:?}"
            );
        }
        assert!(Caller::new(&[]).admit("http://bot.example:8080/").is_err());
    }

    #[test]
    fn a_form_says_what_its_fields_say() {
        let fields = vec![("text", "a & b=ü\n".to_string()), ("user", String::new())];
        assert_eq!(form(fields), "text=a+%26+b%3D%C3%BC%0A&user=");
    }

    /// A program that answers once, with these bytes.
    async fn answering(answer: Vec<u8>) -> (Caller, Url) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(&answer).await;
        });
        let caller = Caller::new(&[address.to_string()]);
        let url = caller.admit(&format!("http://{address}/")).unwrap();
        (caller, url)
    }

    async fn asked(answer: Vec<u8>) -> Result<String, CallError> {
        let (caller, url) = answering(answer).await;
        let question = Question::Form(vec![("text", "x".into())]);
        let call = Call {
            url,
            question,
            token: "t".into(),
        };
        caller.call(call).await
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed_and_an_endless_answer_not_read() {
        let good = asked(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()).await;
        assert_eq!(good.unwrap(), "hi");
        let elsewhere =
            b"HTTP/1.1 307 T\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
        let elsewhere = asked(elsewhere.to_vec()).await;
        assert!(
            matches!(elsewhere, Err(CallError::Status(307))),
            "{elsewhere:?}"
        );
        let mut endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        endless.extend(vec![b'x'; 2 * ANSWER_BYTES]);
        let endless = asked(endless).await;
        assert!(matches!(endless, Err(CallError::TooLong)), "{endless:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_refusal_is_put_on_record_now_and_then() {
        let caller = Caller::new(&[]);
        let hook = Id([1; 16]);
        assert!(caller.is_news(&hook));
        assert!(!caller.is_news(&hook));
        assert!(caller.is_news(&Id([2; 16])));
        tokio::time::advance(TOLD).await;
        assert!(caller.is_news(&hook));
    }
}
