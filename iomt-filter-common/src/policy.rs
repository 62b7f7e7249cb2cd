//! Profiles and modes: what policy says of a device, as the tables hold it.

use crate::geo::GeoPolicy;

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
    /// Padding, zero.
    pub reserved: [u8; 3],
}

/// A profile: 136 bytes, a table value.
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
    /// Padding, zero.
    pub reserved: [u8; 3],
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
