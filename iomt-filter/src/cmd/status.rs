//! `iomt-filter status`: what runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use crate::api::messages::{
    ArchiveStatus, AuditStatus, ChangeStatus, ContactsStatus, Emission, Incident, Interface, SinkStatus,
    Status,
};
use crate::cli::Output;
use crate::cmd::{asked, exceptions};
use crate::output;
use crate::privileges::Privileges;

/// Shows what runs.
///
/// # Errors
/// When no agent answers.
pub fn run(config: &Path, output: Output) -> Result<ExitCode> {
    let status: Status = asked(config, "/v1/status")?;
    match output {
        Output::Json => output::document(&status)?,
        Output::Text => output::text(shown(&status))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(status: &Status) -> String {
    let mut lines = loud(status);
    lines.extend([
        format!("iomt-filter {} on {}, since {}", status.version, status.host, status.started),
        format!("generation  {}, since {}", status.generation, status.generation_since),
        format!(
            "otherwise   unknown device: {}, unparsed: {}, midstream: {}",
            status.defaults.unknown_device, status.defaults.unparsed, status.defaults.midstream
        ),
    ]);
    lines.push(format!("change      {}", change(&status.change)));
    if status.adopted {
        lines.push("adopted     tables, flows and counters of the agent before".to_owned());
    }
    let age = status.heartbeat.age_milliseconds;
    lines.push(format!(
        "heartbeat   {}, missing after {} s",
        age.map_or("none yet".to_owned(), |age| format!("{}.{} s ago", age / 1_000, age % 1_000 / 100)),
        status.heartbeat.loss_after_seconds
    ));
    lines.push(format!("privileges  {}", privileges(&status.privileges)));
    for interface in &status.interfaces {
        let vlans: String =
            interface.vlans.iter().map(|(vlan, port)| format!(", VLAN {vlan} {port}")).collect();
        let state = if interface.state.is_empty() { String::new() } else { format!(", {}", interface.state) };
        lines.push(format!(
            "interface   {} ({}{vlans}, {}{state})",
            interface.name, interface.port, interface.mode
        ));
    }
    let segments: Vec<_> = status.segments.iter().map(ToString::to_string).collect();
    lines.push(format!("segments    {}", or_none(&segments.join(", "))));
    lines.push(format!("devices     {}", or_none(&counts(&status.devices))));
    for profile in &status.profiles {
        lines.push(format!(
            "profile     {}: {} devices, on_block {}, fail {}, on_agent_loss {}, limits {}",
            profile.name,
            profile.devices,
            profile.on_block,
            profile.fail,
            profile.on_agent_loss,
            or_none(&counts(&profile.limits))
        ));
    }
    for table in &status.tables {
        lines.push(format!(
            "table       {}: {} of {} {}, {} free",
            table.name, table.used, table.capacity, table.unit, table.free
        ));
    }
    lines.extend(status.feeds.iter().map(feed));
    if let Some(geo) = &status.geo {
        lines.push(format!(
            "geo         {}, {} days old, {} prefixes{}",
            text(geo, "path"),
            text(geo, "age_days"),
            text(geo, "prefixes"),
            stale(geo)
        ));
    }
    lines.push(format!("contacts    {}", contacts(&status.contacts)));
    for (verdict, reasons) in &status.frames {
        lines.push(format!("frames      {verdict}: {}", counts(reasons)));
    }
    for (verdict, fates) in &status.events {
        lines.push(format!(
            "events      {verdict}: {} recorded, {} suppressed by the rate limit, {} lost",
            fates.emitted, fates.suppressed, fates.lost
        ));
    }
    lines.push(format!("archive     {}", archive(&status.archive)));
    lines.extend(status.sinks.iter().map(|sink| format!("sink        {}", self::sink(sink))));
    if let Some(failed) = &status.failed_reload {
        lines.push(format!("reload      failed at {}, what ran before goes on:", failed.at));
        lines.extend(failed.errors.iter().map(|error| indented(error)));
    }
    lines.extend(status.warnings.iter().map(|warning| indented(warning)));
    lines.join("\n")
}

/// What nobody should overlook: what is to be confirmed, what holds by hand, what is not judged, who else writes into the
/// tables, and what was mended.
pub(super) fn loud(status: &Status) -> Vec<String> {
    let pending = status.change.pending.iter().map(|pending| {
        format!(
            "PENDING     generation {} by {} goes back in {} s; `iomt-filter confirm` keeps it",
            pending.number, pending.by, pending.left_seconds
        )
    });
    let drift = status.drift.last.iter().map(|last| {
        let repairs = status.drift.repairs;
        format!("DRIFT       the kernel's tables were written anew {repairs} times, last at {last:.0}: somebody else writes into them")
    });
    let kept = status.change.kept_because.iter().map(|because| format!("KEPT        {because}"));
    let by_hand =
        status.exceptions.iter().map(|exception| format!("BY HAND     {}", exceptions::shown(exception)));
    let interfaces = status.interfaces.iter().filter_map(not_judged);
    let incidents = status.incidents.iter().map(incident);
    let loud = pending.chain(kept).chain(by_hand).chain(interfaces).chain(incidents);
    loud.chain(drift).chain(unaudited(&status.audit)).collect()
}

/// What holds and is in no audit log yet, and that nothing can be written into it.
fn unaudited(audit: &AuditStatus) -> Vec<String> {
    let mut lines: Vec<_> = audit.unwritten.iter().map(|what| format!("NOT AUDITED {what}")).collect();
    let error = audit.error.iter();
    lines.extend(error.map(|error| {
        format!("AUDIT LOG   cannot be written, nothing else is changed until it can: {error}")
    }));
    lines
}

/// What is to be said of an interface that does not do its work.
fn not_judged(interface: &Interface) -> Option<String> {
    let Interface { name, mode, state, .. } = interface;
    match (mode.as_str(), state.as_str()) {
        ("missing", _) => {
            Some(format!("MISSING     `{name}` is not on this host; it is judged as soon as it is"))
        }
        ("not attached", _) => Some(format!("UNJUDGED    `{name}` has no program; the log says why")),
        (_, "down") => Some(format!("DOWN        `{name}`: `ip link set dev {name} up`")),
        _ => None,
    }
}

fn incident(incident: &Incident) -> String {
    let Incident { kind, about, note, at, times } = incident;
    let often = if *times > 1 { format!(", {times} times") } else { String::new() };
    format!("{:<11} {about}: {note} (at {at:.0}{often})", kind.name().to_uppercase())
}

/// What operators have made hold.
fn change(change: &ChangeStatus) -> String {
    let number = change
        .number
        .map_or_else(|| "none is kept".to_owned(), |number| format!("generation {number} holds"));
    let differ = if change.files_differ {
        ", the files say something else: `iomt-filter plan` shows what, `iomt-filter apply` makes it hold"
    } else {
        ""
    };
    format!("{number}{differ}")
}

/// How who talked to whom is kept.
fn contacts(status: &ContactsStatus) -> String {
    let count = status.contacts.map_or("not counted yet".to_owned(), |count| count.to_string());
    let read = status.read.map_or("not yet".to_owned(), |read| format!("at {read:.0}"));
    let mut line = format!("{count}, flows last read {read}");
    let drifts: Vec<_> = status.drifts.iter().filter(|(_, count)| **count > 0).collect();
    if !drifts.is_empty() {
        let drifts: Vec<_> = drifts.iter().map(|(what, count)| format!("{what} {count}")).collect();
        line.push_str(&format!("; drift: {}", drifts.join(", ")));
    }
    if let Some(error) = &status.error {
        line.push_str(&format!(", not kept at the moment: {error}"));
    }
    if let Some(aside) = &status.moved_aside {
        line.push_str(&format!(", a damaged database was moved to {aside}"));
    }
    line
}

/// How events are kept.
fn archive(status: &ArchiveStatus) -> String {
    let kept = status.kept.map_or("not counted yet".to_owned(), |kept| format!("{kept} events"));
    let mut line = format!("{kept}, {} MiB; {}", status.bytes >> 20, emission(&status.events));
    if let Some(error) = &status.error {
        line.push_str(&format!("; not kept at the moment: {error}"));
    }
    if let Some(aside) = &status.moved_aside {
        line.push_str(&format!("; a damaged database was moved to {aside}"));
    }
    line
}

fn sink(sink: &SinkStatus) -> String {
    let format = sink.format.iter().map(|format| format!(" {format}")).collect::<String>();
    let target = if sink.name == sink.target { String::new() } else { format!(" {}", sink.target) };
    let mut line = format!(
        "{} ({}{format}{target}): {} since {:.0}; {}",
        sink.name,
        sink.kind,
        sink.state,
        sink.since,
        emission(&sink.events)
    );
    if let Some(error) = &sink.error {
        line.push_str(&format!("; {error}"));
    }
    line
}

/// What became of the records that were read.
fn emission(events: &Emission) -> String {
    let sum = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
    let (emitted, lost, waiting) = (sum(&events.emitted), sum(&events.lost), sum(&events.waiting));
    format!("{emitted} emitted, {lost} lost, {waiting} waiting")
}

/// What is wrong with the age of the country database.
fn stale(geo: &Value) -> String {
    if geo.get("stale").and_then(Value::as_bool) != Some(true) {
        return String::new();
    }
    let days = text(geo, "max_age_days");
    match geo.get("on_stale").and_then(Value::as_str) {
        Some("deny") => format!(
            ", too old (over {days} days): where a profile has `geo`, every public address is refused"
        ),
        _ => format!(", too old (over {days} days): what it says counts on"),
    }
}

fn feed(feed: &Value) -> String {
    let count = |key| feed.get(key).and_then(Value::as_array).map_or(0, Vec::len);
    let reason = feed.get("reason").and_then(Value::as_str).map(|reason| format!(" ({reason})"));
    format!(
        "feed        {}: {}{}, {} entries, {} lines rejected, {} entries spared",
        text(feed, "name"),
        text(feed, "state"),
        reason.unwrap_or_default(),
        text(feed, "entries"),
        count("rejected"),
        count("removed")
    )
}

fn text(value: &Value, key: &str) -> String {
    match value.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "?".to_owned(),
        Some(other) => other.to_string(),
    }
}

fn privileges(privileges: &Privileges) -> String {
    let Privileges { user, uid, capabilities, no_new_privileges } = privileges;
    let held = match capabilities.len() {
        _ if *uid == 0 => {
            "every right of root; name a `user` in `[agent]`, or run it as a service".to_owned()
        }
        0 => "no capabilities".to_owned(),
        _ => capabilities.join(", "),
    };
    let more = if *no_new_privileges { "" } else { ", and may get more" };
    format!("{user} ({uid}), {held}{more}")
}

fn counts<N: std::fmt::Display>(counts: &BTreeMap<String, N>) -> String {
    let parts: Vec<_> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    parts.join(", ")
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    /// The words that a status begins with.
    const WORDS: usize = 12;

    #[test]
    fn what_nobody_should_overlook_comes_first_and_is_explained() {
        let at = "2026-11-28T12:00:00Z";
        let status = json!({
            "version": "0.1.0", "contract": 9, "host": "seg", "started": at, "adopted": true,
            "generation": 12, "generation_since": at,
            "defaults": { "unknown_device": "drop", "unparsed": "drop", "midstream": "monitor" },
            "heartbeat": { "age_milliseconds": 250, "loss_after_seconds": 60 },
            "profiles": [],
            "interfaces": [
                { "name": "eth1", "port": "device", "mode": "native", "state": "down" },
                { "name": "eth2", "port": "device", "mode": "missing" },
                { "name": "eth0", "port": "uplink", "mode": "not attached" },
            ],
            "segments": [], "devices": {}, "tables": [], "feeds": [], "geo": null,
            "contacts": { "path": "history.db", "contacts": 0, "read": null, "error": null, "moved_aside": null },
            "frames": {}, "events": {}, "warnings": [], "failed_reload": null,
            "change": {
                "number": 3, "files_differ": true, "kept_because": "the files are invalid",
                "pending": { "number": 3, "by": "root", "note": null, "confirm_by": at, "left_seconds": 90, "falls_back_to": 2 },
            },
            "exceptions": [
                { "kind": "bypass", "scope": { "device": "ct-1" }, "until": at, "note": null, "added": at, "by": "root" },
            ],
            "drift": { "repairs": 2, "last": at },
            "incidents": [
                { "kind": "repaired", "about": "eth1", "note": "another program was in its link", "at": at, "times": 2 },
                { "kind": "tampered", "about": "POLICY", "note": "no room", "at": at, "times": 1 },
            ],
            "audit": { "last": null, "unwritten": ["bypass of every device"], "error": "no space left on device" },
        });
        let status: Status = serde_json::from_value(status).unwrap();
        let loud = loud(&status);
        let words: BTreeSet<&str> = loud.iter().map(|line| line.split_at(WORDS).0.trim()).collect();
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md");
        let page = std::fs::read_to_string(page).unwrap();
        let row = |line: &str| line.strip_prefix("| `")?.split_once("` |").map(|(word, _)| word.to_owned());
        let explained: BTreeSet<String> =
            page.lines().filter_map(row).filter(|word| word.to_uppercase() == *word).collect();
        assert_eq!(explained.iter().map(String::as_str).collect::<BTreeSet<_>>(), words, "{loud:#?}");
        let shown = shown(&status);
        assert!(loud.iter().zip(shown.lines()).all(|(loud, line)| loud == line), "{shown}");
    }
}
