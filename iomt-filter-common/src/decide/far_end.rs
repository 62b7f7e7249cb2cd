//! Steps 6 to 8: what lists and countries say of the far end, in both directions alike.

use super::side::{Side, Sides};
use crate::case::Case;
use crate::geo::Country;
use crate::packet::Packet;
use crate::reputation::Listing;
use crate::tables::Tables;
use crate::verdict::{Decision, Reason, Verdict};

/// Asks the lists for both ends before it asks for countries. Where both ends fail, the stricter mode
/// answers.
#[inline(always)]
pub(super) fn judge<T: Tables>(case: &mut Case, tables: &T) -> Option<Decision> {
    if case.is_clean() {
        return None;
    }
    let (packet, sides) = (&case.packet, case.sides);
    let of_sender = listing(packet, sides.sender, &mut case.listing, tables);
    let of_receiver = listing(packet, sides.receiver, &mut case.listing, tables);
    if of_sender != Listing::NONE || of_receiver != Listing::NONE {
        let receiver = is_receiver(&sides, of_sender != Listing::NONE, of_receiver != Listing::NONE);
        let side = if receiver { sides.receiver } else { sides.sender };
        let mut decision = side.answer(Verdict::Drop, Reason::Blocklist, tables.generation());
        decision.listing = if receiver { of_receiver } else { of_sender };
        return Some(decision); // 7
    }
    let of_sender = country(packet, sides.sender, &mut case.country, tables);
    let of_receiver = country(packet, sides.receiver, &mut case.country, tables);
    if of_sender.is_none() && of_receiver.is_none() {
        return None;
    }
    let receiver = is_receiver(&sides, of_sender.is_some(), of_receiver.is_some());
    let side = if receiver { sides.receiver } else { sides.sender };
    let mut decision = side.answer(Verdict::Drop, Reason::Geo, tables.generation());
    decision.country = if receiver { of_receiver } else { of_sender }.map_or(0, |country| country.0);
    Some(decision) // 8
}

/// Which end answers, where at least one fails.
#[inline(always)]
const fn is_receiver(sides: &Sides, sender_fails: bool, receiver_fails: bool) -> bool {
    receiver_fails && (!sender_fails || sides.receiver_is_stricter())
}

/// The listing for which a side's far end is dropped; none where a protected pair covers it. `found` is any
/// that there is.
#[inline(always)]
fn listing<T: Tables>(packet: &Packet, side: Side, found: &mut Listing, tables: &T) -> Listing {
    let far = side.far(packet);
    if !is_exposed(side, packet, tables) {
        return Listing::NONE; // 6
    }
    let Some(profile) = tables.profile(side.profile).filter(|profile| profile.is_set != 0) else {
        return Listing::NONE;
    };
    let listing = tables.listing(far);
    if listing != Listing::NONE {
        *found = listing;
    }
    if listing.blocks(profile.block_score) { listing } else { Listing::NONE }
}

/// The country for which a side's far end is dropped.
#[inline(always)]
fn country<T: Tables>(packet: &Packet, side: Side, found: &mut u16, tables: &T) -> Option<Country> {
    let far = side.far(packet);
    if !is_exposed(side, packet, tables) {
        return None; // 6
    }
    let profile = tables.profile(side.profile)?;
    if profile.has_geo == 0 || !far.has_country() {
        return None;
    }
    let country = tables.country(far);
    *found = country.0;
    profile.geo.denies(country).then_some(country)
}

#[inline(always)]
fn is_exposed<T: Tables>(side: Side, packet: &Packet, tables: &T) -> bool {
    let covered = tables.settings().has_protected != 0 && tables.is_protected(side.device, side.far(packet));
    side.is_device() && !side.is_open() && !covered
}
