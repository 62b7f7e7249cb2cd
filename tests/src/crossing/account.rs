//! What the filter and the kernel have counted by themselves.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, PerCpuArray};
use iomt_filter_common::abi::map;
use iomt_filter_common::counters::{PER_DEVICE, REASONS};
use iomt_filter_common::{Reason, Verdict};
use serde_json::Value;

use super::lanes::Cable;
use super::{Crossing, INTERFACE, PORTS};

/// How long packets may wait for their judgement on a busy machine.
const PATIENCE: Duration = Duration::from_secs(3);

/// Counters at one moment, or between two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Packets that the filter let pass, by reason.
    pub passed: BTreeMap<&'static str, u64>,
    /// Packets that it dropped, by reason.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Packets that the kernel has lost at an interface, by which.
    pub lost: BTreeMap<String, u64>,
    /// Packets that found no room in the queue of a processor, whosoever they were.
    pub queues: u64,
}

impl Account {
    /// Reads the counters, which outlive every agent.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    pub fn read(crossing: &Crossing) -> Result<Self> {
        let mut account = Self::default();
        let pin = crossing.pins().join("maps").join(map::COUNTERS);
        let data = MapData::from_pin(&pin).with_context(|| format!("failed to open `{}`", pin.display()))?;
        let counters: PerCpuArray<_, u64> = Map::from_map_data(data)?.try_into()?;
        for index in 0..counters.len() {
            let frames: u64 = counters.get(&index, 0)?.iter().sum();
            if frames == 0 {
                continue;
            }
            let (verdict, number) = (index % PER_DEVICE / REASONS, index % REASONS);
            let reason = u8::try_from(number).ok().and_then(Reason::from_number);
            let reason = reason.map_or("no reason", Reason::name);
            let goes_on = verdict == Verdict::Pass as u32 || verdict == Verdict::WouldDrop as u32;
            let side = if goes_on { &mut account.passed } else { &mut account.dropped };
            *side.entry(reason).or_default() += frames;
        }
        account.read_losses(crossing)?;
        Ok(account)
    }

    /// What has been counted since `before`, once the filter has judged so many packets, or will judge no more.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn settled(crossing: &Crossing, before: &Self, sent: u64) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let account = Self::read(crossing)?.since(before);
            let judged = account.passed.values().chain(account.dropped.values()).sum::<u64>();
            if judged >= sent || Instant::now() > deadline {
                return Ok(account);
            }
        }
    }

    fn read_losses(&mut self, crossing: &Crossing) -> Result<()> {
        let ends = [Cable::Ct, Cable::Pump, Cable::Uplink].map(|cable| (crossing.end(cable), INTERFACE));
        let ports = PORTS.map(|port| (crossing.host(), port));
        for (inside, interface) in ends.into_iter().chain(ports) {
            let text = inside.run(&["ip", "-s", "-j", "link", "show", "dev", interface])?;
            let said: Value = serde_json::from_str(&text).context("`ip` gave no JSON")?;
            for way in ["rx", "tx"] {
                let counts = &said[0]["stats64"][way];
                let lost =
                    ["dropped", "errors", "over_errors"].iter().filter_map(|name| counts[name].as_u64());
                self.lost.insert(format!("{way} of {interface} of {}", inside.name()), lost.sum());
            }
        }
        // The second column.
        let text = fs::read_to_string("/proc/net/softnet_stat").context("failed to read the queues")?;
        let column = |line: &str| u64::from_str_radix(line.split(' ').nth(1)?, 16).ok();
        self.queues = text.lines().filter_map(column).sum();
        Ok(())
    }

    /// What has been counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        Self {
            passed: difference(&self.passed, &before.passed),
            dropped: difference(&self.dropped, &before.dropped),
            lost: difference(&self.lost, &before.lost),
            queues: self.queues - before.queues.min(self.queues),
        }
    }
}

fn difference<K: Clone + Ord>(after: &BTreeMap<K, u64>, before: &BTreeMap<K, u64>) -> BTreeMap<K, u64> {
    let more =
        after.iter().map(|(key, count)| (key, count - before.get(key).copied().unwrap_or(0).min(*count)));
    more.filter(|(_, count)| *count > 0).map(|(key, count)| (key.clone(), count)).collect()
}
