//! A table as rules of the policy.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::column::{Column, plain};
use super::line::{self, Meaning, Opening};
use super::report::{Imported, LeftOut, Rule};
use super::table::{Row, Table};
use crate::bindings::Bindings;
use crate::contacts::Direction;
use crate::foreign::shown;
use crate::nearest::did_you_mean;
use crate::policy::service::PortRange;
use crate::policy::{Vocabulary, wording};

/// What a table is understood by.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'g> {
    /// Who stands behind its far ends.
    pub bindings: &'g Bindings,
    /// The names that the policy gives.
    pub vocabulary: &'g Vocabulary,
    /// The profile that is made of it.
    pub profile: &'g str,
    /// What the file is called.
    pub file: &'g str,
    /// The device whose lines count, where it is about several.
    pub model: Option<&'g str>,
    /// Who opens by lines that do not say it.
    pub direction: Option<Direction>,
    /// Whether ports of who opens are passed over, and `both` is taken for both.
    pub widen: bool,
}

/// Why nothing comes of a table.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ImportError {
    /// Nobody said which of its devices is meant.
    #[error("it is about several devices; name one with `--model`: {0}")]
    Models(String),
    /// It is about others.
    #[error("it is not about `{0}`; {1}")]
    NoModel(String, String),
    /// It does not say what it is about.
    #[error("it has no column `model` to look for `{0}` in")]
    NoModels(String),
}

/// Makes a profile of a table.
///
/// # Errors
/// When it is not clear which lines count.
pub fn import(table: &Table, ground: &Ground<'_>) -> Result<Imported, ImportError> {
    let model = model(table, ground.model)?;
    let file = shown(ground.file);
    let (mut left_out, mut notes, mut openings) = (Vec::new(), Vec::new(), Vec::new());
    let (mut others, mut lines) = (0_usize, 0_usize);
    for row in &table.rows {
        let place = format!("{file}:{}", row.line);
        match (&model, table.cell(row, Column::Model)) {
            (Some(model), Some(own)) if plain(own) != *model => {
                others += 1;
                continue;
            }
            (Some(_), None) => {
                left_out.push(LeftOut { place, why: "it does not say which device it is about".to_owned() });
                continue;
            }
            _ => lines += 1,
        }
        match line::meaning(table, row, ground) {
            Err(why) => left_out.push(LeftOut { place, why }),
            Ok(Meaning::Nothing(why)) => notes.push(format!("{place} gets no rule: {why}")),
            Ok(Meaning::Opens(found, said)) => {
                notes.extend(said.into_iter().map(|said| format!("{place}: {said}")));
                openings.extend(found.into_iter().map(|opening| (place.clone(), opening)));
            }
        }
    }
    if others > 0 {
        notes.push(format!("{others} lines are about other devices"));
    }
    if table.above > 0 {
        notes.push(format!("{} lines above the titles are not looked at", table.above));
    }
    if !table.ignored.is_empty() {
        notes.push(format!("columns that are not looked at: {}", table.ignored.join(", ")));
    }
    let rules = rules(openings, ground);
    let mut warnings = Vec::new();
    if rules.is_empty() {
        warnings.push("no rule came of it: enforced, the device could do nothing at all".to_owned());
    }
    let profile = ground.profile.to_owned();
    Ok(Imported { profile, lines, rules, left_out, warnings, notes, policy: String::new() }.written(ground))
}

/// The device that counts, in the form of [`plain`]; nothing where there is only one.
fn model(table: &Table, wanted: Option<&str>) -> Result<Option<String>, ImportError> {
    let cell = |row: &Row| table.cell(row, Column::Model).map(str::to_owned);
    let all: BTreeMap<String, String> =
        table.rows.iter().filter_map(cell).map(|name| (plain(&name), shown(&name))).collect();
    let known = || all.values().map(String::as_str);
    match wanted {
        None if all.len() <= 1 => Ok(None),
        None => Err(ImportError::Models(did_you_mean("", known()))),
        Some(wanted) if all.is_empty() => Err(ImportError::NoModels(shown(wanted))),
        Some(wanted) if all.contains_key(&plain(wanted)) => Ok(Some(plain(wanted))),
        Some(wanted) => Err(ImportError::NoModel(shown(wanted), did_you_mean(wanted, known()))),
    }
}

/// A rule for each other end and direction, in the order of the file.
fn rules(openings: Vec<(String, Opening)>, ground: &Ground<'_>) -> Vec<Rule> {
    let mut order: Vec<(Direction, Vec<String>)> = Vec::new();
    let mut found: BTreeMap<(Direction, Vec<String>), Vec<(String, Opening)>> = BTreeMap::new();
    for (place, opening) in openings {
        let key = (opening.direction, opening.peers.clone());
        let same = found.entry(key.clone()).or_default();
        if same.is_empty() {
            order.push(key);
        }
        same.push((place, opening));
    }
    let rule = |key: (Direction, Vec<String>)| {
        let same = found.remove(&key)?;
        let ranges: BTreeSet<PortRange> =
            same.iter().flat_map(|(_, opening)| &opening.ranges).copied().collect();
        let ranges: Vec<Option<PortRange>> = ranges.into_iter().map(Some).collect();
        let said = same.into_iter().map(|(place, opening)| format!("{place}: {}", opening.said));
        let services = wording::services(&ranges, &ground.vocabulary.services);
        Some(Rule { direction: key.0, peers: key.1, services, lines: said.collect() })
    };
    order.into_iter().filter_map(rule).collect()
}
