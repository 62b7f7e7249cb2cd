//! Step 10: the allow rules of every device in a conversation.

use super::side::{Side, Sides};
use crate::flow::FlowKey;
use crate::packet::Packet;
use crate::policy::RuleDirection;
use crate::tables::Tables;

/// The principal device's rule; or the strictest of the devices that have none.
///
/// `is_reply` says that the receiver of the packet opened the conversation.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(super) fn find<T: Tables>(
    packet: &Packet,
    is_reply: bool,
    sides: &Sides,
    tables: &T,
) -> Result<u32, Side> {
    let of_sender = rule_of(packet, is_reply, sides.sender, sides.receiver.profile, tables);
    let of_receiver = rule_of(packet, is_reply, sides.receiver, sides.sender.profile, tables);
    let sender_fails = sides.sender.is_device() && of_sender == 0;
    let receiver_fails = sides.receiver.is_device() && of_receiver == 0;
    match (sender_fails, receiver_fails) {
        (true, true) => Err(sides.strictest()),
        (true, false) => Err(sides.sender),
        (false, true) => Err(sides.receiver),
        (false, false) if of_sender != 0 => Ok(of_sender),
        (false, false) => Ok(of_receiver),
    }
}

/// The rule of one device, 0 for none.
#[inline(always)]
fn rule_of<T: Tables>(packet: &Packet, is_reply: bool, side: Side, peer_profile: u16, tables: &T) -> u32 {
    if !side.is_device() {
        return 0;
    }
    let direction = if side.is_sender() == is_reply { RuleDirection::From } else { RuleDirection::To };
    let service = FlowKey::service_of(packet, is_reply);
    tables.rule(side.profile, direction, side.far(packet), peer_profile, service).unwrap_or(0)
}
