//! What the decision sees of a frame.

use crate::addr::{Address, Mac};

/// A frame, read up to the transport header. Fields of layers that were not reached are zero.
///
/// Part of every event: fixed size, no padding, layout pinned in [`pod`](crate::pod).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// IP source; of ARP the sender's protocol address.
    pub source: Address,
    /// IP destination; of ARP the target's protocol address.
    pub destination: Address,
    /// Where the packet went that an ICMP error quotes (it came from this packet's destination), the target
    /// of a neighbour solicitation or advertisement, or the address that a DHCP server gives.
    pub quoted_destination: Address,
    /// Length of the frame in bytes.
    pub length: u32,
    /// IP identification, to which fragment this belongs; 0 where the packet is whole.
    pub fragment_id: u32,
    /// Transaction of a DHCP message that asks for an address or gives one (RFC 2131 §2, RFC 8415 §8), 0 for
    /// none. That of DHCPv6 has bit 24 set.
    pub dhcp_transaction: u32,
    /// Seconds for which a DHCP server gives an address, 0 where it gives none,
    /// [`WITHOUT_END`](crate::lease::WITHOUT_END) where it gives one for good.
    pub lease_seconds: u32,
    /// VLAN identifiers, outermost first; `vlan_count` of them count.
    pub vlan: [u16; 2],
    /// EtherType behind the tags; below 0x600 the length field of an IEEE 802.3 frame.
    pub ethertype: u16,
    /// Transport source port in host order; the identifier of an ICMP query.
    pub source_port: u16,
    /// Transport destination port in host order; the identifier of an ICMP query.
    pub destination_port: u16,
    /// Offset of a fragment in bytes.
    pub fragment_offset: u16,
    /// Offset of the first byte behind a fragment.
    pub fragment_end: u16,
    /// Source port of the quoted packet; the identifier of a quoted ICMP query.
    pub quoted_source_port: u16,
    /// Destination port of the quoted packet; the identifier of a quoted ICMP query.
    pub quoted_destination_port: u16,
    /// Offset of the transport header in the frame, 0 where it was not read.
    pub transport_offset: u16,
    /// Source of the frame.
    pub source_mac: Mac,
    /// Destination of the frame.
    pub destination_mac: Mac,
    /// Of ARP and neighbour discovery the hardware address that the sender says it has, of DHCP that of the
    /// client.
    pub sender_mac: Mac,
    /// VLAN tags in the frame, 0 to 2.
    pub vlan_count: u8,
    kind: u8,
    /// IP protocol number (IANA), behind extension headers.
    pub protocol: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The flag byte of TCP (RFC 9293 §3.1), CWR and ECE included.
    pub tcp_flags: u8,
    /// ICMP or ICMPv6 type.
    pub icmp_type: u8,
    /// ICMP or ICMPv6 code.
    pub icmp_code: u8,
    fragment: u8,
    transport: u8,
    /// IP protocol number of the quoted packet; 0 where none is quoted.
    pub quoted_protocol: u8,
}

/// What the frame carries.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Not read that far, or none of the others.
    Other = 0,
    /// EAPOL, LLDP, STP, LACP or PTP.
    Link = 1,
    /// ARP for IPv4 over Ethernet.
    Arp = 2,
    /// IPv4.
    Ipv4 = 4,
    /// IPv6.
    Ipv6 = 6,
}

/// Which part of an IP packet the frame carries.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    /// All of it. An atomic fragment (RFC 6946) is whole.
    Whole = 0,
    /// The first part, with the transport header.
    First = 1,
    /// A part behind the first.
    Later = 2,
}

impl Packet {
    /// What the frame carries.
    #[inline(always)]
    pub const fn kind(&self) -> Kind {
        match self.kind {
            1 => Kind::Link,
            2 => Kind::Arp,
            4 => Kind::Ipv4,
            6 => Kind::Ipv6,
            _ => Kind::Other,
        }
    }

    /// Which part of an IP packet this is.
    #[inline(always)]
    pub const fn fragment(&self) -> Fragment {
        match self.fragment {
            1 => Fragment::First,
            2 => Fragment::Later,
            _ => Fragment::Whole,
        }
    }

    /// Whether the ports, or type and code of ICMP, were read: zero is a value of theirs too.
    #[inline(always)]
    pub const fn has_transport(&self) -> bool {
        self.transport != 0
    }

    #[inline(always)]
    pub(crate) const fn set_kind(&mut self, kind: Kind) {
        self.kind = kind as u8;
    }

    #[inline(always)]
    pub(crate) const fn set_fragment(&mut self, fragment: Fragment) {
        self.fragment = fragment as u8;
    }

    #[inline(always)]
    pub(crate) const fn set_transport(&mut self) {
        self.transport = 1;
    }

    /// The VLAN that the frame belongs to: the innermost identifier that is one; 0 without (a tag with
    /// identifier 0 carries a priority only, IEEE 802.1Q §6.9).
    #[inline(always)]
    pub const fn vlan_id(&self) -> u16 {
        match self.vlan_count {
            0 => 0,
            2 if self.vlan[1] != 0 => self.vlan[1],
            _ => self.vlan[0],
        }
    }

    /// A TCP segment that asks for a new connection: SYN without ACK.
    #[inline(always)]
    pub const fn opens_tcp(&self) -> bool {
        self.tcp_flags & (TCP_SYN | TCP_ACK) == TCP_SYN
    }
}

/// FIN, RFC 9293 §3.1.
pub const TCP_FIN: u8 = 0x01;
/// SYN.
pub const TCP_SYN: u8 = 0x02;
/// RST.
pub const TCP_RST: u8 = 0x04;
/// ACK.
pub const TCP_ACK: u8 = 0x10;

/// IP protocol numbers that the program looks into (IANA protocol numbers).
pub mod protocol {
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}
