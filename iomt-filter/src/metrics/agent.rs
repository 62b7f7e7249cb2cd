//! The agent itself: what it is, whether it lives, and what it may do.

use super::family::{Family, counter, gauge, seconds};
use crate::events::What;

pub(super) static FAMILIES: [Family; 13] = [
    gauge(
        "build_info",
        &["version", "contract"],
        "Version of the agent, and of its contract with the kernel program; always 1",
        |shown, to| {
            to.put(&[&shown.status.version, &shown.status.contract.to_string()], true);
        },
    ),
    seconds("uptime", &[], "Time since the agent started", |shown, to| {
        to.put(&[], shown.since(shown.status.started));
    }),
    gauge(
        "adopted",
        &[],
        "1 where the agent took over what an earlier one had left in the kernel",
        |shown, to| {
            to.put(&[], shown.status.adopted);
        },
    ),
    seconds(
        "heartbeat_age",
        &[],
        "Time since the kernel program last heard of the agent; none before the first time",
        |shown, to| {
            let age = shown.status.heartbeat.age_milliseconds;
            to.put_some(&[], age.map(|age| age as f64 / 1_000.0));
        },
    ),
    seconds(
        "heartbeat_limit",
        &[],
        "How old the heartbeat may be until the kernel program takes the agent for lost",
        |shown, to| {
            to.put(&[], u64::from(shown.status.heartbeat.loss_after_seconds));
        },
    ),
    gauge("privileged", &[], "1 where the agent is root, or has kept a capability", |shown, to| {
        let privileges = &shown.status.privileges;
        to.put(&[], privileges.uid == 0 || !privileges.capabilities.is_empty());
    }),
    gauge(
        "warnings",
        &[],
        "Warnings that `status` shows, of policy, inventory, lists and the host",
        |shown, to| {
            to.put(&[], shown.status.warnings.len());
        },
    ),
    gauge(
        "reload_failed",
        &[],
        "1 where the last reload was refused, and what ran before goes on",
        |shown, to| {
            to.put(&[], shown.status.failed_reload.is_some());
        },
    ),
    seconds(
        "reload_failed_age",
        &[],
        "Time since a reload was refused; none where the last one was not",
        |shown, to| {
            to.put_some(&[], shown.status.failed_reload.as_ref().map(|failed| shown.since(failed.at)));
        },
    ),
    gauge(
        "contacts",
        &[],
        "Who talked to whom: contacts that are kept; none before they were counted",
        |shown, to| {
            to.put_some(&[], shown.status.contacts.contacts);
        },
    ),
    seconds(
        "contacts_read_age",
        &[],
        "Time since flows were last read and kept; none before the first time",
        |shown, to| {
            to.put_some(&[], shown.status.contacts.read.map(|read| shown.since(read)));
        },
    ),
    gauge("contacts_failed", &[], "1 where who talked to whom is not kept at the moment", |shown, to| {
        to.put(&[], shown.status.contacts.error.is_some());
    }),
    counter(
        "device_drifts",
        &["what"],
        "Events that told of something that a device never did: `new-peer`, `new-service`, `new-country`, `volume` or \
         `silence`",
        |shown, to| {
            for what in What::ALL {
                to.put(&[what.name()], shown.status.contacts.drifts.get(what.name()).copied().unwrap_or(0));
            }
        },
    ),
];
