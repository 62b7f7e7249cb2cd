//! A feed or a country database that cannot be used any more: what was good before holds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use std::fs;
use std::path::PathBuf;

use iomt_filter::agent::store;
use iomt_filter::config::Config;
use iomt_filter::diagnostic::Diagnostic;
use iomt_filter::host::HostNetworks;
use iomt_filter::intent::{self, FeedState, Intent, Overrides};
use iomt_filter::numbers::Numbers;
use iomt_filter::rows::Prefix;
use ipnet::IpNet;
use mmdb_writer::{Value, Writer};
use tempfile::TempDir;

const FEED: &str = "[[feed]]\nname = \"c2\"\npath = \"c2.txt\"\nscore = 90\n";
const GEO: &str = "[geo]\ndatabase = \"country.mmdb\"\n";
const DENY: &str = "geo = { deny = [\"DE\"] }\n";

/// A host: its files, and a state folder that outlives every start.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new(config: &str, policy: &str) -> Self {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(site.path("state")).unwrap();
        site.configure(config);
        site.write("policy.toml", format!("version = 1\n[profiles.ct]\n{policy}").as_bytes());
        let device =
            "[[device]]\nname = \"ct-1\"\nmac = \"0200.0000.0001\"\nip = [\"10.0.0.1\"]\nprofile = \"ct\"\n";
        site.write("devices.toml", device.as_bytes());
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn configure(&self, more: &str) {
        let base = "[interfaces]\ndevice = [\"eth1\"]\n[paths]\nstate = \"state\"\n";
        self.write("config.toml", format!("{base}{more}").as_bytes());
    }

    /// What `check` does: reads, and writes nothing.
    fn read(&self) -> Result<Intent, Vec<Diagnostic>> {
        let config = Config::load(&self.path("config.toml"))?;
        let host = HostNetworks::default();
        intent::read(&config, &Overrides::default(), &host, &mut Numbers::default(), &[], Vec::new())
    }

    /// What the agent does with what it has made active.
    fn activate(&self) -> Intent {
        let mut intent = self.read().unwrap();
        let last_good = intent.last_good.take().unwrap();
        assert!(store::keep(&self.path("state"), &last_good).is_empty());
        intent
    }

    fn copies(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("state/feeds")).into_iter().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn is_listed(intent: &Intent, network: &str) -> bool {
    intent.rows.listings.get(&Prefix::from(network.parse::<IpNet>().unwrap())).is_some()
}

fn database() -> Vec<u8> {
    let record = Value::map([("country_code", Value::from("DE"))]);
    let mut writer = Writer::new("Country");
    writer.insert_value("8.8.0.0/16".parse::<IpNet>().unwrap(), record).unwrap();
    writer.to_bytes().unwrap()
}

#[test]
fn a_feed_that_cannot_be_loaded_stays_as_it_was() {
    let broken: &[(&str, &str, Option<&[u8]>)] = &[
        ("missing", "kept", None),
        ("empty", "held", Some(b"")),
        ("comments", "held", Some(b"# nothing here\n")),
        ("HTML", "kept", Some(b"<!doctype html>\n<p>203.0.113.9\n")),
        ("binary", "kept", Some(b"\x1f\x8b\0\0")),
        ("cut in the first line", "kept", Some(b"203.0.1")),
        ("nothing that may be listed", "held", Some(b"127.0.0.1\n10.0.0.1\n")),
    ];
    for (what, state, content) in broken {
        let site = Site::new(FEED, "");
        site.write("c2.txt", b"203.0.113.9\n203.0.113.77\n");
        assert_eq!(site.activate().feeds[0].state, FeedState::Loaded);
        match content {
            Some(bytes) => site.write("c2.txt", bytes),
            None => fs::remove_file(site.path("c2.txt")).unwrap(),
        }
        // Twice: a copy that stands in is a copy still.
        for _ in 0..2 {
            let intent = site.activate();
            assert!(is_listed(&intent, "203.0.113.77/32"), "{what}");
            let feed = &intent.feeds[0];
            assert_eq!(serde_json::to_value(&**feed).unwrap()["state"], *state, "{what}");
            assert_eq!(feed.entries, 2);
            let warning = intent.warnings.iter().map(ToString::to_string).collect::<String>();
            match &feed.state {
                FeedState::Kept(reason) => {
                    assert!(reason.contains("its last good copy is of 2"), "{reason}");
                    assert!(warning.contains("feed `c2` cannot be loaded and stays as it was"), "{warning}");
                    assert!(warning.contains("`enabled = false`"), "{warning}");
                }
                _ => assert!(warning.contains("feed `c2` stays as it was: a new list is held"), "{warning}"),
            }
        }
        site.write("c2.txt", b"198.51.100.1\n");
        let intent = site.activate();
        assert!(is_listed(&intent, "198.51.100.1/32") && !is_listed(&intent, "203.0.113.9/32"), "{what}");
        assert_eq!(site.copies(), ["c2.json", "c2.list"], "what waited is let go");
    }
}

#[test]
fn a_feed_is_emptied_on_purpose() {
    for emptied in ["", "[[feed]]\nname = \"c2\"\npath = \"c2.txt\"\nenabled = false\n"] {
        let site = Site::new(FEED, "");
        site.write("c2.txt", b"203.0.113.9\n");
        site.activate();
        assert_eq!(site.copies(), ["c2.json", "c2.list"]);
        fs::remove_file(site.path("c2.txt")).unwrap();
        site.configure(emptied);
        assert!(site.activate().rows.listings.is_empty());
        assert!(site.copies().is_empty());
        site.configure(FEED);
        let intent = site.activate();
        assert!(intent.rows.listings.is_empty(), "what was given up does not come back");
        assert!(matches!(intent.feeds[0].state, FeedState::NotLoaded(_)));
    }
}

#[test]
fn a_copy_is_as_old_as_its_file_and_passes_the_guard_again() {
    let site = Site::new(FEED, "");
    site.write("c2.txt", b"203.0.113.9\n203.0.113.77\n");
    let loaded = site.activate();
    fs::remove_file(site.path("c2.txt")).unwrap();
    let more = "[management]\nallow = [{ ip = \"203.0.113.9\", ports = [\"22/tcp\"] }]\n";
    site.configure(&format!("{more}{FEED}"));
    let kept = site.activate();
    assert_eq!(kept.feeds[0].updated, loaded.feeds[0].updated);
    assert!(!is_listed(&kept, "203.0.113.9/32") && is_listed(&kept, "203.0.113.77/32"));
}

#[test]
fn reading_writes_nothing_and_the_same_is_not_written_again() {
    let site = Site::new(FEED, "");
    site.write("c2.txt", b"203.0.113.9\n");
    site.read().unwrap();
    assert_eq!(fs::read_dir(site.path("state")).unwrap().count(), 0);
    site.activate();
    let inode = || {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(site.path("state").join(iomt_filter::intent::copies::Kind::List.of("c2"))).unwrap().ino()
    };
    let before = inode();
    site.write("c2.txt", b"203.0.113.9\n");
    site.activate();
    assert_eq!(inode(), before);
}

#[test]
fn a_reload_never_loses_countries_that_a_profile_refuses() {
    for damaged in [None, Some(b"\xab\xcd\xefMaxMind.com".as_slice())] {
        let site = Site::new(GEO, DENY);
        let damage = || match damaged {
            Some(bytes) => site.write("country.mmdb", bytes),
            None => drop(fs::remove_file(site.path("country.mmdb"))),
        };
        damage();
        // At a first start there is nothing to lose, and damage stops.
        assert_eq!(site.read().is_err(), damaged.is_some());
        site.write("country.mmdb", &database());
        let running = site.activate();
        assert!(running.loses(&running).is_none());
        damage();
        let reload = site.read().unwrap();
        let lost = reload.loses(&running).expect("a reload is refused");
        assert!(lost.is_error() && lost.to_string().contains("country.mmdb"), "{lost}");
        // The copy is what a start has.
        assert!(reload.loses(&Intent::default()).is_none());
        assert_eq!(reload.rows.countries, running.rows.countries);
        assert!(reload.geo.unwrap().kept.unwrap().contains("its last good copy is of 2"));
        // Without the copy a reload still does not do without.
        fs::remove_file(site.path("state/country.mmdb")).unwrap();
        let is_refused = site.read().map_or(true, |reload| reload.loses(&running).is_some());
        assert!(is_refused);
        // What no profile needs, none can lose.
        site.write("policy.toml", b"version = 1\n[profiles.ct]\n");
        assert!(site.read().unwrap().loses(&running).is_none());
    }
}
