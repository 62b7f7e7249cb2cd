//! What opens a server, read from its file: a header, or a parameter of the query. It is shown nowhere, not even by
//! `Debug`, and goes to one server only: same scheme, host and port.

use std::fmt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ureq::http::header::AUTHORIZATION;
use ureq::http::{HeaderName, HeaderValue};
use url::Url;

use super::{Auth, FetchError, path};

/// The longest secret, in bytes: what a header may be long with most servers.
const MAX_BYTES: u64 = 8 << 10;

/// A secret, and where it goes to.
#[derive(Default)]
pub(super) struct Secret {
    header: Option<(HeaderName, HeaderValue)>,
    query: Option<(String, String)>,
    /// What must be shown nowhere, in lower case.
    words: Vec<String>,
}

impl Secret {
    /// Reads it.
    pub(super) fn read(auth: Option<&Auth>) -> Result<Self, FetchError> {
        let Some(auth) = auth else { return Ok(Self::default()) };
        let (Auth::Header { file, .. } | Auth::Basic { file, .. } | Auth::Query { file, .. }) = auth;
        let text = text(file)?;
        let mut words = vec![text.to_ascii_lowercase()];
        let (mut header, mut query) = (None, None);
        match auth {
            Auth::Header { name, .. } => {
                let name = HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| FetchError::setting(name, "this is no name of a header; mend it"))?;
                // `Bearer` and the like are no secret, and may be left out by who shows the rest.
                words.extend(text.rsplit(' ').next().map(str::to_ascii_lowercase));
                header = Some((name, value(text, file)?));
            }
            Auth::Basic { user, .. } => {
                // RFC 7617 §2: a colon would end the user.
                if user.contains(':') || user.chars().any(char::is_control) {
                    return Err(FetchError::setting(user, "a user can have no colon in it; mend it"));
                }
                let encoded = BASE64_STANDARD.encode(format!("{user}:{text}"));
                words.push(encoded.to_ascii_lowercase());
                header = Some((AUTHORIZATION, value(format!("Basic {encoded}"), file)?));
            }
            Auth::Query { name, .. } => query = Some((name.clone(), text)),
        }
        Ok(Self { header, query, words })
    }

    /// The header to be sent along.
    pub(super) fn header(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.header.as_ref()
    }

    /// The address with the parameter in it.
    pub(super) fn address(&self, url: &Url) -> Url {
        let mut url = url.clone();
        url.set_fragment(None);
        if let Some((name, value)) = &self.query {
            // A server that redirects to itself may have put it there already.
            if !url.query_pairs().any(|(other, _)| other == *name) {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        url
    }

    /// Whether a text that comes from a server shows it, in whatever case.
    pub(super) fn is_in(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        self.words.iter().any(|word| text.contains(word))
    }

    /// Whether there is one.
    pub(super) fn is_some(&self) -> bool {
        !self.words.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The content of the file, without the line ends that editors put behind it.
fn text(file: &Path) -> Result<String, FetchError> {
    let what = "the secret in";
    let bytes = path::read(file, MAX_BYTES, what)?.bytes;
    let refused = |reason: &str| Err(FetchError::file(what, file, reason));
    let Ok(text) = String::from_utf8(bytes) else {
        return refused("it is no text; write the secret into it");
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return refused("it is empty; write the secret into it");
    }
    if text.chars().any(char::is_control) {
        return refused(
            "it has more than one line, or control characters; write nothing but the secret into it",
        );
    }
    Ok(text.to_owned())
}

fn value(text: String, file: &Path) -> Result<HeaderValue, FetchError> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| FetchError::file("the secret in", file, "a header cannot hold it; write it anew"))?;
    value.set_sensitive(true);
    Ok(value)
}
