//! The measurement: all cases inside every repetition, each behind a round that warms the caches, and
//! none believed whose verdicts are not what they must be.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{MapData, RingBuf};
use iomt_filter::datapath::{Datapath, LoadOptions, Room, WriterToken};
use iomt_filter_common::{Reason, Verdict};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use serde::Serialize;

use crate::case::{self, Case, HOSPITALS};
use crate::driver::{Driver, FLOOR_PROGRAM, Timed};
use crate::hospital::{DEVICES, Hospital};

/// Where test runs come in: the index of `lo`.
const TEST_INTERFACE: u32 = 1;
/// `XDP_DROP` and `XDP_PASS` of `enum xdp_action` (`include/uapi/linux/bpf.h`).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// How long to measure.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Effort {
    /// Logarithm of the number of frames in a round.
    pub(crate) log2_frames: u32,
    /// Timed rounds, behind one that is not timed.
    pub(crate) rounds: u32,
    /// Repetitions, of which the median is taken.
    pub(crate) repetitions: u32,
}

impl Effort {
    pub(crate) const FULL: Self = Self { log2_frames: 16, rounds: 3, repetitions: 7 };
    pub(crate) const SHORT: Self = Self { log2_frames: 14, rounds: 2, repetitions: 5 };
}

/// What came out.
pub(crate) struct Measured {
    /// The driver with a program that passes all.
    pub(crate) floor: Sample,
    pub(crate) cases: Vec<(Case, Sample)>,
    pub(crate) program: Program,
}

/// Nanoseconds a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) median: f64,
    pub(crate) minimum: f64,
}

/// What the kernel says of the filter.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Program {
    /// Instructions that the verifier walked.
    pub(crate) verified_instructions: Option<u32>,
    pub(crate) translated_bytes: Option<u32>,
    pub(crate) jited_bytes: u32,
}

/// Measures the cases whose name contains `only`.
pub(crate) fn all(effort: Effort, only: &str) -> Result<Measured> {
    let mut cpu = CpuSet::new();
    cpu.set(0)?;
    sched_setaffinity(Pid::from_raw(0), &cpu).context("failed to stay on one CPU")?;
    let mut driver = Driver::load(effort.log2_frames)?;
    let mut filters = Vec::new();
    for (number, hospital) in HOSPITALS.into_iter().enumerate() {
        let filter = Filter::load(hospital, FLOOR_PROGRAM + 1 + number as u32)?;
        driver.set_program(filter.number, filter.datapath.xdp()?.fd()?)?;
        filters.push(filter);
    }

    let mut cases = case::all();
    cases.retain(|case| case.name.contains(only));
    ensure!(!cases.is_empty(), "no case is called `{only}`");
    let (mut floor_times, mut times) = (Vec::new(), vec![Vec::new(); cases.len()]);
    for _ in 0..effort.repetitions {
        floor_times.push(measure_floor(&mut driver, effort)?);
        for (case, times) in cases.iter().zip(&mut times) {
            let measured = filters[case.hospital].measure(&mut driver, case, effort);
            times.push(measured.with_context(|| format!("`{}`, {:?}", case.name, case.family))?);
        }
    }
    let samples = times.iter().map(|times| Sample::of(times));
    Ok(Measured {
        floor: Sample::of(&floor_times),
        program: filters[0].program()?,
        cases: cases.iter().copied().zip(samples).collect(),
    })
}

fn measure_floor(driver: &mut Driver, effort: Effort) -> Result<f64> {
    driver.run(FLOOR_PROGRAM, 0, 1)?;
    let Timed { nanoseconds, action } = driver.run(FLOOR_PROGRAM, 0, effort.rounds)?;
    ensure!(action == XDP_PASS, "the floor returned {action}");
    Ok(nanoseconds)
}

type Counts = HashMap<(u32, Verdict, Reason), u64>;

/// A loaded filter.
struct Filter {
    datapath: Datapath,
    token: WriterToken,
    events: RingBuf<MapData>,
    /// Its number among the driver's programs.
    number: u32,
}

impl Filter {
    fn load(hospital: Hospital, number: u32) -> Result<Self> {
        let rows = hospital.rows();
        let room = Room::of(&rows)?;
        let options = LoadOptions { devices: DEVICES as usize, room, ..LoadOptions::default() };
        let mut datapath = Datapath::load(&options)?;
        let state = tempfile::tempdir().context("failed to make a folder")?;
        let token = WriterToken::take(state.path())?;
        datapath.apply(rows, &token)?;
        let events = datapath.take_events().context("the records were taken before")?;
        Ok(Self { datapath, token, events, number })
    }

    fn measure(&mut self, driver: &mut Driver, case: &Case, effort: Effort) -> Result<f64> {
        let mut expected = Counts::new();
        for number in 0..driver.frames() {
            let (frame, device) = case.frame(number);
            driver.set_frame(number, &frame);
            *expected.entry((device, case.verdict, case.reason)).or_default() += u64::from(effort.rounds);
        }
        self.datapath.set_roles(TEST_INTERFACE, &case.port.into(), &self.token)?;
        driver.run(self.number, case.port_offset(), 1)?;
        // A full buffer would be another case.
        while self.events.next().is_some() {}
        let before = self.counts()?;
        let timed = driver.run(self.number, case.port_offset(), effort.rounds)?;
        self.check(case, &timed, &before, &expected)?;
        Ok(timed.nanoseconds)
    }

    /// Whether every frame came to what it must, and counts for the device it must.
    fn check(&self, case: &Case, timed: &Timed, before: &Counts, expected: &Counts) -> Result<()> {
        let wanted = match case.verdict {
            Verdict::Pass | Verdict::WouldDrop => XDP_PASS,
            Verdict::Drop | Verdict::Reset => XDP_DROP,
        };
        ensure!(timed.action == wanted, "the filter returned {}, not {wanted}", timed.action);
        let mut found = self.counts()?;
        for (counter, frames) in before {
            *found.entry(*counter).or_default() -= frames;
        }
        found.retain(|_, frames| *frames != 0);
        for (counter, frames) in &found {
            let wanted = expected.get(counter).copied().unwrap_or(0);
            ensure!(*frames == wanted, "{frames} frames came to {counter:?}, not {wanted}");
        }
        ensure!(found.len() == expected.len(), "{} counters moved, not {}", found.len(), expected.len());
        Ok(())
    }

    fn counts(&self) -> Result<Counts> {
        let counts = self.datapath.readings().counts(1..=DEVICES).context("failed to read the counters")?;
        Ok(counts.into_iter().map(|row| ((row.device, row.verdict, row.reason), row.frames)).collect())
    }

    fn program(&self) -> Result<Program> {
        let info = self.datapath.xdp()?.info()?;
        Ok(Program {
            verified_instructions: info.verified_instruction_count(),
            translated_bytes: info.size_translated(),
            jited_bytes: info.size_jitted(),
        })
    }
}

impl Sample {
    fn of(times: &[f64]) -> Self {
        let mut sorted = times.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            median: sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN),
            minimum: sorted.first().copied().unwrap_or(f64::NAN),
        }
    }
}
