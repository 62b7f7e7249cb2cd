//! The kernel's notices of interfaces (rtnetlink, `RTNLGRP_LINK`): one that comes is judged at once, and not with the next
//! second. Whatever is missed here, the work of every second finds.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

use super::Agent;

/// `RTMGRP_LINK` of `include/uapi/linux/rtnetlink.h`.
const LINKS: u32 = 1;
/// More than the kernel says at once; what a notice says is not looked at.
const BUFFER: usize = 32 << 10;
/// What happens in less than this is looked at together, so that a storm of notices leaves time for changes.
const PAUSE: Duration = Duration::from_millis(5);

/// Notices, in the network namespace of the thread that opened them.
#[derive(Debug)]
pub(super) struct Notices(OwnedFd);

impl Notices {
    /// From here on none is missed.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn open() -> io::Result<Self> {
        let route = SockProtocol::NetlinkRoute;
        let notices = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, route)?;
        bind(notices.as_raw_fd(), &NetlinkAddr::new(0, LINKS))?;
        Ok(Self(notices))
    }

    /// Waits for one, and takes all that are there.
    fn wait(&self, buffer: &mut [u8]) -> io::Result<()> {
        let mut flags = MsgFlags::empty();
        loop {
            match recv(self.0.as_raw_fd(), buffer, flags) {
                // There were too many: that is a notice too.
                Ok(_) | Err(Errno::ENOBUFS) => flags = MsgFlags::MSG_DONTWAIT,
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Looks after interfaces at every notice, until the process ends.
///
/// # Errors
/// When there is no thread for it.
pub(super) fn start(agent: Arc<Agent>, notices: Notices) -> io::Result<()> {
    let watch = move || {
        let mut buffer = vec![0; BUFFER];
        loop {
            if let Err(error) = notices.wait(&mut buffer) {
                return tracing::error!(
                    %error,
                    "the kernel gives no notice of interfaces: they are looked after every second"
                );
            }
            if catch_unwind(AssertUnwindSafe(|| agent.look_after_interfaces())).is_err() {
                tracing::error!("a look at the interfaces broke off; they are looked after every second");
            }
            thread::sleep(PAUSE);
        }
    };
    thread::Builder::new().name("notices".into()).spawn(watch).map(drop)
}
