//! Events in the formats that others read: Suricata's EVE JSON, CEF, OCSF, RFC 5424 and the journal's fields.
//!
//! A [`Record`] comes in, text goes out. Nothing here reads a clock or writes anywhere.

use std::borrow::Cow;

use serde::Serialize;

use super::Record;

mod cef;
mod community_id;
mod eve;
pub mod journal;
mod ocsf;
pub mod syslog;

/// What we say we are.
const PRODUCT: &str = "iomt-filter";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How an event is written on one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Our own JSON, as `iomt-filter events --output json` prints it.
    #[default]
    Json,
    /// Suricata's EVE JSON, with what it has no place for in an object of our own.
    Eve,
    /// Nothing but what Suricata's schema knows.
    EveStrict,
    /// ArcSight's Common Event Format.
    Cef,
    /// Open Cybersecurity Schema Framework: Network Activity.
    Ocsf,
}

impl Format {
    /// Every format by its name in the configuration.
    pub const NAMES: &[(&str, Self)] = &[
        ("json", Self::Json),
        ("eve", Self::Eve),
        ("eve-strict", Self::EveStrict),
        ("cef", Self::Cef),
        ("ocsf", Self::Ocsf),
    ];

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, format)| *format == self).map_or("json", |(name, _)| name)
    }

    /// An event as one line, without the line's end.
    #[must_use]
    pub fn line(self, record: &Record) -> String {
        match self {
            Self::Json => json(record),
            Self::Eve => json(&eve::event(record, false)),
            Self::EveStrict => json(&eve::event(record, true)),
            Self::Cef => cef::line(record),
            Self::Ocsf => json(&ocsf::event(record)),
        }
    }
}

/// No value of ours fails to be JSON: there are no maps with keys that are no text.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    /// It passed, or nothing happened.
    Low,
    /// Policy was broken, or somebody has to look.
    Medium,
    /// A listed far end, or somebody who poses as another.
    High,
}

impl Severity {
    fn of(record: &Record) -> Self {
        match (&*record.verdict, &*record.reason) {
            ("pass" | "would-drop", _) => Self::Low,
            (_, "blocklist" | "spoofed" | "rogue-dhcp" | "rogue-ra") => Self::High,
            _ => Self::Medium,
        }
    }
}

/// An event in a few words; of what, the fields say.
fn title(record: &Record) -> Cow<'static, str> {
    let what = match &*record.verdict {
        "drop" => "frame dropped",
        "reset" => "connection reset",
        "would-drop" => "frame passed, policy would drop it",
        "pass" => "frame passed",
        _ => {
            return match &record.drift {
                Some(drift) => format!("{}: {}", record.reason, drift.what.name()).into(),
                None => record.reason.clone(),
            };
        }
    };
    format!("{what}: {}", record.reason).into()
}

#[cfg(test)]
mod tests;
