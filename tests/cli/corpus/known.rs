//! Differences that are as they should be, each with its reason.

use iomt_filter::events::Record;

use super::tshark::Row;

/// IPv4 options that carry a route (RFC 791 §3.1), with the copied bit: loose and strict.
const ROUTE_OPTIONS: [&str; 2] = ["131", "137"];
const SHORTEST_IP_FRAME: u64 = 14 + MIN_IPV4_HEADER;
const MIN_IPV4_HEADER: u64 = 20;
const MIN_TCP_HEADER: u64 = 20;

/// Why a capture may be refused, or end early.
pub(super) fn refusal(last_line: &str) -> Option<&'static str> {
    if last_line.contains("link type") {
        return Some("not Ethernet");
    }
    last_line.contains("is pcapng version").then_some("a section of a pcapng version that does not exist yet")
}

/// Why a record may differ from what tshark says.
pub(super) fn reason(record: &Record, row: &Row, difference: &str) -> Option<&'static str> {
    if record.reason == "malformed" {
        return contradiction(row);
    }
    let has_route = row.all("ip.opt.type").iter().any(|option| ROUTE_OPTIONS.contains(option));
    if has_route && difference.starts_with("destination:") {
        return Some(
            "tshark shows the last hop of a source route, the program the address that the next hop reads",
        );
    }
    None
}

/// What makes a frame malformed: the program then reads no further, and tshark sometimes stops earlier.
pub(super) fn contradiction(row: &Row) -> Option<&'static str> {
    if row.number("frame.len").is_some_and(|length| length < SHORTEST_IP_FRAME) {
        return Some("an IP header that is cut off");
    }
    let family = if row.first("ipv6.src").is_some() { ipv6(row) } else { ipv4(row).or_else(|| tcp(row)) };
    family.or_else(|| impossible(row))
}

fn ipv6(row: &Row) -> Option<&'static str> {
    if row.text("frame.protocols").contains("ethertype:ip:ipv6") && row.first("ip.src").is_none() {
        return Some("an IPv6 header under the EtherType of IPv4");
    }
    let has_route = row.all("ipv6.routing.type").contains(&"0");
    has_route.then_some("an IPv6 source route, which nodes must not process (RFC 5095)")
}

fn ipv4(row: &Row) -> Option<&'static str> {
    if row.number("ip.version").is_some_and(|version| version != 4) {
        return Some("an IPv4 header of another version");
    }
    if row.number("ip.hdr_len").is_some_and(|length| length < MIN_IPV4_HEADER) {
        return Some("an IPv4 header shorter than any");
    }
    match (row.number("ip.len"), row.number("ip.hdr_len")) {
        (Some(0), _) => {
            Some("an IPv4 packet of length 0, captured at its sender before the hardware cut it up")
        }
        (Some(all), Some(header)) if all < header => Some("an IPv4 packet shorter than its header"),
        _ => None,
    }
}

fn tcp(row: &Row) -> Option<&'static str> {
    let payload = row.number("ip.len")?.checked_sub(row.number("ip.hdr_len")?)?;
    if row.number("ip.proto") != Some(6) {
        return None;
    }
    if payload < MIN_TCP_HEADER {
        return Some("a TCP header that is cut off");
    }
    let header = row.number("tcp.hdr_len")?;
    if header < MIN_TCP_HEADER {
        return Some("a TCP header shorter than any");
    }
    (header > payload).then_some("a TCP header longer than its packet")
}

/// Addresses and ports that no honest packet on a wire has.
fn impossible(row: &Row) -> Option<&'static str> {
    let address =
        |v4: &str, v6: &str| row.first(v6).or_else(|| row.first(v4))?.parse::<std::net::IpAddr>().ok();
    let (source, destination) = (address("ip.src", "ipv6.src")?, address("ip.dst", "ipv6.dst")?);
    if source == destination {
        return Some("a packet to its own sender");
    }
    if source.is_loopback() || destination.is_loopback() {
        return Some("a loopback address on a wire");
    }
    if destination.is_unspecified() || source.is_multicast() || source.to_string() == "255.255.255.255" {
        return Some("a packet to nobody or from a group");
    }
    if row.all("ip.opt.type").iter().any(|option| ROUTE_OPTIONS.contains(option)) {
        return Some("an IPv4 source route");
    }
    if !row.all("ip.opt.type").is_empty() {
        return Some("IPv4 options whose lengths do not add up");
    }
    let port = |name: &str| row.number(name) == Some(0);
    let is_zero =
        ["tcp.srcport", "tcp.dstport", "udp.dstport", "sctp.srcport", "sctp.dstport"].into_iter().any(port);
    is_zero.then_some("port 0")
}
