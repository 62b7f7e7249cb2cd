//! Debian's `xdp-filter`: loaded by its own command in a network namespace, then found in the kernel and called
//! by the driver.

use std::collections::HashSet;
use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Map, MapData, PerCpuArray, PerCpuHashMap, PerCpuValues};
use aya::programs::{ProgramInfo, loaded_programs};
use aya::util::nr_cpus;
use iomt_filter_common::Reason;
use iomt_filter_tests::netns::Netns;

use crate::case::Case;
use crate::contender::{Contender, Expected};
use crate::countries::Countries;
use crate::driver::{Driver, Place, Timed};
use crate::far_ends::{self, Kind};
use crate::hospital::Family;
use crate::traffic::Traffic;

const PLACE: Place = Place { is_plain: true, number: 1 };
/// As many as its maps take.
const MOST_LISTED: u32 = 10_000;
/// What an entry begins with that is to drop frames to and from an address (`MAP_FLAG_SRC | MAP_FLAG_DST`); the
/// bits above count.
const BOTH_WAYS: u64 = 3;
/// The program with all features that passes what is not listed.
const NAME: &str = "xdpfilt_alw_all";
const ACTIONS: u32 = 5;

/// What the table of results says of it.
pub(crate) const ABOUT: &str = "xdp-filter: Debian's, all features, exact addresses only, at most 10,000 of each family; no devices, \
    flows, prefixes, countries, events";

/// The loaded program.
pub(crate) struct XdpFilter {
    program: ProgramInfo,
    statistics: PerCpuArray<MapData, [u64; 2]>,
    counted: Vec<u64>,
    /// The program is on an interface in there.
    _networks: Netns,
}

impl XdpFilter {
    /// Why it cannot be measured, where it is not installed.
    pub(crate) fn missing() -> Option<String> {
        let found = std::process::Command::new("xdp-filter").arg("help").output();
        found.err().map(|error| format!("xdp-filter: not measured: {error} (install `xdp-tools`)"))
    }

    /// Loads it and has it list as many addresses as it can of those that the filter lists.
    pub(crate) fn load(countries: &Countries) -> Result<Self> {
        let before: HashSet<u32> = programs().map(|(id, _)| id).collect();
        let mut networks = Netns::new("iomtb");
        let (a, b) = (networks.add("xf-a")?, networks.add("xf-b")?);
        networks.cable((&a, "left"), (&b, "right"))?;
        // `ip netns exec` gives the command mounts of its own: what it pins is gone with it. A dispatcher in
        // front would make it a program that no driver can call.
        let script = "mount -t bpf bpf /sys/fs/bpf && LIBXDP_SKIP_DISPATCHER=1 xdp-filter load -m native -f all -p allow left";
        a.run(&["sh", "-c", script])?;
        // What the kernel itself sends there would be counted too.
        a.ip(&["link", "set", "left", "down"])?;
        let is_new =
            |(id, info): &(u32, ProgramInfo)| info.name_as_str() == Some(NAME) && !before.contains(id);
        let (_, program) =
            programs().find(is_new).context("the program of `xdp-filter` is not in the kernel")?;
        let statistics = PerCpuArray::try_from(map_of(&program, "xdp_stats_map")?)?;
        let filter = Self { program, statistics, counted: Vec::new(), _networks: networks };
        filter.add_addresses(countries)?;
        Ok(filter)
    }

    /// Has the driver call it.
    pub(crate) fn enter(&self, driver: &mut Driver) -> Result<()> {
        driver.set_program(PLACE, &self.program.fd()?)
    }

    fn add_addresses(&self, countries: &Countries) -> Result<()> {
        let entry = || PerCpuValues::try_from(vec![BOTH_WAYS; nr_cpus().map_err(|(_, error)| error)?]);
        let mut v4: PerCpuHashMap<_, [u8; 4], u64> =
            PerCpuHashMap::try_from(map_of(&self.program, "filter_ipv4")?)?;
        let mut v6: PerCpuHashMap<_, [u8; 16], u64> =
            PerCpuHashMap::try_from(map_of(&self.program, "filter_ipv6")?)?;
        for family in [Family::V4, Family::V6] {
            let kind = Kind::Listed(MOST_LISTED);
            for address in far_ends::some(countries, family, kind, MOST_LISTED as usize) {
                match address {
                    IpAddr::V4(address) => v4.insert(address.octets(), entry()?, 0)?,
                    IpAddr::V6(address) => v6.insert(address.octets(), entry()?, 0)?,
                }
            }
        }
        Ok(())
    }

    /// Frames so far, by action.
    fn counts(&self) -> Result<Vec<u64>> {
        let sum = |action| Ok(self.statistics.get(&action, 0)?.iter().map(|[frames, _]| frames).sum());
        (0..ACTIONS).map(sum).collect()
    }
}

impl Contender for XdpFilter {
    fn name(&self) -> &'static str {
        "xdp-filter"
    }

    fn place(&self) -> Place {
        PLACE
    }

    /// What it has a word for: frames that pass, and those to addresses on a list that it can hold.
    fn judges(&self, case: &Case) -> bool {
        match case.traffic {
            Traffic::Opens { to: Kind::Listed(listed), .. } => listed <= MOST_LISTED,
            _ => {
                matches!(case.reason, Reason::Established | Reason::Allowed) && !case.hospital.has_management
            }
        }
    }

    fn prepare(&mut self, _case: &Case) -> Result<()> {
        Ok(())
    }

    fn begin(&mut self) -> Result<()> {
        self.counted = self.counts()?;
        Ok(())
    }

    fn check(&self, expected: &Expected<'_>, last: Timed) -> Result<()> {
        let wanted = expected.action();
        ensure!(last.action == wanted, "xdp-filter returned {}, not {wanted}", last.action);
        let counts = self.counts()?;
        let moved = counts.iter().zip(&self.counted).map(|(after, before)| after - before);
        for (action, frames) in (0..).zip(moved) {
            let wanted = if action == wanted { expected.frames() } else { 0 };
            ensure!(frames == wanted, "{frames} frames came to action {action} of xdp-filter, not {wanted}");
        }
        Ok(())
    }
}

/// All programs in the kernel; one that goes meanwhile is none.
fn programs() -> impl Iterator<Item = (u32, ProgramInfo)> {
    loaded_programs().flatten().map(|info| (info.id(), info))
}

fn map_of(program: &ProgramInfo, name: &str) -> Result<Map> {
    for id in program.map_ids()?.unwrap_or_default() {
        let map = MapData::from_id(id)?;
        if map.info()?.name_as_str() == Some(name) {
            return Ok(Map::from_map_data(map)?);
        }
    }
    anyhow::bail!("`{NAME}` has no map `{name}`")
}
