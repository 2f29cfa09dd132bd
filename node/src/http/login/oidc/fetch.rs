//! Requests to providers: short, over TLS, without redirects, with answers of bounded length.

use std::time::Duration;

use futures_util::future::BoxFuture;
use openidconnect::url::Url;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::redirect::Policy;

use super::config::is_loopback;

/// How long a provider may take for an answer. A session is asked about every 45 s, and has to have
/// ended 60 s after the provider was told.
const TIMEOUT: Duration = Duration::from_secs(8);
/// The longest answer of a provider, in bytes. Tokens and keys have some 10 KiB, of a user in very
/// many groups some 100 KiB.
pub const ANSWER_BYTES: usize = 256 << 10;

/// Why a provider gave no answer that can be read.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("it does not answer: {0}")]
    Failed(String),
    #[error("its answer is longer than {ANSWER_BYTES} bytes")]
    TooLong,
    #[error("it names the address '{0}', which is not HTTPS")]
    Plain(String),
    #[error("this node cannot speak TLS to anybody: {0}")]
    NoClient(String),
}

/// What sends requests to one provider.
pub struct Fetcher {
    client: Result<reqwest::Client, String>,
    /// A provider on this machine, without TLS. One that is elsewhere must not lead there.
    is_local: bool,
}

impl Fetcher {
    /// For a provider of this issuer.
    pub fn new(issuer: &str) -> Fetcher {
        // The first to do this does it for the process; they all mean the same.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .referer(false)
            .timeout(TIMEOUT)
            .user_agent("comity")
            .build();
        Fetcher {
            client: client.map_err(|error| causes(&error)),
            is_local: issuer.starts_with("http://"),
        }
    }

    /// Whether an address that the provider names is one to go to.
    pub fn admits(&self, url: &Url) -> Result<(), FetchError> {
        let is_local = self.is_local && url.scheme() == "http" && is_loopback(url);
        match url.scheme() == "https" || is_local {
            true => Ok(()),
            false => Err(FetchError::Plain(url.to_string())),
        }
    }

    /// One request and its whole answer, whatever its status.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, FetchError> {
        let address = request.uri().to_string();
        let url = Url::parse(&address).map_err(|_| FetchError::Plain(address))?;
        self.admits(&url)?;
        let client = self.client.as_ref();
        let client = client.map_err(|why| FetchError::NoClient(why.clone()))?;
        let failed = |error: reqwest::Error| FetchError::Failed(causes(&error.without_url()));
        let request = reqwest::Request::try_from(request).map_err(failed)?;
        let mut answer = client.execute(request).await.map_err(failed)?;
        let mut body = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(failed)? {
            if body.len() + part.len() > ANSWER_BYTES {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&part);
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(response)
    }
}

impl<'a> AsyncHttpClient<'a> for Fetcher {
    type Error = FetchError;
    type Future = BoxFuture<'a, Result<HttpResponse, FetchError>>;

    fn call(&'a self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

/// An error with all that it came from.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text += &format!(": {error}");
        next = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn get(address: &str) -> HttpRequest {
        let mut request = HttpRequest::new(Vec::new());
        *request.uri_mut() = address.parse().unwrap();
        request
    }

    /// A provider that gives every asker this answer.
    async fn answering(answer: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                // Whoever has read enough hangs up.
                let _ = stream.write_all(&answer).await;
            }
        });
        address
    }

    #[tokio::test]
    async fn an_answer_without_end_is_read_to_its_bound() {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
            64 * ANSWER_BYTES
        );
        let mut answer = head.into_bytes();
        answer.resize(answer.len() + 4 * ANSWER_BYTES, b'x');
        let address = answering(answer).await;
        let error = Fetcher::new(&address)
            .send(get(&address))
            .await
            .unwrap_err();
        assert!(matches!(error, FetchError::TooLong), "{error}");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_like_any_other() {
        let elsewhere = b"HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n";
        let address = answering(elsewhere.to_vec()).await;
        let answer = Fetcher::new(&address).send(get(&address)).await.unwrap();
        assert_eq!(answer.status(), 302);
    }

    #[tokio::test]
    async fn a_provider_elsewhere_leads_to_nothing_without_tls() {
        for (issuer, address) in [
            ("https://login.alpha.example", "http://127.0.0.1:1/keys"),
            ("http://127.0.0.1:1", "http://login.alpha.example/keys"),
            (
                "https://login.alpha.example",
                "ftp://login.alpha.example/keys",
            ),
        ] {
            let error = Fetcher::new(issuer).send(get(address)).await.unwrap_err();
            assert!(matches!(error, FetchError::Plain(_)), "{address}: {error}");
        }
    }
}
