//! Plans: the files as they are now, or others in their place, beside what runs.
//!
//! What runs is taken along as it stands, the candidate is read as a reload would read it, and nothing of it is kept or
//! made active. The kernel's tables are read by the handles that are there for that, and written by nobody. Without an
//! agent the state folder says what devices did.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use iomt_filter_common::flow::{Flow, FlowKey};
use jiff::Timestamp;

use super::Errors;
use super::contacts::CONTACTS;
use super::core::{chain, needs_restart};
use super::far_ends;
use super::history::History;
use super::offline::Kept;
use super::running::Running;
use crate::api::messages::{FileText, PlanRequest};
use crate::clock::{boottime, time_of_day};
use crate::config::Config;
use crate::contacts::Contacts;
use crate::datapath::Fill;
use crate::diagnostic::{Diagnostic, Place, Severity, SourceFile};
use crate::host::HostNetworks;
use crate::intent::{self, Given, Intent, Known, Overrides};
use crate::numbers::Numbers;
use crate::plan::{self, Ground, Plan, Planning, Room, Talks};
use crate::rows::Rows;

/// How far back what devices did is looked at, where nothing is said.
const SPAN: Duration = Duration::from_secs(30 * 86_400);

/// The moment from which on talks are looked at.
#[must_use]
pub fn since(span: Option<Duration>) -> Timestamp {
    let now = Timestamp::now();
    now.checked_sub(span.unwrap_or(SPAN)).unwrap_or(Timestamp::MIN)
}

/// A plan beside what runs.
///
/// # Errors
/// When the host's addresses cannot be read.
pub(super) fn plan(running: &Running, history: &History, request: &PlanRequest) -> Result<Plan, Errors> {
    let flows = far_ends::flows(running);
    let after = match candidate(running, &flows, request)? {
        Ok(after) => after,
        Err(found) => return Ok(Plan { compared_with: "agent".to_owned(), ..Plan::invalid(found) }),
    };
    let leases = running.readings.leases(&running.intent.rows).map_err(|error| vec![chain(&error)])?;
    let leases =
        leases.iter().flat_map(|(device, leases)| leases.iter().map(|it| (*device, it.address.into())));
    let leases: Vec<_> = leases.collect();
    let before: &Intent = &running.intent;
    let room = room(running);
    let ground = Ground { before: Some(before), after: &after, leases: &leases, room, now: boottime() };
    let mut talks = Talks::default();
    let numbers = running.numbers.devices.iter();
    let names: HashMap<u32, Arc<str>> =
        numbers.map(|(name, &number)| (number, name.as_str().into())).collect();
    for (key, flow) in &flows {
        talks.add_flow(key, flow, |number| names.get(&number).cloned(), time_of_day);
    }
    history.records().iter().for_each(|record| talks.add_event(record));
    let since = since(request.seconds.map(Duration::from_secs));
    let plan = made(ground, talks, &running.config.paths.state, since);
    Ok(Plan { compared_with: "agent".to_owned(), generation: Some(running.generation), ..plan })
}

/// What a reload would load now, with what is asked about in place of files; or why it would be refused.
fn candidate(
    running: &Running,
    flows: &[(FlowKey, Flow)],
    request: &PlanRequest,
) -> Result<Result<Intent, Vec<Diagnostic>>, Errors> {
    let config = match Config::load(&running.config.paths.config) {
        Ok(config) => config,
        Err(found) => return Ok(Err(found)),
    };
    if let Some(changed) = needs_restart(&running.config, &config) {
        let place = Place::file(&config.paths.config.display().to_string());
        let message = format!("{changed} changed in the configuration; that needs a restart of the agent");
        return Ok(Err(vec![Diagnostic::error(&place, message)]));
    }
    let host = HostNetworks::read()
        .map_err(|error| vec![format!("failed to read the host's addresses: {error}")])?;
    let text = |file: &Option<FileText>| {
        file.as_ref().map(|file| Given::Text(SourceFile::new(&file.name, file.text.clone())))
    };
    let overrides = Overrides { policy: text(&request.policy), devices: text(&request.devices) };
    let far_ends = |rows: &Rows| far_ends::of(flows, rows, &config.paths.state, config.gate.impact);
    let (copies, blocks, grants) =
        (running.intent.lists().copies(), running.blocks.list(), running.grants.models());
    let read = |makes_tables| {
        let mut numbers = Numbers::clone(&running.numbers);
        let known = Known { copies: copies.clone(), reads_files: true, makes_tables, far_ends: &far_ends };
        intent::read_knowing(&config, &overrides, &host, &mut numbers, &blocks, grants.clone(), &known)
    };
    let read_fitting = read(true).and_then(|intent| match fits(running, &intent) {
        true => Ok(intent),
        // As in a reload, a list for which there is no room waits on.
        false => read(false),
    });
    Ok(read_fitting.and_then(|intent| match intent.loses(&running.intent) {
        Some(lost) => Err(vec![lost]),
        None => Ok(intent),
    }))
}

fn fits(running: &Running, after: &Intent) -> bool {
    let ground =
        Ground { before: Some(&running.intent), after, leases: &[], room: room(running), now: boottime() };
    plan::fits(&plan::tables(&ground))
}

/// What the kernel's tables have room for.
fn room(running: &Running) -> Room {
    let lines = running.lines.map(|(table, used, capacity)| Fill { table, used, capacity });
    Room { rows: Some(running.readings.fills(&running.intent.rows)), lines: Some(lines) }
}

/// A plan of what a configuration names now, without an agent: beside the files that it names where `overrides` stand in
/// for some, or else beside nothing but what devices did.
///
/// # Errors
/// When what an agent has kept in the state folder, or the host's addresses, cannot be read.
pub fn from_files(config: &Config, overrides: &Overrides, since: Timestamp) -> anyhow::Result<Plan> {
    let mut kept = Kept::read(config)?;
    let damaged = std::mem::take(&mut kept.damaged);
    let is_given = overrides.policy.is_some() || overrides.devices.is_some();
    let compared_with = if is_given { "files" } else { "history" }.to_owned();
    let before = if is_given { kept.intent(&Overrides::default()) } else { Err(Vec::new()) };
    let after = match kept.intent(overrides) {
        Ok(after) => after,
        Err(found) => return Ok(Plan { compared_with, ..Plan::invalid([damaged, found].concat()) }),
    };
    let leases = kept.leases(&after)?;
    let (before, unread) = match before {
        Ok(before) => (Some(before), Vec::new()),
        Err(found) => (None, found),
    };
    let room = Room::default();
    let ground = Ground { before: before.as_ref(), after: &after, leases: &leases, room, now: boottime() };
    let mut plan = made(ground, Talks::default(), &config.paths.state, since);
    plan.compared_with = if before.is_some() { compared_with } else { "history".to_owned() };
    // What the configuration names is not what is to be: its mistakes are no more than worth a look.
    let unread = unread.into_iter().map(|found| Diagnostic { severity: Severity::Warning, ..found });
    plan.warnings.extend(damaged.into_iter().chain(unread));
    Ok(plan)
}

/// The plan, when all talks are heard: those of the state folder's history, and others.
fn made(ground: Ground<'_>, mut talks: Talks, state: &Path, since: Timestamp) -> Plan {
    let mut planning = Planning::begin(ground, since);
    let database = state.join(CONTACTS);
    let mut hear = |contacts: Contacts| contacts.each(since, |contact| planning.hear(&talks.joined(contact)));
    let read = if database.exists() {
        Contacts::open_to_read(&database).and_then(&mut hear).map(|()| true)
    } else {
        Ok(false)
    };
    let unread = match read {
        Ok(true) => None,
        Ok(false) => Some(format!(
            "there is no history at `{}` yet: who talked to whom is not known",
            database.display()
        )),
        Err(error) => Some(format!("who talked to whom cannot be read: {}", chain(&error))),
    };
    talks.since(since).for_each(|talk| planning.hear(&talk));
    if let Some(message) = unread {
        planning.warn(Diagnostic::warning(&Place::default(), message));
    }
    planning.end()
}
