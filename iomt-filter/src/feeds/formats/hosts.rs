//! Hosts files that send names to nowhere: `0.0.0.0 evil.example`.
//!
//! Text comes in, domains go out. Where the file says that it is of URLhaus, [`super::urlhaus`] reads it with this.

use std::net::IpAddr;

use super::banner::Banner;
use super::collect::{Collector, Facts, Place};
use super::{Format, Parsed, Reading, RejectReason};
use crate::feeds::About;

/// Names that hosts files have for the host itself and its networks.
const LOCAL: &[&str] = &[
    "localhost",
    "localhost.localdomain",
    "local",
    "broadcasthost",
    "localhost4",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
    "ip6-localnet",
    "ip6-mcastprefix",
    "ip6-allnodes",
    "ip6-allrouters",
    "ip6-allhosts",
    "0.0.0.0",
];

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    read(Collector::new(Format::Hosts, reading), bytes, &Facts::default())
}

/// Reads a list of which everything is what `facts` say.
pub(super) fn read(mut collector: Collector, bytes: &[u8], facts: &Facts) -> Parsed {
    let about: Option<_> = collector.shared(About::clone(&facts.about));
    let mut found = 0;
    for (line, raw) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
        let whole = String::from_utf8_lossy(raw.trim_ascii());
        let text = whole.split('#').next().unwrap_or_default();
        let mut words = text.split_whitespace();
        let Some(address) = words.next() else { continue };
        let place = Place { line, text: &whole };
        found += 1;
        let names: Vec<&str> = words.collect();
        let is_local = names.iter().all(|name| LOCAL.contains(name));
        match address.parse::<IpAddr>() {
            Ok(_) if names.is_empty() => collector.reject(place, RejectReason::Record),
            Ok(_) if is_local => collector.reject(place, RejectReason::LocalName),
            Ok(address) if !is_sink(address) => collector.reject(place, RejectReason::NoSink),
            Ok(_) => {
                for name in names {
                    match super::target::read(name) {
                        Ok(target) => collector.add(place, target, None, facts.score, about.clone()),
                        Err(_) if LOCAL.contains(&name) => collector.reject(place, RejectReason::LocalName),
                        Err(reason) => collector.reject(place, reason),
                    }
                }
            }
            Err(_) => collector.reject(place, RejectReason::Record),
        }
        if collector.is_full() {
            break;
        }
    }
    Banner::of(bytes, b"#").remark(found, &mut collector);
    collector.finish()
}

/// Whether an address leads nowhere.
pub(super) fn is_sink(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_nowhere_are_domains() {
        let text = b"# hosts\n127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n0.0.0.0 Evil.example bad.example # c2\n127.0.0.1\tworse.example\r\n192.0.2.1 router.example\n0.0.0.0\nonly.example\n0.0.0.0 localhost mixed.example\n";
        let parsed = parse(&Reading::default(), text);
        let names: Vec<_> = parsed.domains.iter().map(|domain| (domain.line, &*domain.name)).collect();
        assert_eq!(
            names,
            [(4, "evil.example"), (4, "bad.example"), (5, "worse.example"), (9, "mixed.example")]
        );
        let reasons: Vec<_> = parsed.rejects.iter().map(|reject| (reject.line, reject.reason)).collect();
        use RejectReason::{LocalName, NoSink, Record};
        assert_eq!(
            reasons,
            [(2, LocalName), (3, LocalName), (6, NoSink), (7, Record), (8, Record), (9, LocalName)]
        );
        assert!(parsed.entries.is_empty());
    }
}
