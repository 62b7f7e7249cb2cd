//! Country databases of every kind: sound, of something else, too old, damaged, and made to do harm.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use iomt_filter::config::Config;
use iomt_filter::diagnostic::SourceFile;
use iomt_filter::geo::{CountryDatabase, DatabaseError, Distinctions, expand};
use iomt_filter::host::HostNetworks;
use iomt_filter::intent::{self, Intent, Overrides};
use iomt_filter::numbers::Numbers;
use iomt_filter::policy::Policy;
use iomt_filter_common::geo::Country;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use mmdb_writer::{IpVersion, RecordSize, Value, Writer};
use proptest::prelude::*;

/// Longer than any of these small files may take, by far.
const BOUND: Duration = Duration::from_secs(5);

fn writer(version: IpVersion, size: RecordSize, built: u64) -> Writer {
    let builder = Writer::builder("Test-Country").ip_version(version).record_size(size);
    builder.build_epoch(UNIX_EPOCH + Duration::from_secs(built)).build()
}

fn record(code: &str) -> Value {
    Value::map([("country", Value::map([("iso_code", Value::from(code))]))])
}

/// A small database of documentation addresses.
fn sample(version: IpVersion, size: RecordSize) -> Vec<u8> {
    let mut writer = writer(version, size, 1_767_225_600);
    for (network, code) in [
        ("192.0.2.0/24", "DE"),
        ("203.0.113.0/24", "FR"),
        ("198.51.100.0/25", "DE"),
        ("198.51.100.128/25", "DE"),
    ] {
        writer.insert_value(network.parse::<IpNet>().unwrap(), record(code)).unwrap();
    }
    if version == IpVersion::V6 {
        writer.insert_value("2001:db8::/32".parse::<IpNet>().unwrap(), record("US")).unwrap();
    }
    writer.to_bytes().unwrap()
}

fn distinctions() -> Distinctions {
    let text = "version = 1\n[profiles.ct]\ngeo = { allow = [\"DE\", \"US\"] }\n";
    Distinctions::of(&Policy::parse(&SourceFile::new("policy.toml", text)).unwrap().0)
}

/// Opens and expands, and looks some addresses up; how many prefixes there are.
fn read(bytes: Vec<u8>) -> Result<usize, DatabaseError> {
    let database = CountryDatabase::open(bytes)?;
    let _ = (database.kind(), database.built());
    for address in
        ["0.0.0.0", "192.0.2.8", "203.0.113.9", "255.255.255.255", "::", "2001:db8::1", "::ffff:192.0.2.8"]
    {
        let _ = database.country(address.parse().unwrap());
    }
    Ok(expand(&database, &distinctions())?.len())
}

#[test]
fn every_size_of_record_in_both_versions() {
    for size in [RecordSize::Bits24, RecordSize::Bits28, RecordSize::Bits32] {
        for (version, prefixes) in [(IpVersion::V4, 3), (IpVersion::V6, 4)] {
            let bytes = sample(version, size);
            assert_eq!(read(bytes.clone()).unwrap(), prefixes, "{size:?} {version:?}");
            let database = CountryDatabase::open(bytes).unwrap();
            assert_eq!(database.country("192.0.2.8".parse().unwrap()), Some(*b"DE"));
            assert_eq!(database.country("::ffff:203.0.113.9".parse().unwrap()), Some(*b"FR"));
            let of_v6 = database.country("2001:db8::1".parse().unwrap());
            assert_eq!(of_v6, (version == IpVersion::V6).then_some(*b"US"));
            assert_eq!(database.built().unwrap().to_string(), "2026-01-01T00:00:00Z");
        }
    }
}

#[test]
fn a_database_of_something_else_is_told_by_its_kind() {
    let mut writer = Writer::new("Test-ASN");
    let record = Value::map([("autonomous_system_number", Value::from(64_500_u32))]);
    writer.insert_value("192.0.2.0/24".parse::<IpNet>().unwrap(), record).unwrap();
    let error = read(writer.to_bytes().unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "a `Test-ASN` database holds no countries");
    assert!(matches!(read(Writer::new("Empty").to_bytes().unwrap()), Err(DatabaseError::NoCountries(_))));
}

#[test]
fn a_database_that_ends_too_early_is_damaged_wherever_it_ends() {
    let bytes = sample(IpVersion::V6, RecordSize::Bits24);
    for length in 0..bytes.len() {
        let begun = Instant::now();
        // The end is the metadata: without any of it, what is left is none or another database.
        let _ = read(bytes[..length].to_vec());
        assert!(begun.elapsed() < BOUND, "{length}");
    }
    assert!(matches!(read(bytes[..bytes.len() / 2].to_vec()), Err(DatabaseError::Damaged(_))));
}

#[test]
fn a_node_that_leads_back_is_damage_and_no_endless_walk() {
    let bytes = sample(IpVersion::V4, RecordSize::Bits24);
    // Each record of the first nodes points at each of the nodes that there are.
    for record in 0..40 {
        for node in 0..60_u32 {
            let mut bytes = bytes.clone();
            bytes[record * 3..record * 3 + 3].copy_from_slice(&node.to_be_bytes()[1..]);
            let begun = Instant::now();
            let _ = read(bytes);
            assert!(begun.elapsed() < BOUND, "record {record} to node {node}");
        }
    }
}

#[test]
fn ipv4_that_leads_back_to_its_own_begin_is_damage() {
    let bytes = sample(IpVersion::V6, RecordSize::Bits24);
    // The node of `::/96` may be reached again, by aliases; from inside itself it is a circle.
    let child = |bytes: &[u8], node: usize, side: usize| {
        let at = node * 6 + side * 3;
        u32::from_be_bytes([0, bytes[at], bytes[at + 1], bytes[at + 2]]) as usize
    };
    let ipv4 = (0..96).fold(0, |node, _| child(&bytes, node, 0));
    let inner = child(&bytes, ipv4, 1); // all of the sample lies above `128.0.0.0`
    for side in [0, 1] {
        let mut bytes = bytes.clone();
        let at = inner * 6 + side * 3;
        bytes[at..at + 3].copy_from_slice(&(ipv4 as u32).to_be_bytes()[1..]);
        let begun = Instant::now();
        assert!(matches!(read(bytes), Err(DatabaseError::Damaged(_))), "side {side}");
        assert!(begun.elapsed() < BOUND);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_bytes_end_soon_and_without_panic(
        is_v6: bool,
        size in prop_oneof![Just(RecordSize::Bits24), Just(RecordSize::Bits28), Just(RecordSize::Bits32)],
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        keep in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let version = if is_v6 { IpVersion::V6 } else { IpVersion::V4 };
        let mut bytes = sample(version, size);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= byte;
        }
        if let Some(keep) = keep {
            // What is cut out of the middle leaves the metadata at the end.
            let at = keep.index(bytes.len());
            bytes.drain(at..(at + 16).min(bytes.len()));
        }
        let begun = Instant::now();
        let _ = read(bytes);
        prop_assert!(begun.elapsed() < BOUND);
    }
}

/// Every database of the folder that `IOMT_FILTER_CORPUS` names, and one that is given by its own name.
#[test]
fn every_database_of_the_corpus_is_read_or_refused() {
    let Some(folder) = std::env::var_os("IOMT_FILTER_CORPUS") else {
        return eprintln!("skipped: IOMT_FILTER_CORPUS names no folder with databases");
    };
    let mut files = Vec::new();
    for below in ["mmdb", "geo"] {
        find(&Path::new(&folder).join(below), &mut files);
    }
    files.sort();
    assert!(!files.is_empty(), "IOMT_FILTER_CORPUS has no databases in `mmdb/` and `geo/`");
    for file in files {
        let begun = Instant::now();
        let read = read(fs::read(&file).unwrap());
        let took = begun.elapsed();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        match &read {
            Ok(prefixes) => eprintln!("{name}: {prefixes} prefixes in {took:?}"),
            Err(error) => eprintln!("{name}: {error} ({took:?})"),
        }
        let has_countries = ["Country", "country", "City"].iter().any(|word| name.contains(word));
        assert_eq!(read.is_ok(), has_countries, "{name}: {read:?}");
        assert!(took < Duration::from_secs(60), "{name}");
    }
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "mmdb") {
            files.push(path);
        }
    }
}

/// What comes of a database that was made `days` ago, or of none, under a policy with these defaults.
fn site(days: Option<i64>, defaults: &str) -> Intent {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let config = r#"
[interfaces]
device = ["eth1"]
segments = ["10.0.0.0/24"]
[paths]
state = "state"
[geo]
database = "country.mmdb"
max_age = "90d"
"#;
    write("config.toml", config.as_bytes());
    let policy = format!(
        "version = 1\n[defaults]\n{defaults}\n[profiles.ct]\ngeo = {{ deny = [\"FR\"] }}\n[profiles.pump]\n"
    );
    write("policy.toml", policy.as_bytes());
    let devices = "name,mac,ip,vlan,profile\nct-1,02:00:00:00:00:01,10.0.0.1,,ct\n";
    write("devices.csv", devices.as_bytes());
    if let Some(days) = days {
        let built = Timestamp::now() - SignedDuration::from_hours(24 * days);
        let mut writer = writer(IpVersion::V6, RecordSize::Bits24, built.as_second() as u64);
        writer.insert_value("203.0.113.0/24".parse::<IpNet>().unwrap(), record("FR")).unwrap();
        write("country.mmdb", &writer.to_bytes().unwrap());
    }
    let config = Config::load(&folder.path().join("config.toml")).unwrap();
    let host = HostNetworks::default();
    intent::read(&config, &Overrides::default(), &host, &mut Numbers::default(), &[], Vec::new()).unwrap()
}

/// Whether the profiles refuse France, Germany, and what has no country.
fn refused(intent: &Intent, profile: &str) -> [bool; 3] {
    let names = &mut intent.rows.names.profiles.iter();
    let number = names.find(|(_, name)| *name == profile).map(|(&number, _)| number).unwrap();
    let row = intent.rows.profiles[&number];
    let known = [Country::from_code(*b"FR").unwrap(), Country::from_code(*b"DE").unwrap()];
    [known[0], known[1], Country::UNKNOWN].map(|country| row.has_geo != 0 && row.geo.denies(country))
}

fn warnings(intent: &Intent) -> String {
    intent.warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn an_old_database_is_warned_about_and_used_on_where_the_policy_says_nothing() {
    for defaults in ["", "geo_stale = \"keep\""] {
        let intent = site(Some(100), defaults);
        assert_eq!(refused(&intent, "ct"), [true, false, false]);
        assert!(warnings(&intent).contains("is 100 days old"), "{}", warnings(&intent));
        assert!(intent.geo.unwrap().stale);
    }
    assert!(!warnings(&site(Some(80), "")).contains("days old"));
}

#[test]
fn an_old_or_missing_database_refuses_all_public_addresses_where_the_policy_says_deny() {
    let deny = "geo_stale = \"deny\"";
    for days in [Some(100), None] {
        let intent = site(days, deny);
        assert_eq!(refused(&intent, "ct"), [true; 3], "{days:?}");
        assert_eq!(refused(&intent, "pump"), [false; 3], "a profile that says nothing of countries");
        assert!(warnings(&intent).contains("refuse every public address (`geo_stale`)"));
    }
    assert_eq!(refused(&site(Some(80), deny), "ct"), [true, false, false]);
}

#[test]
fn a_database_becomes_too_old_while_it_is_used_and_young_again_when_the_clock_is_set() {
    let intent = site(Some(80), "geo_stale = \"deny\"");
    let (mut numbers, now) = (Numbers::default(), Timestamp::now());
    assert!(intent.aged(&mut numbers, now).is_none());
    let later = now + SignedDuration::from_hours(24 * 11);
    let old = intent.aged(&mut numbers, later).unwrap().unwrap();
    assert_eq!(refused(&old, "ct"), [true; 3]);
    assert_eq!(old.rows.countries, intent.rows.countries);
    assert!(old.warnings[0].message.contains("is 91 days old"), "{}", warnings(&old));
    assert!(old.aged(&mut numbers, later).is_none(), "said once");
    // Blocks by hand leave it as it is.
    assert_eq!(warnings(&old.with_blocks(&mut numbers, &[])), warnings(&old));
    let young = old.aged(&mut numbers, now).unwrap().unwrap();
    assert_eq!((young.rows, young.warnings), (intent.rows, intent.warnings));
}
