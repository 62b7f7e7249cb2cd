//! Lookups and nothing else: by the filter's own code in its own tables, and in tries of the kernel that hold the
//! same. Each program looks up many addresses in a run, so that what a test run costs is next to nothing.
//!
//! Each lookup has a function with a symbol of its own, as in the filter: the verifier walks it once.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, xdp_action};
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::Array;
use aya_ebpf::maps::lpm_trie::Key;
use aya_ebpf::programs::XdpContext;
use bench_ebpf::lookups::{COUNTER, LISTED, MASK, PER_RUN, Progress, SUM};
use iomt_filter_common::Address;
use iomt_filter_common::lookup::{Directory, Line, Lines};

use crate::program::only;
use crate::variant::{COUNTRIES_V4, COUNTRIES_V6, LISTED_V4, LISTED_V6};

#[map]
static ADDRESSES: Array<Address> = Array::with_max_entries(1, 0);
#[map]
static PROGRESS: Array<Progress> = Array::with_max_entries(1, 0);
#[map]
static FLAT_TABLES: Array<Directory> = Array::with_max_entries(1, 0);
#[map]
static FLAT_LISTED: Array<Line> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static FLAT_COUNTRIES: Array<Line> = Array::with_max_entries(1, BPF_F_MMAPABLE);

struct Flat(&'static Array<Line>);

impl Lines for Flat {
    #[inline(always)]
    fn line(&self, number: u32) -> Option<&Line> {
        self.0.get(number)
    }
}

/// Picks addresses: what all of them cost by themselves.
#[xdp]
pub(crate) fn pick(_context: XdpContext) -> u32 {
    look_up(|number| bench_pick(number))
}

/// Asks the tables of the filter.
#[xdp]
pub(crate) fn flat(_context: XdpContext) -> u32 {
    look_up(|number| bench_flat(number))
}

/// Asks tries of IPv4.
#[xdp]
pub(crate) fn tries_v4(_context: XdpContext) -> u32 {
    look_up(|number| bench_tries_v4(number))
}

/// Asks tries of IPv6.
#[xdp]
pub(crate) fn tries_v6(_context: XdpContext) -> u32 {
    look_up(|number| bench_tries_v6(number))
}

#[inline(always)]
fn look_up(answer_to: impl Fn(u32) -> u32) -> u32 {
    let Some(progress) = only(&PROGRESS) else { return xdp_action::XDP_ABORTED };
    let (mut counter, mask) = (progress[COUNTER], progress[MASK]);
    let (mut sum, mut answer) = (0, 0);
    for _ in 0..PER_RUN {
        // No answer has this bit, but the processor does not know: it looks up one address after the other, as
        // frames come, and not several at once.
        let later = u64::from(answer >> 31);
        answer = answer_to(((counter + later) & mask) as u32);
        sum += u64::from(answer);
        counter += 1;
    }
    progress[COUNTER] = counter;
    progress[SUM] += sum;
    xdp_action::XDP_PASS
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_pick(number: u32) -> u32 {
    ADDRESSES.get(number).map_or(0, |address| address.low() & 1)
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_flat(number: u32) -> u32 {
    let (Some(tables), Some(address)) = (FLAT_TABLES.get(0), ADDRESSES.get(number)) else { return 0 };
    match tables.listings.find(&Flat(&FLAT_LISTED), *address).score {
        0 => u32::from(tables.countries.find(&Flat(&FLAT_COUNTRIES), *address).0),
        score => u32::from(score) + LISTED,
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_tries_v4(number: u32) -> u32 {
    let Some(address) = ADDRESSES.get(number) else { return 0 };
    let key = Key::new(32, address.low().to_be());
    match LISTED_V4.get(&key) {
        Some(score) => *score + LISTED,
        None => COUNTRIES_V4.get(&key).copied().unwrap_or(0),
    }
}

#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_tries_v6(number: u32) -> u32 {
    let Some(address) = ADDRESSES.get(number) else { return 0 };
    let [high, low] = address.words();
    let parts = [(high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32];
    let key = Key::new(128, parts.map(u32::to_be));
    match LISTED_V6.get(&key) {
        Some(score) => *score + LISTED,
        None => COUNTRIES_V6.get(&key).copied().unwrap_or(0),
    }
}
