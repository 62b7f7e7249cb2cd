//! What devices never did, found in real databases: once, over restarts and crashes, folded, and nothing of it from a
//! clock that is set, a device that is new or gone, or a database of a former version.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may"
)]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

use iomt_filter::archive::{Archive, Attempt};
use iomt_filter::contacts::{Bounds, Compared, Contacts, Direction, Opening, Reading, Seen};
use iomt_filter::events::{Drift, Record, What};
use iomt_filter_common::Reason;
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::packet::protocol;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use tempfile::TempDir;

const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;
const MIB: u64 = 1 << 20;
const CT: &str = "10.10.0.5";
const PACS: &str = "10.20.0.10";

/// A database, and the clock by which it is read.
struct Site {
    folder: TempDir,
    contacts: Contacts,
    now: Timestamp,
    until: u64,
    told: i64,
    gone: BTreeSet<String>,
    attempts: Vec<Attempt>,
    after: u64,
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A flow of the CT; each is a new one.
fn to(peer: &str, port: u16, source_port: u16) -> Seen {
    let key = FlowKey {
        source: address(CT).into(),
        destination: address(peer).into(),
        source_port,
        destination_port: port,
        protocol: protocol::TCP,
        ..FlowKey::default()
    };
    Seen {
        device: "ct-1".into(),
        direction: Direction::FromDevice,
        key,
        packets: 10,
        bytes: 1_000,
        last_seen: Timestamp::UNIX_EPOCH,
        forgotten: u64::MAX >> 1,
        is_outside: false,
        opening: Opening { rule: 3, ..Opening::default() },
    }
}

fn attempt(peer: &str, port: u16, reason: &str) -> Attempt {
    Attempt {
        device: "ct-1".into(),
        source: address(CT),
        destination: address(peer),
        protocol: protocol::TCP,
        port,
        verdict: "drop".into(),
        reason: reason.into(),
        count: 2,
        time: Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let contacts = Contacts::open(&folder.path().join("history.db")).unwrap();
        Self {
            folder,
            contacts,
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            until: 1_000_000_000,
            told: 0,
            gone: BTreeSet::new(),
            attempts: Vec::new(),
            after: WEEK,
        }
    }

    /// One whose CT has talked to the PACS, each hour for a week and a bit.
    fn known() -> Self {
        let mut site = Self::new();
        for hour in 0..=7 * 24 + 1 {
            let talked = to(PACS, 104, 1_000 + hour);
            assert_eq!(site.read(3_600, &[talked]), [], "hour {hour}");
        }
        site
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("history.db")
    }

    /// A new agent takes over.
    fn restart(&mut self) {
        self.contacts = Contacts::open(&self.path()).unwrap();
        self.told = 0;
    }

    fn read_without_telling(&mut self, elapsed: u64, seen: &[Seen]) {
        self.until += elapsed * 1_000_000_000;
        self.now += SignedDuration::from_secs(i64::try_from(elapsed).unwrap());
        let seen: Vec<_> = seen.iter().map(|seen| Seen { last_seen: self.now, ..seen.clone() }).collect();
        let attempts = std::mem::take(&mut self.attempts);
        let compared = Compared {
            now: self.now,
            elapsed,
            is_late: false,
            after: self.after,
            host: "gw",
            country: &|address| match address {
                IpAddr::V4(v4) if v4.octets()[0] == 203 => Some(*b"RU"),
                IpAddr::V4(v4) if v4.octets()[0] == 198 => Some(*b"DE"),
                _ => None,
            },
            profile: &|device| (!self.gone.contains(device)).then(|| "ct-scanner".to_owned()),
            rule: &|rule| (rule == 3).then(|| "ct-scanner.allow[3]".to_owned()),
            attempts: &attempts,
            event: Some(1),
        };
        self.contacts.compare(&seen, Reading { boot: 7, until: self.until }, &compared).unwrap();
    }

    fn untold(&mut self) -> Vec<Record> {
        let untold = self.contacts.untold(self.told).unwrap();
        self.told = untold.last().map_or(self.told, |(number, _)| *number);
        untold.into_iter().map(|(_, record)| record).collect()
    }

    fn records(&mut self, elapsed: u64, seen: &[Seen]) -> Vec<Record> {
        self.read_without_telling(elapsed, seen);
        self.untold()
    }

    fn read(&mut self, elapsed: u64, seen: &[Seen]) -> Vec<(What, u64)> {
        self.records(elapsed, seen).iter().map(drift).map(|drift| (drift.what, drift.count)).collect()
    }
}

fn drift(record: &Record) -> &Drift {
    record.drift.as_ref().unwrap()
}

#[test]
fn a_new_peer_service_and_country_are_told_once_with_the_rule_that_allowed_them() {
    let mut site = Site::known();
    let vendor = to("198.51.100.7", 443, 1);
    let told = site.records(30, std::slice::from_ref(&vendor));
    let whats: Vec<_> = told.iter().map(|record| drift(record).what).collect();
    assert_eq!(whats, [What::NewPeer, What::NewCountry]);
    let record = &told[0];
    assert_eq!((&*record.verdict, &*record.reason, record.is_notice()), ("notice", "drift", true));
    assert_eq!((record.device.as_deref(), record.profile.as_deref()), (Some("ct-1"), Some("ct-scanner")));
    assert_eq!((record.peer(), record.destination_port), (Some(address("198.51.100.7")), Some(443)));
    assert_eq!(
        record.note.as_deref(),
        Some("a new peer: to 198.51.100.7 443/tcp in DE, rule ct-scanner.allow[3]")
    );
    assert!(drift(record).number > 0 && drift(record).first.is_some());
    assert_eq!(site.read(30, &[vendor]), [], "a flow that goes on is none");
    assert_eq!(site.read(4_000, &[to("198.51.100.7", 443, 2)]), [], "nor is another one");
    assert_eq!(site.read(30, &[to(PACS, 11_112, 3)]), [(What::NewService, 1)]);
    assert_eq!(
        site.read(4_000, &[to("198.51.100.8", 443, 4)]),
        [(What::NewPeer, 1)],
        "in a country that it knows"
    );
    // What opens to it is another thing than what it opens.
    let mut inbound = to(PACS, 104, 5);
    inbound.direction = Direction::ToDevice;
    inbound.key = inbound.key.reversed();
    inbound.key.destination_port = 22;
    let told = site.records(30, &[inbound]);
    assert!(told[0].note.as_ref().unwrap().starts_with("a new service: from 10.20.0.10 22/tcp"), "{told:?}");
    let habits = &site.contacts.habits(Timestamp::MIN).unwrap()["ct-1"];
    assert_eq!((habits.drifts, habits.would_drops), (5, 0));
    assert!(habits.last_drift.as_ref().unwrap().note.starts_with("a new service: from"));
}

#[test]
fn nothing_is_told_of_a_device_that_is_not_known_yet_nor_of_one_that_has_another_name() {
    let mut site = Site::known();
    site.gone.insert("ct-1".into());
    let renamed = |peer, port| Seen { device: "ct-2".into(), ..to(peer, 104, port) };
    assert_eq!(site.read(30, &[renamed(PACS, 1), renamed("198.51.100.7", 2)]), []);
    assert_eq!(site.read(WEEK - 1, &[renamed("198.51.100.8", 3)]), [], "still");
    assert_eq!(site.read(1, &[renamed("198.51.100.9", 4)]), [(What::NewPeer, 1)]);
    let mut watched = Site::known();
    watched.after = 100 * WEEK;
    assert_eq!(watched.read(30, &[to("198.51.100.7", 443, 1)]), [], "the configuration says when");
}

#[test]
fn a_scan_is_a_handful_of_events_and_each_says_how_much() {
    let mut site = Site::known();
    let mut told = Vec::new();
    // A modality that looks for SMB everywhere, and for everything in one place, thirty seconds a reading.
    for reading in 0..50_u16 {
        let network = |number: u16| format!("10.30.{}.{}", reading % 250, number);
        let seen: Vec<_> = (0..40).map(|number| to(&network(number), 445, 1)).collect();
        let ports: Vec<_> = (0..40).map(|port| to(PACS, 2_000 + reading * 40 + port, 1)).collect();
        told.extend(site.records(30, &[seen, ports].concat()));
    }
    told.extend(site.records(3_600, &[]));
    let counted = |what| {
        told.iter().map(drift).filter(|drift| drift.what == what).map(|drift| drift.count).collect::<Vec<_>>()
    };
    for what in [What::NewPeer, What::NewService] {
        assert_eq!(counted(what).iter().sum::<u64>(), 2_000, "{:?}", counted(what));
        assert!(counted(what).len() <= 5, "{:?}", counted(what));
        assert_eq!(counted(what)[0], 40);
    }
    let first = told.iter().find(|record| drift(record).what == What::NewPeer).unwrap();
    assert_eq!(drift(first).evidence.len(), 16);
    assert!(first.note.as_ref().unwrap().starts_with("40 new peers: to 10.30.0.0 445/tcp"), "{first}");
    assert!(first.note.as_ref().unwrap().ends_with(", and 37 more"), "{first}");
}

#[test]
fn what_is_stopped_is_evidence_too_and_is_new_once() {
    let mut site = Site::new();
    site.attempts = vec![attempt("203.0.113.9", 443, "blocklist")];
    for hour in 0..=7 * 24 + 1 {
        assert_eq!(site.read(3_600, &[to(PACS, 104, 1_000 + hour)]), []);
        // What it has always tried is no news.
        site.attempts = vec![attempt("203.0.113.9", 443, "blocklist")];
    }
    site.attempts = vec![attempt(PACS, 445, "not-allowed"), attempt("203.0.113.10", 8_443, "geo")];
    let told = site.records(30, &[]);
    let notes: Vec<_> = told.iter().map(|record| record.note.as_deref().unwrap()).collect();
    assert_eq!(
        notes,
        [
            "a new peer: to 203.0.113.10 8443/tcp in RU, drop: geo",
            "a new service: to 10.20.0.10 445/tcp, drop: not-allowed"
        ]
    );
    site.attempts = vec![attempt(PACS, 445, "not-allowed")];
    assert_eq!(site.read(4_000, &[]), []);
    assert_eq!(site.read(4_000, &[to(PACS, 445, 1)]), [], "once it is allowed, it is known");
    site.attempts = vec![attempt(PACS, 104, "quarantine")];
    assert_eq!(site.read(4_000, &[]), [], "what it always did is not new where it is stopped now");
}

#[test]
fn more_than_ever_in_an_hour_is_told_once_with_what_has_most() {
    let mut site = Site::known();
    let flow = |port, bytes| Seen { bytes, ..to(PACS, 104, port) };
    assert_eq!(site.read(3_600, &[flow(1, 9 * MIB)]), [], "less than the floor");
    assert_eq!(site.read(3_600, &[flow(2, 36 * MIB)]), [], "four times as much");
    let told = site.records(3_600, &[flow(3, 100 * MIB), flow(4, 45 * MIB)]);
    assert_eq!(told.len(), 1, "{told:?}");
    let measured = drift(&told[0]).measured.unwrap();
    assert_eq!((measured.found, measured.usual, measured.limit), (145 * MIB, 36 * MIB, 144 * MIB));
    assert_eq!(drift(&told[0]).evidence[0].bytes, 100 * MIB);
    assert!(
        told[0].note.as_ref().unwrap().starts_with(
            "more than ever in an hour, 152043520 bytes where 37748736 were the most: to 10.20.0.10 104/tcp"
        ),
        "{}",
        told[0]
    );
    assert_eq!(site.read(30, &[flow(5, 500 * MIB)]), [], "once an hour");
    assert_eq!(site.read(3_600, &[flow(6, 500 * MIB)]), [], "what was is usual now");
}

#[test]
fn a_device_that_always_talks_and_is_silent_is_told_once_also_over_restarts() {
    let mut site = Site::known();
    // Its longest silence was an hour.
    assert_eq!(site.read(3 * 3_600, &[]), []);
    let told = site.records(60, &[]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].note.as_deref(), Some("silent for 3h 1m, where 1h 0m was the longest"));
    let lasted = drift(&told[0]).last.unwrap() - drift(&told[0]).first.unwrap();
    assert_eq!(lasted.as_secs(), 3 * 3_600 + 60);
    assert_eq!(site.read(DAY, &[]), []);
    site.restart();
    site.untold();
    assert_eq!(site.read(DAY, &[]), []);
    assert_eq!(site.read(30, &[to(PACS, 104, 1)]), []);
    assert_eq!(site.read(3 * 3_600 + 60, &[]), [(What::Silence, 1)], "what was told is not usual");
}

#[test]
fn a_device_that_left_the_inventory_is_not_missed_nor_when_it_is_back() {
    let mut site = Site::known();
    site.gone.insert("ct-1".into());
    assert_eq!(site.read(DAY, &[]), []);
    site.gone.clear();
    assert_eq!(site.read(DAY, &[]), []);
    assert_eq!(site.read(30, &[to(PACS, 104, 1)]), []);
    assert_eq!(site.read(3 * 3_600 + 60, &[]), [(What::Silence, 1)]);
}

#[test]
fn a_clock_that_is_set_and_time_without_an_agent_are_no_silence_and_teach_nothing() {
    let mut site = Site::known();
    for years in [10, -20, 30] {
        site.now += SignedDuration::from_hours(years * 8_760);
        assert_eq!(site.read(30, &[]), [], "{years}");
        assert_eq!(site.read(30, &[to(PACS, 104, 1)]), []);
        site.until += 86_400_000_000_000;
        assert_eq!(site.read(30, &[]), []);
    }
    let mut site = Site::new();
    assert_eq!(site.read(30, &[to(PACS, 104, 1)]), []);
    site.now += SignedDuration::from_hours(8_760);
    assert_eq!(site.read(30, &[to("198.51.100.7", 443, 1)]), [], "a year has passed by the clock alone");
}

#[test]
fn what_was_not_told_before_a_crash_is_told_after_it_and_has_its_number() {
    let mut site = Site::known();
    site.read_without_telling(30, &[to("198.51.100.7", 443, 1)]);
    site.restart();
    let told = site.untold();
    assert_eq!(told.len(), 2);
    // It was handed on, and the agent ended before that was noted: whoever has it knows it by its number.
    site.restart();
    assert_eq!(site.untold(), told);
    site.contacts.told(drift(&told[1]).number).unwrap();
    site.restart();
    assert_eq!(site.untold(), []);
    let next = site.records(30, &[to("198.51.100.8", 80, 1)]);
    assert_eq!(next.len(), 0, "it is told with what comes within the hour");
    let next = site.records(3_600, &[]);
    assert_eq!(drift(&next[0]).number, drift(&told[1]).number + 1, "no number comes again");
}

#[test]
fn a_host_that_scans_devices_is_one_event_and_a_device_that_does_is_news_of_itself() {
    let mut site = Site::new();
    let device = |number: u32| format!("pump-{number}");
    let inbound = |number: u32, port: u16, is_by_other_device: bool| {
        let mut seen = to(&format!("10.10.{}.{}", number / 250, number % 250), port, 7);
        seen.device = device(number).as_str().into();
        seen.direction = Direction::ToDevice;
        seen.is_outside = true;
        seen.opening = Opening { reason: Reason::NotAllowed as u8, is_by_other_device, ..Opening::default() };
        seen
    };
    let all = |port, by_device| (0..1_000).map(|number| inbound(number, port, by_device)).collect::<Vec<_>>();
    assert_eq!(site.read(30, &all(80, false)), []);
    assert_eq!(site.read(WEEK, &all(80, false)), []);
    let told = site.records(30, &all(22, false));
    assert_eq!(told.len(), 1, "{:?}", told.len());
    assert_eq!(
        (drift(&told[0]).devices, drift(&told[0]).count, told[0].device.as_deref()),
        (1_000, 1_000, None)
    );
    let note = told[0].note.as_ref().unwrap();
    assert!(note.starts_with("1000 devices: 1000 new services: pump-"), "{note}");
    assert!(note.contains("from 10.10.0.5 22/tcp, would-drop: not-allowed"), "{note}");
    assert_eq!(site.read(4_000, &all(23, true)), [], "the device that scans is told, by what it opens");
    let habits = &site.contacts.habits(Timestamp::MIN).unwrap()[&device(7)];
    assert_eq!((habits.drifts, habits.would_drops), (1, 30));
}

#[test]
fn services_on_any_port_are_no_news_and_a_scan_does_not_become_one() {
    let mut site = Site::new();
    for port in 50_000..50_008 {
        assert_eq!(site.read(30, &[to(PACS, port, 1)]), []);
    }
    assert_eq!(site.read(WEEK, &[to(PACS, 50_000, 2)]), []);
    assert_eq!(site.read(30, &[to(PACS, 60_000, 1)]), [], "as RPC does");
    assert_eq!(site.read(4_000, &[to(PACS, 445, 1)]), [(What::NewService, 1)], "SMB is no such port");
}

#[test]
fn a_database_of_a_former_version_becomes_a_baseline_and_raises_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history.db");
    let mut site = Site::known();
    site.read(30, &[Seen { is_outside: true, ..to(PACS, 80, 1) }]);
    // As it was before.
    Connection::open(site.path())
        .unwrap()
        .execute_batch(
            "DROP TABLE watch; DROP TABLE baseline; DROP TABLE day; DROP TABLE outside; DROP TABLE attempt; \
             DROP TABLE folding; DROP TABLE drift; PRAGMA user_version = 2;",
        )
        .unwrap();
    drop(std::mem::replace(&mut site.contacts, Contacts::open(&path).unwrap()));
    site.restart();
    assert_eq!(site.contacts.habits(Timestamp::MIN).unwrap()["ct-1"].would_drops, 10);
    assert_eq!(site.read(30, &[to(PACS, 104, 9)]), []);
    assert_eq!(site.read(4 * 3_600, &[]), [], "nobody knows yet how often it talks");
    assert_eq!(site.read(30, &[to("198.51.100.7", 443, 9)]), [(What::NewPeer, 1), (What::NewCountry, 1)]);
}

#[test]
fn a_device_that_is_forgotten_is_learned_anew() {
    let mut site = Site::known();
    site.now += SignedDuration::from_hours(24 * 100);
    site.contacts.retain(&Bounds::default(), site.now, u64::MAX).unwrap();
    assert!(site.contacts.habits(Timestamp::MIN).unwrap().is_empty());
    assert_eq!(site.read(30, &[to("198.51.100.7", 443, 9)]), []);
    let left: i64 = Connection::open(site.path())
        .unwrap()
        .query_row("SELECT (SELECT count(*) FROM day) + (SELECT count(*) FROM folding)", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 0);
}

#[test]
fn the_archive_says_what_was_tried_and_stopped_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let mut archive = Archive::open(&folder.path().join("events.db")).unwrap();
    let dropped = Record {
        time: Some(Timestamp::from_second(1_800_000_000).unwrap()),
        verdict: "drop".into(),
        reason: "not-allowed".into(),
        device: Some("ct-1".into()),
        direction: Some("from-device".into()),
        source: Some(address(CT)),
        destination: Some(address(PACS)),
        protocol: Some("tcp".into()),
        source_port: Some(49_152),
        destination_port: Some(445),
        tcp_flags: Some("S".into()),
        count: 2,
        ..Record::default()
    };
    let others = [
        Record { verdict: "would-drop".into(), ..dropped.clone() },
        Record { direction: Some("to-device".into()), ..dropped.clone() },
        Record { reason: "spoofed".into(), ..dropped.clone() },
        Record { tcp_flags: Some("SA".into()), ..dropped.clone() },
        Record { device: None, ..dropped.clone() },
        Record { source: None, destination: None, ..dropped.clone() },
    ];
    let records: Vec<_> = std::iter::once(dropped).chain(others).map(std::sync::Arc::new).collect();
    archive.add(1, &records).unwrap();
    let (attempts, last) = archive.attempts(0, 100).unwrap();
    assert_eq!((attempts, last), (vec![attempt(PACS, 445, "not-allowed")], 7));
    assert_eq!(archive.attempts(7, 100).unwrap(), (vec![], 7));
    assert_eq!((archive.attempts(0, 3).unwrap().1, archive.last_number().unwrap()), (3, 7));
}

#[test]
fn thousands_of_devices_that_do_the_same_are_one_event_of_a_kind() {
    let mut site = Site::new();
    let seen = |reading: u16| -> Vec<Seen> {
        (0..3_000_u32)
            .map(|number| {
                let peer = format!("10.20.{}.{}", number % 16, number % 200);
                let mut seen = to(&peer, 104, reading);
                seen.key.source = IpAddr::from([10, 10, (number >> 8) as u8, number as u8]).into();
                Seen { device: format!("device-{number}").as_str().into(), ..seen }
            })
            .collect()
    };
    site.read(30, &seen(1));
    site.read(WEEK, &seen(2));
    let begun = Instant::now();
    let told = site.read(30, &seen(3));
    let usual = begun.elapsed();
    assert_eq!(told, []);
    // All of them do something new, in a country that has to be looked up.
    let mut news = seen(4);
    news.iter_mut().for_each(|seen| seen.key.destination = address("203.0.113.9").into());
    let begun = Instant::now();
    let told = site.read(30, &news);
    eprintln!("as usual {usual:?}, all new {:?}", begun.elapsed());
    assert_eq!(told, [(What::NewPeer, 3_000), (What::NewCountry, 3_000)]);
}
