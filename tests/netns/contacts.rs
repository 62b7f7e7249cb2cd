//! Who talked to whom is kept as traffic runs, and what the age of the country database makes of a running filter.

use std::fs;
use std::time::{Duration, UNIX_EPOCH};

use iomt_filter::contacts::{Contacts, Direction};
use iomt_filter_tests::hospital::connection::{Service, Session};
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::{Host, Version, wait};
use ipnet::IpNet;
use jiff::Timestamp;
use mmdb_writer::{Value, Writer};

use crate::can_run;
use crate::hospital::{LIMIT, agent, assert_cut, assert_runs, build, filter};

#[test]
fn a_session_is_a_contact_that_goes_on_over_a_restart_of_the_agent() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let mut filter = filter(&hospital, &agent());
    let session = Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
    let database = filter.folder().join("state/history.db");
    let mut packets = 0;
    for _ in 0..2 {
        assert_runs(&session);
        // An agent reads the table when it starts.
        filter.kill().unwrap();
        filter.start().unwrap();
        let more = || {
            let Ok(contacts) = Contacts::open_to_read(&database) else { return Ok(None) };
            let of_vendor = contacts.of_peer(IpNet::from(vendor.ip()), 100, 10_000)?.contacts;
            Ok(of_vendor.into_iter().find(|contact| contact.packets > packets))
        };
        let contact = wait::until("the contact to be kept", LIMIT, more).unwrap();
        assert_eq!(
            (&*contact.device, contact.direction, contact.port),
            ("ct-1", Direction::FromDevice, Some(HTTPS))
        );
        packets = contact.packets;
    }
    let flows = filter.json(&["flows"]).unwrap();
    let of_session =
        flows.as_array().unwrap().iter().find(|flow| flow["destination"] == vendor.ip().to_string());
    let counted = of_session.unwrap()["packets"].as_u64().unwrap();
    assert!(packets <= counted, "{packets} of {counted}: nothing counts twice");
    let lookup = filter.json(&["lookup", &vendor.ip().to_string()]).unwrap();
    assert_eq!(lookup["talked"][0]["device"], "ct-1", "{lookup}");
    assert_eq!(lookup["talked"][0]["service"], "443/tcp", "{lookup}");
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["contacts"]["error"], serde_json::Value::Null, "{status}");
    filter.remove().unwrap();
}

#[test]
fn a_country_database_that_becomes_too_old_cuts_where_the_policy_says_so() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let vendor = Host::Vendor.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::Vendor], vendor).unwrap();
    let filter = filter(&hospital, &agent());
    let write = |name: &str, before: &str, after: &str| {
        let text = fs::read_to_string(filter.folder().join(name)).unwrap();
        assert!(text.contains(before), "{text}");
        filter.write(name, text.replacen(before, after, 1)).unwrap();
    };
    write("policy.toml", "[defaults]\n", "[defaults]\ngeo_stale = \"deny\"\n");
    write("config.toml", "[geo]\n", "[geo]\nmax_age = \"1h\"\n");
    // It has some seconds left.
    let built = Timestamp::now().as_second() - 3_600 + 8;
    let mut database =
        Writer::builder("Test-Country").build_epoch(UNIX_EPOCH + Duration::from_secs(built as u64)).build();
    let record = Value::map([("country_code", Value::from("KP"))]);
    database.insert_value("192.0.2.0/28".parse::<IpNet>().unwrap(), record).unwrap();
    filter.write("country.mmdb", database.to_bytes().unwrap()).unwrap();
    filter.tell(&["reload"]).unwrap();

    let session = Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
    assert_runs(&session);
    let stale = |_: ()| {
        let status = filter.json(&["status"])?;
        Ok((status["geo"]["stale"] == true).then_some(status))
    };
    let status =
        wait::until("the database to become too old", Duration::from_secs(20), || stale(())).unwrap();
    assert_eq!(status["geo"]["on_stale"], "deny");
    wait::until("the first unanswered message", LIMIT, || {
        Ok((session.sent() > session.answered() + 5).then_some(()))
    })
    .unwrap();
    assert_cut(&session);
    assert!(filter.tell(&["status"]).unwrap().contains("every public address is refused"));
    let warnings = status["warnings"].to_string();
    assert!(warnings.contains("refuse every public address (`geo_stale`)"), "{warnings}");
    filter.remove().unwrap();
}
