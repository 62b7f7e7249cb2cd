//! Files in a folder of somebody else's: whoever is root makes them as the one who owns the folder.
//!
//! The state folder belongs to the agent's user. What root's commands make there is that user's too, or the agent could
//! not use it; and a link that somebody has laid there leads root nowhere where that user may not go.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

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

/// Does `work` with files as the owner of `folder`, or of the nearest folder above that there is. Who is not root does
/// it as before.
pub fn as_owner_of<T>(folder: &Path, work: impl FnOnce() -> T) -> T {
    let _acting = owner(folder).map(|(user, group)| Acting::begin(user, group));
    work()
}

/// Whom root is to act as; nobody where that is root.
fn owner(folder: &Path) -> Option<(Uid, Gid)> {
    if !Uid::effective().is_root() {
        return None;
    }
    let about = folder.ancestors().find_map(|folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::metadata(folder).ok()
    })?;
    let user = Uid::from_raw(about.uid());
    (!user.is_root()).then(|| (user, Gid::from_raw(about.gid())))
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
        // And it is root again.
        fs::write(folder.path().join("own"), "z").unwrap();
        assert_eq!(fs::metadata(folder.path().join("own")).unwrap().uid(), 0);
        assert_eq!(owner(folder.path()), None, "root's own folder");
    }
}
