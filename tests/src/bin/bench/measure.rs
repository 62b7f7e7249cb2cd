//! The measurement, hospital by hospital and case by case: all contenders and their floors inside every
//! repetition, on the same frames, and none believed whose verdicts are not what they must be.

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;

use crate::case::{self, Case};
use crate::contender::{Contender, Counts, Expected};
use crate::countries::Countries;
use crate::driver::{Driver, Place, Timed};
use crate::filter::{Filter, Program};
use crate::sample::Sample;
use crate::traffic::Frames;
use crate::variant::Variant;
use crate::xdp_filter::XdpFilter;

/// How long to measure.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Effort {
    /// Logarithm of the number of frames that each contender judges in a repetition, as far as the case has not
    /// more.
    pub(crate) log2_frames: u32,
    /// Repetitions, of which the median is taken.
    pub(crate) repetitions: u32,
    /// Whether only the cases of the short form are measured.
    pub(crate) is_short: bool,
}

impl Effort {
    pub(crate) const FULL: Self = Self { log2_frames: 17, repetitions: 5, is_short: false };
    pub(crate) const SHORT: Self = Self { log2_frames: 16, repetitions: 5, is_short: true };
}

/// What came out.
pub(crate) struct Measured {
    pub(crate) rows: Vec<Row>,
    pub(crate) program: Program,
    /// Prefixes of countries, of IPv4 and IPv6.
    pub(crate) countries: (usize, usize),
    /// Who was not measured, and why.
    pub(crate) missing: Vec<String>,
}

/// A case, measured: nanoseconds a frame.
pub(crate) struct Row {
    pub(crate) case: Case,
    pub(crate) results: Vec<Outcome>,
}

/// What one contender took.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) total: Sample,
    /// The driver with a program that passes all, on the same frames in the same repetitions.
    pub(crate) floor: Sample,
}

impl Outcome {
    /// What the program itself takes.
    pub(crate) fn net(&self) -> f64 {
        self.total.median - self.floor.median
    }
}

impl Row {
    /// What a contender took.
    pub(crate) fn of(&self, name: &str) -> Option<&Outcome> {
        self.results.iter().find(|outcome| outcome.name == name)
    }
}

/// Stays on one CPU from now on.
pub(crate) fn pin() -> Result<()> {
    let mut cpu = CpuSet::new();
    cpu.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &cpu).context("failed to stay on one CPU")
}

/// Measures the cases whose name contains `only`.
pub(crate) fn all(effort: Effort, only: &str, countries: &Countries) -> Result<Measured> {
    pin()?;
    let mut cases = case::all();
    cases.retain(|case| case.name.contains(only) && (case.in_short || !effort.is_short));
    ensure!(!cases.is_empty(), "no case is called `{only}`");
    if effort.is_short {
        cases.iter_mut().for_each(|case| case.log2_frames = case.log2_frames.min(effort.log2_frames));
    }
    let largest = cases.iter().map(|case| case.log2_frames).max().unwrap_or(0);
    let mut driver = Driver::load(largest)?;
    let mut missing = Vec::new();
    let mut peer = None;
    match XdpFilter::missing() {
        Some(reason) => missing.push(reason),
        None => {
            let loaded = XdpFilter::load(countries)?;
            loaded.enter(&mut driver)?;
            peer = Some(loaded);
        }
    }
    let (mut rows, mut program) = (Vec::new(), None);
    // One hospital at a time: each may have millions of rows.
    for cases in cases.chunk_by(|a, b| a.hospital == b.hospital) {
        let hospital = cases[0].hospital;
        let mut filter = Filter::load(hospital, countries)?;
        filter.enter(&mut driver)?;
        program = program.or(Some(filter.program()?));
        let mut variant = match Variant::is_for(hospital) {
            true => Some(Variant::load(hospital, countries)?),
            false => None,
        };
        if let Some(variant) = &mut variant {
            variant.enter(&mut driver)?;
        }
        let mut contenders: Vec<&mut dyn Contender> = vec![&mut filter];
        contenders.extend(variant.as_mut().map(|variant| variant as &mut dyn Contender));
        contenders.extend(peer.as_mut().map(|peer| peer as &mut dyn Contender));
        for case in cases {
            let row = measure(case, effort, countries, &mut driver, &mut contenders);
            rows.push(row.with_context(|| format!("`{}`, {:?}, {:?}", case.name, case.family, hospital))?);
        }
    }
    let program = program.context("nothing was measured")?;
    Ok(Measured { rows, program, countries: countries.sizes(), missing })
}

fn measure(
    case: &Case,
    effort: Effort,
    countries: &Countries,
    driver: &mut Driver,
    contenders: &mut [&mut dyn Contender],
) -> Result<Row> {
    let mut contenders: Vec<_> = contenders.iter_mut().filter(|contender| contender.judges(case)).collect();
    if let Some(opening) = case.opening() {
        let frames = Frames::of(&opening, countries);
        driver.set_frames(opening.log2_frames, |number| frames.frame(number).0);
        for contender in &mut contenders {
            contender.prepare(&opening)?;
            judge(driver, &mut ***contender, &frames, 1 << opening.log2_frames)?;
        }
    }
    let frames = Frames::of(case, countries);
    driver.set_frames(case.log2_frames, |number| frames.frame(number).0);
    let round = 1_u32 << case.log2_frames;
    let count = round.max(1 << effort.log2_frames);
    for contender in &mut contenders {
        contender.prepare(case)?;
        judge(driver, &mut ***contender, &frames, round)?;
        contender.begin()?;
    }
    let mut totals = vec![Vec::new(); contenders.len()];
    let mut floors = totals.clone();
    let mut last = vec![Timed::default(); contenders.len()];
    for _ in 0..effort.repetitions {
        for (number, contender) in contenders.iter_mut().enumerate() {
            let nanoseconds = |timed: Timed| timed.spent.as_secs_f64() * 1e9 / f64::from(count);
            let floor = contender.place().floor();
            floors[number].push(nanoseconds(run(driver, floor, &frames, count)?));
            last[number] = judge(driver, &mut ***contender, &frames, count)?;
            totals[number].push(nanoseconds(last[number]));
        }
    }
    let expected = expect(case, &frames, count / round * effort.repetitions);
    for (contender, last) in contenders.iter().zip(last) {
        contender.check(&expected, last)?;
    }
    let results = contenders.iter().zip(totals.iter().zip(&floors)).map(|(contender, (totals, floors))| {
        Outcome { name: contender.name(), total: Sample::of(totals), floor: Sample::of(floors) }
    });
    Ok(Row { case: *case, results: results.collect() })
}

fn run(driver: &mut Driver, place: Place, frames: &Frames<'_>, count: u32) -> Result<Timed> {
    driver.run(place, frames.port_offset(), count)
}

/// Has a contender judge so many frames, as many at a time as it can.
fn judge(
    driver: &mut Driver,
    contender: &mut dyn Contender,
    frames: &Frames<'_>,
    count: u32,
) -> Result<Timed> {
    let mut all = Timed::default();
    let mut left = count;
    while left > 0 {
        let now = left.min(contender.breath());
        let timed = run(driver, contender.place(), frames, now)?;
        all = Timed { spent: all.spent + timed.spent, action: timed.action };
        contender.rest();
        left -= now;
    }
    Ok(all)
}

/// What so many rounds of the frames must come to.
fn expect<'c>(case: &'c Case, frames: &Frames<'_>, rounds: u32) -> Expected<'c> {
    let mut counts = Counts::new();
    for number in 0..1 << case.log2_frames {
        let (_, device) = frames.frame(number);
        *counts.entry((device, case.verdict, case.reason)).or_default() += u64::from(rounds);
    }
    Expected { case, counts }
}
