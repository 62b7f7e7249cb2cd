//! What the kernel says of a pinned link: which program is where; and a second name for one that has lost its pin.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

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

/// `BPF_OBJ_PIN` of `enum bpf_cmd` (`include/uapi/linux/bpf.h`).
const OBJ_PIN: libc::c_long = 6;
/// `BPF_OBJ_GET` of `enum bpf_cmd` (`include/uapi/linux/bpf.h`).
const OBJ_GET: libc::c_long = 7;
/// `BPF_OBJ_GET_INFO_BY_FD` of the same.
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
/// `BPF_LINK_TYPE_XDP` of `enum bpf_link_type`.
const LINK_TYPE_XDP: u32 = 6;

/// The part of `union bpf_attr` for `BPF_OBJ_PIN` and `BPF_OBJ_GET`.
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
    Ok(match info(pin)? {
        None => Link::Missing,
        Some(LinkInfo { interface: 0, .. }) => Link::Gone,
        Some(LinkInfo { interface, .. }) => Link::At(interface),
    })
}

/// The interface of the link pinned at `pin`, and the program on it; nothing where one of them is missing.
pub(super) fn program(pin: &Path) -> io::Result<Option<(u32, u32)>> {
    let info = info(pin)?.filter(|info| info.interface != 0);
    Ok(info.map(|info| (info.interface, info.program)))
}

/// A handle to the link pinned at `pin`, which keeps it whatever becomes of the pin; nothing where there is none.
pub(super) fn open(pin: &Path) -> io::Result<Option<OwnedFd>> {
    let path = path_of(pin)?;
    let mut attributes = ObjectPath { path: path.as_ptr() as u64, descriptor: 0, flags: 0 };
    // SAFETY: the attributes and the path that they point to outlive the call.
    let opened = unsafe { bpf(OBJ_GET, &mut attributes) };
    match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // SAFETY: the kernel has made this descriptor for us.
        opened => Ok(Some(unsafe { OwnedFd::from_raw_fd(opened?) })),
    }
}

/// Where a link puts its program.
pub(super) fn place(link: &OwnedFd) -> io::Result<Link> {
    Ok(match about(link)?.interface {
        0 => Link::Gone,
        interface => Link::At(interface),
    })
}

/// Gives a link a pin.
pub(super) fn pin(link: &OwnedFd, pin: &Path) -> io::Result<()> {
    let path = path_of(pin)?;
    let mut attributes =
        ObjectPath { path: path.as_ptr() as u64, descriptor: link.as_raw_fd() as u32, flags: 0 };
    // SAFETY: the attributes and the path that they point to outlive the call.
    unsafe { bpf(OBJ_PIN, &mut attributes) }.map(drop)
}

/// What the link pinned at `pin` is; nothing where there is no such pin.
fn info(pin: &Path) -> io::Result<Option<LinkInfo>> {
    open(pin)?.map(|link| about(&link)).transpose()
}

/// What a link is.
fn about(link: &OwnedFd) -> io::Result<LinkInfo> {
    let mut info = LinkInfo::default();
    let mut attributes = ObjectInfo {
        descriptor: link.as_raw_fd() as u32,
        length: size_of::<LinkInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: the kernel writes at most `length` bytes into `info`, which outlives the call.
    unsafe { bpf(OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    match info.kind {
        LINK_TYPE_XDP => Ok(info),
        _ => Err(io::Error::other("this is no link of an XDP program")),
    }
}

fn path_of(pin: &Path) -> io::Result<CString> {
    Ok(CString::new(pin.as_os_str().as_bytes())?)
}

/// Calls the kernel.
///
/// # Safety
/// `attributes` is the part of `union bpf_attr` that `command` reads and writes, and what it points to is alive.
pub(super) unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    let attributes: *mut T = attributes;
    // SAFETY: as the caller promises.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_that_is_not_there_is_missing() {
        assert_eq!(look(Path::new("/nowhere/at-all")).unwrap(), Link::Missing);
        assert_eq!(program(Path::new("/nowhere/at-all")).unwrap(), None);
    }
}
