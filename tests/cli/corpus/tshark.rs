//! What tshark says of the frames of a capture.

use std::path::Path;
use std::process::Command;

/// The fields that are asked for, with every occurrence.
const FIELDS: &[&str] = &[
    "frame.number",
    "frame.len",
    "frame.cap_len",
    "frame.time_epoch",
    "frame.protocols",
    "eth.src",
    "eth.dst",
    "vlan.id",
    "ieee8021ad.id",
    "ieee8021ad.svid",
    "ieee8021ad.cvid",
    "ip.src",
    "ip.dst",
    "ip.proto",
    "ip.ttl",
    "ip.id",
    "ip.frag_offset",
    "ip.flags.mf",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.hlim",
    "ipv6.hopopts.nxt",
    "ipv6.dstopts.nxt",
    "ipv6.routing.nxt",
    "ah.next_header",
    "ipv6.fraghdr.nxt",
    "ipv6.fraghdr.offset",
    "ipv6.fraghdr.more",
    "ipv6.fraghdr.ident",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "icmp.type",
    "icmp.code",
    "icmpv6.type",
    "icmpv6.code",
    "arp.src.hw_mac",
    "arp.src.proto_ipv4",
    "arp.dst.proto_ipv4",
    "ip.version",
    "ip.hdr_len",
    "ip.len",
    "ip.opt.type",
    "ipv6.version",
    "ipv6.plen",
    "ipv6.routing.type",
    "tcp.hdr_len",
    "udp.length",
];

/// Every fragment and segment by itself.
const PREFERENCES: &[&str] = &[
    "ip.defragment:FALSE",
    "ip.tso_support:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
];

/// One frame.
#[derive(Debug)]
pub(super) struct Row(Vec<String>);

impl Row {
    /// tshark lists the custom blocks of pcapng too.
    fn is_frame(&self) -> bool {
        !(self.text("frame.protocols") == "data" && self.text("frame.time_epoch").is_empty())
    }

    /// A field as tshark prints it, empty where the frame has none.
    pub(super) fn text(&self, field: &str) -> &str {
        let index = FIELDS.iter().position(|known| *known == field).expect("a field that is asked for");
        self.0.get(index).map_or("", String::as_str)
    }

    /// Every occurrence of a field, outermost header first.
    pub(super) fn all(&self, field: &str) -> Vec<&str> {
        let text = self.text(field);
        if text.is_empty() { Vec::new() } else { text.split(',').collect() }
    }

    /// The outermost occurrence of a field.
    pub(super) fn first(&self, field: &str) -> Option<&str> {
        self.all(field).first().copied()
    }

    /// The outermost occurrence as a number, decimal or `0x…`.
    pub(super) fn number(&self, field: &str) -> Option<u64> {
        number(self.first(field)?)
    }
}

pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

pub(super) fn read(capture: &Path) -> Vec<Row> {
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-T", "fields", "-E", "separator=/t", "-E", "occurrence=a", "-E", "aggregator=,"]);
    for preference in PREFERENCES {
        tshark.args(["-o", preference]);
    }
    for field in FIELDS {
        tshark.args(["-e", field]);
    }
    let output = tshark.arg("-r").arg(capture).output().expect("tshark is installed: `cargo xtask setup`");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(!complaints.contains("aren't valid"), "{complaints}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.lines().map(|line| Row(line.split('\t').map(str::to_owned).collect()));
    rows.filter(Row::is_frame).collect()
}
