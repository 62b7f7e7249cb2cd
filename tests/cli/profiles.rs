//! `profile`: what ships can be used, allows what it documents and nothing beside it, and says what the site has to name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use iomt_filter::events::Record;
use iomt_filter_tests::packet::{End, Frame};
use iomt_filter_tests::readme::{blocks_of, commands_of, root};
use serde_json::Value;
use tempfile::TempDir;

use crate::captures;
use crate::program::{Answer, run_in};

const OWN: &str = "10.10.0.11";
const OTHER: &str = "10.20.0.99";

/// Who stands behind the names of all profiles that ship.
const BINDINGS: &str = r#"
[peers]
alaris-systems-manager = "10.20.0.30"
dns = "10.20.0.53"
dhcp = "10.20.0.67"
ntp = "10.20.0.123"
pacs = "10.20.0.10"
worklist = "10.20.0.11"
modalities = "10.20.0.20"
viewers = "10.20.0.21"
interface-engine = "10.20.0.40"
hl7-senders = "10.20.0.41"
sdc-consumers = "10.20.0.50"
poct-data-manager = "10.20.0.60"
[services]
sdc-notifications = "53200/tcp"
poct1-a = "5001/tcp"
"#;

fn folder() -> String {
    root().canonicalize().unwrap().join("packaging/profiles").display().to_string()
}

/// A site with one device and whatever policy a test writes.
fn site(profile: &str) -> TempDir {
    let site = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(site.path().join(name), text).unwrap();
    write(
        "config.toml",
        &format!(
            "[interfaces]\ndevice = [\"eth1\"]\nuplink = [\"eth0\"]\nsegments = [\"10.10.0.0/16\", \"fd10::/64\"]\n\
             [paths]\nstate = \"state\"\nsocket = \"none.sock\"\nprofiles = \"{}\"\n",
            folder()
        ),
    );
    write(
        "devices.csv",
        &format!("name,mac,ip,vlan,profile\nown,02:00:00:00:01:01,{OWN} fd10::11,,{profile}\n"),
    );
    write("policy.toml", "version = 1\n");
    write("bindings.toml", BINDINGS);
    site
}

fn ask(folder: &Path, arguments: &[&str]) -> Answer {
    run_in(folder, [&["--config", "config.toml", "profile"], arguments].concat())
}

/// Adds a text to the policy.
fn add(site: &TempDir, text: &str) {
    let policy = fs::read_to_string(site.path().join("policy.toml")).unwrap();
    fs::write(site.path().join("policy.toml"), policy + text).unwrap();
}

fn own() -> End {
    End { mac: [2, 0, 0, 0, 1, 1], address: OWN.parse().unwrap(), vlan: None }
}

fn to(peer: &str) -> Frame {
    Frame::from(own()).to(peer)
}

fn from(peer: &str) -> Frame {
    Frame::from(peer).to(own())
}

/// By profile: what it documents, and what stands beside that.
fn judged(profile: &str) -> (Vec<Frame>, Vec<Frame>) {
    let (mut passes, mut drops) = (Vec::new(), Vec::new());
    match profile {
        "alaris-pcu" => {
            passes.extend([
                to("10.20.0.30").tcp(1, 3613).syn(),
                to("10.20.0.53").udp(2, 53),
                to("10.20.0.53").tcp(3, 53).syn(),
            ]);
            passes.push(to("10.20.0.67").udp(68, 67));
            drops.extend([
                to("10.20.0.30").tcp(4, 3614).syn(),
                to("10.20.0.30").udp(5, 3613),
                to(OTHER).tcp(6, 3613).syn(),
            ]);
            drops.extend([
                to("10.20.0.53").tcp(7, 853).syn(),
                from("10.20.0.30").tcp(8, 3613).syn(),
                from("10.20.0.30").tcp(9, 80).syn(),
            ]);
        }
        "dicom-modality" => {
            for port in [104, 11112, 2762] {
                passes
                    .extend([to("10.20.0.10").tcp(port, port).syn(), to("10.20.0.11").tcp(port, port).syn()]);
                passes.push(from("10.20.0.10").tcp(1, port).syn());
                drops.extend([
                    from("10.20.0.11").tcp(1, port).syn(),
                    to(OTHER).tcp(1, port).syn(),
                    to("10.20.0.10").udp(1, port),
                ]);
            }
            passes.extend([
                to("10.20.0.53").udp(2, 53),
                to("10.20.0.123").udp(3, 123),
                to("10.20.0.67").udp(68, 67),
            ]);
            drops.extend([
                to("10.20.0.10").tcp(4, 2761).syn(),
                to("10.20.0.10").tcp(5, 445).syn(),
                to("10.20.0.53").udp(6, 123),
            ]);
        }
        "pacs" => {
            for port in [104, 11112, 2762] {
                for peer in ["10.20.0.20", "10.20.0.21"] {
                    passes.extend([from(peer).tcp(1, port).syn(), to(peer).tcp(2, port).syn()]);
                    drops.push(from(peer).tcp(3, port + 1).syn());
                }
                drops.extend([from(OTHER).tcp(4, port).syn(), to(OTHER).tcp(5, port).syn()]);
            }
            passes.push(to("10.20.0.123").udp(6, 123));
            drops.push(to("10.20.0.21").tcp(7, 445).syn());
        }
        "hl7-sender" => {
            passes.push(to("10.20.0.40").tcp(1, 2575).syn());
            drops.extend([
                to("10.20.0.40").tcp(2, 2576).syn(),
                from("10.20.0.40").tcp(3, 2575).syn(),
                to(OTHER).tcp(4, 2575).syn(),
            ]);
        }
        "hl7-receiver" => {
            passes.push(from("10.20.0.41").tcp(1, 2575).syn());
            drops.extend([
                from("10.20.0.41").tcp(2, 2576).syn(),
                to("10.20.0.41").tcp(3, 2575).syn(),
                from(OTHER).tcp(4, 2575).syn(),
            ]);
        }
        "sdc-monitor" => {
            let v6 = End { address: "fd10::11".parse().unwrap(), ..own() };
            let group = [0x01, 0, 0x5e, 0x7f, 0xff, 0xfa];
            // A probe of a consumer, and the answer to its port; nobody has asked from the next one.
            passes.push(
                Frame::from("10.20.0.50").to("239.255.255.250").destination_mac(group).udp(40000, 3702),
            );
            passes.extend([
                to("10.20.0.50").udp(3702, 40000),
                to("239.255.255.250").destination_mac(group).udp(1, 3702),
            ]);
            passes
                .push(Frame::from(v6).to("ff02::c").destination_mac([0x33, 0x33, 0, 0, 0, 0xc]).udp(2, 3702));
            passes.extend([from("10.20.0.50").udp(3, 3702), from("10.20.0.50").tcp(4, 6464).syn()]);
            passes.extend([to("10.20.0.50").tcp(5, 53200).syn(), to("10.20.0.123").udp(6, 123)]);
            drops.extend([
                to("10.20.0.50").udp(3702, 40001),
                to("10.20.0.50").tcp(7, 53201).syn(),
                from(OTHER).tcp(8, 6464).syn(),
            ]);
            drops.extend([
                from("10.20.0.50").tcp(9, 6465).syn(),
                to("239.255.255.250").destination_mac(group).udp(10, 1900),
            ]);
        }
        "poct-device" => {
            passes.push(to("10.20.0.60").tcp(1, 5001).syn());
            drops.extend([
                to("10.20.0.60").tcp(2, 5002).syn(),
                from("10.20.0.60").tcp(3, 5001).syn(),
                to(OTHER).tcp(4, 5001).syn(),
            ]);
        }
        other => panic!("`{other}` ships, and nothing here says what it is to allow"),
    }
    (passes, drops)
}

fn shipped() -> Vec<String> {
    let site = site("x");
    let Answer { code, stdout, stderr } = ask(site.path(), &["list", "--output", "json"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let lines: Vec<Value> = serde_json::from_str(&stdout).unwrap();
    lines.iter().map(|line| line["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_ships_allows_what_it_documents_and_nothing_beside() {
    for profile in shipped() {
        let site = site(&profile);
        let Answer { code, stdout, stderr } =
            ask(site.path(), &["import", &profile, "--bindings", "bindings.toml"]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{profile}: {stdout}");
        add(&site, &format!("[defaults]\nmode = \"enforce\"\n{stdout}"));
        let Answer { code, stdout, stderr } = run_in(site.path(), ["check", "--config", "config.toml"]);
        assert!(code == 0 && stdout.ends_with("; 0 warnings\n"), "{profile}: {stdout} {stderr}");

        let (passes, drops) = judged(&profile);
        let expected = passes.iter().map(|_| "pass").chain(drops.iter().map(|_| "drop"));
        let expected: Vec<&str> = expected.collect();
        let frames: Vec<Frame> = passes.into_iter().chain(drops).collect();
        fs::write(site.path().join("frames.pcap"), captures::of(frames.iter().map(Frame::bytes))).unwrap();
        let replay = ["replay", "--config", "config.toml", "frames.pcap", "--output", "json"];
        let Answer { stdout, stderr, .. } = run_in(site.path(), replay);
        let records: Vec<Record> = stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), expected.len(), "{profile}: {stderr}");
        for ((record, expected), line) in records.iter().zip(expected).zip(stdout.lines()) {
            assert_eq!(record.verdict.as_ref(), expected, "{profile}: {line}");
        }
    }
}

#[test]
fn every_source_can_be_looked_up() {
    let site = site("x");
    for profile in shipped() {
        let Answer { code, stdout, .. } = ask(site.path(), &["show", &profile, "--output", "json"]);
        assert_eq!(code, 0);
        let shown: Value = serde_json::from_str(&stdout).unwrap();
        for source in shown["sources"].as_array().unwrap() {
            assert!(source["url"].as_str().unwrap().starts_with("https://"), "{profile}: {source}");
        }
        let cited: BTreeSet<&str> =
            shown["rules"].as_array().unwrap().iter().map(|rule| rule["source"].as_str().unwrap()).collect();
        assert!(!cited.is_empty());
    }
}

#[test]
fn check_asks_for_what_is_not_bound() {
    let site = site("sdc-monitor");
    let Answer { code, stdout, .. } = ask(site.path(), &["import", "sdc-monitor"]);
    assert_eq!(code, 1);
    insta::assert_snapshot!("profile_import_unbound", stdout);
    add(&site, &stdout);
    let Answer { code, stderr, .. } = run_in(site.path(), ["check", "--config", "config.toml"]);
    assert_eq!(code, 1);
    for said in
        ["unknown endpoint `sdc-consumers`", "unknown endpoint `ntp`", "unknown service `sdc-notifications`"]
    {
        assert!(stderr.contains(said), "{stderr}");
    }
    for said in ["a new name is added to `[endpoints]`", "a new name is added to `[services]`"] {
        assert!(stderr.contains(said), "{stderr}");
    }
    // What the policy names is taken by its name, and nothing is missing any more.
    let named = "version = 1\n[endpoints]\nsdc-consumers = [\"10.20.0.50\"]\nntp = [\"10.20.0.123\"]\n\
                 [services]\nsdc-notifications = [\"53200/tcp\"]\nsdc-messages = [\"53100/tcp\"]\n";
    fs::write(site.path().join("policy.toml"), named).unwrap();
    let Answer { code, stdout, .. } = ask(site.path(), &["import", "sdc-monitor", "--profile", "monitor"]);
    assert!(code == 0 && stdout.contains("[profiles.monitor]"), "{stdout}");
    assert!(stdout.contains("{ from = \"sdc-consumers\", service = \"sdc-messages\" }"), "{stdout}");
    add(&site, &stdout.replace("profiles.monitor", "profiles.sdc-monitor"));
    assert_eq!(run_in(site.path(), ["check", "--config", "config.toml"]).code, 0);
}

#[test]
fn a_profile_as_text() {
    let site = site("x");
    insta::assert_snapshot!("profile_show", ask(site.path(), &["show", "alaris-pcu"]).stdout);
    let list = ask(site.path(), &["list"]).stdout;
    let page = fs::read_to_string(root().join("docs/profiles.md")).unwrap();
    let rows =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once("` | "));
    let documented: Vec<String> = rows.map(|(name, title)| format!("{name} {title}")).collect();
    let listed = list.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    let listed: Vec<String> = listed.collect();
    assert_eq!(
        documented[..listed.len().min(documented.len())],
        listed,
        "the table of docs/profiles.md differs"
    );
}

#[test]
fn every_command_of_the_page_works() {
    let site = site("x");
    for name in ["policy.toml", "devices.csv"] {
        fs::copy(root().join("examples/hospital").join(name), site.path().join(name)).unwrap();
    }
    fs::copy(root().join("tests/data/mds2/ventilator.csv"), site.path().join("ventilator.csv")).unwrap();
    let bindings = blocks_of("docs/profiles.md", "toml").concat().join("\n");
    fs::write(site.path().join("bindings.toml"), bindings).unwrap();
    let commands = commands_of("docs/profiles.md", "profiles");
    assert_eq!(commands.len(), 6);
    for words in commands {
        let arguments = ["--config", "config.toml"].into_iter().chain(words.iter().map(String::as_str));
        let Answer { code, stdout, stderr } = run_in(site.path(), arguments);
        assert!(code == 0 && !stdout.is_empty() && stderr.is_empty(), "{words:?}: {code} {stdout} {stderr}");
    }
}

#[test]
fn what_cannot_be_done_is_said() {
    let site = site("x");
    fs::create_dir(site.path().join("odd")).unwrap();
    fs::write(site.path().join("odd/broken.toml"), "version = 2\n").unwrap();
    fs::write(site.path().join("odd/bytes.toml"), b"\xff").unwrap();
    fs::write(site.path().join("wrong.toml"), "[peers]\ndns = \"any\"\n").unwrap();
    fs::write(site.path().join("odd.toml"), "[peers]\ndns = \"dsn\"\nntp = \"10.0.0.1\"\n").unwrap();
    for (arguments, said) in [
        (&["show", "alaris"][..], "has no profile `alaris`; known: `alaris-pcu`"),
        (&["show", "alaris-pcv"], "did you mean `alaris-pcu`?"),
        (
            &["list", "--profiles", "absent"],
            "failed to read `absent`; name the folder of the profiles with `--profiles FOLDER`",
        ),
        (&["show", "./absent.toml"], "failed to read `./absent.toml`"),
        (&["show", "/dev/zero"], "more than 1048576 bytes"),
        (&["show", "odd/broken.toml"], "write `version = 1` at the top"),
        (&["show", "odd/bytes.toml"], "failed to read `odd/bytes.toml`"),
        (&["import", "alaris-pcu", "--profile", "a b"], "`a b` is no name for a profile"),
        (&["import", "alaris-pcu", "--bindings", "wrong.toml"], "nobody in particular is bound"),
        (&["import", "alaris-pcu", "--bindings", "odd.toml"], "the binding of `dns`: unknown endpoint `dsn`"),
    ] {
        let Answer { code, stdout, stderr } = ask(site.path(), arguments);
        assert!(code == 2 && stdout.is_empty() && stderr.contains(said), "{arguments:?}: {code} {stderr}");
    }
    let Answer { code, stdout, stderr } = ask(site.path(), &["list", "--profiles", "odd"]);
    assert_eq!((code, stdout.lines().count()), (1, 1), "{stdout}");
    assert!(stderr.contains("odd/broken.toml") && stderr.contains("odd/bytes.toml"), "{stderr}");
}
