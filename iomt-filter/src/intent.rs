//! The edge where files become intent: policy, inventory, feeds and country database are read here and
//! nowhere else, and what they come to is [`Intent`].
//!
//! A configuration and what the host is connected to come in. A mistake in policy or inventory, or a
//! damaged country database that a profile needs, stops; a feed that cannot be read never does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iomt_filter_common::geo::Country;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::diagnostic::{Diagnostic, Place, SourceFile};
use crate::feeds::ManualBlock;
use crate::geo::{CountryDatabase, Distinctions, expand};
use crate::host::HostNetworks;
use crate::inventory::Inventory;
use crate::numbers::Numbers;
use crate::policy::{Extras, Policy, compile};
use crate::rows::Rows;

mod lists;
mod without_effect;

use self::lists::FeedLists;

pub use lists::{FeedReport, FeedState};

/// What is read in place of what the configuration names.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The policy.
    pub policy: Option<PathBuf>,
    /// The inventory.
    pub devices: Option<PathBuf>,
}

/// Everything that is to hold, and an account of how it came about.
#[derive(Debug, Default)]
pub struct Intent {
    /// The content of the tables.
    pub rows: Rows,
    /// What deserves a look.
    pub warnings: Vec<Diagnostic>,
    /// The feeds of the configuration in its order, then the manual blocks.
    pub feeds: Vec<FeedReport>,
    /// The country database, where one is configured and could be read.
    pub geo: Option<GeoReport>,
    /// The open database, for the country of any address.
    pub countries: Option<Arc<CountryDatabase>>,
    /// Addresses behind the device ports.
    pub segments: Vec<IpNet>,
    /// Allow rules.
    pub rules: usize,
    /// Devices.
    pub devices: usize,
    /// The feeds by themselves, and how many of the warnings are not about blocks by hand.
    lists: Arc<FeedLists>,
    other_warnings: usize,
}

impl Intent {
    /// The same with other blocks by hand; no file is read again.
    #[must_use]
    pub fn with_blocks(&self, numbers: &mut Numbers, blocks: &[ManualBlock]) -> Self {
        let mut rows = self.rows.clone();
        let mut warnings: Vec<_> = self.warnings.iter().take(self.other_warnings).cloned().collect();
        let feeds = self.lists.list(&mut rows, numbers, blocks, &mut warnings);
        Self {
            rows,
            warnings,
            feeds,
            geo: self.geo.clone(),
            countries: self.countries.clone(),
            segments: self.segments.clone(),
            rules: self.rules,
            devices: self.devices,
            lists: self.lists.clone(),
            other_warnings: self.other_warnings,
        }
    }

    /// Why these may not be blocked by hand: one line for each that would cut what must not be cut.
    #[must_use]
    pub fn refuse_blocks(&self, targets: &[IpNet]) -> Vec<String> {
        let removed = targets.iter().flat_map(|&target| self.lists.refuse(target));
        removed
            .map(|removed| match removed.part == removed.entry {
                true => format!("`{}`: {}", removed.entry, removed.reason),
                false => format!("`{}` covers `{}`: {}", removed.entry, removed.part, removed.reason),
            })
            .collect()
    }
}

/// What is known of the country database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GeoReport {
    /// The file.
    pub path: PathBuf,
    /// What it calls itself.
    pub kind: String,
    /// When it was made.
    pub built: Option<Timestamp>,
    /// Its age in days.
    pub age_days: Option<i64>,
    /// Prefixes that the policy needs of it.
    pub prefixes: usize,
}

/// Reads everything that `config` names, at this moment.
pub fn read(
    config: &Config,
    overrides: &Overrides,
    host: &HostNetworks,
    numbers: &mut Numbers,
    blocks: &[ManualBlock],
) -> Result<Intent, Vec<Diagnostic>> {
    let mut warnings = config.warnings.clone();
    let policy_path = overrides.policy.as_deref().unwrap_or(&config.paths.policy);
    let devices_path = overrides.devices.as_deref().unwrap_or(&config.paths.devices);
    let (policy, inventory) = both(read_policy(policy_path), read_inventory(devices_path))?;
    warnings.extend(policy.1);
    warnings.extend(inventory.1);
    let (policy, inventory) = (policy.0, inventory.0);

    let extras = extras(config, host);
    let compiled = compile(&policy, &inventory, &extras, numbers);
    let countries = countries(config, &policy, &mut warnings);
    let ((mut rows, found), countries) = both(compiled, countries)?;
    warnings.extend(found);
    warnings.extend(without_effect::warnings(config, &policy, &rows));

    let lists = lists::Lists { config, host, segments: &extras.segments };
    let lists = lists.read(&rows, numbers, &mut warnings);
    let other_warnings = warnings.len();
    let feeds = lists.list(&mut rows, numbers, blocks, &mut warnings);
    let (geo, database) = match countries {
        Some(countries) => {
            rows.countries = countries.rows;
            (Some(countries.report), Some(Arc::new(countries.database)))
        }
        None => (None, None),
    };
    let rules = policy.profiles.iter().map(|profile| profile.rules.len()).sum();
    let devices = rows.devices.len();
    Ok(Intent {
        rows,
        warnings,
        feeds,
        geo,
        countries: database,
        segments: extras.segments,
        rules,
        devices,
        lists: Arc::new(lists),
        other_warnings,
    })
}

/// The networks behind the device ports: as configured, or those connected to them.
pub fn segments(config: &Config, host: &HostNetworks) -> Vec<IpNet> {
    let connected = || host.connected_to(&config.interfaces.device);
    config.interfaces.segments.clone().unwrap_or_else(connected)
}

fn extras(config: &Config, host: &HostNetworks) -> Extras {
    Extras {
        gateway: host.addresses(),
        segments: segments(config, host),
        management: config.management.clone(),
        has_country_database: config.geo.database.is_some(),
    }
}

/// Both results, or the errors of both.
fn both<A, B>(
    a: Result<A, Vec<Diagnostic>>,
    b: Result<B, Vec<Diagnostic>>,
) -> Result<(A, B), Vec<Diagnostic>> {
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(a), Err(b)) => Err([a, b].concat()),
        (Err(errors), _) | (_, Err(errors)) => Err(errors),
    }
}

/// Reads a policy file.
pub fn read_policy(path: &Path) -> Result<(Policy, Vec<Diagnostic>), Vec<Diagnostic>> {
    Policy::parse(&source(path, "policy", "policy")?)
}

/// Reads an inventory file.
pub fn read_inventory(path: &Path) -> Result<(Inventory, Vec<Diagnostic>), Vec<Diagnostic>> {
    Inventory::parse(&source(path, "device inventory", "devices")?)
}

fn source(path: &Path, what: &str, key: &str) -> Result<SourceFile, Vec<Diagnostic>> {
    let shown = path.display().to_string();
    let failed = |error: std::io::Error| {
        let message = format!("failed to read the {what} `{shown}`: {error}");
        let help = format!("set `{key}` in `[paths]` of the configuration, or name a file with `--{key}`");
        vec![Diagnostic::error(&Place::file(&shown), message).help(help)]
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(SourceFile::new(&shown, text))
}

struct Countries {
    rows: std::collections::BTreeMap<crate::rows::Prefix, Country>,
    report: GeoReport,
    database: CountryDatabase,
}

/// The country database. Where it cannot be read, that is an error if a profile needs it.
fn countries(
    config: &Config,
    policy: &Policy,
    warnings: &mut Vec<Diagnostic>,
) -> Result<Option<Countries>, Vec<Diagnostic>> {
    let Some(path) = &config.geo.database else { return Ok(None) };
    let shown = path.display().to_string();
    let place = Place::file(&shown);
    let distinctions = Distinctions::of(policy);
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => {
            let message = format!("failed to read the country database `{shown}`: {error}");
            let help = "until it is there, every country counts as unknown; set `database` in `[geo]`";
            warnings.push(Diagnostic::warning(&place, message).help(help));
            return Ok(None);
        }
    };
    let opened =
        CountryDatabase::open(bytes).and_then(|database| Ok((expand(&database, &distinctions)?, database)));
    let (rows, database) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            let message = format!("the country database `{shown}` cannot be used: {error}");
            let help = "fetch it again: a country database in MaxMind's format (.mmdb)";
            if policy.profiles.iter().any(|profile| profile.geo.is_some()) {
                return Err(vec![Diagnostic::error(&place, message).help(help)]);
            }
            warnings.push(Diagnostic::warning(&place, message).help(help));
            return Ok(None);
        }
    };
    let built = database.built();
    let age = built.map(|built| Timestamp::now().duration_since(built));
    if age.is_some_and(|age| age > jiff::SignedDuration::try_from(config.geo.max_age).unwrap_or_default()) {
        let days = age.map_or(0, |age| age.as_hours() / 24);
        let message = format!("the country database `{shown}` is {days} days old");
        warnings.push(
            Diagnostic::warning(&place, message).help("fetch a newer one, or raise `max_age` in `[geo]`"),
        );
    }
    let age_days = age.map(|age| age.as_hours() / 24);
    let kind = database.kind().to_owned();
    let report = GeoReport { path: path.clone(), kind, built, age_days, prefixes: rows.len() };
    Ok(Some(Countries { rows, report, database }))
}
