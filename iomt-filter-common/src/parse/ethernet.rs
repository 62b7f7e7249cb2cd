//! Ethernet II and IEEE 802.3 headers, VLAN tags, and which EtherTypes keep a link alive.

use super::{MAX_VLAN_TAGS, Unparsed, u16_at};
use crate::addr::Mac;
use crate::packet::Packet;
use crate::reader::PacketReader;

pub(crate) const IPV4: u16 = 0x0800;
pub(super) const ARP: u16 = 0x0806;
pub(crate) const IPV6: u16 = 0x86dd;

const TAG_8021Q: u16 = 0x8100;
const TAG_8021AD: u16 = 0x88a8;
const TAG_QINQ_LEGACY: u16 = 0x9100;
pub(crate) const VLAN_ID_MASK: u16 = 0x0fff;

const SLOW_PROTOCOLS: u16 = 0x8809;
const EAPOL: u16 = 0x888e;
const LLDP: u16 = 0x88cc;
const PTP: u16 = 0x88f7;
/// Below this the field is the length of an IEEE 802.3 frame (IEEE 802.3 §3.2.6).
const FIRST_ETHERTYPE: u16 = 0x0600;
/// Group address of the spanning tree protocol (IEEE 802.1D §7.12.3).
const STP_GROUP: Mac = Mac([0x01, 0x80, 0xc2, 0, 0, 0]);

/// Reads addresses, tags and EtherType; returns the offset of what follows.
#[inline(always)]
pub(super) fn parse<R: PacketReader + ?Sized>(frame: &R, packet: &mut Packet) -> Result<u32, Unparsed> {
    let header = frame.read::<14>(0).ok_or(Unparsed::Malformed)?;
    packet.destination_mac = Mac([header[0], header[1], header[2], header[3], header[4], header[5]]);
    packet.source_mac = Mac([header[6], header[7], header[8], header[9], header[10], header[11]]);
    packet.ethertype = u16_at(&header, 12);
    let mut offset = 14;
    for index in 0..MAX_VLAN_TAGS {
        if !is_tag(packet.ethertype) {
            return Ok(offset);
        }
        let tag = frame.read::<4>(offset).ok_or(Unparsed::Malformed)?;
        packet.vlan[index] = u16_at(&tag, 0) & VLAN_ID_MASK;
        packet.vlan_count = index as u8 + 1;
        packet.ethertype = u16_at(&tag, 2);
        offset += 4;
    }
    if is_tag(packet.ethertype) { Err(Unparsed::Unsupported) } else { Ok(offset) }
}

/// EAPOL, LLDP, LACP and its marker, PTP over Ethernet, and spanning tree.
#[inline(always)]
pub(super) fn is_link_protocol<R: PacketReader + ?Sized>(frame: &R, payload: u32, packet: &Packet) -> bool {
    match packet.ethertype {
        ethertype if is_link_alone(ethertype) => true,
        // Read with the byte before: the verifier does not follow a check for one byte.
        SLOW_PROTOCOLS => matches!(frame.read::<2>(payload - 1), Some([_, 1 | 2])),
        length if length < FIRST_ETHERTYPE => {
            packet.destination_mac == STP_GROUP && frame.read::<3>(payload) == Some([0x42, 0x42, 0x03])
        }
        _ => false,
    }
}

/// Whether an EtherType alone says that this keeps a link alive.
#[inline(always)]
pub(crate) const fn is_link_alone(ethertype: u16) -> bool {
    matches!(ethertype, EAPOL | LLDP | PTP)
}

/// Whether a tag follows.
#[inline(always)]
pub(crate) const fn is_tag(ethertype: u16) -> bool {
    matches!(ethertype, TAG_8021Q | TAG_8021AD | TAG_QINQ_LEGACY)
}
