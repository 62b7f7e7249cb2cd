//! What is written of an event, exactly.

use std::collections::BTreeMap;
use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::event::Event;
use iomt_filter_common::reputation::Listing;
use iomt_filter_common::{Decision, Direction, Packet, Reason, Verdict, parse};

use super::{EnrichContext, Expected, Record, decode};
use crate::rows::Names;

/// 2026-11-23T14:02:11.482913Z.
const TIME: u64 = 1_795_442_531_482_913_777;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// An event of `frame`, judged as `decision`, on interface 3.
fn event(frame: &[u8], port: Port, decision: Decision) -> Event {
    let mut packet = Packet::default();
    let _ = parse(frame, &mut packet);
    Event { time: TIME, count: 1, interface: 3, port: port as u32, packet, decision }
}

fn words(event: &Event) -> Record {
    let names = Names {
        devices: BTreeMap::from([(7, "ct-3".into())]).into(),
        profiles: BTreeMap::from([(2, "ct-scanner".into())]).into(),
        rules: BTreeMap::from([(4, "ct-scanner[1] to pacs service dicom".into())]).into(),
        feeds: BTreeMap::from([(1, "threatfox".into())]).into(),
    };
    let russian: IpAddr = "203.0.113.9".parse().unwrap();
    let context = EnrichContext {
        host: "seg-gw-1",
        interface: &|index| (index == 3).then(|| "eth1".to_owned()),
        country: &|address| (address == russian).then_some(*b"RU"),
        expected: &|device| {
            let addresses = vec!["10.10.4.12".to_owned(), "dhcp".to_owned()];
            let mac = Some("00:1b:21:00:00:07".to_owned());
            (device == 7).then_some(Expected { mac, vlan: Some(120), addresses })
        },
        time_base: 0,
    };
    decode(event, &names, &context)
}

fn drop_of(reason: Reason) -> Decision {
    Decision::new(Verdict::Drop, reason, 12)
}

#[track_caller]
fn assert_json(record: &Record, expected: &str) {
    let shown = serde_json::to_string(record).unwrap();
    assert_eq!(shown, expected.replace('\n', ""));
    assert_eq!(&serde_json::from_str::<Record>(&shown).unwrap().reason, &record.reason);
}

const SYN: &str = "02aabbccddee 001b21aabbcc 8100006e 0800
    4500003c 00000000 40060000 0a0a040c cb007109
    c00001bb 00000001 00000000 a002ffff 00000000 0000000000000000000000000000000000000000";

#[test]
fn a_blocked_connection_in_every_detail() {
    let mut decision = drop_of(Reason::Blocklist).of(7, 2, Direction::FromDevice);
    decision.listing = Listing { feed: 1, score: 100, prefix_bits: 96 + 24 };
    let mut event = event(&bytes(SYN), Port::Device, decision);
    event.count = 3;
    let record = words(&event);
    assert_json(
        &record,
        r#"{"time":"2026-11-23T14:02:11.482913Z","host":"seg-gw-1","frame":null,"interface":"eth1",
"port":"device","verdict":"drop","reason":"blocklist","device":"ct-3","profile":"ct-scanner",
"direction":"from-device","mac":{"source":"00:1b:21:aa:bb:cc","destination":"02:aa:bb:cc:dd:ee"},
"vlan":[110],"ip_version":4,"source":"10.10.4.12","destination":"203.0.113.9","protocol":"tcp",
"source_port":49152,"destination_port":443,"tcp_flags":"S","fragment":null,"length":78,
"country":"RU","feed":"threatfox","entry":"203.0.113.0/24","score":100,"rule":null,"generation":12,
"count":3,"ethertype":"0x0800","arp":null,"icmp_type":null,"icmp_code":null,"hop_limit":64,
"captured":null,"expected":null}"#,
    );
    assert_eq!(
        record.to_string(),
        "14:02:11.482 drop blocklist ct-3 → 203.0.113.9:443/tcp (threatfox 203.0.113.0/24 score 100, RU) on eth1 ×3"
    );
}

#[test]
fn an_allowed_packet_to_a_device_names_its_rule() {
    let mut decision = Decision::new(Verdict::Pass, Reason::Allowed, 12).of(7, 2, Direction::ToDevice);
    decision.rule = 4;
    let frame = bytes(
        "001b21aabbcc 02aabbccddee 86dd 60000000 0008113f
         20010db8000000000000000000000001 fd000000000000000000000000000012 04d20035 00080000",
    );
    let record = words(&event(&frame, Port::Uplink, decision));
    assert_eq!(record.rule.as_deref(), Some("ct-scanner[1] to pacs service dicom"));
    assert_eq!(record.country, None);
    assert_eq!(
        record.to_string(),
        "14:02:11.482 pass allowed 2001:db8::1 → ct-3:53/udp (rule ct-scanner[1] to pacs service dicom) on eth1"
    );
}

#[test]
fn a_mapped_address_in_an_ipv6_header_stays_ipv6() {
    let frame = bytes(
        "001b21aabbcc 02aabbccddee 86dd 60000000 0008113f
         20010db8000000000000000000000001 00000000000000000000ffff0a14000a 04d20035 00080000",
    );
    let record = words(&event(&frame, Port::Uplink, drop_of(Reason::Malformed)));
    assert_eq!(record.destination.map(|address| address.to_string()).as_deref(), Some("::ffff:10.20.0.10"));
    assert!(record.to_string().contains("2001:db8::1 → ::ffff:10.20.0.10/udp"), "{record}");
    let json = serde_json::to_value(&record).unwrap();
    assert_eq!((&json["ip_version"], &json["destination"]), (&6.into(), &"::ffff:10.20.0.10".into()));
}

#[test]
fn arp_has_its_own_addresses_and_no_ip_fields() {
    let frame =
        bytes("ffffffffffff 001b21aabbcc 0806 0001080006040001 001b21aabbcc 0a0a040c 000000000000 0a0a0401");
    let record = words(&event(&frame, Port::Device, drop_of(Reason::Spoofed)));
    assert_json(
        &record,
        r#"{"time":"2026-11-23T14:02:11.482913Z","host":"seg-gw-1","frame":null,"interface":"eth1",
"port":"device","verdict":"drop","reason":"spoofed","device":null,"profile":null,"direction":null,
"mac":{"source":"00:1b:21:aa:bb:cc","destination":"ff:ff:ff:ff:ff:ff"},"vlan":[],"ip_version":null,
"source":null,"destination":null,"protocol":null,"source_port":null,"destination_port":null,
"tcp_flags":null,"fragment":null,"length":42,"country":null,"feed":null,"entry":null,"score":null,
"rule":null,"generation":12,"count":1,"ethertype":"0x0806","arp":{"sender_mac":"00:1b:21:aa:bb:cc",
"sender":"10.10.4.12","target":"10.10.4.1"},"icmp_type":null,"icmp_code":null,"hop_limit":null,
"captured":null,"expected":null}"#,
    );
    assert_eq!(record.to_string(), "14:02:11.482 drop spoofed arp 10.10.4.12 → 10.10.4.1 on eth1");
}

#[test]
fn what_was_not_read_is_null() {
    let runt = words(&event(&[0; 13], Port::Device, drop_of(Reason::Malformed)));
    assert_eq!((runt.mac, runt.vlan, runt.length), (None, None, 13));

    // The TCP header ends behind its ports.
    let cut = bytes(&SYN.replace("4500003c", "45000018")[..]);
    let cut = words(&event(&cut, Port::Device, drop_of(Reason::Malformed)));
    assert_eq!(cut.protocol.as_deref(), Some("tcp"));
    assert_eq!((cut.source_port, cut.destination_port, cut.tcp_flags), (None, None, None));
}

#[test]
fn icmp_has_type_and_code_and_no_ports() {
    let frame = bytes(
        "02aabbccddee 001b21aabbcc 0800 4500001c 00000000 40010000 0a0a040c cb007109 08000000 12340001",
    );
    let record = words(&event(&frame, Port::Device, drop_of(Reason::NotAllowed)));
    assert_eq!((record.icmp_type, record.icmp_code), (Some(8), Some(0)));
    assert_eq!((record.source_port, record.destination_port), (None, None));
    assert_eq!(record.country.as_deref(), Some("RU"), "the destination is the far end on a device port");
    let shown = "14:02:11.482 drop not-allowed 10.10.4.12 → 203.0.113.9/icmp (type 8 code 0, RU) on eth1";
    assert_eq!(record.to_string(), shown);
}

#[test]
fn fragments_say_which() {
    let first = bytes(&SYN.replace("00000000 40060000", "12342000 40060000"));
    let first = words(&event(&first, Port::Device, drop_of(Reason::NotAllowed))).fragment.unwrap();
    assert_eq!((first.kind.as_ref(), first.id, first.offset), ("first", 0x1234, 0));

    let later = bytes(&SYN.replace("00000000 40060000", "12342003 40060000"));
    let later = words(&event(&later, Port::Device, drop_of(Reason::Fragment)));
    let fragment = later.fragment.unwrap();
    assert_eq!((fragment.kind.as_ref(), fragment.id, fragment.offset), ("later", 0x1234, 24));
    assert_eq!((later.source_port, later.tcp_flags), (None, None));
}

#[test]
fn flags_are_written_in_one_order_and_may_be_none() {
    let all = bytes(&SYN.replace("a002ffff", "a0ffffff"));
    let null = bytes(&SYN.replace("a002ffff", "a000ffff"));
    let flags = |frame: &[u8]| words(&event(frame, Port::Device, drop_of(Reason::NoFlow))).tcp_flags;
    assert_eq!(flags(&all).as_deref(), Some("FSRPAUEC"));
    assert_eq!(flags(&null).as_deref(), Some(""));
}

#[test]
fn numbers_that_lost_their_name_are_shown_as_numbers() {
    let decision = drop_of(Reason::NotAllowed).of(9, 8, Direction::FromDevice);
    let mut event = event(&bytes(SYN), Port::Device, decision);
    event.interface = 5;
    let record = words(&event);
    assert_eq!(record.device.as_deref(), Some("#9"));
    assert_eq!(record.profile.as_deref(), Some("#8"));
    assert_eq!(record.interface.as_deref(), Some("#5"));
}

#[test]
fn spoofing_says_what_was_seen_and_what_was_expected() {
    let of_device = |reason| {
        let mut decision = drop_of(reason);
        decision.device = 7;
        decision
    };
    let record = words(&event(&bytes(SYN), Port::Device, of_device(Reason::Spoofed)));
    let json = serde_json::to_value(&record).unwrap();
    let expected = serde_json::json!({
        "mac": "00:1b:21:00:00:07", "vlan": 120, "addresses": ["10.10.4.12", "dhcp"],
    });
    assert_eq!(json["expected"], expected);
    let seen =
        "seen 00:1b:21:aa:bb:cc in VLAN 110, expected 00:1b:21:00:00:07 in VLAN 120 with 10.10.4.12 dhcp";
    assert!(record.to_string().contains(seen), "{record}");
    assert_eq!(words(&event(&bytes(SYN), Port::Device, of_device(Reason::NotAllowed))).expected, None);
}

#[test]
fn a_reset_and_a_limit_are_said_like_any_verdict() {
    for (verdict, reason, shown) in [
        (Verdict::Reset, Reason::NotAllowed, "reset not-allowed"),
        (Verdict::Drop, Reason::RateLimit, "drop rate-limit"),
        (Verdict::WouldDrop, Reason::RateLimit, "would-drop rate-limit"),
    ] {
        let record = words(&event(&bytes(SYN), Port::Device, Decision::new(verdict, reason, 12)));
        assert!(record.to_string().contains(shown), "{record}");
        let json = serde_json::to_value(&record).unwrap();
        assert_eq!(
            format!("{} {}", json["verdict"].as_str().unwrap(), json["reason"].as_str().unwrap()),
            shown
        );
    }
}
