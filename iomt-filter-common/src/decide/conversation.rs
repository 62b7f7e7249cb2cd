//! Step 9: packets of conversations that are remembered, or should be.

use super::side::Side;
use crate::case::Case;
use crate::device;
use crate::flow::{self, Judged};
use crate::packet::{Packet, protocol};
use crate::policy::Otherwise;
use crate::tables::{FlowEntry, Tables};
use crate::verdict::{Decision, Reason};

/// Finds the packet's flow; one of this generation passes.
#[inline(always)]
pub(super) fn established<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    if case.is_absent() {
        return None;
    }
    let conversation = flow::find(&case.packet, case.now, tables);
    case.set_conversation(conversation.is_reply, conversation.entry.is_some());
    let judged = Judged::by(&conversation.entry.as_ref()?.load());
    let is_shared = case.is_spoofed() || device::may_be_unbound(case.packet.source);
    let [opener, responder] = case.sides.in_order(conversation.is_reply);
    let has_same_ends = opener.device == judged.opener && responder.device == judged.responder;
    // An address from DHCP may have another owner by now, who is not allowed what the one before was.
    if is_shared || !has_same_ends || !judged.is_good(case.now, tables) {
        return None;
    }
    flow::pass(&case.packet, &conversation, &judged, case.now, tables);
    Some(case.sides.principal().allow(Reason::Established, judged.permission.rule, judged.generation))
}

/// What has no flow of its own, after its far ends were judged: errors about one pass, the middle of a
/// connection does not.
#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let generation = tables.generation();
    let strictest: Side = case.sides.strictest();
    if case.is_spoofed() {
        return Some(strictest.soften(Reason::Spoofed, generation)); // 4, softened
    }
    let mut judged = Judged::default();
    if flow::quoted(&case.packet, case.now, tables, &mut judged)
        && (case.sides.has(judged.opener) || case.sides.has(judged.responder))
        && judged.concerns(case.sides.sender.device)
    {
        return Some(case.sides.principal().allow(Reason::Related, judged.permission.rule, generation));
    }
    if is_refused(case, tables) && !answers_host(case, tables) {
        return Some(strictest.soften(Reason::NoFlow, generation));
    }
    None
}

/// What [`is_midstream`] and may not be picked up.
#[inline(always)]
pub(super) fn is_refused<T: Tables>(case: &Case, tables: &T) -> bool {
    is_midstream(case) && tables.settings().midstream != Otherwise::Pass as u8
}

/// Whether a packet may answer this host, whose own packets are not judged on their way out: the rules then say
/// whether the host opens what it belongs to.
#[inline(always)]
pub(super) fn answers_host<T: Tables>(case: &Case, tables: &T) -> bool {
    !case.has_flow()
        && flow::may_answer(&case.packet)
        && !case.sides.receiver.is_device()
        && tables.is_own(case.packet.destination)
}

/// TCP that belongs to no flow and opens none.
#[inline(always)]
pub(super) const fn is_midstream(case: &Case) -> bool {
    let packet: &Packet = &case.packet;
    !case.has_flow() && packet.protocol == protocol::TCP && !packet.opens_tcp()
}
