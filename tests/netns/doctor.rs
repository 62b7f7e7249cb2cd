//! What `doctor` says of real interfaces, folders and rights, and that `run` refuses what would not protect.

use std::process::Command;
use std::time::Duration;

use iomt_filter_tests::hospital::filter::{Filter, Ports, pins};
use iomt_filter_tests::hospital::program::{self, Answer};
use iomt_filter_tests::netns::{Namespace, Netns};
use iomt_filter_tests::ward::{DEVICES, POLICY};
use serde_json::Value;
use tempfile::TempDir;

use crate::can_run;
use crate::hospital::agent;

mod host;
mod ports;

const LIMIT: Duration = Duration::from_secs(60);
const SEGMENTS: &[&str] = &["10.40.0.0/24", "2001:db8:40::/64"];

/// A host with two ports and nothing but them: a device's, and an uplink.
struct Site {
    netns: Netns,
    host: Namespace,
    far: Namespace,
    folder: TempDir,
}

impl Site {
    fn build() -> Self {
        let mut netns = Netns::new(crate::PREFIX);
        let folder = tempfile::Builder::new().prefix(&format!("{}-", netns.prefix())).tempdir().unwrap();
        let (host, far) = (netns.add("seg").unwrap(), netns.add("far").unwrap());
        for port in ["port-ct", "uplink"] {
            netns.cable((&host, port), (&far, port)).unwrap();
        }
        host.forward().unwrap();
        Self { netns, host, far, folder }
    }

    fn name(&self) -> &str {
        self.netns.prefix()
    }

    /// A filter on some ports, which has not run.
    fn filter(&self, device: &[&str], uplink: &str) -> Filter<'_> {
        let ports = Ports { device, uplink, segments: SEGMENTS };
        let place = (self.name(), self.folder.path());
        let filter = Filter::install(&self.host, place, &agent(), ports).unwrap();
        filter.write("policy.toml", POLICY).unwrap();
        filter.write("devices.toml", DEVICES).unwrap();
        filter
    }

    fn usual(&self) -> Filter<'_> {
        self.filter(&["port-ct"], "uplink")
    }

    fn ip(&self, line: &str) {
        self.host.ip(&line.split(' ').collect::<Vec<_>>()).unwrap();
    }

    /// Whether any interface of the host runs an XDP program.
    fn is_untouched(&self, filter: &Filter<'_>) -> bool {
        let links = self.host.run(&["ip", "link", "show"]).unwrap();
        !links.contains("xdp") && !pins(self.name()).exists() && !filter.folder().join("state").exists()
    }
}

/// What `doctor` said.
struct Said {
    code: i32,
    report: Value,
}

impl Said {
    fn of(answer: &Answer) -> Self {
        let report = serde_json::from_str(&answer.output).unwrap_or_else(|_| panic!("no JSON: {answer:?}"));
        Self { code: answer.status.code().unwrap(), report }
    }

    fn all(&self) -> &[Value] {
        self.report["findings"].as_array().unwrap()
    }

    /// A finding, of an interface where one is named.
    #[track_caller]
    fn one(&self, check: &str, interface: Option<&str>) -> &Value {
        let is_it =
            |finding: &&Value| finding["check"] == check && finding["interface"].as_str() == interface;
        self.all().iter().find(is_it).unwrap_or_else(|| panic!("no `{check}` in {:#}", self.report))
    }

    /// That a finding is of a level, with these words in it; what mends it.
    #[track_caller]
    fn assert(&self, check: &str, interface: Option<&str>, level: &str, words: &str) -> String {
        let finding = self.one(check, interface);
        assert_eq!(finding["level"], level, "{finding:#}");
        assert!(finding["found"].as_str().unwrap().contains(words), "`{words}`: {finding:#}");
        finding["mend"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn assert_fit(&self) {
        let problems: Vec<_> = self.all().iter().filter(|finding| finding["level"] == "problem").collect();
        assert!(self.code == 0 && problems.is_empty(), "{problems:#?}");
    }
}

fn doctor(filter: &Filter<'_>) -> Said {
    Said::of(&filter.ask(&["doctor", "--json"]).unwrap())
}

/// The same with mounts of its own, which `script` makes before.
fn doctor_with(filter: &Filter<'_>, script: &str) -> Said {
    let doctor = filter.command(&["doctor", "--json"]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    command.arg(format!("{script}\nexec \"$@\"")).arg("sh");
    command.arg(doctor.get_program()).args(doctor.get_args());
    Said::of(&program::run(filter.host(), &mut command, LIMIT).unwrap())
}

/// That `run` ends at once and says what `doctor` says of it: what was found, and what mends it.
#[track_caller]
fn assert_refused(site: &Site, filter: &Filter<'_>, check: &str, interface: &str) {
    let said = doctor(filter);
    let finding = said.one(check, Some(interface));
    assert!(said.code == 1 && finding["level"] == "problem", "{finding:#}");
    let refused = filter.ask(&["run"]).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    for part in ["found", "mend"] {
        let text = finding[part].as_str().unwrap();
        assert!(refused.errors.contains(text), "`{text}` is not in: {}", refused.errors);
    }
    assert!(!pins(site.name()).join("maps").exists(), "nothing was loaded");
    assert!(!pins(site.name()).join("links").exists(), "nothing was attached");
}

#[test]
fn a_usual_host_is_fit_and_stays_as_it_is() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let filter = site.usual();
    let said = doctor(&filter);
    said.assert_fit();
    assert!(site.is_untouched(&filter));
    for port in ["port-ct", "uplink"] {
        for check in ["interface", "native", "mtu", "lro", "link-reset", "rxvlan", "xdp"] {
            assert_eq!(said.one(check, Some(port))["level"], "ok", "{port} {check}");
        }
    }
    for check in ["kernel", "capabilities", "program", "bpffs", "state", "disk", "socket", "forwarding"] {
        assert_eq!(said.one(check, None)["level"], "ok", "{check}");
    }
    let count = |level: &str| said.all().iter().filter(|finding| finding["level"] == level).count();
    assert_eq!((&said.report["problems"], &said.report["warnings"]), (&0.into(), &count("warning").into()));
    for finding in said.all() {
        assert!(finding["level"] == "ok" || finding["mend"].is_string(), "no way out: {finding:#}");
    }

    let text = filter.ask(&["doctor"]).unwrap();
    assert!(text.output.contains("ok       program       the kernel takes"), "{}", text.output);
    assert!(text.output.trim_end().lines().last().unwrap().starts_with("fit: 0 problems, "));
    let json = filter.ask(&["doctor", "--output", "json"]).unwrap();
    assert_eq!(Said::of(&json).report["problems"], 0);
}

#[test]
fn beside_an_agent_its_own_program_and_socket_are_well() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let mut filter = site.usual();
    filter.start().unwrap();
    let said = doctor(&filter);
    said.assert_fit();
    said.assert("native", Some("port-ct"), "ok", "is judged by this filter, native");
    said.assert("xdp", Some("uplink"), "ok", "this filter's program");
    said.assert("socket", None, "ok", "the agent listens");
    assert!(!said.all().iter().any(|finding| finding["check"] == "link-reset"), "it is behind us");

    filter.kill().unwrap();
    let said = doctor(&filter);
    said.assert_fit();
    said.assert("socket", None, "ok", "left by an agent that is gone");
    said.assert("native", Some("uplink"), "ok", "is judged by this filter");
    filter.remove().unwrap();
}
