//! What came of an import, for people and programs.

use std::fmt;

use serde::Serialize;

use super::import::Ground;
use crate::baseline::{Written, profile_text};
use crate::contacts::Direction;
use crate::foreign::shown;
pub use crate::mud::LeftOut;

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Who opens.
    pub direction: Direction,
    /// With whom, as rules write it.
    pub peers: Vec<String>,
    /// What, as rules write it.
    pub services: Vec<String>,
    /// The lines that it is of, as `file:line: words`.
    pub lines: Vec<String>,
}

/// A table, as a profile.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// The profile.
    pub profile: String,
    /// Lines that are about the device.
    pub lines: usize,
    /// The rules.
    pub rules: Vec<Rule>,
    /// Lines that no rule was made of, as `file:line`.
    pub left_out: Vec<LeftOut>,
    /// What would keep a device from its work.
    pub warnings: Vec<String>,
    /// What does no harm and is told.
    pub notes: Vec<String>,
    /// The profile as a policy writes it.
    pub policy: String,
}

impl Imported {
    /// With its profile as a policy writes it.
    #[must_use]
    pub(super) fn written(mut self, ground: &Ground<'_>) -> Self {
        let mut heading = vec![format!("of {}, a table of ports", shown(ground.file))];
        heading.extend(ground.model.map(|model| format!("for {}", shown(model))));
        let rules: Vec<Written<'_>> = self
            .rules
            .iter()
            .map(|rule| Written {
                direction: rule.direction,
                peers: &rule.peers,
                services: &rule.services,
                comment: rule.lines.clone(),
            })
            .collect();
        self.policy = profile_text(&self.profile, &heading, &rules);
        self
    }
}

/// What is to be said beside the profile: comment lines that may stand behind it.
impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (lines, rules, left) = (self.lines, self.rules.len(), self.left_out.len());
        writeln!(f, "# {lines} lines, {rules} rules, {left} lines left out")?;
        for LeftOut { place, why } in &self.left_out {
            writeln!(f, "# left out: {place}: {why}")?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "# warning: {warning}"))?;
        self.notes.iter().try_for_each(|note| writeln!(f, "# note: {note}"))
    }
}
