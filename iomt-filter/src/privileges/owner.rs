//! Files in a folder of somebody else's: whoever is root makes them as the one who owns the folder.
//!
//! The state folder belongs to the agent's user. What root's commands make there is that user's too, or the agent could
//! not use it; and a link that somebody has laid there leads root nowhere where that user may not go.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// This thread acts on files as somebody else, until this goes.
struct Acting {
    user: Uid,
    group: Gid,
}

impl Acting {
    fn begin(user: Uid, group: Gid) -> Self {
        // The group first: only root may take another one.
        let group = setfsgid(group);
        Self { user: setfsuid(user), group }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        setfsuid(self.user);
        setfsgid(self.group);
    }
}

/// Does `work` with files as the owner of `folder`, or of the nearest folder above that there is; where a link of a
/// user's is on the way, as that user. Who is not root does it as before.
pub fn as_owner_of<T>(folder: &Path, work: impl FnOnce() -> T) -> T {
    let _acting = owner(folder).map(|(user, group)| Acting::begin(user, group));
    work()
}

/// Whom root is to act as; nobody where that is root.
fn owner(folder: &Path) -> Option<(Uid, Gid)> {
    if !Uid::effective().is_root() {
        return None;
    }
    let (mut owner, mut is_led) = (None, false);
    let mut reached = PathBuf::from("/");
    // Nothing stands for the folder that one is in, of which no path may be known: then nothing can be made in it.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut ahead = names(&std::path::absolute(folder).ok()?);
    let mut links = MOST_LINKS;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            reached.pop();
            continue;
        }
        let next = reached.join(name);
        let Ok(about) = fs::symlink_metadata(&next) else { break };
        let user = Uid::from_raw(about.uid());
        let of_user = (!user.is_root()).then(|| (user, Gid::from_raw(about.gid())));
        if !about.is_symlink() {
            if !is_led {
                owner = of_user;
            }
            reached = next;
            continue;
        }
        // The kernel follows no further either; if it does by then, it is as whoever is known to have led there.
        let Some(left) = links.checked_sub(1) else { break };
        links = left;
        // Wherever a user's link leads, it was this user who led there; and whoever has the folder has put it there.
        if !is_led {
            owner = of_user.or(owner);
            is_led = owner.is_some();
        }
        let Ok(target) = fs::read_link(&next) else { break };
        if target.is_absolute() {
            reached = PathBuf::from("/");
        }
        let mut way = names(&target);
        way.append(&mut ahead);
        ahead = way;
    }
    owner
}

/// Links that the kernel follows in a path (`MAXSYMLINKS` in `include/linux/namei.h`).
const MOST_LINKS: u32 = 40;

/// The steps of a path, without where it begins.
fn names(path: &Path) -> VecDeque<OsString> {
    let is_step = |step: &Component<'_>| matches!(step, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_step).map(|step| step.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, chown, symlink};

    use super::*;

    const USER: u32 = 61_234;

    #[test]
    fn root_makes_what_belongs_to_the_owner_of_the_folder_and_follows_no_link_of_theirs() {
        if !Uid::effective().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, "of root").unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
        let state = folder.path().join("state");
        fs::create_dir(&state).unwrap();
        chown(&state, Some(USER), Some(USER)).unwrap();

        as_owner_of(&state.join("not/there/yet"), || fs::write(state.join("mine"), "x")).unwrap();
        let about = fs::metadata(state.join("mine")).unwrap();
        assert_eq!((about.uid(), about.gid()), (USER, USER));
        symlink(&secret, state.join("trap")).unwrap();
        assert!(as_owner_of(&state, || fs::write(state.join("trap"), "y")).is_err());
        assert_eq!(fs::read_to_string(&secret).unwrap(), "of root");
        // Nor does one in place of a folder, whatever it leads over.
        let roots = folder.path().join("roots");
        fs::create_dir_all(roots.join("below")).unwrap();
        symlink(&roots, state.join("incoming")).unwrap();
        symlink("incoming/below/..", state.join("second")).unwrap();
        for link in ["incoming", "incoming/below", "incoming/not-there", "second"] {
            let into = state.join(link);
            assert_eq!(owner(&into), Some((Uid::from_raw(USER), Gid::from_raw(USER))), "{link}");
            assert!(as_owner_of(&into, || fs::write(into.join("list"), "y")).is_err(), "{link}");
        }
        assert!(!roots.join("list").exists());
        // A link of root's own is followed.
        symlink(&state, folder.path().join("elsewhere")).unwrap();
        let elsewhere = folder.path().join("elsewhere/there");
        assert_eq!(owner(&elsewhere).map(|(user, _)| user), Some(Uid::from_raw(USER)));
        symlink("roots", folder.path().join("own-link")).unwrap();
        assert_eq!(owner(&folder.path().join("own-link")), None);
        // Nor one of so many that no more are followed, and a folder without a name is the one that one is in.
        for link in 0..=MOST_LINKS {
            symlink(format!("chain-{}", link + 1), state.join(format!("chain-{link}"))).unwrap();
        }
        symlink(&roots, state.join(format!("chain-{}", MOST_LINKS + 1))).unwrap();
        assert_eq!(owner(&state.join("chain-0")).map(|(user, _)| user), Some(Uid::from_raw(USER)));
        assert_eq!(owner(Path::new("")), owner(&std::env::current_dir().unwrap()));
        // And it is root again.
        fs::write(folder.path().join("own"), "z").unwrap();
        assert_eq!(fs::metadata(folder.path().join("own")).unwrap().uid(), 0);
        assert_eq!(owner(folder.path()), None, "root's own folder");
    }
}
