//! The rule matrix against the written meaning of rules, by brute force.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::net::IpAddr;

use iomt_filter::diagnostic::SourceFile;
use iomt_filter::inventory::Inventory;
use iomt_filter::numbers::Numbers;
use iomt_filter::policy::{Extras, Policy, compile};
use iomt_filter::rows::{Rows, RuleCell};
use iomt_filter_common::Address;
use iomt_filter_common::abi::{PEER_ANY, SERVICE_ANY};
use iomt_filter_common::policy::RuleDirection;
use ipnet::IpNet;
use proptest::prelude::*;

const PEERS: [&str; 9] = [
    "any",
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3",
    "fd00::/8",
    "fd00::1",
];
/// Each with its protocol and ports.
const SERVICES: [(&str, u8, u16, u16); 8] = [
    ("any", 0, 0, 0),
    ("443/tcp", 6, 443, 443),
    ("400-500/tcp", 6, 400, 500),
    ("1-65535/tcp", 6, 1, 65535),
    ("proto/6", 6, 0, 65535),
    ("443/udp", 17, 443, 443),
    ("icmp", 1, 0, 0),
    ("proto/47", 47, 0, 0),
];
const ADDRESSES: [&str; 6] = ["10.1.2.3", "10.1.2.4", "10.9.9.9", "8.8.8.8", "fd00::1", "2001:db8::1"];
const ASKED: [(u8, u16); 7] = [(6, 443), (6, 450), (6, 0), (6, 65535), (17, 443), (1, 0), (47, 0)];

fn allows(rule: (usize, usize), address: IpAddr, asked: (u8, u16)) -> bool {
    let (_, protocol, first, last) = SERVICES[rule.1];
    let peer = PEERS[rule.0];
    let network = peer.parse::<IpNet>().or_else(|_| peer.parse::<IpAddr>().map(IpNet::from));
    let in_peer = network.map_or(peer == "any", |network| network.contains(&address));
    in_peer && (rule.1 == 0 || (protocol == asked.0 && (first..=last).contains(&asked.1)))
}

fn lookup(rows: &Rows, address: IpAddr, asked: (u8, u16)) -> Option<u32> {
    let bits = u128::from_be_bytes(Address::from(address).octets());
    let peers = rows.peers.iter().filter(|(row, _)| {
        row.bits == 0 || (u128::from_be_bytes(row.address.octets()) ^ bits) >> (128 - row.bits) == 0
    });
    let class = peers.max_by_key(|(row, _)| row.bits).map_or(0, |(_, class)| class.class);
    let services = rows.services.iter().filter(|(row, _)| {
        row.protocol == asked.0 && (row.bits == 0 || (row.port ^ asked.1) >> (16 - row.bits) == 0)
    });
    let service = services.max_by_key(|(row, _)| row.bits).map_or(0, |(_, &class)| class);
    let direction = RuleDirection::To;
    let cells = [class, PEER_ANY].into_iter().flat_map(|peer| {
        [service, SERVICE_ANY].map(|service| RuleCell { profile: 1, direction, peer, service })
    });
    cells.filter_map(|cell| rows.rules.get(&cell).copied()).min()
}

proptest! {
    #[test]
    fn the_first_rule_that_allows_answers(
        rules in prop::collection::vec((0..PEERS.len(), 0..SERVICES.len()), 1..6),
    ) {
        let lines: String = rules.iter()
            .map(|&(peer, service)| format!("{{ to = \"{}\", service = \"{}\" }},\n", PEERS[peer], SERVICES[service].0))
            .collect();
        let text = format!("version = 1\n[profiles.a]\nallow = [\n{lines}]\n");
        let parsed = Policy::parse(&SourceFile::new("policy.toml", text));
        let extras = Extras { segments: vec!["10.1.0.0/17".parse().unwrap()], ..Extras::default() };
        let compiled = parsed.and_then(|(policy, _)| compile(&policy, &Inventory::default(), &extras, &mut Numbers::default()));
        // Where a rule is without effect the policy is refused, and there are no rows to look at.
        if let Ok((rows, _)) = compiled {
            for address in ADDRESSES.map(|text| text.parse::<IpAddr>().unwrap()) {
                for asked in ASKED {
                    let expected = rules.iter().position(|&rule| allows(rule, address, asked)).map(|at| at as u32 + 1);
                    prop_assert_eq!(lookup(&rows, address, asked), expected, "{} {:?}", address, asked);
                }
            }
        }
    }
}
