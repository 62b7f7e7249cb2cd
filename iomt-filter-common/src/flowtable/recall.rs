//! Finding the flow of a packet that need not be judged: one line says where it is, another one all the rest.

use super::{
    DEVICE, DEVICE_BITS, FLOW, JUDGED_BITS, Key, Set, Sets, VERSION_BITS, WAYS, addresses, detail, in_tag,
    word_of, word_of_addresses, word_of_tag,
};
use crate::addr::Mac;
use crate::device::Port;
use crate::flow::{self, FlowKey, Progress};
use crate::limit;

/// All that a judgement knows of where a packet comes from: on a device port hardware address and VLAN. 61 bits;
/// 0 for nowhere.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin(u64);

const VLAN_BITS: u32 = 12;
/// The bits of a word that say nothing but for which version of a place it is good.
const CHECK_BITS: u32 = 3;
// They and what is below the hardware address are as many as there are bits of a version.
const _: () = assert!(CHECK_BITS + 1 + VLAN_BITS == VERSION_BITS);

impl Origin {
    /// A sender on a port, in a VLAN.
    #[inline(always)]
    pub const fn new(port: Port, vlan: u16, mac: Mac) -> Self {
        Self::of(port, vlan, mac.number())
    }

    /// The same, of a hardware address as a number of 48 bits.
    #[inline(always)]
    pub const fn of(port: Port, vlan: u16, mac: u64) -> Self {
        let is_device = port as u8 == Port::Device as u8;
        // On an uplink everybody may bring everything.
        let mac = if is_device { mac } else { (1 << 48) - 1 };
        Self((mac << VLAN_BITS | vlan as u64) << 1 | is_device as u64)
    }

    /// As it stands beside the tag of a flow, which is laid over it: with each tag it is another word. What lands on the
    /// next flow of a place, or on the next judgement, is good for neither. The version lies over port and VLAN, and
    /// fills them: nobody on such a port in that VLAN has that word of another version. The generation is scattered over the hardware
    /// address, because those of neighbours are alike. It can be 0, as where none is held.
    #[inline(always)]
    pub(super) const fn word(self, tag: u64) -> u64 {
        /// Odd, so that no two tags come out the same, nor the lowest bits of two versions: 2^64 by the golden ratio
        /// (Knuth: "The Art of Computer Programming", volume 3, section 6.4).
        const SCATTER: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 << CHECK_BITS ^ tag.wrapping_mul(SCATTER)
    }
}

/// A packet that may belong to a flow.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// Where it comes from.
    pub origin: Origin,
    /// When it came, in nanoseconds of the program's clock.
    pub now: u64,
    /// When the minute began in which that is.
    pub minute: u64,
    /// The generation that judges.
    pub generation: u32,
    /// Bytes of its frame.
    pub length: u32,
    /// 1 where it may be added to a flow; otherwise it is only asked whether there is one.
    pub may_be_added: u32,
    /// Padding, zero: the kernel's verifier wants every byte written that a function is shown.
    pub reserved: u32,
}

const _: () = assert!(size_of::<Sighting>() == 40);

/// A flow to which a packet was added: the device that the packet is attributed to, and the rule. One word, so that there
/// is nothing of it where there is none.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recalled(pub u64);

impl Recalled {
    /// No flow to which a packet can be added as it is.
    pub const NONE: Self = Self(0);
    /// No flow between these ends at all. Its bit is neither of a device nor of a rule.
    pub const ABSENT: Self = Self(1 << 31);

    /// Who sends before who receives.
    #[inline(always)]
    const fn new(sender: u64, receiver: u64, rule: u64) -> Self {
        Self(rule << 32 | if sender != 0 { sender } else { receiver })
    }

    /// Whether it is known that there is none.
    #[inline(always)]
    pub const fn is_absent(self) -> bool {
        self.0 & Self::ABSENT.0 != 0
    }

    /// Whether there is one. A device is at one of its ends at least.
    #[inline(always)]
    pub const fn is_some(self) -> bool {
        self.0 != Self::NONE.0 && self.0 & Self::ABSENT.0 == 0
    }

    /// The device: the sender, or else the receiver.
    #[inline(always)]
    pub const fn device(self) -> u32 {
        (self.0 & DEVICE) as u32
    }

    /// The rule that allowed the flow.
    #[inline(always)]
    pub const fn rule(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A place in a set and the tag that was seen there, 0 for none; [`REPLY`] is added for the other direction.
struct Found {
    tag: u64,
    way: u32,
}

impl Found {
    #[inline(always)]
    const fn is_some(&self) -> bool {
        self.tag != 0
    }
}

const REPLY: u32 = WAYS;

/// Adds a packet to its flow, where nothing about it is to be judged: this generation has judged the flow, which
/// waits for no answer that this might be and was ended by nobody, it had traffic in this minute and holds, and a packet
/// in the same direction with the same origin has been judged in full.
#[inline(always)]
pub fn recall<S: Sets>(key: &FlowKey, seen: &Sighting, sets: &S) -> Recalled {
    let wanted = Key::of(key, sets.secret());
    let [first, second] = wanted.sets(sets.count(wanted.is_v4));
    let Some(set) = sets.set(wanted.is_v4, first) else { return Recalled::NONE };
    let found = found_in(set, &wanted);
    if found.is_some() {
        return add(set, &found, key, wanted.is_v4, seen);
    }
    let Some(set) = sets.set(wanted.is_v4, second) else { return Recalled::NONE };
    let found = found_in(set, &wanted);
    if found.is_some() { add(set, &found, key, wanted.is_v4, seen) } else { Recalled::ABSENT }
}

#[inline(always)]
fn found_in<T: Set>(set: T, wanted: &Key) -> Found {
    let mut way = 0;
    while way < WAYS {
        let tag = set.load(word_of_tag(way));
        let service = tag >> JUDGED_BITS;
        if service == wanted.service && set.load(word_of_addresses(way)) == wanted.addresses {
            return Found { tag, way };
        }
        if service == wanted.mirrored.1 && set.load(word_of_addresses(way)) == wanted.mirrored.0 {
            return Found { tag, way: way | REPLY };
        }
        way += 1;
    }
    Found { tag: 0, way: 0 }
}

#[inline(always)]
fn add<T: Set>(set: T, found: &Found, key: &FlowKey, is_v4: bool, seen: &Sighting) -> Recalled {
    const ASKED: u64 = (Progress::Opening as u64) << 8;
    const ANSWERED: u64 = (Progress::Established as u64) << 8;
    let (way, tag) = (found.way & (WAYS - 1), found.tag);
    let is_reply = found.way & REPLY != 0;
    // Before all that was judged.
    let judgement = set.load(word_of(way, detail::JUDGEMENT));
    let owners = set.load(word_of(way, detail::OWNERS));
    let origin = set.load(word_of(way, detail::ORIGINS + is_reply as u32));
    let expires = set.load(word_of(way, detail::EXPIRES));
    let last_seen = set.load(word_of(way, detail::SEEN));
    let has_not_timed_out = match owners >> 48 {
        ANSWERED => true,
        // Nobody need answer what a device sends.
        ASKED => !is_reply && seen.now.saturating_sub(last_seen) <= flow::OPENING,
        _ => false,
    };
    let is_known = seen.may_be_added != 0
        && tag & !FLOW == in_tag(seen.generation)
        && judgement >> 32 == seen.generation as u64
        && has_not_timed_out
        && origin != 0
        && origin == seen.origin.word(tag)
        && (expires == 0 || seen.now < expires)
        && last_seen.wrapping_sub(seen.minute) < limit::WINDOW;
    if !is_known || (!is_v4 && !has_ends(set, way, key, is_reply)) {
        return Recalled::NONE;
    }
    let rule = judgement & u32::MAX as u64;
    let (packets, bytes) = (set.load(word_of(way, detail::PACKETS)), set.load(word_of(way, detail::BYTES)));
    if set.load(word_of_tag(way)) != tag {
        return Recalled::NONE;
    }
    set.store(word_of(way, detail::SEEN), seen.now);
    set.store(word_of(way, detail::PACKETS), packets + 1);
    set.store(word_of(way, detail::BYTES), bytes + seen.length as u64);
    let (opener, responder) = (owners & DEVICE, owners >> DEVICE_BITS & DEVICE);
    if is_reply { Recalled::new(responder, opener, rule) } else { Recalled::new(opener, responder, rule) }
}

/// Whether a flow of IPv6 has these ends.
#[inline(always)]
fn has_ends<T: Set>(set: T, way: u32, key: &FlowKey, is_reply: bool) -> bool {
    let [[a, b], [c, d]] = addresses(set, way);
    let (source, destination) =
        if is_reply { (key.destination, key.source) } else { (key.source, key.destination) };
    let ([e, f], [g, h]) = (source.words(), destination.words());
    ((a ^ e) | (b ^ f) | (c ^ g) | (d ^ h)) == 0
}
