//! What runs, as the control socket shows it.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use iomt_filter_common::abi;
use iomt_filter_common::device::Device;
use iomt_filter_common::flow::{Flow, FlowKey, Progress};
use iomt_filter_common::lease::Lease;
use iomt_filter_common::packet::protocol;
use iomt_filter_common::policy::{Mode, Otherwise, Profile};
use iomt_filter_common::{Mac, Verdict};
use jiff::Timestamp;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use super::Errors;
use super::core::chain;
use super::feeds::refreshed_every;
use super::interfaces::left_over_warning;
use super::running::Running;
use super::store;
use crate::api::messages::{
    ArchiveStatus, ChangeStatus, ContactsStatus, Defaults, DeviceQuery, DeviceStatus, Fates, FlowQuery,
    FlowStatus, FlowTotals, Heartbeat, Interface, LeaseStatus, ProfileStatus, SinkStatus, Status, Table,
};
use crate::clock::{boottime, time_of_day};
use crate::config::Config;
use crate::datapath::counts::Count;
use crate::datapath::{AttachMode, Attachment, Fill, Standing};
use crate::events::protocol_name;
use crate::intent::{self, FeedReport, GeoReport, Overrides};
use crate::inventory::show_mac;
use crate::metrics::Picture;
use crate::privileges::Privileges;
use crate::rows::Rows;

/// What runs, in a line for the service manager.
pub(super) fn line(running: &Running) -> String {
    let judged = running.attachments.iter().filter(|attachment| attachment.standing.is_judged()).count();
    let failed = running.failed_reload.as_ref().map_or("", |_| ", the last reload was refused");
    format!(
        "judging on {judged} of {} interfaces, generation {}, {} devices{failed}",
        running.attachments.len(),
        running.generation,
        running.intent.rows.devices.len()
    )
}

pub(super) fn status(running: &Running, known: Known) -> Result<Status, Errors> {
    status_of(running, known, &counts(running)?)
}

/// What the agent knows beside what runs.
pub(super) struct Known {
    pub(super) contacts: ContactsStatus,
    pub(super) archive: ArchiveStatus,
    pub(super) sinks: Vec<SinkStatus>,
    pub(super) records: BTreeMap<String, u64>,
    /// What is wrong with the place where metrics are served.
    pub(super) metrics: Option<String>,
}

fn status_of(running: &Running, known: Known, counts: &[Count]) -> Result<Status, Errors> {
    let rows = &running.intent.rows;
    let mut modes = BTreeMap::new();
    for device in rows.devices.values() {
        *modes.entry(Mode::from_number(device.mode).name().to_owned()).or_default() += 1;
    }
    let mut frames: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for count in counts {
        let reasons = frames.entry(count.verdict.name().to_owned()).or_default();
        *reasons.entry(count.reason.name().to_owned()).or_default() += count.frames;
    }
    let mut events = BTreeMap::new();
    for verdict in Verdict::ALL.into_iter().filter(|verdict| *verdict != Verdict::Pass) {
        let fates = running.readings.fates(verdict).map_err(|error| vec![chain(&error)])?;
        let fates = Fates { emitted: fates.emitted, suppressed: fates.suppressed, lost: fates.lost };
        events.insert(verdict.name().to_owned(), fates);
    }
    let settings = rows.settings;
    let states = states();
    Ok(Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        contract: abi::VERSION,
        host: running.host_name.clone(),
        started: running.started,
        adopted: running.adopted,
        generation: running.generation,
        generation_since: running.generation_since,
        defaults: Defaults {
            unknown_device: otherwise(settings.unknown_device),
            unparsed: otherwise(settings.unparsed),
            midstream: otherwise(settings.midstream),
        },
        heartbeat: heartbeat(running),
        privileges: Privileges::read()
            .map_err(|error| vec![format!("failed to read `/proc/self`: {error}")])?,
        profiles: profiles(rows),
        interfaces: running
            .attachments
            .iter()
            .map(|attachment| Interface {
                name: attachment.interface.clone(),
                port: attachment.roles.port.name().to_owned(),
                vlans: attachment
                    .roles
                    .vlans
                    .iter()
                    .map(|(vlan, port)| (*vlan, port.name().to_owned()))
                    .collect(),
                mode: mode_name(attachment).to_owned(),
                state: states.get(&attachment.interface).copied().unwrap_or_default().to_owned(),
            })
            .collect(),
        segments: running.intent.segments.clone(),
        devices: modes,
        tables: tables(running, rows)?,
        feeds: running.intent.feeds.iter().filter_map(|feed| serde_json::to_value(&**feed).ok()).collect(),
        geo: geo(running).and_then(|geo| serde_json::to_value(geo).ok()),
        contacts: known.contacts,
        frames,
        events,
        records: known.records,
        archive: known.archive,
        sinks: known.sinks,
        warnings: warnings(running, known.metrics)?,
        failed_reload: running.failed_reload.clone(),
        change: change(running),
        exceptions: running.exceptions.list(),
        drift: running.drift,
        audit: running.auditing.standing(),
        incidents: running.incidents.clone(),
    })
}

/// Whether the interfaces of this host are up, by their names; none where the kernel does not say.
fn states() -> BTreeMap<String, &'static str> {
    let all = getifaddrs().into_iter().flatten();
    let state = |flags: InterfaceFlags| match () {
        () if !flags.contains(InterfaceFlags::IFF_UP) => "down",
        () if !flags.contains(InterfaceFlags::IFF_RUNNING) => "no carrier",
        () => "up",
    };
    all.map(|interface| (interface.interface_name, state(interface.flags))).collect()
}

/// What operators have made hold. The files are read for it: they are what an operator would look into.
fn change(running: &Running) -> ChangeStatus {
    let digest = running.current.as_ref().map(|current| &current.digest);
    let files = Config::load(&running.config.paths.config)
        .and_then(|config| intent::sources(&config, &Overrides::default()));
    ChangeStatus {
        number: running.current.as_ref().map(|current| current.number),
        files_differ: files.map_or(true, |sources| Some(&sources.digest()) != digest),
        kept_because: running.kept_because.clone(),
        pending: running.pending.clone(),
    }
}

pub(super) fn devices(running: &Running, query: DeviceQuery) -> Result<Vec<DeviceStatus>, Errors> {
    let mut devices = devices_of(running, &counts(running)?)?;
    if query.flows {
        let mut totals = flow_totals(running);
        for device in &mut devices {
            device.flows = Some(totals.remove(&device.name).unwrap_or_default());
        }
    }
    Ok(devices)
}

/// The flows of each device, by its name; without one, those that no device is named by.
fn flow_totals(running: &Running) -> HashMap<Option<String>, FlowTotals> {
    let names = &running.intent.rows.names.devices;
    let mut totals: HashMap<Option<&String>, FlowTotals> = HashMap::new();
    for (_, flow) in running.readings.flows(boottime()) {
        let of_device = totals.entry(names.get(&flow.device())).or_default();
        of_device.flows += 1;
        of_device.packets += flow.packets;
        of_device.bytes += flow.bytes;
    }
    totals.into_iter().map(|(name, totals)| (name.cloned(), totals)).collect()
}

/// Status and devices of one moment.
pub(super) fn picture(running: &Running, known: Known) -> Result<Picture, Errors> {
    let counts = counts(running)?;
    let refresh = |feed: &FeedReport| {
        let of_name = |standing: &&intent::Standing| standing.feed.enabled && standing.feed.name == feed.name;
        running
            .intent
            .lists()
            .standings()
            .iter()
            .find(of_name)
            .map(|standing| refreshed_every(standing).as_secs())
    };
    Ok(Picture {
        status: status_of(running, known, &counts)?,
        devices: devices_of(running, &counts)?,
        feeds: running.intent.feeds.iter().map(|feed| (feed.clone(), refresh(feed))).collect(),
        geo: geo(running),
        grants: running.grants.list().len(),
        now: Timestamp::now(),
    })
}

fn devices_of(running: &Running, counts: &[Count]) -> Result<Vec<DeviceStatus>, Errors> {
    let rows = &running.intent.rows;
    let mut all: BTreeMap<u32, DeviceStatus> = rows
        .devices
        .iter()
        .map(|(&number, row)| {
            let status = DeviceStatus {
                name: rows.names.devices.get(&number).cloned(),
                profile: rows.names.profiles.get(&row.profile).cloned(),
                mode: Some(Mode::from_number(row.mode).name().to_owned()),
                mac: (row.mac != Mac::UNSET).then(|| show_mac(row.mac)),
                vlan: (row.vlan != 0).then_some(row.vlan),
                leases: row.has(Device::BY_DHCP).then(Vec::new),
                fail: Some(open_or(row.has(Device::FAIL_OPEN), "closed")),
                on_agent_loss: rows
                    .profiles
                    .get(&row.profile)
                    .map(|profile| open_or(profile.open_on_agent_loss != 0, "static")),
                ..DeviceStatus::default()
            };
            (number, status)
        })
        .collect();
    for (address, device) in &rows.device_addresses {
        if let Some(status) = all.get_mut(device) {
            status.addresses.push(IpAddr::from(*address).to_string());
        }
    }
    let now = boottime();
    for (device, leases) in running.readings.leases(rows).map_err(|error| vec![chain(&error)])? {
        let Some(shown) = all.get_mut(&device).and_then(|status| status.leases.as_mut()) else { continue };
        for lease in leases.iter().filter(|lease| lease.expires > now) {
            let address = IpAddr::from(lease.address).to_string();
            let until = (lease.expires != Lease::NEVER).then(|| time_of_day(lease.expires));
            shown.push(LeaseStatus { address, until });
        }
    }
    let gone: BTreeMap<u32, &String> =
        running.numbers.devices.iter().map(|(name, &number)| (number, name)).collect();
    for count in counts {
        let status = all.entry(count.device).or_insert_with(|| DeviceStatus {
            name: gone.get(&count.device).map(|name| (*name).clone()),
            ..DeviceStatus::default()
        });
        match count.verdict {
            Verdict::Pass => status.allowed += count.frames,
            Verdict::Drop | Verdict::Reset => status.dropped += count.frames,
            Verdict::WouldDrop => status.would_dropped += count.frames,
        }
        let reasons = status.reasons.entry(count.verdict.name().to_owned()).or_default();
        *reasons.entry(count.reason.name().to_owned()).or_default() += count.frames;
    }
    let nobody = all.remove(&0).unwrap_or_default();
    let mut list: Vec<_> = all.into_values().collect();
    list.sort_by(|a, b| a.name.cmp(&b.name));
    list.push(nobody);
    Ok(list)
}

pub(super) fn flows(running: &Running, query: &FlowQuery) -> Vec<FlowStatus> {
    let generation = running.generation;
    let now = boottime();
    let flows = running.readings.flows(now);
    let names = &running.intent.rows.names.devices;
    let is_asked_for =
        |flow: &Flow| query.device.is_none() || names.get(&flow.device()) == query.device.as_ref();
    let mut list: Vec<_> = flows
        .iter()
        .filter(|(_, flow)| is_asked_for(flow))
        .map(|(key, flow)| flow_status(&running.intent.rows, key, flow, generation, now))
        .collect();
    list.sort_by(|a, b| (&a.device, a.idle_seconds, &a.source).cmp(&(&b.device, b.idle_seconds, &b.source)));
    list
}

/// What is known of the country database, as old as it is now; `stale` is what is acted upon.
fn geo(running: &Running) -> Option<GeoReport> {
    let acted_upon = running.intent.geo.as_ref()?;
    let mut geo = acted_upon.at(Timestamp::now());
    geo.stale = acted_upon.stale;
    Some(geo)
}

/// How an interface is judged, or why it is not.
pub(super) const fn mode_name(attachment: &Attachment) -> &'static str {
    match (attachment.standing, attachment.mode) {
        (Standing::LeftOver, _) => "left over",
        (Standing::Missing, _) => "missing",
        (Standing::NotAttached, _) => "not attached",
        (Standing::Judging, Some(AttachMode::Native)) => "native",
        (Standing::Judging, Some(AttachMode::Generic)) => "generic",
        (Standing::Judging, None) => "kept",
    }
}

/// What is not as it should be with what runs.
fn warnings(running: &Running, metrics: Option<String>) -> Result<Vec<String>, Errors> {
    let left_over = running.attachments.iter().filter(|attachment| attachment.standing == Standing::LeftOver);
    let mut warnings: Vec<_> = left_over.map(left_over_warning).collect();
    warnings.extend(metrics);
    warnings.extend(store::aside(&running.config.paths.state));
    warnings.extend(full_devices(running)?);
    warnings.extend(running.intent.warnings.iter().map(ToString::to_string));
    Ok(warnings)
}

/// Devices that may open nothing more in this minute.
fn full_devices(running: &Running) -> Result<Vec<String>, Errors> {
    let rows = &running.intent.rows;
    let now = boottime();
    let mut full = Vec::new();
    for (&number, row) in &rows.devices {
        let most = rows.profiles.get(&row.profile).map_or(0, |profile| profile.limits.flows);
        let open = running.readings.flows_in_minute(number, now).map_err(|error| vec![chain(&error)])?;
        if most != 0 && open >= most {
            let name = rows.names.devices.get(&number).map_or("?", String::as_str);
            full.push(format!(
                "`{name}` has {open} flows in this minute, as many as `flows` of its profile's `limits` allows: new ones are `rate-limit`; find out what it scans, or raise the limit"
            ));
        }
    }
    Ok(full)
}

fn heartbeat(running: &Running) -> Heartbeat {
    let last = running.readings.heartbeat().last();
    Heartbeat {
        age_milliseconds: (last != 0).then(|| boottime().saturating_sub(last) / 1_000_000),
        loss_after_seconds: running.intent.rows.settings.agent_loss_seconds,
    }
}

fn profiles(rows: &Rows) -> Vec<ProfileStatus> {
    let status = |(number, row): (&u16, &Profile)| {
        let limits = &row.limits;
        let all = [
            ("from.packets", limits.packets_from),
            ("from.connections", limits.connections_from),
            ("to.packets", limits.packets_to),
            ("to.connections", limits.connections_to),
            ("flows", limits.flows),
        ];
        let set = all.into_iter().filter(|(_, limit)| *limit != 0);
        ProfileStatus {
            name: rows.names.profiles.get(number).cloned().unwrap_or_default(),
            devices: rows.devices.values().filter(|device| device.profile == *number).count(),
            on_block: if row.reset != 0 { "reset" } else { "drop" }.to_owned(),
            fail: open_or(row.fail_open != 0, "closed"),
            on_agent_loss: open_or(row.open_on_agent_loss != 0, "static"),
            limits: set.map(|(name, limit)| (name.to_owned(), limit)).collect(),
        }
    };
    rows.profiles.iter().map(status).collect()
}

fn open_or(is_open: bool, otherwise: &str) -> String {
    if is_open { "open" } else { otherwise }.to_owned()
}

fn flow_status(rows: &Rows, key: &FlowKey, flow: &Flow, generation: u32, now: u64) -> FlowStatus {
    let has_ports = matches!(key.protocol, protocol::TCP | protocol::UDP | protocol::SCTP);
    let current = flow.generation == generation;
    FlowStatus {
        device: rows.names.devices.get(&flow.device()).cloned(),
        source: IpAddr::from(key.source).to_string(),
        source_port: has_ports.then_some(key.source_port),
        destination: IpAddr::from(key.destination).to_string(),
        destination_port: has_ports.then_some(key.destination_port),
        protocol: protocol_name(key.protocol).into_owned(),
        progress: progress_name(flow.progress).to_owned(),
        packets: flow.packets,
        bytes: flow.bytes,
        idle_seconds: now.saturating_sub(flow.last_seen) / 1_000_000_000,
        rule: if current { rows.names.rules.get(&flow.rule).cloned() } else { None },
        current,
    }
}

const fn progress_name(progress: u8) -> &'static str {
    const ESTABLISHED: u8 = Progress::Established as u8;
    const CLOSING: u8 = Progress::Closing as u8;
    match progress {
        ESTABLISHED => "established",
        CLOSING => "closing",
        _ => "opening",
    }
}

fn counts(running: &Running) -> Result<Vec<Count>, Errors> {
    // Those that left the inventory too: their frames are in the accounting of records for good.
    let devices = running.numbers.devices.values().copied();
    let counts = running.readings.counts(devices);
    counts.map_err(|error| vec![format!("failed to read the counters: {error}")])
}

fn otherwise(number: u8) -> String {
    let name = match Otherwise::from_number(number) {
        Otherwise::Drop => "drop",
        Otherwise::Monitor => "monitor",
        Otherwise::Pass => "pass",
    };
    name.to_owned()
}

fn tables(running: &Running, rows: &Rows) -> Result<Vec<Table>, Errors> {
    let of_policy = running.readings.fills(rows);
    let filled = running.readings.filled(rows).map_err(|error| vec![chain(&error)])?;
    let table = |unit: &'static str| {
        move |Fill { table, used, capacity }: Fill| Table {
            name: table.to_lowercase(),
            used,
            free: capacity.saturating_sub(used),
            capacity,
            unit: unit.to_owned(),
        }
    };
    let lines = running.lines.map(|(table, used, capacity)| Fill { table, used, capacity });
    let lines = lines.into_iter().map(table("lines of 64 bytes"));
    Ok(of_policy
        .into_iter()
        .map(table("rows"))
        .chain(lines)
        .chain(filled.into_iter().map(table("rows")))
        .collect())
}
