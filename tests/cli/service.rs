//! What is installed beside the program, looked at by the tools of systemd; no systemd has to run for it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;

use iomt_filter::config::Config;
use iomt_filter::diagnostic::SourceFile;
use iomt_filter::privileges::NEEDED;
use iomt_filter_tests::readme::{any_commands_of, blocks_of, root};
use tempfile::TempDir;

use crate::program;

/// What `systemd-analyze security` may say at most, in tenths: 0 is the least exposed, 100 the most. What is left is
/// network access, `bpf(2)`, and the three capabilities that the agent gives up once it has started.
const MOST_EXPOSED: &str = "20";

fn packaged(name: &str) -> String {
    fs::read_to_string(root().join("packaging").join(name)).unwrap()
}

/// The unit, for the program that is tested; every other path is as it is installed.
fn unit(folder: &TempDir) -> String {
    let path = folder.path().join("iomt-filter.service");
    let text = packaged("iomt-filter.service")
        .replace("/usr/bin/iomt-filter", program::command().get_program().to_str().unwrap());
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[test]
fn systemd_has_nothing_to_say_against_the_unit() {
    let folder = TempDir::new().unwrap();
    let unit = unit(&folder);
    assert_eq!(run("systemd-analyze", &["verify", "--man=no", &unit]), (true, String::new()));
    // That it would: it only warns of what it does not know.
    let wrong = folder.path().join("wrong.service").display().to_string();
    fs::write(&wrong, fs::read_to_string(&unit).unwrap().replace("WatchdogSec=", "WatchDog=")).unwrap();
    assert!(run("systemd-analyze", &["verify", "--man=no", &wrong]).1.contains("Unknown key"));
}

#[test]
fn the_unit_is_as_little_exposed_as_it_can_be() {
    let folder = TempDir::new().unwrap();
    let threshold = format!("--threshold={MOST_EXPOSED}");
    let (is_below, said) =
        run("systemd-analyze", &["security", "--offline=true", "--no-pager", &threshold, &unit(&folder)]);
    assert!(is_below, "{said}");
}

#[test]
fn the_unit_gives_what_loading_takes_and_nothing_in_it_ends_filtering() {
    let unit = packaged("iomt-filter.service");
    let of = |key: &str| -> Vec<&str> { unit.lines().filter_map(|line| line.strip_prefix(key)).collect() };
    let mut needed = NEEDED.map(|capability| capability.to_string());
    needed.sort();
    for key in ["AmbientCapabilities=", "CapabilityBoundingSet="] {
        let mut given: Vec<&str> = of(key)[0].split(' ').collect();
        given.sort_unstable();
        assert_eq!(given, needed, "{key}");
    }
    for key in ["ExecStop=", "ExecStopPost="] {
        assert!(of(key).is_empty(), "{key}");
    }
    assert!(!unit.lines().any(|line| !line.starts_with('#') && line.contains("detach")));
    assert_eq!((of("Type="), of("Restart=")), (vec!["notify"], vec!["always"]));
}

#[test]
fn user_groups_and_folders_are_made_and_what_root_has_left_goes_to_the_user() {
    let folder = TempDir::new().unwrap();
    let place = |path: &str| folder.path().join(path);
    for (from, to) in [
        ("iomt-filter.sysusers", "usr/lib/sysusers.d/iomt-filter.conf"),
        ("iomt-filter.tmpfiles", "usr/lib/tmpfiles.d/iomt-filter.conf"),
    ] {
        fs::create_dir_all(place(to).parent().unwrap()).unwrap();
        fs::write(place(to), packaged(from)).unwrap();
    }
    let left = ["sys/fs/bpf/iomt-filter/maps", "var/lib/iomt-filter/feeds"];
    for left in left {
        fs::create_dir_all(place(left)).unwrap();
        fs::write(place(left).join("file"), "").unwrap();
    }
    fs::set_permissions(place("sys/fs/bpf"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::create_dir_all(place("etc")).unwrap();
    let at = format!("--root={}", folder.path().display());
    let (is_made, said) = run("systemd-sysusers", &[&at, "iomt-filter.conf"]);
    assert!(is_made, "{said}");
    let passwd = fs::read_to_string(place("etc/passwd")).unwrap();
    let groups = fs::read_to_string(place("etc/group")).unwrap();
    let field = |text: &str, name: &str, field: usize| -> String {
        let line = text.lines().find(|line| line.starts_with(&format!("{name}:"))).unwrap();
        line.split(':').nth(field).unwrap().to_owned()
    };
    let (uid, gid) = (field(&passwd, "iomt-filter", 2), field(&groups, "iomt-filter", 2));
    assert_eq!(field(&passwd, "iomt-filter", 3), gid, "the user's own group");
    assert!(field(&passwd, "iomt-filter", 6).ends_with("/nologin"));
    field(&groups, "iomt-filter-read", 2);

    // Twice: the second time there is nothing to do.
    for _ in 0..2 {
        let (is_made, said) = run("systemd-tmpfiles", &[&at, "--create", "iomt-filter.conf"]);
        assert!(is_made && said.is_empty(), "{said}");
    }
    let about = |path: &Path| {
        let about = fs::metadata(path).unwrap();
        (about.uid().to_string(), about.gid().to_string(), about.permissions().mode() & 0o777)
    };
    let root_user = || "0".to_owned();
    assert_eq!(
        about(&place("sys/fs/bpf")),
        (root_user(), root_user(), 0o711),
        "others pass, and list nothing"
    );
    assert_eq!(about(&place("sys/fs/bpf/iomt-filter")), (uid.clone(), gid.clone(), 0o700));
    assert_eq!(about(&place("etc/iomt-filter")), (root_user(), gid.clone(), 0o750));
    for (left, mode) in left.into_iter().zip([0o700, 0o750]) {
        assert_eq!(about(&place(left)), (uid.clone(), gid.clone(), mode), "{left}");
        let file = place(left).join("file");
        let without_x = mode & 0o640;
        assert_eq!(about(&file), (uid.clone(), gid.clone(), without_x), "{left}: no file becomes executable");
    }
    assert!(run("systemd-sysusers", &[&at, "--dry-run", "iomt-filter.conf"]).0);
}

#[test]
fn every_command_of_the_page_installs_into_a_host() {
    let folder = TempDir::new().unwrap();
    let host = folder.path().display().to_string();
    fs::create_dir_all(folder.path().join("etc")).unwrap();
    fs::create_dir_all(folder.path().join("sys/fs/bpf")).unwrap();
    let commands = any_commands_of("docs/service.md", "install");
    assert!(commands.len() >= 8);
    for words in commands {
        let Some((name, arguments)) = words.split_first() else { continue };
        let mut command = Command::new(name);
        command.current_dir(root());
        if name != "install" {
            // Each of them works on another host's files.
            command.arg(format!("--root={host}"));
        }
        for argument in arguments {
            match argument.as_str() {
                "iomt-filter" if name == "install" => command.arg(program::command().get_program()),
                path if path.starts_with('/') => command.arg(format!("{host}{path}")),
                other => command.arg(other),
            };
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{words:?}: {output:?}");
    }
    let installed = |path: &str| folder.path().join(path);
    let wanted = installed("etc/systemd/system/multi-user.target.wants/iomt-filter.service");
    assert_eq!(fs::read_link(wanted).unwrap(), Path::new("/usr/lib/systemd/system/iomt-filter.service"));
    assert_eq!(fs::metadata(installed("usr/bin/iomt-filter")).unwrap().permissions().mode() & 0o777, 0o755);
    let config = installed("etc/iomt-filter/config.toml").display().to_string();
    let answer = program::run(["check", "--config", &config]);
    assert_eq!(answer.code, 0, "{answer:?}");
}

#[test]
fn what_the_page_configures_can_be_configured() {
    let read = |block: &[String]| {
        let text = format!("[interfaces]\ndevice = [\"eth1\"]\n{}\n", block.join("\n"));
        Config::parse(&SourceFile::new("config.toml", text), Path::new("config.toml"), false).unwrap()
    };
    let blocks = blocks_of("docs/service.md", "toml config");
    let [agent, access] = blocks.as_slice() else { panic!("{blocks:?}") };
    assert_eq!(read(agent).agent.user.as_deref(), Some("iomt-filter"));
    let access = read(access).access;
    assert_eq!(access.read, ["iomt-filter-read"]);
    assert_eq!(access.write, Some(vec!["iomt-filter".to_owned()]), "what holds where nothing is said");
    assert_eq!(read(&[]).access.write, None);
}
