//! Questions to a group, and who may answer them: WS-Discovery (IEEE 11073-20702), DHCP, and the like.
//!
//! An answer comes from an address that nobody asked, so no flow knows it. What is remembered is who asked,
//! from which port, for which service, and which group; whether an answer passes is for the rules to say.

use crate::addr::{Address, Mac};
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

/// Who asked what: 24 bytes, a table key.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryKey {
    /// Who asked.
    pub asker: Address,
    /// The device that asked, where `asker` is `0.0.0.0` or `::`, which many may use; 0 otherwise.
    pub device: u32,
    /// The port that it asked from.
    pub asker_port: u16,
    /// The port that it asked.
    pub service_port: u16,
}

/// A question: 24 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// When it was asked, in nanoseconds of the program's clock.
    pub asked: u64,
    /// Whom.
    pub group: Address,
}

/// Whether a packet asks a group: UDP to a multicast or broadcast address, or to a network's own broadcast
/// address, which its hardware address gives away.
#[inline(always)]
pub fn is_query(packet: &Packet) -> bool {
    packet.protocol == protocol::UDP
        && packet.fragment() as u8 != Fragment::Later as u8
        && (packet.destination.is_multicast()
            || (packet.destination.is_v4() && packet.destination_mac == BROADCAST))
}

/// Notes that a question passes; `device` is who sends it, 0 for nobody of ours.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn remember<T: Tables>(packet: &Packet, device: u32, now: u64, tables: &T) {
    let key = QueryKey {
        asker: packet.source,
        device: if packet.source.is_unspecified() { device } else { 0 },
        asker_port: packet.source_port,
        service_port: packet.destination_port,
    };
    if let Some(query) = tables.query(&key)
        && query.group == packet.destination
        && now.saturating_sub(query.asked) < REFRESH
    {
        return;
    }
    tables.remember_query(&key, &Query { asked: now, group: packet.destination });
}

/// The group whose question a packet to `device` (0 for nobody of ours) answers.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn answered<T: Tables>(packet: &Packet, device: u32, now: u64, tables: &T) -> Option<Address> {
    if packet.protocol != protocol::UDP || is_query(packet) {
        return None;
    }
    let mut key = QueryKey {
        asker: packet.destination,
        device: 0,
        asker_port: packet.destination_port,
        service_port: packet.source_port,
    };
    let mut query = alive(tables.query(&key), now);
    if query.is_none() && device != 0 && packet.source_port == DHCP_SERVER && packet.source.is_v4() {
        key.asker = Address::from_v4([0; 4]);
        key.device = device;
        query = alive(tables.query(&key), now);
    }
    query.map(|query| query.group)
}

#[inline(always)]
fn alive(query: Option<Query>, now: u64) -> Option<Query> {
    query.filter(|query| now.saturating_sub(query.asked) <= LIFETIME)
}
