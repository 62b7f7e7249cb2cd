//! The contract between kernel program and agent: its version, the names and keys of the maps.
//!
//! Policy tables hold several generations at once: by slots, with which every index and key begins, or in two
//! halves of their lines, of which [`map::DIRECTORY`] says by slot which one counts. One word says which slot is
//! active, and a swap changes that word alone. The third slot is for a change that is pending, or on trial.

use crate::addr::Address;

/// Version of this contract. Raised whenever a name, a layout or a meaning here changes.
pub const VERSION: u32 = 9;

/// Names of the maps, as pinned.
pub mod map {
    /// Array of one [`Active`](super::Active), mapped into user space.
    pub const ACTIVE: &str = "ACTIVE";
    /// Array of one [`Change`](super::Change), mapped into user space.
    pub const CHANGE: &str = "CHANGE";
    /// Array: slot to [`Settings`](crate::policy::Settings).
    pub const SETTINGS: &str = "SETTINGS";
    /// Array: slot and profile to [`Profile`](crate::policy::Profile).
    pub const PROFILES: &str = "PROFILES";
    /// Array: slot and device to [`Device`](crate::device::Device).
    pub const DEVICES: &str = "DEVICES";
    /// LPM trie: [`ProtectedKey`](super::ProtectedKey) to 1.
    pub const PROTECTED: &str = "PROTECTED";
    /// Array: slot to [`Directory`](crate::lookup::Directory).
    pub const DIRECTORY: &str = "DIRECTORY";
    /// Array of [`Line`](crate::lookup::Line), mapped into user space: what feeds list.
    pub const LISTINGS: &str = "LISTINGS";
    /// Array of [`Line`](crate::lookup::Line), mapped into user space: blocks by hand.
    pub const BLOCKS: &str = "BLOCKS";
    /// Array of [`Line`](crate::lookup::Line), mapped into user space: countries.
    pub const COUNTRIES: &str = "COUNTRIES";
    /// Array of [`Line`](crate::lookup::Line), mapped into user space: policy and inventory.
    pub const POLICY: &str = "POLICY";
    /// Array of sets, mapped into user space: flows of IPv4, see [`flowtable`](crate::flowtable).
    pub const FLOWS_V4: &str = "FLOWS_V4";
    /// Array of sets, mapped into user space: flows of IPv6.
    pub const FLOWS_V6: &str = "FLOWS_V6";
    /// Array of one word, mapped into user space: what flows are hashed with.
    pub const FLOW_SECRET: &str = "FLOW_SECRET";
    /// LRU hash: [`FragmentKey`](crate::fragment::FragmentKey) to
    /// [`FirstFragment`](crate::fragment::FirstFragment).
    pub const FRAGMENTS: &str = "FRAGMENTS";
    /// LRU hash: as [`FRAGMENTS`], of packets that concern no device or were dropped.
    pub const OTHER_FRAGMENTS: &str = "OTHER_FRAGMENTS";
    /// Array of [`places`](crate::query::places) for a [`Query`](crate::query::Query).
    pub const QUERIES: &str = "QUERIES";
    /// LRU hash: address of a host on an uplink to when it was heard of.
    pub const FAR_HOSTS: &str = "FAR_HOSTS";
    /// Hash: [`GrantKey`](crate::policy::GrantKey) to [`Grant`](crate::policy::Grant).
    pub const GRANTS: &str = "GRANTS";
    /// Array: device and family to [`Lease`](crate::lease::Lease).
    pub const LEASES: &str = "LEASES";
    /// Hash: [`Address`](crate::addr::Address) to the device that leased it last.
    pub const LEASED: &str = "LEASED";
    /// Array: device and family to [`Requests`](crate::lease::Requests).
    pub const REQUESTS: &str = "REQUESTS";
    /// Array: device to [`Buckets`](crate::limit::Buckets).
    pub const BUCKETS: &str = "BUCKETS";
    /// Array: device to [`Exception`](crate::exception::Exception); that of device 0 is for every frame.
    pub const EXCEPTIONS: &str = "EXCEPTIONS";
    /// Per-CPU hash: [`Difference`](crate::trial::Difference) to frames.
    pub const DIFFERENCES: &str = "DIFFERENCES";
    /// Hash: [`FlowKey`](crate::flow::FlowKey) to [`Watched`](crate::watch::Watched).
    pub const WATCHED: &str = "WATCHED";
    /// Per-CPU array of one number: packets of conversations that [`WATCHED`] had no room for.
    pub const UNWATCHED: &str = "UNWATCHED";
    /// Array of one word, mapped into user space: when the agent last said that it lives, in nanoseconds of
    /// `CLOCK_BOOTTIME`; 0 before the first time.
    pub const HEARTBEAT: &str = "HEARTBEAT";
    /// Array of lines of roles, see [`ports`](crate::ports).
    pub const PORTS: &str = "PORTS";
    /// Per-CPU array of packets, see [`counters`](crate::counters).
    pub const COUNTERS: &str = "COUNTERS";
    /// Per-CPU array of record fates, see [`counters`](crate::counters).
    pub const FATES: &str = "FATES";
    /// Per-CPU array: device and reason to [`EventLimit`](crate::counters::EventLimit).
    pub const LIMITS: &str = "LIMITS";
    /// Ring buffer of [`Event`](crate::event::Event).
    pub const EVENTS: &str = "EVENTS";
    /// Array of one [`Input`](super::Input); read in a replay only.
    pub const INPUT: &str = "INPUT";
}

/// Name of the XDP program.
pub const PROGRAM: &str = "iomt_filter";
/// Name of the read-only global that makes the program a replay: every frame is recorded, and clock
/// and port come from [`map::INPUT`].
pub const REPLAY: &str = "REPLAY";
/// Name of the read-only global with the records per device, reason, CPU and second.
pub const EVENTS_PER_SECOND: &str = "EVENTS_PER_SECOND";

/// Slots of the policy tables.
pub const SLOTS: u32 = 3;
/// Profiles in one generation; number 0 is the management pairs' own.
pub const MAX_PROFILES: u32 = 1024;
/// Number of the profile whose `From` rules are the management pairs.
pub const MANAGEMENT_PROFILE: u16 = 0;

/// Which generation is active: its slot in the lowest two bits, the number above, and flags.
///
/// All zero means that no generation was ever activated; the program then drops.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Active(pub u64);

impl Active {
    const SLOT: u64 = 3;
    const GENERATION: u32 = 2;
    /// The change that made it active is to be confirmed: [`Change`] says until when.
    const PENDING: u64 = 1 << 62;
    /// Another generation is on trial beside it: [`Change`] says which.
    const TRIED: u64 = 1 << 61;
    /// It is that other one. Never in the map.
    const ON_TRIAL: u64 = 1 << 63;

    /// The word for `generation` in `slot`.
    pub const fn new(generation: u32, slot: u32) -> Self {
        Self((generation as u64) << Self::GENERATION | slot as u64 & Self::SLOT)
    }

    /// The generation, 0 for none.
    #[inline(always)]
    pub const fn generation(self) -> u32 {
        (self.0 >> Self::GENERATION) as u32
    }

    /// Its slot; one that there is not has no rows.
    #[inline(always)]
    pub const fn slot(self) -> u32 {
        (self.0 & Self::SLOT) as u32
    }

    /// The same, until a deadline.
    #[must_use]
    pub const fn pending(self) -> Self {
        Self(self.0 | Self::PENDING)
    }

    /// The same, with another one on trial beside it or without.
    #[must_use]
    pub const fn beside_trial(self, is_tried: bool) -> Self {
        if is_tried { Self(self.0 | Self::TRIED) } else { Self(self.0 & !Self::TRIED) }
    }

    /// The same, as the one that is on trial.
    #[inline(always)]
    #[must_use]
    pub const fn on_trial(self) -> Self {
        Self(self.0 | Self::ON_TRIAL)
    }

    /// Whether it holds until a deadline.
    #[inline(always)]
    pub const fn is_pending(self) -> bool {
        self.0 & Self::PENDING != 0
    }

    /// Whether another one is on trial beside it.
    #[inline(always)]
    pub const fn has_trial(self) -> bool {
        self.0 & Self::TRIED != 0
    }

    /// Whether it is on trial: it answers, and changes nothing.
    #[inline(always)]
    pub const fn is_on_trial(self) -> bool {
        self.0 & Self::ON_TRIAL != 0
    }
}

/// What the program asks while a change is pending, or a generation on trial: 40 bytes, a table value.
///
/// Its words are written before the flag in [`Active`] that has the program read them, with a grace period in between.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// When the generation that was confirmed takes over again, in nanoseconds of `CLOCK_BOOTTIME`.
    pub deadline: u64,
    /// That generation.
    pub confirmed: Active,
    /// When the trial ends, likewise.
    pub trial_until: u64,
    /// The generation on trial.
    pub trial: Active,
    /// The highest number that a generation ever had: flows can have been judged by any up to it, and the next one
    /// is above.
    pub last: u64,
}

impl Change {
    /// The generation that judges at `now` where `active` is written.
    #[inline(always)]
    pub const fn judging(&self, active: Active, now: u64) -> Active {
        if active.is_pending() && now >= self.deadline { self.confirmed } else { active }
    }
}

/// A far end as a protected pair names it: 24 bytes, 64 bits of prefix before the address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtectedKey {
    /// Slot of the generation.
    pub slot: u32,
    /// The device.
    pub device: u32,
    /// The far end.
    pub address: Address,
}

/// As the VLAN of a hardware address: added to `n`, the `n`th of the devices by DHCP that have this hardware address,
/// each in a VLAN of its own. A relay's server answers in another VLAN than the device asks in, or in none.
pub const CLIENT: u16 = 0x1000;
/// Devices by DHCP that can share a hardware address.
pub const MAX_CLIENTS: u16 = 16;

/// What rules know of a peer by its address: 8 bytes.
///
/// Addresses that the same rules name are one class; 0 is the class of those that none names.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerClass {
    /// The class.
    pub class: u16,
    /// 1 for addresses inside a segment.
    pub in_segment: u8,
    /// 1 for the host's own addresses.
    pub is_own: u8,
    /// 1 for addresses that a rule names by themselves.
    pub is_named: u8,
    /// Padding, zero.
    pub reserved: [u8; 3],
}

impl PeerClass {
    /// As one word: the class lowest, then the flags.
    #[inline(always)]
    pub const fn word(self) -> u64 {
        self.class as u64
            | (self.in_segment as u64) << 16
            | (self.is_own as u64) << 24
            | (self.is_named as u64) << 32
    }

    /// As [`word`](Self::word) says.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self {
            class: word as u16,
            in_segment: (word >> 16) as u8,
            is_own: (word >> 24) as u8,
            is_named: (word >> 32) as u8,
            reserved: [0; 3],
        }
    }
}

/// In a cell of the rule matrix: any peer.
pub const PEER_ANY: u16 = 0xffff;
/// In a cell of the rule matrix: added to a profile's number, the devices of that profile.
pub const PEER_PROFILE: u16 = 0x8000;
/// Address classes stay below this.
pub const MAX_PEER_CLASSES: u16 = 0x7fff;
/// In a cell of the rule matrix: any service.
pub const SERVICE_ANY: u16 = 0xffff;

/// What a replay feeds the program beside the frame: 16 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// The clock, in nanoseconds.
    pub now: u64,
    /// [`Port`](crate::device::Port) as a number.
    pub port: u32,
    /// Padding, zero.
    pub reserved: u32,
}
