//! Generations change a thousand times under full load, and no frame is judged by anything but one of them. Every
//! verdict is looked at, and so is what the test would say of swaps that are not done as they must be.

use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use aya::Ebpf;
use aya::maps::{Array, Map, MapData, ProgramArray, RingBuf};
use aya::programs::Xdp;
use bench_ebpf::{ENTER, PROGRAMS};
use iomt_filter::datapath::{Datapath, LoadOptions, Room, WriterToken};
use iomt_filter::rows::Rows;
use iomt_filter_common::abi::{Active, map};
use iomt_filter_common::device::Port;
use iomt_filter_common::lookup::Directory;
use iomt_filter_tests::kernel::few;

mod content;
mod load;

use content::{PERIOD, Probe, probes, rows};
use load::{Seen, Shared, load};

/// The programs of the bench, compiled for BPF.
static BENCH: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/bench"));
/// Where test runs come in: the index of `lo`.
const TEST_INTERFACE: u32 = 1;
/// Lines for a list that has a table of hosts.
const LINES: u32 = 81_920;

/// `IOMT_FILTER_CASES` swaps as often as one likes.
fn swaps() -> u32 {
    std::env::var("IOMT_FILTER_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

/// The program with the first generation loaded, which records every frame that is dropped or would be.
struct Loaded {
    datapath: Datapath,
    events: RingBuf<MapData>,
    token: WriterToken,
    base: Rows,
}

impl Loaded {
    fn load() -> Self {
        let room = Room { listings: LINES, ..Room::default() };
        let options = LoadOptions { room, events_per_second: u32::MAX, ..few(64) };
        let mut datapath = Datapath::load(&options).unwrap();
        let state = tempfile::tempdir().unwrap();
        let token = WriterToken::take(state.path()).unwrap();
        datapath.set_roles(TEST_INTERFACE, &Port::Device.into(), &token).unwrap();
        let events = datapath.take_events().unwrap();
        let mut loaded = Self { datapath, events, token, base: content::base() };
        loaded.apply(1);
        loaded
    }

    fn apply(&mut self, number: u32) {
        let rows = rows(&self.base, number);
        assert_eq!(self.datapath.apply(rows, &self.token).unwrap().number, number);
    }

    /// Sends `probes` while `write` changes the tables.
    fn under_load(self, probes: &[Probe], write: impl FnOnce(&mut Writer<'_>)) -> Seen {
        let Self { mut datapath, mut events, token, base } = self;
        // The filter itself belongs to whoever writes: frames come in by a program in front of it.
        let mut ebpf = Ebpf::load(BENCH).unwrap();
        let mut programs = ProgramArray::try_from(ebpf.take_map(PROGRAMS).unwrap()).unwrap();
        programs.set(0, datapath.xdp().unwrap().fd().unwrap(), 0).unwrap();
        let enter: &mut Xdp = ebpf.program_mut(ENTER).unwrap().try_into().unwrap();
        enter.load().unwrap();
        let shared = Shared::default();
        shared.active.store(1, SeqCst);
        shared.announced.store(1, SeqCst);
        load(enter, &mut events, probes, &shared, |shared| {
            write(&mut Writer { datapath: &mut datapath, token: &token, base: &base, shared });
        })
    }
}

/// Whoever changes the tables.
struct Writer<'a> {
    datapath: &'a mut Datapath,
    token: &'a WriterToken,
    base: &'a Rows,
    shared: &'a Shared,
}

impl Writer<'_> {
    /// As the agent does it.
    fn swap(&mut self, number: u32) {
        let rows = rows(self.base, number);
        self.announce(number);
        assert_eq!(self.datapath.apply(rows, self.token).unwrap().number, number);
        self.shared.active.store(number, SeqCst);
    }

    fn announce(&self, number: u32) {
        self.shared.announced.store(number, SeqCst);
    }

    /// A table by its name, to be written behind the filter's back.
    fn table<V: aya::Pod>(&self, name: &str) -> Array<MapData, V> {
        let ids = self.datapath.xdp().unwrap().info().unwrap().map_ids().unwrap().unwrap();
        let maps = ids.into_iter().map(|id| MapData::from_id(id).unwrap());
        let is_it = |map: &MapData| map.info().unwrap().name_as_str() == Some(name);
        Array::try_from(Map::from_map_data(maps.into_iter().find(is_it).unwrap()).unwrap()).unwrap()
    }
}

#[test]
fn a_thousand_swaps_under_load_misjudge_no_frame() {
    let (swaps, probes) = (swaps(), probes());
    let seen = Loaded::load().under_load(&probes, |writer| {
        for number in 2..=swaps {
            if writer.shared.has_failed() {
                break;
            }
            writer.swap(number);
        }
    });
    assert!(seen.wrong.is_empty(), "{:#?}", seen.wrong);
    assert!(seen.generations as u32 > swaps / 2, "frames met {} generations alone", seen.generations);
    eprintln!("{} frames in {} generations", seen.frames, seen.generations);
}

/// Whoever writes what is judged by.
#[test]
fn a_write_to_the_active_slot_is_noticed() {
    let seen = Loaded::load().under_load(&probes(), |writer| {
        let mut directory: Array<_, Directory> = writer.table(map::DIRECTORY);
        for number in 2..=100 {
            if writer.shared.has_failed() {
                break;
            }
            writer.swap(number);
            let slot = writer.datapath.generation().unwrap().slot;
            let [own, other] = [slot, 1 - slot].map(|slot| directory.get(&slot, 0).unwrap());
            directory.set(slot, other, 0).unwrap();
            thread::sleep(Duration::from_millis(1));
            directory.set(slot, own, 0).unwrap();
        }
    });
    assert!(!seen.wrong.is_empty(), "{} frames went unnoticed", seen.frames);
}

/// Whoever swaps again while frames are still judged by the slot that is written.
#[test]
fn a_swap_that_waits_for_no_reader_is_noticed() {
    if thread::available_parallelism().unwrap().get() == 1 {
        eprintln!("skipped: on one processor no frame is judged while tables are written");
        return;
    }
    let mut of_lists = probes();
    of_lists.retain(|probe| probe.is_of_lists);
    let mut loaded = Loaded::load();
    loaded.apply(2);
    let seen = loaded.under_load(&of_lists, |writer| {
        let mut directory: Array<_, Directory> = writer.table(map::DIRECTORY);
        let mut active: Array<_, Active> = writer.table(map::ACTIVE);
        let held = [0, 1].map(|slot| directory.get(&slot, 0).unwrap());
        writer.announce(u32::MAX);
        // Each slot holds the lists of the first generation and those of the second by turns.
        for turn in 0..2_000_000_u32 {
            if turn % 100 == 0 && writer.shared.has_failed() {
                break;
            }
            let which = (turn / 2) % 2;
            let (slot, number) = (turn % 2, (turn + 1) * PERIOD + 1 + which);
            directory.set(slot, held[which as usize], 0).unwrap();
            active.set(0, Active::new(number, slot), 0).unwrap();
        }
    });
    assert!(!seen.wrong.is_empty(), "{} frames went unnoticed", seen.frames);
}
