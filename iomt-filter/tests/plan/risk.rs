//! What devices are exposed to: what is proposed is a policy that lets those go on who were seen, and nobody else.

use std::fs;

use iomt_filter::baseline::{Ground as Judged, Scope};
use iomt_filter::contacts::{Contact, Direction};
use iomt_filter::plan::{Judge, Talk};
use iomt_filter::risk::{Access, Action, Assessing, Catalogs, Ground, Rank, Risk, epss, kev};
use iomt_filter::sbom::{Imported, Kept, State, Whose, read};
use jiff::Timestamp;

use crate::site::{Site, at, from, to};

const KEV: &str = include_str!("../../../tests/data/risk/kev.json");
const EPSS: &str = include_str!("../../../tests/data/risk/epss.csv");
const BOM: &str = include_str!("../../../tests/data/risk/pump-os.json");
const VEX: &str = include_str!("../../../tests/data/risk/pump-vex.json");

fn catalogs() -> Catalogs {
    let kev = Some(kev::read(KEV.as_bytes()).unwrap());
    let epss = Some(epss::read(EPSS.as_bytes(), |_| true).unwrap());
    Catalogs { kev, epss, sources: Vec::new() }
}

fn kept(device: &str, file: &str, text: &str) -> Kept {
    let bill = read(text.as_bytes()).unwrap();
    let about = Imported { device: Whose(device.into()), file: file.into(), ..Imported::default() };
    Kept { about: about.of(&bill), bill }
}

/// With rules of `ct` that allow more than anybody uses.
fn site(rule: &str) -> Site {
    let mut site = Site::new();
    site.exchange("policy.toml", "  { to = \"vendor\"", &format!("{rule}\n  {{ to = \"vendor\""));
    site.before = site.after();
    site
}

fn risk(
    site: &Site,
    kept: &[Kept],
    catalogs: &Catalogs,
    contacts: &[Contact],
    scope: &Scope,
    all: bool,
) -> Risk {
    let judged = Judged { intent: &site.before, leases: &[], now: 1 };
    let ground = Ground { judged, management: &[], kept, catalogs, likely: 0.1 };
    let mut assessing = Assessing::begin(ground, scope, all);
    contacts.iter().for_each(|contact| assessing.hear(contact));
    let policy = fs::read_to_string(site.path("policy.toml")).unwrap();
    assessing.end(Timestamp::MIN, Some(("policy.toml", &policy)))
}

/// What is found at `ct-1`.
fn found(site: &Site, contacts: &[Contact]) -> Risk {
    let kept = [kept("profile:ct", "bom.json", BOM), kept("ct-1", "vex.json", VEX)];
    risk(site, &kept, &catalogs(), contacts, &Scope::default(), false)
}

/// The site with what is proposed in its policy.
fn applied(mut site: Site, risk: &Risk) -> Site {
    let policy = fs::read_to_string(site.path("policy.toml")).unwrap();
    let (before, rest) = policy.split_once("[profiles.ct]").unwrap();
    let (_, after) = rest.split_once("[profiles.pump]").unwrap();
    let policy = format!("{before}{}\n[profiles.pump]{after}", risk.policy);
    fs::write(site.path("policy.toml"), policy).unwrap();
    site.before = site.after();
    site
}

fn passes(site: &Site, contact: Contact) -> bool {
    let judge = Judge::new(&site.before, &[], 1);
    judge.say(&Talk::from(contact)).unwrap().verdict == "pass"
}

#[test]
fn the_gravest_stand_first_and_what_is_closed_or_unlikely_does_not() {
    let site = Site::new();
    let risk = found(&site, &[]);
    let told: Vec<_> = risk
        .findings
        .iter()
        .map(|it| (it.vulnerability.as_str(), it.rank, it.state, it.device.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("CVE-2017-0144", Rank::Ransomware, State::Exploitable, "ct-1"),
            ("CVE-2022-2119", Rank::LikelyExploited, State::Listed, "ct-1"),
        ]
    );
    assert_eq!((risk.left_out.closed, risk.left_out.unlikely, risk.left_out.devices_without), (1, 1, 3));
    let smb = &risk.findings[0];
    assert_eq!(smb.component, "Windows 7 Embedded SP1");
    assert!(
        smb.exposures.len() == 2 && smb.exposures.iter().all(|it| it.access == Access::Denied),
        "{smb:?}"
    );
    assert!(smb.proposal.contains("none needed, no rule allows it"), "{smb:?}");
    assert_eq!((risk.policy.as_str(), risk.diff.as_str()), ("", ""), "{risk:?}");
    // DICOM is spoken from either end, and both rules are in use by nobody.
    let dicom = &risk.findings[1];
    assert_eq!(dicom.exposures.len(), 4);
    assert!(dicom.exposures.iter().all(|it| it.access == Access::Allowed), "{dicom:?}");
    assert!(dicom.proposal.contains("nothing is known of what devices of `ct` did"), "{dicom:?}");
}

#[test]
fn a_rule_is_left_to_those_who_used_it() {
    let site = site("  { from = \"10.20.0.0/16\", service = [\"smb\", \"https\"], note = \"files\" },");
    let contacts = [
        from("ct-1", "10.20.0.7", 445),
        from("ct-1", "10.20.0.9", 443),
        from("ct-1", "192.0.2.66", 445),
        Contact { packets: 3, last_seen: at(9), ..from("ct-1", "10.20.0.99", 445) },
        to("ct-1", "10.20.0.10", 104),
        from("ct-1", "10.20.0.10", 104),
    ];
    let risk = found(&site, &contacts);
    let smb = &risk.findings[0];
    let exposure = &smb.exposures[0];
    assert_eq!(
        (exposure.access, exposure.peers, exposure.direction),
        (Access::Allowed, 3, Direction::ToDevice)
    );
    assert_eq!(exposure.rules, ["ct[3] from 10.20.0.0/16 service smb,https"]);
    let actions: Vec<_> = risk.proposals[0].rules.iter().map(|it| (it.index, it.action)).collect();
    assert_eq!(actions, [(1, Action::Narrow), (2, Action::Narrow), (3, Action::Narrow)]);
    assert!(risk.policy.contains("note = \"files; CVE-2017-0144\""), "{}", risk.policy);
    assert!(
        risk.proposals[0].rules[2].why.ends_with("10.20.0.7 (far ends that were seen once do not count)")
    );
    assert!(!risk.policy.contains("10.20.0.99") && !risk.policy.contains("192.0.2.66"), "{}", risk.policy);
    assert!(risk.diff.contains("+++ policy.toml"), "{}", risk.diff);
    for contact in [from("ct-1", "10.20.0.8", 445), from("ct-1", "10.20.0.7", 445)] {
        assert!(passes(&site, contact));
    }
    let site = applied(site, &risk);
    for (contact, expected) in [
        (from("ct-1", "10.20.0.7", 445), true),
        (from("ct-1", "10.20.0.8", 445), false),
        (from("ct-1", "10.20.0.8", 443), true),
        (to("ct-1", "10.20.0.10", 104), true),
        (from("ct-1", "10.20.0.10", 104), true),
        (to("ct-1", "2001:db8:20::10", 11112), false),
    ] {
        assert_eq!(passes(&site, contact.clone()), expected, "{contact:?}\n{}", risk.policy);
    }
    // It is as narrow as it gets.
    let again = found(&site, &contacts);
    let smb = &again.proposals[0].rules.iter().find(|it| it.rule.contains("445")).unwrap();
    assert_eq!(smb.action, Action::Keep, "{again:?}");
    assert_eq!(again.policy, "", "{}", again.policy);
}

#[test]
fn a_rule_that_nobody_used_goes_and_the_policy_says_why() {
    let site =
        site("  { from = \"vendor\", service = \"smb\" },\n  { from = \"any\", service = \"1-1024/tcp\" },");
    let risk = found(&site, &[to("ct-1", "10.20.0.10", 104), from("ct-1", "10.20.0.10", 104)]);
    let whole = risk.policy.lines().find(|line| line.contains("CVE-2017-0144: 445/tcp from vendor")).unwrap();
    assert!(
        whole.trim_start().starts_with("# ") && whole.ends_with("is taken out, nobody used it"),
        "{whole}"
    );
    let proposed = &risk.proposals[0].rules;
    let because = &proposed.iter().find(|it| it.index == 4).unwrap().why;
    assert!(because.contains("445/tcp") && because.contains("only 0 days"), "{because}");
    let site = applied(site, &risk);
    for (port, expected) in [(445, false), (139, false), (444, true), (22, true)] {
        assert_eq!(passes(&site, from("ct-1", "10.20.0.8", port)), expected, "{port}\n{}", risk.policy);
    }
}

#[test]
fn who_may_be_anybody_is_looked_at_by_somebody() {
    let site = site("  { from = \"any\", service = \"smb\" },");
    let many: Vec<_> = (1..60).map(|host| from("ct-1", &format!("10.20.7.{host}"), 445)).collect();
    let risk = found(&site, &many);
    let rule = risk.proposals[0].rules.iter().find(|it| it.rule.contains("smb")).unwrap();
    assert_eq!(rule.action, Action::Review);
    assert!(rule.why.contains("59 far ends used 445/tcp"), "{}", rule.why);
    assert!(!risk.policy.contains("445"), "{}", risk.policy);
}

#[test]
fn other_devices_are_named_by_their_profile_and_modes_are_told() {
    let site = site("  { from = \"any\", service = \"smb\" },");
    let risk = found(&site, &[from("ct-1", "10.10.0.21", 445)]);
    assert!(risk.policy.contains("from = \"profile:pump\""), "{}", risk.policy);
    let kept = [kept("monitor-*", "bom.json", BOM), kept("ghost-*", "bom.json", BOM)];
    let scope = Scope { device: Some("monitor-1".into()), profile: None };
    let risk = risk_of(&site, &kept, &scope);
    assert_eq!(risk.findings[0].exposures[0].access, Access::Reported);
    assert!(risk.findings[0].proposal.contains("it passes in `monitor`: enforce the profile"), "{risk:?}");
    assert!(
        risk.warnings.iter().any(|it| it.contains("`ghost-*`, and no device is that")),
        "{:?}",
        risk.warnings
    );
}

fn risk_of(site: &Site, kept: &[Kept], scope: &Scope) -> Risk {
    risk(site, kept, &catalogs(), &[], scope, false)
}

#[test]
fn what_cannot_be_ranked_is_told_and_never_passed_over() {
    let site = Site::new();
    let kept = [kept("ct-1", "bom.json", BOM)];
    let scope = Scope::default();
    let without = risk(&site, &kept, &Catalogs::default(), &[], &scope, false);
    assert_eq!(without.findings.len(), 4, "without any catalog all of it is listed");
    assert!(
        without.findings[0].why.contains("not scored: there is no EPSS file"),
        "{:?}",
        without.findings[0]
    );
    let only_kev = Catalogs { epss: None, ..catalogs() };
    let told = risk(&site, &kept, &only_kev, &[], &scope, false);
    assert_eq!((told.findings.len(), told.left_out.not_scored), (2, 2));
    assert_eq!(risk(&site, &kept, &only_kev, &[], &scope, true).findings.len(), 4);
    let bare = [self::kept("ct-1", "bare.json", &BOM.replace("\"vulnerabilities\"", "\"unknown\""))];
    let told = risk(&site, &bare, &catalogs(), &[], &scope, false);
    assert!(told.findings.is_empty() && told.warnings[0].contains("names no vulnerability"), "{told:?}");
}
