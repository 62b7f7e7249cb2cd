//! What holds for every answer, whichever step gave it.

use super::side::Side;
use super::{answer, limits, otherwise};
use crate::case::Case;
use crate::device::Port;
use crate::packet::{Fragment, Packet, TCP_RST, protocol};
use crate::policy::Otherwise;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason, Verdict};

#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let concluded = conclude(case, tables);
    let decision = concluded.unwrap_or(case.decision);
    // Every device is open then too: who is in quarantine was put there by hand since.
    let is_cut_off = decision.reason_number() == Reason::Quarantine as u8;
    if !decision.goes_on() && !is_cut_off && tables.exception(0).opens(case.now) {
        return Some(decision.with(Verdict::WouldDrop));
    }
    concluded
}

#[inline(always)]
fn conclude<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let decision = case.decision;
    case.set_may_be_answered(is_asked(case, &decision));
    if !decision.goes_on() {
        return is_to_be_reset(&case.packet, &decision, tables).then(|| decision.with(Verdict::Reset));
    }
    let mut stranger = None;
    if case.is_unknown() && decision.device != 0 {
        let choice = Otherwise::from_number(tables.settings().unknown_device);
        stranger = Some(answer(otherwise(choice), Reason::UnknownDevice, tables)); // 4
    }
    let side = if limits::counts(decision.reason_number()) {
        limits::refuse_packet(case, tables)
    } else {
        Side::default()
    };
    if side.is_final() {
        return Some(side.soften(Reason::RateLimit, tables.generation()));
    }
    if stranger.is_some() || !side.is_device() {
        return stranger;
    }
    Some(side.soften(Reason::RateLimit, tables.generation()))
}

/// Whether the answers to a question may come, if rules allow it by then: its device may ask, or nobody is kept from
/// it; or it comes from the hospital network and concerns no device, so that the rules of those who answer decide.
#[inline(always)]
fn is_asked(case: &Case, decision: &Decision) -> bool {
    let reason = decision.reason_number();
    if case.port() as u8 == Port::Uplink as u8 {
        return reason == Reason::NoDevice as u8;
    }
    let is_allowed = reason == Reason::Allowed as u8 || reason == Reason::Established as u8;
    let is_outside = reason == Reason::NotAllowed as u8 || reason == Reason::Learned as u8;
    is_allowed || (is_outside && decision.goes_on())
}

/// Whether the sender of a blocked packet is told: it speaks TCP, is who it says, and has not itself reset
/// (RFC 9293 §3.5.2 forbids to answer that). A fragment says too little to be answered.
#[inline(always)]
fn is_to_be_reset<T: Tables>(packet: &Packet, decision: &Decision, tables: &T) -> bool {
    let reason = decision.reason_number();
    let is_answered = reason == Reason::NotAllowed as u8
        || reason == Reason::Blocklist as u8
        || reason == Reason::Geo as u8
        || reason == Reason::NoFlow as u8;
    is_answered
        && packet.protocol == protocol::TCP
        && packet.fragment() as u8 == Fragment::Whole as u8
        && packet.tcp_flags & TCP_RST == 0
        && !packet.source_mac.is_group()
        && !packet.destination_mac.is_group()
        && !packet.destination.is_multicast()
        && tables.profile(decision.profile).is_some_and(|profile| profile.reset != 0)
}
