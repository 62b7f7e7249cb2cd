//! Which ends of a packet are ours, and whether they are who they say.

use crate::addr::{Address, Mac};
use crate::packet::Packet;
use crate::tables::Tables;

/// A device as the tables hold it: 12 bytes. All zero is no device.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device {
    /// Hardware address; unset where the device is known by its IP address alone.
    pub mac: Mac,
    /// VLAN that the device must be seen in; 0 for any.
    pub vlan: u16,
    /// Number of its profile, from 1.
    pub profile: u16,
    /// [`Mode`](crate::policy::Mode) as a number; 0 is an empty slot.
    pub mode: u8,
    /// Padding, zero.
    pub reserved: u8,
}

impl Device {
    /// Whether a frame with this hardware address in this VLAN can be the device's.
    #[inline(always)]
    pub fn is_bound_to(&self, mac: Mac, vlan: u16) -> bool {
        (self.mac == Mac::UNSET || self.mac == mac) && (self.vlan == 0 || self.vlan == vlan)
    }
}

/// Where a frame came in.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// A port that faces medical devices; also what an unset port counts as.
    #[default]
    Device = 1,
    /// A port that faces the hospital network.
    Uplink = 2,
}

impl Port {
    /// The role with this number; one that is unset or unknown is judged as a device port.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        if number == Self::Uplink as u32 { Self::Uplink } else { Self::Device }
    }

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Uplink => "uplink",
        }
    }
}

/// The devices at the two ends of a packet, 0 where an end is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// The device that sends.
    pub sender: u32,
    /// The device that is to receive.
    pub receiver: u32,
}

/// The result of identification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// At least one end is a device.
    Known(Ends),
    /// The sender claims what is bound to something else; the device is the one it was recognised by.
    Spoofed(Ends),
    /// Behind a device port or inside a segment, and not in the inventory.
    Unknown,
    /// Neither end is ours.
    NotOurs,
}

/// Finds the devices of an IP packet.
///
/// A sender is believed on a device port only when hardware address, VLAN and IP address belong
/// together. `0.0.0.0`, `::` and link-local IPv6 sources are nobody's binding: there the hardware
/// address alone says who sends (DHCP, duplicate address detection).
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn identify<T: Tables>(packet: &Packet, port: Port, tables: &T) -> Identity {
    let receiver = tables.device_by_address(packet.destination).unwrap_or(0);
    let by_address = tables.device_by_address(packet.source).unwrap_or(0);
    match port {
        Port::Uplink if receiver != 0 => Identity::Known(Ends { sender: by_address, receiver }),
        Port::Uplink if tables.in_segment(packet.destination) => Identity::Unknown,
        Port::Uplink => Identity::NotOurs,
        Port::Device => identify_sender(packet, packet.source_mac, by_address, receiver, tables),
    }
}

/// Whether the sender of an ARP packet claims an address that is bound to something else.
#[inline(always)]
pub fn arp_is_spoofed<T: Tables>(packet: &Packet, tables: &T) -> Option<u32> {
    let device = tables.device_by_address(packet.source)?;
    let bound = tables.device(device).unwrap_or_default();
    let honest = bound.is_bound_to(packet.sender_mac, packet.vlan_id())
        && bound.is_bound_to(packet.source_mac, packet.vlan_id());
    if honest { None } else { Some(device) }
}

#[inline(always)]
fn identify_sender<T: Tables>(
    packet: &Packet,
    mac: Mac,
    by_address: u32,
    receiver: u32,
    tables: &T,
) -> Identity {
    let vlan = packet.vlan_id();
    let sender = match by_address {
        0 => tables.device_by_mac(mac, vlan).unwrap_or(0),
        device => device,
    };
    let device = tables.device(sender).unwrap_or_default();
    if device.mode == 0 {
        return Identity::Unknown;
    }
    let ends = Ends { sender, receiver };
    let addressed = by_address != 0 || may_be_unbound(packet.source);
    if addressed && device.is_bound_to(mac, vlan) { Identity::Known(ends) } else { Identity::Spoofed(ends) }
}

#[inline(always)]
fn may_be_unbound(source: Address) -> bool {
    source.is_unspecified() || (source.is_link_local() && !source.is_v4())
}
