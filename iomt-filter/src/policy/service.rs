//! Services: what `service = …` in a rule and `ports = …` of a management pair stand for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use thiserror::Error;

use super::builtin;
use crate::nearest::did_you_mean;
use crate::rows::ServicePrefix;

/// IP protocol numbers that are written by name.
pub const ICMP: u8 = 1;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// ICMPv6.
pub const ICMPV6: u8 = 58;
/// SCTP.
pub const SCTP: u8 = 132;

/// Names of services that a policy defines, beside the built-in ones.
pub type Named = BTreeMap<String, Services>;

/// Ports of one protocol, both ends included. Protocols without ports have port 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// IP protocol number.
    pub protocol: u8,
    /// First port.
    pub first: u16,
    /// Last port.
    pub last: u16,
}

/// As rules write it.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            ICMP => return f.write_str("icmp"),
            ICMPV6 => return f.write_str("icmpv6"),
            TCP => "tcp",
            UDP => "udp",
            SCTP => "sctp",
            number => return write!(f, "proto/{number}"),
        };
        if self.first == self.last {
            write!(f, "{}/{protocol}", self.first)
        } else {
            write!(f, "{}-{}/{protocol}", self.first, self.last)
        }
    }
}

/// What a rule allows to be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Services {
    /// Whatever it is; the ranges then say nothing.
    pub any: bool,
    /// Ports by protocol: sorted, apart from each other.
    pub ranges: Vec<PortRange>,
    /// Those that were named by themselves and are asked for by broadcast too.
    pub broadcasts: BTreeSet<Broadcast>,
}

/// A service whose servers a client asks for before it has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Broadcast {
    /// 67/udp, at 255.255.255.255 (RFC 2131 §4.1).
    Dhcp,
    /// 547/udp, at ff02::1:2 (RFC 9915 §7.1).
    Dhcpv6,
}

impl Broadcast {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Dhcp, Self::Dhcpv6];

    /// Where the servers are asked for.
    pub const fn group(self) -> IpAddr {
        match self {
            Self::Dhcp => IpAddr::V4(Ipv4Addr::BROADCAST),
            Self::Dhcpv6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2)),
        }
    }

    /// The service.
    pub const fn range(self) -> PortRange {
        let port = match self {
            Self::Dhcp => 67,
            Self::Dhcpv6 => 547,
        };
        PortRange { protocol: UDP, first: port, last: port }
    }
}

/// Why a service cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ServiceError {
    /// A name that is neither built in nor defined.
    #[error("unknown service `{0}`")]
    Unknown(String),
    /// Ports without a protocol.
    #[error("`{0}` has no protocol")]
    NoProtocol(String),
    /// A protocol that has no ports, or that nobody knows.
    #[error("unknown protocol `{0}`")]
    UnknownProtocol(String),
    /// A port that is no number from 1 to 65535.
    #[error("`{0}` is no port")]
    BadPort(String),
    /// A range that ends before it begins.
    #[error("the range `{0}` ends before it begins")]
    Reversed(String),
    /// `proto/` with something that is no number from 0 to 255.
    #[error("`{0}` is no protocol number")]
    BadNumber(String),
}

impl ServiceError {
    /// What to do next.
    pub fn help(&self, named: &Named) -> String {
        match self {
            Self::Unknown(name) => {
                let mut known: Vec<&str> = builtin::names().collect();
                known.extend(named.keys().map(String::as_str));
                format!(
                    "{}, or write ports, as in `8443/tcp`; a new name is added to `[services]`",
                    did_you_mean(name, known)
                )
            }
            Self::NoProtocol(ports) => format!("write `{ports}/tcp` or `{ports}/udp`"),
            Self::UnknownProtocol(_) => {
                "protocols with ports are `tcp`, `udp` and `sctp`; others are written `proto/NUMBER`".into()
            }
            Self::BadPort(_) => "ports are numbers from 1 to 65535".into(),
            Self::Reversed(_) => "write the lower port first, as in `4000-4010/udp`".into(),
            Self::BadNumber(_) => "protocol numbers go from 0 to 255, as in `proto/47`".into(),
        }
    }
}

impl Services {
    /// Reads a name, `port/proto`, `port-port/proto`, `icmp`, `icmpv6`, `proto/NUMBER` or `any`.
    pub fn parse(text: &str, named: &Named) -> Result<Self, ServiceError> {
        if text == "any" {
            return Ok(Self { any: true, ..Self::default() });
        }
        if let Some(services) = named.get(text).cloned().or_else(|| builtin::service(text).map(Self::of)) {
            return Ok(services);
        }
        Ok(Self::of(vec![parse_range(text)?]))
    }

    /// From ranges in any order, which may touch and overlap.
    pub fn of(mut ranges: Vec<PortRange>) -> Self {
        let is_named = |broadcast: &Broadcast| ranges.contains(&broadcast.range());
        let broadcasts = Broadcast::ALL.into_iter().filter(is_named).collect();
        ranges.sort_unstable();
        let mut apart: Vec<PortRange> = Vec::with_capacity(ranges.len());
        for range in ranges {
            match apart.last_mut() {
                Some(last)
                    if last.protocol == range.protocol && range.first <= last.last.saturating_add(1) =>
                {
                    last.last = last.last.max(range.last);
                }
                _ => apart.push(range),
            }
        }
        Self { any: false, ranges: apart, broadcasts }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        !self.any && self.ranges.is_empty()
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        if self.any || other.any {
            return Self { any: true, ..Self::default() };
        }
        let mut both = Self::of([self.ranges, other.ranges].concat());
        both.broadcasts.extend(self.broadcasts.into_iter().chain(other.broadcasts));
        both
    }

    /// Whether everything in `other` is in here too.
    pub fn contains(&self, other: &Self) -> bool {
        let holds = |range: &PortRange| {
            self.ranges.iter().any(|own| {
                own.protocol == range.protocol && own.first <= range.first && range.last <= own.last
            })
        };
        self.any || (!other.any && other.ranges.iter().all(holds))
    }

    /// Whether something is in both.
    pub fn meets(&self, other: &Self) -> bool {
        let both =
            |a: &PortRange, b: &PortRange| a.protocol == b.protocol && a.first <= b.last && b.first <= a.last;
        self.any || other.any || self.ranges.iter().any(|a| other.ranges.iter().any(|b| both(a, b)))
    }
}

/// The fewest power-of-two ranges that make up `range`.
pub fn prefixes(range: PortRange) -> Vec<ServicePrefix> {
    let mut found = Vec::new();
    let (mut next, end) = (u32::from(range.first), u32::from(range.last) + 1);
    while next < end {
        let aligned = if next == 0 { 16 } else { next.trailing_zeros().min(16) };
        let fitting = (end - next).ilog2();
        let size = aligned.min(fitting);
        found.push(ServicePrefix { protocol: range.protocol, port: next as u16, bits: (16 - size) as u8 });
        next += 1 << size;
    }
    found
}

/// Whether a protocol has ports that rules can name.
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | SCTP)
}

fn parse_range(text: &str) -> Result<PortRange, ServiceError> {
    match text {
        "icmp" => return Ok(PortRange { protocol: ICMP, first: 0, last: 0 }),
        "icmpv6" => return Ok(PortRange { protocol: ICMPV6, first: 0, last: 0 }),
        _ => {}
    }
    let Some((ports, protocol)) = text.split_once('/') else {
        let is_ports = text.starts_with(|first: char| first.is_ascii_digit());
        let text = text.to_owned();
        return Err(if is_ports { ServiceError::NoProtocol(text) } else { ServiceError::Unknown(text) });
    };
    if ports == "proto" {
        let number = protocol.parse().map_err(|_| ServiceError::BadNumber(protocol.to_owned()))?;
        let last = if has_ports(number) { u16::MAX } else { 0 };
        return Ok(PortRange { protocol: number, first: 0, last });
    }
    let number = match protocol {
        "tcp" => TCP,
        "udp" => UDP,
        "sctp" => SCTP,
        other => return Err(ServiceError::UnknownProtocol(other.to_owned())),
    };
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let range = PortRange { protocol: number, first: port(first)?, last: port(last)? };
    if range.first > range.last { Err(ServiceError::Reversed(text.to_owned())) } else { Ok(range) }
}

fn port(text: &str) -> Result<u16, ServiceError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|&port| digits && port != 0);
    number.ok_or_else(|| ServiceError::BadPort(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Services, ServiceError> {
        Services::parse(text, &Named::new())
    }

    #[test]
    fn every_notation() {
        let range = |protocol, first, last| vec![PortRange { protocol, first, last }];
        assert_eq!(read("443/tcp").unwrap().ranges, range(TCP, 443, 443));
        assert_eq!(read("4000-4010/udp").unwrap().ranges, range(UDP, 4000, 4010));
        assert_eq!(read("icmp").unwrap().ranges, range(ICMP, 0, 0));
        assert_eq!(read("icmpv6").unwrap().ranges, range(ICMPV6, 0, 0));
        assert_eq!(read("proto/47").unwrap().ranges, range(47, 0, 0));
        assert_eq!(read("proto/6").unwrap().ranges, range(TCP, 0, 65535));
        assert!(read("any").unwrap().any);
        assert_eq!(read("dns").unwrap().ranges.len(), 2);
    }

    #[test]
    fn every_refusal() {
        assert_eq!(read("dicmo"), Err(ServiceError::Unknown("dicmo".into())));
        assert_eq!(read("443"), Err(ServiceError::NoProtocol("443".into())));
        assert_eq!(read("0/tcp"), Err(ServiceError::BadPort("0".into())));
        assert_eq!(read("+1/tcp"), Err(ServiceError::BadPort("+1".into())));
        assert_eq!(read("65536/tcp"), Err(ServiceError::BadPort("65536".into())));
        assert_eq!(read("10-1/tcp"), Err(ServiceError::Reversed("10-1/tcp".into())));
        assert_eq!(read("1/tpc"), Err(ServiceError::UnknownProtocol("tpc".into())));
        assert_eq!(read("proto/256"), Err(ServiceError::BadNumber("256".into())));
        assert!(read("dicmo").unwrap_err().help(&Named::new()).starts_with("did you mean `dicom`?"));
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let one = Services::parse("1-9/tcp", &Named::new()).unwrap();
        let two = Services::parse("10-20/tcp", &Named::new()).unwrap();
        let both = one.clone().and(two);
        assert_eq!(both, read("1-20/tcp").unwrap());
        assert!(both.contains(&one) && !one.contains(&both) && both.meets(&one));
        assert!(read("any").unwrap().contains(&both));
        assert!(!both.contains(&read("any").unwrap()));
    }

    #[test]
    fn all_ports_are_one_prefix() {
        let all = prefixes(PortRange { protocol: TCP, first: 0, last: u16::MAX });
        assert_eq!(all, [ServicePrefix { protocol: TCP, port: 0, bits: 0 }]);
        let none = prefixes(PortRange { protocol: ICMP, first: 0, last: 0 });
        assert_eq!(none, [ServicePrefix { protocol: ICMP, port: 0, bits: 16 }]);
    }
}
