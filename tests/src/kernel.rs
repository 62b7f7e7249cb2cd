//! The real program in the kernel as a judge. It is loaded once and shared; a script begins with nothing
//! remembered.

#![allow(clippy::expect_used, clippy::panic, reason = "what fails here fails the test that asked")]

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::Context as _;
use aya::programs::{TestRun as _, TestRunOptions};
use iomt_filter::datapath::replay::Replay;
use iomt_filter::datapath::{Datapath, LoadOptions};
use iomt_filter::rows::Rows;
use iomt_filter_common::device::Port;
use iomt_filter_common::packet::Fragment;
use iomt_filter_common::{Packet, Verdict, parse};

use crate::judge::{Judge, Observed, observe};
use crate::world::World;

/// The loaded program.
#[derive(Clone)]
pub struct Kernel {
    state: Arc<Mutex<State>>,
}

struct State {
    replay: Replay,
    /// What is loaded.
    loaded: Option<(World, Rows)>,
}

impl Kernel {
    /// Loads the program.
    ///
    /// # Panics
    /// When the kernel refuses it: a kernel that should run it and does not is a failure.
    #[must_use]
    pub fn load() -> Self {
        let replay = Replay::load(few(64)).unwrap_or_else(|error| {
            let error = anyhow::Error::from(error);
            panic!("{error:#}\nthe kernel level needs root: run `sudo -E cargo xtask test`")
        });
        Self { state: Arc::new(Mutex::new(State { replay, loaded: None })) }
    }

    /// The program that every test of this process may use, one after the other.
    ///
    /// # Panics
    /// As [`Kernel::load`].
    pub fn shared() -> MutexGuard<'static, Self> {
        static SHARED: OnceLock<Mutex<Kernel>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Mutex::new(Self::load()));
        shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A judge without flows, with one generation of `world` loaded.
    #[must_use]
    pub fn judge(&self, world: &World) -> Loaded {
        let mut loaded = Loaded { kernel: self.clone(), rows: Rows::default(), sent_back: None };
        let mut state = self.state();
        state.replay.forget().expect("what was learned is forgotten");
        state.replay.set_heartbeat(world.heartbeat.last);
        except(&mut state.replay, world);
        let same = state.loaded.as_ref().filter(|(loaded, _)| loaded == world);
        let rows = same.map(|(_, rows)| rows.clone());
        drop(state);
        match rows {
            Some(rows) => loaded.rows = rows,
            None => loaded.load(world),
        }
        loaded
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the program makes of a frame that comes in on a device port (`enum xdp_action`), by the clock of the host.
///
/// # Errors
/// When the kernel refuses the test run.
pub fn run(datapath: &Datapath, frame: &[u8]) -> anyhow::Result<u32> {
    let options = TestRunOptions { data_in: Some(frame), repeat: 1, ..TestRunOptions::default() };
    let result = datapath.xdp()?.test_run(options).context("the kernel refused the test run")?;
    Ok(result.return_value)
}

/// Makes hold what a world says of devices by hand.
fn except(replay: &mut Replay, world: &World) {
    for (device, exception) in world.numbered_exceptions() {
        replay.set_exception(device, exception).expect("the exception is written");
    }
}

/// The program with one world loaded.
pub struct Loaded {
    kernel: Kernel,
    rows: Rows,
    sent_back: Option<Vec<u8>>,
}

impl Judge for Loaded {
    fn load(&mut self, world: &World) {
        self.rows = world.rows();
        let mut state = self.kernel.state();
        state.loaded = None;
        state.replay.apply(self.rows.clone()).expect("the rows are loaded");
        state.replay.set_heartbeat(world.heartbeat.last);
        except(&mut state.replay, world);
        state.loaded = Some((world.clone(), self.rows.clone()));
    }

    fn beat(&mut self, now: u64) {
        self.kernel.state().replay.set_heartbeat(now);
    }

    fn judge(&mut self, frame: &[u8], port: Port, now: u64) -> Observed {
        let mut state = self.kernel.state();
        let (event, after) = state.replay.judge_and_keep(frame, port, now).expect("the frame is judged");
        drop(state);
        self.sent_back = (event.decision.verdict() == Verdict::Reset).then_some(after.clone());
        if self.sent_back.is_none() {
            assert!(frame.starts_with(&after), "a frame that is not answered was changed: {frame:02x?}");
        }
        let mut packet = Packet::default();
        let parsed = parse(frame, &mut packet);
        let mut read = event.packet;
        if read.fragment() == Fragment::Later {
            // What its first fragment said was filled in behind the reading.
            read.source_port = packet.source_port;
            read.destination_port = packet.destination_port;
            read.tcp_flags = packet.tcp_flags;
            read.icmp_type = packet.icmp_type;
            read.protocol = packet.protocol;
        }
        assert_eq!(read, packet, "kernel and host read {frame:02x?} differently");
        observe(&self.rows, &read, parsed, event.decision)
    }

    fn sent_back(&self) -> Option<Vec<u8>> {
        self.sent_back.clone()
    }
}

/// A filter for so many devices, whose flow table is cleared in no time.
#[must_use]
pub fn few(devices: usize) -> LoadOptions {
    LoadOptions { devices, flows: 4_096, ..LoadOptions::default() }
}
