//! The provider people sign in at, where one is configured: OpenID Connect Core 1.0 with the authorization code flow
//! and PKCE (RFC 7636).
//!
//! Its document and keys are fetched when somebody first signs in, and kept for an hour. What it is asked goes over
//! connections of our own, which follow no redirects. The issuer is the operator's word, as the relay is: it may be on
//! this machine or a private network. Whatever else its document names is judged as a webhook's URL is.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreIdToken, CoreIdTokenVerifier,
    CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreTokenResponse, CoreUserInfoClaims,
};
use openidconnect::{
    AccessTokenHash, AsyncHttpClient, AuthType, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, DiscoveryError, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, TokenResponse as _, UserInfoError,
};
use sonnette_core::address;
use sonnette_core::formats::cut::{Unit, cut};
use sonnette_core::message::one_line;
use sonnette_core::model::{MINUTE, Millis};
use sonnette_core::ports::{Outgoing, SendError};
use sonnette_core::secret::Secret;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;
use url::{Host, Url};

use super::guard::Guard;
use super::post::{Limits, Poster};

/// How long its document and keys are kept; when a token names a key that is not among them, they are fetched again after `FRESH`.
const KEPT: Millis = 60 * MINUTE;
const FRESH: Millis = MINUTE;
/// How long a failure to fetch them is everybody's answer, so that nobody queues up behind a provider that is away.
const AWAY: Millis = 5_000;
/// To fetch document and keys; to wait for whoever fetches them; to turn a code into an address.
const FETCH: Duration = Duration::from_secs(8);
const WAIT: Duration = Duration::from_secs(10);
const EXCHANGE: Duration = Duration::from_secs(15);
/// Codes turned into addresses at a time.
const AT_ONCE: usize = 16;
/// One request, and how much of its answer is read.
const LIMITS: Limits =
    Limits { connect: Duration::from_secs(4), total: Duration::from_secs(6), reply: 256 * 1024 };
/// Bytes repeated of what a provider says.
const SAID: usize = 100;

/// Signatures only the holder of a private key can make: never `none`, and no shared secret.
const SIGNATURES: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Which provider, and what it knows us by.
#[derive(Debug, Clone)]
pub struct ProviderSettings {
    /// As the provider spells it.
    pub issuer: IssuerUrl,
    /// What it knows us by.
    pub client_id: String,
    /// What proves that we are it; `None` for a public client, which PKCE alone protects.
    pub secret: Option<Secret>,
    /// What is asked for besides `openid`.
    pub scopes: Vec<String>,
    /// What people call it.
    pub name: String,
}

impl ProviderSettings {
    /// An issuer as it may be configured: `https`, or `http` on this machine, with no query and no fragment
    /// (OpenID Connect Discovery 1.0, section 2).
    pub fn issuer(text: &str) -> Option<IssuerUrl> {
        let issuer = IssuerUrl::new(text.to_owned()).ok()?;
        let url = issuer.url();
        let here = match url.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let fits = (url.scheme() == "https" || (url.scheme() == "http" && here))
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        fits.then_some(issuer)
    }
}

/// What of one sign-in must come back, or come back changed in one way only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Comes back with the code.
    pub state: String,
    /// Comes back in the token.
    pub nonce: String,
    /// Its SHA-256 goes out first, and itself with the code (RFC 7636): 43 to 128 letters and digits.
    pub verifier: String,
}

/// Why somebody is not signed in. Says nothing of codes, tokens and secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It does not answer, or not as a provider does.
    #[error("the provider cannot be used: {0}")]
    Away(String),
    /// It, or we, did not take the code or what came for it.
    #[error("the sign-in was refused: {0}")]
    Refused(String),
    /// It names no address.
    #[error("the provider names no e-mail address")]
    NoAddress,
    /// It does not say that it has verified this address.
    #[error("the provider has not verified the e-mail address")]
    Unverified(String),
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// When it was fetched, and what came of it.
type Known = Option<(Millis, Result<Arc<Client>, Trouble>)>;

/// The provider.
pub struct Provider {
    settings: ProviderSettings,
    redirect: RedirectUrl,
    way: Way,
    known: Mutex<Known>,
    exchanges: Semaphore,
}

impl Provider {
    /// A provider that sends people back to `redirect`. Asks it nothing yet. `guard` judges what is not the issuer's own.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(settings: ProviderSettings, redirect: Url, guard: Guard) -> io::Result<Self> {
        let own = Guard { allow_private: true, ..guard.clone() };
        let way = Way {
            issuer: settings.issuer.url().clone(),
            own: Poster::with_limits(own, LIMITS)?,
            other: Poster::with_limits(guard, LIMITS)?,
        };
        Ok(Self {
            settings,
            redirect: RedirectUrl::from_url(redirect),
            way,
            known: Mutex::default(),
            exchanges: Semaphore::new(AT_ONCE),
        })
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// Whether this is the issuer, where an answer says who gives it (RFC 9207).
    pub fn is_issuer(&self, issuer: &str) -> bool {
        self.settings.issuer.as_str() == issuer
    }

    /// Where somebody signs in.
    ///
    /// # Errors
    /// [`Trouble::Away`].
    pub async fn authorize(&self, asked: &Asked, now: Millis) -> Result<Url, Trouble> {
        let client = self.client(now, KEPT).await?;
        let (state, nonce) = (CsrfToken::new(asked.state.clone()), Nonce::new(asked.nonce.clone()));
        let verifier = PkceCodeVerifier::new(asked.verifier.clone());
        let (url, _, _) = client
            .authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce)
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
            .add_scopes(self.settings.scopes.iter().cloned().map(Scope::new))
            .url();
        Ok(url)
    }

    /// The verified address of whoever came back with this code.
    ///
    /// # Errors
    /// If there is none to be had.
    pub async fn address(&self, code: &str, asked: &Asked, now: Millis) -> Result<String, Trouble> {
        match timeout(EXCHANGE, self.exchange(code, asked, now)).await {
            Ok(found) => found,
            Err(_) => Err(Trouble::Away(format!("no answer within {} s", EXCHANGE.as_secs()))),
        }
    }

    /// Fetches its document and keys, for whoever looks whether it is there.
    ///
    /// # Errors
    /// [`Trouble::Away`].
    pub async fn reach(&self) -> Result<(), Trouble> {
        self.discover().await.map(drop)
    }

    async fn exchange(&self, code: &str, asked: &Asked, now: Millis) -> Result<String, Trouble> {
        let _permit = self.exchanges.acquire().await.map_err(|error| Trouble::Away(error.to_string()))?;
        let mut client = self.client(now, KEPT).await?;
        let request = client
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .map_err(|_| Trouble::Away("its document names no token endpoint".to_owned()))?
            .set_pkce_verifier(PkceCodeVerifier::new(asked.verifier.clone()));
        let tokens: CoreTokenResponse =
            request.request_async(&self.way).await.map_err(|error| match error {
                RequestTokenError::ServerResponse(error) => {
                    let error = error.error().to_string();
                    Trouble::Refused(format!("it says {}", cut(&one_line(&error), SAID, Unit::Bytes)))
                }
                RequestTokenError::Request(error) => Trouble::Away(error.to_string()),
                RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                    Trouble::Away("its answer to a code is none".to_owned())
                }
            })?;
        let token = tokens.id_token().ok_or_else(|| Trouble::Refused("there is no ID token".to_owned()))?;
        let nonce = Nonce::new(asked.nonce.clone());
        let mut claims = token.claims(&verifier(&client), &nonce);
        let unknown_key = matches!(
            &claims,
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey))
        );
        if unknown_key {
            // It may have new keys since.
            client = self.client(now, FRESH).await?;
            claims = token.claims(&verifier(&client), &nonce);
        }
        let claims = claims.map_err(|error| Trouble::Refused(what_is_wrong(&error).to_owned()))?;
        if let Some(expected) = claims.access_token_hash()
            && hash(&tokens, token, &verifier(&client)).as_ref() != Some(expected)
        {
            return Err(Trouble::Refused("the access token is not the ID token's".to_owned()));
        }
        let mut said = (claims.email().map(|email| email.to_string()), claims.email_verified());
        if said.0.is_none() || said.1.is_none() {
            // Many say it only where they are asked who it is (OpenID Connect Core 1.0, section 5.4).
            let subject = claims.subject().clone();
            if let Ok(request) = client.user_info(tokens.access_token().clone(), Some(subject)) {
                let info: CoreUserInfoClaims =
                    request.request_async(&self.way).await.map_err(|error| match error {
                        UserInfoError::Request(error) => Trouble::Away(error.to_string()),
                        UserInfoError::ClaimsVerification(error) => {
                            Trouble::Refused(what_is_wrong(&error).to_owned())
                        }
                        _ => Trouble::Away("it does not say who it is".to_owned()),
                    })?;
                said = (info.email().map(|email| email.to_string()), info.email_verified());
            }
        }
        let address = said.0.ok_or(Trouble::NoAddress)?;
        let address = address::check(address.trim()).map_err(|_| Trouble::NoAddress)?;
        if said.1 == Some(true) { Ok(address) } else { Err(Trouble::Unverified(address)) }
    }

    /// What is known of it, fetched if that is older than `most`. One fetches it for everybody.
    async fn client(&self, now: Millis, most: Millis) -> Result<Arc<Client>, Trouble> {
        let Ok(mut known) = timeout(WAIT, self.known.lock()).await else {
            return Err(Trouble::Away("too many wait for it".to_owned()));
        };
        match &*known {
            Some((at, Ok(client))) if now - at < most => return Ok(Arc::clone(client)),
            Some((at, Err(trouble))) if now - at < AWAY => return Err(trouble.clone()),
            _ => {}
        }
        let found = self.discover().await.map(Arc::new);
        *known = Some((now, found.clone()));
        found
    }

    async fn discover(&self) -> Result<Client, Trouble> {
        let issuer = self.settings.issuer.clone();
        let document = match timeout(FETCH, CoreProviderMetadata::discover_async(issuer, &self.way)).await {
            Ok(Ok(document)) => document,
            Ok(Err(error)) => return Err(Trouble::Away(what_was_found(&error))),
            Err(_) => return Err(Trouble::Away(format!("no answer within {} s", FETCH.as_secs()))),
        };
        let front = document.authorization_endpoint().url();
        if !self.way.is_safe(front) {
            return Err(Trouble::Away(format!("it would have people sign in at {}:", front.scheme())));
        }
        let methods = document.token_endpoint_auth_methods_supported();
        let in_body = methods.is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        });
        let secret =
            self.settings.secret.as_ref().map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let client = CoreClient::from_provider_metadata(
            document,
            ClientId::new(self.settings.client_id.clone()),
            secret,
        )
        .set_redirect_uri(self.redirect.clone())
        .set_auth_type(if in_body { AuthType::RequestBody } else { AuthType::BasicAuth });
        Ok(client)
    }
}

/// What judges an ID token: issuer, audience, expiry, nonce, and a signature by one of the provider's keys.
fn verifier(client: &Client) -> CoreIdTokenVerifier<'_> {
    client.id_token_verifier().set_allowed_algs(SIGNATURES)
}

/// The hash of the access token that came with an ID token (OpenID Connect Core 1.0, section 3.1.3.6).
fn hash(
    tokens: &CoreTokenResponse,
    token: &CoreIdToken,
    verifier: &CoreIdTokenVerifier<'_>,
) -> Option<AccessTokenHash> {
    let (algorithm, key) = (token.signing_alg().ok()?, token.signing_key(verifier).ok()?);
    AccessTokenHash::from_token(tokens.access_token(), algorithm, key).ok()
}

/// The library's own words repeat what was in the token.
fn what_is_wrong(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "the ID token has expired",
        ClaimsVerificationError::InvalidAudience(_) => "the ID token is meant for somebody else",
        ClaimsVerificationError::InvalidIssuer(_) => "the ID token is another issuer's",
        ClaimsVerificationError::InvalidNonce(_) => "the ID token belongs to another sign-in",
        ClaimsVerificationError::InvalidSubject(_) => "the user information is somebody else's",
        ClaimsVerificationError::SignatureVerification(_) => {
            "the ID token is not signed by the issuer's keys"
        }
        _ => "the ID token is none that we understand",
    }
}

fn what_was_found(error: &DiscoveryError<SendError>) -> String {
    match error {
        DiscoveryError::Request(error) => error.to_string(),
        DiscoveryError::Response(status, ..) if !status.is_success() => {
            format!("it answers {} to a question for its document or keys", status.as_u16())
        }
        DiscoveryError::Response(..) | DiscoveryError::Parse(_) => {
            "its document or keys are not JSON that we understand".to_owned()
        }
        DiscoveryError::Validation(_) => "its document names another issuer than the setting".to_owned(),
        _ => "its document cannot be fetched".to_owned(),
    }
}

/// The way to the provider.
struct Way {
    issuer: Url,
    own: Poster,
    other: Poster,
}

impl Way {
    /// Whether a URL of its document is as safe as the issuer's own.
    fn is_safe(&self, url: &Url) -> bool {
        url.scheme() == "https" || (self.issuer.scheme() == "http" && url.scheme() == "http")
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, SendError> {
        let (head, body) = request.into_parts();
        let text = head.uri.to_string();
        let url = Url::parse(&text).ok().filter(|url| self.is_safe(url));
        let Some(url) = url else {
            return Err(SendError::Forbidden("its document names a URL that is not https".to_owned()));
        };
        let poster = if url.origin() == self.issuer.origin() { &self.own } else { &self.other };
        let headers = head.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let outgoing = Outgoing { method: head.method, url: Secret::new(text), headers, body: body.into() };
        let traced = poster.trace(&outgoing).await;
        let reply = traced.outcome?;
        let mut response = HttpResponse::new(reply.body.to_vec());
        *response.status_mut() = http::StatusCode::from_u16(reply.status)
            .map_err(|_| SendError::Network("the reply is not HTTP".to_owned()))?;
        *response.headers_mut() = traced.headers;
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Way {
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, SendError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_https_or_on_this_machine() {
        for fits in [
            "https://id.example.org",
            "https://10.0.0.1/realms/x",
            "http://127.0.0.1:3000",
            "http://localhost:1/a",
            "http://[::1]:8080",
        ] {
            assert_eq!(ProviderSettings::issuer(fits).unwrap().as_str(), fits);
        }
        for wrong in [
            "http://id.example.org",
            "http://10.0.0.1",
            "ftp://localhost",
            "https://id.example.org/?a=b",
            "https://id.example.org/#a",
            "https://a:b@id.example.org",
            "id.example.org",
            "",
        ] {
            assert!(ProviderSettings::issuer(wrong).is_none(), "{wrong}");
        }
    }
}
