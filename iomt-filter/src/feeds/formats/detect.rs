//! Which format a list has, by its content.
//!
//! Bytes come in, a [`Format`] goes out, or the reason for which they are no list at all. What is looked at is the
//! beginning: comments, a header, and some rows. What looks like nothing in particular is a plain list.

use std::cell::RefCell;
use std::net::IpAddr;

use serde_json::Value;

use super::banner::Banner;
use super::document::{self, Step, Want, is_at};
use super::{Format, RejectReason, columns, dshield, hosts, plain, table};

/// Bytes at the beginning in which HTML or binary data shows, and bytes of a line that are looked at.
const SNIFFED: usize = 4096;
/// Rows that are looked at.
const SAMPLE: usize = 64;
/// Members and elements of a JSON document that are looked at.
const OUTLINE: usize = 400;
/// How deep it is looked into.
const DEPTH: usize = 4;
/// What compressed data begins with: gzip, zip, bzip2, xz and Zstandard.
const COMPRESSED: &[&[u8]] = &[b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"];
const TAGS: &[&str] = &["<!doctype", "<html", "<head", "<body", "<?xml", "<!--"];

/// Why something is no list in any format.
pub(super) fn no_list(bytes: &[u8]) -> Option<RejectReason> {
    let start = bytes.get(..bytes.len().min(SNIFFED)).unwrap_or_default();
    if COMPRESSED.iter().any(|magic| start.starts_with(magic)) {
        return Some(RejectReason::Compressed);
    }
    if start.contains(&0) {
        return Some(RejectReason::Binary);
    }
    let text = start.trim_ascii_start();
    let is_html = TAGS
        .iter()
        .any(|tag| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag.as_bytes())));
    is_html.then_some(RejectReason::Html)
}

/// Why something is no text of lines.
pub(super) fn json(bytes: &[u8]) -> Option<RejectReason> {
    // An IPv6 address with a port begins with a bracket too.
    let (first, rest) = bytes.trim_ascii_start().split_first()?;
    let next = rest.trim_ascii_start().first();
    let is_json = match first {
        b'{' => matches!(next, Some(b'"' | b'}')),
        b'[' => matches!(next, None | Some(b'{' | b'[' | b'"' | b']')),
        _ => false,
    };
    is_json.then_some(RejectReason::Json)
}

/// The format of a list.
pub(super) fn format(bytes: &[u8]) -> Format {
    match json(bytes) {
        _ if no_list(bytes).is_some() => Format::Plain,
        Some(_) => of_json(bytes),
        None => of_text(&Sample::of(bytes)),
    }
}

/// Whether this is Tor's list of exits with their nodes.
pub(super) fn is_tor(bytes: &[u8]) -> bool {
    Sample::of(bytes).is_tor()
}

/// Whether this is a hosts file.
pub(super) fn is_hosts(bytes: &[u8]) -> bool {
    Sample::of(bytes).are(is_hosts_line)
}

/// Whether this is a URL a line.
pub(super) fn is_urls(bytes: &[u8]) -> bool {
    Sample::of(bytes).are(|row| {
        let start = row.split(',').next().unwrap_or_default();
        start.contains("://") && !start.starts_with('"')
    })
}

fn of_json(bytes: &[u8]) -> Format {
    let seen: RefCell<Vec<Vec<Step>>> = RefCell::default();
    let want = |path: &[Step]| {
        let mut seen = seen.borrow_mut();
        let is_first = !path.iter().any(|step| matches!(step, Step::Index(1..)));
        if !is_first || seen.len() >= OUTLINE {
            return Want::Skip;
        }
        seen.push(path.to_vec());
        match path {
            [Step::Key(key)] if key == "type" => Want::Take,
            _ if path.len() < DEPTH => Want::Enter,
            _ => Want::Skip,
        }
    };
    let mut kind = None;
    // Lines of JSON, and documents that break off, are told by their beginning as well.
    let _ = document::walk(bytes, &want, &mut |_, value| {
        if let Value::String(text) = value {
            kind = Some(text);
        }
    });
    let seen = seen.into_inner();
    let has = |written: &[&str]| seen.iter().any(|path| is_at(path, written));
    let all = |parent: &[&str], keys: &[&str]| keys.iter().all(|key| has(&[parent, &[*key]].concat()));
    let any = |parent: &[&str], keys: &[&str]| keys.iter().any(|key| has(&[parent, &[*key]].concat()));
    let is_array = bytes.trim_ascii_start().starts_with(b"[");
    let is_stix = kind.as_deref() == Some("bundle")
        || has(&["objects", "*", "type"])
        || (has(&["objects"]) && !has(&["objects", "*"]))
        || (has(&["more"]) && !any(&[], &["data", "results"]))
        || (is_array && (all(&["*"], &["spec_version", "id"]) || has(&["*", "objects", "*", "type"])))
        || bytes.trim_ascii() == b"{}";
    let is_decision = |parent: &[&str]| {
        has(&[parent, &["value"]].concat()) && any(parent, &["duration", "scope", "scenario"])
    };
    let is_stream = any(&[], &["new", "deleted"])
        && (is_decision(&["new", "*"]) || is_decision(&["deleted", "*"]) || !has(&["*", "*"]));
    let is_crowdsec = if is_array { is_decision(&["*"]) || has(&["*", "decisions"]) } else { is_stream };
    let is_misp = if is_array {
        has(&["*", "Event"])
    } else {
        has(&["Event"])
            || has(&["response", "*", "Event"])
            || has(&["response", "Attribute"])
            || has(&["Attribute", "*", "to_ids"])
    };
    let is_answer = |member: &str| all(&[], &["query_status", member]);
    if is_stix {
        Format::Stix
    } else if is_crowdsec {
        Format::Crowdsec
    } else if is_misp {
        Format::Misp
    } else if !is_array && (has(&["*", "*", "ioc_type"]) || (is_answer("data") && !has(&["data", "*"]))) {
        Format::Threatfox
    } else if !is_array && (has(&["*", "*", "url_status"]) || is_answer("urls")) {
        Format::Urlhaus
    } else if is_array && has(&["*", "ip_address"]) && any(&["*"], &["malware", "last_online"]) {
        Format::Feodo
    } else if !is_array
        && ((has(&["cidr"]) && any(&[], &["sblid", "rir"]))
            || all(&[], &["asn", "rir"])
            || kind.as_deref() == Some("metadata"))
    {
        Format::Spamhaus
    } else {
        Format::Jsonl
    }
}

/// The beginning of a text.
struct Sample<'b> {
    bytes: &'b [u8],
    comments: Vec<String>,
    rows: Vec<String>,
}

impl<'b> Sample<'b> {
    fn of(bytes: &'b [u8]) -> Self {
        let mut sample = Self { bytes, comments: Vec::new(), rows: Vec::new() };
        for line in bytes.split(|&byte| byte == b'\n') {
            let line = line.trim_ascii();
            let line = line.get(..line.len().min(SNIFFED)).unwrap_or_default();
            let is_comment = line.starts_with(b"#") || line.starts_with(b";") || line.starts_with(b"//");
            if is_comment && sample.comments.len() < SAMPLE {
                sample.comments.push(String::from_utf8_lossy(line).into_owned());
            } else if !is_comment && !line.is_empty() {
                sample.rows.push(String::from_utf8_lossy(line).into_owned());
                if sample.rows.len() == SAMPLE {
                    break;
                }
            }
        }
        sample
    }

    /// Whether a comment has this in it.
    fn says(&self, text: &str) -> bool {
        self.comments.iter().any(|comment| comment.contains(text))
    }

    /// Whether a comment or the first row is a header with these columns.
    fn has_columns(&self, delimiter: u8, columns: &[&str]) -> bool {
        self.comments.iter().chain(self.rows.first()).any(|line| {
            let names = table::names_of(line.as_bytes(), delimiter);
            columns.iter().all(|column| names.iter().any(|name| name == column))
        })
    }

    /// Whether there are rows, and more than half of them are so.
    fn are(&self, is_so: impl Fn(&str) -> bool) -> bool {
        self.rows.iter().filter(|row| is_so(row)).count() * 2 > self.rows.len()
    }

    fn is_tor(&self) -> bool {
        self.rows.iter().any(|row| row.starts_with("ExitAddress ") || row.starts_with("ExitNode "))
    }

    fn is_netset(&self) -> bool {
        let mut banner = Banner::default();
        self.comments.iter().for_each(|comment| banner.read(comment));
        banner.is_netset
    }

    /// Counts of lists, the highest first, behind addresses. Ports would be in no such order.
    fn is_ipsum(&self) -> bool {
        if self.says("number of (black)lists") {
            return true;
        }
        let count = |row: &String| {
            let (address, count) = row.split_once('\t')?;
            address.parse::<IpAddr>().ok()?;
            count.parse::<u32>().ok().filter(|count| (1..=64).contains(count))
        };
        let counts: Option<Vec<u32>> = self.rows.iter().map(count).collect();
        counts.is_some_and(|counts| {
            counts.is_sorted_by(|one, next| one >= next) && counts.first() != counts.last()
        })
    }
}

fn of_text(sample: &Sample<'_>) -> Format {
    let is_threatfox = sample.has_columns(b',', &["ioc_value", "ioc_type"])
        || sample.are(is_threatfox_row)
        || (sample.says("ThreatFox") && sample.rows.is_empty());
    let is_urlhaus = sample.has_columns(b',', &["url", "url_status"])
        || sample.are(is_urlhaus_row)
        || (sample.says("URLhaus")
            && (sample.rows.is_empty() || sample.are(is_hosts_line) || is_urls(sample.bytes)));
    let is_crowdsec = ["scope", "duration"].iter().any(|&name| sample.has_columns(b',', &["value", name]));
    let is_spamhaus = sample.comments.iter().any(|line| line.starts_with(';') && line.contains("Spamhaus"))
        || sample.are(is_spamhaus_row);
    let is_dshield = sample.rows.first().is_some_and(|row| dshield::is_header(row))
        || sample.has_columns(b'\t', &["start", "end", "netblock"])
        || sample.are(is_dshield_row);
    if sample.is_tor() {
        Format::Tor
    } else if sample.is_netset() {
        Format::Netset
    } else if is_threatfox {
        Format::Threatfox
    } else if is_urlhaus {
        Format::Urlhaus
    } else if sample.has_columns(b',', &["firstseen", "dstip", "dstport"]) || sample.says("SSLBL") {
        Format::Sslbl
    } else if sample.says("Feodo Tracker") || sample.has_columns(b',', &["dst_ip", "dst_port", "last_online"])
    {
        Format::Feodo
    } else if is_crowdsec {
        Format::Crowdsec
    } else if is_spamhaus {
        Format::Spamhaus
    } else if is_dshield {
        Format::Dshield
    } else if sample.is_ipsum() {
        Format::Ipsum
    } else if sample.are(is_reputation_row) {
        Format::Reputation
    } else if sample.are(is_hosts_line) {
        Format::Hosts
    } else if columns::has_header(sample.bytes) {
        Format::Csv
    } else if sample.are(plain::is_value) || !columns::is_table(sample.bytes) {
        Format::Plain
    } else {
        Format::Csv
    }
}

fn is_threatfox_row(row: &str) -> bool {
    let fields = table::fields_of_spaced(row.as_bytes(), b',');
    let kind = fields.get(3).map(String::as_str).unwrap_or_default();
    matches!(fields.len(), 14 | 15)
        && (matches!(kind, "ip:port" | "domain" | "url") || kind.ends_with("_hash"))
}

fn is_urlhaus_row(row: &str) -> bool {
    let fields = table::fields_of(row.as_bytes(), b',');
    fields.len() == 9 && fields.get(7).is_some_and(|link| link.starts_with("https://urlhaus.abuse.ch/"))
}

fn is_spamhaus_row(row: &str) -> bool {
    let reference = row.split_once(';').and_then(|(_, reference)| reference.trim().strip_prefix("SBL"));
    reference.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

fn is_dshield_row(row: &str) -> bool {
    let mut fields = row.split('\t').map(str::trim);
    let (start, end, length, attacks) = (fields.next(), fields.next(), fields.next(), fields.next());
    let address = |text: Option<&str>| text.is_some_and(|text| text.parse::<IpAddr>().is_ok());
    let number = |text: Option<&str>| text.is_some_and(|text| text.parse::<u32>().is_ok());
    address(start) && address(end) && number(length) && number(attacks)
}

fn is_reputation_row(row: &str) -> bool {
    let mut fields = row.split('#');
    let is_address = fields.next().is_some_and(|text| text.parse::<IpAddr>().is_ok());
    let mut number = || fields.next().is_some_and(|text| text.parse::<u8>().is_ok());
    is_address && number() && number() && fields.next().is_some()
}

fn is_hosts_line(row: &str) -> bool {
    let mut words = row.split_whitespace();
    let address = words.next().and_then(|text| text.parse::<IpAddr>().ok());
    address.is_some_and(hosts::is_sink) && words.next().is_some_and(|name| !name.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_are_told_from_each_other() {
        use Format::*;
        for (text, expected) in [
            ("", Plain),
            ("# nothing\n", Plain),
            ("192.0.2.1\n", Plain),
            ("[2001:db8::1]:80\n", Plain),
            ("192.0.2.1 # a, b\n", Plain),
            ("192.0.2.1;c2;90\n", Plain),
            ("Some Org, Inc:192.0.2.1-192.0.2.9\n", Plain),
            ("/a.php\nevil.example\nhttp://192.0.2.1/a,b\n", Plain),
            ("hello world, this is prose\n", Plain),
            ("<html>\n", Plain),
            ("# x\n# ipv4 hash:ip ipset\n192.0.2.1\n", Netset),
            ("192.0.2.1,c2\n", Csv),
            ("192.0.2.1\t443\n", Csv),
            ("192.0.2.1\t22\n192.0.2.2\t443\n", Csv),
            ("192.0.2.1\t22\n192.0.2.2\t22\n", Csv),
            ("ip;score\n192.0.2.1;9\n", Csv),
            ("\"192.0.2.1\"\n", Csv),
            ("date,address\n2026,192.0.2.1\n", Csv),
            ("192.0.2.1\t9\n192.0.2.2\t3\n", Ipsum),
            ("# IP\tnumber of (black)lists\n", Ipsum),
            ("192.0.2.0/24 ; SBL1\n", Spamhaus),
            ("192.0.2.0/24 ; seen\n", Plain),
            ("; Spamhaus DROP List\n192.0.2.0/24\n", Spamhaus),
            ("{\"cidr\":\"192.0.2.0/24\",\"sblid\":\"SBL1\"}\n{\"cidr\":\n", Spamhaus),
            ("{\"type\":\"metadata\",\"records\":0}\n", Spamhaus),
            ("{\"asn\":64496,\"rir\":\"arin\"}\n", Spamhaus),
            ("{\"cidr\":\"192.0.2.0/24\"}\n", Jsonl),
            ("192.0.2.0\t192.0.2.255\t24\t788\tX\n", Dshield),
            ("Start\tEnd\tNetblock\tAttacks\n", Dshield),
            ("192.0.2.0\t192.0.2.255\n", Csv),
            ("192.0.2.19#3#2#Scanning Host#CN\n", Reputation),
            ("192.0.2.19#3\n", Plain),
            ("0.0.0.0 evil.example\n127.0.0.1\tbad.example\n", Hosts),
            ("0.0.0.0 # this network\n", Plain),
            ("ExitNode 00\nPublished x\nExitAddress 192.0.2.1 2026\n", Tor),
            ("# abuse.ch Feodo Tracker\n192.0.2.1\n", Feodo),
            ("\"first_seen_utc\",\"dst_ip\",\"dst_port\",\"c2_status\",\"last_online\",\"malware\"\n", Feodo),
            ("[{\"ip_address\":\"192.0.2.1\",\"malware\":null}]", Feodo),
            ("[{\"ip_address\":\"192.0.2.1\"}]", Jsonl),
            ("# Firstseen,DstIP,DstPort\n", Sslbl),
            ("# \"first_seen_utc\",\"ioc_id\",\"ioc_value\",\"ioc_type\"\n", Threatfox),
            ("{\"1\":[{\"ioc_value\":\"x\",\"ioc_type\":\"domain\"}]}", Threatfox),
            ("{\"query_status\":\"ok\",\"data\":[{\"ioc\":\"x\",\"ioc_type\":\"domain\"}]}", Threatfox),
            ("{\"query_status\":\"no_result\",\"data\":\"none\"}", Threatfox),
            ("# id,dateadded,url,url_status,last_online\n", Urlhaus),
            ("# URLhaus\n0.0.0.0 evil.example\n", Urlhaus),
            ("{\"1\":[{\"url\":\"http://x.example\",\"url_status\":\"online\"}]}", Urlhaus),
            ("origin,scope,value,reason,type,duration\n", Crowdsec),
            ("name,value\nx,192.0.2.1\n", Csv),
            ("{\"new\":null,\"deleted\":null}", Crowdsec),
            ("{\"new\":[{\"value\":\"192.0.2.1\",\"scope\":\"Ip\"}]}", Crowdsec),
            ("{\"new\":[{\"ip\":\"192.0.2.1\"}]}", Jsonl),
            ("[{\"value\":\"192.0.2.1\",\"duration\":\"1h\"}]", Crowdsec),
            ("[{\"value\":\"192.0.2.1\"}]", Jsonl),
            ("{\"Event\":{\"uuid\":\"x\"}}", Misp),
            ("[{\"Event\":{}}]", Misp),
            ("{\"response\":{\"Attribute\":[]}}", Misp),
            ("{\"type\":\"bundle\",\"id\":\"x\"}", Stix),
            ("{\"objects\":[{\"type\":\"indicator\"}]}", Stix),
            ("{\"objects\":[{\"ip\":\"192.0.2.1\"}]}", Jsonl),
            ("{\"more\":false}", Stix),
            ("{}", Stix),
            ("{\"ip\":\"192.0.2.1\"}", Jsonl),
            ("[]", Jsonl),
            ("[\"192.0.2.1\"]", Jsonl),
        ] {
            assert_eq!(format(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_list_is_told() {
        for (bytes, expected) in [
            (&b"\n <!DOCTYPE html>"[..], RejectReason::Html),
            (b"<?xml version='1.0'?>", RejectReason::Html),
            (b"\x1f\x8b\x08\x00", RejectReason::Compressed),
            (b"PK\x03\x04x", RejectReason::Compressed),
            (b"\x7fELF\x02\x01\x00", RejectReason::Binary),
            (b"\xff\xfe1\x00.\x00", RejectReason::Binary),
        ] {
            assert_eq!(no_list(bytes), Some(expected));
        }
        assert_eq!(no_list(b"192.0.2.1"), None);
    }

    proptest! {
        #[test]
        fn anything_has_a_format(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(format(&bytes) != Format::Auto);
        }
    }
}
