//! Step 2: what keeps a link alive passes, what would take it over does not.

use super::side::Side;
use super::{answer, otherwise};
use crate::case::Case;
use crate::device::{self, Claim, Port};
use crate::lease;
use crate::packet::{Fragment, Kind, Packet, protocol};
use crate::policy::Otherwise;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason, Verdict};

/// ICMPv6 types of neighbour discovery (RFC 4861 §4).
const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const REDIRECT: u8 = 137;
/// Anything lower came through a router and is not neighbour discovery (RFC 4861 §6.1).
const HOP_LIMIT: u8 = 255;
/// Longest frame that passes as neighbour discovery: two tags, the headers, and options of 64 bytes.
const LONGEST_DISCOVERY: u32 = 14 + 8 + 40 + 24 + 64;
const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const DHCPV6_SERVER: u16 = 547;
const DHCPV6_CLIENT: u16 = 546;

#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let (packet, port) = (&case.packet, case.port());
    if is_misdirected(packet) {
        return Some(answer(Verdict::Drop, Reason::Malformed, tables));
    }
    match packet.kind() {
        Kind::Link => Some(answer(Verdict::Pass, Reason::Link, tables)),
        Kind::Arp => Some(claimed(device::arp_claim(case, tables), case, tables)),
        Kind::Ipv4 => dhcp(packet, port, [DHCP_SERVER, DHCP_CLIENT], tables),
        Kind::Ipv6 if is_discovery(packet) => neighbour_discovery(case, tables),
        Kind::Ipv6 => dhcp(packet, port, [DHCPV6_SERVER, DHCPV6_CLIENT], tables),
        Kind::Other => Some(answer(Verdict::Drop, Reason::Malformed, tables)),
    }
}

/// Whether a packet goes to one link-local address and everybody's hardware address: only the hardware address
/// would say whose the address is. The last two bytes of IPv4's are the broadcast address of that network.
#[inline(always)]
const fn is_misdirected(packet: &Packet) -> bool {
    let destination = packet.destination;
    packet.destination_mac.is_group()
        && destination.is_link_local()
        && matches!(packet.kind(), Kind::Ipv4 | Kind::Ipv6)
        && !(destination.is_v4() && destination.ends_in_ones())
}

#[inline(always)]
fn claimed<T: Tables>(claim: Claim, case: &Case, tables: &T) -> Decision {
    match claim {
        Claim::Honest => answer(Verdict::Pass, Reason::Link, tables),
        Claim::Spoofed(device) => spoofed_by(device, case, tables),
        Claim::Unknown => {
            let choice = Otherwise::from_number(tables.settings().unknown_device);
            answer(otherwise(choice), Reason::UnknownDevice, tables)
        }
    }
}

#[inline(always)]
fn spoofed_by<T: Tables>(device: u32, case: &Case, tables: &T) -> Decision {
    let side = Side::of(device, case.is_from_device(), case.now, tables);
    if side.is_device() {
        side.soften(Reason::Spoofed, tables.generation())
    } else {
        answer(Verdict::Drop, Reason::Spoofed, tables)
    }
}

#[inline(always)]
const fn is_discovery(packet: &Packet) -> bool {
    packet.protocol == protocol::ICMPV6 && matches!(packet.icmp_type, ROUTER_SOLICITATION..=REDIRECT)
}

/// Neighbour discovery stays on its link: from a device port it passes only to link-local addresses,
/// groups, segments and a device's own network, and not larger than it ever is. What goes further and does not
/// lie is judged like anything else.
#[inline(always)]
fn neighbour_discovery<T: Tables>(case: &Case, tables: &T) -> Option<Decision> {
    let (packet, from_device, now) = (&case.packet, case.is_from_device(), case.now);
    if from_device && matches!(packet.icmp_type, ROUTER_ADVERTISEMENT | REDIRECT) {
        return Some(answer(Verdict::Drop, Reason::RogueRa, tables));
    }
    let is_whole = packet.fragment() as u8 == Fragment::Whole as u8;
    if packet.hop_limit != HOP_LIMIT || !is_whole || packet.icmp_code != 0 {
        return Some(answer(Verdict::Drop, Reason::Malformed, tables));
    }
    let claim = device::neighbour_claim(case, tables);
    if !from_device {
        if packet.icmp_type == ROUTER_ADVERTISEMENT {
            tables.remember_far_host(packet.source, now);
        }
        return Some(claimed(claim, case, tables));
    }
    let near = packet.destination.is_link_local()
        || packet.destination.is_multicast()
        || tables.in_segment(packet.destination)
        || (packet.source.shares_network(packet.destination)
            && lease::bound_to(packet.source, now, tables) != 0);
    let stays = near && packet.length <= LONGEST_DISCOVERY;
    if !stays && matches!(claim, Claim::Honest) {
        return None;
    }
    Some(claimed(claim, case, tables))
}

/// A server's answer goes to a client's port, whatever port it comes from, or from the server's port to a
/// relay's, which is the server's own (RFC 2131 §4.1, RFC 8415 §7.2): never from a device port. Elsewhere it is
/// judged like anything else.
#[inline(always)]
fn dhcp<T: Tables>(packet: &Packet, port: Port, [server, client]: [u16; 2], tables: &T) -> Option<Decision> {
    let answers = packet.protocol == protocol::UDP
        && (packet.destination_port == client
            || (packet.source_port == server && packet.destination_port == server));
    if answers && port as u8 == Port::Device as u8 {
        return Some(answer(Verdict::Drop, Reason::RogueDhcp, tables));
    }
    None
}
