//! Addresses and ports that no honest packet on a wire has.

use super::Unparsed;
use crate::packet::{Packet, protocol};

/// Refuses a packet that was read well and cannot be: from a group, from or to the loopback, to nobody,
/// to its own sender (RFC 1122 §3.2.1.3, RFC 4291 §2.5), or from or to port 0. A UDP sender that wants no
/// answer may have port 0 (RFC 768).
#[inline(always)]
pub(super) fn check(packet: &Packet) -> Result<(), Unparsed> {
    let (source, destination) = (packet.source, packet.destination);
    let addresses = source.is_multicast()
        || source.is_loopback()
        || destination.is_loopback()
        || destination.is_unspecified()
        || source == destination;
    let ports = packet.has_transport()
        && match packet.protocol {
            protocol::TCP | protocol::SCTP => packet.source_port == 0 || packet.destination_port == 0,
            protocol::UDP => packet.destination_port == 0,
            _ => false,
        };
    if addresses || ports { Err(Unparsed::Malformed) } else { Ok(()) }
}
