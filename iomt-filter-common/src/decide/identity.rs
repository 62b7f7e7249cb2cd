//! Steps 4 and 5: which end is ours, and whether it may speak at all.

use super::side::Sides;
use super::{answer, otherwise};
use crate::case::{Case, Doubt};
use crate::device::{self, Identity};
use crate::policy::{Mode, Otherwise};
use crate::tables::Tables;
use crate::verdict::{Decision, Reason, Verdict};

/// Finds the devices at both ends. Never an answer: management pairs come first.
#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let (ends, doubt) = match device::identify(&case.packet, case.port(), case.now, tables) {
        Identity::Known(ends) => (ends, Doubt::None),
        Identity::Spoofed(ends) => (ends, Doubt::Spoofed),
        Identity::Unknown(ends) => (ends, Doubt::Unknown),
        Identity::NotOurs => (device::Ends::default(), Doubt::None),
    };
    case.set_doubt(doubt);
    case.sides = Sides::of(ends, case.now, tables);
    None
}

/// Ends the way of who is nobody's, nobody we know, not who it says, or in quarantine.
#[inline(always)]
pub(super) fn standing<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let sides = &case.sides;
    let choice = Otherwise::from_number(tables.settings().unknown_device);
    let may_pass = choice as u8 != Otherwise::Drop as u8 && sides.receiver.is_device();
    if case.is_unknown() && !may_pass {
        return Some(answer(otherwise(choice), Reason::UnknownDevice, tables)); // 4
    }
    if sides.sender.device == 0 && sides.receiver.device == 0 {
        return Some(answer(Verdict::Pass, Reason::NoDevice, tables)); // 4
    }
    let principal = sides.principal();
    if !principal.is_device() {
        return Some(answer(Verdict::Drop, Reason::UnknownDevice, tables));
    }
    let generation = tables.generation();
    if case.is_spoofed() && matches!(principal.mode(), Mode::Enforce | Mode::Quarantine) {
        return Some(principal.soften(Reason::Spoofed, generation)); // 4
    }
    let quarantined = sides.in_quarantine()?;
    Some(quarantined.answer(Verdict::Drop, Reason::Quarantine, generation)) // 5
}
