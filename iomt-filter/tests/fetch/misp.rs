//! MISP feeds: what has changed is fetched, and nothing that is not what the manifest says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use iomt_filter::feeds::fetch::{FetchError, Protocol};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::server::{Server, reply};
use crate::source::{Keeper, With, failure, of};

const ONE: &str = "57c6ac4c-0001-4000-8000-000000000001";
const TWO: &str = "57c6ac4c-0002-4000-8000-000000000002";
const THREE: &str = "57c6ac4c-0003-4000-8000-000000000003";

/// The files of a feed, by path.
type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

fn event(uuid: &str, timestamp: u64, address: &str) -> Vec<u8> {
    let attribute =
        json!({"type": "ip-dst", "value": address, "to_ids": true, "category": "Network activity"});
    let event = json!({"Event": {"uuid": uuid, "info": "a test", "timestamp": timestamp.to_string(),
        "Attribute": [attribute]}});
    serde_json::to_vec_pretty(&event).unwrap()
}

fn publish(files: &Files, events: &[(&str, u64, &str)]) {
    let mut files = files.lock().unwrap();
    files.clear();
    let mut manifest = serde_json::Map::new();
    for (uuid, timestamp, address) in events {
        let bytes = event(uuid, *timestamp, address);
        let sha256: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02X}")).collect();
        let entry = json!({"info": "a test", "timestamp": timestamp.to_string(), "integrity:sha256": sha256});
        manifest.insert((*uuid).to_owned(), entry);
        files.insert(format!("/feed/{uuid}.json"), bytes);
    }
    files.insert("/feed/manifest.json".to_owned(), Value::Object(manifest).to_string().into_bytes());
}

fn serving(files: &Files) -> Server {
    let files = Arc::clone(files);
    Server::start(move |request, to| match files.lock().unwrap().get(request.path()) {
        Some(bytes) => reply(to, "200 OK", &[("Content-Type", "application/json")], bytes),
        None => reply(to, "404 No", &[], b""),
    })
}

fn identifiers(keeper: &Keeper) -> Vec<String> {
    let events = keeper.json();
    let events = events.as_array().unwrap().iter();
    events.map(|event| event["Event"]["uuid"].as_str().unwrap().to_owned()).collect()
}

fn asked(server: &Server, from: usize) -> Vec<String> {
    let names = server.requests().split_off(from).into_iter().map(|request| request.path()[6..].to_owned());
    names.collect()
}

#[test]
fn only_events_that_have_changed_are_fetched_again() {
    let files = Files::default();
    publish(&files, &[(ONE, 100, "192.0.2.1"), (TWO, 100, "192.0.2.2")]);
    let server = serving(&files);
    let source = of(Protocol::Misp, server.url("/feed"));
    let mut keeper = Keeper::default();
    assert!(keeper.fetch(&source).unwrap());
    assert_eq!(identifiers(&keeper), [ONE, TWO]);
    assert!(!keeper.fetch(&source).unwrap());
    assert_eq!(asked(&server, 3), ["manifest.json"]);

    // One is changed, one is gone, one is new; the agent was restarted in between.
    publish(&files, &[(TWO, 200, "192.0.2.99"), (THREE, 150, "192.0.2.3")]);
    let mut keeper = keeper.restarted();
    assert!(keeper.fetch(&source).unwrap());
    assert_eq!(identifiers(&keeper), [TWO, THREE]);
    assert!(keeper.text().contains("192.0.2.99") && !keeper.text().contains("192.0.2.1\""));
    assert_eq!(asked(&server, 4), ["manifest.json", &format!("{TWO}.json"), &format!("{THREE}.json")]);
}

#[test]
fn the_folder_may_be_given_by_its_manifest() {
    let files = Files::default();
    publish(&files, &[(ONE, 100, "192.0.2.1")]);
    let server = serving(&files);
    for target in ["/feed/", "/feed/manifest.json"] {
        assert!(Keeper::default().fetch(&of(Protocol::Misp, server.url(target))).unwrap());
    }
    let error = failure(&of(Protocol::Misp, server.url(&format!("/feed/{ONE}.json"))));
    assert!(matches!(error, FetchError::Setting { .. }), "{error}");
}

#[test]
fn an_event_that_is_not_what_the_manifest_says_is_refused() {
    let files = Files::default();
    let server = serving(&files);
    let source = of(Protocol::Misp, server.url("/feed"));
    let with = |name: &str, bytes: &[u8]| {
        publish(&files, &[(ONE, 100, "192.0.2.1")]);
        files.lock().unwrap().insert(format!("/feed/{name}"), bytes.to_vec());
        failure(&source)
    };
    let other = with(&format!("{ONE}.json"), &event(ONE, 100, "192.0.2.66"));
    assert!(other.to_string().contains("SHA-256"), "{other}");

    let unchecked = json!({ONE: {"timestamp": 100}}).to_string();
    for bytes in [event(TWO, 100, "192.0.2.1"), b"{}".to_vec(), b"<html>".to_vec()] {
        publish(&files, &[(ONE, 100, "192.0.2.1")]);
        files.lock().unwrap().insert("/feed/manifest.json".to_owned(), unchecked.clone().into_bytes());
        files.lock().unwrap().insert(format!("/feed/{ONE}.json"), bytes);
        let error = failure(&source);
        assert!(error.to_string().contains("is not that event"), "{error}");
    }
}

#[test]
fn a_manifest_that_cannot_be_right_is_refused() {
    let files = Files::default();
    let server = serving(&files);
    let source = of(Protocol::Misp, server.url("/feed"));
    let entry = json!({"timestamp": "100"});
    for manifest in [
        json!({"../../secrets": entry}),
        json!({"57c6ac4c-0001-4000-8000-00000000000g": entry}),
        json!({"": entry}),
        json!({ONE: {"timestamp": "yesterday"}}),
        json!({ONE: {}}),
        json!([ONE]),
        json!("manifest"),
    ] {
        files.lock().unwrap().insert("/feed/manifest.json".to_owned(), manifest.to_string().into_bytes());
        let error = failure(&source);
        assert!(matches!(error, FetchError::Protocol { .. }), "{manifest}: {error}");
    }
    assert!(server.requests().iter().all(|request| request.path() == "/feed/manifest.json"));
}

#[test]
fn the_cap_is_that_of_all_events_together() {
    let files = Files::default();
    publish(&files, &[(ONE, 100, "192.0.2.1"), (TWO, 100, "192.0.2.2")]);
    let server = serving(&files);
    let source = of(Protocol::Misp, server.url("/feed"));
    let mut keeper = Keeper::default();
    keeper.fetch(&source).unwrap();
    let error = failure(&source.max_bytes(keeper.text().len() as u64 - 1));
    assert!(matches!(error, FetchError::TooLarge { .. }), "{error}");
}
