//! The end of a cable: takes every IP packet that comes out of it, and knows of those that it could not take.

use std::io::IoSliceMut;
use std::os::fd::{AsRawFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, recvmsg, setsockopt,
    socket, sockopt,
};

use super::lanes::Cable;
use super::number;
use crate::netns::Namespace;

/// Bytes that wait to be read at most: more than all that is ever on its way.
const ROOM: usize = 16 << 20;
/// Longer than any packet that is sent here.
const LONGEST: usize = 256;

/// A socket for one family: one for all would be given what is sent too.
#[derive(Debug)]
pub struct Listener {
    /// Where it listens.
    pub cable: Cable,
    socket: OwnedFd,
    /// Packets that came while there was no room.
    pub overflowed: u32,
}

impl Listener {
    /// Listens to what comes into a namespace, of both families.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pair(inside: &Namespace, cable: Cable) -> Result<[Self; 2]> {
        let open = |protocol| -> Result<Self> {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let opened = inside.inside(|| socket(AddressFamily::Packet, SockType::Raw, flags, protocol))?;
            let socket = opened.context("failed to open a packet socket")?;
            setsockopt(&socket, sockopt::RcvBufForce, &ROOM).context("failed to make room for packets")?;
            setsockopt(&socket, sockopt::RxqOvfl, &1).context("failed to have lost packets counted")?;
            Ok(Self { cable, socket, overflowed: 0 })
        };
        Ok([open(SockProtocol::EthIp)?, open(SockProtocol::EthIpv6)?])
    }

    /// Takes what has come, and hands on lane and number of each packet of ours.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn take(&mut self, mut each: impl FnMut(u16, u32)) -> Result<()> {
        let (mut buffer, mut control) = ([0; LONGEST], cmsg_space!(u32));
        loop {
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let length = match recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
                Ok(message) => {
                    for said in message.cmsgs().context("failed to read what the kernel says of a packet")? {
                        if let ControlMessageOwned::RxqOvfl(all) = said {
                            self.overflowed = all;
                        }
                    }
                    message.bytes
                }
                Err(Errno::EAGAIN) => return Ok(()),
                Err(error) => return Err(error).context("failed to receive a packet"),
            };
            if let Some((lane, number)) = number::read(&buffer[..length]) {
                each(lane, number);
            }
        }
    }
}
