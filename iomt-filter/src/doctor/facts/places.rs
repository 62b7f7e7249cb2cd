//! Folders and the socket, as far as they are there: looked at, never made.

use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, Group, User, eaccess};

use crate::config::GROUP;
use crate::datapath::lock;

/// A folder that is to be used, whether it is there or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Folder {
    /// It.
    pub path: PathBuf,
    /// It, or the nearest of the folders above that is there.
    pub nearest: PathBuf,
    /// Whether `nearest` is a folder.
    pub is_folder: bool,
    /// Whether this process may make files in `nearest`.
    pub is_writable: bool,
    /// Whether `nearest` is on a BPF file system.
    pub is_bpf: bool,
    /// The user that `nearest` belongs to, by name where it has one.
    pub owner: String,
    /// Who may do what in `nearest`.
    pub mode: u32,
    /// Bytes and files that there is room for on its file system; nothing where that cannot be told.
    pub room: Option<Room>,
}

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes.
    pub bytes: u64,
    /// Files; nothing where the file system does not count them.
    pub files: Option<u64>,
}

impl Folder {
    /// Whether it is there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path == self.nearest
    }

    pub(super) fn look(path: &Path) -> Self {
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let there = absolute.ancestors().find(|path| fs::symlink_metadata(path).is_ok());
        let nearest = there.unwrap_or(Path::new("/")).to_owned();
        let metadata = fs::metadata(&nearest);
        let owner = metadata.as_ref().map_or(0, |metadata| metadata.uid());
        let name = User::from_uid(owner.into()).ok().flatten().map(|user| user.name);
        Self {
            is_folder: metadata.as_ref().is_ok_and(|metadata| metadata.is_dir()),
            is_writable: eaccess(&nearest, AccessFlags::W_OK | AccessFlags::X_OK).is_ok(),
            is_bpf: statfs(&nearest).is_ok_and(|found| found.filesystem_type() == BPF_FS_MAGIC),
            owner: name.unwrap_or_else(|| owner.to_string()),
            mode: metadata.map_or(0, |metadata| metadata.mode() & 0o7777),
            room: room(&nearest),
            path: absolute,
            nearest,
        }
    }
}

fn room(path: &Path) -> Option<Room> {
    let found = statvfs(path).ok()?;
    let files = (found.files() > 0).then(|| found.files_available());
    Some(Room { bytes: found.blocks_available().saturating_mul(found.fragment_size()), files })
}

/// The control socket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Socket {
    /// Where it is to be.
    pub path: PathBuf,
    /// The folder that it is to be in.
    pub folder: Folder,
    /// What is there.
    pub found: Found,
    /// Whether such a path can be one of a socket.
    pub is_short: bool,
    /// Whether there is the group whose members may read.
    pub has_group: bool,
}

/// What is in the place of the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    #[default]
    Nothing,
    /// Something else.
    Other,
    /// A socket that nobody listens on.
    Left,
    /// The agent that has the state folder listens.
    Ours,
    /// Somebody else listens.
    Anothers,
    /// Whether somebody listens cannot be told.
    Unknown,
}

impl Socket {
    pub(super) fn look(path: &Path, state: &Path) -> Self {
        Self {
            path: path.to_owned(),
            folder: Folder::look(path.parent().unwrap_or(Path::new("/"))),
            found: found(path, state),
            // `sun_path` of `struct sockaddr_un` has 108 bytes, one of them for the end.
            is_short: CString::new(path.as_os_str().as_bytes()).is_ok_and(|path| path.count_bytes() < 108),
            has_group: matches!(Group::from_name(GROUP), Ok(Some(_))),
        }
    }
}

fn found(path: &Path, state: &Path) -> Found {
    match fs::symlink_metadata(path) {
        Err(_) => return Found::Nothing,
        Ok(metadata) if !metadata.file_type().is_socket() => return Found::Other,
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) if is_held(state) => Found::Ours,
        Ok(_) => Found::Anothers,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Found::Left,
        Err(_) => Found::Unknown,
    }
}

/// Whether an agent has this state. Asked only where one listens: while the answer is found out, no other could take
/// it.
fn is_held(state: &Path) -> bool {
    match File::open(state.join(lock::FILE)) {
        Ok(file) => Flock::lock(file, FlockArg::LockSharedNonblock).is_err(),
        // Who may not look must believe it.
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::datapath::WriterToken;

    #[test]
    fn a_folder_that_is_missing_is_looked_at_from_the_nearest_that_is_there() {
        let temporary = tempfile::tempdir().unwrap();
        let found = Folder::look(&temporary.path().join("one/two"));
        assert_eq!((found.exists(), found.nearest.as_path()), (false, temporary.path()));
        assert!(found.is_folder && found.is_writable && !found.is_bpf);
        assert!(found.room.unwrap().bytes > 0);
        assert!(Folder::look(temporary.path()).exists());
        fs::write(temporary.path().join("file"), "").unwrap();
        let under_a_file = Folder::look(&temporary.path().join("file/state"));
        assert!(!under_a_file.is_folder && !under_a_file.exists());
    }

    #[test]
    fn who_listens_is_told_by_who_holds_the_state() {
        let temporary = tempfile::tempdir().unwrap();
        let (path, state) = (temporary.path().join("control.sock"), temporary.path());
        let look = || Socket::look(&path, state).found;
        assert_eq!(look(), Found::Nothing);
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(look(), Found::Anothers);
        let token = WriterToken::take(state).unwrap();
        assert_eq!(look(), Found::Ours);
        drop((listener, token));
        assert_eq!(look(), Found::Left);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert_eq!(look(), Found::Other);
        WriterToken::take(state).unwrap();
        assert!(!Socket::look(&temporary.path().join("x".repeat(120)), state).is_short);
    }
}
