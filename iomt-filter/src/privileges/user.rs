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
pub struct Folders<'a> {
    /// Folders that are the agent's alone: with whatever is in them.
    pub whole: &'a [&'a Path],
    /// Single files.
    pub files: &'a [&'a Path],
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
pub fn become_user(name: &str, folders: &Folders<'_>) -> Result<(), BecomeError> {
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
    for path in folders.whole {
        give_folder(path, user.uid, user.gid)
            .map_err(|error| BecomeError::Give(path.to_path_buf(), error))?;
    }
    for path in folders.files {
        let given = fchownat(
            nix::fcntl::AT_FDCWD,
            *path,
            Some(user.uid),
            Some(user.gid),
            AtFlags::AT_SYMLINK_NOFOLLOW,
        );
        given.map_err(|error| BecomeError::Give(path.to_path_buf(), error.into()))?;
    }
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

/// Gives a folder with all that is in it. One that is the user's already is left alone: what is in it, only that user
/// has put there, and may be a trap for root.
fn give_folder(path: &Path, user: Uid, group: Gid) -> io::Result<()> {
    let folder = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        folder => folder?,
    };
    if fs::metadata(path)?.uid() == user.as_raw() {
        return Ok(());
    }
    give_content(&folder, user, group)?;
    Ok(fchown(&folder, Some(user), Some(group))?)
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
    use std::os::unix::fs::symlink;

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
        let (user, group) = (Uid::from_raw(61_234), Gid::from_raw(61_235));
        give_folder(&state, user, group).unwrap();
        for path in ["", "feeds", "feeds/deep", "feeds/deep/list", "link"] {
            let about = fs::symlink_metadata(state.join(path)).unwrap();
            assert_eq!((about.uid(), about.gid()), (61_234, 61_235), "{path}");
        }
        assert_eq!(fs::metadata(&other).unwrap().uid(), 0);
        // What lies in the user's own folder may be anything.
        fs::write(state.join("new"), "x").unwrap();
        give_folder(&state, user, group).unwrap();
        assert_eq!(fs::metadata(state.join("new")).unwrap().uid(), 0);
        give_folder(&folder.path().join("none"), user, group).unwrap();
    }

    #[test]
    fn who_is_not_there_is_told() {
        let folders = Folders { whole: &[], files: &[] };
        let error = become_user("no-such-user-here", &folders).unwrap_err();
        assert!(error.to_string().contains("no user `no-such-user-here` on this host"), "{error}");
        if Uid::effective().is_root() {
            assert!(matches!(become_user("root", &folders), Err(BecomeError::Root)));
        }
    }
}
