//! The edge where files become intent: policy, inventory, feeds and country database are read here and
//! nowhere else, and what they come to is [`Intent`].
//!
//! A configuration and what the host is connected to come in. A mistake in policy or inventory, or a
//! damaged country database that a profile needs, stops; a feed that cannot be read never does. What the
//! agent has kept in its state folder stands in for a feed or database that cannot be used now.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::config::Config;
use crate::diagnostic::{Diagnostic, Place, SourceFile};
use crate::feeds::guard::Removed;
use crate::feeds::{FarEnd, ManualBlock, Reason};
use crate::generations::{Sources, Text};
use crate::geo::CountryDatabase;
use crate::host::HostNetworks;
use crate::inventory::Inventory;
use crate::numbers::Numbers;
use crate::policy::model::Grant;
use crate::policy::{Extras, Policy, Vocabulary, compile};
use crate::rows::Rows;

pub mod copies;
pub mod last_good;
mod countries;
mod grants;
pub mod lists;

use self::copies::Copies;
use self::countries::Countries;
use self::last_good::LastGood;
use self::lists::FeedLists;

pub use countries::GeoReport;
pub use lists::{FeedReport, FeedState, Standing};

/// What is read in place of what the configuration names.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The policy.
    pub policy: Option<Given>,
    /// The inventory.
    pub devices: Option<Given>,
}

/// What stands in for a file of the configuration.
#[derive(Clone, Debug)]
pub enum Given {
    /// Another file.
    File(PathBuf),
    /// The text of one that somebody else has read.
    Text(SourceFile),
}

/// What is known before anything is read.
pub struct Known<'k> {
    /// What feeds listed last.
    pub copies: Copies,
    /// Whether feeds that are files are read and what waits is judged anew, or what they listed last holds.
    pub reads_files: bool,
    /// Whether tables are made for what comes out, so that a list for which there was no room may pass.
    pub makes_tables: bool,
    /// What devices have talked to.
    pub far_ends: &'k dyn Fn(&Rows) -> Vec<FarEnd>,
}

impl Known<'_> {
    /// What is kept in the state folder, without an agent that knows what devices talk to.
    pub fn kept(config: &Config, warnings: &mut Vec<Diagnostic>) -> Self {
        let enabled = config.feeds.iter().filter(|feed| feed.enabled);
        let names = enabled.map(|feed| feed.name.as_str());
        let copies = copies::read(&config.paths.state, names, warnings);
        Self { copies, reads_files: true, makes_tables: true, far_ends: &|_| Vec::new() }
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

    /// What was read of policy and inventory, and what host and configuration add to them.
    pub(crate) fn sources(&self) -> Option<&(Policy, Inventory, Extras)> {
        self.sources.as_deref()
    }

    /// Why no list may block a network, or a part of it.
    #[must_use]
    pub fn spares(&self, network: IpNet) -> Vec<Removed> {
        self.lists.guard().judge(network).removed
    }

    /// The same once more; nothing that was read is to be kept again.
    #[must_use]
    pub fn again(&self) -> Self {
        self.with_rows(self.rows.clone())
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

    /// The same compiled anew with other `extras`; listings, blocks and countries stay as they are.
    fn compiled_with(&self, numbers: &mut Numbers, extras: Extras) -> Result<Self, Vec<Diagnostic>> {
        let Some(sources) = &self.sources else {
            let message = "nothing is loaded that could be compiled anew";
            return Err(vec![Diagnostic::error(&Place::default(), message)]);
        };
        let (policy, inventory, _) = &**sources;
        let (mut rows, _) = compile(policy, inventory, &extras, numbers)?;
        rows.listings.clone_from(&self.rows.listings);
        rows.blocks.clone_from(&self.rows.blocks);
        rows.countries.clone_from(&self.rows.countries);
        rows.names.feeds.clone_from(&self.rows.names.feeds);
        let sources = Some(Arc::new((policy.clone(), inventory.clone(), extras)));
        Ok(Self { sources, ..self.with_rows(rows) })
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
    let sources = sources(config, overrides)?;
    read_sources(config, &sources, host, numbers, blocks, grants, known)
}

/// The texts that `config` and `overrides` name, at this moment.
pub fn sources(config: &Config, overrides: &Overrides) -> Result<Sources, Vec<Diagnostic>> {
    let policy = given(overrides.policy.as_ref(), &config.paths.policy, POLICY);
    let devices = given(overrides.devices.as_ref(), &config.paths.devices, DEVICES);
    let (policy, devices) = both(policy, devices)?;
    let text = |path: &Path, content: &str| Text { path: path.to_owned(), content: content.to_owned() };
    Ok(Sources {
        config: text(&config.paths.config, &config.text),
        policy: text(Path::new(policy.name()), policy.text()),
        devices: text(Path::new(devices.name()), devices.text()),
    })
}

/// The same as [`read_knowing`], with policy and inventory as `sources` have them.
pub fn read_sources(
    config: &Config,
    sources: &Sources,
    host: &HostNetworks,
    numbers: &mut Numbers,
    blocks: &[ManualBlock],
    grants: Vec<Grant>,
    known: &Known<'_>,
) -> Result<Intent, Vec<Diagnostic>> {
    let mut warnings = config.warnings.clone();
    let file = |text: &Text| SourceFile::new(&text.path.display().to_string(), text.content.as_str());
    let (policy, inventory) = (file(&sources.policy), file(&sources.devices));
    let (policy, inventory) = both(Policy::parse(&policy), Inventory::parse(&inventory))?;
    warnings.extend(policy.1);
    warnings.extend(inventory.1);
    let (policy, inventory) = (policy.0, inventory.0);

    let mut last_good = LastGood::default();
    let countries = countries::read(config, &policy, &mut warnings, &mut last_good);
    let is_fresh = |countries: &Countries| !countries.report.stale;
    let has_fresh_countries = matches!(&countries, Ok((Some(countries), _)) if is_fresh(countries));
    let extras = Extras { grants, has_fresh_countries, ..extras(config, host) };
    let compiled = compile(&policy, &inventory, &extras, numbers);
    let ((mut rows, found), (countries, missing_countries)) = both(compiled, countries)?;
    warnings.extend(found);

    let lists = lists::Lists {
        config,
        host,
        segments: &extras.segments,
        copies: &known.copies,
        reads_files: known.reads_files,
        makes_tables: known.makes_tables,
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
        has_fresh_countries: false,
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
    Policy::parse(&source(path, POLICY)?)
}

/// Reads an inventory file.
pub fn read_inventory(path: &Path) -> Result<(Inventory, Vec<Diagnostic>), Vec<Diagnostic>> {
    Inventory::parse(&source(path, DEVICES)?)
}

/// What a file is called, and by which key of `[paths]` it is named.
type Called = (&'static str, &'static str);
const POLICY: Called = ("policy", "policy");
const DEVICES: Called = ("device inventory", "devices");

fn given(given: Option<&Given>, path: &Path, called: Called) -> Result<SourceFile, Vec<Diagnostic>> {
    match given {
        Some(Given::Text(text)) => Ok(text.clone()),
        Some(Given::File(path)) => source(path, called),
        None => source(path, called),
    }
}

fn source(path: &Path, (what, key): Called) -> Result<SourceFile, Vec<Diagnostic>> {
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
