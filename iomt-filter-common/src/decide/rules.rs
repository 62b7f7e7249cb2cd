//! Steps 10 and 11: the allow rules of every device in a conversation.

use super::conversation;
use super::side::{Side, Sides};
use crate::case::Case;
use crate::flow::{self, FlowKey, Judged};
use crate::packet::Packet;
use crate::policy::RuleDirection;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason};

/// What a rule allows passes and is remembered; what none allows ends here.
#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let generation = tables.generation();
    let reason = if case.has_flow() { Reason::Established } else { Reason::Allowed };
    let packet = &case.packet;
    let mut is_reply = case.is_reply();
    let mut found = find(packet, is_reply, &case.sides, tables);
    if found.is_err()
        && conversation::is_midstream(case)
        && let Ok(rule) = find(packet, true, &case.sides, tables)
    {
        // Picked up in the middle: the receiver has opened it.
        found = Ok(rule);
        is_reply = true;
    }
    let rule = match found {
        Ok(rule) => rule,
        Err(side) => return Some(side.soften(Reason::NotAllowed, generation)), // 11
    };
    let principal = case.sides.principal();
    if is_reply || flow::is_remembered(packet) {
        let judged = Judged { generation, rule, device: principal.device };
        let mut conversation = flow::find(packet, case.now, tables);
        conversation.is_reply = is_reply;
        flow::pass(packet, &conversation, &judged, case.now, tables);
    }
    Some(principal.allow(reason, rule, generation)) // 10
}

/// The principal device's rule; or the strictest of the devices that have none.
///
/// `is_reply` says that the receiver of the packet opened the conversation.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn find<T: Tables>(packet: &Packet, is_reply: bool, sides: &Sides, tables: &T) -> Result<u32, Side> {
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
