//! What a record must say, worked out from what tshark says.

use std::fmt::Debug;
use std::net::IpAddr;

use iomt_filter::events::{Record, protocol_name};

use super::tshark::{Row, number};

/// Extension headers that lead on to another one, with the field that says to which.
const EXTENSIONS: &[(u64, &str)] = &[
    (0, "ipv6.hopopts.nxt"),
    (43, "ipv6.routing.nxt"),
    (44, "ipv6.fraghdr.nxt"),
    (51, "ah.next_header"),
    (60, "ipv6.dstopts.nxt"),
];

/// tshark shows offsets of fragments as the header holds them.
const OFFSET_UNIT: u16 = 8;

/// The fields of a frame that a record has too.
#[derive(Debug, Default)]
pub(super) struct Expected {
    length: u32,
    captured: Option<u32>,
    time: String,
    mac: Option<(String, String)>,
    vlan: Vec<u16>,
    ip_version: Option<u8>,
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    protocol: Option<String>,
    ports: Option<(u16, u16)>,
    tcp_flags: Option<String>,
    fragment: Option<(String, u32, u16)>,
    icmp: Option<(u8, u8)>,
    hop_limit: Option<u8>,
    arp: Option<(String, IpAddr, IpAddr)>,
}

/// What a frame carries behind Ethernet and its tags.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Network {
    Ipv4,
    Ipv6,
    Arp,
    Other,
}

impl Expected {
    pub(super) fn of(row: &Row) -> Self {
        let length = row.number("frame.len").unwrap_or_default() as u32;
        let captured = row.number("frame.cap_len").unwrap_or_default() as u32;
        let mut expected = Self {
            length,
            captured: (captured < length).then_some(captured),
            time: row.text("frame.time_epoch").to_owned(),
            mac: row.first("eth.src").map(str::to_owned).zip(row.first("eth.dst").map(str::to_owned)),
            ..Self::default()
        };
        let network = expected.link(row);
        match network {
            Network::Ipv4 => expected.ipv4(row),
            Network::Ipv6 => expected.ipv6(row),
            Network::Arp => expected.arp(row),
            Network::Other => {}
        }
        expected
    }

    /// Reads the tags and says what follows them.
    fn link(&mut self, row: &Row) -> Network {
        let mut tags = row.all("vlan.id").into_iter();
        let mut service_tags = row.all("ieee8021ad.id").into_iter();
        for protocol in row.text("frame.protocols").split(':').skip(1) {
            match protocol {
                "ethertype" => {}
                "vlan" => self.vlan.extend(tags.next().and_then(number).map(|id| id as u16)),
                "ieee8021ad" => self.vlan.extend(service_tags.next().and_then(number).map(|id| id as u16)),
                "ip" => return Network::Ipv4,
                "ipv6" => return Network::Ipv6,
                "arp" => return Network::Arp,
                _ => return Network::Other,
            }
        }
        Network::Other
    }

    fn ipv4(&mut self, row: &Row) {
        self.ip_version = Some(4);
        self.source = row.first("ip.src").and_then(|address| address.parse().ok());
        self.destination = row.first("ip.dst").and_then(|address| address.parse().ok());
        self.hop_limit = row.number("ip.ttl").map(|ttl| ttl as u8);
        let offset = row.number("ip.frag_offset").unwrap_or_default() as u16 * OFFSET_UNIT;
        let id = row.number("ip.id").unwrap_or_default() as u32;
        let more = row.number("ip.flags.mf") == Some(1);
        self.set_fragment(id, offset, more);
        self.upper(row, row.number("ip.proto"), offset, "icmp");
    }

    fn ipv6(&mut self, row: &Row) {
        self.ip_version = Some(6);
        self.source = row.first("ipv6.src").and_then(|address| address.parse().ok());
        self.destination = row.first("ipv6.dst").and_then(|address| address.parse().ok());
        self.hop_limit = row.number("ipv6.hlim").map(|limit| limit as u8);
        let mut next = row.number("ipv6.nxt");
        let mut seen = [0; EXTENSIONS.len()];
        let mut offset = 0;
        while offset == 0
            && let Some(index) = EXTENSIONS.iter().position(|&(kind, _)| Some(kind) == next)
        {
            let (kind, field) = EXTENSIONS[index];
            if kind == 44 {
                offset = row.number("ipv6.fraghdr.offset").unwrap_or_default() as u16 * OFFSET_UNIT;
                let id = row.number("ipv6.fraghdr.ident").unwrap_or_default() as u32;
                self.set_fragment(id, offset, row.number("ipv6.fraghdr.more") == Some(1));
            }
            next = row.all(field).get(seen[index]).copied().and_then(number);
            seen[index] += 1;
        }
        self.upper(row, next, offset, "icmpv6");
    }

    fn set_fragment(&mut self, id: u32, offset: u16, more: bool) {
        if offset != 0 || more {
            let kind = if offset == 0 { "first" } else { "later" };
            self.fragment = Some((kind.to_owned(), id, offset));
        }
    }

    fn upper(&mut self, row: &Row, protocol: Option<u64>, offset: u16, icmp: &str) {
        self.protocol = protocol.map(|number| protocol_name(number as u8).into_owned());
        if offset != 0 {
            return;
        }
        let pair = |name: &str, a: &str, b: &str| {
            let field = |part: &str| row.number(&format!("{name}.{part}")).map(|value| value as u16);
            field(a).zip(field(b))
        };
        match self.protocol.as_deref() {
            Some("tcp") => {
                self.ports = pair("tcp", "srcport", "dstport");
                self.tcp_flags = row.number("tcp.flags").map(|bits| letters(bits as u8));
            }
            Some("udp") => self.ports = pair("udp", "srcport", "dstport"),
            Some("sctp") => self.ports = pair("sctp", "srcport", "dstport"),
            Some(name) if name == icmp => {
                self.icmp = pair(icmp, "type", "code").map(|(kind, code)| (kind as u8, code as u8));
            }
            _ => {}
        }
    }

    fn arp(&mut self, row: &Row) {
        let sender = row.first("arp.src.proto_ipv4").and_then(|address| address.parse().ok());
        let target = row.first("arp.dst.proto_ipv4").and_then(|address| address.parse().ok());
        let mac = row.first("arp.src.hw_mac").map(str::to_owned);
        self.arp = mac.zip(sender).zip(target).map(|((mac, sender), target)| (mac, sender, target));
    }

    /// Every field that differs, counted in `fields`.
    pub(super) fn compare(&self, record: &Record, fields: &mut usize) -> Vec<String> {
        let mut found = Vec::new();
        let mut same = |name: &str, ours: &dyn Debug, theirs: &dyn Debug| {
            *fields += 1;
            let (ours, theirs) = (format!("{ours:?}"), format!("{theirs:?}"));
            if ours != theirs {
                found.push(format!("{name}: {ours}, tshark {theirs}"));
            }
        };
        let time = record.time.map(|time| {
            let nanoseconds = time.as_nanosecond();
            format!("{}.{:09}", nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000 / 1000 * 1000)
        });
        let theirs = self.time.len().checked_sub(3).map(|end| format!("{}000", &self.time[..end]));
        same("time", &time, &theirs);
        same("length", &record.length, &self.length);
        same("captured", &record.captured, &self.captured);
        same("mac", &record.mac.as_ref().map(|mac| (&mac.source, &mac.destination)), &self.mac);
        same("vlan", record.vlan.as_ref().unwrap_or(&Vec::new()), &self.vlan);
        same("ip_version", &record.ip_version, &self.ip_version);
        same("source", &record.source, &self.source);
        same("destination", &record.destination, &self.destination);
        same("protocol", &record.protocol.as_deref(), &self.protocol);
        same("ports", &record.source_port.zip(record.destination_port), &self.ports);
        same("tcp_flags", &record.tcp_flags, &self.tcp_flags);
        let fragment = record.fragment.as_ref();
        same("fragment", &fragment.map(|part| (part.kind.to_string(), part.id, part.offset)), &self.fragment);
        same("icmp", &record.icmp_type.zip(record.icmp_code), &self.icmp);
        same("hop_limit", &record.hop_limit, &self.hop_limit);
        same("arp", &record.arp.as_ref().map(|arp| (&arp.sender_mac, arp.sender, arp.target)), &self.arp);
        found
    }
}

/// Flags as a record writes them.
fn letters(bits: u8) -> String {
    "FSRPAUEC".chars().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, letter)| letter).collect()
}
