//! Which ends of a packet are ours, and whether they are who they say.

use crate::addr::{Address, Mac};
use crate::case::Case;
use crate::decide::side::Side;
use crate::lease;
use crate::packet::{Kind, Packet};
use crate::parse::quoted;
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
    /// [`FAIL_OPEN`](Self::FAIL_OPEN), [`HAS_GRANTS`](Self::HAS_GRANTS), [`BY_DHCP`](Self::BY_DHCP).
    pub flags: u8,
}

impl Device {
    /// It passes where its policy cannot be evaluated.
    pub const FAIL_OPEN: u8 = 1;
    /// At least one grant is its own.
    pub const HAS_GRANTS: u8 = 2;
    /// It has addresses from DHCP.
    pub const BY_DHCP: u8 = 4;

    /// Whether a flag is set.
    #[inline(always)]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether the device may be seen in this VLAN.
    #[inline(always)]
    pub(crate) const fn is_in(&self, vlan: u16) -> bool {
        self.vlan == 0 || self.vlan == vlan
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
    /// The sender claims what is bound to something else; the device is the one to blame.
    Spoofed(Ends),
    /// Behind a device port or inside a segment, and not in the inventory; the receiver may be a device.
    Unknown(Ends),
    /// Neither end is ours.
    NotOurs,
}

/// Finds the devices of an IP packet.
///
/// A sender is believed on a device port only when hardware address, VLAN and IP address belong
/// together. `0.0.0.0`, `::` and link-local IPv6 sources are nobody's binding: there the hardware
/// address alone says who sends (DHCP, duplicate address detection).
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn identify<T: Tables>(packet: &Packet, port: Port, now: u64, tables: &T) -> Identity {
    let receiver = receiver_of(packet, port, now, tables);
    let by_address = lease::bound_to(packet.source, now, tables);
    match port {
        Port::Uplink if receiver != 0 => Identity::Known(Ends { sender: by_address, receiver }),
        Port::Uplink if tables.in_segment(packet.destination) => Identity::Unknown(Ends::default()),
        Port::Uplink => Identity::NotOurs,
        Port::Device => identify_sender(packet, by_address, receiver, now, tables),
    }
}

/// The device that a packet goes to. What a DHCP server gives is its client's, whoever had the address before; no
/// binding covers link-local addresses, which stay on the link: there its hardware address says who it is.
#[inline(always)]
fn receiver_of<T: Tables>(packet: &Packet, port: Port, now: u64, tables: &T) -> u32 {
    let bound = tables.device_by_address(packet.destination).unwrap_or(0);
    if bound != 0 {
        return bound;
    }
    if packet.destination.is_link_local() {
        return tables.device_by_mac(packet.destination_mac, packet.vlan_id()).unwrap_or(0);
    }
    if port as u8 == Port::Uplink as u8 && tables.in_segment(packet.destination) {
        let client = lease::offered_to(packet, tables);
        if client != 0 {
            return client;
        }
    }
    lease::bound_to(packet.destination, now, tables)
}

/// What is wrong with whoever says that an address is at a hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nothing.
    Honest,
    /// It lies; the device to blame, 0 for a stranger.
    Spoofed(u32),
    /// A stranger claims an address that the policy counts on.
    Unknown,
}

/// What an ARP packet claims: its sender's address.
#[inline(always)]
pub fn arp_claim<T: Tables>(case: &Case, tables: &T) -> Claim {
    claim(case, case.packet.source, tables)
}

/// The same for neighbour discovery: it claims its source, and an advertisement its target as well.
#[inline(always)]
pub fn neighbour_claim<T: Tables>(case: &Case, tables: &T) -> Claim {
    const ADVERTISEMENT: u8 = 136;
    let of_source = claim(case, case.packet.source, tables);
    if case.packet.icmp_type != ADVERTISEMENT || !matches!(of_source, Claim::Honest) {
        return of_source;
    }
    claim(case, case.packet.quoted_destination, tables)
}

/// On uplinks, only what is bound to devices is checked. On device ports nobody claims what is a device's, this
/// host's, or a host's on the other side; a device claims nothing but its own; a stranger, who may be a router
/// that devices are behind, anything else that no rule names.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn claim<T: Tables>(case: &Case, claimed: Address, tables: &T) -> Claim {
    let (packet, from_device, now) = (&case.packet, case.is_from_device(), case.now);
    let (vlan, mac) = (packet.vlan_id(), packet.source_mac);
    let said = if says_where(packet) { packet.sender_mac } else { mac };
    if claimed.is_unspecified() {
        return Claim::Honest;
    }
    let number = lease::bound_to(claimed, now, tables);
    if number == 0 {
        if !from_device {
            if packet.kind() as u8 == Kind::Arp as u8 && !tables.is_far_host(claimed) {
                tables.remember_far_host(claimed, now);
            }
            return Claim::Honest;
        }
        let owner = tables.device_by_mac(mac, vlan);
        let is_taken = tables.is_own(claimed) || tables.is_far_host(claimed);
        let is_anybodys = may_be_unbound(claimed) && said == mac;
        return match owner {
            _ if is_anybodys && !is_taken => Claim::Honest,
            Some(owner) => Claim::Spoofed(owner),
            None if is_taken || may_be_unbound(claimed) => Claim::Spoofed(0),
            None if tables.is_named(claimed) => Claim::Unknown,
            None => Claim::Honest,
        };
    }
    let device = tables.device(number).unwrap_or_default();
    // On an uplink the VLAN is another one, and whoever has no hardware address of its own is behind a router.
    let honest = if from_device {
        is_seen_as(number, &device, said, vlan, tables) && is_seen_as(number, &device, mac, vlan, tables)
    } else {
        device.mac == Mac::UNSET || (device.mac == said && device.mac == mac)
    };
    if honest { Claim::Honest } else { Claim::Spoofed(blamed(number, mac, vlan, now, tables)) }
}

/// Whether a packet says at which hardware address its sender is: not a router's.
#[inline(always)]
const fn says_where(packet: &Packet) -> bool {
    packet.kind() as u8 == Kind::Arp as u8 || quoted::is_neighbour(packet.icmp_type)
}

/// Sources that no binding covers, so that only the hardware address says whose they are.
#[inline(always)]
pub fn may_be_unbound(source: Address) -> bool {
    source.is_unspecified() || (source.is_link_local() && !source.is_v4())
}

#[inline(always)]
fn identify_sender<T: Tables>(
    packet: &Packet,
    by_address: u32,
    receiver: u32,
    now: u64,
    tables: &T,
) -> Identity {
    let (mac, vlan) = (packet.source_mac, packet.vlan_id());
    if by_address == 0 {
        let sender = tables.device_by_mac(mac, vlan).unwrap_or(0);
        let ends = Ends { sender, receiver };
        let row = tables.device(sender).unwrap_or_default();
        let is_bound = (may_be_unbound(packet.source) && is_near(packet.destination, tables))
            || asks_for_address(packet, &row);
        return match sender {
            0 => Identity::Unknown(ends),
            _ if row.is_in(vlan) && is_bound => Identity::Known(ends),
            _ => Identity::Spoofed(ends),
        };
    }
    let device = tables.device(by_address).unwrap_or_default();
    if is_seen_as(by_address, &device, mac, vlan, tables) {
        return Identity::Known(Ends { sender: by_address, receiver });
    }
    Identity::Spoofed(Ends { sender: blamed(by_address, mac, vlan, now, tables), receiver })
}

/// What a source that is nobody's may go to: it gets no answer from further away.
#[inline(always)]
fn is_near<T: Tables>(destination: Address, tables: &T) -> bool {
    destination.is_multicast()
        || destination.is_link_local()
        || tables.in_segment(destination)
        || tables.is_own(destination)
}

/// A device by DHCP that renews a lease which was given before anybody looked.
#[inline(always)]
fn asks_for_address(packet: &Packet, device: &Device) -> bool {
    device.has(Device::BY_DHCP)
        && packet.dhcp_transaction != 0
        && packet.lease_seconds == 0
        && packet.sender_mac == packet.source_mac
}

/// Whether the device may be seen with this hardware address in this VLAN. One that has none of its own
/// may be seen with any that is no other device's.
#[inline(always)]
fn is_seen_as<T: Tables>(number: u32, device: &Device, mac: Mac, vlan: u16, tables: &T) -> bool {
    let has_mac = match device.mac {
        Mac::UNSET => tables.device_by_mac(mac, vlan).unwrap_or(number) == number,
        own => own == mac,
    };
    has_mac && device.is_in(vlan)
}

/// Who answers for a frame that `device` did not send: itself, or the owner of the hardware address
/// where that one's mode is stricter, so that nobody gets lenience by borrowing an address.
#[inline(always)]
fn blamed<T: Tables>(number: u32, mac: Mac, vlan: u16, now: u64, tables: &T) -> u32 {
    let other = tables.device_by_mac(mac, vlan).unwrap_or(0);
    if other == 0 {
        return number;
    }
    // As they are now: an owner who is open for a while lends nobody its freedom.
    let (owner, other_side) = (Side::of(number, true, now, tables), Side::of(other, true, now, tables));
    let is_stricter = other_side.mode() as u8 > owner.mode() as u8;
    if is_stricter { other } else { number }
}
