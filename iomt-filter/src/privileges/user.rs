//! Root becomes the user that it was told to run as, with what loading takes and nothing else.
//!
//! What root has made for the agent before goes to that user: folders that are root's, with what is in them.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use caps::securebits;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{Gid, Uid, User, fchown, fchownat, initgroups, setresgid, setresuid};
use thiserror::Error;

use super::{keep_needed, missing};

/// What the user is to have.
#[derive(Debug)]
pub struct Belongings<'a> {
    /// The state folder, with whatever is in it.
    pub state: &'a Path,
    /// The pin folder, with the pins.
    pub pins: &'a Path,
    /// The control socket. Its group stays: it says who may connect.
    pub socket: &'a Path,
}

/// Why the agent does not run as the user that it was told to.
#[derive(Debug, Error)]
pub enum BecomeError {
    /// There is no such user.
    #[error(
        "no user `{0}` on this host; make it: `useradd --system --user-group --shell /usr/sbin/nologin {0}`, or take \
         `user` out of `[agent]`"
    )]
    Unknown(String),
    /// Only root can.
    #[error(
        "`user` in `[agent]` is `{wanted}`, and user {found} may not become another; start the agent as root or as \
         `{wanted}`, or take `user` out"
    )]
    NotRoot {
        /// Who it should be.
        wanted: String,
        /// Who it is.
        found: Uid,
    },
    /// It is root itself.
    #[error("`user` in `[agent]` is root; name another one, or take it out")]
    Root,
    /// Somebody has named a folder that others use too.
    #[error(
        "`{0}` is not the agent's alone ({1}), so that it is not given to its user with all that is in it; name another \
         folder in `[paths]`, or give this one to the user yourself: `chown`"
    )]
    Shared(PathBuf, String),
    /// A file cannot be handed over.
    #[error("failed to give `{0}` to the agent's user")]
    Give(PathBuf, #[source] io::Error),
    /// The kernel refused.
    #[error("failed to become the user `{0}`")]
    Kernel(String, #[source] io::Error),
    /// Root in a container may have less than the agent needs.
    #[error("root lacks {} here, which loading the program takes", .0.join(" and "))]
    Lacks(Vec<String>),
}

/// Becomes the user `name` for good, where that is not who runs already. The calling thread keeps what loading takes,
/// other threads keep nothing.
///
/// # Errors
/// When there is no such user, the caller is neither root nor that user, or the kernel refuses.
pub fn become_user(name: &str, belongings: &Belongings<'_>) -> Result<(), BecomeError> {
    let failed = |error: io::Error| BecomeError::Kernel(name.to_owned(), error);
    let user = User::from_name(name).map_err(|error| failed(error.into()))?;
    let user = user.ok_or_else(|| BecomeError::Unknown(name.to_owned()))?;
    let found = Uid::effective();
    if found == user.uid && !found.is_root() {
        return Ok(());
    }
    if !found.is_root() {
        return Err(BecomeError::NotRoot { wanted: name.to_owned(), found });
    }
    if user.uid.is_root() {
        return Err(BecomeError::Root);
    }
    let Belongings { state, pins, socket } = belongings;
    for (path, others) in [(state, who_reads as fn(&Path) -> _), (pins, is_mounted)] {
        give_folder(path, (user.uid, user.gid), others)?;
    }
    let (here, never_on) = (nix::fcntl::AT_FDCWD, AtFlags::AT_SYMLINK_NOFOLLOW);
    let given = fchownat(here, *socket, Some(user.uid), None, never_on);
    given.map_err(|error| BecomeError::Give(socket.to_path_buf(), error.into()))?;
    let switch = || -> io::Result<()> {
        securebits::set_keepcaps(true).map_err(io::Error::other)?;
        let account = std::ffi::CString::new(user.name.as_str())?;
        initgroups(&account, user.gid)?;
        setresgid(user.gid, user.gid, user.gid)?;
        setresuid(user.uid, user.uid, user.uid)?;
        securebits::set_keepcaps(false).map_err(io::Error::other)?;
        keep_needed()
    };
    switch().map_err(failed)?;
    let missing = missing();
    if missing.is_empty() { Ok(()) } else { Err(BecomeError::Lacks(missing)) }
}

/// Gives a folder with all that is in it, unless `others` knows of somebody who uses it too. One that is the user's
/// already is left alone: what is in it, that user has put there, and may be a trap for root.
fn give_folder(
    path: &Path,
    (user, group): (Uid, Gid),
    others: fn(&Path) -> io::Result<Option<String>>,
) -> Result<(), BecomeError> {
    let failed = |error| BecomeError::Give(path.to_owned(), error);
    let folder = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        folder => folder.map_err(failed)?,
    };
    if fs::metadata(path).map_err(failed)?.uid() == user.as_raw() {
        return Ok(());
    }
    if let Some(others) = others(path).map_err(failed)? {
        return Err(BecomeError::Shared(path.to_owned(), others));
    }
    give_content(&folder, user, group).map_err(failed)?;
    fchown(&folder, Some(user), Some(group)).map_err(|error| failed(error.into()))
}

/// Who may look into a folder: one of the agent's own is made for itself and its group.
fn who_reads(folder: &Path) -> io::Result<Option<String>> {
    let mode = fs::metadata(folder)?.mode() & 0o777;
    Ok((mode & 0o007 != 0).then(|| format!("everybody may use it, by mode {mode:04o}")))
}

/// Whether a pin folder is the BPF file system of everybody.
fn is_mounted(folder: &Path) -> io::Result<Option<String>> {
    let above = fs::metadata(folder.join(".."))?;
    Ok((fs::metadata(folder)?.dev() != above.dev()).then(|| "a file system is mounted there".to_owned()))
}

fn give_content(folder: impl AsFd, user: Uid, group: Gid) -> io::Result<()> {
    let as_folder = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut listing = Dir::from_fd(openat(&folder, ".", as_folder, Mode::empty())?)?;
    for entry in listing.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let about = match fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Err(Errno::ENOENT) => continue,
            about => about?,
        };
        if SFlag::from_bits_truncate(about.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR {
            give_content(openat(&folder, name, as_folder, Mode::empty())?, user, group)?;
        }
        fchownat(&folder, name, Some(user), Some(group), AtFlags::AT_SYMLINK_NOFOLLOW)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_folder_of_roots_is_given_whole_and_what_a_link_leads_to_is_not() {
        if !Uid::effective().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (state, other) = (folder.path().join("state"), folder.path().join("other"));
        fs::create_dir_all(state.join("feeds/deep")).unwrap();
        fs::write(state.join("feeds/deep/list"), "x").unwrap();
        fs::write(&other, "x").unwrap();
        symlink(&other, state.join("link")).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o750)).unwrap();
        let user = (Uid::from_raw(61_234), Gid::from_raw(61_235));
        let give = |path: &Path| give_folder(path, user, who_reads);
        give(&state).unwrap();
        for path in ["", "feeds", "feeds/deep", "feeds/deep/list", "link"] {
            let about = fs::symlink_metadata(state.join(path)).unwrap();
            assert_eq!((about.uid(), about.gid()), (61_234, 61_235), "{path}");
        }
        assert_eq!(fs::metadata(&other).unwrap().uid(), 0);
        // What lies in the user's own folder may be anything.
        fs::write(state.join("new"), "x").unwrap();
        give(&state).unwrap();
        assert_eq!(fs::metadata(state.join("new")).unwrap().uid(), 0);
        give(&folder.path().join("none")).unwrap();
    }

    #[test]
    fn a_folder_that_others_use_is_not_given_away() {
        if !Uid::effective().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let (state, pins) = (folder.path().join("lib"), folder.path().join("pins"));
        for path in [&state, &pins] {
            fs::create_dir(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let user = (Uid::from_raw(61_234), Gid::from_raw(61_235));
        let said = give_folder(&state, user, who_reads).unwrap_err().to_string();
        assert!(said.contains("everybody may use it, by mode 0755"), "{said}");
        let said = give_folder(Path::new("/proc"), user, is_mounted).unwrap_err().to_string();
        assert!(said.contains("a file system is mounted there"), "{said}");
        assert_eq!(fs::metadata(&state).unwrap().uid(), 0);
        give_folder(&pins, user, is_mounted).unwrap();
        assert_eq!(fs::metadata(&pins).unwrap().uid(), 61_234);
    }

    #[test]
    fn who_is_not_there_is_told() {
        let none = Path::new("/nowhere");
        let folders = Belongings { state: none, pins: none, socket: none };
        let error = become_user("no-such-user-here", &folders).unwrap_err();
        assert!(error.to_string().contains("no user `no-such-user-here` on this host"), "{error}");
        if Uid::effective().is_root() {
            assert!(matches!(become_user("root", &folders), Err(BecomeError::Root)));
        }
    }
}
