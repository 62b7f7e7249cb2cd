//! The pin folder: whether the tables in it can be taken over, and how they are removed.
//!
//! `maps/` holds the tables, `links/` the program on each interface, and the empty folder `contract-N`
//! says by which contract. Never judges what the tables hold.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aya::maps::{MapData, MapError, MapInfo};
use iomt_filter_common::abi::{self, SLOTS, map};
use iomt_filter_common::counters::PER_DEVICE;

use super::attach::attached_interfaces;
use super::load::{LoadError, LoadOptions, shapes};

/// What the kernel makes of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) name: &'static str,
    pub(super) key: u32,
    pub(super) value: u32,
    pub(super) entries: u32,
}

impl Shape {
    pub(super) const fn of<K, V>(name: &'static str, entries: u32) -> Self {
        Self { name, key: size_of::<K>() as u32, value: size_of::<V>() as u32, entries }
    }

    /// What of a pinned map is not as it should be. Hash maps that only the kernel fills, or that are
    /// written row by row, may have another size, and so may lists: what does not fit is refused later.
    fn differs(self, found: &MapInfo) -> bool {
        let may_have_any_size = matches!(
            self.name,
            map::FLOWS_V4 | map::FLOWS_V6 | map::LISTINGS | map::BLOCKS | map::COUNTRIES | map::POLICY
        );
        found.key_size() != self.key
            || found.value_size() != self.value
            || (!may_have_any_size && found.max_entries() != self.entries)
    }
}

pub(super) fn maps_folder(pins: &Path) -> PathBuf {
    pins.join("maps")
}

/// Makes the pin folder, and says how many devices the tables in it hold, where there are any to take
/// over.
///
/// Only a complete set is taken over: a table that is opened with rows nobody knows of would judge with
/// them. What a `detach` or a start has left half done is removed, unless an interface is judged by it.
pub(super) fn prepare(pins: &Path, options: &LoadOptions) -> Result<Option<u32>, LoadError> {
    let failed = |error| LoadError::Pins { path: pins.to_owned(), error };
    fs::create_dir_all(maps_folder(pins)).map_err(failed)?;
    match found(pins, options) {
        Found::Tables(devices) => return Ok(Some(devices)),
        Found::Nothing => {}
        Found::Unusable { version, what } => {
            if let Some(obstacle) = in_use(pins, version, &what) {
                return Err(obstacle);
            }
            tracing::warn!(
                pins = %pins.display(), what,
                "the tables here cannot be taken over and judge no interface; they are made anew"
            );
        }
    }
    remove_tables(pins).map_err(failed)?;
    fs::create_dir_all(maps_folder(pins)).map_err(failed)?;
    fs::create_dir_all(pins.join(format!("contract-{}", abi::VERSION))).map_err(failed)?;
    Ok(None)
}

/// What keeps a start from using a pin folder; nothing is changed.
pub(crate) fn obstacle(pins: &Path) -> Option<LoadError> {
    match found(pins, &LoadOptions::default()) {
        Found::Unusable { version, what } => in_use(pins, version, &what),
        Found::Nothing | Found::Tables(_) => None,
    }
}

/// Why tables that cannot be taken over cannot be made anew either: interfaces are judged by them.
fn in_use(pins: &Path, version: u32, what: &str) -> Option<LoadError> {
    let (path, interfaces) = (pins.to_owned(), attached_interfaces(pins));
    if interfaces.is_empty() {
        return None;
    }
    Some(if version == abi::VERSION {
        LoadError::Incomplete { path, what: what.to_owned(), interfaces }
    } else {
        LoadError::OtherVersion { path, found: version, needed: abi::VERSION }
    })
}

/// What a pin folder holds.
pub(super) enum Found {
    /// No table.
    Nothing,
    /// Tables to take over, for so many devices.
    Tables(u32),
    /// Tables that cannot be taken over.
    Unusable {
        /// Their contract.
        version: u32,
        /// What is wrong with them.
        what: String,
    },
}

/// Looks into a pin folder, and changes nothing.
pub(super) fn found(pins: &Path, options: &LoadOptions) -> Found {
    let is_empty = fs::read_dir(maps_folder(pins)).map_or(true, |mut tables| tables.next().is_none());
    if is_empty {
        return Found::Nothing;
    }
    let version = version_of(pins);
    match (version == abi::VERSION).then(|| capacity(pins, options)) {
        Some(Ok(devices)) => Found::Tables(devices),
        Some(Err(what)) => Found::Unusable { version, what },
        None => Found::Unusable { version, what: format!("contract version {version}") },
    }
}

/// Removes tables and what says by which contract they were made.
pub(super) fn remove_tables(pins: &Path) -> io::Result<()> {
    let folders = fs::read_dir(pins)?.collect::<io::Result<Vec<_>>>()?;
    let is_contract = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with("contract-");
    // The tables first: as long as one of them is there, the contract says how it is to be read.
    remove_folder(&maps_folder(pins))?;
    for folder in folders.iter().filter(|folder| is_contract(&folder.file_name())) {
        remove_folder(&folder.path())?;
    }
    Ok(())
}

/// Removes a folder and the pins in it, where there is one.
pub(super) fn remove_folder(folder: &Path) -> io::Result<()> {
    let pins = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        pins => pins?.collect::<io::Result<Vec<_>>>()?,
    };
    pins.iter().try_for_each(|pin| fs::remove_file(pin.path()))?;
    fs::remove_dir(folder)
}

/// How many devices the pinned tables hold, or what is wrong with them.
fn capacity(pins: &Path, options: &LoadOptions) -> Result<u32, String> {
    let folder = maps_folder(pins);
    let info = |name: &'static str| -> Result<MapInfo, String> {
        if !folder.join(name).exists() {
            return Err(format!("`{name}` is missing"));
        }
        let info = MapData::from_pin(folder.join(name)).and_then(|map| map.info());
        info.map_err(|error: MapError| format!("`{name}` cannot be read: {error}"))
    };
    let devices = info(map::DEVICES)?.max_entries() / SLOTS;
    if devices == 0 || devices > u32::MAX / PER_DEVICE {
        return Err(format!("`{}` has another size", map::DEVICES));
    }
    for shape in shapes(options, devices) {
        if shape.differs(&info(shape.name)?) {
            return Err(format!("`{}` has another size", shape.name));
        }
    }
    Ok(devices)
}

/// How many sets the pinned flow table has.
pub(super) fn flow_sets(pins: &Path) -> Result<u32, LoadError> {
    let failed = |error| LoadError::Map(map::FLOWS_V4, error);
    let table = MapData::from_pin(maps_folder(pins).join(map::FLOWS_V4)).map_err(failed)?;
    Ok(table.info().map_err(failed)?.max_entries())
}

/// The version that the pins' folder `contract-N` names; 0 for none.
fn version_of(pins: &Path) -> u32 {
    let names = fs::read_dir(pins).into_iter().flatten().flatten();
    names
        .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("contract-")?.parse().ok())
        .max()
        .unwrap_or(0)
}
