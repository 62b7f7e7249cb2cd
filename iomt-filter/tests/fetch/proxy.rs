//! Proxies, as the environment names them. The variables are those of another process, which runs the test at the end.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output};

use iomt_filter::feeds::fetch::FetchError;

use crate::authority::Authority;
use crate::server::{Server, Stream, reply};
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

/// A proxy that is the server as well: whatever it is asked to connect to, it answers itself.
fn tunnel(stream: &mut dyn Stream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let mut line = String::new();
    let mut reader = BufReader::new(&mut *stream);
    while reader.read_line(&mut line)? > 2 {}
    reply(stream, "200 OK", &[("X", line.trim_end())], b"192.0.2.77\n")
}

#[test]
fn a_list_is_fetched_through_the_proxy_of_its_scheme() {
    let proxy = Server::start(|_, to| tunnel(to));
    let address = format!("http://nurse:ge%3Aheim@127.0.0.1:{}", proxy.url("/").port().unwrap());
    let said = fetch("http://list.invalid/list.txt", &[("HTTP_PROXY", &address)]);
    assert!(said.contains("content:"), "{said}");
    let request = proxy.requests().pop().unwrap();
    assert!(request.head.starts_with("CONNECT list.invalid:80 HTTP/1.1\r\n"), "{}", request.head);
    // `nurse:ge:heim`
    assert_eq!(request.header("proxy-authorization"), Some("Basic bnVyc2U6Z2U6aGVpbQ=="));

    let other = fetch("http://list.invalid/list.txt", &[("HTTPS_PROXY", &address)]);
    assert!(other.contains("unreachable:"), "{other}");
    assert_eq!(proxy.requests().len(), 1);
}

#[test]
fn https_goes_through_the_proxy_end_to_end() {
    let authority = Authority::make();
    let server =
        Server::secure(authority.vouch("localhost"), |_, to| reply(to, "200 OK", &[], b"192.0.2.78\n"));
    let target = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let asked = std::sync::Arc::clone(&target);
    let proxy = Server::start(move |request, to| {
        *asked.lock().unwrap() = request.target.clone();
        reply(to, "502 Bad Gateway", &[], b"")
    });
    let address = format!("http://127.0.0.1:{}", proxy.url("/").port().unwrap());
    let ca = authority.certificate();
    let url = server.url("/list");
    let variables = [("https_proxy", &*address), (CA, ca.to_str().unwrap())];
    let said = fetch(url.as_str(), &variables);
    assert!(said.contains("unreachable:") && said.contains("502") && said.contains("NO_PROXY"), "{said}");
    assert_eq!(*target.lock().unwrap(), format!("localhost:{}", url.port().unwrap()));

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
