//! ArcSight's Common Event Format, version 0, as Microsoft Sentinel, QRadar, Splunk and others read it.

use std::fmt::Display;
use std::net::IpAddr;

use super::super::Record;
use super::{PRODUCT, Severity, VERSION, community_id, title};

/// An event: the header, and the fields that apply.
pub(super) fn line(record: &Record) -> String {
    let severity = match Severity::of(record) {
        Severity::Low => 3,
        Severity::Medium => 5,
        Severity::High => 8,
    };
    let (reason, title) = (header(&record.reason), header(&title(record)));
    let mut line = format!("CEF:0|{PRODUCT}|{PRODUCT}|{VERSION}|{reason}|{title}|{severity}|");
    let mut fields = Fields(&mut line);
    fields.add("rt", record.time.map(|time| time.as_millisecond()));
    fields.add("act", Some(action(&record.verdict)));
    fields.add("reason", Some(&record.reason));
    fields.add("cat", record.drift.as_ref().map(|drift| drift.what.name()));
    fields.add("cnt", Some(record.count));
    fields.add("dvchost", Some(&record.host));
    fields.add("deviceInboundInterface", record.interface.as_ref());
    fields.add("deviceDirection", record.direction.as_ref().map(|way| u8::from(way == "from-device")));
    fields.add("smac", record.mac.as_ref().map(|mac| &mac.source));
    fields.add("dmac", record.mac.as_ref().map(|mac| &mac.destination));
    for (address, v4, v6, label) in [
        (record.source, "src", "c6a2", "Source IPv6 Address"),
        (record.destination, "dst", "c6a3", "Destination IPv6 Address"),
    ] {
        match address {
            Some(IpAddr::V4(address)) => fields.add(v4, Some(address)),
            address => fields.labelled(v6, label, address),
        }
    }
    if let Some(arp) = &record.arp {
        fields.add("src", Some(arp.sender));
        fields.add("dst", Some(arp.target));
    }
    fields.add("spt", record.source_port);
    fields.add("dpt", record.destination_port);
    fields.add("proto", record.protocol.as_ref().map(|name| name.to_uppercase()));
    fields.labelled("cs1", "device", record.device.as_ref());
    fields.labelled("cs2", "profile", record.profile.as_ref());
    fields.labelled("cs3", "rule", record.rule.as_ref());
    fields.labelled("cs4", "feed", record.feed.as_ref());
    fields.labelled("cs5", "entry", record.entry.as_ref());
    fields.labelled("cs6", "country", record.country.as_ref());
    fields.labelled("cn1", "score", record.score);
    fields.labelled("cn2", "vlan", record.vlan.as_ref().and_then(|tags| tags.last()));
    fields.labelled("cn3", "generation", (!record.is_notice()).then_some(record.generation));
    fields.labelled("flexString1", "communityId", community_id::of(record));
    fields.labelled("flexString2", "expected", record.expected.as_ref());
    fields.add("msg", record.note.as_ref());
    line.truncate(line.trim_end().len());
    line
}

fn action(verdict: &str) -> &str {
    match verdict {
        "drop" => "Blocked",
        "reset" => "Reset",
        "pass" | "would-drop" => "Allowed",
        other => other,
    }
}

struct Fields<'l>(&'l mut String);

impl Fields<'_> {
    fn add(&mut self, key: &str, value: Option<impl Display>) {
        let Some(value) = value else { return };
        self.0.push_str(key);
        self.0.push('=');
        for c in value.to_string().chars() {
            match c {
                '\\' | '=' => self.0.extend(['\\', c]),
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                c if c.is_control() => self.0.push('?'),
                c => self.0.push(c),
            }
        }
        self.0.push(' ');
    }

    fn labelled(&mut self, key: &str, label: &str, value: Option<impl Display>) {
        if value.is_some() {
            self.add(key, value);
            self.add(&format!("{key}Label"), Some(label));
        }
    }
}

/// A field of the header.
fn header(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '|' => escaped.extend(['\\', c]),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_separates_is_escaped() {
        assert_eq!(header("a|b\\c\nd"), "a\\|b\\\\c d");
        let mut line = String::new();
        let mut fields = Fields(&mut line);
        fields.add("msg", Some("a=b\\c\nd|e"));
        fields.labelled("cs1", "device", None::<&str>);
        assert_eq!(line, "msg=a\\=b\\\\c\\nd|e ");
    }
}
