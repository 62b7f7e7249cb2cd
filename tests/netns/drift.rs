//! A scanner that has a baseline does what it never did: each of it is an event with its evidence, told once, whatever
//! becomes of the agent.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::{DICOM, HTTPS};
use iomt_filter_tests::hospital::{Hospital, Host, Version, wait};
use serde_json::Value;

use crate::can_run;
use crate::hospital::{LIMIT, agent, build};

/// Half of what is sent and comes back: more than 10 MiB in all.
const MUCH: usize = 6 << 20;
/// The service that is asked of the PACS, and is not there.
const SCANNED: std::ops::Range<u16> = 6_000..6_006;

/// Starts the agent, and waits until it has read what passed.
fn start(filter: &mut Filter<'_>) {
    filter.start().unwrap();
    wait::until("flows to be read", LIMIT, || {
        Ok((!filter.json(&["status"])?["contacts"]["read"].is_null()).then_some(()))
    })
    .unwrap();
}

/// Sends much, and takes it back.
fn exchange(hospital: &Hospital, to: SocketAddr) {
    hospital[Host::Ct]
        .inside(|| {
            let mut stream = TcpStream::connect_timeout(&to, LIMIT).unwrap();
            let mut answers = stream.try_clone().unwrap();
            let sends = thread::spawn(move || stream.write_all(&vec![7; MUCH]).unwrap());
            answers.read_exact(&mut vec![0; MUCH]).unwrap();
            sends.join().unwrap();
        })
        .unwrap();
}

fn drifts(filter: &Filter<'_>) -> Vec<Value> {
    let text = filter.tell(&["events", "--reason", "drift", "--output", "json"]).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn lines(filter: &Filter<'_>, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(filter.folder().join(name)).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_a_device_never_did_is_told_with_evidence_and_once() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let (pacs, vendor) = (Host::Pacs.at(Version::V4, DICOM), Host::Vendor.at(Version::V4, HTTPS));
    let _services = [(Host::Pacs, pacs), (Host::Vendor, vendor)]
        .map(|(host, at)| Service::start(&hospital[host], at).unwrap());
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    let config = fs::read_to_string(filter.config()).unwrap();
    let sinks = "[[events.sink]]\ntype = \"file\"\npath = \"out.json\"\n\
                 [[events.sink]]\ntype = \"file\"\npath = \"eve.json\"\nformat = \"eve\"\n";
    filter.write("config.toml", format!("{config}\n[learn]\nbaseline_after = \"1s\"\n{sinks}")).unwrap();
    start(&mut filter);
    assert_eq!(attempt(&hospital[Host::Ct], pacs, LIMIT).unwrap(), Outcome::Connected);
    // An agent reads the kernel's tables when it starts, and twice a minute.
    filter.stop().unwrap();
    start(&mut filter);
    assert_eq!(drifts(&filter), [] as [Value; 0], "it is learned");
    thread::sleep(Duration::from_millis(1_100));

    exchange(&hospital, vendor);
    thread::scope(|scope| {
        for port in SCANNED {
            let (from, to) = (&hospital[Host::Ct], SocketAddr::new(pacs.ip(), port));
            scope.spawn(move || attempt(from, to, Duration::from_millis(500)).unwrap());
        }
    });
    filter.stop().unwrap();
    start(&mut filter);
    let found = drifts(&filter);
    let of: BTreeMap<&str, &Value> =
        found.iter().map(|event| (event["drift"]["what"].as_str().unwrap(), event)).collect();
    assert_eq!(of.keys().copied().collect::<Vec<_>>(), ["new-country", "new-peer", "new-service", "volume"]);
    assert_eq!(found.len(), 4, "{found:#?}");

    let peer = of["new-peer"];
    assert_eq!((&peer["device"], &peer["verdict"]), (&"ct-1".into(), &"notice".into()), "{peer:#}");
    assert_eq!((&peer["destination"], &peer["country"]), (&vendor.ip().to_string().into(), &"DE".into()));
    let evidence = &peer["drift"]["evidence"][0];
    assert_eq!((&evidence["verdict"], &evidence["port"]), (&"pass".into(), &HTTPS.into()), "{peer:#}");
    assert!(evidence["rule"].as_str().unwrap().contains("ct-scanner"), "{peer:#}");
    let service = of["new-service"];
    assert_eq!(service["drift"]["count"], SCANNED.len(), "{service:#}");
    let evidence = service["drift"]["evidence"].as_array().unwrap();
    assert_eq!(
        (evidence.len(), &evidence[0]["reason"]),
        (SCANNED.len(), &"not-allowed".into()),
        "{service:#}"
    );
    let measured = &of["volume"]["drift"]["measured"];
    assert!(measured["found"].as_u64() > measured["limit"].as_u64(), "{measured:#}");
    assert_eq!(of["volume"]["drift"]["evidence"][0]["destination"], vendor.ip().to_string());
    assert!(filter.tell(&["events", "--peer", &vendor.ip().to_string()]).unwrap().contains("a new peer: to"));

    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["contacts"]["drifts"]["new-service"], 1, "{status:#}");
    assert!(filter.tell(&["status"]).unwrap().contains("drift: new-country 1, new-peer 1"), "{status:#}");
    let learned = filter.json(&["learn", "status", "--device", "ct-1"]).unwrap();
    assert_eq!(learned[0]["drifts"], 4, "{learned:#}");
    assert!(learned[0]["last_drift"]["note"].is_string(), "{learned:#}");
    let is_there = |name: &str, is_it: &dyn Fn(&Value) -> bool| {
        let found = || lines(&filter, name).into_iter().filter(|event| is_it(event)).count();
        wait::until("the sink to have all", LIMIT, || Ok((found() == 4).then_some(()))).unwrap();
    };
    is_there("out.json", &|event| event["drift"].is_object());
    is_there("eve.json", &|event| {
        event["event_type"] == "alert" && event["iomt_filter"]["drift"]["number"].is_number()
    });

    // Neither an end nor a crash repeats it.
    for is_killed in [true, false] {
        if is_killed {
            filter.kill().unwrap()
        } else {
            filter.stop().unwrap()
        }
        start(&mut filter);
        assert_eq!(drifts(&filter), found, "killed: {is_killed}");
    }
    assert_eq!(lines(&filter, "out.json").iter().filter(|event| event["drift"].is_object()).count(), 4);
    filter.remove().unwrap();
}
