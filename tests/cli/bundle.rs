//! Bundles on the command line: the page about them, as it is written, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use iomt_filter_tests::readme::{commands_of, root};
use tempfile::TempDir;

use crate::program::{self, Answer};

/// A folder with the files of the example, its state in the folder too, and keys of both sides.
struct Site {
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let site = Self { folder: TempDir::new().unwrap() };
        let example = root().join("examples/hospital");
        for file in ["policy.toml", "devices.csv", "feeds/c2.netset"] {
            let path = site.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(example.join(file), path).unwrap();
        }
        let config = fs::read_to_string(example.join("config.toml")).unwrap();
        let config = config
            .replace("\"/run/iomt-filter/control.sock\"", "\"control.sock\"")
            .replace("\"/var/lib/iomt-filter\"", "\"state\"")
            .replace("# key = \"maker.pub\"", "key = \"maker.pub\"");
        assert!(config.contains("\nkey = \"maker.pub\""), "the example names no key");
        fs::write(site.path("config.toml"), config).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Answer {
        let config = ["--config", "config.toml"];
        program::run_in(self.folder.path(), config.iter().chain(words))
    }

    fn key_of(&self, other: &Self) {
        fs::copy(other.path("maker.pub"), self.path("maker.pub")).unwrap();
    }

    fn replace(&self, file: &str, before: &str, after: &str) {
        let text = fs::read_to_string(self.path(file)).unwrap();
        assert!(text.contains(before), "{file} has no `{before}`");
        fs::write(self.path(file), text.replace(before, after)).unwrap();
    }
}

fn refused(answer: &Answer, why: &str) {
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stderr.contains(why) && answer.stdout.is_empty(), "{why}: {answer:?}");
}

#[test]
fn every_command_of_the_page_works_as_it_stands() {
    let site = Site::new();
    let commands = commands_of("docs/bundles.md", "bundle");
    assert!(commands.len() >= 3);
    for words in commands {
        let answer = site.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(answer.code, 0, "{words:?}: {answer:?}");
        assert!(!answer.stdout.is_empty(), "{words:?} prints nothing");
    }
    assert!(site.path("state/incoming/c2.list").exists());
}

#[test]
fn a_bundle_of_one_site_comes_to_another_once() {
    let (maker, site) = (Site::new(), Site::new());
    assert_eq!(maker.run(&["bundle", "key", "--no-password", "maker"]).code, 0);
    site.key_of(&maker);
    maker.replace("policy.toml", "block_score = 50", "block_score = 60");
    let create = ["bundle", "create", "--out", "x.bundle", "--key", "maker.key", "--output", "json"];
    let made: serde_json::Value = serde_json::from_str(&maker.run(&create).stdout).unwrap();
    let bundle = maker.path("x.bundle");
    let apply = |site: &Site, bundle: &Path, more: &[&str]| {
        site.run(&[&["bundle", "apply", bundle.to_str().unwrap()], more].concat())
    };
    let answer = apply(&site, &bundle, &["--output", "json"]);
    let applied: serde_json::Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!((answer.code, &applied["version"]), (0, &made["version"]));
    assert_eq!(applied["agent"], serde_json::Value::Null, "none runs");
    assert_eq!(applied["placed"], serde_json::json!(["policy", { "feed": "c2" }]));
    assert!(fs::read_to_string(site.path("policy.toml")).unwrap().contains("block_score = 60"));
    refused(&apply(&site, &bundle, &[]), "was applied before; apply a newer one");
    // Two in one second are two versions.
    let next: serde_json::Value = serde_json::from_str(&maker.run(&create).stdout).unwrap();
    assert!(next["version"].as_u64() > made["version"].as_u64());
    assert_eq!(apply(&site, &bundle, &[]).code, 0);

    let stranger = Site::new();
    stranger.run(&["bundle", "key", "--no-password", "maker"]);
    refused(&apply(&stranger, &bundle, &[]), "it was made with another key");
    stranger.replace("config.toml", "\nkey = \"maker.pub\"", "");
    let answer = apply(&stranger, &bundle, &[]);
    assert!(answer.code == 2 && answer.stderr.contains("set `key` in `[bundle]`"), "{answer:?}");
    fs::write(stranger.path("none"), "no bundle").unwrap();
    stranger.replace("config.toml", "[bundle]", "[bundle]\nkey = \"maker.pub\"");
    refused(&apply(&stranger, Path::new("none"), &[]), "this is no bundle, or it is damaged");
}

#[test]
fn a_policy_that_the_site_could_not_load_is_refused_before_anything_is_replaced() {
    let (maker, site) = (Site::new(), Site::new());
    maker.run(&["bundle", "key", "--no-password", "maker"]);
    site.key_of(&maker);
    // Good by itself, and without a profile that devices of the site have.
    fs::write(maker.path("policy.toml"), "version = 1\n[profiles.other]\n").unwrap();
    let create = ["bundle", "create", "--out", "x.bundle", "--key", "maker.key"];
    assert_eq!(maker.run(&create).code, 0);
    let before = fs::read(site.path("policy.toml")).unwrap();
    let answer = site.run(&["bundle", "apply", maker.path("x.bundle").to_str().unwrap()]);
    refused(&answer, "the agent would refuse what it holds");
    assert!(answer.stderr.contains("unknown profile"), "{answer:?}");
    assert_eq!(fs::read(site.path("policy.toml")).unwrap(), before);
    assert!(!site.path("state/incoming/c2.list").exists() && !site.path("state/bundle.json").exists());

    // A database that nobody can use, though no profile needs one.
    for site in [&maker, &site] {
        site.replace("config.toml", "# database = \"country.mmdb\"", "database = \"country.mmdb\"");
    }
    fs::copy(site.path("policy.toml"), maker.path("policy.toml")).unwrap();
    fs::write(maker.path("country.mmdb"), "no database").unwrap();
    assert_eq!(maker.run(&create).code, 0);
    let answer = site.run(&["bundle", "apply", maker.path("x.bundle").to_str().unwrap()]);
    refused(&answer, "the agent would refuse what it holds");
    assert!(answer.stderr.contains("the country database cannot be used"), "{answer:?}");
    assert!(!site.path("country.mmdb").exists() && !site.path("state/bundle.json").exists());

    fs::write(maker.path("policy.toml"), "version = 2\n").unwrap();
    refused(&maker.run(&create), "a bundle with this policy would be of no use");
}
