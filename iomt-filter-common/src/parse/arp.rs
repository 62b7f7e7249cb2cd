//! ARP for IPv4 over Ethernet (RFC 826), under either number that hosts take for it.

use super::{Unparsed, u16_at};
use crate::addr::{Address, Mac};
use crate::packet::{Kind, Packet};
use crate::reader::PacketReader;

const ETHERNET: u16 = 1;
/// On Ethernet, Linux believes ARP of IEEE 802 networks like its own (`arp_process` in `net/ipv4/arp.c`).
const IEEE_802: u16 = 6;

#[inline(always)]
pub(super) fn parse<R: PacketReader + ?Sized>(
    frame: &R,
    payload: u32,
    packet: &mut Packet,
) -> Result<(), Unparsed> {
    let arp = frame.read::<28>(payload).ok_or(Unparsed::Malformed)?;
    let is_ethernet = matches!(u16_at(&arp, 0), ETHERNET | IEEE_802);
    let for_ipv4 = u16_at(&arp, 2) == super::ethernet::IPV4;
    if !is_ethernet || !for_ipv4 || arp[4] != 6 || arp[5] != 4 {
        return Err(Unparsed::Malformed);
    }
    packet.set_kind(Kind::Arp);
    packet.sender_mac = Mac([arp[8], arp[9], arp[10], arp[11], arp[12], arp[13]]);
    packet.source = Address::from_v4([arp[14], arp[15], arp[16], arp[17]]);
    packet.destination = Address::from_v4([arp[24], arp[25], arp[26], arp[27]]);
    Ok(())
}
