//! Conversations that no rule allows and that pass all the same, because their devices are in `monitor` or `learn`:
//! what a policy can be made of.

use crate::case::Case;
use crate::flow::FlowKey;
use crate::packet::{Fragment, TCP_ACK, TCP_SYN, protocol};
use crate::query;
use crate::tables::Tables;
use crate::verdict::Reason;

/// Conversations that are watched at a time; what does not fit is counted.
pub const MOST_WATCHED: u32 = 65_536;

/// What has passed of one: 48 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// When its first packet passed, in nanoseconds of the program's clock.
    pub first_seen: u64,
    /// When its last one did.
    pub last_seen: u64,
    /// Packets, both ways.
    pub packets: u64,
    /// Bytes of those frames.
    pub bytes: u64,
    /// The device that opened it, 0 where that was none.
    pub opener: u32,
    /// The device that it was opened to, 0 where that was none.
    pub responder: u32,
    /// [`Reason`] of its first packet, as a number.
    pub reason: u8,
    /// 1 where its first packet says who opened; 0 for TCP that was seen from the middle on.
    pub is_opened: u8,
    /// Padding, zero.
    pub reserved: [u8; 6],
}

/// Whether a case that has been judged is part of one.
#[inline(always)]
pub fn is_watched(case: &Case) -> bool {
    let decision = &case.decision;
    let reason = decision.reason_number();
    let is_outside = reason == Reason::NotAllowed as u8
        || reason == Reason::NoFlow as u8
        || reason == Reason::Learned as u8;
    is_outside
        && decision.goes_on()
        && decision.device != 0
        && case.packet.fragment() as u8 != Fragment::Later as u8
}

/// The conversation that the packet of a case would open, as far as the packet itself says, with that packet in it. Who
/// has asked a group has opened what is answered.
#[inline(always)]
pub fn conversation<T: Tables>(case: &Case, tables: &T) -> (FlowKey, Watched) {
    let packet = &case.packet;
    let is_tcp = packet.protocol == protocol::TCP;
    let flags = packet.tcp_flags & (TCP_SYN | TCP_ACK);
    let asked = query::answered(packet, case.sides.receiver.device, case.now, tables);
    let is_answer = (is_tcp && flags == TCP_SYN | TCP_ACK) || asked.is_some();
    let [opener, responder] = case.sides.in_order(is_answer);
    let watched = Watched {
        first_seen: case.now,
        last_seen: case.now,
        packets: 1,
        bytes: packet.length as u64,
        opener: opener.device,
        responder: responder.device,
        reason: case.decision.reason_number(),
        is_opened: (!is_tcp || flags & TCP_SYN != 0) as u8,
        reserved: [0; 6],
    };
    let mut key = FlowKey::of_conversation(packet, is_answer);
    if let Some(asked) = asked {
        key.destination_port = asked.service_port;
    }
    (key, watched)
}
