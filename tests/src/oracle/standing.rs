//! How devices stand for now: in the mode of their profile, or in another by hand or because nobody minds the filter.

use iomt_filter_common::policy::Mode;
use iomt_filter_common::{Reason, Verdict};

use super::ends::End;
use super::{Answer, Oracle};
use crate::world::Device;

impl Oracle {
    pub(super) fn mode(&self, end: &End) -> Mode {
        self.mode_of(&end.device)
    }

    pub(super) fn mode_of(&self, device: &Device) -> Mode {
        let profile = self.world.profile(&device.profile);
        match profile.mode {
            _ if self.now < self.world.exception(Some(&device.name)).quarantined_until => Mode::Quarantine,
            _ if self.is_bypassed(device) => Mode::Monitor,
            Mode::Quarantine => Mode::Quarantine,
            _ if self.is_open(device) => Mode::Monitor,
            _ if profile.is_unset => Mode::Enforce,
            mode => mode,
        }
    }

    /// Where somebody has let everything through, nothing is dropped but what is cut off by hand.
    pub(super) fn opened(&self, answer: Answer) -> Answer {
        let is_open = self.now < self.world.exception(None).open_until;
        let is_dropped = answer.verdict == Verdict::Drop && answer.reason != Reason::Quarantine;
        Answer { verdict: if is_open && is_dropped { Verdict::WouldDrop } else { answer.verdict }, ..answer }
    }

    /// Whether somebody has let a device through for now.
    fn is_bypassed(&self, device: &Device) -> bool {
        self.now < self.world.exception(Some(&device.name)).open_until
    }

    /// Whether a device goes without its policy for now.
    pub(super) fn is_open(&self, device: &Device) -> bool {
        let profile = self.world.profile(&device.profile);
        if self.is_bypassed(device) {
            return true;
        }
        if profile.is_unset {
            return profile.fails_open;
        }
        let beat = self.world.heartbeat;
        let is_late = beat.last != 0
            && beat.loss_after != 0
            && self.now.saturating_sub(beat.last) > u64::from(beat.loss_after) * 1_000_000_000;
        profile.open_on_agent_loss && is_late
    }
}
