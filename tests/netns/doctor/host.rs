//! The host: its folders, its disk, its groups, and what the doctor itself may do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use iomt_filter_tests::hospital::program;
use iomt_filter_tests::ward::POLICY;

use super::{LIMIT, Said, Site, doctor, doctor_with};
use crate::can_run;

#[test]
fn pins_without_a_bpf_file_system_are_a_problem() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let filter = site.usual();
    let said = doctor_with(&filter, "mount -t tmpfs none /sys/fs/bpf");
    let mend = said.assert("bpffs", None, "problem", "on no BPF file system");
    assert_eq!((said.code, mend.as_str()), (1, "mount -t bpf bpf /sys/fs/bpf"));
    doctor_with(&filter, &format!("mount -t tmpfs none /sys/fs/bpf\n{mend}")).assert_fit();
    let read_only = doctor_with(&filter, "mount -t bpf -o ro bpf /sys/fs/bpf");
    read_only.assert("bpffs", None, "problem", "may not pin anything");
}

#[test]
fn a_full_disk_is_noticed_before_it_is_needed() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let filter = site.usual();
    let state = filter.folder().join("state");
    fs::create_dir(&state).unwrap();
    let at = state.display();
    let full = format!("mount -t tmpfs -o size=20m,mode=0750 none {at}\nhead -c 19m /dev/zero > {at}/filled");
    let said = doctor_with(&filter, &full);
    assert!(said.assert("disk", None, "problem", "1 MiB free").contains("df -h"));
    assert_eq!(said.code, 1);
    let small = doctor_with(&filter, &format!("mount -t tmpfs -o size=20m,mode=0750 none {at}"));
    small.assert_fit();
    small.assert("disk", None, "warning", "20 MiB free");
    let files = format!("mount -t tmpfs -o size=1g,nr_inodes=50,mode=0750 none {at}");
    doctor_with(&filter, &files).assert("disk", None, "problem", "more files");
}

#[test]
fn a_state_folder_that_others_may_write_to_is_a_problem() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let filter = site.usual();
    let state = filter.folder().join("state");
    fs::create_dir(&state).unwrap();
    let with_mode = |mode| {
        fs::set_permissions(&state, fs::Permissions::from_mode(mode)).unwrap();
        doctor(&filter)
    };
    assert!(with_mode(0o777).assert("state", None, "problem", "mode 0777").starts_with("chmod 0750 "));
    with_mode(0o755).assert("state", None, "warning", "mode 0755");
    with_mode(0o750).assert("state", None, "ok", "belongs to root");
}

#[test]
fn the_group_of_readers_is_looked_for() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let filter = site.usual();
    let file = filter.folder().join("group");
    let look = |groups: &str| {
        fs::write(&file, groups).unwrap();
        doctor_with(&filter, &format!("mount --bind {} /etc/group", file.display()))
    };
    look("root:x:0:\niomt-filter:x:990:\n").assert("group", None, "ok", "");
    let mend = look("root:x:0:\n").assert("group", None, "warning", "root alone");
    assert_eq!(mend, "groupadd --system iomt-filter");
}

#[test]
fn somebody_else_on_the_socket_is_told_from_the_agent() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let filter = site.usual();
    let path = filter.folder().join("control.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    doctor(&filter).assert("socket", None, "problem", "not the agent");
    drop(listener);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "").unwrap();
    let mend = doctor(&filter).assert("socket", None, "problem", "is no socket");
    assert_eq!(mend, format!("rm {}", path.display()));
}

#[test]
fn rights_that_are_missing_are_the_only_thing_that_is_blamed() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let mut filter = site.usual();
    filter.start().unwrap();
    fs::set_permissions(site.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    const NEEDED: &str = "+bpf,+net_admin,+perfmon";
    let nobody = |capabilities: &[&str]| {
        let doctor = filter.command(&["doctor", "--json"]);
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).args(capabilities).arg("--");
        command.arg(doctor.get_program()).args(doctor.get_args());
        Said::of(&program::run(filter.host(), &mut command, LIMIT).unwrap())
    };
    let said = nobody(&[]);
    assert_eq!(said.code, 1);
    said.assert("capabilities", None, "problem", "lacks CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON");
    assert!(!said.all().iter().any(|finding| finding["check"] == "program"), "said once is enough");
    said.assert("xdp", Some("port-ct"), "warning", "whose it is cannot be told");

    let said = nobody(&["--inh-caps", NEEDED, "--ambient-caps", NEEDED]);
    said.assert("capabilities", None, "ok", "");
    said.assert("program", None, "ok", "the kernel takes the filter's program");
    filter.remove().unwrap();
}

#[test]
fn files_that_are_wrong_are_said_and_the_rest_is_looked_at() {
    if !can_run() {
        return;
    }
    let site = Site::build();
    let filter = site.usual();
    filter.write("policy.toml", POLICY.replace("version = 1", "version = 99")).unwrap();
    let said = doctor(&filter);
    let mend = said.assert("configuration", None, "problem", "policy.toml");
    assert_eq!(mend, format!("iomt-filter check --config {}", filter.config().display()));
    said.assert("xdp", Some("uplink"), "ok", "");
    let text = fs::read_to_string(filter.config()).unwrap();
    filter.write("config.toml", text.replace("segments = [", "segments = [\"nonsense\", ")).unwrap();
    let said = doctor(&filter);
    said.assert("configuration", None, "problem", "nonsense");
    said.assert("interface", Some("uplink"), "ok", "");
}
