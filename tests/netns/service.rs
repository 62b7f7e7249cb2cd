//! The agent as the service: a user of its own, with what the unit gives it at the start and nothing after that.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use iomt_filter_tests::hospital::connection::{Outcome, Service, Session, attempt};
use iomt_filter_tests::hospital::filter::{Filter, pins};
use iomt_filter_tests::hospital::host::HTTPS;
use iomt_filter_tests::hospital::notified::{Manager, PATIENCE};
use iomt_filter_tests::hospital::somebody::Somebody;
use iomt_filter_tests::hospital::{Host, Version};
use iomt_filter_tests::readme::root;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::can_run;
use crate::hospital::{ATTEMPT, LIMIT, agent, assert_cut, assert_runs, build};
use crate::lifecycle::{is_judged, wait_for_mode};

const USER: u32 = 61_234;
const START: Duration = Duration::from_secs(60);
const PORTS: [&str; 4] = ["port-ct", "port-pump", "port-laptop", "uplink"];

/// The user of the service, with exactly what the unit gives it.
pub(crate) fn service() -> Somebody {
    let unit = fs::read_to_string(root().join("packaging/iomt-filter.service")).unwrap();
    let of = |key: &str| -> Vec<String> {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
        line.split(' ').map(str::to_owned).collect()
    };
    let capabilities = of("AmbientCapabilities=");
    assert_eq!(of("CapabilityBoundingSet="), capabilities);
    Somebody { capabilities, ..Somebody::new(USER, &[]) }
}

/// What the threads of a process may do, by the kernel's word: every set of every thread.
fn capabilities(process: u32) -> BTreeSet<String> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let status = |thread: std::io::Result<fs::DirEntry>| {
        // A thread may have ended meanwhile.
        fs::read_to_string(thread.unwrap().path().join("status")).unwrap_or_default()
    };
    let sets = threads.map(status).flat_map(|status| {
        let sets = status.lines().filter(|line| line.starts_with("Cap") && !line.starts_with("CapBnd"));
        sets.map(str::to_owned).collect::<Vec<_>>()
    });
    sets.collect()
}

const NOTHING: [&str; 4] = [
    "CapAmb:\t0000000000000000",
    "CapEff:\t0000000000000000",
    "CapInh:\t0000000000000000",
    "CapPrm:\t0000000000000000",
];

fn assert_nothing_is_left(filter: &Filter<'_>, user: &str, uid: u32) {
    assert_eq!(capabilities(filter.id().unwrap()).iter().map(String::as_str).collect::<Vec<_>>(), NOTHING);
    let privileges = &filter.json(&["status"]).unwrap()["privileges"];
    let expected = json!({ "user": user, "uid": uid, "capabilities": Value::Array(Vec::new()), "no_new_privileges": true });
    assert_eq!(privileges, &expected);
    let text = filter.tell(&["status"]).unwrap();
    assert!(text.contains(&format!("privileges  {user} ({uid}), no capabilities\n")), "{text}");
}

fn verdict(filter: &Filter<'_>, to: &str) -> String {
    let answer = filter
        .ask(&["explain", "--device", "ct-1", "--to", to, "--service", "https", "--output", "json"])
        .unwrap();
    serde_json::from_str::<Value>(&answer.output).unwrap()["verdict"].as_str().unwrap().to_owned()
}

#[test]
fn a_service_gives_up_its_rights_and_does_all_its_work_without_them() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let (vendor, c2) = (Host::Vendor.at(Version::V4, HTTPS), Host::C2.at(Version::V4, HTTPS));
    let _services = [(Host::Vendor, vendor), (Host::C2, c2)]
        .map(|(host, at)| Service::start(&hospital[host], at).unwrap());
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    let manager = Manager::listen(hospital.folder()).unwrap();
    filter.open_to_everybody().unwrap();
    filter.run_as(service(), &manager.environment()).unwrap();
    filter.start().unwrap();
    manager.wait_for("READY=1", START).unwrap();
    for port in PORTS {
        assert!(is_judged(&filter, port), "{port} is not judged, and the agent says that it is ready");
    }
    manager.wait_for("STATUS=judging on 4 of 4 interfaces, generation ", LIMIT).unwrap();
    assert_nothing_is_left(&filter, &USER.to_string(), USER);

    let is_cut_off = || attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap() == Outcome::NoAnswer;
    let session = Session::start(&hospital[Host::Ct], vendor, LIMIT).unwrap();
    assert_runs(&session);
    assert!(is_cut_off());

    // Tables are written, and a packet is explained by what was loaded before.
    assert_eq!([vendor, c2].map(|to| verdict(&filter, &to.ip().to_string())), ["pass", "drop"]);
    filter.tell(&["block", "add", &vendor.ip().to_string()]).unwrap();
    assert_cut(&session);
    assert_ne!(verdict(&filter, &vendor.ip().to_string()), "pass");
    filter.tell(&["block", "remove", &vendor.ip().to_string()]).unwrap();
    assert_runs(&session);

    // By command and by signal, and one that is refused.
    manager.take();
    filter.tell(&["reload"]).unwrap();
    manager.wait_for("RELOADING=1", LIMIT).unwrap();
    manager.wait_for("READY=1", LIMIT).unwrap();
    filter.signal(Signal::SIGHUP).unwrap();
    manager.wait_for("RELOADING=1", LIMIT).unwrap();
    manager.wait_for("READY=1", LIMIT).unwrap();
    let policy = fs::read_to_string(filter.folder().join("policy.toml")).unwrap();
    filter.write("policy.toml", "version = 2\n").unwrap();
    assert!(!filter.ask(&["reload"]).unwrap().status.success());
    manager.wait_for("READY=1", LIMIT).unwrap();
    filter.write("policy.toml", policy).unwrap();

    // An interface that comes back is judged again, and what has its name is told by the manager's line.
    filter.host().ip(&["link", "del", "port-pump"]).unwrap();
    let line = manager.wait_for("STATUS=judging on 3 of 4 interfaces, generation ", LIMIT).unwrap();
    assert!(line.ends_with(", 2 devices, the last reload was refused"), "{line}");
    filter.host().ip(&["link", "add", "port-pump", "type", "veth", "peer", "name", "far-pump"]).unwrap();
    wait_for_mode(&filter, "port-pump", &["native", "generic"]);
    assert!(is_judged(&filter, "port-pump"));
    assert_nothing_is_left(&filter, &USER.to_string(), USER);

    // Stopping it ends no filtering.
    filter.stop().unwrap();
    manager.wait_for("STOPPING=1", LIMIT).unwrap();
    for port in PORTS {
        assert!(is_judged(&filter, port), "{port}");
    }
    assert_runs(&session);
    assert!(is_cut_off());
    // And the next one takes over what it has left.
    filter.start().unwrap();
    manager.wait_for("READY=1", START).unwrap();
    assert_eq!(filter.json(&["status"]).unwrap()["adopted"], true);
    assert_nothing_is_left(&filter, &USER.to_string(), USER);
    assert_runs(&session);
    assert!(is_cut_off());
    filter.remove().unwrap();
}

#[test]
fn a_manager_hears_that_the_agent_lives_as_long_as_it_does() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    let manager = Manager::listen(hospital.folder()).unwrap();
    filter.open_to_everybody().unwrap();
    filter.run_as(service(), &manager.environment()).unwrap();
    filter.start().unwrap();
    manager.wait_for("READY=1", START).unwrap();
    let lives = || manager.take().iter().filter(|line| *line == "WATCHDOG=1").count();
    for _ in 0..3 {
        manager.wait_for("WATCHDOG=1", PATIENCE).unwrap();
    }
    filter.signal(Signal::SIGSTOP).unwrap();
    // What was on its way.
    std::thread::sleep(Duration::from_millis(500));
    lives();
    std::thread::sleep(PATIENCE);
    assert_eq!(lives(), 0, "an agent that stands still says that it lives");
    filter.signal(Signal::SIGCONT).unwrap();
    manager.wait_for("WATCHDOG=1", PATIENCE).unwrap();
    filter.remove().unwrap();
}

fn owner(path: &Path) -> u32 {
    fs::metadata(path).unwrap().uid()
}

#[test]
fn root_becomes_the_user_that_it_is_told_to_and_what_root_has_left_goes_with_it() {
    if !can_run() {
        return;
    }
    const DAEMON: u32 = 1;
    let hospital = build();
    let c2 = Host::C2.at(Version::V4, HTTPS);
    let _service = Service::start(&hospital[Host::C2], c2).unwrap();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    filter.open_to_everybody().unwrap();
    // First as ever.
    filter.start().unwrap();
    filter.tell(&["block", "add", "198.51.100.9"]).unwrap();
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["privileges"]["uid"], 0, "{status}");
    assert!(filter.tell(&["status"]).unwrap().contains("privileges  root (0), every right of root"));
    filter.stop().unwrap();

    let config = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", format!("{config}\n[agent]\nuser = \"daemon\"\n")).unwrap();
    filter.start().unwrap();
    assert_nothing_is_left(&filter, "daemon", DAEMON);
    let (state, pins) = (filter.folder().join("state"), pins(hospital.name()));
    for path in [
        state.clone(),
        state.join("blocks.json"),
        state.join("agent.lock"),
        state.join("audit.log"),
        pins.join("maps/ACTIVE"),
        pins.join("links/uplink"),
        filter.folder().join("control.sock"),
    ] {
        assert_eq!(owner(&path), DAEMON, "{}", path.display());
    }
    let status = filter.json(&["status"]).unwrap();
    assert_eq!(status["adopted"], true, "{status}");
    let blocks = filter.json(&["block", "list"]).unwrap();
    assert_eq!(blocks[0]["target"], "198.51.100.9/32", "what root has kept holds");
    filter.tell(&["block", "add", "198.51.100.10"]).unwrap();
    assert_eq!(attempt(&hospital[Host::Ct], c2, ATTEMPT).unwrap(), Outcome::NoAnswer);
    filter.host().ip(&["link", "del", "port-pump"]).unwrap();
    wait_for_mode(&filter, "port-pump", &["missing"]);
    filter.host().ip(&["link", "add", "port-pump", "type", "veth", "peer", "name", "far-pump"]).unwrap();
    wait_for_mode(&filter, "port-pump", &["native", "generic"]);

    // It is no matter of a reload, and nobody else can become somebody.
    filter.write("config.toml", format!("{config}\n[agent]\nuser = \"games\"\n")).unwrap();
    let refused = filter.ask(&["reload"]).unwrap();
    assert!(refused.errors.contains("`user` in `[agent]` changed"), "{refused:?}");
    filter.stop().unwrap();
    filter.write("config.toml", format!("{config}\n[agent]\nuser = \"nobody-knows\"\n")).unwrap();
    let refused = filter.start().unwrap_err();
    assert!(format!("{refused:#}").contains("no user `nobody-knows` on this host"), "{refused:#}");
    filter.write("config.toml", config).unwrap();
    // Root goes on with what the user has left, and leaves it to the user.
    filter.start().unwrap();
    filter.tell(&["block", "add", "198.51.100.11"]).unwrap();
    assert_eq!(owner(&state.join("blocks.json")), DAEMON);
    assert_eq!(filter.json(&["block", "list"]).unwrap().as_array().unwrap().len(), 3);
    filter.remove().unwrap();
}

#[test]
fn a_start_without_the_rights_says_which_are_missing_and_attaches_to_nothing() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    filter.open_to_everybody().unwrap();
    let somebody = service();
    let without = |left_out: &str| {
        let capabilities = somebody.capabilities.iter().filter(|capability| *capability != left_out);
        Somebody { capabilities: capabilities.cloned().collect(), ..somebody.clone() }
    };
    for left_out in &somebody.capabilities {
        filter.run_as(without(left_out), &[]).unwrap();
        let refused = format!("{:#}", filter.start().unwrap_err());
        assert!(refused.contains(&format!("this process lacks {left_out};")), "{refused}");
        assert!(!PORTS.iter().any(|port| is_judged(&filter, port)));
    }
}

#[test]
fn what_roots_commands_keep_is_the_agents_and_a_trap_in_its_folder_leads_root_nowhere() {
    if !can_run() {
        return;
    }
    let hospital = build();
    let mut filter = Filter::configure(&hospital, &agent()).unwrap();
    filter.open_to_everybody().unwrap();
    filter.run_as(service(), &[]).unwrap();
    let inside = |name: &str| filter.folder().join(name).display().to_string();
    filter.tell(&["bundle", "key", "--no-password", &inside("maker")]).unwrap();
    let config = fs::read_to_string(filter.config()).unwrap();
    // Policy in a folder of root's, as in `/etc`.
    let policy = hospital.folder().join("policy.toml");
    fs::copy(filter.folder().join("policy.toml"), &policy).unwrap();
    let config = config.replace(&inside("policy.toml"), &policy.display().to_string());
    filter.write("config.toml", format!("{config}\n[bundle]\nkey = \"maker.pub\"\n")).unwrap();
    let create = ["bundle", "create", "--out", &inside("x.bundle"), "--key", &inside("maker.key")];
    let apply = ["bundle", "apply", &inside("x.bundle")];
    // Before the first start, and beside an agent.
    let state = filter.folder().join("state");
    let make = |filter: &Filter<'_>| filter.tell(&create).unwrap();
    make(&filter);
    filter.tell(&apply).unwrap();
    filter.start().unwrap();
    make(&filter);
    let applied: Value =
        serde_json::from_str(&filter.tell(&[&apply[..], &["--output", "json"]].concat()).unwrap()).unwrap();
    assert_eq!(applied["agent"]["generation"], 2, "{applied}");
    for name in ["audit.log", "bundle.json", "bundle.lock", "incoming/threats.list"] {
        assert_eq!(owner(&state.join(name)), USER, "{name}");
    }
    assert_eq!(owner(&filter.folder().join("country.mmdb")), USER, "root's before, in the user's folder");
    assert_eq!(owner(&policy), 0, "what root keeps elsewhere stays root's");

    // Whoever has the agent's user has laid a link where root is about to write.
    let secret = hospital.folder().join("secret");
    fs::write(&secret, "of root").unwrap();
    let list = state.join("incoming/threats.list");
    fs::remove_file(&list).unwrap();
    std::os::unix::fs::symlink(&secret, &list).unwrap();
    make(&filter);
    assert!(!filter.ask(&apply).unwrap().status.success());
    assert_eq!(fs::read_to_string(&secret).unwrap(), "of root");
    // Or in place of the folder.
    let roots = hospital.folder().join("roots");
    fs::create_dir(&roots).unwrap();
    fs::remove_dir_all(state.join("incoming")).unwrap();
    std::os::unix::fs::symlink(&roots, state.join("incoming")).unwrap();
    assert!(!filter.ask(&apply).unwrap().status.success());
    assert_eq!(fs::read_dir(&roots).unwrap().count(), 0);
    filter.remove().unwrap();
}
