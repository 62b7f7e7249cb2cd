//! What is written of an event in each format, exactly.

use super::*;

const DROP: &str = r#"{"time":"2026-11-23T14:02:11.482913Z","host":"seg-gw-1","frame":null,"interface":"eth1",
"port":"device","verdict":"drop","reason":"blocklist","device":"ct-3","profile":"ct-scanner",
"direction":"from-device","mac":{"source":"00:1b:21:aa:bb:cc","destination":"02:aa:bb:cc:dd:ee"},
"vlan":[110],"ip_version":4,"source":"10.10.4.12","destination":"203.0.113.9","protocol":"tcp",
"source_port":49152,"destination_port":443,"tcp_flags":"S","fragment":null,"length":78,
"country":"RU","feed":"threatfox","entry":"203.0.113.0/24","score":100,"rule":null,"generation":12,
"count":3,"ethertype":"0x0800","arp":null,"icmp_type":null,"icmp_code":null,"hop_limit":64,"captured":null,
"expected":null}"#;

fn record(changes: &[(&str, &str)]) -> Record {
    let mut value: serde_json::Value = serde_json::from_str(DROP).unwrap();
    for (key, json) in changes {
        value[*key] = serde_json::from_str(json).unwrap();
    }
    serde_json::from_value(value).unwrap()
}

fn notice() -> Record {
    use crate::events::Notice;
    let time = "2026-11-23T14:02:11.482913Z".parse().unwrap();
    Record::notice(Notice::FeedHeld, "seg-gw-1", time, "c2", "it lists | everything".into())
}

#[track_caller]
fn assert_line(format: Format, record: &Record, expected: &str) {
    assert_eq!(format.line(record), expected.replace("\n", "").replace("VERSION", VERSION));
}

/// Valid by Suricata's own schema.
const STRICT: &str = r#"{"timestamp":"2026-11-23T14:02:11.482913+0000","in_iface":"eth1","event_type":"drop",
"vlan":[110],"src_ip":"10.10.4.12","src_port":49152,"dest_ip":"203.0.113.9","dest_port":443,"proto":"TCP","ip_v":4,
"community_id":"1:ahb6o8rn2rTSqor0BN/4UuSW3YI=",
"ether":{"ether_type":2048,"src_mac":"00:1b:21:aa:bb:cc","dest_mac":"02:aa:bb:cc:dd:ee"},"host":"seg-gw-1",
"drop":{"len":60,"ttl":64,"syn":true,"ack":false,"psh":false,"rst":false,"urg":false,"fin":false,
"reason":"blocklist"},"verdict":{"action":"drop"}"#;

#[test]
fn eve_is_suricatas() {
    assert_line(Format::EveStrict, &record(&[]), &format!("{STRICT}}}"));
    let own = r#","iomt_filter":{"verdict":"drop","reason":"blocklist","device":"ct-3","profile":"ct-scanner",
"direction":"from-device","port":"device","country":"RU","feed":"threatfox","entry":"203.0.113.0/24","score":100,
"generation":12,"length":78,"count":3}}"#;
    assert_line(Format::Eve, &record(&[]), &format!("{STRICT}{own}"));
}

#[test]
fn eve_tells_what_passed_from_what_was_dropped() {
    let passed = Format::EveStrict.line(&record(&[("verdict", "\"would-drop\"")]));
    assert!(
        passed.contains(r#""event_type":"alert""#) && passed.contains(r#""action":"allowed""#),
        "{passed}"
    );
    assert!(passed.ends_with(r#""verdict":{"action":"pass"}}"#) && !passed.contains("\"drop\":"), "{passed}");
    let reset = Format::EveStrict.line(&record(&[("verdict", "\"reset\"")]));
    assert!(reset.ends_with(r#""verdict":{"action":"drop","reject":["tcp-reset"]}}"#), "{reset}");
    assert_line(
        Format::EveStrict,
        &notice(),
        r#"{"timestamp":"2026-11-23T14:02:11.482913+0000","event_type":"engine","host":"seg-gw-1",
"engine":{"module":"iomt-filter","message":"feed-held c2: it lists | everything"}}"#,
    );
}

#[test]
fn eve_of_what_has_no_addresses_or_other_ones() {
    let arp = record(&[
        ("source", "null"),
        ("destination", "null"),
        ("protocol", "null"),
        ("ip_version", "null"),
        ("tcp_flags", "null"),
        ("vlan", "[]"),
        ("arp", r#"{"sender_mac":"00:1b:21:aa:bb:cc","sender":"10.10.4.12","target":"10.10.4.1"}"#),
    ]);
    let line = Format::EveStrict.line(&arp);
    assert!(line.contains(r#""src_ip":"10.10.4.12""#) && line.contains(r#""proto":"ARP""#), "{line}");
    assert!(
        !line.contains("vlan") && !line.contains("community_id") && line.contains(r#""len":64"#),
        "{line}"
    );
    let v6 = record(&[
        ("ip_version", "6"),
        ("source", "\"2001:db8::1\""),
        ("destination", "\"2001:db8::2\""),
        ("protocol", "\"icmpv6\""),
        ("source_port", "null"),
        ("destination_port", "null"),
        ("tcp_flags", "null"),
        ("icmp_type", "128"),
        ("icmp_code", "0"),
    ]);
    let line = Format::EveStrict.line(&v6);
    assert!(line.contains(r#""proto":"IPv6-ICMP""#) && line.contains(r#""hoplimit":64"#), "{line}");
    assert!(line.contains(r#""icmp_type":128,"icmp_code":0"#) && !line.contains("ttl"), "{line}");
}

#[test]
fn cef_has_the_fields_that_everybody_reads() {
    assert_line(
        Format::Cef,
        &record(&[]),
        "CEF:0|iomt-filter|iomt-filter|VERSION|blocklist|frame dropped: blocklist|8|rt=1795442531482 act=Blocked \
         reason=blocklist cnt=3 dvchost=seg-gw-1 deviceInboundInterface=eth1 deviceDirection=1 \
         smac=00:1b:21:aa:bb:cc dmac=02:aa:bb:cc:dd:ee src=10.10.4.12 dst=203.0.113.9 spt=49152 dpt=443 proto=TCP \
         cs1=ct-3 cs1Label=device cs2=ct-scanner cs2Label=profile cs4=threatfox cs4Label=feed \
         cs5=203.0.113.0/24 cs5Label=entry cs6=RU cs6Label=country cn1=100 cn1Label=score cn2=110 cn2Label=vlan \
         cn3=12 cn3Label=generation flexString1=1:ahb6o8rn2rTSqor0BN/4UuSW3YI\\= flexString1Label=communityId",
    );
    let v6 = record(&[("source", "\"2001:db8::1\""), ("destination", "\"2001:db8::2\"")]);
    let line = Format::Cef.line(&v6);
    assert!(
        line.contains("c6a2=2001:db8::1 c6a2Label=Source IPv6 Address") && !line.contains(" src="),
        "{line}"
    );
    let line = Format::Cef.line(&notice());
    assert!(
        line.contains("|feed-held|feed-held|5|") && line.ends_with("msg=it lists | everything"),
        "{line}"
    );
}

#[test]
fn ocsf_is_network_activity() {
    assert_line(
        Format::Ocsf,
        &record(&[]),
        r#"{"category_uid":4,"class_uid":4001,"activity_id":5,"type_uid":400105,"severity_id":4,"time":1795442531482,
"metadata":{"version":"1.3.0","product":{"name":"iomt-filter","vendor_name":"iomt-filter","version":"VERSION"},
"profiles":["security_control","host"]},"message":"frame dropped: blocklist","action_id":2,"disposition_id":6,
"status_detail":"blocklist","count":3,
"src_endpoint":{"ip":"10.10.4.12","port":49152,"mac":"00:1B:21:AA:BB:CC","name":"ct-3","vlan_uid":"110"},
"dst_endpoint":{"ip":"203.0.113.9","port":443,"mac":"02:AA:BB:CC:DD:EE","location":{"country":"RU"}},
"connection_info":{"direction_id":2,"protocol_num":6,"protocol_name":"tcp","protocol_ver_id":4,"tcp_flags":2,
"community_uid":"1:ahb6o8rn2rTSqor0BN/4UuSW3YI="},"policy":{"name":"ct-scanner"},"risk_score":100,
"device":{"hostname":"seg-gw-1","type_id":9,"interface_name":"eth1"},
"unmapped":{"verdict":"drop","reason":"blocklist","device":"ct-3","feed":"threatfox","entry":"203.0.113.0/24",
"generation":12,"length":78}}"#,
    );
    let expected = r#"{"mac":null,"vlan":110,"addresses":["10.10.4.12"]}"#;
    let line = Format::Ocsf.line(&record(&[("reason", "\"spoofed\""), ("expected", expected)]));
    assert!(line.contains(&format!(r#","expected":{expected},"generation""#)), "{line}");
    let line = Format::Ocsf.line(&notice());
    assert!(
        line.starts_with(
            r#"{"category_uid":0,"class_uid":0,"activity_id":99,"activity_name":"feed-held","type_uid":99,"#
        ),
        "{line}"
    );
}

/// A scan that was stopped, as an event.
fn drift() -> Record {
    use crate::events::{Drift, Evidence, What};
    let time = "2026-11-23T14:02:11.482913Z".parse().unwrap();
    let evidence = Evidence {
        direction: Some("from-device".into()),
        source: Some([10, 10, 4, 12].into()),
        destination: Some([10, 20, 0, 66].into()),
        protocol: Some("tcp".into()),
        port: Some(445),
        verdict: Some("drop".into()),
        reason: Some("not-allowed".into()),
        packets: 2,
        ..Evidence::of_nothing("ct-3")
    };
    let drift = Drift {
        number: 17,
        what: What::NewPeer,
        count: 40,
        devices: 1,
        first: Some(time),
        last: Some(time),
        evidence: vec![evidence],
        measured: None,
    };
    Record::of_drift("seg-gw-1", time, Some(("ct-3", Some("ct-scanner".to_owned()))), drift)
}

#[test]
fn drift_is_an_event_of_its_own_in_every_format() {
    let drift = drift();
    let said = "40 new peers: to 10.20.0.66 445/tcp, drop: not-allowed, and 39 more";
    assert_eq!(drift.to_string(), format!("14:02:11.482 notice drift ct-3: {said}"));
    let line = Format::Json.line(&drift);
    assert!(
        line.contains(r#""verdict":"notice","reason":"drift","device":"ct-3","profile":"ct-scanner""#),
        "{line}"
    );
    assert!(line.contains(r#""drift":{"number":17,"what":"new-peer","count":40,"devices":1,"first":"2026-11-23T14:02:11.482913Z","#), "{line}");
    assert_eq!(serde_json::from_str::<Record>(&line).unwrap(), drift);
    assert_line(
        Format::EveStrict,
        &drift,
        r#"{"timestamp":"2026-11-23T14:02:11.482913+0000","event_type":"alert","src_ip":"10.10.4.12",
"dest_ip":"10.20.0.66","dest_port":445,"proto":"TCP","ip_v":4,"host":"seg-gw-1",
"alert":{"action":"allowed","signature":"iomt-filter drift new-peer","category":"drift","severity":2}}"#,
    );
    let line = Format::Eve.line(&drift);
    assert!(
        line.contains(r#""note":"40 new peers: "#) && line.contains(r#""drift":{"number":17,"#),
        "{line}"
    );
    assert_line(
        Format::Cef,
        &drift,
        &format!(
            "CEF:0|iomt-filter|iomt-filter|VERSION|drift|drift: new-peer|5|rt=1795442531482 act=notice reason=drift \
             cat=new-peer cnt=1 dvchost=seg-gw-1 deviceDirection=1 src=10.10.4.12 dst=10.20.0.66 dpt=445 proto=TCP \
             cs1=ct-3 cs1Label=device cs2=ct-scanner cs2Label=profile msg={said}"
        ),
    );
    let line = Format::Ocsf.line(&drift);
    assert!(
        line.starts_with(
            r#"{"category_uid":2,"class_uid":2004,"activity_id":1,"type_uid":200401,"severity_id":3,"#
        ),
        "{line}"
    );
    assert!(
        line.contains(r#""finding_info":{"uid":"seg-gw-1-1795442531-17","title":"40 new peers: "#),
        "{line}"
    );
    assert!(
        line.contains(r#""evidences":[{"src_endpoint":{"ip":"10.10.4.12","name":"ct-3"},"dst_endpoint":{"ip":"10.20.0.66","port":445}"#),
        "{line}"
    );
    assert!(line.contains(r#""generation":0"#) && line.contains(r#""drift":{"number":17,"#), "{line}");
    let entry = journal::entry(&drift);
    let text = String::from_utf8_lossy(&entry);
    assert!(text.contains("\nIOMT_FILTER_DRIFT=new-peer\n") && text.contains("\nPRIORITY=5\n"), "{text}");
}
