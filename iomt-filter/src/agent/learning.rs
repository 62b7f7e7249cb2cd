//! What devices did, as a proposal for the policy, and how far each device is from being enforced: beside what runs, or
//! from the files where no agent runs. Nothing changes.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};

use super::contacts::CONTACTS;
use super::core::chain;
use super::offline::Kept;
use super::running::Running;
use super::{Errors, since};
use crate::api::messages::{LearnQuery, Learned};
use crate::baseline::{self, Fragment, Gathering, Ground, Readiness, Scope, Watching};
use crate::clock::boottime;
use crate::config::Config;
use crate::contacts::Contacts;
use crate::intent::{Intent, Overrides};

/// How far back a contact without a rule keeps a device from being ready, where nothing is said.
const RECENT: Duration = Duration::from_secs(7 * 86_400);

/// A proposal beside what runs.
pub(super) fn propose(running: &Running, query: &LearnQuery) -> Result<Learned, Errors> {
    let leases = leases(running)?;
    let work = proposed(&running.intent, &leases, &running.config, query);
    work.map_err(|error| vec![format!("{error:#}")])
}

/// How far each device is, beside what runs.
pub(super) fn readiness(running: &Running, query: &LearnQuery) -> Result<Vec<Readiness>, Errors> {
    let leases = leases(running)?;
    let work = ready(&running.intent, &leases, &running.config, query);
    work.map_err(|error| vec![format!("{error:#}")])
}

/// A proposal from the files of the configuration, without an agent.
///
/// # Errors
/// When files or the state folder cannot be read, or policy or inventory are invalid.
pub fn propose_from_files(config: &Config, query: &LearnQuery) -> anyhow::Result<Learned> {
    let (intent, leases) = from_files(config)?;
    proposed(&intent, &leases, config, query)
}

/// How far each device is, without an agent.
///
/// # Errors
/// As of [`propose_from_files`].
pub fn readiness_from_files(config: &Config, query: &LearnQuery) -> anyhow::Result<Vec<Readiness>> {
    let (intent, leases) = from_files(config)?;
    ready(&intent, &leases, config, query)
}

pub(super) fn from_files(config: &Config) -> anyhow::Result<(Intent, Vec<(u32, IpAddr)>)> {
    let mut kept = Kept::read(config)?;
    let intent = kept.intent(&Overrides::default());
    let intent = intent.map_err(|found| {
        let said: Vec<_> = found.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(said.join("\n"))
    })?;
    let leases = kept.leases(&intent)?;
    Ok((intent, leases))
}

pub(super) fn leases(running: &Running) -> Result<Vec<(u32, IpAddr)>, Errors> {
    let leases = running.readings.leases(&running.intent.rows).map_err(|error| vec![chain(&error)])?;
    let leases = leases.iter();
    Ok(leases.flat_map(|(device, leases)| leases.iter().map(|it| (*device, it.address.into()))).collect())
}

fn proposed(
    intent: &Intent,
    leases: &[(u32, IpAddr)],
    config: &Config,
    query: &LearnQuery,
) -> anyhow::Result<Learned> {
    let since = since(query.seconds.map(Duration::from_secs));
    let gathering = gathered(intent, leases, &config.paths.state, query, since)?;
    let proposal = gathering.end(since);
    let policy = &config.paths.policy;
    let text = fs::read_to_string(policy)
        .with_context(|| format!("failed to read `{}`", policy.display()))
        .and_then(|text| Ok(baseline::write(&proposal, &policy.display().to_string(), &text)?));
    let mut proposal = proposal;
    let Fragment { policy, diff } = text.unwrap_or_else(|error| {
        proposal.warnings.push(format!("the policy is not written out: {error:#}"));
        Fragment::default()
    });
    Ok(Learned { proposal, policy, diff })
}

fn ready(
    intent: &Intent,
    leases: &[(u32, IpAddr)],
    config: &Config,
    query: &LearnQuery,
) -> anyhow::Result<Vec<Readiness>> {
    // However long they were watched counts, not what they did last alone.
    let gathering = gathered(intent, leases, &config.paths.state, query, Timestamp::MIN)?;
    let recent = query.seconds.map_or(RECENT, Duration::from_secs);
    let recent = SignedDuration::try_from(recent).unwrap_or(SignedDuration::MAX);
    let now = Timestamp::now();
    let database = config.paths.state.join(CONTACTS);
    let habits = if database.exists() {
        Contacts::open_to_read(&database)?.habits(now.saturating_sub(recent).unwrap_or(Timestamp::MIN))?
    } else {
        BTreeMap::new()
    };
    Ok(gathering.readiness(Watching { now, recent, habits: &habits }))
}

fn gathered<'g>(
    intent: &'g Intent,
    leases: &'g [(u32, IpAddr)],
    state: &Path,
    query: &LearnQuery,
    since: Timestamp,
) -> anyhow::Result<Gathering<'g>> {
    let scope = Scope { device: query.device.clone(), profile: query.profile.clone() };
    let ground = Ground { intent, leases, now: boottime() };
    let mut gathering = Gathering::begin(ground, scope);
    gathering.check()?;
    let database = state.join(CONTACTS);
    if database.exists() {
        Contacts::open_to_read(&database)?.each(since, |contact| gathering.hear(contact))?;
    }
    Ok(gathering)
}
