//! Where events go: the archive, the sinks, and the log of who changed what.

use std::collections::BTreeMap;

use super::family::{Family, Samples, counter, gauge};
use crate::api::messages::Emission;

pub(super) static FAMILIES: [Family; 9] = [
    gauge("archive_events", &[], "Events that are kept; none before they were counted", |shown, to| {
        to.put_some(&[], shown.status.archive.kept);
    }),
    gauge("archive_bytes", &[], "Size of the archive of events, at the same time", |shown, to| {
        to.put_some(&[], shown.status.archive.kept.map(|_| shown.status.archive.bytes));
    }),
    gauge("archive_failed", &[], "1 where events are not kept at the moment", |shown, to| {
        to.put(&[], shown.status.archive.error.is_some());
    }),
    counter(
        "archive_records",
        &["fate"],
        "What became of the records that this agent has read: `emitted`, which is kept, or `lost`",
        |shown, to| put_fates(to, None, &shown.status.archive.events),
    ),
    gauge("archive_waiting", &[], "Records that are still to be kept", |shown, to| {
        to.put(&[], sum(&shown.status.archive.events.waiting));
    }),
    gauge("sink_up", &["sink"], "1 where a sink takes events", |shown, to| {
        for sink in &shown.status.sinks {
            to.put(&[&sink.name], sink.state == "up");
        }
    }),
    counter(
        "sink_records",
        &["sink", "fate"],
        "What became of the records that this agent has read, for a sink: `emitted` or `lost`",
        |shown, to| {
            for sink in &shown.status.sinks {
                put_fates(to, Some(&sink.name), &sink.events);
            }
        },
    ),
    gauge("sink_waiting", &["sink"], "Records that are still to go to a sink", |shown, to| {
        for sink in &shown.status.sinks {
            to.put(&[&sink.name], sum(&sink.events.waiting));
        }
    }),
    gauge(
        "audit_failed",
        &[],
        "1 where the audit log could not be written when that was last tried",
        |shown, to| {
            to.put(&[], shown.status.audit.error.is_some());
        },
    ),
];

fn put_fates(to: &mut Samples<'_>, name: Option<&str>, events: &Emission) {
    for (fate, records) in [("emitted", &events.emitted), ("lost", &events.lost)] {
        let labels: Vec<&str> = name.into_iter().chain([fate]).collect();
        to.put(&labels, sum(records));
    }
}

fn sum(records: &BTreeMap<String, u64>) -> u64 {
    records.values().sum()
}
