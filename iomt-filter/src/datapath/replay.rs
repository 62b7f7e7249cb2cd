//! Runs single frames through the real program by test runs: no interface, no packet sent.

use std::collections::BTreeSet;

use aya::maps::{MapError, PerCpuArray, RingBuf};
use aya::programs::{ProgramError, TestRun as _, TestRunOptions};
use iomt_filter_common::abi::Input;
use iomt_filter_common::device::Port;
use iomt_filter_common::event::Event;
use iomt_filter_common::exception::Exception;
use iomt_filter_common::lease;
use iomt_filter_common::pod::Pod as _;
use iomt_filter_common::policy::Otherwise;
use iomt_filter_common::query::{self, Query};
use iomt_filter_common::{Case, Decision, Packet, Verdict, parse};
use thiserror::Error;

use super::apply::ApplyError;
use super::generation::Generation;
use super::learned::{Learned, clear};
use super::load::{Datapath, LoadError, LoadOptions, program};
use super::lock::WriterToken;
use super::shared::SharedWords;
use crate::rows::Rows;

/// `XDP_DROP`, `XDP_PASS` and `XDP_TX` of `enum xdp_action` (`include/uapi/linux/bpf.h`).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_TX: u32 = 3;
/// The kernel takes no test frame shorter than an Ethernet header.
const SHORTEST_TEST_FRAME: usize = 14;

/// Longest frame that is handed to the kernel, which takes a first page and 17 fragments of a page.
///
/// Two tags, an IPv6 header and the longest payload that it can claim end before this. What lies behind
/// is padding that the program never reads, so a longer frame is judged by its beginning.
pub const LONGEST_TEST_FRAME: usize = 65_600;

/// The map in which the program keeps the frame at hand, and what it found out about it.
const CASE: &str = "CASE";

/// A private copy of the filter that judges frames one by one.
pub struct Replay {
    datapath: Datapath,
    events: RingBuf<aya::maps::MapData>,
    token: WriterToken,
    unparsed: u8,
    /// Devices of every generation so far.
    devices: BTreeSet<u32>,
}

/// Why a frame could not be judged.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The program could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The tables could not be filled.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The kernel refused the test run.
    #[error("the kernel refused a frame of {length} bytes")]
    Run {
        /// Length of the frame.
        length: usize,
        /// What the kernel said.
        #[source]
        error: ProgramError,
    },
    /// Clock, port or flows could not be set.
    #[error("failed to set clock, port or flows")]
    Input(#[source] MapError),
    /// The program gave no record, or one that contradicts its action.
    #[error("the program answered action {action} without the record that belongs to it")]
    NoRecord {
        /// What the program returned.
        action: u32,
    },
    /// What the program found out is not where it keeps it.
    #[error("the program left no account of the frame")]
    NoFindings,
}

impl Replay {
    /// Loads a private copy of the program.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn load(options: LoadOptions) -> Result<Self, ReplayError> {
        let options = LoadOptions { replay: true, pins: None, ..options };
        let mut datapath = Datapath::load(&options)?;
        let events = datapath.take_events().ok_or(LoadError::NoMap("EVENTS"))?;
        Ok(Self {
            datapath,
            events,
            token: WriterToken::for_private_tables(),
            unparsed: 0,
            devices: BTreeSet::new(),
        })
    }

    /// Judges with `rows` from now on; remembered flows stay.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn apply(&mut self, rows: Rows) -> Result<Generation, ReplayError> {
        self.unparsed = rows.settings.unparsed;
        self.devices.extend(rows.devices.keys());
        Ok(self.datapath.apply(rows, &self.token)?)
    }

    /// Forgets what was learned from frames: flows, fragments, questions, leases, tokens that were taken.
    ///
    /// # Errors
    /// When the kernel refuses to.
    pub fn forget(&mut self) -> Result<(), ReplayError> {
        let maps = &mut self.datapath.maps;
        let words = query::places(self.datapath.device_capacity) as usize * size_of::<Query>() / 8;
        SharedWords::map(maps.queries.fd(), words).map_err(LoadError::Shared)?.clear();
        self.datapath.readings.flows.clear();
        for &device in self.devices.iter().chain(&[0]) {
            maps.exceptions.set(device, Exception::default(), 0).map_err(ReplayError::Input)?;
        }
        let forgotten = clear(&mut maps.fragments)
            .and_then(|()| clear(&mut maps.other_fragments))
            .and_then(|()| clear(&mut maps.far_hosts))
            .and_then(|()| maps.forget_devices(self.devices.iter().copied()));
        forgotten.map_err(ReplayError::Input)
    }

    /// Says when the agent was last heard of, in nanoseconds of the clock of frames; 0 for never.
    pub fn set_heartbeat(&mut self, at: u64) {
        self.datapath.heartbeat.beat(at);
    }

    /// Makes `exception` hold for a device; that of device 0 is for every frame.
    ///
    /// # Errors
    /// When the kernel refuses the row.
    pub fn set_exception(&mut self, device: u32, exception: Exception) -> Result<(), ReplayError> {
        self.datapath.set_exception(device, exception, &self.token).map_err(ReplayError::Input)
    }

    /// Goes on from what tables that judge have learned. Flows that `live`, their generation, has judged are
    /// good here too; all others are to be judged again.
    ///
    /// # Errors
    /// When the kernel refuses to.
    pub fn learn(&mut self, learned: &Learned, live: u32) -> Result<(), ReplayError> {
        let own = self.datapath.generation().map_or(0, |generation| generation.number);
        let (maps, flows) = (&mut self.datapath.maps, &self.datapath.readings.flows);
        let mut learn = || {
            for &(device, lease) in &learned.leases {
                maps.leases.set(lease::index(device, lease.address), lease, 0)?;
                maps.leased.insert(lease.address, device, 0)?;
            }
            for &(device, exception) in &learned.exceptions {
                maps.exceptions.set(device, exception, 0)?;
            }
            for &(key, mut flow) in &learned.flows {
                flow.generation = if flow.generation == live { own } else { 0 };
                // A private table is empty: there is a place for what is asked about.
                flows.insert(&key, &flow);
            }
            Ok(())
        };
        learn().map_err(ReplayError::Input)?;
        self.set_heartbeat(learned.heartbeat);
        Ok(())
    }

    /// The tables behind this replay.
    #[must_use]
    pub const fn datapath(&self) -> &Datapath {
        &self.datapath
    }

    /// Judges one frame that comes in on `port` at `now` (nanoseconds).
    ///
    /// # Errors
    /// When the kernel refuses the frame, or the program's answer is not complete.
    pub fn judge(&mut self, frame: &[u8], port: Port, now: u64) -> Result<Event, ReplayError> {
        Ok(self.judge_and_keep(frame, port, now)?.0)
    }

    /// The same, and what was found out on the way. No two frames may come in at the same time.
    ///
    /// # Errors
    /// As [`judge`](Self::judge).
    pub fn judge_and_tell(
        &mut self,
        frame: &[u8],
        port: Port,
        now: u64,
    ) -> Result<(Event, Case), ReplayError> {
        let event = self.judge(frame, port, now)?;
        let map = self.datapath.ebpf.map(CASE).ok_or(LoadError::NoMap(CASE))?;
        let cases: PerCpuArray<_, Case> = PerCpuArray::try_from(map).map_err(ReplayError::Input)?;
        let cases = cases.get(&0, 0).map_err(ReplayError::Input)?;
        // Each CPU holds the last frame that it judged; time, packet and answer tell this one from others.
        let is_it = |case: &&Case| {
            let mut packet = case.packet;
            packet.length = event.packet.length;
            case.now == now && case.decision == event.decision && packet == event.packet
        };
        let case = cases.iter().find(is_it);
        case.map(|case| (event, *case)).ok_or(ReplayError::NoFindings)
    }

    /// As [`judge`](Self::judge), and the frame as it is afterwards: where the verdict is `reset`, the one that goes back.
    ///
    /// # Errors
    /// As [`judge`](Self::judge).
    pub fn judge_and_keep(
        &mut self,
        frame: &[u8],
        port: Port,
        now: u64,
    ) -> Result<(Event, Vec<u8>), ReplayError> {
        if frame.len() < SHORTEST_TEST_FRAME {
            return Ok((self.judge_runt(frame, port, now), frame.to_vec()));
        }
        let input = Input { now, port: port as u32, reserved: 0 };
        self.datapath.maps.input.set(0, input, 0).map_err(ReplayError::Input)?;
        let run_length = frame.len().min(LONGEST_TEST_FRAME);
        let mut after = vec![0; run_length];
        let run = TestRunOptions {
            data_in: frame.get(..run_length),
            data_out: Some(&mut after),
            ..TestRunOptions::default()
        };
        let failed = |error| ReplayError::Run { length: frame.len(), error };
        let result = program(&mut self.datapath.ebpf)?.test_run(run).map_err(failed)?;
        let (action, left) = (result.return_value, result.data_size_out as usize);
        after.truncate(left);
        let record = self.events.next().and_then(|record| Event::from_bytes(&record));
        let wanted = record.map(|event| match event.decision.verdict() {
            Verdict::Pass | Verdict::WouldDrop => XDP_PASS,
            Verdict::Drop => XDP_DROP,
            Verdict::Reset => XDP_TX,
        });
        match record {
            Some(mut event) if wanted == Some(action) => {
                event.packet.length = frame.len() as u32;
                Ok((event, after))
            }
            _ => Err(ReplayError::NoRecord { action }),
        }
    }

    /// What the program answers to a frame without a whole Ethernet header, which no driver delivers.
    fn judge_runt(&self, frame: &[u8], port: Port, now: u64) -> Event {
        let mut packet = Packet::default();
        let reason = match parse(frame, &mut packet) {
            Ok(()) => iomt_filter_common::Reason::Malformed,
            Err(unparsed) => unparsed.reason(),
        };
        let verdict = match Otherwise::from_number(self.unparsed) {
            Otherwise::Drop => Verdict::Drop,
            Otherwise::Monitor => Verdict::WouldDrop,
            Otherwise::Pass => Verdict::Pass,
        };
        let generation = self.datapath.generation().map_or(0, |generation| generation.number);
        Event {
            time: now,
            count: 1,
            interface: 0,
            port: port as u32,
            packet,
            decision: Decision::new(verdict, reason, generation),
        }
    }
}
