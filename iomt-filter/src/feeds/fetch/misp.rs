//! MISP feeds: a folder on a server with `manifest.json`, which names events and says when each was last changed, and
//! a file for each event (misp-core-format, "MISP Feed Format").
//!
//! Only events that have changed are fetched; all that the manifest names are put together into one JSON array.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::client::{Client, Request};
use super::{FetchError, Fetched, Part, Resume, Server, Source, digest, shown};

const MANIFEST: &str = "manifest.json";
/// The most events of a feed.
const MAX_EVENTS: usize = 50_000;
const NAME: &str = "a MISP feed";

/// What the manifest says of an event.
#[derive(Deserialize)]
struct Entry {
    timestamp: Number,
    #[serde(rename = "integrity:sha256")]
    sha256: Option<String>,
}

/// MISP writes numbers as strings; others do not.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

/// The identifier in an event's file.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "Event")]
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    uuid: String,
}

impl Number {
    fn value(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
        }
    }
}

/// Fetches the events that have changed.
pub(super) fn fetch(
    source: &Source,
    server: &Server,
    resume: &Resume,
    previous: Option<&[u8]>,
) -> Result<Fetched, FetchError> {
    let folder = folder(&server.url)?;
    let client = Client::new(server)?;
    let place = shown(&server.url);
    let feed = Feed { source, client: &client, folder: &folder };
    let mut left = source.max_bytes;
    let manifest = feed.manifest(&mut left)?;
    let mut kept = kept(previous);
    let (mut events, mut timestamps) = (BTreeMap::new(), BTreeMap::new());
    for (uuid, entry) in manifest {
        let Some(timestamp) = entry.timestamp.value() else {
            return feed.refuse(&format!("event {uuid} has no time; tell its publisher"));
        };
        let is_known = resume.events.get(&uuid).is_some_and(|known| *known >= timestamp);
        let event = match kept.remove(&uuid).filter(|_| is_known) {
            Some(event) => event,
            None => feed.event(&uuid, entry.sha256.as_deref(), left)?,
        };
        left = match left.checked_sub(event.get().len() as u64) {
            Some(left) => left,
            None => return Err(FetchError::TooLarge { place, max_bytes: source.max_bytes }),
        };
        timestamps.insert(uuid.clone(), timestamp);
        events.insert(uuid, event);
    }
    let newest = timestamps.values().max().and_then(|seconds| i64::try_from(*seconds).ok());
    let modified = newest.and_then(|seconds| Timestamp::from_second(seconds).ok());
    let events: Vec<&RawValue> = events.values().map(|event| &**event).collect();
    let bytes = serde_json::to_vec(&events)
        .map_err(|_| FetchError::protocol(&place, NAME, "its events cannot be written down"))?;
    let resume = Resume { source: resume.source.clone(), events: timestamps, ..Resume::default() };
    if previous == Some(bytes.as_slice()) {
        return Ok(Fetched::Unchanged { resume });
    }
    Ok(Fetched::New { parts: vec![Part { name: place, bytes }], resume, modified })
}

/// The address of the folder, whether or not its manifest is given.
fn folder(url: &Url) -> Result<Url, FetchError> {
    let path = url.path();
    let path = path.strip_suffix(MANIFEST).unwrap_or(path).trim_end_matches('/');
    if path.ends_with(".json") {
        let reason = "this is one file; give the address of the folder with `manifest.json`";
        return Err(FetchError::setting(&shown(url), reason));
    }
    let mut folder = url.clone();
    folder.set_path(&format!("{path}/"));
    Ok(folder)
}

/// The events of the last time.
fn kept(previous: Option<&[u8]>) -> BTreeMap<String, Box<RawValue>> {
    let events = previous.and_then(|bytes| serde_json::from_slice::<Vec<Box<RawValue>>>(bytes).ok());
    let named = |event: Box<RawValue>| Some((identifier(&event)?, event));
    events.unwrap_or_default().into_iter().filter_map(named).collect()
}

fn identifier(event: &RawValue) -> Option<String> {
    serde_json::from_str::<File>(event.get()).ok().map(|file| file.event.uuid)
}

/// A feed that is being fetched.
struct Feed<'f> {
    source: &'f Source,
    client: &'f Client<'f>,
    folder: &'f Url,
}

impl Feed<'_> {
    fn manifest(&self, left: &mut u64) -> Result<BTreeMap<String, Entry>, FetchError> {
        let bytes = self.get(MANIFEST, *left)?;
        *left = left.saturating_sub(bytes.len() as u64);
        let Ok(manifest) = serde_json::from_slice::<BTreeMap<String, Entry>>(&bytes) else {
            return self.refuse("its `manifest.json` cannot be read; give the address of the feed's folder");
        };
        if manifest.len() > MAX_EVENTS {
            return self
                .refuse(&format!("there are more than {MAX_EVENTS} events in it; take a smaller feed"));
        }
        // Names of files come from there: anything else could lead out of the folder.
        if !manifest.keys().all(|name| is_uuid(name)) {
            return self.refuse("an event in its `manifest.json` has no UUID for a name; tell its publisher");
        }
        Ok(manifest)
    }

    fn event(&self, uuid: &str, sha256: Option<&str>, left: u64) -> Result<Box<RawValue>, FetchError> {
        let name = format!("{uuid}.json");
        let bytes = self.get(&name, left)?;
        if sha256.is_some_and(|sha256| !sha256.trim().eq_ignore_ascii_case(&digest(&bytes))) {
            return self
                .refuse(&format!("`{name}` is not what the manifest says (SHA-256); try again later"));
        }
        let event: Option<Box<RawValue>> = serde_json::from_slice(&bytes).ok();
        match event.filter(|event| identifier(event).as_deref() == Some(uuid)) {
            Some(event) => Ok(event),
            None => self.refuse(&format!("`{name}` is not that event; tell its publisher")),
        }
    }

    fn get(&self, name: &str, left: u64) -> Result<Vec<u8>, FetchError> {
        let mut url = self.folder.clone();
        url.set_path(&format!("{}{name}", self.folder.path()));
        let request = Request { url: &url, headers: Vec::new(), max_bytes: left };
        match self.client.get(&request) {
            Ok(answer) => Ok(answer.bytes.unwrap_or_default()),
            Err(FetchError::TooLarge { place, .. }) => {
                Err(FetchError::TooLarge { place, max_bytes: self.source.max_bytes })
            }
            Err(error) => Err(error),
        }
    }

    fn refuse<T>(&self, reason: &str) -> Result<T, FetchError> {
        Err(FetchError::protocol(&shown(self.folder), NAME, reason))
    }
}

/// RFC 9562 §4.
fn is_uuid(text: &str) -> bool {
    let is_dash = |place: usize| [8, 13, 18, 23].contains(&place);
    text.len() == 36
        && text.bytes().enumerate().all(
            |(place, byte)| {
                if is_dash(place) { byte == b'-' } else { byte.is_ascii_hexdigit() }
            },
        )
}
