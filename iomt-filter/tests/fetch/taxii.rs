//! A collection of a real TAXII 2.1 server: medallion, by OASIS, which wrote the standard.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use iomt_filter::feeds::fetch::{FetchError, Protocol, Source};
use serde_json::{Value, json};
use url::Url;

use crate::source::{Keeper, SecretFile, With, failure, of};
use crate::tools::{self, Running};

const COLLECTION: &str = "91a7b528-80eb-42ed-a74d-c6fbd5a26116";
const CLOSED: &str = "52892447-4d7e-4f70-b94d-d7f22742ff63";
const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";
const PASSWORD: &str = "geheim";

/// Medallion, with one collection that can be read, and pages of three objects.
struct Medallion {
    _process: Running,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Medallion {
    fn start() -> Option<Self> {
        let python = tools::medallion()?;
        let folder = tempfile::tempdir().unwrap();
        let collection = |id: &str, can_read: bool| {
            json!({"id": id, "title": id, "can_read": can_read, "can_write": true, "objects": [], "manifest": [],
                "media_types": ["application/stix+json;version=2.1"]})
        };
        let data = json!({
            "/discovery": {"title": "a test", "default": "http://localhost/api/", "api_roots": ["http://localhost/api/"]},
            "api": {
                "information": {"title": "a test", "versions": [MEDIA_TYPE], "max_content_length": 9_765_625},
                "status": [],
                "collections": [collection(COLLECTION, true), collection(CLOSED, false)],
            },
        });
        let backend = json!({"module": "medallion.backends.memory_backend", "module_class": "MemoryBackend",
            "filename": folder.path().join("data.json")});
        let configuration =
            json!({"backend": backend, "users": {"nurse": PASSWORD}, "taxii": {"max_page_size": 3}});
        fs::write(folder.path().join("data.json"), data.to_string()).unwrap();
        fs::write(folder.path().join("configuration.json"), configuration.to_string()).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fetch/taxii.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder.path().join("configuration.json")).stderr(Stdio::null());
        let (process, port) = tools::start(&mut command);
        let port = port.parse().expect("medallion runs");
        Some(Self { _process: process, _folder: folder, port })
    }

    fn url(&self, path: &str) -> Url {
        format!("http://127.0.0.1:{}/api/{path}", self.port).parse().unwrap()
    }

    fn collection(&self, id: &str, password: &SecretFile) -> Source {
        of(Protocol::Taxii, self.url(&format!("collections/{id}/"))).auth(password.basic("nurse"))
    }

    /// Adds objects to the collection.
    fn add(&self, objects: &[Value]) {
        let authorization = {
            use base64::Engine;
            base64::prelude::BASE64_STANDARD.encode(format!("nurse:{PASSWORD}"))
        };
        let url = self.url(&format!("collections/{COLLECTION}/objects/"));
        let response = ureq::post(url.as_str())
            .config()
            .proxy(None)
            .build()
            .header("Authorization", format!("Basic {authorization}"))
            .header("Accept", MEDIA_TYPE)
            .header("Content-Type", MEDIA_TYPE)
            .send(json!({"objects": objects}).to_string())
            .unwrap();
        assert_eq!(response.status(), 202);
    }
}

fn indicator(number: u32, modified: &str, more: Value) -> Value {
    let mut object = json!({"type": "indicator", "spec_version": "2.1", "pattern_type": "stix",
        "id": format!("indicator--00000000-0000-4000-8000-{number:012}"),
        "created": "2026-01-01T00:00:00.000Z", "modified": modified, "valid_from": "2026-01-01T00:00:00Z",
        "pattern": format!("[ipv4-addr:value = '192.0.2.{number}']")});
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

fn objects(keeper: &Keeper) -> Vec<Value> {
    let bundle = keeper.json();
    assert_eq!(bundle["type"], "bundle");
    assert!(bundle["id"].as_str().unwrap().starts_with("bundle--"));
    bundle["objects"].as_array().unwrap().clone()
}

#[test]
fn a_collection_is_read_page_by_page_and_then_only_what_was_added() {
    let Some(server) = Medallion::start() else { return };
    let password = SecretFile::new(PASSWORD);
    let source = server.collection(COLLECTION, &password);
    let mut keeper = Keeper::default();
    assert!(keeper.fetch(&source).unwrap(), "an empty bundle is one too");
    assert_eq!(objects(&keeper).len(), 0);

    let first = "2026-01-01T00:00:00.000Z";
    let mut added: Vec<Value> = (1..=8).map(|number| indicator(number, first, json!({}))).collect();
    added.push(json!({"type": "malware", "spec_version": "2.1", "is_family": false, "name": "x",
        "id": "malware--00000000-0000-4000-8000-000000000001", "created": first, "modified": first}));
    server.add(&added);
    assert!(keeper.fetch(&source).unwrap());
    assert_eq!(objects(&keeper).len(), 8, "three pages of indicators");
    assert!(!keeper.fetch(&source).unwrap());

    // A new version, a revoked one and one more, while the agent is started anew.
    std::thread::sleep(Duration::from_millis(10));
    let later = "2026-11-01T00:00:00.000Z";
    server.add(&[
        indicator(1, later, json!({"confidence": 85})),
        indicator(2, later, json!({"revoked": true})),
        indicator(9, later, json!({"valid_until": "2027-01-01T00:00:00Z"})),
    ]);
    let mut keeper = keeper.restarted();
    assert!(keeper.fetch(&source).unwrap());
    let found = objects(&keeper);
    assert_eq!(found.len(), 9);
    assert_eq!((&found[0]["confidence"], &found[1]["revoked"]), (&json!(85), &json!(true)));
    assert!(!keeper.fetch(&source).unwrap());

    // One object is a page of its own.
    std::thread::sleep(Duration::from_millis(10));
    server.add(&[indicator(10, later, json!({}))]);
    assert!(keeper.fetch(&source).unwrap());
    assert!(!keeper.fetch(&source).unwrap());
    assert_eq!(objects(&keeper).len(), 10);

    // What was revoked or has ended is let go, but not at once.
    let after =
        |days: i64| later.parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_hours(days * 24);
    assert!(!keeper.fetch_at(&source, after(29)).unwrap());
    assert!(keeper.fetch_at(&source, after(31)).unwrap());
    assert_eq!(objects(&keeper).len(), 9);
    assert!(keeper.fetch_at(&source, after(100)).unwrap());
    assert_eq!(objects(&keeper).len(), 8);

    // Whoever has lost the content gets all of it again.
    let mut anew = Keeper { content: None, ..keeper.clone() };
    assert!(anew.fetch(&source).unwrap());
    assert_eq!(objects(&anew).len(), 10);
}

#[test]
fn who_may_not_read_a_collection_is_told_so() {
    let Some(server) = Medallion::start() else { return };
    let (right, wrong) = (SecretFile::new(PASSWORD), SecretFile::new("falsch"));
    for (source, status) in [
        (server.collection(COLLECTION, &wrong), 401),
        (of(Protocol::Taxii, server.url(&format!("collections/{COLLECTION}/"))), 401),
        (server.collection(CLOSED, &right), 403),
    ] {
        let error = failure(&source);
        assert!(matches!(error, FetchError::Denied { status: found, .. } if found == status), "{error}");
    }
    let error = failure(&server.collection("00000000-0000-4000-8000-000000000000", &right));
    assert!(matches!(error, FetchError::Missing { .. }), "{error}");
}
