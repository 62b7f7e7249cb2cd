//! The local API of CrowdSec: a real one where its Debian package can be had, and one of our own for what a real one
//! does not do on request. What ours says was recorded from CrowdSec 1.4.6.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use iomt_filter::feeds::fetch::{FetchError, Protocol, Source};
use serde_json::{Value, json};

use crate::server::{Server, reply};
use crate::source::{Keeper, NOW, SecretFile, With, failure, of};
use crate::tools::{self, Running};

/// A local API with its own configuration and state, and no way out: it reads no logs and tells nobody anything.
struct Crowdsec {
    _process: Running,
    programs: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    key: SecretFile,
}

impl Crowdsec {
    fn start() -> Option<Self> {
        let programs = tools::crowdsec()?;
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["data", "hub"] {
            fs::create_dir(at(name)).unwrap();
        }
        fs::write(at("hub/.index.json"), "{}").unwrap();
        for name in ["simulation.yaml", "acquis.yaml"] {
            fs::write(at(name), "").unwrap();
        }
        let profile = "name: none\nfilters: [\"false\"]\ndecisions:\n - type: ban\n   duration: 4h\non_success: break\n";
        fs::write(at("profiles.yaml"), profile).unwrap();
        // The port must be known before it is listened on: somebody else may take it in between.
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            fs::write(at("config.yaml"), configuration(folder.path().to_str().unwrap(), port)).unwrap();
            let cscli = |arguments: &[&str]| {
                let mut command = Command::new(programs.join("cscli"));
                tools::output(command.arg("-c").arg(at("config.yaml")).args(arguments)).unwrap()
            };
            if !at("credentials.yaml").exists() {
                let credentials = at("credentials.yaml");
                cscli(&["machines", "add", "test", "-a", "-f", credentials.to_str().unwrap()]);
            }
            let mut command = Command::new(programs.join("crowdsec"));
            command.arg("-c").arg(at("config.yaml")).arg("-no-cs");
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let mut process = Running(command.spawn().unwrap());
            let mut is_over = false;
            tools::wait("a local API that listens", || {
                is_over = process.0.try_wait().unwrap().is_some();
                is_over || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            if is_over {
                continue;
            }
            let name = format!("bouncer-{port}");
            let key = SecretFile::new(cscli(&["bouncers", "add", &name, "-o", "raw"]).trim());
            return Some(Self { _process: process, programs, folder, port, key });
        }
        panic!("crowdsec does not start");
    }

    fn source(&self, key: &SecretFile) -> Source {
        let url = format!("http://127.0.0.1:{}/", self.port).parse().unwrap();
        of(Protocol::Crowdsec, url).auth(key.header("X-Api-Key"))
    }

    fn decisions(&self, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join("cscli"));
        command.arg("-c").arg(self.folder.path().join("config.yaml")).arg("decisions").args(arguments);
        tools::output(&mut command).unwrap();
    }
}

fn configuration(folder: &str, port: u16) -> String {
    format!(
        "common:
  daemonize: false
  log_media: stdout
  log_level: info
config_paths:
  config_dir: {folder}
  data_dir: {folder}/data
  simulation_path: {folder}/simulation.yaml
  hub_dir: {folder}/hub
  index_path: {folder}/hub/.index.json
crowdsec_service:
  acquisition_path: {folder}/acquis.yaml
cscli:
  output: raw
db_config:
  type: sqlite
  db_path: {folder}/data/crowdsec.db
  use_wal: true
api:
  client:
    credentials_path: {folder}/credentials.yaml
  server:
    listen_uri: 127.0.0.1:{port}
    profiles_path: {folder}/profiles.yaml
prometheus:
  enabled: false
"
    )
}

fn values(keeper: &Keeper) -> Vec<String> {
    let document = keeper.json();
    let decisions = document["new"].as_array().unwrap().iter();
    let mut values: Vec<String> =
        decisions.map(|decision| decision["value"].as_str().unwrap().to_owned()).collect();
    values.sort();
    values
}

#[test]
fn what_a_real_local_api_decides_is_followed() {
    let Some(server) = Crowdsec::start() else { return };
    let source = server.source(&server.key);
    server.decisions(&["add", "-i", "203.0.113.9", "-d", "4h"]);
    server.decisions(&["add", "-r", "198.51.100.0/24", "-d", "8h"]);
    // Moments are those of the server's clock, which is the one of this machine.
    let now = jiff::Timestamp::now();
    let mut keeper = Keeper::default();
    assert!(keeper.fetch_at(&source, now).unwrap());
    assert_eq!(values(&keeper), ["198.51.100.0/24", "203.0.113.9"]);
    let decision = &keeper.json()["new"][0];
    assert!(decision.get("duration").is_none());
    let until: jiff::Timestamp = decision["until"].as_str().unwrap().parse().unwrap();
    let hours = until.duration_since(now).as_secs_f64() / 3_600.0;
    assert!((3.9..=4.0).contains(&hours), "{hours}");
    assert!(!keeper.fetch_at(&source, now).unwrap(), "nothing was decided since");

    // A second decision for one address keeps it when the first is taken back.
    server.decisions(&["add", "-i", "203.0.113.9", "-d", "6h", "-R", "again"]);
    server.decisions(&["add", "-i", "203.0.113.10", "-d", "6h"]);
    assert!(keeper.fetch_at(&source, now).unwrap());
    assert_eq!(values(&keeper), ["198.51.100.0/24", "203.0.113.10", "203.0.113.9", "203.0.113.9"]);
    let document = keeper.json();
    let all = document["new"].as_array().unwrap();
    let longer = all.iter().find(|decision| decision["scenario"] == "again").unwrap();
    server.decisions(&["delete", "--id", &longer["id"].to_string()]);
    assert!(keeper.fetch_at(&source, now).unwrap());
    assert_eq!(values(&keeper), ["198.51.100.0/24", "203.0.113.10", "203.0.113.9"]);
    assert!(!keeper.fetch_at(&source, now).unwrap(), "that it is deleted is said twice, and meant once");
    server.decisions(&["delete", "-i", "203.0.113.9"]);
    assert!(keeper.fetch_at(&source, now).unwrap());
    assert_eq!(values(&keeper), ["198.51.100.0/24", "203.0.113.10"]);

    // An answer that is lost is not missed: the next one is everything.
    server.decisions(&["add", "-i", "203.0.113.11", "-d", "6h"]);
    keeper.clone().fetch_at(&source, now).unwrap();
    assert!(keeper.fetch_at(&source, now).unwrap());
    assert_eq!(values(&keeper), ["198.51.100.0/24", "203.0.113.10", "203.0.113.11"]);

    // Neither is what was decided while the agent was away.
    server.decisions(&["delete", "-i", "203.0.113.10"]);
    let mut keeper = keeper.restarted();
    assert!(keeper.fetch_at(&source, now).unwrap());
    assert_eq!(values(&keeper), ["198.51.100.0/24", "203.0.113.11"]);

    let wrong = SecretFile::new("0123456789abcdef0123456789abcdef");
    let error = failure(&server.source(&wrong));
    assert!(matches!(error, FetchError::Denied { status: 403, .. }), "{error}");
    assert!(error.to_string().contains("cscli bouncers add"), "{error}");
}

fn decision(id: u64, value: &str, duration: &str) -> Value {
    json!({"duration": duration, "id": id, "origin": "cscli", "scenario": "manual 'ban' from 'test'", "scope": "Ip",
        "type": "ban", "value": value})
}

#[test]
fn the_first_question_is_for_everything_and_the_next_for_what_is_new() {
    let server = Server::start(|request, to| {
        assert_eq!(request.path(), "/v1/decisions/stream");
        let answer = if request.query("startup").as_deref() == Some("true") {
            json!({"deleted": [decision(1, "192.0.2.1", "-9h")], "new": [decision(2, "192.0.2.1", "3h59m59.326s")]})
        } else {
            json!({"deleted": null, "new": null})
        };
        reply(to, "200 OK", &[], answer.to_string().as_bytes())
    });
    let key = SecretFile::new("key");
    let source = of(Protocol::Crowdsec, server.url("")).auth(key.header("X-Api-Key"));
    let mut keeper = Keeper::default();
    assert!(keeper.fetch(&source).unwrap());
    assert_eq!(values(&keeper), ["192.0.2.1"], "what had ended before is not deleted from what is new");
    assert_eq!(keeper.json()["new"][0]["until"], "2026-11-28T15:59:59.326Z");
    assert!(!keeper.fetch(&source).unwrap());
    assert!(!keeper.restarted().fetch(&source).unwrap());
    let asked: Vec<_> = server.requests().iter().map(|request| request.query("startup").unwrap()).collect();
    assert_eq!(asked, ["true", "false", "true"]);
    // It ends by itself, whatever the server says.
    let later = NOW.parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_hours(4);
    assert!(keeper.fetch_at(&source, later).unwrap());
    assert!(values(&keeper).is_empty());
}

#[test]
fn a_failure_in_between_starts_the_stream_anew() {
    static FAILS: AtomicBool = AtomicBool::new(false);
    let server = Server::start(|_, to| {
        if FAILS.load(Ordering::SeqCst) {
            return write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{{\"new\":[");
        }
        reply(to, "200 OK", &[], json!({"new": [decision(1, "192.0.2.1", "1h")]}).to_string().as_bytes())
    });
    let key = SecretFile::new("key");
    let source = of(Protocol::Crowdsec, server.url("/v1/decisions/stream")).auth(key.header("X-Api-Key"));
    let mut keeper = Keeper::default();
    keeper.fetch(&source).unwrap();
    FAILS.store(true, Ordering::SeqCst);
    assert!(matches!(keeper.fetch(&source), Err(FetchError::Truncated { .. })));
    FAILS.store(false, Ordering::SeqCst);
    keeper.fetch(&source).unwrap();
    keeper.fetch(&source).unwrap();
    let asked: Vec<_> = server.requests().iter().map(|request| request.query("startup").unwrap()).collect();
    assert_eq!(asked, ["true", "false", "true", "false"]);
}

#[test]
fn what_is_no_local_api_is_refused() {
    let server = Server::start(|request, to| match request.path() {
        "/web/v1/decisions/stream" => reply(to, "200 OK", &[], b"<html>"),
        "/list/v1/decisions/stream" => reply(to, "200 OK", &[], b"{\"new\":\"192.0.2.1\"}"),
        _ => reply(to, "404 No", &[], b""),
    });
    let key = SecretFile::new("key");
    for path in ["/web", "/list"] {
        let error = failure(&of(Protocol::Crowdsec, server.url(path)).auth(key.header("X-Api-Key")));
        assert!(matches!(error, FetchError::Protocol { .. }), "{error}");
    }
    let error = failure(&of(Protocol::Crowdsec, server.url("/other")).auth(key.header("X-Api-Key")));
    assert!(matches!(error, FetchError::Missing { .. }), "{error}");
    let error = failure(&of(Protocol::Crowdsec, server.url("/")));
    assert!(matches!(error, FetchError::Setting { .. }) && error.to_string().contains("cscli"), "{error}");
}
