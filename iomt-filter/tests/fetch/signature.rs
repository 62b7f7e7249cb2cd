//! Lists that are signed with minisign: what does not verify is not used.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use iomt_filter::feeds::fetch::{FetchError, Protocol};
use minisign::KeyPair;
use url::Url;

use crate::server::{Server, reply};
use crate::source::{Keeper, SecretFile, With, failure, first, list, of, path, text};

const LIST: &[u8] = b"192.0.2.1\n";

/// A publisher who signs.
struct Publisher {
    keys: KeyPair,
    folder: tempfile::TempDir,
}

impl Publisher {
    fn new() -> Self {
        let publisher = Self {
            keys: KeyPair::generate_unencrypted_keypair().unwrap(),
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(publisher.key(), publisher.keys.pk.to_box().unwrap().to_string()).unwrap();
        publisher
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("minisign.pub")
    }

    fn sign(&self, bytes: &[u8]) -> String {
        minisign::sign(None, &self.keys.sk, Cursor::new(bytes), Some("of a test"), None).unwrap().to_string()
    }

    /// A file and its signature.
    fn publish(&self, folder: &std::path::Path, name: &str, bytes: &[u8], signature: &str) -> PathBuf {
        fs::write(folder.join(name), bytes).unwrap();
        fs::write(folder.join(format!("{name}.minisig")), signature).unwrap();
        folder.join(name)
    }
}

/// A server with one list and one signature.
fn serving(bytes: &'static [u8], signature: String) -> Server {
    Server::start(move |request, to| match request.path() {
        "/list" => reply(to, "200 OK", &[], bytes),
        "/list.minisig" | "/elsewhere/signature" => reply(to, "200 OK", &[], signature.as_bytes()),
        _ => reply(to, "404 No", &[], b""),
    })
}

fn is_refused(error: &FetchError) -> bool {
    matches!(error, FetchError::Signature { .. })
}

#[test]
fn a_signed_list_is_used_from_a_file_and_from_a_server() {
    let publisher = Publisher::new();
    let folder = tempfile::tempdir().unwrap();
    let file = publisher.publish(folder.path(), "list", LIST, &publisher.sign(LIST));
    assert_eq!(text(first(&path(&file).signed(&publisher.key(), None))).as_bytes(), LIST);

    let server = serving(LIST, publisher.sign(LIST));
    let source = list(server.url("/list?day=1"));
    assert_eq!(text(first(&source.clone().signed(&publisher.key(), None))).as_bytes(), LIST);
    assert_eq!(server.requests()[1].target, "/list.minisig?day=1");
    let elsewhere = source.signed(&publisher.key(), Some(server.other_url("/elsewhere/signature")));
    assert_eq!(text(first(&elsewhere)).as_bytes(), LIST);

    let moved = folder.path().join("moved");
    fs::rename(folder.path().join("list.minisig"), &moved).unwrap();
    let at = Url::from_file_path(&moved).unwrap();
    assert_eq!(text(first(&path(&file).signed(&publisher.key(), Some(at)))).as_bytes(), LIST);
}

/// What the program minisign 0.11 has signed, in its present way and in the one before.
#[test]
fn signatures_of_the_program_itself_verify() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fetch/signed");
    let source = path(&folder.join("list.txt"));
    let whole = text(first(&source.clone().signed(&folder.join("minisign.pub"), None)));
    assert!(whole.ends_with("192.0.2.1\n198.51.100.0/24\n"));
    let legacy = Url::from_file_path(folder.join("legacy.minisig")).unwrap();
    assert_eq!(text(first(&source.signed(&folder.join("minisign.pub"), Some(legacy)))), whole);
}

#[test]
fn the_key_may_stand_in_its_file_without_a_comment() {
    let publisher = Publisher::new();
    fs::write(publisher.key(), format!("{}\n", publisher.keys.pk.to_base64())).unwrap();
    let server = serving(LIST, publisher.sign(LIST));
    assert_eq!(text(first(&list(server.url("/list")).signed(&publisher.key(), None))).as_bytes(), LIST);
}

#[test]
fn a_packed_list_is_signed_as_it_is_packed() {
    let publisher = Publisher::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(LIST).unwrap();
    let packed = encoder.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = publisher.publish(folder.path(), "list.gz", &packed, &publisher.sign(&packed));
    assert_eq!(text(first(&path(&file).signed(&publisher.key(), None))).as_bytes(), LIST);
}

#[test]
fn what_was_changed_and_what_somebody_else_signed_is_refused() {
    let (publisher, other) = (Publisher::new(), Publisher::new());
    for (bytes, signature, word) in [
        (b"192.0.2.2\n".as_slice(), publisher.sign(LIST), "not of this content"),
        (LIST, other.sign(LIST), "another key"),
        (LIST, "<html>404</html>".to_owned(), "no signature"),
        (LIST, String::new(), "no signature"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = publisher.publish(folder.path(), "list", bytes, &signature);
        let error = failure(&path(&file).signed(&publisher.key(), None));
        assert!(is_refused(&error) && error.to_string().contains(word), "{error}");
        let server = serving(bytes, signature);
        let error = failure(&list(server.url("/list")).signed(&publisher.key(), None));
        assert!(is_refused(&error) && error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_signature_with_any_line_changed_or_cut_is_refused() {
    let publisher = Publisher::new();
    let whole = publisher.sign(LIST);
    let lines: Vec<&str> = whole.lines().collect();
    let folder = tempfile::tempdir().unwrap();
    for number in 1..lines.len() {
        for length in 0..lines[number].len() {
            let mut cut = lines.clone();
            cut[number] = &lines[number][..length];
            let file = publisher.publish(folder.path(), "list", LIST, &cut.join("\n"));
            let error = failure(&path(&file).signed(&publisher.key(), None));
            assert!(is_refused(&error), "line {number} cut to {length}: {error}");
        }
    }
    let comment = whole.replace("of a test", "of a jest");
    let file = publisher.publish(folder.path(), "list", LIST, &comment);
    assert!(is_refused(&failure(&path(&file).signed(&publisher.key(), None))));
}

#[test]
fn a_list_without_its_signature_or_key_is_refused() {
    let publisher = Publisher::new();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("list"), LIST).unwrap();
    let error = failure(&path(&folder.path().join("list")).signed(&publisher.key(), None));
    assert!(matches!(error, FetchError::File { what: "the signature", .. }), "{error}");

    let server = Server::start(|request, to| match request.path() {
        "/list" => reply(to, "200 OK", &[], LIST),
        _ => reply(to, "404 No", &[], b""),
    });
    let error = failure(&list(server.url("/list")).signed(&publisher.key(), None));
    assert!(
        matches!(error, FetchError::Missing { .. }) && error.to_string().contains("list.minisig"),
        "{error}"
    );

    let server = serving(LIST, publisher.sign(LIST));
    for content in ["", "RWQ", "untrusted comment: x", "untrusted comment: x\nRWQ\n", "\u{ff}"] {
        fs::write(publisher.key(), content).unwrap();
        let error = failure(&list(server.url("/list")).signed(&publisher.key(), None));
        assert!(matches!(error, FetchError::File { what: "the public key", .. }), "{content:?}: {error}");
    }
}

#[test]
fn each_file_of_a_folder_has_its_own_signature() {
    let publisher = Publisher::new();
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [("a", b"192.0.2.1\n"), ("b", b"192.0.2.2\n")] {
        publisher.publish(folder.path(), name, bytes, &publisher.sign(bytes));
    }
    first(&path(folder.path()).signed(&publisher.key(), None)).unwrap();
    fs::copy(folder.path().join("a.minisig"), folder.path().join("b.minisig")).unwrap();
    let error = failure(&path(folder.path()).signed(&publisher.key(), None));
    assert!(is_refused(&error) && error.to_string().contains("/b`"), "{error}");
}

#[test]
fn a_list_from_before_it_had_to_be_signed_is_fetched_again() {
    let (publisher, other) = (Publisher::new(), Publisher::new());
    let server = serving(LIST, publisher.sign(LIST));
    let source = list(server.url("/list"));
    let mut keeper = Keeper::default();
    assert!(keeper.fetch(&source).unwrap());
    let signed = source.signed(&publisher.key(), None);
    assert!(keeper.fetch(&signed).unwrap());
    assert!(!keeper.fetch(&signed).unwrap());
    fs::copy(other.key(), publisher.key()).unwrap();
    assert!(is_refused(&keeper.fetch(&signed).unwrap_err()));
}

#[test]
fn a_secret_goes_for_the_signature_too_but_not_to_another_server() {
    let publisher = Publisher::new();
    let server = serving(LIST, publisher.sign(LIST));
    let secret = SecretFile::new("geheim");
    let source = list(server.url("/list")).auth(secret.header("X-Api-Key"));
    first(&source.clone().signed(&publisher.key(), None)).unwrap();
    assert_eq!(server.requests()[1].header("x-api-key"), Some("geheim"));
    first(&source.signed(&publisher.key(), Some(server.other_url("/elsewhere/signature")))).unwrap();
    assert_eq!(server.requests()[3].header("x-api-key"), None);
}

#[test]
fn what_cannot_be_signed_is_not_believed_to_be() {
    let publisher = Publisher::new();
    let url: Url = "http://localhost/collections/1/".parse().unwrap();
    for protocol in [Protocol::Taxii, Protocol::Crowdsec, Protocol::Misp] {
        let error = failure(&of(protocol, url.clone()).signed(&publisher.key(), None));
        assert!(matches!(error, FetchError::Setting { .. }), "{error}");
    }
}
