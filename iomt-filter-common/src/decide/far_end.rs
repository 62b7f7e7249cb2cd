//! Steps 6 to 8: what lists and countries say of the far end, in both directions alike.

use super::side::Side;
use crate::packet::Packet;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason, Verdict};

#[cfg_attr(target_arch = "bpf", inline(never))]
pub(super) fn judge<T: Tables>(packet: &Packet, side: Side, tables: &T) -> Option<Decision> {
    if !side.is_device() {
        return None;
    }
    let far = side.far(packet);
    if tables.settings().has_protected != 0 && tables.is_protected(side.device, far) {
        return None; // 6
    }
    let Some(profile) = tables.profile(side.profile) else {
        return Some(side.answer(Verdict::Drop, Reason::NotAllowed, tables.generation()));
    };
    if let Some(listing) = tables.listing(far)
        && listing.blocks(profile.block_score)
    {
        let mut decision = side.answer(Verdict::Drop, Reason::Blocklist, tables.generation());
        decision.listing = listing;
        return Some(decision); // 7
    }
    if profile.has_geo == 0 || !far.has_country() {
        return None;
    }
    let country = tables.country(far);
    if profile.geo.denies(country) {
        let mut decision = side.answer(Verdict::Drop, Reason::Geo, tables.generation());
        decision.country = country.0;
        return Some(decision); // 8
    }
    None
}
