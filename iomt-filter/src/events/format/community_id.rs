//! Community ID v1: the same text for both directions of a flow, in all tools that see it
//! (`corelight/community-id-spec`).

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iomt_filter_common::packet::protocol;
use sha1::{Digest as _, Sha1};

use super::super::{Record, protocol_number};

/// Types of ICMP that ask, and those that answer: the two stand for the ports of a flow.
const ICMP_PAIRS: [(u8, u8); 5] = [(8, 0), (13, 14), (15, 16), (10, 9), (17, 18)];
const ICMPV6_PAIRS: [(u8, u8); 6] = [(128, 129), (133, 134), (135, 136), (130, 131), (139, 140), (144, 145)];

/// That of a frame with addresses and a protocol. What is of many flows, and has the port of one end alone, has none.
pub(super) fn of(record: &Record) -> Option<String> {
    if record.source_port.is_some() != record.destination_port.is_some() {
        return None;
    }
    let (source, destination) = (record.source?, record.destination?);
    let number = protocol_number(record.protocol.as_deref()?)?;
    let (ports, is_one_way) = match (record.source_port, record.destination_port) {
        (Some(source), Some(destination)) => (Some((source, destination)), false),
        _ => match (record.icmp_type, record.icmp_code) {
            (Some(kind), Some(code)) => {
                let (ports, is_one_way) = icmp(number, kind, code);
                (Some(ports), is_one_way)
            }
            _ => (None, false),
        },
    };
    Some(id(number, (source, destination), ports, is_one_way))
}

/// What stands for the ports of ICMP, and whether nothing answers it.
fn icmp(number: u8, kind: u8, code: u8) -> ((u16, u16), bool) {
    let pairs: &[(u8, u8)] = if number == protocol::ICMP { &ICMP_PAIRS } else { &ICMPV6_PAIRS };
    let other = pairs.iter().find_map(|&(asks, answers)| match kind {
        kind if kind == asks => Some(answers),
        kind if kind == answers => Some(asks),
        _ => None,
    });
    match other {
        Some(other) => ((kind.into(), other.into()), false),
        None => ((kind.into(), code.into()), true),
    }
}

fn id(
    number: u8,
    (source, destination): (IpAddr, IpAddr),
    ports: Option<(u16, u16)>,
    is_one_way: bool,
) -> String {
    let (from, to) = ports.unzip();
    let (mut low, mut high) = ((octets(source), from), (octets(destination), to));
    if !is_one_way && high < low {
        (low, high) = (high, low);
    }
    const SEED: u16 = 0;
    let mut hash = Sha1::new();
    hash.update(SEED.to_be_bytes());
    hash.update(&low.0);
    hash.update(&high.0);
    hash.update([number, 0]);
    for port in [low.1, high.1].into_iter().flatten() {
        hash.update(port.to_be_bytes());
    }
    format!("1:{}", STANDARD.encode(hash.finalize()))
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_id(protocol: &'static str, ends: (&str, &str), ports: (u16, u16), expected: &str) {
        let is_icmp = protocol.starts_with("icmp");
        let port = |port: u16| (!is_icmp).then_some(port);
        let kind = |number: u16| is_icmp.then_some(number as u8);
        let record = Record {
            source: ends.0.parse().ok(),
            destination: ends.1.parse().ok(),
            protocol: Some(protocol.into()),
            source_port: port(ports.0),
            destination_port: port(ports.1),
            icmp_type: kind(ports.0),
            icmp_code: kind(ports.1),
            ..Record::default()
        };
        assert_eq!(of(&record).as_deref(), Some(expected), "{protocol} {ends:?} {ports:?}");
    }

    /// Of `baseline/baseline_deflt.json` in `corelight/community-id-spec`.
    #[test]
    fn ids_are_those_of_the_specification() {
        let web = ("128.232.110.120", "66.35.250.204");
        assert_id("tcp", web, (34_855, 80), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_id("tcp", (web.1, web.0), (80, 34_855), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        let mail = ("2001:470:e5bf:dead:4957:2174:e82c:4887", "2607:f8b0:400c:c03::1a");
        assert_id("tcp", mail, (63_943, 25), "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=");
        assert_id("udp", ("192.168.1.52", "8.8.8.8"), (54_585, 53), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
        assert_id("sctp", ("192.168.170.56", "192.168.170.8"), (7, 7), "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs=");
        let ping = ("192.168.0.89", "192.168.0.1");
        assert_id("icmp", ping, (8, 0), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
        assert_id("icmp", (ping.1, ping.0), (0, 0), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
        assert_id("icmp", ("10.0.0.1", "10.0.0.2"), (11, 0), "1:YHxtAirCG//0OzkcVAukqKQN9xM=");
        let solicit = ("fe80::200:86ff:fe05:80da", "ff02::2");
        assert_id("icmpv6", solicit, (133, 0), "1:hO+sN4H+MG5MY/8hIrXPqc4ZQz0=");
        let far = ("3ffe:501:1800:2345::2", "3ffe:507:0:1:200:86ff:fe05:80da");
        assert_id("icmpv6", far, (3, 0), "1:2ObVBgIn28oZvibYZhZMBgh7WdQ=");
        let portless = Record {
            source: "10.1.12.2".parse().ok(),
            destination: "10.1.12.1".parse().ok(),
            protocol: Some("rsvp".into()),
            ..Record::default()
        };
        assert_eq!(of(&portless).as_deref(), Some("1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="));
    }
}
