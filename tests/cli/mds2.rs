//! `learn mds2`: a table of ports becomes a profile that judges as the table says.

use std::fs;

use iomt_filter_tests::readme::{blocks_of, root};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Answer, run_in};

fn site() -> TempDir {
    let site = tempfile::tempdir().unwrap();
    let config = "[interfaces]\ndevice = [\"eth1\"]\nuplink = [\"eth0\"]\nsegments = [\"10.77.1.0/24\"]\n\
                  [paths]\nstate = \"state\"\nsocket = \"none.sock\"\n";
    let policy = "version = 1\n[defaults]\nmode = \"enforce\"\n[endpoints]\ndns = [\"10.77.2.53\"]\nntp = [\"10.77.2.53\"]\n";
    let bindings = blocks_of("docs/profiles.md", "toml").concat().join("\n");
    for (name, text) in [
        ("config.toml", config),
        ("policy.toml", policy),
        ("devices.csv", "name,mac,ip,vlan,profile\nown,02:00:00:00:01:01,10.77.1.30,,ventilator\n"),
        ("bindings.toml", &bindings),
    ] {
        fs::write(site.path().join(name), text).unwrap();
    }
    fs::copy(root().join("tests/data/mds2/ventilator.csv"), site.path().join("ventilator.csv")).unwrap();
    site
}

fn import(site: &TempDir, arguments: &[&str]) -> Answer {
    let import = ["--config", "config.toml", "learn", "mds2", "import"];
    run_in(site.path(), [&import[..], arguments].concat())
}

#[test]
fn a_table_becomes_a_profile_that_judges_as_it_says() {
    let site = site();
    let table = ["ventilator.csv", "--profile", "ventilator", "--bindings", "bindings.toml"];
    let Answer { code, stdout, stderr } = import(&site, &table);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    insta::assert_snapshot!("mds2_import", stdout);
    let policy = fs::read_to_string(site.path().join("policy.toml")).unwrap();
    fs::write(site.path().join("policy.toml"), policy + &stdout).unwrap();
    let Answer { code, stdout, .. } = run_in(site.path(), ["check", "--config", "config.toml"]);
    assert!(code == 0 && stdout.ends_with("; 0 warnings\n"), "{stdout}");
    for (way, peer, service, passes) in [
        ("--from", "10.77.2.50", "161/udp", true),
        ("--from", "10.77.2.51", "161/udp", false),
        ("--to", "10.77.2.50", "162/udp", true),
        ("--to", "10.77.2.50", "161/udp", false),
        ("--to", "10.77.2.60", "2576/tcp", true),
        ("--to", "10.77.2.60", "2577/tcp", false),
        ("--from", "10.77.2.20", "443/tcp", true),
    ] {
        let question = ["explain", "--config", "config.toml", "--offline", "--device", "own", way, peer];
        let Answer { code, stdout, .. } =
            run_in(site.path(), [&question[..], &["--service", service]].concat());
        assert_eq!(code == 0, passes, "{way} {peer} {service}: {stdout}");
    }
}

#[test]
fn the_same_as_one_document() {
    let site = site();
    let Answer { code, stdout, .. } =
        import(&site, &["ventilator.csv", "--profile", "ventilator", "--output", "json"]);
    assert_eq!(code, 1);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(document["rules"].as_array().unwrap().len(), 1);
    assert_eq!(document["left_out"][0]["place"], "ventilator.csv:4");
    assert_eq!(
        document["left_out"][0]["why"],
        "`Service gateway` is bound to nobody: add it to `[peers]` of the file of `--bindings`"
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    let site = site();
    let write = |name: &str, text: &str| fs::write(site.path().join(name), text).unwrap();
    write("form.csv", "Question ID,Question,Answer\n");
    write("two.csv", "model,port,protocol,direction,peer\nCT,104,TCP,in,10.0.0.1\nMR,104,TCP,in,10.0.0.1\n");
    write("none.csv", "port,protocol\n");
    for (arguments, said) in [
        (&["absent.csv"][..], "failed to read `absent.csv`"),
        (&["/dev/zero"], "more than 1048576 bytes"),
        (&["form.csv"], "failed to import `form.csv`"),
        (&["form.csv"], "it is the MDS2 form with its questions"),
        (&["two.csv"], "it is about several devices; name one with `--model`: known: `CT`, `MR`"),
        (&["two.csv", "--model", "MRT"], "it is not about `MRT`; did you mean `MR`?"),
        (&["none.csv", "--model", "MR"], "it has no column `model` to look for `MR` in"),
        (&["two.csv", "--profile", "a b"], "`a b` is no name for a profile"),
        (&["two.csv", "--bindings", "absent.toml"], "failed to read `absent.toml`"),
    ] {
        let profile: &[&str] = if arguments.contains(&"--profile") { &[] } else { &["--profile", "x"] };
        let Answer { code, stdout, stderr } = import(&site, &[arguments, profile].concat());
        assert!(code == 2 && stdout.is_empty() && stderr.contains(said), "{arguments:?}: {code} {stderr}");
    }
    let Answer { code, stdout, .. } = import(&site, &["two.csv", "--profile", "x", "--model", "mr"]);
    assert!(code == 0 && stdout.contains("# two.csv:3: 10.0.0.1"), "{stdout}");
    assert!(stdout.contains("# note: 1 lines are about other devices"), "{stdout}");
}
