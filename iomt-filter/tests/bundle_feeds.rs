//! Feeds in bundles: what another host gets is what the parser of the feed sees on this one.
#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::io::{Read as _, Write as _};

use iomt_filter::bundle::{self, BundleError, FORMAT, Manifest, generate, secret_key};
use iomt_filter::config::Config;
use tempfile::TempDir;

const LIST: &[u8] = b"203.0.113.9\n198.51.100.0/24\n";

/// A host that makes bundles.
struct Maker(TempDir);

impl Maker {
    fn new() -> Self {
        let maker = Self(tempfile::tempdir().unwrap());
        maker.write("policy.toml", b"version = 1\n[profiles.ct]\n");
        maker
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The member of a feed whose files are at `path`, as it is in the bundle.
fn carried(maker: &Maker, path: &str) -> Result<Vec<u8>, BundleError> {
    let config = format!(
        "[interfaces]\ndevice = [\"eth1\"]\n[paths]\nstate = \"state\"\n\
         [[feed]]\nname = \"c2\"\nmax_size = \"64M\"\npath = \"{path}\"\n"
    );
    maker.write("config.toml", config.as_bytes());
    let gathered = bundle::gather(&Config::load(&maker.0.path().join("config.toml")).unwrap())?;
    let manifest = Manifest {
        format: FORMAT,
        version: 7,
        created: "2026-11-01T00:00:00Z".parse().unwrap(),
        host: "maker".to_owned(),
        note: None,
        members: gathered.sources.iter().map(|source| source.member.clone()).collect(),
    };
    let [secret, _] = generate(&maker.0.path().join("maker"), None)?;
    let out = maker.0.path().join("x.bundle");
    bundle::write(&out, &manifest, gathered.sources, &secret_key(&secret, None)?)?;
    let mut archive = tar::Archive::new(fs::File::open(&out).unwrap());
    let mut entries = archive.entries().unwrap().map(Result::unwrap);
    let mut member = entries.find(|member| member.path().unwrap().ends_with("feeds/1.list")).unwrap();
    let mut bytes = Vec::new();
    member.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn a_feed_that_is_packed_comes_as_its_parser_would_see_it() {
    let maker = Maker::new();
    maker.write("c2.txt.gz", &packed(LIST));
    assert_eq!(carried(&maker, "c2.txt.gz").unwrap(), LIST);
}

#[test]
fn a_folder_comes_as_one_list_or_as_its_last_good_copy_where_that_would_say_something_else() {
    let maker = Maker::new();
    maker.write("lists/a.txt", b"203.0.113.9");
    maker.write("lists/b.txt.gz", &packed(b"198.51.100.0/24\n"));
    maker.write("lists/c.txt", b"192.0.2.1\n");
    assert_eq!(carried(&maker, "lists").unwrap(), b"203.0.113.9\n198.51.100.0/24\n192.0.2.1\n");

    let maker = Maker::new();
    let bundle = |id: u8| {
        format!(
            r#"{{"type":"bundle","id":"bundle--{id}","objects":[{{"type":"indicator","id":"indicator--{id}","pattern_type":"stix","pattern":"[ipv4-addr:value = '203.0.113.{id}']","valid_from":"2026-01-01T00:00:00Z"}}]}}"#
        )
    };
    maker.write("json/a.json", bundle(1).as_bytes());
    assert_eq!(carried(&maker, "json").unwrap(), bundle(1).as_bytes(), "one file is itself");
    let maker = Maker::new();
    maker.write("json/a.json", bundle(1).as_bytes());
    maker.write("json/b.json", bundle(2).as_bytes());
    maker.write("state/feeds/c2.list", b"203.0.113.1\n203.0.113.2\n");
    assert_eq!(carried(&maker, "json").unwrap(), b"203.0.113.1\n203.0.113.2\n");
}

#[test]
fn what_unpacks_to_more_than_fits_is_refused_and_so_is_what_does_not_unpack() {
    let maker = Maker::new();
    maker.write("c2.gz", &packed(&vec![b'\n'; 65 << 20]));
    let error = carried(&maker, "c2.gz").unwrap_err();
    assert!(matches!(&error, BundleError::Feed(name, _) if name == "c2"), "{error:?}");
    let maker = Maker::new();
    let whole = packed(LIST);
    maker.write("c2.gz", &whole[..whole.len() - 9]);
    let error = carried(&maker, "c2.gz").unwrap_err();
    assert_eq!(error.to_string(), "the files of feed `c2` cannot go into a bundle");
}
