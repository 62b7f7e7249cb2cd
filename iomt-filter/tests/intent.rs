//! From files to intent: what stops, what only warns, and what is held back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test may")]

use std::path::Path;

use iomt_filter::config::Config;
use iomt_filter::diagnostic::{Diagnostic, SourceFile};
use iomt_filter::feeds::{ManualBlock, Reason};
use iomt_filter::host::HostNetworks;
use iomt_filter::intent::{self, FeedState, Intent, Overrides};
use iomt_filter::numbers::Numbers;
use iomt_filter::policy::model::Grant;
use iomt_filter::rows::Prefix;
use iomt_filter_common::geo::Country;
use iomt_filter_common::policy::RuleDirection;
use iomt_filter_common::reputation::Listing;
use ipnet::IpNet;
use jiff::Timestamp;
use mmdb_writer::{Value, Writer};

const CONFIG: &str = "[interfaces]\ndevice = [\"eth1\"]\nsegments = [\"10.0.0.0/24\"]\n";
const POLICY: &str = "version = 1\n[profiles.ct]\n";
const DEVICES: &str = "[[device]]\nname = \"ct-1\"\nmac = \"0200.0000.0001\"\nip = [\"10.0.0.1\", \"fd00::1\"]\nvlan = 7\nprofile = \"ct\"\nmode = \"learn\"\n";

/// A folder with a configuration of `extra` lines, a policy of `policy`, and what `more` puts there.
fn load(
    extra: &str,
    policy: &str,
    more: &[(&str, &[u8])],
    blocks: &[ManualBlock],
) -> Result<Intent, Vec<Diagnostic>> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("config.toml", format!("{CONFIG}{extra}").as_bytes());
    write("policy.toml", format!("{POLICY}{policy}").as_bytes());
    write("devices.toml", DEVICES.as_bytes());
    more.iter().for_each(|(name, bytes)| write(name, bytes));
    let config = Config::load(&folder.path().join("config.toml"))?;
    let own = vec!["10.9.0.1/24".parse().unwrap(), "198.51.100.1/28".parse().unwrap()];
    let host = HostNetworks { interfaces: [("eth0".to_owned(), own)].into() };
    intent::read(&config, &Overrides::default(), &host, &mut Numbers::default(), blocks, Vec::new())
}

fn text(found: &[Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn listing(intent: &Intent, network: &str) -> Option<Listing> {
    let prefix = Prefix::from(network.parse::<IpNet>().unwrap());
    let rows = &intent.rows;
    rows.blocks.get(&prefix).or_else(|| rows.listings.get(&prefix)).copied()
}

fn block(target: &str) -> ManualBlock {
    let target = target.parse().unwrap();
    ManualBlock { target, score: 100, until: None, note: None, added: Timestamp::now(), by: "test".into() }
}

#[test]
fn a_device_of_its_own_mode() {
    let intent = load("", "", &[], &[]).unwrap();
    assert_eq!(text(&intent.warnings), "");
    assert_eq!((intent.rows.devices[&1].vlan, intent.rows.devices[&1].mode), (7, 1));
    assert_eq!(intent.rows.device_addresses.len(), 2);
}

#[test]
fn feeds_never_stop_the_start() {
    let feeds = "
[[feed]]\nname = \"far\"\nurl = \"https://lists.example/x\"
[[feed]]\nname = \"gone\"\npath = \"gone.txt\"
[[feed]]\nname = \"page\"\npath = \"page.txt\"
[[feed]]\nname = \"off\"\npath = \"gone.txt\"\nenabled = false
[[feed]]\nname = \"json\"\npath = \"page.txt\"\nformat = \"stix\"
";
    let intent = load(feeds, "", &[("page.txt", b"<!doctype html>\n203.0.113.9\n")], &[]).unwrap();
    let shown = text(&intent.warnings);
    for expected in [
        "feed `far` is not loaded: it has not been fetched yet",
        "feed `gone` is not loaded: failed to read",
        "feed `page` is not loaded: nothing of it can be used: line 1: this is HTML, not a list",
        "feed `json` is not loaded: nothing of it can be used",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
    assert_eq!(intent.feeds[3].state, FeedState::Disabled);
    assert!(intent.rows.listings.is_empty());
}

#[test]
fn lists_spare_what_is_ours() {
    let extra = "[management]\nallow = [{ ip = \"203.0.113.7\", ports = [\"22/tcp\"] }]\n[[feed]]\nname = \"c2\"\npath = \"c2.txt\"\nscore = 70\nmax_removed = 100\n";
    let policy = "[protected]\npairs = [{ device = \"ct-*\", peer = \"192.0.2.5\" }]\n";
    let list =
        b"203.0.113.0/24\n192.0.2.5\n198.51.100.9\n10.0.0.1\n192.168.0.0/16\n0.0.0.0/1\n9.9.9.7\n9.9.9.9\n";
    let blocks = [block("192.168.7.0/24"), block("10.0.0.1/32"), block("198.51.100.9/32")];
    let intent = load(extra, policy, &[("c2.txt", list)], &blocks).unwrap();
    let reasons: Vec<_> = intent.feeds[0].removed.iter().map(|removed| removed.reason).collect();
    let expected = [
        Reason::TooWide,
        Reason::PublicResolver,
        Reason::Private,
        Reason::Protected,
        Reason::Private,
        Reason::OwnNetwork,
        Reason::Management,
    ];
    assert_eq!(reasons, expected);
    assert_eq!(intent.feeds[0].entries, 2);
    assert_eq!(listing(&intent, "203.0.113.7/32"), Some(Listing::NONE));
    assert_eq!(listing(&intent, "9.9.9.7/32").unwrap().score, 70);
    assert_eq!(listing(&intent, "192.168.7.0/24").unwrap().feed, intent.feeds[1].number);
    assert_eq!(listing(&intent, "198.51.100.9/32").unwrap().feed, intent.feeds[1].number);
    assert_eq!(listing(&intent, "10.0.0.1/32"), None);
    assert!(
        text(&intent.warnings)
            .contains("block of `10.0.0.1/32` spares `10.0.0.1/32`: the address of a device")
    );
    assert_eq!(intent.rows.names.feeds.len(), 2);
}

#[test]
fn other_blocks_are_as_if_everything_had_been_read_with_them() {
    let extra = "[[feed]]\nname = \"c2\"\npath = \"c2.txt\"\nscore = 70\nmax_removed = 100\n";
    let policy = "[protected]\npairs = [{ device = \"ct-*\", peer = \"192.0.2.5\" }]\n";
    let list: &[(&str, &[u8])] = &[("c2.txt", b"203.0.113.9\n192.0.2.0/24\n9.9.9.0/24\n9.9.9.9\n9.9.9.9\n")];
    let blocks = [block("9.9.8.0/23"), block("192.0.2.4/30"), block("2001:db8::/32")];
    let whole = load(extra, policy, list, &blocks).unwrap();
    let mut numbers = Numbers { feeds: [("c2".to_owned(), 1)].into_iter().collect(), ..Numbers::default() };
    let later = load(extra, policy, list, &blocks[..1]).unwrap().with_blocks(&mut numbers, &blocks);
    assert_eq!(later.rows, whole.rows);
    assert_eq!(later.feeds.last(), whole.feeds.last());
}

#[test]
fn other_grants_change_nothing_else() {
    let extra = "[[feed]]\nname = \"c2\"\npath = \"c2.txt\"\nscore = 70\nmax_removed = 100\n";
    let list: &[(&str, &[u8])] = &[("c2.txt", b"203.0.113.9\n9.9.9.0/24\n")];
    let mut numbers = Numbers { feeds: [("c2".to_owned(), 1)].into_iter().collect(), ..Numbers::default() };
    let without = load(extra, "", list, &[]).unwrap();
    let device = without.rows.names.devices.values().next().unwrap().clone();
    let grant = Grant {
        device,
        direction: RuleDirection::To,
        peers: vec!["192.0.2.1".to_owned()],
        services: vec!["https".to_owned()],
        name: "grant 1 to 192.0.2.1 service https".to_owned(),
        expires: 1,
    };
    let with = without.with_grants(&mut numbers, vec![grant.clone()]).unwrap();
    assert_eq!(with.rows.grants.len(), 1);
    assert_eq!((&with.rows.listings, &with.rows.rules), (&without.rows.listings, &without.rows.rules));
    // A block by hand leaves them alone, and without them all is as before.
    let blocked = with.with_blocks(&mut numbers, &[block("9.9.8.0/24")]);
    assert_eq!(blocked.rows.grants, with.rows.grants);
    assert_eq!(with.with_grants(&mut numbers, Vec::new()).unwrap().rows, without.rows);
    let listed = Grant { peers: vec!["9.9.0.0/16".to_owned()], ..grant };
    assert!(with.examine(&listed).unwrap()[0].contains("is on a list"), "an entry lies inside");
}

#[test]
fn no_ipv6_line_of_a_feed_blocks_ipv4() {
    let extra = "[[feed]]\nname = \"c2\"\npath = \"c2.txt\"\n";
    for line in ["::/19", "::/32", "::/95", "::ffff:0:0/95", "::ffff:0.0.0.0/96", "::/1"] {
        let list = format!("{line}\n2001:db8::/32\n");
        let intent = load(extra, "", &[("c2.txt", list.as_bytes())], &[block(line)]).unwrap();
        assert_eq!(intent.rows.listings.len(), 1, "{line}: {:?}", intent.rows.listings);
        let feed = &intent.feeds[0];
        assert_eq!(feed.removed.len() + feed.faulty, 1, "{line}");
    }
}

#[test]
fn every_layout_of_a_country_database() {
    let text = |code: &str| Value::from(code);
    let iso = |code: &str| Value::map([("iso_code", text(code))]);
    for (record, layout) in [
        (Value::map([("country", iso("DE"))]), "GeoLite2"),
        (Value::map([("registered_country", iso("DE"))]), "GeoLite2, registered only"),
        (Value::map([("country_code", text("DE"))]), "ip-location-db"),
        (Value::map([("country", text("DE"))]), "IPinfo"),
        (Value::map([("country", text("Germany")), ("country_code", text("DE"))]), "IPinfo lite"),
    ] {
        let mut writer = Writer::new("Country");
        writer.insert_value("8.8.0.0/16".parse::<IpNet>().unwrap(), record).unwrap();
        let bytes = writer.to_bytes().unwrap();
        let extra = "[geo]\ndatabase = \"country.mmdb\"\n";
        let intent = load(extra, "geo = { deny = [\"DE\"] }\n", &[("country.mmdb", &bytes)], &[]).unwrap();
        let prefix = Prefix::from("8.8.0.0/16".parse::<IpNet>().unwrap());
        assert_eq!(
            intent.rows.countries.get(&prefix),
            Some(&Country::from_code(*b"DE").unwrap()),
            "{layout}"
        );
        let database = intent.countries.unwrap();
        assert_eq!(database.country("8.8.8.8".parse().unwrap()), Some(*b"DE"), "{layout}");
        assert_eq!(database.country("9.9.9.9".parse().unwrap()), None, "{layout}");
    }
}

#[test]
fn a_damaged_database_stops_only_who_needs_it() {
    let extra = "[geo]\ndatabase = \"country.mmdb\"\n";
    let damaged: &[(&str, &[u8])] = &[("country.mmdb", b"\xab\xcd\xefMaxMind.com")];
    let needs = "geo = { deny = [\"DE\"] }\n";
    assert!(
        text(&load(extra, needs, damaged, &[]).unwrap_err())
            .contains("cannot be used: the database is damaged")
    );
    assert!(text(&load(extra, "", damaged, &[]).unwrap().warnings).contains("cannot be used"));
    assert!(
        text(&load(extra, needs, &[], &[]).unwrap().warnings).contains("every country counts as unknown")
    );
    assert!(text(&load("", needs, &[], &[]).unwrap().warnings).contains("there is no country database"));
}

#[test]
fn every_mistake_of_a_configuration_at_once() {
    let config = r#"
[interface]
[interfaces]
device = ["eth1", "an-interface-name-too-long"]
uplink = ["eth1"]
mode = "natvie"
segments = ["10.0.0.1/24"]
[management]
allow = [ { ip = "10.0.0.300", ports = ["22"] }, { ip = "10.0.0.5" } ]
[geo]
max_age = "90"
[[feed]]
name = "a"
[[feed]]
name = "b"
url = "x"
path = "y"
[[feed]]
name = "c"
path = "y"
score = 101
[[feed]]
name = "c"
pth = "y"
path = "y"
[metrics]
listen = "localhost"
"#;
    let file = SourceFile::new("config.toml", config);
    let shown = text(&Config::parse(&file, Path::new("config.toml"), false).unwrap_err());
    for expected in [
        "unknown key `interface`",
        "did you mean `interfaces`?",
        "`an-interface-name-too-long` cannot be an interface",
        "cannot be both a device port and an uplink",
        "`mode` cannot be `natvie`",
        "`10.0.0.1/24` has host bits set",
        "`10.0.0.300` is neither an address nor a prefix",
        "`22` has no protocol",
        "a management pair needs `ip` and `ports`",
        "`90` is no length of time",
        "neither `url` nor `path`",
        "either `url` or `path`",
        "`score` must be between 0 and 100",
        "unknown key `pth` in `feed`",
        "feed name `c` is taken",
        "`localhost` is no address with a port",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
}

#[test]
fn metrics_that_others_can_read_are_warned_of() {
    let warnings = |listen: &str| {
        let config = format!(
            "[interfaces]\ndevice = [\"eth1\"]\nuplink = [\"eth0\"]\n[metrics]\nlisten = \"{listen}\"\n"
        );
        let file = SourceFile::new("config.toml", config.as_str());
        text(&Config::parse(&file, Path::new("config.toml"), false).unwrap().warnings)
    };
    for own in ["127.0.0.1:9464", "[::1]:9464", "127.8.8.8:1"] {
        assert_eq!(warnings(own), "", "{own}");
    }
    for open in ["0.0.0.0:9464", "[::]:9464", "10.20.0.1:9464"] {
        let told = warnings(open);
        assert!(told.contains(&format!("who reaches {open} reads names")), "{told}");
        assert!(told.contains("config.toml:5:"), "{told}");
    }
}
