//! Frames on all processors at once, and what is recorded of them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use aya::maps::{MapData, RingBuf};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use iomt_filter_common::Verdict;
use iomt_filter_common::event::Event;
use iomt_filter_common::pod::Pod as _;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use super::content::{Answer, Probe};

/// `XDP_DROP` and `XDP_PASS` of `enum xdp_action` (`include/uapi/linux/bpf.h`).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
/// Records that may wait to be read: some of those that the ring buffer has room for.
const ROOM: u64 = 16_000;
/// How long to wait for records.
const PAUSE: Duration = Duration::from_millis(1);

/// What all threads share.
#[derive(Default)]
pub(super) struct Shared {
    /// The generation that is judged by, or an earlier one.
    pub(super) active: AtomicU32,
    /// The generation that is judged by, or a later one.
    pub(super) announced: AtomicU32,
    stop: AtomicBool,
    ended: AtomicU32,
    recorded: AtomicU64,
    read: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    /// Frames that were judged.
    pub(super) frames: u64,
    /// Generations that records name.
    pub(super) generations: usize,
    /// What was not as it must be, the first few.
    pub(super) wrong: Vec<String>,
}

impl Shared {
    /// Whether something was wrong.
    pub(super) fn has_failed(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn fail(&self, what: String) {
        let mut wrong = self.wrong.lock().unwrap();
        if wrong.len() < 5 {
            wrong.push(what);
        }
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Frames by probe and action.
type Counts = HashMap<(usize, u32), u64>;

/// Has every processor send all frames, again and again, while `write` changes the tables.
pub(super) fn load(
    program: &Xdp,
    events: &mut RingBuf<MapData>,
    probes: &[Probe],
    shared: &Shared,
    write: impl FnOnce(&Shared),
) -> Seen {
    let processors = thread::available_parallelism().unwrap().get();
    let (counts, records) = thread::scope(|scope| {
        let senders: Vec<_> = (0..processors)
            .map(|processor| scope.spawn(move || send(processor, program, probes, shared)))
            .collect();
        let reader = scope.spawn(|| read(events, probes, shared, processors as u32));
        write(shared);
        shared.stop.store(true, Ordering::Relaxed);
        let mut counts = Counts::new();
        for sender in senders {
            for (key, frames) in sender.join().unwrap() {
                *counts.entry(key).or_default() += frames;
            }
        }
        (counts, reader.join().unwrap())
    });
    for (number, probe) in probes.iter().enumerate() {
        let of = |counts: &Counts, action| counts.get(&(number, action)).copied().unwrap_or(0);
        for action in [XDP_DROP, XDP_PASS] {
            let (frames, recorded) = (of(&counts, action), of(&records.counts, action));
            let is_silent = action == XDP_PASS && !probe.is_recorded();
            if !is_silent && frames != recorded {
                shared.fail(format!(
                    "`{}`: action {action} {frames} times, {recorded} are recorded",
                    probe.name
                ));
            }
        }
    }
    let wrong = std::mem::take(&mut *shared.wrong.lock().unwrap());
    Seen { frames: counts.values().sum(), generations: records.generations.len(), wrong }
}

fn send(processor: usize, program: &Xdp, probes: &[Probe], shared: &Shared) -> Counts {
    let mut only = CpuSet::new();
    only.set(processor).unwrap();
    // Where it is refused, the frames come from whatever processor there is.
    let _ = sched_setaffinity(Pid::from_raw(0), &only);
    let frames: Vec<_> = probes.iter().map(|probe| probe.bytes(40_000 + processor as u16)).collect();
    let mut counts = Counts::new();
    while !shared.has_failed() {
        // As between the batches of a card: without it the kernel waits a tenth of a second for a moment in which
        // this processor judges no frame.
        thread::yield_now();
        for (number, (probe, frame)) in probes.iter().zip(&frames).enumerate() {
            while shared.recorded.load(Ordering::Relaxed) > shared.read.load(Ordering::Relaxed) + ROOM {
                thread::yield_now();
            }
            let first = shared.active.load(Ordering::SeqCst);
            let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
            let action = program.test_run(options).unwrap().return_value;
            let last = shared.announced.load(Ordering::SeqCst);
            *counts.entry((number, action)).or_default() += 1;
            if action == XDP_DROP || probe.is_recorded() {
                shared.recorded.fetch_add(1, Ordering::Relaxed);
            } else if !(first..=last).any(|generation| (probe.answer)(generation).is_none()) {
                shared.fail(format!("`{}`: passes in generation {first} to {last}", probe.name));
            }
        }
    }
    shared.ended.fetch_add(1, Ordering::SeqCst);
    counts
}

/// What the records say.
#[derive(Default)]
struct Records {
    counts: Counts,
    generations: BTreeSet<u32>,
}

fn read(events: &mut RingBuf<MapData>, probes: &[Probe], shared: &Shared, senders: u32) -> Records {
    let by_destination: HashMap<_, _> =
        probes.iter().enumerate().map(|(number, probe)| (probe.destination(), number)).collect();
    let mut records = Records::default();
    loop {
        // Asked before the buffer is looked at: what was sent by then is in it.
        let all_ended = shared.ended.load(Ordering::SeqCst) == senders;
        let Some(event) = events.next().map(|record| Event::from_bytes(&record).unwrap()) else {
            if all_ended {
                return records;
            }
            thread::sleep(PAUSE);
            continue;
        };
        shared.read.fetch_add(1, Ordering::Relaxed);
        let number = by_destination[&event.packet.destination];
        let (generation, found) = (event.decision.generation, Answer::from(event.decision));
        let wanted = (probes[number].answer)(generation);
        if wanted != Some(found) {
            let name = probes[number].name;
            shared.fail(format!("`{name}`: {found:?} in generation {generation}, where it is {wanted:?}"));
        }
        records.generations.insert(generation);
        let action = if event.decision.verdict() == Verdict::WouldDrop { XDP_PASS } else { XDP_DROP };
        *records.counts.entry((number, action)).or_default() += 1;
    }
}
