//! Files and folders.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use iomt_filter::feeds::fetch::{FetchError, Fetched};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::source::{Keeper, With, failure, first, path, text, within};

#[test]
fn a_file_is_read_and_read_again_once_it_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.txt");
    fs::write(&file, "192.0.2.1\n").unwrap();
    let mut keeper = Keeper::default();
    assert!(keeper.fetch(&path(&file)).unwrap());
    assert!(!keeper.restarted().fetch(&path(&file)).unwrap());
    fs::write(&file, "192.0.2.2\n").unwrap();
    assert!(keeper.fetch(&path(&file)).unwrap());
    assert_eq!(keeper.text(), "192.0.2.2\n");
}

#[test]
fn a_packed_file_is_unpacked_up_to_the_cap() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("list.gz");
    let mut encoder = GzEncoder::new(fs::File::create(&file).unwrap(), Compression::best());
    encoder.write_all("192.0.2.1\n".repeat(10_000).as_bytes()).unwrap();
    encoder.finish().unwrap();
    assert_eq!(text(first(&path(&file))).len(), 100_000);
    let error = failure(&path(&file).max_bytes(99_999));
    assert!(matches!(error, FetchError::TooLarge { max_bytes: 99_999, .. }), "{error}");
}

#[test]
fn every_file_of_a_folder_is_a_part_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, content) in [
        ("b.txt", "192.0.2.2\n"),
        ("a.txt", "192.0.2.1"),
        (".a.txt.swp", "not a list"),
        ("a.txt.minisig", "untrusted comment: a signature"),
    ] {
        fs::write(at(name), content).unwrap();
    }
    fs::create_dir(at("older")).unwrap();
    fs::write(at("older").join("c.txt"), "192.0.2.3\n").unwrap();
    mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
    symlink(at("older").join("c.txt"), at("link.txt")).unwrap();
    let Fetched::New { parts, .. } = first(&path(folder.path())).unwrap() else { panic!("nothing is new") };
    let parts: Vec<(String, String)> = parts
        .into_iter()
        .map(|part| (part.name, String::from_utf8(part.bytes).unwrap()))
        .map(|(name, text)| (name.rsplit('/').next().unwrap().to_owned(), text))
        .collect();
    let expected = [("a.txt", "192.0.2.1"), ("b.txt", "192.0.2.2\n"), ("link.txt", "192.0.2.3\n")];
    assert_eq!(parts, expected.map(|(name, text)| (name.to_owned(), text.to_owned())));

    // The cap is that of all files together, and what a folder holds is part of what has changed.
    assert!(matches!(
        failure(&path(folder.path()).max_bytes(25)),
        FetchError::TooLarge { max_bytes: 25, .. }
    ));
    let mut keeper = Keeper::default();
    assert!(keeper.fetch(&path(folder.path())).unwrap());
    assert!(!keeper.fetch(&path(folder.path())).unwrap());
    fs::rename(at("b.txt"), at("d.txt")).unwrap();
    assert!(keeper.fetch(&path(folder.path())).unwrap());
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    mkfifo(&at("pipe"), Mode::S_IRWXU).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::create_dir(at("links")).unwrap();
    symlink(at("nowhere"), at("links").join("gone.txt")).unwrap();
    for file in [at("pipe"), at("empty"), at("links"), at("absent"), "/dev/zero".into()] {
        let error = within(Duration::from_secs(5), || failure(&path(&file)));
        assert!(matches!(error, FetchError::File { .. }), "{error}");
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    }
}
