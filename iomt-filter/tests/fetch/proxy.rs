//! Proxies, as the environment names them. The variables are those of another process, which runs the test at the end.

use std::io::{BufRead, BufReader};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Output};
use std::thread;

use iomt_filter::feeds::fetch::FetchError;

use crate::authority::Authority;
use crate::server::{Server, reply};
use crate::source::{With, first, list};

const URL: &str = "IOMT_FILTER_TEST_PROXIED_URL";
const CA: &str = "IOMT_FILTER_TEST_PROXIED_CA";

/// Fetches an address in a process with these variables.
fn fetch(url: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "proxy::in_a_process_with_these_variables", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    let Output { stdout, status, .. } =
        command.env(URL, url).envs(variables.iter().copied()).output().unwrap();
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{stdout}");
    stdout
}

#[test]
fn in_a_process_with_these_variables() {
    let Ok(url) = std::env::var(URL) else { return };
    let mut source = list(url.parse().unwrap());
    if let Ok(file) = std::env::var(CA) {
        source = source.ca(file.as_ref());
    }
    match first(&source) {
        Ok(fetched) => println!("content: {fetched:?}"),
        Err(error @ FetchError::Unreachable { .. }) => println!("unreachable: {error} {error:?}"),
        Err(error) => println!("failed: {error} {error:?}"),
    }
}

/// Through a proxy, plain HTTP is asked for by its whole address, and no tunnel is wanted.
#[test]
fn a_list_is_fetched_through_the_proxy_of_its_scheme() {
    let proxy = Server::start(|request, to| match request.target.as_str() {
        "http://list.invalid/list.txt?day=1" => {
            reply(to, "302 Found", &[("Location", "http://other.invalid:8080/moved.txt")], b"")
        }
        "http://other.invalid:8080/moved.txt" => reply(to, "200 OK", &[], b"192.0.2.77\n"),
        other => reply(to, &format!("500 {other}"), &[], b""),
    });
    let address = format!("http://nurse:ge%3Aheim@127.0.0.1:{}", proxy.url("/").port().unwrap());
    let said = fetch("http://list.invalid/list.txt?day=1", &[("HTTP_PROXY", &address)]);
    assert!(said.contains("content:"), "{said}");
    let requests = proxy.requests();
    assert_eq!(requests.len(), 2);
    for (request, host) in requests.iter().zip(["list.invalid", "other.invalid:8080"]) {
        assert_eq!(request.header("host"), Some(host));
        // `nurse:ge:heim`
        assert_eq!(request.header("proxy-authorization"), Some("Basic bnVyc2U6Z2U6aGVpbQ=="));
    }
    let other = fetch("http://list.invalid/list.txt", &[("HTTPS_PROXY", &address)]);
    assert!(other.contains("unreachable:"), "{other}");
    assert_eq!(proxy.requests().len(), 2);
}

#[test]
fn a_connection_to_a_proxy_carries_one_request_after_the_other() {
    let proxy = Server::start(|request, to| {
        let mut request = request.clone();
        // The first answer leaves the connection open for the second request.
        for next in ["302 Found\r\nLocation: /second", "200 OK"] {
            assert!(request.target.starts_with("http://list.invalid/"), "{}", request.target);
            write!(to, "HTTP/1.1 {next}\r\nContent-Length: 0\r\n\r\n")?;
            let mut line = String::new();
            BufReader::new(&mut *to).read_line(&mut line)?;
            request.target = line.split(' ').nth(1).unwrap_or("http://list.invalid/").to_owned();
        }
        Ok(())
    });
    let address = format!("http://127.0.0.1:{}", proxy.url("/").port().unwrap());
    let said = fetch("http://list.invalid/first", &[("http_proxy", &address)]);
    assert!(said.contains("content:"), "{said}");
    assert_eq!(proxy.requests().len(), 1, "there is one connection");
}

/// Passes on what either end says.
fn tunnel(one: &TcpStream, other: &TcpStream) -> std::io::Result<()> {
    thread::scope(|scope| {
        scope.spawn(|| (std::io::copy(&mut &*one, &mut &*other), other.shutdown(Shutdown::Write)));
        std::io::copy(&mut &*other, &mut &*one)?;
        one.shutdown(Shutdown::Write)
    })
}

#[test]
fn https_goes_through_the_proxy_end_to_end() {
    let authority = Authority::make();
    let server =
        Server::secure(authority.vouch("localhost"), |_, to| reply(to, "200 OK", &[], b"192.0.2.78\n"));
    let port = server.url("/").port().unwrap();
    let proxy = Server::start(move |request, to| {
        if request.header("proxy-authorization").is_none() {
            return reply(to, "502 Bad Gateway", &[], b"");
        }
        to.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
        tunnel(&to.socket().unwrap(), &TcpStream::connect(("127.0.0.1", port))?)
    });
    let address = format!("http://127.0.0.1:{}", proxy.url("/").port().unwrap());
    let ca = authority.certificate();
    let url = server.url("/list");
    let variables = [("https_proxy", &*address), (CA, ca.to_str().unwrap())];
    let said = fetch(url.as_str(), &variables);
    assert!(said.contains("unreachable:") && said.contains("502") && said.contains("NO_PROXY"), "{said}");
    let request = proxy.requests().pop().unwrap();
    assert!(request.head.starts_with(&format!("CONNECT localhost:{port} HTTP/1.1\r\n")), "{}", request.head);

    let with_user = address.replace("http://", "http://nurse:geheim@");
    let said = fetch(url.as_str(), &[("https_proxy", &*with_user), variables[1]]);
    assert!(said.contains("content:"), "{said}");
    assert_eq!(proxy.requests().len(), 2);

    let direct = [variables[0], variables[1], ("no_proxy", "10.0.0.0/8, localhost")];
    assert!(fetch(url.as_str(), &direct).contains("content:"));
}

#[test]
fn the_password_of_a_proxy_is_shown_nowhere() {
    let proxy = Server::start(|_, to| reply(to, "407 Proxy Authentication Required", &[], b""));
    let port = proxy.url("/").port().unwrap();
    for address in
        [format!("http://nurse:geheim@127.0.0.1:{port}"), format!("socks5://nurse:geheim@127.0.0.1:{port}")]
    {
        let said = fetch("http://list.invalid/", &[("ALL_PROXY", &address)]);
        assert!(!said.contains("geheim") && !said.contains("content:"), "{said}");
    }
}
