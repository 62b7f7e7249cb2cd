//! Addresses that devices have from DHCP, learned from the exchange as it passes by.
//!
//! A device's request is noted with its transaction; the server's answer that carries the same transaction
//! and the device's hardware address binds what it gives. Servers answer on uplinks only: what a device
//! port says of leases is `rogue-dhcp`. What is learned here counts where the inventory says nothing.

use crate::addr::{Address, Mac};
use crate::device::{Device, Port};
use crate::packet::{Packet, protocol};
use crate::tables::Tables;

const SECOND: u64 = 1_000_000_000;
/// How long an answer is waited for: a client asks anew at the latest after 64 seconds (RFC 2131 §4.1).
const PENDING: u64 = 60 * SECOND;
/// A lease is believed at least and at most this long, whatever the server says.
const SHORTEST: u32 = 60;
const LONGEST: u32 = 30 * 86_400;
/// Families that a device can have a lease of.
pub const FAMILIES: u32 = 2;

/// Whose request, by transaction: 12 bytes, a table key.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKey {
    /// Transaction, as [`Packet::dhcp_transaction`].
    pub transaction: u32,
    /// Hardware address of the client.
    pub mac: Mac,
    /// Padding, zero.
    pub reserved: u16,
}

/// A request for an address: 16 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// When it was sent, in nanoseconds of the program's clock.
    pub asked: u64,
    /// The device that sent it.
    pub device: u32,
    /// Padding, zero.
    pub reserved: u32,
}

/// The address that a device has from DHCP, one for each family: 24 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// When it ends, in nanoseconds of the program's clock.
    pub expires: u64,
    /// The address.
    pub address: Address,
}

/// The place of a device's lease of the family of `address`.
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

/// Notes a client's request on a device port, and what a server gives on an uplink.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn observe<T: Tables>(packet: &Packet, port: Port, now: u64, tables: &T) {
    if packet.dhcp_transaction == 0 || tables.settings().has_dhcp == 0 {
        return;
    }
    let key = RequestKey { transaction: packet.dhcp_transaction, mac: packet.sender_mac, reserved: 0 };
    if port as u8 == Port::Device as u8 {
        let vlan = packet.vlan_id();
        let device = tables.device_by_mac(packet.source_mac, vlan).unwrap_or(0);
        let row = tables.device(device).unwrap_or_default();
        let owner = bound_to(packet.source, now, tables);
        let is_spoofed = owner != 0 && owner != device;
        let is_own = packet.sender_mac == packet.source_mac && row.is_in(vlan) && !is_spoofed;
        if row.has(Device::BY_DHCP) && is_own && packet.lease_seconds == 0 {
            tables.remember_request(&key, &Request { asked: now, device, reserved: 0 });
        }
    } else if packet.lease_seconds != 0
        && let Some(request) = tables.request(&key)
        && now.saturating_sub(request.asked) <= PENDING
    {
        learn(packet, request.device, now, tables);
    }
}

#[inline(always)]
fn learn<T: Tables>(packet: &Packet, device: u32, now: u64, tables: &T) {
    let address = packet.quoted_destination;
    let row = tables.device(device).unwrap_or_default();
    let is_free = tables.device_by_address(address).is_none();
    if !row.has(Device::BY_DHCP) || row.mac != packet.sender_mac || !is_free || !tables.in_segment(address) {
        return;
    }
    let seconds = packet.lease_seconds.clamp(SHORTEST, LONGEST);
    let lease = Lease { expires: now.saturating_add(seconds as u64 * SECOND), address };
    tables.remember_lease(index(device, address), device, &lease);
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
