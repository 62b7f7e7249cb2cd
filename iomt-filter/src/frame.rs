//! Frames that nobody has sent, byte by byte: what a device's network card would put on the wire.
//!
//! Addresses, ports and flags come in, a whole Ethernet frame with its tag and checksums goes out, long enough
//! for a wire. Nothing here knows policy, tables or names.

use std::net::IpAddr;

use iomt_filter_common::device::Port;
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::packet::{TCP_ACK, TCP_RST, TCP_SYN, protocol};
use iomt_filter_common::{Address, Mac};

/// Shortest frame without its check sequence (IEEE 802.3 §3.2.8).
const SHORTEST: usize = 60;
const HOP_LIMIT: u8 = 64;
const WINDOW: u16 = 64_240;
/// Types of an echo request and of its answer (RFC 792, RFC 4443 §4).
const ECHO: [u8; 2] = [8, 0];
const ECHO_V6: [u8; 2] = [128, 129];

/// The first of the ports that nobody registers (RFC 6335 §6).
const SOURCE_PORT: u16 = 49_152;

/// An end of the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) address: IpAddr,
    pub(crate) mac: Mac,
    /// The VLAN that it is in; 0 for none.
    pub(crate) vlan: u16,
    /// Where its frames come in.
    pub(crate) port: Port,
}

/// A packet to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) from: Host,
    pub(crate) to: Host,
    pub(crate) protocol: u8,
    /// 0 where the protocol has none; of ICMP the identifier, as the other one.
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) flags: u8,
    pub(crate) is_answer: bool,
}

impl Sent {
    /// What the other end says to it; nothing to a group, of which nobody knows who answers, nor to a reset.
    pub(crate) fn answer(&self) -> Option<Self> {
        let is_group = Address::from(self.to.address).is_multicast() || self.to.mac.is_group();
        if is_group || self.flags & TCP_RST != 0 {
            return None;
        }
        let flags = match self.flags & (TCP_SYN | TCP_ACK) {
            TCP_SYN => TCP_SYN | TCP_ACK,
            _ => TCP_ACK,
        };
        Some(Self {
            from: self.to,
            to: self.from,
            source_port: self.destination_port,
            destination_port: self.source_port,
            flags: if self.protocol == protocol::TCP { flags } else { 0 },
            is_answer: true,
            ..*self
        })
    }

    /// What it is remembered by, or would be.
    pub(crate) fn flow(&self) -> FlowKey {
        FlowKey {
            source: self.from.address.into(),
            destination: self.to.address.into(),
            source_port: self.source_port,
            destination_port: self.destination_port,
            protocol: self.protocol,
            ..FlowKey::default()
        }
    }

    /// The frame.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut frame = [self.to.mac.0, self.from.mac.0].concat();
        // A device speaks in its own VLAN, and is spoken to in it.
        let vlan = if self.from.port == Port::Device { self.from.vlan } else { self.to.vlan };
        if vlan != 0 {
            frame.extend([0x81, 0x00]);
            frame.extend(vlan.to_be_bytes());
        }
        let payload = self.transport();
        match (self.from.address, self.to.address) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend([0x08, 0x00]);
                let mut header = vec![0x45, 0];
                header.extend((20 + payload.len() as u16).to_be_bytes());
                header.extend([0, 0, 0x40, 0, HOP_LIMIT, self.protocol, 0, 0]);
                header.extend([source.octets(), destination.octets()].concat());
                let sum = checksum(&[&header]);
                header[10..12].copy_from_slice(&sum.to_be_bytes());
                frame.extend(header);
            }
            (source, destination) => {
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend((payload.len() as u16).to_be_bytes());
                frame.extend([self.protocol, HOP_LIMIT]);
                frame.extend(Address::from(source).octets());
                frame.extend(Address::from(destination).octets());
            }
        }
        frame.extend(payload);
        frame.resize(frame.len().max(SHORTEST), 0);
        frame
    }

    /// The transport header, its checksum filled in.
    fn transport(&self) -> Vec<u8> {
        let ports = [self.source_port.to_be_bytes(), self.destination_port.to_be_bytes()].concat();
        let (mut bytes, at) = match self.protocol {
            protocol::TCP => {
                let mut bytes = ports;
                let acknowledged = u32::from(self.flags & TCP_ACK != 0);
                bytes.extend(1u32.to_be_bytes());
                bytes.extend(acknowledged.to_be_bytes());
                bytes.extend([0x50, self.flags]);
                bytes.extend(WINDOW.to_be_bytes());
                bytes.extend([0; 4]);
                (bytes, 16)
            }
            protocol::UDP => ([ports, vec![0, 8, 0, 0]].concat(), 6),
            protocol::ICMP | protocol::ICMPV6 => {
                let kinds = if self.protocol == protocol::ICMP { ECHO } else { ECHO_V6 };
                let [high, low] = self.source_port.to_be_bytes();
                (vec![kinds[usize::from(self.is_answer)], 0, 0, 0, high, low, 0, 1], 2)
            }
            // Verification tag and a checksum of another kind, which nobody on the way looks at.
            protocol::SCTP => return [ports, vec![0; 8]].concat(),
            _ => return vec![0; 8],
        };
        let pseudo = if self.protocol == protocol::ICMP { Vec::new() } else { self.pseudo(bytes.len()) };
        let sum = match checksum(&[&pseudo, &bytes]) {
            0 if self.protocol == protocol::UDP => u16::MAX,
            sum => sum,
        };
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    /// The pseudo header (RFC 9293 §3.1, RFC 8200 §8.1).
    fn pseudo(&self, length: usize) -> Vec<u8> {
        let mut bytes = match (self.from.address, self.to.address) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => [source.octets(), destination.octets()].concat(),
            (source, destination) => {
                [Address::from(source).octets(), Address::from(destination).octets()].concat()
            }
        };
        bytes.extend((length as u32).to_be_bytes());
        bytes.extend([0, 0, 0, self.protocol]);
        bytes
    }
}

/// The port that a client opens this one from, as likely as any; of ICMP an identifier, and 0 for protocols that have
/// neither. Those of DHCP clients are fixed (RFC 2131 §4.1, RFC 8415 §7.2).
pub(crate) const fn source_port(number: u8, port: u16) -> u16 {
    match (number, port) {
        (protocol::UDP, 67) => 68,
        (protocol::UDP, 547) => 546,
        (protocol::TCP | protocol::UDP | protocol::SCTP | protocol::ICMP | protocol::ICMPV6, _) => {
            SOURCE_PORT
        }
        _ => 0,
    }
}

/// Where the hardware address says that a group is meant (RFC 1112 §6.4, RFC 2464 §7).
pub(crate) fn group_mac(address: IpAddr) -> Option<Mac> {
    if !Address::from(address).is_multicast() {
        return None;
    }
    Some(match address {
        IpAddr::V4(v4) if v4.is_broadcast() => Mac([0xff; 6]),
        IpAddr::V4(v4) => {
            let [_, b, c, d] = v4.octets();
            Mac([1, 0, 0x5e, b & 0x7f, c, d])
        }
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            Mac([0x33, 0x33, octets[12], octets[13], octets[14], octets[15]])
        }
    })
}

/// A hardware address that no device has: a router's, say. `seed` tells two of them apart.
pub(crate) fn stranger(seed: u8, is_taken: impl Fn(Mac) -> bool) -> Mac {
    let of = |last| Mac([2, 0, 0, 0, 0xff, last]);
    (seed..=u8::MAX).step_by(2).map(of).find(|mac| !is_taken(*mac)).unwrap_or(of(seed))
}

/// The Internet checksum (RFC 1071) of parts that each have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks_exact(2));
    let mut sum: u32 = words.map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use iomt_filter_common::packet::Kind;
    use iomt_filter_common::{Packet, parse};

    use super::*;

    fn sent(from: &str, to: &str, protocol: u8) -> Sent {
        let host = |address: &str, last, vlan, port| Host {
            address: address.parse().unwrap(),
            mac: Mac([2, 0, 0, 0, 0, last]),
            vlan,
            port,
        };
        let [source_port, destination_port] = match protocol {
            protocol::ICMP | protocol::ICMPV6 => [7, 7],
            protocol::TCP | protocol::UDP | protocol::SCTP => [49_152, 443],
            _ => [0, 0],
        };
        Sent {
            from: host(from, 1, 110, Port::Device),
            to: host(to, 9, 0, Port::Uplink),
            protocol,
            source_port,
            destination_port,
            flags: if protocol == protocol::TCP { TCP_SYN } else { 0 },
            is_answer: false,
        }
    }

    fn read(sent: &Sent) -> Packet {
        let mut packet = Packet::default();
        assert_eq!(parse(&*sent.bytes(), &mut packet), Ok(()));
        packet
    }

    #[test]
    fn a_frame_is_read_as_it_was_meant() {
        for (from, to) in [("10.10.0.11", "203.0.113.9"), ("2001:db8::1", "2001:db8::2")] {
            for number in [1, 6, 17, 47, 58, 132] {
                if (number == protocol::ICMP) != from.contains('.') && matches!(number, 1 | 58) {
                    continue;
                }
                let sent = sent(from, to, number);
                let packet = read(&sent);
                assert_eq!((packet.vlan_id(), packet.protocol), (110, number));
                assert_eq!(IpAddr::from(packet.source), sent.from.address);
                assert_eq!(packet.kind() == Kind::Ipv4, from.contains('.'));
                let answer = read(&sent.answer().unwrap());
                assert_eq!((answer.source, answer.vlan_id()), (packet.destination, 110));
                assert_eq!(FlowKey::of(&packet), sent.flow(), "protocol {number}");
                assert_eq!(FlowKey::of(&answer), sent.flow().reversed(), "protocol {number}");
            }
        }
    }

    #[test]
    fn checksums_come_out_at_zero() {
        for number in [protocol::TCP, protocol::UDP] {
            for (from, to) in [("10.10.0.11", "203.0.113.9"), ("2001:db8::1", "2001:db8::2")] {
                let sent = sent(from, to, number);
                let bytes = sent.transport();
                assert_eq!(checksum(&[&sent.pseudo(bytes.len()), &bytes]), 0);
            }
        }
        let frame = sent("10.10.0.11", "203.0.113.9", protocol::UDP).bytes();
        assert_eq!(checksum(&[&frame[18..38]]), 0);
    }

    #[test]
    fn a_syn_is_answered_and_a_reset_or_a_group_is_not() {
        let syn = sent("10.10.0.11", "203.0.113.9", protocol::TCP);
        assert_eq!(syn.answer().unwrap().flags, TCP_SYN | TCP_ACK);
        assert_eq!(Sent { flags: TCP_ACK, ..syn }.answer().unwrap().flags, TCP_ACK);
        assert_eq!(Sent { flags: TCP_RST, ..syn }.answer(), None);
        assert_eq!(sent("10.10.0.11", "239.255.255.250", protocol::UDP).answer(), None);
    }
}
