//! One capture, frame by frame: program, clock and names.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use iomt_filter_common::device::Port;
use jiff::Timestamp;

use super::clock::Clock;
use super::ports::Ports;
use super::wire;
use crate::capture::Frame;
use crate::datapath::replay::Replay;
use crate::datapath::{LoadOptions, Room};
use crate::events::{self, EnrichContext, Expected, Record, expectations};
use crate::geo::CountryDatabase;
use crate::intent::Intent;
use crate::rows::Names;

/// A replay in progress.
pub(super) struct Session {
    replay: Replay,
    port: Option<Port>,
    ports: Ports,
    names: Names,
    expected: BTreeMap<u32, Expected>,
    countries: Option<Arc<CountryDatabase>>,
    host: String,
    clock: Clock,
    frames: u64,
}

impl Session {
    /// Loads the program and makes it hold what `intent` says. Without a `port`, frames choose theirs.
    pub(super) fn begin(intent: Intent, port: Option<Port>) -> Result<Self> {
        let room = Room::of(&intent.rows)?;
        let options = LoadOptions { devices: intent.devices, room, ..LoadOptions::default() };
        let mut replay = Replay::load(options).context("failed to load the program")?;
        let ports = Ports::new(&intent.rows, &intent.segments);
        let names = intent.rows.names.clone();
        let expected = expectations(&intent.rows);
        let countries = intent.countries.clone();
        replay.apply(intent.rows).context("failed to fill the tables")?;
        let host = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
        let host = host.context("failed to read the name of this host")?;
        Ok(Self { replay, port, ports, names, expected, countries, host, clock: Clock::default(), frames: 0 })
    }

    /// Judges the next frame of the capture; `time_of_next` is the time of the one behind it, if it has one.
    ///
    /// The program is told the time of the replay's [`Clock`]; the record has the frame's own.
    pub(super) fn judge(&mut self, frame: Frame, time_of_next: Option<u64>) -> Result<Record> {
        self.frames += 1;
        let now = self.clock.advance(frame.time, time_of_next);
        let bytes = wire::of(&frame);
        let port = self.port.unwrap_or_else(|| self.ports.choose(&bytes));
        let failed = || format!("failed to judge frame {}", self.frames);
        let event = self.replay.judge(&bytes, port, now).with_context(failed)?;
        let countries = self.countries.as_deref();
        let context = EnrichContext {
            host: &self.host,
            interface: &|_| None,
            country: &|address: IpAddr| countries?.country(address),
            expected: &|device| self.expected.get(&device).cloned(),
            time_base: 0,
        };
        let mut record = events::decode(&event, &self.names, &context);
        record.time = frame.time.and_then(|time| Timestamp::from_nanosecond(time.into()).ok());
        record.frame = Some(self.frames);
        record.interface = None;
        record.length = frame.length;
        record.captured = u32::try_from(frame.bytes.len()).ok().filter(|&captured| captured < frame.length);
        Ok(record)
    }
}
