//! Suricata's EVE JSON (`etc/schema.json` and `src/output-json-drop.c` of Suricata): `drop` for what was dropped,
//! `alert` with the action `allowed` for what policy would drop and for what a device never did, `engine` for what the
//! agent says besides.

use serde::Serialize;

use super::super::{Drift, Expected, Record};
use super::{PRODUCT, Severity, community_id, title};

/// Bytes of an Ethernet header and of a VLAN tag.
const ETHERNET: u32 = 14;
const TAG: u32 = 4;

/// Names are Suricata's.
#[derive(Debug, Serialize)]
pub(super) struct Eve<'r> {
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_iface: Option<&'r str>,
    event_type: &'static str,
    #[serde(skip_serializing_if = "<[u16]>::is_empty")]
    vlan: &'r [u16],
    #[serde(skip_serializing_if = "Option::is_none")]
    src_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dest_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proto: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip_v: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    community_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ether: Option<Ether<'r>>,
    host: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    drop: Option<Drop<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alert: Option<Alert<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<Engine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    /// What Suricata has no place for.
    #[serde(skip_serializing_if = "Option::is_none")]
    iomt_filter: Option<Own<'r>>,
}

#[derive(Debug, Serialize)]
struct Ether<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ether_type: Option<u16>,
    src_mac: &'r str,
    dest_mac: &'r str,
}

#[derive(Debug, Serialize)]
struct Drop<'r> {
    /// Of the IP packet, link padding with it.
    len: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hoplimit: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ipid: Option<u32>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    flags: Option<Flags>,
    reason: &'r str,
}

#[derive(Debug, Serialize)]
struct Flags {
    syn: bool,
    ack: bool,
    psh: bool,
    rst: bool,
    urg: bool,
    fin: bool,
}

#[derive(Debug, Serialize)]
struct Alert<'r> {
    action: &'static str,
    signature: String,
    category: &'r str,
    severity: u8,
}

#[derive(Debug, Serialize)]
struct Engine {
    module: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
struct Verdict {
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reject: Option<[&'static str; 1]>,
}

/// Names are those of our own JSON.
#[derive(Debug, Serialize)]
struct Own<'r> {
    verdict: &'r str,
    reason: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    direction: Option<&'r str>,
    port: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feed: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'r Expected>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<&'r Drift>,
    generation: u32,
    length: u32,
    count: u64,
}

/// An event; `is_strict` leaves out what Suricata's schema does not know.
pub(super) fn event(record: &Record, is_strict: bool) -> Eve<'_> {
    let (is_frame, is_drop) = (!record.is_notice(), record.is_stopped());
    let is_alert = record.drift.is_some() || (is_frame && !is_drop);
    let event_type = match (is_frame, is_alert) {
        (_, true) => "alert",
        (false, false) => "engine",
        (true, false) => "drop",
    };
    let (source, destination) = record.ends();
    Eve {
        timestamp: record.time.unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S%.6f+0000").to_string(),
        in_iface: record.interface.as_deref(),
        event_type,
        vlan: record.vlan.as_deref().unwrap_or_default(),
        src_ip: source.map(|address| address.to_string()),
        src_port: record.source_port,
        dest_ip: destination.map(|address| address.to_string()),
        dest_port: record.destination_port,
        proto: record.protocol.as_deref().map(protocol).or(record.arp.as_ref().map(|_| "ARP".to_owned())),
        ip_v: record.ip_version,
        icmp_type: record.icmp_type,
        icmp_code: record.icmp_code,
        community_id: community_id::of(record),
        ether: record.mac.as_ref().map(|mac| Ether {
            ether_type: record.ethertype.as_deref().and_then(ethertype),
            src_mac: &mac.source,
            dest_mac: &mac.destination,
        }),
        host: &record.host,
        drop: (is_frame && is_drop).then(|| drop(record)),
        alert: is_alert.then(|| Alert {
            action: "allowed",
            signature: match &record.drift {
                Some(drift) => format!("{PRODUCT} {} {}", record.reason, drift.what.name()),
                None => format!("{PRODUCT} {} {}", record.verdict, record.reason),
            },
            category: &record.reason,
            // The most severe is 1.
            severity: match Severity::of(record) {
                Severity::High => 1,
                Severity::Medium => 2,
                Severity::Low => 3,
            },
        }),
        engine: record.note.as_ref().filter(|_| !is_alert).map(|note| Engine {
            module: PRODUCT,
            message: match &record.feed {
                Some(feed) => format!("{} {feed}: {note}", title(record)),
                None => format!("{}: {note}", title(record)),
            },
        }),
        verdict: is_frame.then(|| Verdict {
            action: if is_drop { "drop" } else { "pass" },
            reject: (record.verdict == "reset").then_some(["tcp-reset"]),
        }),
        iomt_filter: (!is_strict).then(|| own(record)),
    }
}

fn drop(record: &Record) -> Drop<'_> {
    let tags = record.vlan.as_ref().map_or(0, Vec::len) as u32;
    let hops = |version| record.hop_limit.filter(|_| record.ip_version == Some(version));
    Drop {
        len: record.length.saturating_sub(ETHERNET + TAG * tags),
        ttl: hops(4),
        hoplimit: hops(6),
        ipid: record.fragment.as_ref().filter(|_| record.ip_version == Some(4)).map(|part| part.id),
        flags: record.tcp_flags.as_deref().map(|letters| {
            let has = |letter: char| letters.contains(letter);
            Flags { syn: has('S'), ack: has('A'), psh: has('P'), rst: has('R'), urg: has('U'), fin: has('F') }
        }),
        reason: &record.reason,
    }
}

fn own(record: &Record) -> Own<'_> {
    Own {
        verdict: &record.verdict,
        reason: &record.reason,
        device: record.device.as_deref(),
        profile: record.profile.as_deref(),
        direction: record.direction.as_deref(),
        port: &record.port,
        country: record.country.as_deref(),
        feed: record.feed.as_deref(),
        entry: record.entry.as_deref(),
        score: record.score,
        rule: record.rule.as_deref(),
        expected: record.expected.as_ref(),
        note: record.note.as_deref().filter(|_| record.drift.is_some()),
        drift: record.drift.as_deref(),
        generation: record.generation,
        length: record.length,
        count: record.count,
    }
}

/// As Suricata writes it: `IPv6-ICMP` for ICMPv6, upper case for the others, three digits for a number.
fn protocol(name: &str) -> String {
    match (name, name.parse::<u8>()) {
        ("icmpv6", _) => "IPv6-ICMP".to_owned(),
        (_, Ok(number)) => format!("{number:03}"),
        (name, Err(_)) => name.to_ascii_uppercase(),
    }
}

fn ethertype(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
