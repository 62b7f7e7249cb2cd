//! The short way of what lists and countries refuse: a packet of a device that belongs to no flow, to a far end
//! that is no device.
//!
//! It refuses nothing that the stages would not refuse for the same reason, and gives way to them wherever something
//! else has a say.

use super::again::{Head, Settled, is_served};
use crate::addr::Address;
use crate::device::Port;
use crate::lease;
use crate::parse::{ethernet, impossible};
use crate::policy::Mode;
use crate::reader::{Glance, Header};
use crate::tables::Tables;
use crate::verdict::Reason;

/// What a frame says that [`again`](super::again) has looked at and found no flow for.
struct Sent {
    /// As a number of 48 bits.
    mac: u64,
    vlan: u16,
    source: Address,
    destination: Address,
    ports: [u16; 2],
}

/// Whether the frame is refused, or its far end is known to be clean; `absent` where the stages are to say so.
#[inline(always)]
pub fn refused<R: Glance + ?Sized, T: Tables>(
    frame: &R,
    tables: &T,
    absent: Settled,
    port: impl FnOnce(u16) -> Port,
) -> Settled {
    let Some(head) = Head::read(frame) else { return absent };
    if port(head.vlan) as u8 != Port::Device as u8 {
        return absent;
    }
    let sent = match (head.ethertype, head.is_tagged) {
        (ethernet::IPV4, false) => ipv4(frame, 14, &head),
        (ethernet::IPV4, true) => ipv4(frame, 18, &head),
        (ethernet::IPV6, false) => ipv6(frame, 14, &head),
        (ethernet::IPV6, true) => ipv6(frame, 18, &head),
        _ => None,
    };
    match sent {
        Some(sent) => judge(&sent, tables, absent),
        None => absent,
    }
}

#[inline(always)]
fn ipv4<R: Glance + ?Sized>(frame: &R, start: u32, head: &Head) -> Option<Sent> {
    let header = frame.header::<24>(start)?;
    Some(Sent {
        mac: head.source,
        vlan: head.vlan,
        source: Address::from_v4(header.u32::<12>().to_be_bytes()),
        destination: Address::from_v4(header.u32::<16>().to_be_bytes()),
        ports: [header.u16::<20>(), header.u16::<22>()],
    })
}

#[inline(always)]
fn ipv6<R: Glance + ?Sized>(frame: &R, start: u32, head: &Head) -> Option<Sent> {
    let header = frame.header::<44>(start)?;
    Some(Sent {
        mac: head.source,
        vlan: head.vlan,
        source: Address::from_words([header.u64::<8>(), header.u64::<16>()]),
        destination: Address::from_words([header.u64::<24>(), header.u64::<32>()]),
        ports: [header.u16::<40>(), header.u16::<42>()],
    })
}

#[cfg_attr(target_arch = "bpf", inline(never))]
fn judge<T: Tables>(sent: &Sent, tables: &T, absent: Settled) -> Settled {
    let Sent { mac, vlan, source, destination, ports } = *sent;
    let settings = tables.settings();
    let is_plain = settings.has_management == 0
        && !ports.contains(&0)
        && !is_served(ports)
        && !impossible::are_no_ends(source, destination)
        && !destination.is_link_local()
        && !destination.is_multicast();
    if !is_plain {
        return absent;
    }
    let number = tables.device_by_address(source).unwrap_or(0);
    let device = tables.device(number).unwrap_or_default();
    let is_itself = number != 0 && mac != 0 && device.mac.number() == mac && device.is_in(vlan);
    let is_judged = matches!(device.mode, mode if mode == Mode::Learn as u8
        || mode == Mode::Monitor as u8
        || mode == Mode::Enforce as u8);
    let is_ordinary = !tables.exception(number).is_some() && !tables.exception(0).is_some();
    if !is_itself || !is_judged || !is_ordinary || tables.device_by_address(destination).is_some() {
        return absent;
    }
    if settings.has_dhcp != 0 && !lease::is_never_leased(destination, tables) {
        return absent;
    }
    let Some(profile) = tables.profile(device.profile) else { return absent };
    if profile.is_set == 0 || profile.open_on_agent_loss != 0 || profile.reset != 0 {
        return absent;
    }
    let listing = tables.listing(destination);
    let reason = if listing.blocks(profile.block_score) {
        Reason::Blocklist
    } else if profile.has_geo != 0
        && destination.has_country()
        && profile.geo.denies(tables.country(destination))
    {
        Reason::Geo
    } else {
        return Settled::CLEAN;
    };
    if settings.has_protected != 0 && tables.is_protected(number, destination) {
        return absent;
    }
    Settled::refused(number, reason)
}
