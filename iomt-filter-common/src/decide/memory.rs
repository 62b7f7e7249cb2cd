//! What is remembered of a frame when it has been judged: what is dropped teaches nothing about anybody else.

use super::{Stage, again};
use crate::case::Case;
use crate::fragment;
use crate::lease;
use crate::packet::Fragment;
use crate::query;
use crate::tables::Tables;
use crate::verdict::Decision;

/// Never an answer.
#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    if case.unparsed().is_none() {
        remember(case, tables);
    }
    None
}

#[inline(always)]
fn remember<T: Tables>(case: &Case, tables: &T) {
    let (packet, port, now, decision) = (&case.packet, case.port(), case.now, &case.decision);
    let passes = decision.goes_on();
    if packet.fragment() as u8 == Fragment::First as u8 {
        fragment::remember(packet, port, decision, now, tables);
    }
    if !passes {
        return;
    }
    if packet.fragment() as u8 == Fragment::Later as u8 {
        fragment::note(packet, port, now, tables);
    }
    lease::observe(packet, port, now, tables);
    if decision.step() == Stage::Established as u8 {
        again::settle(case, tables);
    }
    if case.may_be_answered() && query::is_query(packet, now, tables) {
        query::remember(packet, case.sides.sender.device, now, tables);
    }
}
