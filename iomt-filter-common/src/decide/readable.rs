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
    let is_complete = match case.packet.fragment() {
        Fragment::Whole => true,
        Fragment::First => {
            fragment::remember(&case.packet, case.now, tables);
            true
        }
        Fragment::Later => fragment::complete(&mut case.packet, case.now, tables),
    };
    if is_complete { None } else { Some(unreadable(Reason::Fragment, tables)) }
}

#[inline(always)]
fn unreadable<T: Tables>(reason: Reason, tables: &T) -> Decision {
    answer(otherwise(Otherwise::from_number(tables.settings().unparsed)), reason, tables)
}
