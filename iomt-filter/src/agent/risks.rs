//! What devices are exposed to, beside what runs, or from the files where no agent runs. Nothing changes.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::contacts::CONTACTS;
use super::core::chain;
use super::{Agent, Errors, learning, sboms, since};
use crate::api::messages::RiskQuery;
use crate::baseline::{self, Gathering, Scope};
use crate::clock::boottime;
use crate::config::{Config, RiskConfig};
use crate::contacts::Contacts;
use crate::feeds::fetch::{self, Fetched, Origin, Resume, Source};
use crate::intent::Intent;
use crate::risk::{Assessing, Catalogs, Ground, Risk, SourceStatus, epss, kev};
use crate::sbom::Kept;

/// Catalogs that are given beside the configuration.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// In place of `kev` in `[risk]`.
    pub kev: Option<PathBuf>,
    /// In place of `epss` in `[risk]`.
    pub epss: Option<PathBuf>,
}

impl Agent {
    /// What devices are exposed to.
    ///
    /// # Errors
    /// When nothing is known of whom is asked about, or what they did cannot be read.
    pub fn risk(&self, query: &RiskQuery) -> Result<Risk, Errors> {
        let running = self.running();
        let leases = learning::leases(&running)?;
        let risk = assessed(&running.intent, &leases, &running.config, query, &Given::default());
        risk.map_err(|error| vec![format!("{error:#}")])
    }
}

/// What devices are exposed to, from the files of the configuration, without an agent.
///
/// # Errors
/// When files or the state folder cannot be read, or policy or inventory are invalid.
pub fn risk_from_files(config: &Config, query: &RiskQuery, given: &Given) -> anyhow::Result<Risk> {
    let (intent, leases) = learning::from_files(config)?;
    assessed(&intent, &leases, config, query, given)
}

fn assessed(
    intent: &Intent,
    leases: &[(u32, IpAddr)],
    config: &Config,
    query: &RiskQuery,
    given: &Given,
) -> anyhow::Result<Risk> {
    let scope = Scope { device: query.device.clone(), profile: query.profile.clone() };
    let judged = baseline::Ground { intent, leases, now: boottime() };
    Gathering::begin(judged, scope.clone()).check()?;
    let (kept, mut warnings) = sboms::kept(&config.paths.state);
    let catalogs = catalogs(&config.risk, given, &kept, Timestamp::now());
    let ground = Ground {
        judged,
        management: &config.management,
        kept: &kept,
        catalogs: &catalogs,
        likely: query.likely.unwrap_or(config.risk.likely),
    };
    let mut assessing = Assessing::begin(ground, &scope, query.all);
    let since = since(query.seconds.map(Duration::from_secs));
    let database = config.paths.state.join(CONTACTS);
    if database.exists() {
        Contacts::open_to_read(&database)?.each(since, |contact| assessing.hear(&contact))?;
    } else {
        warnings.push(format!("nothing is known of what devices did: there is no `{}`", database.display()));
    }
    let path = config.paths.policy.display().to_string();
    let policy = fs::read_to_string(&config.paths.policy);
    if let Err(error) = &policy {
        warnings.push(format!("the policy is not written out: failed to read `{path}`: {error}"));
    }
    let mut risk = assessing.end(since, policy.ok().as_deref().map(|text| (path.as_str(), text)));
    warnings.append(&mut risk.warnings);
    Ok(Risk { warnings, ..risk })
}

/// The catalogs, as far as they can be read now.
fn catalogs(config: &RiskConfig, given: &Given, kept: &[Kept], now: Timestamp) -> Catalogs {
    let mut catalogs = Catalogs::default();
    let source = |name: &str, path: Option<&PathBuf>| SourceStatus {
        name: name.to_owned(),
        path: path.map(|path| path.display().to_string()),
        problem: path
            .is_none()
            .then(|| format!("no file is configured; set `{name}` in `[risk]`, or give `--{name} FILE`")),
        ..SourceStatus::default()
    };
    let age = |status: &mut SourceStatus| {
        let Some(made) = status.made else { return };
        let old = now.duration_since(made);
        if old > SignedDuration::try_from(config.max_age).unwrap_or(SignedDuration::MAX) {
            let days = old.as_hours() / 24;
            status.problem =
                Some(format!("it is {days} days old, and what is newer is missing; fetch it anew"));
        }
    };
    let path = given.kev.as_ref().or(config.kev.as_ref());
    let mut status = source("kev", path);
    if let Some(path) = path {
        let read =
            file(path, kev::LARGEST).and_then(|bytes| kev::read(&bytes).map_err(|error| chain(&error)));
        match read {
            Ok(catalog) => {
                (status.made, status.entries) = (catalog.released, catalog.entries.len());
                age(&mut status);
                catalogs.kev = Some(catalog);
            }
            Err(why) => status.problem = Some(why),
        }
    }
    catalogs.sources.push(status);
    let path = given.epss.as_ref().or(config.epss.as_ref());
    let mut status = source("epss", path);
    if let Some(path) = path {
        let statements = kept.iter().flat_map(|kept| &kept.bill.statements);
        let wanted: BTreeSet<&str> = statements.map(|said| said.vulnerability.as_str()).collect();
        let read = file(path, epss::LARGEST);
        let read = read.and_then(|bytes| {
            epss::read(&bytes, |name| wanted.contains(name)).map_err(|error| chain(&error))
        });
        match read {
            Ok(scores) => {
                (status.made, status.entries) = (scores.made, scores.total);
                age(&mut status);
                catalogs.epss = Some(scores);
            }
            Err(why) => status.problem = Some(why),
        }
    }
    catalogs.sources.push(status);
    catalogs
}

/// A file, unpacked.
fn file(path: &Path, max_bytes: u64) -> Result<Vec<u8>, String> {
    let source = Source { origin: Origin::Path(path.to_owned()), max_bytes, signature: None };
    match fetch::fetch(&source, &Resume::default(), None, Timestamp::now()) {
        Ok(Fetched::New { mut parts, .. }) if parts.len() == 1 => Ok(parts.remove(0).bytes),
        Ok(_) => Err("it is a folder; name the file".to_owned()),
        Err(error) => Err(chain(&error)),
    }
}
