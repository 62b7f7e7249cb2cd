//! A small hospital in a folder, and what its devices did.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

use iomt_filter::config::Config;
use iomt_filter::contacts::{Contact, Direction};
use iomt_filter::host::HostNetworks;
use iomt_filter::intent::{self, Intent, Overrides};
use iomt_filter::numbers::Numbers;
use iomt_filter::plan::{Ground, Plan, Planning, Room, Talks, Turned};
use iomt_filter_common::packet::protocol;
use jiff::Timestamp;
use mmdb_writer::{Value, Writer};
use tempfile::TempDir;

pub(crate) const POLICY: &str = r#"version = 1
[defaults]
mode = "enforce"
[endpoints]
pacs = ["10.20.0.10", "2001:db8:20::10"]
vendor = ["198.51.100.0/24"]
[profiles.ct]
geo = { deny = ["RU"] }
allow = [
  { to = "pacs", service = "dicom" },
  { from = "pacs", service = "dicom" },
  { to = "vendor", service = "https" },
  { to = "203.0.113.0/24", service = "https" },
  { to = "profile:pump", service = "5000/udp" },
  { from = "gateway", service = ["22/tcp", "icmp"] },
]
[profiles.pump]
allow = [
  { to = "any", service = "2575/tcp" },
  { from = "profile:ct", service = "5000/udp" },
]
[profiles.watched]
mode = "monitor"
"#;

pub(crate) const DEVICES: &str = r#"
[[device]]
name = "ct-1"
mac = "02:00:00:00:00:11"
ip = ["10.10.0.11", "2001:db8:10::11"]
vlan = 110
profile = "ct"
[[device]]
name = "pump-1"
mac = "02:00:00:00:00:21"
ip = ["10.10.0.21"]
profile = "pump"
[[device]]
name = "pump-2"
mac = "02:00:00:00:00:22"
ip = ["dhcp"]
profile = "pump"
[[device]]
name = "monitor-1"
mac = "02:00:00:00:00:31"
ip = ["10.10.0.31"]
profile = "watched"
"#;

/// The address of this host among the devices.
pub(crate) const OWN: &str = "10.10.0.1";

pub(crate) struct Site {
    folder: TempDir,
    pub(crate) numbers: Numbers,
    pub(crate) before: Intent,
}

impl Site {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
        write(
            "config.toml",
            b"[interfaces]\ndevice = [\"eth1\"]\nsegments = [\"10.10.0.0/16\", \"2001:db8:10::/64\"]\n\
              [paths]\nstate = \"state\"\n[geo]\ndatabase = \"country.mmdb\"\n\
              [[feed]]\nname = \"threats\"\npath = \"threats.txt\"\nformat = \"plain\"\nscore = 90\n",
        );
        let mut database = Writer::new("Test-Country");
        for (network, code) in [("198.51.100.0/24", "DE"), ("203.0.113.0/24", "RU")] {
            let country = Value::map([("country", Value::map([("iso_code", Value::from(code))]))]);
            database.insert_value(network.parse::<ipnet::IpNet>().unwrap(), country).unwrap();
        }
        write("country.mmdb", &database.to_bytes().unwrap());
        write("threats.txt", b"192.0.2.66\n");
        write("policy.toml", POLICY.as_bytes());
        write("devices.toml", DEVICES.as_bytes());
        fs::create_dir(folder.path().join("state")).unwrap();
        let mut numbers = Numbers::default();
        let before = read(&folder, &mut numbers).unwrap();
        Self { folder, numbers, before }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn config(&self) -> Config {
        Config::load(&self.path("config.toml")).unwrap()
    }

    /// Writes a file with something in it exchanged.
    pub(crate) fn exchange(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(self.path(name), text.replacen(from, to, 1)).unwrap();
    }

    pub(crate) fn after(&mut self) -> Intent {
        read(&self.folder, &mut self.numbers).unwrap()
    }

    /// What the files make of these, beside what they were at first.
    pub(crate) fn plan(&mut self, contacts: &[Contact]) -> Plan {
        self.plan_with(contacts, Talks::default(), &[])
    }

    pub(crate) fn plan_with(
        &mut self,
        contacts: &[Contact],
        mut talks: Talks,
        leases: &[(u32, IpAddr)],
    ) -> Plan {
        let after = self.after();
        let ground =
            Ground { before: Some(&self.before), after: &after, leases, room: Room::default(), now: 1 };
        let mut planning = Planning::begin(ground, Timestamp::MIN);
        contacts.iter().for_each(|contact| planning.hear(&talks.joined(contact.clone())));
        talks.since(Timestamp::MIN).for_each(|talk| planning.hear(&talk));
        planning.end()
    }
}

fn read(folder: &TempDir, numbers: &mut Numbers) -> Result<Intent, String> {
    let config = Config::load(&folder.path().join("config.toml")).unwrap();
    let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let own = format!("{OWN}/16");
    let host = HostNetworks { interfaces: [("eth1".to_owned(), networks(&[&own]))].into() };
    let read = intent::read(&config, &Overrides::default(), &host, numbers, &[], Vec::new());
    read.map_err(|found| found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub(crate) fn contact(device: &str, direction: Direction, peer: &str, protocol: u8, port: u16) -> Contact {
    Contact {
        device: device.into(),
        peer: peer.parse().unwrap(),
        protocol,
        port: (port != 0).then_some(port),
        direction,
        first_seen: at(0),
        last_seen: at(60),
        packets: 12,
        bytes: 3_400,
        outside: 0,
        last_outside: None,
    }
}

pub(crate) fn to(device: &str, peer: &str, port: u16) -> Contact {
    contact(device, Direction::FromDevice, peer, protocol::TCP, port)
}

pub(crate) fn from(device: &str, peer: &str, port: u16) -> Contact {
    contact(device, Direction::ToDevice, peer, protocol::TCP, port)
}

pub(crate) fn all() -> Vec<Contact> {
    vec![
        to("ct-1", "10.20.0.10", 104),
        to("ct-1", "2001:db8:20::10", 11112),
        from("ct-1", "10.20.0.10", 104),
        to("ct-1", "198.51.100.7", 443),
        from("ct-1", OWN, 22),
        contact("ct-1", Direction::ToDevice, OWN, protocol::ICMP, 0),
        contact("ct-1", Direction::FromDevice, "10.10.0.21", protocol::UDP, 5000),
        contact("pump-1", Direction::ToDevice, "10.10.0.11", protocol::UDP, 5000),
        to("pump-1", "10.20.0.20", 2575),
        to("pump-2", "10.20.0.20", 2575),
        to("monitor-1", "10.20.0.30", 80),
    ]
}

pub(crate) fn only(talks: &[Turned]) -> &Turned {
    let [talk] = talks else { panic!("{talks:#?}") };
    talk
}

pub(crate) fn messages(plan: &Plan) -> Vec<&str> {
    plan.warnings.iter().map(|warning| warning.message.as_str()).collect()
}
