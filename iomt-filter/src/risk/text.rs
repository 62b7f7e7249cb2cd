//! A risk for people.

use std::fmt;

use super::{Access, Exposure, Finding, LeftOut, Risk, SourceStatus};
use crate::contacts::Direction;
use crate::foreign::shown;

/// Findings that are shown; all of them are in the JSON.
const SHOWN: usize = 200;

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings.iter().take(SHOWN) {
            writeln!(f, "{finding}")?;
        }
        let more = self.findings.len().saturating_sub(SHOWN) + self.more;
        if more > 0 {
            writeln!(f, "and {more} more; `--output json` and `--device` show others\n")?;
        }
        let LeftOut { closed, unlikely, not_scored, devices_without } = self.left_out;
        writeln!(f, "{} findings", self.findings.len() + self.more)?;
        let likely = self.likely;
        for (count, what) in [
            (unlikely, format!("open, and less likely exploited than EPSS {likely}; `--all` lists them")),
            (not_scored, "open, and nobody can say how likely they are exploited: they have no score; `--all` lists them".to_owned()),
            (closed, "not affected, mended or false, as somebody has said; `--all` lists them".to_owned()),
        ] {
            if count > 0 {
                writeln!(f, "{count} more are {what}")?;
            }
        }
        if devices_without > 0 {
            writeln!(
                f,
                "of {devices_without} devices nothing is known: `iomt-filter sbom import` tells what they are made of"
            )?;
        }
        for source in &self.sources {
            writeln!(f, "{source}")?;
        }
        if !self.policy.is_empty() {
            write!(f, "\nwhat is proposed, as the policy would say it:\n\n{}", self.policy)?;
        }
        Ok(())
    }
}

/// A catalog in a line.
impl fmt::Display for SourceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.to_uppercase();
        match (&self.path, self.made) {
            (Some(path), Some(made)) => {
                write!(f, "{name}: {} entries of {}, `{path}`", self.entries, made.strftime("%Y-%m-%d"))?
            }
            (Some(path), None) => write!(f, "{name}: {} entries, `{path}`", self.entries)?,
            (None, _) => write!(f, "{name}")?,
        }
        self.problem.iter().try_for_each(|problem| write!(f, ": {problem}"))
    }
}

/// A finding in a few lines.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, profile, vulnerability, component, file, why, state, justification, .. } = self;
        writeln!(f, "{device} ({profile})  {}  {why}", shown(vulnerability))?;
        write!(f, "  component  {} in `{}`, {}", shown(component), shown(file), state.name())?;
        justification.iter().try_for_each(|why| write!(f, ": {}", shown(why)))?;
        writeln!(f)?;
        let services = self.service.services.join(", ");
        match &self.service.name {
            Some(name) if services.is_empty() => {
                writeln!(f, "  service    not one: {name}, {}", self.service.reason)?
            }
            Some(name) => writeln!(f, "  service    {name} ({services}): {}", self.service.reason)?,
            None => writeln!(f, "  service    unknown: {}", self.service.reason)?,
        }
        for exposure in &self.exposures {
            writeln!(f, "{exposure}")?;
        }
        writeln!(f, "  proposal   {}", self.proposal)
    }
}

/// What is done with a service, and may be, in a line.
impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, peers, packets, .. } = self;
        let direction = match self.direction {
            Direction::FromDevice => "opened by it to",
            Direction::ToDevice => "opened to it by",
        };
        write!(f, "  {service:<9}  {direction} ")?;
        match self.last_seen {
            Some(last) => {
                let last = last.strftime("%Y-%m-%d %H:%M");
                write!(f, "{peers} far ends ({packets} packets, last {last})")?;
            }
            None => write!(f, "nobody")?,
        }
        if self.other_way > 0 {
            write!(f, ", and the other way with {}", self.other_way)?;
        }
        let rules = self.rules.iter().map(|rule| format!("`{rule}`")).collect::<Vec<_>>().join(", ");
        match self.access {
            Access::Denied => write!(f, "; denied, no rule allows it")?,
            Access::Reported => write!(f, "; no rule allows it, and it passes for the mode of the device")?,
            Access::Allowed => write!(f, "; allowed by {rules}")?,
            Access::AllowedAndReported => {
                write!(f, "; allowed by {rules}, and what no rule allows passes too")?
            }
        }
        if !self.management.is_empty() {
            write!(f, "; by management too: {}", self.management.join(", "))?;
        }
        Ok(())
    }
}
