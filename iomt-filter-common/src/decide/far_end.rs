//! Steps 6 to 8: what lists and countries say of the far end, in both directions alike.

use super::side::{Side, Sides};
use crate::policy::Profile;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason, Verdict};

/// Asks the lists for both ends before it asks for countries. Where both ends fail, the stricter mode
/// answers.
#[inline(always)]
pub(super) fn judge<T: Tables>(sides: &Sides, tables: &T) -> Option<Decision> {
    let sender = Exposed::of(sides.sender, tables);
    let receiver = Exposed::of(sides.receiver, tables);
    let listed = either(sides, listing(&sender, tables), listing(&receiver, tables)); // 7
    if listed.is_some() {
        return listed;
    }
    either(sides, country(&sender, tables), country(&receiver, tables)) // 8
}

/// A side that no protected pair covers, and its profile.
struct Exposed<'a> {
    side: Side,
    profile: Option<&'a Profile>,
}

impl<'a> Exposed<'a> {
    #[inline(always)]
    fn of<T: Tables>(side: Option<Side>, tables: &'a T) -> Option<Self> {
        let side = side?;
        if tables.settings().has_protected != 0 && tables.is_protected(side.device, side.far) {
            return None; // 6
        }
        Some(Self { side, profile: tables.profile(side.profile) })
    }
}

#[inline(always)]
fn listing<T: Tables>(exposed: &Option<Exposed<'_>>, tables: &T) -> Option<Decision> {
    let Exposed { side, profile } = exposed.as_ref()?;
    let Some(profile) = profile else {
        return Some(side.answer(Verdict::Drop, Reason::NotAllowed, tables));
    };
    let listing = tables.listing(side.far)?;
    if !listing.blocks(profile.block_score) {
        return None;
    }
    let mut decision = side.answer(Verdict::Drop, Reason::Blocklist, tables);
    decision.listing = listing;
    Some(decision)
}

#[inline(always)]
fn country<T: Tables>(exposed: &Option<Exposed<'_>>, tables: &T) -> Option<Decision> {
    let Exposed { side, profile } = exposed.as_ref()?;
    let profile = (*profile)?;
    if profile.has_geo == 0 || !side.far.has_country() {
        return None;
    }
    let country = tables.country(side.far);
    if !profile.geo.denies(country) {
        return None;
    }
    let mut decision = side.answer(Verdict::Drop, Reason::Geo, tables);
    decision.country = country.0;
    Some(decision)
}

#[inline(always)]
fn either(sides: &Sides, sender: Option<Decision>, receiver: Option<Decision>) -> Option<Decision> {
    if sender.is_some() && receiver.is_some() && sides.receiver_is_stricter() {
        return receiver;
    }
    sender.or(receiver)
}
