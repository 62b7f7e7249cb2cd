//! Steps 10 and 11: the allow rules of every device in a conversation.

use super::side::{Side, Sides};
use super::{conversation, limits};
use crate::addr::Address;
use crate::case::Case;
use crate::flow::{self, Conversation, FlowKey, Judged};
use crate::packet::Packet;
use crate::policy::{Permission, RuleDirection, Service};
use crate::query;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason};

/// What a rule allows passes and is remembered; what none allows ends here.
#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let generation = tables.generation();
    // The middle of a connection that came this far answers this host, or nobody.
    let is_refused = conversation::is_refused(case, tables);
    let mut is_reply = case.is_reply() || is_refused;
    let mut found = find(case, is_reply, tables);
    if found.is_err()
        && !is_reply
        && (conversation::is_midstream(case) || conversation::answers_host(case, tables))
        && let Ok(permission) = find(case, true, tables)
    {
        // Picked up in the middle, or opened where nobody looks: the receiver has opened it.
        found = Ok(permission);
        is_reply = true;
    }
    let permission = match found {
        Ok(permission) => permission,
        Err(_) if is_refused => return Some(case.sides.strictest().soften(Reason::NoFlow, generation)), // 9
        Err(side) => return Some(side.soften(Reason::NotAllowed, generation)),                          // 11
    };
    let principal = case.sides.principal();
    let reason = if case.has_flow() { Reason::Established } else { Reason::Allowed };
    let mut decision = principal.allow(reason, permission.rule, generation); // 10
    if !is_reply && !flow::is_remembered(&case.packet) {
        return Some(decision);
    }
    // What passes while a device is open has seen no list: it is judged again with every packet.
    let judged_by = if case.sides.are_open() { 0 } else { generation };
    let [opener, responder] = case.sides.in_order(is_reply);
    let (opener, responder) = (opener.device, responder.device);
    let judged = Judged { generation: judged_by, opener, responder, permission };
    let side =
        if case.has_flow() { Side::default() } else { limits::refuse_flow(case, is_reply, &judged, tables) };
    if side.is_device() {
        decision = side.soften(Reason::RateLimit, generation);
    }
    if side.is_final() {
        return Some(decision);
    }
    if case.has_flow() {
        judge_again(case, is_reply, &judged, tables);
    } else {
        flow::begin(case, is_reply, &judged, tables);
        flow::look_again(&case.packet, is_reply, tables);
    }
    Some(decision)
}

/// Notes what this generation says of a conversation that is remembered. One that was forgotten in this very moment
/// is remembered with its next packet.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn judge_again<T: Tables>(case: &Case, is_reply: bool, judged: &Judged, tables: &T) {
    let entry = tables.flow(&FlowKey::of_conversation(&case.packet, is_reply));
    flow::pass(&case.packet, &Conversation { is_reply, entry }, judged, case.now, tables);
}

/// The answer to a question that a group was asked passes like any reply: as the rules allow the question.
/// It leaves no flow behind.
#[inline(always)]
pub(super) fn answer_to_group<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    if case.has_flow() {
        return None;
    }
    let asked = query::answered(&case.packet, case.sides.receiver.device, case.now, tables)?;
    (case.group, case.group_port) = (asked.group, asked.service_port);
    let found = find(case, true, tables);
    case.group = Address::UNSPECIFIED;
    let permission = found.ok()?;
    Some(case.sides.principal().allow(Reason::Established, permission.rule, tables.generation()))
}

/// The principal device's permission; or the strictest of the devices that have none.
///
/// `is_reply` says that the receiver of the packet opened the conversation; where that asked a group, the
/// receiver's far end is the group.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn find<T: Tables>(case: &Case, is_reply: bool, tables: &T) -> Result<Permission, Side> {
    let (packet, sides): (&Packet, &Sides) = (&case.packet, &case.sides);
    let is_to_group = !case.group.is_unspecified();
    let asked = if is_to_group { case.group } else { packet.source };
    let service = if is_to_group {
        Service::of(packet.protocol, case.group_port)
    } else {
        FlowKey::service_of(packet, is_reply)
    };
    let question = Question { service, is_reply, now: case.now };
    let of_sender =
        permission_of(&question, sides.sender, packet.destination, sides.receiver.profile, tables);
    let of_receiver = permission_of(&question, sides.receiver, asked, sides.sender.profile, tables);
    let sender_fails = sides.sender.is_device() && !of_sender.is_some();
    let receiver_fails = sides.receiver.is_device() && !of_receiver.is_some();
    match (sender_fails, receiver_fails) {
        (true, true) => Err(sides.strictest()),
        (true, false) => Err(sides.sender),
        (false, true) => Err(sides.receiver),
        (false, false) => {
            let rule = if of_sender.is_some() { of_sender.rule } else { of_receiver.rule };
            Ok(Permission { rule, expires: of_sender.first_end(&of_receiver) })
        }
    }
}

/// What is asked of rules.
struct Question {
    service: Service,
    is_reply: bool,
    now: u64,
}

/// What allows one device to speak with `far`, by its profile or by a grant of its own.
#[inline(always)]
fn permission_of<T: Tables>(
    question: &Question,
    side: Side,
    far: Address,
    peer_profile: u16,
    tables: &T,
) -> Permission {
    if !side.is_device() || !side.has_rules() {
        return Permission::NONE;
    }
    let is_reply = question.is_reply;
    let direction = if side.is_sender() == is_reply { RuleDirection::From } else { RuleDirection::To };
    let service = question.service;
    let rule = tables.rule(side.profile, direction, far, peer_profile, service).unwrap_or(0);
    if rule != 0 || !side.has_grants() {
        return Permission { rule, expires: 0 };
    }
    let grant = tables.grant(side.device, direction, far, peer_profile, service);
    let permission = Permission { rule: grant.rule, expires: grant.expires };
    if question.now < grant.expires { permission } else { Permission::NONE }
}
