//! What the filter says of a frame, and why.

use crate::reputation::Listing;

/// What happens to a frame.
#[must_use]
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It goes on.
    Pass = 0,
    /// It ends here.
    Drop = 1,
    /// It goes on, and would end here if its device were in `enforce`.
    WouldDrop = 2,
    /// It ends here and its sender is told by a TCP reset.
    Reset = 3,
}

impl Verdict {
    /// Every verdict, by number.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Drop, Self::WouldDrop, Self::Reset];

    /// The stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Drop => "drop",
            Self::WouldDrop => "would-drop",
            Self::Reset => "reset",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $number:literal $name:literal,)*) => {
        /// Why a frame passed or ended. Numbers and names are part of the contract: append only.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[$doc])* $variant = $number,)* }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, as events, metrics and filters use it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The reason with this number; `None` for 0 and for what a later version appended.
            pub const fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    /// An allow rule matched.
    Allowed = 1 "allowed",
    /// Part of a flow that this generation allows.
    Established = 2 "established",
    /// An ICMP error that quotes a remembered flow.
    Related = 3 "related",
    /// ARP, neighbour discovery, EAPOL, LLDP, STP, LACP, PTP.
    Link = 4 "link",
    /// Neither end is a device nor inside a segment: not ours.
    NoDevice = 5 "no-device",
    /// A management pair.
    Management = 6 "management",
    /// No rule matched, and the device is learning.
    Learned = 7 "learned",
    /// No rule matched.
    NotAllowed = 8 "not-allowed",
    /// The far end is listed at or above the profile's score.
    Blocklist = 9 "blocklist",
    /// The far end is in a country that the profile does not allow.
    Geo = 10 "geo",
    /// No device of the inventory.
    UnknownDevice = 11 "unknown-device",
    /// An address or a hardware address that is bound to something else.
    Spoofed = 12 "spoofed",
    /// The device is in quarantine.
    Quarantine = 13 "quarantine",
    /// Lengths or versions that contradict each other.
    Malformed = 14 "malformed",
    /// Well-formed, but beyond a bound of the program.
    Unsupported = 15 "unsupported",
    /// A fragment that cannot be judged.
    Fragment = 16 "fragment",
    /// An EtherType that is neither IP nor a link protocol.
    NotIp = 17 "not-ip",
    /// TCP that belongs to no remembered connection and opens none.
    NoFlow = 18 "no-flow",
    /// A DHCP server's answer from a device port.
    RogueDhcp = 19 "rogue-dhcp",
    /// A router advertisement from a device port.
    RogueRa = 20 "rogue-ra",
    /// Beyond a limit of the device.
    RateLimit = 21 "rate-limit",
    /// A name that policy forbids.
    Dns = 22 "dns",
}

/// Which way a frame goes, seen from the device that it is judged for.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// No device is involved.
    None = 0,
    /// The device sends it.
    FromDevice = 1,
    /// The device is to receive it.
    ToDevice = 2,
}

/// The answer for one frame: 24 bytes, fixed layout, part of every event.
#[must_use]
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The device that the frame was judged for, 0 for none.
    pub device: u32,
    /// The rule that allowed it, 0 for none.
    pub rule: u32,
    /// The generation of policy, feeds and geo that judged it.
    pub generation: u32,
    /// The list entry that matched; all zero for none.
    pub listing: Listing,
    /// That device's profile, 0 for none.
    pub profile: u16,
    /// Country of the far end as the tables know it, 0 where they say nothing.
    pub country: u16,
    verdict: u8,
    reason: u8,
    direction: u8,
    step: u8,
}

impl Default for Decision {
    /// A drop without a reason: nobody has answered yet.
    fn default() -> Self {
        Self { reason: 0, ..Self::new(Verdict::Drop, Reason::Malformed, 0) }
    }
}

impl Decision {
    /// `verdict` for `reason`, not yet attributed to a device.
    #[inline(always)]
    pub const fn new(verdict: Verdict, reason: Reason, generation: u32) -> Self {
        Self {
            device: 0,
            rule: 0,
            generation,
            listing: Listing::NONE,
            profile: 0,
            country: 0,
            verdict: verdict as u8,
            reason: reason as u8,
            direction: Direction::None as u8,
            step: 0,
        }
    }

    /// The same answer, attributed to a device.
    #[inline(always)]
    pub const fn of(mut self, device: u32, profile: u16, direction: Direction) -> Self {
        self.device = device;
        self.profile = profile;
        self.direction = direction as u8;
        self
    }

    /// What happens to the frame. A number that this version does not know drops.
    #[inline(always)]
    pub const fn verdict(&self) -> Verdict {
        match self.verdict {
            0 => Verdict::Pass,
            2 => Verdict::WouldDrop,
            3 => Verdict::Reset,
            _ => Verdict::Drop,
        }
    }

    /// The same answer with another verdict.
    #[inline(always)]
    pub const fn with(mut self, verdict: Verdict) -> Self {
        self.verdict = verdict as u8;
        self
    }

    /// The number of the [`Stage`](crate::decide::Stage) that gave the answer; 0 where none has.
    #[inline(always)]
    pub const fn step(&self) -> u8 {
        self.step
    }

    #[inline(always)]
    pub(crate) const fn set_step(&mut self, step: u8) {
        self.step = step;
    }

    /// Whether the frame passes.
    #[inline(always)]
    pub const fn goes_on(&self) -> bool {
        matches!(self.verdict(), Verdict::Pass | Verdict::WouldDrop)
    }

    /// Why; `None` for a number that this version does not know.
    pub const fn reason(&self) -> Option<Reason> {
        Reason::from_number(self.reason)
    }

    /// The reason's number, for counting without a branch.
    #[inline(always)]
    pub const fn reason_number(&self) -> u8 {
        self.reason
    }

    /// Which way the frame goes, seen from the device.
    pub const fn direction(&self) -> Direction {
        match self.direction {
            1 => Direction::FromDevice,
            2 => Direction::ToDevice,
            _ => Direction::None,
        }
    }
}
