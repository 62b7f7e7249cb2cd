//! The judgement, in the order in which it is promised.

use crate::device::{self, Ends, Identity, Port};
use crate::flow::{self, Conversation, Judged};
use crate::fragment;
use crate::packet::{Fragment, Packet, protocol};
use crate::parse::Unparsed;
use crate::policy::{Mode, Otherwise};
use crate::tables::{FlowEntry, Tables};
use crate::verdict::{Decision, Reason, Verdict};

mod far_end;
mod link;
mod management;
mod rules;
mod side;

use side::Sides;

/// Where and when a frame came in.
#[derive(Clone, Copy, Debug)]
pub struct Ingress {
    /// The role of the interface.
    pub port: Port,
    /// Nanoseconds of a clock that never goes back.
    pub now: u64,
}

const NO_DOUBT: u32 = 0;
const SPOOFED: u32 = 1;
const UNKNOWN: u32 = 2;

/// Judges one frame. Precedence, first match decides:
///
/// 1. what could not be parsed, and fragments without their first: by `unparsed`; with it they are judged
///    as it was
/// 2. link protocols pass, and neighbour discovery that stays on its link; spoofed ARP and neighbours,
///    rogue router advertisements, redirects and DHCP servers drop
/// 3. management pairs pass; on a device port only where the sender is who it says
/// 4. which end is ours: `unknown-device`, `no-device`, `spoofed`; an unknown sender that may pass still
///    meets 5 to 11 of the device that it sends to
/// 5. a device in quarantine: drop
/// 6. protected pairs skip 7 and 8
/// 7. reputation of the far end
/// 8. country of the far end
/// 9. a flow that this generation has judged passes, and an ICMP error that quotes one (`related`); TCP
///    that has no flow and opens none: `no-flow`
/// 10. allow rules: a match passes and is remembered
/// 11. nothing matched: `not-allowed`
///
/// A flow of this generation is looked up before 6: it has been through 6 to 8 in this very
/// generation. Sources that several devices may use (`0.0.0.0`, `::`, link-local) are judged every time:
/// their flow may be somebody else's. `learn` and `monitor` soften `spoofed`, `no-flow` and
/// `not-allowed`, at the end and nowhere else; a softened `spoofed` still meets 5 to 8.
#[inline(always)]
pub fn decide<T: Tables>(
    parsed: Result<(), Unparsed>,
    packet: &mut Packet,
    ingress: Ingress,
    tables: &T,
) -> Decision {
    if let Err(unparsed) = parsed {
        return unreadable(unparsed.reason(), tables); // 1
    }
    match packet.fragment() {
        Fragment::Whole => {}
        Fragment::First => fragment::remember(packet, ingress.now, tables),
        Fragment::Later if fragment::complete(packet, ingress.now, tables) => {}
        Fragment::Later => return unreadable(Reason::Fragment, tables), // 1
    }
    let packet = &*packet;
    if let Some(decision) = link::judge(packet, ingress.port, tables) {
        return decision; // 2
    }
    let identity = device::identify(packet, ingress.port, tables);
    let believed = ingress.port as u8 == Port::Uplink as u8 || matches!(identity, Identity::Known(_));
    if believed && tables.settings().has_management != 0 && management::covers(packet, tables) {
        return answer(Verdict::Pass, Reason::Management, tables); // 3
    }
    let (ends, doubt) = match identity {
        Identity::Known(ends) => (ends, NO_DOUBT),
        Identity::Spoofed(ends) => (ends, SPOOFED),
        Identity::Unknown(ends) => (ends, UNKNOWN),
        Identity::NotOurs => return answer(Verdict::Pass, Reason::NoDevice, tables), // 4
    };
    let doubt = tables.forget(doubt);
    let (spoofed, unknown) = (doubt == SPOOFED, doubt == UNKNOWN);
    let choice = Otherwise::from_number(tables.settings().unknown_device);
    if unknown && (ends.receiver == 0 || choice as u8 == Otherwise::Drop as u8) {
        return answer(otherwise(choice), Reason::UnknownDevice, tables); // 4
    }
    let decision = judge_device(packet, ends, spoofed, ingress.now, tables);
    if unknown && decision.goes_on() {
        return answer(otherwise(choice), Reason::UnknownDevice, tables); // 4
    }
    decision
}

/// Steps 4 to 11, for the devices at the ends of the packet.
#[inline(always)]
fn judge_device<T: Tables>(packet: &Packet, ends: Ends, spoofed: bool, now: u64, tables: &T) -> Decision {
    let generation = tables.generation();
    let sides = Sides::of(ends, tables);
    let principal = sides.principal();
    if !principal.is_device() {
        return answer(Verdict::Drop, Reason::UnknownDevice, tables);
    }
    if spoofed && matches!(principal.mode(), Mode::Enforce | Mode::Quarantine) {
        return principal.soften(Reason::Spoofed, generation); // 4
    }
    if let Some(side) = sides.in_quarantine() {
        return side.answer(Verdict::Drop, Reason::Quarantine, generation); // 5
    }
    let conversation = flow::find(packet, now, tables);
    if let Some(entry) = &conversation.entry
        && !spoofed
        && !device::may_be_unbound(packet.source)
    {
        let judged = Judged::by(&entry.load());
        if judged.generation == generation {
            flow::pass(packet, &conversation, &judged, now, tables);
            return principal.allow(Reason::Established, judged.rule, generation); // 9
        }
    }
    if let Some(decision) = far_end::judge(packet, &sides, tables) {
        return decision; // 6 to 8
    }
    if spoofed {
        return sides.strictest().soften(Reason::Spoofed, generation); // 4, softened
    }
    if let Some(rule) = flow::quoted(packet, now, tables) {
        return principal.allow(Reason::Related, rule, generation); // 9
    }
    let midstream = conversation.entry.is_none() && is_midstream(packet);
    if midstream && tables.settings().midstream != Otherwise::Pass as u8 {
        return sides.strictest().soften(Reason::NoFlow, generation); // 9
    }
    judge_rules(packet, &sides, midstream, conversation, now, tables) // 10, 11
}

#[inline(always)]
fn judge_rules<T: Tables>(
    packet: &Packet,
    sides: &Sides,
    midstream: bool,
    mut conversation: Conversation<T::Entry>,
    now: u64,
    tables: &T,
) -> Decision {
    let generation = tables.generation();
    let reason = if conversation.entry.is_some() { Reason::Established } else { Reason::Allowed };
    let mut found = rules::find(packet, conversation.is_reply, sides, tables);
    if midstream
        && found.is_err()
        && let Ok(rule) = rules::find(packet, true, sides, tables)
    {
        // Picked up in the middle: the receiver may have opened it.
        conversation.is_reply = true;
        found = Ok(rule);
    }
    match found {
        Ok(rule) => {
            let principal = sides.principal();
            if conversation.is_reply || flow::is_remembered(packet) {
                let judged = Judged { generation, rule, device: principal.device };
                flow::pass(packet, &conversation, &judged, now, tables);
            }
            principal.allow(reason, rule, generation)
        }
        Err(side) => side.soften(Reason::NotAllowed, generation),
    }
}

#[inline(always)]
fn is_midstream(packet: &Packet) -> bool {
    packet.protocol == protocol::TCP && !packet.opens_tcp()
}

#[inline(always)]
fn unreadable<T: Tables>(reason: Reason, tables: &T) -> Decision {
    answer(otherwise(Otherwise::from_number(tables.settings().unparsed)), reason, tables)
}

#[inline(always)]
fn answer<T: Tables>(verdict: Verdict, reason: Reason, tables: &T) -> Decision {
    Decision::new(verdict, reason, tables.generation())
}

#[inline(always)]
const fn otherwise(choice: Otherwise) -> Verdict {
    match choice {
        Otherwise::Drop => Verdict::Drop,
        Otherwise::Monitor => Verdict::WouldDrop,
        Otherwise::Pass => Verdict::Pass,
    }
}
