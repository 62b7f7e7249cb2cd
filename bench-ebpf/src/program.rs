//! The drivers, the generator and the floors. An array of programs takes only programs of one kind, with
//! fragments or without: so there is a driver for each.

use aya_ebpf::bindings::{BPF_F_MMAPABLE, xdp_action};
use aya_ebpf::helpers::generated::bpf_redirect;
use aya_ebpf::macros::{map, xdp};
use aya_ebpf::maps::{Array, ProgramArray};
use aya_ebpf::programs::XdpContext;
use bench_ebpf::{
    COUNTER, FRAME_BYTES, FRAME_WORDS, INTERFACE, MASK, MAX_PROGRAMS, PORT_OFFSET, PORT_OFFSET_V4,
    PORT_OFFSET_V6, PROGRAM, Run, SHIFT,
};

/// The loader says how many.
#[map]
static FRAMES: Array<[u64; FRAME_WORDS]> = Array::with_max_entries(1, BPF_F_MMAPABLE);
#[map]
static RUN: Array<Run> = Array::with_max_entries(1, 0);
#[map]
static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(MAX_PROGRAMS, 0);
#[map]
static PLAIN_PROGRAMS: ProgramArray = ProgramArray::with_max_entries(MAX_PROGRAMS, 0);

/// Puts the next frame into the packet, and lets the wanted program judge it.
#[xdp(frags)]
pub(crate) fn driver(context: XdpContext) -> u32 {
    if let Some(run) = next_frame(&context) {
        // SAFETY: nothing here waits to be dropped.
        unsafe { PROGRAMS.tail_call(&context, run[PROGRAM] as u32) };
    }
    xdp_action::XDP_ABORTED
}

/// The same for programs that take no fragments.
#[xdp]
pub(crate) fn plain_driver(context: XdpContext) -> u32 {
    if let Some(run) = next_frame(&context) {
        // SAFETY: nothing here waits to be dropped.
        unsafe { PLAIN_PROGRAMS.tail_call(&context, run[PROGRAM] as u32) };
    }
    xdp_action::XDP_ABORTED
}

/// Lets the first program judge the packet as it is. Several processors may run it at once.
#[xdp(frags)]
pub(crate) fn enter(context: XdpContext) -> u32 {
    // SAFETY: nothing here waits to be dropped.
    unsafe { PROGRAMS.tail_call(&context, 0) };
    xdp_action::XDP_ABORTED
}

/// Puts the next frame into the packet, and sends it out of an interface.
#[xdp]
pub(crate) fn generator(context: XdpContext) -> u32 {
    let Some(run) = next_frame(&context) else { return xdp_action::XDP_ABORTED };
    // SAFETY: the helper takes two numbers.
    unsafe { bpf_redirect(run[INTERFACE] as u32, 0) as u32 }
}

/// Passes every frame: what driver and test run cost by themselves.
#[xdp(frags)]
pub(crate) fn floor(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// The same without fragments.
#[xdp]
pub(crate) fn plain_floor(_context: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}

/// Drops every frame: what a way through interfaces costs by itself.
#[xdp(frags)]
pub(crate) fn drop(_context: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

#[inline(always)]
fn next_frame(context: &XdpContext) -> Option<&'static Run> {
    let run = only(&RUN)?;
    let counter = run[COUNTER];
    run[COUNTER] = counter + 1;
    let frame = FRAMES.get((counter & run[MASK]) as u32)?;
    let start = context.data();
    if start + FRAME_BYTES > context.data_end() {
        return None;
    }
    for (index, word) in frame.iter().enumerate() {
        // One word by one: what the compiler takes for a copy becomes a call that copies bytes.
        // SAFETY: the packet is that long, as just checked, and test runs begin it on a word.
        unsafe { (start as *mut u64).add(index).write_volatile(*word) };
    }
    // Port 0 is malformed.
    let port = ((counter + (counter >> run[SHIFT])) as u16).max(1).to_be();
    match run[PORT_OFFSET] {
        PORT_OFFSET_V4 => write_port(start + PORT_OFFSET_V4 as usize, port),
        PORT_OFFSET_V6 => write_port(start + PORT_OFFSET_V6 as usize, port),
        _ => {}
    }
    Some(run)
}

/// The value of an array of one.
#[inline(always)]
pub(crate) fn only<T>(array: &'static Array<T>) -> Option<&'static mut T> {
    let value = array.get_ptr_mut(0)?;
    // SAFETY: points at the map's only value, which one test run at a time uses.
    Some(unsafe { &mut *value })
}

#[inline(always)]
fn write_port(at: usize, port: u16) {
    // SAFETY: both offsets are even and lie in the part of the packet that was checked.
    unsafe { (at as *mut u16).write(port) };
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel wants to know the licence before it lends GPL-only helpers.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
