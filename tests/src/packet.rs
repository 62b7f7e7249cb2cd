//! A frame in the making: reads as a sentence, and every field of it can be made to lie.
//!
//! ```
//! # use iomt_filter_tests::packet::Frame;
//! let syn = Frame::from("10.10.0.11").to("10.20.0.10").vlan(110).tcp(49152, 104).syn();
//! assert_eq!(syn.bytes().len(), 14 + 4 + 20 + 20);
//! ```
//!
//! Lengths, types and checksums are right unless a case sets them. Nothing here knows what the filter
//! makes of a frame.

use std::net::IpAddr;

mod checksum;
mod internet;
mod transport;

pub use internet::{Arp, Extension, Internet, Ipv4, Ipv6};
pub use transport::{ACK, FIN, Icmp, PSH, RST, SYN, Sctp, Tcp, Transport, Udp};

/// Where a frame comes from or goes to.
#[derive(Clone, Copy, Debug)]
pub struct End {
    /// Hardware address.
    pub mac: [u8; 6],
    /// IP address.
    pub address: IpAddr,
    /// VLAN that frames of this end are tagged with.
    pub vlan: Option<u16>,
}

/// Hardware address of whatever is no device: the router.
pub const ROUTER: [u8; 6] = [0x02, 0, 0, 0, 0, 0xfe];

impl From<IpAddr> for End {
    fn from(address: IpAddr) -> Self {
        Self { mac: ROUTER, address, vlan: None }
    }
}

impl From<&str> for End {
    /// The router's, with an address in the usual notation.
    fn from(address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap_or_else(|_| unreachable!("no address: `{address}`"));
        Self::from(address)
    }
}

/// A VLAN tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Which kind of tag.
    pub tpid: u16,
    /// Priority, DEI and identifier.
    pub tci: u16,
}

/// IEEE 802.1Q.
pub const TPID_8021Q: u16 = 0x8100;
/// IEEE 802.1ad.
pub const TPID_8021AD: u16 = 0x88a8;
/// What switches used before 802.1ad.
pub const TPID_QINQ: u16 = 0x9100;

/// A frame, layer by layer.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Destination of the frame.
    pub destination_mac: [u8; 6],
    /// Source of the frame.
    pub source_mac: [u8; 6],
    /// Tags, outermost first.
    pub tags: Vec<Tag>,
    /// EtherType where it is not what the payload says.
    pub ethertype: Option<u16>,
    /// What the frame carries.
    pub internet: Internet,
    /// What the IP packet carries.
    pub transport: Transport,
    /// Bytes behind the packet.
    pub padding: usize,
    /// Length at which the frame is cut off.
    pub truncate: Option<usize>,
    /// Bytes that are overwritten at the very end, where the frame is long enough.
    pub overwrite: Vec<(usize, u8)>,
}

impl Frame {
    /// A frame from `end`, so far to nobody.
    #[allow(clippy::should_implement_trait)]
    pub fn from(end: impl Into<End>) -> Self {
        let end = end.into();
        let tags = end.vlan.map(|vlan| Tag { tpid: TPID_8021Q, tci: vlan });
        Self {
            destination_mac: ROUTER,
            source_mac: end.mac,
            tags: tags.into_iter().collect(),
            ethertype: None,
            internet: Internet::between(end.address, end.address),
            transport: Transport::Raw(253, Vec::new()),
            padding: 0,
            truncate: None,
            overwrite: Vec::new(),
        }
    }

    /// Addresses the frame. A packet between families is sent in the destination's, from `::` or
    /// `0.0.0.0`.
    pub fn to(mut self, end: impl Into<End>) -> Self {
        let end = end.into();
        self.destination_mac = end.mac;
        let source = match (&self.internet, end.address) {
            (Internet::V4(v4), IpAddr::V4(_)) => IpAddr::V4(v4.source),
            (Internet::V6(v6), IpAddr::V6(_)) => IpAddr::V6(v6.source),
            (_, IpAddr::V4(_)) => IpAddr::V4([0, 0, 0, 0].into()),
            (_, IpAddr::V6(_)) => IpAddr::V6([0; 16].into()),
        };
        self.internet = Internet::between(source, end.address);
        self
    }

    /// An Ethernet frame of another kind.
    pub fn ethernet(ethertype: u16, payload: &[u8]) -> Self {
        let mut frame = Self::from("0.0.0.0");
        frame.internet = Internet::Raw(ethertype, payload.to_vec());
        frame.transport = Transport::None;
        frame
    }

    /// An ARP request for `target` by `sender`.
    pub fn arp(sender: impl Into<End>, target: &str) -> Self {
        let sender = sender.into();
        let mut frame = Self::from(sender);
        frame.destination_mac = [0xff; 6];
        frame.internet = Internet::Arp(Arp::request(sender.mac, sender.address, target));
        frame.transport = Transport::None;
        frame
    }

    /// Puts a tag of `tpid` in front of those there are.
    pub fn outer_tag(mut self, tpid: u16, vlan: u16) -> Self {
        self.tags.insert(0, Tag { tpid, tci: vlan });
        self
    }

    /// Tagged with this VLAN and no other.
    pub fn vlan(mut self, vlan: u16) -> Self {
        self.tags = vec![Tag { tpid: TPID_8021Q, tci: vlan }];
        self
    }

    /// Without tags.
    pub fn untagged(mut self) -> Self {
        self.tags.clear();
        self
    }

    /// From another hardware address.
    pub fn source_mac(mut self, mac: [u8; 6]) -> Self {
        self.source_mac = mac;
        self
    }

    /// To another hardware address.
    pub fn destination_mac(mut self, mac: [u8; 6]) -> Self {
        self.destination_mac = mac;
        self
    }

    /// Carries TCP without a flag; see [`Frame::flags`].
    pub fn tcp(mut self, source: u16, destination: u16) -> Self {
        self.transport = Transport::Tcp(Tcp::between(source, destination));
        self
    }

    /// Carries UDP with four bytes of data.
    pub fn udp(mut self, source: u16, destination: u16) -> Self {
        self.transport = Transport::Udp(Udp::between(source, destination));
        self
    }

    /// Carries the same UDP between other ports.
    pub fn ports(self, source: u16, destination: u16) -> Self {
        self.transport(|transport| {
            if let Transport::Udp(udp) = transport {
                (udp.source, udp.destination) = (source, destination);
            }
        })
    }

    /// Carries SCTP.
    pub fn sctp(mut self, source: u16, destination: u16) -> Self {
        self.transport = Transport::Sctp(Sctp { source, destination, body: vec![0; 8] });
        self
    }

    /// Carries ICMP or ICMPv6, as the family is.
    pub fn icmp(mut self, kind: u8, code: u8, identifier: u16) -> Self {
        self.transport = Transport::Icmp(Icmp { kind, code, identifier, sequence: 1, body: vec![0x5a; 8] });
        self
    }

    /// Carries an echo request of the family.
    pub fn ping(self, identifier: u16) -> Self {
        let kind = if matches!(self.internet, Internet::V6(_)) { 128 } else { 8 };
        self.icmp(kind, 0, identifier)
    }

    /// Carries an echo reply of the family.
    pub fn pong(self, identifier: u16) -> Self {
        let kind = if matches!(self.internet, Internet::V6(_)) { 129 } else { 0 };
        self.icmp(kind, 0, identifier)
    }

    /// Carries another protocol.
    pub fn protocol(mut self, number: u8, payload: &[u8]) -> Self {
        self.transport = Transport::Raw(number, payload.to_vec());
        self
    }

    /// Sets the TCP flags.
    pub fn flags(mut self, flags: u8) -> Self {
        if let Transport::Tcp(tcp) = &mut self.transport {
            tcp.flags = flags;
        }
        self
    }

    /// TCP that opens.
    pub fn syn(self) -> Self {
        self.flags(SYN)
    }

    /// TCP that answers an opening.
    pub fn syn_ack(self) -> Self {
        self.flags(SYN | ACK)
    }

    /// TCP in the middle.
    pub fn ack(self) -> Self {
        self.flags(ACK)
    }

    /// Changes the IPv4 header; nothing happens to other frames.
    pub fn v4(mut self, change: impl FnOnce(&mut Ipv4)) -> Self {
        if let Internet::V4(v4) = &mut self.internet {
            change(v4);
        }
        self
    }

    /// Changes the IPv6 header; nothing happens to other frames.
    pub fn v6(mut self, change: impl FnOnce(&mut Ipv6)) -> Self {
        if let Internet::V6(v6) = &mut self.internet {
            change(v6);
        }
        self
    }

    /// Appends an IPv6 extension header.
    pub fn extension(self, extension: Extension) -> Self {
        self.v6(|v6| v6.extensions.push(extension))
    }

    /// Makes it the fragment at `offset` bytes, with more to come or not.
    pub fn fragment(self, identification: u32, offset: u16, more: bool) -> Self {
        self.v4(|v4| {
            v4.identification = identification as u16;
            v4.fragment_offset = offset;
            v4.more_fragments = more;
        })
        .v6(|v6| v6.extensions.push(Extension::fragment(identification, offset, more)))
    }

    /// Sets TTL or hop limit.
    pub fn hop_limit(self, hops: u8) -> Self {
        self.v4(|v4| v4.ttl = hops).v6(|v6| v6.hop_limit = hops)
    }

    /// Changes the transport header.
    pub fn transport(mut self, change: impl FnOnce(&mut Transport)) -> Self {
        change(&mut self.transport);
        self
    }

    /// Appends bytes that belong to no packet.
    pub fn padding(mut self, bytes: usize) -> Self {
        self.padding = bytes;
        self
    }

    /// Cuts the frame off at `length` bytes.
    pub fn truncate(mut self, length: usize) -> Self {
        self.truncate = Some(length);
        self
    }

    /// Overwrites one byte of the finished frame.
    pub fn overwrite(mut self, at: usize, byte: u8) -> Self {
        self.overwrite.push((at, byte));
        self
    }

    /// The answer to this frame: ends and ports exchanged, flags and kinds left alone.
    pub fn reversed(&self) -> Self {
        let mut frame = self.clone();
        std::mem::swap(&mut frame.source_mac, &mut frame.destination_mac);
        frame.internet.reverse();
        frame.transport.reverse();
        frame
    }

    /// The finished frame.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(self.destination_mac);
        bytes.extend(self.source_mac);
        for tag in &self.tags {
            bytes.extend(tag.tpid.to_be_bytes());
            bytes.extend(tag.tci.to_be_bytes());
        }
        bytes.extend(self.ethertype.unwrap_or(self.internet.ethertype()).to_be_bytes());
        self.internet.write(&self.transport, &mut bytes);
        bytes.extend(std::iter::repeat_n(0xa5, self.padding));
        if let Some(length) = self.truncate {
            bytes.truncate(length);
        }
        for &(at, byte) in &self.overwrite {
            if let Some(there) = bytes.get_mut(at) {
                *there = byte;
            }
        }
        bytes
    }
}
