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
    let is_later = case.packet.fragment() as u8 == Fragment::Later as u8;
    let port = case.port();
    if is_later && !fragment::complete(&mut case.packet, port, case.now, tables) {
        return Some(unreadable(Reason::Fragment, tables));
    }
    None
}

#[inline(always)]
fn unreadable<T: Tables>(reason: Reason, tables: &T) -> Decision {
    answer(otherwise(Otherwise::from_number(tables.settings().unparsed)), reason, tables)
}
