//! The model's reading of what an ICMP error quotes.

use std::net::IpAddr;

use super::frame::{Ip, Quoted, u16_of, v4, v6};

/// What the error is about, where it was sent by whoever is told of it.
pub(super) fn read(ip: &Ip, quoted: &[u8]) -> Option<Quoted> {
    let is_v4 = ip.source.is_ipv4();
    let is_error = match ip.icmp_kind()? {
        3 | 11 | 12 if is_v4 => true,
        1..=4 if !is_v4 => true,
        _ => false,
    };
    let version = quoted.first()? >> 4;
    if !is_error || version != if is_v4 { 4 } else { 6 } {
        return None;
    }
    let (header, source, destination, protocol) = if is_v4 {
        if quoted.len() < 20 || u16_of(&quoted[6..]) & 0x1fff != 0 || quoted[0] % 16 < 5 {
            return None;
        }
        (usize::from(quoted[0] % 16) * 4, v4(&quoted[12..]), v4(&quoted[16..]), quoted[9])
    } else {
        if quoted.len() < 40 {
            return None;
        }
        let (protocol, header) = behind_extensions(quoted)?;
        (header, IpAddr::V6(v6(&quoted[8..])), IpAddr::V6(v6(&quoted[24..])), protocol)
    };
    let transport = quoted.get(header..header + 8)?;
    let ports = match protocol {
        6 | 17 | 132 => (u16_of(transport), u16_of(&transport[2..])),
        1 | 58 if matches!((is_v4, transport[0]), (true, 0 | 8) | (false, 128 | 129)) => {
            (u16_of(&transport[4..]), u16_of(&transport[4..]))
        }
        1 | 58 => return None,
        _ => (0, 0),
    };
    (source == ip.destination).then_some(Quoted { destination, protocol, ports })
}

/// The transport protocol of a quoted packet of IPv6 behind up to three extension headers, and its place.
fn behind_extensions(quoted: &[u8]) -> Option<(u8, usize)> {
    let (mut next, mut at) = (quoted[6], 40);
    for _ in 0..3 {
        let length = |header: &[u8]| match next {
            0 | 43 | 60 => Some((usize::from(header[1]) + 1) * 8),
            44 => Some(8),
            51 => Some((usize::from(header[1]) + 2) * 4),
            _ => None,
        };
        if !matches!(next, 0 | 43 | 44 | 51 | 60) {
            break;
        }
        let header = quoted.get(at..at + 8)?;
        if next == 44 && u16_of(&header[2..]) & 0xfff8 != 0 {
            return None;
        }
        at += length(header)?;
        next = header[0];
    }
    (!matches!(next, 0 | 43 | 44 | 51 | 60)).then_some((next, at))
}

/// What neighbour discovery is about, and a hardware address that it names beside its own.
pub(super) fn neighbour(ip: &Ip, body: &[u8], own: [u8; 6]) -> Option<(IpAddr, [u8; 6])> {
    if ip.source.is_ipv4() {
        return None;
    }
    let (target, mut rest) = match ip.icmp_kind()? {
        133 => (IpAddr::from([0; 16]), body),
        135 | 136 if body.len() >= 16 => (IpAddr::V6(v6(body)), &body[16..]),
        _ => return None,
    };
    let mut named = own;
    for number in 0.. {
        let [kind, length, a, b, c, d, e, f, ..] = *rest else { break };
        if number == 12 {
            named = [0; 6]; // too many to be believed
            break;
        }
        if matches!(kind, 1 | 2) && [a, b, c, d, e, f] != own {
            named = [a, b, c, d, e, f];
        }
        if length == 0 || rest.len() < usize::from(length) * 8 {
            break;
        }
        rest = &rest[usize::from(length) * 8..];
    }
    Some((target, named))
}
