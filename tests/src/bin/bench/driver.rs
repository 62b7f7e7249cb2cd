//! The driver programs and their frames, and one timed test run.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use aya::maps::{Array, Map, MapData, ProgramArray};
use aya::programs::{ProgramFd, TestRun as _, TestRunAttrs, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use bench_ebpf::{
    COUNTER, DRIVER, FLOOR, FRAME_BYTES, FRAMES, GENERATOR, INTERFACE, MASK, MAX_FRAMES, PLAIN_DRIVER,
    PLAIN_FLOOR, PLAIN_PROGRAMS, PORT_OFFSET, PROGRAM, PROGRAMS, RUN, Run, SHIFT,
};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use nix::time::{ClockId, clock_gettime};

use crate::frame::Frame;

/// The programs of the bench, compiled for BPF.
pub(crate) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench"));

/// Where the floor stands among the programs of both drivers.
const FLOOR_PROGRAM: u32 = 0;
/// Frames that the generator makes before they are received.
const BATCH: u32 = 64;

/// Which driver calls a program, and under which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Whether it is the driver of programs that take no fragments.
    pub(crate) is_plain: bool,
    pub(crate) number: u32,
}

impl Place {
    /// The program that passes all, of the same driver.
    pub(crate) const fn floor(self) -> Self {
        Self { number: FLOOR_PROGRAM, ..self }
    }
}

/// The loaded drivers.
pub(crate) struct Driver {
    ebpf: Ebpf,
    programs: ProgramArray<MapData>,
    plain_programs: ProgramArray<MapData>,
    run: Array<MapData, Run>,
    frames: FrameMemory,
    counter: u64,
    log2_frames: u32,
}

/// What a test run took, and came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timed {
    /// CPU time of all frames, driver and test run included.
    pub(crate) spent: Duration,
    /// What the last frame's program returned.
    pub(crate) action: u32,
}

impl Driver {
    /// Loads the drivers, with room for `2^log2_frames` frames.
    pub(crate) fn load(log2_frames: u32) -> Result<Self> {
        ensure!(1 << log2_frames <= MAX_FRAMES, "too many frames");
        let mut loader = EbpfLoader::new();
        loader.map_max_entries(FRAMES, 1 << log2_frames);
        let mut ebpf = loader.load(OBJECT).context("failed to load the driver")?;
        for name in [DRIVER, PLAIN_DRIVER, FLOOR, PLAIN_FLOOR, GENERATOR] {
            xdp(&mut ebpf, name)?.load().with_context(|| format!("the kernel refused `{name}`"))?;
        }
        let mut take = |name| ebpf.take_map(name).with_context(|| format!("the driver has no map `{name}`"));
        let programs = ProgramArray::try_from(take(PROGRAMS)?)?;
        let plain_programs = ProgramArray::try_from(take(PLAIN_PROGRAMS)?)?;
        let run = Array::try_from(take(RUN)?)?;
        let frames = FrameMemory::map(take(FRAMES)?, 1 << log2_frames)?;
        let mut driver = Self { ebpf, programs, plain_programs, run, frames, counter: 0, log2_frames };
        for (is_plain, name) in [(false, FLOOR), (true, PLAIN_FLOOR)] {
            let floor = xdp(&mut driver.ebpf, name)?.fd()?.try_clone()?;
            driver.set_program(Place { is_plain, number: FLOOR_PROGRAM }, &floor)?;
        }
        Ok(driver)
    }

    /// Puts `program` there.
    pub(crate) fn set_program(&mut self, place: Place, program: &ProgramFd) -> Result<()> {
        let programs = if place.is_plain { &mut self.plain_programs } else { &mut self.programs };
        programs.set(place.number, program, 0).context("failed to make the program callable by the driver")
    }

    /// Goes through so many frames from now on, round after round.
    pub(crate) fn set_frames(&mut self, log2_frames: u32, frame: impl Fn(u32) -> Frame) {
        self.log2_frames = log2_frames;
        for number in 0..1 << log2_frames {
            self.frames.set(number, &frame(number));
        }
    }

    /// Gives a program the next `count` frames.
    pub(crate) fn run(&mut self, place: Place, port_offset: u64, count: u32) -> Result<Timed> {
        let mut run = Run::default();
        run[PROGRAM] = u64::from(place.number);
        run[PORT_OFFSET] = port_offset;
        let name = if place.is_plain { PLAIN_DRIVER } else { DRIVER };
        self.test_run(name, run, count, TestRunAttrs::new())
    }

    /// Sends the next `count` frames out of an interface of the network that this thread is in. What receives
    /// them runs in between, on this CPU and in its time.
    pub(crate) fn send(&mut self, interface: u32, port_offset: u64, count: u32) -> Result<Duration> {
        let mut run = Run::default();
        run[INTERFACE] = u64::from(interface);
        run[PORT_OFFSET] = port_offset;
        let attributes = TestRunAttrs::new().xdp_live_frames(BATCH);
        Ok(self.test_run(GENERATOR, run, count, attributes)?.spent)
    }

    fn test_run(&mut self, name: &str, mut run: Run, repeat: u32, attrs: TestRunAttrs) -> Result<Timed> {
        run[COUNTER] = self.counter;
        run[MASK] = (1 << self.log2_frames) - 1;
        run[SHIFT] = u64::from(self.log2_frames);
        self.run.set(0, run, 0)?;
        self.counter += u64::from(repeat);
        let data = [0; FRAME_BYTES];
        let options = TestRunOptions { data_in: Some(&data), repeat, attrs, ..TestRunOptions::default() };
        let driver = xdp(&mut self.ebpf, name)?;
        let before = cpu_time()?;
        let result = driver.test_run(options).context("the kernel refused the test run")?;
        let spent = cpu_time()?.saturating_sub(before);
        ensure!(self.run.get(&0, 0)?[COUNTER] == self.counter, "the driver did not run {repeat} times");
        Ok(Timed { spent, action: result.return_value })
    }
}

/// A program of an object by its name.
pub(crate) fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program `{name}`"))?;
    Ok(program.try_into()?)
}

/// Time that this thread has spent on a CPU: what others do meanwhile does not count.
pub(crate) fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).context("failed to read the CPU clock")?.into())
}

/// The driver's frames, shared with the kernel.
struct FrameMemory {
    start: NonNull<Frame>,
    count: u32,
    bytes: NonZeroUsize,
}

impl FrameMemory {
    fn map(map: Map, count: u32) -> Result<Self> {
        let Map::Array(data) = map else { anyhow::bail!("`{FRAMES}` is no array") };
        let bytes = NonZeroUsize::new(count as usize * FRAME_BYTES).context("no frames")?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping, at an address of the kernel's choice, of a map made for it.
        let start = unsafe { mmap(None, bytes, protection, MapFlags::MAP_SHARED, data.fd(), 0) }
            .context("failed to map the frames into memory")?;
        Ok(Self { start: start.cast(), count, bytes })
    }

    fn set(&mut self, number: u32, frame: &Frame) {
        assert!(number < self.count);
        // SAFETY: the mapping has that many frames, by the check above.
        let place = unsafe { self.start.add(number as usize) };
        // SAFETY: inside the mapping, and no program runs while frames are written.
        unsafe { place.write(*frame) };
    }
}

impl Drop for FrameMemory {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made, unmapped once; what fails here ends with the process.
        let _ = unsafe { munmap(self.start.cast(), self.bytes.get()) };
    }
}
