//! Loads the program with tables of the right size, or takes over the tables that are pinned.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use aya::maps::lpm_trie::Key;
use aya::maps::{MapData, MapError, RingBuf};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, Xdp};
use aya::util::nr_cpus;
use aya::{Ebpf, EbpfError, EbpfLoader};
use aya_log::EbpfLogger;
use iomt_filter_common::abi::{self, Active, Change, MAX_PROFILES, ProtectedKey, SLOTS, map};
use iomt_filter_common::counters::{EventLimit, FATES, PER_DEVICE, REASONS};
use iomt_filter_common::device::Device;
use iomt_filter_common::exception::Exception;
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::flowtable::{MOST_DEVICES, V4_WORDS, V6_WORDS};
use iomt_filter_common::fragment::{FirstFragment, FragmentKey};
use iomt_filter_common::lease::{FAMILIES, Lease, Requests};
use iomt_filter_common::limit::Buckets;
use iomt_filter_common::lookup::{Directory, Line};
use iomt_filter_common::policy::{Grant, GrantKey, Profile, Settings};
use iomt_filter_common::query::{self, Query};
use iomt_filter_common::trial::{DIFFERENCES, Difference};
use iomt_filter_common::watch::{MOST_WATCHED, Watched};
use iomt_filter_common::{Address, ports};
use log::Log;
use thiserror::Error;

use super::flows::{self, Flows};
use super::generation::{Grace, Heartbeat, Judging};
use super::maps::{self, Maps};
use super::pins::{self, Found, Shape};
use super::plan;
use super::readings::Readings;
use super::shelves::Room;
use crate::privileges;
use crate::rows::Rows;

/// The kernel program, compiled for BPF.
static PROGRAM: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/iomt-filter"));

/// The oldest kernel that the program is known to run on. An older one is asked all the same: it may
/// carry what the program needs.
pub const OLDEST_KERNEL: (u32, u32) = (6, 1);
/// Flows that are remembered where nothing else is said.
pub const DEFAULT_FLOWS: u32 = 131_072;
/// Protected peers of one generation that fit; tries take memory as they fill.
pub(super) const PROTECTED_ROWS: u32 = 8_388_608;
/// Fragmented packets on their way at once.
pub(super) const FRAGMENTS: u32 = 8_192;
/// Hosts on uplinks that were heard of.
const FAR_HOSTS: u32 = 4_096;
/// Cells of grants of one generation that fit; they take memory as they come.
pub(super) const GRANT_CELLS: u32 = 32_768;
const EVENT_BUFFER_BYTES: u32 = 4 << 20;
const REPLAY_BUFFER_BYTES: u32 = 64 << 10;

/// How to load.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Where program and maps are pinned; `None` keeps them private to this process.
    pub pins: Option<PathBuf>,
    /// Devices that must fit; the tables get room for more.
    pub devices: usize,
    /// Room for lists and countries.
    pub room: Room,
    /// Flows that are remembered at most.
    pub flows: u32,
    /// Records per device, reason, CPU and second.
    pub events_per_second: u32,
    /// Whether every frame is recorded and brings its own clock.
    pub replay: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            pins: None,
            devices: 0,
            room: Room::default(),
            flows: DEFAULT_FLOWS,
            events_per_second: 10,
            replay: false,
        }
    }
}

/// Why the program could not be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// The process may not use BPF.
    #[error(
        "not allowed to load BPF programs: this process lacks {}; run it as root, or give it CAP_BPF, CAP_NET_ADMIN \
         and CAP_PERFMON",
        .0.join(" and ")
    )]
    NotAllowed(Vec<String>),
    /// Something else than a missing capability forbids it.
    #[error(
        "the kernel forbids this process to load BPF programs, though it has the capabilities; does a sandbox, a \
         container or the kernel's lockdown keep it from `bpf(2)`?"
    )]
    Forbidden,
    /// The kernel lacks something that the program needs.
    #[error("kernel {release} cannot run this program: it needs {}.{} or newer", OLDEST_KERNEL.0, OLDEST_KERNEL.1)]
    KernelTooOld {
        /// `uname -r`.
        release: String,
    },
    /// Pinned maps come from another version.
    #[error(
        "`{path}` holds tables of contract version {found}, this program needs {needed}; run `iomt-filter detach`, of \
         whatever version, then start again; between the two nothing is filtered"
    )]
    OtherVersion {
        /// The pin folder.
        path: PathBuf,
        /// Version of what is pinned.
        found: u32,
        /// Version of this program.
        needed: u32,
    },
    /// The inventory has outgrown the pinned tables.
    #[error(
        "{needed} devices do not fit the tables in the kernel, which hold {capacity}; run `iomt-filter detach`, then start again to make larger ones"
    )]
    TooManyDevices {
        /// Devices wanted.
        needed: usize,
        /// Devices that fit.
        capacity: usize,
    },
    /// The pin folder cannot be used.
    #[error(
        "failed to use the pin folder `{path}`; is a BPF file system mounted there (`mount -t bpf bpf /sys/fs/bpf`)?"
    )]
    Pins {
        /// The folder.
        path: PathBuf,
        /// What went wrong.
        #[source]
        error: io::Error,
    },
    /// The object lacks a map of the contract.
    #[error("the compiled program has no map `{0}`")]
    NoMap(&'static str),
    /// Some tables are gone while interfaces are still judged by the others.
    #[error(
        "`{path}` holds tables that cannot be taken over ({what}) while `{}` is judged by them; run `iomt-filter detach`, then start again; between the two nothing is filtered",
        interfaces.join("`, `")
    )]
    Incomplete {
        /// The pin folder.
        path: PathBuf,
        /// What is wrong with them.
        what: String,
        /// Interfaces that have a link.
        interfaces: Vec<String>,
    },
    /// A map has another type.
    #[error("failed to use the map `{0}`")]
    Map(&'static str, #[source] MapError),
    /// It cannot be opened a second time.
    #[error("failed to open the map `{0}` for reading")]
    Handle(&'static str, #[source] io::Error),
    /// Pinning failed.
    #[error("failed to pin the program in `{path}`")]
    Pin {
        /// Where.
        path: PathBuf,
        /// What went wrong.
        #[source]
        error: aya::pin::PinError,
    },
    /// The kernel refused maps or object.
    #[error("failed to create the maps")]
    Object(#[source] EbpfError),
    /// The kernel refused the program.
    #[error("the kernel refused the program")]
    Program(#[source] ProgramError),
    /// Memory cannot be shared with the kernel.
    #[error("failed to map what is shared with the kernel into memory")]
    Shared(#[source] io::Error),
}

/// The loaded program, its tables, and what they hold.
pub struct Datapath {
    pub(super) ebpf: Ebpf,
    pub(super) maps: Maps,
    pub(super) judging: Arc<Judging>,
    pub(super) heartbeat: Arc<Heartbeat>,
    pub(super) pins: Option<PathBuf>,
    pub(super) device_capacity: u32,
    pub(super) readings: Arc<Readings>,
    /// What each slot holds; `None` where that is not known.
    pub(super) slots: [Option<Rows>; SLOTS as usize],
    /// That of the last swap.
    pub(super) grace: Grace,
    /// Links that end with this process: those of tables without pins.
    pub(super) links: Vec<FdLink>,
    /// Links that stay while this process lives, whatever becomes of their pins, by the index of the interface.
    pub(super) held: BTreeMap<u32, OwnedFd>,
    /// The kernel's number of the program.
    pub(super) program: u32,
    adopted: bool,
}

impl Datapath {
    /// Loads the program. With pins, tables that are already there are taken over with their content:
    /// flows, counters, and the generation that is active.
    ///
    /// # Errors
    /// When the kernel refuses, the process lacks a capability, or what is pinned does not fit.
    pub fn load(options: &LoadOptions) -> Result<Self, LoadError> {
        let pinned_capacity = match &options.pins {
            Some(pins) => pins::prepare(pins, options)?,
            None => None,
        };
        let device_capacity = pinned_capacity.unwrap_or_else(|| device_capacity(options.devices));
        if options.devices >= device_capacity.min(MOST_DEVICES) as usize {
            let capacity = device_capacity as usize - 1;
            return Err(LoadError::TooManyDevices { needed: options.devices, capacity });
        }
        let flow_sets = match (&options.pins, pinned_capacity) {
            (Some(pins), Some(_)) => pins::flow_sets(pins)?,
            _ => flows::sets(options.flows),
        };
        let replay = u32::from(options.replay);
        let sizes = sizes(options, device_capacity);
        let mut loader = EbpfLoader::new();
        loader
            .override_global("DEVICE_CAPACITY", &device_capacity, true)
            .override_global("FLOW_SETS", &flow_sets, true)
            .override_global(abi::EVENTS_PER_SECOND, &options.events_per_second, true)
            .override_global(abi::REPLAY, &replay, true);
        for (name, entries) in &sizes {
            loader.map_max_entries(name, *entries);
        }
        if let Some(pins) = &options.pins {
            for shape in shapes(options, device_capacity) {
                loader.map_pin_path(shape.name, pins::maps_folder(pins).join(shape.name));
            }
        }
        let mut ebpf = loader.load(PROGRAM).map_err(refused_object)?;
        let xdp = program(&mut ebpf)?;
        xdp.load().map_err(refused_program)?;
        let number = xdp.info().map_err(LoadError::Program)?.id();
        let word = maps::data(&mut ebpf, map::HEARTBEAT)?;
        let heartbeat = Arc::new(Heartbeat::map(word.fd()).map_err(LoadError::Shared)?);
        let [v4, v6, secret] = Flows::MAPS.map(|name| maps::data(&mut ebpf, name));
        let flow_maps = [v4?, v6?, secret?];
        let flows = Arc::new(Flows::map(&flow_maps, flow_sets).map_err(LoadError::Shared)?);
        let judged = [map::ACTIVE, map::CHANGE].map(|name| maps::data(&mut ebpf, name));
        let [active, change] = judged;
        let (active, change) = (active?, change?);
        let judging = Arc::new(Judging::map(active.fd(), change.fd()).map_err(LoadError::Shared)?);
        let readings = Readings::open(&ebpf, judging.clone(), heartbeat.clone(), flows, device_capacity)?;
        let maps = Maps::take(&mut ebpf, [word, active, change], flow_maps)?;
        let adopted = pinned_capacity.is_some();
        let datapath = Self {
            ebpf,
            maps,
            judging,
            heartbeat,
            pins: options.pins.clone(),
            device_capacity,
            readings: Arc::new(readings),
            slots: [const { None }; SLOTS as usize]
                .map(|none: Option<Rows>| none.or((!adopted).then(Rows::default))),
            grace: Grace::new(adopted),
            links: Vec::new(),
            held: BTreeMap::new(),
            program: number,
            adopted,
        };
        Ok(datapath)
    }

    /// Whether [`load`](Self::load) will take over tables of an earlier process; nothing is changed.
    #[must_use]
    pub fn can_adopt(options: &LoadOptions) -> bool {
        options.pins.as_ref().is_some_and(|pins| matches!(pins::found(pins, options), Found::Tables(_)))
    }

    /// For how many devices a copy with tables as large as these has to be [`load`](Self::load)ed.
    #[must_use]
    pub const fn most_devices(&self) -> usize {
        self.device_capacity as usize / 2
    }

    /// Whether tables of an earlier process were taken over.
    #[must_use]
    pub const fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// The word that says when the agent was last alive.
    #[must_use]
    pub fn heartbeat(&self) -> Arc<Heartbeat> {
        self.heartbeat.clone()
    }

    /// What the program fills, to be read beside whatever is written here.
    #[must_use]
    pub fn readings(&self) -> Arc<Readings> {
        self.readings.clone()
    }

    /// The rows of the active generation, where this process wrote them.
    #[must_use]
    pub fn active_rows(&self) -> Option<&Rows> {
        self.slots.get(self.generation()?.slot as usize)?.as_ref()
    }

    /// Names of the tables in lines, and how many lines of 64 bytes the active generation uses of how many that
    /// there are for one; 0 as long as this process has written none.
    #[must_use]
    pub fn lines(&self) -> [(&'static str, usize, usize); 4] {
        let slot = self.generation().map_or(0, |generation| generation.slot);
        // What cannot be read is shown as if it lay in the first half.
        self.maps.shelves.fill(&self.maps.directory.get(&slot, 0).unwrap_or_default())
    }

    /// What `apply` would change for packets.
    #[must_use]
    pub fn plan(&self, rows: &Rows) -> plan::Plan {
        plan::diff(self.active_rows().unwrap_or(&Rows::default()), rows)
    }

    /// The ring buffer of records; it can be taken once.
    pub const fn take_events(&mut self) -> Option<RingBuf<MapData>> {
        self.maps.events.take()
    }

    /// The program, for test runs and for what the kernel says of it.
    ///
    /// # Errors
    /// When the compiled object lacks it.
    pub fn xdp(&self) -> Result<&Xdp, LoadError> {
        let program = self.ebpf.program(abi::PROGRAM).ok_or(LoadError::NoMap(abi::PROGRAM))?;
        program.try_into().map_err(LoadError::Program)
    }

    /// The program's own rare diagnostics; they can be taken once.
    ///
    /// # Errors
    /// When the compiled object has none.
    pub fn take_log(&mut self) -> Result<EbpfLogger<&'static dyn Log>, aya_log::Error> {
        EbpfLogger::init(&mut self.ebpf)
    }

    /// The loaded program, to be loaded again.
    ///
    /// # Errors
    /// When the compiled object lacks it.
    pub fn xdp_mut(&mut self) -> Result<&mut Xdp, LoadError> {
        program(&mut self.ebpf)
    }
}

pub(super) fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, LoadError> {
    let program = ebpf.program_mut(abi::PROGRAM).ok_or(LoadError::NoMap(abi::PROGRAM))?;
    program.try_into().map_err(LoadError::Program)
}

/// Room for twice the devices, so that a growing inventory does not need new tables.
fn device_capacity(devices: usize) -> u32 {
    u32::try_from(devices.saturating_mul(2).max(255)).unwrap_or(u32::MAX / 2).next_power_of_two()
}

/// The size that the kernel is to make each map in.
fn sizes(options: &LoadOptions, devices: u32) -> BTreeMap<&'static str, u32> {
    shapes(options, devices).into_iter().map(|shape| (shape.name, shape.entries)).collect()
}

/// Rows of a table that forgets its least recently used one, where `wanted` are to be remembered.
pub(super) fn lru_rows(wanted: u32) -> u32 {
    // Where nobody says how many processors there are, the table is as large as it was wanted.
    wanted.max(least_lru_rows(nr_cpus().unwrap_or(1)))
}

/// Kernels set 128 free rows of such a table aside for every processor that the host may have, until 2025 of
/// however small a table (`LOCAL_FREE_TARGET` in `kernel/bpf/bpf_lru_list.c`): one that is smaller than that
/// forgets what was remembered a moment ago.
fn least_lru_rows(processors: usize) -> u32 {
    u32::try_from(processors.saturating_mul(256)).unwrap_or(u32::MAX)
}

/// What the kernel is to make of each map that is pinned.
pub(super) fn shapes(options: &LoadOptions, devices: u32) -> Vec<Shape> {
    let buffer = if options.replay { REPLAY_BUFFER_BYTES } else { EVENT_BUFFER_BYTES };
    vec![
        Shape::of::<u32, Active>(map::ACTIVE, 1),
        Shape::of::<u32, Change>(map::CHANGE, 1),
        Shape::of::<u32, Settings>(map::SETTINGS, SLOTS),
        Shape::of::<u32, Profile>(map::PROFILES, SLOTS * MAX_PROFILES),
        Shape::of::<u32, Device>(map::DEVICES, SLOTS * devices),
        Shape::of::<Key<ProtectedKey>, u32>(map::PROTECTED, SLOTS * PROTECTED_ROWS),
        Shape::of::<u32, Directory>(map::DIRECTORY, SLOTS),
        Shape::of::<u32, Line>(map::LISTINGS, Room::of_both(options.room.listings)),
        Shape::of::<u32, Line>(map::BLOCKS, Room::of_both(options.room.blocks)),
        Shape::of::<u32, Line>(map::COUNTRIES, Room::of_both(options.room.countries)),
        Shape::of::<u32, Line>(map::POLICY, Room::of_both(options.room.policy)),
        Shape::of::<u32, [u64; V4_WORDS]>(map::FLOWS_V4, flows::sets(options.flows)),
        Shape::of::<u32, [u64; V6_WORDS]>(map::FLOWS_V6, flows::of_family(flows::sets(options.flows), false)),
        Shape::of::<u32, u64>(map::FLOW_SECRET, 1),
        Shape::of::<FragmentKey, FirstFragment>(map::FRAGMENTS, lru_rows(FRAGMENTS)),
        Shape::of::<FragmentKey, FirstFragment>(map::OTHER_FRAGMENTS, lru_rows(FRAGMENTS)),
        Shape::of::<u32, Query>(map::QUERIES, query::places(devices)),
        Shape::of::<Address, u64>(map::FAR_HOSTS, lru_rows(FAR_HOSTS)),
        Shape::of::<GrantKey, Grant>(map::GRANTS, SLOTS * GRANT_CELLS),
        Shape::of::<u32, Lease>(map::LEASES, devices * FAMILIES),
        // A row for each lease, and as many for those that two CPUs learn of one device at once.
        Shape::of::<Address, u32>(map::LEASED, devices * FAMILIES * 2),
        Shape::of::<u32, Requests>(map::REQUESTS, devices * FAMILIES),
        Shape::of::<u32, Buckets>(map::BUCKETS, devices),
        Shape::of::<u32, Exception>(map::EXCEPTIONS, devices),
        Shape::of::<Difference, u64>(map::DIFFERENCES, DIFFERENCES),
        Shape::of::<FlowKey, Watched>(map::WATCHED, MOST_WATCHED),
        Shape::of::<u32, u64>(map::UNWATCHED, 1),
        Shape::of::<u32, u64>(map::HEARTBEAT, 1),
        Shape::of::<u32, Line>(map::PORTS, ports::LINES),
        Shape::of::<u32, u64>(map::COUNTERS, devices * PER_DEVICE),
        Shape::of::<u32, u64>(map::FATES, FATES),
        Shape::of::<u32, EventLimit>(map::LIMITS, devices * REASONS),
        Shape { name: map::EVENTS, key: 0, value: 0, entries: buffer },
    ]
}

fn refused_object(error: EbpfError) -> LoadError {
    not_allowed(&error).or_else(too_old).unwrap_or(LoadError::Object(error))
}

fn refused_program(error: ProgramError) -> LoadError {
    not_allowed(&error).or_else(too_old).unwrap_or(LoadError::Program(error))
}

/// The reason where it is one of rights. The verifier answers EACCES, for programs that it takes from others too.
fn not_allowed(error: &(dyn std::error::Error + 'static)) -> Option<LoadError> {
    let refusal = refusal(error)?;
    let missing = privileges::missing();
    match refusal {
        libc::EPERM | libc::EACCES if !missing.is_empty() => Some(LoadError::NotAllowed(missing)),
        libc::EPERM => Some(LoadError::Forbidden),
        _ => None,
    }
}

/// The reason that stands behind any refusal of a kernel that is too old.
fn too_old() -> Option<LoadError> {
    let name = nix::sys::utsname::uname().ok()?;
    let release = name.release().to_string_lossy().into_owned();
    is_older_than(&release, OLDEST_KERNEL).then_some(LoadError::KernelTooOld { release })
}

/// What the kernel answered.
fn refusal(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return io.raw_os_error();
        }
        cause = error.source();
    }
    None
}

/// Whether a release, as `uname -r` says it, comes before a version.
pub(crate) fn is_older_than(release: &str, wanted: (u32, u32)) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_compared_by_number() {
        assert!(is_older_than("5.15.0-91-generic", (6, 1)));
        assert!(is_older_than("6.0.19", (6, 1)));
        assert!(!is_older_than("6.1", (6, 1)));
        assert!(!is_older_than("6.12.1+deb13-amd64", (6, 1)));
    }

    #[test]
    fn tables_have_room_for_twice_the_devices() {
        assert_eq!(device_capacity(0), 256);
        assert_eq!(device_capacity(300), 1024);
    }

    #[test]
    fn tables_that_forget_have_room_for_what_every_processor_sets_aside() {
        assert_eq!((least_lru_rows(2), least_lru_rows(128)), (512, 32_768));
        assert_eq!(lru_rows(1 << 20), least_lru_rows(nr_cpus().unwrap()).max(1 << 20));
        assert!(lru_rows(1) >= 256);
    }
}
