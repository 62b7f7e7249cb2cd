//! Conversations that no rule allows and that pass, as the program counts them: read by one thread, which lets go of
//! those that are over.

use std::sync::{Mutex, PoisonError};

use aya::maps::{HashMap, MapData, PerCpuArray};
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::watch::{MOST_WATCHED, Watched};

/// Nanoseconds without a packet after which one is over.
const IDLE: u64 = 300 * 1_000_000_000;
/// The same where the table is nearly full.
const IDLE_WHEN_FULL: u64 = 20 * 1_000_000_000;
/// A table with so many is nearly full.
const NEARLY_FULL: usize = MOST_WATCHED as usize / 4 * 3;

/// The table of such conversations, and the number of packets that it had no room for.
pub(super) struct Watching {
    pub(super) conversations: Mutex<HashMap<MapData, FlowKey, Watched>>,
    pub(super) missed: PerCpuArray<MapData, u64>,
}

impl Watching {
    /// All of them at `now` (nanoseconds since boot), with what was counted since each began. Those that are over are
    /// here for the last time. One may be here twice, where the program writes meanwhile.
    pub(super) fn read(&self, now: u64) -> Vec<(FlowKey, Watched)> {
        let mut table = self.conversations.lock().unwrap_or_else(PoisonError::into_inner);
        // One that cannot be read has just been let go of.
        let all: Vec<_> = table.iter().filter_map(Result::ok).collect();
        let idle = if all.len() > NEARLY_FULL { IDLE_WHEN_FULL } else { IDLE };
        for (key, _) in all.iter().filter(|(_, watched)| now.saturating_sub(watched.last_seen) > idle) {
            // It may be gone already.
            let _ = table.remove(key);
        }
        all
    }

    /// Packets of conversations that were not in the table, because it was full.
    pub(super) fn missed(&self) -> u64 {
        self.missed.get(&0, 0).map_or(0, |each| each.iter().sum())
    }
}
