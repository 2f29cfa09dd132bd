//! One provider: where it answers and which keys it has, as it publishes them, and what it is asked.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openidconnect::core::{
    CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreJsonWebKeySet,
    CoreProviderMetadata, CoreRequestTokenError, CoreResponseType, CoreTokenResponse,
};
use openidconnect::http::header::{ACCEPT, AUTHORIZATION};
use openidconnect::http::{HeaderValue, StatusCode};
use openidconnect::{
    AuthType, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret, CsrfToken,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, IssuerUrl, Nonce,
    OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, TokenResponse as _,
};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;

use super::claims;
use super::config::{OidcConfig, SecretError, secret};
use super::fetch::{FetchError, Fetcher, causes};
use super::pending::Begun;
use super::token::{self, Expected, Said, TokenError, told};

/// For how long what a provider publishes is taken as it was read.
const FRESH: Duration = Duration::from_secs(3600);
/// For how long it is taken so where it cannot be read again.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// How often it is read at most: when it failed, and when a token names a key that is not among
/// those known. Anybody can make such a token.
const READ_EVERY: Duration = Duration::from_secs(10);
/// Questions to one provider at a time. With 100 ms each that is 14,000 sessions in 45 s.
const QUESTIONS: usize = 32;

/// Why a provider does not vouch for somebody.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// It could not be asked, which says nothing of the user.
    #[error("the provider cannot be asked: {0}")]
    Unreachable(String),
    #[error("the provider refuses: {0}")]
    Refused(String),
    #[error("what the provider's token says is not believed: {0}")]
    Token(#[from] TokenError),
    #[error("this node cannot read its secret for the provider: {0}")]
    Secret(#[from] SecretError),
}

/// What a provider says of somebody.
#[derive(Debug, Clone)]
pub struct Vouched {
    pub said: Said,
    /// What it can be asked with again.
    pub refresh: Option<String>,
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A question for tokens. It is boxed for the compiler: what it borrows is of no matter to who waits.
type Asked<'a> = BoxFuture<'a, Result<CoreTokenResponse, CoreRequestTokenError<FetchError>>>;

/// A provider, as the configuration names it.
pub struct Provider {
    pub config: OidcConfig,
    /// The node's directory, where a relative path of the secret begins.
    dir: PathBuf,
    redirect: RedirectUrl,
    fetcher: Fetcher,
    published: Mutex<Published>,
    questions: Semaphore,
}

/// What a provider publishes, as it was read last.
#[derive(Default)]
struct Published {
    read: Option<(Instant, Arc<CoreProviderMetadata>)>,
    /// When it was tried last, and why that failed.
    tried: Option<Instant>,
    failed: String,
}

impl Provider {
    /// The provider whose browsers come back to this address.
    pub fn new(config: OidcConfig, dir: PathBuf, redirect: RedirectUrl) -> Provider {
        Provider {
            fetcher: Fetcher::new(&config.issuer),
            config,
            dir,
            redirect,
            published: Mutex::default(),
            questions: Semaphore::new(QUESTIONS),
        }
    }

    /// Whether this node's secret can be read now.
    pub fn secret(&self) -> Result<String, SecretError> {
        secret(&self.dir, &self.config.secret)
    }

    /// The address that a browser is sent to.
    pub async fn address(&self, state: &str, begun: &Begun) -> Result<String, ProviderError> {
        let published = self.published(FRESH).await?;
        let (state, nonce) = (state.to_string(), begun.nonce.clone());
        let verifier = PkceCodeVerifier::new(begun.verifier.clone());
        let client = self.client(&published, None);
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || CsrfToken::new(state),
                move || Nonce::new(nonce),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        for scope in self.config.scopes.iter().filter(|it| *it != "openid") {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        if let Some(prompt) = &self.config.prompt {
            request = request.add_extra_param("prompt", prompt.clone());
        }
        let (url, ..) = request.url();
        self.fetcher.admits(&url).map_err(unreachable)?;
        Ok(url.into())
    }

    /// What the provider says of whoever came back with this code.
    pub async fn exchange(
        &self,
        code: &str,
        begun: &Begun,
        now_ms: u64,
    ) -> Result<Vouched, ProviderError> {
        let _turn = self.questions.acquire().await;
        let published = self.published(FRESH).await?;
        let client = self.client(&published, Some(self.secret()?));
        let request = client
            .exchange_code(AuthorizationCode::new(code.into()))
            .map_err(|error| ProviderError::Unreachable(error.to_string()))?
            .set_pkce_verifier(PkceCodeVerifier::new(begun.verifier.clone()));
        let answer: Asked<'_> = Box::pin(request.request_async(&self.fetcher));
        let answer = answer.await.map_err(of_request)?;
        let raw = answer.id_token().map(ToString::to_string);
        let raw = raw.ok_or(TokenError::Missing)?;
        let said = self.id_token(&raw, Some(&begun.nonce), now_ms).await?;
        self.completed(&published, said, &answer).await
    }

    /// What the provider says now of somebody that it vouched for before. Where it says nothing new,
    /// it only says that the user is the same.
    pub async fn ask_again(
        &self,
        refresh: &str,
        subject: &str,
        now_ms: u64,
    ) -> Result<Vouched, ProviderError> {
        let _turn = self.questions.acquire().await;
        let published = self.published(FRESH).await?;
        let client = self.client(&published, Some(self.secret()?));
        let refresh = RefreshToken::new(refresh.into());
        let request = client
            .exchange_refresh_token(&refresh)
            .map_err(|error| ProviderError::Unreachable(error.to_string()))?;
        let answer: Asked<'_> = Box::pin(request.request_async(&self.fetcher));
        let answer = answer.await.map_err(of_request)?;
        let said = match answer.id_token().map(ToString::to_string) {
            Some(raw) => self.id_token(&raw, None, now_ms).await?,
            None => Said::from_iter([("sub".to_string(), subject.into())]),
        };
        if said.get("sub").is_none_or(|it| it != subject) {
            return Err(TokenError::Subject.into());
        }
        self.completed(&published, said, &answer).await
    }

    /// Which sessions a token of the provider ends.
    pub async fn logout_token(
        &self,
        raw: &str,
        now_ms: u64,
    ) -> Result<token::Logout, ProviderError> {
        self.with_keys(|keys| token::logout_token(raw, keys, self.expected(now_ms)))
            .await
    }

    async fn id_token(
        &self,
        raw: &str,
        nonce: Option<&str>,
        now_ms: u64,
    ) -> Result<Said, ProviderError> {
        self.with_keys(|keys| token::id_token(raw, keys, self.expected(now_ms), nonce))
            .await
    }

    fn expected(&self, now_ms: u64) -> Expected<'_> {
        Expected {
            issuer: &self.config.issuer,
            client: &self.config.client_id,
            now_ms,
        }
    }

    /// Checks something with the provider's keys, and with those that it has published since if it
    /// names another.
    async fn with_keys<T>(
        &self,
        check: impl Fn(&CoreJsonWebKeySet) -> Result<T, TokenError>,
    ) -> Result<T, ProviderError> {
        match check(self.published(FRESH).await?.jwks()) {
            Err(TokenError::UnknownKey) => Ok(check(self.published(READ_EVERY).await?.jwks())?),
            checked => Ok(checked?),
        }
    }

    /// What was said with what the provider tells of its users beside it, if something is missing.
    async fn completed(
        &self,
        published: &CoreProviderMetadata,
        mut said: Said,
        answer: &CoreTokenResponse,
    ) -> Result<Vouched, ProviderError> {
        if let Some(address) = published.userinfo_endpoint()
            && !claims::is_complete(&self.config, &said)
        {
            let token = answer.access_token().secret();
            let more = self.user_info(address.as_str(), token).await?;
            // Somebody may have been put in the place of another (OpenID Connect Core, section 5.3.2).
            if more.get("sub") != said.get("sub") {
                return Err(TokenError::Subject.into());
            }
            for (name, value) in more {
                said.entry(name).or_insert(value);
            }
        }
        let refresh = answer.refresh_token().map(|it| it.secret().clone());
        Ok(Vouched { said, refresh })
    }

    async fn user_info(&self, address: &str, token: &str) -> Result<Said, ProviderError> {
        let failed = |why: &str| ProviderError::Unreachable(format!("its userinfo: {why}"));
        let mut request = HttpRequest::new(Vec::new());
        *request.uri_mut() = address.parse().map_err(|_| failed("no address"))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
        let bearer = bearer.map_err(|_| failed("a token that no request can bear"))?;
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answer = self.fetcher.send(request).await.map_err(unreachable)?;
        if answer.status() != StatusCode::OK {
            return Err(failed(&format!("status {}", answer.status().as_u16())));
        }
        let said = serde_json::from_slice(answer.body());
        said.map_err(|_| failed("no JSON object; signed answers are not read"))
    }

    fn client(&self, published: &CoreProviderMetadata, secret: Option<String>) -> Client {
        let id = ClientId::new(self.config.client_id.clone());
        let secret = secret.map(ClientSecret::new);
        let methods = published.token_endpoint_auth_methods_supported();
        let takes = |method| methods.is_none_or(|all| all.contains(&method));
        let by_body = !takes(CoreClientAuthMethod::ClientSecretBasic)
            && takes(CoreClientAuthMethod::ClientSecretPost);
        let client = CoreClient::from_provider_metadata(published.clone(), id, secret)
            .set_redirect_uri(self.redirect.clone());
        match by_body {
            true => client.set_auth_type(AuthType::RequestBody),
            false => client,
        }
    }

    /// What the provider publishes, not older than `age` if it can be read. One reads, others wait.
    async fn published(&self, age: Duration) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        let mut published = self.published.lock().await;
        if let Some(read) = published.younger_than(age) {
            return Ok(read);
        }
        if published.tried.is_some_and(|it| it.elapsed() < READ_EVERY) {
            return published.last();
        }
        published.tried = Some(Instant::now());
        published.failed = "the last request was given up".into();
        match self.read().await {
            Ok(read) => {
                published.read = Some((Instant::now(), Arc::new(read)));
                published.tried = None;
            }
            Err(why) => published.failed = why,
        }
        published.last()
    }

    fn read(&self) -> BoxFuture<'_, Result<CoreProviderMetadata, String>> {
        Box::pin(self.read_now())
    }

    async fn read_now(&self) -> Result<CoreProviderMetadata, String> {
        let issuer = IssuerUrl::new(self.config.issuer.clone());
        let issuer = issuer.map_err(|error| error.to_string())?;
        let read = CoreProviderMetadata::discover_async(issuer, &self.fetcher);
        read.await.map_err(|error| told(&causes(&error)))
    }
}

impl Published {
    fn younger_than(&self, age: Duration) -> Option<Arc<CoreProviderMetadata>> {
        let (at, read) = self.read.as_ref()?;
        (at.elapsed() < age).then(|| read.clone())
    }

    fn last(&self) -> Result<Arc<CoreProviderMetadata>, ProviderError> {
        let failed = || ProviderError::Unreachable(self.failed.clone());
        self.younger_than(OLDEST).ok_or_else(failed)
    }
}

fn unreachable(error: FetchError) -> ProviderError {
    ProviderError::Unreachable(told(&error.to_string()))
}

/// What a failed request for tokens means: only some answers are about the user.
fn of_request(error: CoreRequestTokenError<FetchError>) -> ProviderError {
    match error {
        RequestTokenError::ServerResponse(answer) => {
            let why = told(&answer.to_string());
            let is_of_user = match answer.error() {
                CoreErrorResponseType::InvalidGrant => true,
                CoreErrorResponseType::Extension(other) => other == "interaction_required",
                _ => false,
            };
            match is_of_user {
                true => ProviderError::Refused(why),
                false => ProviderError::Unreachable(format!("it does not take this client: {why}")),
            }
        }
        RequestTokenError::Request(error) => unreachable(error),
        RequestTokenError::Parse(error, _) => {
            ProviderError::Unreachable(format!("it answers no tokens: {}", told(&causes(&error))))
        }
        RequestTokenError::Other(why) => ProviderError::Unreachable(told(&why)),
    }
}
