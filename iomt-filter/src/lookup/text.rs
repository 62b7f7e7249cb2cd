//! An answer for people.
//!
//! What feeds and files say must not reach a terminal with control characters in it.

use std::fmt;

use jiff::Timestamp;

use super::{Answer, Listed, Talked};

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", plain(&self.query))?;
        if let Some(country) = &self.country {
            write!(f, " in {country}")?;
        }
        if let Some(here) = &self.here {
            write!(f, ", {}", plain(here))?;
        }
        if self.listings.is_empty() {
            f.write_str("\n  no list names it")?;
        }
        for listed in &self.listings {
            write!(f, "\n  {listed}")?;
        }
        if self.more_listings > 0 {
            write!(f, "\n  and {} more things that lists say of it", self.more_listings)?;
        }
        if self.more_inside > 0 {
            write!(f, "\n  and {} more entries inside of it", self.more_inside)?;
        }
        for verdict in &self.verdicts {
            let reason = verdict.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let profile = plain(&verdict.profile);
            write!(
                f,
                "\n  profile {profile}: {}{reason}, drops from score {}",
                verdict.verdict, verdict.block_score
            )?;
        }
        for talked in &self.talked {
            write!(f, "\n  {talked}")?;
        }
        if self.more_talked > 0 || self.talked_is_part {
            let at_least = if self.talked_is_part { "at least " } else { "" };
            write!(f, "\n  and {at_least}{} more contacts", self.more_talked)?;
        }
        match self.talks_since {
            Some(since) if self.talked.is_empty() => write!(f, "\n  no device talked to it since {since:.0}"),
            _ => Ok(()),
        }
    }
}

/// `c2 203.0.113.9/32 score 90 c2 Emotet, since 2026-11-01T00:00:00Z: listed`
impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} score {}", plain(&self.feed), plain(&self.entry), self.score)?;
        if let Some(category) = self.category {
            write!(f, " {category}")?;
        }
        let mut said = |word: &str, text: Option<String>| match text {
            Some(text) => write!(f, ", {word}{}", plain(&text)),
            None => Ok(()),
        };
        let shown = |time: Option<Timestamp>| time.map(|time| format!("{time:.0}"));
        said("", self.label.clone())?;
        said("port ", self.port.map(|port| port.to_string()))?;
        said("see ", self.reference.clone())?;
        said("since ", shown(self.since))?;
        said("last seen ", shown(self.last_seen))?;
        said("until ", shown(self.until))?;
        said("by ", self.by.clone())?;
        said("", self.note.clone())?;
        write!(f, ": {}", self.state)?;
        match &self.why {
            Some(why) => write!(f, ", {}", plain(why)),
            None => Ok(()),
        }
    }
}

/// `ct-1 → 203.0.113.9 443/tcp, 12 packets, from 2026-11-01T00:00:00Z to 2026-11-02T00:00:00Z`
impl fmt::Display for Talked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, service, packets, first_seen, last_seen, .. } = self;
        let arrow = if self.direction == "to-device" { "←" } else { "→" };
        let device = plain(&self.device);
        write!(
            f,
            "{device} {arrow} {peer} {service}, {packets} packets, from {first_seen:.0} to {last_seen:.0}"
        )
    }
}

fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
