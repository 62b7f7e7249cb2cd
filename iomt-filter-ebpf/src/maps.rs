//! Every map, and what comes from user space beside them.
//!
//! Sizes here are the smallest that work; the loader sets the real ones from the data.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC, xdp_md};
use aya_ebpf::helpers::generated::{bpf_jiffies64, bpf_ktime_get_boot_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::lpm_trie::LpmTrie;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, PerCpuHashMap, RingBuf};
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::abi::{Active, Change, Input, MAX_PROFILES, ProtectedKey, SLOTS};
use iomt_filter_common::counters::{EventLimit, FATES as FATE_COUNTERS, PER_DEVICE};
use iomt_filter_common::decide::Moment;
use iomt_filter_common::device::{Device, Port};
use iomt_filter_common::exception::Exception;
use iomt_filter_common::flow::FlowKey;
use iomt_filter_common::flowtable::{V4_WORDS, V6_WORDS};
use iomt_filter_common::fragment::{FirstFragment, FragmentKey};
use iomt_filter_common::lease::{FAMILIES, Lease, Requests};
use iomt_filter_common::limit::Buckets;
use iomt_filter_common::lookup::{Directory, Line};
use iomt_filter_common::policy::{Grant, GrantKey, Profile, Settings};
use iomt_filter_common::query::Query;
use iomt_filter_common::trial::{DIFFERENCES as MOST_DIFFERENCES, Difference};
use iomt_filter_common::watch::{MOST_WATCHED, Watched};
use iomt_filter_common::{Address, Case, ports};

#[map]
pub(crate) static ACTIVE: Array<Active> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static CHANGE: Array<Change> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static SETTINGS: Array<Settings> = Array::with_max_entries(SLOTS, 0);
#[map]
pub(crate) static PROFILES: Array<Profile> = Array::with_max_entries(SLOTS * MAX_PROFILES, 0);
#[map]
pub(crate) static DEVICES: Array<Device> = Array::with_max_entries(SLOTS, 0);
#[map]
pub(crate) static PROTECTED: LpmTrie<ProtectedKey, u32> = LpmTrie::with_max_entries(1, 0);
#[map]
pub(crate) static DIRECTORY: Array<Directory> = Array::with_max_entries(SLOTS, 0);
#[map]
pub(crate) static LISTINGS: Array<Line> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static BLOCKS: Array<Line> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static COUNTRIES: Array<Line> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static POLICY: Array<Line> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static FLOWS_V4: Array<[u64; V4_WORDS]> = Array::with_max_entries(2, BPF_F_MMAPABLE);
#[map]
pub(crate) static FLOWS_V6: Array<[u64; V6_WORDS]> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static FLOW_SECRET: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static FRAGMENTS: LruHashMap<FragmentKey, FirstFragment> = LruHashMap::with_max_entries(1, 0);
#[map]
pub(crate) static OTHER_FRAGMENTS: LruHashMap<FragmentKey, FirstFragment> =
    LruHashMap::with_max_entries(1, 0);
#[map]
pub(crate) static QUERIES: Array<Query> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static FAR_HOSTS: LruHashMap<Address, u64> = LruHashMap::with_max_entries(1, 0);
#[map]
pub(crate) static GRANTS: HashMap<GrantKey, Grant> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
pub(crate) static LEASES: Array<Lease> = Array::with_max_entries(FAMILIES, 0);
#[map]
pub(crate) static LEASED: HashMap<Address, u32> = HashMap::with_max_entries(1, 0);
#[map]
pub(crate) static REQUESTS: Array<Requests> = Array::with_max_entries(FAMILIES, 0);
#[map]
pub(crate) static BUCKETS: Array<Buckets> = Array::with_max_entries(1, 0);
#[map]
pub(crate) static EXCEPTIONS: Array<Exception> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static DIFFERENCES: PerCpuHashMap<Difference, u64> =
    PerCpuHashMap::with_max_entries(MOST_DIFFERENCES, BPF_F_NO_PREALLOC);
#[map]
pub(crate) static WATCHED: HashMap<FlowKey, Watched> =
    HashMap::with_max_entries(MOST_WATCHED, BPF_F_NO_PREALLOC);
#[map]
pub(crate) static UNWATCHED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub(crate) static HEARTBEAT: Array<u64> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static PORTS: Array<Line> = Array::with_max_entries(ports::LINES, BPF_F_MMAPABLE);
#[map]
pub(crate) static INPUT: Array<Input> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
pub(crate) static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(PER_DEVICE, 0);
#[map]
pub(crate) static FATES: PerCpuArray<u64> = PerCpuArray::with_max_entries(FATE_COUNTERS, 0);
#[map]
pub(crate) static LIMITS: PerCpuArray<EventLimit> = PerCpuArray::with_max_entries(1, 0);
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// The case at hand, and behind it that of a generation on trial.
#[map]
static CASE: PerCpuArray<Case> = PerCpuArray::with_max_entries(2, 0);
/// The time, as long as the kernel's timer has not ticked.
#[map]
static CLOCK: PerCpuArray<Tick> = PerCpuArray::with_max_entries(1, 0);

/// A tick of the kernel's timer, and what the clock said when the first frame came after it.
#[derive(Clone, Copy)]
struct Tick {
    jiffies: u64,
    moment: Moment,
}

/// Devices that the tables have room for, set by the loader.
#[unsafe(no_mangle)]
static DEVICE_CAPACITY: u32 = 1;
/// Sets of the flow table of IPv4, set by the loader; that of IPv6 has half as many.
#[unsafe(no_mangle)]
static FLOW_SETS: u32 = 2;
/// Not 0 in a replay, set by the loader.
#[unsafe(no_mangle)]
static REPLAY: u32 = 0;
/// Records per device, reason, CPU and second, set by the loader.
#[unsafe(no_mangle)]
static EVENTS_PER_SECOND: u32 = 10;

#[inline(always)]
fn global(variable: &'static u32) -> u32 {
    // SAFETY: a reference is readable; volatile, because the loader writes it behind the compiler's back.
    unsafe { core::ptr::read_volatile(variable) }
}

/// A case, in memory of this CPU's own: it spares the stack, of which there are 512 bytes. Cleared.
#[inline(always)]
pub(crate) fn case(index: u32) -> Option<&'static mut Case> {
    const WORDS: usize = size_of::<Case>() / size_of::<u64>();
    let case = CASE.get_ptr_mut(index)?;
    for word in 0..WORDS {
        // By words that the compiler cannot join: it would call a function that writes byte after byte.
        // SAFETY: a case is that many words, aligned to one, and zero is a value of all its fields.
        unsafe { case.cast::<u64>().add(word).write_volatile(0) };
    }
    // SAFETY: the value is this CPU's own, and a program is not interrupted by itself on one CPU.
    Some(unsafe { &mut *case })
}

/// What a function was called for: memory that its caller had and does not touch until the function returns.
/// The verifier asks each function for itself whether it is there.
#[inline(always)]
pub(crate) fn given<'a, T>(value: *mut T) -> Option<&'a mut T> {
    // SAFETY: null, or a value of this CPU's own that only the running function uses.
    unsafe { value.as_mut() }
}

/// What a function is to read only.
#[inline(always)]
pub(crate) const fn shown<T>(value: &T) -> *mut T {
    core::ptr::from_ref(value).cast_mut()
}

/// What a function was shown: see [`given`].
#[inline(always)]
pub(crate) fn seen<'a, T>(value: *mut T) -> Option<&'a T> {
    // SAFETY: null, or a value of this CPU's own that nobody writes while the function runs.
    unsafe { value.as_ref() }
}

/// Notes in `case`, whose frame has been read, where it came in.
#[inline(always)]
pub(crate) fn set_port(context: &XdpContext, case: &mut Case) {
    case.set_port(port(context.ctx, case.packet.vlan[0]));
}

/// Whether every frame is to be recorded, and clock and port come from user space.
#[inline(always)]
pub(crate) fn is_replay() -> bool {
    global(&REPLAY) != 0
}

/// Records per device, reason, CPU and second.
#[inline(always)]
pub(crate) fn events_per_second() -> u32 {
    global(&EVENTS_PER_SECOND)
}

/// Devices that the tables have room for.
#[inline(always)]
pub(crate) fn device_capacity() -> u32 {
    global(&DEVICE_CAPACITY)
}

/// Sets of the flow table of a family.
#[inline(always)]
pub(crate) fn flow_sets(is_v4: bool) -> u32 {
    let sets = global(&FLOW_SETS);
    if is_v4 { sets } else { sets / 2 }
}

/// The time of the frame at hand, as exact as the kernel's timer (1 to 10 ms): the clock itself costs more than all
/// else that is done for most frames.
#[inline(always)]
pub(crate) fn moment() -> Moment {
    if is_replay()
        && let Some(input) = INPUT.get(0)
    {
        return Moment::of(input.now);
    }
    // SAFETY: the helper takes no argument.
    let jiffies = unsafe { bpf_jiffies64() };
    let Some(tick) = CLOCK.get_ptr_mut(0) else { return Moment::of(clock()) };
    // SAFETY: the value is this CPU's own, and a program is not interrupted by itself on one CPU.
    let tick = unsafe { &mut *tick };
    if tick.jiffies != jiffies {
        *tick = Tick { jiffies, moment: Moment::of(clock()) };
    }
    tick.moment
}

/// The clock.
#[inline(always)]
pub(crate) fn clock() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_ktime_get_boot_ns() }
}

/// The role of the interface, or of the VLAN on it, that a frame with the outermost tag `vlan` came in on.
#[inline(always)]
pub(crate) fn port(context: *mut xdp_md, vlan: u16) -> Port {
    if is_replay()
        && let Some(input) = INPUT.get(0)
    {
        return Port::from_number(input.port);
    }
    let interface = XdpContext::new(context).ingress_ifindex() as u32;
    let mut role = role(interface, vlan);
    if role == 0 && vlan != 0 {
        role = self::role(interface, 0);
    }
    Port::from_number(role)
}

#[inline(always)]
fn role(interface: u32, vlan: u16) -> u32 {
    let Some(line) = PORTS.get_ptr(ports::line_of(interface, vlan)) else { return 0 };
    // SAFETY: a line has so many words; volatile, because user space replaces them at any time.
    let word = |place| unsafe { line.cast::<u64>().add(place).read_volatile() };
    ports::role_in(word, interface, vlan)
}
