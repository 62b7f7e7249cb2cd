//! What tables cost: the time to make new ones what frames are judged by, their memory, and the time from a
//! block by hand to the first frame that is dropped for it.

use std::fs;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use aya::maps::MapData;
use iomt_filter::datapath::Room;
use iomt_filter::rows::{Prefix, Prefixes, Rows};
use iomt_filter_common::geo::Country;
use iomt_filter_common::reputation::Listing;

use crate::case::{self, Case};
use crate::contender::{Contender as _, XDP_DROP, XDP_PASS};
use crate::countries::Countries;
use crate::driver::{Driver, Place, cpu_time};
use crate::far_ends::{self, Kind};
use crate::figure::{Figure, figure};
use crate::filter::Filter;
use crate::hospital::Family;
use crate::measure::pin;
use crate::sample::{Sample, quantile};
use crate::traffic::Frames;

pub(crate) const ABOUT: &str = "tables of 1000 devices; rows are prepared, `apply` makes lines of them, writes them and swaps; \
    without feeds, files and the agent's socket";

/// How often each is done.
#[derive(Clone, Copy)]
struct Times {
    applied: u16,
    pushed: usize,
}

/// All figures.
pub(crate) fn measure(countries: &Countries, is_short: bool) -> Result<Vec<Figure>> {
    pin()?;
    let times = if is_short { Times { applied: 3, pushed: 100 } } else { Times { applied: 7, pushed: 1000 } };
    let mut figures = Vec::new();
    let sizes: &[u32] = if is_short { &[1_000_000] } else { &[1_000_000, 4_000_000] };
    for &listed in sizes {
        let hospital = crate::hospital::Hospital { listed, ..case::HOSPITAL };
        let mut filter = Filter::load_with(hospital, countries, Room::with_headroom)?;
        let rows = hospital.rows(countries);
        let name = |what: &str| format!("{} M listed: {what}", listed / 1_000_000);
        figures.extend(apply(&mut filter, &rows, times, &name)?);
        if listed == 1_000_000 {
            figures.extend(push(&mut filter, &rows, countries, times)?);
        }
        figures.extend(memory(&filter, &name)?);
    }
    Ok(figures)
}

/// Makes other lists, then other lists and countries, what frames are judged by.
fn apply(
    filter: &mut Filter,
    rows: &Rows,
    times: Times,
    name: &dyn Fn(&str) -> String,
) -> Result<Vec<Figure>> {
    let (mut lists, mut all, mut all_cpu) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..times.applied {
        let new_lists = Rows { listings: other_listings(&rows.listings, turn), ..rows.clone() };
        lists.push(timed(filter, new_lists)?.0);
        let listings = other_listings(&rows.listings, turn + times.applied);
        let new = Rows { listings, countries: other_countries(&rows.countries, turn), ..rows.clone() };
        let (wall, cpu) = timed(filter, new)?;
        all.push(wall);
        all_cpu.push(cpu);
    }
    Ok(vec![
        figure(name("new lists and all countries: built, written, live"), Sample::of(&all).median, "s"),
        figure(name("the same, CPU time"), Sample::of(&all_cpu).median, "s"),
        figure(name("new lists alone"), Sample::of(&lists).median, "s"),
    ])
}

fn timed(filter: &mut Filter, rows: Rows) -> Result<(f64, f64)> {
    let (wall, cpu) = (Instant::now(), cpu_time()?);
    filter.datapath.apply(rows, &filter.token)?;
    Ok((wall.elapsed().as_secs_f64(), cpu_time()?.saturating_sub(cpu).as_secs_f64()))
}

/// The same addresses from another feed: tables that were never made before.
fn other_listings(listings: &Prefixes<Listing>, turn: u16) -> Prefixes<Listing> {
    listings.iter().map(|(prefix, listing)| (*prefix, Listing { feed: turn + 2, ..*listing })).collect()
}

/// The same with one country less.
fn other_countries(countries: &Prefixes<Country>, turn: u16) -> Prefixes<Country> {
    countries.iter().skip(usize::from(turn) + 1).copied().collect()
}

/// Blocks one address after the other, and looks each time when a frame to it is dropped that passed before.
fn push(filter: &mut Filter, rows: &Rows, countries: &Countries, times: Times) -> Result<Vec<Figure>> {
    let case = case::all()
        .into_iter()
        .find(|case| case.family == Family::V4 && case.reason == iomt_filter_common::Reason::Allowed);
    let case = Case { log2_frames: 0, ..case.context("no case opens connections")? };
    let frames = Frames::of(&case, countries);
    let mut driver = Driver::load(0)?;
    filter.enter(&mut driver)?;
    filter.prepare(&case)?;
    let far_ends = far_ends::some(countries, Family::V4, Kind::Clean, times.pushed);
    let mut blocked = rows.clone();
    for _ in 0..2 {
        // Both slots hold these lists then: what is left to do is the block.
        filter.datapath.apply(rows.clone(), &filter.token)?;
    }
    let mut latencies = Vec::new();
    for address in far_ends {
        driver.set_frames(0, |number| frames.frame_to(number, address));
        let mut judge = |place: Place| driver.run(place, frames.port_offset(), 1).map(|timed| timed.action);
        ensure!(judge(filter.place())? == XDP_PASS, "{address} was blocked before");
        let start = Instant::now();
        blocked.blocks = with(&blocked.blocks, address);
        filter.datapath.apply(blocked.clone(), &filter.token)?;
        while judge(filter.place())? != XDP_DROP {
            ensure!(start.elapsed() < Duration::from_secs(1), "{address} is not blocked");
        }
        latencies.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let name = |what: &str| format!("one block by hand to the first drop, {what}");
    let note = format!("{} pushes behind each other, among 1 M listed", times.pushed);
    Ok(vec![
        figure(name("median"), quantile(&latencies, 0.5), "ms").note(note),
        figure(name("p99"), quantile(&latencies, 0.99), "ms"),
        figure(name("longest"), quantile(&latencies, 1.0), "ms"),
    ])
}

fn with(blocks: &Prefixes<Listing>, address: IpAddr) -> Prefixes<Listing> {
    let block = (Prefix::from(address), Listing { feed: 1, score: 100, prefix_bits: 128 });
    blocks.iter().copied().chain([block]).collect()
}

/// What the kernel charges for the maps.
fn memory(filter: &Filter, name: &dyn Fn(&str) -> String) -> Result<Vec<Figure>> {
    let mut maps = Vec::new();
    for id in filter.datapath.xdp()?.info()?.map_ids()?.unwrap_or_default() {
        let map = MapData::from_id(id)?;
        let map_name = map.info()?.name_as_str().unwrap_or("?").to_owned();
        let path = format!("/proc/self/fdinfo/{}", map.fd().as_fd().as_raw_fd());
        let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{path}`"))?;
        let bytes = text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse::<f64>().ok());
        maps.push((map_name, bytes.with_context(|| format!("`{path}` says nothing of memory"))?));
    }
    let sum = |is_it: &dyn Fn(&str) -> bool| -> f64 {
        maps.iter().filter(|(name, _)| is_it(name)).map(|(_, bytes)| bytes / f64::from(1 << 20)).sum()
    };
    let is_flat = |name: &str| ["LISTINGS", "BLOCKS", "COUNTRIES"].contains(&name);
    let used: Vec<_> = filter
        .datapath
        .lines()
        .iter()
        .map(|(name, used, room)| format!("{name} {used} of {room} lines"))
        .collect();
    Ok(vec![
        figure(name("memory of lists and countries, both halves and headroom"), sum(&is_flat), "MiB")
            .note(used.join(", ")),
        figure(name("memory of all maps but FLOWS"), sum(&|name| name != "FLOWS"), "MiB"),
        figure(name("memory of FLOWS"), sum(&|name| name == "FLOWS"), "MiB")
            .note(format!("{} flows", case::HOSPITAL.flows)),
    ])
}
