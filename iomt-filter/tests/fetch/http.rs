//! Lists over HTTP: what is new, what is not, and everything that goes wrong on the way.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use iomt_filter::feeds::fetch::{FetchError, Fetched};

use crate::server::{Server, reply};
use crate::source::{Keeper, With, failure, first, list, text, within};

const LIST: &[u8] = b"192.0.2.1\n198.51.100.0/24\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_list_comes_with_its_date_and_we_say_who_we_are() {
    let server = Server::start(|_, to| {
        reply(to, "200 OK", &[("Last-Modified", "Sat, 28 Nov 2026 08:00:00 GMT")], LIST)
    });
    let Fetched::New { parts, modified, .. } = first(&list(server.url("/list.txt?page=1"))).unwrap() else {
        panic!("nothing is new");
    };
    assert_eq!(parts[0].bytes, LIST);
    assert!(parts[0].name.ends_with("/list.txt?…"), "{}", parts[0].name);
    assert_eq!(modified.unwrap().to_string(), "2026-11-28T08:00:00Z");
    let request = &server.requests()[0];
    assert_eq!(request.target, "/list.txt?page=1");
    assert_eq!(request.header("user-agent").unwrap(), concat!("iomt-filter/", env!("CARGO_PKG_VERSION")));
    assert_eq!(request.header("accept-encoding").unwrap(), "gzip");
}

#[test]
fn a_list_that_has_not_changed_is_not_sent_again() {
    let server = Server::start(|request, to| {
        let date = "Sat, 28 Nov 2026 08:00:00 GMT";
        let is_known = request.header("if-none-match") == Some("\"one\"")
            && request.header("if-modified-since") == Some(date);
        if is_known {
            return write!(to, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
        }
        reply(to, "200 OK", &[("ETag", "\"one\""), ("Last-Modified", date)], LIST)
    });
    let source = list(server.url("/list.txt"));
    let mut keeper = Keeper::default();
    assert!(keeper.fetch(&source).unwrap());
    assert!(!keeper.fetch(&source).unwrap());
    let mut keeper = keeper.restarted();
    assert!(!keeper.fetch(&source).unwrap());
    assert_eq!(keeper.text().as_bytes(), LIST);

    // Without the content, and at another address, what was kept says nothing.
    keeper.content = None;
    assert!(keeper.fetch(&source).unwrap());
    assert!(keeper.fetch(&list(server.url("/other.txt"))).unwrap());
    assert!(server.requests().last().unwrap().header("if-none-match").is_none());
}

#[test]
fn a_server_that_always_sends_everything_brings_nothing_new_either() {
    let server = Server::start(|_, to| reply(to, "200 OK", &[], LIST));
    let mut keeper = Keeper::default();
    assert!(keeper.fetch(&list(server.url("/"))).unwrap());
    assert!(!keeper.fetch(&list(server.url("/"))).unwrap());
}

#[test]
fn not_modified_without_having_been_asked_is_no_list() {
    let server = Server::start(|_, to| write!(to, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"));
    assert!(matches!(failure(&list(server.url("/"))), FetchError::Status { status: 304, .. }));
}

#[test]
fn html_is_passed_on_for_the_parser_to_refuse() {
    let page = b"<!DOCTYPE html><html><body>Please log in</body></html>";
    let server = Server::start(|_, to| reply(to, "200 OK", &[("Content-Type", "text/html")], page));
    assert_eq!(text(first(&list(server.url("/")))).as_bytes(), page);
}

#[test]
fn each_status_is_told_apart_and_says_what_to_do() {
    let server = Server::start(|request, to| match request.path() {
        "/busy" => reply(to, "429 Too Many Requests", &[("Retry-After", "7200")], b"slow down"),
        "/date" => reply(to, "503 Unavailable", &[("Retry-After", "Wed, 01 Jan 2070 00:00:00 GMT")], b""),
        "/past" => reply(to, "503 Unavailable", &[("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")], b""),
        path => reply(to, &format!("{} Whatever", &path[1..]), &[], b"words of the server"),
    });
    let of = |path: &str| failure(&list(server.url(path)));
    for status in [401, 403, 407] {
        let error = of(&format!("/{status}"));
        assert!(matches!(error, FetchError::Denied { status: found, .. } if found == status), "{error}");
    }
    for status in [404, 410] {
        let error = of(&format!("/{status}"));
        assert!(matches!(error, FetchError::Missing { status: found, .. } if found == status), "{error}");
    }
    for status in [500, 502] {
        let error = of(&format!("/{status}"));
        assert!(matches!(error, FetchError::Failing { status: found, .. } if found == status), "{error}");
        assert_eq!(error.retry_after(), None);
    }
    for status in [204, 206, 300, 400, 418] {
        let error = of(&format!("/{status}"));
        assert!(matches!(error, FetchError::Status { status: found, .. } if found == status), "{error}");
    }
    let busy = of("/busy");
    assert!(matches!(busy, FetchError::TooOften { .. }), "{busy}");
    assert_eq!(busy.retry_after(), Some(Duration::from_secs(7_200)));
    assert!(of("/date").retry_after().unwrap() > Duration::from_secs(365 * 86_400));
    assert_eq!(of("/past").retry_after(), Some(Duration::ZERO));
    for path in ["/401", "/404", "/429", "/500", "/400"] {
        let message = of(path).to_string();
        assert!(
            message.contains(&format!("localhost:{}{path}", server.url("/").port().unwrap())),
            "{message}"
        );
        assert!(message.contains("; ") && !message.contains("words of the server"), "{message}");
    }
}

#[test]
fn a_list_is_unpacked_whether_the_server_or_the_publisher_packed_it() {
    let packed = gzip(LIST);
    let server = Server::start(move |request, to| match request.path() {
        "/coded" => reply(to, "200 OK", &[("Content-Encoding", "gzip")], &packed),
        "/list.gz" => reply(to, "200 OK", &[("Content-Type", "application/gzip")], &packed),
        "/both" => reply(to, "200 OK", &[("Content-Encoding", "x-gzip")], &gzip(&packed)),
        _ => reply(to, "200 OK", &[("Content-Encoding", "br")], &packed),
    });
    for path in ["/coded", "/list.gz", "/both"] {
        assert_eq!(text(first(&list(server.url(path)))).as_bytes(), LIST, "{path}");
    }
    assert!(matches!(failure(&list(server.url("/brotli"))), FetchError::Packing { .. }));
}

#[test]
fn a_gzip_that_is_damaged_or_cut_is_no_list() {
    let packed = gzip(&LIST.repeat(1_000));
    let server = Server::start(move |request, to| {
        let coded = [("Content-Encoding", "gzip")];
        let headers = if request.query("coded").is_some() { coded.as_slice() } else { &[] };
        let mut bytes = packed.clone();
        match request.path() {
            "/cut" => bytes.truncate(packed.len() / 2),
            "/damaged" => bytes[packed.len() / 2] ^= 0xff,
            "/tail" => bytes.extend(b"and something behind it"),
            _ => bytes = [0x1f, 0x8b].to_vec(),
        }
        reply(to, "200 OK", headers, &bytes)
    });
    for path in ["/cut", "/damaged", "/tail", "/head"] {
        for query in ["", "?coded=1"] {
            let error = failure(&list(server.url(&format!("{path}{query}"))));
            assert!(
                matches!(error, FetchError::Truncated { .. } | FetchError::Packing { .. }),
                "{path}{query}: {error}"
            );
        }
    }
}

/// The most memory that this process has ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_gzip_bomb_ends_at_the_cap_and_takes_no_more_memory_than_that() {
    // 4 GiB of nothing in 4 MiB: one member of 64 MiB, over and over.
    let member = gzip(&vec![0; 64 << 20]);
    let server = Server::start(move |request, to| {
        let coding = if request.path() == "/coded" { "gzip" } else { "identity" };
        reply(to, "200 OK", &[("Content-Encoding", coding)], &member.repeat(64))
    });
    let before = peak();
    for path in ["/coded", "/list.gz"] {
        let source = list(server.url(path)).max_bytes(8 << 20);
        let error = within(Duration::from_secs(30), || failure(&source));
        assert!(matches!(error, FetchError::TooLarge { max_bytes: 8_388_608, .. }), "{path}: {error}");
    }
    let more = peak() - before;
    assert!(more < 256 << 10, "{more} KiB more");
}

#[test]
fn members_one_after_the_other_are_one_list_but_do_not_go_on_for_ever() {
    let (empty, tiny) = (gzip(b""), gzip(b"1"));
    let server = Server::start(move |request, to| {
        if request.path() == "/list.gz" {
            // As packers in blocks do it: with an empty member at the end.
            let blocks = [gzip(LIST), gzip(b"192.0.2.2\n"), empty.clone()].concat();
            return reply(to, "200 OK", &[], &blocks);
        }
        let member = if request.path().starts_with("/empty") { &empty } else { &tiny };
        if request.path().ends_with(".gz") {
            return reply(to, "200 OK", &[], &member.repeat(20_000));
        }
        write!(to, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n")?;
        let block = member.repeat(4_096);
        loop {
            to.write_all(&block)?;
        }
    });
    let whole = text(first(&list(server.url("/list.gz"))));
    assert_eq!(whole.as_bytes(), [LIST, b"192.0.2.2\n"].concat());
    for path in ["/empty", "/tiny", "/empty.gz", "/tiny.gz"] {
        let source = list(server.url(path)).max_bytes(1 << 20);
        let error = within(Duration::from_secs(30), || failure(&source));
        assert!(matches!(error, FetchError::Packing { .. }), "{path}: {error}");
    }
}

#[test]
fn what_is_larger_than_the_cap_is_refused_with_and_without_a_length() {
    let server = Server::start(|request, to| {
        if request.path() == "/length" {
            return write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n");
        }
        write!(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
        let block = "192.0.2.1\n".repeat(100);
        loop {
            write!(to, "{:x}\r\n{block}\r\n", block.len())?;
        }
    });
    for path in ["/length", "/chunked"] {
        let error = failure(&list(server.url(path)).max_bytes(1 << 20));
        assert!(matches!(error, FetchError::TooLarge { .. }), "{path}: {error}");
        assert!(error.to_string().contains("`max_size`"), "{error}");
    }
    let exactly = Server::start(|_, to| reply(to, "200 OK", &[], LIST));
    let fits = list(exactly.url("/")).max_bytes(LIST.len() as u64);
    assert_eq!(text(first(&fits)).as_bytes(), LIST);
    assert!(matches!(failure(&fits.max_bytes(LIST.len() as u64 - 1)), FetchError::TooLarge { .. }));
}

#[test]
fn a_body_that_ends_early_is_no_list() {
    let server = Server::start(|request, to| match request.path() {
        "/length" => write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n192.0.2.1\n"),
        "/chunk" => write!(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n192.0.2.1\n"),
        "/chunks" => write!(to, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n192.0.2.1\n\r\n"),
        _ => write!(to, "HTTP/1.1 200 OK\r\nContent-Le"),
    });
    for path in ["/length", "/chunk", "/chunks"] {
        let error = failure(&list(server.url(path)));
        assert!(matches!(error, FetchError::Truncated { .. }), "{path}: {error}");
    }
    let error = failure(&list(server.url("/head")));
    assert!(matches!(error, FetchError::Unreachable { .. }), "{error}");
}

#[test]
fn a_server_that_drips_is_left_when_the_time_is_up() {
    let server = Server::start(|request, to| {
        match request.path() {
            "/body" => write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")?,
            _ => write!(to, "HTTP/1.1 200 OK\r\nX-Long: ")?,
        }
        loop {
            to.write_all(b"1")?;
            to.flush()?;
            thread::sleep(Duration::from_millis(50));
        }
    });
    for path in ["/body", "/head"] {
        let source = list(server.url(path)).timeout(Duration::from_secs(1));
        let error = within(Duration::from_secs(5), || failure(&source));
        assert!(matches!(error, FetchError::Timeout { seconds: 1, .. }), "{path}: {error}");
    }
}

#[test]
fn what_is_no_http_and_who_is_not_there_are_told_apart() {
    let server = Server::start(|_, to| to.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"));
    let error = failure(&list(server.url("/")));
    assert!(matches!(error, FetchError::Protocol { protocol: "HTTP", .. }), "{error}");

    let gone = Server::start(|_, _| Ok(())).url("/");
    std::thread::sleep(Duration::from_millis(50));
    let error = failure(&list(gone));
    assert!(matches!(error, FetchError::Unreachable { .. } | FetchError::Truncated { .. }), "{error}");

    let nobody = failure(&list("http://no-such-host.invalid/list".parse().unwrap()));
    // Where DNS itself is not there, the time is up before it is known.
    match &nobody {
        FetchError::Unreachable { .. } => assert!(nobody.to_string().contains("DNS"), "{nobody}"),
        _ => assert!(matches!(nobody, FetchError::Timeout { .. }), "{nobody}"),
    }
}

#[test]
fn addresses_that_are_not_fetched_are_refused_before_anything_is_sent() {
    for url in ["ftp://192.0.2.1/list", "file:///etc/passwd", "data:text/plain,192.0.2.1"] {
        assert!(matches!(failure(&list(url.parse().unwrap())), FetchError::Setting { .. }), "{url}");
    }
    let server = Server::start(|_, to| reply(to, "200 OK", &[], LIST));
    let mut url = server.url("/");
    url.set_password(Some("geheim")).unwrap();
    let error = failure(&list(url));
    assert!(matches!(error, FetchError::Setting { .. }) && !error.to_string().contains("geheim"), "{error}");
    assert!(server.requests().is_empty());
}

#[test]
fn redirects_are_followed_but_not_for_ever() {
    let server = Server::start(|request, to| match request.path() {
        "/list" => reply(to, "200 OK", &[], LIST),
        "/circle" => reply(to, "302 Found", &[("Location", "/circle")], b""),
        "/nowhere" => reply(to, "302 Found", &[], b""),
        "/mail" => reply(to, "302 Found", &[("Location", "mailto:somebody@hospital.example")], b""),
        "/file" => reply(to, "302 Found", &[("Location", "file:///etc/shadow")], b""),
        path => {
            let left: u32 = path[1..].parse().unwrap();
            let next = if left == 0 { "list".to_owned() } else { (left - 1).to_string() };
            let status =
                ["301 Moved", "302 Found", "303 Other", "307 Temporary", "308 Permanent"][left as usize % 5];
            reply(to, status, &[("Location", &next)], b"elsewhere")
        }
    });
    assert_eq!(text(first(&list(server.url("/4#part")))).as_bytes(), LIST);
    for path in ["/5", "/circle", "/nowhere", "/mail", "/file"] {
        let error = failure(&list(server.url(path)));
        assert!(matches!(error, FetchError::Redirect { .. }), "{path}: {error}");
    }
}

#[test]
fn a_failure_leaves_what_was_kept_good_for_the_next_time() {
    static FAILS: AtomicBool = AtomicBool::new(false);
    let server = Server::start(|request, to| {
        if FAILS.load(Ordering::SeqCst) {
            return reply(to, "500 Oh", &[], b"");
        }
        if request.header("if-none-match").is_some() {
            return write!(to, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
        }
        reply(to, "200 OK", &[("ETag", "W/\"1\"")], LIST)
    });
    let source = list(server.url("/"));
    let mut keeper = Keeper::default();
    keeper.fetch(&source).unwrap();
    FAILS.store(true, Ordering::SeqCst);
    assert!(matches!(keeper.fetch(&source), Err(FetchError::Failing { .. })));
    FAILS.store(false, Ordering::SeqCst);
    assert!(!keeper.fetch(&source).unwrap());
}
