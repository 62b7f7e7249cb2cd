//! Questions to a group, and who may answer them: WS-Discovery (IEEE 11073-20702), DHCP, and the like.
//!
//! An answer comes from an address that nobody asked, so no flow knows it. What is remembered is who asked,
//! from which port, for which service, and which group; whether an answer passes is for the rules to say. It may
//! come from a port that nobody asked either: SOAP over UDP (OASIS, 1.1 §4) says to which port an answer goes, and not
//! from which, and devices that speak SDC answer from one of their own. A service of a well-known port answers from it.

use crate::addr::{Address, Mac};
use crate::lease;
use crate::packet::{Fragment, Packet, protocol};
use crate::tables::Tables;

const SECOND: u64 = 1_000_000_000;
/// How long answers are waited for: WS-Discovery's senders wait half a second and match for ten (OASIS
/// WS-Discovery 1.1 §3.1.3), SSDP's spread theirs over five, DHCP's clients ask again after 64 at most
/// (RFC 2131 §4.1).
const LIFETIME: u64 = 30 * SECOND;
/// A question that is repeated sooner is not noted again.
const REFRESH: u64 = SECOND;
const DHCP_SERVER: u16 = 67;
/// The first port that is not well-known (RFC 6335 §6).
const FIRST_USER_PORT: u16 = 1_024;
const BROADCAST: Mac = Mac([0xff; 6]);

/// Questions that are remembered of a device at a time.
const OF_DEVICE: u32 = 8;
/// Questions that are remembered of everybody else.
const OF_OTHERS: u32 = 8_192;

/// Who asked whom, from which port, for which service: 48 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// When it was asked, in nanoseconds of the program's clock; 0 for no question.
    pub asked: u64,
    /// Who asked.
    pub asker: Address,
    /// Whom.
    pub group: Address,
    /// The port that it asked from.
    pub asker_port: u16,
    /// The port that it asked.
    pub service_port: u16,
    /// Padding, zero.
    pub reserved: u32,
}

/// What an answer answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whom.
    pub group: Address,
    /// For which port.
    pub service_port: u16,
}

/// Places for questions where there are numbers for so many devices.
pub const fn places(devices: u32) -> u32 {
    OF_OTHERS + devices * OF_DEVICE
}

/// Where the questions of a device, or of everybody else, are remembered that may be this one, and how many places
/// there are. Each device has its own, and who is no device has none of them: nobody asks in the name of another,
/// or pushes out what another has asked.
#[inline(always)]
const fn set(device: u32, asker: Address, asker_port: u16) -> (u32, u32) {
    if device != 0 {
        return (OF_OTHERS + device * OF_DEVICE, OF_DEVICE);
    }
    let [high, low] = asker.words();
    let mixed = (high ^ low.rotate_left(32) ^ (asker_port as u64) << 16).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) as u32 % OF_OTHERS, 1)
}

/// The place of what was asked from a port: where that is remembered, or else the oldest one.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn place<T: Tables>(device: u32, asker: Address, asker_port: u16, tables: &T) -> u32 {
    let (first, places) = set(device, asker, asker_port);
    let (mut oldest, mut since) = (first, u64::MAX);
    for index in 0..OF_DEVICE {
        if index >= places {
            break;
        }
        let held = tables.query(first + index);
        if held.is_of(asker, asker_port) {
            return first + index;
        }
        if held.asked < since {
            (oldest, since) = (first + index, held.asked);
        }
    }
    oldest
}

/// Whether a packet asks a group: UDP to a multicast or broadcast address, or to a network's own broadcast
/// address, which its hardware address gives away and which is nobody's in a segment.
#[inline(always)]
pub fn is_query<T: Tables>(packet: &Packet, now: u64, tables: &T) -> bool {
    packet.protocol == protocol::UDP
        && packet.fragment() as u8 != Fragment::Later as u8
        && (packet.destination.is_multicast() || is_directed_broadcast(packet, now, tables))
}

#[inline(always)]
fn is_directed_broadcast<T: Tables>(packet: &Packet, now: u64, tables: &T) -> bool {
    packet.destination.is_v4()
        && packet.destination_mac == BROADCAST
        && tables.in_segment(packet.destination)
        && lease::bound_to(packet.destination, now, tables) == 0
}

/// Notes that a question passes; `device` is who sends it, 0 for nobody of ours.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn remember<T: Tables>(packet: &Packet, device: u32, now: u64, tables: &T) {
    let query = Query {
        asked: now,
        asker: packet.source,
        group: packet.destination,
        asker_port: packet.source_port,
        service_port: packet.destination_port,
        reserved: 0,
    };
    let place = place(device, query.asker, query.asker_port, tables);
    let held = tables.query(place);
    let is_same = held.is_of(query.asker, query.asker_port)
        && held.group == query.group
        && held.service_port == query.service_port;
    if is_same && now.saturating_sub(held.asked) < REFRESH {
        return;
    }
    tables.remember_query(place, &query);
}

/// What a packet to `device` (0 for nobody of ours) answers.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn answered<T: Tables>(packet: &Packet, device: u32, now: u64, tables: &T) -> Option<Asked> {
    if packet.protocol != protocol::UDP || is_query(packet, now, tables) {
        return None;
    }
    let mut found = asked(device, packet.destination, packet, now, tables);
    if found.is_none() && device != 0 && packet.source_port == DHCP_SERVER && packet.source.is_v4() {
        found = asked(device, Address::from_v4([0; 4]), packet, now, tables);
    }
    // Who hears a network's own broadcast is in that network.
    found.filter(|asked| asked.group.is_multicast() || tables.in_segment(packet.source))
}

/// What an asker has asked a group, and a packet may answer.
#[inline(always)]
fn asked<T: Tables>(device: u32, asker: Address, packet: &Packet, now: u64, tables: &T) -> Option<Asked> {
    let held = tables.query(place(device, asker, packet.destination_port, tables));
    let is_alive = held.asked != 0 && now.saturating_sub(held.asked) <= LIFETIME;
    let is_its = held.is_of(asker, packet.destination_port) && held.may_answer_from(packet.source_port);
    if is_alive && is_its { Some(Asked { group: held.group, service_port: held.service_port }) } else { None }
}

impl Query {
    #[inline(always)]
    fn is_of(&self, asker: Address, asker_port: u16) -> bool {
        self.asker == asker && self.asker_port == asker_port
    }

    #[inline(always)]
    const fn may_answer_from(&self, port: u16) -> bool {
        port == self.service_port || (port >= FIRST_USER_PORT && self.service_port >= FIRST_USER_PORT)
    }
}
