//! Remembered flows in flat memory: sets of four, in one line of which everything lies that tells whether a flow
//! is there, and a line for each flow. Both directions of a conversation have the same two sets; a flow goes into
//! the first one as long as that is nearly empty, then into the emptier one (Azar, Broder, Karlin, Upfal:
//! "Balanced Allocations", STOC 1994). Nobody outside knows the secret that says which.
//!
//! # Many processors
//! A set is read and written by all of them without a lock. What a reader relies on is one word, the tag: ports,
//! protocol, a version that changes whenever the place is given to another flow, the last bits of the generation that
//! judged the flow, and whether somebody is about to judge it anew. Whoever gives a place away takes the tag out first,
//! and puts the new one in last. So a reader that finds the same flow in the tag before and after it has read the rest
//! has read that flow, and a writer that exchanges the tag that it found exchanges that of the same flow. Both rest on
//! the version: it comes again when the place has changed hands 65,535 times, all while one packet is looked at. (A
//! version of a few bits is not enough: a virtual processor stands still for milliseconds, and a process for longer.
//! Whoever goes on behind fifteen changes as if there had been none gives one flow the end of another.)
//!
//! Whoever judges a flow anew claims the tag that it has seen before, and puts one of its own generation in behind:
//! where the place is another's by then, or another judges, nothing happens, and who reads meanwhile judges for itself.
//! Only who has taken out or claimed the tag writes what the judgement was: the end, and last, in one word with the
//! rule, the whole generation. A reader asks for that word first. If it has this generation, then what is read behind
//! is that judgement's or a later one's, and a later one shows in the tag: not by its generation where that is 128 ahead,
//! but nobody judges so far ahead while one packet is looked at.
//!
//! What is written without all that (times, counts, devices, origins) can land on the next owner of a place; of those
//! only devices and origins count for anything. A flow whose devices are not those at its ends is judged again, and an
//! [`Origin`] is held together with the tag that it is good for.
//!
//! Words are loaded and stored in the order of the program. Processors that do otherwise (not x86) may show a
//! reader an old word behind a new tag.

use crate::addr::Address;
use crate::flow::{Flow, FlowKey};
use crate::tables::FlowEntry;

mod insert;
mod recall;

pub use insert::{insert, worth};
pub use recall::{Origin, Recalled, Sighting, recall};

/// Flows in a set.
pub const WAYS: u32 = 4;
/// Words of a set of IPv4: a line with addresses and tag of each flow, then a line for each of them.
pub const V4_WORDS: usize = 40;
/// Words of a set of IPv6: the same, with a hash for the addresses, and the addresses at the end.
pub const V6_WORDS: usize = 56;

/// Words of a line.
const LINE: u32 = 8;
const ADDRESSES: u32 = LINE * (1 + WAYS);

/// Where things are in the line of a flow.
mod detail {
    /// When what allowed it ends.
    pub(super) const EXPIRES: u32 = 0;
    /// Whose it is, and how far it has come.
    pub(super) const OWNERS: u32 = 1;
    pub(super) const SEEN: u32 = 2;
    pub(super) const PACKETS: u32 = 3;
    pub(super) const BYTES: u32 = 4;
    /// The rule that allowed it, below the generation that said so.
    pub(super) const JUDGEMENT: u32 = 5;
    /// Where its packets come from, in the direction in which it was opened, then in the other one.
    pub(super) const ORIGINS: u32 = 6;
}

const VERSION_BITS: u32 = 16;
/// The last bits of a generation in a tag: enough to tell those apart that judge at the same time.
const GENERATION_BITS: u32 = 7;
/// Bits of a tag below ports and protocol.
const JUDGED_BITS: u32 = VERSION_BITS + GENERATION_BITS + 1;
/// In the tag of a flow that is being judged anew.
const CLAIMED: u64 = 1 << (JUDGED_BITS - 1);
/// The tag of a place that is being filled, which is claimed as well: port 65,535 to itself by protocol 255, which is
/// reserved.
const BUSY: u64 = u64::MAX;
const DEVICE_BITS: u32 = 24;
const DEVICE: u64 = (1 << DEVICE_BITS) - 1;

/// The bits of a tag that say which flow it is, and not who judged it.
const FLOW: u64 = !(CLAIMED | ((1 << GENERATION_BITS) - 1) << VERSION_BITS);

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
    /// The same, opened by the other side.
    mirrored: (u64, u64),
    hash: u64,
}

impl Key {
    #[inline(always)]
    fn of(key: &FlowKey, secret: u64) -> Self {
        let is_v4 = key.source.is_v4();
        let (from, to) = (key.source_port as u64, key.destination_port as u64);
        let service = |from, to| (from << 16 | to) << 8 | key.protocol as u64;
        let (source, destination, addresses, mirrored);
        if is_v4 {
            let (low, high) = (key.destination.low() as u64, key.source.low() as u64);
            (addresses, mirrored) = (high << 32 | low, low << 32 | high);
            (source, destination) = (mix(secret ^ (high << 16 | from)), mix(secret ^ (low << 16 | to)));
        } else {
            let ([a, b], [c, d]) = (key.source.words(), key.destination.words());
            source = mix(mix(secret ^ a) ^ b.rotate_left(16) ^ from);
            destination = mix(mix(secret ^ c) ^ d.rotate_left(16) ^ to);
            addresses = source.wrapping_add(destination.rotate_left(32));
            mirrored = destination.wrapping_add(source.rotate_left(32));
        }
        // The same for both directions.
        let both = source.wrapping_add(destination).wrapping_add(key.protocol as u64);
        let hash = (both ^ both >> 32).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        Self {
            is_v4,
            addresses,
            service: service(from, to),
            mirrored: (mirrored, service(to, from)),
            hash: hash ^ hash >> 29,
        }
    }

    /// The sets that the flow may be in, of so many.
    #[inline(always)]
    const fn sets(&self, count: u32) -> [u32; 2] {
        [self.hash as u32 & (count - 1), (self.hash >> 32) as u32 & (count - 1)]
    }

    #[inline(always)]
    const fn tag(&self, version: u64, generation: u32) -> u64 {
        self.service << JUDGED_BITS | in_tag(generation) | version
    }
}

/// The finalizer of MurmurHash3 (Appleby, 2011): every bit has a part in every other.
#[inline(always)]
const fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let value = (value ^ value >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    value ^ value >> 33
}

/// A generation as it stands in a tag that nobody claims.
#[inline(always)]
const fn in_tag(generation: u32) -> u64 {
    (generation as u64 & ((1 << GENERATION_BITS) - 1)) << VERSION_BITS
}

/// The version that follows that of a tag. Never 0, so that no tag is 0, which is nobody's.
#[inline(always)]
const fn next_version(tag: u64) -> u64 {
    const LAST: u64 = (1 << VERSION_BITS) - 1;
    let next = (tag & LAST) + 1;
    next & LAST | next >> VERSION_BITS
}

#[inline(always)]
const fn is_claimed(tag: u64) -> bool {
    tag & CLAIMED != 0
}

#[inline(always)]
const fn word_of_addresses(way: u32) -> u32 {
    way * 2
}

#[inline(always)]
const fn word_of_tag(way: u32) -> u32 {
    way * 2 + 1
}

/// A word in the line of a flow.
#[inline(always)]
const fn word_of(way: u32, detail: u32) -> u32 {
    LINE + way * LINE + detail
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

/// What is remembered in a place; nothing where it has another flow by now.
#[inline(always)]
pub fn load<T: Set>(set: T, place: &Place) -> Option<Flow> {
    let way = place.index();
    let tag = set.load(word_of_tag(way));
    // Before all that was judged.
    let judgement = set.load(word_of(way, detail::JUDGEMENT));
    let owners = set.load(word_of(way, detail::OWNERS));
    let mut flow = Flow {
        last_seen: set.load(word_of(way, detail::SEEN)),
        packets: set.load(word_of(way, detail::PACKETS)),
        bytes: set.load(word_of(way, detail::BYTES)),
        expires: set.load(word_of(way, detail::EXPIRES)),
        generation: (judgement >> 32) as u32,
        rule: judgement as u32,
        opener: devices(owners).0,
        responder: devices(owners).1,
        progress: (owners >> 56) as u8,
        ended: (owners >> 48) as u8,
        reserved: [0; 6],
    };
    let behind = set.load(word_of_tag(way));
    if (tag ^ place.tag) & FLOW != 0 || (behind ^ place.tag) & FLOW != 0 {
        return None;
    }
    if behind != tag || is_claimed(tag) {
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

/// Who opened, and who was opened to.
#[inline(always)]
const fn devices(owners: u64) -> (u32, u32) {
    ((owners & DEVICE) as u32, (owners >> DEVICE_BITS & DEVICE) as u32)
}

/// Remembers where packets of a flow come from in one direction, which a generation has judged in full.
#[inline(always)]
fn set_origin<T: Set>(set: T, place: &Place, generation: u32, is_reply: bool, origin: Origin) {
    let way = place.index();
    let word = word_of(way, detail::ORIGINS + is_reply as u32);
    let (held, new) = (set.load(word), origin.word(place.tag & FLOW | in_tag(generation)));
    if held != new {
        // Where it lands on the next flow, or on the next judgement, it is good for neither.
        let _is_set = set.exchange(word, held, new);
    }
}

/// A remembered flow in its place.
#[derive(Debug)]
pub struct Entry<S> {
    sets: S,
    place: Place,
    /// The generation that asks.
    now: u32,
}

impl<S: Sets> Entry<S> {
    /// The flow with this key, for the generation that asks.
    #[inline(always)]
    pub fn find(sets: S, key: &FlowKey, now: u32) -> Option<Self> {
        let place = sets.find(key);
        if place.tag == 0 { None } else { Some(Self { sets, place, now }) }
    }

    #[inline(always)]
    fn set(&self) -> Option<S::Set> {
        self.sets.set(self.place.is_v4(), self.place.set)
    }
}

impl<S: Sets> FlowEntry for Entry<S> {
    #[inline(always)]
    fn load(&self) -> Flow {
        // Where the place is another's by now, the flow is one that nobody has judged.
        self.set().and_then(|set| load(set, &self.place)).unwrap_or_default()
    }

    #[inline(always)]
    fn store(&self, flow: &Flow) {
        if let Some(set) = self.set() {
            store(set, &self.place, flow);
        }
    }

    #[inline(always)]
    fn set_origin(&self, is_reply: bool, origin: Origin) {
        if let Some(set) = self.set() {
            set_origin(set, &self.place, self.now, is_reply, origin);
        }
    }

    #[inline(always)]
    fn look_again(&self) {
        if let Some(set) = self.set() {
            forget_origins(set, self.place.index());
        }
    }
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
    let is_as_it_was = set.load(word_of(way, detail::JUDGEMENT)) == judgement(flow)
        && set.load(word_of(way, detail::EXPIRES)) == flow.expires;
    if before != place.tag || is_as_it_was || is_claimed(before) {
        return;
    }
    if set.exchange(word_of_tag(way), before, before & FLOW | CLAIMED) {
        judge(set, way, flow);
        set.store(word_of_tag(way), before & FLOW | in_tag(flow.generation));
    }
}

/// Writes what counts by itself for nobody.
#[inline(always)]
fn fill<T: Set>(set: T, way: u32, flow: &Flow) {
    set.store(word_of(way, detail::OWNERS), owners(flow));
    set.store(word_of(way, detail::SEEN), flow.last_seen);
    set.store(word_of(way, detail::PACKETS), flow.packets);
    set.store(word_of(way, detail::BYTES), flow.bytes);
}

/// Writes what was judged, for whoever has taken out or claimed the tag.
#[inline(always)]
fn judge<T: Set>(set: T, way: u32, flow: &Flow) {
    forget_origins(set, way);
    set.store(word_of(way, detail::EXPIRES), flow.expires);
    // Behind what it stands for.
    set.store(word_of(way, detail::JUDGEMENT), judgement(flow));
}

#[inline(always)]
const fn judgement(flow: &Flow) -> u64 {
    (flow.generation as u64) << 32 | flow.rule as u64
}

#[inline(always)]
fn forget_origins<T: Set>(set: T, way: u32) {
    set.store(word_of(way, detail::ORIGINS), 0);
    set.store(word_of(way, detail::ORIGINS + 1), 0);
}

/// The flow in one place of a set, with its key; nothing where there is none.
pub fn read<T: Set>(set: T, is_v4: bool, way: u32) -> Option<(FlowKey, Flow)> {
    let tag = set.load(word_of_tag(way));
    if tag == 0 || tag == BUSY {
        return None;
    }
    let (source, destination) = if is_v4 {
        let both = set.load(word_of_addresses(way));
        (v4((both >> 32) as u32), v4(both as u32))
    } else {
        let [source, destination] = addresses(set, way);
        (Address::from_words(source), Address::from_words(destination))
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
    Some((key, load(set, &Place { tag, set: 0, way: way | family })?))
}

const fn v4(address: u32) -> Address {
    Address::from_v4(address.to_be_bytes())
}
