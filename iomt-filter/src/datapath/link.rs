//! What the kernel says of a pinned link and of an interface: which program is where. Changes nothing.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

/// Where a pinned link puts its program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// There is no such pin.
    Missing,
    /// The interface is gone; the link does nothing any more.
    Gone,
    /// On the interface with this index.
    At(u32),
}

/// `BPF_OBJ_GET` of `enum bpf_cmd` (`include/uapi/linux/bpf.h`).
const OBJ_GET: libc::c_long = 7;
/// `BPF_OBJ_GET_INFO_BY_FD` of the same.
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
/// `BPF_LINK_TYPE_XDP` of `enum bpf_link_type`.
const LINK_TYPE_XDP: u32 = 6;

/// The part of `union bpf_attr` for `BPF_OBJ_GET`.
#[repr(C)]
struct ObjectPath {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// The part of `union bpf_attr` for `BPF_OBJ_GET_INFO_BY_FD`.
#[repr(C)]
struct ObjectInfo {
    descriptor: u32,
    length: u32,
    info: u64,
}

/// The beginning of `struct bpf_link_info`, with what an XDP link says.
#[repr(C)]
#[derive(Default)]
struct LinkInfo {
    kind: u32,
    id: u32,
    program: u32,
    padding: u32,
    interface: u32,
    rest: [u32; 3],
}

/// Where the link pinned at `pin` puts its program.
pub(super) fn look(pin: &Path) -> io::Result<Link> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let attributes = ObjectPath { path: path.as_ptr() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the attributes and the path that they point to outlive the call.
    let opened = unsafe { bpf(OBJ_GET, &attributes) };
    let link = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Link::Missing),
        // SAFETY: the kernel has made this descriptor for us.
        opened => unsafe { OwnedFd::from_raw_fd(opened?) },
    };
    let mut info = LinkInfo::default();
    let attributes = ObjectInfo {
        descriptor: link.as_raw_fd() as u32,
        length: size_of::<LinkInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes into `info`, which outlives the call.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &attributes) }?;
    match info {
        LinkInfo { kind: LINK_TYPE_XDP, interface: 0, .. } => Ok(Link::Gone),
        LinkInfo { kind: LINK_TYPE_XDP, interface, .. } => Ok(Link::At(interface)),
        _ => Err(io::Error::other("this is no link of an XDP program")),
    }
}

/// Calls the kernel.
///
/// # Safety
/// `attributes` is the part of `union bpf_attr` that `command` reads, and what it points to is alive.
unsafe fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    let attributes: *const T = attributes;
    // SAFETY: as the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// Whether an XDP program runs on an interface, attached by whomever.
pub(super) fn has_program(interface: u32) -> io::Result<bool> {
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(5))?;
    send(socket.as_raw_fd(), &question(interface), MsgFlags::empty())?;
    let mut answer = vec![0; 64 << 10];
    let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    answer.truncate(length);
    attached(&answer).ok_or_else(|| io::Error::other("the kernel does not say what runs on the interface"))
}

/// `RTM_GETLINK` for one interface: `struct nlmsghdr` and `struct ifinfomsg`.
fn question(interface: u32) -> [u8; 32] {
    let mut message = [0; 32];
    message[..4].copy_from_slice(&32_u32.to_ne_bytes());
    message[4..6].copy_from_slice(&libc::RTM_GETLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    message[20..24].copy_from_slice(&interface.to_ne_bytes());
    message
}

/// Whether an `RTM_NEWLINK` says that a program is attached; `None` where it is another message.
fn attached(message: &[u8]) -> Option<bool> {
    const ATTACHED: u16 = 2; // IFLA_XDP_ATTACHED
    let kind = u16::from_ne_bytes(message.get(4..6)?.try_into().ok()?);
    if kind != libc::RTM_NEWLINK {
        return None;
    }
    let Some(xdp) = attribute(message.get(32..)?, libc::IFLA_XDP) else { return Some(false) };
    Some(attribute(xdp, ATTACHED).and_then(|value| value.first()).is_some_and(|mode| *mode != 0))
}

/// The value of an attribute among others, each `struct rtattr` with its value, padded to four bytes.
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    const KIND: u16 = 0x3fff; // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
    while let (Some(length), Some(kind)) = (attributes.get(..2), attributes.get(2..4)) {
        let length = usize::from(u16::from_ne_bytes(length.try_into().ok()?));
        let kind = u16::from_ne_bytes(kind.try_into().ok()?) & KIND;
        let value = attributes.get(4..length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (4 + value.len() as u16).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn attributes_are_found_behind_others_and_broken_ones_end_the_search() {
        let mut all = with(3, b"eth0\0");
        all.extend(with(43 | 0x8000, &with(2, &[1])));
        assert_eq!(attribute(attribute(&all, 43).unwrap(), 2), Some(&[1][..]));
        assert_eq!(attribute(&all, 44), None);
        assert_eq!(attribute(&[2, 0, 0, 0, 0, 0, 0, 0], 44), None);
        assert_eq!(attribute(&[200, 0, 0, 0], 44), None);
    }

    #[test]
    fn the_loopback_interface_has_no_program_and_a_pin_that_is_not_there_is_missing() {
        assert!(!has_program(1).unwrap());
        assert!(has_program(1 << 30).is_err());
        assert_eq!(look(Path::new("/nowhere/at-all")).unwrap(), Link::Missing);
    }
}
