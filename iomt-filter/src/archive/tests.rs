//! What is kept comes back as it was, is found by everything that may be asked for, and is let go in time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::events::{ArpRecord, Drift, Evidence, Expected, FragmentRecord, MacPair, Measured, What};

/// 2026-11-23T14:02:11Z.
const BEGIN: i64 = 1_795_442_531_000_000;

fn record(number: i64) -> Record {
    let peers = ["203.0.113.9", "203.0.113.77", "2001:db8::9"];
    let pick = |from: &[&str]| from[number as usize % from.len()].to_owned();
    Record {
        time: Timestamp::from_microsecond(BEGIN + number * 1_000).ok(),
        host: "gw".into(),
        interface: Some("eth1".into()),
        port: "device".into(),
        verdict: "drop".into(),
        reason: pick(&["blocklist", "geo"]).into(),
        device: Some(pick(&["ct-1", "pump-1", "pump-2", "pump-3", "pump-4"])),
        profile: Some("ct".into()),
        direction: Some("from-device".into()),
        mac: Some(MacPair { source: "00:1b:21:aa:bb:cc".into(), destination: "ff:ff:ff:ff:ff:ff".into() }),
        vlan: Some(vec![110]),
        ip_version: Some(4),
        source: "10.10.4.12".parse().ok(),
        destination: pick(&peers).parse().ok(),
        protocol: Some("tcp".into()),
        source_port: Some(40_000 + (number % 20_000) as u16),
        destination_port: Some(443),
        tcp_flags: Some("S".into()),
        length: 78,
        generation: 12,
        count: 1,
        ethertype: Some("0x0800".into()),
        hop_limit: Some(64),
        ..Record::default()
    }
}

fn archive(events: i64) -> (tempfile::TempDir, Archive) {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = Archive::open(&folder.path().join("events.db")).unwrap();
    let records: Vec<_> = (1..=events).map(|number| Arc::new(record(number))).collect();
    for records in records.chunks(1_000) {
        let first = archive.next().unwrap();
        archive.add(first, records).unwrap();
    }
    (folder, archive)
}

/// Every page of an answer, by numbers.
fn all(archive: &Archive, search: &Search) -> Vec<i64> {
    let (mut found, mut from) = (Vec::new(), None);
    loop {
        let page = archive.page(search, from, 7).unwrap();
        let Some((last, _)) = page.last() else { return found };
        from = Some((*last, true));
        found.extend(page.iter().map(|(position, _)| position.number));
    }
}

#[test]
fn an_event_comes_back_as_it_was() {
    let (_folder, mut archive) = archive(0);
    let full = Record {
        fragment: Some(FragmentRecord { kind: "later".into(), id: 7, offset: 1_480 }),
        arp: Some(ArpRecord {
            sender_mac: "00:1b:21:aa:bb:cc".into(),
            sender: "10.0.0.1".parse().unwrap(),
            target: "10.0.0.2".parse().unwrap(),
        }),
        country: Some("RU".into()),
        feed: Some("c2".into()),
        entry: Some("203.0.113.0/24".into()),
        score: Some(100),
        rule: Some("ct[1]".into()),
        icmp_type: Some(3),
        icmp_code: Some(1),
        expected: Some(Expected { mac: None, vlan: Some(7), addresses: vec!["dhcp".into()] }),
        count: u64::MAX >> 1,
        ..record(1)
    };
    let empty = Record {
        time: Some(Timestamp::from_microsecond(BEGIN).unwrap()),
        note: Some("a feed is held".into()),
        ..Record::default()
    };
    let drift = Drift {
        number: 7,
        what: What::Silence,
        count: 1,
        devices: 1,
        first: empty.time,
        last: empty.time,
        evidence: vec![Evidence::of_nothing("ct-1")],
        measured: Some(Measured { found: 9, usual: 2, limit: 6 }),
    };
    let drift = Record::of_drift("gw", empty.time.unwrap(), Some(("ct-1", None)), drift);
    let kept = [full, empty, drift].map(Arc::new);
    archive.add(1, &kept).unwrap();
    let mut found: Vec<_> = archive.page(&Search::default(), None, 10).unwrap();
    found.sort_by_key(|(position, _)| position.number);
    assert_eq!(found.len(), kept.len());
    for ((_, found), kept) in found.iter().zip(&kept) {
        assert_eq!(found, &**kept);
    }
}

#[test]
fn events_are_found_by_whatever_is_asked_for() {
    let (_folder, archive) = archive(300);
    let matching = |is_it: &dyn Fn(&Record) -> bool| -> Vec<i64> {
        (1..=300).filter(|number| is_it(&record(*number))).collect()
    };
    let network = |text: &str| Some(text.parse::<IpNet>().unwrap());
    let time = |number: i64| Timestamp::from_microsecond(BEGIN + number * 1_000).ok();
    let (device, reason) = (Some("pump-1".to_owned()), Some("geo".to_owned()));
    for since in [None, time(100)] {
        for until in [None, time(200)] {
            for device in [None, device.clone()] {
                for reason in [None, reason.clone()] {
                    for peer in
                        [None, network("203.0.113.9/32"), network("203.0.113.0/26"), network("2001:db8::/32")]
                    {
                        let search = Search {
                            since,
                            until,
                            device: device.clone(),
                            reason: reason.clone(),
                            peer,
                            below: Some(250),
                        };
                        let expected = matching(&|record| {
                            since.is_none_or(|since| record.time >= Some(since))
                                && until.is_none_or(|until| record.time <= Some(until))
                                && (device.is_none() || record.device == device)
                                && reason.as_ref().is_none_or(|reason| record.reason == *reason)
                                && peer.is_none_or(|peer| record.peer().is_some_and(|it| peer.contains(&it)))
                                && record.time < time(250)
                        });
                        assert_eq!(all(&archive, &search), expected, "{search:?}");
                        let begin = archive.begin_of_latest(&search, 5).unwrap();
                        let fifth = expected.len().checked_sub(5).map(|index| expected[index]);
                        assert_eq!(begin.map(|begin| begin.number), fifth, "{search:?}");
                    }
                }
            }
        }
    }
    let nobody = Search { device: Some("nobody".into()), ..Search::default() };
    assert!(all(&archive, &nobody).is_empty());
}

#[test]
fn what_is_too_old_or_too_much_is_let_go() {
    let (folder, mut archive) = archive(20_000);
    let now = Timestamp::from_microsecond(BEGIN + 20_000_000).unwrap();
    let bounds = Bounds { age: Duration::from_secs(5), bytes: 1 << 30 };
    assert_eq!(archive.count().unwrap(), 20_000);
    while !archive.retain(&bounds, now).unwrap().1 {}
    assert_eq!(archive.count().unwrap(), 5_001);
    assert_eq!(all(&archive, &Search::default()).len(), 5_001);
    let bounds = Bounds { age: Duration::from_secs(1 << 40), bytes: 4 << 20 };
    archive.limit(&bounds).unwrap();
    for first in (20_001..60_000).step_by(1_000) {
        let records: Vec<_> = (first..first + 1_000).map(|number| Arc::new(record(number))).collect();
        while let Err(error) = archive.add(first, &records) {
            assert!(matches!(error, DatabaseError::Full { .. }), "{error:?}");
            archive.retain(&bounds, now).unwrap();
        }
        while !archive.retain(&bounds, now).unwrap().1 {}
    }
    assert!(archive.size().unwrap() <= 4 << 20 && archive.count().unwrap() > 1_000);
    assert_eq!(archive.next().unwrap(), 60_001);
    assert_eq!(archive.count().unwrap(), all(&archive, &Search::default()).len() as u64);
    // A smaller size from now on: what is free goes back to the disk, and an empty one has nothing to let go.
    let file = folder.path().join("events.db");
    assert!(std::fs::metadata(&file).unwrap().len() > 3 << 20);
    for bytes in [1 << 20, 1] {
        let bounds = Bounds { bytes, ..bounds };
        while !archive.retain(&bounds, now).unwrap().1 {}
        let pages = archive.database.pragma("page_count").unwrap();
        let size = pages * archive.database.pragma("page_size").unwrap();
        assert!(size <= bytes.max(128 << 10), "{size} of {bytes} bytes");
    }
    assert_eq!(archive.count().unwrap(), 0);
    drop(archive);
    assert!(std::fs::metadata(&file).unwrap().len() <= 128 << 10);
}

#[test]
fn words_that_frames_or_feeds_make_go_with_their_events() {
    let (_folder, mut archive) = archive(10);
    let words = |archive: &Archive| -> i64 {
        archive.database.query_row("SELECT count(*) FROM word", [], |row| row.get(0)).unwrap()
    };
    let before = words(&archive);
    let made = (0..200).map(|number| {
        Arc::new(Record {
            vlan: Some(vec![number]),
            ethertype: Some(format!("{number:#06x}")),
            entry: Some(format!("192.0.2.{number}/32")),
            expected: Some(Expected { mac: None, vlan: Some(number), addresses: Vec::new() }),
            ..record(1)
        })
    });
    archive.add(11, &made.collect::<Vec<_>>()).unwrap();
    assert_eq!(words(&archive), before);
}

#[test]
fn a_damaged_archive_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    std::fs::write(&path, vec![b'x'; 8_192]).unwrap();
    let (archive, aside) = Archive::open_or_begin(&path, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(archive.next().unwrap(), 1);
    assert!(aside.unwrap().ends_with("events.db.damaged-0"));
}

const WRITTEN: i64 = 50_000;

/// Set `IOMT_FILTER_EVENTS` to a number for a large one; the figures are printed.
#[test]
#[allow(clippy::print_stderr)]
fn questions_are_answered_from_an_index_alone() {
    let events =
        std::env::var("IOMT_FILTER_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(WRITTEN);
    let begun = Instant::now();
    let (_folder, mut archive) = archive(0);
    for first in (1..=WRITTEN).step_by(1_000) {
        let records: Vec<_> = (first..first + 1_000).map(|number| Arc::new(scattered(number))).collect();
        archive.add(first, &records).unwrap();
    }
    // The same again, later, until they are enough.
    let columns = row::COLUMNS.trim_start_matches("number, time, ");
    let mut written = WRITTEN;
    while written < events {
        let double = format!(
            "INSERT INTO event ({}) SELECT number + {written}, time + {written} * 1000, {columns} FROM event \
             WHERE number <= {}",
            row::COLUMNS,
            events - written
        );
        archive.database.execute(&double, []).unwrap();
        written = events.min(2 * written);
    }
    eprintln!("{events} events written in {:?}, {} bytes", begun.elapsed(), archive.size().unwrap());
    let time = |number: i64| Timestamp::from_microsecond(BEGIN + number * 1_000).ok();
    let (device, reason) = (Some("device-7".to_owned()), Some("spoofed".to_owned()));
    let (frequent, peer) = (Some("device-0".to_owned()), "203.0.113.9/32".parse().ok());
    let rare = Some("rogue-ra".to_owned());
    let network = "198.51.100.0/24".parse().ok();
    let (by_time, by_device) = (("event_of_time", None), ("event_of_device", Some("device=?")));
    let (by_reason, by_peer) = (("event_of_reason", Some("reason=?")), ("event_of_peer", Some("peer=?")));
    for ((index, terms), search) in [
        (by_time, Search::default()),
        (by_time, Search { since: time(events / 2), until: time(events / 2 + 1_000), ..Search::default() }),
        (by_device, Search { device: device.clone(), ..Search::default() }),
        (by_reason, Search { reason: reason.clone(), ..Search::default() }),
        (by_device, Search { device: device.clone(), reason: reason.clone(), ..Search::default() }),
        (by_device, Search { device: frequent.clone(), reason: rare.clone(), ..Search::default() }),
        (by_device, Search { device: frequent.clone(), reason: Some("no such".into()), ..Search::default() }),
        (by_peer, Search { peer, ..Search::default() }),
        (by_peer, Search { peer, device: device.clone(), reason: reason.clone(), ..Search::default() }),
        (by_peer, Search { peer, device: frequent, reason: rare, ..Search::default() }),
        (by_time, Search { peer: network, ..Search::default() }),
        (by_reason, Search { peer: network, reason, ..Search::default() }),
        (by_device, Search { peer: network, device, since: time(events / 2), ..Search::default() }),
    ] {
        let begun = Instant::now();
        let begin = archive.begin_of_latest(&search, 1_000).unwrap();
        let page = archive.page(&search, begin.map(|begin| (begin, false)), 1_000).unwrap();
        eprintln!("{:?} for {} of {search:?}", begun.elapsed(), page.len());
        // Whatever matches is found in an index that has all that is asked for, and in its order.
        for from in [None, page.last().map(|(position, _)| *position)] {
            let plan = archive.plan(&search, from);
            if plan.is_empty() {
                assert_eq!(search.reason.as_deref(), Some("no such"));
                continue;
            }
            let since = (search.since.is_some() || from.is_some()).then_some("time>?");
            let until = search.until.is_some().then_some("time<?");
            let bounds: Vec<_> = [terms, since, until].into_iter().flatten().collect();
            let found = match bounds.join(" AND ") {
                none if none.is_empty() => format!("SCAN event USING COVERING INDEX {index}"),
                bounds => format!("SEARCH event USING COVERING INDEX {index} ({bounds})"),
            };
            assert_eq!(plan, [&found, "USE TEMP B-TREE FOR LAST TERM OF ORDER BY"], "{search:?}");
        }
    }
}

/// Half of all events are one device's, and a tenth go to one peer.
fn scattered(number: i64) -> Record {
    let chance = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16;
    let device = if chance.is_multiple_of(2) { 0 } else { chance % 2_000 };
    let reason = match chance % 100_003 {
        0 => "rogue-ra",
        1..20_000 => "spoofed",
        _ => "blocklist",
    };
    let peer = if chance.is_multiple_of(10) { 0xcb00_7109 } else { (chance >> 8) as u32 };
    Record {
        device: Some(format!("device-{device}")),
        reason: reason.into(),
        destination: Some(IpNet::from(std::net::IpAddr::from(peer.to_be_bytes())).addr()),
        ..record(number)
    }
}
