//! Differences that are as they should be, each with its reason.

use iomt_filter::events::Record;

use super::tshark::{Row, number};

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
    let is =
        |field: &str, test: &dyn Fn(u64) -> bool| row.all(field).into_iter().filter_map(number).any(test);
    let is_short = row.number("frame.len").is_some_and(|length| length < SHORTEST_IP_FRAME);
    if is_short || (row.text("ipv6.version").is_empty() && row.text("ip.src").is_empty()) {
        return Some("an IP header that is cut off, or of another version or length than it can be");
    }
    if is("ip.version", &|version| version != 4) {
        return Some("an IPv4 header of another version");
    }
    if is("ip.hdr_len", &|length| length < MIN_IPV4_HEADER) {
        return Some("an IPv4 header shorter than any");
    }
    if is("ip.len", &|length| length == 0) {
        return Some("an IPv4 packet of length 0, captured at its sender before the hardware cut it up");
    }
    if is("ipv6.routing.type", &|kind| kind == 0) {
        return Some("an IPv6 source route, which nodes must not process (RFC 5095)");
    }
    if is("tcp.hdr_len", &|length| length < MIN_TCP_HEADER) {
        return Some("a TCP header shorter than any");
    }
    let payload =
        row.number("ip.len").zip(row.number("ip.hdr_len")).map(|(all, header)| all.saturating_sub(header));
    match payload {
        Some(payload) if payload < MIN_TCP_HEADER && row.text("ip.proto") == "6" => {
            Some("a TCP header that is cut off")
        }
        Some(payload) if is("tcp.hdr_len", &|length| length > payload) => {
            Some("a TCP header longer than its packet")
        }
        _ => None,
    }
}
