//! Whether the agent has where to pin, to keep and to listen.

use std::path::Path;

use super::super::facts::pins::Pins;
use super::super::facts::places::{Folder, Found, Room, Socket};
use super::super::finding::{Check, Finding};

/// Room that the agent cannot do without: numbers, blocks, and the log of changes.
const LEAST: u64 = 16 << 20;
/// Room that it can need: who talked to whom, and copies of what feeds listed.
const PLENTY: u64 = 512 << 20;
const FEW_FILES: u64 = 100;

/// The pin folder, and what is in it.
pub(super) fn pins(pins: &Pins) -> Vec<Finding> {
    let mut found = vec![bpffs(&pins.folder)];
    // What cannot be read without the right to is no obstacle by itself.
    if pins.programs.is_ok() {
        found.extend(pins.obstacle.as_ref().map(|why| {
            Finding::problem(Check::Tables, why.clone())
                .mend(format!("iomt-filter detach --pins {}", pins.folder.path.display()))
        }));
    }
    found
}

fn bpffs(folder: &Folder) -> Finding {
    const CHECK: Check = Check::Bpffs;
    const USUAL: &str = "/sys/fs/bpf";
    let (path, nearest) = (folder.path.display(), folder.nearest.display());
    if !folder.is_bpf {
        let mount = if folder.path.starts_with(USUAL) { Path::new(USUAL) } else { &folder.path };
        let found = format!(
            "`{path}` is on no BPF file system: nothing that is pinned there would outlive the agent"
        );
        return Finding::problem(CHECK, found).mend(format!("mount -t bpf bpf {}", mount.display()));
    }
    if !folder.is_writable {
        let found = format!("this process may not pin anything in `{nearest}`, where `{path}` is to be");
        return Finding::problem(CHECK, found).mend(format!("install -d -m 0750 -o USER {path}, by root"));
    }
    Finding::ok(CHECK, format!("`{path}`{}", if folder.exists() { "" } else { " is to be made" }))
}

/// The state folder, and the room in it.
pub(super) fn state(folder: &Folder) -> Vec<Finding> {
    let mut found = vec![keeping(folder)];
    found.extend(folder.room.map(|room| disk(folder, room)));
    found
}

fn keeping(folder: &Folder) -> Finding {
    const CHECK: Check = Check::State;
    let (path, nearest) = (folder.path.display(), folder.nearest.display());
    if !folder.is_folder {
        return Finding::problem(CHECK, format!("`{nearest}` is in the way: it is no folder"))
            .mend(format!("mv {nearest} {nearest}.old"));
    }
    if !folder.is_writable {
        let found = format!("this process may not write into `{nearest}`, which belongs to {}", folder.owner);
        return Finding::problem(CHECK, found).mend(format!("install -d -m 0750 -o USER {path}, by root"));
    }
    if !folder.exists() {
        return Finding::ok(CHECK, format!("`{path}` is to be made"));
    }
    let mode = folder.mode & 0o777;
    let mend = format!("chmod 0750 {path}");
    let said = |who: &str| format!("`{path}` has mode {mode:04o}: {who}");
    match mode {
        mode if mode & 0o002 != 0 => {
            Finding::problem(CHECK, said("everybody may change what is blocked")).mend(mend)
        }
        mode if mode & 0o020 != 0 => {
            Finding::warning(CHECK, said("its group may change what is blocked")).mend(mend)
        }
        mode if mode & 0o007 != 0 => {
            Finding::warning(CHECK, said("everybody may read who talked to whom")).mend(mend)
        }
        mode => Finding::ok(CHECK, format!("`{path}` belongs to {}, mode {mode:04o}", folder.owner)),
    }
}

fn disk(folder: &Folder, room: Room) -> Finding {
    const CHECK: Check = Check::Disk;
    let (path, nearest) = (folder.path.display(), folder.nearest.display());
    let mend = format!(
        "make room on the file system of `{nearest}` (`df -h {nearest}`), or give `paths.state` another"
    );
    let free = mebibytes(room.bytes);
    match (room.bytes, room.files) {
        (_, Some(files)) if files < FEW_FILES => {
            let found = format!("`{path}` has room for {files} more files: nothing can be kept");
            Finding::problem(CHECK, found).mend(format!("{mend}; `df -i {nearest}` counts files"))
        }
        (..LEAST, _) => {
            Finding::problem(CHECK, format!("`{path}` has {free} free: nothing can be kept")).mend(mend)
        }
        (LEAST..PLENTY, _) => {
            let found = format!(
                "`{path}` has {free} free; a full history and copies of large lists take {}",
                mebibytes(PLENTY)
            );
            Finding::warning(CHECK, found).mend(mend)
        }
        _ => Finding::ok(CHECK, format!("`{path}` has {free} free")),
    }
}

fn mebibytes(bytes: u64) -> String {
    match bytes >> 20 {
        mebibytes @ ..10_240 => format!("{mebibytes} MiB"),
        mebibytes => format!("{} GiB", mebibytes >> 10),
    }
}

/// The control socket, and who may read.
pub(super) fn socket(socket: &Socket) -> Vec<Finding> {
    let mut found = vec![listening(socket)];
    found.push(match socket.has_group {
        true => Finding::ok(Check::Group, "members of `iomt-filter` may ask the agent"),
        false => {
            Finding::warning(Check::Group, "there is no group `iomt-filter`: root alone may ask the agent")
                .mend("groupadd --system iomt-filter")
        }
    });
    found
}

fn listening(socket: &Socket) -> Finding {
    const CHECK: Check = Check::Socket;
    let path = socket.path.display();
    let folder = &socket.folder;
    if !socket.is_short {
        return Finding::problem(
            CHECK,
            format!("`{path}` is longer than the 107 bytes that a socket's path may have"),
        )
        .mend("set `socket` in `[paths]` to a shorter one");
    }
    match socket.found {
        Found::Ours => return Finding::ok(CHECK, format!("the agent listens on `{path}`")),
        Found::Anothers => {
            let found = format!("somebody listens on `{path}`, and not the agent that has the state folder");
            return Finding::problem(CHECK, found).mend(format!(
                "stop whoever it is (`ss -xlp src {path}`), or set another `socket` in `[paths]`"
            ));
        }
        Found::Other => {
            return Finding::problem(CHECK, format!("`{path}` exists and is no socket"))
                .mend(format!("rm {path}"));
        }
        Found::Unknown => {
            let found = format!("whether somebody listens on `{path}` cannot be told without the right to");
            return Finding::warning(CHECK, found).mend("run this as root, or in the group `iomt-filter`");
        }
        Found::Left | Found::Nothing => {}
    }
    if !folder.is_folder {
        let found = format!("`{}` is in the way: it is no folder", folder.nearest.display());
        return Finding::problem(CHECK, found).mend(format!("mv {0} {0}.old", folder.nearest.display()));
    }
    if !folder.is_writable {
        let found = format!(
            "this process may not make `{path}`: `{}` belongs to {}",
            folder.nearest.display(),
            folder.owner
        );
        return Finding::problem(CHECK, found)
            .mend(format!("install -d -m 0755 -o USER {}, by root", folder.path.display()));
    }
    match socket.found {
        Found::Left => {
            Finding::ok(CHECK, format!("`{path}` was left by an agent that is gone, and is to be made anew"))
        }
        _ => Finding::ok(CHECK, format!("`{path}` is to be made; no agent listens")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;

    use super::super::super::finding::Level;
    use super::*;

    fn folder(path: &str) -> Folder {
        Folder {
            path: path.into(),
            nearest: path.into(),
            is_folder: true,
            is_writable: true,
            is_bpf: false,
            owner: "root".into(),
            mode: 0o750,
            room: Some(Room { bytes: 10 << 30, files: Some(1 << 20) }),
        }
    }

    fn pinned(folder: Folder) -> Pins {
        Pins { folder, programs: Ok(BTreeMap::new()), strangers: BTreeSet::new(), obstacle: None }
    }

    #[test]
    fn pins_need_a_bpf_file_system_that_can_be_written_to() {
        let bpf = Folder { is_bpf: true, ..folder("/sys/fs/bpf/iomt-filter") };
        assert_eq!(pins(&pinned(bpf.clone()))[0].level, Level::Ok);
        let not_mounted = &pins(&pinned(folder("/sys/fs/bpf/iomt-filter")))[0];
        assert_eq!(not_mounted.level, Level::Problem);
        assert_eq!(not_mounted.mend.as_deref(), Some("mount -t bpf bpf /sys/fs/bpf"));
        let elsewhere = &pins(&pinned(folder("/run/pins")))[0];
        assert_eq!(elsewhere.mend.as_deref(), Some("mount -t bpf bpf /run/pins"));
        assert_eq!(pins(&pinned(Folder { is_writable: false, ..bpf }))[0].level, Level::Problem);
    }

    #[test]
    fn tables_that_cannot_be_taken_over_are_said_with_the_way_out() {
        let bpf = Folder { is_bpf: true, ..folder("/sys/fs/bpf/x") };
        let old = Pins { obstacle: Some("contract version 3".into()), ..pinned(bpf) };
        let found = &pins(&old)[1];
        assert_eq!((found.check, found.level), (Check::Tables, Level::Problem));
        assert_eq!(found.mend.as_deref(), Some("iomt-filter detach --pins /sys/fs/bpf/x"));
        let unreadable = Pins { programs: Err("not permitted".into()), ..old };
        assert_eq!(pins(&unreadable).len(), 1);
    }

    #[test]
    fn state_is_for_its_owner() {
        let with_mode = |mode| state(&Folder { mode, ..folder("/var/lib/x") })[0].clone();
        assert_eq!(with_mode(0o750).level, Level::Ok);
        assert_eq!(with_mode(0o755).level, Level::Warning);
        assert_eq!(with_mode(0o770).level, Level::Warning);
        let open = with_mode(0o777);
        assert_eq!((open.level, open.mend.as_deref()), (Level::Problem, Some("chmod 0750 /var/lib/x")));
    }

    #[test]
    fn state_that_is_missing_is_made_where_that_is_possible() {
        let missing = Folder { nearest: "/var/lib".into(), mode: 0o755, ..folder("/var/lib/x") };
        let found = &state(&missing)[0];
        assert!(found.level == Level::Ok && found.found.contains("is to be made"));
        let shut = &state(&Folder { is_writable: false, ..missing.clone() })[0];
        assert!(shut.level == Level::Problem && shut.mend.as_ref().unwrap().starts_with("install -d"));
        let blocked = &state(&Folder { is_folder: false, ..missing })[0];
        assert!(blocked.level == Level::Problem && blocked.found.contains("no folder"));
    }

    #[test]
    fn a_disk_is_full_before_its_last_byte() {
        let with =
            |bytes, files| state(&Folder { room: Some(Room { bytes, files }), ..folder("/s") })[1].clone();
        assert_eq!(with(10 << 30, Some(1_000_000)).found, "`/s` has 10 GiB free");
        assert_eq!(with(100 << 20, None).level, Level::Warning);
        assert_eq!(with(1 << 20, None).level, Level::Problem);
        let no_files = with(10 << 30, Some(3));
        assert!(no_files.level == Level::Problem && no_files.found.contains("3 more files"));
        assert_eq!(state(&Folder { room: None, ..folder("/s") }).len(), 1);
    }

    fn with(found: Found) -> Socket {
        let path = PathBuf::from("/run/x/control.sock");
        Socket { path, folder: folder("/run/x"), found, is_short: true, has_group: true }
    }

    #[test]
    fn the_socket_is_free_or_the_agents_own() {
        let level = |found| socket(&with(found))[0].level;
        assert_eq!(level(Found::Nothing), Level::Ok);
        assert_eq!(level(Found::Left), Level::Ok);
        assert_eq!(level(Found::Ours), Level::Ok);
        assert_eq!(level(Found::Unknown), Level::Warning);
        assert_eq!(level(Found::Anothers), Level::Problem);
        let other = &socket(&with(Found::Other))[0];
        assert_eq!((other.level, other.mend.as_deref()), (Level::Problem, Some("rm /run/x/control.sock")));
    }

    #[test]
    fn the_socket_needs_a_path_and_a_folder() {
        assert_eq!(socket(&Socket { is_short: false, ..with(Found::Nothing) })[0].level, Level::Problem);
        let shut = Folder { is_writable: false, ..folder("/run/x") };
        assert_eq!(socket(&Socket { folder: shut, ..with(Found::Left) })[0].level, Level::Problem);
        let file = Folder { is_folder: false, ..folder("/run/x") };
        assert_eq!(socket(&Socket { folder: file, ..with(Found::Nothing) })[0].level, Level::Problem);
    }

    #[test]
    fn without_the_group_root_alone_may_ask() {
        let found = &socket(&Socket { has_group: false, ..with(Found::Nothing) })[1];
        assert_eq!((found.check, found.level), (Check::Group, Level::Warning));
        assert_eq!(found.mend.as_deref(), Some("groupadd --system iomt-filter"));
    }
}
