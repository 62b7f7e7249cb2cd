//! Raw packet memory.

use core::arch::asm;
use core::hint::black_box;

use aya_ebpf::bindings::xdp_md;
use aya_ebpf::helpers::generated::{bpf_xdp_adjust_tail, bpf_xdp_get_buff_len};
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::parse::{Part, Unparsed};
use iomt_filter_common::reader::{Glance, Header};
use iomt_filter_common::{Packet, PacketReader};

use crate::stages;

/// Headers end before this offset: 14 bytes of Ethernet, 8 of tags, 40 of IPv6 and its extension
/// headers. A bound for the verifier; what lies beyond cannot be read.
const MAX_OFFSET: usize = 0x3fff;

/// The frame that the program was called for.
pub(crate) struct Frame {
    context: *mut xdp_md,
    start: usize,
    end: usize,
}

impl Frame {
    #[inline(always)]
    pub(crate) fn new(context: *mut xdp_md) -> Self {
        let frame = XdpContext::new(context);
        Self { context, start: frame.data(), end: frame.data_end() }
    }
}

/// Cuts the frame behind its first `length` bytes; whether it could be done. Every [`Frame`] of before is void.
#[inline(always)]
pub(crate) fn cut(context: *mut xdp_md, length: u32) -> bool {
    // SAFETY: the context is the one that the kernel passed to the program.
    let now = unsafe { bpf_xdp_get_buff_len(context) } as i32;
    // SAFETY: as above.
    unsafe { bpf_xdp_adjust_tail(context, length as i32 - now) == 0 }
}

impl Frame {
    /// Where `N` bytes at `offset` begin; nothing where the frame ends before them.
    #[inline(always)]
    fn at<const N: usize>(&self, offset: u32) -> Option<usize> {
        // A value of its own: the compiler may otherwise check one copy and use another, of which the verifier
        // knows nothing.
        let offset = black_box(offset as usize);
        if offset > MAX_OFFSET {
            return None;
        }
        let at = self.start + offset;
        if at + N > self.end { None } else { Some(at) }
    }

    /// Writes `bytes` at `offset`; `false` where the frame ends before.
    #[inline(always)]
    pub(crate) fn write<const N: usize>(&self, offset: u32, bytes: &[u8; N]) -> bool {
        let Some(at) = self.at::<N>(offset) else { return false };
        // SAFETY: `at..at + N` lies between the start and the end of the packet; a byte array has no alignment.
        unsafe { (at as *mut [u8; N]).write(*bytes) };
        true
    }
}

/// Bytes of the packet that are there.
#[derive(Clone, Copy)]
pub(crate) struct Bytes(usize);

/// Reads a number in network order, in one instruction: the kernel allows it where the processor does, of which the
/// compiler knows nothing, so that it would put the number together of single bytes.
macro_rules! number {
    ($name:ident, $size:literal) => {
        #[inline(always)]
        fn $name<const AT: usize>(self) -> $name {
            let value: u64;
            // SAFETY: reads bytes that `header` has found.
            unsafe {
                asm!(
                    concat!("{value} = *(", $size, " *)({from} + {at})"),
                    value = out(reg) value,
                    from = in(reg) self.0,
                    at = const AT,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            $name::from_be(value as $name)
        }
    };
}

impl Header for Bytes {
    number!(u8, "u8");
    number!(u16, "u16");
    number!(u32, "u32");
    number!(u64, "u64");
}

impl Glance for Frame {
    type Header = Bytes;

    #[inline(always)]
    fn reach(&self) -> u32 {
        (self.end - self.start) as u32
    }

    #[inline(always)]
    fn header<const N: usize>(&self, offset: u32) -> Option<Bytes> {
        let at = self.start + offset as usize;
        if at + N > self.end { None } else { Some(Bytes(at)) }
    }
}

impl PacketReader for Frame {
    #[inline(always)]
    fn length(&self) -> u32 {
        // SAFETY: the context is the one that the kernel passed to the program.
        unsafe { bpf_xdp_get_buff_len(self.context) as u32 }
    }

    #[inline(always)]
    fn run(&self, part: Part, start: u32, end: u32, packet: &mut Packet) -> Result<u32, Unparsed> {
        stages::read(part, self.context, packet, start, end)
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let at = self.at::<N>(offset)?;
        // SAFETY: `at..at + N` lies between the start and the end of the packet; a byte array has no alignment.
        Some(unsafe { (at as *const [u8; N]).read() })
    }
}
