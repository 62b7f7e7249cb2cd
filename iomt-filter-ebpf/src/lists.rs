//! What lists, the country database, policy and inventory say: flat tables in lines that user space has written.
//!
//! Each has a function with a symbol of its own, which the verifier walks once: see [`stages`](crate::stages).

use aya_ebpf::maps::Array;
use iomt_filter_common::Address;
use iomt_filter_common::abi::PeerClass;
use iomt_filter_common::geo::Country;
use iomt_filter_common::lookup::known::Kind;
use iomt_filter_common::lookup::policy::{self, Asked};
use iomt_filter_common::lookup::{Line, Lines};
use iomt_filter_common::policy::Service;
use iomt_filter_common::reputation::Listing;

use crate::maps::{BLOCKS, COUNTRIES, DIRECTORY, LISTINGS, POLICY, seen, shown};

struct Shelf(&'static Array<Line>);

impl Lines for Shelf {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        self.0.get(number)
    }
}

/// The most severe listing of an address.
#[inline(always)]
pub(crate) fn listing(slot: u32, address: Address) -> Listing {
    let of_feeds = Listing::from_number(iomt_listing(slot, shown(&address)));
    of_feeds.or_severer(Listing::from_number(iomt_block(slot, shown(&address))))
}

/// The country of an address.
#[inline(always)]
pub(crate) fn country(slot: u32, address: Address) -> Country {
    Country(iomt_country(slot, shown(&address)) as u16)
}

/// What rules know of an address.
#[inline(always)]
pub(crate) fn peer(slot: u32, address: Address) -> PeerClass {
    PeerClass::from_word(iomt_peer(slot, shown(&address)))
}

/// The class of a service.
#[inline(always)]
pub(crate) fn service(slot: u32, service: Service) -> u16 {
    DIRECTORY.get(slot).map_or(0, |directory| directory.policy.service(&Shelf(&POLICY), service))
}

/// The number of a key, 0 for none.
#[inline(always)]
pub(crate) fn known(slot: u32, kind: Kind, [high, low]: [u64; 2]) -> u32 {
    iomt_known(slot, kind as u32, high, low)
}

/// The lowest rule that a question meets, 0 for none.
#[inline(always)]
pub(crate) fn first_rule(slot: u32, asked: &Asked) -> u32 {
    let [device, peer] = asked.words();
    iomt_first_rule(slot, device, peer)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_first_rule(slot: u32, device: u64, peer: u64) -> u32 {
    policy::first_rule(&Asked::from_words([device, peer]), |kind, key| known(slot, kind, key))
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_peer(slot: u32, address: *mut Address) -> u64 {
    let (Some(directory), Some(address)) = (DIRECTORY.get(slot), seen(address)) else { return 0 };
    directory.policy.peer(&Shelf(&POLICY), *address)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_known(slot: u32, kind: u32, high: u64, low: u64) -> u32 {
    let Some(directory) = DIRECTORY.get(slot) else { return 0 };
    directory.policy.known.find(&Shelf(&POLICY), kind, [high, low])
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_listing(slot: u32, address: *mut Address) -> u32 {
    let (Some(directory), Some(address)) = (DIRECTORY.get(slot), seen(address)) else { return 0 };
    directory.listings.find(&Shelf(&LISTINGS), *address).number()
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_block(slot: u32, address: *mut Address) -> u32 {
    let (Some(directory), Some(address)) = (DIRECTORY.get(slot), seen(address)) else { return 0 };
    directory.blocks.find(&Shelf(&BLOCKS), *address).number()
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn iomt_country(slot: u32, address: *mut Address) -> u32 {
    let (Some(directory), Some(address)) = (DIRECTORY.get(slot), seen(address)) else { return 0 };
    u32::from(directory.countries.find(&Shelf(&COUNTRIES), *address).0)
}
