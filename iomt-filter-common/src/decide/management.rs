//! Step 3: the pairs that nothing may cut.

use crate::flow::FlowKey;
use crate::packet::{Packet, protocol};
use crate::tables::Tables;

/// Whether the packet is a management peer's, opening one of its services, or the answer to it.
///
/// Asked only where a pair is configured. No state is kept, so that nothing can forget it; a TCP answer must not open a connection.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(super) fn covers<T: Tables>(packet: &Packet, tables: &T) -> bool {
    if tables.is_management(packet.source, FlowKey::service_of(packet, false)) {
        return true;
    }
    let opens = packet.protocol == protocol::TCP && packet.opens_tcp();
    !opens && tables.is_management(packet.destination, FlowKey::service_of(packet, true))
}
