//! Collections of a TAXII 2.1 server (OASIS TAXII 2.1 §5.4): indicators, page by page, and from the second time on
//! only those that were added since.
//!
//! What comes is merged into one STIX bundle: of each object its newest version. A revoked one stays in it for
//! [`KEPT`], so that whoever parses it takes back what it said.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use ureq::http::{HeaderMap, header};
use url::Url;

use super::client::{Client, Request};
use super::{FetchError, Fetched, Part, Resume, Server, Source, digest, shown};

/// The media type of TAXII 2.1 (§1.6.8).
const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";
/// How many objects are asked for at once; servers may send fewer.
const LIMIT: &str = "1000";
/// The most pages of one fetch.
const MAX_PAGES: usize = 2_000;
/// The most objects of a bundle.
const MAX_OBJECTS: usize = 1_000_000;
/// How long an object is kept that has ended or was revoked.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How far the clock of a server may be ahead of ours.
const CLOCKS: SignedDuration = SignedDuration::from_hours(24);
const NAME: &str = "a TAXII 2.1 server";

/// A page (§3.7).
#[derive(Deserialize)]
struct Envelope {
    more: Option<bool>,
    next: Option<String>,
    objects: Option<Vec<Box<RawValue>>>,
}

/// The bundle that was put together the last time.
#[derive(Deserialize)]
struct Kept {
    objects: Vec<Box<RawValue>>,
}

#[derive(Serialize)]
struct Bundle<'b> {
    r#type: &'static str,
    id: String,
    objects: Vec<&'b RawValue>,
}

/// What of an object matters here. Values of any kind are read: one that is wrong is the parser's to refuse, and
/// hides no newer version of it.
#[derive(Default, Deserialize)]
struct Head {
    #[serde(default)]
    id: Value,
    #[serde(default)]
    modified: Value,
    #[serde(default)]
    revoked: Value,
    #[serde(default)]
    valid_until: Value,
}

/// Fetches what was added since.
pub(super) fn fetch(
    source: &Source,
    server: &Server,
    resume: &Resume,
    previous: Option<&[u8]>,
    now: Timestamp,
) -> Result<Fetched, FetchError> {
    let objects = objects(&server.url)?;
    let client = Client::new(server)?;
    let mut bundle = Objects::default();
    // Without what came before, what was added since is not the whole.
    let before = resume.added_after.as_ref().zip(previous);
    let before = before.and_then(|(since, bytes)| Some((since, serde_json::from_slice::<Kept>(bytes).ok()?)));
    let mut since = before.map(|(since, kept)| {
        bundle.add(kept.objects);
        since.clone()
    });
    let mut pages = Pages { source, client: &client, objects: &objects, left: source.max_bytes, now };
    pages.read(&mut since, &mut bundle)?;
    bundle.forget(now);
    let place = shown(&server.url);
    let bytes = bundle.document(&server.url, source, &place)?;
    let resume = Resume { source: resume.source.clone(), added_after: since, ..Resume::default() };
    if previous == Some(bytes.as_slice()) {
        return Ok(Fetched::Unchanged { resume });
    }
    let modified = bundle.by_id.values().filter_map(|object| object.modified).max();
    Ok(Fetched::New { parts: vec![Part { name: place, bytes }], resume, modified })
}

/// The address of the objects of a collection.
fn objects(url: &Url) -> Result<Url, FetchError> {
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/objects").unwrap_or(path);
    let mut parts = path.rsplit('/');
    let is_collection = parts.next().is_some_and(|id| !id.is_empty()) && parts.next() == Some("collections");
    if !is_collection {
        let reason = "this is no collection of a TAXII server; give its address as in \
                      `https://taxii.example/api-root/collections/ID/` (`…/collections/` lists those there are)";
        return Err(FetchError::setting(&shown(url), reason));
    }
    let mut objects = url.clone();
    objects.set_path(&format!("{path}/objects/"));
    Ok(objects)
}

/// Reads pages.
struct Pages<'p> {
    source: &'p Source,
    client: &'p Client<'p>,
    objects: &'p Url,
    /// Bytes that may still come.
    left: u64,
    now: Timestamp,
}

impl Pages<'_> {
    /// Reads all that was added after `since`, and says in it what the last was.
    fn read(&mut self, since: &mut Option<String>, bundle: &mut Objects) -> Result<(), FetchError> {
        let mut last = since.clone();
        let (mut next, mut seen) = (None, BTreeSet::new());
        for _ in 0..MAX_PAGES {
            let url = self.address(since.as_deref(), next.as_deref());
            let Some((headers, page)) = self.page(&url)? else {
                *since = last;
                return Ok(());
            };
            let is_new = bundle.add(page.objects.unwrap_or_default());
            if bundle.by_id.len() > MAX_OBJECTS {
                return self
                    .refuse(format!("there are more than {MAX_OBJECTS} objects; take a smaller collection"));
            }
            // A page with one object has its date as the first alone, with some servers.
            let dates = ["x-taxii-date-added-last", "x-taxii-date-added-first"];
            for date in dates.iter().filter_map(|name| headers.get(*name)?.to_str().ok()) {
                if later(date, last.as_deref()) && !self.is_far(date) {
                    last = Some(date.to_owned());
                }
            }
            if page.more != Some(true) {
                *since = last;
                return Ok(());
            }
            let position = (page.next.clone(), if page.next.is_none() { last.clone() } else { None });
            // Some servers have one name for all pages that are left: it leads in a circle where nothing new comes.
            let is_known = !seen.insert(position.clone()) && !is_new;
            if position == (None, None) || is_known {
                return self.refuse("its pages lead in a circle; tell who runs it");
            }
            next = page.next;
            if next.is_none() {
                // Without a name for the next page, what comes after the last date is the next page.
                since.clone_from(&last);
            }
        }
        self.refuse(format!("there are more than {MAX_PAGES} pages; take a smaller collection"))
    }

    /// Whether a date lies in the future, by more than clocks differ: whoever went on from there would miss what is
    /// added until then.
    fn is_far(&self, date: &str) -> bool {
        date.parse().is_ok_and(|date: Timestamp| date.duration_since(self.now) > CLOCKS)
    }

    /// A page; nothing where the server says so by a status (416, as seen in the wild).
    fn page(&mut self, url: &Url) -> Result<Option<(HeaderMap, Envelope)>, FetchError> {
        let accept = (header::ACCEPT, MEDIA_TYPE.to_owned());
        let request = Request { url, headers: vec![accept], max_bytes: self.left };
        let answer = match self.client.get(&request) {
            Ok(answer) => answer,
            Err(FetchError::Status { status: 416, .. }) => return Ok(None),
            Err(FetchError::Status { status: 406 | 415, .. }) => {
                return self.refuse(
                    "it does not know version 2.1, as old servers do not; ask for an address that does",
                );
            }
            Err(FetchError::TooLarge { place, .. }) => {
                return Err(FetchError::TooLarge { place, max_bytes: self.source.max_bytes });
            }
            Err(error) => return Err(error),
        };
        let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        self.check(kind.unwrap_or_default())?;
        let bytes = answer.bytes.unwrap_or_default();
        self.left = self.left.saturating_sub(bytes.len() as u64);
        match serde_json::from_slice(&bytes) {
            Ok(page) => Ok(Some((answer.headers, page))),
            Err(_) => self.refuse("a page of it cannot be read; give the address of a collection"),
        }
    }

    fn check(&self, kind: &str) -> Result<(), FetchError> {
        let kind = kind.to_ascii_lowercase().replace(' ', "");
        let (name, parameters) = kind.split_once(';').unwrap_or((&kind, ""));
        match name {
            "application/taxii+json" if !parameters.contains("version=") => Ok(()),
            "application/taxii+json" if parameters.contains("version=2.1") => Ok(()),
            "application/taxii+json"
            | "application/vnd.oasis.taxii+json"
            | "application/vnd.oasis.stix+json" => {
                self.refuse("it speaks another version, such as TAXII 2.0; ask for an address with 2.1")
            }
            _ => self.refuse("what comes is no page of a collection; check its address"),
        }
    }

    fn address(&self, since: Option<&str>, next: Option<&str>) -> Url {
        let mut url = self.objects.clone();
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("match[type]", "indicator").append_pair("limit", LIMIT);
        if let Some(since) = since {
            pairs.append_pair("added_after", since);
        }
        if let Some(next) = next {
            pairs.append_pair("next", next);
        }
        drop(pairs);
        url
    }

    fn refuse<T>(&self, reason: impl Into<String>) -> Result<T, FetchError> {
        Err(FetchError::protocol(&shown(self.objects), NAME, reason))
    }
}

/// Whether one date is after the other; one that is none is after nothing.
fn later(date: &str, than: Option<&str>) -> bool {
    let time = |text: &str| text.parse::<Timestamp>().ok();
    match (time(date), than.and_then(time)) {
        (Some(date), Some(than)) => date > than,
        (date, None) => date.is_some(),
        (None, Some(_)) => false,
    }
}

/// An object of a bundle.
struct Object {
    modified: Option<Timestamp>,
    /// When it ended, or was revoked.
    end: Option<Timestamp>,
    text: Box<RawValue>,
}

/// Of each object its newest version.
#[derive(Default)]
struct Objects {
    by_id: BTreeMap<String, Object>,
}

impl Objects {
    /// Says whether any of them is new.
    fn add(&mut self, texts: Vec<Box<RawValue>>) -> bool {
        let mut is_new = false;
        for text in texts {
            let head: Head = serde_json::from_str(text.get()).unwrap_or_default();
            let time = |value: &Value| value.as_str().and_then(|text| text.parse().ok());
            let modified = time(&head.modified);
            let end = if head.revoked == Value::Bool(true) { modified } else { time(&head.valid_until) };
            // What has no name is a version of nothing.
            let id = head.id.as_str().map_or_else(|| digest(text.get().as_bytes()), str::to_owned);
            let object = Object { modified, end, text };
            match self.by_id.get(&id) {
                Some(other) if other.modified > object.modified => {}
                Some(other) if other.text.get() == object.text.get() => {}
                _ => {
                    self.by_id.insert(id, object);
                    is_new = true;
                }
            }
        }
        is_new
    }

    /// Lets go of what has ended so long ago that nobody can still go by it.
    fn forget(&mut self, now: Timestamp) {
        let is_kept = |end: Timestamp| now.duration_since(end) <= KEPT;
        self.by_id.retain(|_, object| object.end.is_none_or(is_kept));
    }

    fn document(&self, url: &Url, source: &Source, place: &str) -> Result<Vec<u8>, FetchError> {
        let objects = self.by_id.values().map(|object| &*object.text).collect();
        let bundle = Bundle { r#type: "bundle", id: identifier(url), objects };
        let bytes = serde_json::to_vec(&bundle)
            .map_err(|_| FetchError::protocol(place, NAME, "its objects cannot be written down"))?;
        if bytes.len() as u64 > source.max_bytes {
            return Err(FetchError::TooLarge { place: place.to_owned(), max_bytes: source.max_bytes });
        }
        Ok(bytes)
    }
}

/// The same for the same collection: an UUID of one's own making (RFC 9562 §5.8).
fn identifier(url: &Url) -> String {
    let digits = digest(url.as_str().as_bytes());
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!("bundle--{}-{}-8{}-8{}-{}", part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(id: u8, modified: i64) -> Box<RawValue> {
        let modified = Timestamp::from_second(modified).unwrap();
        let text = format!(r#"{{"type":"indicator","id":"indicator--{id}","modified":"{modified}"}}"#);
        RawValue::from_string(text).unwrap()
    }

    proptest! {
        #[test]
        fn the_newest_version_of_each_stays_in_whatever_order_they_come(
            mut versions in proptest::collection::vec((0_u8..6, 0_i64..1_000), 0..40), pages in 1_usize..5,
        ) {
            let mut expected: BTreeMap<String, i64> = BTreeMap::new();
            for (id, modified) in &versions {
                let newest = expected.entry(format!("indicator--{id}")).or_insert(*modified);
                *newest = (*newest).max(*modified);
            }
            for turned in [false, true] {
                if turned {
                    versions.reverse();
                }
                let mut objects = Objects::default();
                for page in versions.chunks(pages) {
                    objects.add(page.iter().map(|(id, modified)| version(*id, *modified)).collect());
                }
                let found: BTreeMap<String, i64> = objects
                    .by_id
                    .iter()
                    .map(|(id, object)| (id.clone(), object.modified.unwrap().as_second()))
                    .collect();
                prop_assert_eq!(&found, &expected);
            }
        }

        #[test]
        fn any_object_is_kept_once(id in ".{0,12}", modified in ".{0,30}", revoked: bool) {
            let object = serde_json::json!({"id": id, "modified": modified, "revoked": revoked, "valid_until": 7});
            let text = || RawValue::from_string(object.to_string()).unwrap();
            let mut objects = Objects::default();
            prop_assert!(objects.add(vec![text()]));
            prop_assert!(!objects.add(vec![text()]));
            prop_assert_eq!(objects.by_id.len(), 1);
        }
    }

    #[test]
    fn what_has_ended_is_let_go_after_a_month_and_a_newer_version_brings_it_back() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let object = |end: &str, modified: &str| {
            let text = format!(r#"{{"id":"indicator--1","modified":"{modified}","valid_until":"{end}"}}"#);
            RawValue::from_string(text).unwrap()
        };
        let mut objects = Objects::default();
        objects.add(vec![object("2026-10-30T12:00:00Z", "2026-01-01T00:00:00Z")]);
        objects.forget(now);
        assert_eq!(objects.by_id.len(), 1);
        objects.forget(now + SignedDuration::from_hours(48));
        assert!(objects.by_id.is_empty());
        objects.add(vec![object("2027-01-01T00:00:00Z", "2026-11-01T00:00:00Z")]);
        objects.forget(now + SignedDuration::from_hours(48));
        assert_eq!(objects.by_id.len(), 1);
    }
}
