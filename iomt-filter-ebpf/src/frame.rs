//! Raw packet memory.

use aya_ebpf::helpers::generated::bpf_xdp_get_buff_len;
use aya_ebpf::programs::XdpContext;
use iomt_filter_common::PacketReader;

/// Headers end before this offset: 14 bytes of Ethernet, 8 of tags, 40 of IPv6 and its extension
/// headers. A bound for the verifier; what lies beyond cannot be read.
const MAX_OFFSET: usize = 0x3fff;

/// The frame that the program was called for.
pub(crate) struct Frame {
    start: usize,
    end: usize,
    length: u32,
}

impl Frame {
    #[inline(always)]
    pub(crate) fn new(context: &XdpContext) -> Self {
        // SAFETY: the context is the one that the kernel passed to the program.
        let length = unsafe { bpf_xdp_get_buff_len(context.ctx) } as u32;
        Self { start: context.data(), end: context.data_end(), length }
    }
}

impl PacketReader for Frame {
    #[inline(always)]
    fn length(&self) -> u32 {
        self.length
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let offset = offset as usize;
        if offset > MAX_OFFSET {
            return None;
        }
        let at = self.start + offset;
        if at + N > self.end {
            return None;
        }
        // SAFETY: `at..at + N` lies between the start and the end of the packet, as just checked; a byte
        // array has no alignment.
        Some(unsafe { (at as *const [u8; N]).read() })
    }
}
