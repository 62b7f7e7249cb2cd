//! Whatever judges the frames of a case and is measured at it.

use std::collections::HashMap;

use anyhow::Result;
use iomt_filter_common::{Reason, Verdict};

use crate::case::Case;
use crate::driver::{Place, Timed};

/// `XDP_DROP` and `XDP_PASS` of `enum xdp_action` (`include/uapi/linux/bpf.h`).
pub(crate) const XDP_DROP: u32 = 1;
pub(crate) const XDP_PASS: u32 = 2;

/// Frames by device, verdict and reason.
pub(crate) type Counts = HashMap<(u32, Verdict, Reason), u64>;

/// What frames must come to.
pub(crate) struct Expected<'c> {
    pub(crate) case: &'c Case,
    pub(crate) counts: Counts,
}

impl Expected<'_> {
    /// What a program returns for each frame.
    pub(crate) const fn action(&self) -> u32 {
        match self.case.verdict {
            Verdict::Pass | Verdict::WouldDrop => XDP_PASS,
            Verdict::Drop | Verdict::Reset => XDP_DROP,
        }
    }

    /// How many frames.
    pub(crate) fn frames(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// A program that judges.
pub(crate) trait Contender {
    fn name(&self) -> &'static str;

    fn place(&self) -> Place;

    /// Whether it can do what the case asks for.
    fn judges(&self, case: &Case) -> bool;

    /// Makes it ready for frames of the case.
    fn prepare(&mut self, case: &Case) -> Result<()>;

    /// Notes what was counted so far.
    fn begin(&mut self) -> Result<()>;

    /// Frames that it can judge at a time before [`rest`](Self::rest).
    fn breath(&self) -> u32 {
        u32::MAX
    }

    /// What is done in between and not timed.
    fn rest(&mut self) {}

    /// That all frames since [`begin`](Self::begin) came to what they must.
    fn check(&self, expected: &Expected<'_>, last: Timed) -> Result<()>;
}
