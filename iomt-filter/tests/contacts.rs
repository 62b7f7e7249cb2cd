//! Who talked to whom, in real databases: counted once, asked by address and device, damaged, full, killed, large.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may"
)]

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use iomt_filter::contacts::{Bounds, Contact, Contacts, Direction, Opening, Reading, Seen};
use iomt_filter::database::DatabaseError;
use iomt_filter_common::flow::{Flow, FlowKey};
use iomt_filter_common::packet::protocol;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;
use tempfile::TempDir;

/// Where the process that is to be killed finds its database.
const VICTIM: &str = "IOMT_FILTER_TEST_VICTIM";

fn key(source: &str, destination: &str, port: u16) -> FlowKey {
    let address = |text: &str| text.parse::<IpAddr>().unwrap().into();
    FlowKey {
        source: address(source),
        destination: address(destination),
        source_port: 49_152,
        destination_port: port,
        protocol: protocol::TCP,
        ..FlowKey::default()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A flow of a CT, as it stands after so many packets of 100 bytes.
fn seen(key: FlowKey, packets: u64, second: i64) -> Seen {
    Seen {
        device: "ct-1".into(),
        direction: Direction::FromDevice,
        key,
        packets,
        bytes: packets * 100,
        last_seen: at(second),
        forgotten: 1_000_000_000_000,
        is_outside: false,
        opening: Opening::default(),
    }
}

fn numbered(number: u32) -> Seen {
    let peer = Ipv4Addr::from(0xc612_0000 + number).to_string(); // 198.18.0.0/15, for benchmarks (RFC 2544)
    Seen {
        device: format!("device-{}", number % 500).into(),
        ..seen(key("10.0.0.1", &peer, 443), 3, i64::from(number % 86_400))
    }
}

fn reading(until: u64) -> Reading {
    Reading { boot: 7, until }
}

struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("history.db")
    }

    fn open(&self) -> Contacts {
        Contacts::open(&self.path()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn counts(contacts: &[Contact]) -> Vec<(u64, u64)> {
    contacts.iter().map(|contact| (contact.packets, contact.bytes)).collect()
}

fn of_device(contacts: &Contacts, name: &str) -> Vec<Contact> {
    contacts.latest(Some(name), None, Timestamp::MIN, usize::MAX).unwrap()
}

fn of(contacts: &Contacts, network: &str) -> Vec<Contact> {
    contacts.of_peer(network.parse::<IpNet>().unwrap(), 100, 1_000).unwrap().contacts
}

#[test]
fn of_many_contacts_the_latest_are_told_and_the_others_counted() {
    let site = Site::new();
    let contacts = site.open();
    let seen: Vec<_> = (0..5_000).map(numbered).collect();
    contacts.record(&seen, reading(1)).unwrap();
    let all: IpNet = "198.18.0.0/15".parse().unwrap();
    let found = contacts.of_peer(all, 10, 10_000).unwrap();
    assert_eq!((found.contacts.len(), found.more, found.looked_at_all), (10, 4_990, true));
    let latest: Vec<_> = found.contacts.iter().map(|contact| contact.last_seen).collect();
    assert_eq!(latest, (0..10).map(|ago| at(4_999 - ago)).collect::<Vec<_>>());
    assert_eq!(&*found.contacts[0].device, "device-499");
    let found = contacts.of_peer(all, 10, 1_000).unwrap();
    assert_eq!((found.contacts.len(), found.more, found.looked_at_all), (10, 990, false));
    let found = contacts.of_peer(all, 10_000, 5_000).unwrap();
    assert_eq!((found.contacts.len(), found.more, found.looked_at_all), (5_000, 0, true));
    let found = contacts.of_peer("203.0.113.0/24".parse().unwrap(), 10, 10).unwrap();
    assert_eq!((found.contacts.len(), found.more, found.looked_at_all), (0, 0, true));
}

#[test]
fn a_flow_is_counted_once_however_often_it_is_read() {
    let site = Site::new();
    let contacts = site.open();
    let https = key("10.0.0.1", "203.0.113.9", 443);
    contacts.record(&[seen(https, 10, 0)], reading(1)).unwrap();
    contacts.record(&[seen(https, 10, 0)], reading(2)).unwrap();
    contacts.record(&[seen(https, 25, 60)], reading(3)).unwrap();
    // An agent that is started anew goes on where the one before it was.
    drop(contacts);
    let contacts = site.open();
    assert_eq!(contacts.begin(7).unwrap(), reading(3));
    contacts.record(&[seen(https, 30, 90)], reading(4)).unwrap();
    let found = of(&contacts, "203.0.113.9/32");
    assert_eq!(counts(&found), [(30, 3_000)]);
    assert_eq!((found[0].first_seen, found[0].last_seen), (at(0), at(90)));
    // It ended, and began anew between the same ends.
    contacts.record(&[seen(https, 4, 120)], reading(5)).unwrap();
    assert_eq!(counts(&of(&contacts, "203.0.113.9/32")), [(34, 3_400)]);
    // In another boot its table is a new one, whatever its count.
    assert_eq!(contacts.begin(8).unwrap(), Reading { boot: 8, until: 0 });
    contacts.record(&[seen(https, 50, 150)], Reading { boot: 8, until: 1 }).unwrap();
    assert_eq!(counts(&of(&contacts, "203.0.113.9/32")), [(84, 8_400)]);
}

#[test]
fn what_no_rule_allows_is_told_apart_and_counted_beside_what_one_allows_by_now() {
    let site = Site::new();
    let contacts = site.open();
    let key = key("10.0.0.1", "203.0.113.9", 443);
    let outside = |packets, second| Seen { is_outside: true, ..seen(key, packets, second) };
    contacts.record(&[outside(3, 10)], reading(1)).unwrap();
    assert!(!contacts.far_ends(at(0)).unwrap()[0].was_allowed());
    contacts.record(&[outside(5, 20)], reading(2)).unwrap();
    // The same ends under a rule, while the other table still has them.
    contacts.record(&[outside(5, 20), seen(key, 2, 30)], reading(3)).unwrap();
    contacts.record(&[outside(5, 20), seen(key, 4, 40)], reading(4)).unwrap();
    let found = contacts.far_ends(at(0)).unwrap();
    assert_eq!(counts(&found), [(9, 900)]);
    assert_eq!((found[0].outside, found[0].last_outside), (5, Some(at(20))));
    assert!(found[0].was_allowed());
}

#[test]
fn a_database_of_the_first_version_is_brought_up_to_date() {
    let site = Site::new();
    site.open().record(&[seen(key("10.0.0.1", "203.0.113.9", 443), 3, 10)], reading(1)).unwrap();
    let raw = Connection::open(site.path()).unwrap();
    let older = "ALTER TABLE contact DROP COLUMN outside; ALTER TABLE contact DROP COLUMN last_outside; \
         DROP TABLE outside; DROP TABLE day; DROP TABLE folding; DROP TABLE attempt; DROP TABLE drift; \
         DROP TABLE baseline; DROP TABLE watch; PRAGMA user_version = 1";
    raw.execute_batch(older).unwrap();
    drop(raw);
    assert!(matches!(Contacts::open_to_read(&site.path()), Err(DatabaseError::Damaged { .. })));
    let found = site.open().far_ends(at(0)).unwrap();
    assert_eq!((found[0].packets, found[0].outside, found[0].last_outside), (3, 0, None));
}

#[test]
fn flows_of_one_service_are_one_contact_and_directions_are_apart() {
    let contacts_of = |contacts: &Contacts| {
        let found = of_device(contacts, "ct-1");
        found
            .into_iter()
            .map(|contact| (contact.peer.to_string(), contact.port, contact.direction, contact.packets))
            .collect::<Vec<_>>()
    };
    let site = Site::new();
    let contacts = site.open();
    let other_port = FlowKey { source_port: 50_000, ..key("10.0.0.1", "203.0.113.9", 443) };
    let from_peer =
        Seen { direction: Direction::ToDevice, ..seen(key("203.0.113.9", "10.0.0.1", 104), 5, 30) };
    let ping = FlowKey {
        protocol: protocol::ICMP,
        source_port: 77,
        destination_port: 0,
        ..key("10.0.0.1", "203.0.113.9", 0)
    };
    let all = [
        seen(key("10.0.0.1", "203.0.113.9", 443), 10, 20),
        seen(other_port, 1, 20),
        from_peer,
        seen(ping, 2, 10),
    ];
    contacts.record(&all, reading(1)).unwrap();
    let peer = || "203.0.113.9".to_owned();
    let expected = [
        (peer(), Some(104), Direction::ToDevice, 5),
        (peer(), Some(443), Direction::FromDevice, 11),
        (peer(), None, Direction::FromDevice, 2),
    ];
    assert_eq!(contacts_of(&contacts), expected);
    assert!(of_device(&contacts, "ct-2").is_empty());
    let shown = serde_json::to_value(&of_device(&contacts, "ct-1")[0]).unwrap();
    assert_eq!(
        (&shown["protocol"], &shown["direction"], &shown["peer"]),
        (&"tcp".into(), &"to-device".into(), &"203.0.113.9".into())
    );
}

#[test]
fn a_flow_between_two_devices_is_a_contact_of_both() {
    let flow = Flow { opener: 1, responder: 2, packets: 6, bytes: 600, last_seen: 5, ..Flow::default() };
    let key = key("10.0.0.1", "10.0.0.2", 443);
    let name = |number| Some(if number == 1 { "pump-1" } else { "pump-2" }.into());
    let seen: Vec<_> = Seen::of(&key, &flow, name, |_| at(0)).collect();
    let site = Site::new();
    let contacts = site.open();
    contacts.record(&seen, reading(1)).unwrap();
    let peer = |device| {
        of_device(&contacts, device)
            .into_iter()
            .map(|c| (c.peer.to_string(), c.direction))
            .collect::<Vec<_>>()
    };
    assert_eq!(peer("pump-1"), [("10.0.0.2".to_owned(), Direction::FromDevice)]);
    assert_eq!(peer("pump-2"), [("10.0.0.1".to_owned(), Direction::ToDevice)]);
    // A device whose number nobody knows has no name to be kept by.
    assert_eq!(
        Seen::of(&key, &flow, |number| (number == 2).then(|| Arc::from("pump-2")), |_| at(0)).count(),
        1
    );
}

#[test]
fn prefixes_hold_what_lies_in_them_and_families_are_apart() {
    let site = Site::new();
    let contacts = site.open();
    let peers = [
        "203.0.113.0",
        "203.0.113.255",
        "203.0.114.0",
        "10.20.0.10",
        "224.0.1.1",
        "255.255.255.255",
        "2001:db8::1",
        "2001:db8:ffff::1",
        "::cb00:7100",
        "ff02::fb",
    ];
    let all: Vec<_> = peers.iter().map(|peer| seen(key("10.0.0.1", peer, 443), 1, 0)).collect();
    contacts.record(&all, reading(1)).unwrap();
    let peers_in =
        |network| of(&contacts, network).iter().map(|contact| contact.peer.to_string()).collect::<Vec<_>>();
    assert_eq!(peers_in("203.0.113.0/24"), ["203.0.113.0", "203.0.113.255"]);
    assert_eq!(peers_in("203.0.113.255/32"), ["203.0.113.255"]);
    assert_eq!(peers_in("0.0.0.0/0").len(), 6, "every IPv4 address, private, of groups, and broadcast");
    assert_eq!(peers_in("2001:db8::/32"), ["2001:db8::1", "2001:db8:ffff::1"]);
    assert_eq!(peers_in("2001:db8::/48"), ["2001:db8::1"]);
    assert_eq!(peers_in("::/96"), ["::cb00:7100"], "an IPv6 prefix holds no IPv4 address");
    assert_eq!(contacts.far_ends(at(0)).unwrap().len(), peers.len());
    assert!(contacts.far_ends(at(1)).unwrap().is_empty());
}

#[test]
fn what_is_old_or_too_much_goes_and_the_rest_stays() {
    let site = Site::new();
    let contacts = site.open();
    let all: Vec<_> =
        (0..50_000).map(|number| Seen { last_seen: at(i64::from(number)), ..numbered(number) }).collect();
    contacts.record(&all, reading(1)).unwrap();
    let bounds = Bounds { age: Duration::from_secs(40_000), contacts: 60_000, ..Bounds::default() };
    assert_eq!(contacts.retain(&bounds, at(50_000), 0).unwrap(), 10_000);
    assert_eq!(
        contacts.far_ends(Timestamp::MIN).unwrap().iter().map(|contact| contact.last_seen).min(),
        Some(at(10_000))
    );
    let fewer = Bounds { contacts: 1_000, ..bounds };
    assert_eq!(contacts.retain(&fewer, at(50_000), 0).unwrap(), 39_000);
    assert_eq!(contacts.count().unwrap(), 1_000);
    assert_eq!(
        contacts.retain(&bounds, at(50_000) + SignedDuration::from_hours(48), u64::MAX).unwrap(),
        1_000
    );
    // A flow whose count was let go is a new one.
    contacts.record(&all[..1], reading(2)).unwrap();
    assert_eq!(counts(&contacts.far_ends(at(0)).unwrap()), [(3, 300)]);
}

#[test]
fn a_full_database_says_so_and_goes_on_once_there_is_room() {
    let site = Site::new();
    let contacts = site.open();
    let bounds = Bounds { bytes: 1 << 20, contacts: 100, ..Bounds::default() };
    contacts.limit(&bounds).unwrap();
    let all: Vec<_> = (0..20_000).map(numbered).collect();
    let small = &all[..500];
    contacts.record(small, reading(1)).unwrap();
    let error = contacts.record(&all, reading(2)).unwrap_err();
    assert!(matches!(error, DatabaseError::Full { .. }), "{error}");
    assert!(error.to_string().contains("is the disk full?"));
    // What was there is still there, whole, and the reading counts as not done.
    assert_eq!((contacts.count().unwrap(), contacts.begin(7).unwrap()), (500, reading(1)));
    contacts.retain(&bounds, at(86_400), u64::MAX).unwrap();
    contacts.record(&all[600..700], reading(3)).unwrap();
    assert_eq!(contacts.count().unwrap(), 200);
    assert!(fs::metadata(site.path()).unwrap().len() <= bounds.bytes);
}

#[test]
fn a_damaged_database_is_moved_aside_and_a_new_one_begun() {
    let site = Site::new();
    let contacts = site.open();
    contacts.record(&(0..5_000).map(numbered).collect::<Vec<_>>(), reading(1)).unwrap();
    drop(contacts);
    let sound = fs::read(site.path()).unwrap();
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.truncate(bytes.len() / 2 + 100),
        |bytes| bytes[..100].fill(b'x'),
        |bytes| bytes[4_096..200_000].fill(0xa5),
        |bytes| {
            *bytes =
                b"these are no bytes of a database, and enough of them to be none of an empty one".to_vec()
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        let mut bytes = sound.clone();
        damage(&mut bytes);
        fs::write(site.path(), &bytes).unwrap();
        let error = Contacts::open(&site.path()).unwrap_err();
        assert!(matches!(error, DatabaseError::Damaged { .. }), "{number}: {error}");
        let (contacts, aside) = Contacts::open_or_begin(&site.path(), at(number as i64)).unwrap();
        assert_eq!(contacts.count().unwrap(), 0, "{number}");
        contacts.record(&[numbered(1)], reading(1)).unwrap();
        let aside = aside.unwrap();
        assert!(
            aside
                .to_str()
                .unwrap()
                .ends_with(&format!("history.db.damaged-{}", at(number as i64).as_second()))
        );
        assert!(fs::read(&aside).unwrap() == bytes, "{number}: it is kept as it was");
        drop(contacts);
        let damaged = site.names().iter().filter(|name| name.contains("damaged")).count();
        assert_eq!(damaged, 1, "of those before, none is left: {:?}", site.names());
    }
}

#[test]
fn damage_that_nobody_looked_for_is_told_by_the_question_that_meets_it() {
    let site = Site::new();
    let contacts = site.open();
    contacts.record(&(0..20_000).map(numbered).collect::<Vec<_>>(), reading(1)).unwrap();
    drop(contacts);
    let mut bytes = fs::read(site.path()).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xa5);
    fs::write(site.path(), &bytes).unwrap();
    let reader = Contacts::open_to_read(&site.path()).unwrap();
    let told = reader.far_ends(Timestamp::MIN);
    assert!(matches!(told, Err(DatabaseError::Damaged { .. })), "{told:?}");
    drop(reader);
    let (contacts, _) = Contacts::begin_anew(&site.path(), "a test", at(0)).unwrap();
    contacts.record(&[numbered(1)], reading(1)).unwrap();
}

#[test]
fn a_database_of_a_newer_program_is_refused_and_left_as_it_is() {
    let site = Site::new();
    site.open().record(&[numbered(1)], reading(1)).unwrap();
    Connection::open(site.path()).unwrap().pragma_update(None, "user_version", 9).unwrap();
    let before = fs::read(site.path()).unwrap();
    let message = |opened: Result<Contacts, DatabaseError>| opened.unwrap_err().to_string();
    for error in [message(Contacts::open(&site.path())), message(Contacts::open_to_read(&site.path()))] {
        assert!(error.contains("is of version 9, and this program knows version 3 at most"), "{error}");
    }
    assert!(Contacts::open_or_begin(&site.path(), at(0)).is_err());
    assert!(fs::read(site.path()).unwrap() == before);
    assert!(!site.names().iter().any(|name| name.contains("damaged")));
}

#[test]
fn others_read_while_one_writes_and_cannot_write() {
    let site = Site::new();
    assert!(Contacts::open_to_read(&site.path()).is_err(), "there is none yet");
    let contacts = site.open();
    contacts.record(&[numbered(1)], reading(1)).unwrap();
    let reader = Contacts::open_to_read(&site.path()).unwrap();
    assert_eq!(reader.count().unwrap(), 1);
    contacts.record(&[numbered(2)], reading(2)).unwrap();
    assert_eq!(reader.count().unwrap(), 2);
    assert!(reader.record(&[numbered(3)], reading(3)).is_err());
}

/// What the victim below does: large transactions without end. Without its variable it does nothing.
#[test]
fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else { return };
    let contacts = Contacts::open(Path::new(&path)).unwrap();
    for round in 1.. {
        let all: Vec<_> = (0..40_000)
            .map(|number| Seen { packets: round, bytes: round * 100, ..numbered(number) })
            .collect();
        eprintln!("writing");
        contacts.record(&all, reading(round)).unwrap();
    }
}

#[test]
fn a_kill_in_the_middle_of_a_transaction_leaves_a_database_that_is_whole() {
    use std::io::{BufRead as _, BufReader};
    let site = Site::new();
    let mut last = 0;
    for delay in [0, 40, 90, 150, 230] {
        let mut victim = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "victim", "--nocapture"])
            .env(VICTIM, site.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(victim.stderr.take().unwrap()).lines();
        for _ in 0..2 {
            assert!(lines.any(|line| line.unwrap().contains("writing")));
        }
        std::thread::sleep(Duration::from_millis(delay));
        victim.kill().unwrap();
        victim.wait().unwrap();

        let contacts = site.open();
        let done = contacts.begin(7).unwrap().until;
        let found = contacts.far_ends(Timestamp::MIN).unwrap();
        assert_eq!(found.len(), 40_000);
        // Each transaction is there whole or not at all: every contact has had the same rounds.
        let packets: Vec<_> = found.iter().map(|contact| contact.packets).collect();
        assert!(packets.iter().all(|count| *count == packets[0]), "{done}");
        assert!(packets[0] >= last.max(1));
        last = packets[0];
    }
}

/// A figure, and a bound that a busy machine keeps as well.
#[test]
fn a_million_contacts_are_asked_in_well_under_a_second() {
    let site = Site::new();
    let contacts = site.open();
    contacts.limit(&Bounds::default()).unwrap();
    // 131,072 far ends of 198.18.0.0/15, several ports each.
    let all: Vec<_> = (0..1_000_000_u32)
        .map(|number| {
            let mut seen = numbered(number % 131_072);
            seen.key.destination_port = (number / 131_072) as u16;
            seen
        })
        .collect();
    let timed = |what: &str, work: &mut dyn FnMut() -> usize| {
        let begun = Instant::now();
        let count = work();
        let took = begun.elapsed();
        eprintln!("{what}: {count} in {took:?}");
        took
    };
    timed("recorded, all new", &mut || contacts.record(&all, reading(1)).map(|()| all.len()).unwrap());
    timed("recorded, 10,000 of them anew", &mut || {
        contacts.record(&all[..10_000], reading(2)).map(|()| 10_000).unwrap()
    });
    let far_ends = timed("far ends", &mut || contacts.far_ends(Timestamp::MIN).unwrap().len());
    let peer = timed("of a /24", &mut || of(&contacts, "198.18.7.0/24").len());
    let device = timed("of a device", &mut || of_device(&contacts, "device-7").len());
    let latest =
        timed("the latest of all", &mut || contacts.latest(None, None, at(3_600), 1_000).unwrap().len());
    assert!(latest < Duration::from_secs(5), "{latest:?}");
    timed("opened and checked", &mut || site.open().count().unwrap() as usize);
    timed("let go", &mut || {
        contacts.retain(&Bounds { contacts: 500_000, ..Bounds::default() }, at(86_400), 0).unwrap() as usize
    });
    eprintln!("{} MiB", fs::metadata(site.path()).unwrap().len() >> 20);
    assert!(peer < Duration::from_millis(500) && device < Duration::from_millis(500));
    assert!(far_ends < Duration::from_secs(5), "a debug build on a busy machine");
}
