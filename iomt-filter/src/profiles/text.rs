//! Profiles that ship, for people.

use std::fmt;

use super::file::Shipped;
use super::import::{Imported, Missing};
use crate::contacts::Direction;

impl fmt::Display for Shipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.name, self.title)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "  note: {note}"))?;
        if !self.endpoints.is_empty() {
            writeln!(f, "\nfar ends that the site names")?;
        }
        self.endpoints.iter().try_for_each(|need| writeln!(f, "  {}: {}", need.name, need.what))?;
        if !self.services.is_empty() {
            writeln!(f, "\nports that a site may have otherwise")?;
        }
        for need in &self.services {
            let default = match need.default.as_slice() {
                [] => "none is documented".to_owned(),
                ports => ports.join(" "),
            };
            writeln!(f, "  {}: {} ({default})", need.name, need.what)?;
        }
        writeln!(f, "\nrules")?;
        for rule in &self.rules {
            let word = match rule.direction {
                Direction::FromDevice => "to",
                Direction::ToDevice => "from",
            };
            let (peers, services) = (rule.peers.join(", "), rule.services.join(", "));
            writeln!(f, "  {word} {peers} service {services}\n    {}: {}", rule.source, rule.note)?;
        }
        writeln!(f, "\nsources")?;
        let mut sources = self.sources.iter();
        sources.try_for_each(|source| writeln!(f, "  {}: {}\n    {}", source.name, source.title, source.url))
    }
}

/// What is to be said beside the profile: comment lines that may stand behind it.
impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rules, missing) = (self.rules.len(), self.missing.len());
        writeln!(f, "# {rules} rules, {missing} names that the site has to define")?;
        for Missing { kind, name, what, help } in &self.missing {
            writeln!(f, "# missing: {kind} `{name}`, {what}: {help}")?;
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "# note: {note}"))
    }
}
