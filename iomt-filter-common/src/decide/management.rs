//! Step 3: the pairs that nothing may cut.

use super::answer;
use crate::case::Case;
use crate::flow::{self, FlowKey};
use crate::packet::Packet;
use crate::policy::Service;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason, Verdict};

/// Asked only where a pair is configured; on a device port only for a sender that is who it says.
#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let is_known = case.sides.principal().is_device() && !case.is_spoofed() && !case.is_unknown();
    let is_believed = is_known || !case.is_from_device();
    if tables.settings().has_management == 0 || !is_believed {
        return None;
    }
    if !covers(&case.packet, tables) && !covers_quoted(&case.packet, case.is_from_device(), tables) {
        return None;
    }
    Some(answer(Verdict::Pass, Reason::Management, tables))
}

/// Whether the packet is a management peer's, opening one of its services, or the answer to it.
///
/// No state is kept, so that nothing can forget it; an answer must not open a connection, or ask.
#[inline(always)]
fn covers<T: Tables>(packet: &Packet, tables: &T) -> bool {
    if tables.is_management(packet.source, FlowKey::service_of(packet, false)) {
        return true;
    }
    flow::may_answer(packet) && tables.is_management(packet.destination, FlowKey::service_of(packet, true))
}

/// Whether the packet is an ICMP error that says what became of a packet of such a session: path MTU discovery is
/// for them as well. A device tells none but the management peer.
#[inline(always)]
fn covers_quoted<T: Tables>(packet: &Packet, from_device: bool, tables: &T) -> bool {
    if packet.quoted_protocol == 0 {
        return false;
    }
    let (peer, port) = if from_device {
        (packet.destination, packet.quoted_destination_port)
    } else {
        (packet.quoted_destination, packet.quoted_source_port)
    };
    tables.is_management(peer, Service::of(packet.quoted_protocol, port))
}
