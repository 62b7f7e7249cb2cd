//! Addresses and ports that no honest packet on a wire has.

use super::Unparsed;
use crate::addr::Address;
use crate::packet::{Packet, protocol};

/// Refuses a packet that was read well and cannot be: from a group, from or to the loopback, to nobody,
/// to its own sender (RFC 1122 §3.2.1.3, RFC 4291 §2.5), or from or to port 0. A UDP sender that wants no
/// answer may have port 0 (RFC 768).
#[inline(always)]
pub(super) fn check(packet: &Packet) -> Result<(), Unparsed> {
    let addresses = are_no_ends(packet.source, packet.destination);
    let ports = packet.has_transport()
        && match packet.protocol {
            protocol::TCP | protocol::SCTP => packet.source_port == 0 || packet.destination_port == 0,
            protocol::UDP => packet.destination_port == 0,
            _ => false,
        };
    if addresses || ports { Err(Unparsed::Malformed) } else { Ok(()) }
}

/// Whether no packet goes from one address to the other.
#[inline(always)]
pub(crate) fn are_no_ends(source: Address, destination: Address) -> bool {
    source.is_multicast()
        || source.is_loopback()
        || destination.is_loopback()
        || destination.is_unspecified()
        || source == destination
}
