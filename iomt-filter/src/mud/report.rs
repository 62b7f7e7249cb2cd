//! What came of an import, for people and programs.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::read::About;
use crate::baseline::{Written, profile_text};
use crate::contacts::Direction;
use crate::foreign::shown;

/// Addresses of a domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// All of them.
    pub addresses: Vec<IpAddr>,
    /// When they were given.
    pub at: Timestamp,
    /// Whether they are those that were given last, because nobody answered now or was asked.
    #[serde(skip_deserializing)]
    pub is_kept: bool,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Who opens.
    pub direction: Direction,
    /// With whom, as rules write it.
    pub peers: Vec<String>,
    /// What, as rules write it.
    pub services: Vec<String>,
    /// The other end as the file names it.
    pub far: String,
    /// The entries that it is of, as `list/entry`.
    pub entries: Vec<String>,
}

/// What no rule was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// `list/entry`, or the list.
    pub place: String,
    /// Why, and what to do about it.
    pub why: String,
}

/// A file, as a profile.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    /// The profile.
    pub profile: String,
    /// What the file says of itself.
    pub about: About,
    /// The rules.
    pub rules: Vec<Rule>,
    /// What no rule was made of.
    pub left_out: Vec<LeftOut>,
    /// What would keep a device from its work.
    pub warnings: Vec<String>,
    /// What does no harm and is told.
    pub notes: Vec<String>,
    /// Addresses by domain.
    pub names: BTreeMap<String, Answer>,
    /// The profile as a policy writes it.
    pub policy: String,
}

impl Imported {
    /// With its profile as a policy writes it.
    #[must_use]
    pub(super) fn written(mut self) -> Self {
        let url = self.about.mud_url.as_deref().unwrap_or("a file without a `mud-url`");
        let mut heading = vec![format!("of {}", shown(url))];
        heading.extend(self.about.systeminfo.as_deref().map(shown));
        heading.extend(self.about.last_update.as_deref().map(|at| format!("last updated {}", shown(at))));
        let rules: Vec<Written<'_>> = self
            .rules
            .iter()
            .map(|rule| Written {
                direction: rule.direction,
                peers: &rule.peers,
                services: &rule.services,
                comment: vec![format!("{}: {}", rule.far, rule.entries.join(", "))],
            })
            .collect();
        self.policy = profile_text(&self.profile, &heading, &rules);
        self
    }
}

/// What is to be said beside the profile: comment lines that may stand behind it.
impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rules, left) = (self.rules.len(), self.left_out.len());
        writeln!(f, "# {rules} rules, {left} entries left out")?;
        for LeftOut { place, why } in &self.left_out {
            writeln!(f, "# left out: {place}: {why}")?;
        }
        self.warnings.iter().try_for_each(|warning| writeln!(f, "# warning: {warning}"))?;
        for (name, answer) in &self.names {
            let addresses: Vec<String> = answer.addresses.iter().map(ToString::to_string).collect();
            let kept = if answer.is_kept { ", kept" } else { "" };
            let at = answer.at.strftime("%Y-%m-%d %H:%M");
            writeln!(f, "# name: {name} is {}, as of {at}{kept}", addresses.join(" "))?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "# note: {note}"))
    }
}
