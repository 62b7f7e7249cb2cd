//! What the first fragment of a packet says for the later ones, which have no ports of their own.

use crate::addr::Address;
use crate::packet::{Kind, Packet};
use crate::tables::Tables;

/// How long later fragments are waited for, in nanoseconds: RFC 8200 §4.5 gives them 60 seconds, and
/// nothing in a hospital's network takes that long.
const LIFETIME: u64 = 30_000_000_000;

/// Which packet a fragment belongs to (RFC 791 §3.2, RFC 8200 §4.5): 40 bytes, a table key.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FragmentKey {
    /// Its source.
    pub source: Address,
    /// Its destination.
    pub destination: Address,
    /// Its identification.
    pub identification: u32,
    /// Of IPv4 its protocol; of IPv6 0, because later fragments need not name the same one.
    pub protocol: u32,
}

impl FragmentKey {
    #[inline(always)]
    const fn of(packet: &Packet) -> Self {
        let is_v4 = packet.kind() as u8 == Kind::Ipv4 as u8;
        Self {
            source: packet.source,
            destination: packet.destination,
            identification: packet.fragment_id,
            protocol: if is_v4 { packet.protocol as u32 } else { 0 },
        }
    }
}

/// What is remembered of a first fragment: 24 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstFragment {
    /// When it came, in nanoseconds of the program's clock.
    pub seen: u64,
    /// Its ports, or the identifier of an ICMP query.
    pub source_port: u16,
    /// As above.
    pub destination_port: u16,
    /// Bytes of the packet that it holds: a later fragment that begins before would rewrite what was
    /// judged (RFC 1858, RFC 3128, RFC 5722).
    pub end: u16,
    /// Its TCP flags.
    pub tcp_flags: u8,
    /// Its ICMP type.
    pub icmp_type: u8,
    /// Its protocol, behind extension headers.
    pub protocol: u8,
    /// Padding, zero.
    pub reserved: [u8; 7],
}

/// Notes a first fragment.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn remember<T: Tables>(packet: &Packet, now: u64, tables: &T) {
    let first = FirstFragment {
        seen: now,
        source_port: packet.source_port,
        destination_port: packet.destination_port,
        end: packet.fragment_end,
        tcp_flags: packet.tcp_flags,
        icmp_type: packet.icmp_type,
        protocol: packet.protocol,
        reserved: [0; 7],
    };
    tables.remember_fragment(&FragmentKey::of(packet), &first);
}

/// Fills in what a later fragment's first one said, so that it is judged like that one. `false` where there
/// is none, or this fragment would rewrite a part of it.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn complete<T: Tables>(packet: &mut Packet, now: u64, tables: &T) -> bool {
    let Some(first) = tables.fragment(&FragmentKey::of(packet)) else { return false };
    if now.saturating_sub(first.seen) > LIFETIME || packet.fragment_offset < first.end {
        return false;
    }
    packet.source_port = first.source_port;
    packet.destination_port = first.destination_port;
    packet.tcp_flags = first.tcp_flags;
    packet.icmp_type = first.icmp_type;
    packet.protocol = first.protocol;
    true
}
