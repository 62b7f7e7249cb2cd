//! How parsing reads a frame: the kernel program reads packet memory, tests read a slice.

/// The bytes of one frame.
pub trait PacketReader {
    /// Length of the whole frame in bytes, parts that cannot be read directly included.
    fn length(&self) -> u32;

    /// `N` bytes at `offset`, or `None` where the frame (or its directly readable part) ends before.
    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]>;

    /// The same value. In the kernel the verifier then knows nothing of it any more, and walks what
    /// follows once instead of once for each value that it could tell apart: for cursors of loops.
    #[inline(always)]
    fn forget(&self, value: u32) -> u32 {
        value
    }
}

impl PacketReader for [u8] {
    fn length(&self) -> u32 {
        self.len() as u32
    }

    fn read<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        self.get(offset as usize..)?.first_chunk().copied()
    }
}
