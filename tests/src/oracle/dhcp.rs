//! The model's reading of DHCP messages (RFC 2131, RFC 8415).

use std::net::IpAddr;

use super::frame::{Ip, u16_of, v4, v6};

/// A message, as far as it says something of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dhcp {
    /// A client asks: transaction, and in IPv4 its hardware address.
    Asks { transaction: u32, mac: Option<[u8; 6]> },
    /// A server gives an address for seconds, or for good.
    Gives { transaction: u32, mac: Option<[u8; 6]>, address: IpAddr, seconds: Option<u32> },
}

/// Reads the data of a whole UDP packet.
pub(super) fn read(ip: &Ip, data: &[u8]) -> Option<Dhcp> {
    if ip.protocol != 17 || !ip.is_whole {
        return None;
    }
    match (ip.source.is_ipv4(), ip.ports()) {
        (true, (68, 67)) => version_4(data, 1),
        (true, (67, 67) | (_, 68)) => version_4(data, 2),
        (false, (546, 547)) => asks_6(data),
        (false, (_, 546)) => gives_6(data),
        _ => None,
    }
}

/// Options that are looked at, of either family.
const OPTIONS: usize = 32;

fn version_4(data: &[u8], op: u8) -> Option<Dhcp> {
    let (header, options) = data.split_at_checked(240)?;
    if header[..3] != [op, 1, 6] || header[236..] != [0x63, 0x82, 0x53, 0x63] {
        return None;
    }
    let transaction = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let mac = Some([header[28], header[29], header[30], header[31], header[32], header[33]]);
    let (mut kind, mut seconds) = (None, None);
    let mut rest = options;
    for _ in 0..OPTIONS {
        rest = match *rest {
            [0, ref behind @ ..] => behind,
            [255, ..] | [] | [_] => break,
            [option, length, ref behind @ ..] => {
                let Some((value, behind)) = behind.split_at_checked(usize::from(length)) else { break };
                match (option, value) {
                    (53, [message]) => kind = Some(*message),
                    (51, [a, b, c, d]) => seconds = Some(u32::from_be_bytes([*a, *b, *c, *d])),
                    _ => {}
                }
                behind
            }
        };
    }
    match (header[0], kind?) {
        (1, 1 | 3) => Some(Dhcp::Asks { transaction, mac }),
        (2, 5) => {
            let seconds = unless_for_ever(seconds.unwrap_or(86_400));
            Some(Dhcp::Gives { transaction, mac, address: v4(&header[16..]), seconds })
        }
        _ => None,
    }
}

fn asks_6(data: &[u8]) -> Option<Dhcp> {
    let transaction = u32::from_be_bytes([0, *data.get(1)?, *data.get(2)?, *data.get(3)?]);
    matches!(data[0], 1 | 3 | 5 | 6).then_some(Dhcp::Asks { transaction, mac: None })
}

fn gives_6(data: &[u8]) -> Option<Dhcp> {
    let (header, mut options) = data.split_at_checked(4)?;
    let transaction = u32::from_be_bytes([0, header[1], header[2], header[3]]);
    for _ in 0..OPTIONS {
        let (option, behind) = options.split_at_checked(4)?;
        let (value, rest) = behind.split_at_checked(usize::from(u16_of(&option[2..])))?;
        // An association: identifier and two times, then its first option.
        if header[0] == 7 && u16_of(option) == 3 && value.len() >= 40 {
            let (inner, address) = (&value[12..16], &value[16..]);
            let seconds = u32::from_be_bytes([address[20], address[21], address[22], address[23]]);
            if u16_of(inner) == 5 && u16_of(&inner[2..]) >= 24 && seconds != 0 {
                return Some(Dhcp::Gives {
                    transaction,
                    mac: None,
                    address: IpAddr::V6(v6(address)),
                    seconds: unless_for_ever(seconds),
                });
            }
        }
        options = rest;
    }
    None
}

/// The highest number of seconds means no end (RFC 2131 §3.3, RFC 8415 §7.7).
fn unless_for_ever(seconds: u32) -> Option<u32> {
    (seconds != 0xffff_ffff).then_some(seconds)
}
