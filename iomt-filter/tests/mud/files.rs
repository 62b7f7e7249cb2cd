//! Files as a whole: drafts, names, what would strangle a device, and what somebody might do to whoever reads them.

use std::collections::BTreeMap;

use iomt_filter::diagnostic::SourceFile;
use iomt_filter::mud::{self, Bindings, Ground, ReadError};
use iomt_filter::policy::Policy;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{URL, ace, file, imported, policy, read, rules, tcp};

#[test]
fn files_that_would_strangle_a_device_say_so() {
    let of = |entries: Value| imported(&file(entries, json!([]))).warnings.join("\n");
    let cloud = ace(json!({"ipv4": {"ietf-acldns:dst-dnsname": "cloud.example"}, "tcp": tcp(443)}));
    let said = of(json!([cloud]));
    assert!(said.contains("`cloud.example` for one: no rule allows DNS") && said.contains("DHCP"), "{said}");
    let udp = |port: u16| {
        ace(
            json!({"ietf-mud:mud": {"controller": "urn:ietf:params:mud:dns"}, "udp": {"destination-port": {"port": port}}}),
        )
    };
    let said = of(json!([cloud, udp(53), udp(67)]));
    assert!(!said.contains("DNS") && !said.contains("DHCP"), "{said}");
    assert!(of(json!([])).contains("could do nothing at all"));
    assert!(of(json!([ace(json!({"ipv4": {}}))])).contains("`fr/x` allows everything"));
}

#[test]
fn names_are_believed_no_address_of_nobody() {
    let name = ace(json!({"ipv4": {"ietf-acldns:dst-dnsname": "rebound.example"}, "tcp": tcp(443)}));
    let found = imported(&file(json!([name]), json!([])));
    assert_eq!(rules(&found), ["from-device 10.20.0.20 https"]);
    let notes = found.notes.join("\n");
    assert!(
        notes.contains("127.0.0.1, which is left out") && notes.contains("0.0.0.0, which is left out"),
        "{notes}"
    );
    assert!(notes.contains("private address 10.20.0.20"), "{notes}");
}

#[test]
fn drafts_before_the_rfc_are_read_as_they_meant_it() {
    let draft = json!({
        "ietf-mud:mud": {
            "mud-url": URL, "last-update": "2017-12-09T05:52:54+01:00", "is-supported": true,
            "from-device-policy": {"access-lists": {"access-list": [
                {"acl-name": "v4fr", "acl-type": "ietf-access-control-list:ipv4-acl"}]}},
        },
        "ietf-access-control-list:access-lists": {"acl": [{
            "acl-name": "v4fr", "acl-type": "ipv4-acl",
            "access-list-entries": {"ace": [
                {"rule-name": "a", "matches": {"ipv4-acl": {"ietf-acldns:dst-dnsname": "cloud.example", "protocol": 6,
                    "destination-port-range": {"lower-port": 9543, "upper-port": 9543}}},
                    "actions": {"forwarding": "accept"}},
                {"rule-name": "b", "matches": {"ietf-mud:mud-acl": {"my-controller": [null]}},
                    "actions": {"forwarding": "accept"}},
                {"rule-name": "c", "matches": {"ietf-mud:same-manufacturer": [null]},
                    "actions": {"forwarding": "accept"}},
                {"rule-name": "d", "matches": {"ipv4-acl": {"ietf-acldns:dst-dnsname": "cloud.example", "protocol": 6,
                    "destination-port-range-or-operator": {"operator": "eq", "port": 443}},
                    "tcp": {"ietf-mud:direction-initiated": "from-device"}}, "actions": {"forwarding": "accept"}},
            ]},
        }]},
    });
    let found = imported(&draft);
    assert_eq!(
        rules(&found),
        [
            "from-device 198.51.100.7,198.51.100.8 https,9543/tcp",
            "from-device 10.20.0.20 any",
            "from-device profile:pump any",
        ]
    );
    assert!(
        found.notes.iter().any(|note| note.contains("no `mud-version`")) && found.left_out.is_empty(),
        "{found}"
    );
}

#[test]
fn the_fragment_is_read_as_the_policy_that_it_is() {
    let found = imported(&file(
        json!([ace(json!({"ietf-mud:mud": {"my-controller": [null]}, "tcp": tcp(443)}))]),
        json!([]),
    ));
    assert!(found.policy.contains("# my-controller: fr/x\n"), "{}", found.policy);
    let text = format!("version = 1\n{}\n{found}", found.policy);
    let (policy, _) = Policy::parse(&SourceFile::new("policy.toml", text)).unwrap();
    assert_eq!(policy.profile("pump").unwrap().rules.len(), 1);
    assert_eq!(read(&file(json!([]), json!([]))).profile_name(), "pump-9000");
}

#[test]
fn texts_of_a_file_end_no_line_and_move_no_cursor() {
    let evil = "x\n]\nmode = \"learn\"\u{1b}[2J\u{9b}2J\u{202e}";
    let mut file = file(json!([]), json!([]));
    let mud = &mut file["ietf-mud:mud"];
    mud["systeminfo"] = json!(evil);
    mud["mud-url"] = json!(format!("https://pump.example/{evil}"));
    mud["last-update"] = json!(evil);
    mud[evil] = json!(evil);
    file[evil] = json!(1);
    file["ietf-access-control-list:acls"]["acl"][0]["aces"]["ace"] = json!([
        {"name": evil, "matches": {"tcp": tcp(443)}, "actions": {"forwarding": "accept"}},
        {"name": evil, "matches": {evil: 1}, "actions": {"forwarding": evil}},
        {"name": evil, "matches": {"ietf-mud:mud": {"controller": evil}}, "actions": {"forwarding": "accept"}},
    ]);
    let found = imported(&file);
    assert_eq!((found.rules.len(), found.left_out.len()), (1, 2));
    let text = format!("{}{found}", found.policy);
    let document = serde_json::to_string(&found).unwrap();
    assert!(!document.contains(['\u{9b}', '\u{202e}']), "{document}");
    assert!(
        !text.contains(['\u{1b}', '\u{9b}', '\u{202e}'])
            && !text.lines().any(|line| line.starts_with("mode")),
        "{text}"
    );
    assert!(Policy::parse(&SourceFile::new("policy.toml", format!("version = 1\n{text}"))).is_ok(), "{text}");
}

#[test]
fn what_is_no_mud_file_is_refused() {
    let refused = |bytes: &[u8]| mud::read(bytes).unwrap_err().to_string();
    assert!(refused(b"version 0.1.0").starts_with("it is no JSON"));
    assert!(refused(b"{}").contains("`ietf-mud:mud`"));
    assert!(refused(b"[1]").contains("`ietf-mud:mud`"));
    assert!(refused("[".repeat(100_000).as_bytes()).contains("recursion limit"));
    assert!(matches!(mud::read(&vec![b' '; mud::LARGEST + 1]), Err(ReadError::TooLarge)));
    let mut other = file(json!([]), json!([]));
    other["ietf-mud:mud"]["mud-version"] = json!(2);
    assert!(refused(other.to_string().as_bytes()).contains("`mud-version` is 2"));
    let mut twice = file(json!([]), json!([]));
    twice["ietf-access-control-list:acls"]["acl"][1]["name"] = json!("fr");
    assert!(refused(twice.to_string().as_bytes()).contains("are called `fr`"));
    let many: Vec<Value> = (0..2_001).map(|_| ace(json!({}))).collect();
    assert!(refused(file(json!(many), json!([])).to_string().as_bytes()).contains("entries"));
    let mut absent = file(json!([]), json!([]));
    absent["ietf-mud:mud"]["from-device-policy"]["access-lists"]["access-list"] = json!([{"name": "gone"}]);
    assert!(imported(&absent).left_out[0].why.contains("there is none"));
}

/// JSON in the shape of a MUD file, with anything anywhere.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "ietf-mud:mud",
        "mud-version",
        "mud-url",
        "from-device-policy",
        "to-device-policy",
        "access-lists",
        "access-list",
        "name",
        "ietf-access-control-list:acls",
        "acl",
        "type",
        "ipv4-acl-type",
        "aces",
        "ace",
        "matches",
        "ipv4",
        "ipv6",
        "tcp",
        "udp",
        "icmp",
        "eth",
        "protocol",
        "source-port",
        "destination-port",
        "operator",
        "port",
        "lower-port",
        "upper-port",
        "actions",
        "forwarding",
        "accept",
        "controller",
        "fr",
    ]);
    let word = word.prop_map(str::to_owned);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0u64..70_000).prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,9}".prop_map(Value::from),
    ];
    leaf.prop_recursive(8, 128, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_file_is_too_strange(mud in any_json(), acls in any_json(), from in any_json(), to in any_json()) {
        let strange = json!({"ietf-mud:mud": mud, "ietf-access-control-list:acls": acls});
        let _ = mud::validate(&strange);
        for file in [strange, file(from.clone(), to.clone()), file(json!([ace(from)]), json!([to]))] {
            if let Ok(mud) = mud::read(file.to_string().as_bytes()) {
                let bindings = Bindings::default();
                let vocabulary = policy().vocabulary;
                let answers = BTreeMap::new();
                let ground = Ground { bindings: &bindings, answers: &answers, vocabulary: &vocabulary, profile: "x", widen: true };
                let imported = mud::import(&mud, &ground);
                let text = format!("version = 1\n{}\n{imported}", imported.policy);
                prop_assert!(text.parse::<toml::Table>().is_ok(), "{text}");
            }
        }
    }
}
