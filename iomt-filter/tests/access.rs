//! Limits, addresses by DHCP and grants: every mistake with its way out, and what their rows hold.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use iomt_filter::config::Config;
use iomt_filter::diagnostic::{Diagnostic, SourceFile};
use iomt_filter::inventory::Inventory;
use iomt_filter::numbers::Numbers;
use iomt_filter::policy::model::Grant;
use iomt_filter::policy::{Extras, Policy, compile};
use iomt_filter::rows::{Prefix, Rows, RuleCell, ServicePrefix};
use iomt_filter_common::device::Device;
use iomt_filter_common::policy::{Limits, RuleDirection};

const DEVICES: &str = "name,mac,ip,vlan,profile\nct-1,02:00:00:00:00:01,dhcp,,ct\nct-2,02:00:00:00:00:02,10.0.0.2 DHCP,,ct\nct-3,,10.0.0.3,,ct\n";

type Compiled = Result<(Rows, Vec<Diagnostic>), Vec<Diagnostic>>;

fn compiled(policy: &str, devices: &str, grants: Vec<Grant>) -> Compiled {
    let (policy, mut warnings) = Policy::parse(&SourceFile::new("policy.toml", policy))?;
    let (inventory, _) = Inventory::parse(&SourceFile::new("devices.csv", devices))?;
    let segments = vec!["10.0.0.0/24".parse().unwrap()];
    let extras = Extras { segments, agent_loss_seconds: 60, grants, ..Extras::default() };
    let (rows, found) = compile(&policy, &inventory, &extras, &mut Numbers::default())?;
    warnings.extend(found);
    Ok((rows, warnings))
}

fn policy(rules: &str) -> String {
    format!("version = 1\n[endpoints]\npacs = [\"10.1.0.10\"]\n[profiles.ct]\nallow = [\n{rules}\n]\n")
}

fn text(found: &[Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

/// The rule in the cell of one address and one service.
fn rule(rows: &Rows, direction: RuleDirection, peer: &str, protocol: u8, port: u16) -> Option<u32> {
    let prefix = Prefix::from(peer.parse::<std::net::IpAddr>().unwrap());
    let peer = rows.peers.get(&prefix)?.class;
    let service = *rows.services.get(&ServicePrefix { protocol, port, bits: 16 })?;
    rows.rules.get(&RuleCell { profile: 1, direction, peer, service }).copied()
}

#[test]
fn limits_override_their_defaults_key_by_key() {
    let policy = "version = 1\n[defaults]\nlimits = { from = { packets = 1000, connections = 10 }, flows = 99 }\n\
                  [profiles.a]\nlimits = { from = { connections = 5 }, to = { packets = 7, connections = 8 } }\n[profiles.b]\n";
    let (rows, _) = compiled(policy, "name,ip,profile\n", Vec::new()).unwrap();
    let a = Limits {
        packets_from: 1000,
        connections_from: 5,
        packets_to: 7,
        connections_to: 8,
        flows: 99,
        reserved: 0,
    };
    assert_eq!(rows.profiles[&1].limits, a);
    let b = Limits { packets_from: 1000, connections_from: 10, flows: 99, ..Limits::default() };
    assert_eq!(rows.profiles[&2].limits, b);
    let (rows, _) = compiled("version = 1\n[profiles.a]\n", "name,ip,profile\n", Vec::new()).unwrap();
    assert_eq!(rows.profiles[&1].limits, Limits { flows: 16_384, ..Limits::default() });
    assert_eq!(rows.profiles[&1].is_set, 1);
}

#[test]
fn every_mistake_of_limits() {
    for (limits, expected) in [
        ("{ flows = 0 }", "`flows` must be between 1 and 131072|leave it out"),
        ("{ flows = 131073 }", "`flows` must be between 1 and 131072|"),
        ("{ from = { packets = 0 } }", "`packets` must be between 1 and 200000000|quarantine"),
        ("{ to = { connections = -1 } }", "`connections` must be between 1 and|"),
        ("{ to = { packets = 1.5 } }", "`packets` must be a whole number, not a fraction|"),
        ("{ from = 5 }", "`from` must be a table, not a whole number|"),
        ("{ form = { packets = 5 } }", "unknown key `form` in `profiles.ct.limits`|did you mean `from`?"),
        ("{ from = { packet = 5 } }", "unknown key `packet` in `profiles.ct.limits.from`|`packets`"),
    ] {
        let found = compiled(&format!("{}limits = {limits}\n", policy("")), DEVICES, Vec::new());
        let shown = text(&found.expect_err(limits));
        for part in expected.split('|') {
            assert!(shown.contains(part), "{limits}: {part}\n{shown}");
        }
        assert!(shown.contains("--> policy.toml:8:"), "{shown}");
    }
}

#[test]
fn a_rule_for_dhcp_covers_the_broadcast_that_asks_for_it() {
    use RuleDirection::{From, To};
    let rules = "{ to = \"pacs\", service = [\"https\", \"dhcp\", \"dhcpv6\"] },\n{ to = \"10.1.0.11\", service = [\"67/udp\", \"68/udp\"] },\n{ from = \"10.1.0.11\", service = \"dhcp\" }";
    let (rows, warnings) = compiled(&policy(rules), DEVICES, Vec::new()).unwrap();
    assert_eq!(text(&warnings), "");
    let (broadcast, agents) = ("255.255.255.255", "ff02::1:2");
    assert_eq!(rule(&rows, To, broadcast, 17, 67), Some(1));
    assert_eq!(rule(&rows, To, agents, 17, 547), Some(1));
    assert_eq!(rule(&rows, To, "10.1.0.11", 17, 67), Some(2));
    for (direction, peer, protocol, port) in
        [(To, broadcast, 17, 547), (To, agents, 17, 67), (To, broadcast, 6, 443), (From, broadcast, 17, 67)]
    {
        assert_eq!(rule(&rows, direction, peer, protocol, port), None, "{direction:?} {peer} {port}");
    }
    // By itself in a list, but not in a range or in everything.
    for (service, expected) in
        [("[\"67/udp\", \"68/udp\"]", Some(1)), ("\"60-70/udp\"", None), ("\"any\"", None)]
    {
        let rules = format!("{{ to = \"pacs\", service = {service} }}");
        let (rows, _) = compiled(&policy(&rules), DEVICES, Vec::new()).unwrap();
        assert_eq!(rule(&rows, To, broadcast, 17, 67), expected, "{service}");
    }
    // A rule that adds the broadcast to one before it is not without effect.
    let rules = "{ to = \"pacs\", service = \"any\" },\n{ to = \"pacs\", service = \"dhcp\" }";
    compiled(&policy(rules), DEVICES, Vec::new()).unwrap();
    let rules = "{ to = \"any\", service = \"dhcp\" },\n{ to = \"pacs\", service = \"dhcp\" }";
    assert!(text(&compiled(&policy(rules), DEVICES, Vec::new()).unwrap_err()).contains("shadowed"));
}

#[test]
fn a_device_by_dhcp_needs_its_hardware_address() {
    let (rows, _) = compiled(&policy(""), DEVICES, Vec::new()).unwrap();
    let flags: Vec<_> = rows.devices.values().map(|device| device.has(Device::BY_DHCP)).collect();
    assert_eq!(flags, [true, true, false]);
    assert_eq!((rows.settings.has_dhcp, rows.device_addresses.len()), (1, 2));
    let (rows, _) = compiled(&policy(""), "name,ip,profile\nct-3,10.0.0.3,ct\n", Vec::new()).unwrap();
    assert_eq!(rows.settings.has_dhcp, 0);
    let shown = text(&compiled(&policy(""), "name,mac,ip,profile\nct-1,,dhcp,ct\n", Vec::new()).unwrap_err());
    assert!(shown.contains("a device with `dhcp` needs a `mac`\n --> devices.csv:2:7"), "{shown}");
    let toml = "[[device]]\nname = \"a\"\nmac = \"02:00:00:00:00:01\"\nip = [\"dhcp\", \"10.0.0.1\"]\nprofile = \"ct\"\n";
    let (inventory, _) = Inventory::parse(&SourceFile::new("devices.toml", toml)).unwrap();
    assert!(inventory.devices[0].by_dhcp && inventory.devices[0].addresses.len() == 1);
}

fn grant(device: &str, to: &str, service: &str, expires: u64) -> Grant {
    let direction = RuleDirection::To;
    let (peers, services) = (vec![to.to_owned()], vec![service.to_owned()]);
    let name = format!("grant {expires} to {to} service {service}");
    Grant { device: device.into(), direction, peers, services, name, expires }
}

#[test]
fn grants_are_cells_of_their_device_and_rename_no_rule() {
    let rules =
        policy("{ to = \"pacs\", service = \"dicom\" },\n{ to = \"10.0.0.0/8\", service = \"https\" }");
    let (before, _) = compiled(&rules, DEVICES, Vec::new()).unwrap();
    let grants = vec![
        grant("ct-1", "pacs", "ssh", 5),
        grant("ct-1", "pacs", "ssh", 9),
        grant("ct-1", "pacs", "ssh", 7),
        grant("ct-2", "any", "any", 8),
        grant("ct-9", "pacs", "ssh", 9),
        grant("ct-1", "psca", "ssh", 9),
    ];
    let (rows, warnings) = compiled(&rules, DEVICES, grants).unwrap();
    let shown = text(&warnings);
    assert!(
        shown.contains("no device is called `ct-9`") && shown.contains("unknown endpoint `psca`"),
        "{shown}"
    );
    assert_eq!(rows.grants.len(), 2);
    for (cell, granted) in &rows.grants {
        let expected = if cell.device == 1 {
            (9, "grant 9 to pacs service ssh")
        } else {
            (8, "grant 8 to any service any")
        };
        assert_eq!((granted.expires, rows.names.rules[&granted.rule].as_str()), expected);
    }
    let flags: Vec<_> = rows.devices.values().map(|device| device.has(Device::HAS_GRANTS)).collect();
    assert_eq!(flags, [true, true, false]);
    assert!(before.names.rules.iter().all(|(number, name)| rows.names.rules[number] == *name));
}

#[test]
fn how_long_the_agent_may_be_missing() {
    let load = |agent: &str| {
        let text = format!("[interfaces]\ndevice = [\"eth1\"]\n{agent}");
        Config::parse(&SourceFile::new("config.toml", text), "config.toml".as_ref(), false)
    };
    assert_eq!(load("").unwrap().agent.loss_after, 60);
    assert_eq!(load("[agent]\nloss_after = \"5s\"\n").unwrap().agent.loss_after, 5);
    assert_eq!(load("[agent]\nloss_after = \"18h\"\n").unwrap().agent.loss_after, 64_800);
    for (agent, expected) in [
        ("[agent]\nloss_after = \"0s\"\n", "at least `5s`"),
        ("[agent]\nloss_after = \"4s\"\n", "an agent that a busy host keeps waiting counts as lost"),
        ("[agent]\nloss_after = \"4s\"\n", "write `5s` or more"),
        ("[agent]\nloss_after = \"19h\"\n", "at most `18h`"),
        ("[agent]\nloss_after = \"soon\"\n", "`soon` is no length of time"),
        ("[agent]\nlos_after = \"1m\"\n", "did you mean `loss_after`?"),
    ] {
        let shown = text(&load(agent).unwrap_err());
        assert!(shown.contains(expected) && shown.contains("--> config.toml:4:"), "{shown}");
    }
}
