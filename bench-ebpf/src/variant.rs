//! What one would build of the kernel's own maps: hash maps for devices and ports, tries for lists and
//! countries, an LRU hash for flows. It does the lookups of the filter and nothing else: no look at who lies,
//! no fragments, no answers, no rules but a port, no events, one counter.

use aya_ebpf::bindings::{BPF_F_NO_PREALLOC, xdp_action};
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::lpm_trie::{Key, LpmTrie};
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray};
use aya_ebpf::programs::XdpContext;
use bench_ebpf::FRAME_BYTES;
use bench_ebpf::variant::{
    COUNTRY, Denied, ESTABLISHED, FlowV4, FlowV6, LISTED, NO_DEVICE, NOT_ALLOWED, OPENED, OUTCOME_COUNT, Seen,
};

#[map]
pub(crate) static LISTED_V4: LpmTrie<u32, u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
pub(crate) static LISTED_V6: LpmTrie<[u32; 4], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
pub(crate) static COUNTRIES_V4: LpmTrie<u32, u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
pub(crate) static COUNTRIES_V6: LpmTrie<[u32; 4], u32> = LpmTrie::with_max_entries(1, BPF_F_NO_PREALLOC);
#[map]
static DENIED: Array<Denied> = Array::with_max_entries(1, 0);
#[map]
static MACS: HashMap<u64, u32> = HashMap::with_max_entries(1, 0);
#[map]
static ALLOWED: HashMap<u32, u32> = HashMap::with_max_entries(16, 0);
#[map]
static FLOWS_V4: LruHashMap<FlowV4, Seen> = LruHashMap::with_max_entries(1, 0);
#[map]
static FLOWS_V6: LruHashMap<FlowV6, Seen> = LruHashMap::with_max_entries(1, 0);
#[map]
static OUTCOMES: PerCpuArray<u64> = PerCpuArray::with_max_entries(OUTCOME_COUNT, 0);

const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;

/// Judges a frame of the bench.
#[xdp(frags)]
pub(crate) fn variant(context: XdpContext) -> u32 {
    let start = context.data();
    if start + FRAME_BYTES > context.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    let outcome = judge(start);
    if let Some(count) = OUTCOMES.get_ptr_mut(outcome) {
        // SAFETY: the value is this CPU's own, and a program is not interrupted by itself on one CPU.
        unsafe { *count += 1 };
    }
    match outcome {
        NO_DEVICE | ESTABLISHED | OPENED => xdp_action::XDP_PASS,
        _ => xdp_action::XDP_DROP,
    }
}

#[inline(always)]
fn judge(start: usize) -> u32 {
    let mac =
        u64::from(half(start + 6)) | u64::from(half(start + 8)) << 16 | u64::from(half(start + 10)) << 32;
    // SAFETY: nothing is removed while the bench runs.
    if unsafe { MACS.get(&mac) }.is_none() {
        return NO_DEVICE;
    }
    match half(start + 12).to_be() as u32 {
        IPV4 => judge_v4(start),
        IPV6 => judge_v6(start),
        _ => NO_DEVICE,
    }
}

#[inline(always)]
fn judge_v4(start: usize) -> u32 {
    let (source, destination, ports) = (word(start + 26), word(start + 30), word(start + 34));
    let flow = [source, destination, ports, 6];
    if touch(FLOWS_V4.get_ptr_mut(&flow)) {
        return ESTABLISHED;
    }
    let far = Key::new(32, destination);
    if LISTED_V4.get(&far).is_some() {
        return LISTED;
    }
    let outcome = judge_country(COUNTRIES_V4.get(&far), ports);
    if outcome == OPENED {
        let _ = FLOWS_V4.insert(&flow, &[now(), 1], 0);
    }
    outcome
}

#[inline(always)]
fn judge_v6(start: usize) -> u32 {
    let mut flow = [0; 10];
    for (index, part) in flow.iter_mut().enumerate().take(9) {
        *part = word(start + 22 + 4 * index);
    }
    flow[9] = 6;
    if touch(FLOWS_V6.get_ptr_mut(&flow)) {
        return ESTABLISHED;
    }
    let far = Key::new(128, [flow[4], flow[5], flow[6], flow[7]]);
    if LISTED_V6.get(&far).is_some() {
        return LISTED;
    }
    let outcome = judge_country(COUNTRIES_V6.get(&far), flow[8]);
    if outcome == OPENED {
        let _ = FLOWS_V6.insert(&flow, &[now(), 1], 0);
    }
    outcome
}

#[inline(always)]
fn judge_country(country: Option<&u32>, ports: u32) -> u32 {
    let country = country.copied().unwrap_or(0);
    let Some(denied) = DENIED.get(0) else { return COUNTRY };
    if denied[(country >> 6) as usize & 15] >> (country & 63) & 1 == 1 {
        return COUNTRY;
    }
    // SAFETY: nothing is removed while the bench runs.
    if unsafe { ALLOWED.get(&(ports >> 16)) }.is_none() { NOT_ALLOWED } else { OPENED }
}

#[inline(always)]
fn touch(seen: Option<*mut Seen>) -> bool {
    let Some(seen) = seen else { return false };
    // SAFETY: points into the table, whose memory stays, and one test run at a time writes it.
    let seen = unsafe { &mut *seen };
    seen[0] = now();
    seen[1] += 1;
    true
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: the helper takes no argument.
    unsafe { bpf_ktime_get_ns() }
}

#[inline(always)]
fn word(at: usize) -> u32 {
    u32::from(half(at)) | u32::from(half(at + 2)) << 16
}

#[inline(always)]
fn half(at: usize) -> u16 {
    // SAFETY: every offset here is even and lies in the part of the packet that was checked.
    unsafe { (at as *const u16).read() }
}
