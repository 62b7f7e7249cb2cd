//! Step 1: what could not be read, and fragments.

use super::{answer, otherwise};
use crate::case::Case;
use crate::fragment;
use crate::packet::Fragment;
use crate::policy::Otherwise;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason};

#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    if let Some(unparsed) = case.unparsed() {
        return Some(unreadable(unparsed.reason(), tables));
    }
    // A first one is remembered when it has been judged.
    if case.packet.fragment() as u8 != Fragment::Later as u8 {
        return None;
    }
    let (port, now) = (case.port(), case.now);
    let mut dropped = Decision::default();
    if !fragment::complete(&mut case.packet, port, now, tables, &mut dropped) {
        return Some(unreadable(Reason::Fragment, tables));
    }
    (dropped.reason_number() != 0).then_some(dropped)
}

#[inline(always)]
fn unreadable<T: Tables>(reason: Reason, tables: &T) -> Decision {
    answer(otherwise(Otherwise::from_number(tables.settings().unparsed)), reason, tables)
}
