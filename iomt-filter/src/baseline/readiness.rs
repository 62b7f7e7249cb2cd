//! How far a device is from being enforced.

use std::collections::{BTreeMap, BTreeSet};

use iomt_filter_common::policy::Mode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::gather::{Device, Gathered, Gathering, service_of};
use super::scan;
use crate::contacts::{Direction, Habits, LastDrift};

/// Days for which a device must have been watched before it is called ready: two weeks hold every weekday twice.
pub const READY_AFTER_DAYS: i64 = 14;
/// Examples of what lacks a rule.
const EXAMPLES: usize = 3;

/// How far one device is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// The device.
    pub device: String,
    /// Its profile.
    pub profile: String,
    /// Its mode.
    pub mode: String,
    /// When it was seen first.
    pub first_seen: Option<Timestamp>,
    /// When it was seen last.
    pub last_seen: Option<Timestamp>,
    /// Whole days between the first time and now.
    pub days_watched: i64,
    /// Packets of the last days that no rule allowed when they passed, by whole days (UTC): what `enforce` would have
    /// dropped.
    #[serde(default)]
    pub would_drops: u64,
    /// Contacts of the last days that no rule allows, and that enforcement would end; without scans.
    pub lacking: usize,
    /// Their packets.
    pub lacking_packets: u64,
    /// Scans and contacts that were seen once, in the same days.
    pub unclear: usize,
    /// Some of what is lacking, the most frequent first.
    pub examples: Vec<String>,
    /// Deviations from what it always did that were told.
    #[serde(default)]
    pub drifts: u64,
    /// The last of them.
    #[serde(default)]
    pub last_drift: Option<LastDrift>,
    /// Whether it can be enforced as far as this can be known.
    pub ready: bool,
    /// Why, or why not.
    pub why: String,
}

/// What readiness is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Watching<'w> {
    /// The time of day.
    pub now: Timestamp,
    /// How far back a contact without a rule counts.
    pub recent: SignedDuration,
    /// What is known of devices beside their contacts; of would-drops, those of that time.
    pub habits: &'w BTreeMap<String, Habits>,
}

impl Gathering<'_> {
    /// How far each device is, in the order of their names.
    #[must_use]
    pub fn readiness(self, watching: Watching<'_>) -> Vec<Readiness> {
        let (ground, seen) = (self.ground, self.seen);
        let since = watching.now.checked_sub(watching.recent).unwrap_or(Timestamp::MIN);
        let mut lacking: BTreeMap<String, Lacking> = BTreeMap::new();
        for Gathered { mut needs, .. } in self.profiles.into_values() {
            needs.retain(|need| need.contact.last_seen >= since);
            for left in scan::take_out(&mut needs, |contact| service_of(contact, &ground)) {
                lacking.entry(left.device).or_default().unclear += 1;
            }
            needs.sort_by_key(|need| std::cmp::Reverse(need.contact.packets));
            for need in needs {
                let of = lacking.entry(need.contact.device.to_string()).or_default();
                of.contacts += 1;
                of.packets += need.contact.packets;
                let (target, service) = (need.target.name(), service_of(&need.contact, &ground));
                of.examples.insert(match need.contact.direction {
                    Direction::FromDevice => format!("to {target} {service}"),
                    Direction::ToDevice => format!("from {target} {service}"),
                });
            }
        }
        let devices = self.devices.iter().filter(|(device, known)| self.scope.has(device, known.profile));
        let mut all: Vec<Readiness> = devices
            .map(|(device, known)| {
                let lacking = lacking.remove(*device).unwrap_or_default();
                lacking.told(device, known, seen.get(*device).copied(), &watching)
            })
            .collect();
        all.sort_by(|one, other| one.device.cmp(&other.device));
        all
    }
}

#[derive(Debug, Default)]
struct Lacking {
    contacts: usize,
    packets: u64,
    unclear: usize,
    examples: BTreeSet<String>,
}

impl Lacking {
    fn told(
        self,
        device: &str,
        known: &Device<'_>,
        seen: Option<(Timestamp, Timestamp)>,
        watching: &Watching<'_>,
    ) -> Readiness {
        let days_watched = seen.map_or(0, |(first, _)| first.duration_until(watching.now).as_hours() / 24);
        let recent = watching.recent.as_hours() / 24;
        let (ready, why) = match known.mode {
            Mode::Enforce => (true, "it is enforced".to_owned()),
            Mode::Quarantine => (false, "it is in quarantine".to_owned()),
            _ if seen.is_none() => (false, "nothing was seen of it".to_owned()),
            _ if self.contacts > 0 => {
                let why = format!("contacts of the last {recent} days without a rule: {}", self.contacts);
                (false, format!("{why} (`iomt-filter learn propose --device {device}`)"))
            }
            _ if days_watched < READY_AFTER_DAYS => {
                (false, format!("watched for {days_watched} of {READY_AFTER_DAYS} days"))
            }
            _ => (true, format!("all that it did in the last {recent} days has a rule")),
        };
        let habits = watching.habits.get(device).cloned().unwrap_or_default();
        Readiness {
            device: device.to_owned(),
            profile: known.profile.to_owned(),
            mode: known.mode.name().to_owned(),
            first_seen: seen.map(|(first, _)| first),
            last_seen: seen.map(|(_, last)| last),
            days_watched,
            would_drops: habits.would_drops,
            drifts: habits.drifts,
            last_drift: habits.last_drift,
            lacking: self.contacts,
            lacking_packets: self.packets,
            unclear: self.unclear,
            examples: self.examples.into_iter().take(EXAMPLES).collect(),
            ready,
            why,
        }
    }
}
