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
        (40, IpAddr::V6(v6(&quoted[8..])), IpAddr::V6(v6(&quoted[24..])), quoted[6])
    };
    let transport = quoted.get(header..header + 8)?;
    let ports = match protocol {
        6 | 17 | 132 => (u16_of(transport), u16_of(&transport[2..])),
        1 | 58 if transport[0] == if is_v4 { 8 } else { 128 } => {
            (u16_of(&transport[4..]), u16_of(&transport[4..]))
        }
        _ => return None,
    };
    (source == ip.destination).then_some(Quoted { destination, protocol, ports })
}

/// What a neighbour solicitation or advertisement is about.
pub(super) fn neighbour(ip: &Ip, body: &[u8]) -> Option<(IpAddr, [u8; 6])> {
    if ip.source.is_ipv4() || !matches!(ip.icmp_kind()?, 135 | 136) || body.len() < 16 {
        return None;
    }
    let mac = match body[16..] {
        [1 | 2, 1, a, b, c, d, e, f, ..] => [a, b, c, d, e, f],
        _ => [0; 6],
    };
    Some((IpAddr::V6(v6(body)), mac))
}
