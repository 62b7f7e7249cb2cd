//! Frame to [`Packet`]: Ethernet, up to two VLAN tags, ARP, IPv4, IPv6, and the transport header.
//!
//! Every length is checked against the frame and against the IP header's own length, so that padding
//! behind a packet is never read as part of it. Every loop has a named bound. What cannot be read is
//! an [`Unparsed`], and the packet then holds what was read up to there.

use crate::packet::{Kind, Packet};
use crate::reader::PacketReader;
use crate::verdict::Reason;

pub(crate) mod ethernet;
mod arp;
mod ipv4;
mod ipv6;
mod transport;
mod dhcp;
pub(crate) mod impossible;
pub(crate) mod quoted;

/// Tags that are read (IEEE 802.1Q, 802.1ad); a frame with more is `unsupported`.
pub const MAX_VLAN_TAGS: usize = 2;
/// IPv6 extension headers that are walked (RFC 8200 §4); a packet with more is `unsupported`.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Why a frame could not be read to its transport header.
#[must_use]
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unparsed {
    /// Lengths or versions that contradict each other or the frame.
    Malformed = 1,
    /// Well-formed, but beyond a bound that this program sets, or beyond what it can reach of the frame.
    Unsupported = 2,
    /// A first fragment that does not hold every header up to the end of the transport header.
    Fragment = 3,
    /// An EtherType that is neither IP nor a link protocol.
    NotIp = 4,
}

impl Unparsed {
    /// The kind with this number; `None` for 0.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => None,
            2 => Some(Self::Unsupported),
            3 => Some(Self::Fragment),
            4 => Some(Self::NotIp),
            _ => Some(Self::Malformed),
        }
    }

    /// The reason under which such a frame is counted.
    #[inline(always)]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Malformed => Reason::Malformed,
            Self::Unsupported => Reason::Unsupported,
            Self::Fragment => Reason::Fragment,
            Self::NotIp => Reason::NotIp,
        }
    }
}

/// A part of a frame that is read by a function of its own. Its number is part of no contract.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The IPv4 header and what follows it.
    Ipv4,
    /// One option of an IPv4 header.
    Ipv4Option,
    /// The IPv6 header and what follows it.
    Ipv6,
    /// The extension headers of IPv6.
    Ipv6Extensions,
    /// The transport header.
    Transport,
    /// The packet that an ICMP error quotes.
    Quoted,
    /// What neighbour discovery is about.
    Neighbour,
    /// A DHCP message.
    Dhcp,
    /// One of its options.
    DhcpOption,
    /// A DHCPv6 message.
    Dhcpv6,
    /// One of its options.
    Dhcpv6Option,
}

/// Reads `frame` into `packet`, which must be [`Packet::default`] when this begins.
///
/// # Errors
/// [`Unparsed`] when the transport header could not be reached. A fragment behind the first is no
/// error: it has no transport header, and [`Packet::fragment`] says so.
#[inline(always)]
pub fn parse<R: PacketReader + ?Sized>(frame: &R, packet: &mut Packet) -> Result<(), Unparsed> {
    packet.length = frame.length();
    let payload = ethernet::parse(frame, packet)?;
    match packet.ethertype {
        ethernet::IPV4 => ip(frame, Part::Ipv4, payload, packet),
        ethernet::IPV6 => ip(frame, Part::Ipv6, payload, packet),
        ethernet::ARP => arp::parse(frame, payload, packet),
        _ if ethernet::is_link_protocol(frame, payload, packet) => {
            packet.set_kind(Kind::Link);
            Ok(())
        }
        _ => Err(Unparsed::NotIp),
    }
}

#[inline(always)]
fn ip<R: PacketReader + ?Sized>(
    frame: &R,
    part: Part,
    start: u32,
    packet: &mut Packet,
) -> Result<(), Unparsed> {
    let end = frame.run(part, start, packet.length, packet)?;
    // Not from within the function of the header: the kernel program has little stack.
    transport::carried(frame, end, packet)?;
    impossible::check(packet)
}

/// Reads the part that lies in `start..end`; the offset of what follows it. What [`PacketReader::run`]
/// does.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn run<R: PacketReader + ?Sized>(
    part: Part,
    frame: &R,
    start: u32,
    end: u32,
    packet: &mut Packet,
) -> Result<u32, Unparsed> {
    match part {
        Part::Ipv4 => ipv4::parse(frame, start, packet),
        Part::Ipv4Option => ipv4::option(frame, start, end),
        Part::Ipv6 => ipv6::parse(frame, start, packet),
        Part::Ipv6Extensions => ipv6::extension_headers(frame, start, end, packet),
        Part::Transport => transport::parse(frame, start, end, packet),
        Part::Quoted => Ok(quoted::read(frame, start, end, packet)),
        Part::Neighbour => Ok(quoted::neighbour(frame, start, end, packet)),
        Part::Dhcp => Ok(dhcp::read(frame, start, end, packet)),
        Part::DhcpOption => Ok(dhcp::option(frame, start, end, packet)),
        Part::Dhcpv6 => Ok(dhcp::read_v6(frame, start, end, packet)),
        Part::Dhcpv6Option => Ok(dhcp::option_v6(frame, start, end, packet)),
    }
}

#[inline(always)]
fn u16_at<const N: usize>(bytes: &[u8; N], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn u32_at<const N: usize>(bytes: &[u8; N], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
