//! The edge where files become intent: policy, inventory, feeds and country database are read here and
//! nowhere else, and what they come to is [`Intent`].
//!
//! A configuration and what the host is connected to come in. A mistake in policy or inventory, or a
//! damaged country database that a profile needs, stops; a feed that cannot be read never does. What the
//! agent has kept in its state folder stands in for a feed or database that cannot be used now.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use iomt_filter_common::geo::Country;
use ipnet::IpNet;
use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;
use crate::diagnostic::{Diagnostic, Place, SourceFile};
use crate::feeds::guard::Removed;
use crate::feeds::{FarEnd, ManualBlock, Reason};
use crate::geo::{CountryDatabase, Distinctions, expand};
use crate::host::HostNetworks;
use crate::inventory::Inventory;
use crate::numbers::Numbers;
use crate::policy::model::Grant;
use crate::policy::{Extras, Policy, Vocabulary, compile};
use crate::rows::{Prefixes, Rows};

pub mod copies;
pub mod last_good;
mod grants;
pub mod lists;
mod without_effect;

use self::copies::Copies;
use self::last_good::{Content, LastGood};
use self::lists::FeedLists;

pub use lists::{FeedReport, FeedState, Standing};

/// What is read in place of what the configuration names.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The policy.
    pub policy: Option<PathBuf>,
    /// The inventory.
    pub devices: Option<PathBuf>,
}

/// What is known before anything is read.
pub struct Known<'k> {
    /// What feeds listed last.
    pub copies: Copies,
    /// Whether feeds that are files are read, or what they listed last holds.
    pub reads_files: bool,
    /// What devices have talked to.
    pub far_ends: &'k dyn Fn(&Rows) -> Vec<FarEnd>,
}

impl Known<'_> {
    /// What is kept in the state folder, without an agent that knows what devices talk to.
    pub fn kept(config: &Config, warnings: &mut Vec<Diagnostic>) -> Self {
        let enabled = config.feeds.iter().filter(|feed| feed.enabled);
        let names = enabled.map(|feed| feed.name.as_str());
        let copies = copies::read(&config.paths.state, names, warnings);
        Self { copies, reads_files: true, far_ends: &|_| Vec::new() }
    }
}

/// Everything that is to hold, and an account of how it came about.
#[derive(Debug, Default)]
pub struct Intent {
    /// The content of the tables.
    pub rows: Rows,
    /// What deserves a look.
    pub warnings: Vec<Diagnostic>,
    /// The feeds of the configuration in its order, then the manual blocks.
    pub feeds: Vec<Arc<FeedReport>>,
    /// The country database, where one is configured and could be read.
    pub geo: Option<GeoReport>,
    /// The open database, for the country of any address.
    pub countries: Option<Arc<CountryDatabase>>,
    /// Addresses behind the device ports.
    pub segments: Vec<IpNet>,
    /// The names that the policy defines.
    pub vocabulary: Arc<Vocabulary>,
    /// Allow rules.
    pub rules: usize,
    /// Devices.
    pub devices: usize,
    /// What the agent keeps for a time when it cannot be read; nothing where no file was read.
    pub last_good: Option<LastGood>,
    /// Why there is no country database, or only a copy of it, although a profile needs it.
    missing_countries: Option<Diagnostic>,
    /// What the rows were compiled from, for other grants.
    sources: Option<Arc<(Policy, Inventory, Extras)>>,
    /// The feeds by themselves; how many of the warnings are about neither feeds nor blocks by hand, and how many are
    /// not about these.
    lists: Arc<FeedLists>,
    before_lists: usize,
    other_warnings: usize,
}

impl Intent {
    /// The same with other blocks by hand; no file is read again.
    #[must_use]
    pub fn with_blocks(&self, numbers: &mut Numbers, blocks: &[ManualBlock]) -> Self {
        let mut rows = self.rows.clone();
        let mut warnings: Vec<_> = self.warnings.iter().take(self.other_warnings).cloned().collect();
        let feeds = self.lists.block(&mut rows, numbers, blocks, &mut warnings);
        Self { warnings, feeds, ..self.with_rows(rows) }
    }

    /// The same with other lists of feeds; no file is read again.
    #[must_use]
    pub fn with_lists(&self, numbers: &mut Numbers, lists: Arc<FeedLists>, blocks: &[ManualBlock]) -> Self {
        let mut rows = self.rows.clone();
        rows.listings = lists.listings();
        let mut warnings: Vec<_> = self.warnings.iter().take(self.before_lists).cloned().collect();
        warnings.extend(lists.warnings());
        let other_warnings = warnings.len();
        let feeds = lists.block(&mut rows, numbers, blocks, &mut warnings);
        Self { warnings, feeds, lists, other_warnings, ..self.with_rows(rows) }
    }

    /// What the feeds came to.
    #[must_use]
    pub const fn lists(&self) -> &Arc<FeedLists> {
        &self.lists
    }

    /// Every feed, in the order of the configuration.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        self.lists.standings()
    }

    /// Why no list may block a network, or a part of it.
    #[must_use]
    pub fn spares(&self, network: IpNet) -> Vec<Removed> {
        self.lists.guard().judge(network).removed
    }

    /// The same with other rows; nothing that was read is to be kept again.
    fn with_rows(&self, rows: Rows) -> Self {
        Self {
            rows,
            warnings: self.warnings.clone(),
            feeds: self.feeds.clone(),
            geo: self.geo.clone(),
            countries: self.countries.clone(),
            segments: self.segments.clone(),
            vocabulary: self.vocabulary.clone(),
            rules: self.rules,
            devices: self.devices,
            last_good: None,
            missing_countries: self.missing_countries.clone(),
            sources: self.sources.clone(),
            lists: self.lists.clone(),
            before_lists: self.before_lists,
            other_warnings: self.other_warnings,
        }
    }

    /// Why this must not take the place of `before`: it would no longer know countries that a profile
    /// refuses.
    #[must_use]
    pub fn loses(&self, before: &Self) -> Option<Diagnostic> {
        self.missing_countries.clone().filter(|_| before.geo.is_some())
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
    /// Why the last good copy is used in its place; nothing where it is not.
    pub kept: Option<String>,
}

/// Reads everything that `config` names, at this moment, and what is kept of feeds in the state folder.
pub fn read(
    config: &Config,
    overrides: &Overrides,
    host: &HostNetworks,
    numbers: &mut Numbers,
    blocks: &[ManualBlock],
    grants: Vec<Grant>,
) -> Result<Intent, Vec<Diagnostic>> {
    let mut warnings = Vec::new();
    let known = Known::kept(config, &mut warnings);
    let mut intent = read_knowing(config, overrides, host, numbers, blocks, grants, &known)?;
    intent.before_lists += warnings.len();
    intent.other_warnings += warnings.len();
    intent.warnings.splice(0..0, warnings);
    Ok(intent)
}

/// Reads everything that `config` names, at this moment.
pub fn read_knowing(
    config: &Config,
    overrides: &Overrides,
    host: &HostNetworks,
    numbers: &mut Numbers,
    blocks: &[ManualBlock],
    grants: Vec<Grant>,
    known: &Known<'_>,
) -> Result<Intent, Vec<Diagnostic>> {
    let mut warnings = config.warnings.clone();
    let policy_path = overrides.policy.as_deref().unwrap_or(&config.paths.policy);
    let devices_path = overrides.devices.as_deref().unwrap_or(&config.paths.devices);
    let (policy, inventory) = both(read_policy(policy_path), read_inventory(devices_path))?;
    warnings.extend(policy.1);
    warnings.extend(inventory.1);
    let (policy, inventory) = (policy.0, inventory.0);

    let extras = Extras { grants, ..extras(config, host) };
    let compiled = compile(&policy, &inventory, &extras, numbers);
    let mut last_good = LastGood::default();
    let countries = countries(config, &policy, &mut warnings, &mut last_good);
    let ((mut rows, found), (countries, missing_countries)) = both(compiled, countries)?;
    warnings.extend(found);
    warnings.extend(without_effect::warnings(config));

    let lists = lists::Lists {
        config,
        host,
        segments: &extras.segments,
        copies: &known.copies,
        reads_files: known.reads_files,
        far_ends: known.far_ends,
        now: Timestamp::now(),
    };
    let before_lists = warnings.len();
    let lists = lists.read(&rows, numbers, &mut warnings, &mut last_good);
    let other_warnings = warnings.len();
    rows.listings = lists.listings();
    let feeds = lists.block(&mut rows, numbers, blocks, &mut warnings);
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
        segments: extras.segments.clone(),
        vocabulary: Arc::new(policy.vocabulary.clone()),
        rules,
        devices,
        last_good: Some(last_good),
        missing_countries,
        sources: Some(Arc::new((policy, inventory, extras))),
        lists: Arc::new(lists),
        before_lists,
        other_warnings,
    })
}

/// What no list may block on this host: its own addresses and networks, segments, management, devices and protected
/// peers. Where policy or inventory cannot be read, devices and protected peers are missing, and why comes too.
pub fn guarded(config: &Config, host: &HostNetworks) -> (Vec<(IpNet, Reason)>, Vec<Diagnostic>) {
    let extras = extras(config, host);
    let files = both(read_policy(&config.paths.policy), read_inventory(&config.paths.devices));
    let compiled = files.and_then(|((policy, _), (inventory, _))| {
        compile(&policy, &inventory, &extras, &mut Numbers::default()).map(|(rows, _)| rows)
    });
    let (rows, missing) = match compiled {
        Ok(rows) => (rows, Vec::new()),
        Err(found) => (Rows::default(), found),
    };
    (lists::guarded(config, host, &extras.segments, &rows), missing)
}

/// The networks behind the device ports: as configured, or those connected to them.
pub fn segments(config: &Config, host: &HostNetworks) -> Vec<IpNet> {
    let connected = || host.connected_to(&config.interfaces.device_names());
    config.interfaces.segments.clone().unwrap_or_else(connected)
}

fn extras(config: &Config, host: &HostNetworks) -> Extras {
    Extras {
        gateway: host.addresses(),
        segments: segments(config, host),
        management: config.management.clone(),
        has_country_database: config.geo.database.is_some(),
        agent_loss_seconds: config.agent.loss_after,
        grants: Vec::new(),
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
        let message = match error.kind() {
            std::io::ErrorKind::InvalidData => format!("the {what} `{shown}` is no text: it is not UTF-8"),
            _ => format!("failed to read the {what} `{shown}`: {error}"),
        };
        let help = format!("set `{key}` in `[paths]` of the configuration, or name a file with `--{key}`");
        vec![Diagnostic::error(&Place::file(&shown), message).help(help)]
    };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    Ok(SourceFile::new(&shown, text))
}

struct Countries {
    rows: Prefixes<Country>,
    report: GeoReport,
    database: CountryDatabase,
}

/// The country database, and what is wrong where a profile needs it and it cannot be used. A damaged one
/// is an error then, if there is no last good copy.
fn countries(
    config: &Config,
    policy: &Policy,
    warnings: &mut Vec<Diagnostic>,
    last_good: &mut LastGood,
) -> Result<(Option<Countries>, Option<Diagnostic>), Vec<Diagnostic>> {
    let Some(path) = &config.geo.database else { return Ok((None, None)) };
    let shown = path.display().to_string();
    let place = Place::file(&shown);
    let is_needed = policy.profiles.iter().any(|profile| profile.geo.is_some());
    let distinctions = Distinctions::of(policy);
    let (message, help, is_damaged) = match read_countries(path) {
        Ok(content) => match open_countries(&content, &distinctions) {
            Ok(opened) => {
                last_good.read.push((last_good::COUNTRIES.into(), content));
                return Ok((Some(account(config, path, opened, None, warnings)), None));
            }
            Err(error) => (
                format!("the country database `{shown}` cannot be used: {error}"),
                "fetch it again: a country database in MaxMind's format (.mmdb)",
                true,
            ),
        },
        Err(error) => (
            format!("failed to read the country database `{shown}`: {error}"),
            "until it is there, every country counts as unknown; set `database` in `[geo]`",
            false,
        ),
    };
    let error = Diagnostic::error(&place, message.clone());
    let lost = || error.clone().help("put a country database there; or remove `database` from `[geo]`");
    let copy = last_good::read(&config.paths.state, last_good::COUNTRIES.as_ref()).filter(|_| is_needed);
    if let Some(copy) = copy
        && let Ok(opened) = open_countries(&copy, &distinctions)
    {
        let since = last_good::since(copy.updated());
        let kept = format!("{message}; its last good copy is of {since}");
        let help = "the copy is used at a start only; a reload is refused until the database is back";
        warnings.push(Diagnostic::warning(&place, kept.clone()).help(help));
        return Ok((Some(account(config, path, opened, Some(kept), warnings)), Some(lost())));
    }
    if is_damaged && is_needed {
        return Err(vec![error.help(help)]);
    }
    warnings.push(Diagnostic::warning(&place, message).help(help));
    Ok((None, is_needed.then(lost)))
}

type Opened = (Prefixes<Country>, CountryDatabase);

fn read_countries(path: &Path) -> std::io::Result<Content> {
    let modified = std::fs::metadata(path)?.modified().ok();
    Ok(Content { bytes: std::fs::read(path)?, modified })
}

fn open_countries(
    content: &Content,
    distinctions: &Distinctions,
) -> Result<Opened, crate::geo::DatabaseError> {
    let database = CountryDatabase::open(content.bytes.clone())?;
    Ok((expand(&database, distinctions)?, database))
}

fn account(
    config: &Config,
    path: &Path,
    (rows, database): Opened,
    kept: Option<String>,
    warnings: &mut Vec<Diagnostic>,
) -> Countries {
    let shown = path.display().to_string();
    let built = database.built();
    let age = built.map(|built| Timestamp::now().duration_since(built));
    if age.is_some_and(|age| age > jiff::SignedDuration::try_from(config.geo.max_age).unwrap_or_default()) {
        let days = age.map_or(0, |age| age.as_hours() / 24);
        let message = format!("the country database `{shown}` is {days} days old");
        let warning = Diagnostic::warning(&Place::file(&shown), message);
        warnings.push(warning.help("fetch a newer one, or raise `max_age` in `[geo]`"));
    }
    let age_days = age.map(|age| age.as_hours() / 24);
    let kind = database.kind().to_owned();
    let report = GeoReport { path: path.to_owned(), kind, built, age_days, prefixes: rows.len(), kept };
    Countries { rows, report, database }
}
