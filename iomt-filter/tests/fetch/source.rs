//! Sources of a test, and what comes of them.

use std::path::Path;
use std::time::{Duration, Instant};

use iomt_filter::feeds::fetch::{
    Auth, FetchError, Fetched, Origin, Protocol, Resume, Server, Signature, Source, fetch,
};
use jiff::Timestamp;
use url::Url;

/// The moment of every fetch, unless a test says otherwise.
pub(crate) const NOW: &str = "2026-11-28T12:00:00Z";

/// A file in which a secret stands.
pub(crate) struct SecretFile(pub(crate) tempfile::NamedTempFile);

impl SecretFile {
    pub(crate) fn new(secret: &str) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("{secret}\n")).unwrap();
        Self(file)
    }

    pub(crate) fn header(&self, name: &str) -> Auth {
        Auth::Header { name: name.to_owned(), file: self.0.path().to_owned() }
    }

    pub(crate) fn basic(&self, user: &str) -> Auth {
        Auth::Basic { user: user.to_owned(), file: self.0.path().to_owned() }
    }

    pub(crate) fn query(&self, name: &str) -> Auth {
        Auth::Query { name: name.to_owned(), file: self.0.path().to_owned() }
    }
}

/// A source on a server, with room and time enough.
pub(crate) fn of(protocol: Protocol, url: Url) -> Source {
    let timeout = Duration::from_secs(30);
    let server = Server { protocol, url, auth: None, ca: None, timeout };
    Source { origin: Origin::Server(server), max_bytes: 16 << 20, signature: None }
}

/// A list over HTTP.
pub(crate) fn list(url: Url) -> Source {
    of(Protocol::Http, url)
}

/// A file or a folder.
pub(crate) fn path(path: &Path) -> Source {
    Source { origin: Origin::Path(path.to_owned()), max_bytes: 16 << 20, signature: None }
}

/// Changes to a source, to be written one after the other.
pub(crate) trait With {
    fn auth(self, auth: Auth) -> Self;
    fn ca(self, file: &Path) -> Self;
    fn timeout(self, timeout: Duration) -> Self;
    fn max_bytes(self, max_bytes: u64) -> Self;
    fn signed(self, key: &Path, url: Option<Url>) -> Self;
}

fn server(source: &mut Source) -> &mut Server {
    match &mut source.origin {
        Origin::Server(server) => server,
        Origin::Path(_) => panic!("a file has no server"),
    }
}

impl With for Source {
    fn auth(mut self, auth: Auth) -> Self {
        server(&mut self).auth = Some(auth);
        self
    }

    fn ca(mut self, file: &Path) -> Self {
        server(&mut self).ca = Some(file.to_owned());
        self
    }

    fn timeout(mut self, timeout: Duration) -> Self {
        server(&mut self).timeout = timeout;
        self
    }

    fn max_bytes(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    fn signed(mut self, key: &Path, url: Option<Url>) -> Self {
        self.signature = Some(Signature { key: key.to_owned(), url });
        self
    }
}

/// Fetches for the first time.
pub(crate) fn first(source: &Source) -> Result<Fetched, FetchError> {
    fetch(source, &Resume::default(), None, NOW.parse().unwrap())
}

/// The first time fails, and how.
pub(crate) fn failure(source: &Source) -> FetchError {
    first(source).expect_err("nothing could be fetched here")
}

/// A feed as a caller keeps it from fetch to fetch.
#[derive(Clone, Default)]
pub(crate) struct Keeper {
    pub(crate) resume: Resume,
    pub(crate) content: Option<Vec<u8>>,
}

impl Keeper {
    /// Fetches, keeps what is new, and says whether anything was.
    pub(crate) fn fetch(&mut self, source: &Source) -> Result<bool, FetchError> {
        self.fetch_at(source, NOW.parse().unwrap())
    }

    pub(crate) fn fetch_at(&mut self, source: &Source, now: Timestamp) -> Result<bool, FetchError> {
        match fetch(source, &self.resume, self.content.as_deref(), now)? {
            Fetched::Unchanged { resume } => {
                self.resume = resume;
                Ok(false)
            }
            Fetched::New { parts, resume, .. } => {
                self.resume = resume;
                self.content = Some(parts.into_iter().flat_map(|part| part.bytes).collect());
                Ok(true)
            }
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.content.as_deref().unwrap()).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(self.text()).unwrap()
    }

    /// What is kept in a file while the process ends and another begins.
    pub(crate) fn restarted(&self) -> Self {
        let resume = serde_json::from_str(&serde_json::to_string(&self.resume).unwrap()).unwrap();
        Self { resume, content: self.content.clone() }
    }
}

/// The only part of a new list, as text.
pub(crate) fn text(fetched: Result<Fetched, FetchError>) -> String {
    match fetched.unwrap() {
        Fetched::New { parts, .. } => {
            assert_eq!(parts.len(), 1);
            String::from_utf8(parts.into_iter().next().unwrap().bytes).unwrap()
        }
        Fetched::Unchanged { .. } => panic!("nothing is new"),
    }
}

/// Does something that must be over by then.
pub(crate) fn within<T>(limit: Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    let taken = start.elapsed();
    assert!(taken < limit, "it took {taken:?}");
    result
}
