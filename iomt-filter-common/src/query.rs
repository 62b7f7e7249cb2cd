//! Questions to a group, and who may answer them: WS-Discovery (IEEE 11073-20702), DHCP, and the like.
//!
//! An answer comes from an address that nobody asked, so no flow knows it. What is remembered is who asked,
//! from which port, for which service, and which group; whether an answer passes is for the rules to say.

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

/// Places for questions where there are numbers for so many devices.
pub const fn places(devices: u32) -> u32 {
    OF_OTHERS + devices * OF_DEVICE
}

/// Where the questions of a device, or of everybody else, are remembered that may be this one, and how many places
/// there are. Each device has its own, and who is no device has none of them: nobody asks in the name of another,
/// or pushes out what another has asked.
#[inline(always)]
const fn set(device: u32, asker: Address, asker_port: u16, service_port: u16) -> (u32, u32) {
    if device != 0 {
        return (OF_OTHERS + device * OF_DEVICE, OF_DEVICE);
    }
    let [high, low] = asker.words();
    let mixed = (high ^ low.rotate_left(32) ^ (asker_port as u64) << 16 ^ service_port as u64)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 32) as u32 % OF_OTHERS, 1)
}

/// The place of a question: where it is remembered, or else the oldest one.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn place<T: Tables>(device: u32, asker: Address, ports: [u16; 2], tables: &T) -> u32 {
    let (first, places) = set(device, asker, ports[0], ports[1]);
    let (mut oldest, mut since) = (first, u64::MAX);
    for index in 0..OF_DEVICE {
        if index >= places {
            break;
        }
        let held = tables.query(first + index);
        if held.is_of(asker, ports) {
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
    let ports = [query.asker_port, query.service_port];
    let place = place(device, query.asker, ports, tables);
    let held = tables.query(place);
    if held.is_of(query.asker, ports) && held.group == query.group && now.saturating_sub(held.asked) < REFRESH
    {
        return;
    }
    tables.remember_query(place, &query);
}

/// The group whose question a packet to `device` (0 for nobody of ours) answers.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn answered<T: Tables>(packet: &Packet, device: u32, now: u64, tables: &T) -> Option<Address> {
    if packet.protocol != protocol::UDP || is_query(packet, now, tables) {
        return None;
    }
    let mut group = asked(device, packet.destination, packet, now, tables);
    if group.is_none() && device != 0 && packet.source_port == DHCP_SERVER && packet.source.is_v4() {
        group = asked(device, Address::from_v4([0; 4]), packet, now, tables);
    }
    // Who hears a network's own broadcast is in that network.
    group.filter(|group| group.is_multicast() || tables.in_segment(packet.source))
}

/// The group that an asker has asked for what a packet may answer.
#[inline(always)]
fn asked<T: Tables>(device: u32, asker: Address, packet: &Packet, now: u64, tables: &T) -> Option<Address> {
    let ports = [packet.destination_port, packet.source_port];
    let held = tables.query(place(device, asker, ports, tables));
    let is_alive = held.asked != 0 && now.saturating_sub(held.asked) <= LIFETIME;
    if is_alive && held.is_of(asker, ports) { Some(held.group) } else { None }
}

impl Query {
    #[inline(always)]
    fn is_of(&self, asker: Address, [own, service]: [u16; 2]) -> bool {
        self.asker == asker && self.asker_port == own && self.service_port == service
    }
}
