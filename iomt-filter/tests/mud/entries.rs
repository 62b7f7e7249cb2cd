//! Entries of access lists: those that become rules, those that need none, and those that are left out.

use std::collections::BTreeMap;

use iomt_filter::mud::Imported;
use serde_json::{Value, json};

use crate::{BINDINGS, ace, file, from_device, imported, imported_with, refused, rules, tcp};

#[test]
fn every_way_to_name_the_other_end() {
    let of = |class: Value| from_device(json!({"ietf-mud:mud": class, "tcp": tcp(443)}));
    assert_eq!(of(json!({"my-controller": [null]})), ["from-device 10.20.0.20 https"]);
    assert_eq!(of(json!({"controller": "urn:ietf:params:mud:dns"})), ["from-device dns https"]);
    assert_eq!(of(json!({"controller": "urn:ietf:params:mud:gateway"})), ["from-device gateway https"]);
    assert_eq!(of(json!({"local-networks": true})), ["from-device 10.0.0.0/8 https"]);
    assert_eq!(of(json!({"same-manufacturer": null})), ["from-device profile:pump https"]);
    assert_eq!(of(json!({"manufacturer": "Other.Example"})), ["from-device profile:ct https"]);
    assert_eq!(of(json!({"model": "https://other.example/ct.json"})), ["from-device profile:ct https"]);
    let of = |header: Value| from_device(json!({"ipv4": header, "tcp": tcp(443)}));
    assert_eq!(
        of(json!({"destination-ipv4-network": "198.51.100.9/24"})),
        ["from-device 198.51.100.0/24 https"]
    );
    assert_eq!(
        of(json!({"protocol": 6, "ietf-acldns:dst-dnsname": "Cloud.example."})),
        ["from-device 198.51.100.7,198.51.100.8 https"]
    );
    assert_eq!(of(json!({"protocol": 6})), ["from-device 0.0.0.0/0 https"]);
}

#[test]
fn every_way_to_name_a_service() {
    let of = |l4: Value| {
        let mut matches = l4;
        matches["ietf-mud:mud"] = json!({"controller": "urn:ietf:params:mud:dns"});
        from_device(matches)
    };
    assert_eq!(of(json!({})), ["from-device dns any"]);
    assert_eq!(of(json!({"ipv4": {"protocol": 47}})), ["from-device dns proto/47"]);
    assert_eq!(of(json!({"ipv4": {"protocol": 17}})), ["from-device dns 1-65535/udp"]);
    assert_eq!(of(json!({"ipv4": {"protocol": 132}})), ["from-device dns 1-65535/sctp"]);
    assert_eq!(of(json!({"ipv4": {"protocol": 1}})), ["from-device dns icmp"]);
    assert_eq!(
        of(json!({"udp": {"destination-port": {"lower-port": 4000, "upper-port": 4010}}})),
        ["from-device dns 4000-4010/udp"]
    );
    assert_eq!(
        of(json!({"udp": {"destination-port": {"operator": "lte", "port": 9}}})),
        ["from-device dns 1-9/udp"]
    );
    assert_eq!(
        of(json!({"udp": {"destination-port": {"operator": "gte", "port": 65000}}})),
        ["from-device dns 65000-65535/udp"]
    );
    assert_eq!(
        of(json!({"udp": {"destination-port": {"operator": "neq", "port": 23}}})),
        ["from-device dns 1-22/udp,24-65535/udp"]
    );
    assert_eq!(of(json!({"eth": {"ethertype": 2048}, "tcp": tcp(8443)})), ["from-device dns dose"]);
}

#[test]
fn what_cannot_be_said_is_left_out_with_its_reason() {
    for (matches, why) in [
        (
            json!({"tcp": {"source-port": {"operator": "eq", "port": 9}, "destination-port": {"operator": "eq", "port": 9}}}),
            "source port",
        ),
        (json!({"udp": {"source-port": {"operator": "eq", "port": 9}}}), "answers to nothing"),
        (json!({"udp": {"destination-port": {"operator": "eq", "port": 0}}}), "port 0"),
        (json!({"ipv4": {"dscp": 46}}), "`ipv4`: unknown: `dscp`"),
        (json!({"ipv4": {"source-ipv4-network": "10.0.0.1/32"}}), "device itself"),
        (json!({"ipv4": {"ietf-acldns:src-dnsname": "a.example"}}), "device itself"),
        (json!({"ipv4": {"destination-ipv4-network": "10.0.0.1"}}), "no prefix"),
        (json!({"ipv4": {"ietf-acldns:dst-dnsname": "a b"}}), "no host"),
        (json!({"ipv4": {"ietf-acldns:dst-dnsname": "unknown.example"}}), "no address of `unknown.example`"),
        (json!({"ipv4": {"ietf-acldns:dst-dnsname": "nowhere.example"}}), "could be allowed"),
        (json!({"ipv6": {"protocol": 6}}), "other version"),
        (json!({"ipv4": {"protocol": 17}, "tcp": {}}), "protocol 17"),
        (json!({"tcp": {"flags": "syn"}}), "unknown: `flags`"),
        (json!({"tcp": {"ietf-mud:direction-initiated": "sideways"}}), "direction-initiated"),
        (json!({"udp": {}, "tcp": {}}), "two protocols"),
        (json!({"icmp": {"type": 8}}), "--widen"),
        (json!({"eth": {"ethertype": 33024}}), "EtherType 33024"),
        (json!({"eth": {"source-mac-address": "02:00:00:00:00:01"}}), "unknown: `source-mac-address`"),
        (json!({"ietf-mud:mud": {"controller": "urn:other"}}), "`[controllers]`"),
        (json!({"ietf-mud:mud": {"manufacturer": "third.example"}}), "`[manufacturers]`"),
        (json!({"ietf-mud:mud": {"my-controller": false}}), "`[null]`"),
        (json!({"ietf-mud:mud": {"my-controller": [null], "local-networks": [null]}}), "two ways"),
        (json!({"egress-interface": "eth0"}), "egress-interface"),
        (json!({"ietf-mud-tls:client-profiles": {}}), "ietf-mud-tls:client-profiles"),
    ] {
        let said = refused(matches.clone());
        assert!(said.contains(why), "{matches}: {said}");
    }
}

#[test]
fn source_ports_and_types_are_passed_over_where_that_is_asked_for() {
    let both = json!({"operator": "eq", "port": 47808});
    let bacnet = json!([ace(
        json!({"ietf-mud:mud": {"my-controller": [null]}, "udp": {"source-port": both, "destination-port": both}})
    )]);
    let file = file(bacnet.clone(), bacnet);
    let strict = imported(&file);
    assert_eq!((strict.rules.len(), strict.left_out.len()), (0, 2));
    let wide = imported_with(&file, BINDINGS, &BTreeMap::new(), true);
    assert_eq!(rules(&wide), ["from-device 10.20.0.20 bacnet", "to-device 10.20.0.20 bacnet"]);
    assert!(wide.notes.iter().any(|note| note.contains("every source port")), "{wide}");
}

#[test]
fn answers_need_no_rule_and_their_lack_is_said() {
    let class = json!({"my-controller": [null]});
    let opens = ace(json!({"ietf-mud:mud": class, "tcp": tcp(443)}));
    let answers = ace(json!({"ietf-mud:mud": class, "tcp": {
        "ietf-mud:direction-initiated": "from-device", "source-port": {"operator": "eq", "port": 443}}}));
    let lacks = |imported: &Imported| imported.warnings.iter().any(|it| it.contains("lets the answers pass"));
    let whole = imported(&file(json!([opens]), json!([answers])));
    assert_eq!(rules(&whole), ["from-device 10.20.0.20 https"]);
    assert!(!lacks(&whole) && whole.left_out.is_empty(), "{whole}");
    assert!(lacks(&imported(&file(json!([opens]), json!([])))));
    // What the other end opens.
    let asked = ace(json!({"ietf-mud:mud": class, "tcp": {
        "ietf-mud:direction-initiated": "to-device", "destination-port": {"operator": "eq", "port": 22}}}));
    let said = ace(json!({"ietf-mud:mud": class, "tcp": {
        "ietf-mud:direction-initiated": "to-device", "source-port": {"operator": "eq", "port": 22}}}));
    let inbound = imported(&file(json!([said]), json!([asked])));
    assert_eq!(rules(&inbound), ["to-device 10.20.0.20 ssh"]);
    assert!(!lacks(&inbound) && inbound.left_out.is_empty(), "{inbound}");
}

#[test]
fn what_is_refused_first_is_not_allowed_after() {
    let refuse = |forwarding: &str, port: u16| json!({"name": "no", "matches": {"tcp": tcp(port)}, "actions": {"forwarding": forwarding}});
    let of = |entries: Value| imported(&file(entries, json!([])));
    let allowed = ace(json!({"tcp": tcp(443)}));
    let behind = of(json!([refuse("drop", 443), allowed]));
    assert!(behind.rules.is_empty() && behind.left_out[0].why.contains("`fr/no` refuses"), "{behind}");
    assert_eq!(of(json!([refuse("ietf-access-control-list:reject", 80), allowed])).rules.len(), 1);
    assert_eq!(of(json!([allowed, refuse("drop", 443)])).rules.len(), 1);
    assert!(of(json!([refuse("perhaps", 80)])).left_out[0].why.contains("forwarding"));
}
