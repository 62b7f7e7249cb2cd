//! Plans without an agent, of files and of what is kept.

use std::fs;
use std::net::IpAddr;

use iomt_filter::agent;
use iomt_filter::contacts::{Contacts, Direction, Opening, Reading, Seen};
use iomt_filter::diagnostic::SourceFile;
use iomt_filter::intent::{Given, Overrides};
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::packet::protocol;
use jiff::{SignedDuration, Timestamp};

use crate::site::{POLICY, Site, messages, only};

/// Keeps a contact of now in the state folder.
fn keep(site: &Site, device: &str, peer: &str, port: u16) {
    let contacts = Contacts::open(&site.path("state/history.db")).unwrap();
    let address = |text: &str| text.parse::<IpAddr>().unwrap().into();
    let key = FlowKey {
        source: address("10.10.0.11"),
        destination: address(peer),
        source_port: 49_152,
        destination_port: port,
        protocol: protocol::TCP,
        ..FlowKey::default()
    };
    let seen = Seen {
        device: device.into(),
        direction: Direction::FromDevice,
        key,
        packets: 5,
        bytes: 500,
        last_seen: Timestamp::now() - SignedDuration::from_hours(48),
        forgotten: 1,
        is_outside: false,
        opening: Opening::default(),
    };
    contacts.record(&[seen], Reading { boot: 7, until: 1 }).unwrap();
}

#[test]
fn without_an_agent_other_files_are_compared_with_those_of_the_configuration() {
    let site = Site::new();
    keep(&site, "ct-1", "10.20.0.10", 104);
    let since = |days: i64| Timestamp::now() - SignedDuration::from_hours(24 * days);
    let other = site.path("other.toml");
    let without = POLICY.replacen("  { to = \"pacs\", service = \"dicom\" },\n", "", 1);
    fs::write(&other, without).unwrap();
    let overrides = Overrides { policy: Some(Given::File(other.clone())), devices: None };
    let plan = agent::from_files(&site.config(), &overrides, since(30)).unwrap();
    assert_eq!((plan.compared_with.as_str(), plan.contacts), ("files", 1));
    assert_eq!(only(&plan.cuts).endpoint.as_deref(), Some("pacs"));
    let plan = agent::from_files(&site.config(), &overrides, since(1)).unwrap();
    assert_eq!((plan.contacts, plan.cuts.len()), (0, 0));
    // The files may have been changed since they were loaded: what devices did is all that is known then.
    let plan = agent::from_files(&site.config(), &Overrides::default(), since(30)).unwrap();
    assert_eq!((plan.compared_with.as_str(), plan.cuts.len()), ("history", 0));
    fs::rename(other, site.path("policy.toml")).unwrap();
    let plan = agent::from_files(&site.config(), &Overrides::default(), since(30)).unwrap();
    assert_eq!(only(&plan.cuts).was, None);
    assert!(messages(&plan).iter().any(|said| said.contains("what is in force is not known")), "{plan:?}");
}

#[test]
fn a_candidate_that_is_wrong_is_told_as_check_tells_it() {
    let site = Site::new();
    let text = POLICY.replace("to = \"pacs\"", "to = \"packs\"");
    let file = SourceFile::new("other.toml", text);
    let overrides = Overrides { policy: Some(Given::Text(file)), devices: None };
    let plan = agent::from_files(&site.config(), &overrides, Timestamp::MIN).unwrap();
    assert!(!plan.valid && plan.is_finding());
    let error = &plan.errors[0];
    assert_eq!((error.file.as_str(), error.line), ("other.toml", 10));
    assert!(error.to_string().contains("did you mean `pacs`?"), "{error}");
}
