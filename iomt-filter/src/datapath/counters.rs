//! The exact counters, read a device at a time: those of ten thousand devices are more than a million, and a call for
//! each of them takes a second.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::ptr;

use aya::Ebpf;
use aya::maps::{Map, MapData};
use aya::util::nr_cpus;
use iomt_filter_common::abi::map;
use iomt_filter_common::counters::PER_DEVICE;

use super::link::bpf;
use super::load::LoadError;
use super::maps::again;

/// `BPF_MAP_LOOKUP_BATCH` of `enum bpf_cmd` (`include/uapi/linux/bpf.h`); for arrays per CPU since Linux 5.13.
const MAP_LOOKUP_BATCH: libc::c_long = 24;

/// The part of `union bpf_attr` for `BPF_MAP_LOOKUP_BATCH`.
#[repr(C)]
struct Batch {
    after: u64,
    last: u64,
    keys: u64,
    values: u64,
    count: u32,
    descriptor: u32,
    element_flags: u64,
    flags: u64,
}

/// The counters of all devices.
#[derive(Debug)]
pub(super) struct Counters {
    map: MapData,
    devices: u32,
    processors: usize,
}

impl Counters {
    /// Opens the table of `ebpf` a second time.
    pub(super) fn open(ebpf: &Ebpf) -> Result<Self, LoadError> {
        let Map::PerCpuArray(map) = again(ebpf, map::COUNTERS)? else {
            return Err(LoadError::NoMap(map::COUNTERS));
        };
        let counters = map.info().map_err(|error| LoadError::Map(map::COUNTERS, error))?.max_entries();
        let processors = nr_cpus().map_err(|(_, error)| LoadError::Shared(error))?;
        Ok(Self { map, devices: counters / PER_DEVICE, processors })
    }

    /// Hands the counters of each of `devices` on, [`PER_DEVICE`] at a time; those that have no room are left out.
    pub(super) fn read(
        &self,
        devices: impl IntoIterator<Item = u32>,
        mut each: impl FnMut(u32, &[u64]),
    ) -> io::Result<()> {
        let count = PER_DEVICE as usize;
        let mut values = vec![0; count * self.processors];
        let mut sums = vec![0; count];
        for device in devices.into_iter().filter(|device| *device < self.devices) {
            self.look_up(device * PER_DEVICE, &mut values)?;
            for (sum, values) in sums.iter_mut().zip(values.chunks_exact(self.processors)) {
                *sum = values.iter().sum();
            }
            each(device, &sums);
        }
        Ok(())
    }

    /// Reads so many counters as `values` has room for, of each processor, from the one at `first` on.
    fn look_up(&self, first: u32, values: &mut [u64]) -> io::Result<()> {
        let count = values.len() / self.processors;
        let (after, mut last, mut keys) = (first.wrapping_sub(1), 0_u32, vec![0_u32; count]);
        let mut batch = Batch {
            // Nothing is before the first one.
            after: if first == 0 { ptr::null::<u32>() } else { &raw const after } as u64,
            last: &raw mut last as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: count as u32,
            descriptor: self.map.fd().as_fd().as_raw_fd() as u32,
            element_flags: 0,
            flags: 0,
        };
        // SAFETY: the kernel writes a key of four bytes to `last`, and at most `count` of them to `keys`, with a word of
        // each processor to `values`; all of them outlive the call.
        unsafe { bpf(MAP_LOOKUP_BATCH, &mut batch) }?;
        if batch.count as usize == count && keys.first() == Some(&first) {
            Ok(())
        } else {
            Err(io::Error::other("the kernel has read other counters than it was asked for"))
        }
    }
}
