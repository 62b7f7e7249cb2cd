//! Profiles as files: valid, whole, and back again.

use std::collections::BTreeMap;

use iomt_filter::diagnostic::SourceFile;
use iomt_filter::mud::{self, Exported, Exporting};
use iomt_filter::policy::source;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{POLICY, URL, ace, file, imported_with, policy, rules, tcp};

fn exported() -> Exported {
    let (source, _) = source::parse(&SourceFile::new("policy.toml", POLICY));
    let profile = source.profiles.iter().find(|profile| profile.name.value == "pump").unwrap();
    mud::export(&Exporting {
        profile,
        vocabulary: &policy().vocabulary,
        url: URL,
        systeminfo: "a pump",
        last_update: Timestamp::UNIX_EPOCH,
        cache_validity: 48,
        is_supported: true,
    })
    .unwrap()
}

#[test]
fn what_is_exported_is_valid_and_says_what_it_cannot() {
    let exported = exported();
    assert_eq!(mud::validate(&exported.mud), Vec::<String>::new());
    assert_eq!(serde_json::from_str::<Value>(&exported.text).unwrap(), exported.mud);
    let notes = exported.notes.join("\n");
    for said in ["`mode`, `geo`", "any service", "proto/47", "10.0.0.9", "DHCP"] {
        assert!(notes.contains(said), "{said}: {notes}");
    }
    let bindings = &exported.bindings;
    for bound in [
        "\"urn:ietf:params:mud:dns\" = [\"dns\"]",
        "\"https://pump.example/controller/server\" = [\"server\"]",
        "\"https://pump.example/controller/gateway\" = [\"gateway\"]",
        "\"https://pump.example/pump9000.json\" = [\"pump\"]",
        "\"https://pump.example/ct.json\" = [\"ct\"]",
    ] {
        assert!(bindings.contains(bound), "{bound}: {bindings}");
    }
}

#[test]
fn what_is_exported_comes_back_as_it_was() {
    let exported = exported();
    let back = imported_with(&exported.mud, &exported.bindings, &BTreeMap::new(), false);
    assert!(back.left_out.is_empty(), "{back}");
    assert_eq!(
        rules(&back),
        [
            "from-device server dose,hl7",
            "from-device dns dns",
            "from-device gateway dhcp",
            "from-device 198.51.100.0/24 https",
            "from-device profile:pump ws-discovery",
            "from-device profile:ct ws-discovery",
            "from-device any 1-65535/tcp",
            "from-device 10.0.0.9 any",
            "from-device 10.0.0.10 proto/47",
            "to-device server icmp,4000-4010/udp,icmpv6",
        ]
    );
}

#[test]
fn breaches_are_found_with_their_place() {
    let breach = |change: &dyn Fn(&mut Value)| {
        let mut file = file(json!([ace(json!({"tcp": tcp(443)}))]), json!([]));
        assert_eq!(mud::validate(&file), Vec::<String>::new());
        change(&mut file);
        mud::validate(&file).join("; ")
    };
    let first = "/ietf-access-control-list:acls/acl/0/aces/ace/0";
    assert!(breach(&|file| file["ietf-mud:mud"]["cache-validity"] = json!(169)).contains("/cache-validity"));
    assert!(
        breach(&|file| drop(file["ietf-mud:mud"].as_object_mut().unwrap().remove("mud-url")))
            .contains("/mud-url: missing")
    );
    assert!(
        breach(&|file| file["ietf-mud:mud"]["last-update"] = json!("yesterday")).contains("/last-update")
    );
    assert!(
        breach(&|file| file.pointer_mut(first).unwrap()["matches"]["mud"] = json!({}))
            .contains("/matches/mud: unknown")
    );
    assert!(
        breach(&|file| file.pointer_mut(first).unwrap()["matches"]["udp"] = json!({})).contains("contradict")
    );
    assert!(
        breach(&|file| file.pointer_mut(first).unwrap()["matches"]["ipv6"] = json!({}))
            .contains("contradict")
    );
    assert!(
        breach(&|file| file["ietf-access-control-list:acls"]["acl"][1]["name"] = json!("fr"))
            .contains("another one")
    );
    assert!(
        breach(&|file| file["ietf-access-control-list:acls"]["acl"] = json!([]))
            .contains("there is no list `fr`")
    );
}
