//! The country database: read, opened, or its last good copy in its place; and what its age makes of an intent.
//!
//! Paths and a policy come in, rows and an account of them go out. One that is too old is used on and warned
//! about; whether anything is refused for that, the policy says and the compiler does.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use iomt_filter_common::geo::Country;
use jiff::Timestamp;
use serde::Serialize;

use super::Intent;
use super::last_good::{self, Content, LastGood};
use crate::config::Config;
use crate::diagnostic::{Diagnostic, Place};
use crate::geo::{CountryDatabase, DatabaseError, Distinctions, age, expand};
use crate::numbers::Numbers;
use crate::policy::model::GeoStale;
use crate::policy::{Extras, Policy};
use crate::rows::Prefixes;

/// A larger file is none of countries: those of whole cities are a quarter of it.
const LARGEST: u64 = 512 << 20;

/// What is known of the country database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GeoReport {
    /// The file.
    pub path: PathBuf,
    /// What it calls itself.
    pub kind: String,
    /// When it was made.
    pub built: Option<Timestamp>,
    /// Its age in days, when it was looked at.
    pub age_days: Option<i64>,
    /// The age in days from which on it is too old.
    pub max_age_days: u64,
    /// Whether it is too old.
    pub stale: bool,
    /// What the policy says of that.
    pub on_stale: GeoStale,
    /// Prefixes that the policy needs of it.
    pub prefixes: usize,
    /// Why the last good copy is used in its place; nothing where it is not.
    pub kept: Option<String>,
    /// The same, exactly.
    #[serde(skip)]
    pub max_age: Duration,
}

/// A database that can be used.
pub(super) struct Countries {
    pub(super) rows: Prefixes<Country>,
    pub(super) report: GeoReport,
    pub(super) database: CountryDatabase,
}

impl GeoReport {
    fn of(
        config: &Config,
        policy: &Policy,
        path: &Path,
        (rows, database): &Opened,
        kept: Option<String>,
    ) -> Self {
        let max_age = config.geo.max_age;
        let report = Self {
            path: path.to_owned(),
            kind: database.kind().to_owned(),
            built: database.built(),
            age_days: None,
            max_age_days: max_age.as_secs() / 86_400,
            stale: false,
            on_stale: policy.geo_stale,
            prefixes: rows.len(),
            kept,
            max_age,
        };
        report.at(Timestamp::now())
    }

    /// The same as it is at `now`.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        Self {
            age_days: self.built.map(|built| age::days(built, now)),
            stale: age::is_stale(self.built, self.max_age, now),
            ..self.clone()
        }
    }

    /// What is wrong with its age.
    pub(crate) fn warning(&self) -> Option<Diagnostic> {
        if !self.stale {
            return None;
        }
        let age = match self.age_days {
            Some(days) => format!("is {days} days old"),
            None => "does not say when it was made".to_owned(),
        };
        let message = match self.on_stale {
            GeoStale::Keep => format!("the country database `{}` {age}", self.path.display()),
            GeoStale::Deny => format!(
                "the country database `{}` {age}: profiles with `geo` refuse every public address (`geo_stale`)",
                self.path.display()
            ),
        };
        let place = Place::file(&self.path.display().to_string());
        Some(Diagnostic::warning(&place, message).help("fetch a newer one, or raise `max_age` in `[geo]`"))
    }
}

impl Intent {
    /// The same with a country database as old as it is at `now`; nothing where that makes no difference.
    ///
    /// # Errors
    /// As of [`compile`](crate::policy::compile).
    pub fn aged(&self, numbers: &mut Numbers, now: Timestamp) -> Option<Result<Self, Vec<Diagnostic>>> {
        let before = self.geo.as_ref()?;
        let geo = before.at(now);
        if geo.stale == before.stale {
            return None;
        }
        let (_, _, extras) = &**self.sources.as_ref()?;
        let extras = Extras { has_fresh_countries: !geo.stale, ..extras.clone() };
        Some(self.compiled_with(numbers, extras).map(|mut intent| {
            if let Some(before) = before.warning() {
                let (others, by_hand) =
                    intent.warnings.split_at(intent.other_warnings.min(intent.warnings.len()));
                let others: Vec<_> = others.iter().filter(|warning| **warning != before).cloned().collect();
                intent.other_warnings = others.len();
                intent.warnings = [others, by_hand.to_vec()].concat();
            }
            if let Some(warning) = geo.warning() {
                intent.warnings.insert(0, warning);
                intent.other_warnings += 1;
            }
            intent.geo = Some(geo);
            intent
        }))
    }
}

/// The country database, and what is wrong where a profile needs it and it cannot be used. A damaged one
/// is an error then, if there is no last good copy.
pub(super) fn read(
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
    let (message, help, is_damaged) = match read_file(path) {
        Ok(content) => match open(&content, &distinctions) {
            Ok(opened) => {
                last_good.read.push((last_good::COUNTRIES.into(), content));
                return Ok((Some(account(config, policy, path, opened, None, warnings)), None));
            }
            Err(error) => (
                format!("the country database `{shown}` cannot be used: {error}"),
                "fetch it again: a country database in MaxMind's format (.mmdb)",
                true,
            ),
        },
        Err(error) => (
            format!("failed to read the country database `{shown}`: {error}"),
            match policy.geo_stale {
                GeoStale::Keep => {
                    "until it is there, every country counts as unknown; set `database` in `[geo]`"
                }
                GeoStale::Deny => {
                    "until it is there, profiles with `geo` refuse every public address (`geo_stale`); \
                     set `database` in `[geo]`"
                }
            },
            false,
        ),
    };
    let error = Diagnostic::error(&place, message.clone());
    let lost = || error.clone().help("put a country database there; or remove `database` from `[geo]`");
    let copy = last_good::read(&config.paths.state, last_good::COUNTRIES.as_ref()).filter(|_| is_needed);
    if let Some(copy) = copy
        && let Ok(opened) = open(&copy, &distinctions)
    {
        let since = last_good::since(copy.updated());
        let kept = format!("{message}; its last good copy is of {since}");
        let help = "the copy is used at a start only; a reload is refused until the database is back";
        warnings.push(Diagnostic::warning(&place, kept.clone()).help(help));
        return Ok((Some(account(config, policy, path, opened, Some(kept), warnings)), Some(lost())));
    }
    if is_damaged && is_needed {
        return Err(vec![error.help(help)]);
    }
    warnings.push(Diagnostic::warning(&place, message).help(help));
    Ok((None, is_needed.then(lost)))
}

type Opened = (Prefixes<Country>, CountryDatabase);

fn read_file(path: &Path) -> io::Result<Content> {
    let file = File::open(path)?;
    let modified = file.metadata()?.modified().ok();
    let mut bytes = Vec::new();
    // The size that a file tells may be any, as that of a device is.
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        let message = format!("it is larger than {} MiB", LARGEST >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(Content { bytes, modified })
}

fn open(content: &Content, distinctions: &Distinctions) -> Result<Opened, DatabaseError> {
    let database = CountryDatabase::open(content.bytes.clone())?;
    Ok((expand(&database, distinctions)?, database))
}

fn account(
    config: &Config,
    policy: &Policy,
    path: &Path,
    opened: Opened,
    kept: Option<String>,
    warnings: &mut Vec<Diagnostic>,
) -> Countries {
    let report = GeoReport::of(config, policy, path, &opened, kept);
    warnings.extend(report.warning());
    let (rows, database) = opened;
    Countries { rows, report, database }
}
