//! What the program fills, to be read at any time: handles of their own to its tables, so that whoever reads
//! waits for nobody, and keeps nobody waiting. Nothing that is judged by is written through them.

use std::sync::{Arc, Mutex};

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, PerCpuArray, PerCpuHashMap};
use iomt_filter_common::Address;
use iomt_filter_common::abi::map;
use iomt_filter_common::exception::Exception;
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::fragment::{FirstFragment, FragmentKey};
use iomt_filter_common::lease::Lease;
use iomt_filter_common::limit::Buckets;
use iomt_filter_common::trial::Difference;
use iomt_filter_common::watch::Watched;

use super::counters::Counters;
use super::flows::Flows;
use super::generation::{Heartbeat, Judging};
use super::load::LoadError;
use super::maps::second;
use super::watching::Watching;

/// Counters, and what the program has learned.
pub struct Readings {
    pub(super) counters: Counters,
    pub(super) fates: PerCpuArray<MapData, u64>,
    pub(super) flows: Arc<Flows>,
    pub(super) fragments: HashMap<MapData, FragmentKey, FirstFragment>,
    pub(super) leases: Array<MapData, Lease>,
    pub(super) leased: HashMap<MapData, Address, u32>,
    pub(super) buckets: Array<MapData, Buckets>,
    pub(super) exceptions: Array<MapData, Exception>,
    pub(super) differences: PerCpuHashMap<MapData, Difference, u64>,
    watching: Watching,
    pub(super) judging: Arc<Judging>,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) device_capacity: u32,
}

impl Readings {
    /// Opens the tables of `ebpf` a second time.
    pub(super) fn open(
        ebpf: &Ebpf,
        judging: Arc<Judging>,
        heartbeat: Arc<Heartbeat>,
        flows: Arc<Flows>,
        device_capacity: u32,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            counters: Counters::open(ebpf)?,
            fates: second(ebpf, map::FATES)?,
            flows,
            fragments: second(ebpf, map::FRAGMENTS)?,
            leases: second(ebpf, map::LEASES)?,
            leased: second(ebpf, map::LEASED)?,
            buckets: second(ebpf, map::BUCKETS)?,
            exceptions: second(ebpf, map::EXCEPTIONS)?,
            differences: second(ebpf, map::DIFFERENCES)?,
            watching: Watching {
                conversations: Mutex::new(second(ebpf, map::WATCHED)?),
                missed: second(ebpf, map::UNWATCHED)?,
            },
            judging,
            heartbeat,
            device_capacity,
        })
    }

    /// Conversations that no rule allows and that pass, with what was counted since each began.
    #[must_use]
    pub fn watched(&self) -> Vec<(FlowKey, Watched)> {
        self.watching.read()
    }

    /// Lets go of those of `kept` that are over at `now` (nanoseconds since boot) and went on no further.
    pub fn let_go_of_watched(&self, kept: &[(FlowKey, Watched)], now: u64) {
        self.watching.let_go(kept, now);
    }

    /// Packets of such conversations that there was no room for.
    #[must_use]
    pub fn unwatched(&self) -> u64 {
        self.watching.missed()
    }

    /// The word that says when the agent was last alive.
    #[must_use]
    pub fn heartbeat(&self) -> &Heartbeat {
        &self.heartbeat
    }
}
