//! What is written down of an example.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::api::messages::{DriftStatus, Fates};
use crate::policy::model::GeoStale;

/// What an agent might show, with something in every family.
fn picture() -> Picture {
    let at = "2026-11-28T12:00:00Z";
    let status = json!({
        "version": "0.1.0", "contract": 7, "host": "seg", "started": "2026-11-28T11:00:00Z", "adopted": true,
        "generation": 12, "generation_since": "2026-11-28T11:59:00Z",
        "defaults": { "unknown_device": "drop", "unparsed": "drop", "midstream": "monitor" },
        "heartbeat": { "age_milliseconds": 250, "loss_after_seconds": 60 },
        "profiles": [
            { "name": "pump", "devices": 1, "on_block": "reset", "fail": "open", "on_agent_loss": "static", "limits": { "flows": 100 } },
            { "name": "ct", "devices": 1, "on_block": "drop", "fail": "closed", "on_agent_loss": "open", "limits": {} },
        ],
        "interfaces": [
            { "name": "eth1", "port": "device", "mode": "native" },
            { "name": "eth0", "port": "uplink", "mode": "not attached" },
        ],
        "segments": ["10.10.0.0/24"], "devices": { "enforce": 2 },
        "tables": [{ "name": "devices", "used": 2, "free": 62, "capacity": 64, "unit": "rows" }],
        "feeds": [], "geo": null,
        "contacts": { "path": "history.db", "contacts": 5, "read": "2026-11-28T11:59:30Z", "error": null, "moved_aside": null },
        "frames": { "pass": { "allowed": 10 }, "drop": { "blocklist": 3, "geo": 1 } },
        "events": {}, "warnings": ["one", "two"],
        "failed_reload": { "at": "2026-11-28T11:58:00Z", "errors": ["no"] },
        "change": {
            "number": 3, "files_differ": true, "kept_because": "invalid",
            "pending": { "number": 3, "by": "root", "note": null, "confirm_by": at, "left_seconds": 90, "falls_back_to": 2 },
        },
        "archive": { "path": "events.db", "kept": 7, "bytes": 4096, "error": "full", "moved_aside": null, "emitted": { "drop": 2, "pass": 1 }, "lost": { "drop": 3 }, "waiting": { "drop": 4 } },
        "sinks": [
            { "name": "siem", "type": "syslog", "format": "cef", "target": "tcp", "state": "up", "since": at, "error": null, "emitted": { "drop": 5 } },
            { "name": "file", "type": "file", "format": "json", "target": "/x", "state": "down", "since": at, "error": "no", "waiting": { "drop": 6 } },
        ],
        "exceptions": [
            { "kind": "bypass", "scope": { "device": "ct-1" }, "until": "2026-11-28T12:30:00Z", "note": null, "added": "2026-11-28T11:50:00Z", "by": "root" },
            { "kind": "quarantine", "scope": { "profile": "pump" }, "until": null, "note": null, "added": at, "by": "root" },
        ],
    });
    let mut status: Status = serde_json::from_value(status).unwrap();
    status.events.insert("drop".into(), Fates { emitted: 2, suppressed: 1, lost: 1 });
    status.drift = DriftStatus { repairs: 1, last: Some("2026-11-28T11:00:00Z".parse().unwrap()) };
    let reasons: BTreeMap<_, _> = [("blocklist".to_owned(), 3)].into();
    let device = DeviceStatus {
        name: Some("ct-1".into()),
        profile: Some("ct".into()),
        mode: Some("enforce".into()),
        allowed: 10,
        dropped: 3,
        reasons: [("drop".to_owned(), reasons)].into(),
        ..DeviceStatus::default()
    };
    let odd = DeviceStatus { name: Some("a \"b\" \\ c\nd".into()), ..DeviceStatus::default() };
    let feed = FeedReport {
        name: "c2".into(),
        entries: 2,
        state: crate::intent::FeedState::Kept("the server is gone".into()),
        updated: Some("2026-11-28T10:00:00Z".parse().unwrap()),
        read: Some("2026-11-28T11:00:00Z".parse().unwrap()),
        held_since: Some("2026-11-28T11:30:00Z".parse().unwrap()),
        held_entries: Some(9),
        ..FeedReport::default()
    };
    let geo = GeoReport {
        path: "country.mmdb".into(),
        kind: "Country".into(),
        built: Some("2026-11-01T00:00:00Z".parse().unwrap()),
        age_days: Some(27),
        max_age_days: 90,
        stale: false,
        on_stale: GeoStale::Keep,
        prefixes: 100,
        kept: None,
        max_age: Duration::from_secs(90 * 86_400),
    };
    Picture {
        status,
        devices: vec![device, odd, DeviceStatus { dropped: 1, ..DeviceStatus::default() }],
        feeds: vec![(Arc::new(feed), Some(3_600))],
        geo: Some(geo),
        grants: 1,
        now: at.parse().unwrap(),
    }
}

fn written() -> String {
    text(picture()).unwrap()
}

#[test]
fn what_is_shown_is_written_down() {
    let text = written();
    for line in [
        "# TYPE iomt_filter_heartbeat_age_seconds gauge",
        "# UNIT iomt_filter_heartbeat_age_seconds seconds",
        "# TYPE iomt_filter_frames counter",
        "iomt_filter_build_info{version=\"0.1.0\",contract=\"7\"} 1",
        "iomt_filter_uptime_seconds 3600.0",
        "iomt_filter_heartbeat_age_seconds 0.25",
        "iomt_filter_heartbeat_limit_seconds 60",
        "iomt_filter_warnings 2",
        "iomt_filter_interface_mode{interface=\"eth1\",port=\"device\",mode=\"native\"} 1",
        "iomt_filter_interface_mode{interface=\"eth0\",port=\"uplink\",mode=\"not attached\"} 1",
        "iomt_filter_interface_mode{interface=\"eth0\",port=\"uplink\",mode=\"native\"} 0",
        "iomt_filter_devices{profile=\"ct\",mode=\"enforce\"} 1",
        "iomt_filter_profile_fail_open{profile=\"pump\"} 1",
        "iomt_filter_profile_fail_open{profile=\"ct\"} 0",
        "iomt_filter_profile_agent_loss_open{profile=\"ct\"} 1",
        "iomt_filter_profile_limit{profile=\"pump\",limit=\"flows\"} 100",
        "iomt_filter_feed_state{feed=\"c2\",state=\"kept\"} 1",
        "iomt_filter_feed_state{feed=\"c2\",state=\"loaded\"} 0",
        "iomt_filter_feed_age_seconds{feed=\"c2\"} 7200.0",
        "iomt_filter_feed_refresh_seconds{feed=\"c2\"} 3600",
        "iomt_filter_feed_held_entries{feed=\"c2\"} 9",
        "iomt_filter_geo_stale 0",
        "iomt_filter_table_free{table=\"devices\",unit=\"rows\"} 62",
        "iomt_filter_change_left_seconds 90",
        "iomt_filter_files_kept_back 1",
        "iomt_filter_exceptions{kind=\"bypass\",scope=\"device\"} 1",
        "iomt_filter_exceptions{kind=\"bypass\",scope=\"all\"} 0",
        "iomt_filter_exception_left_seconds{kind=\"bypass\",scope=\"device\",name=\"ct-1\"} 1800.0",
        "iomt_filter_exception_age_seconds{kind=\"quarantine\",scope=\"profile\",name=\"pump\"} 0.0",
        "iomt_filter_drift_repairs_total 1",
        "iomt_filter_frames_total{verdict=\"drop\",reason=\"blocklist\"} 3",
        "iomt_filter_device_frames_total{device=\"ct-1\",profile=\"ct\",outcome=\"dropped\"} 3",
        "iomt_filter_device_frames_total{device=\"ct-1\",profile=\"ct\",outcome=\"would-drop\"} 0",
        "iomt_filter_device_frames_total{device=\"\",profile=\"\",outcome=\"dropped\"} 1",
        "iomt_filter_device_reason_frames_total{device=\"ct-1\",profile=\"ct\",verdict=\"drop\",reason=\"blocklist\"} 3",
        "iomt_filter_events_total{verdict=\"drop\",fate=\"lost\"} 1",
        "iomt_filter_archive_events 7",
        "iomt_filter_archive_bytes 4096",
        "iomt_filter_archive_failed 1",
        "iomt_filter_archive_records_total{fate=\"emitted\"} 3",
        "iomt_filter_archive_records_total{fate=\"lost\"} 3",
        "iomt_filter_archive_waiting 4",
        "iomt_filter_sink_up{sink=\"siem\"} 1",
        "iomt_filter_sink_up{sink=\"file\"} 0",
        "iomt_filter_sink_records_total{sink=\"siem\",fate=\"emitted\"} 5",
        "iomt_filter_sink_waiting{sink=\"file\"} 6",
        "iomt_filter_audit_failed 0",
    ] {
        assert!(text.lines().any(|written| written == line), "`{line}` is not in:\n{text}");
    }
    assert!(!text.contains("exception_left_seconds{kind=\"quarantine\""), "it ends when it is released");
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn names_may_hold_anything() {
    let escaped = "device=\"a \\\"b\\\" \\\\ c\\nd\",profile=\"\"";
    assert!(written().contains(escaped), "{}", written());
}

#[test]
fn every_family_has_a_name_of_its_own_its_labels_and_a_sample() {
    let text = written();
    let mut names = BTreeSet::new();
    for family in families() {
        let name = family.full_name();
        assert!(names.insert(name.clone()), "{name} is there twice");
        let samples = text.lines().filter_map(|line| line.strip_prefix(&name)?.strip_prefix(['{', ' ']));
        let labels: BTreeSet<Vec<&str>> = samples.map(labels).collect();
        assert_eq!(labels.into_iter().collect::<Vec<_>>(), [family.labels.to_vec()], "{name}");
        assert!(!family.help.contains(['\n', '\\', '|']) && !family.help.ends_with('.'), "{name}");
    }
}

/// The names of the labels in what follows a name.
fn labels(sample: &str) -> Vec<&str> {
    let Some((labels, _)) = sample.rsplit_once("} ") else { return Vec::new() };
    labels.split("\",").filter_map(|label| Some(label.split_once("=\"")?.0)).collect()
}

#[test]
fn ten_thousand_devices_are_written_in_a_moment() {
    let mut picture = picture();
    let one = picture.devices[0].clone();
    picture.devices = (0..10_000)
        .map(|number| DeviceStatus { name: Some(format!("ct-{number}")), ..one.clone() })
        .collect();
    let begun = std::time::Instant::now();
    let text = text(picture).unwrap();
    assert_eq!(text.matches("outcome=\"dropped\"").count(), 10_000);
    // A fraction of it where the compiler was asked for speed.
    assert!(begun.elapsed().as_secs_f64() < 2.0, "{:?}", begun.elapsed());
}
