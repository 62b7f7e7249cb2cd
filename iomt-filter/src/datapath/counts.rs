//! Reads the exact counters and the flow table.

use std::io;

use aya::maps::MapError;
use iomt_filter_common::counters::{Fate, fate_index, index};
use iomt_filter_common::flow::{Flow, FlowKey, timeout};
use iomt_filter_common::{Reason, Verdict};

use super::capacity::{self, Fill};
use super::readings::Readings;
use crate::rows::Rows;

/// Frames of one device, or of none, with one verdict for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The device, 0 for none.
    pub device: u32,
    /// What happened.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// How many frames.
    pub frames: u64,
}

/// What became of the frames with one verdict: `frames = emitted + suppressed + lost`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Recorded.
    pub emitted: u64,
    /// Not recorded because of the rate limit.
    pub suppressed: u64,
    /// Not recorded because the ring buffer was full.
    pub lost: u64,
}

impl Readings {
    /// All counters of `devices` (and of frames without a device) that are not zero.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn counts(&self, devices: impl IntoIterator<Item = u32>) -> io::Result<Vec<Count>> {
        let mut counts = Vec::new();
        self.counters.read(std::iter::once(0).chain(devices), |device, counters| {
            for verdict in Verdict::ALL {
                for &reason in Reason::ALL {
                    // They lie one behind the other for each device.
                    let frames = counters[index(0, verdict, reason as u8) as usize];
                    if frames > 0 {
                        counts.push(Count { device, verdict, reason, frames });
                    }
                }
            }
        })?;
        Ok(counts)
    }

    /// The accounting of records, by verdict.
    ///
    /// # Errors
    /// When the kernel refuses a read.
    pub fn fates(&self, verdict: Verdict) -> Result<Fates, MapError> {
        let read = |fate| sum(&self.fates, fate_index(verdict, fate));
        Ok(Fates {
            emitted: read(Fate::Emitted)?,
            suppressed: read(Fate::Suppressed)?,
            lost: read(Fate::Lost)?,
        })
    }

    /// How full the tables of `rows` are that are written row by row.
    #[must_use]
    pub fn fills(&self, rows: &Rows) -> [Fill; 4] {
        capacity::fills(rows, self.device_capacity)
    }

    /// All flows that are remembered at `now` (nanoseconds since boot), of whatever generation.
    #[must_use]
    pub fn flows(&self, now: u64) -> Vec<(FlowKey, Flow)> {
        let is_alive = |(key, flow): &(FlowKey, Flow)| {
            now.saturating_sub(flow.last_seen) <= timeout(key.protocol, flow.progress)
        };
        self.flows.iter().filter(is_alive).collect()
    }

    /// All flows whose last packet passed after `since` (nanoseconds since boot), also those that are over: they stay
    /// until another one needs their place.
    #[must_use]
    pub fn flows_since(&self, since: u64) -> Vec<(FlowKey, Flow)> {
        self.flows.iter().filter(|(_, flow)| flow.last_seen > since).collect()
    }
}

fn sum(counters: &aya::maps::PerCpuArray<aya::maps::MapData, u64>, index: u32) -> Result<u64, MapError> {
    Ok(counters.get(&index, 0)?.iter().sum())
}
