//! Who is at the other end of a connection, by the kernel's word, at the moment at which they connected.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};

use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::{Gid, Uid};

/// Supplementary groups that a process has room for (`NGROUPS_MAX` in `include/uapi/linux/limits.h`).
const MOST_GROUPS: usize = 65_536;

/// A process that has connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) user: Uid,
    /// Its group, and those that it has beside that.
    pub(super) groups: Vec<Gid>,
}

impl Credentials {
    /// Those of who connected to a Unix socket.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(super) fn of(socket: impl AsFd) -> io::Result<Self> {
        let peer = getsockopt(&socket, sockopt::PeerCredentials)?;
        let mut groups = vec![Gid::from_raw(peer.gid())];
        groups.extend(more_groups(&socket)?);
        Ok(Self { user: Uid::from_raw(peer.uid()), groups })
    }
}

/// `SO_PEERGROUPS` of `socket(7)`: into a list that is long enough, or the kernel says how long it would have to be.
fn more_groups(socket: impl AsFd) -> io::Result<Vec<Gid>> {
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let room = groups.len() * size_of::<libc::gid_t>();
        let mut length = room as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes, which the list has, and says how many it wrote.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let found = length as usize / size_of::<libc::gid_t>();
        if result == 0 {
            groups.truncate(found);
            return Ok(groups.into_iter().map(Gid::from_raw).collect());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || found <= groups.len() || found > MOST_GROUPS {
            return Err(error);
        }
        groups.resize(found, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::net::UnixStream;
    use std::thread;

    use nix::unistd::{getegid, geteuid, getgroups};

    use super::*;

    fn raw(groups: &[Gid]) -> BTreeSet<u32> {
        groups.iter().map(|group| group.as_raw()).collect()
    }

    #[test]
    fn the_kernel_says_who_is_there_with_every_group() {
        let (one, _other) = UnixStream::pair().unwrap();
        let found = Credentials::of(&one).unwrap();
        let mut expected = raw(&getgroups().unwrap());
        expected.insert(getegid().as_raw());
        assert_eq!((found.user, raw(&found.groups)), (geteuid(), expected));
    }

    #[test]
    fn more_groups_than_fit_at_first_are_asked_for_again() {
        if !geteuid().is_root() {
            return;
        }
        // By the system call, and not by the library, groups are those of one thread.
        let many: Vec<libc::gid_t> = (70_000..70_300).collect();
        let found = thread::spawn(move || {
            // SAFETY: the list has so many groups, and outlives the call.
            let result = unsafe { libc::syscall(libc::SYS_setgroups, many.len(), many.as_ptr()) };
            assert_eq!(result, 0);
            let (one, _other) = UnixStream::pair().unwrap();
            Credentials::of(&one).unwrap()
        });
        let groups = raw(&found.join().unwrap().groups);
        assert!((70_000..70_300).all(|group| groups.contains(&group)), "{}", groups.len());
    }
}
