//! Our devices at the ends of a packet, and what their modes make of a finding.

use crate::addr::Address;
use crate::device::Ends;
use crate::packet::Packet;
use crate::policy::Mode;
use crate::tables::Tables;
use crate::verdict::{Decision, Direction, Reason, Verdict};

/// A device at one end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    /// Its number.
    pub(super) device: u32,
    /// Its profile.
    pub(super) profile: u16,
    /// Its mode.
    pub(super) mode: Mode,
    /// Whether it sends or receives the packet.
    pub(super) direction: Direction,
    /// The address at the other end.
    pub(super) far: Address,
}

impl Side {
    #[inline(always)]
    pub(super) fn of<T: Tables>(device: u32, far: Address, direction: Direction, tables: &T) -> Option<Self> {
        if device == 0 {
            return None;
        }
        let row = tables.device(device)?;
        Some(Self { device, profile: row.profile, mode: Mode::from_number(row.mode), direction, far })
    }

    #[inline(always)]
    pub(super) const fn enforces(&self) -> bool {
        matches!(self.mode, Mode::Enforce | Mode::Quarantine)
    }

    #[inline(always)]
    pub(super) fn answer<T: Tables>(&self, verdict: Verdict, reason: Reason, tables: &T) -> Decision {
        Decision::new(verdict, reason, tables.generation()).of(self.device, self.profile, self.direction)
    }

    #[inline(always)]
    pub(super) fn allow<T: Tables>(&self, reason: Reason, rule: u32, tables: &T) -> Decision {
        let mut decision = self.answer(Verdict::Pass, reason, tables);
        decision.rule = rule;
        decision
    }

    /// What this device's mode makes of a finding that modes may soften.
    #[inline(always)]
    pub(super) fn soften<T: Tables>(&self, reason: Reason, tables: &T) -> Decision {
        match self.mode {
            Mode::Enforce | Mode::Quarantine => self.answer(Verdict::Drop, reason, tables),
            Mode::Monitor => self.answer(Verdict::WouldDrop, reason, tables),
            Mode::Learn => self.answer(Verdict::Pass, Reason::Learned, tables),
        }
    }
}

/// The devices of one packet; at least one end is ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sides {
    pub(super) sender: Option<Side>,
    pub(super) receiver: Option<Side>,
    principal: Side,
}

impl Sides {
    #[inline(always)]
    pub(super) fn of<T: Tables>(packet: &Packet, ends: Ends, tables: &T) -> Option<Self> {
        let sender = Side::of(ends.sender, packet.destination, Direction::FromDevice, tables);
        let receiver = Side::of(ends.receiver, packet.source, Direction::ToDevice, tables);
        Some(Self { sender, receiver, principal: sender.or(receiver)? })
    }

    /// The device that an answer is attributed to where nothing says otherwise: the sender.
    #[inline(always)]
    pub(super) const fn principal(&self) -> Side {
        self.principal
    }

    #[inline(always)]
    pub(super) fn receiver_or_principal(&self) -> Side {
        self.receiver.unwrap_or(self.principal)
    }

    #[inline(always)]
    pub(super) fn in_quarantine(&self) -> Option<Side> {
        let is = |side: &Side| side.mode as u8 == Mode::Quarantine as u8;
        self.sender.filter(is).or(self.receiver.filter(is))
    }

    /// Whether the receiver's mode is stricter than the sender's.
    #[inline(always)]
    pub(super) fn receiver_is_stricter(&self) -> bool {
        self.receiver.is_some_and(|receiver| receiver.mode as u8 > self.principal.mode as u8)
    }

    /// The device with the strictest mode; the sender where both are alike.
    #[inline(always)]
    pub(super) fn strictest(&self) -> Side {
        if self.receiver_is_stricter() { self.receiver_or_principal() } else { self.principal }
    }
}
