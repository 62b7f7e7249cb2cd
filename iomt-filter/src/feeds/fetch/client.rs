//! One request over HTTP: through a proxy where there is one, along redirects, up to a size and a time.
//!
//! A secret goes to the server that it is for, and to no other that is redirected to. What is encrypted stays so:
//! no redirect leads from `https://` to `http://`.

use std::io;
use std::time::{Duration, Instant};

use ureq::http::{HeaderMap, StatusCode, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::{Agent, Body};
use url::Url;

use super::body::{self, Coding};
use super::relay::Relay;
use super::secret::Secret;
use super::{FetchError, Server, path, proxy, shown};

/// The most redirects that are followed.
const MAX_REDIRECTS: usize = 5;
/// The largest file with certificates: the authorities of all the world fit in twice.
const MAX_CERTIFICATES: u64 = 1 << 20;
/// What we say we are.
const USER_AGENT: &str = concat!("iomt-filter/", env!("CARGO_PKG_VERSION"));
/// How much longer than one request all of a protocol's requests may take.
const REQUESTS: u32 = 10;
/// The longest time for anything.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// What requests to one server have in common.
pub(super) struct Client<'s> {
    server: &'s Server,
    agent: Agent,
    secret: Secret,
    end: Instant,
}

/// A request.
pub(super) struct Request<'r> {
    pub(super) url: &'r Url,
    /// Headers besides those that every request has.
    pub(super) headers: Vec<(header::HeaderName, String)>,
    pub(super) max_bytes: u64,
}

/// The answer to a request.
pub(super) struct Answer {
    pub(super) headers: HeaderMap,
    /// All of it; `None` where it has not changed (304).
    pub(super) bytes: Option<Vec<u8>>,
}

impl<'s> Client<'s> {
    /// Reads the secret and the certificates.
    pub(super) fn new(server: &'s Server) -> Result<Self, FetchError> {
        let secret = Secret::read(server.auth.as_ref())?;
        let roots = match &server.ca {
            None => RootCerts::PlatformVerifier,
            Some(file) => authorities(file)?,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(USER_AGENT)
            .accept_encoding("gzip")
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        let agent = Agent::with_parts(config.clone(), Relay::new(config), DefaultResolver::default());
        let end = Instant::now() + server.timeout.saturating_mul(REQUESTS).min(LONGEST);
        Ok(Self { server, agent, secret, end })
    }

    /// Asks, and reads the answer.
    pub(super) fn get(&self, request: &Request<'_>) -> Result<Answer, FetchError> {
        let by_itself = Instant::now() + self.server.timeout.min(LONGEST);
        let (end, allowed) = if by_itself <= self.end {
            (by_itself, self.server.timeout)
        } else {
            (self.end, self.server.timeout.saturating_mul(REQUESTS))
        };
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let is_ours = url.origin() == self.server.url.origin();
            let step =
                Step { client: self, url: &url, is_ours, is_redirected: url != *request.url, end, allowed };
            let response = step.ask(request)?;
            if let Some(next) = step.redirect(&response)? {
                url = next;
                continue;
            }
            return step.answer(response, request);
        }
        let reason = format!("more than {MAX_REDIRECTS} times; look up where the list is now");
        Err(FetchError::Redirect { place: shown(request.url), reason })
    }
}

/// A request to one of the addresses that a redirect leads along.
struct Step<'c> {
    client: &'c Client<'c>,
    url: &'c Url,
    /// Whether it is the server that the secret is for.
    is_ours: bool,
    /// Whether a server has led here.
    is_redirected: bool,
    end: Instant,
    /// What the time until the end was at first.
    allowed: Duration,
}

type Response = ureq::http::Response<Body>;

impl Step<'_> {
    fn place(&self) -> String {
        if self.is_redirected { self.led_to(self.url) } else { shown(self.url) }
    }

    /// An address that a server has chosen, as it may be shown: without a path, where it could have put what we sent.
    fn led_to(&self, url: &Url) -> String {
        let origin = url.origin().ascii_serialization();
        if self.client.secret.is_in(&origin) { "another server".to_owned() } else { format!("{origin}/…") }
    }

    fn ask(&self, request: &Request<'_>) -> Result<Response, FetchError> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.timeout());
        }
        let address = if self.is_ours { self.client.secret.address(self.url) } else { self.url.clone() };
        let uri: Uri = address.as_str().parse().map_err(|_| {
            FetchError::setting(&self.place(), "this address cannot be asked for; look it up again")
        })?;
        let proxy = proxy::choose(self.url, |name| std::env::var(name).ok())?;
        let config = self.client.agent.get(uri).config().timeout_global(Some(left)).proxy(proxy);
        let mut call = config.build();
        for (name, value) in &request.headers {
            call = call.header(name, value);
        }
        if let Some((name, value)) = self.client.secret.header().filter(|_| self.is_ours) {
            call = call.header(name, value);
        }
        call.call().map_err(|error| match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                FetchError::Unreachable {
                    place: self.place(),
                    reason:
                        "it ends the connection without an answer; check address and port, or try again later"
                            .to_owned(),
                }
            }
            error => self.failed(error),
        })
    }

    /// Where it leads to, where it does.
    fn redirect(&self, response: &Response) -> Result<Option<Url>, FetchError> {
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let refused = |reason: String| Err(FetchError::Redirect { place: self.place(), reason });
        let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
        let Some(Ok(mut next)) = location.map(|location| self.url.join(location)) else {
            return refused("to no address; look up where the list is now".to_owned());
        };
        next.set_fragment(None);
        if !matches!(next.scheme(), "http" | "https") || next.host().is_none() {
            return refused("to what is no web server; look up where the list is now".to_owned());
        }
        if self.url.scheme() == "https" && next.scheme() == "http" {
            return refused(format!(
                "from `https://` to `{}`, where anybody could change the list; look up where it is now",
                self.led_to(&next)
            ));
        }
        if !next.username().is_empty() || next.password().is_some() {
            let to = self.led_to(&next);
            return refused(format!("to `{to}` with a user in the address; look up where it is now"));
        }
        Ok(Some(next))
    }

    fn answer(&self, mut response: Response, request: &Request<'_>) -> Result<Answer, FetchError> {
        let status = response.status();
        let is_conditional = request
            .headers
            .iter()
            .any(|(name, _)| [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE].contains(name));
        if status == StatusCode::NOT_MODIFIED && is_conditional {
            return Ok(Answer { headers: response.headers().clone(), bytes: None });
        }
        if status != StatusCode::OK {
            return Err(self.refusal(&response));
        }
        let coding = self.coding(response.headers())?;
        let too_large = || FetchError::TooLarge { place: self.place(), max_bytes: request.max_bytes };
        let length = response.body().content_length().filter(|_| coding == Coding::Plain);
        if length.is_some_and(|length| length > request.max_bytes) {
            return Err(too_large());
        }
        let failed = |error: io::Error| self.failed(error.into());
        let bytes =
            body::read(response.body_mut().as_reader(), coding, request.max_bytes, &self.place(), failed)?;
        Ok(Answer { headers: response.headers().clone(), bytes: Some(bytes) })
    }

    fn coding(&self, headers: &HeaderMap) -> Result<Coding, FetchError> {
        let Some(value) = headers.get(header::CONTENT_ENCODING) else { return Ok(Coding::Plain) };
        match value.as_bytes().trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(Coding::Plain),
            b"gzip" | b"x-gzip" => Ok(Coding::Gzip),
            _ => {
                let reason = "it is packed in a way that was not asked for".to_owned();
                Err(FetchError::Packing { place: self.place(), reason })
            }
        }
    }

    /// What a status says that is none of success.
    fn refusal(&self, response: &Response) -> FetchError {
        let place = self.place();
        let status = response.status().as_u16();
        let retry_after = || retry_after(response.headers());
        match status {
            401 | 403 | 407 => {
                let reason = match (self.client.secret.is_some(), self.is_ours) {
                    (true, false) => {
                        "the key is for another server and is not sent along a redirect; if this is the right \
                         one, set `url` to its address"
                    }
                    _ if status == 407 => "the proxy wants a user and a password; put them into its address",
                    (true, true) => {
                        "the key is refused, or may not read this; look at the file that holds it"
                    }
                    (false, _) => "a key or a password is wanted; ask its publisher for one and configure it",
                };
                FetchError::Denied { place, status, reason: reason.to_owned() }
            }
            404 | 410 => FetchError::Missing { place, status },
            429 => FetchError::TooOften { place, retry_after: retry_after() },
            500..=599 => FetchError::Failing { place, status, retry_after: retry_after() },
            _ => FetchError::Status { place, status },
        }
    }

    fn timeout(&self) -> FetchError {
        FetchError::Timeout { place: self.place(), seconds: self.allowed.as_secs() }
    }

    /// What a failure below HTTP means. Its text is shown only where it is none of the request's.
    fn failed(&self, error: ureq::Error) -> FetchError {
        let place = self.place();
        let unreachable = |reason: String| FetchError::Unreachable { place: self.place(), reason };
        match error {
            ureq::Error::Timeout(_) => self.timeout(),
            ureq::Error::HostNotFound => {
                unreachable("its name has no address; check the name, and the host's DNS".to_owned())
            }
            ureq::Error::Rustls(error) => self.insecure(&error),
            ureq::Error::Io(error) => match tls(&error) {
                Some(error) => self.insecure(error),
                None => match error.kind() {
                    io::ErrorKind::UnexpectedEof => FetchError::Truncated { place },
                    io::ErrorKind::TimedOut => self.timeout(),
                    _ => unreachable(format!(
                        "{error}; check its name, DNS and the network, and whether a proxy is needed"
                    )),
                },
            },
            ureq::Error::ConnectProxyFailed(reason) => unreachable(format!(
                "{reason}; ask who keeps the proxy to allow it, or name the host in `NO_PROXY`"
            )),
            ureq::Error::Protocol(_) | ureq::Error::LargeResponseHeader(..) => {
                FetchError::protocol(&place, "HTTP", "what comes is no answer; check address and port")
            }
            _ => unreachable("the request cannot be made; check the address".to_owned()),
        }
    }

    fn insecure(&self, error: &rustls::Error) -> FetchError {
        let place = self.place();
        match error {
            rustls::Error::InvalidCertificate(reason) => {
                FetchError::Certificate { place, reason: reason.to_string() }
            }
            rustls::Error::General(reason) => FetchError::Certificate { place, reason: reason.clone() },
            _ => {
                let reason = format!("no secure connection: {error}; check address and port");
                FetchError::Unreachable { place, reason }
            }
        }
    }
}

/// The failure of TLS that came as one of reading or writing.
fn tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = super::plain::date(text)?;
    Some(Duration::try_from(date.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

/// The certificates in a file.
fn authorities(file: &std::path::Path) -> Result<RootCerts, FetchError> {
    const WHAT: &str = "the certificates in";
    let bytes = path::read(file, MAX_CERTIFICATES, WHAT)?.bytes;
    let mut certificates = Vec::new();
    for item in ureq::tls::parse_pem(&bytes) {
        match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => certificates.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(FetchError::file(WHAT, file, "it is damaged; write the PEM file anew")),
        }
    }
    if certificates.is_empty() {
        return Err(FetchError::file(
            WHAT,
            file,
            "there is none in it; give a PEM file with the authority's",
        ));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}
