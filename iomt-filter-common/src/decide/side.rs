//! Our devices at the ends of a packet, and what their modes make of a finding.

use crate::addr::Address;
use crate::device::Ends;
use crate::packet::Packet;
use crate::policy::Mode;
use crate::tables::Tables;
use crate::verdict::{Decision, Direction, Reason, Verdict};

/// A device at one end: one word, because the kernel program has 512 bytes of stack in all.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Side {
    pub(crate) device: u32,
    pub(crate) profile: u16,
    mode: u8,
    /// 1 or 0. A `bool` would leave room for the tag of an enum around it, and the kernel's type
    /// information (BTF) cannot say where that tag then is.
    is_sender: u8,
}

impl Side {
    #[inline(always)]
    pub(crate) fn of<T: Tables>(device: u32, is_sender: bool, tables: &T) -> Self {
        let row = tables.device(device).unwrap_or_default();
        Self { device, profile: row.profile, mode: row.mode, is_sender: is_sender as u8 }
    }

    /// Whether there is a device at this end.
    #[inline(always)]
    pub(crate) const fn is_device(&self) -> bool {
        self.mode != 0
    }

    #[inline(always)]
    pub(crate) const fn is_sender(&self) -> bool {
        self.is_sender == 1
    }

    /// The address at the other end.
    #[inline(always)]
    pub(crate) const fn far(&self, packet: &Packet) -> Address {
        if self.is_sender() { packet.destination } else { packet.source }
    }

    #[inline(always)]
    pub(crate) const fn mode(&self) -> Mode {
        Mode::from_number(self.mode)
    }

    #[inline(always)]
    pub(crate) const fn answer(&self, verdict: Verdict, reason: Reason, generation: u32) -> Decision {
        let direction = if self.is_sender() { Direction::FromDevice } else { Direction::ToDevice };
        Decision::new(verdict, reason, generation).of(self.device, self.profile, direction)
    }

    #[inline(always)]
    pub(crate) const fn allow(&self, reason: Reason, rule: u32, generation: u32) -> Decision {
        let mut decision = self.answer(Verdict::Pass, reason, generation);
        decision.rule = rule;
        decision
    }

    /// What this device's mode makes of a finding that modes may soften.
    #[inline(always)]
    pub(crate) const fn soften(&self, reason: Reason, generation: u32) -> Decision {
        match self.mode() {
            Mode::Enforce | Mode::Quarantine => self.answer(Verdict::Drop, reason, generation),
            Mode::Monitor => self.answer(Verdict::WouldDrop, reason, generation),
            Mode::Learn => self.answer(Verdict::Pass, Reason::Learned, generation),
        }
    }
}

/// The devices of one packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sides {
    pub(crate) sender: Side,
    pub(crate) receiver: Side,
}

impl Sides {
    #[inline(always)]
    pub(crate) fn of<T: Tables>(ends: Ends, tables: &T) -> Self {
        Self { sender: Side::of(ends.sender, true, tables), receiver: Side::of(ends.receiver, false, tables) }
    }

    /// The device that an answer is attributed to where nothing says otherwise: the sender.
    #[inline(always)]
    pub(crate) const fn principal(&self) -> Side {
        if self.sender.is_device() { self.sender } else { self.receiver }
    }

    /// A device in quarantine, the sender first.
    #[inline(always)]
    pub(crate) const fn in_quarantine(&self) -> Option<Side> {
        if self.sender.mode == Mode::Quarantine as u8 {
            Some(self.sender)
        } else if self.receiver.mode == Mode::Quarantine as u8 {
            Some(self.receiver)
        } else {
            None
        }
    }

    /// Whether the receiver's mode is stricter than the sender's.
    #[inline(always)]
    pub(crate) const fn receiver_is_stricter(&self) -> bool {
        self.receiver.mode > self.sender.mode
    }

    /// The device with the strictest mode; the sender where both are alike.
    #[inline(always)]
    pub(crate) const fn strictest(&self) -> Side {
        if self.receiver_is_stricter() { self.receiver } else { self.sender }
    }
}
