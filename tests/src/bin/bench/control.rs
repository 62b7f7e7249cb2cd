//! What tables cost: the time to make new ones what frames are judged by, their memory, the time from a block by
//! hand to the first frame that is dropped for it, and whether they hold what they must.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use iomt_filter::datapath::Room;
use iomt_filter::rows::{Prefix, Prefixes, Rows};
use iomt_filter_common::geo::Country;
use iomt_filter_common::reputation::Listing;
use iomt_filter_tests::lookups;

use crate::case;
use crate::countries::Countries;
use crate::driver::cpu_time;
use crate::figure::{Figure, figure};
use crate::filter::Filter;
use crate::hospital::Hospital;
use crate::measure::pin;
use crate::sample::Sample;

mod cut;
mod feed;
mod memory;
mod plan;
mod push;

pub(crate) const ABOUT: &str = "tables of 1000 devices; rows are prepared, `apply` makes lines of them, writes them and swaps; \
    without files and the agent's socket; a list is read from memory";

/// Addresses that are looked up in the tables and by a plain search.
const LOOKUPS: u64 = 10_000_000;
/// The time between two changes that people make.
const SPACE: Duration = Duration::from_millis(50);

/// How often each is done.
#[derive(Clone, Copy)]
struct Times {
    applied: u16,
    swapped: usize,
    pushed: usize,
    spaced: usize,
    cut: usize,
}

const SHORT: Times = Times { applied: 3, swapped: 40, pushed: 100, spaced: 60, cut: 20 };
const FULL: Times = Times { applied: 7, swapped: 200, pushed: 1000, spaced: 300, cut: 100 };

/// All figures.
pub(crate) fn measure(countries: &Countries, is_short: bool) -> Result<Vec<Figure>> {
    pin()?;
    let times = if is_short { SHORT } else { FULL };
    let mut figures = feed::of_a_list(countries, times.applied)?;
    let sizes: &[u32] = if is_short { &[1_000_000] } else { &[1_000_000, 4_000_000] };
    for &listed in sizes {
        let hospital = Hospital { listed, ..case::HOSPITAL };
        let mut filter = Filter::load_with(hospital, countries, Room::with_headroom)?;
        let rows = hospital.rows(countries);
        let name = |what: &str| format!("{} M listed: {what}", listed / 1_000_000);
        figures.extend(apply(&mut filter, &rows, times, &name)?);
        figures.extend(push::swap(&mut filter, &rows, countries, times.swapped, &name)?);
        figures.extend(push::push(&mut filter, &rows, countries, times, &name)?);
        figures.extend(memory::of_lists(&filter, &name)?);
    }
    figures.extend(memory::of_indicators(countries)?);
    figures.extend(cut::cut(countries, times.cut)?);
    figures.extend(plan::plan(countries, times.applied)?);
    figures.push(look_up()?);
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

/// The same and an address that is blocked by hand.
fn with(blocks: &Prefixes<Listing>, address: std::net::IpAddr) -> Prefixes<Listing> {
    let block = (Prefix::from(address), Listing { feed: 1, score: 100, prefix_bits: 128 });
    blocks.iter().copied().chain([block]).collect()
}

/// Looks up random addresses and those at the ends of prefixes, in the tables and by a plain search.
fn look_up() -> Result<Figure> {
    let lists = lookups::Lists::new(1, lookups::MILLION);
    let seen = lists.compare(2, LOOKUPS).map_err(anyhow::Error::msg)?;
    ensure!(seen.addresses >= LOOKUPS, "{} addresses were looked up", seen.addresses);
    let millions = seen.addresses as f64 / 1e6;
    let note = format!(
        "as a plain search has it, in lists of 1 M hosts and prefixes, and in countries; {} listed, {} with a country",
        seen.listed, seen.with_country
    );
    Ok(figure("addresses that were looked up without a difference", millions, "M").note(note))
}
