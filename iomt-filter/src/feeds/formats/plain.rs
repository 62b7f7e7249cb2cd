//! One address, prefix or range a line: plain lists and FireHOL's `.ipset` and `.netset`.
//!
//! `#`, `;` and `//` begin comments, on their own line or after an entry. Line ends may be LF or CRLF,
//! a byte-order mark is skipped. Host bits are cut off, with a note; `address:port` keeps the port.

use std::net::{IpAddr, SocketAddr};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::{Format, Note, Parsed, Reject, RejectReason};
use crate::feeds::Entry;
use crate::policy::peer::canonical;

/// Characters of a line that an account of it keeps.
const SHOWN: usize = 120;
/// Bytes at the beginning in which HTML or binary data shows.
const SNIFFED: usize = 4096;

/// Reads a list.
pub fn parse(bytes: &[u8]) -> Parsed {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut parsed = Parsed { format: Format::Plain, ..Parsed::default() };
    if let Some(reason) = is_no_list(bytes) {
        let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
        parsed.rejects.push(Reject { line: 1, text: shown(first), reason });
        return parsed;
    }
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let text = String::from_utf8_lossy(raw);
        let text = without_comment(&text);
        if text.is_empty() {
            continue;
        }
        match entry(text) {
            Ok(read) => {
                let found = read.networks.iter().map(|&network| Entry {
                    network,
                    port: read.port,
                    score: None,
                    line,
                    about: None,
                });
                parsed.entries.extend(found);
                if let (true, [read_as]) = (read.had_host_bits, read.networks.as_slice()) {
                    parsed.notes.push(Note { line, text: shown(text.as_bytes()), read_as: *read_as });
                }
            }
            Err(reason) => parsed.rejects.push(Reject { line, text: shown(text.as_bytes()), reason }),
        }
    }
    parsed
}

struct Read {
    networks: Vec<IpNet>,
    port: Option<u16>,
    had_host_bits: bool,
}

impl Read {
    fn of(network: IpNet) -> Result<Self, RejectReason> {
        if network.prefix_len() == 0 {
            return Err(RejectReason::Everything);
        }
        let cut = network.trunc();
        Ok(Self { networks: vec![canonical(cut)], port: None, had_host_bits: cut != network })
    }
}

fn is_no_list(bytes: &[u8]) -> Option<RejectReason> {
    let start = &bytes[..bytes.len().min(SNIFFED)];
    if start.contains(&0) || start.starts_with(b"\x1f\x8b") || start.starts_with(b"PK\x03\x04") {
        return Some(RejectReason::Binary);
    }
    let text = String::from_utf8_lossy(start).trim_start().to_ascii_lowercase();
    let tags = ["<!doctype", "<html", "<head", "<body", "<?xml", "<!--"];
    if tags.iter().any(|tag| text.starts_with(tag)) {
        return Some(RejectReason::Html);
    }
    let is_json = text.starts_with("{\"")
        || text.starts_with("{\n")
        || text.starts_with("[{")
        || text.starts_with("[\n");
    is_json.then_some(RejectReason::Json)
}

fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with("//") {
        return "";
    }
    let end = line.find(['#', ';']).unwrap_or(line.len());
    let line = &line[..end];
    let inline =
        line.match_indices("//").map(|(at, _)| at).find(|&at| line[..at].ends_with(char::is_whitespace));
    line[..inline.unwrap_or(line.len())].trim()
}

fn entry(text: &str) -> Result<Read, RejectReason> {
    let squeezed: String;
    let text = match text.split_once('-') {
        // Spaces round the dash of a range are fine, anywhere else they separate columns.
        Some((first, last)) => {
            squeezed = format!("{}-{}", first.trim_end(), last.trim_start());
            squeezed.as_str()
        }
        None => text,
    };
    if let Ok(address) = text.parse::<IpAddr>() {
        return Read::of(IpNet::from(address));
    }
    if text.contains("://") {
        return Err(RejectReason::Url);
    }
    let mut columns = text.split([' ', '\t', ',']);
    let first = columns.next().unwrap_or_default();
    if columns.next().is_some() {
        let is_address = first.parse::<IpAddr>().is_ok() || first.parse::<IpNet>().is_ok();
        return Err(if is_address { RejectReason::MoreColumns } else { RejectReason::Unreadable });
    }
    if let Some((address, bits)) = text.split_once('/') {
        return prefix(address, bits);
    }
    if let Some(range) = range(text) {
        return range;
    }
    with_port(text)
}

fn prefix(address: &str, bits: &str) -> Result<Read, RejectReason> {
    let Ok(address) = address.parse::<IpAddr>() else {
        let is_domain = looks_like_domain(address.split(':').next().unwrap_or_default());
        return Err(if is_domain { RejectReason::Url } else { RejectReason::Unreadable });
    };
    let bits = bits.parse().map_err(|_| RejectReason::PrefixLength)?;
    Read::of(IpNet::new(address, bits).map_err(|_| RejectReason::PrefixLength)?)
}

/// A range `first-last`; `None` for what is none.
fn range(text: &str) -> Option<Result<Read, RejectReason>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse::<IpAddr>().ok()?, last.parse::<IpAddr>().ok()?);
    let networks: Vec<IpNet> = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last => {
            Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()
        }
        (IpAddr::V6(first), IpAddr::V6(last)) if first <= last => {
            Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()
        }
        _ => return Some(Err(RejectReason::Range)),
    };
    if networks.iter().any(|network| network.prefix_len() == 0) {
        return Some(Err(RejectReason::Everything));
    }
    Some(Ok(Read { networks, port: None, had_host_bits: false }))
}

fn with_port(text: &str) -> Result<Read, RejectReason> {
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(if looks_like_domain(text) { RejectReason::Domain } else { RejectReason::Unreadable });
    };
    if let Ok(socket) = text.parse::<SocketAddr>() {
        let port = Some(socket.port()).filter(|&port| port != 0).ok_or(RejectReason::Port)?;
        return Ok(Read { port: Some(port), ..Read::of(IpNet::from(socket.ip()))? });
    }
    if host.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err(RejectReason::Port);
    }
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    Err(if is_port && looks_like_domain(host) { RejectReason::Domain } else { RejectReason::Unreadable })
}

fn looks_like_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.contains('.') && text.split('.').all(is_label) && last.chars().any(char::is_alphabetic)
}

fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    text.trim_end().chars().take(SHOWN).map(printable).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn networks(text: &str) -> Vec<String> {
        parse(text.as_bytes()).entries.iter().map(|entry| entry.network.to_string()).collect()
    }

    fn reason(text: &str) -> RejectReason {
        let parsed = parse(text.as_bytes());
        assert_eq!((parsed.entries.len(), parsed.rejects.len()), (0, 1), "{text}");
        parsed.rejects[0].reason
    }

    #[test]
    fn everything_that_lists_write() {
        let text = "\u{feff}# title\r\n; also\r\n// also\r\n\r\n203.0.113.9\r\n203.0.113.0/24 # a\r\n198.51.100.0/24 ; SBL1\r\n192.0.2.1\t// b\r\n2001:db8::1\r\n2001:db8::/32";
        assert_eq!(
            networks(text),
            [
                "203.0.113.9/32",
                "203.0.113.0/24",
                "198.51.100.0/24",
                "192.0.2.1/32",
                "2001:db8::1/128",
                "2001:db8::/32"
            ]
        );
        assert_eq!(parse(text.as_bytes()).rejects, []);
    }

    #[test]
    fn ranges_become_prefixes() {
        assert_eq!(
            networks("10.0.0.1-10.0.0.6"),
            ["10.0.0.1/32", "10.0.0.2/31", "10.0.0.4/31", "10.0.0.6/32"]
        );
        assert_eq!(networks("10.0.0.0 - 10.0.0.255"), ["10.0.0.0/24"]);
        assert_eq!(networks("fd00::-fd00::ff"), ["fd00::/120"]);
    }

    #[test]
    fn host_bits_are_cut_with_a_note() {
        let parsed = parse(b"203.0.113.9/24\n::ffff:192.0.2.1");
        assert_eq!(parsed.entries[0].network.to_string(), "203.0.113.0/24");
        assert_eq!((parsed.notes.len(), parsed.notes[0].line), (1, 1));
        assert_eq!(parsed.entries[1].network.to_string(), "192.0.2.1/32");
    }

    #[test]
    fn a_port_is_kept() {
        let parsed = parse(b"203.0.113.9:443\n[2001:db8::1]:8080");
        assert_eq!(
            parsed.entries.iter().map(|entry| entry.port).collect::<Vec<_>>(),
            [Some(443), Some(8080)]
        );
    }

    #[test]
    fn every_reject_has_its_reason() {
        use RejectReason::*;
        for (text, expected) in [
            ("<!DOCTYPE html>\n<p>1.2.3.4\n", Html),
            ("  <HTML>", Html),
            ("1.2.3.4\0", Binary),
            ("\u{1f}x\0", Binary),
            ("{\"ip\": \"1.2.3.4\"}", Json),
            ("0.0.0.0/0", Everything),
            ("::/0", Everything),
            ("0.0.0.0-255.255.255.255", Everything),
            ("evil.example", Domain),
            ("evil.example:443", Domain),
            ("http://1.2.3.4/x", Url),
            ("evil.example/x", Url),
            ("1.2.3.4\t10", MoreColumns),
            ("1.2.3.4,c2", MoreColumns),
            ("1.2.3.4/33", PrefixLength),
            ("1.2.3.4/x", PrefixLength),
            ("1.2.3.4-1.2.3.3", Range),
            ("1.2.3.4-::1", Range),
            ("1.2.3.4:0", Port),
            ("1.2.3.4:99999", Port),
            ("1.2.3", Unreadable),
            ("01.2.3.4", Unreadable),
            ("/api/v1", Unreadable),
        ] {
            assert_eq!(reason(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_accounted_for(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let parsed = parse(&bytes);
            prop_assert!(parsed.entries.iter().all(|entry| entry.network == entry.network.trunc()));
        }

        #[test]
        fn any_line_is_an_entry_a_reject_or_a_comment(line in "[0-9a-f.:/ #;-]{1,30}") {
            let parsed = parse(line.as_bytes());
            let blank = without_comment(&line).is_empty();
            prop_assert_eq!(blank, parsed.entries.is_empty() && parsed.rejects.is_empty());
        }
    }
}
