//! The harness's own compiler: rows say what the world says, asked in two ways.

use iomt_filter::judge::RowsTables;
use iomt_filter_common::Tables;
use iomt_filter_common::policy::{RuleDirection, Service};
use iomt_filter_tests::random::Random;
use iomt_filter_tests::world::hospital;

#[test]
fn a_cell_holds_the_first_rule_of_the_file() {
    let world = hospital();
    let rows = world.rows();
    let flows = Default::default();
    let tables = RowsTables::new(&rows, &flows, 1);
    let pacs = iomt_filter_tests::world::net("10.20.0.10").addr().into();
    let service = |port| Service { protocol: 6, reserved: 0, port };
    let rule = |direction, port| tables.rule(1, direction, pacs, 0, service(port));
    assert_eq!(rule(RuleDirection::To, 104), Some(1));
    assert_eq!(rule(RuleDirection::From, 104), Some(3));
    assert_eq!(rule(RuleDirection::From, 11112), Some(3));
    assert_eq!(rule(RuleDirection::To, 11112), None);
    assert_eq!(rows.names.rules[&3].split(' ').next(), Some("ct-scanner[3]"));
}

#[test]
fn the_files_of_a_hospital_can_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut worlds = vec![hospital()];
    worlds.extend((0..20).map(|seed| iomt_filter_tests::generate::world(&mut Random::new(seed))));
    for world in worlds {
        world.write(directory.path(), &["eth1"], &["eth0"]).unwrap();
    }
    let csv = std::fs::read_to_string(directory.path().join("devices.csv")).unwrap();
    assert!(csv.starts_with("name,mac,ip,vlan,profile\n"));
    let world = hospital();
    assert!(
        world.devices_csv().contains("ct-1,02:00:00:00:01:11,10.10.0.11 2001:db8:10::11,110,ct-scanner\n")
    );
    assert!(world.policy_toml().contains("{ to = \"dns\", service = [\"53/udp\", \"53/tcp\"] }"));
}

#[test]
fn the_country_database_answers_with_the_narrowest_entry() {
    let mut worlds = vec![hospital()];
    worlds.extend((0..50).map(|seed| iomt_filter_tests::generate::world(&mut Random::new(seed))));
    for world in worlds {
        let reader = maxminddb::Reader::from_source(world.country_mmdb().unwrap()).unwrap();
        for (net, _) in &world.countries {
            let address = net.addr();
            let covering = world.countries.iter().filter(|(net, _)| net.contains(&address));
            let (_, code) = covering.max_by_key(|(net, _)| net.prefix_len()).unwrap();
            let found: Option<String> = reader
                .lookup(address)
                .unwrap()
                .decode_path(&maxminddb::path!["country", "iso_code"])
                .unwrap();
            assert_eq!(found.unwrap().as_bytes(), code, "{address}");
        }
    }
}
