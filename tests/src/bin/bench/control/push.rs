//! How long it takes until frames are judged by what was changed: of a block by hand, and of a swap alone.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use iomt_filter::rows::Rows;
use iomt_filter_common::Reason;

use super::{SPACE, Times, other_listings, with};
use crate::case::{self, Case};
use crate::contender::{Contender as _, XDP_DROP, XDP_PASS};
use crate::countries::Countries;
use crate::driver::Driver;
use crate::far_ends::{self, Kind};
use crate::figure::{Figure, figure};
use crate::filter::Filter;
use crate::hospital::Family;
use crate::sample::quantile;
use crate::traffic::Frames;

/// Frames that open connections, one at a time.
struct Probe<'c> {
    driver: Driver,
    frames: Frames<'c>,
}

impl<'c> Probe<'c> {
    fn of(case: &'c Case, countries: &Countries, filter: &mut Filter) -> Result<Self> {
        let mut driver = Driver::load(0)?;
        filter.enter(&mut driver)?;
        filter.prepare(case)?;
        Ok(Self { driver, frames: Frames::of(case, countries) })
    }

    fn set_far_end(&mut self, address: IpAddr) {
        self.driver.set_frames(0, |number| self.frames.frame_to(number, address));
    }

    /// What the next frame comes to.
    fn judge(&mut self, filter: &Filter) -> Result<u32> {
        Ok(self.driver.run(filter.place(), self.frames.port_offset(), 1)?.action)
    }

    /// Waits until a frame comes to `action`.
    fn wait_for(&mut self, filter: &Filter, action: u32, start: Instant) -> Result<f64> {
        while self.judge(filter)? != action {
            ensure!(start.elapsed() < Duration::from_secs(1), "nothing has changed in a second");
        }
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }
}

/// Goes to and fro between two generations whose tables are all written: what is left is the swap.
pub(super) fn swap(
    filter: &mut Filter,
    rows: &Rows,
    countries: &Countries,
    times: usize,
    name: &dyn Fn(&str) -> String,
) -> Result<Vec<Figure>> {
    let case = opening()?;
    let mut probe = Probe::of(&case, countries, filter)?;
    let address = clean(countries, 1)?[0];
    probe.set_far_end(address);
    let blocked = Rows {
        listings: other_listings(&rows.listings, 99),
        blocks: with(&rows.blocks, address),
        ..rows.clone()
    };
    for rows in [&blocked, rows] {
        filter.datapath.apply(rows.clone(), &filter.token)?;
    }
    let mut latencies = Vec::new();
    for turn in 0..times {
        let (next, action) = if turn % 2 == 0 { (&blocked, XDP_DROP) } else { (rows, XDP_PASS) };
        let next = next.clone();
        thread::sleep(SPACE / 2);
        let start = Instant::now();
        filter.datapath.apply(next, &filter.token)?;
        latencies.push(probe.wait_for(filter, action, start)?);
    }
    let note =
        format!("{times} swaps of lists whose lines are there, to the first frame that is judged by them");
    Ok(quantiles(&name("swap alone"), &latencies, &note))
}

/// Blocks one address after the other, and looks each time when a frame to it is dropped that passed before.
pub(super) fn push(
    filter: &mut Filter,
    rows: &Rows,
    countries: &Countries,
    times: Times,
    name: &dyn Fn(&str) -> String,
) -> Result<Vec<Figure>> {
    let case = opening()?;
    let mut probe = Probe::of(&case, countries, filter)?;
    let mut figures = Vec::new();
    for (how, count, space) in
        [("spaced", times.spaced, Some(SPACE)), ("one behind the other", times.pushed, None)]
    {
        for _ in 0..2 {
            // Both slots hold these lists then: what is left to do is the block.
            filter.datapath.apply(rows.clone(), &filter.token)?;
        }
        let mut blocked = rows.clone();
        let mut latencies = Vec::new();
        for address in clean(countries, count)? {
            if let Some(space) = space {
                thread::sleep(space);
            }
            probe.set_far_end(address);
            ensure!(probe.judge(filter)? == XDP_PASS, "{address} was blocked before");
            let start = Instant::now();
            blocked.blocks = with(&blocked.blocks, address);
            filter.datapath.apply(blocked.clone(), &filter.token)?;
            latencies.push(probe.wait_for(filter, XDP_DROP, start)?);
        }
        let name = name(&format!("one block by hand to the first drop, {how}"));
        figures.extend(quantiles(&name, &latencies, &format!("{count} pushes")));
    }
    Ok(figures)
}

/// Median, p99 and the longest, of milliseconds.
pub(super) fn quantiles(name: &str, latencies: &[f64], note: &str) -> Vec<Figure> {
    let of = |what: &str, part| figure(format!("{name}, {what}"), quantile(latencies, part), "ms");
    vec![of("median", 0.5).note(note), of("p99", 0.99), of("longest", 1.0)]
}

fn opening() -> Result<Case> {
    let is_it = |case: &Case| case.family == Family::V4 && case.reason == Reason::Allowed;
    let case = case::all().into_iter().find(is_it).context("no case opens connections")?;
    Ok(Case { log2_frames: 0, ..case })
}

/// So many clean far ends.
fn clean(countries: &Countries, count: usize) -> Result<Vec<IpAddr>> {
    let found = far_ends::some(countries, Family::V4, Kind::Clean, count);
    ensure!(found.len() == count, "there are {} clean far ends", found.len());
    Ok(found)
}
