//! What a driver can do with XDP programs, as the kernel says it since Linux 6.3.

use std::io;

use super::netlink::{Generic, attribute, find, number};

/// What a driver can do with XDP programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Run one that passes, drops and sends back.
    pub native: bool,
    /// Show one a frame in several buffers.
    pub several_buffers: bool,
}

/// `NETDEV_CMD_DEV_GET`, its attributes, and `enum netdev_xdp_act` (`include/uapi/linux/netdev.h`).
const GET: u8 = 1;
const INDEX: u16 = 1;
const FEATURES: u16 = 3;
const BASIC: u64 = 1;
const RX_SG: u64 = 32;

/// Asks for the abilities of drivers.
#[derive(Debug)]
pub(super) struct Drivers(Option<Generic>);

impl Drivers {
    /// Opens what answers; older kernels leave abilities unknown.
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(Generic::open("netdev")?))
    }

    /// Those of the driver of an interface; nothing where they are not known.
    pub(super) fn abilities(&self, interface: u32) -> Option<Abilities> {
        let answer = self.0.as_ref()?.get(GET, &attribute(INDEX, &interface.to_ne_bytes())).ok()?;
        let features = number(find(&answer, FEATURES)?)?;
        Some(Abilities { native: features & BASIC != 0, several_buffers: features & RX_SG != 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_runs_no_program_natively() {
        let drivers = Drivers::open().unwrap();
        // Kernels before 6.3 do not say.
        if let Some(abilities) = drivers.abilities(1) {
            assert_eq!(abilities, Abilities::default());
        }
        assert_eq!(drivers.abilities(1 << 30), None);
    }
}
