//! Addresses that devices have from DHCP, learned from the exchange as it passes by.
//!
//! A device's request is noted with its transaction; the server's answer that carries the same transaction
//! and the device's hardware address binds what it gives. Servers answer on uplinks only: what a device
//! port says of leases is `rogue-dhcp`. What is learned here counts where the inventory says nothing.
//!
//! Everything is kept by device, so that none can push out what is known of another.

use crate::abi::MAX_CLIENTS;
use crate::addr::Address;
use crate::device::{Device, Port};
use crate::packet::{Packet, protocol};
use crate::tables::Tables;

const SECOND: u64 = 1_000_000_000;
/// How long an answer is waited for: a client asks anew at the latest after 64 seconds (RFC 2131 §4.1).
const PENDING: u64 = 60 * SECOND;
/// A lease is believed as long as the server says, and at least this long.
const SHORTEST: u32 = 60;
/// Seconds of a lease without an end (RFC 2131 §3.3, RFC 8415 §7.7).
pub const WITHOUT_END: u32 = u32::MAX;
/// Families that a device can have a lease of.
pub const FAMILIES: u32 = 2;
/// Requests that are remembered of a device in a family: a client asks anew with another transaction when it
/// begins from the start.
pub const REQUESTS: u32 = 4;

/// A request for an address: 16 bytes. All zero is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// When it was sent, in nanoseconds of the program's clock.
    pub asked: u64,
    /// Transaction, as [`Packet::dhcp_transaction`].
    pub transaction: u32,
    /// Padding, zero.
    pub reserved: u32,
}

/// The requests of a device in a family: 64 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// In no order.
    pub slots: [Request; REQUESTS as usize],
}

/// The address that a device has from DHCP, one for each family: 24 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// When it ends, in nanoseconds of the program's clock; [`NEVER`](Self::NEVER), or 0 for no lease.
    pub expires: u64,
    /// The address.
    pub address: Address,
}

impl Lease {
    /// In [`expires`](Self::expires): good until another lease replaces it.
    pub const NEVER: u64 = u64::MAX;
}

/// The place of a device's lease and requests of the family of `address`.
#[inline(always)]
pub const fn index(device: u32, address: Address) -> u32 {
    device * FAMILIES + !address.is_v4() as u32
}

/// The device that `address` is bound to, by the inventory or by a lease.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn bound_to<T: Tables>(address: Address, now: u64, tables: &T) -> u32 {
    let device = tables.device_by_address(address).unwrap_or(0);
    if device != 0 || tables.settings().has_dhcp == 0 {
        return device;
    }
    let device = tables.leased_to(address).unwrap_or(0);
    let is_by_dhcp = tables.device(device).unwrap_or_default().has(Device::BY_DHCP);
    let lease = tables.lease(index(device, address));
    // The row of a device that has another address by now is left where it is, and answers for nothing.
    if is_by_dhcp && lease.address == address && now < lease.expires { device } else { 0 }
}

/// Whether an address can be nobody's lease as long as the generation stays: it is in no segment, and nobody has it
/// from a generation of other segments.
#[inline(always)]
pub fn is_never_leased<T: Tables>(address: Address, tables: &T) -> bool {
    !tables.in_segment(address) && (tables.settings().has_dhcp == 0 || tables.leased_to(address).is_none())
}

/// Notes a client's request on a device port, and what a server gives on an uplink.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn observe<T: Tables>(packet: &Packet, port: Port, now: u64, tables: &T) {
    if packet.dhcp_transaction == 0 || tables.settings().has_dhcp == 0 {
        return;
    }
    if port as u8 == Port::Device as u8 {
        note(packet, now, tables);
    } else if packet.lease_seconds != 0 {
        let device = asker(packet, now, tables);
        if device != 0 {
            learn(packet, device, now, tables);
        }
    }
}

/// Notes a request of the device that hardware address and VLAN name: in the place of the same transaction, or of
/// what it asked longest ago.
#[inline(always)]
fn note<T: Tables>(packet: &Packet, now: u64, tables: &T) {
    let vlan = packet.vlan_id();
    let device = tables.device_by_mac(packet.source_mac, vlan).unwrap_or(0);
    let row = tables.device(device).unwrap_or_default();
    let owner = bound_to(packet.source, now, tables);
    let is_spoofed = owner != 0 && owner != device;
    let is_own = packet.sender_mac == packet.source_mac && row.is_in(vlan) && !is_spoofed;
    if !row.has(Device::BY_DHCP) || !is_own || packet.lease_seconds != 0 {
        return;
    }
    let index = index(device, packet.source);
    let (mut place, mut lowest) = (0, u64::MAX);
    for slot in 0..REQUESTS {
        let request = tables.request(index, slot);
        let is_same = request.transaction == packet.dhcp_transaction;
        let rank = if is_same { 0 } else { request.asked.saturating_add(1) };
        if rank < lowest {
            (place, lowest) = (slot, rank);
        }
    }
    let request = Request { asked: now, transaction: packet.dhcp_transaction, reserved: 0 };
    tables.remember_request(index, place, &request);
}

/// The device whose request a server's answer belongs to, 0 for none: of those with the client's hardware address
/// the one that asked last.
#[inline(always)]
fn asker<T: Tables>(packet: &Packet, now: u64, tables: &T) -> u32 {
    let (mut asker, mut latest) = (0, 0);
    for n in 0..MAX_CLIENTS {
        let Some(device) = tables.client(packet.sender_mac, n) else { break };
        let asked = asked(packet, device, now, tables);
        if asked != 0 && asked >= latest {
            (asker, latest) = (device, asked);
        }
    }
    asker
}

/// When a device asked what a server's answer belongs to; 0 where it did not, or too long ago.
#[inline(always)]
fn asked<T: Tables>(packet: &Packet, device: u32, now: u64, tables: &T) -> u64 {
    let index = index(device, packet.source);
    for slot in 0..REQUESTS {
        let request = tables.request(index, slot);
        if request.transaction == packet.dhcp_transaction {
            return if now.saturating_sub(request.asked) <= PENDING { request.asked } else { 0 };
        }
    }
    0
}

/// Believes what a server gives. An address that another device has a lease of is no exception: servers give it to
/// somebody else when it was given back, declined or over, which need not have passed here. The server's last word
/// counts, and the device before has the address no more.
#[inline(always)]
fn learn<T: Tables>(packet: &Packet, device: u32, now: u64, tables: &T) {
    let address = packet.quoted_destination;
    let row = tables.device(device).unwrap_or_default();
    let is_free = tables.device_by_address(address).is_none() && !tables.is_own(address);
    if !row.has(Device::BY_DHCP) || row.mac != packet.sender_mac || !is_free || !tables.in_segment(address) {
        return;
    }
    let expires = match packet.lease_seconds {
        WITHOUT_END => Lease::NEVER,
        seconds => now.saturating_add(seconds.max(SHORTEST) as u64 * SECOND),
    };
    let index = index(device, address);
    let former = tables.lease(index).address;
    if former != address && tables.leased_to(former) == Some(device) {
        tables.forget_leased(former);
    }
    tables.remember_lease(index, &Lease { expires, address });
    if tables.leased_to(address) != Some(device) {
        tables.remember_leased(address, device);
    }
}

/// The device by DHCP that a server's offer goes to before the device has the address: its hardware address
/// says so.
#[inline(always)]
pub fn offered_to<T: Tables>(packet: &Packet, tables: &T) -> u32 {
    let is_offer =
        packet.protocol == protocol::UDP && matches!((packet.source_port, packet.destination_port), (67, 68));
    if !is_offer || tables.settings().has_dhcp == 0 {
        return 0;
    }
    let vlan = packet.vlan_id();
    let device = tables.device_by_mac(packet.destination_mac, vlan).unwrap_or(0);
    let row = tables.device(device).unwrap_or_default();
    if row.has(Device::BY_DHCP) && row.is_in(vlan) { device } else { 0 }
}
