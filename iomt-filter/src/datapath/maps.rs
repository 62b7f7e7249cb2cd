//! The maps of the program, with the types of their keys and values.

use std::os::fd::AsFd as _;

use aya::Ebpf;
use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuHashMap, RingBuf};
use iomt_filter_common::Address;
use iomt_filter_common::abi::{Input, ProtectedKey, map};
use iomt_filter_common::device::Device;
use iomt_filter_common::exception::Exception;
use iomt_filter_common::fragment::{FirstFragment, FragmentKey};
use iomt_filter_common::lease::{Lease, Requests};
use iomt_filter_common::limit::Buckets;
use iomt_filter_common::lookup::{Directory, Line};
use iomt_filter_common::policy::{Grant, GrantKey, Profile, Settings};
use iomt_filter_common::ports::{LINES as PORT_LINES, PLACES};
use iomt_filter_common::trial::Difference;

use super::load::LoadError;
use super::shared::SharedWords;
use super::shelves::{Shelf, Shelves};

/// The maps of the contract that are written or followed from here.
pub(super) struct Maps {
    pub(super) exceptions: Array<MapData, Exception>,
    pub(super) differences: PerCpuHashMap<MapData, Difference, u64>,
    /// Shared as memory; the handles stay, because the program may be loaded again.
    _words: [MapData; 3],
    pub(super) settings: Array<MapData, Settings>,
    pub(super) profiles: Array<MapData, Profile>,
    pub(super) devices: Array<MapData, Device>,
    pub(super) protected: LpmTrie<MapData, ProtectedKey, u32>,
    pub(super) directory: Array<MapData, Directory>,
    pub(super) shelves: Shelves,
    /// Shared as memory; the handles stay, because the program may be loaded again.
    _lines: [MapData; 4],
    /// Shared as memory; the handles stay, because the program may be loaded again.
    _flows: [MapData; 3],
    pub(super) fragments: HashMap<MapData, FragmentKey, FirstFragment>,
    pub(super) requests: Array<MapData, Requests>,
    pub(super) other_fragments: HashMap<MapData, FragmentKey, FirstFragment>,
    pub(super) queries: MapData,
    pub(super) far_hosts: HashMap<MapData, Address, u64>,
    pub(super) grants: HashMap<MapData, GrantKey, Grant>,
    pub(super) leases: Array<MapData, Lease>,
    pub(super) leased: HashMap<MapData, Address, u32>,
    pub(super) buckets: Array<MapData, Buckets>,
    pub(super) ports: SharedWords,
    /// Shared as memory; the handle stays, because the program may be loaded again.
    _ports: MapData,
    pub(super) input: Array<MapData, Input>,
    pub(super) events: Option<RingBuf<MapData>>,
}

impl Maps {
    /// Takes them, beside `words` and `flows`, which were taken by [`data`].
    pub(super) fn take(ebpf: &mut Ebpf, words: [MapData; 3], flows: [MapData; 3]) -> Result<Self, LoadError> {
        let [listings, blocks, countries, policy] = Shelves::NAMES.map(|name| data(ebpf, name));
        let lines = [listings?, blocks?, countries?, policy?];
        let [listings, blocks, countries, policy] = &lines;
        let shelves = Shelves {
            listings: shelf(map::LISTINGS, listings)?,
            blocks: shelf(map::BLOCKS, blocks)?,
            countries: shelf(map::COUNTRIES, countries)?,
            policy: shelf(map::POLICY, policy)?,
        };
        let ports = data(ebpf, map::PORTS)?;
        Ok(Self {
            exceptions: typed(ebpf, map::EXCEPTIONS)?,
            differences: typed(ebpf, map::DIFFERENCES)?,
            _words: words,
            settings: typed(ebpf, map::SETTINGS)?,
            profiles: typed(ebpf, map::PROFILES)?,
            devices: typed(ebpf, map::DEVICES)?,
            protected: typed(ebpf, map::PROTECTED)?,
            directory: typed(ebpf, map::DIRECTORY)?,
            shelves,
            _lines: lines,
            _flows: flows,
            fragments: typed(ebpf, map::FRAGMENTS)?,
            requests: typed(ebpf, map::REQUESTS)?,
            other_fragments: typed(ebpf, map::OTHER_FRAGMENTS)?,
            queries: data(ebpf, map::QUERIES)?,
            far_hosts: typed(ebpf, map::FAR_HOSTS)?,
            grants: typed(ebpf, map::GRANTS)?,
            leases: typed(ebpf, map::LEASES)?,
            leased: typed(ebpf, map::LEASED)?,
            buckets: typed(ebpf, map::BUCKETS)?,
            ports: SharedWords::map(ports.fd(), PORT_LINES as usize * PLACES).map_err(LoadError::Shared)?,
            _ports: ports,
            input: typed(ebpf, map::INPUT)?,
            events: Some(typed(ebpf, map::EVENTS)?),
        })
    }
}

/// The key of a trie row: `bits` of the address behind `fixed` bits that always count.
pub(super) const fn trie_key<K>(fixed: u32, bits: u8, data: K) -> Key<K>
where
    K: aya::Pod,
{
    Key::new(fixed + bits as u32, data)
}

fn typed<M: TryFrom<Map, Error = MapError>>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, LoadError> {
    let map = ebpf.take_map(name).ok_or(LoadError::NoMap(name))?;
    M::try_from(map).map_err(|error| LoadError::Map(name, error))
}

fn shelf<R: Clone + PartialEq, T: Copy + Default>(
    name: &'static str,
    map: &MapData,
) -> Result<Shelf<R, T>, LoadError> {
    let lines = map.info().map_err(|error| LoadError::Map(name, error))?.max_entries();
    let words = lines as usize * size_of::<Line>() / size_of::<u64>();
    let words = SharedWords::map(map.fd(), words).map_err(LoadError::Shared)?;
    Ok(Shelf::new(name, words, lines))
}

/// A map by another handle, before it is taken.
pub(super) fn second<M: TryFrom<Map, Error = MapError>>(
    ebpf: &Ebpf,
    name: &'static str,
) -> Result<M, LoadError> {
    M::try_from(again(ebpf, name)?).map_err(|error| LoadError::Map(name, error))
}

/// The same, of whatever kind it is.
pub(super) fn again(ebpf: &Ebpf, name: &'static str) -> Result<Map, LoadError> {
    let (Map::Array(map)
    | Map::PerCpuArray(map)
    | Map::HashMap(map)
    | Map::LruHashMap(map)
    | Map::PerCpuHashMap(map)) = ebpf.map(name).ok_or(LoadError::NoMap(name))?
    else {
        return Err(LoadError::NoMap(name));
    };
    let handle = map.fd().as_fd().try_clone_to_owned().map_err(|error| LoadError::Handle(name, error))?;
    let again = MapData::from_fd(handle).and_then(Map::from_map_data);
    again.map_err(|error| LoadError::Map(name, error))
}

/// A map of one word, which is shared as memory.
pub(super) fn data(ebpf: &mut Ebpf, name: &'static str) -> Result<MapData, LoadError> {
    match ebpf.take_map(name) {
        Some(Map::Array(data)) => Ok(data),
        _ => Err(LoadError::NoMap(name)),
    }
}
