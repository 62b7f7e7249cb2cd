//! The traffic: a packet of every lane, again and again, at a steady pace, and whatever comes out at the other end.
//!
//! One thread sends and receives. It goes no further than a few rounds ahead of what has arrived, so that no queue of
//! the kernel overflows however busy the machine is: what does not arrive has been dropped by somebody.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use super::lanes::{Cable, Fate, Lane, OPENINGS};
use super::listener::Listener;
use super::tally::Tally;
use super::{Crossing, number};
use crate::ward::frames::Wire;

/// From one round to the next.
const PERIOD: Duration = Duration::from_millis(4);
/// Rounds that may be on their way.
const AHEAD: u64 = 4;
/// How late a round may be before the ones in between are left out.
const LATE: Duration = Duration::from_secs(1);
/// How long is waited for what does not arrive before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(3);
const MOMENT: Duration = Duration::from_micros(300);
/// What the thread has before others, so that a busy machine does not slow it down.
const PRIORITY: &str = "-15";

/// Traffic that runs until it is asked what became of it.
#[derive(Debug)]
pub struct Traffic {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Run>>>,
}

/// What became of it.
#[derive(Debug)]
pub struct Run {
    /// Packet by packet.
    pub tally: Tally,
    /// Packets that no socket had room for.
    pub overflowed: u64,
    /// Packets that were sent again because the kernel had no room.
    pub again: u64,
    /// How long it ran.
    pub lasted: Duration,
    /// Which round began when something was done, and what.
    pub journal: Vec<(u32, String)>,
}

#[derive(Debug, Default)]
struct Shared {
    is_over: AtomicBool,
    round: AtomicU32,
    leaked: AtomicU64,
    varied: AtomicU64,
    overdue: AtomicU64,
    /// Lanes of which the next packet is to lie about its hardware address.
    lies: Mutex<Vec<usize>>,
    journal: Mutex<Vec<(u32, String)>>,
}

/// Conversations that are open, and over which nothing is sent yet.
pub(super) struct Opened(Source);

/// Whoever sends and receives.
struct Source {
    lanes: Vec<Lane>,
    wires: [(Cable, Wire); 3],
    listeners: Vec<Listener>,
    tally: Tally,
    /// The packet in the making, by lane.
    frames: Vec<Vec<u8>>,
    /// Of those that are due, what is not waited for any more.
    written_off: u64,
    again: u64,
}

impl Opened {
    /// Opens them, one after the other.
    pub(super) fn over(crossing: &Crossing, openings: &[Lane]) -> Result<Self> {
        let mut source = Source::on(crossing)?;
        for (place, opening) in (0..).zip(openings) {
            source.open(place, opening)?;
        }
        Ok(Self(source))
    }

    /// Begins to send.
    pub(super) fn begin(self) -> Traffic {
        let (source, shared) = (self.0, Arc::new(Shared::default()));
        let sharing = Arc::clone(&shared);
        let thread = thread::spawn(move || {
            let command = ["-n", PRIORITY, "-p", &nix::unistd::gettid().to_string()];
            // It runs without as well, only slower.
            let _ = Command::new("renice").args(command).output();
            source.run(&sharing)
        });
        Traffic { shared, thread: Some(thread) }
    }
}

impl Traffic {
    /// The round that is under way.
    #[must_use]
    pub fn round(&self) -> u32 {
        self.shared.round.load(Ordering::Relaxed)
    }

    /// Packets that came through and must not, so far.
    #[must_use]
    pub fn leaked(&self) -> u64 {
        self.shared.leaked.load(Ordering::Relaxed)
    }

    /// Packets that were waited for in vain, so far.
    #[must_use]
    pub fn overdue(&self) -> u64 {
        self.shared.overdue.load(Ordering::Relaxed)
    }

    /// The operator's packets that came through, so far.
    #[must_use]
    pub fn varied(&self) -> u64 {
        self.shared.varied.load(Ordering::Relaxed)
    }

    /// Notes what is done now.
    pub fn note(&self, what: impl Into<String>) {
        let entry = (self.round(), what.into());
        self.shared.journal.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }

    /// Has the next packet of a lane come from a hardware address that is nobody's.
    pub fn lie_once(&self, lane: usize) {
        self.shared.lies.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
    }

    /// Lets so many rounds pass.
    ///
    /// # Errors
    /// When the traffic has ended, or goes too slowly.
    pub fn go_on(&self, rounds: u32) -> Result<()> {
        let until = self.round() + rounds;
        self.wait("rounds to pass", || self.round() >= until)
    }

    /// Waits for something that shows in the traffic.
    ///
    /// # Errors
    /// When the traffic has ended, or it does not come.
    pub fn wait(&self, what: &str, is_there: impl Fn() -> bool) -> Result<()> {
        const LIMIT: Duration = Duration::from_secs(60);
        let deadline = Instant::now() + LIMIT;
        while !is_there() {
            ensure!(!self.thread.as_ref().is_none_or(JoinHandle::is_finished), "the traffic has ended");
            ensure!(Instant::now() < deadline, "waited {} s in vain for {what}", LIMIT.as_secs());
            thread::sleep(PERIOD);
        }
        Ok(())
    }

    /// Ends it, once all is there that will come.
    ///
    /// # Errors
    /// When it has ended with an error.
    pub fn finish(mut self) -> Result<Run> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it has ended already")?;
        let mut run = thread.join().map_err(|_| anyhow!("the traffic has panicked"))??;
        run.journal =
            std::mem::take(&mut *self.shared.journal.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(run)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Source {
    fn on(crossing: &Crossing) -> Result<Self> {
        let lanes = crossing.lanes().to_vec();
        let wire =
            |cable| Ok::<_, anyhow::Error>((cable, Wire::open(crossing.end(cable), super::INTERFACE)?));
        let wires = [wire(Cable::Ct)?, wire(Cable::Pump)?, wire(Cable::Uplink)?];
        let mut listeners = Vec::new();
        for cable in [Cable::Ct, Cable::Pump, Cable::Uplink] {
            listeners.extend(Listener::pair(crossing.end(cable), cable)?);
        }
        let (tally, frames) = (Tally::of(lanes.len()), lanes.iter().map(|lane| lane.frame.clone()).collect());
        Ok(Self { lanes, wires, listeners, tally, frames, written_off: 0, again: 0 })
    }

    /// Sends a packet that opens a conversation, and waits for it at the other end.
    fn open(&mut self, place: u16, opening: &Lane) -> Result<()> {
        let Fate::Arrives(to) = opening.fate else { bail!("`{}` opens nothing", opening.name) };
        self.again += offer(&self.wires, opening.from, &opening.frame)?;
        let deadline = Instant::now() + PATIENCE;
        let mut is_there = false;
        while !is_there {
            for listener in self.listeners.iter_mut().filter(|listener| listener.cable == to) {
                listener.take(|lane, _| is_there |= lane == OPENINGS + place)?;
            }
            ensure!(Instant::now() < deadline, "`{}` has not arrived", opening.name);
            thread::sleep(MOMENT);
        }
        Ok(())
    }

    fn run(mut self, shared: &Shared) -> Result<Run> {
        let start = Instant::now();
        let mut due = start;
        while !shared.is_over.load(Ordering::Relaxed) {
            self.send_round(shared)?;
            self.receive(shared)?;
            self.wait_for_arrivals(shared, AHEAD)?;
            due += PERIOD;
            let now = Instant::now();
            if now < due {
                thread::sleep(due - now);
            } else if now > due + LATE {
                due = now;
            }
        }
        let lasted = start.elapsed();
        self.wait_for_arrivals(shared, 0)?;
        // Nobody knows how long to wait for what must not arrive.
        thread::sleep(PERIOD * 25);
        self.receive(shared)?;
        let overflowed = self.listeners.iter().map(|listener| u64::from(listener.overflowed)).sum();
        Ok(Run { tally: self.tally, overflowed, again: self.again, lasted, journal: Vec::new() })
    }

    /// Sends a packet of every lane.
    fn send_round(&mut self, shared: &Shared) -> Result<()> {
        let lies = std::mem::take(&mut *shared.lies.lock().unwrap_or_else(PoisonError::into_inner));
        for (place, lane) in self.lanes.iter().enumerate() {
            let frame = &mut self.frames[place];
            lane.write(frame, self.tally.send(lane, place));
            if lies.contains(&place) {
                let mut lie = frame.clone();
                lie[SOURCE_MAC..SOURCE_MAC + NOBODY.len()].copy_from_slice(&NOBODY);
                self.again += offer(&self.wires, lane.from, &lie)?;
            } else {
                self.again += offer(&self.wires, lane.from, frame)?;
            }
        }
        shared.round.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn receive(&mut self, shared: &Shared) -> Result<()> {
        let (lanes, tally) = (&self.lanes, &mut self.tally);
        for listener in &mut self.listeners {
            let cable = listener.cable;
            listener.take(|lane, number| tally.arrive(lanes, cable, lane, number))?;
        }
        shared.leaked.store(tally.leaked, Ordering::Relaxed);
        let varied = lanes.iter().zip(&tally.lanes).filter(|(lane, _)| matches!(lane.fate, Fate::Varies(_)));
        shared.varied.store(varied.map(|(_, tally)| u64::from(tally.arrived)).sum(), Ordering::Relaxed);
        Ok(())
    }

    /// Waits until no more is on its way than so many rounds have.
    fn wait_for_arrivals(&mut self, shared: &Shared, rounds: u64) -> Result<()> {
        let is_due = |lane: &&Lane| matches!(lane.fate, Fate::Arrives(_));
        let most = rounds * self.lanes.iter().filter(is_due).count() as u64;
        let mut deadline = Instant::now() + PATIENCE;
        let mut kept = self.tally.kept;
        while self.tally.due.saturating_sub(self.tally.kept + self.written_off) > most {
            thread::sleep(MOMENT);
            self.receive(shared)?;
            if self.tally.kept > kept {
                (kept, deadline) = (self.tally.kept, Instant::now() + PATIENCE);
            }
            if Instant::now() > deadline {
                // It may still come: then it is no loss in the end.
                self.written_off = self.tally.due - self.tally.kept;
                shared.overdue.store(self.written_off, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

const SOURCE_MAC: usize = 6;
/// A hardware address that no inventory has.
const NOBODY: [u8; 6] = [0x3c, 0x97, 0x0e, 0x60, 0, 0x77];

/// Sends a frame; how often the kernel had no room for it.
fn offer(wires: &[(Cable, Wire)], from: Cable, frame: &[u8]) -> Result<u64> {
    let wire = wires.iter().find(|(cable, _)| *cable == from).map(|(_, wire)| wire);
    let wire = wire.context("there is no such cable")?;
    for refused in 0..1_000 {
        if wire.offer(frame)? {
            return Ok(refused);
        }
        thread::sleep(MOMENT);
    }
    bail!("the kernel takes no more packets; is {} one?", number::read(frame).is_some())
}
