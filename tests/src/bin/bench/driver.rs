//! The driver program and its frames, and one timed test run.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use aya::maps::{Array, Map, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRun as _, TestRunOptions, Xdp};
use bench_ebpf::{
    COUNTER, DRIVER, FLOOR, FRAME_BYTES, FRAMES, MASK, MAX_FRAMES, PORT_OFFSET, PROGRAM, PROGRAMS, RUN, Run,
    SHIFT,
};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::time::{ClockId, clock_gettime};

use crate::frame::Frame;

/// The programs of the bench, compiled for BPF.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench"));

/// Where the floor stands among the programs; filters come behind it.
pub(crate) const FLOOR_PROGRAM: u32 = 0;

/// The loaded driver.
pub(crate) struct Driver {
    ebpf: Ebpf,
    programs: ProgramArray<MapData>,
    run: Array<MapData, Run>,
    frames: FrameMemory,
    counter: u64,
    log2_frames: u32,
}

/// One timed test run.
pub(crate) struct Timed {
    /// CPU time of one frame, driver and test run included, in nanoseconds.
    pub(crate) nanoseconds: f64,
    /// What the last frame's program returned.
    pub(crate) action: u32,
}

impl Driver {
    /// Loads the driver; it goes through `2^log2_frames` frames, round after round.
    pub(crate) fn load(log2_frames: u32) -> Result<Self> {
        ensure!(1 << log2_frames <= MAX_FRAMES, "too many frames");
        let mut ebpf = Ebpf::load(OBJECT).context("failed to load the driver")?;
        for name in [DRIVER, FLOOR] {
            xdp(&mut ebpf, name)?.load().with_context(|| format!("the kernel refused `{name}`"))?;
        }
        let mut take = |name| ebpf.take_map(name).with_context(|| format!("the driver has no map `{name}`"));
        let programs = ProgramArray::try_from(take(PROGRAMS)?)?;
        let run = Array::try_from(take(RUN)?)?;
        let frames = FrameMemory::map(take(FRAMES)?)?;
        let mut driver = Self { ebpf, programs, run, frames, counter: 0, log2_frames };
        let floor = xdp(&mut driver.ebpf, FLOOR)?.fd()?.try_clone()?;
        driver.set_program(FLOOR_PROGRAM, &floor)?;
        Ok(driver)
    }

    /// Makes `program` the one with this number.
    pub(crate) fn set_program(&mut self, number: u32, program: &ProgramFd) -> Result<()> {
        self.programs.set(number, program, 0).context("failed to make the program callable by the driver")
    }

    /// How many frames a round has.
    pub(crate) const fn frames(&self) -> u32 {
        1 << self.log2_frames
    }

    /// Replaces the frame with this number.
    pub(crate) fn set_frame(&mut self, number: u32, frame: &Frame) {
        self.frames.set(number, frame);
    }

    /// Gives a program every frame for `rounds` rounds.
    pub(crate) fn run(&mut self, program: u32, port_offset: u64, rounds: u32) -> Result<Timed> {
        let repeat = rounds << self.log2_frames;
        let mut run = Run::default();
        run[COUNTER] = self.counter;
        run[MASK] = u64::from(self.frames() - 1);
        run[SHIFT] = u64::from(self.log2_frames);
        run[PROGRAM] = u64::from(program);
        run[PORT_OFFSET] = port_offset;
        self.run.set(0, run, 0)?;
        self.counter += u64::from(repeat);

        let options =
            TestRunOptions { data_in: Some(&[0; FRAME_BYTES]), repeat, ..TestRunOptions::default() };
        let driver = xdp(&mut self.ebpf, DRIVER)?;
        let before = cpu_time()?;
        let result = driver.test_run(options).context("the kernel refused the test run")?;
        let spent = cpu_time()?.saturating_sub(before);
        ensure!(self.run.get(&0, 0)?[COUNTER] == self.counter, "the driver did not run {repeat} times");
        Ok(Timed { nanoseconds: spent.as_secs_f64() * 1e9 / f64::from(repeat), action: result.return_value })
    }
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program `{name}`"))?;
    Ok(program.try_into()?)
}

/// Time that this thread has spent on a CPU: what others do meanwhile does not count.
fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("failed to read the CPU clock")?.into())
}

/// The driver's frames, shared with the kernel.
struct FrameMemory {
    start: NonNull<Frame>,
}

impl FrameMemory {
    const BYTES: NonZeroUsize = NonZeroUsize::new(MAX_FRAMES as usize * FRAME_BYTES).unwrap();

    fn map(map: Map) -> Result<Self> {
        let Map::Array(data) = map else { anyhow::bail!("`{FRAMES}` is no array") };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping, at an address of the kernel's choice, of a map made for it.
        let start = unsafe { mmap(None, Self::BYTES, protection, MapFlags::MAP_SHARED, data.fd(), 0) }
            .context("failed to map the frames into memory")?;
        Ok(Self { start: start.cast() })
    }

    fn set(&mut self, number: u32, frame: &Frame) {
        assert!(number < MAX_FRAMES);
        // SAFETY: the mapping has that many frames, by the check above.
        let place = unsafe { self.start.add(number as usize) };
        // SAFETY: inside the mapping, and no program runs while frames are written.
        unsafe { place.write(*frame) };
    }
}

impl Drop for FrameMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, unmapped once; what fails here ends with the process.
        let _ = unsafe { munmap(self.start.cast(), Self::BYTES.get()) };
    }
}
