//! Frames of one length, as the driver takes them.

use std::net::IpAddr;

use bench_ebpf::FRAME_BYTES;
use iomt_filter_common::Mac;
use iomt_filter_common::packet::protocol;

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const IPV6: u16 = 0x86dd;
const NEIGHBOUR_SOLICITATION: u8 = 135;

/// A frame.
pub(crate) type Frame = [u8; FRAME_BYTES];

/// Who sends to whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) source_mac: Mac,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
}

/// The part of a TCP header that differs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp {
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
    pub(crate) flags: u8,
}

/// A TCP segment. The header of IPv4 has its checksum, without which the kernel forwards nothing, and so has
/// TCP over it, for the sake of connection tracking.
pub(crate) fn tcp(ends: &Ends, tcp: Tcp) -> Frame {
    let mut header = [0; 20];
    header[..2].copy_from_slice(&tcp.source_port.to_be_bytes());
    header[2..4].copy_from_slice(&tcp.destination_port.to_be_bytes());
    header[12] = 5 << 4;
    header[13] = tcp.flags;
    ip(ends, protocol::TCP, 64, &header)
}

/// A neighbour solicitation (RFC 4861 §4.3).
pub(crate) fn neighbour_solicitation(ends: &Ends) -> Frame {
    ip(ends, protocol::ICMPV6, 255, &[NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0])
}

/// An ARP request (RFC 826).
pub(crate) fn arp(ends: &Ends) -> Frame {
    let mut frame = ethernet(ends.source_mac, ARP);
    frame[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, 1]);
    frame[22..28].copy_from_slice(&ends.source_mac.0);
    if let (IpAddr::V4(source), IpAddr::V4(destination)) = (ends.source, ends.destination) {
        frame[28..32].copy_from_slice(&source.octets());
        frame[38..42].copy_from_slice(&destination.octets());
    }
    frame
}

fn ip(ends: &Ends, protocol: u8, hop_limit: u8, payload: &[u8]) -> Frame {
    match (ends.source, ends.destination) {
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut frame = ethernet(ends.source_mac, IPV6);
            frame[14] = 0x60;
            frame[18..20].copy_from_slice(&(FRAME_BYTES as u16 - 54).to_be_bytes());
            frame[20] = protocol;
            frame[21] = hop_limit;
            frame[22..38].copy_from_slice(&source.octets());
            frame[38..54].copy_from_slice(&destination.octets());
            frame[54..54 + payload.len()].copy_from_slice(payload);
            frame
        }
        (source, destination) => {
            let mut frame = ethernet(ends.source_mac, IPV4);
            frame[14] = 0x45;
            frame[16..18].copy_from_slice(&(FRAME_BYTES as u16 - 14).to_be_bytes());
            frame[22] = hop_limit;
            frame[23] = protocol;
            frame[26..30].copy_from_slice(&v4_octets(source));
            frame[30..34].copy_from_slice(&v4_octets(destination));
            frame[34..34 + payload.len()].copy_from_slice(payload);
            let header = checksum(0, &frame[14..34]);
            frame[24..26].copy_from_slice(&header.to_be_bytes());
            if protocol == protocol::TCP {
                let length = FRAME_BYTES as u32 - 34;
                let segment = checksum(u32::from(protocol) + length, &frame[26..]);
                frame[50..52].copy_from_slice(&segment.to_be_bytes());
            }
            frame
        }
    }
}

/// The checksum of the internet (RFC 1071) over bytes, and over `more`.
fn checksum(more: u32, bytes: &[u8]) -> u16 {
    let words = bytes.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let mut sum = words.sum::<u32>() + more;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn ethernet(source: Mac, ethertype: u16) -> Frame {
    let mut frame = [0; FRAME_BYTES];
    frame[..6].copy_from_slice(&[0x02, 0xff, 0, 0, 0, 1]);
    frame[6..12].copy_from_slice(&source.0);
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    frame
}

const fn v4_octets(address: IpAddr) -> [u8; 4] {
    match address {
        IpAddr::V4(v4) => v4.octets(),
        IpAddr::V6(_) => [0; 4],
    }
}
