//! Two questions that the kernel answers in memory of ours alone: who drives an interface, and whether somebody
//! keeps the clock.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

/// `ETHTOOL_GDRVINFO` (`include/uapi/linux/ethtool.h`).
const GET_DRIVER: u32 = 3;

/// `struct ethtool_drvinfo`, of which only the driver's name is of interest.
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

/// The driver of an interface.
pub(super) fn driver(interface: &str) -> io::Result<String> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut info = DriverInfo { command: GET_DRIVER, driver: [0; 32], rest: [0; 160] };
    let mut name = [0; libc::IFNAMSIZ];
    for (place, byte) in name.iter_mut().zip(interface.bytes().take(libc::IFNAMSIZ - 1)) {
        *place = byte as libc::c_char;
    }
    let request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut info).cast() },
    };
    // SAFETY: the kernel writes a `struct ethtool_drvinfo` to where the request points, and `info` is as large.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw const request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let name = CStr::from_bytes_until_nul(&info.driver).unwrap_or_default();
    Ok(name.to_string_lossy().into_owned())
}

/// Whether somebody keeps the clock by another one.
pub(super) fn is_clock_kept() -> io::Result<bool> {
    // SAFETY: all zero is a `struct timex`, and one that asks for no change.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel fills the state, which outlives the call.
    if unsafe { libc::adjtimex(&raw mut state) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(state.status & libc::STA_UNSYNC == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_the_kernels() {
        assert_eq!(size_of::<DriverInfo>(), 196);
    }

    #[test]
    fn the_kernel_answers() {
        is_clock_kept().unwrap();
        // The loopback interface has no driver that would name itself.
        assert!(driver("lo").is_err());
        assert_eq!(driver("no-such-port").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
