//! Our devices at the ends of a packet, and what their modes make of a finding.

use crate::addr::Address;
use crate::device::{Device, Ends};
use crate::exception::Exception;
use crate::packet::Packet;
use crate::policy::{Mode, Profile};
use crate::tables::Tables;
use crate::verdict::{Decision, Direction, Reason, Verdict};

/// A device at one end: one word, because the kernel program has 512 bytes of stack in all.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Side {
    pub(crate) device: u32,
    pub(crate) profile: u16,
    mode: u8,
    /// The flags below. `bool`s would leave room for the tag of an enum around them, and the kernel's type
    /// information (BTF) cannot say where that tag then is.
    flags: u8,
}

const SENDER: u8 = 1;
const OPEN: u8 = 2;
const WITHOUT_RULES: u8 = 4;
const HAS_GRANTS: u8 = 8;

impl Side {
    #[inline(always)]
    pub(crate) fn of<T: Tables>(device: u32, is_sender: bool, now: u64, tables: &T) -> Self {
        let row = tables.device(device).unwrap_or_default();
        let mut flags = if is_sender { SENDER } else { 0 };
        if row.has(Device::HAS_GRANTS) {
            flags |= HAS_GRANTS;
        }
        let mut mode = row.mode;
        let exception = if row.mode == 0 { Exception::default() } else { tables.exception(device) };
        if exception.quarantines(now) {
            mode = Mode::Quarantine as u8;
        } else if exception.opens(now) {
            flags |= OPEN;
            mode = Mode::Monitor as u8;
        } else if row.mode != 0 && row.mode != Mode::Quarantine as u8 {
            let profile = tables.profile(row.profile).filter(|profile| profile.is_set != 0);
            if is_open(&row, profile, now, tables) {
                flags |= OPEN;
                mode = Mode::Monitor as u8;
            } else if profile.is_none() {
                flags |= WITHOUT_RULES;
                mode = Mode::Enforce as u8;
            }
        }
        Self { device, profile: row.profile, mode, flags }
    }

    /// Whether there is a device at this end.
    #[inline(always)]
    pub(crate) const fn is_device(&self) -> bool {
        self.mode != 0
    }

    #[inline(always)]
    pub(crate) const fn is_sender(&self) -> bool {
        self.flags & SENDER != 0
    }

    /// Whether nothing of this device is to be dropped for what only policy or lists say.
    #[inline(always)]
    pub(crate) const fn is_open(&self) -> bool {
        self.flags & OPEN != 0
    }

    /// Whether there are rules to ask.
    #[inline(always)]
    pub(crate) const fn has_rules(&self) -> bool {
        self.flags & WITHOUT_RULES == 0
    }

    /// Whether the device has rules of its own.
    #[inline(always)]
    pub(crate) const fn has_grants(&self) -> bool {
        self.flags & HAS_GRANTS != 0
    }

    /// Whether what is found of this device ends a packet.
    #[inline(always)]
    pub(crate) const fn is_final(&self) -> bool {
        self.is_device() && matches!(self.mode(), Mode::Enforce | Mode::Quarantine)
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
    pub(crate) fn of<T: Tables>(ends: Ends, now: u64, tables: &T) -> Self {
        Self {
            sender: Side::of(ends.sender, true, now, tables),
            receiver: Side::of(ends.receiver, false, now, tables),
        }
    }

    /// Who opened the conversation and who it was opened to, where the packet is a reply or not.
    #[inline(always)]
    pub(crate) const fn in_order(&self, is_reply: bool) -> [Side; 2] {
        if is_reply { [self.receiver, self.sender] } else { [self.sender, self.receiver] }
    }

    /// Whether this device is at one of the ends.
    #[inline(always)]
    pub(crate) const fn has(&self, device: u32) -> bool {
        device != 0 && (self.sender.device == device || self.receiver.device == device)
    }

    /// Whether a device is let through for now, so that nothing that passes was judged in full.
    #[inline(always)]
    pub(crate) const fn are_open(&self) -> bool {
        self.sender.is_open() || self.receiver.is_open()
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

/// Whether a device is let through: its policy cannot be evaluated and it fails open, or the agent has been
/// missing for longer than its profile bears.
#[inline(always)]
fn is_open<T: Tables>(row: &Device, profile: Option<&Profile>, now: u64, tables: &T) -> bool {
    let Some(profile) = profile else { return row.has(Device::FAIL_OPEN) };
    if profile.open_on_agent_loss == 0 {
        return false;
    }
    let (beat, bearable) = (tables.heartbeat(), tables.settings().agent_loss_seconds);
    beat != 0 && bearable != 0 && now.saturating_sub(beat) > bearable as u64 * 1_000_000_000
}
