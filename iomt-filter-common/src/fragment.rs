//! What the first fragment of a packet says for the later ones, which have no ports of their own.

use crate::addr::Address;
use crate::device::Port;
use crate::packet::{Kind, Packet};
use crate::tables::Tables;
use crate::verdict::{Decision, Reason};

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
    pub protocol: u8,
    /// [`Port`] as a number: nobody on the other side has a say in what comes in on this one.
    pub port: u8,
    /// Padding, zero.
    pub reserved: u16,
}

impl FragmentKey {
    #[inline(always)]
    const fn of(packet: &Packet, port: Port) -> Self {
        let is_v4 = packet.kind() as u8 == Kind::Ipv4 as u8;
        Self {
            source: packet.source,
            destination: packet.destination,
            identification: packet.fragment_id,
            protocol: if is_v4 { packet.protocol } else { 0 },
            port: port as u8,
            reserved: 0,
        }
    }
}

/// Ranges of a packet that are told apart: honest fragments come in order or nearly so, and ranges that touch
/// are one.
const SPANS: usize = 4;

/// A range of a packet's bytes that has come: 4 bytes. `end` is the first byte behind it; all zero is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub start: u16,
    /// The byte behind its last.
    pub end: u16,
}

/// What is remembered of a first fragment, and which parts of its packet have come: 56 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FirstFragment {
    /// When it came, in nanoseconds of the program's clock.
    pub seen: u64,
    /// Its ports, or the identifier of an ICMP query.
    pub source_port: u16,
    /// As above.
    pub destination_port: u16,
    /// Its TCP flags.
    pub tcp_flags: u8,
    /// Its ICMP type.
    pub icmp_type: u8,
    /// Its protocol, behind extension headers.
    pub protocol: u8,
    /// Padding, zero.
    pub reserved: u8,
    /// What has come, the first fragment included: a later one that covers any of it again would rewrite what
    /// was judged or what the receiver puts together (RFC 1858, RFC 3128, RFC 5722).
    pub spans: [Span; SPANS],
    /// The answer that dropped it, which holds for the rest of its packet; without a reason where it passed.
    pub dropped: Decision,
}

impl FirstFragment {
    /// Notes the range of another fragment; `false` where some of it has come already, or where it would be one
    /// range too many.
    #[inline(always)]
    fn admit(&mut self, start: u16, end: u16) -> bool {
        let (mut before, mut behind, mut free) = (SPANS, SPANS, SPANS);
        for (index, span) in self.spans.iter().enumerate() {
            if span.end == 0 {
                free = index;
            } else if start < span.end && span.start < end {
                return false;
            } else if span.end == start {
                before = index;
            } else if span.start == end {
                behind = index;
            }
        }
        let grown = Span {
            start: self.spans.get(before).map_or(start, |span| span.start),
            end: self.spans.get(behind).map_or(end, |span| span.end),
        };
        if let Some(span) = self.spans.get_mut(behind) {
            *span = Span::default();
        }
        let place = if before < SPANS {
            before
        } else if behind < SPANS {
            behind
        } else {
            free
        };
        let Some(span) = self.spans.get_mut(place) else { return false };
        *span = grown;
        true
    }
}

/// Where first fragments are kept: those that are dropped, and those that concern no device, leave the others their
/// place.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    /// Of packets that pass and concern a device.
    OfDevices,
    /// Of any others.
    Others,
}

/// Notes a first fragment, and what was decided of it.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn remember<T: Tables>(packet: &Packet, port: Port, decision: &Decision, now: u64, tables: &T) {
    let concerns_device = decision.device != 0 || decision.reason_number() == Reason::Management as u8;
    let shelf = if decision.goes_on() && concerns_device { Shelf::OfDevices } else { Shelf::Others };
    let first = FirstFragment {
        seen: now,
        source_port: packet.source_port,
        destination_port: packet.destination_port,
        tcp_flags: packet.tcp_flags,
        icmp_type: packet.icmp_type,
        protocol: packet.protocol,
        spans: [
            Span { start: 0, end: packet.fragment_end },
            Span::default(),
            Span::default(),
            Span::default(),
        ],
        dropped: if decision.goes_on() { Decision::default() } else { *decision },
        ..FirstFragment::default()
    };
    tables.remember_fragment(shelf, &FragmentKey::of(packet, port), &first);
}

/// Fills in what a later fragment's first one said, so that it is judged like that one. `false` where there
/// is none, or this fragment would rewrite a part of the packet. Where the first one was dropped, nobody can put
/// the packet together: the rest has the same answer, `dropped`, from the same generation, and none from others.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn complete<T: Tables>(
    packet: &mut Packet,
    port: Port,
    now: u64,
    tables: &T,
    dropped: &mut Decision,
) -> bool {
    let key = FragmentKey::of(packet, port);
    let Some((_, mut first)) = find(&key, now, tables) else { return false };
    let is_gone = first.dropped.reason_number() != 0 && first.dropped.generation != tables.generation();
    if is_gone || !first.admit(packet.fragment_offset, packet.fragment_end) {
        return false;
    }
    *dropped = first.dropped;
    packet.source_port = first.source_port;
    packet.destination_port = first.destination_port;
    packet.tcp_flags = first.tcp_flags;
    packet.icmp_type = first.icmp_type;
    packet.protocol = first.protocol;
    true
}

/// Notes the range of a later fragment that passes.
///
/// Two CPUs that note fragments of one packet at the same moment may lose one range. Then an overlap behind the
/// first fragment may pass, never one over it: its range is there from the beginning.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub fn note<T: Tables>(packet: &Packet, port: Port, now: u64, tables: &T) {
    let key = FragmentKey::of(packet, port);
    let Some((shelf, mut first)) = find(&key, now, tables) else { return };
    if first.admit(packet.fragment_offset, packet.fragment_end) {
        tables.remember_fragment(shelf, &key, &first);
    }
}

#[inline(always)]
fn find<T: Tables>(key: &FragmentKey, now: u64, tables: &T) -> Option<(Shelf, FirstFragment)> {
    if let Some(first) = alive(tables.fragment(Shelf::OfDevices, key), now) {
        return Some((Shelf::OfDevices, first));
    }
    let first = alive(tables.fragment(Shelf::Others, key), now)?;
    Some((Shelf::Others, first))
}

#[inline(always)]
fn alive(first: Option<FirstFragment>, now: u64) -> Option<FirstFragment> {
    first.filter(|first| now.saturating_sub(first.seen) <= LIFETIME)
}
