//! OCSF 1.3, class Network Activity (4001) with the profile `security_control`; what a device never did is a Detection
//! Finding (2004), and what the agent says besides a Base Event.

use std::net::IpAddr;

use iomt_filter_common::packet::protocol;
use serde::Serialize;

use super::super::{Drift, Expected, Record, protocol_number, tcp_flags};
use super::{PRODUCT, Severity, VERSION, community_id, title};

const SCHEMA: &str = "1.3.0";
const NETWORK_ACTIVITY: u32 = 4_001;
const DETECTION_FINDING: u32 = 2_004;
/// `activity_id`.
const CREATE: u32 = 1;
const REFUSE: u32 = 5;
const TRAFFIC: u32 = 6;
const OTHER: u32 = 99;
/// `device.type_id`.
const FIREWALL: u8 = 9;

/// Names are OCSF's.
#[derive(Debug, Serialize)]
pub(super) struct Ocsf<'r> {
    category_uid: u32,
    class_uid: u32,
    activity_id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    activity_name: Option<&'r str>,
    type_uid: u32,
    severity_id: u8,
    time: i64,
    metadata: Metadata,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disposition_id: Option<u8>,
    status_detail: &'r str,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding_info: Option<Finding<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidences: Option<[Evidence<'r>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<Endpoint<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_endpoint: Option<Endpoint<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_info: Option<Connection>,
    #[serde(skip_serializing_if = "Option::is_none")]
    firewall_rule: Option<Named<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<Named<'r>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk_score: Option<u8>,
    device: Device<'r>,
    unmapped: Unmapped<'r>,
}

#[derive(Debug, Serialize)]
struct Finding<'r> {
    uid: String,
    title: &'r str,
    types: [&'static str; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seen_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_time: Option<i64>,
}

/// Of the first flow; all of it is in `unmapped`.
#[derive(Debug, Serialize)]
struct Evidence<'r> {
    src_endpoint: Endpoint<'r>,
    dst_endpoint: Endpoint<'r>,
    connection_info: Connection,
}

#[derive(Debug, Serialize)]
struct Metadata {
    version: &'static str,
    product: Product,
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    profiles: &'static [&'static str],
}

#[derive(Debug, Serialize)]
struct Product {
    name: &'static str,
    vendor_name: &'static str,
    version: &'static str,
}

#[derive(Debug, Default, Serialize)]
struct Endpoint<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan_uid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<Location<'r>>,
}

#[derive(Debug, Serialize)]
struct Location<'r> {
    country: &'r str,
}

#[derive(Debug, Serialize)]
struct Connection {
    direction_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_num: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    protocol_ver_id: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_flags: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    community_uid: Option<String>,
}

#[derive(Debug, Serialize)]
struct Named<'r> {
    name: &'r str,
}

#[derive(Debug, Serialize)]
struct Device<'r> {
    hostname: &'r str,
    type_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface_name: Option<&'r str>,
}

/// What OCSF has no place for, by the names of our own JSON.
#[derive(Debug, Serialize)]
struct Unmapped<'r> {
    verdict: &'r str,
    reason: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    feed: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'r Expected>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<&'r Drift>,
    generation: u32,
    length: u32,
}

/// An event.
pub(super) fn event(record: &Record) -> Ocsf<'_> {
    let (is_frame, is_drop) = (!record.is_notice(), record.is_stopped());
    let drift = record.drift.as_deref();
    let (class_uid, activity_id) = match (is_frame, is_drop) {
        (false, _) if drift.is_some() => (DETECTION_FINDING, CREATE),
        (false, _) => (0, OTHER),
        (true, true) => (NETWORK_ACTIVITY, REFUSE),
        (true, false) => (NETWORK_ACTIVITY, TRAFFIC),
    };
    Ocsf {
        category_uid: class_uid / 1_000,
        class_uid,
        activity_id,
        activity_name: (class_uid == 0).then_some(&*record.reason),
        type_uid: class_uid * 100 + activity_id,
        severity_id: match Severity::of(record) {
            Severity::Low => 2,
            Severity::Medium => 3,
            Severity::High => 4,
        },
        time: record.time.unwrap_or_default().as_millisecond(),
        metadata: Metadata {
            version: SCHEMA,
            product: Product { name: PRODUCT, vendor_name: PRODUCT, version: VERSION },
            profiles: if is_frame { &["security_control", "host"] } else { &["host"] },
        },
        message: match &record.note {
            Some(note) => format!("{}: {note}", title(record)),
            None => title(record).into_owned(),
        },
        // Denied or allowed; dropped, blocked (with an answer), or logged.
        action_id: is_frame.then_some(if is_drop { 2 } else { 1 }),
        disposition_id: is_frame.then_some(match &*record.verdict {
            "drop" => 6,
            "reset" => 2,
            _ => 17,
        }),
        status_detail: &record.reason,
        count: record.count,
        finding_info: drift.map(|drift| finding(record, drift)),
        evidences: drift.filter(|_| record.destination.is_some()).map(|_| {
            [Evidence {
                src_endpoint: endpoint(record, true),
                dst_endpoint: endpoint(record, false),
                connection_info: connection(record),
            }]
        }),
        src_endpoint: is_frame.then(|| endpoint(record, true)),
        dst_endpoint: is_frame.then(|| endpoint(record, false)),
        connection_info: is_frame.then(|| connection(record)),
        firewall_rule: record.rule.as_deref().map(|name| Named { name }),
        policy: record.profile.as_deref().map(|name| Named { name }),
        risk_score: record.score,
        device: Device {
            hostname: &record.host,
            type_id: FIREWALL,
            interface_name: record.interface.as_deref(),
        },
        unmapped: Unmapped {
            verdict: &record.verdict,
            reason: &record.reason,
            device: record.device.as_deref(),
            feed: record.feed.as_deref(),
            entry: record.entry.as_deref(),
            icmp_type: record.icmp_type,
            icmp_code: record.icmp_code,
            expected: record.expected.as_ref(),
            drift,
            generation: record.generation,
            length: record.length,
        },
    }
}

fn finding<'r>(record: &'r Record, drift: &Drift) -> Finding<'r> {
    let milliseconds = |time: Option<jiff::Timestamp>| time.map(jiff::Timestamp::as_millisecond);
    Finding {
        uid: format!("{}-{}-{}", record.host, record.time.unwrap_or_default().as_second(), drift.number),
        title: record.note.as_deref().unwrap_or_default(),
        types: [drift.what.name()],
        first_seen_time: milliseconds(drift.first),
        last_seen_time: milliseconds(drift.last),
    }
}

fn endpoint(record: &Record, is_source: bool) -> Endpoint<'_> {
    let is_from_device = record.direction.as_deref() == Some("from-device");
    let is_device = record.direction.is_some() && is_source == is_from_device;
    let ((source, destination), mac) = (record.ends(), record.mac.as_ref());
    let (ip, port, mac) = if is_source {
        (source, record.source_port, mac.map(|mac| &mac.source))
    } else {
        (destination, record.destination_port, mac.map(|mac| &mac.destination))
    };
    let country = record.country.as_deref().filter(|_| !is_device && record.direction.is_some());
    let vlan = record.vlan.as_ref().and_then(|tags| tags.last());
    Endpoint {
        ip,
        port,
        mac: mac.map(|mac| mac.to_uppercase()),
        name: record.device.as_deref().filter(|_| is_device),
        vlan_uid: vlan.filter(|_| is_source).map(u16::to_string),
        location: country.map(|country| Location { country }),
    }
}

fn connection(record: &Record) -> Connection {
    let number = record.protocol.as_deref().and_then(protocol_number);
    Connection {
        // Inbound and outbound are what the devices see.
        direction_id: match record.direction.as_deref() {
            Some("to-device") => 1,
            Some("from-device") => 2,
            _ => 0,
        },
        protocol_num: number,
        // By IANA's keyword.
        protocol_name: number.map(|number| match number {
            protocol::ICMPV6 => "ipv6-icmp".to_owned(),
            _ => record.protocol.as_deref().unwrap_or_default().to_owned(),
        }),
        protocol_ver_id: record.ip_version,
        tcp_flags: record.tcp_flags.as_deref().and_then(tcp_flags::bits),
        community_uid: community_id::of(record),
    }
}
