//! Metrics of a real agent: what they say is what `status` and `devices` say, and a real Prometheus reads them and
//! evaluates the rules that come with the filter.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use iomt_filter_tests::hospital::connection::{Outcome, Service, attempt};
use iomt_filter_tests::hospital::filter::Filter;
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::program::{self, Program};
use iomt_filter_tests::hospital::{Host, Version, wait};
use iomt_filter_tests::prometheus::{self, ask, evaluate, get};
use iomt_filter_tests::readme::root;
use serde_json::Value;

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, build};
use crate::service::service;

const AGENT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9464);
const PROMETHEUS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9090);
const START: Duration = Duration::from_secs(30);
const RULES: &str = "packaging/prometheus/iomt-filter.rules.yml";

/// An agent that serves metrics, not yet started.
fn configure<'h>(hospital: &'h iomt_filter_tests::hospital::Hospital) -> Filter<'h> {
    let filter = Filter::configure(hospital, &agent()).unwrap();
    let config = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", format!("{config}\n[metrics]\nlisten = \"{AGENT}\"\n")).unwrap();
    filter
}

fn scrape(filter: &Filter<'_>) -> String {
    let answer = get(filter.host(), AGENT, "/metrics").unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(answer.head.lines().any(|line| line == kind), "{}", answer.head);
    answer.body
}

/// The value of a sample.
fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

/// What the files for Prometheus and Grafana name.
fn named() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in [RULES, "packaging/grafana/iomt-filter.json"] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_:".contains(c));
        names.extend(words.filter(|word| word.starts_with("iomt_filter_")).map(str::to_owned));
    }
    assert!(names.len() > 20);
    names
}

#[test]
fn metrics_say_what_status_says_and_prometheus_reads_them() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let c2 = Host::C2.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::C2], c2).unwrap();
    let mut filter = configure(&hospital);
    // As the service, which has no rights left when it serves them.
    filter.open_to_everybody().unwrap();
    filter.run_as(service(), &[]).unwrap();
    filter.start().unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap(), Outcome::NoAnswer);

    let before = filter.json(&["devices"]).unwrap();
    let text = scrape(&filter);
    let after = filter.json(&["devices"]).unwrap();
    for name in ["ct-1", "pump-1"] {
        let of = |devices: &Value| {
            let device = devices.as_array().unwrap().iter().find(|device| device["name"] == name).cloned();
            device.unwrap()["dropped"].as_f64().unwrap()
        };
        let profile = if name == "ct-1" { "ct-scanner" } else { "infusion-pump" };
        let sample = format!(
            "iomt_filter_device_frames_total{{device=\"{name}\",profile=\"{profile}\",outcome=\"dropped\"}}"
        );
        let dropped = value(&text, &sample).unwrap();
        assert!((of(&before)..=of(&after)).contains(&dropped), "{sample} {dropped}");
    }
    assert!(value(&text, "iomt_filter_frames_total{verdict=\"drop\",reason=\"blocklist\"}").unwrap() > 0.0);
    let fate = |fate| {
        value(&text, &format!("iomt_filter_events_total{{verdict=\"drop\",fate=\"{fate}\"}}")).unwrap()
    };
    let drops = text.lines().filter(|line| line.starts_with("iomt_filter_frames_total{verdict=\"drop\""));
    let drops: f64 = drops.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
    // A frame may be counted between two readings.
    assert!((fate("emitted") + fate("suppressed") + fate("lost") - drops).abs() <= 2.0, "{drops}:\n{text}");
    assert_eq!(value(&text, "iomt_filter_feed_entries{feed=\"threats\"}"), Some(2.0));
    assert_eq!(value(&text, "iomt_filter_privileged"), Some(0.0));
    let served: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    for name in named() {
        assert!(served.contains(name.trim_end_matches("_total")), "{name} is not served:\n{text}");
    }

    let programs = match prometheus::programs(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(programs) => programs,
        Err(error) => {
            eprintln!("skipped: `prometheus` is not there and cannot be fetched: {error:#}");
            return filter.remove().unwrap();
        }
    };
    let page = hospital.folder().join("metrics.txt");
    fs::write(&page, as_before(&text)).unwrap();
    let lint = format!("{} check metrics < {}", programs.join("promtool").display(), page.display());
    let lint = program::run(filter.host(), Command::new("sh").args(["-c", &lint]), LIMIT).unwrap();
    assert!(lint.success("promtool check metrics").unwrap().is_empty());

    let host = &hospital[Host::Segmentation];
    let server = start_prometheus(&filter, &programs, hospital.folder());
    let eventually = |what: &str, is_so: &dyn Fn() -> bool| {
        wait::until(what, START, || Ok(is_so().then_some(()))).unwrap_or_else(|error| {
            panic!("{error}; {:?}\n{}", ask(host, PROMETHEUS, "targets"), server.tail())
        });
    };
    let is = |expression: &str, expected: &str| {
        let found = evaluate(host, PROMETHEUS, expression).unwrap_or_default();
        found.iter().any(|(_, value)| value == expected)
    };
    eventually("a scrape", &|| is("up{job=\"iomt-filter\"}", "1"));
    eventually("frames", &|| {
        is("iomt_filter_device_frames_total{device=\"ct-1\",outcome=\"dropped\"} > bool 0", "1")
    });
    // It takes them for what they are, which it knows by OpenMetrics alone.
    let known = ask(host, PROMETHEUS, "targets/metadata?metric=iomt_filter_heartbeat_age_seconds").unwrap();
    assert_eq!((&known[0]["type"], &known[0]["unit"]), (&"gauge".into(), &"seconds".into()), "{known}");
    let known = ask(host, PROMETHEUS, "targets/metadata?metric=iomt_filter_frames").unwrap();
    assert_eq!(known[0]["type"], "counter", "{known}");

    let firing = |name: &str| {
        !evaluate(host, PROMETHEUS, &format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\"}}"))
            .unwrap()
            .is_empty()
    };
    assert!(!firing("IomtFilterBypass"));
    filter.tell(&["bypass", "--device", "ct-1", "--for", "5m", "--note", "emergency"]).unwrap();
    eventually("an alert on a bypass", &|| firing("IomtFilterBypass"));
    filter.tell(&["release", "ct-1"]).unwrap();
    eventually("the end of the alert", &|| !firing("IomtFilterBypass"));
    filter.tell(&["apply", "--confirm-within", "60s", "--note", "as before"]).unwrap();
    eventually("an alert on a change", &|| firing("IomtFilterChangeUnconfirmed"));
    filter.tell(&["confirm"]).unwrap();
    // Each rule is evaluated, and nothing is wrong with it.
    eventually("every rule", &|| {
        let groups = ask(host, PROMETHEUS, "rules").unwrap();
        let groups = groups["groups"].as_array().unwrap();
        let rules: Vec<_> = groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
        assert!(rules.len() > 15 && rules.iter().all(|rule| rule["health"] != "err"), "{rules:?}");
        rules.iter().all(|rule| rule["health"] == "ok")
    });
    filter.stop().unwrap();
    eventually("a scrape that fails", &|| is("up{job=\"iomt-filter\"}", "0"));
    eventually("an alert on it", &|| firing("IomtFilterAgentLost"));
    drop(server);
    filter.remove().unwrap();
}

/// The same in the format before OpenMetrics, which `promtool check metrics` reads: there a counter's whole name stands
/// before what it means.
fn as_before(text: &str) -> String {
    let counters: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let line = |line: &str| {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", what, name, rest] if counters.contains(name) => format!("# {what} {name}_total {rest}\n"),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

/// A Prometheus on the host of the filter, with its rules.
fn start_prometheus(filter: &Filter<'_>, programs: &Path, folder: &Path) -> Program {
    let config = folder.join("prometheus.yml");
    // Nobody waits a minute here.
    let rules = folder.join("rules.yml");
    let text = fs::read_to_string(root().join(RULES)).unwrap();
    let sooner = |line: &str| match line.split_once(": ") {
        Some((key, _)) if matches!(key.trim(), "for" | "interval") => format!("{key}: 1s\n"),
        _ => format!("{line}\n"),
    };
    fs::write(&rules, text.lines().map(sooner).collect::<String>()).unwrap();
    let text = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
         rule_files: [\"{}\"]\n\
         scrape_configs: [{{ job_name: iomt-filter, static_configs: [{{ targets: [\"{AGENT}\"] }}] }}]\n",
        rules.display()
    );
    fs::write(&config, text).unwrap();
    let mut command = Command::new(programs.join("prometheus"));
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("prometheus").display()))
        .arg(format!("--web.listen-address={PROMETHEUS}"));
    let mut server = Program::start(filter.host(), &mut command, &folder.join("prometheus.log")).unwrap();
    server.wait_for_port(PROMETHEUS.port(), START).unwrap();
    server
}

/// What a process has had of the processors: fields 14 and 15 of `proc_pid_stat(5)`, in hundredths of a second.
fn processor_time(process: u32) -> Duration {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields = text.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    Duration::from_millis(fields.map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum())
}

#[test]
fn ten_thousand_devices_are_read_in_less_than_a_second() {
    const DEVICES: u32 = 10_000;
    // A program that was built for tests takes several times as long.
    const MOST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 4 } else { 1 });
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = configure(&hospital);
    let mut devices = fs::read_to_string(filter.folder().join("devices.toml")).unwrap();
    for number in 1..=DEVICES {
        let _ = write!(
            devices,
            "\n[[device]]\nname = \"ct-{}\"\nip = \"2001:db8:10::1:{number:x}\"\nprofile = \"ct-scanner\"\n",
            number + 1
        );
    }
    filter.write("devices.toml", devices).unwrap();
    filter.start().unwrap();
    let took = (0..3).map(|_| {
        // Nobody else's answer.
        thread::sleep(Duration::from_millis(1_100));
        let (before, begun) = (processor_time(filter.id().unwrap()), Instant::now());
        assert_eq!(scrape(&filter).matches("outcome=\"dropped\"").count(), DEVICES as usize + 3);
        let passed = begun.elapsed();
        // On a busy machine the clock says nothing of it.
        (processor_time(filter.id().unwrap()) - before, passed)
    });
    let took: Vec<_> = took.collect();
    eprintln!("{DEVICES} devices: processor and wall {took:?}");
    assert!(took.iter().min().unwrap().0 < MOST, "{took:?}");
    filter.remove().unwrap();
}

#[test]
fn a_place_that_is_taken_keeps_nobody_from_filtering() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let c2 = Host::C2.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::C2], c2).unwrap();
    let mut filter = configure(&hospital);
    let taken = filter.host().inside(|| TcpListener::bind(AGENT)).unwrap().unwrap();
    filter.start().unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap(), Outcome::NoAnswer);
    let told = || {
        filter
            .tell(&["status"])
            .unwrap()
            .contains("metrics are not served: failed to listen on 127.0.0.1:9464")
    };
    assert!(told(), "{}", filter.tell(&["status"]).unwrap());
    assert!(filter.log().contains("metrics are not served"), "{}", filter.log());
    drop(taken);
    wait::until("the place to be had", LIMIT, || Ok((!told()).then_some(()))).unwrap();
    assert!(scrape(&filter).ends_with("# EOF\n"));

    // Where they are served is not changed by a reload.
    let config = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", config.replace("9464", "9465")).unwrap();
    let refused = filter.ask(&["reload"]).unwrap();
    assert!(refused.errors.contains("`[metrics]` changed"), "{refused:?}");
    filter.remove().unwrap();
}
