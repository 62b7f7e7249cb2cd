//! `learn mud`: the commands of its page, and what is kept of names.

use std::fs;

use iomt_filter_tests::readme::{blocks_of, commands_of, root};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Answer, run_in};

/// The example hospital, a MUD file, and the bindings that the page shows.
fn site() -> TempDir {
    let site = tempfile::tempdir().unwrap();
    let hospital = root().join("examples/hospital");
    for name in ["policy.toml", "devices.csv"] {
        fs::copy(hospital.join(name), site.path().join(name)).unwrap();
    }
    fs::create_dir(site.path().join("feeds")).unwrap();
    fs::copy(hospital.join("feeds/c2.netset"), site.path().join("feeds/c2.netset")).unwrap();
    let config = fs::read_to_string(hospital.join("config.toml")).unwrap();
    let config = config.replace("/var/lib/iomt-filter", "state").replace("/run/iomt-filter/", "");
    fs::write(site.path().join("config.toml"), config).unwrap();
    fs::create_dir(site.path().join("state")).unwrap();
    fs::copy(root().join("tests/data/mud/pump9000.json"), site.path().join("pump9000.json")).unwrap();
    let bindings = blocks_of("docs/mud.md", "toml").concat().join("\n");
    fs::write(site.path().join("bindings.toml"), bindings).unwrap();
    site
}

fn ask(site: &TempDir, arguments: &[&str]) -> Answer {
    run_in(site.path(), [&["--config", "config.toml", "learn", "mud"], arguments].concat())
}

#[test]
fn every_command_of_the_page_works() {
    let site = site();
    let commands = commands_of("docs/mud.md", "mud");
    assert_eq!(commands.len(), 5);
    for words in commands {
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let Answer { code, stdout, stderr } = ask(&site, &arguments[2..]);
        assert!(code == 0 && !stdout.is_empty(), "{words:?}: {code} {stdout} {stderr}");
    }
    let bindings = fs::read_to_string(site.path().join("ct-bindings.toml")).unwrap();
    assert!(bindings.contains("\"https://hospital.example/mud/controller/pacs\" = [\"pacs\"]"), "{bindings}");
    // They are not written over.
    let again = [
        "export",
        "ct-scanner",
        "--url",
        "https://hospital.example/ct.json",
        "--bindings",
        "ct-bindings.toml",
    ];
    let Answer { code, stderr, .. } = ask(&site, &again);
    assert!(code == 2 && stderr.contains("move away what is there"), "{stderr}");
}

#[test]
fn a_file_becomes_a_profile_that_can_be_read() {
    let site = site();
    let Answer { code, stdout, stderr } =
        ask(&site, &["import", "pump9000.json", "--bindings", "bindings.toml"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    insta::assert_snapshot!("mud_import", stdout);
    let policy = fs::read_to_string(site.path().join("policy.toml")).unwrap();
    fs::write(site.path().join("policy.toml"), format!("{policy}\n{stdout}")).unwrap();
    let Answer { code, stdout, .. } = run_in(site.path(), ["check", "--config", "config.toml"]);
    assert_eq!(code, 0, "{stdout}");
    // Without bindings nobody is meant.
    let Answer { code, stdout, .. } = ask(&site, &["import", "pump9000.json"]);
    assert!(
        code == 1
            && stdout
                .contains("left out: fr-v4/server: `https://pump.example/pump9000.json` is bound to nobody"),
        "{stdout}"
    );
}

#[test]
fn what_went_out_comes_in_again() {
    let site = site();
    let url = "https://hospital.example/mud/ct.json";
    let Answer { code, stdout, .. } =
        ask(&site, &["export", "ct-scanner", "--url", url, "--bindings", "own.toml"]);
    assert_eq!(code, 0);
    fs::write(site.path().join("ct.json"), stdout).unwrap();
    let import =
        ["import", "ct.json", "--bindings", "own.toml", "--profile", "ct-scanner", "--output", "json"];
    let Answer { code, stdout, stderr } = ask(&site, &import);
    assert_eq!(code, 0, "{stdout} {stderr}");
    let imported: Value = serde_json::from_str(&stdout).unwrap();
    let rules: Vec<_> = imported["rules"].as_array().unwrap().iter().map(|rule| &rule["services"]).collect();
    assert_eq!(
        serde_json::to_value(rules).unwrap(),
        json!([["dose-report", "dicom"], ["dns"], ["ntp"], ["dhcp", "icmp"], ["https"], ["dicom"]])
    );
}

#[test]
fn names_are_kept_and_taken_again() {
    let site = site();
    let file = fs::read_to_string(site.path().join("pump9000.json")).unwrap();
    let mut file: Value = serde_json::from_str(&file).unwrap();
    file["ietf-access-control-list:acls"]["acl"][0]["aces"]["ace"] = json!([{
        "name": "cloud", "actions": {"forwarding": "accept"},
        "matches": {"ipv4": {"protocol": 6, "ietf-acldns:dst-dnsname": "cloud.invalid"},
            "tcp": {"ietf-mud:direction-initiated": "from-device", "destination-port": {"operator": "eq", "port": 443}}},
    }]);
    file["ietf-access-control-list:acls"]["acl"][1]["aces"]["ace"] = json!([]);
    fs::write(site.path().join("cloud.json"), file.to_string()).unwrap();
    let Answer { code, stdout, stderr } = ask(&site, &["import", "cloud.json"]);
    assert!(code == 1 && stdout.contains("no address of `cloud.invalid` is known"), "{stdout}");
    assert!(stderr.contains("`cloud.invalid` cannot be resolved"), "{stderr}");
    let kept = json!({"cloud.invalid": {"addresses": ["198.51.100.7"], "at": "2026-01-02T03:04:05Z"}});
    fs::write(site.path().join("state/mud_names.json"), kept.to_string()).unwrap();
    for more in [&["--offline"][..], &[]] {
        let Answer { code, stdout, .. } = ask(&site, &[&["import", "cloud.json"], more].concat());
        assert_eq!(code, 0, "{stdout}");
        assert!(stdout.contains("{ to = \"198.51.100.7\", service = \"https\" }"), "{stdout}");
        assert!(
            stdout.contains("# name: cloud.invalid is 198.51.100.7, as of 2026-01-02 03:04, kept"),
            "{stdout}"
        );
    }
    fs::write(site.path().join("state/mud_names.json"), "{}").unwrap();
    // The system knows this one without a server.
    let local = file.to_string().replace("cloud.invalid", "localhost");
    fs::write(site.path().join("cloud.json"), local).unwrap();
    let Answer { code, stdout, .. } = ask(&site, &["import", "cloud.json"]);
    assert!(code == 1 && stdout.contains("that could be allowed"), "{stdout}");
    let kept = fs::read_to_string(site.path().join("state/mud_names.json")).unwrap();
    assert!(kept.contains("localhost"), "{kept}");
}

#[test]
fn what_cannot_be_done_is_said() {
    let site = site();
    fs::write(site.path().join("broken.json"), "{").unwrap();
    fs::write(site.path().join("wrong.toml"), "controler = 1\n").unwrap();
    for (arguments, said) in [
        (&["import", "broken.json"][..], "failed to import `broken.json`"),
        (&["import", "absent.json"], "failed to read `absent.json`"),
        (&["import", "/dev/zero"], "more than"),
        (&["import", "pump9000.json", "--profile", "a b"], "no name for a profile"),
        (&["import", "pump9000.json", "--bindings", "wrong.toml"], "unknown key `controler`"),
        (&["export", "ct-scaner", "--url", "https://a.example/x"], "did you mean `ct-scanner`?"),
        (&["export", "ct-scanner", "--url", "http://a.example/x"], "begins with `https://`"),
    ] {
        let Answer { code, stdout, stderr } = ask(&site, arguments);
        assert!(code == 2 && stdout.is_empty() && stderr.contains(said), "{arguments:?}: {code} {stderr}");
    }
}
