//! One value a line: plain lists, FireHOL's `.ipset` and `.netset`, and the `name:first-last` of P2P block lists.
//!
//! `#`, `;` and `//` begin comments, on their own line or after a value. Line ends may be LF or CRLF. Host bits are
//! cut off, with a note; `address:port` and URLs keep the port. Nothing is said of an entry but what stands in
//! FireHOL's header.

use std::sync::Arc;

use super::banner::Banner;
use super::collect::{Collector, Facts, Place};
use super::target::{self, Target};
use super::{Format, Parsed, Reading, RejectReason, detect, tor};
use crate::feeds::About;

/// Reads a list.
pub(super) fn parse(format: Format, reading: &Reading, bytes: &[u8]) -> Parsed {
    if let Some(reason) = detect::json(bytes) {
        return super::collect::refused(format, bytes, 1, reason);
    }
    if detect::is_tor(bytes) {
        return Parsed { format, ..tor::parse(reading, bytes) };
    }
    let format = if format == Format::Netset { Format::Netset } else { Format::Plain };
    read(Collector::new(format, reading), bytes, None)
}

/// Reads a list of which everything is `about`, where its header says nothing else.
pub(super) fn read(mut collector: Collector, bytes: &[u8], about: Option<About>) -> Parsed {
    let mut about = about.and_then(|about| collector.shared(about));
    let mut banner = Banner::default();
    let mut found = 0;
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let raw = raw.trim_ascii();
        let Some(first) = raw.first() else { continue };
        let text = String::from_utf8_lossy(raw);
        if matches!(first, b'#' | b';') || text.starts_with("//") {
            banner.read(&text);
            if let Some(category) = banner.category.filter(|_| found == 0) {
                about = collector.shared(About { category: Some(category), ..About::default() });
            }
            continue;
        }
        found += 1;
        let place = Place { line, text: &text };
        match value(&text) {
            Ok(Value::Target(target)) => {
                collector.add(place, target, None, None, about.as_ref().map(Arc::clone))
            }
            Ok(Value::Named(name, target)) => {
                let category = about.as_ref().and_then(|about| about.category);
                let about = About { category, label: Some(name.into()), ..About::default() };
                collector.target(place, target, Facts { about, ..Facts::default() });
            }
            Err(reason) => collector.reject(place, reason),
        }
        if collector.is_full() {
            break;
        }
    }
    banner.remark(found, &mut collector);
    collector.finish()
}

enum Value<'t> {
    Target(Target),
    Named(&'t str, Target),
}

/// Whether a line is one of such a list.
pub(super) fn is_value(line: &str) -> bool {
    value(line).is_ok()
}

/// Reads a line that is neither blank nor a comment.
fn value(line: &str) -> Result<Value<'_>, RejectReason> {
    // Most lines have no comment, and no value with a mark of one in it reads as something else without.
    let whole = target::read(line);
    if let Ok(target) = whole {
        return Ok(Value::Target(target));
    }
    if let Some((name, target)) = named_range(line) {
        return target.map(|target| Value::Named(name, target));
    }
    match without_comment(line) {
        rest if rest.len() == line.len() => whole.map(Value::Target),
        rest => target::read(rest).map(Value::Target),
    }
}

/// The `name:first-last` of P2P block lists. A name may have any signs in it.
fn named_range(line: &str) -> Option<(&str, Result<Target, RejectReason>)> {
    let (name, rest) = line.rsplit_once(':')?;
    if name.is_empty() || rest.starts_with(|c: char| c.is_whitespace()) {
        return None;
    }
    Some((name.trim(), target::range(rest)?))
}

/// A line without the comment behind its value.
fn without_comment(line: &str) -> &str {
    let end = line.find(['#', ';']).unwrap_or(line.len());
    let line = line.get(..end).unwrap_or_default();
    let inline = line
        .match_indices("//")
        .map(|(at, _)| at)
        .find(|&at| line.get(..at).is_some_and(|before| before.ends_with(char::is_whitespace)));
    line.get(..inline.unwrap_or(line.len())).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feeds::Category;
    use crate::feeds::formats::{Remark, parse as parse_any};

    fn parse(text: &str) -> Parsed {
        parse_any(&Reading { format: Format::Plain, ..Reading::default() }, text.as_bytes())
    }

    fn networks(text: &str) -> Vec<String> {
        parse(text).entries.iter().map(|entry| entry.network.to_string()).collect()
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
        let parsed = parse(text);
        assert_eq!(parsed.rejects, []);
        assert!(parsed.entries.iter().all(|entry| entry.about.is_none()));
        assert_eq!(parsed.entries.iter().map(|entry| entry.line).collect::<Vec<_>>(), [5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn host_bits_are_cut_with_a_note() {
        let parsed = parse("203.0.113.9/24\n::ffff:192.0.2.1");
        assert_eq!(parsed.entries[0].network.to_string(), "203.0.113.0/24");
        assert_eq!((parsed.notes.len(), parsed.notes[0].line), (1, 1));
        assert_eq!(parsed.entries[1].network.to_string(), "192.0.2.1/32");
    }

    #[test]
    fn domains_and_urls_are_kept_beside_addresses() {
        let parsed =
            parse("evil.example # c2\nhttp://bad.example:8080/a#b\nhttp://192.0.2.1/x\n192.0.2.2:443");
        let domains: Vec<_> = parsed.domains.iter().map(|domain| (&*domain.name, domain.port)).collect();
        assert_eq!(domains, [("evil.example", None), ("bad.example", Some(8080))]);
        let ports: Vec<_> = parsed.entries.iter().map(|entry| entry.port).collect();
        assert_eq!(ports, [Some(80), Some(443)]);
        assert_eq!(parsed.rejects, []);
    }

    #[test]
    fn p2p_ranges_keep_their_name() {
        let parsed = parse("Some: Org; Inc #1:192.0.2.0-192.0.2.255\nother:192.0.2.9-192.0.2.1");
        let entry = &parsed.entries[0];
        assert_eq!(entry.network.to_string(), "192.0.2.0/24");
        let label = entry.about.as_ref().and_then(|about| about.label.as_deref());
        assert_eq!(label, Some("Some: Org; Inc #1"));
        assert_eq!(parsed.rejects[0].reason, RejectReason::Range);
    }

    #[test]
    fn the_header_of_firehol_is_read() {
        let parsed = parse(
            "# Category        : anonymizers\n# Entries         : 3 unique IPs\n192.0.2.1\n192.0.2.2\n",
        );
        assert!(parsed.entries.iter().all(|entry| {
            entry.about.as_ref().and_then(|about| about.category) == Some(Category::Anonymizer)
        }));
        assert_eq!(parsed.remarks, [Remark::Count { said: 3, found: 2 }]);
    }

    #[test]
    fn every_reject_has_its_reason() {
        use RejectReason::*;
        for (text, expected) in [
            ("<!DOCTYPE html>\n<p>1.2.3.4\n", Html),
            ("  <HTML>", Html),
            ("1.2.3.4\0", Binary),
            ("\u{1f}x\0", Binary),
            ("PK\u{3}\u{4}x", Compressed),
            ("{\"ip\": \"1.2.3.4\"}", Json),
            ("0.0.0.0/0", Everything),
            ("::/0 # all", Everything),
            ("1.2.3.4\t10", MoreColumns),
            ("1.2.3.4,c2", MoreColumns),
            ("1.2.3.4/33 ; x", PrefixLength),
            ("1.2.3.4-1.2.3.3", Range),
            ("1.2.3.4:0", Port),
            ("1.2.3", Unreadable),
            ("/api/v1", UrlPath),
            ("user@evil.example", Email),
        ] {
            let parsed = parse(text);
            assert_eq!((parsed.entries.len(), parsed.rejects.len()), (0, 1), "{text}");
            assert_eq!(parsed.rejects[0].reason, expected, "{text}");
        }
    }

    #[test]
    fn a_list_of_nothing_but_faults_is_refused_and_not_kept() {
        let parsed = parse(&"x\n".repeat(1_100_000));
        assert_eq!((parsed.rejects.len(), parsed.rejects[0].reason), (1, RejectReason::TooMany));
        assert_eq!(parsed.rejects[0].line, 1_000_001);
    }

    proptest! {
        #[test]
        fn any_line_is_an_entry_a_domain_a_reject_or_a_comment(line in "[0-9a-f.:/ #;-]{1,30}") {
            let parsed = parse(&line);
            let blank = without_comment(line.trim()).is_empty() || line.trim().starts_with("//");
            let is_nothing = parsed.entries.is_empty() && parsed.rejects.is_empty() && parsed.domains.is_empty();
            prop_assert_eq!(blank, is_nothing);
        }
    }
}
