//! Devices with their rates, in an order, and the one that is chosen.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use super::Round;
use crate::api::messages::{DeviceStatus, ExceptionKind, Scope, Status};

/// By what devices are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Dropped frames a second.
    #[default]
    DropRate,
    /// Frames a second.
    Rate,
    /// Bytes of the flows that are remembered.
    Bytes,
    /// Dropped frames.
    Dropped,
    /// Their names.
    Name,
}

impl Sort {
    const ALL: [Self; 5] = [Self::DropRate, Self::Rate, Self::Bytes, Self::Dropped, Self::Name];

    /// The one behind it, the first behind the last.
    #[must_use]
    pub fn next(self) -> Self {
        Self::ALL[(self as usize + 1) % Self::ALL.len()]
    }
}

/// A device as it is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceRow {
    /// Its name; nothing for frames of no device.
    pub name: Option<String>,
    /// Its profile.
    pub profile: String,
    /// Its mode, or in capitals what holds by hand.
    pub mode: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Dropped frames a second; nothing where it is not known yet.
    pub drop_rate: Option<f64>,
    /// Frames a second.
    pub rate: Option<f64>,
    /// Dropped frames.
    pub dropped: u64,
    /// Bytes of its flows that are remembered.
    pub bytes: u64,
    /// The reason for which most was dropped, or would be.
    pub reason: Option<String>,
    /// What is looked through, in lower case.
    text: String,
}

/// All devices.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    rows: Vec<DeviceRow>,
    /// Those that are shown, in their order.
    order: Vec<usize>,
    /// By what they are ordered.
    pub sort: Sort,
    chosen: Option<Option<String>>,
    before: HashMap<Option<String>, Count>,
    at: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    frames: u64,
    dropped: u64,
}

impl Devices {
    /// How many there are, frames of no device aside.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows.iter().filter(|row| row.name.is_some()).count()
    }

    /// Those that are shown, in their order.
    pub fn shown(&self) -> impl ExactSizeIterator<Item = &DeviceRow> {
        self.order.iter().map(|&row| &self.rows[row])
    }

    /// Where the one that is chosen stands; the first where none is, or it is not shown.
    #[must_use]
    pub fn line(&self) -> usize {
        let Some(chosen) = &self.chosen else { return 0 };
        self.shown().position(|row| row.name == *chosen).unwrap_or(0)
    }

    /// The one that is chosen.
    #[must_use]
    pub fn chosen(&self) -> Option<&DeviceRow> {
        self.shown().nth(self.line())
    }

    /// A device by its name.
    #[must_use]
    pub fn of_name(&self, name: &str) -> Option<&DeviceRow> {
        self.rows.iter().find(|row| row.name.as_deref() == Some(name))
    }

    /// Chooses the one on this line, which stays chosen wherever it goes; the first line stays the first line.
    pub(super) fn choose(&mut self, line: usize) {
        let line = line.min(self.order.len().saturating_sub(1));
        let name = self.shown().nth(line).map(|row| row.name.clone());
        self.chosen = if line == 0 { None } else { name };
    }

    /// What was counted last is no measure any more.
    pub(super) fn forget_rates(&mut self) {
        self.before.clear();
        for row in &mut self.rows {
            (row.drop_rate, row.rate) = (None, None);
        }
    }

    pub(super) fn take(&mut self, round: &Round, filter: &str) {
        let lasted = round.at.saturating_sub(self.at).as_secs_f64();
        let mut counts = HashMap::with_capacity(round.devices.len());
        self.rows = round.devices.iter().map(|device| row(device, &round.status)).collect();
        for (row, device) in self.rows.iter_mut().zip(&round.devices) {
            let frames = device.allowed + device.dropped + device.would_dropped;
            let count = Count { frames, dropped: device.dropped };
            if let Some(before) = self.before.get(&device.name) {
                row.drop_rate = rate(before.dropped, count.dropped, lasted);
                row.rate = rate(before.frames, count.frames, lasted);
            }
            counts.insert(device.name.clone(), count);
        }
        (self.before, self.at) = (counts, round.at);
        self.arrange(filter);
    }

    /// Orders those that `filter` leaves.
    pub(super) fn arrange(&mut self, filter: &str) {
        let is_shown = |row: &DeviceRow| filter.is_empty() || row.text.contains(filter);
        let mut order: Vec<usize> = (0..self.rows.len()).filter(|&row| is_shown(&self.rows[row])).collect();
        let by = |rate: Option<f64>| (rate.unwrap_or(0.0) * 1_000.0) as u64;
        order.sort_by_cached_key(|&row| {
            let row = &self.rows[row];
            let most = match self.sort {
                Sort::DropRate => (by(row.drop_rate), row.dropped),
                Sort::Rate => (by(row.rate), 0),
                Sort::Bytes => (row.bytes, 0),
                Sort::Dropped => (row.dropped, 0),
                Sort::Name => (0, 0),
            };
            (Reverse(most), row.name.is_none(), row.name.clone())
        });
        self.order = order;
    }
}

/// How often something happens a second; nothing where it was counted anew.
pub(super) fn rate(before: u64, now: u64, seconds: f64) -> Option<f64> {
    let more = now.checked_sub(before)?;
    (seconds > 0.0).then(|| more as f64 / seconds)
}

fn row(device: &DeviceStatus, status: &Status) -> DeviceRow {
    let leases = device.leases.iter().flatten().map(|lease| &lease.address);
    let addresses: Vec<String> = device.addresses.iter().chain(leases).cloned().collect();
    let refused = device.reasons.iter().filter(|(verdict, _)| verdict.as_str() != "pass");
    let refused: Vec<_> =
        refused.flat_map(|(_, reasons)| reasons).filter(|(_, frames)| **frames > 0).collect();
    let reason = refused.iter().max_by_key(|(_, frames)| **frames).map(|(reason, _)| (*reason).clone());
    let by_hand = by_hand(device, status).map(|kind| kind.name().to_uppercase());
    let mode = by_hand.or_else(|| device.mode.clone()).unwrap_or_default();
    let profile = device.profile.clone().unwrap_or_default();
    let name = device.name.as_deref().unwrap_or("(no device)");
    let text = [name, &profile, &mode, device.mac.as_deref().unwrap_or_default()];
    let text = text.into_iter().chain(addresses.iter().map(String::as_str));
    let text = text.chain(refused.iter().map(|(reason, _)| reason.as_str())).collect::<Vec<_>>().join("\n");
    DeviceRow {
        name: device.name.clone(),
        profile,
        mode,
        drop_rate: None,
        rate: None,
        dropped: device.dropped,
        bytes: device.flows.unwrap_or_default().bytes,
        reason,
        text: text.to_lowercase(),
        addresses,
    }
}

/// What holds of a device by hand; a quarantine before all else.
fn by_hand(device: &DeviceStatus, status: &Status) -> Option<ExceptionKind> {
    let is_meant = |scope: &Scope| match scope {
        Scope::Device(name) => device.name.as_ref() == Some(name),
        Scope::Profile(name) => device.profile.as_ref() == Some(name),
        Scope::All => true,
    };
    let holds = status.exceptions.iter().filter(|exception| is_meant(&exception.scope));
    holds.map(|exception| exception.kind).max_by_key(|kind| *kind == ExceptionKind::Quarantine)
}
