//! The short way: frames about which nothing is to be judged, because they keep a link alive or concern no device, or
//! because the flow that they belong to has been judged, and so was a packet that came the same way.
//!
//! It passes nothing that the stages would not pass for the same reason, and it gives way to them wherever a
//! frame is out of the ordinary. [`settle`] says when a flow may be remembered for it: an answer must not
//! depend on anything that can change while the generation stays, or that lies in a packet and is not looked at
//! here.

use super::{Stage, answer, limits};
use crate::addr::Address;
use crate::case::Case;
use crate::counters;
use crate::device::Port;
use crate::flow::FlowKey;
use crate::flowtable::{Origin, Recalled, Sighting};
use crate::lease;
use crate::limit;
use crate::packet::{Fragment, Kind, Packet, TCP_FIN, TCP_RST, TCP_SYN, protocol};
use crate::parse::{ethernet, impossible};
use crate::reader::{Glance, Header};
use crate::tables::{FlowEntry as _, Tables};
use crate::verdict::{Reason, Verdict};

/// When a frame came in, in nanoseconds of a clock that never goes back on one processor; that of another one may be a
/// tick ahead.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The time.
    pub now: u64,
    /// When its minute began.
    pub minute: u64,
}

impl Moment {
    /// A time, in its minute.
    #[inline(always)]
    pub const fn of(now: u64) -> Self {
        Self { now, minute: limit::minute(now) }
    }
}

/// Flags with which a segment does more than go on with a connection.
const TURNS: u8 = TCP_SYN | TCP_FIN | TCP_RST;
/// The lowest bit of the first byte: the address of a group.
const GROUP: u64 = 1 << 40;

/// The answer of [`again`], which is to pass, or that of [`refused`](super::refused): one word, so that there is nothing
/// of it where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled(Recalled);

impl Settled {
    /// The stages are to be asked.
    pub const NOT: Self = Self(Recalled::NONE);
    /// A link protocol. No device has this number.
    const LINK: Self = Self(Recalled(!Recalled::ABSENT.0));
    /// What concerns no device; likewise.
    const TRANSIT: Self = Self(Recalled(Self::LINK.0.0 - 1));
    /// There is no flow, and neither lists nor countries have anything against the far end.
    pub(super) const CLEAN: Self = Self(Recalled(Recalled::ABSENT.0 | 1 << 30));
    /// Added to a device: there is no flow, and a list refuses the far end.
    const LISTED: u64 = Recalled::ABSENT.0 | 1 << 29;
    /// Likewise, and its country is refused.
    const DENIED: u64 = Recalled::ABSENT.0 | 1 << 28;

    /// From what [`word`](Self::word) said.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(Recalled(word))
    }

    /// As one word.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.0.0
    }

    /// A device's packet to a far end that is refused for this reason.
    #[inline(always)]
    pub(super) const fn refused(device: u32, reason: Reason) -> Self {
        let sort = if reason as u8 == Reason::Geo as u8 { Self::DENIED } else { Self::LISTED };
        Self(Recalled(sort | device as u64))
    }

    /// The reason for which it is refused, as a number, and the device; 0 where it is not.
    #[inline(always)]
    pub const fn refusal(self) -> (u8, u32) {
        let reason = match self.0.0 & (Self::LISTED | Self::DENIED) {
            Self::LISTED => Reason::Blocklist as u8,
            Self::DENIED => Reason::Geo as u8,
            _ => 0,
        };
        (reason, self.0.device())
    }

    /// Whether neither lists nor countries have anything against the far end.
    #[inline(always)]
    pub const fn is_clean(self) -> bool {
        self.0.0 == Self::CLEAN.0.0
    }

    /// Whether there is an answer, which is to pass.
    #[inline(always)]
    pub const fn is_some(self) -> bool {
        self.0.is_some()
    }

    /// Whether it is known that no flow between the ends of the packet is remembered.
    #[inline(always)]
    pub const fn is_absent(self) -> bool {
        self.0.is_absent()
    }

    /// Why the frame passes, and which stage would say so.
    #[inline(always)]
    const fn reason(self) -> (Reason, Stage) {
        if self.0.0 == Self::LINK.0.0 {
            (Reason::Link, Stage::Link)
        } else if self.0.0 == Self::TRANSIT.0.0 {
            (Reason::NoDevice, Stage::Standing)
        } else {
            (Reason::Established, Stage::Established)
        }
    }

    /// Index of the counter that the frame belongs to.
    #[inline(always)]
    pub const fn counter(self) -> u32 {
        match self.reason() {
            (Reason::Established, _) => {
                counters::index(self.0.device(), Verdict::Pass, Reason::Established as u8)
            }
            (reason, _) => counters::index(0, Verdict::Pass, reason as u8),
        }
    }
}

/// The answer to a frame that needs no stage. `port` is asked for the role of the interface with the frame's
/// outermost VLAN.
#[inline(always)]
pub fn again<R: Glance + ?Sized, T: Tables>(
    frame: &R,
    tables: &T,
    port: impl FnOnce(u16) -> Port,
    moment: impl FnOnce() -> Moment,
) -> Settled {
    let Some(head) = Head::read(frame) else { return Settled::NOT };
    let (ethertype, is_tagged) = (head.ethertype, head.is_tagged);
    let arrival = Arrival { head, port, moment };
    // Offsets are numbers that the compiler knows: so the verifier does as well.
    match (ethertype, is_tagged) {
        (ethernet::IPV4, false) => ipv4(frame, 14, arrival, tables),
        (ethernet::IPV4, true) => ipv4(frame, 18, arrival, tables),
        (ethernet::IPV6, false) => ipv6(frame, 14, arrival, tables),
        (ethernet::IPV6, true) => ipv6(frame, 18, arrival, tables),
        (ethertype, _) if ethernet::is_link_alone(ethertype) => Settled::LINK,
        _ => Settled::NOT,
    }
}

/// How a frame came in.
struct Arrival<P, M> {
    head: Head,
    port: P,
    moment: M,
}

/// The answer to a packet of a flow that needs no stage; `length` is that of its frame.
#[inline(always)]
fn recalled<T: Tables>(
    key: &FlowKey,
    carried: Carried,
    length: u32,
    arrival: Arrival<impl FnOnce(u16) -> Port, impl FnOnce() -> Moment>,
    tables: &T,
) -> Settled {
    let Arrival { head, port, moment } = arrival;
    if head.destination & GROUP != 0 || matches!(carried, Carried::Odd) {
        return Settled::NOT;
    }
    let (Moment { now, minute }, generation) = (moment(), tables.generation());
    let port = port(head.vlan);
    let origin = Origin::of(port, head.vlan, head.source);
    let may_be_added = matches!(carried, Carried::GoesOn) as u32;
    let seen = Sighting { origin, now, minute, generation, length, may_be_added, reserved: 0 };
    let settled = Settled(tables.recall(key, &seen));
    let is_transit = settled.is_absent() && port as u8 == Port::Uplink as u8 && concerns_nobody(key, tables);
    if is_transit { Settled::TRANSIT } else { settled }
}

/// Whether a packet of an uplink goes to no device and into no segment, can be what it says, and is none that is
/// read or that management pairs are asked about.
#[cfg_attr(target_arch = "bpf", inline(never))]
fn concerns_nobody<T: Tables>(key: &FlowKey, tables: &T) -> bool {
    let (ports, destination) = ([key.source_port, key.destination_port], key.destination);
    tables.settings().has_management == 0
        && !ports.contains(&0)
        && !is_served(ports)
        && !impossible::are_no_ends(key.source, destination)
        && !destination.is_link_local()
        && !destination.is_multicast()
        && tables.device_by_address(destination).is_none()
        && lease::is_never_leased(destination, tables)
}

/// Whether one of the ports is of DHCP, which is read.
#[inline(always)]
pub(super) const fn is_served([source, destination]: [u16; 2]) -> bool {
    matches!(source, 67 | 68 | 546 | 547) || matches!(destination, 67 | 68 | 546 | 547)
}

/// Notes an answer of [`again`] in the case of its frame, which has been read, as the stages would have given it.
#[inline(always)]
pub fn note<T: Tables>(settled: Settled, case: &mut Case, tables: &T) {
    let (reason, stage) = settled.reason();
    let mut decision = answer(Verdict::Pass, reason, tables);
    if stage as u8 == Stage::Established as u8 {
        tables.run(Stage::Identity, case);
        let is_reply = tables.flow(&FlowKey::of(&case.packet)).is_none();
        case.set_conversation(is_reply, true);
        decision = case.sides.principal().allow(reason, settled.0.rule(), tables.generation());
    }
    decision.set_step(stage as u8);
    case.decision = decision;
}

/// The Ethernet header, and a tag where there is one.
pub(super) struct Head {
    /// Where the frame goes, as a number of 48 bits.
    destination: u64,
    /// Where it comes from, likewise.
    pub(super) source: u64,
    pub(super) ethertype: u16,
    /// The identifier in the tag; 0 without.
    pub(super) vlan: u16,
    pub(super) is_tagged: bool,
}

impl Head {
    #[inline(always)]
    pub(super) fn read<R: Glance + ?Sized>(frame: &R) -> Option<Self> {
        let head = frame.header::<14>(0)?;
        let destination = (head.u32::<0>() as u64) << 16 | head.u16::<4>() as u64;
        let source = (head.u16::<6>() as u64) << 32 | head.u32::<8>() as u64;
        let ethertype = head.u16::<12>();
        if !ethernet::is_tag(ethertype) {
            return Some(Self { destination, source, ethertype, vlan: 0, is_tagged: false });
        }
        let tag = frame.header::<4>(14)?;
        let vlan = tag.u16::<0>() & ethernet::VLAN_ID_MASK;
        Some(Self { destination, source, ethertype: tag.u16::<2>(), vlan, is_tagged: true })
    }
}

/// Looks at a whole packet without options, of which the header is as it must be.
#[inline(always)]
fn ipv4<R: Glance + ?Sized, T: Tables>(
    frame: &R,
    start: u32,
    arrival: Arrival<impl FnOnce(u16) -> Port, impl FnOnce() -> Moment>,
    tables: &T,
) -> Settled {
    const HEADER: u32 = 20;
    const IS_FRAGMENT: u16 = 0x3fff;
    let Some(header) = frame.header::<28>(start) else { return Settled::NOT };
    let first = header.u32::<0>();
    let length = first & 0xffff;
    if first >> 24 != 0x45 || header.u16::<6>() & IS_FRAGMENT != 0 || length < HEADER {
        return Settled::NOT;
    }
    let protocol = header.u8::<9>();
    let (payload, reach) = (length - HEADER, frame.reach());
    if start + length > reach {
        return Settled::NOT;
    }
    let carried = carries(frame, start + HEADER, protocol, payload, header.u16::<24>());
    let [source, destination] = [header.u32::<12>(), header.u32::<16>()];
    let ports = header.u32::<20>();
    let [source, destination] =
        [Address::from_v4(source.to_be_bytes()), Address::from_v4(destination.to_be_bytes())];
    recalled(&key(source, destination, ports, protocol), carried, reach, arrival, tables)
}

/// The same, without extension headers.
#[inline(always)]
fn ipv6<R: Glance + ?Sized, T: Tables>(
    frame: &R,
    start: u32,
    arrival: Arrival<impl FnOnce(u16) -> Port, impl FnOnce() -> Moment>,
    tables: &T,
) -> Settled {
    const HEADER: u32 = 40;
    let Some(header) = frame.header::<48>(start) else { return Settled::NOT };
    let protocol = header.u8::<6>();
    let (payload, reach) = (header.u16::<4>() as u32, frame.reach());
    if header.u8::<0>() >> 4 != 6 || start + HEADER + payload > reach {
        return Settled::NOT;
    }
    let carried = carries(frame, start + HEADER, protocol, payload, header.u16::<44>());
    let source = Address::from_words([header.u64::<8>(), header.u64::<16>()]);
    let destination = Address::from_words([header.u64::<24>(), header.u64::<32>()]);
    if source.is_v4() || destination.is_v4() {
        return Settled::NOT;
    }
    recalled(&key(source, destination, header.u32::<40>(), protocol), carried, reach, arrival, tables)
}

/// What a payload is: UDP or TCP that is as long as it says. `length` is the third pair of bytes of its header.
#[inline(always)]
fn carries<R: Glance + ?Sized>(frame: &R, start: u32, protocol: u8, payload: u32, length: u16) -> Carried {
    const UDP_HEADER: u32 = 8;
    match protocol {
        protocol::UDP if (UDP_HEADER..=payload).contains(&(length as u32)) => Carried::GoesOn,
        protocol::TCP => match frame.header::<14>(start) {
            Some(header) => {
                let header_length = (header.u8::<12>() >> 4) as u32 * 4;
                if !(20..=payload).contains(&header_length) {
                    Carried::Odd
                } else if header.u8::<13>() & TURNS == 0 {
                    Carried::GoesOn
                } else {
                    Carried::Turns
                }
            }
            None => Carried::Odd,
        },
        _ => Carried::Odd,
    }
}

/// What a packet carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carried {
    /// Nothing that is looked at here.
    Odd,
    /// TCP that begins or ends a connection.
    Turns,
    /// What may just belong to a flow.
    GoesOn,
}

#[inline(always)]
const fn key(source: Address, destination: Address, ports: u32, protocol: u8) -> FlowKey {
    FlowKey {
        source,
        destination,
        source_port: (ports >> 16) as u16,
        destination_port: ports as u16,
        protocol,
        reserved: 0,
        reserved_end: 0,
    }
}

/// Remembers where a packet of an established flow has come from, if each one that comes from there would get the same
/// answer for as long as the generation stays: nobody's address can be given to somebody else, nobody is limited or
/// let through for now, and nothing but a flow is to be remembered.
#[cfg_attr(target_arch = "bpf", inline(never))]
pub(super) fn settle<T: Tables>(case: &Case, tables: &T) {
    let packet: &Packet = &case.packet;
    if !is_plain(packet) || case.is_spoofed() || case.is_unknown() || case.sides.are_open() {
        return;
    }
    let is_free = limits::of(case.sides.sender, tables).packets_from == 0
        && limits::of(case.sides.receiver, tables).packets_to == 0;
    if !is_free || !is_fixed(packet.source, tables) || !is_fixed(packet.destination, tables) {
        return;
    }
    // Of two flows between the same ends the one that a packet opens comes first; that is for the stages to see. Looked
    // for behind, because another processor may open it at the same time.
    let Some(entry) = tables.flow(&FlowKey::of_conversation(packet, case.is_reply())) else { return };
    entry.set_origin(case.is_reply(), Origin::new(case.port(), packet.vlan_id(), packet.source_mac));
    if tables.flow(&FlowKey::of_conversation(packet, !case.is_reply())).is_some() {
        entry.look_again();
    }
}

/// Whether a packet is one that [`again`] looks at, and not read any further.
#[inline(always)]
fn is_plain(packet: &Packet) -> bool {
    let goes_on = match packet.protocol {
        protocol::TCP => packet.tcp_flags & TURNS == 0,
        protocol::UDP => !is_served([packet.source_port, packet.destination_port]),
        _ => false,
    };
    goes_on
        && matches!(packet.kind(), Kind::Ipv4 | Kind::Ipv6)
        && packet.fragment() as u8 == Fragment::Whole as u8
        && packet.vlan_count < 2
        && !packet.destination_mac.is_group()
        && !packet.destination.is_multicast()
}

/// Whether an address is a device's by the inventory, or can be nobody's.
#[inline(always)]
fn is_fixed<T: Tables>(address: Address, tables: &T) -> bool {
    !address.is_link_local()
        && (tables.device_by_address(address).is_some() || lease::is_never_leased(address, tables))
}
