//! TAXII servers that do not do what they should.

use std::io;
use std::time::Duration;

use iomt_filter::feeds::fetch::{FetchError, Protocol};
use serde_json::{Value, json};

use crate::server::{Request, Server, Stream, reply};
use crate::source::{Keeper, With, failure, first, of, within};

const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";

fn page(to: &mut dyn Stream, dates: &[(&str, &str)], page: &Value) -> io::Result<()> {
    let mut headers = vec![("Content-Type", MEDIA_TYPE)];
    headers.extend(dates);
    reply(to, "200 OK", &headers, page.to_string().as_bytes())
}

fn indicator(number: u32) -> Value {
    json!({"type": "indicator", "spec_version": "2.1", "pattern_type": "stix",
        "id": format!("indicator--00000000-0000-4000-8000-{number:012}"),
        "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z", "valid_from": "2026-01-01T00:00:00Z",
        "pattern": format!("[ipv4-addr:value = '192.0.2.{number}']")})
}

fn collection(server: &Server) -> iomt_filter::feeds::fetch::Source {
    of(Protocol::Taxii, server.url("/root/collections/one/"))
}

#[test]
fn addresses_that_are_no_collection_are_refused_with_what_to_do() {
    for target in ["/", "/taxii2/", "/root/", "/root/collections/", "/root/collections", "/root/objects/"] {
        let error = failure(&of(Protocol::Taxii, format!("http://localhost{target}").parse().unwrap()));
        assert!(matches!(error, FetchError::Setting { .. }), "{target}: {error}");
        assert!(error.to_string().contains("/collections/ID/"), "{error}");
    }
}

#[test]
fn an_old_server_is_told_from_one_that_is_none() {
    let server = Server::start(|request, to| {
        let kind = match request.path().split('/').nth(1).unwrap() {
            "old" => "application/vnd.oasis.taxii+json; version=2.0",
            "stix" => "application/vnd.oasis.stix+json; version=2.0",
            "next" => "application/taxii+json; version=3.0",
            "picky" => return reply(to, "406 Not Acceptable", &[], b"{}"),
            _ => "text/html",
        };
        reply(to, "200 OK", &[("Content-Type", kind)], b"{}")
    });
    for (root, word) in
        [("old", "2.0"), ("stix", "2.0"), ("next", "another version"), ("picky", "2.1"), ("web", "no page")]
    {
        let error = failure(&of(Protocol::Taxii, server.url(&format!("/{root}/collections/one"))));
        assert!(matches!(error, FetchError::Protocol { .. }), "{error}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn what_is_asked_is_what_the_standard_says() {
    let server = Server::start(|_, to| page(to, &[], &json!({})));
    first(&of(Protocol::Taxii, server.url("/root/collections/one/objects/"))).unwrap();
    let request = &server.requests()[0];
    assert_eq!(request.path(), "/root/collections/one/objects/");
    assert_eq!(request.header("accept"), Some(MEDIA_TYPE));
    assert_eq!(request.query("match[type]").as_deref(), Some("indicator"));
    assert_eq!(request.query("added_after"), None);
    assert!(request.query("limit").is_some());
}

/// Pages that never end, of a kind for each root.
fn endless(request: &Request, to: &mut dyn Stream) -> io::Result<()> {
    let next = request.query("next").unwrap_or_default();
    let number: u32 = next.parse().unwrap_or(0);
    match request.path().split('/').nth(1).unwrap() {
        "same" => page(to, &[], &json!({"more": true, "next": "here", "objects": [indicator(1)]})),
        "circle" => page(to, &[], &json!({"more": true, "next": ((number + 1) % 3).to_string()})),
        "none" => page(to, &[], &json!({"more": true, "objects": [indicator(1)]})),
        "date" => {
            let date = ("X-TAXII-Date-Added-Last", "2026-01-01T00:00:00Z");
            page(to, &[date], &json!({"more": true, "objects": [indicator(1)]}))
        }
        _ => page(to, &[], &json!({"more": true, "next": (number + 1).to_string()})),
    }
}

#[test]
fn pages_that_never_end_are_left() {
    let server = Server::start(endless);
    for root in ["same", "circle", "none", "date"] {
        let error = failure(&of(Protocol::Taxii, server.url(&format!("/{root}/collections/one/"))));
        assert!(error.to_string().contains("circle"), "{root}: {error}");
    }
    assert!(server.requests().len() < 20);
    let source = of(Protocol::Taxii, server.url("/more/collections/one/"));
    let error = within(Duration::from_secs(60), || failure(&source));
    assert!(error.to_string().contains("2000 pages"), "{error}");
}

#[test]
fn the_cap_is_that_of_all_pages_together() {
    let server = Server::start(|request, to| {
        let number: u32 = request.query("next").map_or(0, |next| next.parse().unwrap());
        let objects: Vec<Value> = (0..10).map(|item| indicator(number * 10 + item)).collect();
        page(to, &[], &json!({"more": true, "next": (number + 1).to_string(), "objects": objects}))
    });
    let error = failure(&collection(&server).max_bytes(20_000));
    assert!(matches!(error, FetchError::TooLarge { max_bytes: 20_000, .. }), "{error}");
    assert!(server.requests().len() < 12);
}

#[test]
fn a_server_that_drips_pages_is_left_in_the_end() {
    let server = Server::start(|request, to| {
        std::thread::sleep(Duration::from_millis(200));
        endless(request, to)
    });
    let source = of(Protocol::Taxii, server.url("/more/collections/one/")).timeout(Duration::from_secs(1));
    let error = within(Duration::from_secs(30), || failure(&source));
    assert!(matches!(error, FetchError::Timeout { seconds: 10, .. }), "{error}");
}

#[test]
fn pages_without_a_name_are_asked_for_by_their_date() {
    let server = Server::start(|request, to| match request.query("added_after").as_deref() {
        None => {
            let date = ("X-TAXII-Date-Added-Last", "2026-01-01T00:00:00.5Z");
            page(to, &[date], &json!({"more": true, "objects": [indicator(1)]}))
        }
        Some("2026-01-01T00:00:00.5Z") => {
            let date = ("X-TAXII-Date-Added-First", "2026-01-02T00:00:00Z");
            page(to, &[date], &json!({"more": false, "objects": [indicator(2)]}))
        }
        Some("2026-01-02T00:00:00Z") => reply(to, "416 Range Not Satisfiable", &[], b""),
        Some(other) => reply(to, &format!("500 {other}"), &[], b""),
    });
    let mut keeper = Keeper::default();
    assert!(keeper.fetch(&collection(&server)).unwrap());
    assert_eq!(keeper.json()["objects"].as_array().unwrap().len(), 2);
    assert!(!keeper.restarted().fetch(&collection(&server)).unwrap());
}

#[test]
fn a_date_far_in_the_future_makes_nothing_be_missed() {
    let server = Server::start(|request, to| {
        let number = if request.query("added_after").is_some() { 2 } else { 1 };
        let date = ("X-TAXII-Date-Added-Last", "2226-01-01T00:00:00Z");
        page(to, &[date], &json!({"objects": [indicator(number)]}))
    });
    let mut keeper = Keeper::default();
    keeper.fetch(&collection(&server)).unwrap();
    assert!(!keeper.fetch(&collection(&server)).unwrap());
    assert_eq!(server.requests()[1].query("added_after"), None);
}

#[test]
fn what_cannot_be_told_apart_is_left_to_the_parser() {
    let odd = json!([
        indicator(1),
        {"type": "indicator", "pattern": "no id"},
        {"id": 7},
        "text",
        null,
        {"type": "indicator", "id": "indicator--x", "modified": "not a time"},
    ]);
    let server = Server::start(move |_, to| page(to, &[], &json!({"objects": odd})));
    let mut keeper = Keeper::default();
    keeper.fetch(&collection(&server)).unwrap();
    assert_eq!(keeper.json()["objects"].as_array().unwrap().len(), 6);
}

#[test]
fn a_page_that_is_cut_or_no_json_changes_nothing() {
    let server = Server::start(|request, to| {
        if request.query("added_after").is_some() {
            return reply(to, "200 OK", &[("Content-Type", MEDIA_TYPE)], b"{\"objects\":[{\"id\":");
        }
        let date = ("X-TAXII-Date-Added-Last", "2026-01-01T00:00:00Z");
        page(to, &[date], &json!({"objects": [indicator(1)]}))
    });
    let mut keeper = Keeper::default();
    keeper.fetch(&collection(&server)).unwrap();
    let before = keeper.clone();
    assert!(matches!(keeper.fetch(&collection(&server)), Err(FetchError::Protocol { .. })));
    assert_eq!((keeper.content, keeper.resume), (before.content, before.resume));
}
