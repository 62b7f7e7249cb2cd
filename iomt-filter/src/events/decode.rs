//! What a frame held, as far as the program read it.
//!
//! A kernel event goes in, the fields of a [`Record`] that are the frame's own come out. A field of a
//! layer that was not reached is null, never zero.

use std::net::{IpAddr, Ipv6Addr};

use iomt_filter_common::device::Port;
use iomt_filter_common::event::Event;
use iomt_filter_common::packet::{Fragment, Kind, protocol};
use iomt_filter_common::{Address, Direction, Packet};

use super::{ArpRecord, FragmentRecord, MacPair, Record, Word, protocol_name, tcp_flags};
use crate::inventory::show_mac;

/// Below this the field is the length of an IEEE 802.3 frame (IEEE 802.3 §3.2.6).
const FIRST_ETHERTYPE: u16 = 0x0600;
const ETHERNET_HEADER: u32 = 14;

/// The record of an event without anything that only this host knows.
pub(super) fn record(event: &Event) -> Record {
    let Event { packet, decision, .. } = event;
    let has_header = packet.length >= ETHERNET_HEADER;
    let ip_version = ip_version(packet);
    let is_ip = ip_version.is_some();
    let ports = has_ports(packet);
    let icmp = packet.has_transport() && !ports;
    Record {
        port: Port::from_number(event.port).name().into(),
        verdict: decision.verdict().name().into(),
        reason: decision
            .reason()
            .map_or_else(|| decision.reason_number().to_string().into(), |r| r.name().into()),
        direction: direction(decision.direction()),
        mac: has_header.then(|| MacPair {
            source: show_mac(packet.source_mac),
            destination: show_mac(packet.destination_mac),
        }),
        vlan: has_header.then(|| packet.vlan.into_iter().take(packet.vlan_count.into()).collect()),
        ip_version,
        source: is_ip.then(|| address(packet, packet.source)),
        destination: is_ip.then(|| address(packet, packet.destination)),
        protocol: is_ip.then(|| protocol_name(packet.protocol)),
        source_port: ports.then_some(packet.source_port),
        destination_port: ports.then_some(packet.destination_port),
        tcp_flags: (ports && packet.protocol == protocol::TCP).then(|| tcp_flags::letters(packet.tcp_flags)),
        fragment: fragment(packet),
        length: packet.length,
        generation: decision.generation,
        count: event.count,
        ethertype: (packet.ethertype >= FIRST_ETHERTYPE).then(|| format!("0x{:04x}", packet.ethertype)),
        arp: arp(packet),
        icmp_type: icmp.then_some(packet.icmp_type),
        icmp_code: icmp.then_some(packet.icmp_code),
        hop_limit: is_ip.then_some(packet.hop_limit),
        ..Record::default()
    }
}

fn ip_version(packet: &Packet) -> Option<u8> {
    match packet.kind() {
        Kind::Ipv4 => Some(4),
        Kind::Ipv6 => Some(6),
        Kind::Other | Kind::Link | Kind::Arp => None,
    }
}

/// An address as its header has it: `::ffff:a.b.c.d` in IPv6 is no address of IPv4, though the tables hold
/// those in that form.
fn address(packet: &Packet, address: Address) -> IpAddr {
    match packet.kind() {
        Kind::Ipv6 => Ipv6Addr::from(address.octets()).into(),
        Kind::Ipv4 | Kind::Arp | Kind::Link | Kind::Other => address.into(),
    }
}

/// What the program keeps of ICMP in the fields of the ports is no port.
fn has_ports(packet: &Packet) -> bool {
    packet.has_transport() && matches!(packet.protocol, protocol::TCP | protocol::UDP | protocol::SCTP)
}

fn direction(direction: Direction) -> Option<Word> {
    match direction {
        Direction::None => None,
        Direction::FromDevice => Some("from-device".into()),
        Direction::ToDevice => Some("to-device".into()),
    }
}

fn fragment(packet: &Packet) -> Option<FragmentRecord> {
    let kind = match packet.fragment() {
        Fragment::Whole => return None,
        Fragment::First => "first",
        Fragment::Later => "later",
    };
    Some(FragmentRecord { kind: kind.into(), id: packet.fragment_id, offset: packet.fragment_offset })
}

fn arp(packet: &Packet) -> Option<ArpRecord> {
    let is_arp = packet.kind() == Kind::Arp;
    is_arp.then(|| ArpRecord {
        sender_mac: show_mac(packet.sender_mac),
        sender: packet.source.into(),
        target: packet.destination.into(),
    })
}
