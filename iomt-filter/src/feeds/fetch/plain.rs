//! A list behind an address, asked for only where it has changed since (RFC 9110 §13).

use jiff::Timestamp;
use ureq::http::{HeaderMap, header};

use super::client::{Client, Request};
use super::{FetchError, Fetched, Part, Resume, Server, Source, body, digest, shown, signature};

/// The longest `ETag` that is kept, in bytes.
const MAX_VALIDATOR: usize = 1 << 10;

/// Fetches it.
pub(super) fn fetch(source: &Source, server: &Server, resume: &Resume) -> Result<Fetched, FetchError> {
    let client = Client::new(server)?;
    let etag = resume.etag.iter().map(|etag| (header::IF_NONE_MATCH, etag.clone()));
    let since = resume.last_modified.iter().map(|since| (header::IF_MODIFIED_SINCE, since.clone()));
    let request =
        Request { url: &server.url, headers: etag.chain(since).collect(), max_bytes: source.max_bytes };
    let answer = client.get(&request)?;
    let Some(bytes) = answer.bytes else { return Ok(Fetched::Unchanged { resume: resume.clone() }) };
    if let Some(signature) = &source.signature {
        signature::check_answer(signature, &client, &server.url, &bytes)?;
    }
    let name = shown(&server.url);
    let kept = Resume {
        source: resume.source.clone(),
        etag: validator(&answer.headers, header::ETAG),
        last_modified: validator(&answer.headers, header::LAST_MODIFIED),
        digest: Some(digest(&bytes)),
        ..Resume::default()
    };
    if kept.digest == resume.digest {
        return Ok(Fetched::Unchanged { resume: kept });
    }
    let modified = kept.last_modified.as_deref().and_then(date);
    let bytes = body::unpack(bytes, source.max_bytes, &name)?;
    Ok(Fetched::New { parts: vec![Part { name, bytes }], resume: kept, modified })
}

fn validator(headers: &HeaderMap, name: header::HeaderName) -> Option<String> {
    let text = headers.get(name)?.to_str().ok()?;
    (!text.is_empty() && text.len() <= MAX_VALIDATOR).then(|| text.to_owned())
}

/// RFC 9110 §5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}
