//! Profiles and modes: what policy says of a device, as the tables hold it.

use crate::geo::GeoPolicy;
use crate::packet::protocol;

/// How strictly a device's policy is applied.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// What no rule allows passes and is recorded.
    Learn = 1,
    /// What no rule allows passes and is reported as `would-drop`.
    #[default]
    Monitor = 2,
    /// What no rule allows is dropped.
    Enforce = 3,
    /// Everything but management pairs is dropped.
    Quarantine = 4,
}

impl Mode {
    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Learn => "learn",
            Self::Monitor => "monitor",
            Self::Enforce => "enforce",
            Self::Quarantine => "quarantine",
        }
    }

    /// The mode with this number; one that is unset or unknown enforces.
    #[inline(always)]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Learn,
            2 => Self::Monitor,
            4 => Self::Quarantine,
            _ => Self::Enforce,
        }
    }
}

/// What holds where the configuration leaves a choice.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Otherwise {
    /// The frame ends here.
    #[default]
    Drop = 1,
    /// The frame passes and is reported.
    Monitor = 2,
    /// The frame passes.
    Pass = 3,
}

impl Otherwise {
    /// The choice with this number; one that is unset or unknown drops.
    #[inline(always)]
    pub const fn from_number(number: u8) -> Self {
        match number {
            2 => Self::Monitor,
            3 => Self::Pass,
            _ => Self::Drop,
        }
    }
}

/// Settings that hold for all devices: 8 bytes, a table value. All zero drops.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Settings {
    /// [`Otherwise`] for frames of unknown devices.
    pub unknown_device: u8,
    /// [`Otherwise`] for frames that cannot be read: `Drop` or `Pass`.
    pub unparsed: u8,
    /// [`Otherwise`] for TCP without a remembered connection: `Drop` or `Pass`.
    pub midstream: u8,
    /// 1 where at least one management pair is configured.
    pub has_management: u8,
    /// 1 where at least one protected pair is configured.
    pub has_protected: u8,
    /// 1 where at least one device has its address from DHCP.
    pub has_dhcp: u8,
    /// How long the agent may be missing before profiles with `on_agent_loss = "open"` are passed, in
    /// seconds; 0 for ever.
    pub agent_loss_seconds: u16,
}

/// What a device may send, be sent and have open: 24 bytes. 0 is no limit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limits {
    /// Packets a second from the device.
    pub packets_from: u32,
    /// Packets a second to the device.
    pub packets_to: u32,
    /// New connections a second from the device.
    pub connections_from: u32,
    /// New connections a second to the device.
    pub connections_to: u32,
    /// Flows with traffic in one minute.
    pub flows: u32,
    /// Padding, zero.
    pub reserved: u32,
}

/// A profile: 160 bytes, a table value. All zero is none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile {
    /// Countries that are refused.
    pub geo: GeoPolicy,
    /// Entries listed at or above this score are dropped, 0 to 100.
    pub block_score: u8,
    /// 1 where a blocked TCP packet is answered by a reset.
    pub reset: u8,
    /// 1 where some country is refused, so that the country has to be looked up.
    pub has_geo: u8,
    /// 1 where what holds without a policy is to pass (`fail = "open"`).
    pub fail_open: u8,
    /// 1 where devices are passed after the agent has been missing too long.
    pub open_on_agent_loss: u8,
    /// 1: an array never misses, so a row has to say that it is one.
    pub is_set: u8,
    /// Padding, zero.
    pub reserved: [u8; 2],
    /// What its devices may send and be sent.
    pub limits: Limits,
}

/// Which way a rule allows: seen from the device that the rule belongs to.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleDirection {
    /// `to`: the device opens, the peer answers.
    To = 1,
    /// `from`: the peer opens, the device answers.
    From = 2,
}

/// What a rule's service is matched with: 4 bytes.
///
/// For TCP, UDP and SCTP the port is that of the side that was opened to; 0 for other protocols.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Service {
    /// IP protocol number.
    pub protocol: u8,
    /// Padding, zero.
    pub reserved: u8,
    /// Port, host order.
    pub port: u16,
}

impl Service {
    /// The service of a protocol at a port, which counts where the protocol has ports.
    #[inline(always)]
    pub const fn of(protocol: u8, port: u16) -> Self {
        let has_ports = matches!(protocol, protocol::TCP | protocol::UDP | protocol::SCTP);
        Self { protocol, reserved: 0, port: if has_ports { port } else { 0 } }
    }
}

/// A cell of the grants, which are rules of one device: 16 bytes, a table key. Its numbers are those of a
/// [`cell`](crate::lookup::policy::cell) of the rule matrix.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantKey {
    /// Slot of the generation.
    pub slot: u32,
    /// The device.
    pub device: u32,
    /// [`RuleDirection`] as a number.
    pub direction: u16,
    /// Class of the peer.
    pub peer: u16,
    /// Class of the service.
    pub service: u16,
    /// Padding, zero.
    pub reserved: u16,
}

/// Access that ends by itself: 16 bytes, a table value.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Grant {
    /// When it ends, in nanoseconds of `CLOCK_BOOTTIME`.
    pub expires: u64,
    /// Its number among the rules.
    pub rule: u32,
    /// Padding, zero.
    pub reserved: u32,
}

/// What allows a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// The rule, 0 for none.
    pub rule: u32,
    /// When it ends, 0 for never.
    pub expires: u64,
}

impl Permission {
    /// Nothing does.
    pub const NONE: Self = Self { rule: 0, expires: 0 };

    /// Whether something does.
    #[inline(always)]
    pub const fn is_some(&self) -> bool {
        self.rule != 0
    }

    /// Whether it still holds at `now`.
    #[inline(always)]
    pub const fn holds(&self, now: u64) -> bool {
        self.expires == 0 || now < self.expires
    }

    /// When this or `other` ends, whichever is first.
    #[inline(always)]
    pub const fn first_end(&self, other: &Self) -> u64 {
        let (a, b) = (self.expires, other.expires);
        if a == 0 || (b != 0 && b < a) { b } else { a }
    }
}
