//! What somebody else has written into the tables is found, whichever table it is, and by a process that has not written
//! them too.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use aya::maps::{Array, Map, MapData};
use iomt_filter::datapath::attach::detach;
use iomt_filter::datapath::{Datapath, Drift, LoadOptions, Roles, WriterToken};
use iomt_filter::rows::Rows;
use iomt_filter_common::abi::map;
use iomt_filter_common::device::{Device, Port};
use iomt_filter_common::exception::Exception;
use iomt_filter_common::policy::Mode;
use iomt_filter_common::ports::{Entry, line_of};
use iomt_filter_tests::world::{World, hospital};

use crate::changes::{LATER, now};

/// A process with the tables that another one may take over.
struct Site {
    pins: PathBuf,
    token: WriterToken,
    _state: tempfile::TempDir,
}

impl Site {
    fn new(name: &str) -> Self {
        let pins = PathBuf::from(format!("/sys/fs/bpf/iomt-filter-tests-{name}-{}", std::process::id()));
        let state = tempfile::tempdir().unwrap();
        Self { pins, token: WriterToken::take(state.path()).unwrap(), _state: state }
    }

    fn load(&self) -> Datapath {
        let options = LoadOptions { pins: Some(self.pins.clone()), devices: 64, ..LoadOptions::default() };
        Datapath::load(&options).unwrap()
    }

    /// Writes a line of a table, as anybody with the right to use BPF can.
    fn write(&self, table: &str, line: u32, words: [u64; 8]) {
        let data = MapData::from_pin(self.pins.join("maps").join(table)).unwrap();
        Array::<_, [u64; 8]>::try_from(Map::Array(data)).unwrap().set(line, words, 0).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = detach(&self.pins);
        let _ = fs::remove_dir(&self.pins);
    }
}

fn world() -> World {
    hospital().with_mode("ct-scanner", Mode::Enforce)
}

/// The same without what the scanners are allowed.
fn stricter() -> Rows {
    let mut world = world();
    for profile in world.profiles.iter_mut().filter(|profile| profile.name == "ct-scanner") {
        profile.rules.clear();
    }
    world.rows()
}

fn tables(found: &[Drift]) -> Vec<&'static str> {
    found.iter().map(|drift| drift.table).collect()
}

#[test]
fn pairs_are_compared_one_by_one() {
    let site = Site::new("pairs");
    let mut datapath = site.load();
    let rows = world().rows();
    datapath.apply(rows.clone(), &site.token).unwrap();
    let mut other = rows.clone();
    let (device, prefix) = *other.protected.iter().next().unwrap();
    other.protected.remove(&(device, prefix));
    other.protected.insert((device + 1_000, prefix));
    assert_eq!(other.protected.len(), rows.protected.len());
    assert_eq!(datapath.drift_from(&other).unwrap(), [Drift { table: map::PROTECTED, rows: 1 }]);
    assert_eq!(datapath.drift_from(&rows).unwrap(), []);
}

#[test]
fn what_holds_by_hand_is_compared_and_what_has_ended_is_none() {
    let site = Site::new("by-hand");
    let mut datapath = site.load();
    let open = Exception { quarantined_until: 0, open_until: now() + LATER };
    datapath.set_exception(3, open, &site.token).unwrap();
    datapath.set_exception(4, Exception { quarantined_until: 1, open_until: 1 }, &site.token).unwrap();
    assert_eq!(datapath.exceptions_drift(&BTreeMap::from([(3, open)])).unwrap(), 0);
    assert_eq!(datapath.exceptions_drift(&BTreeMap::new()).unwrap(), 1);
    assert_eq!(datapath.exceptions_drift(&BTreeMap::from([(3, open), (5, open)])).unwrap(), 1);
}

#[test]
fn roles_are_compared_and_written_anew() {
    let site = Site::new("roles");
    let mut datapath = site.load();
    let trunk = Roles { port: Port::Uplink, vlans: BTreeMap::from([(7, Port::Device), (9, Port::Uplink)]) };
    let wanted = BTreeMap::from([(11, Roles::from(Port::Device)), (12, trunk)]);
    for (index, roles) in &wanted {
        datapath.set_roles(*index, roles, &site.token).unwrap();
    }
    assert_eq!(datapath.roles_drift(&wanted), 0);
    let line = line_of(11, 0);
    let uplink = Entry::new(11, 0, Port::Uplink).0;
    site.write(map::PORTS, line, [uplink, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(datapath.roles_drift(&wanted), 1, "another role");
    datapath.restore_roles(&wanted, &site.token).unwrap();
    assert_eq!((datapath.roles_drift(&wanted), datapath.roles(11)), (0, Port::Device.into()));
    site.write(map::PORTS, line, [0; 8]);
    assert_eq!(datapath.roles_drift(&wanted), 1, "no role");
    // A line that is full of others' words has room again.
    site.write(map::PORTS, line, [uplink + (1 << 14); 8]);
    assert!(datapath.roles_drift(&wanted) >= 8);
    datapath.restore_roles(&wanted, &site.token).unwrap();
    assert_eq!(datapath.roles_drift(&wanted), 0);
}

#[test]
fn tables_that_are_taken_over_are_compared_to_the_last_line() {
    let site = Site::new("taken-over");
    let rows = world().rows();
    site.load().apply(rows.clone(), &site.token).unwrap();
    let mut next = site.load();
    assert!(next.is_adopted());
    assert_eq!(next.drift().unwrap(), [], "nothing is known of them yet");
    assert_eq!(tables(&next.recognise(&stricter(), None).unwrap()), [map::POLICY]);
    assert_eq!(next.recognise(&rows, None).unwrap(), []);
    assert_eq!(next.drift().unwrap(), []);
    assert_eq!(next.active_rows(), Some(&rows), "they are known as if they had been written here");
    site.write(map::POLICY, 3, [7; 8]);
    assert_eq!(tables(&next.drift().unwrap()), [map::POLICY]);
    assert_eq!(tables(&site.load().recognise(&rows, None).unwrap()), [map::POLICY]);
    let found = next.drift().unwrap();
    next.doubt(&found, &site.token);
    next.apply(rows.clone(), &site.token).unwrap();
    assert_eq!(next.drift().unwrap(), []);
    assert_eq!(site.load().recognise(&rows, None).unwrap(), []);
}

#[test]
fn a_change_that_is_pending_is_compared_with_what_it_goes_back_to() {
    let site = Site::new("pending");
    let (before, after) = (world().rows(), stricter());
    {
        let mut first = site.load();
        first.apply(before.clone(), &site.token).unwrap();
        first.apply_until(after.clone(), LATER, &site.token).unwrap();
    }
    let mut next = site.load();
    assert_eq!(tables(&next.recognise(&after, Some(&after)).unwrap()), [map::POLICY]);
    assert_eq!(next.recognise(&after, Some(&before)).unwrap(), []);
    assert_eq!(next.drift().unwrap(), []);
    // Rows of what judges and of what it goes back to are written anew beside each other.
    let data = MapData::from_pin(site.pins.join("maps").join(map::DEVICES)).unwrap();
    let capacity = next.device_capacity();
    let slot = next.pending().unwrap().candidate.slot;
    let mut devices = Array::<_, [u8; size_of::<Device>()]>::try_from(Map::Array(data)).unwrap();
    let first = *after.devices.keys().next().unwrap();
    devices.set(slot * capacity + first, [0; size_of::<Device>()], 0).unwrap();
    let found = next.drift().unwrap();
    assert_eq!(found, [Drift { table: map::DEVICES, rows: 1 }]);
    next.doubt(&found, &site.token);
    next.apply_both(after.clone(), before.clone(), &site.token).unwrap().unwrap();
    assert_eq!(next.drift().unwrap(), []);
    assert!(next.pending().is_some());
    assert_eq!(site.load().recognise(&after, Some(&before)).unwrap(), []);
}
