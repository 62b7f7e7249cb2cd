//! Policies: every mistake with its place and its way out, and what the rows of sound ones hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "a test may")]

use std::fmt::Write;
use std::time::{Duration, Instant};

use iomt_filter::diagnostic::{Diagnostic, SourceFile};
use iomt_filter::inventory::Inventory;
use iomt_filter::numbers::Numbers;
use iomt_filter::policy::{Extras, Policy, compile};
use iomt_filter::rows::{Prefix, Rows};
use iomt_filter_common::Mac;
use iomt_filter_common::abi::{CLIENT, MAX_CLIENTS, PeerClass};
use iomt_filter_common::geo::Country;
use iomt_filter_common::policy::Mode;

const DEVICES: &str =
    "name,mac,ip,vlan,profile\nct-1,02:00:00:00:00:01,10.0.0.1,,ct\nct-2,,10.0.0.2 fd00::2,7,ct\n";

fn extras() -> Extras {
    Extras {
        gateway: vec!["10.0.0.254".parse().unwrap()],
        segments: vec!["10.0.0.0/24".parse().unwrap()],
        ..Extras::default()
    }
}

fn compiled(policy: &str, devices: &str) -> Result<(Rows, Vec<Diagnostic>), Vec<Diagnostic>> {
    let (policy, mut warnings) = Policy::parse(&SourceFile::new("policy.toml", policy))?;
    let (inventory, _) = Inventory::parse(&SourceFile::new("devices.csv", devices))?;
    let (rows, found) = compile(&policy, &inventory, &extras(), &mut Numbers::default())?;
    warnings.extend(found);
    Ok((rows, warnings))
}

fn with_rules(rules: &str) -> String {
    format!(
        "version = 1\n[endpoints]\npacs = [\"10.1.0.10\", \"10.1.0.11\"]\n[profiles.ct]\nallow = [\n{rules}\n]\n"
    )
}

fn text(found: &[Diagnostic]) -> String {
    found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n")
}

fn errors(policy: &str) -> String {
    text(&compiled(policy, DEVICES).expect_err("this policy has a mistake"))
}

#[test]
fn a_mistake_is_shown_like_this() {
    let shown = errors(&with_rules("  { to = \"pacs\", service = \"dicmo\" },"));
    assert_eq!(
        shown,
        "error: unknown service `dicmo`
 --> policy.toml:6:28
  |
6 |   { to = \"pacs\", service = \"dicmo\" },
  |                            ^^^^^^^
  = help: did you mean `dicom`?, or write ports, as in `8443/tcp`; a new name is added to `[services]`"
    );
}

#[test]
fn every_mistake_of_a_rule() {
    for (rule, expected) in [
        (r#"{ to = "pasc", service = "dicom" }"#, "unknown endpoint `pasc`|did you mean `pacs`?"),
        (r#"{ to = "pacs" }"#, "this rule has no `service`|service = \"any\""),
        (r#"{ service = "dicom" }"#, "neither `to` nor `from`|"),
        (r#"{ to = "pacs", from = "pacs", service = "dicom" }"#, "either `to` or `from`, not both|two rules"),
        (r#"{ to = [], service = "dicom" }"#, "`to` names nothing|"),
        (r#"{ to = "pacs", service = [] }"#, "`service` names nothing|"),
        (r#"{ to = "profile:tc", service = "dicom" }"#, "unknown profile `tc`|`ct`"),
        (r#"{ to = "10.0.0.1/8", service = "dicom" }"#, "host bits set|write `10.0.0.0/8`"),
        (r#"{ to = "10.0.0", service = "dicom" }"#, "neither an address nor a prefix|10.20.0.10"),
        (r#"{ to = "pacs", service = "443" }"#, "`443` has no protocol|`443/tcp`"),
        (
            r#"{ to = "pacs", service = 443 }"#,
            "`service` must be a string or a list of strings, not a whole number|",
        ),
        (r#"{ to = "pacs", servce = "dicom" }"#, "unknown key `servce` in `allow`|did you mean `service`?"),
        (r#""pacs""#, "`allow` must be a table, not a string|"),
    ] {
        let shown = errors(&with_rules(rule));
        for part in expected.split('|') {
            assert!(shown.contains(part), "{rule}: {part}\n{shown}");
        }
        assert!(shown.contains("--> policy.toml:6:"), "{shown}");
    }
}

#[test]
fn every_mistake_of_a_policy_at_once() {
    let policy = r#"
version = 2
[defaults]
mode = "enforced"
block_score = 101
unparsed = "monitor"
[endpoints]
gateway = ["10.0.0.1"]
empty = []
"10.0.0.1" = ["10.0.0.1"]
[services]
dicom = ["104/tcp"]
odd = ["1/tpc"]
[profiles.ct]
geo = { allow = ["DE"], deny = ["UK"] }
on_block = "rset"
[profiles.pump]
geo = { deny = ["UK"], unknown = "maybe" }
[profiles.none]
geo = {}
[protected]
pairs = [ { device = "ct-*" }, { peer = "any" } ]
[profilse]
"#;
    let shown = errors(policy);
    for expected in [
        "unknown policy version 2",
        "`mode` cannot be `enforced`",
        "did you mean `enforce`?",
        "`block_score` must be between 0 and 100",
        "`unparsed` cannot be `monitor`",
        "`gateway` is built in",
        "`empty` names nothing",
        "`10.0.0.1` cannot be a name",
        "`dicom` is built in",
        "unknown protocol `tpc`",
        "`geo` has both `allow` and `deny`",
        "`on_block` cannot be `rset`",
        "`UK` is no country code",
        "did you mean `GB`?",
        "`unknown` cannot be `maybe`",
        "`geo` has neither `allow` nor `deny`",
        "a protected pair has no `peer`",
        "a protected pair has no `device`",
        "unknown endpoint `any`",
        "unknown key `profilse`",
        "did you mean `profiles`?",
    ] {
        assert!(shown.contains(expected), "{expected}\n{shown}");
    }
}

#[test]
fn broken_toml_has_a_place() {
    let shown = errors("version = 1\n[profiles.ct]\nallow = [ { to = \"x\" \n");
    assert!(shown.contains("error: ") && shown.contains("--> policy.toml:"), "{shown}");
    assert!(errors("").contains("this policy has no `version`"));
}

#[test]
fn rules_without_effect_name_both_places() {
    for (rules, expected) in [
        (
            "{ to = \"pacs\", service = \"dicom\" },\n{ to = \"pacs\", service = [\"104/tcp\", \"11112/tcp\"] }",
            "this rule is the same as one before it",
        ),
        (
            "{ to = \"any\", service = \"dicom\" },\n{ to = \"pacs\", service = \"104/tcp\" }",
            "this rule is shadowed",
        ),
        (
            "{ to = \"10.1.0.0/16\", service = \"any\" },\n{ to = \"pacs\", service = \"dicom\" }",
            "this rule is shadowed",
        ),
        (
            "{ to = [\"10.1.0.10\", \"10.1.0.11\"], service = \"104/tcp\" },\n{ to = \"pacs\", service = \"104/tcp\" }",
            "same as",
        ),
    ] {
        let shown = errors(&with_rules(rules));
        assert!(shown.contains(expected), "{shown}");
        assert!(shown.contains("--> policy.toml:7:") && shown.contains("` is at policy.toml:6:"), "{shown}");
        assert!(shown.contains("= help: remove it"), "{shown}");
    }
    let together = "{ to = \"10.1.0.10\", service = \"dicom\" },\n{ to = \"10.1.0.11\", service = \"dicom\" },\n{ to = \"pacs\", service = \"104/tcp\" }";
    assert!(errors(&with_rules(together)).contains("those before it together"));
}

#[test]
fn an_overlap_is_a_warning_and_a_narrow_rule_first_is_none() {
    let overlap = "{ to = \"pacs\", service = \"any\" },\n{ to = \"any\", service = \"dicom\" }";
    let (_, warnings) = compiled(&with_rules(overlap), DEVICES).unwrap();
    assert!(text(&warnings).starts_with("warning: this rule overlaps one before it"), "{}", text(&warnings));
    let narrow = "{ to = \"pacs\", service = \"dicom\" },\n{ to = \"any\", service = \"dicom\" },\n{ from = \"pacs\", service = \"dicom\" }";
    let (_, warnings) = compiled(&with_rules(narrow), DEVICES).unwrap();
    assert_eq!(warnings, []);
}

#[test]
fn devices_need_a_profile_and_may_miss_a_pair() {
    let policy =
        format!("{}\n[protected]\npairs = [{{ device = \"pump-*\", peer = \"pacs\" }}]\n", with_rules(""));
    let (rows, warnings) = compiled(&policy, DEVICES).unwrap();
    assert!(text(&warnings).contains("no device is called `pump-*`"));
    assert_eq!((rows.protected.len(), rows.settings.has_protected), (0, 0));
    let shown = text(&compiled(&with_rules(""), &DEVICES.replace(",ct\n", ",cat\n")).unwrap_err());
    assert!(shown.contains("unknown profile `cat`\n --> devices.csv:2:"), "{shown}");
    assert!(shown.contains("devices.csv:3:"), "{shown}");
}

#[test]
fn devices_and_geo_as_rows() {
    let policy = format!("{}geo = {{ allow = [\"DE\"], unknown = \"deny\" }}\n", with_rules(""));
    let (rows, warnings) = compiled(&policy, DEVICES).unwrap();
    assert!(text(&warnings).contains("there is no country database"));
    let (one, two) = (rows.devices[&1], rows.devices[&2]);
    assert_eq!((one.vlan, two.vlan, one.profile, one.mode), (0, 7, 1, Mode::Monitor as u8));
    assert_eq!((rows.device_macs.len(), rows.device_addresses.len()), (1, 3));
    let geo = rows.profiles[&1].geo;
    let country = |code: &[u8; 2]| Country::from_code(*code).unwrap();
    assert!(!geo.denies(country(b"DE")) && geo.denies(country(b"FR")));
    assert!(geo.denies(Country::OTHER) && geo.denies(Country::UNKNOWN));
}

#[test]
fn devices_by_dhcp_are_found_by_their_hardware_address_in_whatever_vlan() {
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let devices = |vlans: std::ops::RangeInclusive<u16>| {
        let line = |vlan| format!("d-{vlan},02:00:00:00:00:01,dhcp,{vlan},ct\n");
        format!("name,mac,ip,vlan,profile\n{}", vlans.map(line).collect::<String>())
    };
    let (rows, warnings) = compiled(&with_rules(""), &devices(1..=MAX_CLIENTS)).unwrap();
    for n in 0..MAX_CLIENTS {
        let device = u32::from(n) + 1;
        assert_eq!((rows.device_macs[&(mac, n + 1)], rows.device_macs[&(mac, CLIENT + n)]), (device, device));
    }
    assert!(!text(&warnings).contains("no lease is learned"));
    let (rows, warnings) = compiled(&with_rules(""), &devices(1..=MAX_CLIENTS + 1)).unwrap();
    let shown = text(&warnings);
    assert!(shown.contains("of `d-17` no lease is learned\n  --> devices.csv:18:1"), "{shown}");
    // One more place than devices, for the VLANs that none of them belongs to.
    assert_eq!(rows.device_macs.len(), 2 * usize::from(MAX_CLIENTS) + 2);
}

#[test]
fn all_of_ipv6_leaves_ipv4_alone() {
    let (rows, _) = compiled(&with_rules("{ to = \"::/0\", service = \"https\" }"), DEVICES).unwrap();
    let v4 = Prefix::from("0.0.0.0/0".parse::<ipnet::IpNet>().unwrap());
    assert_eq!(rows.peers[&v4], PeerClass::default());
    assert_eq!(rows.peers.len(), 4, "`::/0`, `0.0.0.0/0`, the segment, this host");
}

#[test]
fn a_thousand_rules_compile_fast() {
    let mut rules = String::new();
    for rule in 0..1_000 {
        let (a, b) = (rule / 250, rule % 250);
        let _ = writeln!(
            rules,
            "{{ to = [\"10.{a}.{b}.0/24\", \"fd00:{a}:{b}::/48\", \"10.{a}.0.0/16\"], service = \"{}-{}/tcp\" }},",
            rule * 3 + 1,
            rule * 3 + 2
        );
    }
    let policy = with_rules(&rules);
    let start = Instant::now();
    let (rows, _) = compiled(&policy, DEVICES).unwrap();
    let took = start.elapsed();
    println!(
        "{} peers, {} services, {} cells in {took:?}",
        rows.peers.len(),
        rows.services.len(),
        rows.rules.len()
    );
    assert_eq!(rows.names.rules.len(), 1_000);
    assert!(took < Duration::from_secs(10), "{took:?}");
}
