//! Where the exact counters lie in their per-CPU arrays.

use crate::verdict::{Decision, Verdict};

/// Room for reasons; their numbers stay below this.
pub const REASONS: u32 = 32;
/// Counters of one device: every verdict with every reason. Device 0 counts frames of no device.
pub const PER_DEVICE: u32 = Verdict::ALL.len() as u32 * REASONS;

/// What became of the frames that were worth a record (drop, reset, would-drop). For each verdict
/// `emitted + suppressed + lost` is the number of its frames.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A record was written.
    Emitted = 0,
    /// The rate limit of its device and reason was reached; a later record counts it.
    Suppressed = 1,
    /// The ring buffer was full.
    Lost = 2,
}

/// Counters of fates: every verdict with every fate.
pub const FATES: u32 = Verdict::ALL.len() as u32 * 4;

/// Index of a device's counter for a verdict and a reason's number.
#[inline(always)]
pub const fn index(device: u32, verdict: Verdict, reason: u8) -> u32 {
    device * PER_DEVICE + verdict as u32 * REASONS + (reason as u32 & (REASONS - 1))
}

/// Index of the counter that `decision` belongs to.
#[inline(always)]
pub const fn index_of(decision: &Decision) -> u32 {
    index(decision.device, decision.verdict(), decision.reason_number())
}

/// Index of a fate's counter.
#[inline(always)]
pub const fn fate_index(verdict: Verdict, fate: Fate) -> u32 {
    verdict as u32 * 4 + fate as u32
}

/// How many records a device may cause per reason, CPU and second: one token bucket, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventLimit {
    /// The second, of the program's clock, that `emitted` counts.
    pub second: u32,
    /// Records in that second.
    pub emitted: u32,
    /// Frames without a record since the last record.
    pub suppressed: u64,
}

impl EventLimit {
    /// Counts a frame at `now` (nanoseconds) that may not be recorded; `false` for one that may.
    #[inline(always)]
    pub fn suppress(&mut self, now: u64, per_second: u32) -> bool {
        let is_over = self.second == (now / 1_000_000_000) as u32 && self.emitted >= per_second;
        if is_over {
            self.suppressed += 1;
        }
        is_over
    }

    /// Takes a token for a frame at `now` (nanoseconds). `Some(n)` when it may be recorded, as the
    /// last of `n` frames.
    #[inline(always)]
    pub fn take(&mut self, now: u64, per_second: u32) -> Option<u64> {
        let second = (now / 1_000_000_000) as u32;
        if self.second != second {
            self.second = second;
            self.emitted = 0;
        }
        if self.emitted >= per_second {
            self.suppressed += 1;
            return None;
        }
        self.emitted += 1;
        let count = self.suppressed + 1;
        self.suppressed = 0;
        Some(count)
    }
}
