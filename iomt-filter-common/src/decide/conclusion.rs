//! What holds for every answer, whichever step gave it.

use super::{answer, otherwise};
use crate::case::Case;
use crate::policy::Otherwise;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason};

#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    let is_judged = case.decision.device != 0;
    if case.is_unknown() && is_judged && case.decision.goes_on() {
        let choice = Otherwise::from_number(tables.settings().unknown_device);
        return Some(answer(otherwise(choice), Reason::UnknownDevice, tables)); // 4
    }
    None
}
