//! `sbom` and `risk`: the commands of their page, and what goes wrong.

use std::fs;

use iomt_filter_tests::readme::{commands_of, root};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Answer, run_in};

/// The example hospital, and files of a maker.
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
    // The catalogs of the tests get old.
    let config = config.replace("max_age = \"14d\"", "max_age = \"36500d\"");
    fs::write(site.path().join("config.toml"), config).unwrap();
    fs::create_dir(site.path().join("state")).unwrap();
    for file in fs::read_dir(root().join("tests/data/risk")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), site.path().join(file.file_name())).unwrap();
    }
    site
}

fn ask(site: &TempDir, arguments: &[&str]) -> Answer {
    run_in(site.path(), [&["--config", "config.toml"], arguments].concat())
}

fn json(site: &TempDir, arguments: &[&str]) -> Value {
    let Answer { code, stdout, stderr } = ask(site, &[arguments, &["--output", "json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {stdout} {stderr}");
    serde_json::from_str(&stdout).unwrap()
}

const CATALOGS: [&str; 5] = ["risk", "--kev", "kev.json", "--epss", "epss.csv"];

#[test]
fn every_command_of_the_page_works() {
    let site = site();
    let commands = commands_of("docs/risk.md", "risk");
    assert_eq!(commands.len(), 7);
    for words in commands {
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        let Answer { code, stdout, stderr } = ask(&site, &arguments);
        assert!(code == 0 && !stdout.is_empty(), "{words:?}: {code} {stdout} {stderr}");
    }
    let log = fs::read_to_string(site.path().join("state/audit.log")).unwrap();
    assert_eq!(log.lines().filter(|line| line.contains("\"sbom import\"")).count(), 3, "{log}");
    assert!(log.contains("mail of the maker, October") && log.contains("\"sbom remove\""), "{log}");
}

#[test]
fn what_is_known_to_be_exploited_stands_first_with_its_service_and_the_policy() {
    let site = site();
    ask(&site, &["sbom", "import", "pump-*", "pump-os.json"]);
    ask(&site, &["sbom", "import", "pump-*", "pump-vex.json"]);
    let Answer { code, stdout, .. } = ask(&site, &CATALOGS);
    assert_eq!(code, 0);
    for said in [
        "pump-1 (infusion-pump)  CVE-2017-0144  known to be exploited since 2022-02-10, for ransomware too, EPSS 0.944, CVSS 8.8\n",
        "  component  Windows 7 Embedded SP1 in `pump-vex.json`, exploitable\n",
        "  service    SMB (445/tcp, 139/tcp): ",
        "  445/tcp    opened to it by nobody; denied, no rule allows it\n",
        "  proposal   139/tcp, 445/tcp: none needed, no rule allows it\n",
        "\n2 findings\n",
        "1 more are not affected",
        "KEV: 2 entries of 2026-11-20, `kev.json`\n",
    ] {
        assert!(stdout.contains(said), "{said}\n{stdout}");
    }
    let all = json(&site, &[&CATALOGS[..], &["--all"]].concat());
    let found: Vec<_> =
        all["findings"].as_array().unwrap().iter().map(|it| it["vulnerability"].as_str().unwrap()).collect();
    assert_eq!(found, ["CVE-2017-0144", "CVE-2022-2119", "CVE-2019-1125", "CVE-2021-44228"]);
    assert_eq!(all["findings"][3]["justification"], "code_not_reachable");
    // The maker says more later.
    ask(&site, &["sbom", "import", "pump-1", "pump-openvex.json"]);
    let later = json(&site, &CATALOGS);
    assert_eq!(later["findings"].as_array().unwrap().len(), 1, "{later}");
}

#[test]
fn what_is_imported_is_listed_replaced_and_removed() {
    let site = site();
    for name in ["pump-os.json", "pump-spdx2.json", "pump-spdx3.json", "pump-openvex.json"] {
        let Answer { code, stdout, stderr } = ask(&site, &["sbom", "import", "pump-1", name]);
        assert_eq!(code, 0, "{stderr}");
        assert_eq!(stdout.contains("it takes the place of"), name.contains("spdx"), "{stdout}");
    }
    let listed = json(&site, &["sbom", "list"]);
    let files: Vec<_> =
        listed["imported"].as_array().unwrap().iter().map(|it| it["file"].as_str().unwrap()).collect();
    assert_eq!(files, ["pump-spdx3.json", "pump-openvex.json"]);
    let digest = listed["imported"][0]["digest"].as_str().unwrap();
    assert_eq!(digest.len(), 64);
    let Answer { code, stdout, .. } = ask(&site, &["sbom", "remove", "pump-1"]);
    assert_eq!((code, stdout.as_str()), (0, "removed `pump-spdx3.json`, `pump-openvex.json` of `pump-1`\n"));
    assert_eq!(json(&site, &["sbom", "list"])["imported"].as_array().unwrap().len(), 0);
}

#[test]
fn what_cannot_be_done_is_said() {
    let site = site();
    let write = |name: &str, text: &[u8]| fs::write(site.path().join(name), text).unwrap();
    write("broken.json", b"{\"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\", \"components\": 3}");
    write("old.json", b"{\"bomFormat\": \"CycloneDX\", \"specVersion\": \"1.3\"}");
    write("wide.json", &"{}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>());
    let page = "<html>";
    write("page.html", page.as_bytes());
    for (arguments, expected, said) in [
        (
            &["sbom", "import", "pump-11", "pump-os.json"][..],
            1,
            "no device is called `pump-11`; did you mean `pump-1`?",
        ),
        (&["sbom", "import", "profile:pump", "pump-os.json"], 1, "no device has the profile `pump`"),
        (&["sbom", "import", "pump-1", "broken.json"], 1, "expected a sequence at line 2 column"),
        (&["sbom", "import", "pump-1", "old.json"], 1, "CycloneDX 1.3, and 1.4 to 1.7 is read"),
        (&["sbom", "import", "pump-1", "wide.json"], 1, "iconv"),
        (&["sbom", "import", "pump-1", "page.html"], 1, "XML or HTML"),
        (&["sbom", "import", "pump-1", "kev.json"], 1, "no SBOM and no VEX document"),
        (&["sbom", "import", "pump-1", "absent.json"], 2, "failed to read `absent.json`"),
        (&["sbom", "import", "pump-1", "/dev/zero"], 2, "has more than 67108864 bytes"),
        (&["sbom", "remove", "pump-1"], 1, "nothing was imported for `pump-1`"),
        (&["risk", "--device", "pmp-1"], 2, "did you mean `pump-1`?"),
        (&["risk", "--epss-threshold", "10"], 2, "between 0 and 1"),
    ] {
        let Answer { code, stdout, stderr } = ask(&site, arguments);
        assert!(code == expected && stderr.contains(said), "{arguments:?}: {code} {stdout} {stderr}");
    }
    assert!(!site.path().join("state/sbom").exists());

    // Catalogs that are missing or broken are told, and what is open is listed.
    ask(&site, &["sbom", "import", "pump-1", "pump-os.json"]);
    for (arguments, said) in [
        (&["risk"][..], "KEV: no file is configured; set `kev` in `[risk]`"),
        (&["risk", "--kev", "page.html"], "as CSV it has no column `cveID`"),
        (&["risk", "--kev", "absent.json"], "absent.json"),
        (&["risk", "--epss", "kev.json"], "it is no file of EPSS scores"),
        (&["risk", "--kev", "."], "it is a folder; name the file"),
    ] {
        let Answer { code, stdout, stderr } = ask(&site, arguments);
        assert!(code == 0 && stderr.contains(said) && stdout.contains("\n4 findings\n"), "{stdout} {stderr}");
    }
    let config = fs::read_to_string(site.path().join("config.toml")).unwrap();
    fs::write(site.path().join("config.toml"), config.replace("36500d", "1s")).unwrap();
    let Answer { stderr, .. } = ask(&site, &CATALOGS);
    assert!(stderr.contains("days old, and what is newer is missing"), "{stderr}");
    fs::write(site.path().join("config.toml"), config.replace("# kev = \"", "kev = \"https://")).unwrap();
    let Answer { code, stderr, .. } = ask(&site, &CATALOGS);
    assert!(code == 2 && stderr.contains("`kev` in `[risk]` is a file"), "{stderr}");
    fs::write(site.path().join("config.toml"), config.replace("= 0.1 ", "= 1.1 ")).unwrap();
    let Answer { code, stderr, .. } = ask(&site, &CATALOGS);
    assert!(code == 2 && stderr.contains("`epss_threshold` must be between 0 and 1"), "{stderr}");
}
