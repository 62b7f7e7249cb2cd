//! Steps 6 to 8: what lists and countries say of the far end, in both directions alike.

use super::side::Side;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason, Verdict};

#[inline(always)]
pub(super) fn judge<T: Tables>(side: Option<Side>, tables: &T) -> Option<Decision> {
    let side = side?;
    if tables.settings().has_protected != 0 && tables.is_protected(side.device, side.far) {
        return None; // 6
    }
    let Some(profile) = tables.profile(side.profile) else {
        return Some(side.answer(Verdict::Drop, Reason::NotAllowed, tables));
    };
    if let Some(listing) = tables.listing(side.far)
        && listing.blocks(profile.block_score)
    {
        let mut decision = side.answer(Verdict::Drop, Reason::Blocklist, tables);
        decision.listing = listing;
        return Some(decision); // 7
    }
    if profile.has_geo == 0 || !side.far.has_country() {
        return None;
    }
    let country = tables.country(side.far);
    if profile.geo.denies(country) {
        let mut decision = side.answer(Verdict::Drop, Reason::Geo, tables);
        decision.country = country.0;
        return Some(decision); // 8
    }
    None
}
