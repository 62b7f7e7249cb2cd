//! The filter with the tables of one hospital.

use anyhow::{Context as _, Result, ensure};
use aya::maps::{MapData, RingBuf};
use iomt_filter::datapath::{Datapath, LoadOptions, Room, WriterToken};
use iomt_filter::rows::Rows;
use iomt_filter_common::device::Port;
use iomt_filter_common::event::Event;
use iomt_filter_common::pod::Pod as _;
use serde::Serialize;

use crate::case::Case;
use crate::contender::{Contender, Counts, Expected};
use crate::countries::Countries;
use crate::driver::{Driver, Place, Timed};
use crate::hospital::Hospital;

/// Its place in the driver.
const PLACE: Place = Place { is_plain: false, number: 1 };
/// Where test runs come in: the index of `lo`.
const TEST_INTERFACE: u32 = 1;
/// Records that the ring buffer has room for.
const ROOM_FOR_RECORDS: u32 = 1 << 14;

/// A loaded filter.
pub(crate) struct Filter {
    pub(crate) datapath: Datapath,
    pub(crate) token: WriterToken,
    hospital: Hospital,
    events: RingBuf<MapData>,
    counted: Counts,
    records: u64,
}

/// What the kernel says of the filter.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Program {
    /// Instructions that the verifier walked.
    pub(crate) verified_instructions: Option<u32>,
    pub(crate) translated_bytes: Option<u32>,
    pub(crate) jited_bytes: u32,
}

impl Filter {
    /// Loads it and fills its tables.
    pub(crate) fn load(hospital: Hospital, countries: &Countries) -> Result<Self> {
        Self::load_with(hospital, countries, |room| room)
    }

    /// The same with tables of another size than just large enough.
    pub(crate) fn load_with(
        hospital: Hospital,
        countries: &Countries,
        size: impl Fn(Room) -> Room,
    ) -> Result<Self> {
        Self::load_rows(hospital, hospital.rows(countries), size)
    }

    /// The same with other rows than those of the hospital.
    pub(crate) fn load_rows(hospital: Hospital, rows: Rows, size: impl Fn(Room) -> Room) -> Result<Self> {
        let room = size(Room::of(&rows)?);
        let events_per_second =
            if hospital.records_all { u32::MAX } else { LoadOptions::default().events_per_second };
        let options = LoadOptions {
            devices: hospital.devices as usize,
            room,
            flows: hospital.flows,
            events_per_second,
            ..LoadOptions::default()
        };
        let mut datapath = Datapath::load(&options)?;
        let state = tempfile::tempdir().context("failed to make a folder")?;
        let token = WriterToken::take(state.path())?;
        datapath.apply(rows, &token)?;
        let events = datapath.take_events().context("the records were taken before")?;
        Ok(Self { datapath, token, hospital, events, counted: Counts::new(), records: 0 })
    }

    /// Has the driver call it.
    pub(crate) fn enter(&self, driver: &mut Driver) -> Result<()> {
        driver.set_program(PLACE, self.datapath.xdp()?.fd()?)
    }

    /// What the kernel says of it.
    pub(crate) fn program(&self) -> Result<Program> {
        let info = self.datapath.xdp()?.info()?;
        Ok(Program {
            verified_instructions: info.verified_instruction_count(),
            translated_bytes: info.size_translated(),
            jited_bytes: info.size_jitted(),
        })
    }

    /// Frames so far.
    pub(crate) fn counts(&self) -> Result<Counts> {
        let devices = 1..=self.hospital.devices;
        let counts = self.datapath.readings().counts(devices).context("failed to read the counters")?;
        Ok(counts.into_iter().map(|row| ((row.device, row.verdict, row.reason), row.frames)).collect())
    }

    /// The next record that was not read yet.
    pub(crate) fn record(&mut self) -> Option<Event> {
        self.events.next().and_then(|record| Event::from_bytes(&record))
    }

    /// Says what faces the interface that test runs come in on.
    pub(crate) fn set_port(&mut self, port: Port) -> Result<()> {
        Ok(self.datapath.set_roles(TEST_INTERFACE, &port.into(), &self.token)?)
    }
}

impl Contender for Filter {
    fn name(&self) -> &'static str {
        "iomt-filter"
    }

    fn place(&self) -> Place {
        PLACE
    }

    fn judges(&self, case: &Case) -> bool {
        case.hospital == self.hospital
    }

    fn prepare(&mut self, case: &Case) -> Result<()> {
        self.set_port(case.port)
    }

    fn begin(&mut self) -> Result<()> {
        self.rest();
        self.records = 0;
        self.counted = self.counts()?;
        Ok(())
    }

    fn breath(&self) -> u32 {
        if self.hospital.records_all { ROOM_FOR_RECORDS } else { u32::MAX }
    }

    fn rest(&mut self) {
        // A full buffer would be another case.
        while self.events.next().is_some() {
            self.records += 1;
        }
    }

    /// Whether every frame came to what it must, counts for the device it must, and was recorded where all are.
    fn check(&self, expected: &Expected<'_>, last: Timed) -> Result<()> {
        let wanted = expected.action();
        ensure!(last.action == wanted, "the filter returned {}, not {wanted}", last.action);
        let mut found = self.counts()?;
        for (counter, frames) in &self.counted {
            *found.entry(*counter).or_default() -= frames;
        }
        found.retain(|_, frames| *frames != 0);
        for (counter, frames) in &found {
            let wanted = expected.counts.get(counter).copied().unwrap_or(0);
            ensure!(*frames == wanted, "{frames} frames came to {counter:?}, not {wanted}");
        }
        let (moved, wanted) = (found.len(), expected.counts.len());
        ensure!(moved == wanted, "{moved} counters moved, not {wanted}");
        let (records, wanted) = (self.records, expected.frames());
        ensure!(!self.hospital.records_all || records == wanted, "{records} records were read, not {wanted}");
        Ok(())
    }
}
