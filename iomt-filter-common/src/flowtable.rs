//! Remembered flows in flat memory: sets of four, in one line of which everything lies that tells whether a flow
//! is there. Each flow has two sets that it may be in, and goes into the emptier one (Azar, Broder, Karlin, Upfal:
//! "Balanced Allocations", STOC 1994). Nobody outside knows the secret that says which.
//!
//! # Many processors
//! A set is read and written by all of them without a lock. What a reader relies on is one word, the tag: ports,
//! protocol, the generation that judged the flow, and a version that changes whenever the place is given to
//! another flow. Whoever gives a place away takes the tag out first, and puts the new one in last. So a reader
//! that finds the same flow in the tag before and after it has read the rest has read that flow, unless its place
//! changed hands fifteen times meanwhile. The generation counts where it is the same in both. Whoever judges a
//! flow anew exchanges the tag that it has seen for one of nobody's generation before, and for that of its own
//! behind: where the place is another's by then, or another judges, nothing happens, and who reads meanwhile
//! judges for itself. What is written without that (times, counts, devices) can land on the next owner of a
//! place; of those only the devices count for anything, and a flow whose devices are not those at its ends is
//! judged again.
//!
//! Words are loaded and stored in the order of the program. Processors that do otherwise (not x86) may show a
//! reader an old word behind a new tag.

use crate::addr::Address;
use crate::flow::{self, Flow, FlowKey, Progress};

/// Flows in a set.
pub const WAYS: u32 = 4;
/// Words of a set of IPv4: addresses and tag of each flow; when it ends and whose it is; times and counts.
pub const V4_WORDS: usize = 32;
/// Words of a set of IPv6: the same, with a hash for the addresses, and the addresses at the end.
pub const V6_WORDS: usize = 48;

const JUDGED: u32 = 8;
const COUNTED: u32 = 16;
const ADDRESSES: u32 = 32;

const VERSION_BITS: u32 = 4;
const GENERATION_BITS: u32 = 20;
/// Bits of a tag below ports and protocol.
const JUDGED_BITS: u32 = VERSION_BITS + GENERATION_BITS;
/// Generations that are told apart; what one of them judged is long forgotten when it comes again.
const GENERATIONS: u32 = (1 << GENERATION_BITS) - 2;
/// The generation in the tag of a flow that is being judged anew: nobody's yet.
const CLAIMED: u64 = (1 << GENERATION_BITS) - 1;
/// The tag of a place that is being filled: port 65,535 to itself by protocol 255, which is reserved.
const BUSY: u64 = u64::MAX;
const DEVICE_BITS: u32 = 24;
const DEVICE: u64 = (1 << DEVICE_BITS) - 1;
/// How long an answered flow was silent before it gives its place to another one, in nanoseconds.
const IDLE: u64 = 300_000_000_000;

/// The bits of a tag that say which flow it is, and not who judged it.
const FLOW: u64 = !(((1 << GENERATION_BITS) - 1) << VERSION_BITS);

/// Devices that flows can belong to.
pub const MOST_DEVICES: u32 = 1 << DEVICE_BITS;

/// The words of one set, shared with others that read and write them.
pub trait Set: Copy {
    /// A word.
    fn load(self, word: u32) -> u64;
    /// Replaces a word.
    fn store(self, word: u32, value: u64);
    /// Replaces a word, unless it is no longer the one that was `seen`; whether it did.
    fn exchange(self, word: u32, seen: u64, value: u64) -> bool;
}

/// Where sets lie.
pub trait Sets {
    /// One of them.
    type Set: Set;
    /// The set with this number, one of [`count`](Self::count).
    fn set(&self, is_v4: bool, number: u32) -> Option<Self::Set>;
    /// How many there are of a family: a power of two.
    fn count(&self, is_v4: bool) -> u32;
    /// What flows are hashed with.
    fn secret(&self) -> u64;

    /// What [`find`] says. The kernel program has it verified on its own.
    #[inline(always)]
    fn find(&self, key: &FlowKey) -> Place
    where
        Self: Sized,
    {
        find(key, self)
    }

    /// What [`worth`] says, likewise.
    #[inline(always)]
    fn worth(&self, is_v4: bool, number: u32, way: u32, now: u64) -> u64
    where
        Self: Sized,
    {
        worth(is_v4, number, way, now, self)
    }
}

/// Where a flow was found: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Its tag; 0 for nowhere.
    pub tag: u64,
    /// Its set.
    pub set: u32,
    /// Its place in there, and [`V4`](Self::V4).
    pub way: u32,
}

impl Place {
    /// Added to the way of a flow of IPv4.
    pub const V4: u32 = 1 << 8;

    /// Whether it is one of IPv4.
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        self.way & Self::V4 != 0
    }

    /// Its place in the set.
    #[inline(always)]
    const fn index(&self) -> u32 {
        self.way & (WAYS - 1)
    }
}

/// A flow's key as a set holds it.
struct Key {
    is_v4: bool,
    /// The addresses, or their hash.
    addresses: u64,
    /// Ports and protocol, 40 bits.
    service: u64,
    hash: u64,
}

impl Key {
    #[inline(always)]
    fn of(key: &FlowKey, secret: u64) -> Self {
        let is_v4 = key.source.is_v4();
        let ports = (key.source_port as u64) << 16 | key.destination_port as u64;
        let service = ports << 8 | key.protocol as u64;
        let addresses = if is_v4 {
            (key.source.low() as u64) << 32 | key.destination.low() as u64
        } else {
            let ([a, b], [c, d]) = (key.source.words(), key.destination.words());
            mix(mix(mix(mix(secret ^ a) ^ b) ^ c) ^ d)
        };
        let hash = mix(mix(addresses ^ secret) ^ service);
        Self { is_v4, addresses, service, hash }
    }

    /// The sets that the flow may be in, of so many.
    #[inline(always)]
    const fn sets(&self, count: u32) -> [u32; 2] {
        [self.hash as u32 & (count - 1), (self.hash >> 32) as u32 & (count - 1)]
    }

    #[inline(always)]
    const fn tag(&self, version: u64, generation: u64) -> u64 {
        self.service << JUDGED_BITS | generation << VERSION_BITS | version
    }
}

/// The finalizer of MurmurHash3 (Appleby, 2011): every bit has a part in every other.
#[inline(always)]
const fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let value = (value ^ value >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ value >> 33
}

/// A generation in a tag; 0 for none.
#[inline(always)]
const fn folded(generation: u32) -> u32 {
    if generation == 0 { 0 } else { generation % GENERATIONS + 1 }
}

/// The last generation up to `now` that is folded like this.
#[inline(always)]
const fn unfolded(generation: u32, now: u32) -> u32 {
    if generation == 0 || generation as u64 == CLAIMED {
        return 0;
    }
    let ago = (folded(now) + GENERATIONS - generation) % GENERATIONS;
    now.wrapping_sub(ago)
}

const fn is_claimed(tag: u64) -> bool {
    tag >> VERSION_BITS & CLAIMED == CLAIMED
}

const fn word_of_addresses(way: u32) -> u32 {
    way * 2
}

const fn word_of_tag(way: u32) -> u32 {
    way * 2 + 1
}

/// Looks for a flow.
#[inline(always)]
pub fn find<S: Sets>(key: &FlowKey, sets: &S) -> Place {
    let wanted = Key::of(key, sets.secret());
    let [first, second] = wanted.sets(sets.count(wanted.is_v4));
    // No loop: of one that runs twice the compiler makes something that the verifier takes for one without end.
    let place = find_in(first, key, &wanted, sets);
    if place.tag == 0 { find_in(second, key, &wanted, sets) } else { place }
}

#[inline(always)]
fn find_in<S: Sets>(number: u32, key: &FlowKey, wanted: &Key, sets: &S) -> Place {
    let Some(set) = sets.set(wanted.is_v4, number) else { return Place::default() };
    let mut way = 0;
    while way < WAYS {
        let tag = set.load(word_of_tag(way));
        if tag >> JUDGED_BITS == wanted.service && is_there(set, way, key, wanted, tag) {
            let family = if wanted.is_v4 { Place::V4 } else { 0 };
            return Place { tag, set: number, way: way | family };
        }
        way += 1;
    }
    Place::default()
}

#[inline(always)]
fn is_there<T: Set>(set: T, way: u32, key: &FlowKey, wanted: &Key, tag: u64) -> bool {
    if set.load(word_of_addresses(way)) != wanted.addresses || tag == BUSY {
        return false;
    }
    // Word by word: the compiler makes a call of a comparison of arrays.
    let [[a, b], [c, d]] = if wanted.is_v4 { [[0; 2]; 2] } else { addresses(set, way) };
    let ([e, f], [g, h]) = (key.source.words(), key.destination.words());
    let differs = ((a ^ e) | (b ^ f) | (c ^ g) | (d ^ h)) != 0 && !wanted.is_v4;
    !differs && is_of(set, way, tag)
}

/// Whether a place still has the flow of a tag, whoever has judged it by now.
#[inline(always)]
fn is_of<T: Set>(set: T, way: u32, tag: u64) -> bool {
    (set.load(word_of_tag(way)) ^ tag) & FLOW == 0
}

#[inline(always)]
fn addresses<T: Set>(set: T, way: u32) -> [[u64; 2]; 2] {
    let first = ADDRESSES + way * 4;
    [[set.load(first), set.load(first + 1)], [set.load(first + 2), set.load(first + 3)]]
}

/// What is remembered in a place; nothing where it has another flow by now. `now` is the generation that asks.
#[inline(always)]
pub fn load<T: Set>(set: T, place: &Place, now: u32) -> Option<Flow> {
    let way = place.index();
    let (judged, counted) = (JUDGED + way * 2, COUNTED + way * 4);
    let tag = set.load(word_of_tag(way));
    let owners = set.load(judged + 1);
    let mut flow = Flow {
        last_seen: set.load(counted),
        packets: set.load(counted + 1),
        bytes: set.load(counted + 2),
        expires: set.load(judged),
        generation: unfolded((tag >> VERSION_BITS) as u32 & ((1 << GENERATION_BITS) - 1), now),
        rule: set.load(counted + 3) as u32,
        opener: (owners & DEVICE) as u32,
        responder: (owners >> DEVICE_BITS & DEVICE) as u32,
        progress: (owners >> 56) as u8,
        ended: (owners >> 48) as u8,
        reserved: [0; 6],
    };
    let behind = set.load(word_of_tag(way));
    if (tag ^ place.tag) & FLOW != 0 || (behind ^ place.tag) & FLOW != 0 {
        return None;
    }
    if behind != tag {
        flow.generation = 0; // judged anew meanwhile: nobody has judged what was read
    }
    Some(flow)
}

#[inline(always)]
const fn owners(flow: &Flow) -> u64 {
    flow.opener as u64 & DEVICE
        | (flow.responder as u64 & DEVICE) << DEVICE_BITS
        | (flow.ended as u64) << 48
        | (flow.progress as u64) << 56
}

/// Replaces what is remembered in a place, unless it has another flow by now.
#[inline(always)]
pub fn store<T: Set>(set: T, place: &Place, flow: &Flow) {
    let way = place.index();
    let before = set.load(word_of_tag(way));
    if (before ^ place.tag) & FLOW != 0 {
        return;
    }
    fill(set, way, flow);
    let tag = before & FLOW | (folded(flow.generation) as u64) << VERSION_BITS;
    if before != place.tag || tag == before || is_claimed(before) {
        return;
    }
    let claimed = before & FLOW | CLAIMED << VERSION_BITS;
    if set.exchange(word_of_tag(way), before, claimed) {
        set.store(JUDGED + way * 2, flow.expires);
        set.store(word_of_tag(way), tag);
    }
}

#[inline(always)]
fn fill<T: Set>(set: T, way: u32, flow: &Flow) {
    let counted = COUNTED + way * 4;
    set.store(JUDGED + way * 2 + 1, owners(flow));
    set.store(counted, flow.last_seen);
    set.store(counted + 1, flow.packets);
    set.store(counted + 2, flow.bytes);
    set.store(counted + 3, flow.rule as u64);
}

/// Remembers a flow, where it was or in the best place that there is; whether there was one. Two that do so at once may
/// remember it twice; it is then found in one of both places. A flow with traffic gives its place to
/// nobody.
#[inline(always)]
pub fn insert<S: Sets>(key: &FlowKey, flow: &Flow, sets: &S) -> bool {
    let wanted = Key::of(key, sets.secret());
    let before = sets.find(key);
    if before.tag != 0 {
        return take(key, &wanted, flow, sets, before.set, before.way);
    }
    let [first, second] = wanted.sets(sets.count(wanted.is_v4));
    let one = best_in(first, wanted.is_v4, flow.last_seen, sets);
    let other = best_in(second, wanted.is_v4, flow.last_seen, sets);
    let (best, number) = if other > one { (other, second) } else { (one, first) };
    best >= WAYS as u64 && take(key, &wanted, flow, sets, number, best as u32)
}

/// The way of a set that is best given to a flow, below what that is worth; of two alike that of the emptier set.
#[inline(always)]
fn best_in<S: Sets>(number: u32, is_v4: bool, now: u64, sets: &S) -> u64 {
    let Some(set) = sets.set(is_v4, number) else { return 0 };
    let (mut best, mut taken, mut way) = (0, 0, 0);
    while way < WAYS {
        let tag = set.load(word_of_tag(way));
        // Without a comparison, of which the verifier would follow both outcomes from here on.
        taken += (tag | tag.wrapping_neg()) >> 63;
        let candidate = sets.worth(is_v4, number, way, now) * WAYS as u64 + way as u64;
        best = if candidate > best { candidate } else { best };
        way += 1;
    }
    best.saturating_sub(taken * WAYS as u64)
}

/// What [`Sets::worth`] does: how good it is to give a place to another flow at `now`; 0 for one that stays.
#[inline(always)]
pub fn worth<S: Sets>(is_v4: bool, number: u32, way: u32, now: u64, sets: &S) -> u64 {
    const FREE: u64 = 1 << 60;
    const DEAD: u64 = 1 << 59;
    const UNANSWERED: u64 = 1 << 58;
    /// More than the places of a set, so that what is worth anything stays so.
    const LEAST: u64 = 8;
    let Some(set) = sets.set(is_v4, number) else { return 0 };
    let way = way & (WAYS - 1);
    let tag = set.load(word_of_tag(way));
    if tag == 0 {
        return FREE;
    }
    if is_claimed(tag) {
        return 0;
    }
    let idle = now.saturating_sub(set.load(COUNTED + way * 4));
    let progress = (set.load(JUDGED + way * 2 + 1) >> 56) as u8;
    let kind = if idle > flow::timeout((tag >> JUDGED_BITS) as u8, progress) {
        DEAD
    } else if progress != Progress::Established as u8 {
        UNANSWERED
    } else if idle > IDLE {
        LEAST
    } else {
        return 0;
    };
    kind + (idle >> 20)
}

/// Takes a place, and fills it.
#[inline(always)]
fn take<S: Sets>(key: &FlowKey, wanted: &Key, flow: &Flow, sets: &S, number: u32, way: u32) -> bool {
    let way = way & (WAYS - 1);
    let Some(set) = sets.set(wanted.is_v4, number) else { return false };
    let before = set.load(word_of_tag(way));
    if is_claimed(before) || !set.exchange(word_of_tag(way), before, BUSY) {
        return false;
    }
    set.store(word_of_addresses(way), wanted.addresses);
    if !wanted.is_v4 {
        let first = ADDRESSES + way * 4;
        let ([a, b], [c, d]) = (key.source.words(), key.destination.words());
        set.store(first, a);
        set.store(first + 1, b);
        set.store(first + 2, c);
        set.store(first + 3, d);
    }
    set.store(JUDGED + way * 2, flow.expires);
    fill(set, way, flow);
    // Never 0, which is nobody's tag.
    let version = (before & ((1 << VERSION_BITS) - 1)) % ((1 << VERSION_BITS) - 1) + 1;
    set.store(word_of_tag(way), wanted.tag(version, folded(flow.generation) as u64));
    true
}

/// The flow in one place of a set, with its key; nothing where there is none. `now` is the generation that asks.
pub fn read<T: Set>(set: T, is_v4: bool, way: u32, now: u32) -> Option<(FlowKey, Flow)> {
    let tag = set.load(word_of_tag(way));
    if tag == 0 || tag == BUSY {
        return None;
    }
    let (source, destination) = if is_v4 {
        let both = set.load(word_of_addresses(way));
        (v4((both >> 32) as u32), v4(both as u32))
    } else {
        let [source, destination] = addresses(set, way);
        (v6(source), v6(destination))
    };
    let service = tag >> JUDGED_BITS;
    let key = FlowKey {
        source,
        destination,
        source_port: (service >> 24) as u16,
        destination_port: (service >> 8) as u16,
        protocol: service as u8,
        reserved: 0,
        reserved_end: 0,
    };
    let family = if is_v4 { Place::V4 } else { 0 };
    Some((key, load(set, &Place { tag, set: 0, way: way | family }, now)?))
}

const fn v4(address: u32) -> Address {
    Address::from_v4(address.to_be_bytes())
}

fn v6([high, low]: [u64; 2]) -> Address {
    let mut bytes = [0; 16];
    let (first, last) = bytes.split_at_mut(8);
    first.copy_from_slice(&high.to_be_bytes());
    last.copy_from_slice(&low.to_be_bytes());
    Address::from_v6(bytes)
}
