//! The Debian package on a bare Debian that boots: installed, configured, upgraded under counted traffic, removed and
//! purged. `cargo xtask package --test` makes two packages and names them in `IOMT_FILTER_PACKAGES`.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use iomt_filter_tests::bare::{Debian, Machine};
use iomt_filter_tests::crossing::account::Account;
use iomt_filter_tests::crossing::outcome::Outcome;
use iomt_filter_tests::crossing::{Crossing, PORTS};
use iomt_filter_tests::hospital::filter::pins;
use iomt_filter_tests::readme::{any_commands_of, root};
use serde_json::Value;

use crate::can_run;
use crate::hospital::agent;

/// Rounds that show what holds.
const ROUNDS: u32 = 50;
/// Where the machine finds the packages.
const PACKAGES: [&str; 2] = ["/root/old.deb", "/root/new.deb"];
/// Where the filter's own files are.
const FILES: &str = "/etc/iomt-filter";

/// The packages to test, the older one first.
fn packages() -> Option<[PathBuf; 2]> {
    let Some(both) = std::env::var_os("IOMT_FILTER_PACKAGES") else {
        eprintln!("skipped: `cargo xtask package --test` makes packages and names them");
        return None;
    };
    let both: Vec<_> = std::env::split_paths(&both).collect();
    Some(both.try_into().unwrap())
}

/// A machine with both packages, not installed, in the middle of a crossing.
fn boot(crossing: &Crossing, packages: &[PathBuf; 2]) -> Machine {
    let debian = Debian::made(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let machine = Machine::boot(&debian, crossing.host(), &pins(crossing.name())).unwrap();
    for (package, place) in packages.iter().zip(PACKAGES) {
        fs::copy(package, machine.path(place)).unwrap();
    }
    machine
}

fn crossing() -> Crossing {
    let crossing = Crossing::build(crate::PREFIX).unwrap();
    let inside = pins(crossing.name()).join("iomt-filter");
    crossing.with_pins(inside)
}

/// The crossing's own files, with every path as the package has it.
fn files(crossing: &Crossing) -> Vec<(&'static str, Vec<u8>)> {
    // It goes, with its pins, before a machine has them.
    let filter = crossing.filter(&agent()).unwrap();
    let folder = filter.folder().display().to_string();
    let names = ["config.toml", "policy.toml", "devices.toml", "threats.txt", "country.mmdb"];
    let mut files = names.map(|name| (name, fs::read(filter.folder().join(name)).unwrap()));
    let config = String::from_utf8(files[0].1.clone()).unwrap();
    let paths = config.find("[paths]").unwrap()..config.find("[geo]").unwrap();
    files[0].1 = config.replace(&config[paths], "").replace(&folder, FILES).into_bytes();
    files.into()
}

fn state(machine: &Machine) -> String {
    let output = machine.output(&["systemctl", "is-active", "iomt-filter"]).unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn installs(machine: &Machine, package: &str) -> String {
    machine.tell(&["dpkg", "--install", package]).unwrap()
}

/// What a command says that must fail.
fn refused(machine: &Machine, command: &[&str]) -> String {
    let output = machine.output(command).unwrap();
    assert!(!output.status.success(), "{command:?}: {output:?}");
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

fn status(machine: &Machine) -> Value {
    let said = machine.tell(&["iomt-filter", "status", "--output", "json"]).unwrap();
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
}

#[test]
fn a_package_installs_is_quiet_until_configured_upgrades_without_a_gap_and_goes_when_filtering_has_ended() {
    let Some(packages) = packages() else { return };
    if !can_run() {
        return;
    }
    let crossing = crossing();
    let files = files(&crossing);
    let machine = boot(&crossing, &packages);
    let before = machine.files().unwrap();

    // Installed and enabled, it judges nothing, and nothing has failed.
    let said = installs(&machine, PACKAGES[0]);
    assert!(said.contains("nothing is judged yet"), "{said}");
    assert_eq!(state(&machine), "inactive");
    assert_eq!(machine.tell(&["systemctl", "is-enabled", "iomt-filter"]).unwrap().trim(), "enabled");
    assert_eq!(machine.tell(&["systemctl", "--failed", "--no-legend"]).unwrap(), "");
    assert_eq!(fs::read_dir(machine.path(FILES)).unwrap().count(), 0, "nobody has written a policy yet");
    assert_eq!(machine.tell(&["dpkg", "--verify", "iomt-filter"]).unwrap(), "");
    let about = fs::metadata(machine.path(FILES)).unwrap();
    assert_eq!((about.uid(), about.permissions().mode() & 0o777), (0, 0o750));
    for name in installed_files() {
        assert!(machine.path(&name).is_file(), "there is no {name}");
    }
    let pages = fs::read_dir(machine.path("/usr/share/man/man1")).unwrap().count();
    assert!(pages > 40, "{pages} manual pages");
    // Removed without having judged, it asks nothing.
    machine.tell(&["dpkg", "--remove", "iomt-filter"]).unwrap();
    installs(&machine, PACKAGES[0]);

    let commands = any_commands_of("docs/service.md", "configure");
    assert!(commands.len() > 3);
    for command in commands {
        machine.tell(&command.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
    }
    fs::remove_file(machine.path(FILES).join("devices.csv")).unwrap();
    for (name, bytes) in files {
        fs::write(machine.path(FILES).join(name), bytes).unwrap();
    }
    machine.tell(&["systemctl", "start", "iomt-filter"]).unwrap();
    let running = status(&machine);
    assert_eq!(running["privileges"]["user"], "iomt-filter", "{running}");
    assert_eq!(running["privileges"]["capabilities"], Value::Array(Vec::new()), "{running}");
    let written = fs::read(machine.path(FILES).join("policy.toml")).unwrap();

    // From here on every packet is counted.
    let (traffic, counted) = crossing.traffic().unwrap();
    traffic.go_on(ROUNDS).unwrap();
    for (package, what) in
        [(PACKAGES[1], "an upgrade"), (PACKAGES[0], "the way back"), (PACKAGES[1], "another")]
    {
        let programs = crossing.programs().unwrap();
        traffic.note(what);
        let said = installs(&machine, package);
        assert!(!said.contains("iomt-filter: "), "{said}");
        assert_eq!(state(&machine), "active", "{what}");
        assert_eq!(status(&machine)["adopted"], true, "{what}");
        let replaced = crossing.programs().unwrap();
        assert!(
            programs.iter().all(|program| !replaced.contains(program)),
            "{what}: {programs:?}, {replaced:?}"
        );
        traffic.go_on(ROUNDS).unwrap();
    }
    assert_eq!(fs::read(machine.path(FILES).join("policy.toml")).unwrap(), written);

    // It does not go from under a filter that judges, whether an agent runs or not, and neither stops anything.
    traffic.note("a removal");
    let said = refused(&machine, &["dpkg", "--remove", "iomt-filter"]);
    for port in PORTS {
        assert!(said.contains(&format!("`{port}`")), "{said}");
    }
    assert!(said.contains("iomt-filter detach"), "{said}");
    assert_eq!(state(&machine), "active");
    traffic.go_on(ROUNDS).unwrap();
    traffic.note("a purge without an agent");
    machine.tell(&["systemctl", "stop", "iomt-filter"]).unwrap();
    refused(&machine, &["dpkg", "--purge", "iomt-filter"]);
    assert_eq!(state(&machine), "inactive", "whoever has stopped it wants it stopped");
    // An upgrade neither: the agent that was stopped stays so, and says so.
    let said = installs(&machine, PACKAGES[1]);
    assert!(said.contains("the agent does not run"), "{said}");
    assert_eq!(state(&machine), "inactive");
    traffic.go_on(ROUNDS).unwrap();
    let run = traffic.finish().unwrap();
    let account = Account::settled(&crossing, &counted, run.tally.sent()).unwrap();
    let outcome = Outcome::of(&run, crossing.lanes(), account);
    eprintln!("{outcome}");
    assert!(outcome.is_clean(), "{outcome}");

    // As the page says it.
    for command in any_commands_of("docs/service.md", "remove") {
        let mut words: Vec<_> = command.iter().map(String::as_str).collect();
        match words.as_slice() {
            // Here nobody can be asked, and nothing can be fetched.
            ["iomt-filter", "detach"] => words.push("--yes"),
            ["apt-get", verb, name] => {
                words = vec!["dpkg", if *verb == "purge" { "--purge" } else { "--remove" }, name]
            }
            _ => {}
        }
        machine.tell(&words).unwrap();
        if words.contains(&"--remove") {
            let kept = ["/etc/iomt-filter/policy.toml", "/var/lib/iomt-filter/audit.log"];
            assert!(kept.iter().all(|path| machine.path(path).is_file()), "a removal keeps files and state");
            assert!(!machine.path("/usr/bin/iomt-filter").exists());
        }
    }
    assert!(!machine.path("/usr/bin/iomt-filter").exists());
    assert!(!crossing.pins().exists());
    let after = machine.files().unwrap();
    let left: Vec<_> = after.into_iter().filter(|path| before.binary_search(path).is_err()).collect();
    let left: Vec<_> = left.iter().filter(|path| !is_anybodys(path)).collect();
    // What is not the package's own by its name stays, and is said.
    assert_eq!(left, ["/etc/iomt-filter", "/etc/iomt-filter/country.mmdb", "/etc/iomt-filter/threats.txt"]);
    let users = fs::read_to_string(machine.path("/etc/passwd")).unwrap();
    assert!(users.contains("\niomt-filter:"), "the user stays, so that nobody else gets its number");
    assert_eq!(machine.tell(&["systemctl", "--failed", "--no-legend"]).unwrap(), "");
}

/// What other programs write of themselves, whatever is installed.
fn is_anybodys(path: &str) -> bool {
    let places =
        ["/var/log/", "/var/cache/", "/var/lib/dpkg/", "/var/lib/systemd/", "/etc/.pwd.lock", "/var/tmp"];
    let is_copy_of_users = path.starts_with("/etc/") && path.ends_with('-');
    !path.contains("iomt-filter") && (places.iter().any(|place| path.starts_with(place)) || is_copy_of_users)
}

/// Where the files of `packaging/` and the rest have to be.
fn installed_files() -> Vec<String> {
    let mut files: Vec<_> = [
        "/usr/bin/iomt-filter",
        "/usr/lib/systemd/system/iomt-filter.service",
        "/usr/lib/sysusers.d/iomt-filter.conf",
        "/usr/lib/tmpfiles.d/iomt-filter.conf",
        "/usr/share/man/man1/iomt-filter.1.gz",
        "/usr/share/man/man1/iomt-filter-block-add.1.gz",
        "/usr/share/bash-completion/completions/iomt-filter",
        "/usr/share/zsh/vendor-completions/_iomt-filter",
        "/usr/share/fish/vendor_completions.d/iomt-filter.fish",
        "/usr/share/iomt-filter/grafana/iomt-filter.json",
        "/usr/share/iomt-filter/prometheus/iomt-filter.rules.yml",
        "/usr/share/iomt-filter/iomt-filter.cdx.json",
        "/usr/share/iomt-filter/iomt-filter-ebpf.cdx.json",
        "/usr/share/doc/iomt-filter/copyright",
        "/usr/share/doc/iomt-filter/changelog.Debian.gz",
        "/usr/share/doc/iomt-filter/README.md",
    ]
    .map(str::to_owned)
    .into();
    for (from, to) in [("docs", "doc/iomt-filter/docs"), ("packaging/profiles", "iomt-filter/profiles")] {
        let names = fs::read_dir(root().join(from)).into_iter().flatten().flatten();
        files.extend(names.map(|name| format!("/usr/share/{to}/{}", name.file_name().to_string_lossy())));
    }
    files
}
