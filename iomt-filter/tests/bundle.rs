//! Bundles: what goes in comes out elsewhere, and whatever else an archive may be changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use iomt_filter::bundle::{
    self, BundleError, Content, FORMAT, Manifest, Member, Placement, Places, Trusted, generate, incoming,
    secret_key,
};
use iomt_filter::config::Config;
use jiff::Timestamp;
use minisign::SecretKey;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

const POLICY: &[u8] = b"version = 1\n[profiles.ct]\n";
const LIST: &[u8] = b"203.0.113.9\n198.51.100.0/24\n";
const DATABASE: &[u8] = b"bytes that stand for a database";

/// A host with a configuration that names a policy, a country database and two feeds.
struct Host {
    folder: TempDir,
}

impl Host {
    /// One that has only its configuration.
    fn new() -> Self {
        let host = Self { folder: tempfile::tempdir().unwrap() };
        let config = r#"
[interfaces]
device = ["eth1"]
[paths]
state = "state"
[geo]
database = "geo/country.mmdb"
[[feed]]
name = "c2"
path = "c2.txt"
[[feed]]
name = "../far"
url = "https://lists.example/far"
"#;
        host.write("config.toml", config.as_bytes());
        fs::create_dir(host.path("state")).unwrap();
        host
    }

    /// One that has everything.
    fn full() -> Self {
        let host = Self::new();
        host.write("policy.toml", POLICY);
        host.write("geo/country.mmdb", DATABASE);
        host.write("c2.txt", LIST);
        host.write("state/feeds/%2e%2e%2ffar.list", b"192.0.2.1\n");
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), bytes).unwrap();
    }

    fn config(&self) -> Config {
        Config::load(&self.path("config.toml")).unwrap()
    }

    fn prepare(&self, bundle: &Path, trusted: &Trusted) -> Result<bundle::Prepared, BundleError> {
        bundle::prepare(bundle, trusted, &Places::of(&self.config()))
    }

    fn apply(&self, bundle: &Path, trusted: &Trusted) -> Result<Placement, BundleError> {
        self.prepare(bundle, trusted)?.place(Timestamp::now())
    }

    /// Every file with its content, but for the lock.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        fn walk(folder: &Path, root: &Path, found: &mut Vec<(String, Vec<u8>)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                if path.is_dir() {
                    walk(&path, root, found);
                } else if !name.ends_with("bundle.lock") {
                    found.push((name, fs::read(&path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(self.folder.path(), self.folder.path(), &mut found);
        found.sort();
        found
    }
}

struct Keys {
    folder: TempDir,
    secret: SecretKey,
    trusted: Trusted,
}

fn keys() -> Keys {
    let folder = tempfile::tempdir().unwrap();
    let [secret, public] = generate(&folder.path().join("maker"), None).unwrap();
    Keys { secret: secret_key(&secret, None).unwrap(), trusted: Trusted::read(&public).unwrap(), folder }
}

fn manifest(version: u64, members: Vec<Member>) -> Manifest {
    let created = "2026-11-01T00:00:00Z".parse().unwrap();
    Manifest { format: FORMAT, version, created, host: "maker".to_owned(), note: None, members }
}

fn member(content: Content, bytes: &[u8]) -> Member {
    let sha256 = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Member { content, size: bytes.len() as u64, sha256, updated: None }
}

/// A bundle of what `host` has.
fn make(host: &Host, keys: &Keys, version: u64) -> PathBuf {
    let gathered = bundle::gather(&host.config()).unwrap();
    let members = gathered.sources.iter().map(|source| source.member.clone()).collect();
    let out = host.path(&format!("{version}.bundle"));
    bundle::write(&out, &manifest(version, members), gathered.sources, &keys.secret).unwrap();
    out
}

/// An entry of an archive that somebody has made by hand.
struct Raw<'r> {
    name: &'r str,
    kind: EntryType,
    size: u64,
    bytes: &'r [u8],
}

fn file<'r>(name: &'r str, bytes: &'r [u8]) -> Raw<'r> {
    Raw { name, kind: EntryType::Regular, size: bytes.len() as u64, bytes }
}

/// An archive of these entries behind a good signature of `manifest`.
fn archive(keys: &Keys, manifest: &[u8], entries: &[Raw<'_>]) -> Vec<u8> {
    let signature = signature(keys, manifest, "iomt-filter bundle");
    let begin = [file("manifest.json.minisig", signature.as_bytes()), file("manifest.json", manifest)];
    let mut bytes = Vec::new();
    let mut archive = Builder::new(&mut bytes);
    for entry in begin.iter().chain(entries) {
        add(&mut archive, entry);
    }
    archive.into_inner().unwrap();
    bytes
}

fn add(archive: &mut Builder<&mut Vec<u8>>, entry: &Raw<'_>) {
    let mut header = Header::new_gnu();
    // Names that the library would refuse to write.
    let name = &mut header.as_old_mut().name;
    name[..entry.name.len()].copy_from_slice(entry.name.as_bytes());
    header.set_entry_type(entry.kind);
    header.set_size(entry.size);
    header.set_mode(0o644);
    if entry.kind.is_symlink() {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    archive.append(&header, entry.bytes).unwrap();
}

fn signature(keys: &Keys, manifest: &[u8], comment: &str) -> String {
    minisign::sign(None, &keys.secret, manifest, Some(comment), None).unwrap().into_string()
}

fn text(manifest: &Manifest) -> Vec<u8> {
    serde_json::to_vec(manifest).unwrap()
}

#[test]
fn what_one_host_has_comes_to_its_places_on_another() {
    let (maker, site, keys) = (Host::full(), Host::new(), keys());
    site.write("policy.toml", b"version = 1\n# what was there\n");
    fs::set_permissions(site.path("policy.toml"), fs::Permissions::from_mode(0o640)).unwrap();
    let placement = site.apply(&make(&maker, &keys, 7), &keys.trusted).unwrap();
    assert_eq!((placement.version, placement.host.as_str()), (7, "maker"));
    assert_eq!(fs::read(site.path("policy.toml")).unwrap(), POLICY);
    assert_eq!(fs::read(site.path("geo/country.mmdb")).unwrap(), DATABASE);
    let state = site.path("state");
    assert_eq!(fs::read(incoming(&state, "c2")).unwrap(), LIST);
    // Of a feed that comes from a server, the copy that the agent has: in one folder, whatever its name.
    assert_eq!(incoming(&state, "../far"), state.join("incoming/%2e%2e%2ffar.list"));
    assert_eq!(fs::read(incoming(&state, "../far")).unwrap(), b"192.0.2.1\n");
    assert_eq!(fs::metadata(site.path("policy.toml")).unwrap().permissions().mode() & 0o777, 0o640);
    let changed = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(changed(incoming(&state, "c2")), changed(maker.path("c2.txt")), "as old as it was");
    assert_eq!(bundle::applied(&state).unwrap().unwrap(), placement);
    assert!(site.files().iter().all(|(name, _)| !name.contains(".bundle-")), "nothing is left beside");
}

#[test]
fn only_a_newer_bundle_is_taken() {
    let (maker, site, keys) = (Host::full(), Host::new(), keys());
    site.apply(&make(&maker, &keys, 7), &keys.trusted).unwrap();
    maker.write("policy.toml", b"version = 1\n# an old one\n");
    for version in [6, 7] {
        let error = site.apply(&make(&maker, &keys, version), &keys.trusted).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the bundle is version {version}, and version 7 was applied before; apply a newer one")
        );
        assert_eq!(fs::read(site.path("policy.toml")).unwrap(), POLICY);
    }
    site.apply(&make(&maker, &keys, 8), &keys.trusted).unwrap();
    assert_eq!(fs::read(site.path("policy.toml")).unwrap(), b"version = 1\n# an old one\n");
}

#[test]
fn what_has_no_place_here_is_left_out_and_said() {
    let (maker, site, keys) = (Host::full(), Host::new(), keys());
    site.write("config.toml", b"[interfaces]\ndevice = [\"eth1\"]\n[paths]\nstate = \"state\"\n");
    let prepared = site.prepare(&make(&maker, &keys, 7), &keys.trusted).unwrap();
    let expected = [
        "country database: no `database` is configured in `[geo]`",
        "feed `c2`: no feed with this name is configured",
        "feed `../far`: no feed with this name is configured",
    ];
    assert_eq!(prepared.left_out, expected);
    prepared.place(Timestamp::now()).unwrap();
    assert!(!site.path("state/incoming").exists() && !site.path("geo").exists());
}

#[test]
fn a_bundle_that_is_not_placed_leaves_nothing_and_two_at_once_are_one_too_many() {
    let (maker, site, keys) = (Host::full(), Host::new(), keys());
    let bundle = make(&maker, &keys, 7);
    fs::create_dir(site.path("geo")).unwrap();
    fs::create_dir(site.path("state/incoming")).unwrap();
    let before = site.files();
    let prepared = site.prepare(&bundle, &keys.trusted).unwrap();
    assert_eq!(fs::read(prepared.beside(&Content::Policy).unwrap()).unwrap(), POLICY);
    assert!(matches!(site.prepare(&bundle, &keys.trusted).unwrap_err(), BundleError::Busy));
    drop(prepared);
    assert_eq!(site.files(), before);
    site.apply(&bundle, &keys.trusted).unwrap();
}

#[test]
fn where_one_file_cannot_be_replaced_none_is() {
    let (maker, site, keys) = (Host::full(), Host::new(), keys());
    site.write("policy.toml", b"version = 1\n# what was there\n");
    let bundle = make(&maker, &keys, 7);
    let prepared = site.prepare(&bundle, &keys.trusted).unwrap();
    // A folder with something in it cannot be replaced by a file; the feed comes after the policy.
    site.write("state/incoming/c2.list/in/the/way", b"");
    assert!(matches!(prepared.place(Timestamp::now()), Err(BundleError::Write(..))));
    assert_eq!(fs::read(site.path("policy.toml")).unwrap(), b"version = 1\n# what was there\n");
    assert!(!site.path("geo/country.mmdb").exists(), "there was none before");
    assert_eq!(bundle::applied(&site.path("state")).unwrap(), None);
    fs::remove_dir_all(site.path("state/incoming/c2.list")).unwrap();
    site.apply(&bundle, &keys.trusted).unwrap();
}

#[test]
fn a_link_stays_one_and_what_a_crash_left_is_not_followed() {
    let (maker, site, keys) = (Host::full(), Host::new(), keys());
    site.write("managed/policy.toml", b"version = 1\n");
    symlink("managed/policy.toml", site.path("policy.toml")).unwrap();
    site.write("elsewhere", b"not to be touched");
    symlink(site.path("elsewhere"), site.path("managed/policy.toml.bundle-new")).unwrap();
    site.apply(&make(&maker, &keys, 7), &keys.trusted).unwrap();
    assert!(fs::symlink_metadata(site.path("policy.toml")).unwrap().is_symlink());
    assert_eq!(fs::read(site.path("managed/policy.toml")).unwrap(), POLICY);
    assert_eq!(fs::read(site.path("elsewhere")).unwrap(), b"not to be touched");
}

/// The error of an archive that must change nothing.
fn refusal(site: &Host, keys: &Keys, bytes: &[u8]) -> String {
    let bundle = keys.folder.path().join("hostile.bundle");
    fs::write(&bundle, bytes).unwrap();
    let before = site.files();
    let error = site.prepare(&bundle, &keys.trusted).unwrap_err().to_string();
    assert_eq!(site.files(), before, "{error}");
    error
}

/// A site where files are made only beside those that are there.
fn settled() -> Host {
    let site = Host::full();
    fs::create_dir(site.path("state/incoming")).unwrap();
    site
}

#[test]
fn unsigned_bundles_and_those_of_others_are_refused_before_anything_is_read() {
    let (site, keys, others) = (settled(), keys(), keys());
    let manifest = text(&manifest(9, vec![member(Content::Policy, POLICY)]));
    let unsigned = |signature: &str| {
        let mut bytes = Vec::new();
        let mut archive = Builder::new(&mut bytes);
        add(&mut archive, &file("manifest.json.minisig", signature.as_bytes()));
        add(&mut archive, &file("manifest.json", &manifest));
        add(&mut archive, &file("policy.toml", POLICY));
        archive.into_inner().unwrap();
        bytes
    };
    let good = signature(&keys, &manifest, "iomt-filter bundle");
    let other = signature(&keys, b"{}", "iomt-filter bundle");
    let lines: Vec<_> = good.lines().collect();
    let with_line = |number: usize, line: &str| {
        let mut lines = lines.clone();
        lines[number] = line;
        lines.join("\n")
    };
    for (signature, expected) in [
        (signature(&others, &manifest, "iomt-filter bundle"), "it was made with another key"),
        (signature(&keys, &manifest, "release 1.2"), "it was made for something else than a bundle"),
        (other, "the manifest is not what was signed"),
        (
            with_line(2, "trusted comment: iomt-filter bundle of somebody"),
            "the manifest is not what was signed",
        ),
        (with_line(3, ""), "it is none of minisign"),
        (with_line(3, "QUJD"), "it is none of minisign"),
        (with_line(1, "QUJD"), "it is none of minisign"),
        (with_line(0, "no comment"), "it is none of minisign"),
        (String::new(), "it is none of minisign"),
        ("\u{0}\n\u{0}\n\u{0}\n\u{0}\n".to_owned(), "it is none of minisign"),
    ] {
        let error = refusal(&site, &keys, &unsigned(&signature));
        assert!(
            error.contains("the signature does not hold") && error.contains(expected),
            "{expected}: {error}"
        );
    }
    let mut bytes = Vec::new();
    let mut archive = Builder::new(&mut bytes);
    add(&mut archive, &file("manifest.json", &manifest));
    archive.into_inner().unwrap();
    assert!(refusal(&site, &keys, &bytes).contains("something else where `manifest.json.minisig` should be"));
    for bytes in [&b""[..], b"x", &[0; 4_096], b"#!/bin/sh\n", &[0xff; 10_000]] {
        assert!(refusal(&site, &keys, bytes).starts_with("this is no bundle, or it is damaged"));
    }
}

#[test]
fn an_archive_that_is_not_what_was_signed_changes_nothing() {
    let (site, keys) = (settled(), keys());
    let members = vec![member(Content::Policy, POLICY), member(Content::Feed("c2".to_owned()), LIST)];
    let signed = text(&manifest(9, members));
    let (policy, list) = (|| file("policy.toml", POLICY), || file("feeds/1.list", LIST));
    let of_kind = |kind| Raw { kind, size: 0, bytes: b"", ..policy() };
    let mut other = POLICY.to_vec();
    other[0] ^= 1;
    let huge = Raw { size: 1 << 40, ..policy() };
    let cases: Vec<(&str, Vec<Raw<'_>>)> = vec![
        ("is not what was signed", vec![file("policy.toml", &other), list()]),
        ("has another size than was signed", vec![file("policy.toml", &POLICY[1..]), list()]),
        ("has another size than was signed", vec![huge]),
        ("there is no `feeds/1.list` where it should be", vec![policy()]),
        ("something else where `policy.toml` should be", vec![list(), policy()]),
        ("something else where `feeds/1.list` should be", vec![policy(), policy(), list()]),
        ("it holds more than its manifest lists", vec![policy(), list(), list()]),
        ("something else where `policy.toml` should be", vec![file("../../etc/policy.toml", POLICY), list()]),
        ("something else where `policy.toml` should be", vec![file("/policy.toml", POLICY), list()]),
        ("something else where `policy.toml` should be", vec![of_kind(EntryType::Symlink), list()]),
        ("something else where `policy.toml` should be", vec![of_kind(EntryType::Link), list()]),
        ("something else where `policy.toml` should be", vec![of_kind(EntryType::Directory), list()]),
        ("something else where `policy.toml` should be", vec![of_kind(EntryType::Fifo), list()]),
        (
            "something else where `policy.toml` should be",
            vec![file("././@PaxHeader", b"x"), policy(), list()],
        ),
        // Extensions may be as long as they like: they are not read.
        ("something else", vec![Raw { kind: EntryType::XHeader, size: 1 << 40, ..policy() }]),
        ("something else", vec![Raw { kind: EntryType::GNULongName, size: 1 << 40, ..policy() }]),
        ("", vec![Raw { kind: EntryType::GNUSparse, size: 1 << 40, ..policy() }]),
    ];
    for (expected, entries) in cases {
        let error = refusal(&site, &keys, &archive(&keys, &signed, &entries));
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let whole = archive(&keys, &signed, &[policy(), list()]);
    for length in (0..whole.len() - 1_024).step_by(97) {
        refusal(&site, &keys, &whole[..length]);
    }
}

#[test]
fn a_manifest_that_says_too_much_is_refused_though_it_is_signed() {
    let (site, keys) = (settled(), keys());
    let policy = || member(Content::Policy, POLICY);
    let sized = |content, size| Member { size, ..member(content, b"") };
    let feeds = |count: usize, size| {
        (0..count).map(|n| sized(Content::Feed(n.to_string()), size)).collect::<Vec<_>>()
    };
    let newer = Manifest { format: 2, ..manifest(9, vec![policy()]) };
    let text_of = |members| text(&manifest(9, members));
    let known = String::from_utf8(text_of(vec![policy()])).unwrap();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("it holds the policy twice", text_of(vec![policy(), policy()])),
        (
            "it holds the feed `c2` twice",
            text_of(vec![member(Content::Feed("c2".into()), LIST), member(Content::Feed("c2".into()), b"")]),
        ),
        ("the policy is larger than 4194304 bytes", text_of(vec![sized(Content::Policy, 1 << 40)])),
        ("all of it is larger than 1073741824 bytes", text_of(feeds(5, 256 << 20))),
        ("it has more than 1024 members", text_of(feeds(1_025, 0))),
        ("a feed without a name", text_of(vec![member(Content::Feed(String::new()), b"")])),
        ("the bundle has format 2, and this program knows format 1", text(&newer)),
        ("cannot be understood", known.replace("\"note\"", "\"notes\"").into_bytes()),
        ("cannot be understood", known.replace("\"version\":9", "\"version\":-1").into_bytes()),
        ("cannot be understood", b"[[[[[[[[[[[[".to_vec()),
        ("cannot be understood", vec![b'['; 1 << 19]),
        ("`manifest.json` has 1048577 bytes, and 1048576 are the most", vec![b' '; (1 << 20) + 1]),
    ];
    for (expected, manifest) in cases {
        let error = refusal(&site, &keys, &archive(&keys, &manifest, &[]));
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_bundle_with_other_bytes_is_refused_or_the_same(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4),
    ) {
        let (site, keys) = (settled(), keys());
        let signed = text(&manifest(9, vec![member(Content::Policy, b"version = 1\n")]));
        let mut bytes = archive(&keys, &signed, &[file("policy.toml", b"version = 1\n")]);
        for (at, change) in changes {
            let at = at.index(bytes.len());
            bytes[at] ^= change;
        }
        let bundle = keys.folder.path().join("changed.bundle");
        fs::write(&bundle, bytes).unwrap();
        // What no signature covers, as the time of an entry or the padding behind it, nobody reads.
        if let Ok(prepared) = site.prepare(&bundle, &keys.trusted) {
            prop_assert_eq!(text(&prepared.manifest), signed);
            let policy = prepared.beside(&Content::Policy).unwrap();
            prop_assert_eq!(fs::read(policy).unwrap(), b"version = 1\n");
        }
    }
}

#[test]
fn keys_are_kept_from_others_and_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let [secret, public] = generate(&folder.path().join("maker"), None).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&secret), 0o600);
    assert!(matches!(generate(&folder.path().join("maker"), None), Err(BundleError::Write(..))));
    // The key alone, as people pass it on.
    let alone = folder.path().join("alone.pub");
    let text = fs::read_to_string(&public).unwrap();
    writeln!(fs::File::create(&alone).unwrap(), "{}", text.lines().nth(1).unwrap()).unwrap();
    assert!(Trusted::read(&alone).is_ok());
    for wrong in [&secret, &folder.path().join("none.pub")] {
        assert!(Trusted::read(wrong).is_err());
    }
    assert!(secret_key(&public, None).unwrap_err().to_string().contains("cannot be used as a key"));
}

#[test]
fn a_source_that_changes_while_it_is_bundled_makes_no_bundle() {
    let (maker, keys) = (Host::full(), keys());
    let gathered = bundle::gather(&maker.config()).unwrap();
    let members = gathered.sources.iter().map(|source| source.member.clone()).collect();
    maker.write("c2.txt", b"203.0.113.10\n198.51.100.0/24");
    let out = maker.path("x.bundle");
    let error = bundle::write(&out, &manifest(7, members), gathered.sources, &keys.secret).unwrap_err();
    assert!(matches!(&error, BundleError::Changed(path) if path.ends_with("c2.txt")), "{error}");
    assert!(!out.exists() && !maker.path("x.bundle.new").exists());
}

#[test]
fn what_is_not_there_is_left_out_of_a_bundle_but_the_policy_may_not_be() {
    let maker = Host::new();
    assert!(matches!(bundle::gather(&maker.config()), Err(BundleError::Read(..))));
    maker.write("policy.toml", POLICY);
    let gathered = bundle::gather(&maker.config()).unwrap();
    assert_eq!(gathered.sources.len(), 1);
    assert_eq!(gathered.left_out.len(), 3, "{:?}", gathered.left_out);
    maker.write("policy.toml", &vec![b'#'; (4 << 20) + 1]);
    assert!(matches!(bundle::gather(&maker.config()), Err(BundleError::TooLarge { .. })));
}
