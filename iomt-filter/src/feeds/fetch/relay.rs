//! Plain HTTP through a proxy, as proxies know it: the request names the whole address (RFC 9112 §3.2.2).
//!
//! The HTTP library asks every proxy for a tunnel (`CONNECT`), which most allow for port 443 alone. Here its request
//! goes to the proxy itself, with its first line changed on the way. Everything else is left to the library.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Error, Proxy};

/// How each of our requests begins.
const GET: &[u8] = b"GET ";

/// Connects to servers, and to proxies for plain HTTP.
#[derive(Debug)]
pub(super) struct Relay {
    default: DefaultConnector,
    /// What the proxy itself is connected with.
    direct: Config,
}

impl Relay {
    /// `direct` names no proxy.
    pub(super) fn new(direct: Config) -> Self {
        Self { default: DefaultConnector::new(), direct }
    }
}

impl Connector for Relay {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        let proxy = details.config.proxy().filter(|_| !details.needs_tls());
        let Some(proxy) = proxy else { return self.default.connect(details, chained) };
        let to_proxy = ConnectionDetails {
            uri: proxy.uri(),
            addrs: details.resolver.resolve(proxy.uri(), &self.direct, details.timeout)?,
            config: &self.direct,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let inner = (details.run_connector)(&to_proxy)?;
        Ok(Some(Box::new(Relayed { inner, server: server(details.uri), credentials: credentials(proxy) })))
    }
}

/// A connection to a proxy.
struct Relayed {
    inner: Box<dyn Transport>,
    /// What goes in front of the path, as in `http://list.example`.
    server: String,
    /// The header for the proxy, with its line end; empty where it wants none.
    credentials: String,
}

impl Transport for Relayed {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let request = self.inner.buffers().output().get(..amount).unwrap_or_default().to_vec();
        let Some(changed) = self.changed(&request) else {
            return self.inner.transmit_output(amount, timeout);
        };
        match self.inner.buffers().output().get_mut(..changed.len()) {
            Some(room) => room.copy_from_slice(&changed),
            None => return Err(Error::Other("the request is too long".into())),
        }
        self.inner.transmit_output(changed.len(), timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

impl Relayed {
    /// The request as the proxy wants it; `None` for what is not its beginning.
    fn changed(&self, request: &[u8]) -> Option<Vec<u8>> {
        let target = request.strip_prefix(GET)?;
        let end = target.windows(2).position(|pair| pair == b"\r\n")? + 2;
        let (line, rest) = target.split_at_checked(end)?;
        Some([GET, self.server.as_bytes(), line, self.credentials.as_bytes(), rest].concat())
    }
}

impl fmt::Debug for Relayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relayed").field("server", &self.server).finish_non_exhaustive()
    }
}

fn server(uri: &Uri) -> String {
    format!("http://{}", uri.authority().map_or("", |authority| authority.as_str()))
}

fn credentials(proxy: &Proxy) -> String {
    let Some(user) = proxy.username() else { return String::new() };
    let encoded = BASE64_STANDARD.encode(format!("{user}:{}", proxy.password().unwrap_or_default()));
    format!("Proxy-Authorization: Basic {encoded}\r\n")
}
