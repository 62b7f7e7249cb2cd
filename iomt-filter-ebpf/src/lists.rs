//! What lists and the country database say of an address: flat tables in lines that user space has written.
//!
//! Each has a function with a symbol of its own, which the verifier walks once: see [`stages`](crate::stages).

use aya_ebpf::maps::Array;
use iomt_filter_common::Address;
use iomt_filter_common::geo::Country;
use iomt_filter_common::lookup::{Line, Lines};
use iomt_filter_common::reputation::Listing;

use crate::maps::{BLOCKS, COUNTRIES, DIRECTORY, LISTINGS, seen, shown};

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
