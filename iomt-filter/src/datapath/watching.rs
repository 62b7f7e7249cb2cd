//! Conversations that no rule allows and that pass, as the program counts them: read by one thread, which lets go of
//! those that are over once they are kept.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
    /// All of them, with what was counted since each began. One may be here twice, where the program writes meanwhile.
    pub(super) fn read(&self) -> Vec<(FlowKey, Watched)> {
        // One that cannot be read has just been let go of.
        self.conversations().iter().filter_map(Result::ok).collect()
    }

    /// Lets go of those of `read` that are over at `now` (nanoseconds since boot), and of which nothing came since they
    /// were read.
    pub(super) fn let_go(&self, read: &[(FlowKey, Watched)], now: u64) {
        let idle = if read.len() > NEARLY_FULL { IDLE_WHEN_FULL } else { IDLE };
        let mut table = self.conversations();
        for (key, watched) in read.iter().filter(|(_, watched)| now.saturating_sub(watched.last_seen) > idle)
        {
            if table.get(key, 0).is_ok_and(|found| found == *watched) {
                // It may be gone already.
                let _ = table.remove(key);
            }
        }
    }

    fn conversations(&self) -> MutexGuard<'_, HashMap<MapData, FlowKey, Watched>> {
        self.conversations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packets of conversations that were not in the table, because it was full.
    pub(super) fn missed(&self) -> u64 {
        self.missed.get(&0, 0).map_or(0, |each| each.iter().sum())
    }
}
