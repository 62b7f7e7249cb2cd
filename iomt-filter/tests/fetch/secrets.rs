//! Secrets go to the server that they are for, and nowhere else: not to others, not into messages, not into the log.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use iomt_filter::feeds::fetch::{Auth, FetchError, Protocol};

use crate::records;
use crate::server::{Request, Server, Stream, reply};
use crate::source::{SecretFile, With, failure, first, list, of, text};

const SECRET: &str = "Wirklich-Geheim-4711";

/// How each way of authenticating writes a secret on the wire.
fn ways(secret: &SecretFile) -> Vec<(Auth, String)> {
    let basic = BASE64_STANDARD.encode(format!("nurse:{SECRET}"));
    vec![
        (secret.header("X-Api-Key"), SECRET.to_owned()),
        (secret.header("Authorization"), SECRET.to_owned()),
        (secret.basic("nurse"), basic),
        (secret.query("key"), SECRET.to_owned()),
    ]
}

fn holds(request: &Request, wire: &str) -> bool {
    request.head.contains(wire)
}

#[test]
fn each_kind_of_secret_reaches_its_server() {
    let server = Server::start(|_, to| reply(to, "200 OK", &[], b"192.0.2.1\n"));
    let secret = SecretFile::new(SECRET);
    let get = |auth: Auth, target: &str| {
        first(&list(server.url(target)).auth(auth)).unwrap();
        server.requests().pop().unwrap()
    };
    assert_eq!(get(secret.header("X-Api-Key"), "/").header("x-api-key"), Some(SECRET));
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("nurse:{SECRET}")));
    assert_eq!(get(secret.basic("nurse"), "/").header("authorization"), Some(&*basic));
    let request = get(secret.query("auth-key"), "/list?days=1#top");
    assert_eq!(request.target, format!("/list?days=1&auth-key={SECRET}"));
}

#[test]
fn a_secret_is_read_again_for_each_fetch() {
    let server = Server::start(|_, to| reply(to, "200 OK", &[], b"192.0.2.1\n"));
    let secret = SecretFile::new("old");
    let source = list(server.url("/")).auth(secret.header("X-Api-Key"));
    first(&source).unwrap();
    std::fs::write(secret.0.path(), "new\r\n").unwrap();
    first(&source).unwrap();
    let sent: Vec<String> =
        server.requests().iter().map(|request| request.header("x-api-key").unwrap().to_owned()).collect();
    assert_eq!(sent, ["old", "new"]);
}

#[test]
fn files_without_a_usable_secret_are_refused_before_anything_is_sent() {
    let server = Server::start(|_, to| reply(to, "200 OK", &[], b""));
    let folder = tempfile::tempdir().unwrap();
    for content in ["", "\n", "two\nlines", "a\u{0}b", "tab\tbed"] {
        let secret = SecretFile::new(content);
        for (auth, _) in ways(&secret) {
            let error = failure(&list(server.url("/")).auth(auth));
            assert!(matches!(error, FetchError::File { .. }), "{content:?}: {error}");
        }
    }
    for file in [folder.path().join("absent"), folder.path().to_owned(), "/dev/zero".into()] {
        let error = failure(&list(server.url("/")).auth(Auth::Query { name: "key".to_owned(), file }));
        assert!(matches!(error, FetchError::File { .. }), "{error}");
    }
    let secret = SecretFile::new(SECRET);
    for auth in [secret.header("X Api Key"), secret.header(""), secret.basic("a:b"), secret.query("day")] {
        assert!(matches!(failure(&list(server.url("/?day=1")).auth(auth)), FetchError::Setting { .. }));
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_secret_does_not_follow_a_redirect_to_another_server() {
    let other = Server::start(|request, to| match request.path() {
        "/denied" => reply(to, "403 No", &[], b""),
        _ => reply(to, "200 OK", &[], b"192.0.2.1\n"),
    });
    let port = other.url("/").port().unwrap();
    let server = Server::start(move |request, to| {
        let location = match request.path() {
            "/same" => "/list".to_owned(),
            "/list" => return reply(to, "200 OK", &[], b"192.0.2.1\n"),
            path => format!("http://localhost:{port}{path}"),
        };
        reply(to, "302 Found", &[("Location", &location)], b"")
    });
    let secret = SecretFile::new(SECRET);
    for (auth, wire) in ways(&secret) {
        assert_eq!(text(first(&list(server.url("/moved")).auth(auth.clone()))), "192.0.2.1\n");
        assert!(holds(server.requests().last().unwrap(), &wire), "{auth:?}");
        let asked = other.requests().pop().unwrap();
        assert!(!holds(&asked, &wire) && !holds(&asked, SECRET), "{auth:?}: {}", asked.head);

        first(&list(server.url("/same")).auth(auth.clone())).unwrap();
        assert!(holds(server.requests().last().unwrap(), &wire), "it stays with its own server");

        let error = failure(&list(server.url("/denied")).auth(auth));
        assert!(error.to_string().contains("set `url`"), "{error}");
    }
}

#[test]
fn the_same_server_under_another_name_is_another_server() {
    let server = Server::start(|request, to| {
        let port = request.header("host").unwrap().rsplit(':').next().unwrap();
        if request.path() == "/list" {
            return reply(to, "200 OK", &[], b"192.0.2.1\n");
        }
        reply(to, "302 Found", &[("Location", &format!("http://127.0.0.1:{port}/list"))], b"")
    });
    let secret = SecretFile::new(SECRET);
    for (auth, wire) in ways(&secret) {
        first(&list(server.url("/")).auth(auth)).unwrap();
        let requests = server.requests();
        let [.., before, after] = &requests[..] else { panic!("there were two requests") };
        assert!(holds(before, &wire) && !holds(after, &wire));
    }
}

/// Answers in every way that is no list, and with the secret that it was sent wherever there is room for one.
fn fail(request: &Request, to: &mut dyn Stream) -> std::io::Result<()> {
    let echo = request.head.replace(['\r', '\n'], " ");
    let headers = [("Location", "/302"), ("X-Echo", &*echo), ("Retry-After", &*echo), ("ETag", &*echo)];
    match request.path() {
        "/echo" => {
            let location = format!("http://{SECRET}@localhost/{SECRET}?key={SECRET}");
            reply(to, "302 Found", &[("Location", &location)], echo.as_bytes())
        }
        "/host" => {
            // Names of hosts are in lower case, whatever is sent.
            let location = format!("ftp://{SECRET}.invalid/");
            let other = format!("http://{SECRET}.invalid/");
            let location = if request.target.contains('?') { location } else { other };
            reply(to, "302 Found", &[("Location", &location)], b"")
        }
        "/user" => {
            let location = format!("http://nurse:{SECRET}@localhost/");
            reply(to, "302 Found", &[("Location", &location)], b"")
        }
        "/nothing" => Ok(()),
        "/noise" => to.write_all(echo.as_bytes()),
        "/cut" => write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{echo}"),
        "/large" => write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{echo}"),
        "/gzip" => reply(to, "200 OK", &[("Content-Encoding", "gzip")], echo.as_bytes()),
        "/coding" => reply(to, "200 OK", &[("Content-Encoding", SECRET)], echo.as_bytes()),
        "/slow" => {
            write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{echo}")?;
            to.flush()?;
            std::thread::sleep(Duration::from_secs(3));
            Ok(())
        }
        "/list" => reply(to, "200 OK", &headers, echo.as_bytes()),
        path => {
            let status = path.trim_start_matches('/').split('/').next().unwrap_or_default().to_owned();
            reply(to, &format!("{status} {SECRET}"), &headers, echo.as_bytes())
        }
    }
}

#[test]
fn no_secret_is_ever_in_a_message_or_in_the_log() {
    records::keep();
    let server = Server::start(fail);
    let secret = SecretFile::new(SECRET);
    let mut shown = String::new();
    let mut failures = 0;
    for (auth, wire) in ways(&secret) {
        let paths = [
            "/echo",
            "/host",
            "/host?ftp",
            "/user",
            "/nothing",
            "/noise",
            "/cut",
            "/large",
            "/gzip",
            "/coding",
            "/slow",
            "/302",
            "/400",
            "/401",
            "/403",
            "/404",
            "/407",
            "/429",
            "/500",
            "/503",
        ];
        let plain =
            paths.map(|path| list(server.url(path)).timeout(Duration::from_secs(1)).auth(auth.clone()));
        let [collection, api, folder] = ["/200/collections/1/", "/200", "/200/"].map(|path| server.url(path));
        let others = [
            of(Protocol::Taxii, collection).auth(auth.clone()),
            of(Protocol::Crowdsec, api).auth(auth.clone()),
            of(Protocol::Misp, folder).auth(auth.clone()),
            list("https://no-such-host.invalid/".parse().unwrap()).auth(auth.clone()),
            list(server.url("/list").as_str().replace("http", "https").parse().unwrap()).auth(auth.clone()),
        ];
        for source in plain.iter().chain(&others) {
            let error = failure(source);
            failures += 1;
            shown.push_str(&format!("{error}\n{error:?}\n{error:#?}\n{source:?}\n{auth:?}\n"));
        }
        assert!(server.requests().iter().any(|request| holds(request, &wire)), "the secret was sent at all");
    }
    assert_eq!(failures, 4 * 25);
    let encoded = BASE64_STANDARD.encode(format!("nurse:{SECRET}"));
    let log = records::all();
    log::warn!("a line of this test");
    assert!(records::all().contains("a line of this test"));
    assert!(
        log::STATIC_MAX_LEVEL <= log::LevelFilter::Info,
        "what libraries tell of requests is not built in"
    );
    let (shown, log) = (shown.to_lowercase(), log.to_lowercase());
    for word in [SECRET.to_lowercase(), encoded.to_lowercase()] {
        assert!(!shown.contains(&word), "{shown}");
        assert!(!log.contains(&word), "{log}");
    }
}

#[test]
fn a_key_that_is_part_of_the_address_is_not_shown_either() {
    records::keep();
    let server = Server::start(|_, to| reply(to, "403 No", &[], b""));
    let source = list(server.url("/export.csv?auth-key=Anderes-Geheim-0815"));
    let error = failure(&source);
    let shown = format!("{error} {error:?} {source:?} {}", records::all());
    assert!(!shown.contains("Anderes-Geheim-0815"), "{shown}");
    assert!(error.to_string().contains("/export.csv?…"), "{error}");
    assert!(server.requests()[0].target.contains("Anderes-Geheim-0815"));
}
