//! Frames as no kernel would send them: tags that this one does not know, and lies.
//!
//! A hand-made frame goes out of an interface unchanged. Nothing is received here.

use std::mem;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd;

use crate::netns::Namespace;
use crate::packet::Frame;

/// An interface to send frames out of.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
}

impl Wire {
    /// Opens an interface of a namespace.
    ///
    /// # Errors
    /// When there is no such interface, or the kernel refuses.
    pub fn open(inside: &Namespace, interface: &str) -> Result<Self> {
        inside.inside(|| {
            let index = if_nametoindex(interface).with_context(|| format!("no interface `{interface}`"))?;
            let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
                .context("failed to open a packet socket")?;
            bind(&socket, index).with_context(|| format!("failed to bind to `{interface}`"))?;
            Ok(Self { socket })
        })?
    }

    /// Sends a frame.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn send(&self, frame: &Frame) -> Result<()> {
        ensure!(self.offer(&frame.bytes())?, "there is no room for a frame");
        Ok(())
    }

    /// Sends a finished frame; `false` where the kernel has no room for it at present, and has lost it.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn offer(&self, frame: &[u8]) -> Result<bool> {
        match unistd::write(&self.socket, frame) {
            Ok(sent) => {
                ensure!(sent == frame.len(), "{sent} bytes of a frame of {} were sent", frame.len());
                Ok(true)
            }
            Err(Errno::ENOBUFS) => Ok(false),
            Err(error) => Err(error).context("failed to send a frame"),
        }
    }
}

/// Protocol 0 in the address: nothing that arrives is for this socket.
fn bind(socket: &OwnedFd, index: u32) -> Result<()> {
    // SAFETY: all of its fields are numbers, and zero is one.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_ifindex = i32::try_from(index).context("no such index")?;
    let length = mem::size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `address` lives through the call, and is `length` bytes long.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    Errno::result(result).map(drop).context("failed to bind a packet socket")
}
