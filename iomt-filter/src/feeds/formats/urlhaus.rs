//! abuse.ch URLhaus: URLs that malware is fetched from, as CSV, JSON, text or hosts file.
//!
//! Bytes come in; the hosts of the URLs go out, addresses as entries with their port and names as domains. The address
//! behind a name is never listed: malware is put on hosts that many others use.

use std::borrow::Cow;

use super::banner::Banner;
use super::collect::{Collector, Facts, Place, given, kept};
use super::table::Table;
use super::{Format, Parsed, Reading, RejectReason, abuse, detect, document, hosts, plain};
use crate::feeds::{About, Category};

const ONLINE: u8 = 90;
const OFFLINE: u8 = 60;
/// The columns of the CSV.
const COLUMNS: &[&str] =
    &["id", "dateadded", "url", "url_status", "last_online", "threat", "tags", "urlhaus_link", "reporter"];

/// Reads a list.
pub(super) fn parse(reading: &Reading, bytes: &[u8]) -> Parsed {
    let mut collector = Collector::new(Format::Urlhaus, reading);
    if bytes.trim_ascii_start().starts_with(b"{") {
        return json(collector, bytes);
    }
    let about = About { category: Some(Category::Malware), ..About::default() };
    if detect::is_hosts(bytes) {
        return hosts::read(collector, bytes, &Facts { about, ..Facts::default() });
    }
    if detect::is_urls(bytes) {
        return plain::read(collector, bytes, Some(about));
    }
    let table = Table::named(bytes, b',', &["url", "dateadded"], COLUMNS);
    let found = table.rows(&mut collector, |collector, row| add(collector, row.place, |name| row.get(name)));
    Banner::of(bytes, b"#").remark(found, &mut collector);
    collector.finish()
}

fn json(collector: Collector, bytes: &[u8]) -> Parsed {
    abuse::json(Format::Urlhaus, collector, "no_results", bytes, |collector, line, _, record| {
        let text = record.to_string();
        let shorter = |name: &'static str| match name {
            "dateadded" => "date_added",
            "urlhaus_link" => "urlhaus_reference",
            _ => name,
        };
        let get = |name: &'static str| {
            let value = record.get(name).or_else(|| record.get(shorter(name)));
            document::joined(value).map(Cow::Owned)
        };
        add(collector, Place { line, text: &text }, get);
    })
}

fn add<'t>(collector: &mut Collector, place: Place<'_>, get: impl Fn(&'static str) -> Option<Cow<'t, str>>) {
    let url = get("url");
    let Some(url) = given(url.as_deref()) else { return collector.reject(place, RejectReason::NoValue) };
    let score = match get("url_status").as_deref() {
        Some("online") => ONLINE,
        _ => OFFLINE,
    };
    let first_seen = collector.time("first_seen", place.line, get("dateadded").as_deref());
    let last_seen = collector.time("last_online", place.line, get("last_online").as_deref());
    let about = About {
        category: Some(Category::Malware),
        first_seen,
        last_seen: last_seen.or(first_seen),
        expires: None,
        reference: kept(get("urlhaus_link").as_deref()),
        label: kept(get("tags").or_else(|| get("threat")).as_deref()),
    };
    collector.value(place, url, Facts { port: None, score: Some(score), about });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Parsed {
        parse(&Reading::default(), text.as_bytes())
    }

    fn check(parsed: &Parsed) {
        let entry = &parsed.entries[0];
        assert_eq!(
            (entry.network.to_string().as_str(), entry.port, entry.score),
            ("192.0.2.87/32", Some(54591), Some(90))
        );
        let about = entry.about.as_ref().unwrap();
        assert_eq!(about.reference.as_deref(), Some("https://urlhaus.abuse.ch/url/1/"));
        assert_eq!(about.label.as_deref(), Some("elf, mips"));
        assert_eq!(about.first_seen, about.last_seen);
        let domain = &parsed.domains[0];
        assert_eq!((&*domain.name, domain.port, domain.score), ("evil.example", Some(443), Some(60)));
        assert_eq!(parsed.rejects, []);
    }

    #[test]
    fn csv_and_json_say_the_same() {
        check(&read(
            "# URLhaus\r\n# id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter\r\n\"1\",\"2026-03-19 14:49:13\",\"http://192.0.2.87:54591/i\",\"online\",\"2026-03-19 14:49:13\",\"malware_download\",\"elf, mips\",\"https://urlhaus.abuse.ch/url/1/\",\"x\"\r\n\"2\",\"2026-03-19 14:49:13\",\"https://evil.example/a\",\"offline\",\"\",\"malware_download\",\"None\",\"https://urlhaus.abuse.ch/url/2/\",\"x\"\r\n",
        ));
        check(&read(
            r#"{"1":[{"dateadded":"2026-03-19 14:49:13 UTC","url":"http://192.0.2.87:54591/i","url_status":"online","last_online":"2026-03-19 14:49:13 UTC","threat":"malware_download","tags":["elf","mips"],"urlhaus_link":"https://urlhaus.abuse.ch/url/1/","reporter":"x"}],"2":[{"dateadded":"2026-03-19 14:49:13 UTC","url":"https://evil.example/a","url_status":"offline","last_online":null,"tags":null}]}"#,
        ));
        check(&read(
            r#"{"query_status":"ok","urls":[{"id":"1","date_added":"2026-03-19 14:49:13 UTC","url":"http://192.0.2.87:54591/i","url_status":"online","tags":["elf","mips"],"urlhaus_reference":"https://urlhaus.abuse.ch/url/1/"},{"url":"https://evil.example/a","url_status":"offline"}]}"#,
        ));
    }

    #[test]
    fn its_hosts_file_and_its_text_are_read() {
        let parsed = read("# URLhaus hostfile\r\n127.0.0.1\tevil.example\r\n0.0.0.0 bad.example\r\n");
        let names: Vec<_> = parsed.domains.iter().map(|domain| &*domain.name).collect();
        assert_eq!(names, ["evil.example", "bad.example"]);
        let parsed = read("# URLhaus\nhttp://192.0.2.1/x\nhttp://evil.example/y,z\n");
        assert_eq!((parsed.entries[0].port, &*parsed.domains[0].name), (Some(80), "evil.example"));
        assert!(parsed.domains[0].about.is_some());
    }
}
