//! Certificates: who is believed, and what is said of those who are not.

use std::process::Command;

use iomt_filter::feeds::fetch::FetchError;

use crate::authority::Authority;
use crate::server::{Server, reply};
use crate::source::{SecretFile, With, failure, first, list, text};

const LIST: &str = "192.0.2.1\n";

/// Where the process that trusts a test's authority finds the server.
const URL: &str = "IOMT_FILTER_TEST_URL";

fn secure(authority: &Authority, name: &str) -> Server {
    Server::secure(authority.vouch(name), |request, to| match request.path() {
        "/downgrade" => reply(to, "302 Found", &[("Location", "http://localhost/list")], b""),
        _ => reply(to, "200 OK", &[], LIST.as_bytes()),
    })
}

#[test]
fn an_authority_of_the_hospitals_own_is_believed_where_it_is_named() {
    let authority = Authority::make();
    let server = secure(&authority, "localhost");
    assert_eq!(text(first(&list(server.url("/")).ca(&authority.certificate()))), LIST);
}

#[test]
fn a_certificate_of_somebody_else_is_refused_and_nothing_is_told_to_its_server() {
    let (authority, other) = (Authority::make(), Authority::make());
    let server = secure(&authority, "localhost");
    let secret = SecretFile::new("geheim");
    let source = list(server.url("/")).auth(secret.header("X-Api-Key"));
    for source in [source.clone(), source.ca(&other.certificate())] {
        let error = failure(&source);
        assert!(matches!(error, FetchError::Certificate { .. }), "{error}");
        assert!(error.to_string().contains("`ca`"), "{error}");
    }
    assert!(server.requests().is_empty());
}

#[test]
fn a_certificate_for_another_name_is_refused() {
    let authority = Authority::make();
    let server = secure(&authority, "another.example");
    let error = failure(&list(server.url("/")).ca(&authority.certificate()));
    assert!(matches!(error, FetchError::Certificate { .. }), "{error}");
    assert!(error.to_string().contains("another.example"), "{error}");
}

#[test]
fn no_redirect_leads_from_https_to_http() {
    let authority = Authority::make();
    let server = secure(&authority, "localhost");
    let error = failure(&list(server.url("/downgrade")).ca(&authority.certificate()));
    assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
}

#[test]
fn a_server_without_tls_is_no_secure_one() {
    let server = Server::start(|_, to| reply(to, "200 OK", &[], LIST.as_bytes()));
    let url = server.url("/").as_str().replace("http:", "https:").parse().unwrap();
    let error = failure(&list(url));
    assert!(matches!(error, FetchError::Unreachable { .. } | FetchError::Truncated { .. }), "{error}");
}

#[test]
fn files_without_a_certificate_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let url: url::Url = "https://localhost/".parse().unwrap();
    let damaged = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    for content in ["", "192.0.2.1\n", damaged] {
        std::fs::write(file.path(), content).unwrap();
        let error = failure(&list(url.clone()).ca(file.path()));
        assert!(matches!(error, FetchError::File { .. }), "{content}: {error}");
    }
    let absent = failure(&list(url).ca(std::path::Path::new("/nonexistent/ca.pem")));
    assert!(absent.to_string().contains("/nonexistent/ca.pem"), "{absent}");
}

/// What the host trusts is read from its trust store, which the variable `SSL_CERT_FILE` can move: so the process
/// that trusts a test's authority is another one, and runs the test below this one.
#[test]
fn whom_the_host_trusts_is_believed() {
    let authority = Authority::make();
    let server = secure(&authority, "localhost");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "tls::in_a_process_that_trusts_the_authority", "--nocapture"]);
    command.env(URL, server.url("/").as_str()).env("SSL_CERT_FILE", authority.certificate());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn in_a_process_that_trusts_the_authority() {
    let Ok(url) = std::env::var(URL) else { return };
    assert_eq!(text(first(&list(url.parse().unwrap()))), LIST);
}
